package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is an estimate with its confidence interval.
type Interval struct {
	Estimate, Low, High float64
}

// BlandAltmanResult describes the differences first - second of two measurements of
// the same patients, in their unit.
type BlandAltmanResult struct {
	Bias     Interval // mean difference; positive: the first measures higher
	Lower    Interval // limit of agreement Bias - z SD
	Upper    Interval // limit of agreement Bias + z SD
	SD       float64  // standard deviation of the differences
	T, P     float64  // paired t test of a bias of 0, two-sided
	Coverage float64  // share of differences the limits are meant to hold, 0.95
	Level    float64  // confidence level of the three intervals
	N        int
}

// BlandAltman gives the bias of first against second and the limits of agreement
// within which the share coverage of all differences is expected, Bias -+ z SD with z
// the normal quantile (1.96 for 0.95). The differences are taken to be normal and not
// to grow with the size of what is measured: plot them against the means first.
//
// Intervals: Student's t for the bias. For each limit, exactly, by the noncentral t
// distribution with n-1 degrees of freedom and noncentrality z sqrt(n): the ends are
// Bias +- t SD/sqrt(n), t its two quantiles; they are not symmetric round the limit.
// Each limit has its own coverage, level; they are not joint.
//
// Differences that are all the same have SD 0 and intervals of no width; the test is
// then T 0 and P 1 for a bias of 0, NaN for another.
//
// In R: d <- first-second; mean(d)+qt(c(.025,.975), n-1, z*sqrt(n))*sd(d)/sqrt(n);
// t.test(d). From 369 patients on (z sqrt(n) above 37.62, coverage 0.95) R's qt is an
// approximation, off in the fourth digit; here it is not.
//
// Errors: *InputError for fewer than two patients, unequal lengths, NaN or infinities,
// a level or a coverage outside 0..1.
//
// Bland JM, Altman DG. Lancet 1986;327:307-310. doi:10.1016/S0140-6736(86)90837-8;
// Carkeet A. Optometry and Vision Science 2015;92:e71-e80. doi:10.1097/OPX.0000000000000513
func BlandAltman(first, second []float64, coverage, level float64) (BlandAltmanResult, error) {
	if err := checkPaired("BlandAltman", "first", first, "second", second, 2); err != nil {
		return BlandAltmanResult{}, err
	}
	if err := checkLevel("BlandAltman", level); err != nil {
		return BlandAltmanResult{}, err
	}
	if !(coverage > 0 && coverage < 1) {
		return BlandAltmanResult{}, &InputError{"BlandAltman", "coverage", -1, fmt.Sprint(coverage), "a number between 0 and 1, both excluded", "use 0.95 for limits of agreement of 95%"}
	}
	d := make([]float64, len(first))
	for i := range d {
		d[i] = first[i] - second[i]
	}
	n := float64(len(d))
	bias := shiftedMean(d)
	sum := 0.0
	for _, x := range d {
		sum += square(x - bias)
	}
	sd := math.Sqrt(sum / (n - 1))
	se := sd / math.Sqrt(n)
	z := normalQuantile(coverage)
	half := studentQuantile(level, n-1) * se
	near := noncentralQuantile((1-level)/2, n-1, z*math.Sqrt(n)) * se
	far := noncentralQuantile((1+level)/2, n-1, z*math.Sqrt(n)) * se
	r := BlandAltmanResult{
		Bias:  Interval{bias, bias - half, bias + half},
		Lower: Interval{bias - z*sd, bias - far, bias - near},
		Upper: Interval{bias + z*sd, bias + near, bias + far},
		SD:    sd, Coverage: coverage, Level: level, N: len(d),
	}
	r.T, r.P = wald(bias, se)
	if se > 0 {
		r.P = studentTwoSided(r.T, n-1)
	}
	return r, nil
}

// shiftedMean is exact for values that are all the same.
func shiftedMean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v - x[0]
	}
	return x[0] + sum/float64(len(x))
}

// noncentralQuantile inverts the noncentral t distribution by halving. gonum's series
// for it ends at delta 37, 370 patients here.
func noncentralQuantile(p, df, delta float64) float64 {
	const points = 100
	x, w := make([]float64, points), make([]float64, points)
	quad.Legendre{}.FixedLocations(x, w, -1, 1)
	logNorm, _ := math.Lgamma(df / 2)
	logNorm = math.Log(2) + df/2*math.Log(df/2) - logNorm
	// T = (Z + delta)/R, R the root of a chi-square over df: the chance of T <= t is the
	// mean of Phi(t R - delta). Phi rises near R = delta/t, which gets a panel of its own.
	spread := 1 / math.Sqrt(2*df)
	from, to := math.Max(0, 1-9*spread), math.Max(1+9*spread, 12/math.Sqrt(df))
	below := func(t float64) float64 {
		ends := [4]float64{from, from, to, to}
		if t != 0 {
			one, other := (delta-8)/t, (delta+8)/t
			ends[1] = math.Max(from, math.Min(to, math.Min(one, other)))
			ends[2] = math.Max(from, math.Min(to, math.Max(one, other)))
		}
		sum := 0.0
		for i := range 3 {
			half := (ends[i+1] - ends[i]) / 2
			if half <= 0 {
				continue
			}
			for j := range x {
				r := ends[i] + half*(1+x[j])
				density := math.Exp(logNorm + (df-1)*math.Log(r) - df*r*r/2)
				sum += half * w[j] * density * math.Erfc((delta-t*r)/math.Sqrt2) / 2
			}
		}
		return sum
	}
	low, high := delta-1, delta+1
	for below(low) > p {
		low -= 2 * (high - low)
	}
	for below(high) < p {
		high += 2 * (high - low)
	}
	for range 200 {
		middle := low + (high-low)/2
		if middle == low || middle == high {
			break
		}
		if below(middle) < p {
			low = middle
		} else {
			high = middle
		}
	}
	return low + (high-low)/2
}

// ErrorKind says whether differences between raters count as measurement error.
type ErrorKind string

const (
	// AgreementError counts systematic differences between raters as error: for
	// measurements that will be made by different raters.
	AgreementError ErrorKind = "agreement"
	// ConsistencyError leaves them out: for one rater throughout.
	ConsistencyError ErrorKind = "consistency"
)

// MeasurementErrorResult is a standard error of measurement, in the unit of the
// ratings.
type MeasurementErrorResult struct {
	Kind     ErrorKind
	SEM      Interval // standard error of measurement
	SDC      Interval // smallest detectable change of one patient, z sqrt(2) SEM
	DF       int      // degrees of freedom of SEM
	Level    float64
	Subjects int
	Raters   int
}

// MeasurementError gives the standard error of measurement of ratings[subject][rater]
// and the smallest change between two measurements of one patient that exceeds it
// with confidence level, SDC = z sqrt(2) SEM (1.96 sqrt(2) SEM at 0.95).
//
// ConsistencyError: SEM is the root of the residual mean square of the two-way
// analysis, DF (n-1)(k-1). AgreementError: SEM is the root of the mean square within
// subjects, DF n(k-1), which equals residual plus rater variance, E + (R-E)/n in the
// mean squares of [ICC]. Intervals: SEM sqrt(DF/chi-square quantile), exact for normal
// errors (for AgreementError, if raters differ as in the one-way model).
//
// In R: sqrt of the mean squares of aov(score ~ subject + rater) and
// aov(score ~ subject); intervals by qchisq.
//
// Errors: *InputError as for [ICC], and for an unknown kind.
//
// de Vet HCW et al. Journal of Clinical Epidemiology 2006;59:1033-1039.
// doi:10.1016/j.jclinepi.2005.10.015
func MeasurementError(kind ErrorKind, ratings [][]float64, level float64) (MeasurementErrorResult, error) {
	if kind != AgreementError && kind != ConsistencyError {
		return MeasurementErrorResult{}, &InputError{"MeasurementError", "kind", -1, fmt.Sprintf("%q", string(kind)), "agreement, consistency", "use AgreementError where several raters will measure"}
	}
	v, err := newTwoWay("MeasurementError", ratings)
	if err != nil {
		return MeasurementErrorResult{}, err
	}
	if err := checkLevel("MeasurementError", level); err != nil {
		return MeasurementErrorResult{}, err
	}
	r := MeasurementErrorResult{Kind: kind, Level: level, Subjects: v.n, Raters: v.k}
	variance := v.within
	r.DF = v.n * (v.k - 1)
	if kind == ConsistencyError {
		variance, r.DF = v.residual, (v.n-1)*(v.k-1)
	}
	df := float64(r.DF)
	chi := distuv.ChiSquared{K: df}
	r.SEM = Interval{math.Sqrt(variance),
		math.Sqrt(variance * df / chi.Quantile(0.5+level/2)), math.Sqrt(variance * df / chi.Quantile(0.5-level/2))}
	scale := normalQuantile(level) * math.Sqrt2
	r.SDC = Interval{scale * r.SEM.Estimate, scale * r.SEM.Low, scale * r.SEM.High}
	return r, nil
}

// LinResult is Lin's concordance correlation of two measurements and its two parts.
type LinResult struct {
	CCC           Interval // Precision times Accuracy
	SE            float64  // of CCC, before the z transformation
	Precision     float64  // Pearson's correlation
	Accuracy      float64  // bias correction factor C_b, 0..1
	ScaleShift    float64  // standard deviation of second over first
	LocationShift float64  // (mean second - mean first) / root of the product of the SDs
	Level         float64
	N             int
}

// LinCCC gives Lin's concordance correlation coefficient: how close the pairs lie to
// the line of identity,
//
//	2 s_xy / (s_x^2 + s_y^2 + (mean x - mean y)^2), variances with divisor n.
//
// The interval is Lin's, on the scale of Fisher's z, with divisor n-2. It is symmetric
// in its arguments up to ScaleShift and LocationShift. Pairs on the line of identity
// have CCC = Low = High = 1; data without linear relation (Precision 0) have CCC 0
// and no interval (NaN); pairs on another line have an interval of the formula.
//
// In R: epiR::epi.ccc(first, second, ci="z-transform").
//
// Errors: *InputError for fewer than three patients, unequal lengths, NaN or
// infinities, a measurement that is the same for everybody, a level outside 0..1.
//
// Lin LI. Biometrics 1989;45:255-268. doi:10.2307/2532051; correction 2000;56:324-325.
// doi:10.1111/j.0006-341X.2000.00324.x
func LinCCC(first, second []float64, level float64) (LinResult, error) {
	m, err := newPairMoments("LinCCC", "first", first, "second", second, 3)
	if err != nil {
		return LinResult{}, err
	}
	if err := checkLevel("LinCCC", level); err != nil {
		return LinResult{}, err
	}
	n := float64(len(first))
	sx, sy, shift := math.Sqrt(m.xx/n), math.Sqrt(m.yy/n), m.meanY-m.meanX
	c := 2 * m.xy / n / (sx*sx + sy*sy + shift*shift)
	rho := m.correlation()
	u := shift / math.Sqrt(sx*sy)
	r := LinResult{CCC: Interval{Estimate: c}, Precision: rho, ScaleShift: sy / sx, LocationShift: u, Level: level, N: len(first)}
	r.Accuracy = 2 / (r.ScaleShift + 1/r.ScaleShift + u*u)
	if m.identical {
		r.CCC = Interval{1, 1, 1}
		return r, nil
	}
	r2 := rho * rho
	r.SE = math.Sqrt(((1-r2)*c*c*(1-c*c)/r2 + 2*c*c*c*(1-c)*u*u/rho - c*c*c*c*u*u*u*u/(2*r2)) / (n - 2))
	half := normalQuantile(level) * r.SE / (1 - c*c)
	r.CCC.Low, r.CCC.High = math.Tanh(math.Atanh(c)-half), math.Tanh(math.Atanh(c)+half)
	return r, nil
}
