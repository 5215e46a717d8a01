package cnn

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
)

// trainedTiny is a tiny network after one epoch.
func trainedTiny(t *testing.T) *Model {
	t.Helper()
	cfg := tinyConfig()
	cfg.MaxEpochs = 1
	r, err := Train(context.Background(), openGo(t), tiny(), cfg, tinyData(14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Model
}

func arrayNamed(m *Model, name string) []float32 {
	for _, a := range m.Weights {
		if a.Name == name {
			return a.Values
		}
	}
	return nil
}

func TestTransfer(t *testing.T) {
	from := trainedTiny(t)
	cfg := tinyConfig()
	cfg.Seed, cfg.MaxEpochs = 99, 2
	cfg.InitFrom, cfg.Freeze, cfg.Reinit = "the first", []string{"conv*"}, []string{"logits"}
	cfg.WeightDecay, cfg.ClipNorm = 0.01, 1
	for _, keep := range []bool{true, false} {
		cfg.FreezeNorm = keep
		r, err := Train(context.Background(), openGo(t), tiny(), cfg, tinyData(14), Options{Init: from})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range from.Weights {
			layer, what, _ := strings.Cut(a.Name, "/")
			average := what == varMean || what == varVariance
			same := strings.HasPrefix(layer, "conv") && (!average || keep)
			if got := slices.Equal(arrayNamed(r.Model, a.Name), a.Values); got != same {
				t.Errorf("freeze_norm %t: %s is bit-identical: %t", keep, a.Name, got)
			}
		}
	}
	// Before the first step: logits anew, by the seed; everything else as it was.
	tr, err := newTraining(openGo(t), tiny(), cfg, tinyData(14), Options{Init: from})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	anew := model.NewStore()
	defer anew.Finalize()
	if err := tr.network.initialise(anew, 99, dtypes.Float32); err != nil {
		t.Fatal(err)
	}
	for _, a := range from.Weights {
		want := fromTensor(tensors.FromFlatDataAndDimensions(a.Values, a.Dims...)).v
		if strings.HasPrefix(a.Name, "logits/") {
			want = value(anew, "/"+a.Name)
		}
		if !slices.Equal(value(tr.store, "/"+a.Name), want) {
			t.Errorf("training begins with another %s", a.Name)
		}
	}
	if m := arrayNamed(from, "logits/weights"); float64(m[0]) == value(anew, "/logits/weights")[0] {
		t.Error("logits anew are those of the first network")
	}
}

// A layer that keeps its running averages gives in training what it gives in prediction.
func TestFrozenNormalisationIsPredictions(t *testing.T) {
	cfg := tinyConfig()
	cfg.InitFrom, cfg.Freeze, cfg.FreezeNorm = "the first", []string{"conv1"}, true
	tr, err := newTraining(openGo(t), tiny(), cfg, tinyData(14), Options{Init: trainedTiny(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	var seen [][]float64
	for _, training := range []bool{true, false} {
		n := *tr.network
		exec := model.MustNewExec(tr.engine.Backend, tr.store, func(scope *model.Scope, x *graph.Node) []*graph.Node {
			var out []*graph.Node
			n.observe = func(layer string, parts []*graph.Node) {
				if layer == "conv1" {
					out = slices.Clone(parts)
				}
			}
			return append(out, n.logits(scope.Store(), x, training))
		})
		var all []float64
		out := exec.MustCall(batchesOf(t, 0)[0].Inputs[0])
		for _, o := range out[:len(out)-1] {
			all = append(all, fromTensor(o).v...)
		}
		seen = append(seen, all)
		exec.Finalize()
	}
	if len(seen[0]) == 0 || !slices.Equal(seen[0], seen[1]) {
		t.Errorf("%d values in training are not the %d in prediction", len(seen[0]), len(seen[1]))
	}
}

// Below the lowest layer that learns, a step computes what the forward pass does and nothing more.
func TestNoGradientBelowTheLowestTrainedLayer(t *testing.T) {
	count := func(freeze ...string) (convolutions, forward int) {
		cfg := tinyConfig()
		cfg.Freeze = freeze
		tr, err := newTraining(openGo(t), tiny(), cfg, tinyData(14), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		// Products of the size of a convolution's: with rows for filters or columns and a column for each position.
		large := func(roots ...*graph.Node) (n int) {
			seen := map[graph.NodeId]bool{}
			for len(roots) > 0 {
				x := roots[len(roots)-1]
				roots = roots[:len(roots)-1]
				if seen[x.Id()] {
					continue
				}
				seen[x.Id()] = true
				if in := x.Inputs(); x.Type() == graph.NodeTypeDotGeneral && in[0].Shape().Size() > 8 && in[1].Shape().Size() > 2000 {
					n++
				}
				roots = append(roots, x.Inputs()...)
			}
			return n
		}
		exec := model.MustNewExec(tr.engine.Backend, tr.store, func(scope *model.Scope, in []*graph.Node) *graph.Node {
			g := in[0].Graph()
			logits := tr.network.logits(scope.Store(), in[0], true)
			forward = large(logits)
			train.AddMainLoss(cfg.lossOf(in[1:], []*graph.Node{logits}))
			loss := train.TotalLoss(g)
			tr.learner.adam.UpdateGraph(scope, g, loss)
			roots := []*graph.Node{loss}
			for v := range tr.store.IterVariables() {
				if v.ChangedInGraph(g) {
					roots = append(roots, v.NodeValue(g))
				}
			}
			convolutions = large(roots...)
			return loss
		})
		defer exec.Finalize()
		b := batchesOf(t, 0)[0]
		exec.MustCall(b.Inputs[0], b.Labels[0])
		return convolutions, forward
	}
	all, forward := count()
	upper, _ := count("conv1")
	none, _ := count("conv*")
	if none != forward {
		t.Errorf("with both convolutions frozen a step has %d large products, its forward pass %d", none, forward)
	}
	if !(forward < upper && upper < all) {
		t.Errorf("large products of a step: %d, with conv1 frozen %d, forward %d", all, upper, forward)
	}
}

func TestUnfitNetworksAreRefusedByName(t *testing.T) {
	from := trainedTiny(t)
	cfg := tinyConfig()
	cfg.InitFrom = "runs/first"
	other := tiny()
	other.Stages[1].Conv.Filters, other.Dense[0].Units = 7, 9
	var unfit *DataError
	if err := cfg.CheckInit(other, from); !errors.As(err, &unfit) {
		t.Fatalf("other shapes: %v", err)
	}
	for _, part := range []string{"runs/first", "conv2/weights: wanted [7 4 3 3 3], found [6 4 3 3 3]", "conv2/bias: wanted [7], found [6]",
		"dense1/weights: wanted [9 189], found [8 162]", "logits/weights: wanted [2 9], found [2 8]", "reinit"} {
		if !strings.Contains(unfit.Error(), part) {
			t.Errorf("the text does not say %q: %v", part, unfit)
		}
	}
	if strings.Contains(unfit.Error(), "conv1") {
		t.Errorf("conv1 fits: %v", unfit)
	}
	again := cfg
	again.Reinit = []string{"conv2", "dense1", "logits"}
	if err := again.CheckInit(other, from); err != nil {
		t.Errorf("with the unfit layers anew: %v", err)
	}
	survival := cfg
	survival.Loss = LossDiscreteTime
	if err := survival.CheckInit(tiny(), from); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "logits/weights: wanted [10 8], found [2 8]") {
		t.Errorf("other outputs: %v", err)
	}
	pooled := tiny()
	pooled.Input, pooled.InputPool = 28, 2
	if err := cfg.CheckInit(pooled, from); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "input_pool") {
		t.Errorf("voxels of another size: %v", err)
	}
	spoilt := &Model{Spec: from.Spec, Weights: slices.Clone(from.Weights)}
	spoilt.Weights[2].Values = slices.Clone(spoilt.Weights[2].Values)
	spoilt.Weights[2].Values[1] = float32(math.Inf(1))
	if err := cfg.CheckInit(tiny(), spoilt); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "conv1/scale: value 1 is +Inf") {
		t.Errorf("an infinite weight: %v", err)
	}
	lacking := &Model{Spec: from.Spec, Weights: from.Weights[1:]}
	if err := cfg.CheckInit(tiny(), lacking); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "conv1/weights: wanted [4 1 3 3 3], found none") {
		t.Errorf("weights missing: %v", err)
	}
	if _, err := Train(context.Background(), openGo(t), tiny(), cfg, tinyData(14), Options{}); !errors.As(err, &unfit) {
		t.Errorf("no network given: %v", err)
	}
	var wrong *SpecError
	if _, err := Train(context.Background(), openGo(t), tiny(), tinyConfig(), tinyData(14), Options{Init: from}); !errors.As(err, &wrong) {
		t.Errorf("a network given without its name: %v", err)
	}
}

// With every setting on, a training that is stopped and resumed ends as one that is not.
func TestResumeWithEverySetting(t *testing.T) {
	e := openGo(t)
	from := trainedTiny(t)
	cfg := tinyConfig()
	cfg.InitFrom, cfg.Freeze, cfg.FreezeNorm, cfg.Reinit = "the first", []string{"conv1"}, true, []string{"logits"}
	cfg.Schedule = Schedule{Kind: "cosine", WarmupEpochs: 1, Floor: 1e-5}
	cfg.ClipNorm, cfg.WeightDecay, cfg.LabelSmoothing, cfg.Accumulate = 0.5, 0.01, 0.1, 3
	cfg.ClassWeights, cfg.LearningRates = map[string]float64{"dead": 2}, map[string]float64{"conv2": 0.1}
	straight, err := Train(context.Background(), e, tiny(), cfg, tinyData(14), Options{Init: from})
	if err != nil {
		t.Fatal(err)
	}
	want := fingerprint(t, e, straight)
	dir, rng := t.TempDir(), rand.New(rand.NewPCG(81, 82))
	for stops := 0; ; stops++ {
		ctx, cancel := context.WithCancel(context.Background())
		after, steps := 5+rng.IntN(4), 0
		r, err := Train(ctx, e, tiny(), cfg, tinyData(14), Options{Init: from, Dir: dir, Resume: true, OnStep: func(StepRecord) {
			if steps++; steps == after && stops < 2 {
				cancel()
			}
		}})
		cancel()
		if errors.Is(err, context.Canceled) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if stops != 2 || fingerprint(t, e, r) != want {
			t.Errorf("stopped %d times, training ends differently", stops)
		}
		break
	}
	for i, r := range straight.History {
		if r.LearningRate != cfg.rate(i+1) {
			t.Errorf("epoch %d records the learning rate %g, not %g", i+1, r.LearningRate, cfg.rate(i+1))
		}
	}
}
