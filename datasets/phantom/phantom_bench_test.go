package phantom

import (
	"testing"

	"hounsfield/datasets/volume"
)

// BenchmarkScan is one subject, scan and contour, averaged over the cohort's scanners.
func BenchmarkScan(b *testing.B) {
	p := phantom(b, nil)
	i := 0
	for b.Loop() {
		p.Scan(i % p.Len())
		i += 23
	}
}

// BenchmarkScanToCube adds the cube, as a run does.
func BenchmarkScanToCube(b *testing.B) {
	p := phantom(b, nil)
	i := 0
	for b.Loop() {
		ct, mask := p.Scan(i % p.Len())
		if _, err := volume.CutCube(ct, mask, volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}); err != nil {
			b.Fatal(err)
		}
		i += 23
	}
}
