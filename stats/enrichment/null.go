package enrichment

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// nullScores are the enrichment scores of random sets: [size][permutation], sizes
// ascending. Permutation b draws, without replacement and from a generator of its
// own seeded by (seed, b), as many genes as the largest size; the random set of
// size m is the first m of them, for all sets of that size. Each size by itself so
// sees independent, uniformly drawn sets; different sizes share genes within a
// permutation.
func nullScores(weights []float64, sizes []int, permutations int, seed uint64, equal EqualRule, workers int) [][]float64 {
	es := make([][]float64, len(sizes))
	for s := range es {
		es[s] = make([]float64, permutations)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range max(1, min(workers, permutations)) {
		group.Go(func() {
			d := newDrawer(weights, sizes[len(sizes)-1])
			for {
				b := int(next.Add(1)) - 1
				if b >= permutations {
					return
				}
				d.draw(seed, b)
				for s := len(sizes) - 1; s >= 0; s-- {
					es[s][b] = d.score(sizes[s], equal)
				}
			}
		})
	}
	group.Wait()
	return es
}

// drawer draws nested random sets. positions, turn and w describe the present set
// by ascending position: where, drawn as which (from 0), and its weight.
type drawer struct {
	weights   []float64
	source    *rand.PCG
	random    *rand.Rand
	genes     []int32  // the identity between draws
	swapped   []int32  // partner of each swap, to undo them
	drawn     []uint64 // a bit per position
	turnOf    []int32  // by position, valid where drawn
	positions []int32
	turn      []int32
	w         []float64
}

func newDrawer(weights []float64, largest int) *drawer {
	n := len(weights)
	source := rand.NewPCG(0, 0)
	d := &drawer{weights: weights, source: source, random: rand.New(source),
		genes: make([]int32, n), turnOf: make([]int32, n), drawn: make([]uint64, (n+63)/64),
		swapped: make([]int32, largest), positions: make([]int32, largest), turn: make([]int32, largest), w: make([]float64, largest)}
	for i := range d.genes {
		d.genes[i] = int32(i)
	}
	return d
}

// draw shuffles the front of the genes (Fisher and Yates) and lists what it drew by
// position. A bit map sorts in linear time.
func (d *drawer) draw(seed uint64, b int) {
	d.source.Seed(seed, uint64(b))
	largest := cap(d.positions)
	for i := range largest {
		j := i + d.random.IntN(len(d.genes)-i)
		d.genes[i], d.genes[j] = d.genes[j], d.genes[i]
		d.swapped[i] = int32(j)
		p := d.genes[i]
		d.turnOf[p] = int32(i)
		d.drawn[p>>6] |= 1 << (p & 63)
	}
	for i := largest - 1; i >= 0; i-- {
		j := d.swapped[i]
		d.genes[i], d.genes[j] = d.genes[j], d.genes[i]
	}
	d.positions, d.turn, d.w = d.positions[:largest], d.turn[:largest], d.w[:largest]
	k := 0
	for i, word := range d.drawn {
		for ; word != 0; word &= word - 1 {
			p := int32(i<<6 + bits.TrailingZeros64(word))
			d.positions[k], d.turn[k], d.w[k] = p, d.turnOf[p], d.weights[p]
			k++
		}
		d.drawn[i] = 0
	}
}

// score cuts the present set down to its first `size` draws and scores it.
func (d *drawer) score(size int, equal EqualRule) float64 {
	if size < len(d.positions) {
		k, positions, turn, w := 0, d.positions, d.turn[:len(d.positions)], d.w[:len(d.positions)]
		for i, t := range turn {
			if int(t) < size {
				positions[k], turn[k], w[k] = positions[i], t, w[i]
				k++
			}
		}
		d.positions, d.turn, d.w = positions[:k], turn[:k], w[:k]
	}
	total := sumOf(d.w)
	if total <= 0 {
		es, _ := score(d.positions, d.w, len(d.weights), equal)
		return es
	}
	high, low := extremes(d.positions, d.w, total, len(d.weights))
	switch {
	case math.Abs(high+low) <= equalWithin:
		es, _ := score(d.positions, d.w, len(d.weights), equal)
		return es
	case high > -low:
		return high
	default:
		return low
	}
}
