package figure

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// ranked is a ranking of 900 genes and four sets in it: two at its ends, one in the middle
// with a long name, and one of a single gene.
func ranked() EnrichmentPlot {
	const n = 900
	p := EnrichmentPlot{ScoreName: "Spearman's correlation", FDRName: "Broad", High: "higher at high risk", Low: "lower at high risk"}
	for i := range n {
		u := 1 - 2*(float64(i)+0.5)/n
		p.Scores = append(p.Scores, 0.5*u*u*u+0.05*u)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for k, s := range []struct {
		name     string
		nes, fdr float64
		hits     []int
	}{
		{"REACTOME_CELL_CYCLE_MITOTIC", 2.61, 0.0001, nil},
		{"REACTOME_ACTIVATION_OF_ATR_IN_RESPONSE_TO_REPLICATION_STRESS", 0.91, math.NaN(), nil},
		{"SURFACTANT", -1.98, 0.0312, nil},
		{"ONE_GENE", 1.2, 0.44, []int{40}},
	} {
		for i := 0; k < 3 && i < 36; i++ {
			s.hits = append(s.hits, []int{i*2 + r.IntN(2) + i*i/8, 12 + 24*i + r.IntN(20), n - 1 - i*4 - r.IntN(3)}[k])
			slices.Sort(s.hits)
		}
		s.hits = slices.Compact(s.hits)
		p.Panels = append(p.Panels, EnrichmentPanel{Name: s.name, NES: s.nes, FDR: s.fdr, Hits: s.hits, Running: running(p.Scores, s.hits)})
	}
	return p
}

// running counts the sum gene by gene.
func running(scores []float64, hits []int) []float64 {
	total := 0.0
	for _, h := range hits {
		total += math.Abs(scores[h])
	}
	sum := 0.0
	out := make([]float64, len(scores))
	for i := range out {
		if slices.Contains(hits, i) {
			sum += math.Abs(scores[i]) / total
		} else {
			sum -= 1 / float64(len(scores)-len(hits))
		}
		out[i] = sum
	}
	return out
}

func someSets() SetsPlot {
	return SetsPlot{Limit: 0.05, High: "higher at high risk", Low: "lower at high risk", Gap: 4, GapText: "610 sets between", Rows: []SetRow{
		{"REACTOME_CELL_CYCLE_MITOTIC", 290, 2.61, 0.0001}, {"REACTOME_ACTIVATION_OF_ATR_IN_RESPONSE_TO_REPLICATION_STRESS", 35, 2.2, 0.012},
		{"GENERIC_TRANSCRIPTION_PATHWAY", 340, 1.71, 0.0499}, {"SMALL", 5, 1.4, 0.21},
		{"NO_RANDOM_SET_ON_ITS_SIDE", 12, -0.4, math.NaN()}, {"SURFACTANT_METABOLISM", 24, -1.98, 0.03}, {"IMMUNE_RESPONSE", 480, -2.75, 0},
	}}
}

func twoCohorts() ConcordancePlot {
	p := ConcordancePlot{FirstName: "phantom-genes", SecondName: "phantom-genes-surgery", Limit: 0.05, Spearman: &Estimate{0.41, 0.17, 0.6}, Overlap: "in both 10, by chance 1.3 (Fisher p < 0.001)"}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 60 {
		s := SharedSet{Name: "NULL_SET", First: r.NormFloat64(), Second: r.NormFloat64()}
		s.FoundFirst, s.FoundSecond = i%20 == 1, i%30 == 2
		if i < 10 {
			side := float64(1 - i%2*2)
			s = SharedSet{Name: "A_SET_FOUND_IN_BOTH_OF_THE_COHORTS_" + string(rune('A'+i)), First: side * (1.8 + r.Float64()), Second: side * (1.8 + r.Float64()), FoundFirst: true, FoundSecond: true}
		}
		p.Sets = append(p.Sets, s)
	}
	return p
}

func TestEnrichmentRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*EnrichmentPlot)
		field  string
		part   string
	}{
		"no set":          {func(p *EnrichmentPlot) { p.Panels = nil }, "Panels", "at least one set"},
		"no gene":         {func(p *EnrichmentPlot) { p.Scores = nil }, "Scores", "two ranked genes"},
		"rising":          {func(p *EnrichmentPlot) { slices.Reverse(p.Scores) }, "Scores", "falling score"},
		"NaN":             {func(p *EnrichmentPlot) { p.Scores[3] = math.NaN() }, "Scores", "Scores[3] is NaN"},
		"another ranking": {func(p *EnrichmentPlot) { p.Panels[0].Running = p.Panels[0].Running[1:] }, "Running", "has 899 entries where Scores has 900"},
		"above one":       {func(p *EnrichmentPlot) { p.Panels[0].Running[2] = 1.5 }, "Running", "outside"},
		"NaN NES":         {func(p *EnrichmentPlot) { p.Panels[1].NES = math.NaN() }, "NES", "cannot be drawn"},
		"no hit":          {func(p *EnrichmentPlot) { p.Panels[1].Hits = nil }, "Hits", "without a ranked gene"},
		"hit beyond":      {func(p *EnrichmentPlot) { p.Panels[3].Hits = []int{900} }, "Hits", "from 0 to 899"},
		"hit twice":       {func(p *EnrichmentPlot) { p.Panels[3].Hits = []int{7, 7} }, "Hits", "rising places"},
	} {
		p := ranked()
		row.change(&p)
		_, err := Enrichment(p)
		wantInputError(t, name, err, row.field, row.part)
	}
	for name, row := range map[string]struct {
		change func(*SetsPlot)
		field  string
		part   string
	}{
		"no set":   {func(p *SetsPlot) { p.Rows = nil }, "Rows", "at least one set"},
		"NaN NES":  {func(p *SetsPlot) { p.Rows[0].NES = math.NaN() }, "NES", "cannot be drawn"},
		"no gene":  {func(p *SetsPlot) { p.Rows[0].Size = 0 }, "Size", "without a ranked gene"},
		"no limit": {func(p *SetsPlot) { p.Limit = 0 }, "Limit", "between 0 and 1"},
		"bad gap":  {func(p *SetsPlot) { p.Gap = 7 }, "Gap", "from 1 to 6"},
	} {
		p := someSets()
		row.change(&p)
		_, err := SetOverview(p)
		wantInputError(t, name, err, row.field, row.part)
	}
	for name, row := range map[string]struct {
		change func(*ConcordancePlot)
		field  string
		part   string
	}{
		"no set":      {func(p *ConcordancePlot) { p.Sets = nil }, "Sets", "at least one set"},
		"infinite":    {func(p *ConcordancePlot) { p.Sets[2].Second = math.Inf(-1) }, "First, Second", "cannot be drawn"},
		"no name":     {func(p *ConcordancePlot) { p.SecondName = "" }, "SecondName", "which cohort"},
		"no limit":    {func(p *ConcordancePlot) { p.Limit = 1 }, "Limit", "between 0 and 1"},
		"correlation": {func(p *ConcordancePlot) { p.Spearman = &Estimate{0.5, 0.6, 0.7} }, "Spearman", "outside its interval"},
	} {
		p := twoCohorts()
		row.change(&p)
		_, err := Concordance(p)
		wantInputError(t, name, err, row.field, row.part)
	}
}

// What the figures say in words is what they were given.
func TestEnrichmentTexts(t *testing.T) {
	svg, err := Enrichment(ranked())
	all := texts(mustDraw(t, svg, err))
	for _, want := range []string{"NES 2.61, FDR < 0.001, 36 genes", "NES 0.91, FDR –, 36 genes", "NES −1.98, FDR 0.031, 36 genes", "NES 1.20, FDR 0.440, 1 gene"} {
		if !slices.Contains(all, want) {
			t.Errorf("no %q among %q", want, all)
		}
	}
	svg, err = SetOverview(someSets())
	if all = texts(mustDraw(t, svg, err)); !slices.Contains(all, "610 sets between") || !slices.Contains(all, "0.0499") || !slices.Contains(all, "–") {
		t.Errorf("texts %q", all)
	}
	svg, err = Concordance(twoCohorts())
	if all = texts(mustDraw(t, svg, err)); !slices.Contains(all, "and 2 more") || !slices.Contains(all, "8") || slices.Contains(all, "9") {
		t.Errorf("texts %q", all)
	}
	if !strings.Contains(string(svg), "Found in both: 10; only in phantom-genes: 2; only in phantom-genes-surgery: 1.") {
		t.Error("the description does not count")
	}
}

// One set, one gene, scores that are all the same, sets all at one place.
func TestEnrichmentDegenerate(t *testing.T) {
	for _, scores := range [][]float64{{0, 0}, {1, 1, 1}, {-1, -2}} {
		svg, err := Enrichment(EnrichmentPlot{Scores: scores, Panels: []EnrichmentPanel{{Name: "A", NES: 1, FDR: 1, Hits: []int{0}, Running: make([]float64, len(scores))}}})
		mustDraw(t, svg, err)
	}
	svg, err := SetOverview(SetsPlot{Limit: 0.05, Rows: []SetRow{{"A", 1, 0, 1}}})
	mustDraw(t, svg, err)
	svg, err = Concordance(ConcordancePlot{FirstName: "a", SecondName: "b", Limit: 0.05, Sets: []SharedSet{{Name: "A"}}})
	mustDraw(t, svg, err)
}
