package cnn

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// followed adds follow-up to a data set: cubes with a large box die early, the others late or are censored.
type followed struct {
	train.Dataset
	epoch uint64
}

func (f followed) Iter() iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		rng := rand.New(rand.NewPCG(91, f.epoch))
		for b, err := range f.Dataset.Iter() {
			dead := fromTensor(b.Labels[0])
			y := newArray(len(dead.v), 2)
			for i, d := range dead.v {
				y.v[2*i], y.v[2*i+1] = followUp(rng, d == 1)
				if y.v[2*i+1] == 0 && y.v[2*i] < Horizon {
					dead.v[i] = math.NaN()
				}
			}
			b.Labels = []*tensors.Tensor{dead.tensor(dtypes.Float32), y.tensor(dtypes.Float32)}
			if !yield(b, err) {
				return
			}
		}
	}
}

func followUp(rng *rand.Rand, dead bool) (days, event float64) {
	switch {
	case dead:
		return math.Round(100 + 600*rng.Float64()), 1
	case rng.IntN(4) == 0:
		return math.Round(300 + 300*rng.Float64()), 0
	}
	return math.Round(800 + 1500*rng.Float64()), float64(rng.IntN(2))
}

func survivalData() Data {
	d := tinyData(14)
	epoch := d.Epoch
	d.Epoch = func(n int) (train.Dataset, error) {
		ds, err := epoch(n)
		return followed{ds, uint64(n)}, err
	}
	rng := rand.New(rand.NewPCG(92, 0))
	for _, dead := range d.TuneDead {
		days, event := followUp(rng, dead)
		d.TuneTime, d.TuneEvent = append(d.TuneTime, days), append(d.TuneEvent, event == 1)
		d.TuneKnown = append(d.TuneKnown, event == 1 || days >= Horizon)
	}
	d.Concordance = func(time []float64, event []bool, scores []float64) float64 {
		var won, pairs float64
		for i := range time {
			for j := range time {
				if event[i] && time[i] < time[j] {
					pairs++
					switch {
					case scores[i] > scores[j]:
						won++
					case scores[i] == scores[j]:
						won += 0.5
					}
				}
			}
		}
		return won / pairs
	}
	return d
}

func TestTrainLearnsSurvival(t *testing.T) {
	e := openGo(t)
	for _, loss := range []string{LossCox, LossDiscreteTime} {
		cfg := tinyConfig()
		cfg.Loss, cfg.MaxEpochs, cfg.Patience = loss, 9, 9
		dir := t.TempDir()
		d := survivalData()
		r, err := Train(context.Background(), e, tiny(), cfg, d, Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		best := r.History[r.BestEpoch-1]
		if best.TuneConcordance < 0.75 || best.TuneAUC < 0.9 || best.TrainAUC < 0.6 {
			t.Errorf("%s: the network did not learn who dies early: %+v", loss, r.History)
		}
		highest := math.Inf(-1)
		for _, h := range r.History {
			if h.Best && h.TuneConcordance < highest {
				t.Errorf("%s: epoch %d is best with concordance %g after %g", loss, h.Epoch, h.TuneConcordance, highest)
			}
			highest = max(highest, h.TuneConcordance)
		}
		if best.TuneConcordance != highest {
			t.Errorf("%s: the best epoch's concordance is %g, the highest %g", loss, best.TuneConcordance, highest)
		}
		loaded, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r.Model, loaded); d != "" {
			t.Errorf("%s: the network loaded is another one: %s", loss, d)
		}
		if want := 10; loss == LossDiscreteTime && (len(loaded.Intervals) != want || loaded.Spec.Outputs != want || loaded.Intervals[3] != 730.5) {
			t.Errorf("the network has %d outputs for the intervals %v", loaded.Spec.Outputs, loaded.Intervals)
		}
		scores, err := loaded.Scores(context.Background(), e, d.Tune)
		if err != nil {
			t.Fatal(err)
		}
		if c := d.Concordance(d.TuneTime, d.TuneEvent, scores); c != best.TuneConcordance {
			t.Errorf("%s: the network's concordance is %g, the best epoch's %g", loss, c, best.TuneConcordance)
		}
		for _, s := range scores {
			if !(s >= 0 && s <= 1) {
				t.Errorf("%s: score %g is no risk", loss, s)
			}
		}
	}
}

func TestSurvivalDataIsChecked(t *testing.T) {
	cfg := tinyConfig()
	cfg.Loss = LossCox
	for name, change := range map[string]func(*Data){
		"times missing":       func(d *Data) { d.TuneTime = d.TuneTime[1:] },
		"events missing":      func(d *Data) { d.TuneEvent = nil },
		"unknown time":        func(d *Data) { d.TuneTime[2] = math.NaN() },
		"negative time":       func(d *Data) { d.TuneTime[2] = -1 },
		"nobody dies":         func(d *Data) { clear(d.TuneEvent) },
		"all die on one day":  func(d *Data) { clear(d.TuneTime) },
		"marks missing":       func(d *Data) { d.TuneKnown = d.TuneKnown[1:] },
		"outcomes missing":    func(d *Data) { d.TuneDead = d.TuneDead[1:] },
		"batches without any": func(d *Data) { d.Epoch = tinyData(14).Epoch },
	} {
		d := survivalData()
		change(&d)
		var wrong *DataError
		if _, err := Train(context.Background(), openGo(t), tiny(), cfg, d, Options{}); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	marked := tinyData(14)
	marked.TuneKnown = make([]bool, len(marked.TuneDead))
	var wrong *DataError
	if _, err := Train(context.Background(), openGo(t), tiny(), tinyConfig(), marked, Options{}); !errors.As(err, &wrong) {
		t.Errorf("unknown outcomes for cross entropy: %v", err)
	}
	// Without two-year outcomes there is a concordance and no AUC.
	d := survivalData()
	d.TuneDead, d.TuneKnown = nil, nil
	cfg.MaxEpochs = 1
	r, err := Train(context.Background(), openGo(t), tiny(), cfg, d, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if h := r.History[0]; !math.IsNaN(h.TuneAUC) || math.IsNaN(h.TuneConcordance) {
		t.Errorf("without two-year outcomes: %+v", h)
	}
}

func TestEpochRecordSurvivesJSON(t *testing.T) {
	nan := math.NaN()
	for _, r := range []EpochRecord{
		{Epoch: 3, TrainLoss: 0.5, TrainAUC: 0.6, TuneLoss: 0.7, TuneAUC: 0.8, TuneConcordance: nan, LearningRate: 1e-3, Best: true, Seconds: 2},
		unmeasured(1),
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back EpochRecord
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, back, cmpopts.EquateNaNs()); d != "" {
			t.Error(d)
		}
	}
}

// The training AUC is of the very scores that the steps computed.
func TestTrainAUC(t *testing.T) {
	d := tinyData(14)
	var asked [][]float64
	var outcomes [][]bool
	d.AUC = func(scores []float64, dead []bool) float64 {
		asked, outcomes = append(asked, scores), append(outcomes, dead)
		return rankAUC(scores, dead)
	}
	cfg := tinyConfig()
	cfg.MaxEpochs = 2
	r, err := Train(context.Background(), openGo(t), tiny(), cfg, d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 4 || len(asked[1]) != 24 || len(asked[3]) != 24 {
		t.Fatalf("AUCs of %d sets of scores", len(asked))
	}
	for i, h := range r.History {
		if want := rankAUC(asked[2*i+1], outcomes[2*i+1]); h.TrainAUC != want {
			t.Errorf("epoch %d records the training AUC %g, not %g", h.Epoch, h.TrainAUC, want)
		}
		// The penalty apart, the scores' cross entropy is the loss of the steps.
		var loss float64
		for k, s := range asked[2*i+1] {
			if !outcomes[2*i+1][k] {
				s = 1 - s
			}
			loss -= math.Log(s) / 24
		}
		if loss > h.TrainLoss || loss < h.TrainLoss-0.01 {
			t.Errorf("epoch %d: the scores' cross entropy is %g, the loss %g", h.Epoch, loss, h.TrainLoss)
		}
	}
}
