package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/slurm"
)

// Job is one cell to be run.
type Job struct {
	Config  experiments.Config
	File    string // the same config as YAML
	Env     experiments.Env
	Threads int      // processors for this cell
	Slot    int      // which of the cells that run at a time, from 0
	Log     *os.File // takes what the cell prints
}

// Runner computes cells. Run returns when the cell has ended; a nil error means that its run
// is done. It is called from several goroutines at a time.
type Runner interface {
	Run(ctx context.Context, j Job) error
}

// InProcess runs cells in this process, as a notebook's cell does, whose program is not
// hounsfield. A panic of a cell's own goroutine is an error of that cell; a crash of another
// kind ends all. Cells that run at a time share the engine's threads.
type InProcess struct{}

// Run computes one cell.
func (InProcess) Run(ctx context.Context, j Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			fmt.Fprintf(j.Log, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	env := j.Env
	env.Jobs, env.Progress = j.Threads, progress.New(j.Log)
	done, err := experiments.Run(ctx, j.Config, env)
	if err != nil {
		fmt.Fprintln(j.Log, "hounsfield:", err)
		return err
	}
	return done.Print(j.Log)
}

// Processes runs each cell as `hounsfield run`, so that a crash, a kill for want of memory or
// a panic of one takes no other with it. When this process dies, the kernel ends the cells
// (Linux); elsewhere they go on, and the lock of their run folders makes a second sweep wait.
type Processes struct {
	// Program is the command to which `run FILE --runs ... --jobs ...` is added; nil is this
	// very program.
	Program []string
}

// grace is how long a cell may take to stop when it is asked to.
const grace = 30 * time.Second

// Run computes one cell.
func (r Processes) Run(ctx context.Context, j Job) error {
	program := r.Program
	if program == nil {
		self, err := ownProgram()
		if err != nil {
			return err
		}
		program = []string{self}
	}
	runs, err := filepath.Abs(j.Env.Runs)
	if err != nil {
		return err
	}
	args := append(program[1:len(program):len(program)], "run", j.File, "--runs", runs, "--jobs", strconv.Itoa(j.Threads))
	if j.Env.Mirror != "" {
		args = append(args, "--mirror", j.Env.Mirror)
	}
	cmd := exec.CommandContext(ctx, program[0], args...)
	if r.Program == nil {
		cmd.Args[0] = "hounsfield" // as lists of processes show it
	}
	cmd.Stdout, cmd.Stderr = j.Log, j.Log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = grace
	start, err := j.Log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	err = runChild(cmd, j.Slot, j.Threads)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			why := fmt.Sprintf("ended by signal %d (%s)", status.Signal(), status.Signal())
			if status.Signal() == syscall.SIGKILL {
				why += ": somebody killed it, or the kernel did because memory ran out (fewer cells at a time need less)"
			}
			return errors.New(why)
		}
	}
	return errors.New(slurm.LastWords(j.Log.Name(), start, err))
}
