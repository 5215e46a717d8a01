package slurm

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// TaskIndex is the shell's word for the index of the task that runs, in a Script's Command.
const TaskIndex = `"$SLURM_ARRAY_TASK_ID"`

// Processors is the shell's word for how many processors a task has, in a Script's Command.
const Processors = `"$GOMAXPROCS"`

// Script is the batch script of an array job.
type Script struct {
	About   string   // what its tasks are, a sentence
	Name    string   // of the job
	Tasks   []int    // rising
	AtOnce  int      // tasks at a time; 0 = as many as Slurm has room for
	Logs    string   // folder for the tasks' logs, see LogName
	Options []string // for sbatch, such as --partition=gpu
	Before  []string // shell lines before the task, such as module load cuda
	Program string   // what the tasks run; "" = this program
	Command []string // its arguments as the shell reads them: Quote, TaskIndex, Processors
}

// LogName is the name of a task's log.
func LogName(task int) string { return fmt.Sprintf("%03d.log", task) }

// Text writes the script. The tasks run in the folder that is the current one now.
func (s Script) Text() ([]byte, error) {
	program := s.Program
	var err error
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	logs, err := filepath.Abs(s.Logs)
	if err != nil {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("#!/bin/bash\n# " + s.About + " Written anew by each submission.\n")
	option := func(format string, args ...any) { fmt.Fprintf(&b, "#SBATCH "+format+"\n", args...) }
	option("--job-name=%s", s.Name)
	array := ranges(s.Tasks)
	if s.AtOnce > 0 {
		array += "%" + strconv.Itoa(s.AtOnce)
	}
	option("--array=%s", array)
	for _, path := range []string{logs, here} {
		if strings.ContainsAny(path, "\"\n\\") {
			return nil, fmt.Errorf("sbatch cannot be told of the folder %q: its name holds a quote, a backslash or a line break", path)
		}
	}
	option(`--chdir="%s"`, here)
	// In names of output files % stands for parts of the job; %a is filled up as in LogName.
	option(`--output="%s"`, filepath.Join(strings.ReplaceAll(logs, "%", "%%"), "%3a.log"))
	option("--open-mode=append") // a task that is requeued adds to its log
	for _, o := range s.Options {
		if !strings.HasPrefix(o, "-") || strings.ContainsAny(o, "\n\r") {
			return nil, fmt.Errorf("%q is no option of sbatch, such as --partition=gpu", o)
		}
		option("%s", o)
	}
	b.WriteString("export GOMAXPROCS=${SLURM_CPUS_PER_TASK:-1}\n")
	for _, line := range s.Before {
		b.WriteString(line + "\n")
	}
	b.WriteString(strings.Join(append([]string{"exec", Quote(program)}, s.Command...), " ") + "\n")
	return []byte(b.String()), nil
}

// Quote writes a word for the shell, in quotes where the shell would take it apart.
func Quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

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
