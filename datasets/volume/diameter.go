package volume

import (
	"cmp"
	"math"
	"slices"
)

// MaxDiameterMM is the largest distance between the centres of two voxels inside, in mm,
// in any direction; 0 for a single voxel. It is exact: the ends of the longest distance
// are corners of the region, and all of those are tried.
//
// pyradiomics' Maximum3DDiameter runs between the vertices of a surface mesh around the
// voxels and is longer by about the edge of one.
//
// Errors: *EmptyMaskError when nothing is inside, *GeometryError for a grid that cannot
// be believed.
func (m *Mask) MaxDiameterMM() (float64, error) {
	if err := m.Grid.Check(); err != nil {
		return 0, err
	}
	first, last, ok := m.Bounds()
	if !ok {
		return 0, &EmptyMaskError{Reason: "no voxel is inside"}
	}
	corners := m.corners(first, last)
	points := make([][3]float64, len(corners))
	for i, c := range corners {
		for a := range 3 {
			points[i][a] = float64(c[a]) * m.Grid.Spacing[a]
		}
	}
	return FarthestApart(points), nil
}

// FarthestApart is the largest distance between two of some points, in their unit; 0 for
// less than two. All pairs count, those left out that cannot be the farthest.
func FarthestApart(points [][3]float64) float64 {
	if len(points) == 0 {
		return 0
	}
	low, high := points[0], points[0]
	for _, p := range points {
		for a := range 3 {
			low[a], high[a] = min(low[a], p[a]), max(high[a], p[a])
		}
	}
	var middle [3]float64
	for a := range 3 {
		middle[a] = (low[a] + high[a]) / 2
	}
	type end struct {
		at   [3]float64
		away float64 // from the middle
	}
	ends := make([]end, len(points))
	for i, p := range points {
		ends[i] = end{at: p, away: math.Sqrt(squaredMM(p, middle))}
	}
	slices.SortFunc(ends, func(a, b end) int { return cmp.Compare(b.away, a.away) })
	longest := 0.0 // squared
	for i, p := range ends {
		for _, q := range ends[i+1:] {
			// No later pair can be farther apart than by way of the middle; the room is for rounding.
			if reach := (p.away + q.away) * (1 + 1e-9); reach*reach < longest {
				break
			}
			longest = max(longest, squaredMM(p.at, q.at))
		}
	}
	return math.Sqrt(longest)
}

// corners are the voxels inside that are the first or the last of their line along each
// of the three axes: the distance to a fixed voxel is largest at an end of a line.
func (m *Mask) corners(first, last [3]int) [][3]int {
	size := [3]int{}
	for a := range 3 {
		size[a] = last[a] - first[a] + 1
	}
	// For each line through the box along an axis, the indices of its first and last voxel inside.
	var low, high [3][]int
	for a := range 3 {
		lines := size[(a+1)%3] * size[(a+2)%3]
		low[a], high[a] = make([]int, lines), make([]int, lines)
		for i := range lines {
			low[a][i], high[a][i] = math.MaxInt, -1
		}
	}
	line := func(a int, at [3]int) int {
		u, v := (a+1)%3, (a+2)%3
		return (at[u]-first[u])*size[v] + at[v] - first[v]
	}
	each := func(visit func(at [3]int)) {
		for z := first[2]; z <= last[2]; z++ {
			for y := first[1]; y <= last[1]; y++ {
				for x := first[0]; x <= last[0]; x++ {
					if m.In[m.Grid.Offset(x, y, z)] != 0 {
						visit([3]int{x, y, z})
					}
				}
			}
		}
	}
	each(func(at [3]int) {
		for a := range 3 {
			k := line(a, at)
			low[a][k], high[a][k] = min(low[a][k], at[a]), max(high[a][k], at[a])
		}
	})
	var out [][3]int
	each(func(at [3]int) {
		for a := range 3 {
			if k := line(a, at); at[a] != low[a][k] && at[a] != high[a][k] {
				return
			}
		}
		out = append(out, at)
	})
	return out
}

func squaredMM(a, b [3]float64) float64 {
	sum := 0.0
	for i := range 3 {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return sum
}
