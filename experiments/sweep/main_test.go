package sweep

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

// programVariable makes the test binary a small hounsfield with the verbs run and sweep, so
// that cells can be processes. It names the cache for cubes.
const programVariable = "HOUNSFIELD_SWEEP_TEST_PROGRAM"

// cubes are kept here between the runs of all tests.
var cubes string

func TestMain(m *testing.M) {
	if cache := os.Getenv(programVariable); cache != "" && len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := program(cache, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "hounsfield:", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	var err error
	if cubes, err = os.MkdirTemp("", "hounsfield-sweep-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv(programVariable, cubes)
	status := m.Run()
	os.RemoveAll(cubes)
	os.Exit(status)
}

// Descriptions that make the test program end badly when it runs the config.
const (
	panics = "panics in the run"
	sleeps = "sleeps until it is killed"
)

// program is the command line that sweeps start, as far as they use it.
func program(cache string, args []string) error {
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	runs, jobs, cell := flags.String("runs", "", ""), flags.Int("jobs", 0, ""), flags.Int("cell", -1, "")
	flags.String("mirror", "", "")
	if err := flags.Parse(args[2:]); err != nil {
		return err
	}
	env := experiments.Env{Runs: *runs, Cache: cache, Code: "test", Jobs: *jobs, Progress: progress.New(os.Stderr)}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if args[0] == "sweep" {
		s, err := Load(args[1])
		if err != nil {
			return err
		}
		if *cell >= 0 {
			return RunCell(ctx, s, *cell, env)
		}
		_, err = Run(ctx, s, Options{Env: env, Jobs: 2, KeepGoing: true, Runner: Processes{}})
		return err
	}
	cfg, err := experiments.Load(args[1])
	if err != nil {
		return err
	}
	if strings.HasPrefix(cfg.Description, sleeps) {
		if err := os.WriteFile(filepath.Join(*runs, "asleep"), fmt.Append(nil, os.Getpid()), 0o644); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			return errors.New("nobody killed the cell")
		}
	}
	if strings.HasPrefix(cfg.Description, panics) {
		var nobody []int
		fmt.Println(nobody[len(args)])
	}
	_, err = experiments.Run(ctx, cfg, env)
	return err
}

// tiny are settings of a whole experiment that takes less than a second: few patients, a
// network of two filters.
func tiny() []Override {
	return []Override{
		{Key: "data.phantom.patients", Value: map[string]any{"train": 8, "tune": 6, "test": 8}},
		{Key: "training.max_epochs", Value: 2}, {Key: "training.batch", Value: 4}, {Key: "network.input_pool", Value: 5},
		{Key: "network.stages", Value: []any{map[string]any{"conv": map[string]any{"filters": 2, "kernel": 3}}, map[string]any{"pool": map[string]any{"size": 2}}}},
		{Key: "network.dense", Value: []any{map[string]any{"units": 4, "dropout": 0.5}}},
		{Key: "evaluation.bootstrap", Value: 100}, {Key: "backend", Value: "go"}, {Key: "augment.shift", Value: 0},
	}
}

// rates is a sweep of tiny cells over learning rates.
func rates(values ...any) Sweep {
	return Sweep{Name: "rates", Base: "phantom", Set: tiny(), Grid: []Axis{{Key: "training.learning_rate", Values: values}}, Seeds: []int64{1}}
}

func testEnv(t testing.TB) experiments.Env {
	t.Helper()
	return experiments.Env{Runs: t.TempDir(), Cache: cubes, Code: "test"}
}

func must[V any](t testing.TB) func(v V, err error) V {
	t.Helper()
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refuses is a runner for sweeps that have nothing to run.
type refuses struct{ t *testing.T }

func (r refuses) Run(_ context.Context, j Job) error {
	r.t.Errorf("%s was run", j.File)
	return errors.New("should not run")
}
