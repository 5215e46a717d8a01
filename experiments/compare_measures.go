package experiments

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"hounsfield/datasets/table"
	"hounsfield/experiments/analysis"
	"hounsfield/experiments/figure"
)

// readMeasures reads what the analyses of a finished run measured, by analysis. A run that
// has no such table of an analysis has no entry.
func readMeasures(run string, m *Manifest, analyses []string) (map[string][]analysis.Measure, error) {
	out := map[string][]analysis.Measure{}
	for _, name := range analyses {
		file := tablesDir + "/" + name + ".arrow"
		if _, written := m.Outputs[file]; !written {
			continue
		}
		t, err := table.Read(filepath.Join(run, filepath.FromSlash(file)), analysis.MeasuresSchema(name), table.Ignore)
		if err != nil {
			return nil, err
		}
		low, high, p := table.Nulls[float64](t, "low"), table.Nulls[float64](t, "high"), table.Nulls[float64](t, "p")
		for i, metric := range t.Strings("metric") {
			out[name] = append(out[name], analysis.Measure{Name: metric, Group: t.Strings("group")[i], N: int(t.Int64s("n")[i]),
				Value: t.Float64s("value")[i], Low: low[i], High: high[i], P: p[i], Method: t.Strings("method")[i]})
		}
	}
	return out, nil
}

// measureRow is one measure of one analysis in each run; nil where a run has it not.
type measureRow struct {
	analysis, metric, group string
	by                      []*analysis.Measure
}

// measureRows sets the runs' analyses side by side, in the order in which they first stand.
func measureRows(all []compared) []measureRow {
	var names []string
	for _, c := range all {
		for _, name := range c.analyses {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var rows []measureRow
	for _, name := range names {
		first := len(rows)
		for run, c := range all {
			for _, m := range c.measures[name] {
				i := slices.IndexFunc(rows[first:], func(r measureRow) bool { return r.metric == m.Name && r.group == m.Group })
				if i < 0 {
					i = len(rows) - first
					rows = append(rows, measureRow{analysis: name, metric: m.Name, group: m.Group, by: make([]*analysis.Measure, len(all))})
				}
				rows[first+i].by[run] = &m
			}
		}
	}
	return rows
}

// measureText writes a measure with its interval, p and n, as it stands in a table.
func measureText(m *analysis.Measure) string {
	if m == nil {
		return "-"
	}
	decimals := 3
	if m.Value == math.Trunc(m.Value) && !m.Low.Valid && !m.High.Valid {
		decimals = 0 // a count
	}
	text := shown(m.Value, decimals)
	if m.Low.Valid || m.High.Valid {
		text += fmt.Sprintf(" (%s to %s)", limitText(m.Low.V, m.Low.Valid, 3), limitText(m.High.V, m.High.Valid, 3))
	}
	if m.P.Valid {
		text += ", " + figure.PValue(m.P.V)
	}
	return text + fmt.Sprintf(", n=%d", m.N)
}
