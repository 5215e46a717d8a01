package volume

import (
	"fmt"
	"image"
	"image/color"
	"math"
)

// Colours of Okabe and Ito, told apart by every kind of colour vision and on grey.
var (
	contourColour = color.RGBA{R: 240, G: 160, A: 255}         // orange
	boxColour     = color.RGBA{R: 86, G: 180, B: 233, A: 255}  // sky blue
	textColour    = color.RGBA{R: 235, G: 235, B: 235, A: 255} // near white
	paperColour   = color.RGBA{R: 24, G: 24, B: 28, A: 255}
	hatchColour   = color.RGBA{R: 58, G: 58, B: 66, A: 255}
)

// The lung window: what is shown black to white.
const (
	windowLevelHU = -600
	windowWidthHU = 1500
)

const (
	panelGap   = 12
	lineHeight = 16
)

// QCPixels is the size of a QCPicture's panels that a person can work with.
const QCPixels = 420

// QCPicture shows a person whether scan, contour and cube belong together: axial,
// coronal and sagittal planes through the mask's centre of mass, the whole scan
// above and the tumour below. The mask is outlined in orange (the voxels as they
// are, not the contour as drawn), the cube is the blue box, and what lies outside
// the scan is hatched. Planes run along the scan's own axes, turned so that the
// head is up and, seen from the front or from the feet, the patient's right is on
// the left; the letters at the edges say what is where (R right, L left, A front,
// P back, H head, F feet), two letters where the scan is oblique. A pixel is as
// high as wide in mm. Lung window, level -600 and width 1500 HU.
//
// cube is what CutCube made of ct, mask and spec; pixels is the largest edge of a panel.
func QCPicture(ct *Volume, mask *Mask, cube *Cube, spec CubeSpec, pixels int) image.Image {
	planes := standardPlanes(ct.Grid)
	wholeMM, zoomMM := 0.0, 2*float64(spec.Size)*spec.SpacingMM
	for a := range 3 {
		wholeMM = max(wholeMM, float64(ct.Grid.Size[a])*ct.Grid.Spacing[a])
	}
	if first, last, ok := mask.Bounds(); ok {
		for a := range 3 {
			zoomMM = max(zoomMM, 1.2*float64(last[a]-first[a]+1)*mask.Grid.Spacing[a])
		}
	}
	iso := ct.Grid.Isotropic(spec.SpacingMM)
	c := newCanvas(panelGap+3*(pixels+panelGap), 2*(pixels+panelGap+lineHeight)+panelGap+lineHeight)
	bottom := 0
	for row := range 2 {
		top := bottom + panelGap + lineHeight
		for i, p := range planes {
			left := panelGap + i*(pixels+panelGap)
			view := p.whole(ct.Grid, cube.CentreMM, wholeMM/float64(pixels), pixels)
			title, barMM := p.name+" plane, whole scan", 50.0
			if row == 1 {
				view = p.centred(cube.CentreMM, pixels, pixels, zoomMM/float64(pixels))
				title, barMM = fmt.Sprintf("%s plane, %.0f mm around the centre", p.name, zoomMM), 20
			}
			c.text(left, top-4, title)
			c.panel(image.Pt(left, top), view, ct, mask)
			c.cubeBox(image.Pt(left, top), view, iso, cube, spec)
			c.annotate(image.Pt(left, top), view, barMM)
			bottom = max(bottom, top+view.height)
		}
	}
	c.text(panelGap, bottom+panelGap+4, fmt.Sprintf(
		"centre x, y, z %.1f, %.1f, %.1f mm (voxel %d, %d, %d of %g mm); tumour %.2f ml; cube %d^3 of %g mm, %d voxels outside the scan; window %d/%d HU",
		cube.CentreMM[0], cube.CentreMM[1], cube.CentreMM[2], cube.CentreIndex[0], cube.CentreIndex[1], cube.CentreIndex[2],
		spec.SpacingMM, cube.VolumeMM3/1000, spec.Size, spec.SpacingMM, cube.Padded, windowLevelHU, windowWidthHU))
	return c.crop(bottom + panelGap + lineHeight)
}

// plane is a way to look at a scan: patient directions, unit length, that run to
// the right and down on the picture, and away from it.
type plane struct {
	name                string
	right, down, normal [3]float64
}

// standardPlanes are the three planes of a scan along its own axes, named and
// turned by the patient axis each of them is closest to.
func standardPlanes(g Grid) [3]plane {
	var towards [3][3]float64 // lattice axes closest to patient left, back and head
	best := -1.0
	for _, order := range [6][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		fit := 0.0
		var axes [3][3]float64
		for patient, a := range order {
			sign := 1.0
			if g.Direction[3*patient+a] < 0 {
				sign = -1
			}
			fit += sign * g.Direction[3*patient+a]
			axes[patient] = [3]float64{sign * g.Direction[a], sign * g.Direction[3+a], sign * g.Direction[6+a]}
		}
		if fit > best+1e-9 {
			best, towards = fit, axes
		}
	}
	left, back, head := towards[0], towards[1], towards[2]
	feet := [3]float64{-head[0], -head[1], -head[2]}
	return [3]plane{
		{name: "axial", right: left, down: back, normal: head},
		{name: "coronal", right: left, down: feet, normal: back},
		{name: "sagittal", right: back, down: feet, normal: left},
	}
}

// view is a plane cut to pixels.
type view struct {
	plane
	mm            float64    // edge of a pixel
	origin        [3]float64 // centre of the top left pixel, mm
	width, height int
}

// whole is the plane through a point, as large as the scan, but no larger than pixels.
func (p plane) whole(g Grid, through [3]float64, mm float64, pixels int) view {
	centre := g.Position([3]float64{float64(g.Size[0]-1) / 2, float64(g.Size[1]-1) / 2, float64(g.Size[2]-1) / 2})
	depth := dot(p.normal, sub(through, centre))
	centre = along(centre, p.normal, depth)
	extent := func(axis [3]float64) int {
		total := 0.0
		for a := range 3 {
			column := [3]float64{g.Direction[a], g.Direction[3+a], g.Direction[6+a]}
			total += math.Abs(dot(axis, column)) * float64(g.Size[a]) * g.Spacing[a]
		}
		return min(max(int(math.Ceil(total/mm-1e-6)), 1), pixels)
	}
	return p.centred(centre, extent(p.right), extent(p.down), mm)
}

// centred is the part of the plane around a point.
func (p plane) centred(centre [3]float64, width, height int, mm float64) view {
	origin := along(centre, p.right, -mm*float64(width-1)/2)
	origin = along(origin, p.down, -mm*float64(height-1)/2)
	return view{plane: p, mm: mm, origin: origin, width: width, height: height}
}

// pen is the width of lines in pixels: two where the view is magnified.
func (v *view) pen() int {
	if v.mm < 0.5 {
		return 2
	}
	return 1
}

// grid is the lattice of the view's pixels, one slice thick.
func (v *view) grid() Grid {
	g := Grid{Size: [3]int{v.width, v.height, 1}, Origin: v.origin, Spacing: [3]float64{v.mm, v.mm, 1}}
	for r := range 3 {
		g.Direction[3*r], g.Direction[3*r+1], g.Direction[3*r+2] = v.right[r], v.down[r], v.normal[r]
	}
	return g
}

// pixel is where a patient position falls on the view.
func (v *view) pixel(position [3]float64) (x, y float64) {
	d := sub(position, v.origin)
	return dot(d, v.right) / v.mm, dot(d, v.down) / v.mm
}

// letters say what part of the patient lies in a direction, the strongest first.
func letters(direction [3]float64) string {
	names := [3][2]string{{"R", "L"}, {"A", "P"}, {"F", "H"}}
	out := ""
	for used := [3]bool{}; ; {
		best := -1
		for a := range 3 {
			if !used[a] && math.Abs(direction[a]) > 0.25 && (best < 0 || math.Abs(direction[a]) > math.Abs(direction[best])) {
				best = a
			}
		}
		if best < 0 {
			return out
		}
		used[best] = true
		if direction[best] < 0 {
			out += names[best][0]
		} else {
			out += names[best][1]
		}
	}
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func sub(a, b [3]float64) [3]float64 { return [3]float64{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

// along is the point at a distance from another in a direction.
func along(from, direction [3]float64, distance float64) [3]float64 {
	return [3]float64{from[0] + distance*direction[0], from[1] + distance*direction[1], from[2] + distance*direction[2]}
}
