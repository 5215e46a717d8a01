package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// result sets down what was found of readers and, where p is not nil, of changed contours.
func (t *interReader) result(f *readerFindings, p *perturbations) (*Result, error) {
	r := &Result{Exclusions: t.exclusions(), Section: report.Section{ID: "inter-reader", Title: "Several contours of the same scan"}}
	measures := f.measures
	if p != nil {
		measures = append(slices.Clip(measures), p.measures...)
		r.Exclusions = append(r.Exclusions, p.exclusions()...)
	}
	all, err := MeasuresTable(interReaderName, measures, t.Provenance)
	if err != nil {
		return nil, err
	}
	r.Tables = []Table{{interReaderName, all}}
	r.Section.Blocks = []report.Block{report.Text("The networks read a cube of fixed size around the centre of mass of the contour, that centre cut to a whole voxel, and nothing else of the contour: its shape reaches the score only by moving the centre. Contours whose centres fall into one voxel have the same score, however they differ.")}
	judged := t.scored
	if p != nil {
		judged = slices.Concat(judged, p.chosen)
	}
	if known := t.learnedFrom(judged); known != nil {
		r.Section.Blocks = append(r.Section.Blocks, known)
	}
	if len(t.scored) > 0 {
		if err := t.addReaders(r, f); err != nil {
			return nil, err
		}
	}
	if p != nil {
		if err := p.addTo(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (t *interReader) addReaders(r *Result, f *readerFindings) error {
	scores, err := t.scoresTable()
	if err != nil {
		return err
	}
	pairs, err := t.pairsTable()
	if err != nil {
		return err
	}
	r.Tables = append(r.Tables, Table{interReaderScores, scores}, Table{interReaderPairs, pairs})
	figures, err := f.figures()
	if err != nil {
		return err
	}
	r.Figures = append(r.Figures, figures...)
	first := f.groups[0]
	blocks := []report.Block{
		report.Subheading("Readers"),
		report.Text(fmt.Sprintf("%s of %s have contours of %s besides the reference, which is the contour that the run used; %d of them have all.",
			plural(len(t.scored), "patient"), t.where(), plural(len(t.readers), "reader"), len(f.groups[len(f.groups)-1].complete))),
	}
	if key := keyFigures(f.measures, first.name, meanSpearman, ICCA1, MovedShare); key != nil {
		blocks = append(blocks, key)
	}
	if uneven := t.unevenReaders(f); uneven != nil {
		blocks = append(blocks, uneven)
	}
	blocks = append(blocks, t.reading(f))
	for _, x := range figures {
		blocks = append(blocks, x.Block())
	}
	files := []string{"tables/" + interReaderName + ".arrow", "tables/" + interReaderName + ".parquet", "tables/" + interReaderScores + ".arrow", "tables/" + interReaderPairs + ".arrow"}
	table := measureTable(fmt.Sprintf("Agreement of %s, in the patients whom all of them drew, and of all pairs of contours.", first.name), "Contours", ofGroups(f.measures, first.name, groupContourPairs), t.Level, files...)
	table.Note = report.Text("n are patients. The standard deviation within patients and the repeatability coefficient are on the scale of the score.")
	blocks = append(blocks, table)
	if len(f.groups) > 1 {
		blocks = append(blocks, report.Folded{Title: "With the reference contour as one more", Blocks: []report.Block{
			measureTable("Agreement of all contours, the reference included.", "Contours", ofGroups(f.measures, f.groups[1].name), t.Level)}})
	}
	var pairGroups []string
	for _, p := range f.pairs {
		pairGroups = append(pairGroups, p.Group)
	}
	blocks = append(blocks, report.Folded{Title: fmt.Sprintf("Each pair of contours (%d)", len(f.pairs)), Blocks: []report.Block{
		measureTable("Agreement of each pair of contours.", "Contours", ofGroups(f.measures, pairGroups...), t.Level)}})
	r.Section.Blocks = append(r.Section.Blocks, blocks...)
	rank, _ := measured(f.measures, meanSpearman, first.name)
	icc, _ := measured(f.measures, ICCA1, first.name)
	who := strings.ReplaceAll(first.name, groupReaders, plural(len(t.readers), "reader"))
	moved, ok := measured(f.measures, Moved, first.name)
	if !ok {
		r.Lines = append(r.Lines, fmt.Sprintf("inter_reader: %s drew no patient in common, so that only pairs of contours are compared", who))
		return nil
	}
	r.Lines = append(r.Lines, fmt.Sprintf("inter_reader: %s in %s: mean Spearman %s, ICC(A,1) %s, %.0f of %d patients not in one risk group",
		who, plural(len(first.complete), "patient"), rank.words(), icc.words(), moved.Value, moved.N))
	return nil
}

// unevenReaders warns of readers who did not draw everybody.
func (t *interReader) unevenReaders(f *readerFindings) report.Block {
	any := 0 // patients with a contour by any reader, those lost since included
	for _, r := range t.all {
		if len(r.named) > 0 {
			any++
		}
	}
	everybody := true
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(t.drew)) {
		everybody = everybody && t.drew[name] == any
		counts = append(counts, fmt.Sprintf("%s %d", name, t.drew[name]))
	}
	if everybody {
		return nil
	}
	complete := len(f.groups[len(f.groups)-1].complete)
	body := []report.Paragraph{
		report.Text(fmt.Sprintf("Patients by reader, of %d with any: %s. Readers are matched by their exact names.", any, strings.Join(counts, ", "))),
		report.Text(fmt.Sprintf("The ICC and Fleiss' kappa need patients whom all readers drew: %d. Pairs stand on the patients whom both drew.", complete)),
	}
	if complete < fewestRepeats {
		body = append(body, report.Text("Too few for agreement over all readers: name those to compare in analysis.inter_reader.readers, or give one reader's contours one name where the folder was prepared."))
	}
	return report.Callout{Tone: report.Warning, Title: "Not every reader drew every patient", Body: body}
}

// reading says in words what the numbers allow.
func (t *interReader) reading(f *readerFindings) report.List {
	var list report.List
	say := func(format string, args ...any) { list = append(list, report.Text(fmt.Sprintf(format, args...))) }
	for _, g := range f.groups {
		icc, ok := measured(f.measures, ICCA1, g.name)
		if !ok {
			continue
		}
		rank, _ := measured(f.measures, meanSpearman, g.name)
		sd, _ := measured(f.measures, withinSD, g.name)
		text := fmt.Sprintf("Scores of %s: ICC(A,1) %s, Spearman %s on average over the pairs, standard deviation within a patient %s.", g.name, icc.words(), rank.words(), sd.words())
		if moved, ok := measured(f.measures, Moved, g.name); ok {
			text += fmt.Sprintf(" %.0f of %d patients are not in one risk group for all, at the cut %.6g.", moved.Value, moved.N, t.Cut)
		}
		say("%s", text)
	}
	same, _ := measured(f.measures, sameCubeShare, groupContourPairs)
	dice, _ := measured(f.measures, meanDice, groupContourPairs)
	far, _ := measured(f.measures, meanDistance, groupContourPairs)
	say("Two contours of a patient have a Dice coefficient of %s on average, their centres of mass lie %s mm apart, and in %.0f of 100 pairs the networks read the same cube.", dice.words(), far.words(), 100*same.Value)
	if d, ok := measured(f.measures, distanceSpearman, groupContourPairs); ok {
		text := fmt.Sprintf("The size of the score difference goes with the distance of the centres by Spearman %s", d.words())
		if overlap, ok := measured(f.measures, diceSpearman, groupContourPairs); ok {
			text += fmt.Sprintf(", and with Dice by %s", overlap.words())
		}
		say("%s.", text)
	}
	return list
}

func (f *readerFindings) figures() ([]Figure, error) {
	dice, far, differ, _ := columnsOf(f.apart)
	var out []Figure
	for _, x := range []struct {
		name, axis, caption, measure string
		of                           []float64
	}{
		{"inter-reader-dice", "Dice coefficient, mean over pairs of contours", "Score difference against the overlap of the contours: a dot is a patient, both axes are means over the pairs of the patient's contours.", diceSpearman, dice},
		{"inter-reader-distance", "Distance of the centres of mass (mm), mean over pairs", "Score difference against the distance of the centres of mass, which is all that the networks see of a contour.", distanceSpearman, far},
	} {
		plot := figure.AssociationPlot{X: x.axis, Y: "Score difference, mean size", Xs: x.of, Ys: differ}
		if m, ok := measured(f.measures, x.measure, groupContourPairs); ok {
			e := m.estimate()
			plot.Spearman = &e
		}
		svg, err := figure.Association(plot)
		if err != nil {
			return nil, err
		}
		out = append(out, Figure{Name: x.name, Caption: x.caption, SVG: svg})
	}
	return out, nil
}

// shownPatients is the most patients who are listed one by one.
const shownPatients = 12

// addTo sets down what changes of the contours did.
func (p *perturbations) addTo(r *Result) error {
	draws, err := p.table()
	if err != nil {
		return err
	}
	r.Tables = append(r.Tables, Table{perturbedTable, draws})
	drawn, err := p.figure()
	if err != nil {
		return err
	}
	blocks := []report.Block{
		report.Subheading("Changed contours"),
		report.Text(fmt.Sprintf("The reference contour of %s of %s was changed and scored again: moved as a whole in random directions, widened and narrowed by a distance in mm, and waved by a smooth random displacement of its surface that is smooth over about %g mm; %d draws of each random change. "+
			"It is the contour alone that changes here, not the image; where readers follow an edge that the image leaves in doubt, their contours differ more.",
			plural(len(p.chosen), "patient"), p.where(), p.set.Perturb.WaveMM, p.set.Perturb.Draws)),
	}
	if list := p.patientTable(); list != nil {
		blocks = append(blocks, *list)
	}
	if drawn != nil {
		r.Figures = append(r.Figures, *drawn)
		blocks = append(blocks, drawn.Block())
	}
	table := measureTable("What changes of the contour do to the score.", "Contour", p.named(), p.Level,
		"tables/"+interReaderName+".arrow", "tables/"+interReaderName+".parquet", "tables/"+perturbedTable+".arrow")
	table.Note = report.Text("n are patients of whose contour something was left in all draws. Differences are of the changed contour less the contour as drawn.")
	r.Section.Blocks = append(r.Section.Blocks, append(blocks, table)...)
	r.Lines = append(r.Lines, p.lines()...)
	return nil
}

// named are the measures with their groups in words.
func (p *perturbations) named() []Measure {
	words := map[string]string{groupDrawn: groupDrawn}
	for _, c := range p.changes {
		words[c.name()] = c.words()
	}
	out := slices.Clone(p.measures)
	for i := range out {
		out[i].Group = words[out[i].Group]
	}
	return out
}

// figure draws the score differences of all draws; nil where there is none.
func (p *perturbations) figure() (*Figure, error) {
	plot := figure.SpreadPlot{X: "Score of the changed contour less that of the contour as drawn", Line: figure.ForestLine{Name: "no difference"}}
	for i, c := range p.changes {
		g := figure.SpreadGroup{Name: c.words()}
		for _, k := range p.chosen {
			for _, r := range p.all[k].of(i) {
				if !math.IsNaN(r.score) {
					g.Values = append(g.Values, r.score-p.all[k].score)
				}
			}
		}
		if len(g.Values) > 0 {
			g.Name += fmt.Sprintf(" (%d)", len(g.Values))
			plot.Groups = append(plot.Groups, g)
		}
	}
	if len(plot.Groups) == 0 {
		return nil, nil
	}
	svg, err := figure.Spread(plot)
	if err != nil {
		return nil, err
	}
	return &Figure{Name: "inter-reader-perturbed", SVG: svg,
		Caption: fmt.Sprintf("Score differences by kind and level of the change, all draws of %s; in brackets the number of draws.", plural(len(p.chosen), "patient"))}, nil
}

// ranged is a patient's score, and the range over all changed contours with a score.
type ranged struct {
	score, low, high float64
	other, draws     int // draws on another side of the cut than the score, and all
}

func (p *perturbations) rangeOf(k int) ranged {
	one := p.all[k]
	r := ranged{score: one.score, low: one.score, high: one.score}
	for _, d := range one.draws {
		if math.IsNaN(d.score) {
			continue
		}
		r.low, r.high, r.draws = min(r.low, d.score), max(r.high, d.score), r.draws+1
		if (d.score > p.Cut) != (one.score > p.Cut) {
			r.other++
		}
	}
	return r
}

// patientTable lists few patients one by one.
func (p *perturbations) patientTable() *report.Table {
	if len(p.chosen) > shownPatients {
		return nil
	}
	t := report.Table{Caption: report.Text("The patients, and the range of their scores over all changed contours."),
		Columns: []report.Column{{Title: "Patient"}, {Title: "Score", Number: true}, {Title: "Percentile", Number: true}, {Title: "Lowest", Number: true}, {Title: "Highest", Number: true}, {Title: "Percentiles"}, {Title: "On the other side", Number: true}}}
	tune := p.tuneScores()
	rank := func(v float64) string {
		if len(tune) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", percentile(tune, v))
	}
	beyond := 0
	for _, k := range p.chosen {
		r := p.rangeOf(k)
		if len(tune) > 0 && (r.score > slices.Max(tune) || r.score < slices.Min(tune)) {
			beyond++
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(p.patients[k].id, fmt.Sprintf("%.4f", r.score), rank(r.score),
			fmt.Sprintf("%.4f", r.low), fmt.Sprintf("%.4f", r.high), rank(r.low)+" to "+rank(r.high), fmt.Sprintf("%d of %d", r.other, r.draws))})
	}
	note := fmt.Sprintf("Percentiles are among the %d scores of the run's tune role; the last column is the share of changed contours on another side of the cut, %.6g.", len(tune), p.Cut)
	if beyond > 0 {
		note += fmt.Sprintf(" %d of %d score beyond all of the tune role: such a scan may be unlike all that the networks were trained on, and then a score that does not move shows no more than that.", beyond, len(p.chosen))
	}
	t.Note = report.Text(note)
	return &t
}

// lines name the strongest change of each kind, and a single patient's range.
func (p *perturbations) lines() []string {
	var out []string
	if len(p.chosen) == 1 {
		r := p.rangeOf(p.chosen[0])
		line := fmt.Sprintf("inter_reader: patient %s scores %.4f, %.4f to %.4f over %d changed contours", p.patients[p.chosen[0]].id, r.score, r.low, r.high, r.draws)
		if rank, ok := measured(p.measures, tunePercentile, groupDrawn); ok {
			line += fmt.Sprintf("; percentile %.0f of the tune role's scores", rank.Value)
		}
		out = append(out, line)
	}
	for i, c := range p.changes {
		if i+1 < len(p.changes) && p.changes[i+1].kind == c.kind {
			continue
		}
		sd, ok := measured(p.measures, withinSD, c.name())
		if !ok {
			continue
		}
		other, _ := measured(p.measures, sideShare, c.name())
		out = append(out, fmt.Sprintf("inter_reader: contours %s (%s): SD within a patient %s, share on another side of the cut %s",
			c.words(), plural(sd.N, "patient"), sd.words(), other.words()))
	}
	return out
}
