package stats

import (
	"math"
	"runtime"
	"slices"
)

// PRCurve is the empirical precision-recall curve: three slices of one length. Point i
// calls positive every patient whose score is at least Threshold[i].
type PRCurve struct {
	Recall    []float64 // share of the positives called positive (sensitivity); non-decreasing, ends at 1
	Precision []float64 // share of those called positive who are (PPV); ends at Prevalence
	Threshold []float64 // strictly decreasing, in the unit of the score

	Prevalence float64 // share of positives: the precision of a worthless score
}

// PrecisionRecall traces precision against recall of scores (higher = positive), one
// point per distinct score from the highest down; patients tied in score enter
// together. There is no invented point at recall 0. Points must not be joined by
// straight lines: between two of them precision does not run straight (Davis and
// Goadrich); draw steps.
//
// In Python: sklearn.metrics.precision_recall_curve, which lists the points the other
// way round and adds (recall 0, precision 1).
//
// Errors: *InputError as for [ROC].
//
// Davis J, Goadrich M. ICML 2006:233-240. doi:10.1145/1143844.1143874
func PrecisionRecall(scores []float64, positive []bool) (PRCurve, error) {
	if err := checkBinary("PrecisionRecall", "scores", scores, positive, 1); err != nil {
		return PRCurve{}, err
	}
	t := newTally(scores, positive)
	c := PRCurve{Prevalence: float64(t.m) / float64(t.m+t.n)}
	tp, fp := 0, 0
	for g := len(t.score) - 1; g >= 0; g-- {
		tp += t.positives[g]
		fp += t.negatives[g]
		c.Recall = append(c.Recall, float64(tp)/float64(t.m))
		c.Precision = append(c.Precision, float64(tp)/float64(tp+fp))
		c.Threshold = append(c.Threshold, t.score[g])
	}
	return c, nil
}

// averagePrecision is the area under the steps of the precision-recall curve.
func averagePrecision(positives, negatives []int, m int) float64 {
	sum, tp, fp := 0.0, 0, 0
	for g := len(positives) - 1; g >= 0; g-- {
		tp += positives[g]
		fp += negatives[g]
		if positives[g] > 0 {
			sum += float64(positives[g]) * float64(tp) / float64(tp+fp)
		}
	}
	return sum / float64(m)
}

// AveragePrecisionResult is an average precision with its uncertainty.
type AveragePrecisionResult struct {
	AveragePrecision float64
	Low, High        float64 // logit interval; NaN where AveragePrecision is 1
	Level            float64
	Prevalence       float64 // what a worthless score reaches, on average over large cohorts
	N                int
	Positives        int
}

// AveragePrecision sums the precision of [PrecisionRecall] over the steps of recall,
//
//	AP = sum over distinct scores of (R_k - R_(k-1)) P_k,
//
// without interpolation. Its floor is the prevalence, not one half: values from
// cohorts of different prevalence cannot be compared. The interval is the normal one
// on the logit scale, logit(AP) +- z / sqrt(m AP (1-AP)), m the number of positives;
// [BootstrapAveragePrecision] gives another. Ties enter together; higher score =
// positive.
//
// In Python: sklearn.metrics.average_precision_score.
//
// Errors: *InputError as for [ROC], and for a level outside 0..1.
//
// Boyd K, Eng KH, Page CD. ECML PKDD 2013, LNCS 8190:451-466. doi:10.1007/978-3-642-40994-3_29
func AveragePrecision(scores []float64, positive []bool, level float64) (AveragePrecisionResult, error) {
	const function = "AveragePrecision"
	if err := checkBinary(function, "scores", scores, positive, 1); err != nil {
		return AveragePrecisionResult{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return AveragePrecisionResult{}, err
	}
	t := newTally(scores, positive)
	ap := averagePrecision(t.positives, t.negatives, t.m)
	r := AveragePrecisionResult{AveragePrecision: ap, Low: math.NaN(), High: math.NaN(), Level: level,
		Prevalence: float64(t.m) / float64(t.m+t.n), N: t.m + t.n, Positives: t.m}
	if ap < 1 {
		half := normalQuantile(level) / math.Sqrt(float64(t.m)*ap*(1-ap))
		r.Low, r.High = expit(logit(ap)-half), expit(logit(ap)+half)
	}
	return r, nil
}

// BootstrapAveragePrecision gives the average precision with a stratified percentile
// bootstrap interval, drawn as in [BootstrapAUC]: the prevalence stays that of the
// data. A resample repeats patients, which makes its average precision a little too
// high on average; with few positives the interval leans upwards. Ties, direction and
// seed as in [BootstrapAUC].
//
// In Python: quantiles of sklearn.metrics.average_precision_score over resamples
// stratified by class, up to the random draws.
//
// Errors: *InputError as for [BootstrapAUC].
//
// Boyd K, Eng KH, Page CD. ECML PKDD 2013, LNCS 8190:451-466. doi:10.1007/978-3-642-40994-3_29
func BootstrapAveragePrecision(scores []float64, positive []bool, resamples int, seed uint64, level float64) (BootstrapResult, error) {
	return bootstrapAveragePrecision(scores, positive, resamples, seed, level, runtime.GOMAXPROCS(0))
}

func bootstrapAveragePrecision(scores []float64, positive []bool, resamples int, seed uint64, level float64, workers int) (BootstrapResult, error) {
	const function = "BootstrapAveragePrecision"
	if err := checkBinary(function, "scores", scores, positive, 1); err != nil {
		return BootstrapResult{}, err
	}
	if err := checkResamples(function, resamples); err != nil {
		return BootstrapResult{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return BootstrapResult{}, err
	}
	r := newResampler(scores, positive)
	values := make([]float64, resamples)
	r.each(resamples, seed, workers, func(b int, positives, negatives []int) {
		values[b] = averagePrecision(positives, negatives, r.m)
	})
	slices.Sort(values)
	return BootstrapResult{
		Estimate: averagePrecision(r.positives, r.negatives, r.m), SE: standardDeviation(values),
		Low: quantile(values, (1-level)/2), High: quantile(values, (1+level)/2),
		Level: level, Resamples: resamples, Seed: seed, N: r.m + r.n, Positives: r.m,
	}, nil
}
