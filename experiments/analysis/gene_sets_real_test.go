package analysis

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/stats/enrichment"
)

// Real expression, symbols of 2002 against the Entrez numbers of Reactome: 86 lung cancers,
// the score 1 for the dead. The analysis must rank as a direct call does, and say what the
// translation lost.
func TestGeneSetsOfLungMichigan(t *testing.T) {
	root := os.Getenv("HOUNSFIELD_MIRROR")
	if root == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no public expression data or gene sets")
	}
	s := defaultGeneSets()
	s.Expression = filepath.Join(root, "expression", "Lung_Michigan.gct.gz")
	s.Sets = filepath.Join(root, "genesets", "c2.cp.reactome.v6.0.entrez.gmt")
	s.Metric = "signal_to_noise"
	in := &Input{Settings: Settings{GeneSets: s}, ScoredBy: "outcome", Cut: 0.5, Level: 0.95, Jobs: 2, Provenance: map[string]string{"experiment": "michigan"}}
	x, err := readExpression(in)
	if err != nil {
		t.Fatal(err)
	}
	var patients []datasets.Patient
	for _, id := range x.matrix.Samples {
		patients = append(patients, datasets.Patient{ID: id, Cohort: "Michigan", Role: datasets.Test})
		score := 0.0
		if strings.HasPrefix(id, "dead_") {
			score = 1
		}
		in.Scores = append(in.Scores, score)
	}
	in.Outcomes = make([]datasets.Outcome, len(patients))
	if in.Cohort, err = datasets.NewCohort("Michigan", patients, in.Outcomes, nil); err != nil {
		t.Fatal(err)
	}
	var unfit *UnfitError
	if err := Ready(geneSetsName, in); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "5217 genes of the expression table (such as APOE, ") || !strings.Contains(err.Error(), "6025 of ") {
		t.Errorf("symbols against numbers: %v", err)
	}
	in.Settings.GeneSets.Mapping = IDTable{filepath.Join(root, "genesets", "reactome_v6.0_entrez_symbol.csv"), "symbol", "entrez"}
	r := geneRun(t, in)
	// 2462 of the symbols are in the table (counted by a few lines of Python).
	if n := measure(t, r, "genes ranked", "test role"); n != 2462 {
		t.Errorf("%g genes ranked", n)
	}
	if n := measure(t, r, "genes left out", "test role"); n != 5217-2462 {
		t.Errorf("%g genes left out", n)
	}
	ranks := geneTable(t, r, geneRanksTable)
	if i := slices.Index(ranks.Strings("source_id"), "GAPD"); i < 2462 || ranks.Strings("reason")[i] != "not in reactome_v6.0_entrez_symbol.csv" {
		t.Errorf("GAPD stands in row %d: %s", i, ranks.Strings("reason")[i])
	}
	if i := slices.Index(ranks.Strings("gene"), "4292"); ranks.Strings("source_id")[i] != "MLH1" {
		t.Errorf("4292 comes from %q", ranks.Strings("source_id")[i])
	}
	sets, scores := geneTable(t, r, enrichmentTable), ranks.Float64s("score")[:2462]
	ranking, err := enrichment.Rank(ranks.Strings("gene")[:2462], scores, enrichment.ByGene)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := enrichment.Preranked(ranking, x.sets, enrichment.Default())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range direct.Sets {
		if sets.Strings("set")[i] != want.Name || sets.Float64s("es")[i] != want.ES || sets.Float64s("nes")[i] != want.NES {
			t.Fatalf("row %d: %s, ES %g; want %s, %g", i, sets.Strings("set")[i], sets.Float64s("es")[i], want.Name, want.ES)
		}
	}
	if sets.Rows() != 674 || len(direct.Sets)+len(direct.Dropped) != 674 {
		t.Errorf("%d rows for 674 sets", sets.Rows())
	}
	t.Log(strings.Join(r.Lines, "\n"))
}
