package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

func TestCompetingRisksAgainstR(t *testing.T) {
	type competingCase struct {
		Name                         string
		Time                         []float64
		Cause, Group, Strata, Causes []int
		Level                        float64
		Curves                       []struct {
			Est, SE, Low, High []number
			LogLow             []number `json:"log_low"`
			LogHigh            []number `json:"log_high"`
			PlainLow           []number `json:"plain_low"`
			PlainHigh          []number `json:"plain_high"`
		}
		Tests []struct {
			Cause, DF     int
			Rho, Chisq, P float64
			Stratified    bool
		}
	}
	for _, c := range golden.Cases[competingCase](t, "competing") {
		t.Run(c.Name, func(t *testing.T) {
			curves, err := CumulativeIncidence(c.Time, c.Cause, c.Level)
			if err != nil || len(curves) != len(c.Causes) {
				t.Fatal(len(curves), err)
			}
			byLog, _ := CumulativeIncidence(c.Time, c.Cause, c.Level, LogInterval)
			plain, err := CumulativeIncidence(c.Time, c.Cause, c.Level, PlainInterval)
			if err != nil {
				t.Fatal(err)
			}
			for k, want := range c.Curves {
				if curves[k].Cause != c.Causes[k] {
					t.Errorf("cause %d, want %d", curves[k].Cause, c.Causes[k])
				}
				nearAll(t, "incidence", curves[k].Incidence, want.Est, exact)
				nearAll(t, "SE", curves[k].SE, want.SE, exact)
				nearAll(t, "low", curves[k].Low, want.Low, exact)
				nearAll(t, "high", curves[k].High, want.High, exact)
				nearAll(t, "log low", byLog[k].Low, want.LogLow, exact)
				nearAll(t, "log high", byLog[k].High, want.LogHigh, exact)
				nearAll(t, "plain low", plain[k].Low, want.PlainLow, exact)
				nearAll(t, "plain high", plain[k].High, want.PlainHigh, exact)
			}
			for _, want := range c.Tests {
				var strata []int
				if want.Stratified {
					strata = c.Strata
				}
				got, err := GrayTest(c.Time, c.Cause, c.Group, want.Cause, want.Rho, strata)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "Gray's test", got.ChiSquare, want.Chisq, exact)
				nearP(t, "Gray's test", got.P, want.P)
				if got.DF != want.DF {
					t.Errorf("%d degrees of freedom, want %d", got.DF, want.DF)
				}
			}
		})
	}
}

func competingData(seed uint64, n int, step float64) (time []float64, cause, group []int) {
	time, event, group, _ := survivalData(seed, n, step)
	random := rand.New(rand.NewPCG(seed, 9))
	cause = make([]int, n)
	for i := range cause {
		if event[i] {
			cause[i] = 1 + random.IntN(2)*2 // 1 or 3
		}
	}
	return time, cause, group
}

func TestCumulativeIncidenceProperties(t *testing.T) {
	for seed := range uint64(20) {
		time, cause, _ := competingData(1300+seed, 10+int(seed)*5, []float64{1, 60}[seed%2])
		curves, err := CumulativeIncidence(time, cause, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		any, only := make([]bool, len(time)), make([]int, len(time))
		for i, c := range cause {
			any[i] = c > 0
			only[i] = min(c, 1)
		}
		km, _ := KaplanMeier(time, any, 0.95)
		for i := range km.Time {
			sum := 0.0
			for _, c := range curves {
				sum += c.Incidence[i]
				if i > 0 && c.Incidence[i] < c.Incidence[i-1] || c.Incidence[i] > 1 {
					t.Errorf("seed %d: incidence %v", seed, c.Incidence)
				}
				if low, f, high := c.Low[i], c.Incidence[i], c.High[i]; !math.IsNaN(low) && !(0 <= low && low <= f && f <= high && high <= 1) {
					t.Errorf("seed %d: incidence %v outside %v..%v", seed, f, low, high)
				}
			}
			near(t, "sum of the causes", sum, 1-km.Survival[i], 1e-12)
		}
		// The slow way: each patient's event, weighted by the survival just before it.
		at := km.Time[len(km.Time)/2]
		for _, c := range curves {
			want := 0.0
			for i, u := range time {
				if cause[i] == c.Cause && u <= at {
					s, _, _ := km.At(u - 0.5) // whole days
					n := 0.0
					for _, v := range time {
						if v >= u {
							n++
						}
					}
					want += s / n
				}
			}
			got, _, _ := c.At(at)
			near(t, "incidence", got, want, 1e-12)
			if got, low, _ := c.At(c.Time[0] - 1); got != 0 || !math.IsNaN(low) {
				t.Errorf("before the start: %v", got)
			}
		}
		// A single cause without ties: 1 - S, and each death adds S^2/(n-1)^2 to the variance
		// (Greenwood's is S^2/(n(n-1))).
		for i := range time {
			time[i] += float64(i) * 1e-4
		}
		single, err := CumulativeIncidence(time, only, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		km, _ = KaplanMeier(time, any, 0.95)
		sum := 0.0
		for i, s := range km.Survival {
			near(t, "single cause", single[0].Incidence[i], 1-s, 1e-12)
			if s > 0 {
				if km.Events[i] == 0 {
					continue
				}
				sum += float64(km.Events[i]) / square(float64(km.Risk[i]-1))
				near(t, "standard error", single[0].SE[i], s*math.Sqrt(sum), 1e-9)
			}
		}
	}
	if curves, err := CumulativeIncidence([]float64{4, 5}, []int{0, 0}, 0.95); err != nil || len(curves) != 0 {
		t.Errorf("everybody censored: %v, %v", curves, err)
	}
	if curves, err := CumulativeIncidence([]float64{4}, []int{2}, 0.95); err != nil || curves[0].Cause != 2 || curves[0].Incidence[0] != 1 {
		t.Errorf("a single patient: %v, %v", curves, err)
	}
}

func TestGrayProperties(t *testing.T) {
	for seed := range uint64(12) {
		time, cause, group := competingData(1400+seed, 40+int(seed)*5, []float64{1, 60}[seed%2])
		r, err := GrayTest(time, cause, group, 1, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		renamed := make([]int, len(group))
		for _, s := range r.Score {
			sum += s
		}
		near(t, "sum of the scores", sum, 0, 1e-10)
		for i, g := range group {
			renamed[i] = map[int]int{-10: 7, 0: 3, 10: 5}[g]
		}
		later := make([]float64, len(time))
		for i, u := range time {
			later[i] = u*u + 3
		}
		order := rand.New(rand.NewPCG(seed, 2)).Perm(len(time))
		other, err := GrayTest(pick(later, order), pick(cause, order), pick(renamed, order), 1, 0, make([]int, len(time)))
		if err != nil {
			t.Fatal(err)
		}
		near(t, "relabelled, mapped, shuffled", other.ChiSquare, r.ChiSquare, 1e-9)
		// Without other causes and without censoring, risk sets are the plain ones and the
		// score is that of the log-rank test.
		event, two := make([]bool, len(time)), make([]int, len(time))
		for i := range time {
			event[i], cause[i] = true, 1
			if group[i] == 0 {
				two[i] = 1
			}
		}
		g, err := GrayTest(time, cause, two, 1, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		lr, err := LogRank(time, event, two)
		if err != nil {
			t.Fatal(err)
		}
		// F in the weight of those without an event is 1-S: R = Y.
		near(t, "score", g.Score[1], lr.Observed[1]-lr.Expected[1], 1e-9)
	}
}

// The score of the first of two groups from Gray's definition, by curves of the other
// functions.
func TestGrayScoreEqualsSlow(t *testing.T) {
	for seed := range uint64(8) {
		time, cause, group := competingData(1500+seed, 50, []float64{1, 40}[seed%2])
		for i := range group {
			group[i] = max(group[i], 0)
		}
		r, err := GrayTest(time, cause, group, 1, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := 0.0
		before := func(members []int, u float64) (survival, incidence float64) {
			any := make([]bool, len(members))
			for k, i := range members {
				any[k] = cause[i] > 0
			}
			km, _ := KaplanMeier(pick(time, members), any, 0.95)
			survival, _, _ = km.At(u - 0.5)
			curves, _ := CumulativeIncidence(pick(time, members), pick(cause, members), 0.95)
			for _, c := range curves {
				if c.Cause == 1 {
					incidence, _, _ = c.At(u - 0.5)
				}
			}
			return survival, incidence
		}
		members := make([][]int, 2)
		for i, g := range group {
			members[g/10] = append(members[g/10], i)
		}
		for _, u := range uniqueTimes(time) {
			d, risk := [2]float64{}, [2]float64{}
			for k, m := range members {
				y := 0.0
				for _, i := range m {
					if time[i] >= u {
						y++
					}
					if time[i] == u && cause[i] == 1 {
						d[k]++
					}
				}
				if s, f := before(m, u); y > 0 {
					risk[k] = y * (1 - f) / s
				}
			}
			if d[0]+d[1] > 0 {
				want += d[0] - (d[0]+d[1])*risk[0]/(risk[0]+risk[1])
			}
		}
		near(t, "score", r.Score[0], want, 1e-10)
	}
}

// Under the null hypothesis p is uniform: about 5% of the samples are below 0.05.
func TestGrayHoldsItsLevel(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	small, samples := 0, 400
	for range samples {
		n := 80
		time, cause, group := make([]float64, n), make([]int, n), make([]int, n)
		for i := range n {
			time[i], cause[i], group[i] = random.ExpFloat64(), random.IntN(3), random.IntN(2)
		}
		r, err := GrayTest(time, cause, group, 1, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.P < 0.05 {
			small++
		}
	}
	// 20 expected, standard deviation 4.4.
	if small < 7 || small > 36 {
		t.Errorf("%d of %d samples have p < 0.05", small, samples)
	}
}

func TestCompetingErrors(t *testing.T) {
	time, cause, group := []float64{4, 3, 2, 1}, []int{1, 2, 0, 1}, []int{0, 1, 0, 1}
	nan := math.NaN()
	gray := func(time []float64, cause, group []int, interest int, rho float64, strata []int) func() error {
		return func() error { _, err := GrayTest(time, cause, group, interest, rho, strata); return err }
	}
	incidence := func(time []float64, cause []int, level float64, interval ...CurveInterval) func() error {
		return func() error { _, err := CumulativeIncidence(time, cause, level, interval...); return err }
	}
	for name, call := range map[string]func() error{
		"empty":            incidence(nil, nil, 0.95),
		"short":            incidence(time, cause[:1], 0.95),
		"NaN":              incidence([]float64{1, nan, 2, 3}, cause, 0.95),
		"infinite":         incidence([]float64{1, math.Inf(1), 2, 3}, cause, 0.95),
		"negative time":    incidence([]float64{1, -1, 2, 3}, cause, 0.95),
		"negative cause":   incidence(time, []int{0, -1, 1, 1}, 0.95),
		"level":            incidence(time, cause, 0),
		"interval":         incidence(time, cause, 0.95, "logit"),
		"Gray empty":       gray(nil, nil, nil, 1, 0, nil),
		"Gray group":       gray(time, cause, group[:2], 1, 0, nil),
		"Gray one group":   gray(time, cause, make([]int, 4), 1, 0, nil),
		"Gray strata":      gray(time, cause, group, 1, 0, []int{1}),
		"Gray rho":         gray(time, cause, group, 1, -1, nil),
		"Gray cause":       gray(time, cause, group, 5, 0, nil),
		"Gray censored":    gray(time, make([]int, 4), group, 1, 0, nil),
		"Gray as interest": gray(time, cause, group, 0, 0, nil),
		"Gray apart":       gray(time, cause, group, 1, 0, group),
	} {
		var input *InputError
		if err := call(); !errors.As(err, &input) || input.Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.Equal(group, []int{0, 1, 0, 1}) {
		t.Error("an argument was changed")
	}
}
