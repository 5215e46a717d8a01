// Package selection chooses features for a model. Choosing is part of fitting: inside
// cross-validation it belongs into the fold (see package crossval), and on a cohort
// that tests a model it must not be done at all.
package selection

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"hounsfield/models/tabular"
)

// Correlation is the measure behind mutual information.
type Correlation string

const (
	Pearson  Correlation = "pearson"
	Spearman Correlation = "spearman" // Pearson's of midranks
)

// Choice is one feature chosen.
type Choice struct {
	Feature    int     // column of x
	Name       string  // "" if no names were given
	Relevance  float64 // mutual information with the target, in nats; +Inf if it is the target's equal
	Redundancy float64 // mean mutual information with the features chosen before; 0 for the first
}

// Score is what the choice was made by, Relevance - Redundancy.
func (c Choice) Score() float64 { return c.Relevance - c.Redundancy }

// MRMR chooses `count` features, in order, by minimum redundancy and maximum
// relevance: first the one that tells most about the target, then each time the one
// with the largest
//
//	I(feature, target) - mean over those chosen of I(feature, chosen)
//
// where I = -ln(1 - rho^2)/2 is the mutual information that a correlation of rho
// means between two normal variables, whatever its sign. x is x[feature][patient];
// target has one number per patient: 0 and 1 for a label ([Labels]). Of equal features
// the first is taken. Constant features are never chosen; one equal to a chosen
// feature only when nothing else is left.
//
// In R: mRMR.classic(mRMRe.Data, target_indices, feature_count) of package mRMRe with
// continuous_estimator="pearson" or "spearman", the label as a number. mRMRe counts
// the target among those chosen and divides by one more: each score is n/(n+1) times
// this one, which changes no choice.
//
// Errors: *tabular.InputError for empty input, unequal lengths, a value that is
// missing (mRMRe leaves out pairs) or infinite, a constant target, an unknown
// correlation, and a count below 1 or above the number of features that are not
// constant.
//
// De Jay N et al. Bioinformatics 2013;29:2365-2368. doi:10.1093/bioinformatics/btt383;
// Ding C, Peng H. J Bioinform Comput Biol 2005;3:185-205. doi:10.1142/S0219720005001004
func MRMR(x [][]float64, names []string, target []float64, count int, correlation Correlation) ([]Choice, error) {
	const function = "selection.MRMR"
	if err := tabular.Check(function, x, names, len(target), false); err != nil {
		return nil, err
	}
	if correlation != Pearson && correlation != Spearman {
		return nil, tabular.Refuse(function, "correlation", fmt.Sprintf("%q", correlation), "selection.Pearson or selection.Spearman", "choose Pearson to do as the paper did")
	}
	for i, v := range target {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			e := tabular.Refuse(function, "target", fmt.Sprint(v), "a finite number", "leave the patient out and list it in the exclusions table")
			e.Patient = i
			return nil, e
		}
	}
	to := standardise(target, correlation)
	if to == nil {
		return nil, tabular.Refuse(function, "target", "the same for every patient", "a target that varies", "choose patients among whom both outcomes occur")
	}
	columns, varying := make([][]float64, len(x)), 0
	for j := range x {
		if columns[j] = standardise(x[j], correlation); columns[j] != nil {
			varying++
		}
	}
	if count < 1 || count > varying {
		return nil, tabular.Refuse(function, "count", fmt.Sprint(count), fmt.Sprintf("1 to %d, the number of features that are not constant", varying), "choose fewer features")
	}
	relevance, shared, taken := make([]float64, len(x)), make([]float64, len(x)), make([]bool, len(x))
	for j, c := range columns {
		if c != nil {
			relevance[j] = information(c, to)
		}
	}
	choices := make([]Choice, 0, count)
	for len(choices) < count {
		best := Choice{Feature: -1}
		for j, c := range columns {
			if c == nil || taken[j] {
				continue
			}
			now := Choice{Feature: j, Relevance: relevance[j]}
			if n := len(choices); n > 0 {
				now.Redundancy = shared[j] / float64(n)
			}
			// NaN is infinite relevance less infinite redundancy: a second copy of the
			// target. Compare puts it last.
			if best.Feature < 0 || cmp.Compare(now.Score(), best.Score()) > 0 {
				best = now
			}
		}
		if names != nil {
			best.Name = names[best.Feature]
		}
		choices = append(choices, best)
		taken[best.Feature] = true
		for j, c := range columns {
			if c != nil && !taken[j] {
				shared[j] += information(c, columns[best.Feature])
			}
		}
	}
	return choices, nil
}

// Labels turns a label into a target: 1 for true, 0 for false.
func Labels(y []bool) []float64 {
	target := make([]float64, len(y))
	for i, v := range y {
		if v {
			target[i] = 1
		}
	}
	return target
}

// information is -ln(1 - rho^2)/2 of two standardised columns.
func information(a, b []float64) float64 {
	rho := 0.0
	for i, v := range a {
		rho += v * b[i]
	}
	if rho *= rho; rho < 1 {
		return -math.Log1p(-rho) / 2
	}
	return math.Inf(1) // one at most, but for rounding
}

// standardise shifts a column to mean 0 and scales it to length 1, so that the product
// of two is their correlation. It is nil for a constant column.
func standardise(column []float64, correlation Correlation) []float64 {
	if correlation == Spearman {
		column = midranks(column)
	}
	n, mean, largest := float64(len(column)), 0.0, 0.0
	for _, v := range column {
		mean += v / n
		largest = max(largest, math.Abs(v))
	}
	// Scaled by the largest: squares of very large or small values stay finite.
	z, sum := make([]float64, len(column)), 0.0
	for i, v := range column {
		z[i] = v/largest - mean/largest
		sum += z[i] * z[i]
	}
	length := math.Sqrt(sum)
	if !(length > 1e-13*math.Sqrt(n)) { // NaN if all are 0
		return nil
	}
	for i := range z {
		z[i] /= length
	}
	return z
}

func midranks(column []float64) []float64 {
	order := make([]int, len(column))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(column[a], column[b]) })
	ranks := make([]float64, len(column))
	for i := 0; i < len(order); {
		end := i + 1
		for end < len(order) && column[order[end]] == column[order[i]] {
			end++
		}
		for _, o := range order[i:end] {
			ranks[o] = float64(i+end+1) / 2
		}
		i = end
	}
	return ranks
}
