package stats

import (
	"fmt"
	"math"
)

// StandardisedMean is the standardised difference of a number between two groups of
// patients,
//
//	(mean of a - mean of b) / sqrt((var a + var b) / 2),
//
// var with the denominator n - 1. It is positive when a has the larger values; unlike a
// test it does not grow with the number of patients. It is 0 for two groups of one and
// the same constant, infinite for two different constants, and NaN when a group is a
// single patient, who has no variance. Order and ties play no part.
//
// In R: smd::smd; the absolute value is tableone::ExtractSmd.
//
// Errors: *InputError for an empty group, NaN and infinities: leave patients without
// the value out and say how many there are.
//
// Austin PC. Communications in Statistics - Simulation and Computation 2009;38:1228-1234.
// doi:10.1080/03610910902859574
func StandardisedMean(a, b []float64) (float64, error) {
	var mean, variance [2]float64
	for k, group := range []struct {
		name   string
		values []float64
	}{{"a", a}, {"b", b}} {
		if len(group.values) == 0 {
			return 0, empty("StandardisedMean", group.name)
		}
		if err := checkFinite("StandardisedMean", group.name, group.values); err != nil {
			return 0, err
		}
		mean[k], variance[k] = meanVariance(group.values)
	}
	return standardise(mean[0]-mean[1], (variance[0]+variance[1])/2), nil
}

// StandardisedProportion is the standardised difference of a yes or no between two
// groups of patients, with p the share of true,
//
//	(p of a - p of b) / sqrt((p (1-p) of a + p (1-p) of b) / 2).
//
// It is positive when true is more frequent in a, 0 when both groups are all true or
// both all false, and infinite when one is all true and the other all false.
//
// In R: smd::smd of logicals; the absolute value is tableone::ExtractSmd.
//
// Errors: *InputError for an empty group.
//
// Austin PC. Communications in Statistics - Simulation and Computation 2009;38:1228-1234.
// doi:10.1080/03610910902859574
func StandardisedProportion(a, b []bool) (float64, error) {
	var p [2]float64
	for k, group := range []struct {
		name   string
		values []bool
	}{{"a", a}, {"b", b}} {
		if len(group.values) == 0 {
			return 0, empty("StandardisedProportion", group.name)
		}
		yes := 0
		for _, v := range group.values {
			if v {
				yes++
			}
		}
		p[k] = float64(yes) / float64(len(group.values))
	}
	return standardise(p[0]-p[1], (p[0]*(1-p[0])+p[1]*(1-p[1]))/2), nil
}

// StandardisedCategories is the standardised difference of a variable of several
// categories between two groups of patients: the Mahalanobis distance of their shares,
//
//	sqrt(d' S^-1 d), d = p of a - p of b, S = (S of a + S of b) / 2,
//
// with p the shares of all categories but one and S their multinomial covariances,
// p_k (1-p_k) on the diagonal and -p_k p_l beside it. Which one is left out does not
// matter, nor does the order of the categories; those that nobody has count for
// nothing. a and b hold the number of patients in each category, the same categories in
// the same order. The distance has no sign; for two categories it is the absolute value
// of [StandardisedProportion]. Groups of the same shares are 0 apart, groups that have
// no category in common are infinitely far apart.
//
// In R: tableone::ExtractSmd, smd::smd of factors. Both take a generalised inverse of S,
// which for groups without a common category gives a finite number or NaN; there the
// distance grows without bound as the common share falls to zero, hence infinite here.
//
// Errors: *InputError for lists of different length, negative counts and an empty group.
//
// Yang D, Dalton JE. A unified approach to measuring the effect size between two groups
// using SAS. SAS Global Forum 2012, paper 335-2012.
func StandardisedCategories(a, b []int) (float64, error) {
	const function = "StandardisedCategories"
	if len(a) != len(b) {
		return 0, &InputError{function, "b", -1, fmt.Sprintf("%d long", len(b)), fmt.Sprintf("%d counts, one per category", len(a)), "count the same categories in both groups, zeros included"}
	}
	var total [2]int
	for k, counts := range [][]int{a, b} {
		name := "ab"[k : k+1]
		for i, n := range counts {
			if n < 0 {
				return 0, &InputError{function, name, i, fmt.Sprint(n), "zero or more", "give the number of patients in the category"}
			}
			total[k] += n
		}
		if total[k] == 0 {
			return 0, empty(function, name)
		}
	}
	var p, q []float64 // shares in a and b
	common := false
	for i := range a {
		if a[i]+b[i] > 0 {
			p, q = append(p, float64(a[i])/float64(total[0])), append(q, float64(b[i])/float64(total[1]))
		}
		common = common || a[i] > 0 && b[i] > 0
	}
	if !common {
		return math.Inf(1), nil
	}
	n := len(p) - 1
	covariance, difference := newMatrix(n), make([]float64, n)
	for i := range n {
		for j := range n {
			covariance[i][j] = -(p[i]*p[j] + q[i]*q[j]) / 2
		}
		covariance[i][i] += (p[i] + q[i]) / 2
		difference[i] = p[i] - q[i]
	}
	// A common category makes the matrix positive definite; it fails only when the
	// common share is lost in rounding.
	if factorise(covariance) >= 0 {
		return math.Inf(1), nil
	}
	return math.Sqrt(quadraticForm(covariance, difference)), nil
}

// standardise divides a difference by the root of a variance; no difference at no
// variance is 0.
func standardise(difference, variance float64) float64 {
	if difference == 0 && variance == 0 {
		return 0
	}
	return difference / math.Sqrt(variance)
}

// meanVariance is the mean and the variance of x (denominator n - 1; NaN for one value),
// in two passes. Equal values have the variance 0 exactly.
func meanVariance(x []float64) (mean, variance float64) {
	// Sums of differences from the first value: a constant group has no rounding error.
	for _, v := range x {
		mean += v - x[0]
	}
	mean = x[0] + mean/float64(len(x))
	if len(x) == 1 {
		return mean, math.NaN()
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x)-1)
}
