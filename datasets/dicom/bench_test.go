package dicom

import (
	"bytes"
	"fmt"
	"strconv"

	"hounsfield/datasets/volume"
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

// BenchmarkIndexMany indexes a tree of many small slices, each with a UID of its own, in
// series of 100: with nothing kept, and with all of it kept. HOUNSFIELD_BENCH_FILES is how
// many (50000; with -short 2000).
//
//	go test -run '^$' -bench IndexMany ./datasets/dicom
func BenchmarkIndexMany(b *testing.B) {
	n := 50000
	if testing.Short() {
		n = 2000
	}
	if text := os.Getenv("HOUNSFIELD_BENCH_FILES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	root, kept := b.TempDir(), filepath.Join(b.TempDir(), "index.json")
	many(b, root, n)
	age(b, root)
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			if err := os.RemoveAll(kept); err != nil {
				b.Fatal(err)
			}
			if _, count, err := IndexKept(root, kept, false, nil); err != nil || count.Read != n {
				b.Fatal(count, err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
	})
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			if _, count, err := IndexKept(root, kept, false, nil); err != nil || count.Read != 0 || count.Files != n {
				b.Fatal(count, err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
	})
}

// many writes n slices that differ in their UIDs, in folders of 100, a patient each.
func many(b *testing.B, root string, n int) {
	b.Helper()
	v := volume.NewVolume(volume.Grid{Size: [3]int{8, 8, 2}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity})
	model := filepath.Join(b.TempDir(), "CT")
	if err := WriteCT(model, v, Meta{PatientID: "PPPPPP"}); err != nil {
		b.Fatal(err)
	}
	file := filesIn(b, model)[0]
	raw, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	s := look(file).slice
	for i := range n {
		dir := filepath.Join(root, fmt.Sprint(i/100))
		if i%100 == 0 {
			if err := os.Mkdir(dir, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		text := raw
		for uid, number := range map[string]int{s.instance: i, s.series: i / 100, s.study: i / 100} {
			text = bytes.ReplaceAll(text, []byte(uid), fmt.Appendf(nil, "%s%06d", uid[:len(uid)-6], number))
		}
		text = bytes.ReplaceAll(text, []byte("PPPPPP"), fmt.Appendf(nil, "%06d", i/100))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.dcm", i%100)), text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}
