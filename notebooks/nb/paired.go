package nb

import (
	"path/filepath"
	"slices"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
)

// Stack puts the same table of several runs (such as "metrics" or "history") below each
// other, with the run's name in a first column "run". Columns that not all of them have
// in the same type are left out.
func Stack(runs []string, name string) *table.Table {
	return Must(stack(runs, name))
}

func stack(runs []string, name string) (*table.Table, error) {
	labels, err := experiments.RunLabels(runs)
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

// Paired compares the AUCs of every two of the runs on the patients that both have scored,
// by DeLong's test for correlated curves: a row for each role and pair.
func Paired(runs []string) *table.Table {
	return Must(experiments.PairedTable(runs))
}
