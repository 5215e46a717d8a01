package cnn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/engine"
)

// ScoresAtATime is the number of cubes that scoring hands to the engine at a time; fewer are filled up with zeros.
const ScoresAtATime = scoreBatch

// Stepper runs single steps of a training, by the code that Train and Model.Scores run, for whoever wants to time or
// compare them.
type Stepper struct{ t *training }

// NewStepper prepares a training of a new network. Graphs are compiled at the first Step and the first Scores.
//
// Errors: as of Train.
func NewStepper(e *engine.Engine, spec Spec, cfg TrainConfig) (*Stepper, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	// A training has tune cubes of both outcomes; nothing here looks at them.
	empty := make([]float32, spec.Input*spec.Input*spec.Input)
	t, err := newTraining(e, spec, cfg, Data{Tune: [][]float32{empty, empty}, TuneDead: []bool{true, false}}, Options{})
	if err != nil {
		return nil, err
	}
	return &Stepper{t}, nil
}

// Step trains on one batch, laid out as those of Data.Epoch, which it finalises. It returns the loss when the step is
// over on the engine too: that of TrainConfig.Loss plus activity penalty, possibly not finite.
//
// Errors: *DataError, *GraphError.
func (s *Stepper) Step(batch train.Batch) (loss float64, err error) { return s.t.step(batch) }

// Scores returns the predicted risk of death of each cube by the weights as they are now; see Model.Scores.
func (s *Stepper) Scores(ctx context.Context, cubes [][]float32) ([]float64, error) {
	logits, err := s.t.logits(ctx, cubes)
	if err != nil {
		return nil, err
	}
	return risks(logits, s.t.Config.intervals()), nil
}

// Sum is the SHA-256, in hexadecimal, of what training goes on with: weights, running averages, the optimiser's moments
// and counters, the generator's state. Two trainings with equal sums go on alike.
func (s *Stepper) Sum() (string, error) {
	saved, err := snapshot(s.t.store, lasting)
	if err != nil {
		return "", err
	}
	slices.SortFunc(saved, func(a, b savedVariable) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, v := range saved {
		h.Write([]byte(v.Path))
		h.Write(v.data)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Close releases the training.
func (s *Stepper) Close() { s.t.close() }
