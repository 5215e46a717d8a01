package volume

// Slicer makes a volume on another grid slice by slice, as Resample makes it whole. Not for
// several goroutines; neighbouring slices in a row cost least.
type Slicer struct {
	v       *Volume
	mapping mapping
	box     box
	rows    *separable // nil where the axes of the grids do not run along each other
}

// NewSlicer prepares the resampling of v to a grid. v must not change while it is used.
func NewSlicer(v *Volume, to Grid) *Slicer {
	s := &Slicer{v: v, mapping: newMapping(to, v.Grid), box: box{size: to.Size}}
	if s.mapping.aligned() {
		var axes [3]axis
		for a := range 3 {
			axes[a] = newAxis(&s.mapping, a, s.box, v.Grid.Size[a])
		}
		s.rows = newSeparable(v, axes, s.box)
	}
	return s
}

// Slice fills out (x fastest, as many values as the grid has in a slice) with slice z.
func (s *Slicer) Slice(z int, out []float32) {
	if s.rows != nil {
		s.rows.slice(z, out)
		return
	}
	one := s.box
	one.lo[2], one.size[2] = z, 1
	resampleGeneral(s.v, &s.mapping, one, out, 0, 1)
}

// MaskSlicer makes a mask on another grid slice by slice, as ResampleMask makes it whole. It
// may be used by several goroutines.
type MaskSlicer struct {
	m     *Mask
	to    Grid
	reach box // what of the grid the mask's voxels can reach
}

// NewMaskSlicer prepares the resampling of m to a grid. m must not change while it is used.
func NewMaskSlicer(m *Mask, to Grid) *MaskSlicer {
	s := &MaskSlicer{m: m, to: to}
	if first, last, ok := m.Bounds(); ok {
		s.reach = cover(m.Grid, to, first, last)
	}
	return s
}

// Slice fills out (0 or 1, x fastest) with slice z.
func (s *MaskSlicer) Slice(z int, out []uint8) {
	clear(out)
	if s.reach.len() == 0 || z < s.reach.lo[2] || z >= s.reach.lo[2]+s.reach.size[2] {
		return
	}
	part := s.reach
	part.lo[2], part.size[2] = z, 1
	in := make([]uint8, part.len())
	resampleMaskBox(s.m, s.to, part, in, 1)
	for y := range part.size[1] {
		copy(out[(part.lo[1]+y)*s.to.Size[0]+part.lo[0]:], in[y*part.size[0]:(y+1)*part.size[0]])
	}
}
