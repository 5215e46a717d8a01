package enrichment

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"hounsfield/stats"
)

// eachGene calls visit for all genes, spread over the processors; visit must write
// only to places that belong to gene g.
func eachGene(genes int, visit func(g int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range max(1, min(runtime.GOMAXPROCS(0), genes)) {
		group.Go(func() {
			for {
				g := int(next.Add(1)) - 1
				if g >= genes {
					return
				}
				visit(g)
			}
		})
	}
	group.Wait()
}

// checkOutcome wants three patients or more and an outcome that varies.
func checkOutcome(function string, outcome []float64) error {
	if len(outcome) < 3 {
		return &InputError{function, "outcome", -1, nil, fmt.Sprintf("%d long", len(outcome)), "three patients or more", "choose a larger cohort"}
	}
	if i := slices.IndexFunc(outcome, func(v float64) bool { return !finite(v) }); i >= 0 {
		return &InputError{function, "outcome", i, nil, fmt.Sprint(outcome[i]), "a finite number", "leave the patient out"}
	}
	if slices.Min(outcome) == slices.Max(outcome) {
		return &InputError{function, "outcome", -1, nil, fmt.Sprintf("%v for every patient", outcome[0]), "values that differ", "check that the column is the one you meant"}
	}
	return nil
}

// Pearson gives each gene its linear correlation with an outcome, -1..1, positive
// when expression rises with the outcome. values[g][i] is gene g in patient i.
// A gene that does not vary gets NaN ([Defined] takes it out).
//
// In R: cor(t(values), outcome).
//
// Errors: *InputError for unequal lengths, repeated genes, values that are not
// finite (the genes are named), fewer than three patients, a constant outcome.
func Pearson(genes []string, values [][]float64, outcome []float64) ([]float64, error) {
	if err := checkOutcome("Pearson", outcome); err != nil {
		return nil, err
	}
	if err := checkExpression("Pearson", genes, values, len(outcome)); err != nil {
		return nil, err
	}
	y, yy := centred(outcome)
	r := make([]float64, len(genes))
	eachGene(len(genes), func(g int) {
		if slices.Min(values[g]) == slices.Max(values[g]) {
			r[g] = math.NaN()
			return
		}
		x, xx := centred(values[g])
		sum := 0.0
		for i := range x {
			sum += x[i] * y[i]
		}
		r[g] = math.Max(-1, math.Min(1, sum/(math.Sqrt(xx)*math.Sqrt(yy))))
	})
	return r, nil
}

// centred gives the differences from the mean and their sum of squares.
func centred(x []float64) (d []float64, squares float64) {
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	d = make([]float64, len(x))
	for i, v := range x {
		d[i] = v - mean
		squares += d[i] * d[i]
	}
	return d, squares
}

// Spearman gives each gene its rank correlation with an outcome: Pearson's
// correlation of ranks, tied values sharing the mean of theirs. The sums are of
// whole numbers and therefore exact: two genes whose ranks are arranged alike get
// the same score to the last bit, so that ties are seen as ties. An outcome with
// few values ties many genes. A gene that does not vary gets NaN.
//
// In R: cor(t(values), outcome, method="spearman").
//
// Errors: as for [Pearson].
func Spearman(genes []string, values [][]float64, outcome []float64) ([]float64, error) {
	if err := checkOutcome("Spearman", outcome); err != nil {
		return nil, err
	}
	if err := checkExpression("Spearman", genes, values, len(outcome)); err != nil {
		return nil, err
	}
	y := centredRanks(outcome)
	yy := dot(y, y)
	r := make([]float64, len(genes))
	eachGene(len(genes), func(g int) {
		x := centredRanks(values[g])
		if xx := dot(x, x); xx > 0 {
			r[g] = math.Max(-1, math.Min(1, float64(dot(x, y))/math.Sqrt(float64(xx)*float64(yy))))
		} else {
			r[g] = math.NaN()
		}
	})
	return r, nil
}

// centredRanks are twice the midranks less n+1: whole numbers that sum to 0.
func centredRanks(x []float64) []int64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	rank := make([]int64, len(x))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && x[order[to]] == x[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			rank[i] = int64(from + to - len(x))
		}
		from = to
	}
	return rank
}

func dot(a, b []int64) int64 {
	var sum int64
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// SignalToNoise gives each gene the difference of the class means over the sum of
// the class standard deviations (divisor n-1), positive when expression is higher
// in the positive class. As in the Broad's program a standard deviation is at least
// a fifth of the absolute mean of its class, and 0.2 where both are 0: values
// should be on the scale the program expects, logarithms or raw intensities, not
// centred ones.
//
// Errors: *InputError as for [Pearson], and for fewer than two patients in a class.
//
// Golub TR et al. Science 1999;286:531-537. doi:10.1126/science.286.5439.531
func SignalToNoise(genes []string, values [][]float64, positive []bool) ([]float64, error) {
	if err := checkClasses("SignalToNoise", positive, 2); err != nil {
		return nil, err
	}
	if err := checkExpression("SignalToNoise", genes, values, len(positive)); err != nil {
		return nil, err
	}
	r := make([]float64, len(genes))
	eachGene(len(genes), func(g int) {
		p, n := classMoments(values[g], positive)
		r[g] = (p.mean - n.mean) / (p.noise() + n.noise())
	})
	return r, nil
}

type moments struct {
	n             float64
	mean, squares float64 // squares: sum about the mean
}

func (m moments) noise() float64 {
	sd := math.Max(math.Sqrt(m.squares/(m.n-1)), 0.2*math.Abs(m.mean))
	if sd == 0 {
		return 0.2
	}
	return sd
}

func classMoments(row []float64, positive []bool) (p, n moments) {
	for i, v := range row {
		m := &n
		if positive[i] {
			m = &p
		}
		m.n++
		m.mean += v
	}
	p.mean, n.mean = p.mean/p.n, n.mean/n.n
	for i, v := range row {
		m := &n
		if positive[i] {
			m = &p
		}
		m.squares += (v - m.mean) * (v - m.mean)
	}
	return p, n
}

// CoxZ gives each gene the Wald z of a proportional hazards model with that gene
// alone, positive when higher expression dies earlier. time is in days from the
// start of follow-up, event true for a death. A gene gets NaN when it does not vary
// among those at risk, or separates the deaths so well that the model has no
// estimate.
//
// In R: summary(coxph(Surv(time, event) ~ x))$coefficients[, "z"].
//
// Errors: *InputError as for [Pearson]; *stats.InputError for survival times that
// [stats.Cox] does not take.
func CoxZ(genes []string, values [][]float64, time []float64, event []bool) ([]float64, error) {
	if err := checkExpression("CoxZ", genes, values, len(time)); err != nil {
		return nil, err
	}
	r := make([]float64, len(genes))
	failed := make([]error, len(genes))
	eachGene(len(genes), func(g int) {
		cells := make([]float64, len(time))
		x := make([][]float64, len(time))
		for i, v := range values[g] {
			cells[i] = v
			x[i] = cells[i : i+1 : i+1]
		}
		fit, err := stats.Cox(time, event, x, 0.95)
		var input *stats.InputError
		var diverged *stats.ConvergenceError
		switch {
		case err == nil:
			r[g] = fit.Terms[0].Z
		case errors.As(err, &diverged), errors.As(err, &input) && input.Argument == "x":
			r[g] = math.NaN()
		default:
			failed[g] = err
		}
	})
	for g, err := range failed {
		if err != nil {
			return nil, fmt.Errorf("enrichment.CoxZ: gene %s: %w", genes[g], err)
		}
	}
	return r, nil
}
