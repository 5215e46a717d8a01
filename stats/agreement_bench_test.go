package stats

import (
	"math/rand/v2"
	"testing"
)

func twoScores(n int) (a, b []float64, positive []bool) {
	random := rand.New(rand.NewPCG(1, 1))
	for range n {
		x := random.NormFloat64()
		a, b, positive = append(a, x), append(b, x+random.NormFloat64()), append(positive, random.Float64() < 0.5)
	}
	return a, b, positive
}

// The study's size: 206 patients, 1000 permutations.
func BenchmarkPermutationAUC(b *testing.B) {
	x, y, positive := twoScores(206)
	for b.Loop() {
		if _, err := PermutationAUC(x, y, positive, Greater, 1000, 1, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKendall(b *testing.B) {
	x, y, _ := twoScores(100000)
	for b.Loop() {
		if _, err := Kendall(x, y, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMannWhitneyExactTies(b *testing.B) {
	x, y, _ := twoScores(100)
	for i := range x {
		x[i], y[i] = float64(int(4*x[i])), float64(int(4*y[i]))
	}
	for b.Loop() {
		if _, err := MannWhitney(x, y, TwoSided, ExactRank); err != nil {
			b.Fatal(err)
		}
	}
}
