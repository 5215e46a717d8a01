package stats

import (
	"math"
	"testing"

	"hounsfield/stats/golden"
)

type sizeCase struct {
	Name                 string
	A, B                 float64
	SpreadA              float64 `json:"spread_a"`
	SpreadB              float64 `json:"spread_b"`
	RA, RN               float64
	Ratio, Alpha, Power  float64
	Positives, Negatives int
	SE                   float64
	NCases, NControls    float64
	Reached              float64
}

func TestSampleSizeAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[sizeCase](t, "samplesize") {
		t.Run(c.Name, func(t *testing.T) {
			var size SampleSize
			var power float64
			var err, err2 error
			switch {
			case c.SpreadA > 0:
				design := PairedAUCDesign{A: c.A, B: c.B, SpreadA: c.SpreadA, SpreadB: c.SpreadB, PositiveCorrelation: c.RA, NegativeCorrelation: c.RN}
				size, err = PairedAUCSampleSize(design, c.Ratio, c.Alpha, c.Power)
				power, err2 = PairedAUCPower(design, c.Positives, c.Negatives, c.Alpha)
				if c.SpreadA == 1 && c.SpreadB == 1 {
					design.SpreadA, design.SpreadB = 0, 0
					if same, _ := PairedAUCSampleSize(design, c.Ratio, c.Alpha, c.Power); same != size {
						t.Errorf("a spread of 0 is not 1: %+v, %+v", same, size)
					}
				}
			case c.B > 0:
				size, err = UnpairedAUCSampleSize(c.A, c.B, c.Alpha, c.Power)
				var se float64
				se, err2 = HanleyMcNeilSE(c.A, c.Positives, c.Negatives)
				near(t, "SE", se, c.SE, exact)
				c.NControls, power = c.NCases, c.Reached
			default:
				size, err = AUCSampleSize(c.A, c.Ratio, c.Alpha, c.Power)
				power, err2 = AUCPower(c.A, c.Positives, c.Negatives, c.Alpha)
			}
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			near(t, "positives", size.ExactPositives, c.NCases, exact)
			near(t, "negatives", size.ExactNegatives, c.NControls, exact)
			near(t, "power", power, c.Reached, exact)
			if float64(size.Positives) < c.NCases || float64(size.Positives) >= c.NCases+1 || float64(size.Negatives) < c.NControls || float64(size.Negatives) >= c.NControls+1 {
				t.Errorf("%+v is not %v and %v rounded up", size, c.NCases, c.NControls)
			}
		})
	}
}

// Table III of Hanley and McNeil 1982 for 0.70 against 0.75, a one-sided test at 5%, with
// 80, 90 and 95% power; the paper uses quantiles of three digits.
func TestHanleyMcNeilTable(t *testing.T) {
	for power, want := range map[float64]float64{0.80: 652, 0.90: 897, 0.95: 1131} {
		size, err := UnpairedAUCSampleSize(0.70, 0.75, 0.10, power)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "patients of each class", size.ExactPositives, want, 0.0025)
	}
}

// What a size was planned for is reached with it and missed with one patient less.
func TestSampleSizeReachesItsAim(t *testing.T) {
	for _, auc := range []float64{0.3, 0.58, 0.7, 0.9} {
		for _, power := range []float64{0.5, 0.8, 0.99} {
			size, err := AUCSampleSize(auc, 1, 0.05, power)
			if err != nil {
				t.Fatal(err)
			}
			with, _ := AUCPower(auc, size.Positives, size.Positives, 0.05)
			if with < power {
				t.Errorf("AUC %v: %d patients have power %v, not %v", auc, size.Positives, with, power)
			}
			if size.Positives > 1 {
				if without, _ := AUCPower(auc, size.Positives-1, size.Positives-1, 0.05); without >= power {
					t.Errorf("AUC %v: %d patients have power %v already", auc, size.Positives-1, without)
				}
			}
			design := PairedAUCDesign{A: auc, B: auc + 0.05, PositiveCorrelation: 0.4, NegativeCorrelation: 0.6}
			paired, err := PairedAUCSampleSize(design, 1, 0.05, power)
			if err != nil {
				t.Fatal(err)
			}
			if with, _ := PairedAUCPower(design, paired.Positives, paired.Positives, 0.05); with < power {
				t.Errorf("AUC %v: %d pairs have power %v, not %v", auc, paired.Positives, with, power)
			}
			closer := design
			closer.PositiveCorrelation, closer.NegativeCorrelation = 0.8, 0.8
			if fewer, _ := PairedAUCSampleSize(closer, 1, 0.05, power); fewer.Positives >= paired.Positives {
				t.Errorf("AUC %v: more correlated scores need %d, not fewer than %d", auc, fewer.Positives, paired.Positives)
			}
		}
		for _, ratio := range []float64{0.3, 1, 4.5} {
			size, err := AUCPrecisionSampleSize(auc, ratio, 0.06, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			half := func(m int) float64 {
				se, err := HanleyMcNeilSE(auc, m, int(math.Ceil(ratio*float64(m)-1e-9)))
				if err != nil {
					t.Fatal(err)
				}
				return normalQuantile(0.95) * se
			}
			if half(size.Positives) > 0.06 || half(size.Positives-1) <= 0.06 {
				t.Errorf("AUC %v: %d positives give %v, one less %v", auc, size.Positives, half(size.Positives), half(size.Positives-1))
			}
		}
	}
}
