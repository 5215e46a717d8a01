package volume

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// slowCube cuts the cube from the whole isotropic volume and mask, voxel by voxel.
func slowCube(t *testing.T, ct *Volume, mask *Mask, spec CubeSpec) *Cube {
	t.Helper()
	iso := Resample(ct, ct.Grid.Isotropic(spec.SpacingMM))
	isoMask := ResampleMask(mask, iso.Grid)
	com, err := isoMask.CentreOfMass()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cube{
		Edge: spec.Edge(), Margin: spec.Margin, CentreOfMass: com, CentreMM: iso.Grid.Position(com),
		CentreIndex: [3]int{int(com[0]), int(com[1]), int(com[2])},
		MaskVoxels:  isoMask.Count(), VolumeMM3: mask.VolumeMM3(),
	}
	start := -spec.Size/2 - spec.Margin
	for z := range c.Edge {
		for y := range c.Edge {
			for x := range c.Edge {
				i := [3]int{c.CentreIndex[0] + start + x, c.CentreIndex[1] + start + y, c.CentreIndex[2] + start + z}
				inside := true
				for a := range 3 {
					inside = inside && i[a] >= 0 && i[a] < iso.Grid.Size[a]
				}
				if !inside {
					c.Padded++
					c.HU = append(c.HU, -1024)
					continue
				}
				c.HU = append(c.HU, iso.HU[iso.Grid.Offset(i[0], i[1], i[2])])
			}
		}
	}
	return c
}

func TestCutCubeEqualsTheSlowWay(t *testing.T) {
	for name, direction := range directions {
		ct := noise(asymmetric(direction), 1)
		middle := ct.Grid.Position([3]float64{20.3, 9.8, 5.1})
		corner := ct.Grid.Position([3]float64{35, 21, 0.5})
		// A mask of another program's: its own spacing, start and (oblique) directions.
		own := Grid{Size: [3]int{30, 28, 26}, Spacing: [3]float64{1.1, 0.9, 1.3}, Direction: directions["oblique"]}
		for r := range 3 {
			own.Origin[r] = middle[r] - own.Position([3]float64{15, 14, 13})[r]
		}
		for what, mask := range map[string]*Mask{
			"middle":   blob(ct.Grid, middle, [3]float64{6, 5, 9}),
			"corner":   blob(ct.Grid, corner, [3]float64{8, 8, 8}),
			"own grid": blob(own, middle, [3]float64{5, 6, 7}),
		} {
			for _, spec := range []CubeSpec{{Size: 10, SpacingMM: 1}, {Size: 9, SpacingMM: 0.8, Margin: 4}, {Size: 50, SpacingMM: 1, Margin: 2}} {
				want := slowCube(t, ct, mask, spec)
				got, err := CutCube(ct, mask, spec)
				if err != nil {
					t.Fatal(name, what, err)
				}
				if !slices.Equal(got.HU, want.HU) {
					t.Errorf("%s, %s, %+v: other HU than the slow way", name, what, spec)
				}
				if got.CentreOfMass != want.CentreOfMass || got.CentreIndex != want.CentreIndex || got.CentreMM != want.CentreMM ||
					got.MaskVoxels != want.MaskVoxels || got.Padded != want.Padded || got.VolumeMM3 != want.VolumeMM3 ||
					got.Edge != want.Edge || got.Margin != want.Margin || got.MaskOutside != 0 {
					got.HU, want.HU = nil, nil
					t.Errorf("%s, %s, %+v: got %+v, want %+v", name, what, spec, got, want)
				}
			}
		}
	}
}

// The scan is a plane in space, so every voxel of the cube says where it came from:
// a swapped or flipped axis, another origin or a rounded centre shows at once.
func TestCutCubePlacesVoxels(t *testing.T) {
	for name, direction := range directions {
		ct := sample(asymmetric(direction), planeHU)
		mask := blob(ct.Grid, ct.Grid.Position([3]float64{20.3, 9.8, 6.4}), [3]float64{5, 5, 5})
		c, err := CutCube(ct, mask, CubeSpec{Size: 8, SpacingMM: 1})
		if err != nil {
			t.Fatal(name, err)
		}
		if c.Padded != 0 {
			t.Fatalf("%s: %d voxels padded, want a cube within the scan", name, c.Padded)
		}
		iso := ct.Grid.Isotropic(1)
		for z := range 8 {
			for y := range 8 {
				for x := range 8 {
					p := iso.Position([3]float64{float64(c.CentreIndex[0] - 4 + x), float64(c.CentreIndex[1] - 4 + y), float64(c.CentreIndex[2] - 4 + z)})
					if got, want := float64(c.HU[(z*8+y)*8+x]), planeHU(p); math.Abs(got-want) > 0.005 {
						t.Fatalf("%s: voxel %d,%d,%d is %v, want %v", name, x, y, z, got, want)
					}
				}
			}
		}
		// The centre is that of the mask in the patient, within half a slice.
		com, err := mask.CentreOfMass()
		if err != nil {
			t.Fatal(err)
		}
		native := mask.Grid.Position(com)
		for r := range 3 {
			if math.Abs(native[r]-c.CentreMM[r]) > 1.5 {
				t.Errorf("%s: centre %v mm, the mask's is %v", name, c.CentreMM, native)
			}
		}
	}
}

func TestCentreIsCutNotRounded(t *testing.T) {
	g := Grid{Size: [3]int{40, 40, 40}, Spacing: [3]float64{1, 1, 1}, Direction: Identity}
	ct, mask := NewVolume(g), NewMask(g)
	for _, i := range [][3]int{{10, 20, 30}, {11, 20, 30}, {11, 21, 31}, {11, 21, 31}} {
		mask.In[g.Offset(i[0], i[1], i[2])] = 1
	}
	mask.In[g.Offset(11, 22, 31)] = 1
	c, err := CutCube(ct, mask, CubeSpec{Size: 4, SpacingMM: 1})
	if err != nil {
		t.Fatal(err)
	}
	// Means of 10 11 11 11, 20 20 21 22 and 30 30 31 31.
	if c.CentreOfMass != [3]float64{10.75, 20.75, 30.5} || c.CentreIndex != [3]int{10, 20, 30} || c.First() != [3]int{8, 18, 28} {
		t.Errorf("centre %v, cut %v, first %v", c.CentreOfMass, c.CentreIndex, c.First())
	}
	if c.MaskVoxels != 4 || c.VolumeMM3 != 4 {
		t.Errorf("%d voxels, %v mm3, want 4 and 4", c.MaskVoxels, c.VolumeMM3)
	}
}

func TestCubeIsPaddedNeverShifted(t *testing.T) {
	g := Grid{Size: [3]int{60, 60, 12}, Spacing: [3]float64{1, 1, 1}, Direction: Identity}
	ct, mask := NewVolume(g), NewMask(g) // water everywhere
	mask.In[g.Offset(30, 30, 2)] = 1
	c, err := CutCube(ct, mask, CubeSpec{Size: 10, SpacingMM: 1})
	if err != nil {
		t.Fatal(err)
	}
	if c.Padded != 3*100 || c.First() != [3]int{25, 25, -3} {
		t.Errorf("padded %d, first %v; want 300 voxels of air below slice 0", c.Padded, c.First())
	}
	for i, hu := range c.HU {
		if want := float32(0); i < 300 && hu != -1024 || i >= 300 && hu != want {
			t.Fatalf("voxel %d is %v", i, hu)
		}
	}
}

func TestValuesBelowAirAreKept(t *testing.T) {
	g := Grid{Size: [3]int{8, 8, 8}, Spacing: [3]float64{1, 1, 1}, Direction: Identity}
	ct, mask := NewVolume(g), NewMask(g)
	for i := range ct.HU {
		ct.HU[i] = -2000
	}
	mask.In[g.Offset(4, 4, 4)] = 1
	c, err := CutCube(ct, mask, CubeSpec{Size: 4, SpacingMM: 1})
	if err != nil {
		t.Fatal(err)
	}
	if c.HU[0] != -2000 || Normalise(c.HU[0]) >= 0 {
		t.Errorf("voxel 0 is %v, normalised %v; want -2000 kept and below 0", c.HU[0], Normalise(c.HU[0]))
	}
	if Normalise(HUMin) != 0 || Normalise(HUMax) != 1 {
		t.Error("HUMin and HUMax must map to 0 and 1")
	}
}

func TestCentral(t *testing.T) {
	ct := noise(asymmetric(Identity), 9)
	mask := blob(ct.Grid, ct.Grid.Position([3]float64{20, 9, 5}), [3]float64{6, 5, 9})
	wide, err := CutCube(ct, mask, CubeSpec{Size: 10, SpacingMM: 1, Margin: 3})
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := CutCube(ct, mask, CubeSpec{Size: 10, SpacingMM: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(wide.Central(10), narrow.HU) || !slices.Equal(narrow.Central(10), narrow.HU) {
		t.Error("the centre of the wide cube is not the narrow cube")
	}
	defer func() {
		if recover() == nil {
			t.Error("a cube of odd size has no centre in one of even size: want a panic")
		}
	}()
	wide.Central(9)
}

func TestCutCubeErrors(t *testing.T) {
	g := asymmetric(Identity)
	ct, mask := NewVolume(g), blob(g, g.Position([3]float64{20, 9, 5}), [3]float64{6, 5, 9})
	away := NewMask(g)
	away.Grid.Origin[0] += 500
	away.In[0] = 1
	for name, test := range map[string]struct {
		mask *Mask
		spec CubeSpec
		want any
	}{
		"empty mask":            {NewMask(g), CubeSpec{Size: 10, SpacingMM: 1}, new(*EmptyMaskError)},
		"mask elsewhere":        {away, CubeSpec{Size: 10, SpacingMM: 1}, new(*EmptyMaskError)},
		"mask without geometry": {&Mask{In: mask.In}, CubeSpec{Size: 10, SpacingMM: 1}, new(*GeometryError)},
		"no size":               {mask, CubeSpec{SpacingMM: 1}, new(*GeometryError)},
		"no spacing":            {mask, CubeSpec{Size: 10}, new(*GeometryError)},
		"huge margin":           {mask, CubeSpec{Size: 10, SpacingMM: 1, Margin: 1 << 40}, new(*GeometryError)},
	} {
		c, err := CutCube(ct, test.mask, test.spec)
		if !errors.As(err, test.want) || c != nil {
			t.Errorf("%s: got %v, want a %T", name, err, test.want)
		}
	}
}

func TestMaskOutsideIsCounted(t *testing.T) {
	g := Grid{Size: [3]int{20, 20, 20}, Spacing: [3]float64{1, 1, 1}, Direction: Identity}
	own := g
	own.Origin = [3]float64{0, 0, -5}
	mask := NewMask(own)
	for z := 3; z < 8; z++ { // positions -2 to 2 mm: two of the five lie below the scan
		mask.In[own.Offset(10, 10, z)] = 1
	}
	c, err := CutCube(NewVolume(g), mask, CubeSpec{Size: 4, SpacingMM: 1})
	if err != nil {
		t.Fatal(err)
	}
	if c.MaskOutside != 2 || c.MaskVoxels != 3 || c.VolumeMM3 != 5 {
		t.Errorf("outside %d, voxels %d, volume %v; want 2, 3, 5", c.MaskOutside, c.MaskVoxels, c.VolumeMM3)
	}
}

func TestBounds(t *testing.T) {
	m := NewMask(asymmetric(Identity))
	if _, _, ok := m.Bounds(); ok {
		t.Error("an empty mask has no bounds")
	}
	for _, i := range [][3]int{{5, 7, 2}, {30, 3, 4}, {11, 22, 12}} {
		m.In[m.Grid.Offset(i[0], i[1], i[2])] = 1
	}
	if first, last, ok := m.Bounds(); !ok || first != [3]int{5, 3, 2} || last != [3]int{30, 22, 12} {
		t.Errorf("bounds %v to %v", first, last)
	}
	var empty *EmptyMaskError
	if _, err := NewMask(m.Grid).CentreOfMass(); !errors.As(err, &empty) {
		t.Errorf("got %v, want an *EmptyMaskError", err)
	}
}

// The cube's own grid places it: scan and mask resampled there are the cube, voxel by voxel,
// where there is a scan.
func TestCubeGrid(t *testing.T) {
	for name, direction := range directions {
		ct := noise(asymmetric(direction), 3)
		mask := blob(ct.Grid, ct.Grid.Position([3]float64{22, 10, 5.5}), [3]float64{6, 5, 9})
		for _, spec := range []CubeSpec{{Size: 10, SpacingMM: 1, Margin: 2}, {Size: 9, SpacingMM: 0.8}, {Size: 40, SpacingMM: 1.1, Margin: 3}} {
			c, err := CutCube(ct, mask, spec)
			if err != nil {
				t.Fatal(err)
			}
			g := c.Grid(ct.Grid, spec.SpacingMM)
			if again := c.Grid(ct.Grid.Isotropic(spec.SpacingMM), spec.SpacingMM); again.Size != g.Size || math.Abs(again.Origin[0]-g.Origin[0]) > 1e-9 {
				t.Errorf("%s: grid %v of the scan, %v of the isotropic scan", name, g, again)
			}
			got, first, iso := Resample(ct, g), c.First(), ct.Grid.Isotropic(spec.SpacingMM)
			compared := 0
			for k, hu := range c.HU {
				in := true
				for a, i := range [3]int{k % c.Edge, k / c.Edge % c.Edge, k / c.Edge / c.Edge} {
					in = in && first[a]+i >= 0 && first[a]+i < iso.Size[a]
				}
				if !in {
					continue
				}
				compared++
				if d := math.Abs(float64(got.HU[k] - hu)); d > 0.01 {
					t.Fatalf("%s %v: voxel %d is %v in the cube and %v in the scan at its place", name, spec, k, hu, got.HU[k])
				}
			}
			if compared != len(c.HU)-c.Padded {
				t.Errorf("%s %v: %d voxels compared, %d are not padded", name, spec, compared, len(c.HU)-c.Padded)
			}
		}
	}
}

// The cube around a mask's centre of mass is the cube around that point.
func TestCutCubeAt(t *testing.T) {
	g := Grid{Size: [3]int{40, 37, 18}, Origin: [3]float64{-120, 33, 400}, Spacing: [3]float64{0.9, 0.9, 2.5}, Direction: [9]float64{0, 1, 0, -1, 0, 0, 0, 0, 1}}
	ct, mask := NewVolume(g), NewMask(g)
	for i := range ct.HU {
		ct.HU[i] = float32(i%977) - 500
	}
	for z := 8; z < 12; z++ {
		for y := 10; y < 19; y++ {
			for x := 20; x < 26; x++ {
				mask.In[g.Offset(x, y, z)] = 1
			}
		}
	}
	spec := CubeSpec{Size: 12, SpacingMM: 1, Margin: 2}
	want, err := CutCube(ct, mask, spec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := CutCubeAt(ct, want.CentreMM, spec)
	if err != nil {
		t.Fatal(err)
	}
	if got.CentreIndex != want.CentreIndex || got.Padded != want.Padded || !slices.Equal(got.HU, want.HU) {
		t.Errorf("centre %v with %d voxels of air, want %v with %d", got.CentreIndex, got.Padded, want.CentreIndex, want.Padded)
	}
	// A whole voxel's position is that voxel, whatever the rounding.
	iso := g.Isotropic(1)
	for z := range 5 {
		at := [3]int{3 * z, 30 - z, 7 * z}
		c, err := CutCubeAt(ct, iso.Position([3]float64{float64(at[0]), float64(at[1]), float64(at[2])}), spec)
		if err != nil || c.CentreIndex != at {
			t.Errorf("centre %v, want %v (%v)", c.CentreIndex, at, err)
		}
	}
	var wrong *GeometryError
	if _, err := CutCubeAt(ct, iso.Position([3]float64{-0.5, 3, 3}), spec); !errors.As(err, &wrong) {
		t.Errorf("a point outside: %v", err)
	}
	if _, err := CutCubeAt(ct, [3]float64{math.NaN(), 3, 3}, spec); !errors.As(err, &wrong) {
		t.Errorf("no point: %v", err)
	}
}
