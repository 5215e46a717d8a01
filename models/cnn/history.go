package cnn

import (
	"encoding/json"
	"math"
)

// EpochRecord is one line of the training history. A value that an epoch does not have is NaN, in JSON null.
type EpochRecord struct {
	Epoch     int     // from 1
	TrainLoss float64 // mean over the epoch's batches: the training's loss plus activity penalty

	// TrainAUC is of the scores that the network gave the training cubes in the course of the epoch, each just before
	// the step that learned from it: augmented, with dropout, normalised by the batch. NaN where the cubes known to be
	// dead or alive at two years do not hold both.
	TrainAUC float64

	TuneLoss float64 // cross entropy or negative log likelihood (nats), without smoothing, class weights and penalty

	TuneAUC         float64 // at two years; NaN where Data.TuneDead is not given
	TuneConcordance float64 // Harrell's C; NaN unless the loss is a survival loss
	LearningRate    float64 // of the epoch, before TrainConfig.LearningRates
	Best            bool    // better than every epoch before it
	Seconds         float64 // wall time
}

// epochJSON is EpochRecord in JSON, which has no NaN.
type epochJSON struct {
	Epoch           int      `json:"epoch"`
	TrainLoss       *float64 `json:"train_loss"`
	TrainAUC        *float64 `json:"train_auc"`
	TuneLoss        *float64 `json:"tune_loss"`
	TuneAUC         *float64 `json:"tune_auc"`
	TuneConcordance *float64 `json:"tune_concordance"`
	LearningRate    *float64 `json:"learning_rate"`
	Best            bool     `json:"best"`
	Seconds         float64  `json:"seconds"`
}

// MarshalJSON writes NaN as null.
func (r EpochRecord) MarshalJSON() ([]byte, error) {
	known := func(v float64) *float64 {
		if math.IsNaN(v) {
			return nil
		}
		return &v
	}
	return json.Marshal(epochJSON{Epoch: r.Epoch, TrainLoss: known(r.TrainLoss), TrainAUC: known(r.TrainAUC), TuneLoss: known(r.TuneLoss),
		TuneAUC: known(r.TuneAUC), TuneConcordance: known(r.TuneConcordance), LearningRate: known(r.LearningRate), Best: r.Best, Seconds: r.Seconds})
}

// UnmarshalJSON reads null, or nothing, as NaN.
func (r *EpochRecord) UnmarshalJSON(b []byte) error {
	var j epochJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	value := func(p *float64) float64 {
		if p == nil {
			return math.NaN()
		}
		return *p
	}
	*r = EpochRecord{Epoch: j.Epoch, TrainLoss: value(j.TrainLoss), TrainAUC: value(j.TrainAUC), TuneLoss: value(j.TuneLoss),
		TuneAUC: value(j.TuneAUC), TuneConcordance: value(j.TuneConcordance), LearningRate: value(j.LearningRate), Best: j.Best, Seconds: j.Seconds}
	return nil
}

// unmeasured is the record of the only epoch of a network that was not trained here.
func unmeasured(epoch int) EpochRecord {
	nan := math.NaN()
	return EpochRecord{Epoch: epoch, TrainLoss: nan, TrainAUC: nan, TuneLoss: nan, TuneAUC: nan, TuneConcordance: nan, LearningRate: nan, Best: true}
}

// criterion is what chooses the best epoch: the tune AUC, or the concordance of a survival loss.
func (r EpochRecord) criterion(survival bool) float64 {
	if survival {
		return r.TuneConcordance
	}
	return r.TuneAUC
}
