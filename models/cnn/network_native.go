package cnn

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// maxPartValues bounds the largest layer of one part of a batch (48 MiB in float32) on ONNX Runtime: its parts are
// done one after the other, and what the work on one part needs besides the results is given back for the next.
var maxPartValues = 12 << 20

// cutNative averages the input and cuts it into parts [cubes, 1, depth, height, width].
func (b *builder) cutNative(x *graph.Node) {
	edge := b.spec.Input
	x = graph.Reshape(x, b.cubes, edge, edge, edge)
	count := 1
	if b.plan.isONNX() {
		largest := 0
		shapes, err := b.spec.Shapes()
		if err != nil {
			panic(err)
		}
		for _, s := range shapes {
			largest = max(largest, s.Channels*s.Edge*s.Edge*s.Edge)
		}
		size := max(1, maxPartValues/largest)
		count = (b.cubes + size - 1) / size
	}
	for i := range count {
		p := meanPool(cutAxis(x, 0, i*b.cubes/count, (i+1)*b.cubes/count), b.spec.InputPool)
		dims := p.Shape().Dimensions
		b.parts = append(b.parts, graph.Reshape(p, dims[0], 1, dims[1], dims[2], dims[3]))
	}
}

// stagesNative builds the convolutions and pools of the native form.
func (b *builder) stagesNative() {
	stages := b.spec.Stages
	for i := 0; i < len(stages); i++ {
		if p := stages[i].Pool; p != nil {
			for j, part := range b.parts {
				b.parts[j] = maxPoolNative(part, p.Size)
			}
			b.activateNative(1, p.Dropout)
			continue
		}
		after := b.after(b.spec.LeakySlope, stages[i].Conv.Dropout)
		if after.drop == 0 && i+1 < len(stages) && stages[i+1].Pool != nil {
			after = b.after(b.spec.LeakySlope, stages[i+1].Pool.Dropout)
			after.pool = stages[i+1].Pool.Size
			i++
		}
		b.convolutionNative(after)
	}
}

// after returns an activation with dropout; in prediction without.
func (b *builder) after(slope, drop float64) afterNorm {
	if !b.training {
		drop = 0
	}
	return afterNorm{pool: 1, slope: slope, drop: drop, keep: func(like *graph.Node) *graph.Node {
		return hashedMask(like, b.key(), 1-drop)
	}}
}

// key draws a new uint32 [2].
func (b *builder) key() *graph.Node {
	halves := graph.MulScalar(b.store.RandomUniform(b.g, shapes.Make(dtypes.Float32, 2, 2)), 1<<16)
	halves = graph.ConvertDType(halves, dtypes.Uint32)
	high, low := graph.Slice(halves, graph.AxisElem(0)), graph.Slice(halves, graph.AxisElem(1))
	return graph.Reshape(graph.Add(graph.MulScalar(high, 1<<16), low), 2)
}

// convolutionNative builds one convolution with its normalisation and what follows.
func (b *builder) convolutionNative(after afterNorm) {
	l := b.next()
	w, norm := b.node(l.name, varWeights), b.norm(l.name)
	w.AssertDims(b.weightDims(l)...)
	if b.observe != nil {
		defer func() { b.observe(l.name, b.parts) }()
	}
	b.stopBelow()
	s := &sequence{}
	convolve := b.plan.inPrecision(func(x, w *graph.Node) *graph.Node {
		return b.plan.convolveNative(x, w, b.layer-1 <= b.lowest, s)
	})
	ys := make([]*graph.Node, len(b.parts))
	if !b.training || b.fixed[l.name] {
		factor, constant := foldNorm(norm, b.spec.NormEpsilon)
		w = graph.Mul(w, perOutput(factor))
		for i, p := range b.parts {
			y := maxPoolNative(convolve(p, w), after.pool)
			ys[i] = graph.Add(y, perChannel(constant, y))
		}
		b.parts = ys
		b.activateNative(after.slope, after.drop)
		return
	}
	var sign *graph.Node
	if after.pool > 1 {
		sign = signs(norm.scale)
		w = graph.Mul(w, perOutput(sign))
	}
	inputs := b.parts
	for i, p := range inputs {
		ys[i] = convolve(p, w)
	}
	// The study's first convolution makes the network's second largest layer of a hundredth of its products.
	var again func(i int, v *graph.Node) *graph.Node
	if b.plan.isONNX() && after.pool == 1 && inputs[0].Shape().Dimensions[1] == 1 {
		again = func(i int, v *graph.Node) *graph.Node {
			late := graph.SchedulingBarrier(graph.StopGradient(w), v)
			return engineConvolution(inputs[i], late, kernelOptions{})
		}
	}
	b.normalised(l, normaliseNative(ys, again, norm, sign, after, b.spec.NormEpsilon, b.spec.ActivityL2, b.cubes))
}

// perOutput reshapes a vector [out] to go with weights [out, in, k, k, k].
func perOutput(v *graph.Node) *graph.Node { return graph.Reshape(v, -1, 1, 1, 1, 1) }

// activateNative applies leaky ReLU and, in training, dropout to all parts.
func (b *builder) activateNative(slope, drop float64) {
	after := b.after(slope, drop)
	for i, p := range b.parts {
		if !b.training {
			b.parts[i] = leaky(p, slope)
			continue
		}
		var y *graph.Node
		b.parts[i] = withGradient([]*graph.Node{p},
			func(in []*graph.Node) []*graph.Node {
				y = after.activate(in[0])
				return []*graph.Node{y}
			},
			func(_, v []*graph.Node) []*graph.Node { return []*graph.Node{after.slopes(v[0], y)} })[0]
	}
}

// flattenNative joins the parts into one of shape [features, cubes]; see flatten.
func (b *builder) flattenNative() {
	all := join(b.parts, 0)
	cubes := all.Shape().Dimensions[0]
	b.parts = []*graph.Node{graph.Reshape(graph.TransposeAllAxes(all, 2, 3, 4, 1, 0), -1, cubes)}
}
