package volume

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// slowSample is the interpolated value at a position, in 64-bit floats and straight
// from the definition: what Resample is compared with.
func slowSample(v *Volume, position [3]float64) float64 {
	t := v.Grid.Index(position)
	for a := range 3 {
		n := float64(v.Grid.Size[a])
		if t[a] < -0.5-1e-8 || t[a] > n-0.5+1e-8 {
			return HUMin
		}
		t[a] = math.Min(math.Max(t[a], 0), n-1)
	}
	sum := 0.0
	for corner := range 8 {
		weight := 1.0
		var i [3]int
		for a := range 3 {
			lower := math.Floor(t[a])
			if corner>>a&1 == 0 {
				i[a], weight = int(lower), weight*(1-(t[a]-lower))
			} else {
				i[a], weight = int(lower)+1, weight*(t[a]-lower)
			}
		}
		if weight > 0 {
			sum += weight * float64(v.HU[v.Grid.Offset(i[0], i[1], i[2])])
		}
	}
	return sum
}

// slowNearest says whether a position is in the mask.
func slowNearest(m *Mask, position [3]float64) uint8 {
	t := m.Grid.Index(position)
	var i [3]int
	for a := range 3 {
		i[a] = int(math.Floor(t[a] + 0.5 + 1e-8))
		if i[a] == m.Grid.Size[a] && t[a] < float64(m.Grid.Size[a])-0.5+1e-8 {
			i[a]-- // exactly on the outer face
		}
		if i[a] < 0 || i[a] >= m.Grid.Size[a] {
			return 0
		}
	}
	return m.In[m.Grid.Offset(i[0], i[1], i[2])]
}

// targets are grids to resample a scan to: its own isotropic ones, finer, coarser,
// shifted beyond the scan, mirrored, and turned.
func targets(g Grid) map[string]Grid {
	shifted := g.Isotropic(1.7)
	shifted.Origin = g.Position([3]float64{-4.3, 3.1, 1.2})
	mirrored := g.Isotropic(1.3)
	mirrored.Origin = g.Position([3]float64{36, 0, 12})
	for r := range 3 {
		mirrored.Direction[3*r] *= -1
		mirrored.Direction[3*r+2] *= -1
	}
	turned, axial := centred(g.Isotropic(2), directions["oblique"]), centred(g.Isotropic(2), Identity)
	return map[string]Grid{
		"itself": g, "1 mm": g.Isotropic(1), "0.6 mm": g.Isotropic(0.6), "4 mm": g.Isotropic(4),
		"shifted": shifted, "mirrored": mirrored, "turned": turned, "axial": axial,
	}
}

// centred is the grid turned about its middle.
func centred(g Grid, direction [9]float64) Grid {
	middle := [3]float64{float64(g.Size[0]-1) / 2, float64(g.Size[1]-1) / 2, float64(g.Size[2]-1) / 2}
	before := g.Position(middle)
	g.Direction = direction
	after := g.Position(middle)
	for r := range 3 {
		g.Origin[r] += before[r] - after[r]
	}
	return g
}

func TestResampleEqualsDefinition(t *testing.T) {
	for from, direction := range directions {
		v := noise(asymmetric(direction), 7)
		for name, to := range targets(v.Grid) {
			got := Resample(v, to)
			worst, at, inside := 0.0, [3]int{}, 0
			for z := range to.Size[2] {
				for y := range to.Size[1] {
					for x := range to.Size[0] {
						want := slowSample(v, to.Position([3]float64{float64(x), float64(y), float64(z)}))
						if want != HUMin {
							inside++
						}
						if d := math.Abs(float64(got.HU[to.Offset(x, y, z)]) - want); d > worst {
							worst, at = d, [3]int{x, y, z}
						}
					}
				}
			}
			// 32-bit weights are good to 6e-8, of a step of up to 4095 HU, three times.
			if worst > 0.002 || inside < to.Len()/20 {
				t.Errorf("%s to %s: off by %v HU at %v (%d of %d inside)", from, name, worst, at, inside, to.Len())
			}
		}
	}
}

// Scans of one or two voxels along an axis, where neighbours run out.
func TestResampleThinScans(t *testing.T) {
	for _, size := range [][3]int{{5, 2, 4}, {2, 5, 2}, {1, 4, 3}, {4, 1, 3}, {4, 3, 1}, {1, 1, 1}} {
		g := asymmetric(directions["oblique"])
		g.Size = size
		v := noise(g, 13)
		to := g.Isotropic(0.7)
		got := Resample(v, to)
		for z := range to.Size[2] {
			for y := range to.Size[1] {
				for x := range to.Size[0] {
					want := slowSample(v, to.Position([3]float64{float64(x), float64(y), float64(z)}))
					if hu := got.HU[to.Offset(x, y, z)]; math.Abs(float64(hu)-want) > 0.002 {
						t.Fatalf("%v: voxel %d,%d,%d is %v, want %v", size, x, y, z, hu, want)
					}
				}
			}
		}
	}
}

func TestResampleMaskEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for from, direction := range directions {
		m := NewMask(asymmetric(direction))
		for i := range m.In {
			m.In[i] = uint8(r.IntN(2)) * 5 // any value but 0 is inside
		}
		for name, to := range targets(m.Grid) {
			got := ResampleMask(m, to)
			wrong := 0
			for z := range to.Size[2] {
				for y := range to.Size[1] {
					for x := range to.Size[0] {
						want := min(1, slowNearest(m, to.Position([3]float64{float64(x), float64(y), float64(z)})))
						if got.In[to.Offset(x, y, z)] != want {
							wrong++
						}
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%s to %s: %d of %d voxels differ", from, name, wrong, to.Len())
			}
		}
	}
}

// The path for axes that match and the one for any axes are the same function.
func TestSeparablePathEqualsGeneralPath(t *testing.T) {
	for name, direction := range directions {
		v := noise(asymmetric(direction), 11)
		for _, target := range []string{"1 mm", "shifted", "4 mm"} {
			to := targets(v.Grid)[target]
			m := newMapping(to, v.Grid)
			if !m.aligned() {
				t.Fatalf("%s to %s must take the separable path", name, target)
			}
			fast, slow := Resample(v, to), NewVolume(to)
			resampleGeneral(v, &m, box{size: to.Size}, slow.HU, 0, to.Size[2])
			for i := range fast.HU {
				if math.Abs(float64(fast.HU[i]-slow.HU[i])) > 0.002 {
					t.Fatalf("%s to %s: voxel %d is %v and %v", name, target, i, fast.HU[i], slow.HU[i])
				}
			}
		}
	}
}

func TestResampleSameForAnyWorkers(t *testing.T) {
	for _, target := range []string{"1 mm", "turned"} {
		v := noise(asymmetric(directions["oblique"]), 5)
		to := targets(v.Grid)[target]
		if target == "turned" {
			to.Direction = Identity
		}
		want := make([]float32, to.Len())
		resampleBox(v, to, box{size: to.Size}, want, 1)
		for _, workers := range []int{2, 3, 7, 1000} {
			got := make([]float32, to.Len())
			resampleBox(v, to, box{size: to.Size}, got, workers)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d workers give other numbers than 1", target, workers)
			}
		}
	}
}

// A value linear in space comes back exactly wherever the new grid lies.
func TestResampleKeepsPositions(t *testing.T) {
	for name, direction := range directions {
		v := sample(asymmetric(direction), planeHU)
		to := v.Grid.Isotropic(1)
		got := Resample(v, to)
		for z := range to.Size[2] {
			for y := range to.Size[1] {
				for x := range to.Size[0] {
					want := planeHU(to.Position([3]float64{float64(x), float64(y), float64(z)}))
					if hu := got.HU[to.Offset(x, y, z)]; math.Abs(float64(hu)-want) > 0.005 {
						t.Fatalf("%s: voxel %d,%d,%d is %v, want %v", name, x, y, z, hu, want)
					}
				}
			}
		}
	}
}

func TestResampleAtTheEdge(t *testing.T) {
	g := Grid{Size: [3]int{2, 1, 1}, Spacing: [3]float64{2, 2, 2}, Direction: Identity}
	v := &Volume{Grid: g, HU: []float32{10, 30}}
	to := Grid{Size: [3]int{6, 1, 1}, Origin: [3]float64{-1.5, 0, 0}, Spacing: [3]float64{1, 1, 1}, Direction: Identity}
	// At -1.5 there is no scan; at -0.5 and 2.5 the edge is kept; 3.5 is outside again.
	if got, want := Resample(v, to).HU, []float32{HUMin, 10, 15, 25, 30, HUMin}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMaskHalfRoundsUp(t *testing.T) {
	g := Grid{Size: [3]int{3, 1, 1}, Spacing: [3]float64{2, 1, 1}, Direction: Identity}
	m := &Mask{Grid: g, In: []uint8{0, 1, 0}}
	// Samples 0, 0.5, 1, 1.5, 2 of the three voxels: 0.5 goes to voxel 1, 1.5 to voxel 2.
	if got, want := ResampleMask(m, g.Isotropic(1)).In, []uint8{0, 1, 1, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(m.In, []uint8{0, 1, 0}) {
		t.Error("the mask given was changed")
	}
}

// Many numbers at a time give the last digit that one at a time gives.
func TestLerpRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for n := range 40 {
		a, b, out := make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range n {
			a[i], b[i] = float32(3000*rng.NormFloat64()), float32(3000*rng.NormFloat64())
		}
		weight := rng.Float32()
		lerpRows(out, a, b, weight)
		for i := range n {

			if want := lerp(a[i], b[i], weight); out[i] != want {
				t.Fatalf("%d numbers, the one at %d: %v, want %v", n, i, out[i], want)
			}
		}
	}
}
