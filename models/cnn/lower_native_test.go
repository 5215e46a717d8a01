package cnn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/engine"
)

// onEveryNativeEngine runs a test with the native lowering on each engine that opens here.
func onEveryNativeEngine(t *testing.T, test func(t *testing.T, e *engine.Engine)) {
	for _, name := range []string{"go", "onnx", "onnx:cuda", "xla:cpu", "xla:cuda"} {
		t.Run(name, func(t *testing.T) {
			e, err := engine.OpenWith(name, engine.Settings{Lowering: engine.Native})
			if err != nil {
				t.Skipf("not usable here: %v", err)
			}
			t.Cleanup(e.Close)
			test(t, e)
		})
	}
}

// onnxForm is the form of a network for ONNX Runtime; the pure-Go engine can run it too, in float64.
var onnxForm = plan{engine: "onnx"}

// tileNarrowLayers has tests of a few channels use tiles.
func tileNarrowLayers(t *testing.T) {
	least := minTiledChannels
	t.Cleanup(func() { minTiledChannels = least })
	minTiledChannels = 2
}

// nativeConvolution with gradients, from and to the layout of the oracle: [channels, depth, cubes, height, width].
func convolveNativeWithGradients(p plan, in []*graph.Node) []*graph.Node {
	y := p.convolveNative(graph.TransposeAllAxes(in[0], 2, 0, 1, 3, 4), in[1], false, &sequence{})
	y = graph.TransposeAllAxes(y, 1, 2, 0, 3, 4)
	g := graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[2])), in[0], in[1])
	return []*graph.Node{y, g[0], g[1]}
}

// randomConvolution draws odd sizes; with k=3 the number of output planes is often no multiple of a tile's.
func randomConvolution(rng *rand.Rand, k int) (name string, x, w, v *array) {
	c, o, n := 1+rng.IntN(4), 2+rng.IntN(5), 1+rng.IntN(3)
	d, h, wd := k+rng.IntN(9), k+rng.IntN(7), k+rng.IntN(8)
	return fmt.Sprintf("k%d_%dto%d_%dcubes_%dx%dx%d", k, c, o, n, d, h, wd), randomArray(rng, c, d, n, h, wd),
		randomArray(rng, o, c, k, k, k), randomArray(rng, o, d-k+1, n, h-k+1, wd-k+1)
}

func TestNativeConvolutionEqualsDirectConvolution(t *testing.T) {
	tileNarrowLayers(t)
	onEveryNativeEngine(t, func(t *testing.T, e *engine.Engine) {
		rng := rand.New(rand.NewPCG(51, 52))
		for trial := range 10 {
			name, x, w, v := randomConvolution(rng, []int{3, 2, 3, 5, 1}[trial%5])
			y, dx, dw := convolveOracle(x, w, v)
			got := run(t, e.Backend, dtypes.Float32, func(in []*graph.Node) []*graph.Node {
				return convolveNativeWithGradients(planOf(e), in)
			}, x, w, v)
			for i, want := range []*array{y, dx, dw} {
				if d := relativeError(got[i], want); d > 1e-5 {
					t.Errorf("%s: %s differs by %.2e relative", name, []string{"output", "input gradient", "weight gradient"}[i], d)
				}
			}
		}
	})
}

// The same sums as on ONNX Runtime, whose convolution has no float64, in that precision.
func TestTilesAreExact(t *testing.T) {
	tileNarrowLayers(t)
	b := openGo(t).Backend
	rng := rand.New(rand.NewPCG(53, 54))
	tiled := 0
	for trial := range 8 {
		name, x, w, v := randomConvolution(rng, []int{3, 3, 3, 2}[trial%4])
		y, dx, dw := convolveOracle(x, w, v)
		got := run(t, b, dtypes.Float64, func(in []*graph.Node) []*graph.Node {
			if depthTiles(w.dims[2], w.dims[1], w.dims[0], v.dims[1]) > 0 {
				tiled++
			}
			return convolveNativeWithGradients(onnxForm, in)
		}, x, w, v)
		for i, want := range []*array{y, dx, dw} {
			if d := relativeError(got[i], want); d > 1e-12 {
				t.Errorf("%s: result %d differs by %.2e relative", name, i, d)
			}
		}
	}
	if tiled < 2 {
		t.Errorf("only %d convolutions were done in tiles", tiled)
	}
}

func TestNativeMaxPoolEqualsPlainLoops(t *testing.T) {
	onEveryNativeEngine(t, func(t *testing.T, e *engine.Engine) {
		rng := rand.New(rand.NewPCG(55, 56))
		for trial := range 6 {
			k := 1 + trial%3
			x := randomArray(rng, 1+rng.IntN(3), k+rng.IntN(6), 1+rng.IntN(3), k+rng.IntN(6), k+rng.IntN(6))
			ties := trial >= 4
			if ties { // few different values
				for i := range x.v {
					x.v[i] = math.Round(x.v[i])
				}
			}
			v := randomArray(rng, x.dims[0], x.dims[1]/k, x.dims[2], x.dims[3]/k, x.dims[4]/k)
			y, dx := maxPoolOracle(x, v, k)
			got := run(t, e.Backend, dtypes.Float32, func(in []*graph.Node) []*graph.Node {
				p := graph.TransposeAllAxes(in[0], 2, 0, 1, 3, 4)
				y := graph.TransposeAllAxes(maxPoolNative(p, k), 1, 2, 0, 3, 4)
				g := maxPoolGradient(p, graph.TransposeAllAxes(in[1], 2, 0, 1, 3, 4), k)
				return []*graph.Node{y, graph.TransposeAllAxes(g, 1, 2, 0, 3, 4)}
			}, x, v)
			if ties { // whichever place of a box has its gradient, all of it is at one of the greatest values
				dx, got[1] = boxSums(dx, x, y, k), boxSums(got[1], x, y, k)
			}
			for i, want := range []*array{y, dx} {
				if d := relativeError(got[i], want); d > 1e-6 {
					t.Errorf("pool %d of %v, ties %t: result %d differs by %.2e", k, x.dims, ties, i, d)
				}
			}
		}
	})
}

// boxSums adds up g, of x's shape, over the places of each box of k^3 that hold its maximum y, and adds as a last number
// the sum of what is elsewhere.
func boxSums(g, x, y *array, k int) *array {
	sums := newArray(len(y.v) + 1)
	d, n, h, w := x.dims[1], x.dims[2], x.dims[3], x.dims[4]
	for i, v := range g.v {
		c, z, b, yy, xx := i/(d*n*h*w), i/(n*h*w)%d/k, i/(h*w)%n, i/w%h/k, i%w/k
		at := len(y.v)
		if z < y.dims[1] && yy < y.dims[3] && xx < y.dims[4] {
			if box := (((c*y.dims[1]+z)*n+b)*y.dims[3]+yy)*y.dims[4] + xx; x.v[i] == y.v[box] {
				at = box
			}
		}
		sums.v[at] += math.Abs(v)
	}
	return sums
}

// Normalisation with pool, activation and dropout, in one function with one gradient.
func TestNormaliseNativePassesFiniteDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(57, 58))
	for _, after := range []afterNorm{
		{pool: 1, slope: 1},
		{pool: 1, slope: 0.1},
		{pool: 2, slope: 1},
		{pool: 1, slope: 0.2, drop: 0.4},
		{pool: 2, slope: 0.2, drop: 0.4},
	} {
		for _, penalty := range []bool{false, true} {
			after.keep = func(like *graph.Node) *graph.Node {
				key := graph.Const(like.Graph(), []uint32{1, 2})
				return hashedMask(like, key, 1-after.drop)
			}
			checkGradient(t, fmt.Sprintf("%+v, penalty %t", after, penalty), func(in []*graph.Node) *graph.Node {
				l := normLayer{scale: in[2], offset: in[3], bias: in[4]}
				parts := []*graph.Node{in[0], in[1]}
				var sign *graph.Node
				if after.pool > 1 {
					sign = signs(l.scale)
					parts = []*graph.Node{graph.Mul(in[0], perChannel(sign, in[0])), graph.Mul(in[1], perChannel(sign, in[1]))}
				}
				r := normaliseNative(parts, nil, l, sign, after, 1e-3, 0.3, 3)
				out := weighted(graph.Square(r.parts[0]), graph.Square(r.parts[1]))
				if penalty {
					out = graph.Add(out, graph.Square(r.penalty))
				}
				return out
			}, randomArray(rng, 1, 4, 2, 4, 3), randomArray(rng, 2, 4, 2, 4, 3), randomArray(rng, 4), randomArray(rng, 4), randomArray(rng, 4))
		}
	}
}

// A mask of the native form keeps the right share, differs from key to key, and has no pattern along an axis.
func TestHashedMask(t *testing.T) {
	onEveryNativeEngine(t, func(t *testing.T, e *engine.Engine) {
		const rows, columns = 300, 1000
		mask := func(drop float64, a, b uint32) []float64 {
			return run(t, e.Backend, dtypes.Float32, func(in []*graph.Node) []*graph.Node {
				return []*graph.Node{hashedMask(in[0], graph.Const(in[0].Graph(), []uint32{a, b}), 1-drop)}
			}, newArray(3, rows/3, columns))[0].v
		}
		agree := func(name string, drop float64, x, y []float64) {
			same := 0.0
			for i, v := range x {
				if v != 0 && v != 1 {
					t.Fatalf("value %g is neither 0 nor 1", v)
				}
				if v == y[i] {
					same++
				}
			}
			n := float64(len(x))
			want := drop*drop + (1-drop)*(1-drop)
			if sd := math.Sqrt(want * (1 - want) / n); math.Abs(same/n-want) > 5*sd {
				t.Errorf("dropout %g: a share of %.4f is the same %s, expected %.4f", drop, same/n, name, want)
			}
		}
		for _, drop := range []float64{0.25, 0.5} {
			x := mask(drop, 7, 8)
			kept := 0.0
			for _, v := range x {
				kept += v
			}
			n := float64(len(x))
			if sd := math.Sqrt(drop * (1 - drop) / n); math.Abs(kept/n-(1-drop)) > 5*sd {
				t.Errorf("dropout %g keeps a share of %.4f", drop, kept/n)
			}
			agree("with another first key", drop, x, mask(drop, 9, 8))
			agree("with another second key", drop, x, mask(drop, 7, 9))
			for _, lag := range []int{1, 2, 50, columns, columns + 1, 100 * columns} {
				agree(fmt.Sprintf("%d values on", lag), drop, x[lag:], x[:len(x)-lag])
			}
			var squares []float64 // four corners of a rectangle, which a sum of rows and columns would tie together
			for i := columns; i < len(x); i++ {
				if i%columns > 0 {
					squares = append(squares, math.Mod(x[i]+x[i-1]+x[i-columns]+x[i-columns-1], 2))
				}
			}
			odd := 0.0
			for _, v := range squares {
				odd += v
			}
			want := (1 - math.Pow(2*drop-1, 4)) / 2
			if share := odd / float64(len(squares)); math.Abs(share-want) > 5*math.Sqrt(4*want*(1-want)/float64(len(squares))) {
				t.Errorf("dropout %g: a share of %.4f of the squares is odd, expected %.4f", drop, share, want)
			}
		}
	})
}

// lossAndGradients of a network in training, for a batch of blobs. The layers in frozen do not learn and keep their
// running averages.
func lossAndGradients(t *testing.T, e *engine.Engine, p plan, spec Spec, cubes int, frozen ...string) (names []string, values []*array) {
	t.Helper()
	n, err := newNetwork(spec, p)
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	defer store.Finalize()
	if err := n.initialise(store, 3, dtypes.Float32); err != nil {
		t.Fatal(err)
	}
	freezeLayers(t, n, store, frozen)
	// A scale below zero for some channels, offsets and biases not zero.
	rng := rand.New(rand.NewPCG(61, 62))
	for v := range store.IterVariables() {
		if name := v.Name(); name == varScale || name == varBias || name == varOffset {
			if err := fill(v.MustValue(), rng.NormFloat64); err != nil {
				t.Fatal(err)
			}
		}
	}
	x, dead := newArray(cubes, spec.Input, spec.Input, spec.Input, 1), newArray(cubes, 1)
	blob, outcomes := blobs(9, cubes, spec.Input)
	for i, c := range blob {
		for j, v := range c {
			x.v[i*len(c)+j] = float64(v)
		}
		if outcomes[i] {
			dead.v[i] = 1
		}
	}
	exec := model.MustNewExec(e.Backend, store, func(scope *model.Scope, in []*graph.Node) []*graph.Node {
		scope.Store().SetTraining(in[0].Graph(), true)
		z := n.logits(scope.Store(), in[0], true)
		train.AddMainLoss(TrainConfig{}.lossOf(in[1:], []*graph.Node{z}))
		loss := train.TotalLoss(in[0].Graph())
		names = []string{"logits", "loss"}
		for v := range store.IterVariables() {
			if v.Trainable && n.isWeight(v.Path()) {
				names = append(names, v.Path())
			}
		}
		return append([]*graph.Node{z, loss}, scope.BuildTrainableVariablesGradientsGraph(loss)...)
	})
	defer exec.Finalize()
	out, err := exec.Call(x.tensor(dtypes.Float32), dead.tensor(dtypes.Float32))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		values = append(values, fromTensor(o))
		o.MustFinalizeAll()
	}
	for v := range store.IterVariables() {
		if v.Name() == varMean || v.Name() == varVariance {
			names, values = append(names, v.Path()), append(values, fromTensor(v.MustValue()))
		}
	}
	return names, values
}

// Logits, loss, every gradient and the running averages of one training step are those of the pure-Go engine.
func TestFormsAgree(t *testing.T) {
	tileNarrowLayers(t)
	most := maxPartValues
	t.Cleanup(func() { maxPartValues = most })
	maxPartValues = 20_000 // two cubes in a part
	names, want := lossAndGradients(t, openGo(t), plan{}, everyLayer(), 3)
	// Of a layer between two that learn: it needs the gradient of its input alone.
	frozenNames, frozenWant := lossAndGradients(t, openGo(t), plan{}, everyLayer(), 3, "conv2")
	onEveryNativeEngine(t, func(t *testing.T, e *engine.Engine) {
		check := func(p plan, names []string, want []*array, frozen ...string) {
			t.Helper()
			here, got := lossAndGradients(t, e, p, everyLayer(), 3, frozen...)
			if !slices.Equal(here, names) {
				t.Fatalf("%+v, frozen %v: results %v, not %v", p, frozen, here, names)
			}
			for i, w := range want {
				if d := relativeError(got[i], w); d > 1e-4 {
					t.Errorf("%+v, frozen %v: %s differs by %.2e relative", p, frozen, names[i], d)
				}
			}
		}
		for _, lowering := range []string{engine.Native, engine.Winograd} {
			p := plan{engine: e.Name, settings: engine.Settings{Lowering: lowering}}
			if p.check() == nil {
				check(p, names, want)
			}
		}
		p := plan{engine: e.Name, settings: engine.Settings{Lowering: engine.Columns}}
		if p.check() != nil {
			p.settings.Lowering = engine.Native
		}
		check(p, frozenNames, frozenWant, "conv2")
	})
}

func TestLoweringsOfONNXRuntime(t *testing.T) {
	for _, lowering := range []string{engine.Columns, engine.Winograd} {
		var setting *engine.SettingError
		_, err := newNetwork(everyLayer(), plan{engine: engine.ONNX, settings: engine.Settings{Lowering: lowering}})
		if !errors.As(err, &setting) || setting.Field != "lowering" {
			t.Errorf("%s: error %v", lowering, err)
		}
	}
	for _, lowering := range []string{"", engine.Auto, engine.Native} {
		p := plan{engine: engine.ONNX, settings: engine.Settings{Lowering: lowering}}
		if err := p.check(); err != nil || !p.native() {
			t.Errorf("%q: native %t, error %v", lowering, p.native(), err)
		}
	}
}

func TestNativePredictionEqualsPlainLoops(t *testing.T) {
	tileNarrowLayers(t)
	onEveryNativeEngine(t, func(t *testing.T, e *engine.Engine) { checkPrediction(t, e) })
}

// Two trainings of a few steps end with equal bytes.
func TestNativeStepsAreRepeatable(t *testing.T) {
	onEveryNativeEngine(t, func(t *testing.T, e *engine.Engine) {
		spec := tiny()
		if planOf(e).isONNX() { // whose threads share larger work only
			spec = Small()
		}
		cubes, dead := blobs(1, 8, spec.Input)
		cfg := DefaultTrainConfig()
		cfg.Batch = len(cubes)
		var sums []string
		var first, last float64
		for range 2 {
			s, err := NewStepper(e, spec, cfg)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				ds := &batches{cubes: cubes, dead: dead, size: len(cubes), edge: spec.Input}
				for batch := range ds.Iter() {
					if last, err = s.Step(batch); err != nil {
						t.Fatal(err)
					}
				}
				if i == 0 {
					first = last
				}
			}
			sum, err := s.Sum()
			if err != nil {
				t.Fatal(err)
			}
			sums = append(sums, sum)
			s.Close()
		}
		if sums[0] != sums[1] {
			t.Error("two trainings differ")
		}
		if !(last < first) {
			t.Errorf("the loss goes from %g to %g", first, last)
		}
	})
}
