package nb

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/table"
)

// madeRun writes the files of a run folder that comparisons read. Patients with an odd
// number are dead at two years; the last patient has no label, one of train no part.
func madeRun(t *testing.T, dir, experiment string, scores []float64, dead func(int) bool) string {
	t.Helper()
	run := filepath.Join(dir, experiment+"-0123456789ab")
	if err := os.MkdirAll(filepath.Join(run, "tables"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "run.json"), fmt.Appendf(nil, `{"experiment": %q, "status": "done"}`, experiment), 0o644); err != nil {
		t.Fatal(err)
	}
	n := len(scores)
	ids, roles, alive := make([]string, n), slices.Repeat([]string{"test"}, n), make([]table.Null[bool], n)
	for i := range n {
		ids[i], alive[i] = fmt.Sprintf("P%02d", i), table.Some(!dead(i))
	}
	alive[n-1] = table.Null[bool]{}
	roles[0] = "train"
	made, err := table.New(table.Schema{Name: "predictions", Columns: []table.Column{
		{Name: "patient_id", Type: table.String}, {Name: "cohort", Type: table.String}, {Name: "role", Type: table.String},
		{Name: "score", Type: table.Float64, Nullable: true}, {Name: "alive_2yr", Type: table.Bool, Nullable: true},
	}}, nil, map[string]any{"patient_id": ids, "cohort": slices.Repeat([]string{"c"}, n), "role": roles, "score": scores, "alive_2yr": alive})
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Write(filepath.Join(run, "tables", "predictions.arrow")); err != nil {
		t.Fatal(err)
	}
	return run
}

func odd(i int) bool { return i%2 == 1 }

func TestStackNamesTheRuns(t *testing.T) {
	dir := t.TempDir()
	runs := []string{madeRun(t, dir, "one", []float64{0.1, 0.2}, odd), madeRun(t, dir, "two", []float64{0.3, math.NaN()}, odd)}
	got, err := stack(runs, "predictions")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"one", "one", "two", "two"}; !slices.Equal(got.Strings("run"), want) {
		t.Errorf("runs are %q, not %q", got.Strings("run"), want)
	}
	if v := got.Valid("score"); v[3] || got.Float64s("score")[2] != 0.3 {
		t.Errorf("scores %v", got.Float64s("score"))
	}
}

func TestRunsAreFoundByName(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOUNSFIELD_RUNS", dir)
	one := madeRun(t, dir, "ablation-one", []float64{1, 2}, odd)
	two := madeRun(t, dir, "ablation-two", []float64{1, 2}, odd)
	madeRun(t, dir, "other", []float64{1, 2}, odd)
	unfinished := madeRun(t, dir, "ablation-three", []float64{1, 2}, odd)
	if err := os.WriteFile(filepath.Join(unfinished, "run.json"), []byte(`{"experiment": "ablation-three", "status": "running"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var found []string
	if _, err := shownBy(t, func() { found = Runs("ablation-*", "ablation-one") }); err != nil || !slices.Equal(found, []string{one, two}) {
		t.Errorf("found %q, %v", found, err)
	}
	if _, err := shownBy(t, func() { Runs("none") }); err == nil || !strings.Contains(err.Error(), "no finished run of none") {
		t.Error(err)
	}
}

func TestNeedSaysHowToGetTheData(t *testing.T) {
	t.Setenv("HOUNSFIELD_MIRROR", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	left := 0
	old := leave
	defer func() { leave = old }()
	leave = func() { left++ }
	shown, err := shownBy(t, func() { Need("hosny2018") })
	if err != nil || left != 1 || len(shown) != 1 || !strings.Contains(shown[0].plain, "go run . fetch hosny2018") {
		t.Errorf("left the cell %d times, showed %v, %v", left, shown, err)
	}
}
