package experiments

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
)

// preparedSource joins scans that `hounsfield prepare` made ready to a catalog
// entry's clinical table.
type preparedSource struct {
	cfg     Config
	env     Env
	imaging string // the imaging table
	root    string // data folder with the clinical table
	entry   catalog.Entry
	files   []Input
}

func openPrepared(cfg Config, env Env) (*preparedSource, error) {
	p := &preparedSource{cfg: cfg, env: env, imaging: filepath.Join(cfg.Data.Prepared.Imaging, prepare.ImagingFile)}
	sum, err := fileSHA256(p.imaging)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &prepare.NotPreparedError{Folder: cfg.Data.Prepared.Imaging, Err: err}
	}
	if err != nil {
		return nil, err
	}
	if p.entry, err = catalog.Load(cfg.Data.Prepared.Dataset); err != nil {
		return nil, err
	}
	if len(p.entry.Tables) == 0 {
		return nil, fmt.Errorf("data.prepared.dataset: data set %s has no clinical table, so nobody's outcome is known; its scans serve the analyses test_retest and inter_reader of another run (analysis.test_retest.imaging, analysis.inter_reader.imaging)", p.entry.Name)
	}
	if p.entry.Images == nil && slices.ContainsFunc(p.entry.Tables, func(t catalog.Table) bool { return t.Features != nil }) {
		return nil, fmt.Errorf("data.prepared.dataset: data set %s holds features and no scans; name the one that the prepared patients come from, whose clinical table has their outcomes", p.entry.Name)
	}
	if p.root, _, err = catalog.Locate(p.entry, env.Mirror); err != nil {
		return nil, err
	}
	var clinical []string
	for _, t := range p.entry.Tables {
		clinical = append(clinical, t.File)
	}
	p.files, err = hashInputs(p.root, clinical)
	// The imaging table holds the hash of every cube and scan, so its own hash stands for them all.
	p.files = append(p.files, Input{Name: "imaging table", SHA256: sum})
	features, none := fileSHA256(filepath.Join(cfg.Data.Prepared.Imaging, prepare.FeaturesFile))
	if none == nil {
		p.files = append(p.files, Input{Name: "features table", SHA256: features})
	}
	return p, err
}

func (p *preparedSource) inputs() []Input { return p.files }

func (p *preparedSource) study(ctx context.Context) (*study, error) {
	clinical, err := datasets.ReadClinical(p.root, p.entry)
	if err != nil {
		return nil, err
	}
	set := p.cfg.Data.Prepared
	cohort, err := clinical.Assign(datasets.Split{Tune: set.TuneFraction, Test: set.TestFraction, Seed: set.SplitSeed})
	if err != nil {
		return nil, err
	}
	features, found, err := prepare.ReadFeatures(set.Imaging, cohort.Patients)
	if err != nil {
		return nil, err
	}
	if found {
		cohort.Features = features
	}
	imaging, err := prepare.ReadImaging(set.Imaging)
	if err != nil {
		return nil, err
	}
	rows := prepare.References(imaging)
	scans, err := p.scans()
	if err != nil {
		return nil, err
	}
	s := &study{images: scans, cohort: cohort, scoredBy: scoredByNetwork, scoreSource: "the run's networks", scores: scoring.NaN(len(cohort.Patients))}
	known := map[string]bool{}
	for _, patient := range cohort.Patients {
		if _, ok := rows[patient.ID]; !ok {
			s.exclusions = append(s.exclusions, datasets.Exclusion{Patient: patient.ID, Cohort: patient.Cohort, Stage: "image",
				Reason: "no prepared scan of this patient", File: filepath.Base(p.imaging)})
		}
		known[patient.ID] = true
	}
	for i, id := range imaging.Strings("patient_id") {
		if rows[id] == i && !known[id] {
			s.exclusions = append(s.exclusions, datasets.Exclusion{Patient: id, Cohort: p.entry.Name, Stage: "clinical",
				Reason: "the scan's patient is not in the clinical table", File: p.entry.Tables[0].File})
		}
	}
	cubes, lost, err := makeCubes(ctx, p.env, "reading prepared cubes", len(cohort.Patients), func(i int) (cubeJob, bool) {
		patient := cohort.Patients[i]
		row, ok := rows[patient.ID]
		return cubeJob{patient: patient.ID, cohort: patient.Cohort, cut: func() (*volume.Cube, error) { return p.read(imaging, row) }}, ok
	})
	if err != nil {
		return nil, err
	}
	s.cubes, s.exclusions = cubes, append(s.exclusions, lost...)
	return s, nil
}

// scans are the patients' scans, nil where they were not kept: analyses that need them say
// so before anything is trained.
func (p *preparedSource) scans() (datasets.Images, error) {
	scans, err := prepare.OpenImages(p.cfg.Data.Prepared.Imaging)
	var none *prepare.NoVolumesError
	if errors.As(err, &none) {
		return nil, nil
	}
	return scans, err
}

// read takes one cube from its file and holds it against the table's hash.
func (p *preparedSource) read(imaging *table.Table, row int) (*volume.Cube, error) {
	file := filepath.Join(filepath.Dir(p.imaging), filepath.FromSlash(imaging.Strings("cube_file")[row]))
	v, err := nifti.Read(file)
	if err != nil {
		return nil, err
	}
	spec := p.cfg.cubeSpec()
	margin := int(imaging.Int64s("cube_margin")[row])
	if edge := spec.Size + 2*margin; v.Grid.Size != [3]int{edge, edge, edge} || margin < spec.Margin {
		return nil, fmt.Errorf("%s holds %v voxels with a margin of %d; this experiment needs a cube of %d and a margin of at least %d: prepare again with its settings",
			file, v.Grid.Size, margin, spec.Size, spec.Margin)
	}
	if mm := v.Grid.Spacing[0]; !(math.Abs(mm-spec.SpacingMM) <= 1e-4*spec.SpacingMM) {
		return nil, fmt.Errorf("%s holds voxels of %.4g mm and this experiment asks for %g mm: set cube.spacing_mm to %.4g", file, mm, spec.SpacingMM, mm)
	}
	cube := prepare.CubeOf(imaging, row, v.HU)
	if got, want := prepare.CubeHash(cube), imaging.Strings("cube_sha256")[row]; got != want {
		return nil, fmt.Errorf("%s has changed since it was prepared (sha256 %.12s, the imaging table says %.12s); prepare this patient again", file, got, want)
	}
	return cube, nil
}
