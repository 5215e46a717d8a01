package volume

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What MedPy and SimpleITK make of the same masks; testdata/overlap.py says how.
func TestCompareMasksAsMedPy(t *testing.T) {
	text, err := os.ReadFile("testdata/overlap.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Source map[string]string
		Cases  []struct {
			Name          string
			Size          [3]int
			Spacing       [3]float64
			A, B          string
			Dice, Jaccard float64
			ITKDice       float64 `json:"itk_dice"`
			ITKJaccard    float64 `json:"itk_jaccard"`
			HD, HD95      float64
			ASSD          float64
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"tool", "version", "command", "program", "data"} {
		if golden.Source[field] == "" {
			t.Errorf("overlap.json: source.%s is empty", field)
		}
	}
	program, err := os.ReadFile(filepath.Join("testdata", golden.Source["program"]))
	if err != nil {
		t.Fatal(err)
	}
	if sum := md5.Sum(program); hex.EncodeToString(sum[:]) != golden.Source["program_md5"] {
		t.Errorf("overlap.json was not made by the present program: run %q in testdata", golden.Source["command"])
	}
	if len(golden.Cases) < 8 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		g := Grid{Size: c.Size, Spacing: c.Spacing, Direction: Identity}
		a, b := NewMask(g), NewMask(g)
		for i := range a.In {
			a.In[i], b.In[i] = c.A[i]-'0', c.B[i]-'0'
		}
		r, err := CompareMasks(a, b)
		if err != nil {
			t.Fatal(err)
		}
		for what, pair := range map[string][2]float64{
			"Dice": {r.Dice, c.Dice}, "Jaccard": {r.Jaccard, c.Jaccard}, "SimpleITK's Dice": {r.Dice, c.ITKDice},
			"SimpleITK's Jaccard": {r.Jaccard, c.ITKJaccard}, "Hausdorff": {r.Hausdorff, c.HD},
			"95% Hausdorff": {r.Hausdorff95, c.HD95}, "mean surface distance": {r.MeanSurface, c.ASSD},
		} {
			if !(math.Abs(pair[0]-pair[1]) <= 1e-9) {
				t.Errorf("%s: %s %v, want %v", c.Name, what, pair[0], pair[1])
			}
		}
		swapped, err := CompareMasks(b, a)
		if err != nil {
			t.Fatal(err)
		}
		swapped.VolumeA, swapped.VolumeB = swapped.VolumeB, swapped.VolumeA
		if swapped != r {
			t.Errorf("%s: %+v in one order, %+v in the other", c.Name, r, swapped)
		}
	}
}

// slowDistances looks at all pairs of surface voxels.
func slowDistances(from, to shell, spacing [3]float64) []float64 {
	var d []float64
	at := func(s shell, i int) [3]int {
		return [3]int{i % s.size[0], i / s.size[0] % s.size[1], i / s.size[0] / s.size[1]}
	}
	for i, on := range from.on {
		if !on {
			continue
		}
		least := math.Inf(1)
		for j, on := range to.on {
			if !on {
				continue
			}
			p, q, sum := at(from, i), at(to, j), 0.0
			for axis := range 3 {
				step := float64(p[axis]-q[axis]) * spacing[axis]
				sum += step * step
			}
			least = min(least, sum)
		}
		d = append(d, math.Sqrt(least))
	}
	return d
}

func TestSurfaceDistancesAgainstAllPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 1))
	for n := range 60 {
		g := Grid{Size: [3]int{1 + random.IntN(12), 1 + random.IntN(9), 1 + random.IntN(6)}, Direction: Identity}
		for axis := range 3 {
			g.Spacing[axis] = 0.3 + 4*random.Float64()
		}
		share := []float64{0.01, 0.1, 0.5, 0.95}[n%4]
		masks := [2]*Mask{NewMask(g), NewMask(g)}
		for _, m := range masks {
			for i := range m.In {
				if random.Float64() < share {
					m.In[i] = 1
				}
			}
			m.In[random.IntN(len(m.In))] = 1
		}
		last := [3]int{g.Size[0] - 1, g.Size[1] - 1, g.Size[2] - 1}
		a, b := surface(masks[0], [3]int{}, last), surface(masks[1], [3]int{}, last)
		got, want := a.distances(b, g.Spacing), slowDistances(a, b, g.Spacing)
		if len(got) != len(want) {
			t.Fatalf("case %d: %d surface voxels, want %d", n, len(got), len(want))
		}
		for i := range got {
			if !(math.Abs(got[i]-want[i]) <= 1e-12*(1+want[i])) {
				t.Fatalf("case %d, size %v: distance %v, want %v", n, g.Size, got[i], want[i])
			}
		}
		// The box that CompareMasks works in must not change anything.
		r, err := CompareMasks(masks[0], masks[1])
		if err != nil {
			t.Fatal(err)
		}
		all := append(want, slowDistances(b, a, g.Spacing)...)
		if d := slices.Max(all); !(math.Abs(r.Hausdorff-d) <= 1e-12*(1+d)) {
			t.Errorf("case %d: Hausdorff %v, want %v", n, r.Hausdorff, d)
		}
		if r.Hausdorff95 > r.Hausdorff || r.MeanSurface > r.Hausdorff || r.Jaccard > r.Dice || r.Dice > 1 {
			t.Errorf("case %d: impossible %+v", n, r)
		}
		if want := r.Dice / (2 - r.Dice); math.Abs(r.Jaccard-want) > 1e-12 {
			t.Errorf("case %d: Jaccard %v, want %v from Dice", n, r.Jaccard, want)
		}
	}
}

// Two boxes on an oblique grid: distances follow the spacing, not the direction.
func TestCompareMasksByHand(t *testing.T) {
	g := asymmetric(directions["oblique"])
	a, b := NewMask(g), NewMask(g)
	a.In[g.Offset(3, 4, 5)], b.In[g.Offset(3, 4, 7)], b.In[g.Offset(3, 6, 5)] = 1, 1, 1
	r, err := CompareMasks(a, b)
	if err != nil {
		t.Fatal(err)
	}
	// From a: 2.5 mm (two voxels in y). From b: 6 mm and 2.5 mm.
	if r.Dice != 0 || r.Jaccard != 0 || r.Hausdorff != 6 || math.Abs(r.MeanSurface-11.0/3) > 1e-12 || math.Abs(r.Hausdorff95-5.65) > 1e-12 ||
		math.Abs(r.VolumeB-2*r.VolumeA) > 1e-12 || math.Abs(r.VolumeA-0.977*1.25*3) > 1e-12 {
		t.Errorf("%+v", r)
	}
}

func TestCompareMasksErrors(t *testing.T) {
	g := asymmetric(Identity)
	full := NewMask(g)
	full.In[g.Offset(1, 2, 3)] = 1
	other := func(change func(*Grid)) *Mask {
		h := g
		change(&h)
		m := NewMask(h)
		m.In[0] = 1
		return m
	}
	for name, m := range map[string]*Mask{
		"size":    other(func(h *Grid) { h.Size[2]++ }),
		"spacing": other(func(h *Grid) { h.Spacing[1] *= 1.01 }),
		"origin":  other(func(h *Grid) { h.Origin[0] += 0.02 }),
		"flip":    other(func(h *Grid) { h.Direction[8] = -1 }),
		"nan":     other(func(h *Grid) { h.Origin[0] = math.NaN() }),
	} {
		var mismatch *GridMismatchError
		if _, err := CompareMasks(full, m); !errors.As(err, &mismatch) || mismatch.First == mismatch.Second {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := CompareMasks(full, other(func(h *Grid) { h.Origin[0] += 1e-4 })); err != nil {
		t.Errorf("rounded origin: %v", err)
	}
	var none *EmptyMaskError
	if _, err := CompareMasks(full, NewMask(g)); !errors.As(err, &none) {
		t.Errorf("empty second mask: %v", err)
	}
	if _, err := CompareMasks(NewMask(g), full); !errors.As(err, &none) {
		t.Errorf("empty first mask: %v", err)
	}
	var geometry *GeometryError
	if _, err := CompareMasks(&Mask{}, full); !errors.As(err, &geometry) {
		t.Errorf("no grid: %v", err)
	}
}
