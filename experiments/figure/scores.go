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

// ScoreGroup is the scores of one class or role: predicted risk of death, higher is worse.
type ScoreGroup struct {
	Name   string
	Scores []float64
}

// ScorePlot is the input of ScoreDistribution.
type ScorePlot struct {
	Title, Description string
	Groups             []ScoreGroup
	Cut                *float64 // a score strictly above it is high risk; nil for no cut
	CutName            string   // where the cut comes from, such as "median of the tune role"
	Axis               string   // label of the score axis; "Predicted risk of death" when empty
}

// ScoreDistribution draws one histogram per group, one below another on a shared axis and
// with shared bins, the height being the share of the group; below each a tick per patient
// and a dot at the median; and the cut as an upright line, with the number of patients
// above it. A group without patients keeps its panel. A score so far from all others that
// it would flatten the rest is left outside the axis, with a triangle at the edge and a
// count beside the group's name.
func ScoreDistribution(p ScorePlot) ([]byte, error) {
	const fig = "scores"
	if len(p.Groups) == 0 {
		return nil, bad(fig, "", "Groups", -1, "is empty; give at least one group")
	}
	most := 0
	var pooled []float64
	for _, g := range p.Groups {
		if err := checkFinite(fig, g.Name, "Scores", g.Scores); err != nil {
			return nil, err
		}
		pooled = append(pooled, g.Scores...)
		most = max(most, len(g.Scores))
	}
	if most == 0 {
		return nil, bad(fig, "", "Groups", -1, "hold no score; there is nothing to draw")
	}
	low, high := window(pooled)
	if p.Cut != nil {
		if err := checkFinite(fig, "", "Cut", []float64{*p.Cut}); err != nil {
			return nil, err
		}
		low, high = min(low, *p.Cut), max(high, *p.Cut)
	}
	if low == high {
		spread := max(math.Abs(low)*0.05, 1e-6)
		low, high = low-spread, high+spread
	}
	edges := binEdges(low, high, most)
	shares := make([][]float64, len(p.Groups))
	top := 0.0
	for i, g := range p.Groups {
		shares[i] = histogram(g.Scores, edges)
		top = max(top, slices.Max(shares[i]))
	}

	const panel, margin, axis = vg.Length(92), vg.Length(6), vg.Length(34)
	header := leading - 4
	height := margin + header + panel*vg.Length(len(p.Groups)) + axis + margin
	page := newSheet(height)
	all := draw.New(page)
	p.drawHeader(all, height-margin)

	frame := p.scoreAxis(edges, top)
	frame.Y.Tick.Marker = ticks(steps(0, 100*top, 2))
	// The lowest panel, which carries the axis, says where all data areas begin and end.
	lowest := draw.Crop(all, margin+18, -margin-8, margin, 0)
	lowest.Max.Y = margin + axis + panel - leading - 12
	inner := frame.DataCanvas(lowest)
	area := inner
	var said []string
	for i, g := range p.Groups {
		text := fmt.Sprintf("%s: n = %d", label(g.Name), len(g.Scores))
		if p.Cut != nil && len(g.Scores) > 0 {
			n := 0
			for _, v := range g.Scores {
				if v > *p.Cut {
					n++
				}
			}
			text += fmt.Sprintf(", %d above the cut (%.0f%%)", n, 100*float64(n)/float64(len(g.Scores)))
		}
		text += g.beyond(edges)
		said = append(said, text+".")
		rise := panel * vg.Length(len(p.Groups)-1-i)
		area.Min.Y, area.Max.Y = inner.Min.Y+rise, inner.Max.Y+rise
		boldType.draw(all, area.Min.X, area.Max.Y+6, 0, boldType.shorten(text, area.Max.X-area.Min.X))
		pl := p.scoreAxis(edges, top)
		pl.Y.Tick.Marker = frame.Y.Tick.Marker
		if i < len(p.Groups)-1 {
			pl.HideX()
			pl.X.Label.Text = ""
		}
		pl.Add(gridOf(pl))
		pl.Add(bars(seriesColour(i), edges, shares[i]))
		if p.Cut != nil {
			pl.Add(across(cutLine, *p.Cut))
		}
		pl.Add(rug(seriesColour(i), g.Scores, 22*top))
		drawInto(pl, area)
	}
	upright(all, margin+8, (height-header+axis)/2, "Patients (%)")
	if p.Title == "" {
		p.Title = "Distribution of the scores"
	}
	if p.Description == "" {
		p.Description = "Histograms of the predicted risk of death. " + strings.Join(said, " ")
	}
	return page.svg(p.Title, p.Description)
}

// scoreAxis makes the empty plot of one panel.
func (p ScorePlot) scoreAxis(edges []float64, top float64) *plot.Plot {
	axis := p.Axis
	if axis == "" {
		axis = "Predicted risk of death"
	}
	pl := newPlot(axis, "")
	pl.X.Min, pl.X.Max = edges[0], edges[len(edges)-1]
	pl.Y.Min, pl.Y.Max = -22*top, 100*top*1.05
	pl.X.Tick.Marker = ticks(steps(pl.X.Min, pl.X.Max, 6))
	return pl
}

var cutLine = draw.LineStyle{Color: inkColour, Width: 1, Dashes: []vg.Length{4, 2}}

// drawHeader explains the cut line, the ticks and the dots.
func (p ScorePlot) drawHeader(c draw.Canvas, y vg.Length) {
	base := y - leading*0.5 - 3
	text := "ticks: single patients; dot: median"
	width := quietType.width(text)
	quietType.draw(c, c.Max.X-14, base, 1, text)
	if p.Cut == nil {
		return
	}
	name := "cut at " + significant(*p.Cut)
	if p.CutName != "" {
		name += ", " + label(p.CutName)
	}
	c.StrokeLine2(cutLine, 20, y-leading*0.5, 20+keyWidth, y-leading*0.5)
	x := 20 + keyWidth + keyGap
	plainType.draw(c, x, base, 0, plainType.shorten(name, c.Max.X-24-width-x))
}

// significant writes a number with four digits.
func significant(v float64) string {
	return strings.Replace(fmt.Sprintf("%.4g", v), "-", "−", 1)
}

// binEdges gives 12 to 40 round bins that cover [low, high]; n is the size of the largest
// group.
func binEdges(low, high float64, n int) []float64 {
	want := min(40, max(12, int(2*math.Sqrt(float64(n)))))
	inner, _ := steps(low, high, want)
	if len(inner) < 2 {
		return []float64{low, high}
	}
	step := inner[1] - inner[0]
	if inner[0] > low {
		inner = append([]float64{inner[0] - step}, inner...)
	}
	if inner[len(inner)-1] < high {
		inner = append(inner, inner[len(inner)-1]+step)
	}
	return inner
}

// window gives the part of the scores to draw: all, or what lies within ten interquartile
// ranges of the quartiles where some lie farther out (as LUNG1-236 of the published scores,
// 1.3e-12 among values near 0.95).
func window(values []float64) (low, high float64) {
	s := slices.Sorted(slices.Values(values))
	q1, q3 := s[len(s)/4], s[(3*len(s))/4]
	low, high = s[0], s[len(s)-1]
	room := 10 * (q3 - q1)
	if room == 0 {
		return low, high
	}
	inLow, _ := slices.BinarySearch(s, q1-room)
	inHigh, _ := slices.BinarySearch(s, q3+room)
	return s[inLow], s[min(inHigh, len(s))-1]
}

// beyond says how many scores lie outside the axis.
func (g ScoreGroup) beyond(edges []float64) string {
	left, right := 0, 0
	for _, v := range g.Scores {
		if v < edges[0] {
			left++
		}
		if v > edges[len(edges)-1] {
			right++
		}
	}
	text := ""
	if left > 0 {
		text += fmt.Sprintf(", %d far below the axis", left)
	}
	if right > 0 {
		text += fmt.Sprintf(", %d far above the axis", right)
	}
	return text
}

// histogram gives the share of the values in each bin. A bin holds its lower edge, the last
// one its upper edge too; values outside all bins count in none.
func histogram(values, edges []float64) []float64 {
	shares := make([]float64, len(edges)-1)
	for _, v := range values {
		if v < edges[0] || v > edges[len(shares)] {
			continue
		}
		i, found := slices.BinarySearch(edges, v)
		if !found {
			i--
		}
		shares[min(i, len(shares)-1)] += 1 / float64(len(values))
	}
	return shares
}

// bars draws a histogram; shares are fractions, the axis is in per cent.
func bars(colour color.NRGBA, edges, shares []float64) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		fill := colour
		fill.A = 0x90
		for i, share := range shares {
			if share == 0 {
				continue
			}
			corners := []vg.Point{
				{X: x(edges[i]), Y: y(0)}, {X: x(edges[i]), Y: y(100 * share)},
				{X: x(edges[i+1]), Y: y(100 * share)}, {X: x(edges[i+1]), Y: y(0)},
			}
			c.FillPolygon(fill, corners)
			c.StrokeLines(draw.LineStyle{Color: colour, Width: 0.75}, corners)
		}
		c.StrokeLine2(draw.LineStyle{Color: ruleColour, Width: 0.5}, c.Min.X, y(0), c.Max.X, y(0))
	}
}

// rug draws one tick per value between the axis and depth per cent below zero, and a dot
// at the median.
func rug(colour color.NRGBA, values []float64, depth float64) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		if len(values) == 0 {
			return
		}
		var path vg.Path
		for _, v := range values {
			if !c.ContainsX(x(v)) {
				edge, tip := c.Min.X, vg.Length(-5)
				if x(v) > c.Max.X {
					edge, tip = c.Max.X, 5
				}
				mid := y(-0.55 * depth)
				c.FillPolygon(inkColour, []vg.Point{{X: edge - tip, Y: mid + 4}, {X: edge, Y: mid}, {X: edge - tip, Y: mid - 4}})
				continue
			}
			path.Move(vg.Point{X: x(v), Y: y(-0.25 * depth)})
			path.Line(vg.Point{X: x(v), Y: y(-0.85 * depth)})
		}
		thin := colour
		thin.A = 0xA0
		c.SetLineStyle(draw.LineStyle{Color: thin, Width: 0.5})
		c.Stroke(path)
		if m := x(median(values)); c.ContainsX(m) {
			disc(c, inkColour, m, y(-0.55*depth), 3)
		}
	}
}

// median of the values, the mean of the two middle ones for an even number.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}
