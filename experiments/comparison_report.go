package experiments

import (
	"fmt"

	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// comparisonSection shows the rivals beside the network, and both treatments together.
func comparisonSection(c *comparison, cfg ComparisonConfig) (report.Section, []drawn, error) {
	section := report.Section{ID: "comparison", Title: "Beside other predictors"}
	var figures []drawn
	add := func(name, caption string, plot figure.ForestPlot) error {
		svg, err := figure.Forest(plot)
		if err != nil {
			return err
		}
		figures = append(figures, drawn{name: name, caption: caption, svg: svg})
		section.Blocks = append(section.Blocks, report.Figure{SVG: svg, Caption: report.Text(caption), File: "figures/" + name + ".svg"})
		return nil
	}
	if err := add("comparison", "AUC for death at two years on the test role, with DeLong's 95% interval.", rivalsPlot(c.rivals)); err != nil {
		return section, nil, err
	}
	section.Blocks = append(section.Blocks, rivalsBlock(c.rivals, cfg), paperBlock(c))
	if len(c.meta) == 0 {
		return section, figures, nil
	}
	section.Blocks = append(section.Blocks, report.Subheading("Both treatments together"))
	if err := add("comparison-meta", "AUC of the network less that of each predictor, both treatments by inverse variance (fixed effect), with 95% intervals. Right of zero the network is better.", metaPlot(c.meta)); err != nil {
		return section, nil, err
	}
	section.Blocks = append(section.Blocks, metaBlock(c.meta), rivalsBlock(c.another, cfg))
	return section, figures, nil
}

// paperBlock says of each predictor how it was made, and what the paper's own figure
// can be held against.
func paperBlock(c *comparison) report.Table {
	t := report.Table{
		Caption: report.Text("How each predictor was made, and whether the study's own figure can be repeated."),
		Columns: []report.Column{{Title: "Predictor"}, {Title: "Made from"}, {Title: "The study's figure"}},
		Note:    report.Text("The study states in words that its network did better than forests on clinical data; the figures it gives for single predictors are not among the released data."),
	}
	for _, r := range c.rivals {
		verdict := "computed from released data; no released figure to hold it against"
		if r.predictor == predictForestClinical {
			verdict = "data not public: trained on another cohort there, cross-validated here"
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(predictorWords(r.predictor), r.made, verdict)})
	}
	for _, name := range c.absent {
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(predictorWords(name), "not made", "data not public")})
	}
	return t
}

func rivalsPlot(rivals []rival) figure.ForestPlot {
	plot := figure.ForestPlot{Lines: []figure.ForestLine{{Name: "chance", At: 0.5}}}
	if len(rivals) > 0 {
		n := rivals[0].network
		plot.Rows = append(plot.Rows, figure.ForestRow{Name: "network", Estimate: figure.Estimate{Value: n.AUC, Low: n.Low, High: n.High}, N: n.N, Summary: true})
	}
	for _, r := range rivals {
		plot.Rows = append(plot.Rows, figure.ForestRow{Name: predictorWords(r.predictor), Estimate: figure.Estimate{Value: r.auc.AUC, Low: r.auc.Low, High: r.auc.High}, N: r.auc.N})
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

func rivalsBlock(rivals []rival, cfg ComparisonConfig) report.Table {
	cohort := ""
	if len(rivals) > 0 {
		cohort = rivals[0].cohort
	}
	t := report.Table{
		Caption: report.Text(fmt.Sprintf("%s: each predictor on the test patients that have both scores, and the network on the same ones.", cohort)),
		Columns: []report.Column{{Title: "Predictor"}, {Title: "n", Number: true}, {Title: "AUC (95% CI)", Number: true}, {Title: "p", Number: true},
			{Title: "Difference (95% CI)", Number: true}, {Title: "p, DeLong", Number: true}, {Title: "p, permutation", Number: true}},
		Note: report.Text(fmt.Sprintf("The first p is Noether's, against 0.5. Difference: AUC of the network on the same patients less that of the predictor. Paired DeLong is two-sided; the permutation test (%d exchanges) is one-sided, for a larger AUC of the network. "+
			"The study's forests were trained on cohorts whose clinical data are not public: a clinical forest here is cross-validated inside the test cohort.", cfg.Permutations)),
		Files: []string{"tables/comparison.arrow"},
	}
	for _, r := range rivals {
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(predictorWords(r.predictor), fmt.Sprint(r.auc.N),
			fmt.Sprintf("%.3f (%.3f to %.3f)", r.auc.AUC, r.auc.Low, r.auc.High), fmt.Sprintf("%.2g", r.noether.P),
			fmt.Sprintf("%.3f (%.3f to %.3f)", r.paired.Difference, r.paired.Low, r.paired.High), fmt.Sprintf("%.2g", r.paired.P), fmt.Sprintf("%.2g", r.permutation.P))})
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
			fmt.Sprintf("%.3f (%.3f to %.3f)", c.difference.Estimate, c.difference.Low, c.difference.High), fmt.Sprintf("%.2g", c.difference.P),
			fmt.Sprintf("%.0f%%", 100*c.difference.I2), fmt.Sprintf("%.2g", c.difference.QP), fmt.Sprintf("%.2g", c.p.P))})
	}
	return t
}
