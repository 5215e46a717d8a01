package experiments

import (
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// Print writes the outcome of a run as a few lines: where it is, and what it found.
func (d *Done) Print(w io.Writer) error {
	abs := func(parts ...string) string {
		path, err := filepath.Abs(filepath.Join(append([]string{d.Dir}, parts...)...))
		if err != nil {
			return filepath.Join(d.Dir, filepath.Join(parts...))
		}
		return path
	}
	if d.Already {
		fmt.Fprintln(w, "This run was done before; nothing was computed.")
	}
	for _, line := range append(summaryLines(d.Metrics), d.Findings...) {
		fmt.Fprintln(w, line)
	}
	_, err := fmt.Fprintf(w, "\nreport:      %s\npredictions: %s\nmetrics:     %s\nfigures:     %s\n\nResearch software, not a medical device.\n",
		abs("report.html"), abs(tablesDir, predictionsTable+".arrow"), abs(tablesDir, metricsTable+".arrow"), abs("figures"))
	return err
}

// summaryLines say the main figures of a run in plain text.
func summaryLines(metrics []Metric) []string {
	var out []string
	for _, by := range []string{scoredByNetwork, scoredByPublished, scoredByRerun} {
		for _, name := range []string{metricAUC, metricAUCNoether} {
			if m, ok := find(metrics, name, string(datasets.Test), by); ok {
				out = append(out, fmt.Sprintf("test AUC of the %s: %s, %d dead at two years (%s)", by, metricText(&m), m.Events, strings.SplitN(m.Method, ";", 2)[0]))
			}
		}
	}
	if seeds := seedAUCs(metrics); len(seeds) > 1 {
		out = append(out, fmt.Sprintf("test AUC of the %d networks alone: %.3f to %.3f, mean %.3f", len(seeds), slices.Min(seeds), slices.Max(seeds), mean(seeds)))
	}
	if m, ok := find(metrics, metricAUC, string(datasets.Test), scoredByTruth); ok {
		out = append(out, fmt.Sprintf("test AUC of the true hazard: %s; no model can beat it by honest means", metricText(&m)))
	}
	for _, name := range []string{metricHighRisk, metricMedianLow, metricMedianHigh, metricLogRank, metricHazardRatio, metricHarrellC, metricUnoC, metricRMST} {
		if m, ok := find(metrics, name, string(datasets.Test), ""); ok {
			out = append(out, fmt.Sprintf("test %s: %s", lowerFirst(metricWords[name]), metricText(&m)))
		}
	}
	return out
}

func lowerFirst(s string) string {
	if strings.HasPrefix(s, "Harrell") || strings.HasPrefix(s, "Uno") || strings.HasPrefix(s, "AUC") {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// seedAUCs are the test AUCs of the single networks.
func seedAUCs(metrics []Metric) []float64 {
	var out []float64
	for _, m := range metrics {
		if m.Name == metricAUC && m.Role == string(datasets.Test) && strings.HasPrefix(m.ScoredBy, "seed ") {
			out = append(out, m.Value)
		}
	}
	return out
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// report draws the figures and writes report.html.
func (r *runner) report(s *study, ev *evaluation) error {
	figures, err := r.figures(s, ev)
	if err != nil {
		return err
	}
	if err := r.folder.writeFigures(figures); err != nil {
		return err
	}
	patients, checklist, err := r.describe(s, ev, figures)
	if err != nil {
		return err
	}
	doc, err := r.document(s, ev, figures, patients, checklist)
	if err != nil {
		return err
	}
	html, err := report.Render(doc)
	if err != nil {
		return err
	}
	return writeFile(r.folder.path("report.html"), html)
}

func (r *runner) document(s *study, ev *evaluation, figures []drawn, patients report.Table, checklist report.Section) (report.Document, error) {
	config, err := r.cfg.YAML()
	if err != nil {
		return report.Document{}, err
	}
	doc := report.Document{
		Title:    r.cfg.Experiment,
		Subtitle: r.cfg.Description,
		Lead:     []report.Block{keyFigures(ev.metrics)},
		Software: fmt.Sprintf("hounsfield, code %.12s, run %s, %s", r.env.Code, r.folder.Manifest.Hash, r.folder.Manifest.Backend.words()),
	}
	if s.truth != nil {
		doc.Lead = append(doc.Lead, report.Callout{Tone: report.Info, Title: "Synthetic patients", Body: []report.Paragraph{
			report.Text("Every patient of this cohort was made by a program. The figures judge the method, and say nothing about real patients.")}})
	}
	method, err := r.methodBlocks(s, ev)
	if err != nil {
		return report.Document{}, err
	}
	var main, more []report.Block
	for _, f := range figures {
		b := report.Figure{SVG: f.svg, Caption: report.Text(f.caption), File: "figures/" + f.name + ".svg"}
		if f.name == lossesName || f.name == "flow" {
			more = append(more, b)
		} else {
			main = append(main, b)
		}
	}
	doc.Sections = append(doc.Sections, report.Section{ID: "results", Title: "Results in figures", Blocks: main})
	if blocks := referenceBlocks(r.cfg.References, slices.Concat(ev.metrics, ev.agreed)); blocks != nil {
		doc.Sections = append(doc.Sections, report.Section{ID: "paper", Title: "Beside the paper", Blocks: blocks})
	}
	doc.Sections = append(doc.Sections, ev.sections...)
	doc.Sections = append(doc.Sections,
		report.Section{ID: "metrics", Title: "Metrics", Blocks: []report.Block{metricsBlock(ev.metrics)}},
		report.Section{ID: "patients", Title: "Patients", Blocks: slices.Concat([]report.Block{patients}, r.patientBlocks(s), more)},
		report.Section{ID: "method", Title: "Method", Blocks: method},
		checklist,
		report.Section{ID: "record", Title: "Record", Blocks: []report.Block{
			report.Paragraph{{Text: "Hashes of inputs and outputs, module versions, wall times and the moment the test role was opened are in "}, {Text: manifestFile, Link: manifestFile}, {Text: "; "}, {Text: "hounsfield verify", Code: true}, {Text: " recomputes them."}},
			report.Folded{Title: "Resolved config", Blocks: []report.Block{report.Code{Label: "config.yaml", Text: string(config)}}},
			report.Folded{Title: "Inputs", Blocks: []report.Block{inputsBlock(r.folder.Manifest.Inputs)}},
			report.Folded{Title: "Module versions", Blocks: []report.Block{report.Code{Label: "modules", Text: moduleList(r.folder.Manifest.Modules)}}},
		}},
	)
	return doc, nil
}

// keyFigures are the numbers to be seen first: those of the test role.
func keyFigures(metrics []Metric) report.KeyFigures {
	var out report.KeyFigures
	add := func(label, name, by, note string) {
		m, ok := find(metrics, name, string(datasets.Test), by)
		if !ok {
			return
		}
		k := report.KeyFigure{Label: label, Value: shown(m.Value, decimalsOf(name)), N: m.N, Note: note}
		if m.Low.Valid && m.High.Valid {
			k.Interval = fmt.Sprintf("95%% CI %s to %s", shown(m.Low.V, decimalsOf(name)), shown(m.High.V, decimalsOf(name)))
		}
		if m.P.Valid {
			k.Note = strings.TrimSuffix(figure.PValue(m.P.V)+"; "+note, "; ")
		}
		out = append(out, k)
	}
	add("Test AUC, network (DeLong)", metricAUC, scoredByNetwork, "")
	add("Test AUC, published network (Noether)", metricAUCNoether, scoredByPublished, "")
	add("Test AUC, published weights run again (DeLong)", metricAUC, scoredByRerun, "")
	add("Test AUC, true hazard", metricAUC, scoredByTruth, "the most that is to be had")
	add("Hazard ratio, high against low risk", metricHazardRatio, "", "")
	add("Log-rank chi-square", metricLogRank, "", "")
	add("Harrell's C", metricHarrellC, "", "")
	return out
}

func metricsBlock(metrics []Metric) report.Table {
	t := report.Table{
		Caption: report.Text("Every metric of the run. Scores are predicted risks of death: an AUC above 0.5 means that those who died had the higher scores."),
		Columns: []report.Column{{Title: "Metric"}, {Title: "Role"}, {Title: "Cohort"}, {Title: "Score"}, {Title: "n", Number: true}, {Title: "Deaths", Number: true}, {Title: "Value", Number: true}, {Title: "95% CI", Number: true}, {Title: "p", Number: true}},
		Files:   []string{"tables/metrics.arrow", "tables/metrics.parquet"},
	}
	for _, role := range []string{"test", "tune", "train"} {
		for _, m := range metrics {
			if m.Role != role {
				continue
			}
			d := decimalsOf(m.Name)
			ci, p := "", ""
			if m.Low.Valid || m.High.Valid {
				ci = limitText(m.Low.V, m.Low.Valid, d) + " to " + limitText(m.High.V, m.High.Valid, d)
			}
			if m.P.Valid {
				p = fmt.Sprintf("%.2g", m.P.V)
			}
			t.Rows = append(t.Rows, report.Row{Cells: report.Cells(metricWords[m.Name], m.Role, m.Cohort, m.ScoredBy,
				fmt.Sprint(m.N), fmt.Sprint(m.Events), shown(m.Value, d), ci, p), Strong: m.Role == "test" && m.Name == metricAUC && !strings.HasPrefix(m.ScoredBy, "seed ") && !strings.Contains(m.ScoredBy, " without ")})
		}
	}
	return t
}

func limitText(v float64, ok bool, decimals int) string {
	if !ok {
		return "not reached"
	}
	return shown(v, decimals)
}

// referenceBlocks set the paper's figures beside ours; agreement is judged at the
// precision the paper prints.
func referenceBlocks(refs []Reference, metrics []Metric) []report.Block {
	if len(refs) == 0 {
		return nil
	}
	t := report.Table{
		Caption: report.Text("Figures as published and as computed here from the released tables."),
		Columns: []report.Column{{Title: "Metric"}, {Title: "Published"}, {Title: "Here"}, {Title: "Verdict"}, {Title: "Source"}},
		Note:    report.Text("Reproduced means equal at the number of decimals the paper prints, and p on the same side of the printed bound."),
	}
	for _, ref := range refs {
		here, verdict := "not computed", "data not public, or not in the data folder"
		if m, ok := find(metrics, ref.Metric, ref.Role, ""); ok {
			here = metricText(&m)
			verdict = "differs"
			if ref.agrees(m) {
				verdict = "reproduced"
			}
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(metricWords[ref.Metric]+", "+ref.Role+" role", ref.text(), here, verdict, ref.Source), Differs: verdict == "differs"})
	}
	return []report.Block{t}
}

// text writes a reference as the paper has it.
func (ref Reference) text() string {
	var parts []string
	if ref.Value != nil {
		parts = append(parts, shown(*ref.Value, 2))
	}
	if ref.Low != nil && ref.High != nil {
		parts = append(parts, fmt.Sprintf("(%s to %s)", shown(*ref.Low, 2), shown(*ref.High, 2)))
	}
	if ref.P != "" {
		p := ref.P
		if !strings.HasPrefix(p, "<") {
			p = "= " + p
		}
		parts = append(parts, "p "+p)
	}
	return strings.Join(parts, " ")
}

// agrees compares at the two decimals the paper prints.
func (ref Reference) agrees(m Metric) bool {
	same := func(printed *float64, here float64) bool {
		return printed == nil || math.Abs(*printed-here) <= 0.005+1e-9
	}
	if !same(ref.Value, m.Value) || ref.Low != nil && !(m.Low.Valid && same(ref.Low, m.Low.V)) || ref.High != nil && !(m.High.Valid && same(ref.High, m.High.V)) {
		return false
	}
	if ref.P == "" {
		return true
	}
	var printed float64
	if _, err := fmt.Sscanf(strings.TrimPrefix(ref.P, "<"), "%g", &printed); err != nil || !m.P.Valid {
		return false
	}
	if strings.HasPrefix(ref.P, "<") {
		return m.P.V < printed
	}
	return math.Abs(m.P.V-printed) <= 0.005
}

// patientBlocks count patients by role and list those who were lost.
func (r *runner) patientBlocks(s *study) []report.Block {
	var out []report.Block
	if len(s.exclusions) == 0 {
		return append(out, report.Text("No patient was lost on the way."))
	}
	count := map[[2]string]int{}
	for _, e := range s.exclusions {
		count[[2]string{e.Stage, e.Reason}]++
	}
	keys := slices.SortedFunc(maps.Keys(count), func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	t := report.Table{Caption: report.Text("Exclusions by stage and reason; each patient is a row of the file."),
		Columns: []report.Column{{Title: "Stage"}, {Title: "Reason"}, {Title: "Patients", Number: true}}, Files: []string{"tables/exclusions.arrow"}}
	for _, k := range keys {
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(k[0], k[1], fmt.Sprint(count[k]))})
	}
	return append(out, t)
}

// methodBlocks say in words what was done.
func (r *runner) methodBlocks(s *study, ev *evaluation) ([]report.Block, error) {
	var list report.List
	say := func(format string, args ...any) { list = append(list, report.Text(fmt.Sprintf(format, args...))) }
	say("Label: alive two years (730 days) after the cohort's time zero, the scan or the start of treatment. Dead on or before that day is the positive class; a patient last seen alive before it has no label.")
	if r.histories != nil {
		for k, h := range r.histories {
			best := 0
			for _, e := range h {
				if e.Best {
					best = e.Epoch
				}
			}
			say("Seed %d: %d epochs, weights of epoch %d kept for the best tune role figure: %s.", r.cfg.Seeds[k], len(h), best, r.reached(h[best-1]))
		}
		for _, line := range r.trainingWords() {
			say("%s", line)
		}
		trainable, _, err := r.cfg.Network.Parameters()
		if err != nil {
			return nil, err
		}
		say("The score of a patient is the mean risk of death over the %d networks; each has %d trainable parameters and reads a cube of %d voxels of %g mm around the tumour's centre of mass.",
			len(r.cfg.Seeds), trainable, r.cfg.Cube.Size, r.cfg.Cube.SpacingMM)
	} else {
		say("Scores: %s. Nothing was trained.", s.scoreSource)
	}
	say("Cut between low and high risk: the median score of the tune role, %.7g; high risk is strictly above it.", ev.cut)
	say("The outcomes of the test role were read once, by the evaluation step, after all scores had been written; the moment and the hash of the scores are in %s.", manifestFile)
	if p := r.cfg.Data.Published; r.cfg.Data.Source == SourcePublished && p.Treatment == "radiotherapy" {
		if ev.survival != nil {
			say("Survival times come from the clinical table of NSCLC-Radiomics, linked by patient id; test patients without a link count in the AUC and not in the survival statistics.")
		} else {
			say("There are no survival times: the clinical table of NSCLC-Radiomics was not in the data folder, or links to too few patients.")
		}
	}
	return []report.Block{list}, nil
}

func inputsBlock(inputs []Input) report.Table {
	t := report.Table{Caption: report.Text("Inputs by content."), Columns: []report.Column{{Title: "Input"}, {Title: "sha256"}}}
	for _, in := range inputs {
		t.Rows = append(t.Rows, report.Row{Cells: []report.Span{{Text: in.Name}, {Text: in.SHA256, Code: true}}})
	}
	return t
}

func moduleList(modules map[string]string) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		fmt.Fprintf(&b, "%s %s\n", path, modules[path])
	}
	return b.String()
}
