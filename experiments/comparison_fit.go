package experiments

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"hounsfield/datasets"
	"hounsfield/experiments/scoring"
	"hounsfield/models/crossval"
	"hounsfield/models/forest"
	"hounsfield/models/linear"
	"hounsfield/models/selection"
)

// labelOf gives the patients of train or tune who have a two-year label, and who died. Where
// nobody has one the error is a *lackError.
func labelOf(c *datasets.Cohort, role datasets.Role) (patients []int, dead []bool, err error) {
	outcomes, err := c.Outcomes(role)
	if err != nil {
		return nil, nil, err
	}
	for k, i := range c.Of(role) {
		if a := outcomes[k].Alive2yr; a.Valid {
			patients, dead = append(patients, i), append(dead, !a.V)
		}
	}
	if len(patients) == 0 {
		return nil, nil, &lackError{fmt.Sprintf("no %s patient has a two-year label to fit on", role)}
	}
	return patients, dead, nil
}

// complete keeps the patients that have every feature.
func complete(x [][]float64, patients []int, dead []bool) (kept []int, keptDead []bool) {
	for k, i := range patients {
		if !slices.ContainsFunc(x, func(feature []float64) bool { return math.IsNaN(feature[i]) }) {
			kept, keptDead = append(kept, i), append(keptDead, dead[k])
		}
	}
	return kept, keptDead
}

// described keeps the patients that have some feature, and what goes with them; dead may be
// nil.
func described(x [][]float64, patients []int, dead []bool) (kept []int, keptDead []bool) {
	for k, i := range patients {
		if slices.ContainsFunc(x, func(feature []float64) bool { return !math.IsNaN(feature[i]) }) {
			kept = append(kept, i)
			if dead != nil {
				keptDead = append(keptDead, dead[k])
			}
		}
	}
	return kept, keptDead
}

// rows picks patients from x[feature][patient].
func rows(x [][]float64, patients []int) [][]float64 {
	out := make([][]float64, len(x))
	for f, values := range x {
		out[f] = make([]float64, len(patients))
		for k, i := range patients {
			out[f][k] = values[i]
		}
	}
	return out
}

// scatter puts scores of some patients in their places; the others have none.
func scatter(n int, patients []int, scores []float64) []float64 {
	out := scoring.NaN(n)
	for k, i := range patients {
		out[i] = scores[k]
	}
	return out
}

// forestScores fits a forest on the train role's engineered features, all of them or
// the top ones that mRMR chooses on the tune role, and scores everybody who has them.
func forestScores(s *study, c ComparisonConfig, top, workers int) ([]float64, error) {
	if len(s.cohort.Features) == 0 {
		return nil, &lackError{"the cohort has no engineered features"}
	}
	fit, fitDead, err := labelOf(s.cohort, datasets.Train)
	if err != nil {
		return nil, err
	}
	tune, tuneDead, err := labelOf(s.cohort, datasets.Tune)
	if err != nil {
		return nil, err
	}
	// Who has no feature at all, such as a patient without a scan, does not count against any.
	every := make([][]float64, len(s.cohort.Features))
	for k, f := range s.cohort.Features {
		every[k] = f.Values
	}
	fit, fitDead = described(every, fit, fitDead)
	tune, tuneDead = described(every, tune, tuneDead)
	if len(fit) == 0 || len(tune) == 0 {
		return nil, &lackError{"no patient of train, or of tune, with a two-year label has engineered features"}
	}
	var x [][]float64
	var names []string
	for _, f := range s.cohort.Features {
		// A feature that often does not exist (a correlation of constant grey levels)
		// would cost most patients.
		if missingShare(f.Values, fit) <= mostMissing && missingShare(f.Values, tune) <= mostMissing {
			x, names = append(x, f.Values), append(names, f.Column.Name)
		}
	}
	if top > 0 {
		tune, tuneDead = complete(x, tune, tuneDead)
		chosen, err := selection.MRMR(rows(x, tune), names, selection.Labels(tuneDead), top, selection.Pearson)
		if err != nil {
			return nil, err
		}
		var kept [][]float64
		var keptNames []string
		for _, f := range chosen {
			kept, keptNames = append(kept, x[f.Feature]), append(keptNames, names[f.Feature])
		}
		x, names = kept, keptNames
	}
	fit, fitDead = complete(x, fit, fitDead)
	model, err := forest.Fit(rows(x, fit), names, fitDead, forest.Options{Trees: c.Trees, Seed: c.Seed, Workers: workers})
	if err != nil {
		return nil, err
	}
	// The forest has a rule for single missing values, not for a patient without any.
	everybody := make([]int, len(s.cohort.Patients))
	for i := range everybody {
		everybody[i] = i
	}
	there, _ := described(x, everybody, nil)
	scores, err := model.Predict(rows(x, there))
	if err != nil {
		return nil, err
	}
	return scatter(len(s.cohort.Patients), there, scores), nil
}

// mostMissing is the share of the train or tune patients with features that one may lack.
const mostMissing = 0.1

func missingShare(values []float64, patients []int) float64 {
	n := 0
	for _, i := range patients {
		if math.IsNaN(values[i]) {
			n++
		}
	}
	return float64(n) / float64(len(patients))
}

// logistic fits the network's score and some sizes on the tune role. Sizes enter by their
// logarithm: volumes span three orders of magnitude.
func (m *predictorMaker) logistic(sizes ...size) ([]float64, error) {
	x, names := [][]float64{m.s.scores}, []string{"network"}
	for _, v := range sizes {
		if err := v.lack(); err != nil {
			return nil, err
		}
		logs := make([]float64, len(v.values))
		for i := range v.values {
			logs[i] = math.Log(v.values[i])
			if v.values[i] <= 0 { // the diameter of a single voxel
				logs[i] = math.NaN()
			}
		}
		x, names = append(x, logs), append(names, "log "+v.name)
	}
	return m.fitTune(names, x...)
}

// fitTune fits a logistic regression on the tune patients who have all of x[feature][patient],
// and scores everybody who has.
func (m *predictorMaker) fitTune(names []string, x ...[]float64) ([]float64, error) {
	fit, fitDead, err := labelOf(m.s.cohort, datasets.Tune)
	if err != nil {
		return nil, err
	}
	fit, fitDead = complete(x, fit, fitDead)
	model, err := linear.Logistic(rows(x, fit), names, fitDead, Level)
	if err != nil {
		return nil, err
	}
	everybody := m.everybody()
	whole, _ := complete(x, everybody, make([]bool, len(everybody)))
	scores, err := model.Predict(rows(x, whole))
	if err != nil {
		return nil, err
	}
	return scatter(len(everybody), whole, scores), nil
}

// The least of train for a clinical forest to be fitted there.
const leastTrain, leastClass = 20, 5

// leafSizes are those that a clinical forest may have.
var leafSizes = []int{5, 10, 20}

// clinical makes a forest of the clinical columns, and of some sizes. Where train patients
// have those columns it is fitted there, with the leaves whose out-of-bag AUC is largest;
// otherwise the test patients' own columns have to do, later and by cross-validation.
func (m *predictorMaker) clinical(p *predictor, sizes ...size) error {
	on := "age, sex, TNM, stage and histology"
	for _, v := range sizes {
		if err := v.lack(); err != nil {
			return err
		}
		on += ", " + v.name
	}
	fit, dead, err := labelOf(m.s.cohort, datasets.Train)
	var none *lackError
	if err != nil && !errors.As(err, &none) { // without labels there, the test role has to do
		return err
	}
	fit, dead = charted(m.s.cohort, fit, dead)
	died := 0
	for _, d := range dead {
		if d {
			died++
		}
	}
	if len(fit) < leastTrain || min(died, len(fit)-died) < leastClass {
		if tested, _ := charted(m.s.cohort, m.s.cohort.Of(datasets.Test), nil); len(tested) == 0 {
			return &lackError{"no patients have age or stage, in train or in test"}
		}
		p.made = fmt.Sprintf("random forest of %d trees on %s, out-of-fold by %d times repeated %d-fold nested cross-validation inside the test cohort: the train role has no clinical columns, or too few", m.c.Trees, on, m.c.Repeats, m.c.Folds)
		p.late, p.sizes = true, sizes
		return nil
	}
	x, names, categorical := clinicalColumns(m.s.cohort, m.everybody(), sizes)
	var best *forest.Classifier
	reached, leaves := math.Inf(-1), 0
	for _, size := range leafSizes {
		grown, err := forest.Fit(rows(x, fit), names, dead, forest.Options{Trees: m.c.Trees, MinNode: size, Seed: m.c.Seed, Workers: m.workers, Categorical: categorical})
		if err != nil {
			return err
		}
		if auc := grown.OutOfBag().AUC; best == nil || auc > reached {
			best, reached, leaves = grown, auc, size
		}
	}
	p.made = fmt.Sprintf("random forest of %d trees with leaves of %d (by the AUC out of bag) on %s (those that vary), fitted on %d train patients", m.c.Trees, leaves, on, len(fit))
	there, _ := charted(m.s.cohort, m.everybody(), nil)
	scores, err := best.Predict(rows(x, there))
	if err != nil {
		return err
	}
	p.scores = scatter(len(m.s.cohort.Patients), there, scores)
	return nil
}

// charted keeps the patients whose age or stage is known, and what goes with them; dead
// may be nil.
func charted(c *datasets.Cohort, patients []int, dead []bool) (kept []int, keptDead []bool) {
	for k, i := range patients {
		if p := c.Patients[i]; p.Age.Valid || p.Stage.Valid {
			kept = append(kept, i)
			if dead != nil {
				keptDead = append(keptDead, dead[k])
			}
		}
	}
	return kept, keptDead
}

// crossValidated scores the test patients who have clinical columns by a forest that
// never saw them, by repeated nested cross-validation.
func crossValidated(ctx context.Context, s *study, ev *evaluation, sizes []size, c ComparisonConfig, workers int) ([]float64, error) {
	var patients []int
	var dead []bool
	for _, i := range s.cohort.Of(datasets.Test) {
		if alive := ev.outcomes[i].Alive2yr; alive.Valid {
			patients, dead = append(patients, i), append(dead, !alive.V)
		}
	}
	patients, dead = charted(s.cohort, patients, dead)
	if len(patients) == 0 {
		return nil, &lackError{"no test patient with a two-year label has age or stage"}
	}
	x, names, categorical := clinicalColumns(s.cohort, patients, sizes)
	// The size of the leaves is chosen anew inside each outer fold.
	var candidates []crossval.Candidate
	for _, size := range leafSizes {
		candidates = append(candidates, crossval.Candidate{Name: fmt.Sprintf("leaves of %d", size), Fit: func(_ context.Context, train crossval.Data, seed uint64) (crossval.Model, error) {
			return forest.Fit(train.X, train.Names, train.Y, forest.Options{Trees: c.Trees, MinNode: size, Seed: seed, Workers: 1, Categorical: categorical})
		}})
	}
	result, err := crossval.Run(ctx, crossval.Data{X: x, Names: names, Y: dead}, crossval.Nested(candidates, crossval.Options{Folds: 3, Workers: 1}),
		crossval.Options{Folds: c.Folds, Repeats: c.Repeats, Seed: c.Seed, Workers: workers})
	if err != nil {
		return nil, err
	}
	// A patient's score is the mean over the repeats, each by a forest that had not seen the patient.
	return scatter(len(s.cohort.Patients), patients, scoring.Mean(result.Scores)), nil
}

// clinicalColumns turns clinical columns, and sizes after them, into numbers: categories
// are numbered in the order of their names, missing values are NaN.
func clinicalColumns(c *datasets.Cohort, patients []int, sizes []size) (x [][]float64, names []string, categorical []bool) {
	age := make([]float64, len(patients))
	for k, i := range patients {
		age[k] = math.NaN()
		if a := c.Patients[i].Age; a.Valid {
			age[k] = a.V
		}
	}
	x, names, categorical = append(x, age), append(names, "age"), append(categorical, false)
	for _, column := range []struct {
		name string
		of   func(datasets.Patient) datasets.Null[string]
	}{
		{"sex", func(p datasets.Patient) datasets.Null[string] { return p.Sex }},
		{"histology", func(p datasets.Patient) datasets.Null[string] { return p.Histology }},
		{"t", func(p datasets.Patient) datasets.Null[string] { return p.T }},
		{"n", func(p datasets.Patient) datasets.Null[string] { return p.N }},
		{"m", func(p datasets.Patient) datasets.Null[string] { return p.M }},
		{"stage", func(p datasets.Patient) datasets.Null[string] { return p.Stage }},
	} {
		var levels []string
		for _, i := range patients {
			if v := column.of(c.Patients[i]); v.Valid && !slices.Contains(levels, v.V) {
				levels = append(levels, v.V)
			}
		}
		if len(levels) < 2 {
			continue // says nothing
		}
		slices.Sort(levels)
		values := make([]float64, len(patients))
		for k, i := range patients {
			values[k] = math.NaN()
			if v := column.of(c.Patients[i]); v.Valid {
				values[k] = float64(slices.Index(levels, v.V))
			}
		}
		x, names, categorical = append(x, values), append(names, column.name), append(categorical, true)
	}
	for _, v := range sizes {
		x, names, categorical = append(x, rows([][]float64{v.values}, patients)[0]), append(names, v.name), append(categorical, false)
	}
	return x, names, categorical
}
