package volume

import (
	"fmt"
	"math"
	"runtime"
)

// HUMin and HUMax are the range of a 12-bit scanner; Normalise maps them to 0
// and 1. HUMin is also the air put where there is no scan.
const (
	HUMin = -1024
	HUMax = 3071
)

// Normalise maps HU to the network's input: (hu+1024)/4095. Nothing is clipped:
// scanners that write below -1024 or above 3071 give values below 0 or above 1.
func Normalise(hu float32) float32 { return (hu - HUMin) / (HUMax - HUMin) }

// CubeSpec says what cube to cut around a tumour.
type CubeSpec struct {
	Size      int     // voxels along each edge of the cube, the study's is 50
	SpacingMM float64 // edge of a voxel in mm, the study's is 1
	Margin    int     // voxels kept in addition on every side, room for random shifts
}

// Edge is the edge of what is cut, in voxels: the cube and a margin on both sides.
func (s CubeSpec) Edge() int { return s.Size + 2*s.Margin }

// check refuses a cube that cannot be cut.
func (s CubeSpec) check() error {
	switch {
	case s.Size < 1 || s.Size > maxEdge:
		return &GeometryError{Field: "cube size", Value: fmt.Sprint(s.Size), Allowed: fmt.Sprintf("1 to %d voxels", maxEdge)}
	case s.Margin < 0 || s.Edge() > maxEdge:
		return &GeometryError{Field: "cube margin", Value: fmt.Sprint(s.Margin), Allowed: fmt.Sprintf("0 or more, and size + 2 margins at most %d voxels", maxEdge)}
	case !(s.SpacingMM > 0) || math.IsInf(s.SpacingMM, 0):
		return &GeometryError{Field: "cube spacing", Value: fmt.Sprint(s.SpacingMM), Allowed: "a positive number of mm"}
	}
	return nil
}

// maxEdge keeps a slip of the keyboard from asking for more memory than there is.
const maxEdge = 1024

// Cube is the part of a scan that a network sees, and what a reader needs to judge it.
type Cube struct {
	Edge   int       // voxels along each edge of HU, margins included
	Margin int       // of them, voxels on every side that are not the cube proper
	HU     []float32 // Edge^3 values stored z, y, x, in HU, not clipped

	CentreOfMass [3]float64 // of the isotropic mask, voxel index x, y, z on the isotropic grid
	CentreIndex  [3]int     // the same CUT to whole numbers: the voxel the cube is centred on
	CentreMM     [3]float64 // position of CentreOfMass, mm, LPS

	Padded      int     // voxels of HU that lie outside the scan and hold air (HUMin)
	MaskVoxels  int     // voxels of the isotropic mask
	MaskOutside int     // voxels of the mask as given whose centre lies outside the scan
	VolumeMM3   float64 // of the mask as given (before resampling), MaskOutside included
}

// First is the index x, y, z, on the isotropic grid, of the cube's first voxel,
// margin included; it is negative where the cube leaves the scan.
func (c *Cube) First() [3]int {
	half := (c.Edge-2*c.Margin)/2 + c.Margin
	return [3]int{c.CentreIndex[0] - half, c.CentreIndex[1] - half, c.CentreIndex[2] - half}
}

// Grid places HU, margin included, in the patient: scan is the grid of the CT that the cube
// was cut from (or that CT on its isotropic grid) and mm the edge of the cube's voxels.
// ResampleMask of the contour to it gives the mask voxel by voxel.
func (c *Cube) Grid(scan Grid, mm float64) Grid {
	iso, first := scan.Isotropic(mm), c.First()
	iso.Size = [3]int{c.Edge, c.Edge, c.Edge}
	iso.Origin = iso.Position([3]float64{float64(first[0]), float64(first[1]), float64(first[2])})
	return iso
}

// Central copies the central size^3 voxels (stored z, y, x) out of the cube: with
// size = Edge - 2*Margin the cube proper. In it the tumour's centre has index
// size/2 along each axis. It panics when size does not leave the same margin on
// both sides, or is larger than the cube.
func (c *Cube) Central(size int) []float32 {
	if size < 1 || size > c.Edge || (c.Edge-size)%2 != 0 {
		panic(fmt.Sprintf("volume: no central %d voxels in a cube of edge %d", size, c.Edge))
	}
	at := (c.Edge - size) / 2
	out := make([]float32, 0, size*size*size)
	for z := at; z < at+size; z++ {
		for y := at; y < at+size; y++ {
			start := (z*c.Edge+y)*c.Edge + at
			out = append(out, c.HU[start:start+size]...)
		}
	}
	return out
}

// CutCube cuts the cube around a tumour: CT and mask on the isotropic grid of the
// CT (Grid.Isotropic; CT linear, mask nearest), the mask's centre of mass there
// CUT to whole numbers, and the voxels around it. The centre is index Size/2 of
// the cube proper. Where the cube leaves the scan it is filled with air, never
// shifted, and the voxels so filled are counted.
//
// The result is that of Resample and ResampleMask of everything, but only the box
// around the mask and the box of the cube are computed. Neither ct nor mask is
// changed; the mask may be on a grid of its own.
//
// Errors: *EmptyMaskError when no voxel of the mask is inside or none of it lies
// in the scan, *GeometryError for a grid or a spec that cannot be.
func CutCube(ct *Volume, mask *Mask, spec CubeSpec) (*Cube, error) {
	if err := checkPair(ct, mask); err != nil {
		return nil, err
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	iso := ct.Grid.Isotropic(spec.SpacingMM)
	first, last, ok := mask.Bounds()
	if !ok {
		return nil, &EmptyMaskError{Reason: "no voxel is inside"}
	}
	t := isotropicTally(mask, iso, first, last)
	if t.n == 0 {
		return nil, &EmptyMaskError{Reason: fmt.Sprintf("the mask has %d voxels, but none lies in the scan", mask.Count())}
	}
	com, err := t.centre()
	if err != nil {
		return nil, err
	}
	c := &Cube{
		Edge: spec.Edge(), Margin: spec.Margin,
		CentreOfMass: com, CentreIndex: [3]int{int(com[0]), int(com[1]), int(com[2])}, CentreMM: iso.Position(com),
		MaskVoxels: t.n, MaskOutside: outside(mask, ct.Grid, first, last), VolumeMM3: mask.VolumeMM3(),
	}
	c.cut(ct, iso)
	return c, nil
}

// CutCubeAt cuts the cube around a point of the patient, x, y, z in mm (LPS), as CutCube
// does around a centre of mass; what says of a mask is 0. Errors: *GeometryError for a grid
// or a spec that cannot be and for a point outside the scan.
func CutCubeAt(ct *Volume, centre [3]float64, spec CubeSpec) (*Cube, error) {
	if err := ct.Grid.Check(); err != nil {
		return nil, fmt.Errorf("CT: %w", err)
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	iso := ct.Grid.Isotropic(spec.SpacingMM)
	index := iso.Index(centre)
	c := &Cube{Edge: spec.Edge(), Margin: spec.Margin, CentreOfMass: index, CentreMM: centre}
	for a := range 3 {
		// A millionth of a voxel swallows the rounding of the way to mm and back.
		index[a] += 1e-6
		if !(index[a] >= 0 && index[a] < float64(iso.Size[a])) {
			return nil, &GeometryError{Field: "centre of a cube (mm)", Value: fmt.Sprint(centre), Allowed: "a point in the scan"}
		}
		c.CentreIndex[a] = int(index[a])
	}
	c.cut(ct, iso)
	return c, nil
}

// checkPair refuses a CT and a mask whose geometry cannot be or whose voxels do
// not fill their grid.
func checkPair(ct *Volume, mask *Mask) error {
	if err := ct.Grid.Check(); err != nil {
		return fmt.Errorf("CT: %w", err)
	}
	if err := mask.Grid.Check(); err != nil {
		return fmt.Errorf("mask: %w", err)
	}
	if len(ct.HU) != ct.Grid.Len() || len(mask.In) != mask.Grid.Len() {
		panic(fmt.Sprintf("volume: %d CT and %d mask voxels for grids of %d and %d", len(ct.HU), len(mask.In), ct.Grid.Len(), mask.Grid.Len()))
	}
	return nil
}

// isotropicTally counts the isotropic mask inside the box around the native one,
// slab by slab, so that the isotropic mask is never in memory.
func isotropicTally(mask *Mask, iso Grid, first, last [3]int) tally {
	b := cover(mask.Grid, iso, first, last)
	var t tally
	if b.len() == 0 {
		return t
	}
	slab := b
	slab.size[2] = 1
	in := make([]uint8, slab.len())
	for z := range b.size[2] {
		slab.lo[2] = b.lo[2] + z
		resampleMaskBox(mask, iso, slab, in, 1)
		for i, v := range in {
			if v != 0 {
				t.add(b.lo[0]+i%b.size[0], b.lo[1]+i/b.size[0], slab.lo[2])
			}
		}
	}
	return t
}

// cover is the part of grid "to" that the voxels first..last of grid g can reach:
// every sample of "to" whose nearest voxel of g is one of them lies in it.
func cover(g, to Grid, first, last [3]int) box {
	m := newMapping(g, to)
	lo := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}
	hi := [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for corner := range 8 {
		var i [3]int
		for a := range 3 {
			i[a] = first[a]
			if corner>>a&1 == 1 {
				i[a] = last[a]
			}
		}
		t := m.at(i[0], i[1], i[2])
		for a := range 3 {
			// Half a voxel of g, wherever its axes point.
			reach := 0.0
			for b := range 3 {
				reach += 0.5 * math.Abs(m.cosine[a][b]) * m.from[b] / m.to[a]
			}
			lo[a], hi[a] = min(lo[a], t[a]-reach), max(hi[a], t[a]+reach)
		}
	}
	var b box
	for a := range 3 {
		// One more sample on both sides swallows every rounding question.
		n := float64(to.Size[a])
		from := int(min(max(math.Floor(lo[a])-1, 0), n))
		end := max(int(min(max(math.Ceil(hi[a])+2, 0), n)), from)
		b.lo[a], b.size[a] = from, end-from
	}
	return b
}

// outside counts the voxels of the mask whose centre lies more than half a voxel
// outside the scan. On the scan's own grid there is none.
func outside(mask *Mask, scan Grid, first, last [3]int) int {
	if mask.Grid == scan {
		return 0
	}
	m := newMapping(mask.Grid, scan)
	n := 0
	for z := first[2]; z <= last[2]; z++ {
		for y := first[1]; y <= last[1]; y++ {
			for x := first[0]; x <= last[0]; x++ {
				if mask.In[mask.Grid.Offset(x, y, z)] == 0 {
					continue
				}
				t := m.at(x, y, z)
				for a := range 3 {
					if nearest(t[a], scan.Size[a]) < 0 {
						n++
						break
					}
				}
			}
		}
	}
	return n
}

// cut fills HU and Padded from the scan.
func (c *Cube) cut(ct *Volume, iso Grid) {
	first := c.First()
	var b box // the part of the cube that lies in the scan
	for a := range 3 {
		b.lo[a] = max(first[a], 0)
		b.size[a] = max(min(first[a]+c.Edge, iso.Size[a])-b.lo[a], 0)
	}
	c.HU = make([]float32, c.Edge*c.Edge*c.Edge)
	c.Padded = len(c.HU) - b.len()
	if c.Padded == 0 {
		resampleBox(ct, iso, b, c.HU, runtime.GOMAXPROCS(0))
		return
	}
	part := make([]float32, b.len())
	resampleBox(ct, iso, b, part, runtime.GOMAXPROCS(0))
	fill(c.HU, HUMin)
	for z := range b.size[2] {
		for y := range b.size[1] {
			from := (z*b.size[1] + y) * b.size[0]
			to := ((z+b.lo[2]-first[2])*c.Edge+y+b.lo[1]-first[1])*c.Edge + b.lo[0] - first[0]
			copy(c.HU[to:to+b.size[0]], part[from:from+b.size[0]])
		}
	}
}
