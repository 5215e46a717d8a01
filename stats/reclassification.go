package stats

import (
	"fmt"
	"math"
	"slices"
)

// ReclassificationWarning goes with every NRI and IDI, into the result and, please,
// into print.
const ReclassificationWarning = "NRI and IDI can show an improvement where there is none: " +
	"a useless marker or a miscalibrated model often comes out as better, and their p values are " +
	"not valid for nested models. Report the two classes apart, calibration, the change in AUC and " +
	"net benefit instead, and test a new marker by the likelihood ratio of the nested models."

// ReclassificationTerm is one index with its uncertainty.
type ReclassificationTerm struct {
	Estimate  float64
	SE        float64
	Low, High float64 // Estimate +- z SE, not cut
	Z         float64 // Estimate / SE; 0 where both are 0, NaN where only SE is
	P         float64 // two-sided; see ReclassificationWarning; 1 where both are 0, NaN where only SE is
}

func newReclassificationTerm(estimate, variance, level float64) ReclassificationTerm {
	r := ReclassificationTerm{Estimate: estimate, SE: math.Sqrt(variance)}
	half := normalQuantile(level) * r.SE
	r.Low, r.High = estimate-half, estimate+half
	r.Z, r.P = wald(estimate, r.SE)
	return r
}

// NRIResult is a net reclassification index. It must be reported with its two parts.
type NRIResult struct {
	Warning     string                 // ReclassificationWarning
	Cuts        []float64              // limits of the categories; empty for the continuous NRI
	NRI         ReclassificationTerm   // OfPositives + OfNegatives, -2 to 2: not a share of patients
	OfPositives ReclassificationTerm   // share of positives moved up less share moved down
	OfNegatives ReclassificationTerm   // share of negatives moved down less share moved up
	Up, Down    ReclassificationCounts // patients moved
	// Patients by category before (row) and after (column), lowest first; nil for the
	// continuous NRI.
	PositiveTable, NegativeTable [][]int
	Level                        float64
	N                            int
	Positives                    int
}

// ReclassificationCounts are patients of either class.
type ReclassificationCounts struct{ Positives, Negatives int }

// NRI compares the predicted risks after a model was changed with those before, in the
// same patients. With cuts (rising, between 0 and 1) a patient moves up when the risk
// after falls into a higher category than the risk before; a risk on a cut belongs to
// the category above it. Without cuts (nil) every rise counts, however small: the
// continuous NRI. With u and d patients of a class of n moved up and down,
//
//	share = (u - d)/n,  Var = (u + d)/n^2 - (u - d)^2/n^3,
//
// and NRI = share of the positives - share of the negatives, variances added. Positive:
// the change moves deaths up and survivors down. Risks may be 0 or 1.
//
// Read [ReclassificationWarning]: the index rewards miscalibration and finds
// improvement in noise.
//
// In R: Hmisc::improveProb(before, after, positive) is the continuous NRI, and the
// categorical one when it is given the categories as numbers.
//
// Errors: *InputError for empty input, unequal lengths, risks outside 0..1, one class
// only, cuts that are not rising between 0 and 1, a level outside 0..1.
//
// Pencina MJ et al. Statistics in Medicine 2008;27:157-172. doi:10.1002/sim.2929; 2011;30:11-21.
// doi:10.1002/sim.4085. Against: Kerr KF et al. Epidemiology 2014;25:114-121.
// doi:10.1097/EDE.0000000000000018; Pepe MS et al. JNCI 2014;106:dju041. doi:10.1093/jnci/dju041
func NRI(before, after []float64, positive []bool, cuts []float64, level float64) (NRIResult, error) {
	const function = "NRI"
	m, err := checkReclassification(function, before, after, positive, level)
	if err != nil {
		return NRIResult{}, err
	}
	for i, c := range cuts {
		if !(c > 0 && c < 1) || i > 0 && c <= cuts[i-1] {
			return NRIResult{}, &InputError{function, "cuts", i, fmt.Sprint(c), "risks between 0 and 1 in rising order", "pass nil for the continuous index"}
		}
	}
	r := NRIResult{Warning: ReclassificationWarning, Cuts: slices.Clone(cuts), Level: level, N: len(before), Positives: m}
	category := func(risk float64) int {
		c := 0
		for c < len(cuts) && risk >= cuts[c] {
			c++
		}
		return c
	}
	if len(cuts) > 0 {
		r.PositiveTable, r.NegativeTable = newTable(len(cuts)+1), newTable(len(cuts)+1)
	}
	for i, p := range positive {
		up, down := after[i] > before[i], after[i] < before[i]
		if len(cuts) > 0 {
			from, to := category(before[i]), category(after[i])
			up, down = to > from, to < from
			if p {
				r.PositiveTable[from][to]++
			} else {
				r.NegativeTable[from][to]++
			}
		}
		switch {
		case up && p:
			r.Up.Positives++
		case up:
			r.Up.Negatives++
		case down && p:
			r.Down.Positives++
		case down:
			r.Down.Negatives++
		}
	}
	share := func(gain, loss, of int) (estimate, variance float64) {
		g, l, n := float64(gain), float64(loss), float64(of)
		// Rounding must not make a variance of zero negative.
		return (g - l) / n, max(0, (g+l)/(n*n)-square(g-l)/(n*n*n))
	}
	estimateP, varianceP := share(r.Up.Positives, r.Down.Positives, m)
	estimateN, varianceN := share(r.Down.Negatives, r.Up.Negatives, len(positive)-m)
	r.OfPositives = newReclassificationTerm(estimateP, varianceP, level)
	r.OfNegatives = newReclassificationTerm(estimateN, varianceN, level)
	r.NRI = newReclassificationTerm(estimateP+estimateN, varianceP+varianceN, level)
	return r, nil
}

func newTable(n int) [][]int {
	t := make([][]int, n)
	for i := range t {
		t[i] = make([]int, n)
	}
	return t
}

func checkReclassification(function string, before, after []float64, positive []bool, level float64) (positives int, err error) {
	if err := checkRisk(function, "before", before, positive, false); err != nil {
		return 0, err
	}
	if len(after) != len(before) {
		return 0, wrongLength(function, "after", len(after), len(before))
	}
	if err := checkRiskValues(function, "after", after, false); err != nil {
		return 0, err
	}
	if err := checkBinary(function, "before", before, positive, 1); err != nil {
		return 0, err
	}
	if err := checkLevel(function, level); err != nil {
		return 0, err
	}
	for _, p := range positive {
		if p {
			positives++
		}
	}
	return positives, nil
}

// IDIResult is an integrated discrimination improvement.
type IDIResult struct {
	Warning         string // ReclassificationWarning
	IDI             ReclassificationTerm
	PositivesChange float64 // mean rise of the risk among the positives
	NegativesChange float64 // mean FALL of the risk among the negatives
	SlopeBefore     float64 // discrimination slope: mean risk of positives less that of negatives
	SlopeAfter      float64 // SlopeBefore + IDI
	Level           float64
	N               int
	Positives       int
}

// IDI is the integrated discrimination improvement: how much farther apart the mean
// risks of the two classes lie after a model was changed than before, in the same
// patients. With d = after - before,
//
//	IDI = mean of d in the positives - mean of d in the negatives,
//
// and its variance the sum of the two variances of a mean. Positive: farther apart,
// which miscalibration alone can do.
//
// Read [ReclassificationWarning].
//
// In R: Hmisc::improveProb(before, after, positive).
//
// Errors: *InputError as for [NRI], and for fewer than two patients in a class.
//
// Pencina MJ et al. Statistics in Medicine 2008;27:157-172. doi:10.1002/sim.2929. Against:
// Hilden J, Gerds TA. Statistics in Medicine 2014;33:3405-3414. doi:10.1002/sim.5804
func IDI(before, after []float64, positive []bool, level float64) (IDIResult, error) {
	const function = "IDI"
	m, err := checkReclassification(function, before, after, positive, level)
	if err != nil {
		return IDIResult{}, err
	}
	if err := checkBinary(function, "before", before, positive, 2); err != nil {
		return IDIResult{}, err
	}
	r := IDIResult{Warning: ReclassificationWarning, Level: level, N: len(before), Positives: m}
	var ofPositives, ofNegatives []float64
	var meanBefore [2]float64
	for i, p := range positive {
		d := after[i] - before[i]
		if p {
			ofPositives = append(ofPositives, d)
			r.PositivesChange += d / float64(m)
			meanBefore[1] += before[i] / float64(m)
		} else {
			ofNegatives = append(ofNegatives, d)
			r.NegativesChange -= d / float64(len(positive)-m)
			meanBefore[0] += before[i] / float64(len(positive)-m)
		}
	}
	r.IDI = newReclassificationTerm(r.PositivesChange+r.NegativesChange,
		square(standardDeviation(ofPositives))/float64(m)+square(standardDeviation(ofNegatives))/float64(len(positive)-m), level)
	r.SlopeBefore = meanBefore[1] - meanBefore[0]
	r.SlopeAfter = r.SlopeBefore + r.IDI.Estimate
	return r, nil
}
