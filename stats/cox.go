package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// CoxTerm is one covariate of a proportional hazards model.
type CoxTerm struct {
	Coef      float64 // log hazard ratio per unit of the covariate
	SE        float64 // its standard error, from the information at the maximum
	HR        float64 // exp(Coef): above 1 = more deaths with a higher value
	Low, High float64 // exp(Coef -+ z SE), confidence interval of HR
	Z         float64 // Coef / SE
	P         float64 // two-sided
}

// CoxResult is a fitted proportional hazards model.
type CoxResult struct {
	Terms           []CoxTerm   // in the order of the columns of x
	Covariance      [][]float64 // of the coefficients
	LogLikelihood   float64     // partial, at the maximum
	NullLikelihood  float64     // log partial likelihood with all coefficients zero
	LikelihoodRatio ChiSquareTest
	Wald            ChiSquareTest
	Score           ChiSquareTest // with one 0/1 covariate and no ties, the log-rank test
	Level           float64       // of the intervals
	N               int
	Events          int
	Iterations      int // Newton steps taken
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

// Cox fits a proportional hazards model, hazard(t|x) = h0(t) exp(coef . x), by
// Newton's method on the partial likelihood with Efron's approximation for deaths
// at the same time. x[i] holds the covariates of patient i; all rows are equally
// long. A positive coefficient means that higher values die earlier. The three
// tests are of all coefficients together being zero.
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
// JASA 1977;72:557-565. doi:10.1080/01621459.1977.10480613
func Cox(time []float64, event []bool, x [][]float64, level float64) (CoxResult, error) {
	c, err := newCoxData(time, event, x)
	if err != nil {
		return CoxResult{}, err
	}
	if err := checkLevel("Cox", level); err != nil {
		return CoxResult{}, err
	}
	p := c.columns
	beta := make([]float64, p)
	now := c.at(beta)
	if singular := c.factorise(now.information); singular >= 0 {
		return CoxResult{}, c.collinear(singular)
	}
	r := CoxResult{
		NullLikelihood: now.logLikelihood, Score: newChiSquareTest(quadraticForm(now.information, now.gradient), p),
		Level: level, N: len(c.time), Events: c.events,
	}
	for {
		step := solve(now.information, now.gradient)
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
			candidate := c.at(next)
			if candidate.logLikelihood >= floor {
				beta, now = next, candidate
				break
			}
			if halvings == 30 {
				return CoxResult{}, &ConvergenceError{"Cox", r.Iterations, column, "no step along the gradient raises the likelihood", "rescale the covariates"}
			}
			for j := range step {
				step[j] /= 2
			}
		}
		if singular := c.factorise(now.information); singular >= 0 {
			return CoxResult{}, &ConvergenceError{"Cox", r.Iterations, singular, "the information vanished while the coefficient grew",
				"remove the covariate or join categories: it may separate the deaths from the survivors"}
		}
		if done {
			break
		}
	}
	r.LogLikelihood = now.logLikelihood
	r.Covariance = invert(now.information)
	r.LikelihoodRatio = newChiSquareTest(math.Max(0, 2*(r.LogLikelihood-r.NullLikelihood)), p)
	wald := 0.0 // beta' I beta = |L' beta|^2
	for j := range p {
		sum := 0.0
		for i := j; i < p; i++ {
			sum += now.information[i][j] * beta[i]
		}
		wald += sum * sum
	}
	r.Wald = newChiSquareTest(wald, p)
	z := normalQuantile(level)
	for j := range beta {
		for i := range beta {
			r.Covariance[i][j] /= c.scale[i] * c.scale[j]
		}
	}
	for j, scaled := range beta {
		b, se := scaled/c.scale[j], math.Sqrt(r.Covariance[j][j])
		r.Terms = append(r.Terms, CoxTerm{
			Coef: b, SE: se, HR: math.Exp(b), Low: math.Exp(b - z*se), High: math.Exp(b + z*se), Z: b / se, P: twoSided(b / se),
		})
	}
	return r, nil
}

// coxData are the patients from the last time to the first. The covariates are
// centred and divided by their standard deviation, so that neither exp() nor the
// tolerances depend on their units.
type coxData struct {
	time    []float64
	event   []bool
	x       []float64 // row by row, `columns` wide
	scale   []float64 // standard deviation of each column before
	columns int
	events  int
}

func newCoxData(time []float64, event []bool, x [][]float64) (coxData, error) {
	var c coxData
	if err := checkSurvival("Cox", time, event); err != nil {
		return c, err
	}
	n := len(time)
	if len(x) != n {
		return c, wrongLength("Cox", "x", len(x), n)
	}
	c.columns = len(x[0])
	if c.columns == 0 {
		return c, &InputError{"Cox", "x", 0, "empty", "at least one covariate", "use KaplanMeier for a curve without covariates"}
	}
	for i, row := range x {
		if len(row) != c.columns {
			return c, &InputError{"Cox", "x", i, fmt.Sprintf("%d long", len(row)), fmt.Sprintf("%d covariates, as in row 0", c.columns), nextAlign}
		}
		for j, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return c, &InputError{"Cox", "x", i, fmt.Sprintf("%v in column %d", v, j), "a finite number", nextExclude}
			}
		}
	}
	if err := checkSomeEvent("Cox", event); err != nil {
		return c, err
	}
	mean := make([]float64, c.columns)
	c.scale = make([]float64, c.columns)
	for j := range c.columns {
		constant := true
		for _, row := range x {
			mean[j] += row[j] / float64(n)
			constant = constant && row[j] == x[0][j]
		}
		for _, row := range x {
			c.scale[j] += square(row[j]-mean[j]) / float64(n)
		}
		c.scale[j] = math.Sqrt(c.scale[j])
		if constant || c.scale[j] == 0 {
			return c, c.collinear(j)
		}
	}
	order := ranked(time)
	slices.SortFunc(order, func(a, b valueIndex) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.index, b.index))
	})
	for _, o := range order {
		c.time = append(c.time, o.value)
		c.event = append(c.event, event[o.index])
		if event[o.index] {
			c.events++
		}
		for j, v := range x[o.index] {
			c.x = append(c.x, (v-mean[j])/c.scale[j])
		}
	}
	return c, nil
}

func (c coxData) collinear(column int) error {
	return &InputError{"Cox", "x", column, "a column that is constant among those at risk or a combination of the columns before it",
		"columns that each say something new", "remove column " + fmt.Sprint(column)}
}

// factorise is the Cholesky factor of an information matrix, or the column about
// which it holds none: the columns have variance 1, so that an event that tells
// anything about one adds about 1 to the diagonal.
func (c coxData) factorise(information [][]float64) int {
	for j := range information {
		if !(information[j][j] > 1e-10*float64(c.events)) {
			return j
		}
	}
	return factorise(information)
}

// coxFit is the log partial likelihood with its gradient and information (the
// negative second derivative; lower triangle only).
type coxFit struct {
	logLikelihood float64
	gradient      []float64
	information   [][]float64
}

// moments are sums over patients of w, w x and the lower triangle of w x x'.
type moments struct {
	w   float64
	wx  []float64
	wxx []float64
}

func newMoments(p int) moments {
	return moments{wx: make([]float64, p), wxx: make([]float64, p*(p+1)/2)}
}

func (m *moments) add(w float64, x []float64) {
	m.w += w
	k := 0
	for i, xi := range x {
		wx := w * xi
		m.wx[i] += wx
		row := m.wxx[k : k+i+1]
		for j := range row {
			row[j] += wx * x[j]
		}
		k += i + 1
	}
}

func (m *moments) reset() {
	m.w = 0
	clear(m.wx)
	clear(m.wxx)
}

// at evaluates the model at beta in one sweep from the last time to the first, as
// patients join the risk set. Among d deaths at one time Efron's k-th term takes k/d
// of the dying out of the risk set.
func (c coxData) at(beta []float64) coxFit {
	p := c.columns
	fit := coxFit{gradient: make([]float64, p), information: newMatrix(p)}
	risk, dying := newMoments(p), newMoments(p)
	for start := 0; start < len(c.time); {
		end := start
		dying.reset()
		deaths := 0
		for ; end < len(c.time) && c.time[end] == c.time[start]; end++ {
			x := c.x[end*p : (end+1)*p]
			eta := 0.0
			for j, v := range x {
				eta += v * beta[j]
			}
			w := math.Exp(eta)
			risk.add(w, x)
			if c.event[end] {
				deaths++
				dying.add(w, x)
				fit.logLikelihood += eta
				for j, v := range x {
					fit.gradient[j] += v
				}
			}
		}
		start = end
		if deaths == 0 {
			continue
		}
		// Sums over the Efron terms of f^i / denominator^j, f the fraction taken out.
		var a0, a1, b0, b1, b2 float64
		for k := range deaths {
			f := float64(k) / float64(deaths)
			inverse := 1 / (risk.w - f*dying.w)
			fit.logLikelihood += math.Log(inverse)
			a0 += inverse
			a1 += f * inverse
			b0 += inverse * inverse
			b1 += f * inverse * inverse
			b2 += f * f * inverse * inverse
		}
		k := 0
		for i := range p {
			r, d := risk.wx[i], dying.wx[i]
			fit.gradient[i] -= a0*r - a1*d
			row := fit.information[i]
			for j := 0; j <= i; j++ {
				rj, dj := risk.wx[j], dying.wx[j]
				row[j] += a0*risk.wxx[k] - a1*dying.wxx[k] - b0*r*rj + b1*(r*dj+d*rj) - b2*d*dj
				k++
			}
		}
	}
	return fit
}
