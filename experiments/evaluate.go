package experiments

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/report"
	"hounsfield/stats"
)

// The names of the metrics, as they stand in tables/metrics.arrow.
const (
	metricAUC         = "auc_delong"
	metricAUCNoether  = "auc_noether"
	metricAUCBoot     = "auc_bootstrap"
	metricHighRisk    = "high_risk_patients"
	metricMedianLow   = "median_survival_low_risk"
	metricMedianHigh  = "median_survival_high_risk"
	metricLogRank     = "log_rank_chi_square"
	metricHazardRatio = "hazard_ratio"
	metricHarrellC    = "harrell_c"
	metricUnoC        = "uno_c"
	metricRMST        = "rmst_difference"
)

// metricWords say in the report what a metric is, with its unit and direction.
var metricWords = map[string]string{
	metricAUC:         "AUC for death at two years (DeLong CI)",
	metricAUCNoether:  "AUC for death at two years (Noether CI)",
	metricAUCBoot:     "AUC for death at two years (bootstrap CI)",
	metricHighRisk:    "Patients above the cut (high risk)",
	metricMedianLow:   "Median survival, low risk (days)",
	metricMedianHigh:  "Median survival, high risk (days)",
	metricLogRank:     "Log-rank chi-square, high against low risk",
	metricHazardRatio: "Hazard ratio, high against low risk (Cox)",
	metricHarrellC:    "Harrell's C of the score",
	metricUnoC:        "Uno's C of the score",
	metricRMST:        "Difference in restricted mean survival (days), high less low risk",

	metricAUCOriginal:   "AUC of the original score (DeLong CI)",
	metricAUCRerun:      "AUC of the re-run (DeLong CI)",
	metricAUCDifference: "AUC, re-run less original (paired DeLong)",
	metricAUCNew:        "AUC of the re-run, these patients less those with a released score",
	metricICC1:          "ICC(1): one score, any scorer",
	metricICCA1:         "ICC(A,1): one score, absolute agreement",
	metricICCC1:         "ICC(C,1): one score, consistency",
	metricICCK:          "ICC(k): mean of both, any scorer",
	metricICCAK:         "ICC(A,k): mean of both, absolute agreement",
	metricICCCK:         "ICC(C,k): mean of both, consistency",
	metricBias:          "Bland-Altman bias, re-run less original",
	metricLowerLimit:    "Lower limit of agreement",
	metricUpperLimit:    "Upper limit of agreement",
	metricSpearman:      "Spearman's rank correlation",
	metricMoved:         "Patients who change risk group",
	metricMovedShare:    "Share of patients who change risk group",
	metricGroupKappa:    "Cohen's kappa of the risk groups",
	metricAliveShare:    "Share alive at two years",
}

// scored is one set of scores over all patients of a study, aligned with them.
type scored struct {
	by     string
	values []float64 // risk of death, higher is worse; NaN where there is none
	full   bool      // all statistics, not the AUC alone
	// without names the patients left out; a role that has none of them is not judged again.
	without []string
}

// evaluation is everything judged in a run.
type evaluation struct {
	metrics  []Metric
	cut      float64            // median score of the tune role: high risk is strictly above
	outcomes []datasets.Outcome // aligned with the patients, the test role's included
	survival *riskGroups        // of the test role; nil without survival times
	agreed   []Metric           // a re-run against the original scores, ScoredBy naming the patients; nil without one
	sections []report.Section   // of the report, by analyses beyond the metrics
	found    []string           // their main findings, a line each
	measured []string           // the names of what they measured
}

// riskGroups are the patients of one role split at the cut.
type riskGroups struct {
	low, high stats.SurvivalCurve
	logRank   *stats.LogRankResult // nil when the groups never overlap at a death
	hazard    *stats.CoxTerm       // high against low risk; nil when the Cox fit does not exist
	cohort    string
}

// evaluate judges a study's scores. The cut comes from the tune role's scores
// alone; the test role's outcomes are read last, once, after open has recorded it.
func evaluate(s *study, e EvaluationConfig, open func() error) (*evaluation, error) {
	ev := &evaluation{outcomes: make([]datasets.Outcome, len(s.cohort.Patients))}
	var tune []float64
	for i, p := range s.cohort.Patients {
		if p.Role == datasets.Tune && !math.IsNaN(s.scores[i]) {
			tune = append(tune, s.scores[i])
		}
	}
	var err error
	if ev.cut, err = stats.Median(tune); err != nil {
		return nil, fmt.Errorf("the tune role has no scores to take the cut from: %w", err)
	}
	for _, role := range []datasets.Role{datasets.Train, datasets.Tune, datasets.Test} {
		patients := s.cohort.Of(role)
		if len(patients) == 0 {
			continue
		}
		var outcomes []datasets.Outcome
		if role == datasets.Test {
			outcomes, err = s.cohort.OpenTest(open)
		} else {
			outcomes, err = s.cohort.Outcomes(role)
		}
		if err != nil {
			return nil, err
		}
		for k, i := range patients {
			ev.outcomes[i] = outcomes[k]
		}
		if err := ev.role(s, role, patients, e); err != nil {
			return nil, fmt.Errorf("evaluating the %s role: %w", role, err)
		}
	}
	return ev, nil
}

// role adds the metrics of one role; patients are indices into the study.
func (ev *evaluation) role(s *study, role datasets.Role, patients []int, e EvaluationConfig) error {
	cohort := cohortOf(s, patients)
	for _, sc := range s.all(e.Without) {
		if len(sc.without) > 0 && !slices.ContainsFunc(patients, func(i int) bool { return slices.Contains(sc.without, s.cohort.Patients[i].ID) }) {
			continue
		}
		var scores []float64
		var dead []bool
		for _, i := range patients {
			if alive := ev.outcomes[i].Alive2yr; alive.Valid && !math.IsNaN(sc.values[i]) {
				scores, dead = append(scores, sc.values[i]), append(dead, !alive.V)
			}
		}
		base := Metric{Role: string(role), Cohort: cohort, ScoredBy: sc.by}
		if err := ev.auc(base, scores, dead, sc.full, e); err != nil {
			return err
		}
	}
	return ev.followUp(s, role, cohort, patients, e)
}

// auc adds the AUC of one score. A role with one class only has no AUC: that is
// said by its absence, and is an error for the test role's main score alone.
func (ev *evaluation) auc(base Metric, scores []float64, dead []bool, full bool, e EvaluationConfig) error {
	delong, err := stats.DeLong(scores, dead, Level)
	if err != nil {
		if full && base.Role == string(datasets.Test) {
			return err
		}
		return nil
	}
	base.N, base.Events = delong.N, delong.Positives
	add := func(name, method string, value, low, high, p float64) {
		m := base
		m.Name, m.Method, m.Value, m.Low, m.High, m.P = name, method, value, table.Finite(low), table.Finite(high), table.Finite(p)
		ev.metrics = append(ev.metrics, m)
	}
	add(metricAUC, "DeLong; p two-sided against 0.5", delong.AUC, delong.Low, delong.High, delong.P)
	if !full {
		return nil
	}
	noether, err := stats.Noether(scores, dead, Level)
	if err != nil {
		return err
	}
	add(metricAUCNoether, "Noether; p two-sided against 0.5; score ties left out", noether.AUC, noether.Low, noether.High, noether.P)
	boot, err := stats.BootstrapAUC(scores, dead, e.Bootstrap, e.BootstrapSeed, Level)
	if err != nil {
		return err
	}
	add(metricAUCBoot, fmt.Sprintf("stratified bootstrap, percentile, %d resamples, seed %d", e.Bootstrap, e.BootstrapSeed),
		boot.Estimate, boot.Low, boot.High, math.NaN())
	return nil
}

// followUp adds the survival statistics of a role whose patients have survival
// times: the groups above and below the cut, and the score as it is.
func (ev *evaluation) followUp(s *study, role datasets.Role, cohort string, patients []int, e EvaluationConfig) error {
	var days, scores []float64
	var event, high []bool
	for _, i := range patients {
		o := ev.outcomes[i]
		if o.SurvivalDays.Valid && o.Event.Valid && !math.IsNaN(s.scores[i]) {
			days, event = append(days, o.SurvivalDays.V), append(event, o.Event.V)
			scores, high = append(scores, s.scores[i]), append(high, s.scores[i] > ev.cut)
		}
	}
	nHigh := 0
	for _, h := range high {
		if h {
			nHigh++
		}
	}
	if nHigh == 0 || nHigh == len(high) || !slices.Contains(event, true) {
		return nil // no survival times, or nothing on one side of the cut: no groups to compare
	}
	g, err := splitAtCut(days, event, high)
	if err != nil {
		return err
	}
	g.cohort = cohort
	base := Metric{Role: string(role), Cohort: cohort, ScoredBy: s.scoredBy, N: len(days), Events: g.low.Deaths + g.high.Deaths}
	add := func(name, method string, value, low, high, p float64) {
		m := base
		m.Name, m.Method, m.Value, m.Low, m.High, m.P = name, method, value, table.Finite(low), table.Finite(high), table.Finite(p)
		ev.metrics = append(ev.metrics, m)
	}
	nan := math.NaN()
	add(metricHighRisk, fmt.Sprintf("score > %v, the tune role's median", ev.cut), float64(nHigh), nan, nan, nan)
	add(metricMedianLow, "Kaplan-Meier, log-log CI", g.low.Median, g.low.MedianLow, g.low.MedianHigh, nan)
	add(metricMedianHigh, "Kaplan-Meier, log-log CI", g.high.Median, g.high.MedianLow, g.high.MedianHigh, nan)
	if t := g.logRank; t != nil {
		add(metricLogRank, "log-rank, 1 degree of freedom", t.ChiSquare, nan, nan, t.P)
	}
	if h := g.hazard; h != nil {
		add(metricHazardRatio, "Cox, Efron ties, Wald CI and p", h.HR, h.Low, h.High, h.P)
	}
	var noPair *stats.InputError // nobody outlived a death: there is no such figure
	switch harrell, err := stats.HarrellC(days, event, scores, Level); {
	case err == nil:
		add(metricHarrellC, "Harrell; score ties count one half", harrell.C, harrell.Low, harrell.High, nan)
	case !errors.As(err, &noPair):
		return err
	}
	switch uno, err := stats.UnoC(days, event, scores, math.Inf(1), Level); {
	case err == nil:
		add(metricUnoC, "Uno, inverse probability of censoring weights, no truncation", uno.C, uno.Low, uno.High, nan)
	case !errors.As(err, &noPair):
		return err
	}
	rmst, err := stats.RMSTDifference(days, event, high, e.RMSTDays, Level)
	var tooLate *stats.InputError
	switch {
	case errors.As(err, &tooLate):
		// Follow-up does not reach the horizon in one group: there is no such figure.
	case err != nil:
		return err
	default:
		add(metricRMST, fmt.Sprintf("Kaplan-Meier area to %v days", e.RMSTDays), rmst.Difference, rmst.Low, rmst.High, rmst.P)
	}
	if role == datasets.Test {
		ev.survival = g
	}
	return nil
}

func splitAtCut(days []float64, event, high []bool) (*riskGroups, error) {
	curve := func(want bool) (stats.SurvivalCurve, error) {
		var t []float64
		var e []bool
		for i := range days {
			if high[i] == want {
				t, e = append(t, days[i]), append(e, event[i])
			}
		}
		return stats.KaplanMeier(t, e, Level)
	}
	g := &riskGroups{}
	var err error
	if g.low, err = curve(false); err != nil {
		return nil, err
	}
	if g.high, err = curve(true); err != nil {
		return nil, err
	}
	group, x := make([]int, len(high)), make([][]float64, len(high))
	for i, h := range high {
		x[i] = []float64{0}
		if h {
			group[i], x[i][0] = 1, 1
		}
	}
	// A small cohort may have no such test or fit (groups that never overlap at a
	// death, all deaths on one side): then the run has no such figure, and goes on.
	var noTest *stats.InputError
	var noFit *stats.ConvergenceError
	switch test, err := stats.LogRank(days, event, group); {
	case err == nil:
		g.logRank = &test
	case !errors.As(err, &noTest):
		return nil, err
	}
	switch fit, err := stats.Cox(days, event, x, Level); {
	case err == nil:
		g.hazard = &fit.Terms[0]
	case !errors.As(err, &noFit) && !errors.As(err, &noTest):
		return nil, err
	}
	return g, nil
}

// cohortOf names the cohort of some patients, "all" when they come from several.
func cohortOf(s *study, patients []int) string {
	name := s.cohort.Patients[patients[0]].Cohort
	for _, i := range patients {
		if s.cohort.Patients[i].Cohort != name {
			return "all"
		}
	}
	return name
}

// find is the first metric of a name, role and score.
func find(metrics []Metric, name, role, by string) (Metric, bool) {
	i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name && m.Role == role && (by == "" || m.ScoredBy == by) })
	if i < 0 {
		return Metric{}, false
	}
	return metrics[i], true
}
