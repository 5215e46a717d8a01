package cnn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/engine"
)

// winogradWithGradients goes from and to the layout of the oracle, [channels, depth, cubes, height, width].
func winogradWithGradients(first bool, pool int) func(in []*graph.Node) []*graph.Node {
	return func(in []*graph.Node) []*graph.Node {
		x := graph.TransposeAllAxes(in[0], 1, 0, 3, 2, 4)
		groups := convolveWinograd(x, in[1], pool, &queue{}, first)
		depth := in[2].Shape().Dimensions[1]
		planes := make([]*graph.Node, depth)
		for i, group := range phases(depth, pool) {
			for j, z := range group {
				planes[z] = cutAxis(groups[i], 0, j, j+1)
			}
		}
		y := graph.TransposeAllAxes(join(planes, 0), 1, 0, 3, 2, 4)
		loss := graph.ReduceAllSum(graph.Mul(y, in[2]))
		if first {
			return []*graph.Node{y, graph.Gradient(loss, in[1])[0]}
		}
		g := graph.Gradient(loss, in[0], in[1])
		return []*graph.Node{y, g[1], g[0]}
	}
}

func TestWinogradEqualsDirectConvolution(t *testing.T) {
	b := openGo(t).Backend
	limit := maxPointValues
	t.Cleanup(func() { maxPointValues = limit })
	rng := rand.New(rand.NewPCG(21, 22))
	for trial := range 20 {
		k := []int{2, 3, 5, 3, 7}[trial%5]
		maxPointValues = []int{limit, 1, 5000}[trial%3] // one slab, one point at a time, a few
		c, o, n := 1+rng.IntN(4), 1+rng.IntN(5), 1+rng.IntN(3)
		d, h, w := k+1+rng.IntN(14), k+rng.IntN(6), k+rng.IntN(6)
		pool := 1 + rng.IntN(min(3, d-k+1))
		name := fmt.Sprintf("k%d_%dto%d_%dcubes_%dx%dx%d_pool%d", k, c, o, n, d, h, w, pool)
		x, wt := randomArray(rng, c, d, n, h, w), randomArray(rng, o, c, k, k, k)
		v := randomArray(rng, o, d-k+1, n, h-k+1, w-k+1)
		y, dx, dw := convolveOracle(x, wt, v)
		for dt, tolerance := range map[dtypes.DType]float64{dtypes.Float32: 1e-5, dtypes.Float64: 1e-12} {
			for _, first := range []bool{false, true} {
				got := run(t, b, dt, winogradWithGradients(first, pool), x, wt, v)
				for i, want := range []*array{y, dw, dx}[:len(got)] {
					if e := relativeError(got[i], want); e > tolerance {
						t.Errorf("%s %s first=%t: %s differs by %.2e relative", name, dt, first, []string{"output", "weight gradient", "input gradient"}[i], e)
					}
				}
			}
		}
	}
}

// The matrices alone, with the plain definition of a convolution along one axis as their oracle.
func TestWinogradMatricesAreAConvolution(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	times := func(m [][]float64, x []float64) []float64 {
		y := make([]float64, len(m))
		for i, row := range m {
			for j, v := range row {
				y[i] += v * x[j]
			}
		}
		return y
	}
	for k := 2; k < winogradPoints; k++ {
		for size := k; size < 50; size += 1 + rng.IntN(3) {
			x, g := randomArray(rng, size).v, randomArray(rng, k).v
			b, w, a := winogradMatrices(size, k)
			if plain := (size - k + 1) * k; len(b) > plain && size > k {
				t.Errorf("size %d, kernel %d: %d products, plainly %d", size, k, len(b), plain)
			}
			points, weights := times(b, x), times(w, g)
			for i := range points {
				points[i] *= weights[i]
			}
			for i, got := range times(a, points) {
				var want float64
				for j, v := range g {
					want += v * x[i+j]
				}
				if math.Abs(got-want) > 1e-11 {
					t.Fatalf("size %d, kernel %d: output %d is %g, not %g", size, k, i, got, want)
				}
			}
		}
	}
}

// Sums of the study's length: the second convolution's 1728 products an output, the positions of a small volume.
func TestWinogradIsExactEnoughInFloat32(t *testing.T) {
	b := openGo(t).Backend
	rng := rand.New(rand.NewPCG(25, 26))
	x, w := randomArray(rng, 64, 16, 1, 5, 5), randomArray(rng, 8, 64, 3, 3, 3)
	v := randomArray(rng, 8, 14, 1, 3, 3)
	y, dx, dw := convolveOracle(x, w, v)
	got := run(t, b, dtypes.Float32, winogradWithGradients(false, 3), x, w, v)
	for i, want := range []*array{y, dw, dx} {
		e := relativeError(got[i], want)
		t.Logf("result %d: %.1e", i, e)
		if e > 1e-5 {
			t.Errorf("result %d differs by %.2e relative", i, e)
		}
	}
}

func TestWinogradFits(t *testing.T) {
	for _, c := range []struct {
		kernel, depth int
		fits          bool
	}{{1, 9, false}, {3, 46, true}, {3, 3, false}, {7, 9, true}, {8, 20, false}} {
		if got := winogradFits(c.kernel, c.depth); got != c.fits {
			t.Errorf("kernel %d, depth %d: %t", c.kernel, c.depth, got)
		}
	}
}

func TestPhases(t *testing.T) {
	for _, c := range []struct {
		depth, k int
		want     [][]int
	}{
		{3, 1, [][]int{{0, 1, 2}}},
		{8, 3, [][]int{{0, 3}, {1, 4}, {2, 5}, {6, 7}}},
		{4, 2, [][]int{{0, 2}, {1, 3}}},
	} {
		if got := phases(c.depth, c.k); !slices.EqualFunc(got, c.want, slices.Equal[[]int]) {
			t.Errorf("phases(%d, %d) = %v", c.depth, c.k, got)
		}
	}
}

// planesForm is the plan of the form under test, columnsForm that of the other, which has an oracle of its own.
var (
	planesForm  = plan{settings: engine.Settings{Lowering: engine.Winograd}}
	columnsForm = plan{settings: engine.Settings{Lowering: engine.Columns}}
)

// All forms of a network give the same logits, and in training the same loss, gradients and running averages, whichever
// layers are frozen with theirs: none, one above a layer that learns, all up to one.
func TestEveryFormEqualsColumnsForm(t *testing.T) {
	tileNarrowLayers(t)
	most := maxPartValues
	t.Cleanup(func() { maxPartValues = most })
	maxPartValues = 20_000 // few cubes in a part
	e := openGo(t)
	specs := map[string]Spec{"every layer": everyLayer()}
	mixed := everyLayer()
	mixed.InputPool = 1
	mixed.Input = 15
	mixed.Stages = []Stage{{Conv: &Conv{Filters: 3, Kernel: 3}}, {Conv: &Conv{Filters: 4, Kernel: 1}}, {Pool: &Pool{Size: 3}},
		{Conv: &Conv{Filters: 5, Kernel: 3}}, {Conv: &Conv{Filters: 2, Kernel: 2}}}
	specs["mixed"] = mixed
	forms := map[string]plan{"planes": planesForm, "native": {settings: engine.Settings{Lowering: engine.Native}}, "ONNX Runtime's": onnxForm}
	for name, spec := range specs {
		for _, cubes := range []int{3, 8} {
			for _, frozen := range [][]string{nil, {"conv2"}, {"conv1", "conv2"}} {
				wanted := trainingResults(t, e, spec, columnsForm, cubes, frozen)
				for form, p := range forms {
					got := trainingResults(t, e, spec, p, cubes, frozen)
					if len(got) != len(wanted) {
						t.Fatalf("%s, %s: %d results, not %d", form, name, len(got), len(wanted))
					}
					for i, want := range wanted {
						if d := relativeError(got[i], want); d > 1e-10 {
							t.Errorf("%s, %s, %d cubes, frozen %v: result %d (logits, loss, gradients, averages) differs by %.2e relative",
								form, name, cubes, frozen, i, d)
						}
					}
				}
			}
		}
	}
}

// trainingResults returns a network's logits for prediction, the loss in training, the gradients of all weights and
// the running averages after a step, in float64. Some of its scales are negative. The layers in frozen do not learn and
// keep their running averages.
func trainingResults(t *testing.T, e *engine.Engine, spec Spec, p plan, size int, frozen []string) []*array {
	t.Helper()
	n, err := newNetwork(spec, p)
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	defer store.Finalize()
	randomWeights(t, n, store, dtypes.Float64)
	freezeLayers(t, n, store, frozen)
	for v := range store.IterVariables() {
		if v.Name() == varScale {
			tensors.MustMutableFlatData(v.MustValue(), func(flat []float64) { flat[0] *= -1 })
		}
	}
	rng := rand.New(rand.NewPCG(27, 28))
	cubes, dead := randomArray(rng, size, spec.Input, spec.Input, spec.Input, 1), newArray(size, 1)
	dead.v[0] = 1
	predict := model.MustNewExec(e.Backend, store, func(scope *model.Scope, x *graph.Node) *graph.Node {
		return n.logits(scope.Store(), x, false)
	})
	defer predict.Finalize()
	logits, err := predict.Call1(cubes.tensor(dtypes.Float64))
	if err != nil {
		t.Fatal(err)
	}
	results := []*array{fromTensor(logits)}
	step := model.MustNewExec(e.Backend, store, func(scope *model.Scope, in []*graph.Node) []*graph.Node {
		train.AddMainLoss(TrainConfig{}.lossOf(in[1:], []*graph.Node{n.logits(scope.Store(), in[0], true)}))
		loss := train.TotalLoss(in[0].Graph())
		return append([]*graph.Node{loss}, scope.BuildTrainableVariablesGradientsGraph(loss)...)
	})
	defer step.Finalize()
	out, err := step.Call(cubes.tensor(dtypes.Float64), dead.tensor(dtypes.Float64))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		results = append(results, fromTensor(o))
	}
	for _, l := range n.layers {
		for _, name := range []string{varMean, varVariance} {
			results = append(results, fromTensor(store.GetVariable(variablePath(l.name, name)).MustValue()))
		}
	}
	return results
}

// freezeLayers has layers not learn and keep their running averages.
func freezeLayers(t *testing.T, n *network, store *model.Store, layers []string) {
	t.Helper()
	groups, err := TrainConfig{Freeze: layers}.groups(n.layers)
	if err != nil {
		t.Fatal(err)
	}
	n.freeze(groups, true)
	for _, l := range layers {
		for _, name := range []string{varWeights, varBias, varScale, varOffset} {
			store.GetVariable(variablePath(l, name)).SetTrainable(false)
		}
	}
}

// Two trainings in the form of planes, with dropout, end with equal bits.
func TestPlanesFormIsDeterministic(t *testing.T) {
	b := openGo(t).Backend
	e := &engine.Engine{Backend: b, Name: "go", Settings: planesForm.settings}
	spec := everyLayer()
	spec.Stages[0].Conv.Dropout = 0.25
	cubes, dead := blobs(3, 6, spec.Input)
	values := func() []string {
		tr, err := newTraining(e, spec, DefaultTrainConfig(), Data{Tune: cubes, TuneDead: dead}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		ds := &batches{cubes: cubes, dead: dead, size: 3, edge: spec.Input}
		for batch := range ds.Iter() {
			if _, err := tr.step(batch); err != nil {
				t.Fatal(err)
			}
		}
		logits, err := tr.scorer.logits(context.Background(), cubes)
		if err != nil {
			t.Fatal(err)
		}
		all := []string{fmt.Sprint(logits)}
		for v := range tr.store.IterVariables() {
			if tr.network.isWeight(v.Path()) {
				all = append(all, v.Path()+" "+fmt.Sprint(v.MustValue().Value()))
			}
		}
		return all
	}
	one, two := values(), values()
	slices.Sort(one)
	slices.Sort(two)
	for i := range one {
		if one[i] != two[i] {
			t.Errorf("two runs differ: %.90s... and %.90s...", one[i], two[i])
		}
	}
}
