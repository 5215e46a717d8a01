package analysis

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/geneset"
	"hounsfield/experiments/scoring"
	"hounsfield/stats/enrichment"
)

// GeneSets are the settings of the analysis gene_sets.
type GeneSets struct {
	// Expression is a table of genes x patients: .gct, .csv, .tsv, .txt (each also with .gz),
	// .arrow or .parquet, or a series matrix of GEO's (see geneset.ReadMatrix). Empty is the
	// phantom's own, with its sets.
	Expression string `yaml:"expression"`
	// Patients turns the table's names of samples into patient ids; no file leaves them. Where
	// a series matrix names them itself it is that file, {from: geo_accession, to: title}.
	Patients IDTable `yaml:"patients"`
	// Mapping turns the table's genes into those of the sets; no file leaves them. Probes are
	// turned into genes by GEO's file of their platform, such as {file: GPL15048.soft.gz,
	// from: ID, to: EntrezGeneID}; a probe of several genes is left out.
	Mapping IDTable `yaml:"mapping"`
	// Merge says what becomes of several rows that Mapping makes one gene: refuse, or
	// highest_mean, which keeps the row with the highest mean over the patients.
	Merge string `yaml:"merge"`
	// Sets is a GMT file, or the name of a data set that holds one, such as reactome.
	Sets string `yaml:"sets"`
	// Role is whose patients: test, tune, train or all. The networks learned from train.
	Role string `yaml:"role"`
	// Metric ranks the genes. spearman and pearson: correlation with the score.
	// signal_to_noise and moderated_t: high against low risk. cox_z: survival itself,
	// without the score.
	Metric       string `yaml:"metric"`
	MinSize      int    `yaml:"min_size"` // smallest set tested, counting its ranked genes
	MaxSize      int    `yaml:"max_size"`
	Permutations int    `yaml:"permutations"` // random sets of each size
	Seed         uint64 `yaml:"seed"`
	// FDR is the false discovery rate that decides: bh, Benjamini and Hochberg's, or broad, as
	// the study's program has it. Both are written. On the phantom bh finds as much, and of
	// sets that know nothing of the hazard fewer than its 0.05 allows; broad finds more.
	FDR string `yaml:"fdr"`
	// Beside is a finished run with this analysis, to hold the two against each other: its
	// folder, its name, or an experiment, whose newest run it is.
	Beside string `yaml:"beside"`

	SetsFile  string `yaml:"-"` // the file that Sets leads to
	BesideDir string `yaml:"-"` // the run folder that Beside leads to
}

// IDTable is a table of two columns that turns one kind of identifier into another.
type IDTable struct {
	File string `yaml:"file"` // CSV or TSV with a header, or a file of GEO's (see geneset.ReadMapping)
	From string `yaml:"from"` // column with the identifiers of the expression table
	To   string `yaml:"to"`
}

// The settings' values.
const (
	mergeRefuse  = "refuse"
	mergeHighest = "highest_mean"
	roleAll      = "all"
	fdrBroad     = "broad"
	fdrBH        = "bh"
)

func defaultGeneSets() GeneSets {
	d := enrichment.Default()
	return GeneSets{Merge: mergeRefuse, Role: string(datasets.Test), Metric: "spearman", MinSize: d.MinSize, MaxSize: d.MaxSize,
		Permutations: d.Permutations, Seed: d.Seed, FDR: fdrBH}
}

// geneSetsName is the analysis' name, and the beginning of its tables'.
const geneSetsName = "gene_sets"

// fdrLimit is the false discovery rate below which a set counts as found.
const fdrLimit = 0.05

var geneSetsStep = step{
	words: "which genes, and which sets of them, go with the score",
	check: func(s Settings) error { return s.GeneSets.check() },
	files: func(s Settings) []string { return s.GeneSets.files() },
	ready: geneSetsReady,
	run:   runGeneSets,
}

func (s GeneSets) check() error {
	bad := func(field string, value any, allowed string) error {
		return &SettingError{Field: geneSetsName + "." + field, Value: value, Allowed: allowed}
	}
	choice := func(field, value string, allowed ...string) error {
		if slices.Contains(allowed, value) {
			return nil
		}
		return bad(field, fmt.Sprintf("%q", value), "one of "+strings.Join(allowed, ", "))
	}
	for _, t := range []struct {
		field string
		of    IDTable
	}{{"patients", s.Patients}, {"mapping", s.Mapping}} {
		if t.of != (IDTable{}) && (t.of.File == "" || t.of.From == "" || t.of.To == "") {
			return bad(t.field, fmt.Sprintf("%+v", t.of), "a file with the names of two of its columns, {file: FILE, from: COLUMN, to: COLUMN}, or nothing")
		}
	}
	switch {
	case s.Expression != "" && s.Sets == "":
		return bad("sets", `""`, "a GMT file, or the name of a data set that holds one such as reactome, for the genes of "+s.Expression)
	case s.MinSize < 1 || s.MaxSize < s.MinSize:
		return bad("min_size", fmt.Sprintf("%d and max_size %d", s.MinSize, s.MaxSize), "1 or more, and max_size no less")
	case s.Permutations < 100 || s.Permutations > 1_000_000:
		return bad("permutations", s.Permutations, "from 100 to 1000000")
	}
	for _, err := range []error{
		choice("merge", s.Merge, mergeRefuse, mergeHighest),
		choice("role", s.Role, string(datasets.Test), string(datasets.Tune), string(datasets.Train), roleAll),
		choice("metric", s.Metric, geneMetricNames()...),
		choice("fdr", s.FDR, fdrBroad, fdrBH),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s GeneSets) files() []string {
	var out []string
	for _, f := range []string{s.Expression, s.Patients.File, s.Mapping.File, s.SetsFile} {
		if f != "" && !slices.Contains(out, f) { // a series matrix may name its patients, too
			out = append(out, f)
		}
	}
	if s.BesideDir != "" {
		out = append(out, besideFiles(s.BesideDir)...)
	}
	return out
}

func unfitGenes(next, lacks string, args ...any) error {
	return &UnfitError{Analysis: geneSetsName, Lacks: fmt.Sprintf(lacks, args...), Next: next}
}

// geneMetric scores each gene; positive is higher in patients at high risk.
type geneMetric struct {
	name, words string
	survival    bool // asks for survival times
	scores      func(genes []string, values [][]float64, risk []float64, high []bool, outcomes []datasets.Outcome) ([]float64, error)
}

// asks is what a patient needs besides expression.
func (m geneMetric) asks() string {
	if m.survival {
		return "a follow-up"
	}
	return "a score"
}

var geneMetrics = []geneMetric{
	{name: "spearman", words: "Spearman's correlation of expression with the score",
		scores: func(genes []string, values [][]float64, risk []float64, _ []bool, _ []datasets.Outcome) ([]float64, error) {
			return enrichment.Spearman(genes, values, risk)
		}},
	{name: "pearson", words: "Pearson's correlation of expression with the score",
		scores: func(genes []string, values [][]float64, risk []float64, _ []bool, _ []datasets.Outcome) ([]float64, error) {
			return enrichment.Pearson(genes, values, risk)
		}},
	{name: "signal_to_noise", words: "signal-to-noise ratio of expression, high against low risk",
		scores: func(genes []string, values [][]float64, _ []float64, high []bool, _ []datasets.Outcome) ([]float64, error) {
			return enrichment.SignalToNoise(genes, values, high)
		}},
	{name: "moderated_t", words: "moderated t of expression, high against low risk",
		scores: func(genes []string, values [][]float64, _ []float64, high []bool, _ []datasets.Outcome) ([]float64, error) {
			r, err := enrichment.ModeratedT(genes, values, high)
			if err != nil {
				return nil, err
			}
			return r.T, nil
		}},
	{name: "cox_z", words: "Wald z of expression in a proportional hazards model of survival; the score has no part in it", survival: true,
		scores: func(genes []string, values [][]float64, _ []float64, _ []bool, outcomes []datasets.Outcome) ([]float64, error) {
			days, died := make([]float64, len(outcomes)), make([]bool, len(outcomes))
			for i, o := range outcomes {
				days[i], died[i] = o.SurvivalDays.V, o.Event.V
			}
			return enrichment.CoxZ(genes, values, days, died)
		}},
}

func geneMetricNames() []string {
	var out []string
	for _, m := range geneMetrics {
		out = append(out, m.name)
	}
	return out
}

func (s GeneSets) metric() geneMetric {
	return geneMetrics[slices.IndexFunc(geneMetrics, func(m geneMetric) bool { return m.name == s.Metric })]
}

// geneSetsReady looks before training whether expression, patients and sets fit together.
func geneSetsReady(in *Input) error {
	s := in.Settings.GeneSets
	x, err := readExpression(in)
	if err != nil {
		return err
	}
	j, err := x.join(in, func(int) string { return "" })
	if err != nil {
		return err
	}
	if s.BesideDir == "" {
		return nil
	}
	there, err := readBeside(s.BesideDir)
	if err != nil {
		return err
	}
	names := make([]string, len(x.sets))
	for i, set := range x.sets {
		names[i] = set.Name
	}
	return there.shares(names, j.genes)
}

// geneFindings are the analysis' numbers, before tables and figures.
type geneFindings struct {
	in       *Input
	settings GeneSets
	joined   *joined
	rows     []geneRow // of every row of the expression table, the ranked ones first
	ranking  *enrichment.Ranking
	result   *enrichment.Result
	truth    *enrichment.Result // by the true hazard; nil where there is none
	beside   *geneConcordance   // nil without a run beside
}

func runGeneSets(ctx context.Context, in *Input) (*Result, error) {
	s := in.Settings.GeneSets
	x, err := readExpression(in)
	if err != nil {
		return nil, err
	}
	metric := s.metric()
	j, err := x.join(in, func(i int) string {
		switch {
		case metric.survival:
			if !in.Outcomes[i].Followed() {
				return "time or end of follow-up not known"
			}
		case !scoring.Known(in.Scores[i]):
			return "no score"
		}
		return ""
	})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := &geneFindings{in: in, settings: s, joined: j}
	if f.ranking, f.result, err = f.enrich(metric, in.Scores, j); err != nil {
		return nil, err
	}
	f.rows = rankedRows(f.ranking, j)
	// The best that any score could show: what the phantom's own hazard shows.
	if in.Truth != nil && (s.Metric == "spearman" || s.Metric == "pearson") {
		if _, f.truth, err = f.enrich(metric, in.Truth, j); err != nil {
			return nil, err
		}
	}
	if s.BesideDir != "" {
		there, err := readBeside(s.BesideDir)
		if err != nil {
			return nil, err
		}
		if f.beside, err = f.holdAgainst(there); err != nil {
			return nil, err
		}
	}
	return f.finish()
}

// enrich ranks the genes by a score of all patients and tests the sets.
func (f *geneFindings) enrich(metric geneMetric, all []float64, j *joined) (*enrichment.Ranking, *enrichment.Result, error) {
	risk, high, outcomes := make([]float64, len(j.patients)), make([]bool, len(j.patients)), make([]datasets.Outcome, len(j.patients))
	for k, i := range j.patients {
		risk[k], high[k], outcomes[k] = all[i], all[i] > f.in.Cut, f.in.Outcomes[i]
	}
	scores, err := metric.scores(j.genes, j.values, risk, high, outcomes)
	if err != nil {
		return nil, nil, fmt.Errorf("the analysis %s ranks genes of %d patients by %s: %w", geneSetsName, len(risk), metric.name, err)
	}
	genes, kept, flat := enrichment.Defined(j.genes, scores)
	for _, g := range flat {
		j.unranked[g] = "no " + metric.name + ": it does not vary"
	}
	ranking, err := enrichment.Rank(genes, kept, enrichment.ByGene)
	if err != nil {
		return nil, nil, err
	}
	s := f.settings
	result, err := enrichment.Preranked(ranking, j.sets, enrichment.Settings{Weight: 1, MinSize: s.MinSize, MaxSize: s.MaxSize,
		Permutations: s.Permutations, Seed: s.Seed, Equal: enrichment.EqualFirst, Workers: f.in.Jobs})
	return ranking, result, err
}

// fdr is the rate that decides; NaN where it is not defined, which is not below any limit.
func (s GeneSets) fdr(set enrichment.SetResult) float64 {
	if s.FDR == fdrBH {
		return set.BH
	}
	return set.Q
}

func (s GeneSets) found(set enrichment.SetResult) bool { return s.fdr(set) < fdrLimit }

func (s GeneSets) fdrWords() string {
	if s.FDR == fdrBH {
		return "Benjamini and Hochberg"
	}
	return "Broad"
}

// setsOf reads the sets: those of a file, or the phantom's.
func setsOf(in *Input) ([]enrichment.Set, error) {
	s := in.Settings.GeneSets
	if s.Sets == "" {
		var out []enrichment.Set
		for _, set := range in.Phantom.Expression().Sets {
			out = append(out, enrichment.Set{Name: set.Name, Description: set.Description, Genes: set.Genes})
		}
		return out, nil
	}
	file := s.SetsFile
	if file == "" { // not looked up by name: a caller's own file
		file = s.Sets
	}
	if _, err := os.Stat(file); err != nil {
		return nil, unfitGenes("name a GMT file or a data set in analysis.gene_sets.sets", "its gene sets cannot be read (%v)", err)
	}
	c, err := geneset.ReadGMT(file)
	if err != nil {
		return nil, err
	}
	out := make([]enrichment.Set, len(c.Sets))
	for i, set := range c.Sets {
		out[i] = enrichment.Set(set)
	}
	return out, nil
}

// planted is the true correlation of a phantom's set with the hazard, by its name; nil for
// other sets.
func planted(in *Input) map[string]float64 {
	if in.Phantom == nil || in.Settings.GeneSets.Expression != "" || in.Settings.GeneSets.Sets != "" {
		return nil
	}
	out := map[string]float64{}
	for _, set := range in.Phantom.Expression().Sets {
		out[set.Name] = set.Correlation
	}
	return out
}

func sameSign(a, b float64) bool { return math.Signbit(a) == math.Signbit(b) }
