package experiments

import (
	"fmt"
	"math"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/scoring"
	"hounsfield/stats"
)

// drawn is one figure of a run: a file in figures/ and a place in the report.
type drawn struct {
	name    string // file name without .svg
	caption string
	svg     []byte
}

// figures draws what a run has to show.
func (r *runner) figures(s *study, ev *evaluation) ([]drawn, error) {
	var out []drawn
	for _, draw := range []func(*study, *evaluation) (*drawn, error){
		r.rocFigure, r.survivalFigure, r.scoreFigure, r.spreadFigure, r.lossesFigure, r.flowFigure,
	} {
		d, err := draw(s, ev)
		if err != nil {
			return nil, err
		}
		if d != nil {
			out = append(out, *d)
		}
	}
	return out, nil
}

// labelled are the scores and labels of one role.
func labelled(s *study, ev *evaluation, role datasets.Role, values []float64) (scores []float64, dead []bool) {
	for _, i := range s.cohort.Of(role) {
		if alive := ev.outcomes[i].Alive2yr; alive.Valid && scoring.Known(values[i]) {
			scores, dead = append(scores, values[i]), append(dead, !alive.V)
		}
	}
	return scores, dead
}

func estimateOf(m Metric) figure.Estimate {
	e := figure.Estimate{Value: m.Value}
	if m.Low.Valid && m.High.Valid {
		e.Low, e.High = m.Low.V, m.High.V
	}
	return e
}

func (r *runner) rocFigure(s *study, ev *evaluation) (*drawn, error) {
	var plot figure.ROCPlot
	add := func(name, by string, values []float64, withBand bool) error {
		m, ok := find(ev.metrics, metricAUC, string(datasets.Test), by)
		if !ok {
			return nil
		}
		scores, dead := labelled(s, ev, datasets.Test, values)
		curve, err := stats.ROC(scores, dead)
		if err != nil {
			return err
		}
		c := figure.ROCCurve{Name: name, FPR: curve.FPR, TPR: curve.TPR, AUC: estimateOf(m), N: m.N, Events: m.Events}
		if withBand {
			band, err := stats.ROCBand(scores, dead, nil, r.cfg.Evaluation.Bootstrap, r.cfg.Evaluation.BootstrapSeed, Level)
			if err != nil {
				return err
			}
			c.BandFPR, c.Low, c.High = band.FPR, band.Low, band.High
		}
		plot.Curves = append(plot.Curves, c)
		return nil
	}
	if err := add(s.scoredBy, s.scoredBy, s.scores, true); err != nil {
		return nil, err
	}
	if s.truth != nil {
		if err := add(scoredByTruth, scoredByTruth, s.truth, false); err != nil {
			return nil, err
		}
	}
	if len(plot.Curves) == 0 {
		return nil, nil
	}
	svg, err := figure.ROC(plot)
	caption := fmt.Sprintf("ROC curve of the risk score for death at two years in the test role, with a pointwise 95%% band from %d stratified bootstrap resamples. AUC with DeLong's interval.", r.cfg.Evaluation.Bootstrap)
	if s.truth != nil {
		caption += " The true hazard is what the survival times were drawn from: no model can beat it by honest means."
	}
	return &drawn{"roc", caption, svg}, err
}

func (r *runner) survivalFigure(s *study, ev *evaluation) (*drawn, error) {
	g := ev.survival
	if g == nil {
		return nil, nil
	}
	group := func(name string, c stats.SurvivalCurve, high bool) figure.SurvivalGroup {
		out := figure.SurvivalGroup{Name: name, Days: c.Time, Survival: c.Survival, Low: c.Low, High: c.High,
			Median: &figure.Estimate{Value: c.Median}}
		for _, i := range s.cohort.Of(datasets.Test) {
			o := ev.outcomes[i]
			if o.SurvivalDays.Valid && o.Event.Valid && scoring.Known(s.scores[i]) && (s.scores[i] > ev.cut) == high {
				out.FollowUp, out.Died = append(out.FollowUp, o.SurvivalDays.V), append(out.Died, o.Event.V)
			}
		}
		return out
	}
	plot := figure.SurvivalPlot{Groups: []figure.SurvivalGroup{group("low risk", g.low, false), group("high risk", g.high, true)},
		Mark: datasets.TwoYears, Contrast: "high against low risk"}
	if g.logRank != nil {
		plot.LogRankP = &g.logRank.P
	}
	if hr := g.hazard; hr != nil && table.Finite(hr.Low).Valid && table.Finite(hr.High).Valid {
		plot.HazardRatio = &figure.Estimate{Value: hr.HR, Low: hr.Low, High: hr.High}
	}
	svg, err := figure.KaplanMeier(plot)
	return &drawn{"kaplan-meier", fmt.Sprintf("Kaplan-Meier survival of the test role (%s), split at the tune role's median score: high risk is a score above %.7g. Bands are pointwise 95%% intervals (Greenwood, log-log).", g.cohort, ev.cut), svg}, err
}

func (r *runner) scoreFigure(s *study, ev *evaluation) (*drawn, error) {
	scores, dead := labelled(s, ev, datasets.Test, s.scores)
	var alive, died []float64
	for i, d := range dead {
		if d {
			died = append(died, scores[i])
		} else {
			alive = append(alive, scores[i])
		}
	}
	svg, err := figure.ScoreDistribution(figure.ScorePlot{
		Groups:  []figure.ScoreGroup{{Name: "alive at two years", Scores: alive}, {Name: "dead at two years", Scores: died}},
		Cut:     &ev.cut,
		CutName: "median of the tune role",
	})
	return &drawn{"scores", "Risk scores of the test role by what became of the patients.", svg}, err
}

// spreadFigure sets the AUCs of all roles and seeds under one another.
func (r *runner) spreadFigure(s *study, ev *evaluation) (*drawn, error) {
	var plot figure.ForestPlot
	for _, role := range []datasets.Role{datasets.Test, datasets.Tune, datasets.Train} {
		for _, sc := range s.all(r.cfg.Evaluation.Without) {
			m, ok := find(ev.metrics, metricAUC, string(role), sc.by)
			if !ok {
				continue
			}
			plot.Rows = append(plot.Rows, figure.ForestRow{Group: string(role) + " role", Name: sc.by, Estimate: estimateOf(m), N: m.N, Summary: sc.full})
		}
	}
	if len(plot.Rows) == 0 {
		return nil, nil
	}
	plot.Lines = []figure.ForestLine{{Name: "chance", At: 0.5}}
	if m, ok := find(ev.metrics, metricAUC, string(datasets.Test), scoredByTruth); ok {
		plot.Lines = append(plot.Lines, figure.ForestLine{Name: "true hazard, test", At: m.Value})
	}
	svg, err := figure.Forest(plot)
	return &drawn{"auc-by-role", "AUC for death at two years with DeLong's 95% interval, by role and by who scored.", svg}, err
}

// flowFigure shows what became of every patient. A patient without a two-year label
// is scored but has no part in an AUC.
func (r *runner) flowFigure(s *study, ev *evaluation) (*drawn, error) {
	read := len(s.cohort.Patients)
	lost := map[string]int{}
	for i := range s.cohort.Patients {
		if !scoring.Known(s.scores[i]) {
			lost["no score"]++
		} else if !ev.outcomes[i].Alive2yr.Valid {
			lost["no two-year label"]++
		}
	}
	first := figure.FlowStep{Name: "Patients read", N: read}
	analysed := read
	for _, reason := range []string{"no score", "no two-year label"} {
		if n := lost[reason]; n > 0 {
			first.Lost = append(first.Lost, figure.FlowLoss{Reason: reason, N: n})
			analysed -= n
		}
	}
	plot := figure.FlowPlot{Steps: []figure.FlowStep{first, {Name: "Analysed at two years", N: analysed}}}
	for _, role := range []datasets.Role{datasets.Train, datasets.Tune, datasets.Test} {
		scores, dead := labelled(s, ev, role, s.scores)
		if len(scores) == 0 {
			continue
		}
		n := 0
		for _, d := range dead {
			if d {
				n++
			}
		}
		plot.Ends = append(plot.Ends, figure.FlowEnd{Name: string(role) + " role", N: len(scores), Detail: fmt.Sprintf("%d died, %d alive", n, len(scores)-n)})
	}
	svg, err := figure.Flow(plot)
	return &drawn{"flow", "Patients from reading to the two-year analysis; every one who leaves stands in tables/exclusions.arrow or has a null label in tables/predictions.arrow.", svg}, err
}

// writeFigures puts the figures into the run folder.
func (f *Folder) writeFigures(all []drawn) error {
	for _, d := range all {
		if err := writeFile(f.path("figures", d.name+".svg"), d.svg); err != nil {
			return err
		}
	}
	return nil
}

// shown writes a number for people: as many decimals as its size deserves.
func shown(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "not reached"
	}
	return fmt.Sprintf("%.*f", decimals, v)
}
