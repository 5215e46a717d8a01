package experiments

import (
	"fmt"
	"path/filepath"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/models/cnn"
)

// Metric is one figure of a run with what a reader needs to believe it.
type Metric struct {
	Name     string // auc_delong, log_rank_chi_square, ... (see metricWords)
	Role     string // train | tune | test
	Cohort   string // whose patients; "all" where a role has several cohorts
	ScoredBy string // network (the mean over seeds), seed N, published network, true hazard
	N        int    // patients the figure stands on
	Events   int    // of them dead at two years (AUC) or dead during follow-up (survival)
	Value    float64
	Low      table.Null[float64] // confidence limits at the run's level
	High     table.Null[float64]
	P        table.Null[float64]
	Method   string
}

const (
	tablesDir        = "tables"
	scoresTable      = "scores"      // every score, fixed before the test role is opened
	predictionsTable = "predictions" // scores beside outcomes and risk groups
	metricsTable     = "metrics"
	historyTable     = "history"
	exclusionsTable  = "exclusions"
	cohortTable      = "cohort"
)

// riskDirection is the direction of every score of ours.
const riskDirection = "higher = higher risk of death"

// metricsSchema is the table that `hounsfield compare` reads.
func metricsSchema() table.Schema {
	return table.Schema{Name: metricsTable, Columns: []table.Column{
		{Name: "metric", Type: table.String},
		{Name: "role", Type: table.String, Allowed: []string{"train", "tune", "test"}},
		{Name: "cohort", Type: table.String},
		{Name: "scored_by", Type: table.String, Description: "whose score: the network (mean over seeds), one seed, the published network, or the true hazard"},
		{Name: "n", Type: table.Int64, Description: "patients the figure stands on"},
		{Name: "events", Type: table.Int64, Description: "of them dead at two years (AUC) or dead during follow-up (survival)"},
		{Name: "value", Type: table.Float64, Nullable: true, Description: "null where it was not reached, as a median that half the patients outlive"},
		{Name: "low", Type: table.Float64, Nullable: true, Description: "lower confidence limit"},
		{Name: "high", Type: table.Float64, Nullable: true, Description: "upper confidence limit"},
		{Name: "p", Type: table.Float64, Nullable: true},
		{Name: "method", Type: table.String},
	}}
}

func metricsTableOf(metrics []Metric, provenance map[string]string) (*table.Table, error) {
	pick := func(f func(Metric) string) []string {
		out := make([]string, len(metrics))
		for i, m := range metrics {
			out[i] = f(m)
		}
		return out
	}
	null := func(f func(Metric) table.Null[float64]) []table.Null[float64] {
		out := make([]table.Null[float64], len(metrics))
		for i, m := range metrics {
			out[i] = f(m)
		}
		return out
	}
	count := func(f func(Metric) int) []int64 {
		out := make([]int64, len(metrics))
		for i, m := range metrics {
			out[i] = int64(f(m))
		}
		return out
	}
	return table.New(metricsSchema(), provenance, map[string]any{
		"metric":    pick(func(m Metric) string { return m.Name }),
		"role":      pick(func(m Metric) string { return m.Role }),
		"cohort":    pick(func(m Metric) string { return m.Cohort }),
		"scored_by": pick(func(m Metric) string { return m.ScoredBy }),
		"n":         count(func(m Metric) int { return m.N }),
		"events":    count(func(m Metric) int { return m.Events }),
		"value":     null(func(m Metric) table.Null[float64] { return table.Finite(m.Value) }),
		"low":       null(func(m Metric) table.Null[float64] { return m.Low }),
		"high":      null(func(m Metric) table.Null[float64] { return m.High }),
		"p":         null(func(m Metric) table.Null[float64] { return m.P }),
		"method":    pick(func(m Metric) string { return m.Method }),
	})
}

// readMetrics reads the metrics of a finished run.
func readMetrics(run string) ([]Metric, error) {
	t, err := table.Read(filepath.Join(run, tablesDir, metricsTable+".arrow"), metricsSchema(), table.Ignore)
	if err != nil {
		return nil, err
	}
	low, high, p := table.Nulls[float64](t, "low"), table.Nulls[float64](t, "high"), table.Nulls[float64](t, "p")
	out := make([]Metric, t.Rows())
	for i := range out {
		out[i] = Metric{
			Name: t.Strings("metric")[i], Role: t.Strings("role")[i], Cohort: t.Strings("cohort")[i], ScoredBy: t.Strings("scored_by")[i],
			N: int(t.Int64s("n")[i]), Events: int(t.Int64s("events")[i]), Value: t.Float64s("value")[i],
			Low: low[i], High: high[i], P: p[i], Method: t.Strings("method")[i],
		}
	}
	return out, nil
}

// scoresOf is the table of scores by themselves: what is fixed before any outcome
// of the test role is read.
func scoresOf(s *study, provenance map[string]string) (*table.Table, error) {
	schema, data := scoreColumns(s)
	return table.New(schema, provenance, data)
}

func scoreColumns(s *study) (table.Schema, map[string]any) {
	n := len(s.cohort.Patients)
	ids, cohorts, roles := make([]string, n), make([]string, n), make([]string, n)
	for i, p := range s.cohort.Patients {
		ids[i], cohorts[i], roles[i] = p.ID, p.Cohort, string(p.Role)
	}
	schema := table.Schema{Name: scoresTable, Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true},
		{Name: "cohort", Type: table.String},
		{Name: "role", Type: table.String, Allowed: []string{"train", "tune", "test"}},
		{Name: "score", Type: table.Float64, Nullable: true, Direction: riskDirection, Source: s.scoreSource,
			Description: "predicted risk of death: at two years, or an order of risk where Cox's likelihood was learned; null when the patient could not be scored"},
	}}
	data := map[string]any{"patient_id": ids, "cohort": cohorts, "role": roles, "score": s.scores}
	for k, seed := range s.seeds {
		name := fmt.Sprintf("score_seed_%d", seed)
		schema = schema.With(table.Column{Name: name, Type: table.Float64, Nullable: true, Direction: riskDirection, Source: s.scoreSource})
		data[name] = s.seedScores[k]
	}
	for _, p := range s.rivals {
		if p.late {
			continue
		}
		name := "score_" + strings.ReplaceAll(p.name, "-", "_")
		schema = schema.With(table.Column{Name: name, Type: table.Float64, Nullable: true, Direction: riskDirection, Source: p.made})
		data[name] = p.scores
	}
	if s.truth != nil {
		schema = schema.With(table.Column{Name: "true_log_hazard", Type: table.Float64, Direction: riskDirection,
			Source: "phantom specification", Description: "log hazard ratio the survival times were drawn from"})
		data["true_log_hazard"] = s.truth
	}
	return schema, data
}

// predictionsOf is the table of scores, risk groups and outcomes: the run's result
// patient by patient.
func predictionsOf(s *study, cut float64, outcomes []datasets.Outcome, provenance map[string]string) (*table.Table, error) {
	schema, data := scoreColumns(s)
	schema.Name = predictionsTable
	n := len(s.cohort.Patients)
	group := make([]table.Null[string], n)
	days, event, alive := make([]table.Null[float64], n), make([]table.Null[bool], n), make([]table.Null[bool], n)
	for i, o := range outcomes {
		if sc := s.scores[i]; sc == sc {
			group[i] = table.Some(groupName(sc > cut))
		}
		days[i], event[i], alive[i] = o.SurvivalDays, o.Event, o.Alive2yr
	}
	schema = schema.With(
		table.Column{Name: "risk_group", Type: table.String, Nullable: true, Allowed: []string{"low", "high"},
			Description: fmt.Sprintf("high when score > %v, the tune role's median", cut)},
		table.Column{Name: "survival_days", Type: table.Float64, Nullable: true, Unit: "days"},
		table.Column{Name: "event", Type: table.Bool, Nullable: true, Description: "true: died at survival_days; false: alive then, not seen later"},
		table.Column{Name: "alive_2yr", Type: table.Bool, Nullable: true, Description: "alive two years (730 days) after the cohort's time zero, the scan or the start of treatment; null when censored before"})
	data["risk_group"], data["survival_days"], data["event"], data["alive_2yr"] = group, days, event, alive
	return table.New(schema, provenance, data)
}

func groupName(high bool) string {
	if high {
		return "high"
	}
	return "low"
}

// historyOf is the training history, one row per seed and epoch. It holds no wall
// times, so that it repeats byte for byte.
func historyOf(seeds []int64, histories [][]cnn.EpochRecord, provenance map[string]string) (*table.Table, error) {
	var seed, epoch []int64
	var trainLoss, trainAUC, tuneLoss, tuneAUC, concordance, rate []float64
	var best []bool
	for k, h := range histories {
		for _, r := range h {
			seed, epoch = append(seed, seeds[k]), append(epoch, int64(r.Epoch))
			trainLoss, trainAUC = append(trainLoss, r.TrainLoss), append(trainAUC, r.TrainAUC)
			tuneLoss, tuneAUC, concordance = append(tuneLoss, r.TuneLoss), append(tuneAUC, r.TuneAUC), append(concordance, r.TuneConcordance)
			rate, best = append(rate, r.LearningRate), append(best, r.Best)
		}
	}
	return table.New(table.Schema{Name: historyTable, Columns: []table.Column{
		{Name: "seed", Type: table.Int64},
		{Name: "epoch", Type: table.Int64, Description: "from 1"},
		{Name: "train_loss", Type: table.Float64, Description: "the loss and regularisation, mean over the epoch's batches"},
		{Name: "train_auc", Type: table.Float64, Nullable: true, Direction: "higher = better",
			Description: "AUC at two years on the epoch's augmented cubes, each scored with dropout just before the step that learned from it"},
		{Name: "tune_loss", Type: table.Float64, Nullable: true, Description: "cross entropy, or negative log likelihood of survival, on the tune role"},
		{Name: "tune_auc", Type: table.Float64, Nullable: true, Direction: "higher = better", Description: "AUC of the risk score for death at two years on the tune role"},
		{Name: "tune_concordance", Type: table.Float64, Nullable: true, Direction: "higher = better", Description: "Harrell's C on the tune role; null unless survival was learned"},
		{Name: "learning_rate", Type: table.Float64, Description: "of the epoch, before factors by layer"},
		{Name: "best", Type: table.Bool, Description: "the best tune AUC (C where survival was learned) so far: these weights were kept"},
	}}, provenance, map[string]any{"seed": seed, "epoch": epoch, "train_loss": trainLoss, "train_auc": trainAUC, "tune_loss": tuneLoss,
		"tune_auc": tuneAUC, "tune_concordance": concordance, "learning_rate": rate, "best": best})
}

// writeTable writes a table into the run folder, for Arrow readers and, where
// people will want it elsewhere, as Parquet too.
func (f *Folder) writeTable(name string, t *table.Table, parquet bool) error {
	if err := t.Write(f.path(tablesDir, name+".arrow")); err != nil {
		return err
	}
	if parquet {
		return t.Write(f.path(tablesDir, name+".parquet"))
	}
	return nil
}
