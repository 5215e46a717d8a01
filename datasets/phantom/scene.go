package phantom

import (
	"math"
	"math/rand/v2"
)

// scene is the anatomy around one tumour, in a frame of its own: mm, axes as the
// patient's (LPS), the tumour's centre at the origin. It holds no noise and no
// scanner, so two scans of a subject show the same scene.
type scene struct {
	lungHU   float64 // mean of aerated lung
	gravity  float64 // HU per mm towards the back: dependent lung is denser
	texture  lattice
	wall     chestWall
	heart    mediastinum
	vessels  []tube
	bronchi  []tube
	spicules []tube
	tumour   tumour
}

// tumour is the nodule and its rim.
type tumour struct {
	body          body
	solidity      float64 // 0..1, how far vessels are hidden by it
	hu            float64 // of the body
	roughness     float64 // HU, strength of the texture inside
	core          body    // hypodense core
	coreDrop      float64 // HU below the body
	haloHU, haloW float64 // peak above lung, mean width in mm
	halo          body    // its width by direction, as a factor
}

// body is a closed star-shaped surface around the origin: an ellipsoid with lobes.
type body struct {
	radius float64 // mm
	shape  [3]vec  // maps a unit direction to the ellipsoid's metric
	lobes  []lobe
}

// lobe is a round bump (or, with a negative height, a dent) of a surface.
type lobe struct {
	to     vec     // unit direction
	height float64 // as a fraction of the radius
	sharp  int     // squarings of the cosine: 1 wide .. 4 narrow
}

// reach is the distance in mm from the centre to the surface along a unit direction.
func (b *body) reach(d vec) float64 {
	e := vec{b.shape[0].dot(d), b.shape[1].dot(d), b.shape[2].dot(d)}
	f := 1.0
	for i := range b.lobes {
		if c := b.lobes[i].to.dot(d); c > 0 {
			for range b.lobes[i].sharp {
				c *= c
			}
			f += b.lobes[i].height * c
		}
	}
	return b.radius * f / e.norm()
}

// furthest bounds reach over all directions: the largest of many, with some to spare.
func (b *body) furthest() float64 {
	most := 0.0
	for _, d := range around(1500) {
		most = max(most, b.reach(d))
	}
	return 1.06 * most
}

// around is n unit directions spread evenly over the sphere (a Fibonacci lattice).
func around(n int) []vec {
	all := make([]vec, n)
	for i := range all {
		z := 1 - (2*float64(i)+1)/float64(n)
		s, c := math.Sincos(float64(i) * math.Pi * (3 - math.Sqrt(5)))
		q := math.Sqrt(1 - z*z)
		all[i] = vec{q * c, q * s, z}
	}
	return all
}

// distance is how far a point lies outside the surface (negative inside), measured
// along its own radius.
func (b *body) distance(p vec) float64 {
	n := p.norm()
	if n < 1e-9 {
		return -b.radius
	}
	return n - b.reach(p.times(1/n))
}

// inflate scales the radius so that the enclosed volume is that of a sphere of the given radius.
func (b *body) inflate(radius float64) {
	const n = 400 // enough for a volume to 0.1 %
	sum := 0.0
	for _, d := range around(n) {
		r := b.reach(d)
		sum += r * r * r
	}
	b.radius *= radius / math.Cbrt(sum/n)
}

// tube is a tapered straight piece of a vessel, a bronchus or a spicule.
type tube struct {
	from, to   vec
	fromR, toR float64 // mm
	hu         float64
}

// chestWall is the inner surface of the thorax, seen as a large sphere whose inside is lung.
type chestWall struct {
	centre     vec
	radius     float64
	ribAxis    vec
	ribPhase   float64
	ribSpacing float64
}

// mediastinum is a large soft-tissue ball on the other side with the aorta in it.
type mediastinum struct {
	centre          vec
	radius          float64
	aorta, along    vec // a point of the aorta's axis, and its unit direction
	aortaR, aortaHU float64
}

// newScene draws the anatomy of a subject.
func newScene(seed uint64, i int, t Traits) *scene {
	r := stream(seed, forScene, i)
	sc := &scene{lungHU: uniform(r, -880, -825), gravity: uniform(r, 0.1, 0.5)}
	sc.texture.fill(source(seed, forTexture, i))
	radius := t.DiameterMM / 2
	sc.tumour = newTumour(r, t, radius)

	side := -1.0 // right lung: the chest wall lies towards -x
	if r.IntN(2) == 0 {
		side = 1
	}
	s, c := math.Sincos(uniform(r, -1.6, 1.6))
	out := vec{side * c, s, 0.3 * r.NormFloat64()}.unit()
	gap := sc.tumour.body.furthest() + uniform(r, 4, 40)
	if t.Pleural {
		gap = radius * uniform(r, 0.72, 0.92)
	}
	wall := uniform(r, 85, 130)
	sc.wall = chestWall{
		centre: out.times(gap - wall), radius: wall,
		ribAxis:  vec{0.25 * r.NormFloat64(), 0.35 * r.NormFloat64(), 1}.unit(),
		ribPhase: uniform(r, 0, 1), ribSpacing: uniform(r, 22, 30),
	}

	s, c = math.Sincos(uniform(r, -0.7, 0.7))
	in := vec{-side * c, s, 0.2 * r.NormFloat64()}.unit()
	far := sc.tumour.body.furthest() + uniform(r, 8, 40)
	ball := uniform(r, 45, 70)
	centre := in.times(far + ball)
	axis := vec{0.1 * r.NormFloat64(), 0.1 * r.NormFloat64(), 1}.unit()
	mid := in.times(far + uniform(r, 16, 28))
	sc.heart = mediastinum{
		centre: centre, radius: ball, aorta: mid, along: axis, aortaR: uniform(r, 10, 14), aortaHU: uniform(r, 60, 190),
	}
	sc.grow(r, in.times(far+6), radius, t)
	sc.spike(r, t, radius)
	return sc
}

func newTumour(r *rand.Rand, t Traits, radius float64) tumour {
	var b body
	b.radius = 1
	frame := rotation(direction(r), uniform(r, 0, math.Pi))
	stretch := [3]float64{0.14 * r.NormFloat64(), 0.14 * r.NormFloat64(), 0}
	stretch[2] = -stretch[0] - stretch[1]
	for a := range 3 {
		b.shape[a] = frame[a].times(math.Exp(clamp(stretch[a], -0.3, 0.3)))
	}
	for range 6 {
		b.lobes = append(b.lobes, lobe{to: direction(r), height: 0.13 * clamp(r.NormFloat64(), -2, 2), sharp: 1})
	}
	for range 14 {
		b.lobes = append(b.lobes, lobe{to: direction(r), height: (0.04 + 0.16*t.Spiculation) * clamp(r.NormFloat64(), -2, 2), sharp: 3})
	}
	b.inflate(radius)
	tu := tumour{
		body: b, solidity: t.Density,
		hu: -350 + 400*t.Density, roughness: 80 - 45*t.Density,
		coreDrop: 420 * math.Pow(t.Necrosis, 1.3),
		haloHU:   390 * t.Halo, haloW: 6 + 7*t.Halo,
	}
	tu.halo = body{radius: 1, shape: b.shape}
	for range 7 {
		tu.halo.lobes = append(tu.halo.lobes, lobe{to: direction(r), height: 0.25 * clamp(r.NormFloat64(), -1.5, 1.5), sharp: 2})
	}
	tu.halo.inflate(1)
	// The core is a shrunken copy without the fine lobes.
	tu.core = b
	tu.core.radius *= 0.35 + 0.40*t.Necrosis
	tu.core.lobes = b.lobes[:6]
	return tu
}

const reachMM = 75 // nothing is drawn further from the tumour than this

// grow draws vessels that branch from the hilum into the lung, with a few bronchi
// beside them, and small vessels in between.
func (sc *scene) grow(r *rand.Rand, hilum vec, radius float64, t Traits) {
	clear := sc.tumour.body.furthest() + 1.5
	type tip struct {
		at, dir  vec
		r        float64
		bronchus bool
	}
	var tips []tip
	for i := range 16 {
		aim := direction(r).times(uniform(r, 20, 60))
		tips = append(tips, tip{hilum.add(direction(r).times(uniform(r, 0, 12))), aim.sub(hilum).unit(), uniform(r, 1.6, 3.2), i < 3})
	}
	for n := 0; len(tips) > 0 && n < 700; n++ {
		p := tips[0]
		tips = tips[1:]
		p.dir = p.dir.add(direction(r).times(0.28)).unit()
		next := p.at.add(p.dir.times(uniform(r, 5, 8)))
		thin := p.r * 0.96
		branch, turn, share := r.Float64() < 0.5, direction(r), uniform(r, 0.55, 0.85)
		if p.r < 0.45 || next.norm() > reachMM || next.norm() < clear || sc.wall.depth(next) > -1 {
			continue
		}
		sc.vessels = append(sc.vessels, tube{p.at, next, p.r, thin, 45})
		if p.bronchus && p.r > 1 {
			off := p.dir.cross(turn).unit().times(1.9 * p.r)
			sc.bronchi = append(sc.bronchi, tube{p.at.add(off), next.add(off), 1.1 * p.r, 1.1 * thin, -960})
		}
		if branch {
			tips = append(tips, tip{next, p.dir.add(turn.times(0.9)).unit(), thin * share, false})
			thin *= 0.9
		}
		tips = append(tips, tip{next, p.dir, thin, p.bronchus})
	}
	for range 800 {
		at, along := direction(r).times(64*math.Cbrt(r.Float64())), direction(r)
		to := at.add(at.sub(hilum).unit().add(along.times(0.7)).unit().times(uniform(r, 4, 10)))
		w := uniform(r, 0.45, 1.15)
		if min(at.norm(), to.norm()) > clear && sc.wall.depth(to) < -2 {
			sc.vessels = append(sc.vessels, tube{at, to, w, 0.8 * w, 45})
		}
	}
	// The feeding vessel, which ends inside the tumour.
	if w := 2.6 * t.Vessel; w > 0.3 {
		bend := hilum.times(0.5).add(direction(r).times(0.12 * hilum.norm()))
		end := hilum.unit().times(0.6 * radius)
		sc.vessels = append(sc.vessels, pieces(hilum, bend, 1.3*w, 1.1*w)...)
		sc.vessels = append(sc.vessels, pieces(bend, end, 1.1*w, w)...)
	}
}

// pieces cuts a long tube into short ones: each is drawn inside its own bounding box.
func pieces(from, to vec, fromR, toR float64) []tube {
	n := 1 + int(to.sub(from).norm()/7)
	at := func(i int) (vec, float64) {
		f := float64(i) / float64(n)
		return from.add(to.sub(from).times(f)), fromR + (toR-fromR)*f
	}
	var all []tube
	for i := range n {
		a, ra := at(i)
		b, rb := at(i + 1)
		all = append(all, tube{a, b, ra, rb, 45})
	}
	return all
}

// spike draws the spicules: thin tapered strands from the surface into the lung.
func (sc *scene) spike(r *rand.Rand, t Traits, radius float64) {
	b := &sc.tumour.body
	for range int(math.Round(30 * t.Spiculation)) {
		d := direction(r)
		from, length := d.times(0.9*b.reach(d)), uniform(r, 2, 5)+radius*uniform(r, 0.1, 0.5)
		width := uniform(r, 0.9, 1.5)
		bend := from.add(d.add(direction(r).times(0.2)).unit().times(length * 0.5))
		tip := bend.add(d.add(direction(r).times(0.4)).unit().times(length * 0.5))
		hu := max(sc.tumour.hu, -250)
		sc.spicules = append(sc.spicules, tube{from, bend, width, 0.7 * width, hu}, tube{bend, tip, 0.7 * width, 0.25, hu})
	}
}

// depth is how far a point lies inside the chest wall (negative in lung), mm.
func (w *chestWall) depth(p vec) float64 { return p.sub(w.centre).norm() - w.radius }

// hu is the chest wall's value at a place from its centre, of the given depth: muscle with ribs, then
// fat, skin and the air around the patient.
func (w *chestWall) hu(away vec, depth float64) float64 {
	switch {
	case depth > 40:
		return -1000
	case depth > 38:
		return 10
	case depth > 24:
		return -100
	case depth > 13 || depth < 3:
		return 48
	}
	h := away.dot(w.ribAxis)/w.ribSpacing + w.ribPhase
	across := (h - math.Round(h)) * w.ribSpacing / 6.5
	e := math.Sqrt(across*across + (depth-8)*(depth-8)/(4.2*4.2))
	bone := clamp((1-e)*4, 0, 1)
	marrow := clamp((0.65-e)*5, 0, 1)
	return 48 + bone*620 - marrow*430
}

// depth is how far a point lies inside the mediastinum (negative in lung), mm.
func (m *mediastinum) depth(p vec) float64 { return m.radius - p.sub(m.centre).norm() }

func (m *mediastinum) hu(p vec) float64 {
	d := p.sub(m.aorta).cross(m.along).norm() - m.aortaR
	if d > 6 {
		return 42
	}
	fat := clamp((d-1.5)*0.5, 0, 1) * clamp((6-d)*0.5, 0, 1) // a sleeve of fat around the aorta
	return 42 - 125*fat + clamp(0.5-d, 0, 1)*(m.aortaHU-42)
}

// distance is how far a point lies outside the tube (mm, negative inside), and the
// unit vector from its axis to the point.
func (t *tube) distance(p vec) (float64, vec) {
	along := t.to.sub(t.from)
	f := clamp(p.sub(t.from).dot(along)/along.dot(along), 0, 1)
	away := p.sub(t.from.add(along.times(f)))
	n := away.norm()
	if n < 1e-9 {
		return -(t.fromR + (t.toR-t.fromR)*f), vec{}
	}
	return n - (t.fromR + (t.toR-t.fromR)*f), away.times(1 / n)
}
