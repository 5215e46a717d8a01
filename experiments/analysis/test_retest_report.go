package analysis

import (
	"fmt"

	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

func (t *testRetest) result(measures []Measure) (*Result, error) {
	all, err := MeasuresTable(testRetestName, measures, t.Provenance)
	if err != nil {
		return nil, err
	}
	scores, err := t.table()
	if err != nil {
		return nil, err
	}
	r := &Result{Tables: []Table{{testRetestName, all}, {testRetestScores, scores}}, Exclusions: t.exclusions()}
	if r.Figures, err = t.figures(measures); err != nil {
		return nil, err
	}
	r.Section, r.Lines = t.section(measures, r.Figures), t.lines(measures)
	return r, nil
}

func (t *testRetest) figures(measures []Measure) ([]Figure, error) {
	p := t.scores()
	pairs := figure.Pairs{First: p.First, Second: p.Second, FirstName: "first scan", SecondName: "second scan"}
	scatter := figure.ScatterPlot{Pairs: pairs, Cut: &t.Cut, CutName: "median of the tune role"}
	if m, ok := measured(measures, Spearman, groupScore); ok {
		e := m.estimate()
		scatter.Spearman = &e
	}
	svg, err := figure.Scatter(scatter)
	if err != nil {
		return nil, err
	}
	out := []Figure{{Name: "test-retest-scatter", Caption: "Scores of two scans of the same patients. Squares are patients whom the two put on different sides of the cut.", SVG: svg}}
	bias, ok := measured(measures, Bias, groupScore)
	if !ok {
		return out, nil
	}
	lower, _ := measured(measures, LowerLimit, groupScore)
	upper, _ := measured(measures, UpperLimit, groupScore)
	svg, err = figure.BlandAltman(figure.AgreementPlot{Pairs: pairs, Bias: bias.estimate(), Lower: lower.estimate(), Upper: upper.estimate()})
	if err != nil {
		return nil, err
	}
	return append(out, Figure{Name: "test-retest-bland-altman", SVG: svg,
		Caption: "Bland-Altman plot: score of the second scan less that of the first, against their mean, with bias, limits of agreement for 95% of the differences and their 95% intervals."}), nil
}

func (t *testRetest) section(measures []Measure, figures []Figure) report.Section {
	files := []string{"tables/" + testRetestName + ".arrow", "tables/" + testRetestName + ".parquet", "tables/" + testRetestScores + ".arrow"}
	blocks := []report.Block{
		report.Text(fmt.Sprintf("%s of %s were scanned twice. The cube is cut from each scan by its own contour and scored by the run's networks; differences are second less first, on the scale of the score.",
			plural(len(t.chosen), "patient"), t.where())),
	}
	if key := keyFigures(measures, groupScore, ICCA1, repeatability, MovedShare); key != nil {
		blocks = append(blocks, key)
	}
	if known := t.learnedFrom(t.chosen); known != nil {
		blocks = append(blocks, known)
	}
	blocks = append(blocks, t.reading(measures))
	for _, f := range figures {
		blocks = append(blocks, f.Block())
	}
	table := measureTable("Agreement of the two scores.", "Of", ofGroups(measures, groupScore), t.Level, files...)
	table.Note = report.Text("The standard deviation within patients and the repeatability coefficient are on the scale of the score. An ICC sets the error against the spread of these patients: it says nothing about patients who lie closer together.")
	blocks = append(blocks, table, report.Folded{Title: "How well the contours repeat", Blocks: []report.Block{
		measureTable("Agreement of the volumes inside the two contours: the repeatability of what the networks were given.", "Of", ofGroups(measures, groupVolume), t.Level)}})
	if moved := t.movedBlock(); moved != nil {
		blocks = append(blocks, moved)
	}
	return report.Section{ID: "test-retest", Title: "Two scans of the same patients", Blocks: blocks}
}

// reading says in words what the numbers allow.
func (t *testRetest) reading(measures []Measure) report.List {
	var list report.List
	say := func(format string, args ...any) { list = append(list, report.Text(fmt.Sprintf(format, args...))) }
	if icc, ok := measured(measures, ICCA1, groupScore); ok {
		rank, _ := measured(measures, Spearman, groupScore)
		say("Scores: ICC(A,1) %s, Spearman %s.", icc.words(), rank.words())
	}
	if rc, ok := measured(measures, repeatability, groupScore); ok {
		say("Two scans of one patient differ by less than %s in %.0f of 100 cases; a smaller change of a patient's score over time cannot be told from chance.", rc.words(), 100*t.Level)
	}
	if bias, ok := measured(measures, Bias, groupScore); ok && bias.P.Valid && bias.P.V < 1-t.Level {
		say("The second scan scores %s on average: a shift beyond chance.", signed(bias))
	}
	if moved, ok := measured(measures, Moved, groupScore); ok {
		share, _ := measured(measures, MovedShare, groupScore)
		say("%.0f of %d patients change risk group at the run's cut, %.6g; share %s.", moved.Value, moved.N, t.Cut, share.words())
	}
	if icc, ok := measured(measures, ICCA1, groupVolume); ok {
		text := fmt.Sprintf("Input: the volumes inside the two contours agree with ICC(A,1) %s", icc.words())
		if cv, ok := measured(measures, withinCV, groupVolume); ok {
			text += fmt.Sprintf("; within a patient they vary by %.1f%%", 100*cv.Value)
		}
		say("%s.", text)
	}
	if kept := t.kept(); kept > 0 {
		say("The folder keeps scans in whole HU: cubes cut from them differ by up to %.2g HU from those that the run scored, for both scans alike.", kept)
	}
	return list
}

// kept is the largest difference of a first cube from the run's, HU.
func (t *testRetest) kept() float64 {
	most := 0.0
	for _, k := range t.chosen {
		if d := t.all[k].differ; d > sameHU {
			most = max(most, d)
		}
	}
	return most
}

// signed is a difference with its direction.
func signed(m Measure) string {
	direction := "higher"
	if m.Value < 0 {
		direction = "lower"
		m.Value = -m.Value
		m.Low.V, m.High.V = -m.High.V, -m.Low.V
	}
	return direction + " by " + m.words()
}

// movedBlock lists the patients who change risk group.
func (t *testRetest) movedBlock() report.Block {
	p := t.scores()
	moved := p.Moved(t.Cut)
	if len(moved) == 0 {
		return nil
	}
	list := report.Table{Caption: report.Text(fmt.Sprintf("Patients on different sides of the cut, %.6g.", t.Cut)),
		Columns: []report.Column{{Title: "Patient"}, {Title: "First scan", Number: true}, {Title: "Second scan", Number: true}, {Title: "Becomes"}}}
	for _, i := range moved {
		list.Rows = append(list.Rows, report.Row{Cells: report.Cells(t.patients[t.chosen[i]].id,
			fmt.Sprintf("%.4f", p.First[i]), fmt.Sprintf("%.4f", p.Second[i]), groupName(p.Second[i] > t.Cut)+" risk")})
	}
	return report.Folded{Title: fmt.Sprintf("Patients who change risk group (%d)", len(moved)), Blocks: []report.Block{list}}
}

func (t *testRetest) lines(measures []Measure) []string {
	icc, _ := measured(measures, ICCA1, groupScore)
	rc, _ := measured(measures, repeatability, groupScore)
	moved, _ := measured(measures, Moved, groupScore)
	return []string{fmt.Sprintf("test_retest: two scans of %s: ICC(A,1) %s, repeatability coefficient %s, %.0f change risk group",
		plural(len(t.chosen), "patient"), icc.words(), rc.words(), moved.Value)}
}
