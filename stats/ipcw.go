package stats

import "slices"

// censoring is the Kaplan-Meier estimate G of not being censored: a patient who dies
// on a day is no longer at risk of being censored that day.
type censoring struct {
	time          []float64 // distinct times, ascending
	before, after []float64 // G(t-) and G(t)
	left          []float64 // patients censored at the time
	rest          []float64 // patients at risk of that: those beyond the time, and left
}

func newCensoring(time []float64, event []bool) censoring {
	var c censoring
	g := 1.0
	for _, s := range instants(time, event) {
		c.time = append(c.time, s.time)
		c.before = append(c.before, g)
		left, rest := float64(s.censored), float64(s.atRisk-s.deaths)
		if s.censored > 0 {
			g *= (rest - left) / rest
		}
		c.after = append(c.after, g)
		c.left, c.rest = append(c.left, left), append(c.rest, rest)
	}
	return c
}

// step is the place of a patient's time.
func (c censoring) step(t float64) int {
	i, _ := slices.BinarySearch(c.time, t)
	return i
}

// at is G(t).
func (c censoring) at(t float64) float64 {
	if i := lastNotAfter(c.time, t); i >= 0 {
		return c.after[i]
	}
	return 1
}

// influence adds to out the effect of each patient's weight on a statistic that G
// enters: passing[k] is the derivative of the statistic in log G's factor at time k,
// that is the sum over all G(s) in it with s at or after time k (for G(s-), after it) of
// d statistic / d log G(s).
//
// The factor's log(1 - C/Y) grows by C/(Y(Y-C)) with each patient at risk (Y), and by
// -1/(Y-C) more when that patient is censored there (C).
func (c censoring) influence(time []float64, event []bool, passing, out []float64) {
	stayed := make([]float64, len(c.time)+1) // sums over times before k
	for k := range c.time {
		stayed[k+1] = stayed[k]
		if c.left[k] > 0 && passing[k] != 0 {
			stayed[k+1] += passing[k] * c.left[k] / (c.rest[k] * (c.rest[k] - c.left[k]))
		}
	}
	for i, t := range time {
		k := c.step(t)
		if event[i] {
			out[i] += stayed[k]
			continue
		}
		out[i] += stayed[k+1]
		if passing[k] != 0 {
			out[i] -= passing[k] / (c.rest[k] - c.left[k])
		}
	}
}
