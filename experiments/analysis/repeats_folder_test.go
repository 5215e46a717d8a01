package analysis

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/volume"
)

// A single patient of another folder, prepared from DICOM, beside a run of others: its
// contour is changed and scored; that the networks know it is told.
func TestPerturbAnotherFolder(t *testing.T) {
	spec := phantom.Default()
	spec.Patients = phantom.PatientsPerRole{Train: 1}
	made, err := phantom.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	files, out := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	if err := made.WriteDICOM(files, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.Run(t.Context(), prepare.Options{Root: files, Out: out, Cohort: "other", Rule: dicom.ROIRule{Exact: []string{phantom.ROIName}},
		Cube: volume.CubeSpec{Size: 50, SpacingMM: 1}, KeepVolumes: true}); err != nil {
		t.Fatal(err)
	}
	in := withPerturb(t, 2, nil)
	in.Settings.InterReader.Imaging = out
	in.Cohort.Patients[4].ID, in.Cohort.Patients[4].Role = made.Subject(0).Patient.ID, datasets.Tune
	m, err := openImaged(in, interReaderName, out, "test")
	if err != nil {
		t.Fatal(err)
	}
	m.spec, m.score = smallCube, meanHU
	for mm, fits := range map[float64]bool{1: true, 2: true, 3: true, 1.5: false, 0.5: false, 0.9: false} {
		in.Spec = volume.CubeSpec{Size: 10, SpacingMM: mm}
		var unfit *UnfitError
		if err := Ready(interReaderName, in); fits && err != nil || !fits && (!errors.As(err, &unfit) || !strings.Contains(err.Error(), "cube.spacing_mm to 1")) {
			t.Errorf("scans kept at 1 mm for networks of %g mm: %v", mm, err)
		}
	}
	found, err := (&interReader{imaged: m, set: in.Settings.InterReader}).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	draws := found.Tables[1]
	if draws.Name != perturbedTable || draws.Rows() != 6+6+1+1+6 || draws.Strings("patient_id")[0] != made.Subject(0).Patient.ID {
		t.Errorf("%s has %d rows, of %q", draws.Name, draws.Rows(), draws.Strings("patient_id"))
	}
	said := text(found.Section.Blocks)
	if !strings.Contains(said, "the folder elsewhere") || strings.Contains(said, out) || !strings.Contains(said, "stand in the run's train or tune role") {
		t.Error(said)
	}
}

// What another folder keeps on a grid of 1 mm gives networks of 2 and 3 mm the very cubes that
// the scan gives them, and those of 1.5 mm others: that is why such a folder is refused.
func TestKeptScansFitWholeMultiples(t *testing.T) {
	spec := phantom.Default()
	spec.Patients = phantom.PatientsPerRole{Train: 1}
	made, err := phantom.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	ct, mask := made.Scan(0)
	if ct.Grid.Spacing == [3]float64{1, 1, 1} {
		t.Fatal("the scan has 1 mm itself")
	}
	iso := ct.Grid.Isotropic(1)
	kept, keptMask := volume.Resample(ct, iso), volume.ResampleMask(mask, iso)
	for mm, same := range map[float64]bool{2: true, 3: true, 1.5: false} {
		direct, err := volume.CutCube(ct, mask, volume.CubeSpec{Size: 20, SpacingMM: mm})
		if err != nil {
			t.Fatal(err)
		}
		again, err := volume.CutCube(kept, keptMask, volume.CubeSpec{Size: 20, SpacingMM: mm})
		if err != nil {
			t.Fatal(err)
		}
		most := 0.0
		for i, hu := range direct.HU {
			most = max(most, math.Abs(float64(hu-again.HU[i])))
		}
		if (most < 0.01 && direct.CentreIndex == again.CentreIndex) != same {
			t.Errorf("%g mm: cubes around %v and %v differ by up to %v HU", mm, direct.CentreIndex, again.CentreIndex, most)
		}
	}
}
