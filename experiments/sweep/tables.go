package sweep

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"path/filepath"
	"strconv"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
)

// provenance is written into the metadata of the sweep's tables.
func (p *Planned) provenance() map[string]string {
	return map[string]string{"software": "hounsfield", "sweep": p.Sweep.Name, "hash": p.Hash, "code": p.env.Code, "reference": p.Reference,
		"note": "research software, not a medical device"}
}

func (p *Planned) writeTable(f *folder, name string, t *table.Table) error {
	for _, ending := range []string{".arrow", ".parquet"} {
		if err := t.Write(filepath.Join(f.dir, name+ending)); err != nil {
			return err
		}
	}
	return nil
}

// keyColumns are a column for each swept key, of the narrowest type that holds its values.
// pick maps a row of the table to a result.
func (p *Planned) keyColumns(all []Result, data map[string]any, pick []int) []table.Column {
	var out []table.Column
	for k, key := range p.Keys() {
		c := table.Column{Name: key, Type: typeOf(all, k), Nullable: true, Description: "setting of the config"}
		switch c.Type {
		case table.Bool:
			data[key] = keyColumn(all, k, pick, func(v any) bool { return v.(bool) })
		case table.Int64:
			data[key] = keyColumn(all, k, pick, func(v any) int64 { return v.(int64) })
		case table.Float64:
			data[key] = keyColumn(all, k, pick, number)
		default:
			data[key] = keyColumn(all, k, pick, words)
		}
		out = append(out, c)
	}
	return out
}

func keyColumn[V any](all []Result, k int, pick []int, as func(any) V) []table.Null[V] {
	out := make([]table.Null[V], len(pick))
	for i, r := range pick {
		if v := all[r].Values[k]; v != nil {
			out[i] = table.Some(as(v))
		}
	}
	return out
}

// typeOf is the narrowest type that holds all values of a key.
func typeOf(all []Result, k int) table.Type {
	is := map[table.Type]bool{}
	for _, r := range all {
		switch r.Values[k].(type) {
		case nil:
		case bool:
			is[table.Bool] = true
		case int64:
			is[table.Int64] = true
		case float64:
			is[table.Float64] = true
		default:
			is[table.String] = true
		}
	}
	switch {
	case is[table.String], is[table.Bool] && len(is) > 1, len(is) == 0:
		return table.String
	case is[table.Bool]:
		return table.Bool
	case is[table.Float64]:
		return table.Float64
	default:
		return table.Int64
	}
}

func number(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	return v.(float64)
}

// words are a value as people read it.
func words(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// cellColumns tell of a row's cell.
func cellColumns(all []Result, data map[string]any, pick []int) []table.Column {
	column := func(name string, get func(Result) string) {
		out := make([]string, len(pick))
		for i, r := range pick {
			out[i] = get(all[r])
		}
		data[name] = out
	}
	column("cell", func(r Result) string { return r.Cell })
	column("setting", func(r Result) string { return r.Setting })
	column("run", func(r Result) string { return r.Run })
	column("hash", func(r Result) string { return r.Hash })
	column("status", func(r Result) string { return r.Status })
	column("reason", func(r Result) string { return r.Reason })
	seeds, seconds := make([]table.Null[int64], len(pick)), make([]table.Null[float64], len(pick))
	for i, r := range pick {
		if s := all[r].Seed; s != nil {
			seeds[i] = table.Some(*s)
		}
		if all[r].Seconds > 0 {
			seconds[i] = table.Some(all[r].Seconds)
		}
	}
	data["seed"], data["seconds"] = seeds, seconds
	return []table.Column{
		{Name: "cell", Type: table.String},
		{Name: "setting", Type: table.String, Description: "the cell without its seed"},
		{Name: "seed", Type: table.Int64, Nullable: true, Description: "null where the seeds of a cell train together"},
		{Name: "run", Type: table.String, Description: "name of the run folder"},
		{Name: "hash", Type: table.String},
		{Name: "status", Type: table.String, Allowed: []string{Waiting, Running, Ok, Failed, Stopped}},
		{Name: "reason", Type: table.String, Description: "why the cell has no result; empty where it has"},
		{Name: "seconds", Type: table.Float64, Nullable: true, Unit: "s", Description: "of computing; of a failed cell until it failed"},
	}
}

// writeLong writes the table of all runs and metrics: a row for each figure of a cell, one
// row without figures for a cell that has none.
func (p *Planned) writeLong(f *folder, all []Result) error {
	var pick []int
	var rows []row
	for i, r := range all {
		if len(r.rows) == 0 {
			pick, rows = append(pick, i), append(rows, row{})
		}
		for _, x := range r.rows {
			pick, rows = append(pick, i), append(rows, x)
		}
	}
	text := func(get func(row) string) []table.Null[string] {
		return table.ColumnOf(rows, func(r row) table.Null[string] {
			s := get(r)
			return table.Null[string]{V: s, Valid: s != ""}
		})
	}
	data := map[string]any{
		"from": text(func(r row) string { return r.from }), "metric": text(func(r row) string { return r.metric }),
		"role": text(func(r row) string { return r.role }), "cohort": text(func(r row) string { return r.cohort }),
		"scored_by": text(func(r row) string { return r.by }), "group": text(func(r row) string { return r.group }),
		"at": text(func(r row) string { return r.at }), "method": text(func(r row) string { return r.method }),
		"epoch":  table.ColumnOf(rows, func(r row) table.Null[int64] { return r.epoch }),
		"n":      table.ColumnOf(rows, func(r row) table.Null[int64] { return r.n }),
		"events": table.ColumnOf(rows, func(r row) table.Null[int64] { return r.events }),
		"value":  table.ColumnOf(rows, func(r row) table.Null[float64] { return r.value }),
		"low":    table.ColumnOf(rows, func(r row) table.Null[float64] { return r.low }),
		"high":   table.ColumnOf(rows, func(r row) table.Null[float64] { return r.high }),
		"p":      table.ColumnOf(rows, func(r row) table.Null[float64] { return r.p }),
	}
	schema := table.Schema{Name: longTable, Columns: cellColumns(all, data, pick)}
	schema = schema.With(p.keyColumns(all, data, pick)...).With(
		table.Column{Name: "from", Type: table.String, Nullable: true, Description: "metrics (the run's evaluation), training (its history), or the name of an analysis; null for a cell without figures"},
		table.Column{Name: "metric", Type: table.String, Nullable: true},
		table.Column{Name: "role", Type: table.String, Nullable: true},
		table.Column{Name: "cohort", Type: table.String, Nullable: true},
		table.Column{Name: "scored_by", Type: table.String, Nullable: true, Description: "whose score: the network (mean over seeds), one seed, the published network, or the true hazard"},
		table.Column{Name: "group", Type: table.String, Nullable: true, Description: "patients, readers or arms of an analysis"},
		table.Column{Name: "at", Type: table.String, Nullable: true, Description: "of training: best is the epoch whose weights were kept, by the tune role; last is the last one trained"},
		table.Column{Name: "epoch", Type: table.Int64, Nullable: true, Description: "from 1"},
		table.Column{Name: "n", Type: table.Int64, Nullable: true, Description: "patients the figure stands on"},
		table.Column{Name: "events", Type: table.Int64, Nullable: true},
		table.Column{Name: "value", Type: table.Float64, Nullable: true},
		table.Column{Name: "low", Type: table.Float64, Nullable: true, Description: "lower confidence limit"},
		table.Column{Name: "high", Type: table.Float64, Nullable: true, Description: "upper confidence limit"},
		table.Column{Name: "p", Type: table.Float64, Nullable: true},
		table.Column{Name: "method", Type: table.String, Nullable: true})
	t, err := table.New(schema, p.provenance(), data)
	if err != nil {
		return err
	}
	return p.writeTable(f, longTable, t)
}

// wideColumn is a figure of the table for people.
type wideColumn struct {
	name, about string
	get         func(Result) float64 // NaN where there is none
}

// wideColumns are the figures of the table for people.
func wideColumns() []wideColumn {
	out := []wideColumn{}
	metric := func(name, about string, get func(Result) experiments.Metric) {
		value := func(of func(experiments.Metric) float64) func(Result) float64 {
			return func(r Result) float64 {
				m := get(r)
				if m.N == 0 {
					return math.NaN()
				}
				return of(m)
			}
		}
		limit := func(v table.Null[float64]) float64 {
			if !v.Valid {
				return math.NaN()
			}
			return v.V
		}
		out = append(out,
			wideColumn{name, about, value(func(m experiments.Metric) float64 { return m.Value })},
			wideColumn{name + "_low", "lower confidence limit", value(func(m experiments.Metric) float64 { return limit(m.Low) })},
			wideColumn{name + "_high", "upper confidence limit", value(func(m experiments.Metric) float64 { return limit(m.High) })},
			wideColumn{name + "_n", "patients the figure stands on", value(func(m experiments.Metric) float64 { return float64(m.N) })})
	}
	metric("tune_auc", "AUC of the run's score for death at two years, tune role (DeLong); optimistic: epochs were chosen by it", func(r Result) experiments.Metric { return r.TuneAUC })
	metric("test_auc", "AUC of the run's score for death at two years, test role (DeLong)", func(r Result) experiments.Metric { return r.TestAUC })
	metric("tune_c", "Harrell's C of the score, tune role", func(r Result) experiments.Metric { return r.TuneC })
	metric("test_c", "Harrell's C of the score, test role", func(r Result) experiments.Metric { return r.TestC })
	metric("test_hazard_ratio", "high against low risk, test role (Cox)", func(r Result) experiments.Metric { return r.Hazard })
	for _, at := range []struct {
		name string
		get  func(Result) Epoch
	}{{atBest, func(r Result) Epoch { return r.Best }}, {atLast, func(r Result) Epoch { return r.Last }}} {
		epoch := func(name string, get func(Epoch) float64) {
			out = append(out, wideColumn{at.name + "_" + name, "training, " + at.name + " epoch, mean over seeds", func(r Result) float64 {
				e := at.get(r)
				if e.Epoch == 0 {
					return math.NaN()
				}
				return get(e)
			}})
		}
		epoch("epoch", func(e Epoch) float64 { return e.Epoch })
		epoch("tune_auc", func(e Epoch) float64 { return e.TuneAUC })
		epoch("tune_concordance", func(e Epoch) float64 { return e.TuneC })
		epoch("tune_loss", func(e Epoch) float64 { return e.TuneLoss })
		epoch("train_loss", func(e Epoch) float64 { return e.TrainLoss })
	}
	return out
}

// writeWide writes the table for people: a row for each cell, as Arrow, Parquet and CSV.
func (p *Planned) writeWide(f *folder, all []Result) error {
	pick := make([]int, len(all))
	for i := range all {
		pick[i] = i
	}
	data := map[string]any{}
	schema := table.Schema{Name: wideTable, Columns: cellColumns(all, data, pick)}
	schema = schema.With(p.keyColumns(all, data, pick)...)
	columns := wideColumns()
	for _, c := range columns {
		schema = schema.With(table.Column{Name: c.name, Type: table.Float64, Nullable: true, Description: c.about})
		data[c.name] = table.ColumnOf(all, func(r Result) table.Null[float64] { return table.Finite(c.get(r)) })
	}
	t, err := table.New(schema, p.provenance(), data)
	if err != nil {
		return err
	}
	if err := p.writeTable(f, wideTable, t); err != nil {
		return err
	}
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	lines := [][]string{t.Schema().Names()}
	for _, r := range all {
		line := []string{r.Cell, r.Setting, "", r.Run, r.Hash, r.Status, r.Reason, text(r.Seconds)}
		if r.Seed != nil {
			line[2] = strconv.FormatInt(*r.Seed, 10)
		}
		for _, v := range r.Values {
			line = append(line, words(v))
		}
		for _, c := range columns {
			line = append(line, text(c.get(r)))
		}
		lines = append(lines, line)
	}
	if err := out.WriteAll(lines); err != nil {
		return err
	}
	return f.write(wideTable+".csv", b.Bytes())
}

// text is a number in a CSV file; empty where there is none.
func text(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// writePairs writes the differences from the reference.
func (p *Planned) writePairs(f *folder, all []pair) error {
	figure := func(get func(pair) float64) []table.Null[float64] {
		return table.ColumnOf(all, func(d pair) table.Null[float64] {
			if d.Lacks != "" {
				return table.Null[float64]{}
			}
			return table.Finite(get(d))
		})
	}
	t, err := table.New(table.Schema{Name: pairTable, Columns: []table.Column{
		{Name: "cell", Type: table.String}, {Name: "less", Type: table.String, Description: "the cell of the reference with the same seed"},
		{Name: "role", Type: table.String},
		{Name: "n", Type: table.Int64}, {Name: "events", Type: table.Int64, Description: "dead at two years"},
		{Name: "difference", Type: table.Float64, Nullable: true, Direction: "above 0: the cell separates the dead from the living better than the reference",
			Description: "of AUC for death at two years"},
		{Name: "low", Type: table.Float64, Nullable: true, Description: "lower confidence limit (paired DeLong)"},
		{Name: "high", Type: table.Float64, Nullable: true}, {Name: "p", Type: table.Float64, Nullable: true, Description: "two-sided, for one comparison"},
		{Name: "lacks", Type: table.String, Description: "why there is no such figure; empty where there is"},
	}}, p.provenance(), map[string]any{
		"cell": table.ColumnOf(all, func(d pair) string { return d.cell }), "less": table.ColumnOf(all, func(d pair) string { return d.over }),
		"role": table.ColumnOf(all, func(d pair) string { return d.Role }), "n": table.ColumnOf(all, func(d pair) int64 { return int64(d.Found.N) }),
		"events":     table.ColumnOf(all, func(d pair) int64 { return int64(d.Found.Positives) }),
		"difference": figure(func(d pair) float64 { return d.Found.Difference }), "low": figure(func(d pair) float64 { return d.Found.Low }),
		"high": figure(func(d pair) float64 { return d.Found.High }), "p": figure(func(d pair) float64 { return d.Found.P }),
		"lacks": table.ColumnOf(all, func(d pair) string { return d.Lacks }),
	})
	if err != nil {
		return err
	}
	return p.writeTable(f, pairTable, t)
}
