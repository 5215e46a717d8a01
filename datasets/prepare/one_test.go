package prepare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// one prepares a patient with one scan.
func one(patient dicom.PatientTree, spec volume.CubeSpec) (*Prepared, []error, error) {
	scans, lost, err := Options{Rule: rule}.find(patient)
	if err != nil {
		return nil, lost, err
	}
	p, err := scans[0].read(spec)
	return p, lost, err
}

// Turning a scan upright moves no voxel in the patient: checked for all 48 ways in
// which axes can be swapped and flipped, and for oblique ones.
func TestUpright(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	orders := [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for _, tilt := range []float64{0, 0.2} {
		for _, order := range orders {
			for signs := range 8 {
				g := volume.Grid{Size: [3]int{5, 4, 3}, Origin: [3]float64{1, 2, 3}, Spacing: [3]float64{0.7, 0.9, 2.5}}
				for a, r := range order {
					g.Direction[3*r+a] = 1 - 2*float64(signs>>a&1)
				}
				s, c := math.Sincos(tilt)
				for a := range 3 { // turn the columns about the patient's z
					x, y := g.Direction[a], g.Direction[3+a]
					g.Direction[a], g.Direction[3+a] = c*x-s*y, s*x+c*y
				}
				v, m := volume.NewVolume(g), volume.NewMask(g)
				for i := range v.HU {
					v.HU[i], m.In[i] = float32(i), uint8(rng.IntN(2))
				}
				up := upright(g)
				u, um := volume.Volume{Grid: up.grid, HU: turned(v.HU, up)}, volume.Mask{Grid: up.grid, In: turned(m.In, up)}
				if err := u.Grid.Check(); err != nil {
					t.Fatal(err)
				}
				if u.Grid != um.Grid || u.Grid.Len() != g.Len() {
					t.Fatalf("grids %v and %v of %v", u.Grid, um.Grid, g)
				}
				for a := range 3 {
					if u.Grid.Direction[4*a] < 0.9 {
						t.Fatalf("direction %v of %v", u.Grid.Direction, g.Direction)
					}
				}
				for i, hu := range u.HU {
					x, y, z := i%u.Grid.Size[0], i/u.Grid.Size[0]%u.Grid.Size[1], i/u.Grid.Size[0]/u.Grid.Size[1]
					from := int(hu)
					at := u.Grid.Position([3]float64{float64(x), float64(y), float64(z)})
					was := g.Position([3]float64{float64(from % 5), float64(from / 5 % 4), float64(from / 20)})
					for a := range 3 {
						if math.Abs(at[a]-was[a]) > 1e-9 {
							t.Fatalf("voxel %d went from %v to %v (order %v, signs %b)", from, was, at, order, signs)
						}
					}
					if um.In[i] != m.In[from] {
						t.Fatalf("the mask did not go with voxel %d", from)
					}
				}
			}
		}
	}
}

// However a patient lay in the scanner, the cube shows the same piece of the patient.
func TestFeetFirst(t *testing.T) {
	root := t.TempDir()
	// Odd sizes and 1 mm steps: flipping the lattice leaves the 1 mm grid in place.
	upGrid := volume.Grid{Size: [3]int{41, 45, 37}, Origin: [3]float64{-20, -22, -18}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}
	at := [3]float64{3.3, -4.2, 1.4} // no voxel centre lies on the contour
	feet := upGrid
	feet.Direction = [9]float64{-1, 0, 0, 0, 1, 0, 0, 0, -1}
	feet.Origin = [3]float64{20, -22, 18}
	for id, g := range map[string]volume.Grid{"HEAD": upGrid, "FEET": feet} {
		m := dicom.Meta{PatientID: id}
		if err := dicom.WriteCT(filepath.Join(root, id, "CT"), scan(g, at, 9), m); err != nil {
			t.Fatal(err)
		}
		// One and the same drawing, in patient coordinates.
		if err := dicom.WriteStructures(filepath.Join(root, id, "rt.dcm"), []dicom.ROI{ball(upGrid, "GTV-1", at, 9)}, g, m); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []*Prepared
	for _, p := range tree.Patients {
		it, _, err := one(p, spec)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, it)
	}
	if got[0].PatientID != "FEET" || len(got[0].Notes) != 1 || len(got[1].Notes) != 0 {
		t.Errorf("notes %q and %q", got[0].Notes, got[1].Notes)
	}
	if !slices.Equal(got[0].Cube.HU, got[1].Cube.HU) || got[0].CubeGrid() != got[1].CubeGrid() || got[0].CRC != got[1].CRC {
		t.Errorf("cubes at %v and %v differ", got[0].CubeGrid(), got[1].CubeGrid())
	}
}

// Where no structure set has the region, the segmentation is used; a structure set
// that names others is noted.
func TestSegmentationInstead(t *testing.T) {
	root := segmented(t)
	tree, err := dicom.Index(root)
	if err != nil || len(tree.Patients) != 1 {
		t.Fatalf("tree %+v, error %v", tree, err)
	}
	p, lost, err := one(tree.Patients[0], volume.CubeSpec{Size: 10, SpacingMM: 1})
	if err != nil || len(lost) != 0 {
		t.Fatalf("lost %v, error %v", lost, err)
	}
	want := 0
	for frame := range 3 {
		for y := range 16 {
			for x := range 24 {
				if (x+2*y+3*frame)%7 < 3 && x > 2 { // the formula of testdata/make.py
					want++
				}
			}
		}
	}
	if p.MaskVoxels != want || p.ROI.Name != "GTV-1" || filepath.Base(p.Contours) != "seg.dcm" {
		t.Errorf("%d voxels of %q from %s, want %d", p.MaskVoxels, p.ROI.Name, p.Contours, want)
	}
	rt := filepath.Join(root, "rt.dcm")
	if err := dicom.WriteStructures(rt, []dicom.ROI{{Name: "Heart"}}, chest, dicom.Meta{PatientID: "MADE-1"}); err != nil {
		t.Fatal(err)
	}
	if tree, err = dicom.Index(root); err != nil {
		t.Fatal(err)
	}
	_, lost, err = one(tree.Patients[0], volume.CubeSpec{Size: 10, SpacingMM: 1})
	if err != nil || len(lost) != 1 || dicom.FileOf(lost[0]) != rt {
		t.Errorf("lost %v, error %v", lost, err)
	}
}

// segmented is a folder with dicom/testdata/seg.dcm and the scan that it was drawn on.
func segmented(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	made := filepath.Join("..", "dicom", "testdata", "seg.dcm")
	raw, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "seg.dcm"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	// The scan that seg.dcm was drawn on, made of the slice beside it.
	slice, err := os.ReadFile(filepath.Join("..", "dicom", "testdata", "ct_explicit.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	for z := range 9 {
		one := slices.Clone(slice)
		swap := func(from, to string) {
			t.Helper()
			i := indexOf(one, from)
			if i < 0 || len(from) != len(to) {
				t.Fatalf("%q is not in the slice", from)
			}
			copy(one[i:], to)
		}
		swap(`\-30.0`, fmt.Sprintf(`\%+05.1f`, -30+2.5*float64(z)))
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("ct%d.dcm", z)), one, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func indexOf(b []byte, s string) int {
	for i := range len(b) - len(s) + 1 {
		if string(b[i:i+len(s)]) == s {
			return i
		}
	}
	return -1
}

// A tumour at the edge: the cube is filled up with air and not shifted.
func TestPadded(t *testing.T) {
	root := t.TempDir()
	at := [3]float64{3, -4, 20} // 2.5 mm below the last slice
	m := dicom.Meta{PatientID: "P1"}
	if err := dicom.WriteCT(filepath.Join(root, "CT"), scan(chest, at, 6), m); err != nil {
		t.Fatal(err)
	}
	writeStructures(t, filepath.Join(root, "rt.dcm"), m, ball(chest, "GTV-1", at, 6))
	_, tab, _ := run(t, options(root, t.TempDir()))
	// The isotropic grid has 48 samples along z (19 x 2.5 mm); the cube reaches 10 below and 9 above its centre.
	c := int(tab.Int64s("centre_z")[0])
	want := max(0, c+10-48) * 20 * 20
	if got := int(tab.Int64s("padded_voxels")[0]); got != want || want == 0 {
		t.Errorf("%d voxels of air around centre %d, want %d", got, c, want)
	}
	if low := tab.Float64s("cube_min")[0]; low != 0 {
		t.Errorf("smallest value %v, air is 0", low)
	}
}

// The real patient through the whole path, against the figures of the replication
// (STUDY.md: SimpleITK, plastimatch and the idc-radiomics-reproducibility code).
func TestLung1(t *testing.T) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no real patient to prepare")
	}
	o := options(filepath.Join(mirror, "nsclc-radiomics", "dicom", "LUNG1-002"), t.TempDir())
	o.Cube = volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}
	s, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := table.Read(s.Imaging, ImagingSchema(), nil)
	if err != nil || tab.Rows() != 1 {
		t.Fatalf("summary %+v, error %v", s, err)
	}
	for name, want := range map[string]int64{
		"size_x": 512, "size_y": 512, "size_z": 111, "slices": 111, "scan_crc32": 1277147980, "mask_voxels": 125531,
		"centre_z": 114, "centre_y": 266, "centre_x": 175, "padded_voxels": 0,
	} {
		if got := tab.Int64s(name)[0]; got != want {
			t.Errorf("%s %d, want %d", name, got, want)
		}
	}
	for name, c := range map[string]struct{ want, tolerance float64 }{
		"spacing_x_mm": {0.977, 0}, "spacing_y_mm": {0.977, 0}, "spacing_z_mm": {3, 0}, "hu_min": {-1024, 0}, "hu_max": {3071, 0},
		"mask_mm3": {359469, 0.5},
		"com_z":    {114.721, 0.01}, "com_y": {266.582, 0.01}, "com_x": {175.693, 0.01},
		"com_x_mm": {-74.419, 0.01}, "com_y_mm": {16.470, 0.01}, "com_z_mm": {-18.679, 0.01},
		// 0.05 HU is 1.2e-5 of the normalised range.
		"cube_mean": {0.256927, 1.3e-5}, "cube_min": {0.028065, 1.3e-5}, "cube_max": {0.294280, 1.3e-5},
	} {
		if got := tab.Float64s(name)[0]; !(math.Abs(got-c.want) <= c.tolerance) {
			t.Errorf("%s %v, want %v within %v", name, got, c.want, c.tolerance)
		}
	}
	if got := tab.Int64s("mask_voxels_iso")[0]; got < 359565-5 || got > 359565+5 {
		t.Errorf("1 mm mask of %d voxels, want 359565", got)
	}
	if roi, notes := tab.Strings("roi")[0], tab.Strings("notes")[0]; roi != "GTV-1" || notes != "" {
		t.Errorf("ROI %q, notes %q", roi, notes)
	}
}

// A fault of the program says where it was, in the same words each time and without the
// folders of whoever built it.
func TestFaultSaysWhere(t *testing.T) {
	var none []int
	fault := func() string {
		return guarded(func() error { return fmt.Errorf("%d", none[len(none)+2]) }).Error()
	}
	said := make(chan string)
	for range 2 {
		go func() { said <- fault() }()
	}
	first, second := <-said, <-said
	if !strings.HasPrefix(first, "a fault of this program, please report it: runtime error: index out of range [2] with length 0 (prepare.TestFaultSaysWhere") ||
		!strings.Contains(first, "one_test.go:") || strings.ContainsAny(first, "/\n") || strings.Contains(first, "goexit") {
		t.Errorf("%q", first)
	}
	if second != first {
		t.Errorf("%q and then %q", first, second)
	}
}
