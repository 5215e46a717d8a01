// Package figure draws the figures of a run as SVG, ready for a report and for print:
// ROC and Kaplan-Meier curves, score distributions, training histories, forest plots,
// scores against their repeat, and the flow of patients through a study.
//
// Every figure takes plain numbers, checks them, and returns one SVG document that
// depends on those numbers only: the same input gives the same bytes. A page is 480 points
// (640 CSS pixels, 17 cm) wide. Colours are those of Okabe and Ito (Color Universal Design,
// 2008), in an order that keeps the first four at a contrast of 3:1 or more on white, and
// each series has a line style of its own, so that no figure needs colour to be read. Text
// stays text; each string carries the width it was laid out with, so that a viewer
// without Liberation Sans or Arial draws it in the same place. Title and description are
// written as the SVG's <title> and <desc>, which screen readers speak; where Description
// is empty it is made from the numbers.
//
// All intervals are 95% confidence intervals. Scores are predicted risks of death: higher
// is worse.
package figure

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Estimate is a number with its 95% confidence interval. Low and High both zero mean that
// there is no interval.
type Estimate struct {
	Value, Low, High float64
}

// Text writes the estimate with a fixed number of decimals, as "0.70 (95% CI 0.63 to
// 0.78)", or the value alone where there is no interval. An infinite or NaN number, as in
// a median survival time that the curve does not reach, reads "not reached".
func (e Estimate) Text(decimals int) string {
	if !e.hasInterval() {
		return number(e.Value, decimals)
	}
	return fmt.Sprintf("%s (95%% CI %s to %s)", number(e.Value, decimals), number(e.Low, decimals), number(e.High, decimals))
}

func (e Estimate) hasInterval() bool { return e.Low != 0 || e.High != 0 }

// check refuses a value that is not finite and an interval that does not hold it.
func (e Estimate) check(fig, series, field string) error {
	for _, v := range []float64{e.Value, e.Low, e.High} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return bad(fig, series, field, -1, "is %v, which cannot be drawn; leave out what could not be estimated", v)
		}
	}
	if e.hasInterval() && (e.Low > e.Value || e.High < e.Value) {
		return bad(fig, series, field, -1, "%g lies outside its interval %g to %g; check the order Value, Low, High", e.Value, e.Low, e.High)
	}
	return nil
}

// PValue writes a p value as "p = 0.27", "p = 0.030" or "p < 0.001": two digits that
// matter, and never a zero.
func PValue(p float64) string {
	switch {
	case math.IsNaN(p):
		return "p not defined"
	case p < 0.001:
		return "p < 0.001"
	case p < 0.1:
		return "p = " + number(p, 3)
	case p > 0.99:
		return "p > 0.99"
	}
	return "p = " + number(p, 2)
}

// number writes v with a fixed number of decimals and a true minus sign.
func number(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "not reached"
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}

// InputError says which number of which figure cannot be drawn, and what to do about it.
type InputError struct {
	Figure  string // such as roc, kaplan-meier or enrichment
	Series  string // name of the curve, group, row or step; may be empty
	Field   string // field of the input struct
	Index   int    // place in the slice, from 0; -1 where the whole field is meant
	Problem string // what is wrong and the next step
}

func (e *InputError) Error() string {
	var b strings.Builder
	b.WriteString("figure " + e.Figure)
	if e.Series != "" {
		fmt.Fprintf(&b, ", %q", e.Series)
	}
	b.WriteString(": " + e.Field)
	if e.Index >= 0 {
		fmt.Fprintf(&b, "[%d]", e.Index)
	}
	b.WriteString(" " + e.Problem)
	return b.String()
}

func bad(fig, series, field string, index int, format string, args ...any) error {
	return &InputError{Figure: fig, Series: series, Field: field, Index: index, Problem: fmt.Sprintf(format, args...)}
}

// checkFinite refuses NaN and infinite numbers.
func checkFinite(fig, series, field string, values []float64) error {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return bad(fig, series, field, i, "is %v, which cannot be drawn; drop the row, with a reason in the exclusions table, before drawing", v)
		}
	}
	return nil
}

// checkWithin refuses numbers outside [low, high], NaN included.
func checkWithin(fig, series, field string, values []float64, low, high float64) error {
	if err := checkFinite(fig, series, field, values); err != nil {
		return err
	}
	for i, v := range values {
		if v < low || v > high {
			return bad(fig, series, field, i, "is %g, outside %g to %g; check that the right column was given", v, low, high)
		}
	}
	return nil
}

// checkLength refuses a slice that is not as long as the one it belongs to.
func checkLength(fig, series, field string, got, want int, of string) error {
	if got != want {
		return bad(fig, series, field, -1, "has %d entries where %s has %d; give one per entry", got, of, want)
	}
	return nil
}

// checkRising refuses a slice that falls anywhere.
func checkRising(fig, series, field string, values []float64) error {
	for i := 1; i < len(values); i++ {
		if values[i] < values[i-1] {
			return bad(fig, series, field, i, "is %g after %g; sort the points along the axis first", values[i], values[i-1])
		}
	}
	return nil
}

// The colours of Okabe and Ito, without yellow, which is lost on white.
var palette = []color.NRGBA{
	{0x00, 0x72, 0xB2, 0xFF}, // blue
	{0xD5, 0x5E, 0x00, 0xFF}, // vermillion
	{0x00, 0x9E, 0x73, 0xFF}, // bluish green
	{0xCC, 0x79, 0xA7, 0xFF}, // reddish purple
	{0x00, 0x00, 0x00, 0xFF}, // black
	{0xE6, 0x9F, 0x00, 0xFF}, // orange
	{0x56, 0xB4, 0xE9, 0xFF}, // sky blue
}

// Line styles, in points. Four styles against seven colours: 28 series before one comes back.
var dashes = [][]vg.Length{nil, {7, 3}, {1.5, 2}, {7, 2.5, 1.5, 2.5}}

var (
	inkColour   = color.NRGBA{0x22, 0x22, 0x22, 0xFF}
	quietColour = color.NRGBA{0x59, 0x59, 0x59, 0xFF}
	ruleColour  = color.NRGBA{0x8A, 0x8A, 0x8A, 0xFF}
	gridColour  = color.NRGBA{0xE4, 0xE4, 0xE4, 0xFF}
	paperColour = color.NRGBA{0xFF, 0xFF, 0xFF, 0xFF}
)

// seriesColour gives the i-th series' colour, and seriesLine its line.
func seriesColour(i int) color.NRGBA { return palette[i%len(palette)] }

func seriesLine(i int) draw.LineStyle {
	return draw.LineStyle{Color: seriesColour(i), Width: 1.5, Dashes: dashes[i%len(dashes)]}
}

// bandColour is a series' colour, thin enough that two bands may overlap.
func bandColour(i int) color.NRGBA {
	c := seriesColour(i)
	c.A = 0x30
	return c
}

// label makes a name fit for one line: runs of white space, line breaks included, become
// one blank.
func label(s string) string { return strings.Join(strings.Fields(s), " ") }
