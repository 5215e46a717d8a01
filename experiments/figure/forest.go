package figure

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ForestRow is one line of a forest plot: a seed, a role, a model, a cohort.
type ForestRow struct {
	Group string // rows that follow each other with the same group share a heading
	Name  string
	Estimate
	N       int  // patients; 0 for not stated
	Summary bool // drawn as a diamond over its interval
}

// ForestLine is an upright line that the estimates are read against.
type ForestLine struct {
	Name string
	At   float64
}

// ForestPlot is the input of Forest.
type ForestPlot struct {
	Title, Description string
	Rows               []ForestRow
	Axis               string // what is estimated; "AUC" when empty
	Lines              []ForestLine
	Log                bool // a logarithmic axis, as for hazard ratios
	Decimals           int  // of the numbers written; 2 when 0
}

// Forest draws estimates with their intervals, one row each, with the numbers written
// beside them and upright lines for reference, such as chance or the AUC of the phantom's
// true hazard.
func Forest(p ForestPlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.Axis == "" {
		p.Axis = "AUC"
	}
	if p.Decimals == 0 {
		p.Decimals = 2
	}
	const margin, row, nameMost = vg.Length(6), vg.Length(17), vg.Length(150)
	numbers, names := make([]string, len(p.Rows)), make([][]string, len(p.Rows))
	withN := false
	nameWidth, nWidth, textWidth := vg.Length(60), boldType.width("n"), boldType.width(p.Axis+" (95% CI)")
	body, indent := vg.Length(0), vg.Length(0)
	for i, r := range p.Rows {
		if p.startsGroup(i) {
			body += row
			nameWidth = max(nameWidth, boldType.width(label(r.Group)))
			indent = 10
		}
		names[i] = r.face().wrap(label(r.Name), nameMost-indent)
		body += r.height(names[i])
		numbers[i] = shortInterval(r.Estimate, p.Decimals)
		textWidth = max(textWidth, boldType.width(numbers[i]))
		nameWidth = max(nameWidth, r.face().width(label(r.Name))+indent)
		if r.N > 0 {
			withN = true
			nWidth = max(nWidth, r.face().width(fmt.Sprint(r.N)))
		}
	}
	nameWidth = min(nameWidth, nameMost)
	if !withN {
		nWidth = 0
	}
	textWidth = min(textWidth, 150)
	lineKey := p.lineKey()
	header := leading*vg.Length(len(lineKey)) + leading + 10
	pl := p.axes()
	const side = 100 // of a canvas nobody draws on
	axis := pl.DataCanvas(draw.NewCanvas(nil, side, side)).Min.Y
	height := margin + header + body + axis + margin
	page := newSheet(height)
	all := draw.New(page)
	y := height - margin
	y -= drawKey(all, margin, y, lineKey, 0)
	if len(lineKey) > 0 {
		y -= 4
	}

	left := margin + nameWidth + 12
	if withN {
		left += nWidth + 6
		boldType.draw(all, left-8, y-9, 1, "n")
	}
	right := textWidth + 12 + margin
	boldType.draw(all, pageWidth-margin, y-9, 1, boldType.shorten(p.Axis+" (95% CI)", 150))

	for i, l := range p.Lines {
		pl.Add(across(referenceLine(i), l.At))
	}
	inner := draw.Crop(all, left, -right, margin+axis, 0)
	inner.Max.Y = inner.Min.Y + body
	drawInto(pl, inner)
	xOf, _ := pl.Transforms(&inner)

	at := inner.Max.Y
	for i, r := range p.Rows {
		if p.startsGroup(i) {
			boldType.draw(all, margin, at-row/2-3, 0, boldType.shorten(label(r.Group), nameWidth))
			at -= row
		}
		style, high := r.face(), r.height(names[i])
		for k, line := range names[i] {
			style.draw(all, margin+indent, at-row/2-3-nameLeading*vg.Length(k), 0, line)
		}
		base := at - high/2 - 3
		if r.N > 0 {
			style.draw(all, left-8, base, 1, fmt.Sprint(r.N))
		}
		style.draw(all, pageWidth-margin, base, 1, numbers[i])
		r.draw(all, xOf, at-high/2)
		at -= high
	}
	if p.Title == "" {
		p.Title = "Forest plot of " + label(p.Axis)
	}
	if p.Description == "" {
		p.Description = p.describe()
	}
	return page.svg(p.Title, p.Description)
}

// axes makes the plot without its rows.
func (p ForestPlot) axes() *plot.Plot {
	pl := newPlot(p.Axis, "")
	low, high := p.span()
	values, decimals := steps(low, high, 5)
	if p.Log {
		pl.X.Scale = logScale{}
		values, decimals = logSteps(low, high)
	}
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = low, high, 0, 1
	pl.X.Tick.Marker = ticks(values, decimals)
	pl.X.Padding = 2
	pl.HideY()
	return pl
}

func (p ForestPlot) check() error {
	const fig = "forest"
	if len(p.Rows) == 0 {
		return bad(fig, "", "Rows", -1, "is empty; give at least one row")
	}
	for _, r := range p.Rows {
		if err := r.Estimate.check(fig, r.Name, "Estimate"); err != nil {
			return err
		}
		if p.Log && (r.Value <= 0 || r.hasInterval() && r.Low <= 0) {
			return bad(fig, r.Name, "Estimate", -1, "is not above zero and cannot stand on a logarithmic axis; set Log to false")
		}
	}
	for i, l := range p.Lines {
		if err := checkFinite(fig, l.Name, "Lines", []float64{l.At}); err != nil {
			return err
		}
		if p.Log && l.At <= 0 {
			return bad(fig, l.Name, "Lines", i, "is not above zero and cannot stand on a logarithmic axis; set Log to false")
		}
	}
	return nil
}

// startsGroup says whether a heading comes before row i.
func (p ForestPlot) startsGroup(i int) bool {
	return p.Rows[i].Group != "" && (i == 0 || p.Rows[i-1].Group != p.Rows[i].Group)
}

// span gives the ends of the axis: all intervals and reference lines, and a little more.
func (p ForestPlot) span() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, r := range p.Rows {
		low, high = min(low, r.Value), max(high, r.Value)
		if r.hasInterval() {
			low, high = min(low, r.Low), max(high, r.High)
		}
	}
	for _, l := range p.Lines {
		low, high = min(low, l.At), max(high, l.At)
	}
	if p.Log {
		room := max(math.Pow(high/low, 0.05), 1.05)
		return low / room, high * room
	}
	pad := 0.05 * (high - low)
	if pad == 0 {
		pad = max(math.Abs(low)*0.05, 0.05)
	}
	return low - pad, high + pad
}

// lineKey explains the reference lines.
func (p ForestPlot) lineKey() []keyEntry {
	var key []keyEntry
	for i, l := range p.Lines {
		text := label(l.Name) + ": " + number(l.At, p.Decimals)
		key = append(key, keyEntry{line: referenceLine(i), lines: []string{plainType.shorten(text, pageWidth-60)}})
	}
	return key
}

func (p ForestPlot) describe() string {
	var b strings.Builder
	b.WriteString(label(p.Axis) + " with 95% confidence intervals.")
	for _, r := range p.Rows {
		name := label(r.Name)
		if r.Group != "" {
			name = label(r.Group) + ", " + name
		}
		fmt.Fprintf(&b, " %s: %s", name, r.Text(p.Decimals))
		if r.N > 0 {
			fmt.Fprintf(&b, ", n = %d", r.N)
		}
		b.WriteString(".")
	}
	for _, l := range p.Lines {
		fmt.Fprintf(&b, " Line %s: %s.", label(l.Name), number(l.At, p.Decimals))
	}
	return b.String()
}

func referenceLine(i int) draw.LineStyle {
	return draw.LineStyle{Color: []draw.LineStyle{{Color: ruleColour}, {Color: palette[1]}, {Color: palette[2]}, {Color: palette[3]}}[i%4].Color,
		Width: 1, Dashes: [][]vg.Length{{3, 3}, {7, 3}, {1.5, 2}, {7, 2.5, 1.5, 2.5}}[i%4]}
}

// nameLeading is the distance between the lines of a row's name.
const nameLeading = vg.Length(10.5)

// height of the row with its name on that many lines.
func (r ForestRow) height(name []string) vg.Length {
	return 17 + nameLeading*vg.Length(len(name)-1)
}

func (r ForestRow) face() typeface {
	if r.Summary {
		return boldType
	}
	return plainType
}

// draw puts the row's mark on the page: a square with whiskers, or a diamond.
func (r ForestRow) draw(c draw.Canvas, x func(float64) vg.Length, y vg.Length) {
	mid := x(r.Value)
	if r.Summary && r.hasInterval() {
		c.FillPolygon(palette[0], []vg.Point{{X: x(r.Low), Y: y}, {X: mid, Y: y + 5}, {X: x(r.High), Y: y}, {X: mid, Y: y - 5}})
		return
	}
	if r.hasInterval() {
		style := draw.LineStyle{Color: palette[0], Width: 1.25}
		c.StrokeLine2(style, x(r.Low), y, x(r.High), y)
		for _, end := range []float64{r.Low, r.High} {
			c.StrokeLine2(style, x(end), y-2.5, x(end), y+2.5)
		}
	}
	const half = 3.25
	c.FillPolygon(palette[0], []vg.Point{{X: mid - half, Y: y - half}, {X: mid - half, Y: y + half}, {X: mid + half, Y: y + half}, {X: mid + half, Y: y - half}})
}

// shortInterval writes "0.70 (0.63 to 0.78)"; the column's heading says what the
// parentheses hold.
func shortInterval(e Estimate, decimals int) string {
	if !e.hasInterval() {
		return number(e.Value, decimals)
	}
	return fmt.Sprintf("%s (%s to %s)", number(e.Value, decimals), number(e.Low, decimals), number(e.High, decimals))
}

// logScale places numbers above zero by their logarithm.
type logScale struct{}

// Normalize gives the place of x between low and high, from 0 to 1; plot.Normalizer asks
// for it.
func (logScale) Normalize(low, high, x float64) float64 {
	return math.Log(x/low) / math.Log(high/low)
}

// logSteps gives ticks at 1, 2 and 5 times powers of ten, or closer ones for a range that
// holds fewer than three of those.
func logSteps(low, high float64) (values []float64, decimals int) {
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); v >= low && v <= high {
				values = append(values, v)
				decimals = max(decimals, int(-e))
			}
		}
	}
	if len(values) < 3 {
		return steps(low, high, 4)
	}
	return values, decimals
}
