package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// normalQuantile is z such that a standard normal value lies within +-z with
// probability level.
func normalQuantile(level float64) float64 {
	return distuv.UnitNormal.Quantile(0.5 + level/2)
}

// twoSided is the probability of a standard normal value at least as far from zero
// as z. The complementary error function keeps its digits far out in the tail.
func twoSided(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// ChiSquareTest is a statistic compared with the chi-square distribution.
type ChiSquareTest struct {
	ChiSquare float64
	DF        int
	P         float64 // probability of a statistic at least this large
}

func newChiSquareTest(statistic float64, df int) ChiSquareTest {
	return ChiSquareTest{statistic, df, distuv.ChiSquared{K: float64(df)}.Survival(statistic)}
}

// Median is the middle value of x, or the mean of the two middle ones: R's median
// and the cut between low and high risk. x need not be sorted and is not changed.
func Median(x []float64) (float64, error) {
	if len(x) == 0 {
		return 0, empty("Median", "x")
	}
	if err := checkFinite("Median", "x", x); err != nil {
		return 0, err
	}
	s := slices.Clone(x)
	slices.Sort(s)
	return quantile(s, 0.5), nil
}

// quantile interpolates linearly between order statistics (R's type 7, numpy's
// default). sorted must be ascending and not empty; p is within 0..1.
func quantile(sorted []float64, p float64) float64 {
	h := p * float64(len(sorted)-1)
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}
