package enrichment

import (
	"fmt"
	"math"
	"slices"

	"hounsfield/stats"
)

// Overlap is one set of an over-representation test.
type Overlap struct {
	Name     string
	Given    int      // genes of the set
	Size     int      // of them in the universe
	Genes    []string // of them selected, in the order of the set
	Expected float64  // selected genes expected in the set: selected * size / universe
	P        float64  // probability of at least so many in a random selection
	BH       float64  // P corrected by Benjamini and Hochberg over all tested sets
}

// OverRepresentationResult of [OverRepresentation].
type OverRepresentationResult struct {
	Sets     []Overlap // in the order given
	Dropped  []Dropped // in the order given; Size counts genes in the universe
	Universe int
	Selected int
}

// OverRepresentation tests whether a selection of genes holds more of a set than a
// random selection of as many genes of the universe would: the upper tail of the
// hypergeometric distribution (Fisher's exact test, one-sided). The universe is all
// genes that could have been selected, such as those measured; taking all genes of
// all sets, or of the genome, instead makes p values too small.
//
// Sets are tested when minSize to maxSize of their genes are in the universe, even
// if none of these is selected (P = 1): leaving those out would bend the
// correction. Genes of a set outside the universe do not count.
//
// In R: phyper(overlap-1, size, universe-size, selected, lower.tail=FALSE) and
// p.adjust(p, "BH"); fgsea::fora.
//
// Errors: *InputError for empty or repeated names, selected genes outside the
// universe (named), sizes out of order, and when no set is left.
//
// Rivals I et al. Bioinformatics 2007;23:401-407. doi:10.1093/bioinformatics/btl633
func OverRepresentation(selected, universe []string, sets []Set, minSize, maxSize int) (*OverRepresentationResult, error) {
	const function = "OverRepresentation"
	if err := checkNames(function, "universe", universe); err != nil {
		return nil, err
	}
	if err := checkNames(function, "selected", selected); err != nil {
		return nil, err
	}
	names := make([]string, len(sets))
	for i, s := range sets {
		names[i] = s.Name
	}
	if err := checkNames(function, "sets", names); err != nil {
		return nil, err
	}
	if minSize < 1 || maxSize < minSize {
		return nil, &InputError{function, "minSize, maxSize", -1, nil, fmt.Sprintf("%d, %d", minSize, maxSize), "1 or more, the larger one second", "use 5 and 500"}
	}
	within := make(map[string]bool, len(universe)) // true when selected
	for _, g := range universe {
		within[g] = false
	}
	var outside []string
	for _, g := range selected {
		if _, ok := within[g]; !ok {
			outside = append(outside, g)
		}
		within[g] = true
	}
	if outside != nil {
		return nil, &InputError{function, "selected", -1, outside, fmt.Sprintf("a list with %d genes outside the universe", len(outside)), "genes of the universe", "use the genes that were measured as universe"}
	}
	r := &OverRepresentationResult{Universe: len(universe), Selected: len(selected)}
	var p []float64
	for i, s := range sets {
		if err := checkSet(function, "sets", i, s); err != nil {
			return nil, err
		}
		o := Overlap{Name: s.Name, Given: len(s.Genes)}
		for _, g := range s.Genes {
			chosen, ok := within[g]
			if ok {
				o.Size++
			}
			if chosen {
				o.Genes = append(o.Genes, g)
			}
		}
		if o.Size < minSize || o.Size > maxSize {
			r.Dropped = append(r.Dropped, Dropped{s.Name, o.Given, o.Size, fmt.Sprintf("not %d to %d of its genes are in the universe", minSize, maxSize)})
			continue
		}
		o.Expected = float64(len(selected)) * float64(o.Size) / float64(len(universe))
		o.P = upperTail(len(o.Genes), o.Size, len(selected), len(universe))
		r.Sets, p = append(r.Sets, o), append(p, o.P)
	}
	if p == nil {
		return nil, &InputError{function, "sets", -1, names, fmt.Sprintf("a list of which no set has %d to %d genes in the universe", minSize, maxSize),
			"at least one set left after the size filter", "check that sets and universe use the same kind of identifier"}
	}
	adjusted, err := stats.Adjust(p, stats.BH)
	if err != nil {
		return nil, fmt.Errorf("enrichment.OverRepresentation: correct p values: %w", err)
	}
	for i := range r.Sets {
		r.Sets[i].BH = adjusted[i]
	}
	return r, nil
}

// upperTail is P(X >= k) for the number X of the set's genes among `drawn` of all.
func upperTail(k, set, drawn, all int) float64 {
	least, most := max(0, set+drawn-all), min(set, drawn)
	if k <= least {
		return 1
	}
	// Terms relative to the largest possible scale: each is its neighbour times a ratio,
	// so only one term is taken from logarithms.
	mode := min(max(int(float64(set+1)*float64(drawn+1)/float64(all+2)), least), most)
	start := max(k, mode)
	term := math.Exp(logChoose(set, start) + logChoose(all-set, drawn-start) - logChoose(all, drawn))
	var terms []float64
	for x, t := start, term; x <= most; x++ {
		terms = append(terms, t)
		t *= float64(set-x) / float64(x+1) * float64(drawn-x) / float64(all-set-drawn+x+1)
	}
	for x, t := start, term; x > k; x-- {
		t *= float64(x) / float64(set-x+1) * float64(all-set-drawn+x) / float64(drawn-x+1)
		terms = append(terms, t)
	}
	slices.Sort(terms)
	return math.Min(1, sumOf(terms))
}

func logChoose(n, k int) float64 {
	lg := func(x int) float64 {
		v, _ := math.Lgamma(float64(x) + 1)
		return v
	}
	return lg(n) - lg(k) - lg(n-k)
}
