package geneset_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/geneset"
	"hounsfield/stats/enrichment"
)

func mirror(t *testing.T, elements ...string) string {
	t.Helper()
	root := os.Getenv("HOUNSFIELD_MIRROR")
	if root == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no public expression data or gene sets")
	}
	return filepath.Join(append([]string{root}, elements...)...)
}

func michigan(t *testing.T) (*geneset.Matrix, []bool) {
	t.Helper()
	m, err := geneset.ReadGCT(mirror(t, "expression", "Lung_Michigan.gct.gz"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := geneset.ReadCLS(mirror(t, "expression", "Lung_Michigan.cls"))
	if err != nil {
		t.Fatal(err)
	}
	dead, err := c.Is("DEAD")
	if err != nil {
		t.Fatal(err)
	}
	if c.Rule != geneset.ByAppearance || len(dead) != len(m.Samples) {
		t.Fatalf("classes by %q, %d of them for %d samples", c.Rule, len(dead), len(m.Samples))
	}
	return m, dead
}

func TestLungMichigan(t *testing.T) {
	m, dead := michigan(t)
	if len(m.Genes) != 5217 || len(m.Samples) != 86 || m.Missing != 0 {
		t.Errorf("%d genes, %d samples, %d missing", len(m.Genes), len(m.Samples), m.Missing)
	}
	if want := []geneset.Cleaning{{Line: 4318, Column: 1, From: "MLH1\x1c", To: "MLH1"}}; !slices.Equal(m.Cleaned, want) {
		t.Errorf("cleaned %+v, want %+v", m.Cleaned, want)
	}
	if want := []string{"6-Sep", "8-Sep"}; !slices.Equal(m.Dates, want) {
		t.Errorf("dates %v, want %v", m.Dates, want)
	}
	for i, d := range dead {
		if strings.HasPrefix(m.Samples[i], "dead_") != d {
			t.Fatalf("sample %s: dead %v", m.Samples[i], d)
		}
	}
}

// Set LUNGB (genes of poor outcome in the Boston cohort) in the Michigan cohort, from the
// results the Broad Institute released with Subramanian et al., PNAS 2005 (GSEA-P-R,
// Lung_Michigan_Boston_poor_outcome.SUMMARY.RESULTS.REPORT.D.txt): size 70, ES 0.62289,
// Tag 0.529 (share of the set in the leading edge), Gene 0.179 (share of the ranking up to
// the peak). Its NES and p permute patients, not genes. testdata/lungb.gmt is the released
// set, Lung_Boston_poor_outcome.gmt.
func TestLungBOfPNAS2005(t *testing.T) {
	m, dead := michigan(t)
	scores, err := enrichment.SignalToNoise(m.Genes, m.Values, dead)
	if err != nil {
		t.Fatal(err)
	}
	ranking, err := enrichment.Rank(m.Genes, scores, enrichment.ByGene)
	if err != nil {
		t.Fatal(err)
	}
	c, err := geneset.ReadGMT(filepath.Join("testdata", "lungb.gmt"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := enrichment.Preranked(ranking, []enrichment.Set{enrichment.Set(c.Sets[0])}, enrichment.Default())
	if err != nil {
		t.Fatal(err)
	}
	s := result.Sets[0]
	if s.Size != 70 || fmt.Sprintf("%.5f", s.ES) != "0.62289" {
		t.Errorf("size %d, ES %.7f; want 70, 0.62289", s.Size, s.ES)
	}
	tag, gene := float64(len(s.LeadingEdge))/float64(s.Size), float64(s.Peak+1)/float64(result.Genes)
	if fmt.Sprintf("%.3f %.3f", tag, gene) != "0.529 0.179" {
		t.Errorf("tag %.4f, gene %.4f; want 0.529, 0.179", tag, gene)
	}
	// None of 1,000 random sets reaches it.
	if s.PStrict != 0 || s.Beyond != 0 || s.P != 1/float64(s.SameSide+1) {
		t.Errorf("%+v", s)
	}
}

// Ranks against a yes-or-no outcome tie many genes; that the ties are seen needs exact
// sums. scipy 1.10.1 (Python 3.11), len(set(scipy.stats.spearmanr(row, dead)[0] for row in
// matrix)), counts 3788 as well, and the same number after rounding to 9 digits.
func TestTiesOfSpearmanAgainstClasses(t *testing.T) {
	m, dead := michigan(t)
	outcome := make([]float64, len(dead))
	for i, d := range dead {
		if d {
			outcome[i] = 1
		}
	}
	scores, err := enrichment.Spearman(m.Genes, m.Values, outcome)
	if err != nil {
		t.Fatal(err)
	}
	rounded := map[float64]bool{}
	for _, s := range scores {
		rounded[math.Round(s*1e9)] = true
	}
	ranking, err := enrichment.Rank(m.Genes, scores, enrichment.ByGene)
	if err != nil {
		t.Fatal(err)
	}
	if ranking.Distinct != 3788 || len(rounded) != 3788 {
		t.Errorf("%d distinct scores, %d after rounding; want 3788", ranking.Distinct, len(rounded))
	}
}

// The same 674 sets were released by number and by symbol, and a table made from both.
func TestReactomeBothWays(t *testing.T) {
	entrez, err := geneset.ReadGMT(mirror(t, "genesets", "c2.cp.reactome.v6.0.entrez.gmt"))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := geneset.ReadGMT(mirror(t, "genesets", "c2.cp.reactome.v6.0.symbols.gmt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entrez.Sets) != 674 || len(symbols.Sets) != 674 || entrez.Cleaned != nil {
		t.Fatalf("%d and %d sets, cleaned %v", len(entrez.Sets), len(symbols.Sets), entrez.Cleaned)
	}
	table, err := geneset.ReadMapping(mirror(t, "genesets", "reactome_v6.0_entrez_symbol.csv"), "entrez", "symbol")
	if err != nil {
		t.Fatal(err)
	}
	mapped, report := table.Sets(entrez.Sets)
	if report.Given != 6025 || report.Mapped != 6025 || report.Lost != nil || report.Ambiguous != nil || report.Merged != nil {
		t.Errorf("%v", report)
	}
	for i, s := range mapped {
		want := slices.Sorted(slices.Values(symbols.Sets[i].Genes))
		if got := slices.Sorted(slices.Values(s.Genes)); s.Name != symbols.Sets[i].Name || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %s %v", s.Name, got, symbols.Sets[i].Name, want)
		}
	}
}

// Symbols of 2002 against those of 2017: what is lost is named.
func TestOldSymbolsAreCounted(t *testing.T) {
	m, _ := michigan(t)
	table, err := geneset.ReadMapping(mirror(t, "genesets", "reactome_v6.0_entrez_symbol.csv"), "symbol", "entrez")
	if err != nil {
		t.Fatal(err)
	}
	ids, report := table.IDs(m.Genes)
	// 2462 were counted in the two files by a few lines of Python.
	if report.Given != 5217 || report.Mapped != 2462 || len(report.Lost) != 2755 || report.Merged != nil {
		t.Errorf("%v", report)
	}
	for _, old := range []string{"GAPD", "VEGF"} {
		if !slices.Contains(report.Lost, old) || ids[slices.Index(m.Genes, old)] != "" {
			t.Errorf("%s is not among the lost", old)
		}
	}
	// The gene whose identifier was cleaned is found.
	if got := ids[slices.Index(m.Genes, "MLH1")]; got != "4292" {
		t.Errorf("MLH1 is %q, want 4292", got)
	}
}
