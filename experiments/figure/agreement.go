package figure

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"unicode"
	"unicode/utf8"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Pairs are two scores of each patient: predicted risks of death, higher is worse, on one
// scale.
type Pairs struct {
	First, Second         []float64 // aligned, one entry per patient
	FirstName, SecondName string    // such as "original" and "re-run"
}

// AgreementPlot is the input of BlandAltman.
type AgreementPlot struct {
	Title, Description string
	Pairs
	Bias         Estimate // mean of Second - First
	Lower, Upper Estimate // limits of agreement, with the intervals of each; both zero for none
	Coverage     string   // what the limits are meant to hold; "95% of the differences" when empty
}

// ScatterPlot is the input of Scatter.
type ScatterPlot struct {
	Title, Description string
	Pairs
	Spearman *Estimate // rank correlation; nil for none
	Cut      *float64  // a score strictly above it is high risk; nil for no cut
	CutName  string    // where the cut comes from, such as "median of the tune role"
}

// Width of the drawing and of the gap before its key, as in ROC.
const (
	pairsWidth = vg.Length(312)
	pairsGap   = vg.Length(10)
)

// BlandAltman draws the difference second - first of each patient against the mean of
// the two, with the bias and the limits of agreement as lines across, their intervals as
// bands, and the line of no difference. A patient who would flatten the rest (a difference
// more than six standard deviations from the bias, a mean more than ten interquartile
// ranges from the quartiles) is left outside the axes, with a triangle at the edge and a
// count in the key. A bias that is not the mean difference is refused: it comes from
// other data, or from first - second.
func BlandAltman(p AgreementPlot) ([]byte, error) {
	const fig = "bland-altman"
	if err := p.Pairs.check(fig); err != nil {
		return nil, err
	}
	n := len(p.First)
	means, differences := make([]float64, n), make([]float64, n)
	mean, size := 0.0, 0.0
	for i := range means {
		means[i], differences[i] = p.First[i]/2+p.Second[i]/2, p.Second[i]-p.First[i]
		mean += differences[i] / float64(n)
		size = max(size, math.Abs(differences[i]))
	}
	if err := checkFinite(fig, "", "Second, First", differences); err != nil {
		return nil, err
	}
	for _, e := range []struct {
		name string
		of   Estimate
	}{{"Bias", p.Bias}, {"Lower", p.Lower}, {"Upper", p.Upper}} {
		if err := e.of.check(fig, "", e.name); err != nil {
			return nil, err
		}
	}
	if math.Abs(mean-p.Bias.Value) > 1e-6*size {
		return nil, bad(fig, "", "Bias", -1, "is %g, but the mean of second less first is %g; take both from the same patients, in this direction", p.Bias.Value, mean)
	}
	limits := p.Lower != Estimate{} || p.Upper != Estimate{}
	lines := []Estimate{p.Bias}
	if limits {
		if p.Lower.Value > p.Bias.Value || p.Upper.Value < p.Bias.Value {
			return nil, bad(fig, "", "Lower, Upper", -1, "%g to %g do not hold the bias %g; check their order", p.Lower.Value, p.Upper.Value, p.Bias.Value)
		}
		lines = append(lines, p.Lower, p.Upper)
	}
	left, right := window(means)
	bottom, top := ordinary(differences, mean)
	bottom, top = min(bottom, 0), max(top, 0)
	for _, e := range lines {
		bottom, top = min(bottom, e.Value), max(top, e.Value)
		if e.hasInterval() {
			bottom, top = min(bottom, e.Low), max(top, e.High)
		}
	}
	left, right = roomy(left, right)
	bottom, top = roomy(bottom, top)

	pl := newPlot(fmt.Sprintf("Mean of %s and %s", label(p.FirstName), label(p.SecondName)), fmt.Sprintf("%s − %s", label(p.SecondName), label(p.FirstName)))
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = left, right, bottom, top
	pl.X.Tick.Marker = ticks(steps(left, right, 5))
	marks, decimals := steps(bottom, top, 6)
	pl.Y.Tick.Marker = ticks(marks, decimals)
	decimals++
	ends := []float64{left, right}
	pl.Add(grid(marks), line(noDifference, ends, []float64{0, 0}))
	far, outside := beyondAxes(n, func(i int) bool {
		return means[i] < left || means[i] > right || differences[i] < bottom || differences[i] > top
	})
	styles := []int{0, 1, 1}
	for k, e := range lines {
		if e.hasInterval() {
			pl.Add(band(bandColour(styles[k]), ends, []float64{e.Low, e.Low}, []float64{e.High, e.High}))
		}
	}
	pl.Add(dots(means, differences, far, func(int) bool { return false }))
	for k, e := range lines {
		pl.Add(line(seriesLine(styles[k]), ends, []float64{e.Value, e.Value}))
	}

	said := fmt.Sprintf("Bias %s.", p.Bias.Text(decimals))
	key := []keyEntry{p.Bias.entry("Bias", 0, decimals)}
	if limits {
		if p.Coverage == "" {
			p.Coverage = "95% of the differences"
		}
		key = append(key, p.Upper.entry("Upper limit of agreement", 1, decimals), p.Lower.entry("Lower limit of agreement", 1, decimals))
		said += fmt.Sprintf(" Limits of agreement, meant for %s: %s and %s.", label(p.Coverage), p.Lower.Text(decimals), p.Upper.Text(decimals))
	}
	key = append(key, keyEntry{line: noDifference, lines: []string{"no difference"}})
	mk := marksKey{n: n, far: outside}
	page := drawPairs(pl, key, mk, false)
	if p.Title == "" {
		p.Title = "Bland-Altman plot"
	}
	if p.Description == "" {
		p.Description = fmt.Sprintf("Difference %s less %s against their mean, %s. %s", label(p.SecondName), label(p.FirstName), mk.words(), said)
	}
	return page.svg(p.Title, p.Description)
}

// Scatter draws second against first on a square whose axes have the same range, with the
// line on which both are the same, and the rank correlation in the key. Where a cut is
// given it is drawn for both, and the patients whom the two put on different sides of it
// are squares. A score more than ten interquartile ranges from the quartiles of all is left
// outside the axes as in BlandAltman.
func Scatter(p ScatterPlot) ([]byte, error) {
	const fig = "scatter"
	if err := p.Pairs.check(fig); err != nil {
		return nil, err
	}
	if s := p.Spearman; s != nil {
		if err := s.check(fig, "", "Spearman"); err != nil {
			return nil, err
		}
		if math.Abs(s.Value) > 1 {
			return nil, bad(fig, "", "Spearman", -1, "is %g, outside -1 to 1; check that the right number was given", s.Value)
		}
	}
	n := len(p.First)
	low, high := window(slices.Concat(p.First, p.Second))
	if p.Cut != nil {
		if err := checkFinite(fig, "", "Cut", []float64{*p.Cut}); err != nil {
			return nil, err
		}
		low, high = min(low, *p.Cut), max(high, *p.Cut)
	}
	low, high = roomy(low, high)
	pl := newPlot(sentence(p.FirstName), sentence(p.SecondName))
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = low, high, low, high
	marks, decimals := steps(low, high, 5)
	pl.X.Tick.Marker, pl.Y.Tick.Marker = ticks(marks, decimals), ticks(marks, decimals)
	ends := []float64{low, high}
	pl.Add(grid(marks), line(noDifference, ends, ends))
	far, outside := beyondAxes(n, func(i int) bool {
		return p.First[i] < low || p.First[i] > high || p.Second[i] < low || p.Second[i] > high
	})
	moved := func(i int) bool { return p.Cut != nil && (p.First[i] > *p.Cut) != (p.Second[i] > *p.Cut) }
	mk := marksKey{n: n, far: outside}
	key := []keyEntry{{line: noDifference, lines: []string{"the same score"}}}
	said := ""
	if p.Cut != nil {
		pl.Add(across(cutLine, *p.Cut), line(cutLine, ends, []float64{*p.Cut, *p.Cut}))
		for i := range n {
			if moved(i) {
				mk.moved++
			}
		}
		mk.cut = true
		name := "cut at " + significant(*p.Cut)
		if p.CutName != "" {
			name += ", " + label(p.CutName)
		}
		key = append(key, keyEntry{line: cutLine, lines: plainType.wrap(name, pairsKeyWidth())})
		said = fmt.Sprintf(" The %s: %d of %d change sides.", name, mk.moved, n)
	}
	pl.Add(dots(p.First, p.Second, far, moved))
	if s := p.Spearman; s != nil {
		e := s.entry("Spearman", 0, 2)
		e.line, e.fill = draw.LineStyle{}, nil
		key = append([]keyEntry{e}, key...)
		said = fmt.Sprintf(" Spearman %s.", s.Text(2)) + said
	}
	page := drawPairs(pl, key, mk, true)
	if p.Title == "" {
		p.Title = fmt.Sprintf("%s against %s", sentence(p.SecondName), label(p.FirstName))
	}
	if p.Description == "" {
		p.Description = fmt.Sprintf("Score %s against score %s, %s.%s", label(p.SecondName), label(p.FirstName), mk.words(), said)
	}
	return page.svg(p.Title, p.Description)
}

func (p Pairs) check(fig string) error {
	if len(p.First) == 0 {
		return bad(fig, "", "First", -1, "is empty; give at least one patient")
	}
	if err := checkLength(fig, "", "Second", len(p.Second), len(p.First), "First"); err != nil {
		return err
	}
	if err := checkFinite(fig, p.FirstName, "First", p.First); err != nil {
		return err
	}
	if err := checkFinite(fig, p.SecondName, "Second", p.Second); err != nil {
		return err
	}
	for _, s := range []struct{ field, name string }{{"FirstName", p.FirstName}, {"SecondName", p.SecondName}} {
		if label(s.name) == "" {
			return bad(fig, "", s.field, -1, "is empty; say whose score it is")
		}
	}
	return nil
}

var noDifference = draw.LineStyle{Color: ruleColour, Width: 0.75, Dashes: []vg.Length{3, 3}}

func pairsKeyWidth() vg.Length { return pageWidth - pairsWidth - pairsGap - keyWidth - keyGap - 4 }

// roomy widens a range so that no point lies on the frame; a range of no width gets some.
func roomy(low, high float64) (float64, float64) {
	room := 0.04 * (high - low)
	if room == 0 {
		room = max(math.Abs(low)*0.05, 1e-6)
	}
	return low - room, high + room
}

// ordinary is the range of the differences within six standard deviations of their mean.
// Most repeats come back almost exactly, so quartiles say nothing about the others.
func ordinary(differences []float64, mean float64) (low, high float64) {
	sum := 0.0
	for _, d := range differences {
		sum += (d - mean) * (d - mean)
	}
	room := 6 * math.Sqrt(sum/float64(len(differences)))
	low, high = mean, mean
	for _, d := range differences {
		if math.Abs(d-mean) <= room {
			low, high = min(low, d), max(high, d)
		}
	}
	return low, high
}

// sentence is a name with a capital letter, for an axis or a title.
func sentence(name string) string {
	first, size := utf8.DecodeRuneInString(label(name))
	return string(unicode.ToUpper(first)) + label(name)[size:]
}

// entry is the key's entry of an estimate, in the line and colour of series i.
func (e Estimate) entry(name string, i, decimals int) keyEntry {
	k := keyEntry{line: seriesLine(i), lines: boldType.wrap(name, pairsKeyWidth())}
	k.bold = len(k.lines)
	k.lines = append(k.lines, number(e.Value, decimals))
	if e.hasInterval() {
		k.fill = bandColour(i)
		k.lines = append(k.lines, fmt.Sprintf("95%% CI %s to %s", number(e.Low, decimals), number(e.High, decimals)))
	}
	return k
}

// beyondAxes marks the points outside the axes and counts them.
func beyondAxes(n int, outside func(i int) bool) (far []bool, count int) {
	far = make([]bool, n)
	for i := range far {
		if far[i] = outside(i); far[i] {
			count++
		}
	}
	return far, count
}

// dots draws one mark per patient: a disc, a square for those picked, and a triangle at
// the edge, pointing outwards, for those far outside.
func dots(xs, ys []float64, far []bool, picked func(i int) bool) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		for i := range xs {
			at := vg.Point{X: x(xs[i]), Y: y(ys[i])}
			switch {
			case far[i]:
				outward(c, at)
			case picked(i):
				square(c, at)
			default:
				patientDot(c, at)
			}
		}
	}
}

// patientDot, square and outward draw the marks of single patients.
func patientDot(c draw.Canvas, at vg.Point) {
	colour := seriesColour(0)
	colour.A = 0x90
	var p vg.Path
	p.Move(at.Add(vg.Point{X: markRadius}))
	p.Arc(at, markRadius, 0, 2*math.Pi)
	p.Close()
	c.SetColor(colour)
	c.Fill(p)
}

func square(c draw.Canvas, at vg.Point) {
	const r = markRadius + 0.4
	c.FillPolygon(seriesColour(1), []vg.Point{{X: at.X - r, Y: at.Y - r}, {X: at.X - r, Y: at.Y + r}, {X: at.X + r, Y: at.Y + r}, {X: at.X + r, Y: at.Y - r}})
}

func outward(c draw.Canvas, at vg.Point) {
	edge := vg.Point{X: min(max(at.X, c.Min.X), c.Max.X), Y: min(max(at.Y, c.Min.Y), c.Max.Y)}
	d := at.Sub(edge)
	length := vg.Length(math.Hypot(float64(d.X), float64(d.Y)))
	if length == 0 {
		return
	}
	d = d.Scale(1 / length)
	side := vg.Point{X: -d.Y, Y: d.X}
	triangle(c, inkColour, edge, d, side)
}

// triangle draws a triangle whose base is centred on base, pointing along d.
func triangle(c draw.Canvas, colour color.Color, base, d, side vg.Point) {
	c.FillPolygon(colour, []vg.Point{base.Add(side.Scale(4)), base.Add(d.Scale(5)), base.Sub(side.Scale(4))})
}

const markRadius = vg.Length(2)

// marksKey explains the marks of single patients.
type marksKey struct {
	n, far, moved int
	cut           bool
}

func (m marksKey) words() string {
	s := fmt.Sprintf("n = %d", m.n)
	if m.far > 0 {
		s += fmt.Sprintf(", %d of them far outside the axes", m.far)
	}
	return s
}

// drawPairs puts the plot on a page with its key, and draws the key's marks; equal asks
// for a square data area.
func drawPairs(pl *plot.Plot, key []keyEntry, m marksKey, equal bool) *sheet {
	const gap = vg.Length(7)
	var marks []keyEntry
	var mark []func(draw.Canvas, vg.Point)
	add := func(text string, drawIt func(draw.Canvas, vg.Point)) {
		marks, mark = append(marks, keyEntry{lines: plainType.wrap(text, pairsKeyWidth())}), append(mark, drawIt)
	}
	add(fmt.Sprintf("patients, n = %d", m.n), patientDot)
	if m.cut {
		add(fmt.Sprintf("of them %d on another side of the cut", m.moved), square)
	}
	if m.far > 0 {
		add(fmt.Sprintf("of them %d far outside the axes", m.far), func(c draw.Canvas, at vg.Point) {
			triangle(c, inkColour, at.Sub(vg.Point{X: 2}), vg.Point{X: 1}, vg.Point{Y: 1})
		})
	}
	height := max(vg.Length(318), heightOf(key, gap)+gap+heightOf(marks, gap)+24)
	page := newSheet(height)
	all := draw.New(page)
	pl.X.Padding, pl.Y.Padding = 4, 4
	area := draw.Crop(all, 4, pairsWidth-pageWidth, height-312, -8)
	if equal {
		inner := pl.DataCanvas(area)
		excess := (inner.Max.X - inner.Min.X) - (inner.Max.Y - inner.Min.Y)
		if excess > 0 {
			area.Max.X -= excess
		} else {
			area.Min.Y -= excess
		}
	}
	pl.Draw(area)
	x, y := pairsWidth+pairsGap, height-14
	y -= drawKey(all, x, y, key, gap) + gap
	for i, e := range marks {
		mark[i](all, vg.Point{X: x + keyWidth/2, Y: y - leading*0.5})
		y -= drawKey(all, x, y, []keyEntry{e}, 0) + gap
	}
	return page
}
