package phantom

import "testing"

// The rim is denser than the lung further out and lies outside the contour, the core is
// less dense than the rest of the tumour and lies inside.
func TestRegionsShowWhatTheyAreNamedFor(t *testing.T) {
	p, err := New(Default())
	if err != nil {
		t.Fatal(err)
	}
	halos, cores := 0, 0
	for i := 0; i < p.Len() && (halos < 2 || cores < 2); i++ {
		s := p.Subject(i)
		strongHalo, strongCore := s.Traits.Halo > 0.8 && !s.Traits.Pleural, s.Traits.Necrosis > 0.8 && s.Traits.DiameterMM > 25
		if !strongHalo && !strongCore {
			continue
		}
		ct, contour := p.Scan(i)
		r := p.Regions(i)
		mean := func(in func(k int) bool) float64 {
			sum, n := 0.0, 0
			for k, hu := range ct.HU {
				if in(k) {
					sum, n = sum+float64(hu), n+1
				}
			}
			if n == 0 {
				t.Fatalf("subject %d: a region is empty", i)
			}
			return sum / float64(n)
		}
		for k, v := range contour.In {
			if v != r.Tumour.In[k] || r.Halo.In[k] != 0 && v != 0 || r.Core.In[k] != 0 && v == 0 {
				t.Fatalf("subject %d, voxel %d: contour %d, tumour %d, halo %d, core %d", i, k, v, r.Tumour.In[k], r.Halo.In[k], r.Core.In[k])
			}
		}
		if strongHalo {
			halos++
			// Lung only: vessels, wall and mediastinum are dense everywhere.
			lung := func(k int) bool { return contour.In[k] == 0 && ct.HU[k] < -400 }
			rim, beyond := mean(func(k int) bool { return lung(k) && r.Halo.In[k] != 0 }), mean(func(k int) bool { return lung(k) && r.Halo.In[k] == 0 })
			if rim < beyond+60 {
				t.Errorf("subject %d: %.0f HU in the halo, %.0f beyond", i, rim, beyond)
			}
		}
		if strongCore {
			cores++
			core, rest := mean(func(k int) bool { return r.Core.In[k] != 0 }), mean(func(k int) bool { return contour.In[k] != 0 && r.Core.In[k] == 0 })
			if core > rest-100 {
				t.Errorf("subject %d: %.0f HU in the core, %.0f in the rest of the tumour", i, core, rest)
			}
		}
	}
}
