// Package prepare turns folder trees of DICOM CT and contours into what the
// network sees: for each patient the cube around the tumour, a picture to check it
// by, on request the 1 mm volumes, and a row in the imaging table; for everything
// lost on the way a row in the exclusions table.
package prepare

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/pseudonym"
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/volume"
)

// Options say what to prepare and where to put it.
type Options struct {
	Root    string        // folder tree of DICOM files
	Pairs   []Pair        // in place of a tree; Root is then only where paths in the tables begin, and may be empty
	Out     string        // folder to fill; made when it does not exist
	Cohort  string        // written into both tables
	Rule    dicom.ROIRule // which region is the tumour
	Repeats Repeats       // whether patients have second scans or several readers
	// Features, when given, are the settings of engineered features to compute of each contour.
	Features    *radiomics.Settings
	Cube        volume.CubeSpec // which cube to cut
	KeepVolumes bool            // also write the CT and the mask on the 1 mm grid
	Jobs        int             // patients at a time; 0 is one for each processor and one that waits for the disk
	Memory      int64           // bytes that the scans in work may take together; 0 is 1 GiB. One alone may take more

	// Shard of Shards, counted from 0, prepares only its patients, every Shards-th of those
	// sorted by ID, and writes no tables. Shards may run side by side on one Out, given the
	// same input; a run of all then finds everything done and writes the tables. 0 Shards is all.
	Shard, Shards int
	// Verify hashes every input file and every file that was made before, and reads the heads
	// of all DICOM files again, in place of trusting their sizes and times.
	Verify bool
	// IndexFile is where the heads of the DICOM files are kept, to be read once; empty is
	// index.json in Out, or with Patients or Pseudonyms, which it would give away, a file in the
	// user's cache folder.
	IndexFile string

	// Patients, when given, are the ids in the input that are prepared, and what outputs call
	// them; of all others nothing is said.
	Patients map[string]string
	// Pseudonyms, when given, stand for the ids of patients, UIDs and paths in all outputs, and
	// what people typed besides the ROI rule's names is left out.
	Pseudonyms *pseudonym.Key
	// Guard, when given, is filled with who the patients are, for others to check what they write.
	Guard *Guard

	Provenance map[string]string // added to what both tables say of their origin
	// Also gives rows to add to the exclusions table; ids are all patients found. May be nil.
	Also func(ids []string, prepared map[string]bool) []datasets.Exclusion

	// Progress is called after each patient, from one goroutine at a time; may be nil.
	Progress func(done, total int, patient string)

	panel int // pixels of the pictures' panels; 0 is volume.QCPixels. Tests take fewer
}

// Summary says what came out.
type Summary struct {
	Patients, Prepared, Excluded int          // Patients = Prepared + Excluded; of a shard, its own
	SecondScans, Readings        int          // rows of the imaging table besides the Prepared ones
	Problems                     int          // rows of the exclusions table, patients and files
	Kept, Redone                 int          // of the Prepared: those of whom nothing had to be made, and the others
	Stages                       []StageCount // what was there and what was made, by stage
	Gone                         []string     // folders of patients who are no longer in the input: in no table, left as they are
	Unchanged                    bool         // the tables are what they were
	Imaging, Exclusions          string       // the tables, .arrow; the imaging table lies beside as .parquet too. Empty of a shard
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
	case o.Root == "" && o.Pairs == nil:
		return &OptionError{"Root", o.Root, "a folder of DICOM files"}
	case o.Out == "":
		return &OptionError{"Out", o.Out, "a folder to write to"}
	case len(o.Rule.Exact) == 0 && o.Pairs == nil:
		return &OptionError{"Rule", "", "at least one ROI name"}
	case o.Repeats.Kind != RepeatsNone && o.Repeats.Kind != RepeatsScans && o.Repeats.Kind != RepeatsReaders:
		return &OptionError{"Repeats", o.Repeats.Kind, "scans or readers, or nothing"}
	case o.Cube.Size < 1 || !(o.Cube.SpacingMM > 0) || o.Cube.Margin < 0:
		return &OptionError{"Cube", fmt.Sprint(o.Cube), "a size of at least 1 voxel, a positive spacing, a margin of 0 or more"}
	case o.Jobs < 0:
		return &OptionError{"Jobs", fmt.Sprint(o.Jobs), "0 or more"}
	case o.Memory < 0:
		return &OptionError{"Memory", fmt.Sprint(o.Memory), "0 or more bytes"}
	case o.Shards < 0 || o.Shard < 0 || o.Shard >= max(o.Shards, 1):
		return &OptionError{"Shard", fmt.Sprintf("%d of %d", o.Shard, o.Shards), "0 to one less than the number of shards"}
	}
	if o.Features != nil {
		if err := o.Features.Check(); err != nil {
			return err
		}
	}
	return o.checkPairs()
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
// What an earlier run made is kept where it is of the same input (by content), settings and
// code (by versions), and is still what it was; see record. So a run that was stopped
// anywhere goes on when it is called again, to the same bytes, and a change costs what
// depends on it:
//
//	a file of the scan                    everything of that patient
//	a contour's file, the region chosen   all but the CT on the isotropic grid
//	Cube.Margin, Cube.Size                cube, picture, row
//	Cube.SpacingMM                        all but the features
//	Features                              features
//	KeepVolumes                           CT and mask on the isotropic grid
//	a file's name or folder, Repeats      the row, where it says another thing
//	Cohort, Provenance, Also              the tables
//
// Nothing that identifies a patient is written: see Guard.
//
// A patient that cannot be prepared is a row of the exclusions table and stops
// nothing. Errors: *OptionError, *radiomics.SettingError and *IdentityError (of the settings,
// which stand in every table) before any work, the
// context's when it ends, *WriteError when the output cannot be written, and an
// unreadable Root. The results do not depend on Jobs and Shards.
func Run(ctx context.Context, o Options) (Summary, error) {
	if err := o.check(); err != nil {
		return Summary{}, err
	}
	in, mine, err := o.begin(ctx)
	if err != nil {
		return Summary{}, err
	}
	changes := sync.OnceValue(o.removeTables)
	all := make([]outcome, len(mine))
	var done int
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.jobs())
	for i, patient := range mine {
		group.Go(func() (err error) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			w := o.work(in, patient)
			w.changes = changes
			if all[i], err = w.do(ctx); err != nil {
				return err
			}
			mine[i] = w.patient
			if o.Progress != nil {
				mu.Lock()
				defer mu.Unlock()
				done++
				o.Progress(done, len(mine), w.patient.id)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Summary{}, err
	}
	if err := o.withhold(in, mine); err != nil {
		return Summary{}, err
	}
	return o.finish(in, mine, all)
}

// Lacking says how many patients of each shard (of one, where there are no Shards) Run would
// have to work on: those never prepared, those whose files or settings are others than they
// were, and those that could never be prepared. It goes by sizes and times; of images whose
// heads are known it reads one of each series, to know who the patients are. Errors: as Run.
func Lacking(ctx context.Context, o Options) (byShard []int, err error) {
	n := max(o.Shards, 1)
	o.Shard, o.Shards = 0, 0
	if err := o.check(); err != nil {
		return nil, err
	}
	in, all, err := o.begin(ctx)
	if err != nil {
		return nil, err
	}
	byShard = make([]int, n)
	for i, patient := range all {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		w := o.work(in, patient)
		if _, ok := w.stands(); !ok {
			byShard[i%n]++
		}
	}
	return byShard, nil
}

// begin finds what there is to do: all patients, and those of the shard.
func (o Options) begin(ctx context.Context) (in *input, mine []subject, err error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if _, err := os.Stat(o.Root); err != nil && o.Pairs == nil {
		return nil, nil, fmt.Errorf("prepare: %w; give a folder of DICOM files", err)
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, nil, &WriteError{Err: err}
	}
	if in, err = o.open(o.indexFile()); err != nil {
		return nil, nil, err
	}
	ids := make([]string, len(in.subjects))
	for i, s := range in.subjects {
		ids[i] = s.id
		if i%max(o.Shards, 1) == o.Shard {
			mine = append(mine, s)
		}
	}
	in.folders = folderNames(ids)
	return in, mine, o.noOriginals(in)
}

// work is the preparation of a patient.
func (o Options) work(in *input, patient subject) *work {
	return &work{Options: o, in: in, patient: patient, folder: in.folders[patient.id]}
}

// jobs is how many patients are prepared at a time.
func (o Options) jobs() int {
	if o.Jobs == 0 {
		return runtime.GOMAXPROCS(0) + 1
	}
	return o.Jobs
}

// indexFile is where the heads of files are kept; empty where there is no place for them.
func (o Options) indexFile() string {
	if o.IndexFile != "" || o.Patients == nil && o.Pseudonyms == nil {
		return cmp.Or(o.IndexFile, filepath.Join(o.Out, indexFile))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	root, err := filepath.Abs(o.Root)
	folder := filepath.Join(cache, "hounsfield", "index")
	if err != nil || os.MkdirAll(folder, 0o700) != nil {
		return ""
	}
	return filepath.Join(folder, hashOf([]byte(root))+".json")
}

// finish sums up and, unless this was a shard, writes the tables.
func (o Options) finish(in *input, mine []subject, all []outcome) (Summary, error) {
	s := Summary{Patients: len(mine)}
	total := newCounts()
	ids, readers, lost := make([]string, len(mine)), make([]*readersSeen, len(mine)), make([][]datasets.Exclusion, len(mine))
	prepared := map[string]bool{}
	var rows []tableRow
	for i, out := range all {
		ids[i], readers[i], lost[i] = mine[i].id, out.readers, out.lost
		rows = append(rows, out.rows...)
		total.add(out.counts)
		if out.kept {
			s.Kept++
		}
	}
	for _, r := range rows {
		switch {
		case r.reader != "":
			s.Readings++
		case r.scan > 1:
			s.SecondScans++
		default:
			s.Prepared++
			prepared[r.patient] = true
		}
	}
	s.Excluded, s.Redone, s.Stages = s.Patients-s.Prepared, s.Prepared-s.Kept, total.list()
	if o.Shards > 0 {
		return s, nil
	}
	for i, err := range o.missing(ids, readers) {
		if err != nil {
			lost[i] = append(lost[i], o.exclusion(mine[i], err))
		}
	}
	exclusions := append(in.problems, slices.Concat(lost...)...)
	if o.Also != nil {
		exclusions = append(exclusions, o.Also(ids, prepared)...)
	}
	s.Problems = len(exclusions)
	var err error
	if s.Gone, err = o.gone(in); err != nil {
		return Summary{}, err
	}
	return s, o.tables(&s, rows, exclusions)
}

// gone are the folders of patients who are not in the input.
func (o Options) gone(in *input) (out []string, err error) {
	list, err := os.ReadDir(o.Out)
	if err != nil {
		return nil, &WriteError{Err: err}
	}
	now := map[string]bool{}
	for _, folder := range in.folders {
		now[folder] = true
	}
	for _, e := range list {
		if e.IsDir() && !now[e.Name()] && readFolder(filepath.Join(o.Out, e.Name())).record.Version > 0 {
			out = append(out, e.Name())
		}
	}
	return out, nil
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
	in, err := o.open("")
	if err != nil {
		return nil, err
	}
	exclusions := in.problems
	for _, patient := range in.subjects {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		ex, _, err := o.each(&patient, visit{keep: func(p *Prepared, _ contour) error { return keep(p) }})
		if err != nil {
			return nil, err
		}
		exclusions = append(exclusions, ex...)
	}
	return exclusions, nil
}
