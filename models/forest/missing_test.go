package forest

import (
	"math"
	"testing"

	"hounsfield/stats/golden"
)

// Missing values and class weights as scikit-learn has them, averaged over so many
// trees that only equally good splits, which it breaks at random, make a difference.
func TestMissingAndWeightsAgainstScikitLearn(t *testing.T) {
	type sklearn struct {
		Name      string
		X, New    [][]*float64
		Y         []bool
		Weights   [2]float64
		MinNode   int `json:"min_node"`
		MinLeaf   int `json:"min_leaf"`
		Predicted []float64
	}
	table := func(x [][]*float64) [][]float64 {
		out := make([][]float64, len(x))
		for j := range x {
			for _, v := range x[j] {
				if v == nil {
					out[j] = append(out[j], math.NaN())
				} else {
					out[j] = append(out[j], *v)
				}
			}
		}
		return out
	}
	for _, c := range golden.Cases[sklearn](t, "sklearn") {
		f, err := Fit(table(c.X), nil, c.Y, Options{Trees: 6000, Features: 2, Subsample: true, Fraction: 1, Exact: true,
			MinNode: c.MinNode, MinLeaf: c.MinLeaf, Weights: c.Weights, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Predict(table(c.New))
		if err != nil {
			t.Fatal(err)
		}
		off := rms(p, c.Predicted)
		t.Logf("%s: %.4f rms", c.Name, off)
		if off > 0.008 {
			t.Errorf("%s: predictions differ from scikit-learn's by %.4f rms", c.Name, off)
		}
	}
}
