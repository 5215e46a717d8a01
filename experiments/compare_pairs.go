package experiments

import (
	"maps"
	"path/filepath"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
)

// RunLabels name finished runs in tables and plots: by their experiment, and by their folder
// where two share one.
func RunLabels(runs []string) ([]string, error) {
	labels := make([]string, len(runs))
	count := map[string]int{}
	for i, run := range runs {
		m, err := ReadManifest(run)
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

// PairedTable compares the AUCs at two years of every two of the runs on the patients that
// both judged, by DeLong's test for correlated curves: a row for each role (test, tune) and
// pair. The difference is first - second, positive where the first run separates the dead
// from the living better. A pair without a figure keeps its row, which says what it lacks.
func PairedTable(runs []string) (*table.Table, error) {
	labels, err := RunLabels(runs)
	if err != nil {
		return nil, err
	}
	all := make([]compared, len(runs))
	for i, run := range runs {
		all[i].name = labels[i]
		if all[i].judged, err = readJudged(run); err != nil {
			return nil, err
		}
		all[i].ids = slices.Sorted(maps.Keys(all[i].judged))
	}
	var rows []difference
	for _, role := range []datasets.Role{datasets.Test, datasets.Tune} {
		for i := range all {
			for j := i + 1; j < len(all); j++ {
				rows = append(rows, differ(all[i], all[j], role))
			}
		}
	}
	known := func(v func(difference) float64) []table.Null[float64] {
		return table.ColumnOf(rows, func(d difference) table.Null[float64] {
			if d.lacks != "" {
				return table.Null[float64]{}
			}
			return table.Finite(v(d))
		})
	}
	return table.New(table.Schema{Name: "paired", Columns: []table.Column{
		{Name: "first", Type: table.String, Description: "run"},
		{Name: "second", Type: table.String, Description: "run"},
		{Name: "role", Type: table.String},
		{Name: "n", Type: table.Int64, Description: "patients with a two-year label that both runs scored"},
		{Name: "deaths", Type: table.Int64, Description: "of them dead at two years"},
		{Name: "auc_first", Type: table.Float64, Nullable: true},
		{Name: "auc_second", Type: table.Float64, Nullable: true},
		{Name: "difference", Type: table.Float64, Nullable: true, Direction: "positive = the first run separates better", Description: "of the AUCs"},
		{Name: "low", Type: table.Float64, Nullable: true, Description: "lower 95% limit of the difference"},
		{Name: "high", Type: table.Float64, Nullable: true, Description: "upper 95% limit"},
		{Name: "p", Type: table.Float64, Nullable: true, Description: "DeLong's paired test, two-sided, not corrected for the number of pairs"},
		{Name: "lacks", Type: table.String, Description: "why there is no figure; empty where there is"},
	}}, nil, map[string]any{
		"first":      table.ColumnOf(rows, func(d difference) string { return d.of }),
		"second":     table.ColumnOf(rows, func(d difference) string { return d.over }),
		"role":       table.ColumnOf(rows, func(d difference) string { return d.role }),
		"n":          table.ColumnOf(rows, func(d difference) int64 { return int64(d.found.N) }),
		"deaths":     table.ColumnOf(rows, func(d difference) int64 { return int64(d.found.Positives) }),
		"lacks":      table.ColumnOf(rows, func(d difference) string { return d.lacks }),
		"auc_first":  known(func(d difference) float64 { return d.found.A }),
		"auc_second": known(func(d difference) float64 { return d.found.B }),
		"difference": known(func(d difference) float64 { return d.found.Difference }),
		"low":        known(func(d difference) float64 { return d.found.Low }),
		"high":       known(func(d difference) float64 { return d.found.High }),
		"p":          known(func(d difference) float64 { return d.found.P }),
	})
}
