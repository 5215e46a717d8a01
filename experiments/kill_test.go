package experiments

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hounsfield/experiments/progress"
	"hounsfield/models/cnn"
)

// killedVariable tells the test binary that it is the process to be killed, and where it works.
const killedVariable = "HOUNSFIELD_TEST_KILLED"

// heavyWrites is an experiment whose checkpoints are so large that writing one takes a while.
func heavyWrites(t testing.TB) Config {
	return quick(t, "data.phantom.patients={train: 8, tune: 6, test: 8}", "seeds=[1]", "training.max_epochs=4", "network.dense=[{units: 800}, {units: 1600}]")
}

// TestKilledRun is the process that TestKillNine kills; by itself it does nothing.
func TestKilledRun(t *testing.T) {
	dir := os.Getenv(killedVariable)
	if dir == "" {
		t.Skip("only as a process of TestKillNine")
	}
	run(t, heavyWrites(t), Env{Runs: filepath.Join(dir, "runs"), Cache: filepath.Join(dir, "cache"), Code: "test"})
}

// A run that is killed with signal 9, between checkpoints and in the middle of writing one,
// goes on from the last whole epoch and ends with the same bytes as one left alone.
func TestKillNine(t *testing.T) {
	whole := run(t, heavyWrites(t), tinyEnv(t))
	dir := t.TempDir()
	checkpoints := filepath.Join(dir, "runs", "*", "checkpoints", "seed-1")
	kill := func(pattern string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledRun$")
		cmd.Env = append(os.Environ(), killedVariable+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); ; time.Sleep(200 * time.Microsecond) {
			if found, err := filepath.Glob(filepath.Join(checkpoints, pattern)); err != nil || len(found) > 0 {
				break
			}
			if time.Since(start) > time.Minute {
				t.Error("no file " + pattern)
				break
			}
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("the process was not killed: %v", err)
		}
	}
	kill(".epoch-0002*") // while the second checkpoint is written
	if left, _ := filepath.Glob(filepath.Join(checkpoints, ".epoch-*")); len(left) == 0 {
		t.Error("the kill came too late: no half-written checkpoint was left")
	}
	kill("epoch-0003*") // after the third is there: in training
	env := Env{Runs: filepath.Join(dir, "runs"), Cache: filepath.Join(dir, "cache"), Code: "test"}
	var epochs []int
	done, err := runWith(t.Context(), heavyWrites(t), env, func(e cnn.EpochRecord) { epochs = append(epochs, e.Epoch) })
	if err != nil {
		t.Fatal(err)
	}
	if len(epochs) != 4 {
		t.Errorf("epochs %v", epochs)
	}
	if d := differing(t, whole.Dir, done.Dir); d != nil {
		t.Errorf("killed and uninterrupted runs differ in %v", d)
	}
	if left, _ := filepath.Glob(filepath.Join(checkpoints, ".epoch-*")); left != nil {
		t.Errorf("half-written checkpoints are left: %v", left)
	}
}

// A newest checkpoint that is cut is passed over with a warning, and the run goes on from
// the one before.
func TestCutCheckpoint(t *testing.T) {
	cfg, env := quick(t, "data.phantom.patients={train: 8, tune: 6, test: 8}", "seeds=[1]", "training.max_epochs=4"), tinyEnv(t)
	whole := run(t, cfg, env)
	env = tinyEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := runWith(ctx, cfg, env, func(e cnn.EpochRecord) {
		if e.Epoch == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(env.Runs, "*", "checkpoints", "seed-1", "epoch-0003.ckpt"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 1000); err != nil {
		t.Fatal(err)
	}
	// As if it had ended with an error, such as that memory ran out.
	folder := filepath.Dir(filepath.Dir(filepath.Dir(files[0])))
	m, err := ReadManifest(folder)
	if err != nil {
		t.Fatal(err)
	}
	m.Status, m.Error = StatusFailed, "an error"
	if err := m.write(folder); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	env.Progress = progress.New(log)
	done := run(t, cfg, env)
	said, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(said), "warning: ") || !strings.Contains(string(said), "epoch-0003.ckpt") {
		t.Errorf("no warning about the cut checkpoint (%v):\n%s", err, said)
	}
	if d := differing(t, whole.Dir, done.Dir); d != nil {
		t.Errorf("runs differ in %v", d)
	}
	if m, err := ReadManifest(done.Dir); err != nil || m.Status != StatusDone || m.Error != "" {
		t.Errorf("manifest %+v, %v", m, err)
	}
}
