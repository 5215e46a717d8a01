package experiments

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// The study's test results from its own tables. Sources of the numbers: the paper
// (Hosny et al. 2018) to the digits it prints; to more digits R 4.2 with pROC and
// survival on the same tables.
func TestPublishedResults(t *testing.T) {
	if os.Getenv(catalog.MirrorVariable) == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's tables are not here")
	}
	cases := []struct {
		config string
		metric string
		by     string
		value  float64
		low    float64 // NaN: not compared
		high   float64
		p      float64
		n      int
	}{
		{"published-radiotherapy", metricAUC, "", 0.701656, 0.625, 0.778, math.NaN(), 211},
		{"published-radiotherapy", metricAUCNoether, "", 0.701656, 0.626878, 0.776433, 1.25e-7, 211},
		{"published-radiotherapy", metricHighRisk, "", 50, math.NaN(), math.NaN(), math.NaN(), 206},
		{"published-radiotherapy", metricMedianLow, "", 452, math.NaN(), math.NaN(), math.NaN(), 206},
		{"published-radiotherapy", metricMedianHigh, "", 250, math.NaN(), math.NaN(), math.NaN(), 206},
		{"published-radiotherapy", metricLogRank, "", 11.174668, math.NaN(), math.NaN(), 8.29e-4, 206},
		{"published-radiotherapy", metricHazardRatio, "", 1.748684, math.NaN(), math.NaN(), math.NaN(), 206},
		{"published-radiotherapy", metricHarrellC, "", 0.603216, math.NaN(), math.NaN(), math.NaN(), 206},
		{"published-radiotherapy", metricUnoC, "", 0.601056, math.NaN(), math.NaN(), math.NaN(), 206},
		{"published-radiotherapy", metricRMST, "", -138.3, math.NaN(), math.NaN(), math.NaN(), 206},
		{"published-surgery", metricAUC, "", 0.708088, 0.588, 0.828, math.NaN(), 97},
		{"published-surgery", metricAUCNoether, "", 0.708088, 0.595213, 0.820963, 3.02e-4, 97},
	}
	env := tinyEnv(t)
	runs := map[string]*Done{}
	for _, c := range cases {
		if runs[c.config] == nil {
			cfg, err := Load(c.config)
			if err != nil {
				t.Fatal(err)
			}
			runs[c.config] = run(t, cfg, env)
		}
		m, ok := find(runs[c.config].Metrics, c.metric, "test", scoredByPublished)
		if !ok {
			t.Errorf("%s: no %s", c.config, c.metric)
			continue
		}
		same := func(what string, got, want float64) {
			if math.IsNaN(want) {
				return
			}
			// Each number is known to the digits it is written with.
			digits := 0.5
			for digits > math.Abs(want)*1e-3 && digits > 5e-7 {
				digits /= 10
			}
			if want == math.Trunc(want) {
				digits = 1e-9
			}
			if math.Abs(got-want) > digits {
				t.Errorf("%s %s %s is %.8g, want %.8g", c.config, c.metric, what, got, want)
			}
		}
		same("value", m.Value, c.value)
		same("low", m.Low.V, c.low)
		same("high", m.High.V, c.high)
		same("p", m.P.V, c.p)
		if m.N != c.n {
			t.Errorf("%s %s stands on %d patients, want %d", c.config, c.metric, m.N, c.n)
		}
	}

	radio := runs["published-radiotherapy"]
	if _, ok := find(radio.Metrics, metricAUC, "test", scoredByPublished+" without LUNG1-236"); !ok {
		t.Error("no AUC without the outlier")
	}
	report, err := os.ReadFile(filepath.Join(radio.Dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(report), "reproduced") || strings.Contains(string(report), ">differs<") {
		t.Error("the report does not call the paper's figures reproduced")
	}
	predictions, err := table.Read(filepath.Join(radio.Dir, "tables/predictions.arrow"), table.Schema{Name: "predictions", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true}, {Name: "role", Type: table.String}, {Name: "risk_group", Type: table.String, Nullable: true},
		{Name: "survival_days", Type: table.Float64, Nullable: true}}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	high := 0
	for i, g := range predictions.Strings("risk_group") {
		if g == "high" && predictions.Strings("role")[i] == "test" && !math.IsNaN(predictions.Float64s("survival_days")[i]) {
			high++
		}
	}
	if predictions.Rows() != 293+104+211 || high != 50 {
		t.Errorf("%d rows of predictions, %d linked test patients at high risk", predictions.Rows(), high)
	}
	if !slices.Contains(Shipped(), "published-surgery") {
		t.Error("published-surgery is not shipped")
	}
}

// Without the data the error says what to type.
func TestPublishedWithoutData(t *testing.T) {
	cfg, err := Load("published-surgery")
	if err != nil {
		t.Fatal(err)
	}
	env := tinyEnv(t)
	env.Mirror = t.TempDir()
	if _, err := Run(t.Context(), cfg, env); err == nil || !strings.Contains(err.Error(), "hosny2018/") || !strings.Contains(err.Error(), env.Mirror) {
		t.Errorf("published tables that are not there: %v", err)
	}
}

func TestReferenceAgrees(t *testing.T) {
	num := func(v float64) *float64 { return &v }
	m := Metric{Value: 0.701656, Low: table.Some(0.6269), High: table.Some(0.7764), P: table.Some(1.2e-7)}
	for _, c := range []struct {
		ref  Reference
		want bool
	}{
		{Reference{Value: num(0.70), Low: num(0.63), High: num(0.78), P: "<0.001"}, true},
		{Reference{Value: num(0.71)}, false},
		{Reference{Low: num(0.65)}, false},
		{Reference{P: "<0.00000001"}, false},
		{Reference{P: "0.03"}, false},
		{Reference{}, true},
	} {
		if got := c.ref.agrees(m); got != c.want {
			t.Errorf("%s against %v: %t", c.ref.text(), m.Value, got)
		}
	}
}
