package figure

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// SpreadGroup is the values of one row.
type SpreadGroup struct {
	Name   string
	Values []float64
}

// SpreadPlot is the input of Spread.
type SpreadPlot struct {
	Title, Description string
	X                  string // what stands on the axis, with its unit
	Groups             []SpreadGroup
	Line               ForestLine // an upright line to read the values against
}

// spreadDots is the most values of a row that are drawn one by one.
const spreadDots = 100

// Spread draws how values scatter, a row for each group on one axis: a box over the middle
// half with a line at the median, whiskers over the middle 95%, and a dot for each value,
// in rows of more than 100 for those beyond the whiskers only. A value more than ten
// interquartile ranges from the quartiles of all is left outside the axis, with a triangle
// at the edge.
func Spread(p SpreadPlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var all []float64
	for _, g := range p.Groups {
		all = append(all, g.Values...)
	}
	left, right := window(all)
	left, right = roomy(min(left, p.Line.At), max(right, p.Line.At))
	n := len(p.Groups)
	pl := newPlot(label(p.X), "")
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = left, right, -0.6, float64(n)-0.4
	marks, decimals := steps(left, right, 5)
	pl.X.Tick.Marker = ticks(marks, decimals)
	rows := make(plot.ConstantTicks, n)
	nameWidth := vg.Length(150)
	far := 0
	for i, g := range p.Groups {
		rows[i] = plot.Tick{Value: float64(n - 1 - i), Label: plainType.shorten(label(g.Name), nameWidth)}
		for _, v := range g.Values {
			if v < left || v > right {
				far++
			}
		}
	}
	pl.Y.Tick.Marker = rows
	pl.Y.Tick.Length, pl.Y.LineStyle.Width = 0, 0
	pl.X.Padding, pl.Y.Padding = 4, 4
	for _, x := range marks {
		pl.Add(across(draw.LineStyle{Color: gridColour, Width: 0.5}, x))
	}
	pl.Add(across(noDifference, p.Line.At))
	for i, g := range p.Groups {
		pl.Add(g.layer(float64(n-1-i), left, right))
	}
	const rowHeight, axis, gap = vg.Length(26), vg.Length(46), vg.Length(3)
	key := []string{"Box: the middle half; line in it: the median; whiskers: the middle 95%.",
		fmt.Sprintf("Dots: single values, in rows of more than %d those beyond the whiskers. Dashed: %s.", spreadDots, label(p.Line.Name))}
	if far > 0 {
		key = append(key, fmt.Sprintf("Triangles: values far outside the axis, %d of %d.", far, len(all)))
	}
	var lines []string
	for _, s := range key {
		lines = append(lines, quietType.wrap(s, pageWidth-16)...)
	}
	height := rowHeight*vg.Length(n) + axis + gap + leading*vg.Length(len(lines)) + 14
	page := newSheet(height)
	c := draw.New(page)
	pl.Draw(draw.Crop(c, 8, -10, leading*vg.Length(len(lines))+gap+6, -8))
	for i, s := range lines {
		quietType.draw(c, 8, leading*vg.Length(len(lines)-i)-6, 0, s)
	}
	if p.Title == "" {
		p.Title = label(p.X)
	}
	if p.Description == "" {
		p.Description = p.describe(decimals + 1)
	}
	return page.svg(p.Title, p.Description)
}

// layer draws a row at height y.
func (g SpreadGroup) layer(at, left, right float64) layer {
	s := slices.Sorted(slices.Values(g.Values))
	low, q1, median, q3, high := ofSorted(s, 0.025), ofSorted(s, 0.25), ofSorted(s, 0.5), ofSorted(s, 0.75), ofSorted(s, 0.975)
	within := func(v float64) float64 { return max(left, min(right, v)) }
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		mid := y(at)
		for i, v := range s {
			if len(s) > spreadDots && v >= low && v <= high {
				continue
			}
			// Steps of the golden ratio spread the dots over the row.
			_, aside := math.Modf(float64(i) * (math.Sqrt(5) - 1) / 2)
			place := vg.Point{X: x(v), Y: mid + vg.Length(aside-0.5)*14}
			if v < left || v > right {
				outward(c, place)
			} else {
				patientDot(c, place)
			}
		}
		ink := draw.LineStyle{Color: inkColour, Width: 1}
		c.StrokeLine2(ink, x(within(low)), mid, x(within(high)), mid)
		for _, v := range []float64{low, high} {
			c.StrokeLine2(ink, x(within(v)), mid-3, x(within(v)), mid+3)
		}
		box := []vg.Point{{X: x(within(q1)), Y: mid - 5}, {X: x(within(q3)), Y: mid - 5}, {X: x(within(q3)), Y: mid + 5}, {X: x(within(q1)), Y: mid + 5}}
		pale := paperColour
		pale.A = 0xB0
		c.FillPolygon(pale, box)
		c.StrokeLines(ink, append(box, box[0]))
		c.StrokeLine2(draw.LineStyle{Color: seriesColour(1), Width: 2}, x(within(median)), mid-5, x(within(median)), mid+5)
	}
}

// ofSorted is a quantile, linear between order statistics.
func ofSorted(s []float64, q float64) float64 {
	at := q * float64(len(s)-1)
	k := int(at)
	if k+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[k] + (at-float64(k))*(s[k+1]-s[k])
}

func (p SpreadPlot) describe(decimals int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: median and middle 95%% of each group.", label(p.X))
	for _, g := range p.Groups {
		s := slices.Sorted(slices.Values(g.Values))
		fmt.Fprintf(&b, " %s: %s (%s to %s).", label(g.Name), number(ofSorted(s, 0.5), decimals), number(ofSorted(s, 0.025), decimals), number(ofSorted(s, 0.975), decimals))
	}
	return b.String()
}

func (p SpreadPlot) check() error {
	const fig = "spread"
	if len(p.Groups) == 0 {
		return bad(fig, "", "Groups", -1, "is empty; give at least one group")
	}
	if label(p.X) == "" {
		return bad(fig, "", "X", -1, "is empty; say what stands on the axis")
	}
	for _, g := range p.Groups {
		if len(g.Values) == 0 {
			return bad(fig, g.Name, "Values", -1, "is empty; leave out a group without values")
		}
		if err := checkFinite(fig, g.Name, "Values", g.Values); err != nil {
			return err
		}
	}
	return checkFinite(fig, p.Line.Name, "Line", []float64{p.Line.At})
}
