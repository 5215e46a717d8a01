package volume

import (
	"image"
	"image/color"
	"testing"
)

func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	return (0.2126*float64(r) + 0.7152*float64(g) + 0.0722*float64(b)) / 65535
}

// A map's spot is the brightest of its panels where it lies, in all three planes, and the
// darkest where it is negative; the column without a map stays as it is.
func TestPlanesPictureShowsTheSpot(t *testing.T) {
	g := Grid{Size: [3]int{40, 40, 16}, Origin: [3]float64{-20, -20, -20}, Spacing: [3]float64{1, 1, 2.5}, Direction: Identity}
	ct, mask := NewVolume(g), NewMask(g)
	for k := range ct.HU {
		ct.HU[k] = -850
	}
	mask.In[g.Offset(10, 10, 8)] = 1
	spot := NewVolume(Grid{Size: [3]int{5, 5, 5}, Origin: [3]float64{-2, -2, -2}, Spacing: [3]float64{1, 1, 1}, Direction: Identity})
	for k := range spot.HU {
		spot.HU[k] = 1
	}
	below := &Volume{Grid: spot.Grid, HU: make([]float32, len(spot.HU))}
	for k := range below.HU {
		below.HU[k] = -1
	}
	const pixels = 60
	columns := []PlanesColumn{{Title: "CT", CT: ct}, {Title: "raises the risk", CT: ct, Map: spot, Signed: true, Limit: 1}, {Title: "lowers it", CT: ct, Map: below, Signed: true, Limit: 1}}
	picture := PlanesPicture(columns, mask, [3]float64{}, 30, pixels)
	if again := PlanesPicture(columns, mask, [3]float64{}, 30, pixels); string(again.(canvas).Pix) != string(picture.(canvas).Pix) {
		t.Error("two pictures of the same differ")
	}
	height := picture.Bounds().Dy()
	top := height - 8 - 2*lineHeight - 10 - 3*(pixels+8)
	for row := range 3 {
		at := func(column int, mm float64) float64 {
			middle := image.Pt(8+column*(pixels+8)+pixels/2, top+row*(pixels+8)+pixels/2)
			return luminance(picture.At(middle.X, middle.Y+int(mm*pixels/30)))
		}
		lung := luminance(grey(-850))
		if got := at(0, 0); got != lung {
			t.Errorf("plane %d: the CT alone has brightness %.2f, not %.2f", row, got, lung)
		}
		if up, down, beside := at(1, 0), at(2, 0), at(1, 6); !(up > 0.6 && down < 0.15 && beside > down && beside < lung) {
			t.Errorf("plane %d: brightness %.2f where the map is 1, %.2f where it is -1, %.2f beside it (lung alone %.2f)", row, up, down, beside, lung)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a map without a limit is drawn")
		}
	}()
	PlanesPicture([]PlanesColumn{{CT: ct, Map: spot}}, mask, [3]float64{}, 30, pixels)
}

// The colours can be read in grey.
func TestCividisRises(t *testing.T) {
	last := -1.0
	for i := range 101 {
		now := luminance(cividis(float64(i) / 100))
		if now <= last {
			t.Fatalf("brightness %.4f at %d%%, %.4f before", now, i, last)
		}
		last = now
	}
}
