package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type goldenShare struct {
	K, N          int
	Estimate      number
	Wilson, Exact []number
}

type goldenCut struct {
	Threshold                          number
	TP, FP, TN, FN                     int
	Sensitivity, Specificity, PPV, NPV goldenShare
}

type compareCase struct {
	Name      string
	A         []float64
	PositiveA []bool `json:"positive_a"`
	B         []float64
	PositiveB []bool `json:"positive_b"`
	Other     []float64
	Level     float64
	Unpaired  struct{ A, B, T, DF, P, SE, Low, High float64 }

	BootPairedZ   float64 `json:"boot_paired_z"`
	BootUnpairedZ float64 `json:"boot_unpaired_z"`
	Partial       []struct {
		Axis      PartialAxis
		From, To  float64
		Area      float64
		Corrected number
		Low, High float64
	}
	Median     float64
	Given      goldenCut
	Youden     goldenCut
	YoudenTied int `json:"youden_tied"`
	Sensitive  goldenCut
	Specific   goldenCut
}

func TestUnpairedAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[compareCase](t, "roc_compare") {
		t.Run(c.Name, func(t *testing.T) {
			r, err := DeLongUnpaired(c.A, c.PositiveA, c.B, c.PositiveB, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "A", r.A.AUC, c.Unpaired.A, exact)
			near(t, "B", r.B.AUC, c.Unpaired.B, exact)
			near(t, "difference", r.Difference, c.Unpaired.A-c.Unpaired.B, exact)
			near(t, "SE", r.SE, c.Unpaired.SE, exact)
			near(t, "t", r.T, c.Unpaired.T, exact)
			near(t, "DF", r.DF, c.Unpaired.DF, exact)
			near(t, "low", r.Low, c.Unpaired.Low, exact)
			near(t, "high", r.High, c.Unpaired.High, exact)
			nearP(t, "unpaired", r.P, c.Unpaired.P)
		})
	}
}

// The draws differ from pROC's. Z is the difference over a standard deviation of 4,000
// resamples there and 20,000 here, whose relative error is 1/sqrt(2 n) each: 1.1% and
// 0.5%; four of their root sum of squares are 5%.
func TestBootstrapDifferenceAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[compareCase](t, "roc_compare") {
		t.Run(c.Name, func(t *testing.T) {
			r, err := BootstrapPaired(c.A, c.Other, c.PositiveA, 20000, 1, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "paired z", r.Z/c.BootPairedZ, 1, 0.05)
			near(t, "paired p", r.P, twoSided(r.Z), 1e-15)
			if r.Low > r.Difference || r.High < r.Difference {
				t.Errorf("interval %v to %v of %v", r.Low, r.High, r.Difference)
			}
			u, err := BootstrapUnpaired(c.A, c.PositiveA, c.B, c.PositiveB, 20000, 1, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "unpaired z", u.Z/c.BootUnpairedZ, 1, 0.05)
			near(t, "unpaired difference", u.Difference, c.Unpaired.A-c.Unpaired.B, exact)
		})
	}
}

func TestPartialAUCAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[compareCase](t, "roc_compare") {
		t.Run(c.Name, func(t *testing.T) {
			for _, p := range c.Partial {
				r, err := PartialAUC(c.A, c.PositiveA, p.Axis, p.From, p.To, 4000, 1, 0.95)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "area", r.Area, p.Area, exact)
				near(t, "corrected", r.Corrected, float64(p.Corrected), exact)
				// Quantiles of 4,000 other draws: within a fifth of the standard error, or one
				// half of a pair where the area moves in larger steps.
				tolerance := math.Max(0.2*r.SE, 1/float64(2*r.Positives*(r.N-r.Positives))+1e-9)
				near(t, "low", r.Low, p.Low, tolerance)
				near(t, "high", r.High, p.High, tolerance)
			}
		})
	}
}

func checkGoldenCut(t *testing.T, what string, r CutResult, want goldenCut) {
	t.Helper()
	if r.TruePositives != want.TP || r.FalsePositives != want.FP || r.TrueNegatives != want.TN || r.FalseNegatives != want.FN {
		t.Errorf("%s: got %+v, want %+v", what, r, want)
	}
	for name, pair := range map[string]struct {
		got  Proportion
		want goldenShare
	}{
		"sensitivity": {r.Sensitivity, want.Sensitivity}, "specificity": {r.Specificity, want.Specificity},
		"PPV": {r.PPV, want.PPV}, "NPV": {r.NPV, want.NPV},
	} {
		interval := pair.want.Wilson
		if r.Method == ClopperPearson {
			interval = pair.want.Exact
		}
		near(t, what+" "+name, pair.got.Estimate, float64(pair.want.Estimate), exact)
		nearAll(t, what+" interval of "+name, []float64{pair.got.Low, pair.got.High}, interval, exact)
		if pair.got.Successes != pair.want.K || pair.got.Trials != pair.want.N {
			t.Errorf("%s %s: %+v", what, name, pair.got)
		}
	}
}

func TestCutsAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[compareCase](t, "roc_compare") {
		t.Run(c.Name, func(t *testing.T) {
			// pROC puts its thresholds halfway to the next lower score.
			atScore := func(what string, got float64, halfway number) {
				t.Helper()
				below := math.Inf(-1)
				for _, s := range c.A {
					if s < got {
						below = max(below, s)
					}
				}
				if h := float64(halfway); !math.IsNaN(h) && !(below < h && h <= got) {
					t.Errorf("%s: threshold %v, pROC's %v", what, got, h)
				}
			}
			for _, method := range []IntervalMethod{Wilson, ClopperPearson} {
				r, err := CutAt(c.A, c.PositiveA, c.Median, method, c.Level)
				if err != nil {
					t.Fatal(err)
				}
				checkGoldenCut(t, "given", r, c.Given)
				if r, err = YoudenCut(c.A, c.PositiveA, method, c.Level); err != nil {
					t.Fatal(err)
				}
				checkGoldenCut(t, "Youden", r, c.Youden)
				atScore("Youden", r.Threshold, c.Youden.Threshold)
				if r.Tied != c.YoudenTied {
					t.Errorf("%d other cuts reach the index, want %d", r.Tied, c.YoudenTied)
				}
				if r, err = CutForSensitivity(c.A, c.PositiveA, 0.9, method, c.Level); err != nil {
					t.Fatal(err)
				}
				checkGoldenCut(t, "sensitive", r, c.Sensitive)
				atScore("sensitive", r.Threshold, c.Sensitive.Threshold)
				if r, err = CutForSpecificity(c.A, c.PositiveA, 0.85, method, c.Level); err != nil {
					t.Fatal(err)
				}
				checkGoldenCut(t, "specific", r, c.Specific)
				atScore("specific", r.Threshold, c.Specific.Threshold)
			}
		})
	}
}

// A chosen cut, put back as a given one, counts the same patients, and no score of the
// patients does better by the rule that chose it.
func TestCutsEqualSearch(t *testing.T) {
	for seed := range uint64(30) {
		scores, positive := binaryData(300+seed, 10+int(seed)*2, []float64{1, 3, 1e9}[seed%3])
		at := func(threshold float64) CutResult {
			r, err := CutAt(scores, positive, threshold, Wilson, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		youden, _ := YoudenCut(scores, positive, Wilson, 0.95)
		sensitive, _ := CutForSensitivity(scores, positive, 0.8, Wilson, 0.95)
		specific, _ := CutForSpecificity(scores, positive, 0.8, Wilson, 0.95)
		for name, r := range map[string]CutResult{"Youden": youden, "sensitive": sensitive, "specific": specific} {
			back := at(r.Threshold)
			back.Choice, back.Tied = r.Choice, r.Tied
			if back != r || r.Choice == "given" {
				t.Errorf("seed %d: %s: %+v put back is %+v", seed, name, r, back)
			}
		}
		if sensitive.Sensitivity.Estimate < 0.8 || specific.Specificity.Estimate < 0.8 {
			t.Errorf("seed %d: %v, %v", seed, sensitive.Sensitivity, specific.Specificity)
		}
		for _, s := range append(slices.Clone(scores), math.Inf(1)) {
			r := at(s)
			if r.Youden > youden.Youden || r.Youden == youden.Youden && s > youden.Threshold {
				t.Errorf("seed %d: %v beats Youden's cut %v", seed, s, youden.Threshold)
			}
			if s > sensitive.Threshold && r.Sensitivity.Estimate >= 0.8 {
				t.Errorf("seed %d: %v is sensitive enough and above %v", seed, s, sensitive.Threshold)
			}
			if s < specific.Threshold && r.Specificity.Estimate >= 0.8 {
				t.Errorf("seed %d: %v is specific enough and below %v", seed, s, specific.Threshold)
			}
		}
	}
	// A score turned the wrong way round is best not used at all.
	r, err := YoudenCut([]float64{1, 2, 3, 4}, []bool{true, true, false, false}, ClopperPearson, 0.95)
	if err != nil || !math.IsInf(r.Threshold, 1) || r.Youden != 0 || r.Tied != 1 || !math.IsNaN(r.PPV.Estimate) || !math.IsNaN(r.PPV.Low) || r.NPV.Estimate != 0.5 {
		t.Errorf("useless score: %+v, %v", r, err)
	}
}

func TestComparisonProperties(t *testing.T) {
	for seed := range uint64(12) {
		a, positive := binaryData(400+seed, 45, []float64{1, 1e9}[seed%2])
		b, _ := binaryData(500+seed, 45, 2)
		c, positiveC := binaryData(600+seed, 31, 2)
		mapped, turned := make([]float64, len(a)), make([]float64, len(a))
		for i, s := range a {
			mapped[i], turned[i] = math.Exp(s/3)-7, -s
		}
		paired, err := BootstrapPaired(a, b, positive, 60, seed, 0.9)
		if err != nil {
			t.Fatal(err)
		}
		order := rand.New(rand.NewPCG(seed, 3)).Perm(len(a))
		var a2, b2 []float64
		var p2 []bool
		for _, o := range order {
			a2, b2, p2 = append(a2, mapped[o]), append(b2, b[o]), append(p2, positive[o])
		}
		if got, _ := BootstrapPaired(a2, b2, p2, 60, seed, 0.9); got != paired {
			t.Errorf("seed %d: order and a monotone map changed %+v to %+v", seed, paired, got)
		}
		for _, workers := range []int{1, 2, 64} {
			if got, _ := bootstrapPaired(a, b, positive, 60, seed, 0.9, workers); got != paired {
				t.Errorf("seed %d: %d workers changed %+v to %+v", seed, workers, paired, got)
			}
		}
		if got, _ := BootstrapPaired(a, b, positive, 60, seed+1, 0.9); got.SE == paired.SE {
			t.Errorf("seed %d: another seed draws the same", seed)
		}
		if same, _ := BootstrapPaired(a, mapped, positive, 60, seed, 0.9); same.Difference != 0 || same.SE != 0 || same.P != 1 || same.Low != 0 || same.High != 0 {
			t.Errorf("seed %d: a score differs from its monotone map: %+v", seed, same)
		}
		unpaired, err := BootstrapUnpaired(a, positive, c, positiveC, 60, seed, 0.9)
		if err != nil {
			t.Fatal(err)
		}
		for _, workers := range []int{1, 3, 64} {
			if got, _ := bootstrapUnpaired(a, positive, c, positiveC, 60, seed, 0.9, workers); got != unpaired {
				t.Errorf("seed %d: %d workers changed %+v to %+v", seed, workers, unpaired, got)
			}
		}
		// A set against itself: two independent draws, whose variances add.
		twin, _ := BootstrapUnpaired(a, positive, a, positive, 4000, seed, 0.9)
		alone, _ := BootstrapAUC(a, positive, 4000, seed, 0.9)
		near(t, "SE of a set against itself", twin.SE/(alone.SE*math.Sqrt2), 1, 0.06)

		delong, _ := DeLongUnpaired(a, positive, c, positiveC, 0.95)
		other, _ := DeLongUnpaired(c, positiveC, mapped, positive, 0.95)
		if delong.Difference != -other.Difference || delong.P != other.P || delong.Low != -other.High {
			t.Errorf("seed %d: exchanging the sets does not mirror: %+v, %+v", seed, delong, other)
		}
		self, _ := DeLong(a, positive, 0.95)
		if delong.A != self {
			t.Errorf("seed %d: %+v is not %+v", seed, delong.A, self)
		}

		// The parts of a range add up to the whole, along either axis; turning the score
		// round turns the curve about its centre.
		part := func(s []float64, axis PartialAxis, from, to float64) float64 {
			r, err := PartialAUC(s, positive, axis, from, to, 2, 1, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			return r.Area
		}
		for _, axis := range []PartialAxis{AlongSpecificity, AlongSensitivity} {
			near(t, "whole", part(a, axis, 0, 1), self.AUC, 1e-14)
			near(t, "sum", part(a, axis, 0, 0.37)+part(a, axis, 0.37, 0.9)+part(a, axis, 0.9, 1), self.AUC, 1e-14)
			near(t, "turned", part(turned, axis, 0, 0.3), 0.3-part(a, axis, 0.7, 1), 1e-14)
		}
		one, _ := partialAUC(a, positive, AlongSpecificity, 0.8, 1, 50, seed, 0.9, 1)
		many, _ := partialAUC(a, positive, AlongSpecificity, 0.8, 1, 50, seed, 0.9, 9)
		if one.Low != many.Low || one.High != many.High || one.SE != many.SE {
			t.Errorf("seed %d: workers change the partial area", seed)
		}
	}
}

// A resample written out as patients, drawn by the same generator, has the difference
// that the counts give.
func TestBootstrapPairedEqualsWrittenOut(t *testing.T) {
	a, positive := binaryData(21, 40, 3)
	b, _ := binaryData(22, 40, 3)
	var order []int
	for i := range a {
		order = append(order, i)
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case a[i] != a[j] && a[i] < a[j], a[i] == a[j] && b[i] < b[j]:
			return -1
		case a[i] == a[j] && b[i] == b[j]:
			return 0
		}
		return 1
	})
	var pos, neg []int
	for _, i := range order {
		if positive[i] {
			pos = append(pos, i)
		} else {
			neg = append(neg, i)
		}
	}
	const resamples = 50
	var differences []float64
	for k := range uint64(resamples) {
		random := rand.New(rand.NewPCG(5, k))
		var sa, sb []float64
		var p []bool
		for _, class := range [][]int{pos, neg} {
			for range class {
				i := class[random.IntN(len(class))]
				sa, sb, p = append(sa, a[i]), append(sb, b[i]), append(p, positive[i])
			}
		}
		differences = append(differences, mustAUC(t, sa, p)-mustAUC(t, sb, p))
	}
	r, err := BootstrapPaired(a, b, positive, resamples, 5, 0.8)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(differences)
	near(t, "low", r.Low, quantile(differences, 0.1), 1e-14)
	near(t, "high", r.High, quantile(differences, 0.9), 1e-14)
	near(t, "SE", r.SE, standardDeviation(differences), 1e-14)
}

func TestComparisonEdges(t *testing.T) {
	positive := []bool{false, false, true, true}
	perfect, constant := []float64{1, 2, 3, 4}, []float64{3, 3, 3, 3}
	r, err := DeLongUnpaired(perfect, positive, perfect, positive, 0.95)
	if err != nil || r.Difference != 0 || r.SE != 0 || r.P != 1 || r.T != 0 || !math.IsNaN(r.DF) {
		t.Errorf("perfect against perfect: %+v, %v", r, err)
	}
	r, err = DeLongUnpaired(perfect, positive, constant, positive, 0.95)
	if err != nil || r.Difference != 0.5 || !math.IsNaN(r.P) || !math.IsNaN(r.T) || r.Low != 0.5 || r.High != 0.5 {
		t.Errorf("perfect against constant: %+v, %v", r, err)
	}
	b, err := BootstrapPaired(perfect, constant, positive, 50, 1, 0.95)
	if err != nil || b.Difference != 0.5 || b.SE != 0 || !math.IsNaN(b.P) {
		t.Errorf("bootstrap, perfect against constant: %+v, %v", b, err)
	}
	p, err := PartialAUC(constant, positive, AlongSpecificity, 0.9, 1, 50, 1, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "constant score corrected", p.Corrected, 0.5, 1e-12)
	p, err = PartialAUC(perfect, positive, AlongSensitivity, 0.9, 1, 50, 1, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "perfect score corrected", p.Corrected, 1, 1e-12)
}
