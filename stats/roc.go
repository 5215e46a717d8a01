package stats

import (
	"cmp"
	"math"
	"slices"
)

// tally sorts patients into their distinct scores. Everything about a ROC curve
// depends only on it, so ties, row order and monotone maps of the score need no
// further thought.
type tally struct {
	score     []float64 // distinct scores, ascending
	positives []int     // patients of either class at each distinct score
	negatives []int
	place     []int // for each patient, the index of its score
	m, n      int   // patients of either class
}

func newTally(scores []float64, positive []bool) tally {
	order := ranked(scores)
	t := tally{
		score:     make([]float64, 0, len(scores)),
		positives: make([]int, 0, len(scores)),
		negatives: make([]int, 0, len(scores)),
		place:     make([]int, len(scores)),
	}
	for _, o := range order {
		last := len(t.score) - 1
		if last < 0 || t.score[last] != o.value {
			t.score = append(t.score, o.value)
			t.positives = append(t.positives, 0)
			t.negatives = append(t.negatives, 0)
			last++
		}
		t.place[o.index] = last
		if positive[o.index] {
			t.positives[last]++
			t.m++
		} else {
			t.negatives[last]++
			t.n++
		}
	}
	return t
}

type valueIndex struct {
	value float64
	index int
}

// ranked is x in ascending order with the index each value came from.
func ranked(x []float64) []valueIndex {
	order := make([]valueIndex, len(x))
	for i, v := range x {
		order[i] = valueIndex{v, i}
	}
	slices.SortFunc(order, func(a, b valueIndex) int { return cmp.Compare(a.value, b.value) })
	return order
}

// auc counts in halves of pairs, so it is exact until the final division.
func auc(positives, negatives []int, m, n int) float64 {
	halves, below := 0, 0
	for g, p := range positives {
		halves += p * (2*below + negatives[g])
		below += negatives[g]
	}
	return float64(halves) / (2 * float64(m) * float64(n))
}

// ROCCurve is the empirical receiver operating characteristic. Point i calls
// positive every patient whose score is at least Threshold[i]. Points run from
// (0, 0), threshold +Inf, to (1, 1), one per distinct score; patients tied in score
// enter together, so a tie between the classes draws a slanted segment.
type ROCCurve struct {
	FPR       []float64 // false positive rate, 1 - specificity; non-decreasing
	TPR       []float64 // true positive rate, sensitivity; non-decreasing
	Threshold []float64 // strictly decreasing, in the unit of the score
}

// ROC traces the receiver operating characteristic of scores (higher = positive).
// The area under its straight segments is [AUC].
//
// In R: pROC::roc(positive, scores, direction="<"), which puts thresholds halfway
// between scores instead of on them and lists the points the other way round.
//
// Errors: *InputError for empty input, unequal lengths, NaN or infinite scores, one
// class only.
//
// Fawcett T. Pattern Recognition Letters 2006;27:861-874. doi:10.1016/j.patrec.2005.10.010
func ROC(scores []float64, positive []bool) (ROCCurve, error) {
	if err := checkBinary("ROC", "scores", scores, positive, 1); err != nil {
		return ROCCurve{}, err
	}
	t := newTally(scores, positive)
	c := ROCCurve{FPR: []float64{0}, TPR: []float64{0}, Threshold: []float64{math.Inf(1)}}
	tp, fp := 0, 0
	for g := len(t.score) - 1; g >= 0; g-- {
		tp += t.positives[g]
		fp += t.negatives[g]
		c.FPR = append(c.FPR, float64(fp)/float64(t.n))
		c.TPR = append(c.TPR, float64(tp)/float64(t.m))
		c.Threshold = append(c.Threshold, t.score[g])
	}
	return c, nil
}

// AUC is the area under the ROC curve: the chance that a positive patient drawn at
// random has a higher score than a negative one, ties counting one half (the
// Mann-Whitney statistic by midranks divided by the number of pairs). O(n log n).
// The direction is fixed: higher score = positive, so AUC(-s) = 1 - AUC(s).
//
// In R: pROC::auc(positive, scores, direction="<").
//
// Errors: *InputError as for [ROC].
//
// Hanley JA, McNeil BJ. Radiology 1982;143:29-36. doi:10.1148/radiology.143.1.7063747
func AUC(scores []float64, positive []bool) (float64, error) {
	if err := checkBinary("AUC", "scores", scores, positive, 1); err != nil {
		return 0, err
	}
	t := newTally(scores, positive)
	return auc(t.positives, t.negatives, t.m, t.n), nil
}

// AUCResult is an AUC with its uncertainty.
type AUCResult struct {
	Method    string  // "DeLong" or "Noether"
	AUC       float64 // area under the curve, or Noether's concordance without ties
	SE        float64 // standard error; NaN where Noether's formula has none
	Low, High float64 // confidence interval AUC +- z SE, cut to 0..1; NaN with SE
	Level     float64 // its confidence level
	P         float64 // two-sided normal test of AUC = 0.5; NaN where SE is 0 or NaN
	N         int     // patients
	Positives int     // of them positive
}

func newAUCResult(method string, auc, variance, level float64, t tally) AUCResult {
	se := math.Sqrt(variance)
	low, high := clippedInterval(auc, se, level)
	r := AUCResult{Method: method, AUC: auc, SE: se, Low: low, High: high, Level: level, P: math.NaN(), N: t.m + t.n, Positives: t.m}
	if se > 0 {
		r.P = twoSided((auc - 0.5) / se)
	}
	return r
}

// clippedInterval is the normal interval of an estimate that lies within 0..1.
func clippedInterval(estimate, se, level float64) (low, high float64) {
	half := normalQuantile(level) * se
	return math.Max(0, estimate-half), math.Min(1, estimate+half)
}
