// Package slurm hands work to Slurm as one array job, waits for its tasks and says in words
// why one ended badly. It knows Slurm's commands (sbatch, squeue, sacct) and nothing of the
// work: sweeps and the preparation of cohorts use it alike.
//
// Slurm is taken to have a file system that the machine where the command is typed and all
// nodes share, under the same paths: this program, inputs, outputs and the folder in which the
// command was typed. Locks are of flock(2): on NFS that needs a version 4 server, or version 3
// with its lock service, and no `local_lock` mount option; without, two processes in one folder
// do not see each other.
package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Error says what Slurm answered to a command that failed.
type Error struct {
	Command string
	Output  string
	Err     error
}

func (e *Error) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("%s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("%s: %s (%v)", e.Command, e.Output, e.Err)
}

// Unwrap gives the error below.
func (e *Error) Unwrap() error { return e.Err }

// Job is an array job that was submitted.
type Job struct {
	ID        string    `json:"job"`
	Tasks     []int     `json:"tasks"`
	Submitted time.Time `json:"submitted"`
	Gathered  bool      `json:"gathered"` // all tasks have ended, and what they left was read
	// Logs are the lengths of the tasks' logs, in bytes, when the job was submitted: what stands
	// before is of earlier tries.
	Logs map[int]int64 `json:"logs"`
}

// Submit hands a batch script to Slurm and gives the job's number.
func Submit(ctx context.Context, file string) (id string, err error) {
	out, err := command(ctx, "sbatch", "--parsable", file)
	if err != nil {
		return "", err
	}
	id, _, _ = strings.Cut(strings.TrimSpace(out), ";")
	if _, err := strconv.Atoi(id); err != nil {
		return "", &Error{Command: "sbatch", Output: out, Err: errors.New("its answer holds no job's number")}
	}
	return id, nil
}

// command runs one of Slurm's commands and gives what it printed.
func command(ctx context.Context, name string, args ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", &Error{Command: name, Err: fmt.Errorf("%w: this machine is none from which jobs can be submitted to Slurm; leave --slurm out to do the work here", err)}
	}
	if err != nil {
		// The text alone: an exit status is Slurm's own, and not for those who ask what ended this program.
		return "", &Error{Command: name, Output: oneLine(said.String()), Err: errors.New(err.Error())}
	}
	return out.String(), nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// State is what Slurm says of one task of an array.
type State struct{ Name, Reason string }

// Over says whether a task will do nothing more.
func (s State) Over() bool {
	switch s.Name {
	case "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT":
		return true
	}
	return false
}

// Queue asks Slurm for the tasks of a job by their index: those that wait or run, and those
// that ended not long ago. A job that it knows no more has none.
func Queue(ctx context.Context, id string) (map[int]State, error) {
	out, err := command(ctx, "squeue", "--array", "--states=all", "--noheader", "--jobs="+id, "--format=%K|%T|%r")
	var bad *Error
	if errors.As(err, &bad) && strings.Contains(bad.Output, "Invalid job id") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tasks := map[int]State{}
	for line := range strings.Lines(out) {
		parts := strings.SplitN(strings.TrimSpace(line), "|", 3)
		if i, err := strconv.Atoi(parts[0]); err == nil && len(parts) == 3 {
			tasks[i] = State{parts[1], parts[2]}
		}
	}
	return tasks, nil
}

// Alive says whether a task of the job may still do something. On a machine without Slurm's
// commands the job is none of its business, and it is not.
func Alive(ctx context.Context, id string) (bool, error) {
	if _, err := exec.LookPath("squeue"); err != nil {
		return false, nil
	}
	tasks, err := Queue(ctx, id)
	if err != nil {
		return false, err
	}
	for _, t := range tasks {
		if !t.Over() {
			return true, nil
		}
	}
	return false, nil
}

// accounted asks Slurm's accounting, where there is one, how tasks ended.
func accounted(ctx context.Context, id string) map[int]State {
	out, err := command(ctx, "sacct", "--noheader", "--allocations", "--parsable2", "--jobs="+id, "--format=JobID,State")
	tasks := map[int]State{}
	if err != nil {
		return tasks // there is none: what tasks wrote has to do
	}
	for line := range strings.Lines(out) {
		name, state, _ := strings.Cut(strings.TrimSpace(line), "|")
		_, index, _ := strings.Cut(name, "_")
		if i, err := strconv.Atoi(index); err == nil {
			tasks[i] = State{Name: strings.Fields(state + " ")[0]} // CANCELLED by 0
		}
	}
	return tasks
}
