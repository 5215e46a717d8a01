// Package prepare turns folder trees of DICOM CT and contours into what the
// network sees: for each patient the cube around the tumour, a picture to check it
// by, on request the 1 mm volumes, and a row in the imaging table; for everything
// lost on the way a row in the exclusions table.
package prepare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/volume"
)

// Options say what to prepare and where to put it.
type Options struct {
	Root        string          // folder tree of DICOM files
	Out         string          // folder to fill; made when it does not exist
	Cohort      string          // written into both tables
	Rule        dicom.ROIRule   // which region is the tumour
	Cube        volume.CubeSpec // which cube to cut
	KeepVolumes bool            // also write the CT and the mask on the 1 mm grid
	Jobs        int             // patients at a time; 0 is 1: each already uses all processors, and 0.2 GB, or 0.6 GB with KeepVolumes

	Provenance map[string]string // added to what both tables say of their origin

	// Progress is called after each patient, from one goroutine at a time; may be nil.
	Progress func(done, total int, patient string)
}

// Summary says what came out.
type Summary struct {
	Patients, Prepared, Excluded int    // Patients = Prepared + Excluded
	Problems                     int    // rows of the exclusions table, patients and files
	Imaging, Exclusions          string // the tables, .arrow; the imaging table lies beside as .parquet too
}

// OptionError is an option that cannot be.
type OptionError struct {
	Option, Value, Allowed string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("prepare: option %s is %q; allowed: %s", e.Option, e.Value, e.Allowed)
}

// WriteError is a file that could not be written: a full disk, most of the time.
// It ends the run, because the next patient would meet it too.
type WriteError struct {
	Patient string // empty for the tables
	Err     error
}

func (e *WriteError) Error() string {
	of := "the tables"
	if e.Patient != "" {
		of = "patient " + e.Patient
	}
	return fmt.Sprintf("prepare: cannot write %s: %v; make room or give another folder, then run again", of, e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }

func (o Options) check() error {
	switch {
	case o.Root == "":
		return &OptionError{"Root", o.Root, "a folder of DICOM files"}
	case o.Out == "":
		return &OptionError{"Out", o.Out, "a folder to write to"}
	case len(o.Rule.Exact) == 0:
		return &OptionError{"Rule", "", "at least one ROI name"}
	case o.Cube.Size < 1 || !(o.Cube.SpacingMM > 0) || o.Cube.Margin < 0:
		return &OptionError{"Cube", fmt.Sprint(o.Cube), "a size of at least 1 voxel, a positive spacing, a margin of 0 or more"}
	case o.Jobs < 0:
		return &OptionError{"Jobs", fmt.Sprint(o.Jobs), "0 or more"}
	}
	return nil
}

// Run prepares every patient below Options.Root. Into Options.Out go, for each
// patient, a folder with cube.nii.gz (float32 HU, margin included) and qc.png and,
// with KeepVolumes, ct_1mm.nii.gz and mask_1mm.nii.gz; then imaging.arrow and
// imaging.parquet, one row per patient, and exclusions.arrow, one row per patient
// or file lost. Each file appears whole or not at all, the tables last.
//
// A patient that cannot be prepared is a row of the exclusions table and stops
// nothing. Errors: *OptionError before any work, the context's when it ends,
// *WriteError when the output cannot be written, and an unreadable Root. The
// results do not depend on Jobs.
func Run(ctx context.Context, o Options) (Summary, error) {
	if err := o.check(); err != nil {
		return Summary{}, err
	}
	tree, err := dicom.Index(o.Root)
	if err != nil {
		return Summary{}, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return Summary{}, &WriteError{Err: err}
	}
	ids := make([]string, len(tree.Patients))
	for i, p := range tree.Patients {
		ids[i] = p.ID
	}
	folders := folderNames(ids)
	rows := make([]*row, len(tree.Patients))
	lost := make([][]datasets.Exclusion, len(tree.Patients))
	var done int
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Jobs, 1))
	for i, patient := range tree.Patients {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			p, ex := o.one(patient)
			lost[i] = ex
			if p != nil {
				r, err := o.write(ctx, p, folders[patient.ID])
				if err != nil {
					return err
				}
				rows[i] = r
			}
			if o.Progress != nil {
				mu.Lock()
				defer mu.Unlock()
				done++
				o.Progress(done, len(tree.Patients), patient.ID)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Summary{}, err
	}
	exclusions := o.problems(tree)
	for _, ex := range lost {
		exclusions = append(exclusions, ex...)
	}
	rows = slices.DeleteFunc(rows, func(r *row) bool { return r == nil })
	return o.tables(tree, rows, exclusions)
}

// Folder prepares every patient below a folder in memory and writes nothing. The
// scans themselves are dropped as soon as the cube is cut (CT.HU and Mask.In of
// the results are nil), so that many patients fit.
func Folder(ctx context.Context, root, cohort string, rule dicom.ROIRule, spec volume.CubeSpec) ([]*Prepared, []datasets.Exclusion, error) {
	o := Options{Root: root, Out: root, Cohort: cohort, Rule: rule, Cube: spec}
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	tree, err := dicom.Index(root)
	if err != nil {
		return nil, nil, err
	}
	exclusions := o.problems(tree)
	var out []*Prepared
	for _, patient := range tree.Patients {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		p, ex := o.one(patient)
		exclusions = append(exclusions, ex...)
		if p != nil {
			p.CT.HU, p.Mask.In = nil, nil
			out = append(out, p)
		}
	}
	return out, exclusions, nil
}

// one is One with its errors as rows of the exclusions table. A fault of the
// program on one patient's data must not cost the others' results: it becomes a
// row too.
func (o Options) one(patient dicom.PatientTree) (p *Prepared, ex []datasets.Exclusion) {
	note := func(err error) {
		stage, file, reason := exclusion(err)
		if file != "" {
			file = relative(o.Root, file)
		}
		ex = append(ex, datasets.Exclusion{Patient: patient.ID, Cohort: o.Cohort, Stage: stage, Reason: o.shorten(reason), File: file})
	}
	defer func() {
		if r := recover(); r != nil {
			p = nil
			note(&stageError{stage: stageFault, err: fmt.Errorf("a fault of this program, please report it: %v\n%s", r, debug.Stack())})
		}
	}()
	p, lost, err := One(patient, o.Rule, o.Cube)
	if err != nil {
		note(err)
	}
	for _, l := range lost {
		note(l)
	}
	return p, ex
}

// shorten writes paths below Root without Root.
func (o Options) shorten(text string) string {
	return strings.ReplaceAll(text, filepath.Clean(o.Root)+string(filepath.Separator), "")
}

// problems are the files that could not be used, as rows of the exclusions table.
// What an earlier run wrote, where Out lies below Root, is not among them.
func (o Options) problems(tree *dicom.Tree) []datasets.Exclusion {
	var out []datasets.Exclusion
	for _, p := range tree.Problems {
		if o.Out != o.Root && within(o.Out, p.File) {
			continue
		}
		file := relative(o.Root, p.File)
		out = append(out, datasets.Exclusion{Patient: cmp.Or(p.Patient, file), Cohort: o.Cohort, Stage: stageFile, Reason: o.shorten(p.Err.Error()), File: file})
	}
	return out
}

// within says whether a file lies below a folder.
func within(folder, file string) bool {
	a, errA := filepath.Abs(folder)
	b, errB := filepath.Abs(file)
	r, err := filepath.Rel(a, b)
	return errA == nil && errB == nil && err == nil && filepath.IsLocal(r)
}

// tables writes the imaging and the exclusions table.
func (o Options) tables(tree *dicom.Tree, rows []*row, exclusions []datasets.Exclusion) (Summary, error) {
	s := Summary{
		Patients: len(tree.Patients), Prepared: len(rows), Excluded: len(tree.Patients) - len(rows), Problems: len(exclusions),
		Imaging: filepath.Join(o.Out, "imaging.arrow"), Exclusions: filepath.Join(o.Out, "exclusions.arrow"),
	}
	origin := o.provenance()
	t, err := imagingTable(rows, origin)
	if err != nil {
		return Summary{}, err
	}
	err = errors.Join(
		t.Write(s.Imaging),
		t.Write(filepath.Join(o.Out, "imaging.parquet")),
		datasets.WriteExclusions(s.Exclusions, exclusions, origin),
	)
	if err != nil {
		return Summary{}, &WriteError{Err: err}
	}
	return s, nil
}

func (o Options) provenance() map[string]string {
	out := map[string]string{
		"roi_rule":        strings.Join(o.Rule.Exact, ", then "),
		"cube_size":       fmt.Sprint(o.Cube.Size),
		"cube_spacing_mm": fmt.Sprint(o.Cube.SpacingMM),
		"cube_margin":     fmt.Sprint(o.Cube.Margin),
		"grid": "isotropic, first sample at the centre of the scan's first voxel; CT linear, mask nearest; " +
			"cube centred on the mask's centre of mass cut to whole voxels; air outside the scan",
		"go": runtime.Version(),
	}
	for k, v := range o.Provenance {
		out[k] = v
	}
	return out
}
