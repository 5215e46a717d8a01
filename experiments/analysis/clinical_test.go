package analysis

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/stats"
)

// phantomInput is the phantom of a seed with scores of choice: the hazard that scans show,
// or noise.
func phantomInput(t *testing.T, seed uint64, score func(p *phantom.Phantom) []float64) *Input {
	t.Helper()
	spec := phantom.Default()
	spec.Seed = seed
	made, err := phantom.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{Settings: Defaults(), Cohort: made.Cohort(), Scores: score(made), ScoredBy: "made", Truth: made.TrueRisk(), Phantom: made, Level: 0.95, Bootstrap: 100, Seed: 1}
	in.Outcomes = make([]datasets.Outcome, made.Len())
	test, err := in.Cohort.OpenTest(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for k, i := range in.Cohort.Of(datasets.Test) {
		in.Outcomes[i] = test[k]
	}
	var tuned []float64
	for _, role := range []datasets.Role{datasets.Train, datasets.Tune} {
		known, err := in.Cohort.Outcomes(role)
		if err != nil {
			t.Fatal(err)
		}
		for k, i := range in.Cohort.Of(role) {
			in.Outcomes[i] = known[k]
			if role == datasets.Tune {
				tuned = append(tuned, in.Scores[i])
			}
		}
	}
	if in.Cut, err = stats.Median(tuned); err != nil {
		t.Fatal(err)
	}
	return in
}

func seen(p *phantom.Phantom) []float64 { return p.ImageRisk() }

// With the true image part as the score, the clinical model with the score is the phantom's
// own, and its intervals must hold the coefficients that survival was drawn with: those of
// age and stage, that of the score, and none of sex and histology.
func TestClinicalIntervalsHoldTheTruth(t *testing.T) {
	const seeds = 12
	held, all, added, weak := 0, 0, 0, 0
	var gains []float64
	for seed := range uint64(seeds) {
		in := phantomInput(t, 1000+seed, seen)
		w, err := newClinicalWork(in)
		if err != nil {
			t.Fatal(err)
		}
		joint, err := w.jointModels()
		if err != nil {
			t.Fatal(err)
		}
		m := joint.find(modelClinicalScore)
		perYear, perStage := in.Phantom.ClinicalHazard()
		step := map[string]float64{"I": 0, "II": 1, "IIIA": 2, "IIIB": 3}
		for _, term := range m.terms {
			if term.cox == nil {
				continue
			}
			truth := 0.0
			switch term.variable {
			case "age":
				truth = perYear * yearsPerUnit
			case "stage":
				to, ok := step[term.level]
				from, ok2 := step[term.reference]
				if !ok || !ok2 {
					continue // joined
				}
				truth = perStage * (to - from)
			case w.score.name:
				i := w.patients[0]
				truth = in.Scores[i] / w.score.numbers[i] // the SD
			}
			all++
			if math.Abs(term.cox.Coef-truth) <= 1.96*term.cox.SE {
				held++
			}
		}
		models, err := w.againstTruth()
		if err != nil || len(models) != 2 {
			t.Fatal(models, err)
		}
		for _, term := range models[0].terms {
			all++
			if term.holds() {
				held++
			}
		}
		if joint.tests[0].P < 0.001 {
			added++
		}
		p, err := w.predict(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p.find(modelClinical).c.C < 0.66 {
			weak++
		}
		gains = append(gains, p.gains[0].c.Difference)
	}
	t.Logf("%d of %d intervals hold the truth; the score adds in %d of %d; C gained %.3f", held, all, added, seeds, gains)
	// 95% of them should; fewer than 0.9 of some 140 has a chance of about 1 in 100.
	if all < 10*seeds || float64(held) < 0.9*float64(all) {
		t.Errorf("%d of %d intervals hold the truth", held, all)
	}
	if added != seeds || weak < seeds-1 || slices.Min(gains) < 0.05 {
		t.Errorf("the image part adds in %d of %d phantoms (C gained %.3f), the chart is weak in %d", added, seeds, gains, weak)
	}
}

// A score of noise adds nothing: tests keep their level, and forecasts get no better.
func TestClinicalNoiseAddsNothing(t *testing.T) {
	small, better := 0, 0
	for seed := range uint64(12) {
		in := phantomInput(t, 2000+seed, func(p *phantom.Phantom) []float64 {
			r := rand.New(rand.NewPCG(seed, 5))
			out := make([]float64, p.Len())
			for i := range out {
				out[i] = r.Float64()
			}
			return out
		})
		w, err := newClinicalWork(in)
		if err != nil {
			t.Fatal(err)
		}
		joint, err := w.jointModels()
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.predict(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if joint.tests[0].P < 0.05 {
			small++
		}
		if p.gains[0].c.Low > 0 {
			better++
		}
	}
	if small > 3 || better > 2 {
		t.Errorf("noise adds in %d of 12 tests, and to %d of 12 forecasts", small, better)
	}
}

func TestClinicalResult(t *testing.T) {
	in := phantomInput(t, 284, seen)
	before := slices.Clone(in.Scores)
	got, err := Run(t.Context(), clinicalName, in)
	if err != nil {
		t.Fatal(err)
	}
	in.Jobs = 3
	again, err := Run(t.Context(), clinicalName, in)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, in.Scores) {
		t.Error("the scores were changed")
	}
	for k := range got.Figures {
		if !bytes.Equal(got.Figures[k].SVG, again.Figures[k].SVG) {
			t.Errorf("figure %s is not the same twice", got.Figures[k].Name)
		}
	}
	if !slices.Equal(got.Lines, again.Lines) {
		t.Errorf("lines %q and %q", got.Lines, again.Lines)
	}
	measures := got.Tables[0]
	metrics := measures.Strings("metric")
	for _, want := range []string{"hazard ratio", "likelihood ratio chi-square", "events per coefficient", "proportional hazards chi-square", "Harrell's C", "difference of Harrell's C",
		"AUC at two years", "Brier score", "calibration slope", "calibration in the large", "net benefit at 0.5", "log-rank chi-square", "association with the score", "log hazard ratio beside what scans show of the true hazard"} {
		if !slices.Contains(metrics, want) {
			t.Errorf("no measure %q", want)
		}
	}
	if len(got.Figures) != 3 || len(got.Lines) < 3 || got.Section.ID != clinicalName {
		t.Errorf("%d figures, lines %q", len(got.Figures), got.Lines)
	}
	// The counts of a variable's levels, and of those without a value, make up the patients.
	models := got.Tables[1]
	model, variable, level, n, missing := models.Strings("model"), models.Strings("variable"), models.Strings("level"), models.Int64s("n"), models.Int64s("missing")
	sum := map[string]int64{}
	for i := range model {
		if model[i] == modelAlone && level[i] != "" {
			if sum[variable[i]] == 0 {
				sum[variable[i]] = missing[i]
			}
			sum[variable[i]] += n[i]
		}
	}
	for name, total := range sum {
		if total != int64(len(in.Cohort.Of(datasets.Test))) {
			t.Errorf("%s: levels and missing make %d patients", name, total)
		}
	}
	if len(sum) < 5 {
		t.Errorf("variables with levels: %v", sum)
	}
}

// Without clinical columns in train, forecasts are made inside the test role.
func TestClinicalCrossFitted(t *testing.T) {
	in := phantomInput(t, 284, seen)
	for i := range in.Cohort.Patients {
		if p := &in.Cohort.Patients[i]; p.Role != datasets.Test {
			p.Age, p.Sex, p.Stage, p.Histology = table.Null[float64]{}, table.Null[string]{}, table.Null[string]{}, table.Null[string]{}
		}
	}
	w, err := newClinicalWork(in)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.predict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.how, "5-fold") {
		t.Errorf("forecasts %s", p.how)
	}
	// The score is what decides: alone it forecasts as well out of fold as it orders.
	direct, err := stats.HarrellC(daysOf(in, p.patients), diedOf(in, p.patients), placed(in.Scores, p.patients), 0.95)
	if err != nil {
		t.Fatal(err)
	}
	if d := p.find(modelScore).c.C - direct.C; math.Abs(d) > 0.02 {
		t.Errorf("C of the score out of fold %.3f, as it is %.3f", p.find(modelScore).c.C, direct.C)
	}
	if !(p.gains[0].c.Low > 0) {
		t.Errorf("the network adds %.3f (%.3f to %.3f) to the C of the chart", p.gains[0].c.Difference, p.gains[0].c.Low, p.gains[0].c.High)
	}
	for _, m := range p.models {
		if m.calibration == nil || m.calibration.Slope.Low > 1 || m.calibration.Slope.High < 0 {
			t.Errorf("%s: calibration %+v", m.name, m.calibration)
		}
	}
}

func daysOf(in *Input, patients []int) []float64 { d, _ := survivalOf(in.Outcomes, patients); return d }
func diedOf(in *Input, patients []int) []bool    { _, d := survivalOf(in.Outcomes, patients); return d }

// A variable that parts the dead from the living has no finite hazard ratio: it is left
// out by name, and the others stay.
func TestClinicalSeparation(t *testing.T) {
	in := phantomInput(t, 284, seen)
	for i := range in.Cohort.Patients {
		sex := "male"
		if !in.Outcomes[i].Event.V {
			sex = "female"
		}
		in.Cohort.Patients[i].Sex = table.Some(sex)
	}
	w, err := newClinicalWork(in)
	if err != nil {
		t.Fatal(err)
	}
	joint, err := w.jointModels()
	if err != nil {
		t.Fatal(err)
	}
	if m := joint.find(modelClinicalScore); len(joint.left) != 1 || !strings.Contains(joint.left[0], "Sex") || m == nil || m.term("sex") != nil || m.term("stage") == nil {
		t.Errorf("left out: %q", joint.left)
	}
	if alone := w.aloneModel(*w.find("sex")); !strings.Contains(alone.failed, "no finite hazard ratio") {
		t.Errorf("sex alone: %q", alone.failed)
	}
	got, err := w.in.run(t)
	if err != nil || !slices.ContainsFunc(got.Lines, func(s string) bool { return strings.Contains(s, "hazard ratio of the score") }) {
		t.Errorf("lines %v, %v", got, err)
	}
}

func (in *Input) run(t *testing.T) (*Result, error) {
	t.Helper()
	return Run(t.Context(), clinicalName, in)
}

// Forecasts that cannot be judged, here because nobody has a two-year label, are none: the
// report says why, and the models stay.
func TestClinicalWithoutLabels(t *testing.T) {
	in := phantomInput(t, 284, seen)
	for i := range in.Outcomes {
		in.Outcomes[i].Alive2yr = datasets.Null[bool]{}
	}
	got, err := in.run(t)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(got.Lines, "\n")
	if !strings.Contains(said, "hazard ratio of the score") || !strings.Contains(said, "no forecasts by clinical models") {
		t.Error(said)
	}
}

// A model that has no answer keeps a row that says why: here nobody is at high risk.
func TestClinicalModelWithoutAnswer(t *testing.T) {
	in := phantomInput(t, 284, seen)
	in.Cut = math.Inf(1)
	got, err := in.run(t)
	if err != nil {
		t.Fatal(err)
	}
	models := got.Tables[1]
	k := slices.Index(models.Strings("model"), modelClinicalGroup)
	if k < 0 || models.Strings("variable")[k] != "risk_group" || !strings.Contains(models.Strings("problem")[k], "does not vary") {
		t.Errorf("row %d of the models", k)
	}
}

func TestClinicalUnfit(t *testing.T) {
	in := phantomInput(t, 284, seen)
	for i := range in.Cohort.Patients {
		p := &in.Cohort.Patients[i]
		*p = datasets.Patient{ID: p.ID, Cohort: p.Cohort, Role: p.Role}
	}
	for name, check := range map[string]func() error{
		"before training": func() error { return Ready(clinicalName, in) },
		"at the end":      func() error { _, err := in.run(t); return err },
	} {
		var unfit *UnfitError
		if err := check(); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "200 test patients") || !strings.Contains(err.Error(), "take clinical out") {
			t.Errorf("no chart, %s: %v", name, err)
		}
	}
	in = phantomInput(t, 284, seen)
	for i := range in.Outcomes {
		in.Outcomes[i].SurvivalDays = table.Null[float64]{}
	}
	var unfit *UnfitError
	if _, err := in.run(t); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "survival times") {
		t.Errorf("no survival: %v", err)
	}
	in = phantomInput(t, 284, func(p *phantom.Phantom) []float64 { return make([]float64, p.Len()) })
	if _, err := in.run(t); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "same score") {
		t.Errorf("one score for all: %v", err)
	}
}

func TestJoinRare(t *testing.T) {
	for _, c := range []struct {
		sizes   []int
		ordered bool
		want    string
	}{
		{[]int{20, 20, 20}, true, "a,b,c"},
		{[]int{20, 3, 15, 40}, true, "a,b or c,d"},
		{[]int{3, 20, 15}, true, "a or b,c"},
		{[]int{3, 3, 3, 3, 30}, true, "a or b or c or d,e"},
		{[]int{30, 3, 20, 4}, false, "a,b or d or c"},
		{[]int{30, 5, 20, 6}, false, "a,b or d,c"},
		{[]int{4, 5}, true, "a or b"},
		{[]int{4}, false, "a"},
	} {
		var groups [][]string
		total := 0
		for k, n := range c.sizes {
			groups = append(groups, []string{string(rune('a' + k))})
			total += n
		}
		got, sizes := joinRare(groups, slices.Clone(c.sizes), c.ordered, 10)
		var names []string
		for _, g := range got {
			names = append(names, strings.Join(g, " or "))
			total -= sizes[len(names)-1]
		}
		if s := strings.Join(names, ","); s != c.want || total != 0 {
			t.Errorf("%v: %s, want %s; %d patients lost", c.sizes, s, c.want, total)
		}
	}
}

func TestClinicalSettings(t *testing.T) {
	for field, change := range map[string]func(*Clinical){
		"clinical.variables[1]":        func(c *Clinical) { c.Variables = []string{"age", "weight"} },
		"clinical.variables":           func(c *Clinical) { c.Variables = nil },
		"clinical.thresholds[1]":       func(c *Clinical) { c.Thresholds = []float64{0.5, 0.5} },
		"clinical.thresholds":          func(c *Clinical) { c.Thresholds = nil },
		"clinical.least_level":         func(c *Clinical) { c.LeastLevel = 0 },
		"clinical.events_per_variable": func(c *Clinical) { c.EventsPerVariable = math.NaN() },
		"clinical.folds":               func(c *Clinical) { c.Folds = 1 },
		"clinical.repeats":             func(c *Clinical) { c.Repeats = 0 },
	} {
		s := Defaults()
		change(&s.Clinical)
		var bad *SettingError
		if err := Check(clinicalName, s); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := Check(clinicalName, Defaults()); err != nil {
		t.Error(err)
	}
}
