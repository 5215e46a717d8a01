package forest

import (
	"fmt"
	"math"

	"hounsfield/models/tabular"
	"hounsfield/stats"
)

// Survival is a fitted survival forest. It is safe for use by many goroutines.
type Survival struct {
	core
	time  []float64
	event []bool
	times *times
}

// FitSurvival grows a survival forest. x is x[feature][patient], NaN = missing; names
// are one per feature or nil; time is in days, zero or more; event is true for a death
// and false for a patient last seen alive. Inputs are not changed, and not needed
// afterwards.
//
// A node splits where the log-rank statistic of the two sides is largest. A leaf holds
// the Nelson-Aalen cumulative hazard of its in-bag patients.
//
// In R: ranger(Surv(time, event) ~ .). Differences: scores sum over times of death,
// where ranger sums over all times; bins; missing values.
//
// Errors: *tabular.InputError for empty input, unequal lengths, an infinite value, a
// time that is negative or not finite, everybody censored, and options out of range
// (Options.Weights must be left out).
func FitSurvival(x [][]float64, names []string, time []float64, event []bool, o Options) (*Survival, error) {
	const function = "forest.FitSurvival"
	if err := tabular.Check(function, x, names, len(time), true); err != nil {
		return nil, err
	}
	if err := checkSurvival(function, time, event); err != nil {
		return nil, err
	}
	o, err := o.settle(function, len(x), len(time), 3, true)
	if err != nil {
		return nil, err
	}
	f := &Survival{core: core{names: append([]string(nil), names...)}, time: append([]float64(nil), time...), event: append([]bool(nil), event...)}
	f.times = newTimes(f.time, f.event)
	expected := f.times.expected()
	d, err := bin(function, x, names, o, func(i int) (over, under float64) {
		if event[i] {
			over = 1
		}
		return over, expected[i]
	})
	if err != nil {
		return nil, err
	}
	f.grow(d, o, func() criterion { return newLogRank(d, o, f.times) }, f.loss)
	return f, nil
}

func checkSurvival(function string, time []float64, event []bool) error {
	if len(event) != len(time) {
		return tabular.Refuse(function, "event", fmt.Sprintf("%d long", len(event)), fmt.Sprintf("%d elements, one per patient", len(time)), "build all slices from the same list of patients")
	}
	dead := false
	for i, t := range time {
		if !(t >= 0) || math.IsInf(t, 0) {
			e := tabular.Refuse(function, "time", fmt.Sprint(t), "a finite number of days, zero or more", "check the two dates the time was taken from, or leave the patient out")
			e.Patient = i
			return e
		}
		dead = dead || event[i]
	}
	if !dead {
		return tabular.Refuse(function, "event", "false for every patient", "at least one event", "wait for longer follow-up: nothing can be learnt before the first event")
	}
	return nil
}

// loss is 1 - Harrell's C.
func (f *Survival) loss(patients []int32, predicted []float64) float64 {
	time, event := make([]float64, len(patients)), make([]bool, len(patients))
	for k, i := range patients {
		time[k], event[k] = f.time[i], f.event[i]
	}
	c, err := stats.HarrellC(time, event, predicted, 0.95)
	if err != nil { // no comparable pair among these
		return math.NaN()
	}
	return 1 - c.C
}

// Times are the distinct times of death of the training patients, in days, ascending:
// the grid of [Survival.CumulativeHazard].
func (f *Survival) Times() []float64 { return append([]float64(nil), f.times.event...) }

// Predict gives each patient's expected number of deaths, Ishwaran's ensemble
// mortality: the cumulative hazard summed over Times, that is how many deaths there
// would have been if all training patients had been like this one. HIGHER = HIGHER
// RISK. x is as for [Classifier.Predict], with the same errors.
func (f *Survival) Predict(x [][]float64) ([]float64, error) {
	values, err := f.prepare("forest.Survival.Predict", x)
	if err != nil {
		return nil, err
	}
	return f.mean(values), nil
}

// CumulativeHazard gives h[patient][k], each patient's cumulative hazard at Times()[k],
// the mean of the trees' leaves. It never falls with k; exp(-h) is the survival
// probability. x is as for [Classifier.Predict], with the same errors.
func (f *Survival) CumulativeHazard(x [][]float64) ([][]float64, error) {
	values, err := f.prepare("forest.Survival.CumulativeHazard", x)
	if err != nil || values == nil {
		return nil, err
	}
	hazard := make([][]float64, len(values[0]))
	parallel(workersFor(len(hazard)*len(f.trees)), len(hazard), func() func(int) {
		return func(i int) {
			h := make([]float64, len(f.times.event))
			for t := range f.trees {
				l := f.trees[t].leaf(values, i).left
				leaves := &f.trees[t].hazards
				for k := leaves.start[l]; k < leaves.start[l+1]; k++ {
					h[leaves.index[k]] += leaves.step[k]
				}
			}
			sum := 0.0
			for k, step := range h {
				sum += step
				h[k] = sum / float64(len(f.trees))
			}
			hazard[i] = h
		}
	})
	return hazard, nil
}

// OutOfBag gives honest estimates without a test set: see [OutOfBag].
func (f *Survival) OutOfBag() OutOfBag {
	r, scores, patients := f.scored()
	time, event := make([]float64, len(patients)), make([]bool, len(patients))
	for k, i := range patients {
		time[k], event[k] = f.time[i], f.event[i]
	}
	if c, err := stats.HarrellC(time, event, scores, 0.95); err == nil {
		r.C = c.C
	}
	return r
}
