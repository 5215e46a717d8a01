package enrichment

import (
	"cmp"
	"fmt"
	"slices"
)

// TieRule says how genes of equal score are ordered.
type TieRule string

const (
	// ByGene orders tied genes by identifier, byte by byte: the result does not depend
	// on the order of the rows.
	ByGene TieRule = "tied genes in ascending order of identifier"
	// AsGiven keeps tied genes in the order of the input, as fgsea and GSEApy do.
	AsGiven TieRule = "tied genes in the order of the input"
)

// Ranking is genes in descending order of score, made by [Rank]; not to be changed.
type Ranking struct {
	Genes    []string  // highest score first
	Scores   []float64 // of Genes
	Ties     TieRule
	Distinct int // number of distinct scores
	Tied     int // genes that share their score with another
	at       map[string]int32
}

// Rank orders genes by descending score. Scores are tied when they are equal as
// float64. The arguments are not changed.
//
// Errors: *InputError for empty input, unequal lengths, an empty or repeated
// identifier, a score that is NaN or infinite (all such genes are named), an
// unknown tie rule.
func Rank(genes []string, scores []float64, ties TieRule) (*Ranking, error) {
	if err := checkNames("Rank", "genes", genes); err != nil {
		return nil, err
	}
	if len(scores) != len(genes) {
		return nil, wrongLength("Rank", "scores", len(scores), len(genes), "gene")
	}
	if _, _, undefined := Defined(genes, scores); undefined != nil {
		i := slices.IndexFunc(scores, func(v float64) bool { return !finite(v) })
		return nil, &InputError{"Rank", "scores", i, undefined, fmt.Sprint(scores[i]), "a finite number", "leave these genes out with Defined and report how many"}
	}
	order := make([]int, len(genes))
	for i := range order {
		order[i] = i
	}
	var second func(a, b int) int
	switch ties {
	case ByGene:
		second = func(a, b int) int { return cmp.Compare(genes[a], genes[b]) }
	case AsGiven:
		second = func(a, b int) int { return a - b }
	default:
		return nil, &InputError{"Rank", "ties", -1, nil, fmt.Sprintf("%q", string(ties)), "ByGene, AsGiven", "use one of the constants"}
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := cmp.Compare(scores[b], scores[a]); c != 0 {
			return c
		}
		return second(a, b)
	})
	r := &Ranking{Genes: make([]string, len(genes)), Scores: make([]float64, len(genes)), Ties: ties, at: make(map[string]int32, len(genes))}
	for i, o := range order {
		r.Genes[i], r.Scores[i] = genes[o], scores[o]
		r.at[genes[o]] = int32(i)
	}
	for from, to := range r.blocks() {
		r.Distinct++
		if to-from > 1 {
			r.Tied += to - from
		}
	}
	return r, nil
}

// blocks gives the ranges [from, to) of equal scores.
func (r *Ranking) blocks() func(yield func(from, to int) bool) {
	return func(yield func(from, to int) bool) {
		for from := 0; from < len(r.Scores); {
			to := from + 1
			for to < len(r.Scores) && r.Scores[to] == r.Scores[from] {
				to++
			}
			if !yield(from, to) {
				return
			}
			from = to
		}
	}
}

// Defined splits genes into those with a finite score and the names of the others:
// a gene that does not vary has no correlation, for one. The order is kept;
// undefined is nil when there is none.
func Defined(genes []string, scores []float64) (kept []string, keptScores []float64, undefined []string) {
	for i, s := range scores {
		if finite(s) {
			kept, keptScores = append(kept, genes[i]), append(keptScores, s)
		} else {
			undefined = append(undefined, genes[i])
		}
	}
	return kept, keptScores, undefined
}

// positions are the ranks (from 0, ascending) of the genes that are in the ranking.
func (r *Ranking) positions(genes []string) []int32 {
	var at []int32
	for _, g := range genes {
		if p, ok := r.at[g]; ok {
			at = append(at, p)
		}
	}
	slices.Sort(at)
	return at
}
