package cnn

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"hounsfield/models/engine"
)

// Explainer asks what a network looks at: it gives the slopes of a score with respect to the cube and to what leaves a
// layer, and maps made of them.
//
// What is explained is the log-odds of the score, log(risk/(1-risk)): positive values raise the predicted risk of death.
// For the two logits that is the one of death less the one of survival, which after training with the Cox loss is the
// log hazard ratio; for intervals of time it is the log-odds of dying within two years.
//
// Cubes and maps hold Spec.Input^3 values in the order z, y, x, cubes normalised to 0..1. Cubes are dispatched in
// batches, one at a time for a large network, so memory does not grow with their number; a result does not depend on
// the other cubes. An Explainer is used by one goroutine at a time.
type Explainer struct {
	engine    *engine.Engine
	spec      Spec
	intervals []float64
	network   *network
	store     *model.Store
	scorer    *scorer
	batch     int
	compiled  map[view]*model.Exec
}

// view says what the graph of an Explainer gives.
type view struct {
	layer  string // what leaves this convolution and its slope; "": the slope of the input
	guided bool   // by guided backpropagation
}

// NewExplainer readies a model on an engine. Close it after use. Errors: *SpecError, *DataError for weights that do not
// suit the network, *engine.SettingError.
func NewExplainer(e *engine.Engine, m *Model) (*Explainer, error) {
	n, err := newNetwork(m.Spec, planOf(e))
	if err != nil {
		return nil, err
	}
	n.lowest = -1 // the first convolution, too, passes its gradient on
	x := &Explainer{engine: e, spec: m.Spec, intervals: m.Intervals, network: n, batch: scoreBatch, compiled: map[view]*model.Exec{}}
	if m.Spec.large() {
		x.batch = 1
	}
	if x.store, err = m.store(); err != nil {
		return nil, err
	}
	if x.scorer, err = newScorer(e, m.Spec, x.store); err != nil {
		x.store.Finalize()
		return nil, err
	}
	x.scorer.batch = x.batch
	return x, nil
}

// Use explains another model of the same network from now on, without compiling anything again. Errors: *DataError.
func (x *Explainer) Use(m *Model) error {
	if hash(m.Spec) != hash(x.spec) || !slices.Equal(m.Intervals, x.intervals) {
		return &DataError{What: "the model", Problem: "is another network than the one being explained", Next: "make an Explainer for it"}
	}
	return x.network.setWeights(x.store, m.Weights)
}

// Close gives back what compiled graphs and weights hold.
func (x *Explainer) Close() {
	for _, exec := range x.compiled {
		exec.Finalize()
	}
	x.scorer.release()
	x.store.Finalize()
}

// LogOdds returns log(risk/(1-risk)) for each cube: higher is worse. A large network's differ from those of
// Model.Scores in the last digits, because the batch is another. Errors as of Model.Scores.
func (x *Explainer) LogOdds(ctx context.Context, cubes [][]float32) ([]float64, error) {
	logits, err := x.scorer.logits(ctx, cubes)
	if err != nil {
		return nil, err
	}
	odds := make([]float64, len(logits))
	for i, l := range logits {
		if x.intervals == nil {
			odds[i] = l[rowDead] - l[rowAlive]
			continue
		}
		h := cumulativeHazard(l, x.intervals)
		odds[i] = h + math.Log(-math.Expm1(-h))
	}
	return odds, nil
}

// Slopes returns the gradient of the log-odds with respect to each voxel, per unit of the normalised cube (4095 HU).
// With an averaged input all voxels of a box have the same, and those of no box 0.
//
// guided gives guided backpropagation instead (Springenberg et al. 2015, arXiv:1412.6806): on the way back, each
// activation passes on only what is positive, in addition to its own slope. The paper's is for ReLU; here the slope
// below zero stays that of the leaky ReLU. Without activations (LeakySlope 1) it is the gradient.
//
// Errors as of Model.Scores.
func (x *Explainer) Slopes(ctx context.Context, cubes [][]float32, guided bool) ([][]float64, error) {
	maps := make([][]float64, 0, len(cubes))
	err := x.run(ctx, view{guided: guided}, cubes, func(_ int, rows [][]float32) {
		maps = append(maps, spreadBoxes(rows[0], x.spec.Input, x.spec.InputPool))
	})
	return maps, err
}

// spreadBoxes turns the slopes of box means into those of the voxels [edge^3].
func spreadBoxes(boxes []float32, edge, pool int) []float64 {
	out := make([]float64, edge*edge*edge)
	n, share := edge/pool, 1/float64(pool*pool*pool)
	for z := range n * pool {
		for y := range n * pool {
			for x := range n * pool {
				out[(z*edge+y)*edge+x] = share * float64(boxes[(z/pool*n+y/pool)*n+x/pool])
			}
		}
	}
	return out
}

// GradCAM returns, for each cube, the gradient-weighted class activation map of a convolution (Selvaraju et al. 2017,
// doi:10.1109/ICCV.2017.74) with its sign: the sum over channels of what leaves the layer (after normalisation and
// activation, before a pool), each weighted by the mean over positions of the slope of the log-odds with respect to it.
// The paper's map is its positive part. A map lies on the layer's own grid, edge^3 values in the order z, y, x;
// Spec.Fields says where in the cube each of them is.
//
// Errors: *DataError for a layer that is no convolution, otherwise as of Model.Scores.
func (x *Explainer) GradCAM(ctx context.Context, layer string, cubes [][]float32) ([][]float64, error) {
	field, err := x.spec.convolution(layer)
	if err != nil {
		return nil, err
	}
	maps := make([][]float64, 0, len(cubes))
	err = x.run(ctx, view{layer: layer}, cubes, func(_ int, rows [][]float32) {
		maps = append(maps, weightedSum(rows[0], rows[1], field.Channels))
	})
	return maps, err
}

// weightedSum adds up channels [channels, positions], each times the mean of its slopes.
func weightedSum(values, slopes []float32, channels int) []float64 {
	n := len(values) / channels
	sum := make([]float64, n)
	for c := range channels {
		weight := 0.0
		for _, v := range slopes[c*n : (c+1)*n] {
			weight += float64(v)
		}
		weight /= float64(n)
		for i, v := range values[c*n : (c+1)*n] {
			sum[i] += weight * float64(v)
		}
	}
	return sum
}

// run computes a view of cubes, batch by batch, and hands each cube's outputs to take, in order.
func (x *Explainer) run(ctx context.Context, v view, cubes [][]float32, take func(i int, rows [][]float32)) error {
	edge := x.spec.Input
	size := edge * edge * edge
	for start := 0; start < len(cubes); start += x.batch {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("explaining stopped after %d of %d cubes: %w", start, len(cubes), err)
		}
		batch := cubes[start:min(start+x.batch, len(cubes))]
		for i, c := range batch {
			if err := checkCube(fmt.Sprintf("cube %d", start+i), c, size, edge); err != nil {
				return err
			}
		}
		in := tensors.FromShape(shapes.Make(dtypes.Float32, x.batch, edge, edge, edge, 1))
		err := tensors.MutableFlatData(in, func(flat []float32) {
			for i, c := range batch {
				copy(flat[i*size:], c)
			}
		})
		if err != nil {
			return fmt.Errorf("filling a batch of cubes: %w", err)
		}
		err = guard("explanation", in.Shape().String(), func() error { return x.runBatch(v, in, start, len(batch), take) })
		in.MustFinalizeAll()
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *Explainer) runBatch(v view, in *tensors.Tensor, start, cubes int, take func(i int, rows [][]float32)) error {
	exec := x.compiled[v]
	if exec == nil {
		var err error
		exec, err = model.NewExec(x.engine.Backend, x.store, func(scope *model.Scope, cubes *graph.Node) []*graph.Node {
			scope.Store().SetTraining(cubes.Graph(), true) // as in newScorer
			return x.network.explained(scope.Store(), cubes, v, x.intervals)
		})
		if err != nil {
			return err
		}
		x.compiled[v] = exec
	}
	out, err := exec.Call(in)
	if err != nil {
		return err
	}
	rows := make([][][]float32, cubes)
	for _, t := range out {
		err := tensors.ConstFlatData(t, func(flat []float32) {
			n := len(flat) / x.batch
			for i := range cubes {
				rows[i] = append(rows[i], slices.Clone(flat[i*n:(i+1)*n]))
			}
		})
		if err != nil {
			return err
		}
	}
	for _, t := range out {
		t.MustFinalizeAll()
	}
	for i := range cubes {
		take(start+i, rows[i])
	}
	return nil
}

// explained builds the graph of a view from cubes [cubes, depth, height, width, 1]: for a layer what leaves it and its
// slope, both [cubes, channels, depth, height, width]; else the slope of the (averaged) input,
// [cubes, 1, depth, height, width].
//
// It is the network of logits, in the same form, with each activation in front of a pool: there a pool comes first
// where that is cheaper, and what leaves the convolution is then never there.
func (n *network) explained(store *model.Store, x *graph.Node, v view, intervals []float64) []*graph.Node {
	b := &builder{network: n, store: store, g: x.Graph(), cubes: x.Shape().Dimensions[0]}
	native, planes := n.plan.native(), n.plan.planes(n.spec)
	var order []int // the axes of a part that are cubes, channels, depth, height, width
	switch {
	case native:
		b.cutNative(x)
		order = []int{0, 1, 2, 3, 4}
	case planes:
		b.cutPlanes(x)
		order = []int{3, 1, 0, 2, 4}
	default:
		b.cut(x)
		order = []int{2, 0, 1, 3, 4}
	}
	watched := slices.Clone(b.parts)
	for _, st := range n.spec.Stages {
		if p := st.Pool; p != nil {
			for i, part := range b.parts {
				switch {
				case native:
					b.parts[i] = maxPoolNative(part, p.Size)
				case planes:
					b.parts[i] = maxPoolAxes(part, p.Size, 0, 2, 4)
				default:
					b.parts[i] = maxPoolAxes(part, p.Size, 1, 3, 4)
				}
			}
			continue
		}
		name := b.layers[b.layer].name
		switch {
		case native:
			b.convolutionNative(afterNorm{pool: 1, slope: 1})
		case planes:
			b.mergePlanes()
			b.convolutionPlanes(1)
		default:
			b.convolve()
		}
		b.activateExplained(v.guided)
		if name == v.layer {
			watched = slices.Clone(b.parts)
		}
	}
	switch {
	case native:
		b.flattenNative()
	case planes:
		b.flattenPlanes()
	default:
		b.flatten()
	}
	for range n.spec.Dense {
		b.dense()
		b.activateExplained(v.guided)
	}
	b.dense()
	slopes := graph.Gradient(graph.ReduceAllSum(logOddsNode(graph.Transpose(b.parts[0], 0, 1), intervals)), watched...)
	joined := func(parts []*graph.Node) *graph.Node {
		turned := make([]*graph.Node, len(parts))
		for i, p := range parts {
			turned[i] = graph.TransposeAllAxes(p, order...)
		}
		return join(turned, 0)
	}
	if v.layer == "" {
		return []*graph.Node{joined(slopes)}
	}
	return []*graph.Node{joined(watched), joined(slopes)}
}

// activateExplained applies leaky ReLU to all parts; guided, its gradient passes on what is positive only.
func (b *builder) activateExplained(guided bool) {
	slope := b.spec.LeakySlope
	if slope == 1 {
		return
	}
	for i, p := range b.parts {
		b.parts[i] = withGradient([]*graph.Node{p},
			func(in []*graph.Node) []*graph.Node { return []*graph.Node{leaky(in[0], slope)} },
			func(in, v []*graph.Node) []*graph.Node {
				g := v[0]
				none := graph.ScalarZero(g.Graph(), g.DType())
				if guided {
					g = graph.Max(g, none)
				}
				return []*graph.Node{graph.Where(graph.GreaterThan(in[0], none), g, graph.MulScalar(g, slope))}
			})[0]
	}
}

// logOddsNode is the log-odds of the score [cubes, 1] of logits [cubes, outputs]; see LogOdds.
func logOddsNode(logits *graph.Node, intervals []float64) *graph.Node {
	if intervals == nil {
		return graph.Sub(columnOf(logits, rowDead), columnOf(logits, rowAlive))
	}
	shares := make([][]float64, len(intervals))
	for i, s := range horizonShares(intervals) {
		shares[i] = []float64{s}
	}
	h := product(softplusNode(logits), graph.ConstAsDType(logits.Graph(), logits.DType(), shares))
	// log(exp(h)-1) with t = tanh(h/2), exact for small h too: exp(h)-1 = exp(h) 2t/(1+t).
	t := graph.Tanh(graph.MulScalar(h, 0.5))
	return graph.Add(h, graph.Log(graph.Div(graph.MulScalar(t, 2), graph.OnePlus(t))))
}
