package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/stats"
)

// clinicalModel is a Cox model of some variables in the test role.
type clinicalModel struct {
	name         string
	terms        []clinicalTerm
	n, events    int
	missing      int // patients left out because some variable is not known
	fit          *stats.CoxResult
	proportional stats.ChiSquareTest // of all terms together; P is NaN where there is none
	failed       string              // why there is no fit, instead
}

// clinicalTerm is a coefficient, or the reference level of a variable.
type clinicalTerm struct {
	variable, title, level, reference, unit string
	n, events                               int            // patients of the level, or of the model for a number
	cox                                     *stats.CoxTerm // nil for the reference
	proportional                            float64        // p of the test; NaN where there is none
	whole                                   float64        // at the reference: p of all levels together by the likelihood ratio; NaN elsewhere
}

// perVariable is deaths per coefficient.
func (m clinicalModel) perVariable() float64 {
	return float64(m.events) / float64(len(m.fit.Terms))
}

// charted are the patients who have all variables.
func charted(patients []int, codings []coding) []int {
	var out []int
	for _, i := range patients {
		if !slices.ContainsFunc(codings, func(c coding) bool { return !c.has(i) }) {
			out = append(out, i)
		}
	}
	return out
}

func covariates(patients []int, codings []coding) [][]float64 {
	x := make([][]float64, len(patients))
	for k, i := range patients {
		for _, c := range codings {
			x[k] = c.row(x[k], i)
		}
	}
	return x
}

// model fits the patients who have all of its variables. Errors: those of stats.Cox.
func (w *clinicalWork) model(name string, patients []int, codings ...coding) (clinicalModel, error) {
	m := clinicalModel{name: name, proportional: stats.ChiSquareTest{P: math.NaN()}}
	whole := charted(patients, codings)
	m.n, m.missing = len(whole), len(patients)-len(whole)
	days, died := survivalOf(w.in.Outcomes, whole)
	for _, d := range died {
		if d {
			m.events++
		}
	}
	fit, err := stats.Cox(days, died, covariates(whole, codings), w.in.Level)
	if err != nil {
		return m, err
	}
	m.fit = &fit
	ph, err := fit.ProportionalHazards(stats.KMTime)
	var none *stats.InputError
	if err != nil && !errors.As(err, &none) {
		return m, err
	}
	if err == nil {
		m.proportional = ph.Global
	}
	column := 0
	add := func(t clinicalTerm, own bool) {
		t.proportional, t.whole = math.NaN(), math.NaN()
		if own {
			t.cox = &fit.Terms[column]
			if ph.Terms != nil {
				t.proportional = ph.Terms[column].P
			}
			column++
		}
		m.terms = append(m.terms, t)
	}
	for _, c := range codings {
		t := clinicalTerm{variable: c.name, title: c.title, unit: c.unit, n: m.n, events: m.events}
		if c.numbers != nil {
			add(t, true)
			continue
		}
		t.reference = c.levels[0]
		for k, level := range c.levels {
			t.level, t.n, t.events = level, 0, 0
			for j, i := range whole {
				if c.level[i] == k {
					t.n++
					if died[j] {
						t.events++
					}
				}
			}
			add(t, k > 0)
		}
	}
	return m, nil
}

// setWhole gives the reference level of a variable the p value of all its levels.
func (m *clinicalModel) setWhole(variable string, p float64) {
	for k := range m.terms {
		if t := &m.terms[k]; t.variable == variable && t.cox == nil {
			t.whole = p
		}
	}
}

// noFit is an error by which a model has no answer for these patients, in few words.
func noFit(err error) (why string, column int, ok bool) {
	var climb *stats.ConvergenceError
	var input *stats.InputError
	switch {
	case errors.As(err, &climb):
		return "it parts those who died from the others, so that there is no finite hazard ratio", climb.Column, true
	case errors.As(err, &input) && input.Argument == "x":
		return "it does not vary among these patients, or follows from the others", input.Index, true
	case errors.As(err, &input):
		return input.Error(), -1, true
	}
	return "", 0, false
}

// aloneModel is the model of one variable.
func (w *clinicalWork) aloneModel(c coding) clinicalModel {
	m, err := w.model(c.title, w.patients, c)
	if err != nil {
		var ok bool
		if m.failed, _, ok = noFit(err); !ok {
			m.failed = err.Error()
		}
		m.terms = []clinicalTerm{{variable: c.name, title: c.title, unit: c.unit, n: m.n, events: m.events, proportional: math.NaN(), whole: math.NaN()}}
		return m
	}
	m.setWhole(c.name, m.fit.LikelihoodRatio.P)
	return m
}

// clinicalModels are those of the same patients: who have all variables of the clinical
// model, and a volume where volumes are known.
type clinicalModels struct {
	models []clinicalModel
	tests  []nestedTest
	left   []string // variables left out of all of them, with the reason
	failed string   // why there are none, instead
}

// nestedTest asks what a model gains by more variables.
type nestedTest struct {
	smaller, larger, added string
	n, events              int
	stats.ChiSquareTest
}

// The names of the models.
const (
	modelClinical       = "clinical"
	modelClinicalScore  = "clinical + network"
	modelClinicalGroup  = "clinical + risk group"
	modelClinicalVolume = "clinical + volume"
	modelAll            = "clinical + volume + network"
	modelScore          = "network"
)

// jointModels fit the clinical model with and without the network, all to the same
// patients, so that they are nested. A variable without a finite hazard ratio in the
// fullest model is left out of all.
func (w *clinicalWork) jointModels() (clinicalModels, error) {
	var f clinicalModels
	var chart []coding
	for _, name := range w.settings.Variables {
		if c := w.find(name); c != nil {
			chart = append(chart, *c)
		}
	}
	var volume []coding
	if w.volume != nil {
		volume = append(volume, *w.volume)
	}
	for len(chart) > 0 {
		all := slices.Concat(chart, volume, []coding{w.score})
		_, err := w.model(modelAll, w.patients, all...)
		if err == nil {
			break
		}
		why, column, ok := noFit(err)
		if !ok {
			return f, err
		}
		at := -1
		for k, c := range chart {
			if column >= 0 && column < c.columns() {
				at = k
				break
			}
			column -= c.columns()
		}
		if at < 0 {
			f.failed = why
			return f, nil
		}
		f.left = append(f.left, fmt.Sprintf("%s: %s", chart[at].title, why))
		chart = slices.Delete(chart, at, at+1)
	}
	if len(chart) == 0 {
		f.failed = "none of " + strings.Join(w.settings.Variables, ", ") + " can be used"
		return f, nil
	}
	whole := charted(w.patients, slices.Concat(chart, volume, []coding{w.score}))
	fit := func(name string, more ...coding) error {
		m, err := w.model(name, whole, slices.Concat(chart, more)...)
		if err != nil {
			why, _, ok := noFit(err)
			if !ok {
				return err
			}
			// The row of what was added says why there is none.
			c := slices.Concat(chart, more)[len(chart)+len(more)-1]
			m.failed, m.terms = why, []clinicalTerm{{variable: c.name, title: c.title, unit: c.unit, n: m.n, events: m.events, proportional: math.NaN(), whole: math.NaN()}}
		}
		m.missing = len(w.patients) - len(whole)
		f.models = append(f.models, m)
		return nil
	}
	steps := []func() error{
		func() error { return fit(modelClinical) },
		func() error { return fit(modelClinicalScore, w.score) },
		func() error { return fit(modelClinicalGroup, w.group) },
	}
	pairs := [][3]string{{modelClinical, modelClinicalScore, "network"}, {modelClinical, modelClinicalGroup, "risk group"}}
	if w.volume != nil {
		steps = append(steps, func() error { return fit(modelClinicalVolume, *w.volume) }, func() error { return fit(modelAll, *w.volume, w.score) })
		pairs = append(pairs, [3]string{modelClinicalVolume, modelAll, "network"}, [3]string{modelClinicalScore, modelAll, "volume"})
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return f, err
		}
	}
	if err := w.testWhole(f.find(modelClinicalScore), whole, slices.Concat(chart, []coding{w.score})); err != nil {
		return f, err
	}
	for _, p := range pairs {
		a, b := f.find(p[0]), f.find(p[1])
		if a == nil || b == nil {
			continue
		}
		test, err := stats.CoxLikelihoodRatio(*a.fit, *b.fit)
		if err != nil {
			return f, err
		}
		f.tests = append(f.tests, nestedTest{smaller: p[0], larger: p[1], added: p[2], n: b.n, events: b.events, ChiSquareTest: test})
	}
	return f, nil
}

// testWhole asks of each variable with levels what the model loses without it.
func (w *clinicalWork) testWhole(m *clinicalModel, patients []int, codings []coding) error {
	if m == nil {
		return nil
	}
	for k, c := range codings {
		if c.numbers != nil {
			continue
		}
		without, err := w.model("", patients, slices.Delete(slices.Clone(codings), k, k+1)...)
		if err != nil {
			if _, _, ok := noFit(err); ok {
				continue
			}
			return err
		}
		test, err := stats.CoxLikelihoodRatio(*without.fit, *m.fit)
		if err != nil {
			return err
		}
		m.setWhole(c.name, test.P)
	}
	return nil
}

// find is a model that could be fitted, by name; nil where there is none.
func (f clinicalModels) find(name string) *clinicalModel {
	for k := range f.models {
		if f.models[k].name == name && f.models[k].fit != nil {
			return &f.models[k]
		}
	}
	return nil
}

// term of a variable, the first that is no reference.
func (m *clinicalModel) term(variable string) *clinicalTerm {
	for k := range m.terms {
		if m.terms[k].variable == variable && m.terms[k].cox != nil {
			return &m.terms[k]
		}
	}
	return nil
}

// truthModel is Cox's model of age, stage and a score beside the coefficients that the
// phantom's survival times were drawn with.
type truthModel struct {
	name  string // whose score
	own   bool   // the model that the phantom is
	n     int
	terms []truthTerm
}

type truthTerm struct {
	name  string
	truth float64 // log hazard ratio; NaN where the score is not on the hazard's scale
	stats.CoxTerm
}

// againstTruth fits the model that the phantom is: age, the number of the stage, and what
// scans show of the hazard; then the same with the network's score, which knows only part
// of that.
func (w *clinicalWork) againstTruth() ([]truthModel, error) {
	perYear, perStage := w.in.Phantom.ClinicalHazard()
	seen := w.in.Phantom.ImageRisk()
	stage := map[string]float64{"I": 1, "II": 2, "IIIA": 3, "IIIB": 4}
	var rows [2][][]float64
	var who []int
	for _, i := range w.patients {
		p := w.in.Cohort.Patients[i]
		if number, ok := stage[p.Stage.V]; ok && p.Age.Valid {
			who = append(who, i)
			rows[0] = append(rows[0], []float64{p.Age.V / yearsPerUnit, number, seen[i]})
			rows[1] = append(rows[1], []float64{p.Age.V / yearsPerUnit, number, w.score.numbers[i]})
		}
	}
	days, died := survivalOf(w.in.Outcomes, who)
	truths := [2][3]float64{{perYear * yearsPerUnit, perStage, 1}, {perYear * yearsPerUnit, perStage, math.NaN()}}
	names := [2][3]string{{"age, per 10 years", "stage, per step", "what scans show, per unit of log hazard"}, {"age, per 10 years", "stage, per step", "network's score, " + w.score.unit}}
	var out []truthModel
	for k, name := range []string{"what scans show of the true hazard", "the network's score"} {
		fit, err := stats.Cox(days, died, rows[k], w.in.Level)
		if err != nil {
			if _, _, ok := noFit(err); ok {
				continue // too few patients for the model
			}
			return nil, err
		}
		m := truthModel{name: name, own: k == 0, n: fit.N}
		for j, t := range fit.Terms {
			m.terms = append(m.terms, truthTerm{name: names[k][j], truth: truths[k][j], CoxTerm: t})
		}
		out = append(out, m)
	}
	return out, nil
}
