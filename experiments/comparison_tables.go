package experiments

import (
	"strings"

	"hounsfield/datasets/table"
)

// comparisonSchema declares tables/comparison.arrow.
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
		predictForestSize: "forest, clinical + size", predictLogisticClinics: "network + clinical forest",
		predictLogistic: "network + volume", predictLogisticAll: "network + volume + diameter",
	}
	if w, ok := words[name]; ok {
		return w
	}
	return strings.ReplaceAll(name, "-", " ")
}
