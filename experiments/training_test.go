package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/table"
	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// While a run goes on its losses are drawn after every epoch, those of networks that have
// not begun included.
func TestLossesWhileTraining(t *testing.T) {
	env := tinyEnv(t)
	var drawn []string
	done, err := runWith(t.Context(), quick(t, "data.phantom.patients={train: 8, tune: 6, test: 8}"), env, func(cnn.EpochRecord) {
		files, err := filepath.Glob(filepath.Join(env.Runs, "*", "figures", "losses.svg"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		svg, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		drawn = append(drawn, string(svg))
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(drawn) != 4 { // 2 networks of 2 epochs
		t.Fatalf("%d figures", len(drawn))
	}
	for i, want := range [][]string{{"of 1,", "seed 2: no epoch yet"}, {"of 2,", "seed 2: no epoch yet"}, {"seed 2: best epoch 1 of 1,"}, {"seed 2: best epoch", "Tune loss", "Learning rate"}} {
		for _, w := range want {
			if !strings.Contains(drawn[i], w) {
				t.Errorf("after epoch %d of all the figure does not say %q", i+1, w)
			}
		}
	}
	if last, err := os.ReadFile(filepath.Join(done.Dir, "figures/losses.svg")); err != nil || string(last) != drawn[3] {
		t.Errorf("the figure in the end is not that of the last epoch (%v)", err)
	}
	h := historyOfRun(t, done.Dir)
	if auc := h.Float64s("train_auc"); h.Rows() != 4 || !(slices.Min(auc) >= 0 && slices.Max(auc) <= 1) || slices.Contains(h.Valid("tune_concordance"), true) {
		t.Errorf("train AUC %v", auc)
	}
}

// Values that are no numbers stop the run with the layer where they began, and the manifest
// keeps the reason. Here they come from a first network whose weights are too large.
func TestDivergedRun(t *testing.T) {
	env := tinyEnv(t)
	small := []string{"data.phantom.patients={train: 8, tune: 6, test: 8}", "seeds=[1]", "training.max_epochs=1"}
	from := run(t, quick(t, small...), env)
	net, err := cnn.Load(checkpointDir(from.Dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range net.Weights {
		if a.Name == "conv2/weights" {
			for i := range a.Values {
				a.Values[i] = 3e38
			}
		}
	}
	if err := net.Save(checkpointDir(from.Dir, 1)); err != nil {
		t.Fatal(err)
	}
	m, err := ReadManifest(from.Dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Outputs = outputs(t, from.Dir)
	if err := m.write(from.Dir); err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), quick(t, append(small, "experiment=second", "training.init_from=phantom")...), env)
	var diverged *cnn.DivergedError
	if !errors.As(err, &diverged) || diverged.Layer != "conv2" || !strings.Contains(err.Error(), "conv2") || !strings.Contains(err.Error(), "seed 1") {
		t.Fatalf("got %v", err)
	}
	dirs, globErr := filepath.Glob(filepath.Join(env.Runs, "second-*"))
	if globErr != nil || len(dirs) != 1 {
		t.Fatal(dirs, globErr)
	}
	if m, err := ReadManifest(dirs[0]); err != nil || m.Status != StatusFailed || !strings.Contains(m.Error, "conv2") {
		t.Errorf("manifest %+v, %v", m, err)
	}
}

// An engine without memory is told with what becomes of the run.
func TestOutOfMemoryAdvice(t *testing.T) {
	cause := engine.Explain(errors.New("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes"))
	err := withMemoryAdvice(fmt.Errorf("seed 1: %w", &cnn.GraphError{Stage: "training step", Shapes: "[16 50 50 50 1]", Err: cause}), "runs/x-123")
	var memory *MemoryError
	if !errors.As(err, &memory) || memory.Run != "runs/x-123" {
		t.Fatalf("%T %v", err, err)
	}
	for _, want := range []string{"runs/x-123", "the same command again", "training.batch", "seed 1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if plain := errors.New("another"); withMemoryAdvice(plain, "x") != plain {
		t.Error("another error is changed")
	}
}

// An engine whose library is not there is told before a run folder is made.
func TestEngineMissing(t *testing.T) {
	if len(engine.Names()) < 3 {
		t.Skip("this build has the pure-Go engine only")
	}
	env := tinyEnv(t)
	cfg := quick(t, "backend=onnx:/nowhere/libonnxruntime.so")
	_, err := Run(t.Context(), cfg, env)
	var missing *engine.LibraryError
	if !errors.As(err, &missing) || missing.File != "/nowhere/libonnxruntime.so" || !strings.Contains(err.Error(), "hounsfield setup onnx") {
		t.Errorf("got %T %v", err, err)
	}
	if made, _ := filepath.Glob(filepath.Join(env.Runs, "*")); made != nil {
		t.Errorf("a run folder was made: %v", made)
	}
}

// The engine counts in the hash as what it is, not as how it was asked for.
func TestIdentity(t *testing.T) {
	used := plain(engine.Settings{})
	b := Backend{Name: "go", SIMD: true, Settings: &used}
	identity := func(b Backend, set ...string) string {
		text, err := identityOf(tiny(t, set...), b)
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + b.identity()
	}
	base := identity(b, "backend=go")
	if identity(b, "backend=auto") != base || identity(b, "training.init_from=a") != identity(b, "training.init_from=b") {
		t.Error("another spelling of the same is another run")
	}
	one, other := tiny(t), tiny(t, "training.loss=cross_entropy", "training.schedule.kind=constant", "training.accumulate=1")
	if !reflect.DeepEqual(spelledOut(one.Training), spelledOut(other.Training)) || !reflect.DeepEqual(spelledOut(other.Training), other.Training) {
		t.Errorf("a default and its name differ: %+v and %+v", spelledOut(one.Training), other.Training)
	}
	bfloat := used
	bfloat.Precision = engine.BFloat16
	for name, b := range map[string]Backend{
		"engine":    {Name: "onnx", SIMD: true, Settings: &used},
		"version":   {Name: "go", Version: "2", SIMD: true, Settings: &used},
		"vectors":   {Name: "go", Settings: &used},
		"precision": {Name: "go", SIMD: true, Settings: &bfloat},
	} {
		if identity(b, "backend=go") == base {
			t.Errorf("another %s is the same run", name)
		}
	}
	kept := resolve(tiny(t, "backend=auto"), b, &origin{name: "phantom-1234"})
	if kept.Backend != "go" || kept.Training.InitFrom != "phantom-1234" || kept.Compute != used {
		t.Errorf("kept as %+v", kept)
	}
	if kept := resolve(tiny(t, "backend=go"), Backend{Name: "none"}, nil); kept.Backend != "go" {
		t.Errorf("a run without an engine is kept with %q", kept.Backend)
	}
	withFile := tiny(t)
	withFile.Backend = "onnx:/opt/libonnxruntime.so"
	if kept := resolve(withFile, Backend{Name: "onnx", Settings: &used}, nil); kept.Backend != withFile.Backend {
		t.Errorf("a named library is kept as %q", kept.Backend)
	}
}

// Runs on other patients have no paired difference, whatever their ids.
func TestDifferencesNeedTheSamePatients(t *testing.T) {
	some := func(score, days float64) judged {
		return judged{cohort: "c", role: "test", score: score, alive: table.Some(days > 730), event: table.Some(true), days: table.Some(days)}
	}
	a := compared{name: "a", ids: []string{"1", "2", "3", "4"}, judged: map[string]judged{"1": some(1, 100), "2": some(4, 200), "3": some(3, 900), "4": some(2, 1000)}}
	b := compared{name: "b", judged: map[string]judged{"1": some(3, 100), "2": some(4, 200), "3": some(2, 900), "4": some(1, 1000)}}
	d := differences([]compared{a, b})
	if len(d) != 2 || d[0].role != "test" || d[0].lacks != "" || d[0].found.Difference != 0.5 || d[1].lacks == "" {
		t.Errorf("%+v", d)
	}
	b.judged["3"] = some(2, 901)
	if d := differences([]compared{a, b}); d[0].lacks != "not the same patients" {
		t.Errorf("%+v", d[0])
	}
}
