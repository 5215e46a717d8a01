package linear

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/mathext"

	"hounsfield/models/tabular"
	"hounsfield/stats"
)

// Term is one coefficient of a logistic regression.
type Term struct {
	Name      string  // "(intercept)" for the first
	Coef      float64 // log odds ratio per unit of the feature; the intercept's log odds
	SE        float64 // from the information at the maximum
	OR        float64 // exp(Coef): above 1 = true is likelier with a higher value
	Low, High float64 // exp(Coef -+ z SE), Wald's confidence interval of OR
	Z         float64 // Coef / SE
	P         float64 // two-sided, Wald's
}

// LogisticResult is a fitted logistic regression.
type LogisticResult struct {
	Terms           []Term      // the intercept, then the features in the order of x
	Covariance      [][]float64 // of the coefficients, in that order
	Deviance        float64     // -2 log likelihood at the maximum
	NullDeviance    float64     // with the intercept only
	AIC             float64     // Deviance + 2 coefficients
	LikelihoodRatio stats.ChiSquareTest
	Level           float64 // of the intervals
	N, Positives    int
	Iterations      int
}

// SeparationError says that a logistic regression has no maximum: a weighted sum of
// features parts the classes, so that the likelihood rises for ever as the
// coefficients grow. It was proved by a direction along which no patient gets less
// likely.
type SeparationError struct {
	Function string
	Complete bool     // all patients are parted; otherwise some lie on the border (quasi-complete)
	Features []string // features with a part in that sum
	Parted   int      // patients who get ever more likely
	N        int
	Next     string
}

func (e *SeparationError) Error() string {
	kind := "quasi-completely"
	if e.Complete {
		kind = "completely"
	}
	return fmt.Sprintf("%s: %s separate the classes %s (%d of %d patients): there are no finite estimates; %s",
		e.Function, strings.Join(e.Features, ", "), kind, e.Parted, e.N, e.Next)
}

// ConvergenceError says that a fit did not reach its maximum in the steps allowed.
type ConvergenceError struct {
	Function   string
	Iterations int
	Next       string
}

func (e *ConvergenceError) Error() string {
	return fmt.Sprintf("%s: no maximum after %d steps; %s", e.Function, e.Iterations, e.Next)
}

// scaled is a table with every feature shifted to mean 0 and divided by its standard
// deviation (n in the denominator), which makes steps and thresholds independent of
// units. A constant feature stays 0, with scale 1.
type scaled struct {
	columns     [][]float64
	mean, scale []float64
}

func scale(x [][]float64, divide bool) scaled {
	s := scaled{columns: make([][]float64, len(x)), mean: make([]float64, len(x)), scale: make([]float64, len(x))}
	for j, column := range x {
		n := float64(len(column))
		for _, v := range column {
			s.mean[j] += v / n
		}
		z, sum, largest := make([]float64, len(column)), 0.0, 0.0
		for i, v := range column {
			z[i] = v - s.mean[j]
			sum += z[i] * z[i]
			largest = max(largest, math.Abs(v))
		}
		s.columns[j], s.scale[j] = z, 1
		sd := math.Sqrt(sum / n)
		if sd <= 1e-13*largest { // constant but for the rounding of the mean
			clear(z)
			continue
		}
		if divide {
			s.scale[j] = sd
			for i := range z {
				z[i] /= sd
			}
		}
	}
	return s
}

// Logistic fits log odds(y) = intercept + coef . x by iteratively reweighted least
// squares, and gives intervals at the level (0.95 for 95%). x is x[feature][patient];
// names are one per feature or nil.
//
// In R: glm(y ~ x, family=binomial), confint.default, and anova(test="LRT") against
// the intercept alone.
//
// Errors: *tabular.InputError for empty input, unequal lengths, unusable values, one
// class, no more patients than coefficients, a level outside 0..1, and a feature that
// is constant or a combination of those before it (R reports NA for it);
// *SeparationError where there is no maximum (R warns that fitted probabilities
// numerically 0 or 1 occurred, and prints numbers); *ConvergenceError.
//
// McCullagh P, Nelder JA. Generalized Linear Models, 2nd ed. 1989; Albert A, Anderson
// JA. Biometrika 1984;71:1-10. doi:10.1093/biomet/71.1.1
func Logistic(x [][]float64, names []string, y []bool, level float64) (*LogisticResult, error) {
	const function = "linear.Logistic"
	if err := tabular.Check(function, x, names, len(y), false); err != nil {
		return nil, err
	}
	if err := tabular.CheckClasses(function, y, 1); err != nil {
		return nil, err
	}
	if !(level > 0 && level < 1) {
		return nil, tabular.Refuse(function, "level", fmt.Sprint(level), "a number between 0 and 1, both excluded", "use 0.95 for a 95% interval")
	}
	n, p := len(y), len(x)+1
	if n <= p {
		return nil, tabular.Refuse(function, "x", fmt.Sprintf("%d features of %d patients", len(x), n), "more patients than coefficients (features and intercept)",
			"choose fewer features, or linear.Penalised")
	}
	l := &likelihood{z: scale(x, true), y: y, beta: make([]float64, p), eta: make([]float64, n), weighted: mat.NewDense(n, p, nil), target: mat.NewVecDense(n, nil)}
	positives := 0
	for _, v := range y {
		if v {
			positives++
		}
	}
	share := float64(positives) / float64(n)
	l.beta[0] = math.Log(share / (1 - share))
	l.linear()
	null := l.deviance()
	l.factorise()
	if j := l.dependent(); j >= 0 {
		e := tabular.Refuse(function, "x", "constant, or a combination of the features before it", "features that say something of their own", "leave it out")
		e.Feature, e.Name = j-1, tabular.Name(names, j-1)
		return nil, e
	}
	iterations, err := l.climb(function, names)
	if err != nil {
		return nil, err
	}
	r := &LogisticResult{Deviance: l.deviance(), NullDeviance: null, Level: level, N: n, Positives: positives, Iterations: iterations}
	r.AIC = r.Deviance + 2*float64(p)
	r.LikelihoodRatio = stats.ChiSquareTest{ChiSquare: max(0, null-r.Deviance), DF: p - 1}
	r.LikelihoodRatio.P = mathext.GammaIncRegComp(float64(p-1)/2, r.LikelihoodRatio.ChiSquare/2)
	l.factorise()
	r.Covariance = l.covariance()
	coef := l.z.unscale(l.beta)
	z := math.Sqrt2 * math.Erfinv(level)
	for j, c := range coef {
		t := Term{Name: "(intercept)", Coef: c, SE: math.Sqrt(r.Covariance[j][j]), OR: math.Exp(c)}
		if j > 0 {
			t.Name = tabular.Name(names, j-1)
		}
		t.Z = c / t.SE
		t.P = math.Erfc(math.Abs(t.Z) / math.Sqrt2)
		t.Low, t.High = math.Exp(c-z*t.SE), math.Exp(c+z*t.SE)
		r.Terms = append(r.Terms, t)
	}
	return r, nil
}

// unscale turns the coefficients of scaled features into those of the features.
func (s scaled) unscale(beta []float64) []float64 {
	coef := append([]float64(nil), beta...)
	for j, m := range s.mean {
		coef[j+1] /= s.scale[j]
		coef[0] -= coef[j+1] * m
	}
	return coef
}

// likelihood is a logistic regression at some coefficients.
type likelihood struct {
	z        scaled
	y        []bool
	beta     []float64 // intercept first
	eta      []float64 // log odds of each patient
	weighted *mat.Dense
	target   *mat.VecDense
	qr       mat.QR
}

// linear computes the log odds of the patients.
func (l *likelihood) linear() {
	for i := range l.eta {
		l.eta[i] = l.beta[0]
	}
	for j, column := range l.z.columns {
		for i, v := range column {
			l.eta[i] += l.beta[j+1] * v
		}
	}
}

// deviance is -2 times the log likelihood, without ever rounding a probability to 1.
func (l *likelihood) deviance() float64 {
	sum := 0.0
	for i, e := range l.eta {
		if l.y[i] {
			e = -e
		}
		sum += softplus(e)
	}
	return 2 * sum
}

// softplus is log(1 + exp(e)).
func softplus(e float64) float64 { return max(e, 0) + math.Log1p(math.Exp(-math.Abs(e))) }

// probability is 1/(1 + exp(-e)).
func probability(e float64) float64 {
	if e < 0 {
		return math.Exp(e) / (1 + math.Exp(e))
	}
	return 1 / (1 + math.Exp(-e))
}

// factorise takes the QR decomposition of the table with rows times the square root of
// their weights p(1-p), and the target of the next Newton step.
func (l *likelihood) factorise() {
	for i, e := range l.eta {
		// exp(-|e|/2)/(1+exp(-|e|)) keeps its digits where 1-p does not.
		h := math.Exp(-math.Abs(e) / 2)
		// The floor touches the step's length only: row times target stays the gradient.
		root := max(h/(1+h*h), 1e-10)
		l.weighted.Set(i, 0, root)
		for j, column := range l.z.columns {
			l.weighted.Set(i, j+1, root*column[i])
		}
		miss := probability(-math.Abs(e)) // of the class less likely
		if l.y[i] == (e > 0) {
			miss /= root
		} else {
			miss = (1 - miss) / root
		}
		if !l.y[i] {
			miss = -miss
		}
		l.target.SetVec(i, miss)
	}
	l.qr.Factorize(l.weighted)
}

// dependent is the first column that the ones before it explain, or -1.
func (l *likelihood) dependent() int {
	var r mat.Dense
	l.qr.RTo(&r)
	for j := range l.beta {
		if math.Abs(r.At(j, j)) < 1e-10*math.Abs(r.At(0, 0)) {
			return j
		}
	}
	return -1
}

// covariance is the inverse of the information, for the features as they were given.
func (l *likelihood) covariance() [][]float64 {
	p := len(l.beta)
	var r mat.Dense
	l.qr.RTo(&r)
	// Rows of a turn scaled coefficients into the given ones; a inv(R) inv(R)' a'.
	half := make([][]float64, p)
	for j := range half {
		row := make([]float64, p)
		if j == 0 {
			row[0] = 1
			for k := 1; k < p; k++ {
				row[k] = -l.z.mean[k-1] / l.z.scale[k-1]
			}
		} else {
			row[j] = 1 / l.z.scale[j-1]
		}
		for k := range p { // solve h R = row from the left
			for m := range k {
				row[k] -= row[m] * r.At(m, k)
			}
			row[k] /= r.At(k, k)
		}
		half[j] = row
	}
	covariance := make([][]float64, p)
	for i := range covariance {
		covariance[i] = make([]float64, p)
		for j := range p {
			for k := range p {
				covariance[i][j] += half[i][k] * half[j][k]
			}
		}
	}
	return covariance
}

// climb takes Newton steps to the maximum.
func (l *likelihood) climb(function string, names []string) (int, error) {
	const limit = 100
	now := l.deviance()
	var step mat.VecDense
	for iteration := 1; iteration <= limit; iteration++ {
		l.factorise()
		if err := l.qr.SolveVecTo(&step, false, l.target); err != nil {
			// Badly conditioned steps still climb; singular ones are infinite.
			if c, ok := err.(mat.Condition); !ok || math.IsInf(float64(c), 1) {
				return 0, &ConvergenceError{function, iteration, "choose fewer features, or linear.Penalised"}
			}
		}
		if iteration > 5 {
			if err := l.separated(function, names, &step); err != nil {
				return 0, err
			}
		}
		before, size := append([]float64(nil), l.beta...), 0.0
		for halvings, share := 0, 1.0; ; halvings, share = halvings+1, share/2 {
			size = 0
			for j := range l.beta {
				l.beta[j] = before[j] + share*step.AtVec(j)
				size = max(size, math.Abs(share*step.AtVec(j)))
			}
			l.linear()
			next := l.deviance()
			if next <= now+1e-13*now {
				now = next
				break
			}
			if halvings == 40 {
				return 0, &ConvergenceError{function, iteration, "choose fewer features, or linear.Penalised"}
			}
		}
		// Newton doubles the digits each time: the step after this one is nothing.
		if size < 1e-9 {
			return iteration, nil
		}
	}
	return 0, &ConvergenceError{function, limit, "choose fewer features, or linear.Penalised"}
}

// separated tells whether along the step every patient gets more likely, or stays as
// it is. While there is a maximum no direction does that; where there is none, steps
// turn into one that does.
func (l *likelihood) separated(function string, names []string, step *mat.VecDense) error {
	gains, most := make([]float64, len(l.y)), 0.0
	for i := range gains {
		gains[i] = step.AtVec(0)
		for j, column := range l.z.columns {
			gains[i] += step.AtVec(j+1) * column[i]
		}
		if !l.y[i] {
			gains[i] = -gains[i]
		}
		most = max(most, gains[i])
	}
	if most < 1e-3 { // steps of separated classes stay about 1 long
		return nil
	}
	e := &SeparationError{Function: function, N: len(gains), Next: "join rare categories or leave a feature out, or use linear.Penalised"}
	for _, g := range gains {
		if g < -1e-7*most {
			return nil
		}
		if g > 1e-5*most {
			e.Parted++
		}
	}
	e.Complete = e.Parted == e.N
	largest := 0.0
	for j := range l.z.columns {
		largest = max(largest, math.Abs(step.AtVec(j+1)))
	}
	for j := range l.z.columns {
		if math.Abs(step.AtVec(j+1)) > 1e-3*largest {
			e.Features = append(e.Features, tabular.Name(names, j))
		}
	}
	return e
}

// Predict gives each patient's probability of true. x is x[feature][patient] with the
// features of the fit in its order. Errors: *tabular.InputError for another number of
// features, unequal lengths and unusable values.
func (r *LogisticResult) Predict(x [][]float64) ([]float64, error) {
	coef := make([]float64, len(r.Terms))
	for j, t := range r.Terms {
		coef[j] = t.Coef
	}
	return predict("linear.LogisticResult.Predict", coef[0], coef[1:], x)
}

func predict(function string, intercept float64, coef []float64, x [][]float64) ([]float64, error) {
	if len(x) != len(coef) {
		return nil, tabular.Refuse(function, "x", fmt.Sprintf("%d features", len(x)), fmt.Sprintf("%d, those of the fit in its order", len(coef)),
			"select the columns by the names used in the fit")
	}
	patients := 0
	for _, column := range x {
		patients = max(patients, len(column))
	}
	if patients == 0 {
		return nil, nil
	}
	if err := tabular.Check(function, x, nil, patients, false); err != nil {
		return nil, err
	}
	p := make([]float64, patients)
	for i := range p {
		e := intercept
		for j, c := range coef {
			e += c * x[j][i]
		}
		p[i] = probability(e)
	}
	return p, nil
}
