package cnn

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"
)

// countArchitecture counts the parameters of the study's published architecture file, layer by layer, without
// anything of this package.
func countArchitecture(t *testing.T) (trainable, fixed int) {
	t.Helper()
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's architecture file is needed")
	}
	b, err := os.ReadFile(filepath.Join(mirror, "hosny2018", "architecture-keras1.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Config []struct {
			Class  string `json:"class_name"`
			Config struct {
				Shape     []*float64 `json:"batch_input_shape"`
				Filters   int        `json:"nb_filter"`
				K1        int        `json:"kernel_dim1"`
				K2        int        `json:"kernel_dim2"`
				K3        int        `json:"kernel_dim3"`
				Pool      []int      `json:"pool_size"`
				OutputDim int        `json:"output_dim"`
				InputDim  float64    `json:"input_dim"`
			} `json:"config"`
		} `json:"config"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	var edge [3]int
	channels := 0
	for _, l := range file.Config {
		c := l.Config
		switch l.Class {
		case "Convolution3D":
			if c.Shape != nil {
				for i := range edge {
					edge[i] = int(*c.Shape[i+1])
				}
				channels = int(*c.Shape[4])
			}
			trainable += c.K1*c.K2*c.K3*channels*c.Filters + c.Filters
			channels = c.Filters
			for i, k := range []int{c.K1, c.K2, c.K3} {
				edge[i] -= k - 1
			}
		case "MaxPooling3D":
			for i, p := range c.Pool {
				edge[i] /= p
			}
		case "Flatten":
			channels *= edge[0] * edge[1] * edge[2]
		case "Dense":
			if int(c.InputDim) != channels {
				t.Fatalf("the file's dense layer expects %g inputs, the layers before it give %d", c.InputDim, channels)
			}
			trainable += channels*c.OutputDim + c.OutputDim
			channels = c.OutputDim
		case "BatchNormalization":
			trainable += 2 * channels
			fixed += 2 * channels
		}
	}
	return trainable, fixed
}

func TestHosny2018HasThePublishedParameters(t *testing.T) {
	wantTrainable, wantFixed := countArchitecture(t)
	trainable, fixed, err := Hosny2018().Parameters()
	if err != nil {
		t.Fatal(err)
	}
	if trainable != wantTrainable || fixed != wantFixed {
		t.Errorf("Hosny2018 counts %d and %d parameters, the architecture file %d and %d", trainable, fixed, wantTrainable, wantFixed)
	}
	if total := trainable + fixed; math.Round(float64(total)/1e5) != 119 {
		t.Errorf("Hosny2018 has %d parameters, not about 11.9 million", total)
	}
}

func TestParametersEqualTheStore(t *testing.T) {
	for name, spec := range map[string]Spec{"hosny2018": Hosny2018(), "small": Small()} {
		n, err := newNetwork(spec, plan{})
		if err != nil {
			t.Fatal(err)
		}
		store := model.NewStore()
		if err := n.initialise(store, 1, dtypes.Float32); err != nil {
			t.Fatal(err)
		}
		var trainable, fixed int
		for v := range store.IterVariables() {
			switch {
			case !n.isWeight(v.Path()):
			case v.Trainable:
				trainable += v.Shape().Size()
			default:
				fixed += v.Shape().Size()
			}
		}
		wantTrainable, wantFixed, err := spec.Parameters()
		if err != nil {
			t.Fatal(err)
		}
		if trainable != wantTrainable || fixed != wantFixed {
			t.Errorf("%s: the store holds %d and %d parameters, Parameters says %d and %d", name, trainable, fixed, wantTrainable, wantFixed)
		}
	}
}

func TestShapesOfHosny2018(t *testing.T) {
	got, err := Hosny2018().Shapes()
	if err != nil {
		t.Fatal(err)
	}
	// STUDY.md, "The network".
	want := []Shape{{"input", 1, 50}, {"conv1", 64, 46}, {"conv2", 128, 44}, {"pool1", 128, 14}, {"conv3", 256, 12},
		{"conv4", 512, 10}, {"pool2", 512, 3}, {"dense1", 512, 1}, {"dense2", 256, 1}, {"logits", 2, 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSpecSurvivesYAML(t *testing.T) {
	b, err := yaml.Marshal(Hosny2018())
	if err != nil {
		t.Fatal(err)
	}
	var back Spec
	if err := yaml.UnmarshalWithOptions(b, &back, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Hosny2018(), back); d != "" {
		t.Error(d)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for field, change := range map[string]func(*Spec){
		"input":                  func(s *Spec) { s.Input = 0 },
		"input_pool":             func(s *Spec) { s.InputPool = 51 },
		"stages":                 func(s *Spec) { s.Stages = nil },
		"stages[1]":              func(s *Spec) { s.Stages[1] = Stage{} },
		"stages[0].conv.filters": func(s *Spec) { s.Stages[0].Conv.Filters = 0 },
		"stages[2].conv.kernel":  func(s *Spec) { s.Stages[2].Conv.Kernel = 12 },
		"stages[3].pool.size":    func(s *Spec) { s.Stages[3].Pool.Size = 10 },
		"stages[4].conv.dropout": func(s *Spec) { s.Stages[4].Conv.Dropout = 1 },
		"stages[1].pool.dropout": func(s *Spec) { s.Stages[1].Pool.Dropout = -0.1 },
		"dense[0].units":         func(s *Spec) { s.Dense[0].Units = -1 },
		"leaky_slope":            func(s *Spec) { s.LeakySlope = 2 },
		"norm_momentum":          func(s *Spec) { s.NormMomentum = 1 },
		"norm_epsilon":           func(s *Spec) { s.NormEpsilon = 0 },
		"activity_l2":            func(s *Spec) { s.ActivityL2 = -1 },
	} {
		s := Small()
		change(&s)
		var wrong *SpecError
		if err := s.Validate(); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: got %v", field, err)
		} else if !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), wrong.Allowed) {
			t.Errorf("%s: the text %q does not say what is allowed", field, err)
		}
	}
	for field, change := range map[string]func(*TrainConfig){
		"batch":         func(c *TrainConfig) { c.Batch = 1 },
		"max_epochs":    func(c *TrainConfig) { c.MaxEpochs = 0 },
		"patience":      func(c *TrainConfig) { c.Patience = 0 },
		"learning_rate": func(c *TrainConfig) { c.LearningRate = 0 },
	} {
		c := DefaultTrainConfig()
		change(&c)
		var wrong *SpecError
		if err := c.Validate(); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if err := Small().Validate(); err != nil {
		t.Error(err)
	}
	if err := DefaultTrainConfig().Validate(); err != nil {
		t.Error(err)
	}
}
