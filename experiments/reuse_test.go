package experiments

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
)

// Runs that differ in their evaluation only have the same networks, trained once.
func TestNetworksAreUsedAgain(t *testing.T) {
	env := tinyEnv(t)
	first := run(t, tiny(t), env)
	second := run(t, tiny(t, "evaluation.bootstrap=300"), env)
	if first.Dir == second.Dir {
		t.Fatal("two evaluations in one folder")
	}
	m, err := ReadManifest(second.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Networks != filepath.Base(first.Dir) {
		t.Errorf("networks taken from %q, not from %s", m.Networks, first.Dir)
	}
	alone := run(t, tiny(t, "evaluation.bootstrap=300"), tinyEnv(t))
	if d := differing(t, second.Dir, alone.Dir); d != nil {
		t.Errorf("the run that took over networks differs from one that trained them in %v", d)
	}

	// Other training, or networks that have changed since: trained anew.
	other := run(t, tiny(t, "training.learning_rate=0.002"), env)
	if m, err := ReadManifest(other.Dir); err != nil || m.Networks != "" {
		t.Errorf("another learning rate took networks from %q (%v)", m.Networks, err)
	}
	for _, dir := range []string{first.Dir, second.Dir} {
		files, err := filepath.Glob(filepath.Join(dir, "checkpoints", "seed-1", "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[0], []byte("cut"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	third := run(t, tiny(t, "evaluation.bootstrap=400"), env)
	if m, err := ReadManifest(third.Dir); err != nil || m.Networks != "" {
		t.Errorf("damaged networks were taken from %q (%v)", m.Networks, err)
	}
}

// Training on the cubes that the run trained on gives the run's scores; other cubes give others.
func TestRetrainOnTheSameCubes(t *testing.T) {
	cfg, env := tiny(t), tinyEnv(t)
	env.Jobs = 2
	cfg.Training = spelledOut(cfg.Training)
	eng, backend, err := openEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	src, err := openSource(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFolder(env.Runs, "retrain", "0123")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.begin(env, backend, cfg, nil, nil); err != nil {
		t.Fatal(err)
	}
	r := &runner{cfg: cfg, env: env, folder: f, engine: eng, onEpoch: func(cnn.EpochRecord) {}}
	s, err := src.study(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A copy that was killed half way.
	if err := os.MkdirAll(f.path(copyPrefix+"1", "seed-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path(copyPrefix+"1", "seed-1", "best"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.train(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for file := range outputs(t, f.Dir) {
		if strings.HasPrefix(file, copyPrefix) {
			t.Errorf("%s, left by a process that was killed, counts as an output", file)
		}
	}
	same, err := r.retrain(t.Context(), s, "all of it", s.cubes)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(same, s.scores) {
		t.Error("the same cubes give other scores")
	}
	air := make([]*volume.Cube, len(s.cubes))
	for i, c := range s.cubes {
		dark := *c
		dark.HU = make([]float32, len(c.HU))
		for k := range dark.HU {
			dark.HU[k] = c.HU[k] / 2
		}
		air[i] = &dark
	}
	others, err := r.retrain(t.Context(), s, "half the density", air)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(others, s.scores) {
		t.Error("other cubes give the same scores")
	}
	kept, err := filepath.Glob(f.path(checkpointsDir, "cubes-*"))
	if err != nil || len(kept) != 2 {
		t.Errorf("%d trainings kept, not 2 (%v)", len(kept), err)
	}
}

func TestOpenRun(t *testing.T) {
	env := tinyEnv(t)
	done := run(t, tiny(t), env)
	o, err := OpenRun(done.Dir, env)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	in, err := o.Input(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.Networks.Score(t.Context(), in.Cubes)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again, in.Scores) {
		t.Error("the networks give other scores than those the run kept")
	}
	ids := in.Images.IDs()
	for i, p := range in.Cohort.Patients {
		if ids[i] != p.ID || !scoring.Known(in.Scores[i]) || in.Outcomes[i].SurvivalDays.V <= 0 {
			t.Fatalf("patient %d: %s, scan of %s, score %v, %+v", i, p.ID, ids[i], in.Scores[i], in.Outcomes[i])
		}
	}
	if in.Spec != o.Networks.Spec() {
		t.Errorf("the networks read %+v, the input says %+v", o.Networks.Spec(), in.Spec)
	}
	o.Manifest.Inputs[0].SHA256 = strings.Repeat("0", 64)
	if _, err := o.Input(t.Context()); err == nil || !strings.Contains(err.Error(), "phantom specification has changed") || !strings.Contains(err.Error(), "config.yaml") {
		t.Errorf("patients who are not those of the run: %v", err)
	}
	high := 0
	for _, v := range in.Scores {
		if v > in.Cut {
			high++
		}
	}
	if high == 0 || high == len(in.Scores) {
		t.Errorf("%d of %d above the cut", high, len(in.Scores))
	}
}
