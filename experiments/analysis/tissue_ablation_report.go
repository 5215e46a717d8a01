package analysis

import (
	"fmt"
	"math"
	"strings"

	"hounsfield/datasets/table"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
	"hounsfield/stats"
)

// result puts together tables, figures, the section and the lines.
func (t *tissueAblation) result(all []tissueScores, v *tissueVerdict, picture tissuePicture) (*Result, error) {
	measures, err := MeasuresTable(tissueName, t.measures(v), t.Provenance)
	if err != nil {
		return nil, err
	}
	scores, err := t.scoresTable(all)
	if err != nil {
		return nil, err
	}
	r := &Result{
		Tables:     []Table{{tissueName, measures}, {tissueName + "_scores", scores}},
		Exclusions: t.lost,
		Lines:      t.lines(v),
	}
	if v.arms[0].auc != nil {
		if r.Figures, err = tissueFigures(v); err != nil {
			return nil, err
		}
	}
	r.Section = t.section(v, r.Figures, picture)
	return r, nil
}

// scoresTable has a row for each test patient, arm and way.
func (t *tissueAblation) scoresTable(all []tissueScores) (*table.Table, error) {
	type row struct {
		patient, arm, way string
		score, shift      float64
	}
	var rows []row
	for _, s := range all {
		for k, i := range t.test {
			rows = append(rows, row{t.Cohort.Patients[i].ID, s.arm.name(), s.way, s.scores[k], s.scores[k] - all[0].scores[k]})
		}
	}
	return table.New(table.Schema{Name: tissueName + "_scores", Columns: []table.Column{
		{Name: "patient_id", Type: table.String},
		{Name: "arm", Type: table.String, Description: "what was done to the cube"},
		{Name: "way", Type: table.String, Description: "re-scored: by the run's networks; re-trained: by networks trained on such cubes"},
		{Name: "score", Type: table.Float64, Direction: riskDirection},
		{Name: "shift", Type: table.Float64, Description: "score less that of the whole cube"},
	}}, t.Provenance, map[string]any{
		"patient_id": table.ColumnOf(rows, func(r row) string { return r.patient }),
		"arm":        table.ColumnOf(rows, func(r row) string { return r.arm }),
		"way":        table.ColumnOf(rows, func(r row) string { return r.way }),
		"score":      table.ColumnOf(rows, func(r row) float64 { return r.score }),
		"shift":      table.ColumnOf(rows, func(r row) float64 { return r.shift }),
	})
}

// tissueFigures are the differences as a forest plot, and the AUC against the shell's width.
func tissueFigures(v *tissueVerdict) ([]Figure, error) {
	forest := figure.ForestPlot{Title: "Tissue taken away: difference in AUC", Axis: "AUC difference", Decimals: 3, Lines: []figure.ForestLine{{Name: "no difference", At: 0}}}
	if v.truth != nil {
		forest.Lines = append(forest.Lines, figure.ForestLine{Name: "what the true hazard loses without its halo", At: v.truth.halo.Difference})
	}
	row := func(group, name string, r *stats.PairedAUCResult) {
		forest.Rows = append(forest.Rows, figure.ForestRow{Group: group, Name: name, N: r.N, Estimate: figure.Estimate{Value: r.Difference, Low: r.Low, High: r.High}})
	}
	for _, way := range []string{tissueRescored, tissueRetrained} {
		for _, j := range v.arms[1:] {
			if j.way == way {
				row("Less the whole cube, "+way, j.arm.words(), j.over.auc)
			}
		}
		for _, g := range v.gains {
			if g.way == way {
				row("Less the tumour only, "+way, g.arm.words(), g.auc)
			}
		}
	}
	svg, err := figure.Forest(forest)
	if err != nil {
		return nil, err
	}
	out := []Figure{{Name: "tissue_ablation", SVG: svg,
		Caption: "Difference in AUC between cubes with tissue taken away and whole cubes (and, below, between the tumour with its surroundings and the tumour alone), in the same test patients, with 95% confidence interval (paired DeLong, not adjusted for their number). Left of zero: the network separates the dead from the living worse."}}

	trend := figure.TrendPlot{Title: "AUC against the width of the shell", X: "Width of the shell around the tumour (mm)", Y: "AUC", Lines: []figure.ForestLine{{Name: "whole cube", At: v.arms[0].auc.AUC}}}
	if v.truth != nil {
		trend.Lines = append(trend.Lines, figure.ForestLine{Name: "true hazard, what a scan shows of it", At: v.truth.halo.B}, figure.ForestLine{Name: "the same without its halo", At: v.truth.halo.A})
	}
	for _, kind := range []string{tumourAndShell, shellRemoved} {
		for _, way := range []string{tissueRescored, tissueRetrained} {
			s := figure.TrendSeries{Name: map[string]string{tumourAndShell: "only tumour and shell, ", shellRemoved: "all but the shell, "}[kind] + way}
			for _, j := range byWidth(v.arms[1:]) {
				if j.way == way && (j.arm.Kind == kind || kind == tumourAndShell && j.arm.Kind == tumourOnly) {
					s.Points = append(s.Points, figure.TrendPoint{At: j.arm.ShellMM, Estimate: figure.Estimate{Value: j.auc.AUC, Low: j.auc.Low, High: j.auc.High}})
				}
			}
			if len(s.Points) > 0 {
				trend.Series = append(trend.Series, s)
			}
		}
	}
	if len(trend.Series) == 0 {
		return out, nil
	}
	if svg, err = figure.Trend(trend); err != nil {
		return nil, err
	}
	return append(out, Figure{Name: "tissue_ablation_width", SVG: svg,
		Caption: "AUC of the test patients with 95% confidence interval (DeLong) when only the tumour and so much around it is left (0 mm: the tumour alone), and when so much around it is taken away and the rest is left."}), nil
}

// signed writes a difference with its interval and p values.
func (c tissueContrast) signed() string {
	if c.auc == nil {
		return "no AUC"
	}
	return fmt.Sprintf("%s, %s, Holm %s", withSign(c.auc.Difference, c.auc.Low, c.auc.High), figure.PValue(c.auc.P), strings.TrimPrefix(figure.PValue(c.holm), "p "))
}

// verdict says in words what a difference shows and what it does not.
func (c tissueContrast) verdict() string {
	r := c.auc
	switch {
	case r == nil:
		return "no AUC in these patients"
	case r.High < 0 && c.holm < 0.05:
		return "a loss, after adjustment too"
	case r.Low > 0 && c.holm < 0.05:
		return "a gain, after adjustment too"
	case r.High < 0 || r.Low > 0:
		return "not clear of chance once the comparisons are counted"
	default:
		return fmt.Sprintf("no difference shown; one of up to %.3f remains possible", max(-r.Low, r.High))
	}
}

// findings say the main contrasts in words, what was scored in both ways in one item.
func (v *tissueVerdict) findings() report.List {
	var list report.List
	place := map[string]int{}
	for _, c := range v.main() {
		text := fmt.Sprintf("%s %s (%s)", c.way, c.signed(), c.verdict())
		if k, ok := place[c.words()]; ok {
			list[k] = append(list[k], report.Span{Text: "; " + text})
			continue
		}
		place[c.words()] = len(list)
		list = append(list, report.Paragraph{{Text: "AUC, " + c.words() + ": ", Strong: true}, {Text: text}})
	}
	return list
}

// main are the contrasts that the lines and the findings speak of: arms that networks were
// trained on, or, where there are none, the widest of each kind that asks about place.
func (v *tissueVerdict) main() []tissueContrast {
	chosen := map[string]bool{}
	for _, j := range v.arms {
		if j.way == tissueRetrained {
			chosen[j.arm.name()] = true
		}
	}
	if len(chosen) == 0 {
		widest := map[string]TissueArm{}
		for _, j := range v.arms[1:] {
			switch k := j.arm.Kind; k {
			case tumourOnly, tumourAndShell, shellRemoved, backgroundOnly:
				if j.arm.ShellMM >= widest[k].ShellMM {
					widest[k] = j.arm
				}
			}
		}
		for _, a := range widest {
			chosen[a.name()] = true
		}
	}
	var out []tissueContrast
	for _, j := range v.arms[1:] {
		if chosen[j.arm.name()] {
			out = append(out, j.over)
		}
	}
	for _, g := range v.gains {
		if chosen[g.arm.name()] {
			out = append(out, g)
		}
	}
	return out
}

func (t *tissueAblation) lines(v *tissueVerdict) []string {
	whole := v.arms[0]
	if whole.auc == nil {
		return []string{fmt.Sprintf("tissue_ablation: %d test patients scored in %d arms; no AUC, because not both outcomes are among them", len(t.test), len(t.set.Arms))}
	}
	out := []string{fmt.Sprintf("whole cube: AUC %.3f (%.3f to %.3f), n=%d, %d dead at two years", whole.auc.AUC, whole.auc.Low, whole.auc.High, whole.auc.N, whole.auc.Positives)}
	for _, c := range v.main() {
		out = append(out, fmt.Sprintf("%s, %s: AUC %s", c.words(), c.way, c.signed()))
	}
	if w := v.truth; w != nil {
		out = append(out, fmt.Sprintf("true hazard as far as a scan shows it: AUC %.3f; without its halo %.3f: %+.3f (%+.3f to %+.3f) is what there was to lose", w.seen.AUC, w.halo.A, w.halo.Difference, w.halo.Low, w.halo.High))
	}
	return out
}

func (t *tissueAblation) section(v *tissueVerdict, figures []Figure, picture tissuePicture) report.Section {
	s := report.Section{Title: "Which tissue the score needs"}
	add := func(b ...report.Block) { s.Blocks = append(s.Blocks, b...) }
	whole := v.arms[0]
	lead := fmt.Sprintf("Tissue was taken out of the cubes of %d test patients by its distance from the tumour's contour and replaced by %g HU. Re-scored: the run's networks read the changed cubes. Re-trained: networks that learned from such cubes do. ", len(t.test), t.set.FillHU)
	if whole.auc != nil {
		lead += fmt.Sprintf("On whole cubes their AUC is %.3f (95%% CI %.3f to %.3f, n = %d, %d dead at two years).", whole.auc.AUC, whole.auc.Low, whole.auc.High, whole.auc.N, whole.auc.Positives)
	} else {
		lead += "There is no AUC: the test patients with a two-year label are not of both outcomes. What is left are scores and their shifts."
	}
	add(report.Text(lead))
	for _, f := range figures {
		add(f.Block())
	}
	if whole.auc != nil {
		add(report.Subheading("What was found"), v.findings())
	}
	add(t.armsTable(v), report.Picture{PNG: picture.png, File: picture.file,
		Alt:     "Axial, coronal and sagittal planes of one patient's cube as each arm has it, with the tumour outlined",
		Caption: report.Text(fmt.Sprintf("%s, the cube as each arm has it: axial, coronal and sagittal plane through its centre, the contour outlined, lung window.", picture.patient))})
	add(report.Callout{Tone: report.Warning, Title: "What re-scoring can and cannot tell", Body: []report.Paragraph{
		report.Text("A network that is shown a cube with a hole reads something that it never learned from. A fall of its AUC may then come from the hole and not from the tissue that is missing (Hooker et al. 2019, arXiv:1806.10758). Networks trained on such cubes answer another question: whether what is left holds the information. If they lose nothing where re-scoring does, the network used that tissue, but could have done without it."),
	}})
	add(t.notes(v), report.Folded{Title: "Scores and voxels", Blocks: []report.Block{t.shiftsTable(v)}})
	if w := v.truth; w != nil {
		add(report.Text(fmt.Sprintf("The phantom's truth: in the same %d patients the true hazard has an AUC of %.3f (%.3f to %.3f), and of %.3f (%.3f to %.3f) without age and stage, which no scan shows. Without the term of the halo, a rim of ground glass outside the contour, it is %.3f: a difference of %+.3f (%+.3f to %+.3f). That is about what a network that read the halo perfectly, and all else too, would lose with it.",
			w.all.N, w.all.AUC, w.all.Low, w.all.High, w.seen.AUC, w.seen.Low, w.seen.High, w.halo.A, w.halo.Difference, w.halo.Low, w.halo.High)))
	}
	return s
}

// counted says how many differences p values are adjusted for.
func (v *tissueVerdict) counted() string {
	s := fmt.Sprintf("%d differences in AUC of cubes re-scored", v.tests[tissueRescored])
	if n := v.tests[tissueRetrained]; n > 0 {
		s += fmt.Sprintf(", and apart from them over the %d of cubes re-trained", n)
	}
	return s
}

// armsTable is the section's table: an arm in one way a row.
func (t *tissueAblation) armsTable(v *tissueVerdict) report.Table {
	out := report.Table{
		Caption: report.Text("The AUC of each arm and its difference to that of the whole cube in the same patients, with 95% confidence intervals."),
		Columns: []report.Column{{Title: "Cube"}, {Title: "Scored"}, {Title: "AUC", Number: true}, {Title: "Difference", Number: true}, {Title: "p", Number: true}, {Title: "p, Holm", Number: true}},
		Note:    report.Text(fmt.Sprintf("n = %d test patients; AUCs in those with a two-year label. p: paired DeLong, two-sided; Holm's over the %s.", len(t.test), v.counted())),
		Files:   []string{"tables/" + tissueName + ".arrow", "tables/" + tissueName + "_scores.arrow"},
	}
	p := func(v float64) string {
		return strings.TrimPrefix(strings.TrimPrefix(figure.PValue(v), "p "), "= ")
	}
	for _, j := range v.arms {
		cells := []string{j.arm.words(), j.way, "none", "", "", ""}
		if r := j.auc; r != nil {
			cells[2] = fmt.Sprintf("%.3f (%.3f to %.3f)", r.AUC, r.Low, r.High)
		}
		if r := j.over.auc; r != nil {
			cells[3], cells[4], cells[5] = withSign(r.Difference, r.Low, r.High), p(r.P), p(j.over.holm)
		}
		out.Rows = append(out.Rows, report.Row{Cells: report.Cells(cells...), Strong: j.arm.Kind == tissueWhole})
	}
	return out
}

// shiftsTable tells of the scores themselves.
func (t *tissueAblation) shiftsTable(v *tissueVerdict) report.Table {
	out := report.Table{
		Caption: report.Text("What each arm changes: voxels, scores and the order of patients, against the whole cube, with 95% confidence intervals."),
		Columns: []report.Column{{Title: "Cube"}, {Title: "Scored"}, {Title: "Voxels changed", Number: true}, {Title: "Patients with under 1%", Number: true},
			{Title: "Mean shift of the score", Number: true}, {Title: "Spearman", Number: true}, {Title: "Difference in Harrell's C", Number: true}},
		Note:  report.Text(fmt.Sprintf("n = %d test patients. A tumour that fills the cube has no surroundings in it: in patients with under 1%% of the voxels changed an arm can show nothing.", len(t.test))),
		Files: []string{"tables/" + tissueName + ".arrow"},
	}
	for _, j := range v.arms[1:] {
		cells := []string{j.arm.words(), j.way, fmt.Sprintf("%.1f%%", 100*j.filled), fmt.Sprint(j.hardly), fmt.Sprintf("%+.3f", j.shift.Estimate), "", ""}
		if !math.IsNaN(j.shift.Low) {
			cells[4] = withSign(j.shift.Estimate, j.shift.Low, j.shift.High)
		}
		if r := j.spearman; r != nil {
			cells[5] = fmt.Sprintf("%.2f", r.R)
			if !math.IsNaN(r.Low) {
				cells[5] = fmt.Sprintf("%.2f (%.2f to %.2f)", r.R, r.Low, r.High)
			}
		}
		if r := j.over.harrell; r != nil {
			cells[6] = withSign(r.Difference, r.Low, r.High)
		}
		out.Rows = append(out.Rows, report.Row{Cells: report.Cells(cells...)})
	}
	return out
}

// withSign writes a difference with its interval.
func withSign(value, low, high float64) string {
	return fmt.Sprintf("%+.3f (%+.3f to %+.3f)", value, low, high)
}

// notes are what a reader must know to weigh the numbers.
func (t *tissueAblation) notes(v *tissueVerdict) report.List {
	list := report.List{
		report.Text("The border of what is replaced stays visible: with the tumour taken away, its size and shape can still be read from the hole."),
		report.Text("Distances are Euclidean, in mm, from the centre of a voxel to that of the nearest voxel inside the contour. The tissue beside the contour also holds what belongs to the tumour: partial volume, spicules, and whatever the reader left out."),
		report.Text(fmt.Sprintf("The filling is one number for all patients: one taken from the patient's own lung would tell of what was taken away. It has neither noise nor vessels. Shuffled voxels are drawn anew for each patient and arm, seed %d.", t.Seed)),
	}
	if len(t.noise) > 1 {
		low, high := t.noise[0], t.noise[0]
		for _, a := range t.noise {
			low, high = min(low, a), max(high, a)
		}
		list = append(list, report.Text(fmt.Sprintf("Intervals speak of other patients, not of another training. The run's %d networks, which differ by seed alone, have AUCs from %.3f to %.3f on whole cubes; re-trained arms carry chance of that kind too, lessened by the mean over networks.", len(t.noise), low, high)))
	}
	if len(v.arms) > 1 && v.arms[1].over.auc != nil {
		least, most := math.Inf(1), 0.0
		for _, j := range v.arms[1:] {
			least, most = min(least, detectable(j.over.auc)), max(most, detectable(j.over.auc))
		}
		list = append(list, report.Text(fmt.Sprintf("Power: with the standard errors seen here, a true difference in AUC of %.3f to %.3f, by arm, is found with a probability of 80%% (two-sided 5%%, before adjustment).", least, most)))
	}
	return list
}
