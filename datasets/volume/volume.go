// Package volume holds voxels with physical geometry: CT volumes and masks, the
// 1 mm grid, the centre of mass, the cube around it, and the picture that lets a
// person check all of that.
//
// Geometry is written x, y, z; arrays are stored z, y, x (x fastest). Positions
// are millimetres in the DICOM patient system (LPS: +x to the patient's left,
// +y to the back, +z to the head). Voxel indices point at voxel CENTRES.
package volume

import (
	"fmt"
	"math"
)

// Grid places a lattice of voxels in the patient. The zero value is no grid.
type Grid struct {
	Size    [3]int     // voxels along x, y, z of the lattice
	Origin  [3]float64 // position of the centre of voxel (0,0,0), mm, LPS
	Spacing [3]float64 // distance between voxel centres along each lattice axis, mm, > 0
	// Direction is row-major; column a is the unit vector of lattice axis a in the
	// patient system (ITK's convention). The identity is an axial, head-up scan.
	Direction [9]float64
}

// Identity is the direction of an axial scan whose slices rise towards the head.
var Identity = [9]float64{1, 0, 0, 0, 1, 0, 0, 0, 1}

// Len is the number of voxels.
func (g Grid) Len() int { return g.Size[0] * g.Size[1] * g.Size[2] }

// Offset is the place of voxel (x,y,z) in an array stored z, y, x.
func (g Grid) Offset(x, y, z int) int { return (z*g.Size[1]+y)*g.Size[0] + x }

// Position is the patient position in mm of a (continuous) voxel index x,y,z.
func (g Grid) Position(index [3]float64) [3]float64 {
	var p [3]float64
	for r := range 3 {
		p[r] = g.Origin[r]
		for a := range 3 {
			p[r] += g.Direction[3*r+a] * g.Spacing[a] * index[a]
		}
	}
	return p
}

// Index is the (continuous) voxel index x,y,z of a patient position in mm.
// Direction is orthonormal, so its transpose inverts it.
func (g Grid) Index(position [3]float64) [3]float64 {
	var i [3]float64
	for a := range 3 {
		for r := range 3 {
			i[a] += g.Direction[3*r+a] * (position[r] - g.Origin[r])
		}
		i[a] /= g.Spacing[a]
	}
	return i
}

// Check says what is wrong with a grid: an empty size, a spacing that is not
// positive and finite, an origin that is not finite, directions that are not
// orthonormal to 1e-3. Missing geometry is an error, never guessed.
func (g Grid) Check() error {
	for a := range 3 {
		if g.Size[a] < 1 {
			return &GeometryError{Field: "size", Value: fmt.Sprint(g.Size), Allowed: "at least 1 voxel along each axis"}
		}
		if !(g.Spacing[a] > 0) || math.IsInf(g.Spacing[a], 0) {
			return &GeometryError{Field: "spacing", Value: fmt.Sprint(g.Spacing), Allowed: "a positive number of mm along each axis"}
		}
		if math.IsNaN(g.Origin[a]) || math.IsInf(g.Origin[a], 0) {
			return &GeometryError{Field: "origin", Value: fmt.Sprint(g.Origin), Allowed: "finite mm"}
		}
		for b := range 3 {
			dot, want := 0.0, 0.0
			if a == b {
				want = 1
			}
			for r := range 3 {
				dot += g.Direction[3*r+a] * g.Direction[3*r+b]
			}
			if !(math.Abs(dot-want) <= 1e-3) {
				return &GeometryError{Field: "direction", Value: fmt.Sprint(g.Direction), Allowed: "three orthogonal unit vectors"}
			}
		}
	}
	return nil
}

// GeometryError is a grid that cannot be believed.
type GeometryError struct {
	Field, Value, Allowed string
}

func (e *GeometryError) Error() string {
	return fmt.Sprintf("volume geometry: %s is %s; allowed: %s", e.Field, e.Value, e.Allowed)
}

// Volume is a CT: one Hounsfield value per voxel of its grid.
type Volume struct {
	Grid Grid
	HU   []float32 // len Grid.Len(), stored z, y, x
}

// Mask is a region on a grid: 1 inside, 0 outside.
type Mask struct {
	Grid Grid
	In   []uint8 // len Grid.Len(), stored z, y, x
}

// NewVolume is a volume of zeros (water) on a grid.
func NewVolume(g Grid) *Volume { return &Volume{Grid: g, HU: make([]float32, g.Len())} }

// NewMask is an empty mask on a grid.
func NewMask(g Grid) *Mask { return &Mask{Grid: g, In: make([]uint8, g.Len())} }

// Count is the number of voxels inside.
func (m *Mask) Count() int {
	n := 0
	for _, v := range m.In {
		if v != 0 {
			n++
		}
	}
	return n
}
