package cnn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"gonum.org/v1/gonum/optimize"

	"hounsfield/stats/golden"
)

// lossAt returns a function that computes a loss of logits [cubes, outputs], and its gradient, in float64.
func lossAt(t *testing.T, outcomes [][]float64, loss func(outcomes, logits *graph.Node) *graph.Node) func(logits [][]float64) (float64, [][]float64) {
	t.Helper()
	exec := graph.MustNewExec(openGo(t).Backend, func(y, z *graph.Node) []*graph.Node {
		l := loss(y, z)
		return []*graph.Node{l, graph.Gradient(l, z)[0]}
	})
	t.Cleanup(exec.Finalize)
	return func(logits [][]float64) (float64, [][]float64) {
		out := exec.MustCall(tensors.FromValue(outcomes), tensors.FromValue(logits))
		return tensors.ToScalar[float64](out[0]), out[1].Value().([][]float64)
	}
}

func pairs(time []float64, event []bool) [][]float64 {
	var rows [][]float64
	for i, t := range time {
		rows = append(rows, []float64{t, 0})
		if event[i] {
			rows[i][1] = 1
		}
	}
	return rows
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// minimum is where a function with a gradient is least.
func minimum(t *testing.T, start []float64, f func(x []float64) (float64, []float64)) []float64 {
	t.Helper()
	r, err := optimize.Minimize(optimize.Problem{
		Func: func(x []float64) float64 { v, _ := f(x); return v },
		Grad: func(grad, x []float64) { _, g := f(x); copy(grad, g) },
	}, start, &optimize.Settings{GradientThreshold: 1e-10, Converger: optimize.NeverTerminate{}}, &optimize.BFGS{})
	if r == nil {
		t.Fatal(err)
	}
	return r.X // at the last digits the line search fails; the comparison with R judges
}

func TestCoxLossIsCoxph(t *testing.T) {
	for _, c := range golden.Cases[struct {
		Name         string
		X            [][]float64
		Time         []float64
		Event        []bool
		B            []float64
		Loglik, Best float64
		Score, Coef  []float64
	}](t, "cox_loss") {
		loss := lossAt(t, pairs(c.Time, c.Event), coxLoss)
		deaths := 0.0
		for _, e := range c.Event {
			if e {
				deaths++
			}
		}
		linear := func(b []float64) (float64, []float64, [][]float64) {
			var logits [][]float64
			for _, x := range c.X {
				// Only the difference counts.
				logits = append(logits, []float64{dot(x, b) + 0.7, 0.7})
			}
			l, g := loss(logits)
			grad := make([]float64, len(b))
			for i, x := range c.X {
				for k := range b {
					grad[k] += (g[i][rowDead] - g[i][rowAlive]) / 2 * x[k]
				}
			}
			return l, grad, logits
		}
		l, grad, logits := linear(c.B)
		golden.Near(t, c.Name+": log likelihood", -l*deaths, c.Loglik, 1e-12)
		golden.Near(t, c.Name+": log likelihood of the tune role", -coxTuneLoss(logits, c.Time, c.Event)*deaths, c.Loglik, 1e-12)
		for k := range grad {
			golden.Near(t, c.Name+": score", -grad[k]*deaths, c.Score[k], 1e-11)
		}
		coef := minimum(t, make([]float64, len(c.B)), func(b []float64) (float64, []float64) { l, g, _ := linear(b); return l, g })
		golden.NearAll(t, c.Name+": coefficients", coef, c.Coef, 1e-7)
		l, _, _ = linear(coef)
		golden.Near(t, c.Name+": best log likelihood", -l*deaths, c.Best, 1e-12)
	}
}

func TestDiscreteTimeLossIsLogisticRegression(t *testing.T) {
	for _, c := range golden.Cases[struct {
		Name         string
		X            [][]float64
		Time         []float64
		Event        []bool
		Ends         []float64
		A, B         []float64
		Loglik, Best float64
		FittedA      []float64 `json:"fitted_a"`
		FittedB      []float64 `json:"fitted_b"`
	}](t, "discrete_time_loss") {
		n := float64(len(c.Time))
		loss := lossAt(t, pairs(c.Time, c.Event), func(y, z *graph.Node) *graph.Node { return discreteTimeLoss(y, z, c.Ends) })
		linear := func(ab []float64) (float64, []float64, [][]float64) {
			a, b := ab[:len(c.A)], ab[len(c.A):]
			var logits [][]float64
			for _, x := range c.X {
				row := make([]float64, len(a))
				for j := range row {
					row[j] = a[j] + dot(x, b)
				}
				logits = append(logits, row)
			}
			l, g := loss(logits)
			grad := make([]float64, len(ab))
			for i, x := range c.X {
				for j, v := range g[i] {
					grad[j] += v
					for k := range b {
						grad[len(a)+k] += v * x[k]
					}
				}
			}
			return l, grad, logits
		}
		l, _, logits := linear(append(c.A[:len(c.A):len(c.A)], c.B...))
		golden.Near(t, c.Name+": log likelihood", -l*n, c.Loglik, 1e-12)
		golden.Near(t, c.Name+": log likelihood of the tune role", -discreteTimeTuneLoss(logits, c.Time, c.Event, c.Ends)*n, c.Loglik, 1e-12)
		fitted := minimum(t, make([]float64, len(c.A)+len(c.B)), func(ab []float64) (float64, []float64) { l, g, _ := linear(ab); return l, g })
		golden.NearAll(t, c.Name+": intercepts", fitted[:len(c.A)], c.FittedA, 1e-6)
		golden.NearAll(t, c.Name+": coefficients", fitted[len(c.A):], c.FittedB, 1e-6)
		l, _, _ = linear(fitted)
		golden.Near(t, c.Name+": best log likelihood", -l*n, c.Best, 1e-12)
	}
}

// On random outcomes with ties, the whole gradient of both losses, logits of 0 and of great size included.
func TestSurvivalLossesPassFiniteDifferences(t *testing.T) {
	ends := []float64{100, 200, 400}
	rng := rand.New(rand.NewPCG(51, 52))
	for name, loss := range map[string]func(y, z *graph.Node) *graph.Node{
		"cox":           coxLoss,
		"discrete time": func(y, z *graph.Node) *graph.Node { return discreteTimeLoss(y, z, ends) },
	} {
		const cubes = 9
		outputs := 2
		if name != "cox" {
			outputs = len(ends)
		}
		var outcomes, logits [][]float64
		for range cubes {
			outcomes = append(outcomes, []float64{50 * float64(rng.IntN(10)), float64(rng.IntN(2))})
			row := make([]float64, outputs)
			for j := range row {
				row[j] = []float64{0, rng.NormFloat64(), 30 * rng.NormFloat64()}[rng.IntN(3)]
			}
			logits = append(logits, row)
		}
		at := lossAt(t, outcomes, loss)
		value, gradient := at(logits)
		if !finite(value) || value == 0 {
			t.Errorf("%s: loss %g", name, value)
		}
		const h = 1e-5
		for i, row := range logits {
			for j := range row {
				shifted := func(by float64) float64 {
					row[j] += by
					defer func() { row[j] -= by }()
					v, _ := at(logits)
					return v
				}
				want := (shifted(h) - shifted(-h)) / (2 * h)
				if got := gradient[i][j]; math.Abs(got-want) > 1e-8 {
					t.Errorf("%s: gradient of cube %d, output %d is %g, by differences %g", name, i, j, got, want)
				}
			}
		}
	}
}

func TestSurvivalLossesAtTheEdges(t *testing.T) {
	ends := []float64{100, 200, 400}
	discrete := func(y, z *graph.Node) *graph.Node { return discreteTimeLoss(y, z, ends) }
	zero := func(what string, loss float64, gradient [][]float64) {
		t.Helper()
		if loss != 0 {
			t.Errorf("%s: loss %g, not 0", what, loss)
		}
		for _, row := range gradient {
			for _, v := range row {
				if v != 0 {
					t.Errorf("%s: gradient %v, not 0", what, gradient)
				}
			}
		}
	}
	l, g := lossAt(t, [][]float64{{5, 0}, {9, 0}}, coxLoss)([][]float64{{1, 2}, {300, -400}})
	zero("all censored", l, g)
	l, g = lossAt(t, [][]float64{{5, 1}}, coxLoss)([][]float64{{1, 2}})
	zero("one patient", l, g)
	l, g = lossAt(t, [][]float64{{49, 0}}, discrete)([][]float64{{1, 2, 3}})
	zero("censored before the middle of the first interval", l, g)

	for name, at := range map[string]func([][]float64) (float64, [][]float64){
		"cox":           lossAt(t, [][]float64{{5, 0}, {9, 1}}, coxLoss),
		"discrete time": lossAt(t, [][]float64{{5, 0}, {9, 1}}, func(y, z *graph.Node) *graph.Node { return discreteTimeLoss(y, z, ends[:2]) }),
	} {
		if l, _ := at([][]float64{{math.NaN(), 0}, {1, 2}}); !math.IsNaN(l) {
			t.Errorf("%s: a logit that is not a number gives the loss %g", name, l)
		}
	}

	// A patient alone: log(1+exp(z)) for each interval survived, log(1+exp(-z)) for the one he dies in.
	z := []float64{0.3, -0.8, 1.1}
	for _, c := range []struct {
		time, event    float64
		survived, died []int
	}{
		{0, 1, nil, []int{0}}, {99.9, 1, nil, []int{0}}, {100, 1, []int{0}, []int{1}}, {399, 1, []int{0, 1}, []int{2}}, {400, 1, []int{0, 1, 2}, nil},
		{50, 0, []int{0}, nil}, {149, 0, []int{0}, nil}, {150, 0, []int{0, 1}, nil}, {300, 0, []int{0, 1, 2}, nil}, {5000, 0, []int{0, 1, 2}, nil},
	} {
		var want float64
		for _, j := range c.survived {
			want += math.Log1p(math.Exp(z[j]))
		}
		for _, j := range c.died {
			want += math.Log1p(math.Exp(-z[j]))
		}
		got, _ := lossAt(t, [][]float64{{c.time, c.event}}, discrete)([][]float64{z})
		golden.Near(t, "one patient", got, want, 1e-14)
	}

	// In float32, as in training, great differences of hazards neither overflow nor vanish.
	exec := graph.MustNewExec(openGo(t).Backend, func(y, z *graph.Node) *graph.Node { return coxLoss(y, z) })
	defer exec.Finalize()
	y, zs := newArray(3, 2), newArray(3, 2)
	y.v, zs.v = []float64{1, 1, 2, 1, 3, 1}, []float64{-500, 0, 0, 0, 500, 0}
	got := tensors.ToScalar[float32](exec.MustCall(y.tensor(dtypes.Float32), zs.tensor(dtypes.Float32))[0])
	golden.Near(t, "hazards far apart", float64(got), 1500.0/3, 1e-6)
}

func TestScoresAreRisksAtTwoYears(t *testing.T) {
	// Two intervals that two years cut: S = (1-h1) * (1-h2)^(330/600).
	logit := func(h float64) float64 { return math.Log(h / (1 - h)) }
	got := risks([][]float64{{logit(0.2), logit(0.5), logit(0.9)}}, []float64{400, 1000, 1200})
	golden.Near(t, "two intervals", got[0], 1-0.8*math.Pow(0.5, 330.0/600), 1e-14)
	// A higher hazard in any interval before two years is a higher risk, a later one changes nothing.
	base := []float64{0.1, -0.4, 0.3}
	before := risks([][]float64{base}, []float64{400, 1000, 1200})[0]
	for j := range base {
		higher := append([]float64(nil), base...)
		higher[j] += 0.5
		after := risks([][]float64{higher}, []float64{400, 1000, 1200})[0]
		if j < 2 && !(after > before) || j == 2 && after != before {
			t.Errorf("with a higher hazard in interval %d the risk goes from %g to %g", j, before, after)
		}
	}
	golden.Near(t, "two logits", risks([][]float64{{1.5, -0.5}}, nil)[0], 1/(1+math.Exp(-2)), 1e-15)
}
