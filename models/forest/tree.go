package forest

import (
	"math"
	"math/rand/v2"
)

// node is a split or a leaf of a tree.
type node struct {
	cut         float64 // at or below goes left; in a leaf, what it predicts
	feature     int32   // -1 in a leaf
	left        int32   // the right child is the next one; in a survival leaf, its number
	missingLeft bool
}

// tree is a grown tree; nodes[0] is the root.
type tree struct {
	nodes    []node
	inBag    []uint64 // a bit for each training patient
	impurity []gain   // one per split
	hazards  hazards  // what the leaves of a survival tree hold
}

type gain struct {
	feature int32
	amount  float64
}

func (t *tree) used(patient int) bool { return t.inBag[patient>>6]>>(patient&63)&1 == 1 }

// leaf is the leaf that a patient of the table falls into.
func (t *tree) leaf(values [][]float64, patient int) *node { return t.leafWith(values, patient, -1, 0) }

// leafWith is leaf, but for one feature the value is another patient's.
func (t *tree) leafWith(values [][]float64, patient int, feature int32, other int) *node {
	at := &t.nodes[0]
	for at.feature >= 0 {
		v := values[at.feature][patient]
		if at.feature == feature {
			v = values[feature][other]
		}
		next := at.left
		if !(v <= at.cut) && (v == v || !at.missingLeft) {
			next++
		}
		at = &t.nodes[next]
	}
	return at
}

// cutAt is a way to split a node: bins up to `from` against those from `to` on.
type cutAt struct {
	feature     int32
	from, to    int32 // to = the code of a missing value: known against missing
	missingLeft bool
	hadMissing  bool    // missing values were seen here
	score       float64 // higher is better; -1 for none
}

// criterion is what sets classification apart from survival while a tree grows.
type criterion interface {
	// begin is told of a new tree: how often each patient was drawn.
	begin(drawn []int32)
	// enter is told of a node's patients and says whether a split can serve.
	enter(patients []int32) bool
	// scan finds the best cut of a feature among the patients of the node.
	scan(feature int32) cutAt
	// gain is what a cut of the node adds to its feature's importance.
	gain(cutAt) float64
	// leaf makes the node a leaf.
	leaf(*node)
	// finish hands over what else the tree owns.
	finish(*tree)
}

// grower grows one tree after another.
type grower struct {
	data      *binned
	options   Options
	criterion criterion
	drawn     []int32 // how often each patient was drawn
	patients  []int32 // patients in the bag, each once, node by node
	right     []int32
	features  []int32
	bag       []int32
}

func newGrower(d *binned, o Options, c criterion) *grower {
	return &grower{data: d, options: o, criterion: c, drawn: make([]int32, d.patients), features: make([]int32, len(d.codes)), bag: make([]int32, d.patients)}
}

func (g *grower) grow(number int) tree {
	rng := rand.New(rand.NewPCG(g.options.Seed, uint64(number)))
	g.draw(rng)
	t := tree{nodes: make([]node, 1, 64), inBag: make([]uint64, (g.data.patients+63)/64)}
	g.patients = g.patients[:0]
	for i, n := range g.drawn {
		if n > 0 {
			g.patients = append(g.patients, int32(i))
			t.inBag[i>>6] |= 1 << (i & 63)
		}
	}
	for j := range g.features {
		g.features[j] = int32(j)
	}
	g.criterion.begin(g.drawn)
	type task struct {
		node     int32
		from, to int
		depth    int
	}
	for stack := []task{{0, 0, len(g.patients), 0}}; len(stack) > 0; {
		now := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		best := cutAt{score: -1}
		patients := g.patients[now.from:now.to]
		if g.criterion.enter(patients) && (g.options.MaxDepth == 0 || now.depth < g.options.MaxDepth) {
			for k := range g.options.Features {
				pick := k + rng.IntN(len(g.features)-k)
				g.features[k], g.features[pick] = g.features[pick], g.features[k]
				if c := g.criterion.scan(g.features[k]); c.score > best.score {
					best = c
				}
			}
		}
		at := &t.nodes[now.node]
		if best.score < 0 {
			at.feature = -1
			g.criterion.leaf(at)
			continue
		}
		t.impurity = append(t.impurity, gain{best.feature, g.criterion.gain(best)})
		middle, missingLeft := g.part(patients, best)
		*at = node{cut: math.Inf(1), feature: best.feature, left: int32(len(t.nodes)), missingLeft: missingLeft}
		if int(best.to) < len(g.data.low[best.feature]) {
			at.cut = g.data.between(int(best.feature), int(best.from), int(best.to))
		}
		left := at.left
		t.nodes = append(t.nodes, node{}, node{})
		middle += now.from
		stack = append(stack, task{left + 1, middle, now.to, now.depth + 1}, task{left, now.from, middle, now.depth + 1})
	}
	g.criterion.finish(&t)
	return t
}

// draw fills in how often each patient is in the tree's sample.
func (g *grower) draw(rng *rand.Rand) {
	clear(g.drawn)
	n := g.data.patients
	if !g.options.Subsample {
		for range g.options.sampled(n) {
			g.drawn[rng.IntN(n)]++
		}
		return
	}
	for i := range g.bag {
		g.bag[i] = int32(i)
	}
	for k := range g.options.sampled(n) {
		pick := k + rng.IntN(n-k)
		g.bag[k], g.bag[pick] = g.bag[pick], g.bag[k]
		g.drawn[g.bag[k]] = 1
	}
}

// part moves those who go right behind those who go left, keeping their order, and
// says where missing values of the feature go.
func (g *grower) part(patients []int32, c cutAt) (middle int, missingLeft bool) {
	codes, missing := g.data.codes[c.feature], uint16(len(g.data.low[c.feature]))
	g.right = g.right[:0]
	left, right := int32(0), int32(0)
	for _, p := range patients {
		v := codes[p]
		if int32(v) <= c.from || v == missing && c.missingLeft {
			patients[middle] = p
			middle++
			left += g.drawn[p]
		} else {
			g.right = append(g.right, p)
			right += g.drawn[p]
		}
	}
	copy(patients[middle:], g.right)
	if c.hadMissing {
		return middle, c.missingLeft
	}
	return middle, left > right
}
