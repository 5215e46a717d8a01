package forest

import (
	"fmt"
	"math"
	"runtime"

	"hounsfield/models/tabular"
)

// Options are how a forest grows. The zero value is a forest as ranger grows it by
// default, but with at most 256 bins a feature.
type Options struct {
	Trees int // number of trees; 0 = 500
	// Features is the number of features tried at each node; 0 = the square root of
	// their number, rounded down for classification and up for survival, as ranger
	// does. In R: mtry.
	Features int
	// MinNode is the size up to which a node stays a leaf: it is split when more
	// in-bag patients (a patient drawn twice counts twice) are in it. 0 = 10 for
	// classification, 3 for survival. In R: min.node.size.
	MinNode int
	// MinLeaf is the least number of in-bag patients on either side of a split;
	// 0 = 1 for classification, MinNode for survival, as ranger 0.14 has it.
	MinLeaf  int
	MaxDepth int // splits from the root to a leaf at most; 0 = any number

	// Subsample draws patients without replacement; otherwise each tree gets a
	// bootstrap sample.
	Subsample bool
	// Fraction is the size of a tree's sample, in patients given; 0 = 1 for the
	// bootstrap, 0.632 for subsamples. With a subsample of 1 no patient is out of
	// bag: out-of-bag estimates are NaN.
	Fraction float64

	// Weights are the weights of false and true, in splits and leaves, as
	// scikit-learn's class_weight (ranger's class.weights acts on squared counts in
	// splits only). Both 0 = both 1. n/(2 n_class) balances. Not for survival.
	Weights [2]float64

	Bins        int    // bins of a feature at most; 0 = 256
	Exact       bool   // one bin per distinct value, whatever Bins says
	Categorical []bool // which features are categories, one per feature; nil = none

	// Permutation asks for permutation importance, which takes longer.
	Permutation bool

	Seed    uint64
	Workers int // goroutines; 0 = all cores. Changes nothing but the time taken
}

const maxBins = math.MaxUint16 // codes are uint16 and one is for missing values

// settle fills in the defaults.
func (o Options) settle(function string, features, patients int, minNode int, survival bool) (Options, error) {
	refuse := func(argument string, value any, allowed, next string) (Options, error) {
		return o, tabular.Refuse(function, "Options."+argument, fmt.Sprint(value), allowed, next)
	}
	const zero = "leave it 0 for the default"
	for name, v := range map[string]int{"Trees": o.Trees, "Features": o.Features, "MinNode": o.MinNode, "MinLeaf": o.MinLeaf, "MaxDepth": o.MaxDepth, "Bins": o.Bins, "Workers": o.Workers} {
		if v < 0 {
			return refuse(name, v, "0 or more", zero)
		}
	}
	if o.Trees == 0 {
		o.Trees = 500
	}
	if o.Features > features {
		return refuse("Features", o.Features, fmt.Sprintf("at most %d, the number of features", features), zero)
	}
	if o.Features == 0 {
		o.Features = int(math.Sqrt(float64(features)))
		if survival && o.Features*o.Features < features {
			o.Features++
		}
	}
	if o.MinNode == 0 {
		o.MinNode = minNode
	}
	if o.MinLeaf == 0 {
		o.MinLeaf = 1
		if survival {
			o.MinLeaf = o.MinNode
		}
	}
	if o.Fraction == 0 {
		o.Fraction = 1
		if o.Subsample {
			o.Fraction = 0.632
		}
	}
	if !(o.Fraction > 0 && o.Fraction <= 1) {
		return refuse("Fraction", o.Fraction, "more than 0 and at most 1", zero)
	}
	if o.Fraction*float64(patients) < 1 {
		return refuse("Fraction", o.Fraction, fmt.Sprintf("at least one of the %d patients", patients), zero)
	}
	if o.Weights == [2]float64{} {
		o.Weights = [2]float64{1, 1}
	} else if survival {
		return refuse("Weights", o.Weights, "both 0: a survival forest has no classes", "leave them out")
	}
	for _, w := range o.Weights {
		if !(w > 0) || math.IsInf(w, 0) {
			return refuse("Weights", o.Weights, "two positive numbers, or both 0 for none", "use n/(2 n_class) to balance the classes")
		}
	}
	if o.Bins == 0 {
		o.Bins = 256
	}
	if o.Bins < 2 || o.Bins > maxBins {
		return refuse("Bins", o.Bins, fmt.Sprintf("2 to %d", maxBins), zero)
	}
	if o.Categorical != nil && len(o.Categorical) != features {
		return refuse("Categorical", fmt.Sprintf("%d long", len(o.Categorical)), fmt.Sprintf("%d, one per feature, or nil", features), "build it from the list the features came from")
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o, nil
}

// sampled is the number of draws for one tree.
func (o Options) sampled(patients int) int {
	return max(1, int(math.Round(o.Fraction*float64(patients))))
}
