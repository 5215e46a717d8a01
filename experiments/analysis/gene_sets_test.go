package analysis

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/experiments/report"
	"hounsfield/stats/golden"
)

// geneInput is a phantom cohort whose score is the true hazard with as much noise again as a
// network might have; no scan is made.
func geneInput(t testing.TB, change func(*phantom.Spec)) *Input {
	t.Helper()
	spec := phantom.Default()
	spec.Patients = phantom.PatientsPerRole{Train: 10, Tune: 20, Test: 120}
	spec.Surgery.Patients = spec.Patients
	spec.Expression = phantom.ExpressionSpec{Genes: 600, Sets: 24}
	if change != nil {
		change(&spec)
	}
	p, err := phantom.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{Settings: Defaults(), Cohort: p.Cohort(), Truth: p.TrueRisk(), Scores: p.TrueRisk(), Phantom: p, ScoredBy: "network",
		Level: 0.95, Jobs: 2, Dir: t.TempDir(), Provenance: map[string]string{"experiment": "genes"}}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range in.Scores {
		in.Scores[i] += 0.8 * r.NormFloat64()
	}
	in.Outcomes = make([]datasets.Outcome, p.Len())
	for i := range in.Outcomes {
		in.Outcomes[i] = p.Subject(i).Outcome
	}
	return in
}

func geneRun(t testing.TB, in *Input) *Result {
	t.Helper()
	if err := Check(geneSetsName, in.Settings); err != nil {
		t.Fatal(err)
	}
	before := *in
	before.Scores, before.Outcomes = nil, nil
	if err := Ready(geneSetsName, &before); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), geneSetsName, in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func geneTable(t testing.TB, r *Result, name string) *table.Table {
	t.Helper()
	for _, x := range r.Tables {
		if x.Name == name {
			return x.Table
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}

func measure(t testing.TB, r *Result, name, group string) float64 {
	t.Helper()
	m := geneTable(t, r, geneSetsName)
	for i, n := range m.Strings("metric") {
		if n == name && strings.HasPrefix(m.Strings("group")[i], group) {
			return m.Float64s("value")[i]
		}
	}
	t.Fatalf("no measure %q of %q among %q", name, group, m.Strings("metric"))
	return 0
}

// keep writes a result as a run folder has it.
func keep(t testing.TB, r *Result) (dir string, all []byte) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tables"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Tables {
		path := filepath.Join(dir, "tables", x.Name+".arrow")
		if err := x.Table.Write(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for _, f := range r.Figures {
		all = append(all, f.SVG...)
	}
	html, err := report.Render(report.Document{Title: "t", Software: "test", Sections: []report.Section{r.Section}})
	if err != nil {
		t.Fatal(err)
	}
	return dir, append(all, html...)
}

// The planted sets come back with their signs, by the noisy score and by the truth, and no
// other does; in either group, and by each way to rank genes.
func TestGeneSetsFindsWhatWasPlanted(t *testing.T) {
	for name, change := range map[string]func(*phantom.Spec){
		"radiotherapy": nil,
		"surgery":      func(s *phantom.Spec) { s.Treatment = phantom.Surgery },
	} {
		in := geneInput(t, change)
		r := geneRun(t, in)
		for _, by := range []string{"network", "true hazard"} {
			if right, others := measure(t, r, "planted sets found with the right sign", "test role, "+by), measure(t, r, "other sets found", "test role, "+by); right != 4 || others != 0 {
				t.Errorf("%s by the %s: %g planted sets found, %g others", name, by, right, others)
			}
		}
		sets := geneTable(t, r, enrichmentTable)
		for i, set := range sets.Strings("set") {
			want := sets.Float64s("planted")[i]
			if sets.Bools("found")[i] != (want != 0) || want != 0 && !sameSign(sets.Float64s("nes")[i], want) {
				t.Errorf("%s: %s planted %g, NES %g, found %t", name, set, want, sets.Float64s("nes")[i], sets.Bools("found")[i])
			}
		}
	}
	in := geneInput(t, nil)
	for _, metric := range geneMetricNames() {
		in.Settings.GeneSets.Metric = metric
		in.Cut = 0
		r := geneRun(t, in)
		sets := geneTable(t, r, enrichmentTable)
		asks, by := "a score", "scored by network"
		if metric == "cox_z" { // the score has no part in it
			asks, by = "a follow-up", "cox_z in 120 patients of the role test"
		}
		if n := measure(t, r, "patients with gene expression and "+asks, "test role"); n != 120 || !strings.HasSuffix(sets.Provenance()[provenanceOfSets], by) {
			t.Errorf("%s: %g patients, %q", metric, n, sets.Provenance()[provenanceOfSets])
		}
		for i, want := range []float64{1, 1, -1, -1} {
			if nes := sets.Float64s("nes")[i]; !sameSign(nes, want) || math.Abs(nes) < 1.5 {
				t.Errorf("%s: %s has NES %g", metric, sets.Strings("set")[i], nes)
			}
		}
	}
}

// A score turned round turns every enrichment round.
func TestGeneSetsDirection(t *testing.T) {
	in := geneInput(t, nil)
	up := geneTable(t, geneRun(t, in), enrichmentTable)
	for i := range in.Scores {
		in.Scores[i] = -in.Scores[i]
	}
	down := geneTable(t, geneRun(t, in), enrichmentTable)
	for i, es := range up.Float64s("es") {
		if turned := down.Float64s("es")[i]; math.Abs(es+turned) > 1e-9 {
			t.Errorf("%s: ES %g, turned round %g", up.Strings("set")[i], es, turned)
		}
	}
}

// A score that knows nothing finds nothing among the sets that know nothing, beyond chance.
func TestGeneSetsWithoutSignal(t *testing.T) {
	found, tested := 0.0, 0.0
	for seed := range uint64(12) {
		in := geneInput(t, nil)
		r := rand.New(rand.NewPCG(seed, 9))
		for i := range in.Scores {
			in.Scores[i] = r.NormFloat64()
		}
		got := geneRun(t, in)
		found += measure(t, got, "other sets found", "test role, network")
		tested += 20
	}
	if found > 0.05*tested {
		t.Errorf("%g of %g sets found that know nothing of the score", found, tested)
	}
}

// The same bytes from two runs and for any number of workers; another seed gives others.
func TestGeneSetsRepeats(t *testing.T) {
	in := geneInput(t, nil)
	_, first := keep(t, geneRun(t, in))
	in.Jobs = 5
	if _, again := keep(t, geneRun(t, in)); !bytes.Equal(first, again) {
		t.Error("other bytes with another number of workers")
	}
	in.Settings.GeneSets.Seed = 2
	if _, other := keep(t, geneRun(t, in)); bytes.Equal(first, other) {
		t.Error("the seed changes nothing")
	}
}

// writeExpression writes the phantom's matrix as CSV, changed on the way.
func writeExpression(t testing.TB, in *Input, gene func(string) string, sample func(string) string, value func(gene, patient, v string) string) string {
	t.Helper()
	e := in.Phantom.Expression()
	var b strings.Builder
	for _, p := range e.Patients {
		b.WriteString("," + sample(p))
	}
	for g, id := range e.Genes {
		b.WriteString("\n" + gene(id))
		for i, p := range e.Patients {
			b.WriteString("," + value(id, p, fmt.Sprintf("%.6f", e.Values[g*len(e.Patients)+i])))
		}
	}
	return writeText(t, "expression.csv", b.String())
}

func writeText(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeGMT(t testing.TB, in *Input) string {
	t.Helper()
	var b strings.Builder
	for _, s := range in.Phantom.Expression().Sets {
		fmt.Fprintf(&b, "%s\t%s\t%s\n", s.Name, s.Description, strings.Join(s.Genes, "\t"))
	}
	return writeText(t, "sets.gmt", b.String())
}

func same(s string) string            { return s }
func sameValue(_, _, v string) string { return v }

// Expression from a file under other names: ids are translated, who is missing on either side
// and which genes are incomplete is counted and named.
func TestGeneSetsJoin(t *testing.T) {
	in := geneInput(t, nil)
	plain := geneTable(t, geneRun(t, in), enrichmentTable)
	e := in.Phantom.Expression()
	test := in.Cohort.Of(datasets.Test)
	noScore, noSample := in.Cohort.Patients[test[3]].ID, in.Cohort.Patients[test[5]].ID
	in.Scores[test[3]] = math.NaN()
	var samples, genes strings.Builder
	samples.WriteString("gsm,id\n")
	genes.WriteString("symbol,entrez\n")
	for _, p := range e.Patients {
		fmt.Fprintf(&samples, "GSM%s,%s\n", p, p)
	}
	for _, g := range e.Genes[2:] {
		fmt.Fprintf(&genes, "SYM%s,%s\n", g, g)
	}
	s := &in.Settings.GeneSets
	s.Expression = writeExpression(t, in, func(g string) string { return "SYM" + g }, func(p string) string {
		if p == noSample {
			return "stranger"
		}
		return "GSM" + p
	}, func(gene, patient, v string) string {
		if gene == e.Genes[10] && patient == in.Cohort.Patients[test[0]].ID {
			return "NA"
		}
		if gene == e.Genes[11] {
			return "7"
		}
		return v
	})
	s.Sets = writeGMT(t, in)
	s.Patients = IDTable{writeText(t, "samples.csv", samples.String()), "gsm", "id"}
	s.Mapping = IDTable{writeText(t, "genes.csv", genes.String()), "symbol", "entrez"}
	if got := Files(geneSetsName, in.Settings); !slices.Equal(got, []string{s.Expression, s.Patients.File, s.Mapping.File}) {
		t.Errorf("files %v", got)
	}
	r := geneRun(t, in)
	reasons := map[string]string{}
	for _, x := range r.Exclusions {
		if x.Stage != "analysis gene_sets" || x.File != s.Expression {
			t.Errorf("exclusion %+v", x)
		}
		reasons[x.Patient] = x.Reason
	}
	for who, part := range map[string]string{noScore: "no score", noSample: "no gene expression", "stranger": "samples.csv does not turn into one patient"} {
		if !strings.Contains(reasons[who], part) {
			t.Errorf("%s is excluded for %q, not %q", who, reasons[who], part)
		}
	}
	if len(reasons) != 3 {
		t.Errorf("exclusions %v", reasons)
	}
	if n := measure(t, r, "patients with gene expression and a score", "test role"); n != 118 {
		t.Errorf("%g patients", n)
	}
	ranks := geneTable(t, r, geneRanksTable)
	why := map[string]string{}
	for i, id := range ranks.Strings("source_id") {
		if valid := ranks.Valid("rank")[i]; valid != (ranks.Strings("reason")[i] == "") || valid != (i < 596) {
			t.Errorf("row %d, %s: rank there %t, reason %q", i, id, valid, ranks.Strings("reason")[i])
		}
		why[id] = ranks.Strings("reason")[i]
	}
	for i, part := range map[int]string{0: "not in genes.csv", 1: "not in genes.csv", 10: "missing in 1 of 118 patients", 11: "does not vary"} {
		if got := why["SYM"+e.Genes[i]]; !strings.Contains(got, part) {
			t.Errorf("gene %d is left out for %q, not %q", i, got, part)
		}
	}
	if !slices.ContainsFunc(r.Lines, func(l string) bool {
		return strings.Contains(l, "4 genes left out (SYM") && strings.Contains(l, "1 patients without expression")
	}) {
		t.Errorf("lines %q", r.Lines)
	}
	// Two patients and four genes fewer: nearly the same scores.
	sets := geneTable(t, r, enrichmentTable)
	for i := range 4 {
		if a, b := plain.Float64s("es")[i], sets.Float64s("es")[i]; math.Abs(a-b) > 0.1 {
			t.Errorf("%s: ES %g, from the file %g", sets.Strings("set")[i], a, b)
		}
	}
}

// What does not fit together is told before training, with counts, examples of both kinds of
// identifiers and what to do.
func TestGeneSetsUnfit(t *testing.T) {
	in := geneInput(t, nil)
	gmt := writeGMT(t, in)
	patients := in.Cohort.Patients
	genes := in.Phantom.Expression().Genes
	for name, c := range map[string]struct {
		change func(*GeneSets)
		want   []string
	}{
		"no gene in common": {func(s *GeneSets) {
			s.Expression = writeExpression(t, in, func(g string) string { return "SYM" + g }, same, sameValue)
		}, []string{"600 genes", "SYM" + genes[0], "have none in common", "analysis.gene_sets.mapping"}},
		"no patient in common": {func(s *GeneSets) {
			s.Expression = writeExpression(t, in, same, func(p string) string { return "GSM" + p }, sameValue)
		}, []string{"none of the 120 patients of the role test", "150 samples", "GSM" + patients[0].ID, "analysis.gene_sets.patients"}},
		"patients of other roles": {func(s *GeneSets) {
			s.Expression = writeText(t, "few.csv", "gene,"+patients[0].ID+","+patients[1].ID+"\n1,2,3\n")
		}, []string{"2 samples are of patients in other roles"}},
		"too few": {func(s *GeneSets) {
			s.Expression = writeText(t, "few.csv", "gene,"+patients[140].ID+","+patients[141].ID+"\n1,2,3\n")
		}, []string{"2 patients of the role test", "118 have no expression"}},
		"mapping the wrong way": {func(s *GeneSets) {
			s.Expression = writeExpression(t, in, func(g string) string { return "SYM" + g }, same, sameValue)
			s.Mapping = IDTable{writeText(t, "m.csv", "symbol,entrez\nSYM"+genes[0]+","+genes[0]+"\n"), "entrez", "symbol"}
		}, []string{"none of the 600 genes", "m.csv", `"entrez"`}},
		"two rows of one gene": {func(s *GeneSets) {
			s.Expression = writeExpression(t, in, same, same, sameValue)
			s.Mapping = IDTable{writeText(t, "m.csv", "from,to\n"+genes[0]+","+genes[0]+"\n"+genes[1]+","+genes[0]+"\n"), "from", "to"}
		}, []string{"1 rows", genes[0] + " (from " + genes[0] + " and " + genes[1] + ")", "highest_mean"}},
		"two samples of one patient": {func(s *GeneSets) {
			s.Expression = writeExpression(t, in, same, same, sameValue)
			s.Patients = IDTable{writeText(t, "p.csv", fmt.Sprintf("from,to\n%s,%s\n%s,%s\n", patients[30].ID, patients[31].ID, patients[31].ID, patients[31].ID)), "from", "to"}
		}, []string{patients[30].ID + " and " + patients[31].ID, "are of one patient"}},
		"gaps everywhere": {func(s *GeneSets) {
			s.Expression = writeExpression(t, in, same, same, func(_, p, v string) string {
				if p == patients[149].ID {
					return ""
				}
				return v
			})
		}, []string{"no gene has a value for each of the 120 patients"}},
		"sets too large": {func(s *GeneSets) {
			s.Expression = writeExpression(t, in, same, same, sameValue)
			s.MinSize, s.MaxSize = 300, 500
		}, []string{"no set has 300 to 500 of them", "the largest has"}},
		"no such sets": {func(s *GeneSets) {
			s.Expression, s.Sets = writeExpression(t, in, same, same, sameValue), "nowhere.gmt"
		}, []string{"nowhere.gmt", "analysis.gene_sets.sets"}},
	} {
		trial := *in
		trial.Settings.GeneSets.Sets = gmt
		c.change(&trial.Settings.GeneSets)
		trial.Scores, trial.Outcomes = nil, nil
		err := Ready(geneSetsName, &trial)
		var unfit *UnfitError
		if !errors.As(err, &unfit) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", name, err, part)
			}
		}
	}
	other := *in
	other.Phantom = nil
	var unfit *UnfitError
	if err := Ready(geneSetsName, &other); !errors.As(err, &unfit) {
		t.Errorf("no expression at all: %v", err)
	}
}

// Of two rows of one gene the one with the higher mean stays, and the other is named.
func TestGeneSetsMerge(t *testing.T) {
	in := geneInput(t, nil)
	genes := in.Phantom.Expression().Genes
	var m strings.Builder
	m.WriteString("from,to\n" + genes[1] + "," + genes[0] + "\n")
	for i, g := range genes {
		if i != 1 {
			fmt.Fprintf(&m, "%s,%s\n", g, g)
		}
	}
	s := &in.Settings.GeneSets
	s.Expression, s.Sets, s.Merge = writeExpression(t, in, same, same, func(gene, _, v string) string {
		if gene == genes[1] {
			return "9" + v
		}
		return v
	}), writeGMT(t, in), mergeHighest
	s.Mapping = IDTable{writeText(t, "m.csv", m.String()), "from", "to"}
	ranks := geneTable(t, geneRun(t, in), geneRanksTable)
	last := ranks.Rows() - 1
	if ranks.Rows() != 600 || ranks.Strings("source_id")[last] != genes[0] || !strings.Contains(ranks.Strings("reason")[last], "higher mean") {
		t.Errorf("%d rows, the last %s: %s", ranks.Rows(), ranks.Strings("source_id")[last], ranks.Strings("reason")[last])
	}
	if i := slices.Index(ranks.Strings("source_id"), genes[1]); ranks.Strings("gene")[i] != genes[0] || !ranks.Valid("rank")[i] {
		t.Error("the row with the higher mean is not ranked")
	}
}

func TestGeneSetsSettings(t *testing.T) {
	if err := Check(geneSetsName, Defaults()); err != nil {
		t.Error(err)
	}
	for field, change := range map[string]func(*GeneSets){
		"sets":         func(s *GeneSets) { s.Expression = "a.gct" },
		"mapping":      func(s *GeneSets) { s.Mapping.File = "m.csv" },
		"patients":     func(s *GeneSets) { s.Patients = IDTable{From: "a", To: "b"} },
		"merge":        func(s *GeneSets) { s.Merge = "mean" },
		"role":         func(s *GeneSets) { s.Role = "validation" },
		"metric":       func(s *GeneSets) { s.Metric = "kendall" },
		"fdr":          func(s *GeneSets) { s.FDR = "q" },
		"min_size":     func(s *GeneSets) { s.MinSize = 0 },
		"permutations": func(s *GeneSets) { s.Permutations = 10 },
	} {
		s := Defaults()
		change(&s.GeneSets)
		var e *SettingError
		if err := Check(geneSetsName, s); !errors.As(err, &e) || e.Field != "gene_sets."+field || e.Allowed == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A cohort beside itself agrees wholly; a second group agrees in the planted sets; one with
// other sets cannot stand beside.
func TestGeneSetsBeside(t *testing.T) {
	in := geneInput(t, nil)
	dir, _ := keep(t, geneRun(t, in))
	in.Settings.GeneSets.BesideDir = dir
	if got := Files(geneSetsName, in.Settings); len(got) != 3 || !strings.HasPrefix(got[0], dir) {
		t.Errorf("files %v", got)
	}
	r := geneRun(t, in)
	for name, want := range map[string]float64{"Spearman of NES": 1, "NES of the same sign": 1, "sets found in both": 4, "Spearman of the genes' scores": 1, "Jaccard index of leading edges, median": 1} {
		if got := measure(t, r, name, "beside genes"); math.Abs(got-want) > 1e-12 {
			t.Errorf("beside itself: %s is %g", name, got)
		}
	}
	second := geneInput(t, func(s *phantom.Spec) { s.Treatment = phantom.Surgery })
	second.Settings.GeneSets.BesideDir = dir
	r = geneRun(t, second)
	if both, sign := measure(t, r, "sets found in both", "beside"), measure(t, r, "sets found in both with the same sign", "beside"); both != 4 || sign != 4 {
		t.Errorf("%g sets found in both groups, %g of the same sign", both, sign)
	}
	if j := measure(t, r, "Jaccard index of leading edges, median", "beside"); j < 0.6 || j == 1 {
		t.Errorf("leading edges of the two groups: Jaccard %g", j)
	}
	c := geneTable(t, r, concordanceTable)
	if c.Rows() != 24 || len(r.Figures) != 3 {
		t.Errorf("%d rows, %d figures", c.Rows(), len(r.Figures))
	}
	second.Settings.GeneSets.Expression = writeExpression(t, second, same, same, sameValue)
	second.Settings.GeneSets.Sets = writeText(t, "other.gmt", "OTHER\t\t"+strings.Join(second.Phantom.Expression().Genes[:20], "\t")+"\n")
	var unfit *UnfitError
	if err := Ready(geneSetsName, second); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "OTHER") || !strings.Contains(err.Error(), "PHANTOM_CELL_CYCLE") {
		t.Errorf("other sets beside: %v", err)
	}
	// The same sets under other identifiers: sets in common, no gene.
	symbol := func(g string) string { return "SYM" + g }
	var b strings.Builder
	for _, set := range second.Phantom.Expression().Sets {
		b.WriteString(set.Name + "\t")
		for _, g := range set.Genes {
			b.WriteString("\t" + symbol(g))
		}
		b.WriteString("\n")
	}
	second.Settings.GeneSets.Expression = writeExpression(t, second, symbol, same, sameValue)
	second.Settings.GeneSets.Sets = writeText(t, "symbols.gmt", b.String())
	if err := Ready(geneSetsName, second); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "0 of its 600 genes (such as SYM") || !strings.Contains(err.Error(), "one kind of identifier") {
		t.Errorf("other identifiers beside: %v", err)
	}
	// Three sets have a correlation and no interval.
	three := geneConcordance{}
	for i, nes := range []float64{1, 2, -1} {
		three.rows = append(three.rows, sharedSet{name: fmt.Sprint(i), here: tested{nes: nes}, there: tested{nes: nes}})
	}
	if err := three.judge(0.95); err != nil || three.estimate().Text(2) != "1.00" {
		t.Errorf("three sets: %s, %v", three.estimate().Text(2), err)
	}
	if err := os.Remove(filepath.Join(dir, "tables", geneRanksTable+".arrow")); err != nil {
		t.Fatal(err)
	}
	if err := Ready(geneSetsName, second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a table is gone: %v", err)
	}
}

// Counts, Fisher's p, Spearman and its interval against R.
func TestGeneSetsConcordanceGolden(t *testing.T) {
	for _, c := range golden.Cases[struct {
		Name                  string
		Here, There           []float64
		FoundHere, FoundThere []bool
		Both, Same            int
		P, Spearman           float64
		Low, High             float64
		WilsonLow, WilsonHigh float64
	}](t, "gene_sets") {
		var got geneConcordance
		for i := range c.Here {
			got.rows = append(got.rows, sharedSet{name: fmt.Sprint(i), here: tested{nes: c.Here[i]}, there: tested{nes: c.There[i]}, foundHere: c.FoundHere[i], foundThere: c.FoundThere[i]})
		}
		if err := got.judge(0.95); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if got.both != c.Both || got.sign.Successes != c.Same {
			t.Errorf("%s: %d in both, %d of one sign; R %d, %d", c.Name, got.both, got.sign.Successes, c.Both, c.Same)
		}
		golden.Near(t, c.Name+" p", got.p/c.P, 1, 1e-9)
		golden.NearAll(t, c.Name, []float64{got.spearman.R, got.spearman.Low, got.spearman.High, got.sign.Low, got.sign.High},
			[]float64{c.Spearman, c.Low, c.High, c.WilsonLow, c.WilsonHigh}, 1e-12)
	}
}

func TestJaccard(t *testing.T) {
	for _, c := range []struct {
		a, b []string
		want float64
	}{{[]string{"x", "y", "z"}, []string{"z", "y", "q"}, 0.5}, {[]string{"x"}, nil, 0}, {[]string{"x"}, []string{"x"}, 1}, {nil, nil, math.NaN()}} {
		if got := jaccardOf(c.a, c.b); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%v, %v: %g", c.a, c.b, got)
		}
	}
}
