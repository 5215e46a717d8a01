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
	"hounsfield/experiments/scoring"
	"hounsfield/stats"
)

// ComparisonConfig names other predictors to judge beside the network on the same
// test patients. No predictors, no comparison.
type ComparisonConfig struct {
	Predictors   []string `yaml:"predictors"`   // see predictorNames
	Features     int      `yaml:"features"`     // how many mRMR keeps for forest-mrmr
	Trees        int      `yaml:"trees"`        // of each forest
	Permutations int      `yaml:"permutations"` // of the one-sided test that the network has the larger AUC
	Folds        int      `yaml:"folds"`        // of the cross-validated clinical forest
	Repeats      int      `yaml:"repeats"`      // of its folds
	Seed         uint64   `yaml:"seed"`
	Meta         bool     `yaml:"meta"` // also combine both treatments by meta-analysis
}

// The predictors a comparison can name.
const (
	predictVolume         = "volume"
	predictDiameter       = "diameter"
	predictForest         = "forest"
	predictForestMRMR     = "forest-mrmr"
	predictForestClinical = "forest-clinical"
	predictLogistic       = "logistic-network-volume"
	predictLogisticAll    = "logistic-network-volume-diameter"
)

var predictorNames = []string{predictVolume, predictDiameter, predictForest, predictForestMRMR, predictForestClinical,
	predictLogistic, predictLogisticAll}

// The engineered features that are predictors by themselves.
const (
	volumeFeature   = "original_shape_Volume"
	diameterFeature = "original_shape_Maximum2DDiameterSlice"
)

// predictor is a rival of the network: a score for every patient, fixed before the
// test role is opened.
type predictor struct {
	name   string
	scores []float64 // higher is worse; NaN where there is none
	made   string    // from what, in words
	// late predictors are fitted by cross-validation inside the test cohort itself,
	// because no other cohort has their inputs; they have no scores before.
	late bool
}

// predictors makes the rivals a config names. Only train and tune outcomes are read.
func predictors(s *study, c ComparisonConfig, workers int) ([]predictor, error) {
	var out []predictor
	for _, name := range c.Predictors {
		p := predictor{name: name}
		var err error
		switch name {
		case predictVolume:
			p.made = "tumour volume, larger is worse; nothing fitted"
			p.scores, err = featureScores(s, volumeFeature)
		case predictDiameter:
			p.made = "largest diameter in a slice, larger is worse; nothing fitted"
			p.scores, err = featureScores(s, diameterFeature)
		case predictForest:
			p.made = fmt.Sprintf("random forest of %d trees on all engineered features (those that at most a tenth of train and tune lack), fitted on train", c.Trees)
			p.scores, err = forestScores(s, c, 0, workers)
		case predictForestMRMR:
			p.made = fmt.Sprintf("random forest of %d trees on %d engineered features chosen by mRMR on tune, fitted on train", c.Trees, c.Features)
			p.scores, err = forestScores(s, c, c.Features, workers)
		case predictForestClinical:
			p.made = fmt.Sprintf("random forest of %d trees on age, sex, TNM, stage and histology, out-of-fold by %d times repeated %d-fold nested cross-validation inside the test cohort: no other cohort's clinical data are public", c.Trees, c.Repeats, c.Folds)
			p.late = true
		case predictLogistic:
			p.made = "logistic regression on the network's score and the logarithm of volume, fitted on tune"
			p.scores, err = logisticScores(s, volumeFeature)
		case predictLogisticAll:
			p.made = "logistic regression on the network's score and the logarithms of volume and diameter, fitted on tune"
			p.scores, err = logisticScores(s, volumeFeature, diameterFeature)
		}
		if err != nil {
			return nil, fmt.Errorf("predictor %s: %w", name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// featureScores are a feature as it stands.
func featureScores(s *study, name string) ([]float64, error) {
	f, err := s.cohort.Feature(name)
	if err != nil {
		return nil, err
	}
	return f.Values, nil
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
// and both scores.
func compare(ctx context.Context, s *study, ev *evaluation, rivals []predictor, c ComparisonConfig, workers int) ([]rival, error) {
	test := s.cohort.Of(datasets.Test)
	var out []rival
	for _, p := range rivals {
		if p.late {
			scores, err := clinicalForest(ctx, s, ev, c, workers)
			if err != nil {
				return nil, fmt.Errorf("predictor %s: %w", p.name, err)
			}
			if scores == nil {
				continue // the cohort has no clinical columns; the report says so
			}
			p.scores = scores
		}
		var network, other []float64
		var dead []bool
		for _, i := range test {
			if alive := ev.outcomes[i].Alive2yr; alive.Valid && scoring.Known(s.scores[i]) && scoring.Known(p.scores[i]) {
				network, other, dead = append(network, s.scores[i]), append(other, p.scores[i]), append(dead, !alive.V)
			}
		}
		r := rival{predictor: p.name, made: p.made, cohort: cohortOf(s, test)}
		var err error
		if r.auc, err = stats.DeLong(other, dead, Level); err != nil {
			return nil, fmt.Errorf("predictor %s: %w", p.name, err)
		}
		if r.noether, err = stats.Noether(other, dead, Level); err != nil {
			return nil, fmt.Errorf("predictor %s: %w", p.name, err)
		}
		if r.network, err = stats.DeLong(network, dead, Level); err != nil {
			return nil, err
		}
		if r.paired, err = stats.DeLongPaired(network, other, dead, Level); err != nil {
			return nil, err
		}
		if r.permutation, err = stats.PermutationAUC(network, other, dead, stats.Greater, c.Permutations, c.Seed, workers); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
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

// comparison is what a run's comparison found.
type comparison struct {
	rivals  []rival
	absent  []string // predictors the cohort has no data for
	meta    []combined
	another []rival // of the other treatment, behind meta
}

// comparison judges the rivals of a study whose test role has been opened, and writes
// tables, figures and a section of the report.
func (r *runner) comparison(ctx context.Context, s *study, ev *evaluation) error {
	c := r.cfg.Comparison
	if len(c.Predictors) == 0 {
		return nil
	}
	found := &comparison{}
	var err error
	if found.rivals, err = compare(ctx, s, ev, s.rivals, c, r.env.Jobs); err != nil {
		return err
	}
	for _, name := range c.Predictors {
		if !slices.ContainsFunc(found.rivals, func(x rival) bool { return x.predictor == name }) {
			found.absent = append(found.absent, name)
		}
	}
	if c.Meta {
		if found.another, err = r.otherTreatment(ctx); err != nil {
			return err
		}
		if found.meta, err = combineTreatments(found.rivals, found.another); err != nil {
			return err
		}
	}
	section, figures, err := comparisonSection(found, c)
	if err != nil {
		return err
	}
	ev.sections = append(ev.sections, section)
	p := r.provenance()
	rivals, err := comparisonTable(slices.Concat(found.rivals, found.another), p)
	if err != nil {
		return err
	}
	if err := errors.Join(r.folder.writeTable("comparison", rivals, true), r.folder.writeFigures(figures)); err != nil || !c.Meta {
		return err
	}
	meta, err := metaTable(found.meta, p)
	if err != nil {
		return err
	}
	return r.folder.writeTable("comparison_meta", meta, true)
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
	made, err := predictors(s, c, r.env.Jobs)
	if err != nil {
		return nil, err
	}
	// Its scores too are on disk before its test role is opened.
	s.rivals = made
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
	return compare(ctx, s, ev, made, c, r.env.Jobs)
}

func treatmentBeside(t string) string {
	if t == "surgery" {
		return "radiotherapy"
	}
	return "surgery"
}

func comparisonSchema() table.Schema {
	number := func(name, about string) table.Column {
		return table.Column{Name: name, Type: table.Float64, Nullable: true, Description: about}
	}
	return table.Schema{Name: "comparison", Columns: []table.Column{
		{Name: "predictor", Type: table.String},
		{Name: "cohort", Type: table.String},
		{Name: "made", Type: table.String, Description: "from what, and where fitted"},
		{Name: "n", Type: table.Int64, Description: "test patients with a label and both scores"},
		{Name: "events", Type: table.Int64, Description: "of them dead at two years"},
		{Name: "auc", Type: table.Float64, Description: "score ties count half"}, number("auc_low", "DeLong"), number("auc_high", "DeLong"), number("auc_p", "Noether, two-sided against 0.5; score ties left out"),
		{Name: "network_auc", Type: table.Float64, Description: "of the network on the same patients"},
		number("difference", "AUC of the network less that of the predictor"), number("difference_low", "paired DeLong"), number("difference_high", "paired DeLong"),
		number("p_delong", "paired, two-sided"), number("p_permutation", "one-sided: the network has the larger AUC"),
	}}
}

func comparisonTable(rivals []rival, provenance map[string]string) (*table.Table, error) {
	text, numbers, counts := map[string][]string{}, map[string][]float64{}, map[string][]int64{}
	for _, r := range rivals {
		for name, v := range map[string]string{"predictor": r.predictor, "cohort": r.cohort, "made": r.made} {
			text[name] = append(text[name], v)
		}
		for name, v := range map[string]int{"n": r.auc.N, "events": r.auc.Positives} {
			counts[name] = append(counts[name], int64(v))
		}
		for name, v := range map[string]float64{
			"auc": r.auc.AUC, "auc_low": r.auc.Low, "auc_high": r.auc.High, "auc_p": r.noether.P, "network_auc": r.network.AUC,
			"difference": r.paired.Difference, "difference_low": r.paired.Low, "difference_high": r.paired.High,
			"p_delong": r.paired.P, "p_permutation": r.permutation.P,
		} {
			numbers[name] = append(numbers[name], v)
		}
	}
	data := map[string]any{}
	for name, v := range text {
		data[name] = v
	}
	for name, v := range counts {
		data[name] = v
	}
	for name, v := range numbers {
		data[name] = v
	}
	return table.New(comparisonSchema(), provenance, data)
}

func metaTable(all []combined, provenance map[string]string) (*table.Table, error) {
	n := len(all)
	pick := func(f func(combined) float64) []float64 {
		out := make([]float64, n)
		for i, c := range all {
			out[i] = f(c)
		}
		return out
	}
	names := make([]string, n)
	for i, c := range all {
		names[i] = c.predictor
	}
	column := func(name, about string) table.Column {
		return table.Column{Name: name, Type: table.Float64, Nullable: true, Description: about}
	}
	return table.New(table.Schema{Name: "comparison_meta", Columns: []table.Column{
		{Name: "predictor", Type: table.String},
		column("auc", "both treatments, inverse variance, fixed effect"), column("auc_low", ""), column("auc_high", ""),
		column("difference", "AUC of the network less that of the predictor, both treatments"), column("difference_low", ""), column("difference_high", ""),
		column("p_difference", "two-sided"), column("i2", "share of the difference's variation beyond chance"), column("q_p", "chance of the heterogeneity seen"),
		column("p_stouffer", "one-sided permutation tests of both treatments, weighted by the root of n"),
	}}, provenance, map[string]any{
		"predictor": names,
		"auc":       pick(func(c combined) float64 { return c.auc.Estimate + 0.5 }),
		"auc_low":   pick(func(c combined) float64 { return c.auc.Low + 0.5 }), "auc_high": pick(func(c combined) float64 { return c.auc.High + 0.5 }),
		"difference": pick(func(c combined) float64 { return c.difference.Estimate }), "difference_low": pick(func(c combined) float64 { return c.difference.Low }),
		"difference_high": pick(func(c combined) float64 { return c.difference.High }), "p_difference": pick(func(c combined) float64 { return c.difference.P }),
		"i2": pick(func(c combined) float64 { return c.difference.I2 }), "q_p": pick(func(c combined) float64 { return c.difference.QP }),
		"p_stouffer": pick(func(c combined) float64 { return c.p.P }),
	})
}

// predictorWords name a predictor in figures and tables.
func predictorWords(name string) string {
	words := map[string]string{
		predictForest: "forest, all features", predictForestMRMR: "forest, mRMR features", predictForestClinical: "forest, clinical",
		predictLogistic: "network + volume", predictLogisticAll: "network + volume + diameter",
	}
	if w, ok := words[name]; ok {
		return w
	}
	return strings.ReplaceAll(name, "-", " ")
}
