package phantom

import (
	"fmt"
	"path/filepath"
	"time"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/volume"
)

// ROIName is the region that holds the tumour in written structure sets.
const ROIName = "GTV-1"

// WriteDICOM writes subject i's first scan and reference contour as real DICOM files
// below dir: <patient>/CT/ and <patient>/RTSTRUCT.dcm. Contours run along voxel edges,
// so rasterising them gives the mask back exactly. Errors are those of the file system.
func (p *Phantom) WriteDICOM(dir string, i int) error {
	ct, mask := p.Scan(i)
	return writeScan(filepath.Join(dir, p.Subject(i).Patient.ID), p.meta(i, "1"), ct, contour(ROIName, mask))
}

// WriteScanPair writes subject i's first and second scan, each with its contour under one
// of the two names, to <patient>/scan-1/ and <patient>/scan-2/, as WriteDICOM does. They
// say that they were acquired 15 minutes apart. A subject without a second scan has only
// the first written.
func (p *Phantom) WriteScanPair(dir string, i int, rois [2]string) error {
	folder := filepath.Join(dir, p.Subject(i).Patient.ID)
	first := p.meta(i, "1")
	first.Acquired = time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC) // any day: nobody's
	ct, mask := p.Scan(i)
	if err := writeScan(filepath.Join(folder, "scan-1"), first, ct, contour(rois[0], mask)); err != nil || !p.HasSecondScan(i) {
		return err
	}
	second := p.meta(i, "2")
	second.Acquired = first.Acquired.Add(15 * time.Minute)
	ct, mask = p.SecondScan(i)
	return writeScan(filepath.Join(folder, "scan-2"), second, ct, contour(rois[1], mask))
}

// WriteReaders is WriteDICOM with several contours in the structure set: the reference
// under the first name, then those of the readers in order. A reader without a name is
// left out.
func (p *Phantom) WriteReaders(dir string, i int, rois []string) error {
	ct, mask := p.Scan(i)
	all := []dicom.ROI{contour(rois[0], mask)}
	for reader, name := range rois[1:] {
		if name != "" {
			all = append(all, contour(name, p.ReaderMask(i, reader)))
		}
	}
	return writeScan(filepath.Join(dir, p.Subject(i).Patient.ID), p.meta(i, "1"), ct, all...)
}

func (p *Phantom) meta(i int, scan string) dicom.Meta {
	s := p.Subject(i)
	return dicom.Meta{
		PatientID: s.Patient.ID, Seed: fmt.Sprint(p.CohortName(), p.spec.Seed), Scan: scan,
		Manufacturer: "hounsfield phantom", Model: s.Scanner.Name, Kernel: fmt.Sprintf("gauss %g mm", s.Scanner.BlurMM),
	}
}

func contour(name string, m *volume.Mask) dicom.ROI {
	return dicom.ROI{Name: name, Contours: outlines(m)}
}

func writeScan(folder string, meta dicom.Meta, ct *volume.Volume, rois ...dicom.ROI) error {
	if err := dicom.WriteCT(filepath.Join(folder, "CT"), ct, meta); err != nil {
		return fmt.Errorf("phantom: %w", err)
	}
	meta.Reader = "reference"
	if err := dicom.WriteStructures(filepath.Join(folder, "RTSTRUCT.dcm"), rois, ct.Grid, meta); err != nil {
		return fmt.Errorf("phantom: %w", err)
	}
	return nil
}

// outlines walks around the regions of each slice of a mask, along voxel edges, and
// gives one closed polygon per border (holes have their own). By the even-odd rule
// they enclose exactly the voxels of the mask.
func outlines(m *volume.Mask) []volume.Contour {
	var all []volume.Contour
	for z := range m.Grid.Size[2] {
		all = append(all, outlineSlice(m, z)...)
	}
	return all
}

// corner is a point between voxels: corner (x,y) is at index (x-0.5, y-0.5).
type corner struct{ x, y int }

func outlineSlice(m *volume.Mask, z int) []volume.Contour {
	in := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < m.Grid.Size[0] && y < m.Grid.Size[1] && m.In[m.Grid.Offset(x, y, z)] != 0
	}
	// Every voxel edge between inside and outside, as a step with the inside on its
	// right hand (y points down). Two steps may leave a corner where voxels touch
	// diagonally; either way of joining them encloses the same voxels.
	next := map[corner][]corner{}
	var starts []corner // in a fixed order: maps have none
	add := func(from, to corner) {
		next[from] = append(next[from], to)
		starts = append(starts, from)
	}
	for y := range m.Grid.Size[1] {
		for x := range m.Grid.Size[0] {
			if !in(x, y) {
				continue
			}
			if !in(x, y-1) {
				add(corner{x, y}, corner{x + 1, y})
			}
			if !in(x+1, y) {
				add(corner{x + 1, y}, corner{x + 1, y + 1})
			}
			if !in(x, y+1) {
				add(corner{x + 1, y + 1}, corner{x, y + 1})
			}
			if !in(x-1, y) {
				add(corner{x, y + 1}, corner{x, y})
			}
		}
	}
	var all []volume.Contour
	for _, start := range starts {
		if len(next[start]) == 0 {
			continue
		}
		var path []corner
		for at := start; len(next[at]) > 0; {
			to := next[at][0]
			next[at] = next[at][1:]
			path = append(path, at)
			at = to
		}
		all = append(all, polygon(path, m.Grid, z))
	}
	return all
}

// polygon keeps the corners at which a closed path turns.
func polygon(path []corner, g volume.Grid, z int) volume.Contour {
	var c volume.Contour
	n := len(path)
	for i, p := range path {
		before, after := path[(i+n-1)%n], path[(i+1)%n]
		if p.x-before.x == after.x-p.x && p.y-before.y == after.y-p.y {
			continue
		}
		c.Points = append(c.Points, g.Position([3]float64{float64(p.x) - 0.5, float64(p.y) - 0.5, float64(z)}))
	}
	return c
}
