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

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/volume"
)

// Prepared is one patient on the way from files to cube.
type Prepared struct {
	PatientID string
	SeriesUID string // of the CT
	Contours  string // the RTSTRUCT or SEG file
	ROI       dicom.Choice
	Raster    volume.RasterReport // how the contours met the scan; zero for a SEG file

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
}

// CubeGrid places Cube.HU (margin included) in the patient.
func (p *Prepared) CubeGrid() volume.Grid {
	iso := p.CT.Grid.Isotropic(p.Spec.SpacingMM)
	first := p.Cube.First()
	g := iso
	g.Size = [3]int{p.Cube.Edge, p.Cube.Edge, p.Cube.Edge}
	g.Origin = iso.Position([3]float64{float64(first[0]), float64(first[1]), float64(first[2])})
	return g
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
	stageCT       = "read CT"
	stageMask     = "fill contours"
	stageCube     = "cut cube"
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
}

func (e *SeveralContoursError) Error() string {
	return fmt.Sprintf("patient %s: %d files hold a region that the ROI rule names: %s; keep one of them", e.Patient, len(e.Files), strings.Join(e.Files, ", "))
}

// source is a region found by the rule, before its voxels are known.
type source struct {
	file       string
	choice     dicom.Choice
	references dicom.References
	mask       func(volume.Grid) (*volume.Mask, volume.RasterReport, error)
}

// One prepares one patient in memory: the region that the rule names, from the
// patient's RTSTRUCT files or, where none of them has it, from the DICOM SEG files;
// the CT series it was drawn on; the mask; the cube. The list of errors is of
// contour files that could not be used although the patient could.
//
// The error is of package dicom or volume, or *NoContoursError, *NoCTError,
// *SeveralContoursError. Nothing is guessed: two files with the region are an error.
func One(patient dicom.PatientTree, rule dicom.ROIRule, spec volume.CubeSpec) (*Prepared, []error, error) {
	if len(patient.Series) == 0 {
		e := &NoCTError{Patient: patient.ID}
		for _, f := range patient.Others {
			e.Others = append(e.Others, f.Modality)
		}
		slices.Sort(e.Others)
		e.Others = slices.Compact(e.Others)
		return nil, nil, &stageError{stage: stageCT, err: e}
	}
	from, lost, err := choose(patient, rule)
	if err != nil {
		return nil, lost, err
	}
	series, note, err := patient.SeriesOf(from.file, from.references)
	if err != nil {
		return nil, lost, &stageError{stageMatch, from.file, err}
	}
	ct, err := series.Read()
	if err != nil {
		return nil, lost, &stageError{stage: stageCT, err: err}
	}
	up := upright(ct.Grid)
	p := &Prepared{
		PatientID: patient.ID, SeriesUID: series.UID, Contours: from.file, ROI: from.choice, Spec: spec,
		CT: &volume.Volume{Grid: up.grid, HU: turned(ct.HU, up)},
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { p.HUMin, p.HUMax, p.CRC = fingerprint(p.CT.HU) })
	mask, raster, err := from.mask(ct.Grid)
	if err != nil {
		return nil, lost, &stageError{stageMask, from.file, err}
	}
	p.Raster, p.MaskVoxels = raster, mask.Count()
	p.Mask = &volume.Mask{Grid: up.grid, In: turned(mask.In, up)}
	if !up.same {
		p.Notes = append(p.Notes, "the scan's axes were turned to the patient's left, back and head")
	}
	if note != "" {
		p.Notes = append(p.Notes, note)
	}
	p.Notes = append(p.Notes, rasterNotes(raster)...)
	if n := len(patient.Series); n > 1 {
		p.Notes = append(p.Notes, fmt.Sprintf("one of %d CT series of the patient", n))
	}
	p.Cube, err = volume.CutCube(p.CT, p.Mask, spec)
	if err != nil {
		return nil, lost, &stageError{stageCube, from.file, err}
	}
	return p, lost, nil
}

// choose finds the file and the region that the rule names.
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
	return &source{file: file, choice: choice, references: set.References(roi), mask: func(g volume.Grid) (*volume.Mask, volume.RasterReport, error) {
		return volume.Rasterise(roi.Contours, g)
	}}, nil
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
	return &source{file: file, choice: choice, references: seg.References, mask: func(g volume.Grid) (*volume.Mask, volume.RasterReport, error) {
		m, err := seg.Mask(segment.Number, &g)
		return m, volume.RasterReport{}, err
	}}, nil
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

// exclusion puts an error into words for the exclusions table.
func exclusion(err error) (stage, file, reason string) {
	stage = stageFault
	var at *stageError
	if errors.As(err, &at) {
		stage, file = at.stage, at.file
	}
	if f := dicom.FileOf(err); f != "" {
		file = f
	}
	return stage, file, err.Error()
}

// relative is a path as it is written into tables: below root, with slashes.
func relative(root, path string) string {
	if r, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(r) {
		path = r
	}
	return filepath.ToSlash(path)
}
