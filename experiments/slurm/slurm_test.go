package slurm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hounsfield/experiments/slurm/slurmtest"
)

// How a task ended is told by Slurm, or by what the task wrote where Slurm knows nothing.
func TestWhy(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("run folder x\nhounsfield: something broke;\nand how\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	advice := Advice{Time: "ask for an hour", Memory: "ask for a GB", Missing: "nothing is here"}
	for _, c := range []struct {
		state string
		said  Task
		want  string
	}{
		{"TIMEOUT", Task{Status: Running, Host: "n1"}, "ran out of its time (TIMEOUT) on n1; ask for an hour"},
		{"OUT_OF_MEMORY", Task{Restarts: 2}, "(OUT_OF_MEMORY), requeued 2 times; ask for a GB"},
		{"CANCELLED", Task{Status: Stopped, Reason: "stopped by a signal"}, "cancelled in Slurm"},
		{"PREEMPTED", Task{}, "make room"},
		{"NODE_FAIL", Task{}, "lost its node"},
		{"FAILED", Task{Status: Failed, Reason: "no patients"}, "no patients"},
		{"FAILED", Task{Status: Running}, "something broke; and how"},
		{"COMPLETED", Task{}, "by Slurm's books, but nothing is here"},
		{"", Task{Status: Running}, "ended without a word"},
		{"", Task{}, "no sign of having begun"},
		{"FAILED", Task{Job: "11", Status: Failed, Reason: "of an earlier job"}, "something broke; and how"},
	} {
		if c.said.Job == "" {
			c.said.Job = "12"
		}
		if got := (Job{ID: "12"}).Why(Ended{State: State{Name: c.state}, Said: c.said, Log: log}, advice); !strings.Contains(got, c.want) {
			t.Errorf("%s %+v: %q, want %q", c.state, c.said, got, c.want)
		}
	}
	// What an earlier job left in the log is not this one's reason.
	info, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	if got := (Job{ID: "13"}).Why(Ended{State: State{Name: "FAILED"}, Log: log, From: info.Size()}, advice); got != "task FAILED in Slurm" {
		t.Errorf("after an earlier job: %q", got)
	}
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "3": {3}, "0-2": {0, 1, 2}, "0-1,3,5-7": {0, 1, 3, 5, 6, 7}} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}

// A task's own account comes back as it was written, and how it ended follows from its error.
func TestTask(t *testing.T) {
	t.Setenv("SLURM_ARRAY_JOB_ID", "7")
	t.Setenv("SLURM_RESTART_COUNT", "2")
	file := filepath.Join(t.TempDir(), "001.json")
	if said, err := ReadTask(file); err != nil || said != (Task{}) {
		t.Errorf("before it began: %+v, %v", said, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		ctx          context.Context
		err          error
		status, says string
	}{{t.Context(), nil, Done, ""}, {t.Context(), errors.New("no\n room"), Failed, "no room"}, {stopped, context.Canceled, Stopped, "stopped by a signal"}} {
		task := NewTask()
		task.End(c.ctx, c.err)
		if err := task.Write(file); err != nil {
			t.Fatal(err)
		}
		said, err := ReadTask(file)
		if err != nil || said != *task || said.Status != c.status || said.Reason != c.says || said.Job != "7" || said.Restarts != 2 {
			t.Errorf("%+v, %v", said, err)
		}
	}
}

// A real array of three tasks: one ends well, one badly, one is cancelled while it is waited for.
func TestAwait(t *testing.T) {
	slurmtest.Need(t)
	dir := t.TempDir() + "/logs of 100% 'tasks'"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := Script{About: "Tasks of a test.", Name: "hounsfield-test", Tasks: []int{1, 2, 4}, Logs: dir, Program: "/bin/bash",
		Before:  []string{"echo task $SLURM_ARRAY_TASK_ID with $GOMAXPROCS"},
		Command: []string{"-c", Quote(`case $0 in 2) echo "hounsfield: it's broken" && exit 3;; 4) sleep 300;; esac`), TaskIndex}}.Text()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "slurm.sh")
	if err := os.WriteFile(script, text, 0o644); err != nil {
		t.Fatal(err)
	}
	id, err := Submit(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec.Command("scancel", id).Run() }) // nothing is left where the test fails
	job := Job{ID: id, Tasks: []int{1, 2, 4}}
	if _, left, err := job.Await(t.Context(), Watch{NoWait: true}); err != nil || left == 0 {
		t.Errorf("one look: %d left, %v", left, err)
	}
	if alive, err := Alive(t.Context(), id); err != nil || !alive {
		t.Errorf("alive %t, %v", alive, err)
	}
	short, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	var stopped *StoppedError
	if _, _, err := job.Await(short, Watch{}); !errors.As(err, &stopped) || !strings.Contains(err.Error(), "scancel "+id) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait that is broken off: %v", err)
	}
	cancelled := false
	ended, left, err := job.Await(t.Context(), Watch{Poll: 200 * time.Millisecond, Follow: func(tasks map[int]State) {
		if tasks[4].Name == "RUNNING" && !cancelled {
			cancelled = exec.Command("scancel", id+"_4").Run() == nil
		}
	}})
	if err != nil || left != 0 {
		t.Fatal(left, err)
	}
	for task, want := range map[int]string{1: "COMPLETED", 2: "FAILED", 4: "CANCELLED"} {
		if ended[task].Name != want {
			t.Errorf("task %d: %+v, want %s", task, ended[task], want)
		}
	}
	if why := job.Why(Ended{State: ended[2], Log: filepath.Join(dir, LogName(2))}, Advice{}); why != "it's broken" {
		t.Errorf("why it failed: %q", why)
	}
	if alive, err := Alive(t.Context(), id); err != nil || alive {
		t.Errorf("after its end: alive %t, %v", alive, err)
	}
	if tasks, err := Queue(t.Context(), "99999999"); err != nil || len(tasks) > 0 {
		t.Errorf("a job that never was: %v, %v", tasks, err)
	}
	log, err := os.ReadFile(filepath.Join(dir, LogName(1)))
	if err != nil || !slices.Contains(strings.Split(string(log), "\n"), "task 1 with 1") {
		t.Errorf("log %q, %v", log, err)
	}
}
