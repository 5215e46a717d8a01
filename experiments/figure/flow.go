package figure

import (
	"fmt"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// FlowLoss is a number of patients who left the study for one reason.
type FlowLoss struct {
	Reason string
	N      int
}

// FlowStep is one stage of the study: how many patients reached it, and who left after it.
type FlowStep struct {
	Name string
	N    int
	Lost []FlowLoss
}

// FlowEnd is a set of patients at the end of the flow, such as a role.
type FlowEnd struct {
	Name   string
	N      int
	Detail string // a second line, such as "61 alive at two years"; may be empty
}

// FlowPlot is the input of Flow.
type FlowPlot struct {
	Title, Description string
	Steps              []FlowStep
	Ends               []FlowEnd
}

// Flow draws what became of every patient, in the manner of a CONSORT diagram: a box per
// step, a box of exclusions with reasons beside each arrow, and a row of boxes for the sets
// that were analysed. The numbers must add up: each step holds as many patients as the one
// before it less those who left, and the ends together hold those who are left.
func Flow(p FlowPlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	const (
		margin    = vg.Length(6)
		mainWidth = vg.Length(214)
		sideX     = vg.Length(262)
		arrow     = vg.Length(22) // between two boxes with nothing beside the arrow
		gap       = vg.Length(12) // around a side box
	)
	var boxes []flowBox
	var arrows [][2]vg.Point
	var rails [][]vg.Point
	mid := margin + mainWidth/2
	y := vg.Length(0) // runs downwards from the top of the page; the page's height is known last
	for i, s := range p.Steps {
		b := newFlowBox(margin, y, mainWidth, s.Name, fmt.Sprintf("n = %d", s.N))
		boxes = append(boxes, b)
		y -= b.height()
		from := y
		if len(s.Lost) > 0 {
			y -= gap
			total := 0
			var lines []string
			for _, l := range s.Lost {
				total += l.N
				lines = append(lines, fmt.Sprintf("%s: %d", label(l.Reason), l.N))
			}
			side := newFlowBox(sideX, y, pageWidth-margin-sideX, fmt.Sprintf("Excluded: %d", total), lines...)
			boxes = append(boxes, side)
			arrows = append(arrows, [2]vg.Point{{X: mid, Y: y - side.height()/2}, {X: sideX, Y: y - side.height()/2}})
			y -= side.height() + gap
		} else if i < len(p.Steps)-1 {
			y -= arrow
		}
		if i < len(p.Steps)-1 {
			arrows = append(arrows, [2]vg.Point{{X: mid, Y: from}, {X: mid, Y: y}})
		} else if len(p.Ends) > 0 {
			rails = append(rails, []vg.Point{{X: mid, Y: from}, {X: mid, Y: y - gap}})
			y -= gap
		}
	}
	ends, stems, rail := p.endBoxes(mid, y)
	boxes, arrows, rails = append(boxes, ends...), append(arrows, stems...), append(rails, rail...)

	low := vg.Length(0)
	for _, b := range boxes {
		low = min(low, b.y-b.height())
	}
	height := 2*margin - low
	page := newSheet(height)
	all := draw.New(page)
	down := vg.Point{Y: height - margin}
	style := draw.LineStyle{Color: quietColour, Width: 1}
	for _, r := range rails {
		moved := make([]vg.Point, len(r))
		for i := range r {
			moved[i] = r[i].Add(down)
		}
		all.StrokeLines(style, moved)
	}
	for _, a := range arrows {
		drawArrow(all, style, a[0].Add(down), a[1].Add(down))
	}
	for _, b := range boxes {
		b.y += down.Y
		b.draw(all)
	}
	if p.Title == "" {
		p.Title = "Flow of patients"
	}
	if p.Description == "" {
		p.Description = p.describe()
	}
	return page.svg(p.Title, p.Description)
}

func (p FlowPlot) check() error {
	const fig = "flow"
	if len(p.Steps) == 0 {
		return bad(fig, "", "Steps", -1, "is empty; give at least the patients read")
	}
	left := p.Steps[0].N
	for i, s := range p.Steps {
		if s.N < 0 {
			return bad(fig, s.Name, "N", -1, "is %d; a number of patients is never negative", s.N)
		}
		if s.N != left {
			return bad(fig, s.Name, "Steps", i, "holds %d patients, but %d reached it; every patient lost needs a row in the exclusions table", s.N, left)
		}
		for k, l := range s.Lost {
			if l.N < 0 {
				return bad(fig, s.Name, "Lost", k, "is %d; a number of patients is never negative", l.N)
			}
			left -= l.N
		}
		if left < 0 {
			return bad(fig, s.Name, "Lost", -1, "adds up to %d patients of %d; count each patient once, at the first stage that loses it", s.N-left, s.N)
		}
	}
	if len(p.Ends) == 0 {
		return nil
	}
	sum := 0
	for _, e := range p.Ends {
		if e.N < 0 {
			return bad(fig, e.Name, "N", -1, "is %d; a number of patients is never negative", e.N)
		}
		sum += e.N
	}
	if sum != left {
		return bad(fig, "", "Ends", -1, "hold %d patients together, but %d are left; every patient belongs to one end", sum, left)
	}
	return nil
}

// endBoxes lays out the last row: up to four boxes side by side, more of them in one box
// with a line each. y is the height of the rail that feeds them.
func (p FlowPlot) endBoxes(mid, y vg.Length) (boxes []flowBox, arrows [][2]vg.Point, rails [][]vg.Point) {
	const margin, gap, stem = vg.Length(6), vg.Length(10), vg.Length(16)
	switch n := len(p.Ends); {
	case n == 0:
		return nil, nil, nil
	case n > 4:
		var lines []string
		for _, e := range p.Ends {
			s := fmt.Sprintf("%s: n = %d", label(e.Name), e.N)
			if e.Detail != "" {
				s += ", " + label(e.Detail)
			}
			lines = append(lines, s)
		}
		b := newFlowBox(margin, y-stem, pageWidth-2*margin, "Analysed", lines...)
		return []flowBox{b}, [][2]vg.Point{{{X: mid, Y: y}, {X: mid, Y: y - stem}}}, nil
	}
	n := vg.Length(len(p.Ends))
	width := min((pageWidth-2*margin-gap*(n-1))/n, 214)
	var first, last vg.Length
	tallest := vg.Length(0)
	for i, e := range p.Ends {
		x := margin + vg.Length(i)*(width+gap)
		lines := []string{fmt.Sprintf("n = %d", e.N)}
		if e.Detail != "" {
			lines = append(lines, e.Detail)
		}
		b := newFlowBox(x, y-stem, width, e.Name, lines...)
		tallest = max(tallest, b.height())
		boxes = append(boxes, b)
		centre := x + width/2
		if i == 0 {
			first = centre
		}
		last = centre
		arrows = append(arrows, [2]vg.Point{{X: centre, Y: y}, {X: centre, Y: y - stem}})
	}
	for i := range boxes {
		boxes[i].least = tallest
	}
	return boxes, arrows, [][]vg.Point{{{X: min(first, mid), Y: y}, {X: max(last, mid), Y: y}}}
}

func (p FlowPlot) describe() string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s: %d patients.", label(s.Name), s.N)
		for _, l := range s.Lost {
			fmt.Fprintf(&b, " Excluded, %s: %d.", label(l.Reason), l.N)
		}
		b.WriteString(" ")
	}
	for _, e := range p.Ends {
		fmt.Fprintf(&b, "%s: %d patients", label(e.Name), e.N)
		if e.Detail != "" {
			b.WriteString(", " + label(e.Detail))
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}

// flowBox is a framed text; x and y are its upper left corner.
type flowBox struct {
	x, y, width vg.Length
	head        []string
	lines       []string
	least       vg.Length // height it is drawn with at least
}

const flowPad = vg.Length(7)

func newFlowBox(x, y, width vg.Length, head string, lines ...string) flowBox {
	b := flowBox{x: x, y: y, width: width, head: boldType.wrap(head, width-2*flowPad)}
	for _, s := range lines {
		b.lines = append(b.lines, plainType.wrap(s, width-2*flowPad)...)
	}
	return b
}

func (b flowBox) height() vg.Length {
	return max(b.least, leading*vg.Length(len(b.head)+len(b.lines))+2*flowPad-2)
}

func (b flowBox) draw(c draw.Canvas) {
	bottom := b.y - b.height()
	frame := vg.Rectangle{Min: vg.Point{X: b.x, Y: bottom}, Max: vg.Point{X: b.x + b.width, Y: b.y}}
	c.SetLineStyle(draw.LineStyle{Color: quietColour, Width: 1})
	c.Stroke(frame.Path())
	y := b.y - flowPad - 8
	for _, s := range b.head {
		boldType.draw(c, b.x+flowPad, y, 0, s)
		y -= leading
	}
	for _, s := range b.lines {
		plainType.draw(c, b.x+flowPad, y, 0, s)
		y -= leading
	}
}

// drawArrow draws a line, upright or level, with a head at its end.
func drawArrow(c draw.Canvas, style draw.LineStyle, from, to vg.Point) {
	const long, half = 6, 3
	tip := to
	var base, wing vg.Point
	if from.X == to.X {
		base, wing = vg.Point{X: to.X, Y: to.Y + long}, vg.Point{X: half}
	} else {
		base, wing = vg.Point{X: to.X - long, Y: to.Y}, vg.Point{Y: half}
	}
	c.StrokeLine2(style, from.X, from.Y, base.X, base.Y)
	c.FillPolygon(style.Color, []vg.Point{tip, base.Add(wing), base.Sub(wing)})
}
