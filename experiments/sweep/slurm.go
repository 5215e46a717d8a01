package sweep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/slurm"
)

// scriptFile is the batch script of a sweep's last job.
const scriptFile = "slurm.sh"

// SlurmOptions say how cells become tasks of a Slurm array job. The runs folder, the data and
// what else package slurm says must lie where all nodes see them under the same paths.
type SlurmOptions struct {
	Sbatch  []string      // further options for sbatch, after those of the sweep's file
	NoWait  bool          // submit, or gather what is there, and return
	Program string        // the hounsfield that the tasks run; "" = this program
	Poll    time.Duration // between looks at the queue; 0 = from 2 to 20 seconds
}

// job is an array job that was submitted for a sweep; slurm.Job, with cells for tasks.
type job struct {
	ID        string        `json:"job"`
	Cells     []int         `json:"cells"`
	Submitted time.Time     `json:"submitted"`
	Gathered  bool          `json:"gathered"`
	Logs      map[int]int64 `json:"logs"`
}

func (j *job) array() slurm.Job {
	return slurm.Job{ID: j.ID, Tasks: j.Cells, Submitted: j.Submitted, Gathered: j.Gathered, Logs: j.Logs}
}

// Slurm submits the cells that are not done as one array job, waits for its tasks and
// gathers results. Where a job of this sweep is not gathered yet, it submits nothing, waits
// for that one and gathers. When it is stopped, the job goes on.
//
// Errors: those of Run, *slurm.Error.
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
	id, err := slurm.Submit(ctx, filepath.Join(p.Dir, scriptFile))
	if err != nil {
		return err
	}
	f.record.Job = &job{ID: id, Cells: cells, Submitted: time.Now().UTC().Truncate(time.Second), Logs: logs}
	o.Env.Progress.Say("submitted job %s: %d tasks, script %s", id, len(cells), filepath.Join(f.dir, scriptFile))
	return f.save()
}

// await waits until all tasks have ended, and writes down how. With NoWait it looks once. left
// is the number of tasks still to end.
func (p *Planned) await(ctx context.Context, f *folder, o Options, so SlurmOptions) (left int, err error) {
	ended, left, err := f.record.Job.array().Await(ctx, slurm.Watch{NoWait: so.NoWait, Poll: so.Poll, Progress: o.Env.Progress,
		Follow: func(tasks map[int]slurm.State) { p.follow(f, o, tasks) }})
	if err != nil {
		return 0, err
	}
	if left == 0 {
		f.record.Job.Gathered = true
		p.conclude(f, o, ended)
	}
	return left, f.save()
}

// follow gives cells the state that their tasks are in.
func (p *Planned) follow(f *folder, o Options, tasks map[int]slurm.State) {
	for _, i := range f.record.Job.Cells {
		status := Waiting
		switch t, known := tasks[i]; {
		case known && t.Name == "PENDING":
		case known && !t.Over():
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

// advice is what helps a cell that left no finished run.
var advice = slurm.Advice{
	Time:    "ask for more by slurm.time; the run goes on from its last whole epoch when the sweep is run again",
	Memory:  "ask for more by slurm.mem",
	Missing: "its run is not here: is the runs folder on a file system that all nodes share?",
}

// conclude says of each task how it ended: by its run, else by what Slurm says, else by what
// the task wrote.
func (p *Planned) conclude(f *folder, o Options, ended map[int]slurm.State) {
	j := f.record.Job.array()
	for _, i := range j.Tasks {
		if status, _ := judge(p.Cells[i].Plan.Dir, errNotDone); status == Ok {
			p.mark(f, o, i, Ok, "")
			continue
		}
		said, err := slurm.ReadTask(filepath.Join(f.dir, taskFile(i)))
		if err != nil || said.Job != j.ID {
			said = slurm.Task{}
		}
		f.record.Cells[i].Seconds = said.Seconds
		p.mark(f, o, i, Failed, j.Why(slurm.Ended{State: ended[i], Said: said, Log: filepath.Join(f.dir, logFile(i)), From: j.Logs[i]}, advice))
	}
}

// refuseSlurm keeps cells from being run here while tasks of a job may run them too.
func (p *Planned) refuseSlurm(r *record) error {
	if r.Job == nil || r.Job.Gathered {
		return nil
	}
	alive, err := slurm.Alive(context.Background(), r.Job.ID)
	if alive {
		err = fmt.Errorf("cells of this sweep are in Slurm's job %s: gather them with --slurm, or end them with `scancel %s`", r.Job.ID, r.Job.ID)
	}
	return err
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
	t, file := slurm.NewTask(), filepath.Join(dir, taskFile(index))
	if err := t.Write(file); err != nil {
		return err
	}
	env.Progress.Say("cell %d: %s", index, s.Cell)
	err := planTask(dir, index, s, env)
	if err == nil {
		err = runPatiently(ctx, filepath.Join(dir, cellFile(index)), s, env)
	}
	t.End(ctx, err)
	return errors.Join(err, t.Write(file))
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

// script is the batch script of an array job, one cell a task.
func (p *Planned) script(cells []int, o Options, so SlurmOptions) ([]byte, error) {
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return nil, err
	}
	runs, err := filepath.Abs(p.env.Runs)
	if err != nil {
		return nil, err
	}
	s := p.Sweep.Slurm
	var options []string
	for _, part := range []struct{ name, value string }{{"partition", s.Partition}, {"time", s.Time}, {"mem", s.Mem}, {"gres", s.GRES}} {
		if part.value != "" {
			options = append(options, "--"+part.name+"="+part.value)
		}
	}
	if s.CPUs > 0 {
		options = append(options, fmt.Sprintf("--cpus-per-task=%d", s.CPUs))
	}
	words := []string{"sweep", slurm.Quote(filepath.Join(dir, sweepFile)), "--cell", slurm.TaskIndex, "--runs", slurm.Quote(runs), "--jobs", slurm.Processors}
	if p.env.Mirror != "" {
		mirror, err := filepath.Abs(p.env.Mirror)
		if err != nil {
			return nil, err
		}
		words = append(words, "--mirror", slurm.Quote(mirror))
	}
	return slurm.Script{About: "The cells of a hounsfield sweep, one a task.", Name: "hounsfield-" + p.Sweep.Name, Tasks: cells, AtOnce: o.Jobs,
		Logs: filepath.Join(dir, logsDir), Options: slices.Concat(options, s.Extra, so.Sbatch), Before: s.Before, Program: so.Program, Command: words}.Text()
}
