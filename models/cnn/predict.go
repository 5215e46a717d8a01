package cnn

import (
	"context"
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"hounsfield/models/engine"
)

// scoreBatch is the number of cubes scored at a time; a last batch is filled up with zeros. It is fixed, because an
// engine may sum in another order for another size: a patient's score does not depend on who else is scored.
const scoreBatch = 8

// Model is a trained network.
type Model struct {
	Spec    Spec
	Weights []Array // in the network's order; see Array.Name

	// Intervals are the ends in days of the intervals of time that the outputs belong to (TrainConfig.Intervals); nil
	// for the two logits of death and survival.
	Intervals []float64
}

// Array is one of a network's arrays of numbers, in row-major order. Its name is layer/what, for example
// conv1/weights [out, in, depth, height, width], dense1/weights [out, in], conv1/bias, conv1/scale, conv1/offset,
// conv1/mean, conv1/variance [out].
type Array struct {
	Name   string
	Dims   []int
	Values []float32
}

// Scores returns the predicted probability of death within two years for each cube, from 0 to 1: higher is worse.
// A cube holds Spec.Input^3 values, normalised to 0..1, in the order z, y, x. A score depends on the cube, the
// model and the engine only, not on the other cubes.
//
// Errors: *DataError for a cube of another size or with a value that is not finite; *GraphError from the engine;
// the context's error, wrapped, when it ends first.
func (m *Model) Scores(ctx context.Context, e *engine.Engine, cubes [][]float32) ([]float64, error) {
	store, err := m.store()
	if err != nil {
		return nil, err
	}
	defer store.Finalize()
	s, err := newScorer(e, m.Spec, store)
	if err != nil {
		return nil, err
	}
	defer s.release()
	logits, err := s.logits(ctx, cubes)
	if err != nil {
		return nil, err
	}
	return risks(logits, m.Intervals), nil
}

// store puts the weights into a new store.
func (m *Model) store() (*model.Store, error) {
	if len(m.Intervals) != m.Spec.Outputs {
		return nil, &DataError{What: "the network", Problem: fmt.Sprintf("has %d outputs for %d intervals of time", m.Spec.Outputs, len(m.Intervals)),
			Next: "give each output its interval"}
	}
	n, err := newNetwork(m.Spec, plan{})
	if err != nil {
		return nil, err
	}
	store := model.NewStore()
	if err := n.initialise(store, 0, dtypes.Float32); err != nil {
		return nil, err
	}
	if err := n.setWeights(store, m.Weights); err != nil {
		return nil, err
	}
	return store, nil
}

// scorer runs a network for prediction; it reads the weights from the store at each call.
type scorer struct {
	spec    Spec
	batch   int // cubes at a time; a last batch is filled up with zeros
	compile func() (*model.Exec, error)
	exec    *model.Exec // nil before the first call and after release
}

func newScorer(e *engine.Engine, spec Spec, store *model.Store) (*scorer, error) {
	n, err := newNetwork(spec, planOf(e))
	if err != nil {
		return nil, err
	}
	return &scorer{spec: spec, batch: scoreBatch, compile: func() (*model.Exec, error) {
		return model.NewExec(e.Backend, store, func(scope *model.Scope, x *graph.Node) *graph.Node {
			// Else GoMLX builds the running averages of the first call into the graph for ONNX Runtime.
			scope.Store().SetTraining(x.Graph(), true)
			return n.logits(scope.Store(), x, false)
		})
	}}, nil
}

// release gives back what the compiled graph holds; the next call compiles it again.
func (s *scorer) release() {
	if s.exec != nil {
		s.exec.Finalize()
		s.exec = nil
	}
}

// logits returns the logits of each cube: [rowDead] for death and [rowAlive] for survival, or one for each interval.
func (s *scorer) logits(ctx context.Context, cubes [][]float32) ([][]float64, error) {
	volume := s.spec.Input * s.spec.Input * s.spec.Input
	result := make([][]float64, 0, len(cubes))
	for start := 0; start < len(cubes); start += s.batch {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("scoring stopped after %d of %d cubes: %w", start, len(cubes), err)
		}
		batch := cubes[start:min(start+s.batch, len(cubes))]
		for i, c := range batch {
			if err := checkCube(fmt.Sprintf("cube %d", start+i), c, volume, s.spec.Input); err != nil {
				return nil, err
			}
		}
		x := tensors.FromShape(shapes.Make(dtypes.Float32, s.batch, s.spec.Input, s.spec.Input, s.spec.Input, 1))
		err := tensors.MutableFlatData(x, func(flat []float32) {
			for i, c := range batch {
				copy(flat[i*volume:], c)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("filling a batch of cubes: %w", err)
		}
		err = guard("prediction", x.Shape().String(), func() error {
			if s.exec == nil {
				if s.exec, err = s.compile(); err != nil {
					return err
				}
			}
			out, err := s.exec.Call1(x)
			if err != nil {
				return err
			}
			defer out.MustFinalizeAll()
			return tensors.ConstFlatData(out, func(flat []float32) {
				outputs := len(flat) / s.batch
				for i := range batch {
					row := make([]float64, outputs)
					for j := range row {
						row[j] = float64(flat[i*outputs+j])
					}
					result = append(result, row)
				}
			})
		})
		x.MustFinalizeAll()
		if err != nil {
			return nil, err
		}
	}
	return result, nil
}

func checkCube(what string, c []float32, volume, edge int) error {
	if len(c) != volume {
		return &DataError{What: what, Problem: fmt.Sprintf("holds %d values, not %d^3 = %d", len(c), edge, volume),
			Next: "cut it to the input size of the network"}
	}
	for i, v := range c {
		if v-v != 0 { // NaN or infinite
			return &DataError{What: what, Problem: fmt.Sprintf("value %d is %v", i, v), Next: "look at the scan it was cut from"}
		}
	}
	return nil
}
