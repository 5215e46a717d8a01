package cnn

import (
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"

	"hounsfield/models/engine"
)

// This file has convolution and pooling by the engine's own kernels, for the native form of a network (see network_native.go):
// a part is [cubes, channels, depth, height, width].

// isONNX tells whether the engine is ONNX Runtime.
func (p plan) isONNX() bool { return strings.HasPrefix(p.engine, "onnx") }

// native tells whether convolutions and pools are the engine's own.
func (p plan) native() bool {
	switch p.settings.Lowering {
	case engine.Native:
		return true
	case engine.Columns, engine.Winograd:
		return false
	}
	return p.isONNX() || p.engine == engine.XLACUDA
}

// kernelOptions are those of a convolution by the engine; nil and 0 are no padding, no dilation, one group.
type kernelOptions struct {
	pads      [][2]int // zeros before and after each spatial axis
	dilations []int    // distance of the kernel's taps along each spatial axis
	groups    int      // the channels are cut into so many groups, each with its own outputs
}

// engineConvolution is the engine's convolution of x [batch, in, spatial...] with w [out, in/groups, spatial...].
func engineConvolution(x, w *graph.Node, o kernelOptions) *graph.Node {
	return engineConvolutionOf(x, w, [2]int{0, 1}, [2]int{0, 1}, [2]int{0, 1}, o)
}

// engineConvolutionOf is engineConvolution with other meanings of the first two axes: which of them is batch and which
// in of x, out and in of w, batch and out of the result.
func engineConvolutionOf(x, w *graph.Node, ofX, ofW, ofY [2]int, o kernelOptions) *graph.Node {
	rank := x.Rank()
	spatial := make([]int, rank-2)
	ones := make([]int, rank-2)
	for i := range spatial {
		spatial[i], ones[i] = i+2, 1
	}
	axes := compute.ConvolveAxesConfig{
		InputBatch: ofX[0], InputChannels: ofX[1], InputSpatial: spatial,
		KernelOutputChannels: ofW[0], KernelInputChannels: ofW[1], KernelSpatial: spatial,
		OutputBatch: ofY[0], OutputChannels: ofY[1], OutputSpatial: spatial,
	}
	pads, dilations := o.pads, o.dilations
	if pads == nil {
		pads = make([][2]int, rank-2)
	}
	if dilations == nil {
		dilations = ones
	}
	return graph.ConvGeneral(x, w, axes, ones, pads, nil, dilations, max(1, o.groups), 1)
}

// convolveNative is the valid convolution (cross-correlation, stride 1, no padding) of one part
// [cubes, in, depth, height, width] with weights [out, in, k, k, k]: [cubes, out, depth-k+1, height-k+1, width-k+1].
// The gradients are exact. first says that x needs no gradient. The parts of a layer share a sequence.
//
// The gradients are convolutions too. GoMLX's own are not used: with an even kernel the one of x is wrong (v0.28.8).
// XLA knows the plain forms of all three and chooses kernels and layouts itself. On ONNX Runtime, which is fast for
// wide products only, the gradient of the weights has another form, and where it is worth it half of the products are
// saved; see shiftedProducts and depthTiles.
func (p plan) convolveNative(x, weights *graph.Node, first bool, s *sequence) *graph.Node {
	weights.AssertDims(-1, x.Shape().Dimensions[1], -1, -1, -1)
	c := newNativeConvolution(x, weights)
	c.sequence = s
	if c.plain = !p.isONNX(); !c.plain {
		c.tiles = depthTiles(c.k, c.in, c.out, c.depthO)
	}
	out := withGradient([]*graph.Node{x, weights},
		func(in []*graph.Node) []*graph.Node { return []*graph.Node{c.forward(in[0], in[1])} },
		func(in, v []*graph.Node) []*graph.Node { return c.gradients(in[0], in[1], v[0], first) })
	return out[0]
}

// sequence lets the parts of a layer take turns in the backward pass. ONNX Runtime would first do what all parts need for
// the weights' gradient, which an update waits for, and keep it all for the gradients of the inputs.
type sequence struct{ done []*graph.Node }

// next returns a small x that is there once the turn before is over.
func (s *sequence) next(x *graph.Node) *graph.Node {
	if len(s.done) == 0 {
		return x
	}
	return graph.SchedulingBarrier(x, s.done...)
}

// nativeConvolution holds the sizes of one convolution of one part.
type nativeConvolution struct {
	cubes, in, out, k       int
	depth, height, width    int  // of the input
	depthO, heightO, widthO int  // of the output
	plain                   bool // as the textbook has it
	tiles                   int  // along the depth, 0 for none; see depthTiles
	sequence                *sequence
}

func newNativeConvolution(x, weights *graph.Node) nativeConvolution {
	xs, ws := x.Shape().Dimensions, weights.Shape().Dimensions
	c := nativeConvolution{cubes: xs[0], in: xs[1], depth: xs[2], height: xs[3], width: xs[4], out: ws[0], k: ws[2]}
	c.depthO, c.heightO, c.widthO = c.depth-c.k+1, c.height-c.k+1, c.width-c.k+1
	return c
}

func (c nativeConvolution) forward(x, weights *graph.Node) *graph.Node {
	if c.tiles > 0 {
		return c.forwardTiles(x, weights)
	}
	return engineConvolution(x, weights, kernelOptions{})
}

// gradients returns those with respect to x (nil if first) and weights.
func (c nativeConvolution) gradients(x, weights, v *graph.Node, first bool) []*graph.Node {
	if c.tiles > 0 {
		return c.gradientsTiles(x, weights, v, first)
	}
	grads := []*graph.Node{nil, c.weightGradient(x, v)}
	if !first {
		pad := [2]int{c.k - 1, c.k - 1}
		grads[0] = engineConvolutionOf(v, graph.Reverse(weights, 2, 3, 4), [2]int{0, 1}, [2]int{1, 0}, [2]int{0, 1},
			kernelOptions{pads: [][2]int{pad, pad, pad}})
	}
	return grads
}

// weightGradient is the convolution of x with v where cubes are the channels and channels the batch. On ONNX Runtime it
// takes the shifts along the depth one by one; see shiftedProducts.
func (c nativeConvolution) weightGradient(x, v *graph.Node) *graph.Node {
	if c.plain {
		return engineConvolutionOf(x, v, [2]int{1, 0}, [2]int{1, 0}, [2]int{1, 0}, kernelOptions{})
	}
	if c.in == 1 {
		// [1, cubes, depth, height, width] and one group of outputs for each cube.
		x, v = graph.Reshape(x, 1, c.cubes, c.depth, c.height, c.width), graph.Reshape(v, -1, 1, c.depthO, c.heightO, c.widthO)
		g := engineConvolution(x, v, kernelOptions{groups: c.cubes})
		return graph.Reshape(c.sumCubes(g), c.out, 1, c.k, c.k, c.k)
	}
	last := c.channelsLast(x)
	var shifts []*graph.Node
	for dz := range c.k {
		shifts = append(shifts, graph.Reshape(c.shiftedProducts(cutAxis(last, 1, dz, dz+c.depthO), v), 1, -1))
	}
	return c.fromShifts(join(shifts, 0))
}

// channelsLast returns x as [cubes, depth, height*width*in].
func (c nativeConvolution) channelsLast(x *graph.Node) *graph.Node {
	return graph.Reshape(graph.TransposeAllAxes(x, 0, 2, 3, 4, 1), c.cubes, c.depth, -1)
}

// shiftedProducts returns, for every shift along height and width, the products of v [cubes, out, planes, heightO,
// widthO] with x [cubes, planes, height*width*in] added up over all cubes and positions: [out, k, k, in].
//
// It is one convolution of x with v as its kernel: planes are the channels, and lines of width*in values the width,
// along which v's taps lie in apart. Its output then has all channels of x for each shift side by side, which makes
// it a wide product (four times faster than with the channels of x as the batch).
func (c nativeConvolution) shiftedProducts(x, v *graph.Node) *graph.Node {
	planes := v.Shape().Dimensions[2]
	x = graph.Reshape(x, 1, c.cubes*planes, c.height, c.width*c.in)
	v = graph.Reshape(v, c.cubes*c.out, planes, c.heightO, c.widthO)
	return c.sumCubes(engineConvolution(x, v, kernelOptions{dilations: []int{1, c.in}, groups: c.cubes}))
}

// sumCubes adds up the groups of outputs: [1, cubes*out, ...] becomes [out, rest].
func (c nativeConvolution) sumCubes(g *graph.Node) *graph.Node {
	if c.cubes == 1 {
		return graph.Reshape(g, c.out, -1)
	}
	return graph.Reshape(graph.ReduceSum(graph.Reshape(g, c.cubes, -1), 0), c.out, -1)
}

// fromShifts turns [k, out*k*k*in] into weights [out, in, k, k, k].
func (c nativeConvolution) fromShifts(g *graph.Node) *graph.Node {
	return graph.TransposeAllAxes(graph.Reshape(g, c.k, c.out, c.k, c.k, c.in), 1, 4, 0, 2, 3)
}

// maxPoolNative is the maximum over disjoint boxes of k^3 positions of a part [cubes, channels, depth, height, width];
// positions at the end that fill no box are dropped. The gradient goes to one position of each box.
func maxPoolNative(x *graph.Node, k int) *graph.Node {
	if k == 1 {
		return x
	}
	window := []int{1, 1, k, k, k}
	return graph.BackendReduceWindow(x, compute.ReduceOpMax, window, window, nil, nil, nil)
}

// maxPoolGradient is the gradient of maxPoolNative at x for v.
func maxPoolGradient(x, v *graph.Node, k int) *graph.Node {
	if k == 1 {
		return v
	}
	x = graph.Identity(x)
	return graph.Gradient(graph.ReduceAllSum(graph.Mul(maxPoolNative(x, k), graph.StopGradient(v))), x)[0]
}
