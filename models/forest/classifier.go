package forest

import (
	"math"

	"hounsfield/models/tabular"
	"hounsfield/stats"
)

// Classifier is a fitted forest for a label. It is safe for use by many goroutines.
type Classifier struct {
	core
	label []bool
}

// Fit grows a probability forest. x is x[feature][patient], NaN = missing; names are
// one per feature or nil; y is the label of each patient (true = died within two
// years makes predictions rise with risk). Inputs are not changed, and not needed
// afterwards.
//
// A node splits where Gini's impurity falls most, also where it does not fall at all,
// until it is pure, small (Options.MinNode) or cannot be cut. A leaf predicts the
// share of true among its in-bag patients.
//
// In R: ranger(x=, y=factor(y), probability=TRUE). Differences: class weights (see
// [Options]), bins, missing values.
//
// Errors: *tabular.InputError for empty input, unequal lengths, an infinite value, one
// class, and options out of range.
func Fit(x [][]float64, names []string, y []bool, o Options) (*Classifier, error) {
	const function = "forest.Fit"
	if err := tabular.Check(function, x, names, len(y), true); err != nil {
		return nil, err
	}
	if err := tabular.CheckClasses(function, y, 1); err != nil {
		return nil, err
	}
	o, err := o.settle(function, len(x), len(y), 10, false)
	if err != nil {
		return nil, err
	}
	d, err := bin(function, x, names, o, func(i int) (over, under float64) {
		if y[i] {
			return 1, 1
		}
		return 0, 1
	})
	if err != nil {
		return nil, err
	}
	f := &Classifier{core: core{names: append([]string(nil), names...)}, label: append([]bool(nil), y...)}
	f.grow(d, o, func() criterion { return newGini(d, o, f.label) }, f.loss)
	return f, nil
}

// loss is the mean of (1 - predicted share of the true class)^2.
func (f *Classifier) loss(patients []int32, predicted []float64) float64 {
	sum := 0.0
	for k, i := range patients {
		miss := predicted[k]
		if f.label[i] {
			miss = 1 - miss
		}
		sum += miss * miss
	}
	return sum / float64(len(patients)) // 0/0 is NaN
}

// Predict gives each patient's probability of true, the mean of the trees' leaves.
// x is x[feature][patient] with the features of the training table in its order, NaN
// = missing.
//
// Errors: *tabular.InputError for another number of features, unequal lengths and an
// infinite value.
func (f *Classifier) Predict(x [][]float64) ([]float64, error) {
	values, err := f.prepare("forest.Classifier.Predict", x)
	if err != nil {
		return nil, err
	}
	return f.mean(values), nil
}

// OutOfBag holds predictions for the training patients, each by the trees that did
// not have the patient in their sample, and their errors.
type OutOfBag struct {
	Scores []float64 // as Predict; NaN for a patient in every tree's sample
	Trees  []int     // how many trees each score is the mean of
	// Patients have a score; the rest is about them, and NaN where it is undefined:
	// nobody has a score, or one class only, or no comparable pair.
	Patients int
	Brier    float64 // mean squared error of the probability: ranger's prediction.error; NaN for survival
	Error    float64 // share with the label less likely than the other, a half counting as true; NaN for survival
	AUC      float64 // as stats.AUC; NaN for survival
	C        float64 // Harrell's C, as stats.HarrellC (ranger: 1 - prediction.error); NaN for classification
}

// scored lists the patients who have an out-of-bag score.
func (f *core) scored() (r OutOfBag, scores []float64, patients []int) {
	r = OutOfBag{Scores: append([]float64(nil), f.outOfBag...), Trees: append([]int(nil), f.votes...),
		Brier: math.NaN(), Error: math.NaN(), AUC: math.NaN(), C: math.NaN()}
	for i, s := range f.outOfBag {
		if f.votes[i] > 0 {
			scores, patients = append(scores, s), append(patients, i)
		}
	}
	r.Patients = len(patients)
	return r, scores, patients
}

// OutOfBag gives honest estimates without a test set: see [OutOfBag].
func (f *Classifier) OutOfBag() OutOfBag {
	r, scores, patients := f.scored()
	if r.Patients == 0 {
		return r
	}
	labels := make([]bool, len(patients))
	r.Brier, r.Error = 0, 0
	for k, i := range patients {
		labels[k] = f.label[i]
		miss := scores[k]
		if labels[k] {
			miss = 1 - miss
		}
		r.Brier += miss * miss / float64(len(patients))
		if (scores[k] >= 0.5) != labels[k] {
			r.Error += 1 / float64(len(patients))
		}
	}
	if auc, err := stats.AUC(scores, labels); err == nil {
		r.AUC = auc
	}
	return r
}
