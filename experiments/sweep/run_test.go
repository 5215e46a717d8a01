package sweep

import (
	"context"
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
)

// counting is a runner that notes what it runs.
type counting struct {
	Runner
	mu   sync.Mutex
	jobs []Job
}

func (c *counting) Run(ctx context.Context, j Job) error {
	c.mu.Lock()
	c.jobs = append(c.jobs, j)
	c.mu.Unlock()
	return c.Runner.Run(ctx, j)
}

// longRows reads the table of all runs and metrics.
func longRows(t testing.TB, dir string, keys ...table.Column) *table.Table {
	t.Helper()
	schema := table.Schema{Name: longTable, Columns: append([]table.Column{
		{Name: "cell", Type: table.String}, {Name: "run", Type: table.String}, {Name: "status", Type: table.String}, {Name: "reason", Type: table.String},
		{Name: "seed", Type: table.Int64, Nullable: true}, {Name: "seconds", Type: table.Float64, Nullable: true},
		{Name: "from", Type: table.String, Nullable: true}, {Name: "metric", Type: table.String, Nullable: true}, {Name: "role", Type: table.String, Nullable: true},
		{Name: "scored_by", Type: table.String, Nullable: true}, {Name: "at", Type: table.String, Nullable: true}, {Name: "epoch", Type: table.Int64, Nullable: true},
		{Name: "value", Type: table.Float64, Nullable: true}}, keys...)}
	out, err := table.Read(filepath.Join(dir, longTable+".arrow"), schema, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	parquet, err := table.Read(filepath.Join(dir, longTable+".parquet"), schema, table.Ignore)
	if err != nil || parquet.Rows() != out.Rows() {
		t.Errorf("the Parquet table: %v", err)
	}
	return out
}

// valueOf is the only value of a metric of a cell.
func valueOf(t testing.TB, rows *table.Table, cell, from, metric, role, by, at string) float64 {
	t.Helper()
	found, n := math.NaN(), 0
	for i := range rows.Rows() {
		if rows.Strings("cell")[i] == cell && rows.Strings("from")[i] == from && rows.Strings("metric")[i] == metric && rows.Strings("role")[i] == role &&
			rows.Strings("scored_by")[i] == by && rows.Strings("at")[i] == at {
			found, n = rows.Float64s("value")[i], n+1
		}
	}
	if n != 1 {
		t.Errorf("%d rows of %s %s %s %s %s in %s", n, from, metric, role, by, at, cell)
	}
	return found
}

// A cell is the run that hounsfield run makes: one that is there is not run again, two that
// are the same run are made once, and the tables say what the runs say.
func TestSweep(t *testing.T) {
	env := testEnv(t)
	s := rates(0.001, 0.01)
	s.Seeds = []int64{1, 2}
	// The same run as the second cell of the grid, and settings that the grid does not have.
	s.List = []Named{{Name: "again", Set: []Override{{Key: "training.learning_rate", Value: 0.01}}}, {Name: "cox", Set: []Override{{Key: "training.loss", Value: "cox"}}}}
	p := must[*Planned](t)(New(s, env))
	if len(p.Cells) != 8 || p.Cells[4].Same != 2 || p.Cells[5].Same != 3 {
		t.Fatalf("cells %+v", p.Cells)
	}
	// One cell is made by an ordinary run before.
	before, err := experiments.Run(t.Context(), p.Cells[0].Config, env)
	if err != nil {
		t.Fatal(err)
	}
	if before.Dir != p.Cells[0].Plan.Dir {
		t.Fatalf("the cell would be %s, and the run is %s", p.Cells[0].Plan.Dir, before.Dir)
	}
	runner := &counting{Runner: InProcess{}}
	states := map[string][]string{}
	done, err := Run(t.Context(), s, Options{Env: env, Jobs: 2, Runner: runner, OnState: func(i int, s State) { states[s.Cell] = append(states[s.Cell], s.Status) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(runner.jobs) != 5 {
		t.Errorf("%d cells were run, not 5", len(runner.jobs))
	}
	for i, want := range []string{"done", "running done", "running done", "running done", "running done", "running done", "running done", "running done"} {
		if got := strings.Join(states[p.Cells[i].Name], " "); got != want {
			t.Errorf("%s: states %q, want %q", p.Cells[i].Name, got, want)
		}
	}
	if !done.Cells[0].Already || done.Cells[1].Already || done.Cells[4].Same != p.Cells[2].Name {
		t.Errorf("cells %+v", done.Cells)
	}
	rows := longRows(t, done.Dir, table.Column{Name: "training.learning_rate", Type: table.Float64}, table.Column{Name: "training.loss", Type: table.String})
	top, best := math.Inf(-1), ""
	for i, c := range p.Cells {
		metrics, err := experiments.ReadMetrics(c.Plan.Dir)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(metrics, func(m experiments.Metric) bool { return m.Name == ByAUC && m.Role == "test" && m.ScoredBy == "network" })
		if got := valueOf(t, rows, c.Name, fromMetrics, ByAUC, "test", "network", ""); got != metrics[at].Value || got != done.Results[i].TestAUC.Value {
			t.Errorf("%s: test AUC %v in the table, %v for people, %v in the run", c.Name, got, done.Results[i].TestAUC.Value, metrics[at].Value)
		}
		by := "seed " + strconv.FormatInt(*c.Seed, 10)
		bestAUC, lastAUC := valueOf(t, rows, c.Name, fromTraining, "tune_auc", "tune", by, atBest), valueOf(t, rows, c.Name, fromTraining, "tune_auc", "tune", by, atLast)
		if c.Config.Training.Loss != "cox" && (bestAUC < lastAUC || bestAUC != done.Results[i].TuneAUC.Value) {
			t.Errorf("%s: tune AUC %v at the kept epoch, %v at the last, %v of the run", c.Name, bestAUC, lastAUC, done.Results[i].TuneAUC.Value)
		}
		if i%2 == 1 { // means over both seeds
			if mean := (done.Results[i-1].TuneAUC.Value + done.Results[i].TuneAUC.Value) / 2; mean > top {
				top, best = mean, c.Setting
			}
		}
	}
	if done.Best != best {
		t.Errorf("chosen %q, want %q by the tune role", done.Best, best)
	}
	for i := range rows.Rows() {
		cell := p.Cells[p.indexOf(rows.Strings("cell")[i])]
		if rows.Float64s("training.learning_rate")[i] != cell.Config.Training.LearningRate || rows.Strings("training.loss")[i] != cell.Config.Training.Loss ||
			rows.Int64s("seed")[i] != *cell.Seed || rows.Strings("run")[i] != filepath.Base(cell.Plan.Dir) || !(rows.Float64s("seconds")[i] > 0) {
			t.Fatalf("row %d of %s has wrong settings", i, cell.Name)
		}
	}
	checkPairs(t, done)
	text, err := os.ReadFile(filepath.Join(done.Dir, wideTable+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := csv.NewReader(strings.NewReader(string(text))).ReadAll(); err != nil || len(lines) != 9 || lines[1][0] != p.Cells[0].Name {
		t.Errorf("the table for people: %v\n%s", err, text)
	}
	page, err := os.ReadFile(done.Page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"8 of 8", "The test role is shown beside it and chooses nothing", "../../" + filepath.Base(p.Cells[0].Plan.Dir) + "/report.html", "same run as"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	// Again: nothing is run, and nothing changes but times.
	again, err := Run(t.Context(), s, Options{Env: env, Runner: refuses{t}})
	if err != nil || again.Dir != done.Dir {
		t.Fatal(again, err)
	}
	if page2, err := os.ReadFile(done.Page); err != nil || string(page2) != string(page) {
		t.Errorf("the page changed: %v", err)
	}
}

// checkPairs holds the table of differences against the AUCs of the runs.
func checkPairs(t *testing.T, done *Done) {
	t.Helper()
	pairs, err := table.Read(filepath.Join(done.Dir, pairTable+".arrow"), table.Schema{Name: pairTable, Columns: []table.Column{{Name: "cell", Type: table.String},
		{Name: "less", Type: table.String}, {Name: "role", Type: table.String}, {Name: "difference", Type: table.Float64, Nullable: true}, {Name: "n", Type: table.Int64}}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	if pairs.Rows() != 2*6 { // roles; cells that are not the reference
		t.Errorf("%d differences", pairs.Rows())
	}
	find := func(cell string) Result {
		return done.Results[slices.IndexFunc(done.Results, func(r Result) bool { return r.Cell == cell })]
	}
	for i := range pairs.Rows() {
		a, b := find(pairs.Strings("cell")[i]), find(pairs.Strings("less")[i])
		want := a.TestAUC.Value - b.TestAUC.Value
		if pairs.Strings("role")[i] == "tune" {
			want = a.TuneAUC.Value - b.TuneAUC.Value
		}
		if *a.Seed != *b.Seed || b.Setting != done.Results[0].Setting || math.Abs(pairs.Float64s("difference")[i]-want) > 1e-12 {
			t.Errorf("%s less %s: %v, want %v", a.Cell, b.Cell, pairs.Float64s("difference")[i], want)
		}
	}
}

// Cells that fail, panic or are killed are rows with the reason, and take no other with them.
func TestCellsThatCrash(t *testing.T) {
	env := testEnv(t)
	s := Sweep{Name: "crashes", Base: "phantom", Set: append(tiny(), Override{Key: "seeds", Value: []int64{1}}), List: []Named{
		{Name: "fails", Set: []Override{{Key: "evaluation.without", Value: []string{"NOBODY"}}}},
		{Name: "panics", Set: []Override{{Key: "description", Value: panics}}},
		{Name: "is killed", Set: []Override{{Key: "description", Value: sleeps}}},
		{Name: "good", Set: []Override{{Key: "training.learning_rate", Value: 0.01}}},
	}}
	go func() { // kills the cell that sleeps, as somebody or the kernel might
		for range 5000 {
			if b, err := os.ReadFile(filepath.Join(env.Runs, "asleep")); err == nil {
				if pid, err := strconv.Atoi(string(b)); err == nil {
					if p, err := os.FindProcess(pid); err == nil {
						_ = p.Kill() // the test fails if it lives on
					}
				}
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	done, err := Run(t.Context(), s, Options{Env: env, Jobs: 2, KeepGoing: true, Runner: Processes{Program: []string{os.Args[0]}}})
	var failed *FailedError
	if !errors.As(err, &failed) || len(failed.Failed) != 3 || failed.NotStarted != 0 {
		t.Fatalf("%T %v", err, err)
	}
	for i, want := range []string{`evaluation.without names "NOBODY"`, "panic: runtime error: index out of range", "ended by signal 9", ""} {
		if c := done.Cells[i]; !strings.Contains(c.Reason, want) || (c.Status == Failed) != (want != "") || c.Log == "" {
			t.Errorf("%+v, want %q", c, want)
		}
	}
	rows := longRows(t, done.Dir, table.Column{Name: "evaluation.without", Type: table.String}, table.Column{Name: "description", Type: table.String})
	reasons := map[string]string{}
	for i := range rows.Rows() {
		if rows.Strings("status")[i] == Failed {
			if rows.Valid("metric")[i] {
				t.Error("a failed cell has figures")
			}
			reasons[rows.Strings("cell")[i]] = rows.Strings("reason")[i]
		}
	}
	if len(reasons) != 3 || !strings.Contains(reasons["is killed"], "signal 9") {
		t.Errorf("rows of failed cells: %v", reasons)
	}
	page, err := os.ReadFile(done.Page)
	if err != nil || !strings.Contains(string(page), "Cells without a result") {
		t.Errorf("the page: %v", err)
	}

	// Without --keep-going the first failure ends it: the good cell waits behind it.
	env.Runs = t.TempDir()
	s.List = slices.Delete(s.List, 1, 3)
	done, err = Run(t.Context(), s, Options{Env: env, Runner: InProcess{}})
	if !errors.As(err, &failed) || failed.NotStarted != 1 || done.Cells[1].Status != Waiting {
		t.Errorf("%v", err)
	}
	// The same command tries the failed cell again, and with --keep-going goes on behind it.
	runner := &counting{Runner: InProcess{}}
	if _, err = Run(t.Context(), s, Options{Env: env, Runner: runner, KeepGoing: true}); !errors.As(err, &failed) || failed.NotStarted != 0 || len(runner.jobs) != 2 {
		t.Errorf("%d cells run, %v", len(runner.jobs), err)
	}
}

// A panic in a cell that runs in this process is that cell's reason.
func TestPanicInProcess(t *testing.T) {
	log := must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "log")))
	defer log.Close()
	p := must[*Planned](t)(New(rates(0.001), testEnv(t)))
	cfg := p.Cells[0].Plan.Config
	cfg.Network.Stages[0].Conv = nil // passes nobody's check and breaks the graph
	err := InProcess{}.Run(t.Context(), Job{Config: cfg, Env: p.env, Threads: 1, Log: log})
	if err == nil {
		t.Fatal("a network without a layer was trained")
	}
	if said, _ := os.ReadFile(log.Name()); len(said) == 0 {
		t.Error("the log is empty")
	}
}

// Two sweeps do not work in one folder.
func TestTwoSweeps(t *testing.T) {
	env := testEnv(t)
	p := must[*Planned](t)(New(rates(0.001), env))
	f := must[*folder](t)(p.open())
	_, err := Run(t.Context(), rates(0.001), Options{Env: env, Runner: refuses{t}})
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Dir != p.Dir {
		t.Errorf("%T %v", err, err)
	}
	f.lock.Close()
}

// A cell whose run folder another process holds waits for it, while others are run; where
// that process finishes the run, it is not run again.
func TestBusyCell(t *testing.T) {
	env := testEnv(t)
	s := rates(0.001, 0.01)
	p := must[*Planned](t)(New(s, env))
	dir := p.Cells[0].Plan.Dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := experiments.LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := testEnv(t)
	other := must[*experiments.Done](t)(experiments.Run(t.Context(), p.Cells[0].Config, elsewhere))
	if err := os.Remove(filepath.Join(other.Dir, ".lock")); err != nil {
		t.Fatal(err)
	}
	var order []string
	runner := &counting{Runner: InProcess{}}
	done, err := Run(t.Context(), s, Options{Env: env, Runner: runner, OnState: func(i int, s State) {
		order = append(order, s.Cell+" "+s.Status)
		if i == 1 && s.Status == Ok { // now the other process ends its run
			if err := os.CopyFS(dir, os.DirFS(other.Dir)); err != nil {
				t.Error(err)
			}
			lock.Close()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{p.Cells[1].Name + " running", p.Cells[1].Name + " done", p.Cells[0].Name + " done"}
	if !slices.Equal(order, want) || len(runner.jobs) != 1 || !done.Cells[0].Already {
		t.Errorf("order %q, want %q; cells %+v", order, want, done.Cells)
	}
}

// Cells that share their networks are not trained at the same time: the second takes them over.
func TestSharedNetworks(t *testing.T) {
	env := testEnv(t)
	s := rates(0.001)
	s.Grid = append(s.Grid, Axis{Key: "evaluation.rmst_days", Values: []any{500, 600}})
	done, err := Run(t.Context(), s, Options{Env: env, Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	m, err := experiments.ReadManifest(filepath.Join(env.Runs, done.Cells[1].Run))
	if err != nil || m.Networks != done.Cells[0].Run {
		t.Errorf("networks of the second cell are from %q, not %q (%v)", m.Networks, done.Cells[0].Run, err)
	}
}

// Ctrl-C stops the cells cleanly; the same command goes on.
func TestStopped(t *testing.T) {
	env := testEnv(t)
	s := rates(0.001, 0.01)
	s.Set = append(s.Set, Override{Key: "description", Value: sleeps})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(env.Runs, "asleep")); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	start := time.Now()
	done, err := Run(ctx, s, Options{Env: env, Runner: Processes{Program: []string{os.Args[0]}}})
	if !errors.Is(err, context.Canceled) || done == nil || done.Cells[0].Status != Stopped || done.Cells[1].Status != Waiting || time.Since(start) > 20*time.Second {
		t.Fatalf("%v after %s: %+v", err, time.Since(start), done)
	}
	if done, err = Run(t.Context(), s, Options{Env: env}); err != nil || done.Cells[0].Status != Ok || done.Cells[1].Status != Ok {
		t.Errorf("%v, %+v", err, done)
	}
}

// A run whose files are damaged or gone is a failed cell with the reason, and hides no other.
func TestDamagedRuns(t *testing.T) {
	env := testEnv(t)
	s := rates(0.001, 0.01, 0.02)
	done := must[*Done](t)(Run(t.Context(), s, Options{Env: env}))
	if err := os.WriteFile(filepath.Join(env.Runs, done.Cells[1].Run, "tables", "predictions.arrow"), []byte("cut"), 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := Run(t.Context(), s, Options{Env: env, Runner: refuses{t}})
	var failed *FailedError
	if !errors.As(err, &failed) || len(failed.Failed) != 1 || failed.Failed[0].Cell != done.Cells[1].Cell || !strings.Contains(failed.Failed[0].Reason, "delete the folder") {
		t.Fatalf("%v", err)
	}
	if again.Results[2].TestAUC != done.Results[2].TestAUC || again.Results[1].TestAUC.N != 0 {
		t.Errorf("results %+v", again.Results)
	}
	// An output is gone, and the process that should make it again does not even begin.
	if err := os.Remove(filepath.Join(env.Runs, done.Cells[2].Run, "report.html")); err != nil {
		t.Fatal(err)
	}
	if again, err = Run(t.Context(), s, Options{Env: env, Runner: Processes{Program: []string{"/nowhere/hounsfield"}}}); !errors.As(err, &failed) || len(failed.Failed) != 2 || again.Cells[2].Status != Failed {
		t.Errorf("%v", err)
	}
	if again, err = Run(t.Context(), s, Options{Env: env}); again.Cells[2].Status != Ok {
		t.Errorf("%v", err)
	}
}
