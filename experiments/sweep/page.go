package sweep

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hounsfield/experiments"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// setting is what the cells that differ by their seed alone have in common.
type setting struct {
	name       string
	of         []int // results
	done       int
	tune, test float64 // means over its cells; NaN where one has none
}

// summed is a sweep by settings.
type summed struct {
	settings []setting
	best     string // the one with the highest mean in the tune role; "" where none is whole
}

// summary takes means over seeds and chooses the best setting by the tune role alone. A
// setting with a cell that is not done is no candidate. The first of equals is taken.
func (p *Planned) summary(all []Result) summed {
	var g summed
	top := math.Inf(-1)
	for i, r := range all {
		k := slices.IndexFunc(g.settings, func(s setting) bool { return s.name == r.Setting })
		if k < 0 {
			g.settings, k = append(g.settings, setting{name: r.Setting}), len(g.settings)
		}
		g.settings[k].of = append(g.settings[k].of, i)
	}
	for k := range g.settings {
		s := &g.settings[k]
		for _, i := range s.of {
			n := float64(len(s.of))
			s.tune += value(all[i].tune(p.choose())) / n
			s.test += value(all[i].test(p.choose())) / n
			if all[i].Status == Ok {
				s.done++
			}
		}
		if s.done == len(s.of) && s.tune > top {
			top, g.best = s.tune, s.name
		}
	}
	return g
}

// measureName is the name of the metric that chooses.
func measureName(choose string) string {
	if choose == ByConcordance {
		return "Harrell's C"
	}
	return "AUC"
}

// page is what the report of a sweep is made of.
type page struct {
	p       *Planned
	f       *folder
	all     []Result
	g       summed
	pairs   []pair
	measure string
}

// writePage writes report.html and the figures in it.
func (p *Planned) writePage(f *folder, all []Result, g summed, pairs []pair) error {
	w := page{p: p, f: f, all: all, g: g, pairs: pairs, measure: measureName(p.choose())}
	doc := report.Document{Title: "Sweep " + p.Sweep.Name, Subtitle: p.Sweep.Description,
		Software: fmt.Sprintf("hounsfield, code %.12s, sweep %s", p.env.Code, p.Hash)}
	doc.Lead = append(doc.Lead, w.keyFigures())
	if c := w.troubles(); c != nil {
		doc.Lead = append(doc.Lead, *c)
	}
	figures, err := w.figures()
	if err != nil {
		return err
	}
	doc.Lead = append(doc.Lead, figures...)
	spelled, err := p.Sweep.yaml()
	if err != nil {
		return err
	}
	doc.Sections = []report.Section{
		{ID: "settings", Title: "Settings", Blocks: []report.Block{w.settings()}},
		{ID: "differences", Title: "Differences", Blocks: w.differences()},
		{ID: "cells", Title: "Cells", Blocks: []report.Block{w.cells()}},
		{ID: "method", Title: "How to read this", Blocks: w.method()},
		{ID: "record", Title: "Record", Blocks: []report.Block{
			report.Paragraph{{Text: "All runs and metrics are in "}, {Text: longTable + ".parquet", Link: longTable + ".parquet"}, {Text: ", the states of the cells in "},
				{Text: recordFile, Link: recordFile}, {Text: "."}},
			report.Folded{Title: "The sweep", Blocks: []report.Block{report.Code{Label: sweepFile, Text: string(spelled)}}},
		}},
	}
	html, err := report.Render(doc)
	if err != nil {
		return err
	}
	return f.write(pageFile, html)
}

func (w page) keyFigures() report.KeyFigures {
	count := map[string]int{}
	for _, r := range w.all {
		count[r.Status]++
	}
	note := ""
	for _, s := range []string{Failed, Waiting, Running, Stopped} {
		if count[s] > 0 {
			note = strings.TrimPrefix(fmt.Sprintf("%s, %d %s", note, count[s], s), ", ")
		}
	}
	out := report.KeyFigures{{Label: "Cells done", Value: fmt.Sprintf("%d of %d", count[Ok], len(w.all)), Note: note}}
	if k := slices.IndexFunc(w.g.settings, func(s setting) bool { return s.name == w.g.best && w.g.best != "" }); k >= 0 {
		s := w.g.settings[k]
		over := ""
		if len(s.of) > 1 {
			over = fmt.Sprintf("mean of %d seeds; ", len(s.of))
		}
		first := w.all[s.of[0]]
		tune, test := w.tune(first), w.test(first)
		whole := ""
		if count[Ok] < len(w.all) {
			whole = " of the settings whose cells are all done"
		}
		out = append(out, report.KeyFigure{Label: "Highest tune " + w.measure + whole, Value: number3(s.tune), N: tune.N, Note: over + breakable(s.name)})
		figure := report.KeyFigure{Label: "Its test " + w.measure, Value: number3(s.test), N: test.N, Note: over + "not used to choose"}
		if len(s.of) == 1 && test.Low.Valid && test.High.Valid {
			figure.Interval = number3(test.Low.V) + " to " + number3(test.High.V)
		}
		out = append(out, figure)
	}
	return out
}

func number3(v float64) string {
	if math.IsNaN(v) {
		return "none"
	}
	return fmt.Sprintf("%.3f", v)
}

// troubles name the cells without a result; nil where all have one.
func (w page) troubles() *report.Callout {
	c := &report.Callout{Tone: report.Warning, Title: "Cells without a result"}
	for _, r := range w.all {
		if r.Status == Ok {
			continue
		}
		text := r.Cell + ": " + r.Status
		if r.Reason != "" {
			text += ": " + r.Reason
		}
		c.Body = append(c.Body, report.Text(text))
	}
	if c.Body == nil {
		return nil
	}
	return c
}

// mostDrawn is how many cells a forest plot shows.
const mostDrawn = 40

// figures draws the forest of cells and, for a grid of one or two keys, the grid.
func (w page) figures() ([]report.Block, error) {
	var out []report.Block
	add := func(name, caption string, svg []byte, err error) error {
		if err != nil {
			return err
		}
		file := filepath.Join("figures", name+".svg")
		out = append(out, report.Figure{SVG: svg, Caption: report.Text(caption), File: filepath.ToSlash(file)})
		return w.f.write(file, svg)
	}
	if grid, caption, err := w.grid(); err != nil {
		return nil, err
	} else if grid != nil {
		if err := add("grid", caption, grid, nil); err != nil {
			return nil, err
		}
	}
	plot := figure.ForestPlot{Axis: w.measure, Decimals: 3, Lines: []figure.ForestLine{{Name: "chance", At: 0.5}}}
	order := make([]int, len(w.all))
	for i := range order {
		order[i] = i
	}
	shown := ""
	if len(order) > mostDrawn {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(value(w.tune(w.all[b])), value(w.tune(w.all[a]))) }) // NaN, for none, last
		order = order[:mostDrawn]
		slices.Sort(order)
		shown = fmt.Sprintf(" The %d of %d cells with the highest %s in the tune role are shown, in the sweep's order.", mostDrawn, len(w.all), w.measure)
	}
	for _, role := range []struct {
		name string
		get  func(Result) experiments.Metric
	}{{"tune role, which chooses", w.tune}, {"test role", w.test}} {
		for _, i := range order {
			if m := role.get(w.all[i]); m.N > 0 && !math.IsNaN(m.Value) {
				e := figure.Estimate{Value: m.Value}
				if m.Low.Valid && m.High.Valid {
					e.Low, e.High = m.Low.V, m.High.V
				}
				plot.Rows = append(plot.Rows, figure.ForestRow{Group: role.name, Name: breakable(w.all[i].Cell), Estimate: e, N: m.N, Summary: w.all[i].Setting == w.g.best})
			}
		}
	}
	if len(plot.Rows) == 0 {
		return out, nil
	}
	svg, err := figure.Forest(plot)
	return out, add("forest", w.measure+" of each cell with its 95% interval. Bold rows with diamonds are the setting that the tune role chooses; the test role chooses nothing."+shown, svg, err)
}

// breakable lets the name of a cell be broken into lines at its commas.
func breakable(name string) string { return strings.ReplaceAll(name, ",", ", ") }

func (w page) tune(r Result) experiments.Metric { return r.tune(w.p.choose()) }

func (w page) test(r Result) experiments.Metric { return r.test(w.p.choose()) }

// grid draws a sweep of one or two keys with two values or more: a line, or a heat map.
// Where settings have several seeds it shows their means; nil where there is no such figure.
func (w page) grid() (svg []byte, caption string, err error) {
	axes := w.p.Sweep.Grid
	if len(axes) == 0 || len(axes) > 2 || len(w.p.Sweep.List) > 0 {
		return nil, "", nil
	}
	labels := make([][]string, len(axes))
	for i, a := range axes {
		if len(a.Values) < 2 {
			return nil, "", nil
		}
		for _, v := range a.Values {
			text, err := shown(v)
			if err != nil {
				return nil, "", err
			}
			labels[i] = append(labels[i], text)
		}
	}
	find := func(values ...string) *setting {
		var parts []string
		for i, v := range values {
			parts = append(parts, axes[i].Key+"="+v)
		}
		name := strings.Join(parts, ",")
		if k := slices.IndexFunc(w.g.settings, func(s setting) bool { return s.name == name }); k >= 0 {
			return &w.g.settings[k]
		}
		return nil
	}
	there := false
	seeds := ""
	if len(w.p.Sweep.Seeds) > 1 {
		seeds = fmt.Sprintf(" Means over %d seeds.", len(w.p.Sweep.Seeds))
	}
	roles := []struct {
		name string
		mean func(setting) float64
		get  func(Result) experiments.Metric
	}{{"tune role, which chooses", func(s setting) float64 { return s.tune }, w.tune}, {"test role", func(s setting) float64 { return s.test }, w.test}}
	if len(axes) == 1 {
		plot := figure.SettingsPlot{Setting: axes[0].Key, Values: labels[0], Measure: w.measure}
		for _, role := range roles {
			series := figure.SettingsSeries{Name: role.name}
			for _, v := range labels[0] {
				e := figure.Estimate{Value: math.NaN()}
				if s := find(v); s != nil && !math.IsNaN(role.mean(*s)) {
					there, e.Value = true, role.mean(*s)
					if m := role.get(w.all[s.of[0]]); len(s.of) == 1 && m.Low.Valid && m.High.Valid {
						e.Low, e.High = m.Low.V, m.High.V
					}
				}
				series.Estimates = append(series.Estimates, e)
			}
			plot.Series = append(plot.Series, series)
		}
		if !there {
			return nil, "", nil
		}
		svg, err = figure.Settings(plot)
		return svg, w.measure + " over " + axes[0].Key + ", with 95% intervals where a setting is one cell." + seeds, err
	}
	plot := figure.HeatPlot{Down: axes[0].Key, Across: axes[1].Key, Rows: labels[0], Columns: labels[1], Measure: w.measure}
	for _, role := range roles {
		panel := figure.HeatPanel{Name: role.name}
		for _, down := range labels[0] {
			var row []float64
			for _, across := range labels[1] {
				v := math.NaN()
				if s := find(down, across); s != nil {
					v = role.mean(*s)
				}
				there = there || !math.IsNaN(v)
				row = append(row, v)
			}
			panel.Values = append(panel.Values, row)
		}
		plot.Panels = append(plot.Panels, panel)
	}
	if !there {
		return nil, "", nil
	}
	svg, err = figure.Heat(plot)
	return svg, w.measure + " over " + axes[0].Key + " and " + axes[1].Key + "; crossed cells have no result." + seeds, err
}

// settings is the table by settings, means over seeds, in the sweep's order.
func (w page) settings() report.Table {
	t := report.Table{
		Caption: report.Text(fmt.Sprintf("Settings in the sweep's order. The tune role chooses (bold: the highest mean tune %s); the test role stands beside it.", w.measure)),
		Columns: []report.Column{{Title: "Setting"}, {Title: "Cells done"}, {Title: "Tune " + w.measure}, {Title: "Test " + w.measure}},
		Note:    report.Text("Several seeds: mean (least to greatest). One cell: value (95% interval). The tune role's figures are optimistic: epochs were chosen by them too."),
		Files:   []string{wideTable + ".csv", wideTable + ".parquet", wideTable + ".arrow"},
	}
	for _, s := range w.g.settings {
		row := report.Cells(breakable(s.name), fmt.Sprintf("%d of %d", s.done, len(s.of)), w.over(s, s.tune, w.tune), w.over(s, s.test, w.test))
		t.Rows = append(t.Rows, report.Row{Cells: row, Strong: s.name == w.g.best})
	}
	return t
}

// over writes the figure of a setting: with its interval for one cell, with the range over
// seeds for several.
func (w page) over(s setting, mean float64, get func(Result) experiments.Metric) string {
	var values []float64
	var n int
	for _, i := range s.of {
		if m := get(w.all[i]); m.N > 0 {
			values, n = append(values, m.Value), m.N
		}
	}
	switch {
	case len(values) == 0:
		return "none"
	case len(s.of) > 1 && math.IsNaN(mean):
		return fmt.Sprintf("not all cells (%s to %s), n=%d", number3(slices.Min(values)), number3(slices.Max(values)), n)
	case len(s.of) > 1:
		return fmt.Sprintf("%s (%s to %s), n=%d", number3(mean), number3(slices.Min(values)), number3(slices.Max(values)), n)
	}
	return withInterval(get(w.all[s.of[0]]))
}

func withInterval(m experiments.Metric) string {
	if m.N == 0 {
		return "none"
	}
	s := number3(m.Value)
	if m.Low.Valid && m.High.Valid {
		s += fmt.Sprintf(" (%s to %s)", number3(m.Low.V), number3(m.High.V))
	}
	return fmt.Sprintf("%s, n=%d", s, m.N)
}

// differences are the paired tests against the reference.
func (w page) differences() []report.Block {
	t := report.Table{
		Caption: report.Text("AUC for death at two years of each cell less that of the reference on the same patients, with 95% interval: paired DeLong, two-sided. Above 0, the cell separates the dead from the living better."),
		Columns: []report.Column{{Title: "Cell"}, {Title: "Role"}, {Title: "Difference"}},
		Files:   []string{pairTable + ".parquet", pairTable + ".arrow"},
	}
	tests := 0
	for _, d := range w.pairs {
		words := "none: " + d.Lacks
		if d.Lacks == "" {
			x := d.Found
			words = fmt.Sprintf("%+.3f (%+.3f to %+.3f), %s, n=%d, %d dead at two years", x.Difference, x.Low, x.High, figure.PValue(x.P), x.N, x.Positives)
			if d.Role == "test" {
				tests++
			}
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(breakable(d.cell), d.Role, words), Strong: d.Role == "test"})
	}
	if len(t.Rows) == 0 {
		return []report.Block{report.Text("No cell can be held against the reference, " + breakable(w.p.Reference) + ": it has no result, or no other cell has.")}
	}
	if tests > 1 {
		t.Note = report.Text(fmt.Sprintf("Each p is for one comparison, of %d in the test role; times %d it allows for all of them (Bonferroni).", tests, tests))
	}
	return []report.Block{report.Text("The reference is " + breakable(w.p.Reference) + "; each cell is held against that of the same seed."), t}
}

// cells is the table of all cells with their states.
func (w page) cells() report.Table {
	t := report.Table{
		Caption: report.Text("Cells, their runs and how they ended. A cell whose run was there before was not run again."),
		Columns: []report.Column{{Title: "Cell"}, {Title: "State"}, {Title: "Run"}, {Title: "Tune " + w.measure}, {Title: "Test " + w.measure}, {Title: "Epochs kept, last"}, {Title: "Time"}},
		Files:   []string{longTable + ".parquet", longTable + ".arrow"},
	}
	for _, r := range w.all {
		state := r.Status
		switch {
		case r.Same != "":
			state += ", same run as " + r.Same
		case r.Already:
			state += " before"
		}
		if r.Reason != "" {
			state += ": " + r.Reason
		}
		run := report.Span{Text: r.Run, Code: true}
		if r.Status == Ok {
			run.Link = "../../" + r.Run + "/report.html"
		}
		epochs := ""
		if r.Best.Epoch > 0 {
			epochs = fmt.Sprintf("%.3g, %.3g", r.Best.Epoch, r.Last.Epoch)
		}
		clock := ""
		if r.Seconds > 0 {
			clock = time.Duration(r.Seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
		}
		t.Rows = append(t.Rows, report.Row{Strong: r.Setting == w.g.best, Cells: []report.Span{{Text: breakable(r.Cell)}, {Text: state}, run,
			{Text: withInterval(w.tune(r))}, {Text: withInterval(w.test(r))}, {Text: epochs}, {Text: clock}}})
	}
	return t
}

func (w page) method() []report.Block {
	seeds := "The seeds of a cell train together, and its score is the mean of their networks."
	if len(w.p.Sweep.Seeds) > 0 {
		seeds = fmt.Sprintf("Each setting is run with the seeds %s, one cell each. Settings are chosen by the mean over seeds, never a single seed.",
			strings.Trim(strings.ReplaceAll(fmt.Sprint(w.p.Sweep.Seeds), " ", ", "), "[]"))
	}
	return []report.Block{report.List{
		report.Text(fmt.Sprintf("The best setting is the one with the highest %s in the tune role. The test role is shown beside it and chooses nothing: a setting picked by the test role would look better than it is.", w.measure)),
		report.Text("The tune role's figures are optimistic: epochs are chosen by them in training, and now settings as well."),
		report.Text("Every cell opened the test role once, for itself. Who reads many cells' test figures and then changes the settings has used the test role to choose."),
		report.Text(seeds),
		report.Text("A cell is an ordinary run: its folder, named by config, data, code and engine, holds its own report."),
	}}
}
