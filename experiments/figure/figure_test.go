package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var regen = flag.Bool("regen", false, "rewrite the figures in testdata; look at each before keeping it")

// patientSet draws scores and follow-up for n patients; those who die early tend to score
// higher.
func patientSet(seed uint64, n int, effect float64) (scores, days []float64, died, early []bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range n {
		risk := rng.NormFloat64()
		death := rng.ExpFloat64() * 900 * math.Exp(-effect*risk)
		leave := 200 + rng.Float64()*2500
		scores = append(scores, 1/(1+math.Exp(-risk-0.4*rng.NormFloat64())))
		days = append(days, math.Round(min(death, leave)))
		died = append(died, death <= leave)
		early = append(early, death <= 730)
	}
	return scores, days, died, early
}

// rocOf counts the curve threshold by threshold, and gives a binomial band.
func rocOf(name string, scores []float64, positive []bool) ROCCurve {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return int(math.Copysign(1, scores[b]-scores[a]))
	})
	p, n := 0.0, 0.0
	for _, v := range positive {
		if v {
			p++
		} else {
			n++
		}
	}
	c := ROCCurve{Name: name, FPR: []float64{0}, TPR: []float64{0}, N: len(scores), Events: int(p)}
	tp, fp := 0.0, 0.0
	for _, i := range order {
		if positive[i] {
			tp++
		} else {
			fp++
		}
		c.FPR, c.TPR = append(c.FPR, fp/n), append(c.TPR, tp/p)
	}
	for _, t := range c.TPR {
		half := 1.96 * math.Sqrt(t*(1-t)/p)
		c.Low, c.High = append(c.Low, max(0, t-half)), append(c.High, min(1, t+half))
	}
	area := c.area()
	half := 1.96 * math.Sqrt(area*(1-area)/min(p, n))
	c.AUC = Estimate{area, area - half, min(1, area+half)}
	return c
}

// survivalOf is the product-limit estimate with Greenwood's log-log interval.
func survivalOf(name string, days []float64, died []bool) SurvivalGroup {
	g := SurvivalGroup{Name: name, FollowUp: days, Died: died}
	times := slices.Compact(slices.Sorted(slices.Values(days)))
	s, v := 1.0, 0.0
	for _, t := range times {
		deaths, risk := 0.0, 0.0
		for i := range days {
			if days[i] >= t {
				risk++
			}
			if days[i] == t && died[i] {
				deaths++
			}
		}
		s *= 1 - deaths/risk
		v += deaths / (risk * (risk - deaths))
		low, high := math.NaN(), math.NaN()
		if s > 0 && s < 1 {
			half := 1.96 * math.Sqrt(v) / math.Abs(math.Log(s))
			low, high = math.Pow(s, math.Exp(half)), math.Pow(s, math.Exp(-half))
		}
		g.Days, g.Survival = append(g.Days, t), append(g.Survival, s)
		g.Low, g.High = append(g.Low, low), append(g.High, high)
	}
	return g
}

func split(scores, days []float64, died []bool, cut float64, above bool) (d []float64, e []bool) {
	for i, s := range scores {
		if (s > cut) == above {
			d, e = append(d, days[i]), append(e, died[i])
		}
	}
	return d, e
}

func twoCurves() ROCPlot {
	s1, _, _, e1 := patientSet(1, 211, 0.6)
	s2, _, _, e2 := patientSet(2, 97, 0.9)
	return ROCPlot{Curves: []ROCCurve{rocOf("Radiotherapy, test role (Maastro)", s1, e1), rocOf("Surgery, test role (M-SPORE)", s2, e2)}}
}

func riskGroups(unit TimeUnit) SurvivalPlot {
	s, d, e, _ := patientSet(3, 206, 0.7)
	lowD, lowE := split(s, d, e, 0.6, false)
	highD, highE := split(s, d, e, 0.6, true)
	low, high := survivalOf("low risk", lowD, lowE), survivalOf("high risk", highD, highE)
	low.Median, high.Median = &Estimate{Value: 1101, Low: 800, High: math.Inf(1)}, &Estimate{Value: 452, Low: 345, High: 601}
	return SurvivalPlot{Groups: []SurvivalGroup{low, high}, Unit: unit, Mark: 730,
		LogRankP: new(0.000829), HazardRatio: &Estimate{1.75, 1.25, 2.44}, Contrast: "high against low risk"}
}

func fourGroups() SurvivalPlot {
	var p SurvivalPlot
	for i, name := range []string{"stage I", "stage II", "stage IIIa, with a rather long name of its own", "stage IIIb"} {
		_, d, e, _ := patientSet(uint64(20+i), 60, 0.5)
		for k := range d {
			d[k] = math.Round(d[k] / (1 + 0.4*float64(i)))
		}
		p.Groups = append(p.Groups, survivalOf(name, d, e))
	}
	p.LogRankP = new(0.027)
	p.Horizon = 1500
	return p
}

func twoClasses() ScorePlot {
	s, _, _, early := patientSet(4, 240, 0.8)
	var alive, dead []float64
	for i, v := range s {
		if early[i] {
			dead = append(dead, v)
		} else {
			alive = append(alive, v)
		}
	}
	return ScorePlot{Groups: []ScoreGroup{{"Alive at two years", alive}, {"Dead within two years", dead}}, Cut: new(0.5731), CutName: "median of the tune role"}
}

func seeds(n int) TrainingPlot {
	var p TrainingPlot
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range n {
		r := Training{Name: fmt.Sprintf("seed %d", i+1)}
		for e := range 18 + 4*i {
			r.Loss = append(r.Loss, 0.32+0.4*math.Exp(-float64(e)/6)+0.02*rng.NormFloat64())
			r.Tune = append(r.Tune, 0.72-0.25*math.Exp(-float64(e)/4)-0.002*float64(e)+0.015*rng.NormFloat64())
			if r.Best == 0 || r.Tune[e] > r.Tune[r.Best-1] {
				r.Best = e + 1
			}
			r.TuneLoss = append(r.TuneLoss, r.Loss[e]+0.1+0.01*float64(e))
			r.Rate = append(r.Rate, 0.0005*(1+math.Cos(math.Pi*float64(e)/40)))
		}
		p.Runs = append(p.Runs, r)
	}
	return p
}

func aucRows() ForestPlot {
	return ForestPlot{
		Rows: []ForestRow{
			{Group: "Tune role", Name: "seed 1", Estimate: Estimate{0.74, 0.65, 0.83}, N: 120},
			{Group: "Tune role", Name: "seed 2", Estimate: Estimate{0.71, 0.61, 0.80}, N: 120},
			{Group: "Tune role", Name: "seed 3", Estimate: Estimate{0.76, 0.67, 0.84}, N: 120},
			{Group: "Test role", Name: "seed 1", Estimate: Estimate{0.72, 0.64, 0.80}, N: 160},
			{Group: "Test role", Name: "seed 2", Estimate: Estimate{0.70, 0.61, 0.78}, N: 160},
			{Group: "Test role", Name: "seed 3", Estimate: Estimate{0.73, 0.65, 0.81}, N: 160},
			{Group: "Test role", Name: "mean of the three", Estimate: Estimate{0.73, 0.65, 0.80}, N: 160, Summary: true},
			{Group: "Baselines, test role", Name: "tumour volume", Estimate: Estimate{0.64, 0.55, 0.73}, N: 160},
			{Group: "Baselines, test role", Name: "clinical forest, all parameters of the table", Estimate: Estimate{0.52, 0.43, 0.61}, N: 158},
		},
		Lines: []ForestLine{{"no information", 0.5}, {"the phantom's true hazard", 0.853}},
	}
}

func hazardRows() ForestPlot {
	return ForestPlot{Axis: "Hazard ratio", Log: true, Lines: []ForestLine{{"no effect", 1}},
		Rows: []ForestRow{{Name: "age, per 10 years", Estimate: Estimate{1.12, 0.98, 1.28}}, {Name: "stage IIIb against I", Estimate: Estimate{2.9, 1.7, 5.1}}, {Name: "surgery", Estimate: Estimate{0.41, 0.22, 0.77}}}}
}

func studyFlow() FlowPlot {
	return FlowPlot{
		Steps: []FlowStep{
			{Name: "Patients found in the folder tree", N: 422, Lost: []FlowLoss{{"no CT series that could be read", 3}, {"slice missing", 2}}},
			{Name: "CT and structure set read", N: 417, Lost: []FlowLoss{{"no tumour contour", 1}, {"contour lies outside the scan", 1}}},
			{Name: "Cube cut", N: 415, Lost: []FlowLoss{{"censored before 730 days, so no label at two years", 19}}},
			{Name: "Label known", N: 396},
		},
		Ends: []FlowEnd{{"train", 200, "82 alive at two years"}, {"tune", 90, "35 alive at two years"}, {"test", 106, "sealed until the final evaluation"}},
	}
}

// repeats is a score and its repeat, with one patient far from all others.
func repeats(n int) Pairs {
	p := Pairs{FirstName: "original", SecondName: "re-run"}
	rng := rand.New(rand.NewPCG(6, 6))
	for range n {
		risk := 0.95 + 0.02*rng.NormFloat64()
		p.First, p.Second = append(p.First, min(risk, 0.999)), append(p.Second, min(risk+0.004+0.01*rng.NormFloat64(), 0.999))
	}
	p.First[n/2] = 1e-12
	return p
}

func limitsOfAgreement() AgreementPlot {
	p := AgreementPlot{Pairs: repeats(150)}
	for i := range p.First {
		p.Bias.Value += (p.Second[i] - p.First[i]) / 150
	}
	b := p.Bias.Value
	p.Bias.Low, p.Bias.High = b-0.013, b+0.013
	p.Lower, p.Upper = Estimate{b - 0.15, b - 0.17, b - 0.13}, Estimate{b + 0.15, b + 0.13, b + 0.17}
	return p
}

func repeatsAtCut() ScatterPlot {
	return ScatterPlot{Pairs: repeats(150), Spearman: &Estimate{0.88, 0.84, 0.91}, Cut: new(0.9721244), CutName: "median of the tune role"}
}

// widths is an AUC against the width of a shell, kept and taken away.
func widths() TrendPlot {
	return TrendPlot{X: "Width of the shell (mm)", Y: "AUC",
		Series: []TrendSeries{
			{"shell kept, re-scored", []TrendPoint{{0, Estimate{0.68, 0.60, 0.76}}, {3, Estimate{0.71, 0.63, 0.79}}, {6, Estimate{0.75, 0.68, 0.82}}, {10, Estimate{0.79, 0.73, 0.85}}}},
			{"shell taken away, re-scored", []TrendPoint{{3, Estimate{0.77, 0.70, 0.84}}, {6, Estimate{0.73, 0.66, 0.80}}, {10, Estimate{0.70, 0.62, 0.78}}}},
			{"shell taken away, re-trained with a name that is long", []TrendPoint{{10, Estimate{Value: 0.74}}}},
		},
		Lines: []ForestLine{{"whole cube", 0.81}, {"no information", 0.5}}}
}

// drawings lists every golden figure.
func drawings() map[string]func() ([]byte, error) {
	return map[string]func() ([]byte, error){
		"roc":                func() ([]byte, error) { return ROC(twoCurves()) },
		"kaplan-meier-years": func() ([]byte, error) { return KaplanMeier(riskGroups(Years)) },
		"kaplan-meier-days":  func() ([]byte, error) { return KaplanMeier(fourGroups()) },
		"scores":             func() ([]byte, error) { return ScoreDistribution(twoClasses()) },
		"history":            func() ([]byte, error) { return History(seeds(5)) },
		"forest":             func() ([]byte, error) { return Forest(aucRows()) },
		"forest-log":         func() ([]byte, error) { return Forest(hazardRows()) },
		"bland-altman":       func() ([]byte, error) { return BlandAltman(limitsOfAgreement()) },
		"scatter":            func() ([]byte, error) { return Scatter(repeatsAtCut()) },
		"association":        func() ([]byte, error) { return Association(overlapAndScore()) },
		"spread":             func() ([]byte, error) { return Spread(changedContours()) },
		"flow":               func() ([]byte, error) { return Flow(studyFlow()) },
		"trend":              func() ([]byte, error) { return Trend(widths()) },
		"settings":           func() ([]byte, error) { return Settings(shifts()) },
		"heat":               func() ([]byte, error) { return Heat(ratesAndShifts()) },
		"enrichment":         func() ([]byte, error) { return Enrichment(ranked()) },
		"gene-sets":          func() ([]byte, error) { return SetOverview(someSets()) },
		"concordance":        func() ([]byte, error) { return Concordance(twoCohorts()) },
	}
}

var touching = regexp.MustCompile(`="[^"<>]*"[^\s/>?]`)

// element is an SVG element as the tests look at it.
type element struct {
	name string
	attr map[string]string
	text string
}

// parse reads an SVG and fails the test where it is not well formed.
func parse(t *testing.T, svg []byte) []element {
	t.Helper()
	// encoding/xml lets attributes touch each other; browsers do not.
	if at := touching.FindIndex(svg); at != nil {
		t.Fatalf("attributes without a blank between them: %s", svg[at[0]:at[1]])
	}
	var all []element
	var open []int
	dec := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("not well-formed XML: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e := element{name: tok.Name.Local, attr: map[string]string{}}
			for _, a := range tok.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			open = append(open, len(all))
			all = append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				all[open[len(open)-1]].text += string(tok)
			}
		}
	}
}

// texts gives the strings drawn.
func texts(all []element) []string {
	var out []string
	for _, e := range all {
		if e.name == "text" {
			out = append(out, e.text)
		}
	}
	return out
}

// count gives the number of elements whose style holds every part.
func count(all []element, name string, parts ...string) int {
	n := 0
	for _, e := range all {
		ok := e.name == name
		for _, p := range parts {
			ok = ok && strings.Contains(e.attr["style"], p)
		}
		if ok {
			n++
		}
	}
	return n
}

func mustDraw(t *testing.T, svg []byte, err error) []element {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, svg)
}

func TestGolden(t *testing.T) {
	for name, drawIt := range drawings() {
		t.Run(name, func(t *testing.T) {
			got, err := drawIt()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".svg")
			if *regen {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				t.Errorf("differs from %s at byte %d:\n got ...%s\nwant ...%s\nlook at the new figure, then run go test -regen", path, at,
					got[at:min(at+120, len(got))], want[at:min(at+120, len(want))])
			}
		})
	}
}

// Every figure is one accessible SVG that draws the same bytes again, also beside others,
// keeps its text on the page and asks nothing of the network.
func TestEveryFigure(t *testing.T) {
	for name, drawIt := range drawings() {
		t.Run(name, func(t *testing.T) {
			first, err := drawIt()
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					again, err := drawIt()
					if err != nil || !bytes.Equal(first, again) {
						t.Errorf("a second drawing differs (error %v)", err)
					}
				})
			}
			group.Wait()
			all := parse(t, first)
			root := all[0]
			if root.name != "svg" || root.attr["role"] != "img" || root.attr["aria-labelledby"] != "title desc" || root.attr["width"] != "640" {
				t.Errorf("root is %+v", root)
			}
			if all[1].name != "title" || all[2].name != "desc" || all[1].text == "" || len(all[2].text) < 40 {
				t.Errorf("title %+v, description %+v", all[1], all[2])
			}
			for _, e := range all {
				if e.name == "script" || e.name == "image" || e.name == "foreignObject" {
					t.Errorf("holds <%s>", e.name)
				}
				if e.name == "text" && (e.attr["textLength"] == "" || strings.Contains(e.text, "NaN") || strings.Contains(e.text, "Inf")) {
					t.Errorf("text %+v", e)
				}
			}
			if s := strings.ReplaceAll(string(first), "http://www.w3.org/2000/svg", ""); strings.Contains(s, "http") || strings.Contains(s, "url(") || strings.Contains(s, "NaN") {
				t.Error("refers to something outside, or holds a NaN")
			}
		})
	}
}

func TestTextStaysOnThePage(t *testing.T) {
	for name, drawIt := range drawings() {
		svg, err := drawIt()
		for _, e := range mustDraw(t, svg, err) {
			if e.name != "text" {
				continue
			}
			var x, w float64
			fmt.Sscan(e.attr["x"], &x)
			fmt.Sscan(e.attr["textLength"], &w)
			// Turned text carries its place in the groups around it.
			if strings.Contains(name, "history") || e.text == "Sensitivity" || e.text == "Overall survival" || e.text == "Patients (%)" || e.text == "Re-run" || e.text == "re-run − original" || name == "trend" && e.text == "AUC" {
				continue
			}
			if x < 0 || x+w > float64(pageWidth) {
				t.Errorf("%s: %q runs from %g to %g on a page of %g", name, e.text, x, x+w, float64(pageWidth))
			}
		}
	}
}

func TestHostileNames(t *testing.T) {
	p := twoCurves()
	p.Curves[0].Name = "<script>alert(1)</script> & \"x\"\x1c\nsecond\xff line " + strings.Repeat("long", 40)
	p.Title, p.Description = "a </title><script>", "b\x00</desc>"
	svg, err := ROC(p)
	all := mustDraw(t, svg, err)
	for _, e := range all {
		if e.name == "script" {
			t.Error("a name became an element")
		}
	}
	if all[1].text != "a </title><script>" || all[2].text != "b </desc>" {
		t.Errorf("title %q, description %q", all[1].text, all[2].text)
	}
}

func TestEstimateText(t *testing.T) {
	for _, row := range []struct {
		e        Estimate
		decimals int
		want     string
	}{
		{Estimate{0.701656, 0.626878, 0.776433}, 2, "0.70 (95% CI 0.63 to 0.78)"},
		{Estimate{-138.3, -250, -20}, 0, "−138 (95% CI −250 to −20)"},
		{Estimate{Value: -0.001}, 2, "0.00"},
		{Estimate{1101, 800, math.Inf(1)}, 0, "1101 (95% CI 800 to not reached)"},
		{Estimate{Value: math.NaN()}, 1, "not reached"},
	} {
		if got := row.e.Text(row.decimals); got != row.want {
			t.Errorf("%+v reads %q, want %q", row.e, got, row.want)
		}
	}
	for p, want := range map[float64]string{0.000829: "p < 0.001", 0: "p < 0.001", 0.0303: "p = 0.030", 0.27: "p = 0.27", 0.999: "p > 0.99", 1: "p > 0.99"} {
		if got := PValue(p); got != want {
			t.Errorf("p of %g reads %q, want %q", p, got, want)
		}
	}
	if got := PValue(math.NaN()); got != "p not defined" {
		t.Errorf("NaN reads %q", got)
	}
}

func TestSteps(t *testing.T) {
	for _, row := range []struct {
		low, high float64
		n         int
		want      string
	}{
		{0, 1, 5, "[0 0.2 0.4 0.6 0.8 1] 1"},
		{0, 2500, 6, "[0 500 1000 1500 2000 2500] 0"},
		{0.41, 0.88, 5, "[0.5 0.6 0.7 0.8] 1"},
		{3, 3, 5, "[3] 2"},
	} {
		values, decimals := steps(row.low, row.high, row.n)
		for i := range values {
			values[i] = math.Round(values[i]*1e9) / 1e9
		}
		if got := fmt.Sprint(values, decimals); got != row.want {
			t.Errorf("steps(%g, %g, %d) = %s, want %s", row.low, row.high, row.n, got, row.want)
		}
	}
}

// wantInputError asks for an *InputError of a field, with a text that helps.
func wantInputError(t *testing.T, name string, err error, field, part string) {
	t.Helper()
	var e *InputError
	if !errors.As(err, &e) {
		t.Errorf("%s: error %v, want an *InputError", name, err)
		return
	}
	if e.Field != field || !strings.Contains(err.Error(), part) {
		t.Errorf("%s: field %q, text %q; want field %q and %q in the text", name, e.Field, err, field, part)
	}
}
