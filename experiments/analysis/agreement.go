package analysis

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"hounsfield/datasets/table"
	"hounsfield/stats"
)

// Names of the measures of agreement between measurements of the same patients. Every
// difference is second less first.
const (
	ICC1       = "ICC(1)"
	ICCA1      = "ICC(A,1)"
	ICCC1      = "ICC(C,1)"
	ICCK       = "ICC(k)"
	ICCAK      = "ICC(A,k)"
	ICCCK      = "ICC(C,k)"
	Bias       = "bland_altman_bias"
	LowerLimit = "bland_altman_lower"
	UpperLimit = "bland_altman_upper"
	Spearman   = "spearman"
	Moved      = "risk_group_changes"
	MovedShare = "risk_group_change_share"
	GroupKappa = "risk_group_kappa"

	withinSD      = "within_patient_sd"
	repeatability = "repeatability_coefficient"
	concordance   = "lin_ccc"
	withinCV      = "within_patient_cv"
)

// Pairs are two measurements of each patient, aligned, on one scale.
type Pairs struct {
	First, Second         []float64
	FirstName, SecondName string // such as "original" and "re-run"
	Group                 string // whose they are, for Measure.Group
	What                  string // what is measured, in the plural; "scores" when empty
	Level                 float64
}

// Repeatability measures how well the second measurement repeats the first: the six forms of the ICC,
// Bland and Altman's bias and limits, Spearman. What too few patients do not have is left out.
func (p Pairs) Repeatability() ([]Measure, error) {
	m := &measuring{group: p.Group, level: p.Level}
	m.icc(p.ratings(), cmp.Or(p.What, "scores"))
	m.try(func() error {
		b, err := stats.BlandAltman(p.Second, p.First, p.Level, p.Level)
		limit := fmt.Sprintf("within which %.0f%% of the differences are expected; exact CI by the noncentral t distribution", 100*p.Level)
		m.add(err, Bias, "mean of "+p.SecondName+" less "+p.FirstName+"; Student's t, p two-sided against 0", b.N, b.Bias, b.P)
		m.add(err, LowerLimit, limit, b.N, b.Lower, math.NaN())
		m.add(err, UpperLimit, limit, b.N, b.Upper, math.NaN())
		return err
	})
	m.spearman(p.First, p.Second, Spearman, "")
	return m.out, m.err
}

// RiskGroups measures how often the two scores put a patient on different sides of the
// cut; high risk is strictly above.
func (p Pairs) RiskGroups(cut float64) ([]Measure, error) {
	m := &measuring{group: p.Group, level: p.Level}
	moved, n := len(p.Moved(cut)), len(p.First)
	m.add(nil, Moved, fmt.Sprintf("high risk is a score > %v, the tune role's median, for both", cut), n, plain(float64(moved)), math.NaN())
	m.share(MovedShare, "of all; Wilson CI", moved, n)
	was, is := make([]int, n), make([]int, n)
	for i := range was {
		was[i], is[i] = side(p.First[i] > cut), side(p.Second[i] > cut)
	}
	m.try(func() error {
		k, err := stats.CohenKappa(was, is, 2, stats.UnweightedKappa, p.Level)
		m.add(err, GroupKappa, "unweighted; p two-sided against 0", k.N, stats.Interval{Estimate: k.Kappa, Low: k.Low, High: k.High}, k.P)
		return err
	})
	return m.out, m.err
}

// Moved are the places of patients whom the two scores put on different sides of the cut.
func (p Pairs) Moved(cut float64) []int {
	var out []int
	for i := range p.First {
		if (p.First[i] > cut) != (p.Second[i] > cut) {
			out = append(out, i)
		}
	}
	return out
}

func (p Pairs) ratings() [][]float64 {
	out := make([][]float64, len(p.First))
	for i := range out {
		out[i] = []float64{p.First[i], p.Second[i]}
	}
	return out
}

// precision measures the error of a single measurement, beyond Repeatability.
func (p Pairs) precision() ([]Measure, error) {
	m := &measuring{group: p.Group, level: p.Level}
	m.precision(p.ratings())
	m.try(func() error {
		l, err := stats.LinCCC(p.First, p.Second, p.Level)
		m.add(err, concordance, "Lin's concordance correlation; CI on Fisher's z", l.N, l.CCC, math.NaN())
		return err
	})
	return m.out, m.err
}

// side numbers the risk groups for kappa.
func side(high bool) int {
	if high {
		return 1
	}
	return 0
}

// groupName is the risk group in tables.
func groupName(high bool) string {
	if high {
		return "high"
	}
	return "low"
}

// measuring collects the measures of one group.
type measuring struct {
	group string
	level float64
	out   []Measure
	err   error // the first that is not a group too small for the figure
}

// try takes one step, unless one before it failed. A step without a result for these
// patients is no failure.
func (m *measuring) try(step func() error) {
	if m.err != nil {
		return
	}
	var none *stats.InputError
	if err := step(); err != nil && !errors.As(err, &none) {
		m.err = err
	}
}

// add adds a measure that could be had, when err is nil. NaN limits and p are null.
func (m *measuring) add(err error, name, method string, n int, v stats.Interval, p float64) {
	if err == nil {
		m.out = append(m.out, Measure{Name: name, Group: m.group, N: n, Value: v.Estimate,
			Low: table.Finite(v.Low), High: table.Finite(v.High), P: table.Finite(p), Method: method})
	}
}

// plain is a figure without an interval.
func plain(v float64) stats.Interval {
	return stats.Interval{Estimate: v, Low: math.NaN(), High: math.NaN()}
}

// icc adds the six forms for ratings[patient][rater]; what are the raters, in the plural.
func (m *measuring) icc(ratings [][]float64, what string) {
	for _, form := range []stats.ICCForm{stats.ICC11, stats.ICC21, stats.ICC31, stats.ICC1k, stats.ICC2k, stats.ICC3k} {
		m.oneICC(form, ratings, what)
	}
}

func (m *measuring) oneICC(form stats.ICCForm, ratings [][]float64, what string) {
	m.try(func() error {
		r, err := stats.ICC(form, ratings, m.level)
		m.add(err, form.McGrawWong(), fmt.Sprintf("McGraw and Wong's name; Shrout and Fleiss' %s; k = %d %s; p one-sided by F", form, r.Raters, what),
			r.Subjects, stats.Interval{Estimate: r.ICC, Low: r.Low, High: r.High}, r.P)
		return err
	})
}

// precision adds the standard deviation within patients and the repeatability coefficient.
func (m *measuring) precision(ratings [][]float64) {
	m.try(func() error {
		e, err := stats.MeasurementError(stats.AgreementError, ratings, m.level)
		m.add(err, withinSD, "root of the mean square within patients; exact CI by chi-square", e.Subjects, e.SEM, math.NaN())
		m.add(err, repeatability, fmt.Sprintf("which %.0f%% of the differences between two measurements of a patient do not exceed: z √2 within-patient SD", 100*m.level), e.Subjects, e.SDC, math.NaN())
		return err
	})
}

// spearman adds a rank correlation; more says what of, and may be empty.
func (m *measuring) spearman(x, y []float64, name, more string) {
	m.try(func() error {
		c, err := stats.Spearman(x, y, m.level)
		m.add(err, name, more+"Bonett and Wright's CI; p two-sided against 0", c.N, stats.Interval{Estimate: c.R, Low: c.Low, High: c.High}, c.P)
		return err
	})
}

// share adds part of n with Wilson's interval.
func (m *measuring) share(name, method string, part, n int) {
	m.try(func() error {
		c, err := stats.ProportionCI(part, n, stats.Wilson, m.level)
		m.add(err, name, method, n, stats.Interval{Estimate: c.Estimate, Low: c.Low, High: c.High}, math.NaN())
		return err
	})
}
