package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type goldenTerm struct {
	Estimate, SE, Low, High float64
	Z, P                    float64
}

type brierParts struct {
	Reliability, Resolution, Uncertainty, Variance, Covariance float64
	Groups                                                     int
}

type calibrationCase struct {
	Name                    string
	Risk                    []float64
	Positive                []bool
	Groups                  int
	Level                   float64
	Large, Intercept, Slope goldenTerm
	Covariance              float64
	LR                      float64
	LRP                     float64 `json:"lr_p"`
	Expected, Ratio         float64
	At                      []float64
	Line, Low, High         []number
	Recalibrated            []number
	InTheLarge              []number `json:"in_the_large"`
	Brier                   float64
	BrierSE                 float64 `json:"brier_se"`
	Z                       float64
	ZP                      float64 `json:"z_p"`
	Each, Binned            brierParts
}

func nearTerm(t *testing.T, what string, got CalibrationTerm, want goldenTerm) {
	t.Helper()
	near(t, what, got.Estimate, want.Estimate, exact)
	near(t, what+" SE", got.SE, want.SE, exact)
	near(t, what+" low", got.Low, want.Low, exact)
	near(t, what+" high", got.High, want.High, exact)
	nearP(t, what, got.P, want.P)
}

func TestCalibrationAgainstR(t *testing.T) {
	for _, c := range golden.Cases[calibrationCase](t, "calibration") {
		t.Run(c.Name, func(t *testing.T) {
			r, err := Calibration(c.Risk, c.Positive, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			nearTerm(t, "in the large", r.InTheLarge, c.Large)
			nearTerm(t, "intercept", r.Intercept, c.Intercept)
			nearTerm(t, "slope", r.Slope, c.Slope)
			near(t, "covariance", r.Covariance, c.Covariance, exact)
			near(t, "expected", r.Expected, c.Expected, exact)
			near(t, "observed / expected", r.ObservedRatio, c.Ratio, exact)
			// rms fits until the deviance moves by less than 1e-5 or so.
			near(t, "likelihood ratio", r.LikelihoodRatio.ChiSquare, c.LR, exact)
			near(t, "likelihood ratio p", r.LikelihoodRatio.P, c.LRP, exact)

			line, err := r.Line(c.At)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "line", line.Observed, c.Line, exact)
			nearAll(t, "line low", line.Low, c.Low, exact)
			nearAll(t, "line high", line.High, c.High, exact)
			moved, err := r.Recalibrated(c.Risk)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "recalibrated", moved, c.Recalibrated, exact)
			large, err := r.RecalibratedInLarge(c.Risk)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "recalibrated in the large", large, c.InTheLarge, exact)

			// What is recalibrated on its own patients looks perfect.
			again, err := Calibration(moved, c.Positive, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "intercept again", again.Intercept.Estimate, 0, 1e-7)
			near(t, "slope again", again.Slope.Estimate, 1, 1e-7)
			near(t, "expected again", again.Expected, float64(again.Positives), 1e-7)
			if r.Slope.Estimate > 0 {
				near(t, "AUC", mustAUC(t, moved, c.Positive), mustAUC(t, c.Risk, c.Positive), 1e-15)
			}
		})
	}
}

func TestBrierAgainstR(t *testing.T) {
	for _, c := range golden.Cases[calibrationCase](t, "calibration") {
		t.Run(c.Name, func(t *testing.T) {
			for groups, want := range map[int]brierParts{0: c.Each, c.Groups: c.Binned} {
				r, err := Brier(c.Risk, c.Positive, groups, c.Level)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "Brier", r.Brier, c.Brier, exact)
				near(t, "SE", r.SE, c.BrierSE, exact)
				near(t, "Spiegelhalter z", r.SpiegelhalterZ, c.Z, exact)
				nearP(t, "Spiegelhalter", r.SpiegelhalterP, c.ZP)
				near(t, "reliability", r.Reliability, want.Reliability, exact)
				near(t, "resolution", r.Resolution, want.Resolution, exact)
				near(t, "uncertainty", r.Uncertainty, want.Uncertainty, exact)
				near(t, "within variance", r.WithinVariance, want.Variance, exact)
				near(t, "within covariance", r.WithinCovariance, want.Covariance, exact)
				if r.Groups != want.Groups {
					t.Errorf("%d groups, want %d", r.Groups, want.Groups)
				}
				near(t, "sum of the parts", r.Reliability-r.Resolution+r.Uncertainty+r.WithinVariance-r.WithinCovariance, r.Brier, 1e-14)
			}
		})
	}
}

// riskData draws risks, rounded to 1/grain, of patients whose true risk is another.
func riskData(seed uint64, n int, grain float64) (risk []float64, positive []bool) {
	random := rand.New(rand.NewPCG(seed, 7))
	for i := range n {
		x := random.NormFloat64()
		p := math.Round(expit(1.3*x+0.5*random.NormFloat64())*grain) / grain
		risk = append(risk, min(max(p, 0.001), 0.999))
		positive = append(positive, i != 0 && (i < 3 || random.Float64() < expit(x)))
	}
	return risk, positive
}

// The fit is a maximum: no point of a fine cross around it has a higher likelihood, and
// its information is the curvature there.
func TestCalibrationIsMaximum(t *testing.T) {
	for seed := range uint64(15) {
		risk, positive := riskData(seed, 40+10*int(seed), []float64{10, 1e9}[seed%2])
		r, err := Calibration(risk, positive, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		likelihood := func(a, b float64) float64 {
			sum := 0.0
			for i, p := range risk {
				q := 1 / (1 + math.Exp(-(a + b*math.Log(p/(1-p)))))
				if positive[i] {
					sum += math.Log(q)
				} else {
					sum += math.Log(1 - q)
				}
			}
			return sum
		}
		a, b := r.Intercept.Estimate, r.Slope.Estimate
		top := likelihood(a, b)
		for _, h := range []float64{1e-2, 1e-3, 1e-4} {
			for _, d := range [][2]float64{{h, 0}, {-h, 0}, {0, h}, {0, -h}, {h, h}, {h, -h}, {-h, h}, {-h, -h}} {
				if likelihood(a+d[0], b+d[1]) >= top {
					t.Errorf("seed %d: (%v, %v) is no maximum", seed, a, b)
				}
			}
			if likelihood(r.InTheLarge.Estimate+h, 1) >= likelihood(r.InTheLarge.Estimate, 1) || likelihood(r.InTheLarge.Estimate-h, 1) >= likelihood(r.InTheLarge.Estimate, 1) {
				t.Errorf("seed %d: %v is no maximum in the large", seed, r.InTheLarge.Estimate)
			}
		}
		near(t, "likelihood ratio", r.LikelihoodRatio.ChiSquare, 2*(top-likelihood(0, 1)), 1e-9)
		const h = 1e-4
		aa := -(likelihood(a+h, b) - 2*top + likelihood(a-h, b)) / (h * h)
		bb := -(likelihood(a, b+h) - 2*top + likelihood(a, b-h)) / (h * h)
		ab := -(likelihood(a+h, b+h) - likelihood(a+h, b-h) - likelihood(a-h, b+h) + likelihood(a-h, b-h)) / (4 * h * h)
		determinant := aa*bb - ab*ab
		near(t, "variance of a", square(r.Intercept.SE)/(bb/determinant), 1, 1e-4)
		near(t, "variance of b", square(r.Slope.SE)/(aa/determinant), 1, 1e-4)

		// Turning outcome and risk round turns the intercepts round and nothing else.
		other, turned := make([]bool, len(risk)), make([]float64, len(risk))
		for i, p := range risk {
			other[i], turned[i] = !positive[i], 1-p
		}
		m, err := Calibration(turned, other, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "turned slope", m.Slope.Estimate, b, 1e-9)
		near(t, "turned intercept", m.Intercept.Estimate, -a, 1e-9)
		near(t, "turned in the large", m.InTheLarge.Estimate, -r.InTheLarge.Estimate, 1e-9)
		b1, _ := Brier(risk, positive, 5, 0.95)
		b2, _ := Brier(turned, other, 0, 0.95)
		near(t, "turned Brier", b2.Brier, b1.Brier, 1e-14)
	}
}

func TestCalibrationCurveProperties(t *testing.T) {
	for seed := range uint64(10) {
		risk, positive := riskData(30+seed, 83, []float64{5, 1e9}[seed%2])
		for _, groups := range []int{1, 2, 7, 83, 500} {
			c, err := CalibrationCurve(risk, positive, groups, 0.9)
			if err != nil {
				t.Fatal(err)
			}
			n, m := 0, 0
			for i := range c.N {
				n, m = n+c.N[i], m+c.Positives[i]
				if c.N[i] == 0 || c.Low[i] > c.Observed[i] || c.High[i] < c.Observed[i] || c.LowRisk[i] > c.HighRisk[i] ||
					c.MeanRisk[i] < c.LowRisk[i]-1e-15 || c.MeanRisk[i] > c.HighRisk[i]+1e-15 || i > 0 && c.LowRisk[i] <= c.HighRisk[i-1] {
					t.Errorf("seed %d, %d groups: %+v", seed, groups, c)
				}
				// Members counted the slow way.
				in, dead := 0, 0
				for k, p := range risk {
					if p >= c.LowRisk[i] && p <= c.HighRisk[i] {
						in++
						if positive[k] {
							dead++
						}
					}
				}
				if in != c.N[i] || dead != c.Positives[i] {
					t.Errorf("seed %d: group %d has %d and %d, want %d and %d", seed, i, c.N[i], c.Positives[i], in, dead)
				}
			}
			if n != len(risk) || len(c.N) > groups {
				t.Errorf("seed %d, %d groups: %d patients in %d", seed, groups, n, len(c.N))
			}
			if groups == 1 {
				near(t, "one group", c.Observed[0], float64(m)/83, 1e-15)
			}
		}
	}
}

func TestCalibrationEdges(t *testing.T) {
	one, err := Brier([]float64{0.8}, []bool{true}, 0, 0.95)
	if err != nil || math.Abs(one.Brier-0.04) > 1e-15 || !math.IsNaN(one.SE) || !math.IsNaN(one.Low) || !math.IsNaN(one.Scaled) || one.Groups != 1 {
		t.Errorf("Brier of one patient: %+v, %v", one, err)
	}
	sure, err := Brier([]float64{0, 1, 1}, []bool{false, true, true}, 0, 0.95)
	if err != nil || sure.Brier != 0 || sure.Scaled != 1 || sure.Low != 0 || sure.High != 0 || !math.IsNaN(sure.SpiegelhalterZ) || !math.IsNaN(sure.SpiegelhalterP) {
		t.Errorf("Brier of a perfect risk: %+v, %v", sure, err)
	}
	curve, err := CalibrationCurve([]float64{0, 0.4, 0.4}, []bool{true, true, true}, 10, 0.95)
	if err != nil || !slices.Equal(curve.N, []int{1, 2}) || curve.Observed[1] != 1 || curve.High[1] != 1 {
		t.Errorf("curve of one class: %+v, %v", curve, err)
	}
	risk, positive := []float64{0.2, 0.6, 0.4, 0.9}, []bool{false, false, true, true}
	c, err := Calibration(risk, positive, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := c.Recalibrated([]float64{0, 1})
	if err != nil || moved[0] != 0 || moved[1] != 1 {
		t.Errorf("0 and 1 become %v, %v", moved, err)
	}
	// Risks next to 0 and 1 still have a finite fit.
	far, err := Calibration([]float64{1e-300, 1e-9, 1 - 1e-9, 1e-12, 0.4}, []bool{false, true, false, false, true}, 0.95)
	if err != nil || math.IsNaN(far.Slope.SE) || math.IsInf(far.InTheLarge.Estimate, 0) {
		t.Errorf("extreme risks: %+v, %v", far, err)
	}
}
