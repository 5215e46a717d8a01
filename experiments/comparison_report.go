package experiments

import (
	"fmt"
	"strings"

	"hounsfield/experiments/analysis"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// section shows the rivals beside the network, and both treatments together.
func (c *comparison) section(cfg ComparisonConfig, published bool) (report.Section, []analysis.Figure, error) {
	section := report.Section{ID: "comparison", Title: "Beside other predictors"}
	var figures []analysis.Figure
	add := func(name, caption string, plot figure.ForestPlot) error {
		svg, err := figure.Forest(plot)
		if err != nil {
			return err
		}
		f := analysis.Figure{Name: name, Caption: caption, SVG: svg}
		figures, section.Blocks = append(figures, f), append(section.Blocks, f.Block())
		return nil
	}
	if len(c.rivals) == 0 {
		section.Blocks = append(section.Blocks, report.Text("No predictor can be judged on these test patients."), c.madeBlock(published))
		return section, nil, nil
	}
	caption := "AUC for death at two years on the test role, with DeLong's 95% interval."
	if c.truth != nil {
		caption += " The phantom's true hazard is known, and no predictor can beat it by honest means; its two parts are what scans show, and age with stage."
	}
	if err := add("comparison", caption, c.plot()); err != nil {
		return section, nil, err
	}
	section.Blocks = append(section.Blocks, rivalsBlock(c.rivals, cfg, published), c.madeBlock(published))
	if len(c.meta) == 0 {
		return section, figures, nil
	}
	section.Blocks = append(section.Blocks, report.Subheading("Both treatments together"))
	if err := add("comparison-meta", "AUC of the network less that of each predictor, both treatments by inverse variance (fixed effect), with 95% intervals. Right of zero the network is better.", metaPlot(c.meta)); err != nil {
		return section, nil, err
	}
	section.Blocks = append(section.Blocks, metaBlock(c.meta), rivalsBlock(c.another, cfg, published))
	return section, figures, nil
}

// madeBlock says of each predictor how it was made, and, of the published tables, what
// the paper's own figure can be held against.
func (c *comparison) madeBlock(published bool) report.Table {
	t := report.Table{
		Caption: report.Text("How each predictor was made."),
		Columns: []report.Column{{Title: "Predictor"}, {Title: "Made from"}},
	}
	if published {
		t.Caption = report.Text("How each predictor was made, and whether the study's own figure can be repeated.")
		t.Columns = append(t.Columns, report.Column{Title: "The study's figure"})
		t.Note = report.Text("The study states in words that its network did better than forests on clinical data; the figures it gives for single predictors are not among the released data.")
	}
	add := func(name, made, verdict string) {
		cells := report.Cells(predictorWords(name), made)
		if published {
			cells = append(cells, report.Cells(verdict)...)
		}
		t.Rows = append(t.Rows, report.Row{Cells: cells})
	}
	for _, r := range c.rivals {
		verdict := "computed from released data; no released figure to hold it against"
		if r.predictor == predictForestClinical || r.predictor == predictForestSize {
			verdict = "data not public: trained on another cohort there, cross-validated here"
		}
		add(r.predictor, r.made, verdict)
	}
	for _, a := range c.absent {
		add(a.name, "not made: "+a.why, "data not public")
	}
	return t
}

func (c *comparison) plot() figure.ForestPlot {
	plot := figure.ForestPlot{Lines: []figure.ForestLine{{Name: "chance", At: 0.5}}}
	group := ""
	if c.truth != nil {
		group = "scores"
	}
	n := c.rivals[0].network
	plot.Rows = append(plot.Rows, figure.ForestRow{Group: group, Name: "network", Estimate: figure.Estimate{Value: n.AUC, Low: n.Low, High: n.High}, N: n.N, Summary: true})
	for _, r := range c.rivals {
		plot.Rows = append(plot.Rows, figure.ForestRow{Group: group, Name: predictorWords(r.predictor), Estimate: figure.Estimate{Value: r.auc.AUC, Low: r.auc.Low, High: r.auc.High}, N: r.auc.N})
	}
	for _, t := range c.truth {
		plot.Rows = append(plot.Rows, figure.ForestRow{Group: "true hazard", Name: t.part, Estimate: figure.Estimate{Value: t.auc.AUC, Low: t.auc.Low, High: t.auc.High}, N: t.auc.N})
	}
	return plot
}

func metaPlot(meta []combined) figure.ForestPlot {
	plot := figure.ForestPlot{Axis: "AUC difference", Decimals: 3, Lines: []figure.ForestLine{{Name: "no difference", At: 0}}}
	for _, c := range meta {
		plot.Rows = append(plot.Rows, figure.ForestRow{Name: predictorWords(c.predictor),
			Estimate: figure.Estimate{Value: c.difference.Estimate, Low: c.difference.Low, High: c.difference.High}})
	}
	return plot
}

func rivalsBlock(rivals []rival, cfg ComparisonConfig, published bool) report.Table {
	cohort := ""
	if len(rivals) > 0 {
		cohort = rivals[0].cohort
	}
	t := report.Table{
		Caption: report.Text(fmt.Sprintf("%s: each predictor on the test patients that have both scores, and the network on the same ones.", cohort)),
		Columns: []report.Column{{Title: "Predictor"}, {Title: "n", Number: true}, {Title: "AUC (95% CI)", Number: true}, {Title: "p", Number: true},
			{Title: "Difference (95% CI)", Number: true}, {Title: "p, DeLong", Number: true}, {Title: "p, permutation", Number: true}},
		Files: []string{"tables/comparison.arrow"},
	}
	note := fmt.Sprintf("The first p is Noether's, against 0.5. Difference: AUC of the network on the same patients less that of the predictor. Paired DeLong is two-sided; the permutation test (%d exchanges) is one-sided, for a larger AUC of the network.", cfg.Permutations)
	if published {
		note += " The study's forests were trained on cohorts whose clinical data are not public: a clinical forest here is cross-validated inside the test cohort."
	} else {
		note += " All scores were fixed before the outcomes of the test role were opened. Tests are of one predictor at a time, without correction for their number."
	}
	t.Note = report.Text(note)
	for _, r := range rivals {
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(predictorWords(r.predictor), fmt.Sprint(r.auc.N),
			fmt.Sprintf("%.3f (%.3f to %.3f)", r.auc.AUC, r.auc.Low, r.auc.High), pText(r.noether.P),
			fmt.Sprintf("%.3f (%.3f to %.3f)", r.paired.Difference, r.paired.Low, r.paired.High), pText(r.paired.P), pText(r.permutation.P))})
	}
	return t
}

func metaBlock(meta []combined) report.Table {
	t := report.Table{
		Caption: report.Text("Both treatments by inverse variance, fixed effect; I2 and its p judge whether the treatments agree."),
		Columns: []report.Column{{Title: "Predictor"}, {Title: "AUC (95% CI)", Number: true}, {Title: "Difference (95% CI)", Number: true}, {Title: "p", Number: true},
			{Title: "I2", Number: true}, {Title: "p, heterogeneity", Number: true}, {Title: "p, Stouffer", Number: true}},
		Note:  report.Text("Stouffer joins the one-sided permutation tests, weighted by the root of the number of patients. Every predictor points the same way (higher is worse) in both treatments."),
		Files: []string{"tables/comparison_meta.arrow"},
	}
	for _, c := range meta {
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(predictorWords(c.predictor),
			fmt.Sprintf("%.3f (%.3f to %.3f)", c.auc.Estimate+0.5, c.auc.Low+0.5, c.auc.High+0.5),
			fmt.Sprintf("%.3f (%.3f to %.3f)", c.difference.Estimate, c.difference.Low, c.difference.High), pText(c.difference.P),
			fmt.Sprintf("%.0f%%", 100*c.difference.I2), pText(c.difference.QP), pText(c.p.P))})
	}
	return t
}

// pText writes a p value for a cell of a table.
func pText(p float64) string {
	return strings.TrimPrefix(strings.TrimPrefix(figure.PValue(p), "p = "), "p ")
}
