package cnn

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
)

// diverged completes an error that says that training has diverged by where that began. The step that showed it has
// left the weights alone (see adam), so what it computed can be computed again and looked at; step 0 is the scores of
// the tune cubes.
//
// It costs nothing while training goes well. Where the cause cannot be found, because what is needed for it cannot be
// had any more, the error stays as it is.
func (t *training) diverged(d DivergedError) error {
	var err error
	if d.Layer, d.What, err = t.firstNotFinite(d.Epoch, d.Step); err != nil {
		return fmt.Errorf("%w (and the search for its cause failed: %w)", &d, err)
	}
	return &d
}

// firstNotFinite looks for values that are not finite in the order in which a step computes: in its cubes, the
// weights, the variance that normalises each layer and what leaves it, the loss, the gradients from the last layer to the
// first.
func (t *training) firstNotFinite(epoch, step int) (layer, what string, err error) {
	var batch train.Batch
	if step > 0 {
		if batch, err = t.batchOf(epoch, step); err != nil {
			return "", "", err
		}
		defer batch.Finalize() //nolint:errcheck // memory of the host only
		if cube, found := cubeNotFinite(batch.Inputs[0]); found {
			return "input", fmt.Sprintf("cube %d of the batch", cube), nil
		}
	}
	for _, l := range t.network.layers {
		for _, a := range t.network.arraysOf(l) {
			if average := a.name == varMean || a.name == varVariance; average && step > 0 && !t.network.fixed[l.name] {
				continue // the step has not read it, and changed it
			}
			found := false
			err := tensors.ConstFlatData(t.store.GetVariable(variablePath(l.name, a.name)).MustValue(), func(flat []float32) {
				found = slices.ContainsFunc(flat, func(v float32) bool { return !finite(float64(v)) })
			})
			if found || err != nil {
				return l.name, l.name + "/" + a.name, err
			}
		}
	}
	if step == 0 {
		return "", "scores of the tune cubes", nil
	}
	return t.traceStep(batch)
}

// batchOf gets a batch of an epoch again.
func (t *training) batchOf(epoch, step int) (train.Batch, error) {
	ds, err := t.data.Epoch(epoch)
	if err != nil {
		return train.Batch{}, err
	}
	number := 0
	for batch, err := range ds.Iter() {
		if number++; err != nil || number == step {
			return batch, err
		}
		if err := batch.Finalize(); err != nil {
			return batch, err
		}
	}
	return train.Batch{}, fmt.Errorf("epoch %d has no batch %d any more", epoch, step)
}

// cubeNotFinite returns the first cube that holds a value that is not finite.
func cubeNotFinite(cubes *tensors.Tensor) (cube int, found bool) {
	err := tensors.ConstFlatData(cubes, func(flat []float32) {
		at := slices.IndexFunc(flat, func(v float32) bool { return !finite(float64(v)) })
		found = at >= 0
		cube = at / (len(flat) / cubes.Shape().Dimensions[0])
	})
	return cube, found && err == nil
}

// traceStep runs a training step with weights and cubes that are finite, looking at everything on the way; it changes
// no weights.
func (t *training) traceStep(batch train.Batch) (layer, what string, err error) {
	type place struct{ layer, what string }
	var places []place
	n := *t.network
	exec, err := model.NewExec(t.engine.Backend, t.store, func(scope *model.Scope, in []*graph.Node) []*graph.Node {
		places = nil
		g := in[0].Graph()
		scope.Store().SetTraining(g, true)
		var sums []*graph.Node
		note := func(layer, what string, sum *graph.Node) {
			places = append(places, place{layer, what})
			sums = append(sums, graph.ConvertDType(sum, dtypes.Float32))
		}
		n.observe = func(layer string, parts []*graph.Node) {
			if !n.fixed[layer] {
				before := t.store.GetVariable(variablePath(layer, varVariance))
				note(layer, "the variance of "+layer+" over the batch", zeroIfFinite([]*graph.Node{before.NodeValue(g)}))
			}
			note(layer, "activations of "+layer, zeroIfFinite(parts))
		}
		train.AddMainLoss(t.Config.lossOf(in[1:], []*graph.Node{n.logits(scope.Store(), in[0], true)}))
		loss := train.TotalLoss(g)
		note("", "the loss", loss)
		var values []*graph.Node
		for _, v := range t.learner.adam.trained {
			values = append(values, v.variable.NodeValue(g))
		}
		gradients := graph.Gradient(loss, values...)
		for i, v := range slices.Backward(t.learner.adam.trained) {
			note(v.layer, "gradient of "+v.layer+"/"+v.name, sumOfSquares(gradients[i:i+1]))
		}
		return sums
	})
	if err != nil {
		return "", "", err
	}
	defer exec.Finalize()
	var in []any
	for _, x := range slices.Concat(batch.Inputs, batch.Labels) {
		in = append(in, x)
	}
	err = guard("search for what is not finite", batch.Inputs[0].Shape().String(), func() error {
		out, err := exec.Call(in...)
		for i, o := range out {
			if what == "" && !finite(float64(tensors.ToScalar[float32](o))) {
				layer, what = places[i].layer, places[i].what
			}
			o.MustFinalizeAll()
		}
		return err
	})
	return layer, what, err
}

// zeroIfFinite is 0 if all values of the parts [channels, ...] are finite, else NaN.
func zeroIfFinite(parts []*graph.Node) *graph.Node {
	flat := make([]*graph.Node, len(parts))
	for i, p := range parts {
		flat[i] = graph.MulScalar(graph.Reshape(p, p.Shape().Dimensions[0], -1), 0)
	}
	return graph.ReduceAllSum(sumPositions(flat))
}
