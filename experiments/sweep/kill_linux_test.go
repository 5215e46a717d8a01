package sweep

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hounsfield/experiments"
)

// When a sweep is killed with signal 9, its cells die with it, and the same command goes on:
// what was done is not run again.
func TestKillNine(t *testing.T) {
	env := testEnv(t)
	s := rates(0.001, 0.01)
	s.Seeds, s.Set = nil, append(s.Set, Override{Key: "seeds", Value: []int64{1}})
	s.List = []Named{{Name: "sleeps", Set: []Override{{Key: "description", Value: sleeps}}}}
	text := must[[]byte](t)(s.yaml())
	file := filepath.Join(t.TempDir(), "sweep.yaml")
	base := must[experiments.Config](t)(experiments.Load("phantom"))
	baseText := must[[]byte](t)(base.YAML())
	for name, b := range map[string][]byte{file: text, filepath.Join(filepath.Dir(file), baseFile): baseText} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], "sweep", file, "--runs", env.Runs)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := must[*Planned](t)(New(s, env))
	var child int
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(filepath.Join(env.Runs, "asleep")); err == nil {
			if pid, err := strconv.Atoi(string(b)); err == nil {
				done := 0
				for _, c := range p.Cells[:2] {
					if m, err := experiments.ReadManifest(c.Plan.Dir); err == nil && m.Status == experiments.StatusDone {
						done++
					}
				}
				if child = pid; done == 2 {
					break
				}
			}
		}
		if time.Since(start) > time.Minute {
			t.Fatal("the cells did not come so far")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	for start := time.Now(); syscall.Kill(child, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("cell process %d lives on", child)
		}
	}
	runner := &counting{Runner: InProcess{}}
	done, err := Run(t.Context(), s, Options{Env: env, Runner: runner})
	if err != nil || len(runner.jobs) != 1 || filepath.Base(runner.jobs[0].File) != "002.yaml" {
		t.Errorf("%v; %d cells were run again", err, len(runner.jobs))
	}
	for _, c := range done.Cells {
		if c.Status != Ok || c.Already {
			t.Errorf("%+v", c)
		}
	}
}

// Each slot has processors of its own as long as there are any.
func TestPartOf(t *testing.T) {
	var all unix.CPUSet
	for _, cpu := range []int{1, 2, 5, 70} {
		all.Set(cpu)
	}
	for _, c := range []struct {
		slot, threads int
		want          []int
	}{{0, 2, []int{1, 2}}, {1, 2, []int{5, 70}}, {2, 2, []int{1, 2}}, {3, 1, []int{70}}, {0, 9, []int{1, 2, 5, 70}}} {
		part := partOf(all, c.slot, c.threads)
		for _, cpu := range c.want {
			if !part.IsSet(cpu) || part.Count() != len(c.want) {
				t.Errorf("slot %d of %d processors: %d of them, %d among them: %t", c.slot, c.threads, part.Count(), cpu, part.IsSet(cpu))
			}
		}
	}
}
