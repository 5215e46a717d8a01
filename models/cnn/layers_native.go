package cnn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// The layers of the native form. A part is [cubes, channels, positions...]. ONNX Runtime's costs (ns a value, two
// cores): a binary operation with a scalar or a value per channel 0.12, of two parts 0.26, a sum 0.08, a comparison
// 0.15, a choice (Where) 7: so nothing chooses, and masks are made by arithmetic.

// afterNorm is what follows a normalisation, in this order: the maximum over boxes of pool^3 (1: none), leaky ReLU
// with slope below zero (1: none), dropout of a share.
type afterNorm struct {
	pool  int
	slope float64
	drop  float64
	keep  func(like *graph.Node) *graph.Node // 1 where a value of like is kept and 0 where it is dropped
}

// normaliseNative is normaliseTraining followed by what after says, for parts [cubes, channels, depth, height, width].
//
// The pool comes first, since it commutes with an increasing function: only the batch's sums run over all positions.
// Where the scale is negative the normalisation decreases; sign [channels] then is -1, the weights that made the parts
// were multiplied by it, and so were the parts. It is nil without a pool.
//
// again, if not nil, computes part i once more, not before v is there: the backward pass then has not to keep it.
func normaliseNative(parts []*graph.Node, again func(i int, v *graph.Node) *graph.Node, l normLayer, sign *graph.Node, after afterNorm,
	epsilon, activityL2 float64, cubes int) normalised {

	n := len(parts)
	total := 0
	for _, p := range parts {
		total += p.Shape().Size() / p.Shape().Dimensions[1]
	}
	count, weight := float64(total), activityL2/float64(cubes)
	scale, bias := l.scale, l.bias
	if sign != nil { // the bias of the parts as they are
		scale, bias = graph.Mul(scale, sign), graph.Mul(bias, sign)
	}
	var mean, inverse, biased, batchVariance *graph.Node
	ends := make([]*graph.Node, n) // outputs
	out := withGradient(append(append([]*graph.Node{}, parts...), scale, l.offset, bias),
		func(in []*graph.Node) []*graph.Node {
			parts, scale, offset, bias := in[:n], in[n], in[n+1], in[n+2]
			mean = graph.DivScalar(sumChannels(parts), count)
			squares := make([]*graph.Node, n)
			for i, p := range parts {
				c := graph.Sub(p, perChannel(mean, p))
				squares[i] = graph.Mul(c, c)
			}
			batchVariance = graph.DivScalar(sumChannels(squares), count)
			inverse = graph.Reciprocal(graph.Sqrt(graph.AddScalar(batchVariance, epsilon)))
			biased = graph.Add(mean, bias)
			factor := graph.Mul(scale, inverse)
			constant := graph.Sub(offset, graph.Mul(mean, factor))
			for i, p := range parts {
				p = maxPoolNative(p, after.pool)
				ends[i] = after.activate(affine(p, factor, constant))
			}
			penalty := graph.MulScalar(graph.ReduceAllSum(graph.Add(batchVariance, graph.Square(biased))), weight*count)
			return append(append([]*graph.Node{}, ends...), penalty)
		},
		func(in, v []*graph.Node) []*graph.Node {
			scale := in[n]
			centred := make([]*graph.Node, n) // the values that were normalised, less the mean
			upstream := make([]*graph.Node, n)
			products := make([]*graph.Node, n)
			for i, p := range in[:n] {
				if v[i] == nil {
					v[i] = graph.ZerosLike(ends[i])
				}
				if again != nil {
					p = again(i, v[i])
				}
				p = maxPoolNative(p, after.pool)
				centred[i] = graph.Sub(p, perChannel(mean, p))
				upstream[i] = after.slopes(v[i], ends[i])
				products[i] = graph.Mul(upstream[i], centred[i])
			}
			sum, sumProducts := sumChannels(upstream), sumChannels(products)
			// With p a part and c = p-mean: gradient = factor*upstream (to the maximum) + b*c + a.
			factor, b, a, biasGradient := channelGradients(scale, inverse, biased, sum, sumProducts, v[n], weight, count)
			grads := make([]*graph.Node, n+3)
			for i, p := range in[:n] {
				g := graph.Mul(upstream[i], perChannel(factor, upstream[i]))
				if after.pool > 1 { // from the parts themselves, so that their centred values need not be kept
					g = maxPoolGradient(p, g, after.pool)
					g = graph.Add(g, affine(p, b, graph.Sub(a, graph.Mul(b, mean))))
				} else {
					g = graph.Add(g, affine(centred[i], b, a))
				}
				grads[i] = g
			}
			grads[n] = graph.Mul(sumProducts, inverse)
			grads[n+1] = sum
			grads[n+2] = biasGradient
			return grads
		})
	r := normalised{parts: out[:n], penalty: out[n], mean: biased, variance: batchVariance}
	if sign != nil {
		r.mean = graph.Mul(r.mean, sign)
	}
	return r
}

// activate is leaky ReLU and dropout.
func (a afterNorm) activate(x *graph.Node) *graph.Node {
	x = leaky(x, a.slope)
	if a.drop == 0 {
		return x
	}
	return graph.Mul(x, graph.MulScalar(a.keep(x), 1/(1-a.drop)))
}

// slopes multiplies v by the derivative of activate where the output is y. At a zero of the output that is the one
// below zero, and with dropout zero.
func (a afterNorm) slopes(v, y *graph.Node) *graph.Node {
	kept := 1 / (1 - a.drop)
	const steep = 1e30 // takes any value but zero beyond the ends
	switch {
	case a.drop > 0:
		return graph.Mul(v, graph.Abs(clip(graph.MulScalar(y, steep), -kept*a.slope, kept)))
	case a.slope != 1:
		return graph.Mul(v, clip(graph.MulScalar(y, steep), a.slope, 1))
	}
	return v
}

func clip(x *graph.Node, low, high float64) *graph.Node {
	return graph.MinScalar(graph.MaxScalar(x, low), high)
}

// affine is x*factor + constant with one factor and constant per channel.
func affine(x, factor, constant *graph.Node) *graph.Node {
	return graph.Add(graph.Mul(x, perChannel(factor, x)), perChannel(constant, x))
}

// perChannel reshapes a vector [channels] to go with a part [cubes, channels, positions...].
func perChannel(v, like *graph.Node) *graph.Node {
	dims := make([]int, like.Rank())
	for i := range dims {
		dims[i] = 1
	}
	dims[1] = -1
	return graph.Reshape(v, dims...)
}

// sumChannels adds up each channel over all cubes and positions of all parts: [channels].
func sumChannels(parts []*graph.Node) *graph.Node {
	var sum *graph.Node
	for _, p := range parts {
		dims := p.Shape().Dimensions
		s := graph.ReduceSum(graph.Reshape(p, dims[0], dims[1], -1), 0, 2)
		if sum == nil {
			sum = s
		} else {
			sum = graph.Add(sum, s)
		}
	}
	return sum
}

// signs is 1 where x is at least 0 and -1 elsewhere.
func signs(x *graph.Node) *graph.Node {
	x = graph.StopGradient(x)
	at := graph.GreaterOrEqual(x, graph.ScalarZero(x.Graph(), x.DType()))
	return graph.AddScalar(graph.MulScalar(graph.ConvertDType(at, x.DType()), 2), -1)
}

// hashedMask returns 1 with probability keep, else 0, of like's shape and type. It is a hash of a value's place and
// of key (uint32 [2]): with the same key it is the same on every engine. GoMLX's generator takes eight bytes and a
// dozen passes for a value on ONNX Runtime, this four and six.
func hashedMask(like, key *graph.Node, keep float64) *graph.Node {
	g, size := like.Graph(), like.Shape().Size()
	last := like.Shape().Dimensions[like.Rank()-1]
	if last < 64 && like.Rank() > 1 { // make the shorter axis worth it
		last *= like.Shape().Dimensions[like.Rank()-2]
	}
	word := func(i int) *graph.Node { return graph.Reshape(graph.Slice(key, graph.AxisElem(i)), 1, 1) }
	places := func(n, axis int) *graph.Node {
		dims := []int{1, 1}
		dims[axis] = n
		return graph.Iota(g, shapes.Make(dtypes.Uint32, dims...), axis)
	}
	// Both axes are mixed well while they are short, then their sum once more.
	rows := mix(graph.Add(graph.MulScalar(places(size/last, 0), 0x9e3779b1), word(0)))
	columns := mix(graph.Add(graph.MulScalar(places(last, 1), 0x85ebca77), word(1)))
	h := graph.Add(rows, columns)
	h = graph.MulScalar(xorShifted(h, 15), 0x2c1b3c6d)
	limit := graph.Scalar(g, dtypes.Uint32, uint32(math.Round(keep*(1<<32-1))))
	return graph.Reshape(graph.ConvertDType(graph.LessThan(h, limit), like.DType()), like.Shape().Dimensions...)
}

// mix is a full mixing of 32 bits (the finaliser of MurmurHash3).
func mix(h *graph.Node) *graph.Node {
	h = graph.MulScalar(xorShifted(h, 16), 0x85ebca6b)
	h = graph.MulScalar(xorShifted(h, 13), 0xc2b2ae35)
	return xorShifted(h, 16)
}

func xorShifted(h *graph.Node, bits uint32) *graph.Node {
	return graph.BitwiseXor(h, graph.BitwiseShiftRightLogicalScalar(h, bits))
}
