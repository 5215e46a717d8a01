package prepare

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/nrrd"
	"hounsfield/datasets/volume"
)

// Pair is a scan and a mask of the tumour in files of their own: NIfTI-1 (.nii, .nii.gz)
// or NRRD (.nrrd, .nhdr). The scan is in HU. The mask lies on the scan's grid; in which
// order the axes of either are stored does not matter.
type Pair struct {
	Patient  string
	Scan     int    // 0 or 1: the first; 2: its repeat
	Reader   string // who drew the mask, on the first scan; empty: the reference
	CT, Mask string // files; CT may be empty for a reader, who drew on the reference's scan
	// Labels are the values of the mask that are the tumour, united. Without any, the mask
	// must hold one value besides 0: among several nothing is guessed.
	Labels []int
}

const (
	// maxPairVoxels is the largest scan that is read: a packed file of a few megabytes can
	// claim to hold any number of voxels. 2 GiB of them; 512 x 512 x 2048.
	maxPairVoxels = 1 << 29
	// pairToleranceMM is how far the corners of scan and mask may lie apart.
	pairToleranceMM = 0.1
	// In HU the air around and inside a patient is near -1000, bone above 0. A scan whose
	// smallest value is above airBelow, or whose largest is not above 0, is on another scale.
	airBelow = -500
)

// PairError is a scan or a mask that cannot be used.
type PairError struct {
	Patient string
	Files   []string // at fault, the scan's first
	Problem string   // with the next step

	problem string // as a format, and its arguments: numbers
	args    []any
}

func newPairError(patient string, files []string, problem string, args ...any) *PairError {
	return &PairError{Patient: patient, Files: files, Problem: fmt.Sprintf(problem, args...), problem: problem, args: args}
}

func (e *PairError) Error() string {
	at := ""
	if len(e.Files) > 0 {
		at = strings.Join(e.Files, " and ") + ": "
	}
	return fmt.Sprintf("patient %s: %s%s", e.Patient, at, e.Problem)
}

// volumeFormat reads one kind of files.
type volumeFormat struct {
	grid   func(path string) (volume.Grid, error)
	ct     func(path string) (*volume.Volume, error)
	labels func(path string, wanted ...int) (*volume.Mask, []int, error)
}

func formatOf(path string) (volumeFormat, bool) {
	switch name := strings.ToLower(filepath.Base(path)); {
	case strings.HasSuffix(name, ".nii"), strings.HasSuffix(name, ".nii.gz"):
		return volumeFormat{nifti.ReadGrid, nifti.Read, nifti.ReadLabels}, true
	case strings.HasSuffix(name, ".nrrd"), strings.HasSuffix(name, ".nhdr"):
		return volumeFormat{nrrd.ReadGrid, nrrd.Read, nrrd.ReadLabels}, true
	}
	return volumeFormat{}, false
}

// volumeFiles are the files that hold a volume: a NRRD header may name another one.
func volumeFiles(path string) []string {
	if name := strings.ToLower(path); strings.HasSuffix(name, ".nrrd") || strings.HasSuffix(name, ".nhdr") {
		if data := nrrd.DataFile(path); data != "" {
			return []string{path, data}
		}
	}
	return []string{path}
}

// checkPairs looks for what is wrong with the list itself.
func (o Options) checkPairs() error {
	if o.Pairs == nil {
		return nil
	}
	if len(o.Pairs) == 0 {
		return &OptionError{"Pairs", "an empty list", "at least one pair of a scan and a mask"}
	}
	bad := func(i int, problem, allowed string) error {
		return &OptionError{"Pairs", fmt.Sprintf("pair %d: %s", i+1, problem), allowed}
	}
	if o.Repeats.Kind != RepeatsNone {
		return &OptionError{"Repeats", o.Repeats.Kind, "nothing with pairs: each says which scan and whose mask it is"}
	}
	type key struct {
		patient, reader string
		scan            int
	}
	first := map[key]int{}
	for i, p := range o.Pairs {
		k := key{p.Patient, strings.ToLower(p.Reader), max(p.Scan, 1)} // folders are named after readers, and some systems see no case
		before, twice := first[k]
		switch {
		case strings.TrimSpace(p.Patient) == "":
			return bad(i, "no patient", "a patient in each pair")
		case p.Scan < 0 || p.Scan > 2:
			return bad(i, fmt.Sprintf("scan %d", p.Scan), "1, the first scan (or nothing), and 2, its repeat")
		case p.Reader != "" && p.Scan == 2:
			return bad(i, "a reader of the second scan", "readers of the first scan")
		case twice:
			return bad(i, fmt.Sprintf("patient, scan and reader of pair %d", before+1), "each patient, scan and reader once; readers that differ in case only are one")
		}
		for k, label := range p.Labels {
			if label < 1 || slices.Contains(p.Labels[:k], label) {
				return bad(i, fmt.Sprintf("labels %v", p.Labels), "whole numbers above 0, each once")
			}
		}
		first[k] = i
	}
	return nil
}

// pairSubjects are the patients of the list.
func (o Options) pairSubjects() []subject {
	var out []subject
	at := map[string]int{}
	readers := o.withReaders()
	of := map[string][]Pair{}
	for _, p := range o.Pairs {
		if _, known := at[p.Patient]; !known {
			at[p.Patient] = len(out)
			out = append(out, subject{key: p.Patient})
		}
		of[p.Patient] = append(of[p.Patient], p)
	}
	for i := range out {
		s, pairs := &out[i], of[out[i].key]
		for _, p := range pairs {
			if p.Reader == "" {
				s.series++
			}
			for _, file := range slices.Concat(volumeFiles(p.CT), volumeFiles(p.Mask)) {
				if _, err := os.Stat(file); err == nil && !slices.Contains(s.files, file) {
					s.files = append(s.files, file)
				}
			}
			s.about += fmt.Sprintf("pair: scan %d, reader %q, scan's file %d, mask's %d, labels %v\n", max(p.Scan, 1), o.readerName(p.Reader),
				slices.Index(s.files, p.CT), slices.Index(s.files, p.Mask), p.Labels)
		}
		s.find = func() ([]*exam, []error, error) { return findPairs(s.key, pairs, readers) }
	}
	return out
}

// findPairs are the scans of a patient with their masks; of the files only whether they are
// there.
func findPairs(patient string, pairs []Pair, readers bool) (scans []*exam, lost []error, err error) {
	byScan := map[int]Pair{}
	for _, p := range pairs {
		if p.Reader == "" {
			byScan[max(p.Scan, 1)] = p
		}
	}
	fail := func(stage, problem string, files ...string) error {
		e := &stageError{stage: stage, err: newPairError(patient, files, "%s", problem)}
		if len(files) > 0 {
			e.file = files[0]
		}
		return e
	}
	for n := 1; n <= 2; n++ {
		p, there := byScan[n]
		var wrong error
		switch {
		case !there && n == 1:
			return nil, nil, fail(stageContours, "the list has no reference mask of the first scan; add it (without a reader, scan 1)")
		case !there:
			continue
		case p.CT == "":
			wrong = fail(stageCT, "the list names a mask and no scan; add the scan's file", p.Mask)
		case p.Mask == "":
			wrong = fail(stageContours, "the list names a scan and no mask; add the mask's file", p.CT)
		default:
			wrong = cmp.Or(pairFile(patient, p.CT, stageCT, "scan"), pairFile(patient, p.Mask, stageContours, "mask"))
		}
		if wrong != nil {
			lost = append(lost, wrong)
			continue
		}
		s := newPairExam(patient, p)
		s.late = len(lost) > 0
		scans = append(scans, s)
	}
	if len(scans) == 0 {
		return nil, lost[1:], lost[0]
	}
	first := scans[0]
	if !readers || first.pair != byScan[1].CT {
		return scans, lost, nil
	}
	first.readers = &readersSeen{file: first.reference.file, drew: map[string]bool{}}
	for _, p := range pairs {
		if p.Reader == "" {
			continue
		}
		first.readers.drew[p.Reader] = true // there, though perhaps not to be used
		switch wrong := pairFile(patient, p.Mask, stageContours, "mask"); {
		case p.Mask == "":
			lost = append(lost, fail(stageContours, "the list names a reader and no mask; add the mask's file"))
		case wrong != nil:
			lost = append(lost, wrong)
		case p.CT != "" && filepath.Clean(p.CT) != filepath.Clean(first.pair):
			lost = append(lost, fail(stageMatch, "a reader's mask is paired with another scan than the reference's; readings are of one scan", p.CT, p.Mask))
		default:
			first.readings = append(first.readings, reading{reader: p.Reader, source: pairSource(patient, first.pair, p)})
		}
	}
	slices.SortStableFunc(first.readings, func(a, b reading) int { return strings.Compare(a.reader, b.reader) })
	return scans, lost, nil
}

// pairFile says what is wrong with a file before it is opened.
func pairFile(patient, file, stage, what string) error {
	problem := ""
	if _, known := formatOf(file); !known {
		problem = "the %s's file is of a kind that is not read; allowed: .nii, .nii.gz, .nrrd, .nhdr"
	} else if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		problem = "there is no such file; the list names it as the %s"
	} else {
		return nil
	}
	return &stageError{stage, file, newPairError(patient, []string{file}, problem, what)}
}

func newPairExam(patient string, p Pair) *exam {
	return &exam{patient: dicom.PatientTree{ID: patient}, pair: p.CT, reference: pairSource(patient, p.CT, p)}
}

// scanFiles are the files whose content is the scan.
func (s *exam) scanFiles() []string {
	if s.pair != "" {
		return volumeFiles(s.pair)
	}
	return s.series.Files
}

// voxels is the size of the scan; 0 where the file does not say, which reading it will.
func (s *exam) voxels() int {
	if s.pair == "" {
		return s.series.Voxels()
	}
	if format, known := formatOf(s.pair); known {
		if g, err := format.grid(s.pair); err == nil && g.Len() <= maxPairVoxels {
			return g.Len()
		}
	}
	return 0
}

// withReaders says whether there may be contours by several readers, who are held against
// those of the other patients.
func (o Options) withReaders() bool {
	return o.Repeats.Kind == RepeatsReaders || slices.ContainsFunc(o.Pairs, func(p Pair) bool { return p.Reader != "" })
}

// readPair reads the scan of a pair, turned upright. uid stands for the UID of a series:
// the SHA-256 of the file (of those of its two files, where a header has the voxels in
// another).
func readPair(patient, file string) (ct *volume.Volume, uid, note string, err error) {
	fail := func(problem string, args ...any) (*volume.Volume, string, string, error) {
		return nil, "", "", &stageError{stageCT, file, newPairError(patient, []string{file}, problem, args...)}
	}
	format, _ := formatOf(file)
	g, err := format.grid(file)
	if err == nil && g.Len() > maxPairVoxels {
		return fail("the scan is said to have %d x %d x %d voxels; at most %d are read", g.Size[0], g.Size[1], g.Size[2], maxPairVoxels)
	}
	if err == nil {
		ct, err = format.ct(file)
	}
	if err != nil {
		return nil, "", "", &stageError{stageCT, file, err}
	}
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range ct.HU {
		low, high = min(low, v), max(high, v)
	}
	if low > airBelow || high <= 0 {
		return fail("the scan does not look like HU: its values go from %g to %g, and a chest has air below %d HU and tissue above 0; "+
			"save it in HU, with the slope and intercept of the scanner (not scaled to 0..1, not cut to a window, not stored with 1024 added)", low, high, airBelow)
	}
	sum, err := fileSHA256(file)
	if files := volumeFiles(file); err == nil && len(files) > 1 {
		sum, err = contentHash(files)
	}
	if err != nil {
		return nil, "", "", &stageError{stageCT, file, err}
	}
	if up := upright(ct.Grid); !up.same {
		ct = &volume.Volume{Grid: up.grid, HU: turned(ct.HU, up)}
		note = turnedNote
	}
	return ct, "sha256:" + sum, note, nil
}

// pairSource is the mask of a pair as a region.
func pairSource(patient, ct string, p Pair) *source {
	s := &source{file: p.Mask, choice: dicom.Choice{Name: labelNames(p.Labels), Rule: labelNames(p.Labels)}}
	s.mask = func(on volume.Grid) (*volume.Mask, volume.RasterReport, error) {
		m, err := s.readLabels(patient, ct, p.Labels, on)
		return m, volume.RasterReport{}, err
	}
	return s
}

func labelNames(labels []int) string {
	switch len(labels) {
	case 0:
		return "the only label"
	case 1:
		return "label " + strconv.Itoa(labels[0])
	}
	return "labels " + listNumbers(labels)
}

func listNumbers(n []int) string {
	var out []string
	for _, x := range n {
		out = append(out, strconv.Itoa(x))
	}
	return strings.Join(out, ", ")
}

// readLabels reads a mask and puts it on the grid of its scan, which is upright.
func (s *source) readLabels(patient, ct string, wanted []int, on volume.Grid) (*volume.Mask, error) {
	fail := func(stage, problem string, args ...any) (*volume.Mask, error) {
		files := []string{s.file}
		if stage == stageMatch {
			files = []string{ct, s.file}
		}
		return nil, &stageError{stage, s.file, newPairError(patient, files, problem, args...)}
	}
	format, _ := formatOf(s.file)
	g, err := format.grid(s.file)
	if err != nil {
		return nil, &stageError{stageContours, s.file, err}
	}
	up := upright(g)
	if up.grid.Size != on.Size {
		return fail(stageMatch, "the mask has %d x %d x %d voxels and the scan %d x %d x %d; export the mask on the scan's grid",
			up.grid.Size[0], up.grid.Size[1], up.grid.Size[2], on.Size[0], on.Size[1], on.Size[2])
	}
	if apart := cornersApart(up.grid, on); !(apart <= pairToleranceMM) {
		return fail(stageMatch, "the mask lies up to %.3g mm beside the scan (at a corner; allowed: %g mm); export the mask on the scan's grid", apart, pairToleranceMM)
	}
	m, seen, err := format.labels(s.file, wanted...)
	if err != nil {
		return nil, &stageError{stageContours, s.file, err}
	}
	s.choice.Seen, s.notes = nil, nil
	for _, label := range seen {
		s.choice.Seen = append(s.choice.Seen, labelNames([]int{label}))
	}
	var missing []int
	for _, label := range wanted {
		if !slices.Contains(seen, label) {
			missing = append(missing, label)
		}
	}
	switch {
	case len(seen) == 0:
		return fail(stageContours, "the mask is empty: every voxel is 0; draw the tumour")
	case len(wanted) == 0 && len(seen) > 1:
		return fail(stageROI, "the mask has the labels %s and it is not said which are the tumour; name them", listNumbers(seen))
	case len(missing) > 0 && len(missing) == len(wanted):
		return fail(stageROI, "the mask has the labels %s and not %s, which is said to be the tumour; name the right one", listNumbers(seen), listNumbers(wanted))
	case len(missing) > 0:
		s.notes = []string{labelNames(missing) + " not in the mask"}
	}
	if len(wanted) == 0 {
		s.choice.Name = labelNames(seen)
	}
	return &volume.Mask{Grid: on, In: turned(m.In, up)}, nil
}

// cornersApart is the largest distance of the corners of two grids of the same size, mm.
func cornersApart(a, b volume.Grid) (worst float64) {
	for corner := range 8 {
		var index [3]float64
		for axis := range 3 {
			if corner>>axis&1 == 1 {
				index[axis] = float64(a.Size[axis] - 1)
			}
		}
		p, q := a.Position(index), b.Position(index)
		worst = max(worst, math.Hypot(math.Hypot(p[0]-q[0], p[1]-q[1]), p[2]-q[2]))
	}
	return worst
}
