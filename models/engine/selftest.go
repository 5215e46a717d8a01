package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	timage "github.com/gomlx/gomlx/core/tensors/images"
)

// Test is what the self-test of an engine has found: a three-dimensional convolution with both its gradients.
type Test struct {
	// Error is the largest difference from the same sums in float64, over values and both gradients, each relative to
	// the largest of its kind.
	Error float64 `json:"error"`

	// GFLOPs is the speed of a larger one, forward and both gradients together, in 10^9 additions and multiplications a
	// second. It is a rough figure: the networks' own operations are chosen and measured in package cnn.
	GFLOPs float64 `json:"gflops"`

	// Seconds is what the test took, compilation included.
	Seconds float64 `json:"seconds"`
}

// testTolerance is what Test.Error may be: float32 sums of 10^2 products come to 10^-6, TF32's to 10^-3.
const (
	testTolerance     = 1e-4
	testToleranceTF32 = 5e-3
	testSpeedFor      = time.Second
)

// convolution is the size of a convolution without padding: the cube's side, channels in and out, the kernel's side.
type convolution struct{ cubes, side, in, out, kernel int }

func (c convolution) outSide() int { return c.side - c.kernel + 1 }

// flops counts the forward pass: one multiplication and one addition for each weight and output position.
func (c convolution) flops() float64 {
	positions, taps := math.Pow(float64(c.outSide()), 3), math.Pow(float64(c.kernel), 3)
	return 2 * float64(c.cubes) * positions * taps * float64(c.in) * float64(c.out)
}

// Shapes, channels first: x is [cubes, in, side, side, side], the weights [out, in, kernel, kernel, kernel], y
// [cubes, out, outSide, outSide, outSide].
func (c convolution) xShape() []int { return []int{c.cubes, c.in, c.side, c.side, c.side} }
func (c convolution) wShape() []int { return []int{c.out, c.in, c.kernel, c.kernel, c.kernel} }
func (c convolution) yShape() []int {
	return []int{c.cubes, c.out, c.outSide(), c.outSide(), c.outSide()}
}

// smallTest runs the smallest computation there is.
func smallTest(e *Engine) (err error) {
	defer recovered(&err)
	out, err := graph.CallOnce(e.Backend, func(x *graph.Node) *graph.Node { return graph.ReduceAllSum(graph.Mul(x, x)) }, []float32{3, 4})
	if err != nil {
		return err
	}
	if got := out.Value().(float32); got != 25 {
		return fmt.Errorf("3*3 + 4*4 comes out as %v", got)
	}
	return nil
}

// selfTest checks the engine's convolution and measures its speed.
func selfTest(e *Engine) (t *Test, err error) {
	defer recovered(&err)
	start := time.Now()
	t = &Test{}
	if t.Error, err = checkConvolution(e, testGraph); err != nil {
		return nil, err
	}
	if t.GFLOPs, err = testSpeed(e); err != nil {
		return nil, err
	}
	t.Seconds = time.Since(start).Seconds()
	return t, nil
}

// graphOf makes the function that computes a convolution and its gradients on an engine (see testGraph).
type graphOf func(e *Engine, c convolution) func(x, w, r *graph.Node) []*graph.Node

// checkConvolution compares the engine with the sums in float64 and returns the largest relative difference.
func checkConvolution(e *Engine, build graphOf) (largest float64, err error) {
	small := convolution{cubes: 2, side: 7, in: 3, out: 5, kernel: 3}
	rng := rand.New(rand.NewPCG(1, 2))
	x, w, r := randoms(rng, small.xShape()), randoms(rng, small.wShape()), randoms(rng, small.yShape())
	exec, err := graph.NewExec(e.Backend, build(e, small))
	if err != nil {
		return 0, err
	}
	defer exec.Finalize()
	got, err := exec.Call(tensors.FromFlatDataAndDimensions(x, small.xShape()...),
		tensors.FromFlatDataAndDimensions(w, small.wShape()...), tensors.FromFlatDataAndDimensions(r, small.yShape()...))
	if err != nil {
		return 0, err
	}
	tolerance := testTolerance
	if e.Name == XLACUDA || e.Name == ONNXCUDA {
		tolerance = testToleranceTF32
	}
	y, dx, dw := small.direct(x, w, r)
	for k, want := range [][]float64{y, dx, dw} {
		off, most := 0.0, 0.0
		if err := tensors.ConstFlatData(got[k], func(flat []float32) {
			for i, v := range flat {
				off, most = math.Max(off, math.Abs(float64(v)-want[i])), math.Max(most, math.Abs(want[i])) // Max keeps NaN
			}
		}); err != nil {
			return 0, err
		}
		if off /= most; !(off < tolerance) {
			what := []string{"values", "gradient with respect to the input", "gradient with respect to the weights"}[k]
			return off, fmt.Errorf("the %s of a convolution are off by %.2g of the largest, %.2g is allowed", what, off, tolerance)
		}
		largest = math.Max(largest, off)
	}
	return largest, nil
}

// testSpeed repeats a convolution of the size that matters for about a second.
func testSpeed(e *Engine) (float64, error) {
	large := convolution{cubes: 2, side: 22, in: 64, out: 64, kernel: 3}
	exec, err := graph.NewExec(e.Backend, testGraph(e, large))
	if err != nil {
		return 0, err
	}
	defer exec.Finalize()
	rng := rand.New(rand.NewPCG(3, 4))
	in := []any{tensors.FromFlatDataAndDimensions(randoms(rng, large.xShape()), large.xShape()...),
		tensors.FromFlatDataAndDimensions(randoms(rng, large.wShape()), large.wShape()...),
		tensors.FromFlatDataAndDimensions(randoms(rng, large.yShape()), large.yShape()...)}
	best := math.Inf(1)
	for start, n := time.Now(), 0; n < 2 || time.Since(start) < testSpeedFor; n++ { // the first compiles
		begin := time.Now()
		out, err := exec.Call(in...)
		if err != nil {
			return 0, err
		}
		for _, o := range out {
			if err := tensors.ConstFlatData(o, func([]float32) {}); err != nil { // wait for it
				return 0, err
			}
		}
		if n > 0 {
			best = math.Min(best, time.Since(begin).Seconds())
		}
		for _, o := range out {
			if err := o.FinalizeAll(); err != nil {
				return 0, err
			}
		}
	}
	return 3 * large.flops() / best / 1e9, nil
}

// testGraph computes, from x, the weights and r of y's shape, the convolution y and the gradients of sum(y*r) with
// respect to x and the weights.
func testGraph(e *Engine, c convolution) func(x, w, r *graph.Node) []*graph.Node {
	return func(x, w, r *graph.Node) []*graph.Node {
		var y *graph.Node
		if e.Name == Go { // its own convolution is a scalar loop
			y = c.products(x, w)
		} else {
			y = graph.Convolve(x, w).ChannelsAxis(timage.ChannelsFirst).NoPadding().Done()
		}
		y.AssertDims(c.yShape()...)
		g := graph.Gradient(graph.ReduceAllSum(graph.Mul(y, r)), x, w)
		return []*graph.Node{y, g[0], g[1]}
	}
}

// products is the convolution as a product of the weights with the shifted views of x.
func (c convolution) products(x, w *graph.Node) *graph.Node {
	n := c.outSide()
	x = graph.TransposeAllAxes(x, 1, 0, 2, 3, 4) // [in, cubes, side, side, side]
	var columns []*graph.Node
	for dz := range c.kernel {
		for dy := range c.kernel {
			for dx := range c.kernel {
				shifted := graph.Slice(x, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(dz, dz+n), graph.AxisRange(dy, dy+n), graph.AxisRange(dx, dx+n))
				columns = append(columns, graph.Reshape(shifted, c.in, c.cubes*n*n*n))
			}
		}
	}
	taps := len(columns)
	flat := graph.Reshape(graph.TransposeAllAxes(graph.Reshape(w, c.out, c.in, taps), 0, 2, 1), c.out, taps*c.in)
	y := graph.DotGeneral(flat, []int{1}, nil, graph.Concatenate(columns, 0), []int{0}, nil)
	return graph.TransposeAllAxes(graph.Reshape(y, c.out, c.cubes, n, n, n), 1, 0, 2, 3, 4)
}

// direct is the convolution and both gradients of sum(y*r), sum by sum in float64.
func (c convolution) direct(x, w, r []float32) (y, dx, dw []float64) {
	n, k := c.outSide(), c.kernel
	y, dx, dw = make([]float64, len(r)), make([]float64, len(x)), make([]float64, len(w))
	for b := range c.cubes {
		for o := range c.out {
			for p := range n * n * n {
				at := (b*c.out+o)*n*n*n + p
				z, row, column := p/(n*n), p/n%n, p%n
				for i := range c.in {
					for t := range k * k * k {
						xi := (((b*c.in+i)*c.side+z+t/(k*k))*c.side+row+t/k%k)*c.side + column + t%k
						wi := (o*c.in+i)*k*k*k + t
						y[at] += float64(x[xi]) * float64(w[wi])
						dx[xi] += float64(r[at]) * float64(w[wi])
						dw[wi] += float64(r[at]) * float64(x[xi])
					}
				}
			}
		}
	}
	return y, dx, dw
}

func randoms(rng *rand.Rand, shape []int) []float32 {
	out := make([]float32, size(shape))
	for i := range out {
		out[i] = rng.Float32()*2 - 1
	}
	return out
}

// recovered turns a panic of GoMLX, while a graph is built, into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		cause, ok := r.(error)
		if !ok {
			cause = fmt.Errorf("%v", r)
		}
		*err = cause
	}
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
