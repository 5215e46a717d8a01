package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// ICCForm names one of the six intraclass correlations of Shrout and Fleiss. They
// answer different questions and can lie far apart: a result is always given with
// the name of its form.
type ICCForm string

// The first digit is the model, the second what is rated: 1 a single rating, k the
// mean of all k. McGraw and Wong's names are given by [ICCForm.McGrawWong].
const (
	ICC11 ICCForm = "ICC(1,1)" // every subject rated by other raters: one-way random
	ICC21 ICCForm = "ICC(2,1)" // the same raters for all; absolute AGREEMENT: a shift between raters lowers it
	ICC31 ICCForm = "ICC(3,1)" // the same raters for all; CONSISTENCY: a shift between raters does not matter
	ICC1k ICCForm = "ICC(1,k)"
	ICC2k ICCForm = "ICC(2,k)"
	ICC3k ICCForm = "ICC(3,k)"
)

// McGrawWong is the name of the same number in McGraw and Wong's system, which irr
// uses: ICC(1), ICC(A,1), ICC(C,1), ICC(k), ICC(A,k), ICC(C,k). It is empty for an
// unknown form. Whether raters are random (ICC(2,.)) or fixed changes what the number
// means, not the number: McGraw and Wong's A and C forms exist for both.
func (f ICCForm) McGrawWong() string {
	switch f {
	case ICC11:
		return "ICC(1)"
	case ICC21:
		return "ICC(A,1)"
	case ICC31:
		return "ICC(C,1)"
	case ICC1k:
		return "ICC(k)"
	case ICC2k:
		return "ICC(A,k)"
	case ICC3k:
		return "ICC(C,k)"
	}
	return ""
}

// ICCResult is one intraclass correlation and the analysis of variance behind it.
type ICCResult struct {
	Form      ICCForm
	ICC       float64 // at most 1; may be negative; -Inf where an average form has no variance between subjects
	F         float64 // mean square of subjects over the error of the model; +Inf without error
	DF1, DF2  float64
	P         float64 // chance of an F at least this large if the ICC is 0 (one-sided, as the F test is)
	IRRDF2    float64 // denominator that irr::icc takes for F; differs from DF2 for the agreement forms only
	IRRP      float64 // and its p value: the upper tail of F with DF1 and IRRDF2
	Low, High float64 // confidence interval
	Level     float64
	Subjects  int
	Raters    int

	MSSubjects float64 // mean squares: between subjects, DF n-1
	MSWithin   float64 // within subjects, DF n(k-1)
	MSRaters   float64 // between raters, DF k-1
	MSResidual float64 // residual, DF (n-1)(k-1)
}

// ICC gives one form of the intraclass correlation of ratings[subject][rater], n
// subjects by k raters (readers, scans, runs), without gaps. With the mean squares
// S between subjects, W within them, R between raters and E residual:
//
//	ICC(1,1) = (S-W)/(S+(k-1)W)              ICC(1,k) = (S-W)/S
//	ICC(2,1) = (S-E)/(S+(k-1)E+k(R-E)/n)     ICC(2,k) = (S-E)/(S+(R-E)/n)
//	ICC(3,1) = (S-E)/(S+(k-1)E)              ICC(3,k) = (S-E)/S
//
// F is S/W for the first and S/E for the other models. The intervals of models 1 and
// 3 invert F exactly; those of model 2 are McGraw and Wong's, with Satterthwaite's
// degrees of freedom, and for the mean of k raters the single-rater limits put
// through the Spearman-Brown formula. The order of the raters does not matter.
//
// Without any error ICC = Low = High = 1, F = +Inf and P = 0. Subjects that are all
// alike while raters differ by the same shifts everywhere have no F, no P and no
// ICC(3,.): NaN; their ICC(2,.) is 0.
//
// In R: psych::ICC(ratings, lmer=FALSE); irr::icc(ratings, model, type, unit), whose p
// value for the agreement forms is IRRP (older versions double it) and whose interval
// for ICC(A,k) takes the Satterthwaite degrees of freedom at the average-form ICC, so
// that it differs from psych's, which is McGraw and Wong's and the one here.
//
// Errors: *InputError for fewer than two subjects or raters, rows of unequal length,
// NaN or infinities, ratings that are all the same (no ICC exists), an unknown form,
// a level outside 0..1.
//
// Shrout PE, Fleiss JL. Psychological Bulletin 1979;86:420-428. doi:10.1037/0033-2909.86.2.420;
// McGraw KO, Wong SP. Psychological Methods 1996;1:30-46. doi:10.1037/1082-989X.1.1.30
func ICC(form ICCForm, ratings [][]float64, level float64) (ICCResult, error) {
	if form.McGrawWong() == "" {
		return ICCResult{}, &InputError{"ICC", "form", -1, fmt.Sprintf("%q", string(form)),
			"ICC(1,1), ICC(2,1), ICC(3,1), ICC(1,k), ICC(2,k), ICC(3,k)", "use one of the constants ICC11 to ICC3k"}
	}
	v, err := newTwoWay("ICC", ratings)
	if err != nil {
		return ICCResult{}, err
	}
	if err := checkLevel("ICC", level); err != nil {
		return ICCResult{}, err
	}
	if v.subjects == 0 && v.within == 0 {
		return ICCResult{}, &InputError{"ICC", "ratings", -1, "the same everywhere", "ratings that differ", "check that the columns hold the scores"}
	}
	n, k := float64(v.n), float64(v.k)
	r := ICCResult{Form: form, Level: level, Subjects: v.n, Raters: v.k, DF1: n - 1,
		MSSubjects: v.subjects, MSWithin: v.within, MSRaters: v.raters, MSResidual: v.residual}
	mean := form == ICC1k || form == ICC2k || form == ICC3k
	noise := v.residual
	r.DF2 = (n - 1) * (k - 1)
	if form == ICC11 || form == ICC1k {
		noise, r.DF2 = v.within, n*(k-1)
	}
	r.F = v.subjects / noise
	r.P = fUpperTail(r.F, r.DF1, r.DF2)
	r.IRRDF2, r.IRRP = r.DF2, r.P
	if form == ICC21 || form == ICC2k {
		single := (v.subjects - noise) / (v.subjects + (k-1)*noise + k*(v.raters-noise)/n)
		r.ICC = single
		r.Low, r.High = v.agreementLimits(single, v.satterthwaite(single), level)
		if mean {
			r.ICC = (v.subjects - noise) / (v.subjects + (v.raters-noise)/n)
			r.Low, r.High = spearmanBrown(r.Low, k), spearmanBrown(r.High, k)
		}
		// irr puts the ICC of the form asked for into the single-rater formula.
		if r.ICC < 1 {
			r.IRRDF2 = v.satterthwaite(r.ICC)
			r.IRRP = fUpperTail(r.F, r.DF1, r.IRRDF2)
		}
		return r, nil
	}
	// F at the two ends of its interval, turned into an ICC.
	low := r.F / fQuantile(0.5+level/2, r.DF1, r.DF2)
	high := r.F * fQuantile(0.5+level/2, r.DF2, r.DF1)
	r.ICC, r.Low, r.High = fToICC(r.F, k, mean), fToICC(low, k, mean), fToICC(high, k, mean)
	return r, nil
}

// fToICC is (F-1)/(F+k-1) for single and (F-1)/F for averaged ratings.
func fToICC(f, k float64, mean bool) float64 {
	if math.IsInf(f, 1) {
		return 1
	}
	if mean {
		return 1 - 1/f
	}
	return (f - 1) / (f + k - 1)
}

// spearmanBrown is the reliability of the mean of k ratings of reliability r.
func spearmanBrown(r, k float64) float64 { return k * r / (1 + (k-1)*r) }

// satterthwaite is the denominator's degrees of freedom at the given ICC(2,1); its
// fraction is cleared of 1-icc, which is 0 without error.
func (v twoWay) satterthwaite(icc float64) float64 {
	n, k := float64(v.n), float64(v.k)
	a := k * icc * v.raters
	b := (n*(1-icc) + k*icc*(n-1)) * v.residual
	if a == 0 && b == 0 {
		return (n - 1) * (k - 1)
	}
	return square(a+b) / (square(a)/(k-1) + square(b)/((n-1)*(k-1)))
}

func (v twoWay) agreementLimits(icc, df, level float64) (low, high float64) {
	if icc == 1 {
		return 1, 1
	}
	n, k := float64(v.n), float64(v.k)
	noise := k*v.raters + (k*n-k-n)*v.residual
	down, up := fQuantile(0.5+level/2, n-1, df), fQuantile(0.5+level/2, df, n-1)
	low = n * (v.subjects - down*v.residual) / (down*noise + n*v.subjects)
	high = n * (up*v.subjects - v.residual) / (noise + n*up*v.subjects)
	return low, high
}

// twoWay is the analysis of variance of n subjects by k raters: mean squares.
type twoWay struct {
	n, k                               int
	subjects, within, raters, residual float64
}

func newTwoWay(function string, ratings [][]float64) (twoWay, error) {
	n := len(ratings)
	if n == 0 {
		return twoWay{}, empty(function, "ratings")
	}
	k := len(ratings[0])
	for i, row := range ratings {
		if len(row) != k || k < 2 {
			return twoWay{}, &InputError{function, "ratings", i, fmt.Sprintf("%d long", len(row)),
				fmt.Sprintf("one rating per rater, %d, at least 2", max(k, 2)), "leave out subjects that a rater has not rated"}
		}
		for j, x := range row {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return twoWay{}, &InputError{function, "ratings", i, fmt.Sprintf("%v for rater %d", x, j), "a finite number", nextExclude}
			}
		}
	}
	if n < 2 {
		return twoWay{}, &InputError{function, "ratings", -1, "1 long", "at least 2 subjects", "rate more subjects"}
	}
	// Everything is measured from a rating of its own row or column, so that raters
	// who agree to the last bit leave an error of exactly 0.
	row, column := make([]float64, n), make([]float64, k)
	for i, x := range ratings {
		for j := range x {
			row[i] += (x[j] - x[0]) / float64(k)
			column[j] += ((x[j] - x[0]) - (ratings[0][j] - ratings[0][0])) / float64(n)
		}
		row[i] += x[0]
	}
	grand, shift := 0.0, 0.0
	for _, r := range row {
		grand += (r - row[0]) / float64(n)
	}
	grand += row[0]
	for j := range column {
		column[j] += ratings[0][j] - ratings[0][0] // mean difference from the first rater
		shift += column[j] / float64(k)
	}
	v := twoWay{n: n, k: k}
	for i, x := range ratings {
		v.subjects += square(row[i] - grand)
		for j := range x {
			v.within += square(x[j] - row[i])
			v.residual += square((x[j] - row[i]) - (column[j] - shift))
		}
	}
	for j := range column {
		v.raters += square(column[j] - shift)
	}
	v.subjects *= float64(k) / float64(n-1)
	v.raters *= float64(n) / float64(k-1)
	v.within /= float64(n * (k - 1))
	v.residual /= float64((n - 1) * (k - 1))
	return v, nil
}

// fUpperTail is the chance of an F of d1 and d2 degrees of freedom at least as large
// as f. The incomplete beta function is taken from the tail's side to keep its digits.
func fUpperTail(f, d1, d2 float64) float64 {
	switch {
	case math.IsNaN(f):
		return f
	case math.IsInf(f, 1):
		return 0
	}
	return mathext.RegIncBeta(d2/2, d1/2, d2/(d2+d1*f))
}

func fQuantile(p, d1, d2 float64) float64 { return distuv.F{D1: d1, D2: d2}.Quantile(p) }

// studentTwoSided is the chance of a Student t of df degrees of freedom at least as
// far from 0 as t.
func studentTwoSided(t, df float64) float64 {
	if math.IsInf(t, 0) {
		return 0
	}
	return mathext.RegIncBeta(df/2, 0.5, df/(df+t*t))
}

// studentQuantile is t such that a Student t of df degrees of freedom lies within
// +-t with probability level.
func studentQuantile(level, df float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(0.5 + level/2)
}
