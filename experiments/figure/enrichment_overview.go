package figure

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// SetRow is one gene set of an overview.
type SetRow struct {
	Name     string
	Size     int     // genes of the set in the ranking
	NES, FDR float64 // FDR NaN where it is not defined
}

// SetsPlot is the input of SetOverview.
type SetsPlot struct {
	Title, Description string
	Rows               []SetRow // from the top
	Gap                int      // rows before the one that a gap stands above; 0 for no gap
	GapText            string   // what was left out there
	Limit              float64  // a rate below it fills the mark
	High, Low          string   // what a NES above and below 0 means
}

// SetOverview draws the normalised enrichment score of each set as a mark at the end of a
// line from 0, filled where the false discovery rate is below the limit, its area by the
// number of genes, with the numbers beside it.
func SetOverview(p SetsPlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	const margin, nameMost = vg.Length(6), vg.Length(178)
	names := make([][]string, len(p.Rows))
	nameWidth, body, low, high := vg.Length(60), vg.Length(0), 0.0, 0.0
	least, most := p.Rows[0].Size, p.Rows[0].Size
	for i, r := range p.Rows {
		names[i] = wrapIdentifier(plainType, label(r.Name), nameMost)
		for _, s := range names[i] {
			nameWidth = max(nameWidth, plainType.width(s))
		}
		body += overviewRow(names[i])
		low, high = min(low, r.NES), max(high, r.NES)
		least, most = min(least, r.Size), max(most, r.Size)
	}
	const gapHeight = vg.Length(16)
	if p.Gap > 0 {
		body += gapHeight
	}
	low, high = min(low, -1), max(high, 1)
	room := 0.06 * (high - low)
	low, high = low-room, high+room
	pl := newPlot("Normalised enrichment score (NES)", "")
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = low, high, 0, 1
	pl.X.Tick.Marker = ticks(steps(low, high, 6))
	pl.X.Padding = 2
	pl.HideY()
	const side = 100 // of a canvas nobody draws on
	axis := pl.DataCanvas(draw.NewCanvas(nil, side, side)).Min.Y + 13
	const header = vg.Length(38)
	height := margin + header + body + axis + margin
	page := newSheet(height)
	all := draw.New(page)
	right := [3]vg.Length{pageWidth - margin - 76, pageWidth - margin - 34, pageWidth - margin} // columns' right ends
	left := margin + nameWidth + 12
	top := height - margin
	p.key(all, margin, top-9, least, most)
	for k, s := range []string{"NES", "FDR", "genes"} {
		boldType.draw(all, right[k], top-header+6, 1, s)
	}
	inner := draw.Crop(all, left, right[0]-38-pageWidth, margin+axis, 0)
	inner.Max.Y = inner.Min.Y + body
	pl.Add(across(draw.LineStyle{Color: ruleColour, Width: 0.75}, 0))
	drawInto(pl, inner)
	xOf, _ := pl.Transforms(&inner)
	quietType.draw(all, inner.Min.X, margin+2, 0, quietType.shorten("← "+label(p.Low), (inner.Max.X-inner.Min.X)/2))
	quietType.draw(all, inner.Max.X, margin+2, 1, quietType.shorten(label(p.High)+" →", (inner.Max.X-inner.Min.X)/2))

	at := inner.Max.Y
	for i, r := range p.Rows {
		if p.Gap > 0 && i == p.Gap {
			quietType.draw(all, margin, at-gapHeight/2-3, 0, label(p.GapText))
			at -= gapHeight
		}
		h := overviewRow(names[i])
		for k, s := range names[i] {
			plainType.draw(all, margin, at-10-nameLeading*vg.Length(k), 0, s)
		}
		mid := at - h/2
		colour := seriesColour(1)
		if r.NES < 0 {
			colour = seriesColour(0)
		}
		all.StrokeLine2(draw.LineStyle{Color: colour, Width: 1}, xOf(0), mid, xOf(r.NES), mid)
		setMark(all, r.FDR < p.Limit, r.NES < 0, xOf(r.NES), mid, setRadius(r.Size, most))
		style := plainType
		style.bold = r.FDR < p.Limit
		style.draw(all, right[0], mid-3, 1, number(r.NES, 2))
		style.draw(all, right[1], mid-3, 1, rate(r.FDR))
		style.draw(all, right[2], mid-3, 1, fmt.Sprint(r.Size))
		at -= h
	}
	if p.Title == "" {
		p.Title = "Enrichment of gene sets"
	}
	if p.Description == "" {
		p.Description = p.describe()
	}
	return page.svg(p.Title, p.Description)
}

func overviewRow(name []string) vg.Length { return 14 + nameLeading*vg.Length(len(name)-1) }

// setRadius makes a mark's area follow the number of genes.
func setRadius(size, most int) vg.Length {
	return vg.Length(max(2, 5.5*math.Sqrt(float64(size)/float64(most))))
}

// setMark draws a disc, filled or hollow.
func setMark(c draw.Canvas, filled, below bool, x, y, radius vg.Length) {
	colour := seriesColour(1)
	if below {
		colour = seriesColour(0)
	}
	disc(c, colour, x, y, radius)
	if !filled && radius > 1.2 {
		disc(c, paperColour, x, y, radius-2.2)
	}
}

// key explains the marks, in a row below the page's edge.
func (p SetsPlot) key(c draw.Canvas, x, y vg.Length, least, most int) {
	for _, e := range []struct {
		filled bool
		text   string
	}{{true, "FDR below " + number(p.Limit, 2)}, {false, "not below"}} {
		setMark(c, e.filled, false, x+5, y+3, 4)
		plainType.draw(c, x+14, y, 0, e.text)
		x += 14 + plainType.width(e.text) + 18
	}
	plainType.draw(c, x, y, 0, "genes:")
	x += plainType.width("genes:") + 8
	sizes := []int{least, most}
	if least == most {
		sizes = sizes[:1]
	}
	for _, n := range sizes {
		r := setRadius(n, most)
		setMark(c, false, false, x+r, y+3, r)
		plainType.draw(c, x+2*r+4, y, 0, fmt.Sprint(n))
		x += 2*r + 4 + plainType.width(fmt.Sprint(n)) + 10
	}
}

func (p SetsPlot) check() error {
	const fig = "gene sets"
	if len(p.Rows) == 0 {
		return bad(fig, "", "Rows", -1, "is empty; give at least one set")
	}
	if p.Gap < 0 || p.Gap >= len(p.Rows) {
		return bad(fig, "", "Gap", -1, "is %d; give a row from 1 to %d, or 0", p.Gap, len(p.Rows)-1)
	}
	if !(p.Limit > 0 && p.Limit < 1) {
		return bad(fig, "", "Limit", -1, "is %g; give a rate between 0 and 1", p.Limit)
	}
	for _, r := range p.Rows {
		if err := checkFinite(fig, r.Name, "NES", []float64{r.NES}); err != nil {
			return err
		}
		if r.Size < 1 {
			return bad(fig, r.Name, "Size", -1, "is %d; leave out a set without a ranked gene", r.Size)
		}
	}
	return nil
}

func (p SetsPlot) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Normalised enrichment scores (NES) of %d gene sets.", len(p.Rows))
	for _, r := range p.Rows {
		fmt.Fprintf(&b, " %s: NES %s, false discovery rate %s, %d genes.", label(r.Name), number(r.NES, 2), rate(r.FDR), r.Size)
	}
	return b.String()
}
