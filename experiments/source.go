package experiments

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
)

// source is where a study's patients come from.
type source interface {
	// inputs name and hash everything that will be read, before it is read.
	inputs() []Input
	study(ctx context.Context) (*study, error)
}

func openSource(cfg Config, env Env) (source, error) {
	switch cfg.Data.Source {
	case SourcePublished:
		return openPublished(cfg, env)
	case SourceReplication:
		return openReplication(env)
	case SourcePrepared:
		return openPrepared(cfg, env)
	case SourceImported:
		return importedSource{cfg}, nil
	default:
		return openPhantom(cfg, env)
	}
}

// study is a cohort on its way through a run. All slices are aligned with the
// cohort's patients.
type study struct {
	cohort     *datasets.Cohort
	exclusions []datasets.Exclusion

	cubes []*volume.Cube // nil for published scores; an entry is nil for a patient without a cube
	truth []float64      // the phantom's log hazard; nil for real patients

	images datasets.Images  // the scans behind the cubes; nil where there are none
	made   *phantom.Phantom // nil for real patients

	original    []float64 // the released scores that scores are a re-run of; NaN where there is none, nil when they are no re-run
	scores      []float64 // risk of death, higher is worse; NaN where there is none
	seeds       []int64
	seedScores  [][]float64 // by seed; nil for published scores
	rivals      []predictor // other scores of the same patients, for a comparison
	absent      []absence   // rivals that these patients have no data for
	scoredBy    string
	scoreSource string
}

// all are the scores to judge, the study's own first, then with some patients left out.
func (s *study) all(without []string) []scored {
	out := []scored{{by: s.scoredBy, values: s.scores, full: true}}
	if len(without) > 0 {
		fewer := slices.Clone(s.scores)
		for i, p := range s.cohort.Patients {
			if slices.Contains(without, p.ID) {
				fewer[i] = math.NaN()
			}
		}
		out = append(out, scored{by: s.scoredBy + " without " + strings.Join(without, ", "), values: fewer, without: without})
	}
	for k, seed := range s.seeds {
		out = append(out, scored{by: fmt.Sprintf("seed %d", seed), values: s.seedScores[k]})
	}
	if s.truth != nil {
		out = append(out, scored{by: scoredByTruth, values: s.truth})
	}
	return out
}

// knows says whether every patient that evaluation.without names is in the cohort.
func (s *study) knows(without []string) error {
	for _, id := range without {
		if !slices.ContainsFunc(s.cohort.Patients, func(p datasets.Patient) bool { return p.ID == id }) {
			return fmt.Errorf("evaluation.without names %q, who is no patient of this cohort; the ids stand in tables/cohort.arrow of a finished run", id)
		}
	}
	return nil
}

// Whose score a metric judges.
const (
	scoredByNetwork   = "network"
	scoredByPublished = "published network"
	scoredByRerun     = "published weights" // run again; the tune role's as released
	scoredByTruth     = "true hazard"
)

// samples are the cubes of one role that training may read, with the outcomes. A loss on
// survival times takes every patient who was followed, others take every patient with a
// two-year label; the rest get an exclusion row.
func (s *study) samples(role datasets.Role, survival bool) (*datasets.CubeSet, []datasets.Outcome, error) {
	outcomes, err := s.cohort.Outcomes(role)
	if err != nil {
		return nil, nil, err
	}
	set := &datasets.CubeSet{}
	var known []datasets.Outcome
	for k, i := range s.cohort.Of(role) {
		p, o := s.cohort.Patients[i], outcomes[k]
		switch {
		case s.cubes[i] == nil: // excluded when the cube could not be made
		case survival && !o.Followed():
			s.exclusions = append(s.exclusions, datasets.Exclusion{Patient: p.ID, Cohort: p.Cohort, Stage: "label",
				Reason: "time or end of follow-up not known: no survival to train or tune on; still scored"})
		case !survival && !o.Alive2yr.Valid:
			s.exclusions = append(s.exclusions, datasets.Exclusion{Patient: p.ID, Cohort: p.Cohort, Stage: "label",
				Reason: "last seen alive before two years: no two-year label to train or tune on; still scored"})
		default:
			set.IDs, set.Cubes, known = append(set.IDs, p.ID), append(set.Cubes, s.cubes[i]), append(known, o)
		}
	}
	return set, known, nil
}

// phantomSource makes the synthetic cohort.
type phantomSource struct {
	cfg  Config
	env  Env
	made *phantom.Phantom
	spec string // digest of the specification
}

func openPhantom(cfg Config, env Env) (*phantomSource, error) {
	made, err := phantom.New(cfg.Data.Phantom)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(cfg.Data.Phantom)
	if err != nil {
		return nil, err
	}
	return &phantomSource{cfg: cfg, env: env, made: made, spec: digest(text)}, nil
}

func (p *phantomSource) inputs() []Input {
	return []Input{{Name: "phantom specification", SHA256: p.spec}}
}

func (p *phantomSource) study(ctx context.Context) (*study, error) {
	s := &study{cohort: p.made.Cohort(), truth: p.made.TrueRisk(), made: p.made, images: p.made.Images(), scoredBy: scoredByNetwork, scoreSource: "the run's networks"}
	s.scores = scoring.NaN(p.made.Len())
	spec := p.cfg.cubeSpec()
	cubes, lost, err := makeCubes(ctx, p.env, "building the phantom cohort", p.made.Len(), func(i int) (cubeJob, bool) {
		patient, spec := s.cohort.Patients[i], spec
		if patient.Role != datasets.Train {
			spec.Margin = 0 // only training shifts cubes
		}
		return cubeJob{
			patient: patient.ID, cohort: patient.Cohort,
			key: datasets.NewCubeKey(p.made.Source(i)+" code "+p.env.DataCode, spec),
			cut: func() (*volume.Cube, error) { return p.cut(ctx, i, spec) },
		}, true
	})
	if err != nil {
		return nil, err
	}
	s.cubes, s.exclusions = cubes, lost
	return s, nil
}

// cubeJob is one patient's way to a cube.
type cubeJob struct {
	patient, cohort string
	key             datasets.CubeKey             // by content; "" is not kept
	cut             func() (*volume.Cube, error) // makes it
}

// makeCubes makes n cubes in parallel, taking those that are kept from the store. A
// patient whose cube cannot be made is an exclusion and a nil entry; the others go on.
// job says false for a patient without a scan, who has been excluded before.
func makeCubes(ctx context.Context, env Env, what string, n int, job func(i int) (cubeJob, bool)) ([]*volume.Cube, []datasets.Exclusion, error) {
	const room = "make room or check the permissions, or set XDG_CACHE_HOME to another folder, then run again"
	store, err := datasets.OpenCubeStore(env.Cache)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; %s", err, room)
	}
	cubes, reasons := make([]*volume.Cube, n), make([]*datasets.Exclusion, n)
	bar := env.Progress.Bar(n, what)
	finished := make(chan struct{}, n)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for range finished {
			bar.Add(1)
		}
	}()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, env.Jobs))
	for i := range n {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			defer func() { finished <- struct{}{} }()
			j, ok := job(i)
			if !ok {
				return nil
			}
			var lost error
			cut := func() (*volume.Cube, error) {
				c, err := j.cut()
				lost = err
				return c, err
			}
			if j.key == "" {
				cubes[i], err = cut()
			} else {
				cubes[i], _, err = store.Cube(j.key, cut)
			}
			switch {
			case lost != nil:
				reasons[i] = &datasets.Exclusion{Patient: j.patient, Cohort: j.cohort, Stage: "cube", Reason: lost.Error()}
			case err != nil:
				// The store cannot be written: a full disk hits every patient, so stop and say so.
				return fmt.Errorf("%w; %s", err, room)
			}
			return nil
		})
	}
	err = g.Wait()
	close(finished)
	<-counted
	if err != nil {
		return nil, nil, err
	}
	bar.Done()
	var lost []datasets.Exclusion
	for _, e := range reasons {
		if e != nil {
			lost = append(lost, *e)
		}
	}
	return cubes, lost, nil
}

// cut makes one phantom patient's cube: straight from the voxels, or by way of DICOM
// files that are written, read back and removed.
func (p *phantomSource) cut(ctx context.Context, i int, spec volume.CubeSpec) (*volume.Cube, error) {
	if !p.cfg.Data.Phantom.DICOM {
		ct, mask := p.made.Scan(i)
		return volume.CutCube(ct, mask, spec)
	}
	dir, err := os.MkdirTemp("", "hounsfield-phantom-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := p.made.WriteDICOM(dir, i); err != nil {
		return nil, err
	}
	patients, lost, err := prepare.Folder(ctx, dir, "phantom", dicom.ROIRule{Exact: []string{phantom.ROIName}}, spec)
	switch {
	case err != nil:
		return nil, err
	case len(patients) != 1:
		return nil, fmt.Errorf("%d patients came back from the DICOM files of one: %v", len(patients), lost)
	}
	return patients[0].Cube, nil
}
