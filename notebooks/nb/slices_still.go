package nb

import (
	"image"
	"image/color"
	"math"
	"strconv"
)

const (
	stillZoom = 2 // pixels for a voxel
	stillGap  = 8
	// stillOpacity is that of the script at first.
	stillOpacity = 0.5
)

// still is what is seen where scripts do not run, as on a page for printing: the three
// planes through the middle, with the first window, overlay and all contours.
func (v *slicesView) still() string {
	n := v.n
	side := n * stillZoom
	picture := image.NewRGBA(image.Rect(0, 0, 3*side+2*stillGap, side))
	for i := range picture.Pix {
		picture.Pix[i] = 255
	}
	hu := huOf()
	var colours slicesColour
	var codes []uint8
	if len(v.overlays) > 0 {
		colours, codes = v.coloured(0)
	}
	shade := func(i int) color.RGBA {
		if v.codes[i] == 0 {
			return color.RGBA{24, 24, 24, 255}
		}
		w := v.Windows[0]
		grey := 255 * min(max((float64(hu[v.codes[i]])-float64(w.LevelHU))/float64(w.WidthHU)+0.5, 0), 1)
		mixed := [3]float64{grey, grey, grey}
		if codes != nil {
			alpha := stillOpacity * math.Abs(float64(codes[i])-float64(colours.Zero)) / float64(max(colours.Zero, 255-colours.Zero))
			for c, x := range between(colours.Ramp, codes[i]) {
				mixed[c] += alpha * (x - grey)
			}
		}
		return color.RGBA{uint8(mixed[0]), uint8(mixed[1]), uint8(mixed[2]), 255}
	}
	for k, at := range []func(right, down int) int{
		func(right, down int) int { return (n/2*n+down)*n + right },       // axial
		func(right, down int) int { return ((n-1-down)*n+n/2)*n + right }, // coronal, the head up
		func(right, down int) int { return ((n-1-down)*n+right)*n + n/2 }, // sagittal
	} {
		left := k * (side + stillGap)
		for y := range side {
			for x := range side {
				picture.SetRGBA(left+x, y, v.rim(at, x, y, shade))
			}
		}
	}
	return encoded(picture)
}

// rim is the colour of a pixel: that of a contour where its voxel lies inside and the voxel
// next to it outside.
func (v *slicesView) rim(at func(right, down int) int, x, y int, shade func(int) color.RGBA) color.RGBA {
	right, down := x/stillZoom, y/stillZoom
	here := v.inside[at(right, down)]
	for _, d := range [4][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
		across, below := (x+d[0]+stillZoom)/stillZoom-1, (y+d[1]+stillZoom)/stillZoom-1
		there := uint8(0)
		if across >= 0 && below >= 0 && across < v.n && below < v.n {
			there = v.inside[at(across, below)]
		}
		for k := range v.Contours {
			if (here&^there)>>k&1 == 1 {
				return parsed(lineColours[k%len(lineColours)])
			}
		}
	}
	return shade(at(right, down))
}

// between is the colour of a code on a scale.
func between(ramp [][3]int, code uint8) (out [3]float64) {
	t := float64(code) / 255 * float64(len(ramp)-1)
	k := min(int(t), len(ramp)-2)
	for c := range out {
		a, b := float64(ramp[k][c]), float64(ramp[k+1][c])
		out[c] = a + (b-a)*(t-float64(k))
	}
	return out
}

// parsed is a colour written as #rrggbb.
func parsed(text string) color.RGBA {
	rgb, err := strconv.ParseUint(text[1:], 16, 32)
	if err != nil {
		panic(err)
	}
	return color.RGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 255}
}
