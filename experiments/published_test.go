package experiments

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
		config, metric      string
		value, low, high, p string // as known: to half a unit of the last digit; "" is not compared
		n                   int
	}{
		{"published-radiotherapy", metricAUC, "0.701656", "0.625", "0.778", "", 211},
		{"published-radiotherapy", metricAUCNoether, "0.701656", "0.626878", "0.776433", "1.25e-7", 211},
		{"published-radiotherapy", metricHighRisk, "50", "", "", "", 206},
		{"published-radiotherapy", metricMedianLow, "452", "", "", "", 206},
		{"published-radiotherapy", metricMedianHigh, "250", "", "", "", 206},
		{"published-radiotherapy", metricLogRank, "11.174668", "", "", "8.29e-4", 206},
		{"published-radiotherapy", metricHazardRatio, "1.748684", "", "", "", 206},
		{"published-radiotherapy", metricHarrellC, "0.603216", "", "", "", 206},
		{"published-radiotherapy", metricUnoC, "0.601056", "", "", "", 206},
		{"published-radiotherapy", metricRMST, "-138.3", "", "", "", 206},
		{"published-surgery", metricAUC, "0.708088", "0.588", "0.828", "", 97},
		{"published-surgery", metricAUCNoether, "0.708088", "0.595213", "0.820963", "3.02e-4", 97},
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
		for _, x := range []struct {
			what, want string
			got        float64
		}{{"value", c.value, m.Value}, {"low", c.low, m.Low.V}, {"high", c.high, m.High.V}, {"p", c.p, m.P.V}} {
			if x.want == "" {
				continue
			}
			if want, half := printed(t, x.want); math.Abs(x.got-want) > half {
				t.Errorf("%s %s %s is %.8g, want %s", c.config, c.metric, x.what, x.got, x.want)
			}
		}
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

// printed is a number as it is printed, and half a unit of its last digit.
func printed(t *testing.T, text string) (value, half float64) {
	t.Helper()
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	mantissa, exponent, _ := strings.Cut(text, "e")
	scale := 0
	if exponent != "" {
		if scale, err = strconv.Atoi(exponent); err != nil {
			t.Fatal(err)
		}
	}
	_, decimals, _ := strings.Cut(mantissa, ".")
	return value, 0.5 * math.Pow10(scale-len(decimals)) * (1 + 1e-9)
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
