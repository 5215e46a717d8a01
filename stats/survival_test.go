package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type kmGolden struct {
	Time                    []float64
	Risk, Events, Censored  []int
	Survival, SE, Low, High []number
	Median                  []number // with its two limits
	Probe                   []float64
	ProbeRisk               []int `json:"probe_risk"`
}

type indexGolden struct {
	C, SE, Low, High       float64
	Concordant, Discordant float64
	TiedScore              float64 `json:"tied_score"`
	TiedTime               float64 `json:"tied_time"`
}

type survivalCase struct {
	Name    string
	Time    []float64
	Event   []bool
	Group   []int
	Score   []float64
	Tau     float64
	Level   float64
	KM      kmGolden
	LogRank struct {
		Chisq, P           float64
		DF                 int
		Observed, Expected []number
	}
	Harrell        indexGolden
	Uno            indexGolden
	UnoTau         indexGolden `json:"uno_tau"`
	RMST           []float64   // with its standard error
	RMSTDifference struct {
		Difference, SE, Low, High, P float64
	} `json:"rmst_difference"`
}

func checkCurve(t *testing.T, c SurvivalCurve, want kmGolden) {
	t.Helper()
	if !slices.Equal(c.Time, want.Time) || !slices.Equal(c.Risk, want.Risk) || !slices.Equal(c.Events, want.Events) || !slices.Equal(c.Censored, want.Censored) {
		t.Errorf("times and counts differ: %+v", c)
	}
	nearAll(t, "survival", c.Survival, want.Survival, exact)
	nearAll(t, "SE", c.SE, want.SE, exact)
	nearAll(t, "low", c.Low, want.Low, exact)
	nearAll(t, "high", c.High, want.High, exact)
	nearAll(t, "median and its limits", []float64{c.Median, c.MedianLow, c.MedianHigh}, want.Median, exact)
	if got := c.AtRisk(want.Probe); !slices.Equal(got, want.ProbeRisk) {
		t.Errorf("at risk at %v: got %v, want %v", want.Probe, got, want.ProbeRisk)
	}
}

func TestSurvivalAgainstR(t *testing.T) {
	for _, c := range golden.Cases[survivalCase](t, "survival") {
		t.Run(c.Name, func(t *testing.T) {
			curve, err := KaplanMeier(c.Time, c.Event, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			checkCurve(t, curve, c.KM)

			lr, err := LogRank(c.Time, c.Event, c.Group)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "log-rank", lr.ChiSquare, c.LogRank.Chisq, exact)
			nearP(t, "log-rank", lr.P, c.LogRank.P)
			nearAll(t, "observed", lr.Observed, c.LogRank.Observed, exact)
			nearAll(t, "expected", lr.Expected, c.LogRank.Expected, exact)
			if lr.DF != c.LogRank.DF {
				t.Errorf("log-rank has %d degrees of freedom, want %d", lr.DF, c.LogRank.DF)
			}

			checkIndex := func(got ConcordanceResult, err error, want indexGolden) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				near(t, got.Method+" C", got.C, want.C, exact)
				near(t, got.Method+" SE", got.SE, want.SE, exact)
				near(t, got.Method+" low", got.Low, want.Low, exact)
				near(t, got.Method+" high", got.High, want.High, exact)
				near(t, got.Method+" concordant", got.Concordant, want.Concordant, exact)
				near(t, got.Method+" discordant", got.Discordant, want.Discordant, exact)
				near(t, got.Method+" tied in score", got.TiedScore, want.TiedScore, exact)
			}
			harrell, err := HarrellC(c.Time, c.Event, c.Score, c.Level)
			checkIndex(harrell, err, c.Harrell)
			if float64(harrell.TiedTime) != c.Harrell.TiedTime {
				t.Errorf("tied in time: got %d, want %v", harrell.TiedTime, c.Harrell.TiedTime)
			}
			uno, err := UnoC(c.Time, c.Event, c.Score, math.Inf(1), c.Level)
			checkIndex(uno, err, c.Uno)
			uno, err = UnoC(c.Time, c.Event, c.Score, c.Tau, c.Level)
			checkIndex(uno, err, c.UnoTau)

			mean, err := RMST(c.Time, c.Event, c.Tau, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "RMST", mean.RMST, c.RMST[0], exact)
			near(t, "RMST SE", mean.SE, c.RMST[1], exact)
			exposed := make([]bool, len(c.Group))
			for i, g := range c.Group {
				exposed[i] = g == slices.Max(c.Group)
			}
			d, err := RMSTDifference(c.Time, c.Event, exposed, c.Tau, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "difference", d.Difference, c.RMSTDifference.Difference, exact)
			near(t, "difference SE", d.SE, c.RMSTDifference.SE, exact)
			near(t, "difference low", d.Low, c.RMSTDifference.Low, exact)
			near(t, "difference high", d.High, c.RMSTDifference.High, exact)
			nearP(t, "difference", d.P, c.RMSTDifference.P)
		})
	}
}

func TestKaplanMeierEdgesAgainstR(t *testing.T) {
	type kmCase struct {
		Name  string
		Time  []float64
		Event []bool
		Level float64
		KM    kmGolden
	}
	for _, c := range golden.Cases[kmCase](t, "kaplanmeier") {
		t.Run(c.Name, func(t *testing.T) {
			curve, err := KaplanMeier(c.Time, c.Event, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			checkCurve(t, curve, c.KM)
		})
	}
}

// survivalData draws censored times, rounded up to `step` days, with scores that are
// often tied.
func survivalData(seed uint64, n int, step float64) (time []float64, event []bool, group []int, score []float64) {
	random := rand.New(rand.NewPCG(seed, 3))
	for range n {
		s := math.Round(random.NormFloat64()*2) / 2
		death := random.ExpFloat64() * 300 * math.Exp(-0.5*s)
		leave := 100 + 900*random.Float64()
		time = append(time, math.Ceil(math.Min(death, leave)/step)*step)
		event = append(event, death <= leave)
		group = append(group, random.IntN(3)*10-10)
		score = append(score, s)
	}
	return time, event, group, score
}

func TestKaplanMeierProperties(t *testing.T) {
	for seed := range uint64(30) {
		time, event, _, _ := survivalData(seed, 5+int(seed)*4, []float64{1, 50}[seed%2])
		c, err := KaplanMeier(time, event, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		last, deaths := 1.0, 0
		for i, s := range c.Survival {
			if s < 0 || s > last {
				t.Errorf("seed %d: survival %v after %v", seed, s, last)
			}
			if !math.IsNaN(c.Low[i]) && !(0 <= c.Low[i] && c.Low[i] <= s && s <= c.High[i] && c.High[i] <= 1) {
				t.Errorf("seed %d: survival %v outside %v..%v", seed, s, c.Low[i], c.High[i])
			}
			// The slow way: go through everybody for every earlier death time.
			want := 1.0
			for _, u := range c.Time[:i+1] {
				d, n := 0.0, 0.0
				for k := range time {
					if time[k] >= u {
						n++
					}
					if time[k] == u && event[k] {
						d++
					}
				}
				want *= 1 - d/n
			}
			near(t, "survival", s, want, 1e-12)
			last = s
			deaths += c.Events[i]
			if at, low, high := c.At(c.Time[i] + 0.25); at != s || low == low && low != c.Low[i] || high == high && high != c.High[i] {
				t.Errorf("seed %d: At reads %v %v %v after time %v", seed, at, low, high, c.Time[i])
			}
		}
		if deaths != c.Deaths || c.N != len(time) {
			t.Errorf("seed %d: %d deaths of %d, counted %d", seed, c.Deaths, c.N, deaths)
		}
		if s, _, _ := c.At(c.Time[0] - 0.5); s != 1 {
			t.Errorf("seed %d: survival %v before the first time", seed, s)
		}
		// Without censoring the curve is the share still alive.
		for i := range event {
			event[i] = true
		}
		c, _ = KaplanMeier(time, event, 0.95)
		for i, s := range c.Survival {
			near(t, "uncensored survival", s, float64(c.Risk[i]-c.Events[i])/float64(len(time)), 1e-12)
		}
	}
}

// slowConcordance visits all pairs and takes its standard error from the influence
// of each patient as defined, the derivative in that patient's weight.
func slowConcordance(time []float64, event []bool, score []float64, weight func(i int) float64) (c, se float64) {
	n := len(time)
	con, all := make([]float64, n), make([]float64, n)
	sumCon, sumAll := 0.0, 0.0
	for i := range n {
		for j := range n {
			first := event[i] && (time[i] < time[j] || time[i] == time[j] && !event[j])
			if !first {
				continue
			}
			value := 0.0
			if score[i] > score[j] {
				value = 1
			} else if score[i] == score[j] {
				value = 0.5
			}
			w := weight(i)
			for _, k := range []int{i, j} {
				con[k] += w * value
				all[k] += w
			}
			sumCon += w * value
			sumAll += w
		}
	}
	c = sumCon / sumAll
	for k := range n {
		se += square((con[k] - c*all[k]) / sumAll)
	}
	return c, math.Sqrt(se)
}

func TestConcordanceEqualsSlow(t *testing.T) {
	for seed := range uint64(40) {
		time, event, _, score := survivalData(300+seed, 6+int(seed)*3, []float64{1, 40, 150}[seed%3])
		got, err := HarrellC(time, event, score, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		c, se := slowConcordance(time, event, score, func(int) float64 { return 1 })
		near(t, "Harrell C", got.C, c, 1e-13)
		near(t, "Harrell SE", got.SE, se, 1e-12)

		tau := 400.0
		uno, err := UnoC(time, event, score, tau, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		// G just before a death, from its definition.
		c, se = slowConcordance(time, event, score, func(i int) float64 {
			if time[i] > tau {
				return 0
			}
			g := 1.0
			for _, u := range uniqueTimes(time) {
				if u >= time[i] {
					break
				}
				left, risk := 0.0, 0.0
				for k := range time {
					if time[k] > u || time[k] == u && !event[k] {
						risk++
					}
					if time[k] == u && !event[k] {
						left++
					}
				}
				if risk > 0 {
					g *= 1 - left/risk
				}
			}
			return 1 / (g * g)
		})
		near(t, "Uno C", uno.C, c, 1e-12)
		near(t, "Uno SE", uno.SE, se, 1e-12)

		// Turned round, mapped, shuffled.
		turned, mapped := make([]float64, len(score)), make([]float64, len(score))
		for i, s := range score {
			turned[i], mapped[i] = -s, math.Exp(s)
		}
		if back, _ := HarrellC(time, event, turned, 0.95); math.Abs(back.C+got.C-1) > 1e-15 || math.Abs(back.SE-got.SE) > 1e-14 {
			t.Errorf("seed %d: C(-s) is %v, C(s) %v", seed, back.C, got.C)
		}
		if same, _ := HarrellC(time, event, mapped, 0.95); same != got {
			t.Errorf("seed %d: a monotone map changed %+v to %+v", seed, got, same)
		}
		order := rand.New(rand.NewPCG(seed, 4)).Perm(len(time))
		t2, e2, s2 := make([]float64, len(time)), make([]bool, len(time)), make([]float64, len(time))
		for i, o := range order {
			t2[i], e2[i], s2[i] = time[o], event[o], score[o]
		}
		shuffled, _ := UnoC(t2, e2, s2, tau, 0.95)
		near(t, "Uno C of shuffled rows", shuffled.C, uno.C, 1e-13)
		near(t, "Uno SE of shuffled rows", shuffled.SE, uno.SE, 1e-12)
	}
}

func uniqueTimes(time []float64) []float64 {
	s := slices.Clone(time)
	slices.Sort(s)
	return slices.Compact(s)
}

// Without censoring both indices are the same number.
func TestUnoIsHarrellWithoutCensoring(t *testing.T) {
	time, event, _, score := survivalData(9, 50, 20)
	for i := range event {
		event[i] = true
	}
	h, _ := HarrellC(time, event, score, 0.95)
	u, err := UnoC(time, event, score, math.Inf(1), 0.95)
	if err != nil || u.C != h.C || u.SE != h.SE {
		t.Errorf("Uno %+v, Harrell %+v, %v", u, h, err)
	}
}

// slowLogRank tests two groups from the 2 x 2 table of each death time.
func slowLogRank(time []float64, event, exposed []bool) float64 {
	excess, variance := 0.0, 0.0
	for _, u := range uniqueTimes(time) {
		var n, n1, d, d1 float64
		for i := range time {
			if time[i] < u {
				continue
			}
			n++
			if exposed[i] {
				n1++
			}
			if time[i] == u && event[i] {
				d++
				if exposed[i] {
					d1++
				}
			}
		}
		excess += d1 - d*n1/n
		if n > 1 {
			variance += d * n1 / n * (1 - n1/n) * (n - d) / (n - 1)
		}
	}
	return excess * excess / variance
}

func TestLogRankProperties(t *testing.T) {
	for seed := range uint64(30) {
		time, event, group, _ := survivalData(500+seed, 12+int(seed)*3, []float64{1, 60}[seed%2])
		r, err := LogRank(time, event, group)
		if err != nil {
			t.Fatal(err)
		}
		var observed, expected float64
		for g := range r.Groups {
			observed += r.Observed[g]
			expected += r.Expected[g]
		}
		near(t, "observed - expected", observed-expected, 0, 1e-10)
		// Another naming of the groups is another order of the same matrix.
		renamed := make([]int, len(group))
		exposed := make([]bool, len(group))
		two := make([]int, len(group))
		for i, g := range group {
			renamed[i] = map[int]int{-10: 7, 0: 3, 10: 5}[g]
			exposed[i] = g == 10
			if exposed[i] {
				two[i] = 1
			}
		}
		other, err := LogRank(time, event, renamed)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "relabelled", other.ChiSquare, r.ChiSquare, 1e-10)
		pair, err := LogRank(time, event, two)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "two groups", pair.ChiSquare, slowLogRank(time, event, exposed), 1e-10)
		// Only the order of the times matters.
		later := make([]float64, len(time))
		for i, v := range time {
			later[i] = v*v + 1
		}
		if got, _ := LogRank(later, event, group); got.ChiSquare != r.ChiSquare {
			t.Errorf("seed %d: a monotone map of time changed %v to %v", seed, r.ChiSquare, got.ChiSquare)
		}
	}
}

func TestRMSTProperties(t *testing.T) {
	for seed := range uint64(20) {
		time, event, group, _ := survivalData(700+seed, 30, []float64{1, 50}[seed%2])
		c, _ := KaplanMeier(time, event, 0.95)
		tau := 350.0
		r, err := RMST(time, event, tau, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		// The area by quarters of a day (all times are whole days).
		area := 0.0
		for i := range int(tau * 4) {
			s, _, _ := c.At(float64(i)/4 + 0.1)
			area += s / 4
		}
		near(t, "area", r.RMST, area, 1e-10)
		if r.RMST > tau || r.Low > r.RMST || r.High < r.RMST {
			t.Errorf("seed %d: %+v", seed, r)
		}
		exposed, other := make([]bool, len(group)), make([]bool, len(group))
		for i, g := range group {
			exposed[i], other[i] = g == 0, g != 0
		}
		a, err := RMSTDifference(time, event, exposed, 200, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := RMSTDifference(time, event, other, 200, 0.95)
		if a.Difference != -b.Difference || a.SE != b.SE || a.P != b.P {
			t.Errorf("seed %d: exchanging the groups does not mirror: %+v, %+v", seed, a, b)
		}
		// Without censoring it is the mean of the times cut at tau.
		mean := 0.0
		for i := range event {
			event[i] = true
			mean += math.Min(time[i], tau) / float64(len(time))
		}
		r, _ = RMST(time, event, tau, 0.95)
		near(t, "uncensored mean", r.RMST, mean, 1e-12)
	}
	// Nobody dies: every day is lived. Everybody dies before tau: still defined.
	r, err := RMST([]float64{900, 800}, []bool{false, false}, 730, 0.95)
	if err != nil || r.RMST != 730 || r.SE != 0 {
		t.Errorf("all censored: %+v, %v", r, err)
	}
	r, err = RMST([]float64{10, 20}, []bool{true, true}, 730, 0.95)
	if err != nil || r.RMST != 15 || r.SE == 0 {
		t.Errorf("all dead: %+v, %v", r, err)
	}
	d, err := RMSTDifference([]float64{900, 800}, []bool{false, false}, []bool{true, false}, 730, 0.95)
	if err != nil || d.Difference != 0 || d.Z != 0 || d.P != 1 {
		t.Errorf("nobody dies in either group: %+v, %v", d, err)
	}
}
