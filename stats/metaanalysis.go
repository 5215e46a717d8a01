package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// MetaModel says what [MetaAnalysis] takes the studies to share.
type MetaModel string

const (
	FixedEffect   MetaModel = "fixed"  // one true value
	RandomEffects MetaModel = "random" // true values spread round a mean, variance by DerSimonian and Laird
)

// MetaResult is a combined estimate with the heterogeneity of its parts.
type MetaResult struct {
	Model     MetaModel
	Estimate  float64
	SE        float64
	Low, High float64 // Estimate +- z SE
	Level     float64
	Z         float64   // Estimate/SE: test of 0. For AUCs subtract 0.5 from the estimates before
	P         float64   // two-sided, normal
	Q         float64   // Cochran's heterogeneity; NaN for one study
	QP        float64   // chance of a Q at least this large in homogeneous studies, chi-square with k-1 degrees of freedom
	I2        float64   // share of the variation beyond chance, max(0, (Q-(k-1))/Q), 0..1
	Tau2      float64   // DerSimonian and Laird's variance between studies, also reported for FixedEffect
	Weights   []float64 // share of each study, summing to 1
}

// MetaAnalysis combines independent estimates by the inverse of their variances. With
// w = 1/se^2 over k studies and sums over them,
//
//	Q    = sum w x^2 - (sum w x)^2 / sum w = sum w (x - fixed)^2
//	tau2 = max(0, (Q - (k-1)) / (sum w - sum w^2 / sum w))
//	w*   = w for FixedEffect, 1/(se^2 + tau2) for RandomEffects
//	estimate = sum w* x / sum w*,  SE = 1/sqrt(sum w*)
//
// The estimates must point the same way: turn a score that works the other way round
// before its AUC is taken. One study gives itself back with Q NaN and Tau2 0.
//
// In R: survcomp::combine.est(x, x.se, hetero), which writes the denominator of tau2 as
// U = (k-1)(wbar - s2w/(k wbar)), the same number, and test.hetero.est (Q, its p);
// metafor::rma(x, sei, method="FE" or "DL").
//
// Errors: *InputError for empty input, unequal lengths, NaN or infinities, a standard
// error that is not positive (survcomp puts 1e-16 there, which gives that study all the
// weight), an unknown model, a level outside 0..1.
//
// Cochran WG. Biometrics 1954;10:101-129. doi:10.2307/3001666; DerSimonian R, Laird N.
// Controlled Clinical Trials 1986;7:177-188. doi:10.1016/0197-2456(86)90046-2; Higgins JPT,
// Thompson SG. Statistics in Medicine 2002;21:1539-1558. doi:10.1002/sim.1186
func MetaAnalysis(estimates, se []float64, model MetaModel, level float64) (MetaResult, error) {
	const function = "MetaAnalysis"
	if err := checkPaired(function, "estimates", estimates, "se", se, 1); err != nil {
		return MetaResult{}, err
	}
	for i, s := range se {
		if !(s > 0) {
			return MetaResult{}, &InputError{function, "se", i, fmt.Sprint(s), "a positive number", "leave out a study without a standard error and say so"}
		}
	}
	if model != FixedEffect && model != RandomEffects {
		return MetaResult{}, &InputError{function, "model", -1, fmt.Sprintf("%q", string(model)), "fixed, random", "use FixedEffect or RandomEffects"}
	}
	if err := checkLevel(function, level); err != nil {
		return MetaResult{}, err
	}
	k := float64(len(se))
	weights := make([]float64, len(se))
	combine := func(tau2 float64) (estimate, sum, squares float64) {
		for i, s := range se {
			weights[i] = 1 / (s*s + tau2)
			sum += weights[i]
			squares += square(weights[i])
		}
		for i, x := range estimates {
			estimate += weights[i] / sum * (x - estimates[0])
		}
		return estimates[0] + estimate, sum, squares
	}
	fixed, sum, squares := combine(0)
	r := MetaResult{Model: model, Estimate: fixed, Level: level, Weights: weights, Q: math.NaN(), QP: math.NaN(), I2: math.NaN()}
	if len(se) > 1 {
		r.Q = 0
		for i, x := range estimates {
			r.Q += weights[i] * square(x-fixed)
		}
		r.QP = newChiSquareTest(r.Q, len(se)-1).P
		excess := math.Max(0, r.Q-(k-1))
		r.I2 = 0
		if excess > 0 {
			r.I2, r.Tau2 = excess/r.Q, excess/(sum-squares/sum)
		}
	}
	if model == RandomEffects {
		r.Estimate, sum, _ = combine(r.Tau2)
	}
	for i := range weights {
		weights[i] /= sum
	}
	r.SE = 1 / math.Sqrt(sum)
	half := normalQuantile(level) * r.SE
	r.Low, r.High = r.Estimate-half, r.Estimate+half
	r.Z, r.P = wald(r.Estimate, r.SE)
	return r, nil
}

// CombinedP is the p value of several independent tests together.
type CombinedP struct {
	Method    string  // "Fisher" or "Stouffer"
	Statistic float64 // chi-square with 2k degrees of freedom, or a normal deviate
	P         float64
	K         int     // tests
	Q, QP     float64 // Stouffer: heterogeneity sum w (z - mean z)^2 and its chi-square p with k-1 degrees of freedom; NaN for Fisher and for one test
}

// FisherCombined combines independent p values by -2 sum log p, chi-square with 2k
// degrees of freedom. The p values must be ONE-SIDED in the same direction if
// contradicting studies shall not add up. A p value of 0 gives 0; a permutation test
// never has one.
//
// In R: survcomp::combine.test(p, method="fisher"); metap::sumlog. One p value comes
// back as it is.
//
// Errors: *InputError for no p values and for values outside 0..1.
//
// Fisher RA. Statistical Methods for Research Workers. 4th ed. Oliver and Boyd 1932.
func FisherCombined(p []float64) (CombinedP, error) {
	if err := checkPValues("FisherCombined", p); err != nil {
		return CombinedP{}, err
	}
	statistic := 0.0
	for _, v := range p {
		statistic -= 2 * math.Log(v)
	}
	// With an even number of degrees of freedom the tail is a sum of k Poisson terms.
	r := CombinedP{Method: "Fisher", Statistic: statistic, K: len(p), Q: math.NaN(), QP: math.NaN()}
	if !math.IsInf(statistic, 1) {
		half := statistic / 2
		for i := range p {
			factorial, _ := math.Lgamma(float64(i + 1))
			term := -half - factorial
			if i > 0 {
				term += float64(i) * math.Log(half)
			}
			r.P += math.Exp(term)
		}
		r.P = math.Min(1, r.P)
	}
	return r, nil
}

// StoufferCombined combines independent ONE-SIDED p values of the same direction by
// their normal deviates, Z = sum w z / sqrt(sum w^2), z = upper normal quantile of p;
// P is the upper tail of Z. weights nil means equal ones; the roots of the numbers of
// patients are usual.
//
// In R: survcomp::combine.test(p, weight, method="z.transform"), with Q and QP of
// survcomp::test.hetero.test; metap::sumz.
//
// Errors: *InputError for no p values, p values that are 0, 1 or outside, weights of
// another length or not positive.
//
// Stouffer SA et al. The American Soldier, vol. 1. Princeton University Press 1949;
// Whitlock MC. Journal of Evolutionary Biology 2005;18:1368-1373. doi:10.1111/j.1420-9101.2005.00917.x
func StoufferCombined(p, weights []float64) (CombinedP, error) {
	const function = "StoufferCombined"
	if err := checkPValues(function, p); err != nil {
		return CombinedP{}, err
	}
	if weights != nil && len(weights) != len(p) {
		return CombinedP{}, &InputError{function, "weights", -1, fmt.Sprintf("%d long", len(weights)), fmt.Sprintf("%d elements, one per p value", len(p)), "pass nil for equal weights"}
	}
	weight := func(i int) float64 {
		if weights == nil {
			return 1
		}
		return weights[i]
	}
	z := make([]float64, len(p))
	sum, squares := 0.0, 0.0
	for i, v := range p {
		if v == 0 || v == 1 {
			return CombinedP{}, &InputError{function, "p", i, fmt.Sprint(v), "a number between 0 and 1, both excluded", "take a p value that cannot be 0 or 1, such as (n+1)/(m+1) of a permutation test"}
		}
		w := weight(i)
		if !(w > 0) || math.IsInf(w, 1) {
			return CombinedP{}, &InputError{function, "weights", i, fmt.Sprint(w), "a positive number", "leave out a study that shall not count"}
		}
		z[i] = -distuv.UnitNormal.Quantile(v)
		sum += w * z[i]
		squares += w * w
	}
	r := CombinedP{Method: "Stouffer", Statistic: sum / math.Sqrt(squares), K: len(p), Q: math.NaN(), QP: math.NaN()}
	r.P = math.Erfc(r.Statistic/math.Sqrt2) / 2
	if len(p) > 1 {
		mean := shiftedMean(z)
		r.Q = 0
		for i := range z {
			r.Q += weight(i) * square(z[i]-mean)
		}
		r.QP = newChiSquareTest(r.Q, len(p)-1).P
	}
	return r, nil
}
