package cnn

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/train"
)

// changed is a data set whose batches are changed before they are used.
type changed struct {
	train.Dataset
	change func(number int, b train.Batch)
}

func (c changed) Iter() iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		number := 0
		for b, err := range c.Dataset.Iter() {
			number++
			c.change(number, b)
			if !yield(b, err) {
				return
			}
		}
	}
}

func plant(tr *training, path string, v float64) {
	tensors.MustMutableFlatData(tr.store.GetVariable(path).MustValue(), func(flat []float32) { flat[len(flat)/2] = float32(v) })
}

func TestDivergenceNamesItsCause(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for name, c := range map[string]struct {
		prepare func(*training)
		want    DivergedError
	}{
		"a cube": {func(tr *training) {
			epoch := tr.data.Epoch
			tr.data.Epoch = func(n int) (train.Dataset, error) {
				ds, err := epoch(n)
				return changed{ds, func(number int, b train.Batch) {
					if number == 2 {
						tensors.MustMutableFlatData(b.Inputs[0], func(flat []float32) { flat[3*14*14*14+5] = float32(nan) })
					}
				}}, err
			}
		}, DivergedError{Step: 2, Layer: "input", What: "cube 3 of the batch"}},
		"a weight": {func(tr *training) { plant(tr, "/conv2/weights", inf) },
			DivergedError{Step: 1, Layer: "conv2", What: "conv2/weights"}},
		"too large a step": {func(tr *training) { tr.learner.config.LearningRate = 1e30 },
			DivergedError{Step: 2, Layer: "conv1", What: "the variance of conv1 over the batch"}},
		"what leaves a layer is too large": {func(tr *training) {
			set(tr.store, "/conv1/scale", []float64{1e30, 1e30, 1e30, 1e30})
		}, DivergedError{Step: 1, Layer: "conv2", What: "the variance of conv2 over the batch"}},
		"normalisation overflows": {func(tr *training) {
			set(tr.store, "/conv2/scale", []float64{3e38, 3e38, 3e38, 3e38, 3e38, 3e38})
		}, DivergedError{Step: 1, Layer: "conv2", What: "activations of conv2"}},
		"a gradient": {func(tr *training) { set(tr.store, "/logits/scale", []float64{1e25, 1e25}) },
			DivergedError{Step: 1, Layer: "logits", What: "gradient of logits/weights"}},
		"a running average": {func(tr *training) { plant(tr, "/conv1/mean", inf) },
			DivergedError{Step: 0, Layer: "conv1", What: "conv1/mean"}},
		"accumulated": {func(tr *training) { plant(tr, "/dense1/offset", nan) },
			DivergedError{Step: 1, Layer: "dense1", What: "dense1/offset"}},
	} {
		tr := plainTraining(t, func(cfg *TrainConfig) {
			if name == "accumulated" {
				cfg.Accumulate = 3
			}
		})
		c.prepare(tr)
		before := fmt.Sprint(weightsOf(t, tr, learned...))
		c.want.Epoch = 1
		err := tr.epoch(context.Background())
		var diverged *DivergedError
		if !errors.As(err, &diverged) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.want.Loss = diverged.Loss
		if fmt.Sprint(*diverged) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v", name, *diverged)
		}
		if !strings.Contains(err.Error(), c.want.What) {
			t.Errorf("%s: the text %q does not name it", name, err)
		}
		if same := before == fmt.Sprint(weightsOf(t, tr, learned...)); same != (c.want.Step == 1) {
			t.Errorf("%s: weights are as before: %t, after failing at step %d", name, same, c.want.Step)
		}
	}
}

func TestDivergenceWhoseCauseIsGone(t *testing.T) {
	tr := plainTraining(t, func(*TrainConfig) {})
	gone := errors.New("disk gone")
	epoch, calls := tr.data.Epoch, 0
	tr.data.Epoch = func(n int) (train.Dataset, error) {
		if calls++; calls > 1 {
			return nil, gone
		}
		return epoch(n)
	}
	plant(tr, "/conv2/weights", math.NaN())
	err := tr.epoch(context.Background())
	var diverged *DivergedError
	if !errors.As(err, &diverged) || !errors.Is(err, gone) || diverged.What != "" {
		t.Errorf("got %v", err)
	}
}

// A label that is not known is refused, as is follow-up that cannot be.
func TestBadLabelsAreNamed(t *testing.T) {
	batch := func(dead []float64, followUp []float64) train.Batch {
		b := train.Batch{Inputs: []*tensors.Tensor{newArray(len(dead), 1).tensor(dtypes.Float32)}}
		b.Labels = append(b.Labels, (&array{[]int{len(dead), 1}, dead}).tensor(dtypes.Float32))
		if followUp != nil {
			b.Labels = append(b.Labels, (&array{[]int{len(followUp) / 2, 2}, followUp}).tensor(dtypes.Float32))
		}
		return b
	}
	nan := math.NaN()
	for name, c := range map[string]struct {
		loss string
		b    train.Batch
		says string
	}{
		"unknown outcome":    {"", batch([]float64{0, nan}, nil), "cube 1"},
		"neither 0 nor 1":    {"", batch([]float64{0.5, 1}, nil), "cube 0"},
		"no follow-up":       {LossCox, batch([]float64{0, 1}, nil), "1 labels"},
		"unknown time":       {LossCox, batch([]float64{0, 1}, []float64{nan, 1, 5, 1}), "cube 0"},
		"negative time":      {LossDiscreteTime, batch([]float64{0, 1}, []float64{3, 1, -5, 1}), "cube 1"},
		"event of 2":         {LossCox, batch([]float64{0, 1}, []float64{3, 2, 5, 1}), "event 2"},
		"one follow-up less": {LossCox, batch([]float64{0, 1}, []float64{3, 1}), "[2 2]"},
	} {
		var wrong *DataError
		if _, err := outcomesOf(c.b, TrainConfig{Loss: c.loss}); !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dead, err := outcomesOf(batch([]float64{nan, 1}, []float64{3, 0, 0, 1}), TrainConfig{Loss: LossCox})
	if err != nil || !math.IsNaN(float64(dead[0])) || dead[1] != 1 {
		t.Errorf("an unknown outcome with known follow-up: %v, %v", dead, err)
	}
	if !slices.Equal(dead[1:], []float32{1}) {
		t.Error("labels are lost")
	}
}
