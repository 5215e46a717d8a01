package analysis

import (
	"errors"
	"fmt"
	"strings"

	"hounsfield/datasets"
	"hounsfield/experiments/figure"
	"hounsfield/stats"
)

// stageCurves are survival by stage, and by risk group within stage.
type stageCurves struct {
	n         int
	byStage   []figure.SurvivalGroup
	stageTest *stats.LogRankResult // nil where there is none
	within    []figure.SurvivalGroup
	groupTest *stats.LogRankResult // risk groups, stratified by stage; nil where there is none
	strata    int
}

// earlyStage says whether a stage is 0, I or II.
func earlyStage(stage string) bool {
	number := strings.TrimRight(stage, "ABC")
	return number == "0" || number == "I" || number == "II"
}

func (w *clinicalWork) stageCurves() (*stageCurves, error) {
	stage := w.find("stage")
	if stage == nil {
		return nil, nil
	}
	known := charted(w.patients, []coding{*stage})
	days, died := survivalOf(w.in.Outcomes, known)
	s := &stageCurves{n: len(known), strata: len(stage.levels)}
	level, risk, four := make([]int, len(known)), make([]int, len(known)), make([]int, len(known))
	for k, i := range known {
		level[k], risk[k] = stage.level[i], w.group.level[i]
		if !earlyStage(w.in.Cohort.Patients[i].Stage.V) {
			four[k] = 2
		}
		four[k] += risk[k]
	}
	var err error
	var names []string
	for _, l := range stage.levels {
		names = append(names, "stage "+l)
	}
	if s.byStage, err = survivalGroups(names, level, days, died, w.in.Level); err != nil {
		return nil, err
	}
	if s.within, err = survivalGroups([]string{"I–II, low risk", "I–II, high risk", "III–IV, low risk", "III–IV, high risk"}, four, days, died, w.in.Level); err != nil {
		return nil, err
	}
	if s.stageTest, err = logRankOf(stats.LogRank(days, died, level)); err != nil {
		return nil, err
	}
	s.groupTest, err = logRankOf(stats.LogRank(days, died, risk, stats.LogRankStrata(level)))
	return s, err
}

// logRankOf is nil where groups never overlap at a death.
func logRankOf(r stats.LogRankResult, err error) (*stats.LogRankResult, error) {
	var none *stats.InputError
	switch {
	case err == nil:
		return &r, nil
	case errors.As(err, &none):
		return nil, nil
	}
	return nil, err
}

// survivalGroups are the Kaplan-Meier curves of those groups that have patients.
func survivalGroups(names []string, group []int, days []float64, died []bool, level float64) ([]figure.SurvivalGroup, error) {
	var out []figure.SurvivalGroup
	for g, name := range names {
		f := figure.SurvivalGroup{Name: name}
		for k := range days {
			if group[k] == g {
				f.FollowUp, f.Died = append(f.FollowUp, days[k]), append(f.Died, died[k])
			}
		}
		if len(f.FollowUp) == 0 {
			continue
		}
		curve, err := stats.KaplanMeier(f.FollowUp, f.Died, level)
		if err != nil {
			return nil, err
		}
		f.Days, f.Survival, f.Median = curve.Time, curve.Survival, &figure.Estimate{Value: curve.Median}
		out = append(out, f)
	}
	return out, nil
}

// figures draws the curves. No bands: four of them hide each other.
func (s *stageCurves) figures() ([]Figure, error) {
	draw := func(name, caption string, groups []figure.SurvivalGroup, test *stats.LogRankResult) (Figure, error) {
		plot := figure.SurvivalPlot{Groups: groups, Mark: datasets.TwoYears}
		if test != nil {
			plot.LogRankP = &test.P
		}
		svg, err := figure.KaplanMeier(plot)
		return Figure{Name: name, Caption: caption, SVG: svg}, err
	}
	a, err := draw("clinical-stage", fmt.Sprintf("Survival of the test role by stage (Kaplan-Meier, n = %d). The log-rank test is of any difference.", s.n), s.byStage, s.stageTest)
	if err != nil {
		return nil, err
	}
	b, err := draw("clinical-stage-score", fmt.Sprintf("Survival of the test role by risk group within early and late stages (n = %d). The log-rank test is of low against high risk, stratified by the %d stages.", s.n, s.strata), s.within, s.groupTest)
	return []Figure{a, b}, err
}
