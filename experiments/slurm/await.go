package slurm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hounsfield/experiments/progress"
)

// Watch says how a job is waited for.
type Watch struct {
	NoWait   bool          // look once and return
	Poll     time.Duration // between looks at the queue; 0 = from 2 to 20 seconds
	Progress *progress.Progress
	// Follow is told of the tasks that Slurm knows at each look, from one goroutine; may be nil.
	Follow func(tasks map[int]State)
}

// StoppedError is a wait that was broken off while the job goes on.
type StoppedError struct {
	Job string
	Err error // the context's
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("stopped; job %s goes on: type the same command again to gather it, or `scancel %s` to end it: %v", e.Job, e.Job, e.Err)
}

// Unwrap gives the context's error.
func (e *StoppedError) Unwrap() error { return e.Err }

// Await looks at the queue until all tasks of the job have ended. left is the number of tasks
// still to end, more than 0 only with NoWait; ended says of each task how it ended, as far as
// Slurm or its accounting still knows.
//
// Errors: *StoppedError when ctx ends; with NoWait also *Error. Without, a Slurm that does not
// answer is asked again, for it may be restarted while jobs run.
func (j Job) Await(ctx context.Context, w Watch) (ended map[int]State, left int, err error) {
	say := w.Progress
	ended = map[int]State{}
	quiet, silent, told := 0, "", ""
	bar := say.Bar(len(j.Tasks), "job "+j.ID)
	counted, pause := 0, 2*time.Second
	for {
		tasks, err := Queue(ctx, j.ID)
		switch {
		case ctx.Err() != nil:
			return nil, 0, &StoppedError{Job: j.ID, Err: ctx.Err()}
		case err != nil && w.NoWait:
			return nil, 0, err
		case err != nil:
			if silent != err.Error() {
				silent = err.Error()
				say.Say("Slurm does not answer: %v; asking again", err)
			}
		default:
			silent = ""
			alive := 0
			for _, i := range j.Tasks {
				t, known := tasks[i]
				switch {
				case known && t.Over():
					ended[i] = t
				case known:
					alive++
					delete(ended, i) // it was requeued
				}
			}
			if w.Follow != nil {
				w.Follow(tasks)
			}
			if words := inWords(j.Tasks, tasks); words != told {
				told = words
				bar.Note("job %s: %s; tasks", j.ID, words)
				say.Say("job %s: %s", j.ID, words)
			}
			if n := len(j.Tasks) - alive; n > counted {
				bar.Add(n - counted)
				counted = n
			}
			if alive > 0 && w.NoWait {
				return ended, alive, nil
			}
			// Between its end and its return to the queue a task may be unknown for a moment.
			if quiet++; alive > 0 {
				quiet = 0
			}
			if quiet >= 2 {
				bar.Done()
				j.askBooks(ctx, ended)
				return ended, 0, nil
			}
		}
		wait := pause
		if w.Poll > 0 {
			wait = w.Poll
		}
		pause = min(pause*5/4, 20*time.Second)
		select {
		case <-ctx.Done():
			return nil, 0, &StoppedError{Job: j.ID, Err: ctx.Err()}
		case <-time.After(wait):
		}
	}
}

// askBooks adds from Slurm's accounting how those tasks ended that the queue knows no more.
func (j Job) askBooks(ctx context.Context, ended map[int]State) {
	if len(ended) == len(j.Tasks) {
		return
	}
	books := accounted(ctx, j.ID)
	for _, i := range j.Tasks {
		if _, known := ended[i]; !known && books[i].Name != "" {
			ended[i] = books[i]
		}
	}
}

// inWords counts the tasks by state.
func inWords(indices []int, tasks map[int]State) string {
	count := map[string]int{}
	for _, i := range indices {
		t, known := tasks[i]
		switch {
		case !known:
			count["ended"]++
		case t.Name == "PENDING" && t.Reason != "" && t.Reason != "None":
			count["pending ("+t.Reason+")"]++
		default:
			count[strings.ToLower(t.Name)]++
		}
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[state], state))
	}
	return strings.Join(parts, ", ")
}
