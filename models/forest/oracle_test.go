package forest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats"
)

// whole is a forest of one tree that sees everybody and tries every feature.
func whole(features int) Options {
	return Options{Trees: 1, Features: features, Subsample: true, Fraction: 1, MinNode: 1, Exact: true, Seed: 3}
}

// messy draws a table with ties and missing values.
func messy(seed uint64, patients, features int) ([][]float64, []bool) {
	x, y := made(seed, patients, features)
	rng := rand.New(rand.NewPCG(seed, 2))
	for j := range x {
		for i := range x[j] {
			if j%2 == 0 {
				x[j][i] = math.Round(3 * x[j][i])
			}
			if j%3 == 1 && rng.Float64() < 0.2 {
				x[j][i] = math.NaN()
			}
		}
	}
	return x, y
}

// sides lists every way to part the patients by a feature: all cuts between distinct
// values with missing values on either side, and known against missing.
func sides(column []float64, patients []int) [][2][]int {
	var cuts []float64
	missing := false
	for _, i := range patients {
		if math.IsNaN(column[i]) {
			missing = true
		} else {
			cuts = append(cuts, column[i])
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var all [][2][]int
	for k, cut := range cuts {
		for _, missingLeft := range []bool{false, true} {
			if missingLeft && !missing || k == len(cuts)-1 && (missingLeft || !missing) {
				continue
			}
			var s [2][]int
			for _, i := range patients {
				if column[i] <= cut || math.IsNaN(column[i]) && missingLeft {
					s[0] = append(s[0], i)
				} else {
					s[1] = append(s[1], i)
				}
			}
			all = append(all, s)
		}
	}
	return all
}

// impurity is Gini's, times the weight of the patients.
func impurity(patients []int, y []bool, w [2]float64) float64 {
	var sum [2]float64
	for _, i := range patients {
		if y[i] {
			sum[1] += w[1]
		} else {
			sum[0] += w[0]
		}
	}
	n := sum[0] + sum[1]
	if n == 0 {
		return 0
	}
	return n * (1 - sum[0]/n*sum[0]/n - sum[1]/n*sum[1]/n)
}

// Every split of a tree must be as good as the best that an exhaustive search finds,
// every leaf must be one for a reason, and hold the right value. Of splits equally
// good any will do, so the tree itself is walked rather than compared.
func TestSplitsAreTheBestOfAll(t *testing.T) {
	for seed := range uint64(6) {
		const features = 6
		x, y := messy(seed, 70, features)
		o := whole(features)
		o.MinNode, o.MinLeaf = []int{1, 1, 5}[seed%3], []int{1, 3}[seed%2]
		if seed >= 3 {
			o.Weights = [2]float64{1, 2.5}
		}
		w := o.Weights
		if w == [2]float64{} {
			w = [2]float64{1, 1}
		}
		f, err := Fit(x, nil, y, o)
		if err != nil {
			t.Fatal(err)
		}
		splits := 0
		total := make([]float64, features)
		walk(&f.trees[0], x, all(len(y)), func(n *node, patients []int, s [2][]int) {
			here := impurity(patients, y, w)
			best := -1.0
			for j := range x {
				for _, c := range sides(x[j], patients) {
					if min(len(c[0]), len(c[1])) >= o.MinLeaf {
						best = max(best, here-impurity(c[0], y, w)-impurity(c[1], y, w))
					}
				}
			}
			if n.feature < 0 {
				if here > 0 && len(patients) > o.MinNode && best >= 0 {
					t.Errorf("seed %d: a leaf of %d patients could gain %g", seed, len(patients), best)
				}
				positive, sum := 0.0, 0.0
				for _, i := range patients {
					if y[i] {
						positive += w[1]
						sum += w[1]
					} else {
						sum += w[0]
					}
				}
				if math.Abs(n.cut-positive/sum) > 1e-15 {
					t.Errorf("seed %d: leaf says %g, its patients %g", seed, n.cut, positive/sum)
				}
				return
			}
			splits++
			got := here - impurity(s[0], y, w) - impurity(s[1], y, w)
			total[n.feature] += got
			if math.Abs(got-best) > 1e-10 || here == 0 || len(patients) <= o.MinNode || min(len(s[0]), len(s[1])) < o.MinLeaf {
				t.Errorf("seed %d: split of %d into %d and %d gains %g, the best is %g", seed, len(patients), len(s[0]), len(s[1]), got, best)
			}
		})
		if splits < 5 {
			t.Errorf("seed %d: only %d splits were checked", seed, splits)
		}
		for j, v := range f.Importance() {
			if math.Abs(v.Impurity-total[j]) > 1e-9 {
				t.Errorf("seed %d: impurity importance of %d is %g, summed over the splits %g", seed, j, v.Impurity, total[j])
			}
		}
	}
}

func all(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	return p
}

// walk visits the nodes with their patients, and with the sides of a split, by values.
func walk(t *tree, x [][]float64, patients []int, visit func(n *node, patients []int, sides [2][]int)) {
	var at func(n *node, patients []int)
	at = func(n *node, patients []int) {
		if n.feature < 0 {
			visit(n, patients, [2][]int{})
			return
		}
		var s [2][]int
		for _, i := range patients {
			v := x[n.feature][i]
			if v <= n.cut || math.IsNaN(v) && n.missingLeft {
				s[0] = append(s[0], i)
			} else {
				s[1] = append(s[1], i)
			}
		}
		visit(n, patients, s)
		at(&t.nodes[n.left], s[0])
		at(&t.nodes[n.left+1], s[1])
	}
	at(&t.nodes[0], patients)
}

// With one feature there is one rule for ties, the lowest cut, so the whole tree is
// determined: a slow one grown by recursion must predict the same.
func TestTreeEqualsSlowTree(t *testing.T) {
	for seed := range uint64(5) {
		x, y := made(seed, 80, 1)
		for i := range x[0] {
			x[0][i] = math.Round(x[0][i]*8) / 8
		}
		var slow func(patients []int) func(float64) float64
		slow = func(patients []int) func(float64) float64 {
			here := impurity(patients, y, [2]float64{1, 1})
			positive := 0.0
			for _, i := range patients {
				if y[i] {
					positive++
				}
			}
			best, chosen := -1.0, [2][]int{}
			for _, c := range sides(x[0], patients) {
				// Beyond rounding: equal gains are equal fractions.
				if g := here - impurity(c[0], y, [2]float64{1, 1}) - impurity(c[1], y, [2]float64{1, 1}); g > best+1e-9 {
					best, chosen = g, c
				}
			}
			if here == 0 || best < 0 {
				return func(float64) float64 { return positive / float64(len(patients)) }
			}
			low, high := math.Inf(-1), math.Inf(1)
			for _, i := range chosen[0] {
				low = max(low, x[0][i])
			}
			for _, i := range chosen[1] {
				high = min(high, x[0][i])
			}
			left, right := slow(chosen[0]), slow(chosen[1])
			return func(v float64) float64 {
				if v <= (low+high)/2 {
					return left(v)
				}
				return right(v)
			}
		}
		f, err := Fit(x, nil, y, whole(1))
		if err != nil {
			t.Fatal(err)
		}
		want := slow(all(len(y)))
		for v := -3.0; v <= 3; v += 0.01 {
			got, err := f.Predict([][]float64{{v}})
			if err != nil {
				t.Fatal(err)
			}
			if got[0] != want(v) {
				t.Errorf("seed %d: at %.2f the tree says %g, the slow tree %g", seed, v, got[0], want(v))
			}
		}
	}
}

// The same walk for survival, with stats.LogRank as the judge of every cut, patients
// drawn several times counted several times.
func TestLogRankSplitsAreTheBestOfAll(t *testing.T) {
	for seed := range uint64(4) {
		const features = 4
		x, _ := messy(seed, 60, features)
		time, event := madeTimes(seed, x, 40)
		o := Options{Trees: 1, Features: features, Exact: true, Seed: seed}
		f, err := FitSurvival(x, nil, time, event, o)
		if err != nil {
			t.Fatal(err)
		}
		drawn := make([]int32, len(time))
		g := newGrower(&binned{patients: len(time), codes: make([][]uint16, features)}, Options{Fraction: 1}, nil)
		g.draw(rand.New(rand.NewPCG(seed, 0)))
		copy(drawn, g.drawn)
		repeat := func(patients []int) (ts []float64, es []bool) {
			for _, i := range patients {
				for range drawn[i] {
					ts, es = append(ts, time[i]), append(es, event[i])
				}
			}
			return ts, es
		}
		statistic := func(s [2][]int) float64 {
			t0, e0 := repeat(s[0])
			t1, e1 := repeat(s[1])
			if min(len(t0), len(t1)) < 3 {
				return -1
			}
			group := append(make([]int, len(t0)), slices.Repeat([]int{1}, len(t1))...)
			r, err := stats.LogRank(append(t0, t1...), append(e0, e1...), group)
			if err != nil || math.IsNaN(r.ChiSquare) {
				return -1
			}
			return r.ChiSquare
		}
		var inBag []int
		for i, n := range drawn {
			if (n > 0) != f.trees[0].used(i) {
				t.Fatalf("seed %d: the sample was not repeated", seed)
			}
			if n > 0 {
				inBag = append(inBag, i)
			}
		}
		splits := 0
		walk(&f.trees[0], x, inBag, func(n *node, patients []int, s [2][]int) {
			ts, es := repeat(patients)
			best := -1.0
			for j := range x {
				for _, c := range sides(x[j], patients) {
					best = max(best, statistic(c))
				}
			}
			if n.feature >= 0 {
				splits++
				if got := statistic(s); math.Abs(got-best) > 1e-9*best {
					t.Errorf("seed %d: split of %d has chi-square %g, the best %g", seed, len(ts), got, best)
				}
				return
			}
			if len(ts) > 3 && best > 0 {
				t.Errorf("seed %d: a leaf of %d could be split, chi-square %g", seed, len(ts), best)
			}
			sum := 0.0 // Nelson-Aalen, from its definition
			for _, at := range f.Times() {
				deaths, risk := 0.0, 0.0
				for i, v := range ts {
					if v >= at {
						risk++
					}
					if v == at && es[i] {
						deaths++
					}
				}
				if risk > 0 {
					sum += deaths / risk * float64(len(f.Times())-slices.Index(f.Times(), at))
				}
			}
			if math.Abs(sum-n.cut) > 1e-10 {
				t.Errorf("seed %d: leaf says %g deaths, its patients %g", seed, n.cut, sum)
			}
		})
		if splits < 4 {
			t.Errorf("seed %d: only %d splits were checked", seed, splits)
		}
	}
}

// Codes are listed by looking or by sorting, whichever is quicker: the same list.
func TestTabulateBothWays(t *testing.T) {
	x, y := made(1, 40_000, 1)
	x[0][7], x[0][39] = math.NaN(), math.NaN()
	d, err := bin("test", x, nil, Options{Exact: true, Workers: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newGini(d, Options{MinNode: 1, MinLeaf: 1, Weights: [2]float64{1, 1}}, y)
	drawn := make([]int32, len(y))
	for i := range drawn {
		drawn[i] = int32(i % 4)
	}
	g.begin(drawn)
	for _, n := range []int32{2, 40, 70, 90, 20_000} { // 626 words: sorted up to 78 patients
		patients := make([]int32, n)
		want := map[int32]uint64{}
		for i := range patients {
			patients[i] = int32(i)
			c := uint64(drawn[i])
			if y[i] {
				c <<= 32
			}
			want[int32(d.codes[0][i])] += c
		}
		g.enter(patients)
		g.tabulate(0)
		if len(g.codes) != len(want) || !slices.IsSortedFunc(g.codes, cmp.Compare[int32]) {
			t.Errorf("%d patients: %d codes, want %d", n, len(g.codes), len(want))
		}
		for k, c := range g.codes {
			if g.at[k] != want[c] {
				t.Errorf("%d patients: count at code %d is %x, want %x", n, c, g.at[k], want[c])
			}
		}
	}
}

// An order by the share of true contains the best of all 2^(levels-1) - 1 partitions
// (Breiman 1984, theorem 4.5).
func TestOrderedCategoriesHoldTheBestPartition(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 0))
	for trial := range 20 {
		const levels = 6
		column, y := make([]float64, 60), make([]bool, 60)
		for i := range column {
			column[i] = float64(10 * rng.IntN(levels))
			y[i] = rng.Float64() < 0.2+0.6*math.Abs(math.Sin(column[i]+float64(trial)))
		}
		o := whole(1)
		o.MaxDepth, o.Categorical = 1, []bool{true}
		f, err := Fit([][]float64{column}, nil, y, o)
		if err != nil {
			t.Fatal(err)
		}
		here, best := impurity(all(60), y, [2]float64{1, 1}), 0.0
		for subset := 1; subset < 1<<levels-1; subset++ {
			var s [2][]int
			for i, v := range column {
				s[subset>>int(v/10)&1] = append(s[subset>>int(v/10)&1], i)
			}
			best = max(best, here-impurity(s[0], y, [2]float64{1, 1})-impurity(s[1], y, [2]float64{1, 1}))
		}
		if got := f.Importance()[0].Impurity; math.Abs(got-best) > 1e-10 {
			t.Errorf("trial %d: the split gains %g, the best partition %g", trial, got, best)
		}
	}
}

func TestOutOfBagIsTheMeanOfTreesThatDidNotSee(t *testing.T) {
	x, y := messy(9, 50, 5)
	f, err := Fit(x, nil, y, Options{Trees: 7, Seed: 2, Permutation: true})
	if err != nil {
		t.Fatal(err)
	}
	r := f.OutOfBag()
	without := 0
	for i := range y {
		var seen []string
		sum, n := 0.0, 0
		for k := range f.trees {
			g := newGrower(&binned{patients: len(y), codes: make([][]uint16, 5)}, Options{Fraction: 1}, nil)
			g.draw(rand.New(rand.NewPCG(2, uint64(k))))
			if g.drawn[i] == 0 {
				one := core{trees: f.trees[k : k+1]}
				sum += one.mean(x)[i]
				n++
			}
			seen = append(seen, fmt.Sprint(g.drawn[i]))
		}
		if n != r.Trees[i] || n > 0 && math.Abs(sum/float64(n)-r.Scores[i]) > 1e-15 || n == 0 && !math.IsNaN(r.Scores[i]) {
			t.Errorf("patient %d, drawn %v: out of bag %g of %d trees, want %g of %d", i, seen, r.Scores[i], r.Trees[i], sum/float64(n), n)
		}
		if n == 0 {
			without++
		}
	}
	if without == 0 || r.Patients != len(y)-without {
		t.Errorf("%d patients without a score, %d of %d with one: choose a seed with some", without, r.Patients, len(y))
	}
}
