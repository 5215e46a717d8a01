package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Correction names a correction for having done many tests.
type Correction string

const (
	Bonferroni Correction = "bonferroni" // family-wise error, any dependence: p m
	Holm       Correction = "holm"       // family-wise error, any dependence, never weaker than Bonferroni
	BH         Correction = "BH"         // false discovery rate, independent or positively dependent tests
	BY         Correction = "BY"         // false discovery rate, any dependence
)

// Adjust gives adjusted p values in the order of p: a test is called at family-wise
// error or false discovery rate alpha when its adjusted value is at most alpha. With m
// tests and ranks i from the smallest p:
//
//	Bonferroni  min(1, m p)
//	Holm        largest of (m-j+1) p_j over j <= i, cut to 1
//	BH          smallest of m p_j / j over j >= i
//	BY          smallest of c m p_j / j over j >= i, cut to 1; c = 1 + 1/2 + ... + 1/m
//
// Tied p values get the same answer. A test that could not be done is no p value of 1:
// leave it out before.
//
// In R: p.adjust(p, method).
//
// Errors: *InputError for no p values, NaN or values outside 0..1, an unknown correction.
//
// Holm S. Scandinavian Journal of Statistics 1979;6:65-70; Benjamini Y, Hochberg Y. JRSS B
// 1995;57:289-300. doi:10.1111/j.2517-6161.1995.tb02031.x; Benjamini Y, Yekutieli D. Annals of
// Statistics 2001;29:1165-1188. doi:10.1214/aos/1013699998
func Adjust(p []float64, correction Correction) ([]float64, error) {
	if err := checkPValues("Adjust", p); err != nil {
		return nil, err
	}
	order := ascending(p)
	m := float64(len(p))
	out := make([]float64, len(p))
	switch correction {
	case Bonferroni:
		for i, v := range p {
			out[i] = math.Min(1, m*v)
		}
	case Holm:
		highest := 0.0
		for rank, i := range order {
			highest = math.Max(highest, (m-float64(rank))*p[i])
			out[i] = math.Min(1, highest)
		}
	case BH, BY:
		scale := 1.0
		if correction == BY {
			scale = 0
			for i := range p {
				scale += 1 / float64(i+1)
			}
		}
		stepUp(p, order, scale, out)
	default:
		return nil, &InputError{"Adjust", "correction", -1, fmt.Sprintf("%q", string(correction)), "bonferroni, holm, BH, BY", "use one of the constants"}
	}
	return out, nil
}

// stepUp fills out with the smallest of scale m p/rank over the ranks from each p on.
func stepUp(p []float64, order []int, scale float64, out []float64) {
	lowest := 1.0
	for rank, i := range slices.Backward(order) {
		lowest = math.Min(lowest, scale*float64(len(p))/float64(rank+1)*p[i])
		out[i] = lowest
	}
}

func ascending(x []float64) []int {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	return order
}

func checkPValues(function string, p []float64) error {
	if len(p) == 0 {
		return &InputError{function, "p", -1, "empty", "at least one p value", "check the filter that selected the tests"}
	}
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			return &InputError{function, "p", i, fmt.Sprint(v), "a number from 0 to 1", "leave out tests that gave no p value and say how many"}
		}
	}
	return nil
}

// PiZeroMethod says how [QValues] estimates the share of true null hypotheses.
type PiZeroMethod string

const (
	// SmoothedPiZero smooths the estimates over lambda by a cubic spline of three
	// degrees of freedom and takes its value at the largest lambda: qvalue's default.
	SmoothedPiZero PiZeroMethod = "smoother"
	// BootstrapPiZero takes the lambda of the smallest estimated mean squared error.
	BootstrapPiZero PiZeroMethod = "bootstrap"
)

// QValueResult holds Storey's q values.
type QValueResult struct {
	Q      []float64 // in the order of p
	PiZero float64   // estimated share of true null hypotheses, above 0, at most 1
	Method PiZeroMethod
	Lambda []float64 // 0.05, 0.10, ..., 0.95
	At     []float64 // estimate at each lambda: #{p >= lambda} / (m (1-lambda))
}

// QValues gives Storey's q values: the false discovery rate among all tests with a p
// value at most as large, PiZero times the adjusted value of [BH]. PiZero is estimated
// from the p values above lambda, of which nearly all should belong to true null
// hypotheses.
//
// In R: qvalue::qvalue(p, pi0.method). Bootstrap equals it to rounding. The smoother
// solves for the penalty that has exactly three degrees of freedom, which R's
// smooth.spline only approaches: PiZero agrees to about 1e-4.
//
// Errors: *InputError as for [Adjust], an unknown method, and an estimate that is not
// above 0 (hardly a p value above the largest lambda: p values of few or dependent
// tests, or not p values at all).
//
// Storey JD, Tibshirani R. PNAS 2003;100:9440-9445. doi:10.1073/pnas.1530509100; Storey JD,
// Taylor JE, Siegmund D. JRSS B 2004;66:187-205. doi:10.1111/j.1467-9868.2004.00439.x
func QValues(p []float64, method PiZeroMethod) (QValueResult, error) {
	if err := checkPValues("QValues", p); err != nil {
		return QValueResult{}, err
	}
	r := QValueResult{Method: method, Q: make([]float64, len(p))}
	m := float64(len(p))
	above := make([]float64, 0, 19)
	for i := range 19 {
		// R's seq(0.05, 0.95, 0.05), to the last bit: the conversion forbids a fused sum.
		lambda := 0.05 + float64(float64(i)*0.05)
		count := 0.0
		for _, v := range p {
			if v >= lambda {
				count++
			}
		}
		r.Lambda, r.At, above = append(r.Lambda, lambda), append(r.At, count/m/(1-lambda)), append(above, count)
	}
	switch method {
	case SmoothedPiZero:
		r.PiZero = smoothedEnd(r.At, 3)
	case BootstrapPiZero:
		sorted := slices.Clone(r.At)
		slices.Sort(sorted)
		least := quantile(sorted, 0.1)
		best := math.Inf(1)
		for i, lambda := range r.Lambda {
			mse := above[i]/(m*m*square(1-lambda))*(1-above[i]/m) + square(r.At[i]-least)
			if mse < best || mse == best && r.At[i] < r.PiZero {
				best, r.PiZero = mse, r.At[i]
			}
		}
	default:
		return QValueResult{}, &InputError{"QValues", "method", -1, fmt.Sprintf("%q", string(method)), "smoother, bootstrap", "use SmoothedPiZero for qvalue's default"}
	}
	r.PiZero = math.Min(1, r.PiZero)
	if !(r.PiZero > 0) {
		return QValueResult{}, &InputError{"QValues", "p", -1, fmt.Sprintf("of an estimated share %.3g of true null hypotheses", r.PiZero),
			"p values of which some lie near 1", "use Adjust with BH, which takes the share as 1"}
	}
	stepUp(p, ascending(p), 1, r.Q)
	for i := range r.Q {
		r.Q[i] *= r.PiZero
	}
	return r, nil
}

// smoothedEnd is the last value of the cubic smoothing spline of df degrees of freedom
// through y at evenly spaced places. The spline's values are (I + penalty K)^-1 y, K =
// Q R^-1 Q' in Green and Silverman's band matrices for spacing 1.
func smoothedEnd(y []float64, df float64) float64 {
	n := len(y)
	// With g = y - penalty Q c, the curvatures c solve (R + penalty Q'Q) c = Q'y.
	var factor [][]float64
	smooth := func(penalty float64, y []float64) []float64 {
		b := make([]float64, n-2)
		for i := range b {
			b[i] = y[i] - 2*y[i+1] + y[i+2]
		}
		g := slices.Clone(y)
		for i, c := range solve(factor, b) {
			g[i] -= penalty * c
			g[i+1] += 2 * penalty * c
			g[i+2] -= penalty * c
		}
		return g
	}
	freedom := func(penalty float64) float64 {
		factor = newMatrix(n - 2)
		for i := range factor {
			for j, v := range []float64{2.0/3 + 6*penalty, 1.0/6 - 4*penalty, penalty} {
				if i >= j {
					factor[i][i-j] = v
				}
			}
		}
		factorise(factor)
		trace, unit := 0.0, make([]float64, n)
		for i := range unit {
			unit[i] = 1
			trace += smooth(penalty, unit)[i]
			unit[i] = 0
		}
		return trace
	}
	// On a log scale, from nearly n degrees of freedom down to nearly 2.
	low, high := math.Log(1e-6), math.Log(1e6)
	for range 60 {
		if middle := (low + high) / 2; freedom(math.Exp(middle)) > df {
			low = middle
		} else {
			high = middle
		}
	}
	penalty := math.Exp((low + high) / 2)
	freedom(penalty)
	return smooth(penalty, y)[n-1]
}
