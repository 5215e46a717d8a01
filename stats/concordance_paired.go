package stats

import "math"

// PairedConcordanceResult compares two scores of the same patients.
type PairedConcordanceResult struct {
	A, B       ConcordanceResult
	Difference float64 // A.C - B.C: positive = the first score orders the deaths better
	SE         float64 // of the difference
	Covariance float64 // of A.C and B.C
	Low, High  float64 // Difference +- z SE, not cut
	Z          float64 // Difference / SE; 0 where both are 0, NaN where only SE is
	P          float64 // two-sided; 1 where both are 0, NaN where only SE is
	Level      float64
}

// HarrellCPaired compares the [HarrellC] of two scores of the same patients. Both are
// risks: HIGHER = earlier death. The variance is the infinitesimal jackknife of the
// difference, each patient's influence on one index less that on the other, so that
// the correlation of the scores is in it; the test is two-sided and normal. Scores
// with the same order have Difference 0, SE 0 and P 1. O(n log n).
//
// In R: concordance(fitA, fitB) of package survival and its vcov (the SE is the
// square root of c(1,-1) %*% vcov %*% c(1,-1)).
//
// Errors: *InputError as for [HarrellC]; b is the argument's name for the second score.
//
// Therneau TM, Watson DA. Mayo Clinic Technical Report 85, 2017; Kang L et al.
// Statistics in Medicine 2015;34:685-703. doi:10.1002/sim.6370
func HarrellCPaired(time []float64, event []bool, a, b []float64, level float64) (PairedConcordanceResult, error) {
	const function = "HarrellCPaired"
	if err := checkPairedConcordance(function, time, event, a, b, level); err != nil {
		return PairedConcordanceResult{}, err
	}
	return pairedConcordance(function, "Harrell", time, event, a, b, harrellWeights(event), math.Inf(1), level)
}

// UnoCPaired compares the [UnoC] of two scores of the same patients up to tau days (the
// weights are the same for both), as [HarrellCPaired] does.
//
// In R: survival::concordancefit(Surv(time, event), score, reverse=TRUE, timewt="n/G2",
// ymax=tau, influence=1) for either score; SE^2 is the sum of (dfbetaA - dfbetaB)^2.
//
// Errors: *InputError as for [UnoC].
//
// Uno H et al. Statistics in Medicine 2011;30:1105-1117. doi:10.1002/sim.4154
func UnoCPaired(time []float64, event []bool, a, b []float64, tau, level float64) (PairedConcordanceResult, error) {
	const function = "UnoCPaired"
	if err := checkPairedConcordance(function, time, event, a, b, level); err != nil {
		return PairedConcordanceResult{}, err
	}
	if err := checkTau(function, tau); err != nil {
		return PairedConcordanceResult{}, err
	}
	return pairedConcordance(function, "Uno", time, event, a, b, unoWeights(time, event, tau), tau, level)
}

func checkPairedConcordance(function string, time []float64, event []bool, a, b []float64, level float64) error {
	if err := checkConcordance(function, time, event, a, level); err != nil {
		return err
	}
	if len(b) != len(time) {
		return wrongLength(function, "b", len(b), len(time))
	}
	return checkFinite(function, "b", b)
}

func pairedConcordance(function, method string, time []float64, event []bool, a, b, weight []float64, tau, level float64) (r PairedConcordanceResult, err error) {
	r.Level = level
	var ofA, ofB []float64
	if r.A, ofA, err = concordance(function, method, time, event, a, weight, tau, level); err != nil {
		return PairedConcordanceResult{}, err
	}
	if r.B, ofB, err = concordance(function, method, time, event, b, weight, tau, level); err != nil {
		return PairedConcordanceResult{}, err
	}
	variance := 0.0
	for i := range ofA {
		variance += square(ofA[i] - ofB[i])
		r.Covariance += ofA[i] * ofB[i]
	}
	r.Difference, r.SE = r.A.C-r.B.C, math.Sqrt(variance)
	half := normalQuantile(level) * r.SE
	r.Low, r.High = r.Difference-half, r.Difference+half
	r.Z, r.P = wald(r.Difference, r.SE)
	return r, nil
}
