package analysis

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The phantom's expression as GEO would give it away: a series matrix of probes and GSM
// numbers whose titles are the patients, and a platform table. Of a gene's two probes that of
// the higher mean counts, a probe of two genes counts for none; then all that is found is what
// is found in the plain table.
func TestGeneSetsOfSeriesMatrix(t *testing.T) {
	in := geneInput(t, nil)
	s := &in.Settings.GeneSets
	s.Expression, s.Sets = writeExpression(t, in, same, same, sameValue), writeGMT(t, in)
	want := geneTable(t, geneRun(t, in), enrichmentTable)

	e := in.Phantom.Expression()
	var gsm, matrix, platform strings.Builder
	for i := range e.Patients {
		fmt.Fprintf(&gsm, "\t\"GSM%d\"", 1416528+i)
	}
	fmt.Fprintf(&matrix, "!Series_title\t\"made\"\n!Sample_title\t\"%s\"\n!Sample_geo_accession%s\n!series_matrix_table_begin\n\"ID_REF\"%s\n",
		strings.Join(e.Patients, "\"\t\""), gsm.String(), gsm.String())
	platform.WriteString("^PLATFORM = GPL1\n#ID = \n#EntrezGeneID = \n!platform_table_begin\nID\tSPOT\tEntrezGeneID\n")
	row := func(probe string, genes string, value func(i int) float64) {
		fmt.Fprintf(&matrix, "\"%s\"", probe)
		for i := range e.Patients {
			fmt.Fprintf(&matrix, "\t%.6f", value(i))
		}
		matrix.WriteString("\n")
		fmt.Fprintf(&platform, "%s\ta \"spot\"\t%s\n", probe, genes)
	}
	for g, gene := range e.Genes {
		of := func(i int) float64 { return e.Values[g*len(e.Patients)+i] }
		if g%3 == 0 { // a worse probe, before the other or after it
			row("weak-"+gene, gene, func(i int) float64 { return -50 - float64(i%7) })
		}
		row("probe-"+gene, gene, of)
		if g%5 == 0 {
			row("late-"+gene, gene, func(i int) float64 { return -60 + float64(i%5) })
		}
	}
	row("mixed", e.Genes[0]+" /// "+e.Genes[1], func(i int) float64 { return 99 + float64(i) })
	row("control", "---", func(i int) float64 { return float64(i) })
	matrix.WriteString("!series_matrix_table_end\n")
	platform.WriteString("!platform_table_end\n")

	s.Expression = writeText(t, "GSE1_series_matrix.txt", matrix.String())
	s.Patients = IDTable{s.Expression, "geo_accession", "title"}
	s.Mapping = IDTable{writeText(t, "GPL1.soft", platform.String()), "ID", "EntrezGeneID"}
	s.Merge = mergeHighest
	if files := Files(geneSetsName, in.Settings); len(files) != 2 {
		t.Errorf("files %q", files)
	}
	r := geneRun(t, in)
	got := geneTable(t, r, enrichmentTable)
	for _, column := range []string{"es", "nes"} {
		if diff := cmp.Diff(want.Float64s(column), got.Float64s(column)); diff != "" {
			t.Errorf("%s (-plain +GEO):\n%s", column, diff)
		}
	}
	if !slices.Equal(want.Strings("set"), got.Strings("set")) {
		t.Error("other sets")
	}
	ranks := geneTable(t, r, geneRanksTable)
	for probe, reason := range map[string]string{"mixed": "more than one gene in GPL1.soft", "control": "not in GPL1.soft", "weak-" + e.Genes[0]: "another row of the gene has a higher mean"} {
		if i := slices.Index(ranks.Strings("source_id"), probe); i < 0 || ranks.Strings("reason")[i] != reason {
			t.Errorf("%s in row %d", probe, i)
		}
	}
	if i := slices.Index(ranks.Strings("gene"), e.Genes[3]); ranks.Strings("source_id")[i] != "probe-"+e.Genes[3] {
		t.Errorf("%s comes from %s", e.Genes[3], ranks.Strings("source_id")[i])
	}
}
