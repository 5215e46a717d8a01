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
	"hounsfield/stats"
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

func TestPairedIsDeLongOnSharedPatients(t *testing.T) {
	dir := t.TempDir()
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
	runs := []string{madeRun(t, dir, "good", good, odd), madeRun(t, dir, "poor", poor, odd)}
	shown, err := shownBy(t, func() { TableOf(Paired(runs), View{Digits: 12}) })
	if err != nil {
		t.Fatal(err)
	}
	var a, b []float64
	var dead []bool
	for i := 1; i < n-1; i++ { // the first is a train patient, the last has no label
		if i != 5 {
			a, b, dead = append(a, good[i]), append(b, poor[i]), append(dead, odd(i))
		}
	}
	want, err := stats.DeLongPaired(a, b, dead, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	got := Must(paired(runs))
	if got.Rows() != 1 || got.Int64s("n")[0] != int64(len(dead)) || got.Float64s("difference")[0] != want.Difference || got.Float64s("high")[0] != want.High || got.Float64s("p")[0] != want.P {
		t.Errorf("got\n%s\nwant %+v", shown[0].plain, want)
	}
	if got.Strings("first")[0] != "good" || !(want.Difference > 0) {
		t.Errorf("the better run is %q with a difference of %v", got.Strings("first")[0], want.Difference)
	}
}

func TestPairedRefusesOtherPatientsOfTheSameName(t *testing.T) {
	dir := t.TempDir()
	scores := make([]float64, 40)
	runs := []string{madeRun(t, dir, "one", scores, odd), madeRun(t, dir, "two", scores, func(i int) bool { return !odd(i) })}
	if _, err := paired(runs); err == nil || !strings.Contains(err.Error(), "not about the same patients") {
		t.Error(err)
	}
}

func TestPairedLeavesOutTooFew(t *testing.T) {
	dir := t.TempDir()
	runs := []string{madeRun(t, dir, "one", make([]float64, 12), odd), madeRun(t, dir, "two", make([]float64, 12), odd)}
	got, err := paired(runs)
	if err != nil || got.Rows() != 0 {
		t.Errorf("%d pairs, %v", got.Rows(), err)
	}
}

func TestStackNamesTheRuns(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
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
	// Two runs of one experiment are told apart by their folders.
	labels, err := runLabels([]string{runs[0], madeRun(t, other, "one", []float64{1, 2}, odd)})
	if err != nil || labels[0] != "one-0123456789ab" {
		t.Errorf("labels %q, %v", labels, err)
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
