package cnn

import (
	"errors"
	"math"
	"strings"
	"testing"

	"hounsfield/models/engine"
)

// tinySpec has every kind of layer, dropout included, and compiles quickly.
func tinySpec() Spec {
	s := Small()
	s.Input, s.InputPool = 9, 1
	s.Stages = []Stage{{Conv: &Conv{Filters: 4, Kernel: 3}}, {Pool: &Pool{Size: 2, Dropout: 0.25}}}
	s.Dense = []Dense{{Units: 5, Dropout: 0.5}}
	return s
}

// openDevices opens the engine with several devices that this machine has, or skips the test.
func openDevices(t *testing.T, devices int) *engine.Engine {
	e, err := engine.OpenWith(engine.XLA, engine.Settings{Devices: devices})
	var library *engine.LibraryError
	var setting *engine.SettingError
	if errors.As(err, &library) || errors.As(err, &setting) {
		t.Skipf("no engine here with %d devices: %v", devices, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// stepped is what a few steps come to.
type stepped struct {
	losses    []float64 // of each step
	variables map[string][]float32
	scores    []float64
}

// stepsOn makes two training steps, each of so many times the same batch, with scoring between them, and returns the
// float32 variables and the scores after the first: the moments are then the gradients times a constant.
func stepsOn(t *testing.T, e *engine.Engine, cubes [][]float32, dead []bool, accumulate int) (r stepped) {
	spec, cfg := tinySpec(), DefaultTrainConfig()
	cfg.Batch, cfg.Accumulate = len(cubes), accumulate
	s, err := NewStepper(e, spec, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 2 * accumulate {
		for batch := range (&batches{cubes: cubes, dead: dead, size: len(cubes), edge: spec.Input}).Iter() {
			loss, err := s.Step(batch)
			if err != nil {
				t.Fatal(err)
			}
			r.losses = append(r.losses, loss)
		}
		if i != accumulate-1 {
			continue
		}
		if r.scores, err = s.Scores(t.Context(), cubes); err != nil {
			t.Fatal(err)
		}
		saved, err := snapshot(s.t.store, lasting)
		if err != nil {
			t.Fatal(err)
		}
		r.variables = map[string][]float32{}
		for _, v := range saved {
			if v.DType == "Float32" {
				r.variables[v.Path] = arrays([]savedVariable{v})[0].Values
			}
		}
	}
	return r
}

// apart is the greatest difference between two arrays, in units of the greatest value.
func apart(a, b []float32) float64 {
	var most, difference float64
	for i := range a {
		most = max(most, math.Abs(float64(a[i])))
		difference = max(difference, math.Abs(float64(a[i])-float64(b[i])))
	}
	if most < 1e-6 { // of a bias before normalisation the gradient is 0, and rounding
		most = 1
	}
	return difference / most
}

// A step on several devices is the step of one device on the same global batch, also where several batches make one
// step: loss, gradients, running averages, dropout.
func TestDevicesAgree(t *testing.T) {
	const tolerance = 1e-5 // sums in another order, in float32
	cubes, dead := blobs(3, 8, tinySpec().Input)
	for _, accumulate := range []int{1, 2} {
		one, two := stepsOn(t, openDevices(t, 1), cubes, dead, accumulate), stepsOn(t, openDevices(t, 2), cubes, dead, accumulate)
		for i, want := range one.losses {
			if math.Abs(two.losses[i]-want) > tolerance*want {
				t.Errorf("%d batches a step, batch %d: loss %v, not %v", accumulate, i+1, two.losses[i], want)
			}
		}
		if len(two.losses) != 2*accumulate || len(two.variables) != len(one.variables) {
			t.Errorf("%d losses; %d variables, not %d", len(two.losses), len(two.variables), len(one.variables))
		}
		for path, want := range one.variables {
			if got := two.variables[path]; len(got) != len(want) || apart(want, got) > tolerance {
				t.Errorf("%d batches a step: %s is %v, not %v", accumulate, path, got, want)
			}
		}
		for i, want := range one.scores {
			if math.Abs(two.scores[i]-want) > tolerance {
				t.Errorf("%d batches a step: score %d is %v, not %v", accumulate, i, two.scores[i], want)
			}
		}
		// The comparison would notice a device that saw its own half only.
		half := stepsOn(t, openGo(t), cubes[:4], dead[:4], accumulate)
		if d := apart(one.variables["/conv1/mean"], half.variables["/conv1/mean"]); d < 10*tolerance {
			t.Errorf("half the batch has the same mean within %g", d)
		}
	}
}

func TestDevicesNeedEvenBatches(t *testing.T) {
	e := &engine.Engine{Name: engine.XLACPU, Settings: engine.Settings{Devices: 4}}
	_, err := newMesh(e, TrainConfig{Batch: 6})
	var bad *SpecError
	if !errors.As(err, &bad) || bad.Field != "batch" || !strings.Contains(err.Error(), "devices") {
		t.Errorf("6 cubes on 4 devices: %v", err)
	}
	m, err := newMesh(e, TrainConfig{Batch: 8})
	if err != nil || m.check(8) != nil {
		t.Errorf("8 cubes on 4 devices: %v, %v", err, m.check(8))
	}
	var unfit *DataError
	if err := m.check(6); !errors.As(err, &unfit) {
		t.Errorf("a smaller batch on 4 devices: %v", err)
	}
	if m, err := newMesh(&engine.Engine{}, TrainConfig{Batch: 7}); m != nil || err != nil || m.check(7) != nil {
		t.Errorf("one device needs no mesh: %v, %v", m, err)
	}
}

// Two trainings of the same seed go on alike, one of another seed does not; and a step changes all.
func TestStepperSum(t *testing.T) {
	e := openGo(t)
	spec := tinySpec()
	cubes, dead := blobs(3, 4, spec.Input)
	sum := func(seed int64, steps int) string {
		cfg := DefaultTrainConfig()
		cfg.Batch, cfg.Seed = 4, seed
		s, err := NewStepper(e, spec, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range steps {
			for batch := range (&batches{cubes: cubes, dead: dead, size: 4, edge: spec.Input}).Iter() {
				if _, err := s.Step(batch); err != nil {
					t.Fatal(err)
				}
			}
		}
		text, err := s.Sum()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := sum(1, 2)
	if again := sum(1, 2); again != first {
		t.Error("two runs differ")
	}
	if sum(2, 2) == first || sum(1, 1) == first {
		t.Error("another seed or number of steps has the same sum")
	}
}
