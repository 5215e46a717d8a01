package stats

import (
	"fmt"
	"math"
	"runtime"
	"slices"
)

// PartialAxis says along which axis a partial AUC is cut out.
type PartialAxis string

const (
	AlongSpecificity PartialAxis = "specificity" // the area under sensitivity over a range of specificities
	AlongSensitivity PartialAxis = "sensitivity" // the area under specificity over a range of sensitivities
)

// PartialAUCResult is a part of the area under a ROC curve.
type PartialAUCResult struct {
	Axis      PartialAxis
	From, To  float64 // the range on that axis
	Area      float64 // at most To - From
	SE        float64 // of Area: standard deviation over the resamples
	Low, High float64 // of Area: percentile interval
	// McClish's correction of Area: 0.5 for a score that separates no better than
	// chance in the range, 1 for a perfect one. NaN, with its interval, below chance.
	Corrected                   float64
	CorrectedLow, CorrectedHigh float64
	Level                       float64
	Resamples                   int
	Seed                        uint64
	N                           int
	Positives                   int
}

// PartialAUC is the area under the part of the ROC curve whose specificity (or
// sensitivity) lies within from and to, with a stratified percentile bootstrap
// interval drawn as in [BootstrapAUC]. The whole range 0 to 1 gives [AUC]. The curve
// is read on its straight segments, so ties count as they do there. With
//
//	min = (to - from) (2 - from - to) / 2,  max = to - from,
//
// what a worthless and a perfect score reach in the range,
//
//	Corrected = (1 + (Area - min) / (max - min)) / 2.
//
// Below chance (Area < min) the correction has no meaning, and Corrected is NaN as in
// pROC. Its interval is that of Area, corrected in the same way, and may begin below
// 0.5. Direction: higher score = positive; nothing is turned round.
//
// In R: pROC::auc(roc, partial.auc=c(to, from), partial.auc.focus=axis,
// partial.auc.correct=TRUE), and pROC::ci.auc of it, up to the random draws.
//
// Errors: *InputError as for [BootstrapAUC], for an unknown axis, and unless
// 0 <= from < to <= 1.
//
// McClish DK. Medical Decision Making 1989;9:190-195. doi:10.1177/0272989X8900900307
func PartialAUC(scores []float64, positive []bool, axis PartialAxis, from, to float64, resamples int, seed uint64, level float64) (PartialAUCResult, error) {
	return partialAUC(scores, positive, axis, from, to, resamples, seed, level, runtime.GOMAXPROCS(0))
}

func partialAUC(scores []float64, positive []bool, axis PartialAxis, from, to float64, resamples int, seed uint64, level float64, workers int) (PartialAUCResult, error) {
	const function = "PartialAUC"
	if err := checkBinary(function, "scores", scores, positive, 1); err != nil {
		return PartialAUCResult{}, err
	}
	if axis != AlongSpecificity && axis != AlongSensitivity {
		return PartialAUCResult{}, &InputError{function, "axis", -1, fmt.Sprintf("%q", string(axis)), "AlongSpecificity or AlongSensitivity", "use one of the constants"}
	}
	if !(from >= 0 && from < 1) {
		return PartialAUCResult{}, &InputError{function, "from", -1, fmt.Sprint(from), "zero or more and less than 1", "use 0.9 and 1 for the specific end of the curve"}
	}
	if !(to > from && to <= 1) {
		return PartialAUCResult{}, &InputError{function, "to", -1, fmt.Sprint(to), "more than from and at most 1", "use 0.9 and 1 for the specific end of the curve"}
	}
	if err := checkResamples(function, resamples); err != nil {
		return PartialAUCResult{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return PartialAUCResult{}, err
	}
	s := newResampler(scores, positive)
	values := make([]float64, resamples)
	s.each(resamples, seed, workers, func(b int, positives, negatives []int) {
		values[b] = partialArea(positives, negatives, s.m, s.n, axis, from, to)
	})
	slices.Sort(values)
	r := PartialAUCResult{
		Axis: axis, From: from, To: to, Area: partialArea(s.positives, s.negatives, s.m, s.n, axis, from, to),
		SE: standardDeviation(values), Low: quantile(values, (1-level)/2), High: quantile(values, (1+level)/2),
		Level: level, Resamples: resamples, Seed: seed, N: s.m + s.n, Positives: s.m,
	}
	most := to - from
	least := most * (2 - from - to) / 2
	r.Corrected, r.CorrectedLow, r.CorrectedHigh = math.NaN(), math.NaN(), math.NaN()
	// The slack keeps a score that is exactly chance at 0.5.
	if r.Area >= least-1e-12 {
		correct := func(area float64) float64 { return (1 + (area-least)/(most-least)) / 2 }
		r.Corrected, r.CorrectedLow, r.CorrectedHigh = correct(r.Area), correct(r.Low), correct(r.High)
	}
	return r, nil
}

// partialArea adds the parts of the curve's segments that lie within the range.
func partialArea(positives, negatives []int, m, n int, axis PartialAxis, from, to float64) float64 {
	area, tp, fp := 0.0, 0, 0
	for g := len(positives) - 1; g >= 0; g-- {
		tpr, fpr := float64(tp)/float64(m), float64(fp)/float64(n)
		tp += positives[g]
		fp += negatives[g]
		// x rises along the segment from x0 to x1 on either axis.
		x0, x1, y0, y1 := fpr, float64(fp)/float64(n), tpr, float64(tp)/float64(m)
		low, high := 1-to, 1-from
		if axis == AlongSensitivity {
			x0, x1, y0, y1 = y0, y1, 1-x0, 1-x1
			low, high = from, to
		}
		left, right := max(x0, low), min(x1, high)
		if left < right {
			slope := (y1 - y0) / (x1 - x0)
			area += (right - left) * (y0 + slope*((left-x0)+(right-x0))/2)
		}
	}
	return area
}
