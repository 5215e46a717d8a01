package volume

import (
	"math"
	"math/rand/v2"
	"testing"

	"hounsfield/stats/golden"
)

// depthOf is the distance in mm to the nearest voxel outside, which narrowing a mask goes by.
func depthOf(m *Mask) []float32 { return roots(distanceTo(m, false)) }

// What scipy makes of the same masks; testdata/morphology.py says how.
func TestDistanceAsSciPy(t *testing.T) {
	type row struct {
		Name            string
		Size            [3]int
		Spacing         [3]float64
		Mask            string
		Distance, Depth []float64
		DilateMM        float64 `json:"dilate_mm"`
		ErodeMM         float64 `json:"erode_mm"`
		Dilated, Eroded int
	}
	for _, c := range golden.Cases[row](t, "morphology") {
		m := NewMask(Grid{Size: c.Size, Spacing: c.Spacing, Direction: Identity})
		for i := range m.In {
			m.In[i] = c.Mask[i] - '0'
		}
		for what, pair := range map[string]struct {
			got  []float32
			want []float64
		}{"distance": {Distance(m), c.Distance}, "depth": {depthOf(m), c.Depth}} {
			for i, want := range pair.want {
				if got := float64(pair.got[i]); !(math.Abs(got-want) <= 1e-6*max(want, 1)) { // float32
					t.Fatalf("%s: %s of voxel %d is %v, want %v", c.Name, what, i, got, want)
				}
			}
		}
		if n := m.Dilate(c.DilateMM).Count(); n != c.Dilated {
			t.Errorf("%s: %d voxels after %v mm, want %d", c.Name, n, c.DilateMM, c.Dilated)
		}
		if n := m.Dilate(-c.ErodeMM).Count(); n != c.Eroded {
			t.Errorf("%s: %d voxels after -%v mm, want %d", c.Name, n, c.ErodeMM, c.Eroded)
		}
	}
}

// slowDistance looks at all pairs of voxels.
func slowDistance(m *Mask, to bool) []float64 {
	out := make([]float64, len(m.In))
	at := func(i int) [3]int {
		return [3]int{i % m.Grid.Size[0], i / m.Grid.Size[0] % m.Grid.Size[1], i / m.Grid.Size[0] / m.Grid.Size[1]}
	}
	for i := range out {
		least := math.Inf(1)
		for j, v := range m.In {
			if (v != 0) != to {
				continue
			}
			p, q, sum := at(i), at(j), 0.0
			for a := range 3 {
				step := float64(p[a]-q[a]) * m.Grid.Spacing[a]
				sum += step * step
			}
			least = min(least, sum)
		}
		out[i] = math.Sqrt(least)
	}
	return out
}

// slowBoxDistance looks at all pairs of voxels, the other a box.
func slowBoxDistance(m *Mask, to bool) []float64 {
	out := make([]float64, len(m.In))
	at := func(i int) [3]int {
		return [3]int{i % m.Grid.Size[0], i / m.Grid.Size[0] % m.Grid.Size[1], i / m.Grid.Size[0] / m.Grid.Size[1]}
	}
	for i := range out {
		out[i] = math.Inf(1)
		for j, v := range m.In {
			if (v != 0) != to {
				continue
			}
			p, q, sum := at(i), at(j), 0.0
			for a := range 3 {
				step := max(0, math.Abs(float64(p[a]-q[a]))-0.5) * m.Grid.Spacing[a]
				sum += step * step
			}
			out[i] = min(out[i], math.Sqrt(sum))
		}
	}
	return out
}

func TestSurfaceDistanceAgainstAllPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 3))
	for n := range 40 {
		m := randomMask(r, []float64{0.02, 0.2, 0.7, 1}[n%4])
		out, in := slowBoxDistance(m, true), slowBoxDistance(m, false)
		for i, got := range SurfaceDistance(m) {
			want := out[i] - in[i]
			if float64(got) != want && !(math.Abs(float64(got)-want) <= 1e-6*max(math.Abs(want), 1)) {
				t.Fatalf("mask %d: voxel %d lies %v mm from the surface, want %v", n, i, got, want)
			}
			if (got < 0) != (m.In[i] != 0) {
				t.Fatalf("mask %d: the sign of voxel %d is wrong", n, i)
			}
		}
	}
}

func randomMask(r *rand.Rand, share float64) *Mask {
	g := Grid{Size: [3]int{1 + r.IntN(11), 1 + r.IntN(9), 1 + r.IntN(7)}, Origin: [3]float64{-5, 3, 8}, Direction: [9]float64{0, 1, 0, 1, 0, 0, 0, 0, -1}}
	for a := range 3 {
		g.Spacing[a] = 0.3 + 3*r.Float64()
	}
	m := NewMask(g)
	for i := range m.In {
		if r.Float64() < share {
			m.In[i] = 1
		}
	}
	return m
}

func TestDistanceAgainstAllPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 8))
	for n := range 40 {
		m := randomMask(r, []float64{0.02, 0.2, 0.7, 1}[n%4])
		mm := 0.2 + 4*r.Float64()
		was := append([]uint8(nil), m.In...)
		distance, depth := Distance(m), depthOf(m)
		out, in := slowDistance(m, true), slowDistance(m, false)
		grown, shrunk := m.Dilate(mm), m.Dilate(-mm)
		for i := range out {
			if float32(out[i]) != distance[i] && math.Abs(out[i]-float64(distance[i])) > 1e-6*out[i] {
				t.Fatalf("mask %d: distance of voxel %d is %v, want %v", n, i, distance[i], out[i])
			}
			if float32(in[i]) != depth[i] && math.Abs(in[i]-float64(depth[i])) > 1e-6*in[i] {
				t.Fatalf("mask %d: depth of voxel %d is %v, want %v", n, i, depth[i], in[i])
			}
			if (grown.In[i] != 0) != (out[i] <= mm) || (shrunk.In[i] != 0) != (in[i] > mm) {
				t.Fatalf("mask %d: voxel %d at %v, %v mm is %d dilated and %d eroded by %v mm", n, i, out[i], in[i], grown.In[i], shrunk.In[i], mm)
			}
			if m.In[i] != was[i] {
				t.Fatal("the mask itself was changed")
			}
		}
	}
}

// What is computed in the box around a mask is what the whole grid would give.
func TestCropKeepsDistances(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for n := range 20 {
		m := NewMask(Grid{Size: [3]int{14, 12, 10}, Origin: [3]float64{1, 2, 3}, Spacing: [3]float64{0.9, 1.1, 2.5}, Direction: [9]float64{0, 1, 0, -1, 0, 0, 0, 0, 1}})
		for range 25 {
			m.In[m.Grid.Offset(4+r.IntN(6), 3+r.IntN(5), r.IntN(6))] = 1
		}
		mm := []float64{0, 2.6}[n%2]
		first, last, ok := m.Around(mm)
		if !ok {
			t.Fatal("there is something inside")
		}
		part := m.Crop(first, last)
		if err := part.Grid.Check(); err != nil {
			t.Fatal(err)
		}
		if part.Count() != m.Count() {
			t.Fatalf("%d of %d voxels are in the part", part.Count(), m.Count())
		}
		distance, depth, partDistance, partDepth := Distance(m), depthOf(m), Distance(part), depthOf(part)
		kept := map[int]bool{}
		for z := range part.Grid.Size[2] {
			for y := range part.Grid.Size[1] {
				for x := range part.Grid.Size[0] {
					i, k := m.Grid.Offset(first[0]+x, first[1]+y, first[2]+z), part.Grid.Offset(x, y, z)
					kept[i] = true
					if distance[i] != partDistance[k] || depth[i] != partDepth[k] {
						t.Fatalf("voxel %d: %v and %v in the whole, %v and %v in the part", i, distance[i], depth[i], partDistance[k], partDepth[k])
					}
				}
			}
		}
		for i, d := range distance {
			if float64(d) <= mm && !kept[i] {
				t.Fatalf("a voxel %v mm away is not within the box for %v mm", d, mm)
			}
		}
		want := m.Grid.Position([3]float64{float64(first[0]), float64(first[1]), float64(first[2])})
		if got := part.Grid.Position([3]float64{}); got != want {
			t.Errorf("the part begins at %v, want %v", got, want)
		}
	}
}

// A step of 3 mm on voxels of 1, 0.1 or 0.3 mm reaches exactly so many voxels, and back.
func TestDilateReachesWholeSteps(t *testing.T) {
	for _, spacing := range []float64{1, 0.1, 0.3, 0.75} {
		for steps := range 5 {
			g := Grid{Size: [3]int{21, 21, 21}, Spacing: [3]float64{spacing, spacing, spacing}, Direction: Identity}
			m := NewMask(g)
			m.In[g.Offset(10, 10, 10)] = 1
			mm := float64(steps) * spacing
			grown := m.Dilate(mm)
			first, last, _ := grown.Bounds()
			if first != [3]int{10 - steps, 10 - steps, 10 - steps} || last != [3]int{10 + steps, 10 + steps, 10 + steps} {
				t.Errorf("%v mm on voxels of %v mm reach %v to %v", mm, spacing, first, last)
			}
			if steps > 0 && grown.Dilate(-mm).Count() > 1 {
				t.Errorf("eroding by %v mm what was dilated by it leaves %d voxels", mm, grown.Dilate(-mm).Count())
			}
		}
	}
	empty := NewMask(Grid{Size: [3]int{3, 3, 3}, Spacing: [3]float64{1, 1, 1}, Direction: Identity})
	if empty.Dilate(5).Count() != 0 {
		t.Error("nothing grows into something")
	}
	if d := Distance(empty); !math.IsInf(float64(d[13]), 1) {
		t.Errorf("%v mm to nothing", d[13])
	}
}
