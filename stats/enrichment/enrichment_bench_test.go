package enrichment

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// reactome gives the 674 sets and a ranking of 20,000 genes that holds all of theirs.
// A benchmark of its own reader belongs to package geneset.
func reactome(b *testing.B) (*Ranking, []Set) {
	b.Helper()
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		b.Skip("HOUNSFIELD_MIRROR is not set: no gene sets")
	}
	text, err := os.ReadFile(filepath.Join(mirror, "genesets", "c2.cp.reactome.v6.0.entrez.gmt"))
	if err != nil {
		b.Fatal(err)
	}
	var sets []Set
	var genes []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "\t")
		sets = append(sets, Set{Name: cells[0], Genes: cells[2:]})
		genes = append(genes, cells[2:]...)
	}
	slices.Sort(genes)
	genes = append(slices.Compact(genes), geneNames(20000)...)[:20000]
	random := rand.New(rand.NewPCG(1, 2))
	scores := make([]float64, len(genes))
	for i := range scores {
		scores[i] = random.NormFloat64()
	}
	r, err := Rank(genes, scores, ByGene)
	if err != nil {
		b.Fatal(err)
	}
	return r, sets
}

// 674 sets (669 kept), 20,000 genes, 1,000 permutations. On one core fgsea's simple
// method takes 0.46 s.
func BenchmarkPreranked(b *testing.B) {
	r, sets := reactome(b)
	for _, workers := range []int{1, 0} {
		s := Default()
		s.Workers = workers
		b.Run(map[int]string{0: "all", 1: "one"}[workers]+" workers", func(b *testing.B) {
			for b.Loop() {
				result, err := Preranked(r, sets, s)
				if err != nil {
					b.Fatal(err)
				}
				if len(result.Sets) != 669 {
					b.Fatalf("%d sets kept", len(result.Sets))
				}
			}
		})
	}
}

// The test of 20,000 genes in 86 patients.
func BenchmarkMetrics(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	genes := geneNames(20000)
	values := make([][]float64, len(genes))
	for g := range values {
		values[g] = make([]float64, 86)
		for i := range values[g] {
			values[g][i] = random.NormFloat64()
		}
	}
	outcome, time := make([]float64, 86), make([]float64, 86)
	positive := make([]bool, 86)
	for i := range outcome {
		outcome[i], time[i], positive[i] = random.NormFloat64(), random.ExpFloat64(), i%4 == 0
	}
	for name, f := range map[string]func() error{
		"spearman":   func() error { _, err := Spearman(genes, values, outcome); return err },
		"moderatedT": func() error { _, err := ModeratedT(genes, values, positive); return err },
		"coxZ":       func() error { _, err := CoxZ(genes[:2000], values[:2000], time, positive); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
