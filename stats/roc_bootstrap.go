package stats

import (
	"cmp"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// forEachResample spreads the numbers 0 to resamples-1 over workers. start gives each
// worker a function with scratch space of its own, which must write only to places
// that belong to its resample.
func forEachResample(resamples, workers int, start func() func(b int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range max(1, min(workers, resamples)) {
		group.Go(func() {
			visit := start()
			for b := int(next.Add(1)) - 1; b < resamples; b = int(next.Add(1)) - 1 {
				visit(b)
			}
		})
	}
	group.Wait()
}

// BootstrapDifferenceResult compares two AUCs by resampling.
type BootstrapDifferenceResult struct {
	A, B       float64 // the two AUCs of the data themselves
	Difference float64 // A - B
	SE         float64 // standard deviation of the difference over the resamples
	Low, High  float64 // percentile interval of the difference
	Level      float64
	Z          float64 // Difference / SE; 0 where both are 0, NaN where only SE is
	P          float64 // two-sided, normal; 1 where both are 0, NaN where only SE is
	Resamples  int
	Seed       uint64
}

func newBootstrapDifference(a, b float64, values []float64, seed uint64, level float64) BootstrapDifferenceResult {
	slices.Sort(values)
	r := BootstrapDifferenceResult{
		A: a, B: b, Difference: a - b, SE: standardDeviation(values),
		Low: quantile(values, (1-level)/2), High: quantile(values, (1+level)/2),
		Level: level, Resamples: len(values), Seed: seed,
	}
	r.Z, r.P = wald(r.Difference, r.SE)
	return r
}

// BootstrapPaired compares the AUCs of scores a and b of the SAME patients by a
// stratified bootstrap: each resample draws as many positive patients from the
// positives and negatives from the negatives as there are, with replacement, and
// takes BOTH scores of each. Low and High are quantiles (R's type 7) of the
// resampled differences; Z is the difference over their standard deviation, P its
// normal two-sided value. Positive Difference: a separates better. Ties count one
// half; higher score = positive. The same seed gives the same answer on any number
// of processors and for any order of the rows.
//
// In R: pROC::roc.test(rocA, rocB, method="bootstrap", paired=TRUE), up to the random
// draws; it gives no interval.
//
// Errors: *InputError as for [DeLongPaired] (one patient of each class will do), and
// for fewer than 2 resamples.
//
// Carpenter J, Bithell J. Statistics in Medicine 2000;19:1141-1164.
// doi:10.1002/(SICI)1097-0258(20000515)19:9<1141::AID-SIM479>3.0.CO;2-F; the test:
// Robin X et al. BMC Bioinformatics 2011;12:77. doi:10.1186/1471-2105-12-77
func BootstrapPaired(a, b []float64, positive []bool, resamples int, seed uint64, level float64) (BootstrapDifferenceResult, error) {
	return bootstrapPaired(a, b, positive, resamples, seed, level, runtime.GOMAXPROCS(0))
}

func bootstrapPaired(a, b []float64, positive []bool, resamples int, seed uint64, level float64, workers int) (BootstrapDifferenceResult, error) {
	const function = "BootstrapPaired"
	if err := checkBinary(function, "a", a, positive, 1); err != nil {
		return BootstrapDifferenceResult{}, err
	}
	if len(b) != len(a) {
		return BootstrapDifferenceResult{}, wrongLength(function, "b", len(b), len(a))
	}
	if err := checkFinite(function, "b", b); err != nil {
		return BootstrapDifferenceResult{}, err
	}
	if err := checkResamples(function, resamples); err != nil {
		return BootstrapDifferenceResult{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return BootstrapDifferenceResult{}, err
	}
	ta, tb := newTally(a, positive), newTally(b, positive)
	// Patients by their places in both orders: what is drawn then depends on
	// neither the order of the rows nor the size of the steps between scores.
	type pair struct{ a, b int }
	var ofPositive, ofNegative []pair
	for i, p := range positive {
		if at := (pair{ta.place[i], tb.place[i]}); p {
			ofPositive = append(ofPositive, at)
		} else {
			ofNegative = append(ofNegative, at)
		}
	}
	for _, class := range [][]pair{ofPositive, ofNegative} {
		slices.SortFunc(class, func(x, y pair) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })
	}
	values := make([]float64, resamples)
	forEachResample(resamples, workers, func() func(int) {
		positivesA, negativesA := make([]int, len(ta.score)), make([]int, len(ta.score))
		positivesB, negativesB := make([]int, len(tb.score)), make([]int, len(tb.score))
		return func(sample int) {
			clear(positivesA)
			clear(negativesA)
			clear(positivesB)
			clear(negativesB)
			random := rand.New(rand.NewPCG(seed, uint64(sample)))
			for range ofPositive {
				drawn := ofPositive[random.IntN(len(ofPositive))]
				positivesA[drawn.a]++
				positivesB[drawn.b]++
			}
			for range ofNegative {
				drawn := ofNegative[random.IntN(len(ofNegative))]
				negativesA[drawn.a]++
				negativesB[drawn.b]++
			}
			values[sample] = auc(positivesA, negativesA, ta.m, ta.n) - auc(positivesB, negativesB, tb.m, tb.n)
		}
	})
	return newBootstrapDifference(auc(ta.positives, ta.negatives, ta.m, ta.n), auc(tb.positives, tb.negatives, tb.m, tb.n), values, seed, level), nil
}

// BootstrapUnpaired compares the AUCs of two sets of DIFFERENT patients by a
// stratified bootstrap: in each resample either set is drawn by itself as in
// [BootstrapAUC]. The result, ties, direction and seed are as in [BootstrapPaired].
//
// In R: pROC::roc.test(rocA, rocB, method="bootstrap", paired=FALSE), up to the random
// draws; it gives no interval.
//
// Errors: *InputError as for [BootstrapAUC], for either set.
//
// Robin X et al. BMC Bioinformatics 2011;12:77. doi:10.1186/1471-2105-12-77
func BootstrapUnpaired(a []float64, positiveA []bool, b []float64, positiveB []bool, resamples int, seed uint64, level float64) (BootstrapDifferenceResult, error) {
	return bootstrapUnpaired(a, positiveA, b, positiveB, resamples, seed, level, runtime.GOMAXPROCS(0))
}

func bootstrapUnpaired(a []float64, positiveA []bool, b []float64, positiveB []bool, resamples int, seed uint64, level float64, workers int) (BootstrapDifferenceResult, error) {
	const function = "BootstrapUnpaired"
	if err := checkTwoSets(function, a, positiveA, b, positiveB, 1, level); err != nil {
		return BootstrapDifferenceResult{}, err
	}
	if err := checkResamples(function, resamples); err != nil {
		return BootstrapDifferenceResult{}, err
	}
	ra, rb := newResampler(a, positiveA), newResampler(b, positiveB)
	values := make([]float64, resamples)
	forEachResample(resamples, workers, func() func(int) {
		positivesA, negativesA := make([]int, len(ra.score)), make([]int, len(ra.score))
		positivesB, negativesB := make([]int, len(rb.score)), make([]int, len(rb.score))
		return func(sample int) {
			// Two streams for a resample: the same one twice would tie the sets together.
			ra.draw(seed, 2*sample, positivesA, negativesA)
			rb.draw(seed, 2*sample+1, positivesB, negativesB)
			values[sample] = auc(positivesA, negativesA, ra.m, ra.n) - auc(positivesB, negativesB, rb.m, rb.n)
		}
	})
	return newBootstrapDifference(auc(ra.positives, ra.negatives, ra.m, ra.n), auc(rb.positives, rb.negatives, rb.m, rb.n), values, seed, level), nil
}
