package figure

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// shifts is an AUC in two roles over a setting that is no number throughout.
func shifts() SettingsPlot {
	return SettingsPlot{Setting: "augment.shift", Values: []string{"0", "5", "10", "as the base has it, whatever that is"},
		Series: []SettingsSeries{
			{"tune role, which chooses", []Estimate{{0.66, 0.55, 0.77}, {0.71, 0.61, 0.81}, {0.73, 0.63, 0.83}, {Value: math.NaN()}}},
			{"test role", []Estimate{{0.69, 0.61, 0.77}, {Value: 0.70}, {Value: math.NaN()}, {0.68, 0.60, 0.76}}},
		}}
}

// ratesAndShifts is an AUC over two settings with one cell that has none.
func ratesAndShifts() HeatPlot {
	return HeatPlot{Down: "augment.shift", Across: "training.learning_rate", Rows: []string{"0", "5"}, Columns: []string{"0.0001", "0.001", "0.01"},
		Panels: []HeatPanel{{"tune role, which chooses", [][]float64{{0.61, 0.66, 0.63}, {0.64, 0.73, math.NaN()}}}, {"test role", [][]float64{{0.60, 0.68, 0.66}, {0.62, 0.70, math.NaN()}}}}}
}

func TestSettingsRefusals(t *testing.T) {
	for want, change := range map[string]func(*SettingsPlot){
		"Values is empty":        func(p *SettingsPlot) { p.Values = nil },
		"has 4 entries where":    func(p *SettingsPlot) { p.Values = p.Values[:3] },
		"hold no estimate":       func(p *SettingsPlot) { p.Series = nil },
		"lies outside its int":   func(p *SettingsPlot) { p.Series[0].Estimates[0].Low = 0.7 },
		"which cannot be drawn;": func(p *SettingsPlot) { p.Series[0].Estimates[0].Value = math.Inf(1) },
	} {
		p := shifts()
		change(&p)
		_, err := Settings(p)
		var refused *InputError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestHeatRefusals(t *testing.T) {
	for want, change := range map[string]func(*HeatPlot){
		"are empty":           func(p *HeatPlot) { p.Rows = nil },
		"has 2 entries where": func(p *HeatPlot) { p.Rows = append(p.Rows, "10") },
		"has 3 entries where": func(p *HeatPlot) { p.Columns = p.Columns[:2] },
		"holds +Inf":          func(p *HeatPlot) { p.Panels[1].Values[0][0] = math.Inf(1) },
		"hold no value": func(p *HeatPlot) {
			p.Panels = []HeatPanel{{"", [][]float64{{math.NaN(), math.NaN(), math.NaN()}, {math.NaN(), math.NaN(), math.NaN()}}}}
		},
	} {
		p := ratesAndShifts()
		change(&p)
		_, err := Heat(p)
		var refused *InputError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The highest value has the darkest cell and the lowest a white one, in all panels alike, and
// a cell without a value has no ground.
func TestHeatShades(t *testing.T) {
	svg, err := Heat(ratesAndShifts())
	all := mustDraw(t, svg, err)
	if got := count(all, "path", "fill:#004878"); got != 1 {
		t.Errorf("%d cells of the darkest shade, want 1", got)
	}
	if got := count(all, "path", "fill:#FFFFFF"); got != 1 {
		t.Errorf("%d white cells, want 1", got)
	}
	filled := 0
	for _, e := range all {
		if e.name == "path" && strings.Contains(e.attr["style"], "fill:#") {
			filled++
		}
	}
	if filled != 10 {
		t.Errorf("%d cells are filled, want 10", filled)
	}
	drawn := strings.Join(texts(all), "|")
	for _, want := range []string{"0.730", "0.600", "augment.shift", "training.learning_rate", "0.0001", "test role"} {
		if !strings.Contains(drawn, want) {
			t.Errorf("%q is not drawn: %s", want, drawn)
		}
	}
}
