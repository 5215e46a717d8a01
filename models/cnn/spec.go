// Package cnn is the prognostic network: a three-dimensional convolutional network from a cube of CT to the risk of
// death within two years, built in GoMLX, trained with checkpoints and early stopping, and used for prediction.
//
// Everywhere a score is the predicted probability of death, from 0 to 1: higher is worse.
package cnn

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Spec describes a network. A cube of Input^3 voxels, normalised to 0..1, is averaged over boxes of InputPool^3,
// goes through the stages and the dense layers and ends in two logits.
//
// Every convolution and every dense layer, the logits' layer included, has a bias and is followed by batch
// normalisation; all but the logits then by leaky ReLU and dropout. Convolutions are valid with stride 1, pools are
// the maximum over disjoint boxes.
type Spec struct {
	Input        int     `yaml:"input" json:"input"`                 // voxels per edge of the cube
	InputPool    int     `yaml:"input_pool" json:"input_pool"`       // 1: none
	Stages       []Stage `yaml:"stages" json:"stages"`               //
	Dense        []Dense `yaml:"dense" json:"dense"`                 // hidden layers, without the logits
	LeakySlope   float64 `yaml:"leaky_slope" json:"leaky_slope"`     // below zero; 0 is ReLU, 1 no activation
	NormMomentum float64 `yaml:"norm_momentum" json:"norm_momentum"` // share of the old running average kept at a step
	NormEpsilon  float64 `yaml:"norm_epsilon" json:"norm_epsilon"`   // added to the variance
	ActivityL2   float64 `yaml:"activity_l2" json:"activity_l2"`     // see normaliseTraining; 0: none

	// Outputs is the number of values of the last layer, logits. 0: two, for death and for survival. Otherwise each is
	// the logit of the hazard of death in one interval of time (TrainConfig.Intervals).
	Outputs int `yaml:"outputs,omitempty" json:"outputs,omitempty"`
}

// Stage is one convolution or one pool.
type Stage struct {
	Conv *Conv `yaml:"conv,omitempty" json:"conv,omitempty"`
	Pool *Pool `yaml:"pool,omitempty" json:"pool,omitempty"`
}

// Conv is a convolution with Kernel^3 weights per pair of channels. Dropout is the share of values dropped after
// the activation.
type Conv struct {
	Filters int     `yaml:"filters" json:"filters"`
	Kernel  int     `yaml:"kernel" json:"kernel"`
	Dropout float64 `yaml:"dropout" json:"dropout"`
}

// Pool is the maximum over boxes of Size^3. Dropout is the share of values dropped after it.
type Pool struct {
	Size    int     `yaml:"size" json:"size"`
	Dropout float64 `yaml:"dropout" json:"dropout"`
}

// Dense is a fully connected layer.
type Dense struct {
	Units   int     `yaml:"units" json:"units"`
	Dropout float64 `yaml:"dropout" json:"dropout"`
}

// Hosny2018 is the study's network (Hosny et al. 2018, doi:10.1371/journal.pmed.1002711; the authors' Keras 1
// architecture file): about 11.9 million parameters, 24.7 thousand million products forward for one cube.
//
// The file says that the activity penalty is L2 with 1e-5 on what leaves each convolution and dense layer, before
// normalisation. How Keras scaled it with the batch is not stated: here the squares are summed over a cube's values
// and averaged over the batch, so the penalty does not depend on the batch size.
func Hosny2018() Spec {
	return Spec{
		Input: 50, InputPool: 1,
		Stages: []Stage{
			{Conv: &Conv{Filters: 64, Kernel: 5, Dropout: 0.25}},
			{Conv: &Conv{Filters: 128, Kernel: 3}},
			{Pool: &Pool{Size: 3, Dropout: 0.25}},
			{Conv: &Conv{Filters: 256, Kernel: 3, Dropout: 0.25}},
			{Conv: &Conv{Filters: 512, Kernel: 3}},
			{Pool: &Pool{Size: 3, Dropout: 0.25}},
		},
		Dense:      []Dense{{Units: 512, Dropout: 0.5}, {Units: 256, Dropout: 0.5}},
		LeakySlope: 0.1, NormMomentum: 0.99, NormEpsilon: 1e-3, ActivityL2: 1e-5,
	}
}

// Small is a network of the same kind that trains in a second or two per epoch of 200 cubes on a laptop. It looks at
// voxels of twice the size. Its running averages follow faster than the study's, because it sees a few hundred steps
// where the study's saw thousands.
func Small() Spec {
	return Spec{
		Input: 50, InputPool: 2,
		Stages: []Stage{
			{Conv: &Conv{Filters: 8, Kernel: 3}},
			{Pool: &Pool{Size: 2}},
			{Conv: &Conv{Filters: 16, Kernel: 3}},
			{Pool: &Pool{Size: 3}},
			{Conv: &Conv{Filters: 32, Kernel: 3, Dropout: 0.25}},
		},
		Dense:      []Dense{{Units: 32, Dropout: 0.5}},
		LeakySlope: 0.1, NormMomentum: 0.9, NormEpsilon: 1e-3, ActivityL2: 1e-5,
	}
}

// SpecError says which value of a Spec or TrainConfig cannot be used.
type SpecError struct {
	Field   string // in YAML's spelling, for example stages[2].conv.kernel
	Value   any
	Allowed string
}

func (e *SpecError) Error() string {
	return fmt.Sprintf("network setting %s is %v: it must be %s", e.Field, e.Value, e.Allowed)
}

// Shape is what leaves a layer for one cube: Channels values at each of Edge^3 positions (Edge 1 for dense layers).
type Shape struct {
	Layer    string // input, conv1, pool1, conv2, ..., dense1, ..., logits
	Channels int
	Edge     int
}

// Validate checks every setting, also that the cube is large enough for all the layers. Errors: *SpecError.
func (s Spec) Validate() error {
	_, err := s.Shapes()
	return err
}

// Shapes returns what leaves each layer, the (averaged) input first. Errors: *SpecError.
func (s Spec) Shapes() ([]Shape, error) {
	switch {
	case s.Input < 1:
		return nil, &SpecError{"input", s.Input, "at least 1 voxel"}
	case s.InputPool < 1 || s.InputPool > s.Input:
		return nil, &SpecError{"input_pool", s.InputPool, "between 1 (none) and input"}
	case len(s.Stages) == 0:
		return nil, &SpecError{"stages", "empty", "a list with at least one conv"}
	case !(s.LeakySlope >= 0 && s.LeakySlope <= 1):
		return nil, &SpecError{"leaky_slope", s.LeakySlope, "between 0 and 1"}
	case !(s.NormMomentum >= 0 && s.NormMomentum < 1):
		return nil, &SpecError{"norm_momentum", s.NormMomentum, "at least 0 and below 1"}
	case !(s.NormEpsilon > 0 && s.NormEpsilon < 1):
		return nil, &SpecError{"norm_epsilon", s.NormEpsilon, "above 0 and below 1"}
	case s.Outputs < 0:
		return nil, &SpecError{"outputs", s.Outputs, "at least 0 (0: the two logits)"}
	case !(s.ActivityL2 >= 0 && s.ActivityL2 <= 1):
		return nil, &SpecError{"activity_l2", s.ActivityL2, "between 0 and 1"}
	}
	shapes := []Shape{{Layer: "input", Channels: 1, Edge: s.Input / s.InputPool}}
	convs, pools := 0, 0
	for i, st := range s.Stages {
		last := shapes[len(shapes)-1]
		at := fmt.Sprintf("stages[%d]", i)
		if (st.Conv == nil) == (st.Pool == nil) {
			return nil, &SpecError{at, "neither or both", "either one conv or one pool"}
		}
		if c := st.Conv; c != nil {
			at += ".conv"
			switch {
			case c.Filters < 1:
				return nil, &SpecError{at + ".filters", c.Filters, "at least 1"}
			case c.Kernel < 1 || c.Kernel > last.Edge:
				return nil, &SpecError{at + ".kernel", c.Kernel, fmt.Sprintf("between 1 and %d, the edge of what reaches it", last.Edge)}
			}
			if err := checkDropout(at, c.Dropout); err != nil {
				return nil, err
			}
			convs++
			shapes = append(shapes, Shape{fmt.Sprintf("conv%d", convs), c.Filters, last.Edge - c.Kernel + 1})
			continue
		}
		p := st.Pool
		at += ".pool"
		if p.Size < 1 || p.Size > last.Edge {
			return nil, &SpecError{at + ".size", p.Size, fmt.Sprintf("between 1 and %d, the edge of what reaches it", last.Edge)}
		}
		if err := checkDropout(at, p.Dropout); err != nil {
			return nil, err
		}
		pools++
		shapes = append(shapes, Shape{fmt.Sprintf("pool%d", pools), last.Channels, last.Edge / p.Size})
	}
	if convs == 0 {
		return nil, &SpecError{"stages", "without conv", "a list with at least one conv"}
	}
	for i, d := range s.Dense {
		at := fmt.Sprintf("dense[%d]", i)
		if d.Units < 1 {
			return nil, &SpecError{at + ".units", d.Units, "at least 1"}
		}
		if err := checkDropout(at, d.Dropout); err != nil {
			return nil, err
		}
		shapes = append(shapes, Shape{fmt.Sprintf("dense%d", i+1), d.Units, 1})
	}
	outputs := s.Outputs
	if outputs == 0 {
		outputs = 2
	}
	return append(shapes, Shape{"logits", outputs, 1}), nil
}

func checkDropout(at string, v float64) error {
	if !(v >= 0 && v < 1) {
		return &SpecError{at + ".dropout", v, "at least 0 and below 1"}
	}
	return nil
}

// Parameters counts the network's numbers without building it: those that training changes by gradient (weights,
// biases, scales, offsets) and those that it does not (the running averages). Errors: *SpecError.
func (s Spec) Parameters() (trainable, fixed int, err error) {
	layers, err := s.layers()
	if err != nil {
		return 0, 0, err
	}
	for _, l := range layers {
		trainable += l.out*l.in + 3*l.out
		fixed += 2 * l.out
	}
	return trainable, fixed, nil
}

// layer is one layer with weights: out rows of in numbers each.
type layer struct {
	name          string
	in, out       int
	kernel        int // 0 for dense layers
	fanIn, fanOut int
}

// layers lists the layers with weights in order. A layer after the last stage sees all positions of all channels.
func (s Spec) layers() ([]layer, error) {
	shapes, err := s.Shapes()
	if err != nil {
		return nil, err
	}
	var layers []layer
	for i, st := range s.Stages {
		if c := st.Conv; c != nil {
			channels, volume := shapes[i].Channels, c.Kernel*c.Kernel*c.Kernel
			layers = append(layers, layer{name: shapes[i+1].Layer, in: channels * volume, out: c.Filters,
				kernel: c.Kernel, fanIn: channels * volume, fanOut: c.Filters * volume})
		}
	}
	for i := len(s.Stages) + 1; i < len(shapes); i++ {
		before := shapes[i-1]
		in := before.Channels * before.Edge * before.Edge * before.Edge
		layers = append(layers, layer{name: shapes[i].Layer, in: in, out: shapes[i].Channels, fanIn: in, fanOut: shapes[i].Channels})
	}
	return layers, nil
}

// hash identifies a value by its JSON.
func hash(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cnn: settings cannot be written as JSON: %v", err)) // only NaN could do this, and Validate refuses it
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
