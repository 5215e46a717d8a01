package slurm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// How a task is, by its own account.
const (
	Running = "running" // until it says otherwise
	Done    = "done"
	Failed  = "failed"
	Stopped = "stopped" // by a signal
)

// Task is what a task of an array job writes of itself, so that its end is known without
// Slurm's accounting.
type Task struct {
	Status   string    `json:"status"`
	Reason   string    `json:"reason,omitempty"`
	Job      string    `json:"job"` // of the array; empty outside Slurm
	Restarts int       `json:"restarts"`
	Host     string    `json:"host"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
}

// NewTask is the task that runs in this process, from now on.
func NewTask() *Task {
	t := &Task{Status: Running, Job: os.Getenv("SLURM_ARRAY_JOB_ID"), Started: time.Now().UTC()}
	t.Restarts, _ = strconv.Atoi(os.Getenv("SLURM_RESTART_COUNT")) // not set: none
	t.Host, _ = os.Hostname()                                      // a name for people
	return t
}

// End notes how the work ended.
func (t *Task) End(ctx context.Context, err error) {
	t.Seconds = time.Since(t.Started).Seconds()
	switch {
	case err == nil:
		t.Status = Done
	case ctx.Err() != nil:
		t.Status, t.Reason = Stopped, "stopped by a signal"
	default:
		t.Status, t.Reason = Failed, oneLine(err.Error())
	}
}

// Write writes it to a file, whole or not at all.
func (t *Task) Write(file string) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", file, err)
	}
	return nil
}

// ReadTask reads what a task wrote last; the zero task where it wrote nothing.
func ReadTask(file string) (Task, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return Task{}, nil
	}
	if err != nil {
		return Task{}, err
	}
	var t Task
	return t, json.Unmarshal(text, &t)
}

// Ended is what is known of a task that left no result.
type Ended struct {
	State State  // by Slurm; the zero one where it knows nothing
	Said  Task   // by itself; one of another job counts as nothing
	Log   string // its log, in which it has written
	From  int64  // from this byte on
}

// Advice is what a person can do about a task that left no result, in the words of the work.
type Advice struct {
	Time, Memory string // where the task ran out of it: how to ask for more
	Missing      string // where it ended well and the result is not here
}

// Why says in words why a task of the job left no result.
func (j Job) Why(e Ended, a Advice) string {
	said := e.Said
	if said.Job != j.ID {
		said = Task{}
	}
	more := ""
	if said.Host != "" {
		more = " on " + said.Host
	}
	if said.Restarts > 0 {
		more += fmt.Sprintf(", requeued %d times", said.Restarts)
	}
	switch state := e.State.Name; state {
	case "CANCELLED":
		return "cancelled in Slurm (CANCELLED)" + more
	case "TIMEOUT", "DEADLINE":
		return "ran out of its time (" + state + ")" + more + "; " + a.Time
	case "OUT_OF_MEMORY":
		return "ran out of its memory (OUT_OF_MEMORY)" + more + "; " + a.Memory
	case "PREEMPTED":
		return "had to make room for another job and was not put back into the queue (PREEMPTED)" + more
	case "NODE_FAIL", "BOOT_FAIL":
		return "lost its node (" + state + ")" + more
	}
	if said.Status == Failed || said.Status == Stopped {
		return said.Reason + more
	}
	switch {
	case e.State.Name == "COMPLETED":
		return "ended well by Slurm's books, but " + a.Missing
	case e.State.Name != "":
		return LastWords(e.Log, e.From, fmt.Errorf("task %s in Slurm", e.State.Name)) + more
	case said.Status == Running:
		return "ended without a word" + more + ": killed, or its node went down; Slurm does not know job " + j.ID + " any more"
	default:
		return "left no sign of having begun: it was cancelled before, or Slurm does not know job " + j.ID + " any more"
	}
}

var crash = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: out of memory).*$`)

// LastWords are the reason of a process's end by what it printed after an offset of its log:
// the line of a crash, its own last message, or the last line it printed after end. Where it
// printed nothing, they are end.
func LastWords(log string, from int64, end error) string {
	said := tail(log, from)
	if found := crash.Find(said); found != nil {
		return string(found)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if text, ok := strings.CutPrefix(lines[i], "hounsfield: "); ok {
			return strings.TrimSpace(text + " " + strings.Join(lines[i+1:], " "))
		}
	}
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Sprintf("%v: %s", end, last)
	}
	return end.Error()
}

// tail is the end of a log, from an offset on, of at most 64 KiB.
func tail(log string, from int64) []byte {
	f, err := os.Open(log)
	if err != nil {
		return nil
	}
	defer f.Close()
	const most = 64 << 10
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-most)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, from, most))
	if err != nil {
		return nil
	}
	return bytes.ToValidUTF8(b, []byte("?"))
}
