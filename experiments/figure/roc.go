package figure

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ROCCurve is one receiver operating characteristic curve.
type ROCCurve struct {
	Name string
	// FPR is 1 - specificity and TPR the sensitivity, one entry per threshold, both rising
	// from 0 to 1.
	FPR, TPR []float64
	// Low and High bound the sensitivity at each BandFPR, or at each FPR where BandFPR is
	// nil; nil for no band.
	BandFPR, Low, High []float64
	// AUC is the area under the curve, ties counting one half.
	AUC    Estimate
	N      int // patients behind the curve
	Events int // how many of them died within the time asked about; 0 for not stated
}

// ROCPlot is the input of ROC.
type ROCPlot struct {
	Title, Description string
	Curves             []ROCCurve
}

// ROC draws one or more ROC curves on a square, with their confidence bands, the diagonal
// of a score that tells nothing, and a key that gives the AUC of each with its interval and
// number of patients. A curve whose area is not its AUC is refused: the two come from
// different data, or one of them has the direction reversed.
func ROC(p ROCPlot) ([]byte, error) {
	if len(p.Curves) == 0 {
		return nil, bad("roc", "", "Curves", -1, "is empty; give at least one curve")
	}
	var key []keyEntry
	var said []string
	const plotWidth, gap = vg.Length(312), vg.Length(10)
	column := pageWidth - plotWidth - gap - keyWidth - keyGap - 4
	for i, curve := range p.Curves {
		if err := curve.check(); err != nil {
			return nil, err
		}
		name := boldType.wrap(label(curve.Name), column)
		e := keyEntry{line: seriesLine(i), bold: len(name), lines: name}
		if curve.Low != nil {
			e.fill = bandColour(i)
		}
		e.lines = append(e.lines, "AUC "+number(curve.AUC.Value, 2))
		if curve.AUC.hasInterval() {
			e.lines = append(e.lines, fmt.Sprintf("95%% CI %s to %s", number(curve.AUC.Low, 2), number(curve.AUC.High, 2)))
		}
		e.lines = append(e.lines, curve.patients())
		key = append(key, e)
		said = append(said, fmt.Sprintf("%s: AUC %s, %s.", label(curve.Name), curve.AUC.Text(2), curve.patients()))
	}
	const keyGapY = vg.Length(7)
	keyHeight := heightOf(key, keyGapY) + keyGapY + 2*leading
	height := max(vg.Length(318), keyHeight+24)

	page := newSheet(height)
	all := draw.New(page)
	pl := newPlot("1 − specificity", "Sensitivity")
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = 0, 1, 0, 1
	pl.X.Padding, pl.Y.Padding = 4, 4
	marks := []float64{0, 0.2, 0.4, 0.6, 0.8, 1}
	pl.X.Tick.Marker, pl.Y.Tick.Marker = ticks(marks, 1), ticks(marks, 1)
	chance := draw.LineStyle{Color: ruleColour, Width: 0.75, Dashes: []vg.Length{3, 3}}
	pl.Add(grid(marks[1:]), line(chance, []float64{0, 1}, []float64{0, 1}))
	for i, curve := range p.Curves {
		if curve.Low != nil {
			pl.Add(band(bandColour(i), curve.bandFPR(), curve.Low, curve.High))
		}
	}
	// The first curve is drawn last: it is the one the figure is about.
	for i := len(p.Curves) - 1; i >= 0; i-- {
		pl.Add(line(seriesLine(i), p.Curves[i].FPR, p.Curves[i].TPR))
	}
	area := draw.Crop(all, 4, plotWidth-pageWidth, height-312, -4)
	// Both axes have the same range, so the data area must be a square.
	inner := pl.DataCanvas(area)
	excess := (inner.Max.X - inner.Min.X) - (inner.Max.Y - inner.Min.Y)
	if excess > 0 {
		area.Max.X -= excess
	} else {
		area.Min.Y -= excess
	}
	pl.Draw(area)

	at := plotWidth + gap
	used := drawKey(all, at, height-14, key, keyGapY)
	drawKey(all, at, height-14-used-keyGapY, []keyEntry{{line: chance, lines: []string{"no information"}}}, 0)
	if p.Title == "" {
		p.Title = "ROC curve"
	}
	if p.Description == "" {
		p.Description = "Sensitivity against 1 minus specificity. " + strings.Join(said, " ")
	}
	return page.svg(p.Title, p.Description)
}

func (c ROCCurve) patients() string {
	if c.Events > 0 {
		return fmt.Sprintf("n = %d, %d died", c.N, c.Events)
	}
	return fmt.Sprintf("n = %d", c.N)
}

// areaTolerance leaves room for an AUC that treats ties in another way, and none for one
// of other data or another direction.
const areaTolerance = 0.02

// bandFPR is the axis of the band.
func (c ROCCurve) bandFPR() []float64 {
	if c.BandFPR != nil {
		return c.BandFPR
	}
	return c.FPR
}

func (c ROCCurve) check() error {
	const fig = "roc"
	if len(c.FPR) < 2 {
		return bad(fig, c.Name, "FPR", -1, "has %d entries; a curve runs from (0, 0) to (1, 1) and needs both classes among the patients", len(c.FPR))
	}
	for _, s := range []struct {
		field  string
		values []float64
	}{{"FPR", c.FPR}, {"TPR", c.TPR}} {
		if err := checkLength(fig, c.Name, s.field, len(s.values), len(c.FPR), "FPR"); err != nil {
			return err
		}
		if err := checkWithin(fig, c.Name, s.field, s.values, 0, 1); err != nil {
			return err
		}
		if err := checkRising(fig, c.Name, s.field, s.values); err != nil {
			return err
		}
		if s.values[0] != 0 || s.values[len(s.values)-1] != 1 {
			return bad(fig, c.Name, s.field, -1, "runs from %g to %g; a curve runs from 0 to 1", s.values[0], s.values[len(s.values)-1])
		}
	}
	if err := c.checkBand(); err != nil {
		return err
	}
	if err := c.AUC.check(fig, c.Name, "AUC"); err != nil {
		return err
	}
	if area := c.area(); math.Abs(area-c.AUC.Value) > areaTolerance {
		return bad(fig, c.Name, "AUC", -1, "is %.4f, but the area under the curve is %.4f; take both from the same scores, with higher meaning higher risk", c.AUC.Value, area)
	}
	return nil
}

func (c ROCCurve) checkBand() error {
	const fig = "roc"
	if (c.Low == nil) != (c.High == nil) {
		return bad(fig, c.Name, "Low, High", -1, "must be given both or not at all")
	}
	if c.Low == nil {
		return nil
	}
	for _, s := range []struct {
		field  string
		values []float64
	}{{"BandFPR", c.bandFPR()}, {"Low", c.Low}, {"High", c.High}} {
		if err := checkLength(fig, c.Name, s.field, len(s.values), len(c.bandFPR()), "its axis"); err != nil {
			return err
		}
		if err := checkWithin(fig, c.Name, s.field, s.values, 0, 1); err != nil {
			return err
		}
	}
	if err := checkRising(fig, c.Name, "BandFPR", c.bandFPR()); err != nil {
		return err
	}
	for i := range c.Low {
		if c.Low[i] > c.High[i] {
			return bad(fig, c.Name, "Low", i, "is %g, above High with %g; check their order", c.Low[i], c.High[i])
		}
	}
	return nil
}

// area is the area under the curve by the trapezoid rule.
func (c ROCCurve) area() float64 {
	sum := 0.0
	for i := 1; i < len(c.FPR); i++ {
		sum += (c.FPR[i] - c.FPR[i-1]) * (c.TPR[i] + c.TPR[i-1]) / 2
	}
	return sum
}
