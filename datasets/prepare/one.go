package prepare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/volume"
)

// Prepared is one contour of a scan of a patient on the way from files to cube.
type Prepared struct {
	PatientID string
	Scan      int           // 1, or 2 for the repeat
	Reader    string        // whose contour it is; empty for the reference
	SeriesUID string        // of the CT; sha256: and the file's hash for the scan of a pair
	After     time.Duration // the first scan; 0 for the first and where not known
	Contours  string        // the RTSTRUCT or SEG file, or the mask of a pair
	ROI       dicom.Choice
	Raster    volume.RasterReport // how the contours met the scan; zero for a SEG file or a mask

	// CT and Mask lie on the scan's own grid, turned so that its axes run as nearly
	// as possible to the patient's left, back and head. Nothing is resampled by that.
	CT         *volume.Volume
	Mask       *volume.Mask
	MaskVoxels int

	Spec volume.CubeSpec
	Cube *volume.Cube

	// HUMin and HUMax are of the scan; CRC is the CRC-32 (IEEE) of the scan as int16
	// little-endian, z, y, x: two scans with the same voxels have the same.
	HUMin, HUMax float32
	CRC          uint32

	Notes []string // what did not quite fit, in words

	named string // Contours, as outputs call it
}

// CubeGrid places Cube.HU (margin included) in the patient.
func (p *Prepared) CubeGrid() volume.Grid {
	return p.Cube.Grid(p.CT.Grid, p.Spec.SpacingMM)
}

// stageError says at which step a patient was lost, and at which file when the
// error itself does not know.
type stageError struct {
	stage, file string
	err         error
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// The stages of the exclusions table.
const (
	stageFile     = "read file"
	stageContours = "read contours"
	stageROI      = "choose ROI"
	stageMatch    = "match contours to CT"
	stagePair     = "pair scans"
	stageCT       = "read CT"
	stageMask     = "fill contours"
	stageCube     = "cut cube"
	stageGuard    = "guard identity"
	stageFault    = "program fault"
)

// NoContoursError is a patient without a readable structure set or segmentation.
type NoContoursError struct {
	Patient string
}

func (e *NoContoursError) Error() string {
	return fmt.Sprintf("patient %s: no readable RTSTRUCT or DICOM SEG file; add the contours of the tumour", e.Patient)
}

// NoCTError is a patient without a CT series.
type NoCTError struct {
	Patient string
	Others  []string // modalities of the other images there are, each once
}

func (e *NoCTError) Error() string {
	there := ""
	if len(e.Others) > 0 {
		there = " (there are files of modality " + strings.Join(e.Others, ", ") + "; a CT among them is not stored as single slices)"
	}
	return fmt.Sprintf("patient %s: no CT series%s; add the scan that the contours were drawn on", e.Patient, there)
}

// SeveralContoursError is a patient with the wanted region in several files.
type SeveralContoursError struct {
	Patient string
	Files   []string
	OneScan bool // they are known to be of one and the same scan
}

func (e *SeveralContoursError) Error() string {
	next := "keep one of them"
	if !e.OneScan {
		next += ", or, where they belong to two scans of the patient, prepare with --repeats scans"
	}
	return fmt.Sprintf("patient %s: %d files hold a region that the ROI rule names: %s; %s", e.Patient, len(e.Files), strings.Join(e.Files, ", "), next)
}

// source is a region found by the rule, before its voxels are known.
type source struct {
	file       string
	choice     dicom.Choice // of a pair's mask complete when mask has read it
	references dicom.References
	notes      []string // what did not quite fit, once the voxels are read
	mask       func(volume.Grid) (*volume.Mask, volume.RasterReport, error)
}

// read reads a scan and prepares it with its reference contour.
//
// The error is of package dicom or volume.
func (s *exam) read(spec volume.CubeSpec) (*Prepared, error) {
	ct, uid, note, err := s.scan()
	if err != nil {
		return nil, err
	}
	p := &Prepared{PatientID: s.patient.ID, SeriesUID: uid, After: s.after, Spec: spec, CT: ct}
	var task sync.WaitGroup
	defer task.Wait()
	task.Go(func() { p.HUMin, p.HUMax, p.CRC = fingerprint(p.CT.HU) })
	if err := s.draw(p, s.reference); err != nil {
		return nil, err
	}
	var notes []string
	if note != "" {
		notes = append(notes, note)
	}
	notes = append(append(notes, s.notes...), p.Notes...)
	if n := len(s.patient.Series); n > 1 {
		notes = append(notes, fmt.Sprintf("one of %d CT series of the patient", n))
	}
	p.Notes = notes
	return p, nil
}

const turnedNote = "the scan's axes were turned to the patient's left, back and head"

// scan reads the voxels, turned upright. note says when they were turned.
func (s *exam) scan() (ct *volume.Volume, uid, note string, err error) {
	if s.pair != "" {
		ct, uid, note, err = readPair(s.patient.ID, s.pair)
		if err == nil {
			s.native = ct.Grid
		}
		return ct, uid, note, err
	}
	if ct, err = s.series.Read(); err != nil {
		return nil, "", "", &stageError{stage: stageCT, err: err}
	}
	s.native = ct.Grid
	if up := upright(ct.Grid); !up.same {
		ct, note = &volume.Volume{Grid: up.grid, HU: turned(ct.HU, up)}, turnedNote
	}
	return ct, s.series.UID, note, nil
}

// reading prepares the contour of another reader on a scan that was read.
func (s *exam) reading(of *Prepared, r reading) (*Prepared, error) {
	p := *of
	p.Reader, p.Notes = r.reader, nil
	if err := s.draw(&p, r.source); err != nil {
		return nil, err
	}
	if r.note != "" {
		p.Notes = append(p.Notes, r.note)
	}
	return &p, nil
}

// draw fills a contour into a mask on the scan and cuts the cube around it.
func (s *exam) draw(p *Prepared, from *source) error {
	mask, raster, err := from.mask(s.native)
	p.Contours, p.ROI = from.file, from.choice
	var staged *stageError
	switch {
	case errors.As(err, &staged):
		return err
	case err != nil:
		return &stageError{stageMask, from.file, err}
	}
	p.Raster, p.MaskVoxels, p.Notes = raster, mask.Count(), append(rasterNotes(raster), from.notes...)
	p.Mask = &volume.Mask{Grid: p.CT.Grid, In: turned(mask.In, upright(s.native))}
	if p.Cube, err = volume.CutCube(p.CT, p.Mask, p.Spec); err != nil {
		return &stageError{stageCube, from.file, err}
	}
	return nil
}

// choose finds the file and the region that the rule names: from the patient's RTSTRUCT
// files or, where none of them has it, from the DICOM SEG files. Nothing is guessed: two
// files with the region are a *SeveralContoursError. The list of errors is of contour files
// that could not be used although the patient could.
func choose(patient dicom.PatientTree, rule dicom.ROIRule) (*source, []error, error) {
	var found []*source
	var failed []error
	for _, file := range patient.Structures {
		s, err := fromStructures(file, rule)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		found = append(found, s)
	}
	if len(found) == 0 {
		for _, file := range patient.Segmentations {
			s, err := fromSegmentation(file, rule)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], failed, nil
	case len(found) > 1:
		e := &SeveralContoursError{Patient: patient.ID}
		for _, s := range found {
			e.Files = append(e.Files, s.file)
		}
		return nil, failed, &stageError{stage: stageROI, file: e.Files[1], err: e}
	case len(failed) == 0:
		return nil, nil, &stageError{stage: stageContours, err: &NoContoursError{Patient: patient.ID}}
	case len(failed) == 1:
		return nil, nil, failed[0]
	}
	// Each file has its own reason; the first is the patient's, the others keep theirs.
	return nil, failed[1:], failed[0]
}

func fromStructures(file string, rule dicom.ROIRule) (*source, error) {
	set, err := dicom.ReadStructures(file)
	if err != nil {
		return nil, &stageError{stageContours, file, err}
	}
	roi, choice, err := set.Choose(rule)
	if err != nil {
		return nil, &stageError{stageROI, file, err}
	}
	return structureSource(set, roi, choice), nil
}

func structureSource(set *dicom.StructureSet, roi dicom.ROI, choice dicom.Choice) *source {
	return &source{file: set.File, choice: choice, references: set.References(roi), mask: func(g volume.Grid) (*volume.Mask, volume.RasterReport, error) {
		if len(roi.Contours) == 0 {
			return nil, volume.RasterReport{}, &dicom.EmptyROIError{File: set.File, Patient: set.PatientID, ROI: roi.Name, Reasons: roi.Skipped}
		}
		return volume.Rasterise(roi.Contours, g)
	}}
}

func fromSegmentation(file string, rule dicom.ROIRule) (*source, error) {
	seg, err := dicom.ReadSegmentation(file)
	if err != nil {
		return nil, &stageError{stageContours, file, err}
	}
	segment, choice, err := seg.Choose(rule)
	if err != nil {
		return nil, &stageError{stageROI, file, err}
	}
	return segmentSource(seg, segment, choice), nil
}

func segmentSource(seg *dicom.Segmentation, segment dicom.Segment, choice dicom.Choice) *source {
	return &source{file: seg.File, choice: choice, references: seg.References, mask: func(g volume.Grid) (*volume.Mask, volume.RasterReport, error) {
		m, err := seg.Mask(segment.Number, &g)
		return m, volume.RasterReport{}, err
	}}
}

// rasterNotes puts the unusual counts of a report into words.
func rasterNotes(r volume.RasterReport) (notes []string) {
	for _, c := range []struct {
		n    int
		what string
	}{
		{r.Outside, "contour(s) outside the scan left out"},
		{r.Clipped, "contour(s) partly beside the scan"},
		{r.Degenerate, "contour(s) without an area left out"},
		{r.Duplicates, "contour(s) drawn twice, counted once"},
		{r.OffPlane, "contour(s) off the slice planes put on the nearest"},
		{r.MergedSlices, "slice(s) with several drawn planes, united"},
		{r.GapSlices, "slice(s) without a contour inside the region"},
	} {
		if c.n > 0 {
			notes = append(notes, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return notes
}

// turn is a way to store the voxels of a grid in another order.
type turn struct {
	grid  volume.Grid // the new one
	same  bool        // nothing changes
	start int         // of the new first voxel in the old array
	step  [3]int      // in the old array, along each new axis
}

// upright turns a grid so that its axes run as nearly as possible to the patient's
// left, back and head: feet-first and prone scans are flipped, a coronal stack is
// transposed. It is a permutation of voxels; every voxel keeps its place in the
// patient.
func upright(g volume.Grid) turn {
	t := turn{grid: g, same: true}
	stride := [3]int{1, g.Size[0], g.Size[0] * g.Size[1]}
	var corner [3]float64 // old index of the new first voxel
	for r, a := range bestAxes(g.Direction) {
		sign := 1
		if g.Direction[3*r+a] < 0 {
			sign = -1
			corner[a] = float64(g.Size[a] - 1)
			t.start += (g.Size[a] - 1) * stride[a]
		}
		t.step[r] = sign * stride[a]
		t.grid.Size[r], t.grid.Spacing[r] = g.Size[a], g.Spacing[a]
		for k := range 3 {
			t.grid.Direction[3*k+r] = float64(sign)*g.Direction[3*k+a] + 0 // + 0: no negative zero
		}
		t.same = t.same && a == r && sign > 0
	}
	if t.same {
		t.grid = g
	}
	t.grid.Origin = g.Position(corner)
	return t
}

// bestAxes gives each patient axis the lattice axis that runs along it best.
func bestAxes(d [9]float64) [3]int {
	orders := [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	return slices.MaxFunc(orders, func(a, b [3]int) int { return cmp.Compare(along(d, a), along(d, b)) })
}

func along(d [9]float64, axes [3]int) (sum float64) {
	for r, a := range axes {
		sum += math.Abs(d[3*r+a])
	}
	return sum
}

// turned are the voxels in their new order; the same slice when nothing changes.
func turned[V any](from []V, t turn) []V {
	if t.same {
		return from
	}
	out := make([]V, 0, len(from))
	for z := range t.grid.Size[2] {
		for y := range t.grid.Size[1] {
			at := t.start + z*t.step[2] + y*t.step[1]
			for range t.grid.Size[0] {
				out = append(out, from[at])
				at += t.step[0]
			}
		}
	}
	return out
}

// stageOf is where a patient was lost, and the file at fault.
func stageOf(err error) (stage, file string) {
	stage = stageFault
	var at *stageError
	if errors.As(err, &at) {
		stage, file = at.stage, at.file
	}
	if f := dicom.FileOf(err); f != "" {
		file = f
	}
	return stage, file
}

// relative is a path as it is written into tables: below root, with slashes.
func relative(root, path string) string {
	if r, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(r) {
		path = r
	}
	return filepath.ToSlash(path)
}
