package experiments

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hounsfield/datasets"
	"hounsfield/models/cnn"
)

// quick is tiny with coarse scans and cubes, for tests that need many patients.
func quick(t testing.TB, set ...string) Config {
	t.Helper()
	const scanner = "[{name: X, pixel_mm: 1.5, slice_mm: 3, noise_hu: 20, blur_mm: 0.8}]"
	return tiny(t, append([]string{
		"data.phantom.scanners={train: " + scanner + ", tune: " + scanner + ", test: " + scanner + "}",
		"cube={size: 20, spacing_mm: 2.5}", "augment.shift=2", "network.input=20", "network.input_pool=1",
		"network.stages=[{conv: {filters: 4, kernel: 3}}, {pool: {size: 2}}, {conv: {filters: 8, kernel: 3}}, {pool: {size: 3}}]",
		"network.dense=[{units: 16, dropout: 0.25}]",
	}, set...)...)
}

// weightsOf are the arrays of a run's network by name.
func weightsOf(t testing.TB, run string, seed int64) map[string]cnn.Array {
	t.Helper()
	m, err := cnn.Load(checkpointDir(run, seed))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]cnn.Array{}
	for _, a := range m.Weights {
		out[a.Name] = a
	}
	return out
}

func sameBits(a, b cnn.Array) bool {
	return slices.EqualFunc(a.Values, b.Values, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// Transfer learning from the phantom's first group of patients to its second: frozen
// layers stay bit for bit, the others move, and the test patients are told apart better
// than by networks trained on the second group alone.
func TestTransferGains(t *testing.T) {
	env := tinyEnv(t)
	source := quick(t, "data.phantom.patients={train: 120, tune: 50, test: 20}", "training.max_epochs=6")
	from := run(t, source, env)

	second := []string{"data.phantom.treatment=surgery", "data.phantom.surgery.patients={train: 20, tune: 20, test: 150}", "training.max_epochs=8"}
	scratch := run(t, quick(t, append(second, "experiment=scratch")...), env)
	transfer := quick(t, append(second, "experiment=transfer", "training.init_from=phantom", "training.freeze=[conv*]", "training.freeze_norm=true", "training.learning_rate=0.0005")...)
	done := run(t, transfer, env)

	for _, seed := range source.Seeds {
		before, after := weightsOf(t, from.Dir, seed), weightsOf(t, done.Dir, seed)
		for name, a := range after {
			if frozen := strings.HasPrefix(name, "conv"); frozen != sameBits(a, before[name]) {
				t.Errorf("seed %d: %s frozen %t, bit-identical %t", seed, name, frozen, !frozen)
			}
		}
	}
	var pair []compared
	for _, dir := range []string{scratch.Dir, done.Dir} {
		c, err := readCompared(dir)
		if err != nil {
			t.Fatal(err)
		}
		pair = append(pair, c)
	}
	d := differences(pair)[0]
	t.Logf("gain on the test role: %s", d.text())
	if d.lacks != "" || d.role != "test" || !(d.found.Low > 0) {
		t.Errorf("no gain over training from scratch: %s", d.text())
	}
	var text bytes.Buffer
	if err := Compare([]string{scratch.Dir, done.Dir}, filepath.Join(t.TempDir(), "c.html"), &text); err != nil || !strings.Contains(text.String(), d.text()) {
		t.Errorf("compare does not show the paired difference %q (%v):\n%s", d.text(), err, &text)
	}

	m, err := ReadManifest(done.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Init == nil || m.Init.Run != filepath.Base(from.Dir) || len(m.Init.Networks) != 2 || m.Init.Networks[1].From != 2 || m.Init.Networks[1].SHA256 == m.Init.Networks[0].SHA256 {
		t.Errorf("the manifest's record of the start: %+v", m.Init)
	}
	// By folder or by name, the same weights are the same run; config.yaml names the folder.
	for _, name := range []string{from.Dir, filepath.Base(from.Dir)} {
		transfer.Training.InitFrom = name
		if again := run(t, transfer, env); !again.Already || again.Dir != done.Dir {
			t.Errorf("init_from %s: %s, already %t", name, again.Dir, again.Already)
		}
	}
	if err := Verify(done.Dir, env, &text); err != nil {
		t.Error(err)
	}
	// A newer run of the experiment is another start, and another hash.
	source.Training.MaxEpochs = 1
	newer := run(t, source, env)
	backdate(t, from.Dir)
	transfer.Training.InitFrom = "phantom"
	switch o, err := findOrigin(transfer, env); {
	case err != nil:
		t.Error(err)
	case o.name != filepath.Base(newer.Dir) || slices.Equal(o.inputs(), m.Inputs[len(m.Inputs)-2:]):
		t.Errorf("the newest run is not taken: %s, %v", o.says(), o.inputs())
	}
	if err := os.RemoveAll(from.Dir); err != nil {
		t.Fatal(err)
	}
	var bad *VerifyError
	if err := Verify(done.Dir, env, &text); !errors.As(err, &bad) || len(bad.Inputs) != 2 || !strings.Contains(err.Error(), "training began with cannot be read") || strings.Contains(err.Error(), "delete") {
		t.Errorf("the run that training began with is gone: %v", err)
	}
}

// backdate lets a run have finished an hour earlier.
func backdate(t *testing.T, run string) {
	t.Helper()
	m, err := ReadManifest(run)
	if err != nil {
		t.Fatal(err)
	}
	earlier := m.Finished.Add(-time.Hour)
	m.Finished = &earlier
	if err := m.write(run); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with the run to begin with is told before anything is made, with the next
// step.
func TestInitErrors(t *testing.T) {
	env := tinyEnv(t)
	small := []string{"data.phantom.patients={train: 12, tune: 8, test: 8}", "training.max_epochs=2"}
	from := run(t, quick(t, append(small, "seeds=[1, 2, 3]")...), env)
	begin := func(set ...string) Config {
		return quick(t, append(append(small, "experiment=second", "training.init_from=phantom"), set...)...)
	}
	for _, c := range []struct {
		name string
		cfg  Config
		says []string
	}{
		{"no such run", begin("training.init_from=phantom-surgery"), []string{`"phantom-surgery"`, "hounsfield run phantom-surgery --runs " + env.Runs}},
		{"a misspelt one", begin("training.init_from=phamton"), []string{`did you mean "phantom"`}},
		{"another network", begin("network.dense=[{units: 5}]"), []string{from.Dir, "dense1/weights", "training.reinit"}},
		{"other cubes", begin("cube.spacing_mm=2"), []string{from.Dir, "2.5 mm", "2 mm"}},
	} {
		_, err := Run(t.Context(), c.cfg, env)
		var bad *InitError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %T %v", c.name, err, err)
			continue
		}
		for _, w := range c.says {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
	}
	// Layers that begin anew need not fit.
	if _, err := findOrigin(begin("network.dense=[{units: 5}]", "training.reinit=[dense1, logits]"), env); err != nil {
		t.Error(err)
	}
	// Fewer seeds than the run has: all begin with its best network by the tune role.
	o, err := findOrigin(begin("seeds=[7, 8]"), env)
	if err != nil {
		t.Fatal(err)
	}
	best, _, err := bestSeed(from.Dir)
	if err != nil || o.networks[0].from != best || o.networks[1].from != best || !strings.Contains(o.rule, "highest tune AUC") {
		t.Errorf("networks %+v by %q, best %d, %v", o.networks, o.rule, best, err)
	}

	// Patients that the first networks learned from cannot be test patients.
	cohortOf := func(role datasets.Role, id string) *datasets.Cohort {
		c, err := datasets.NewCohort("phantom", []datasets.Patient{{ID: "TEST-0001", Cohort: "phantom", Role: datasets.Test}, {ID: id, Cohort: "phantom", Role: role}}, make([]datasets.Outcome, 2), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var seen *InitError
	if err := o.knowsNone(cohortOf(datasets.Test, "TUNE-0003")); !errors.As(err, &seen) || !strings.Contains(err.Error(), "1 patients of the test role here, such as TUNE-0003") {
		t.Errorf("a tune patient there is a test patient here: %v", err)
	}
	if err := errors.Join(o.knowsNone(cohortOf(datasets.Train, "TUNE-0003")), o.knowsNone(cohortOf(datasets.Test, "NEW-1"))); err != nil {
		t.Error(err)
	}

	edit := func(change func(*Manifest)) {
		t.Helper()
		m, err := ReadManifest(from.Dir)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		if err := m.write(from.Dir); err != nil {
			t.Fatal(err)
		}
	}
	var bad *InitError
	edit(func(m *Manifest) { m.Status = StatusRunning })
	if _, err := findOrigin(begin(), env); !errors.As(err, &bad) || !strings.Contains(err.Error(), "hounsfield run "+filepath.Join(from.Dir, "config.yaml")) {
		t.Errorf("an unfinished run: %v", err)
	}
	edit(func(m *Manifest) { m.Status = StatusDone })
	files, err := filepath.Glob(filepath.Join(from.Dir, "checkpoints", "seed-2", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := findOrigin(begin(), env); !errors.As(err, &bad) || !strings.Contains(err.Error(), filepath.Base(files[0])) {
		t.Errorf("a cut checkpoint: %v", err)
	}
	if trained, _ := filepath.Glob(filepath.Join(env.Runs, "second-*")); trained != nil {
		t.Errorf("run folders were made: %v", trained)
	}
}
