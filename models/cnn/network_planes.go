package cnn

import "github.com/gomlx/gomlx/core/graph"

// The form of planes, for large convolutions on engines without a fast convolution of their own. A part is [depth,
// channels, height, cubes, width]; see winograd.go for why.

// widePlane is the number of positions of a plane, all cubes of a part together, up to which parts are joined: the
// products of smaller ones are slower.
const widePlane = 400

// cutPlanes averages the input and cuts it into parts of one cube, [depth, 1, height, 1, width]: a large cube alone
// fills the caches.
func (b *builder) cutPlanes(x *graph.Node) {
	edge := b.spec.Input
	x = graph.Reshape(x, b.cubes, edge, edge, edge)
	for i := range b.cubes {
		p := meanPool(cutAxis(x, 0, i, i+1), b.spec.InputPool)
		dims := p.Shape().Dimensions
		b.parts = append(b.parts, graph.Reshape(p, dims[1], 1, dims[2], 1, dims[3]))
	}
}

// stagesPlanes builds the convolutions and pools.
func (b *builder) stagesPlanes() {
	stages := b.spec.Stages
	for i := 0; i < len(stages); i++ {
		if p := stages[i].Pool; p != nil {
			for j, part := range b.parts {
				b.parts[j] = maxPoolAxes(part, p.Size, 0, 2, 4)
			}
			b.activate(1, p.Dropout)
			continue
		}
		pool, drop := 1, stages[i].Conv.Dropout
		if drop == 0 && i+1 < len(stages) && stages[i+1].Pool != nil {
			// The activation keeps the order of values, so it may come after the pool, where there are fewer.
			pool, drop = stages[i+1].Pool.Size, stages[i+1].Pool.Dropout
			i++
		}
		b.mergePlanes()
		b.convolutionPlanes(pool)
		b.activate(b.spec.LeakySlope, drop)
	}
}

// mergePlanes joins parts of small planes, but never to fewer than two, which keep two threads busy.
func (b *builder) mergePlanes() {
	dims := b.parts[0].Shape().Dimensions
	group := 1
	for len(b.parts)%(2*group) == 0 && len(b.parts) > 2*group && dims[2]*dims[3]*dims[4]*group < widePlane {
		group *= 2
	}
	var merged []*graph.Node
	for i := 0; i < len(b.parts); i += group {
		merged = append(merged, join(b.parts[i:i+group], 3))
	}
	b.parts = merged
}

// convolutionPlanes builds one convolution with its normalisation and the pool that follows (1: none).
func (b *builder) convolutionPlanes(pool int) {
	l := b.next()
	w, norm := b.node(l.name, varWeights), b.norm(l.name)
	w.AssertDims(b.weightDims(l)...)
	if b.observe != nil {
		defer func() { b.observe(l.name, b.parts) }()
	}
	b.stopBelow()
	q := &queue{}
	if !b.training || b.fixed[l.name] {
		factor, constant := foldNorm(norm, b.spec.NormEpsilon)
		w = graph.Mul(w, perOutput(factor))
		for i, p := range b.parts {
			y := maxPlanes(b.convolvePlanes(p, w, pool, q), pool).top
			rows := planeRows(y)
			rows = graph.Add(rows, spreadPlanes(column(constant), rows))
			b.parts[i] = graph.Reshape(rows, y.Shape().Dimensions...)
		}
		return
	}
	var sign *graph.Node
	if pool > 1 { // see normalisePlanes
		sign = signs(norm.scale)
		w = graph.Mul(w, perOutput(sign))
	}
	ys := make([][]*graph.Node, len(b.parts))
	for i, p := range b.parts {
		ys[i] = b.convolvePlanes(p, w, pool, q)
	}
	b.normalised(l, normalisePlanes(ys, norm, sign, pool, b.spec.NormEpsilon, b.spec.ActivityL2, b.cubes))
}

// convolvePlanes convolves one part; the output's planes come in the groups of phases. Where Winograd's tiles do not
// fit, it is done with columns.
func (b *builder) convolvePlanes(x, w *graph.Node, pool int, q *queue) []*graph.Node {
	first, dims := b.layer-1 <= b.lowest, x.Shape().Dimensions
	kernel := w.Shape().Dimensions[2]
	if winogradFits(kernel, dims[0]) {
		return convolveWinograd(x, w, pool, q, first)
	}
	y := convolveColumns(graph.TransposeAllAxes(x, 1, 0, 3, 2, 4), w, q, first)
	y = graph.TransposeAllAxes(y, 1, 0, 3, 2, 4)
	var groups []*graph.Node
	depth, size := y.Shape().Dimensions[0], y.Shape().Dimensions[0]/pool
	for i := range pool {
		groups = append(groups, graph.Slice(y, graph.AxisRange(i, i+(size-1)*pool+1).Stride(pool)))
	}
	if depth > size*pool {
		groups = append(groups, cutAxis(y, 0, size*pool, depth))
	}
	return groups
}

// flattenPlanes joins the parts into one of shape [features, cubes]; see flatten.
func (b *builder) flattenPlanes() {
	all := join(b.parts, 3)
	b.parts = []*graph.Node{graph.Reshape(graph.TransposeAllAxes(all, 0, 2, 4, 1, 3), -1, all.Shape().Dimensions[3])}
}
