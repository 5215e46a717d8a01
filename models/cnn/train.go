package cnn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/engine"
)

// StepRecord tells how far an epoch has come.
type StepRecord struct {
	Epoch, Step int // both from 1
	Loss        float64
}

// Options say where training keeps its checkpoints and whom it tells about its progress.
type Options struct {
	// Init is the network to begin with, required if and only if TrainConfig.InitFrom is set.
	Init *Model

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
	StoppedEarly bool // nothing improved for Patience epochs
}

// Train trains a network until the tune AUC has not improved for Patience epochs, or for MaxEpochs. An epoch is
// better than another when its tune AUC is higher, or equal with a lower tune loss. With a survival loss the tune
// concordance takes the place of the AUC.
//
// A checkpoint is written after every epoch. When the context ends, Train returns its error within a step; a run
// with Resume then, or after a kill at any moment, ends with the same weights, bit for bit on the pure-Go engine, as
// one that was never interrupted.
//
// Errors: *SpecError, *DataError, *GraphError (an *engine.MemoryError inside says that memory ran out), *DivergedError, *DevicesError, *CheckpointError (also when
// the folder belongs to other settings); the context's and the data set's errors, wrapped. After any of them a run with
// Resume goes on from the last whole epoch.
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
	engine  *engine.Engine
	network *network
	store   *model.Store
	learner *learner
	scorer  *scorer
	scoring bool // see turnTo
}

func newTraining(e *engine.Engine, spec Spec, cfg TrainConfig, data Data, opts Options) (*training, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	spec, err := cfg.outputs(spec)
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(spec, planOf(e))
	if err != nil {
		return nil, err
	}
	groups, err := cfg.groups(n.layers)
	if err != nil {
		return nil, err
	}
	n.freeze(groups, cfg.FreezeNorm)
	if err := data.check(spec, cfg); err != nil {
		return nil, err
	}
	first, err := cfg.initialValues(n, groups, opts.Init)
	if err != nil {
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
	t := &training{state: state{Spec: spec, Config: cfg}, data: data, opts: opts, engine: e, network: n, store: model.NewStore()}
	if err := t.prepare(first, groups); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *training) prepare(first []Array, groups map[string]group) (err error) {
	if err := t.begin(first); err != nil {
		return err
	}
	if t.learner, err = newLearner(t.engine, t.network, t.store, t.Config, groups); err != nil {
		return err
	}
	if err := t.learner.begin(t.Epoch + 1); err != nil {
		return err
	}
	t.scorer, err = newScorer(t.engine, t.Spec, t.store)
	return err
}

// begin fills the store from the newest checkpoint, or anew, with the first values given.
func (t *training) begin(first []Array) error {
	anew := func() error {
		if err := t.network.initialise(t.store, t.Config.Seed, dtypes.Float32); err != nil {
			return err
		}
		return setArrays(t.store, first)
	}
	if t.opts.Dir == "" {
		return anew()
	}
	if err := removeCheckpoints(t.opts.Dir, !t.opts.Resume); err != nil {
		return err
	}
	s, err := newestCheckpoint(t.opts.Dir, t.opts.OnWarning)
	if err != nil {
		return err
	}
	if s == nil {
		return anew()
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
	if t.learner != nil {
		t.learner.close()
	}
	if t.scorer != nil {
		t.scorer.release()
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
	number, cfg, data := t.Epoch+1, t.Config, t.data
	trainLoss, err := t.steps(ctx, number)
	if err != nil {
		return err
	}
	logits, err := t.logits(ctx, data.Tune)
	if err != nil {
		return fmt.Errorf("epoch %d: %w", number, err)
	}
	r := EpochRecord{Epoch: number, TrainLoss: trainLoss, LearningRate: cfg.rate(number), TuneAUC: math.NaN(), TuneConcordance: math.NaN()}
	r.TuneLoss = cfg.tuneLoss(logits, data)
	if !finite(r.TuneLoss) {
		return t.diverged(DivergedError{Epoch: number, Loss: r.TuneLoss})
	}
	scores := risks(logits, cfg.intervals())
	if data.TuneDead != nil {
		r.TuneAUC = data.tuneAUC(scores)
	}
	if cfg.Survival() {
		r.TuneConcordance = data.Concordance(data.TuneTime, data.TuneEvent, scores)
	}
	now := r.criterion(cfg.Survival())
	if math.IsNaN(now) {
		return &DataError{What: "the tune cubes", Problem: "give finite scores, but no AUC or concordance", Next: "look at how it is computed"}
	}
	r.TrainAUC = data.auc(risks(t.learner.logits, cfg.intervals()), t.learner.dead)
	best, _ := t.best()
	before := best.criterion(cfg.Survival())
	r.Best = number == 1 || now > before || now == before && r.TuneLoss < best.TuneLoss
	if r.Best {
		if t.Best, err = snapshot(t.store, t.network.isWeight); err != nil {
			return err
		}
	}
	r.Seconds = time.Since(start).Seconds()
	t.History = append(t.History, r)
	t.Epoch = number
	if t.opts.Dir != "" {
		if t.Variables, err = snapshot(t.store, lasting); err != nil {
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
	if err := t.learner.begin(epoch); err != nil {
		return 0, err
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
		if !t.learner.finite {
			return 0, t.diverged(DivergedError{Epoch: epoch, Step: step, Loss: l})
		}
		sum += l
		t.opts.OnStep(StepRecord{Epoch: epoch, Step: step, Loss: l})
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("training stopped in epoch %d after step %d: %w", epoch, step, err)
	}
	if err := t.learner.flush(); err != nil {
		return 0, fmt.Errorf("epoch %d, last step: %w", epoch, err)
	}
	if !t.learner.finite {
		return 0, t.diverged(DivergedError{Epoch: epoch, Step: step, Loss: sum / float64(step)})
	}
	if step == 0 {
		return 0, &DataError{What: fmt.Sprintf("epoch %d", epoch), Problem: "has no batch", Next: "give training at least one batch of cubes"}
	}
	return sum / float64(step), nil
}

// step trains on one batch, which it finalises, and returns its loss.
func (t *training) step(batch train.Batch) (float64, error) {
	t.turnTo(false)
	return t.learner.step(batch)
}

// logits scores cubes with the weights as they are.
func (t *training) logits(ctx context.Context, cubes [][]float32) ([][]float64, error) {
	t.turnTo(true)
	return t.scorer.logits(ctx, cubes)
}

// turnTo frees what steps hold before cubes are scored, and what scoring holds before the next step. Each compiled graph of
// ONNX Runtime keeps the most memory it has ever used; for a large network, compiling again once an epoch is little
// beside that. Other engines share their memory.
func (t *training) turnTo(scoring bool) {
	if t.scoring == scoring || !t.network.plan.isONNX() || !t.Spec.large() {
		return
	}
	if t.scoring = scoring; scoring {
		t.learner.trainer.ResetComputationGraphs()
	} else {
		t.scorer.release()
	}
}
