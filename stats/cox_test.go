package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"hounsfield/stats/golden"
)

type coxCase struct {
	Name                    string
	Time                    []float64
	Event                   []bool
	Level                   float64
	X                       [][]float64
	Coef, SE, HR, Low, High []float64
	P                       []float64
	Covariance              [][]number
	LogLik, LR, Wald, Score []float64
}

func TestCoxAgainstR(t *testing.T) {
	for _, c := range golden.Cases[coxCase](t, "cox") {
		t.Run(c.Name, func(t *testing.T) {
			r, err := Cox(c.Time, c.Event, c.X, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Terms) != len(c.Coef) {
				t.Fatalf("%d terms, want %d", len(r.Terms), len(c.Coef))
			}
			for j, term := range r.Terms {
				near(t, "coefficient", term.Coef, c.Coef[j], exact)
				near(t, "SE", term.SE, c.SE[j], exact)
				near(t, "HR", term.HR, c.HR[j], exact)
				near(t, "low", term.Low, c.Low[j], exact)
				near(t, "high", term.High, c.High[j], exact)
				near(t, "z", term.Z, c.Coef[j]/c.SE[j], exact)
				nearP(t, "coefficient", term.P, c.P[j])
				nearAll(t, "covariance", r.Covariance[j], c.Covariance[j], exact)
			}
			near(t, "null log likelihood", r.NullLikelihood, c.LogLik[0], exact)
			near(t, "log likelihood", r.LogLikelihood, c.LogLik[1], exact)
			for _, test := range []struct {
				name string
				got  ChiSquareTest
				want []float64
			}{{"likelihood ratio", r.LikelihoodRatio, c.LR}, {"Wald", r.Wald, c.Wald}, {"score", r.Score, c.Score}} {
				near(t, test.name, test.got.ChiSquare, test.want[0], exact)
				nearP(t, test.name, test.got.P, test.want[2])
				if float64(test.got.DF) != test.want[1] {
					t.Errorf("%s test has %d degrees of freedom, want %v", test.name, test.got.DF, test.want[1])
				}
			}
		})
	}
}

func coxExample(seed uint64, n, p int, step float64) (time []float64, event []bool, x [][]float64) {
	random := rand.New(rand.NewPCG(seed, 5))
	for range n {
		row := make([]float64, p)
		for j := range row {
			row[j] = random.NormFloat64() * math.Pow(10, float64(j%3))
		}
		death := random.ExpFloat64() * 300 * math.Exp(-0.5*row[0])
		leave := 100 + 900*random.Float64()
		time = append(time, math.Ceil(math.Min(death, leave)/step)*step)
		event = append(event, death <= leave)
		x = append(x, row)
	}
	return time, event, x
}

// slowLikelihood is Efron's log partial likelihood as it is printed in the books.
func slowLikelihood(time []float64, event []bool, x [][]float64, beta []float64) float64 {
	eta := make([]float64, len(x))
	for i, row := range x {
		for j, v := range row {
			eta[i] += v * beta[j]
		}
	}
	sum := 0.0
	for _, u := range uniqueTimes(time) {
		risk, dying, deaths := 0.0, 0.0, 0
		for i := range time {
			if time[i] >= u {
				risk += math.Exp(eta[i])
			}
			if time[i] == u && event[i] {
				dying += math.Exp(eta[i])
				deaths++
				sum += eta[i]
			}
		}
		for k := range deaths {
			sum -= math.Log(risk - float64(k)/float64(deaths)*dying)
		}
	}
	return sum
}

func TestCoxIsTheMaximumOfTheSlowLikelihood(t *testing.T) {
	for seed := range uint64(12) {
		p := 1 + int(seed%4)
		time, event, x := coxExample(seed, 60, p, []float64{1, 80}[seed%2])
		r, err := Cox(time, event, x, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		coef := make([]float64, p)
		for j, term := range r.Terms {
			coef[j] = term.Coef
		}
		near(t, "null", slowLikelihood(time, event, x, make([]float64, p)), r.NullLikelihood, 1e-12)
		near(t, "maximum", slowLikelihood(time, event, x, coef), r.LogLikelihood, 1e-12)
		for j := range p {
			// The second difference gives the information; the first is zero.
			h := 1e-3 * r.Terms[j].SE
			at := func(d float64) float64 {
				beta := append([]float64(nil), coef...)
				beta[j] += d
				return slowLikelihood(time, event, x, beta)
			}
			near(t, "slope in standard errors", (at(h)-at(-h))/(2*h)*r.Terms[j].SE, 0, 1e-6)
			if p == 1 {
				near(t, "curvature", -(at(h)-2*at(0)+at(-h))/(h*h)*square(r.Terms[j].SE), 1, 1e-5)
			}
		}
		// Other units: the coefficient follows, the tests do not move.
		scaled := make([][]float64, len(x))
		for i, row := range x {
			scaled[i] = append([]float64(nil), row...)
			scaled[i][0] = 1000*row[0] + 5e4
		}
		s, err := Cox(time, event, scaled, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "coefficient in other units", s.Terms[0].Coef*1000, r.Terms[0].Coef, 1e-9)
		near(t, "Wald in other units", s.Wald.ChiSquare, r.Wald.ChiSquare, 1e-8)
	}
}

// With one 0/1 covariate and no ties the score test is the log-rank test.
func TestCoxScoreIsLogRank(t *testing.T) {
	time, event, x := coxExample(3, 80, 1, 1)
	group := make([]int, len(x))
	for i := range x {
		time[i] += float64(i) * 1e-3 // no ties
		if x[i][0] > 0 {
			group[i], x[i][0] = 1, 1
		} else {
			x[i][0] = 0
		}
	}
	r, err := Cox(time, event, x, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	lr, err := LogRank(time, event, group)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "score test", r.Score.ChiSquare, lr.ChiSquare, 1e-10)
}

func TestCoxWithoutAnAnswer(t *testing.T) {
	time, event, x := coxExample(4, 30, 3, 1)
	column := func(change func(i int, row []float64)) [][]float64 {
		out := make([][]float64, len(x))
		for i, row := range x {
			out[i] = append([]float64(nil), row...)
			change(i, out[i])
		}
		return out
	}
	for name, bad := range map[string][][]float64{
		"constant":       column(func(_ int, row []float64) { row[2] = 0.1 }),
		"twice the same": column(func(_ int, row []float64) { row[2] = 3*row[0] - row[1] + 2 }),
	} {
		_, err := Cox(time, event, bad, 0.95)
		var input *InputError
		if !errors.As(err, &input) || input.Index != 2 || !strings.Contains(err.Error(), "remove column 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Rounding must not make a dependent column look independent, whatever the data.
	for seed := range uint64(30) {
		time, event, x := coxExample(seed, 40, 3, 1)
		for _, row := range x {
			row[2] = (row[0] - row[1]/7) / 3
		}
		_, err := Cox(time, event, x, 0.95)
		var input *InputError
		if !errors.As(err, &input) || input.Index != 2 {
			t.Errorf("seed %d: a dependent column passes: %v", seed, err)
		}
	}
	// Varies only in a patient who left before anybody died.
	early := column(func(i int, row []float64) {
		row[1] = 0.3
		if i == 0 {
			row[1] = 9
		}
	})
	time[0], event[0] = 0.5, false
	_, err := Cox(time, event, early, 0.95)
	var input *InputError
	if !errors.As(err, &input) || input.Index != 1 {
		t.Errorf("no variation among those at risk: %v", err)
	}
	// Only patients with the trait die, and all of them before the others leave.
	separated := [][]float64{{1}, {1}, {1}, {0}, {0}, {0}}
	_, err = Cox([]float64{1, 2, 3, 4, 5, 6}, []bool{true, true, true, false, false, false}, separated, 0.95)
	var convergence *ConvergenceError
	if !errors.As(err, &convergence) || convergence.Column != 0 || !strings.Contains(err.Error(), "separate the deaths from the survivors") {
		t.Errorf("separation: %v", err)
	}
}
