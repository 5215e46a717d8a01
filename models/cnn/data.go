package cnn

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/train"
)

// Data is what a network is trained on and tuned on.
type Data struct {
	// Epoch returns the batches of one epoch, counted from 1, always the same for the same number. A batch's
	// first input is float32 [cubes, z, y, x, 1] in 0..1, its first label float32 [cubes, 1], 1 for dead at two
	// years and 0 for alive (NaN for not known is allowed with a survival loss), its second, for survival losses only,
	// float32 [cubes, 2]: days of follow-up, and 1 if they end in death, else 0.
	Epoch func(epoch int) (train.Dataset, error)

	// Tune are the cubes that choose the best epoch and when to stop; as in Model.Scores.
	Tune [][]float32

	// TuneDead has the outcome of each tune cube at two years. With a survival loss it may be nil, or TuneKnown may say
	// for which cubes it is known (nil: for all); the tune AUC is then of these, NaN if they do not hold both outcomes.
	TuneDead  []bool
	TuneKnown []bool

	// AUC is the area under the ROC curve of scores that are higher for the dead. It is called with both outcomes
	// present only, for tune cubes and for training cubes.
	AUC func(scores []float64, dead []bool) float64

	// TuneTime and TuneEvent have each tune cube's days of follow-up and whether they end in death. Survival losses
	// need them.
	TuneTime  []float64
	TuneEvent []bool

	// Concordance is Harrell's C of scores that are higher for those who die sooner. Survival losses choose the best
	// epoch by it.
	Concordance func(time []float64, event []bool, scores []float64) float64
}

// check tells whether the tune role can choose an epoch.
func (d Data) check(spec Spec, cfg TrainConfig) error {
	bad := func(problem, next string) error {
		return &DataError{What: "the tune cubes", Problem: problem, Next: next}
	}
	if n := len(d.Tune); len(d.TuneDead) != n && !(cfg.Survival() && d.TuneDead == nil) {
		return bad(fmt.Sprintf("are %d, with %d outcomes", n, len(d.TuneDead)), "give each tune cube its outcome")
	}
	if d.TuneKnown != nil && (!cfg.Survival() || len(d.TuneKnown) != len(d.TuneDead)) {
		return bad(fmt.Sprintf("have %d outcomes marked as known or not, of %d", len(d.TuneKnown), len(d.TuneDead)),
			"mark all of them; with loss cross_entropy leave out those that are not known")
	}
	if cfg.Survival() {
		if err := d.checkFollowUp(bad); err != nil {
			return err
		}
	} else {
		dead := 0
		for _, v := range d.TuneDead {
			if v {
				dead++
			}
		}
		if dead == 0 || dead == len(d.TuneDead) {
			return bad(fmt.Sprintf("hold %d dead of %d", dead, len(d.TuneDead)),
				"choose a tune role with both outcomes, or there is no AUC to choose the best epoch by")
		}
	}
	volume := spec.Input * spec.Input * spec.Input
	for i, c := range d.Tune {
		if err := checkCube(fmt.Sprintf("tune cube %d", i), c, volume, spec.Input); err != nil {
			return err
		}
	}
	return nil
}

// tuneAUC is the AUC of the tune cubes whose outcome is known.
func (d Data) tuneAUC(scores []float64) float64 {
	if d.TuneKnown == nil {
		return d.auc(scores, d.TuneDead)
	}
	var known []float64
	var dead []bool
	for i, k := range d.TuneKnown {
		if k {
			known, dead = append(known, scores[i]), append(dead, d.TuneDead[i])
		}
	}
	return d.auc(known, dead)
}

// auc is NaN unless both outcomes are there.
func (d Data) auc(scores []float64, dead []bool) float64 {
	if !slices.Contains(dead, true) || !slices.Contains(dead, false) {
		return math.NaN()
	}
	return d.AUC(scores, dead)
}

func (d Data) checkFollowUp(bad func(problem, next string) error) error {
	if n := len(d.Tune); len(d.TuneTime) != n || len(d.TuneEvent) != n {
		return bad(fmt.Sprintf("are %d, with %d times and %d events", n, len(d.TuneTime), len(d.TuneEvent)),
			"give each tune cube its follow-up, or use loss cross_entropy")
	}
	comparable := false
	for i, t := range d.TuneTime {
		if !(t >= 0) || t-t != 0 {
			return bad(fmt.Sprintf("have a follow-up of %v days at number %d", t, i), "leave out patients whose follow-up is not known")
		}
		for _, other := range d.TuneTime {
			comparable = comparable || d.TuneEvent[i] && t < other
		}
	}
	if !comparable {
		return bad("hold nobody who died while another was still followed",
			"choose a tune role with deaths, or there is no concordance to choose the best epoch by")
	}
	return nil
}

// outcomesOf checks a batch's form and labels and returns the first label of each cube: 1 dead, 0 alive, NaN unknown.
func outcomesOf(batch train.Batch, cfg TrainConfig) (dead []float32, err error) {
	wanted := 1
	if cfg.Survival() {
		wanted = 2
	}
	if len(batch.Inputs) == 0 || len(batch.Labels) < wanted {
		return nil, &DataError{What: "a batch", Problem: fmt.Sprintf("has %d inputs and %d labels", len(batch.Inputs), len(batch.Labels)),
			Next: fmt.Sprintf("give each batch its cubes and %d label(s)", wanted)}
	}
	cubes := batch.Inputs[0].Shape().Dimensions[0]
	if dead, err = labelValues(batch.Labels[0], cubes, 1); err != nil {
		return nil, err
	}
	for i, v := range dead {
		if v != 0 && v != 1 && !(cfg.Survival() && v != v) {
			return nil, &DataError{What: fmt.Sprintf("cube %d of a batch", i), Problem: fmt.Sprintf("has the label %v", v),
				Next: "give 1 for dead and 0 for alive at two years; leave out patients for whom it is not known"}
		}
	}
	if !cfg.Survival() {
		return dead, nil
	}
	followUp, err := labelValues(batch.Labels[1], cubes, 2)
	if err != nil {
		return nil, err
	}
	for i := range cubes {
		if t, event := followUp[2*i], followUp[2*i+1]; !(t >= 0) || t-t != 0 || event != 0 && event != 1 {
			return nil, &DataError{What: fmt.Sprintf("cube %d of a batch", i), Problem: fmt.Sprintf("is followed for %v days with event %v", t, event),
				Next: "give days of 0 or more with event 1 or 0; leave out patients whose follow-up is not known"}
		}
	}
	return dead, nil
}

// labelValues copies a label of shape [cubes, columns].
func labelValues(label *tensors.Tensor, cubes, columns int) ([]float32, error) {
	var values []float32
	err := tensors.ConstFlatData(label, func(flat []float32) { values = append(values, flat...) })
	if s := label.Shape(); err != nil || s.Rank() != 2 || s.Dimensions[0] != cubes || s.Dimensions[1] != columns {
		return nil, &DataError{What: "a batch", Problem: fmt.Sprintf("has labels of shape %s", s),
			Next: fmt.Sprintf("give float32 labels of shape [%d %d]", cubes, columns)}
	}
	return values, nil
}
