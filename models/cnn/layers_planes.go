package cnn

import (
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// The layers of the form of planes. A part is [depth, channels, height, cubes, width] or several such, the groups of
// its planes; see phases.

// normalisePlanes is normaliseTraining followed by the maximum over boxes of pool^3 positions (1: none). Each part is
// given as its groups of planes.
//
// The pool comes before scale and offset, since it commutes with an increasing function: they are applied to the
// pooled values only, and the batch's sums over gradients run over those only. Where the scale is negative the
// normalisation decreases; sign [channels] then is -1, the weights that made the parts were multiplied by it, and so
// were the parts. It is nil without a pool.
func normalisePlanes(parts [][]*graph.Node, l normLayer, sign *graph.Node, pool int, epsilon, activityL2 float64, cubes int) normalised {
	channels := l.scale.Shape().Size()
	var all []*graph.Node
	total := 0
	for _, groups := range parts {
		for _, p := range groups {
			all = append(all, p)
			total += p.Shape().Size() / channels
		}
	}
	count, weight, n := float64(total), activityL2/float64(cubes), len(all)
	scale, bias := l.scale, l.bias
	if sign != nil { // the bias of the parts as they are
		scale, bias = graph.Mul(scale, sign), graph.Mul(bias, sign)
	}
	var inverse, biased, batchVariance *graph.Node
	centred := make([]*graph.Node, n) // rows
	pooled := make([]maxima, len(parts))
	out := withGradient(append(append([]*graph.Node{}, all...), scale, l.offset, bias),
		func(in []*graph.Node) []*graph.Node {
			scale, offset, bias := column(in[n]), column(in[n+1]), column(in[n+2])
			rows, squares := make([]*graph.Node, n), make([]*graph.Node, n)
			for i, p := range in[:n] {
				rows[i] = planeRows(p)
			}
			mean := graph.DivScalar(sumPlanes(rows, channels), count)
			for i, p := range rows {
				centred[i] = graph.Sub(p, spreadPlanes(mean, p))
				squares[i] = graph.Square(centred[i])
			}
			batchVariance = graph.DivScalar(sumPlanes(squares, channels), count)
			inverse = graph.Reciprocal(graph.Sqrt(graph.AddScalar(batchVariance, epsilon)))
			biased = graph.Add(mean, bias)
			factor := graph.Mul(scale, inverse)
			var outs []*graph.Node
			at := 0
			for i, groups := range parts {
				shaped := make([]*graph.Node, len(groups))
				for j, p := range groups {
					shaped[j] = graph.Reshape(centred[at], p.Shape().Dimensions...)
					at++
				}
				pooled[i] = maxPlanes(shaped, pool)
				c := planeRows(pooled[i].top)
				y := graph.Add(graph.Mul(c, spreadPlanes(factor, c)), spreadPlanes(offset, c))
				outs = append(outs, graph.Reshape(y, pooled[i].top.Shape().Dimensions...))
			}
			penalty := graph.MulScalar(graph.ReduceAllSum(graph.Add(batchVariance, graph.Square(biased))), weight*count)
			return append(outs, penalty)
		},
		func(in, v []*graph.Node) []*graph.Node {
			upstream, products := make([]*graph.Node, len(parts)), make([]*graph.Node, len(parts))
			for i := range parts {
				c := planeRows(pooled[i].top)
				if v[i] == nil {
					v[i] = graph.ZerosLike(pooled[i].top)
				}
				upstream[i] = planeRows(v[i])
				products[i] = graph.Mul(upstream[i], c)
			}
			sum, sumProducts := sumPlanes(upstream, channels), sumPlanes(products, channels)
			// With c the centred input: gradient = factor*upstream (to the maximum) + b*c + a.
			factor, b, a, biasGradient := channelGradients(column(in[n]), inverse, biased, sum, sumProducts, v[len(parts)], weight, count)
			var grads []*graph.Node
			for i, groups := range parts {
				u := graph.Reshape(graph.Mul(upstream[i], spreadPlanes(factor, upstream[i])), v[i].Shape().Dimensions...)
				toGroups := pooled[i].route(u)
				for j, p := range groups {
					c := centred[len(grads)]
					g := graph.Add(graph.Mul(c, spreadPlanes(b, c)), spreadPlanes(a, c))
					if j < len(toGroups) {
						g = graph.Add(g, planeRows(toGroups[j]))
					}
					grads = append(grads, graph.Reshape(g, p.Shape().Dimensions...))
				}
			}
			return append(grads, flatVector(graph.Mul(sumProducts, inverse)), flatVector(sum), flatVector(biasGradient))
		})
	r := normalised{parts: out[:len(parts)], penalty: out[len(parts)], mean: flatVector(biased), variance: flatVector(batchVariance)}
	if sign != nil {
		r.mean = graph.Mul(r.mean, sign)
	}
	return r
}

// maxima is a maximum over boxes and the way back.
type maxima struct {
	top   *graph.Node
	route func(v *graph.Node) []*graph.Node // the gradients of the groups of planes; of those left over, none
}

// maxPlanes is the maximum over disjoint boxes of k^3 positions of a part that is given as its groups of planes;
// positions at the end that fill no box are dropped. Where several positions of a box share the maximum, the whole
// gradient goes to one of them.
func maxPlanes(groups []*graph.Node, k int) maxima {
	if k == 1 {
		return maxima{top: groups[0], route: func(v *graph.Node) []*graph.Node { return []*graph.Node{v} }}
	}
	depth := maximum(groups[:k])
	top := graph.IdentityWithCustomGradient(depth.top, func(_, v *graph.Node) *graph.Node { return v })
	flat := maxPoolAxes(top, k, 2, 4)
	return maxima{top: flat, route: func(v *graph.Node) []*graph.Node {
		loss := graph.ReduceAllSum(graph.Mul(flat, graph.StopGradient(v)))
		return depth.route(graph.Gradient(loss, top)[0])
	}}
}

// maximum is the maximum of nodes of one shape, value by value.
func maximum(xs []*graph.Node) maxima {
	top := xs[0]
	for _, x := range xs[1:] {
		top = graph.Max(top, x)
	}
	return maxima{top: top, route: func(v *graph.Node) []*graph.Node {
		none := graph.ScalarZero(v.Graph(), v.DType())
		pieces := make([]*graph.Node, len(xs))
		for i, x := range xs[:len(xs)-1] {
			hit := graph.Equal(x, top)
			pieces[i] = graph.Where(hit, v, none)
			v = graph.Where(hit, none, v)
		}
		pieces[len(xs)-1] = v
		return pieces
	}}
}

// planeRows returns a part as rows, one for each plane and channel: [depth*channels, positions].
func planeRows(x *graph.Node) *graph.Node {
	dims := x.Shape().Dimensions
	return graph.Reshape(x, dims[0]*dims[1], -1)
}

// spreadPlanes repeats a column [channels, 1] over the rows and positions of like.
func spreadPlanes(v, like *graph.Node) *graph.Node {
	channels, rows := v.Shape().Dimensions[0], like.Shape().Dimensions[0]
	ones := graph.Ones(like.Graph(), shapes.Make(like.DType(), rows/channels, 1))
	return spread(column(product(ones, graph.Reshape(v, 1, channels))), like)
}

// sumPlanes adds up each of the channels over all rows and positions of all parts: [channels, 1].
func sumPlanes(parts []*graph.Node, channels int) *graph.Node {
	var sum *graph.Node
	for _, p := range parts {
		rows := graph.Reshape(sumPositions([]*graph.Node{p}), -1, channels)
		ones := graph.Ones(p.Graph(), shapes.Make(p.DType(), 1, rows.Shape().Dimensions[0]))
		s := column(product(ones, rows))
		if sum == nil {
			sum = s
		} else {
			sum = graph.Add(sum, s)
		}
	}
	return sum
}
