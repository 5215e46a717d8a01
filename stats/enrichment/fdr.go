package enrichment

import (
	"math"
	"slices"
)

// side holds what normalises the scores of one size: how many random sets scored at
// or above zero, and at or below, and the means of these.
type side struct {
	up, down         int
	meanUp, meanDown float64 // both positive; NaN where there was none
}

func newSide(null []float64) side {
	var s side
	for _, v := range null {
		if v >= 0 {
			s.up++
			s.meanUp += v
		}
		if v <= 0 {
			s.down++
			s.meanDown -= v
		}
	}
	s.meanUp /= float64(s.up)
	s.meanDown /= float64(s.down)
	return s
}

// normalise divides by the mean of the score's own side; 0 stays 0.
func (s side) normalise(es float64) float64 {
	switch {
	case es > 0:
		return es / s.meanUp
	case es < 0:
		return es / s.meanDown
	}
	return es
}

// judge compares a set's score with the random scores of its size. Small sets have
// few possible scores, the same one by different sums: they are equal within rounding.
func (s side) judge(set *SetResult, null []float64) {
	sign := 1.0
	set.SameSide = s.up
	if set.ES < 0 {
		sign, set.SameSide = -1, s.down
	}
	for _, v := range null {
		further := sign * (v - set.ES)
		if further >= -equalWithin {
			set.AtLeast++
		}
		if further > equalWithin {
			set.Beyond++
		}
	}
	set.NES = s.normalise(set.ES)
	set.P = float64(set.AtLeast+1) / float64(set.SameSide+1)
	set.PStrict = float64(set.Beyond) / float64(set.SameSide)
}

// broadFDR gives each observed NES its false discovery rate. null is
// [size][permutation], normalised; sets[k] is the number of tested sets of size k,
// each of which counts. For NES >= 0 it is
//
//	mean over permutations of #{random NES >= NES} / #{random NES >= 0}
//	-------------------------------------------------------------------
//	          #{observed >= NES} / #{observed >= 0}
//
// cut at 1, and likewise below zero; a permutation with no random NES on the side
// counts as 0. NaN in gives NaN and counts nowhere.
func broadFDR(nes []float64, null [][]float64, sets []int) []float64 {
	q := make([]float64, len(nes))
	for i := range q {
		q[i] = math.NaN()
	}
	for _, sign := range []float64{1, -1} {
		on := func(v float64) bool { return v >= 0 && sign > 0 || v < 0 && sign < 0 }
		var observed []float64 // distances from zero, ascending
		for _, v := range nes {
			if on(v) {
				observed = append(observed, sign*v)
			}
		}
		if observed == nil {
			continue
		}
		slices.Sort(observed)
		shares := make([]float64, len(observed)) // sum over permutations, by rank in observed
		reached := make([]int, len(observed)+1)  // random NES that reach exactly so many of observed
		for b := range null[0] {
			clear(reached)
			same := 0
			for k, values := range null {
				v := values[b]
				if !on(v) {
					continue
				}
				same += sets[k]
				reached[atMost(observed, sign*v+equalWithin)] += sets[k]
			}
			if same == 0 {
				continue
			}
			beyond := 0
			for i := len(observed) - 1; i >= 0; i-- {
				beyond += reached[i+1]
				shares[i] += float64(beyond) / float64(same)
			}
		}
		for i, v := range nes {
			if !on(v) {
				continue
			}
			rank, _ := slices.BinarySearch(observed, sign*v)
			expected := shares[rank] / float64(len(null[0]))
			q[i] = math.Min(1, expected*float64(len(observed))/float64(len(observed)-rank))
		}
	}
	return q
}

// atMost is the number of elements of sorted that are not above v.
func atMost(sorted []float64, v float64) int {
	low, high := 0, len(sorted)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if sorted[middle] <= v {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
