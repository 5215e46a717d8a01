package stats

import (
	"errors"
	"testing"

	"hounsfield/stats/golden"
)

func TestKruskalWallisGolden(t *testing.T) {
	for _, c := range golden.Cases[struct {
		Name     string
		Groups   [][]float64
		H, P     float64
		DF       int
		MeanRank []float64 `json:"mean_rank"`
	}](t, "kruskal") {
		r, err := KruskalWallis(c.Groups)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.Name+": H", r.ChiSquare, c.H, 1e-12)
		nearP(t, c.Name+": p", r.P, c.P)
		near(t, c.Name+": effect", r.EpsilonSquare*float64(r.N-1), c.H, 1e-12)
		for k, want := range c.MeanRank {
			near(t, c.Name+": mean rank", r.MeanRank[k], want, 1e-12)
		}
		if r.DF != c.DF {
			t.Errorf("%s: %d degrees of freedom, want %d", c.Name, r.DF, c.DF)
		}
		// Two groups: the square of the Mann-Whitney deviate.
		if len(c.Groups) == 2 {
			w, err := MannWhitney(c.Groups[0], c.Groups[1], TwoSided, UncorrectedRank)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Name+": against Mann-Whitney", r.ChiSquare, w.Z*w.Z, 1e-10)
		}
	}
}

func TestKruskalWallisRefuses(t *testing.T) {
	for name, groups := range map[string][][]float64{
		"one group": {{1, 2}}, "an empty group": {{1, 2}, {}}, "all the same": {{3, 3}, {3}},
	} {
		var refused *InputError
		if _, err := KruskalWallis(groups); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
