package analysis

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
)

// TissueAblation are the settings of the analysis tissue_ablation.
type TissueAblation struct {
	// Arms are what is done to every cube, in the order of tables and figures; the whole
	// cube, which all of them are held against, is not named.
	Arms []TissueArm `yaml:"arms"`
	// FillHU stands where tissue is taken away. The default is aerated lung. A constant,
	// because a value taken from the patient would tell of what was taken away (a wide halo
	// raises the median of the lung around it); lung, because air and zero are values that a
	// network never sees beside a tumour.
	FillHU float64 `yaml:"fill_hu"`
	// Retrain names the arms that networks are also trained on anew, such as
	// shell_removed_10mm; [all] for all, [] for none. Each costs a whole training.
	Retrain []string `yaml:"retrain"`
	// Example is the patient of the picture; "" is the test patient with the median tumour.
	Example string `yaml:"example"`
}

// TissueArm is one way to change a cube. Distances run from the centre of a voxel to that
// of the nearest one inside the contour.
type TissueArm struct {
	Kind    string  `yaml:"kind"`
	ShellMM float64 `yaml:"shell_mm,omitempty"` // width of the shell, for the kinds that have one
}

// The kinds of arms.
const (
	tumourOnly     = "tumour_only"      // everything outside the contour is filled
	tumourAndShell = "tumour_and_shell" // everything further than the shell is filled
	shellRemoved   = "shell_removed"    // the shell is filled, the tumour and the rest stay
	backgroundOnly = "background_only"  // the tumour is filled
	tumourShuffled = "tumour_shuffled"  // the tumour's voxels change places: no texture, the same histogram
	tumourMean     = "tumour_mean"      // each of the tumour's voxels gets their mean
	shellShuffled  = "shell_shuffled"   // the shell's voxels change places
)

var tissueKinds = []string{tumourOnly, tumourAndShell, shellRemoved, backgroundOnly, tumourShuffled, tumourMean, shellShuffled}

func defaultTissueAblation() TissueAblation {
	var arms []TissueArm
	arms = append(arms, TissueArm{Kind: tumourOnly})
	for _, mm := range []float64{3, 6, 10, 15} {
		arms = append(arms, TissueArm{Kind: tumourAndShell, ShellMM: mm})
	}
	for _, mm := range []float64{3, 6, 10, 15} {
		arms = append(arms, TissueArm{Kind: shellRemoved, ShellMM: mm})
	}
	arms = append(arms, TissueArm{Kind: backgroundOnly}, TissueArm{Kind: tumourShuffled}, TissueArm{Kind: tumourMean}, TissueArm{Kind: shellShuffled, ShellMM: 15})
	return TissueAblation{Arms: arms, FillHU: -850,
		Retrain: []string{"tumour_only", "tumour_and_shell_15mm", "shell_removed_15mm", "background_only"}}
}

// hasShell says whether the arm speaks of a shell.
func (a TissueArm) hasShell() bool {
	return a.Kind == tumourAndShell || a.Kind == shellRemoved || a.Kind == shellShuffled
}

// name is the arm's, in tables and in the setting retrain.
func (a TissueArm) name() string {
	if a.hasShell() {
		return fmt.Sprintf("%s_%gmm", a.Kind, a.ShellMM)
	}
	return a.Kind
}

// words name the arm for people.
func (a TissueArm) words() string {
	if a.Kind == tissueWhole {
		return tissueWholeWords
	}
	switch a.Kind {
	case tumourOnly:
		return "tumour only"
	case tumourAndShell:
		return fmt.Sprintf("tumour and %g mm around it", a.ShellMM)
	case shellRemoved:
		return fmt.Sprintf("without %g mm around the tumour", a.ShellMM)
	case backgroundOnly:
		return "without the tumour"
	case tumourShuffled:
		return "tumour shuffled inside"
	case tumourMean:
		return "tumour filled with its mean"
	default:
		return fmt.Sprintf("%g mm around the tumour shuffled", a.ShellMM)
	}
}

// tissueWhole is the arm that all others are held against.
const tissueWhole, tissueWholeWords = "whole", "whole cube"

const (
	tissueMostMM   = 50 // the widest shell: the edge of the study's cube
	tissueMostArms = 100
)

func checkTissueAblation(all Settings) error {
	s := all.TissueAblation
	wrong := func(field string, value any, allowed string) error {
		return &SettingError{Field: "tissue_ablation." + field, Value: value, Allowed: allowed}
	}
	if len(s.Arms) == 0 || len(s.Arms) > tissueMostArms {
		return wrong("arms", fmt.Sprintf("a list of %d", len(s.Arms)), fmt.Sprintf("a list of 1 to %d arms, such as [{kind: shell_removed, shell_mm: 10}]", tissueMostArms))
	}
	var names []string
	for i, a := range s.Arms {
		at := fmt.Sprintf("arms[%d]", i)
		switch {
		case !slices.Contains(tissueKinds, a.Kind):
			return wrong(at+".kind", a.Kind, "one of "+strings.Join(tissueKinds, ", "))
		case a.hasShell() && !(a.ShellMM > 0 && a.ShellMM <= tissueMostMM):
			return wrong(at+".shell_mm", a.ShellMM, fmt.Sprintf("above 0 and at most %d mm for the kind %s", tissueMostMM, a.Kind))
		case !a.hasShell() && a.ShellMM != 0:
			return wrong(at+".shell_mm", a.ShellMM, "left out for the kind "+a.Kind+", which has no shell")
		case slices.Contains(names, a.name()):
			return wrong(at, a.name(), "an arm that does not stand there already")
		}
		names = append(names, a.name())
	}
	if !(s.FillHU >= volume.HUMin && s.FillHU <= volume.HUMax) {
		return wrong("fill_hu", s.FillHU, fmt.Sprintf("between %d and %d HU", volume.HUMin, volume.HUMax))
	}
	for i, n := range s.Retrain {
		if !slices.Contains(names, n) && !(n == "all" && len(s.Retrain) == 1) {
			return wrong(fmt.Sprintf("retrain[%d]", i), n, "the name of an arm of the list ("+strings.Join(names, ", ")+"), or all alone")
		}
		if slices.Contains(s.Retrain[:i], n) {
			return wrong(fmt.Sprintf("retrain[%d]", i), n, "an arm that does not stand there already")
		}
	}
	return nil
}

// retrains says whether networks are trained on the arm too.
func (s TissueAblation) retrains(a TissueArm) bool {
	return slices.Contains(s.Retrain, "all") || slices.Contains(s.Retrain, a.name())
}

// widths are the widths of all shells, rising.
func (s TissueAblation) widths() []float64 {
	var mm []float64
	for _, a := range s.Arms {
		if a.hasShell() {
			mm = append(mm, a.ShellMM)
		}
	}
	slices.Sort(mm)
	return slices.Compact(mm)
}

func tissueUnfit(lacks, next string) error {
	return &UnfitError{Analysis: tissueName, Lacks: lacks, Next: next}
}

const tissueName = "tissue_ablation"

// readyTissueAblation looks for scans and the patient of the picture before training.
func readyTissueAblation(in *Input) error {
	if in.Images == nil {
		return tissueUnfit("the patients have cubes and no scans", "prepare them again without --no-volumes")
	}
	id := in.Settings.TissueAblation.Example
	if id == "" {
		return nil
	}
	for i, p := range in.Cohort.Patients {
		if p.ID == id && p.Role == datasets.Test && in.Cubes[i] != nil {
			return nil
		}
	}
	return &SettingError{Field: tissueName + ".example", Value: id, Allowed: "a patient of the test role with a cube, or left out"}
}

// runTissueAblation asks which tissue the networks need: it takes tissue out of the cubes,
// scores them again, and also trains networks on what is left.
func runTissueAblation(ctx context.Context, in *Input) (*Result, error) {
	if in.Networks == nil || in.Images == nil || in.Cubes == nil {
		return nil, tissueUnfit("it scores changed cubes again, and networks, cubes or scans are not there", "take a run that trains networks on scans")
	}
	if in.Retrain == nil && len(in.Settings.TissueAblation.Retrain) > 0 {
		return nil, tissueUnfit("a finished run trains no more networks", "set analysis.tissue_ablation.retrain to []")
	}
	a := &tissueAblation{Input: in, set: in.Settings.TissueAblation, size: in.Networks.Size, mm: in.Networks.MM, byNetwork: in.Networks.ByNetwork}
	return a.run(ctx)
}

// tissueAblation is the analysis under way.
type tissueAblation struct {
	*Input
	set       TissueAblation
	size      int     // edge of the networks' input, voxels
	mm        float64 // edge of a voxel
	byNetwork func(context.Context, []*volume.Cube) ([][]float64, error)

	cubes []*volume.Cube // what is changed, by patient of the cohort; nil for those who are not looked at
	zones [][]uint8      // of these cubes
	test  []int          // patients of the test role that every arm has a score of, rows of the cohort
	lost  []datasets.Exclusion
	noise []float64 // AUC of each of the run's networks on whole cubes; nil where there is none
}

// The two ways to score an arm.
const (
	tissueRescored  = "re-scored"  // by the run's networks, which never saw such cubes
	tissueRetrained = "re-trained" // by networks trained on such cubes
)

// tissueScores are the scores of the test patients in one arm, aligned with test.
type tissueScores struct {
	arm    TissueArm // Kind is tissueWhole for the reference
	way    string
	scores []float64
	// filled is the share of the networks' input that the arm changes, mean over patients, and
	// hardly the number of patients in whom it is under 1%: a tumour that fills the cube has
	// no surroundings there.
	filled float64
	hardly int
}

func (t *tissueAblation) run(ctx context.Context) (*Result, error) {
	if err := t.place(ctx); err != nil {
		return nil, err
	}
	example, err := t.example()
	if err != nil {
		return nil, err
	}
	whole, err := t.wholeScores(ctx)
	if err != nil {
		return nil, err
	}
	all := []tissueScores{whole}
	bar := t.Progress.Bar(len(t.set.Arms), "scoring cubes with tissue taken away: arms")
	for _, arm := range t.set.Arms {
		s, err := t.rescore(ctx, arm)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		bar.Add(1)
	}
	bar.Done()
	for k, arm := range t.set.Arms {
		if t.set.retrains(arm) {
			s, err := t.retrain(ctx, arm)
			if err != nil {
				return nil, err
			}
			s.filled, s.hardly = all[k+1].filled, all[k+1].hardly
			all = append(all, s)
		}
	}
	judged, err := t.judge(all)
	if err != nil {
		return nil, err
	}
	picture, err := t.montage(ctx, example)
	if err != nil {
		return nil, err
	}
	return t.result(all, judged, picture)
}

// example is the row of the picture's patient.
func (t *tissueAblation) example() (int, error) {
	if id := t.set.Example; id != "" {
		for i, p := range t.Cohort.Patients {
			if p.ID == id && slices.Contains(t.test, i) {
				return i, nil
			}
		}
		return 0, &SettingError{Field: tissueName + ".example", Value: id, Allowed: "a patient of the test role whose cube and scan belong together, or left out"}
	}
	by := slices.Clone(t.test)
	slices.SortStableFunc(by, func(a, b int) int { return cmp.Compare(t.Cubes[a].VolumeMM3, t.Cubes[b].VolumeMM3) })
	return by[(len(by)-1)/2], nil
}

// wholeScores are those of the cubes as they are.
func (t *tissueAblation) wholeScores(ctx context.Context) (tissueScores, error) {
	s := tissueScores{arm: TissueArm{Kind: tissueWhole}, way: tissueRescored}
	by, err := t.inPortions(ctx, func(i int) *volume.Cube { return t.cubes[i] })
	if err != nil {
		return s, err
	}
	s.scores = scoring.Mean(by)
	if len(by) > 1 {
		t.noise = t.aucs(by)
	}
	return s, nil
}

// rescore scores the arm by the run's networks.
func (t *tissueAblation) rescore(ctx context.Context, arm TissueArm) (tissueScores, error) {
	s := tissueScores{arm: arm, way: tissueRescored}
	by, err := t.inPortions(ctx, func(i int) *volume.Cube { return t.ablate(i, arm) })
	if err != nil {
		return s, fmt.Errorf("scoring the arm %s: %w", arm.name(), err)
	}
	s.scores = scoring.Mean(by)
	s.filled, s.hardly = t.changed(arm)
	return s, nil
}

// inPortions scores the test patients' cubes by each network, so many at a time that they
// fit into memory.
func (t *tissueAblation) inPortions(ctx context.Context, cube func(i int) *volume.Cube) ([][]float64, error) {
	const portion = 256
	var all [][]float64
	for rows := range slices.Chunk(t.test, portion) {
		cubes := make([]*volume.Cube, len(rows))
		if err := t.parallel(ctx, len(rows), func(k int) { cubes[k] = cube(rows[k]) }); err != nil {
			return nil, err
		}
		by, err := t.byNetwork(ctx, cubes)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = make([][]float64, len(by))
		}
		for k, scores := range by {
			all[k] = append(all[k], scores...)
		}
	}
	return all, nil
}

// retrain trains networks on the arm's cubes and scores the test patients by them.
func (t *tissueAblation) retrain(ctx context.Context, arm TissueArm) (tissueScores, error) {
	s := tissueScores{arm: arm, way: tissueRetrained}
	cubes := make([]*volume.Cube, len(t.Cubes))
	err := t.parallel(ctx, len(cubes), func(i int) {
		if t.zones[i] != nil {
			cubes[i] = t.ablate(i, arm)
		}
	})
	if err != nil {
		return s, err
	}
	got, err := t.Retrain(ctx, arm.name(), cubes)
	if err != nil {
		return s, err
	}
	for _, i := range t.test {
		if math.IsNaN(got[i]) {
			return s, fmt.Errorf("networks trained on the arm %s give patient %s no score", arm.name(), t.Cohort.Patients[i].ID)
		}
		s.scores = append(s.scores, got[i])
	}
	return s, nil
}

var tissueStep = step{
	words: "which tissue the score needs: tumour, shells around it and background taken away, scored again and trained again",
	needs: needs{images: true, networks: true}, check: checkTissueAblation, ready: readyTissueAblation, run: runTissueAblation,
}
