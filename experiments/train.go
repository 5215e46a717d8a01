package experiments

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/datasets"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
	"hounsfield/stats"
)

// train trains one network per seed and scores every patient with each; the
// study's score is the mean over seeds.
func (r *runner) train(ctx context.Context, s *study) error {
	if err := r.reuse(); err != nil {
		return err
	}
	r.histories = make([][]cnn.EpochRecord, 0, len(r.cfg.Seeds))
	var drawing error
	models, err := r.trainNetworks(ctx, s, checkpointsDir, "", func(k int, history []cnn.EpochRecord) {
		r.histories = append(r.histories[:k], history)
		if err := r.drawLosses(); err != nil && drawing == nil {
			drawing = err
			r.env.Progress.Say("warning: %v; training goes on", err)
		}
		if len(history) > 0 {
			r.onEpoch(history[len(history)-1])
		}
	})
	if err != nil {
		return err
	}
	r.networks = &scoring.Networks{Engine: r.engine, Models: models, Seeds: r.cfg.Seeds, Size: r.cfg.Cube.Size, MM: r.cfg.Cube.SpacingMM}
	s.seeds = r.cfg.Seeds
	if s.seedScores, err = r.networks.ByNetwork(ctx, s.cubes); err != nil {
		return err
	}
	s.scores = scoring.Mean(s.seedScores)
	return nil
}

// trainNetworks trains a network per seed on a study's cubes, or continues where it was
// stopped, with checkpoints below dir, a path in the run folder. what is said before the
// progress. follow is told the history of network k so far, after each epoch.
func (r *runner) trainNetworks(ctx context.Context, s *study, dir, what string, follow func(k int, history []cnn.EpochRecord)) ([]*cnn.Model, error) {
	survival := r.cfg.Training.Survival()
	fit, outcomes, err := s.samples(datasets.Train, survival)
	if err != nil {
		return nil, err
	}
	tune, tuneOutcomes, err := s.samples(datasets.Tune, survival)
	if err != nil {
		return nil, err
	}
	t := trainingSet{fit: fit, outcomes: outcomes, tune: r.tuneData(tune, tuneOutcomes), dir: dir, what: what, follow: follow}
	models := make([]*cnn.Model, len(r.cfg.Seeds))
	for k, seed := range r.cfg.Seeds {
		if err := r.trainSeed(ctx, k, seed, t); err != nil {
			return nil, fmt.Errorf("seed %d: %w", seed, err)
		}
		if models[k], err = cnn.Load(r.folder.path(dir, seedDir(seed))); err != nil {
			return nil, err
		}
	}
	return models, nil
}

const checkpointsDir = "checkpoints"

func seedDir(seed int64) string { return fmt.Sprintf("seed-%d", seed) }

func checkpointDir(run string, seed int64) string {
	return filepath.Join(run, checkpointsDir, seedDir(seed))
}

// trainingSet is what all seeds train and tune on.
type trainingSet struct {
	fit      *datasets.CubeSet
	outcomes []datasets.Outcome // of fit
	tune     cnn.Data           // without Epoch
	dir      string             // of the checkpoints, in the run folder
	what     string             // said before the progress
	follow   func(k int, history []cnn.EpochRecord)
}

// tuneData is the tune role as it chooses epochs: by the AUC at two years, or, where
// survival is learned, by Harrell's C of all who were followed.
func (r *runner) tuneData(tune *datasets.CubeSet, outcomes []datasets.Outcome) cnn.Data {
	d := cnn.Data{Tune: scoring.Inputs(tune.Cubes, r.cfg.Cube.Size), TuneDead: make([]bool, len(outcomes))}
	for i, o := range outcomes {
		d.TuneDead[i] = o.Alive2yr.Valid && !o.Alive2yr.V
	}
	d.AUC = func(scores []float64, dead []bool) float64 { return orNone(stats.AUC(scores, dead)) }
	if !r.cfg.Training.Survival() {
		return d
	}
	d.TuneKnown, d.TuneTime, d.TuneEvent = make([]bool, len(outcomes)), make([]float64, len(outcomes)), make([]bool, len(outcomes))
	for i, o := range outcomes {
		// Who was lost from sight before two years counts in C and not in the AUC.
		d.TuneKnown[i], d.TuneTime[i], d.TuneEvent[i] = o.Alive2yr.Valid, o.SurvivalDays.V, o.Event.V
	}
	d.Concordance = func(time []float64, event []bool, scores []float64) float64 {
		c, err := stats.HarrellC(time, event, scores, Level)
		return orNone(c.C, err)
	}
	return d
}

// orNone is NaN for a figure that these patients do not have. Training refuses a tune role
// without the figure that it chooses epochs by.
func orNone(v float64, err error) float64 {
	if err != nil {
		return math.NaN()
	}
	return v
}

// trainSeed trains one network, or continues it from its last whole epoch.
func (r *runner) trainSeed(ctx context.Context, k int, seed int64, t trainingSet) error {
	spec := datasets.LoaderSpec{Seed: uint64(seed), Batch: r.cfg.Training.Batch, Augment: r.cfg.Augment, Workers: r.env.Jobs}
	loader, err := loaderOf(t, spec, r.cfg.Training.Survival())
	if err != nil {
		return err
	}
	cfg := r.cfg.Training
	cfg.Seed = seed
	var init *cnn.Model
	init, cfg.InitFrom = r.from.begin(k)
	name := fmt.Sprintf("%straining network %d of %d (seed %d)", t.what, k+1, len(r.cfg.Seeds), seed)
	bar := r.env.Progress.Bar(cfg.MaxEpochs, name)
	data := t.tune
	data.Epoch = func(epoch int) (train.Dataset, error) { return loader.Epoch(ctx, epoch), nil }
	var history []cnn.EpochRecord
	result, err := cnn.Train(ctx, r.engine, r.cfg.Network, cfg, data, cnn.Options{Dir: r.folder.path(t.dir, seedDir(seed)), Resume: true, Init: init,
		OnEpoch: func(e cnn.EpochRecord) {
			history = append(history, e)
			t.follow(k, history)
			bar.Note("%s: tune %s", name, r.reached(e))
			bar.Add(1)
		}, OnWarning: func(err error) { r.env.Progress.Say("warning: %v", err) }})
	if err != nil {
		return err
	}
	bar.Note("%s: best tune %s at epoch %d; epochs", name, r.reached(result.History[result.BestEpoch-1]), result.BestEpoch)
	bar.Done()
	return nil
}

// loaderOf makes the training batches that the loss needs.
func loaderOf(t trainingSet, spec datasets.LoaderSpec, survival bool) (*datasets.Loader, error) {
	if survival {
		return datasets.NewSurvivalLoader(t.fit, t.outcomes, spec)
	}
	alive := make([]datasets.Null[bool], len(t.outcomes))
	for i, o := range t.outcomes {
		alive[i] = o.Alive2yr
	}
	return datasets.NewLoader(t.fit, alive, spec)
}

// reached is the figure that chooses epochs, in words.
func (r *runner) reached(e cnn.EpochRecord) string {
	if r.cfg.Training.Survival() {
		return fmt.Sprintf("C %.3f", e.TuneConcordance)
	}
	return fmt.Sprintf("AUC %.3f", e.TuneAUC)
}

// trainingWords say in the report how training differs from the plain one: the loss, where
// the weights come from, what was kept of them.
func (r *runner) trainingWords() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	c := r.cfg.Training
	switch c.Loss {
	case cnn.LossCox:
		say("Loss: Cox's partial likelihood within each batch, learned from time and death or censoring; patients without a two-year label take part. The score is the logistic function of the log hazard: an order of risk, no calibrated probability. Epochs are chosen by Harrell's C.")
	case cnn.LossDiscreteTime:
		say("Loss: the likelihood of the hazards of intervals of time, learned from time and death or censoring; patients without a two-year label take part. The score is the predicted risk of death by two years. Epochs are chosen by Harrell's C.")
	}
	if r.from != nil {
		say("Networks began with those of run %s (%s): %s.", r.from.name, r.from.chosen, r.from.rule)
	}
	if len(c.Freeze) > 0 {
		norm := "normalise by each batch in training"
		if c.FreezeNorm {
			norm = "normalise by the averages they came with"
		}
		say("Kept as they were: layers %s, which %s.", strings.Join(c.Freeze, ", "), norm)
	}
	if len(c.Reinit) > 0 {
		say("Begun anew with random weights: layers %s.", strings.Join(c.Reinit, ", "))
	}
	return out
}
