package cnn

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/train"
)

// batches is a data set of given batches.
type batches struct {
	cubes [][]float32
	dead  []bool
	size  int
	edge  int
}

func (b *batches) Name() string { return "test" }

func (b *batches) Iter() iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		for start := 0; start+b.size <= len(b.cubes); start += b.size {
			x := tensors.FromShape(shapes.Make(dtypes.Float32, b.size, b.edge, b.edge, b.edge, 1))
			y := tensors.FromShape(shapes.Make(dtypes.Float32, b.size, 1))
			tensors.MustMutableFlatData(x, func(flat []float32) {
				for i, c := range b.cubes[start : start+b.size] {
					copy(flat[i*len(c):], c)
				}
			})
			tensors.MustMutableFlatData(y, func(flat []float32) {
				for i, d := range b.dead[start : start+b.size] {
					if d {
						flat[i] = 1
					}
				}
			})
			if !yield(train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}}, nil) {
				return
			}
		}
	}
}

// blobs are cubes with noise and, for the dead, a brighter box of random place in the middle.
func blobs(seed uint64, n, edge int) (cubes [][]float32, dead []bool) {
	rng := rand.New(rand.NewPCG(seed, 9))
	for i := range n {
		c := make([]float32, edge*edge*edge)
		for j := range c {
			c[j] = 0.25 + 0.05*rng.Float32()
		}
		size := edge / 5
		if i%2 == 1 {
			size = edge / 3
		}
		at := [3]int{}
		for a := range at {
			at[a] = edge/2 - size/2 + rng.IntN(3) - 1
		}
		for z := range size {
			for y := range size {
				for x := range size {
					c[((at[0]+z)*edge+at[1]+y)*edge+at[2]+x] += 0.3
				}
			}
		}
		cubes, dead = append(cubes, c), append(dead, i%2 == 1)
	}
	return cubes, dead
}

func benchmarkStep(b *testing.B, spec Spec, size int) {
	e := openGo(b)
	cubes, dead := blobs(1, size, spec.Input)
	cfg := DefaultTrainConfig()
	cfg.Batch = size
	data := Data{Tune: cubes[:2], TuneDead: dead[:2]}
	t, err := newTraining(e, spec, cfg, data, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer t.close()
	ds := &batches{cubes: cubes, dead: dead, size: size, edge: spec.Input}
	step := func() {
		for batch := range ds.Iter() {
			if _, err := t.step(batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	step()
	b.ResetTimer()
	cpu := cpuSeconds()
	for range b.N {
		step()
	}
	b.ReportMetric((cpuSeconds()-cpu)*1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*size), "ms/cube")
	b.ReportMetric(peakMiB(), "peak-MiB")
}

// BenchmarkStepSmall times a training step of the small network on 16 cubes.
func BenchmarkStepSmall(b *testing.B) { benchmarkStep(b, Small(), 16) }

// BenchmarkStepHosny2018 times a training step of the study's network on 4 cubes.
func BenchmarkStepHosny2018(b *testing.B) { benchmarkStep(b, Hosny2018(), 4) }

// BenchmarkScoresSmall times the prediction of 16 cubes.
func BenchmarkScoresSmall(b *testing.B) {
	e := openGo(b)
	cubes, dead := blobs(1, 16, 50)
	t, err := newTraining(e, Small(), DefaultTrainConfig(), Data{Tune: cubes, TuneDead: dead}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer t.close()
	b.ResetTimer()
	cpu := cpuSeconds()
	for range b.N {
		if _, err := t.scorer.logits(b.Context(), cubes); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuSeconds()-cpu)*1e3/float64(b.N), "cpu-ms/op")
}

// peakMiB is the greatest memory this process has held so far.
func peakMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}
