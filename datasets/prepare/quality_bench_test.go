package prepare

import "testing"

// BenchmarkQuality looks at a tumour of 360 cm3 on a scan of the size of a patient's.
func BenchmarkQuality(b *testing.B) {
	g := torso
	g.Size, g.Origin, g.Spacing = [3]int{512, 512, 111}, [3]float64{-250, -250, -166}, [3]float64{0.977, 0.977, 3}
	p := body(g, 180, 45, near([3]float64{70, 0, 0}, 44))
	cut(b, p)
	for b.Loop() {
		p.quality()
	}
}
