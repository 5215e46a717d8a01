package experiments

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/table"
	"hounsfield/experiments/analysis"
	"hounsfield/stats"
)

// judgedRun writes the files of a finished run that pairs are made of. Patients with an odd
// number are dead at two years where dead says so; the last patient has no label, the first
// one is of the train role.
func judgedRun(t *testing.T, experiment string, scores []float64, dead func(int) bool) string {
	t.Helper()
	run := filepath.Join(t.TempDir(), experiment+"-0123456789ab")
	if err := os.MkdirAll(filepath.Join(run, tablesDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, manifestFile), fmt.Appendf(nil, `{"experiment": %q, "status": "done"}`, experiment), 0o644); err != nil {
		t.Fatal(err)
	}
	n := len(scores)
	ids, roles, alive := make([]string, n), slices.Repeat([]string{"test"}, n), make([]table.Null[bool], n)
	for i := range n {
		ids[i], alive[i] = fmt.Sprintf("P%02d", i), table.Some(!dead(i))
	}
	alive[n-1] = table.Null[bool]{}
	roles[0] = "train"
	made, err := table.New(table.Schema{Name: predictionsTable, Columns: []table.Column{
		{Name: "patient_id", Type: table.String}, {Name: "cohort", Type: table.String}, {Name: "role", Type: table.String},
		{Name: "score", Type: table.Float64, Nullable: true}, {Name: "survival_days", Type: table.Float64, Nullable: true},
		{Name: "event", Type: table.Bool, Nullable: true}, {Name: "alive_2yr", Type: table.Bool, Nullable: true},
	}}, nil, map[string]any{"patient_id": ids, "cohort": slices.Repeat([]string{"c"}, n), "role": roles, "score": scores, "alive_2yr": alive,
		"survival_days": make([]table.Null[float64], n), "event": make([]table.Null[bool], n)})
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Write(filepath.Join(run, tablesDir, predictionsTable+".arrow")); err != nil {
		t.Fatal(err)
	}
	return run
}

func odd(i int) bool { return i%2 == 1 }

func TestPairedTableIsDeLongOnSharedPatients(t *testing.T) {
	n := 40
	good, poor := make([]float64, n), make([]float64, n)
	for i := range n {
		good[i] = float64(i%7) / 10
		if odd(i) {
			good[i] += 0.3
		}
		poor[i] = float64((i*13)%17) / 17
	}
	poor[5] = math.NaN() // not scored by the second run: no pair
	runs := []string{judgedRun(t, "good", good, odd), judgedRun(t, "poor", poor, odd)}
	var a, b []float64
	var dead []bool
	for i := 1; i < n-1; i++ { // the first is a train patient, the last has no label
		if i != 5 {
			a, b, dead = append(a, good[i]), append(b, poor[i]), append(dead, odd(i))
		}
	}
	want, err := stats.DeLongPaired(a, b, dead, Level)
	if err != nil {
		t.Fatal(err)
	}
	got, err := PairedTable(runs)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rows() != 2 || got.Int64s("n")[0] != int64(len(dead)) || got.Float64s("difference")[0] != want.Difference ||
		got.Float64s("low")[0] != want.Low || got.Float64s("high")[0] != want.High || got.Float64s("p")[0] != want.P || !(want.Difference > 0) {
		t.Errorf("%d rows, n %v, difference %v; want %+v", got.Rows(), got.Int64s("n"), got.Float64s("difference"), want)
	}
	if first := strings.Join(got.Strings("first"), " "); first != "good good" || got.Strings("second")[0] != "poor" {
		t.Errorf("pairs begin with %q", first)
	}
	// Nobody is of the tune role: the row stays and says so.
	if got.Strings("role")[1] != "tune" || got.Valid("difference")[1] || got.Strings("lacks")[1] != notTheSame {
		t.Errorf("the tune row lacks %q", got.Strings("lacks")[1])
	}
}

func TestPairedTableKnowsOtherPatientsOfTheSameName(t *testing.T) {
	scores := make([]float64, 40)
	got, err := PairedTable([]string{judgedRun(t, "one", scores, odd), judgedRun(t, "two", scores, func(i int) bool { return !odd(i) })})
	if err != nil || got.Strings("lacks")[0] != notTheSame {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRunLabels(t *testing.T) {
	one, two := judgedRun(t, "one", []float64{1, 2}, odd), judgedRun(t, "two", []float64{1, 2}, odd)
	if labels, err := RunLabels([]string{one, two}); err != nil || !slices.Equal(labels, []string{"one", "two"}) {
		t.Errorf("labels %q, %v", labels, err)
	}
	// Two runs of one experiment are told apart by their folders.
	if labels, err := RunLabels([]string{one, judgedRun(t, "one", []float64{1, 2}, odd)}); err != nil || labels[0] != "one-0123456789ab" {
		t.Errorf("labels %q, %v", labels, err)
	}
}

// Measures of one analysis stand beside each other by name and group, whatever their order
// and whether each run has them.
func TestMeasureRows(t *testing.T) {
	measure := func(name, group string, v float64) analysis.Measure {
		return analysis.Measure{Name: name, Group: group, N: 30, Value: v, Low: table.Some(v - 0.1), High: table.Some(v + 0.1), P: table.Some(0.0001)}
	}
	rows := measureRows([]compared{
		{analyses: []string{"test_retest"}, measures: map[string][]analysis.Measure{"test_retest": {measure("ICC(A,1)", "all", 0.9), measure("SD", "all", 0.02)}}},
		{analyses: []string{"clinical", "test_retest"}, measures: map[string][]analysis.Measure{
			"test_retest": {measure("SD", "all", 0.03), measure("ICC(A,1)", "test", 0.8), measure("ICC(A,1)", "all", 0.7)}}},
	})
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%s %s %s: %s | %s", r.analysis, r.metric, r.group, measureText(r.by[0]), measureText(r.by[1])))
	}
	want := []string{
		"test_retest ICC(A,1) all: 0.900 (0.800 to 1.000), p < 0.001, n=30 | 0.700 (0.600 to 0.800), p < 0.001, n=30",
		"test_retest SD all: 0.020 (-0.080 to 0.120), p < 0.001, n=30 | 0.030 (-0.070 to 0.130), p < 0.001, n=30",
		"test_retest ICC(A,1) test: - | 0.800 (0.700 to 0.900), p < 0.001, n=30",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
