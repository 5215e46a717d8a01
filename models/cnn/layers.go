package cnn

import (
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// The layers below work on a batch cut into parts. Each part is a node of shape [channels, positions...]: what a
// layer does is the same at all positions of a channel. Statistics run over the positions of all parts.

// normLayer holds the nodes of one batch normalisation and of the bias of the layer before it, all of shape
// [channels].
type normLayer struct {
	bias, scale, offset *graph.Node
	mean, variance      *graph.Node // running averages; used for prediction only
}

// normalised is what normaliseTraining returns.
type normalised struct {
	parts          []*graph.Node // as the inputs, normalised
	mean, variance *graph.Node   // of the batch, [channels], bias included; no gradient flows through them
	penalty        *graph.Node   // scalar: activityL2/cubes * sum of the squares of the biased inputs
}

// normaliseTraining adds the bias and normalises each channel by the mean and variance of the batch:
// scale * (x+bias - mean) / sqrt(variance+epsilon) + offset, with the variance's divisor being the number of
// positions.
//
// The gradient is the true one, through mean and variance (Ioffe and Szegedy 2015, arXiv:1502.03167). GoMLX's own
// normalisation stops it there on every engine but XLA.
//
// The bias never touches the positions: it cancels in the result and enters the penalty and the running mean through
// the channel's sums.
func normaliseTraining(parts []*graph.Node, l normLayer, epsilon, activityL2 float64, cubes int) normalised {
	n := len(parts)
	flat := make([]*graph.Node, n)
	total := 0
	for i, p := range parts {
		flat[i] = graph.Reshape(p, p.Shape().Dimensions[0], -1)
		total += flat[i].Shape().Dimensions[1]
	}
	count, weight := float64(total), activityL2/float64(cubes)
	var centred []*graph.Node
	var biased, inverse, batchMean, batchVariance *graph.Node
	out := withGradient(append(flat, l.scale, l.offset, l.bias),
		func(in []*graph.Node) []*graph.Node {
			parts, scale, offset, bias := in[:n], column(in[n]), column(in[n+1]), column(in[n+2])
			mean := graph.DivScalar(sumPositions(parts), count)
			centred = make([]*graph.Node, n)
			squares := make([]*graph.Node, n)
			for i, p := range parts {
				centred[i] = graph.Sub(p, spread(mean, p))
				squares[i] = graph.Square(centred[i])
			}
			variance := graph.DivScalar(sumPositions(squares), count)
			inverse = graph.Reciprocal(graph.Sqrt(graph.AddScalar(variance, epsilon)))
			factor := graph.Mul(scale, inverse)
			outs := make([]*graph.Node, n+1)
			for i, c := range centred {
				outs[i] = graph.Add(graph.Mul(c, spread(factor, c)), spread(offset, c))
			}
			biased = graph.Add(mean, bias)
			outs[n] = graph.MulScalar(graph.ReduceAllSum(graph.Add(variance, graph.Square(biased))), weight*count)
			batchMean, batchVariance = biased, variance
			return outs
		},
		func(in, v []*graph.Node) []*graph.Node {
			scale := column(in[n])
			products := make([]*graph.Node, n)
			for i := range n {
				if v[i] == nil {
					v[i] = graph.ZerosLike(centred[i])
				}
				products[i] = graph.Mul(v[i], centred[i])
			}
			sum, sumProducts := sumPositions(v[:n]), sumPositions(products)
			// With c the centred input: gradient = factor*v + b*c + a.
			factor, b, a, biasGradient := channelGradients(scale, inverse, biased, sum, sumProducts, v[n], weight, count)
			grads := make([]*graph.Node, n+3)
			for i, c := range centred {
				g := graph.Add(graph.Mul(v[i], spread(factor, c)), graph.Mul(c, spread(b, c)))
				grads[i] = graph.Add(g, spread(a, c))
			}
			grads[n] = flatVector(graph.Mul(sumProducts, inverse))
			grads[n+1] = flatVector(sum)
			grads[n+2] = flatVector(biasGradient)
			return grads
		})
	r := normalised{penalty: out[n], mean: flatVector(batchMean), variance: flatVector(batchVariance)}
	for i, p := range parts {
		r.parts = append(r.parts, graph.Reshape(out[i], p.Shape().Dimensions...))
	}
	return r
}

// channelGradients returns what the gradients of a normalisation are made of, by channel, in every form of a network.
//
// With c the centred input, sum is that of what arrives from above and sumProducts that of its products with c, over
// count positions. The input's gradient is factor*(what arrives) + b*c + a; bias is that of the bias. penalty, nil for
// none, is the loss's gradient with respect to the activity penalty, whose factor on the squares is weight.
func channelGradients(scale, inverse, biased, sum, sumProducts, penalty *graph.Node, weight, count float64) (factor, b, a, bias *graph.Node) {
	factor = graph.Mul(scale, inverse)
	a = graph.DivScalar(graph.Mul(factor, sum), -count)
	b = graph.DivScalar(graph.Mul(factor, graph.Mul(graph.Square(inverse), sumProducts)), -count)
	if penalty == nil {
		return factor, b, a, graph.ZerosLike(biased)
	}
	slope := graph.MulScalar(penalty, 2*weight)
	b = graph.Add(b, slope)
	a = graph.Add(a, graph.Mul(slope, biased))
	return factor, b, a, graph.MulScalar(graph.Mul(slope, biased), count)
}

// foldNorm turns the normalisation by running averages into a factor for the weights' rows and a constant, both of
// shape [channels]: the layer's output is then factor*x + constant.
func foldNorm(l normLayer, epsilon float64) (factor, constant *graph.Node) {
	factor = graph.Div(l.scale, graph.Sqrt(graph.AddScalar(l.variance, epsilon)))
	constant = graph.Add(l.offset, graph.Mul(factor, graph.Sub(l.bias, l.mean)))
	return factor, constant
}

// activateTraining is leaky ReLU with the given slope below zero (1: none), then dropout: each value is kept with
// probability 1-drop and then divided by it. random holds uniformly random numbers from 0 to 1 of x's shape; it may be
// nil if drop is 0.
func activateTraining(x *graph.Node, slope, drop float64, random *graph.Node) *graph.Node {
	if slope == 1 && drop == 0 {
		return x
	}
	var factor *graph.Node
	out := withGradient([]*graph.Node{x},
		func(in []*graph.Node) []*graph.Node {
			g, dt := x.Graph(), x.DType()
			kept := 1 / (1 - drop)
			factor = graph.Scalar(g, dt, kept)
			if slope != 1 {
				positive := graph.GreaterThan(graph.StopGradient(in[0]), graph.ScalarZero(g, dt))
				factor = graph.Where(positive, factor, graph.Scalar(g, dt, kept*slope))
			}
			if drop > 0 {
				dropped := graph.LessThan(random, graph.Scalar(g, dt, drop))
				factor = graph.Where(dropped, graph.ScalarZero(g, dt), factor)
			}
			return []*graph.Node{graph.Mul(in[0], factor)}
		},
		func(_, v []*graph.Node) []*graph.Node {
			return []*graph.Node{graph.Mul(v[0], factor)}
		})
	return out[0]
}

// leaky is leaky ReLU for prediction, with the given slope (between 0 and 1) below zero.
func leaky(x *graph.Node, slope float64) *graph.Node {
	if slope == 1 {
		return x
	}
	return graph.Max(x, graph.MulScalar(x, slope))
}

// meanPool is the mean over disjoint boxes of k^3 of cubes [cubes, depth, height, width]; positions at the end that
// fill no box are dropped.
func meanPool(x *graph.Node, k int) *graph.Node {
	if k == 1 {
		return x
	}
	axis := func(a, i int) graph.SliceAxisSpec {
		size := x.Shape().Dimensions[a] / k
		return graph.AxisRange(i, i+(size-1)*k+1).Stride(k)
	}
	var sum *graph.Node
	for i := range k * k * k {
		v := graph.Slice(x, graph.AxisRange(), axis(1, i/(k*k)), axis(2, i/k%k), axis(3, i%k))
		if sum == nil {
			sum = v
		} else {
			sum = graph.Add(sum, v)
		}
	}
	return graph.DivScalar(sum, float64(k*k*k))
}

// column turns a vector [channels] into [channels, 1].
func column(v *graph.Node) *graph.Node { return graph.Reshape(v, -1, 1) }

func flatVector(v *graph.Node) *graph.Node { return graph.Reshape(v, -1) }

// spread repeats a column [channels, 1] over the positions of like [channels, positions]. As a product with ones it
// runs eight times faster than the engine's own broadcast.
func spread(v, like *graph.Node) *graph.Node {
	return product(v, ones(like))
}

// sumPositions adds up each channel over all positions of all parts: [channels, 1]. As a product with ones it runs
// thirty times faster than the engine's own reduction.
func sumPositions(parts []*graph.Node) *graph.Node {
	var sum *graph.Node
	for _, p := range parts {
		s := productT(p, ones(p))
		if sum == nil {
			sum = s
		} else {
			sum = graph.Add(sum, s)
		}
	}
	return sum
}

// ones returns ones of shape [1, positions of like].
func ones(like *graph.Node) *graph.Node {
	return graph.Ones(like.Graph(), shapes.Make(like.DType(), 1, like.Shape().Dimensions[1]))
}
