package figure

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// daysPerYear turns days into years on an axis.
const daysPerYear = 365.25

// TimeUnit is the unit of a time axis. The numbers given are days whatever the unit.
type TimeUnit int

// The units a time axis can have.
const (
	Days TimeUnit = iota
	Years
)

// SurvivalGroup is one group of patients with its Kaplan-Meier estimate.
type SurvivalGroup struct {
	Name string
	// Days are the times of the curve's steps, rising; Survival is the probability of being
	// alive just after each. The curve starts at 1 on day 0, given or not.
	Days, Survival []float64
	// Low and High bound Survival; nil for no band. NaN where an interval is not defined,
	// as after the last death of a curve that reaches 0.
	Low, High []float64
	// FollowUp is the time in days of each patient of the group, and Died whether it ended
	// in death. They give the number at risk and the ticks of censored patients.
	FollowUp []float64
	Died     []bool
	// Median survival in days; an infinite or NaN number reads "not reached". Nil for none.
	Median *Estimate
}

// SurvivalPlot is the input of KaplanMeier.
type SurvivalPlot struct {
	Title, Description string
	Groups             []SurvivalGroup
	Unit               TimeUnit
	Horizon            float64 // last day of the axis; 0 for the longest follow-up
	Mark               float64 // a day to mark by an upright line, such as 730; 0 for none
	Outcome            string  // label of the upright axis; "Overall survival" when empty
	LogRankP           *float64
	HazardRatio        *Estimate
	Contrast           string // which groups the hazard ratio sets against each other
}

// KaplanMeier draws the survival of one or more groups: steps, confidence bands, a tick for
// each censored patient, and the number of patients at risk below each tick of the time
// axis (those whose follow-up is that long or longer). A group without patients keeps its
// row and its line in the key, and has no curve.
func KaplanMeier(p SurvivalPlot) ([]byte, error) {
	const fig = "kaplan-meier"
	if len(p.Groups) == 0 {
		return nil, bad(fig, "", "Groups", -1, "is empty; give at least one group")
	}
	last, patients := 0.0, 0
	for _, g := range p.Groups {
		if err := g.check(); err != nil {
			return nil, err
		}
		patients += len(g.FollowUp)
		for _, t := range g.FollowUp {
			last = max(last, t)
		}
	}
	if patients == 0 {
		return nil, bad(fig, "", "Groups", -1, "hold no patient; there is nothing to draw")
	}
	if err := checkWithin(fig, "", "Horizon, Mark", []float64{p.Horizon, p.Mark}, 0, math.MaxFloat64); err != nil {
		return nil, err
	}
	if p.HazardRatio != nil {
		if err := p.HazardRatio.check(fig, p.Contrast, "HazardRatio"); err != nil {
			return nil, err
		}
	}
	horizon := p.Horizon
	if horizon == 0 {
		horizon = max(last, 1)
	}
	key, said := p.key(horizon)
	notes := p.notes()
	if len(notes) > 0 {
		said = append(said, strings.Join(notes, "; ")+".")
	}

	const plotHeight, keyGapY, margin = vg.Length(236), vg.Length(1), vg.Length(6)
	noteLines := plainType.wrap(strings.Join(notes, "; "), pageWidth-keyWidth-2*margin)
	if len(notes) == 0 {
		noteLines = nil
	}
	header := heightOf(key, keyGapY) + leading*vg.Length(len(noteLines)) + 10
	table := leading*vg.Length(len(p.Groups)+1) + 8
	height := margin + header + plotHeight + table
	page := newSheet(height)
	all := draw.New(page)
	y := height - margin
	y -= drawKey(all, margin, y, key, keyGapY)
	for _, s := range noteLines {
		plainType.draw(all, margin+keyWidth+keyGap, y-leading*0.5-3, 0, s)
		y -= leading
	}

	outcome, unit, size := p.Outcome, "Time (days)", 1.0
	if outcome == "" {
		outcome = "Overall survival"
	}
	if p.Unit == Years {
		unit, size = "Time (years)", daysPerYear
	}
	pl := newPlot(unit, outcome)
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = 0, horizon, 0, 1
	pl.X.Padding = 4
	at, decimals := steps(0, horizon/size, 6)
	marks := ticks(at, decimals)
	for i := range marks {
		marks[i].Value *= size
	}
	pl.X.Tick.Marker = marks
	heights := []float64{0, 0.2, 0.4, 0.6, 0.8, 1}
	pl.Y.Tick.Marker = ticks(heights, 1)
	pl.Add(grid(heights[1:]))
	if p.Mark > 0 {
		pl.Add(across(draw.LineStyle{Color: ruleColour, Width: 0.75, Dashes: []vg.Length{3, 3}}, p.Mark))
	}
	for i, g := range p.Groups {
		for _, part := range g.bands(horizon) {
			pl.Add(band(bandColour(i), part.x, part.low, part.high))
		}
	}
	for i, g := range p.Groups {
		if len(g.FollowUp) == 0 {
			continue
		}
		xs, ys := g.steps(horizon)
		pl.Add(line(seriesLine(i), xs, ys), g.censored(i, horizon))
	}

	area := draw.Crop(all, margin, -margin, table, -(height - y + 8))
	inner := pl.DataCanvas(area)
	// The names of the at-risk table stand left of the axis: make room for the longest.
	const nameMost = vg.Length(130)
	names := make([]string, len(p.Groups))
	need, half := vg.Length(0), vg.Length(0)
	for i, g := range p.Groups {
		names[i] = plainType.shorten(label(g.Name), nameMost)
		need = max(need, plainType.width(names[i]))
		half = max(half, plainType.width(fmt.Sprint(len(g.FollowUp)))/2)
	}
	// The first count is centred below day 0.
	nameGap := half + 8
	need += nameGap
	if have := inner.Min.X - area.Min.X; have < need {
		area.Min.X += need - have
	}
	pl.Draw(area)

	inner = pl.DataCanvas(area)
	xOf, _ := pl.Transforms(&inner)
	row := table - leading
	boldType.draw(all, inner.Min.X-nameGap, row, 1, "At risk")
	for i, g := range p.Groups {
		row -= leading
		plainType.draw(all, inner.Min.X-nameGap, row, 1, names[i])
		for _, m := range marks {
			plainType.draw(all, xOf(m.Value), row, 0.5, fmt.Sprint(g.atRisk(m.Value)))
		}
	}
	if p.Title == "" {
		p.Title = "Kaplan-Meier curves"
	}
	if p.Description == "" {
		p.Description = outcome + " over time. " + strings.Join(said, " ")
	}
	return page.svg(p.Title, p.Description)
}

// key gives the lines above the plot, and the same as sentences.
func (p SurvivalPlot) key(horizon float64) (key []keyEntry, said []string) {
	for i, g := range p.Groups {
		deaths := 0
		for _, d := range g.Died {
			if d {
				deaths++
			}
		}
		text := fmt.Sprintf("%s: n = %d, %d died", label(g.Name), len(g.FollowUp), deaths)
		if g.Median != nil && len(g.FollowUp) > 0 {
			if p.Unit == Years {
				years := Estimate{g.Median.Value / daysPerYear, g.Median.Low / daysPerYear, g.Median.High / daysPerYear}
				text += ", median in years " + years.Text(1)
			} else {
				text += ", median in days " + g.Median.Text(0)
			}
		}
		e := keyEntry{line: seriesLine(i), lines: plainType.wrap(text, pageWidth-keyWidth-keyGap-12)}
		if len(g.bands(horizon)) > 0 {
			e.fill = bandColour(i)
		}
		key, said = append(key, e), append(said, text+".")
	}
	return key, said
}

func (p SurvivalPlot) notes() []string {
	var notes []string
	if p.LogRankP != nil {
		notes = append(notes, "Log-rank "+PValue(*p.LogRankP))
	}
	if p.HazardRatio != nil {
		s := "hazard ratio"
		if p.Contrast != "" {
			s += ", " + label(p.Contrast) + ","
		}
		notes = append(notes, s+" "+p.HazardRatio.Text(2))
	}
	return notes
}

func (g SurvivalGroup) check() error {
	const fig = "kaplan-meier"
	for _, times := range []struct {
		field  string
		values []float64
	}{{"Days", g.Days}, {"FollowUp", g.FollowUp}} {
		if err := checkWithin(fig, g.Name, times.field, times.values, 0, math.MaxFloat64); err != nil {
			return err
		}
	}
	if err := checkRising(fig, g.Name, "Days", g.Days); err != nil {
		return err
	}
	if err := checkLength(fig, g.Name, "Survival", len(g.Survival), len(g.Days), "Days"); err != nil {
		return err
	}
	if err := checkLength(fig, g.Name, "Died", len(g.Died), len(g.FollowUp), "FollowUp"); err != nil {
		return err
	}
	if err := checkWithin(fig, g.Name, "Survival", g.Survival, 0, 1); err != nil {
		return err
	}
	for i := 1; i < len(g.Survival); i++ {
		if g.Survival[i] > g.Survival[i-1] {
			return bad(fig, g.Name, "Survival", i, "rises from %g to %g; survival can only fall", g.Survival[i-1], g.Survival[i])
		}
	}
	if len(g.FollowUp) == 0 && len(g.Days) > 0 {
		return bad(fig, g.Name, "FollowUp", -1, "is empty although there is a curve; give every patient's time, the number at risk is counted from it")
	}
	if (g.Low == nil) != (g.High == nil) {
		return bad(fig, g.Name, "Low, High", -1, "must be given both or not at all")
	}
	if g.Low == nil {
		return nil
	}
	for _, b := range []struct {
		field  string
		values []float64
	}{{"Low", g.Low}, {"High", g.High}} {
		if err := checkLength(fig, g.Name, b.field, len(b.values), len(g.Days), "Days"); err != nil {
			return err
		}
		for i, v := range b.values {
			if math.IsInf(v, 0) || v < 0 || v > 1 {
				return bad(fig, g.Name, b.field, i, "is %g, outside 0 to 1", v)
			}
		}
	}
	for i := range g.Low {
		if g.Low[i] > g.Survival[i]+1e-9 || g.High[i] < g.Survival[i]-1e-9 {
			return bad(fig, g.Name, "Low, High", i, "are %g and %g, but the curve is at %g; check their order", g.Low[i], g.High[i], g.Survival[i])
		}
	}
	return nil
}

// steps gives the corners of the curve up to the horizon, or to the group's own longest
// follow-up where that comes first.
func (g SurvivalGroup) steps(horizon float64) (xs, ys []float64) {
	end := 0.0
	for _, t := range g.FollowUp {
		end = max(end, t)
	}
	end = min(end, horizon)
	xs, ys = []float64{0}, []float64{1}
	for i, d := range g.Days {
		if d > end {
			break
		}
		xs = append(xs, d, d)
		ys = append(ys, ys[len(ys)-1], g.Survival[i])
	}
	return append(xs, end), append(ys, ys[len(ys)-1])
}

// stretch is a part of a band without holes.
type stretch struct{ x, low, high []float64 }

// bands gives the corners of the confidence band, in as many parts as undefined bounds
// leave.
func (g SurvivalGroup) bands(horizon float64) []stretch {
	if g.Low == nil || len(g.FollowUp) == 0 {
		return nil
	}
	xs, _ := g.steps(horizon)
	end := xs[len(xs)-1]
	var parts []stretch
	open := false
	for i, d := range g.Days {
		if d >= end {
			break
		}
		if math.IsNaN(g.Low[i]) || math.IsNaN(g.High[i]) {
			open = false
			continue
		}
		if !open {
			parts, open = append(parts, stretch{}), true
		}
		next := end
		if i+1 < len(g.Days) {
			next = min(end, g.Days[i+1])
		}
		s := &parts[len(parts)-1]
		s.x = append(s.x, d, next)
		s.low = append(s.low, g.Low[i], g.Low[i])
		s.high = append(s.high, g.High[i], g.High[i])
	}
	return parts
}

// atRisk counts the patients whose follow-up is t days or longer.
func (g SurvivalGroup) atRisk(t float64) int {
	n := 0
	for _, f := range g.FollowUp {
		if f >= t {
			n++
		}
	}
	return n
}

// at is the height of the curve on day t.
func (g SurvivalGroup) at(t float64) float64 {
	i := sort.Search(len(g.Days), func(i int) bool { return g.Days[i] > t })
	if i == 0 {
		return 1
	}
	return g.Survival[i-1]
}

// censored draws a tick on the curve for each patient who left alive.
func (g SurvivalGroup) censored(series int, horizon float64) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		var path vg.Path
		for i, t := range g.FollowUp {
			if g.Died[i] || t > horizon {
				continue
			}
			path.Move(vg.Point{X: x(t), Y: y(g.at(t)) - 3})
			path.Line(vg.Point{X: x(t), Y: y(g.at(t)) + 3})
		}
		if len(path) > 0 {
			c.SetLineStyle(draw.LineStyle{Color: seriesColour(series), Width: 0.75})
			c.Stroke(path)
		}
	}
}
