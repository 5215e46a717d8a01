// Package crossval estimates how well a way of fitting works on patients it has not
// seen, by stratified, repeated and nested cross-validation.
//
// What is validated is the whole way from table to model. The fitting function gets
// copies of the training patients' rows and nothing else, no index into the full
// table, so that scaling, imputation, choice of features and tuning cannot see the
// patients held out, as long as they are done inside it. Choosing features on all
// patients first is the classic mistake: on pure noise it shows an AUC far above 0.5.
//
// Ambroise C, McLachlan GJ. PNAS 2002;99:6562-6566. doi:10.1073/pnas.102102699; Varma
// S, Simon R. BMC Bioinformatics 2006;7:91. doi:10.1186/1471-2105-7-91; Kohavi R.
// IJCAI 1995;2:1137-1143.
package crossval

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"hounsfield/models/tabular"
	"hounsfield/stats"
)

// Data is a table with labels: X[feature][patient] (see package tabular), NaN =
// missing; Names are one per feature or nil; Y has each patient's label, true = died
// for scores that rise with risk.
type Data struct {
	X     [][]float64
	Names []string
	Y     []bool
}

// Model scores patients; higher means true is likelier. x is x[feature][patient], with
// the features of the training table in its order.
type Model interface {
	Predict(x [][]float64) ([]float64, error)
}

// Fit is a way of fitting: everything from training patients to a model. It owns train
// and may change it. It must draw all randomness from the seed, and is called from
// several goroutines at once.
type Fit func(ctx context.Context, train Data, seed uint64) (Model, error)

// Options are how patients are divided. The zero value is five folds, once.
type Options struct {
	Folds   int // 0 = 5
	Repeats int // divisions into folds, each drawn anew; 0 = 1
	Seed    uint64
	Workers int // folds fitted at once; 0 = all cores. Changes nothing but the time taken
}

// Fold is one fold held out, and the model of the others.
type Fold struct {
	Repeat, Number int
	Patients       []int     // held out, ascending
	Scores         []float64 // of these
	AUC            float64   // of these, as stats.AUC
	Model          Model     // a *Chosen if the fit was nested
}

// Result is a cross-validation.
type Result struct {
	Folds  []Fold      // by repeat, then number
	Scores [][]float64 // Scores[repeat][patient], each by the model that had not seen the patient
	// MeanAUC is the mean over all folds. Folds are scored by themselves as different
	// models' scores need not compare.
	MeanAUC float64
	// SD is the standard deviation of the folds' AUCs. Folds share patients: it is no
	// standard error, and gives no confidence interval.
	SD float64
	// PooledAUC is the AUC of Scores[repeat], all folds together.
	PooledAUC []float64
}

// FoldError says in which fold a fit or a prediction failed.
type FoldError struct {
	Repeat, Fold int
	Patients     int // in the training folds
	Err          error
}

func (e *FoldError) Error() string {
	return fmt.Sprintf("crossval: repeat %d, fold %d (trained on %d patients): %v", e.Repeat, e.Fold, e.Patients, e.Err)
}

func (e *FoldError) Unwrap() error { return e.Err }

// Stratified deals patients to k folds so that each has its share of true: sizes, and
// numbers of true, differ by one at most. It returns the fold of each patient, 0 to
// k-1.
//
// Errors: *tabular.InputError for k below 2 and for fewer than k patients of a class.
func Stratified(y []bool, k int, seed uint64) ([]int, error) {
	return stratified(y, k, rand.New(rand.NewPCG(seed, 0)))
}

func stratified(y []bool, k int, rng *rand.Rand) ([]int, error) {
	if k < 2 {
		return nil, tabular.Refuse("crossval.Stratified", "k", fmt.Sprint(k), "2 or more", "use 5 or 10")
	}
	if err := tabular.CheckClasses("crossval.Stratified", y, k); err != nil {
		return nil, err
	}
	fold, next := make([]int, len(y)), 0
	for _, class := range []bool{true, false} {
		var patients []int
		for i, v := range y {
			if v == class {
				patients = append(patients, i)
			}
		}
		rng.Shuffle(len(patients), func(a, b int) { patients[a], patients[b] = patients[b], patients[a] })
		for _, i := range patients { // the second class goes on where the first ended
			fold[i] = next % k
			next++
		}
	}
	return fold, nil
}

// Run cross-validates a way of fitting. Folds of repeat r depend on (Options.Seed, r)
// only and each fit gets a seed of its own, so results are the same for any number of
// workers.
//
// In R: caret's trainControl(method="repeatedcv"); in Python: scikit-learn's
// RepeatedStratifiedKFold with cross_val_predict.
//
// Errors: *tabular.InputError for empty input, unequal lengths, an infinite value,
// fewer patients in a class than folds, and options out of range; *FoldError, the
// first by repeat and fold, for a fit or prediction that failed, or scores that are
// not one number per patient; the context's error.
func Run(ctx context.Context, data Data, fit Fit, o Options) (*Result, error) {
	const function = "crossval.Run"
	if err := tabular.Check(function, data.X, data.Names, len(data.Y), true); err != nil {
		return nil, err
	}
	for name, v := range map[string]int{"Folds": o.Folds, "Repeats": o.Repeats, "Workers": o.Workers} {
		if v < 0 {
			return nil, tabular.Refuse(function, "Options."+name, fmt.Sprint(v), "0 or more", "leave it 0 for the default")
		}
	}
	if o.Folds == 0 {
		o.Folds = 5
	}
	if o.Repeats == 0 {
		o.Repeats = 1
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	r := &Result{Folds: make([]Fold, o.Repeats*o.Folds), Scores: make([][]float64, o.Repeats), PooledAUC: make([]float64, o.Repeats)}
	folds := make([][]int, o.Repeats)
	for repeat := range folds {
		var err error
		if folds[repeat], err = stratified(data.Y, o.Folds, rand.New(rand.NewPCG(o.Seed, uint64(repeat)<<1))); err != nil {
			return nil, err
		}
	}
	failed := make([]error, len(r.Folds))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(o.Workers, len(r.Folds)) {
		wait.Go(func() {
			for k := int(next.Add(1)) - 1; k < len(r.Folds) && ctx.Err() == nil; k = int(next.Add(1)) - 1 {
				repeat, number := k/o.Folds, k%o.Folds
				seed := rand.New(rand.NewPCG(o.Seed, uint64(k)<<1|1)).Uint64()
				r.Folds[k], failed[k] = holdOut(ctx, data, folds[repeat], number, fit, seed)
				r.Folds[k].Repeat = repeat
			}
		})
	}
	wait.Wait()
	for k, err := range failed {
		if err != nil {
			return nil, &FoldError{Repeat: k / o.Folds, Fold: k % o.Folds, Patients: len(data.Y) - len(r.Folds[k].Patients), Err: err}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, f := range r.Folds {
		if r.Scores[f.Repeat] == nil {
			r.Scores[f.Repeat] = make([]float64, len(data.Y))
		}
		for k, i := range f.Patients {
			r.Scores[f.Repeat][i] = f.Scores[k]
		}
		r.MeanAUC += f.AUC / float64(len(r.Folds))
	}
	for _, f := range r.Folds {
		r.SD += (f.AUC - r.MeanAUC) * (f.AUC - r.MeanAUC) / float64(len(r.Folds)-1)
	}
	r.SD = math.Sqrt(r.SD)
	for repeat, scores := range r.Scores {
		var err error
		if r.PooledAUC[repeat], err = stats.AUC(scores, data.Y); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// holdOut fits without one fold and scores it.
func holdOut(ctx context.Context, data Data, fold []int, number int, fit Fit, seed uint64) (Fold, error) {
	f := Fold{Number: number}
	var rest []int
	for i, k := range fold {
		if k == number {
			f.Patients = append(f.Patients, i)
		} else {
			rest = append(rest, i)
		}
	}
	model, err := fit(ctx, data.of(rest), seed)
	if err != nil {
		return f, err
	}
	f.Model = model
	held := data.of(f.Patients)
	if f.Scores, err = model.Predict(held.X); err != nil {
		return f, err
	}
	if len(f.Scores) != len(f.Patients) {
		return f, tabular.Refuse("crossval.Run", "model.Predict's result", fmt.Sprintf("%d long", len(f.Scores)), fmt.Sprintf("%d scores, one per patient", len(f.Patients)), "correct the model")
	}
	f.AUC, err = stats.AUC(f.Scores, held.Y)
	return f, err
}

// of copies the rows of some patients.
func (d Data) of(patients []int) Data {
	part := Data{X: make([][]float64, len(d.X)), Names: append([]string(nil), d.Names...), Y: make([]bool, len(patients))}
	for j, column := range d.X {
		part.X[j] = make([]float64, len(patients))
		for k, i := range patients {
			part.X[j][k] = column[i]
		}
	}
	for k, i := range patients {
		part.Y[k] = d.Y[i]
	}
	return part
}
