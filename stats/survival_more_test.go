package stats

import (
	"errors"
	"math"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

func TestCurvesAgainstR(t *testing.T) {
	type testGolden struct {
		Rho, Gamma         float64
		Stratified         bool
		Chisq, P           float64
		DF                 int
		Observed, Expected []number
	}
	type curvesCase struct {
		Name          string
		Time          []float64
		Event         []bool
		Group, Strata []int
		Level         float64
		KM            []struct {
			Interval          CurveInterval
			Low, High, Median []number
		}
		NA struct {
			Hazard, SE []number
			LogLow     []number `json:"log_low"`
			LogHigh    []number `json:"log_high"`
			PlainLow   []number `json:"plain_low"`
			PlainHigh  []number `json:"plain_high"`
		}
		Tests []testGolden
	}
	for _, c := range golden.Cases[curvesCase](t, "curves") {
		t.Run(c.Name, func(t *testing.T) {
			for _, want := range c.KM {
				got, err := KaplanMeier(c.Time, c.Event, c.Level, want.Interval)
				if err != nil || got.Interval != want.Interval {
					t.Fatal(got.Interval, err)
				}
				nearAll(t, string(want.Interval)+" low", got.Low, want.Low, exact)
				nearAll(t, string(want.Interval)+" high", got.High, want.High, exact)
				nearAll(t, string(want.Interval)+" median", []float64{got.Median, got.MedianLow, got.MedianHigh}, want.Median, exact)
			}
			got, err := NelsonAalen(c.Time, c.Event, c.Level)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "hazard", got.Hazard, c.NA.Hazard, exact)
			nearAll(t, "SE", got.SE, c.NA.SE, exact)
			nearAll(t, "low", got.Low, c.NA.LogLow, exact)
			nearAll(t, "high", got.High, c.NA.LogHigh, exact)
			if got, err = NelsonAalen(c.Time, c.Event, c.Level, PlainInterval); err != nil {
				t.Fatal(err)
			}
			nearAll(t, "plain low", got.Low, c.NA.PlainLow, exact)
			nearAll(t, "plain high", got.High, c.NA.PlainHigh, exact)
			for _, want := range c.Tests {
				options := []LogRankOption{FlemingHarrington(want.Rho, want.Gamma)}
				if want.Stratified {
					options = append(options, LogRankStrata(c.Strata))
				}
				r, err := LogRank(c.Time, c.Event, c.Group, options...)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "chi-square", r.ChiSquare, want.Chisq, exact)
				nearP(t, "log-rank", r.P, want.P)
				nearAll(t, "observed", r.Observed, want.Observed, exact)
				nearAll(t, "expected", r.Expected, want.Expected, exact)
				if r.DF != want.DF || r.Rho != want.Rho || r.Gamma != want.Gamma {
					t.Errorf("%+v, want %+v", r, want)
				}
			}
		})
	}
}

func TestNelsonAalenProperties(t *testing.T) {
	for seed := range uint64(20) {
		time, event, _, _ := survivalData(800+seed, 5+int(seed)*5, []float64{1, 60}[seed%2])
		h, err := NelsonAalen(time, event, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		km, _ := KaplanMeier(time, event, 0.95)
		last := 0.0
		for i, v := range h.Hazard {
			if v < last || math.Exp(-v) < km.Survival[i]-1e-15 {
				t.Errorf("seed %d: hazard %v after %v, survival %v", seed, v, last, km.Survival[i])
			}
			if !math.IsNaN(h.Low[i]) && !(0 <= h.Low[i] && h.Low[i] <= v && v <= h.High[i]) {
				t.Errorf("seed %d: hazard %v outside %v..%v", seed, v, h.Low[i], h.High[i])
			}
			// The slow way.
			want := 0.0
			for k := range time {
				if event[k] && time[k] <= h.Time[i] {
					n := 0.0
					for _, u := range time {
						if u >= time[k] {
							n++
						}
					}
					want += 1 / n
				}
			}
			near(t, "hazard", v, want, 1e-12)
			if at, _, _ := h.At(h.Time[i] + 0.5); at != v {
				t.Errorf("seed %d: At reads %v", seed, at)
			}
			last = v
		}
		if at, low, _ := h.At(h.Time[0] - 0.5); at != 0 || !math.IsNaN(low) {
			t.Errorf("seed %d: At before the start reads %v", seed, at)
		}
	}
}

func TestStratifiedLogRankProperties(t *testing.T) {
	time, event, group, _ := survivalData(900, 80, 30)
	strata := make([]int, len(time))
	for i := range strata {
		strata[i] = i % 4
	}
	r, err := LogRank(time, event, group, LogRankStrata(strata), FlemingHarrington(1, 0.5))
	if err != nil || r.Strata != 4 {
		t.Fatal(r, err)
	}
	// A monotone map of time within each stratum is invisible: weights and risk sets
	// are the stratum's own.
	moved := make([]float64, len(time))
	for i := range time {
		moved[i] = math.Exp(time[i]/500) * float64(1+strata[i]*100)
	}
	other, err := LogRank(moved, event, group, LogRankStrata(strata), FlemingHarrington(1, 0.5))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "moved strata", other.ChiSquare, r.ChiSquare, 1e-12)
	one, _ := LogRank(time, event, group, LogRankStrata(make([]int, len(time))))
	none, _ := LogRank(time, event, group)
	if one.ChiSquare != none.ChiSquare || none.Strata != 1 || one.Strata != 1 {
		t.Errorf("one stratum: %+v, none: %+v", one, none)
	}
	sum := 0.0
	for k := range r.Groups {
		sum += r.Observed[k] - r.Expected[k]
	}
	near(t, "observed less expected", sum, 0, 1e-12)
	// The stratified score test of Cox (no ties) is the stratified log-rank test.
	x, two := make([][]float64, len(time)), make([]int, len(time))
	for i := range time {
		moved[i] = time[i] + float64(i)*1e-3
		x[i] = []float64{0}
		if group[i] == 0 {
			x[i][0], two[i] = 1, 1
		}
	}
	fit, err := Cox(moved, event, x, 0.95, CoxStrata(strata))
	if err != nil {
		t.Fatal(err)
	}
	lr, err := LogRank(moved, event, two, LogRankStrata(strata))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "score test", fit.Score.ChiSquare, lr.ChiSquare, 1e-10)
}

func TestCurveErrors(t *testing.T) {
	time, event, group := []float64{4, 3, 2, 1}, []bool{true, true, false, true}, []int{0, 1, 0, 1}
	for name, call := range map[string]func() error{
		"unknown interval": func() error { _, err := KaplanMeier(time, event, 0.95, "logit"); return err },
		"two intervals":    func() error { _, err := KaplanMeier(time, event, 0.95, LogInterval, PlainInterval); return err },
		"log-log hazard":   func() error { _, err := NelsonAalen(time, event, 0.95, LogLogInterval); return err },
		"hazard of nobody": func() error { _, err := NelsonAalen(nil, nil, 0.95); return err },
		"hazard level":     func() error { _, err := NelsonAalen(time, event, 1); return err },
		"hazard NaN":       func() error { _, err := NelsonAalen([]float64{math.NaN()}, []bool{true}, 0.9); return err },
		"hazard infinite":  func() error { _, err := NelsonAalen([]float64{math.Inf(1)}, []bool{true}, 0.9); return err },
		"strata too short": func() error { _, err := LogRank(time, event, group, LogRankStrata(nil)); return err },
		"negative rho":     func() error { _, err := LogRank(time, event, group, FlemingHarrington(-1, 0)); return err },
		"NaN gamma":        func() error { _, err := LogRank(time, event, group, FlemingHarrington(0, math.NaN())); return err },
		"groups never together": func() error {
			_, err := LogRank(time, event, group, LogRankStrata(group))
			return err
		},
		"all weights zero": func() error {
			_, err := LogRank(time, []bool{false, false, false, true}, group, FlemingHarrington(0, 1))
			return err
		},
	} {
		var input *InputError
		if err := call(); !errors.As(err, &input) || input.Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A single patient, dead or not, is an answer.
	for _, dead := range []bool{false, true} {
		h, err := NelsonAalen([]float64{5}, []bool{dead}, 0.95)
		if err != nil || !slices.Equal(h.Time, []float64{5}) || h.Hazard[0] != map[bool]float64{true: 1, false: 0}[dead] {
			t.Errorf("single patient: %+v, %v", h, err)
		}
	}
}
