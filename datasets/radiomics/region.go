package radiomics

import (
	"fmt"
	"math"
)

// region is a tumour on a grid, with a border of at least one voxel outside of it on every
// side. Arrays are stored z, y, x.
type region struct {
	size    [3]int     // x, y, z
	spacing [3]float64 // mm
	in      []bool
	value   []float64
	voxels  []int // offsets of those inside, ascending
}

func (r *region) offset(x, y, z int) int { return (z*r.size[1]+y)*r.size[0] + x }

// at takes an offset apart.
func (r *region) at(i int) (x, y, z int) {
	x = i % r.size[0]
	i /= r.size[0]
	return x, i % r.size[1], i / r.size[1]
}

// step is how far a neighbour's offset is from a voxel's.
func (r *region) step(d [3]int) int { return (d[2]*r.size[1]+d[1])*r.size[0] + d[0] }

// levels are a region's values in bins, 1..count; 0 is outside.
type levels struct {
	*region
	level []int
	count int // the largest level there is
}

// discretise sorts values into bins of a fixed width. The first bin begins at the smallest
// value, or at the multiple of the width below it.
func (r *region) discretise(width float64, align bool) (*levels, error) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, i := range r.voxels {
		low, high = min(low, r.value[i]), max(high, r.value[i])
	}
	if align {
		low = math.Floor(low/width) * width
	}
	if n := (high - low) / width; n >= maxLevels || math.IsNaN(n) {
		return nil, &RegionError{Problem: fmt.Sprintf("values from %.4g to %.4g make more than %d bins of %g", low, high, maxLevels, width), Next: "choose wider bins, or look at the scan"}
	}
	l := &levels{region: r, level: make([]int, len(r.in))}
	for _, i := range r.voxels {
		l.level[i] = int(math.Floor((r.value[i]-low)/width)) + 1
		l.count = max(l.count, l.level[i])
	}
	return l, nil
}

// directions are one of each pair of opposite neighbours of a voxel: 13.
var directions = func() (out [][3]int) {
	for z := -1; z <= 1; z++ {
		for y := -1; y <= 1; y++ {
			for x := -1; x <= 1; x++ {
				if z > 0 || z == 0 && (y > 0 || y == 0 && x > 0) {
					out = append(out, [3]int{x, y, z})
				}
			}
		}
	}
	return out
}()

// neighbours are the steps to all 26 neighbours of a voxel.
func (r *region) neighbours() []int {
	var out []int
	for _, d := range directions {
		out = append(out, r.step(d), -r.step(d))
	}
	return out
}

// mean is the average feature by feature of several lists of the same features.
func mean(lists [][]Feature) []Feature {
	out := append([]Feature(nil), lists[0]...)
	for k := range out {
		sum, n := 0.0, 0
		for _, l := range lists {
			if v := l[k].Value; !math.IsNaN(v) {
				sum, n = sum+v, n+1
			}
		}
		out[k].Value = sum / float64(n)
	}
	return out
}

// bits is -p log2 p.
func bits(p float64) float64 {
	if p <= 0 {
		return 0
	}
	return -p * math.Log2(p)
}
