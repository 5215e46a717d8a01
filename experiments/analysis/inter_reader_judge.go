package analysis

import (
	"fmt"
	"math"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/stats"
)

// More names of measures, of several readers.
const (
	meanSpearman     = "spearman_mean"
	meanDice         = "dice_mean"
	meanDistance     = "centre_distance_mean"
	diceSpearman     = "dice_score_difference_spearman"
	distanceSpearman = "centre_distance_score_difference_spearman"
	sameCubeShare    = "same_cube_share"
)

// The groups of readers.
const (
	groupReaders      = "readers"
	groupAllContours  = "readers and reference"
	groupContourPairs = "all pairs of contours"
)

// readerFindings is how far several readers agree.
type readerFindings struct {
	measures []Measure
	groups   []readerGroup
	pairs    []readerPair
	apart    []contoursApart // patients with two contours or more, in order
}

// readerGroup are readers who are compared together.
type readerGroup struct {
	name     string
	readers  []string
	complete []int // patients whom all of them drew
}

// readerPair are two readers.
type readerPair struct {
	first, second string
	patients      []int // whom both drew
	Pairs
}

// contoursApart is how far the contours of one patient are apart: means over their pairs.
type contoursApart struct {
	patient                      int
	dice, distance, differ, same float64 // same: share of pairs with the same cube
	pairs                        int
}

func (t *interReader) judge() (*readerFindings, error) {
	f := &readerFindings{}
	if len(t.readers) > 1 {
		f.groups = append(f.groups, readerGroup{name: groupReaders, readers: t.readers})
	}
	f.groups = append(f.groups, readerGroup{name: groupAllContours, readers: append([]string{reference}, t.readers...)})
	for i := range f.groups {
		g := &f.groups[i]
		g.complete = t.whom(g.readers...)
		measures, err := t.together(*g)
		if err != nil {
			return nil, err
		}
		f.measures = append(f.measures, measures...)
	}
	f.apart = t.contoursApart()
	measures, err := t.apartMeasures(f.apart)
	if err != nil {
		return nil, err
	}
	f.measures = append(f.measures, measures...)
	all := append([]string{reference}, t.readers...)
	for j := range all {
		for i := range j {
			p := t.pair(all[i], all[j])
			measures, err := t.pairMeasures(p)
			if err != nil {
				return nil, err
			}
			f.pairs, f.measures = append(f.pairs, p), append(f.measures, measures...)
		}
	}
	return f, nil
}

// whom are the patients whom all of the readers drew.
func (t *interReader) whom(readers ...string) []int {
	var out []int
	for _, k := range t.scored {
		if !slices.ContainsFunc(readers, func(name string) bool { return t.all[k].of(name) == nil }) {
			out = append(out, k)
		}
	}
	return out
}

// together measures the agreement of all readers of a group in the patients whom all drew.
func (t *interReader) together(g readerGroup) ([]Measure, error) {
	m := &measuring{group: g.name, level: t.Level}
	n := len(g.complete)
	if n == 0 {
		return nil, nil
	}
	ratings, counts := make([][]float64, n), make([][]int, n)
	apart := 0
	for i, k := range g.complete {
		counts[i] = make([]int, 2)
		for _, name := range g.readers {
			s := t.all[k].of(name).score
			ratings[i] = append(ratings[i], s)
			counts[i][side(s > t.Cut)]++
		}
		if counts[i][0] > 0 && counts[i][1] > 0 {
			apart++
		}
	}
	m.icc(ratings, "readers")
	m.precision(ratings)
	if n > 1 {
		pairwise := func(rows []int) float64 { return meanOfPairs(ratings, rows) }
		m.add(nil, meanSpearman, fmt.Sprintf("over the pairs of readers; percentile bootstrap of patients, %d resamples, seed %d", t.Bootstrap, t.Seed), n,
			bootstrap(n, t.Bootstrap, t.Seed, t.Level, pairwise), math.NaN())
	}
	m.add(nil, Moved, fmt.Sprintf("not all readers on one side of the cut, %v, the tune role's median", t.Cut), n, plain(float64(apart)), math.NaN())
	m.share(MovedShare, "of all; Wilson CI", apart, n)
	m.try(func() error {
		k, err := stats.FleissKappa(counts, t.Level)
		m.add(err, GroupKappa, "Fleiss; p two-sided against 0", k.N, stats.Interval{Estimate: k.Kappa, Low: k.Low, High: k.High}, k.P)
		return err
	})
	return m.out, m.err
}

// meanOfPairs is the mean of Spearman's correlation over all pairs of columns, of the rows
// named; NaN where a pair has none.
func meanOfPairs(ratings [][]float64, rows []int) float64 {
	columns := make([][]float64, len(ratings[0]))
	for _, i := range rows {
		for j, v := range ratings[i] {
			columns[j] = append(columns[j], v)
		}
	}
	sum, n := 0.0, 0
	for j := range columns {
		for i := range j {
			r, err := stats.Spearman(columns[i], columns[j], 0.95)
			if err != nil { // the same score for everybody
				return math.NaN()
			}
			sum, n = sum+r.R, n+1
		}
	}
	return sum / float64(n)
}

// contoursApart takes the means over the pairs of contours of each patient, so that a
// patient counts once.
func (t *interReader) contoursApart() []contoursApart {
	var out []contoursApart
	for _, k := range t.scored {
		r := t.all[k]
		c := contoursApart{patient: k}
		for j := range r.reads {
			for i := range j {
				a, b := r.reads[i], r.reads[j]
				c.pairs++
				c.dice += r.overlaps[[2]int{i, j}].dice
				c.distance += distance(a.centre, b.centre)
				c.differ += math.Abs(a.score - b.score)
				if a.index == b.index {
					c.same++
				}
			}
		}
		n := float64(c.pairs)
		c.dice, c.distance, c.differ, c.same = c.dice/n, c.distance/n, c.differ/n, c.same/n
		out = append(out, c)
	}
	return out
}

// apartMeasures ask whether contours that lie further apart have scores that do.
func (t *interReader) apartMeasures(all []contoursApart) ([]Measure, error) {
	m := &measuring{group: groupContourPairs, level: t.Level}
	dice, far, differ, same := columnsOf(all)
	for _, x := range []struct {
		name string
		of   []float64
	}{{meanDice, dice}, {meanDistance, far}, {sameCubeShare, same}} {
		m.mean(x.name, x.of, t.Input, "of each patient's mean over the pairs of contours")
	}
	const whose = "of each patient's means over the pairs of contours; "
	m.spearman(dice, differ, diceSpearman, whose)
	m.spearman(far, differ, distanceSpearman, whose)
	return m.out, m.err
}

func columnsOf(all []contoursApart) (dice, far, differ, same []float64) {
	for _, c := range all {
		dice, far, differ, same = append(dice, c.dice), append(far, c.distance), append(differ, c.differ), append(same, c.same)
	}
	return dice, far, differ, same
}

// mean adds the mean of one value of each patient.
func (m *measuring) mean(name string, of []float64, in *Input, method string) {
	v := bootstrap(len(of), in.Bootstrap, in.Seed, m.level, func(rows []int) float64 {
		sum := 0.0
		for _, i := range rows {
			sum += of[i]
		}
		return sum / float64(len(rows))
	})
	if len(of) > 1 {
		method += fmt.Sprintf("; percentile bootstrap of patients, %d resamples, seed %d", in.Bootstrap, in.Seed)
	}
	m.add(nil, name, method, len(of), v, math.NaN())
}

func (t *interReader) pair(first, second string) readerPair {
	p := readerPair{first: first, second: second, patients: t.whom(first, second),
		Pairs: Pairs{FirstName: first, SecondName: second, Group: first + " and " + second, Level: t.Level}}
	for _, k := range p.patients {
		p.First, p.Second = append(p.First, t.all[k].of(first).score), append(p.Second, t.all[k].of(second).score)
	}
	return p
}

func (t *interReader) pairMeasures(p readerPair) ([]Measure, error) {
	if len(p.patients) == 0 {
		return nil, nil
	}
	m := &measuring{group: p.Group, level: t.Level}
	m.spearman(p.First, p.Second, Spearman, "")
	m.oneICC(stats.ICC21, p.ratings(), "readers")
	var dice, far []float64
	for _, k := range p.patients {
		r := t.all[k]
		dice = append(dice, r.between(p.first, p.second).dice)
		far = append(far, distance(r.of(p.first).centre, r.of(p.second).centre))
	}
	m.mean(meanDice, dice, t.Input, "over patients")
	m.mean(meanDistance, far, t.Input, "over patients")
	groups, err := p.RiskGroups(t.Cut)
	if m.err == nil {
		m.err = err
	}
	return append(m.out, groups...), m.err
}

const (
	interReaderScores = "inter_reader_scores"
	interReaderPairs  = "inter_reader_pairs"
)

// scoresTable has a row for each contour.
func (t *interReader) scoresTable() (*table.Table, error) {
	type row struct {
		patient int
		read
	}
	var rows []row
	for _, k := range t.scored {
		for _, x := range t.all[k].reads {
			rows = append(rows, row{k, x})
		}
	}
	centre := func(axis int) []float64 { return table.ColumnOf(rows, func(r row) float64 { return r.centre[axis] }) }
	return table.New(table.Schema{Name: interReaderScores, Columns: []table.Column{
		{Name: "patient_id", Type: table.String},
		{Name: "reader", Type: table.String, Description: "reference is the contour that the run used"},
		{Name: "score", Type: table.Float64, Direction: riskDirection},
		{Name: "risk_group", Type: table.String, Allowed: []string{"low", "high"}, Description: "at the run's cut"},
		{Name: "volume", Type: table.Float64, Unit: "mm3", Description: "inside the contour"},
		{Name: "centre_x_mm", Type: table.Float64, Unit: "mm", Description: "centre of mass, LPS"},
		{Name: "centre_y_mm", Type: table.Float64, Unit: "mm"},
		{Name: "centre_z_mm", Type: table.Float64, Unit: "mm"},
	}}, t.Provenance, map[string]any{
		"patient_id":  table.ColumnOf(rows, func(r row) string { return t.patients[r.patient].id }),
		"reader":      table.ColumnOf(rows, func(r row) string { return r.reader }),
		"score":       table.ColumnOf(rows, func(r row) float64 { return r.score }),
		"risk_group":  table.ColumnOf(rows, func(r row) string { return groupName(r.score > t.Cut) }),
		"volume":      table.ColumnOf(rows, func(r row) float64 { return r.mm3 }),
		"centre_x_mm": centre(0), "centre_y_mm": centre(1), "centre_z_mm": centre(2),
	})
}

// pairsTable has a row for each pair of contours of a patient.
func (t *interReader) pairsTable() (*table.Table, error) {
	type row struct {
		patient int
		a, b    read
		overlap
	}
	var rows []row
	for _, k := range t.scored {
		r := t.all[k]
		for j := range r.reads {
			for i := range j {
				rows = append(rows, row{k, r.reads[i], r.reads[j], r.overlaps[[2]int{i, j}]})
			}
		}
	}
	return table.New(table.Schema{Name: interReaderPairs, Columns: []table.Column{
		{Name: "patient_id", Type: table.String},
		{Name: "first", Type: table.String, Description: "a reader"},
		{Name: "second", Type: table.String, Description: "another reader"},
		{Name: "dice", Type: table.Float64, Range: table.Between(0, 1)},
		{Name: "hausdorff_95", Type: table.Float64, Unit: "mm", Description: "95th percentile of the distances between the two surfaces"},
		{Name: "centre_distance", Type: table.Float64, Unit: "mm", Description: "between the centres of mass"},
		{Name: "same_cube", Type: table.Bool, Description: "both centres fall into one voxel, so that the networks read the same cube"},
		{Name: "score_difference", Type: table.Float64, Description: "score of the second less that of the first"},
	}}, t.Provenance, map[string]any{
		"patient_id":       table.ColumnOf(rows, func(r row) string { return t.patients[r.patient].id }),
		"first":            table.ColumnOf(rows, func(r row) string { return r.a.reader }),
		"second":           table.ColumnOf(rows, func(r row) string { return r.b.reader }),
		"dice":             table.ColumnOf(rows, func(r row) float64 { return r.dice }),
		"hausdorff_95":     table.ColumnOf(rows, func(r row) float64 { return r.hausdorff95 }),
		"centre_distance":  table.ColumnOf(rows, func(r row) float64 { return distance(r.a.centre, r.b.centre) }),
		"same_cube":        table.ColumnOf(rows, func(r row) bool { return r.a.index == r.b.index }),
		"score_difference": table.ColumnOf(rows, func(r row) float64 { return r.b.score - r.a.score }),
	})
}

// exclusions are patients and contours that could not be taken.
func (t *interReader) exclusions() []datasets.Exclusion {
	var out []datasets.Exclusion
	for k, r := range t.all {
		for _, why := range r.lost {
			out = append(out, t.lost(k, why))
		}
	}
	return out
}
