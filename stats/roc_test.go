package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type rocInterval struct{ AUC, SE, Low, High, P float64 }

type rocCase struct {
	Name     string
	Scores   []float64
	Other    []float64
	Positive []bool
	Level    float64
	ROCFPR   []number `json:"roc_fpr"`
	ROCTPR   []number `json:"roc_tpr"`
	AUC      float64
	DeLong   rocInterval
	Paired   struct{ A, B, Difference, Z, P, Low, High float64 }
	Noether  rocInterval

	Bootstrap struct{ Low, High float64 }
	Grid      []float64
	GridTPR   []number `json:"grid_tpr"`
	BandLow   []number `json:"band_low"`
	BandHigh  []number `json:"band_high"`
}

func TestROCAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[rocCase](t, "roc") {
		t.Run(c.Name, func(t *testing.T) {
			curve, err := ROC(c.Scores, c.Positive)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "FPR", curve.FPR, c.ROCFPR, exact)
			nearAll(t, "TPR", curve.TPR, c.ROCTPR, exact)
			area, err := AUC(c.Scores, c.Positive)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "AUC", area, c.AUC, exact)

			check := func(got AUCResult, err error, want rocInterval) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				near(t, got.Method+" AUC", got.AUC, want.AUC, exact)
				near(t, got.Method+" SE", got.SE, want.SE, exact)
				near(t, got.Method+" low", got.Low, want.Low, exact)
				near(t, got.Method+" high", got.High, want.High, exact)
				nearP(t, got.Method, got.P, want.P)
			}
			r, err := DeLong(c.Scores, c.Positive, c.Level)
			check(r, err, c.DeLong)
			r, err = Noether(c.Scores, c.Positive, c.Level)
			check(r, err, c.Noether)

			p, err := DeLongPaired(c.Scores, c.Other, c.Positive, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "A", p.A, c.Paired.A, exact)
			near(t, "B", p.B, c.Paired.B, exact)
			near(t, "difference", p.Difference, c.Paired.Difference, exact)
			near(t, "low", p.Low, c.Paired.Low, exact)
			near(t, "high", p.High, c.Paired.High, exact)
			near(t, "z", p.Z, c.Paired.Z, exact)
			nearP(t, "paired", p.P, c.Paired.P)
		})
	}
}

// The draws differ from pROC's, so the ends agree only to the Monte Carlo error of
// two quantiles of 20,000 resamples (about 0.002 where the SE is 0.06), or to one
// half of a pair where there are so few patients that the AUC moves in larger steps.
func TestBootstrapAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[rocCase](t, "roc") {
		t.Run(c.Name, func(t *testing.T) {
			r, err := BootstrapAUC(c.Scores, c.Positive, 20000, 1, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			pairs := r.Positives * (r.N - r.Positives)
			tolerance := math.Max(0.1*c.DeLong.SE, 0.5/float64(pairs)+1e-9)
			near(t, "estimate", r.Estimate, c.AUC, exact)
			near(t, "low", r.Low, c.Bootstrap.Low, tolerance)
			near(t, "high", r.High, c.Bootstrap.High, tolerance)
		})
	}
}

// The curve on the grid is the same algorithm. The band's ends are quantiles of 5,000
// resamples of a proportion that moves in steps of one positive patient: they may
// differ by one such step at single points, and hardly at all on average.
func TestROCBandAgainstPROC(t *testing.T) {
	for _, c := range golden.Cases[rocCase](t, "roc") {
		t.Run(c.Name, func(t *testing.T) {
			band, err := ROCBand(c.Scores, c.Positive, c.Grid, 5000, 1, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "TPR", band.TPR, c.GridTPR, exact)
			m := 0
			for _, p := range c.Positive {
				if p {
					m++
				}
			}
			nearAll(t, "low", band.Low, c.BandLow, 1/float64(m)+1e-9)
			nearAll(t, "high", band.High, c.BandHigh, 1/float64(m)+1e-9)
			off := 0.0
			for i := range c.Grid {
				off += math.Abs(band.Low[i]-float64(c.BandLow[i])) + math.Abs(band.High[i]-float64(c.BandHigh[i]))
			}
			near(t, "mean distance of the edges", off/float64(2*len(c.Grid)), 0, 0.012)
		})
	}
}

func TestAUCAgainstScipy(t *testing.T) {
	type scipyCase struct {
		Name        string
		Scores      []float64
		Positive    []bool
		AUC, Median float64
		P           []float64
		Quantile    []float64
	}
	for _, c := range golden.Cases[scipyCase](t, "scipy_auc") {
		before := slices.Clone(c.Scores)
		area, err := AUC(c.Scores, c.Positive)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.Name, area, c.AUC, 1e-14)
		median, err := Median(c.Scores)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.Name, median, c.Median, 1e-15)
		if !slices.Equal(before, c.Scores) {
			t.Error("the scores were changed")
		}
		slices.Sort(before)
		for i, p := range c.P {
			near(t, c.Name, quantile(before, p), c.Quantile[i], 1e-15)
		}
	}
}

// binaryData draws patients whose scores, rounded to 1/grain, are often tied.
func binaryData(seed uint64, n int, grain float64) (scores []float64, positive []bool) {
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		p := i < 3 || i > 5 && random.Float64() < 0.4
		s := random.NormFloat64()
		if p {
			s += 0.7
		}
		scores = append(scores, math.Round(s*grain)/grain)
		positive = append(positive, p)
	}
	return scores, positive
}

func mustAUC(t *testing.T, scores []float64, positive []bool) float64 {
	t.Helper()
	a, err := AUC(scores, positive)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// slowDeLong compares every positive with every negative.
func slowDeLong(scores []float64, positive []bool) (theta, variance float64) {
	var pos, neg []float64
	for i, s := range scores {
		if positive[i] {
			pos = append(pos, s)
		} else {
			neg = append(neg, s)
		}
	}
	v10, v01 := make([]float64, len(pos)), make([]float64, len(neg))
	for i, x := range pos {
		for j, y := range neg {
			kernel := 0.0
			if x > y {
				kernel = 1
			} else if x == y {
				kernel = 0.5
			}
			v10[i] += kernel / float64(len(neg))
			v01[j] += kernel / float64(len(pos))
			theta += kernel / float64(len(pos)*len(neg))
		}
	}
	return theta, square(standardDeviation(v10))/float64(len(pos)) + square(standardDeviation(v01))/float64(len(neg))
}

func TestFastROCEqualsSlow(t *testing.T) {
	for seed := range uint64(40) {
		n := 8 + int(seed)*3
		scores, positive := binaryData(seed, n, []float64{1, 2, 10, 1e9}[seed%4])
		theta, variance := slowDeLong(scores, positive)
		near(t, "AUC", mustAUC(t, scores, positive), theta, 1e-13)
		r, err := DeLong(scores, positive, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "DeLong SE", r.SE, math.Sqrt(variance), 1e-12)

		// The area under the segments of the curve is the AUC.
		c, err := ROC(scores, positive)
		if err != nil {
			t.Fatal(err)
		}
		area := 0.0
		for i := 1; i < len(c.FPR); i++ {
			area += (c.FPR[i] - c.FPR[i-1]) * (c.TPR[i] + c.TPR[i-1]) / 2
			if c.FPR[i] < c.FPR[i-1] || c.TPR[i] < c.TPR[i-1] || c.Threshold[i] >= c.Threshold[i-1] {
				t.Fatalf("seed %d: the curve turns back at point %d", seed, i)
			}
		}
		near(t, "area under the segments", area, theta, 1e-13)
		// A point's rates are what its threshold does to the patients.
		for i, threshold := range c.Threshold {
			tp, fp, m := 0.0, 0.0, 0.0
			for k, s := range scores {
				if positive[k] {
					m++
				}
				if s >= threshold && positive[k] {
					tp++
				} else if s >= threshold {
					fp++
				}
			}
			near(t, "TPR at threshold", c.TPR[i], tp/m, 1e-15)
			near(t, "FPR at threshold", c.FPR[i], fp/(float64(n)-m), 1e-15)
		}
	}
}

func TestROCProperties(t *testing.T) {
	for seed := range uint64(20) {
		scores, positive := binaryData(100+seed, 50, []float64{1, 1e9}[seed%2])
		base, err := DeLong(scores, positive, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		noether, err := Noether(scores, positive, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if base.Low > base.AUC || base.High < base.AUC || base.Low < 0 || base.High > 1 || base.P <= 0 || base.P > 1 {
			t.Errorf("seed %d: impossible result %+v", seed, base)
		}
		if seed%2 == 1 && noether.AUC != base.AUC {
			t.Errorf("seed %d: without ties Noether's concordance is %v, the AUC %v", seed, noether.AUC, base.AUC)
		}

		// Turning the score round, or the classes, mirrors everything.
		turned := make([]float64, len(scores))
		other := make([]bool, len(scores))
		mapped := make([]float64, len(scores))
		for i, s := range scores {
			turned[i], other[i], mapped[i] = -s, !positive[i], math.Exp(s/3)-7
		}
		near(t, "AUC(-s)", mustAUC(t, turned, positive), 1-base.AUC, 1e-15)
		near(t, "AUC(not positive)", mustAUC(t, scores, other), 1-base.AUC, 1e-15)
		mirrored, err := DeLong(turned, positive, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "SE of -s", mirrored.SE, base.SE, 1e-13)
		near(t, "P of -s", mirrored.P, base.P, 1e-10)

		// A monotone map changes no bit, nor does the order of the rows.
		if got, _ := DeLong(mapped, positive, 0.95); got != base {
			t.Errorf("seed %d: a monotone map changed %+v to %+v", seed, base, got)
		}
		if got, _ := Noether(mapped, positive, 0.95); got != noether {
			t.Errorf("seed %d: a monotone map changed %+v to %+v", seed, noether, got)
		}
		order := rand.New(rand.NewPCG(seed, 2)).Perm(len(scores))
		s2, p2 := make([]float64, len(scores)), make([]bool, len(scores))
		for i, o := range order {
			s2[i], p2[i] = scores[o], positive[o]
		}
		if got, _ := DeLong(s2, p2, 0.95); got != base {
			t.Errorf("seed %d: another order of rows changed %+v to %+v", seed, base, got)
		}
		boot, _ := BootstrapAUC(scores, positive, 50, seed, 0.9)
		if got, _ := BootstrapAUC(s2, p2, 50, seed, 0.9); got != boot {
			t.Errorf("seed %d: another order of rows changed the bootstrap %+v to %+v", seed, boot, got)
		}

		// Paired: a score against itself, and against its mirror image.
		same, err := DeLongPaired(scores, mapped, positive, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if same.Difference != 0 || same.SE != 0 || same.Z != 0 || same.P != 1 {
			t.Errorf("seed %d: a score differs from its monotone map: %+v", seed, same)
		}
		ab, _ := DeLongPaired(scores, turned, positive, 0.95)
		ba, _ := DeLongPaired(turned, scores, positive, 0.95)
		if ab.Difference != -ba.Difference || ab.P != ba.P || ab.Low != -ba.High {
			t.Errorf("seed %d: exchanging the scores does not mirror: %+v, %+v", seed, ab, ba)
		}
		near(t, "SE of s against -s", ab.SE, 2*base.SE, 1e-12)
	}
}

func TestBootstrapWorkersAndSeeds(t *testing.T) {
	scores, positive := binaryData(7, 101, 10)
	one, err := bootstrapAUC(scores, positive, 333, 5, 0.95, 1)
	if err != nil {
		t.Fatal(err)
	}
	band, err := rocBand(scores, positive, nil, 333, 5, 0.95, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(band.FPR) != 101 || band.FPR[100] != 1 || band.TPR[100] != 1 {
		t.Errorf("the default grid is %v", band.FPR)
	}
	for _, workers := range []int{2, 3, 16, 1000} {
		if got, _ := bootstrapAUC(scores, positive, 333, 5, 0.95, workers); got != one {
			t.Errorf("%d workers changed %+v to %+v", workers, one, got)
		}
		got, _ := rocBand(scores, positive, nil, 333, 5, 0.95, workers)
		if !slices.Equal(got.Low, band.Low) || !slices.Equal(got.High, band.High) {
			t.Errorf("%d workers changed the band", workers)
		}
	}
	if got, _ := bootstrapAUC(scores, positive, 333, 6, 0.95, 1); got.Low == one.Low && got.SE == one.SE {
		t.Error("another seed draws the same resamples")
	}
}

// A resample written out as patients, with the draws of the same generator, must
// have the AUC and the curve that the counts give.
func TestBootstrapEqualsWrittenOutResamples(t *testing.T) {
	scores, positive := binaryData(9, 40, 3)
	var pos, neg []float64
	for i, s := range scores {
		if positive[i] {
			pos = append(pos, s)
		} else {
			neg = append(neg, s)
		}
	}
	slices.Sort(pos)
	slices.Sort(neg)
	const resamples = 60
	var areas []float64
	for b := range uint64(resamples) {
		random := rand.New(rand.NewPCG(77, b))
		var s []float64
		var p []bool
		for range pos {
			s, p = append(s, pos[random.IntN(len(pos))]), append(p, true)
		}
		for range neg {
			s, p = append(s, neg[random.IntN(len(neg))]), append(p, false)
		}
		areas = append(areas, mustAUC(t, s, p))
	}
	r, err := BootstrapAUC(scores, positive, resamples, 77, 0.8)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(areas)
	near(t, "low", r.Low, quantile(areas, 0.1), 1e-14)
	near(t, "high", r.High, quantile(areas, 0.9), 1e-14)
	near(t, "SE", r.SE, standardDeviation(areas), 1e-14)
}

func TestBandProperties(t *testing.T) {
	for seed := range uint64(5) {
		scores, positive := binaryData(200+seed, 60, []float64{1, 1e9}[seed%2])
		band, err := ROCBand(scores, positive, nil, 400, seed, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := ROC(scores, positive)
		for i, x := range band.FPR {
			if band.Low[i] > band.High[i] || band.Low[i] < 0 || band.High[i] > 1 {
				t.Errorf("seed %d: band %v..%v at %v", seed, band.Low[i], band.High[i], x)
			}
			if i > 0 && (band.TPR[i] < band.TPR[i-1] || band.Low[i] < band.Low[i-1] || band.High[i] < band.High[i-1]) {
				t.Errorf("seed %d: the band falls at %v", seed, x)
			}
			// The curve between its two neighbouring points, read the slow way.
			want := 0.0
			for k := 1; k < len(c.FPR); k++ {
				switch {
				case math.Abs(c.FPR[k]-x) < 1e-12:
					want = c.TPR[k]
				case c.FPR[k-1] < x && x < c.FPR[k]:
					want = c.TPR[k-1] + (x-c.FPR[k-1])/(c.FPR[k]-c.FPR[k-1])*(c.TPR[k]-c.TPR[k-1])
				case k == 1 && math.Abs(x) < 1e-12:
					want = c.TPR[0]
				}
			}
			near(t, "TPR of the band", band.TPR[i], want, 1e-12)
		}
	}
}

// A perfect or a constant score has no estimated spread; the answers are those the
// doc comments promise.
func TestROCEdges(t *testing.T) {
	positive := []bool{false, false, true, true}
	perfect := []float64{1, 2, 3, 4}
	r, err := DeLong(perfect, positive, 0.95)
	if err != nil || r.AUC != 1 || r.SE != 0 || r.Low != 1 || r.High != 1 || !math.IsNaN(r.P) {
		t.Errorf("DeLong of a perfect score: %+v, %v", r, err)
	}
	r, err = Noether(perfect, positive, 0.95)
	if err != nil || r.AUC != 1 || !math.IsNaN(r.SE) || !math.IsNaN(r.Low) || !math.IsNaN(r.High) || !math.IsNaN(r.P) {
		t.Errorf("Noether of a perfect score: %+v, %v", r, err)
	}
	// Fifteen pairs, one of them discordant: the formula's variance is negative.
	r, err = Noether([]float64{9, 8, 7, 7, 6, 5, 4, 2}, []bool{true, true, false, true, true, false, false, false}, 0.95)
	if err != nil || math.Abs(r.AUC-14.0/15) > 1e-15 || !math.IsNaN(r.SE) || !math.IsNaN(r.P) {
		t.Errorf("Noether of too few patients: %+v, %v", r, err)
	}
	boot, err := BootstrapAUC(perfect, positive, 100, 1, 0.95)
	if err != nil || boot.Estimate != 1 || boot.Low != 1 || boot.High != 1 || boot.SE != 0 {
		t.Errorf("bootstrap of a perfect score: %+v, %v", boot, err)
	}
	constant := []float64{3, 3, 3, 3}
	r, err = DeLong(constant, positive, 0.95)
	if err != nil || r.AUC != 0.5 || r.SE != 0 || !math.IsNaN(r.P) {
		t.Errorf("DeLong of a constant score: %+v, %v", r, err)
	}
	p, err := DeLongPaired(perfect, constant, positive, 0.95)
	if err != nil || p.Difference != 0.5 || p.SE != 0 || !math.IsNaN(p.P) || !math.IsNaN(p.Z) {
		t.Errorf("perfect against constant: %+v, %v", p, err)
	}
	if a := mustAUC(t, []float64{2, 1}, []bool{true, false}); a != 1 {
		t.Errorf("AUC of one pair: %v", a)
	}
	if got := mustAUC(t, []float64{0, math.Copysign(0, -1)}, []bool{true, false}); got != 0.5 {
		t.Errorf("zero and minus zero are not tied: %v", got)
	}
}
