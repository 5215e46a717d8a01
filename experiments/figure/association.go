package figure

import (
	"fmt"
	"math"

	"gonum.org/v1/plot/vg/draw"
)

// AssociationPlot is the input of Association.
type AssociationPlot struct {
	Title, Description string
	X, Y               string    // what stands on the axes, with units
	Xs, Ys             []float64 // aligned, one entry per patient
	Spearman           *Estimate // rank correlation; nil for none
}

// Association draws one quantity of each patient against another, on axes of their own,
// with the rank correlation in the key. A patient more than ten interquartile ranges from
// the quartiles on either axis is left outside the axes as in BlandAltman.
func Association(p AssociationPlot) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	left, right := roomy(window(p.Xs))
	bottom, top := roomy(window(p.Ys))
	pl := newPlot(label(p.X), label(p.Y))
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = left, right, bottom, top
	pl.X.Tick.Marker = ticks(steps(left, right, 5))
	marks, decimals := steps(bottom, top, 6)
	pl.Y.Tick.Marker = ticks(marks, decimals)
	pl.Add(grid(marks))
	n := len(p.Xs)
	far, outside := beyondAxes(n, func(i int) bool {
		return p.Xs[i] < left || p.Xs[i] > right || p.Ys[i] < bottom || p.Ys[i] > top
	})
	pl.Add(dots(p.Xs, p.Ys, far, func(int) bool { return false }))
	mk := marksKey{n: n, far: outside}
	var key []keyEntry
	said := ""
	if s := p.Spearman; s != nil {
		e := s.entry("Spearman", 0, 2)
		e.line, e.fill = draw.LineStyle{}, nil
		key = append(key, e)
		said = fmt.Sprintf(" Spearman %s.", s.Text(2))
	}
	page := drawPairs(pl, key, mk, false)
	if p.Title == "" {
		p.Title = fmt.Sprintf("%s against %s", label(p.Y), label(p.X))
	}
	if p.Description == "" {
		p.Description = fmt.Sprintf("%s against %s, %s.%s", label(p.Y), label(p.X), mk.words(), said)
	}
	return page.svg(p.Title, p.Description)
}

func (p AssociationPlot) check() error {
	const fig = "association"
	if len(p.Xs) == 0 {
		return bad(fig, "", "Xs", -1, "is empty; give at least one patient")
	}
	if err := checkLength(fig, "", "Ys", len(p.Ys), len(p.Xs), "Xs"); err != nil {
		return err
	}
	for _, s := range []struct {
		field, name string
		values      []float64
	}{{"Xs", p.X, p.Xs}, {"Ys", p.Y, p.Ys}} {
		if label(s.name) == "" {
			return bad(fig, "", s.field[:1], -1, "is empty; say what stands on the axis")
		}
		if err := checkFinite(fig, s.name, s.field, s.values); err != nil {
			return err
		}
	}
	if s := p.Spearman; s != nil {
		if err := s.check(fig, "", "Spearman"); err != nil {
			return err
		}
		if math.Abs(s.Value) > 1 {
			return bad(fig, "", "Spearman", -1, "is %g, outside -1 to 1; check that the right number was given", s.Value)
		}
	}
	return nil
}
