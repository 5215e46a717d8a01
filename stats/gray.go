package stats

import (
	"fmt"
	"math"
	"slices"
)

// GrayResult compares the cumulative incidence of one cause between groups.
type GrayResult struct {
	ChiSquareTest // DF: groups less one
	Cause         int
	Groups        []int     // the labels, ascending; the slices below follow it
	N             []int     // patients
	Events        []int     // events of the cause
	Score         []float64 // weighted events more than expected: above 0 = higher incidence; they add up to 0
	Rho           float64
	Strata        int
}

// GrayTest tests whether the cumulative incidence of one cause is the same in all
// groups, in the presence of the other causes ([CumulativeIncidence]). It is to the
// incidence what [LogRank] is to survival: patients with another event stay in the
// comparison with the weight that censoring would have left them. cause is 0 for a
// censored patient; interest is the cause compared; times are weighted by
// (1 - F(t-))^rho, F the common incidence (0 weighs all alike). strata, if not nil,
// holds a label per patient: groups are compared within strata only. ChiSquare has no
// direction; Score has. O(n log n + times x groups^2).
//
// In R: cmprsk::cuminc(time, cause, group, strata, rho)$Tests.
//
// Errors: *InputError for empty input, unequal lengths, unusable times, causes or rho,
// fewer than two groups, no event of the cause, and groups not at risk together at
// such an event.
//
// Gray RJ. Annals of Statistics 1988;16:1141-1154. doi:10.1214/aos/1176350951
func GrayTest(time []float64, cause, group []int, interest int, rho float64, strata []int) (GrayResult, error) {
	const function = "GrayTest"
	causes, err := checkCauses(function, time, cause)
	if err != nil {
		return GrayResult{}, err
	}
	if len(group) != len(time) {
		return GrayResult{}, wrongLength(function, "group", len(group), len(time))
	}
	if strata != nil && len(strata) != len(time) {
		return GrayResult{}, wrongLength(function, "strata", len(strata), len(time))
	}
	if err := checkPower(function, "rho", rho); err != nil {
		return GrayResult{}, err
	}
	if _, found := slices.BinarySearch(causes, interest); !found {
		return GrayResult{}, &InputError{function, "interest", -1, fmt.Sprint(interest), fmt.Sprintf("a cause that occurs: %v", causes), "choose one of them"}
	}
	labels, member := labelled(group)
	k := len(labels)
	if k < 2 {
		return GrayResult{}, &InputError{function, "group", -1, fmt.Sprintf("%d for every patient", labels[0]), "at least two groups", "choose a cut that divides the patients"}
	}
	r := GrayResult{Cause: interest, Groups: labels, N: make([]int, k), Events: make([]int, k), Score: make([]float64, k), Rho: rho}
	kind := make([]int, len(time)) // 0 censored, 1 the cause, 2 another
	for i, m := range member {
		r.N[m]++
		switch cause[i] {
		case 0:
		case interest:
			r.Events[m]++
			kind[i] = 1
		default:
			kind[i] = 2
		}
	}
	variance := newMatrix(k)
	if strata == nil {
		strata = make([]int, len(time))
	}
	r.Strata = eachStratum(strata, func(patients []int) {
		g := newGrayStratum(pick(time, patients), pick(kind, patients), pick(member, patients), k)
		g.run(rho)
		for a := range k {
			r.Score[a] += g.score[a]
		}
		g.addVariance(variance)
	})
	// The scores add up to zero, so one group says nothing new.
	inner := newMatrix(k - 1)
	for a := range inner {
		copy(inner[a], variance[a][:k-1])
	}
	if factorise(inner) >= 0 {
		return GrayResult{}, &InputError{function, "group", -1, "with a group that is never at risk with the others at an event of the cause",
			"groups whose follow-up overlaps", "join groups or choose another cut"}
	}
	r.ChiSquareTest = newChiSquareTest(quadraticForm(inner, r.Score[:k-1]), k-1)
	return r, nil
}

// grayEvent is what one time means for the variance of one group's share: events of
// the group with variance q move score a by direct[a] + later (C[a] - before[a]), C[a] the
// sum over all times.
type grayEvent struct {
	group          int
	direct, before []float64
	later, q       float64
}

// grayStratum walks over the times of one stratum. Slices are by group.
type grayStratum struct {
	groups    int
	time      []float64
	kind      []int
	member    []int
	score     []float64
	atRisk    []float64
	survival  []float64 // S(t-): free of any event
	incidence []float64 // F(t-) of the cause
	events    []grayEvent
	total     [][]float64 // total[group][a]: how score a hangs on the hazard of the group
}

func newGrayStratum(time []float64, kind, member []int, groups int) *grayStratum {
	g := &grayStratum{groups: groups, time: time, kind: kind, member: member, score: make([]float64, groups), atRisk: make([]float64, groups),
		survival: slices.Repeat([]float64{1}, groups), incidence: make([]float64, groups), total: newMatrix(groups)}
	for _, m := range member {
		g.atRisk[m]++
	}
	return g
}

func (g *grayStratum) run(rho float64) {
	common := 0.0 // the incidence if all groups share one, just before the time
	order := ranked(g.time)
	for from := 0; from < len(order); {
		to := from
		counts := [3][]float64{make([]float64, g.groups), make([]float64, g.groups), make([]float64, g.groups)}
		events := [3]float64{}
		for ; to < len(order) && order[to].value == order[from].value; to++ {
			i := order[to].index
			counts[g.kind[i]][g.member[i]]++
			events[g.kind[i]]++
		}
		if events[1]+events[2] > 0 && common < 1 {
			common = g.at(common, rho, counts[1], counts[2], events[1])
		}
		for m := range g.groups {
			g.atRisk[m] -= counts[0][m] + counts[1][m] + counts[2][m]
		}
		from = to
	}
}

// at takes in one time with mine[m] events of the cause and others[m] of other causes,
// and returns the common incidence after it.
func (g *grayStratum) at(common, rho float64, mine, others []float64, events float64) float64 {
	// Y/S is the number still at risk of the cause had nobody been censored, over S(0);
	// times 1-F it is Gray's R.
	scaled, sum, risk := make([]float64, g.groups), 0.0, 0.0
	for m, y := range g.atRisk {
		if y > 0 {
			scaled[m] = y / g.survival[m]
			sum += scaled[m]
			risk += scaled[m] * (1 - g.incidence[m])
		}
	}
	weight := math.Pow(1-common, rho)
	direct := newMatrix(g.groups)
	for m := range g.groups {
		if g.atRisk[m] == 0 {
			continue
		}
		g.score[m] += weight * (mine[m] - events*scaled[m]*(1-g.incidence[m])/risk)
		for a := range g.groups {
			direct[m][a] = -weight * scaled[m] * scaled[a] / sum
			if a == m {
				direct[m][a] += weight * scaled[m]
			}
			g.total[m][a] += direct[m][a] * events / (sum * (1 - common))
		}
	}
	after := common + events/sum
	for m, y := range g.atRisk {
		if y == 0 {
			continue
		}
		before := g.survival[m]
		now := before * (y - mine[m] - others[m]) / y
		soFar := slices.Clone(g.total[m])
		if events > 0 {
			// The cause's events follow the common hazard, whichever group they fell in.
			later := 1.0
			if now > 0 {
				later = 1 - (1-after)/now
			}
			// sum times S(t-) is the size of the risk set that the group's share stands for.
			// It may be smaller than the events late in follow-up; cmprsk then lets the
			// correction for ties turn negative, and so do we.
			ties := 1.0
			if n := sum * before; n > 1 {
				ties = spreadOf(events, n)
			}
			g.events = append(g.events, grayEvent{m, direct[m], soFar, later, ties * before * events / (sum * y)})
		}
		if others[m] > 0 && now > 0 {
			q := square(before/y) * others[m] * spreadOf(others[m], y)
			g.events = append(g.events, grayEvent{m, make([]float64, g.groups), soFar, -(1 - after) / now, q})
		}
		g.incidence[m] += before * mine[m] / y
		g.survival[m] = now
	}
	return after
}

// addVariance adds the covariance of the scores once all times are known.
func (g *grayStratum) addVariance(variance [][]float64) {
	effect := make([]float64, g.groups)
	for _, e := range g.events {
		for a := range effect {
			effect[a] = e.direct[a] + e.later*(g.total[e.group][a]-e.before[a])
		}
		for a := range effect {
			for b := range effect {
				variance[a][b] += e.q * effect[a] * effect[b]
			}
		}
	}
}
