package prepare

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/datasets/volume"
)

// body is a scan of a round patient, radius mm around x = y = 0, in air, with the voxels that
// in says marked as the tumour, of hu.
func body(g volume.Grid, radius float64, hu float32, in func(p [3]float64) bool) *Prepared {
	p := &Prepared{PatientID: "P", Scan: 1, Spec: spec, CT: volume.NewVolume(g), Mask: volume.NewMask(g)}
	r := rand.New(rand.NewPCG(1, 2))
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			for x := range g.Size[0] {
				at := g.Position([3]float64{float64(x), float64(y), float64(z)})
				i := g.Offset(x, y, z)
				switch {
				case in(at):
					p.Mask.In[i], p.CT.HU[i] = 1, hu
				case math.Hypot(at[0], at[1]) <= radius-20:
					p.CT.HU[i] = -820 + float32(40*r.NormFloat64()) // lung
				case math.Hypot(at[0], at[1]) <= radius:
					p.CT.HU[i] = 30
				default:
					p.CT.HU[i] = max(-1024, -1000+float32(20*r.NormFloat64()))
				}
			}
		}
	}
	return p
}

func near(centre [3]float64, radius float64) func([3]float64) bool {
	return func(p [3]float64) bool {
		return math.Hypot(math.Hypot(p[0]-centre[0], p[1]-centre[1]), p[2]-centre[2]) <= radius
	}
}

func cut(t testing.TB, p *Prepared) quality {
	t.Helper()
	var err error
	if p.Cube, err = volume.CutCube(p.CT, p.Mask, p.Spec); err != nil {
		t.Fatal(err)
	}
	return p.quality()
}

var torso = volume.Grid{Size: [3]int{120, 110, 30}, Origin: [3]float64{-120, -110, -45}, Spacing: [3]float64{2, 2, 3}, Direction: volume.Identity}

func TestQuality(t *testing.T) {
	close := func(what string, got, want, by float64) {
		t.Helper()
		if !(math.Abs(got-want) <= by) {
			t.Errorf("%s: %v, want %v within %v", what, got, want, by)
		}
	}
	q := cut(t, body(torso, 90, 45, near([3]float64{40, 0, 0}, 8)))
	want := quality{TumourHU: 45, Parts: 1, MainShare: 1, SkinMM: q.SkinMM}
	if q != want {
		t.Errorf("a tumour in the lung: %+v, want %+v", q, want)
	}
	close("from the skin, mm", q.SkinMM, 50, 4) // the mean of nine pixels moves the border by one pixel

	// A second piece, 40 mm above the edge of the first along x: the boxes around the two are
	// 40 mm apart less at most a voxel.
	q = cut(t, body(torso, 90, 45, func(p [3]float64) bool {
		return near([3]float64{30, 0, 0}, 10)(p) || near([3]float64{-25, 0, 0}, 5)(p)
	}))
	if q.Parts != 2 {
		t.Errorf("%d pieces, not 2", q.Parts)
	}
	close("gap", q.GapMM, 40, 2)
	close("largest piece", q.MainShare, 8./9, 0.02)
	if q.OffMaskMM != 0 {
		t.Errorf("the centre of mass lies in the larger piece, not %v mm off", q.OffMaskMM)
	}

	// A ring: its centre of mass is its middle, 12 mm from the nearest voxel. Its cube of
	// 20 mm holds none of it but what is within the cube's corners.
	q = cut(t, body(torso, 90, 45, func(p [3]float64) bool {
		r := math.Hypot(p[0], p[1])
		return math.Abs(p[2]) < 2 && r >= 11.9 && r <= 20
	}))
	close("off the mask", q.OffMaskMM, 12, 0.8) // on the 1 mm grid the nearest of two voxels moves the centre by half a mm along x and y
	if q.BeyondCube < 0.85 || q.BeyondCube > 0.99 {
		t.Errorf("beyond the cube: %v", q.BeyondCube)
	}

	// On the couch beside the patient, and in the last slices.
	q = cut(t, body(torso, 60, -990, near([3]float64{90, 0, 45}, 6)))
	if q.SkinMM != 0 || q.TumourHU != -990 || q.EdgeVoxels == 0 {
		t.Errorf("a tumour in air at the end of the scan: %+v", q)
	}
	// A scan that ends within the patient shows no skin.
	inner := torso
	inner.Size, inner.Origin = [3]int{40, 40, 30}, [3]float64{-40, -40, -45}
	if q = cut(t, body(inner, 90, 45, near([3]float64{0, 0, 0}, 8))); q.SkinMM != -1 {
		t.Errorf("%v mm from the skin, where there is none to be seen", q.SkinMM)
	}
}

// A mask on a grid of its own is judged as the same mask on the scan's.
func TestQualityMaskOnAnotherGrid(t *testing.T) {
	p := body(torso, 90, 45, near([3]float64{40, 0, 0}, 14))
	same := cut(t, p)
	finer := torso
	finer.Spacing, finer.Size = [3]float64{1, 1, 1.5}, [3]int{239, 219, 59}
	p.Mask = volume.ResampleMask(p.Mask, finer)
	other := cut(t, p)
	if other.Parts != 1 || other.TumourHU != 45 || other.OffMaskMM != 0 || other.Outside != 0 ||
		math.Abs(other.BeyondCube-same.BeyondCube) > 0.05 || same.BeyondCube < 0.1 || math.Abs(other.SkinMM-same.SkinMM) > 1 {
		t.Errorf("on the scan's grid %+v, on a finer one %+v", same, other)
	}
}

// pieces against a slow way: every voxel takes the smallest number of its neighbours' until
// nothing changes.
func TestPiecesOracle(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		g := volume.Grid{Size: [3]int{2 + r.IntN(7), 2 + r.IntN(6), 1 + r.IntN(6)}, Spacing: [3]float64{1, 1.5, 3}, Direction: volume.Identity}
		m := volume.NewMask(g)
		fill := 0.05 + 0.2*r.Float64()
		for i := range m.In {
			if r.Float64() < fill {
				m.In[i] = 1
			}
		}
		label := make([]int, len(m.In))
		at := func(i int) [3]int {
			return [3]int{i % g.Size[0], i / g.Size[0] % g.Size[1], i / (g.Size[0] * g.Size[1])}
		}
		touch := func(a, b [3]int) bool {
			return max(a[0]-b[0], b[0]-a[0], a[1]-b[1], b[1]-a[1], a[2]-b[2], b[2]-a[2]) <= 1
		}
		for i := range label {
			label[i] = i
		}
		for changed := true; changed; {
			changed = false
			for i := range label {
				for j := range label {
					if m.In[i] != 0 && m.In[j] != 0 && label[j] < label[i] && touch(at(i), at(j)) {
						label[i], changed = label[j], true
					}
				}
			}
		}
		sizes := map[int]int{}
		total := 0
		for i, l := range label {
			if m.In[i] != 0 {
				sizes[l]++
				total++
			}
		}
		share := 0.0
		for _, n := range sizes {
			share = max(share, float64(n)/float64(total))
		}
		n, main, _ := pieces(m)
		if n != len(sizes) || total > 0 && main != share {
			t.Fatalf("seed %d: %d pieces, the largest %v; slowly %d, %v", seed, n, main, len(sizes), share)
		}
	}
}

// The median by counting is that of sorted values.
func TestMedianOf(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := 1; n < 40; n++ {
		counts := make([]int, 1<<16)
		values := make([]int, n)
		for i := range values {
			values[i] = r.IntN(60) - 1030
			counts[values[i]+32768]++
		}
		slices.Sort(values)
		if got := medianOf(counts, n); got != float64(values[(n-1)/2]) {
			t.Fatalf("%d values: %v, sorted %d", n, got, values[(n-1)/2])
		}
	}
}
