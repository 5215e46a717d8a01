package cnn

import "github.com/gomlx/gomlx/core/graph"

// A convolution with kernels of three along the depth needs half of the products when it is done in tiles of four
// output planes (Winograd 1980; the matrices are those of Lavin and Gray 2016, arXiv:1509.09308, for F(4,3)): six
// combinations of a tile's six input planes (its points) are each convolved within their plane, and four
// combinations of the results are the output. Height and width stay with the engine's own convolution.
//
// A combination of planes is a product with a constant banded matrix over all tiles at once. So it runs as a
// convolution with kernel size one, whose channels are the planes.

const (
	tileOut    = 4
	tilePoints = 6
)

var (
	// planesToPoint[p][i] is the weight of a tile's input plane i in point p.
	planesToPoint = [tilePoints][tilePoints]float64{
		{4, 0, -5, 0, 1, 0},
		{0, -4, -4, 1, 1, 0},
		{0, 4, -4, -1, 1, 0},
		{0, -2, -1, 2, 1, 0},
		{0, 2, -1, -2, 1, 0},
		{0, 4, 0, -5, 0, 1},
	}
	// kernelToPoint[p][i] is the weight of kernel plane i in point p.
	kernelToPoint = [tilePoints][3]float64{
		{1. / 4, 0, 0},
		{-1. / 6, -1. / 6, -1. / 6},
		{-1. / 6, 1. / 6, -1. / 6},
		{1. / 24, 1. / 12, 1. / 6},
		{1. / 24, -1. / 12, 1. / 6},
		{0, 0, 1},
	}
	// pointToPlane[i][p] is the weight of point p in a tile's output plane i.
	pointToPlane = [tileOut][tilePoints]float64{
		{1, 1, 1, 1, 1, 0},
		{0, 1, -1, 2, -2, 0},
		{0, 1, 1, 4, 4, 0},
		{0, 1, -1, 8, -8, 1},
	}
)

// minTiledChannels is the number of channels from which on tiles are faster than the plain convolution.
var minTiledChannels = 16

// depthTiles returns the number of tiles of a convolution, 0 where it is better done without.
func depthTiles(k, in, out, depthO int) int {
	if k != 3 || min(in, out) < minTiledChannels || depthO < 3 {
		return 0
	}
	return (depthO + tileOut - 1) / tileOut
}

// band returns a matrix [tiles, planes] with weight(i) at [t, 4t+i] for i below n; what lies beyond planes is cut off.
func band(tiles, planes, n int, weight func(i int) float64) [][]float64 {
	m := make([][]float64, tiles)
	for t := range m {
		m[t] = make([]float64, planes)
		for i := range n {
			if z := t*tileOut + i; z < planes {
				m[t][z] = weight(i)
			}
		}
	}
	return m
}

// pointBands returns, for each point, the matrix [tiles, depth] from input planes.
func (c nativeConvolution) pointBands() (m [tilePoints][][]float64) {
	for p := range m {
		m[p] = band(c.tiles, c.depth, tilePoints, func(i int) float64 { return planesToPoint[p][i] })
	}
	return m
}

// gradientBands returns, for each point, the matrix [tiles, depthO] from the planes of the output's gradient.
func (c nativeConvolution) gradientBands() (m [tilePoints][][]float64) {
	for p := range m {
		m[p] = band(c.tiles, c.depthO, tileOut, func(i int) float64 { return pointToPlane[i][p] })
	}
	return m
}

// stacked puts the transposed matrices side by side: [planes, points*tiles].
func stacked(m [tilePoints][][]float64) [][]float64 {
	tiles, planes := len(m[0]), len(m[0][0])
	s := make([][]float64, planes)
	for z := range s {
		s[z] = make([]float64, tilePoints*tiles)
		for p := range m {
			for t := range tiles {
				s[z][p*tiles+t] = m[p][t][z]
			}
		}
	}
	return s
}

// combine multiplies m [rows, planes] with x [any, planes, rest], along planes: [any, rows, rest].
func combine(m [][]float64, x *graph.Node) *graph.Node { return combineBy(constantMatrix(m, x), x) }

func combineBy(m, x *graph.Node) *graph.Node {
	return engineConvolution(x, graph.InsertAxes(m, -1), kernelOptions{})
}

func constantMatrix(m [][]float64, like *graph.Node) *graph.Node {
	return graph.ConvertDType(graph.Const(like.Graph(), m), like.DType())
}

// kernelPoints returns weights [out, in, 3, k, k], or their like with other leading axes, as one kernel
// [out, in, 1, k, k] for each point.
func kernelPoints(weights *graph.Node) (points [tilePoints]*graph.Node) {
	dims := weights.Shape().Dimensions
	w := graph.Reshape(graph.TransposeAllAxes(weights, 2, 0, 1, 3, 4), 3, -1)
	m := make([][]float64, tilePoints)
	for p := range m {
		m[p] = kernelToPoint[p][:]
	}
	w = product(constantMatrix(m, w), w)
	for p := range points {
		points[p] = graph.Reshape(cutAxis(w, 0, p, p+1), dims[0], dims[1], 1, dims[3], dims[4])
	}
	return points
}

func (c nativeConvolution) forwardTiles(x, weights *graph.Node) *graph.Node {
	flat := graph.Reshape(x, c.cubes*c.in, c.depth, -1)
	kernels := kernelPoints(weights)
	var results []*graph.Node
	for p, m := range c.pointBands() {
		planes := graph.Reshape(combine(m, flat), c.cubes, c.in, c.tiles, c.height, c.width)
		y := engineConvolution(planes, kernels[p], kernelOptions{})
		results = append(results, graph.Reshape(y, c.cubes*c.out, c.tiles, -1))
	}
	y := combine(stacked(c.gradientBands()), join(results, 1))
	return graph.Reshape(y, c.cubes, c.out, c.depthO, c.heightO, c.widthO)
}

// gradientsTiles uses that output and both gradients are linear in each other: the gradient of a combination is the
// combination by the transposed matrix.
func (c nativeConvolution) gradientsTiles(x, weights, v *graph.Node, first bool) []*graph.Node {
	flat := graph.Reshape(v, c.cubes*c.out, c.depthO, -1)
	last := c.channelsLast(x)
	var flipped [tilePoints]*graph.Node
	if !first {
		flipped = kernelPoints(graph.Reverse(graph.Transpose(weights, 0, 1), 3, 4))
	}
	pad := [2]int{c.k - 1, c.k - 1}
	var ofKernels, ofPlanes []*graph.Node
	gradientBands := c.gradientBands()
	for p, m := range c.pointBands() {
		toPoint := c.sequence.next(constantMatrix(gradientBands[p], flat))
		vp := graph.Reshape(combineBy(toPoint, flat), c.cubes, c.out, c.tiles, c.heightO, c.widthO)
		ofKernels = append(ofKernels, graph.Reshape(c.shiftedProducts(combine(m, last), vp), 1, -1))
		if !first {
			g := engineConvolution(vp, flipped[p], kernelOptions{pads: [][2]int{{0, 0}, pad, pad}})
			ofPlanes = append(ofPlanes, graph.Reshape(g, c.cubes*c.in, c.tiles, -1))
		}
	}
	m := make([][]float64, 3)
	for i := range m {
		for p := range kernelToPoint {
			m[i] = append(m[i], kernelToPoint[p][i])
		}
	}
	grads := []*graph.Node{nil, c.fromShifts(product(constantMatrix(m, x), join(ofKernels, 0)))}
	if !first {
		g := combine(stacked(c.pointBands()), join(ofPlanes, 1))
		grads[0] = graph.Reshape(g, c.cubes, c.in, c.depth, c.height, c.width)
		c.sequence.done = grads
	}
	return grads
}
