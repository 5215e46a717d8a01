package phantom

import (
	"fmt"
	"path/filepath"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/volume"
)

// ROIName is the region that holds the tumour in written structure sets.
const ROIName = "GTV-1"

// WriteDICOM writes subject i's first scan and reference contour as real DICOM files
// below dir: <patient>/CT/ and <patient>/RTSTRUCT.dcm. Contours run along voxel edges,
// so rasterising them gives the mask back exactly. Errors are those of the file system.
func (p *Phantom) WriteDICOM(dir string, i int) error {
	s := p.Subject(i)
	ct, mask := p.Scan(i)
	meta := dicom.Meta{
		PatientID: s.Patient.ID, Seed: fmt.Sprint(p.CohortName(), p.spec.Seed), Scan: "1",
		Manufacturer: "hounsfield phantom", Model: s.Scanner.Name, Kernel: fmt.Sprintf("gauss %g mm", s.Scanner.BlurMM),
	}
	folder := filepath.Join(dir, s.Patient.ID)
	if err := dicom.WriteCT(filepath.Join(folder, "CT"), ct, meta); err != nil {
		return fmt.Errorf("phantom: %w", err)
	}
	meta.Reader = "reference"
	roi := dicom.ROI{Name: ROIName, Contours: outlines(mask)}
	if err := dicom.WriteStructures(filepath.Join(folder, "RTSTRUCT.dcm"), []dicom.ROI{roi}, ct.Grid, meta); err != nil {
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
