package figure

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Training is the history of one training run, one entry per epoch.
type Training struct {
	Name     string    // such as "seed 1"
	Loss     []float64 // mean training loss
	TuneLoss []float64
	Tune     []float64 // on the tune role: AUC, or what TrainingPlot.Measure says; 0 to 1
	Rate     []float64 // learning rate
	Best     int       // the epoch that was kept, counted from 1; 0 for none
}

// TrainingPlot is the input of History.
type TrainingPlot struct {
	Title, Description string
	Measure            string // what Training.Tune is; "" is AUC
	Runs               []Training
}

// historyPanel is one of the plots that stand above each other.
type historyPanel struct {
	name   string
	height vg.Length
	values func(Training) []float64
}

// History draws training loss, tune loss, the tune role's AUC and the learning rate above
// each other, by epoch, one line per run, with a dot at each run's kept epoch and a grey
// line at an AUC of 0.5. A run that has not finished its first epoch keeps its place in the
// key.
func History(p TrainingPlot) ([]byte, error) {
	const fig = "history"
	if len(p.Runs) == 0 {
		return nil, bad(fig, "", "Runs", -1, "is empty; give at least one training run")
	}
	if p.Measure == "" {
		p.Measure = "AUC"
	}
	epochs := 0
	for _, r := range p.Runs {
		if err := r.check(); err != nil {
			return nil, err
		}
		epochs = max(epochs, len(r.Loss))
	}
	if epochs == 0 {
		return nil, bad(fig, "", "Runs", -1, "hold no epoch; there is nothing to draw")
	}

	key, said := p.key()
	const columns, margin, gap = 2, vg.Length(6), vg.Length(3)
	perColumn := (len(key) + columns - 1) / columns
	left, right := key[:perColumn], key[perColumn:]
	header := heightOf(left, gap) + 10
	const axis, between, judged = vg.Length(32), vg.Length(14), 2
	panels := []historyPanel{
		{"Training loss", 90, func(r Training) []float64 { return r.Loss }},
		{"Tune loss", 90, func(r Training) []float64 { return r.TuneLoss }},
		{"Tune " + p.Measure, 110, func(r Training) []float64 { return r.Tune }},
		{"Learning rate", 76, func(r Training) []float64 { return r.Rate }},
	}
	height := margin + header + axis + margin
	for i, panel := range panels {
		height += panel.height
		if i > 0 {
			height += between
		}
	}
	page := newSheet(height)
	all := draw.New(page)
	drawKey(all, margin, height-margin, left, gap)
	drawKey(all, pageWidth/2+margin, height-margin, right, gap)

	plots := make([]*plot.Plot, len(panels))
	for i, panel := range panels {
		last := i == len(panels)-1
		plots[i] = p.panel(panel, epochs, i == judged, last)
	}

	// All data areas begin where the widest labels end, so that epochs stand above each other.
	area := draw.Crop(all, margin, -margin, margin, 0)
	area.Max.Y = margin + axis + panels[len(panels)-1].height
	wide := area
	area = plots[len(plots)-1].DataCanvas(wide)
	for _, pl := range plots {
		area.Min.X = max(area.Min.X, pl.DataCanvas(wide).Min.X)
	}
	for i := len(panels) - 1; i >= 0; i-- {
		area.Max.Y = area.Min.Y + panels[i].height
		drawInto(plots[i], area)
		area.Min.Y = area.Max.Y + between
	}
	if p.Title == "" {
		p.Title = "Training history"
	}
	if p.Description == "" {
		p.Description = "Training loss, tune loss, " + p.Measure + " on the tune role and learning rate by epoch. " + strings.Join(said, " ")
	}
	return page.svg(p.Title, p.Description)
}

// panel is one plot. The one that epochs are judged by has the line of chance and a dot at
// each kept epoch; the last one has the axis.
func (p TrainingPlot) panel(panel historyPanel, epochs int, judged, last bool) *plot.Plot {
	low, high := math.Inf(1), math.Inf(-1)
	switch {
	case judged:
		low, high = 0.5, 0.5
	case last: // a rate that never changes is a line, not an axis from nowhere to nowhere
		low, high = 0, 0
	}
	for _, r := range p.Runs {
		for _, v := range panel.values(r) {
			low, high = min(low, v), max(high, v)
		}
	}
	title, wanted := "", 4
	if last {
		title, wanted = "Epoch", 2
	}
	pl := newPlot(title, panel.name)
	setRange(&pl.Y, low, high, wanted)
	if rate, same := p.constantRate(); last && same {
		pl.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: rate, Label: strconv.FormatFloat(rate, 'g', -1, 64)}}
	}
	pl.X.Min, pl.X.Max = 1, float64(max(epochs, 2))
	pl.X.Padding, pl.Y.Padding = 4, 6
	whole := ticks(epochTicks(max(epochs, 2)), 0)
	if !last {
		for i := range whole {
			whole[i].Label = " " // a tick without a number: the axis at the bottom has it
		}
	}
	pl.X.Tick.Marker = whole
	pl.Add(gridOf(pl))
	if judged {
		pl.Add(line(draw.LineStyle{Color: ruleColour, Width: 0.75, Dashes: []vg.Length{3, 3}}, []float64{1, pl.X.Max}, []float64{0.5, 0.5}))
	}
	for i, r := range p.Runs {
		values := panel.values(r)
		xs := make([]float64, len(values))
		for k := range xs {
			xs[k] = float64(k + 1)
		}
		pl.Add(line(seriesLine(i), xs, values))
	}
	for i, r := range p.Runs {
		values := panel.values(r)
		if len(values) == 1 { // makes no line: show it as a dot
			pl.Add(dot(i, 1, values[0]))
		}
		if judged && r.Best > 0 {
			pl.Add(dot(i, float64(r.Best), values[r.Best-1]))
		}
	}
	return pl
}

// constantRate is the learning rate that all epochs of all runs share.
func (p TrainingPlot) constantRate() (rate float64, same bool) {
	for _, r := range p.Runs {
		for _, v := range r.Rate {
			if rate != 0 && v != rate {
				return 0, false
			}
			rate = v
		}
	}
	return rate, rate > 0
}

// key gives one line of key per run, and the same as sentences.
func (p TrainingPlot) key() (key []keyEntry, said []string) {
	for i, r := range p.Runs {
		text := fmt.Sprintf("%s: %d epochs, none kept", label(r.Name), len(r.Loss))
		if len(r.Loss) == 0 {
			text = label(r.Name) + ": no epoch yet"
		}
		if r.Best > 0 {
			text = fmt.Sprintf("%s: best epoch %d of %d, %s %s", label(r.Name), r.Best, len(r.Loss), p.Measure, number(r.Tune[r.Best-1], 2))
		}
		key = append(key, keyEntry{line: seriesLine(i), lines: plainType.wrap(text, pageWidth/2-keyWidth-keyGap-12)})
		said = append(said, text+".")
	}
	return key, said
}

func (r Training) check() error {
	const fig = "history"
	for _, f := range []struct {
		field  string
		values []float64
		high   float64
	}{{"Loss", r.Loss, math.Inf(1)}, {"TuneLoss", r.TuneLoss, math.Inf(1)}, {"Tune", r.Tune, 1}, {"Rate", r.Rate, math.Inf(1)}} {
		if err := checkLength(fig, r.Name, f.field, len(f.values), len(r.Loss), "Loss"); err != nil {
			return err
		}
		low := 0.0
		if f.field == "Loss" || f.field == "TuneLoss" {
			low = math.Inf(-1)
		}
		if err := checkWithin(fig, r.Name, f.field, f.values, low, f.high); err != nil {
			return err
		}
	}
	if r.Best < 0 || r.Best > len(r.Loss) {
		return bad(fig, r.Name, "Best", -1, "is epoch %d of %d; epochs count from 1, and 0 means none was kept", r.Best, len(r.Loss))
	}
	return nil
}

// setRange makes an axis hold [low, high] and a little more, with about n ticks.
func setRange(a *plot.Axis, low, high float64, n int) {
	pad := 0.05 * (high - low)
	if pad == 0 {
		pad = max(math.Abs(low)*0.05, 0.05)
	}
	a.Min, a.Max = low-pad, high+pad
	values, decimals := steps(a.Min, a.Max, n)
	a.Tick.Marker = ticks(values, decimals)
}

func gridOf(p *plot.Plot) layer {
	var heights []float64
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		heights = append(heights, t.Value)
	}
	return grid(heights)
}

// epochTicks gives whole numbers from 1 to n, a round distance apart.
func epochTicks(n int) []float64 {
	values, _ := steps(1, float64(n), 8)
	out := []float64{1}
	for _, v := range values {
		if v == math.Trunc(v) && v > 1 {
			out = append(out, v)
		}
	}
	return out
}

// dot marks one point of a series.
func dot(series int, at, value float64) layer {
	return func(c draw.Canvas, x, y func(float64) vg.Length) {
		disc(c, seriesColour(series), x(at), y(value), 3.5)
	}
}
