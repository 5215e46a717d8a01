package volume

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// canvas is the picture being drawn.
type canvas struct {
	*image.RGBA
}

func newCanvas(width, height int) canvas {
	c := canvas{image.NewRGBA(image.Rect(0, 0, width, height))}
	draw.Draw(c.RGBA, c.Bounds(), image.NewUniform(paperColour), image.Point{}, draw.Src)
	return c
}

// crop is the upper part of the canvas.
func (c canvas) crop(height int) image.Image {
	return c.SubImage(image.Rect(0, 0, c.Bounds().Dx(), height))
}

// panel draws scan and mask outline with the view's top left pixel at a point.
func (c canvas) panel(at image.Point, v view, ct *Volume, mask *Mask) {
	g := v.grid()
	hu, in := Resample(ct, g), ResampleMask(mask, g)
	inside := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < v.width && y < v.height && in.In[g.Offset(x, y, 0)] != 0
	}
	pen := v.pen()
	toScan := newMapping(g, ct.Grid)
	for y := range v.height {
		for x := range v.width {
			shade := grey(hu.HU[g.Offset(x, y, 0)])
			switch {
			case !onGrid(ct.Grid, toScan.at(x, y, 0)):
				shade = paperColour
				if (x+y)%8 < 2 {
					shade = hatchColour
				}
			case inside(x, y) && !(inside(x-pen, y) && inside(x+pen, y) && inside(x, y-pen) && inside(x, y+pen)):
				shade = contourColour
			}
			c.SetRGBA(at.X+x, at.Y+y, shade)
		}
	}
}

// onGrid says whether an index lies in a voxel of the grid.
func onGrid(g Grid, t [3]float64) bool {
	for a := range 3 {
		if nearest(t[a], g.Size[a]) < 0 {
			return false
		}
	}
	return true
}

// grey is the shade of a Hounsfield value in the lung window.
func grey(hu float32) color.RGBA {
	shade := (float64(hu) - (windowLevelHU - windowWidthHU/2)) / windowWidthHU
	y := uint8(math.Round(255 * min(max(shade, 0), 1)))
	return color.RGBA{R: y, G: y, B: y, A: 255}
}

// cubeBox draws the outer edge of the cube proper and a cross at its centre.
func (c canvas) cubeBox(at image.Point, v view, iso Grid, cube *Cube, spec CubeSpec) {
	first := cube.First()
	var lo, hi [3]float64
	for a := range 3 {
		lo[a] = float64(first[a]+cube.Margin) - 0.5
		hi[a] = lo[a] + float64(spec.Size)
	}
	x0, y0 := v.pixel(iso.Position(lo))
	x1, y1 := v.pixel(iso.Position(hi))
	box := image.Rect(int(math.Round(x0)), int(math.Round(y0)), int(math.Round(x1)), int(math.Round(y1))).Canon().Add(at)
	frame := image.Rect(0, 0, v.width, v.height).Add(at)
	for d := range v.pen() {
		for x := box.Min.X - d; x <= box.Max.X+d; x++ {
			c.dot(frame, x, box.Min.Y-d, boxColour)
			c.dot(frame, x, box.Max.Y+d, boxColour)
		}
		for y := box.Min.Y - d; y <= box.Max.Y+d; y++ {
			c.dot(frame, box.Min.X-d, y, boxColour)
			c.dot(frame, box.Max.X+d, y, boxColour)
		}
	}
	x, y := v.pixel(cube.CentreMM)
	centre := image.Pt(int(math.Round(x)), int(math.Round(y))).Add(at)
	for d := -4; d <= 4; d++ {
		c.dot(frame, centre.X+d, centre.Y, boxColour)
		c.dot(frame, centre.X, centre.Y+d, boxColour)
	}
}

// dot colours a pixel when it lies in the frame.
func (c canvas) dot(frame image.Rectangle, x, y int, shade color.RGBA) {
	if image.Pt(x, y).In(frame) {
		c.SetRGBA(x, y, shade)
	}
}

// annotate writes the patient's directions at the edges and a scale bar.
func (c canvas) annotate(at image.Point, v view, barMM float64) {
	opposite := func(d [3]float64) [3]float64 { return [3]float64{-d[0], -d[1], -d[2]} }
	middle := at.Y + v.height/2 + 4
	right, down := letters(v.right), letters(v.down)
	c.text(at.X+4, middle, letters(opposite(v.right)))
	c.text(at.X+v.width-4-textWidth(right), middle, right)
	c.text(at.X+v.width/2-4, at.Y+lineHeight, letters(opposite(v.down)))
	c.text(at.X+v.width/2-4, at.Y+v.height-5, down)

	for barMM/v.mm > float64(v.width)/2 {
		barMM /= 2
	}
	length := int(math.Round(barMM / v.mm))
	left, y := at.X+10, at.Y+v.height-10
	frame := image.Rect(0, 0, v.width, v.height).Add(at)
	bar := image.Rect(left, y, left+length, y+2)
	draw.Draw(c.RGBA, bar.Inset(-1).Intersect(frame), image.Black, image.Point{}, draw.Src)
	draw.Draw(c.RGBA, bar.Intersect(frame), image.NewUniform(textColour), image.Point{}, draw.Src)
	c.text(left, y-4, fmt.Sprintf("%g mm", barMM))
}

// text writes from x to the right, letters standing on y, with a dark rim that
// keeps them readable on bright tissue.
func (c canvas) text(x, y int, s string) {
	d := font.Drawer{Dst: c.RGBA, Src: image.NewUniform(color.Black), Face: basicfont.Face7x13}
	for _, rim := range [4]image.Point{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
		d.Dot = fixed.P(x+rim.X, y+rim.Y)
		d.DrawString(s)
	}
	d.Src, d.Dot = image.NewUniform(textColour), fixed.P(x, y)
	d.DrawString(s)
}

func textWidth(s string) int { return font.MeasureString(basicfont.Face7x13, s).Round() }
