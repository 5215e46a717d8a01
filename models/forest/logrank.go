package forest

import (
	"cmp"
	"math"
	"slices"
)

// times are the survival times of the training patients.
type times struct {
	event []float64 // distinct times of death, ascending
	risk  []int32   // of each patient, how many of these are at or before its time
	died  []bool
}

func newTimes(time []float64, died []bool) *times {
	s := &times{died: died, risk: make([]int32, len(time))}
	for i, d := range died {
		if d {
			s.event = append(s.event, time[i])
		}
	}
	slices.Sort(s.event)
	s.event = slices.Compact(s.event)
	for i, t := range time {
		k, found := slices.BinarySearch(s.event, t)
		if found {
			k++
		}
		s.risk[i] = int32(k)
	}
	return s
}

// expected is each patient's Nelson-Aalen cumulative hazard at its own time, the
// deaths that were to be expected of it.
func (s *times) expected() []float64 {
	deaths, atRisk := make([]float64, len(s.event)), make([]float64, len(s.event)+1)
	for i, k := range s.risk {
		atRisk[k]++
		if s.died[i] {
			deaths[k-1]++
		}
	}
	cumulative := make([]float64, len(s.event)+1)
	left := float64(len(s.risk)) - atRisk[0]
	for k, d := range deaths {
		cumulative[k+1] = cumulative[k] + d/left
		left -= atRisk[k+1]
	}
	e := make([]float64, len(s.risk))
	for i, k := range s.risk {
		e[i] = cumulative[k]
	}
	return e
}

// logRank is the criterion of survival. With Y(k) patients at risk at the k-th time
// of death in the node, d(k) deaths and y(k) at risk on the left, the statistic of
// the left is U^2/V with
//
//	U = sum over patients on the left of (died - sum over their k of d/Y)
//	V = sum over k of c y (Y - y), c = d (Y - d) / (Y^2 (Y - 1))
//
// Moving one patient to the left changes U by its own term, and V by sums of c over
// the times it was at risk: two Fenwick trees over times give these in O(log k), where
// computing V anew takes O(k) for each cut.
type logRank struct {
	data    *binned
	options Options
	times   *times
	drawn   []int32

	patients []int32
	total    int32     // in-bag patients in the node
	order    []int32   // places in patients, by time
	local    []int32   // of each patient, its last time at risk among the node's; 0 = none
	residual []float64 // died less expected
	index    []int32   // the node's times of death, as indices into times.event
	hazard   []float64 // d/Y at these
	sumC     []float64 // sums of c and of c Y up to each; [0] = 0
	sumCY    []float64
	slack    float64 // V at or below this is rounding

	keys      []uint64
	fenwick   []float64 // of c summed to a patient's last time
	fenwickN  []int32   // of patients
	leftCount int32

	leaves hazards
}

// hazards are the leaves of a tree: leaf l raises the cumulative hazard by step[k] at
// event time index[k], start[l] <= k < start[l+1].
type hazards struct {
	start []int32
	index []int32
	step  []float64
}

func newLogRank(d *binned, o Options, s *times) *logRank {
	return &logRank{data: d, options: o, times: s}
}

func (g *logRank) begin(drawn []int32) {
	g.drawn = drawn
	g.leaves = hazards{start: []int32{0}}
}

func (g *logRank) enter(patients []int32) bool {
	g.patients, g.total = patients, 0
	g.order, g.local, g.residual = g.order[:0], g.local[:0], g.residual[:0]
	for i, p := range patients {
		g.total += g.drawn[p]
		g.order = append(g.order, int32(i))
		g.local = append(g.local, 0)
		g.residual = append(g.residual, 0)
	}
	slices.SortFunc(g.order, func(a, b int32) int { return cmp.Compare(g.times.risk[patients[a]], g.times.risk[patients[b]]) })
	g.index, g.hazard = g.index[:0], g.hazard[:0]
	g.sumC, g.sumCY = append(g.sumC[:0], 0), append(g.sumCY[:0], 0)
	cumulative, atRisk, largest := 0.0, float64(g.total), 0.0
	for i := 0; i < len(g.order); {
		last := g.times.risk[patients[g.order[i]]]
		end, deaths, leaving := i, 0.0, 0.0
		for ; end < len(g.order) && g.times.risk[patients[g.order[end]]] == last; end++ {
			p := patients[g.order[end]]
			leaving += float64(g.drawn[p])
			if g.times.died[p] {
				deaths += float64(g.drawn[p])
			}
		}
		if deaths > 0 {
			c := 0.0
			if atRisk > 1 {
				c = deaths * (atRisk - deaths) / (atRisk * atRisk * (atRisk - 1))
			}
			g.index = append(g.index, last-1)
			g.hazard = append(g.hazard, deaths/atRisk)
			cumulative += deaths / atRisk
			k := len(g.index)
			g.sumC, g.sumCY = append(g.sumC, g.sumC[k-1]+c), append(g.sumCY, g.sumCY[k-1]+c*atRisk)
			largest += c * atRisk * atRisk
		}
		for ; i < end; i++ {
			o := g.order[i]
			g.local[o] = int32(len(g.index))
			g.residual[o] = -cumulative
			if g.times.died[patients[o]] {
				g.residual[o]++
			}
		}
		atRisk -= leaving
	}
	g.slack = 1e-12 * largest
	return int(g.total) > g.options.MinNode && int(g.total) >= 2*g.options.MinLeaf && len(g.index) > 0
}

// move takes a patient of the node to the left and returns what that adds to U and V.
func (g *logRank) move(i int) (u, v float64) {
	m, t := g.drawn[g.patients[i]], g.local[i]
	mf := float64(m)
	below, n := 0.0, int32(0)
	for k := t; k > 0; k &= k - 1 {
		below += g.fenwick[k]
		n += g.fenwickN[k]
	}
	// c y summed to t: those gone by t bring their own sums, the others all of it.
	beyond := float64(g.leftCount - n)
	v = mf * (g.sumCY[t] - 2*(below+g.sumC[t]*beyond) - mf*g.sumC[t])
	if t > 0 {
		for k := t; k < int32(len(g.fenwick)); k += k & -k {
			g.fenwick[k] += mf * g.sumC[t]
			g.fenwickN[k] += m
		}
		g.leftCount += m
	}
	return mf * g.residual[i], v
}

func (g *logRank) scan(feature int32) cutAt {
	codes, none := g.data.codes[feature], int32(len(g.data.low[feature]))
	g.keys = g.keys[:0]
	for i, p := range g.patients {
		g.keys = append(g.keys, uint64(codes[p])<<32|uint64(i))
	}
	slices.Sort(g.keys)
	best := cutAt{feature: feature, score: -1}
	known := len(g.keys)
	for known > 0 && int32(g.keys[known-1]>>32) == none {
		known--
		best.hadMissing = true
	}
	if known == 0 || known == len(g.keys) && g.keys[0]>>32 == g.keys[known-1]>>32 {
		return best
	}
	over, under := -1.0, 1.0
	sweep := func(missingLeft bool) {
		g.fenwick, g.fenwickN, g.leftCount = resized(g.fenwick, len(g.sumC)), resized(g.fenwickN, len(g.sumC)), 0
		u, v, n := 0.0, 0.0, int32(0)
		add := func(key uint64) {
			du, dv := g.move(int(key & lowHalf))
			u, v, n = u+du, v+dv, n+g.drawn[g.patients[key&lowHalf]]
		}
		if missingLeft {
			for _, key := range g.keys[known:] {
				add(key)
			}
		}
		for k, key := range g.keys[:known] {
			add(key)
			to := none
			if k+1 < known {
				if to = int32(g.keys[k+1] >> 32); to == int32(key>>32) {
					continue
				}
			} else if missingLeft || !best.hadMissing {
				break
			}
			if least := int32(g.options.MinLeaf); n < least || g.total-n < least || v <= g.slack {
				continue
			}
			if u*u*under > over*v {
				over, under = u*u, v
				best.from, best.to, best.missingLeft = int32(key>>32), to, missingLeft
			}
		}
	}
	sweep(false)
	if best.hadMissing {
		sweep(true)
	}
	if over >= 0 {
		best.score = over / under
	}
	return best
}

// gain is the log-rank z, as ranger sums it.
func (g *logRank) gain(c cutAt) float64 { return math.Sqrt(c.score) }

// leaf keeps the Nelson-Aalen estimate of the node. Its prediction is the expected
// number of deaths: the cumulative hazard summed over all times of death.
func (g *logRank) leaf(n *node) {
	n.left = int32(len(g.leaves.start) - 1)
	for k, index := range g.index {
		g.leaves.index, g.leaves.step = append(g.leaves.index, index), append(g.leaves.step, g.hazard[k])
		n.cut += g.hazard[k] * float64(len(g.times.event)-int(index))
	}
	g.leaves.start = append(g.leaves.start, int32(len(g.leaves.index)))
}

func (g *logRank) finish(t *tree) { t.hazards = g.leaves }

// resized is s, n long and all zero.
func resized[V any](s []V, n int) []V {
	if cap(s) < n {
		return make([]V, n)
	}
	s = s[:n]
	clear(s)
	return s
}
