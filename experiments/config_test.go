package experiments

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hounsfield/models/cnn"
)

// Every shipped config must decode, pass validation and describe a network whose
// shapes follow from one another.
func TestShippedConfigs(t *testing.T) {
	names := Shipped()
	if len(names) == 0 {
		t.Fatal("no shipped configs")
	}
	for _, name := range names {
		cfg, err := Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if cfg.Experiment != name {
			t.Errorf("%s: experiment is %q, not the file's name", name, cfg.Experiment)
		}
		if strings.TrimSpace(cfg.Description) == "" {
			t.Errorf("%s: no description", name)
		}
		if _, err := cfg.Network.Shapes(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The full network stands in the configs for real scans; it must stay the study's.
		if cfg.Data.Source == SourcePrepared && !reflect.DeepEqual(cfg.Network, cnn.Hosny2018()) {
			t.Errorf("%s: network %+v is not the study's", name, cfg.Network)
		}
		// A run that others begin with must be one of ours, with the same network.
		if from := cfg.Training.InitFrom; from != "" {
			source, err := Load(from)
			if err != nil || source.Data.scored() || source.Cube != cfg.Cube || !reflect.DeepEqual(source.Network, cfg.Network) || len(source.Seeds) != len(cfg.Seeds) {
				t.Errorf("%s begins with %s: %v", name, from, err)
			}
		}
		for _, ref := range cfg.References {
			if metricWords[ref.Metric] == "" || ref.Source == "" {
				t.Errorf("%s: reference %+v names no known metric or no source", name, ref)
			}
		}
	}
}

// What a run folder keeps must load again as the very same config.
func TestConfigRoundTrip(t *testing.T) {
	for _, name := range Shipped() {
		cfg, err := Load(name, "seeds=[7, 8]", "training.max_epochs=3")
		if err != nil {
			t.Fatal(err)
		}
		text, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		again, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		text2, err := again.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(text2) {
			t.Errorf("%s: the config changes when it is written and read:\n%s\n---\n%s", name, text, text2)
		}
	}
}

// Each mistake is found before any work starts and says where it is and what would
// have been right.
func TestConfigMistakes(t *testing.T) {
	cases := []struct {
		name, yaml string
		want       []string
	}{
		{"unknown key", "training:\n  lerning_rate: 1\n", []string{"bad.yaml:2:3", "training.lerning_rate", "unknown key", `"learning_rate"`}},
		{"unknown key at the top", "experimnt: x\n", []string{"bad.yaml:1:1", `"experiment"`}},
		{"unknown key in a list", "network:\n  stages:\n    - conv: {filters: 3, kernal: 3}\n", []string{"bad.yaml:3", "network.stages[0].conv.kernal", `"kernel"`}},
		{"wrong type", "training:\n  batch: many\n", []string{"bad.yaml:2:10", "training.batch"}},
		{"keys below a value", "experiment:\n  name: x\n", []string{"bad.yaml:2:3", "single value"}},
		{"twice", "backend: go\nbackend: go\n", []string{"bad.yaml:2", "already defined"}},
		{"not YAML", "a: [1\n", []string{"bad.yaml"}},
		{"unknown source", "data:\n  source: phantm\n", []string{"data.source", `"phantom"`, "published"}},
		{"unknown engine", "backend: cuda9\n", []string{"bad.yaml:1:10", "backend", "auto"}},
		{"unknown lowering", "compute:\n  lowering: winogard\n", []string{"bad.yaml:2:13", "compute.lowering", "winograd"}},
		{"no such precision", "compute: {precision: float16}\n", []string{"compute.precision", "bfloat16"}},
		{"unknown loss", "training:\n  loss: coxx\n", []string{"bad.yaml:2:9", "loss", "discrete_time"}},
		{"unknown class", "training: {class_weights: {deceased: 2}}\n", []string{"class_weights", "dead"}},
		{"unknown schedule", "training:\n  schedule: {kind: linear}\n", []string{"bad.yaml:2", "schedule.kind", "cosine"}},
		{"no such layer", "training:\n  init_from: phantom\n  freeze: [conv9]\nexperiment: x\n", []string{"freeze[0]", "conv9", "conv1"}},
		{"begins with itself", "training:\n  init_from: phantom\n", []string{"bad.yaml:2:14", "training.init_from", "itself"}},
		{"anew without a start", "training:\n  reinit: [logits]\n", []string{"reinit", "init_from"}},
		{"unknown treatment", "data: {phantom: {treatment: chemotherapy}}\n", []string{"data.phantom", "treatment", "radiotherapy, surgery"}},
		{"bad second group", "data: {phantom: {surgery: {mix: {stage: 9}}}}\n", []string{"data.phantom", "surgery.mix.stage"}},
		{"predictors without the analysis", "comparison: {predictors: [volume]}\n", []string{"bad.yaml:1:", "comparison.predictors", "analyses: [forest_comparison]"}},
		{"meta without the analysis", "comparison:\n  meta: true\n", []string{"bad.yaml:2:9", "comparison.meta", "analyses: [forest_comparison]"}},
		{"meta of one treatment", "analyses: [forest_comparison]\ncomparison: {meta: true}\n", []string{"comparison.meta", "data.source: published"}},
		{"features of no table", "analyses: [forest_comparison]\ncomparison: {predictors: [volume, forest]}\n", []string{"comparison.predictors", "forest needs engineered features"}},
		{"unknown predictor", "analyses: [forest_comparison]\ncomparison: {predictors: [volumes]}\n", []string{"comparison.predictors", "volume", "forest-clinical-size"}},
		{"no seeds", "seeds: []\n", []string{"seeds", "at least one"}},
		{"seed twice", "seeds: [4, 4]\n", []string{"seeds", "seed 4"}},
		{"bad name", "experiment: ../x\n", []string{"experiment", "folder"}},
		{"cube against network", "cube: {size: 40}\n", []string{"network.input", "cube.size"}},
		{"bad batch", "training: {batch: 1}\n", []string{"bad.yaml:1:19", "training", "batch"}},
		{"part of an epoch", "training:\n  max_epochs: 2.5\n", []string{"bad.yaml:2:15", "training.max_epochs", "2.5", "whole number"}},
		{"part of a seed", "seeds: [1, 1.5]\n", []string{"seeds[1]", "whole number"}},
		{"the network's setting", "network: {outputs: 3}\n", []string{"bad.yaml:1:20: network.outputs", "discrete_time"}},
		{"import's settings", "data: {imported: {file: x}}\n", []string{"data.imported", "hounsfield import"}},
		{"bad batch further down", "training:\n  max_epochs: 2\n  batch: 1\n", []string{"bad.yaml:3:10"}},
		{"reference to no metric", "references:\n  - {metric: auc, role: test, source: x}\n", []string{"bad.yaml:2:14", "references[0].metric", "auc_delong"}},
		{"reference to no role", "references: [{metric: spearman, role: tst, source: x}]\n", []string{"references[0].role", `"test"`}},
		{"bad phantom", "data: {phantom: {patients: {train: -1}}}\n", []string{"data.phantom", "patients.train"}},
		{"bad shift", "augment: {shift: -1}\n", []string{"augment.shift"}},
		{"few resamples", "evaluation: {bootstrap: 3}\n", []string{"evaluation.bootstrap"}},
		{"prepared without a folder", "data: {source: prepared}\n", []string{"data.prepared.imaging", "prepare"}},
	}
	for _, c := range cases {
		path := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(path, []byte(c.yaml), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		var bad *ConfigError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %T %v, want a *ConfigError", c.name, err, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
	}
}

func TestOverrides(t *testing.T) {
	cfg, err := Load("phantom", "training.learning_rate=0.01", "seeds=[5]", "data.phantom.patients.train=40", "network.stages=[{conv: {filters: 2, kernel: 3}}]")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Training.LearningRate != 0.01 || !slices.Equal(cfg.Seeds, []int64{5}) || cfg.Data.Phantom.Patients.Train != 40 || len(cfg.Network.Stages) != 1 {
		t.Errorf("overrides not taken: %+v", cfg)
	}
	if d := Default(); cfg.Data.Phantom.Patients.Tune != d.Data.Phantom.Patients.Tune || cfg.Training.Batch != d.Training.Batch {
		t.Error("an override changed its neighbours")
	}
	for _, c := range []struct{ set, want string }{
		{"training.epoch=3", "training.epoch"}, {"seeds", "key=value"}, {"=3", "key=value"}, {"training.batch=x", "training.batch"},
		{"seeds=", "no value"}, {"backend=cuda", "--set backend=cuda: backend"}, {"training.batch=1", "--set training.batch=1: training"},
		{"cube={size: 7}", "--set cube={size: 7}: cube.size"},
	} {
		_, err := Load("phantom", c.set)
		var bad *ConfigError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || bad.Line != 0 {
			t.Errorf("--set %s: %v", c.set, err)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.yaml in a run folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Load("phantm"); err == nil || !strings.Contains(err.Error(), `"phantom"`) {
		t.Errorf("a misspelt experiment: %v", err)
	}
}

// Whatever a file holds, Load answers with a config or an error.
func FuzzConfig(f *testing.F) {
	for _, name := range Shipped() {
		text, _, err := readConfig(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, s := range []string{"", "a", "? a", "training: {batch: 1e99}", "seeds: [1, x]", "network: {stages: [{conv: null}]}", "&a [*a]", "- 1", "data: !!binary x", "\x00", "network:\n stages: [[[[[1]]]]]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg := Default()
		if err := overlay("fuzz.yaml", []byte(text), &cfg); err != nil {
			var bad *ConfigError
			if !errors.As(err, &bad) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		_ = cfg.validate("fuzz.yaml")
	})
}

// The default network must be the small one: a first run may not take hours.
func TestDefaultIsSmall(t *testing.T) {
	n, _, err := Default().Network.Parameters()
	if err != nil {
		t.Fatal(err)
	}
	full, _, err := cnn.Hosny2018().Parameters()
	if err != nil {
		t.Fatal(err)
	}
	if n*20 > full {
		t.Errorf("the default network has %d parameters, the full one %d", n, full)
	}
}
