package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// MeasureVerb is the hidden verb, below bench, by which the program measures one StepRequest in a fresh process.
const MeasureVerb = "measure"

// StepRequest is one measurement: an engine, a batch size, a width.
type StepRequest struct {
	Engine   string          `json:"engine"`
	Settings engine.Settings `json:"settings"`
	Batch    int             `json:"batch"`
	Steps    int             `json:"steps"`
	Scale    float64         `json:"scale"`
}

// Timing is what one process measured, here or in a peer's program. Seconds are medians over the timed steps; the first
// step and the first forward pass, which compile, stand apart.
type Timing struct {
	Name       string `json:"name"`    // the engine or the peer
	Version    string `json:"version"` // of the engine's library or of the peer
	Python     string `json:"python,omitempty"`
	Device     string `json:"device"`
	Threads    int    `json:"threads"`
	Parameters int    `json:"parameters"` // those that training changes

	FirstStepSeconds    float64 `json:"first_step_seconds"`
	StepSeconds         float64 `json:"step_seconds"`
	FirstForwardSeconds float64 `json:"first_forward_seconds"`
	ForwardSeconds      float64 `json:"forward_seconds"` // for as many cubes as a step has

	PeakMiB       float64  `json:"peak_mib"`                  // of the process's memory, over all it did
	DevicePeakMiB *float64 `json:"device_peak_mib,omitempty"` // of the accelerator's, where the program knows it

	Finite    bool      `json:"finite"`               // whether every loss was a finite number
	FirstLoss *float64  `json:"first_loss,omitempty"` // nil when not finite
	LastLoss  *float64  `json:"last_loss,omitempty"`
	Sum       string    `json:"sum,omitempty"`    // SHA-256 of the weights after the last step
	Scores    []float64 `json:"scores,omitempty"` // of the first cubes, before any step: they should not depend on the engine

	Error   string `json:"error,omitempty"`
	Missing bool   `json:"missing,omitempty"` // the engine's library is not installed, or cannot be used
}

// MeasureStep reads a StepRequest from r and writes a Timing to w, in JSON. Whatever goes wrong with the engine is the
// Timing's Error.
func MeasureStep(ctx context.Context, r io.Reader, w io.Writer) error {
	var request StepRequest
	if err := json.NewDecoder(r).Decode(&request); err != nil {
		return fmt.Errorf("`hounsfield bench %s` is for the program itself and reads a request in JSON: %w; use `hounsfield bench step`", MeasureVerb, err)
	}
	t, err := request.measure(ctx)
	if err != nil {
		var library *engine.LibraryError
		t = Timing{Error: err.Error(), Missing: errors.As(err, &library)}
	}
	return json.NewEncoder(w).Encode(t)
}

// scaled is the study's network with every layer's width multiplied, at least 1.
func scaled(scale float64) cnn.Spec {
	spec := cnn.Hosny2018()
	width := func(n int) int { return max(1, int(float64(n)*scale)) }
	for _, s := range spec.Stages {
		if s.Conv != nil {
			s.Conv.Filters = width(s.Conv.Filters)
		}
	}
	for i := range spec.Dense {
		spec.Dense[i].Units = width(spec.Dense[i].Units)
	}
	return spec
}

func (r StepRequest) measure(ctx context.Context) (Timing, error) {
	e, err := engine.OpenWith(r.Engine, r.Settings)
	if err != nil {
		return Timing{}, err
	}
	defer e.Close()
	spec := scaled(r.Scale)
	cfg := cnn.DefaultTrainConfig()
	cfg.Batch = r.Batch
	stepper, err := cnn.NewStepper(e, spec, cfg)
	if err != nil {
		return Timing{}, err
	}
	defer stepper.Close()
	t := Timing{Name: e.Name, Version: e.Version, Device: e.Device, Threads: runtime.GOMAXPROCS(0), Finite: true}
	if t.Parameters, _, err = spec.Parameters(); err != nil {
		return t, err
	}
	cubes := noise(r.Batch, spec.Input)

	// Scoring takes a fixed number of cubes at a time, so time a whole number of those and count a batch's share.
	whole := (r.Batch + cnn.ScoresAtATime - 1) / cnn.ScoresAtATime * cnn.ScoresAtATime
	scored := make([][]float32, whole)
	for i := range scored {
		scored[i] = cubes[i%len(cubes)]
	}
	share := float64(r.Batch) / float64(whole)
	t.FirstForwardSeconds, t.ForwardSeconds, err = timed(r.Steps, func() (time.Duration, error) {
		start := time.Now()
		scores, err := stepper.Scores(ctx, scored)
		if t.Scores == nil && err == nil {
			t.Scores = scores[:min(2, r.Batch)]
		}
		return time.Since(start), err
	})
	if err != nil {
		return t, err
	}
	t.FirstForwardSeconds -= t.ForwardSeconds * (1 - share) // the first has compiled besides
	t.ForwardSeconds *= share

	t.FirstStepSeconds, t.StepSeconds, err = timed(r.Steps, func() (time.Duration, error) {
		batch, err := batchOf(cubes, spec.Input)
		if err != nil {
			return 0, err
		}
		start := time.Now()
		l, err := stepper.Step(batch)
		took := time.Since(start)
		if ctx.Err() != nil {
			return took, ctx.Err()
		}
		t.LastLoss = nil
		if !math.IsNaN(l) && !math.IsInf(l, 0) {
			t.LastLoss = &l
		} else {
			t.Finite = false
		}
		if t.FirstLoss == nil && t.Finite {
			t.FirstLoss = t.LastLoss
		}
		return took, err
	})
	if err != nil {
		return t, err
	}
	t.PeakMiB = peakMiB()
	t.Sum, err = stepper.Sum()
	return t, err
}

// timed returns the seconds of the first run and the median of the n after it.
func timed(n int, run func() (time.Duration, error)) (first, later float64, err error) {
	seconds := make([]float64, n+1)
	for i := range seconds {
		d, err := run()
		if err != nil {
			return 0, 0, err
		}
		seconds[i] = d.Seconds()
	}
	return seconds[0], median(seconds[1:]), nil
}

// noise makes cubes of random values in 0..1, the same every time.
func noise(n, edge int) [][]float32 {
	rng := rand.New(rand.NewPCG(1, 2018))
	cubes := make([][]float32, n)
	for i := range cubes {
		cubes[i] = make([]float32, edge*edge*edge)
		for j := range cubes[i] {
			cubes[i][j] = rng.Float32()
		}
	}
	return cubes
}

// batchOf lays cubes out as training takes them; every second one is dead.
func batchOf(cubes [][]float32, edge int) (train.Batch, error) {
	x := tensors.FromShape(shapes.Make(dtypes.Float32, len(cubes), edge, edge, edge, 1))
	y := tensors.FromShape(shapes.Make(dtypes.Float32, len(cubes), 1))
	batch := train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}}
	if err := tensors.MutableFlatData(x, func(flat []float32) {
		for i, c := range cubes {
			copy(flat[i*len(c):], c)
		}
	}); err != nil {
		return batch, err
	}
	return batch, tensors.MutableFlatData(y, func(flat []float32) {
		for i := range flat {
			flat[i] = float32(i % 2)
		}
	})
}

// peakMiB is the most memory this process has held. Not getrusage's number where it can be helped: on Linux that one
// begins with what the parent held.
func peakMiB() float64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			var kib float64
			if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
				return kib / 1024
			}
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return float64(usage.Maxrss) / (1 << 20) // bytes
	}
	return float64(usage.Maxrss) / (1 << 10)
}
