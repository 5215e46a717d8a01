package cnn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/engine"
)

// everyLayer has every kind of layer, also an averaged input, an activation before a pool with dropout between,
// and one that is put after the pool.
func everyLayer() Spec {
	return Spec{
		Input: 27, InputPool: 2,
		Stages: []Stage{
			{Conv: &Conv{Filters: 2, Kernel: 3}},
			{Pool: &Pool{Size: 2}},
			{Conv: &Conv{Filters: 3, Kernel: 2}},
			{Pool: &Pool{Size: 2}},
		},
		Dense:      []Dense{{Units: 4}},
		LeakySlope: 0.1, NormMomentum: 0.8, NormEpsilon: 1e-3, ActivityL2: 1e-2,
	}
}

func TestSeedDecidesEveryFirstValue(t *testing.T) {
	n, err := newNetwork(tiny(), plan{})
	if err != nil {
		t.Fatal(err)
	}
	values := func(seed int64) map[string]string {
		store := model.NewStore()
		defer store.Finalize()
		if err := n.initialise(store, seed, dtypes.Float32); err != nil {
			t.Fatal(err)
		}
		v := map[string]string{}
		for variable := range store.IterVariables() {
			v[variable.Path()] = fmt.Sprint(variable.MustValue().Value())
		}
		return v
	}
	one, again, other := values(1), values(1), values(-1)
	drawn := []string{"/" + model.RNGStateVariableName}
	for _, l := range n.layers {
		drawn = append(drawn, variablePath(l.name, varWeights))
	}
	for _, path := range drawn {
		if one[path] == "" || one[path] != again[path] || one[path] == other[path] {
			t.Errorf("%s does not follow the seed", path)
		}
	}
}

// randomWeights fills a network's variables, the running averages too, with values that none of them starts with.
func randomWeights(t *testing.T, n *network, store *model.Store, dt dtypes.DType) {
	t.Helper()
	if err := n.initialise(store, 3, dt); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(31, 32))
	for v := range store.IterVariables() {
		if n.isWeight(v.Path()) {
			if err := fill(v.MustValue(), func() float64 { return 0.2 + rng.Float64() }); err != nil {
				t.Fatal(err)
			}
			if v.Name() == varWeights {
				if err := fill(v.MustValue(), func() float64 { return rng.NormFloat64() }); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// The whole network for prediction, as plain loops in float64 with the layout [depth, height, width, channel].
func oracleLogits(spec Spec, store *model.Store, cube []float64) [2]float64 {
	get := func(layer, name string) []float64 {
		return fromTensor(store.GetVariable(variablePath(layer, name)).MustValue()).v
	}
	norm := func(layer string, channel int, v float64) float64 {
		v += get(layer, varBias)[channel]
		v = (v - get(layer, varMean)[channel]) / math.Sqrt(get(layer, varVariance)[channel]+spec.NormEpsilon)
		return v*get(layer, varScale)[channel] + get(layer, varOffset)[channel]
	}
	leaky := func(v float64) float64 {
		if v < 0 {
			return spec.LeakySlope * v
		}
		return v
	}
	type field struct {
		edge, channels int
		v              []float64
	}
	at := func(f field, z, y, x, c int) *float64 { return &f.v[((z*f.edge+y)*f.edge+x)*f.channels+c] }
	make3 := func(edge, channels int) field {
		return field{edge, channels, make([]float64, edge*edge*edge*channels)}
	}
	each := func(edge int, f func(z, y, x int)) {
		for p := range edge * edge * edge {
			f(p/(edge*edge), p/edge%edge, p%edge)
		}
	}
	in := make3(spec.Input, 1)
	copy(in.v, cube)
	now := make3(spec.Input/spec.InputPool, 1)
	each(now.edge, func(z, y, x int) {
		each(spec.InputPool, func(dz, dy, dx int) {
			k := spec.InputPool
			*at(now, z, y, x, 0) += *at(in, z*k+dz, y*k+dy, x*k+dx, 0) / float64(k*k*k)
		})
	})
	convs := 0
	for _, st := range spec.Stages {
		if p := st.Pool; p != nil {
			next := make3(now.edge/p.Size, now.channels)
			each(next.edge, func(z, y, x int) {
				for c := range now.channels {
					best := math.Inf(-1)
					each(p.Size, func(dz, dy, dx int) {
						best = max(best, *at(now, z*p.Size+dz, y*p.Size+dy, x*p.Size+dx, c))
					})
					*at(next, z, y, x, c) = best
				}
			})
			now = next
			continue
		}
		convs++
		name, k := fmt.Sprintf("conv%d", convs), st.Conv.Kernel
		w := get(name, varWeights)
		next := make3(now.edge-k+1, st.Conv.Filters)
		each(next.edge, func(z, y, x int) {
			for o := range next.channels {
				var sum float64
				each(k, func(dz, dy, dx int) {
					for c := range now.channels {
						sum += w[(((o*now.channels+c)*k+dz)*k+dy)*k+dx] * *at(now, z+dz, y+dy, x+dx, c)
					}
				})
				*at(next, z, y, x, o) = leaky(norm(name, o, sum))
			}
		})
		now = next
	}
	values := now.v
	for i := range len(spec.Dense) + 1 {
		name := fmt.Sprintf("dense%d", i+1)
		if i == len(spec.Dense) {
			name = "logits"
		}
		w := get(name, varWeights)
		next := make([]float64, len(get(name, varBias)))
		for o := range next {
			for j, v := range values {
				next[o] += w[o*len(values)+j] * v
			}
			next[o] = norm(name, o, next[o])
			if name != "logits" {
				next[o] = leaky(next[o])
			}
		}
		values = next
	}
	return [2]float64{values[0], values[1]}
}

func TestPredictionEqualsPlainLoops(t *testing.T) { checkPrediction(t, openGo(t)) }

func checkPrediction(t *testing.T, e *engine.Engine) {
	t.Helper()
	spec := everyLayer()
	n, err := newNetwork(spec, plan{})
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	defer store.Finalize()
	randomWeights(t, n, store, dtypes.Float32)
	cubes, _ := blobs(8, 5, spec.Input)
	s, err := newScorer(e, spec, store)
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	got, err := s.logits(context.Background(), cubes)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cubes {
		cube := make([]float64, len(c))
		for j, v := range c {
			cube[j] = float64(v)
		}
		want := oracleLogits(spec, store, cube)
		for k := range want {
			if d := math.Abs(got[i][k] - want[k]); d > 1e-4*(1+math.Abs(want[k])) {
				t.Errorf("cube %d: logit %d is %g, by plain loops %g", i, k, got[i][k], want[k])
			}
		}
	}
}

// The gradient of the whole training loss, with the activity penalty, with respect to every variable.
func TestNetworkGradientPassesFiniteDifferences(t *testing.T) {
	e := openGo(t)
	spec := everyLayer()
	n, err := newNetwork(spec, plan{})
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	defer store.Finalize()
	randomWeights(t, n, store, dtypes.Float64)
	values, outcomes := blobs(9, 6, spec.Input)
	cubes, dead := newArray(6, 27, 27, 27, 1), newArray(6, 1)
	for i, c := range values {
		for j, v := range c {
			cubes.v[i*len(c)+j] = float64(v)
		}
		if outcomes[i] {
			dead.v[i] = 1
		}
	}
	var names []string
	exec := model.MustNewExec(e.Backend, store, func(scope *model.Scope, in []*graph.Node) []*graph.Node {
		g := in[0].Graph()
		train.AddMainLoss(TrainConfig{}.lossOf(in[1:], []*graph.Node{n.logits(scope.Store(), in[0], true)}))
		loss := train.TotalLoss(g)
		for v := range store.IterVariables() {
			if v.Trainable && n.isWeight(v.Path()) {
				names = append(names, v.Path())
			}
		}
		return append([]*graph.Node{loss}, scope.BuildTrainableVariablesGradientsGraph(loss)...)
	})
	defer exec.Finalize()
	call := func() []*tensors.Tensor {
		out, err := exec.Call(cubes.tensor(dtypes.Float64), dead.tensor(dtypes.Float64))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var grads []*array
	for _, g := range call()[1:] {
		grads = append(grads, fromTensor(g))
	}
	if len(grads) != len(names) || len(names) != 4*len(n.layers) {
		t.Fatalf("%d gradients for %d variables of %d layers", len(grads), len(names), len(n.layers))
	}
	rng := rand.New(rand.NewPCG(41, 42))
	const h = 1e-6
	for i, name := range names {
		value := store.GetVariable(name).MustValue()
		for range min(6, len(grads[i].v)) {
			at := rng.IntN(len(grads[i].v))
			shifted := func(by float64) float64 {
				tensors.MustMutableFlatData(value, func(flat []float64) { flat[at] += by })
				defer tensors.MustMutableFlatData(value, func(flat []float64) { flat[at] -= by })
				return tensors.ToScalar[float64](call()[0])
			}
			want := (shifted(h) - shifted(-h)) / (2 * h)
			if got := grads[i].v[at]; math.Abs(got-want) > 1e-6+1e-5*math.Abs(want) {
				t.Errorf("%s[%d]: gradient %g, by differences %g", name, at, got, want)
			}
		}
	}
}

// Running averages follow the batch with the given momentum, from 0 and 1.
func TestRunningAverages(t *testing.T) {
	e := openGo(t)
	spec := tiny()
	cfg := tinyConfig()
	data := tinyData(spec.Input)
	tr, err := newTraining(e, spec, cfg, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	before := fromTensor(tr.store.GetVariable(variablePath("conv1", varWeights)).MustValue())
	ds, err := data.Epoch(1)
	if err != nil {
		t.Fatal(err)
	}
	for batch := range ds.Iter() {
		x := fromTensor(batch.Inputs[0])
		if _, err := tr.step(batch); err != nil {
			t.Fatal(err)
		}
		// The batch's statistics of the first convolution, by plain loops.
		input := newArray(1, spec.Input, cfg.Batch, spec.Input, spec.Input)
		volume := spec.Input * spec.Input
		for b := range cfg.Batch {
			for z := range spec.Input {
				copy(input.v[(z*cfg.Batch+b)*volume:], x.v[(b*spec.Input+z)*volume:][:volume])
			}
		}
		y, _, _ := convolveOracle(input, before, newArray(4, 12, cfg.Batch, 12, 12))
		mean, variance := fromTensor(tr.store.GetVariable(variablePath("conv1", varMean)).MustValue()), fromTensor(tr.store.GetVariable(variablePath("conv1", varVariance)).MustValue())
		per := len(y.v) / 4
		for c := range 4 {
			var m, s float64
			for _, v := range y.v[c*per : (c+1)*per] {
				m += v / float64(per)
			}
			for _, v := range y.v[c*per : (c+1)*per] {
				s += (v - m) * (v - m) / float64(per)
			}
			if want := 0.2 * m; math.Abs(mean.v[c]-want) > 1e-5 {
				t.Errorf("channel %d: running mean %g, expected %g", c, mean.v[c], want)
			}
			if want := 0.8 + 0.2*s; math.Abs(variance.v[c]-want) > 1e-5 {
				t.Errorf("channel %d: running variance %g, expected %g", c, variance.v[c], want)
			}
		}
		break
	}
}

// A step of the small network, whose products are large enough for the engine to split them over threads.
func TestSmallStepIsTheSameForAnyThreads(t *testing.T) {
	threads := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(threads) })
	cubes, dead := blobs(1, 8, 50)
	var losses []float64
	for _, n := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(n)
		tr, err := newTraining(openGo(t), Small(), DefaultTrainConfig(), Data{Tune: cubes[:2], TuneDead: dead[:2]}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ds := &batches{cubes: cubes, dead: dead, size: 8, edge: 50}
		for range 2 {
			for batch := range ds.Iter() {
				l, err := tr.step(batch)
				if err != nil {
					t.Fatal(err)
				}
				losses = append(losses, l)
			}
		}
		tr.close()
	}
	for i := 2; i < len(losses); i++ {
		if losses[i] != losses[i-2] {
			t.Errorf("losses of two steps for 1, 2 and 5 threads: %v", losses)
			break
		}
	}
	if losses[0] == losses[1] {
		t.Error("a step changes nothing")
	}
}
