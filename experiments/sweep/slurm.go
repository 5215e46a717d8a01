package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

// SlurmOptions say how cells become tasks of a Slurm array job.
//
// Slurm is taken to have a file system that the machine where the sweep is typed and all
// nodes share, under the same paths: the runs folder, this program, the data and the folder
// in which the command was typed. Run folders are locked by flock(2): on NFS that needs a
// version 4 server, or version 3 with its lock service, and no `local_lock` mount option;
// without, two processes on one run folder do not see each other.
type SlurmOptions struct {
	Sbatch  []string      // further options for sbatch, after those of the sweep's file
	NoWait  bool          // submit, or gather what is there, and return
	Program string        // the hounsfield that the tasks run; "" = this program
	Poll    time.Duration // between looks at the queue; 0 = from 2 to 20 seconds
}

// job is an array job that was submitted for a sweep.
type job struct {
	ID        string    `json:"job"`
	Cells     []int     `json:"cells"`
	Submitted time.Time `json:"submitted"`
	Gathered  bool      `json:"gathered"` // all tasks have ended, and their results were read
	// Logs are the lengths of the cells' logs, in bytes, when the job was submitted: what stands
	// before is of earlier tries.
	Logs map[int]int64 `json:"logs"`
}

// SlurmError says what Slurm answered to a command that failed.
type SlurmError struct {
	Command string
	Output  string
	Err     error
}

func (e *SlurmError) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("%s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("%s: %s (%v)", e.Command, e.Output, e.Err)
}

// Unwrap gives the error below.
func (e *SlurmError) Unwrap() error { return e.Err }

// Slurm submits the cells that are not done as one array job, waits for its tasks and
// gathers results. Where a job of this sweep is not gathered yet, it submits nothing, waits
// for that one and gathers. When it is stopped, the job goes on.
//
// Errors: those of Run, *SlurmError.
func (p *Planned) Slurm(ctx context.Context, o Options, so SlurmOptions) (*Done, error) {
	f, err := p.open()
	if err != nil {
		return nil, err
	}
	defer f.lock.Close()
	say := o.Env.Progress
	if f.record.Job == nil || f.record.Job.Gathered {
		if err := p.submit(ctx, f, o, so); err != nil {
			return nil, err
		}
		if j := f.record.Job; so.NoWait && j != nil && !j.Gathered {
			say.Say("type the same command again to gather its results")
			return p.gather(f)
		}
	} else {
		say.Say("job %s of %s is not gathered yet: nothing is submitted", f.record.Job.ID, f.record.Job.Submitted.Format(time.DateTime))
	}
	if j := f.record.Job; j != nil && !j.Gathered {
		left, err := p.await(ctx, f, o, so)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("stopped; job %s goes on: type the same command again to gather it, or `scancel %s` to end it: %w", j.ID, j.ID, ctx.Err())
		}
		if err != nil {
			return nil, err
		}
		if left > 0 {
			say.Say("%d tasks of job %s are still to end: the tables hold what is there; type the same command again later", left, j.ID)
			return p.gather(f)
		}
	}
	return p.finish(ctx, f)
}

// submit writes the script and hands it to Slurm. It leaves no job where all cells are done.
func (p *Planned) submit(ctx context.Context, f *folder, o Options, so SlurmOptions) error {
	var cells []int
	logs := map[int]int64{}
	for i, c := range p.Cells {
		s := &f.record.Cells[i]
		switch {
		case c.Plan.Done():
			p.mark(f, o, i, Ok, "")
		case c.Same < 0:
			cells = append(cells, i)
			s.Log = logFile(i)
			if info, err := os.Stat(filepath.Join(f.dir, s.Log)); err == nil { // else there is none yet
				logs[i] = info.Size()
			}
			if err := os.Remove(filepath.Join(f.dir, taskFile(i))); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if len(cells) == 0 {
		return f.save()
	}
	script, err := p.script(cells, o, so)
	if err != nil {
		return err
	}
	if err := errors.Join(f.write(scriptFile, script), os.MkdirAll(filepath.Join(f.dir, logsDir), 0o755)); err != nil {
		return err
	}
	out, err := slurm(ctx, "sbatch", "--parsable", filepath.Join(p.Dir, scriptFile))
	if err != nil {
		return err
	}
	id, _, _ := strings.Cut(strings.TrimSpace(out), ";")
	if _, err := strconv.Atoi(id); err != nil {
		return &SlurmError{Command: "sbatch", Output: out, Err: errors.New("its answer holds no job's number")}
	}
	f.record.Job = &job{ID: id, Cells: cells, Submitted: time.Now().UTC().Truncate(time.Second), Logs: logs}
	o.Env.Progress.Say("submitted job %s: %d tasks, script %s", id, len(cells), filepath.Join(f.dir, scriptFile))
	return f.save()
}

// slurm runs one of Slurm's commands and gives what it printed.
func slurm(ctx context.Context, name string, args ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", &SlurmError{Command: name, Err: fmt.Errorf("%w: this machine is none from which jobs can be submitted to Slurm; leave --slurm out to run the cells here", err)}
	}
	if err != nil {
		// The text alone: an exit status is Slurm's own, and not for those who ask what ended this program.
		return "", &SlurmError{Command: name, Output: oneLine(said.String()), Err: errors.New(err.Error())}
	}
	return out.String(), nil
}

// taskState is what Slurm says of one task of an array.
type taskState struct{ state, reason string }

// over says whether a task will do nothing more.
func (t taskState) over() bool {
	switch t.state {
	case "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT":
		return true
	}
	return false
}

// queue asks Slurm for the tasks of a job by their index: those that wait or run, and those
// that ended not long ago. A job that it knows no more has none.
func queue(ctx context.Context, id string) (map[int]taskState, error) {
	out, err := slurm(ctx, "squeue", "--array", "--states=all", "--noheader", "--jobs="+id, "--format=%K|%T|%r")
	var bad *SlurmError
	if errors.As(err, &bad) && strings.Contains(bad.Output, "Invalid job id") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tasks := map[int]taskState{}
	for line := range strings.Lines(out) {
		parts := strings.SplitN(strings.TrimSpace(line), "|", 3)
		if i, err := strconv.Atoi(parts[0]); err == nil && len(parts) == 3 {
			tasks[i] = taskState{parts[1], parts[2]}
		}
	}
	return tasks, nil
}

// accounted asks Slurm's accounting, where there is one, how tasks ended.
func accounted(ctx context.Context, id string) map[int]taskState {
	out, err := slurm(ctx, "sacct", "--noheader", "--allocations", "--parsable2", "--jobs="+id, "--format=JobID,State")
	tasks := map[int]taskState{}
	if err != nil {
		return tasks // there is none: what tasks wrote has to do
	}
	for line := range strings.Lines(out) {
		name, state, _ := strings.Cut(strings.TrimSpace(line), "|")
		_, index, _ := strings.Cut(name, "_")
		if i, err := strconv.Atoi(index); err == nil {
			tasks[i] = taskState{state: strings.Fields(state + " ")[0]} // CANCELLED by 0
		}
	}
	return tasks
}

// await looks at the queue until all tasks have ended, and writes down how. With NoWait it
// looks once. left is the number of tasks still to end.
func (p *Planned) await(ctx context.Context, f *folder, o Options, so SlurmOptions) (left int, err error) {
	j, say := f.record.Job, o.Env.Progress
	ended, quiet, silent, told := map[int]taskState{}, 0, "", ""
	bar := say.Bar(len(j.Cells), "job "+j.ID)
	counted, pause := 0, 2*time.Second
	for {
		tasks, err := queue(ctx, j.ID)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil && so.NoWait:
			return 0, err
		case err != nil:
			if silent != err.Error() {
				silent = err.Error()
				say.Say("Slurm does not answer: %v; asking again", err)
			}
		default:
			silent = ""
			alive := 0
			for _, i := range j.Cells {
				t, known := tasks[i]
				switch {
				case known && t.over():
					ended[i] = t
				case known:
					alive++
					delete(ended, i) // it was requeued
				}
			}
			p.follow(f, o, tasks)
			if words := inWords(j.Cells, tasks); words != told {
				told = words
				bar.Note("job %s: %s; tasks", j.ID, words)
				say.Say("job %s: %s", j.ID, words)
			}
			if n := len(j.Cells) - alive; n > counted {
				bar.Add(n - counted)
				counted = n
			}
			if alive > 0 && so.NoWait {
				return alive, f.save()
			}
			// Between its end and its return to the queue a task may be unknown for a moment.
			if quiet++; alive > 0 {
				quiet = 0
			}
			if quiet >= 2 {
				bar.Done()
				j.Gathered = true
				p.conclude(ctx, f, o, ended)
				return 0, f.save()
			}
		}
		wait := pause
		if so.Poll > 0 {
			wait = so.Poll
		}
		pause = min(pause*5/4, 20*time.Second)
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// inWords counts the tasks by state.
func inWords(cells []int, tasks map[int]taskState) string {
	count := map[string]int{}
	for _, i := range cells {
		t, known := tasks[i]
		switch {
		case !known:
			count["ended"]++
		case t.state == "PENDING" && t.reason != "" && t.reason != "None":
			count["pending ("+t.reason+")"]++
		default:
			count[strings.ToLower(t.state)]++
		}
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[state], state))
	}
	return strings.Join(parts, ", ")
}

// follow gives cells the state that their tasks are in.
func (p *Planned) follow(f *folder, o Options, tasks map[int]taskState) {
	for _, i := range f.record.Job.Cells {
		status := Waiting
		switch t, known := tasks[i]; {
		case known && t.state == "PENDING":
		case known && !t.over():
			status = Running
		default:
			if status, _ = judge(p.Cells[i].Plan.Dir, errNotDone); status == Failed {
				continue // why is found out at the end
			}
		}
		p.mark(f, o, i, status, "")
	}
}

var errNotDone = errors.New("not done")

// conclude says of each task how it ended: by its run, else by what Slurm says, else by what
// the task wrote.
func (p *Planned) conclude(ctx context.Context, f *folder, o Options, ended map[int]taskState) {
	j := f.record.Job
	var books map[int]taskState
	for _, i := range j.Cells {
		if status, _ := judge(p.Cells[i].Plan.Dir, errNotDone); status == Ok {
			p.mark(f, o, i, Ok, "")
			continue
		}
		t, known := ended[i]
		if !known {
			if books == nil {
				books = accounted(ctx, j.ID)
			}
			t = books[i]
		}
		said, err := readTask(f.dir, i)
		if err != nil || said.Job != j.ID {
			said = task{}
		}
		f.record.Cells[i].Seconds = said.Seconds
		p.mark(f, o, i, Failed, why(t, said, j.ID, filepath.Join(f.dir, logFile(i)), j.Logs[i]))
	}
}

// why says in words why a task left no finished run; its log is read from an offset on.
func why(t taskState, said task, id, log string, from int64) string {
	more := ""
	if said.Host != "" {
		more = " on " + said.Host
	}
	if said.Restarts > 0 {
		more += fmt.Sprintf(", requeued %d times", said.Restarts)
	}
	switch t.state {
	case "CANCELLED":
		return "cancelled in Slurm (CANCELLED)" + more
	case "TIMEOUT", "DEADLINE":
		return "ran out of its time (" + t.state + ")" + more + "; ask for more by slurm.time; the run goes on from its last whole epoch when the sweep is run again"
	case "OUT_OF_MEMORY":
		return "ran out of its memory (OUT_OF_MEMORY)" + more + "; ask for more by slurm.mem"
	case "PREEMPTED":
		return "had to make room for another job and was not put back into the queue (PREEMPTED)" + more
	case "NODE_FAIL", "BOOT_FAIL":
		return "lost its node (" + t.state + ")" + more
	}
	if said.Status == Failed || said.Status == Stopped {
		return said.Reason + more
	}
	switch {
	case t.state == "COMPLETED":
		return "ended well by Slurm's books, but its run is not here: is the runs folder on a file system that all nodes share?"
	case t.state != "":
		return lastWords(log, from, fmt.Errorf("task %s in Slurm", t.state)) + more
	case said.Status == Running:
		return "ended without a word" + more + ": killed, or its node went down; Slurm does not know job " + id + " any more"
	default:
		return "left no sign of having begun, and Slurm does not know job " + id + " any more"
	}
}

// refuseSlurm keeps cells from being run here while tasks of a job may run them too.
func (p *Planned) refuseSlurm(r *record) error {
	if r.Job == nil || r.Job.Gathered {
		return nil
	}
	if _, err := exec.LookPath("squeue"); err != nil {
		return nil // another machine: the job is none of its business
	}
	tasks, err := queue(context.Background(), r.Job.ID)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if !t.over() {
			return fmt.Errorf("cells of this sweep are in Slurm's job %s: gather them with --slurm, or end them with `scancel %s`", r.Job.ID, r.Job.ID)
		}
	}
	return nil
}

// RunCell runs one cell of a sweep by itself, in this process. Where s was read from a
// sweep's folder, as the tasks of a Slurm job read it, the cell is the one planned there:
// the same run, or an error; and how it ends is written beside it.
func RunCell(ctx context.Context, s Sweep, index int, env experiments.Env) error {
	dir := filepath.Dir(s.file)
	if r, err := readRecord(dir); err == nil && filepath.Base(s.file) == sweepFile {
		if index < 0 || index >= len(r.Cells) {
			return fmt.Errorf("--cell %d: the sweep has the cells 0 to %d", index, len(r.Cells)-1)
		}
		return runTask(ctx, dir, index, r.Cells[index], env)
	}
	wrong := &complaints{}
	cells := s.cells(wrong)
	if len(wrong.list) > 0 {
		return &InvalidError{Sweep: s.file, Problems: wrong.list}
	}
	if index < 0 || index >= len(cells) {
		return fmt.Errorf("--cell %d: the sweep has the cells 0 to %d", index, len(cells)-1)
	}
	c := &cells[index]
	if err := s.load(c); err != nil {
		return err
	}
	env.Progress.Say("cell %d: %s", index, c.Name)
	done, err := experiments.Run(ctx, c.Config, env)
	if err != nil {
		return err
	}
	return done.Print(os.Stdout)
}

// runTask runs the cell of one task of an array job.
func runTask(ctx context.Context, dir string, index int, s State, env experiments.Env) error {
	t := newTask()
	if err := t.write(dir, index); err != nil {
		return err
	}
	env.Progress.Say("cell %d: %s", index, s.Cell)
	err := planTask(dir, index, s, env)
	if err == nil {
		err = runPatiently(ctx, filepath.Join(dir, cellFile(index)), s, env)
	}
	t.end(ctx, err)
	return errors.Join(err, t.write(dir, index))
}

// planTask makes sure that the cell is, on this node, the run that was planned.
func planTask(dir string, index int, s State, env experiments.Env) error {
	cfg, err := experiments.Load(filepath.Join(dir, cellFile(index)))
	if err != nil {
		return err
	}
	plan, err := experiments.NewPlanner(env).Plan(cfg)
	if err != nil {
		return err
	}
	if got := filepath.Base(plan.Dir); got != s.Run {
		return fmt.Errorf("on this node the cell would be the run %s, and %s was planned: the program, the engine's version or vector instructions, or the inputs differ; "+
			"submit from a machine like the nodes (such as inside a job)", got, s.Run)
	}
	return nil
}

// runPatiently runs a cell, after any other process that runs it.
func runPatiently(ctx context.Context, file string, s State, env experiments.Env) error {
	cfg, err := experiments.Load(file)
	if err != nil {
		return err
	}
	for {
		err := InProcess{}.Run(ctx, Job{Config: cfg, File: file, Env: env, Threads: env.Jobs, Log: os.Stderr})
		var busy *experiments.BusyError
		if !errors.As(err, &busy) {
			return err
		}
		progress.New(os.Stderr).Say("another process runs %s: waiting for it", s.Run)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * retry):
		}
	}
}
