package nrrd

import (
	"path/filepath"
	"testing"

	"hounsfield/datasets/volume"
)

// scan is 128 MiB of int16 when written: 512 x 512 x 256 voxels, smooth enough to pack.
func scan() *volume.Volume {
	v := volume.NewVolume(volume.Grid{Size: [3]int{512, 512, 256}, Spacing: [3]float64{0.8, 0.8, 1.5}, Direction: volume.Identity})
	for i := range v.HU {
		v.HU[i] = float32((i>>4)%2048 + i%7 - 1024)
	}
	return v
}

func BenchmarkWriteRead(b *testing.B) {
	v := scan()
	for name, options := range map[string][]Option{"raw.nrrd": {Uncompressed}, "packed.nrrd": nil} {
		path := filepath.Join(b.TempDir(), name)
		b.Run("write "+name, func(b *testing.B) {
			b.SetBytes(2 * int64(len(v.HU)))
			for b.Loop() {
				if err := Write(path, v, options...); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read "+name, func(b *testing.B) {
			b.SetBytes(2 * int64(len(v.HU)))
			for b.Loop() {
				if _, err := Read(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
