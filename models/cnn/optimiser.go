package cnn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// adam is the optimiser: Adam with decoupled weight decay, clipping by the norm of the whole gradient, and learning
// rates by layer. GoMLX's own Adam decays biases and scales too, knows one learning rate and does not clip by norm;
// without those settings the numbers are the same as its, bit for bit.
//
// Its state lies in the store, in the dtype of the variables (float32, whatever precision the network computes in),
// under optimiserScope: the step counter, the learning rate, and for each trained variable the running means of its
// gradient and of the gradient's square. Gradients that wait for a step lie under accumulatedScope.
//
// A step whose loss or gradient is not finite leaves the network's variables as they were, so that findCause can
// look at them.
type adam struct {
	config     TrainConfig
	trained    []trained
	step, rate *model.Variable // scalars: steps made, the learning rate
}

// trained is one variable that training changes.
type trained struct {
	variable     *model.Variable
	layer, name  string
	factor       float64 // on the learning rate
	mean, square *model.Variable
	accumulated  *model.Variable // nil unless gradients are accumulated
}

const (
	optimiserScope   = "/optimiser"
	accumulatedScope = "/accumulated"
	stepPath         = optimiserScope + "/step"
	ratePath         = optimiserScope + "/learning_rate"

	adamMean, adamSquare, adamEpsilon = 0.9, 0.999, 1e-7
)

// newAdam finds the trained variables of a network and creates what the store lacks of the optimiser's state.
func newAdam(n *network, store *model.Store, config TrainConfig, groups map[string]group) (*adam, error) {
	state := func(path string, dt dtypes.DType, dims ...int) (*model.Variable, error) {
		if v := store.GetVariable(path); v != nil {
			return v, nil
		}
		v, err := store.CreateVariable(path, tensors.FromShape(shapes.Make(dt, dims...)))
		if err != nil {
			return nil, err
		}
		return v.SetTrainable(false), nil
	}
	a := &adam{config: config}
	dt := store.GetVariable(variablePath(n.layers[0].name, varWeights)).DType()
	var err error
	if a.step, err = state(stepPath, dt); err != nil {
		return nil, err
	}
	if a.rate, err = state(ratePath, dt); err != nil {
		return nil, err
	}
	for _, l := range n.layers {
		for _, name := range []string{varWeights, varBias, varScale, varOffset} {
			path := variablePath(l.name, name)
			t := trained{variable: store.GetVariable(path), layer: l.name, name: name, factor: groups[l.name].factor}
			if t.variable.SetTrainable(!groups[l.name].frozen); !t.variable.Trainable {
				continue
			}
			dims := t.variable.Shape().Dimensions
			if t.mean, err = state(optimiserScope+path+"/mean", dt, dims...); err != nil {
				return nil, err
			}
			if t.square, err = state(optimiserScope+path+"/square", dt, dims...); err != nil {
				return nil, err
			}
			if config.Accumulate > 1 {
				if t.accumulated, err = state(accumulatedScope+path, dt, dims...); err != nil {
					return nil, err
				}
			}
			a.trained = append(a.trained, t)
		}
	}
	return a, nil
}

// setRate sets the learning rate of the steps to come.
func (a *adam) setRate(rate float64) error {
	t := tensors.FromShape(a.rate.Shape())
	if err := fill(t, constant(rate)); err != nil {
		return err
	}
	return a.rate.SetValue(t)
}

// Clear removes the optimiser's state from the store. It belongs to GoMLX's interface of an optimiser.
func (a *adam) Clear(scope *model.Scope) error {
	if err := scope.Store().DeleteVariablesInScope(accumulatedScope); err != nil {
		return err
	}
	return scope.Store().DeleteVariablesInScope(optimiserScope)
}

// UpdateGraph adds to a graph the step that follows from its loss, or, with accumulation, adds the loss's gradient
// to what waits for a step.
func (a *adam) UpdateGraph(_ *model.Scope, g *graph.Graph, loss *graph.Node) {
	values := make([]*graph.Node, len(a.trained))
	for i, t := range a.trained {
		values[i] = t.variable.NodeValue(g)
	}
	gradients := graph.Gradient(loss, values...)
	squares := sumOfSquares(gradients)
	model.SetGraphParam(g, squaresParam, squares)
	if a.config.Accumulate > 1 {
		for i, t := range a.trained {
			t.accumulated.SetNodeValue(graph.Add(t.accumulated.NodeValue(g), gradients[i]))
		}
		return
	}
	a.update(g, gradients, squares, graph.LogicalAnd(isFinite(loss), isFinite(squares)))
}

// squaresParam is where UpdateGraph leaves the squared norm of the gradient of a graph.
const squaresParam = "/optimiser/squares"

// updateFromAccumulated makes the step that follows from count batches' gradients, a scalar, and forgets them. It
// returns the squared norm of their mean.
func (a *adam) updateFromAccumulated(count *graph.Node) *graph.Node {
	g := count.Graph()
	gradients := make([]*graph.Node, len(a.trained))
	for i, t := range a.trained {
		sum := t.accumulated.NodeValue(g)
		gradients[i] = graph.Div(sum, count)
		t.accumulated.SetNodeValue(graph.ZerosLike(sum))
	}
	squares := sumOfSquares(gradients)
	a.update(g, gradients, squares, isFinite(squares))
	return squares
}

// update changes the trained variables and the state of the optimiser; where finite, a scalar, is false, the
// variables stay.
func (a *adam) update(g *graph.Graph, gradients []*graph.Node, squares, finite *graph.Node) {
	dt := a.step.DType()
	if clip := a.config.ClipNorm; clip > 0 {
		limit := graph.Scalar(g, dt, clip)
		// Exactly 1 for a norm up to the limit.
		factor := graph.Div(limit, graph.Max(graph.Sqrt(squares), limit))
		for i, gradient := range gradients {
			gradients[i] = graph.Mul(gradient, factor)
		}
	}
	step := graph.AddScalar(a.step.NodeValue(g), 1)
	a.step.SetNodeValue(step)
	beta1, beta2 := graph.Scalar(g, dt, adamMean), graph.Scalar(g, dt, adamSquare)
	unbias1 := graph.Reciprocal(graph.OneMinus(graph.Pow(beta1, step)))
	unbias2 := graph.Reciprocal(graph.OneMinus(graph.Pow(beta2, step)))
	epsilon := graph.Scalar(g, dt, adamEpsilon)
	for i, t := range a.trained {
		gradient, value, rate := gradients[i], t.variable.NodeValue(g), a.rate.NodeValue(g)
		if t.factor != 1 {
			rate = graph.MulScalar(rate, t.factor)
		}
		mean := graph.Add(graph.Mul(beta1, t.mean.NodeValue(g)), graph.Mul(graph.OneMinus(beta1), gradient))
		square := graph.Add(graph.Mul(beta2, t.square.NodeValue(g)), graph.Mul(graph.OneMinus(beta2), graph.Square(gradient)))
		t.mean.SetNodeValue(mean)
		t.square.SetNodeValue(square)
		move := graph.Div(graph.Mul(rate, graph.Mul(mean, unbias1)),
			graph.Add(graph.Sqrt(graph.Mul(square, unbias2)), epsilon))
		if a.config.WeightDecay > 0 && t.name == varWeights {
			move = graph.Add(move, graph.Mul(rate, graph.MulScalar(value, a.config.WeightDecay)))
		}
		t.variable.SetNodeValue(graph.Where(finite, graph.Sub(value, move), value))
	}
}

// sumOfSquares adds up the squares of all values of all nodes: a scalar.
func sumOfSquares(nodes []*graph.Node) *graph.Node {
	var sum *graph.Node
	for _, x := range nodes {
		x = graph.Square(graph.Reshape(x, x.Shape().Dimensions[0], -1))
		s := graph.ReduceAllSum(sumPositions([]*graph.Node{x}))
		if sum == nil {
			sum = s
		} else {
			sum = graph.Add(sum, s)
		}
	}
	return sum
}

// isFinite tells whether a scalar is finite and its square not too large for float32. ONNX Runtime's backend lacks
// GoMLX's operation of that name.
func isFinite(x *graph.Node) *graph.Node {
	return graph.LessOrEqual(graph.Abs(x), graph.Scalar(x.Graph(), x.DType(), math.MaxFloat32))
}
