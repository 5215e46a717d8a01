package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
)

// chartVariable is a column of the clinical table.
type chartVariable struct {
	name, title string
	ordered     bool // its levels rise
	number      func(p datasets.Patient) datasets.Null[float64]
	level       func(p datasets.Patient) datasets.Null[string]
}

var chartVariables = []chartVariable{
	{name: "age", title: "Age", number: func(p datasets.Patient) datasets.Null[float64] { return p.Age }},
	{name: "sex", title: "Sex", level: func(p datasets.Patient) datasets.Null[string] { return p.Sex }},
	{name: "stage", title: "Stage", ordered: true, level: func(p datasets.Patient) datasets.Null[string] { return p.Stage }},
	{name: "t", title: "T", ordered: true, level: func(p datasets.Patient) datasets.Null[string] { return p.T }},
	{name: "n", title: "N", ordered: true, level: func(p datasets.Patient) datasets.Null[string] { return p.N }},
	{name: "m", title: "M", ordered: true, level: func(p datasets.Patient) datasets.Null[string] { return p.M }},
	{name: "histology", title: "Histology", level: func(p datasets.Patient) datasets.Null[string] { return p.Histology }},
}

// coding turns a variable into covariates of a Cox model: one number, or a 0/1 column for
// each level but the reference. Slices are aligned with the cohort's patients.
type coding struct {
	name, title string
	ordered     bool // a number, or levels that rise: has a rank correlation
	unit        string

	numbers []float64 // as they enter the model; NaN where not known; nil for levels

	// levels after joining, the reference first: the lowest, or the most frequent where there
	// is no order. The others follow in order, or by the alphabet.
	levels []string
	level  []int    // index into levels; -1 where not known
	joined []string // what was joined, in words
}

// known counts the patients with a value.
func (c coding) known(patients []int) int {
	n := 0
	for _, i := range patients {
		if c.has(i) {
			n++
		}
	}
	return n
}

func (c coding) has(i int) bool {
	if c.numbers != nil {
		return !math.IsNaN(c.numbers[i])
	}
	return c.level[i] >= 0
}

// columns is how many covariates the variable is; 0 for one that does not vary.
func (c coding) columns() int {
	if c.numbers != nil {
		first := math.NaN()
		for _, v := range c.numbers {
			switch {
			case math.IsNaN(v):
			case math.IsNaN(first):
				first = v
			case v != first:
				return 1
			}
		}
		return 0
	}
	return max(0, len(c.levels)-1)
}

// row appends the covariates of patient i.
func (c coding) row(to []float64, i int) []float64 {
	if c.numbers != nil {
		return append(to, c.numbers[i])
	}
	for k := 1; k < len(c.levels); k++ {
		v := 0.0
		if c.level[i] == k {
			v = 1
		}
		to = append(to, v)
	}
	return to
}

// rank is a number that rises with the variable, for a correlation.
func (c coding) rank(i int) float64 {
	if c.numbers != nil {
		return c.numbers[i]
	}
	return float64(c.level[i])
}

// yearsPerUnit makes the hazard ratio of age one of ten years.
const yearsPerUnit = 10

// code turns the variable into covariates. Which levels there are, which are joined and
// which is the reference follow from some patients; others with a level that those do not
// have count as not known.
func (v chartVariable) code(all []datasets.Patient, patients []int, least int) coding {
	c := coding{name: v.name, title: v.title, ordered: v.ordered || v.number != nil}
	if v.number != nil {
		c.unit = "per 10 years"
		c.numbers = make([]float64, len(all))
		for i, p := range all {
			c.numbers[i] = math.NaN()
			if x := v.number(p); x.Valid {
				c.numbers[i] = x.V / yearsPerUnit
			}
		}
		return c
	}
	value := func(i int) string {
		// TX and NX say that it could not be assessed.
		if x := v.level(all[i]); x.Valid && x.V != "x" {
			return x.V
		}
		return ""
	}
	count := map[string]int{}
	for _, i := range patients {
		if x := value(i); x != "" {
			count[x]++
		}
	}
	var groups [][]string // of levels that stand for one
	for x := range count {
		groups = append(groups, []string{x})
	}
	column, _ := datasets.CohortSchema().Column(v.name)
	slices.SortFunc(groups, func(a, b []string) int {
		if d := slices.Index(column.Allowed, a[0]) - slices.Index(column.Allowed, b[0]); d != 0 {
			return d
		}
		return strings.Compare(a[0], b[0])
	})
	sizes := make([]int, len(groups))
	for k, g := range groups {
		sizes[k] = count[g[0]]
	}
	groups, sizes = joinRare(groups, sizes, v.ordered, least)
	if !v.ordered {
		frequent := 0
		for k, n := range sizes {
			if n > sizes[frequent] {
				frequent = k
			}
		}
		for k := frequent; k > 0; k-- {
			groups[k], groups[k-1] = groups[k-1], groups[k]
		}
	}
	at := map[string]int{}
	for k, g := range groups {
		c.levels = append(c.levels, strings.Join(g, " or "))
		if len(g) > 1 {
			c.joined = append(c.joined, fmt.Sprintf("%s %s", v.title, c.levels[k]))
		}
		for _, x := range g {
			at[x] = k
		}
	}
	c.level = make([]int, len(all))
	for i := range all {
		c.level[i] = -1
		if k, ok := at[value(i)]; ok {
			c.level[i] = k
		}
	}
	return c
}

// joinRare joins each level of fewer than least patients with another, the rarest first:
// ordered ones with their smaller neighbour, others with the next rarest.
func joinRare(groups [][]string, sizes []int, ordered bool, least int) ([][]string, []int) {
	for len(groups) > 1 {
		rarest := 0
		for k, n := range sizes {
			if n < sizes[rarest] {
				rarest = k
			}
		}
		if sizes[rarest] >= least {
			break
		}
		other := -1
		for k := range groups {
			near := k == rarest-1 || k == rarest+1
			if k != rarest && (!ordered || near) && (other < 0 || sizes[k] < sizes[other]) {
				other = k
			}
		}
		low, high := min(rarest, other), max(rarest, other)
		groups[low] = slices.Concat(groups[low], groups[high])
		sizes[low] += sizes[high]
		groups, sizes = slices.Delete(groups, high, high+1), slices.Delete(sizes, high, high+1)
	}
	return groups, sizes
}

// standardised is the network's score per standard deviation over some patients.
func standardised(in *Input, patients []int) coding {
	mean, sum := 0.0, 0.0
	for _, i := range patients {
		mean += in.Scores[i] / float64(len(patients))
	}
	for _, i := range patients {
		sum += (in.Scores[i] - mean) * (in.Scores[i] - mean)
	}
	sd := math.Sqrt(sum / float64(len(patients)-1))
	c := coding{name: "network", title: "Network's score", ordered: true, unit: fmt.Sprintf("per SD (%.3g)", sd), numbers: make([]float64, len(in.Scores))}
	for i, s := range in.Scores {
		c.numbers[i] = s / sd // 0/0 where all are the same: NaN, which is no column
	}
	return c
}

// riskGroups are low and high risk by the tune role's cut.
func riskGroups(in *Input) coding {
	c := coding{name: "risk_group", title: "Risk group", ordered: true, levels: []string{"low", "high"}, level: make([]int, len(in.Scores))}
	for i, s := range in.Scores {
		switch {
		case math.IsNaN(s):
			c.level[i] = -1
		case s > in.Cut:
			c.level[i] = 1
		}
	}
	return c
}

// tumourVolume is the volume per doubling: by the engineered feature where there is one,
// else of the contours; nil where there is neither.
func tumourVolume(in *Input) *coding {
	c := &coding{name: "volume", title: "Tumour volume", ordered: true, unit: "per doubling", numbers: make([]float64, len(in.Scores))}
	mm3 := make([]float64, len(in.Scores))
	switch f, err := in.Cohort.Feature("original_shape_Volume"); {
	case err == nil:
		copy(mm3, f.Values)
	case in.Cubes != nil:
		for i, cube := range in.Cubes {
			if cube != nil {
				mm3[i] = cube.VolumeMM3
			}
		}
	default:
		return nil
	}
	for i, v := range mm3 {
		c.numbers[i] = math.NaN()
		if v > 0 {
			c.numbers[i] = math.Log2(v)
		}
	}
	return c
}
