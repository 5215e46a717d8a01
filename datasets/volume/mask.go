package volume

import (
	"bytes"
	"fmt"
)

// Count is the number of voxels inside.
func (m *Mask) Count() int { return inside(m.In) }

// inside counts the voxels that are not 0, many at a time.
func inside(in []uint8) int { return len(in) - bytes.Count(in, []byte{0}) }

// VolumeMM3 is the volume of the voxels inside, in cubic millimetres.
func (m *Mask) VolumeMM3() float64 { return float64(m.Count()) * m.Grid.VoxelMM3() }

// CentreOfMass is the mean voxel index x, y, z of the voxels inside, all of the
// same weight. Grid.Position turns it into mm. A mask with nothing inside has no
// centre: *EmptyMaskError.
func (m *Mask) CentreOfMass() (index [3]float64, err error) {
	var t tally
	for z := range m.Grid.Size[2] {
		for y := range m.Grid.Size[1] {
			start := m.Grid.Offset(0, y, z)
			for x, v := range m.In[start : start+m.Grid.Size[0]] {
				if v != 0 {
					t.add(x, y, z)
				}
			}
		}
	}
	return t.centre()
}

// Bounds is the smallest box around the voxels inside: the first and the last
// index x, y, z, both inclusive. ok is false when nothing is inside.
func (m *Mask) Bounds() (first, last [3]int, ok bool) {
	first, last = m.Grid.Size, [3]int{-1, -1, -1}
	for z := range m.Grid.Size[2] {
		for y := range m.Grid.Size[1] {
			start := m.Grid.Offset(0, y, z)
			row := m.In[start : start+m.Grid.Size[0]]
			if inside(row) == 0 {
				continue
			}
			left, right := 0, len(row)-1
			for row[left] == 0 {
				left++
			}
			for row[right] == 0 {
				right--
			}
			first = [3]int{min(first[0], left), min(first[1], y), min(first[2], z)}
			last = [3]int{max(last[0], right), max(last[1], y), max(last[2], z)}
		}
	}
	return first, last, last[0] >= 0
}

// tally sums voxel indices in whole numbers, so that the order in which voxels
// come cannot change the centre.
type tally struct {
	n   int
	sum [3]int64
}

func (t *tally) add(x, y, z int) {
	t.n++
	t.sum[0] += int64(x)
	t.sum[1] += int64(y)
	t.sum[2] += int64(z)
}

func (t *tally) centre() (index [3]float64, err error) {
	if t.n == 0 {
		return index, &EmptyMaskError{Reason: "no voxel is inside"}
	}
	for a := range 3 {
		index[a] = float64(t.sum[a]) / float64(t.n)
	}
	return index, nil
}

// EmptyMaskError is a mask in which nothing is left.
type EmptyMaskError struct {
	Reason string
}

func (e *EmptyMaskError) Error() string {
	return fmt.Sprintf("empty mask: %s; check that the contour belongs to this scan and encloses at least one voxel centre", e.Reason)
}
