package analysis

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"hounsfield/datasets/table"
	"hounsfield/stats"
	"hounsfield/stats/enrichment"
)

// BesideTables are the files of a run folder that GeneSets.Beside reads, relative to it.
func BesideTables() []string {
	var out []string
	for _, t := range []string{enrichmentTable, leadingEdgeTable, geneRanksTable} {
		out = append(out, "tables/"+t+".arrow")
	}
	return out
}

func besideFiles(run string) []string {
	var out []string
	for _, t := range BesideTables() {
		out = append(out, filepath.Join(run, filepath.FromSlash(t)))
	}
	return out
}

// tested is a set as one cohort has it.
type tested struct {
	size      int
	nes       float64
	broad, bh float64  // false discovery rates
	edge      []string // leading edge, the end of the ranking first
	tested    bool
}

func (t tested) fdr(s GeneSets) float64 {
	if s.FDR == fdrBH {
		return t.bh
	}
	return t.broad
}

// cohortBeside is what another run found.
type cohortBeside struct {
	name     string // the run's experiment
	settings string // metric, role and patients, in words
	sets     map[string]tested
	scores   map[string]float64 // of its ranked genes
}

// readBeside reads the tables of a run folder.
func readBeside(run string) (*cohortBeside, error) {
	bad := func(err error) error {
		return fmt.Errorf("the analysis %s holds its sets against those of %s: %w; make that run again", geneSetsName, run, err)
	}
	files := besideFiles(run)
	sets, err := table.Read(files[0], enrichmentSchema(), table.Ignore)
	if err != nil {
		return nil, bad(err)
	}
	edges, err := table.Read(files[1], leadingEdgeSchema(), table.Ignore)
	if err != nil {
		return nil, bad(err)
	}
	genes, err := table.Read(files[2], geneRanksSchema(), table.Ignore)
	if err != nil {
		return nil, bad(err)
	}
	p := sets.Provenance()
	out := &cohortBeside{name: p["experiment"], settings: p[provenanceOfSets], sets: map[string]tested{}, scores: map[string]float64{}}
	nes, broad, bh := sets.Float64s("nes"), sets.Float64s("fdr_broad"), sets.Float64s("fdr_bh")
	edge := map[string][]string{}
	for i, set := range edges.Strings("set") {
		edge[set] = append(edge[set], edges.Strings("gene")[i])
	}
	for i, name := range sets.Strings("set") {
		out.sets[name] = tested{size: int(sets.Int64s("size")[i]), nes: nes[i], broad: broad[i], bh: bh[i], edge: edge[name], tested: sets.Valid("nes")[i]}
	}
	ranked := genes.Valid("rank")
	for i, gene := range genes.Strings("gene") {
		if ranked[i] {
			out.scores[gene] = genes.Float64s("score")[i]
		}
	}
	return out, nil
}

// shares wants three sets and three genes or more in common.
func (c *cohortBeside) shares(names, genes []string) error {
	shared := 0
	there := slices.Sorted(maps.Keys(c.sets))
	for _, name := range names {
		if c.sets[name].tested {
			shared++
		}
	}
	common := 0
	for _, gene := range genes {
		if _, ok := c.scores[gene]; ok {
			common++
		}
	}
	if shared >= fewestShared && common < fewestShared {
		return unfitGenes("take sets with one kind of identifier in both runs (analysis.gene_sets.sets and mapping), or leave beside out", "%d of its %d genes (such as %s) were ranked in the run beside it (which has %d, such as %s), and %d are needed",
			common, len(genes), few(genes), len(c.scores), few(slices.Sorted(maps.Keys(c.scores))), fewestShared)
	}
	if shared >= fewestShared {
		return nil
	}
	return unfitGenes("take the same collection of sets in both runs (analysis.gene_sets.sets), or leave beside out", "%d of its %d sets (such as %s) were tested in the run beside it (which has %d, such as %s), and %d are needed",
		shared, len(names), few(names), len(there), few(there), fewestShared)
}

const fewestShared = 3

// geneConcordance holds two cohorts against each other.
type geneConcordance struct {
	beside *cohortBeside
	rows   []sharedSet // in the order of the sets here

	spearman       stats.CorrelationResult // of NES, over the shared sets
	sign           stats.Proportion
	here, there    int // shared sets found here, beside
	both, bothSign int // found in both, and of these with the same sign
	expected, p    float64
	jaccard        float64 // median over the sets found in both with the same sign; NaN without one
	genes          int
	geneSpearman   stats.CorrelationResult
}

// sharedSet is a set tested in both cohorts.
type sharedSet struct {
	name                  string
	here, there           tested
	foundHere, foundThere bool
	jaccard               float64 // of the leading edges, of genes ranked in both; NaN where both are empty
}

func (s sharedSet) both() bool { return s.foundHere && s.foundThere }

// holdAgainst sets the findings beside those of another cohort.
func (f *geneFindings) holdAgainst(there *cohortBeside) (*geneConcordance, error) {
	c := &geneConcordance{beside: there, jaccard: math.NaN()}
	names := make([]string, len(f.result.Sets))
	for i, set := range f.result.Sets {
		names[i] = set.Name
	}
	if err := there.shares(names, f.ranking.Genes); err != nil {
		return nil, err
	}
	scores := map[string]float64{}
	var a, b []float64
	for i, g := range f.ranking.Genes {
		scores[g] = f.ranking.Scores[i]
		if v, ok := there.scores[g]; ok {
			a, b = append(a, f.ranking.Scores[i]), append(b, v)
		}
	}
	for _, set := range f.result.Sets {
		other := there.sets[set.Name]
		if !other.tested || math.IsNaN(set.NES) {
			continue
		}
		here := tested{size: set.Size, nes: set.NES, broad: set.Q, bh: set.BH, edge: set.LeadingEdge, tested: true}
		c.rows = append(c.rows, sharedSet{name: set.Name, here: here, there: other,
			foundHere: here.fdr(f.settings) < fdrLimit, foundThere: other.fdr(f.settings) < fdrLimit,
			jaccard: jaccardOf(within(here.edge, there.scores), within(other.edge, scores))})
	}
	c.genes = len(a)
	var err error
	if c.geneSpearman, err = stats.Spearman(a, b, f.in.Level); err != nil {
		return nil, fmt.Errorf("the analysis %s compares %d genes ranked in both cohorts: %w", geneSetsName, len(a), err)
	}
	return c, c.judge(f.in.Level)
}

// judge counts the shared sets.
func (c *geneConcordance) judge(level float64) error {
	var x, y, jaccards []float64
	var universe, here, there []string
	same := 0
	for _, s := range c.rows {
		x, y, universe = append(x, s.here.nes), append(y, s.there.nes), append(universe, s.name)
		if sameSign(s.here.nes, s.there.nes) {
			same++
		}
		if s.foundHere {
			here = append(here, s.name)
		}
		if s.foundThere {
			there = append(there, s.name)
		}
		if s.both() {
			c.both++
			if sameSign(s.here.nes, s.there.nes) {
				c.bothSign++
				if !math.IsNaN(s.jaccard) {
					jaccards = append(jaccards, s.jaccard)
				}
			}
		}
	}
	c.here, c.there = len(here), len(there)
	c.expected = float64(c.here) * float64(c.there) / float64(len(c.rows))
	var err error
	if c.spearman, err = stats.Spearman(x, y, level); err != nil {
		return fmt.Errorf("the analysis %s compares %d sets tested in both cohorts: %w", geneSetsName, len(x), err)
	}
	if c.sign, err = stats.ProportionCI(same, len(c.rows), stats.Wilson, level); err != nil {
		return err
	}
	if c.p, err = overlapP(here, there, universe); err != nil {
		return err
	}
	if jaccards != nil {
		c.jaccard, err = stats.Median(jaccards)
	}
	return err
}

// overlapP is the chance that a random selection of as many sets as were found here holds at
// least as many of those found beside: Fisher's exact test, one-sided.
func overlapP(here, there, universe []string) (float64, error) {
	if len(here) == 0 || len(there) == 0 {
		return 1, nil
	}
	r, err := enrichment.OverRepresentation(here, universe, []enrichment.Set{{Name: "found beside", Genes: there}}, 1, len(universe))
	if err != nil {
		return 0, err
	}
	return r.Sets[0].P, nil
}

// within keeps the genes that are ranked in the other cohort too.
func within(genes []string, ranked map[string]float64) []string {
	var out []string
	for _, g := range genes {
		if _, ok := ranked[g]; ok {
			out = append(out, g)
		}
	}
	return out
}

// jaccardOf is the number of genes in both over that in either.
func jaccardOf(a, b []string) float64 {
	in := map[string]bool{}
	for _, g := range a {
		in[g] = true
	}
	both := 0
	for _, g := range b {
		if in[g] {
			both++
		}
	}
	if len(a)+len(b) == 0 {
		return math.NaN()
	}
	return float64(both) / float64(len(a)+len(b)-both)
}
