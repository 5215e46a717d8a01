package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// slowKendall looks at every pair; slowMidrank counts smaller and equal values.
func slowKendall(x, y []float64) (s int, tau float64) {
	untiedX, untiedY := 0, 0
	for i := range x {
		for j := range i {
			dx, dy := x[i]-x[j], y[i]-y[j]
			if dx != 0 {
				untiedX++
			}
			if dy != 0 {
				untiedY++
			}
			switch {
			case dx*dy > 0:
				s++
			case dx*dy < 0:
				s--
			}
		}
	}
	return s, float64(s) / math.Sqrt(float64(untiedX)*float64(untiedY))
}

func slowMidrank(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		smaller, equal := 0, 0
		for _, w := range x {
			if w < v {
				smaller++
			} else if w == v {
				equal++
			}
		}
		out[i] = float64(smaller) + float64(equal+1)/2
	}
	return out
}

func TestRankCorrelationsAgainstAllPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 2))
	for range 200 {
		n := 3 + random.IntN(40)
		levels := 2 + random.IntN(60)
		x, y := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i] = float64(random.IntN(levels)), float64(random.IntN(levels))
		}
		x[0], x[1], y[0], y[1] = 0, 1, 1, 0 // nothing is constant
		k, err := Kendall(x, y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		s, tau := slowKendall(x, y)
		near(t, "tau-b", k.R, tau, 1e-14)
		near(t, "S", k.Statistic, float64(s), 0)
		rho, err := Spearman(x, y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		rx, _ := midranks(x)
		if !slices.Equal(rx, slowMidrank(x)) {
			t.Fatalf("midranks %v of %v", rx, x)
		}
		onRanks, err := Pearson(slowMidrank(x), slowMidrank(y), 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "rho", rho.R, onRanks.R, 1e-14)
		// Monotone maps and the order of the patients change nothing; turning one round turns the sign.
		for i := range x {
			x[i] = math.Exp(x[i] / 9)
			y[i] = -y[i]
		}
		slices.Reverse(x)
		slices.Reverse(y)
		k2, _ := Kendall(x, y, 0.95)
		rho2, _ := Spearman(x, y, 0.95)
		near(t, "tau-b turned", k2.R, -k.R, 1e-14)
		near(t, "its p", k2.P, k.P, 1e-12)
		near(t, "rho turned", rho2.R, -rho.R, 1e-12)
		near(t, "its p", rho2.P, rho.P, 1e-9)
		for _, r := range []CorrelationResult{k, rho, onRanks} {
			if r.P < 0 || r.P > 1 || math.Abs(r.R) > 1 || r.Low > r.R+1e-15 || r.High < r.R-1e-15 {
				t.Errorf("impossible %+v", r)
			}
		}
	}
}

func TestCorrelationEdges(t *testing.T) {
	x, y := []float64{1, 2, 3, 4, 5, 6}, []float64{2, 4, 6, 8, 10, 12}
	falling := []float64{6, 5, 4, 3, 2, 1}
	for name, f := range map[string]func(x, y []float64, level float64) (CorrelationResult, error){"Pearson": Pearson, "Spearman": Spearman, "Kendall": Kendall} {
		r, err := f(x, y, 0.95)
		if err != nil || r.R != 1 || r.Low != 1 || r.High != 1 || r.P > 2.0/720+1e-12 {
			t.Errorf("%s of a line: %+v, %v", name, r, err)
		}
		r, err = f(x, falling, 0.95)
		if err != nil || r.R != -1 || r.P > 2.0/720+1e-12 {
			t.Errorf("%s of a falling line: %+v, %v", name, r, err)
		}
		r, err = f(x[:2], y[:2], 0.95)
		if err != nil || r.R != 1 || !math.IsNaN(r.Low) || r.P < 1 {
			t.Errorf("%s of two patients: %+v, %v", name, r, err)
		}
	}
	r, err := Kendall([]float64{1, 1, 2, 2, 3, 3}, []float64{4, 4, 5, 5, 9, 9}, 0.95)
	if err != nil || r.R != 1 || r.Exact {
		t.Errorf("tau-b of the same ties: %+v, %v", r, err)
	}
}
