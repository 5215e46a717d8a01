package volume

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// flat is a grid of one slice, voxel index = mm.
func flat(nx, ny int) Grid {
	return Grid{Size: [3]int{nx, ny, 1}, Spacing: [3]float64{1, 1, 1}, Direction: Identity}
}

// on draws corners given in voxel indices on a plane of a grid.
func on(g Grid, z float64, corners ...[2]float64) Contour {
	var c Contour
	for _, p := range corners {
		c.Points = append(c.Points, g.Position([3]float64{p[0], p[1], z}))
	}
	return c
}

// square is the contour of a square, corners in voxel indices.
func square(g Grid, z, lo, hi float64) Contour {
	return on(g, z, [2]float64{lo, lo}, [2]float64{hi, lo}, [2]float64{hi, hi}, [2]float64{lo, hi})
}

func rasterise(t *testing.T, g Grid, contours ...Contour) (*Mask, RasterReport) {
	t.Helper()
	m, report, err := Rasterise(contours, g)
	if err != nil {
		t.Fatal(err)
	}
	if report.Voxels != m.Count() || report.Contours != len(contours) {
		t.Errorf("report %+v of a mask of %d voxels from %d contours", report, m.Count(), len(contours))
	}
	return m, report
}

// slowInside counts, for one voxel centre, the edges straight below it.
func slowInside(polygons [][][2]float64, x, y float64) bool {
	below := 0
	for _, p := range polygons {
		for i := range p {
			a, b := p[i], p[(i+1)%len(p)]
			if (a[0] > x) == (b[0] > x) {
				continue
			}
			if a[1]+(x-a[0])/(b[0]-a[0])*(b[1]-a[1]) < y {
				below++
			}
		}
	}
	return below%2 == 1
}

// Random stars and bow ties, overlapping, partly beside the scan, on any direction.
func TestRasteriseEqualsTheSlowWay(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 1))
	for name, direction := range directions {
		for range 20 {
			g := asymmetric(direction)
			var contours []Contour
			drawn := make([][][][2]float64, g.Size[2])
			for range 1 + r.IntN(12) {
				z := r.IntN(g.Size[2])
				cx, cy := r.Float64()*36, r.Float64()*22
				var corners [][2]float64
				for range 3 + r.IntN(20) {
					corners = append(corners, [2]float64{cx + r.NormFloat64()*8, cy + r.NormFloat64()*6})
				}
				drawn[z] = append(drawn[z], corners)
				contours = append(contours, on(g, float64(z), corners...))
			}
			m, report, err := Rasterise(contours, g)
			if err != nil {
				t.Fatal(name, err)
			}
			for z := range g.Size[2] {
				for y := range g.Size[1] {
					for x := range g.Size[0] {
						want := slowInside(drawn[z], float64(x), float64(y))
						if got := m.In[g.Offset(x, y, z)] != 0; got != want {
							t.Fatalf("%s: voxel %d,%d,%d is %v, want %v (%+v)", name, x, y, z, got, want, report)
						}
					}
				}
			}
			if report.OffPlane != 0 || report.Duplicates != 0 || report.MergedSlices != 0 {
				t.Fatalf("%s: report %+v", name, report)
			}
		}
	}
}

func TestHalfOpenRule(t *testing.T) {
	g := flat(10, 10)
	// Edges exactly on centres: 2..5 holds centres 2, 3, 4.
	left, _ := rasterise(t, g, on(g, 0, [2]float64{2, 2}, [2]float64{5, 2}, [2]float64{5, 5}, [2]float64{2, 5}))
	right, _ := rasterise(t, g, on(g, 0, [2]float64{5, 2}, [2]float64{8, 2}, [2]float64{8, 5}, [2]float64{5, 5}))
	if left.Count() != 9 || right.Count() != 9 || left.In[g.Offset(2, 2, 0)] != 1 || left.In[g.Offset(5, 4, 0)] != 0 || right.In[g.Offset(5, 4, 0)] != 1 {
		t.Errorf("squares that share an edge hold %d and %d voxels, want 9 and 9", left.Count(), right.Count())
	}
	// Two triangles that share a slanted edge through centres part a square among them.
	a, _ := rasterise(t, g, on(g, 0, [2]float64{1, 1}, [2]float64{7, 1}, [2]float64{7, 7}))
	b, _ := rasterise(t, g, on(g, 0, [2]float64{1, 1}, [2]float64{7, 7}, [2]float64{1, 7}))
	for i := range a.In {
		if a.In[i]+b.In[i] > 1 {
			t.Fatalf("voxel %d is in both triangles", i)
		}
	}
	if a.Count()+b.Count() != 36 {
		t.Errorf("%d + %d voxels, want 36", a.Count(), b.Count())
	}
}

func TestHoles(t *testing.T) {
	g := flat(30, 30)
	outer, hole, island := square(g, 0, 1.5, 21.5), square(g, 0, 5.5, 17.5), square(g, 0, 9.5, 13.5)
	nested, _ := rasterise(t, g, outer, hole, island)
	if nested.Count() != 20*20-12*12+4*4 {
		t.Errorf("%d voxels, want a ring with an island", nested.Count())
	}
	ring, _ := rasterise(t, g, hole, outer) // any order
	keyhole, _ := rasterise(t, g, on(g, 0, [2]float64{1.5, 1.5}, [2]float64{21.5, 1.5}, [2]float64{21.5, 21.5}, [2]float64{1.5, 21.5}, [2]float64{1.5, 1.5},
		// In along a slanted line, round the hole, out along the same line.
		[2]float64{5.5, 5.5}, [2]float64{5.5, 17.5}, [2]float64{17.5, 17.5}, [2]float64{17.5, 5.5}, [2]float64{5.5, 5.5}, [2]float64{1.5, 1.5}))
	if !slices.Equal(ring.In, keyhole.In) || ring.Count() != 20*20-12*12 {
		t.Errorf("ring of %d voxels, keyhole of %d, want 256 both", ring.Count(), keyhole.Count())
	}
}

func TestDuplicateContoursDoNotCancel(t *testing.T) {
	g := flat(30, 30)
	corners := [][2]float64{{1.5, 1.5}, {21.5, 1.5}, {21.5, 21.5}, {1.5, 21.5}}
	again := [][2]float64{{21.5, 21.5}, {21.5, 1.5}, {1.5, 1.5}, {1.5, 21.5}, {21.5, 21.5}} // other start, other turn, closed
	m, report := rasterise(t, g, on(g, 0, corners...), on(g, 0, again...), square(g, 0, 5.5, 17.5))
	if m.Count() != 20*20-12*12 || report.Duplicates != 1 {
		t.Errorf("%d voxels, report %+v; want the ring, one duplicate", m.Count(), report)
	}
}

func TestOffPlanes(t *testing.T) {
	for name, direction := range directions {
		g := asymmetric(direction) // slices 3 mm apart
		m, report := rasterise(t, g, square(g, 2.3, 2.5, 6.5), square(g, 5.5, 2.5, 6.5), square(g, 12.4, 2.5, 6.5), square(g, -0.4, 2.5, 6.5), square(g, 8, 2.5, 6.5))
		for z, want := range map[int]int{2: 16, 6: 16, 12: 16, 0: 16, 8: 16, 5: 0, 7: 0} {
			n := 0
			for _, v := range m.In[g.Offset(0, 0, z):][:g.Size[0]*g.Size[1]] {
				n += int(v)
			}
			if n != want {
				t.Errorf("%s: slice %d has %d voxels, want %d", name, z, n, want)
			}
		}
		if report.OffPlane != 4 || math.Abs(report.MaxOffMM-1.5) > 1e-9 || report.Slices != 5 || report.GapSlices != 8 || report.Outside != 0 {
			t.Errorf("%s: report %+v", name, report)
		}
	}
}

func TestPlanesFinerThanSlicesAreJoined(t *testing.T) {
	g := asymmetric(Identity)
	// Three planes fall to slice 4; on one of them there is a hole.
	m, report := rasterise(t, g, square(g, 3.7, 2.5, 6.5), square(g, 4, 3.5, 9.5), square(g, 4, 7.5, 8.5), square(g, 4.3, 12.5, 14.5))
	want := 4*4 + (6*6 - 3*3) - 1 + 2*2 // squares 2.5..6.5 and 3.5..9.5 share 3x3
	if m.Count() != want || report.MergedSlices != 1 || report.OffPlane != 2 {
		t.Errorf("%d voxels, report %+v; want %d voxels and one slice of several planes", m.Count(), report, want)
	}
}

func TestPartsOutsideTheScan(t *testing.T) {
	g := asymmetric(Identity) // 37 x 23 x 13
	m, report := rasterise(t, g,
		square(g, 3, -5.5, 4.5),   // the corner of the scan: 5 x 5 voxels
		square(g, 12.6, 2.5, 6.5), // beyond the last slice by more than half
		square(g, -0.6, 2.5, 6.5), // before the first
		square(g, 5, 50, 60),      // beside
		on(g, 5, [2]float64{1, 1}, [2]float64{2, 2}, [2]float64{1, 1}), // no area
	)
	if m.Count() != 25 || report.Clipped != 1 || report.Outside != 3 || report.Degenerate != 1 {
		t.Errorf("%d voxels, report %+v", m.Count(), report)
	}
}

func TestRasteriseErrors(t *testing.T) {
	g := asymmetric(directions["oblique"])
	tilted := Contour{Points: [][3]float64{g.Position([3]float64{2, 2, 2}), g.Position([3]float64{8, 2, 2}), g.Position([3]float64{8, 8, 3})}}
	nan := square(g, 1, 2, 6)
	nan.Points[2][1] = math.NaN()
	far := square(g, 1, 2, 6)
	far.Points[2][1] = 1e300
	for name, test := range map[string]struct {
		contours []Contour
		want     any
	}{
		"none":            {nil, new(*EmptyMaskError)},
		"points only":     {[]Contour{on(g, 1, [2]float64{2, 2})}, new(*EmptyMaskError)},
		"no corner":       {[]Contour{{}}, new(*EmptyMaskError)},
		"between centres": {[]Contour{square(g, 1, 2.1, 2.9)}, new(*EmptyMaskError)},
		"above":           {[]Contour{square(g, 20, 2, 6), square(g, 21, 2, 6)}, new(*OutsideScanError)},
		"beside":          {[]Contour{square(g, 2, -60, -50)}, new(*OutsideScanError)},
		"tilted":          {[]Contour{square(g, 1, 2, 6), tilted}, new(*ContourError)},
		"NaN":             {[]Contour{square(g, 1, 2, 6), nan}, new(*ContourError)},
		"astronomic":      {[]Contour{square(g, 1, 2, 6), far}, new(*ContourError)},
	} {
		m, _, err := Rasterise(test.contours, g)
		if !errors.As(err, test.want) || m != nil {
			t.Errorf("%s: got %v, want a %T", name, err, test.want)
		}
		var contour *ContourError
		if errors.As(err, &contour) && contour.Contour != 1 {
			t.Errorf("%s: contour %d is blamed, want 1", name, contour.Contour)
		}
	}
	var geometry *GeometryError
	if _, _, err := Rasterise([]Contour{square(g, 1, 2, 6)}, Grid{}); !errors.As(err, &geometry) {
		t.Errorf("no grid: got %v, want a *GeometryError", err)
	}
}

// A rasterised ball has the ball's volume and centre, whatever the scan's direction.
func TestBallComesBack(t *testing.T) {
	for name, direction := range directions {
		g := Grid{Size: [3]int{60, 60, 40}, Origin: [3]float64{5, -9, 100}, Spacing: [3]float64{0.8, 0.8, 1.2}, Direction: direction}
		middle := [3]float64{29.5, 30.25, 19.5}
		const radius = 20.0 // mm
		var contours []Contour
		for z := range g.Size[2] {
			h := (float64(z) - middle[2]) * 1.2
			if math.Abs(h) >= radius {
				continue
			}
			var corners [][2]float64
			for i := range 180 {
				sin, cos := math.Sincos(float64(i) * math.Pi / 90)
				r := math.Sqrt(radius*radius-h*h) / 0.8
				corners = append(corners, [2]float64{middle[0] + r*cos, middle[1] + r*sin})
			}
			contours = append(contours, on(g, float64(z), corners...))
		}
		m, _ := rasterise(t, g, contours...)
		if want := 4.0 / 3 * math.Pi * radius * radius * radius; math.Abs(m.VolumeMM3()-want) > 0.01*want {
			t.Errorf("%s: %v mm3, want %v", name, m.VolumeMM3(), want)
		}
		com, err := m.CentreOfMass()
		if err != nil {
			t.Fatal(err)
		}
		for a := range 3 {
			if math.Abs(com[a]-middle[a]) > 0.02 {
				t.Errorf("%s: centre %v, want %v", name, com, middle)
			}
		}
	}
}

// Whatever numbers a contour file holds: a mask or an error, never a panic.
func FuzzRasterise(f *testing.F) {
	seed := func(numbers ...float64) []byte {
		var b []byte
		for _, n := range numbers {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n))
		}
		return b
	}
	f.Add(seed(1, 1, 0, 6, 1, 0, 6, 6, 0))
	f.Add(seed(1, 1, 0, 6, 1, 0, 6, 6, 0, math.NaN(), 1, 2, 3))
	f.Add(seed(-1e300, 1, 0, 1e300, 1, 0, 6, math.Inf(1), 0))
	f.Add(seed(-1e8, -1e8, 0, 1e8, 1e-300, 0, 6, 1e8, 0.4))
	f.Fuzz(func(t *testing.T, b []byte) {
		var contours []Contour
		var c Contour
		for len(b) >= 24 {
			var p [3]float64
			for a := range 3 {
				p[a] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*a:]))
			}
			b = b[24:]
			c.Points = append(c.Points, p)
			if len(c.Points) == 4 {
				contours, c = append(contours, c), Contour{}
			}
		}
		contours = append(contours, c)
		g := Grid{Size: [3]int{9, 7, 5}, Spacing: [3]float64{1, 1, 1}, Direction: Identity}
		m, report, err := Rasterise(contours, g)
		if (err == nil) != (m != nil) || err == nil && (m.Count() == 0 || m.Count() != report.Voxels) {
			t.Fatalf("mask %v, report %+v, error %v", m, report, err)
		}
	})
}
