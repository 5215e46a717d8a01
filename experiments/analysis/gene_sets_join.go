package analysis

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/geneset"
	"hounsfield/stats/enrichment"
)

// expressed is an expression table and the sets to look for in it, before they are joined to
// patients.
type expressed struct {
	matrix *geneset.Matrix
	file   string // "" for the phantom's own
	sets   []enrichment.Set
}

// joined is expression of the patients who have it, gene by gene.
type joined struct {
	genes    []string    // identifiers as the sets have them, each once
	values   [][]float64 // [gene][patient], finite
	patients []int       // rows of the cohort, rising
	sets     []enrichment.Set

	sources  map[string]string // the expression table's identifier of a gene, where it is another
	unranked map[string]string // why a gene has no rank; by the table's identifier where it has no other
	lost     []lostGene        // rows that became no gene

	exclusions                []datasets.Exclusion
	without, strangers, other int // patients without expression; samples of nobody; samples of other roles' patients
	unusable                  int // patients with expression and without a score or a follow-up
	mapped                    string
	cleaned, dates            int
}

// lostGene is a row of the table that was not ranked.
type lostGene struct{ source, gene, reason string }

// readExpression reads the table and the sets. Errors: *UnfitError, those of geneset.
func readExpression(in *Input) (*expressed, error) {
	s := in.Settings.GeneSets
	x := &expressed{file: s.Expression}
	switch {
	case s.Expression != "":
		var err error
		if x.matrix, err = geneset.ReadMatrix(s.Expression); err != nil {
			return nil, fmt.Errorf("the analysis %s reads %s: %w", geneSetsName, s.Expression, err)
		}
	case in.Phantom == nil:
		return nil, unfitGenes("name a table of genes x patients in analysis.gene_sets.expression", "there is no gene expression of these patients")
	default:
		e := in.Phantom.Expression()
		x.matrix = &geneset.Matrix{Genes: e.Genes, Samples: e.Patients}
		for g := range e.Genes {
			x.matrix.Values = append(x.matrix.Values, e.Values[g*len(e.Patients):(g+1)*len(e.Patients)])
		}
	}
	var err error
	x.sets, err = setsOf(in)
	return x, err
}

func (s GeneSets) hasRole(r datasets.Role) bool { return s.Role == roleAll || s.Role == string(r) }

// join brings expression to the patients of the role whom usable gives no reason against,
// and to the genes of the sets.
func (x *expressed) join(in *Input, usable func(patient int) string) (*joined, error) {
	j := &joined{sets: x.sets, sources: map[string]string{}, unranked: map[string]string{}, cleaned: len(x.matrix.Cleaned), dates: len(x.matrix.Dates)}
	columns, err := x.patients(in, j, usable)
	if err != nil {
		return nil, err
	}
	if err := x.genes(in.Settings.GeneSets, j, columns); err != nil {
		return nil, err
	}
	return j, x.overlap(in.Settings.GeneSets, j)
}

// patients finds the column of each patient.
func (x *expressed) patients(in *Input, j *joined, usable func(patient int) string) (columns []int, err error) {
	s := in.Settings.GeneSets
	ids := x.matrix.Samples
	if s.Patients.File != "" {
		m, err := geneset.ReadMapping(s.Patients.File, s.Patients.From, s.Patients.To)
		if err != nil {
			return nil, err
		}
		ids, _ = m.IDs(ids)
	}
	column := map[string]int{}
	for c, id := range ids {
		if before, twice := column[id]; twice && id != "" {
			return nil, unfitGenes("leave one of the two out of "+x.file, "two samples of the expression table, %s and %s, are of one patient, %s", x.matrix.Samples[before], x.matrix.Samples[c], id)
		}
		column[id] = c
	}
	exclude := func(patient, cohort, reason string) {
		j.exclusions = append(j.exclusions, datasets.Exclusion{Patient: patient, Cohort: cohort, Stage: "analysis " + geneSetsName, Reason: reason, File: x.file})
	}
	known := map[string]bool{}
	asked := 0
	var missing []string
	for i, p := range in.Cohort.Patients {
		known[p.ID] = true
		c, there := column[p.ID]
		if !s.hasRole(p.Role) {
			if there {
				j.other++
			}
			continue
		}
		asked++
		if !there {
			j.without++
			missing = append(missing, p.ID)
			exclude(p.ID, p.Cohort, "no gene expression")
		} else if reason := usable(i); reason != "" {
			j.unusable++
			exclude(p.ID, p.Cohort, "gene expression, but "+reason)
		} else {
			j.patients, columns = append(j.patients, i), append(columns, c)
		}
	}
	for c, id := range ids {
		sample := x.matrix.Samples[c]
		switch {
		case id == "":
			exclude(sample, in.Cohort.Name, fmt.Sprintf("gene expression of a sample that %s does not turn into one patient", filepath.Base(s.Patients.File)))
		case !known[id]:
			exclude(id, in.Cohort.Name, "gene expression of nobody in the cohort")
		default:
			continue
		}
		j.strangers++
	}
	if asked == 0 {
		return nil, unfitGenes("choose another analysis.gene_sets.role", "the cohort has no patient in the role %s", s.Role)
	}
	if len(j.patients)+j.unusable == 0 {
		next := "name a table that turns one kind of id into the other in analysis.gene_sets.patients, or choose another role"
		if j.other > 0 {
			next = fmt.Sprintf("choose another analysis.gene_sets.role: %d samples are of patients in other roles", j.other)
		}
		return nil, unfitGenes(next, "none of the %d patients of the role %s (such as %s) is among the %d samples of the expression table (such as %s)",
			asked, s.Role, few(missing), len(ids), few(x.matrix.Samples))
	}
	if len(j.patients) < fewestPatients {
		return nil, unfitGenes("take a cohort with more of them, or role: all", "%d patients of the role %s have gene expression and what %s asks for, and genes cannot be ranked by fewer than %d; %d have no expression, %d have it but no score or follow-up",
			len(j.patients), s.Role, s.Metric, fewestPatients, j.without, j.unusable)
	}
	return columns, nil
}

// fewestPatients is the least a correlation can be taken of; far more are needed for one that
// means anything.
const fewestPatients = 3

// genes names the rows as the sets do and keeps those that are whole.
func (x *expressed) genes(s GeneSets, j *joined, columns []int) error {
	ids := x.matrix.Genes
	if s.Mapping.File != "" {
		m, err := geneset.ReadMapping(s.Mapping.File, s.Mapping.From, s.Mapping.To)
		if err != nil {
			return err
		}
		var report geneset.MappingReport
		ids, report = m.IDs(ids)
		j.mapped = report.String()
		for g, id := range ids {
			if id != "" {
				continue
			}
			reason := "not in " + filepath.Base(s.Mapping.File)
			if _, ambiguous := slices.BinarySearch(report.Ambiguous, x.matrix.Genes[g]); ambiguous {
				reason = "more than one gene in " + filepath.Base(s.Mapping.File)
			}
			j.lost = append(j.lost, lostGene{source: x.matrix.Genes[g], reason: reason})
		}
		if report.Mapped == 0 {
			return unfitGenes(fmt.Sprintf("correct analysis.gene_sets.mapping: from is the column with the expression table's genes, here %q", s.Mapping.From),
				"none of the %d genes of the expression table (such as %s) is in %s", len(ids), few(x.matrix.Genes), s.Mapping.File)
		}
	}
	type row struct {
		at   int
		mean float64
	}
	kept := map[string]row{}
	var order, repeated []string
	for g, id := range ids {
		if id == "" {
			continue
		}
		missing, mean := 0, 0.0
		for _, c := range columns {
			if v := x.matrix.Values[g][c]; math.IsNaN(v) {
				missing++
			} else {
				mean += v / float64(len(columns))
			}
		}
		if missing > 0 {
			j.lost = append(j.lost, lostGene{x.matrix.Genes[g], id, fmt.Sprintf("missing in %d of %d patients", missing, len(columns))})
			continue
		}
		before, twice := kept[id]
		switch {
		case !twice:
			order = append(order, id)
		case s.Merge == mergeRefuse:
			repeated = append(repeated, fmt.Sprintf("%s (from %s and %s)", id, x.matrix.Genes[before.at], x.matrix.Genes[g]))
			continue
		case mean > before.mean:
			j.lost = append(j.lost, lostGene{x.matrix.Genes[before.at], id, "another row of the gene has a higher mean"})
		default:
			j.lost = append(j.lost, lostGene{x.matrix.Genes[g], id, "another row of the gene has a higher mean"})
			continue
		}
		kept[id] = row{g, mean}
	}
	if repeated != nil {
		return unfitGenes("set analysis.gene_sets.merge to "+mergeHighest+", or leave rows out", "%d rows of the expression table become a gene that another row is already: %s", len(repeated), few(repeated))
	}
	if len(order) == 0 {
		return unfitGenes("fill the gaps, and say how, or leave out patients with many of them", "no gene has a value for each of the %d patients", len(columns))
	}
	for _, id := range order {
		at := kept[id].at
		values := make([]float64, len(columns))
		for k, c := range columns {
			values[k] = x.matrix.Values[at][c]
		}
		if id != x.matrix.Genes[at] {
			j.sources[id] = x.matrix.Genes[at]
		}
		j.genes, j.values = append(j.genes, id), append(j.values, values)
	}
	return nil
}

// overlap wants genes in common with the sets, and a set that is large enough.
func (x *expressed) overlap(s GeneSets, j *joined) error {
	measured := make(map[string]bool, len(j.genes))
	for _, g := range j.genes {
		measured[g] = true
	}
	common, testable, largest := map[string]bool{}, 0, 0
	distinct := map[string]bool{}
	var examples []string
	for _, set := range x.sets {
		n := 0
		for _, g := range set.Genes {
			if !distinct[g] {
				distinct[g] = true
				examples = append(examples, g)
			}
			if measured[g] {
				common[g] = true
				n++
			}
		}
		largest = max(largest, n)
		if n >= s.MinSize && n <= s.MaxSize && n < len(j.genes) {
			testable++
		}
	}
	where := "the phantom's gene sets"
	if s.Sets != "" {
		where = s.Sets
	}
	switch {
	case len(common) == 0:
		return unfitGenes("name a table that turns the expression table's kind of id into that of the sets in analysis.gene_sets.mapping, such as {file: FILE, from: symbol, to: entrez}",
			"the %d genes of the expression table (such as %s) and the %d of %s (such as %s) have none in common", len(j.genes), few(j.genes), len(distinct), where, few(examples))
	case testable == 0:
		return unfitGenes("change analysis.gene_sets.min_size and max_size, or take other sets", "%d genes are in both the expression table and %s, but no set has %d to %d of them (the largest has %d)",
			len(common), where, s.MinSize, s.MaxSize, largest)
	}
	return nil
}

// few shows the first three.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", ..."
}

// geneRow is one row of the expression table in the ranking.
type geneRow struct {
	gene, source string // gene is "" where the row became none
	score        float64
	rank         int // from 1; 0 where it has none
	note         string
}

// rankedRows are the ranked genes in order, then the others by identifier.
func rankedRows(r *enrichment.Ranking, j *joined) []geneRow {
	out := make([]geneRow, 0, len(r.Genes))
	for i, g := range r.Genes {
		out = append(out, geneRow{gene: g, source: cmp.Or(j.sources[g], g), score: r.Scores[i], rank: i + 1})
	}
	var rest []geneRow
	for g, why := range j.unranked {
		rest = append(rest, geneRow{gene: g, source: cmp.Or(j.sources[g], g), score: math.NaN(), note: why})
	}
	for _, l := range j.lost {
		rest = append(rest, geneRow{gene: l.gene, source: l.source, score: math.NaN(), note: l.reason})
	}
	slices.SortFunc(rest, func(a, b geneRow) int { return strings.Compare(a.source, b.source) })
	return append(out, rest...)
}
