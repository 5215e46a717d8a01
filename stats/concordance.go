package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// ConcordanceResult is a concordance index with the pairs behind it. Pairs are
// weighted by [UnoC] and counted by [HarrellC].
type ConcordanceResult struct {
	Method     string  // "Harrell" or "Uno"
	C          float64 // (Concordant + TiedScore/2) / all three
	SE         float64
	Low, High  float64 // C +- z SE, cut to 0..1
	Level      float64
	Tau        float64 // Uno's truncation time in days; +Inf for none
	Concordant float64 // comparable pairs in which the patient with the higher score died first
	Discordant float64 // ... with the lower score
	TiedScore  float64 // comparable pairs with equal scores
	TiedTime   int     // pairs of deaths at the same time: not comparable, not counted above
	N          int
	Events     int
}

// HarrellC gives Harrell's concordance index: of all pairs in which it is known who
// died first, the share in which that patient had the higher score, ties in score
// counting one half. A pair is comparable when the earlier time is a death; two
// deaths on one day are not; a death and a censoring on one day are, the censored
// patient having lived longer. HIGHER SCORE = HIGHER RISK = earlier death.
//
// SE is the infinitesimal jackknife (robust to what the score is). O(n log n).
//
// In R: concordance(Surv(time, event) ~ score, reverse=TRUE) of package survival;
// TiedTime is its tied.y + tied.xy.
//
// Errors: *InputError for empty input, unequal lengths, unusable times or scores, a
// level outside 0..1, and when no pair is comparable (everybody censored, a single
// patient).
//
// Harrell FE et al. JAMA 1982;247:2543-2546. doi:10.1001/jama.1982.03320430047030;
// Therneau TM, Watson DA. Mayo Clinic Technical Report 85, 2017.
func HarrellC(time []float64, event []bool, score []float64, level float64) (ConcordanceResult, error) {
	if err := checkConcordance("HarrellC", time, event, score, level); err != nil {
		return ConcordanceResult{}, err
	}
	r, _, err := concordance("HarrellC", "Harrell", time, event, score, harrellWeights(event), math.Inf(1), level)
	return r, err
}

func harrellWeights(event []bool) []float64 {
	weight := make([]float64, len(event))
	for i, e := range event {
		if e {
			weight[i] = 1
		}
	}
	return weight
}

// UnoC gives Uno's concordance index up to tau days: [HarrellC] with each comparable
// pair weighted by 1/G(t-)^2, t its death time and G the Kaplan-Meier estimate of
// not being censored, so that the result does not depend on how patients were
// censored, as long as censoring has nothing to do with risk. Pairs whose death time
// is later than tau do not count; tau = +Inf takes all (then the last deaths, which
// few censoring times reach, carry the largest weights: state tau with the result).
// In G a patient who dies on a day is no longer at risk of being censored that day.
//
// SE is the infinitesimal jackknife with G taken as known.
//
// In R: concordance(Surv(time, event) ~ score, reverse=TRUE, timewt="n/G2", ymax=tau)
// of package survival; survC1::Est.Cval differs in counting deaths before tau only.
//
// Errors: *InputError as for [HarrellC], and for a tau that is NaN or not positive.
//
// Uno H et al. Statistics in Medicine 2011;30:1105-1117. doi:10.1002/sim.4154
func UnoC(time []float64, event []bool, score []float64, tau, level float64) (ConcordanceResult, error) {
	if err := checkConcordance("UnoC", time, event, score, level); err != nil {
		return ConcordanceResult{}, err
	}
	if err := checkTau("UnoC", tau); err != nil {
		return ConcordanceResult{}, err
	}
	r, _, err := concordance("UnoC", "Uno", time, event, score, unoWeights(time, event, tau), tau, level)
	return r, err
}

func checkTau(function string, tau float64) error {
	if tau > 0 {
		return nil
	}
	return &InputError{function, "tau", -1, fmt.Sprint(tau), "a positive number of days or +Inf", "use math.Inf(1) for no truncation"}
}

// unoWeights is 1/G(t-)^2 for each death at t <= tau, 0 for the others.
func unoWeights(time []float64, event []bool, tau float64) []float64 {
	g := newCensoring(time, event)
	weight := make([]float64, len(time))
	for i, t := range time {
		if event[i] && t <= tau {
			weight[i] = 1 / square(g.before[g.step(t)])
		}
	}
	return weight
}

func checkConcordance(function string, time []float64, event []bool, score []float64, level float64) error {
	if err := checkSurvival(function, time, event); err != nil {
		return err
	}
	if len(score) != len(time) {
		return wrongLength(function, "score", len(score), len(time))
	}
	if err := checkFinite(function, "score", score); err != nil {
		return err
	}
	if err := checkLevel(function, level); err != nil {
		return err
	}
	return checkSomeEvent(function, event)
}

// concordance weighs each comparable pair by weight[i], i being the patient who died
// first; the weight of a censored patient is not used.
//
// Two sweeps over time give every patient the weight of his concordant, discordant
// and tied pairs, as the one who died first (partners still at risk, counted by
// score in a Fenwick tree) and as the other one (earlier deaths, by score). influence
// is the derivative of C in the weight of each patient.
func concordance(function, method string, time []float64, event []bool, score, weight []float64, tau, level float64) (r ConcordanceResult, influence []float64, err error) {
	n := len(time)
	distinct := slices.Clone(score)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	rank := make([]int, n)
	for i, s := range score {
		rank[i], _ = slices.BinarySearch(distinct, s)
	}
	// Days ascending; within a day, deaths before censorings.
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := cmp.Compare(time[a], time[b]); c != 0 {
			return c
		}
		if event[a] != event[b] {
			if event[a] {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	r = ConcordanceResult{Method: method, Level: level, Tau: tau, N: n}
	con, dis, tied := make([]float64, n), make([]float64, n), make([]float64, n)

	// As the one who died first: who is still there, later or censored that day.
	tree := newFenwick(len(distinct))
	for end := n; end > 0; {
		start := end // deaths of one day, or one censored patient
		i := order[end-1]
		if !event[i] {
			tree.add(rank[i], 1)
			end--
			continue
		}
		for start > 0 && event[order[start-1]] && time[order[start-1]] == time[i] {
			start--
		}
		r.Events += end - start
		r.TiedTime += (end - start) * (end - start - 1) / 2
		for _, i := range order[start:end] {
			lower, equal, higher := tree.split(rank[i])
			con[i], dis[i], tied[i] = weight[i]*lower, weight[i]*higher, weight[i]*equal
			r.Concordant += con[i]
			r.Discordant += dis[i]
			r.TiedScore += tied[i]
		}
		for _, i := range order[start:end] {
			tree.add(rank[i], 1)
		}
		end = start
	}

	// As the one who lived longer: the deaths of earlier days, or of the same day
	// for a censored patient.
	tree = newFenwick(len(distinct))
	for start := 0; start < n; {
		end := start + 1
		first := order[start]
		for event[first] && end < n && event[order[end]] && time[order[end]] == time[first] {
			end++
		}
		for _, i := range order[start:end] {
			lower, equal, higher := tree.split(rank[i])
			con[i] += higher
			dis[i] += lower
			tied[i] += equal
		}
		for _, i := range order[start:end] {
			if event[i] {
				tree.add(rank[i], weight[i])
			}
		}
		start = end
	}

	pairs := r.Concordant + r.Discordant + r.TiedScore
	if !(pairs > 0) {
		return ConcordanceResult{}, nil, &InputError{function, "time", -1, "without a comparable pair",
			"at least one death (up to tau) that somebody outlived", "choose a larger cohort or longer follow-up"}
	}
	r.C = (r.Concordant + r.TiedScore/2) / pairs
	// By way of Somers' D = 2C - 1.
	somers := (r.Concordant - r.Discordant) / pairs
	sum := 0.0
	influence = make([]float64, n)
	for i := range n {
		influence[i] = (con[i] - dis[i] - somers*(con[i]+dis[i]+tied[i])) / (2 * pairs)
		sum += square(influence[i])
	}
	r.SE = math.Sqrt(sum)
	r.Low, r.High = clippedInterval(r.C, r.SE, level)
	return r, influence, nil
}

// fenwick holds a weight per rank and sums ranges of them in O(log n).
type fenwick struct {
	sums  []float64
	at    []float64
	total float64
}

func newFenwick(ranks int) *fenwick {
	return &fenwick{sums: make([]float64, ranks+1), at: make([]float64, ranks)}
}

func (f *fenwick) add(rank int, weight float64) {
	f.at[rank] += weight
	f.total += weight
	for i := rank + 1; i < len(f.sums); i += i & -i {
		f.sums[i] += weight
	}
}

// split gives the weight below, at and above a rank.
func (f *fenwick) split(rank int) (lower, equal, higher float64) {
	for i := rank; i > 0; i -= i & -i {
		lower += f.sums[i]
	}
	return lower, f.at[rank], f.total - lower - f.at[rank]
}
