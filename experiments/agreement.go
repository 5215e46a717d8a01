package experiments

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/analysis"
	"hounsfield/experiments/scoring"
	"hounsfield/stats"
)

// The metrics of a re-run against the original scores, as they stand in
// tables/agreement.arrow. Every difference is re-run less original.
const (
	metricAUCOriginal   = "auc_original"
	metricAUCRerun      = "auc_rerun"
	metricAUCDifference = "auc_difference"
	metricAUCNew        = "auc_rerun_less_released"
	metricICC1          = analysis.ICC1
	metricICCA1         = analysis.ICCA1
	metricICCC1         = analysis.ICCC1
	metricICCK          = analysis.ICCK
	metricICCAK         = analysis.ICCAK
	metricICCCK         = analysis.ICCCK
	metricBias          = analysis.Bias
	metricLowerLimit    = analysis.LowerLimit
	metricUpperLimit    = analysis.UpperLimit
	metricSpearman      = analysis.Spearman
	metricMoved         = analysis.Moved
	metricMovedShare    = analysis.MovedShare
	metricGroupKappa    = analysis.GroupKappa
	metricAliveShare    = "alive_2yr"
)

// Whom an agreement stands on, among the test patients.
const (
	groupReleased = "released" // those with a released score
	groupNew      = "new"      // those without one, whom the first study did not report
	// Those of them with age, stage and a known histology, as all released ones have.
	groupNewComplete = "new, complete record"
)

const (
	agreementTable = "agreement"
	repeatsTable   = "repeats"
)

// agreementGroup is a set of test patients with all that is known of them; slices are
// aligned. What is null or not there is NaN.
type agreementGroup struct {
	name            string
	patients        []int // indices into the study
	original, rerun []float64
	alive           []table.Null[bool]
}

// labelled are the scores of patients with a two-year label.
func (g agreementGroup) labelled() (original, rerun []float64, dead []bool) {
	for i, a := range g.alive {
		if a.Valid {
			original, rerun, dead = append(original, g.original[i]), append(rerun, g.rerun[i]), append(dead, !a.V)
		}
	}
	return original, rerun, dead
}

// pairs are the two scores of each patient.
func (g agreementGroup) pairs() analysis.Pairs {
	return analysis.Pairs{First: g.original, Second: g.rerun, FirstName: "original", SecondName: "re-run", Group: g.name, Level: Level}
}

// agreementGroups splits the test patients of a re-run. The released are first.
func agreementGroups(s *study, ev *evaluation, without []string) []agreementGroup {
	group := func(name string, of func(i int) bool) agreementGroup {
		g := agreementGroup{name: name}
		for _, i := range s.cohort.Of(datasets.Test) {
			if scoring.Known(s.scores[i]) && of(i) {
				g.patients = append(g.patients, i)
				g.original, g.rerun = append(g.original, s.original[i]), append(g.rerun, s.scores[i])
				g.alive = append(g.alive, ev.outcomes[i].Alive2yr)
			}
		}
		return g
	}
	released := func(i int) bool { return scoring.Known(s.original[i]) }
	out := []agreementGroup{group(groupReleased, released)}
	left := slices.DeleteFunc(slices.Clone(without), func(id string) bool {
		return !slices.ContainsFunc(out[0].patients, func(i int) bool { return s.cohort.Patients[i].ID == id })
	})
	if len(left) > 0 {
		out = append(out, group(groupReleased+" without "+strings.Join(left, ", "), func(i int) bool {
			return released(i) && !slices.Contains(left, s.cohort.Patients[i].ID)
		}))
	}
	out = append(out, group(groupNew, func(i int) bool { return !released(i) }),
		group(groupNewComplete, func(i int) bool {
			p := s.cohort.Patients[i]
			return !released(i) && p.Age.Valid && p.Stage.Valid && p.Histology.Valid && p.Histology.V != "nos"
		}))
	return slices.DeleteFunc(out, func(g agreementGroup) bool { return len(g.patients) == 0 })
}

// agreement holds a re-run against the scores it repeats, when the study is one: it adds
// metrics, tables, figures and a section of the report.
func (r *runner) agreement(s *study, ev *evaluation) error {
	if s.original == nil {
		return nil
	}
	groups := agreementGroups(s, ev, r.cfg.Evaluation.Without)
	if len(groups) == 0 || groups[0].name != groupReleased {
		return errors.New("no test patient has both a re-run and a released score: there is nothing to compare")
	}
	for _, g := range groups {
		metrics, err := agreementMetrics(g, groups[0], ev.cut)
		if err != nil {
			return fmt.Errorf("agreement of the patients %q: %w", g.name, err)
		}
		ev.agreed = append(ev.agreed, metrics...)
	}
	p := r.provenance()
	agreed, err := agreementTableOf(ev.agreed, p)
	if err != nil {
		return err
	}
	repeats, err := repeatsTableOf(s, ev.cut, p)
	if err != nil {
		return err
	}
	figures, err := agreementFigures(groups, ev)
	if err != nil {
		return err
	}
	ev.sections = append(ev.sections, agreementSection(s, ev, groups, figures))
	return errors.Join(r.folder.writeTable(agreementTable, agreed, true), r.folder.writeTable(repeatsTable, repeats, false), r.folder.writeFigures(figures))
}

// agreementMetrics are all figures of one group. What cannot be had of it (no AUC of one
// class, no ICC of one patient) is left out.
func agreementMetrics(g, released agreementGroup, cut float64) ([]Metric, error) {
	m := &agreementSteps{group: g.name}
	original, rerun, dead := g.labelled()
	m.alive(dead)
	m.auc(metricAUCRerun, rerun, dead)
	if scoring.Known(g.original[0]) { // then all patients of the group have a released score
		m.auc(metricAUCOriginal, original, dead)
		m.try(func() error {
			d, err := stats.DeLongPaired(rerun, original, dead, Level)
			m.add(err, metricAUCDifference, "paired DeLong; p two-sided", d.N, d.Difference, d.Low, d.High, d.P)
			return err
		})
		m.try(func() error { return m.take(g.pairs().Repeatability()) })
		m.try(func() error { return m.take(g.pairs().RiskGroups(cut)) })
		return m.out, m.err
	}
	m.try(func() error {
		_, other, otherDead := released.labelled()
		d, err := stats.DeLongUnpaired(rerun, dead, other, otherDead, Level)
		m.add(err, metricAUCNew, "less the AUC of the re-run in the patients with a released score; unpaired DeLong, Welch's t, p two-sided", d.A.N+d.B.N, d.Difference, d.Low, d.High, d.P)
		return err
	})
	return m.out, m.err
}

// agreementSteps collects the metrics of one group.
type agreementSteps struct {
	group string
	out   []Metric
	err   error // the first that is not a group too small for the figure
}

// try takes one step, unless one before it failed.
func (m *agreementSteps) try(step func() error) {
	if m.err != nil {
		return
	}
	var none *stats.InputError
	if err := step(); err != nil && !errors.As(err, &none) {
		m.err = err
	}
}

// add adds a metric that could be had, when err is nil. NaN limits and p are null.
func (m *agreementSteps) add(err error, name, method string, n int, value, low, high, p float64) {
	if err == nil {
		m.out = append(m.out, Metric{Name: name, Role: string(datasets.Test), ScoredBy: m.group, N: n,
			Value: value, Low: table.Finite(low), High: table.Finite(high), P: table.Finite(p), Method: method})
	}
}

func (m *agreementSteps) alive(dead []bool) {
	alive := 0
	for _, d := range dead {
		if !d {
			alive++
		}
	}
	m.try(func() error {
		a, err := stats.ProportionCI(alive, len(dead), stats.Wilson, Level)
		m.add(err, metricAliveShare, "of those with a two-year label; Wilson CI", a.Trials, a.Estimate, a.Low, a.High, math.NaN())
		return err
	})
}

func (m *agreementSteps) auc(name string, scores []float64, dead []bool) {
	m.try(func() error {
		a, err := stats.DeLong(scores, dead, Level)
		m.add(err, name, "DeLong; p two-sided against 0.5", a.N, a.AUC, a.Low, a.High, a.P)
		return err
	})
}

// take adds measures of the two scores as metrics.
func (m *agreementSteps) take(measures []analysis.Measure, err error) error {
	for _, x := range measures {
		m.out = append(m.out, Metric{Name: x.Name, Role: string(datasets.Test), ScoredBy: x.Group, N: x.N, Value: x.Value, Low: x.Low, High: x.High, P: x.P, Method: x.Method})
	}
	return err
}

func agreementTableOf(metrics []Metric, provenance map[string]string) (*table.Table, error) {
	return table.New(table.Schema{Name: agreementTable, Columns: []table.Column{
		{Name: "metric", Type: table.String, Description: "differences are re-run less original"},
		{Name: "group", Type: table.String, Description: "test patients: released = with a released score; new = without one; complete record = with age, stage and a known histology"},
		{Name: "n", Type: table.Int64, Description: "patients the figure stands on"},
		{Name: "value", Type: table.Float64, Nullable: true},
		{Name: "low", Type: table.Float64, Nullable: true, Description: "lower confidence limit"},
		{Name: "high", Type: table.Float64, Nullable: true, Description: "upper confidence limit"},
		{Name: "p", Type: table.Float64, Nullable: true},
		{Name: "method", Type: table.String},
	}}, provenance, map[string]any{
		"metric": table.ColumnOf(metrics, func(m Metric) string { return m.Name }),
		"group":  table.ColumnOf(metrics, func(m Metric) string { return m.ScoredBy }),
		"n":      table.ColumnOf(metrics, func(m Metric) int64 { return int64(m.N) }),
		"value":  table.ColumnOf(metrics, func(m Metric) table.Null[float64] { return table.Finite(m.Value) }),
		"low":    table.ColumnOf(metrics, func(m Metric) table.Null[float64] { return m.Low }),
		"high":   table.ColumnOf(metrics, func(m Metric) table.Null[float64] { return m.High }),
		"p":      table.ColumnOf(metrics, func(m Metric) table.Null[float64] { return m.P }),
		"method": table.ColumnOf(metrics, func(m Metric) string { return m.Method }),
	})
}

// repeatsTableOf has both scores and risk groups of every test patient.
func repeatsTableOf(s *study, cut float64, provenance map[string]string) (*table.Table, error) {
	rows := s.cohort.Of(datasets.Test)
	score := func(of []float64) []table.Null[float64] {
		return table.ColumnOf(rows, func(i int) table.Null[float64] { return table.Finite(of[i]) })
	}
	group := func(of []float64) []table.Null[string] {
		return table.ColumnOf(rows, func(i int) table.Null[string] {
			if !scoring.Known(of[i]) {
				return table.Null[string]{}
			}
			return table.Some(groupName(of[i] > cut))
		})
	}
	sides := []string{"low", "high"}
	return table.New(table.Schema{Name: repeatsTable, Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true},
		{Name: "original", Type: table.Float64, Nullable: true, Direction: riskDirection, Description: "the released score; null where there is none"},
		{Name: "rerun", Type: table.Float64, Nullable: true, Direction: riskDirection, Source: s.scoreSource},
		{Name: "original_risk_group", Type: table.String, Nullable: true, Allowed: sides},
		{Name: "rerun_risk_group", Type: table.String, Nullable: true, Allowed: sides},
	}}, provenance, map[string]any{
		"patient_id":          table.ColumnOf(rows, func(i int) string { return s.cohort.Patients[i].ID }),
		"original":            score(s.original),
		"rerun":               score(s.scores),
		"original_risk_group": group(s.original),
		"rerun_risk_group":    group(s.scores),
	})
}
