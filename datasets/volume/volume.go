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

// Index is the (continuous) voxel index x,y,z of a patient position in mm. It
// undoes Position exactly, also where the directions are orthonormal only to the
// few digits a file gives them.
func (g Grid) Index(position [3]float64) [3]float64 {
	inverse := invert(g.Direction)
	var d, i [3]float64
	for r := range 3 {
		d[r] = position[r] - g.Origin[r]
	}
	for a := range 3 {
		i[a] = (inverse[3*a]*d[0] + inverse[3*a+1]*d[1] + inverse[3*a+2]*d[2]) / g.Spacing[a]
	}
	return i
}

// VoxelMM3 is the volume of one voxel in cubic millimetres.
func (g Grid) VoxelMM3() float64 { return g.Spacing[0] * g.Spacing[1] * g.Spacing[2] }

// Isotropic is the grid the study works on: cubic voxels of mm millimetres, the
// first of them centred where the first voxel of g is centred, the same
// directions, and as many as fit between the centres of the first and the last
// voxel of g: floor((n-1)*spacing/mm) + 1 along each axis.
func (g Grid) Isotropic(mm float64) Grid {
	iso := Grid{Origin: g.Origin, Spacing: [3]float64{mm, mm, mm}, Direction: g.Direction}
	for a := range 3 {
		// Without the millionth, 10 steps of 0.1 mm would hold 0.9999999 steps of 1 mm.
		iso.Size[a] = int(math.Floor(float64(g.Size[a]-1)*g.Spacing[a]/mm+1e-6)) + 1
	}
	return iso
}

// invert is the inverse of a row-major 3x3 matrix.
func invert(m [9]float64) [9]float64 {
	cofactor := [9]float64{
		m[4]*m[8] - m[5]*m[7], m[2]*m[7] - m[1]*m[8], m[1]*m[5] - m[2]*m[4],
		m[5]*m[6] - m[3]*m[8], m[0]*m[8] - m[2]*m[6], m[2]*m[3] - m[0]*m[5],
		m[3]*m[7] - m[4]*m[6], m[1]*m[6] - m[0]*m[7], m[0]*m[4] - m[1]*m[3],
	}
	det := m[0]*cofactor[0] + m[1]*cofactor[3] + m[2]*cofactor[6]
	for i := range cofactor {
		cofactor[i] /= det
	}
	return cofactor
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
