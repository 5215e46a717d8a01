package cnn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/loss"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"hounsfield/models/engine"
)

// TrainConfig says how to train. The optimiser is Adam (Kingma and Ba 2015, arXiv:1412.6980) with its usual
// constants 0.9, 0.999 and 1e-7.
type TrainConfig struct {
	Batch        int     `yaml:"batch" json:"batch"`                 // cubes per step; the data set yields batches of this size
	MaxEpochs    int     `yaml:"max_epochs" json:"max_epochs"`       //
	Patience     int     `yaml:"patience" json:"patience"`           // epochs without a better tune AUC before training stops
	LearningRate float64 `yaml:"learning_rate" json:"learning_rate"` //
	Seed         int64   `yaml:"-" json:"seed"`                      // of the first weights and of dropout
}

// DefaultTrainConfig returns the settings that suit the small network.
func DefaultTrainConfig() TrainConfig {
	return TrainConfig{Batch: 16, MaxEpochs: 20, Patience: 8, LearningRate: 1e-3, Seed: 1}
}

// Validate checks the settings. Errors: *SpecError.
func (c TrainConfig) Validate() error {
	switch {
	case c.Batch < 2:
		return &SpecError{"batch", c.Batch, "at least 2, because batch normalisation needs more than one cube"}
	case c.MaxEpochs < 1:
		return &SpecError{"max_epochs", c.MaxEpochs, "at least 1"}
	case c.Patience < 1:
		return &SpecError{"patience", c.Patience, "at least 1"}
	case !(c.LearningRate > 0 && c.LearningRate <= 1):
		return &SpecError{"learning_rate", c.LearningRate, "above 0 and at most 1"}
	}
	return nil
}

// Data is what a network is trained on and tuned on.
type Data struct {
	// Epoch returns the batches of one epoch, counted from 1, always the same for the same number. A batch's
	// first input is float32 [cubes, z, y, x, 1] in 0..1, its first label float32 [cubes, 1], 1 for dead at two
	// years and 0 for alive.
	Epoch func(epoch int) (train.Dataset, error)

	// Tune are the cubes that choose the best epoch and when to stop; as in Model.Scores.
	Tune [][]float32

	// TuneDead has the outcome of each tune cube at two years.
	TuneDead []bool

	// AUC is the area under the ROC curve of scores that are higher for the dead.
	AUC func(scores []float64, dead []bool) float64
}

// EpochRecord is one line of the training history.
type EpochRecord struct {
	Epoch     int     `json:"epoch"`      // from 1
	TrainLoss float64 `json:"train_loss"` // mean over the epoch's steps: cross entropy (nats) plus activity penalty
	TuneLoss  float64 `json:"tune_loss"`  // cross entropy (nats)
	TuneAUC   float64 `json:"tune_auc"`
	Best      bool    `json:"best"`    // better than every epoch before it
	Seconds   float64 `json:"seconds"` // wall time
}

// StepRecord tells how far an epoch has come.
type StepRecord struct {
	Epoch, Step int // both from 1
	Loss        float64
}

// Options say where training keeps its checkpoints and whom it tells about its progress.
type Options struct {
	// Dir is the checkpoint folder, used by one training only; "" for none.
	Dir string

	// Resume goes on from Dir's newest whole checkpoint, if there is one. Otherwise checkpoints in Dir are removed.
	Resume bool

	OnEpoch   func(EpochRecord) // after an epoch and its checkpoint; also for each epoch of a resumed history
	OnStep    func(StepRecord)
	OnWarning func(error) // *CheckpointError for a damaged checkpoint that is passed over
}

// Result is what training comes to.
type Result struct {
	Model        *Model // of the best epoch
	History      []EpochRecord
	BestEpoch    int
	StoppedEarly bool // the tune AUC did not improve for Patience epochs
}

// Train trains a network until the tune AUC has not improved for Patience epochs, or for MaxEpochs. An epoch is
// better than another when its tune AUC is higher, or equal with a lower tune loss.
//
// A checkpoint is written after every epoch. When the context ends, Train returns its error within a step; a run
// with Resume then, or after a kill at any moment, ends with the same weights, bit for bit on the pure-Go engine, as
// one that was never interrupted.
//
// Errors: *SpecError, *DataError, *GraphError, *DivergedError, *CheckpointError (also when the folder belongs to
// other settings); the context's and the data set's errors, wrapped.
func Train(ctx context.Context, e *engine.Engine, spec Spec, cfg TrainConfig, data Data, opts Options) (*Result, error) {
	t, err := newTraining(e, spec, cfg, data, opts)
	if err != nil {
		return nil, err
	}
	defer t.close()
	for !t.finished() {
		if err := t.epoch(ctx); err != nil {
			return nil, err
		}
	}
	r := &Result{Model: t.model(), History: t.History}
	best, since := t.best()
	r.BestEpoch, r.StoppedEarly = best.Epoch, since >= cfg.Patience
	return r, nil
}

// training is one run of Train.
type training struct {
	state
	data    Data
	opts    Options
	network *network
	store   *model.Store
	trainer *train.Trainer
	scorer  *scorer
}

func newTraining(e *engine.Engine, spec Spec, cfg TrainConfig, data Data, opts Options) (*training, error) {
	n, err := newNetwork(spec)
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := data.check(spec); err != nil {
		return nil, err
	}
	if opts.OnEpoch == nil {
		opts.OnEpoch = func(EpochRecord) {}
	}
	if opts.OnStep == nil {
		opts.OnStep = func(StepRecord) {}
	}
	if opts.OnWarning == nil {
		opts.OnWarning = func(error) {}
	}
	t := &training{state: state{Spec: spec, Config: cfg}, data: data, opts: opts, network: n, store: model.NewStore()}
	if err := t.begin(); err != nil {
		return nil, err
	}
	if t.scorer, err = newScorer(e, spec, t.store); err != nil {
		return nil, err
	}
	adam := optimizer.Adam().LearningRate(cfg.LearningRate).Done()
	err = guard("preparation of the training", "none", func() error {
		t.trainer = train.NewTrainer(e.Backend, t.store,
			func(scope *model.Scope, _ any, inputs []*graph.Node) []*graph.Node {
				return []*graph.Node{n.logits(scope.Store(), inputs[0], true)}
			}, lossOfLogits, adam, nil, nil)
		return nil
	})
	return t, err
}

func (d Data) check(spec Spec) error {
	if len(d.Tune) != len(d.TuneDead) {
		return &DataError{What: "the tune cubes", Problem: fmt.Sprintf("are %d, with %d outcomes", len(d.Tune), len(d.TuneDead)),
			Next: "give each tune cube its outcome"}
	}
	dead := 0
	for _, v := range d.TuneDead {
		if v {
			dead++
		}
	}
	if dead == 0 || dead == len(d.TuneDead) {
		return &DataError{What: "the tune cubes", Problem: fmt.Sprintf("hold %d dead of %d", dead, len(d.TuneDead)),
			Next: "choose a tune role with both outcomes, or there is no AUC to choose the best epoch by"}
	}
	volume := spec.Input * spec.Input * spec.Input
	for i, c := range d.Tune {
		if err := checkCube(fmt.Sprintf("tune cube %d", i), c, volume, spec.Input); err != nil {
			return err
		}
	}
	return nil
}

// begin fills the store from the newest checkpoint, or anew.
func (t *training) begin() error {
	if t.opts.Dir == "" {
		return t.network.initialise(t.store, t.Config.Seed, dtypes.Float32)
	}
	if err := removeCheckpoints(t.opts.Dir, !t.opts.Resume); err != nil {
		return err
	}
	s, err := newestCheckpoint(t.opts.Dir, t.opts.OnWarning)
	if err != nil {
		return err
	}
	if s == nil {
		return t.network.initialise(t.store, t.Config.Seed, dtypes.Float32)
	}
	file := checkpointFile(t.opts.Dir, s.Epoch)
	if hash(s.Spec) != hash(t.Spec) || hash(s.Config) != hash(t.Config) {
		return &CheckpointError{File: file, Problem: "belongs to a training with other settings",
			Next: "use the settings it began with, or another folder"}
	}
	if err := guard("restoring of the checkpoint", "none", func() error { return restore(t.store, s.Variables) }); err != nil {
		return &CheckpointError{File: file, Problem: "cannot be used", Next: "remove it", Err: err}
	}
	t.state = *s
	t.Variables = nil
	for _, r := range t.History {
		t.opts.OnEpoch(r)
	}
	return nil
}

func (t *training) close() {
	if t.trainer != nil {
		t.trainer.ResetComputationGraphs()
	}
	if t.scorer != nil {
		t.scorer.close()
	}
	t.store.Finalize()
}

// best returns the record of the best epoch and the number of epochs since.
func (t *training) best() (best EpochRecord, since int) {
	for _, r := range t.History {
		if r.Best {
			best = r
		}
	}
	return best, t.Epoch - best.Epoch
}

func (t *training) finished() bool {
	_, since := t.best()
	return t.Epoch >= t.Config.MaxEpochs || t.Epoch > 0 && since >= t.Config.Patience
}

// epoch trains one epoch, scores the tune cubes and writes the checkpoint.
func (t *training) epoch(ctx context.Context) error {
	start := time.Now()
	number := t.Epoch + 1
	trainLoss, err := t.steps(ctx, number)
	if err != nil {
		return err
	}
	logits, err := t.scorer.logits(ctx, t.data.Tune)
	if err != nil {
		return fmt.Errorf("epoch %d: %w", number, err)
	}
	r := EpochRecord{Epoch: number, TrainLoss: trainLoss, TuneLoss: crossEntropy(logits, t.data.TuneDead)}
	r.TuneAUC = t.data.AUC(risks(logits), t.data.TuneDead)
	if math.IsNaN(r.TuneAUC) || math.IsNaN(r.TuneLoss) || math.IsInf(r.TuneLoss, 0) {
		return fmt.Errorf("scores of the tune cubes: %w", &DivergedError{Epoch: number, Loss: r.TuneLoss})
	}
	best, _ := t.best()
	r.Best = number == 1 || r.TuneAUC > best.TuneAUC || r.TuneAUC == best.TuneAUC && r.TuneLoss < best.TuneLoss
	if r.Best {
		if t.Best, err = snapshot(t.store, t.network.isWeight); err != nil {
			return err
		}
	}
	r.Seconds = time.Since(start).Seconds()
	t.History = append(t.History, r)
	t.Epoch = number
	if t.opts.Dir != "" {
		if t.Variables, err = snapshot(t.store, func(string) bool { return true }); err != nil {
			return err
		}
		if err := t.save(t.opts.Dir); err != nil {
			return err
		}
		t.Variables = nil
	}
	t.opts.OnEpoch(r)
	return nil
}

// steps trains on the batches of one epoch and returns the mean loss.
func (t *training) steps(ctx context.Context, epoch int) (float64, error) {
	ds, err := t.data.Epoch(epoch)
	if err != nil {
		return 0, fmt.Errorf("data of epoch %d: %w", epoch, err)
	}
	var sum float64
	step := 0
	for batch, err := range ds.Iter() {
		if err != nil {
			return 0, fmt.Errorf("data of epoch %d, step %d: %w", epoch, step+1, err)
		}
		step++
		if err := ctx.Err(); err != nil {
			return 0, errors.Join(fmt.Errorf("training stopped in epoch %d at step %d: %w", epoch, step, err), batch.Finalize())
		}
		l, err := t.step(batch)
		if err != nil {
			return 0, fmt.Errorf("epoch %d, step %d: %w", epoch, step, err)
		}
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return 0, &DivergedError{Epoch: epoch, Step: step, Loss: l}
		}
		sum += l
		t.opts.OnStep(StepRecord{Epoch: epoch, Step: step, Loss: l})
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("training stopped in epoch %d after step %d: %w", epoch, step, err)
	}
	if step == 0 {
		return 0, &DataError{What: fmt.Sprintf("epoch %d", epoch), Problem: "has no batch", Next: "give training at least one batch of cubes"}
	}
	return sum / float64(step), nil
}

// step trains on one batch, which it finalises, and returns its loss.
func (t *training) step(batch train.Batch) (value float64, err error) {
	if len(batch.Inputs) == 0 || len(batch.Labels) == 0 {
		return 0, &DataError{What: "a batch", Problem: "lacks cubes or labels", Next: "give each batch one input and one label"}
	}
	inputs := fmt.Sprintf("%s with labels %s", batch.Inputs[0].Shape(), batch.Labels[0].Shape())
	err = guard("training step", inputs, func() error {
		metrics, err := t.trainer.TrainStep(batch)
		if err != nil {
			return err
		}
		value = float64(tensors.ToScalar[float32](metrics[0]))
		for _, m := range metrics {
			m.MustFinalizeAll()
		}
		return nil
	})
	return value, err
}

// lossOfLogits is the mean cross entropy of the logits [cubes, 2] and the labels [cubes, 1], 1 for dead.
func lossOfLogits(labels, logits []*graph.Node) *graph.Node {
	dead, z := labels[0], logits[0]
	dead.AssertDims(z.Shape().Dimensions[0], 1)
	columns := [2]*graph.Node{}
	columns[rowDead], columns[rowAlive] = dead, graph.OneMinus(dead)
	return loss.CategoricalCrossEntropyLogits([]*graph.Node{graph.Concatenate(columns[:], 1)}, []*graph.Node{z})
}
