package enrichment

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// ModeratedTResult of [ModeratedT].
type ModeratedTResult struct {
	T             []float64 // one per gene; positive: higher in the positive class
	P             []float64 // two-sided
	DF            float64   // degrees of freedom of T
	ResidualDF    float64   // patients less 2
	PriorDF       float64   // what the other genes add; +Inf when all genes share one variance
	PriorVariance float64
	Offset        int // genes without variance within classes, given a very small one
}

// ModeratedT gives each gene a two-sample t statistic whose variance is shrunk
// towards that of all genes (limma's empirical Bayes):
//
//	s2' = (d0 s0^2 + d s^2) / (d0 + d)
//	t   = (mean positive - mean negative) / sqrt(s2' (1/n1 + 1/n2))
//
// with d = n-2 and the prior d0, s0^2 fitted to the logarithms of the genes'
// variances. Expression should be on a logarithmic scale. Variances below 1e-5 of
// the median one are raised to that for the fit of the prior, as limma does; a gene
// that differs between classes but not within is not infinite unless d0 is 0.
//
// In R: limma::eBayes(lmFit(values, model.matrix(~positive))), column 2; no trend,
// not robust.
//
// Errors: *InputError as for [Pearson], for an empty class, fewer than three
// patients, fewer than two genes, and when more than half of the genes do not vary
// within classes.
//
// Smyth GK. Statistical Applications in Genetics and Molecular Biology 2004;3:3. doi:10.2202/1544-6115.1027
func ModeratedT(genes []string, values [][]float64, positive []bool) (*ModeratedTResult, error) {
	const function = "ModeratedT"
	if err := checkClasses(function, positive, 1); err != nil {
		return nil, err
	}
	if len(positive) < 3 {
		return nil, &InputError{function, "positive", -1, nil, fmt.Sprintf("%d long", len(positive)), "three patients or more", "choose a larger cohort"}
	}
	if err := checkExpression(function, genes, values, len(positive)); err != nil {
		return nil, err
	}
	if len(genes) < 2 {
		return nil, &InputError{function, "genes", -1, nil, "1 long", "two genes or more", "use an ordinary t test for one gene"}
	}
	difference, variance := make([]float64, len(genes)), make([]float64, len(genes))
	var n1, n2 float64
	for g, row := range values {
		p, n := classMoments(row, positive)
		n1, n2 = p.n, n.n
		difference[g] = p.mean - n.mean
		variance[g] = (p.squares + n.squares) / (n1 + n2 - 2)
	}
	d := n1 + n2 - 2
	r := &ModeratedTResult{ResidualDF: d, T: make([]float64, len(genes)), P: make([]float64, len(genes))}
	sorted := slices.Clone(variance)
	slices.Sort(sorted)
	median := (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	if median == 0 {
		return nil, &InputError{function, "values", -1, nil, "constant within classes for more than half of the genes", "genes that vary", "leave out genes that do not vary"}
	}
	raised := make([]float64, len(variance))
	for i, v := range variance {
		if v == 0 {
			r.Offset++
		}
		raised[i] = math.Max(v, 1e-5*median)
	}
	r.PriorDF, r.PriorVariance = fitPrior(raised, d)
	r.DF = math.Min(d+r.PriorDF, d*float64(len(genes)))
	for g := range genes {
		v := r.PriorVariance
		if !math.IsInf(r.PriorDF, 1) {
			v = (r.PriorDF*r.PriorVariance + d*variance[g]) / (r.PriorDF + d)
		}
		r.T[g] = difference[g] / math.Sqrt(v*(1/n1+1/n2))
		t2 := r.T[g] * r.T[g]
		r.P[g] = mathext.RegIncBeta(r.DF/2, 0.5, r.DF/(r.DF+t2))
	}
	return r, nil
}

// fitPrior fits a scaled F distribution to variances with d degrees of freedom by
// the mean and variance of their logarithms.
func fitPrior(variance []float64, d float64) (priorDF, priorVariance float64) {
	n := float64(len(variance))
	e := make([]float64, len(variance))
	mean := 0.0
	for i, v := range variance {
		e[i] = math.Log(v) - mathext.Digamma(d/2) + math.Log(d/2)
		mean += e[i] / n
	}
	spread := 0.0
	for _, v := range e {
		spread += (v - mean) * (v - mean)
	}
	excess := spread/(n-1) - trigamma(d/2)
	if excess <= 0 {
		return math.Inf(1), sumOf(variance) / n
	}
	priorDF = 2 * trigammaInverse(excess)
	return priorDF, math.Exp(mean + mathext.Digamma(priorDF/2) - math.Log(priorDF/2))
}

func trigamma(x float64) float64 { return mathext.Zeta(2, x) }

// trigammaInverse solves trigamma(y) = x > 0 by Newton's method on 1/trigamma, which
// is convex and nearly linear: it converges from below without overshooting.
func trigammaInverse(x float64) float64 {
	switch {
	case x > 1e7:
		return 1 / math.Sqrt(x)
	case x < 1e-6:
		return 1 / x
	}
	y := 0.5 + 1/x
	for range 50 {
		t := trigamma(y)
		step := t * (1 - t/x) / (-2 * mathext.Zeta(3, y))
		y += step
		if -step/y < 1e-8 {
			break
		}
	}
	return y
}
