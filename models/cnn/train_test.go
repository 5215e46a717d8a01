package cnn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/ml/train"
	"github.com/google/go-cmp/cmp"

	"hounsfield/models/engine"
)

// tiny is a network that trains in milliseconds and has every kind of layer.
func tiny() Spec {
	return Spec{
		Input: 14, InputPool: 1,
		Stages: []Stage{
			{Conv: &Conv{Filters: 4, Kernel: 3, Dropout: 0.1}},
			{Conv: &Conv{Filters: 6, Kernel: 3}},
			{Pool: &Pool{Size: 3, Dropout: 0.1}},
		},
		Dense:      []Dense{{Units: 8, Dropout: 0.2}},
		LeakySlope: 0.1, NormMomentum: 0.8, NormEpsilon: 1e-3, ActivityL2: 1e-5,
	}
}

func tinyConfig() TrainConfig {
	return TrainConfig{Batch: 6, MaxEpochs: 4, Patience: 4, LearningRate: 3e-3, Seed: 7}
}

// tinyData has 24 cubes to train on, in another order each epoch, and 14 to tune on.
func tinyData(edge int) Data {
	cubes, dead := blobs(1, 24, edge)
	tune, tuneDead := blobs(2, 14, edge)
	return Data{
		Epoch: func(epoch int) (train.Dataset, error) {
			order := rand.New(rand.NewPCG(3, uint64(epoch))).Perm(len(cubes))
			b := &batches{size: 6, edge: edge}
			for _, i := range order {
				b.cubes, b.dead = append(b.cubes, cubes[i]), append(b.dead, dead[i])
			}
			return b, nil
		},
		Tune: tune, TuneDead: tuneDead, AUC: rankAUC,
	}
}

// rankAUC is the share of pairs of one dead and one alive in which the dead has the higher score.
func rankAUC(scores []float64, dead []bool) float64 {
	var won, pairs float64
	for i, d := range dead {
		for j, other := range dead {
			if d && !other {
				pairs++
				switch {
				case scores[i] > scores[j]:
					won++
				case scores[i] == scores[j]:
					won += 0.5
				}
			}
		}
	}
	return won / pairs
}

func openGo(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.Open("go")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// fingerprint holds everything that must not change between two equal trainings, bit for bit.
func fingerprint(t *testing.T, e *engine.Engine, r *Result) string {
	t.Helper()
	cubes, _ := blobs(4, 5, r.Model.Spec.Input)
	scores, err := r.Model.Scores(context.Background(), e, cubes)
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	for _, v := range scores {
		fmt.Fprintf(&s, "%x ", math.Float64bits(v))
	}
	for _, h := range r.History {
		fmt.Fprintf(&s, "| %d %x %x %x %t ", h.Epoch, math.Float64bits(h.TrainLoss), math.Float64bits(h.TuneLoss), math.Float64bits(h.TuneAUC), h.Best)
	}
	for _, a := range r.Model.Weights {
		fmt.Fprintf(&s, "%s %s ", a.Name, hash(a.Values))
	}
	return s.String()
}

func TestTrainLearns(t *testing.T) {
	e := openGo(t)
	cfg := tinyConfig()
	cfg.MaxEpochs, cfg.Patience = 15, 15
	r, err := Train(context.Background(), e, tiny(), cfg, tinyData(14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	best := r.History[r.BestEpoch-1]
	if best.TuneAUC < 0.95 || !best.Best {
		t.Errorf("the network did not learn to tell large from small: %+v", r.History)
	}
	first, last := r.History[0], r.History[len(r.History)-1]
	if last.TrainLoss > 0.8*first.TrainLoss {
		t.Errorf("the training loss went from %.3f to %.3f only", first.TrainLoss, last.TrainLoss)
	}
	for _, h := range r.History {
		if h.TuneAUC > best.TuneAUC {
			t.Errorf("epoch %d is better than the best, %d", h.Epoch, best.Epoch)
		}
	}
	// The model is the best epoch's: it scores the tune cubes as that epoch did.
	data := tinyData(14)
	scores, err := r.Model.Scores(context.Background(), e, data.Tune)
	if err != nil {
		t.Fatal(err)
	}
	if auc := rankAUC(scores, data.TuneDead); auc != best.TuneAUC {
		t.Errorf("the model's tune AUC is %g, the best epoch's %g", auc, best.TuneAUC)
	}
}

func TestTrainIsDeterministic(t *testing.T) {
	var prints []string
	threads := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(threads) })
	cfg := tinyConfig()
	cfg.ClipNorm, cfg.WeightDecay, cfg.Accumulate = 0.5, 0.01, 3
	for _, n := range []int{1, 3, 8} {
		runtime.GOMAXPROCS(n)
		e := openGo(t)
		r, err := Train(context.Background(), e, tiny(), cfg, tinyData(14), Options{})
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, fingerprint(t, e, r))
	}
	for _, p := range prints[1:] {
		if p != prints[0] {
			t.Errorf("training depends on the number of threads:\n%s\n%s", prints[0], p)
		}
	}
	e := openGo(t)
	cfg.Seed = 8
	r, err := Train(context.Background(), e, tiny(), cfg, tinyData(14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint(t, e, r) == prints[0] {
		t.Error("another seed gives the same training")
	}
}

func TestResumeEndsTheSame(t *testing.T) {
	e := openGo(t)
	straight, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	want := fingerprint(t, e, straight)
	rng := rand.New(rand.NewPCG(21, 22))
	for range 3 {
		dir := t.TempDir()
		stops := 0
		var got *Result
		for got == nil {
			// Stop at a random step, up to three times, then let it end.
			ctx, cancel := context.WithCancel(context.Background())
			after, steps := 1+rng.IntN(9), 0
			opts := Options{Dir: dir, Resume: true, OnStep: func(StepRecord) {
				if steps++; steps == after && stops < 3 {
					stops++
					cancel()
				}
			}}
			r, err := Train(ctx, e, tiny(), tinyConfig(), tinyData(14), opts)
			switch {
			case err == nil:
				got = r
			case !errors.Is(err, context.Canceled):
				t.Fatal(err)
			}
			cancel()
		}
		if stops == 0 {
			t.Fatal("training was never stopped")
		}
		if p := fingerprint(t, e, got); p != want {
			t.Errorf("stopped %d times, training ends differently:\n%s\n%s", stops, want, p)
		}
		loaded, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got.Model, loaded); d != "" {
			t.Error("the model loaded from the folder is another one")
		}
		// A finished training does nothing more.
		again, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14), Options{Dir: dir, Resume: true,
			OnStep: func(StepRecord) { t.Error("a finished training went on") }})
		if err != nil {
			t.Fatal(err)
		}
		if fingerprint(t, e, again) != want {
			t.Error("a finished training, run again, ends differently")
		}
	}
}

func TestDamagedCheckpointFallsBack(t *testing.T) {
	e := openGo(t)
	dir := t.TempDir()
	whole, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	want := fingerprint(t, e, whole)
	files, err := checkpointFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != keptCheckpoints || filepath.Base(files[0]) != "epoch-0004.ckpt" {
		t.Fatalf("the folder holds %v", files)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string][]byte{
		"empty":              {},
		"cut in the header":  content[:40],
		"cut in the arrays":  content[:len(content)/2],
		"cut by a byte":      content[:len(content)-1],
		"a byte longer":      append(slices.Clone(content), 0),
		"another format":     append([]byte("GIF89a__"), content[8:]...),
		"one bit turned":     flip(content, len(content)-100),
		"a bit of its sum":   flip(content, len(content)-1),
		"an absurd length":   flip(content, 15),
		"a bit of the names": flip(content, 30),
	}
	for name, bytes := range damage {
		if err := os.WriteFile(files[0], bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		var warned []error
		r, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14),
			Options{Dir: dir, Resume: true, OnWarning: func(err error) { warned = append(warned, err) }})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var damaged *CheckpointError
		if len(warned) != 1 || !errors.As(warned[0], &damaged) || damaged.File != files[0] {
			t.Errorf("%s: warnings are %v", name, warned)
		}
		if fingerprint(t, e, r) != want {
			t.Errorf("%s: training from the epoch before ends differently", name)
		}
	}
	// Both damaged, and a piece that a killed training was writing: Load says so, training begins anew.
	if err := os.WriteFile(filepath.Join(dir, ".epoch-0004.ckpt123456"), content[:99], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, content[:50], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var damaged *CheckpointError
	if _, err := Load(dir); !errors.As(err, &damaged) {
		t.Errorf("loading from damaged files only: %v", err)
	}
	r, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14), Options{Dir: dir, Resume: true})
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint(t, e, r) != want {
		t.Error("training begun anew ends differently")
	}
	leftovers, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(leftovers) != keptCheckpoints {
		t.Errorf("the folder holds %v", leftovers)
	}
}

func FuzzDecodeCheckpoint(f *testing.F) {
	s := &state{Spec: tiny(), Config: tinyConfig(), Epoch: 1,
		Variables: []savedVariable{{Path: "/conv1/bias", DType: "Float32", Dims: []int{2}, Bytes: 8, data: make([]byte, 8)}}}
	var b bytes.Buffer
	if err := s.write(&b); err != nil {
		f.Fatal(err)
	}
	whole := b.Bytes()
	f.Add(whole)
	f.Add(whole[:60])
	f.Add(flip(whole, 9))
	f.Add(flip(whole, len(whole)-40))
	f.Add([]byte(checkpointMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, problem, err := decodeCheckpoint(bytes.NewReader(content), int64(len(content)))
		if err != nil && problem == "" {
			t.Fatalf("reading from memory failed: %v", err)
		}
		if (problem == "") != (got != nil) {
			t.Fatalf("problem %q with state %v", problem, got)
		}
		if got == nil {
			return
		}
		var again bytes.Buffer
		if err := got.write(&again); err != nil {
			t.Fatal(err)
		}
		if _, problem, _ := decodeCheckpoint(bytes.NewReader(again.Bytes()), int64(again.Len())); problem != "" {
			t.Fatalf("what was read and written again %s", problem)
		}
	})
}

func flip(b []byte, at int) []byte {
	c := slices.Clone(b)
	c[at] ^= 0x10
	return c
}

func TestCheckpointOfOtherSettingsIsRefused(t *testing.T) {
	e := openGo(t)
	dir := t.TempDir()
	cfg := tinyConfig()
	cfg.MaxEpochs = 1
	if _, err := Train(context.Background(), e, tiny(), cfg, tinyData(14), Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	other := cfg
	other.LearningRate *= 2
	var wrong *CheckpointError
	if _, err := Train(context.Background(), e, tiny(), other, tinyData(14), Options{Dir: dir, Resume: true}); !errors.As(err, &wrong) {
		t.Errorf("a checkpoint of another learning rate: %v", err)
	}
	if _, err := Train(context.Background(), e, tiny(), other, tinyData(14), Options{Dir: dir}); err != nil {
		t.Errorf("a new training in the same folder: %v", err)
	}
	if _, err := Load(t.TempDir()); !errors.As(err, &wrong) {
		t.Errorf("loading from an empty folder: %v", err)
	}
}

func TestCheckpointThatCannotBeWritten(t *testing.T) {
	e := openGo(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var wrong *CheckpointError
	_, err := Train(context.Background(), e, tiny(), tinyConfig(), tinyData(14), Options{Dir: filepath.Join(file, "checkpoints")})
	if !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

// A score must not depend on the other cubes, on their number or their order.
func TestScoresDependOnTheCubeOnly(t *testing.T) {
	e := openGo(t)
	cfg := tinyConfig()
	cfg.MaxEpochs = 1
	r, err := Train(context.Background(), e, tiny(), cfg, tinyData(14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cubes, _ := blobs(6, 2*scoreBatch+3, 14)
	all, err := r.Model.Scores(context.Background(), e, cubes)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 5, scoreBatch, len(cubes) - 1} {
		alone, err := r.Model.Scores(context.Background(), e, cubes[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		if alone[0] != all[i] {
			t.Errorf("cube %d scores %v alone and %v among others", i, alone[0], all[i])
		}
	}
	reversed := slices.Clone(cubes)
	slices.Reverse(reversed)
	back, err := r.Model.Scores(context.Background(), e, reversed)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(back)
	if !slices.Equal(all, back) {
		t.Error("scores depend on the order of the cubes")
	}
	sorted := slices.Clone(all)
	sort.Float64s(sorted)
	if sorted[0] < 0 || sorted[len(sorted)-1] > 1 || sorted[0] == sorted[len(sorted)-1] {
		t.Errorf("scores are not risks from 0 to 1 that differ: %v", sorted)
	}
	if none, err := r.Model.Scores(context.Background(), e, nil); err != nil || len(none) != 0 {
		t.Errorf("scores of no cubes: %v, %v", none, err)
	}
}

func TestBadDataIsNamed(t *testing.T) {
	e := openGo(t)
	ctx := context.Background()
	try := func(name string, change func(*Data), want any) {
		t.Helper()
		d := tinyData(14)
		change(&d)
		_, err := Train(ctx, e, tiny(), tinyConfig(), d, Options{})
		if err == nil || !errors.As(err, want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	try("outcomes missing", func(d *Data) { d.TuneDead = d.TuneDead[1:] }, new(*DataError))
	try("one outcome only", func(d *Data) { clear(d.TuneDead) }, new(*DataError))
	try("tune cube too small", func(d *Data) { d.Tune[3] = d.Tune[3][1:] }, new(*DataError))
	try("tune cube with NaN", func(d *Data) { d.Tune[3] = slices.Clone(d.Tune[3]); d.Tune[3][9] = float32(math.NaN()) }, new(*DataError))
	try("no batch", func(d *Data) {
		d.Epoch = func(int) (train.Dataset, error) { return &batches{size: 6, edge: 14}, nil }
	}, new(*DataError))
	try("batch of another cube size", func(d *Data) {
		c, dead := blobs(1, 6, 13)
		d.Epoch = func(int) (train.Dataset, error) { return &batches{cubes: c, dead: dead, size: 6, edge: 13}, nil }
	}, new(*GraphError))
	try("batch with infinite values", func(d *Data) {
		c, dead := blobs(1, 6, 14)
		c[0][0] = float32(math.Inf(1))
		d.Epoch = func(int) (train.Dataset, error) { return &batches{cubes: c, dead: dead, size: 6, edge: 14}, nil }
	}, new(*DivergedError))
	failed := errors.New("disk gone")
	d := tinyData(14)
	d.Epoch = func(int) (train.Dataset, error) { return nil, failed }
	if _, err := Train(ctx, e, tiny(), tinyConfig(), d, Options{}); !errors.Is(err, failed) {
		t.Errorf("the data set's own error is lost: %v", err)
	}
}

func TestEarlyStop(t *testing.T) {
	e := openGo(t)
	cfg := tinyConfig()
	cfg.MaxEpochs, cfg.Patience = 9, 2
	d := tinyData(14)
	calls := 0
	aucs := []float64{0.6, 0.7, 0.65, 0.69, 0.8}
	d.AUC = func(_ []float64, dead []bool) float64 {
		if len(dead) != len(d.TuneDead) {
			return 0.5 // of the training cubes
		}
		calls++
		return aucs[calls-1]
	}
	var seen []int
	r, err := Train(context.Background(), e, tiny(), cfg, d, Options{OnEpoch: func(r EpochRecord) { seen = append(seen, r.Epoch) }})
	if err != nil {
		t.Fatal(err)
	}
	if !r.StoppedEarly || r.BestEpoch != 2 || !slices.Equal(seen, []int{1, 2, 3, 4}) {
		t.Errorf("best epoch %d, stopped early %t, epochs %v; two without a better AUC should end it", r.BestEpoch, r.StoppedEarly, seen)
	}
}

// Of epochs with the same AUC, the one with the lowest tune loss is best.
func TestEqualAUCIsDecidedByTheLoss(t *testing.T) {
	e := openGo(t)
	cfg := tinyConfig()
	cfg.MaxEpochs, cfg.Patience = 8, 8
	d := tinyData(14)
	d.AUC = func([]float64, []bool) float64 { return 0.5 }
	r, err := Train(context.Background(), e, tiny(), cfg, d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	lowest, bests := math.Inf(1), 0
	for _, h := range r.History {
		if h.Best != (h.TuneLoss < lowest) {
			t.Errorf("epoch %d of loss %g after %g: best is %t", h.Epoch, h.TuneLoss, lowest, h.Best)
		}
		if h.Best {
			bests++
		}
		lowest = min(lowest, h.TuneLoss)
	}
	if bests < 2 || r.History[r.BestEpoch-1].TuneLoss != lowest {
		t.Errorf("%d epochs were best, the last of them %d: %+v", bests, r.BestEpoch, r.History)
	}
}
