package stats

import (
	"fmt"
	"slices"
)

// TimeAUCResult is a time-dependent AUC: slices with one element per time asked for.
type TimeAUCResult struct {
	Time      []float64 // days, ascending
	AUC       []float64 // probability that a patient dead by Time had a higher score than one alive then
	SE        []float64
	Low, High []float64 // AUC +- z SE, cut to 0..1
	Cases     []int     // patients known to be dead by Time
	Controls  []int     // patients known to be alive after Time
	Mean      float64   // mean of AUC, each weighted by the fall of Kaplan-Meier survival since the time before; NaN where it does not fall
	Level     float64
	N         int
}

// TimeAUC gives the cumulative/dynamic AUC at each of times (days, ascending): cases
// have died at or before t, controls live longer than t, and
//
//	AUC(t) = sum over cases i, controls j of w_i [s_i > s_j] / (sum of w_i x controls),
//
// ties in score counting one half, w_i = 1/G(T_i-), G the Kaplan-Meier estimate of not
// being censored. Patients censored at or before t are neither, and the weights stand in
// for them as long as censoring has nothing to do with risk. HIGHER SCORE = HIGHER RISK.
// With nobody censored it is the [AUC] of "dead by t". SE is the infinitesimal jackknife,
// the estimation of G included. O(n log n) per time.
//
// The same number: scikit-survival cumulative_dynamic_auc (up to deaths and censorings
// on one day: it takes G(T_i), we G(T_i-) as Uno does; Mean as there), timeROC (weighting=
// "marginal") and riskRegression::Score(metrics="auc", cens.model="km"); the SE of the
// latter two agrees up to terms that vanish with n.
//
// Errors: *InputError for empty input, unequal lengths, unusable times or scores, times
// that do not rise, and a time at which nobody is known to be dead, or alive.
//
// Uno H et al. JASA 2007;102:527-537. doi:10.1198/016214507000000149; Hung H, Chiang CT.
// Canadian Journal of Statistics 2010;38:8-26. doi:10.1002/cjs.10046; Blanche P et al.
// Statistics in Medicine 2013;32:5381-5397. doi:10.1002/sim.5958; Lambert J, Chevret S.
// Stat Methods Med Res 2016;25:2088-2102. doi:10.1177/0962280213515571 (the mean)
func TimeAUC(time []float64, event []bool, score, times []float64, level float64) (TimeAUCResult, error) {
	const function = "TimeAUC"
	if err := checkConcordance(function, time, event, score, level); err != nil {
		return TimeAUCResult{}, err
	}
	if err := checkHorizons(function, times); err != nil {
		return TimeAUCResult{}, err
	}
	n := len(time)
	r := TimeAUCResult{Time: slices.Clone(times), Level: level, N: n}
	g := newCensoring(time, event)
	weight := make([]float64, n)
	for i, t := range time {
		weight[i] = 1 / g.before[g.step(t)]
	}
	byScore := ranked(score)
	for k, t := range times {
		auc, influence, cases, controls := timeAUC(time, event, byScore, weight, t)
		if cases == 0 || controls == 0 {
			return TimeAUCResult{}, &InputError{function, "times", k, fmt.Sprintf("%v with %d patients known to be dead and %d known to be alive", t, cases, controls),
				"a time within follow-up, after the first death", "choose another time"}
		}
		// w_i falls as G rises: the derivative in log G is that in log w, turned round.
		passing := make([]float64, len(g.time))
		for i := range n {
			if step := g.step(time[i]); event[i] && time[i] <= t && step > 0 {
				passing[step-1] -= influence[i] // G(T-) is the product up to the step before
			}
		}
		for s := len(passing) - 2; s >= 0; s-- {
			passing[s] += passing[s+1]
		}
		g.influence(time, event, passing, influence)
		se := norm(influence)
		low, high := clippedInterval(auc, se, level)
		r.AUC, r.SE = append(r.AUC, auc), append(r.SE, se)
		r.Low, r.High = append(r.Low, low), append(r.High, high)
		r.Cases, r.Controls = append(r.Cases, cases), append(r.Controls, controls)
	}
	r.Mean = meanOverDeaths(time, event, times, r.AUC)
	return r, nil
}

// timeAUC gives the AUC at t and its derivative in the weight of each patient, G taken
// as known; byScore are the scores, ascending.
func timeAUC(time []float64, event []bool, byScore []valueIndex, weight []float64, t float64) (auc float64, influence []float64, cases, controls int) {
	isCase := func(i int) bool { return event[i] && time[i] <= t }
	influence = make([]float64, len(time))
	total := 0.0
	for i := range time {
		if isCase(i) {
			total += weight[i]
			cases++
		} else if time[i] > t {
			controls++
		}
	}
	if cases == 0 || controls == 0 {
		return 0, nil, cases, controls
	}
	// The share of controls below each case and of case weight above each control.
	casesBelow, controlsBelow := 0.0, 0.0
	for from := 0; from < len(byScore); {
		to := from
		casesHere, controlsHere := 0.0, 0.0
		for ; to < len(byScore) && byScore[to].value == byScore[from].value; to++ {
			if i := byScore[to].index; isCase(i) {
				casesHere += weight[i]
			} else if time[i] > t {
				controlsHere++
			}
		}
		for _, o := range byScore[from:to] {
			if i := o.index; isCase(i) {
				influence[i] = (controlsBelow + controlsHere/2) / float64(controls)
				auc += weight[i] * influence[i] / total
			} else if time[i] > t {
				influence[i] = 1 - (casesBelow+casesHere/2)/total
			}
		}
		casesBelow += casesHere
		controlsBelow += controlsHere
		from = to
	}
	for i := range time {
		if isCase(i) {
			influence[i] = (influence[i] - auc) * weight[i] / total
		} else if time[i] > t {
			influence[i] = (influence[i] - auc) / float64(controls)
		}
	}
	return auc, influence, cases, controls
}

// checkHorizons accepts finite times, 0 or more, that rise.
func checkHorizons(function string, times []float64) error {
	if len(times) == 0 {
		return &InputError{function, "times", -1, "empty", "at least one time", "use 730 for two years"}
	}
	if err := checkFinite(function, "times", times); err != nil {
		return err
	}
	for k, t := range times {
		if t < 0 || k > 0 && t <= times[k-1] {
			return &InputError{function, "times", k, fmt.Sprint(t), "days, 0 or more, in rising order", "sort the times and leave doubles out"}
		}
	}
	return nil
}

// meanOverDeaths weighs the value at each time by the share of deaths since the time
// before.
func meanOverDeaths(time []float64, event []bool, times, value []float64) float64 {
	if len(times) == 1 {
		return value[0]
	}
	survival, k, before := 1.0, 0, 1.0
	sum := 0.0
	steps := instants(time, event)
	for i, t := range times {
		for ; k < len(steps) && steps[k].time <= t; k++ {
			survival *= float64(steps[k].atRisk-steps[k].deaths) / float64(steps[k].atRisk)
		}
		sum += value[i] * (before - survival)
		before = survival
	}
	return sum / (1 - before)
}
