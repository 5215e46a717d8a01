package experiments

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/report"
	"hounsfield/experiments/scoring"
	"hounsfield/stats"
)

const tableOneTable = "table1" // the patients of a run, role by role

// characteristic is one thing that is known of patients before any model: a number or one of
// several levels. Values are aligned with the patients of the study.
type characteristic struct {
	name  string // in tables/table1.arrow
	title string // in the report and in the sentence about what is not there
	unit  string
	// decimals a number is shown with.
	decimals int

	numbers []float64 // NaN where missing; nil for levels

	levels []string
	level  []int // index into levels; -1 where missing

	// Follow-up is no plain number: days are known only up to the last contact.
	followUp bool
}

// The shape features of pyradiomics that say how large a tumour is; the older release
// has one volume, the newer two.
var sizeFeatures = []characteristic{
	{name: "original_shape_Volume", title: "Tumour volume", unit: "mm3"},
	{name: "original_shape_MeshVolume", title: "Tumour volume, of the mesh", unit: "mm3"},
	{name: "original_shape_VoxelVolume", title: "Tumour volume, of the voxels", unit: "mm3"},
	{name: "original_shape_Maximum2DDiameterSlice", title: "Largest tumour diameter in a slice", unit: "mm", decimals: 1},
	{name: "original_shape_Maximum3DDiameter", title: "Largest tumour diameter", unit: "mm", decimals: 1},
}

// characteristicsOf are what some of the patients have, and the titles of those
// that none has. patients are indices into the study.
func characteristicsOf(s *study, ev *evaluation, patients []int) (have []characteristic, absent []string) {
	n := len(s.cohort.Patients)
	schema := datasets.CohortSchema()
	add := func(v characteristic) {
		for _, i := range patients {
			if v.levels != nil && v.level[i] >= 0 || v.numbers != nil && !math.IsNaN(v.numbers[i]) {
				have = append(have, v)
				return
			}
		}
		absent = append(absent, lowerFirst(v.title))
	}
	numbers := func(of func(i int) datasets.Null[float64]) []float64 {
		out := scoring.NaN(n)
		for i := range out {
			if v := of(i); v.Valid {
				out[i] = v.V
			}
		}
		return out
	}
	// Levels come in the order of the schema, or of the alphabet where it lists none.
	text := func(name, title string, of func(p datasets.Patient) datasets.Null[string]) {
		v := characteristic{name: name, title: title, level: make([]int, n)}
		seen := map[string]bool{}
		for _, i := range patients {
			if x := of(s.cohort.Patients[i]); x.Valid && !seen[x.V] {
				seen[x.V], v.levels = true, append(v.levels, x.V)
			}
		}
		column, _ := schema.Column(name)
		slices.SortFunc(v.levels, func(a, b string) int {
			if d := slices.Index(column.Allowed, a) - slices.Index(column.Allowed, b); d != 0 {
				return d
			}
			return strings.Compare(a, b)
		})
		for i, p := range s.cohort.Patients {
			v.level[i] = -1
			if x := of(p); x.Valid {
				v.level[i] = slices.Index(v.levels, x.V)
			}
		}
		add(v)
	}
	yes := func(name, title string, levels [2]string, of func(o datasets.Outcome) datasets.Null[bool]) {
		v := characteristic{name: name, title: title, levels: levels[:], level: make([]int, n)}
		for i, o := range ev.outcomes {
			switch x := of(o); {
			case !x.Valid:
				v.level[i] = -1
			case !x.V:
				v.level[i] = 1
			}
		}
		add(v)
	}

	add(characteristic{name: "age", title: "Age", unit: "years", decimals: 1, numbers: numbers(func(i int) datasets.Null[float64] { return s.cohort.Patients[i].Age })})
	text("sex", "Sex", func(p datasets.Patient) datasets.Null[string] { return p.Sex })
	text("histology", "Histology", func(p datasets.Patient) datasets.Null[string] { return p.Histology })
	text("t", "Tumour (T)", func(p datasets.Patient) datasets.Null[string] { return p.T })
	text("n", "Nodes (N)", func(p datasets.Patient) datasets.Null[string] { return p.N })
	text("m", "Metastases (M)", func(p datasets.Patient) datasets.Null[string] { return p.M })
	text("stage", "Stage", func(p datasets.Patient) datasets.Null[string] { return p.Stage })
	if s.cubes != nil {
		add(characteristic{name: "tumour_volume", title: "Tumour volume, of the contour", unit: "mm3", numbers: numbers(func(i int) datasets.Null[float64] {
			if c := s.cubes[i]; c != nil && c.VolumeMM3 > 0 {
				return table.Some(c.VolumeMM3)
			}
			return datasets.Null[float64]{}
		})})
	}
	sized := s.cubes != nil
	for _, v := range sizeFeatures {
		if f, err := s.cohort.Feature(v.name); err == nil {
			v.numbers, sized = f.Values, true
			add(v)
		}
	}
	if !sized {
		absent = append(absent, "size of the tumour")
	}
	yes("two_year_status", "Status at two years", [2]string{"alive", "dead"}, func(o datasets.Outcome) datasets.Null[bool] { return o.Alive2yr })
	followed := func(o datasets.Outcome) bool { return o.SurvivalDays.Valid && o.Event.Valid }
	yes("follow_up_status", "Status at last contact", [2]string{"dead", "alive"}, func(o datasets.Outcome) datasets.Null[bool] {
		if !followed(o) {
			return datasets.Null[bool]{}
		}
		return o.Event
	})
	add(characteristic{name: "follow_up", title: "Follow-up", unit: "days", followUp: true, numbers: numbers(func(i int) datasets.Null[float64] {
		if !followed(ev.outcomes[i]) {
			return datasets.Null[float64]{}
		}
		return ev.outcomes[i].SurvivalDays
	})})
	return have, absent
}

// describe writes Table 1 and the TRIPOD+AI checklist into the run folder, and gives
// their places in the report.
func (r *runner) describe(s *study, ev *evaluation, figures []drawn) (patients report.Table, checklist report.Section, err error) {
	rows, patients, err := r.tableOne(s, ev)
	if err != nil {
		return patients, checklist, err
	}
	items, checklist, err := r.tripod(s, ev, figures)
	if err != nil {
		return patients, checklist, err
	}
	return patients, checklist, errors.Join(r.folder.writeTable(tableOneTable, rows, false), r.folder.writeTable(tripodTable, items, false))
}

// unknownInRole are the titles of those characteristics that no patient of some role has.
func unknownInRole(have []characteristic, groups []roleGroup) []string {
	var out []string
	for _, v := range have {
		if slices.ContainsFunc(groups, func(g roleGroup) bool {
			if v.levels != nil {
				_, known := v.counts(g)
				return known == 0
			}
			return len(v.known(g)) == 0
		}) {
			out = append(out, lowerFirst(v.title))
		}
	}
	return out
}

// What the numbers of a row of Table 1 are.
const (
	kindCount    = "count"    // n and percent
	kindRange    = "range"    // median, smallest and largest
	kindInterval = "interval" // median and its confidence limits
)

// tableOneRow is one variable, or one level of it, in one role.
type tableOneRow struct {
	variable, level, kind, unit, role string
	n, missing                        int
	percent, median, low, high        float64    // NaN where there is none
	smd                               [2]float64 // train-tune, train-test
}

func newTableOneRow(variable, kind string, g roleGroup) tableOneRow {
	nan := math.NaN()
	return tableOneRow{variable: variable, kind: kind, role: g.role, percent: nan, median: nan, low: nan, high: nan, smd: [2]float64{nan, nan}}
}

func tableOneSchema() table.Schema {
	number := func(name, unit, description string) table.Column {
		return table.Column{Name: name, Type: table.Float64, Nullable: true, Unit: unit, Description: description}
	}
	return table.Schema{Name: tableOneTable, Columns: []table.Column{
		{Name: "variable", Type: table.String, Description: "patients is the number of patients with a score, who are those that all other rows describe"},
		{Name: "level", Type: table.String, Nullable: true, Description: "null for a number"},
		{Name: "kind", Type: table.String, Allowed: []string{kindCount, kindRange, kindInterval},
			Description: "count: n and percent; range: median, smallest and largest; interval: median and its 95% confidence limits (follow-up, by the reverse Kaplan-Meier method)"},
		{Name: "unit", Type: table.String, Nullable: true, Description: "of median, low and high"},
		{Name: "role", Type: table.String, Allowed: []string{"train", "tune", "test", allRoles}},
		{Name: "n", Type: table.Int64, Description: "patients in the level, or with a number"},
		number("percent", "percent", "n among the patients of the role with a value"),
		number("median", "", "null where it was not reached"),
		number("low", "", "smallest value, or lower confidence limit"),
		number("high", "", "largest value, or upper confidence limit"),
		{Name: "missing", Type: table.Int64, Description: "patients of the role without a value; of patients: without a score"},
		number("smd_train_tune", "", "absolute standardised difference of the variable between train and tune, the same in all of its rows; null where it does not exist or is infinite"),
		number("smd_train_test", "", "the same between train and test"),
	}}
}

const allRoles = "all"

// roleGroup is the patients of one column of Table 1.
type roleGroup struct {
	role     string
	patients []int // with a score; indices into the study
	unscored int
}

func roleGroups(s *study) []roleGroup {
	all := roleGroup{role: allRoles}
	var out []roleGroup
	for _, role := range []datasets.Role{datasets.Train, datasets.Tune, datasets.Test} {
		g := roleGroup{role: string(role)}
		for _, i := range s.cohort.Of(role) {
			if scoring.Known(s.scores[i]) {
				g.patients = append(g.patients, i)
			} else {
				g.unscored++
			}
		}
		all.patients, all.unscored = append(all.patients, g.patients...), all.unscored+g.unscored
		if len(g.patients)+g.unscored > 0 {
			out = append(out, g)
		}
	}
	return append(out, all)
}

// tableOne describes the scored patients of a run, role by role: as typed rows, and as a
// table of the report. Outcomes of the test role are those that the evaluation opened.
func (r *runner) tableOne(s *study, ev *evaluation) (*table.Table, report.Table, error) {
	groups := roleGroups(s)
	all := groups[len(groups)-1]
	have, absent := characteristicsOf(s, ev, all.patients)

	block := report.Table{
		Caption: report.Text("Patients with a score, by role: n (percent of those with a value) or median (smallest–largest)."),
		Columns: []report.Column{{Title: "Characteristic"}},
		Files:   []string{"tables/" + tableOneTable + ".arrow"},
	}
	var rows []tableOneRow
	count := []string{"Patients"}
	for _, g := range groups {
		block.Columns = append(block.Columns, report.Column{Title: g.role, Number: true})
		count = append(count, fmt.Sprint(len(g.patients)))
		row := newTableOneRow("patients", kindCount, g)
		row.n, row.missing = len(g.patients), g.unscored
		rows = append(rows, row)
	}
	block.Columns = append(block.Columns, report.Column{Title: "SMD", Number: true})
	block.Rows = append(block.Rows, report.Row{Cells: report.Cells(append(count, "")...), Strong: true})
	for _, v := range have {
		mine, err := v.rows(groups, ev)
		if err != nil {
			return nil, report.Table{}, fmt.Errorf("describing the patients, %s: %w", v.name, err)
		}
		rows = append(rows, mine...)
		block.Rows = append(block.Rows, v.reportRows(groups, mine)...)
	}
	var note []string
	if groups[0].role == string(datasets.Train) {
		note = append(note, "SMD: absolute standardised differences of tune and of test from train (Austin 2009; of several levels Yang and Dalton 2012). They do not grow with the number of patients; 0.1 is often called small.")
	} else { // nothing to differ from
		last := len(block.Columns) - 1
		block.Columns = block.Columns[:last]
		for i := range block.Rows {
			block.Rows[i].Cells = block.Rows[i].Cells[:last]
		}
	}
	if slices.ContainsFunc(have, func(v characteristic) bool { return v.followUp }) {
		note = append(note, "The median of follow-up is by the reverse Kaplan-Meier method.")
	}
	if all.unscored > 0 {
		note = append(note, fmt.Sprintf("Patients without a score, who are not described here: %d.", all.unscored))
	}
	if len(absent) > 0 {
		note = append(note, "Not in this run for any of these patients, and left out: "+strings.Join(absent, ", ")+".")
	}
	block.Note = report.Text(strings.Join(note, " "))
	t, err := tableOneOf(rows, r.provenance())
	return t, block, err
}

// rows describes one variable: level by level, and for each role in turn.
func (v characteristic) rows(groups []roleGroup, ev *evaluation) ([]tableOneRow, error) {
	smd, err := v.differences(groups)
	if err != nil {
		return nil, err
	}
	var out []tableOneRow
	if v.levels == nil {
		for _, g := range groups {
			row, values := newTableOneRow(v.name, kindRange, g), v.known(g)
			row.unit, row.n, row.missing, row.smd = v.unit, len(values), len(g.patients)-len(values), smd
			switch {
			case v.followUp:
				row.kind = kindInterval
				if row.n > 0 {
					if row.median, row.low, row.high, err = medianFollowUp(g, ev); err != nil {
						return nil, err
					}
				}
			case row.n > 0:
				if row.median, err = stats.Median(values); err != nil {
					return nil, err
				}
				row.low, row.high = slices.Min(values), slices.Max(values)
			}
			out = append(out, row)
		}
		return out, nil
	}
	for k, level := range v.levels {
		for _, g := range groups {
			counts, known := v.counts(g)
			row := newTableOneRow(v.name, kindCount, g)
			row.level, row.n, row.missing, row.smd = level, counts[k], len(g.patients)-known, smd
			if known > 0 {
				row.percent = 100 * float64(counts[k]) / float64(known)
			}
			out = append(out, row)
		}
	}
	return out, nil
}

// known are the numbers of a role's patients who have one.
func (v characteristic) known(g roleGroup) []float64 {
	var out []float64
	for _, i := range g.patients {
		if x := v.numbers[i]; !math.IsNaN(x) {
			out = append(out, x)
		}
	}
	return out
}

// counts are the patients of a role in each level, and in any.
func (v characteristic) counts(g roleGroup) (counts []int, known int) {
	counts = make([]int, len(v.levels))
	for _, i := range g.patients {
		if k := v.level[i]; k >= 0 {
			counts[k]++
			known++
		}
	}
	return counts, known
}

// medianFollowUp is the median time under observation, were nobody to die: Kaplan-Meier
// with deaths and censorings exchanged (Schemper and Smith 1996,
// doi:10.1016/0197-2456(96)00075-X). NaN where it was not reached.
func medianFollowUp(g roleGroup, ev *evaluation) (median, low, high float64, err error) {
	var days []float64
	var censored []bool
	for _, i := range g.patients {
		if o := ev.outcomes[i]; o.SurvivalDays.Valid && o.Event.Valid {
			days, censored = append(days, o.SurvivalDays.V), append(censored, !o.Event.V)
		}
	}
	curve, err := stats.KaplanMeier(days, censored, Level)
	return curve.Median, curve.MedianLow, curve.MedianHigh, err
}

// differences are the absolute standardised differences train-tune and train-test, NaN
// where one of the two has no value.
func (v characteristic) differences(groups []roleGroup) ([2]float64, error) {
	out := [2]float64{math.NaN(), math.NaN()}
	of := func(role datasets.Role) (roleGroup, bool) {
		i := slices.IndexFunc(groups, func(g roleGroup) bool { return g.role == string(role) })
		if i < 0 {
			return roleGroup{}, false
		}
		return groups[i], true
	}
	train, ok := of(datasets.Train)
	if !ok || v.followUp {
		return out, nil
	}
	for k, role := range []datasets.Role{datasets.Tune, datasets.Test} {
		other, ok := of(role)
		if !ok {
			continue
		}
		d, err := v.difference(train, other)
		var none *stats.InputError
		if err != nil && !errors.As(err, &none) {
			return out, err
		}
		if err == nil {
			out[k] = math.Abs(d)
		}
	}
	return out, nil
}

func (v characteristic) difference(a, b roleGroup) (float64, error) {
	if v.levels == nil {
		return stats.StandardisedMean(v.known(a), v.known(b))
	}
	x, _ := v.counts(a)
	y, _ := v.counts(b)
	return stats.StandardisedCategories(x, y)
}

// reportRows sets the rows of one variable as people read them: a number in one line,
// levels below a heading, the missing last.
func (v characteristic) reportRows(groups []roleGroup, rows []tableOneRow) []report.Row {
	at := func(level, group int) tableOneRow { return rows[level*len(groups)+group] }
	title := v.title
	if v.followUp {
		title += " with its 95% interval"
	}
	// Volumes are kept in mm3 and read in cm3.
	unit, factor, decimals := v.unit, 1.0, v.decimals
	if unit == "mm3" {
		unit, factor, decimals = "cm3", 1e-3, 1
	}
	if unit != "" {
		title += ", " + unit
	}
	heading := []string{title}
	var out []report.Row
	for k := range groups {
		cell := ""
		if v.levels == nil {
			cell = at(0, k).numberText(factor, decimals)
		}
		heading = append(heading, cell)
	}
	out = append(out, report.Row{Cells: report.Cells(append(heading, smdText(rows[0].smd))...)})
	for l, level := range v.levels {
		cells := []string{indent + level}
		for k := range groups {
			cell := "–"
			if row := at(l, k); !math.IsNaN(row.percent) {
				cell = fmt.Sprintf("%d (%s%%)", row.n, percentText(row.percent))
			}
			cells = append(cells, cell)
		}
		out = append(out, report.Row{Cells: report.Cells(append(cells, "")...)})
	}
	missing := []string{indent + "missing"}
	some := false
	for k := range groups {
		missing = append(missing, fmt.Sprint(at(0, k).missing))
		some = some || at(0, k).missing > 0
	}
	if some {
		out = append(out, report.Row{Cells: report.Cells(append(missing, "")...)})
	}
	return out
}

// indent sets a level below its variable; blanks at which no line breaks.
const indent = "\u00a0\u00a0"

func (row tableOneRow) numberText(factor float64, decimals int) string {
	if row.n == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", shown(factor*row.median, decimals), shown(factor*row.low, decimals), shown(factor*row.high, decimals))
}

// percentText writes a share without decimals, and no share as none that is not.
func percentText(v float64) string {
	if v > 0 && v < 0.5 {
		return "<1"
	}
	return fmt.Sprintf("%.0f", v)
}

// smdText writes both differences, nothing where there is neither.
func smdText(smd [2]float64) string {
	var text [2]string
	for k, v := range smd {
		switch {
		case math.IsNaN(v):
			text[k] = "–"
		case math.IsInf(v, 0):
			text[k] = "infinite"
		default:
			text[k] = fmt.Sprintf("%.2f", v)
		}
	}
	if math.IsNaN(smd[0]) && math.IsNaN(smd[1]) {
		return ""
	}
	return text[0] + ", " + text[1]
}

func tableOneOf(rows []tableOneRow, provenance map[string]string) (*table.Table, error) {
	return table.New(tableOneSchema(), provenance, map[string]any{
		"variable":       table.ColumnOf(rows, func(r tableOneRow) string { return r.variable }),
		"level":          table.ColumnOf(rows, func(r tableOneRow) table.Null[string] { return nonEmpty(r.level) }),
		"kind":           table.ColumnOf(rows, func(r tableOneRow) string { return r.kind }),
		"unit":           table.ColumnOf(rows, func(r tableOneRow) table.Null[string] { return nonEmpty(r.unit) }),
		"role":           table.ColumnOf(rows, func(r tableOneRow) string { return r.role }),
		"n":              table.ColumnOf(rows, func(r tableOneRow) int64 { return int64(r.n) }),
		"percent":        table.ColumnOf(rows, func(r tableOneRow) table.Null[float64] { return table.Finite(r.percent) }),
		"median":         table.ColumnOf(rows, func(r tableOneRow) table.Null[float64] { return table.Finite(r.median) }),
		"low":            table.ColumnOf(rows, func(r tableOneRow) table.Null[float64] { return table.Finite(r.low) }),
		"high":           table.ColumnOf(rows, func(r tableOneRow) table.Null[float64] { return table.Finite(r.high) }),
		"missing":        table.ColumnOf(rows, func(r tableOneRow) int64 { return int64(r.missing) }),
		"smd_train_tune": table.ColumnOf(rows, func(r tableOneRow) table.Null[float64] { return table.Finite(r.smd[0]) }),
		"smd_train_test": table.ColumnOf(rows, func(r tableOneRow) table.Null[float64] { return table.Finite(r.smd[1]) }),
	})
}

// nonEmpty makes an empty text null.
func nonEmpty(s string) table.Null[string] { return table.Null[string]{V: s, Valid: s != ""} }
