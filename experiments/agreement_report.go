package experiments

import (
	"fmt"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// agreementFigures set the re-run against the original: the scores, and their
// differences with and without the patients that the config leaves out.
func agreementFigures(groups []agreementGroup, ev *evaluation) ([]drawn, error) {
	var out []drawn
	for k, g := range groups {
		if !strings.HasPrefix(g.name, groupReleased) {
			continue
		}
		pairs := figure.Pairs{First: g.original, Second: g.rerun, FirstName: "original score", SecondName: "re-run score"}
		if k == 0 {
			plot := figure.ScatterPlot{Pairs: pairs, Cut: &ev.cut, CutName: "median of the tune role"}
			if m, ok := find(ev.agreed, metricSpearman, string(datasets.Test), g.name); ok {
				e := estimateOf(m)
				plot.Spearman = &e
			}
			svg, err := figure.Scatter(plot)
			if err != nil {
				return nil, err
			}
			out = append(out, drawn{"agreement-scatter", "Re-run against original score of the patients who have both; squares are patients whom the two put on different sides of the cut.", svg})
		}
		plot := figure.AgreementPlot{Pairs: pairs}
		bias, ok := find(ev.agreed, metricBias, string(datasets.Test), g.name)
		if !ok {
			continue
		}
		plot.Bias = estimateOf(bias)
		lower, _ := find(ev.agreed, metricLowerLimit, string(datasets.Test), g.name)
		upper, _ := find(ev.agreed, metricUpperLimit, string(datasets.Test), g.name)
		plot.Lower, plot.Upper = estimateOf(lower), estimateOf(upper)
		svg, err := figure.BlandAltman(plot)
		if err != nil {
			return nil, err
		}
		d := drawn{"bland-altman", "Bland-Altman plot: difference of the two scores against their mean, with bias, limits of agreement for 95% of the differences and their 95% intervals. The limits take the differences to be normal and not to change with the mean; the points show whether they are.", svg}
		if k > 0 {
			d.name += "-without"
			d.caption = "The same for the patients " + g.name + "."
		}
		out = append(out, d)
	}
	return out, nil
}

func agreementSection(s *study, ev *evaluation, groups []agreementGroup, figures []drawn) report.Section {
	blocks := []report.Block{report.Text("The published weights were run again by others, on contours read anew. Their scores are set here against the ones first released, for the same patients; all differences are re-run less original.")}
	if said := agreementReading(ev, groups); len(said) > 0 {
		blocks = append(blocks, said)
	}
	for _, f := range figures {
		blocks = append(blocks, report.Figure{SVG: f.svg, Caption: report.Text(f.caption), File: "figures/" + f.name + ".svg"})
	}
	all := report.Table{
		Caption: report.Text("Agreement of the re-run with the original scores, and the re-run in patients without one."),
		Columns: []report.Column{{Title: "Patients"}, {Title: "Metric"}, {Title: "n", Number: true}, {Title: "Value", Number: true}, {Title: "95% CI", Number: true}, {Title: "p", Number: true}},
		Note:    report.Text("Patients: released are those with a released score, new those without; a complete record has age, stage and a known histology, as every released patient has."),
		Files:   []string{"tables/" + agreementTable + ".arrow", "tables/" + agreementTable + ".parquet", "tables/" + repeatsTable + ".arrow"},
	}
	for _, m := range ev.agreed {
		ci, p, d := "", "", decimalsOf(m.Name)
		if m.Low.Valid && m.High.Valid {
			ci = shown(m.Low.V, d) + " to " + shown(m.High.V, d)
		}
		if m.P.Valid {
			p = fmt.Sprintf("%.2g", m.P.V)
		}
		all.Rows = append(all.Rows, report.Row{Cells: report.Cells(m.ScoredBy, metricWords[m.Name], fmt.Sprint(m.N), shown(m.Value, d), ci, p)})
	}
	blocks = append(blocks, all)
	if moved := movedBlock(s, ev, groups[0]); moved != nil {
		blocks = append(blocks, moved)
	}
	return report.Section{ID: "agreement", Title: "Agreement", Blocks: blocks}
}

// movedBlock lists the patients who change risk group.
func movedBlock(s *study, ev *evaluation, g agreementGroup) report.Block {
	moved := g.pairs().Moved(ev.cut)
	if len(moved) == 0 {
		return nil
	}
	t := report.Table{Caption: report.Text(fmt.Sprintf("Patients on different sides of the cut, %.7g.", ev.cut)),
		Columns: []report.Column{{Title: "Patient"}, {Title: "Original", Number: true}, {Title: "Re-run", Number: true}, {Title: "Becomes"}, {Title: "Alive at two years"}}}
	for _, k := range moved {
		alive := "not known"
		if a := g.alive[k]; a.Valid {
			alive = map[bool]string{true: "yes", false: "no"}[a.V]
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(s.cohort.Patients[g.patients[k]].ID,
			fmt.Sprintf("%.4g", g.original[k]), fmt.Sprintf("%.4g", g.rerun[k]), groupName(g.rerun[k] > ev.cut)+" risk", alive)})
	}
	return report.Folded{Title: fmt.Sprintf("The %d patients who change risk group", len(moved)), Blocks: []report.Block{t}}
}

// agreementReading says in words what the numbers allow, and what they do not.
func agreementReading(ev *evaluation, groups []agreementGroup) report.List {
	var list report.List
	say := func(format string, args ...any) { list = append(list, report.Text(fmt.Sprintf(format, args...))) }
	get := func(name, group string) (Metric, bool) {
		return find(ev.agreed, name, string(datasets.Test), group)
	}
	d, okD := get(metricAUCDifference, groupReleased)
	a, okA := get(metricAUCOriginal, groupReleased)
	b, okB := get(metricAUCRerun, groupReleased)
	if okD && okA && okB {
		reading := "no difference is shown, which is not to say that there is none: the interval is what the data allow"
		if d.P.Valid && d.P.V < 1-Level {
			reading = "a difference beyond chance"
		}
		say("Discrimination: AUC %.3f in the re-run against %.3f originally; difference %s (paired DeLong): %s.", b.Value, a.Value, metricText(&d), reading)
	}
	rank, okRank := get(metricSpearman, groupReleased)
	icc, okICC := get(metricICCA1, groupReleased)
	if okRank && okICC {
		text := fmt.Sprintf("Scores: the order of the patients comes back with Spearman %.2f, their values with ICC(A,1) %.2f (absolute agreement of one score).", rank.Value, icc.Value)
		if i := slices.IndexFunc(groups, func(g agreementGroup) bool { return strings.HasPrefix(g.name, groupReleased+" ") }); i > 0 {
			if other, ok := get(metricICCA1, groups[i].name); ok {
				text += fmt.Sprintf(" In the patients %s the ICC is %.2f: it judges values that lie close together, and few patients far from the others can decide it.", groups[i].name, other.Value)
			}
		}
		say("%s", text)
	}
	bias, ok := get(metricBias, groupReleased)
	if ok && bias.P.Valid && bias.P.V < 1-Level {
		direction := "higher"
		if bias.Value < 0 {
			direction = "lower"
		}
		say("The re-run scores %s, by %.3f on average (%.3f to %.3f); a cut taken from original scores then fits the re-run less well.", direction, max(bias.Value, -bias.Value), bias.Low.V, bias.High.V)
	}
	if m, ok := get(metricMoved, groupReleased); ok {
		say("%.0f of %d patients change risk group.", m.Value, m.N)
	}
	fresh, okFresh := get(metricAUCRerun, groupNew)
	if okFresh && fresh.Low.Valid && okB {
		text := fmt.Sprintf("New patients: AUC %.3f (%.3f to %.3f) in the %d labelled patients without a released score", fresh.Value, fresh.Low.V, fresh.High.V, fresh.N)
		if fresh.Low.V <= 0.5 && fresh.High.V >= 0.5 {
			text += ", an interval that holds 0.5, no separation at all"
		}
		if diff, ok := get(metricAUCNew, groupNew); ok && diff.P.Valid {
			text += fmt.Sprintf("; against the released patients %.3f (%.3f to %.3f), %s", diff.Value, diff.Low.V, diff.High.V, figure.PValue(diff.P.V))
		}
		text += "."
		x, okX := get(metricAliveShare, groupReleased)
		y, okY := get(metricAliveShare, groupNew)
		if okX && okY {
			text += fmt.Sprintf(" Of the released %.0f%% were alive at two years, of the new %.0f%%", 100*x.Value, 100*y.Value)
			if z, ok := get(metricAliveShare, groupNewComplete); ok {
				text += fmt.Sprintf(" (%.0f%% of those with a complete record)", 100*z.Value)
			}
			text += "."
			if x.High.V < y.Low.V || y.High.V < x.Low.V {
				text += " The released patients are a selection by outcome or by something that goes with it, so their AUC cannot be taken for that of the whole collection."
			}
		}
		say("%s", text)
	}
	return list
}
