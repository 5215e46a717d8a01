package forest

import (
	"math/bits"
	"slices"
)

// gini is the criterion of classification. Patients are counted as whole numbers, so
// that no order of summing can matter; weights come in at the end.
type gini struct {
	data    *binned
	options Options
	label   []bool
	drawn   []int32

	patients []int32
	count    []uint64 // of each patient of the node: false in the low half, true in the high
	total    uint64   // their sum

	sums  []uint64 // per code; zero between scans
	used  []uint64 // a bit per code; zero between scans
	keys  []uint64
	codes []int32  // codes that occur, ascending
	at    []uint64 // counts at those
}

const (
	lowHalf = 1<<32 - 1
	oneTrue = 1 << 32
)

func newGini(d *binned, o Options, label []bool) *gini {
	most := 0
	for _, low := range d.low {
		most = max(most, len(low)+1)
	}
	return &gini{data: d, options: o, label: label, sums: make([]uint64, most), used: make([]uint64, (most+63)/64),
		codes: make([]int32, 0, most), at: make([]uint64, 0, most)}
}

func (g *gini) begin(drawn []int32) { g.drawn = drawn }

func (g *gini) enter(patients []int32) bool {
	g.patients, g.count, g.total = patients, g.count[:0], 0
	for _, p := range patients {
		c := uint64(g.drawn[p])
		if g.label[p] {
			c *= oneTrue
		}
		g.count = append(g.count, c)
		g.total += c
	}
	zeros, ones := g.total&lowHalf, g.total>>32
	return zeros > 0 && ones > 0 && int(zeros+ones) > g.options.MinNode
}

// tabulate lists the feature's codes that occur in the node with their counts.
func (g *gini) tabulate(feature int32) {
	codes := g.data.codes[feature]
	g.codes, g.at = g.codes[:0], g.at[:0]
	words := g.used[:(len(g.data.low[feature])+1+63)/64]
	// Few patients and many codes are quicker sorted than looked for.
	if len(words) > 8*len(g.patients) {
		g.keys = g.keys[:0]
		for i, p := range g.patients {
			g.keys = append(g.keys, uint64(codes[p])<<32|uint64(i))
		}
		slices.Sort(g.keys)
		for _, k := range g.keys {
			c, n := int32(k>>32), g.count[k&lowHalf]
			if last := len(g.codes) - 1; last >= 0 && g.codes[last] == c {
				g.at[last] += n
			} else {
				g.codes, g.at = append(g.codes, c), append(g.at, n)
			}
		}
		return
	}
	sums, count := g.sums, g.count[:len(g.patients)]
	listed, at, n := g.codes[:cap(g.codes)], g.at[:cap(g.at)], 0
	for i, p := range g.patients {
		c := codes[p]
		sums[c] += count[i]
		words[c>>6] |= 1 << (c & 63)
	}
	for w, word := range words {
		words[w] = 0
		for ; word != 0; word &= word - 1 {
			c := w<<6 + bits.TrailingZeros64(word)
			listed[n], at[n] = int32(c), sums[c]
			sums[c] = 0
			n++
		}
	}
	g.codes, g.at = listed[:n], at[:n]
}

func (g *gini) scan(feature int32) cutAt {
	g.tabulate(feature)
	best := cutAt{feature: feature, score: -1}
	missing := uint64(0)
	known := len(g.codes)
	none := int32(len(g.data.low[feature]))
	if g.codes[known-1] == none {
		known--
		missing = g.at[known]
		best.hadMissing = true
	}
	all := float64(g.options.Weights[0]*float64(g.total&lowHalf) + g.options.Weights[1]*float64(g.total>>32))
	ones := g.options.Weights[1] * float64(g.total>>32)
	least, most := uint64(g.options.MinLeaf), g.total&lowHalf+g.total>>32-uint64(g.options.MinLeaf)
	if g.options.MinLeaf > int(g.total&lowHalf+g.total>>32) {
		return best
	}
	// The impurity falls by 2/all (d/l)(d/r), d = all*(true on the left) - ones*l:
	// compared as fractions, without dividing.
	over, under := -1.0, 1.0
	sweep := func(left uint64, last int, missingLeft bool) {
		for k := range last {
			left += g.at[k]
			zeros, trues := left&lowHalf, left>>32
			if n := zeros + trues; n < least || n > most {
				continue
			}
			t := g.options.Weights[1] * float64(trues)
			l := g.options.Weights[0]*float64(zeros) + t
			d := t*all - ones*l
			if d *= d; d*under > over*(l*(all-l)) {
				over, under = d, l*(all-l)
				best.from, best.to, best.missingLeft = g.codes[k], none, missingLeft
				if k+1 < known {
					best.to = g.codes[k+1]
				}
			}
		}
	}
	if missing == 0 {
		sweep(0, known-1, false)
	} else {
		sweep(0, known, false) // the last: known against missing
		sweep(missing, known-1, true)
	}
	if over >= 0 {
		best.score = over / under
	}
	return best
}

// gain is the fall of the node's Gini impurity, times its patients.
func (g *gini) gain(c cutAt) float64 {
	w := g.options.Weights
	return 2 * c.score / (w[0]*float64(g.total&lowHalf) + w[1]*float64(g.total>>32))
}

func (g *gini) leaf(n *node) {
	ones := g.options.Weights[1] * float64(g.total>>32)
	n.cut = ones / (g.options.Weights[0]*float64(g.total&lowHalf) + ones)
}

func (g *gini) finish(*tree) {}
