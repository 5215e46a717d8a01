package analysis

import (
	"fmt"
	"math"

	"hounsfield/datasets/table"
	"hounsfield/stats"
)

// clinicalModelsSchema declares tables/clinical_models.arrow.
func clinicalModelsSchema() table.Schema {
	number := func(name, about string) table.Column {
		return table.Column{Name: name, Type: table.Float64, Nullable: true, Description: about}
	}
	text := func(name, about string) table.Column {
		return table.Column{Name: name, Type: table.String, Nullable: true, Description: about}
	}
	return table.Schema{Name: "clinical_models", Columns: []table.Column{
		{Name: "model", Type: table.String, Description: "Cox models in the test role; alone: one variable by itself; the others are of the same patients"},
		{Name: "variable", Type: table.String},
		text("level", "of a variable with levels"), text("reference", "the level that hazard ratios are against; its own row has none"), text("unit", "of a number"),
		{Name: "n", Type: table.Int64, Description: "patients of the level, or of the model for a number"},
		{Name: "events", Type: table.Int64, Description: "deaths among them"},
		{Name: "model_n", Type: table.Int64, Description: "patients of the model: those who have all of its variables"},
		{Name: "model_events", Type: table.Int64},
		{Name: "missing", Type: table.Int64, Description: "patients left out of the model because a variable is not known"},
		number("log_hazard_ratio", ""), number("se", "of the log hazard ratio"),
		number("hazard_ratio", "above 1 = more deaths"), number("low", "Wald"), number("high", "Wald"), number("p", "two-sided, Wald's"),
		number("p_proportional", "test of proportional hazards (against the Kaplan-Meier transform of time); small = the hazard ratio drifts"),
		number("p_levels", "at the reference: all levels together, by the likelihood ratio; given for single variables and for the clinical model with the network"),
		text("problem", "why there is no estimate"),
	}}
}

const modelAlone = "alone"

func (w *clinicalWork) modelsTable(f clinicalFindings) (*table.Table, error) {
	type row struct {
		model string
		m     clinicalModel
		t     clinicalTerm
	}
	var rows []row
	add := func(name string, m clinicalModel) {
		for _, t := range m.terms {
			rows = append(rows, row{name, m, t})
		}
	}
	for _, m := range f.alone {
		add(modelAlone, m)
	}
	for _, m := range f.together.models {
		add(m.name, m)
	}
	text := func(of func(row) string) []table.Null[string] {
		return table.ColumnOf(rows, func(r row) table.Null[string] {
			if s := of(r); s != "" {
				return table.Some(s)
			}
			return table.Null[string]{}
		})
	}
	cox := func(of func(stats.CoxTerm) float64) []table.Null[float64] {
		return table.ColumnOf(rows, func(r row) table.Null[float64] {
			if r.t.cox == nil {
				return table.Null[float64]{}
			}
			return table.Finite(of(*r.t.cox))
		})
	}
	count := func(of func(row) int) []int64 {
		return table.ColumnOf(rows, func(r row) int64 { return int64(of(r)) })
	}
	return table.New(clinicalModelsSchema(), w.in.Provenance, map[string]any{
		"model":     table.ColumnOf(rows, func(r row) string { return r.model }),
		"variable":  table.ColumnOf(rows, func(r row) string { return r.t.variable }),
		"level":     text(func(r row) string { return r.t.level }),
		"reference": text(func(r row) string { return r.t.reference }),
		"unit":      text(func(r row) string { return r.t.unit }),
		"problem":   text(func(r row) string { return r.m.failed }),
		"n":         count(func(r row) int { return r.t.n }), "events": count(func(r row) int { return r.t.events }),
		"model_n": count(func(r row) int { return r.m.n }), "model_events": count(func(r row) int { return r.m.events }), "missing": count(func(r row) int { return r.m.missing }),
		"log_hazard_ratio": cox(func(t stats.CoxTerm) float64 { return t.Coef }), "se": cox(func(t stats.CoxTerm) float64 { return t.SE }),
		"hazard_ratio": cox(func(t stats.CoxTerm) float64 { return t.HR }),
		"low":          cox(func(t stats.CoxTerm) float64 { return t.Low }), "high": cox(func(t stats.CoxTerm) float64 { return t.High }), "p": cox(func(t stats.CoxTerm) float64 { return t.P }),
		"p_proportional": table.ColumnOf(rows, func(r row) table.Null[float64] { return table.Finite(r.t.proportional) }),
		"p_levels":       table.ColumnOf(rows, func(r row) table.Null[float64] { return table.Finite(r.t.whole) }),
	})
}

// measures are the main figures, in the form of all analyses.
func (w *clinicalWork) measures(f clinicalFindings) []Measure {
	var out []Measure
	add := func(name, group string, n int, value, low, high, p float64, method string) {
		out = append(out, Measure{Name: name, Group: group, N: n, Value: value, Low: table.Finite(low), High: table.Finite(high), P: table.Finite(p), Method: method})
	}
	nan := math.NaN()
	hazard := func(m *clinicalModel, variable, group string) {
		if m == nil {
			return
		}
		if t := m.term(variable); t != nil {
			add("hazard ratio", group, m.n, t.cox.HR, t.cox.Low, t.cox.High, t.cox.P, fmt.Sprintf("Cox, Efron ties, Wald; %s; %d deaths", unitOf(*t), m.events))
		}
	}
	for k := range f.alone {
		if m := &f.alone[k]; m.fit != nil && k < 2 { // the score and its groups come first
			hazard(m, m.terms[0].variable, m.name+", alone")
		}
	}
	hazard(f.together.find(modelClinicalScore), w.score.name, w.score.title+", in "+modelClinicalScore)
	hazard(f.together.find(modelClinicalGroup), w.group.name, w.group.title+", in "+modelClinicalGroup)
	hazard(f.together.find(modelAll), w.score.name, w.score.title+", in "+modelAll)
	for _, t := range f.together.tests {
		add("likelihood ratio chi-square", t.added+" added to "+t.smaller, t.n, t.ChiSquare, nan, nan, t.P, fmt.Sprintf("nested Cox models, %d degrees of freedom", t.DF))
	}
	for _, m := range f.together.models {
		if m.fit == nil {
			continue
		}
		add("events per coefficient", m.name, m.n, m.perVariable(), nan, nan, nan, fmt.Sprintf("%d deaths, %d coefficients", m.events, len(m.fit.Terms)))
		add("proportional hazards chi-square", m.name, m.n, m.proportional.ChiSquare, nan, nan, m.proportional.P, fmt.Sprintf("scaled Schoenfeld residuals against the Kaplan-Meier transform of time, all terms, %d degrees of freedom", m.proportional.DF))
	}
	if p := f.predictions; p != nil {
		for _, m := range p.models {
			add("Harrell's C", m.name, m.c.N, m.c.C, m.c.Low, m.c.High, nan, "test role; "+p.how)
			add("AUC at two years", m.name, m.auc.N, m.auc.AUC, m.auc.Low, m.auc.High, m.auc.P, "DeLong, of those with a two-year label")
			add("Brier score", m.name, m.brier.N, m.brier.Brier, m.brier.Low, m.brier.High, nan, "risk of death by two years, of those with a two-year label")
			if c := m.calibration; c != nil {
				add("calibration slope", m.name, c.N, c.Slope.Estimate, c.Slope.Low, c.Slope.High, c.Slope.P, "logistic recalibration of the risk at two years; p against 1")
				add("calibration in the large", m.name, c.N, c.InTheLarge.Estimate, c.InTheLarge.Low, c.InTheLarge.High, c.InTheLarge.P, "logit; above 0: risks too low; p against 0")
			}
			for k, t := range m.benefit.Threshold {
				add(fmt.Sprintf("net benefit at %g", t), m.name, m.benefit.N, m.benefit.NetBenefit[k], m.benefit.Low[k], m.benefit.High[k], nan, fmt.Sprintf("true positives per patient; percentile interval of %d resamples", m.benefit.Resamples))
			}
		}
		if len(p.models) > 0 {
			b := p.models[0].benefit
			for k, t := range b.Threshold {
				add(fmt.Sprintf("net benefit at %g", t), "everybody", b.N, b.TreatAll[k], nan, nan, nan, "of treating everybody; treating nobody has 0")
			}
		}
		for _, g := range p.gains {
			add("difference of Harrell's C", g.more+" less "+g.less, g.n, g.c.Difference, g.c.Low, g.c.High, g.c.P, "paired, infinitesimal jackknife")
			add("difference of AUC at two years", g.more+" less "+g.less, g.labels, g.auc.Difference, g.auc.Low, g.auc.High, g.auc.P, "paired DeLong")
		}
	}
	if s := f.stages; s != nil {
		if t := s.stageTest; t != nil {
			add("log-rank chi-square", "stages", s.n, t.ChiSquare, nan, nan, t.P, fmt.Sprintf("%d degrees of freedom", t.DF))
		}
		if t := s.groupTest; t != nil {
			add("log-rank chi-square", "risk groups, stratified by stage", s.n, t.ChiSquare, nan, nan, t.P, "1 degree of freedom")
		}
	}
	for _, a := range f.associations {
		add("association with the score", a.title, a.n, a.value, a.low, a.high, a.p, a.test)
	}
	for _, m := range f.truth {
		for _, t := range m.terms {
			method := "Cox, Efron ties"
			if !math.IsNaN(t.truth) {
				method += fmt.Sprintf("; truth %.4g", t.truth)
			}
			half := (math.Log(t.High) - math.Log(t.Low)) / 2
			add("log hazard ratio beside "+m.name, t.name, m.n, t.Coef, t.Coef-half, t.Coef+half, t.P, method)
		}
	}
	return out
}

// unitOf says what a hazard ratio is of.
func unitOf(t clinicalTerm) string {
	if t.unit != "" {
		return t.unit
	}
	return t.level + " against " + t.reference
}
