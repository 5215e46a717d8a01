package volume

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"testing"
)

// chest is a made patient, 61 mm wide and high and 81 mm deep with the head up: lung
// everywhere, bone to the patient's left, back and head of the tumour.
func chest(p [3]float64) float64 {
	switch {
	case near(p, [3]float64{22, 0, 0}), near(p, [3]float64{0, 24, 0}), near(p, [3]float64{0, 0, 26}):
		return 1000
	case near(p, [3]float64{0, 0, 0}):
		return -200
	}
	return -1000
}

func near(p, q [3]float64) bool {
	d := sub(p, q)
	return dot(d, d) <= 16
}

// turned is the grid of the made patient along the given axes of the patient, each
// forwards or backwards.
func turned(order [3]int, sign [3]float64) Grid {
	size := [3]int{61, 61, 81}
	g := Grid{Spacing: [3]float64{1, 1, 1}}
	for a, patient := range order {
		g.Size[a] = size[patient]
		g.Direction[3*patient+a] = sign[a]
		g.Origin[patient] = -sign[a] * float64(size[patient]-1) / 2
	}
	return g
}

func picture(t *testing.T, g Grid) image.Image {
	t.Helper()
	spec := CubeSpec{Size: 21, SpacingMM: 1, Margin: 3} // odd: the cube has a voxel in its middle
	ct, mask := sample(g, chest), blob(g, [3]float64{}, [3]float64{4, 4, 4})
	c, err := CutCube(ct, mask, spec)
	if err != nil {
		t.Fatal(err)
	}
	return QCPicture(ct, mask, c, spec, QCPixels)
}

// The same patient scanned in any of 48 ways (ten of them tried here) gives the same picture, letters and all.
func TestPictureDoesNotDependOnTheScansAxes(t *testing.T) {
	want := picture(t, turned([3]int{0, 1, 2}, [3]float64{1, 1, 1}))
	height := want.Bounds().Dy() - 2*lineHeight // the line at the foot gives voxel indices
	for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for bits := range 8 {
			if (bits+order[0]+2*order[1])%5 != 0 {
				continue // a fifth of them keeps the test short
			}
			sign := [3]float64{1, 1, 1}
			for a := range 3 {
				if bits>>a&1 == 1 {
					sign[a] = -1
				}
			}
			got := picture(t, turned(order, sign))
			if n := different(got, want, height); n > 0 {
				t.Errorf("axes %v, signs %v: %d bytes differ", order, sign, n)
			}
		}
	}
}

// different counts the bytes that differ by more than the last digit, where a shade
// half way between two may round either way.
func different(a, b image.Image, height int) int {
	p, q := a.(*image.RGBA), b.(*image.RGBA)
	n := 0
	for i, v := range q.Pix[:height*q.Stride] {
		if d := int(p.Pix[i]) - int(v); d < -1 || d > 1 {
			n++
		}
	}
	return n
}

func TestPictureShowsThePatientAsARadiologistDoes(t *testing.T) {
	im := picture(t, turned([3]int{1, 2, 0}, [3]float64{-1, 1, -1}))
	// Upper row: 81 mm take 420 pixels. Panels begin below one line of text.
	mm := 420.0 / 81
	top, step := panelGap+lineHeight, QCPixels+panelGap
	panels := []struct {
		name          string
		width, height float64    // mm
		right, down   [3]float64 // the bone seen there, as right and down mm from the tumour
	}{
		{"axial", 61, 61, [3]float64{22, 0}, [3]float64{0, 24}},
		{"coronal", 61, 81, [3]float64{22, 0}, [3]float64{0, -26}},
		{"sagittal", 61, 81, [3]float64{24, 0}, [3]float64{0, -26}},
	}
	for i, p := range panels {
		at := func(right, down float64) color.RGBA {
			x := panelGap + i*step + int((p.width/2+right)*mm)
			y := top + int((p.height/2+down)*mm)
			return color.RGBAModel.Convert(im.At(x, y)).(color.RGBA)
		}
		white, lung := at(p.right[0], p.right[1]), at(-p.right[0], p.right[1])
		if white.R != 255 || lung.R > 80 {
			t.Errorf("%s: right of the tumour is %v, left of it %v; want bone and lung", p.name, white, lung)
		}
		white, lung = at(p.down[0], p.down[1]), at(p.down[0], -p.down[1])
		if white.R != 255 || lung.R > 80 {
			t.Errorf("%s: bone expected %v mm down is %v, opposite %v", p.name, p.down[1], white, lung)
		}
		// The box is 21 mm wide around the tumour; its edge is drawn, beside it is lung.
		found := 0
		for d := 10.0; d < 11.2; d += 0.1 {
			for _, edge := range []color.RGBA{at(d, 3), at(-d, 3), at(3, d), at(3, -d)} {
				if edge == boxColour {
					found++
				}
			}
		}
		if found < 4 {
			t.Errorf("%s: the cube's box is not where it should be", p.name)
		}
		outline := 0
		for d := 2.5; d < 5; d += 0.1 {
			for _, rim := range []color.RGBA{at(d, 0.5), at(-d, 0.5), at(0.5, d), at(0.5, -d)} {
				if rim == contourColour {
					outline++
				}
			}
		}
		if outline < 4 {
			t.Errorf("%s: no outline around the tumour", p.name)
		}
	}
}

func TestLetters(t *testing.T) {
	for want, d := range map[string][3]float64{
		"L": {1, 0, 0}, "R": {-1, 0, 0}, "P": {0, 1, 0}, "A": {0, -1, 0}, "H": {0, 0, 1}, "F": {0, 0, -1},
		"LF": {0.8, 0, -0.6}, "ARH": {-0.5, -0.75, 0.43}, "P ": {0.1, 0.98, 0.17},
	} {
		if got := letters(d); got != string(bytes.TrimSpace([]byte(want))) {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestWindow(t *testing.T) {
	for hu, want := range map[float32]uint8{-5000: 0, -1350: 0, -600: 128, 150: 255, 3000: 255} {
		if got := grey(hu).R; got != want {
			t.Errorf("%v HU is %d, want %d", hu, got, want)
		}
	}
}

// Where the cube leaves the scan the picture is hatched, and the text counts it.
func TestPictureOfAPaddedCube(t *testing.T) {
	g := Grid{Size: [3]int{30, 30, 8}, Spacing: [3]float64{1, 1, 2.5}, Direction: directions["oblique"]}
	ct, mask := NewVolume(g), NewMask(g)
	mask.In[g.Offset(15, 15, 1)] = 1
	spec := CubeSpec{Size: 20, SpacingMM: 1}
	c, err := CutCube(ct, mask, spec)
	if err != nil {
		t.Fatal(err)
	}
	im := QCPicture(ct, mask, c, spec, QCPixels)
	hatched := 0
	for y := range im.Bounds().Dy() {
		for x := range im.Bounds().Dx() {
			if im.At(x, y) == hatchColour {
				hatched++
			}
		}
	}
	if c.Padded == 0 || hatched < 1000 {
		t.Errorf("%d voxels padded, %d pixels hatched", c.Padded, hatched)
	}
	if fmt.Sprint(im.Bounds().Dx()) != "1308" || im.Bounds().Dy() > 1000 {
		t.Errorf("picture of %v", im.Bounds())
	}
}
