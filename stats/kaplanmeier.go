package stats

import (
	"fmt"
	"math"
	"slices"
)

// instant is what happens at one distinct time: atRisk patients are followed until
// at least then, deaths of them die and censored of them leave.
type instant struct {
	time                     float64
	atRisk, deaths, censored int
}

// instants groups patients by distinct time, ascending.
func instants(time []float64, event []bool) []instant {
	var out []instant
	for k, o := range ranked(time) {
		if len(out) == 0 || out[len(out)-1].time != o.value {
			out = append(out, instant{time: o.value, atRisk: len(time) - k})
		}
		at := &out[len(out)-1]
		if event[o.index] {
			at.deaths++
		} else {
			at.censored++
		}
	}
	return out
}

// greenwoodTerm is d / (n (n - d)), the growth of the variance of log S; infinite
// where the curve falls to zero.
func (i instant) greenwoodTerm() float64 {
	return float64(i.deaths) / (float64(i.atRisk) * float64(i.atRisk-i.deaths))
}

// SurvivalCurve is a Kaplan-Meier estimate: slices of one length, one element per
// distinct time, deaths and censorings alike. Survival holds from its time until
// just before the next one and is 1 before the first.
type SurvivalCurve struct {
	Time     []float64 // ascending, days
	Risk     []int     // patients followed until at least Time
	Events   []int     // of them dead at Time
	Censored []int     // of them censored at Time
	Survival []float64 // probability of living longer than Time; never rises
	SE       []float64 // standard error of Survival (Greenwood); NaN where Survival is 0
	// Low and High are the pointwise confidence interval; NaN where its scale does not
	// exist (R gives NA): log-log where Survival is 0 or 1, the others where it is 0.
	Low, High []float64
	// Median is the first time at which Survival is at most one half (the middle of
	// the step where it equals one half), NaN when that is never reached; MedianLow
	// and MedianHigh are the same for Low and High.
	Median, MedianLow, MedianHigh float64
	Interval                      CurveInterval
	Level                         float64
	N                             int // patients
	Deaths                        int // of them dead
}

// CurveInterval is the scale on which the interval of a probability is symmetric. With
// se the standard error of log S, the interval of a probability S is
//
//	log-log  S^exp(+- z se / log S), within 0..1 by itself
//	log      S exp(+- z se), cut at 1
//	plain    S +- z S se, cut to 0..1
type CurveInterval string

// The scales, as survfit's conf.type names them.
const (
	LogLogInterval CurveInterval = "log-log"
	LogInterval    CurveInterval = "log"
	PlainInterval  CurveInterval = "plain"
)

// checkInterval is the scale a caller chose in a trailing argument.
func checkInterval(function string, chosen []CurveInterval, standard CurveInterval) (CurveInterval, error) {
	if len(chosen) == 0 {
		return standard, nil
	}
	if len(chosen) > 1 {
		return "", &InputError{function, "interval", -1, fmt.Sprintf("%d scales", len(chosen)), "one scale at most", "call once for each scale"}
	}
	switch chosen[0] {
	case LogLogInterval, LogInterval, PlainInterval:
		return chosen[0], nil
	}
	return "", &InputError{function, "interval", -1, fmt.Sprintf("%q", string(chosen[0])), "log-log, log or plain", "use " + string(standard)}
}

// of gives the interval of a probability s, se the standard error of log s.
func (i CurveInterval) of(s, se, z float64) (low, high float64) {
	if s <= 0 {
		if i == PlainInterval && se == 0 {
			return 0, 0 // an incidence that has not begun; Greenwood's se is infinite at S = 0
		}
		return math.NaN(), math.NaN()
	}
	switch i {
	case LogInterval:
		return s * math.Exp(-z*se), math.Min(1, s*math.Exp(z*se))
	case PlainInterval:
		return math.Max(0, s-z*se*s), math.Min(1, s+z*se*s)
	}
	if s >= 1 {
		return math.NaN(), math.NaN()
	}
	half := z * se / -math.Log(s)
	return math.Pow(s, math.Exp(half)), math.Pow(s, math.Exp(-half))
}

// KaplanMeier estimates the survival function,
//
//	S(t) = product over death times u <= t of (1 - d(u)/n(u)),
//
// d deaths among n at risk; patients censored at u are at risk at u. The standard
// error of S is Greenwood's, S sqrt(sum d/(n(n-d))); the interval is the log-log one
// unless another [CurveInterval] is given. The median's interval is where the band's edges cross one half
// (Brookmeyer and Crowley). Everybody censored is allowed: the curve stays at 1 and
// the median is NaN. A single patient is allowed. O(n log n).
//
// In R: survfit(Surv(time, event) ~ 1, conf.type=interval, conf.int=level); SE is
// summary(fit)$std.err and the medians are those of summary(fit)$table.
//
// Errors: *InputError for empty input, unequal lengths, times that are negative, NaN
// or infinite, a level outside 0..1, and an unknown interval.
//
// Kaplan EL, Meier P. JASA 1958;53:457-481. doi:10.1080/01621459.1958.10501452;
// Brookmeyer R, Crowley J. Biometrics 1982;38:29-41. doi:10.2307/2530286;
// Kalbfleisch JD, Prentice RL. The Statistical Analysis of Failure Time Data. doi:10.1002/9781118032985
func KaplanMeier(time []float64, event []bool, level float64, interval ...CurveInterval) (SurvivalCurve, error) {
	if err := checkSurvival("KaplanMeier", time, event); err != nil {
		return SurvivalCurve{}, err
	}
	if err := checkLevel("KaplanMeier", level); err != nil {
		return SurvivalCurve{}, err
	}
	scale, err := checkInterval("KaplanMeier", interval, LogLogInterval)
	if err != nil {
		return SurvivalCurve{}, err
	}
	z := normalQuantile(level)
	c := SurvivalCurve{Interval: scale, Level: level, N: len(time)}
	s, variance := 1.0, 0.0
	for _, i := range instants(time, event) {
		if i.deaths > 0 {
			s *= float64(i.atRisk-i.deaths) / float64(i.atRisk)
			variance += i.greenwoodTerm()
		}
		low, high := scale.of(s, math.Sqrt(variance), z)
		c.Time = append(c.Time, i.time)
		c.Risk = append(c.Risk, i.atRisk)
		c.Events = append(c.Events, i.deaths)
		c.Censored = append(c.Censored, i.censored)
		c.Survival = append(c.Survival, s)
		c.SE = append(c.SE, s*math.Sqrt(variance)) // 0 times infinity is NaN, as documented
		c.Low = append(c.Low, low)
		c.High = append(c.High, high)
		c.Deaths += i.deaths
	}
	c.Median = firstBelowHalf(c.Time, c.Survival)
	c.MedianLow = firstBelowHalf(c.Time, c.Low)
	c.MedianHigh = firstBelowHalf(c.Time, c.High)
	return c, nil
}

// firstBelowHalf finds where a falling step curve reaches one half. A product of
// fractions may miss one half by rounding, hence R's tolerance.
func firstBelowHalf(time, curve []float64) float64 {
	const tolerance = 1.4901161193847656e-08 // sqrt of the float64 epsilon
	for i, s := range curve {
		if math.IsNaN(s) || s >= 0.5+tolerance {
			continue
		}
		if math.Abs(s-0.5) < tolerance {
			for k := i + 1; k < len(curve); k++ {
				if curve[k] < s {
					return (time[i] + time[k]) / 2
				}
			}
		}
		return time[i]
	}
	return math.NaN()
}

// AtRisk is, for the table under the figure, how many patients were followed until
// at least each of times (days, any order).
func (c SurvivalCurve) AtRisk(times []float64) []int {
	out := make([]int, len(times))
	for k, t := range times {
		if i, _ := slices.BinarySearch(c.Time, t); i < len(c.Risk) {
			out[k] = c.Risk[i]
		}
	}
	return out
}

// At is the curve with its interval at time t in days: 1, NaN, NaN before the first
// time, and the last values after the last one (how many were still followed there
// is for the reader to judge, see [SurvivalCurve.AtRisk]).
func (c SurvivalCurve) At(t float64) (survival, low, high float64) {
	i := lastNotAfter(c.Time, t)
	if i < 0 {
		return 1, math.NaN(), math.NaN()
	}
	return c.Survival[i], c.Low[i], c.High[i]
}
