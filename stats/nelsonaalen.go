package stats

import (
	"math"
	"slices"
)

// HazardCurve is a Nelson-Aalen estimate: slices of one length, one element per
// distinct time, deaths and censorings alike. Hazard holds from its time until just
// before the next one and is 0 before the first.
type HazardCurve struct {
	Time     []float64 // ascending, days
	Risk     []int     // patients followed until at least Time
	Events   []int     // of them dead at Time
	Censored []int     // of them censored at Time
	Hazard   []float64 // cumulative hazard up to Time: expected deaths of one patient who could die repeatedly; never falls
	SE       []float64
	// Low and High are the pointwise confidence interval; NaN before the first death
	// on the log scale.
	Low, High []float64
	Interval  CurveInterval
	Level     float64
	N         int
	Deaths    int
}

// NelsonAalen estimates the cumulative hazard,
//
//	H(t) = sum over death times u <= t of d(u)/n(u),
//
// d deaths among n at risk, with variance sum d/n^2 (Aalen's). The interval is
// symmetric in log H, H exp(+- z se/H), or with [PlainInterval] H +- z se, cut at 0.
// (On the survival exp(-H) these are the log-log and the log interval.) exp(-H) is
// the Fleming-Harrington (Breslow) estimate of survival, never below Kaplan-Meier.
// Everybody censored is allowed: H stays 0. O(n log n).
//
// In R: survfit(Surv(time, event) ~ 1, stype=2, ctype=1), $cumhaz and $std.chaz.
//
// Errors: *InputError as for [KaplanMeier]; log-log is not a scale of a hazard.
//
// Aalen O. Annals of Statistics 1978;6:701-726. doi:10.1214/aos/1176344247; Nelson W.
// Journal of Quality Technology 1969;1:27-52. doi:10.1080/00224065.1969.11980344;
// Bie O, Borgan O, Liestol K. Scand J Statist 1987;14:221-233 (the intervals).
func NelsonAalen(time []float64, event []bool, level float64, interval ...CurveInterval) (HazardCurve, error) {
	const function = "NelsonAalen"
	if err := checkSurvival(function, time, event); err != nil {
		return HazardCurve{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return HazardCurve{}, err
	}
	scale, err := checkInterval(function, interval, LogInterval)
	if err != nil {
		return HazardCurve{}, err
	}
	if scale == LogLogInterval {
		return HazardCurve{}, &InputError{function, "interval", -1, `"log-log"`, "log or plain", "use log: it is log-log on the survival exp(-H)"}
	}
	z := normalQuantile(level)
	c := HazardCurve{Interval: scale, Level: level, N: len(time)}
	hazard, variance := 0.0, 0.0
	for _, i := range instants(time, event) {
		d, n := float64(i.deaths), float64(i.atRisk)
		hazard += d / n
		variance += d / (n * n)
		se := math.Sqrt(variance)
		low, high := math.Max(0, hazard-z*se), hazard+z*se
		if scale == LogInterval {
			low, high = hazard*math.Exp(-z*se/hazard), hazard*math.Exp(z*se/hazard) // 0/0 is NaN, as documented
		}
		c.Time = append(c.Time, i.time)
		c.Risk = append(c.Risk, i.atRisk)
		c.Events = append(c.Events, i.deaths)
		c.Censored = append(c.Censored, i.censored)
		c.Hazard = append(c.Hazard, hazard)
		c.SE = append(c.SE, se)
		c.Low = append(c.Low, low)
		c.High = append(c.High, high)
		c.Deaths += i.deaths
	}
	return c, nil
}

// At is the cumulative hazard with its interval at time t in days: 0, NaN, NaN before
// the first time, and the last values after the last one.
func (c HazardCurve) At(t float64) (hazard, low, high float64) {
	i := lastNotAfter(c.Time, t)
	if i < 0 {
		return 0, math.NaN(), math.NaN()
	}
	return c.Hazard[i], c.Low[i], c.High[i]
}

// lastNotAfter is the step of a curve that holds at t, -1 before the first.
func lastNotAfter(time []float64, t float64) int {
	i, found := slices.BinarySearch(time, t)
	if !found {
		i--
	}
	return i
}
