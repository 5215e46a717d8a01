package prepare

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets/dicom"
)

// The stages of a patient's preparation: what is made of a contour, each for itself.
const (
	stageCTFile   = "ct"       // the CT on the isotropic grid, for all contours of a scan
	stageMaskFile = "mask"     // the mask on that grid
	stageCubeFile = "cube"     // the cube around the tumour
	stagePicture  = "picture"  // to check it by
	stageFeatures = "features" // engineered features
	stageRow      = "row"      // the values of the imaging table
)

var stages = []string{stageCTFile, stageMaskFile, stageCubeFile, stagePicture, stageFeatures, stageRow}

// versions are of the code that makes what a patient's record lists, raised BY HAND with
// every change that gives other values for the same input: what bears another version is
// made anew, and nothing else. They stand for a hash of the code, which would throw away
// days of work for a comment. That none is forgotten is the task of TestStageVersions, which
// holds what is made of a known patient against what it was.
//
// scan is everything from files to voxels in HU, contour from a contour's file to the mask on
// the scan, find what decides which files those are.
var versions = map[string]int{
	"find": 1, "scan": 1, "contour": 1,
	stageCTFile: 1, stageMaskFile: 1, stageCubeFile: 1, stagePicture: 1, stageFeatures: 1, stageRow: 1,
}

// StageCount is how often a stage's result was there already, and how often it was made.
type StageCount struct {
	Stage      string
	Kept, Made int
}

// counts are StageCounts by stage.
type counts map[string]*StageCount

func newCounts() counts {
	c := counts{}
	for _, s := range stages {
		c[s] = &StageCount{Stage: s}
	}
	return c
}

func (c counts) add(other counts) {
	for s, n := range other {
		c[s].Kept += n.Kept
		c[s].Made += n.Made
	}
}

func (c counts) list() (out []StageCount) {
	for _, s := range stages {
		if c[s].Kept+c[s].Made > 0 {
			out = append(out, *c[s])
		}
	}
	return out
}

// key is a hash of all that a result depends on, led by the name and version of what makes it.
func key(of string, parts ...any) string {
	text, err := json.Marshal(append([]any{of, versions[of]}, parts...))
	if err != nil {
		panic(fmt.Sprintf("prepare: the key of a %s: %v", of, err)) // texts, finite numbers and lists of them
	}
	return hashOf(text)
}

// keys say what each result of one contour depends on.
type keys struct {
	scan, contour string
	of            map[string]string // by stage
}

// keys of a contour: digest gives the hash of what is in a list of files.
func (o Options) keys(patient subject, c contour, digest func(files []string) (string, error)) (keys, error) {
	scan, err := digest(c.exam.scanFiles())
	if err != nil {
		return keys{}, err
	}
	drawn, err := digest(volumeFiles(c.source.file))
	if err != nil {
		return keys{}, err
	}
	k := keys{of: map[string]string{}}
	k.scan = key("scan", scan)
	k.contour = key("contour", k.scan, drawn, c.source.choice.Index, c.source.choice.Name, patient.about)
	k.of[stageCTFile] = key(stageCTFile, k.scan, o.Cube.SpacingMM)
	k.of[stageMaskFile] = key(stageMaskFile, k.contour, o.Cube.SpacingMM)
	k.of[stageCubeFile] = key(stageCubeFile, k.contour, o.Cube)
	k.of[stagePicture] = key(stagePicture, k.contour, o.Cube)
	k.of[stageFeatures] = o.featuresKey(k.contour)
	k.of[stageRow] = key(stageRow, k.contour, o.Cube, imagingNames(), patient.id, o.contourName(patient, c.source.file), c.said())
	return k, nil
}

func (o Options) featuresKey(contour string) string {
	if o.Features == nil {
		return ""
	}
	return key(stageFeatures, contour, o.Features)
}

// wants says whether a stage is asked for.
func (o Options) wants(stage string, reading bool) bool {
	switch stage {
	case stageCTFile:
		return o.KeepVolumes && !reading // a reading shares the CT of its scan
	case stageMaskFile:
		return o.KeepVolumes
	case stageFeatures:
		return o.Features != nil
	}
	return true
}

// settings is a hash of everything besides the input's files that decides what a patient's
// record holds. What stands in the tables only (cohort, provenance) is not among it.
func (o Options) settings(patient subject) string {
	return key("find", versions, patient.id, patient.about, o.Rule, o.Repeats.String(), o.Cube, o.KeepVolumes, o.Features, imagingNames())
}

// imagingNames are the columns of the imaging table with their types: another table is
// another row.
func imagingNames() (out []string) {
	for _, c := range imagingColumns() {
		out = append(out, fmt.Sprint(c.Name, " ", c.Type))
	}
	return out
}

// contour is one contour of a patient before its voxels are read.
type contour struct {
	exam    *exam
	source  *source
	reading *reading // nil for the reference
	scan    int      // 1, or 2 for the repeat
	late    bool     // an earlier scan of the patient could not be used
}

// said is what stands in a row of what was found before any voxel was read.
func (c contour) said() []any {
	reader, note := "", ""
	if c.reading != nil {
		reader, note = c.reading.reader, c.reading.note
	}
	return []any{c.scan, c.late, c.exam.after, c.exam.notes, c.exam.series.UID, len(c.exam.patient.Series), c.source.choice, reader, note}
}

// stamp is the size and time of a file, from the tree that was looked at.
func (in *input) stamp(file string) (dicom.Stamp, error) {
	if in.tree != nil {
		if s, ok := in.tree.Stamp(file); ok {
			return s, nil
		}
	}
	return dicom.StampOf(file)
}

// stamped is a hash of names, sizes and times of files: as long as it is the same, so is what
// is in them. In it no name can be read.
func (in *input) stamped(o Options, files []string) (string, error) {
	lines := make([]string, len(files))
	for i, f := range files {
		s, err := in.stamp(f)
		if err != nil {
			return "", err
		}
		lines[i] = fmt.Sprint(o.inputName(f), "\x00", s.Bytes, "\x00", s.Modified)
	}
	slices.Sort(lines)
	return key("", lines), nil
}

// unchanged says whether files still are what in found.
func (in *input) unchanged(files []string) error {
	for _, f := range files {
		was, err := in.stamp(f)
		if err != nil {
			return err
		}
		is, err := dicom.StampOf(f)
		if err != nil {
			return err
		}
		if is != was {
			return &stageError{stageFile, f, &ChangingError{File: f}}
		}
	}
	return nil
}

// ChangingError is an input file that was written to while it was read.
type ChangingError struct {
	File string
}

func (e *ChangingError) Error() string {
	return fmt.Sprintf("%s changed while the patient was prepared; wait until the folder is complete, then run again", e.File)
}

// contentHash is a hash of what is in files, whatever they are called.
func contentHash(files []string) (string, error) {
	sums := make([]string, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range files {
		group.Go(func() (err error) { sums[i], err = fileSHA256(files[i]); return err })
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	slices.Sort(sums)
	return key("", sums), nil
}

// memory is roughly what a scan takes while it is prepared, in bytes: voxels and mask, a
// copy while it is turned, features' own images.
func (o Options) memory(voxels int) int64 {
	per := int64(6)
	if o.Features != nil {
		per = 14
	}
	return int64(voxels)*per + 64<<20
}
