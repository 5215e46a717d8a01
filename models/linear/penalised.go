package linear

import (
	"fmt"
	"math"

	"hounsfield/models/tabular"
)

// Penalty says what [Penalised] minimises.
type Penalty struct {
	Alpha float64 // 1 = lasso, 0 = ridge, between = both (elastic net)
	// Lambda are the strengths, positive and strictly falling; nil = glmnet's sequence:
	// Steps of them on a log scale from the least at which all coefficients are zero
	// (with Alpha at least 0.001) down to 0.0001 of it, 0.01 with fewer patients than
	// features, ending early once the deviance falls below 0.001 of the null deviance.
	Lambda []float64
	Steps  int // 0 = 100
	// AsGiven penalises coefficients in the features' own units. Otherwise each
	// feature is divided by its standard deviation (n in the denominator) first and
	// the coefficients are turned back afterwards, as glmnet's standardize=TRUE.
	AsGiven bool
}

// Path holds one penalised logistic regression for each strength.
type Path struct {
	Lambda       []float64
	Intercept    []float64
	Coef         [][]float64 // Coef[k][feature], log odds ratio per unit, at Lambda[k]
	Deviance     []float64   // -2 log likelihood
	NullDeviance float64     // with the intercept only
	Nonzero      []int       // features with a coefficient
}

// Penalised fits logistic regressions that minimise, as glmnet defines it,
//
//	-loglik/n + lambda ((1-alpha)/2 sum coef^2 + alpha sum |coef|)
//
// the intercept free, n the number of patients, by Newton steps whose quadratic
// problems are solved by coordinate descent, each strength starting from the one
// before. x is x[feature][patient]; names are one per feature or nil. A constant
// feature gets coefficient 0.
//
// In R: glmnet(x, y, family="binomial", alpha=, lambda=, standardize=TRUE, thresh=1e-14).
//
// Errors: *tabular.InputError for empty input, unequal lengths, unusable values, one
// class, and a penalty out of range; *ConvergenceError.
//
// Friedman J, Hastie T, Tibshirani R. J Stat Softw 2010;33(1). doi:10.18637/jss.v033.i01
func Penalised(x [][]float64, names []string, y []bool, penalty Penalty) (*Path, error) {
	const function = "linear.Penalised"
	if err := tabular.Check(function, x, names, len(y), false); err != nil {
		return nil, err
	}
	if err := tabular.CheckClasses(function, y, 1); err != nil {
		return nil, err
	}
	if !(penalty.Alpha >= 0 && penalty.Alpha <= 1) {
		return nil, tabular.Refuse(function, "Penalty.Alpha", fmt.Sprint(penalty.Alpha), "0 (ridge) to 1 (lasso)", "choose one of the two if in doubt")
	}
	if penalty.Steps < 0 {
		return nil, tabular.Refuse(function, "Penalty.Steps", fmt.Sprint(penalty.Steps), "0 or more", "leave it 0 for the default")
	}
	for k, l := range penalty.Lambda {
		if !(l > 0) || math.IsInf(l, 0) || k > 0 && l >= penalty.Lambda[k-1] {
			return nil, tabular.Refuse(function, fmt.Sprintf("Penalty.Lambda[%d]", k), fmt.Sprint(l), "positive numbers, each below the one before", "sort them, largest first; for none at all use linear.Logistic")
		}
	}
	d := newDescent(scale(x, !penalty.AsGiven), y, penalty.Alpha)
	null := d.objective(0) * 2 * float64(len(y))
	lambda, early := penalty.Lambda, false
	if lambda == nil {
		lambda, early = d.sequence(penalty.Steps), true
	}
	path := &Path{NullDeviance: null}
	for _, l := range lambda {
		if err := d.minimise(function, l); err != nil {
			return nil, err
		}
		coef := d.z.unscale(d.beta)
		deviance, nonzero := d.logLoss()*2*float64(len(y)), 0
		for _, c := range coef[1:] {
			if c != 0 {
				nonzero++
			}
		}
		path.Lambda, path.Intercept, path.Coef = append(path.Lambda, l), append(path.Intercept, coef[0]), append(path.Coef, coef[1:])
		path.Deviance, path.Nonzero = append(path.Deviance, deviance), append(path.Nonzero, nonzero)
		if early && deviance < 0.001*null {
			break
		}
	}
	return path, nil
}

// Predict gives each patient's probability of true at Lambda[k]. x is as for
// [LogisticResult.Predict], with the same errors, and one for a k out of range.
func (p *Path) Predict(x [][]float64, k int) ([]float64, error) {
	if k < 0 || k >= len(p.Lambda) {
		return nil, tabular.Refuse("linear.Path.Predict", "k", fmt.Sprint(k), fmt.Sprintf("0 to %d, an index into Lambda", len(p.Lambda)-1), "a path may end early: see Penalty.Lambda")
	}
	return predict("linear.Path.Predict", p.Intercept[k], p.Coef[k], x)
}

// descent is a penalised regression at some coefficients.
type descent struct {
	z     scaled
	y     []bool
	alpha float64
	n     float64
	beta  []float64 // intercept first
	eta   []float64
	// of the quadratic problem around beta:
	weight   []float64 // p(1-p) of each patient
	residual []float64 // y - p, less what the step under way explains, times weight
	second   []float64 // mean of weight z^2 for each feature
	step     []float64
}

func newDescent(z scaled, y []bool, alpha float64) *descent {
	d := &descent{z: z, y: y, alpha: alpha, n: float64(len(y)), beta: make([]float64, len(z.columns)+1), eta: make([]float64, len(y)),
		weight: make([]float64, len(y)), residual: make([]float64, len(y)), second: make([]float64, len(z.columns)), step: make([]float64, len(z.columns)+1)}
	positives := 0.0
	for _, v := range y {
		if v {
			positives++
		}
	}
	d.beta[0] = math.Log(positives / (d.n - positives))
	for i := range d.eta {
		d.eta[i] = d.beta[0]
	}
	return d
}

func (d *descent) logLoss() float64 {
	sum := 0.0
	for i, e := range d.eta {
		if d.y[i] {
			e = -e
		}
		sum += softplus(e)
	}
	return sum / d.n
}

func (d *descent) objective(lambda float64) float64 {
	squares, sizes := 0.0, 0.0
	for _, b := range d.beta[1:] {
		squares += b * b
		sizes += math.Abs(b)
	}
	return d.logLoss() + lambda*((1-d.alpha)/2*squares+d.alpha*sizes)
}

// sequence is glmnet's choice of strengths.
func (d *descent) sequence(steps int) []float64 {
	if steps == 0 {
		steps = 100
	}
	largest := 0.0
	for _, column := range d.z.columns {
		sum := 0.0
		for i, v := range column {
			sum += v * d.miss(i)
		}
		largest = max(largest, math.Abs(sum)/d.n)
	}
	// All features constant: any strength will do.
	if largest == 0 {
		largest = 1
	}
	// A little more, or rounding would decide whether the first has a coefficient.
	largest *= (1 + 1e-12) / max(d.alpha, 0.001)
	ratio := 1e-4
	if len(d.y) < len(d.z.columns) {
		ratio = 0.01
	}
	lambda := make([]float64, steps)
	for k := range lambda {
		lambda[k] = largest
		if steps > 1 {
			lambda[k] = largest * math.Pow(ratio, float64(k)/float64(steps-1))
		}
	}
	return lambda
}

// miss is y - p.
func (d *descent) miss(i int) float64 {
	if d.y[i] {
		return probability(-d.eta[i])
	}
	return -probability(d.eta[i])
}

// minimise climbs down to the minimum at one strength.
func (d *descent) minimise(function string, lambda float64) error {
	const limit = 200
	now := d.objective(lambda)
	for range limit {
		for i, e := range d.eta {
			h := math.Exp(-math.Abs(e))
			d.weight[i] = h / ((1 + h) * (1 + h))
			d.residual[i] = d.miss(i)
		}
		for j, column := range d.z.columns {
			d.second[j] = 0
			for i, v := range column {
				d.second[j] += d.weight[i] * v * v / d.n
			}
		}
		before := append([]float64(nil), d.beta...)
		if !d.solve(lambda) {
			return &ConvergenceError{function, limit, "raise the smallest lambda"}
		}
		// d.beta now solves the quadratic problem; go there, or part of the way.
		largest := 0.0
		for j := range d.step {
			d.step[j] = d.beta[j] - before[j]
			largest = max(largest, math.Abs(d.step[j]))
		}
		// Where p(1-p) vanishes, as between separated classes, steps get too long.
		for halvings, share := 0, 1.0; ; halvings, share = halvings+1, share/2 {
			for j := range d.step {
				d.beta[j] = before[j] + share*d.step[j]
			}
			d.linear()
			if next := d.objective(lambda); next <= now+1e-15 {
				now = next
				break
			}
			if halvings == 50 {
				return &ConvergenceError{function, limit, "raise the smallest lambda"}
			}
		}
		if largest < 1e-9 {
			return nil
		}
	}
	return &ConvergenceError{function, limit, "raise the smallest lambda"}
}

func (d *descent) linear() {
	for i := range d.eta {
		d.eta[i] = d.beta[0]
	}
	for j, column := range d.z.columns {
		if b := d.beta[j+1]; b != 0 {
			for i, v := range column {
				d.eta[i] += b * v
			}
		}
	}
}

// solve minimises the quadratic problem by cycling over the coefficients: over all,
// then over those that are not zero until they rest, and over all again.
func (d *descent) solve(lambda float64) bool {
	total := 0.0
	for _, w := range d.weight {
		total += w
	}
	cycle := func(all bool) float64 {
		largest := 0.0
		for j, column := range d.z.columns {
			b := d.beta[j+1]
			if d.second[j] == 0 || !all && b == 0 {
				continue
			}
			gradient := d.second[j] * b
			for i, v := range column {
				gradient += v * d.residual[i] / d.n
			}
			next := math.Abs(gradient) - lambda*d.alpha
			if next <= 0 {
				next = 0
			} else {
				next = math.Copysign(next/(d.second[j]+lambda*(1-d.alpha)), gradient)
			}
			if change := next - b; change != 0 {
				d.beta[j+1] = next
				largest = max(largest, math.Abs(change))
				for i, v := range column {
					d.residual[i] -= change * d.weight[i] * v
				}
			}
		}
		sum := 0.0
		for _, r := range d.residual {
			sum += r
		}
		change := sum / total
		d.beta[0] += change
		for i, w := range d.weight {
			d.residual[i] -= change * w
		}
		return max(largest, math.Abs(change))
	}
	const rest = 1e-11
	for range 1000 {
		if cycle(true) < rest {
			return true
		}
		for range 10_000 {
			if cycle(false) < rest {
				break
			}
		}
	}
	return false
}
