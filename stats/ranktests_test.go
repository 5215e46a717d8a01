package stats

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"hounsfield/stats/golden"
)

type rankCase struct {
	Paired      bool
	Name        string
	X, Y        []float64
	Statistic   float64
	Tied        bool
	Auto        []float64
	Corrected   []float64
	Uncorrected []float64
	Exact       []float64
}

func (c *rankCase) test(alternative Alternative, method RankMethod) (RankTestResult, error) {
	if c.Paired {
		return WilcoxonSignedRank(c.X, c.Y, alternative, method)
	}
	return MannWhitney(c.X, c.Y, alternative, method)
}

var sides = []Alternative{TwoSided, Greater, Less}

func TestRankTestsGolden(t *testing.T) {
	for _, raw := range golden.Cases[struct {
		rankCase
		Shift any
	}](t, "ranktests") {
		c := raw.rankCase
		for i, side := range sides {
			for method, want := range map[RankMethod][]float64{AutoRank: c.Auto, CorrectedRank: c.Corrected, UncorrectedRank: c.Uncorrected, ExactRank: c.Exact} {
				r, err := c.test(side, method)
				if err != nil {
					t.Fatal(err)
				}
				what := c.Name + ", " + string(side) + ", " + string(method)
				near(t, what, r.Statistic, c.Statistic, 0)
				nearP(t, what, r.P, want[i])
				if exact := !c.Tied && r.N < 90; method == AutoRank && (r.Method == ExactRank) != exact {
					t.Errorf("%s took %s", what, r.Method)
				}
				if (r.Ties > 0 || r.Zeros > 0) != c.Tied {
					t.Errorf("%s: %d ties, %d zeros", what, r.Ties, r.Zeros)
				}
			}
		}
		shift, ok := raw.Shift.([]any)
		if c.Tied != !ok {
			t.Fatalf("%s: shift %v", c.Name, raw.Shift)
		}
		if c.Tied {
			continue
		}
		estimate := HodgesLehmann
		if c.Paired {
			estimate = HodgesLehmannPaired
		}
		r, err := estimate(c.X, c.Y, 0.9)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range ends(r) {
			near(t, c.Name+" shift", got, shift[i].(float64), 1e-12)
		}
	}
}

// exactByEnumeration counts all choices of the first sample, or all signs.
func exactByEnumeration(rank []float64, choose int, observed, mean float64, side Alternative) float64 {
	all, extreme := 0, 0
	for code := range 1 << len(rank) {
		if choose >= 0 && bits.OnesCount(uint(code)) != choose {
			continue
		}
		sum := 0.0
		for i, r := range rank {
			if code>>i&1 != 0 {
				sum += r
			}
		}
		all++
		if side == Greater && sum >= observed || side == Less && sum <= observed || side == TwoSided && math.Abs(sum-mean) >= math.Abs(observed-mean) {
			extreme++
		}
	}
	return float64(extreme) / float64(all)
}

func TestRankTestsAgainstEnumeration(t *testing.T) {
	random := rand.New(rand.NewPCG(21, 1))
	for range 100 {
		m, n := 1+random.IntN(6), 1+random.IntN(6)
		levels := 2 + random.IntN(12)
		x, y := make([]float64, m), make([]float64, n)
		for i := range x {
			x[i] = float64(random.IntN(levels))
		}
		for i := range y {
			y[i] = float64(random.IntN(levels))
		}
		rank := slowMidrank(append(append([]float64{}, x...), y...))
		w := 0.0
		for _, a := range x {
			for _, b := range y {
				if a > b {
					w++
				} else if a == b {
					w += 0.5
				}
			}
		}
		offset := float64(m*(m+1)) / 2
		var d []float64
		var positive float64
		for i := range min(m, n) {
			if x[i] != y[i] {
				d = append(d, math.Abs(x[i]-y[i]))
			}
		}
		signed := slowMidrank(d)
		for i, k := 0, 0; i < min(m, n); i++ {
			if x[i] != y[i] {
				if x[i] > y[i] {
					positive += signed[k]
				}
				k++
			}
		}
		for _, side := range sides {
			r, err := MannWhitney(x, y, side, ExactRank)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "W", r.Statistic, w, 0)
			near(t, "W p", r.P, exactByEnumeration(rank, m, w+offset, r.Mean+offset, side), 1e-12)
			if len(d) == 0 {
				continue
			}
			r, err = WilcoxonSignedRank(x[:min(m, n)], y[:min(m, n)], side, ExactRank)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "V", r.Statistic, positive, 0)
			near(t, "V p", r.P, exactByEnumeration(signed, -1, positive, r.Mean, side), 1e-12)
		}
	}
}

func TestRankTestProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(22, 1))
	x, y := make([]float64, 60), make([]float64, 60)
	for i := range x {
		x[i], y[i] = math.Round(3*random.NormFloat64()+1), math.Round(3*random.NormFloat64())
	}
	scores, positive := append(append([]float64{}, x...), y...), make([]bool, 120)
	for i := range x {
		positive[i] = true
	}
	auc, err := AUC(scores, positive)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []RankMethod{ExactRank, CorrectedRank, UncorrectedRank} {
		for _, paired := range []bool{false, true} {
			c, turned := rankCase{Paired: paired, X: x, Y: y}, rankCase{Paired: paired, X: y, Y: x}
			for i, side := range sides {
				a, _ := c.test(side, method)
				b, _ := turned.test([]Alternative{TwoSided, Less, Greater}[i], method)
				near(t, string(method)+" turned round", a.P, b.P, 1e-12)
				if !paired {
					near(t, "AUC", a.Statistic/3600, auc, 1e-15)
				}
			}
			g, _ := c.test(Greater, method)
			l, _ := c.test(Less, method)
			if method == UncorrectedRank {
				near(t, "the two sides", g.P+l.P, 1, 1e-12)
			} else if g.P+l.P < 1 {
				t.Errorf("%s: the sides share the observed value, but their p sum to %v", method, g.P+l.P)
			}
		}
	}
	for _, method := range []RankMethod{AutoRank, ExactRank, CorrectedRank, UncorrectedRank} {
		for _, side := range sides {
			r, err := MannWhitney([]float64{4, 4}, []float64{4, 4, 4}, side, method)
			if err != nil || r.P != 1 || r.Statistic != r.Mean {
				t.Errorf("all tied, %s, %s: %+v, %v", side, method, r, err)
			}
		}
	}
}
