package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Alternative says on which side a test looks. It is always the first sample, or the
// first measurement, against the second.
type Alternative string

const (
	TwoSided Alternative = "two-sided"
	Greater  Alternative = "greater" // the first tends to be larger
	Less     Alternative = "less"    // the first tends to be smaller
)

func checkAlternative(function string, a Alternative) error {
	switch a {
	case TwoSided, Greater, Less:
		return nil
	}
	return &InputError{function, "alternative", -1, fmt.Sprintf("%q", string(a)), "two-sided, greater, less", "use one of the constants"}
}

// RankMethod says where the p value of a rank test comes from.
type RankMethod string

const (
	// AutoRank is R's choice: exact below 50 values (in either sample) without ties or
	// zeros, otherwise normal with continuity correction.
	AutoRank RankMethod = "auto"
	// ExactRank counts all assignments of the ranks, ties included.
	ExactRank RankMethod = "exact"
	// CorrectedRank is the normal approximation with continuity correction.
	CorrectedRank RankMethod = "normal, corrected"
	// UncorrectedRank is the normal approximation without it.
	UncorrectedRank RankMethod = "normal"
)

// RankTestResult is the outcome of a rank test.
type RankTestResult struct {
	Test        string     // "Mann-Whitney" or "Wilcoxon signed-rank"
	Method      RankMethod // the one used, never AutoRank
	Alternative Alternative
	Statistic   float64 // W: pairs in which the first is larger, ties one half; V: rank sum of positive differences
	Mean        float64 // of Statistic under the null hypothesis
	Z           float64 // normal deviate, continuity corrected if Method says so; NaN for the exact test
	P           float64
	N           int // values used: of both samples, or differences that are not 0
	Zeros       int // differences of 0 that were left out
	Ties        int // groups of two or more tied values
}

// The exact distribution of a rank sum holds m N^2 numbers for m chosen of N: 250 MB and
// more than a second for 200 of 400.
const mostExact = 400

// MannWhitney compares two independent samples by the ranks of all their values
// (Wilcoxon's rank-sum test). Statistic is R's W, the number of pairs with first > second,
// ties one half; W divided by the number of pairs is the [AUC]. Midranks for ties.
//
// Exact: the distribution of W over all ways to choose the first sample from the
// values, given their ties; two-sided P is the share of |W-mean| at least as large.
// Normal: variance corrected for ties, optionally continuity corrected by 1/2 towards
// the mean. Values that are all tied have W = mean and P 1.
//
// In R: wilcox.test(first, second, alternative, exact, correct), and with ties and exact:
// coin::wilcox_test(distribution="exact").
//
// Errors: *InputError for an empty sample, NaN or infinities, an unknown alternative or
// method, ExactRank for more than 400 values.
//
// Mann HB, Whitney DR. Annals of Mathematical Statistics 1947;18:50-60.
// doi:10.1214/aoms/1177730491; Streitberg B, Röhmel J. Statistical Software Newsletter
// 1986;12:10-17.
func MannWhitney(first, second []float64, alternative Alternative, method RankMethod) (RankTestResult, error) {
	const function = "MannWhitney"
	for i, x := range [2][]float64{first, second} {
		name := [2]string{"first", "second"}[i]
		if len(x) == 0 {
			return RankTestResult{}, empty(function, name)
		}
		if err := checkFinite(function, name, x); err != nil {
			return RankTestResult{}, err
		}
	}
	if err := checkAlternative(function, alternative); err != nil {
		return RankTestResult{}, err
	}
	m, n := float64(len(first)), float64(len(second))
	rank, ties := midranks(slices.Concat(first, second))
	sum := 0.0
	for _, r := range rank[:len(first)] {
		sum += r
	}
	r := RankTestResult{Test: "Mann-Whitney", Alternative: alternative, N: len(rank), Ties: len(ties),
		Statistic: sum - m*(m+1)/2, Mean: m * n / 2}
	var err error
	if r.Method, err = chooseRankMethod(function, method, len(rank), len(first) < 50 && len(second) < 50 && len(ties) == 0); err != nil {
		return RankTestResult{}, err
	}
	if r.Method != ExactRank {
		all := m + n
		lost := 0.0
		for _, t := range ties {
			lost += float64(t) * (float64(t)*float64(t) - 1)
		}
		r.normal(m * n / 12 * (all + 1 - lost/(all*(all-1))))
		return r, nil
	}
	r.exact(rankSums(rank, len(first)), m*(m+1)/2)
	return r, nil
}

// WilcoxonSignedRank compares two measurements of the same patients by the ranks of
// |first - second|. Statistic is R's V, the sum of the ranks of positive differences.
// Patients without a difference are left out (Wilcoxon's rule, not Pratt's) and counted
// in Zeros; midranks for tied absolute differences.
//
// Exact: the distribution of V over all signs of the differences, given their ties.
// Normal: variance corrected for ties, optionally continuity corrected by 1/2.
//
// In R: wilcox.test(first, second, paired=TRUE, alternative, exact, correct), and with
// ties and exact: exactRankTests::wilcox.exact.
//
// Errors: *InputError for empty input, unequal lengths, NaN or infinities, no difference
// other than 0, an unknown alternative or method, ExactRank for more than 400 differences.
//
// Wilcoxon F. Biometrics Bulletin 1945;1:80-83. doi:10.2307/3001968
func WilcoxonSignedRank(first, second []float64, alternative Alternative, method RankMethod) (RankTestResult, error) {
	const function = "WilcoxonSignedRank"
	if err := checkPaired(function, "first", first, "second", second, 1); err != nil {
		return RankTestResult{}, err
	}
	if err := checkAlternative(function, alternative); err != nil {
		return RankTestResult{}, err
	}
	var size []float64
	var positive []bool
	for i := range first {
		if d := first[i] - second[i]; d != 0 {
			size, positive = append(size, math.Abs(d)), append(positive, d > 0)
		}
	}
	if len(size) == 0 {
		return RankTestResult{}, &InputError{function, "first", -1, "equal to second for every patient", "some difference", "report that the measurements are identical: there is nothing to test"}
	}
	rank, ties := midranks(size)
	n := float64(len(size))
	r := RankTestResult{Test: "Wilcoxon signed-rank", Alternative: alternative, N: len(size), Zeros: len(first) - len(size), Ties: len(ties),
		Mean: n * (n + 1) / 4}
	for i, p := range positive {
		if p {
			r.Statistic += rank[i]
		}
	}
	var err error
	if r.Method, err = chooseRankMethod(function, method, len(size), len(size) < 50 && len(ties) == 0 && r.Zeros == 0); err != nil {
		return RankTestResult{}, err
	}
	if r.Method != ExactRank {
		lost := 0.0
		for _, t := range ties {
			lost += float64(t) * (float64(t)*float64(t) - 1)
		}
		r.normal(n*(n+1)*(2*n+1)/24 - lost/48)
		return r, nil
	}
	r.exact(signedSums(rank), 0)
	return r, nil
}

func chooseRankMethod(function string, method RankMethod, n int, exact bool) (RankMethod, error) {
	switch method {
	case CorrectedRank, UncorrectedRank:
		return method, nil
	case AutoRank:
		if exact {
			return ExactRank, nil
		}
		return CorrectedRank, nil
	case ExactRank:
		if n <= mostExact {
			return method, nil
		}
		return "", &InputError{function, "method", -1, fmt.Sprintf("exact for %d values", n), fmt.Sprintf("exact for at most %d", mostExact), "use CorrectedRank: it is accurate there"}
	}
	return "", &InputError{function, "method", -1, fmt.Sprintf("%q", string(method)), "auto, exact, normal, corrected, normal", "use AutoRank for R's choice"}
}

// normal fills Z and P from the variance of Statistic.
func (r *RankTestResult) normal(variance float64) {
	d := r.Statistic - r.Mean
	if r.Method == CorrectedRank {
		switch r.Alternative {
		case Greater:
			d -= 0.5
		case Less:
			d += 0.5
		default:
			if d != 0 {
				d -= math.Copysign(0.5, d)
			}
		}
	}
	if !(variance > 0) {
		r.Z, r.P = 0, 1
		return
	}
	r.Z = d / math.Sqrt(variance)
	switch r.Alternative {
	case Greater:
		r.P = math.Erfc(r.Z/math.Sqrt2) / 2
	case Less:
		r.P = math.Erfc(-r.Z/math.Sqrt2) / 2
	default:
		r.P = math.Min(1, twoSided(r.Z))
	}
}

// exact fills P from the shares of each doubled rank sum; Statistic is the rank sum less
// offset.
func (r *RankTestResult) exact(share []float64, offset float64) {
	r.Z = math.NaN()
	observed, centre := int(2*(r.Statistic+offset)), int(2*(r.Mean+offset))
	far := max(observed-centre, centre-observed)
	for s, v := range share {
		d := s - centre
		if r.Alternative == Greater && s >= observed || r.Alternative == Less && s <= observed ||
			r.Alternative == TwoSided && max(d, -d) >= far {
			r.P += v
		}
	}
	r.P = math.Min(1, r.P)
}

// rankSums is, for each doubled sum, the share of the choices of m ranks that have it.
// It adds one rank at a time, in rising order: share[k][s] is the chance that of the
// ranks so far k are chosen, with sum s, when the choice is uniform over all sets of m.
func rankSums(rank []float64, m int) []float64 {
	n := len(rank)
	rising := slices.Clone(rank)
	slices.Sort(rising)
	sum := make([]int, n+1) // doubled, of the lowest ranks
	for i, r := range rising {
		sum[i+1] = sum[i] + int(2*r)
	}
	share := make([][]float64, m+1)
	for k := range share {
		share[k] = make([]float64, sum[n]+1)
	}
	share[0][0] = 1
	for i := range n {
		step := sum[i+1] - sum[i]
		// Of the n-i ranks left, m-k are still to be chosen; fewer cannot be left.
		for k := min(i, m); k >= max(0, m-(n-i)); k-- {
			take := float64(m-k) / float64(n-i)
			from := share[k]
			for s := sum[k]; s <= sum[i]-sum[i-k]; s++ {
				if v := from[s]; v != 0 {
					if k < m {
						share[k+1][s+step] += v * take
					}
					from[s] = v * (1 - take)
				}
			}
		}
	}
	return share[m]
}

// signedSums is, for each doubled sum, the share of the 2^n choices of ranks that have it.
func signedSums(rank []float64) []float64 {
	share := make([]float64, len(rank)*(len(rank)+1)+1)
	share[0] = 1
	reach := 0
	for _, r := range rank {
		step := int(2 * r)
		reach += step
		for s := reach; s >= 0; s-- {
			share[s] /= 2
			if s >= step {
				share[s] += share[s-step] / 2
			}
		}
	}
	return share
}

// HodgesLehmann estimates by how much the first sample is shifted against the second:
// the median of all differences first - second. The interval consists of the ordered
// differences that the exact Mann-Whitney test at 1-level leaves in; its true coverage
// is at least level for values without ties. O(mn log mn).
//
// In R: wilcox.test(first, second, conf.int=TRUE, exact=TRUE).
//
// Errors: *InputError for an empty sample, NaN or infinities, a level outside 0..1, more
// than 400 values in all.
//
// Hodges JL, Lehmann EL. Annals of Mathematical Statistics 1963;34:598-611.
// doi:10.1214/aoms/1177704172; Bauer DF. JASA 1972;67:687-690. doi:10.1080/01621459.1972.10481279
func HodgesLehmann(first, second []float64, level float64) (Interval, error) {
	const function = "HodgesLehmann"
	for i, x := range [2][]float64{first, second} {
		name := [2]string{"first", "second"}[i]
		if len(x) == 0 {
			return Interval{}, empty(function, name)
		}
		if err := checkFinite(function, name, x); err != nil {
			return Interval{}, err
		}
	}
	var d []float64
	for _, x := range first {
		for _, y := range second {
			d = append(d, x-y)
		}
	}
	return shiftInterval(function, d, len(first)+len(second), level, func() ([]float64, int) {
		rank := make([]float64, len(first)+len(second))
		for i := range rank {
			rank[i] = float64(i + 1)
		}
		return rankSums(rank, len(first)), len(first) * (len(first) + 1) / 2
	})
}

// HodgesLehmannPaired estimates the shift of the first measurement against the second of
// the same patients: the median of the means of all pairs of differences, each with
// itself included. Differences of 0 are kept. The interval is that of the exact Wilcoxon
// signed-rank test, as in [HodgesLehmann].
//
// In R: wilcox.test(first, second, paired=TRUE, conf.int=TRUE, exact=TRUE).
//
// Errors: *InputError as for [HodgesLehmann], and for unequal lengths.
//
// Hodges JL, Lehmann EL. Annals of Mathematical Statistics 1963;34:598-611.
// doi:10.1214/aoms/1177704172
func HodgesLehmannPaired(first, second []float64, level float64) (Interval, error) {
	const function = "HodgesLehmannPaired"
	if err := checkPaired(function, "first", first, "second", second, 1); err != nil {
		return Interval{}, err
	}
	var means []float64
	for i := range first {
		for j := range i + 1 {
			means = append(means, ((first[i]-second[i])+(first[j]-second[j]))/2)
		}
	}
	return shiftInterval(function, means, len(first), level, func() ([]float64, int) {
		rank := make([]float64, len(first))
		for i := range rank {
			rank[i] = float64(i + 1)
		}
		return signedSums(rank), 0
	})
}

// shiftInterval takes the median of the values and, from both ends, the one whose place
// is the (1-level)/2 quantile of the statistic that counts them. null gives the shares of
// doubled rank sums and the smallest sum.
func shiftInterval(function string, values []float64, n int, level float64, null func() ([]float64, int)) (Interval, error) {
	if err := checkLevel(function, level); err != nil {
		return Interval{}, err
	}
	if n > mostExact {
		return Interval{}, &InputError{function, "first", -1, fmt.Sprintf("too long: %d values in all", n), fmt.Sprintf("at most %d", mostExact), "bootstrap the median difference instead"}
	}
	slices.SortFunc(values, cmp.Compare[float64])
	share, offset := null()
	below, place := 0.0, 0
	for place = 0; 2*(place+offset) < len(share); place++ {
		if below += share[2*(place+offset)]; below >= (1-level)/2*(1-1e-12) {
			break
		}
	}
	place = max(place, 1)
	return Interval{quantile(values, 0.5), values[place-1], values[len(values)-place]}, nil
}
