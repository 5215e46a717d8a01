//go:build linux

package prepare

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles lets no file of this process grow beyond n bytes: a full disk without one.
func limitFiles(n uint64) error {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: was.Max})
}

// When the disk is full the run says so, and no half file bears its final name; with room
// again the same command goes on.
func TestDiskFull(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	addPatient(t, root, "a", "P1")
	task := childTask{Root: root, Out: out, Small: true, Patients: 1}
	for _, limit := range []uint64{1000, 5000, 20000} {
		task.Limit = limit
		text, err := task.command(t).CombinedOutput()
		if err == nil || !strings.Contains(string(text), "cannot write patient P1: ") || !strings.Contains(string(text), "file too large; make room") {
			t.Errorf("limit of %d bytes: %v: %s", limit, err, text)
		}
		if err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil && (strings.HasPrefix(d.Name(), ".") || info.Size() >= int64(limit)) {
				t.Errorf("limit of %d bytes: %s of %d was left behind", limit, path, info.Size())
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	task.Limit = 0
	if text, err := task.command(t).CombinedOutput(); err != nil {
		t.Fatalf("with room again: %v: %s", err, text)
	}
	other := t.TempDir()
	run(t, options(root, other))
	if !maps.Equal(contents(t, out), contents(t, other)) {
		t.Error("other files than without a full disk")
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
