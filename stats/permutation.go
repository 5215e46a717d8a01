package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
)

// PermutationResult is the outcome of a permutation test.
type PermutationResult struct {
	Observed     float64
	Alternative  Alternative
	P            float64 // never 0
	SE           float64 // Monte Carlo standard error of P, sqrt(P(1-P)/(Permutations+1))
	Above, Below int     // permutations with a statistic at least, at most, as large as observed; ties are in both
	Permutations int
	Seed         uint64
}

// PermutationTest compares an observed statistic with its values under permutations
// drawn at random. draw is called once per worker and returns that worker's function,
// which makes one permutation with the generator it is given, nothing else, and
// returns the statistic; it may keep scratch memory of its own but no state.
//
// Permutation b has a generator of its own, seeded by (seed, b): the result is the same
// for any number of workers. workers 0 means one per processor.
//
//	Greater    P = (Above + 1) / (Permutations + 1)
//	Less       P = (Below + 1) / (Permutations + 1)
//	TwoSided   twice the smaller of the two, at most 1
//
// The observed order counts as one of the permutations, so P is never 0 and the test is
// exact; its smallest value is 1/(Permutations+1), twice that for TwoSided. Statistics
// within a relative 1e-12 of the observed one are tied with it and count as extreme:
// the order in which a sum is taken must not decide.
//
// In Python: scipy.stats.permutation_test, up to the random draws.
//
// Errors: *InputError for an observed or drawn statistic that is NaN (Index is the
// permutation), fewer than one permutation, negative workers, an unknown alternative.
//
// Phipson B, Smyth GK. Statistical Applications in Genetics and Molecular Biology
// 2010;9:39. doi:10.2202/1544-6115.1585
func PermutationTest(observed float64, alternative Alternative, permutations int, seed uint64, workers int,
	draw func() func(random *rand.Rand) float64) (PermutationResult, error) {
	return permutationTest("PermutationTest", observed, alternative, permutations, seed, workers, draw)
}

func permutationTest(function string, observed float64, alternative Alternative, permutations int, seed uint64, workers int,
	draw func() func(random *rand.Rand) float64) (PermutationResult, error) {
	if math.IsNaN(observed) {
		return PermutationResult{}, &InputError{function, "observed", -1, "NaN", "a number", "check the data the statistic was taken from"}
	}
	if err := checkAlternative(function, alternative); err != nil {
		return PermutationResult{}, err
	}
	if permutations < 1 {
		return PermutationResult{}, &InputError{function, "permutations", -1, fmt.Sprint(permutations), "1 or more", "use 1000, as the study did, or more"}
	}
	if workers < 0 {
		return PermutationResult{}, &InputError{function, "workers", -1, fmt.Sprint(workers), "0 or more", "use 0 for one per processor"}
	}
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	slack := 1e-12 * math.Abs(observed)
	if math.IsInf(observed, 0) {
		slack = 0
	}
	var next, above, below atomic.Int64
	undefined := make([]int, workers) // each worker's first permutation without a statistic
	var group sync.WaitGroup
	for w := range workers {
		undefined[w] = -1
		group.Go(func() {
			statistic := draw()
			source := rand.NewPCG(0, 0)
			random := rand.New(source)
			for {
				b := int(next.Add(1)) - 1
				if b >= permutations {
					return
				}
				source.Seed(seed, uint64(b))
				v := statistic(random)
				if math.IsNaN(v) && undefined[w] < 0 {
					undefined[w] = b
				}
				if v >= observed-slack {
					above.Add(1)
				}
				if v <= observed+slack {
					below.Add(1)
				}
			}
		})
	}
	group.Wait()
	first := -1
	for _, b := range undefined {
		if b >= 0 && (first < 0 || b < first) {
			first = b
		}
	}
	if first >= 0 {
		return PermutationResult{}, &InputError{function, "draw", first, "NaN", "a number for every permutation", "use a statistic that exists for all of them"}
	}
	r := PermutationResult{Observed: observed, Alternative: alternative, Above: int(above.Load()), Below: int(below.Load()),
		Permutations: permutations, Seed: seed}
	all := float64(permutations + 1)
	greater, less := float64(r.Above+1)/all, float64(r.Below+1)/all
	switch alternative {
	case Greater:
		r.P = greater
	case Less:
		r.P = less
	default:
		r.P = math.Min(1, 2*math.Min(greater, less))
	}
	r.SE = math.Sqrt(r.P * (1 - r.P) / all)
	return r, nil
}

// PermutationAUC tests whether the AUCs of two scores of the SAME patients differ. The
// study compared its network with volume, diameter and forests by such a test, one-sided
// (alternative Greater: a better than b) with 1000 permutations; it did not publish how
// it permuted. Here: both scores are replaced by their midranks, for a volume and a
// probability have no common scale; then in each permutation every patient's two ranks
// are exchanged with probability one half, and the statistic is AUC(a) - AUC(b). So the
// result depends on the order of either score only, and the null hypothesis is that the
// two ranks of a patient are exchangeable.
//
// Direction: higher score = positive, for both: a score that works the other way round
// must be turned before. Ties count one half. A patient's exchange changes nothing
// where both ranks are equal; identical orders have Observed 0 and P 1. workers 0
// means one per processor; the result does not depend on it. O(patients) a permutation.
//
// In R: written out in testdata/permutation.R over all exchanges; pROC::roc.test(method=
// "venkatraman") compares whole curves instead.
//
// Errors: *InputError as for [DeLongPaired] (one patient per class is enough) and
// [PermutationTest].
//
// Bandos AI, Rockette HE, Gur D. Statistics in Medicine 2005;24:2873-2893.
// doi:10.1002/sim.2149
func PermutationAUC(a, b []float64, positive []bool, alternative Alternative, permutations int, seed uint64, workers int) (PermutationResult, error) {
	const function = "PermutationAUC"
	if err := checkBinary(function, "a", a, positive, 1); err != nil {
		return PermutationResult{}, err
	}
	if len(b) != len(a) {
		return PermutationResult{}, wrongLength(function, "b", len(b), len(a))
	}
	if err := checkFinite(function, "b", b); err != nil {
		return PermutationResult{}, err
	}
	x := newExchange(a, b, positive)
	keep := make([]uint64, len(a)/64+1)
	return permutationTest(function, x.difference(x.scratch(), keep), alternative, permutations, seed, workers, func() func(*rand.Rand) float64 {
		scratch, swap := x.scratch(), make([]uint64, len(keep))
		return func(random *rand.Rand) float64 {
			for i := range swap {
				swap[i] = random.Uint64()
			}
			return x.difference(scratch, swap)
		}
	})
}

// exchange holds two scores of the same patients as places in one list of all their
// midranks, so that a permutation only counts.
type exchange struct {
	placeA, placeB []int
	positive       []bool
	places         int
	m, n           int
}

func newExchange(a, b []float64, positive []bool) exchange {
	ra, _ := midranks(a)
	rb, _ := midranks(b)
	x := exchange{placeA: make([]int, len(a)), placeB: make([]int, len(a)), positive: positive, places: 2*len(a) + 1}
	for i := range ra {
		// Twice a midrank is a whole number up to 2n.
		x.placeA[i], x.placeB[i] = int(2*ra[i]), int(2*rb[i])
		if positive[i] {
			x.m++
		} else {
			x.n++
		}
	}
	return x
}

// scratch holds positives and negatives at each place for the first and second score.
func (x exchange) scratch() *[4][]int {
	return &[4][]int{make([]int, x.places), make([]int, x.places), make([]int, x.places), make([]int, x.places)}
}

// difference is AUC(a) - AUC(b) when the ranks of the patients whose bit is set are
// exchanged. It is a difference of whole numbers until the last step.
func (x exchange) difference(count *[4][]int, swap []uint64) float64 {
	for _, c := range count {
		clear(c)
	}
	for i, p := range x.positive {
		a, b := x.placeA[i], x.placeB[i]
		if swap[i/64]>>(i%64)&1 != 0 {
			a, b = b, a
		}
		if p {
			count[0][a]++
			count[2][b]++
		} else {
			count[1][a]++
			count[3][b]++
		}
	}
	halves, belowA, belowB := 0, 0, 0
	for g := range x.places {
		halves += count[0][g]*(2*belowA+count[1][g]) - count[2][g]*(2*belowB+count[3][g])
		belowA += count[1][g]
		belowB += count[3][g]
	}
	return float64(halves) / (2 * float64(x.m) * float64(x.n))
}
