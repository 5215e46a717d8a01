package enrichment

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// InputError says which argument of which function cannot be used, and what to do.
type InputError struct {
	Function string   // such as "Preranked"
	Argument string   // the parameter's name, such as "scores"
	Index    int      // element (gene, set or patient); -1 for the whole argument
	Names    []string // all genes or sets concerned
	Value    string   // what was found
	Allowed  string   // what would have been accepted
	Next     string   // what the caller can do
}

func (e *InputError) Error() string {
	where := e.Argument
	if e.Index >= 0 {
		where += "[" + strconv.Itoa(e.Index) + "]"
	}
	value := e.Value
	if len(e.Names) > 0 {
		value += " (" + listed(e.Names) + ")"
	}
	return fmt.Sprintf("enrichment.%s: %s is %s; allowed: %s; %s", e.Function, where, value, e.Allowed, e.Next)
}

// listed shows the first five names.
func listed(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

const nextAlign = "build all slices from the same list"

func wrongLength(function, argument string, got, want int, what string) error {
	return &InputError{function, argument, -1, nil, fmt.Sprintf("%d long", got), fmt.Sprintf("%d elements, one per %s", want, what), nextAlign}
}

// repeated are the names that occur more than once, each once, sorted.
func repeated(names []string) []string {
	seen := make(map[string]bool, len(names))
	var twice []string
	for _, n := range names {
		if seen[n] {
			twice = append(twice, n)
		}
		seen[n] = true
	}
	slices.Sort(twice)
	return slices.Compact(twice)
}

// checkNames wants at least one name, none empty, none twice.
func checkNames(function, argument string, names []string) error {
	if len(names) == 0 {
		return &InputError{function, argument, -1, nil, "empty", "at least one", "check the filter that selected them"}
	}
	if i := slices.Index(names, ""); i >= 0 {
		return &InputError{function, argument, i, nil, "an empty name", "a name", "leave the row out or name it"}
	}
	if twice := repeated(names); twice != nil {
		return &InputError{function, argument, -1, twice, fmt.Sprintf("a list in which %d names occur more than once", len(twice)), "each name once",
			"decide which row of a repeated name counts (the probe with the largest mean, say) and leave the others out"}
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// checkExpression accepts a row of finite values per gene, one value per patient.
func checkExpression(function string, genes []string, values [][]float64, patients int) error {
	if err := checkNames(function, "genes", genes); err != nil {
		return err
	}
	if len(values) != len(genes) {
		return wrongLength(function, "values", len(values), len(genes), "gene")
	}
	var broken []string
	first := -1
	for i, row := range values {
		if len(row) != patients {
			return &InputError{function, "values", i, genes[i : i+1], fmt.Sprintf("%d long", len(row)), fmt.Sprintf("%d elements, one per patient", patients), nextAlign}
		}
		if !slices.ContainsFunc(row, func(v float64) bool { return !finite(v) }) {
			continue
		}
		if broken = append(broken, genes[i]); first < 0 {
			first = i
		}
	}
	if broken != nil {
		return &InputError{function, "values", first, broken, "a row with a value that is not a finite number", "finite numbers", "leave these genes out, or fill their gaps and say how"}
	}
	return nil
}

// checkClasses wants at least `least` patients of either class.
func checkClasses(function string, positive []bool, least int) error {
	m := 0
	for _, p := range positive {
		if p {
			m++
		}
	}
	if n := len(positive) - m; m < least || n < least {
		return &InputError{function, "positive", -1, nil, fmt.Sprintf("%d true and %d false", m, n), fmt.Sprintf("at least %d of each class", least),
			"choose a cohort in which both outcomes occur"}
	}
	return nil
}
