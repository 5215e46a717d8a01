package figure

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Training is the history of one training run, one entry per epoch.
type Training struct {
	Name    string    // such as "seed 1"
	Loss    []float64 // mean training loss
	TuneAUC []float64 // AUC on the tune role
	Best    int       // the epoch that was kept, counted from 1; 0 for none
}

// TrainingPlot is the input of History.
type TrainingPlot struct {
	Title, Description string
	Runs               []Training
}

// History draws the training loss above the tune role's AUC, by epoch, one line per run,
// with a dot at each run's kept epoch and a grey line at an AUC of 0.5. A run that has not
// finished its first epoch keeps its place in the key.
func History(p TrainingPlot) ([]byte, error) {
	const fig = "history"
	if len(p.Runs) == 0 {
		return nil, bad(fig, "", "Runs", -1, "is empty; give at least one training run")
	}
	epochs := 0
	lossLow, lossHigh := math.Inf(1), math.Inf(-1)
	aucLow, aucHigh := 0.5, 0.5
	for _, r := range p.Runs {
		if err := r.check(); err != nil {
			return nil, err
		}
		epochs = max(epochs, len(r.Loss))
		for i := range r.Loss {
			lossLow, lossHigh = min(lossLow, r.Loss[i]), max(lossHigh, r.Loss[i])
			aucLow, aucHigh = min(aucLow, r.TuneAUC[i]), max(aucHigh, r.TuneAUC[i])
		}
	}
	if epochs == 0 {
		return nil, bad(fig, "", "Runs", -1, "hold no epoch; there is nothing to draw")
	}

	key, said := p.key()
	const columns, margin, gap = 2, vg.Length(6), vg.Length(3)
	perColumn := (len(key) + columns - 1) / columns
	left, right := key[:perColumn], key[perColumn:]
	header := heightOf(left, gap) + 10
	const panel, axis, between = vg.Length(120), vg.Length(32), vg.Length(18)
	height := margin + header + 2*panel + between + axis + margin
	page := newSheet(height)
	all := draw.New(page)
	drawKey(all, margin, height-margin, left, gap)
	drawKey(all, pageWidth/2+margin, height-margin, right, gap)

	loss := newPlot("", "Training loss")
	auc := newPlot("Epoch", "Tune AUC")
	setRange(&loss.Y, lossLow, lossHigh, 4)
	setRange(&auc.Y, aucLow, min(1, aucHigh), 4)
	for _, pl := range []*plot.Plot{loss, auc} {
		pl.X.Min, pl.X.Max = 1, float64(max(epochs, 2))
		pl.X.Padding, pl.Y.Padding = 4, 6
	}
	whole := epochTicks(max(epochs, 2))
	auc.X.Tick.Marker = ticks(whole, 0)
	bare := ticks(whole, 0)
	for i := range bare {
		bare[i].Label = " " // a tick without a number: the axis below has it
	}
	loss.X.Tick.Marker = bare
	loss.Add(gridOf(loss))
	auc.Add(gridOf(auc), line(draw.LineStyle{Color: ruleColour, Width: 0.75, Dashes: []vg.Length{3, 3}}, []float64{1, auc.X.Max}, []float64{0.5, 0.5}))
	for i, r := range p.Runs {
		xs := make([]float64, len(r.Loss))
		for k := range xs {
			xs[k] = float64(k + 1)
		}
		loss.Add(line(seriesLine(i), xs, r.Loss))
		auc.Add(line(seriesLine(i), xs, r.TuneAUC))
	}
	for i, r := range p.Runs {
		// A single epoch makes no line: show it as a dot.
		if len(r.Loss) == 1 {
			loss.Add(dot(i, 1, r.Loss[0]))
			auc.Add(dot(i, 1, r.TuneAUC[0]))
		}
		if r.Best > 0 {
			auc.Add(dot(i, float64(r.Best), r.TuneAUC[r.Best-1]))
		}
	}

	// Both data areas begin where the wider labels end, so that epochs stand above each other.
	lower := draw.Crop(all, margin, -margin, margin, 0)
	lower.Max.Y = margin + axis + panel
	area := auc.DataCanvas(lower)
	area.Min.X = max(area.Min.X, loss.DataCanvas(lower).Min.X)
	drawInto(auc, area)
	rise := panel + between
	area.Min.Y, area.Max.Y = area.Min.Y+rise, area.Max.Y+rise
	drawInto(loss, area)
	if p.Title == "" {
		p.Title = "Training history"
	}
	if p.Description == "" {
		p.Description = "Training loss and AUC on the tune role by epoch. " + strings.Join(said, " ")
	}
	return page.svg(p.Title, p.Description)
}

// key gives one line of key per run, and the same as sentences.
func (p TrainingPlot) key() (key []keyEntry, said []string) {
	for i, r := range p.Runs {
		text := fmt.Sprintf("%s: %d epochs, none kept", label(r.Name), len(r.Loss))
		if len(r.Loss) == 0 {
			text = label(r.Name) + ": no epoch yet"
		}
		if r.Best > 0 {
			text = fmt.Sprintf("%s: best epoch %d of %d, AUC %s", label(r.Name), r.Best, len(r.Loss), number(r.TuneAUC[r.Best-1], 2))
		}
		key = append(key, keyEntry{line: seriesLine(i), lines: plainType.wrap(text, pageWidth/2-keyWidth-keyGap-12)})
		said = append(said, text+".")
	}
	return key, said
}

func (r Training) check() error {
	const fig = "history"
	if err := checkLength(fig, r.Name, "TuneAUC", len(r.TuneAUC), len(r.Loss), "Loss"); err != nil {
		return err
	}
	if err := checkFinite(fig, r.Name, "Loss", r.Loss); err != nil {
		return err
	}
	if err := checkWithin(fig, r.Name, "TuneAUC", r.TuneAUC, 0, 1); err != nil {
		return err
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
