package analysis

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
)

// Activation are the settings of the analysis activation.
type Activation struct {
	Methods []string `yaml:"methods"` // see activationMethods
	// Layer is the convolution that Grad-CAM is made of. auto: the last whose map has at
	// least finestEdge positions along each edge.
	Layer string `yaml:"layer"`
	// Pictures is how many patients of the test role are shown with the highest score, as
	// many around the median and as many with the lowest. Patients names others instead, of
	// any role.
	Pictures int      `yaml:"pictures"`
	Patients []string `yaml:"patients"`
	// Sample is how many patients of the test role, drawn by evaluation.bootstrap_seed, the
	// pointing game is played on; 0: all.
	Sample              int             `yaml:"sample"`
	IntegratedGradients ActivationPath  `yaml:"integrated_gradients"`
	Occlusion           ActivationBoxes `yaml:"occlusion"`
	Sanity              ActivationCheck `yaml:"sanity"`
}

// ActivationPath is the way of integrated gradients.
type ActivationPath struct {
	Steps int `yaml:"steps"`
	// Baseline is where the way begins: air (-1024 HU), lung (-850 HU) or cohort, the mean
	// cube of the train role.
	Baseline string `yaml:"baseline"`
}

// ActivationBoxes are the boxes of the occlusion.
type ActivationBoxes struct {
	SizeMM   float64 `yaml:"size_mm"`
	StrideMM float64 `yaml:"stride_mm"` // at most size_mm
	FillHU   float64 `yaml:"fill_hu"`
}

// ActivationCheck is the check by randomised weights.
type ActivationCheck struct {
	Patients int `yaml:"patients"` // of the sample
	Draws    int `yaml:"draws"`    // of random weights
	// Bound is the greatest rank correlation of the sizes of a trained network's map and of
	// the same with all weights random, on average, at which a method still passes.
	Bound float64 `yaml:"bound"`
}

func defaultActivation() Activation {
	return Activation{
		Methods: activationNames(), Layer: layerAuto, Pictures: 2, Sample: 50,
		IntegratedGradients: ActivationPath{Steps: 32, Baseline: baselineLung},
		Occlusion:           ActivationBoxes{SizeMM: 10, StrideMM: 8, FillHU: lungHU},
		Sanity:              ActivationCheck{Patients: 5, Draws: 3, Bound: 0.5},
	}
}

const (
	activationName = "activation"
	layerAuto      = "auto"
	finestEdge     = 4

	baselineAir    = "air"
	baselineLung   = "lung"
	baselineCohort = "cohort"
	lungHU         = -850 // aerated lung
)

// The methods.
const (
	gradCAM       = "grad_cam"
	guidedBack    = "guided_backprop"
	guidedGradCAM = "guided_grad_cam"
	integrated    = "integrated_gradients"
	occlusion     = "occlusion"
)

// activationMethod is a way to make a map.
type activationMethod struct {
	name, title string
	signed      bool // negative values lower the risk
	unit        string
}

var activationMethods = []activationMethod{
	{gradCAM, "Grad-CAM", false, "log-odds"},
	{guidedBack, "Guided backpropagation", true, "slope"},
	{guidedGradCAM, "Guided Grad-CAM", true, "product"},
	{integrated, "Integrated gradients", true, "log-odds/voxel"},
	{occlusion, "Occlusion", true, "log-odds"},
}

func activationNames() []string {
	var names []string
	for _, m := range activationMethods {
		names = append(names, m.name)
	}
	return names
}

var activationStep = step{
	words: "what in the scan the networks look at",
	needs: needs{images: true, networks: true},
	check: func(s Settings) error { return s.Activation.check() },
	ready: func(in *Input) error {
		if in.Images == nil {
			return &UnfitError{Analysis: activationName, Lacks: "the patients have cubes and no scans", Next: "prepare them again without --no-volumes"}
		}
		for i, id := range in.Settings.Activation.Patients {
			if !slices.ContainsFunc(in.Cohort.Patients, func(p datasets.Patient) bool { return p.ID == id }) {
				return &SettingError{Field: fmt.Sprintf("activation.patients[%d]", i), Value: id, Allowed: "the id of a patient of this cohort (tables/cohort.arrow of a finished run has them)"}
			}
		}
		return nil
	},
	run: runActivation,
}

// names are the methods in the order of activationMethods.
func (s Activation) names() []string {
	return slices.DeleteFunc(activationNames(), func(n string) bool { return !slices.Contains(s.Methods, n) })
}

// check looks at the settings by themselves.
func (s Activation) check() error {
	bad := func(field string, value any, allowed string) error {
		return &SettingError{Field: activationName + "." + field, Value: value, Allowed: allowed}
	}
	if len(s.Methods) == 0 {
		return bad("methods", "empty", "a list of "+strings.Join(activationNames(), ", "))
	}
	for i, m := range s.Methods {
		if !slices.Contains(activationNames(), m) || slices.Contains(s.Methods[:i], m) {
			return bad(fmt.Sprintf("methods[%d]", i), m, "one of "+strings.Join(activationNames(), ", ")+", each once")
		}
	}
	p, b, baselines := s.IntegratedGradients, s.Occlusion, []string{baselineAir, baselineLung, baselineCohort}
	switch {
	case s.Layer != layerAuto && !strings.HasPrefix(s.Layer, "conv"):
		return bad("layer", s.Layer, "auto or the name of a convolution, such as conv2")
	case s.Pictures < 0 || s.Pictures == 0 && len(s.Patients) == 0:
		return bad("pictures", s.Pictures, "1 or more, or 0 where patients names some")
	case s.Sample < 0:
		return bad("sample", s.Sample, "0 (all) or more")
	case p.Steps < 1 || p.Steps > 10000:
		return bad("integrated_gradients.steps", p.Steps, "1 to 10000")
	case !slices.Contains(baselines, p.Baseline):
		return bad("integrated_gradients.baseline", p.Baseline, "one of "+strings.Join(baselines, ", "))
	case !(b.SizeMM > 0) || math.IsInf(b.SizeMM, 1):
		return bad("occlusion.size_mm", b.SizeMM, "above 0 mm")
	case !(b.StrideMM > 0 && b.StrideMM <= b.SizeMM):
		return bad("occlusion.stride_mm", b.StrideMM, "above 0 and at most size_mm, so that the boxes cover all")
	case !(b.FillHU >= -2048 && b.FillHU <= 10000):
		return bad("occlusion.fill_hu", b.FillHU, "-2048 to 10000 HU")
	case s.Sanity.Patients < 1:
		return bad("sanity.patients", s.Sanity.Patients, "1 or more")
	case s.Sanity.Draws < 1:
		return bad("sanity.draws", s.Sanity.Draws, "1 or more")
	case !(s.Sanity.Bound > 0 && s.Sanity.Bound < 1):
		return bad("sanity.bound", s.Sanity.Bound, "between 0 and 1, both excluded")
	}
	for i, id := range s.Patients {
		if slices.Contains(s.Patients[:i], id) {
			return bad(fmt.Sprintf("patients[%d]", i), id, "named once")
		}
	}
	return nil
}

// activation is the analysis under way.
type activation struct {
	*Input
	settings Activation
	methods  []activationMethod
	spec     volume.CubeSpec
	maps     *mapMaker
	images   map[string]int // place among Images by patient id
	lost     []datasets.Exclusion
}

// openActivation readies the networks. Errors: *SettingError.
func openActivation(in *Input) (*activation, error) {
	a := &activation{Input: in, settings: in.Settings.Activation, spec: in.Networks.Spec(), images: map[string]int{}}
	a.settings.Methods = a.settings.names()
	for _, m := range activationMethods {
		if slices.Contains(a.settings.Methods, m.name) {
			a.methods = append(a.methods, m)
		}
	}
	for i, id := range in.Images.IDs() {
		a.images[id] = i
	}
	var err error
	a.maps, err = newMapMaker(in.Networks, a.settings, a.baseline())
	return a, err
}

func (a *activation) close() { a.maps.close() }

// baseline is where the way of integrated gradients begins, normalised.
func (a *activation) baseline() []float32 {
	n := a.spec.Size * a.spec.Size * a.spec.Size
	switch a.settings.IntegratedGradients.Baseline {
	case baselineAir:
		return slices.Repeat([]float32{volume.Normalise(volume.HUMin)}, n)
	case baselineLung:
		return slices.Repeat([]float32{volume.Normalise(lungHU)}, n)
	}
	sum, count := make([]float64, n), 0.0
	for _, i := range a.Cohort.Of(datasets.Train) {
		if c := a.Cubes[i]; c != nil {
			count++
			for k, hu := range c.Central(a.spec.Size) {
				sum[k] += float64(hu)
			}
		}
	}
	mean := make([]float32, n)
	for k := range mean {
		mean[k] = volume.Normalise(float32(sum[k] / count))
	}
	return mean
}

// scored are the places in the cohort of the test role's patients with a cube, a scan and a
// score.
func (a *activation) scored() []int {
	var rows []int
	for _, i := range a.Cohort.Of(datasets.Test) {
		if _, ok := a.images[a.Cohort.Patients[i].ID]; ok && a.Cubes[i] != nil && scoring.Known(a.Scores[i]) {
			rows = append(rows, i)
		}
	}
	return rows
}

// pictured are the places of the patients to be shown, and why each of them is.
func (a *activation) pictured() (rows []int, why []string) {
	if len(a.settings.Patients) > 0 {
		for _, id := range a.settings.Patients {
			i := slices.IndexFunc(a.Cohort.Patients, func(p datasets.Patient) bool { return p.ID == id })
			if i < 0 || a.Cubes[i] == nil {
				a.lose(id, "named in analysis.activation.patients, but without a cube")
				continue
			}
			rows, why = append(rows, i), append(why, "named in the settings, "+string(a.Cohort.Patients[i].Role)+" role")
		}
		return rows, why
	}
	order := a.scored()
	slices.SortStableFunc(order, func(x, y int) int {
		switch {
		case a.Scores[x] > a.Scores[y]:
			return -1
		case a.Scores[x] < a.Scores[y]:
			return 1
		}
		return strings.Compare(a.Cohort.Patients[x].ID, a.Cohort.Patients[y].ID)
	})
	n := a.settings.Pictures
	middle := max(0, len(order)/2-n/2)
	add := func(from int, what string) {
		for _, i := range order[max(0, min(from, len(order))):min(max(0, from)+n, len(order))] {
			if !slices.Contains(rows, i) {
				rows, why = append(rows, i), append(why, what)
			}
		}
	}
	add(0, "among the highest scores")
	add(middle, "among the middle scores")
	add(len(order)-n, "among the lowest scores")
	return rows, why
}

// sampled are the places of the patients of the pointing game, in the order drawn.
func (a *activation) sampled() []int {
	rows := a.scored()
	random := rand.New(rand.NewPCG(a.Seed, 0xac71a71))
	random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	if n := a.settings.Sample; n > 0 && n < len(rows) {
		rows = rows[:n]
	}
	return rows
}

// lose makes an exclusion of a patient, one also for who is lost as shown and as sampled.
func (a *activation) lose(id, reason string) {
	if slices.ContainsFunc(a.lost, func(e datasets.Exclusion) bool { return e.Patient == id }) {
		return
	}
	a.lost = append(a.lost, datasets.Exclusion{Patient: id, Cohort: a.Cohort.Name, Stage: "analysis " + activationName, Reason: reason})
}

func runActivation(ctx context.Context, in *Input) (*Result, error) {
	a, err := openActivation(in)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if len(a.scored()) == 0 {
		return nil, &UnfitError{Analysis: activationName, Lacks: "no patient of the test role has a cube, a scan and a score", Next: "take another cohort"}
	}
	for _, i := range a.Cohort.Of(datasets.Test) {
		id := a.Cohort.Patients[i].ID
		if _, ok := a.images[id]; !ok && a.Cubes[i] != nil {
			a.lose(id, "there is no scan of the patient")
		}
	}
	shown, err := a.show(ctx)
	if err != nil {
		return nil, err
	}
	played, err := a.play(ctx)
	if err != nil {
		return nil, err
	}
	sane, err := a.sanity(ctx)
	if err != nil {
		return nil, err
	}
	return a.result(shown, played, sane)
}

// layerOf is the convolution that Grad-CAM is made of. Errors: *SettingError.
func layerOf(spec cnn.Spec, wanted string) (cnn.Field, error) {
	fields, err := spec.Convolutions()
	if err != nil {
		return cnn.Field{}, err
	}
	var names []string
	last := -1
	for i, f := range fields {
		names = append(names, f.Layer)
		if f.Layer == wanted || wanted == layerAuto && f.Edge >= finestEdge {
			last = i
		}
	}
	switch {
	case last >= 0:
		return fields[last], nil
	case wanted == layerAuto: // a network of few positions: its finest map
		return fields[0], nil
	}
	return cnn.Field{}, &SettingError{Field: activationName + ".layer", Value: wanted, Allowed: "auto or one of " + strings.Join(names, ", ")}
}
