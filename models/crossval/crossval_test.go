package crossval_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hounsfield/models/crossval"
	"hounsfield/models/forest"
	"hounsfield/models/linear"
	"hounsfield/models/selection"
	"hounsfield/models/tabular"
	"hounsfield/stats"
)

// noise is a table that says nothing about the label.
func noise(seed uint64, patients, features int) crossval.Data {
	rng := rand.New(rand.NewPCG(seed, 0))
	d := crossval.Data{X: make([][]float64, features)}
	for j := range d.X {
		for range patients {
			d.X[j] = append(d.X[j], rng.NormFloat64())
		}
	}
	for i := range patients {
		d.Y = append(d.Y, i%2 == 0)
	}
	return d
}

// signal is a table whose first feature tells the label, with some noise.
func signal(seed uint64, patients, features int) crossval.Data {
	d := noise(seed, patients, features)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i, v := range d.X[0] {
		d.Y[i] = v+rng.NormFloat64() > 0
	}
	return d
}

// ridge fits a penalised regression to the features it is given.
func ridge(_ context.Context, train crossval.Data, _ uint64) (crossval.Model, error) {
	path, err := linear.Penalised(train.X, train.Names, train.Y, linear.Penalty{Lambda: []float64{0.1}})
	return pathModel{path, nil}, err
}

// pathModel predicts with the only strength, from some of the columns.
type pathModel struct {
	path    *linear.Path
	columns []int // nil = all
}

func (m pathModel) Predict(x [][]float64) ([]float64, error) {
	if m.columns != nil {
		x = pick(x, m.columns)
	}
	return m.path.Predict(x, 0)
}

func pick(x [][]float64, columns []int) [][]float64 {
	var some [][]float64
	for _, j := range columns {
		some = append(some, x[j])
	}
	return some
}

func choose(d crossval.Data) ([]int, error) {
	choices, err := selection.MRMR(d.X, nil, selection.Labels(d.Y), 10, selection.Pearson)
	var columns []int
	for _, c := range choices {
		columns = append(columns, c.Feature)
	}
	return columns, err
}

// Choosing features on all patients before the folds are made is the leak that this
// package is built against: on noise it shows a splendid AUC, and none when the choice
// is part of the fit.
func TestALeakShows(t *testing.T) {
	var leaked, honest float64
	const trials = 3
	for trial := range uint64(trials) {
		d := noise(trial, 80, 1000)
		columns, err := choose(d)
		if err != nil {
			t.Fatal(err)
		}
		o := crossval.Options{Folds: 5, Repeats: 2, Seed: trial}
		r, err := crossval.Run(t.Context(), crossval.Data{X: pick(d.X, columns), Y: d.Y}, ridge, o)
		if err != nil {
			t.Fatal(err)
		}
		leaked += r.MeanAUC / trials
		r, err = crossval.Run(t.Context(), d, func(ctx context.Context, train crossval.Data, seed uint64) (crossval.Model, error) {
			columns, err := choose(train)
			if err != nil {
				return nil, err
			}
			train.X = pick(train.X, columns)
			m, err := ridge(ctx, train, seed)
			if err != nil {
				return nil, err
			}
			return pathModel{m.(pathModel).path, columns}, nil
		}, o)
		if err != nil {
			t.Fatal(err)
		}
		honest += r.MeanAUC / trials
	}
	t.Logf("mean AUC on noise: %.3f with features chosen on all patients, %.3f chosen in the fold", leaked, honest)
	// The AUC of 240 patients of noise has a standard error of 0.04.
	if leaked < 0.8 || math.Abs(honest-0.5) > 0.12 {
		t.Errorf("features chosen on all patients: AUC %.3f, want at least 0.8; in the fold %.3f, want about 0.5", leaked, honest)
	}
}

func TestStratified(t *testing.T) {
	for _, c := range []struct{ n, positives, k int }{{10, 5, 5}, {293, 150, 5}, {206, 60, 10}, {23, 4, 4}, {7, 2, 2}} {
		y := make([]bool, c.n)
		for i := range c.positives {
			y[i] = true
		}
		fold, err := crossval.Stratified(y, c.k, 1)
		if err != nil {
			t.Fatal(err)
		}
		sizes, trues := make([]int, c.k), make([]int, c.k)
		for i, f := range fold {
			sizes[f]++
			if y[i] {
				trues[f]++
			}
		}
		if slices.Max(sizes)-slices.Min(sizes) > 1 || slices.Max(trues)-slices.Min(trues) > 1 {
			t.Errorf("%+v: sizes %v, true %v", c, sizes, trues)
		}
		again, _ := crossval.Stratified(y, c.k, 1)
		other, _ := crossval.Stratified(y, c.k, 2)
		if !slices.Equal(fold, again) || c.n > 20 && slices.Equal(fold, other) {
			t.Errorf("%+v: the same seed must give the same folds, another seed others", c)
		}
	}
}

// The fit gets the training rows only, as copies, and every patient is scored once in
// each repeat by a model that had not seen it.
func TestFitSeesTheTrainingFoldsOnly(t *testing.T) {
	d := noise(1, 30, 2)
	d.Names = []string{"number", "other"}
	for i := range d.X[0] {
		d.X[0][i] = float64(i)
	}
	r, err := crossval.Run(t.Context(), d, func(_ context.Context, train crossval.Data, _ uint64) (crossval.Model, error) {
		m := &memory{seen: slices.Clone(train.X[0]), names: slices.Clone(train.Names)}
		for j := range train.X { // what a fit does to its copy is its own business
			clear(train.X[j])
		}
		clear(train.Y)
		clear(train.Names)
		return m, nil
	}, crossval.Options{Folds: 3, Repeats: 4, Seed: 9})
	if err != nil {
		t.Fatal(err)
	}
	scored := make([]int, 30)
	for _, f := range r.Folds {
		m := f.Model.(*memory)
		if len(m.seen)+len(f.Patients) != 30 || !slices.Equal(m.names, d.Names) {
			t.Errorf("fold %d of repeat %d: trained on %d, held out %d, names %v", f.Number, f.Repeat, len(m.seen), len(f.Patients), m.names)
		}
		var held, labels = []float64(nil), []bool(nil)
		for k, i := range f.Patients {
			scored[i]++
			if slices.Contains(m.seen, float64(i)) {
				t.Errorf("patient %d was trained on and held out", i)
			}
			if r.Scores[f.Repeat][i] != f.Scores[k] || f.Scores[k] != -float64(i) {
				t.Errorf("patient %d has score %g in the fold, %g in the result, want %d", i, f.Scores[k], r.Scores[f.Repeat][i], -i)
			}
			held, labels = append(held, -float64(i)), append(labels, d.Y[i])
		}
		if auc, err := stats.AUC(held, labels); err != nil || auc != f.AUC {
			t.Errorf("fold AUC %g, want %g (%v)", f.AUC, auc, err)
		}
	}
	for i, n := range scored {
		if n != 4 || d.X[0][i] != float64(i) || d.Y[i] != (i%2 == 0) {
			t.Errorf("patient %d was scored %d times in 4 repeats, and is %g %v now", i, n, d.X[0][i], d.Y[i])
		}
	}
	mean, square := 0.0, 0.0
	for _, f := range r.Folds {
		mean += f.AUC / 12
		square += f.AUC * f.AUC / 11
	}
	if math.Abs(mean-r.MeanAUC) > 1e-12 || math.Abs(math.Sqrt(square-mean*mean*12/11)-r.SD) > 1e-12 {
		t.Errorf("mean %g and SD %g of the folds' AUCs", r.MeanAUC, r.SD)
	}
	if auc, _ := stats.AUC(r.Scores[2], d.Y); auc != r.PooledAUC[2] {
		t.Errorf("pooled AUC %g, want %g", r.PooledAUC[2], auc)
	}
}

// memory scores a patient by its first feature, turned round.
type memory struct {
	seen  []float64
	names []string
}

func (m *memory) Predict(x [][]float64) ([]float64, error) {
	var scores []float64
	for _, v := range x[0] {
		scores = append(scores, -v)
	}
	return scores, nil
}

func growing(trees int) crossval.Fit {
	return func(_ context.Context, train crossval.Data, seed uint64) (crossval.Model, error) {
		return forest.Fit(train.X, train.Names, train.Y, forest.Options{Trees: trees, Seed: seed})
	}
}

func TestSameForAnyNumberOfWorkers(t *testing.T) {
	d := signal(2, 90, 6)
	run := func(workers int, seed uint64) string {
		fit := crossval.Nested([]crossval.Candidate{{"small", growing(3)}, {"large", growing(25)}, {"ridge", ridge}}, crossval.Options{Folds: 3, Workers: workers})
		r, err := crossval.Run(t.Context(), d, fit, crossval.Options{Folds: 4, Repeats: 2, Seed: seed, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprintf("%x %x", r.Scores, r.PooledAUC)
		for _, f := range r.Folds {
			c := f.Model.(*crossval.Chosen)
			said += fmt.Sprintf(" %s %x", c.Name, c.Inner)
			best := slices.Max(c.Inner)
			if c.Name != []string{"small", "large", "ridge"}[slices.Index(c.Inner, best)] {
				t.Errorf("%s was chosen, inner AUCs %v", c.Name, c.Inner)
			}
		}
		if r.MeanAUC < 0.65 {
			t.Errorf("mean AUC %g on data with a strong effect", r.MeanAUC)
		}
		return said
	}
	one := run(1, 3)
	if run(5, 3) != one {
		t.Error("five workers give another result than one")
	}
	if run(1, 4) == one {
		t.Error("another seed gives the same result")
	}
}

// Choosing the best of many useless candidates by their own cross-validation flatters;
// nested it does not.
func TestNestedIsHonestAboutChoosing(t *testing.T) {
	d := noise(5, 60, 60)
	var candidates []crossval.Candidate
	for j := range d.X {
		candidates = append(candidates, crossval.Candidate{Name: fmt.Sprint(j), Fit: func(ctx context.Context, train crossval.Data, seed uint64) (crossval.Model, error) {
			train.X = train.X[j : j+1]
			m, err := ridge(ctx, train, seed)
			if err != nil {
				return nil, err
			}
			return pathModel{m.(pathModel).path, []int{j}}, nil
		}})
	}
	o := crossval.Options{Folds: 5, Repeats: 2, Seed: 1}
	best := 0.0
	for _, c := range candidates {
		r, err := crossval.Run(t.Context(), d, c.Fit, o)
		if err != nil {
			t.Fatal(err)
		}
		best = max(best, r.MeanAUC)
	}
	r, err := crossval.Run(t.Context(), d, crossval.Nested(candidates, crossval.Options{Folds: 4}), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the best of 60 useless features: AUC %.3f; nested %.3f", best, r.MeanAUC)
	if best < 0.62 || r.MeanAUC > 0.58 {
		t.Errorf("the best of 60 useless features has AUC %.3f, nested %.3f", best, r.MeanAUC)
	}
}

type broken struct{ scores []float64 }

func (b broken) Predict([][]float64) ([]float64, error) { return b.scores, nil }

func TestErrors(t *testing.T) {
	d := signal(3, 20, 2)
	stop := errors.New("no fit today")
	model := func(m crossval.Model, err error) crossval.Fit {
		return func(context.Context, crossval.Data, uint64) (crossval.Model, error) { return m, err }
	}
	run := func(d crossval.Data, fit crossval.Fit, o crossval.Options) error {
		_, err := crossval.Run(context.Background(), d, fit, o)
		return err
	}
	for name, c := range map[string]struct {
		err      error
		argument string
	}{
		"empty":     {run(crossval.Data{}, ridge, crossval.Options{}), "y"},
		"ragged":    {run(crossval.Data{X: [][]float64{{1, 2}}, Y: d.Y}, ridge, crossval.Options{}), "x"},
		"one class": {run(crossval.Data{X: d.X, Y: make([]bool, 20)}, ridge, crossval.Options{}), "y"},
		"one fold":  {run(d, ridge, crossval.Options{Folds: 1}), "k"},
		"folds":     {run(d, ridge, crossval.Options{Folds: 15}), "y"},
		"repeats":   {run(d, ridge, crossval.Options{Repeats: -1}), "Options.Repeats"},
		"nobody":    {run(d, crossval.Nested(nil, crossval.Options{}), crossval.Options{}), "candidates"},
		"too short": {run(d, model(broken{[]float64{1}}, nil), crossval.Options{}), "model.Predict's result"},
	} {
		var input *tabular.InputError
		if !errors.As(c.err, &input) || input.Argument != c.argument || input.Next == "" {
			t.Errorf("%s: got %v", name, c.err)
		}
	}
	var fold *crossval.FoldError
	err := run(d, model(nil, stop), crossval.Options{})
	if !errors.As(err, &fold) || !errors.Is(err, stop) || fold.Fold != 0 || fold.Patients != 16 {
		t.Errorf("a fit that fails: %v", err)
	}
	var input *stats.InputError
	if err := run(d, model(broken{slices.Repeat([]float64{math.NaN()}, 4)}, nil), crossval.Options{}); !errors.As(err, &input) || !errors.As(err, &fold) {
		t.Errorf("scores that are NaN: %v", err)
	}
	err = run(d, crossval.Nested([]crossval.Candidate{{"faulty", model(nil, stop)}}, crossval.Options{Folds: 2}), crossval.Options{})
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "candidate faulty") {
		t.Errorf("a candidate that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := crossval.Run(ctx, d, ridge, crossval.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
