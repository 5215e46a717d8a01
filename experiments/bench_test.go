package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hounsfield/models/engine"
)

// The test binary is the program that a measurement runs again.
func init() {
	if len(os.Args) == 3 && os.Args[1] == "bench" && os.Args[2] == MeasureVerb {
		if err := MeasureStep(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func tinyBench(file string) BenchOptions {
	return BenchOptions{Engines: []string{engine.Go}, Batches: []int{2}, Steps: 1, Rounds: 1, Scale: 0.02, Limit: time.Minute, JSON: file, Command: "test"}
}

// fakePython is an interpreter that has every module and runs every program in no time at all.
func fakePython(t *testing.T, script string) string {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	file := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBenchMeasuresBesideAPeer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	o := tinyBench(file)
	o.Peer, o.Rounds = "torch", 2
	o.Python = fakePython(t, `[ "$2" = "import torch" ] || echo '{"name": "torch", "version": "9", "step_seconds": 1e6, "forward_seconds": 1e-9, "peak_mib": 1}'`)
	var out strings.Builder
	if err := Bench(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	r, err := readResults(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Entries) != 1 {
		t.Fatalf("%d entries:\n%s", len(r.Entries), out.String())
	}
	e := r.Entries[0]
	switch {
	case e.Error != "":
		t.Fatal(e.Error)
	case e.Engine != "go" || e.Batch != 2 || e.Rounds != 2 || e.Vs != "torch" || e.Peer.Version != "9" || e.Command != "test":
		t.Errorf("entry %+v", e)
	case !(e.Ours.StepSeconds > 0 && e.Ours.ForwardSeconds > 0 && e.Ours.PeakMiB > 1 && e.Ours.FirstStepSeconds > 0):
		t.Errorf("times %+v", e.Ours)
	case !e.Ours.Finite || e.Ours.LastLoss == nil || len(e.Ours.Sum) != 64 || e.Ours.Parameters == 0:
		t.Errorf("training %+v", e.Ours)
	case e.Ratio.Step < 100 || e.Ratio.Forward > 0.01 || e.Ratio.Peak < 1:
		t.Errorf("ratios are upside down: %+v", e.Ratio)
	case e.Machine.Cores < 1 || e.Versions["go"] == "" || e.Date.IsZero():
		t.Errorf("where and when: %+v", e)
	}
	if !strings.Contains(out.String(), "go") || !strings.Contains(out.String(), "torch 9") {
		t.Errorf("table:\n%s", out.String())
	}
}

func TestBenchWithoutPeerSaysHow(t *testing.T) {
	o := tinyBench("")
	o.Peer, o.Python = "torch", fakePython(t, `echo "ModuleNotFoundError: No module named 'torch'" >&2; exit 1`)
	err := Bench(t.Context(), o, &strings.Builder{})
	var missing *PeerError
	if !errors.As(err, &missing) || missing.Peer != "torch" {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{o.Python, "No module named 'torch'", "--python", "install"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestBenchFailingPeerAndEngine(t *testing.T) {
	o := tinyBench("")
	o.Peer, o.Python = "torch", fakePython(t, `[ "$2" = "import torch" ] || { echo "no memory left" >&2; exit 3; }`)
	err := Bench(t.Context(), o, &strings.Builder{})
	var failed *PeerError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "no memory left") {
		t.Errorf("peer: %v", err)
	}
	o = tinyBench(filepath.Join(t.TempDir(), "results.json"))
	o.Settings.Devices = 3 // more than the pure-Go engine has
	var out strings.Builder
	if err := Bench(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	r, err := readResults(o.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Entries) != 1 || !strings.Contains(r.Entries[0].Error, "devices is 3") || r.Entries[0].Ours != nil || !strings.Contains(out.String(), "no result") {
		t.Errorf("engine: %+v\n%s", r.Entries, out.String())
	}
}

func TestBenchOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*BenchOptions){
		"--engine":  func(o *BenchOptions) { o.Engines = nil },
		"--batch":   func(o *BenchOptions) { o.Batches = []int{4, 1} },
		"--steps":   func(o *BenchOptions) { o.Steps = 0 },
		"--rounds":  func(o *BenchOptions) { o.Rounds = 0 },
		"--threads": func(o *BenchOptions) { o.Threads = 1 << 20 },
		"--scale":   func(o *BenchOptions) { o.Scale = 0 },
		"--vs":      func(o *BenchOptions) { o.Peer = "tensorflow" },
	} {
		o := tinyBench("")
		change(&o)
		err := Bench(t.Context(), o, &strings.Builder{})
		var bad *ConfigError
		if !errors.As(err, &bad) || bad.Key != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := tinyBench("")
	o.Engines = []string{"abacus"}
	var unknown *engine.UnknownEngineError
	if err := Bench(t.Context(), o, &strings.Builder{}); !errors.As(err, &unknown) {
		t.Errorf("unknown engine: %v", err)
	}
	o = tinyBench(filepath.Join(t.TempDir(), "results.json"))
	if err := os.WriteFile(o.JSON, []byte(`{"entries": [{"whatever": 1}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var results *ResultsError
	if err := Bench(t.Context(), o, &strings.Builder{}); !errors.As(err, &results) || results.File != o.JSON {
		t.Errorf("foreign file: %v", err)
	}
}

func TestResultsMerge(t *testing.T) {
	entry := func(engine string, batch int, seconds float64) BenchEntry {
		return BenchEntry{What: benchStep, Engine: engine, Batch: batch, Scale: 1, Ours: &Timing{StepSeconds: seconds}}
	}
	file := filepath.Join(t.TempDir(), "results.json")
	write := func(entries ...BenchEntry) []byte {
		r, err := readResults(file)
		if err != nil {
			t.Fatal(err)
		}
		r.merge(entries)
		if err := r.write(file); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write(entry("onnx", 16, 1), entry("go", 4, 2))
	one := write(entry("go", 16, 3), entry("go", 4, 4)) // the second in place of the older one
	var got []string
	var r benchResults
	if err := json.Unmarshal(one, &r); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Entries {
		got = append(got, fmt.Sprintf("%s %d %g", e.Engine, e.Batch, e.Ours.StepSeconds))
	}
	if want := []string{"go 4 4", "go 16 3", "onnx 16 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	write(entry("go", 16, 3))
	write(entry("go", 4, 4))
	if two := write(entry("onnx", 16, 1)); !bytes.Equal(one, two) {
		t.Errorf("the order of measurements shows in the file:\n%s\n%s", one, two)
	}
}

func TestBenchChildThatHangs(t *testing.T) {
	o := tinyBench("")
	o.Peer, o.Limit = "torch", 300*time.Millisecond
	o.Python = fakePython(t, `[ "$2" = "import torch" ] || exec sleep 60`)
	p, err := findPeer(t.Context(), o.Peer, o.Python)
	if err != nil {
		t.Fatal(err)
	}
	o.Threads = 1
	start := time.Now()
	_, err = p.run(t.Context(), o, 2, "cpu")
	var failed *PeerError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "300ms") || time.Since(start) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

// The peer's program builds the network that ours is, and measures it. JAX's is left out: XLA takes 40 s to compile it.
func TestTorchIsTheSameNetwork(t *testing.T) {
	p, err := findPeer(t.Context(), "torch", "")
	if err != nil {
		t.Skip(err)
	}
	o := tinyBench("")
	o.Scale, o.Threads = 0.05, 1 // widths that are not whole
	got, err := p.run(t.Context(), o, 2, "cpu")
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := scaled(o.Scale).Parameters()
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "torch" || got.Version == "" || got.Parameters != want {
		t.Errorf("%s %s has %d parameters, ours %d", got.Name, got.Version, got.Parameters, want)
	}
	if !(got.StepSeconds > 0 && got.ForwardSeconds > 0 && got.PeakMiB > 1) || !got.Finite || len(got.Sum) != 64 {
		t.Errorf("%+v", got)
	}
}
