package stats

import (
	"errors"
	"testing"

	"hounsfield/stats/golden"
)

func TestCoxLikelihoodRatioGolden(t *testing.T) {
	for _, c := range golden.Cases[struct {
		Name     string
		Time     []float64
		Event    []bool
		X        [][]float64
		Ties     Ties
		ChiSq, P float64
		DF       int
	}](t, "coxlrt") {
		fit := func(n, columns int, options ...CoxOption) CoxResult {
			x := make([][]float64, n)
			for i := range x {
				x[i] = c.X[i][:columns]
			}
			r, err := Cox(c.Time[:n], c.Event[:n], x, 0.95, append(options, CoxTies(c.Ties))...)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		n := len(c.Time)
		smaller, larger := fit(n, 2), fit(n, 4)
		r, err := CoxLikelihoodRatio(smaller, larger)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.Name, r.ChiSquare, c.ChiSq, 1e-8)
		nearP(t, c.Name+": p", r.P, c.P)
		if r.DF != c.DF {
			t.Errorf("%s: %d degrees of freedom, want %d", c.Name, r.DF, c.DF)
		}
		// Two steps make up the whole way.
		middle := fit(n, 3)
		first, err := CoxLikelihoodRatio(smaller, middle)
		if err != nil {
			t.Fatal(err)
		}
		second, err := CoxLikelihoodRatio(middle, larger)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.Name+": in two steps", first.ChiSquare+second.ChiSquare, r.ChiSquare, 1e-9)

		twins := make([]int, n)
		for i := range twins {
			twins[i] = i / 2
		}
		for name, pair := range map[string][2]CoxResult{
			"the larger first": {larger, smaller}, "other patients": {fit(n-1, 2), larger}, "the same model": {smaller, smaller}, "clustered rows": {smaller, fit(n, 4, CoxCluster(twins))},
		} {
			var refused *InputError
			if _, err := CoxLikelihoodRatio(pair[0], pair[1]); !errors.As(err, &refused) {
				t.Errorf("%s: %s: %v", c.Name, name, err)
			}
		}
	}
}
