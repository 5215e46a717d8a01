package stats

import (
	"fmt"
	"math"
	"slices"
)

// SurvivalBrierResult is the squared error of survival forecasts: slices with one
// element per time asked for.
type SurvivalBrierResult struct {
	Time      []float64 // days, ascending
	Brier     []float64 // 0 = perfect; 0.25 = always saying one half
	SE        []float64
	Low, High []float64 // Brier +- z SE, cut at 0
	Null      []float64 // Brier of the Kaplan-Meier curve of these patients, the same forecast for all
	Scaled    []float64 // 1 - Brier/Null: above 0 = better than the curve; NaN where Null is 0
	// Integrated is the area under Brier by the trapezoidal rule, divided by the time
	// from the first to the last of Time; NaN for a single time. The others follow it.
	Integrated, IntegratedSE         float64
	IntegratedLow, IntegratedHigh    float64
	IntegratedNull, IntegratedScaled float64
	Level                            float64
	N                                int
}

// SurvivalBrier gives the Brier score of survival forecasts under censoring:
// survival[i][k] is the forecast probability that patient i lives longer than times[k]
// (days, ascending; [CoxResult.PredictSurvival] makes such a table). At t it is the mean
// over all patients of
//
//	(0 - S)^2 / G(T-)  dead at or before t
//	(1 - S)^2 / G(t)   followed for longer than t
//	0                  censored at or before t
//
// G the Kaplan-Meier estimate of not being censored in these patients: the weights
// stand in for the censored as long as censoring has nothing to do with risk. LOWER IS
// BETTER. SE is the infinitesimal jackknife, the estimation of G included.
//
// The same number: scikit-survival brier_score and integrated_brier_score (up to deaths
// and censorings on one day: it takes G(T), we G(T-) as Graf does), pec and
// riskRegression::Score(metrics="brier", cens.model="km"), whose SE agrees up to terms
// that vanish with n; their integrals are step sums from 0, not this one.
//
// Errors: *InputError for empty input, unequal lengths or rows, unusable times,
// forecasts outside 0..1, times that do not rise, and a time at or after the last
// follow-up that ends in a censoring, where the error cannot be known. Everybody
// censored is an answer as long as somebody is followed for longer.
//
// Graf E et al. Statistics in Medicine 1999;18:2529-2545.
// doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5; Gerds TA,
// Schumacher M. Biometrical Journal 2006;48:1029-1040. doi:10.1002/bimj.200610301
func SurvivalBrier(time []float64, event []bool, survival [][]float64, times []float64, level float64) (SurvivalBrierResult, error) {
	const function = "SurvivalBrier"
	if err := checkForecasts(function, time, event, survival, times, level); err != nil {
		return SurvivalBrierResult{}, err
	}
	n := len(time)
	r := SurvivalBrierResult{Time: slices.Clone(times), Level: level, N: n}
	g := newCensoring(time, event)
	curve, err := KaplanMeier(time, event, level)
	if err != nil {
		return SurvivalBrierResult{}, err
	}
	z := normalQuantile(level)
	forecast := make([]float64, n)
	influences := make([][]float64, len(times))
	for k, t := range times {
		if g.at(t) == 0 {
			return SurvivalBrierResult{}, &InputError{function, "times", k, fmt.Sprint(t), fmt.Sprintf("less than %v days, the last follow-up", g.time[len(g.time)-1]), "choose an earlier time"}
		}
		for i := range forecast {
			forecast[i] = survival[i][k]
		}
		brier, influence := g.brier(time, event, forecast, t, true)
		influences[k] = influence
		se := norm(influence)
		for i := range forecast {
			forecast[i], _, _ = curve.At(t)
		}
		null, _ := g.brier(time, event, forecast, t, false)
		r.Brier, r.SE = append(r.Brier, brier), append(r.SE, se)
		r.Low, r.High = append(r.Low, math.Max(0, brier-z*se)), append(r.High, brier+z*se)
		r.Null, r.Scaled = append(r.Null, null), append(r.Scaled, scaledBrier(brier, null))
	}
	r.integrate(influences, z)
	return r, nil
}

func checkForecasts(function string, time []float64, event []bool, survival [][]float64, times []float64, level float64) error {
	if err := checkSurvival(function, time, event); err != nil {
		return err
	}
	if len(survival) != len(time) {
		return wrongLength(function, "survival", len(survival), len(time))
	}
	if err := checkLevel(function, level); err != nil {
		return err
	}
	if err := checkHorizons(function, times); err != nil {
		return err
	}
	for i, row := range survival {
		if len(row) != len(times) {
			return &InputError{function, "survival", i, fmt.Sprintf("%d long", len(row)), fmt.Sprintf("%d probabilities, one per time", len(times)), "predict at these times"}
		}
		for k, s := range row {
			if !(s >= 0 && s <= 1) {
				return &InputError{function, "survival", i, fmt.Sprintf("%v at time %v", s, times[k]), "a probability of living longer, 0 to 1", "pass probabilities, not scores"}
			}
		}
	}
	return nil
}

// brier gives the score at t and, if asked for, its derivative in the weight of each
// patient.
func (g censoring) brier(time []float64, event []bool, survival []float64, t float64, derive bool) (brier float64, influence []float64) {
	n := float64(len(time))
	loss := make([]float64, len(time))
	alive := 0.0 // loss of those followed for longer
	for i, u := range time {
		switch {
		case u > t:
			loss[i] = square(1-survival[i]) / g.at(t)
			alive += loss[i]
		case event[i]:
			loss[i] = square(survival[i]) / g.before[g.step(u)]
		}
		brier += loss[i] / n
	}
	if !derive {
		return brier, nil
	}
	// The loss falls as G rises.
	passing := make([]float64, len(g.time))
	if last := lastNotAfter(g.time, t); last >= 0 {
		passing[last] = -alive / n
	}
	for i, u := range time {
		if step := g.step(u); event[i] && u <= t && step > 0 {
			passing[step-1] -= loss[i] / n
		}
	}
	for s := len(passing) - 2; s >= 0; s-- {
		passing[s] += passing[s+1]
	}
	influence = make([]float64, len(time))
	for i := range influence {
		influence[i] = (loss[i] - brier) / n
	}
	g.influence(time, event, passing, influence)
	return brier, influence
}

// integrate fills the integrated fields; influences belong to the scores.
func (r *SurvivalBrierResult) integrate(influences [][]float64, z float64) {
	k := len(r.Time)
	if k == 1 {
		nan := math.NaN()
		r.Integrated, r.IntegratedSE, r.IntegratedLow, r.IntegratedHigh, r.IntegratedNull, r.IntegratedScaled = nan, nan, nan, nan, nan, nan
		return
	}
	total := make([]float64, r.N)
	for i, t := range r.Time {
		width := 0.0 // of the trapezoids on either side, halved
		if i > 0 {
			width += (t - r.Time[i-1]) / 2
		}
		if i < k-1 {
			width += (r.Time[i+1] - t) / 2
		}
		width /= r.Time[k-1] - r.Time[0]
		r.Integrated += width * r.Brier[i]
		r.IntegratedNull += width * r.Null[i]
		for j, v := range influences[i] {
			total[j] += width * v
		}
	}
	r.IntegratedSE = norm(total)
	r.IntegratedLow, r.IntegratedHigh = math.Max(0, r.Integrated-z*r.IntegratedSE), r.Integrated+z*r.IntegratedSE
	r.IntegratedScaled = scaledBrier(r.Integrated, r.IntegratedNull)
}

func scaledBrier(brier, null float64) float64 {
	if null == 0 {
		return math.NaN()
	}
	return 1 - brier/null
}

// norm is the root of the sum of squares.
func norm(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum)
}
