package volume

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Contour is one closed planar polygon drawn around a structure, as DICOM RTSTRUCT
// holds it: corners x, y, z in mm, LPS. The last corner joins the first.
type Contour struct {
	Points [][3]float64
}

// RasterReport says how the contours met the scan. Whatever was not simply filled
// in is counted here; nothing is dropped silently.
type RasterReport struct {
	Contours   int // contours given
	Outside    int // wholly outside the scan: beyond an end slice by more than half a slice, or beside the scan
	Clipped    int // partly beside the scan; the part inside was kept
	Degenerate int // fewer than three different corners: they enclose nothing
	Duplicates int // the same corners as another contour of the plane, drawn once

	OffPlane     int     // contours not drawn on a slice plane (by more than 1% of the slice spacing)
	MaxOffMM     float64 // the largest distance from a contour to its slice plane, mm
	MergedSlices int     // slices that took the union of several drawn planes
	Slices       int     // slices with at least one voxel inside
	GapSlices    int     // slices between the first and the last of those with no voxel inside
	Voxels       int     // voxels inside
}

// Rasterise fills contours into a mask on a grid.
//
// A voxel is inside when its centre is. A centre exactly on an edge belongs to the
// region on its side of higher index (the half-open rule), so regions that share
// an edge share no voxel and leave none out. All arithmetic is in 64-bit floats.
//
// Contours of one drawn plane are combined by the even-odd rule: a contour inside
// another is a hole, one inside the hole is solid again, and a keyhole (one polygon
// that walks in along a line and out along the same line) is a hole too. A union,
// which some programs make instead, would fill nested holes. A contour that is in
// the plane twice would cancel itself; it is drawn once and counted.
//
// A contour belongs to the nearest slice along the normal; half way it goes to the
// slice of higher index. Contours within a tenth of a slice spacing of each other
// count as one drawn plane. When several drawn planes fall to one slice (contours
// drawn finer than the slices), the slice takes the union of their regions. Slices
// between drawn planes are not interpolated; GapSlices counts them. Contours more
// than half a slice beyond the first or last slice are outside. The grid may point
// anywhere in the patient, but contours must run along its slices.
//
// Errors: *ContourError for corners that are not finite and for contours that
// cross the slices, *OutsideScanError when every contour is outside,
// *EmptyMaskError when there is no contour or none encloses a voxel centre,
// *GeometryError for a grid that cannot be.
func Rasterise(contours []Contour, g Grid) (*Mask, RasterReport, error) {
	report := RasterReport{Contours: len(contours)}
	if err := g.Check(); err != nil {
		return nil, report, err
	}
	if len(contours) == 0 {
		return nil, report, &EmptyMaskError{Reason: "the structure has no contour"}
	}
	var polygons []polygon
	for i, c := range contours {
		p, err := newPolygon(i, c, g)
		if err != nil {
			return nil, report, err
		}
		if report.place(&p, g) {
			polygons = append(polygons, p)
		}
	}
	if len(polygons) == 0 {
		if report.Outside > 0 {
			return nil, report, &OutsideScanError{Contours: report.Outside}
		}
		return nil, report, &EmptyMaskError{Reason: fmt.Sprintf("none of the %d contours has three different corners", len(contours))}
	}
	m := NewMask(g)
	report.fill(m, polygons)
	report.tally(m)
	if report.Voxels == 0 {
		return nil, report, &EmptyMaskError{Reason: fmt.Sprintf("none of the %d contours encloses a voxel centre", len(contours))}
	}
	return m, report, nil
}

// farAway is a voxel index that no scan reaches; beyond it arithmetic could overflow.
const farAway = 1e9

// polygon is a contour in voxel indices.
type polygon struct {
	xy [][2]float64 // corners
	z  float64      // of the plane it is drawn on
}

func newPolygon(i int, c Contour, g Grid) (polygon, error) {
	p := polygon{xy: make([][2]float64, 0, len(c.Points))}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, point := range c.Points {
		t := g.Index(point)
		for a := range 3 {
			if !(math.Abs(t[a]) < farAway) {
				return p, &ContourError{Contour: i, Reason: fmt.Sprintf("has a corner at %v, which is no place", point)}
			}
		}
		lo, hi = min(lo, t[2]), max(hi, t[2])
		if corner := [2]float64{t[0], t[1]}; len(p.xy) == 0 || corner != p.xy[len(p.xy)-1] {
			p.xy = append(p.xy, corner)
		}
	}
	for len(p.xy) > 1 && p.xy[0] == p.xy[len(p.xy)-1] {
		p.xy = p.xy[:len(p.xy)-1]
	}
	if hi-lo > 0.5 {
		return p, &ContourError{Contour: i, Reason: fmt.Sprintf("crosses the slices (%.2f mm along their normal); only contours drawn in the slice plane can be filled", (hi-lo)*g.Spacing[2])}
	}
	p.z = (lo + hi) / 2
	return p, nil
}

// place counts where a polygon lies and says whether there is anything to fill.
func (r *RasterReport) place(p *polygon, g Grid) bool {
	if len(p.xy) < 3 {
		r.Degenerate++
		return false
	}
	lo, hi := p.xy[0], p.xy[0]
	for _, corner := range p.xy {
		for a := range 2 {
			lo[a], hi[a] = min(lo[a], corner[a]), max(hi[a], corner[a])
		}
	}
	outside, clipped := !onSlices(p.z, g.Size[2]), false
	for a := range 2 {
		end := float64(g.Size[a]) - 0.5
		outside = outside || hi[a] < -0.5 || lo[a] > end
		clipped = clipped || lo[a] < -0.5 || hi[a] > end
	}
	switch {
	case outside:
		r.Outside++
		return false
	case clipped:
		r.Clipped++
	}
	off := math.Abs(p.z - float64(sliceOf(p.z, g.Size[2])))
	if off > 0.01 {
		r.OffPlane++
	}
	r.MaxOffMM = max(r.MaxOffMM, off*g.Spacing[2])
	return true
}

// onSlices says whether a plane lies within half a slice of some slice. A thousandth
// of a slice is allowed for, because contour files round to a few digits.
func onSlices(z float64, n int) bool { return z >= -0.501 && z <= float64(n)-0.499 }

// sliceOf is the slice a plane belongs to: the nearest, the higher one half way.
func sliceOf(z float64, n int) int { return min(max(int(math.Floor(z+0.5+1e-6)), 0), n-1) }

// fill writes the polygons into the mask, drawn plane by drawn plane.
func (r *RasterReport) fill(m *Mask, polygons []polygon) {
	slices.SortStableFunc(polygons, func(a, b polygon) int { return cmp.Compare(a.z, b.z) })
	previous, merged := -1, false
	for len(polygons) > 0 {
		end := 1
		for end < len(polygons) && polygons[end].z-polygons[0].z <= 0.1 {
			end++
		}
		plane := r.withoutDuplicates(polygons[:end])
		z := sliceOf(polygons[0].z, m.Grid.Size[2])
		if z != previous {
			merged = false
		} else if !merged {
			merged = true
			r.MergedSlices++
		}
		start := m.Grid.Offset(0, 0, z)
		fillPlane(m.In[start:start+m.Grid.Size[0]*m.Grid.Size[1]], m.Grid.Size[0], m.Grid.Size[1], plane)
		previous = z
		polygons = polygons[end:]
	}
}

// withoutDuplicates keeps one of the polygons that have the same corners, wherever
// they start and whichever way they turn.
func (r *RasterReport) withoutDuplicates(plane []polygon) []polygon {
	if len(plane) == 1 {
		return plane
	}
	var kept []polygon
	var keys [][][2]float64
	for _, p := range plane {
		key := slices.Clone(p.xy)
		slices.SortFunc(key, func(a, b [2]float64) int {
			return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
		})
		if slices.ContainsFunc(keys, func(k [][2]float64) bool { return slices.Equal(k, key) }) {
			r.Duplicates++
			continue
		}
		keys = append(keys, key)
		kept = append(kept, p)
	}
	return kept
}

// fillPlane sets the pixels (stored y, x) whose centre lies inside an odd number
// of polygons. Pixels already set stay set.
func fillPlane(out []uint8, nx, ny int, plane []polygon) {
	rows := crossings(plane, ny)
	for y, xs := range rows {
		slices.Sort(xs)
		for i := 0; i+1 < len(xs); i += 2 {
			from, end := firstCentre(xs[i], nx), firstCentre(xs[i+1], nx)
			for x := from; x < end; x++ {
				out[y*nx+x] = 1
			}
		}
	}
}

// firstCentre is the first pixel whose centre is at x or beyond, at most n.
func firstCentre(x float64, n int) int { return int(min(max(math.Ceil(x), 0), float64(n))) }

// crossings are, for each row of pixel centres, the x where polygon edges cross it.
// An edge crosses the rows from its lower end inclusive to its upper end exclusive,
// so every row crosses a closed polygon an even number of times.
func crossings(plane []polygon, ny int) [][]float64 {
	rows := make([][]float64, ny)
	for _, p := range plane {
		a := p.xy[len(p.xy)-1]
		for _, b := range p.xy {
			// Always from the lower end: an edge walked both ways (a keyhole, two regions
			// that touch) then gives the very same crossing twice.
			lower, upper := a, b
			if lower[1] > upper[1] {
				lower, upper = upper, lower
			}
			for y, end := firstCentre(lower[1], ny), firstCentre(upper[1], ny); y < end; y++ {
				t := (float64(y) - lower[1]) / (upper[1] - lower[1])
				rows[y] = append(rows[y], lower[0]+t*(upper[0]-lower[0]))
			}
			a = b
		}
	}
	return rows
}

// tally counts the voxels and slices of the finished mask.
func (r *RasterReport) tally(m *Mask) {
	plane := m.Grid.Size[0] * m.Grid.Size[1]
	first, last := -1, -1
	for z := range m.Grid.Size[2] {
		n := inside(m.In[z*plane : (z+1)*plane])
		if n == 0 {
			continue
		}
		if first < 0 {
			first = z
		}
		last = z
		r.Slices++
		r.Voxels += n
	}
	if first >= 0 {
		r.GapSlices = last - first + 1 - r.Slices
	}
}

// ContourError is a contour that cannot be filled. Contour counts from 0.
type ContourError struct {
	Contour int
	Reason  string
}

func (e *ContourError) Error() string {
	return fmt.Sprintf("contour %d %s; exclude this structure or export it again from the planning system", e.Contour, e.Reason)
}

// OutsideScanError is a structure none of whose contours touches the scan.
type OutsideScanError struct {
	Contours int // contours that have an area, all of them outside
}

func (e *OutsideScanError) Error() string {
	return fmt.Sprintf("all %d contours lie outside the scan; the structure belongs to another series, or its frame of reference is another", e.Contours)
}
