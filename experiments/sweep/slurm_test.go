package sweep

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

	"hounsfield/datasets/table"
	"hounsfield/experiments"
)

// The batch script holds the options of file and flags, and paths with blanks, quotes for the
// shell and percent signs come out as they are.
func TestScript(t *testing.T) {
	env := testEnv(t)
	env.Runs = filepath.Join(env.Runs, "my 100% 'runs'")
	env.Mirror = "/data set"
	s := rates(0.001, 0.01)
	s.Slurm = Slurm{Partition: "gpu", Time: "1:00:00", Mem: "8G", CPUs: 4, GRES: "gpu:1", Extra: []string{"--account=lung"}, Before: []string{"module load cuda"}}
	p := must[*Planned](t)(New(s, env))
	script := string(must[[]byte](t)(p.script([]int{0, 1, 2, 5, 7, 8}, Options{Jobs: 2}, SlurmOptions{Program: "/opt/my tools/hounsfield", Sbatch: []string{"--qos=low"}})))
	dir := p.Dir
	for _, want := range []string{"#SBATCH --job-name=hounsfield-rates\n", "#SBATCH --array=0-2,5,7-8%2\n", "#SBATCH --partition=gpu\n", "#SBATCH --time=1:00:00\n", "#SBATCH --mem=8G\n",
		"#SBATCH --gres=gpu:1\n", "#SBATCH --cpus-per-task=4\n", "#SBATCH --account=lung\n#SBATCH --qos=low\n", "\nmodule load cuda\n",
		`#SBATCH --output="` + strings.ReplaceAll(dir, "%", "%%") + `/logs/%3a.log"`,
		`exec '/opt/my tools/hounsfield' sweep '` + strings.ReplaceAll(dir, "'", `'\''`) + `/sweep.yaml' --cell "$SLURM_ARRAY_TASK_ID"`, ` --mirror '/data set'`} {
		if !strings.Contains(script, want) {
			t.Errorf("the script does not hold %q:\n%s", want, script)
		}
	}
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("bash", "-n", file).CombinedOutput(); err != nil {
		t.Errorf("the shell cannot read the script: %v\n%s", err, out)
	}
	env.Runs = t.TempDir() + `/a"b`
	if _, err := must[*Planned](t)(New(s, env)).script([]int{0}, Options{}, SlurmOptions{}); err == nil {
		t.Error("a folder with a double quote, which sbatch cannot be told of, passes")
	}
}

// How a task ended is told by Slurm, or by what the task wrote where Slurm knows nothing.
func TestWhy(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("run folder x\nhounsfield: something broke;\nand how\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		state string
		said  task
		want  string
	}{
		{"TIMEOUT", task{Status: Running, Host: "n1"}, "ran out of its time (TIMEOUT) on n1"},
		{"OUT_OF_MEMORY", task{Restarts: 2}, "(OUT_OF_MEMORY), requeued 2 times"},
		{"CANCELLED", task{Status: Stopped, Reason: "stopped by a signal"}, "cancelled in Slurm"},
		{"PREEMPTED", task{}, "make room"},
		{"NODE_FAIL", task{}, "lost its node"},
		{"FAILED", task{Status: Failed, Reason: "no patients"}, "no patients"},
		{"FAILED", task{Status: Running}, "something broke; and how"},
		{"COMPLETED", task{}, "all nodes share"},
		{"", task{Status: Running}, "ended without a word"},
		{"", task{}, "no sign of having begun"},
	} {
		if got := why(taskState{state: c.state}, c.said, "12", log, 0); !strings.Contains(got, c.want) {
			t.Errorf("%s %+v: %q, want %q", c.state, c.said, got, c.want)
		}
	}
	// What an earlier job left in the log is not this one's reason.
	info := must[os.FileInfo](t)(os.Stat(log))
	if got := why(taskState{state: "FAILED"}, task{}, "13", log, info.Size()); got != "task FAILED in Slurm" {
		t.Errorf("after an earlier job: %q", got)
	}
}

// needSlurm skips a test where there is no Slurm with a node that takes jobs.
func needSlurm(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sbatch"); err != nil {
		t.Skip("sbatch is not here: .ci/slurm.sh installs and starts a Slurm of one node")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sinfo", "--noheader", "--format=%t").CombinedOutput()
	if err != nil || !slices.ContainsFunc(strings.Fields(string(out)), func(s string) bool { return slices.Contains([]string{"idle", "mix", "alloc"}, s) }) {
		t.Skipf("no node of Slurm is up (%v: %s): .ci/slurm.sh starts one", err, oneLine(string(out)))
	}
}

// A real array job: four cells, one fails and one is cancelled; the same command gathers.
func TestSlurm(t *testing.T) {
	needSlurm(t)
	env := testEnv(t)
	env.Runs = filepath.Join(env.Runs, "my 100% runs")
	s := Sweep{Name: "array", Base: "phantom", Set: append(tiny(), Override{Key: "seeds", Value: []int64{1}}), List: []Named{
		{Name: "good"},
		{Name: "fails", Set: []Override{{Key: "evaluation.without", Value: []string{"NOBODY"}}}},
		{Name: "held", Set: []Override{{Key: "training.learning_rate", Value: 0.02}}},
		{Name: "also good", Set: []Override{{Key: "training.learning_rate", Value: 0.01}}},
	}, Slurm: Slurm{Time: "0:10:00", Before: []string{`[ "$SLURM_ARRAY_TASK_ID" != 2 ] || sleep 300 # the one to be cancelled`}}}
	p := must[*Planned](t)(New(s, env))
	o := Options{Env: env, Jobs: 2}
	so := SlurmOptions{NoWait: true, Program: os.Args[0], Poll: 300 * time.Millisecond}
	done, err := p.Slurm(t.Context(), o, so)
	if err != nil || slices.ContainsFunc(done.Cells, func(s State) bool { return s.Status != Waiting }) {
		t.Fatal(done, err)
	}
	r := must[*record](t)(readRecord(p.Dir))
	if r.Job == nil || !slices.Equal(r.Job.Cells, []int{0, 1, 2, 3}) {
		t.Fatalf("job %+v", r.Job)
	}
	t.Cleanup(func() { _ = exec.Command("scancel", r.Job.ID).Run() }) // nothing is left where the test fails
	if _, err := p.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "scancel "+r.Job.ID) {
		t.Errorf("cells that are in Slurm would be run here: %v", err)
	}
	go func() {
		for t.Context().Err() == nil {
			tasks, err := queue(t.Context(), r.Job.ID)
			if err == nil && tasks[2].state == "RUNNING" && tasks[3].over() {
				_ = exec.Command("scancel", r.Job.ID+"_2").Run() // its task is looked at below
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	so.NoWait = false
	p = must[*Planned](t)(New(s, env))
	done, err = p.Slurm(t.Context(), o, so)
	var failed *FailedError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 {
		t.Fatalf("%T %v", err, err)
	}
	for i, want := range []string{"", `evaluation.without names "NOBODY"`, "cancelled in Slurm", ""} {
		c := done.Cells[i]
		if !strings.Contains(c.Reason, want) || (c.Status == Failed) != (want != "") || c.Status == Ok && !(done.Results[i].TestAUC.N > 0) {
			t.Errorf("%+v, want %q", c, want)
		}
		if c.Status != Ok {
			continue
		}
		if _, err := os.Stat(filepath.Join(p.Dir, logFile(i))); err != nil {
			t.Error(err)
		}
	}
	rows := longRows(t, done.Dir, table.Column{Name: "training.learning_rate", Type: table.Float64})
	for i := range rows.Rows() {
		if c := rows.Strings("cell")[i]; rows.Valid("metric")[i] != (c == "good" || c == "also good") {
			t.Errorf("row %d of %s: metric %q", i, c, rows.Strings("metric")[i])
		}
	}
	// A further command submits what is not done, and only that.
	p = must[*Planned](t)(New(s, env))
	so.NoWait = true
	if _, err := p.Slurm(t.Context(), o, so); err != nil {
		t.Fatal(err)
	}
	again := must[*record](t)(readRecord(p.Dir))
	if again.Job.ID == r.Job.ID || !slices.Equal(again.Job.Cells, []int{1, 2}) {
		t.Errorf("second job %+v", again.Job)
	}
	_ = exec.Command("scancel", again.Job.ID).Run() // its end is no matter here
}

// What sbatch refuses is told in its words, and nothing is left that looks like a job.
func TestSlurmRefuses(t *testing.T) {
	needSlurm(t)
	env := testEnv(t)
	p := must[*Planned](t)(New(rates(0.001), env))
	_, err := p.Slurm(t.Context(), Options{Env: env}, SlurmOptions{Sbatch: []string{"--partition=nowhere"}, Program: os.Args[0]})
	var bad *SlurmError
	if !errors.As(err, &bad) || !strings.Contains(bad.Output, "nvalid partition") {
		t.Errorf("%T %v", err, err)
	}
	if r := must[*record](t)(readRecord(p.Dir)); r.Job != nil {
		t.Errorf("job %+v", r.Job)
	}
}

// A node on which the cell would be another run refuses it and says why.
func TestOtherNode(t *testing.T) {
	env := testEnv(t)
	p := must[*Planned](t)(New(rates(0.001), env))
	f := must[*folder](t)(p.open())
	f.lock.Close()
	env.Code = "another program"
	s := must[Sweep](t)(Load(p.Dir))
	err := RunCell(t.Context(), s, 0, env)
	if err == nil || !strings.Contains(err.Error(), "on this node the cell would be the run") {
		t.Errorf("%v", err)
	}
	if said, err := readTask(p.Dir, 0); err != nil || said.Status != Failed || !strings.Contains(said.Reason, "on this node") {
		t.Errorf("the task says %+v, %v", said, err)
	}
	if err := RunCell(t.Context(), s, 1, experiments.Env{}); err == nil || !strings.Contains(err.Error(), "0 to 0") {
		t.Errorf("a cell that is not there: %v", err)
	}
}
