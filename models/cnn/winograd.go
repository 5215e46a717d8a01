package cnn

import (
	"github.com/gomlx/gomlx/core/graph"
)

// Convolution with fewer products: Winograd's minimal filtering along the depth (Winograd 1980; Lavin and Gray 2016,
// arXiv:1509.09308), the shifts along height and width as columns.
//
// The output's planes are cut into tiles of m planes. One tile needs m+k-1 planes of the input and, written as
// columns, m*k products of planes with weights; here it needs m+k-1: A((G weights) . (B planes)), with A, B, G small
// constant matrices. For k = 3 and m = 6 that is 8 in place of 18.
//
// What the engine is fast at decides the rest. The matrices of all tiles of a volume are put into one banded matrix:
// with the depth as the leading axis, a transform of everything is a single product of it with the volume, 5% of the
// whole work, and no tile is ever cut out or put back. In between each of the points, the m+k-1 planes of the tiles,
// is a plain convolution in two dimensions with weights of its own, a batch of products.
//
// Layout: [depth, channels, height, cubes, width]. A shift by a line or a position is then a shift of the whole flat
// order of a plane (see viewRows). Positions at a plane's border then hold values without meaning: they are cut off
// the output and meet zeros in the gradients.

// winogradPoints is the greatest number of points of a tile. With 8 (the points 0, ±1, ±2, ±1/2 and infinity) the
// rounding errors in float32 stay around 1e-6 of the greatest output; with 10 they are ten times as large.
const winogradPoints = 8

// maxPointValues bounds the columns of one batch of products (40 MiB in float32, about what the caches hold).
var maxPointValues = 10 << 20

// winogradFits tells whether a convolution can be done this way.
func winogradFits(kernel, depth int) bool {
	return kernel >= 2 && kernel < winogradPoints && depth > kernel
}

// winograd holds the sizes of one convolution of one part.
type winograd struct {
	in, out, k, cubes                     int
	depth, height, width                  int         // of the input
	depthO, heightO, widthO               int         // of the output
	points                                int         // of all tiles
	toPoints, weightsToPoints, fromPoints [][]float64 // [points, depth], [points, k], [depthO, points]
	ends                                  []int       // of the groups of output planes among the rows of fromPoints
	queue                                 *queue
}

// convolveWinograd is the valid convolution of a part [depth, in, height, cubes, width] with weights [out, in, k, k, k]:
// [depth-k+1, out, height-k+1, cubes, width-k+1], whose planes come in the groups that a pool of that size takes the
// maximum over; see phases. The parts of one layer share a queue. first says that x needs no gradient. The gradients
// are exact.
func convolveWinograd(x, weights *graph.Node, pool int, q *queue, first bool) []*graph.Node {
	xs, ws := x.Shape().Dimensions, weights.Shape().Dimensions
	weights.AssertDims(-1, xs[1], -1, -1, -1)
	c := winograd{depth: xs[0], in: xs[1], height: xs[2], cubes: xs[3], width: xs[4], out: ws[0], k: ws[2], queue: q}
	c.depthO, c.heightO, c.widthO = c.depth-c.k+1, c.height-c.k+1, c.width-c.k+1
	c.toPoints, c.weightsToPoints, c.fromPoints = winogradMatrices(c.depth, c.k)
	c.points = len(c.toPoints)
	var rows [][]float64
	for _, planes := range phases(c.depthO, pool) {
		c.ends = append(c.ends, len(rows)+len(planes))
		for _, z := range planes {
			rows = append(rows, c.fromPoints[z])
		}
	}
	c.fromPoints = rows
	return withGradient([]*graph.Node{x, weights},
		func(in []*graph.Node) []*graph.Node { return c.forward(in[0], in[1]) },
		func(in, v []*graph.Node) []*graph.Node {
			all := join(v, 0)
			if first {
				return []*graph.Node{nil, c.firstGradient(in[0], all)}
			}
			dx, dw := c.gradients(in[0], in[1], all)
			return []*graph.Node{dx, dw}
		})
}

// phases returns the planes 0 to depth-1 in the groups that go with a pool of size k: the first of each of its boxes,
// the second, ..., and those left over at the end, if any. Without a pool (1) they are one group.
func phases(depth, k int) [][]int {
	groups := make([][]int, k)
	for z := range depth / k * k {
		groups[z%k] = append(groups[z%k], z)
	}
	var rest []int
	for z := depth / k * k; z < depth; z++ {
		rest = append(rest, z)
	}
	if rest != nil {
		groups = append(groups, rest)
	}
	return groups
}

// line is the number of positions of a line, all cubes together.
func (c winograd) line() int { return c.cubes * c.width }

// shifts returns the offsets in the flat order of a plane of the kernel's shifts along height and width.
func (c winograd) shifts() []int {
	var s []int
	for dy := range c.k {
		for dx := range c.k {
			s = append(s, dy*c.line()+dx)
		}
	}
	return s
}

// matrix puts the rows s[0] to s[1]-1 of a matrix into the graph.
func (c winograd) matrix(like *graph.Node, rows [][]float64, s [2]int) *graph.Node {
	return graph.ConstAsDType(like.Graph(), like.DType(), rows[s[0]:s[1]])
}

// slabs cuts the points into ranges whose columns respect maxPointValues.
func (c winograd) slabs(columnsPerPoint int) [][2]int {
	return slabs(c.points, columnsPerPoint, maxPointValues)
}

func (c winograd) forward(x, weights *graph.Node) []*graph.Node {
	k2, length := c.k*c.k, (c.height+1)*c.line()
	flat := graph.Reshape(x, c.depth, -1)
	w := graph.Reshape(graph.TransposeAllAxes(weights, 2, 0, 1, 3, 4), c.k, -1)
	var done []*graph.Node
	for _, s := range c.slabs(c.in * k2 * length) {
		n := s[1] - s[0]
		columns := c.inputColumns(flat, c.queue.wait(c.matrix(x, c.toPoints, s)), length)
		u := graph.Reshape(product(c.matrix(x, c.weightsToPoints, s), w), n, c.out, c.in*k2)
		m := graph.DotGeneral(u, []int{2}, []int{0}, columns, []int{1}, []int{0})
		c.queue.end(m)
		done = append(done, graph.Reshape(m, n, c.out*length))
	}
	points, start := join(done, 0), 0
	var ys []*graph.Node
	for _, end := range c.ends {
		y := product(c.matrix(x, c.fromPoints, [2]int{start, end}), points)
		y = graph.Reshape(y, end-start, c.out, c.height+1, c.cubes, c.width)
		ys = append(ys, graph.Slice(y, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(0, c.heightO), graph.AxisRange(),
			graph.AxisRange(0, c.widthO)))
		start = end
	}
	return ys
}

// inputColumns returns the columns [n, in*k^2, length] of the points that the matrix [n, depth] makes.
func (c winograd) inputColumns(flat, matrix *graph.Node, length int) *graph.Node {
	n := matrix.Shape().Dimensions[0]
	v := graph.Reshape(product(matrix, flat), n*c.in, c.height*c.line())
	var starts []int
	for i, s := range c.shifts() {
		starts = append(starts, i*length-s)
	}
	return graph.Reshape(viewRows(v, starts, length), n, c.in*c.k*c.k, length)
}

// gradients returns the gradients of the input and of the weights. Both are products with the same columns, the
// shifted views of the output's gradient: the columns of the input would be fewer, but are not needed then.
func (c winograd) gradients(x, weights, v *graph.Node) (dx, dw *graph.Node) {
	k2, length := c.k*c.k, c.height*c.line()
	flat := graph.Reshape(x, c.depth, -1)
	// [out, in, z, y, x] becomes [z, in, out, y, x] with y and x from the last to the first.
	w := graph.Reshape(graph.TransposeAllAxes(graph.Reverse(weights, 3, 4), 2, 1, 0, 3, 4), c.k, -1)
	v = graph.Reshape(padEnd(v, 4, c.k-1), c.depthO, c.out*c.heightO*c.line())
	var starts []int
	shifts := c.shifts()
	for i := range shifts {
		starts = append(starts, i*length+shifts[len(shifts)-1-i])
	}
	var pieces []*graph.Node
	for _, s := range c.slabs(c.out * k2 * length) {
		n := s[1] - s[0]
		begin := func(m *graph.Node) *graph.Node { return c.queue.wait(graph.SchedulingBarrier(m, v)) }
		m := product(begin(c.matrix(x, transposed(c.fromPoints), s)), v)
		columns := viewRows(graph.Reshape(m, n*c.out, c.heightO*c.line()), starts, length)
		columns = graph.Reshape(columns, n, c.out*k2, length)
		toWeights := c.matrix(x, c.weightsToPoints, s)
		points := graph.Reshape(product(begin(c.matrix(x, c.toPoints, s)), flat), n, c.in, length)
		du := graph.DotGeneral(points, []int{2}, []int{0}, columns, []int{2}, []int{0})
		g := product(graph.Transpose(toWeights, 0, 1), graph.Reshape(du, n, -1))
		if dw == nil {
			dw = g
		} else {
			dw = graph.Add(dw, g)
		}
		u := graph.Reshape(product(toWeights, w), n, c.in, c.out*k2)
		dv := graph.DotGeneral(u, []int{2}, []int{0}, columns, []int{1}, []int{0})
		c.queue.end(dv)
		pieces = append(pieces, graph.Reshape(dv, n, -1))
	}
	dx = product(c.matrix(x, transposed(c.toPoints), [2]int{0, c.depth}), join(pieces, 0))
	dw = graph.TransposeAllAxes(graph.Reshape(dw, c.k, c.in, c.out, c.k, c.k), 2, 1, 0, 3, 4)
	return graph.Reshape(dx, x.Shape().Dimensions...), graph.Reverse(dw, 3, 4)
}

// firstGradient returns the gradient of the weights of a network's first layer, which has few input channels: there
// the columns of the input are fewer.
func (c winograd) firstGradient(x, v *graph.Node) *graph.Node {
	k2, length := c.k*c.k, (c.height+1)*c.line()
	flat := graph.Reshape(x, c.depth, -1)
	v = graph.Reshape(padEnd(padEnd(v, 4, c.k-1), 2, c.k), c.depthO, c.out*length)
	var dw *graph.Node
	for _, s := range c.slabs((c.in*k2 + c.out) * length) {
		n := s[1] - s[0]
		begin := func(m *graph.Node) *graph.Node { return c.queue.wait(graph.SchedulingBarrier(m, v)) }
		m := graph.Reshape(product(begin(c.matrix(x, transposed(c.fromPoints), s)), v), n, c.out, length)
		columns := c.inputColumns(flat, begin(c.matrix(x, c.toPoints, s)), length)
		du := graph.DotGeneral(m, []int{2}, []int{0}, columns, []int{2}, []int{0})
		c.queue.end(du)
		g := product(graph.Transpose(c.matrix(x, c.weightsToPoints, s), 0, 1), graph.Reshape(du, n, -1))
		if dw == nil {
			dw = g
		} else {
			dw = graph.Add(dw, g)
		}
	}
	return graph.TransposeAllAxes(graph.Reshape(dw, c.k, c.out, c.in, c.k, c.k), 1, 2, 0, 3, 4)
}

// viewRows puts copies of each row of x [rows, n] into a longer one of zeros, copy i at starts[i], and reads that as
// len(starts) rows of the given length: [rows*len(starts), length]. A copy that starts before (after) its row is a
// view of x shifted to the left (right); nothing of it may reach into another copy.
//
// It copies in bulk only.
func viewRows(x *graph.Node, starts []int, length int) *graph.Node {
	rows, n := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	var pieces []*graph.Node
	at := 0
	addZeros := func(to int) {
		if to > at {
			pieces = append(pieces, zeros(x, rows, to-at))
		}
		at = to
	}
	for _, start := range starts {
		addZeros(start)
		pieces = append(pieces, x)
		at += n
	}
	addZeros(len(starts) * length)
	return graph.Reshape(graph.Concatenate(pieces, 1), rows*len(starts), length)
}
