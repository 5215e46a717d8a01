package enrichment

import (
	"fmt"
	"runtime"
	"slices"

	"hounsfield/stats"
)

// Set is a named set of genes.
type Set struct {
	Name        string
	Description string
	Genes       []string
}

// Settings of a preranked analysis.
type Settings struct {
	Weight       float64   // exponent of |score| in the running sum; 0 counts ranks alone
	MinSize      int       // smallest set tested, counting its RANKED genes; 1 or more
	MaxSize      int       // largest set tested, counted likewise
	Permutations int       // random sets drawn for each size; 1 or more
	Seed         uint64    // another seed gives other random sets
	Equal        EqualRule // when the running sum reaches as far up as down
	Workers      int       // processors used, 0 for all; the result does not depend on it
}

// Default is the study's choice: weight 1, sets of 5 to 500 ranked genes, 1,000
// permutations.
func Default() Settings {
	return Settings{Weight: 1, MinSize: 5, MaxSize: 500, Permutations: 1000, Seed: 1, Equal: EqualFirst}
}

// SetResult is one tested set.
type SetResult struct {
	Name  string
	Given int // genes of the set
	Size  int // of them in the ranking
	// ES is the value of the running sum furthest from zero, -1..1: positive when the
	// set gathers at the highest scores.
	ES float64
	// TieLow and TieHigh are the least and greatest ES over all orders of tied genes;
	// both are ES where no order was chosen.
	TieLow, TieHigh float64
	// NES is ES divided by the mean size of the random sets' scores on its side; NaN
	// when no random set fell on that side.
	NES float64
	// P is (AtLeast+1) / (SameSide+1), fgsea's definition; never 0.
	P float64
	// PStrict is Beyond / SameSide, the Broad's definition: 0 says "below 1/SameSide",
	// not impossible. NaN when no random set fell on that side.
	PStrict  float64
	SameSide int // random sets whose score is on the side of ES; a score of 0 is on both
	AtLeast  int // of them as far from zero as ES, or further
	Beyond   int // of them strictly further
	// BH is P corrected by Benjamini and Hochberg over all tested sets, both sides together.
	BH float64
	// Q is the Broad's false discovery rate: see [Result.Rules]. NaN where NES is.
	Q float64
	// Peak is the rank (from 0) of the member at which the running sum is furthest from
	// zero, -1 when ES is 0.
	Peak int
	// LeadingEdge holds the members from the near end of the ranking up to Peak, that
	// end first; empty when ES is 0.
	LeadingEdge []string
}

// Dropped is a set that was not tested.
type Dropped struct {
	Name   string
	Given  int // genes of the set
	Size   int // of them in the ranking
	Reason string
}

// Rule is one choice behind the numbers, in words for the report.
type Rule struct{ Item, Text string }

// Result of a preranked analysis.
type Result struct {
	Sets     []SetResult // in the order given
	Dropped  []Dropped   // in the order given
	Settings Settings
	Genes    int      // ranked genes
	Tied     int      // ranked genes that share their score with another
	Distinct int      // distinct scores
	Unranked []string // genes of any set that are not in the ranking, sorted
	Rules    []Rule   // the definitions used, in words
}

// Preranked tests whether sets gather at either end of a ranking (GSEA with random
// gene sets). For a set of m of n ranked genes the running sum rises at a member by
// |score|^weight over the sum of that over the members and falls elsewhere by
// 1/(n-m); ES is its value furthest from zero. The null distribution is that of
// random sets of m genes, drawn without replacement. All sets share the draws of a
// permutation, nested by size, as in fgsea's simple method: the null distribution
// of each set is exact, but sets of like size have correlated random scores, so
// that their p values err together.
//
// The result is the same to the last bit for any number of workers, and with
// [ByGene] for any order of genes and sets (in their own order). NES of two seeds
// differ by 1 to 2% with 1,000 permutations.
//
// In R: fgsea::fgseaSimple(pathways, stats, nperm, minSize, maxSize, gseaParam)
// with [EqualZero] and [AsGiven], up to the random draws; its padj is BH.
//
// Errors: *InputError for no sets, a repeated set name or gene, settings out of
// range, and when no set is left after the size filter.
//
// Subramanian A et al. PNAS 2005;102:15545-15550. doi:10.1073/pnas.0506580102;
// Korotkevich G et al. Fast gene set enrichment analysis. bioRxiv 060012. doi:10.1101/060012
func Preranked(r *Ranking, sets []Set, s Settings) (*Result, error) {
	if err := s.check(r); err != nil {
		return nil, err
	}
	names := make([]string, len(sets))
	for i, set := range sets {
		names[i] = set.Name
	}
	if err := checkNames("Preranked", "sets", names); err != nil {
		return nil, err
	}
	result := &Result{Settings: s, Genes: len(r.Genes), Tied: r.Tied, Distinct: r.Distinct}
	weights := stepWeights(r.Scores, s.Weight)
	var members [][]int32
	unranked := map[string]bool{}
	for i, set := range sets {
		if err := checkSet("Preranked", "sets", i, set); err != nil {
			return nil, err
		}
		for _, g := range set.Genes {
			if _, ok := r.at[g]; !ok {
				unranked[g] = true
			}
		}
		at := r.positions(set.Genes)
		if reason := s.reject(len(at), len(r.Genes)); reason != "" {
			result.Dropped = append(result.Dropped, Dropped{set.Name, len(set.Genes), len(at), reason})
			continue
		}
		result.Sets = append(result.Sets, newSetResult(r, weights, set, at, s.Equal))
		members = append(members, at)
	}
	for g := range unranked {
		result.Unranked = append(result.Unranked, g)
	}
	slices.Sort(result.Unranked)
	if len(result.Sets) == 0 {
		return nil, &InputError{"Preranked", "sets", -1, names, fmt.Sprintf("a list of which no set has %d to %d ranked genes", s.MinSize, s.MaxSize),
			"at least one set left after the size filter", "check that sets and ranking use the same kind of identifier"}
	}
	sizes := make([]int, len(members))
	for i, at := range members {
		sizes[i] = len(at)
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	workers := s.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	null := nullScores(weights, sizes, s.Permutations, s.Seed, s.Equal, workers)
	if err := result.judge(sizes, null); err != nil {
		return nil, err
	}
	result.Rules = s.rules(r)
	return result, nil
}

func (s Settings) check(r *Ranking) error {
	refuse := func(field, value, allowed, next string) error {
		return &InputError{"Preranked", "settings." + field, -1, nil, value, allowed, next}
	}
	switch {
	case r == nil || r.at == nil:
		return &InputError{"Preranked", "ranking", -1, nil, "not made by Rank", "a ranking made by Rank", "call Rank first"}
	case s.MinSize < 1 || s.MaxSize < s.MinSize:
		return refuse("MinSize, MaxSize", fmt.Sprintf("%d, %d", s.MinSize, s.MaxSize), "1 or more, the larger one second", "use 5 and 500")
	case s.Permutations < 1:
		return refuse("Permutations", fmt.Sprint(s.Permutations), "1 or more", "use 1000")
	case s.Equal != EqualFirst && s.Equal != EqualZero:
		return refuse("Equal", fmt.Sprintf("%q", string(s.Equal)), "EqualFirst, EqualZero", "use one of the constants")
	case s.Workers < 0:
		return refuse("Workers", fmt.Sprint(s.Workers), "0 or more", "use 0 for all processors")
	}
	return checkWeight("Preranked", s.Weight)
}

// reject says why a set with so many ranked genes is not tested.
func (s Settings) reject(size, genes int) string {
	switch {
	case size < s.MinSize:
		return fmt.Sprintf("fewer than %d of its genes are ranked", s.MinSize)
	case size > s.MaxSize:
		return fmt.Sprintf("more than %d of its genes are ranked", s.MaxSize)
	case size == genes:
		return "it holds every ranked gene"
	}
	return ""
}

func newSetResult(r *Ranking, weights []float64, set Set, at []int32, equal EqualRule) SetResult {
	es, member := score(at, gather(weights, at), len(r.Genes), equal)
	s := SetResult{Name: set.Name, Given: len(set.Genes), Size: len(at), ES: es, TieLow: es, TieHigh: es, Peak: -1}
	if member >= 0 {
		s.Peak = int(at[member])
		edge := at[:member+1]
		if es < 0 {
			edge = slices.Clone(at[member:])
			slices.Reverse(edge)
		}
		for _, p := range edge {
			s.LeadingEdge = append(s.LeadingEdge, r.Genes[p])
		}
	}
	if r.Tied > 0 {
		s.TieLow, s.TieHigh = r.tieRange(weights, at, equal)
	}
	return s
}

// tieRange scores a set with its members last, then first, among the genes they are
// tied with. All tied genes have one weight and the running sum at the end of a run
// of ties does not depend on their order, so no other order gives less, or more.
func (r *Ranking) tieRange(weights []float64, at []int32, equal EqualRule) (low, high float64) {
	w := gather(weights, at)
	last, first := slices.Clone(at), slices.Clone(at)
	i := 0
	for from, to := range r.blocks() {
		begin := i
		for i < len(at) && int(at[i]) < to {
			i++
		}
		for k := begin; k < i; k++ {
			first[k] = int32(from + k - begin)
			last[k] = int32(to - i + k)
		}
		if i == len(at) {
			break
		}
	}
	low, _ = score(last, w, len(r.Genes), equal)
	high, _ = score(first, w, len(r.Genes), equal)
	return low, high
}

// rules puts the definitions into words.
func (s Settings) rules(r *Ranking) []Rule {
	return []Rule{
		{"ties", fmt.Sprintf("%s; %d of %d genes share their score with another (%d distinct scores); TieLow..TieHigh is the range of ES over all orders of tied genes", r.Ties, r.Tied, len(r.Genes), r.Distinct)},
		{"duplicates", "a gene listed twice in the ranking or in a set is refused"},
		{"ES", fmt.Sprintf("value of the running sum furthest from zero, steps of |score|^%v; members that all score 0 take equal steps; %s", s.Weight, s.Equal)},
		{"equality", fmt.Sprintf("scores closer than %v are equal: the same score can come from different sums", equalWithin)},
		{"sizes", fmt.Sprintf("%d to %d genes of the set in the ranking, counted after intersecting; a set of all ranked genes is not tested", s.MinSize, s.MaxSize)},
		{"null", fmt.Sprintf("%d random sets of each size, drawn without replacement from the ranked genes, seed %d; all sets share the draws of a permutation, nested by size (as fgsea's simple method does)", s.Permutations, s.Seed)},
		{"NES", "ES over the mean absolute score of the random sets on the same side of zero"},
		{"P", "(random scores on the side of ES at least as far from zero + 1) / (random scores on that side + 1): fgsea's definition"},
		{"PStrict", "random scores on the side of ES strictly further from zero / random scores on that side: the Broad's definition, can be 0"},
		{"BH", "Benjamini and Hochberg over P of all tested sets, both sides together"},
		{"Q", "the Broad's FDR: for each permutation the share, among random NES on that side, at least as far from zero; its mean over permutations divided by the same share among the sets' own NES; cut at 1; not made monotone"},
	}
}

// judge fills what follows from the null scores: [size][permutation], sizes ascending.
func (r *Result) judge(sizes []int, null [][]float64) error {
	sides := make([]side, len(sizes))
	for i, es := range null {
		sides[i] = newSide(es)
	}
	p := make([]float64, len(r.Sets))
	nes := make([]float64, len(r.Sets))
	perSize := make([]int, len(sizes))
	for i := range r.Sets {
		set := &r.Sets[i]
		k, _ := slices.BinarySearch(sizes, set.Size)
		perSize[k]++
		sides[k].judge(set, null[k])
		p[i], nes[i] = set.P, set.NES
	}
	adjusted, err := stats.Adjust(p, stats.BH)
	if err != nil {
		return fmt.Errorf("enrichment.Preranked: correct p values: %w", err)
	}
	for i, es := range null {
		for b, v := range es {
			es[b] = sides[i].normalise(v)
		}
	}
	q := broadFDR(nes, null, perSize)
	for i := range r.Sets {
		r.Sets[i].BH, r.Sets[i].Q = adjusted[i], q[i]
	}
	return nil
}
