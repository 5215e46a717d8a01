package cnn

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hounsfield/stats/golden"
)

func TestValidateForNamesTheField(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		field  string
		change func(*TrainConfig, *Spec)
	}{
		{"loss", func(c *TrainConfig, _ *Spec) { c.Loss = "mse" }},
		{"intervals", func(c *TrainConfig, _ *Spec) { c.Intervals = []float64{365, 730} }},
		{"intervals", func(c *TrainConfig, _ *Spec) { c.Loss, c.Intervals = LossDiscreteTime, []float64{800, 700} }},
		{"intervals", func(c *TrainConfig, _ *Spec) { c.Loss, c.Intervals = LossDiscreteTime, []float64{100, 729} }},
		{"intervals", func(c *TrainConfig, _ *Spec) { c.Loss, c.Intervals = LossDiscreteTime, []float64{100, nan} }},
		{"schedule.kind", func(c *TrainConfig, _ *Spec) { c.Schedule.Kind = "linear" }},
		{"schedule.warmup_epochs", func(c *TrainConfig, _ *Spec) { c.Schedule.WarmupEpochs = c.MaxEpochs }},
		{"schedule.step_epochs", func(c *TrainConfig, _ *Spec) { c.Schedule = Schedule{Kind: "cosine", StepEpochs: 2} }},
		{"schedule.factor", func(c *TrainConfig, _ *Spec) { c.Schedule = Schedule{Kind: "step", Factor: 1} }},
		{"schedule.factor", func(c *TrainConfig, _ *Spec) { c.Schedule.Factor = 0.5 }},
		{"schedule.floor", func(c *TrainConfig, _ *Spec) { c.Schedule = Schedule{Kind: "cosine", Floor: 1} }},
		{"clip_norm", func(c *TrainConfig, _ *Spec) { c.ClipNorm = -1 }},
		{"clip_norm", func(c *TrainConfig, _ *Spec) { c.ClipNorm = inf }},
		{"weight_decay", func(c *TrainConfig, _ *Spec) { c.WeightDecay = nan }},
		{"label_smoothing", func(c *TrainConfig, _ *Spec) { c.LabelSmoothing = 1 }},
		{"label_smoothing", func(c *TrainConfig, _ *Spec) { c.Loss, c.LabelSmoothing = LossCox, 0.1 }},
		{"class_weights.Dead", func(c *TrainConfig, _ *Spec) { c.ClassWeights = map[string]float64{"Dead": 1} }},
		{"class_weights.dead", func(c *TrainConfig, _ *Spec) { c.ClassWeights = map[string]float64{"dead": 0} }},
		{"class_weights", func(c *TrainConfig, _ *Spec) {
			c.Loss, c.ClassWeights = LossCox, map[string]float64{"dead": 2}
		}},
		{"accumulate", func(c *TrainConfig, _ *Spec) { c.Accumulate = -1 }},
		{"reinit", func(c *TrainConfig, _ *Spec) { c.Reinit = []string{"logits"} }},
		{"reinit[0]", func(c *TrainConfig, _ *Spec) { c.InitFrom, c.Reinit = "run", []string{"conv9"} }},
		{"freeze[1]", func(c *TrainConfig, _ *Spec) { c.Freeze = []string{"conv*", "[a"} }},
		{"freeze[1]", func(c *TrainConfig, _ *Spec) { c.Freeze = []string{"conv*", "pool1"} }},
		{"freeze", func(c *TrainConfig, _ *Spec) { c.Freeze = []string{"*"} }},
		{"freeze_norm", func(c *TrainConfig, _ *Spec) { c.FreezeNorm = true }},
		{"learning_rates.conv1", func(c *TrainConfig, _ *Spec) { c.LearningRates = map[string]float64{"conv1": 0} }},
		{"learning_rates.conv7", func(c *TrainConfig, _ *Spec) { c.LearningRates = map[string]float64{"conv7": 2} }},
		{"learning_rates.conv1", func(c *TrainConfig, _ *Spec) { c.LearningRates = map[string]float64{"conv*": 2, "conv1": 3} }},
		{"learning_rates.conv1", func(c *TrainConfig, _ *Spec) {
			c.Freeze, c.LearningRates = []string{"conv*"}, map[string]float64{"conv1": 2}
		}},
		{"outputs", func(c *TrainConfig, s *Spec) { s.Outputs = 4 }},
		{"outputs", func(c *TrainConfig, s *Spec) { c.Loss, s.Outputs = LossDiscreteTime, 4 }},
		{"outputs", func(c *TrainConfig, s *Spec) { s.Outputs = -1 }},
	} {
		cfg, spec := DefaultTrainConfig(), Small()
		c.change(&cfg, &spec)
		var wrong *SpecError
		if err := cfg.ValidateFor(spec); !errors.As(err, &wrong) || wrong.Field != c.field {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	good := DefaultTrainConfig()
	good.Loss, good.Intervals = LossDiscreteTime, []float64{300, 600, 900}
	good.InitFrom, good.Freeze, good.FreezeNorm, good.Reinit = "run", []string{"conv[12]"}, true, []string{"logits"}
	good.LearningRates = map[string]float64{"dense*": 0.1}
	spec := Small()
	for _, outputs := range []int{0, 3} {
		spec.Outputs = outputs
		if err := good.ValidateFor(spec); err != nil {
			t.Error(err)
		}
	}
}

func TestTrainConfigSurvivesYAML(t *testing.T) {
	c := DefaultTrainConfig()
	c.Seed = 0 // not in YAML
	c.Loss, c.Intervals = LossDiscreteTime, []float64{365, 900}
	c.Schedule = Schedule{Kind: "step", WarmupEpochs: 1, StepEpochs: 3, Factor: 0.5, Floor: 1e-5}
	c.ClipNorm, c.WeightDecay, c.Accumulate = 1, 0.01, 2
	c.InitFrom, c.Freeze, c.Reinit, c.FreezeNorm = "run", []string{"conv*"}, []string{"logits"}, true
	c.LearningRates = map[string]float64{"dense1": 0.1}
	b, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back TrainConfig
	if err := yaml.UnmarshalWithOptions(b, &back, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, back, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if !strings.Contains(string(b), "clip_norm: 1") {
		t.Errorf("the keys are not in snake case:\n%s", b)
	}
}

// Smoothed labels and class weights against the formulas; the defaults against the tune role's loss.
func TestCrossEntropyLoss(t *testing.T) {
	logits := [][]float64{{0.5, -1}, {-2, 0.3}, {0, 0}, {40, -40}}
	dead := []bool{true, false, true, false}
	labels := newArray(4, 1)
	for i, d := range dead {
		if d {
			labels.v[i] = 1
		}
	}
	minusLog := func(i int, ofDeath bool) float64 {
		d := logits[i][rowAlive] - logits[i][rowDead]
		if !ofDeath {
			d = -d
		}
		return math.Max(d, 0) + math.Log1p(math.Exp(-math.Abs(d)))
	}
	for name, c := range map[string]TrainConfig{
		"plain":    {},
		"smooth":   {LabelSmoothing: 0.2},
		"weighted": {ClassWeights: map[string]float64{"dead": 3}},
		"both":     {LabelSmoothing: 0.1, ClassWeights: map[string]float64{"dead": 0.5, "alive": 2}},
	} {
		var want float64
		for i, d := range dead {
			weight := 1.0
			if w, ok := c.ClassWeights[map[bool]string{true: "dead", false: "alive"}[d]]; ok {
				weight = w
			}
			e := c.LabelSmoothing
			want += weight * ((1-e/2)*minusLog(i, d) + e/2*minusLog(i, !d)) / 4
		}
		got, _ := lossAt(t, [][]float64{{labels.v[0]}, {labels.v[1]}, {labels.v[2]}, {labels.v[3]}}, c.crossEntropyLoss)(logits)
		golden.Near(t, name, got, want, 1e-13)
		if name == "plain" {
			golden.Near(t, "tune role", crossEntropy(logits, dead), want, 1e-14)
		}
	}
}
