package figure

import (
	"fmt"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// SharedSet is a gene set tested in two cohorts.
type SharedSet struct {
	Name                    string
	First, Second           float64 // normalised enrichment scores
	FoundFirst, FoundSecond bool
}

// ConcordancePlot is the input of Concordance.
type ConcordancePlot struct {
	Title, Description    string
	Sets                  []SharedSet
	FirstName, SecondName string  // of the cohorts
	Limit                 float64 // of the false discovery rate below which a set is found
	Spearman              *Estimate
	Overlap               string // what stands in the key about the sets found in both; may be empty
}

// named is how many sets found in both are named in the key.
const named = 8

// Concordance draws the normalised enrichment scores of two cohorts against each other,
// a mark per set: a square where it was found in both, a triangle where in one (pointing to
// that cohort's axis), a pale disc where in neither. Sets found in both are numbered, the
// first eight of them in the order given, and named in the key.
func Concordance(p ConcordancePlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	low, high := 0.0, 0.0
	for _, s := range p.Sets {
		low, high = min(low, s.First, s.Second), max(high, s.First, s.Second)
	}
	low, high = roomy(low, high)
	pl := newPlot("NES, "+label(p.FirstName), "NES, "+label(p.SecondName))
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = low, high, low, high
	marks, decimals := steps(low, high, 6)
	pl.X.Tick.Marker, pl.Y.Tick.Marker = ticks(marks, decimals), ticks(marks, decimals)
	ends := []float64{low, high}
	zero := draw.LineStyle{Color: ruleColour, Width: 0.75}
	var kinds [4]int // by markOf
	var order []int
	for i, s := range p.Sets {
		kinds[s.kind()]++
		if s.kind() == foundBoth && len(order) < named {
			order = append(order, i)
		}
	}
	pl.Add(across(zero, 0), line(zero, ends, []float64{0, 0}), line(noDifference, ends, ends), layer(func(c draw.Canvas, x, y func(float64) vg.Length) {
		for kind := range kinds { // those found in both last, on top
			for _, s := range p.Sets {
				if s.kind() == kind {
					sharedMark(c, kind, vg.Point{X: x(s.First), Y: y(s.Second)})
				}
			}
		}
		at := make([]vg.Point, len(order))
		for k, i := range order {
			at[k] = vg.Point{X: x(p.Sets[i].First), Y: y(p.Sets[i].Second)}
		}
		for k, place := range besidePoints(c, at) {
			boldType.draw(c, place.X, place.Y, 0.5, fmt.Sprint(k+1))
		}
	}))
	const gap = vg.Length(7)
	var key []keyEntry
	if p.Spearman != nil {
		e := p.Spearman.entry("Spearman of NES", 0, 2)
		e.line, e.fill = draw.LineStyle{}, nil
		key = append(key, e)
	}
	if p.Overlap != "" {
		key = append(key, keyEntry{lines: plainType.wrap(label(p.Overlap), pairsKeyWidth())})
	}
	key = append(key, keyEntry{line: noDifference, lines: []string{"the same NES"}})
	var legend []keyEntry
	texts := []string{foundNeither: "found in neither", foundFirst: "only in " + label(p.FirstName), foundSecond: "only in " + label(p.SecondName), foundBoth: fmt.Sprintf("found in both (FDR < %s)", number(p.Limit, 2))}
	for kind, text := range texts {
		legend = append(legend, keyEntry{lines: plainType.wrap(fmt.Sprintf("%s: %d", text, kinds[kind]), pairsKeyWidth())})
	}
	var numbered []keyEntry
	for _, i := range order {
		numbered = append(numbered, keyEntry{lines: wrapIdentifier(quietType, label(p.Sets[i].Name), pairsKeyWidth()+12)})
	}
	if rest := kinds[foundBoth] - len(order); rest > 0 {
		numbered = append(numbered, keyEntry{lines: []string{fmt.Sprintf("and %d more", rest)}})
	}
	height := max(vg.Length(318), heightOf(key, gap)+gap+heightOf(legend, gap)+gap+heightOf(numbered, 2)+24)
	page := newSheet(height)
	all := draw.New(page)
	pl.X.Padding, pl.Y.Padding = 4, 4
	area := draw.Crop(all, 4, pairsWidth-pageWidth, height-312, -8)
	inner := pl.DataCanvas(area)
	if excess := (inner.Max.X - inner.Min.X) - (inner.Max.Y - inner.Min.Y); excess > 0 {
		area.Max.X -= excess
	} else {
		area.Min.Y -= excess
	}
	pl.Draw(area)
	x, y := pairsWidth+pairsGap, height-14
	y -= drawKey(all, x, y, key, gap) + gap
	for kind, e := range legend {
		sharedMark(all, kind, vg.Point{X: x + keyWidth/2, Y: y - leading*0.5})
		y -= drawKey(all, x, y, []keyEntry{e}, 0) + gap
	}
	for k, e := range numbered {
		if k < len(order) {
			boldType.draw(all, x+keyWidth-10, y-leading*0.5-3, 1, fmt.Sprint(k+1))
		}
		for i, s := range e.lines {
			quietType.draw(all, x+keyWidth-6, y-leading*(vg.Length(i)+0.5)-3, 0, s)
		}
		y -= leading*vg.Length(len(e.lines)) + 2
	}
	if p.Title == "" {
		p.Title = fmt.Sprintf("Enrichment in %s against %s", label(p.SecondName), label(p.FirstName))
	}
	if p.Description == "" {
		p.Description = p.describe(kinds)
	}
	return page.svg(p.Title, p.Description)
}

// besidePoints finds for each point a place for its number (middle of the baseline): right,
// left, above or below it, the first that hides no point and no other number.
func besidePoints(c draw.Canvas, points []vg.Point) []vg.Point {
	const half, size = vg.Length(3), vg.Length(7) // of a number
	out := make([]vg.Point, len(points))
	for k, p := range points {
		out[k] = p.Add(vg.Point{X: 8, Y: -3})
		for _, d := range []vg.Point{{X: 8, Y: -3}, {X: -8, Y: -3}, {Y: 5}, {Y: -12}, {X: 8, Y: 5}, {X: -8, Y: 5}, {X: 8, Y: -12}, {X: -8, Y: -12}} {
			q := p.Add(d)
			free := q.X-half >= c.Min.X && q.X+half <= c.Max.X && q.Y >= c.Min.Y && q.Y+size <= c.Max.Y
			for _, o := range points {
				free = free && (o.X+3 < q.X-half || o.X-3 > q.X+half || o.Y+3 < q.Y || o.Y-3 > q.Y+size)
			}
			for _, o := range out[:k] {
				free = free && (o.X+2*half < q.X || o.X-2*half > q.X || o.Y+size < q.Y || o.Y > q.Y+size)
			}
			if free {
				out[k] = q
				break
			}
		}
	}
	return out
}

// In which of two cohorts a set was found.
const (
	foundNeither = iota
	foundFirst
	foundSecond
	foundBoth
)

func (s SharedSet) kind() int {
	switch {
	case s.FoundFirst && s.FoundSecond:
		return foundBoth
	case s.FoundFirst:
		return foundFirst
	case s.FoundSecond:
		return foundSecond
	}
	return foundNeither
}

func sharedMark(c draw.Canvas, kind int, at vg.Point) {
	switch kind {
	case foundBoth:
		square(c, at)
	case foundFirst: // the first cohort's axis is the one below
		triangle(c, seriesColour(0), at.Add(vg.Point{Y: 2}), vg.Point{Y: -1}, vg.Point{X: 1})
	case foundSecond:
		triangle(c, seriesColour(2), at.Add(vg.Point{X: 2}), vg.Point{X: -1}, vg.Point{Y: 1})
	default:
		patientDot(c, at)
	}
}

func (p ConcordancePlot) check() error {
	const fig = "concordance"
	if len(p.Sets) == 0 {
		return bad(fig, "", "Sets", -1, "is empty; give at least one set")
	}
	for _, s := range p.Sets {
		if err := checkFinite(fig, s.Name, "First, Second", []float64{s.First, s.Second}); err != nil {
			return err
		}
	}
	if !(p.Limit > 0 && p.Limit < 1) {
		return bad(fig, "", "Limit", -1, "is %g; give a rate between 0 and 1", p.Limit)
	}
	for _, s := range []struct{ field, name string }{{"FirstName", p.FirstName}, {"SecondName", p.SecondName}} {
		if label(s.name) == "" {
			return bad(fig, "", s.field, -1, "is empty; say which cohort it is")
		}
	}
	if p.Spearman == nil {
		return nil
	}
	return p.Spearman.check(fig, "", "Spearman")
}

func (p ConcordancePlot) describe(kinds [4]int) string {
	s := fmt.Sprintf("Normalised enrichment scores of %d gene sets, %s against %s. Found in both: %d; only in %s: %d; only in %s: %d.", len(p.Sets), label(p.SecondName), label(p.FirstName),
		kinds[foundBoth], label(p.FirstName), kinds[foundFirst], label(p.SecondName), kinds[foundSecond])
	if p.Spearman != nil {
		s += fmt.Sprintf(" Spearman %s.", p.Spearman.Text(2))
	}
	for _, set := range p.Sets {
		if set.kind() == foundBoth {
			s += fmt.Sprintf(" %s: %s and %s.", label(set.Name), number(set.First, 2), number(set.Second, 2))
		}
	}
	if p.Overlap != "" {
		s += " " + label(p.Overlap) + "."
	}
	return s
}
