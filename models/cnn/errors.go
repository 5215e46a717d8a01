package cnn

import (
	"fmt"
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

// DivergedError says that the loss is no longer a number.
type DivergedError struct {
	Epoch, Step int // both from 1
	Loss        float64
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("training diverged: the loss is %v at step %d of epoch %d; lower learning_rate, or check that the cubes hold finite values within 0..1",
		e.Loss, e.Step, e.Epoch)
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

// guard runs f and turns an error or a panic of the engine into a GraphError. GoMLX panics while a graph is built;
// this is the one place that recovers.
func guard(stage, shapes string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			cause, ok := r.(error)
			if !ok {
				cause = fmt.Errorf("%v", r)
			}
			err = &GraphError{Stage: stage, Shapes: shapes, Err: cause}
		}
	}()
	if err := f(); err != nil {
		return &GraphError{Stage: stage, Shapes: shapes, Err: err}
	}
	return nil
}
