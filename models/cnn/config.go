package cnn

import (
	"fmt"
	"math"
	"path"
	"slices"
)

// The losses that a network can be trained with.
const (
	LossCrossEntropy = "cross_entropy" // of death within two years; the default
	LossCox          = "cox"           // Cox's negative log partial likelihood, see coxLoss
	LossDiscreteTime = "discrete_time" // of the hazards of intervals of time, see discreteTimeLoss
)

// Horizon is the time in days at which a score is the predicted risk of death: two years.
const Horizon = 730.0

// TrainConfig says how to train. The optimiser is Adam (Kingma and Ba 2015, arXiv:1412.6980) with its usual
// constants 0.9, 0.999 and 1e-7. A setting that is zero or empty is off, unless another meaning is said.
type TrainConfig struct {
	Batch        int     `yaml:"batch" json:"batch"`                 // cubes per step; the data set yields batches of this size
	MaxEpochs    int     `yaml:"max_epochs" json:"max_epochs"`       //
	Patience     int     `yaml:"patience" json:"patience"`           // epochs without a better tune AUC (or C-index) before training stops
	LearningRate float64 `yaml:"learning_rate" json:"learning_rate"` // before Schedule and LearningRates
	Seed         int64   `yaml:"-" json:"seed"`                      // of the first weights and of dropout

	// Loss is cross_entropy ("" too), cox or discrete_time.
	Loss string `yaml:"loss" json:"loss"`

	// Intervals are the ends, in days and ascending, of the intervals of discrete_time; the first begins at 0. The
	// last must reach two years. Empty: half years (182.625 days) up to five years.
	Intervals []float64 `yaml:"intervals" json:"intervals,omitempty"`

	Schedule Schedule `yaml:"schedule" json:"schedule"`

	// ClipNorm is the greatest norm of the gradient of all trained variables together: a longer one is scaled down to
	// it (Pascanu et al. 2013, arXiv:1211.5063).
	ClipNorm float64 `yaml:"clip_norm" json:"clip_norm"`

	// WeightDecay takes this share, times the learning rate, off each weight at each step, beside Adam's step and not
	// through its gradient (AdamW; Loshchilov and Hutter 2019, arXiv:1711.05101). Biases, scales and offsets are spared.
	WeightDecay float64 `yaml:"weight_decay" json:"weight_decay"`

	// LabelSmoothing e teaches 1-e/2 for what happened and e/2 for what did not (Szegedy et al. 2016, arXiv:1512.00567).
	// For cross_entropy.
	LabelSmoothing float64 `yaml:"label_smoothing" json:"label_smoothing"`

	// ClassWeights multiply the loss of the cubes of a class, dead or alive; a class that is not named has 1. The loss
	// is still divided by the number of cubes. For cross_entropy.
	ClassWeights map[string]float64 `yaml:"class_weights" json:"class_weights,omitempty"`

	// Accumulate is the number of batches whose gradients, averaged, make one step; 0 and 1 are each. The last step of
	// an epoch takes what is left. Normalisation uses each batch's own mean and variance, and the running averages
	// follow each batch.
	Accumulate int `yaml:"accumulate" json:"accumulate"`

	// InitFrom names the run whose network training begins with, in Options.Init.
	InitFrom string `yaml:"init_from" json:"init_from"`

	// Freeze and Reinit are patterns (path.Match) of layer names: conv1, conv*, dense2, logits. Frozen layers keep
	// their weights, biases, scales and offsets. Layers in Reinit begin anew and not with InitFrom's weights.
	Freeze []string `yaml:"freeze" json:"freeze,omitempty"`
	Reinit []string `yaml:"reinit" json:"reinit,omitempty"`

	// FreezeNorm lets frozen layers normalise by their running averages and keep them; they then have no activity
	// penalty. Otherwise they normalise by the batch in training, and their running averages follow it.
	FreezeNorm bool `yaml:"freeze_norm" json:"freeze_norm"`

	// LearningRates multiply the learning rate of the layers that match a pattern (path.Match).
	LearningRates map[string]float64 `yaml:"learning_rates" json:"learning_rates,omitempty"`
}

// Class names in TrainConfig.ClassWeights.
const (
	classDead  = "dead"
	classAlive = "alive"
)

// DefaultTrainConfig returns the settings that suit the small network.
func DefaultTrainConfig() TrainConfig {
	return TrainConfig{Batch: 16, MaxEpochs: 20, Patience: 8, LearningRate: 1e-3, Seed: 1}
}

// Survival tells whether the loss is learned from times and events and not from two-year outcomes.
func (c TrainConfig) Survival() bool { return c.Loss == LossCox || c.Loss == LossDiscreteTime }

// intervals returns the ends of the intervals in days, nil for the other losses.
func (c TrainConfig) intervals() []float64 {
	switch {
	case c.Loss != LossDiscreteTime:
		return nil
	case len(c.Intervals) > 0:
		return c.Intervals
	}
	var ends []float64
	for i := range 10 {
		ends = append(ends, 182.625*float64(i+1))
	}
	return ends
}

// Validate checks the settings by themselves. Errors: *SpecError.
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
	case !(c.ClipNorm >= 0) || math.IsInf(c.ClipNorm, 1):
		return &SpecError{"clip_norm", c.ClipNorm, "at least 0 (0: none)"}
	case !(c.WeightDecay >= 0 && c.WeightDecay < 1):
		return &SpecError{"weight_decay", c.WeightDecay, "at least 0 and below 1"}
	case c.Accumulate < 0:
		return &SpecError{"accumulate", c.Accumulate, "at least 0"}
	case c.FreezeNorm && len(c.Freeze) == 0:
		return &SpecError{"freeze_norm", true, "false where freeze names no layer"}
	case c.InitFrom == "" && len(c.Reinit) > 0:
		return &SpecError{"reinit", c.Reinit, "empty without init_from: all layers begin anew"}
	}
	if err := c.validateLoss(); err != nil {
		return err
	}
	if err := c.Schedule.validate(c); err != nil {
		return err
	}
	for i, p := range slices.Concat(c.Freeze, c.Reinit) {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			field := fmt.Sprintf("freeze[%d]", i)
			if i >= len(c.Freeze) {
				field = fmt.Sprintf("reinit[%d]", i-len(c.Freeze))
			}
			return &SpecError{field, p, "a layer's name or a pattern such as conv*"}
		}
	}
	for _, p := range sortedKeys(c.LearningRates) {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return &SpecError{"learning_rates." + p, p, "a layer's name or a pattern such as conv*"}
		}
		if f := c.LearningRates[p]; !(f > 0 && f <= 1000) {
			return &SpecError{"learning_rates." + p, f, "above 0 and at most 1000 (to keep a layer as it is, name it in freeze)"}
		}
	}
	return nil
}

func (c TrainConfig) validateLoss() error {
	if losses := []string{"", LossCrossEntropy, LossCox, LossDiscreteTime}; !slices.Contains(losses, c.Loss) {
		return &SpecError{"loss", c.Loss, "cross_entropy, cox or discrete_time"}
	}
	if len(c.Intervals) > 0 {
		if c.Loss != LossDiscreteTime {
			return &SpecError{"intervals", c.Intervals, "empty unless loss is discrete_time"}
		}
		before := 0.0
		for _, end := range c.Intervals {
			if !(end > before) || math.IsInf(end, 1) {
				return &SpecError{"intervals", c.Intervals, "days above 0 in ascending order"}
			}
			before = end
		}
		if before < Horizon {
			return &SpecError{"intervals", c.Intervals, fmt.Sprintf("days up to %g or more, the time at which scores are risks", Horizon)}
		}
	}
	switch {
	case !(c.LabelSmoothing >= 0 && c.LabelSmoothing < 1):
		return &SpecError{"label_smoothing", c.LabelSmoothing, "at least 0 and below 1"}
	case c.Survival() && c.LabelSmoothing > 0:
		return &SpecError{"label_smoothing", c.LabelSmoothing, "0 unless loss is cross_entropy"}
	case c.Survival() && len(c.ClassWeights) > 0:
		return &SpecError{"class_weights", c.ClassWeights, "empty unless loss is cross_entropy"}
	}
	for _, name := range sortedKeys(c.ClassWeights) {
		if name != classDead && name != classAlive {
			return &SpecError{"class_weights." + name, name, "a class: dead or alive"}
		}
		if w := c.ClassWeights[name]; !(w > 0) || math.IsInf(w, 1) {
			return &SpecError{"class_weights." + name, w, "above 0"}
		}
	}
	return nil
}

// ValidateFor checks the settings by themselves and against a network: that every pattern names one of its layers,
// that a layer is left to train, that its outputs suit the loss. Errors: *SpecError.
func (c TrainConfig) ValidateFor(s Spec) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if _, err := c.outputs(s); err != nil {
		return err
	}
	layers, err := s.layers()
	if err != nil {
		return err
	}
	_, err = c.groups(layers)
	return err
}

// outputs returns the network with as many outputs as the loss needs.
func (c TrainConfig) outputs(s Spec) (Spec, error) {
	if err := s.Validate(); err != nil {
		return s, err
	}
	if n := len(c.intervals()); n > 0 {
		if s.Outputs != 0 && s.Outputs != n {
			return s, &SpecError{"outputs", s.Outputs, fmt.Sprintf("0 or %d, one for each of the intervals of discrete_time", n)}
		}
		s.Outputs = n
	} else if s.Outputs != 0 {
		return s, &SpecError{"outputs", s.Outputs, "0 (the two logits) unless loss is discrete_time"}
	}
	return s, nil
}

// group says how one layer is trained.
type group struct {
	frozen bool
	reinit bool
	factor float64 // on the learning rate
}

// groups says how each of the layers is trained.
func (c TrainConfig) groups(layers []layer) (map[string]group, error) {
	var names []string
	for _, l := range layers {
		names = append(names, l.name)
	}
	matching := func(field, pattern string) ([]string, error) {
		var found []string
		for _, n := range names {
			if ok, _ := path.Match(pattern, n); ok {
				found = append(found, n)
			}
		}
		if len(found) == 0 {
			return nil, &SpecError{field, pattern, fmt.Sprintf("the name or pattern of layers of this network, which are %v", names)}
		}
		return found, nil
	}
	all := map[string]group{}
	for _, n := range names {
		all[n] = group{factor: 1}
	}
	for i, p := range c.Freeze {
		found, err := matching(fmt.Sprintf("freeze[%d]", i), p)
		if err != nil {
			return nil, err
		}
		for _, n := range found {
			g := all[n]
			g.frozen = true
			all[n] = g
		}
	}
	for i, p := range c.Reinit {
		found, err := matching(fmt.Sprintf("reinit[%d]", i), p)
		if err != nil {
			return nil, err
		}
		for _, n := range found {
			g := all[n]
			g.reinit = true
			all[n] = g
		}
	}
	by := map[string]string{}
	for _, p := range sortedKeys(c.LearningRates) {
		found, err := matching("learning_rates."+p, p)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(found, func(n string) bool { return !all[n].frozen }) {
			return nil, &SpecError{"learning_rates." + p, c.LearningRates[p], fmt.Sprintf("absent, because freeze keeps %v as they are", found)}
		}
		for _, n := range found {
			if other, twice := by[n]; twice {
				return nil, &SpecError{"learning_rates." + p, p, fmt.Sprintf("a pattern that does not match %s again, which %s matches", n, other)}
			}
			by[n] = p
			g := all[n]
			g.factor = c.LearningRates[p]
			all[n] = g
		}
	}
	for _, n := range names {
		if !all[n].frozen {
			return all, nil
		}
	}
	return nil, &SpecError{"freeze", c.Freeze, "patterns that leave at least one layer to train"}
}

func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
