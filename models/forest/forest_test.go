package forest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"hounsfield/models/tabular"
)

// fingerprint is everything that a forest says, to the last bit.
func fingerprint(t *testing.T, x [][]float64, f interface {
	Predict([][]float64) ([]float64, error)
	OutOfBag() OutOfBag
	Importance() []Importance
}) string {
	t.Helper()
	p, err := f.Predict(x)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x %x %+v", p, f.OutOfBag().Scores, f.Importance())
}

func TestSameForAnyNumberOfWorkers(t *testing.T) {
	x, y := messy(1, 90, 12)
	time, event := madeTimes(1, x, 10)
	fit := func(workers int, seed uint64) (string, string) {
		o := Options{Trees: 40, Seed: seed, Workers: workers, Permutation: true}
		f, err := Fit(x, nil, y, o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := FitSurvival(x, nil, time, event, o)
		if err != nil {
			t.Fatal(err)
		}
		return fingerprint(t, x, f), fingerprint(t, x, s)
	}
	f1, s1 := fit(1, 5)
	for _, workers := range []int{2, 7, 64} {
		if f, s := fit(workers, 5); f != f1 || s != s1 {
			t.Errorf("%d workers give another forest than one", workers)
		}
	}
	if f, s := fit(1, 6); f == f1 || s == s1 {
		t.Error("another seed gives the same forest")
	}
}

func TestInputsAreNotChanged(t *testing.T) {
	x, y := messy(2, 60, 4)
	before := fmt.Sprint(x, y)
	f, err := Fit(x, nil, y, Options{Trees: 5, Categorical: []bool{true, false, false, false}})
	if err != nil {
		t.Fatal(err)
	}
	fingerprint(t, x, f)
	if fmt.Sprint(x, y) != before {
		t.Error("Fit or Predict changed its input")
	}
	p := fingerprint(t, x, f)
	y[0], y[1] = !y[0], !y[1]
	if fingerprint(t, x, f) != p {
		t.Error("the forest changes with the caller's labels")
	}
}

// Only the order of values counts, among the patients trained on.
func TestMonotoneMapsChangeNothing(t *testing.T) {
	x, y := messy(3, 80, 6)
	mapped := make([][]float64, len(x))
	for j := range x {
		for _, v := range x[j] {
			mapped[j] = append(mapped[j], math.Exp(v)+float64(j))
		}
	}
	o := Options{Trees: 30, Seed: 1, Subsample: true, Fraction: 1}
	a, err := Fit(x, nil, y, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Fit(mapped, nil, y, o)
	if err != nil {
		t.Fatal(err)
	}
	pa, _ := a.Predict(x)
	pb, _ := b.Predict(mapped)
	if !slices.Equal(pa, pb) {
		t.Error("exp(x) gives other predictions than x")
	}
}

func TestSwappedLabelsSwapProbabilities(t *testing.T) {
	x, y := messy(4, 80, 6)
	other := make([]bool, len(y))
	for i := range y {
		other[i] = !y[i]
	}
	o := Options{Trees: 30, Seed: 1, Weights: [2]float64{1, 3}}
	a, err := Fit(x, nil, y, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Weights = [2]float64{3, 1}
	b, err := Fit(x, nil, other, o)
	if err != nil {
		t.Fatal(err)
	}
	pa, _ := a.Predict(x)
	pb, _ := b.Predict(x)
	for i := range pa {
		if math.Abs(pa[i]+pb[i]-1) > 1e-12 {
			t.Errorf("patient %d: %g and, labels swapped, %g", i, pa[i], pb[i])
		}
	}
}

func TestWeightsMoveProbabilities(t *testing.T) {
	x, y := made(5, 200, 5)
	mean := func(w [2]float64) float64 {
		f, err := Fit(x, nil, y, Options{Trees: 50, Weights: w})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		p, _ := f.Predict(x)
		for _, v := range p {
			sum += v
		}
		return sum / float64(len(p))
	}
	even := mean([2]float64{})
	if heavy, light := mean([2]float64{1, 4}), mean([2]float64{4, 1}); !(light < even-0.05 && even+0.05 < heavy) {
		t.Errorf("mean probability %g with weight 1/4, %g with 1, %g with 4", light, even, heavy)
	}
	if same := mean([2]float64{2, 2}); math.Abs(same-even) > 1e-12 {
		t.Errorf("weights 2 and 2 give %g, 1 and 1 %g", same, even)
	}
}

func TestBins(t *testing.T) {
	// 10 bins of 1000 values hold 100 each; ties are never parted.
	var sorted []float64
	for i := range 1000 {
		sorted = append(sorted, float64(i/7))
	}
	low, high := cutBins(sorted, 143, 10)
	if len(low) != 10 || len(high) != 10 {
		t.Fatalf("%d bins, want 10", len(low))
	}
	for b := range low {
		if low[b] > high[b] || b > 0 && low[b] <= high[b-1] {
			t.Errorf("bin %d from %g to %g after %g", b, low[b], high[b], high[max(0, b-1)])
		}
		if n := (high[b] - low[b] + 1) * 7; n < 90 || n > 110 {
			t.Errorf("bin %d holds about %g of 1000", b, n)
		}
	}
	// As many bins as values, and the exact search, are the same.
	x, y := messy(6, 100, 4)
	a, err := Fit(x, nil, y, Options{Trees: 20, Bins: 100})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Fit(x, nil, y, Options{Trees: 20, Bins: 2, Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint(t, x, a) != fingerprint(t, x, b) {
		t.Error("100 bins for 100 patients differ from the exact search")
	}
	// Two bins leave one cut: trees of one feature are stumps at the median.
	c, err := Fit([][]float64{x[3]}, nil, y, Options{Trees: 1, Subsample: true, Fraction: 1, Bins: 2, MinNode: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.trees[0].nodes) != 3 {
		t.Errorf("a tree over two bins has %d nodes, want 3", len(c.trees[0].nodes))
	}
}

func TestCutsLieBetweenNeighbours(t *testing.T) {
	d := &binned{}
	for _, p := range [][2]float64{{1, 2}, {-3, 5}, {1, math.Nextafter(1, 2)}, {-math.MaxFloat64, math.MaxFloat64}, {math.MaxFloat64 / 2, math.MaxFloat64}, {0, 5e-324}, {5e-324, 1e-323}} {
		d.low, d.high = [][]float64{{p[0], p[1]}}, [][]float64{{p[0], p[1]}}
		if c := d.between(0, 0, 1); !(p[0] <= c && c < p[1]) {
			t.Errorf("the cut between %g and %g is %g", p[0], p[1], c)
		}
	}
}

func TestMissingValues(t *testing.T) {
	nan := math.NaN()
	o := whole(1)
	grow := func(column []float64, y []bool) *Classifier {
		t.Helper()
		f, err := Fit([][]float64{column}, nil, y, o)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	at := func(f *Classifier, v float64) float64 {
		p, err := f.Predict([][]float64{{v}})
		if err != nil {
			t.Fatal(err)
		}
		return p[0]
	}
	// Missing alone tells the classes apart.
	f := grow([]float64{1, 2, 3, nan, nan}, []bool{false, false, false, true, true})
	if at(f, 2) != 0 || at(f, 1e300) != 0 || at(f, nan) != 1 {
		t.Errorf("known: %g, %g; missing: %g", at(f, 2), at(f, 1e300), at(f, nan))
	}
	// Missing goes with the side it resembles.
	f = grow([]float64{1, 2, 8, 9, nan}, []bool{false, false, true, true, true})
	if at(f, nan) != 1 || at(f, 4) != 0 || at(f, 6) != 1 {
		t.Errorf("missing as high: %g; 4: %g; 6: %g", at(f, nan), at(f, 4), at(f, 6))
	}
	f = grow([]float64{1, 2, 8, 9, nan}, []bool{true, true, false, false, true})
	if at(f, nan) != 1 || at(f, 4) != 1 || at(f, 6) != 0 {
		t.Errorf("missing as low: %g; 4: %g; 6: %g", at(f, nan), at(f, 4), at(f, 6))
	}
	// Unseen in training: with the majority, right if equal.
	if f = grow([]float64{1, 8, 9}, []bool{false, true, true}); at(f, nan) != 1 {
		t.Errorf("with the majority on the right: %g", at(f, nan))
	}
	if f = grow([]float64{1, 2, 9}, []bool{false, false, true}); at(f, nan) != 0 {
		t.Errorf("with the majority on the left: %g", at(f, nan))
	}
	if f = grow([]float64{1, 9}, []bool{false, true}); at(f, nan) != 1 {
		t.Errorf("with equal halves: %g", at(f, nan))
	}
	// Nothing known: no split.
	if f = grow([]float64{nan, nan, nan, nan}, []bool{false, true, true, true}); at(f, nan) != 0.75 || at(f, 0) != 0.75 {
		t.Errorf("nothing known: %g, %g", at(f, nan), at(f, 0))
	}
	// A level that training did not have is missing.
	o.Categorical = []bool{true}
	f = grow([]float64{7, 7, 2, 2, nan}, []bool{false, false, true, true, true})
	if at(f, 7) != 0 || at(f, 2) != 1 || at(f, 5) != 1 {
		t.Errorf("levels 7 and 2: %g, %g; unknown level: %g", at(f, 7), at(f, 2), at(f, 5))
	}
}

// Levels of survival lie in order of observed over expected deaths.
func TestSurvivalCategories(t *testing.T) {
	var column, time []float64
	var event []bool
	for i := range 90 {
		level := i % 3 // deaths at about 50, 500 and 200 days
		column = append(column, []float64{4, 1, 9}[level])
		time = append(time, []float64{50, 500, 200}[level]+float64(i))
		event = append(event, true)
	}
	o := whole(1)
	o.MinNode, o.Categorical = 3, []bool{true}
	f, err := FitSurvival([][]float64{column}, []string{"stage"}, time, event, o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Predict([][]float64{{4, 9, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if !(p[0] > p[1] && p[1] > p[2]) || !(f.levels[0][4] > f.levels[0][9] && f.levels[0][9] > f.levels[0][1]) {
		t.Errorf("risks of early, middle, late death %v, order %v", p, f.levels[0])
	}
}

func TestSurvivalProperties(t *testing.T) {
	x, _ := messy(7, 120, 6)
	time, event := madeTimes(7, x, 20)
	f, err := FitSurvival(x, nil, time, event, Options{Trees: 100, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	hazard, err := f.CumulativeHazard(x)
	if err != nil {
		t.Fatal(err)
	}
	score, err := f.Predict(x)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range hazard {
		sum := 0.0
		for k, v := range h {
			sum += v
			if v < 0 || k > 0 && v < h[k-1] || math.IsInf(v, 0) || v != v {
				t.Fatalf("patient %d: cumulative hazard %v", i, h)
			}
		}
		if math.Abs(sum-score[i]) > 1e-9*sum {
			t.Errorf("patient %d: score %g, hazards sum to %g", i, score[i], sum)
		}
	}
	if c := f.OutOfBag().C; c < 0.6 {
		t.Errorf("out-of-bag C is %g for data with a strong effect", c)
	}
	if o := f.OutOfBag(); !math.IsNaN(o.AUC) || !math.IsNaN(o.Brier) {
		t.Errorf("a survival forest has no AUC or Brier score: %+v", o)
	}
}

func TestImportanceFindsWhatMatters(t *testing.T) {
	x, y := made(8, 300, 10)
	f, err := Fit(x, strings.Split("abcdefghij", ""), y, Options{Trees: 200, Permutation: true})
	if err != nil {
		t.Fatal(err)
	}
	v := f.Importance()
	for j := range v {
		if v[j].Feature != j || v[j].Name != string(rune('a'+j)) {
			t.Errorf("entry %d is %+v", j, v[j])
		}
		if j >= 2 && (v[j].Permutation > v[1].Permutation/4 || v[j].Impurity > v[1].Impurity) || math.Abs(v[max(2, j)].Permutation) > 0.01 {
			t.Errorf("noise %+v, second effect %+v", v[j], v[1])
		}
	}
	if v[0].Permutation <= v[1].Permutation {
		t.Errorf("the stronger effect %+v is below the weaker %+v", v[0], v[1])
	}
	f, err = Fit(x, nil, y, Options{Trees: 2})
	if err != nil {
		t.Fatal(err)
	}
	if v := f.Importance()[0]; !math.IsNaN(v.Permutation) || v.Name != "" {
		t.Errorf("not asked for, yet %+v", v)
	}
}

func TestEdges(t *testing.T) {
	// A constant feature, two patients, an empty table to predict.
	f, err := Fit([][]float64{{4, 4}}, nil, []bool{true, false}, Options{Trees: 3, Subsample: true, Fraction: 1, MinNode: 1})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := f.Predict([][]float64{{1, 9}}); err != nil || p[0] != 0.5 || p[1] != 0.5 {
		t.Errorf("constant feature: %v, %v", p, err)
	}
	if p, err := f.Predict([][]float64{{}}); err != nil || len(p) != 0 {
		t.Errorf("nobody to predict for: %v, %v", p, err)
	}
	if o := f.OutOfBag(); o.Patients != 0 || !math.IsNaN(o.AUC) || !math.IsNaN(o.Brier) || !math.IsNaN(o.Scores[0]) {
		t.Errorf("everybody in every tree: %+v", o)
	}
	// One survivor more than a death: nothing to split, one step of hazard.
	s, err := FitSurvival([][]float64{{1, 2, 3}}, nil, []float64{5, 7, 9}, []bool{false, true, false}, Options{Trees: 1, Subsample: true, Fraction: 1})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := s.CumulativeHazard([][]float64{{2}}); err != nil || len(h) != 1 || len(h[0]) != 1 || h[0][0] != 0.5 || s.Times()[0] != 7 {
		t.Errorf("hazard %v at %v, %v", h, s.Times(), err)
	}
	if h, err := s.CumulativeHazard([][]float64{{}}); err != nil || len(h) != 0 {
		t.Errorf("nobody to predict for: %v, %v", h, err)
	}
}

func TestErrors(t *testing.T) {
	x, y := [][]float64{{1, 2, 3}, {4, 5, 6}}, []bool{true, false, true}
	names := []string{"age", "volume"}
	time, event := []float64{1, 2, 3}, []bool{true, true, false}
	fit := func(o Options) error { _, err := Fit(x, names, y, o); return err }
	survive := func(time []float64, event []bool, o Options) error {
		_, err := FitSurvival(x, names, time, event, o)
		return err
	}
	f, err := Fit(x, names, y, Options{Trees: 1})
	if err != nil {
		t.Fatal(err)
	}
	second := func(_ any, err error) error { return err }
	many, manyY := make([]float64, 70_000), make([]bool, 70_000)
	for i := range many {
		many[i], manyY[i] = float64(i), i%2 == 0
	}
	for name, c := range map[string]struct {
		err      error
		argument string
	}{
		"empty":            {second(Fit(nil, nil, nil, Options{})), "y"},
		"no features":      {second(Fit(nil, nil, y, Options{})), "x"},
		"ragged":           {second(Fit([][]float64{{1, 2}, {1, 2, 3}}, nil, y, Options{})), "x"},
		"infinite":         {second(Fit([][]float64{{1, 2, math.Inf(1)}}, nil, y, Options{})), "x"},
		"one class":        {second(Fit(x, names, []bool{true, true, true}, Options{})), "y"},
		"trees":            {fit(Options{Trees: -1}), "Options.Trees"},
		"features":         {fit(Options{Features: 3}), "Options.Features"},
		"fraction":         {fit(Options{Subsample: true, Fraction: 1.5}), "Options.Fraction"},
		"fraction NaN":     {fit(Options{Fraction: math.NaN()}), "Options.Fraction"},
		"fraction of none": {fit(Options{Fraction: 0.1}), "Options.Fraction"},
		"weights":          {fit(Options{Weights: [2]float64{1, 0}}), "Options.Weights"},
		"bins":             {fit(Options{Bins: 1}), "Options.Bins"},
		"many bins":        {fit(Options{Bins: 1 << 16}), "Options.Bins"},
		"categorical":      {fit(Options{Categorical: []bool{true}}), "Options.Categorical"},
		"too exact":        {second(Fit([][]float64{many}, nil, manyY, Options{Exact: true})), "x"},
		"event length":     {survive(time, event[:2], Options{}), "event"},
		"negative time":    {survive([]float64{1, -2, 3}, event, Options{}), "time"},
		"NaN time":         {survive([]float64{1, math.NaN(), 3}, event, Options{}), "time"},
		"all censored":     {survive(time, make([]bool, 3), Options{}), "event"},
		"survival weights": {survive(time, event, Options{Weights: [2]float64{1, 2}}), "Options.Weights"},
		"other features":   {second(f.Predict(x[:1])), "x"},
		"ragged new":       {second(f.Predict([][]float64{{1}, {1, 2}})), "x"},
		"half empty new":   {second(f.Predict([][]float64{{}, {1, 2}})), "x"},
	} {
		var input *tabular.InputError
		if !errors.As(c.err, &input) || input.Argument != c.argument || input.Next == "" || !strings.HasPrefix(c.err.Error(), "forest.") {
			t.Errorf("%s: got %v, want an InputError about %s", name, c.err, c.argument)
		}
	}
}
