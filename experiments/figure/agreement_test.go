package figure

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func fewPairs() Pairs {
	return Pairs{First: []float64{0.2, 0.4, 0.6}, Second: []float64{0.3, 0.4, 0.8}, FirstName: "one", SecondName: "two"}
}

func TestBlandAltmanRefusals(t *testing.T) {
	good := func() AgreementPlot {
		return AgreementPlot{Pairs: fewPairs(), Bias: Estimate{0.1, 0, 0.2}, Lower: Estimate{-0.1, -0.3, 0}, Upper: Estimate{0.3, 0.2, 0.5}}
	}
	if _, err := BlandAltman(good()); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		change func(*AgreementPlot)
		field  string
		part   string
	}{
		"nobody":         {func(p *AgreementPlot) { p.First, p.Second = nil, nil }, "First", "at least one patient"},
		"lengths differ": {func(p *AgreementPlot) { p.Second = p.Second[:2] }, "Second", "has 2 entries where First has 3"},
		"NaN":            {func(p *AgreementPlot) { p.Second[1] = math.NaN() }, "Second", "Second[1] is NaN"},
		"infinite":       {func(p *AgreementPlot) { p.First[1] = math.Inf(1) }, "First", "cannot be drawn"},
		"far too large":  {func(p *AgreementPlot) { p.First[0], p.Second[0] = -math.MaxFloat64, math.MaxFloat64 }, "Second, First", "cannot be drawn"},
		"no name":        {func(p *AgreementPlot) { p.SecondName = " " }, "SecondName", "whose score"},
		"reversed":       {func(p *AgreementPlot) { p.Bias = Estimate{Value: -0.1} }, "Bias", "mean of second less first is 0.1"},
		"NaN bias":       {func(p *AgreementPlot) { p.Bias.Value = math.NaN() }, "Bias", "cannot be drawn"},
		"limits swapped": {func(p *AgreementPlot) { p.Lower, p.Upper = p.Upper, p.Lower }, "Lower, Upper", "check their order"},
		"interval apart": {func(p *AgreementPlot) { p.Upper.High = 0.25 }, "Upper", "outside its interval"},
	} {
		p := good()
		row.change(&p)
		_, err := BlandAltman(p)
		wantInputError(t, name, err, row.field, row.part)
	}
}

func TestScatterRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*ScatterPlot)
		field  string
		part   string
	}{
		"nobody":      {func(p *ScatterPlot) { p.First, p.Second = nil, nil }, "First", "at least one patient"},
		"NaN":         {func(p *ScatterPlot) { p.First[2] = math.NaN() }, "First", "First[2] is NaN"},
		"correlation": {func(p *ScatterPlot) { p.Spearman = &Estimate{Value: 78} }, "Spearman", "outside -1 to 1"},
		"NaN cut":     {func(p *ScatterPlot) { p.Cut = new(math.NaN()) }, "Cut", "cannot be drawn"},
		"no name":     {func(p *ScatterPlot) { p.FirstName = "" }, "FirstName", "whose score"},
	} {
		p := ScatterPlot{Pairs: fewPairs()}
		row.change(&p)
		_, err := Scatter(p)
		wantInputError(t, name, err, row.field, row.part)
	}
}

// One patient, patients who are all alike, and scores that are all the same are drawn.
func TestPairsDegenerate(t *testing.T) {
	for name, values := range map[string][2][]float64{
		"one patient":     {{0.5}, {0.75}},
		"one, no change":  {{0.5}, {0.5}},
		"zeros":           {{0, 0}, {0, 0}},
		"all alike":       {{0.5, 0.5, 0.5}, {0.75, 0.75, 0.75}},
		"tiny":            {{1e-300, 2e-300}, {1e-300, 3e-300}},
		"negative scores": {{-3, -2, -1}, {-3, -1, -2}},
	} {
		pairs := Pairs{First: values[0], Second: values[1], FirstName: "größe", SecondName: "öde"}
		bias := 0.0
		for i := range pairs.First {
			bias += (pairs.Second[i] - pairs.First[i]) / float64(len(pairs.First))
		}
		svg, err := BlandAltman(AgreementPlot{Pairs: pairs, Bias: Estimate{Value: bias}})
		all := mustDraw(t, svg, err)
		if joined := strings.Join(texts(all), "\n"); strings.Contains(joined, "limit") || strings.Contains(joined, "CI") || !strings.Contains(joined, fmt.Sprintf("n = %d", len(values[0]))) {
			t.Errorf("%s: texts %q", name, joined)
		}
		svg, err = Scatter(ScatterPlot{Pairs: pairs})
		all = mustDraw(t, svg, err)
		if got := texts(all); !slices.Contains(got, "Größe") || !slices.Contains(got, "Öde") {
			t.Errorf("%s: texts %q", name, got)
		}
		if n := count(all, "path", "fill:#0071B1;fill-opacity:0.56"); n != len(values[0])+1 {
			t.Errorf("%s: %d dots, want one per patient and one in the key", name, n)
		}
	}
}

// The marks: squares for those on another side of a cut, strictly above being high, and a
// triangle for the one far away, counted in the key and told to screen readers.
func TestScatterMarks(t *testing.T) {
	p := repeatsAtCut()
	moved := 0
	for i := range p.First {
		if (p.First[i] > *p.Cut) != (p.Second[i] > *p.Cut) {
			moved++
		}
	}
	svg, err := Scatter(p)
	all := mustDraw(t, svg, err)
	if n := count(all, "path", "fill:#D55E00"); n != moved+1 || moved < 5 {
		t.Errorf("%d squares, want %d and one in the key", n, moved)
	}
	if n := count(all, "path", "fill:#0071B1;fill-opacity:0.56"); n != len(p.First)-moved-1+1 {
		t.Errorf("%d dots of %d patients", n, len(p.First))
	}
	if said := all[2].text; !strings.Contains(said, "1 of them far outside the axes") || !strings.Contains(said, fmt.Sprintf("%d of 150 change sides", moved)) ||
		!strings.Contains(said, "Spearman 0.88 (95% CI 0.84 to 0.91)") {
		t.Errorf("description %q", said)
	}
	// A score on the cut is low risk.
	svg, err = Scatter(ScatterPlot{Pairs: fewPairs(), Cut: new(0.4)})
	if n := count(mustDraw(t, svg, err), "path", "fill:#D55E00"); n != 1 {
		t.Errorf("%d squares, want the key's only", n)
	}
}

// Without outliers every point lies where its numbers say: on the line of no difference
// in the scatter, at the height of its difference in the Bland-Altman plot.
func TestPairsPlacePoints(t *testing.T) {
	at := func(svg []byte, err error) (xs, ys []float64) {
		for _, e := range mustDraw(t, svg, err) {
			var x, y float64
			if e.name == "path" && strings.Contains(e.attr["style"], "fill:#0071B1;fill-opacity:0.56") {
				if _, err := fmt.Sscanf(e.attr["d"], "M%f,%f", &x, &y); err != nil {
					t.Fatal(err)
				}
				xs, ys = append(xs, x), append(ys, y)
			}
		}
		return xs, ys
	}
	p := Pairs{First: []float64{0, 0.25, 1}, Second: []float64{0, 0.25, 1}, FirstName: "a", SecondName: "b"}
	xs, ys := at(Scatter(ScatterPlot{Pairs: p}))
	if w, h := xs[2]-xs[0], ys[2]-ys[0]; math.Abs(w-h) > 0.02 || math.Abs(xs[1]-xs[0]-0.25*w) > 0.02 || math.Abs(ys[1]-ys[0]-0.25*h) > 0.02 {
		t.Errorf("points at %v, %v", xs, ys)
	}
	p.Second = []float64{0.4, 0.35, 1}
	xs, ys = at(BlandAltman(AgreementPlot{Pairs: p, Bias: Estimate{Value: 0.5 / 3}}))
	// Means 0.2, 0.3, 1; differences 0.4, 0.1, 0.
	if w, h := xs[2]-xs[0], ys[0]-ys[2]; math.Abs(xs[1]-xs[0]-0.125*w) > 0.02 || math.Abs(ys[1]-ys[2]-0.25*h) > 0.02 {
		t.Errorf("points at %v, %v", xs, ys)
	}
}
