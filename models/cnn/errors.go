package cnn

import (
	"fmt"

	"hounsfield/models/engine"
)

// DataError says which input to training or prediction cannot be used.
type DataError struct {
	What    string // for example "tune cube 12"
	Problem string
	Next    string // what to do about it
}

func (e *DataError) Error() string { return fmt.Sprintf("%s: %s; %s", e.What, e.Problem, e.Next) }

// GraphError says at which stage the engine failed, and on inputs of which shapes.
type GraphError struct {
	Stage  string // for example "training step"
	Shapes string
	Err    error
}

func (e *GraphError) Error() string {
	return fmt.Sprintf("the compute engine failed at the %s on inputs %s: %v", e.Stage, e.Shapes, e.Err)
}

func (e *GraphError) Unwrap() error { return e.Err }

// DivergedError says that the loss or its gradient is no longer a number, or too large to be squared, and where that
// began.
type DivergedError struct {
	Epoch, Step int // both from 1; step 0 is after the last
	Loss        float64

	// Layer is where the first value that is not finite was found: a layer's name, input, or "" where it is none of
	// them. What says more, for example "activations of conv2", "gradient of dense1/weights", "cube 3 of the batch"; ""
	// where the cause was not found.
	Layer, What string
}

func (e *DivergedError) Error() string {
	s := fmt.Sprintf("training diverged at step %d of epoch %d (loss %v)", e.Step, e.Epoch, e.Loss)
	if e.Step == 0 {
		s = fmt.Sprintf("training diverged after epoch %d (loss %v)", e.Epoch, e.Loss)
	}
	if e.What != "" {
		s += ": the first values that are not finite are in " + e.What
	}
	if e.Layer == "input" {
		return s + "; look at the scan it was cut from"
	}
	return s + "; lower learning_rate, or set clip_norm"
}

// CheckpointError says what is wrong with a checkpoint file or folder.
type CheckpointError struct {
	File    string
	Problem string
	Next    string // what to do about it
	Err     error  // may be nil
}

func (e *CheckpointError) Error() string {
	s := fmt.Sprintf("checkpoint %s: %s", e.File, e.Problem)
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s + "; " + e.Next
}

func (e *CheckpointError) Unwrap() error { return e.Err }

// guard runs f and turns an error or a panic of the engine into a GraphError; one for want of memory is, inside it, an
// *engine.MemoryError. GoMLX panics while a graph is built; this is the one place that recovers.
func guard(stage, shapes string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			cause, ok := r.(error)
			if !ok {
				cause = fmt.Errorf("%v", r)
			}
			err = &GraphError{Stage: stage, Shapes: shapes, Err: engine.Explain(cause)}
		}
	}()
	if err := f(); err != nil {
		return &GraphError{Stage: stage, Shapes: shapes, Err: engine.Explain(err)}
	}
	return nil
}
