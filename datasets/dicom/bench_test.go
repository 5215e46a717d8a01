package dicom

import (
	"os"
	"path/filepath"
	"testing"
)

// lung1 is the folder of the real patient.
func lung1(b *testing.B) string {
	b.Helper()
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		b.Skip("HOUNSFIELD_MIRROR is not set: no real patient to read")
	}
	return filepath.Join(mirror, "nsclc-radiomics", "dicom", "LUNG1-002")
}

// 112 files, heads only.
func BenchmarkIndex(b *testing.B) {
	root := lung1(b)
	for b.Loop() {
		if _, err := Index(root); err != nil {
			b.Fatal(err)
		}
	}
}

// 111 slices of 512 x 512, native 16-bit samples, 58 MB.
func BenchmarkReadCT(b *testing.B) {
	tree, err := Index(lung1(b))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(111 * 512 * 512 * 2)
	for b.Loop() {
		if _, err := tree.Patients[0].Series[0].Read(); err != nil {
			b.Fatal(err)
		}
	}
}

// Six regions, 1.8 MB, most of it numbers as text.
func BenchmarkReadStructures(b *testing.B) {
	tree, err := Index(lung1(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ReadStructures(tree.Patients[0].Structures[0]); err != nil {
			b.Fatal(err)
		}
	}
}
