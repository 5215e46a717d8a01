package cnn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// array is a dense float64 array for the oracles.
type array struct {
	dims []int
	v    []float64
}

func newArray(dims ...int) *array {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return &array{dims: dims, v: make([]float64, n)}
}

func randomArray(rng *rand.Rand, dims ...int) *array {
	a := newArray(dims...)
	for i := range a.v {
		a.v[i] = rng.NormFloat64()
	}
	return a
}

func (a *array) tensor(dt dtypes.DType) *tensors.Tensor {
	t := tensors.FromShape(shapes.Make(dt, a.dims...))
	t.MustMutableFlatData(func(flat any) {
		switch f := flat.(type) {
		case []float32:
			for i, v := range a.v {
				f[i] = float32(v)
			}
		case []float64:
			copy(f, a.v)
		}
	})
	return t
}

func fromTensor(t *tensors.Tensor) *array {
	a := newArray(t.Shape().Dimensions...)
	t.MustConstFlatData(func(flat any) {
		switch f := flat.(type) {
		case []float32:
			for i, v := range f {
				a.v[i] = float64(v)
			}
		case []float64:
			copy(a.v, f)
		}
	})
	return a
}

// run executes a graph function on arrays in the given data type.
func run(t testing.TB, b compute.Backend, dt dtypes.DType, fn func(in []*graph.Node) []*graph.Node, in ...*array) []*array {
	t.Helper()
	exec, err := graph.NewExec(b, fn)
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	args := make([]any, len(in))
	for i, a := range in {
		args[i] = a.tensor(dt)
	}
	outs, err := exec.Call(args...)
	if err != nil {
		t.Fatal(err)
	}
	arrays := make([]*array, len(outs))
	for i, o := range outs {
		arrays[i] = fromTensor(o)
		o.MustFinalizeAll()
	}
	return arrays
}

// relativeError is the greatest difference, relative to the greatest absolute value of want.
func relativeError(got, want *array) float64 {
	if fmt.Sprint(got.dims) != fmt.Sprint(want.dims) {
		return math.Inf(1)
	}
	var diff, scale float64
	for i, w := range want.v {
		diff = max(diff, math.Abs(got.v[i]-w))
		scale = max(scale, math.Abs(w))
	}
	if math.IsNaN(diff) {
		return math.Inf(1)
	}
	return diff / max(scale, 1e-300)
}

// convolveOracle is the convolution written as plain loops, with the gradients of sum(y*v) by the chain rule.
func convolveOracle(x, w, v *array) (y, dx, dw *array) {
	c, d, n, h, wd := x.dims[0], x.dims[1], x.dims[2], x.dims[3], x.dims[4]
	o, k := w.dims[0], w.dims[2]
	y = newArray(o, d-k+1, n, h-k+1, wd-k+1)
	dx, dw = newArray(x.dims...), newArray(w.dims...)
	i := 0
	for oo := range o {
		for z := range d - k + 1 {
			for b := range n {
				for yy := range h - k + 1 {
					for xx := range wd - k + 1 {
						for cc := range c {
							for kz := range k {
								for ky := range k {
									for kx := range k {
										xi := (((cc*d+z+kz)*n+b)*h+yy+ky)*wd + xx + kx
										wi := (((oo*c+cc)*k+kz)*k+ky)*k + kx
										y.v[i] += x.v[xi] * w.v[wi]
										dx.v[xi] += v.v[i] * w.v[wi]
										dw.v[wi] += v.v[i] * x.v[xi]
									}
								}
							}
						}
						i++
					}
				}
			}
		}
	}
	return y, dx, dw
}

func convolveWithGradients(in []*graph.Node) []*graph.Node {
	y := convolveColumns(in[0], in[1], &queue{}, false)
	g := graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[2])), in[0], in[1])
	return []*graph.Node{y, g[0], g[1]}
}

func TestConvolveEqualsDirectConvolution(t *testing.T) {
	b := openGo(t).Backend
	rng := rand.New(rand.NewPCG(1, 2))
	tried := map[lowering]int{}
	for trial := range 24 {
		k := []int{1, 2, 3, 5}[trial%4]
		c, o, n := 1+rng.IntN(4), 1+rng.IntN(5), 1+rng.IntN(3)
		if trial%3 == 0 {
			o = 40 + rng.IntN(60) // wide enough to build columns the tight way
		}
		d, h, w := k+rng.IntN(6), k+rng.IntN(7), k+rng.IntN(8)
		name := fmt.Sprintf("k%d_%dto%d_%dcubes_%dx%dx%d", k, c, o, n, d, h, w)
		x, wt := randomArray(rng, c, d, n, h, w), randomArray(rng, o, c, k, k, k)
		v := randomArray(rng, o, d-k+1, n, h-k+1, w-k+1)
		y, dx, dw := convolveOracle(x, wt, v)
		for dt, tolerance := range map[dtypes.DType]float64{dtypes.Float32: 1e-4, dtypes.Float64: 1e-12} {
			got := run(t, b, dt, func(in []*graph.Node) []*graph.Node {
				tried[newConvolution(in[0], in[1]).lowering]++
				return convolveWithGradients(in)
			}, x, wt, v)
			for i, want := range []*array{y, dx, dw} {
				if e := relativeError(got[i], want); e > tolerance {
					t.Errorf("%s %s: %s differs by %.2e relative", name, dt, []string{"output", "input gradient", "weight gradient"}[i], e)
				}
			}
		}
	}
	if len(tried) != 3 {
		t.Errorf("not all three ways to build columns were tried: %v", tried)
	}
}

func TestConvolveInSlabsIsTheSame(t *testing.T) {
	b := openGo(t).Backend
	columns, keep := maxColumnValues, keepColumnValues
	t.Cleanup(func() { maxColumnValues, keepColumnValues = columns, keep })
	rng := rand.New(rand.NewPCG(5, 6))
	for _, out := range []int{2, 5, 60} {
		x, w := randomArray(rng, 3, 9, 2, 7, 6), randomArray(rng, out, 3, 3, 3, 3)
		v := randomArray(rng, out, 7, 2, 5, 4)
		y, dx, dw := convolveOracle(x, w, v)
		for _, limit := range []int{1, 9000, 16000} {
			maxColumnValues, keepColumnValues = limit, limit
			got := run(t, b, dtypes.Float64, convolveWithGradients, x, w, v)
			for i, want := range []*array{y, dx, dw} {
				if e := relativeError(got[i], want); e > 1e-12 {
					t.Errorf("%d channels out, %d column values at a time: result %d differs by %.2e relative", out, limit, i, e)
				}
			}
		}
	}
}

// maxPoolOracle is the pool as plain loops; the gradient goes to the first maximum, width before height before depth.
func maxPoolOracle(x, v *array, k int) (y, dx *array) {
	c, d, n, h, w := x.dims[0], x.dims[1], x.dims[2], x.dims[3], x.dims[4]
	y, dx = newArray(c, d/k, n, h/k, w/k), newArray(x.dims...)
	i := 0
	for cc := range c {
		for z := range d / k {
			for b := range n {
				for yy := range h / k {
					for xx := range w / k {
						best, at := math.Inf(-1), 0
						for kx := range k {
							for ky := range k {
								for kz := range k {
									p := (((cc*d+z*k+kz)*n+b)*h+yy*k+ky)*w + xx*k + kx
									if x.v[p] > best {
										best, at = x.v[p], p
									}
								}
							}
						}
						y.v[i] = best
						dx.v[at] += v.v[i]
						i++
					}
				}
			}
		}
	}
	return y, dx
}

func TestMaxPoolEqualsPlainLoops(t *testing.T) {
	b := openGo(t).Backend
	rng := rand.New(rand.NewPCG(7, 8))
	for trial := range 12 {
		k := 1 + trial%3
		x := randomArray(rng, 1+rng.IntN(3), k+rng.IntN(6), 1+rng.IntN(3), k+rng.IntN(6), k+rng.IntN(6))
		if trial >= 6 { // few different values: many ties
			for i := range x.v {
				x.v[i] = math.Round(x.v[i])
			}
		}
		v := randomArray(rng, x.dims[0], x.dims[1]/k, x.dims[2], x.dims[3]/k, x.dims[4]/k)
		y, dx := maxPoolOracle(x, v, k)
		got := run(t, b, dtypes.Float64, func(in []*graph.Node) []*graph.Node {
			y := maxPoolAxes(in[0], k, 1, 3, 4)
			return append([]*graph.Node{y}, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[1])), in[0])...)
		}, x, v)
		if e := relativeError(got[0], y); e != 0 {
			t.Errorf("pool %d of %v: values differ by %.2e", k, x.dims, e)
		}
		if e := relativeError(got[1], dx); e != 0 {
			t.Errorf("pool %d of %v: gradient differs by %.2e", k, x.dims, e)
		}
	}
}
