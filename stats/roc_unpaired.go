package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// UnpairedAUCResult compares one score, or two, in two sets of different patients.
type UnpairedAUCResult struct {
	A, B       AUCResult // either set by itself, by DeLong
	Difference float64   // A - B
	SE         float64   // standard error of the difference
	Low, High  float64   // confidence interval of the difference, not cut
	Level      float64
	T          float64 // Difference / SE; 0 where both are 0, NaN where only SE is
	DF         float64 // degrees of freedom; NaN where SE is 0
	P          float64 // two-sided; 1 where both are 0, NaN where only SE is
}

// DeLongUnpaired compares the AUCs of two sets of DIFFERENT patients, such as two
// cohorts; the same patients twice need [DeLongPaired]. Positive Difference: set A is
// separated better. With S the DeLong variance of either AUC and N its patients,
//
//	T = (A - B) / sqrt(SA + SB),
//	DF = (SA + SB)^2 / (SA^2/(NA-1) + SB^2/(NB-1)),
//
// P is from Student's t distribution with DF degrees of freedom, as Welch's is, and
// so is the interval, Difference +- t SE. Ties and direction as in [DeLong].
//
// In R: pROC::roc.test(rocA, rocB, method="delong", paired=FALSE), which gives no
// interval.
//
// Errors: *InputError as for [DeLong], for either set.
//
// DeLong ER et al. Biometrics 1988;44:837-845. doi:10.2307/2531595; degrees of freedom:
// Robin X et al. BMC Bioinformatics 2011;12:77. doi:10.1186/1471-2105-12-77
func DeLongUnpaired(a []float64, positiveA []bool, b []float64, positiveB []bool, level float64) (UnpairedAUCResult, error) {
	const function = "DeLongUnpaired"
	if err := checkTwoSets(function, a, positiveA, b, positiveB, 2, level); err != nil {
		return UnpairedAUCResult{}, err
	}
	r := UnpairedAUCResult{Level: level, DF: math.NaN()}
	var err error
	if r.A, err = DeLong(a, positiveA, level); err != nil {
		return UnpairedAUCResult{}, err
	}
	if r.B, err = DeLong(b, positiveB, level); err != nil {
		return UnpairedAUCResult{}, err
	}
	sa, sb := square(r.A.SE), square(r.B.SE)
	r.Difference = r.A.AUC - r.B.AUC
	r.SE = math.Sqrt(sa + sb)
	r.T, r.P = wald(r.Difference, r.SE)
	r.Low, r.High = r.Difference, r.Difference
	if r.SE > 0 {
		r.DF = square(sa+sb) / (sa*sa/float64(len(a)-1) + sb*sb/float64(len(b)-1))
		// The incomplete beta function keeps its digits far out in the tail.
		r.P = mathext.RegIncBeta(r.DF/2, 0.5, r.DF/(r.DF+r.T*r.T))
		half := distuv.StudentsT{Sigma: 1, Nu: r.DF}.Quantile(0.5+level/2) * r.SE
		r.Low, r.High = r.Difference-half, r.Difference+half
	}
	return r, nil
}

// checkTwoSets is checkBinary for two sets of patients, named as their arguments are.
func checkTwoSets(function string, a []float64, positiveA []bool, b []float64, positiveB []bool, least int, level float64) error {
	if err := checkBinaryNamed(function, "a", "positiveA", a, positiveA, least); err != nil {
		return err
	}
	if err := checkBinaryNamed(function, "b", "positiveB", b, positiveB, least); err != nil {
		return err
	}
	return checkLevel(function, level)
}

func checkBinaryNamed(function, scores, positive string, x []float64, y []bool, least int) error {
	err := checkBinary(function, scores, x, y, least)
	if input, ok := err.(*InputError); ok && input.Argument == "positive" {
		input.Argument = positive
	}
	return err
}
