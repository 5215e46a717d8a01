package stats

import (
	"fmt"
	"math"
	"slices"
)

// BaselineHazard is the cumulative hazard of a patient all of whose covariates are 0:
// one element per distinct time of the stratum. It holds from its time until just
// before the next one and is 0 before the first.
type BaselineHazard struct {
	Stratum int       // label; 0 when not stratified
	Time    []float64 // ascending, days
	Hazard  []float64 // cumulative
}

// Baseline gives the cumulative baseline hazard of each stratum, by ascending label:
// at each death time the sum over the terms of the partial likelihood of 1 over the
// weight at risk (Breslow's estimate with [Breslow] ties, Efron's with [Efron]). Where
// zero lies far from the data the numbers are extreme; [CoxResult.Curve] is not.
//
// In R: basehaz(fit, centered=FALSE).
//
// Errors: *InputError for a result that [Cox] did not return.
//
// Breslow N. JRSS B 1972;34:216-217 (in the discussion of Cox's paper).
func (r CoxResult) Baseline() ([]BaselineHazard, error) {
	if err := r.checkFitted("Baseline"); err != nil {
		return nil, err
	}
	f := r.fitted
	c := f.data
	atZero := 0.0 // log weight of x = 0, in scaled and centred units
	for j, b := range f.beta {
		atZero -= b * c.mean[j] / c.scale[j]
	}
	var out []BaselineHazard
	for n, label := range c.labels {
		steps := f.steps(n)
		b := BaselineHazard{Stratum: label}
		for _, s := range steps {
			b.Time = append(b.Time, s.time)
			b.Hazard = append(b.Hazard, s.hazard*math.Exp(atZero))
		}
		out = append(out, b)
	}
	return out, nil
}

// coxStep holds sums up to a time of one stratum: the cumulative hazard at the mean of
// the covariates, its variance with known coefficients, and the integral of the mean
// of x over the risk set by the hazard (nil until asked for).
type coxStep struct {
	time, hazard, variance float64
	mean                   []float64
}

// steps are the sums of stratum number n, by ascending time.
func (f *coxFit) steps(n int) []coxStep {
	c, s, p := f.data, f.state, f.data.columns
	first := slices.Index(c.stratum, n)
	last := first
	for last+1 < len(c.ties) && !c.ties[last+1].first {
		last++
	}
	steps := make([]coxStep, 0, last-first+1)
	now := coxStep{mean: make([]float64, p)}
	for g := last; g >= first; g-- {
		now.time = c.time[c.ties[g].start]
		now.mean = slices.Clone(now.mean)
		for k := s.from[g]; k < s.from[g+1]; k++ {
			term := s.terms[k]
			now.hazard += term.times * term.inverse
			now.variance += term.times * term.inverse * term.inverse
			for j, v := range s.means[k*p : (k+1)*p] {
				now.mean[j] += term.times * term.inverse * v
			}
		}
		steps = append(steps, now)
	}
	return steps
}

// PredictedCurve is the survival that a Cox model predicts for one patient, one element
// per distinct time of the stratum.
type PredictedCurve struct {
	Time     []float64 // ascending, days
	Hazard   []float64 // cumulative hazard of the patient
	SE       []float64 // standard error of Hazard, with the error of the coefficients
	Survival []float64 // exp(-Hazard): probability of living longer than Time; never rises
	// Low and High are the pointwise confidence interval of Survival; NaN on the
	// log-log scale before the first death.
	Low, High []float64
	Interval  CurveInterval
	Level     float64 // that of the fit
}

// Curve predicts the survival of a patient with covariates x in a stratum (its label;
// 0 for a model without strata): exp(-H0(t) exp(coef . x)). SE^2 is the variance of the
// hazard with known coefficients plus that from the coefficients' Covariance, and the
// interval is the log one, R's default here, unless another [CurveInterval] is given.
//
// In R: survfit(fit, newdata).
//
// Errors: *InputError for a result that [Cox] did not return, a row of another length
// or not finite, an unknown stratum or interval.
//
// Tsiatis AA. Annals of Statistics 1981;9:93-108. doi:10.1214/aos/1176345335; Therneau
// TM, Grambsch PM. Modeling Survival Data, ch. 10. doi:10.1007/978-1-4757-3294-8
func (r CoxResult) Curve(x []float64, stratum int, interval ...CurveInterval) (PredictedCurve, error) {
	const function = "Curve"
	if err := r.checkFitted(function); err != nil {
		return PredictedCurve{}, err
	}
	f := r.fitted
	c := f.data
	if err := checkCovariates(function, [][]float64{x}, c.columns); err != nil {
		return PredictedCurve{}, err
	}
	n, err := r.stratumNumber(function, -1, stratum)
	if err != nil {
		return PredictedCurve{}, err
	}
	scale, err := checkInterval(function, interval, LogInterval)
	if err != nil {
		return PredictedCurve{}, err
	}
	z := normalQuantile(r.Level)
	weight := f.weight(x)
	out := PredictedCurve{Interval: scale, Level: r.Level}
	gap := make([]float64, c.columns)
	for _, s := range f.steps(n) {
		for j := range gap {
			gap[j] = s.hazard*(x[j]-c.mean[j])/c.scale[j] - s.mean[j]
		}
		variance := s.variance
		for i := range gap {
			for j := range gap {
				variance += gap[i] * f.covariance[i][j] * gap[j]
			}
		}
		hazard, se := s.hazard*weight, math.Sqrt(variance)*weight
		low, high := scale.of(math.Exp(-hazard), se, z)
		out.Time = append(out.Time, s.time)
		out.Hazard = append(out.Hazard, hazard)
		out.SE = append(out.SE, se)
		out.Survival = append(out.Survival, math.Exp(-hazard))
		out.Low = append(out.Low, low)
		out.High = append(out.High, high)
	}
	return out, nil
}

// At is the predicted survival with its interval at time t in days: 1, NaN, NaN before
// the first time, and the last values after the last one.
func (c PredictedCurve) At(t float64) (survival, low, high float64) {
	i := lastNotAfter(c.Time, t)
	if i < 0 {
		return 1, math.NaN(), math.NaN()
	}
	return c.Survival[i], c.Low[i], c.High[i]
}

// weight is exp(coef . (x - mean)), finite also far outside the data.
func (f *coxFit) weight(x []float64) float64 {
	sum := 0.0
	for j, v := range x {
		sum += f.beta[j] * (v - f.data.mean[j]) / f.data.scale[j]
	}
	return math.Exp(math.Min(sum, 700))
}

func (r CoxResult) stratumNumber(function string, index, stratum int) (int, error) {
	n, found := slices.BinarySearch(r.fitted.data.labels, stratum)
	if !found {
		return 0, &InputError{function, "stratum", index, fmt.Sprint(stratum), fmt.Sprintf("a stratum of the fit: %v", r.fitted.data.labels),
			"fit the model with patients of that stratum"}
	}
	return n, nil
}

// LinearPredictor gives coef . x of each row, the log hazard relative to a patient
// whose covariates are all 0: higher = earlier death. x is not centred.
//
// In R: predict(fit, newdata, type="lp", reference="zero").
//
// Errors: *InputError for rows of another length or not finite.
func (r CoxResult) LinearPredictor(x [][]float64) ([]float64, error) {
	if err := checkCovariates("LinearPredictor", x, len(r.Terms)); err != nil {
		return nil, err
	}
	out := make([]float64, len(x))
	for i, row := range x {
		for j, v := range row {
			out[i] += r.Terms[j].Coef * v
		}
	}
	return out, nil
}

// PredictSurvival gives the probability that each patient lives longer than each of
// times (days, any order): a row per patient, a column per time. strata holds the
// stratum of each patient, nil for a model without. It is 1 before the first death of
// the stratum and stays at its last value after the last follow-up, where nothing is
// known. [SurvivalBrier] judges the forecast.
//
// In R: t(summary(survfit(fit, newdata), times, extend=TRUE)$surv).
//
// Errors: *InputError for a result that [Cox] did not return, rows of another length or
// not finite, unknown strata, and times that are negative, NaN or infinite.
func (r CoxResult) PredictSurvival(x [][]float64, strata []int, times []float64) ([][]float64, error) {
	const function = "PredictSurvival"
	if err := r.checkFitted(function); err != nil {
		return nil, err
	}
	f := r.fitted
	if err := checkCovariates(function, x, f.data.columns); err != nil {
		return nil, err
	}
	for k, t := range times {
		if !(t >= 0) || math.IsInf(t, 1) {
			return nil, &InputError{function, "times", k, fmt.Sprint(t), "a finite number of days, 0 or more", "use 730 for two years"}
		}
	}
	if strata != nil && len(strata) != len(x) {
		return nil, wrongLength(function, "strata", len(strata), len(x))
	}
	if strata == nil && r.Strata > 1 {
		return nil, &InputError{function, "strata", -1, "nil", "the stratum of each patient", "pass the strata: the model was fitted with some"}
	}
	hazards := make([][]float64, len(f.data.labels)) // at the mean of the covariates, per time
	for n := range hazards {
		steps := f.steps(n)
		for _, t := range times {
			h := 0.0
			for _, s := range steps {
				if s.time > t {
					break
				}
				h = s.hazard
			}
			hazards[n] = append(hazards[n], h)
		}
	}
	out := make([][]float64, len(x))
	for i, row := range x {
		n := 0
		if strata != nil {
			var err error
			if n, err = r.stratumNumber(function, i, strata[i]); err != nil {
				return nil, err
			}
		}
		weight := f.weight(row)
		out[i] = make([]float64, len(times))
		for k, h := range hazards[n] {
			out[i][k] = math.Exp(-h * weight)
		}
	}
	return out, nil
}
