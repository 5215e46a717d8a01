package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type predictionCase struct {
	Name                         string
	Risk                         []float64
	Positive                     []bool
	Level                        float64
	Precision, Recall, Threshold []number
	AP                           float64
	APLow                        float64 `json:"ap_low"`
	APHigh                       float64 `json:"ap_high"`
	BootLow                      float64 `json:"boot_low"`
	BootHigh                     float64 `json:"boot_high"`
	Brier                        float64
	Groups                       int
	Observed, Predicted          []number
	Grid                         []float64
	NetBenefit                   []number `json:"net_benefit"`
	TreatAll                     []number `json:"treat_all"`
	Shares                       []struct {
		K, N          int
		Level         float64
		Wilson, Exact []number
	}
}

func TestPredictionAgainstScikitLearn(t *testing.T) {
	shares := 0
	for _, c := range golden.Cases[predictionCase](t, "sklearn_prediction") {
		t.Run(c.Name, func(t *testing.T) {
			for _, s := range c.Shares {
				shares++
				for method, want := range map[IntervalMethod][]number{Wilson: s.Wilson, ClopperPearson: s.Exact} {
					p, err := ProportionCI(s.K, s.N, method, s.Level)
					if err != nil {
						t.Fatal(err)
					}
					nearAll(t, string(method), []float64{p.Low, p.High}, want, 1e-10)
				}
			}
			if c.Risk == nil {
				return
			}
			curve, err := PrecisionRecall(c.Risk, c.Positive)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "precision", curve.Precision, c.Precision, exact)
			nearAll(t, "recall", curve.Recall, c.Recall, exact)
			nearAll(t, "threshold", curve.Threshold, c.Threshold, exact)
			ap, err := AveragePrecision(c.Risk, c.Positive, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "AP", ap.AveragePrecision, c.AP, exact)
			near(t, "AP low", ap.Low, c.APLow, exact)
			near(t, "AP high", ap.High, c.APHigh, exact)
			near(t, "prevalence", ap.Prevalence, curve.Prevalence, 1e-15)
			boot, err := BootstrapAveragePrecision(c.Risk, c.Positive, 4000, 1, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			// Two sets of 4,000 draws: a fifth of the standard error.
			near(t, "bootstrap low", boot.Low, c.BootLow, 0.2*boot.SE)
			near(t, "bootstrap high", boot.High, c.BootHigh, 0.2*boot.SE)
			near(t, "bootstrap estimate", boot.Estimate, c.AP, exact)
			brier, err := Brier(c.Risk, c.Positive, 0, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "Brier", brier.Brier, c.Brier, exact)
			groups, err := CalibrationCurve(c.Risk, c.Positive, c.Groups, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "observed", groups.Observed, c.Observed, exact)
			nearAll(t, "predicted", groups.MeanRisk, c.Predicted, exact)
			d, err := DecisionCurve(c.Risk, c.Positive, c.Grid, 50, 1, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			// dcurves moves a threshold of 0 to 1e-9 and so on: same to 1e-8.
			nearAll(t, "net benefit", d.NetBenefit, c.NetBenefit, exact)
			nearAll(t, "treat all", d.TreatAll, c.TreatAll, exact)
		})
	}
	if shares == 0 {
		t.Error("no proportion was compared")
	}
}

func TestBootstrapAveragePrecisionWorkers(t *testing.T) {
	scores, positive := binaryData(31, 70, 3)
	one, err := bootstrapAveragePrecision(scores, positive, 99, 4, 0.95, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{2, 64} {
		if got, _ := bootstrapAveragePrecision(scores, positive, 99, 4, 0.95, workers); got != one {
			t.Errorf("%d workers changed %+v to %+v", workers, one, got)
		}
	}
	if got, _ := BootstrapAveragePrecision(scores, positive, 99, 5, 0.95); got.SE == one.SE {
		t.Error("another seed draws the same")
	}
	// A perfect score has no logit interval; a constant one has the prevalence.
	r, err := AveragePrecision([]float64{1, 2, 3}, []bool{false, true, true}, 0.95)
	if err != nil || r.AveragePrecision != 1 || !math.IsNaN(r.Low) || !math.IsNaN(r.High) {
		t.Errorf("perfect: %+v, %v", r, err)
	}
	r, err = AveragePrecision([]float64{2, 2, 2, 2}, []bool{false, true, false, false}, 0.95)
	if err != nil || r.AveragePrecision != 0.25 || r.Prevalence != 0.25 {
		t.Errorf("constant: %+v, %v", r, err)
	}
}

// Net benefit and its interval against patients written out one by one.
func TestDecisionCurveEqualsWrittenOut(t *testing.T) {
	for seed := range uint64(6) {
		risk, positive := riskData(60+seed, 50, []float64{10, 1e9}[seed%2])
		grid := []float64{0, 0.1, 0.3, 0.5, 0.9}
		const resamples = 40
		c, err := DecisionCurve(risk, positive, grid, resamples, seed, 0.8)
		if err != nil {
			t.Fatal(err)
		}
		benefit := func(members []int, threshold float64, all bool) float64 {
			tp, fp := 0.0, 0.0
			for _, i := range members {
				if all || risk[i] >= threshold {
					if positive[i] {
						tp++
					} else {
						fp++
					}
				}
			}
			return (tp - fp*threshold/(1-threshold)) / float64(len(members))
		}
		order := make([]int, len(risk))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int {
			switch {
			case risk[i] < risk[j], risk[i] == risk[j] && !positive[i] && positive[j]:
				return -1
			case risk[i] == risk[j] && positive[i] == positive[j]:
				return 0
			}
			return 1
		})
		for k, threshold := range grid {
			model, all := benefit(order, threshold, false), benefit(order, threshold, true)
			near(t, "net benefit", c.NetBenefit[k], model, 1e-14)
			near(t, "treat all", c.TreatAll[k], all, 1e-14)
			near(t, "gain", c.Gain[k], model-max(0, all), 1e-14)
			var values, gains []float64
			for b := range uint64(resamples) {
				random := rand.New(rand.NewPCG(seed, b))
				var members []int
				for range order {
					members = append(members, order[random.IntN(len(order))])
				}
				values = append(values, benefit(members, threshold, false))
				gains = append(gains, benefit(members, threshold, false)-max(0, benefit(members, threshold, true)))
			}
			slices.Sort(values)
			slices.Sort(gains)
			near(t, "low", c.Low[k], quantile(values, 0.1), 1e-13)
			near(t, "high", c.High[k], quantile(values, 0.9), 1e-13)
			near(t, "gain low", c.GainLow[k], quantile(gains, 0.1), 1e-13)
			near(t, "gain high", c.GainHigh[k], quantile(gains, 0.9), 1e-13)
		}
		near(t, "threshold 0", c.NetBenefit[0], c.Prevalence, 1e-14)

		// Neither the order of the rows nor the number of workers matters.
		perm := rand.New(rand.NewPCG(seed, 9)).Perm(len(risk))
		var r2 []float64
		var p2 []bool
		for _, i := range perm {
			r2, p2 = append(r2, risk[i]), append(p2, positive[i])
		}
		for _, workers := range []int{1, 2, 64} {
			d, _ := decisionCurve(r2, p2, grid, resamples, seed, 0.8, workers)
			if !slices.Equal(d.Low, c.Low) || !slices.Equal(d.GainHigh, c.GainHigh) {
				t.Errorf("seed %d: %d workers and another order change the interval", seed, workers)
			}
		}
		whole, err := DecisionCurve(risk, positive, nil, 2, 1, 0.95)
		if err != nil || len(whole.Threshold) != 99 || whole.Threshold[98] != 0.99 {
			t.Errorf("default grid: %v, %v", whole.Threshold, err)
		}
	}
}

type reclassCase struct {
	Name                    string
	Before, After           []float64
	Positive                []bool
	Cuts                    []float64
	Level                   float64
	Continuous, Categorical struct {
		NRI, Positives, Negatives goldenTerm
		Up, Down                  [2]int
	}
	PositiveTable   [][]int `json:"positive_table"`
	NegativeTable   [][]int `json:"negative_table"`
	IDI             goldenTerm
	PositivesChange float64 `json:"positives_change"`
	NegativesChange float64 `json:"negatives_change"`
	Slope           float64
}

func nearReclass(t *testing.T, what string, got ReclassificationTerm, want goldenTerm) {
	t.Helper()
	near(t, what, got.Estimate, want.Estimate, exact)
	near(t, what+" SE", got.SE, want.SE, exact)
	near(t, what+" low", got.Low, want.Low, exact)
	near(t, what+" high", got.High, want.High, exact)
	near(t, what+" z", got.Z, want.Z, exact)
	nearP(t, what, got.P, want.P)
}

func TestReclassificationAgainstHmisc(t *testing.T) {
	for _, c := range golden.Cases[reclassCase](t, "reclassification") {
		t.Run(c.Name, func(t *testing.T) {
			for _, cuts := range [][]float64{nil, c.Cuts} {
				want := c.Continuous
				if cuts != nil {
					want = c.Categorical
				}
				r, err := NRI(c.Before, c.After, c.Positive, cuts, c.Level)
				if err != nil {
					t.Fatal(err)
				}
				nearReclass(t, "NRI", r.NRI, want.NRI)
				nearReclass(t, "of positives", r.OfPositives, want.Positives)
				nearReclass(t, "of negatives", r.OfNegatives, want.Negatives)
				if r.Up != (ReclassificationCounts{want.Up[0], want.Up[1]}) || r.Down != (ReclassificationCounts{want.Down[0], want.Down[1]}) {
					t.Errorf("up %+v and down %+v, want %v and %v", r.Up, r.Down, want.Up, want.Down)
				}
				if cuts == nil && (r.PositiveTable != nil || r.NegativeTable != nil) {
					t.Error("the continuous index has a table")
				}
				if cuts != nil && (!slices.EqualFunc(r.PositiveTable, c.PositiveTable, slices.Equal) || !slices.EqualFunc(r.NegativeTable, c.NegativeTable, slices.Equal)) {
					t.Errorf("tables %v and %v, want %v and %v", r.PositiveTable, r.NegativeTable, c.PositiveTable, c.NegativeTable)
				}
				if r.Warning != ReclassificationWarning {
					t.Errorf("the warning is %q", r.Warning)
				}
			}
			i, err := IDI(c.Before, c.After, c.Positive, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			nearReclass(t, "IDI", i.IDI, c.IDI)
			near(t, "positives", i.PositivesChange, c.PositivesChange, exact)
			near(t, "negatives", i.NegativesChange, c.NegativesChange, exact)
			near(t, "slope before", i.SlopeBefore, c.Slope, exact)
			near(t, "slope after", i.SlopeAfter-i.SlopeBefore, i.IDI.Estimate, 1e-15)
			if i.Warning != ReclassificationWarning {
				t.Errorf("the warning is %q", i.Warning)
			}

			// Taking the change back mirrors the indices; no change is no evidence.
			back, _ := NRI(c.After, c.Before, c.Positive, c.Cuts, c.Level)
			forth, _ := NRI(c.Before, c.After, c.Positive, c.Cuts, c.Level)
			near(t, "back", back.NRI.Estimate, -forth.NRI.Estimate, 1e-15)
			none, _ := NRI(c.Before, c.Before, c.Positive, nil, c.Level)
			idle, _ := IDI(c.Before, c.Before, c.Positive, c.Level)
			if none.NRI.Estimate != 0 || none.NRI.P != 1 || idle.IDI.Estimate != 0 || idle.IDI.P != 1 {
				t.Errorf("no change: %+v, %+v", none.NRI, idle.IDI)
			}
		})
	}
	// Everybody moves the right way: the largest index, whose formula has no spread.
	r, err := NRI([]float64{0.5, 0.5, 0.5, 0.5}, []float64{0.6, 0.6, 0.4, 0.4}, []bool{true, true, false, false}, nil, 0.95)
	if err != nil || r.NRI.Estimate != 2 || r.NRI.SE != 0 || !math.IsNaN(r.NRI.Z) || !math.IsNaN(r.NRI.P) {
		t.Errorf("perfect: %+v, %v", r.NRI, err)
	}
}

// The warning in miniature: right risks are made far too extreme in the same order. The
// AUC stays, the Brier score gets worse, and the IDI says that the model improved.
func TestReclassificationRewardsMiscalibration(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	var before, after []float64
	var positive []bool
	for range 4000 {
		x := random.NormFloat64()
		before = append(before, expit(x))
		after = append(after, expit(3*x)) // the same order, far too extreme
		positive = append(positive, random.Float64() < expit(x))
	}
	r, err := IDI(before, after, positive, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := Brier(before, positive, 10, 0.95)
	b, _ := Brier(after, positive, 10, 0.95)
	if !(r.IDI.Low > 0) || !(b.Brier > a.Brier) || mustAUC(t, before, positive) != mustAUC(t, after, positive) {
		t.Errorf("IDI %+v, Brier %v and %v", r.IDI, a.Brier, b.Brier)
	}
}
