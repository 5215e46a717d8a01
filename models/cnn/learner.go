package cnn

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/metric"

	"hounsfield/models/engine"
)

// learner makes the steps of a training: one for each batch, or one of the gradients of several.
type learner struct {
	config  TrainConfig
	store   *model.Store
	adam    *adam
	trainer *train.Trainer
	mesh    *mesh

	// With accumulation: how many batches' gradients wait, and what makes a step of them.
	waiting     int
	accumulated *model.Exec

	// Of the epoch's cubes so far whose outcome is known: what the network gave them, and whether they are dead.
	logits [][]float64
	dead   []bool

	finite bool // the last batch's loss and gradient, and the last step's
}

func newLearner(e *engine.Engine, n *network, store *model.Store, cfg TrainConfig, groups map[string]group) (*learner, error) {
	l := &learner{config: cfg, store: store, finite: true}
	var err error
	if l.mesh, err = newMesh(e, cfg); err != nil {
		return nil, err
	}
	if l.adam, err = newAdam(n, store, cfg, groups); err != nil {
		return nil, err
	}
	return l, guard("preparation of the training", "none", func() (err error) {
		// Behind the trainer's own two metrics, the batch's loss and its moving average.
		metrics := []metric.Interface{
			output{"squared norm of the gradient", func(predictions []*graph.Node) *graph.Node {
				squares, _ := model.GetGraphParam(predictions[0].Graph(), squaresParam)
				return squares.(*graph.Node)
			}},
			output{"logits", func(predictions []*graph.Node) *graph.Node { return predictions[0] }},
		}
		l.trainer = train.NewTrainer(e.Backend, store,
			func(scope *model.Scope, _ any, inputs []*graph.Node) []*graph.Node {
				return []*graph.Node{n.logits(scope.Store(), inputs[0], true)}
			}, cfg.lossOf, l.adam, metrics, nil)
		if cfg.Accumulate > 1 {
			l.accumulated, err = model.NewExec(e.Backend, store, func(scope *model.Scope, count *graph.Node) *graph.Node {
				scope.Store().SetTraining(count.Graph(), true)
				return l.adam.updateFromAccumulated(count)
			})
		}
		return err
	})
}

// begin readies the learner for an epoch.
func (l *learner) begin(epoch int) error {
	l.logits, l.dead, l.waiting = nil, nil, 0
	return l.adam.setRate(l.config.rate(epoch))
}

func (l *learner) close() {
	if l.trainer != nil {
		l.trainer.ResetComputationGraphs()
	}
	if l.accumulated != nil {
		l.accumulated.Finalize()
	}
}

// step trains on one batch, which it finalises, and returns its loss. Afterwards finite tells whether loss and gradient
// are.
func (l *learner) step(batch train.Batch) (loss float64, err error) {
	dead, err := outcomesOf(batch, l.config)
	if err == nil {
		err = l.mesh.check(len(dead))
	}
	if err != nil {
		return 0, errors.Join(err, batch.Finalize())
	}
	shapes := fmt.Sprintf("%s with labels %s", batch.Inputs[0].Shape(), batch.Labels[0].Shape())
	var squares float64
	err = guard("training step", shapes, func() error {
		out, err := l.mesh.step(l.trainer, batch)
		if err != nil {
			return err
		}
		loss, squares = float64(tensors.ToScalar[float32](out[0])), float64(tensors.ToScalar[float32](out[2]))
		err = tensors.ConstFlatData(out[3], func(flat []float32) { l.note(flat, dead) })
		for _, t := range out {
			t.MustFinalizeAll()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	l.finite = finite(loss) && finite(squares)
	if l.config.Accumulate > 1 && l.finite {
		if l.waiting++; l.waiting == l.config.Accumulate {
			err = l.flush()
		}
	}
	return loss, err
}

// flush makes a step of the gradients that wait for one, if any do.
func (l *learner) flush() error {
	if l.waiting == 0 {
		return nil
	}
	count := tensors.FromScalar(float32(l.waiting))
	defer count.MustFinalizeAll()
	l.waiting = 0
	return guard("step on accumulated gradients", "none", func() error {
		squares, err := l.accumulated.Call1(count)
		if err != nil {
			return err
		}
		defer squares.MustFinalizeAll()
		l.finite = finite(float64(tensors.ToScalar[float32](squares)))
		return nil
	})
}

// note keeps the logits [cubes, outputs] of the cubes whose outcome is known.
func (l *learner) note(logits, dead []float32) {
	outputs := len(logits) / len(dead)
	for i, d := range dead {
		if d != d { // NaN: not known
			continue
		}
		row := make([]float64, outputs)
		for j := range row {
			row[j] = float64(logits[i*outputs+j])
		}
		l.logits, l.dead = append(l.logits, row), append(l.dead, d == 1)
	}
}

func finite(v float64) bool { return v-v == 0 }

// output lets a trainer's step return a node of its graph.
type output struct {
	name string
	node func(predictions []*graph.Node) *graph.Node
}

func (o output) Name() string                         { return o.name }
func (o output) ShortName() string                    { return o.name }
func (o output) ScopeName() string                    { return o.name }
func (o output) MetricType() string                   { return o.name }
func (o output) PrettyPrint(v *tensors.Tensor) string { return v.String() }
func (o output) Reset(*model.Scope)                   {}

// UpdateGraph returns the node, in float32.
func (o output) UpdateGraph(_ *model.Scope, _, predictions []*graph.Node) *graph.Node {
	return graph.ConvertDType(o.node(predictions), dtypes.Float32)
}
