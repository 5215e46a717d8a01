package qcsheet

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/volume"
)

// disc draws circles of a radius around a point, on the slices from one to another.
func disc(g volume.Grid, centre [3]float64, radius float64, from, to int) (out []volume.Contour) {
	for z := max(from, 0); z <= min(to, g.Size[2]-1); z++ {
		var c volume.Contour
		for k := range 40 {
			s, co := math.Sincos(2 * math.Pi * float64(k) / 40)
			c.Points = append(c.Points, [3]float64{centre[0] + radius*co, centre[1] + radius*s, g.Position([3]float64{0, 0, float64(z)})[2]})
		}
		out = append(out, c)
	}
	return out
}

// plantedCohort writes n phantom patients as DICOM, some faults among them, and prepares them.
func plantedCohort(t testing.TB, n int) string {
	t.Helper()
	s := phantom.Default()
	s.Seed, s.DICOM = 9, true
	s.Patients = phantom.PatientsPerRole{Test: n}
	p, err := phantom.New(s)
	if err != nil {
		t.Fatal(err)
	}
	root, out := t.TempDir(), t.TempDir()
	for i := range n {
		if err := p.WriteDICOM(root, i); err != nil {
			t.Fatal(err)
		}
	}
	write := func(id string, ct *volume.Volume, contours []volume.Contour) string {
		m := dicom.Meta{PatientID: id, Seed: "planted"}
		folder := filepath.Join(root, id)
		if err := dicom.WriteCT(filepath.Join(folder, "CT"), ct, m); err != nil {
			t.Fatal(err)
		}
		if err := dicom.WriteStructures(filepath.Join(folder, "RTSTRUCT.dcm"), []dicom.ROI{{Name: phantom.ROIName, Contours: contours}}, ct.Grid, m); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(folder, "CT")
	}
	where := func(m *volume.Mask) (mm [3]float64, slice int) {
		com, err := m.CentreOfMass()
		if err != nil {
			t.Fatal(err)
		}
		return m.Grid.Position(com), int(math.Round(com[2]))
	}
	ct, mask := p.Scan(0)
	at, z := where(mask)
	// Patient 0 again under another name, the contour drawn by hand.
	write("x-copied", ct, disc(ct.Grid, at, 9, z-2, z+2))
	// Stray clicks: 2 mm across, on one slice.
	ct, mask = p.Scan(1)
	ct.HU[0]++ // another scan
	at, z = where(mask)
	write("x-tiny", ct, disc(ct.Grid, at, 2, z, z))
	// A rescaling lost: everything 1024 too high.
	ct, mask = p.Scan(2)
	for i := range ct.HU {
		ct.HU[i] += 1024
	}
	at, z = where(mask)
	write("x-offset", ct, disc(ct.Grid, at, 9, z-3, z+3))
	// Two places under one name, 45 mm apart along x.
	ct, mask = p.Scan(3)
	ct.HU[0]++
	at, z = where(mask)
	pair := [2][3]float64{{at[0] - 22, at[1], at[2]}, {at[0] + 23, at[1], at[2]}}
	write("x-two", ct, append(disc(ct.Grid, pair[0], 5, z-2, z+2), disc(ct.Grid, pair[1], 5, z-2, z+2)...))
	// A slice that never came.
	ct, mask = p.Scan(4)
	at, z = where(mask)
	files, err := filepath.Glob(filepath.Join(write("x-missing", ct, disc(ct.Grid, at, 9, z-2, z+2)), "*"))
	if err != nil || len(files) < 10 {
		t.Fatal(err, files)
	}
	if err := os.Remove(files[len(files)/2]); err != nil {
		t.Fatal(err)
	}
	_, err = prepare.Run(context.Background(), prepare.Options{Root: root, Out: out, Cohort: "phantom", Jobs: 2,
		Rule: dicom.ROIRule{Exact: []string{phantom.ROIName}}, Cube: volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Faults planted in DICOM files come out on top, each for its own reason; no sound patient is
// called wrong.
func TestPlantedFaults(t *testing.T) {
	folder := plantedCohort(t, 10)
	all, err := read(folder)
	if err != nil {
		t.Fatal(err)
	}
	var top []string
	for _, c := range all.contours[:5] {
		top = append(top, c.patient)
	}
	original := all.first["x-copied"]
	copies := all.others("scan_crc32", original)
	if len(copies) != 1 {
		t.Fatalf("x-copied shares its scan with %q", copies)
	}
	// x-offset has no air, a dense cube and a dense tumour; of x-two the centre lies in lung.
	if want := []string{"x-offset", "x-two", copies[0], "x-copied", "x-tiny"}; !slices.Equal(top, want) {
		t.Errorf("on top %q, want %q", top, want)
	}
	for id, rule := range map[string]string{"x-copied": "scan of two patients", copies[0]: "scan of two patients", "x-offset": "no air in the scan", "x-tiny": "tiny tumour", "x-two": "pieces far apart"} {
		if c := all.first[id]; !slices.Contains(c.names(), rule) || c.level != wrong {
			t.Errorf("%s: %s %q, not %q", id, c.level, c.names(), rule)
		}
	}
	for _, c := range all.contours[5:] {
		if c.level == wrong || c.score > 3 {
			t.Errorf("%s, which is sound: %g %q", c.patient, c.score, c.names())
		}
	}
	if len(all.exclusions) != 1 || all.exclusions[0].Patient != "x-missing" || !strings.Contains(all.exclusions[0].Reason, "missing") {
		t.Errorf("exclusions %+v", all.exclusions)
	}
	if s, err := Write(folder); err != nil || s.Contours != 14 || s.Wrong != 5 {
		t.Errorf("%+v, %v", s, err)
	}
	if kept := os.Getenv("HOUNSFIELD_QC_OUT"); kept != "" {
		if err := os.CopyFS(kept, os.DirFS(folder)); err != nil {
			t.Error(err)
		}
	}
}

// The real patient has the tumour that its card says: large, most of it beyond the cube, and
// nothing else to be said against it.
func TestRealPatient(t *testing.T) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no real patient to look at")
	}
	root, out := filepath.Join(mirror, "nsclc-radiomics", "dicom"), t.TempDir()
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no real patient: %v", err)
	}
	_, err := prepare.Run(context.Background(), prepare.Options{Root: root, Out: out, Cohort: "nsclc-radiomics",
		Rule: dicom.ROIRule{Exact: []string{"GTV-1"}}, Cube: volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := read(out)
	if err != nil {
		t.Fatal(err)
	}
	c := all.find(t, "LUNG1-002", 1, "")
	if got := c.names(); !slices.Equal(got, []string{"tumour beyond the cube"}) {
		t.Errorf("rules %q", got)
	}
	// The patient is some 30 cm wide, the tumour in the right lower lobe.
	if skin := c.number("skin_mm"); !(skin > 50 && skin < 120) {
		t.Errorf("%v mm from the skin", skin)
	}
	if hu := c.number("tumour_hu"); !(hu > 0 && hu < 80) || c.number("mask_parts") != 1 || c.number("com_off_mask_mm") != 0 {
		t.Errorf("median %v HU, %v pieces, %v mm off its mask", hu, c.number("mask_parts"), c.number("com_off_mask_mm"))
	}
	if _, err := Write(out); err != nil {
		t.Fatal(err)
	}
	if kept := os.Getenv("HOUNSFIELD_QC_OUT"); kept != "" {
		if err := os.CopyFS(kept+"-real", os.DirFS(out)); err != nil {
			t.Error(err)
		}
	}
}
