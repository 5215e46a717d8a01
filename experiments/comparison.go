package experiments

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/analysis"
	"hounsfield/experiments/scoring"
	"hounsfield/models/linear"
	"hounsfield/models/tabular"
	"hounsfield/stats"
)

// ComparisonConfig rules the analysis forest_comparison, which judges other predictors
// beside the network on the same test patients.
type ComparisonConfig struct {
	Predictors   []string `yaml:"predictors"`   // see predictorNames; empty: all that the cohort has data for
	Features     int      `yaml:"features"`     // how many mRMR keeps for forest-mrmr
	Trees        int      `yaml:"trees"`        // of each forest
	Permutations int      `yaml:"permutations"` // of the one-sided test that the network has the larger AUC
	Folds        int      `yaml:"folds"`        // where a clinical forest is cross-validated
	Repeats      int      `yaml:"repeats"`      // of its folds
	Seed         uint64   `yaml:"seed"`
	Meta         bool     `yaml:"meta"` // also combine both treatments of the published tables by meta-analysis
}

// validate checks the settings of forest_comparison against a config's analyses and data.
func (c ComparisonConfig) validate(analyses []string, source string, bad func(key, problem string, allowed ...string) error,
	choice func(key, value string, allowed ...string) error) error {
	for i, name := range c.Predictors {
		if err := choice("comparison.predictors", name, predictorNames...); err != nil {
			return err
		}
		if slices.Contains(c.Predictors[:i], name) {
			return bad("comparison.predictors", name+" stands there twice")
		}
		if (name == predictForest || name == predictForestMRMR) && source == SourcePhantom {
			return bad("comparison.predictors", name+" needs engineered features, which the phantom does not have")
		}
	}
	if !slices.Contains(analyses, analysisComparison) {
		next := "the comparison is not among the analyses; write analyses: [" + strings.Join(append(slices.Clone(analyses), analysisComparison), ", ") + "]"
		switch {
		case len(c.Predictors) > 0:
			return bad("comparison.predictors", "names predictors, but "+next)
		case c.Meta:
			return bad("comparison.meta", "is set, but "+next)
		}
	}
	if c.Meta && source != SourcePublished {
		return bad("comparison.meta", "needs both treatments of the published tables (data.source: published)")
	}
	if c.Features < 1 || c.Trees < 1 || c.Permutations < 1 || c.Folds < 2 || c.Repeats < 1 {
		return bad("comparison", "features, trees, permutations and repeats must be at least 1, folds at least 2")
	}
	return nil
}

// The predictors a comparison can name.
const (
	predictVolume          = "volume"
	predictDiameter        = "diameter"
	predictForest          = "forest"
	predictForestMRMR      = "forest-mrmr"
	predictForestClinical  = "forest-clinical"
	predictForestSize      = "forest-clinical-size"
	predictLogistic        = "logistic-network-volume"
	predictLogisticAll     = "logistic-network-volume-diameter"
	predictLogisticClinics = "logistic-network-clinical"
)

var predictorNames = []string{predictVolume, predictDiameter, predictForest, predictForestMRMR, predictForestClinical,
	predictForestSize, predictLogistic, predictLogisticAll, predictLogisticClinics}

// predictor is a rival of the network: a score for every patient, fixed before the
// test role is opened.
type predictor struct {
	name   string
	scores []float64 // higher is worse; NaN where there is none
	made   string    // from what, in words
	// late predictors are fitted by cross-validation inside the test cohort itself,
	// because no other cohort has their inputs; they have no scores before.
	late  bool
	sizes []size // of the tumour, beside the clinical columns, for a late one
}

// absence is a predictor that could not be made, and why.
type absence struct{ name, why string }

// lackError says why a predictor cannot be made of the patients at hand.
type lackError struct{ what string }

func (e *lackError) Error() string { return e.what }

// predictors makes the rivals a config names, or all there can be. Only train and tune
// outcomes are read. A rival whose data are not there is an absence; those who could not
// be measured become exclusions of the study. Errors: *analysis.UnfitError where no rival
// can be made.
func predictors(ctx context.Context, s *study, c ComparisonConfig, workers int) ([]predictor, []absence, error) {
	names := c.Predictors
	if len(names) == 0 {
		names = predictorNames
	}
	m, err := newPredictorMaker(ctx, s, c, names, workers)
	if err != nil {
		return nil, nil, err
	}
	var out []predictor
	var absent []absence
	for _, name := range names {
		p, err := m.make(name)
		switch {
		case err == nil:
			out = append(out, p)
		case unfit(err):
			absent = append(absent, absence{name, err.Error()})
		default:
			return nil, nil, fmt.Errorf("predictor %s: %w", name, err)
		}
	}
	if len(out) == 0 {
		whys := make([]string, len(absent))
		for i, a := range absent {
			whys[i] = a.name + ": " + a.why
		}
		return nil, nil, &analysis.UnfitError{Analysis: analysisComparison, Lacks: "no predictor can be made (" + strings.Join(whys, "; ") + ")",
			Next: "name others in comparison.predictors"}
	}
	return out, absent, nil
}

// unfit says that a rival cannot be made or judged for want of patients, and that the
// others can: data that are not there, one class only, or classes that a sum parts.
func unfit(err error) bool {
	var lack *lackError
	var input *tabular.InputError
	var figure *stats.InputError
	var parted *linear.SeparationError
	var steps *linear.ConvergenceError
	return errors.As(err, &lack) || errors.As(err, &input) || errors.As(err, &figure) || errors.As(err, &parted) || errors.As(err, &steps)
}

// make makes one rival. Errors that unfit knows mean that it cannot be had of this cohort.
func (m *predictorMaker) make(name string) (predictor, error) {
	p := predictor{name: name}
	var err error
	switch name {
	case predictVolume:
		p.made, p.scores, err = m.volume.what+", larger is worse; nothing fitted", m.volume.values, m.volume.lack()
	case predictDiameter:
		p.made, p.scores, err = m.diameter.what+", larger is worse; nothing fitted", m.diameter.values, m.diameter.lack()
	case predictForest:
		p.made = fmt.Sprintf("random forest of %d trees on all engineered features (those that at most a tenth of the train and tune patients with features lack), fitted on train", m.c.Trees)
		p.scores, err = forestScores(m.s, m.c, 0, m.workers)
	case predictForestMRMR:
		p.made = fmt.Sprintf("random forest of %d trees on %d engineered features chosen by mRMR on tune, fitted on train", m.c.Trees, m.c.Features)
		p.scores, err = forestScores(m.s, m.c, m.c.Features, m.workers)
	case predictForestClinical:
		err = m.clinical(&p)
	case predictForestSize:
		err = m.clinical(&p, m.volume, m.diameter)
	case predictLogistic:
		p.made = "logistic regression on the network's score and the logarithm of volume, fitted on tune"
		p.scores, err = m.logistic(m.volume)
	case predictLogisticAll:
		p.made = "logistic regression on the network's score and the logarithms of volume and diameter, fitted on tune"
		p.scores, err = m.logistic(m.volume, m.diameter)
	case predictLogisticClinics:
		var forest predictor
		if err = m.clinical(&forest); err == nil && forest.late {
			err = &lackError{"no patients of train have the clinical columns that a clinical forest needs"}
		}
		p.made = "logistic regression on the network's score and the risk by the clinical forest (fitted on train), fitted on tune"
		if err == nil {
			p.scores, err = m.fitTune([]string{"network", "clinical forest"}, m.s.scores, forest.scores)
		}
	}
	return p, err
}

// rival is one predictor against the network on the test patients that have both.
type rival struct {
	predictor, made string
	cohort          string
	auc             stats.AUCResult // DeLong: ties count half
	noether         stats.AUCResult // the study's test
	network         stats.AUCResult // DeLong, on the same patients
	paired          stats.PairedAUCResult
	permutation     stats.PermutationResult
}

// compare sets each predictor against the network on the test patients with a label
// and both scores. A predictor that these patients cannot judge is an absence.
func compare(ctx context.Context, s *study, ev *evaluation, rivals []predictor, c ComparisonConfig, workers int) ([]rival, []absence, error) {
	test := s.cohort.Of(datasets.Test)
	var out []rival
	var absent []absence
	for _, p := range rivals {
		r, err := against(ctx, s, ev, test, p, c, workers)
		switch {
		case err == nil:
			out = append(out, r)
		case unfit(err):
			absent = append(absent, absence{p.name, err.Error()})
		default:
			return nil, nil, fmt.Errorf("predictor %s: %w", p.name, err)
		}
	}
	return out, absent, nil
}

func against(ctx context.Context, s *study, ev *evaluation, test []int, p predictor, c ComparisonConfig, workers int) (r rival, err error) {
	if p.late {
		if p.scores, err = crossValidated(ctx, s, ev, p.sizes, c, workers); err != nil {
			return r, err
		}
	}
	var network, other []float64
	var dead []bool
	for _, i := range test {
		if alive := ev.outcomes[i].Alive2yr; alive.Valid && scoring.Known(s.scores[i]) && scoring.Known(p.scores[i]) {
			network, other, dead = append(network, s.scores[i]), append(other, p.scores[i]), append(dead, !alive.V)
		}
	}
	r = rival{predictor: p.name, made: p.made, cohort: cohortOf(s, test)}
	if r.auc, err = stats.DeLong(other, dead, Level); err != nil {
		return r, err
	}
	if r.noether, err = stats.Noether(other, dead, Level); err != nil {
		return r, err
	}
	if r.network, err = stats.DeLong(network, dead, Level); err != nil {
		return r, err
	}
	if r.paired, err = stats.DeLongPaired(network, other, dead, Level); err != nil {
		return r, err
	}
	r.permutation, err = stats.PermutationAUC(network, other, dead, stats.Greater, c.Permutations, c.Seed, workers)
	return r, err
}

// combined is one predictor over both treatments.
type combined struct {
	predictor  string
	auc        stats.MetaResult // of AUC - 0.5, shifted back for people
	difference stats.MetaResult // network less predictor
	p          stats.CombinedP  // Stouffer over the one-sided permutation tests
}

// combineTreatments joins the rivals of two treatments that both have, by inverse
// variance with a fixed effect, and their one-sided tests by Stouffer's method with
// the root of the number of patients as weight.
func combineTreatments(a, b []rival) ([]combined, error) {
	var out []combined
	for _, x := range a {
		k := slices.IndexFunc(b, func(y rival) bool { return y.predictor == x.predictor })
		if k < 0 {
			continue
		}
		y := b[k]
		c := combined{predictor: x.predictor}
		var err error
		if c.auc, err = stats.MetaAnalysis([]float64{x.auc.AUC - 0.5, y.auc.AUC - 0.5}, []float64{x.auc.SE, y.auc.SE}, stats.FixedEffect, Level); err != nil {
			return nil, err
		}
		if c.difference, err = stats.MetaAnalysis([]float64{x.paired.Difference, y.paired.Difference}, []float64{x.paired.SE, y.paired.SE}, stats.FixedEffect, Level); err != nil {
			return nil, err
		}
		weights := []float64{math.Sqrt(float64(x.auc.N)), math.Sqrt(float64(y.auc.N))}
		if c.p, err = stats.StoufferCombined([]float64{x.permutation.P, y.permutation.P}, weights); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// comparison is what the analysis found.
type comparison struct {
	rivals  []rival
	absent  []absence
	truth   []truthAUC // of the phantom
	meta    []combined
	another []rival // of the other treatment, behind meta
}

// truthAUC is what a part of the phantom's true hazard reaches in the test role.
type truthAUC struct {
	part string
	auc  stats.AUCResult
}

// fixRivals makes the other predictors of forest_comparison, before the test role is
// opened: their scores are written down with the network's.
func (r *runner) fixRivals(ctx context.Context, s *study) (err error) {
	if slices.Contains(r.cfg.Analyses, analysisComparison) {
		s.rivals, s.absent, err = predictors(ctx, s, r.cfg.Comparison, r.env.Jobs)
	}
	return err
}

// comparison judges the rivals of a study whose test role has been opened.
func (r *runner) comparison(ctx context.Context, s *study, ev *evaluation) (*analysis.Result, error) {
	c := r.cfg.Comparison
	found := &comparison{}
	rivals, lost, err := compare(ctx, s, ev, s.rivals, c, r.env.Jobs)
	if err != nil {
		return nil, err
	}
	found.rivals, found.absent = rivals, slices.Concat(s.absent, lost)
	if found.truth, err = truthAUCs(s, ev); err != nil {
		return nil, err
	}
	if c.Meta {
		if found.another, err = r.otherTreatment(ctx); err != nil {
			return nil, err
		}
		if found.meta, err = combineTreatments(found.rivals, found.another); err != nil {
			return nil, err
		}
	}
	out := &analysis.Result{Lines: found.lines(c.Predictors)}
	if out.Section, out.Figures, err = found.section(c, r.cfg.Data.Source == SourcePublished); err != nil {
		return nil, err
	}
	p := r.provenance()
	measures, err := analysis.MeasuresTable(analysisComparison, found.measures(), p)
	if err != nil {
		return nil, err
	}
	all, err := comparisonTable(slices.Concat(found.rivals, found.another), p)
	if err != nil {
		return nil, err
	}
	out.Tables = []analysis.Table{{Name: analysisComparison, Table: measures}, {Name: "comparison", Table: all}}
	if c.Meta {
		meta, err := metaTable(found.meta, p)
		if err != nil {
			return nil, err
		}
		out.Tables = append(out.Tables, analysis.Table{Name: "comparison_meta", Table: meta})
	}
	return out, nil
}

// truthAUCs are those of the phantom's hazard and of its two parts: what could be known
// from the chart alone, and from a scan alone. nil for real patients.
func truthAUCs(s *study, ev *evaluation) ([]truthAUC, error) {
	if s.made == nil {
		return nil, nil
	}
	seen := s.made.ImageRisk()
	chart := make([]float64, len(seen))
	for i := range seen {
		chart[i] = s.truth[i] - seen[i]
	}
	var out []truthAUC
	for _, t := range []struct {
		part  string
		score []float64
	}{{"whole", s.truth}, {"what scans show", seen}, {"age and stage", chart}} {
		scores, dead := labelled(s, ev, datasets.Test, t.score)
		auc, err := stats.DeLong(scores, dead, Level)
		if err != nil {
			return nil, err
		}
		out = append(out, truthAUC{t.part, auc})
	}
	return out, nil
}

// otherTreatment compares the rivals on the other treatment's tables.
func (r *runner) otherTreatment(ctx context.Context) ([]rival, error) {
	cfg, c := r.cfg, r.cfg.Comparison
	cfg.Data.Published.Treatment = treatmentBeside(cfg.Data.Published.Treatment)
	cfg.Evaluation.Without = nil
	src, err := openPublished(cfg, r.env)
	if err != nil {
		return nil, err
	}
	s, err := src.study(ctx)
	if err != nil {
		return nil, err
	}
	if s.rivals, _, err = predictors(ctx, s, c, r.env.Jobs); err != nil {
		return nil, err
	}
	// Its scores too are on disk before its test role is opened.
	scores, err := scoresOf(s, r.provenance())
	if err != nil {
		return nil, err
	}
	if err := r.folder.writeTable(scoresTable+"_"+cfg.Data.Published.Treatment, scores, false); err != nil {
		return nil, err
	}
	ev, err := evaluate(s, cfg.Evaluation, r.openTest)
	if err != nil {
		return nil, err
	}
	out, _, err := compare(ctx, s, ev, s.rivals, c, r.env.Jobs)
	return out, err
}

func treatmentBeside(t string) string {
	if t == "surgery" {
		return "radiotherapy"
	}
	return "surgery"
}

// measures are the AUCs and their differences in the form of all analyses.
func (c *comparison) measures() []analysis.Measure {
	var out []analysis.Measure
	add := func(name, group string, n int, value, low, high, p float64, method string) {
		out = append(out, analysis.Measure{Name: name, Group: group, N: n, Value: value, Low: table.Finite(low), High: table.Finite(high), P: table.Finite(p), Method: method})
	}
	for _, r := range c.rivals {
		add("auc", r.predictor, r.auc.N, r.auc.AUC, r.auc.Low, r.auc.High, r.noether.P, "DeLong CI; Noether's p against 0.5; "+r.made)
		add("auc_difference", r.predictor, r.auc.N, r.paired.Difference, r.paired.Low, r.paired.High, r.paired.P, "network less predictor, paired DeLong")
		add("auc_difference_permutation", r.predictor, r.auc.N, r.paired.Difference, math.NaN(), math.NaN(), r.permutation.P, fmt.Sprintf("one-sided, for a larger AUC of the network; %d exchanges", r.permutation.Permutations))
	}
	for _, t := range c.truth {
		add("auc", "true hazard: "+t.part, t.auc.N, t.auc.AUC, t.auc.Low, t.auc.High, t.auc.P, "DeLong; no model can beat the whole by honest means")
	}
	return out
}

// lines say for the terminal how far the network is from each rival, and which of those
// that were asked for are not there.
func (c *comparison) lines(asked []string) []string {
	var out []string
	for _, r := range c.rivals {
		out = append(out, fmt.Sprintf("test AUC of %s: %.3f; network less it %.3f (95%% CI %.3f to %.3f), n = %d", predictorWords(r.predictor), r.auc.AUC, r.paired.Difference, r.paired.Low, r.paired.High, r.auc.N))
	}
	for _, a := range c.absent {
		if slices.Contains(asked, a.name) {
			out = append(out, fmt.Sprintf("no %s: %s", predictorWords(a.name), a.why))
		}
	}
	return out
}
