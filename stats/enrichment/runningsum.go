package enrichment

import (
	"fmt"
	"math"
	"slices"
)

// EqualRule says what the enrichment score is when the running sum reaches as far
// above zero as below it.
type EqualRule string

const (
	// EqualFirst takes the extreme that comes first in the ranking, as the Broad's
	// program does.
	EqualFirst EqualRule = "highest and lowest value equally far from zero: the one reached first"
	// EqualZero gives 0, as fgsea does.
	EqualZero EqualRule = "highest and lowest value equally far from zero: 0"
)

// equalWithin is how close two values of a running sum must be to count as equal:
// above the rounding of sums, far below one step.
const equalWithin = 1e-12

// stepWeights are |score|^weight. Scores are divided by a power of two first, which
// keeps all their digits and the largest result near 1; the running sum only sees
// ratios.
func stepWeights(scores []float64, weight float64) []float64 {
	most := 0.0
	for _, s := range scores {
		most = max(most, math.Abs(s))
	}
	_, exponent := math.Frexp(most)
	w := make([]float64, len(scores))
	for i, s := range scores {
		switch s = math.Ldexp(math.Abs(s), -exponent); weight {
		case 0:
			w[i] = 1
		case 1:
			w[i] = s
		default:
			w[i] = math.Pow(s, weight)
		}
	}
	return w
}

// sumOf adds in order of rank, so that equal positions give equal bits.
func sumOf(w []float64) float64 {
	total := 0.0
	for _, v := range w {
		total += v
	}
	return total
}

// extremes are the highest and lowest value of the running sum over n genes with
// members at the ascending positions. w are the members' weights and total their
// sum; it must be above 0 and n above len(positions). Between members the sum only
// falls, so it is highest just after a member and lowest just before one.
func extremes(positions []int32, w []float64, total float64, n int) (high, low float64) {
	// In units of total: a member adds its weight, another gene takes step away.
	step := total / float64(n-len(positions))
	sum := 0.0
	w = w[:len(positions)]
	for i, p := range positions {
		// The conversion forbids a fused multiplication: the same bits on every processor.
		missed := float64(float64(int(p)-i) * step)
		if d := sum - missed; d < low {
			low = d
		}
		sum += w[i]
		if d := sum - missed; d > high {
			high = d
		}
	}
	return high / total, low / total
}

// score is the enrichment score and the member (index into positions) at which it is
// reached: at the highest value the last member counted, at the lowest the next one.
func score(positions []int32, w []float64, n int, equal EqualRule) (es float64, member int) {
	w, total := spread(w)
	high, low := extremes(positions, w, total, n)
	step, sum := total/float64(n-len(positions)), 0.0
	top, bottom := -1, -1
	for i, p := range positions {
		missed := float64(float64(int(p)-i) * step)
		if bottom < 0 && (sum-missed)/total <= low {
			bottom = i
		}
		sum += w[i]
		if top < 0 && (sum-missed)/total >= high {
			top = i
		}
	}
	if math.Abs(high+low) <= equalWithin {
		if equal == EqualZero {
			return 0, -1
		}
		if positions[top] < positions[bottom] {
			return high, top
		}
		return low, bottom
	}
	if high > -low {
		return high, top
	}
	return low, bottom
}

// spread replaces weights that are all zero by ones: a set whose members all score
// exactly 0 has nothing else to go by.
func spread(w []float64) (weights []float64, total float64) {
	if total = sumOf(w); total > 0 {
		return w, total
	}
	return slices.Repeat([]float64{1}, len(w)), float64(len(w))
}

// gather picks the weights at positions.
func gather(weights []float64, positions []int32) []float64 {
	w := make([]float64, len(positions))
	for i, p := range positions {
		w[i] = weights[p]
	}
	return w
}

// RunningSum is the curve of a set over the ranking, one value per gene from the
// highest score on, for a figure: at a member it rises by
// |score|^weight / (sum of |score|^weight over the members), elsewhere it falls by
// 1/(genes - members). It ends at 0; its value furthest from zero is the
// enrichment score. Members that all score 0 rise by 1/members each.
//
// Errors: *InputError for a repeated gene in the set, a set with no gene or all
// genes of the ranking, a weight that is negative or not finite.
func RunningSum(r *Ranking, set Set, weight float64) ([]float64, error) {
	if err := checkWeight("RunningSum", weight); err != nil {
		return nil, err
	}
	if err := checkSet("RunningSum", "set", -1, set); err != nil {
		return nil, err
	}
	positions := r.positions(set.Genes)
	if len(positions) == 0 || len(positions) == len(r.Genes) {
		return nil, &InputError{"RunningSum", "set", -1, []string{set.Name}, fmt.Sprintf("a set with %d of the %d ranked genes", len(positions), len(r.Genes)),
			"some but not all genes of the ranking", "check that set and ranking use the same kind of identifier"}
	}
	w, total := spread(gather(stepWeights(r.Scores, weight), positions))
	curve := make([]float64, len(r.Genes))
	misses := float64(len(r.Genes) - len(positions))
	sum, hit := 0.0, 0
	for i := range curve {
		if hit < len(positions) && positions[hit] == int32(i) {
			sum += w[hit]
			hit++
		}
		curve[i] = sum/total - float64(i+1-hit)/misses
	}
	return curve, nil
}

func checkWeight(function string, weight float64) error {
	if weight >= 0 && finite(weight) {
		return nil
	}
	return &InputError{function, "weight", -1, nil, fmt.Sprint(weight), "a finite number, zero or more", "use 1, or 0 for ranks alone"}
}

func checkSet(function, argument string, index int, set Set) error {
	twice := repeated(set.Genes)
	if twice == nil {
		return nil
	}
	return &InputError{function, argument, index, twice, fmt.Sprintf("set %q, which lists genes more than once", set.Name), "each gene once", "remove the repetition from the set's file"}
}
