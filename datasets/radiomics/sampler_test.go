package radiomics

import (
	"math"
	"math/rand/v2"
	"testing"

	"hounsfield/datasets/volume"
)

// A cubic B-spline goes through its samples and gives back every cubic polynomial away from
// the borders, where it mirrors.
func TestSplineGoesThroughSamples(t *testing.T) {
	g := volume.Grid{Size: [3]int{60, 9, 7}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}
	ct := volume.NewVolume(g)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range ct.HU {
		ct.HU[i] = float32(math.Floor(2000*r.Float64()) - 1000)
	}
	s := newSampler(ct, true, [3]float64{}, [3]float64{59, 8, 6})
	for z := range 7 {
		for y := range 9 {
			for x := range 60 {
				got := s.value(s.tap(0, float64(x)), s.tap(1, float64(y)), s.tap(2, float64(z)))
				if want := float64(ct.HU[g.Offset(x, y, z)]); math.Abs(got-want) > 1e-4 {
					t.Fatalf("at %d %d %d: %v, the sample is %v", x, y, z, got, want)
				}
			}
		}
	}
	cubic := func(x float64) float64 { return 0.01*x*x*x - 0.6*x*x + 3*x - 40 }
	for i := range ct.HU {
		ct.HU[i] = float32(cubic(float64(i % 60)))
	}
	s = newSampler(ct, true, [3]float64{}, [3]float64{59, 8, 6})
	for _, x := range []float64{25.25, 30.5, 33.9} {
		if got := s.value(s.tap(0, x), s.tap(1, 4), s.tap(2, 3)); math.Abs(got-cubic(x)) > 1e-3 {
			t.Errorf("at %v: %v, the cubic is %v", x, got, cubic(x))
		}
	}
	// A part of the scan gives what the whole does.
	part := newSampler(ct, true, [3]float64{28, 3, 2}, [3]float64{34, 5, 4})
	if a, b := s.value(s.tap(0, 30.3), s.tap(1, 4.4), s.tap(2, 3.1)), part.value(part.tap(0, 30.3), part.tap(1, 4.4), part.tap(2, 3.1)); math.Abs(a-b) > 1e-6 {
		t.Errorf("of the whole %v, of a part %v", a, b)
	}
}
