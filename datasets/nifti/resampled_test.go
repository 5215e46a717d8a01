package nifti

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hounsfield/datasets/volume"
)

func unzipped(t *testing.T, path string) (packed, plain []byte) {
	t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return packed, plain
}

// Slice by slice gives the bytes that resampling everything and writing it gives, along the
// axes of the scan and across them, whole and not, and for masks.
func TestWriteResampled(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	g := volume.Grid{Size: [3]int{31, 22, 13}, Origin: [3]float64{-20, 7, 3}, Spacing: [3]float64{1.5, 0.7, 2.5}, Direction: volume.Identity}
	turned := volume.Grid{Size: [3]int{30, 30, 30}, Origin: [3]float64{-18, 5, 4}, Spacing: [3]float64{1, 1.2, 0.9},
		Direction: [9]float64{math.Cos(0.3), -math.Sin(0.3), 0, math.Sin(0.3), math.Cos(0.3), 0, 0, 0, 1}}
	beside := g.Isotropic(1)
	beside.Origin[2] -= 30 // part of it is off the scan
	v, m, empty := volume.NewVolume(g), volume.NewMask(g), volume.NewMask(g)
	for i := range v.HU {
		v.HU[i] = float32(60*rng.NormFloat64() - 600)
		m.In[i] = uint8(rng.IntN(40) / 39)
	}
	m.In[0], m.In[len(m.In)-1] = 1, 1
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one.nii.gz"), filepath.Join(dir, "other.nii.gz")
	for name, to := range map[string]volume.Grid{"isotropic": g.Isotropic(1), "turned": turned, "beside": beside} {
		for kind, write := range map[string][2]func() error{
			"HU":      {func() error { return Write(one, volume.Resample(v, to)) }, func() error { _, err := WriteResampled(other, v, to); return err }},
			"float":   {func() error { return Write(one, volume.Resample(v, to), Float32) }, func() error { _, err := WriteResampled(other, v, to, Float32); return err }},
			"mask":    {func() error { return WriteMask(one, volume.ResampleMask(m, to)) }, func() error { _, err := WriteMaskResampled(other, m, to); return err }},
			"no mask": {func() error { return WriteMask(one, volume.ResampleMask(empty, to)) }, func() error { _, err := WriteMaskResampled(other, empty, to); return err }},
		} {
			if err := errors.Join(write[0](), write[1]()); err != nil {
				t.Fatal(err)
			}
			_, want := unzipped(t, one)
			if _, got := unzipped(t, other); !bytes.Equal(got, want) {
				t.Errorf("%s, %s: other bytes", name, kind)
			}
		}
	}
	w, err := WriteResampled(other, v, turned)
	if err != nil {
		t.Fatal(err)
	}
	packed, _ := unzipped(t, other)
	if sum := sha256.Sum256(packed); w.SHA256 != hex.EncodeToString(sum[:]) || w.Bytes != int64(len(packed)) {
		t.Errorf("%+v of a file of %d bytes, %x", w, len(packed), sum)
	}
	if back, err := Read(other); err != nil || back.Grid.Size != turned.Size {
		t.Errorf("read back: %v", err)
	}
}

// What the file cannot hold is refused as Write refuses it, and no file is left.
func TestWriteResampledRefuses(t *testing.T) {
	g := volume.Grid{Size: [3]int{4, 4, 40}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}
	v := volume.NewVolume(g)
	v.HU[4*4*39] = 40000
	dir := t.TempDir()
	var bad *volume.FileError
	if _, err := WriteResampled(filepath.Join(dir, "a.nii.gz"), v, g); !errors.As(err, &bad) || bad.Field != "voxels" || bad.Path == "" {
		t.Errorf("40000 HU: %v", err)
	}
	if _, err := WriteResampled(filepath.Join(dir, "a.nii"), v, g); !errors.As(err, &bad) || bad.Field != "name" {
		t.Errorf("a name of no packed file: %v", err)
	}
	g.Size[0] = 40000
	if _, err := WriteMaskResampled(filepath.Join(dir, "a.nii.gz"), volume.NewMask(volume.Grid{Size: [3]int{1, 1, 1}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}), g); !errors.As(err, &bad) || bad.Field != "size" {
		t.Errorf("a grid too large: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
