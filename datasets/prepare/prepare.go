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
	"io/fs"
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
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/volume"
)

// Options say what to prepare and where to put it.
type Options struct {
	Root    string        // folder tree of DICOM files
	Out     string        // folder to fill; made when it does not exist
	Cohort  string        // written into both tables
	Rule    dicom.ROIRule // which region is the tumour
	Repeats Repeats       // whether patients have second scans or several readers
	// Features, when given, are the settings of engineered features to compute of each contour.
	Features    *radiomics.Settings
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
	SecondScans, Readings        int    // rows of the imaging table besides the Prepared ones
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
	case o.Repeats.Kind != RepeatsNone && o.Repeats.Kind != RepeatsScans && o.Repeats.Kind != RepeatsReaders:
		return &OptionError{"Repeats", o.Repeats.Kind, "scans or readers, or nothing"}
	case o.Cube.Size < 1 || !(o.Cube.SpacingMM > 0) || o.Cube.Margin < 0:
		return &OptionError{"Cube", fmt.Sprint(o.Cube), "a size of at least 1 voxel, a positive spacing, a margin of 0 or more"}
	case o.Jobs < 0:
		return &OptionError{"Jobs", fmt.Sprint(o.Jobs), "0 or more"}
	}
	if o.Features != nil {
		return o.Features.Check()
	}
	return nil
}

// Run prepares every patient below Options.Root. Into Options.Out go, for each
// patient, a folder with cube.nii.gz (float32 HU, margin included) and qc.png and,
// with KeepVolumes, ct_1mm.nii.gz and mask_1mm.nii.gz; of a second scan the same in the
// folder scan-2 inside, of other readers what depends on the contour in reader-NAME; then
// imaging.arrow and imaging.parquet, one row per patient, scan and reader, and
// exclusions.arrow, one row per patient, scan, reader or file lost. Each file appears whole
// or not at all, the tables last: those of an earlier run go before its files are written
// over, so that a table never lies beside files of another run.
//
// A patient that cannot be prepared is a row of the exclusions table and stops
// nothing. Errors: *OptionError and *radiomics.SettingError before any work, the
// context's when it ends, *WriteError when the output cannot be written, and an
// unreadable Root. The results do not depend on Jobs.
func Run(ctx context.Context, o Options) (Summary, error) {
	if err := o.check(); err != nil {
		return Summary{}, err
	}
	in, err := o.open()
	if err != nil {
		return Summary{}, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return Summary{}, &WriteError{Err: err}
	}
	ids := make([]string, len(in.subjects))
	for i, s := range in.subjects {
		ids[i] = s.id
	}
	folders := folderNames(ids)
	removeTables := sync.OnceValue(o.removeTables)
	rows := make([][]*row, len(in.subjects))
	lost := make([][]datasets.Exclusion, len(in.subjects))
	readers := make([]*readersSeen, len(in.subjects))
	var done int
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Jobs, 1))
	for i, patient := range in.subjects {
		group.Go(func() (err error) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var scan *row // whose CT its readings share
			lost[i], readers[i], err = o.each(patient, func(p *Prepared) error {
				if err := removeTables(); err != nil {
					return err
				}
				r, err := o.write(ctx, p, folders[patient.id], scan)
				if err != nil {
					return err
				}
				if p.Reader == "" {
					scan = r
				}
				rows[i] = append(rows[i], r)
				return nil
			})
			if err != nil {
				return err
			}
			if o.Progress != nil {
				mu.Lock()
				defer mu.Unlock()
				done++
				o.Progress(done, len(in.subjects), patient.id)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Summary{}, err
	}
	for i, err := range o.missing(ids, readers) {
		if err != nil {
			lost[i] = append(lost[i], o.exclusion(ids[i], err))
		}
	}
	if err := removeTables(); err != nil { // where nobody was prepared
		return Summary{}, err
	}
	return o.tables(len(in.subjects), slices.Concat(rows...), append(in.problems, slices.Concat(lost...)...))
}

// removeTables takes away the tables of an earlier run.
func (o Options) removeTables() error {
	for _, name := range tableFiles {
		if err := os.Remove(filepath.Join(o.Out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &WriteError{Err: err}
		}
	}
	if err := removeUnfinished(o.Out, tableFiles...); err != nil {
		return &WriteError{Err: err}
	}
	return nil
}

// Folder prepares every patient below a folder in memory and writes nothing: one scan with
// one contour each. The scans themselves are dropped as soon as the cube is cut (CT.HU and
// Mask.In of the results are nil), so that many patients fit.
func Folder(ctx context.Context, root, cohort string, rule dicom.ROIRule, spec volume.CubeSpec) ([]*Prepared, []datasets.Exclusion, error) {
	var out []*Prepared
	lost, err := Each(ctx, root, cohort, rule, spec, func(p *Prepared) error {
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return out, lost, nil
}

// Each prepares the patients below a folder as [Folder] does and hands them on one after the
// other with the voxels of scan and mask, which are let go of afterwards (the fields CT.HU and
// Mask.In become nil). An error of keep ends it.
func Each(ctx context.Context, root, cohort string, rule dicom.ROIRule, spec volume.CubeSpec, keep func(*Prepared) error) ([]datasets.Exclusion, error) {
	o := Options{Root: root, Out: root, Cohort: cohort, Rule: rule, Cube: spec}
	if err := o.check(); err != nil {
		return nil, err
	}
	in, err := o.open()
	if err != nil {
		return nil, err
	}
	exclusions := in.problems
	for _, patient := range in.subjects {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		ex, _, err := o.each(patient, keep)
		if err != nil {
			return nil, err
		}
		exclusions = append(exclusions, ex...)
	}
	return exclusions, nil
}

// subject is one patient to prepare.
type subject struct {
	id string
	// find looks for the scans and contours; the list of errors is of files and contours that
	// could not be used although the patient could.
	find func() (scans []*exam, lost []error, err error)
}

// input is what there is to prepare.
type input struct {
	subjects []subject            // by id
	problems []datasets.Exclusion // files that could not be used
}

// open finds the patients below Root.
func (o Options) open() (*input, error) {
	tree, err := dicom.Index(o.Root)
	if err != nil {
		return nil, err
	}
	in := &input{problems: o.problems(tree)}
	for _, p := range tree.Patients {
		in.subjects = append(in.subjects, subject{id: p.ID, find: func() ([]*exam, []error, error) { return o.find(p) }})
	}
	return in, nil
}

// each prepares what there is of one patient and hands it on, one contour after the other:
// the reference of the first scan, its readings, the second scan. Voxels of scan and mask
// are let go of afterwards. What is lost becomes rows of the exclusions table; the error is
// that of keep.
func (o Options) each(patient subject, keep func(*Prepared) error) (ex []datasets.Exclusion, readers *readersSeen, err error) {
	note := func(err error) { ex = append(ex, o.exclusion(patient.id, err)) }
	var scans []*exam
	var lost []error
	if err := guarded(func() (err error) { scans, lost, err = patient.find(); return err }); err != nil {
		note(err)
		scans = nil
	}
	for _, l := range lost {
		note(l)
	}
	kept := 0
	for i, s := range scans {
		var p *Prepared
		if err := guarded(func() (err error) { p, err = s.read(o.Cube); return err }); err != nil {
			note(err)
			continue
		}
		kept++
		p.Scan = kept
		if kept == 1 && i > 0 {
			p.After, p.Notes = 0, append(p.Notes, "the patient's earlier scan could not be used")
		}
		if err := keep(p); err != nil {
			return ex, nil, err
		}
		readers = s.readers
		for _, r := range s.readings {
			var q *Prepared
			if err := guarded(func() (err error) { q, err = s.reading(p, r); return err }); err != nil {
				note(err)
				continue
			}
			if err := keep(q); err != nil {
				return ex, nil, err
			}
			q.Mask.In = nil
		}
		p.release()
	}
	return ex, readers, nil
}

// guarded makes a fault of the program on one patient's data that patient's error: it must
// not cost the others' results.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &stageError{stage: stageFault, err: fmt.Errorf("a fault of this program, please report it: %v\n%s", r, debug.Stack())}
		}
	}()
	return do()
}

// exclusion is an error as a row of the exclusions table.
func (o Options) exclusion(patient string, err error) datasets.Exclusion {
	stage, file, reason := exclusion(err)
	if file != "" {
		file = relative(o.Root, file)
	}
	return datasets.Exclusion{Patient: patient, Cohort: o.Cohort, Stage: stage, Reason: o.shorten(reason), File: file}
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
func (o Options) tables(patients int, rows []*row, exclusions []datasets.Exclusion) (Summary, error) {
	s := Summary{
		Patients: patients, Problems: len(exclusions),
		Imaging: filepath.Join(o.Out, ImagingFile), Exclusions: filepath.Join(o.Out, exclusionsFile),
	}
	for _, r := range rows {
		switch {
		case r.Reader != "":
			s.Readings++
		case r.Scan > 1:
			s.SecondScans++
		default:
			s.Prepared++
		}
	}
	s.Excluded = s.Patients - s.Prepared
	origin := o.provenance()
	t, err := imagingTable(rows, origin)
	if err != nil {
		return Summary{}, err
	}
	if o.Features != nil {
		f, err := featuresTable(rows, *o.Features, origin)
		if err != nil {
			return Summary{}, err
		}
		if err := errors.Join(f.Write(filepath.Join(o.Out, FeaturesFile)), f.Write(filepath.Join(o.Out, featuresParquet))); err != nil {
			return Summary{}, &WriteError{Err: err}
		}
	}
	err = errors.Join(
		t.Write(s.Imaging),
		t.Write(filepath.Join(o.Out, imagingParquet)),
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
		"repeats":         o.Repeats.String(),
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
