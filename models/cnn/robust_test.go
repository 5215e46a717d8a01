package cnn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/google/go-cmp/cmp"

	"hounsfield/models/engine"
)

// Most of the tests' time on XLA would be its compiler's. What is tested does not need its optimisations.
func init() {
	if os.Getenv("XLA_FLAGS") == "" {
		os.Setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
	}
}

// openHere opens an engine that needs a library, or skips the test where there is none.
func openHere(t *testing.T, name string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(name)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(e.Close)
	return e
}

// failing is the pure-Go engine on a device whose memory is used up after some executions.
type failing struct {
	compute.Backend
	left int
}

func (f *failing) Builder(name string) compute.Builder {
	return failingBuilder{f.Backend.Builder(name), f}
}

type failingBuilder struct {
	compute.Builder
	f *failing
}

func (b failingBuilder) Compile() (compute.Executable, error) {
	e, err := b.Builder.Compile()
	return failingExecutable{e, b.f}, err
}

type failingExecutable struct {
	compute.Executable
	f *failing
}

func (e failingExecutable) Execute(in []compute.Buffer, donate []bool, device compute.DeviceNum) ([]compute.Buffer, error) {
	if e.f.left--; e.f.left < 0 {
		return nil, errors.New("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1073741824 bytes")
	}
	for i, b := range in {
		if mine, ok := b.(failingBuffer); ok {
			in[i] = mine.Buffer
		}
	}
	out, err := e.Executable.Execute(in, donate, device)
	for i, b := range out {
		out[i] = failingBuffer{b, e.f}
	}
	return out, err
}

// failingBuffer says, as GoMLX checks it, that it belongs to the failing engine.
type failingBuffer struct {
	compute.Buffer
	f *failing
}

func (b failingBuffer) Backend() compute.Backend { return b.f }

func TestOutOfMemoryLeavesTheFolderResumable(t *testing.T) {
	e := openGo(t)
	straight, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	small := *e
	small.Backend = &failing{Backend: e.Backend, left: 13}
	_, err = Train(context.Background(), &small, tiny(), tinyConfig(), tinyData(14), Options{Dir: dir, Resume: true})
	var memory *engine.MemoryError
	var graph *GraphError
	if !errors.As(err, &memory) || !errors.As(err, &graph) || !strings.Contains(err.Error(), "accumulate") || !strings.Contains(err.Error(), "[6, 14, 14, 14, 1]") {
		t.Fatalf("got %v", err)
	}
	first := 0
	r, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14), Options{Dir: dir, Resume: true, OnStep: func(s StepRecord) {
		if first == 0 {
			first = s.Epoch
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if first < 2 || fingerprint(t, e, r) != fingerprint(t, e, straight) {
		t.Errorf("training goes on at epoch %d and ends differently", first)
	}
}

func TestLoadRefusesADamagedNewestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	cfg := tinyConfig()
	cfg.MaxEpochs = 2
	if _, err := Train(context.Background(), openGo(t), tiny(), cfg, tinyData(14), Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	newest := filepath.Join(dir, "epoch-0002.ckpt")
	if err := os.Truncate(newest, 5000); err != nil {
		t.Fatal(err)
	}
	var damaged *CheckpointError
	if m, err := Load(dir); !errors.As(err, &damaged) || damaged.File != newest || !strings.Contains(err.Error(), "again") {
		t.Errorf("loading past a cut checkpoint: %v, %v", m != nil, err)
	}
}

// wide is a network with checkpoints of many megabytes.
func wide() Spec {
	s := tiny()
	s.Dense[0].Units = 4000
	return s
}

// A training that is killed while it writes a checkpoint loses that epoch and no other. The test runs itself as the
// process to be killed.
func TestKilledWhileWritingACheckpoint(t *testing.T) {
	if dir := os.Getenv("HOUNSFIELD_TEST_KILLED"); dir != "" {
		Train(context.Background(), openGo(t), wide(), tinyConfig(), tinyData(14), Options{Dir: dir, Resume: true}) //nolint:errcheck // it is killed
		return
	}
	e := openGo(t)
	straight, err := Train(context.Background(), e, wide(), tinyConfig(), tinyData(14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for try := range 10 {
		dir := t.TempDir()
		child := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWritingACheckpoint$")
		child.Env = append(os.Environ(), "HOUNSFIELD_TEST_KILLED="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		pieces := func() []string {
			found, _ := filepath.Glob(filepath.Join(dir, ".epoch-0003.ckpt*"))
			return found
		}
		for start := time.Now(); len(pieces()) == 0 && time.Since(start) < time.Minute; {
			time.Sleep(200 * time.Microsecond)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Wait() //nolint:errcheck // killed
		if len(pieces()) == 0 {
			t.Logf("try %d: the write was over already", try)
			continue
		}
		first := 0
		r, err := Train(context.Background(), e, wide(), tinyConfig(), tinyData(14), Options{Dir: dir, Resume: true,
			OnStep: func(s StepRecord) {
				if first == 0 {
					first = s.Epoch
				}
			}, OnWarning: func(err error) { t.Errorf("what was whole is not: %v", err) }})
		if err != nil {
			t.Fatal(err)
		}
		if first != 3 {
			t.Errorf("training goes on at epoch %d, not 3", first)
		}
		if d := cmp.Diff(straight.Model, r.Model); d != "" {
			t.Error("training ends with another network")
		}
		return
	}
	t.Error("no try hit the write")
}

// kilobytes reads a line such as VmRSS of the process's status.
func kilobytes(t *testing.T, line string) (n int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for l := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(l, line+": %d kB", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no %s", line)
	return 0
}

func TestMemoryStaysFlat(t *testing.T) {
	for _, name := range []string{engine.Go, engine.ONNX} {
		t.Run(name, func(t *testing.T) {
			e := openHere(t, name)
			cfg := tinyConfig()
			cfg.MaxEpochs, cfg.Patience, cfg.Accumulate = 50, 50, 2
			d := tinyData(14)
			d.Tune, d.TuneDead = d.Tune[:4], d.TuneDead[:4]
			cubes, dead := blobs(1, 12, 14)
			d.Epoch = func(int) (train.Dataset, error) { return &batches{cubes: cubes, dead: dead, size: 6, edge: 14}, nil }
			var heap, resident [2]int
			measure := func(i int) {
				for range 3 { // what lies in pools leaves them after two collections
					debug.FreeOSMemory()
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				heap[i], resident[i] = int(m.HeapAlloc>>10), kilobytes(t, "VmRSS")
			}
			_, err := Train(context.Background(), e, tiny(), cfg, d, Options{Dir: t.TempDir(), OnEpoch: func(r EpochRecord) {
				switch r.Epoch {
				case 10:
					measure(0)
				case 50:
					measure(1)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("epoch 10: heap %d, resident %d KiB; epoch 50: heap %d, resident %d KiB", heap[0], resident[0], heap[1], resident[1])
			// A batch kept for each of the 80 steps between would be 5 MiB.
			if heap[1] > heap[0]+512 || resident[1] > resident[0]+8*1024 {
				t.Errorf("memory grows: heap %d to %d KiB, resident %d to %d KiB", heap[0], heap[1], resident[0], resident[1])
			}
		})
	}
}

// Two trainings give equal bytes, and every epoch is scored with its own running averages. The pure-Go engine has its
// own test.
func TestTrainingIsDeterministicOnOtherEngines(t *testing.T) {
	for _, name := range []string{engine.ONNX, engine.XLACPU} {
		t.Run(name, func(t *testing.T) {
			e := openHere(t, name)
			var prints []string
			for range 2 {
				d := tinyData(14)
				calls := 0
				d.AUC = func([]float64, []bool) float64 { calls++; return float64(calls) } // the last epoch is best
				r, err := Train(context.Background(), e, tiny(), tinyConfig(), d, Options{})
				if err != nil {
					t.Fatal(err)
				}
				prints = append(prints, fingerprint(t, e, r))
				if len(prints) > 1 {
					break
				}
				last := r.History[len(r.History)-1]
				if got := freshTuneLoss(t, e, r.Model, d); r.BestEpoch != last.Epoch || math.Abs(got-last.TuneLoss) > 1e-6 {
					t.Errorf("the network's tune loss is %g, that of its epoch %g", got, last.TuneLoss)
				}
			}
			if prints[0] != prints[1] {
				t.Errorf("two trainings differ:\n%s\n%s", prints[0], prints[1])
			}
		})
	}
}

// freshTuneLoss scores the tune cubes with a graph that was built for it.
func freshTuneLoss(t *testing.T, e *engine.Engine, m *Model, d Data) float64 {
	t.Helper()
	store, err := m.store()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Finalize()
	s, err := newScorer(e, m.Spec, store)
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	logits, err := s.logits(context.Background(), d.Tune)
	if err != nil {
		t.Fatal(err)
	}
	return crossEntropy(logits, d.TuneDead)
}
