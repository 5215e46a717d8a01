package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
	"hounsfield/stats/enrichment"
)

// How much of a long list of sets figures and the report's table show, at each end.
const (
	setsInOverview = 12
	setsInTable    = 10
	setsAsCurves   = 3 // more where more were found and are few
)

const (
	higherAtRisk = "higher at high risk"
	lowerAtRisk  = "lower at high risk"
)

func (f *geneFindings) finish() (*Result, error) {
	tables, err := f.tables()
	if err != nil {
		return nil, err
	}
	measures, err := MeasuresTable(geneSetsName, f.measures(), f.in.Provenance)
	if err != nil {
		return nil, err
	}
	figures, err := f.figures()
	if err != nil {
		return nil, err
	}
	return &Result{Tables: append([]Table{{geneSetsName, measures}}, tables...), Figures: figures, Section: f.section(figures),
		Exclusions: f.joined.exclusions, Lines: f.lines()}, nil
}

// byNES are the tested sets with a NES, the highest first.
func (f *geneFindings) byNES() []enrichment.SetResult {
	out := slices.DeleteFunc(slices.Clone(f.result.Sets), func(s enrichment.SetResult) bool { return math.IsNaN(s.NES) })
	slices.SortStableFunc(out, func(a, b enrichment.SetResult) int {
		return cmp.Or(cmp.Compare(b.NES, a.NES), strings.Compare(a.Name, b.Name))
	})
	return out
}

// bothEnds keeps the first and the last of a list, and says after how many there is a gap.
func bothEnds(all []enrichment.SetResult, most int) (kept []enrichment.SetResult, gap int) {
	if len(all) <= 2*most {
		return all, 0
	}
	return slices.Concat(all[:most], all[len(all)-most:]), most
}

// curves picks the sets whose running sums are drawn: those found that are furthest from 0,
// on each side, or the furthest ones where none was found.
func (f *geneFindings) curves() []enrichment.SetResult {
	all := f.byNES()
	var up, down []enrichment.SetResult
	for _, s := range all {
		if s.NES > 0 {
			up = append(up, s)
		} else {
			down = append(down, s)
		}
	}
	slices.Reverse(down)
	pick := func(side []enrichment.SetResult) []enrichment.SetResult {
		n := 0
		for n < len(side) && n < setsAsCurves && f.settings.found(side[n]) {
			n++
		}
		return side[:n]
	}
	out := slices.Concat(pick(up), pick(down))
	if len(out) > 0 {
		return out
	}
	return slices.Concat(up[:min(1, len(up))], down[:min(1, len(down))])
}

func (f *geneFindings) figures() ([]Figure, error) {
	var out []Figure
	all := f.byNES()
	if len(all) == 0 {
		return nil, nil
	}
	shown, gap := bothEnds(all, setsInOverview)
	plot := figure.SetsPlot{Limit: fdrLimit, High: higherAtRisk, Low: lowerAtRisk, Gap: gap}
	if gap > 0 {
		plot.GapText = fmt.Sprintf("%d sets between", len(all)-len(shown))
	}
	for _, s := range shown {
		plot.Rows = append(plot.Rows, figure.SetRow{Name: s.Name, Size: s.Size, NES: s.NES, FDR: f.settings.fdr(s)})
	}
	svg, err := figure.SetOverview(plot)
	if err != nil {
		return nil, err
	}
	out = append(out, Figure{"gene-sets", fmt.Sprintf("Normalised enrichment score (NES) of the sets, with the false discovery rate of %s and the number of ranked genes. Right of 0: expression is higher in patients at higher risk of death.", f.settings.fdrWords()), svg})

	curves := figure.EnrichmentPlot{Scores: f.ranking.Scores, ScoreName: f.settings.metric().words, FDRName: f.settings.fdrWords(), High: higherAtRisk, Low: lowerAtRisk}
	place := map[string]int{}
	for i, g := range f.ranking.Genes {
		place[g] = i
	}
	genes := map[string][]string{}
	for _, s := range f.joined.sets {
		genes[s.Name] = s.Genes
	}
	for _, s := range f.curves() {
		panel := figure.EnrichmentPanel{Name: s.Name, NES: s.NES, FDR: f.settings.fdr(s)}
		if panel.Running, err = enrichment.RunningSum(f.ranking, enrichment.Set{Name: s.Name, Genes: genes[s.Name]}, f.result.Settings.Weight); err != nil {
			return nil, err
		}
		for _, g := range genes[s.Name] {
			if at, ok := place[g]; ok {
				panel.Hits = append(panel.Hits, at)
			}
		}
		slices.Sort(panel.Hits)
		curves.Panels = append(curves.Panels, panel)
	}
	if svg, err = figure.Enrichment(curves); err != nil {
		return nil, err
	}
	what := "the sets found that are furthest from 0"
	if !slices.ContainsFunc(f.result.Sets, f.settings.found) {
		what = "the sets furthest from 0, of which none was found"
	}
	out = append(out, Figure{"gene-sets-running-sums", fmt.Sprintf("Enrichment of %s. From the top of each panel: running sum, with the enrichment score at the dashed line; the set's genes as strokes; the score of every gene (%s).", what, f.settings.metric().words), svg})
	if f.beside == nil {
		return out, nil
	}
	svg, err = f.concordanceFigure()
	return append(out, Figure{"gene-sets-concordance", fmt.Sprintf("NES of the sets tested in both cohorts. Numbered: sets found in both, by the false discovery rate of %s.", f.settings.fdrWords()), svg}), err
}

func (f *geneFindings) concordanceFigure() ([]byte, error) {
	c := f.beside
	plot := figure.ConcordancePlot{FirstName: c.beside.name, SecondName: f.hereName(), Limit: fdrLimit,
		Spearman: c.estimate(),
		Overlap:  fmt.Sprintf("in both %d, by chance %.2g (Fisher %s)", c.both, c.expected, figure.PValue(c.p))}
	for _, s := range c.byDistance() {
		plot.Sets = append(plot.Sets, figure.SharedSet{Name: s.name, First: s.there.nes, Second: s.here.nes, FoundFirst: s.foundThere, FoundSecond: s.foundHere})
	}
	return figure.Concordance(plot)
}

// hereName is the name of this run's experiment.
func (f *geneFindings) hereName() string { return cmp.Or(f.in.Provenance["experiment"], "this run") }

// estimate is the correlation of NES, without an interval for fewer than four sets.
func (c *geneConcordance) estimate() *figure.Estimate {
	e := figure.Estimate{Value: c.spearman.R}
	if !math.IsNaN(c.spearman.Low) {
		e.Low, e.High = c.spearman.Low, c.spearman.High
	}
	return &e
}

// byDistance are the shared sets, those furthest from 0 in both cohorts first.
func (c *geneConcordance) byDistance() []sharedSet {
	out := slices.Clone(c.rows)
	slices.SortStableFunc(out, func(a, b sharedSet) int {
		return cmp.Or(cmp.Compare(math.Abs(b.here.nes+b.there.nes), math.Abs(a.here.nes+a.there.nes)), strings.Compare(a.name, b.name))
	})
	return out
}

func (f *geneFindings) counts() (found, up int) {
	for _, s := range f.result.Sets {
		if f.settings.found(s) {
			found++
			if s.NES > 0 {
				up++
			}
		}
	}
	return found, up
}

// lines are the main findings for the terminal.
func (f *geneFindings) lines() []string {
	found, up := f.counts()
	line := fmt.Sprintf("gene sets: %d of %d at FDR < %.2f (%s; %d higher, %d lower at high risk), %d genes ranked by %s in %d patients",
		found, len(f.result.Sets), fdrLimit, f.settings.fdrWords(), up, found-up, len(f.ranking.Genes), f.settings.Metric, len(f.joined.patients))
	out := []string{line}
	if lost := f.lostWords(); lost != "" {
		out = append(out, "gene sets: "+lost)
	}
	if known := planted(f.in); known != nil {
		t := f.settings.judgeTruth(f.result, known)
		line := fmt.Sprintf("gene sets against the truth: %d of %d planted sets found with the right sign, %d of %d others", t.right, t.planted, t.others, t.null)
		if f.truth != nil {
			u := f.settings.judgeTruth(f.truth, known)
			line += fmt.Sprintf("; by the true hazard %d of %d and %d", u.right, u.planted, u.others)
		}
		out = append(out, line)
	}
	if c := f.beside; c != nil {
		out = append(out, fmt.Sprintf("gene sets beside %s: Spearman of NES %s (%d sets), %d found in both (%d with the same sign; %.2g by chance, %s)",
			c.beside.name, c.estimate().Text(2), len(c.rows), c.both, c.bothSign, c.expected, figure.PValue(c.p)))
	}
	return out
}

// lostWords count who and what did not join; "" where nothing was lost.
func (f *geneFindings) lostWords() string {
	j := f.joined
	var parts []string
	add := func(n int, words string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, words))
		}
	}
	add(j.without, "patients without expression")
	add(j.unusable, "patients with expression and without a score or follow-up")
	add(j.strangers, "samples of nobody in the cohort")
	if n := len(f.rows) - len(f.ranking.Genes); n > 0 {
		var names []string
		for _, r := range f.rows[len(f.ranking.Genes):] {
			names = append(names, r.source)
		}
		add(n, fmt.Sprintf("genes left out (%s)", few(names)))
	}
	add(len(f.result.Unranked), fmt.Sprintf("genes of the sets not ranked (%s)", few(f.result.Unranked)))
	if parts == nil {
		return ""
	}
	return "not joined: " + strings.Join(parts, ", ")
}

func (f *geneFindings) section(figures []Figure) report.Section {
	found, up := f.counts()
	say := func(format string, args ...any) report.Paragraph { return report.Text(fmt.Sprintf(format, args...)) }
	metric := f.settings.metric()
	lead := say("Which genes go with the predicted risk of death, and do sets of genes gather at one end of that ranking? Scores are risks: a positive NES means that the set is expressed more in patients at higher risk. " +
		"The study ranked its genes against the network's probability of being ALIVE at two years: its NES stand for ours with the sign reversed.")
	if metric.survival {
		lead = say("Which genes go with survival itself, and do sets of genes gather at one end of that ranking? The network's score has no part in it. A positive NES means that the set is expressed more in patients who die earlier.")
	}
	blocks := []report.Block{
		lead,
		report.KeyFigures{
			{Label: "Patients with expression and " + metric.asks(), Value: fmt.Sprint(len(f.joined.patients)), Note: f.settings.Role + " role"},
			{Label: "Genes ranked", Value: fmt.Sprint(len(f.ranking.Genes)), N: len(f.joined.patients), Note: f.settings.Metric},
			{Label: fmt.Sprintf("Sets at FDR < %.2f", fdrLimit), Value: fmt.Sprintf("%d of %d", found, len(f.result.Sets)), N: len(f.joined.patients), Note: fmt.Sprintf("%d higher, %d lower at high risk", up, found-up)},
		},
	}
	if f.settings.hasRole("train") && !metric.survival {
		blocks = append(blocks, report.Callout{Tone: report.Warning, Title: "The train role is in it", Body: []report.Paragraph{
			say("The networks learned from these patients' outcomes, so that their scores say more of them than of new patients.")}})
	}
	if known := planted(f.in); known != nil {
		blocks = append(blocks, f.truthTable(known))
	}
	for _, fig := range figures[:min(2, len(figures))] {
		blocks = append(blocks, fig.Block())
	}
	blocks = append(blocks, f.setsTable())
	if f.beside != nil {
		blocks = append(blocks, f.concordanceBlocks(figures)...)
	}
	if edges := f.leadingEdges(); edges != nil {
		blocks = append(blocks, report.Folded{Title: "Leading edges of the sets found", Blocks: []report.Block{edges}})
	}
	return report.Section{ID: "gene-sets", Title: "Gene sets", Blocks: append(blocks, report.Folded{Title: "How the sets were tested", Blocks: []report.Block{f.method()}})}
}

// truthTable holds what was found against what was planted.
func (f *geneFindings) truthTable(known map[string]float64) report.Table {
	t := report.Table{Caption: report.Text("What was found against what was planted: the mean true correlation of a set's genes with the hazard, and what ranking by the network's score, and by the true hazard itself, makes of it."),
		Columns: []report.Column{{Title: "Set"}, {Title: "Planted", Number: true}, {Title: "NES", Number: true}, {Title: "FDR", Number: true}, {Title: "NES, true hazard", Number: true}, {Title: "FDR, true hazard", Number: true}}}
	cells := func(r *enrichment.Result, name string) (nes, fdr string) {
		if r == nil {
			return "", ""
		}
		i := slices.IndexFunc(r.Sets, func(s enrichment.SetResult) bool { return s.Name == name })
		if i < 0 {
			return "not tested", ""
		}
		return fmt.Sprintf("%.2f", r.Sets[i].NES), rateText(f.settings.fdr(r.Sets[i]))
	}
	for _, set := range f.joined.sets {
		if known[set.Name] == 0 {
			continue
		}
		nes, fdr := cells(f.result, set.Name)
		trueNES, trueFDR := cells(f.truth, set.Name)
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(set.Name, fmt.Sprintf("%+.2f", known[set.Name]), nes, fdr, trueNES, trueFDR)})
	}
	judged := f.settings.judgeTruth(f.result, known)
	others := fmt.Sprint(judged.others)
	trueOthers := ""
	if f.truth != nil {
		trueOthers = fmt.Sprint(f.settings.judgeTruth(f.truth, known).others)
	}
	t.Rows = append(t.Rows, report.Row{Cells: report.Cells(fmt.Sprintf("others found, of %d", judged.null), "0", others, "", trueOthers, ""), Strong: true})
	return t
}

func rateText(v float64) string {
	switch {
	case math.IsNaN(v):
		return "not defined"
	case v < 0.001:
		return "<0.001"
	}
	return fmt.Sprintf("%.3f", v)
}

func (f *geneFindings) setsTable() report.Table {
	all := f.byNES()
	shown, gap := bothEnds(all, setsInTable)
	t := report.Table{
		Caption: report.Text(fmt.Sprintf("Sets by NES, %d of %d tested. Both definitions of the false discovery rate; the one of %s decides here. Edge: genes in the leading edge, those that make the enrichment score.", len(shown), len(f.result.Sets), f.settings.fdrWords())),
		Columns: []report.Column{{Title: "Set"}, {Title: "Genes", Number: true}, {Title: "ES", Number: true}, {Title: "NES", Number: true}, {Title: "p", Number: true}, {Title: "FDR, Broad", Number: true}, {Title: "FDR, BH", Number: true}, {Title: "Edge", Number: true}},
		Files:   []string{"tables/" + enrichmentTable + ".arrow", "tables/" + enrichmentTable + ".parquet", "tables/" + leadingEdgeTable + ".arrow", "tables/" + geneRanksTable + ".arrow"},
	}
	for i, s := range shown {
		if gap > 0 && i == gap {
			t.Rows = append(t.Rows, report.Row{Cells: report.Cells(fmt.Sprintf("%d sets between", len(all)-len(shown)), "", "", "", "", "", "", "")})
		}
		t.Rows = append(t.Rows, report.Row{Strong: f.settings.found(s), Cells: report.Cells(s.Name, fmt.Sprint(s.Size), fmt.Sprintf("%.2f", s.ES), fmt.Sprintf("%.2f", s.NES),
			fmt.Sprintf("%.2g", s.P), rateText(s.Q), rateText(s.BH), fmt.Sprint(len(s.LeadingEdge)))})
	}
	return t
}

// leadingEdges name the first genes of the sets found, the end of the ranking first.
func (f *geneFindings) leadingEdges() report.List {
	const genes = 12
	var list report.List
	found := slices.DeleteFunc(f.byNES(), func(s enrichment.SetResult) bool { return !f.settings.found(s) })
	shown, _ := bothEnds(found, setsInTable)
	for _, s := range shown {
		names, rest := s.LeadingEdge, ""
		if len(names) > genes {
			names, rest = names[:genes], fmt.Sprintf(" and %d more", len(names)-genes)
		}
		list = append(list, report.Paragraph{{Text: s.Name + ": ", Strong: true}, {Text: strings.Join(names, ", ") + rest}})
	}
	return list
}

func (f *geneFindings) concordanceBlocks(figures []Figure) []report.Block {
	c := f.beside
	t := report.Table{Caption: report.Text(fmt.Sprintf("This run beside %s (%s).", c.beside.name, c.beside.settings)),
		Columns: []report.Column{{Title: "Figure"}, {Title: "n", Number: true}, {Title: "Value", Number: true}, {Title: "95% CI", Number: true}, {Title: "p", Number: true}, {Title: "How"}},
		Note:    report.Text("Where most sets say nothing in either cohort, the correlation over all of them is low, however well those agree that say something."),
		Files:   []string{"tables/" + concordanceTable + ".arrow", "tables/" + geneSetsName + ".arrow"}}
	for _, m := range c.measures() {
		ci, p := "", ""
		if m.Low.Valid && m.High.Valid {
			ci = fmt.Sprintf("%.2f to %.2f", m.Low.V, m.High.V)
		}
		if m.P.Valid {
			p = rateText(m.P.V)
		}
		value := fmt.Sprintf("%.2f", m.Value)
		if m.Value == math.Trunc(m.Value) && math.Abs(m.Value) > 1 || strings.HasPrefix(m.Name, "sets ") {
			value = fmt.Sprintf("%.0f", m.Value)
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(m.Name, fmt.Sprint(m.N), value, ci, p, m.Method)})
	}
	out := []report.Block{report.Subheading("Beside another cohort")}
	if len(figures) > 2 {
		out = append(out, figures[2].Block())
	}
	return append(out, t)
}

// lonely is the least false discovery rate, by Benjamini and Hochberg, that a set could have
// if no other came near it.
func (f *geneFindings) lonely() float64 {
	least := math.Inf(1)
	for _, s := range f.result.Sets {
		least = min(least, float64(len(f.result.Sets))/float64(s.SameSide+1))
	}
	return least
}

func (f *geneFindings) method() report.List {
	var list report.List
	say := func(format string, args ...any) { list = append(list, report.Text(fmt.Sprintf(format, args...))) }
	j := f.joined
	say("Genes are ranked by %s, in the %d patients of the role %s who have both expression and what that asks for; %d patients of other roles have expression too.", f.settings.metric().words, len(j.patients), f.settings.Role, j.other)
	if lost := f.lostWords(); lost != "" {
		say("Nothing is dropped silently: %s. Patients and samples stand in tables/exclusions.arrow, genes in tables/%s.arrow with the reason.", lost, geneRanksTable)
	}
	if j.mapped != "" {
		say("Identifiers of genes: %s.", j.mapped)
	}
	if j.cleaned > 0 {
		say("%d identifiers were read without control characters and blanks around them.", j.cleaned)
	}
	if j.dates > 0 {
		say("%d genes have names that look like dates, the trace of a spreadsheet; they stay as they are and match no set.", j.dates)
	}
	for _, r := range f.result.Rules {
		say("%s: %s.", strings.ToUpper(r.Item[:1])+r.Item[1:], r.Text)
	}
	if most := f.lonely(); most >= fdrLimit && f.settings.FDR == fdrBH {
		say("With %d permutations no p is small enough for a set that stood alone among %d: its false discovery rate would be %.2g at least. More permutations reach further.", f.settings.Permutations, len(f.result.Sets), most)
	}
	say("A set is found where the false discovery rate of %s is below %.2f.", f.settings.fdrWords(), fdrLimit)
	say("Random genes are independent, genes of a set are not: p and FDR rank the sets and say little about new patients. A second cohort does.")
	return list
}
