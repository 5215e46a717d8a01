package figure

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// SettingsPlot shows a measure over the values of one setting.
type SettingsPlot struct {
	Title, Description string
	Setting            string   // its name, below the axis
	Values             []string // as they stand below the axis, in their order and equally far apart
	Measure            string   // "AUC" when empty
	Series             []SettingsSeries
}

// SettingsSeries is the measure on one group of patients, one estimate for each value; a NaN
// value is a gap.
type SettingsSeries struct {
	Name      string
	Estimates []Estimate
}

// Settings draws a measure with its intervals over the values of one setting. The values are
// equally far apart whatever they are; lines join neighbours to lead the eye.
func Settings(p SettingsPlot) ([]byte, error) {
	const fig = "settings"
	if len(p.Values) == 0 {
		return nil, bad(fig, "", "Values", -1, "is empty; give the values of the setting")
	}
	if p.Measure == "" {
		p.Measure = "AUC"
	}
	low, high := math.Inf(1), math.Inf(-1)
	var key []keyEntry
	var said []string
	for i, s := range p.Series {
		if err := checkLength(fig, s.Name, "Estimates", len(s.Estimates), len(p.Values), "Values"); err != nil {
			return nil, err
		}
		for k, e := range s.Estimates {
			if math.IsNaN(e.Value) {
				said = append(said, fmt.Sprintf("%s, %s: none.", label(s.Name), label(p.Values[k])))
				continue
			}
			if err := e.check(fig, s.Name, "Estimates"); err != nil {
				return nil, err
			}
			low, high = min(low, e.Value), max(high, e.Value)
			if e.hasInterval() {
				low, high = min(low, e.Low), max(high, e.High)
			}
			said = append(said, fmt.Sprintf("%s, %s: %s.", label(s.Name), label(p.Values[k]), e.Text(2)))
		}
		key = append(key, keyEntry{line: seriesLine(i), lines: []string{plainType.shorten(label(s.Name), pageWidth-60)}})
	}
	if low > high {
		return nil, bad(fig, "", "Series", -1, "hold no estimate; there is nothing to draw")
	}
	const margin, area = vg.Length(6), vg.Length(190)
	pl := newPlot(label(p.Setting), p.Measure)
	setRange(&pl.Y, low, high, 6)
	room := vg.Length(pageWidth-80) / vg.Length(len(p.Values))
	marks := make(plot.ConstantTicks, len(p.Values))
	for i, v := range p.Values {
		marks[i] = plot.Tick{Value: float64(i), Label: plainType.shorten(label(v), room)}
	}
	pl.X.Tick.Marker, pl.X.Min, pl.X.Max = marks, -0.5, float64(len(p.Values))-0.5
	pl.Add(gridOf(pl))
	for i, s := range p.Series {
		shift := 0.1 * (float64(i) - float64(len(p.Series)-1)/2)
		pl.Add(s.layer(i, shift))
	}
	const axis = vg.Length(34)
	header := heightOf(key, 0) + 8
	page := newSheet(margin + header + area + axis + margin)
	all := draw.New(page)
	_, h := page.Size()
	drawKey(all, margin, h-margin, key, 0)
	inner := draw.Crop(all, margin, -margin, margin, -margin-header)
	pl.Draw(inner)
	if p.Title == "" {
		p.Title = p.Measure + " over " + label(p.Setting)
	}
	if p.Description == "" {
		p.Description = p.Measure + " by " + label(p.Setting) + ". " + strings.Join(said, " ")
	}
	return page.svg(p.Title, p.Description)
}

// layer draws a series, moved aside so that the intervals of several do not hide each other.
func (s SettingsSeries) layer(i int, shift float64) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		style := seriesLine(i)
		for k, e := range s.Estimates {
			if math.IsNaN(e.Value) {
				continue
			}
			at := x(float64(k) + shift)
			if k > 0 && !math.IsNaN(s.Estimates[k-1].Value) {
				c.StrokeLine2(style, x(float64(k-1)+shift), y(s.Estimates[k-1].Value), at, y(e.Value))
			}
			if e.hasInterval() {
				plain := draw.LineStyle{Color: seriesColour(i), Width: 1}
				c.StrokeLine2(plain, at, y(e.Low), at, y(e.High))
				for _, end := range []float64{e.Low, e.High} {
					c.StrokeLine2(plain, at-3, y(end), at+3, y(end))
				}
			}
			disc(c, seriesColour(i), at, y(e.Value), 3.5)
		}
	}
}

// HeatPlot shows a measure over the values of two settings, one panel below another.
type HeatPlot struct {
	Title, Description string
	Down, Across       string   // the settings
	Rows, Columns      []string // their values
	Measure            string   // "AUC" when empty
	Panels             []HeatPanel
}

// HeatPanel is the measure on one group of patients, Values[row][column]; NaN for none.
type HeatPanel struct {
	Name   string
	Values [][]float64
}

// Heat draws the panels as grids of shaded cells, each with its number, all on one scale, the
// darker the higher. A cell without a value is empty and crossed.
func Heat(p HeatPlot) ([]byte, error) {
	const fig = "heat"
	if len(p.Rows) == 0 || len(p.Columns) == 0 || len(p.Panels) == 0 {
		return nil, bad(fig, "", "Rows, Columns, Panels", -1, "are empty; give the values of both settings and a panel")
	}
	if p.Measure == "" {
		p.Measure = "AUC"
	}
	low, high := math.Inf(1), math.Inf(-1)
	var said []string
	for _, panel := range p.Panels {
		if err := checkLength(fig, panel.Name, "Values", len(panel.Values), len(p.Rows), "Rows"); err != nil {
			return nil, err
		}
		for r, row := range panel.Values {
			if err := checkLength(fig, panel.Name, "Values", len(row), len(p.Columns), "Columns"); err != nil {
				return nil, err
			}
			for c, v := range row {
				if math.IsInf(v, 0) {
					return nil, bad(fig, panel.Name, "Values", r, "holds %v, which cannot be drawn; leave out what could not be estimated", v)
				}
				words := "none"
				if !math.IsNaN(v) {
					low, high = min(low, v), max(high, v)
					words = number(v, 3)
				}
				said = append(said, fmt.Sprintf("%s, %s %s, %s %s: %s.", label(panel.Name), label(p.Down), label(p.Rows[r]), label(p.Across), label(p.Columns[c]), words))
			}
		}
	}
	if low > high {
		return nil, bad(fig, "", "Panels", -1, "hold no value; there is nothing to draw")
	}
	const margin, row, nameMost = vg.Length(6), vg.Length(22), vg.Length(130)
	names := boldType.width(label(p.Down))
	for _, r := range p.Rows {
		names = max(names, plainType.width(label(r)))
	}
	names = min(names, nameMost)
	left := margin + names + 8
	cell := min(vg.Length(90), (pageWidth-left-margin)/vg.Length(len(p.Columns)))
	const head = leading * 3
	panelHeight := head + row*vg.Length(len(p.Rows)) + 10
	page := newSheet(margin + leading + 4 + panelHeight*vg.Length(len(p.Panels)) + margin)
	all := draw.New(page)
	_, y := page.Size()
	y -= margin
	quietType.draw(all, margin, y-9, 0, fmt.Sprintf("%s: white %s, darkest %s", label(p.Measure), number(low, 3), number(high, 3)))
	y -= leading + 4
	for _, panel := range p.Panels {
		boldType.draw(all, margin, y-9, 0, boldType.shorten(label(panel.Name), pageWidth-2*margin))
		boldType.draw(all, left, y-9-leading, 0, boldType.shorten(label(p.Across), pageWidth-left-margin))
		boldType.draw(all, margin, y-9-2*leading, 0, boldType.shorten(label(p.Down), names))
		for c, text := range p.Columns {
			plainType.draw(all, left+cell*(vg.Length(c)+0.5), y-9-2*leading, 0.5, plainType.shorten(label(text), cell-4))
		}
		top := y - head
		for r, text := range p.Rows {
			at := top - row*vg.Length(r)
			plainType.draw(all, margin, at-row/2-3, 0, plainType.shorten(label(text), names))
			for c, v := range panel.Values[r] {
				heatCell(all, left+cell*vg.Length(c), at, cell, row, v, low, high)
			}
		}
		y -= panelHeight
	}
	if p.Title == "" {
		p.Title = p.Measure + " over " + label(p.Down) + " and " + label(p.Across)
	}
	if p.Description == "" {
		p.Description = p.Measure + " by two settings. " + strings.Join(said, " ")
	}
	return page.svg(p.Title, p.Description)
}

// heatCell draws one cell with its top left corner at (x, y).
func heatCell(c draw.Canvas, x, y, width, height vg.Length, v, low, high float64) {
	corners := []vg.Point{{X: x, Y: y}, {X: x + width, Y: y}, {X: x + width, Y: y - height}, {X: x, Y: y - height}}
	rim := draw.LineStyle{Color: ruleColour, Width: 0.5}
	if math.IsNaN(v) {
		c.StrokeLine2(rim, corners[0].X, corners[0].Y, corners[2].X, corners[2].Y)
		c.StrokeLine2(rim, corners[1].X, corners[1].Y, corners[3].X, corners[3].Y)
	} else {
		share := 0.5
		if high > low {
			share = (v - low) / (high - low)
		}
		ground := shade(share)
		c.FillPolygon(ground, corners)
		ink := plainType
		if ink.colour = color.Black; share > 0.72 { // from there on white has the higher contrast
			ink.colour = paperColour
		}
		ink.draw(c, x+width/2, y-height/2-3, 0.5, number(v, 3))
	}
	c.StrokeLines(rim, append(corners, corners[0]))
}

// shade runs from white to a dark blue, evenly in grey as well.
func shade(share float64) color.NRGBA {
	mix := func(from, to uint8) uint8 {
		return uint8(math.Round(float64(from) + share*(float64(to)-float64(from))))
	}
	return color.NRGBA{R: mix(0xFF, 0x00), G: mix(0xFF, 0x48), B: mix(0xFF, 0x78), A: 0xFF}
}
