package stats

import (
	"fmt"
	"slices"
)

// KruskalWallisResult compares several independent samples.
type KruskalWallisResult struct {
	ChiSquareTest           // H, corrected for ties; groups less one degrees of freedom
	MeanRank      []float64 // of each group; midranks for ties, 1 = smallest value
	EpsilonSquare float64   // H / (N - 1), 0..1: share of the ranks' variation that the groups explain
	N             int
}

// KruskalWallis tests whether some of two or more independent samples tend to larger
// values than others, by the ranks of all values (midranks for ties, variance corrected
// for them). With two samples it is [MannWhitney] by the normal approximation without
// continuity correction. H is compared with the chi-square distribution, which is rough
// for groups of fewer than five.
//
// In R: kruskal.test(groups); rcompanion::epsilonSquared.
//
// Errors: *InputError for fewer than two groups, an empty group, NaN or infinities, and
// values that are all the same.
//
// Kruskal WH, Wallis WA. JASA 1952;47:583-621. doi:10.1080/01621459.1952.10483441
func KruskalWallis(groups [][]float64) (KruskalWallisResult, error) {
	const function = "KruskalWallis"
	if len(groups) < 2 {
		return KruskalWallisResult{}, &InputError{function, "groups", -1, fmt.Sprintf("%d long", len(groups)), "two groups or more", "choose a variable that divides the patients"}
	}
	for k, g := range groups {
		name := fmt.Sprintf("groups[%d]", k)
		if len(g) == 0 {
			return KruskalWallisResult{}, empty(function, name)
		}
		if err := checkFinite(function, name, g); err != nil {
			return KruskalWallisResult{}, err
		}
	}
	rank, ties := midranks(slices.Concat(groups...))
	n := float64(len(rank))
	lost := 0.0
	for _, t := range ties {
		lost += float64(t) * (float64(t)*float64(t) - 1)
	}
	r := KruskalWallisResult{N: len(rank)}
	correction := 1 - lost/(n*(n*n-1))
	if len(ties) == 1 && ties[0] == len(rank) {
		return KruskalWallisResult{}, &InputError{function, "groups", -1, "the same value for every patient", "values that differ", "there is nothing to compare"}
	}
	between, from := 0.0, 0
	for _, g := range groups {
		sum := 0.0
		for _, v := range rank[from : from+len(g)] {
			sum += v
		}
		from += len(g)
		r.MeanRank = append(r.MeanRank, sum/float64(len(g)))
		between += float64(len(g)) * square(sum/float64(len(g))-(n+1)/2)
	}
	r.ChiSquareTest = newChiSquareTest(12*between/(n*(n+1))/correction, len(groups)-1)
	r.EpsilonSquare = r.ChiSquare / (n - 1)
	return r, nil
}
