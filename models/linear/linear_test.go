package linear

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hounsfield/models/tabular"
	"hounsfield/stats/golden"
)

func TestLogisticAgainstR(t *testing.T) {
	type glm struct {
		Name                           string
		X                              [][]float64
		Y                              []bool
		Level, Deviance, Null, AIC, LR float64
		LRP                            float64 `json:"lr_p"`
		Coef, SE, Z, P, Low, High      []float64
		Covariance                     [][]float64
		Fitted                         []float64
	}
	for _, c := range golden.Cases[glm](t, "glm") {
		r, err := Logistic(c.X, nil, c.Y, c.Level)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		for j, term := range r.Terms {
			for _, v := range []struct {
				what      string
				got, want float64
			}{{"coef", term.Coef, c.Coef[j]}, {"se", term.SE, c.SE[j]}, {"z", term.Z, c.Z[j]}, {"low", term.Low, c.Low[j]}, {"high", term.High, c.High[j]}, {"or", term.OR, math.Exp(c.Coef[j])}} {
				golden.Near(t, fmt.Sprint(c.Name, " ", term.Name, " ", v.what), v.got, v.want, 1e-8)
			}
			// By their ratio: an error of 1e-8 means nothing for a small p.
			golden.Near(t, c.Name+" "+term.Name+" p", term.P/c.P[j], 1, 1e-8)
			golden.NearAll(t, c.Name+" covariance", r.Covariance[j], c.Covariance[j], 1e-8)
		}
		golden.NearAll(t, c.Name+" deviances", []float64{r.Deviance, r.NullDeviance, r.AIC, r.LikelihoodRatio.ChiSquare, r.LikelihoodRatio.P / c.LRP},
			[]float64{c.Deviance, c.Null, c.AIC, c.LR, 1}, 1e-8)
		p, err := r.Predict(c.X)
		if err != nil {
			t.Fatal(err)
		}
		golden.NearAll(t, c.Name+" fitted", p[:len(c.Fitted)], c.Fitted, 1e-8)
		if r.N != len(c.Y) || r.LikelihoodRatio.DF != len(c.X) || len(r.Terms) != len(c.X)+1 {
			t.Errorf("%s: %d patients, %d terms, %d degrees of freedom", c.Name, r.N, len(r.Terms), r.LikelihoodRatio.DF)
		}
	}
}

func TestPenalisedAgainstGlmnet(t *testing.T) {
	type glmnet struct {
		Name                              string
		X                                 [][]float64
		Y                                 []bool
		Alpha                             float64
		AsGiven                           bool `json:"as_given"`
		Lambda, Intercept, Deviance, Auto []float64
		Coef                              [][]float64
		Null                              float64
	}
	for _, c := range golden.Cases[glmnet](t, "glmnet") {
		p := Penalty{Alpha: c.Alpha, Lambda: c.Lambda, AsGiven: c.AsGiven}
		path, err := Penalised(c.X, nil, c.Y, p)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		// Both solve the same problem; 1e-6 is what glmnet reaches at its smallest
		// threshold (it holds p(1-p) fixed within a pass and floors p at 1e-9).
		golden.NearAll(t, c.Name+" intercept", path.Intercept, c.Intercept, 1e-6)
		golden.NearAll(t, c.Name+" deviance", append(path.Deviance, path.NullDeviance), append(c.Deviance, c.Null), 1e-6)
		for k := range c.Lambda {
			golden.NearAll(t, fmt.Sprint(c.Name, " coef at ", c.Lambda[k]), path.Coef[k], c.Coef[k], 1e-6)
			zero := 0
			for _, v := range c.Coef[k] {
				if v == 0 {
					zero++
				}
			}
			if path.Nonzero[k] != len(c.X)-zero {
				t.Errorf("%s at %g: %d coefficients, glmnet %d", c.Name, c.Lambda[k], path.Nonzero[k], len(c.X)-zero)
			}
		}
		p.Lambda = nil
		if path, err = Penalised(c.X, nil, c.Y, p); err != nil {
			t.Fatal(err)
		}
		golden.NearAll(t, c.Name+" sequence", path.Lambda[:len(c.Auto)], c.Auto, 1e-8)
		if c.Alpha > 0 && (path.Nonzero[0] != 0 || path.Nonzero[1] == 0) {
			t.Errorf("%s: %d and %d coefficients at the first two strengths, want none and some", c.Name, path.Nonzero[0], path.Nonzero[1])
		}
	}
}

func made(seed uint64, n, p int, effect float64) (x [][]float64, y []bool) {
	rng := rand.New(rand.NewPCG(seed, 0))
	x = make([][]float64, p)
	for range n {
		for j := range x {
			x[j] = append(x[j], rng.NormFloat64())
		}
		y = append(y, rng.Float64() < probability(effect*x[0][len(y)]))
	}
	return x, y
}

// The slow way up: many small steps along the gradient of the objective itself, with
// the penalty's corner handled by shrinking.
func slowPenalised(x [][]float64, y []bool, alpha, lambda float64) (intercept float64, coef []float64) {
	coef = make([]float64, len(x))
	for range 60_000 {
		gradient, shift := make([]float64, len(x)), 0.0
		for i := range y {
			e := intercept
			for j := range x {
				e += coef[j] * x[j][i]
			}
			miss := -1 / (1 + math.Exp(-e))
			if y[i] {
				miss++
			}
			shift += miss / float64(len(y))
			for j := range x {
				gradient[j] += miss * x[j][i] / float64(len(y))
			}
		}
		const rate = 0.5
		intercept += rate * shift
		for j := range coef {
			c := coef[j] + rate*(gradient[j]-lambda*(1-alpha)*coef[j])
			coef[j] = math.Copysign(max(0, math.Abs(c)-rate*lambda*alpha), c)
		}
	}
	return intercept, coef
}

func TestFastEqualsSlow(t *testing.T) {
	x, y := made(1, 40, 3, 1)
	r, err := Logistic(x, nil, y, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	intercept, coef := slowPenalised(x, y, 0, 0)
	golden.NearAll(t, "logistic", []float64{r.Terms[0].Coef, r.Terms[1].Coef, r.Terms[2].Coef, r.Terms[3].Coef}, append([]float64{intercept}, coef...), 1e-9)
	for _, alpha := range []float64{0, 0.3, 1} {
		path, err := Penalised(x, nil, y, Penalty{Alpha: alpha, Lambda: []float64{0.05}, AsGiven: true})
		if err != nil {
			t.Fatal(err)
		}
		intercept, coef := slowPenalised(x, y, alpha, 0.05)
		golden.NearAll(t, fmt.Sprint("alpha ", alpha), append([]float64{path.Intercept[0]}, path.Coef[0]...), append([]float64{intercept}, coef...), 1e-9)
	}
}

// At the minimum the gradient of the log likelihood balances the penalty.
func TestPenalisedIsAMinimum(t *testing.T) {
	x, y := made(2, 60, 150, 2)
	path, err := Penalised(x, nil, y, Penalty{Alpha: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	s := scale(x, true)
	for k, lambda := range path.Lambda {
		p, err := path.Predict(x, k)
		if err != nil {
			t.Fatal(err)
		}
		for j, column := range s.columns {
			gradient := 0.0
			for i, v := range column {
				miss := -p[i]
				if y[i] {
					miss++
				}
				gradient += v * miss / float64(len(y))
			}
			b := path.Coef[k][j] * s.scale[j]
			balance := gradient - lambda*0.1*b
			if b != 0 {
				balance -= math.Copysign(lambda*0.9, b)
			} else {
				balance = max(0, math.Abs(balance)-lambda*0.9)
			}
			if math.Abs(balance) > 1e-8 {
				t.Fatalf("strength %d (%g), feature %d: out of balance by %g", k, lambda, j, balance)
			}
		}
		if k > 0 && path.Deviance[k] > path.Deviance[k-1]+1e-9 {
			t.Errorf("a weaker penalty fits worse: %g after %g", path.Deviance[k], path.Deviance[k-1])
		}
	}
	if len(path.Lambda) < 30 || path.Nonzero[len(path.Nonzero)-1] < 5 {
		t.Errorf("the path has %d strengths and ends with %v coefficients", len(path.Lambda), path.Nonzero)
	}
}

func TestUnitsAndOrderDoNotMatter(t *testing.T) {
	x, y := made(3, 50, 2, 1)
	a, err := Logistic(x, nil, y, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	other := [][]float64{nil, nil}
	var otherY []bool
	for i := len(y) - 1; i >= 0; i-- {
		other[0], other[1], otherY = append(other[0], 1e6+1e3*x[0][i]), append(other[1], -1e-4*x[1][i]), append(otherY, !y[i])
	}
	b, err := Logistic(other, nil, otherY, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	golden.Near(t, "z of a feature in another unit, labels swapped", b.Terms[1].Z, -a.Terms[1].Z, 1e-6)
	golden.Near(t, "z of a feature turned round, labels swapped", b.Terms[2].Z, a.Terms[2].Z, 1e-6)
	golden.Near(t, "deviance", b.Deviance, a.Deviance, 1e-10)
}

func TestSeparation(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name     string
		x        [][]float64
		y        []bool
		complete bool
		parted   int
		features []string
	}{
		{"a cut parts all", [][]float64{{1, 2, 3, 4, 5, 6}, {1, 0, 1, 1, 0, 1}}, []bool{no, no, no, yes, yes, yes}, true, 6, []string{"a"}},
		{"two on the border", [][]float64{{1, 2, 3, 3, 4, 5}}, []bool{no, no, no, yes, yes, yes}, false, 4, []string{"a"}},
		{"a category all of whom died", [][]float64{{0, 0, 0, 0, 0, 1, 1}}, []bool{no, yes, no, yes, yes, yes, yes}, false, 2, []string{"a"}},
		{"two features together", [][]float64{{0, 1, 2, 3, 4, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 0, 1, 2, 3, 4}}, []bool{no, no, no, no, no, yes, yes, yes, yes, yes}, true, 10, []string{"a", "b"}},
	} {
		_, err := Logistic(c.x, []string{"a", "b"}[:len(c.x)], c.y, 0.95)
		var s *SeparationError
		if !errors.As(err, &s) {
			t.Errorf("%s: got %v", c.name, err)
			continue
		}
		has := true
		for _, f := range c.features {
			has = has && slices.Contains(s.Features, f)
		}
		if s.Complete != c.complete || s.Parted != c.parted || !has || s.N != len(c.y) {
			t.Errorf("%s: got %+v", c.name, s)
		}
		if !strings.Contains(err.Error(), "there are no finite estimates; join rare categories") {
			t.Errorf("%s: %v", c.name, err)
		}
		// A penalty makes it finite.
		if _, err := Penalised(c.x, nil, c.y, Penalty{Alpha: 0, Lambda: []float64{0.01}}); err != nil {
			t.Errorf("%s, ridge: %v", c.name, err)
		}
	}
}

// Strong effects are not separation, however strong: one patient out of place is
// enough for a maximum.
func TestNearlySeparated(t *testing.T) {
	for _, n := range []int{10, 100, 1000, 20_000} {
		var x []float64
		var y []bool
		for i := range n {
			x, y = append(x, float64(i)), append(y, 2*i >= n)
		}
		if _, err := Logistic([][]float64{x}, nil, y, 0.95); !errors.As(err, new(*SeparationError)) {
			t.Errorf("%d patients in order: %v", n, err)
		}
		y[n/2-1], y[n/2] = y[n/2], y[n/2-1]
		r, err := Logistic([][]float64{x}, nil, y, 0.95)
		if err != nil {
			t.Errorf("%d patients, two of them swapped: %v", n, err)
		} else if math.IsInf(r.Terms[1].Coef, 0) || r.Terms[1].Coef <= 0 {
			t.Errorf("%d patients, two of them swapped: %+v", n, r.Terms)
		}
	}
}

func TestErrors(t *testing.T) {
	x, y := made(4, 20, 3, 1)
	second := func(_ any, err error) error { return err }
	twice := append(slices.Clone(x), make([]float64, 20))
	for i := range twice[3] {
		twice[3][i] = x[0][i] - 2*x[2][i] + 5
	}
	constant := append(slices.Clone(x), slices.Repeat([]float64{0.1}, 20))
	withNaN := [][]float64{slices.Clone(x[0])}
	withNaN[0][3] = math.NaN()
	r, err := Logistic(x, nil, y, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	path, err := Penalised(x, nil, y, Penalty{Lambda: []float64{1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err      error
		argument string
		feature  int
	}{
		"empty":             {second(Logistic(nil, nil, nil, 0.95)), "y", -1},
		"ragged":            {second(Logistic([][]float64{x[0][:19]}, nil, y, 0.95)), "x", 0},
		"missing":           {second(Logistic(withNaN, nil, y, 0.95)), "x", 0},
		"one class":         {second(Logistic(x, nil, make([]bool, 20), 0.95)), "y", -1},
		"level":             {second(Logistic(x, nil, y, 95)), "level", -1},
		"too many features": {second(Logistic([][]float64{{1, 2}, {3, 4}}, nil, []bool{true, false}, 0.95)), "x", -1},
		"combination":       {second(Logistic(twice, nil, y, 0.95)), "x", 3},
		"constant":          {second(Logistic(constant, nil, y, 0.95)), "x", 3},
		"alpha":             {second(Penalised(x, nil, y, Penalty{Alpha: 1.1})), "Penalty.Alpha", -1},
		"lambda zero":       {second(Penalised(x, nil, y, Penalty{Lambda: []float64{1, 0}})), "Penalty.Lambda[1]", -1},
		"lambda rising":     {second(Penalised(x, nil, y, Penalty{Lambda: []float64{1, 2}})), "Penalty.Lambda[1]", -1},
		"steps":             {second(Penalised(x, nil, y, Penalty{Steps: -1})), "Penalty.Steps", -1},
		"penalised missing": {second(Penalised(withNaN, nil, y, Penalty{})), "x", 0},
		"penalised class":   {second(Penalised(x, nil, make([]bool, 20), Penalty{})), "y", -1},
		"other features":    {second(r.Predict(x[:2])), "x", -1},
		"missing new":       {second(r.Predict([][]float64{{1}, {1}, {math.NaN()}})), "x", 2},
		"no such strength":  {second(path.Predict(x, 1)), "k", -1},
	} {
		var input *tabular.InputError
		if !errors.As(c.err, &input) || input.Argument != c.argument || input.Feature != c.feature || input.Next == "" {
			t.Errorf("%s: got %v", name, c.err)
		}
	}
	if p, err := r.Predict([][]float64{{}, {}, {}}); err != nil || len(p) != 0 {
		t.Errorf("nobody to predict for: %v, %v", p, err)
	}
	if path, err := Penalised([][]float64{slices.Repeat([]float64{3}, 20)}, nil, y, Penalty{Alpha: 1}); err != nil || path.Coef[0][0] != 0 {
		t.Errorf("a constant feature alone: %+v, %v", path, err)
	}
}

func ExampleLogistic() {
	age := []float64{50, 52, 55, 58, 60, 61, 64, 66, 70, 72, 75, 78}
	died := []bool{false, false, true, false, false, true, false, true, false, true, true, true}
	r, err := Logistic([][]float64{age}, []string{"age"}, died, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	t := r.Terms[1]
	fmt.Printf("%s: odds ratio %.2f per year (%.2f-%.2f), p %.2f\n", t.Name, t.OR, t.Low, t.High, t.P)
	// Output: age: odds ratio 1.16 per year (0.97-1.38), p 0.11
}
