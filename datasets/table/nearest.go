package table

import (
	"cmp"
	"slices"
	"strings"
)

// NearestName is the name most like word: fewest edits (insert, delete, replace,
// case and outer blanks ignored), ties to the earlier name. It is empty when every
// name is further off than half of word's letters: then a guess would mislead.
func NearestName(word string, names []string) string {
	if near := nearestNames(word, names, 1); len(near) > 0 {
		return near[0]
	}
	return ""
}

// nearestNames are up to most names within half of word's letters, nearest first.
func nearestNames(word string, names []string, most int) []string {
	type scored struct {
		name  string
		edits int
	}
	var near []scored
	fold := func(s string) []rune { return []rune(strings.ToLower(strings.TrimSpace(s))) }
	w := fold(word)
	for _, name := range names {
		n := fold(name)
		// A name that holds the whole word (age in "Age at diagnosis") is near as well.
		holds := len(w) >= 3 && strings.Contains(string(n), string(w))
		if d := edits(w, n); d <= (len(w)+1)/2 || holds {
			near = append(near, scored{name, d})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return cmp.Compare(a.edits, b.edits) })
	var out []string
	for _, s := range near[:min(most, len(near))] {
		out = append(out, s.name)
	}
	return out
}

// edits is the Levenshtein distance, one row of the table at a time.
func edits(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, ra := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, rb := range b {
			cost := diagonal
			if ra != rb {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
