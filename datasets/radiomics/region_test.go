package radiomics

import (
	"errors"
	"math"
	"testing"

	"hounsfield/datasets/volume"
)

// sphere is a ball of some radius in mm around the middle of a grid.
func sphere(size [3]int, spacing [3]float64, radius float64, hu func(mm [3]float64) float64) (*volume.Volume, *volume.Mask) {
	g := volume.Grid{Size: size, Spacing: spacing, Direction: volume.Identity}
	ct, mask := volume.NewVolume(g), volume.NewMask(g)
	for z := range size[2] {
		for y := range size[1] {
			for x := range size[0] {
				var p [3]float64
				for a, k := range [3]int{x, y, z} {
					p[a] = (float64(k) - float64(size[a]-1)/2) * spacing[a]
				}
				i := g.Offset(x, y, z)
				ct.HU[i] = float32(hu(p))
				if math.Sqrt(dot(p, p)) <= radius {
					mask.In[i] = 1
				}
			}
		}
	}
	return ct, mask
}

func named(t *testing.T, features []Feature, column string) float64 {
	t.Helper()
	for _, f := range features {
		if f.Column() == column {
			return f.Value
		}
	}
	t.Fatalf("no feature %s", column)
	return 0
}

// A ball has the volume and the axes that it has on paper. Its surface runs around voxels, so
// that it is up to a voxel wider and its area a tenth larger than the ball's.
func TestShapeOfABall(t *testing.T) {
	ct, mask := sphere([3]int{50, 50, 28}, [3]float64{1, 1, 2}, 20, func(p [3]float64) float64 { return p[0] })
	got, err := Extract(t.Context(), ct, mask, Settings{BinWidth: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		want, tol float64
	}{
		{"MeshVolume", 4.0 / 3 * math.Pi * 8000, 0.02}, {"VoxelVolume", 4.0 / 3 * math.Pi * 8000, 0.02}, {"Maximum3DDiameter", 41, 0.03},
		{"Maximum2DDiameterSlice", 40, 0.04}, {"Sphericity", 0.89, 0.02}, {"Elongation", 1, 0.01}, {"Flatness", 1, 0.01},
		{"MajorAxisLength", 40 * 2 / math.Sqrt(5), 0.01}, {"EllipsoidVolumeDensity", math.Pow(math.Sqrt(5)/2, 3), 0.02},
	} {
		if v := named(t, got, "original_shape_"+c.name); math.Abs(v-c.want) > c.tol*c.want {
			t.Errorf("%s: %v, of a ball %v", c.name, v, c.want)
		}
	}
}

// The diameter is that of a search over all pairs.
func TestDiameterAgainstAllPairs(t *testing.T) {
	for seed := range uint64(5) {
		ct, mask := made(pyCase{Seed: seed, Size: [3]int{16, 13, 12}, Spacing: [3]float64{0.7, 1.1, 2.3}})
		w := newWindow(ct, mask, Settings{BinWidth: 25})
		vertices := w.region(w.values).surface().vertices
		most := 0.0
		for i, a := range vertices {
			for _, b := range vertices[:i] {
				d := sub(a, b)
				most = max(most, math.Sqrt(dot(d, d)))
			}
		}
		if got := diameter(vertices); math.Abs(got-most) > 1e-12 {
			t.Errorf("seed %d: %v, over all pairs %v", seed, got, most)
		}
	}
}

// A Gaussian blob of width s filtered at sigma has a Laplacian that can be written down: at
// its centre -3 sigma^2 s^3 / (s^2 + sigma^2)^(5/2) of its height.
func TestLaplacianOfABlob(t *testing.T) {
	const height, s = 1000, 5
	ct, mask := sphere([3]int{81, 81, 55}, [3]float64{1, 1, 1.5}, 3, func(p [3]float64) float64 { return height * math.Exp(-dot(p, p)/(2*s*s)) })
	for _, sigma := range []float64{2, 3, 5} {
		got, err := Extract(t.Context(), ct, mask, Settings{BinWidth: 5, LoGMM: []float64{sigma}})
		if err != nil {
			t.Fatal(err)
		}
		want := -3 * sigma * sigma * height * s * s * s / math.Pow(s*s+sigma*sigma, 2.5)
		image := map[float64]string{2: "log-sigma-2-mm-3D", 3: "log-sigma-3-mm-3D", 5: "log-sigma-5-mm-3D"}[sigma]
		if v := named(t, got, image+"_firstorder_Minimum"); math.Abs(v-want) > 0.005*math.Abs(want) {
			t.Errorf("sigma %v: %v at the centre, by hand %v", sigma, v, want)
		}
	}
}

// A region of one level, and one of a single voxel, have features that are numbers or say
// that there are none.
func TestFlatRegions(t *testing.T) {
	for _, radius := range []float64{0.1, 4} {
		ct, mask := sphere([3]int{15, 15, 15}, [3]float64{1, 1, 1}, radius, func([3]float64) float64 { return 40 })
		got, err := Extract(t.Context(), ct, mask, Settings{BinWidth: 25})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			alone := radius < 1 && (f.Family == "glcm" || f.Family == "ngtdm" || f.Name == "Elongation" || f.Name == "Flatness" || f.Family == "shape")
			if !alone && (math.IsNaN(f.Value) || math.IsInf(f.Value, 0)) {
				t.Errorf("radius %v: %s is %v", radius, f.Column(), f.Value)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	ct, mask := sphere([3]int{9, 9, 9}, [3]float64{1, 1, 1}, 3, func(p [3]float64) float64 { return 100 * p[2] })
	empty := volume.NewMask(ct.Grid)
	var region *RegionError
	if _, err := Extract(t.Context(), ct, empty, Settings{BinWidth: 25}); !errors.As(err, &region) {
		t.Errorf("an empty contour: %v", err)
	}
	if _, err := Extract(t.Context(), ct, mask, Settings{BinWidth: 0.01}); !errors.As(err, &region) {
		t.Errorf("60,000 bins: %v", err)
	}
	if _, err := Extract(t.Context(), ct, volume.NewMask(volume.Grid{Size: [3]int{2, 2, 2}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}), Settings{BinWidth: 25}); !errors.As(err, &region) {
		t.Errorf("another grid: %v", err)
	}
	var setting *SettingError
	for _, s := range []Settings{{}, {BinWidth: -1}, {BinWidth: 25, SpacingMM: -2}, {BinWidth: 25, LoGMM: []float64{0}}} {
		if _, err := Extract(t.Context(), ct, mask, s); !errors.As(err, &setting) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
