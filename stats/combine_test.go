package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type combineCase struct {
	Kind, Name    string
	Level         float64
	X, SE         []float64
	Fixed, Random struct{ Metafor, Survcomp []float64 }
	Q, QP         float64
	Tau2, I2      float64
	Weights       []float64
	P             []float64
	Fisher        float64
	FisherP       float64 `json:"fisher_p"`
	Z             float64
	ZP            float64 `json:"z_p"`
	Bonferroni    []number
	Holm, BH, BY  []number
	Smoother      *struct {
		Pi0 float64
		Q   []float64
		At  []number
	}
	Bootstrap *struct {
		Pi0 float64
		Q   []number
	}
}

func TestCombineGolden(t *testing.T) {
	for _, c := range golden.Cases[combineCase](t, "combine") {
		switch c.Kind {
		case "meta":
			for model, want := range map[MetaModel]struct{ Metafor, Survcomp []float64 }{FixedEffect: c.Fixed, RandomEffects: c.Random} {
				r, err := MetaAnalysis(c.X, c.SE, model, c.Level)
				if err != nil {
					t.Fatal(err)
				}
				what := c.Name + ", " + string(model)
				nearAll(t, what, []float64{r.Estimate, r.SE, r.Low, r.High, r.Z}, numbers(want.Metafor[:5]), exact)
				nearP(t, what, r.P, want.Metafor[5])
				nearAll(t, what+", survcomp", []float64{r.Estimate, r.SE, r.Q, r.QP}, numbers(want.Survcomp), exact)
				near(t, what+" Q", r.Q, c.Q, exact)
				nearP(t, what+" Q", r.QP, c.QP)
				near(t, what+" tau2", r.Tau2, c.Tau2, exact)
				near(t, what+" I2", r.I2, c.I2, exact)
				if model == RandomEffects {
					nearAll(t, what+" weights", r.Weights, numbers(c.Weights), exact)
				}
			}
		case "combine":
			f, err := FisherCombined(c.P)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Name+" Fisher", f.Statistic, c.Fisher, exact)
			nearP(t, c.Name+" Fisher", f.P, c.FisherP)
			s, err := StoufferCombined(c.P, c.Weights)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Name+" Stouffer", s.Statistic, c.Z, exact)
			nearP(t, c.Name+" Stouffer", s.P, c.ZP)
			near(t, c.Name+" Q", s.Q, c.Q, exact)
			nearP(t, c.Name+" Q", s.QP, c.QP)
		case "adjust":
			for correction, want := range map[Correction][]number{Bonferroni: c.Bonferroni, Holm: c.Holm, BH: c.BH, BY: c.BY} {
				got, err := Adjust(c.P, correction)
				if err != nil {
					t.Fatal(err)
				}
				nearAll(t, c.Name+" "+string(correction), got, want, exact)
			}
			if c.Smoother == nil {
				continue
			}
			r, err := QValues(c.P, SmoothedPiZero)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, c.Name+" estimates", r.At, c.Smoother.At, exact)
			// smooth.spline meets three degrees of freedom to its own tolerance only.
			near(t, c.Name+" pi0", r.PiZero, c.Smoother.Pi0, 2e-5)
			for i, q := range r.Q {
				near(t, c.Name+" q/pi0", q/r.PiZero, c.Smoother.Q[i]/c.Smoother.Pi0, exact)
			}
			r, err = QValues(c.P, BootstrapPiZero)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Name+" bootstrap pi0", r.PiZero, c.Bootstrap.Pi0, exact)
			nearAll(t, c.Name+" bootstrap q", r.Q, c.Bootstrap.Q, exact)
		default:
			t.Errorf("unknown kind %q", c.Kind)
		}
	}
}

func TestCombineEdges(t *testing.T) {
	for _, model := range []MetaModel{FixedEffect, RandomEffects} {
		one, err := MetaAnalysis([]float64{0.7}, []float64{0.05}, model, 0.95)
		if err != nil || one.Estimate != 0.7 || math.Abs(one.SE-0.05) > 1e-15 || !math.IsNaN(one.Q) || one.Tau2 != 0 || one.Weights[0] != 1 {
			t.Errorf("one study, %s: %+v, %v", model, one, err)
		}
		same, err := MetaAnalysis([]float64{0.7, 0.7, 0.7}, []float64{0.1, 0.2, 0.3}, model, 0.95)
		if err != nil || same.Estimate != 0.7 || same.Q != 0 || same.QP != 1 || same.I2 != 0 {
			t.Errorf("studies that agree, %s: %+v, %v", model, same, err)
		}
	}
	for _, p := range []float64{1e-300, 0.2, 1} {
		r, err := FisherCombined([]float64{p})
		if err != nil {
			t.Fatal(err)
		}
		nearP(t, "one p value", r.P, p)
	}
	zero, err := FisherCombined([]float64{0, 0.5})
	if err != nil || zero.P != 0 {
		t.Errorf("%+v, %v", zero, err)
	}
	one, err := StoufferCombined([]float64{0.03}, nil)
	if err != nil || !math.IsNaN(one.QP) {
		t.Errorf("%+v, %v", one, err)
	}
	nearP(t, "one p value", one.P, 0.03)
}

func TestAdjustProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 1))
	for range 60 {
		p := make([]float64, 1+random.IntN(200))
		for i := range p {
			p[i] = math.Round(1000*random.Float64()*random.Float64()) / 1000
		}
		by := map[Correction][]float64{}
		for _, c := range []Correction{Bonferroni, Holm, BH, BY} {
			out, err := Adjust(p, c)
			if err != nil {
				t.Fatal(err)
			}
			by[c] = out
			turned := slices.Clone(p)
			slices.Reverse(turned)
			again, _ := Adjust(turned, c)
			slices.Reverse(again)
			if !slices.Equal(again, out) {
				t.Errorf("%s depends on the order of the tests", c)
			}
		}
		m := float64(len(p))
		for i, v := range p {
			// The definitions, looking at every pair of tests.
			holm, bh := 0.0, 1.0
			for _, w := range p {
				smaller, upTo := 0.0, 0.0
				for _, u := range p {
					if u < w {
						smaller++
					}
					if u <= w {
						upTo++
					}
				}
				if w <= v {
					holm = math.Max(holm, (m-smaller)*w)
				}
				if w >= v {
					bh = math.Min(bh, m*w/upTo)
				}
			}
			near(t, "Holm", by[Holm][i], math.Min(1, holm), 1e-12)
			near(t, "BH", by[BH][i], bh, 1e-12)
			if !(v <= by[BH][i] && by[BH][i] <= by[BY][i] && by[BH][i] <= by[Holm][i] && by[Holm][i] <= by[Bonferroni][i] && by[BY][i] <= 1) {
				t.Errorf("p %v: BH %v, BY %v, Holm %v, Bonferroni %v", v, by[BH][i], by[BY][i], by[Holm][i], by[Bonferroni][i])
			}
		}
	}
}

// A smoothing spline leaves straight lines alone and answers linearly.
func TestSmoothedEnd(t *testing.T) {
	line, bent, sum := make([]float64, 19), make([]float64, 19), make([]float64, 19)
	for i := range line {
		line[i] = 0.4 + 0.03*float64(i)
		bent[i] = math.Sin(float64(i))
		sum[i] = line[i] + 2*bent[i]
	}
	near(t, "line", smoothedEnd(line, 3), line[18], 1e-9)
	near(t, "sum", smoothedEnd(sum, 3), line[18]+2*smoothedEnd(bent, 3), 1e-9)
	near(t, "almost all degrees of freedom", smoothedEnd(bent, 18.9), bent[18], 0.01)
}
