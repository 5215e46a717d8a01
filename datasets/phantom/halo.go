package phantom

import "hounsfield/datasets/volume"

// Halo is the ground-glass rim around the tumour of subject i, on which its hazard depends,
// on the grid of its first scan; empty where there is none. It does not reach into the
// tumour, the chest wall or the mediastinum.
func (p *Phantom) Halo(i int) *volume.Mask {
	s := p.Subject(i)
	at := p.place(s)
	sc := newScene(p.spec.Seed, i, s.Traits)
	v, t := newView(at.grid, at.pose, s.Scanner.BlurMM), &sc.tumour
	halo := volume.NewMask(v.grid)
	if t.haloHU <= 1 { // drawTumour draws none
		return halo
	}
	low, high := v.box(vec{}, vec{}, t.body.furthest()+t.haloW*t.halo.furthest())
	v.inside(low, high, func(k int, q vec) {
		if sc.wall.depth(q) >= 0 || sc.heart.depth(q) >= 0 {
			return
		}
		if d := t.body.distance(q); d >= 0 && d < t.haloW*t.halo.reach(q.unit()) {
			halo.In[k] = 1
		}
	})
	return halo
}
