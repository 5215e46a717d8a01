package stats

import (
	"fmt"
	"math"
	"slices"
)

// LogRankResult compares survival between groups.
type LogRankResult struct {
	ChiSquareTest           // DF: groups with expected deaths, less one
	Groups        []int     // the labels, ascending; the slices below follow it
	N             []int     // patients
	Observed      []float64 // deaths, each times its weight
	Expected      []float64 // the same if all groups shared one survival curve
	Rho, Gamma    float64   // of the Fleming-Harrington weights; 0, 0 is the log-rank test
	Strata        int       // strata with patients; 1 when not stratified
}

// LogRankOption changes what [LogRank] does.
type LogRankOption func(*logRankOptions)

type logRankOptions struct {
	strata     []int
	stratified bool
	rho, gamma float64
}

// LogRankStrata compares the groups within each stratum only (such as the hospital),
// one label per patient, and adds the strata up. In R: survdiff(... + strata(s)).
func LogRankStrata(strata []int) LogRankOption {
	return func(o *logRankOptions) { o.strata, o.stratified = strata, true }
}

// FlemingHarrington weighs each death time by S(t-)^rho (1 - S(t-))^gamma, S the
// Kaplan-Meier curve of all patients of the stratum just before it; 0^0 is 1. rho = 1,
// gamma = 0 looks at early differences (Peto and Peto's Wilcoxon test); rho = 0,
// gamma = 1 at late ones. Choose them before seeing the curves. In R:
// survdiff(..., rho=rho) for gamma = 0.
//
// Fleming TR, Harrington DP. Counting Processes and Survival Analysis. doi:10.1002/9781118150672
func FlemingHarrington(rho, gamma float64) LogRankOption {
	return func(o *logRankOptions) { o.rho, o.gamma = rho, gamma }
}

// LogRank tests whether two or more groups share one survival curve. At each death
// time with n at risk and d deaths, a group with k at risk expects d k/n of them;
// the variance is the hypergeometric one, which allows for ties. ChiSquare is the
// quadratic form of observed less expected; it has no direction (compare Observed
// with Expected for that) and does not depend on how the groups are labelled. A
// group that is never at risk at a death time has no weight in the test. O(n log n).
//
// In R: survdiff(Surv(time, event) ~ group), rho = 0; see [LogRankStrata] and
// [FlemingHarrington] for more.
//
// Errors: *InputError for empty input, unequal lengths, unusable times, fewer than two
// groups, everybody censored, groups whose follow-up never overlaps at a death (in any
// stratum), and weights that are negative, infinite or NaN.
//
// Mantel N. Cancer Chemotherapy Reports 1966;50:163-170 (PMID 5910392); Harrington DP,
// Fleming TR. Biometrika 1982;69:553-566. doi:10.1093/biomet/69.3.553
func LogRank(time []float64, event []bool, group []int, options ...LogRankOption) (LogRankResult, error) {
	const function = "LogRank"
	var o logRankOptions
	for _, option := range options {
		option(&o)
	}
	if err := checkSurvival(function, time, event); err != nil {
		return LogRankResult{}, err
	}
	if len(group) != len(time) {
		return LogRankResult{}, wrongLength(function, "group", len(group), len(time))
	}
	if o.stratified && len(o.strata) != len(time) {
		return LogRankResult{}, wrongLength(function, "strata", len(o.strata), len(time))
	}
	if err := checkPower(function, "rho", o.rho); err != nil {
		return LogRankResult{}, err
	}
	if err := checkPower(function, "gamma", o.gamma); err != nil {
		return LogRankResult{}, err
	}
	labels, member := labelled(group)
	if len(labels) < 2 {
		return LogRankResult{}, &InputError{function, "group", -1, fmt.Sprintf("%d for every patient", labels[0]), "at least two groups", "choose a cut that divides the patients"}
	}
	if err := checkSomeEvent(function, event); err != nil {
		return LogRankResult{}, err
	}
	k := len(labels)
	r := LogRankResult{Groups: labels, N: make([]int, k), Observed: make([]float64, k), Expected: make([]float64, k), Rho: o.rho, Gamma: o.gamma}
	for _, m := range member {
		r.N[m]++
	}
	variance := newMatrix(k)
	if !o.stratified {
		r.Strata = 1
		r.add(time, event, member, variance)
	} else {
		r.Strata = eachStratum(o.strata, func(patients []int) {
			r.add(pick(time, patients), pick(event, patients), pick(member, patients), variance)
		})
	}
	// Observed less expected sums to zero, so one group says nothing new.
	var used []int
	for a := range k {
		if r.Expected[a] > 0 {
			used = append(used, a)
		}
	}
	apart := &InputError{function, "group", -1, "without two groups at risk together at a death", "groups whose follow-up overlaps", "join groups or choose another cut"}
	if len(used) < 2 {
		return LogRankResult{}, apart
	}
	free := used[1:]
	inner, excess := newMatrix(len(free)), make([]float64, len(free))
	for i, a := range free {
		excess[i] = r.Observed[a] - r.Expected[a]
		for j, b := range free {
			inner[i][j] = variance[a][b]
		}
	}
	if factorise(inner) >= 0 {
		return LogRankResult{}, apart
	}
	r.ChiSquareTest = newChiSquareTest(quadraticForm(inner, excess), len(free))
	return r, nil
}

// add counts the patients of one stratum. member numbers their groups.
func (r *LogRankResult) add(time []float64, event []bool, member []int, variance [][]float64) {
	k := len(r.Groups)
	atRisk, deaths := make([]int, k), make([]int, k)
	for _, m := range member {
		atRisk[m]++
	}
	left := 0       // patients whose time is over
	survival := 1.0 // of all groups, just before the time
	order := ranked(time)
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
			weight := 1.0
			if r.Rho != 0 || r.Gamma != 0 {
				weight = math.Pow(survival, r.Rho) * math.Pow(1-survival, r.Gamma)
			}
			spread := 0.0 // nobody varies when the last patient at risk dies
			if at.atRisk > 1 {
				spread = weight * weight * d * (n - d) / (n - 1)
			}
			for a := range k {
				share := float64(atRisk[a]) / n
				r.Observed[a] += weight * float64(deaths[a])
				r.Expected[a] += weight * d * share
				variance[a][a] += spread * share
				for b := range k {
					variance[a][b] -= spread * share * float64(atRisk[b]) / n
				}
			}
			survival *= (n - d) / n
		}
		for _, o := range here {
			atRisk[member[o.index]]--
		}
		left += len(here)
	}
}

func checkPower(function, argument string, power float64) error {
	if power >= 0 && !math.IsInf(power, 1) {
		return nil
	}
	return &InputError{function, argument, -1, fmt.Sprint(power), "a finite power, 0 or more", "use 0 for the log-rank test"}
}

// labelled gives the distinct labels, ascending, and the place of each patient's.
func labelled(group []int) (labels, member []int) {
	labels = slices.Clone(group)
	slices.Sort(labels)
	labels = slices.Compact(labels)
	member = make([]int, len(group))
	for i, g := range group {
		member[i], _ = slices.BinarySearch(labels, g)
	}
	return labels, member
}

// eachStratum visits the patients of each stratum, by ascending label, and counts the
// strata.
func eachStratum(strata []int, visit func(patients []int)) int {
	labels, member := labelled(strata)
	patients := make([][]int, len(labels))
	for i, m := range member {
		patients[m] = append(patients[m], i)
	}
	for _, p := range patients {
		visit(p)
	}
	return len(labels)
}

func pick[V any](x []V, patients []int) []V {
	out := make([]V, len(patients))
	for k, i := range patients {
		out[k] = x[i]
	}
	return out
}
