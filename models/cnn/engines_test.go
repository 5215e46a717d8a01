package cnn

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/engine"
)

// Every loss and every setting of the optimiser on the engines that are here, against the pure-Go engine: the losses
// of an epoch's steps, and the scores after it. The first step's loss shows the loss alone, the later ones the steps.
func TestTrainingAgreesOnEveryEngine(t *testing.T) {
	settings := map[string]func(*TrainConfig){
		LossCrossEntropy: func(c *TrainConfig) {
			c.LabelSmoothing, c.ClassWeights, c.WeightDecay = 0.1, map[string]float64{"dead": 2}, 0.1
		},
		LossCox:          func(c *TrainConfig) { c.Loss, c.ClipNorm, c.Accumulate = LossCox, 0.1, 2 },
		LossDiscreteTime: func(c *TrainConfig) { c.Loss, c.LearningRates = LossDiscreteTime, map[string]float64{"conv*": 0.1} },
	}
	run := func(t *testing.T, e *engine.Engine, change func(*TrainConfig)) (losses, scores []float64) {
		cfg := tinyConfig()
		cfg.Freeze, cfg.FreezeNorm, cfg.LearningRate = []string{"dense1"}, true, 1e-3
		change(&cfg)
		spec := tiny()
		spec.Stages = []Stage{{Conv: &Conv{Filters: 4, Kernel: 3}}, {Pool: &Pool{Size: 3}}}
		spec.Dense = []Dense{{Units: 8}}
		d := survivalData()
		if !cfg.Survival() {
			d.Epoch, d.TuneKnown = tinyData(14).Epoch, nil
		}
		tr, err := newTraining(e, spec, cfg, d, Options{OnStep: func(s StepRecord) { losses = append(losses, s.Loss) }})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		if err := tr.epoch(context.Background()); err != nil {
			t.Fatal(err)
		}
		logits, err := tr.scorer.logits(context.Background(), d.Tune)
		if err != nil {
			t.Fatal(err)
		}
		return losses, risks(logits, cfg.intervals())
	}
	for _, name := range []string{engine.ONNX, engine.XLACPU} {
		t.Run(name, func(t *testing.T) {
			e, pure := openHere(t, name), openGo(t)
			for loss, change := range settings {
				wantLosses, wantScores := run(t, pure, change)
				losses, scores := run(t, e, change)
				for i, want := range wantLosses {
					// A value whose gradient is next to 0 may move the other way by the learning rate.
					if tolerance := []float64{1e-5, 2e-3, 4e-3, 6e-3}[i]; math.Abs(losses[i]-want) > tolerance*want {
						t.Errorf("%s: the loss of step %d is %g, on the pure-Go engine %g", loss, i+1, losses[i], want)
					}
				}
				for i, want := range wantScores {
					if math.Abs(scores[i]-want) > 0.01 {
						t.Errorf("%s: score %g, on the pure-Go engine %g", loss, scores[i], want)
					}
				}
			}
			tr, err := newTraining(e, tiny(), tinyConfig(), tinyData(14), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.close()
			set(tr.store, "/conv1/scale", []float64{1e30, 1e30, 1e30, 1e30})
			var diverged *DivergedError
			if err := tr.epoch(context.Background()); !errors.As(err, &diverged) || diverged.Layer != "conv2" || diverged.Step != 1 {
				t.Errorf("values too large for conv2: %v", err)
			}
		})
	}
}

// Whatever precision the network computes in, its weights and the optimiser's state stay in float32.
func TestStateIsFloat32InEveryPrecision(t *testing.T) {
	e := *openGo(t)
	e.Settings.Precision = engine.BFloat16
	cfg := tinyConfig()
	cfg.Accumulate, cfg.ClipNorm = 2, 1
	tr, err := newTraining(&e, tiny(), cfg, tinyData(14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	ds, err := tr.data.Epoch(1)
	if err != nil {
		t.Fatal(err)
	}
	var batches []train.Batch
	for b := range ds.Iter() {
		batches = append(batches, b)
	}
	makeSteps(t, tr, batches)
	seen := 0
	for v := range tr.store.IterVariables() {
		if v.DType().IsFloat() {
			seen++
			if v.DType().String() != "Float32" {
				t.Errorf("%s is %s", v.Path(), v.DType())
			}
		}
	}
	if want := 6*4 + 3*4*4 + 2; seen < want { // arrays; moments and waiting gradients; step and rate
		t.Errorf("%d variables, not at least %d", seen, want)
	}
	if s := value(tr.store, stepPath); s[0] != 2 {
		t.Errorf("%g steps", s[0])
	}
}

// A training whose graphs are given up between steps and scores goes on as if they had not been (see turnTo).
func TestCompiledGraphsAreGivenUp(t *testing.T) {
	run := func(giveUp bool) (string, [][]float64) {
		spec := tiny()
		d := tinyData(spec.Input)
		s, err := newTraining(openGo(t), spec, tinyConfig(), d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		var logits [][]float64
		for range 2 {
			if _, err := s.steps(context.Background(), 1); err != nil {
				t.Fatal(err)
			}
			if giveUp {
				s.learner.trainer.ResetComputationGraphs()
			}
			if logits, err = s.logits(context.Background(), d.Tune); err != nil {
				t.Fatal(err)
			}
			if giveUp {
				s.scorer.release()
			}
		}
		sum, err := (&Stepper{s}).Sum()
		if err != nil {
			t.Fatal(err)
		}
		return sum, logits
	}
	sum, logits := run(false)
	again, logitsAgain := run(true)
	if sum != again || !reflect.DeepEqual(logits, logitsAgain) {
		t.Error("the training goes another way")
	}
	if !Hosny2018().large() || Small().large() {
		t.Error("the study's network is the large one")
	}
}
