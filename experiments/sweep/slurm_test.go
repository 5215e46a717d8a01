package sweep

import (
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
	"hounsfield/experiments/slurm"
	"hounsfield/experiments/slurm/slurmtest"
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

// A real array job: four cells, one fails and one is cancelled; the same command gathers.
func TestSlurm(t *testing.T) {
	slurmtest.Need(t)
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
			tasks, err := slurm.Queue(t.Context(), r.Job.ID)
			if err == nil && tasks[2].Name == "RUNNING" && tasks[3].Over() {
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
	slurmtest.Need(t)
	env := testEnv(t)
	p := must[*Planned](t)(New(rates(0.001), env))
	_, err := p.Slurm(t.Context(), Options{Env: env}, SlurmOptions{Sbatch: []string{"--partition=nowhere"}, Program: os.Args[0]})
	var bad *slurm.Error
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
	if said, err := slurm.ReadTask(filepath.Join(p.Dir, taskFile(0))); err != nil || said.Status != Failed || !strings.Contains(said.Reason, "on this node") {
		t.Errorf("the task says %+v, %v", said, err)
	}
	if err := RunCell(t.Context(), s, 1, experiments.Env{}); err == nil || !strings.Contains(err.Error(), "0 to 0") {
		t.Errorf("a cell that is not there: %v", err)
	}
}
