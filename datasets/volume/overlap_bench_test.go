package volume

import "testing"

// Two ellipsoids of 120 x 100 x 40 voxels, about the largest tumours. MedPy on the same
// masks is the peer: hd, hd95 and assd each take their own transforms.
func BenchmarkCompareMasks(b *testing.B) {
	g := Grid{Size: [3]int{200, 200, 100}, Spacing: [3]float64{0.977, 0.977, 3}, Direction: Identity}
	masks := [2]*Mask{NewMask(g), NewMask(g)}
	for k, m := range masks {
		for z := range g.Size[2] {
			for y := range g.Size[1] {
				for x := range g.Size[0] {
					dx, dy, dz := float64(x-100-2*k)/60, float64(y-100)/50, float64(z-50)/20
					if dx*dx+dy*dy+dz*dz <= 1 {
						m.In[g.Offset(x, y, z)] = 1
					}
				}
			}
		}
	}
	for b.Loop() {
		if _, err := CompareMasks(masks[0], masks[1]); err != nil {
			b.Fatal(err)
		}
	}
}
