package stats

import (
	"fmt"
	"math"
	"slices"
)

// IncidenceCurve is the cumulative incidence of one cause: slices of one length, one
// element per distinct time, events and censorings alike. Incidence holds from its
// time until just before the next one and is 0 before the first.
type IncidenceCurve struct {
	Cause     int
	Time      []float64 // ascending, days
	Risk      []int     // patients followed free of any event until at least Time
	Events    []int     // of them with an event of this cause at Time
	Incidence []float64 // probability of an event of this cause up to Time; never falls
	SE        []float64
	// Low and High are the pointwise confidence interval; NaN where its scale does not
	// exist: log-log where Incidence is 0 or 1, log where it is 0.
	Low, High []float64
	Interval  CurveInterval
	Level     float64
	N         int
	Total     int // events of this cause
}

// CumulativeIncidence gives the Aalen-Johansen estimate for each cause when patients can
// have one of several first events, such as death of cancer and of something else:
//
//	F_k(t) = sum over event times u <= t of S(u-) d_k(u)/n(u),
//
// S the Kaplan-Meier estimate of being free of ANY event. Taking the other causes for
// censorings in [KaplanMeier] would overstate every F_k. cause is 0 for a censored
// patient, otherwise 1, 2, ...; there is one curve per cause found, by ascending
// number, and at any time they add up to 1 - S. Everybody censored is allowed: then
// there is no curve. O(n log n) for each cause.
//
// The variance is Aalen's with a correction for ties; the interval is the log-log one,
// F^exp(+- z SE/(F log F)), unless another [CurveInterval] is given.
//
// In R: cmprsk::cuminc(time, cause), whose $var is SE^2; the estimate is that of
// survfit(Surv(time, factor(cause)) ~ 1), whose std.err differs (infinitesimal
// jackknife).
//
// Errors: *InputError for empty input, unequal lengths, unusable times, a negative
// cause, a level outside 0..1, an unknown interval.
//
// Aalen OO, Johansen S. Scand J Statist 1978;5:141-150; Aalen O. Annals of Statistics
// 1978;6:534-545. doi:10.1214/aos/1176344198; Choudhury JB. Statistics in Medicine
// 2002;21:1129-1144. doi:10.1002/sim.1070 (the interval)
func CumulativeIncidence(time []float64, cause []int, level float64, interval ...CurveInterval) ([]IncidenceCurve, error) {
	const function = "CumulativeIncidence"
	causes, err := checkCauses(function, time, cause)
	if err != nil {
		return nil, err
	}
	if err := checkLevel(function, level); err != nil {
		return nil, err
	}
	scale, err := checkInterval(function, interval, LogLogInterval)
	if err != nil {
		return nil, err
	}
	steps := competingSteps(time, cause, causes)
	curves := make([]IncidenceCurve, len(causes))
	for k := range causes {
		curves[k] = incidence(steps, k)
		c := &curves[k]
		c.Cause, c.Interval, c.Level, c.N = causes[k], scale, level, len(time)
		z := normalQuantile(level)
		for i, f := range c.Incidence {
			relative := 0.0
			if f > 0 {
				relative = c.SE[i] / f
			}
			low, high := scale.of(f, relative, z)
			c.Low, c.High = append(c.Low, low), append(c.High, high)
		}
	}
	return curves, nil
}

// At is the incidence with its interval at time t in days: 0, NaN, NaN before the first
// time, and the last values after the last one.
func (c IncidenceCurve) At(t float64) (incidence, low, high float64) {
	i := lastNotAfter(c.Time, t)
	if i < 0 {
		return 0, math.NaN(), math.NaN()
	}
	return c.Incidence[i], c.Low[i], c.High[i]
}

// checkCauses gives the causes found, ascending, without 0.
func checkCauses(function string, time []float64, cause []int) ([]int, error) {
	if len(time) > 0 && len(cause) != len(time) {
		return nil, wrongLength(function, "cause", len(cause), len(time))
	}
	if err := checkSurvival(function, time, make([]bool, len(time))); err != nil {
		return nil, err
	}
	for i, c := range cause {
		if c < 0 {
			return nil, &InputError{function, "cause", i, fmt.Sprint(c), "0 for censored, or a positive number", "number the causes from 1"}
		}
	}
	causes := slices.Clone(cause)
	slices.Sort(causes)
	causes = slices.Compact(causes)
	if causes[0] == 0 {
		causes = causes[1:]
	}
	return causes, nil
}

// competingStep is what happens at one distinct time.
type competingStep struct {
	time   float64
	atRisk int
	events []int // by cause
	all    int
}

func competingSteps(time []float64, cause, causes []int) []competingStep {
	var steps []competingStep
	for k, o := range ranked(time) {
		if len(steps) == 0 || steps[len(steps)-1].time != o.value {
			steps = append(steps, competingStep{time: o.value, atRisk: len(time) - k, events: make([]int, len(causes))})
		}
		s := &steps[len(steps)-1]
		if n, found := slices.BinarySearch(causes, cause[o.index]); found {
			s.events[n]++
			s.all++
		}
	}
	return steps
}

// spreadOf is the hypergeometric variance of d events among n at risk, as a multiple of
// d: 1 without ties, less with them.
func spreadOf(d, n float64) float64 {
	if d <= 1 {
		return 1
	}
	return 1 - (d-1)/(n-1)
}

// incidence is the curve of cause number k with its standard error.
//
// An event at u moves the later F(t) in two ways: it is a jump, if it is of the cause,
// and it scales what comes after u. So Var F(t) is the sum over u <= t of q (a - F(t) b)^2
// with q = S(u-)^2 d/n^2 (and ties), b = 1/S(u), a = F(u)/S(u), and 1 more for the cause
// itself; the square is taken apart into three running sums.
func incidence(steps []competingStep, k int) IncidenceCurve {
	var c IncidenceCurve
	survival, f := 1.0, 0.0
	var aa, ab, bb float64
	for _, s := range steps {
		n, mine, others := float64(s.atRisk), float64(s.events[k]), float64(s.all-s.events[k])
		f += survival * mine / n
		after := survival * float64(s.atRisk-s.all) / n
		b := 0.0 // nobody is left to be scaled
		if after > 0 {
			b = 1 / after
		}
		for _, part := range [2]struct{ events, a float64 }{{others, f * b}, {mine, 1 + f*b}} {
			if part.events == 0 {
				continue
			}
			q := square(survival/n) * part.events * spreadOf(part.events, n)
			aa += q * part.a * part.a
			ab += q * part.a * b
			bb += q * b * b
		}
		survival = after
		c.Time = append(c.Time, s.time)
		c.Risk = append(c.Risk, s.atRisk)
		c.Events = append(c.Events, s.events[k])
		c.Incidence = append(c.Incidence, f)
		c.SE = append(c.SE, math.Sqrt(math.Max(0, aa-2*f*ab+f*f*bb)))
		c.Total += s.events[k]
	}
	return c
}
