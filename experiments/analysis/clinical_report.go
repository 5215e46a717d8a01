package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
	"hounsfield/stats"
)

// result puts everything into tables, figures, a section and lines.
func (w *clinicalWork) result(f clinicalFindings) (*Result, error) {
	measures, err := MeasuresTable(clinicalName, w.measures(f), w.in.Provenance)
	if err != nil {
		return nil, err
	}
	models, err := w.modelsTable(f)
	if err != nil {
		return nil, err
	}
	out := &Result{Tables: []Table{{clinicalName, measures}, {"clinical_models", models}}, Lines: w.lines(f)}
	out.Section = report.Section{ID: clinicalName, Title: "Beside the clinical parameters", Blocks: []report.Block{w.whoBlock(f)}}
	add := func(blocks ...report.Block) { out.Section.Blocks = append(out.Section.Blocks, blocks...) }
	draw := func(figures ...Figure) {
		out.Figures = append(out.Figures, figures...)
		for _, x := range figures {
			add(x.Block())
		}
	}
	forest, err := w.hazardFigure(f)
	if err != nil {
		return nil, err
	}
	if forest != nil {
		draw(*forest)
	}
	add(w.warnings(f)...)
	add(w.hazardBlocks(f)...)
	if len(f.together.tests) > 0 {
		add(testsBlock(f.together))
	}
	add(report.Subheading("Forecasts for patients whom the models never saw"))
	if f.predictions != nil {
		add(forecastBlocks(f.predictions)...)
	} else {
		add(report.Text("Not made: " + f.unpredicted + "."))
	}
	if f.stages != nil {
		add(report.Subheading("Stage, and the score within stage"))
		curves, err := f.stages.figures()
		if err != nil {
			return nil, err
		}
		draw(curves...)
	}
	if len(f.associations) > 0 {
		add(report.Subheading("What the score goes with"), associationBlock(f.associations))
	}
	if len(f.truth) > 0 {
		add(report.Subheading("Against the known truth"), truthBlock(f.truth))
	}
	return out, nil
}

// whoBlock says which patients, and which model.
func (w *clinicalWork) whoBlock(f clinicalFindings) report.Paragraph {
	var b strings.Builder
	deaths := w.deaths(w.patients)
	fmt.Fprintf(&b, "%d test patients with a score (of the %s) and survival times, of whom %d died. ", len(w.patients), w.in.ScoredBy, deaths)
	if w.unscored > 0 {
		fmt.Fprintf(&b, "Test patients without one of the two: %d. ", w.unscored)
	}
	if m := f.together.find(modelClinicalScore); m != nil {
		fmt.Fprintf(&b, "The clinical model holds %s. It and all models beside it are of the %d patients (%d deaths) who have all of that%s. Left out because something is not known: %d; nothing is filled in.",
			strings.ToLower(w.modelWords(m)), m.n, m.events, map[bool]string{true: " and a volume"}[w.volume != nil], m.missing)
	} else {
		b.WriteString("There is no clinical model: " + f.together.failed + ".")
	}
	if len(w.absent) > 0 {
		fmt.Fprintf(&b, " Not known, or without two levels of %d patients: %s.", w.settings.LeastLevel, strings.Join(w.absent, ", "))
	}
	var joined []string
	for _, c := range w.chart {
		joined = append(joined, c.joined...)
	}
	if len(joined) > 0 {
		fmt.Fprintf(&b, " Levels of fewer than %d patients are joined: %s.", w.settings.LeastLevel, strings.Join(joined, "; "))
	}
	return report.Text(b.String())
}

// modelWords names the chart variables of a model.
func (w *clinicalWork) modelWords(m *clinicalModel) string {
	var names []string
	for _, t := range m.terms {
		if w.find(t.variable) != nil && (len(names) == 0 || names[len(names)-1] != t.title) {
			names = append(names, t.title)
		}
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// warnings say what a reader must know before believing a hazard ratio.
func (w *clinicalWork) warnings(f clinicalFindings) []report.Block {
	var body []report.Paragraph
	say := func(format string, args ...any) { body = append(body, report.Text(fmt.Sprintf(format, args...))) }
	for _, name := range []string{modelClinicalScore, modelAll} {
		if m := f.together.find(name); m != nil && m.perVariable() < w.settings.EventsPerVariable {
			say("The model %s has %.1f deaths per coefficient, fewer than %g: its hazard ratios are unsure, and biased away from 1.", name, m.perVariable(), w.settings.EventsPerVariable)
		}
	}
	for _, left := range f.together.left {
		say("Left out of all models of several variables: %s.", left)
	}
	if m := f.together.find(modelClinicalScore); m != nil && m.proportional.P < 0.05 {
		say("Hazards are not proportional in the model %s (p = %s): its hazard ratios are means over the follow-up.", m.name, shortP(m.proportional.P))
	}
	if body == nil {
		return nil
	}
	return []report.Block{report.Callout{Tone: report.Warning, Title: "To be read with", Body: body}}
}

// widest is how far from 1 an interval may reach to be drawn.
const widest = 50

// hazardFigure sets the hazard ratios alone and together under one another.
func (w *clinicalWork) hazardFigure(f clinicalFindings) (*Figure, error) {
	plot := figure.ForestPlot{Axis: "Hazard ratio", Log: true, Lines: []figure.ForestLine{{Name: "no difference", At: 1}}}
	left := 0
	add := func(group string, m clinicalModel) {
		for _, t := range m.terms {
			if t.cox == nil {
				continue
			}
			if !(t.cox.Low > 1.0/widest && t.cox.High < widest) {
				left++
				continue
			}
			n := t.n
			if t.level == "" {
				n = m.n
			}
			plot.Rows = append(plot.Rows, figure.ForestRow{Group: group, Name: termWords(t), Estimate: figure.Estimate{Value: t.cox.HR, Low: t.cox.Low, High: t.cox.High}, N: n, Summary: t.variable == w.score.name})
		}
	}
	for _, m := range f.alone {
		add("each alone", m)
	}
	if m := f.together.find(modelClinicalScore); m != nil {
		add("together", *m)
	}
	if len(plot.Rows) == 0 {
		return nil, nil
	}
	svg, err := figure.Forest(plot)
	caption := "Hazard ratios of death in the test role (Cox), with 95% intervals: each variable alone, and the clinical model with the network's score. Right of 1: more deaths. n is of the level, or of the model for a number."
	if left > 0 {
		caption += fmt.Sprintf(" %d whose interval reaches beyond 1/%d to %d stand in the table only.", left, widest, widest)
	}
	return &Figure{Name: clinicalName, Caption: caption, SVG: svg}, err
}

// termWords name a term in a figure.
func termWords(t clinicalTerm) string {
	switch {
	case t.level == t.reference && t.level != "":
		return t.title + " " + t.level
	case t.level != "":
		return t.title + " " + t.level + " (against " + t.reference + ")"
	case t.unit != "":
		return t.title + ", " + t.unit
	}
	return t.title
}

// hazardBlocks are the tables of hazard ratios, alone and together.
func (w *clinicalWork) hazardBlocks(f clinicalFindings) []report.Block {
	columns := []report.Column{{Title: "Variable"}, {Title: "n (deaths)", Number: true}, {Title: "HR (95% CI)", Number: true}, {Title: "p", Number: true}, {Title: "p, proportional", Number: true}}
	alone := report.Table{
		Caption: report.Text("Each variable alone: hazard ratios in the test role, of all patients who have it."),
		Columns: append(slices.Clone(columns), report.Column{Title: "Missing", Number: true}),
		Note:    report.Text("Cox models, Efron's rule for ties, Wald intervals and p values, without correction for their number; at a reference level the p of all levels together, by the likelihood ratio. p, proportional: test of proportional hazards against the Kaplan-Meier transform of time. The score's SD is that of these test patients."),
		Files:   []string{"tables/clinical_models.arrow"},
	}
	rows := func(m clinicalModel, missing bool) []report.Row {
		var out []report.Row
		for k, x := range m.terms {
			cells := append([]string{termWords(x), fmt.Sprintf("%d (%d)", x.n, x.events)}, hazardCells(x)...)
			if m.failed != "" {
				cells = append(cells[:2], "none: "+m.failed, "", "")
			}
			if missing && k == 0 {
				cells = append(cells, fmt.Sprint(m.missing))
			} else if missing {
				cells = append(cells, "")
			}
			out = append(out, report.Row{Cells: report.Cells(cells...), Strong: x.variable == w.score.name})
		}
		return out
	}
	for _, m := range f.alone {
		alone.Rows = append(alone.Rows, rows(m, true)...)
	}
	m := f.together.find(modelClinicalScore)
	if m == nil {
		return []report.Block{alone}
	}
	together := report.Table{
		Caption: report.Text(fmt.Sprintf("The clinical model with the network's score: hazard ratios in the test role, n = %d, %d deaths, %.1f deaths per coefficient.", m.n, m.events, m.perVariable())),
		Columns: columns,
		Note:    report.Text("As above. All terms together, test of proportional hazards: p = " + shortP(m.proportional.P) + "."),
		Files:   []string{"tables/clinical_models.arrow"},
		Rows:    rows(*m, false),
	}
	return []report.Block{alone, together}
}

func hazardCells(t clinicalTerm) []string {
	if t.cox == nil {
		p := ""
		if !math.IsNaN(t.whole) {
			p = shortP(t.whole)
		}
		return []string{"1 (reference)", p, ""}
	}
	return []string{fmt.Sprintf("%s (%s to %s)", ratio(t.cox.HR), ratio(t.cox.Low), ratio(t.cox.High)), shortP(t.cox.P), shortP(t.proportional)}
}

// ratio writes a hazard ratio, however far from 1.
func ratio(v float64) string {
	if v >= 0.01 && v < 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// shortP writes a p value for a cell of a table.
func shortP(p float64) string {
	switch {
	case math.IsNaN(p):
		return "–"
	case p < 0.001:
		return "<0.001"
	case p < 0.1:
		return fmt.Sprintf("%.3f", p)
	}
	return fmt.Sprintf("%.2f", p)
}

// testsBlock says what each model gains by one variable more.
func testsBlock(f clinicalModels) report.Table {
	t := report.Table{
		Caption: report.Text("What a variable adds to a model: likelihood-ratio tests of nested Cox models of the same test patients."),
		Columns: []report.Column{{Title: "Added"}, {Title: "To"}, {Title: "n (deaths)", Number: true}, {Title: "Chi-square", Number: true}, {Title: "df", Number: true}, {Title: "p", Number: true}, {Title: "HR, added (95% CI)", Number: true}},
		Files:   []string{"tables/clinical.arrow", "tables/clinical_models.arrow"},
	}
	of := map[string]string{"network": "network", "risk group": "risk_group", "volume": "volume"}
	for _, x := range f.tests {
		hr := ""
		if term := f.find(x.larger).term(of[x.added]); term != nil {
			hr = hazardCells(*term)[0]
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(x.added, x.smaller, fmt.Sprintf("%d (%d)", x.n, x.events), fmt.Sprintf("%.2f", x.ChiSquare), fmt.Sprint(x.DF), shortP(x.P), hr)})
	}
	return t
}

// forecastBlocks show how well the forecasts turned out.
func forecastBlocks(p *clinicalPredictions) []report.Block {
	interval := func(v, low, high float64) string { return fmt.Sprintf("%.3f (%.3f to %.3f)", v, low, high) }
	order := report.Table{
		Caption: report.Text("Cox models, judged in the test role: " + p.how + "."),
		Columns: []report.Column{{Title: "Model"}, {Title: "Harrell's C (95% CI)", Number: true}, {Title: "AUC, two years (95% CI)", Number: true}},
		Files:   []string{"tables/clinical.arrow"},
	}
	risks := report.Table{
		Caption: report.Text("The same models' risk of death by two years: how near it came."),
		Columns: []report.Column{{Title: "Model"}, {Title: "Brier score", Number: true}, {Title: "Calibration slope (95% CI)", Number: true}, {Title: "In the large (95% CI)", Number: true}},
		Note:    report.Text("A slope of 1 and 0 in the large are ideal: below 1 risks are too extreme, above 0 in the large too low."),
		Files:   []string{"tables/clinical.arrow"},
	}
	for _, m := range p.models {
		order.Rows = append(order.Rows, report.Row{Cells: report.Cells(m.name, interval(m.c.C, m.c.Low, m.c.High), interval(m.auc.AUC, m.auc.Low, m.auc.High))})
		slope, large := "–", "–"
		if c := m.calibration; c != nil {
			slope = fmt.Sprintf("%.2f (%.2f to %.2f)", c.Slope.Estimate, c.Slope.Low, c.Slope.High)
			large = fmt.Sprintf("%.2f (%.2f to %.2f)", c.InTheLarge.Estimate, c.InTheLarge.Low, c.InTheLarge.High)
		}
		risks.Rows = append(risks.Rows, report.Row{Cells: report.Cells(m.name, fmt.Sprintf("%.3f", m.brier.Brier), slope, large)})
	}
	m := p.models[0]
	order.Note = report.Text(fmt.Sprintf("C of %d patients with %d deaths; AUC, Brier score, calibration and net benefit of the %d with a two-year label, of whom %d died.", m.c.N, m.c.Events, m.auc.N, m.auc.Positives))
	d := report.Table{
		Caption: report.Text("The same patients' forecasts against each other."),
		Columns: []report.Column{{Title: "First"}, {Title: "Less"}, {Title: "Difference of C (95% CI)", Number: true}, {Title: "p", Number: true}, {Title: "Difference of AUC (95% CI)", Number: true}, {Title: "p", Number: true}},
		Note:    report.Text("Paired tests. No net reclassification or discrimination improvement is given: both can find a gain where there is none. The likelihood-ratio test above, these differences, calibration and net benefit take their place."),
		Files:   []string{"tables/clinical.arrow"},
	}
	for _, g := range p.gains {
		d.Rows = append(d.Rows, report.Row{Cells: report.Cells(g.more, g.less, interval(g.c.Difference, g.c.Low, g.c.High), shortP(g.c.P), interval(g.auc.Difference, g.auc.Low, g.auc.High), shortP(g.auc.P))})
	}
	return []report.Block{order, d, risks, benefitBlock(p)}
}

// benefitBlock is net benefit at the thresholds of the settings.
func benefitBlock(p *clinicalPredictions) report.Block {
	t := report.Table{
		Caption: report.Text("Net benefit of acting on the forecast risk of death by two years, in true positives per 100 patients (95% CI)."),
		Columns: []report.Column{{Title: "Model"}},
		Note:    report.Text("At the threshold t a patient is acted on whose risk is t or more, and a needless action costs t/(1-t) of a needed one. Nobody has 0. Believable where the calibration is."),
		Files:   []string{"tables/clinical.arrow"},
	}
	everybody := []string{"everybody"}
	for k, threshold := range p.models[0].benefit.Threshold {
		t.Columns = append(t.Columns, report.Column{Title: fmt.Sprintf("from %.0f%%", 100*threshold), Number: true})
		everybody = append(everybody, fmt.Sprintf("%.1f", 100*p.models[0].benefit.TreatAll[k]))
	}
	for _, m := range p.models {
		cells := []string{m.name}
		for k := range m.benefit.Threshold {
			cells = append(cells, fmt.Sprintf("%.1f (%.1f to %.1f)", 100*m.benefit.NetBenefit[k], 100*m.benefit.Low[k], 100*m.benefit.High[k]))
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(cells...)})
	}
	t.Rows = append(t.Rows, report.Row{Cells: report.Cells(everybody...)})
	return t
}

func associationBlock(all []association) report.Table {
	t := report.Table{
		Caption: report.Text("The score and each clinical parameter in the test role, whatever became of the patients."),
		Columns: []report.Column{{Title: "Parameter"}, {Title: "n", Number: true}, {Title: "Measure"}, {Title: "Value (95% CI)", Number: true}, {Title: "p", Number: true}, {Title: "p, Holm", Number: true}},
		Note:    report.Text("Numbers and ordered levels by Spearman's rank correlation, others by Kruskal-Wallis (epsilon squared: share of the ranks' variation). Holm's correction is over these rows."),
		Files:   []string{"tables/clinical.arrow"},
	}
	for _, a := range all {
		value := fmt.Sprintf("%.2f", a.value)
		if !math.IsNaN(a.low) {
			value += fmt.Sprintf(" (%.2f to %.2f)", a.low, a.high)
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(a.title, fmt.Sprint(a.n), a.test, value, shortP(a.p), shortP(a.adjusted))})
	}
	return t
}

func truthBlock(models []truthModel) report.Table {
	t := report.Table{
		Caption: report.Text("Cox's model of age, stage and a score: log hazard ratios beside those that the phantom's survival times were drawn with."),
		Columns: []report.Column{{Title: "Score in the model"}, {Title: "Term"}, {Title: "n", Number: true}, {Title: "Truth", Number: true}, {Title: "Estimate (95% CI)", Number: true}, {Title: "Interval holds the truth"}},
		Note:    report.Text("Of 20 such intervals 19 should hold the truth in the model that is the phantom's own. The network's score knows only part of what scans show and weighs it in its own way: beside it the coefficient of age is pulled towards 0, and that of stage, which goes with size, to either side."),
		Files:   []string{"tables/clinical.arrow"},
	}
	for _, m := range models {
		for _, x := range m.terms {
			truth, holds := "–", "–"
			if !math.IsNaN(x.truth) {
				truth = fmt.Sprintf("%.3f", x.truth)
				if m.own && x.holds() {
					holds = "yes"
				} else if m.own {
					holds = "no"
				}
			}
			t.Rows = append(t.Rows, report.Row{Cells: report.Cells(m.name, x.name, fmt.Sprint(m.n), truth, fmt.Sprintf("%.3f (%.3f to %.3f)", x.Coef, math.Log(x.Low), math.Log(x.High)), holds)})
		}
	}
	return t
}

// holds says whether the interval holds the truth.
func (t truthTerm) holds() bool { return math.Log(t.Low) <= t.truth && t.truth <= math.Log(t.High) }

// lines are the main findings for the terminal.
func (w *clinicalWork) lines(f clinicalFindings) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	of := func(t *stats.CoxTerm) string {
		return fmt.Sprintf("%s (95%% CI %s to %s)", ratio(t.HR), ratio(t.Low), ratio(t.High))
	}
	if m := f.together.find(modelClinicalScore); m != nil {
		alone := ""
		if a := f.alone[0]; a.fit != nil {
			alone = fmt.Sprintf("alone %s, ", of(a.terms[0].cox))
		}
		say("hazard ratio of the score %s in the test role: %sbeside %s %s, n = %d, %d deaths", w.score.unit, alone, strings.ToLower(w.modelWords(m)), of(m.term(w.score.name).cox), m.n, m.events)
		for _, t := range f.together.tests {
			if t.added == "network" {
				say("likelihood ratio of the network added to the model %s: chi-square %.2f, %d df, p %s", t.smaller, t.ChiSquare, t.DF, shortP(t.P))
			}
		}
		if m.perVariable() < w.settings.EventsPerVariable {
			say("warning: %.1f deaths per coefficient of the model %s, fewer than %g", m.perVariable(), m.name, w.settings.EventsPerVariable)
		}
	} else {
		say("no clinical model: %s", f.together.failed)
	}
	if p := f.predictions; p != nil {
		g := p.gains[0]
		say("forecast C in the test role: clinical %.3f, with the network %.3f, difference %.3f (95%% CI %.3f to %.3f)", g.c.B.C, g.c.A.C, g.c.Difference, g.c.Low, g.c.High)
	} else {
		say("no forecasts by clinical models: %s", f.unpredicted)
	}
	if len(f.truth) > 0 {
		held := 0
		for _, t := range f.truth[0].terms {
			if t.holds() {
				held++
			}
		}
		say("known truth: %d of %d intervals of age, stage and %s hold the coefficient that survival was drawn with", held, len(f.truth[0].terms), f.truth[0].name)
	}
	return out
}
