package stats

import (
	"fmt"
	"math"
)

// CoxTerm is one covariate of a proportional hazards model.
type CoxTerm struct {
	Coef      float64 // log hazard ratio per unit of the covariate
	SE        float64 // its standard error: from the information at the maximum, or robust
	HR        float64 // exp(Coef): above 1 = more deaths with a higher value
	Low, High float64 // exp(Coef -+ z SE), confidence interval of HR
	Z         float64 // Coef / SE
	P         float64 // two-sided
	ModelSE   float64 // from the information, whether robust or not
}

// CoxResult is a fitted proportional hazards model. Its methods give residuals, the
// test of proportional hazards, the baseline and predictions; they need a value that
// [Cox] returned, not one read back from a file.
type CoxResult struct {
	Terms           []CoxTerm   // in the order of the columns of x
	Covariance      [][]float64 // of the coefficients; robust if asked for
	ModelCovariance [][]float64 // the inverse of the information
	LogLikelihood   float64     // partial, at the maximum
	NullLikelihood  float64     // log partial likelihood with all coefficients zero
	LikelihoodRatio ChiSquareTest
	Wald            ChiSquareTest  // with Covariance; NaN where that is singular (fewer clusters than covariates)
	Score           ChiSquareTest  // with one 0/1 covariate and no ties, the log-rank test
	RobustScore     *ChiSquareTest // with the sandwich variance at zero; nil unless robust or where that is singular
	Ties            Ties
	Strata          int     // strata with patients; 1 when not stratified
	Robust          bool    // sandwich variance
	Clusters        int     // independent units of the sandwich variance; N unless clustered
	Level           float64 // of the intervals
	N               int
	Events          int
	Iterations      int // Newton steps taken

	fitted *coxFit
}

// ConvergenceError says that a fit has no answer: the likelihood has no maximum
// or could not be climbed.
type ConvergenceError struct {
	Function   string
	Iterations int
	Column     int // covariate that moved most in the last step
	Reason     string
	Next       string
}

func (e *ConvergenceError) Error() string {
	return fmt.Sprintf("stats.%s: no maximum after %d steps: %s (column %d); %s", e.Function, e.Iterations, e.Reason, e.Column, e.Next)
}

// Ties is how deaths at the same time enter the partial likelihood.
type Ties string

// Efron's approximation is closer to the exact likelihood and R's default; Breslow's
// is what SAS, Stata and scikit-survival do unless told otherwise.
const (
	Efron   Ties = "efron"
	Breslow Ties = "breslow"
)

// CoxOption changes what [Cox] does.
type CoxOption func(*coxOptions)

type coxOptions struct {
	ties       Ties
	strata     []int
	stratified bool
	robust     bool
	cluster    []int
	clustered  bool
}

// CoxTies chooses between [Efron] (the default) and [Breslow]. In R: coxph(ties=).
func CoxTies(ties Ties) CoxOption { return func(o *coxOptions) { o.ties = ties } }

// CoxStrata gives every stratum (one label per patient) a baseline hazard of its own;
// the coefficients are shared. In R: coxph(... + strata(s)).
func CoxStrata(strata []int) CoxOption {
	return func(o *coxOptions) { o.strata, o.stratified = strata, true }
}

// CoxRobust takes the standard errors from the sandwich estimate (Lin and Wei) instead
// of the information, so that they hold when hazards are not proportional. In R:
// coxph(robust=TRUE).
//
// Lin DY, Wei LJ. JASA 1989;84:1074-1078. doi:10.1080/01621459.1989.10478874
func CoxRobust() CoxOption { return func(o *coxOptions) { o.robust = true } }

// CoxCluster is [CoxRobust] for rows that belong together, such as two tumours of one
// patient: one label per row; rows of one label count as one. In R: coxph(cluster=id).
func CoxCluster(cluster []int) CoxOption {
	return func(o *coxOptions) { o.cluster, o.clustered, o.robust = cluster, true, true }
}

// Cox fits a proportional hazards model, hazard(t|x) = h0(t) exp(coef . x), by
// Newton's method on the partial likelihood, with Efron's approximation for deaths
// at the same time unless [CoxTies] says otherwise. x[i] holds the covariates of
// patient i; all rows are equally long. A positive coefficient means that higher
// values die earlier. The tests are of all coefficients together being zero.
//
// In R: coxph(Surv(time, event) ~ x, ties="efron").
//
// Errors: *InputError for empty input, unequal lengths or rows, unusable values,
// everybody censored, a level outside 0..1, and a column that is constant among
// those at risk or a combination of the columns before it (Index is the column; R
// reports NA for it); *ConvergenceError where the likelihood has no maximum, as when
// a covariate separates the deaths from the survivors (R warns that the coefficient
// may be infinite).
//
// Cox DR. JRSS B 1972;34:187-220. doi:10.1111/j.2517-6161.1972.tb00899.x; Efron B.
// JASA 1977;72:557-565. doi:10.1080/01621459.1977.10480613; Breslow N. Biometrics
// 1974;30:89-99. doi:10.2307/2529620
func Cox(time []float64, event []bool, x [][]float64, level float64, options ...CoxOption) (CoxResult, error) {
	o := coxOptions{ties: Efron}
	for _, option := range options {
		option(&o)
	}
	c, err := newCoxData(time, event, x, o)
	if err != nil {
		return CoxResult{}, err
	}
	if err := checkLevel("Cox", level); err != nil {
		return CoxResult{}, err
	}
	p := c.columns
	r := CoxResult{Ties: o.ties, Strata: c.strataCount(), Robust: o.robust, Level: level, N: len(c.time), Events: c.events}
	beta := make([]float64, p)
	now, other := c.newState(), c.newState()
	c.at(now, beta)
	information := c.information(now, nil)
	if singular := c.factorise(information); singular >= 0 {
		return CoxResult{}, c.collinear(singular)
	}
	r.NullLikelihood = now.logLikelihood
	r.Score = newChiSquareTest(quadraticForm(information, now.gradient), p)
	if o.robust {
		var members []int
		members, r.Clusters = c.clusters(o)
		r.RobustScore = c.robustScore(now, members, r.Clusters)
	}
	for {
		step := solve(information, now.gradient)
		column, size := 0, 0.0
		for j, d := range step {
			if math.Abs(d) > size {
				column, size = j, math.Abs(d)
			}
		}
		// Newton doubles the digits each time: the step after this one is nothing.
		done := size < 1e-8
		if r.Iterations == 50 {
			return CoxResult{}, &ConvergenceError{"Cox", r.Iterations, column, "the coefficient keeps growing",
				"remove the covariate or join categories: it may separate the deaths from the survivors"}
		}
		r.Iterations++
		// Halve a step that goes downhill by more than rounding.
		floor := now.logLikelihood - 1e-13*math.Abs(now.logLikelihood)
		for halvings := 0; ; halvings++ {
			next := make([]float64, p)
			for j := range next {
				next[j] = beta[j] + step[j]
			}
			c.at(other, next)
			if other.logLikelihood >= floor {
				beta = next
				now, other = other, now
				break
			}
			if halvings == 30 {
				return CoxResult{}, &ConvergenceError{"Cox", r.Iterations, column, "no step along the gradient raises the likelihood", "rescale the covariates"}
			}
			for j := range step {
				step[j] /= 2
			}
		}
		information = c.information(now, nil)
		if singular := c.factorise(information); singular >= 0 {
			return CoxResult{}, &ConvergenceError{"Cox", r.Iterations, singular, "the information vanished while the coefficient grew",
				"remove the covariate or join categories: it may separate the deaths from the survivors"}
		}
		if done {
			break
		}
	}
	r.LogLikelihood = now.logLikelihood
	r.LikelihoodRatio = newChiSquareTest(math.Max(0, 2*(r.LogLikelihood-r.NullLikelihood)), p)
	// In units of the scaled covariates until the end.
	model := invert(information)
	covariance := model
	if o.robust {
		members, count := c.clusters(o)
		covariance = c.sandwich(now, model, members, count)
		factor := newMatrix(p)
		for i := range factor {
			copy(factor[i], covariance[i])
		}
		r.Wald = ChiSquareTest{math.NaN(), p, math.NaN()}
		if factorise(factor) < 0 {
			r.Wald = newChiSquareTest(quadraticForm(factor, beta), p)
		}
	} else {
		r.Clusters = r.N
		wald := 0.0 // beta' I beta = |L' beta|^2
		for j := range p {
			sum := 0.0
			for i := j; i < p; i++ {
				sum += information[i][j] * beta[i]
			}
			wald += sum * sum
		}
		r.Wald = newChiSquareTest(wald, p)
	}
	r.fitted = &coxFit{data: c, state: now, beta: beta, model: model, covariance: covariance}
	r.Covariance, r.ModelCovariance = c.unscaled(covariance), c.unscaled(model)
	z := normalQuantile(level)
	for j, scaled := range beta {
		b, se := scaled/c.scale[j], math.Sqrt(r.Covariance[j][j])
		r.Terms = append(r.Terms, CoxTerm{
			Coef: b, SE: se, HR: math.Exp(b), Low: math.Exp(b - z*se), High: math.Exp(b + z*se), Z: b / se, P: twoSided(b / se),
			ModelSE: math.Sqrt(r.ModelCovariance[j][j]),
		})
	}
	return r, nil
}

// coxFit is what the methods of a CoxResult need of the fit, in units of the scaled
// covariates.
type coxFit struct {
	data              coxData
	state             *coxState
	beta              []float64
	model, covariance [][]float64
}

// clusters numbers the independent units, per row of the sorted data.
func (c coxData) clusters(o coxOptions) (members []int, count int) {
	if !o.clustered {
		members = make([]int, len(c.time))
		for i := range members {
			members[i] = i
		}
		return members, len(members)
	}
	labels, member := labelled(o.cluster)
	return pick(member, c.index), len(labels)
}

// scoreResiduals is the share of each row (of the sorted data) in the gradient, `columns`
// wide: with M the martingale of the patient, the integral of (x - mean of x at risk) dM.
func (c coxData) scoreResiduals(s *coxState) []float64 {
	p := c.columns
	residuals := make([]float64, len(c.x))
	hazard, sum := 0.0, make([]float64, p) // of h and of h mean, from the first time on
	dyingHazard, dyingSum, mean := 0.0, make([]float64, p), make([]float64, p)
	// From the last tie to the first is from the latest time to the earliest.
	for g := len(c.ties) - 1; g >= 0; g-- {
		t := c.ties[g]
		if g == len(c.ties)-1 || c.ties[g+1].first {
			hazard = 0
			clear(sum)
		}
		dyingHazard = hazard
		copy(dyingSum, sum)
		clear(mean)
		terms := 0.0
		for k := s.from[g]; k < s.from[g+1]; k++ {
			term, m := s.terms[k], s.means[k*p:(k+1)*p]
			h := term.times * term.inverse
			hazard += h
			dyingHazard += h * (1 - term.fraction)
			terms += term.times
			for j, v := range m {
				sum[j] += h * v
				dyingSum[j] += h * (1 - term.fraction) * v
				mean[j] += term.times * v
			}
		}
		for i := t.start; i < t.end; i++ {
			x, out, w := c.x[i*p:(i+1)*p], residuals[i*p:(i+1)*p], s.weight[i]
			if i < t.deathEnd {
				for j, v := range x {
					out[j] = v - mean[j]/terms - w*(v*dyingHazard-dyingSum[j])
				}
				continue
			}
			for j, v := range x {
				out[j] = -w * (v*hazard - sum[j])
			}
		}
	}
	return residuals
}

// clusterSums adds the rows of each cluster.
func clusterSums(rows []float64, p int, members []int, count int) []float64 {
	sums := make([]float64, count*p)
	for i, m := range members {
		for j, v := range rows[i*p : (i+1)*p] {
			sums[m*p+j] += v
		}
	}
	return sums
}

// sandwich is D'D, D the effect of each cluster on the coefficients (dfbeta).
func (c coxData) sandwich(s *coxState, model [][]float64, members []int, count int) [][]float64 {
	p := c.columns
	sums := clusterSums(c.scoreResiduals(s), p, members, count)
	update := newRankUpdate(p)
	effect := make([]float64, p)
	for m := range count {
		row := sums[m*p : (m+1)*p]
		for j := range effect {
			effect[j] = 0
			for k, v := range row {
				effect[j] += v * model[k][j]
			}
		}
		update.add(effect, 1)
	}
	return mirrored(update.matrix())
}

// robustScore is the score test at zero with the variance between clusters.
func (c coxData) robustScore(null *coxState, members []int, count int) *ChiSquareTest {
	p := c.columns
	sums := clusterSums(c.scoreResiduals(null), p, members, count)
	update, total := newRankUpdate(p), make([]float64, p)
	for m := range count {
		row := sums[m*p : (m+1)*p]
		update.add(row, 1)
		for j, v := range row {
			total[j] += v
		}
	}
	variance := update.matrix()
	if factorise(variance) >= 0 {
		return nil
	}
	test := newChiSquareTest(quadraticForm(variance, total), p)
	return &test
}

// unscaled turns a covariance of scaled coefficients into the caller's units.
func (c coxData) unscaled(covariance [][]float64) [][]float64 {
	out := newMatrix(c.columns)
	for i := range out {
		for j := range out {
			out[i][j] = covariance[i][j] / (c.scale[i] * c.scale[j])
		}
	}
	return out
}
