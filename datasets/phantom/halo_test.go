package phantom

import "testing"

// The rim is denser than the lung further out and lies outside the contour.
func TestHaloIsDenserThanLung(t *testing.T) {
	p, err := New(Default())
	if err != nil {
		t.Fatal(err)
	}
	strong := 0
	for i := 0; i < p.Len() && strong < 2; i++ {
		s := p.Subject(i)
		if s.Traits.Halo <= 0.8 || s.Traits.Pleural {
			continue
		}
		strong++
		ct, contour := p.Scan(i)
		halo := p.Halo(i)
		for k, v := range contour.In {
			if halo.In[k] != 0 && v != 0 {
				t.Fatalf("subject %d, voxel %d: the halo lies in the contour", i, k)
			}
		}
		mean := func(inside uint8) float64 {
			sum, n := 0.0, 0
			for k, hu := range ct.HU {
				// Lung only: vessels, wall and mediastinum are dense everywhere.
				if contour.In[k] == 0 && hu < -400 && halo.In[k] == inside {
					sum, n = sum+float64(hu), n+1
				}
			}
			if n == 0 {
				t.Fatalf("subject %d: a region is empty", i)
			}
			return sum / float64(n)
		}
		if rim, beyond := mean(1), mean(0); rim < beyond+60 {
			t.Errorf("subject %d: %.0f HU in the halo, %.0f beyond", i, rim, beyond)
		}
	}
	if strong < 2 {
		t.Errorf("%d subjects with a strong halo", strong)
	}
}
