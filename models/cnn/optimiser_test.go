package cnn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"hounsfield/stats/golden"
)

// bareLayers is the smallest network that the optimiser can work on: two layers whose variables are used as they come.
func bareLayers(t *testing.T, dt dtypes.DType) (*network, *model.Store) {
	t.Helper()
	n := &network{layers: []layer{{name: "dense1", in: 4, out: 3, fanIn: 4, fanOut: 3}, {name: "logits", in: 3, out: 4, fanIn: 3, fanOut: 4}}}
	store := model.NewStore()
	t.Cleanup(store.Finalize)
	if err := n.initialise(store, 1, dt); err != nil {
		t.Fatal(err)
	}
	return n, store
}

func set(store *model.Store, path string, values []float64) {
	i := -1
	if err := fill(store.GetVariable(path).MustValue(), func() float64 { i++; return values[i] }); err != nil {
		panic(err)
	}
}

func value(store *model.Store, path string) []float64 {
	return fromTensor(store.GetVariable(path).MustValue()).v
}

// withGivenGradients makes a step of dense1/weights [3, 4] and logits/bias [4] with the gradients that it is called with.
func withGivenGradients(t *testing.T, store *model.Store, update func(scope *model.Scope, g *graph.Graph, loss *graph.Node)) *model.Exec {
	t.Helper()
	exec := model.MustNewExec(openGo(t).Backend, store, func(scope *model.Scope, in []*graph.Node) *graph.Node {
		g := in[0].Graph()
		for v := range store.IterVariables() {
			if v.Trainable {
				v.NodeValue(g) // GoMLX's optimiser wants every variable in use
			}
		}
		loss := graph.Add(graph.ReduceAllSum(graph.Mul(store.GetVariable("/dense1/weights").NodeValue(g), in[0])),
			graph.ReduceAllSum(graph.Mul(store.GetVariable("/logits/bias").NodeValue(g), in[1])))
		update(scope, g, loss)
		return loss
	})
	t.Cleanup(exec.Finalize)
	return exec
}

func TestAdamIsPyTorchs(t *testing.T) {
	for _, c := range golden.Cases[struct {
		Name            string
		Decay, Clip     float64
		BiasFactor      float64 `json:"bias_factor"`
		Rates           []float64
		Weights, Bias   []float64
		WeightGradients [][]float64 `json:"weight_gradients"`
		BiasGradients   [][]float64 `json:"bias_gradients"`
		WeightsAfter    []float64   `json:"weights_after"`
		BiasAfter       []float64   `json:"bias_after"`
	}](t, "adam") {
		n, store := bareLayers(t, dtypes.Float64)
		set(store, "/dense1/weights", c.Weights)
		set(store, "/logits/bias", c.Bias)
		a, err := newAdam(n, store, TrainConfig{ClipNorm: c.Clip, WeightDecay: c.Decay},
			map[string]group{"dense1": {factor: 1}, "logits": {factor: c.BiasFactor}})
		if err != nil {
			t.Fatal(err)
		}
		exec := withGivenGradients(t, store, a.UpdateGraph)
		for i, rate := range c.Rates {
			if err := a.setRate(rate); err != nil {
				t.Fatal(err)
			}
			w, b := newArray(3, 4), newArray(4)
			w.v, b.v = c.WeightGradients[i], c.BiasGradients[i]
			exec.MustCall(w.tensor(dtypes.Float64), b.tensor(dtypes.Float64))
		}
		// Clipping differs by 1e-6 of 1e4; see the program.
		golden.NearAll(t, c.Name+": weights", value(store, "/dense1/weights"), c.WeightsAfter, 1e-9)
		golden.NearAll(t, c.Name+": bias", value(store, "/logits/bias"), c.BiasAfter, 1e-9)
	}
}

// Without clipping, decay and factors every bit is as GoMLX's Adam makes it.
func TestAdamIsGoMLXs(t *testing.T) {
	var after []string
	for _, own := range []bool{true, false} {
		n, store := bareLayers(t, dtypes.Float32)
		var exec *model.Exec
		if own {
			a, err := newAdam(n, store, TrainConfig{}, map[string]group{"dense1": {factor: 1}, "logits": {factor: 1}})
			if err != nil {
				t.Fatal(err)
			}
			if err := a.setRate(3e-3); err != nil {
				t.Fatal(err)
			}
			exec = withGivenGradients(t, store, a.UpdateGraph)
		} else {
			exec = withGivenGradients(t, store, optimizer.Adam().LearningRate(3e-3).Done().UpdateGraph)
		}
		rng := rand.New(rand.NewPCG(61, 62))
		for range 20 {
			exec.MustCall(randomArray(rng, 3, 4).tensor(dtypes.Float32), randomArray(rng, 4).tensor(dtypes.Float32))
		}
		after = append(after, fmt.Sprintf("%x %x", value(store, "/dense1/weights"), value(store, "/logits/bias")))
	}
	if after[0] != after[1] {
		t.Errorf("weights after 20 steps\n%s\nby GoMLX\n%s", after[0], after[1])
	}
}

// plainTraining is a training of the tiny network without dropout, so that steps on equal cubes are equal.
func plainTraining(t *testing.T, change func(*TrainConfig)) *training {
	t.Helper()
	spec := tiny()
	for i := range spec.Stages {
		if c := spec.Stages[i].Conv; c != nil {
			c.Dropout = 0
		} else {
			spec.Stages[i].Pool.Dropout = 0
		}
	}
	spec.Dense[0].Dropout = 0
	cfg := tinyConfig()
	change(&cfg)
	tr, err := newTraining(openGo(t), spec, cfg, tinyData(spec.Input), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	return tr
}

// batchesOf returns the first batches of the tiny data, each time new.
func batchesOf(t *testing.T, numbers ...int) []train.Batch {
	t.Helper()
	var picked []train.Batch
	for _, n := range numbers {
		ds, err := tinyData(14).Epoch(1)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for b := range ds.Iter() {
			if i == n {
				picked = append(picked, b)
				break
			}
			i++
		}
	}
	return picked
}

func makeSteps(t *testing.T, tr *training, batches []train.Batch) {
	t.Helper()
	for _, b := range batches {
		if _, err := tr.step(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.learner.flush(); err != nil {
		t.Fatal(err)
	}
}

func weightsOf(t *testing.T, tr *training, names ...string) map[string][]float64 {
	t.Helper()
	values := map[string][]float64{}
	for _, l := range tr.network.layers {
		for _, name := range names {
			values[l.name+"/"+name] = value(tr.store, variablePath(l.name, name))
		}
	}
	return values
}

var learned = []string{varWeights, varBias, varScale, varOffset}

// The gradients of two batches, averaged, make one step: of two equal batches, exactly the step of one. What is left
// at the end makes a step of its own.
func TestAccumulatedBatchesAreOneStep(t *testing.T) {
	plain := plainTraining(t, func(*TrainConfig) {})
	makeSteps(t, plain, batchesOf(t, 0, 1))
	accumulated := plainTraining(t, func(c *TrainConfig) { c.Accumulate = 2 })
	makeSteps(t, accumulated, batchesOf(t, 0, 0, 1))
	want, got := weightsOf(t, plain, learned...), weightsOf(t, accumulated, learned...)
	for name, v := range want {
		for i := range v {
			if got[name][i] != v[i] {
				t.Errorf("%s[%d] is %g, by single steps %g", name, i, got[name][i], v[i])
				break
			}
		}
	}
	if s := value(accumulated.store, stepPath); s[0] != 2 {
		t.Errorf("three batches made %g steps", s[0])
	}
	for _, v := range accumulated.learner.adam.trained {
		for _, x := range fromTensor(v.accumulated.MustValue()).v {
			if x != 0 {
				t.Fatalf("gradients of %s/%s are left over", v.layer, v.name)
			}
		}
	}
}

// Of a loss that is a mean over rows, without normalisation between them, accumulated batches are one large batch.
func TestAccumulationEqualsALargeBatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(71, 72))
	x := randomArray(rng, 12, 4)
	var after [][]float64
	for _, parts := range []int{1, 3} {
		n, store := bareLayers(t, dtypes.Float64)
		a, err := newAdam(n, store, TrainConfig{Accumulate: parts, ClipNorm: 0.5}, map[string]group{"dense1": {factor: 1}, "logits": {factor: 1}})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.setRate(0.01); err != nil {
			t.Fatal(err)
		}
		e := openGo(t)
		batch := model.MustNewExec(e.Backend, store, func(scope *model.Scope, x *graph.Node) *graph.Node {
			g := x.Graph()
			y := graph.Tanh(productT(x, store.GetVariable("/dense1/weights").NodeValue(g)))
			loss := graph.ReduceAllMean(graph.Square(graph.AddScalar(y, -0.3)))
			a.UpdateGraph(scope, g, loss)
			return loss
		})
		step := model.MustNewExec(e.Backend, store, func(_ *model.Scope, count *graph.Node) *graph.Node { return a.updateFromAccumulated(count) })
		for range 3 {
			for p := range parts {
				rows := 12 / parts
				part := &array{dims: []int{rows, 4}, v: x.v[p*rows*4 : (p+1)*rows*4]}
				batch.MustCall(part.tensor(dtypes.Float64))
			}
			if parts > 1 {
				step.MustCall(tensors.FromScalar(float64(parts)))
			}
		}
		after = append(after, value(store, "/dense1/weights"))
		batch.Finalize()
		step.Finalize()
	}
	golden.NearAll(t, "weights", after[1], after[0], 1e-12)
}

// The first step of Adam moves each value by the learning rate, up or down: so each layer shows its own.
func TestLearningRatesByLayer(t *testing.T) {
	tr := plainTraining(t, func(c *TrainConfig) { c.LearningRates = map[string]float64{"conv*": 0.5, "logits": 4} })
	before := weightsOf(t, tr, varWeights)
	makeSteps(t, tr, batchesOf(t, 0))
	after := weightsOf(t, tr, varWeights)
	for layer, factor := range map[string]float64{"conv1": 0.5, "conv2": 0.5, "dense1": 1, "logits": 4} {
		var largest float64
		for i, v := range after[layer+"/"+varWeights] {
			largest = max(largest, math.Abs(v-before[layer+"/"+varWeights][i]))
		}
		golden.Near(t, "largest move of "+layer, largest/(factor*3e-3), 1, 1e-3)
	}
}

func TestSchedules(t *testing.T) {
	base := TrainConfig{Batch: 4, MaxEpochs: 9, Patience: 9, LearningRate: 0.1}
	for name, c := range map[string]struct {
		schedule Schedule
		want     []float64
	}{
		"none":             {Schedule{}, []float64{0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}},
		"warm-up":          {Schedule{Kind: "constant", WarmupEpochs: 3}, []float64{0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}},
		"step":             {Schedule{Kind: "step", StepEpochs: 3, Factor: 0.5}, []float64{0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025}},
		"step with floor":  {Schedule{Kind: "step", StepEpochs: 2, Floor: 0.005}, []float64{0.1, 0.1, 0.01, 0.01, 0.005, 0.005, 0.005, 0.005, 0.005}},
		"exponential":      {Schedule{Kind: "exponential", WarmupEpochs: 1, Factor: 0.5}, []float64{0.05, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125, 0.0015625, 0.00078125}},
		"cosine":           {Schedule{Kind: "cosine", Floor: 0.02}, []float64{0.1, 0.09758770483143635, 0.09064177772475912, 0.08, 0.06694592710667722, 0.053054072893322785, 0.04000000000000001, 0.029358222275240882, 0.02241229516856367}},
		"cosine, warmed":   {Schedule{Kind: "cosine", WarmupEpochs: 6}, []float64{0.1 / 7, 0.2 / 7, 0.3 / 7, 0.4 / 7, 0.5 / 7, 0.6 / 7, 0.1, 0.075, 0.025}},
		"cosine of 1 left": {Schedule{Kind: "cosine", WarmupEpochs: 8}, []float64{0.1 / 9, 0.2 / 9, 0.3 / 9, 0.4 / 9, 0.5 / 9, 0.6 / 9, 0.7 / 9, 0.8 / 9, 0.1}},
	} {
		cfg := base
		cfg.Schedule = c.schedule
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, want := range c.want {
			golden.Near(t, fmt.Sprintf("%s: epoch %d", name, i+1), cfg.rate(i+1), want, 1e-15)
		}
	}
}
