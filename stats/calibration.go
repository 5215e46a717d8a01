package stats

import (
	"fmt"
	"math"
)

func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

func expit(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// checkRisk accepts probabilities with a class each. open refuses 0 and 1, whose logit
// is infinite.
func checkRisk(function, argument string, risk []float64, positive []bool, open bool) error {
	if len(risk) == 0 {
		return empty(function, argument)
	}
	if len(positive) != len(risk) {
		return wrongLength(function, "positive", len(positive), len(risk))
	}
	return checkRiskValues(function, argument, risk, open)
}

func checkRiskValues(function, argument string, risk []float64, open bool) error {
	for i, p := range risk {
		if !(p >= 0 && p <= 1) {
			return &InputError{function, argument, i, fmt.Sprint(p), "a probability from 0 to 1",
				"turn the score into a risk first, by a logistic model fitted on the tune cohort"}
		}
		if open && (p == 0 || p == 1) {
			return &InputError{function, argument, i, fmt.Sprint(p), "a risk above 0 and below 1, whose logit is finite",
				"take the logit from the model itself, or move such risks to 1e-7 and 1-1e-7 and say so"}
		}
	}
	return nil
}

// CalibrationTerm is one number of a calibration model.
type CalibrationTerm struct {
	Estimate  float64
	SE        float64
	Low, High float64 // Wald interval
	P         float64 // two-sided Wald test of the ideal value
}

func newCalibrationTerm(estimate, variance, ideal, level float64) CalibrationTerm {
	se := math.Sqrt(variance)
	half := normalQuantile(level) * se
	return CalibrationTerm{estimate, se, estimate - half, estimate + half, twoSided((estimate - ideal) / se)}
}

// CalibrationResult says how predicted risks must be moved to fit what happened.
type CalibrationResult struct {
	InTheLarge CalibrationTerm // a of logit P = a + logit(risk); ideal 0; above 0: risks too low
	Intercept  CalibrationTerm // a of logit P = a + b logit(risk); ideal 0
	Slope      CalibrationTerm // b; ideal 1; below 1: risks too extreme, as after overfitting
	Covariance float64         // of Intercept and Slope
	// Both ideals at once (Cox's test of a = 0 and b = 1 by the likelihood ratio).
	LikelihoodRatio ChiSquareTest
	Expected        float64 // sum of the risks: positives predicted
	ObservedRatio   float64 // positives observed / Expected; ideal 1
	Level           float64
	N               int
	Positives       int
}

// Calibration fits the two models of logistic recalibration by maximum likelihood:
// calibration in the large, logit P = a + logit(risk), and intercept with slope,
// logit P = a + b logit(risk). risk is the predicted probability of the outcome
// (higher = positive), above 0 and below 1. Intervals and tests are Wald's. On the
// patients a logistic model was fitted to the answer is a = 0 and b = 1 whatever the
// model is worth: use other patients.
//
// In R: glm(positive ~ offset(qlogis(risk)), binomial), glm(positive ~ qlogis(risk),
// binomial); LikelihoodRatio is U:Chi-sq of rms::val.prob.
//
// Errors: *InputError for empty input, unequal lengths, risks that are not above 0 and
// below 1, one class only, a level outside 0..1, risks that are all equal, and risks that
// separate the classes (no or only touching overlap: the slope has no finite
// estimate; R warns of fitted probabilities of 0 or 1).
//
// Cox DR. Biometrika 1958;45:562-565. doi:10.1093/biomet/45.3-4.562; Van Calster B et al.
// BMC Medicine 2019;17:230. doi:10.1186/s12916-019-1466-7
func Calibration(risk []float64, positive []bool, level float64) (CalibrationResult, error) {
	const function = "Calibration"
	if err := checkRisk(function, "risk", risk, positive, true); err != nil {
		return CalibrationResult{}, err
	}
	if err := checkBinary(function, "risk", risk, positive, 1); err != nil {
		return CalibrationResult{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return CalibrationResult{}, err
	}
	x := make([]float64, len(risk))
	r := CalibrationResult{Level: level, N: len(risk)}
	asIs := 0.0 // log-likelihood of the risks as they are
	lowest, highest := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for i, p := range risk {
		x[i] = logit(p)
		r.Expected += p
		class := 0
		if positive[i] {
			class = 1
			r.Positives++
		}
		asIs += bernoulliLog(x[i], positive[i])
		lowest[class], highest[class] = min(lowest[class], x[i]), max(highest[class], x[i])
	}
	r.ObservedRatio = float64(r.Positives) / r.Expected
	switch {
	case min(lowest[0], lowest[1]) == max(highest[0], highest[1]):
		return CalibrationResult{}, &InputError{function, "risk", -1, "the same for every patient", "risks that differ",
			"check that the model's output is not constant"}
	case lowest[1] >= highest[0] || highest[1] <= lowest[0]:
		return CalibrationResult{}, &InputError{function, "risk", -1, "a perfect separation of the classes", "risks of the two classes that overlap",
			"use a larger cohort: the slope has no finite estimate"}
	}
	large, err := fitLogisticLine(function, x, positive, false)
	if err != nil {
		return CalibrationResult{}, err
	}
	line, err := fitLogisticLine(function, x, positive, true)
	if err != nil {
		return CalibrationResult{}, err
	}
	r.InTheLarge = newCalibrationTerm(large.a, large.varianceA, 0, level)
	r.Intercept = newCalibrationTerm(line.a, line.varianceA, 0, level)
	r.Slope = newCalibrationTerm(line.b, line.varianceB, 1, level)
	r.Covariance = line.covariance
	r.LikelihoodRatio = newChiSquareTest(max(0, 2*(line.logLikelihood-asIs)), 2)
	return r, nil
}

// bernoulliLog is the log-likelihood of one patient whose risk has the logit eta.
func bernoulliLog(eta float64, positive bool) float64 {
	if positive {
		eta = -eta
	}
	// -log(1 + exp(eta)) without overflow.
	return -max(eta, 0) - math.Log1p(math.Exp(-math.Abs(eta)))
}

// logisticLine is the model logit P = a + b x.
type logisticLine struct {
	a, b                             float64
	varianceA, varianceB, covariance float64 // varianceB and covariance are 0 where b is held at 1
	logLikelihood                    float64
}

// fitLogisticLine finds a and, where slope is true, b (1 otherwise) by Newton's method.
// The caller has made sure that a maximum exists.
func fitLogisticLine(function string, x []float64, positive []bool, slope bool) (logisticLine, error) {
	centre := 0.0
	for _, v := range x {
		centre += v
	}
	centre /= float64(len(x))
	logLikelihood := func(a, b float64) float64 {
		sum := 0.0
		for i, v := range x {
			sum += bernoulliLog(a+b*(v-centre), positive[i])
		}
		return sum
	}
	// a belongs to the centred x until the end: the two are then nearly independent.
	fit := logisticLine{a: centre, b: 1}
	fit.logLikelihood = logLikelihood(fit.a, fit.b)
	for iteration := 0; ; iteration++ {
		var ga, gb, aa, ab, bb float64
		for i, v := range x {
			p := expit(fit.a + fit.b*(v-centre))
			weight, residual := p*(1-p), -p
			if positive[i] {
				residual++
			}
			ga += residual
			gb += residual * (v - centre)
			aa += weight
			ab += weight * (v - centre)
			bb += weight * square(v-centre)
		}
		if !slope {
			ab, bb, gb = 0, 1, 0
		}
		determinant := aa*bb - ab*ab
		stepA, stepB := (bb*ga-ab*gb)/determinant, (aa*gb-ab*ga)/determinant
		fit.varianceA, fit.varianceB, fit.covariance = bb/determinant, aa/determinant, -ab/determinant
		if math.Abs(stepA) <= 1e-11*(1+math.Abs(fit.a)) && math.Abs(stepB) <= 1e-11*(1+math.Abs(fit.b)) {
			break
		}
		if iteration == 100 || !(determinant > 0) {
			return logisticLine{}, &ConvergenceError{function, iteration, 0, "the likelihood is flat", "check that the risks are not all next to 0 or 1"}
		}
		for halvings := 0; ; halvings++ {
			next := logLikelihood(fit.a+stepA, fit.b+stepB)
			// The last halving is taken downhill by no more than rounding.
			if next >= fit.logLikelihood-1e-13*math.Abs(fit.logLikelihood) || halvings == 40 {
				fit.a, fit.b, fit.logLikelihood = fit.a+stepA, fit.b+stepB, next
				break
			}
			stepA, stepB = stepA/2, stepB/2
		}
	}
	if !slope {
		fit.varianceB, fit.covariance = 0, 0
	}
	fit.varianceA += square(centre)*fit.varianceB - 2*centre*fit.covariance
	fit.covariance -= centre * fit.varianceB
	fit.a -= fit.b * centre
	return fit, nil
}

// Recalibrated moves risks by intercept and slope, 1/(1 + exp(-(a + b logit(risk)))).
// The order of the patients, and so the AUC, stays (it turns round if the slope is
// negative). 0 and 1 stay where they are under a positive slope. Fit on the tune
// cohort, apply to the test cohort: risks recalibrated on their own patients look
// perfect.
//
// In R: predict(glm(positive ~ qlogis(risk), binomial), newdata, type="response").
//
// Errors: *InputError for risks outside 0..1.
//
// Steyerberg EW et al. Statistics in Medicine 2004;23:2567-2586. doi:10.1002/sim.1844
func (c CalibrationResult) Recalibrated(risk []float64) ([]float64, error) {
	return recalibrated("CalibrationResult.Recalibrated", risk, c.Intercept.Estimate, c.Slope.Estimate)
}

// RecalibratedInLarge moves risks by calibration in the large only, the update with one
// parameter, for a tune cohort too small for two. Otherwise as [CalibrationResult.Recalibrated].
func (c CalibrationResult) RecalibratedInLarge(risk []float64) ([]float64, error) {
	return recalibrated("CalibrationResult.RecalibratedInLarge", risk, c.InTheLarge.Estimate, 1)
}

func recalibrated(function string, risk []float64, a, b float64) ([]float64, error) {
	if err := checkRiskValues(function, "risk", risk, false); err != nil {
		return nil, err
	}
	moved := make([]float64, len(risk))
	for i, p := range risk {
		moved[i] = expit(a + b*logit(p))
	}
	return moved, nil
}

// CalibrationLine is a smooth calibration curve: four slices of one length.
type CalibrationLine struct {
	Risk      []float64 // predicted
	Observed  []float64 // share of positives that the fitted line gives at Risk
	Low, High []float64 // pointwise interval
	Level     float64
}

// Line is the logistic calibration curve at the given risks (above 0 and below 1) with
// a pointwise Wald interval made on the logit scale: the smooth companion of
// [CalibrationCurve], whose only bend is the one a straight line on the logit scale
// has. The diagonal is perfect calibration; below it risks are too high.
//
// In R: predict(glm(positive ~ qlogis(risk), binomial), newdata, se.fit=TRUE), mapped by plogis.
//
// Errors: *InputError for risks that are not above 0 and below 1.
//
// Cox DR. Biometrika 1958;45:562-565. doi:10.1093/biomet/45.3-4.562
func (c CalibrationResult) Line(risk []float64) (CalibrationLine, error) {
	if err := checkRiskValues("CalibrationResult.Line", "risk", risk, true); err != nil {
		return CalibrationLine{}, err
	}
	n := len(risk)
	l := CalibrationLine{Risk: append([]float64(nil), risk...), Observed: make([]float64, n), Low: make([]float64, n), High: make([]float64, n), Level: c.Level}
	z := normalQuantile(c.Level)
	for i, p := range risk {
		x := logit(p)
		eta := c.Intercept.Estimate + c.Slope.Estimate*x
		half := z * math.Sqrt(square(c.Intercept.SE)+2*x*c.Covariance+square(x*c.Slope.SE))
		l.Observed[i], l.Low[i], l.High[i] = expit(eta), expit(eta-half), expit(eta+half)
	}
	return l, nil
}
