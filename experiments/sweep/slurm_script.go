package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// scriptFile is the batch script of a sweep's last job.
const scriptFile = "slurm.sh"

// script is the batch script of an array job, one cell a task.
func (p *Planned) script(cells []int, o Options, so SlurmOptions) ([]byte, error) {
	program := so.Program
	var err error
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return nil, err
	}
	runs, err := filepath.Abs(p.env.Runs)
	if err != nil {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("#!/bin/bash\n# The cells of a hounsfield sweep, one a task. Written anew by each submission.\n")
	option := func(format string, args ...any) { fmt.Fprintf(&b, "#SBATCH "+format+"\n", args...) }
	option("--job-name=%s", "hounsfield-"+p.Sweep.Name)
	array := ranges(cells)
	if o.Jobs > 0 {
		array += "%" + strconv.Itoa(o.Jobs)
	}
	option("--array=%s", array)
	for _, path := range []string{dir, here} {
		if strings.ContainsAny(path, "\"\n\\") {
			return nil, fmt.Errorf("sbatch cannot be told of the folder %q: its name holds a quote, a backslash or a line break", path)
		}
	}
	option(`--chdir="%s"`, here)
	// In names of output files % stands for parts of the job; %a is filled up like our cells' files.
	option(`--output="%s"`, filepath.Join(strings.ReplaceAll(dir, "%", "%%"), logsDir, "%3a.log"))
	option("--open-mode=append") // a task that is requeued adds to its log
	s := p.Sweep.Slurm
	for _, part := range []struct{ name, value string }{{"partition", s.Partition}, {"time", s.Time}, {"mem", s.Mem}, {"gres", s.GRES}} {
		if part.value != "" {
			option("--%s=%s", part.name, part.value)
		}
	}
	if s.CPUs > 0 {
		option("--cpus-per-task=%d", s.CPUs)
	}
	for _, extra := range append(append([]string{}, s.Extra...), so.Sbatch...) {
		if !strings.HasPrefix(extra, "-") || strings.ContainsAny(extra, "\n\r") {
			return nil, fmt.Errorf("%q is no option of sbatch, such as --partition=gpu", extra)
		}
		option("%s", extra)
	}
	b.WriteString("export GOMAXPROCS=${SLURM_CPUS_PER_TASK:-1}\n")
	for _, line := range s.Before {
		b.WriteString(line + "\n")
	}
	words := []string{"exec", quoted(program), "sweep", quoted(filepath.Join(dir, sweepFile)), "--cell", `"$SLURM_ARRAY_TASK_ID"`,
		"--runs", quoted(runs), "--jobs", `"$GOMAXPROCS"`}
	if p.env.Mirror != "" {
		mirror, err := filepath.Abs(p.env.Mirror)
		if err != nil {
			return nil, err
		}
		words = append(words, "--mirror", quoted(mirror))
	}
	b.WriteString(strings.Join(words, " ") + "\n")
	return []byte(b.String()), nil
}

// quoted writes a word for the shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// ranges writes rising numbers as Slurm has them: 0-3,7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		part := strconv.Itoa(numbers[i])
		if k > i {
			part += "-" + strconv.Itoa(numbers[k])
		}
		parts, i = append(parts, part), k+1
	}
	return strings.Join(parts, ",")
}

// task is what a task of an array job writes of itself, so that its end is known without
// Slurm's accounting.
type task struct {
	Status   string    `json:"status"` // running until it says otherwise
	Reason   string    `json:"reason,omitempty"`
	Job      string    `json:"job"` // of the array
	Restarts int       `json:"restarts"`
	Host     string    `json:"host"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
}

func newTask() *task {
	t := &task{Status: Running, Job: os.Getenv("SLURM_ARRAY_JOB_ID"), Started: time.Now().UTC()}
	t.Restarts, _ = strconv.Atoi(os.Getenv("SLURM_RESTART_COUNT")) // not set: none
	t.Host, _ = os.Hostname()                                      // a name for people
	return t
}

func (t *task) end(ctx context.Context, err error) {
	t.Seconds = time.Since(t.Started).Seconds()
	switch {
	case err == nil:
		t.Status = Ok
	case ctx.Err() != nil:
		t.Status, t.Reason = Stopped, "stopped by a signal"
	default:
		t.Status, t.Reason = Failed, oneLine(err.Error())
	}
}

func (t *task) write(dir string, index int) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, taskFile(index))
	if err := renameio.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", file, err)
	}
	return nil
}

// readTask reads what a task wrote last; the zero task where it wrote nothing.
func readTask(dir string, index int) (task, error) {
	text, err := os.ReadFile(filepath.Join(dir, taskFile(index)))
	if errors.Is(err, os.ErrNotExist) {
		return task{}, nil
	}
	if err != nil {
		return task{}, err
	}
	var t task
	return t, json.Unmarshal(text, &t)
}
