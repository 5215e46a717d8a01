package nb

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
	"hounsfield/stats"
)

// Stack puts the same table of several runs (such as "metrics" or "history") below each
// other, with the run's name in a first column "run". Columns that not all of them have
// in the same type are left out.
func Stack(runs []string, name string) *table.Table {
	return Must(stack(runs, name))
}

func stack(runs []string, name string) (*table.Table, error) {
	labels, err := runLabels(runs)
	if err != nil {
		return nil, err
	}
	var tables []*table.Table
	for _, run := range runs {
		t, err := readTable(filepath.Join(run, "tables", name+".arrow"))
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	schema := table.Schema{Name: name, Columns: []table.Column{{Name: "run", Type: table.String}}}
	data := map[string]any{}
	var names []string
	for i, t := range tables {
		names = append(names, slices.Repeat([]string{labels[i]}, t.Rows())...)
	}
	data["run"] = names
	for _, c := range tables[0].Schema().Columns {
		c.Nullable, c.Unique = true, false
		shared := !slices.ContainsFunc(tables, func(t *table.Table) bool {
			other, ok := t.Schema().Column(c.Name)
			return !ok || other.Type != c.Type
		})
		if !shared {
			continue
		}
		schema = schema.With(c)
		switch c.Type {
		case table.String:
			data[c.Name] = concat[string](tables, c.Name)
		case table.Int64:
			data[c.Name] = concat[int64](tables, c.Name)
		case table.Bool:
			data[c.Name] = concat[bool](tables, c.Name)
		case table.Float32:
			data[c.Name] = concat[float32](tables, c.Name)
		default:
			data[c.Name] = concat[float64](tables, c.Name)
		}
	}
	return table.New(schema, nil, data)
}

func concat[V table.Value](tables []*table.Table, name string) []table.Null[V] {
	var out []table.Null[V]
	for _, t := range tables {
		out = append(out, table.Nulls[V](t, name)...)
	}
	return out
}

// runLabels name runs: by their experiment, and by their folder where two share one.
func runLabels(runs []string) ([]string, error) {
	labels := make([]string, len(runs))
	count := map[string]int{}
	for i, run := range runs {
		m, err := experiments.ReadManifest(run)
		if err != nil {
			return nil, err
		}
		labels[i] = m.Experiment
		count[m.Experiment]++
	}
	for i, run := range runs {
		if count[labels[i]] > 1 {
			labels[i] = filepath.Base(run)
		}
	}
	return labels, nil
}

// Paired compares the test AUCs of every two of the runs on the patients that both have
// scored, by DeLong's test for correlated curves: a row for each pair, with the
// difference first - second, positive where the first run separates better, and its
// 95% interval. Runs whose test patients differ in outcome are an error; pairs without
// ten patients of each outcome in common are left out.
func Paired(runs []string) *table.Table {
	return Must(paired(runs))
}

// fewest is how many patients of each outcome a comparison must have.
const fewest = 10

// judged is one test patient of a run.
type judged struct {
	score float64
	dead  bool
}

func paired(runs []string) (*table.Table, error) {
	labels, err := runLabels(runs)
	if err != nil {
		return nil, err
	}
	var all []map[string]judged
	for _, run := range runs {
		patients, err := testPatients(run)
		if err != nil {
			return nil, err
		}
		all = append(all, patients)
	}
	var first, second []string
	var n, deaths []int64
	var aucA, aucB, difference, low, high, p []float64
	for i := range runs {
		for j := i + 1; j < len(runs); j++ {
			var a, b []float64
			var dead []bool
			died := 0
			for _, id := range slices.SortedFunc(maps.Keys(all[i]), cmp.Compare) {
				mine := all[i][id]
				theirs, ok := all[j][id]
				if !ok {
					continue
				}
				if mine.dead != theirs.dead {
					return nil, fmt.Errorf("patient %s is dead at two years in one of %s and %s and alive in the other: these runs are not about the same patients", id, labels[i], labels[j])
				}
				a, b, dead = append(a, mine.score), append(b, theirs.score), append(dead, mine.dead)
				if mine.dead {
					died++
				}
			}
			if died < fewest || len(dead)-died < fewest {
				continue
			}
			r, err := stats.DeLongPaired(a, b, dead, experiments.Level)
			if err != nil {
				return nil, err
			}
			first, second = append(first, labels[i]), append(second, labels[j])
			n, deaths = append(n, int64(r.N)), append(deaths, int64(r.Positives))
			aucA, aucB, difference = append(aucA, r.A), append(aucB, r.B), append(difference, r.Difference)
			low, high, p = append(low, r.Low), append(high, r.High), append(p, r.P)
		}
	}
	return table.New(table.Schema{Name: "paired", Columns: []table.Column{
		{Name: "first", Type: table.String, Description: "run"},
		{Name: "second", Type: table.String, Description: "run"},
		{Name: "n", Type: table.Int64, Description: "test patients with a two-year label that both runs scored"},
		{Name: "deaths", Type: table.Int64, Description: "of them dead at two years"},
		{Name: "auc_first", Type: table.Float64},
		{Name: "auc_second", Type: table.Float64},
		{Name: "difference", Type: table.Float64, Direction: "positive = the first run separates better", Description: "of the AUCs"},
		{Name: "low", Type: table.Float64, Description: "lower 95% limit of the difference"},
		{Name: "high", Type: table.Float64, Description: "upper 95% limit"},
		{Name: "p", Type: table.Float64, Nullable: true, Description: "DeLong's paired test, two-sided, not corrected for the number of pairs"},
	}}, nil, map[string]any{"first": first, "second": second, "n": n, "deaths": deaths, "auc_first": aucA, "auc_second": aucB,
		"difference": difference, "low": low, "high": high, "p": p})
}

// testPatients are the scored test patients of a run whose two-year outcome is known.
func testPatients(run string) (map[string]judged, error) {
	t, err := readTable(filepath.Join(run, "tables", "predictions.arrow"))
	if err != nil {
		return nil, err
	}
	ids, cohorts, roles := t.Strings("patient_id"), t.Strings("cohort"), t.Strings("role")
	scores, alive := table.Nulls[float64](t, "score"), table.Nulls[bool](t, "alive_2yr")
	out := map[string]judged{}
	for i, id := range ids {
		if roles[i] == "test" && scores[i].Valid && alive[i].Valid {
			out[cohorts[i]+" "+id] = judged{score: scores[i].V, dead: !alive[i].V}
		}
	}
	return out, nil
}
