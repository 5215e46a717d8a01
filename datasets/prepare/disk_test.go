//go:build linux

package prepare

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hounsfield/datasets/dicom"
)

// limitFiles lets no file grow beyond n bytes until the test ends: a full disk
// without one.
func limitFiles(t *testing.T, n uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
	})
}

// When the disk is full the run says so, and no half file bears its final name.
func TestDiskFull(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	addPatient(t, root, "a", "P1")
	limitFiles(t, 5000)
	_, err := Run(context.Background(), options(root, out))
	var write *WriteError
	if !errors.As(err, &write) || write.Patient != "P1" || !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("error %v, want a *WriteError", err)
	}
	if err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s was left behind", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// The writers of DICOM leave nothing either.
	limitFiles(t, 1000)
	dir := t.TempDir()
	m := dicom.Meta{PatientID: "P1"}
	if err := dicom.WriteCT(filepath.Join(dir, "CT"), scan(chest, centre, 9), m); !errors.Is(err, unix.EFBIG) {
		t.Errorf("error %v of WriteCT", err)
	}
	if err := dicom.WriteStructures(filepath.Join(dir, "rt.dcm"), []dicom.ROI{ball(chest, "GTV-1", centre, 9)}, chest, m); !errors.Is(err, unix.EFBIG) {
		t.Errorf("error %v of WriteStructures", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

// A file where a patient's folder should be.
func TestFolderInTheWay(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	addPatient(t, root, "a", "P1")
	if err := os.WriteFile(filepath.Join(out, "P1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var write *WriteError
	if _, err := Run(context.Background(), options(root, out)); !errors.As(err, &write) || write.Patient != "P1" {
		t.Errorf("error %v, want a *WriteError", err)
	}
}
