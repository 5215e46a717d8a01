package figure

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// overlapAndScore are a Dice coefficient and a score difference of each patient, one of
// them far off.
func overlapAndScore() AssociationPlot {
	rng := rand.New(rand.NewPCG(31, 1))
	p := AssociationPlot{X: "Dice coefficient", Y: "Score difference, mean size", Spearman: &Estimate{-0.45, -0.58, -0.30}}
	for range 120 {
		d := 0.95 - 0.1*rng.Float64()
		p.Xs, p.Ys = append(p.Xs, d), append(p.Ys, math.Abs(rng.NormFloat64())*(1-d)*0.1)
	}
	p.Ys[7] = 0.9
	return p
}

// changedContours are differences of scores: few and many, skewed, all alike.
func changedContours() SpreadPlot {
	rng := rand.New(rand.NewPCG(32, 1))
	p := SpreadPlot{X: "Score difference", Line: ForestLine{Name: "no difference"}}
	for i, n := range []int{40, 400, 30, 1} {
		g := SpreadGroup{Name: fmt.Sprintf("moved by %d mm (%d)", i+1, n)}
		for range n {
			g.Values = append(g.Values, 0.005*float64(i+1)*(rng.NormFloat64()-0.3))
		}
		p.Groups = append(p.Groups, g)
	}
	p.Groups[1].Values[3] = 5
	p.Groups = append(p.Groups, SpreadGroup{"widened by 3 mm, with a name that is too long for its place", slices.Repeat([]float64{0}, 25)})
	return p
}

func TestAssociationRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*AssociationPlot)
		field  string
		part   string
	}{
		"nobody":         {func(p *AssociationPlot) { p.Xs, p.Ys = nil, nil }, "Xs", "at least one patient"},
		"lengths differ": {func(p *AssociationPlot) { p.Ys = p.Ys[1:] }, "Ys", "has 119 entries where Xs has 120"},
		"NaN":            {func(p *AssociationPlot) { p.Ys[5] = math.NaN() }, "Ys", "Ys[5] is NaN"},
		"no axis":        {func(p *AssociationPlot) { p.X = " " }, "X", "what stands on the axis"},
		"correlation":    {func(p *AssociationPlot) { p.Spearman = &Estimate{Value: -2} }, "Spearman", "outside -1 to 1"},
	} {
		p := overlapAndScore()
		row.change(&p)
		_, err := Association(p)
		wantInputError(t, name, err, row.field, row.part)
	}
}

func TestSpreadRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*SpreadPlot)
		field  string
		part   string
	}{
		"no group":    {func(p *SpreadPlot) { p.Groups = nil }, "Groups", "at least one group"},
		"empty group": {func(p *SpreadPlot) { p.Groups[2].Values = nil }, "Values", "without values"},
		"infinite":    {func(p *SpreadPlot) { p.Groups[1].Values[9] = math.Inf(1) }, "Values", "Values[9] is +Inf"},
		"no axis":     {func(p *SpreadPlot) { p.X = "" }, "X", "what stands on the axis"},
		"NaN line":    {func(p *SpreadPlot) { p.Line.At = math.NaN() }, "Line", "cannot be drawn"},
	} {
		p := changedContours()
		row.change(&p)
		_, err := Spread(p)
		wantInputError(t, name, err, row.field, row.part)
	}
}

// One dot for each value of a short row, in a long one for those beyond the whiskers; a
// triangle for what is far away; and values that are all alike.
func TestSpreadMarks(t *testing.T) {
	svg, err := Spread(changedContours())
	all := mustDraw(t, svg, err)
	// 40 + 30 + 1 + 25, and of 400 the 2.5% at either end: 10 each, of which one is far away.
	if got := count(all, "path", "fill:#0071B1;fill-opacity"); got != 40+30+1+25+19 {
		t.Errorf("%d dots", got)
	}
	drawn := strings.Join(texts(all), "|")
	for _, want := range []string{"moved by 2 mm (400)", "Triangles: values far outside the axis, 1 of 496.", "Score difference", "…"} {
		if !strings.Contains(drawn, want) {
			t.Errorf("%q is not drawn: %s", want, drawn)
		}
	}
	for name, values := range map[string][]float64{"one": {0.3}, "alike": {0, 0, 0}, "tiny": {1e-300, 2e-300}, "far": {-1e6, -1e6 + 1}} {
		svg, err := Spread(SpreadPlot{X: "x", Groups: []SpreadGroup{{name, values}}, Line: ForestLine{Name: "zero"}})
		mustDraw(t, svg, err)
	}
	for name, values := range map[string][2][]float64{"one": {{0.3}, {2}}, "alike": {{0, 0}, {5, 5}}} {
		svg, err := Association(AssociationPlot{X: name, Y: "y", Xs: values[0], Ys: values[1]})
		mustDraw(t, svg, err)
	}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.5, 2.5}, {1, 4}, {0.25, 1.75}} {
		if got := ofSorted([]float64{1, 2, 3, 4}, c.q); got != c.want {
			t.Errorf("quantile %v is %v, want %v", c.q, got, c.want)
		}
	}
}
