package nifti

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// Labels come back where they were written, with the grid; fractions are no labels.
func TestReadLabels(t *testing.T) {
	g := volume.Grid{Size: [3]int{3, 2, 2}, Origin: [3]float64{-1, 2, 3}, Spacing: [3]float64{0.7, 0.7, 3}, Direction: volume.Identity}
	v := volume.NewVolume(g)
	copy(v.HU, []float32{0, 1, 1, 0, 2, 0, 0, 7, 0, 0, 0, 2})
	for _, ext := range []string{".nii", ".nii.gz"} {
		path := filepath.Join(t.TempDir(), "mask"+ext)
		if err := Write(path, v); err != nil {
			t.Fatal(err)
		}
		if grid, err := ReadGrid(path); err != nil || grid != g {
			t.Errorf("%s: grid %v, error %v", ext, grid, err)
		}
		m, seen, err := ReadLabels(path, 2, 7)
		if err != nil || m.Grid != g || !slices.Equal(seen, []int{1, 2, 7}) || !slices.Equal(m.In, []uint8{0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1}) {
			t.Errorf("%s: mask %v, labels %v, error %v", ext, m, seen, err)
		}
		if m, _, err := ReadLabels(path); err != nil || m.Count() != 5 {
			t.Errorf("%s: mask %v, error %v", ext, m, err)
		}
	}
	v.HU[3] = 0.25
	path := filepath.Join(t.TempDir(), "soft.nii")
	if err := Write(path, v, Float32); err != nil {
		t.Fatal(err)
	}
	var wrongFile *volume.FileError
	var none *raw.NoMaskError
	if _, _, err := ReadLabels(path); !errors.As(err, &wrongFile) || wrongFile.Path != path || !errors.As(err, &none) || none.Voxel != 3 {
		t.Errorf("error %v", err)
	}
	if _, err := ReadGrid(filepath.Join(t.TempDir(), "none.nii")); err == nil {
		t.Error("a grid of no file")
	}
}
