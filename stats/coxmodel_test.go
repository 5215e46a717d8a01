package stats

import (
	"errors"
	"math"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type zphGolden struct {
	Transform TimeTransform
	Chisq, X  []number
	P         []float64
	Y         [][]number
}

type curveGolden struct {
	X                               []float64
	Stratum                         int
	Interval                        CurveInterval
	Time                            []float64
	Hazard, SE, Survival, Low, High []number
}

type coxModelCase struct {
	Name            string
	Ties            Ties
	Level           float64
	Time            []float64
	Event           []bool
	X               [][]float64
	Strata, Cluster []int
	Robust          bool
	Coef, LogLik    []number
	Covariance      [][]number
	Naive           [][]number
	Wald, Score     float64
	RScore          number
	Low, High       []number
	Schoenfeld      [][]number
	ZPH             []zphGolden
	BaseStratum     []int    `json:"base_stratum"`
	BaseTime        []number `json:"base_time"`
	BaseHazard      []number `json:"base_hazard"`
	Curves          []curveGolden
	LP              []number
}

func (c coxModelCase) options() []CoxOption {
	o := []CoxOption{CoxTies(c.Ties)}
	if len(c.Strata) > 0 {
		o = append(o, CoxStrata(c.Strata))
	}
	if len(c.Cluster) > 0 {
		o = append(o, CoxCluster(c.Cluster))
	} else if c.Robust {
		o = append(o, CoxRobust())
	}
	return o
}

func TestCoxModelAgainstR(t *testing.T) {
	for _, c := range golden.Cases[coxModelCase](t, "coxmodel") {
		t.Run(c.Name, func(t *testing.T) {
			r, err := Cox(c.Time, c.Event, c.X, c.Level, c.options()...)
			if err != nil {
				t.Fatal(err)
			}
			for j, term := range r.Terms {
				near(t, "coefficient", term.Coef, float64(c.Coef[j]), exact)
				near(t, "low", term.Low, float64(c.Low[j]), exact)
				near(t, "high", term.High, float64(c.High[j]), exact)
				near(t, "SE", term.SE, math.Sqrt(float64(c.Covariance[j][j])), exact)
				near(t, "model SE", term.ModelSE, math.Sqrt(float64(c.Naive[j][j])), exact)
				nearAll(t, "covariance", r.Covariance[j], c.Covariance[j], exact)
				nearAll(t, "model covariance", r.ModelCovariance[j], c.Naive[j], exact)
			}
			near(t, "null log likelihood", r.NullLikelihood, float64(c.LogLik[0]), exact)
			near(t, "log likelihood", r.LogLikelihood, float64(c.LogLik[1]), exact)
			near(t, "Wald", r.Wald.ChiSquare, c.Wald, exact)
			near(t, "score", r.Score.ChiSquare, c.Score, exact)
			if r.RobustScore != nil {
				near(t, "robust score", r.RobustScore.ChiSquare, float64(c.RScore), exact)
			} else if !math.IsNaN(float64(c.RScore)) {
				t.Error("no robust score test")
			}
			checkResidualsAgainstR(t, r, c)
			checkPredictionsAgainstR(t, r, c)
		})
	}
}

func checkResidualsAgainstR(t *testing.T, r CoxResult, c coxModelCase) {
	t.Helper()
	residuals, err := r.Schoenfeld()
	if err != nil || len(residuals.Value) != len(c.Schoenfeld) {
		t.Fatalf("%d residuals, want %d; %v", len(residuals.Value), len(c.Schoenfeld), err)
	}
	for i, row := range residuals.Value {
		nearAll(t, "Schoenfeld residual", row, c.Schoenfeld[i], exact)
		if p := residuals.Patient[i]; c.Time[p] != residuals.Time[i] || !c.Event[p] {
			t.Errorf("residual %d belongs to patient %d, who did not die then", i, p)
		}
	}
	for _, want := range c.ZPH {
		got, err := r.ProportionalHazards(want.Transform)
		if err != nil {
			t.Fatal(err)
		}
		tests := append(slices.Clone(got.Terms), got.Global)
		for j, test := range tests {
			near(t, string(want.Transform)+" chi-square", test.ChiSquare, float64(want.Chisq[j]), exact)
			nearP(t, string(want.Transform), test.P, want.P[j])
		}
		if got.Global.DF != len(got.Terms) {
			t.Errorf("global test has %d degrees of freedom", got.Global.DF)
		}
		nearAll(t, "transformed time", got.X, want.X, exact)
		for i, row := range got.Residual {
			nearAll(t, "scaled residual", row, want.Y[i], exact)
		}
	}
}

func checkPredictionsAgainstR(t *testing.T, r CoxResult, c coxModelCase) {
	t.Helper()
	baseline, err := r.Baseline()
	if err != nil {
		t.Fatal(err)
	}
	k := 0
	for _, b := range baseline {
		for i := range b.Time {
			if b.Stratum != c.BaseStratum[k] {
				t.Errorf("stratum %d, want %d", b.Stratum, c.BaseStratum[k])
			}
			near(t, "baseline time", b.Time[i], float64(c.BaseTime[k]), 0)
			near(t, "baseline hazard", b.Hazard[i], float64(c.BaseHazard[k]), exact)
			k++
		}
	}
	if k != len(c.BaseTime) {
		t.Errorf("%d baseline steps, want %d", k, len(c.BaseTime))
	}
	lp, err := r.LinearPredictor(c.X)
	if err != nil {
		t.Fatal(err)
	}
	nearAll(t, "linear predictor", lp, c.LP, exact)
	for _, want := range c.Curves {
		got, err := r.Curve(want.X, want.Stratum, want.Interval)
		if err != nil || !slices.Equal(got.Time, want.Time) {
			t.Fatalf("curve at %v, %v", got.Time, err)
		}
		nearAll(t, "hazard", got.Hazard, want.Hazard, exact)
		nearAll(t, "hazard SE", got.SE, want.SE, exact)
		nearAll(t, "survival", got.Survival, want.Survival, exact)
		nearAll(t, "low", got.Low, want.Low, exact)
		nearAll(t, "high", got.High, want.High, exact)
		// The matrix form reads the same curve, also between its steps.
		var strata []int
		if len(c.Strata) > 0 {
			strata = []int{want.Stratum}
		}
		times := []float64{0, want.Time[2], want.Time[len(want.Time)-1] + 5, want.Time[3] + 0.5}
		s, err := r.PredictSurvival([][]float64{want.X}, strata, times)
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range times {
			survival, _, _ := got.At(at)
			near(t, "survival at a time", s[0][i], survival, 1e-13)
		}
	}
}

// slowScoreResidual is the definition: the patient's own term, less his expected share
// of every death at which he was at risk.
func slowScoreResidual(time []float64, event []bool, x [][]float64, coef []float64, stratum []int, breslow bool, patient int) []float64 {
	p := len(coef)
	weight := func(i int) float64 {
		eta := 0.0
		for j, v := range x[i] {
			eta += v * coef[j]
		}
		return math.Exp(eta)
	}
	out := make([]float64, p)
	for _, u := range uniqueTimes(time) {
		var dying []int
		for i := range time {
			if time[i] == u && event[i] && stratum[i] == stratum[patient] {
				dying = append(dying, i)
			}
		}
		for k := range dying {
			f := float64(k) / float64(len(dying))
			if breslow {
				f = 0
			}
			// in is the share of a patient in the k-th risk set.
			in := func(i int) float64 {
				if time[i] < u || stratum[i] != stratum[patient] {
					return 0
				}
				if time[i] == u && event[i] {
					return 1 - f
				}
				return 1
			}
			total, mean := 0.0, make([]float64, p)
			for i := range time {
				total += in(i) * weight(i)
			}
			for i := range time {
				for j := range p {
					mean[j] += in(i) * weight(i) * x[i][j] / total
				}
			}
			for j := range p {
				gap := x[patient][j] - mean[j]
				if slices.Contains(dying, patient) {
					out[j] += gap / float64(len(dying))
				}
				out[j] -= in(patient) * weight(patient) * gap / total
			}
		}
	}
	return out
}

func TestCoxSandwichEqualsSlow(t *testing.T) {
	for seed := range uint64(8) {
		time, event, x := coxExample(40+seed, 50, 2, []float64{1, 90}[seed%2])
		stratum, cluster := make([]int, len(time)), make([]int, len(time))
		for i := range time {
			stratum[i], cluster[i] = i%2*int(seed%3), i%17
		}
		ties := []Ties{Efron, Breslow}[seed/2%2]
		r, err := Cox(time, event, x, 0.95, CoxTies(ties), CoxStrata(stratum), CoxCluster(cluster))
		if err != nil {
			t.Fatal(err)
		}
		coef := []float64{r.Terms[0].Coef, r.Terms[1].Coef}
		effects := make([][2]float64, 17)
		for i := range time {
			u := slowScoreResidual(time, event, x, coef, stratum, ties == Breslow, i)
			for j := range 2 {
				effects[cluster[i]][j] += u[0]*r.ModelCovariance[0][j] + u[1]*r.ModelCovariance[1][j]
			}
		}
		for a := range 2 {
			for b := range 2 {
				want := 0.0
				for _, e := range effects {
					want += e[a] * e[b]
				}
				near(t, "sandwich", r.Covariance[a][b]/want, 1, 1e-8)
			}
		}
		if r.Clusters != 17 || r.Strata > 2 {
			t.Errorf("%d clusters, %d strata", r.Clusters, r.Strata)
		}
		// Schoenfeld residuals add up to nothing.
		s, err := r.Schoenfeld()
		if err != nil {
			t.Fatal(err)
		}
		sum := [2]float64{}
		for _, row := range s.Value {
			sum[0] += row[0]
			sum[1] += row[1]
		}
		near(t, "sum of residuals", sum[0], 0, 1e-8)
		near(t, "sum of residuals", sum[1], 0, 1e-7)
	}
}

func TestCoxProperties(t *testing.T) {
	time, event, x := coxExample(77, 120, 3, 30)
	stratum := make([]int, len(time))
	for i := range time {
		stratum[i] = i % 3 * 4
	}
	plain, err := Cox(time, event, x, 0.95, CoxStrata(stratum), CoxRobust())
	if err != nil {
		t.Fatal(err)
	}
	// One cluster per patient is the robust variance; one stratum is none; other
	// labels and another order of the rows change nothing.
	order := slices.Repeat([]int{0}, len(time))
	for i := range order {
		order[i] = (i*37 + 11) % len(time)
	}
	renamed := make([]int, len(time))
	own := make([]int, len(time))
	for i := range time {
		renamed[i], own[i] = 100-stratum[i], -i
	}
	same, err := Cox(pick(time, order), pick(event, order), pick(x, order), 0.95, CoxStrata(pick(renamed, order)), CoxCluster(pick(own, order)))
	if err != nil {
		t.Fatal(err)
	}
	for j := range plain.Terms {
		near(t, "coefficient of shuffled rows", same.Terms[j].Coef, plain.Terms[j].Coef, 1e-10)
		near(t, "SE of shuffled rows", same.Terms[j].SE, plain.Terms[j].SE, 1e-10)
	}
	a, _ := Cox(time, event, x, 0.95)
	b, err := Cox(time, event, x, 0.95, CoxStrata(make([]int, len(time))))
	if err != nil || a.Terms[0] != b.Terms[0] {
		t.Errorf("one stratum differs from none: %+v, %+v, %v", a.Terms[0], b.Terms[0], err)
	}
	// Without ties both approximations are the likelihood itself.
	distinct := make([]float64, len(time))
	for i := range time {
		distinct[i] = time[i] + float64(i)*1e-3
	}
	e, _ := Cox(distinct, event, x, 0.95)
	br, err := Cox(distinct, event, x, 0.95, CoxTies(Breslow))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Breslow without ties", br.Terms[1].Coef, e.Terms[1].Coef, 1e-10)
	// Predicted survival falls, and a higher linear predictor is a lower curve.
	lp, err := a.LinearPredictor(x)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.PredictSurvival(x, nil, []float64{0, 100, 300, 1e6})
	if err != nil {
		t.Fatal(err)
	}
	for i := range x {
		for k := range s[i] {
			if s[i][k] < 0 || s[i][k] > 1 || k > 0 && s[i][k] > s[i][k-1] {
				t.Fatalf("patient %d: survival %v", i, s[i])
			}
			if i > 0 && (lp[i] > lp[i-1]) && s[i][k] > s[i-1][k] {
				t.Errorf("patients %d and %d: a higher risk lives longer", i-1, i)
			}
		}
	}
	far, err := a.Curve([]float64{1e9, -1e9, 1e9}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range far.Survival {
		if math.IsNaN(v) {
			t.Fatalf("far outside the data: %v", far.Survival)
		}
	}
}

// Data that break the proportional hazards assumption, and data that keep it.
func TestProportionalHazardsSeesADrift(t *testing.T) {
	var time []float64
	var event []bool
	var x [][]float64
	for i := range 200 {
		u := (float64(i) + 0.5) / 200
		// Crossing hazards: the exposed die in the middle, the others early or late.
		time, event, x = append(time, 400+200*u, 1000*u), append(event, true, true), append(x, []float64{1}, []float64{0})
	}
	r, err := Cox(time, event, x, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []TimeTransform{KMTime, IdentityTime, RankTime, LogTime} {
		z, err := r.ProportionalHazards(g)
		if err != nil || !(z.Global.P < 1e-6) || math.Abs(z.Global.ChiSquare/z.Terms[0].ChiSquare-1) > 1e-12 {
			t.Errorf("%s: %+v, %v", g, z.Global, err)
		}
	}
	time, event, x = coxExample(5, 300, 1, 1)
	if r, err = Cox(time, event, x, 0.95); err != nil {
		t.Fatal(err)
	}
	if z, err := r.ProportionalHazards(KMTime); err != nil || z.Global.P < 0.01 {
		t.Errorf("proportional by construction: %+v, %v", z.Global, err)
	}
}

func TestCoxModelErrors(t *testing.T) {
	time, event, x := coxExample(6, 30, 2, 1)
	fit, err := Cox(time, event, x, 0.95, CoxStrata(slices.Repeat([]int{1, 2}, 15)))
	if err != nil {
		t.Fatal(err)
	}
	zero := slices.Clone(time)
	for i := range zero {
		if event[i] {
			zero[i] = 0
			break
		}
	}
	early, err := Cox(zero, event, x, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	atOnce, err := Cox([]float64{5, 5, 5, 9, 9}, []bool{true, true, true, false, false}, [][]float64{{1}, {2}, {0}, {1}, {2}}, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	for name, call := range map[string]func() error{
		"strata too short":    func() error { _, err := Cox(time, event, x, 0.95, CoxStrata([]int{1})); return err },
		"cluster too short":   func() error { _, err := Cox(time, event, x, 0.95, CoxCluster(nil)); return err },
		"unknown ties":        func() error { _, err := Cox(time, event, x, 0.95, CoxTies("exact")); return err },
		"unknown transform":   func() error { _, err := fit.ProportionalHazards("sqrt"); return err },
		"log of day 0":        func() error { _, err := early.ProportionalHazards(LogTime); return err },
		"one death time":      func() error { _, err := atOnce.ProportionalHazards(KMTime); return err },
		"not a fit":           func() error { _, err := CoxResult{}.Schoenfeld(); return err },
		"not a fit, zph":      func() error { _, err := CoxResult{}.ProportionalHazards(KMTime); return err },
		"not a fit, baseline": func() error { _, err := CoxResult{}.Baseline(); return err },
		"not a fit, curve":    func() error { _, err := CoxResult{}.Curve(nil, 0); return err },
		"not a fit, survival": func() error { _, err := CoxResult{}.PredictSurvival(nil, nil, nil); return err },
		"short row":           func() error { _, err := fit.Curve([]float64{1}, 1); return err },
		"NaN row":             func() error { _, err := fit.LinearPredictor([][]float64{{1, nan}}); return err },
		"unknown stratum":     func() error { _, err := fit.Curve([]float64{1, 2}, 7); return err },
		"strata not given":    func() error { _, err := fit.PredictSurvival(x, nil, []float64{5}); return err },
		"negative time":       func() error { _, err := fit.PredictSurvival(x[:1], []int{1}, []float64{-5}); return err },
		"two intervals":       func() error { _, err := fit.Curve(x[0], 1, LogInterval, LogInterval); return err },
		"unknown interval":    func() error { _, err := fit.Curve(x[0], 1, "logit"); return err },
	} {
		var input *InputError
		if err := call(); !errors.As(err, &input) || input.Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A covariate that only tells strata apart says nothing within them.
	labels := slices.Repeat([]int{1, 2}, 15)
	column := make([][]float64, len(time))
	for i := range column {
		column[i] = []float64{x[i][0], float64(labels[i])}
	}
	var input *InputError
	if _, err := Cox(time, event, column, 0.95, CoxStrata(labels)); !errors.As(err, &input) || input.Index != 1 {
		t.Errorf("covariate equal to the strata: %v", err)
	}
}
