package volume

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strings"
)

// PlanesColumn is one column of a PlanesPicture.
type PlanesColumn struct {
	Title string
	CT    *Volume // in grey, lung window
	Map   *Volume // laid over the CT in colour, on a grid of its own; nil: the CT alone
	// Signed says that the colours run from -Limit (dark blue) to Limit (yellow), else from
	// 0 (transparent) to Limit; Limit above 0 has the strongest colour, and so has all beyond.
	Signed bool
	Limit  float64
	Unit   string // of the map, below its scale
}

// PlanesPicture shows several scans of one place, or maps over one, side by side: axial,
// coronal and sagittal planes through centre (mm, LPS), mm wide and as many pixels, one
// below another; each column with the mask's outline in light blue. Planes are turned as
// in QCPicture. What lies outside a scan is hatched.
//
// A map's colours are those of cividis (Nuñez et al. 2018, doi:10.1371/journal.pone.0199239),
// whose brightness rises all the way, so it reads in grey and with every kind of colour
// vision; weak values are transparent, and the CT below a map is darker than alone, so that
// positive values are brighter than any tissue.
//
// It panics when a map is without a limit.
func PlanesPicture(columns []PlanesColumn, mask *Mask, centre [3]float64, mm float64, pixels int) image.Image {
	const gap, bar = 8, 10
	titles, lines := make([][]string, len(columns)), 1
	for i, col := range columns {
		if col.Map != nil && !(col.Limit > 0) {
			panic(fmt.Sprintf("volume: the map %q has the limit %v", col.Title, col.Limit))
		}
		titles[i] = wrapped(col.Title, pixels)
		lines = max(lines, len(titles[i]))
	}
	head := gap + lines*lineHeight
	height := head + 3*(pixels+gap)
	c := newCanvas(gap+len(columns)*(pixels+gap), height+bar+2*lineHeight+gap)
	for i, col := range columns {
		left := gap + i*(pixels+gap)
		for k, s := range titles[i] {
			c.text(left, gap+k*lineHeight+11, s)
		}
		for row, p := range standardPlanes(col.CT.Grid) {
			at, v := image.Pt(left, head+row*(pixels+gap)), p.centred(centre, pixels, pixels, mm/float64(pixels))
			c.overlaid(at, v, col, mask)
			c.annotate(at, v, 20)
			if i == 0 {
				c.text(at.X+4, at.Y+13, p.name)
			}
		}
		if col.Map != nil {
			c.scale(image.Rect(left, height, left+pixels, height+bar), col)
		}
	}
	return c
}

// overlaid draws one panel.
func (c canvas) overlaid(at image.Point, v view, col PlanesColumn, mask *Mask) {
	g := v.grid()
	hu, in, toScan := Resample(col.CT, g), ResampleMask(mask, g), newMapping(g, col.CT.Grid)
	var values *Volume
	var toMap mapping
	if col.Map != nil {
		values, toMap = Resample(col.Map, g), newMapping(g, col.Map.Grid)
	}
	inside := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < v.width && y < v.height && in.In[g.Offset(x, y, 0)] != 0
	}
	for y := range v.height {
		for x := range v.width {
			k := g.Offset(x, y, 0)
			shade := grey(hu.HU[k])
			switch {
			case inside(x, y) && !(inside(x-1, y) && inside(x+1, y) && inside(x, y-1) && inside(x, y+1)):
				shade = boxColour
			case !onGrid(col.CT.Grid, toScan.at(x, y, 0)):
				shade = paperColour
				if (x+y)%8 < 2 {
					shade = hatchColour
				}
			case col.Map != nil:
				t := 0.0
				if onGrid(col.Map.Grid, toMap.at(x, y, 0)) {
					t = float64(values.HU[k]) / col.Limit
				}
				shade = col.laidOver(shade, t)
			}
			c.SetRGBA(at.X+x, at.Y+y, shade)
		}
	}
}

// laidOver colours a grey by a value given as a part of the limit.
func (col PlanesColumn) laidOver(grey color.RGBA, t float64) color.RGBA {
	const dimmed, strongest = 0.6, 0.85
	low := 0.0
	if col.Signed {
		low = -1
	}
	t = min(max(t, low), 1)
	over, alpha := cividis((t+1)/2), strongest*min(1.5*math.Abs(t), 1)
	mix := func(a, b uint8) uint8 {
		return uint8(math.Round(dimmed*float64(a)*(1-alpha) + float64(b)*alpha))
	}
	return color.RGBA{R: mix(grey.R, over.R), G: mix(grey.G, over.G), B: mix(grey.B, over.B), A: 255}
}

// scale draws the colours from the lowest to the highest value, as over aerated lung.
func (c canvas) scale(at image.Rectangle, col PlanesColumn) {
	lung, low := grey(-850), 0.0
	if col.Signed {
		low = -1
	}
	for x := at.Min.X; x < at.Max.X; x++ {
		shade := col.laidOver(lung, low+(1-low)*float64(x-at.Min.X)/float64(at.Dx()-1))
		for y := at.Min.Y; y < at.Max.Y; y++ {
			c.SetRGBA(x, y, shade)
		}
	}
	first, last := fmt.Sprintf("%.2g", low*col.Limit), fmt.Sprintf("%.2g", col.Limit)
	base := at.Max.Y + lineHeight - 3
	c.text(at.Min.X, base, first)
	if col.Signed {
		c.text((at.Min.X+at.Max.X)/2-3, base, "0")
	}
	c.text(at.Max.X-textWidth(last), base, last)
	c.text(at.Min.X, base+lineHeight, col.Unit)
}

// cividisAt are colours of cividis at equal steps from 0 to 1.
var cividisAt = [9]color.RGBA{
	{0, 34, 78, 255}, {26, 56, 111, 255}, {65, 77, 107, 255}, {95, 99, 110, 255}, {124, 123, 120, 255},
	{155, 147, 119, 255}, {188, 174, 109, 255}, {223, 203, 88, 255}, {254, 232, 56, 255},
}

func cividis(u float64) color.RGBA {
	p := min(max(u, 0), 1) * float64(len(cividisAt)-1)
	i := min(int(p), len(cividisAt)-2)
	f := p - float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + f*(float64(b)-float64(a)))) }
	a, b := cividisAt[i], cividisAt[i+1]
	return color.RGBA{R: mix(a.R, b.R), G: mix(a.G, b.G), B: mix(a.B, b.B), A: 255}
}

// wrapped breaks a text at its blanks into lines of so many pixels.
func wrapped(s string, pixels int) []string {
	var lines []string
	for _, word := range strings.Fields(s) {
		if n := len(lines); n > 0 && textWidth(lines[n-1]+" "+word) <= pixels {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
