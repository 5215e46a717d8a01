package stats

import (
	"fmt"
	"math"
)

// KappaWeight says how much a disagreement counts in [CohenKappa].
type KappaWeight string

const (
	UnweightedKappa KappaWeight = "unweighted" // any disagreement counts fully: for categories without order
	LinearKappa     KappaWeight = "linear"     // in proportion to the distance |i-j|
	QuadraticKappa  KappaWeight = "quadratic"  // in proportion to (i-j)^2
)

// KappaResult is a chance-corrected agreement.
type KappaResult struct {
	Method     string  // "Cohen, unweighted" ... or "Fleiss"
	Kappa      float64 // 1 for perfect agreement, 0 for what chance gives; may be negative
	Observed   float64 // (weighted) share of agreement
	Expected   float64 // the share that chance gives
	SE         float64 // large-sample standard error of Kappa
	Low, High  float64 // confidence interval, cut to -1..1
	Level      float64
	Z          float64 // Kappa over its standard error if the true value is 0
	P          float64 // two-sided normal test of 0; NaN where that standard error is 0
	N          int     // subjects
	Raters     int
	Categories int
}

// CohenKappa gives Cohen's kappa of two raters who each put every subject into one of
// the categories 0 .. categories-1; for weighted kappa their order is that of the
// numbers. Kappa = (Observed - Expected)/(1 - Expected), with weights 1-|i-j|/(c-1) or
// 1-(i-j)^2/(c-1)^2, c being categories; a category that nobody uses changes only them.
//
// SE and the test are those of Fleiss, Cohen and Everitt; the interval is Kappa +- z SE.
// Raters who agree everywhere have SE 0 and an interval of no width.
//
// In R: vcd::Kappa (Kappa and SE), irr::kappa2 (Kappa, and Z of the unweighted form; it
// puts the unweighted chance agreement into the others'); in Python:
// statsmodels.stats.inter_rater.cohens_kappa.
//
// Errors: *InputError for empty input, unequal lengths, fewer than two categories, a
// rating outside them, both raters using one and the same category only (chance
// agreement is complete), an unknown weight, a level outside 0..1.
//
// Cohen J. Psychological Bulletin 1968;70:213-220. doi:10.1037/h0026256; Fleiss JL, Cohen J,
// Everitt BS. Psychological Bulletin 1969;72:323-327. doi:10.1037/h0028106
func CohenKappa(first, second []int, categories int, weight KappaWeight, level float64) (KappaResult, error) {
	if len(first) == 0 {
		return KappaResult{}, empty("CohenKappa", "first")
	}
	if len(second) != len(first) {
		return KappaResult{}, wrongLength("CohenKappa", "second", len(second), len(first))
	}
	if categories < 2 {
		return KappaResult{}, &InputError{"CohenKappa", "categories", -1, fmt.Sprint(categories), "2 or more", "give the number of categories that can be chosen"}
	}
	w := newMatrix(categories)
	span := float64(categories - 1)
	for i := range w {
		for j := range w[i] {
			d := math.Abs(float64(i-j)) / span
			switch weight {
			case UnweightedKappa:
				if i == j {
					w[i][j] = 1
				}
			case LinearKappa:
				w[i][j] = 1 - d
			case QuadraticKappa:
				w[i][j] = 1 - d*d
			default:
				return KappaResult{}, &InputError{"CohenKappa", "weight", -1, fmt.Sprintf("%q", string(weight)), "unweighted, linear, quadratic", "use UnweightedKappa for categories without order"}
			}
		}
	}
	if err := checkLevel("CohenKappa", level); err != nil {
		return KappaResult{}, err
	}
	n := float64(len(first))
	p, row, column := newMatrix(categories), make([]float64, categories), make([]float64, categories)
	for s := range first {
		for name, c := range [2]int{first[s], second[s]} {
			if c < 0 || c >= categories {
				return KappaResult{}, &InputError{"CohenKappa", [2]string{"first", "second"}[name], s, fmt.Sprint(c),
					fmt.Sprintf("0 to %d", categories-1), "number the categories from 0"}
			}
		}
		p[first[s]][second[s]]++
		row[first[s]]++
		column[second[s]]++
	}
	for i := range p {
		if row[i] == n && column[i] == n {
			return KappaResult{}, &InputError{"CohenKappa", "first", -1, fmt.Sprintf("%d for every subject, as is second", i),
				"ratings that differ between subjects", "report the share of agreement instead: there is no kappa"}
		}
	}
	// Mean weights of a rater's category against the other's distribution.
	byRow, byColumn := make([]float64, categories), make([]float64, categories)
	observed, expected := 0.0, 0.0
	for i := range p {
		for j := range p {
			observed += w[i][j] * p[i][j] / n
			byRow[i] += w[i][j] * column[j] / n
			byColumn[j] += w[i][j] * row[i] / n
		}
		expected += row[i] / n * byRow[i]
	}
	if observed > 1-1e-15 {
		observed = 1 // agreement everywhere, but for the rounding of n shares
	}
	kappa := (observed - expected) / (1 - expected)
	variance, null := 0.0, 0.0
	for i := range p {
		for j := range p {
			marginal := byRow[i] + byColumn[j]
			variance += p[i][j] / n * square(w[i][j]-marginal*(1-kappa))
			null += row[i] / n * column[j] / n * square(w[i][j]-marginal)
		}
	}
	variance = math.Max(0, variance-square(kappa-expected*(1-kappa)))
	null = math.Max(0, null-square(expected))
	if observed == 1 {
		variance = 0
	}
	r := KappaResult{Method: "Cohen, " + string(weight), Kappa: kappa, Observed: observed, Expected: expected,
		SE: math.Sqrt(variance/n) / (1 - expected), Level: level, N: len(first), Raters: 2, Categories: categories}
	half := normalQuantile(level) * r.SE
	r.Low, r.High = math.Max(-1, kappa-half), math.Min(1, kappa+half)
	r.Z, r.P = wald(kappa, math.Sqrt(null/n)/(1-expected))
	return r, nil
}

// FleissKappa gives Fleiss' kappa of counts[subject][category]: how many of the raters
// put the subject into the category. Every subject needs the same number of raters, who
// need not be the same persons.
//
// Observed is the share of agreeing pairs of raters, averaged over subjects; Expected
// the sum of the squared shares of the categories. Z divides by the standard error of
// Fleiss, Nee and Landis for a true value of 0 (that of 1971 was wrong). SE is Gwet's for any true value, and the interval Kappa +- t SE
// with n-1 degrees of freedom, cut to -1..1.
//
// In R: irr::kappam.fleiss(ratings) (Kappa); irrCAC::fleiss.kappa.raw (SE, Low, High).
//
// Errors: *InputError for fewer than two subjects, categories or raters, rows of unequal
// length or sum, negative counts, one category only, a level outside 0..1.
//
// Fleiss JL. Psychological Bulletin 1971;76:378-382. doi:10.1037/h0031619; Fleiss JL, Nee
// JCM, Landis JR. Psychological Bulletin 1979;86:974-977. doi:10.1037/0033-2909.86.5.974; Gwet KL.
// Educational and Psychological Measurement 2021;81:781-790. doi:10.1177/0013164420973080
func FleissKappa(counts [][]int, level float64) (KappaResult, error) {
	if len(counts) == 0 {
		return KappaResult{}, empty("FleissKappa", "counts")
	}
	categories := len(counts[0])
	raters := 0
	for _, c := range counts[0] {
		raters += c
	}
	share := make([]float64, categories)
	n := float64(len(counts))
	m := float64(raters)
	for i, row := range counts {
		sum := 0
		for j, c := range row {
			if c < 0 {
				return KappaResult{}, &InputError{"FleissKappa", "counts", i, fmt.Sprintf("%d in category %d", c, j), "0 or more", "count the raters who chose the category"}
			}
			sum += c
		}
		if len(row) != categories || categories < 2 || sum != raters || raters < 2 {
			return KappaResult{}, &InputError{"FleissKappa", "counts", i, fmt.Sprintf("%d ratings in %d categories", sum, len(row)),
				fmt.Sprintf("%d ratings in %d categories, as for the first subject, at least 2 of either", raters, categories), "leave out subjects that a rater has not rated"}
		}
		for j, c := range row {
			share[j] += float64(c) / (n * m)
		}
	}
	if len(counts) < 2 {
		return KappaResult{}, &InputError{"FleissKappa", "counts", -1, "1 long", "at least 2 subjects", "rate more subjects"}
	}
	if err := checkLevel("FleissKappa", level); err != nil {
		return KappaResult{}, err
	}
	expected, skew := 0.0, 0.0
	for j, s := range share {
		if s > 1-1e-12 {
			return KappaResult{}, &InputError{"FleissKappa", "counts", -1, fmt.Sprintf("in category %d only", j), "ratings that differ", "report the share of agreement instead: there is no kappa"}
		}
		expected += s * s
		skew += s * (1 - s) * (1 - 2*s)
	}
	agreement := make([]float64, len(counts)) // of each subject
	chance := make([]float64, len(counts))    // mean share of the categories it was given
	observed := 0.0
	for i, row := range counts {
		for j, c := range row {
			agreement[i] += float64(c*(c-1)) / (m * (m - 1))
			chance[i] += share[j] * float64(c) / m
		}
		observed += agreement[i] / n
	}
	kappa := (observed - expected) / (1 - expected)
	sum := 0.0
	for i := range counts {
		own := (agreement[i]-expected)/(1-expected) - 2*(1-kappa)*(chance[i]-expected)/(1-expected)
		sum += square(own - kappa)
	}
	r := KappaResult{Method: "Fleiss", Kappa: kappa, Observed: observed, Expected: expected,
		SE: math.Sqrt(sum / (n * (n - 1))), Level: level, N: len(counts), Raters: raters, Categories: categories}
	half := studentQuantile(level, n-1) * r.SE
	r.Low, r.High = math.Max(-1, kappa-half), math.Min(1, kappa+half)
	null := 2 / (n * m * (m - 1)) * (1 - skew/square(1-expected))
	r.Z, r.P = wald(kappa, math.Sqrt(math.Max(0, null)))
	return r, nil
}
