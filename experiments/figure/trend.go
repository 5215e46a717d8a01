package figure

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// TrendPoint is an estimate at a number on the horizontal axis.
type TrendPoint struct {
	At float64
	Estimate
}

// TrendSeries is a line of points whose At rise.
type TrendSeries struct {
	Name   string
	Points []TrendPoint
}

// TrendPlot is the input of Trend.
type TrendPlot struct {
	Title, Description string
	X, Y               string // what stands on the axes
	Series             []TrendSeries
	Lines              []ForestLine // level lines that the estimates are read against
	Decimals           int          // of the numbers in the description and the key; 2 when 0
}

// Trend draws estimates with their intervals against a number, such as an AUC against the
// width of a shell: a line for each series, with the intervals as whiskers moved apart a
// little so that none hides another, and level lines for reference.
func Trend(p TrendPlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.Decimals == 0 {
		p.Decimals = 2
	}
	const gap = vg.Length(7)
	key := p.key()
	height := max(vg.Length(318), heightOf(key, gap)+24)
	page := newSheet(height)
	all := draw.New(page)
	pl := p.axes()
	for i, l := range p.Lines {
		pl.Add(line(levelLine(i), []float64{pl.X.Min, pl.X.Max}, []float64{l.At, l.At}))
	}
	for i, s := range p.Series {
		pl.Add(s.layer(i, len(p.Series)))
	}
	pl.Draw(draw.Crop(all, 4, pairsWidth-pageWidth, height-312, -8))
	drawKey(all, pairsWidth+pairsGap, height-14, key, gap)
	if p.Title == "" {
		p.Title = label(p.Y) + " against " + label(p.X)
	}
	if p.Description == "" {
		p.Description = p.describe()
	}
	return page.svg(p.Title, p.Description)
}

// axes makes the plot without its series: the ticks of the horizontal axis are where points stand.
func (p TrendPlot) axes() *plot.Plot {
	pl := newPlot(label(p.X), label(p.Y))
	low, high := math.Inf(1), math.Inf(-1)
	var at []float64
	for _, l := range p.Lines {
		low, high = min(low, l.At), max(high, l.At)
	}
	for _, s := range p.Series {
		for _, q := range s.Points {
			at, low, high = append(at, q.At), min(low, q.Value), max(high, q.Value)
			if q.hasInterval() {
				low, high = min(low, q.Low), max(high, q.High)
			}
		}
	}
	if pad := 0.04 * (high - low); pad > 0 {
		low, high = low-pad, high+pad
	} else {
		low, high = low-0.05, high+0.05
	}
	pl.Y.Min, pl.Y.Max = low, high
	values, decimals := steps(low, high, 6)
	pl.Y.Tick.Marker = ticks(values, decimals)
	pl.Add(grid(values))

	slices.Sort(at)
	at = slices.Compact(at)
	// Room for whiskers moved aside at both ends, and for a single place.
	room := 0.07 * max(at[len(at)-1]-at[0], 1)
	pl.X.Min, pl.X.Max = at[0]-room, at[len(at)-1]+room
	if len(at) > 12 {
		at, decimals = steps(at[0], at[len(at)-1], 6)
	} else {
		decimals = 0
		for _, v := range at {
			for decimals < 3 && math.Abs(v*math.Pow10(decimals)-math.Round(v*math.Pow10(decimals))) > 1e-9 {
				decimals++
			}
		}
	}
	pl.X.Tick.Marker = ticks(at, decimals)
	pl.X.Padding, pl.Y.Padding = 4, 4
	return pl
}

// layer draws series i of n.
func (s TrendSeries) layer(i, n int) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		aside := 3 * (vg.Length(i) - vg.Length(n-1)/2)
		style := seriesLine(i)
		pts := make([]vg.Point, len(s.Points))
		for k, q := range s.Points {
			pts[k] = vg.Point{X: x(q.At) + aside, Y: y(q.Value)}
		}
		c.StrokeLines(style, pts)
		for k, q := range s.Points {
			if q.hasInterval() {
				whisker := draw.LineStyle{Color: style.Color, Width: 0.9}
				c.StrokeLine2(whisker, pts[k].X, y(q.Low), pts[k].X, y(q.High))
				for _, end := range []float64{q.Low, q.High} {
					c.StrokeLine2(whisker, pts[k].X-2, y(end), pts[k].X+2, y(end))
				}
			}
			disc(c, style.Color, pts[k].X, pts[k].Y, 2.75)
		}
	}
}

// levelLine is a reference line in a grey, so that none is taken for a series.
func levelLine(i int) draw.LineStyle {
	style := referenceLine(i)
	style.Color = []color.Color{ruleColour, inkColour, quietColour}[i%3]
	return style
}

func (p TrendPlot) key() []keyEntry {
	width := pairsKeyWidth()
	var key []keyEntry
	for i, s := range p.Series {
		name := boldType.wrap(label(s.Name), width)
		key = append(key, keyEntry{line: seriesLine(i), lines: name, bold: len(name)})
	}
	for i, l := range p.Lines {
		key = append(key, keyEntry{line: levelLine(i), lines: plainType.wrap(label(l.Name)+": "+number(l.At, p.Decimals), width)})
	}
	return key
}

func (p TrendPlot) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s against %s, with 95%% confidence intervals.", label(p.Y), label(p.X))
	for _, s := range p.Series {
		fmt.Fprintf(&b, " %s:", label(s.Name))
		for k, q := range s.Points {
			if k > 0 {
				b.WriteString(";")
			}
			fmt.Fprintf(&b, " at %g %s", q.At, q.Text(p.Decimals))
		}
		b.WriteString(".")
	}
	for _, l := range p.Lines {
		fmt.Fprintf(&b, " Line %s: %s.", label(l.Name), number(l.At, p.Decimals))
	}
	return b.String()
}

func (p TrendPlot) check() error {
	const fig = "trend"
	if len(p.Series) == 0 {
		return bad(fig, "", "Series", -1, "is empty; give at least one series")
	}
	for _, s := range p.Series {
		if len(s.Points) == 0 {
			return bad(fig, s.Name, "Points", -1, "is empty; leave out a series without points")
		}
		at := make([]float64, len(s.Points))
		for k, q := range s.Points {
			at[k] = q.At
			if err := q.Estimate.check(fig, s.Name, fmt.Sprintf("Points[%d]", k)); err != nil {
				return err
			}
		}
		if err := checkFinite(fig, s.Name, "At", at); err != nil {
			return err
		}
		if err := checkRising(fig, s.Name, "At", at); err != nil {
			return err
		}
	}
	for _, l := range p.Lines {
		if err := checkFinite(fig, l.Name, "Lines", []float64{l.At}); err != nil {
			return err
		}
	}
	return nil
}
