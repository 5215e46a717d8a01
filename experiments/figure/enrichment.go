package figure

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// EnrichmentPanel is one gene set in a ranking of genes.
type EnrichmentPanel struct {
	Name     string
	NES, FDR float64   // of the set, for its heading; FDR NaN where it is not defined
	Hits     []int     // places of the set's genes in the ranking, from 0, rising
	Running  []float64 // running sum after each gene of the ranking
}

// EnrichmentPlot is the input of Enrichment.
type EnrichmentPlot struct {
	Title, Description string
	Scores             []float64 // of the ranked genes, falling
	ScoreName          string    // such as "Spearman's correlation with the score"
	FDRName            string    // whose rate Panels[i].FDR is, such as "Broad"
	High, Low          string    // what the two ends of the ranking mean
	Panels             []EnrichmentPanel
}

const (
	enrichmentSum    = vg.Length(76) // height of the running sum
	enrichmentHits   = vg.Length(14)
	enrichmentMetric = vg.Length(34)
	enrichmentLeft   = vg.Length(44) // of a column, for the axis
	enrichmentGap    = vg.Length(10) // below a panel
)

// Enrichment draws for each set the running sum of its enrichment, its genes as strokes, and
// the scores that rank all genes, two panels beside each other. All panels have the same
// axes. A dashed line marks the enrichment score.
func Enrichment(p EnrichmentPlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	const columns, margin, perLine = 2, vg.Length(4), vg.Length(11)
	const right = vg.Length(10) // half of the axis' last number stands there
	width := (pageWidth-2*margin)/columns - enrichmentLeft - right
	names := make([][]string, len(p.Panels))
	heads := make([]vg.Length, (len(p.Panels)+columns-1)/columns) // heights of the rows' headings
	low, high := 0.0, 0.0
	for i, panel := range p.Panels {
		names[i] = wrapIdentifier(boldType, label(panel.Name), width)
		heads[i/columns] = max(heads[i/columns], perLine*vg.Length(len(names[i])+1)+3)
		for _, v := range panel.Running {
			low, high = min(low, v), max(high, v)
		}
	}
	bottom, top := roomy(low, high)
	const panel = enrichmentSum + enrichmentHits + enrichmentMetric + 2
	const axis = vg.Length(44) // below the last row: ticks, name, the ends' meaning
	height := margin + axis
	for _, h := range heads {
		height += h + panel + enrichmentGap
	}
	page := newSheet(height)
	all := draw.New(page)
	at := height - margin
	for row, head := range heads {
		for column := range columns {
			i := row*columns + column
			if i >= len(p.Panels) {
				break
			}
			left := margin + enrichmentLeft + vg.Length(column)*(enrichmentLeft+width+right)
			y := at - 9
			for _, s := range names[i] {
				boldType.draw(all, left, y, 0, s)
				y -= perLine
			}
			quietType.draw(all, left, y, 0, p.heading(p.Panels[i]))
			area := draw.Crop(all, left, left+width-pageWidth, 0, 0)
			area.Min.Y, area.Max.Y = at-head-panel, at-head
			last := i+columns >= len(p.Panels)
			p.panel(area, p.Panels[i], bottom, top, last, column == 0)
			if last {
				p.foot(all, left, width, area.Min.Y)
			}
		}
		at -= head + panel + enrichmentGap
	}
	if p.Title == "" {
		p.Title = "Running sums of gene set enrichment"
	}
	if p.Description == "" {
		p.Description = p.describe()
	}
	return page.svg(p.Title, p.Description)
}

// panel draws one set into its area: running sum, strokes, scores, from the top.
func (p EnrichmentPlot) panel(area draw.Canvas, set EnrichmentPanel, low, high float64, withAxis, first bool) {
	n := float64(len(p.Scores))
	sum, strokes, metric := area, area, area
	sum.Min.Y = area.Max.Y - enrichmentSum
	strokes.Max.Y, strokes.Min.Y = sum.Min.Y, sum.Min.Y-enrichmentHits
	metric.Max.Y = strokes.Min.Y - 2

	name := ""
	if first {
		name = "Running sum"
	}
	pl := newPlot("", name)
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = 0, n, low, high
	pl.HideX()
	marks, decimals := steps(low, high, 4)
	pl.Y.Tick.Marker = ticks(marks, decimals)
	style := seriesLine(1)
	if set.peak() < 0 {
		style = seriesLine(0)
	}
	style.Dashes = nil
	xs, ys := set.corners()
	at := float64(slices.Index(set.Running, set.peak()) + 1)
	pl.Add(grid([]float64{0}), line(noDifference, []float64{at, at}, []float64{0, set.peak()}), line(style, xs, ys))
	drawInto(pl, sum)

	x := func(rank float64) vg.Length { return strokes.Min.X + vg.Length(rank/n)*(strokes.Max.X-strokes.Min.X) }
	stroke := draw.LineStyle{Color: inkColour, Width: 0.6}
	for _, hit := range set.Hits {
		strokes.StrokeLine2(stroke, x(float64(hit)+0.5), strokes.Min.Y, x(float64(hit)+0.5), strokes.Max.Y)
	}
	edge := draw.LineStyle{Color: ruleColour, Width: 0.5}
	strokes.StrokeLine2(edge, strokes.Min.X, strokes.Min.Y, strokes.Max.X, strokes.Min.Y)
	strokes.StrokeLine2(edge, strokes.Min.X, strokes.Max.Y, strokes.Max.X, strokes.Max.Y)
	p.metric(metric, withAxis, first)
}

// metric draws the scores that rank the genes.
func (p EnrichmentPlot) metric(area draw.Canvas, withAxis, first bool) {
	n := len(p.Scores)
	most := max(math.Abs(p.Scores[0]), math.Abs(p.Scores[n-1]))
	if most == 0 {
		most = 1
	}
	name := ""
	if first {
		name = "Score"
	}
	pl := newPlot("", name)
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = 0, float64(n), -1.2*most, 1.2*most
	marks, decimals := steps(-most, most, 2)
	pl.Y.Tick.Marker = ticks(marks, decimals)
	if withAxis {
		marks, _ := steps(0, float64(n), 4)
		pl.X.Tick.Marker = ticks(marks, 0)
	} else {
		pl.HideX()
	}
	// Scores fall: few points of them draw the same line.
	const points = 200
	var xs, ys, zero []float64
	for k := range min(points, n) {
		i := k
		if n > points {
			i = k * (n - 1) / (points - 1)
		}
		xs, ys, zero = append(xs, float64(i)+0.5), append(ys, p.Scores[i]), append(zero, 0)
	}
	pl.Add(band(gridColour, xs, zero, ys), line(draw.LineStyle{Color: quietColour, Width: 0.75}, xs, ys), grid([]float64{0}))
	drawInto(pl, area)
}

// foot writes below the last panel of a column what the axis and its ends mean.
func (p EnrichmentPlot) foot(c draw.Canvas, left, width, y vg.Length) {
	plainType.draw(c, left+width/2, y-25, 0.5, "Rank of the gene")
	quietType.draw(c, left, y-37, 0, quietType.shorten("← "+label(p.High), width/2))
	quietType.draw(c, left+width, y-37, 1, quietType.shorten(label(p.Low)+" →", width/2))
}

func (p EnrichmentPlot) heading(set EnrichmentPanel) string {
	genes := "genes"
	if len(set.Hits) == 1 {
		genes = "gene"
	}
	return fmt.Sprintf("NES %s, FDR %s, %d %s", number(set.NES, 2), rate(set.FDR), len(set.Hits), genes)
}

// rate writes a false discovery rate in three decimals, never as a zero, and with as many as
// tell it from 0.05.
func rate(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v < 0.001:
		return "< 0.001"
	}
	for decimals := 3; ; decimals++ {
		if s := number(v, decimals); v == 0.05 || decimals > 9 || strings.TrimRight(s, "0") != "0.05" {
			return s
		}
	}
}

// peak is the value of the running sum furthest from zero, the first of equals.
func (p EnrichmentPanel) peak() float64 {
	most := 0.0
	for _, v := range p.Running {
		if math.Abs(v) > math.Abs(most) {
			most = v
		}
	}
	return most
}

// corners are the points between which the running sum is straight: before and after each
// gene of the set, and the ends.
func (p EnrichmentPanel) corners() (xs, ys []float64) {
	xs, ys = []float64{0}, []float64{0}
	for _, h := range p.Hits {
		if h > 0 {
			xs, ys = append(xs, float64(h)), append(ys, p.Running[h-1])
		}
		xs, ys = append(xs, float64(h+1)), append(ys, p.Running[h])
	}
	n := len(p.Running)
	return append(xs, float64(n)), append(ys, p.Running[n-1])
}

func (p EnrichmentPlot) check() error {
	const fig = "enrichment"
	if len(p.Panels) == 0 {
		return bad(fig, "", "Panels", -1, "is empty; give at least one set")
	}
	if len(p.Scores) < 2 {
		return bad(fig, "", "Scores", -1, "has %d entries; give the scores of two ranked genes or more", len(p.Scores))
	}
	if err := checkFinite(fig, "", "Scores", p.Scores); err != nil {
		return err
	}
	for i := 1; i < len(p.Scores); i++ {
		if p.Scores[i] > p.Scores[i-1] {
			return bad(fig, "", "Scores", i, "is %g after %g; rank the genes by falling score first", p.Scores[i], p.Scores[i-1])
		}
	}
	for _, set := range p.Panels {
		if err := checkLength(fig, set.Name, "Running", len(set.Running), len(p.Scores), "Scores"); err != nil {
			return err
		}
		if err := checkWithin(fig, set.Name, "Running", set.Running, -1-1e-9, 1+1e-9); err != nil {
			return err
		}
		if err := checkFinite(fig, set.Name, "NES", []float64{set.NES}); err != nil {
			return err
		}
		if len(set.Hits) == 0 {
			return bad(fig, set.Name, "Hits", -1, "is empty; leave out a set without a ranked gene")
		}
		for k, h := range set.Hits {
			if h < 0 || h >= len(p.Scores) || k > 0 && h <= set.Hits[k-1] {
				return bad(fig, set.Name, "Hits", k, "is %d; give rising places from 0 to %d", h, len(p.Scores)-1)
			}
		}
	}
	return nil
}

func (p EnrichmentPlot) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Running sums over %d genes ranked by %s.", len(p.Scores), label(p.ScoreName))
	for _, set := range p.Panels {
		fmt.Fprintf(&b, " %s: enrichment score %s, %s.", label(set.Name), number(set.peak(), 2), p.heading(set))
	}
	if p.FDRName != "" {
		fmt.Fprintf(&b, " False discovery rates of %s.", label(p.FDRName))
	}
	return b.String()
}

// wrapIdentifier breaks a name such as A_LONG_NAME after its underscores, too.
func wrapIdentifier(t typeface, name string, width vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.SplitAfter(name, "_") {
		if line != "" && t.width(line+word) > width {
			lines, line = append(lines, line), ""
		}
		line += word
	}
	var out []string
	for _, l := range append(lines, line) {
		out = append(out, t.wrap(l, width)...)
	}
	return out
}
