package phantom

import "hounsfield/datasets/volume"

// Regions are where the first scan of a subject shows what its hazard depends on, on the
// scan's grid. None reaches into chest wall or mediastinum.
type Regions struct {
	Tumour *volume.Mask // the reference contour
	Halo   *volume.Mask // the ground-glass rim around it; empty where there is none
	Core   *volume.Mask // the hypodense core within it; empty where there is none
}

// Regions are those of subject i.
func (p *Phantom) Regions(i int) Regions {
	s := p.Subject(i)
	at := p.place(s)
	sc := newScene(p.spec.Seed, i, s.Traits)
	v, t := newView(at.grid, at.pose, s.Scanner.BlurMM), &sc.tumour
	r := Regions{Tumour: sc.contour(v), Halo: volume.NewMask(v.grid), Core: volume.NewMask(v.grid)}
	// The same limits as drawTumour's.
	rim, core := t.haloHU > 1, t.coreDrop > 1
	low, high := v.box(vec{}, vec{}, t.body.furthest()+t.haloW*t.halo.furthest())
	v.inside(low, high, func(k int, q vec) {
		if sc.wall.depth(q) >= 0 || sc.heart.depth(q) >= 0 {
			return
		}
		d := t.body.distance(q)
		switch {
		case d < 0 && core && t.core.distance(q) < 0:
			r.Core.In[k] = 1
		case d >= 0 && rim && d < t.haloW*t.halo.reach(q.unit()):
			r.Halo.In[k] = 1
		}
	})
	return r
}
