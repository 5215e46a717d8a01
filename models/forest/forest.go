package forest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"hounsfield/models/tabular"
)

// core is what both kinds of forest are.
type core struct {
	names      []string // nil or one per feature
	levels     []levels
	trees      []tree
	outOfBag   []float64 // mean prediction of the trees that did not see the patient; NaN for none
	votes      []int     // how many trees that were
	importance []Importance
}

// Importance says how much a forest used a feature.
type Importance struct {
	Feature int    // column of x
	Name    string // "" if no names were given
	// Impurity is what the feature's splits gained, summed in each tree, averaged over
	// trees: the fall of Gini impurity times the node's patients (ranger's
	// importance="impurity", randomForest's MeanDecreaseGini), or the log-rank |z|. It
	// favours features with many values; 0 = never used.
	Impurity float64
	// Permutation is the rise of a tree's error on its out-of-bag patients when the
	// feature's values are shuffled among them, averaged over trees: of the mean of
	// (1 - share of the true class)^2, or of 1 - Harrell's C. About 0, also below, for
	// a useless feature. NaN unless Options.Permutation asked for it. In R:
	// importance="permutation", scale.permutation.importance=FALSE.
	Permutation float64
}

// Importance has one entry per feature, in the order of x. The slice is a copy.
func (f *core) Importance() []Importance { return append([]Importance(nil), f.importance...) }

// grow grows all trees and computes what follows from them. loss is the error of
// predictions for out-of-bag patients; NaN if it is undefined for them.
func (f *core) grow(d *binned, o Options, criterion func() criterion, loss func(patients []int32, predicted []float64) float64) {
	f.trees = make([]tree, o.Trees)
	shuffled := make([][]gain, o.Trees)
	parallel(o.Workers, o.Trees, func() func(int) {
		g := newGrower(d, o, criterion())
		p := permuter{data: d, options: o, loss: loss}
		return func(t int) {
			f.trees[t] = g.grow(t)
			if o.Permutation {
				shuffled[t] = p.run(&f.trees[t], t)
			}
		}
	})
	f.levels = d.levels
	f.outOfBag, f.votes = make([]float64, d.patients), make([]int, d.patients)
	parallel(o.Workers, d.patients, func() func(int) {
		return func(i int) {
			sum := 0.0
			for t := range f.trees {
				if !f.trees[t].used(i) {
					sum += f.trees[t].leaf(d.values, i).cut
					f.votes[i]++
				}
			}
			f.outOfBag[i] = sum / float64(f.votes[i]) // 0/0 is NaN
		}
	})
	f.importance = make([]Importance, len(d.codes))
	for j := range f.importance {
		f.importance[j].Feature = j
		if f.names != nil {
			f.importance[j].Name = f.names[j]
		}
		if !o.Permutation {
			f.importance[j].Permutation = math.NaN()
		}
	}
	for t := range f.trees { // in the trees' order: sums are the same for any workers
		for _, g := range f.trees[t].impurity {
			f.importance[g.feature].Impurity += g.amount / float64(o.Trees)
		}
		for _, g := range shuffled[t] {
			f.importance[g.feature].Permutation += g.amount / float64(o.Trees)
		}
		f.trees[t].impurity = nil
	}
}

// permuter computes one tree's permutation importance.
type permuter struct {
	data      *binned
	options   Options
	loss      func([]int32, []float64) float64
	patients  []int32
	others    []int32
	predicted []float64
}

func (p *permuter) run(t *tree, number int) []gain {
	p.patients = p.patients[:0]
	for i := range p.data.patients {
		if !t.used(i) {
			p.patients = append(p.patients, int32(i))
		}
	}
	p.predicted = p.predicted[:0]
	for _, i := range p.patients {
		p.predicted = append(p.predicted, t.leaf(p.data.values, int(i)).cut)
	}
	before := p.loss(p.patients, p.predicted)
	if math.IsNaN(before) {
		return nil
	}
	var gains []gain
	seen := map[int32]bool{}
	for k := range t.nodes {
		feature := t.nodes[k].feature
		if feature < 0 || seen[feature] { // features not in the tree cannot change it
			continue
		}
		seen[feature] = true
		// A generator of its own for each tree and feature.
		rng := rand.New(rand.NewPCG(p.options.Seed^0x9e3779b97f4a7c15, uint64(number)<<32|uint64(feature)))
		p.others = append(p.others[:0], p.patients...)
		rng.Shuffle(len(p.others), func(a, b int) { p.others[a], p.others[b] = p.others[b], p.others[a] })
		for at, i := range p.patients {
			p.predicted[at] = t.leafWith(p.data.values, int(i), feature, int(p.others[at])).cut
		}
		if after := p.loss(p.patients, p.predicted); !math.IsNaN(after) {
			gains = append(gains, gain{feature, after - before})
		}
	}
	return gains
}

// prepare checks a table to predict for and puts its categories in order.
func (f *core) prepare(function string, x [][]float64) ([][]float64, error) {
	if len(x) != len(f.levels) {
		return nil, tabular.Refuse(function, "x", fmt.Sprintf("%d features", len(x)), fmt.Sprintf("%d, those of the training table in its order", len(f.levels)),
			"select the columns by the names used in training")
	}
	patients := 0
	for _, column := range x {
		patients = max(patients, len(column))
	}
	if patients == 0 {
		return nil, nil // nobody to predict for
	}
	if err := tabular.Check(function, x, f.names, patients, true); err != nil {
		return nil, err
	}
	values := append([][]float64(nil), x...)
	for j, l := range f.levels {
		if l != nil {
			values[j] = l.place(x[j])
		}
	}
	return values, nil
}

// mean is the mean prediction of all trees for each patient.
func (f *core) mean(values [][]float64) []float64 {
	if len(values) == 0 {
		return nil
	}
	scores := make([]float64, len(values[0]))
	parallel(workersFor(len(scores)*len(f.trees)), len(scores), func() func(int) {
		return func(i int) {
			sum := 0.0
			for t := range f.trees {
				sum += f.trees[t].leaf(values, i).cut
			}
			scores[i] = sum / float64(len(f.trees))
		}
	})
	return scores
}
