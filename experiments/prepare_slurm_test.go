package experiments

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hounsfield/experiments/slurm"
	"hounsfield/experiments/slurm/slurmtest"
)

// shardVariable holds the arguments of a task, one a line, and tells the test binary that it is
// one.
const shardVariable = "HOUNSFIELD_TEST_SHARD"

// TestShardTask is a task of TestPrepareInSlurm; by itself it does nothing.
func TestShardTask(t *testing.T) {
	args := strings.Split(strings.TrimSuffix(os.Getenv(shardVariable), "\n"), "\n")
	if args[0] != "prepare" {
		t.Skip("only as a task of TestPrepareInSlurm")
	}
	var o PrepareOptions
	var shard string
	flags := flag.NewFlagSet("prepare", flag.ExitOnError)
	flags.StringVar(&o.Out, "out", "", "")
	flags.StringVar(&o.Dataset, "dataset", "", "")
	flags.BoolVar(&o.NoVolumes, "no-volumes", false, "")
	flags.IntVar(&o.Jobs, "jobs", 0, "")
	flags.StringVar(&shard, "shard", "", "")
	if err := flags.Parse(args[2:]); err != nil {
		t.Fatal(err)
	}
	o.Source = args[1]
	if _, err := fmt.Sscanf(shard, "%d/%d", &o.Shard, &o.Shards); err != nil {
		t.Fatal(err)
	}
	o.Shard--
	if err := Prepare(t.Context(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hounsfield:", err)
		t.FailNow()
	}
}

// A cohort as a real array job: of three shards one cannot write and one is cancelled. The same
// command submits those two alone, and what it leaves is what one process leaves, byte by byte.
func TestPrepareInSlurm(t *testing.T) {
	slurmtest.Need(t)
	work := filepath.Join(t.TempDir(), "it's 100%")
	scans, out, whole := filepath.Join(work, "scans"), filepath.Join(work, "prepared"), t.TempDir()
	ids := writePhantoms(t, scans, 4) // shard 1 has two
	slices.Sort(ids)
	// Shard 2 finds a file where its patient's folder should be; shard 3 waits to be cancelled.
	inTheWay, hold := filepath.Join(out, ids[1]), filepath.Join(work, "hold")
	program := filepath.Join(work, "hounsfield")
	text := fmt.Sprintf("#!/bin/bash\n[ \"$SLURM_ARRAY_TASK_ID\" != 3 ] || [ ! -e %s ] || sleep 300\n%s=$(printf '%%s\\n' \"$@\") exec %s -test.run='^TestShardTask$'\n",
		slurm.Quote(hold), shardVariable, slurm.Quote(os.Args[0]))
	for file, text := range map[string]string{inTheWay: "no folder", hold: "", program: text} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := PrepareOptions{Source: scans, Out: out, NoVolumes: true}
	so := PrepareSlurm{Shards: 3, NoWait: true, Program: program, Poll: 200 * time.Millisecond, Sbatch: []string{"--time=0:10:00"}}
	if err := PrepareInSlurm(t.Context(), o, so, io.Discard); err != nil {
		t.Fatal(err)
	}
	r, err := readShards(out)
	if err != nil || r.Job == nil || !slices.Equal(r.Job.Tasks, []int{1, 2, 3}) {
		t.Fatalf("record %+v, %v", r, err)
	}
	first := r.Job.ID
	t.Cleanup(func() { _ = exec.Command("scancel", first).Run() }) // nothing is left where the test fails
	if err := Prepare(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), "scancel "+first) {
		t.Errorf("patients that tasks prepare would be prepared here: %v", err)
	}
	other := o
	other.NoVolumes = false
	if err := PrepareInSlurm(t.Context(), other, so, io.Discard); err == nil || !strings.Contains(err.Error(), "in another way") {
		t.Errorf("another command while the job runs: %v", err)
	}
	so.NoWait = false
	stopped, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if err := PrepareInSlurm(stopped, o, so, io.Discard); err == nil || !strings.Contains(err.Error(), "job "+first+" goes on") {
		t.Errorf("a wait that is broken off: %v", err)
	}
	go func() {
		for t.Context().Err() == nil {
			tasks, err := slurm.Queue(t.Context(), first)
			if err == nil && tasks[3].Name == "RUNNING" && tasks[1].Over() {
				_ = exec.Command("scancel", first+"_3").Run() // its task is looked at below
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	err = PrepareInSlurm(t.Context(), o, so, io.Discard)
	var failed *ShardsError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || failed.Failed[0].Shard != 2 || failed.Failed[1].Shard != 3 {
		t.Fatalf("%T %v", err, err)
	}
	for i, want := range []string{"cannot write patient " + ids[1], "cancelled in Slurm"} {
		if f := failed.Failed[i]; !strings.Contains(f.Reason, want) {
			t.Errorf("%+v, want %q", f, want)
		}
	}
	for _, file := range []string{inTheWay, hold} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	if err := PrepareInSlurm(t.Context(), o, so, &said); err != nil {
		t.Fatal(err)
	}
	r, err = readShards(out)
	if err != nil || r.Job.ID == first || !slices.Equal(r.Job.Tasks, []int{2, 3}) || !r.Job.Gathered {
		t.Errorf("second job %+v, %v", r.Job, err)
	}
	if !strings.Contains(said.String(), "4 of 4 patients prepared (4 kept from before, 0 made anew)") {
		t.Errorf("the merge says:\n%s", said.String())
	}
	second := r.Job.ID
	o.Out = whole
	if err := Prepare(t.Context(), o, io.Discard); err != nil {
		t.Fatal(err)
	}
	samePrepared(t, out, whole)
	// Nobody lacks: nothing is submitted.
	o.Out = out
	if err := PrepareInSlurm(t.Context(), o, so, io.Discard); err != nil {
		t.Fatal(err)
	}
	if r, err = readShards(out); err != nil || r.Job.ID != second {
		t.Errorf("third job %+v, %v", r.Job, err)
	}
}
