package phantom

import (
	"math"
	"math/rand/v2"

	"hounsfield/datasets/volume"
)

// lattice is a field of random values with a period of 32 cells, for tissue texture.
type lattice struct{ value [32 * 32 * 32]float32 }

const (
	cellMM  = 3.5
	periods = 32 * 64 // whole periods added to keep lattice places positive
)

func (l *lattice) fill(src *rand.PCG) { fillNormal(l.value[:], src) }

// at interpolates the field at a place given in cells, which must be positive.
func (l *lattice) at(x, y, z float32) float32 {
	ix, iy, iz := int(x), int(y), int(z)
	fx, fy, fz := x-float32(ix), y-float32(iy), z-float32(iz)
	x0, x1 := ix&31, (ix+1)&31
	y0, y1 := (iy&31)<<5, ((iy+1)&31)<<5
	z0, z1 := (iz&31)<<10, ((iz+1)&31)<<10
	v := &l.value
	a := v[z0|y0|x0] + fx*(v[z0|y0|x1]-v[z0|y0|x0])
	b := v[z0|y1|x0] + fx*(v[z0|y1|x1]-v[z0|y1|x0])
	c := v[z1|y0|x0] + fx*(v[z1|y0|x1]-v[z1|y0|x0])
	d := v[z1|y1|x0] + fx*(v[z1|y1|x1]-v[z1|y1|x0])
	a += fy * (b - a)
	c += fy * (d - c)
	return a + fz*(c-a)
}

// in is the field at a place of the scene; other textures are taken from it by a shift in cells.
func (l *lattice) in(p vec, shift float32) float64 {
	const s = 1 / cellMM
	return float64(l.at(float32(p.x*s)+periods+shift, float32(p.y*s)+periods, float32(p.z*s)+periods))
}

// pose puts the scene into the patient: patient = turn x scene + shift (mm, LPS).
type pose struct {
	turn  [3]vec
	shift vec
}

// view is a scene seen through a voxel grid (identity direction): where each voxel
// lies in the scene, and how wide an edge becomes on it.
type view struct {
	grid  volume.Grid
	first vec    // scene position of voxel (0,0,0)
	step  [3]vec // scene displacement of one voxel along each axis
	// Squared width in mm of an edge across the plane and along z: pixel and blur,
	// slice thickness. Partial volume is drawn by these widths, not by oversampling.
	planeW2, sliceW2 float64
}

func newView(g volume.Grid, p pose, blurMM float64) view {
	v := view{grid: g}
	back := func(d vec) vec { // transpose of turn
		return p.turn[0].times(d.x).add(p.turn[1].times(d.y)).add(p.turn[2].times(d.z))
	}
	v.first = back(vec{g.Origin[0], g.Origin[1], g.Origin[2]}.sub(p.shift))
	v.step = [3]vec{back(vec{x: g.Spacing[0]}), back(vec{y: g.Spacing[1]}), back(vec{z: g.Spacing[2]})}
	// 2.5 standard deviations: the 10-90 % rise of a Gaussian edge.
	v.planeW2 = g.Spacing[0]*g.Spacing[0] + 6.25*blurMM*blurMM
	v.sliceW2 = g.Spacing[2] * g.Spacing[2]
	return v
}

// widest is the width in mm of the widest edge.
func (v *view) widest() float64 { return math.Sqrt(max(v.planeW2, v.sliceW2)) }

// at is the scene position of voxel x, y, z.
func (v *view) at(x, y, z int) vec {
	return v.first.add(v.step[0].times(float64(x))).add(v.step[1].times(float64(y))).add(v.step[2].times(float64(z)))
}

// width is the width in mm of an edge with this unit normal. Normals are in the
// scene's frame; motion turns it by a few degrees at most, which does not show.
func (v *view) width(n vec) float64 {
	z := n.z * n.z
	return math.Sqrt(v.planeW2*(1-z) + v.sliceW2*z)
}

// box is the range of voxels (first, past the last) that can lie within margin mm of
// the scene points a and b.
func (v *view) box(a, b vec, margin float64) (low, high [3]int) {
	for axis := range 3 {
		e := v.step[axis]
		scale := 1 / e.dot(e)
		ia, ib := a.sub(v.first).dot(e)*scale, b.sub(v.first).dot(e)*scale
		m := margin * math.Sqrt(scale)
		low[axis] = max(0, int(math.Ceil(min(ia, ib)-m)))
		high[axis] = min(v.grid.Size[axis], int(math.Floor(max(ia, ib)+m))+1)
	}
	return low, high
}

// inside calls f for each voxel of a box with its array place and scene position.
func (v *view) inside(low, high [3]int, f func(k int, p vec)) {
	for z := low[2]; z < high[2]; z++ {
		for y := low[1]; y < high[1]; y++ {
			p := v.at(low[0], y, z)
			k := v.grid.Offset(low[0], y, z)
			for x := low[0]; x < high[0]; x++ {
				f(k, p)
				k++
				p = p.add(v.step[0])
			}
		}
	}
}

// render draws the noiseless scene.
func (sc *scene) render(v view) *volume.Volume {
	out := volume.NewVolume(v.grid)
	sc.drawLung(v, out.HU)
	for i := range sc.vessels {
		drawTube(v, out.HU, &sc.vessels[i], math.Max)
	}
	for i := range sc.bronchi {
		shell := sc.bronchi[i]
		shell.hu = -150
		drawTube(v, out.HU, &shell, math.Max)
		lumen := sc.bronchi[i]
		lumen.fromR, lumen.toR = 0.7*lumen.fromR, 0.7*lumen.toR
		drawTube(v, out.HU, &lumen, math.Min)
	}
	sc.drawTumour(v, out.HU)
	sc.drawBounds(v, out.HU)
	return out
}

func (sc *scene) drawLung(v view, hu []float32) {
	s := float32(1 / cellMM)
	dx, dy, dz := float32(v.step[0].x)*s, float32(v.step[0].y)*s, float32(v.step[0].z)*s
	nx := v.grid.Size[0]
	for z := range v.grid.Size[2] {
		for y := range v.grid.Size[1] {
			p := v.at(0, y, z)
			x0, y0, z0 := float32(p.x)*s+periods, float32(p.y)*s+periods, float32(p.z)*s+periods
			base, rise := float32(sc.lungHU+sc.gravity*p.y), float32(sc.gravity*v.step[0].y)
			row := hu[v.grid.Offset(0, y, z):][:nx]
			for x := range row {
				f := float32(x)
				px, py, pz := x0+f*dx, y0+f*dy, z0+f*dz
				row[x] = base + f*rise + 22*sc.texture.at(px, py, pz) + 30*sc.texture.at(2.3*px, 2.3*py, 2.3*pz)
			}
		}
	}
}

// drawTube blends a tube in where pick (math.Max or math.Min) prefers its value.
func drawTube(v view, hu []float32, t *tube, pick func(a, b float64) float64) {
	widest := v.widest()
	low, high := v.box(t.from, t.to, max(t.fromR, t.toR)+widest/2)
	v.inside(low, high, func(k int, p vec) {
		d, n := t.distance(p)
		if d > widest/2 {
			return
		}
		w := v.width(n)
		cover := 0.5 - d/w
		if cover <= 0 {
			return
		}
		// A tube thinner than an edge is wide never fills a voxel.
		r := max(t.fromR, t.toR)
		cover = min(cover, 1) * min(1, 1.6*r/w)
		old := float64(hu[k])
		hu[k] = float32(old + cover*(pick(old, t.hu)-old))
	})
}

func (sc *scene) drawTumour(v view, hu []float32) {
	t := &sc.tumour
	widest := v.widest()
	outer := t.body.furthest() + max(t.haloW*t.halo.furthest(), widest)
	low, high := v.box(vec{}, vec{}, outer)
	inner2 := outer * outer
	// The rim first, so that spicules and the body lie over it.
	voxels := max(0, high[0]-low[0]) * max(0, high[1]-low[1]) * max(0, high[2]-low[2])
	place := make([]float32, 0, voxels) // distances, kept for the second pass
	v.inside(low, high, func(k int, p vec) {
		if p.dot(p) > inner2 {
			place = append(place, float32(math.Inf(1)))
			return
		}
		d := t.body.distance(p)
		place = append(place, float32(d))
		if d < outer && d > -widest && t.haloHU > 1 {
			f := clamp(1-d/(t.haloW*t.halo.reach(p.unit())), 0, 1)
			f *= 2 - f // full beside the body, gone at the rim's end
			grain := clamp(1+0.3*sc.texture.in(p, 7), 0.2, 1.8)
			hu[k] += float32(t.haloHU * f * grain * clamp(-(float64(hu[k])+300)/400, 0, 1))
		}
	})
	for i := range sc.spicules {
		drawTube(v, hu, &sc.spicules[i], math.Max)
	}
	i := -1
	v.inside(low, high, func(k int, p vec) {
		i++
		d := float64(place[i])
		if d > widest/2 {
			return
		}
		n := p.norm()
		if n > 1e-9 {
			n = 1 / n
		}
		cover := clamp(0.5-d/v.width(p.times(n)), 0, 1)
		if cover == 0 {
			return
		}
		grain := sc.texture.in(p, 11)
		value := t.hu + t.roughness*clamp(grain, -2, 2)
		if t.coreDrop > 1 {
			core := t.core.distance(p)
			value -= t.coreDrop * clamp(0.5-core/6+0.25*sc.texture.in(p, 17), 0, 1)
		}
		value = max(value, -930)
		old := float64(hu[k])
		seen := value // where the tumour is ground glass, vessels stay visible in it
		if old > value {
			seen = value + (1-t.solidity)*(old-value)
		}
		hu[k] = float32(old + cover*(seen-old))
	})
}

// drawBounds lays chest wall and mediastinum over everything else.
func (sc *scene) drawBounds(v view, hu []float32) {
	wide := v.widest()
	nx := v.grid.Size[0]
	for z := range v.grid.Size[2] {
		for y := range v.grid.Size[1] {
			row := hu[v.grid.Offset(0, y, z):][:nx]
			first := v.at(0, y, z)
			in, out := crossing(first.sub(sc.wall.centre), v.step[0], sc.wall.radius-wide/2, nx)
			sc.drawWall(v, row, first, 0, in)
			sc.drawWall(v, row, first, out, nx)
			in, out = crossing(first.sub(sc.heart.centre), v.step[0], sc.heart.radius+wide/2, nx)
			for x := in; x < out; x++ {
				p := first.add(v.step[0].times(float64(x)))
				away := p.sub(sc.heart.centre)
				n := away.norm()
				d := sc.heart.radius - n
				cover := 1.0
				if d < wide/2 {
					cover = clamp(0.5+d/v.width(away.times(1/n)), 0, 1)
				}
				row[x] += float32(cover * (sc.heart.hu(p) + 9*sc.texture.in(p, 0) - float64(row[x])))
			}
		}
	}
}

// drawWall draws the chest wall on voxels from..to of a row that starts at first.
func (sc *scene) drawWall(v view, row []float32, first vec, from, to int) {
	wide := v.widest()
	for x := from; x < to; x++ {
		p := first.add(v.step[0].times(float64(x)))
		away := p.sub(sc.wall.centre)
		n := away.norm()
		d := n - sc.wall.radius
		cover := 1.0
		if d < wide/2 {
			cover = clamp(0.5+d/v.width(away.times(1/n)), 0, 1)
		}
		value := sc.wall.hu(away, d)
		if value > -500 {
			value += 9 * sc.texture.in(p, 0)
		}
		row[x] += float32(cover * (value - float64(row[x])))
	}
}

// crossing is the range in..out of a row's n voxels that lie within radius of a ball's
// centre; start is the first voxel's place from that centre. in == out when none does.
func crossing(start, step vec, radius float64, n int) (in, out int) {
	a, b, c := step.dot(step), start.dot(step), start.dot(start)-radius*radius
	disc := b*b - a*c
	if disc <= 0 {
		return n, n
	}
	root := math.Sqrt(disc)
	in = int(clamp(math.Ceil((-b-root)/a), 0, float64(n)))
	out = int(clamp(math.Floor((-b+root)/a)+1, 0, float64(n)))
	return in, max(in, out)
}

// contour is the reference reader's outline.
func (sc *scene) contour(v view) *volume.Mask { return sc.outline(v, &sc.tumour.body) }

// outline is the mask of a body in the scene: voxels whose centre lies within its
// surface and in the lung (a contour stops at the pleura).
func (sc *scene) outline(v view, b *body) *volume.Mask {
	m := volume.NewMask(v.grid)
	low, high := v.box(vec{}, vec{}, b.furthest())
	v.inside(low, high, func(k int, p vec) {
		if b.distance(p) < 0 && sc.wall.depth(p) < 0 && sc.heart.depth(p) < 0 {
			m.In[k] = 1
		}
	})
	return m
}
