package analysis

import (
	"fmt"
	"maps"
	"math"

	"hounsfield/datasets/table"
	"hounsfield/stats/enrichment"
)

// The analysis' tables besides that of its measures.
const (
	enrichmentTable  = geneSetsName + "_enrichment"   // a row per set
	leadingEdgeTable = geneSetsName + "_leading_edge" // a row per set and gene
	geneRanksTable   = "gene_ranks"                   // a row per gene
	concordanceTable = geneSetsName + "_concordance"  // a row per set tested in both cohorts
)

// provenanceOfSets is the key under which the table of sets says whose it is.
const provenanceOfSets = "gene_sets"

const (
	scoreDirection = "positive: expression is higher in patients at higher risk of death"
	nesDirection   = "positive: the set is higher in patients at higher risk of death"
)

func enrichmentSchema() table.Schema {
	number := func(name, direction, words string) table.Column {
		return table.Column{Name: name, Type: table.Float64, Nullable: true, Direction: direction, Description: words}
	}
	return table.Schema{Name: enrichmentTable, Columns: []table.Column{
		{Name: "set", Type: table.String, Unique: true},
		{Name: "description", Type: table.String},
		{Name: "given", Type: table.Int64, Description: "genes of the set"},
		{Name: "size", Type: table.Int64, Description: "of them ranked"},
		number("es", nesDirection, "value of the running sum furthest from zero; null where the set was not tested"),
		number("es_low", nesDirection, "least ES over all orders of tied genes"),
		number("es_high", nesDirection, "greatest ES over all orders of tied genes"),
		number("nes", nesDirection, "ES over the mean of the random sets on its side"),
		number("p", "", "(n+1)/(m+1), fgsea's definition"),
		number("p_strict", "", "the Broad's definition: random sets strictly further out; 0 says below one in so many"),
		number("fdr_broad", "", "false discovery rate as in the Broad's program"),
		number("fdr_bh", "", "p corrected by Benjamini and Hochberg over all tested sets"),
		{Name: "found", Type: table.Bool, Nullable: true, Description: "the false discovery rate that the config chose is below 0.05"},
		{Name: "rank_at_max", Type: table.Int64, Nullable: true, Description: "rank, from 1, of the gene at which ES is reached; null where ES is 0"},
		{Name: "leading_edge", Type: table.Int64, Nullable: true, Description: "genes in the leading edge"},
		number("planted", "", "mean true correlation of the set's genes with the hazard; the phantom's own sets only"),
		{Name: "reason", Type: table.String, Nullable: true, Description: "why it was not tested"},
	}}
}

func leadingEdgeSchema() table.Schema {
	return table.Schema{Name: leadingEdgeTable, Columns: []table.Column{
		{Name: "set", Type: table.String},
		{Name: "gene", Type: table.String},
		{Name: "rank", Type: table.Int64, Description: "from 1, the highest score"},
		{Name: "score", Type: table.Float64, Direction: scoreDirection},
	}}
}

func geneRanksSchema() table.Schema {
	return table.Schema{Name: geneRanksTable, Columns: []table.Column{
		{Name: "gene", Type: table.String, Nullable: true, Description: "identifier as the sets have it; null where the expression table's could not be turned into one"},
		{Name: "source_id", Type: table.String, Description: "identifier in the expression table"},
		{Name: "score", Type: table.Float64, Nullable: true, Direction: scoreDirection},
		{Name: "rank", Type: table.Int64, Nullable: true, Description: "from 1, the highest score; null where the gene was not ranked"},
		{Name: "reason", Type: table.String, Nullable: true, Description: "why it was not ranked"},
	}}
}

func concordanceSchema() table.Schema {
	columns := []table.Column{{Name: "set", Type: table.String, Unique: true}}
	for _, end := range []string{"", "_beside"} {
		columns = append(columns,
			table.Column{Name: "size" + end, Type: table.Int64, Description: "genes of the set that are ranked"},
			table.Column{Name: "nes" + end, Type: table.Float64, Direction: nesDirection},
			table.Column{Name: "fdr" + end, Type: table.Float64, Nullable: true, Description: "by the definition that the config chose"},
			table.Column{Name: "found" + end, Type: table.Bool, Description: "fdr below 0.05"})
	}
	return table.Schema{Name: concordanceTable, Columns: append(columns,
		table.Column{Name: "same_sign", Type: table.Bool},
		table.Column{Name: "jaccard", Type: table.Float64, Nullable: true, Range: table.Between(0, 1),
			Description: "genes in both leading edges over those in either, of genes ranked in both cohorts"})}
}

func someText(s string) table.Null[string] { return table.Null[string]{V: s, Valid: s != ""} }

func someCount(n int) table.Null[int64] { return table.Null[int64]{V: int64(n), Valid: n > 0} }

// tables are those of sets, leading edges, genes and, with a run beside, the two cohorts.
func (f *geneFindings) tables() ([]Table, error) {
	sets, err := f.setTable()
	if err != nil {
		return nil, err
	}
	edges, err := f.edgeTable()
	if err != nil {
		return nil, err
	}
	genes, err := table.New(geneRanksSchema(), f.in.Provenance, map[string]any{
		"gene":      table.ColumnOf(f.rows, func(r geneRow) table.Null[string] { return someText(r.gene) }),
		"source_id": table.ColumnOf(f.rows, func(r geneRow) string { return r.source }),
		"score":     table.ColumnOf(f.rows, func(r geneRow) table.Null[float64] { return table.Finite(r.score) }),
		"rank":      table.ColumnOf(f.rows, func(r geneRow) table.Null[int64] { return someCount(r.rank) }),
		"reason":    table.ColumnOf(f.rows, func(r geneRow) table.Null[string] { return someText(r.note) }),
	})
	if err != nil {
		return nil, err
	}
	out := []Table{{enrichmentTable, sets}, {leadingEdgeTable, edges}, {geneRanksTable, genes}}
	if f.beside == nil {
		return out, nil
	}
	rows := f.beside.rows
	number := func(of func(sharedSet) float64) []table.Null[float64] {
		return table.ColumnOf(rows, func(r sharedSet) table.Null[float64] { return table.Finite(of(r)) })
	}
	both, err := table.New(concordanceSchema(), f.in.Provenance, map[string]any{
		"set":          table.ColumnOf(rows, func(r sharedSet) string { return r.name }),
		"size":         table.ColumnOf(rows, func(r sharedSet) int64 { return int64(r.here.size) }),
		"size_beside":  table.ColumnOf(rows, func(r sharedSet) int64 { return int64(r.there.size) }),
		"nes":          table.ColumnOf(rows, func(r sharedSet) float64 { return r.here.nes }),
		"nes_beside":   table.ColumnOf(rows, func(r sharedSet) float64 { return r.there.nes }),
		"fdr":          number(func(r sharedSet) float64 { return r.here.fdr(f.settings) }),
		"fdr_beside":   number(func(r sharedSet) float64 { return r.there.fdr(f.settings) }),
		"found":        table.ColumnOf(rows, func(r sharedSet) bool { return r.foundHere }),
		"found_beside": table.ColumnOf(rows, func(r sharedSet) bool { return r.foundThere }),
		"same_sign":    table.ColumnOf(rows, func(r sharedSet) bool { return sameSign(r.here.nes, r.there.nes) }),
		"jaccard":      number(func(r sharedSet) float64 { return r.jaccard }),
	})
	return append(out, Table{concordanceTable, both}), err
}

// setTable has the tested sets in their own order, then the others.
func (f *geneFindings) setTable() (*table.Table, error) {
	type row struct {
		enrichment.SetResult
		tested bool
		reason string
	}
	rows := make([]row, 0, len(f.result.Sets)+len(f.result.Dropped))
	for _, set := range f.result.Sets {
		rows = append(rows, row{SetResult: set, tested: true})
	}
	for _, d := range f.result.Dropped {
		rows = append(rows, row{SetResult: enrichment.SetResult{Name: d.Name, Given: d.Given, Size: d.Size, Peak: -1}, reason: d.Reason})
	}
	words := map[string]string{}
	for _, set := range f.joined.sets {
		words[set.Name] = set.Description
	}
	known := planted(f.in)
	number := func(of func(row) float64) []table.Null[float64] {
		return table.ColumnOf(rows, func(r row) table.Null[float64] {
			if !r.tested {
				return table.Null[float64]{}
			}
			return table.Finite(of(r))
		})
	}
	provenance := maps.Clone(f.in.Provenance)
	if provenance == nil {
		provenance = map[string]string{}
	}
	provenance[provenanceOfSets] = fmt.Sprintf("%s in %d patients of the role %s", f.settings.Metric, len(f.joined.patients), f.settings.Role)
	if !f.settings.metric().survival {
		provenance[provenanceOfSets] += ", scored by " + f.in.ScoredBy
	}
	return table.New(enrichmentSchema(), provenance, map[string]any{
		"set":         table.ColumnOf(rows, func(r row) string { return r.Name }),
		"description": table.ColumnOf(rows, func(r row) string { return words[r.Name] }),
		"given":       table.ColumnOf(rows, func(r row) int64 { return int64(r.Given) }),
		"size":        table.ColumnOf(rows, func(r row) int64 { return int64(r.Size) }),
		"es":          number(func(r row) float64 { return r.ES }),
		"es_low":      number(func(r row) float64 { return r.TieLow }),
		"es_high":     number(func(r row) float64 { return r.TieHigh }),
		"nes":         number(func(r row) float64 { return r.NES }),
		"p":           number(func(r row) float64 { return r.P }),
		"p_strict":    number(func(r row) float64 { return r.PStrict }),
		"fdr_broad":   number(func(r row) float64 { return r.Q }),
		"fdr_bh":      number(func(r row) float64 { return r.BH }),
		"found": table.ColumnOf(rows, func(r row) table.Null[bool] {
			return table.Null[bool]{V: r.tested && f.settings.found(r.SetResult), Valid: r.tested}
		}),
		"rank_at_max":  table.ColumnOf(rows, func(r row) table.Null[int64] { return someCount(r.Peak + 1) }),
		"leading_edge": table.ColumnOf(rows, func(r row) table.Null[int64] { return table.Null[int64]{V: int64(len(r.LeadingEdge)), Valid: r.tested} }),
		"planted": table.ColumnOf(rows, func(r row) table.Null[float64] {
			v, ok := known[r.Name]
			return table.Null[float64]{V: v, Valid: ok}
		}),
		"reason": table.ColumnOf(rows, func(r row) table.Null[string] { return someText(r.reason) }),
	})
}

func (f *geneFindings) edgeTable() (*table.Table, error) {
	rank := map[string]int{}
	for i, g := range f.ranking.Genes {
		rank[g] = i
	}
	type row struct{ set, gene string }
	var rows []row
	for _, set := range f.result.Sets {
		for _, g := range set.LeadingEdge {
			rows = append(rows, row{set.Name, g})
		}
	}
	return table.New(leadingEdgeSchema(), f.in.Provenance, map[string]any{
		"set":   table.ColumnOf(rows, func(r row) string { return r.set }),
		"gene":  table.ColumnOf(rows, func(r row) string { return r.gene }),
		"rank":  table.ColumnOf(rows, func(r row) int64 { return int64(rank[r.gene] + 1) }),
		"score": table.ColumnOf(rows, func(r row) float64 { return f.ranking.Scores[rank[r.gene]] }),
	})
}

// truthFound is how many of the phantom's planted sets were found with the right sign, of how
// many that were tested, and how many others were found.
type truthFound struct{ right, planted, wrongSign, others, null int }

func (s GeneSets) judgeTruth(r *enrichment.Result, known map[string]float64) truthFound {
	var t truthFound
	for _, set := range r.Sets {
		correlation, found := known[set.Name], s.found(set)
		switch {
		case correlation == 0:
			t.null++
			if found {
				t.others++
			}
		default:
			t.planted++
			if found && sameSign(set.NES, correlation) {
				t.right++
			} else if found {
				t.wrongSign++
			}
		}
	}
	return t
}

// measures are the numbers that runs can be compared by.
func (f *geneFindings) measures() []Measure {
	n := len(f.joined.patients)
	group := f.settings.Role + " role"
	if f.settings.Role == roleAll {
		group = "all roles"
	}
	fdr := "false discovery rate of " + f.settings.fdrWords()
	var out []Measure
	count := func(name, group string, v int, method string) {
		out = append(out, Measure{Name: name, Group: group, N: n, Value: float64(v), Method: method})
	}
	up, down := 0, 0
	for _, set := range f.result.Sets {
		if f.settings.found(set) && set.NES > 0 {
			up++
		} else if f.settings.found(set) {
			down++
		}
	}
	by := f.settings.metric().words
	count("patients with gene expression and "+f.settings.metric().asks(), group, n, "joined by patient id")
	count("patients without gene expression", group, f.joined.without, "rows of the exclusions table")
	count("samples of nobody in the cohort", group, f.joined.strangers, "rows of the exclusions table")
	count("genes ranked", group, len(f.ranking.Genes), by)
	count("genes left out", group, len(f.rows)-len(f.ranking.Genes), "named in tables/"+geneRanksTable+".arrow, with the reason")
	count("sets tested", group, len(f.result.Sets), fmt.Sprintf("%d to %d ranked genes", f.settings.MinSize, f.settings.MaxSize))
	count("sets higher at high risk, FDR < 0.05", group, up, fdr)
	count("sets lower at high risk, FDR < 0.05", group, down, fdr)
	if known := planted(f.in); known != nil {
		scoredBy := f.in.ScoredBy
		if f.settings.metric().survival {
			scoredBy = "survival"
		}
		for _, arm := range []struct {
			by     string
			result *enrichment.Result
		}{{scoredBy, f.result}, {"true hazard", f.truth}} {
			if arm.result == nil {
				continue
			}
			t := f.settings.judgeTruth(arm.result, known)
			g := group + ", " + arm.by
			count("planted sets found with the right sign", g, t.right, fmt.Sprintf("of %d planted; %s", t.planted, fdr))
			count("planted sets found with the wrong sign", g, t.wrongSign, fmt.Sprintf("of %d planted; %s", t.planted, fdr))
			count("other sets found", g, t.others, fmt.Sprintf("of %d that know nothing of the hazard; %s", t.null, fdr))
			for _, set := range arm.result.Sets {
				if known[set.Name] != 0 {
					out = append(out, Measure{Name: "NES of " + set.Name, Group: g, N: n, Value: set.NES, P: table.Finite(set.P), Method: "preranked GSEA; p is fgsea's (n+1)/(m+1)"})
				}
			}
		}
	}
	return append(out, f.beside.measures()...)
}

// measures count sets, or genes, where others count patients: the method says so.
func (c *geneConcordance) measures() []Measure {
	if c == nil {
		return nil
	}
	g := "beside " + c.beside.name
	sets := len(c.rows)
	out := []Measure{
		{Name: "Spearman of NES", Group: g, N: sets, Value: c.spearman.R, Low: table.Finite(c.spearman.Low), High: table.Finite(c.spearman.High), P: table.Finite(c.spearman.P),
			Method: "n counts sets tested in both; interval of Bonett and Wright; sets share genes, so interval and p are too narrow"},
		{Name: "NES of the same sign", Group: g, N: sets, Value: c.sign.Estimate, Low: table.Finite(c.sign.Low), High: table.Finite(c.sign.High),
			Method: "share of sets; n counts sets tested in both; Wilson's interval, too narrow as sets share genes"},
		{Name: "sets found here, of those tested in both", Group: g, N: sets, Value: float64(c.here), Method: "n counts sets tested in both"},
		{Name: "sets found beside, of those tested in both", Group: g, N: sets, Value: float64(c.there), Method: "n counts sets tested in both"},
		{Name: "sets found in both", Group: g, N: sets, Value: float64(c.both), P: table.Finite(c.p),
			Method: fmt.Sprintf("n counts sets tested in both; Fisher's exact test, one-sided, %.3g expected by chance", c.expected)},
		{Name: "sets found in both with the same sign", Group: g, N: sets, Value: float64(c.bothSign), Method: "n counts sets tested in both"},
		{Name: "Spearman of the genes' scores", Group: g, N: c.genes, Value: c.geneSpearman.R, Low: table.Finite(c.geneSpearman.Low), High: table.Finite(c.geneSpearman.High), P: table.Finite(c.geneSpearman.P),
			Method: "n counts genes ranked in both; interval of Bonett and Wright; genes go together, so interval and p are too narrow"},
	}
	if !math.IsNaN(c.jaccard) {
		out = append(out, Measure{Name: "Jaccard index of leading edges, median", Group: g, N: c.bothSign, Value: c.jaccard,
			Method: "n counts sets found in both with the same sign; genes ranked in both cohorts"})
	}
	return out
}
