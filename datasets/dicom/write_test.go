package dicom

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hounsfield/datasets/volume"
)

// writtenFiles writes the scan and the structures that outside programs have read.
func writtenFiles(t *testing.T) (ct []string, structures string) {
	t.Helper()
	m := Meta{PatientID: "P1", Seed: "golden", Manufacturer: "Maker", Model: "M1", Kernel: "B30f", Unsigned: true}
	return writeSeries(t, ramp(axial), m), writeRegions(t, m, tumour("GTV-1"), ROI{Name: "Lung, linke Hälfte"})
}

// The bytes are those that other programs were seen to read; testdata/written.json
// says which, and what they read.
func TestWriteGivesTheFilesThatWereChecked(t *testing.T) {
	raw, err := os.ReadFile("testdata/written.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Source string
		SHA256 map[string]string
	}
	if err := json.Unmarshal(raw, &golden); err != nil || golden.Source == "" || len(golden.SHA256) != 9 {
		t.Fatalf("golden file: error %v, source %q, %d files", err, golden.Source, len(golden.SHA256))
	}
	ct, structures := writtenFiles(t)
	for _, file := range append(ct, structures) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if got := fmt.Sprintf("%x", sha256.Sum256(raw)); got != golden.SHA256[name] {
			t.Errorf("%s has SHA-256 %s, checked was %s; check it with other programs again (TestOutsideProgramsRead), then put the new sum", name, got, golden.SHA256[name])
		}
	}
}

// dcmdump and pydicom read what is written.
func TestOutsideProgramsRead(t *testing.T) {
	ct, structures := writtenFiles(t)
	t.Run("dcmdump", func(t *testing.T) {
		if _, err := exec.LookPath("dcmdump"); err != nil {
			t.Skip("dcmdump (Debian package dcmtk) is not installed")
		}
		for _, file := range append(ct, structures) {
			out, err := exec.Command("dcmdump", "-q", file).CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("[P1]")) || bytes.Contains(out, []byte("E: ")) || bytes.Contains(out, []byte("W: ")) {
				t.Errorf("%s: error %v, output\n%.2000s", file, err, out)
			}
		}
	})
	t.Run("pydicom", func(t *testing.T) {
		const python = "/usr/bin/python3"
		if err := exec.Command(python, "-c", "import pydicom, numpy").Run(); err != nil {
			t.Skip("pydicom (Debian package python3-pydicom) is not installed")
		}
		program := `
import json, sys, pydicom
out = []
for f in sys.argv[1:-1]:
    d = pydicom.dcmread(f)
    hu = d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)
    out.append({"z": float(d.ImagePositionPatient[2]), "hu": hu.flatten().tolist(), "spacing": [float(v) for v in d.PixelSpacing]})
s = pydicom.dcmread(sys.argv[-1])
roi = s.StructureSetROISequence
contours = s.ROIContourSequence[0].ContourSequence
print(json.dumps({"slices": out, "names": [r.ROIName for r in roi],
    "contours": [[float(v) for v in c.ContourData] for c in contours],
    "images": [c.ContourImageSequence[0].ReferencedSOPInstanceUID for c in contours],
    "uids": [pydicom.dcmread(f).SOPInstanceUID for f in sys.argv[1:-1]]}))`
		out, err := exec.Command(python, append([]string{"-c", program}, append(ct, structures)...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Slices []struct {
				Z       float64
				HU      []float32
				Spacing []float64
			}
			Names        []string
			Contours     [][]float64
			Images, UIDs []string
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		want := ramp(axial)
		plane := axial.Size[0] * axial.Size[1]
		for i, s := range got.Slices {
			z := int(math.Round((s.Z - axial.Origin[2]) / axial.Spacing[2]))
			if len(s.HU) != plane || s.Spacing[0] != 0.8 || s.Spacing[1] != 0.9 {
				t.Fatalf("%s: %d voxels, spacing %v", ct[i], len(s.HU), s.Spacing)
			}
			for k := range s.HU {
				if s.HU[k] != want.HU[z*plane+k] {
					t.Fatalf("%s: voxel %d is %v, want %v", ct[i], k, s.HU[k], want.HU[z*plane+k])
				}
			}
		}
		if strings.Join(got.Names, "|") != "GTV-1|Lung, linke Hälfte" {
			t.Errorf("names %q", got.Names)
		}
		for i, c := range tumour("").Contours {
			var flat []float64
			for _, p := range c.Points {
				flat = append(flat, p[:]...)
			}
			if fmt.Sprint(flat) != fmt.Sprint(got.Contours[i]) {
				t.Errorf("contour %d is %v, want %v", i, got.Contours[i], flat)
			}
			// Contours lie on slices 2, 3 and 4; files run from slice 7 down.
			if got.Images[i] != got.UIDs[7-2-i] {
				t.Errorf("contour %d refers to %s, want %s", i, got.Images[i], got.UIDs[7-2-i])
			}
		}
	})
	t.Run("plastimatch", func(t *testing.T) {
		if _, err := exec.LookPath("plastimatch"); err != nil {
			t.Skip("plastimatch is not installed")
		}
		dir := t.TempDir()
		all := filepath.Join(dir, "in")
		if err := os.CopyFS(all, os.DirFS(filepath.Dir(ct[0]))); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(structures)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(all, "rt.dcm"), raw, 0o644); err != nil {
			t.Fatal(err)
		}
		image := filepath.Join(dir, "ct.mha")
		if out, err := exec.Command("plastimatch", "convert", "--input", all, "--output-img", image, "--output-prefix", filepath.Join(dir, "masks"), "--prefix-format", "mha").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := exec.Command("plastimatch", "stats", image).CombinedOutput()
		last := len(ramp(axial).HU) - 1 - 1024
		if err != nil || !bytes.Contains(out, []byte("MIN -1024")) || !bytes.Contains(out, []byte("MAX "+strconv.Itoa(last))) {
			t.Errorf("error %v, statistics\n%s, want MIN -1024 and MAX %d", err, out, last)
		}
		if _, err := os.Stat(filepath.Join(dir, "masks", "GTV-1.mha")); err != nil {
			t.Errorf("the region was not matched to its scan: %v", err)
		}
	})
}

// Every UID is valid, and different things have different ones.
func TestUIDs(t *testing.T) {
	seen := map[string]string{}
	base := Meta{PatientID: "P1"}
	for name, uid := range map[string]string{
		"series": base.uid("series"), "study": base.uid("study"), "image 0": base.image(0), "image 1": base.image(1),
		"another patient": Meta{PatientID: "P2"}.uid("series"), "another seed": Meta{PatientID: "P1", Seed: "x"}.uid("series"),
		"another scan": Meta{PatientID: "P1", Scan: "x"}.uid("series"),
		// Parts are kept apart: these would be one when simply joined.
		"parts": Meta{PatientID: "P", Scan: "1"}.uid("series"),
	} {
		if len(uid) > 64 || !strings.HasPrefix(uid, "2.25.") || strings.HasPrefix(uid, "2.25.0") {
			t.Errorf("%s: %q is no UID", name, uid)
		}
		if other, twice := seen[uid]; twice {
			t.Errorf("%s and %s have the same UID", name, other)
		}
		seen[uid] = name
	}
}

func TestWriteCTRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		hu       float32
		unsigned bool
	}{
		"too large": {40000, false}, "too small": {-40000, false}, "below the intercept": {-1025, true}, "no number": {float32(math.NaN()), false},
	} {
		dir := filepath.Join(t.TempDir(), "ct")
		v := ramp(axial)
		v.HU[20*16*3+20*2+5] = c.hu
		err := WriteCT(dir, v, Meta{PatientID: "P1", Unsigned: c.unsigned})
		var out *RangeError
		if !errors.As(err, &out) || out.Index != [3]int{5, 2, 3} || out.Patient != "P1" {
			t.Errorf("%s: error %v, want a *RangeError at voxel [5 2 3]", name, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 0 {
			t.Errorf("%s: %d files or folders were left behind", name, len(left))
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteCT(dir, ramp(axial), Meta{}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("error %v for a folder with files in it", err)
	}
	bad := ramp(axial)
	bad.Grid.Spacing[1] = 0
	if err := WriteCT(filepath.Join(t.TempDir(), "ct"), bad, Meta{}); !errors.As(err, new(*volume.GeometryError)) {
		t.Errorf("error %v for a spacing of 0", err)
	}
}

// Numbers keep their value in the 16 characters they may have.
func TestDecimal(t *testing.T) {
	for _, x := range []float64{0, 1, -1, 0.1, -250.112, 1.0 / 3, -2.0 / 3, math.Pi * 100, -123456.7890123, 1e-7, -1e-12, 12345678901234567, 0.9659258262890683, -0.000123456789012} {
		s := decimal(x)
		got, err := strconv.ParseFloat(s, 64)
		if len(s) > 16 || err != nil || math.Abs(got-x) > 1e-8*math.Max(1, math.Abs(x)) {
			t.Errorf("%v is written %q (%d characters), error %v", x, s, len(s), err)
		}
	}
}
