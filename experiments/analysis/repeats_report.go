package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// riskDirection is the direction of every score, in tables.
const riskDirection = "higher = higher risk of death"

// repeatWords say in the report what a measure is.
var repeatWords = map[string]string{
	ICC1:             "ICC(1): one measurement, whoever makes it",
	ICCA1:            "ICC(A,1): one measurement, absolute agreement",
	ICCC1:            "ICC(C,1): one measurement, consistency",
	ICCK:             "ICC(k): mean of all, whoever makes them",
	ICCAK:            "ICC(A,k): mean of all, absolute agreement",
	ICCCK:            "ICC(C,k): mean of all, consistency",
	Bias:             "Bland-Altman bias",
	LowerLimit:       "Lower limit of agreement",
	UpperLimit:       "Upper limit of agreement",
	Spearman:         "Spearman's rank correlation",
	Moved:            "Patients who change risk group",
	MovedShare:       "Share of patients who change risk group",
	GroupKappa:       "Kappa of the risk groups",
	withinSD:         "Standard deviation within patients",
	repeatability:    "Repeatability coefficient",
	concordance:      "Lin's concordance correlation",
	withinCV:         "Coefficient of variation within patients",
	meanSpearman:     "Spearman's rank correlation, mean over the pairs",
	meanDice:         "Dice coefficient, mean",
	meanDistance:     "Distance of the centres of mass (mm), mean",
	diceSpearman:     "Dice against the size of the score difference, Spearman",
	distanceSpearman: "Distance of the centres against the size of the score difference, Spearman",
	sameCubeShare:    "Share of contours with the same cube",
	meanDifference:   "Score difference, mean",
	sideShare:        "Share of contours on another side of the cut",
	meanShift:        "Shift of the centre of mass (mm), mean",
	tunePercentile:   "Percentile of the score among the tune role's",
}

// measureTable sets measures down in a table of the report.
func measureTable(caption, groups string, all []Measure, level float64, files ...string) report.Table {
	t := report.Table{
		Caption: report.Text(caption), Files: files,
		Columns: []report.Column{{Title: groups}, {Title: "Measure"}, {Title: "n", Number: true}, {Title: "Value", Number: true}, {Title: fmt.Sprintf("%.0f%% CI", 100*level), Number: true}, {Title: "p", Number: true}},
	}
	for _, m := range all {
		p := ""
		if m.P.Valid {
			p = strings.TrimPrefix(figure.PValue(m.P.V), "p = ")
			p = strings.TrimPrefix(p, "p ")
		}
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(m.Group, repeatWords[m.Name], fmt.Sprint(m.N), m.text(), m.interval(), p)})
	}
	return t
}

// decimals are as many as the measure can use: none for counts and large volumes, more for
// small spreads.
func (m Measure) decimals() int {
	most := math.Abs(m.Value)
	if m.Low.Valid && m.High.Valid {
		most = max(most, math.Abs(m.Low.V), math.Abs(m.High.V))
	}
	switch {
	case m.Name == Moved || most >= 100:
		return 0
	case most >= 0.01 || most == 0:
		return 3
	default:
		return 5
	}
}

func (m Measure) text() string {
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		return "not defined"
	}
	return fmt.Sprintf("%.*f", m.decimals(), m.Value)
}

// interval is "low to high", empty without one.
func (m Measure) interval() string {
	if !m.Low.Valid || !m.High.Valid {
		return ""
	}
	return fmt.Sprintf("%.*f to %.*f", m.decimals(), m.Low.V, m.decimals(), m.High.V)
}

// words are the value with its interval.
func (m Measure) words() string {
	if i := m.interval(); i != "" {
		return m.text() + " (" + i + ")"
	}
	return m.text()
}

// estimate is the measure in a figure.
func (m Measure) estimate() figure.Estimate {
	e := figure.Estimate{Value: m.Value}
	if m.Low.Valid && m.High.Valid {
		e.Low, e.High = m.Low.V, m.High.V
	}
	return e
}

// measured finds a measure of a group; its value is NaN where there is none.
func measured(all []Measure, name, group string) (Measure, bool) {
	i := slices.IndexFunc(all, func(m Measure) bool { return m.Name == name && m.Group == group })
	if i < 0 {
		return Measure{Value: math.NaN()}, false
	}
	return all[i], true
}

// ofGroups are the measures of some groups.
func ofGroups(all []Measure, groups ...string) []Measure {
	return slices.DeleteFunc(slices.Clone(all), func(m Measure) bool { return !slices.Contains(groups, m.Group) })
}

// keyFigures are the measures of a group that matter most.
func keyFigures(all []Measure, group string, names ...string) report.KeyFigures {
	var out report.KeyFigures
	for _, name := range names {
		if m, ok := measured(all, name, group); ok {
			k := report.KeyFigure{Label: repeatWords[name], Value: m.text(), N: m.N}
			if i := m.interval(); i != "" {
				k.Interval = "95% CI " + i
			}
			out = append(out, k)
		}
	}
	return out
}

// learnedFrom warns of those of the patients at some places whom the networks know.
func (m *imaged) learnedFrom(places []int) report.Block {
	ids := m.learned(places)
	if len(ids) == 0 {
		return nil
	}
	return report.Callout{Tone: report.Warning, Title: "Patients whom the networks know", Body: []report.Paragraph{report.Text(fmt.Sprintf(
		"%d of these patients stand in the run's train or tune role (%s): how well their scores repeat may not be how well those of new patients do.", len(ids), few(ids)))}}
}

// plural is "1 patient" or "2 patients".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
