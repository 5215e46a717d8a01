package figure

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"math"
	"strings"
	"unicode"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	pageWidth = vg.Length(480)
	keyWidth  = vg.Length(24) // the line sample of a key
	keyGap    = vg.Length(6)  // between sample and text

	textSize = vg.Length(9)
	leading  = vg.Length(12) // from one line of text to the next
)

// sheet is one SVG page. It notes the width of each string drawn on it, because an SVG
// viewer that lacks the font would otherwise let text run over its neighbours.
type sheet struct {
	*vgsvg.Canvas
	widths []float64 // points, one per string, in the order drawn
}

func newSheet(height vg.Length) *sheet {
	return &sheet{Canvas: vgsvg.New(pageWidth, height)}
}

// FillString draws one string; characters that XML forbids become U+FFFD.
func (s *sheet) FillString(f font.Face, pt vg.Point, text string) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF {
			return 0xFFFD
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	s.widths = append(s.widths, f.Width(text).Points())
	s.Canvas.FillString(f, pt, text)
}

// svg closes the page: title and description for screen readers, a white ground, and a
// list of fonts with the same widths as the one the layout was made with.
func (s *sheet) svg(title, description string) ([]byte, error) {
	var raw bytes.Buffer
	if _, err := s.Canvas.WriteTo(&raw); err != nil {
		return nil, fmt.Errorf("writing svg: %w", err)
	}
	_, body, found := strings.Cut(raw.String(), "xmlns:xlink=\"http://www.w3.org/1999/xlink\">\n")
	if !found {
		return nil, fmt.Errorf("writing svg: the drawing library changed its header; adapt package figure to it")
	}
	parts := strings.Split(body, "<text ")
	if len(parts) != len(s.widths)+1 {
		return nil, fmt.Errorf("writing svg: %d strings drawn, %d found; adapt package figure to the drawing library", len(s.widths), len(parts)-1)
	}
	w, h := s.Size()
	var out strings.Builder
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.5g\" height=\"%.5g\" viewBox=\"0 0 %.5g %.5g\" role=\"img\" aria-labelledby=\"title desc\">\n",
		w*4/3, h*4/3, w, h)
	fmt.Fprintf(&out, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escape(title), escape(description))
	fmt.Fprintf(&out, "<rect width=\"%.5g\" height=\"%.5g\" fill=\"#FFFFFF\"/>\n", w, h)
	out.WriteString(parts[0])
	for i, width := range s.widths {
		out.WriteString("<text ")
		if width > 0 {
			fmt.Fprintf(&out, "textLength=\"%.5g\" lengthAdjust=\"spacingAndGlyphs\" ", width)
		}
		part := strings.Replace(parts[i+1], "font-family:Liberation Sans;", "font-family:'Liberation Sans',Arimo,Arial,Helvetica,sans-serif;", 1)
		out.WriteString(strings.Replace(part, "\n\t", " ", 1))
	}
	return []byte(out.String()), nil
}

func escape(s string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// typeface is the way a piece of text looks.
type typeface struct {
	size   vg.Length
	bold   bool
	colour color.Color
}

var (
	plainType = typeface{size: textSize, colour: inkColour}
	boldType  = typeface{size: textSize, bold: true, colour: inkColour}
	quietType = typeface{size: 8, colour: quietColour}
)

func (t typeface) font() font.Font {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: t.size}
	if t.bold {
		f.Weight = xfont.WeightBold
	}
	return f
}

func (t typeface) face() font.Face { return font.DefaultCache.Lookup(t.font(), t.size) }

func (t typeface) width(s string) vg.Length {
	f := t.face()
	return f.Width(s)
}

// draw writes one line. y is the baseline; align is 0 for text that starts at x, 0.5 for
// text centred on it and 1 for text that ends there.
func (t typeface) draw(c draw.Canvas, x, y vg.Length, align float64, s string) {
	if s == "" {
		return
	}
	f := t.face()
	c.SetColor(t.colour)
	c.FillString(f, vg.Point{X: x - vg.Length(align)*f.Width(s), Y: y}, s)
}

// wrap breaks a text at its blanks into lines no wider than width. A single word that is
// wider is cut.
func (t typeface) wrap(s string, width vg.Length) []string {
	f := t.face()
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		for f.Width(word) > width {
			head := cut(f, word, width)
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, head), word[len(head):]
		}
		switch {
		case line == "":
			line = word
		case f.Width(line+" "+word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// shorten cuts a text that is wider than width and ends it with an ellipsis.
func (t typeface) shorten(s string, width vg.Length) string {
	f := t.face()
	if f.Width(s) <= width {
		return s
	}
	return strings.TrimRight(cut(f, s, width-f.Width("…")), " ") + "…"
}

// cut gives the longest beginning of s that fits into width, of one character at least.
func cut(f font.Face, s string, width vg.Length) string {
	end := 0
	for i, r := range s {
		next := i + len(string(r))
		if i > 0 && f.Width(s[:next]) > width {
			break
		}
		end = next
	}
	return s[:end]
}

// newPlot makes an empty plot in the house style, without a ground of its own.
func newPlot(xLabel, yLabel string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle = draw.LineStyle{Color: inkColour, Width: 0.75}
		a.Tick.LineStyle = a.LineStyle
		a.Tick.Length = 4
		a.Tick.Label.Font = plainType.font()
		a.Tick.Label.Color = inkColour
		a.Label.TextStyle.Font = typeface{size: 10}.font()
		a.Label.TextStyle.Color = inkColour
		a.Label.Padding = 3
		a.Padding = 0
	}
	p.X.Label.Text, p.Y.Label.Text = xLabel, yLabel
	return p
}

// steps gives round tick values, 1, 2 or 5 times a power of ten apart, within
// [low, high], about n of them, and the decimals that tell them apart.
func steps(low, high float64, n int) (values []float64, decimals int) {
	span := high - low
	if !(span > 0) {
		return []float64{low}, 2
	}
	exponent := int(math.Floor(math.Log10(span / float64(n))))
	step, best := 0.0, math.Inf(1)
	for e := exponent; e <= exponent+1; e++ {
		for _, m := range []float64{1, 2, 5} {
			s := m * math.Pow10(e)
			if gap := math.Abs(span/s - float64(n)); gap < best {
				step, best, decimals = s, gap, max(0, -e)
			}
		}
	}
	for k := math.Ceil(low/step - 1e-9); k*step <= high+1e-9*step; k++ {
		values = append(values, k*step+0) // + 0 makes a plain zero of -0
	}
	return values, decimals
}

// ticks labels the given values.
func ticks(values []float64, decimals int) plot.ConstantTicks {
	marks := make(plot.ConstantTicks, len(values))
	for i, v := range values {
		marks[i] = plot.Tick{Value: v, Label: number(v, decimals)}
	}
	return marks
}

// layer is one layer of a plot, drawn into its data area.
type layer func(c draw.Canvas, x, y func(float64) vg.Length)

// Plot draws the layer; plot.Plotter asks for it.
func (l layer) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	l(c, x, y)
}

// drawInto draws a plot so that its data area is exactly the given one; axes and labels
// stand outside it.
func drawInto(p *plot.Plot, area draw.Canvas) {
	c := area
	for range 4 { // the padding depends on the width: two rounds settle it
		inner := p.DataCanvas(c)
		c.Min = c.Min.Add(area.Min.Sub(inner.Min))
		c.Max = c.Max.Add(area.Max.Sub(inner.Max))
	}
	p.Draw(c)
}

// line draws points joined by straight lines, cut at the edges of the data area.
func line(style draw.LineStyle, xs, ys []float64) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		pts := make([]vg.Point, len(xs))
		for i := range xs {
			pts[i] = vg.Point{X: x(xs[i]), Y: y(ys[i])}
		}
		c.StrokeLines(style, c.ClipLinesXY(pts)...)
	}
}

// band fills the area between two lines.
func band(colour color.Color, xs, low, high []float64) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		pts := make([]vg.Point, 0, 2*len(xs))
		for i := range xs {
			pts = append(pts, vg.Point{X: x(xs[i]), Y: y(high[i])})
		}
		for i := len(xs) - 1; i >= 0; i-- {
			pts = append(pts, vg.Point{X: x(xs[i]), Y: y(low[i])})
		}
		if len(pts) >= 4 {
			c.FillPolygon(colour, c.ClipPolygonXY(pts))
		}
	}
}

// grid draws thin lines across the data area at the given heights.
func grid(heights []float64) layer {
	return func(c draw.Canvas, _, y func(float64) vg.Length) {
		for _, h := range heights {
			c.StrokeLine2(draw.LineStyle{Color: gridColour, Width: 0.5}, c.Min.X, y(h), c.Max.X, y(h))
		}
	}
}

// across draws an upright line through the data area at x = at.
func across(style draw.LineStyle, at float64) layer {
	return func(c draw.Canvas, x, _ func(float64) vg.Length) {
		if c.ContainsX(x(at)) {
			c.StrokeLine2(style, x(at), c.Min.Y, x(at), c.Max.Y)
		}
	}
}

// disc draws a dot with a white rim, so that it stands out from the lines below it.
func disc(c draw.Canvas, colour color.Color, x, y, radius vg.Length) {
	for _, ring := range []struct {
		colour color.Color
		radius vg.Length
	}{{paperColour, radius + 1}, {colour, radius}} {
		var p vg.Path
		p.Move(vg.Point{X: x + ring.radius, Y: y})
		p.Arc(vg.Point{X: x, Y: y}, ring.radius, 0, 2*math.Pi)
		p.Close()
		c.SetColor(ring.colour)
		c.Fill(p)
	}
}

// keyEntry is one line sample with its text.
type keyEntry struct {
	line  draw.LineStyle
	fill  color.Color // a band behind the line; nil for none
	lines []string
	bold  int // that many of the lines, from the first, are in bold
}

// drawKey writes entries one below another, the first line's top at y, and returns the
// height they took.
func drawKey(c draw.Canvas, x, y vg.Length, entries []keyEntry, gap vg.Length) vg.Length {
	top := y
	for _, e := range entries {
		mid := y - leading*0.5
		if e.fill != nil {
			c.FillPolygon(e.fill, []vg.Point{{X: x, Y: mid - 4}, {X: x + keyWidth, Y: mid - 4}, {X: x + keyWidth, Y: mid + 4}, {X: x, Y: mid + 4}})
		}
		if e.line.Width > 0 {
			c.StrokeLine2(e.line, x, mid, x+keyWidth, mid)
		}
		for i, s := range e.lines {
			style := plainType
			style.bold = i < e.bold
			style.draw(c, x+keyWidth+keyGap, y-leading*0.5-3, 0, s)
			y -= leading
		}
		y -= gap
	}
	return top - y - gap
}

// heightOf is the height that drawKey will take.
func heightOf(entries []keyEntry, gap vg.Length) vg.Length {
	var h vg.Length
	for _, e := range entries {
		h += leading*vg.Length(len(e.lines)) + gap
	}
	return h - gap
}

// upright writes text running up the page, centred on (x, y).
func upright(c draw.Canvas, x, y vg.Length, text string) {
	t := typeface{size: 10, colour: inkColour}
	c.Push()
	c.Translate(vg.Point{X: x, Y: y})
	c.Rotate(math.Pi / 2)
	t.draw(c, 0, -3, 0.5, text)
	c.Pop()
}
