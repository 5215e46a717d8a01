package stats

import (
	"fmt"
	"slices"
)

// LogRankResult compares survival between groups.
type LogRankResult struct {
	ChiSquareTest           // DF: groups with expected deaths, less one
	Groups        []int     // the labels, ascending; the slices below follow it
	N             []int     // patients
	Observed      []float64 // deaths
	Expected      []float64 // deaths if all groups shared one survival curve
}

// LogRank tests whether two or more groups share one survival curve. At each death
// time with n at risk and d deaths, a group with k at risk expects d k/n of them;
// the variance is the hypergeometric one, which allows for ties. ChiSquare is the
// quadratic form of observed less expected; it has no direction (compare Observed
// with Expected for that) and does not depend on how the groups are labelled. A
// group that is never at risk at a death time has no weight in the test. O(n log n).
//
// In R: survdiff(Surv(time, event) ~ group), rho = 0.
//
// Errors: *InputError for empty input, unequal lengths, unusable times, fewer than two
// groups, everybody censored, and groups whose follow-up never overlaps at a death.
//
// Mantel N. Cancer Chemotherapy Reports 1966;50:163-170 (PMID 5910392); Harrington DP,
// Fleming TR. Biometrika 1982;69:553-566. doi:10.1093/biomet/69.3.553
func LogRank(time []float64, event []bool, group []int) (LogRankResult, error) {
	const function = "LogRank"
	if err := checkSurvival(function, time, event); err != nil {
		return LogRankResult{}, err
	}
	if len(group) != len(time) {
		return LogRankResult{}, wrongLength(function, "group", len(group), len(time))
	}
	labels := slices.Clone(group)
	slices.Sort(labels)
	labels = slices.Compact(labels)
	if len(labels) < 2 {
		return LogRankResult{}, &InputError{function, "group", -1, fmt.Sprintf("%d for every patient", labels[0]), "at least two groups", "choose a cut that divides the patients"}
	}
	if err := checkSomeEvent(function, event); err != nil {
		return LogRankResult{}, err
	}
	k := len(labels)
	r := LogRankResult{Groups: labels, N: make([]int, k), Observed: make([]float64, k), Expected: make([]float64, k)}
	variance := newMatrix(k)
	member := make([]int, len(group))
	for i, g := range group {
		member[i], _ = slices.BinarySearch(labels, g)
		r.N[member[i]]++
	}
	atRisk := slices.Clone(r.N)
	left := 0 // patients whose time is over
	order := ranked(time)
	deaths := make([]int, k)
	for _, at := range instants(time, event) {
		here := order[left : left+at.deaths+at.censored]
		clear(deaths)
		for _, o := range here {
			if event[o.index] {
				deaths[member[o.index]]++
			}
		}
		if at.deaths > 0 {
			n, d := float64(at.atRisk), float64(at.deaths)
			spread := 0.0 // nobody varies when the last patient at risk dies
			if at.atRisk > 1 {
				spread = d * (n - d) / (n - 1)
			}
			for a := range k {
				share := float64(atRisk[a]) / n
				r.Observed[a] += float64(deaths[a])
				r.Expected[a] += d * share
				variance[a][a] += spread * share
				for b := range k {
					variance[a][b] -= spread * share * float64(atRisk[b]) / n
				}
			}
		}
		for _, o := range here {
			atRisk[member[o.index]]--
		}
		left += len(here)
	}
	// Observed less expected sums to zero, so one group says nothing new.
	var used []int
	for a := range k {
		if r.Expected[a] > 0 {
			used = append(used, a)
		}
	}
	free := used[1:]
	inner, excess := newMatrix(len(free)), make([]float64, len(free))
	for i, a := range free {
		excess[i] = r.Observed[a] - r.Expected[a]
		for j, b := range free {
			inner[i][j] = variance[a][b]
		}
	}
	singular := factorise(inner)
	if len(free) == 0 || singular >= 0 {
		return LogRankResult{}, &InputError{function, "group", -1, "without two groups at risk together at a death",
			"groups whose follow-up overlaps", "join groups or choose another cut"}
	}
	r.ChiSquareTest = newChiSquareTest(quadraticForm(inner, excess), len(free))
	return r, nil
}
