package cnn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
)

// partsOfBatch is how many parts a batch is cut into. The pure-Go engine runs most operations on one thread, but
// different operations side by side, so parts keep several threads busy. The number is fixed: sums over parts, and
// with them every bit of a result, must not depend on the machine's number of threads.
const partsOfBatch = 4

// The logits' rows. The study's file has the same order: its logit_0 is the risk.
const (
	rowDead  = 0
	rowAlive = 1
)

// Names of a layer's variables, under its own name as scope.
const (
	varWeights  = "weights"  // [out, in, k, k, k] or [out, in]
	varBias     = "bias"     // [out]
	varScale    = "scale"    // [out], of the normalisation
	varOffset   = "offset"   // [out], of the normalisation
	varMean     = "mean"     // [out], running average
	varVariance = "variance" // [out], running average
)

// variablePath is the path of a layer's variable in the model's store.
func variablePath(layer, name string) string { return "/" + layer + "/" + name }

// network builds the graph of a spec, for an engine, whose variables are in a store.
type network struct {
	spec   Spec
	plan   plan
	layers []layer

	// For training only; see freeze.
	lowest int             // index of the lowest layer that learns
	fixed  map[string]bool // layers that normalise by their running averages

	// observe, if set, is told what leaves each layer's normalisation.
	observe func(layer string, parts []*graph.Node)
}

// Errors: *SpecError, *engine.SettingError.
func newNetwork(s Spec, p plan) (*network, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	layers, err := s.layers()
	if err != nil {
		return nil, err
	}
	return &network{spec: s, plan: p, layers: layers}, nil
}

// initialise creates the network's variables in an empty store: weights uniform within ±sqrt(6/(fan in + fan out))
// (Glorot and Bengio 2010), biases and offsets 0, scales 1, running averages 0 and 1. It also sets the state of the
// generator for dropout. All of it is computed here and not by the engine, from streams of their own for each layer,
// so the same seed gives the same network everywhere.
func (n *network) initialise(store *model.Store, seed int64, dt dtypes.DType) error {
	for i, l := range n.layers {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
		limit := math.Sqrt(6 / float64(l.fanIn+l.fanOut))
		for _, v := range []struct {
			name      string
			dims      []int
			trainable bool
			value     func() float64
		}{
			{varWeights, n.weightDims(l), true, func() float64 { return limit * (2*rng.Float64() - 1) }},
			{varBias, []int{l.out}, true, constant(0)},
			{varScale, []int{l.out}, true, constant(1)},
			{varOffset, []int{l.out}, true, constant(0)},
			{varMean, []int{l.out}, false, constant(0)},
			{varVariance, []int{l.out}, false, constant(1)},
		} {
			t := tensors.FromShape(shapes.Make(dt, v.dims...))
			if err := fill(t, v.value); err != nil {
				return err
			}
			variable, err := store.CreateVariable(variablePath(l.name, v.name), t)
			if err != nil {
				return err
			}
			variable.SetTrainable(v.trainable)
		}
	}
	// Not by SetRNGStateFromSeed: in GoMLX v0.28.8 its variable lacks its store, which several devices need.
	state, err := graph.RNGStateFromSeed(seed)
	if err != nil {
		return err
	}
	rng, err := store.CreateVariable(model.RNGStateVariableName, state)
	if err != nil {
		return err
	}
	rng.SetTrainable(false)
	return nil
}

func (n *network) weightDims(l layer) []int {
	if l.kernel == 0 {
		return []int{l.out, l.in}
	}
	return []int{l.out, l.in / (l.kernel * l.kernel * l.kernel), l.kernel, l.kernel, l.kernel}
}

func constant(v float64) func() float64 { return func() float64 { return v } }

func fill(t *tensors.Tensor, value func() float64) error {
	return t.MutableFlatData(func(flat any) {
		switch f := flat.(type) {
		case []float32:
			for i := range f {
				f[i] = float32(value())
			}
		case []float64:
			for i := range f {
				f[i] = value()
			}
		}
	})
}

// builder builds one graph.
type builder struct {
	*network
	store    *model.Store
	g        *graph.Graph
	training bool
	cubes    int
	parts    []*graph.Node
	layer    int // index of the next layer with weights
	penalty  *graph.Node
}

// logits builds the graph from cubes [cubes, depth, height, width, 1] in 0..1 to logits [cubes, 2]; column rowDead
// is for death, column rowAlive for survival. With Spec.Outputs they are [cubes, outputs], of the hazard of death in
// each interval of time. In training it also updates the running averages and adds the activity
// penalty to the trainer's loss.
func (n *network) logits(store *model.Store, x *graph.Node, training bool) *graph.Node {
	x.AssertDims(-1, n.spec.Input, n.spec.Input, n.spec.Input, 1)
	b := &builder{network: n, store: store, g: x.Graph(), training: training, cubes: x.Shape().Dimensions[0]}
	switch {
	case n.plan.native():
		b.cutNative(x)
		b.stagesNative()
		b.flattenNative()
	case n.plan.planes(n.spec):
		b.cutPlanes(x)
		b.stagesPlanes()
		b.flattenPlanes()
	default:
		b.cut(x)
		b.stages()
		b.flatten()
	}
	for _, d := range n.spec.Dense {
		b.dense()
		b.activate(n.spec.LeakySlope, d.Dropout)
	}
	b.dense()
	if b.penalty != nil {
		train.AddRegularizationLoss(b.penalty)
	}
	return graph.Transpose(b.parts[0], 0, 1)
}

// stages builds the convolutions and pools.
func (b *builder) stages() {
	slope := 1.0 // of an activation that is still due
	for i, st := range b.spec.Stages {
		if c := st.Conv; c != nil {
			b.activate(slope, 0)
			b.convolve()
			slope = b.spec.LeakySlope
			// The activation keeps the order of values, so it may come after a pool, where there are fewer.
			if i+1 == len(b.spec.Stages) || b.spec.Stages[i+1].Pool == nil || c.Dropout > 0 {
				b.activate(slope, c.Dropout)
				slope = 1
			}
			continue
		}
		for j, p := range b.parts {
			b.parts[j] = maxPoolAxes(p, st.Pool.Size, 1, 3, 4)
		}
		b.activate(slope, st.Pool.Dropout)
		slope = 1
	}
}

// cut averages the input and cuts it into parts [1, depth, cubes, height, width].
func (b *builder) cut(x *graph.Node) {
	count := min(partsOfBatch, b.cubes)
	edge := b.spec.Input
	x = graph.Reshape(x, b.cubes, edge, edge, edge)
	for i := range count {
		p := x
		if count > 1 {
			p = graph.Slice(x, graph.AxisRange(i*b.cubes/count, (i+1)*b.cubes/count))
		}
		p = meanPool(p, b.spec.InputPool)
		dims := p.Shape().Dimensions
		p = graph.Transpose(p, 0, 1)
		b.parts = append(b.parts, graph.Reshape(p, 1, dims[1], dims[0], dims[2], dims[3]))
	}
}

// node returns a variable's node.
func (b *builder) node(layer, name string) *graph.Node { return b.variable(layer, name).NodeValue(b.g) }

func (b *builder) variable(layer, name string) *model.Variable {
	v := b.store.GetVariable(variablePath(layer, name))
	if v == nil {
		panic(fmt.Errorf("variable %s is not in the store", variablePath(layer, name)))
	}
	return v
}

func (b *builder) norm(layer string) normLayer {
	return normLayer{bias: b.node(layer, varBias), scale: b.node(layer, varScale), offset: b.node(layer, varOffset),
		mean: b.node(layer, varMean), variance: b.node(layer, varVariance)}
}

func (b *builder) next() layer {
	l := b.layers[b.layer]
	b.layer++
	return l
}

func (b *builder) convolve() {
	l := b.next()
	q := &queue{}
	b.linear(l, func(x, w *graph.Node) *graph.Node { return convolveColumns(x, w, q, b.layer-1 <= b.lowest) })
}

func (b *builder) dense() {
	l := b.next()
	b.linear(l, func(x, w *graph.Node) *graph.Node {
		x.AssertDims(l.in, b.cubes)
		return product(w, x)
	})
}

// linear applies a layer's weights to all parts and normalises.
func (b *builder) linear(l layer, apply func(x, w *graph.Node) *graph.Node) {
	w, norm := b.node(l.name, varWeights), b.norm(l.name)
	w.AssertDims(b.weightDims(l)...)
	apply = b.plan.inPrecision(apply)
	if b.observe != nil {
		defer func() { b.observe(l.name, b.parts) }()
	}
	b.stopBelow()
	if !b.training || b.fixed[l.name] {
		factor, constant := foldNorm(norm, b.spec.NormEpsilon)
		w = graph.Reshape(graph.Mul(graph.Reshape(w, l.out, l.in), column(factor)), w.Shape().Dimensions...)
		for i, p := range b.parts {
			y := apply(p, w)
			flat := graph.Reshape(y, l.out, -1)
			b.parts[i] = graph.Reshape(graph.Add(flat, spread(column(constant), flat)), y.Shape().Dimensions...)
		}
		return
	}
	ys := make([]*graph.Node, len(b.parts))
	for i, p := range b.parts {
		ys[i] = apply(p, w)
	}
	b.normalised(l, normaliseTraining(ys, norm, b.spec.NormEpsilon, b.spec.ActivityL2, b.cubes))
}

// stopBelow cuts the gradient off in front of the lowest layer that learns, which is next to be built.
func (b *builder) stopBelow() {
	if b.training && b.layer-1 == b.lowest && b.lowest > 0 {
		for i, p := range b.parts {
			b.parts[i] = graph.StopGradient(p)
		}
	}
}

// normalised takes the result of a layer's normalisation by the batch: the parts, the penalty, the running averages.
func (b *builder) normalised(l layer, r normalised) {
	b.parts = r.parts
	if b.spec.ActivityL2 > 0 {
		if b.penalty == nil {
			b.penalty = r.penalty
		} else {
			b.penalty = graph.Add(b.penalty, r.penalty)
		}
	}
	b.follow(l.name, varMean, r.mean)
	b.follow(l.name, varVariance, r.variance)
}

// follow moves a running average towards the batch's value.
func (b *builder) follow(layer, name string, batch *graph.Node) {
	v, m := b.variable(layer, name), b.spec.NormMomentum
	v.SetNodeValue(graph.Add(graph.MulScalar(v.NodeValue(b.g), m), graph.MulScalar(graph.StopGradient(batch), 1-m)))
}

// activate applies leaky ReLU and, in training, dropout to all parts.
func (b *builder) activate(slope, drop float64) {
	if b.plan.native() {
		b.activateNative(slope, drop)
		return
	}
	for i, p := range b.parts {
		switch {
		case !b.training:
			b.parts[i] = leaky(p, slope)
		case drop == 0:
			b.parts[i] = activateTraining(p, slope, 0, nil)
		default:
			b.parts[i] = activateTraining(p, slope, drop, b.store.RandomUniform(b.g, p.Shape()))
		}
	}
}

// flatten joins the parts into one of shape [features, cubes]. A cube's features are in the order depth, height,
// width, channel, as in the study's network.
func (b *builder) flatten() {
	for i, p := range b.parts {
		cubes := p.Shape().Dimensions[2]
		b.parts[i] = graph.Reshape(graph.TransposeAllAxes(p, 1, 3, 4, 0, 2), -1, cubes)
	}
	b.parts = []*graph.Node{join(b.parts, 1)}
}

// isWeight tells whether a variable belongs to the network itself and not to the optimiser, the generator or the
// trainer's metrics.
func (n *network) isWeight(path string) bool {
	for _, l := range n.layers {
		if strings.HasPrefix(path, "/"+l.name+"/") {
			return true
		}
	}
	return false
}
