package experiments

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/analysis"
	"hounsfield/experiments/scoring"
)

// PatientIn reads the one patient below a folder of DICOM as an input of analyses: a cohort
// of one, whose outcome is not known, scored by the run's networks. The contour is chosen by
// the rule of the catalog's data set, or by the names in roi where there are any. A folder of
// none or of several patients, lost ones too, is an error that says whom it holds. The cut is
// the run's; NaN for imported networks, which come without.
func (o *Opened) PatientIn(ctx context.Context, folder, dataset string, roi ...string) (*analysis.Input, error) {
	rule, err := roiRule(dataset, roi)
	if err != nil {
		return nil, err
	}
	var found []string
	one := onePatient{}
	var cube *volume.Cube
	lost, err := prepare.Each(ctx, folder, dataset, rule, o.Config.cubeSpec(), func(p *prepare.Prepared) error {
		found = append(found, p.PatientID)
		// Copies of the headers: the voxels behind them stay when Each lets go of its own.
		ct, mask := *p.CT, *p.Mask
		one, cube = onePatient{id: p.PatientID, ct: &ct, mask: &mask}, p.Cube
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Whoever was lost beside the one that can be used is a patient there too, unless it is a
	// file that says of none.
	several := slices.ContainsFunc(lost, func(e datasets.Exclusion) bool {
		return len(found) == 1 && e.Patient != found[0] && e.Patient != e.File
	})
	if len(found) != 1 || several {
		what := "more than one patient: " + strings.Join(found, ", ")
		if len(found) == 0 {
			what = "no patient that can be used"
		}
		for _, e := range lost {
			what += fmt.Sprintf("; %s was lost at the stage %q: %s", e.Patient, e.Stage, e.Reason)
		}
		return nil, fmt.Errorf("the folder %s holds %s; name the folder of a single patient", folder, what)
	}
	cohort, err := datasets.NewCohort(dataset, []datasets.Patient{{ID: one.id, Cohort: dataset, Role: datasets.Test}}, make([]datasets.Outcome, 1), nil)
	if err != nil {
		return nil, err
	}
	in := &analysis.Input{
		Settings: o.Config.Analysis, Cohort: cohort, Outcomes: make([]datasets.Outcome, 1), ScoredBy: "the networks of " + o.Config.Experiment, Cubes: []*volume.Cube{cube},
		Images: one, Networks: o.Networks, Spec: o.Config.inputSpec(), Cut: math.NaN(), Level: Level, Bootstrap: o.Config.Evaluation.Bootstrap, Seed: o.Config.Evaluation.BootstrapSeed,
		Jobs: o.env.Jobs, Dir: o.Dir, Mirror: o.env.Mirror, Progress: o.env.Progress,
	}
	if in.Scores, err = o.Networks.Score(ctx, in.Cubes); err != nil {
		return nil, err
	}
	if p, err := o.peers(); err != nil {
		return nil, err
	} else if p != nil {
		in.Cut = p.cut
	}
	return in, nil
}

// onePatient is a scan in memory.
type onePatient struct {
	id   string
	ct   *volume.Volume
	mask *volume.Mask
}

func (p onePatient) IDs() []string { return []string{p.id} }

func (p onePatient) Scan(context.Context, int) (*volume.Volume, *volume.Mask, error) {
	return p.ct, p.mask, nil
}

func (p onePatient) SecondScan(context.Context, int) (*volume.Volume, *volume.Mask, error) {
	return nil, nil, nil
}

func (p onePatient) Readings(context.Context, int) ([]datasets.Reading, error) { return nil, nil }

// peers are the run's tune patients; nil for imported networks, which come without.
func (o *Opened) peers() (*peers, error) {
	if o.Config.Data.Source == SourceImported {
		return nil, nil
	}
	return peersOf(o.Dir)
}

// Verdict says what the run's networks make of a patient of an input, as `hounsfield predict`
// does: the score, its spread over the networks, its place among the run's tune patients and
// the side of the cut. scored has a row for each network and one for their mean.
func (o *Opened) Verdict(ctx context.Context, in *analysis.Input, patient string) (words []string, scored *table.Table, err error) {
	i := slices.IndexFunc(in.Cohort.Patients, func(p datasets.Patient) bool { return p.ID == patient })
	if i < 0 || in.Cubes[i] == nil {
		return nil, nil, fmt.Errorf("patient %q is not in the cohort or has no cube; take one of tables/scores.arrow", patient)
	}
	bySeed, err := o.Networks.ByNetwork(ctx, in.Cubes[i:i+1])
	if err != nil {
		return nil, nil, err
	}
	p, err := o.peers()
	if err != nil {
		return nil, nil, err
	}
	words = []string{patient + ": " + o.Config.verdict(bySeed, 0, p)}
	if in.Phantom == nil && o.Config.trainedOn() == SourcePhantom {
		words = append(words, trainedOnPhantom)
	}
	words = append(words, "Research software, not a medical device.")
	by, scores := []string{"mean of the networks"}, scoring.Mean(bySeed)
	for k, s := range bySeed {
		by, scores = append(by, fmt.Sprintf("seed %d", o.Networks.Seeds[k])), append(scores, s[0])
	}
	scored, err = table.New(table.Schema{Name: "verdict", Columns: []table.Column{
		{Name: "scored_by", Type: table.String, Unique: true}, {Name: "score", Type: table.Float64, Direction: riskDirection},
	}}, nil, map[string]any{"scored_by": by, "score": scores})
	return words, scored, err
}
