package cnn

import (
	"errors"
	"math"
	"testing"

	"hounsfield/models/engine"
)

// With products in bfloat16 a small network learns much as in float32, and its weights stay finite.
func TestBFloat16TrainsAlike(t *testing.T) {
	spec := tiny()
	for _, name := range []string{"go", "xla:cuda"} {
		t.Run(name, func(t *testing.T) {
			losses := map[string][]float64{}
			for _, precision := range []string{engine.Float32, engine.BFloat16} {
				e, err := engine.OpenWith(name, engine.Settings{Precision: precision})
				if err != nil {
					t.Skipf("not usable here: %v", err)
				}
				t.Cleanup(e.Close)
				cubes, dead := blobs(3, 16, spec.Input)
				cfg := DefaultTrainConfig()
				cfg.Batch, cfg.LearningRate = 16, 3e-3
				s, err := NewStepper(e, spec, cfg)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				for range 40 {
					ds := &batches{cubes: cubes, dead: dead, size: 16, edge: spec.Input}
					for batch := range ds.Iter() {
						l, err := s.Step(batch)
						if err != nil {
							t.Fatal(err)
						}
						if math.IsNaN(l) || math.IsInf(l, 0) {
							t.Fatalf("%s: loss %g at step %d", precision, l, len(losses[precision])+1)
						}
						losses[precision] = append(losses[precision], l)
					}
				}
			}
			full, half := losses[engine.Float32], losses[engine.BFloat16]
			if full[0] == half[0] {
				t.Error("the precision changes nothing")
			}
			last := len(full) - 1
			if d := math.Abs(half[0]-full[0]) / full[0]; d > 0.05 {
				t.Errorf("first loss %g, in float32 %g", half[0], full[0])
			}
			if !(half[last] < half[0]/2) || math.Abs(half[last]-full[last]) > 0.1*full[0] {
				t.Errorf("loss from %g to %g, in float32 from %g to %g", half[0], half[last], full[0], full[last])
			}
		})
	}
}

func TestBFloat16IsRefusedByONNXRuntime(t *testing.T) {
	_, err := newNetwork(tiny(), plan{engine: engine.ONNX, settings: engine.Settings{Precision: engine.BFloat16}})
	var setting *engine.SettingError
	if !errors.As(err, &setting) || setting.Field != "precision" {
		t.Errorf("error %v", err)
	}
}
