package cnn

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What Save writes, Load reads: every bit, and how logits become a risk. Arrays that do not suit the network write
// nothing.
func TestSavedModelLoads(t *testing.T) {
	for name, m := range map[string]*Model{"two logits": {Spec: Small()}, "discrete time": {Spec: Small(), Intervals: []float64{365, 730, 2000}}} {
		m.Spec.Outputs = len(m.Intervals)
		layers, err := m.Spec.layers()
		if err != nil {
			t.Fatal(err)
		}
		n := &network{spec: m.Spec, layers: layers}
		v := float32(0)
		for _, l := range layers {
			for _, what := range []string{varWeights, varBias, varScale, varOffset, varMean, varVariance} {
				a := Array{Name: l.name + "/" + what, Dims: []int{l.out}, Values: make([]float32, l.out)}
				if what == varWeights {
					a.Dims, a.Values = n.weightDims(l), make([]float32, l.out*l.in)
				}
				for i := range a.Values {
					v += 0.25
					a.Values[i] = v
				}
				m.Weights = append(m.Weights, a)
			}
		}
		dir := filepath.Join(t.TempDir(), "checkpoints")
		if err := m.Save(dir); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		byName := cmpopts.SortSlices(func(a, b Array) bool { return a.Name < b.Name })
		if d := cmp.Diff(m, got, byName); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		m.Weights[0].Dims = []int{1}
		var bad *DataError
		other := filepath.Join(t.TempDir(), "checkpoints")
		if err := m.Save(other); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(other); err == nil {
			t.Errorf("%s: a folder was left", name)
		}
	}
}
