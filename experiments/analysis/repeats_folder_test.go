package analysis

import (
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
	if err := Ready(interReaderName, in); err != nil {
		t.Error(err)
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
