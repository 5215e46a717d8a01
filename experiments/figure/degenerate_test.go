package figure

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestROCRefusals(t *testing.T) {
	nan := math.NaN()
	good := func() ROCCurve {
		return ROCCurve{Name: "c", FPR: []float64{0, 0.5, 1}, TPR: []float64{0, 0.8, 1}, AUC: Estimate{0.65, 0.5, 0.8}, N: 10}
	}
	for name, row := range map[string]struct {
		change func(*ROCCurve)
		field  string
		part   string
	}{
		"one point":        {func(c *ROCCurve) { c.FPR, c.TPR = []float64{0}, []float64{0} }, "FPR", "needs both classes"},
		"no point":         {func(c *ROCCurve) { c.FPR, c.TPR = nil, nil }, "FPR", "0 entries"},
		"lengths differ":   {func(c *ROCCurve) { c.TPR = c.TPR[:2] }, "TPR", "has 2 entries where FPR has 3"},
		"NaN":              {func(c *ROCCurve) { c.TPR[1] = nan }, "TPR", "TPR[1] is NaN"},
		"above one":        {func(c *ROCCurve) { c.FPR[1] = 1.5 }, "FPR", "outside 0 to 1"},
		"falling":          {func(c *ROCCurve) { c.FPR = []float64{0, 0.5, 0.2, 1}; c.TPR = []float64{0, 0.5, 0.6, 1} }, "FPR", "sort the points"},
		"ends early":       {func(c *ROCCurve) { c.FPR[2] = 0.9 }, "FPR", "runs from 0 to 0.9"},
		"half a band":      {func(c *ROCCurve) { c.Low = []float64{0, 0, 0} }, "Low, High", "both or not at all"},
		"NaN in the band":  {func(c *ROCCurve) { c.Low = []float64{0, nan, 0}; c.High = []float64{1, 1, 1} }, "Low", "is NaN"},
		"band upside down": {func(c *ROCCurve) { c.High = []float64{0, 0, 0}; c.Low = []float64{1, 1, 1} }, "Low", "check their order"},
		"band axis falls": {func(c *ROCCurve) {
			c.BandFPR, c.Low, c.High = []float64{0, 1, 0.5}, []float64{0, 0, 0}, []float64{1, 1, 1}
		}, "BandFPR", "sort the points"},
		"band off its axis": {func(c *ROCCurve) { c.BandFPR, c.Low, c.High = []float64{0, 1}, []float64{0, 0, 0}, []float64{1, 1, 1} }, "Low", "has 3 entries where its axis has 2"},
		"NaN AUC":           {func(c *ROCCurve) { c.AUC.Value = nan }, "AUC", "cannot be drawn"},
		"interval apart":    {func(c *ROCCurve) { c.AUC.Low = 0.7 }, "AUC", "outside its interval"},
		"reversed AUC":      {func(c *ROCCurve) { c.AUC = Estimate{Value: 0.35} }, "AUC", "area under the curve is 0.6500"},
	} {
		c := good()
		row.change(&c)
		_, err := ROC(ROCPlot{Curves: []ROCCurve{c}})
		wantInputError(t, name, err, row.field, row.part)
	}
	_, err := ROC(ROCPlot{})
	wantInputError(t, "no curve", err, "Curves", "at least one")
}

func TestROCWithoutBandOrInterval(t *testing.T) {
	svg, err := ROC(ROCPlot{Curves: []ROCCurve{{Name: "perfect", FPR: []float64{0, 0, 1}, TPR: []float64{0, 1, 1}, AUC: Estimate{Value: 1}, N: 2}}})
	all := mustDraw(t, svg, err)
	if got := texts(all); !slices.Contains(got, "AUC 1.00") || !slices.Contains(got, "n = 2") || strings.Contains(strings.Join(got, " "), "CI") {
		t.Errorf("texts %q", got)
	}
	if n := count(all, "path", "fill-opacity"); n != 0 {
		t.Errorf("%d bands drawn without one given", n)
	}
}

// A band may have an axis of its own, as one from resampling has.
func TestROCBandOnItsOwnAxis(t *testing.T) {
	c := ROCCurve{Name: "c", FPR: []float64{0, 0.25, 1}, TPR: []float64{0, 0.75, 1}, AUC: Estimate{Value: 0.75}, N: 9,
		BandFPR: []float64{0, 0.5, 1}, Low: []float64{0, 0.6, 1}, High: []float64{0.2, 0.9, 1}}
	own, err := ROC(ROCPlot{Curves: []ROCCurve{c}})
	if n := count(mustDraw(t, own, err), "path", "fill-opacity"); n != 2 {
		t.Errorf("%d bands, want one in the plot and one in the key", n)
	}
	c.BandFPR = nil
	shared, err := ROC(ROCPlot{Curves: []ROCCurve{c}})
	mustDraw(t, shared, err)
	if string(own) == string(shared) {
		t.Error("the band's own axis changes nothing")
	}
}

// The curve's corners land where the numbers say, on a square data area.
func TestROCPlacesPoints(t *testing.T) {
	svg, err := ROC(ROCPlot{Curves: []ROCCurve{{Name: "c", FPR: []float64{0, 0.25, 1}, TPR: []float64{0, 0.75, 1}, AUC: Estimate{Value: 0.75}, N: 9}}})
	for _, e := range mustDraw(t, svg, err) {
		if e.name != "path" || !strings.Contains(e.attr["style"], "stroke:#0072B2") || strings.Count(e.attr["d"], "L") != 2 {
			continue
		}
		var x, y [3]float64
		if _, err := fmt.Sscanf(e.attr["d"], "M%f,%fL%f,%fL%f,%f", &x[0], &y[0], &x[1], &y[1], &x[2], &y[2]); err != nil {
			t.Fatal(err)
		}
		w, h := x[2]-x[0], y[2]-y[0]
		if math.Abs(w-h) > 0.02 || math.Abs(x[1]-x[0]-0.25*w) > 0.02 || math.Abs(y[1]-y[0]-0.75*h) > 0.02 {
			t.Errorf("corners %v %v", x, y)
		}
		return
	}
	t.Error("no curve found")
}

func TestKaplanMeierRefusals(t *testing.T) {
	nan := math.NaN()
	good := func() SurvivalGroup {
		return SurvivalGroup{Name: "g", Days: []float64{10, 20}, Survival: []float64{0.5, 0}, FollowUp: []float64{10, 20}, Died: []bool{true, true}}
	}
	for name, row := range map[string]struct {
		change func(*SurvivalGroup)
		field  string
		part   string
	}{
		"NaN day":           {func(g *SurvivalGroup) { g.Days[1] = nan }, "Days", "is NaN"},
		"negative day":      {func(g *SurvivalGroup) { g.FollowUp[0] = -1 }, "FollowUp", "outside 0"},
		"unsorted":          {func(g *SurvivalGroup) { g.Days = []float64{20, 10} }, "Days", "sort the points"},
		"NaN survival":      {func(g *SurvivalGroup) { g.Survival[0] = nan }, "Survival", "is NaN"},
		"in per cent":       {func(g *SurvivalGroup) { g.Survival[0] = 50 }, "Survival", "outside 0 to 1"},
		"rising":            {func(g *SurvivalGroup) { g.Survival = []float64{0.2, 0.4} }, "Survival", "can only fall"},
		"short survival":    {func(g *SurvivalGroup) { g.Survival = g.Survival[:1] }, "Survival", "has 1 entries where Days has 2"},
		"short events":      {func(g *SurvivalGroup) { g.Died = g.Died[:1] }, "Died", "where FollowUp has 2"},
		"no follow-up":      {func(g *SurvivalGroup) { g.FollowUp, g.Died = nil, nil }, "FollowUp", "number at risk"},
		"half a band":       {func(g *SurvivalGroup) { g.High = []float64{1, 1} }, "Low, High", "both or not at all"},
		"band off curve":    {func(g *SurvivalGroup) { g.Low, g.High = []float64{0.6, 0}, []float64{1, 1} }, "Low, High", "the curve is at 0.5"},
		"band above one":    {func(g *SurvivalGroup) { g.Low, g.High = []float64{0, 0}, []float64{2, 1} }, "High", "outside 0 to 1"},
		"band wrong length": {func(g *SurvivalGroup) { g.Low, g.High = []float64{0}, []float64{1} }, "Low", "has 1 entries"},
	} {
		g := good()
		row.change(&g)
		_, err := KaplanMeier(SurvivalPlot{Groups: []SurvivalGroup{g}})
		wantInputError(t, name, err, row.field, row.part)
	}
	_, err := KaplanMeier(SurvivalPlot{})
	wantInputError(t, "no group", err, "Groups", "at least one")
	_, err = KaplanMeier(SurvivalPlot{Groups: []SurvivalGroup{{Name: "nobody"}}})
	wantInputError(t, "no patient", err, "Groups", "no patient")
	_, err = KaplanMeier(SurvivalPlot{Groups: []SurvivalGroup{good()}, Horizon: nan})
	wantInputError(t, "NaN horizon", err, "Horizon, Mark", "is NaN")
	_, err = KaplanMeier(SurvivalPlot{Groups: []SurvivalGroup{good()}, HazardRatio: &Estimate{nan, 0, 0}})
	wantInputError(t, "NaN hazard ratio", err, "HazardRatio", "cannot be drawn")
}

// One patient, an empty group beside it, everybody dead on day 0: each is drawn.
func TestKaplanMeierSmallGroups(t *testing.T) {
	svg, err := KaplanMeier(SurvivalPlot{Groups: []SurvivalGroup{
		{Name: "one", Days: []float64{400}, Survival: []float64{1}, Low: []float64{math.NaN()}, High: []float64{math.NaN()}, FollowUp: []float64{400}, Died: []bool{false}},
		{Name: "none"},
	}})
	all := mustDraw(t, svg, err)
	got := texts(all)
	for _, want := range []string{"one: n = 1, 0 died", "none: n = 0, 0 died", "At risk"} {
		if !slices.Contains(got, want) {
			t.Errorf("texts lack %q: %q", want, got)
		}
	}
	if count(all, "path", "fill-opacity") != 0 {
		t.Error("a band was drawn where none is defined")
	}
	// Key sample, curve and censoring tick for the one; the key sample only for none.
	if a, b := count(all, "path", "stroke:#0072B2"), count(all, "path", "stroke:#D55E00"); a != 3 || b != 1 {
		t.Errorf("%d strokes for the group of one, %d for the empty group", a, b)
	}
	svg, err = KaplanMeier(SurvivalPlot{Groups: []SurvivalGroup{{Name: "day 0", Days: []float64{0}, Survival: []float64{0}, FollowUp: []float64{0, 0}, Died: []bool{true, true}}}})
	mustDraw(t, svg, err)
}

// The numbers at risk are those of follow-up reaching the tick, as in R's survfit, and
// stand below the ticks.
func TestKaplanMeierAtRisk(t *testing.T) {
	days := []float64{100, 200, 200, 300, 500, 600}
	g := survivalOf("all", days, []bool{true, true, false, true, false, true})
	svg, err := KaplanMeier(SurvivalPlot{Groups: []SurvivalGroup{g}})
	all := mustDraw(t, svg, err)
	x := map[string][]float64{}
	for _, e := range all {
		if e.name == "text" {
			var at, w float64
			fmt.Sscan(e.attr["x"], &at)
			fmt.Sscan(e.attr["textLength"], &w)
			x[e.text] = append(x[e.text], at+w/2)
		}
	}
	for tick, n := range map[string]string{"0": "6", "100": "6", "200": "5", "300": "3", "400": "2", "500": "2", "600": "1"} {
		at := x[tick][0]
		if !slices.ContainsFunc(x[n], func(v float64) bool { return math.Abs(v-at) < 0.1 }) {
			t.Errorf("no %s below the tick at %s days: ticks %v, counts %v", n, tick, at, x[n])
		}
	}
}

func TestCensoringTicks(t *testing.T) {
	g := survivalOf("g", []float64{1, 2, 3, 4}, []bool{true, false, true, false})
	if got := g.at(0.5); got != 1 {
		t.Errorf("survival before the first step is %g", got)
	}
	if got := g.at(2); math.Abs(got-0.75) > 1e-12 {
		t.Errorf("survival on day 2 is %g, want 0.75", got)
	}
	if got := g.at(9); math.Abs(got-0.375) > 1e-12 {
		t.Errorf("survival on day 9 is %g, want 0.375", got)
	}
}

func TestScoreRefusals(t *testing.T) {
	_, err := ScoreDistribution(ScorePlot{})
	wantInputError(t, "no group", err, "Groups", "at least one")
	_, err = ScoreDistribution(ScorePlot{Groups: []ScoreGroup{{Name: "a"}, {Name: "b"}}})
	wantInputError(t, "no score", err, "Groups", "no score")
	_, err = ScoreDistribution(ScorePlot{Groups: []ScoreGroup{{"a", []float64{0.1, math.NaN()}}}})
	wantInputError(t, "NaN", err, "Scores", `"a": Scores[1] is NaN`)
	_, err = ScoreDistribution(ScorePlot{Groups: []ScoreGroup{{"a", []float64{0.1}}}, Cut: new(math.Inf(1))})
	wantInputError(t, "infinite cut", err, "Cut", "is +Inf")
}

func TestScoreSmallGroups(t *testing.T) {
	for name, p := range map[string]ScorePlot{
		"one score":       {Groups: []ScoreGroup{{"a", []float64{0.4}}}},
		"all equal":       {Groups: []ScoreGroup{{"a", []float64{0.4, 0.4, 0.4}}}, Cut: new(0.4)},
		"all zero":        {Groups: []ScoreGroup{{"a", []float64{0, 0}}}},
		"empty group":     {Groups: []ScoreGroup{{"a", []float64{0.1, 0.9}}, {"b", nil}}, Cut: new(0.5)},
		"near each other": {Groups: []ScoreGroup{{"a", []float64{0.9721244, 0.9721245}}}, Cut: new(0.97212445)},
		"cut far away":    {Groups: []ScoreGroup{{"a", []float64{0.1, 0.2}}}, Cut: new(1000.0)},
	} {
		svg, err := ScoreDistribution(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		all := parse(t, svg)
		for _, g := range p.Groups {
			want := fmt.Sprintf("%s: n = %d", g.Name, len(g.Scores))
			if !strings.Contains(strings.Join(texts(all), "\n"), want) {
				t.Errorf("%s: texts lack %q", name, want)
			}
		}
	}
	// A score on the cut is not above it.
	svg, err := ScoreDistribution(ScorePlot{Groups: []ScoreGroup{{"a", []float64{0.4, 0.5, 0.6}}}, Cut: new(0.5)})
	if got := texts(mustDraw(t, svg, err)); !slices.Contains(got, "a: n = 3, 1 above the cut (33%)") {
		t.Errorf("texts %q", got)
	}
}

// The cut stands at the same place in every panel, and between the right bars.
func TestScorePanelsAlign(t *testing.T) {
	p := twoClasses()
	p.Groups = append(p.Groups, ScoreGroup{"nobody", nil}, ScoreGroup{"a single one", []float64{1}})
	svg, err := ScoreDistribution(p)
	var cuts []string
	for _, e := range mustDraw(t, svg, err) {
		if e.name == "path" && strings.Contains(e.attr["style"], "stroke-dasharray:4,2") {
			from, to, _ := strings.Cut(strings.TrimPrefix(e.attr["d"], "M"), "L")
			x0, _, _ := strings.Cut(from, ",")
			x1, _, _ := strings.Cut(to, ",")
			if x0 == x1 {
				cuts = append(cuts, x0)
			}
		}
	}
	if len(cuts) != 4 || len(slices.Compact(cuts)) != 1 {
		t.Errorf("cut lines at x = %v, want the same four times", cuts)
	}
}

func TestHistogramCountsEveryValueOnce(t *testing.T) {
	scores, _, _, _ := patientSet(9, 500, 0.3)
	edges := binEdges(slices.Min(scores), slices.Max(scores), len(scores))
	shares := histogram(scores, edges)
	sum := 0.0
	for i, share := range shares {
		n := 0
		for _, v := range scores {
			if v >= edges[i] && (v < edges[i+1] || i == len(shares)-1 && v == edges[i+1]) {
				n++
			}
		}
		if math.Abs(share*500-float64(n)) > 1e-6 {
			t.Errorf("bin %d holds %g, counted %d", i, share*500, n)
		}
		sum += share
	}
	if math.Abs(sum-1) > 1e-9 || edges[0] > slices.Min(scores) || edges[len(edges)-1] < slices.Max(scores) {
		t.Errorf("shares add up to %g over %g to %g", sum, edges[0], edges[len(edges)-1])
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median is %g", m)
	}
}

// A far outlier does not flatten the others, and is not lost from the counts either.
func TestScoreOutlier(t *testing.T) {
	var scores []float64
	for i := range 100 {
		scores = append(scores, 0.9+0.001*float64(i))
	}
	if low, high := window(scores); low != 0.9 || high != 0.999 {
		t.Errorf("window without outliers is %g to %g", low, high)
	}
	with := append(slices.Clone(scores), 1.3e-12, 40)
	if low, high := window(with); low != 0.9 || high != 0.999 {
		t.Errorf("window with two outliers is %g to %g", low, high)
	}
	svg, err := ScoreDistribution(ScorePlot{Groups: []ScoreGroup{{"a", with}}, Cut: new(0.9495)})
	all := mustDraw(t, svg, err)
	if got := texts(all); !slices.Contains(got, "a: n = 102, 51 above the cut (50%), 1 far below the axis, 1 far above the axis") {
		t.Errorf("texts %q", got)
	}
	if n := count(all, "path", "fill:#222222"); n != 3 { // two triangles and the median's dot
		t.Errorf("%d dark marks, want 3", n)
	}
	sum := 0.0
	for _, share := range histogram(with, []float64{0.9, 0.95, 1}) {
		sum += share
	}
	if math.Abs(sum-100.0/102) > 1e-9 {
		t.Errorf("shares add up to %g, want 100 of 102", sum)
	}
}

func TestHistoryRefusals(t *testing.T) {
	_, err := History(TrainingPlot{})
	wantInputError(t, "no run", err, "Runs", "at least one")
	_, err = History(TrainingPlot{Runs: []Training{{Name: "seed 1"}}})
	wantInputError(t, "no epoch", err, "Runs", "no epoch")
	for _, c := range []struct {
		name, field, says string
		spoil             func(*Training)
	}{
		{"NaN loss", "Loss", `"seed 1": Loss[0] is NaN`, func(r *Training) { r.Loss[0] = math.NaN() }},
		{"NaN tune loss", "TuneLoss", `TuneLoss[0] is NaN`, func(r *Training) { r.TuneLoss[0] = math.NaN() }},
		{"lengths", "Tune", "has 1 entries where Loss has 2", func(r *Training) { r.Loss, r.TuneLoss = []float64{1, 2}, []float64{1, 2} }},
		{"AUC above one", "Tune", "outside 0 to 1", func(r *Training) { r.Tune[0] = 1.5 }},
		{"rate below zero", "Rate", "outside 0 to", func(r *Training) { r.Rate[0] = -1 }},
		{"best", "Best", "epochs count from 1", func(r *Training) { r.Best = 2 }},
	} {
		r := oneEpoch()
		c.spoil(&r)
		_, err := History(TrainingPlot{Runs: []Training{r}})
		wantInputError(t, c.name, err, c.field, c.says)
	}
}

func oneEpoch() Training {
	return Training{Name: "seed 1", Loss: []float64{0.7}, TuneLoss: []float64{0.8}, Tune: []float64{0.5}, Rate: []float64{0.001}}
}

func TestHistoryOneEpoch(t *testing.T) {
	rate := oneEpoch()
	rate.Rate = []float64{0.0003}
	constant, err := History(TrainingPlot{Runs: []Training{rate}})
	if mustDraw(t, constant, err); !strings.Contains(string(constant), ">0.0003<") {
		t.Error("the axis does not name a rate that never changes")
	}
	svg, err := History(TrainingPlot{Measure: "C", Runs: []Training{oneEpoch(), {Name: "seed 2"}}})
	all := mustDraw(t, svg, err)
	if n := count(all, "path", "fill:#0072B2"); n != 4 {
		t.Errorf("%d dots for a run of one epoch, want one per panel", n)
	}
	if got := texts(all); !slices.Contains(got, "seed 2: no epoch yet") || !slices.Contains(got, "Tune C") {
		t.Errorf("texts %q", got)
	}
}

func TestManySeriesStayApart(t *testing.T) {
	seen := map[string]bool{}
	for i := range len(palette) * len(dashes) {
		seen[fmt.Sprint(seriesLine(i))] = true
	}
	if len(seen) != len(palette)*len(dashes) {
		t.Errorf("%d line styles differ, want %d", len(seen), len(palette)*len(dashes))
	}
	svg, err := History(seeds(20))
	mustDraw(t, svg, err)
}

func TestForestRefusals(t *testing.T) {
	_, err := Forest(ForestPlot{})
	wantInputError(t, "no row", err, "Rows", "at least one")
	_, err = Forest(ForestPlot{Rows: []ForestRow{{Name: "a", Estimate: Estimate{Value: math.NaN()}}}})
	wantInputError(t, "NaN", err, "Estimate", "cannot be drawn")
	_, err = Forest(ForestPlot{Rows: []ForestRow{{Name: "a", Estimate: Estimate{0.5, 0.6, 0.7}}}})
	wantInputError(t, "order", err, "Estimate", "outside its interval")
	_, err = Forest(ForestPlot{Log: true, Rows: []ForestRow{{Name: "a", Estimate: Estimate{0.5, -0.6, 0.7}}}})
	wantInputError(t, "log of a negative", err, "Estimate", "logarithmic")
	_, err = Forest(ForestPlot{Rows: []ForestRow{{Name: "a", Estimate: Estimate{Value: 1}}}, Lines: []ForestLine{{"x", math.NaN()}}})
	wantInputError(t, "NaN line", err, "Lines", "is NaN")
	_, err = Forest(ForestPlot{Log: true, Rows: []ForestRow{{Name: "a", Estimate: Estimate{Value: 1}}}, Lines: []ForestLine{{"x", 0}}})
	wantInputError(t, "line at zero", err, "Lines", "logarithmic")
}

func TestForestOneRow(t *testing.T) {
	for _, log := range []bool{false, true} {
		svg, err := Forest(ForestPlot{Log: log, Decimals: 3, Rows: []ForestRow{{Name: "only", Estimate: Estimate{Value: 0.701656}}}})
		if got := texts(mustDraw(t, svg, err)); !slices.Contains(got, "0.702") || slices.Contains(got, "n") {
			t.Errorf("texts %q", got)
		}
	}
}

func TestFlowRefusals(t *testing.T) {
	_, err := Flow(FlowPlot{})
	wantInputError(t, "no step", err, "Steps", "at least")
	p := studyFlow()
	p.Steps[1].N = 418
	_, err = Flow(p)
	wantInputError(t, "a patient too many", err, "Steps", "holds 418 patients, but 417 reached it")
	p = studyFlow()
	p.Ends[0].N--
	_, err = Flow(p)
	wantInputError(t, "a patient without an end", err, "Ends", "hold 395 patients together, but 396 are left")
	p = studyFlow()
	p.Steps[3].Lost = []FlowLoss{{"all and more", 400}}
	_, err = Flow(p)
	wantInputError(t, "more lost than there are", err, "Lost", "count each patient once")
	_, err = Flow(FlowPlot{Steps: []FlowStep{{Name: "a", N: -1}}})
	wantInputError(t, "negative", err, "N", "never negative")
	_, err = Flow(FlowPlot{Steps: []FlowStep{{Name: "a", N: 1, Lost: []FlowLoss{{"r", -1}}}}})
	wantInputError(t, "negative loss", err, "Lost", "never negative")
	_, err = Flow(FlowPlot{Steps: []FlowStep{{Name: "a", N: 0}}, Ends: []FlowEnd{{Name: "e", N: -1}, {Name: "f", N: 1}}})
	wantInputError(t, "negative end", err, "N", "never negative")
}

func TestFlowShapes(t *testing.T) {
	for name, p := range map[string]FlowPlot{
		"one step":           {Steps: []FlowStep{{Name: "Patients read", N: 3}}},
		"everybody lost":     {Steps: []FlowStep{{Name: "Patients read", N: 3, Lost: []FlowLoss{{"unreadable", 3}}}}},
		"lost after last":    {Steps: []FlowStep{{Name: "Patients read", N: 3, Lost: []FlowLoss{{"unreadable", 1}}}}, Ends: []FlowEnd{{Name: "test", N: 2}}},
		"no loss between":    {Steps: []FlowStep{{Name: "Patients read", N: 3}, {Name: "Cubes", N: 3}}, Ends: []FlowEnd{{Name: "train", N: 2}, {Name: "test", N: 1}}},
		"more ends than fit": {Steps: []FlowStep{{Name: "Patients read", N: 6}}, Ends: []FlowEnd{{Name: "a", N: 1}, {Name: "b", N: 1}, {Name: "c", N: 1}, {Name: "d", N: 1}, {Name: "e", N: 2, Detail: "a detail"}}},
	} {
		svg, err := Flow(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		joined := strings.Join(texts(parse(t, svg)), "\n")
		for _, e := range p.Ends {
			if !strings.Contains(joined, e.Name) {
				t.Errorf("%s: end %q is not drawn", name, e.Name)
			}
		}
	}
}

func TestTrendRefusals(t *testing.T) {
	for want, change := range map[string]func(*TrendPlot){
		"Series is empty":      func(p *TrendPlot) { p.Series = nil },
		"Points is empty":      func(p *TrendPlot) { p.Series[1].Points = nil },
		"Points[1] is NaN":     func(p *TrendPlot) { p.Series[0].Points[1].Value = math.NaN() },
		"At[2] is 1 after 3":   func(p *TrendPlot) { p.Series[0].Points[2].At = 1 },
		"Lines[0] is +Inf":     func(p *TrendPlot) { p.Lines[0].At = math.Inf(1) },
		"lies outside its int": func(p *TrendPlot) { p.Series[0].Points[0].Low = 0.9 },
	} {
		p := widths()
		change(&p)
		_, err := Trend(p)
		var refused *InputError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Points stand where their numbers are: higher estimates higher, later ones further right.
func TestTrendPlacesPoints(t *testing.T) {
	svg, err := Trend(TrendPlot{X: "mm", Y: "AUC", Series: []TrendSeries{{"one", []TrendPoint{{0, Estimate{Value: 0.6}}, {5, Estimate{Value: 0.8}}, {10, Estimate{Value: 0.7}}}}}})
	all := mustDraw(t, svg, err)
	drawn := strings.Join(texts(all), "|")
	for _, want := range []string{"0", "5", "10", "0.60", "0.80", "one", "mm", "AUC"} {
		if !strings.Contains("|"+drawn+"|", "|"+want+"|") {
			t.Errorf("%q is not drawn: %s", want, drawn)
		}
	}
	if got := count(all, "path", "fill:#0072B2"); got != 3 {
		t.Errorf("%d points drawn, want 3", got)
	}
}
