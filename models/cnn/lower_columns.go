package cnn

import (
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Convolution and pooling for the pure-Go engine, as products with columns.
//
// Layout. A batch travels as a few parts (see network.go), each of shape [channels, depth, cubes, height, width].
// Channels first, because products run fastest with the weights on the left of a wide product; depth before cubes,
// because a shift along depth then is one long contiguous copy for all cubes of the part at once.
//
// The pure-Go engine's convolution is a scalar loop (0.7 GFLOP/s), its products run at 100 GFLOP/s and more, its
// bulk copies (concatenation) take 0.25 ns a value, its copies value by value (slices) 1.1 to 1.7 ns. So a
// convolution is a product of the weights with columns, the input's shifted views. Most columns are built in bulk on
// the flat order of positions, where a shift by a line or by one position is a shift of the whole row (unfoldRows).
// Positions at the border then hold values without meaning: they are cut off the output, and meet zeros in the
// gradients.
//
// The shifts along the width need not be columns at all: k products, one for each shift, added up with their shift,
// give the same. That trades k times fewer columns for k times more outputs; see newConvolution for the choice.

// maxColumnValues bounds the columns of one product (128 MiB in float32): a larger convolution is done in slabs
// along depth.
var maxColumnValues = 32 << 20

// keepColumnValues is the size up to which a convolution of one part is small: it keeps its columns for the weight
// gradient. Larger ones build them again in the backward pass, and wait for each other (see queue).
var keepColumnValues = 16 << 20

// queue lets large pieces of work, of all parts of a batch, begin in order and only two at a time. The engine begins
// everything it can, and would hold the columns of all pieces at once; two keep its threads busy.
type queue struct{ ends []*graph.Node }

// wait returns x, available once there is room for a piece of work that starts from it.
func (q *queue) wait(x *graph.Node) *graph.Node {
	if len(q.ends) < 2 {
		return x
	}
	return graph.SchedulingBarrier(x, q.ends[len(q.ends)-2])
}

// end tells where the last piece of work ends.
func (q *queue) end(y *graph.Node) { q.ends = append(q.ends, y) }

// convolveColumns is the valid convolution (cross-correlation, stride 1, no padding) of one part by products with
// columns.
//
// x is [in, depth, cubes, height, width], weights [out, in, k, k, k] with the kernel's axes in the order depth,
// height, width. The result is [out, depth-k+1, cubes, height-k+1, width-k+1]. There is no bias: it is added by the
// normalisation that follows. The gradients with respect to x and weights are exact.
//
// The parts of one layer share a queue. first says that x is the network's input and needs no gradient: later work
// would wait for it in the queue, and so have it computed.
func convolveColumns(x, weights *graph.Node, q *queue, first bool) *graph.Node {
	weights.AssertDims(-1, x.Shape().Dimensions[0], -1, -1, -1)
	c := newConvolution(x, weights)
	c.queue = q
	var kept *graph.Node
	out := withGradient([]*graph.Node{x, weights},
		func(in []*graph.Node) []*graph.Node {
			var y *graph.Node
			y, kept = c.forward(in[0], in[1])
			return []*graph.Node{y}
		},
		func(in, v []*graph.Node) []*graph.Node {
			gradients := []*graph.Node{nil, c.weightGradient(in[0], v[0], kept)}
			if !first {
				gradients[0] = c.inputGradient(in[1], v[0])
			}
			return gradients
		})
	return out[0]
}

// lowering is the way in which the columns of a convolution are built.
type lowering int

const (
	// allShifts has a column for each of the k^3 shifts, built in bulk.
	allShifts lowering = iota
	// planeShifts has a column for each of the k^2 shifts along depth and height, built in bulk; the shifts along
	// the width are added up on the output.
	planeShifts
	// exactShifts has a column for each of the k^3 shifts, built value by value, without the border positions.
	exactShifts
)

// convolution holds the sizes of one convolution of one part.
type convolution struct {
	in, out, k, cubes       int
	depth, height, width    int // of the input
	depthO, heightO, widthO int // of the output
	lowering                lowering
	queue                   *queue
}

func newConvolution(x, weights *graph.Node) convolution {
	xs, ws := x.Shape().Dimensions, weights.Shape().Dimensions
	c := convolution{in: xs[0], depth: xs[1], cubes: xs[2], height: xs[3], width: xs[4], out: ws[0], k: ws[2]}
	c.depthO, c.heightO, c.widthO = c.depth-c.k+1, c.height-c.k+1, c.width-c.k+1
	// Costs in ns for each position of the output, from timings of the pure-Go engine on two cores of an AMD EPYC with AVX-512: a
	// column in bulk 0.57 with its packing, value by value 1.5 more; an output channel of a further shift 2.1; a
	// product for nothing 1/60.
	planes := float64(c.cubes * c.depthO)
	border := (planes+1)/planes*float64(c.height*c.width)/float64(c.heightO*c.widthO) - 1
	switch {
	case c.k == 1 || float64(c.out)*border/60 > 1.5:
		c.lowering = exactShifts
	case 2.1*float64(c.out) < 0.57*float64(c.in*c.k*c.k):
		c.lowering = planeShifts
	}
	return c
}

// slabs cuts n planes of that many column values each into ranges of at most limit values, or of one plane.
func slabs(n, columnValuesPerPlane, limit int) [][2]int {
	size := max(1, min(n, limit/columnValuesPerPlane))
	count := (n + size - 1) / size
	var cut [][2]int
	for i := range count {
		cut = append(cut, [2]int{i * n / count, (i + 1) * n / count})
	}
	return cut
}

// plane is the number of positions of one plane of the input, all cubes together.
func (c convolution) plane() int { return c.cubes * c.height * c.width }

// forward returns the output and, where they are worth keeping for weightGradient, the columns.
func (c convolution) forward(x, weights *graph.Node) (y, kept *graph.Node) {
	w, columns, crop := graph.Reshape(weights, c.out, -1), c.allColumns, c.cropAll
	perPlane := c.in * c.k * c.k * c.k * c.plane()
	switch c.lowering {
	case exactShifts:
		columns, crop = c.exactColumns, c.cropExact
	case planeShifts:
		w = graph.Reshape(graph.Transpose(graph.Reshape(weights, -1, c.k), 0, 1), c.k*c.out, -1)
		columns, crop = c.planeColumns, c.addShifts
		perPlane /= c.k
	}
	small := perPlane*c.depthO <= keepColumnValues
	var done []*graph.Node
	for _, s := range slabs(c.depthO, perPlane, maxColumnValues) {
		if small {
			kept = columns(x, s)
			done = append(done, crop(product(w, kept), s[1]-s[0]))
			continue
		}
		y := crop(product(w, columns(c.queue.wait(x), s)), s[1]-s[0])
		c.queue.end(y)
		done = append(done, y)
	}
	if c.lowering == allShifts {
		kept = nil // weightGradient works with fewer
	}
	return join(done, 1), kept
}

// exactColumns returns the columns [in*k^3, positions] for the output planes s[0] to s[1]-1, without border.
func (c convolution) exactColumns(x *graph.Node, s [2]int) *graph.Node {
	positions := (s[1] - s[0]) * c.cubes * c.heightO * c.widthO
	var shifted []*graph.Node
	for i := range c.k * c.k * c.k {
		dz, dy, dx := i/(c.k*c.k), i/c.k%c.k, i%c.k
		v := graph.Slice(x, graph.AxisRange(), graph.AxisRange(s[0]+dz, s[1]+dz), graph.AxisRange(),
			graph.AxisRange(dy, dy+c.heightO), graph.AxisRange(dx, dx+c.widthO))
		shifted = append(shifted, graph.Reshape(v, c.in, 1, positions))
	}
	return graph.Reshape(join(shifted, 1), c.in*c.k*c.k*c.k, positions)
}

// cropExact turns a product [out, positions] into [out, planes, cubes, heightO, widthO].
func (c convolution) cropExact(y *graph.Node, planes int) *graph.Node {
	return graph.Reshape(y, c.out, planes, c.cubes, c.heightO, c.widthO)
}

// allColumns returns the columns [in*k^3, positions of the planes and one image more].
func (c convolution) allColumns(x *graph.Node, s [2]int) *graph.Node {
	rows := unfoldRows(c.depthRows(x, s), c.k, c.width, 0)
	return unfoldRows(rows, c.k, 1, c.height*c.width-c.width-1)
}

// cropAll cuts the border off a product [out, positions].
func (c convolution) cropAll(y *graph.Node, planes int) *graph.Node {
	return c.cropShift(graph.Reshape(y, 1, c.out, -1), 0, planes)
}

// planeColumns returns the columns [in*k^2, positions of the planes and one image more].
func (c convolution) planeColumns(x *graph.Node, s [2]int) *graph.Node {
	return unfoldRows(c.depthRows(x, s), c.k, c.width, c.height*c.width-c.width)
}

// addShifts adds up a product [k*out, positions], whose first axis is the shift along the width.
func (c convolution) addShifts(y *graph.Node, planes int) *graph.Node {
	y = graph.Reshape(y, c.k, c.out, -1)
	sum := c.cropShift(y, 0, planes)
	for dx := 1; dx < c.k; dx++ {
		sum = graph.Add(sum, c.cropShift(y, dx, planes))
	}
	return sum
}

// cropShift cuts the output for shift dx out of a product [shifts, out, positions].
func (c convolution) cropShift(y *graph.Node, dx, planes int) *graph.Node {
	y = graph.Reshape(y, y.Shape().Dimensions[0], c.out, planes*c.cubes+1, c.height, c.width)
	y = graph.Slice(y, graph.AxisRange(dx, dx+1), graph.AxisRange(), graph.AxisRange(0, planes*c.cubes),
		graph.AxisRange(0, c.heightO), graph.AxisRange(dx, dx+c.widthO))
	return graph.Reshape(y, c.out, planes, c.cubes, c.heightO, c.widthO)
}

// depthRows returns the k views of x shifted along depth, for planes s[0] to s[1]-1, as rows: [in*k, positions].
func (c convolution) depthRows(x *graph.Node, s [2]int) *graph.Node {
	var shifted []*graph.Node
	for dz := range c.k {
		v := cutAxis(x, 1, s[0]+dz, s[1]+dz)
		shifted = append(shifted, graph.Reshape(v, c.in, 1, (s[1]-s[0])*c.plane()))
	}
	return graph.Reshape(join(shifted, 1), c.in*c.k, -1)
}

// unfoldRows returns, for each row of x [rows, length], its k views shifted by 0, stride, ... (k-1)*stride:
// [rows*k, length+tail+stride]. View i holds at position p the row's value at p+i*stride where that exists; further
// positions hold zeros or other values of x, of no meaning.
//
// It copies in bulk only: k copies of a row of length n, each followed by the tail of zeros, and k*stride zeros at
// the end, read as rows of length n+tail+stride, are exactly those views.
func unfoldRows(x *graph.Node, k, stride, tail int) *graph.Node {
	rows, length := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	var pieces []*graph.Node
	for range k {
		pieces = append(pieces, x)
		if tail > 0 {
			pieces = append(pieces, zeros(x, rows, tail))
		}
	}
	pieces = append(pieces, zeros(x, rows, k*stride))
	return graph.Reshape(graph.Concatenate(pieces, 1), rows*k, length+tail+stride)
}

// weightGradient is the product of the output's gradient with the columns, the long axis of positions contracted.
func (c convolution) weightGradient(x, v, kept *graph.Node) *graph.Node {
	build, part, perPlane := c.planeColumns, c.planeWeightGradient, c.in*c.k*c.k*c.plane()
	if c.lowering == exactShifts {
		build, part, perPlane = c.exactColumns, c.exactWeightGradient, perPlane*c.k
	}
	var sum *graph.Node
	for _, s := range slabs(c.depthO, perPlane, maxColumnValues) {
		columns := kept
		if kept == nil {
			// Not before the gradient is there: columns built early would lie in memory until then.
			columns = build(c.queue.wait(graph.SchedulingBarrier(x, v)), s)
		}
		g := part(cutAxis(v, 1, s[0], s[1]), columns)
		if perPlane*c.depthO > keepColumnValues {
			c.queue.end(g)
		}
		if sum == nil {
			sum = g
		} else {
			sum = graph.Add(sum, g)
		}
	}
	return sum
}

func (c convolution) exactWeightGradient(v, columns *graph.Node) *graph.Node {
	return graph.Reshape(productT(graph.Reshape(v, c.out, -1), columns), c.out, c.in, c.k, c.k, c.k)
}

// planeWeightGradient needs only the columns of planeColumns: the shifts along the width are made on the other side,
// on the output's gradient, whose border zeros meet the columns' positions without meaning.
func (c convolution) planeWeightGradient(v, columns *graph.Node) *graph.Node {
	v = graph.Reshape(c.padToInput(v), c.out, -1)
	v = graph.Concatenate([]*graph.Node{zeros(v, c.out, c.k-1), v}, 1)
	v = unfoldRows(v, c.k, 1, c.height*c.width-c.k)
	// View i is shifted by i-(k-1), so it belongs to the weight of shift k-1-i.
	g := graph.Reshape(productT(columns, v), c.in*c.k*c.k, c.out, c.k)
	g = graph.Transpose(graph.Reverse(g, 2), 0, 1)
	return graph.Reshape(g, c.out, c.in, c.k, c.k, c.k)
}

// padToInput puts zeros at the end of lines and images of an output's gradient so that they have the input's size.
func (c convolution) padToInput(v *graph.Node) *graph.Node {
	return padEnd(padEnd(v, 4, c.k-1), 3, c.k-1)
}

// inputGradient is the convolution of the output's gradient, surrounded by zeros, with the flipped weights.
func (c convolution) inputGradient(weights, v *graph.Node) *graph.Node {
	// [out, in, z, y, x] flipped in z and y becomes [x, in, out, z, y].
	w := graph.Reverse(graph.Reshape(weights, c.out, c.in, c.k*c.k, c.k), 2)
	w = graph.Reshape(graph.TransposeAllAxes(w, 3, 1, 0, 2), c.k*c.in, c.out*c.k*c.k)
	// In the flat order the zeros at the end of a line are also those before the next: only depth and the very
	// first line need zeros in front.
	v = c.padToInput(v)
	perPlane := c.out * c.k * c.k * c.plane()
	small := perPlane*c.depth <= keepColumnValues
	var done []*graph.Node
	for _, s := range slabs(c.depth, perPlane, maxColumnValues) {
		vs := v
		if !small {
			vs = c.queue.wait(v)
		}
		q := product(w, unfoldRows(c.gradientRows(vs, s), c.k, c.width, 0))
		var sum *graph.Node
		for dx := range c.k {
			start, length := c.k-1-dx, (s[1]-s[0])*c.plane()
			g := graph.Slice(q, graph.AxisRange(dx*c.in, (dx+1)*c.in), graph.AxisRange(start, start+length))
			if sum == nil {
				sum = g
			} else {
				sum = graph.Add(sum, g)
			}
		}
		if !small {
			c.queue.end(sum)
		}
		done = append(done, graph.Reshape(sum, c.in, s[1]-s[0], c.cubes, c.height, c.width))
	}
	return join(done, 1)
}

// gradientRows returns the k views, shifted along depth, of a padded output's gradient between k-1 planes of zeros, for
// planes s[0] to s[1]-1 of the input: [out*k, positions], with (k-1)*(width+1) zeros before each row.
func (c convolution) gradientRows(v *graph.Node, s [2]int) *graph.Node {
	var pieces []*graph.Node
	flat := graph.Reshape(v, c.out, -1)
	addZeros := func(n int) {
		if n > 0 {
			pieces = append(pieces, zeros(v, c.out, n))
		}
	}
	for dz := range c.k {
		// Planes of v that this view shows, and the zeros before and after them.
		from, to := max(0, s[0]+dz-c.k+1), min(c.depthO, s[1]+dz-c.k+1)
		before, after := max(0, c.k-1-dz-s[0]), max(0, s[1]+dz-c.k+1-c.depthO)
		addZeros((c.k-1)*(c.width+1) + min(before, s[1]-s[0])*c.plane())
		if from < to {
			pieces = append(pieces, cutAxis(flat, 1, from*c.plane(), to*c.plane()))
		}
		addZeros(min(after, s[1]-s[0]) * c.plane())
	}
	return graph.Reshape(join(pieces, 1), c.out*c.k, -1)
}

// maxPoolAxes is the maximum over disjoint boxes of k positions along each of the axes; positions at the end that fill
// no box are dropped. One axis is done after the other: from depth to width, most of the work is on long contiguous
// runs. Where several positions of a box share the maximum, the whole gradient goes to one of them: among those the one
// of the lowest index along the last axis, then the one before it, and so on.
func maxPoolAxes(x *graph.Node, k int, axes ...int) *graph.Node {
	for _, axis := range axes {
		x = maxPoolAxis(x, axis, k)
	}
	return x
}

func maxPoolAxis(x *graph.Node, axis, k int) *graph.Node {
	dims := x.Shape().Dimensions
	size, before, after := dims[axis]/k, product1(dims[:axis]), product1(dims[axis+1:])
	outDims := append([]int{}, dims...)
	outDims[axis] = size
	var views []*graph.Node
	var top *graph.Node
	out := withGradient([]*graph.Node{x},
		func(in []*graph.Node) []*graph.Node {
			flat := graph.Reshape(in[0], before, dims[axis], after)
			for i := range k {
				end := i + (size-1)*k + 1
				views = append(views, graph.Slice(flat, graph.AxisRange(), graph.AxisRange(i, end).Stride(k)))
			}
			top = views[0]
			for _, v := range views[1:] {
				top = graph.Max(top, v)
			}
			return []*graph.Node{graph.Reshape(top, outDims...)}
		},
		func(_, v []*graph.Node) []*graph.Node {
			rest := graph.Reshape(v[0], before, size, after)
			none := graph.ScalarZero(rest.Graph(), rest.DType())
			pieces := make([]*graph.Node, k)
			for i := range k - 1 {
				hit := graph.Equal(views[i], top)
				pieces[i] = graph.Reshape(graph.Where(hit, rest, none), before, size, 1, after)
				rest = graph.Where(hit, none, rest)
			}
			pieces[k-1] = graph.Reshape(rest, before, size, 1, after)
			g := padEnd(graph.Reshape(join(pieces, 2), before, size*k, after), 1, dims[axis]-size*k)
			return []*graph.Node{graph.Reshape(g, dims...)}
		})
	return out[0]
}

// product is the matrix product of w [m, k] and x [k, n].
func product(w, x *graph.Node) *graph.Node {
	return graph.DotGeneral(w, []int{1}, nil, x, []int{0}, nil)
}

// productT is the matrix product of a [m, k] and the transpose of b [n, k].
func productT(a, b *graph.Node) *graph.Node {
	return graph.DotGeneral(a, []int{1}, nil, b, []int{1}, nil)
}

// zeros returns zeros of the given dimensions in x's data type.
func zeros(x *graph.Node, dims ...int) *graph.Node {
	return graph.Zeros(x.Graph(), shapes.Make(x.DType(), dims...))
}

// padEnd puts n zeros after the end of an axis.
func padEnd(x *graph.Node, axis, n int) *graph.Node {
	if n == 0 {
		return x
	}
	dims := append([]int{}, x.Shape().Dimensions...)
	dims[axis] = n
	return graph.Concatenate([]*graph.Node{x, zeros(x, dims...)}, axis)
}

// cutAxis returns x from start to end-1 along an axis; where that is all of it, x itself.
func cutAxis(x *graph.Node, axis, start, end int) *graph.Node {
	if start == 0 && end == x.Shape().Dimensions[axis] {
		return x
	}
	ranges := make([]graph.SliceAxisSpec, axis+1)
	for i := range ranges {
		ranges[i] = graph.AxisRange()
	}
	ranges[axis] = graph.AxisRange(start, end)
	return graph.Slice(x, ranges...)
}

// join concatenates along an axis; a single node is returned as it is.
func join(xs []*graph.Node, axis int) *graph.Node {
	if len(xs) == 1 {
		return xs[0]
	}
	return graph.Concatenate(xs, axis)
}

func product1(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}
