package stats

import (
	"fmt"
	"math"
)

// RMSTResult is a restricted mean survival time.
type RMSTResult struct {
	RMST      float64 // mean days lived up to Tau
	SE        float64
	Low, High float64 // RMST +- z SE, not cut
	Tau       float64 // days
	Level     float64
	N         int
	Events    int // deaths, after Tau included
}

// RMST gives the restricted mean survival time: the area under the Kaplan-Meier
// curve from 0 to tau days, which is the mean number of days lived of the first tau.
// With A(t) the area from t to tau its variance is Greenwood's,
//
//	Var = sum over death times t <= tau of A(t)^2 d / (n (n - d)),
//
// a term with A = 0 counting nothing. The interval is normal. Everybody censored is
// allowed, as long as follow-up reaches tau: RMST is tau, SE 0.
//
// In R: summary(survfit(Surv(time, event) ~ 1), rmean=tau)$table; survRM2::rmst2.
//
// Errors: *InputError for empty input, unequal lengths, unusable times, a tau that is
// not positive and finite, a level outside 0..1, and a tau past the last follow-up
// when that patient was censored: the curve is unknown from there on (R draws it on
// flat without a word).
//
// Royston P, Parmar MKB. BMC Medical Research Methodology 2013;13:152. doi:10.1186/1471-2288-13-152
func RMST(time []float64, event []bool, tau, level float64) (RMSTResult, error) {
	return rmst("RMST", "tau", time, event, tau, level)
}

func rmst(function, argument string, time []float64, event []bool, tau, level float64) (RMSTResult, error) {
	if err := checkSurvival(function, time, event); err != nil {
		return RMSTResult{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return RMSTResult{}, err
	}
	if !(tau > 0) || math.IsInf(tau, 1) {
		return RMSTResult{}, &InputError{function, "tau", -1, fmt.Sprint(tau), "a positive number of days", "use 730 for two years"}
	}
	steps := instants(time, event)
	last := steps[len(steps)-1]
	if tau > last.time && last.deaths < last.atRisk {
		return RMSTResult{}, &InputError{function, argument, -1, fmt.Sprint(tau), fmt.Sprintf("at most %v days, the last follow-up", last.time), "choose an earlier tau"}
	}
	r := RMSTResult{Tau: tau, Level: level, N: len(time)}
	// Backwards: the variance of a step needs the area to its right.
	survival := make([]float64, len(steps)+1) // survival[i] holds before steps[i]
	survival[0] = 1
	for i, s := range steps {
		survival[i+1] = survival[i] * float64(s.atRisk-s.deaths) / float64(s.atRisk)
		r.Events += s.deaths
	}
	area, variance, right := 0.0, 0.0, tau
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].time > tau {
			continue
		}
		area += survival[i+1] * (right - steps[i].time)
		right = steps[i].time
		if steps[i].deaths > 0 && area > 0 {
			variance += area * area * steps[i].greenwoodTerm()
		}
	}
	r.RMST = area + right
	r.SE = math.Sqrt(variance)
	half := normalQuantile(level) * r.SE
	r.Low, r.High = r.RMST-half, r.RMST+half
	return r, nil
}

// RMSTDifferenceResult compares the restricted means of two groups.
type RMSTDifferenceResult struct {
	Difference float64 // Exposed.RMST - Reference.RMST, days
	SE         float64
	Low, High  float64 // Difference +- z SE
	Z          float64 // Difference / SE; 0 where both are 0, NaN where only SE is
	P          float64 // two-sided; 1 where both are 0, NaN where only SE is
	Level      float64
	Exposed    RMSTResult // patients with exposed = true
	Reference  RMSTResult // the others
}

// RMSTDifference compares the restricted mean survival times up to tau days of the
// patients with exposed = true (such as high risk) and the others: a negative
// Difference means that the exposed live shorter. The groups are independent, so
// the variances add; the test is two-sided and normal.
//
// In R: survRM2::rmst2(time, event, exposed, tau), "RMST (arm=1)-(arm=0)".
//
// Errors: *InputError as for [RMST], in either group, and when a group is empty.
//
// Royston P, Parmar MKB. BMC Medical Research Methodology 2013;13:152. doi:10.1186/1471-2288-13-152
func RMSTDifference(time []float64, event, exposed []bool, tau, level float64) (RMSTDifferenceResult, error) {
	const function = "RMSTDifference"
	if err := checkSurvival(function, time, event); err != nil {
		return RMSTDifferenceResult{}, err
	}
	if len(exposed) != len(time) {
		return RMSTDifferenceResult{}, wrongLength(function, "exposed", len(exposed), len(time))
	}
	var times [2][]float64
	var events [2][]bool
	for i, x := range exposed {
		g := 0
		if x {
			g = 1
		}
		times[g] = append(times[g], time[i])
		events[g] = append(events[g], event[i])
	}
	for g, name := range []string{"true", "false"} {
		if len(times[g]) == 0 {
			return RMSTDifferenceResult{}, &InputError{function, "exposed", -1, name + " for every patient", "both groups present", "choose a cut that divides the patients"}
		}
	}
	reference, err := rmst(function, "tau (patients not exposed)", times[0], events[0], tau, level)
	if err != nil {
		return RMSTDifferenceResult{}, err
	}
	high, err := rmst(function, "tau (exposed patients)", times[1], events[1], tau, level)
	if err != nil {
		return RMSTDifferenceResult{}, err
	}
	r := RMSTDifferenceResult{
		Difference: high.RMST - reference.RMST, SE: math.Hypot(high.SE, reference.SE),
		Level: level, Exposed: high, Reference: reference,
	}
	half := normalQuantile(level) * r.SE
	r.Low, r.High = r.Difference-half, r.Difference+half
	r.Z, r.P = wald(r.Difference, r.SE)
	return r, nil
}
