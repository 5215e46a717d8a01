package experiments

import (
	"context"
	"fmt"
	"math"

	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/models/cnn"
	"hounsfield/stats"
)

// train trains one network per seed and scores every patient with each; the
// study's score is the mean over seeds.
func (r *runner) train(ctx context.Context, s *study) error {
	fit, fitAlive, err := s.samples(datasets.Train)
	if err != nil {
		return err
	}
	tune, tuneAlive, err := s.samples(datasets.Tune)
	if err != nil {
		return err
	}
	t := trainingSet{fit: fit, alive: fitAlive, tune: networkInputs(tune.Cubes, r.cfg.Cube.Size), tuneDead: make([]bool, len(tuneAlive))}
	for i, a := range tuneAlive {
		t.tuneDead[i] = !a.V
	}
	s.seeds, s.seedScores = r.cfg.Seeds, nil
	for k, seed := range r.cfg.Seeds {
		history, err := r.trainSeed(ctx, k, seed, t)
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		r.histories = append(r.histories, history)
		m, err := cnn.Load(r.checkpoint(seed))
		if err != nil {
			return err
		}
		scores, err := scoreCubes(ctx, r.engine, m, s.cubes, r.cfg.Cube.Size)
		if err != nil {
			return fmt.Errorf("scoring with seed %d: %w", seed, err)
		}
		s.seedScores = append(s.seedScores, scores)
	}
	s.scores = meanScores(s.seedScores)
	return nil
}

func (r *runner) checkpoint(seed int64) string { return checkpointDir(r.folder.Dir, seed) }

func checkpointDir(run string, seed int64) string {
	return run + fmt.Sprintf("/checkpoints/seed-%d", seed)
}

// trainingSet is what all seeds train and tune on.
type trainingSet struct {
	fit      *datasets.CubeSet
	alive    []table.Null[bool] // of fit: alive at two years
	tune     [][]float32
	tuneDead []bool
}

// trainSeed trains one network, or continues it from its last whole epoch.
func (r *runner) trainSeed(ctx context.Context, k int, seed int64, t trainingSet) ([]cnn.EpochRecord, error) {
	loader, err := datasets.NewLoader(t.fit, t.alive, datasets.LoaderSpec{
		Seed: uint64(seed), Batch: r.cfg.Training.Batch, Augment: r.cfg.Augment, Workers: r.env.Jobs})
	if err != nil {
		return nil, err
	}
	cfg := r.cfg.Training
	cfg.Seed = seed
	name := fmt.Sprintf("training network %d of %d (seed %d)", k+1, len(r.cfg.Seeds), seed)
	bar := r.env.Progress.Bar(cfg.MaxEpochs, name)
	result, err := cnn.Train(ctx, r.engine, r.cfg.Network, cfg, cnn.Data{
		Epoch:    func(epoch int) (train.Dataset, error) { return loader.Epoch(ctx, epoch), nil },
		Tune:     t.tune,
		TuneDead: t.tuneDead,
		AUC:      tuneAUC,
	}, cnn.Options{Dir: r.checkpoint(seed), Resume: true, OnEpoch: func(e cnn.EpochRecord) {
		bar.Note("%s: tune AUC %.3f", name, e.TuneAUC)
		bar.Add(1)
		r.onEpoch(e)
	}, OnWarning: func(err error) { r.env.Progress.Say("warning: %v", err) }})
	if err != nil {
		return nil, err
	}
	bar.Note("%s: best tune AUC %.3f at epoch %d; epochs", name, result.History[result.BestEpoch-1].TuneAUC, result.BestEpoch)
	bar.Done()
	return result.History, nil
}

// tuneAUC is the AUC that chooses the best epoch. The tune role has both classes:
// training has checked that.
func tuneAUC(scores []float64, dead []bool) float64 {
	auc, err := stats.AUC(scores, dead)
	if err != nil {
		return math.NaN()
	}
	return auc
}

// meanScores is the mean over networks, patient by patient; NaN stays NaN.
func meanScores(bySeed [][]float64) []float64 {
	mean := make([]float64, len(bySeed[0]))
	for i := range mean {
		for _, s := range bySeed {
			mean[i] += s[i]
		}
		mean[i] /= float64(len(bySeed))
	}
	return mean
}

// orNaN is a slice of n NaNs.
func orNaN(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}
