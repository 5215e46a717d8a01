package volume

import (
	"math"
	"testing"
)

// chestScan is as large as a real one: 512 x 512 x 111 voxels of 0.977 and 3 mm,
// with a tumour of 4 cm drawn on its slices.
func chestScan() (*Volume, []Contour) {
	g := Grid{Size: [3]int{512, 512, 111}, Origin: [3]float64{-250, -250, -133}, Spacing: [3]float64{0.977, 0.977, 3}, Direction: Identity}
	v := NewVolume(g)
	for i := range v.HU {
		v.HU[i] = float32(i%4096) - 1024
	}
	var contours []Contour
	for z := 40; z < 54; z++ {
		var corners [][2]float64
		for i := range 120 {
			sin, cos := math.Sincos(float64(i) * math.Pi / 60)
			corners = append(corners, [2]float64{180 + 20*cos, 270 + 20*sin})
		}
		contours = append(contours, on(g, float64(z), corners...))
	}
	return v, contours
}

func BenchmarkResample(b *testing.B) {
	v, _ := chestScan()
	to := v.Grid.Isotropic(1)
	b.SetBytes(4 * int64(to.Len()))
	for b.Loop() {
		Resample(v, to)
	}
}

func BenchmarkResampleMask(b *testing.B) {
	v, contours := chestScan()
	m, _, err := Rasterise(contours, v.Grid)
	if err != nil {
		b.Fatal(err)
	}
	to := v.Grid.Isotropic(1)
	for b.Loop() {
		ResampleMask(m, to)
	}
}

func BenchmarkCutCube(b *testing.B) {
	v, contours := chestScan()
	m, _, err := Rasterise(contours, v.Grid)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CutCube(v, m, CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRasterise(b *testing.B) {
	v, contours := chestScan()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Rasterise(contours, v.Grid); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQCPicture(b *testing.B) {
	v, contours := chestScan()
	m, _, err := Rasterise(contours, v.Grid)
	if err != nil {
		b.Fatal(err)
	}
	spec := CubeSpec{Size: 50, SpacingMM: 1}
	c, err := CutCube(v, m, spec)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		QCPicture(v, m, c, spec, QCPixels)
	}
}

func BenchmarkDistance(b *testing.B) {
	v, contours := chestScan()
	whole, _, err := Rasterise(contours, v.Grid)
	if err != nil {
		b.Fatal(err)
	}
	first, last, _ := whole.Around(20)
	m := whole.Crop(first, last)
	for b.Loop() {
		Distance(m)
	}
}
