package forest

import (
	"fmt"
	"math"
	"slices"

	"hounsfield/models/tabular"
)

// binned is a table made ready for growing.
type binned struct {
	patients int
	// values[feature][patient]; for a categorical feature the level's place in order.
	values [][]float64
	codes  [][]uint16 // codes[feature][patient], the value's bin; len(low[feature]) if missing
	low    [][]float64
	high   [][]float64 // smallest and largest value in each bin, ascending
	levels []levels    // nil for features that are not categories
}

// levels maps a category's number to its place in order of the outcome.
type levels map[float64]float64

// place replaces numbers of levels by places; unknown levels are missing.
func (l levels) place(column []float64) []float64 {
	places := make([]float64, len(column))
	for i, v := range column {
		p, ok := l[v]
		if !ok { // a NaN finds nothing either
			p = math.NaN()
		}
		places[i] = p
	}
	return places
}

// bin cuts every feature into bins. outcome gives each patient a numerator and a
// denominator, by whose ratio of sums levels are ordered.
func bin(function string, x [][]float64, names []string, o Options, outcome func(patient int) (over, under float64)) (*binned, error) {
	d := &binned{
		patients: len(x[0]), values: make([][]float64, len(x)), codes: make([][]uint16, len(x)),
		low: make([][]float64, len(x)), high: make([][]float64, len(x)), levels: make([]levels, len(x)),
	}
	tooMany := make([]int, len(x))
	parallel(o.Workers, len(x), func() func(int) {
		order := make([]float64, 0, d.patients)
		return func(j int) {
			d.values[j] = x[j]
			if o.Categorical != nil && o.Categorical[j] {
				d.levels[j] = orderLevels(x[j], outcome)
				d.values[j] = d.levels[j].place(x[j])
			}
			order = order[:0]
			for _, v := range d.values[j] {
				if !math.IsNaN(v) {
					order = append(order, v)
				}
			}
			slices.Sort(order)
			distinct := 0
			for i, v := range order {
				if i == 0 || v != order[i-1] {
					distinct++
				}
			}
			bins := o.Bins
			// Levels are never joined: their order is all that is known of them.
			if o.Exact || d.levels[j] != nil {
				bins = distinct
			}
			if distinct <= bins && distinct > maxBins {
				tooMany[j] = distinct
				return
			}
			d.low[j], d.high[j] = cutBins(order, distinct, bins)
			d.codes[j] = code(d.values[j], d.high[j])
		}
	})
	for j, distinct := range tooMany {
		if distinct > 0 {
			e := tabular.Refuse(function, "x", fmt.Sprintf("%d distinct values", distinct), fmt.Sprintf("at most %d for an exact search", maxBins),
				"leave Options.Exact unset and choose Options.Bins")
			e.Feature, e.Name = j, tabular.Name(names, j)
			return nil, e
		}
	}
	return d, nil
}

// cutBins divides sorted values into at most `bins` bins of about equally many; equal
// values stay together.
func cutBins(sorted []float64, distinct, bins int) (low, high []float64) {
	low, high = make([]float64, 0, min(distinct, bins)), make([]float64, 0, min(distinct, bins))
	for i := 0; i < len(sorted); {
		end := i + 1
		if distinct > bins {
			// What is left, shared among the bins that are left.
			end = i + max(1, (len(sorted)-i)/(bins-len(high)))
		}
		for end < len(sorted) && sorted[end] == sorted[end-1] {
			end++
		}
		low, high = append(low, sorted[i]), append(high, sorted[end-1])
		i = end
	}
	return low, high
}

func code(column, high []float64) []uint16 {
	codes := make([]uint16, len(column))
	for i, v := range column {
		if math.IsNaN(v) {
			codes[i] = uint16(len(high))
			continue
		}
		c, _ := slices.BinarySearch(high, v)
		codes[i] = uint16(c)
	}
	return codes
}

// between is the cut that parts bin a of a feature from a later bin b.
func (d *binned) between(feature, a, b int) float64 {
	left, right := d.high[feature][a], d.low[feature][b]
	// Halves first: the sum of two large numbers may overflow.
	middle := left/2 + right/2
	if middle < left || middle >= right {
		return left // neighbours in float64, or rounded outside
	}
	return middle
}

func orderLevels(column []float64, outcome func(int) (over, under float64)) levels {
	type level struct{ number, over, under float64 }
	at := map[float64]int{}
	var all []level
	for i, v := range column {
		if math.IsNaN(v) {
			continue
		}
		k, ok := at[v]
		if !ok {
			k = len(all)
			at[v] = k
			all = append(all, level{number: v})
		}
		over, under := outcome(i)
		all[k].over += over
		all[k].under += under
	}
	ratio := func(l level) float64 {
		if l.under == 0 { // nobody was at risk when anybody died: no sign either way
			return 1
		}
		return l.over / l.under
	}
	slices.SortFunc(all, func(a, b level) int {
		ra, rb := ratio(a), ratio(b)
		switch {
		case ra < rb || ra == rb && a.number < b.number:
			return -1
		case ra > rb || a.number > b.number:
			return 1
		}
		return 0
	})
	l := make(levels, len(all))
	for k, v := range all {
		l[v.number] = float64(k)
	}
	return l
}
