package volume

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// slowDiameter tries every pair of voxels inside, by their positions in the patient.
func slowDiameter(m *Mask) float64 {
	var at [][3]float64
	for z := range m.Grid.Size[2] {
		for y := range m.Grid.Size[1] {
			for x := range m.Grid.Size[0] {
				if m.In[m.Grid.Offset(x, y, z)] != 0 {
					at = append(at, m.Grid.Position([3]float64{float64(x), float64(y), float64(z)}))
				}
			}
		}
	}
	longest := 0.0
	for i, p := range at {
		for _, q := range at[i+1:] {
			longest = max(longest, math.Sqrt(squaredMM(p, q)))
		}
	}
	return longest
}

func TestMaxDiameterEqualsAllPairs(t *testing.T) {
	// A grid turned about z, so that an error in the axes would show.
	sin, cos := math.Sincos(0.3)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		g := Grid{Size: [3]int{4 + r.IntN(9), 3 + r.IntN(9), 2 + r.IntN(7)}, Origin: [3]float64{-31, 12, 7},
			Spacing: [3]float64{0.5 + r.Float64(), 0.5 + r.Float64(), 1 + 2*r.Float64()}, Direction: [9]float64{cos, -sin, 0, sin, cos, 0, 0, 0, 1}}
		m := NewMask(g)
		share := []float64{0.02, 0.3, 0.9}[seed%3] // scattered voxels, holes, nearly full
		m.In[r.IntN(len(m.In))] = 1
		for i := range m.In {
			if r.Float64() < share {
				m.In[i] = 1
			}
		}
		got, err := m.MaxDiameterMM()
		if want := slowDiameter(m); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("seed %d: %v mm (%v), all pairs say %v", seed, got, err, want)
		}
	}
}

func TestMaxDiameterOfAnEllipsoid(t *testing.T) {
	m := NewMask(Grid{Size: [3]int{61, 61, 31}, Spacing: [3]float64{0.7, 0.7, 2}, Direction: Identity})
	for z := range 31 {
		for y := range 61 {
			for x := range 61 {
				a, b, c := float64(x-30)*0.7/12, float64(y-30)*0.7/15, float64(z-15)*2/9
				if a*a+b*b+c*c <= 1 {
					m.In[m.Grid.Offset(x, y, z)] = 1
				}
			}
		}
	}
	// The longest axis is 30 mm along y; the voxel centres inside end within a pixel of it.
	if d, err := m.MaxDiameterMM(); err != nil || d > 30 || d < 30-2*0.7 {
		t.Errorf("%v mm, %v", d, err)
	}
}

func TestMaxDiameterEdges(t *testing.T) {
	m := NewMask(Grid{Size: [3]int{3, 3, 3}, Spacing: [3]float64{1, 1, 1}, Direction: Identity})
	var empty *EmptyMaskError
	if _, err := m.MaxDiameterMM(); !errors.As(err, &empty) {
		t.Errorf("an empty mask: %v", err)
	}
	m.In[13] = 1
	if d, err := m.MaxDiameterMM(); err != nil || d != 0 {
		t.Errorf("one voxel: %v mm, %v", d, err)
	}
	m.Grid.Spacing[1] = 0
	var geometry *GeometryError
	if _, err := m.MaxDiameterMM(); !errors.As(err, &geometry) {
		t.Errorf("a grid without spacing: %v", err)
	}
}
