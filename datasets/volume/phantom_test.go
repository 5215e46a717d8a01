package volume

import (
	"math"
	"math/rand/v2"
	"testing"
)

// directions are the ways a scan can lie: axial, feet first, prone, on its side,
// acquired in sagittal planes, a mirror image, and oblique.
var directions = map[string][9]float64{
	"axial":          Identity,
	"feet first":     {-1, 0, 0, 0, 1, 0, 0, 0, -1},
	"prone":          {-1, 0, 0, 0, -1, 0, 0, 0, 1},
	"on the side":    {0, -1, 0, 1, 0, 0, 0, 0, 1},
	"sagittal":       {0, 0, 1, 1, 0, 0, 0, 1, 0},
	"mirror image":   {1, 0, 0, 0, 1, 0, 0, 0, -1},
	"oblique":        {0.64, -0.48, 0.6, 0.6, 0.8, 0, -0.48, 0.36, 0.8},
	"few digits":     {0.9962, 0, 0.0872, 0, 1, 0, -0.0872, 0, 0.9962}, // orthonormal to 5e-5 only
	"slight oblique": {0.999998, -0.002, 0, 0.002, 0.999998, 0, 0, 0, 1},
}

// asymmetric is a grid of another size and spacing along each axis, off the origin.
func asymmetric(direction [9]float64) Grid {
	return Grid{Size: [3]int{37, 23, 13}, Origin: [3]float64{-31.5, 17.25, -133.4}, Spacing: [3]float64{0.977, 1.25, 3}, Direction: direction}
}

// planeHU is a scan whose value says where in the patient it is: linear along every
// axis, with another slope along each.
func planeHU(p [3]float64) float64 { return 3*p[0] - 7*p[1] + 11*p[2] - 200 }

func sample(g Grid, f func([3]float64) float64) *Volume {
	v := NewVolume(g)
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			for x := range g.Size[0] {
				v.HU[g.Offset(x, y, z)] = float32(f(g.Position([3]float64{float64(x), float64(y), float64(z)})))
			}
		}
	}
	return v
}

// noise is a scan of random whole HU.
func noise(g Grid, seed uint64) *Volume {
	r := rand.New(rand.NewPCG(seed, 1))
	v := NewVolume(g)
	for i := range v.HU {
		v.HU[i] = float32(r.IntN(4096) - 1024)
	}
	return v
}

// blob is a mask of all voxels within radius mm of a point.
func blob(g Grid, centre [3]float64, radius [3]float64) *Mask {
	m := NewMask(g)
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			for x := range g.Size[0] {
				p := g.Position([3]float64{float64(x), float64(y), float64(z)})
				d := 0.0
				for r := range 3 {
					d += (p[r] - centre[r]) * (p[r] - centre[r]) / (radius[r] * radius[r])
				}
				if d <= 1 {
					m.In[g.Offset(x, y, z)] = 1
				}
			}
		}
	}
	return m
}

func TestIndexUndoesPosition(t *testing.T) {
	for name, direction := range directions {
		g := asymmetric(direction)
		if err := g.Check(); err != nil {
			t.Fatal(name, err)
		}
		for _, want := range [][3]float64{{0, 0, 0}, {36, 0, 0}, {0, 22, 0}, {0, 0, 12}, {-3.5, 7.25, 100}} {
			got := g.Index(g.Position(want))
			for a := range 3 {
				if math.Abs(got[a]-want[a]) > 1e-10 {
					t.Errorf("%s: index %v came back as %v", name, want, got)
				}
			}
		}
	}
}

func TestGridCheck(t *testing.T) {
	nan := math.NaN()
	for field, change := range map[string]func(g *Grid){
		"size":      func(g *Grid) { g.Size[1] = 0 },
		"spacing":   func(g *Grid) { g.Spacing[2] = nan },
		"origin":    func(g *Grid) { g.Origin[0] = math.Inf(-1) },
		"direction": func(g *Grid) { g.Direction[1] = 0.1 },
	} {
		g := asymmetric(Identity)
		change(&g)
		err, ok := g.Check().(*GeometryError)
		if !ok || err.Field != field {
			t.Errorf("got %v, want a *GeometryError about %s", err, field)
		}
	}
}

func TestIsotropicSize(t *testing.T) {
	for _, test := range []struct {
		n       int
		spacing float64
		mm      float64
		want    int
	}{
		{512, 0.977, 1, 500}, // LUNG1-002: (512-1) * 0.977 = 499.2
		{111, 3, 1, 331},     // its slices
		{11, 0.1, 1, 2},      // 10 * 0.1 is exactly one step, whatever the last digit
		{11, 0.7, 1, 8},
		{1, 5, 1, 1},
		{2, 0.9, 1, 1},
		{3, 2, 0.5, 9},
	} {
		g := Grid{Size: [3]int{test.n, test.n, test.n}, Spacing: [3]float64{test.spacing, test.spacing, test.spacing}, Direction: Identity, Origin: [3]float64{1, 2, 3}}
		iso := g.Isotropic(test.mm)
		if iso.Size != [3]int{test.want, test.want, test.want} || iso.Origin != g.Origin || iso.Spacing != [3]float64{test.mm, test.mm, test.mm} || iso.Direction != g.Direction {
			t.Errorf("%d voxels of %v mm gave %v, want %d voxels of %v mm", test.n, test.spacing, iso, test.want, test.mm)
		}
	}
}
