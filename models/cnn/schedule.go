package cnn

import "math"

// Schedule says how the learning rate changes from epoch to epoch; within an epoch it is constant.
type Schedule struct {
	// Kind is constant ("" too), cosine, step or exponential.
	//
	// cosine falls from the learning rate, at the first epoch after the warm-up, along half a cosine that would reach
	// Floor one epoch after MaxEpochs (Loshchilov and Hutter 2017, arXiv:1608.03983). step multiplies it by Factor every StepEpochs epochs,
	// exponential by Factor after every epoch, neither below Floor.
	Kind string `yaml:"kind" json:"kind"`

	// WarmupEpochs w precede the schedule: epoch e of them has e/(w+1) of the learning rate.
	WarmupEpochs int `yaml:"warmup_epochs" json:"warmup_epochs"`

	StepEpochs int     `yaml:"step_epochs" json:"step_epochs"` // of step; 0 is 10
	Factor     float64 `yaml:"factor" json:"factor"`           // of step and exponential; 0 is 0.1 and 0.95
	Floor      float64 `yaml:"floor" json:"floor"`             // the lowest learning rate of cosine, step and exponential
}

// The values of Schedule.Kind.
const (
	scheduleConstant    = "constant"
	scheduleCosine      = "cosine"
	scheduleStep        = "step"
	scheduleExponential = "exponential"
)

func (s Schedule) validate(c TrainConfig) error {
	falls := s.Kind == scheduleStep || s.Kind == scheduleExponential
	switch {
	case s.Kind != "" && s.Kind != scheduleConstant && s.Kind != scheduleCosine && !falls:
		return &SpecError{"schedule.kind", s.Kind, "constant, cosine, step or exponential"}
	case s.WarmupEpochs < 0 || s.WarmupEpochs >= c.MaxEpochs:
		return &SpecError{"schedule.warmup_epochs", s.WarmupEpochs, "at least 0 and below max_epochs"}
	case s.StepEpochs < 0 || s.StepEpochs > 0 && s.Kind != scheduleStep:
		return &SpecError{"schedule.step_epochs", s.StepEpochs, "at least 1 for step, 0 for the other kinds"}
	case !(s.Factor >= 0 && s.Factor < 1) || s.Factor > 0 && !falls:
		return &SpecError{"schedule.factor", s.Factor, "above 0 and below 1 for step and exponential, 0 for the other kinds"}
	case !(s.Floor >= 0 && s.Floor <= c.LearningRate) || s.Floor > 0 && !falls && s.Kind != scheduleCosine:
		return &SpecError{"schedule.floor", s.Floor, "between 0 and learning_rate for cosine, step and exponential, 0 for constant"}
	}
	return nil
}

// rate is the learning rate of an epoch, counted from 1.
func (c TrainConfig) rate(epoch int) float64 {
	s, base := c.Schedule, c.LearningRate
	if epoch <= s.WarmupEpochs {
		return base * float64(epoch) / float64(s.WarmupEpochs+1)
	}
	since := epoch - s.WarmupEpochs - 1
	factor, every := s.Factor, 1
	switch s.Kind {
	case scheduleCosine:
		return s.Floor + (base-s.Floor)*(1+math.Cos(math.Pi*float64(since)/float64(c.MaxEpochs-s.WarmupEpochs)))/2
	case scheduleStep:
		if every = s.StepEpochs; every == 0 {
			every = 10
		}
		if factor == 0 {
			factor = 0.1
		}
	case scheduleExponential:
		if factor == 0 {
			factor = 0.95
		}
	default:
		return base
	}
	return max(s.Floor, base*math.Pow(factor, float64(since/every)))
}
