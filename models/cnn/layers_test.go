package cnn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// checkGradient compares a graph's gradient with central differences in float64, for every value of every input.
func checkGradient(t *testing.T, name string, loss func(in []*graph.Node) *graph.Node, in ...*array) {
	t.Helper()
	b := openGo(t).Backend
	exec, err := graph.NewExec(b, func(nodes []*graph.Node) []*graph.Node {
		l := loss(nodes)
		l.AssertScalar()
		return append([]*graph.Node{l}, graph.Gradient(l, nodes...)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	call := func() []*tensors.Tensor {
		args := make([]any, len(in))
		for i, a := range in {
			args[i] = a.tensor(dtypes.Float64)
		}
		out, err := exec.Call(args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var grads []*array
	for _, g := range call()[1:] {
		grads = append(grads, fromTensor(g))
	}
	const h = 1e-5
	for i, a := range in {
		want := newArray(a.dims...)
		for j := range a.v {
			value := a.v[j]
			a.v[j] = value + h
			up := tensors.ToScalar[float64](call()[0])
			a.v[j] = value - h
			down := tensors.ToScalar[float64](call()[0])
			a.v[j] = value
			want.v[j] = (up - down) / (2 * h)
		}
		if e := relativeError(grads[i], want); e > 1e-6 {
			t.Errorf("%s: gradient of input %d differs from differences by %.2e relative", name, i, e)
		}
	}
}

// weighted makes a scalar that depends on every value of the nodes, none of them alike.
func weighted(nodes ...*graph.Node) *graph.Node {
	var sum *graph.Node
	for _, n := range nodes {
		w := graph.AddScalar(graph.Sin(graph.IotaFull(n.Graph(), n.Shape())), 0.3)
		s := graph.ReduceAllSum(graph.Mul(n, w))
		if sum == nil {
			sum = s
		} else {
			sum = graph.Add(sum, s)
		}
	}
	return sum
}

func TestGradientsPassFiniteDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	checkGradient(t, "convolution", func(in []*graph.Node) *graph.Node {
		return weighted(graph.Square(convolveColumns(in[0], in[1], &queue{}, false)))
	}, randomArray(rng, 2, 4, 2, 5, 3), randomArray(rng, 3, 2, 2, 2, 2))
	checkGradient(t, "max pool", func(in []*graph.Node) *graph.Node {
		return weighted(graph.Square(maxPoolAxes(in[0], 2, 1, 3, 4)))
	}, randomArray(rng, 2, 5, 2, 4, 4))
	checkGradient(t, "mean pool", func(in []*graph.Node) *graph.Node {
		return weighted(graph.Square(meanPool(in[0], 2)))
	}, randomArray(rng, 2, 5, 4, 4))
	checkGradient(t, "dense", func(in []*graph.Node) *graph.Node {
		return weighted(graph.Square(product(in[0], in[1])))
	}, randomArray(rng, 3, 5), randomArray(rng, 5, 4))
	checkGradient(t, "leaky ReLU", func(in []*graph.Node) *graph.Node {
		return weighted(graph.Square(activateTraining(in[0], 0.1, 0, nil)))
	}, randomArray(rng, 3, 7))
	mask := make([]float64, 3*7)
	for i := range mask {
		mask[i] = rng.Float64()
	}
	checkGradient(t, "leaky ReLU and dropout with a fixed mask", func(in []*graph.Node) *graph.Node {
		random := graph.Reshape(graph.Const(in[0].Graph(), mask), 3, 7)
		return weighted(graph.Square(activateTraining(in[0], 0.1, 0.4, random)))
	}, randomArray(rng, 3, 7))
	norm := func(penalty bool) func(in []*graph.Node) *graph.Node {
		return func(in []*graph.Node) *graph.Node {
			r := normaliseTraining(in[:2], normLayer{scale: in[2], offset: in[3], bias: in[4]}, 1e-3, 0.3, 3)
			out := weighted(graph.Square(r.parts[0]), graph.Square(r.parts[1]))
			if penalty {
				out = graph.Add(out, graph.Square(r.penalty))
			}
			return out
		}
	}
	for name, penalty := range map[string]bool{"batch normalisation": false, "batch normalisation with activity penalty": true} {
		checkGradient(t, name, norm(penalty), randomArray(rng, 3, 2, 2), randomArray(rng, 3, 5, 1),
			randomArray(rng, 3), randomArray(rng, 3), randomArray(rng, 3))
	}
	checkGradient(t, "loss", func(in []*graph.Node) *graph.Node {
		dead := graph.Const(in[0].Graph(), [][]float64{{1}, {0}, {0}})
		return TrainConfig{}.lossOf([]*graph.Node{dead}, []*graph.Node{in[0]})
	}, randomArray(rng, 3, 2))
}

// The plain definition of batch normalisation, in loops.
func TestNormaliseTrainingEqualsPlainLoops(t *testing.T) {
	b := openGo(t).Backend
	rng := rand.New(rand.NewPCG(13, 14))
	parts := []*array{randomArray(rng, 4, 3, 2), randomArray(rng, 4, 5)}
	scale, offset, bias := randomArray(rng, 4), randomArray(rng, 4), randomArray(rng, 4)
	const epsilon, l2, cubes = 1e-3, 0.7, 3
	for dt, tolerance := range map[dtypes.DType]float64{dtypes.Float32: 1e-5, dtypes.Float64: 1e-13} {
		got := run(t, b, dt, func(in []*graph.Node) []*graph.Node {
			r := normaliseTraining(in[:2], normLayer{scale: in[2], offset: in[3], bias: in[4]}, epsilon, l2, cubes)
			return append(r.parts, r.mean, r.variance, r.penalty)
		}, parts[0], parts[1], scale, offset, bias)
		mean, variance, penalty := newArray(4), newArray(4), newArray()
		want := []*array{newArray(4, 3, 2), newArray(4, 5), mean, variance, penalty}
		for c := range 4 {
			var values []float64
			for _, p := range parts {
				n := len(p.v) / 4
				for _, v := range p.v[c*n : (c+1)*n] {
					values = append(values, v+bias.v[c])
				}
			}
			for _, v := range values {
				mean.v[c] += v / float64(len(values))
				penalty.v[0] += l2 / cubes * v * v
			}
			for _, v := range values {
				variance.v[c] += (v - mean.v[c]) * (v - mean.v[c]) / float64(len(values))
			}
			for i, p := range parts {
				n := len(p.v) / 4
				for j := c * n; j < (c+1)*n; j++ {
					want[i].v[j] = scale.v[c]*(p.v[j]+bias.v[c]-mean.v[c])/math.Sqrt(variance.v[c]+epsilon) + offset.v[c]
				}
			}
		}
		for i, w := range want {
			if e := relativeError(got[i], w); e > tolerance {
				t.Errorf("%s: result %d differs by %.2e relative", dt, i, e)
			}
		}
	}
}

// Dropout keeps the right share and scales what it keeps.
func TestDropout(t *testing.T) {
	b := openGo(t).Backend
	const n = 200_000
	for _, drop := range []float64{0.25, 0.5, 0.1} {
		state, err := graph.RNGStateFromSeed(5)
		if err != nil {
			t.Fatal(err)
		}
		exec := graph.MustNewExec(b, func(state *graph.Node) *graph.Node {
			_, random := graph.RandomUniform(state, shapes.Make(dtypes.Float32, n))
			return activateTraining(graph.Ones(state.Graph(), random.Shape()), 0.1, drop, random)
		})
		kept := 0
		for _, v := range fromTensor(exec.MustCall(state)[0]).v {
			switch {
			case v == float64(float32(1/(1-drop))):
				kept++
			case v != 0:
				t.Fatalf("dropout %g: value %g is neither 0 nor 1/(1-p)", drop, v)
			}
		}
		share := float64(kept) / n
		if sd := math.Sqrt(drop * (1 - drop) / n); math.Abs(share-(1-drop)) > 5*sd {
			t.Errorf("dropout %g keeps a share of %.4f", drop, share)
		}
		exec.Finalize()
	}
}

func TestMeanPoolEqualsPlainLoops(t *testing.T) {
	b := openGo(t).Backend
	rng := rand.New(rand.NewPCG(15, 16))
	x := randomArray(rng, 2, 7, 6, 5)
	want := newArray(2, 3, 3, 2)
	i := 0
	for n := range 2 {
		for z := range 3 {
			for y := range 3 {
				for xx := range 2 {
					for k := range 8 {
						want.v[i] += x.v[((n*7+2*z+k/4)*6+2*y+k/2%2)*5+2*xx+k%2] / 8
					}
					i++
				}
			}
		}
	}
	got := run(t, b, dtypes.Float64, func(in []*graph.Node) []*graph.Node { return []*graph.Node{meanPool(in[0], 2)} }, x)
	if e := relativeError(got[0], want); e > 1e-14 {
		t.Errorf("mean pool differs by %.2e", e)
	}
}
