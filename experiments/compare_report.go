package experiments

import (
	"fmt"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// comparison of finished runs, as it is printed and written.
type comparisonOfRuns struct {
	runs     []compared
	differ   []setting // in at least one run
	same     int       // settings that all runs share
	metrics  []metricRow
	measures []measureRow
	paired   []difference
}

// document is the HTML of `hounsfield compare`: figures first, then the numbers, what
// differs, and each run's config and inputs folded at the end.
func (c comparisonOfRuns) document() (report.Document, error) {
	doc := report.Document{Title: fmt.Sprintf("Comparison of %d runs", len(c.runs)), Subtitle: strings.Join(c.names(), " · "), Software: "hounsfield"}
	for _, draw := range []func() (*report.Figure, error){c.aucFigure, c.differenceFigure} {
		f, err := draw()
		if err != nil {
			return doc, err
		}
		if f != nil {
			doc.Lead = append(doc.Lead, *f)
		}
	}
	metrics := report.Table{Caption: report.Text("Metrics side by side, with 95% intervals. Seeds alone are left out: they differ between runs."), Columns: c.columns("Metric")}
	for _, r := range c.metrics {
		name, rest := r.name, ""
		if k := strings.IndexByte(name, ' '); k > 0 {
			name, rest = name[:k], name[k:]
		}
		cells := []string{metricWords[name] + rest + ", " + r.role + " role"}
		for _, m := range r.by {
			cells = append(cells, metricText(m))
		}
		metrics.Rows = append(metrics.Rows, report.Row{Cells: report.Cells(cells...)})
	}
	doc.Sections = append(doc.Sections, report.Section{ID: "metrics", Title: "Metrics", Blocks: append(differencesBlock(c.paired), metrics)})
	if blocks := c.measureBlocks(); blocks != nil {
		doc.Sections = append(doc.Sections, report.Section{ID: "analyses", Title: "Analyses", Blocks: blocks})
	}
	settings := report.Section{ID: "settings", Title: "What differs"}
	if len(c.differ) == 0 {
		settings.Blocks = []report.Block{report.Text("Nothing differs: the runs have the same config, code and inputs.")}
	} else {
		t := report.Table{Caption: report.Text(fmt.Sprintf("Settings that differ; %d others are the same.", c.same)), Columns: c.columns("Setting")}
		for _, s := range c.differ {
			t.Rows = append(t.Rows, report.Row{Cells: report.Cells(append([]string{s.key}, s.values...)...), Differs: true})
		}
		settings.Blocks = []report.Block{t}
	}
	record := report.Section{ID: "record", Title: "Record"}
	for _, run := range c.runs {
		record.Blocks = append(record.Blocks, report.Folded{Title: run.name, Blocks: []report.Block{
			report.Code{Label: "config.yaml of " + run.name, Text: run.config},
			inputsBlock(run.manifest.Inputs),
			report.Code{Label: "modules of " + run.name, Text: moduleList(run.manifest.Modules)},
		}})
	}
	doc.Sections = append(doc.Sections, settings, record)
	return doc, nil
}

func (c comparisonOfRuns) names() []string {
	out := make([]string, len(c.runs))
	for i, r := range c.runs {
		out[i] = r.name
	}
	return out
}

// label is a run's name in a figure, where room is short: its experiment, or the folder where
// two runs share one.
func (c comparisonOfRuns) label(name string) string {
	short, shared := name, 0
	for _, r := range c.runs {
		if r.name == name {
			short = r.manifest.Experiment
		}
	}
	for _, r := range c.runs {
		if r.manifest.Experiment == short {
			shared++
		}
	}
	if shared > 1 {
		return name
	}
	return short
}

// columns are a first one and one for each run.
func (c comparisonOfRuns) columns(first string) []report.Column {
	out := []report.Column{{Title: first}}
	for _, name := range c.names() {
		out = append(out, report.Column{Title: name})
	}
	return out
}

// aucFigure sets the AUCs of all runs below each other; nil where there is none.
func (c comparisonOfRuns) aucFigure() (*report.Figure, error) {
	plot := figure.ForestPlot{Lines: []figure.ForestLine{{Name: "chance", At: 0.5}}}
	for _, r := range c.metrics {
		if r.name != metricAUC && r.name != metricAUC+ofTruth {
			continue
		}
		for i, m := range r.by {
			if m != nil {
				plot.Rows = append(plot.Rows, figure.ForestRow{Group: r.role + " role, " + m.ScoredBy, Name: c.label(c.runs[i].name), Estimate: estimateOf(*m), N: m.N})
			}
		}
	}
	if len(plot.Rows) == 0 {
		return nil, nil
	}
	svg, err := figure.Forest(plot)
	return &report.Figure{SVG: svg, Caption: report.Text("AUC for death at two years with DeLong's 95% interval.")}, err
}

// differenceFigure draws what each run gains over the first; nil where no two share patients.
func (c comparisonOfRuns) differenceFigure() (*report.Figure, error) {
	plot := figure.ForestPlot{Title: "Paired differences", Axis: "Difference", Decimals: 3, Lines: []figure.ForestLine{{Name: "no difference", At: 0}}}
	for _, role := range []datasets.Role{datasets.Test, datasets.Tune} {
		for _, d := range c.paired {
			if d.role != string(role) || d.lacks != "" {
				continue
			}
			plot.Rows = append(plot.Rows, figure.ForestRow{Group: d.role + " role", Name: c.label(d.of), N: d.found.N,
				Estimate: figure.Estimate{Value: d.found.Difference, Low: d.found.Low, High: d.found.High}})
		}
	}
	if len(plot.Rows) == 0 {
		return nil, nil
	}
	svg, err := figure.Forest(plot)
	return &report.Figure{SVG: svg, Caption: report.Text("What each run gains in AUC over " + c.label(c.runs[0].name) + " on the same patients, with the paired 95% interval (DeLong). Right of the line it separates the dead from the living better.")}, err
}

// measureBlocks are the runs' analyses side by side, a table for each analysis.
func (c comparisonOfRuns) measureBlocks() []report.Block {
	var out []report.Block
	for rest := c.measures; len(rest) > 0; {
		name := rest[0].analysis
		n := slices.IndexFunc(rest, func(r measureRow) bool { return r.analysis != name })
		if n < 0 {
			n = len(rest)
		}
		t := report.Table{Caption: report.Text("Measures of the analysis " + name + " with 95% intervals."), Columns: append([]report.Column{{Title: "Measure"}}, c.columns("Of")...)}
		for _, r := range rest[:n] {
			cells := []string{r.metric, r.group}
			for _, m := range r.by {
				cells = append(cells, measureText(m))
			}
			t.Rows = append(t.Rows, report.Row{Cells: report.Cells(cells...)})
		}
		out, rest = append(out, t), rest[n:]
	}
	return out
}
