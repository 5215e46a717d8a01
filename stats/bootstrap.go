package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
)

// resampler draws patients with replacement within each class, as counts per
// distinct score. Resample b has a generator of its own, seeded by (seed, b): the
// draws do not depend on which worker makes them or when.
type resampler struct {
	tally
	positiveAt, negativeAt []int // distinct score of each patient of either class
}

func newResampler(scores []float64, positive []bool) resampler {
	r := resampler{tally: newTally(scores, positive)}
	for g := range r.score {
		for range r.positives[g] {
			r.positiveAt = append(r.positiveAt, g)
		}
		for range r.negatives[g] {
			r.negativeAt = append(r.negativeAt, g)
		}
	}
	return r
}

// draw fills positives and negatives (counts per distinct score) with resample b.
func (r resampler) draw(seed uint64, b int, positives, negatives []int) {
	clear(positives)
	clear(negatives)
	random := rand.New(rand.NewPCG(seed, uint64(b)))
	for range r.positiveAt {
		positives[r.positiveAt[random.IntN(r.m)]]++
	}
	for range r.negativeAt {
		negatives[r.negativeAt[random.IntN(r.n)]]++
	}
}

// each calls visit for every resample, spread over workers; visit must write only
// to places that belong to resample b.
func (r resampler) each(resamples int, seed uint64, workers int, visit func(b int, positives, negatives []int)) {
	forEachResample(resamples, workers, func() func(int) {
		positives, negatives := make([]int, len(r.score)), make([]int, len(r.score))
		return func(b int) {
			r.draw(seed, b, positives, negatives)
			visit(b, positives, negatives)
		}
	})
}

func checkResamples(function string, resamples int) error {
	if resamples >= 2 {
		return nil
	}
	return &InputError{function, "resamples", -1, fmt.Sprint(resamples), "2 or more", "use 2000"}
}

// BootstrapResult is an estimate with a bootstrap interval.
type BootstrapResult struct {
	Estimate  float64 // from the data themselves
	SE        float64 // standard deviation over the resamples
	Low, High float64 // percentile interval
	Level     float64
	Resamples int
	Seed      uint64
	N         int
	Positives int
}

// BootstrapAUC gives the AUC with a stratified percentile bootstrap interval: each
// resample draws as many positives from the positives and negatives from the
// negatives as there are, with replacement; Low and High are the (1-level)/2 and
// (1+level)/2 quantiles (R's type 7) of the resampled AUCs. Ties count one half.
// Direction: higher score = positive. The same seed gives the same answer on any
// number of processors. Scores that separate the classes give Low = High = AUC.
//
// In R: pROC::ci.auc(roc, method="bootstrap", boot.stratified=TRUE), up to the random draws.
//
// Errors: *InputError as for [ROC], for fewer than 2 resamples, a level outside 0..1.
//
// Carpenter J, Bithell J. Statistics in Medicine 2000;19:1141-1164.
// doi:10.1002/(SICI)1097-0258(20000515)19:9<1141::AID-SIM479>3.0.CO;2-F
func BootstrapAUC(scores []float64, positive []bool, resamples int, seed uint64, level float64) (BootstrapResult, error) {
	return bootstrapAUC(scores, positive, resamples, seed, level, runtime.GOMAXPROCS(0))
}

func bootstrapAUC(scores []float64, positive []bool, resamples int, seed uint64, level float64, workers int) (BootstrapResult, error) {
	if err := checkBinary("BootstrapAUC", "scores", scores, positive, 1); err != nil {
		return BootstrapResult{}, err
	}
	if err := checkResamples("BootstrapAUC", resamples); err != nil {
		return BootstrapResult{}, err
	}
	if err := checkLevel("BootstrapAUC", level); err != nil {
		return BootstrapResult{}, err
	}
	r := newResampler(scores, positive)
	values := make([]float64, resamples)
	r.each(resamples, seed, workers, func(b int, positives, negatives []int) {
		values[b] = auc(positives, negatives, r.m, r.n)
	})
	slices.Sort(values)
	return BootstrapResult{
		Estimate: auc(r.positives, r.negatives, r.m, r.n), SE: standardDeviation(values),
		Low: quantile(values, (1-level)/2), High: quantile(values, (1+level)/2),
		Level: level, Resamples: resamples, Seed: seed, N: r.m + r.n, Positives: r.m,
	}, nil
}

func standardDeviation(x []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		sum += square(v - mean)
	}
	return math.Sqrt(sum / float64(len(x)-1))
}

// Band is a pointwise confidence band of a ROC curve: four slices of one length.
type Band struct {
	FPR       []float64 // the grid, ascending
	TPR       []float64 // the curve itself there
	Low, High []float64 // percentile interval of TPR at each FPR, one point at a time
	Level     float64
	Resamples int
	Seed      uint64
}

// ROCBand gives pointwise intervals of the sensitivity at each false positive rate
// of the grid fpr, for the figure: level is the coverage at ONE false positive
// rate, not of the whole curve. nil means the 101 values 0, 0.01, ..., 1. Resamples
// are drawn as in [BootstrapAUC]; each gives its own ROC curve, read at fpr on its
// straight segments, at the upper end where it rises vertically (so at FPR 0 it is
// the share of positives above every negative); Low and High are percentiles.
//
// In R: pROC::ci.se(roc, specificities=1-fpr, boot.stratified=TRUE), up to the random draws.
//
// Errors: *InputError as for [BootstrapAUC] and for a grid that leaves 0..1 or does
// not rise.
//
// Robin X et al. BMC Bioinformatics 2011;12:77. doi:10.1186/1471-2105-12-77
func ROCBand(scores []float64, positive []bool, fpr []float64, resamples int, seed uint64, level float64) (Band, error) {
	return rocBand(scores, positive, fpr, resamples, seed, level, runtime.GOMAXPROCS(0))
}

func rocBand(scores []float64, positive []bool, fpr []float64, resamples int, seed uint64, level float64, workers int) (Band, error) {
	if err := checkBinary("ROCBand", "scores", scores, positive, 1); err != nil {
		return Band{}, err
	}
	if err := checkResamples("ROCBand", resamples); err != nil {
		return Band{}, err
	}
	if err := checkLevel("ROCBand", level); err != nil {
		return Band{}, err
	}
	grid := slices.Clone(fpr)
	if fpr == nil {
		grid = make([]float64, 101)
		for i := range grid {
			grid[i] = float64(i) / 100
		}
	}
	for i, x := range grid {
		if !(x >= 0 && x <= 1) || i > 0 && x <= grid[i-1] {
			return Band{}, &InputError{"ROCBand", "fpr", i, fmt.Sprint(x), "rates from 0 to 1 in rising order", "pass nil for 0, 0.01, ..., 1"}
		}
	}
	r := newResampler(scores, positive)
	band := Band{FPR: grid, TPR: make([]float64, len(grid)), Low: make([]float64, len(grid)), High: make([]float64, len(grid)),
		Level: level, Resamples: resamples, Seed: seed}
	sensitivities(r.positives, r.negatives, r.m, r.n, grid, band.TPR)
	// One row per grid point, so that each can be sorted in place afterwards.
	rows := make([][]float64, len(grid))
	for i := range rows {
		rows[i] = make([]float64, resamples)
	}
	r.each(resamples, seed, workers, func(b int, positives, negatives []int) {
		tpr := make([]float64, len(grid))
		sensitivities(positives, negatives, r.m, r.n, grid, tpr)
		for i, v := range tpr {
			rows[i][b] = v
		}
	})
	for i, row := range rows {
		slices.Sort(row)
		band.Low[i], band.High[i] = quantile(row, (1-level)/2), quantile(row, (1+level)/2)
	}
	return band, nil
}

// sensitivities reads the ROC curve of the counts at each false positive rate of
// the rising grid into tpr.
func sensitivities(positives, negatives []int, m, n int, grid, tpr []float64) {
	g := len(positives) - 1
	tp, fp := 0, 0 // the last point of the curve that is not right of the grid value
	for i, x := range grid {
		// In units of one negative patient; the slack absorbs a grid built by sums.
		at := x * float64(n)
		for g >= 0 && float64(fp+negatives[g]) <= at+1e-9 {
			tp += positives[g]
			fp += negatives[g]
			g--
		}
		tpr[i] = float64(tp) / float64(m)
		if past := at - float64(fp); g >= 0 && past > 1e-9 {
			tpr[i] += past / float64(negatives[g]) * float64(positives[g]) / float64(m)
		}
	}
}
