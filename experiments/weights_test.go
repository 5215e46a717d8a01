package experiments

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/models/weights"
)

// predicted is the score of the one patient in a folder of DICOM.
func predicted(t *testing.T, run, folder string) (score float64, text string, columns int) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "scores.arrow")
	var b bytes.Buffer
	if err := Predict(t.Context(), PredictOptions{Run: run, Folder: folder, ROI: []string{phantom.ROIName}, Dataset: "nsclc-radiomics", Out: out}, &b); err != nil {
		t.Fatal(err)
	}
	scores, err := table.Read(out, table.Schema{Name: "scores", Columns: []table.Column{{Name: "score", Type: table.Float64}}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	columns = 2
	if _, err := table.Read(out, table.Schema{Name: "scores", Columns: []table.Column{{Name: "risk_group", Type: table.String}}}, table.Ignore); err == nil {
		columns = 4
	}
	return scores.Float64s("score")[0], b.String(), columns
}

// A run's networks go out as ONNX and come in again as a folder that scores like the run,
// verifies, exports the same networks, and can begin another training.
func TestWeightsGoOutAndIn(t *testing.T) {
	cfg, env := tiny(t, "training.max_epochs=1"), tinyEnv(t)
	done := run(t, cfg, env)
	file, folder := filepath.Join(t.TempDir(), "model.onnx"), filepath.Join(t.TempDir(), "a", "imported")
	var text bytes.Buffer
	if err := Export(ExportOptions{Run: done.Dir, Out: file}, &text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "2 network(s)") || !strings.Contains(text.String(), "not a medical device") {
		t.Error(&text)
	}
	text.Reset()
	if err := Import(ImportOptions{File: file, Out: folder, SpacingMM: 1}, env, &text); err != nil {
		t.Fatal(err)
	}
	for _, seed := range cfg.Seeds {
		was, now := weightsOf(t, done.Dir, seed), weightsOf(t, folder, seed)
		if len(was) == 0 || len(was) != len(now) {
			t.Fatalf("%d arrays, then %d", len(was), len(now))
		}
		for name, a := range was {
			if !sameBits(a, now[name]) {
				t.Errorf("seed %d: %s changed", seed, name)
			}
		}
	}
	if err := Verify(folder, env, io.Discard); err != nil {
		t.Error(err)
	}
	p, err := phantom.New(cfg.Data.Phantom)
	if err != nil {
		t.Fatal(err)
	}
	scan := t.TempDir()
	if err := p.WriteDICOM(scan, 30); err != nil {
		t.Fatal(err)
	}
	want, _, columns := predicted(t, done.Dir, scan)
	got, says, fewer := predicted(t, folder, scan)
	// An imported network runs on whatever engine auto finds here.
	if math.Abs(got-want) > 1e-6 || columns != 4 || fewer != 2 || !strings.Contains(says, "no cut and no percentile") || !strings.Contains(says, "synthetic phantom") || strings.Contains(says, "risk;") {
		t.Errorf("score %v, want %v; %d and %d columns\n%s", got, want, columns, fewer, says)
	}

	// The seed that is asked for, and no other.
	one := cfg.Seeds[1]
	if err := Export(ExportOptions{Run: folder, Out: file, Seed: &one}, io.Discard); err != nil {
		t.Fatal(err)
	}
	in, err := weights.Read(file, weights.Options{})
	if err != nil || len(in.Models) != 1 {
		t.Fatal(in, err)
	}
	for _, a := range in.Models[0].Weights {
		if !sameBits(a, weightsOf(t, folder, one)[a.Name]) {
			t.Errorf("%s is another seed's", a.Name)
		}
	}

	next := cfg
	next.Experiment, next.Training.InitFrom = "next", folder
	o, err := findOrigin(next, env)
	if err != nil || len(o.networks) != 2 || o.networks[1].from != one {
		t.Errorf("%+v, %v", o, err)
	}
	// For another number of seeds nothing tells which of the networks is the best.
	next.Seeds = []int64{1, 2, 3}
	var none *InitError
	if _, err := findOrigin(next, env); !errors.As(err, &none) || !strings.Contains(err.Error(), "2 imported networks") || !strings.Contains(err.Error(), "hounsfield export "+folder) {
		t.Errorf("3 seeds of 2 networks: %v", err)
	}
	var unjudged *WeightsError
	if err := Compare([]string{done.Dir, folder}, filepath.Join(t.TempDir(), "c.html"), io.Discard); !errors.As(err, &unjudged) || !strings.Contains(err.Error(), "judged no patients") {
		t.Errorf("comparing an imported network: %v", err)
	}
	imported, err := Load(filepath.Join(folder, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var bad *WeightsError
	if _, err := Run(t.Context(), imported, env); !errors.As(err, &bad) || !strings.Contains(err.Error(), "training.init_from") {
		t.Errorf("running an imported network: %v", err)
	}
}

// scaledDown writes a config with the network of models/weights/testdata.
func scaledDown(t *testing.T, dir string) string {
	t.Helper()
	spec := filepath.Join(dir, "small.yaml")
	text := "experiment: small\ncube: {size: 20}\nnetwork:\n  input: 20\n  input_pool: 1\n  stages: [{conv: {filters: 3, kernel: 5}}, {conv: {filters: 4, kernel: 3}}, {pool: {size: 2}}, {conv: {filters: 5, kernel: 3}}, {conv: {filters: 6, kernel: 2}}, {pool: {size: 2}}]\n  dense: [{units: 8}, {units: 6}]\n"
	if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return spec
}

// The weights of Keras come in with a config's network.
func TestImportKeras(t *testing.T) {
	dir := t.TempDir()
	spec := scaledDown(t, dir)
	env, keras := Env{Code: "test"}, "../models/weights/testdata/keras.h5"
	out := filepath.Join(dir, "imported")
	var says bytes.Buffer
	if err := Import(ImportOptions{File: keras, Spec: spec, Out: out, SpacingMM: 1}, env, &says); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(says.String(), "Keras 1.2.2 with TensorFlow") || !strings.Contains(says.String(), "holds the variance") {
		t.Error(&says)
	}
	m, err := ReadManifest(out)
	if err != nil || m.Status != StatusDone || m.Experiment != "imported-keras" || len(m.Inputs) != 1 || len(m.Inputs[0].SHA256) != 64 || len(m.Outputs) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	for name, c := range map[string]struct {
		o    ImportOptions
		want string
	}{
		"there already": {ImportOptions{File: keras, Spec: spec, Out: out, SpacingMM: 1}, "is there already"},
		"other network": {ImportOptions{File: keras, Out: filepath.Join(dir, "b"), SpacingMM: 1}, "--spec"},
		"no spec":       {ImportOptions{File: keras, Spec: "hosny", Out: filepath.Join(dir, "b"), SpacingMM: 1}, "neither hosny2018 nor small"},
		"spacing":       {ImportOptions{File: keras, Spec: spec, Out: filepath.Join(dir, "b"), SpacingMM: 0}, "cube.spacing_mm"},
		"no file":       {ImportOptions{File: filepath.Join(dir, "none.h5"), Out: filepath.Join(dir, "b"), SpacingMM: 1}, "none.h5"},
	} {
		if err := Import(c.o, env, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 { // the config and the one import
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestExportRefuses(t *testing.T) {
	dir, env := t.TempDir(), Env{Code: "test"}
	run := filepath.Join(dir, "run")
	spec := scaledDown(t, dir)
	if err := Import(ImportOptions{File: "../models/weights/testdata/torch.onnx", Spec: spec, Out: run, SpacingMM: 1}, env, io.Discard); err != nil {
		t.Fatal(err)
	}
	seven := int64(7)
	for name, c := range map[string]struct {
		o    ExportOptions
		want string
	}{
		"ending":        {ExportOptions{Run: run, Out: "model.h5"}, ".onnx"},
		"seed":          {ExportOptions{Run: run, Out: filepath.Join(dir, "x.onnx"), Seed: &seven}, "no seed 7"},
		"no run":        {ExportOptions{Run: dir, Out: filepath.Join(dir, "x.onnx")}, "not a run folder"},
		"no such place": {ExportOptions{Run: run, Out: filepath.Join(spec, "x.onnx")}, "not a directory"},
	} {
		if err := Export(c.o, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	m, err := ReadManifest(run)
	if err != nil {
		t.Fatal(err)
	}
	m.Status = StatusRunning
	if err := m.write(run); err != nil {
		t.Fatal(err)
	}
	if err := Export(ExportOptions{Run: run, Out: filepath.Join(dir, "x.onnx")}, io.Discard); err == nil || !strings.Contains(err.Error(), "not finished") {
		t.Error(err)
	}
	m.Status = StatusDone
	const checkpoint = "checkpoints/seed-1/epoch-0001.ckpt"
	if err := errors.Join(m.write(run), os.Truncate(filepath.Join(run, checkpoint), 100)); err != nil {
		t.Fatal(err)
	}
	if err := Export(ExportOptions{Run: run, Out: filepath.Join(dir, "x.onnx")}, io.Discard); err == nil || !strings.Contains(err.Error(), checkpoint) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "x.onnx")); err == nil {
		t.Error("a refused export left a file")
	}
}
