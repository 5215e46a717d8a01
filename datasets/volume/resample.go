package volume

import (
	"math"
	"runtime"
	"sync"
)

// Resample is the volume on another grid, by linear interpolation between the
// eight nearest voxel centres, in 32-bit floats (about 0.001 HU of rounding).
//
// Up to half a voxel outside the outermost centres the value of the edge is
// kept; further out there is no scan and the value is HUMin (air). On
// Grid.Isotropic neither arises: all its samples lie between centres.
//
// The work is spread over slabs of z; the numbers do not depend on how many
// processors there are. v is not changed.
func Resample(v *Volume, to Grid) *Volume {
	out := NewVolume(to)
	resampleBox(v, to, box{size: to.Size}, out.HU, runtime.GOMAXPROCS(0))
	return out
}

// ResampleMask is the mask on another grid, by the nearest voxel; a sample half
// way between two voxels takes the one of the higher index. Samples more than
// half a voxel outside the outermost centres are outside the mask.
func ResampleMask(m *Mask, to Grid) *Mask {
	out := NewMask(to)
	resampleMaskBox(m, to, box{size: to.Size}, out.In, runtime.GOMAXPROCS(0))
	return out
}

// box is a part of a grid: the index of its first voxel and its size, x, y, z.
type box struct {
	lo, size [3]int
}

func (b box) len() int { return b.size[0] * b.size[1] * b.size[2] }

// mapping takes an index on one grid to the (continuous) index on another.
type mapping struct {
	offset [3]float64    // where index 0,0,0 lands
	cosine [3][3]float64 // cosine[a][b]: the part of one's axis b along the other's axis a
	from   [3]float64    // spacing the index comes with
	to     [3]float64    // spacing of the grid it lands on
}

// newMapping takes indices on grid "from" to indices on grid "to".
func newMapping(from, to Grid) mapping {
	m := mapping{offset: to.Index(from.Origin), from: from.Spacing, to: to.Spacing}
	if from.Direction == to.Direction {
		// Not computed: the product would be the identity only to the last digits.
		m.cosine = [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
		return m
	}
	inverse := invert(to.Direction)
	for a := range 3 {
		for b := range 3 {
			for r := range 3 {
				m.cosine[a][b] += inverse[3*a+r] * from.Direction[3*r+b]
			}
		}
	}
	return m
}

// aligned says whether each axis of the one grid runs along (or against) the same
// axis of the other, so that interpolation separates into three one-dimensional ones.
func (m *mapping) aligned() bool {
	for a := range 3 {
		for b := range 3 {
			if a != b && math.Abs(m.cosine[a][b]) > 1e-9 {
				return false
			}
		}
	}
	return true
}

// along is the landing index on axis a for index i of the same axis. The
// multiplication comes before the division so that whole results stay whole.
func (m *mapping) along(a, i int) float64 {
	return m.offset[a] + m.cosine[a][a]*(float64(i)*m.from[a])/m.to[a]
}

// at is the landing index for index x, y, z.
func (m *mapping) at(x, y, z int) [3]float64 {
	mm := [3]float64{float64(x) * m.from[0], float64(y) * m.from[1], float64(z) * m.from[2]}
	var t [3]float64
	for a := range 3 {
		t[a] = m.offset[a] + (m.cosine[a][0]*mm[0]+m.cosine[a][1]*mm[1]+m.cosine[a][2]*mm[2])/m.to[a]
	}
	return t
}

// edge lets an index that should be exactly half a voxel from a centre count as
// such in spite of its last digits.
const edge = 1e-9

// bracket finds the two samples around index t of an axis with n samples and the
// weight of the upper one. Outside the axis ok is false.
func bracket(t float64, n int) (lower, upper int, weight float32, ok bool) {
	if !(t >= -0.5-edge && t <= float64(n)-0.5+edge) {
		return 0, 0, 0, false
	}
	if t <= 0 {
		return 0, 0, 0, true
	}
	if t >= float64(n-1) {
		return n - 1, n - 1, 0, true
	}
	lower = int(t)
	return lower, lower + 1, float32(t - float64(lower)), true
}

// nearest is the sample next to index t, the higher one when half way, and -1
// outside the axis.
func nearest(t float64, n int) int {
	if !(t >= -0.5-edge && t <= float64(n)-0.5+edge) {
		return -1
	}
	return min(max(int(math.Floor(t+0.5+edge)), 0), n-1)
}

// lerp is a at weight 0 and b at weight 1. The conversion keeps processors that
// could fuse the product into the sum from giving another last digit.
func lerp(a, b, weight float32) float32 { return a + float32(weight*(b-a)) }

// resampleBox writes the samples of the part b of grid "to" into out (z, y, x).
func resampleBox(v *Volume, to Grid, b box, out []float32, workers int) {
	m := newMapping(to, v.Grid)
	if !m.aligned() {
		slabs(b.size[2], workers, func(z0, z1 int) { resampleGeneral(v, &m, b, out, z0, z1) })
		return
	}
	axes := [3]axis{}
	for a := range 3 {
		axes[a] = newAxis(&m, a, b, v.Grid.Size[a])
	}
	slabs(b.size[2], workers, func(z0, z1 int) {
		s := newSeparable(v, axes, b)
		for z := z0; z < z1; z++ {
			s.slice(z, out[z*s.planeLen:(z+1)*s.planeLen])
		}
	})
}

// slabs runs do over [0,n) cut into one run of slices per worker.
func slabs(n, workers int, do func(z0, z1 int)) {
	workers = max(1, min(workers, n))
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() { do(w*n/workers, (w+1)*n/workers) })
	}
	wait.Wait()
}

// resampleGeneral is trilinear interpolation for directions that do not match.
func resampleGeneral(v *Volume, m *mapping, b box, out []float32, z0, z1 int) {
	n := v.Grid.Size
	i := z0 * b.size[0] * b.size[1]
	for z := z0; z < z1; z++ {
		for y := range b.size[1] {
			for x := range b.size[0] {
				t := m.at(b.lo[0]+x, b.lo[1]+y, b.lo[2]+z)
				xa, xb, wx, okX := bracket(t[0], n[0])
				ya, yb, wy, okY := bracket(t[1], n[1])
				za, zb, wz, okZ := bracket(t[2], n[2])
				if !okX || !okY || !okZ {
					out[i] = HUMin
					i++
					continue
				}
				row := func(y, z int) float32 {
					o := v.Grid.Offset(0, y, z)
					return lerp(v.HU[o+xa], v.HU[o+xb], wx)
				}
				out[i] = lerp(lerp(row(ya, za), row(yb, za), wy), lerp(row(ya, zb), row(yb, zb), wy), wz)
				i++
			}
		}
	}
}

// axis holds, for each output sample along one axis, the two input samples around
// it and the weight of the upper one. Samples outside [first,end) are off the scan.
type axis struct {
	lower, upper []int32
	weight       []float32
	first, end   int
}

func newAxis(m *mapping, a int, b box, n int) axis {
	size := b.size[a]
	x := axis{lower: make([]int32, size), upper: make([]int32, size), weight: make([]float32, size), first: size}
	for i := range size {
		lower, upper, weight, ok := bracket(m.along(a, b.lo[a]+i), n)
		if !ok {
			continue
		}
		x.lower[i], x.upper[i], x.weight[i] = int32(lower), int32(upper), weight
		x.first, x.end = min(x.first, i), i+1
	}
	x.end = max(x.end, x.first)
	return x
}

func (x *axis) inside(i int) bool { return i >= x.first && i < x.end }

// separable interpolates along x, then y, then z, and keeps the last two rows and
// planes because neighbouring outputs share them. One per slab.
type separable struct {
	v        *Volume
	axes     [3]axis
	size     [3]int
	planeLen int
	rows     pair
	planes   pair
}

func newSeparable(v *Volume, axes [3]axis, b box) *separable {
	planeLen := b.size[0] * b.size[1]
	return &separable{v: v, axes: axes, size: b.size, planeLen: planeLen, rows: newPair(b.size[0]), planes: newPair(planeLen)}
}

// slice writes output slice z.
func (s *separable) slice(z int, out []float32) {
	az := &s.axes[2]
	if !az.inside(z) {
		fill(out, HUMin)
		return
	}
	lower, upper := int(az.lower[z]), int(az.upper[z])
	a := s.planes.get(lower, upper, s.plane)
	if az.weight[z] == 0 {
		copy(out, a)
		return
	}
	lerpRows(out, a, s.planes.get(upper, lower, s.plane), az.weight[z])
}

// plane interpolates input slice z along x and y.
func (s *separable) plane(z int, out []float32) {
	s.rows.forget()
	row := func(y int, out []float32) { s.row(y, z, out) }
	ay := &s.axes[1]
	for y := range s.size[1] {
		dst := out[y*s.size[0] : (y+1)*s.size[0]]
		if !ay.inside(y) {
			fill(dst, HUMin)
			continue
		}
		lower, upper := int(ay.lower[y]), int(ay.upper[y])
		a := s.rows.get(lower, upper, row)
		if ay.weight[y] == 0 {
			copy(dst, a)
			continue
		}
		lerpRows(dst, a, s.rows.get(upper, lower, row), ay.weight[y])
	}
}

// row interpolates input row y of input slice z along x.
func (s *separable) row(y, z int, out []float32) {
	ax := &s.axes[0]
	start := s.v.Grid.Offset(0, y, z)
	in := s.v.HU[start : start+s.v.Grid.Size[0]]
	fill(out[:ax.first], HUMin)
	fill(out[ax.end:], HUMin)
	lower, upper, weight, dst := ax.lower[ax.first:ax.end], ax.upper[ax.first:ax.end], ax.weight[ax.first:ax.end], out[ax.first:ax.end]
	upper, weight, dst = upper[:len(lower)], weight[:len(lower)], dst[:len(lower)]
	for i, l := range lower {
		dst[i] = lerp(in[l], in[upper[i]], weight[i])
	}
}

func lerpRows(out, a, b []float32, weight float32) {
	a, b = a[:len(out)], b[:len(out)]
	for i := lerpVectors(out, a, b, weight); i < len(out); i++ {
		out[i] = lerp(a[i], b[i], weight)
	}
}

func fill(out []float32, value float32) {
	for i := range out {
		out[i] = value
	}
}

// pair remembers two lines of numbers by the input index they came from.
type pair struct {
	key [2]int
	val [2][]float32
}

func newPair(n int) pair {
	return pair{key: [2]int{-1, -1}, val: [2][]float32{make([]float32, n), make([]float32, n)}}
}

func (p *pair) forget() { p.key = [2]int{-1, -1} }

// get is the line of key, made by fill if it is not one of the two remembered;
// the line of keep is not overwritten.
func (p *pair) get(key, keep int, fill func(int, []float32)) []float32 {
	for i := range 2 {
		if p.key[i] == key {
			return p.val[i]
		}
	}
	i := 0
	if p.key[0] == keep {
		i = 1
	}
	p.key[i] = key
	fill(key, p.val[i])
	return p.val[i]
}

// resampleMaskBox writes the samples of the part b of grid "to" into out (z, y, x).
func resampleMaskBox(mask *Mask, to Grid, b box, out []uint8, workers int) {
	m := newMapping(to, mask.Grid)
	if !m.aligned() {
		slabs(b.size[2], workers, func(z0, z1 int) { resampleMaskGeneral(mask, &m, b, out, z0, z1) })
		return
	}
	axes := [3][]int{}
	for a := range 3 {
		axes[a] = make([]int, b.size[a])
		for i := range axes[a] {
			axes[a][i] = nearest(m.along(a, b.lo[a]+i), mask.Grid.Size[a])
		}
	}
	slabs(b.size[2], workers, func(z0, z1 int) {
		for z := z0; z < z1; z++ {
			for y := range b.size[1] {
				start := (z*b.size[1] + y) * b.size[0]
				resampleMaskRow(mask, axes[0], axes[1][y], axes[2][z], out[start:start+b.size[0]])
			}
		}
	})
}

// resampleMaskRow gathers one row; an index of -1 is off the mask.
func resampleMaskRow(mask *Mask, xs []int, y, z int, out []uint8) {
	if y < 0 || z < 0 {
		clear(out)
		return
	}
	start := mask.Grid.Offset(0, y, z)
	in := mask.In[start : start+mask.Grid.Size[0]]
	if inside(in) == 0 {
		clear(out)
		return
	}
	for i, x := range xs {
		if x < 0 || in[x] == 0 {
			out[i] = 0
		} else {
			out[i] = 1
		}
	}
}

func resampleMaskGeneral(mask *Mask, m *mapping, b box, out []uint8, z0, z1 int) {
	n := mask.Grid.Size
	i := z0 * b.size[0] * b.size[1]
	for z := z0; z < z1; z++ {
		for y := range b.size[1] {
			for x := range b.size[0] {
				t := m.at(b.lo[0]+x, b.lo[1]+y, b.lo[2]+z)
				mx, my, mz := nearest(t[0], n[0]), nearest(t[1], n[1]), nearest(t[2], n[2])
				out[i] = 0
				if mx >= 0 && my >= 0 && mz >= 0 && mask.In[mask.Grid.Offset(mx, my, mz)] != 0 {
					out[i] = 1
				}
				i++
			}
		}
	}
}
