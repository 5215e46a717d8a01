package stats

import (
	"errors"
	"math"
	"testing"
)

// FuzzSurvivalModels feeds tiny cohorts full of ties, strata and causes to the survival
// functions: each must give a result within its range or a typed error.
func FuzzSurvivalModels(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x41})
	f.Add([]byte{0x91, 0x52, 0xd3, 0x44})
	f.Add([]byte{0xc8, 0xc8, 0xc8, 0xc8, 0xc8})
	f.Add([]byte{0x41, 0x63, 0x45, 0x67, 0xc9, 0xab, 0xcd, 0xef, 0x50, 0x72})
	f.Add([]byte{0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96, 0x87, 0x47, 0x56, 0x65, 0x74})
	f.Fuzz(func(t *testing.T, patients []byte) {
		if len(patients) > 40 {
			patients = patients[:40]
		}
		var time, score, other []float64
		var event []bool
		var group, strata, cause []int
		var x, forecast [][]float64
		for k, b := range patients {
			time = append(time, float64(b&7))
			score = append(score, float64(b>>3&7))
			other = append(other, float64((int(b)*k)%5))
			event = append(event, b&64 != 0)
			cause = append(cause, int(b>>6&3))
			group = append(group, int(b>>3&3))
			strata = append(strata, int(b>>7))
			x = append(x, []float64{float64(b >> 3 & 1), float64(b >> 4 & 3)})
			forecast = append(forecast, []float64{float64(b&15) / 15, float64(b>>4) / 15})
		}
		ok := func(what string, err error) bool {
			t.Helper()
			var input *InputError
			var convergence *ConvergenceError
			if err != nil && !errors.As(err, &input) && !errors.As(err, &convergence) {
				t.Errorf("%s: untyped error %v", what, err)
			}
			return err == nil
		}
		// within fails unless v exists and low <= v <= high, where those exist.
		within := func(what string, low, v, high float64) {
			t.Helper()
			if math.IsNaN(v) || low > v+1e-12 || v > high+1e-12 {
				t.Errorf("%s: %v outside %v..%v", what, v, low, high)
			}
		}
		for _, scale := range []CurveInterval{LogLogInterval, LogInterval, PlainInterval} {
			if c, err := KaplanMeier(time, event, 0.95, scale); ok("KaplanMeier", err) {
				for i, s := range c.Survival {
					within("S", math.Max(0, c.Low[i]), s, math.Min(1, c.High[i]))
				}
			}
			if curves, err := CumulativeIncidence(time, cause, 0.95, scale); ok("CumulativeIncidence", err) {
				for _, c := range curves {
					for i, f := range c.Incidence {
						within("F", c.Low[i], f, c.High[i])
						within("F", 0, f, 1)
					}
				}
			}
		}
		if h, err := NelsonAalen(time, event, 0.95); ok("NelsonAalen", err) {
			for i, v := range h.Hazard {
				within("H", h.Low[i], v, h.High[i])
			}
		}
		lr, err := LogRank(time, event, group, LogRankStrata(strata), FlemingHarrington(0.5, 1))
		if ok("LogRank", err) && !(lr.ChiSquare >= 0 && lr.P >= 0 && lr.P <= 1) {
			t.Errorf("log-rank: %+v", lr)
		}
		g, err := GrayTest(time, cause, group, 1, 0.5, strata)
		if ok("GrayTest", err) && !(g.ChiSquare >= 0 && g.P >= 0 && g.P <= 1) {
			t.Errorf("Gray: %+v", g)
		}
		if p, err := UnoCPaired(time, event, score, other, 5, 0.95); ok("UnoCPaired", err) {
			within("difference", p.Low, p.Difference, p.High)
		}
		if a, err := TimeAUC(time, event, score, []float64{1, 3}, 0.95); ok("TimeAUC", err) {
			for k, v := range a.AUC {
				within("AUC", a.Low[k], v, a.High[k])
			}
		}
		if b, err := SurvivalBrier(time, event, forecast, []float64{1, 3}, 0.95); ok("SurvivalBrier", err) {
			for k, v := range b.Brier {
				within("Brier", b.Low[k], v, b.High[k])
			}
		}
		for _, ties := range []Ties{Efron, Breslow} {
			m, err := Cox(time, event, x, 0.95, CoxTies(ties), CoxStrata(strata), CoxCluster(group))
			if !ok("Cox", err) {
				continue
			}
			if !(m.LogLikelihood >= m.NullLikelihood-1e-9) {
				t.Errorf("Cox ends below the start: %+v", m)
			}
			for _, transform := range []TimeTransform{KMTime, IdentityTime, RankTime, LogTime} {
				z, err := m.ProportionalHazards(transform)
				if ok("ProportionalHazards", err) && !(z.Global.ChiSquare >= 0 && z.Global.P <= 1) {
					t.Errorf("%s: %+v", transform, z.Global)
				}
			}
			c, err := m.Curve(x[0], strata[0])
			if ok("Curve", err) {
				for i, s := range c.Survival {
					within("predicted survival", c.Low[i], s, c.High[i])
					within("predicted survival", 0, s, 1)
				}
			}
			rows, err := m.PredictSurvival(x, strata, []float64{0, 3, 9})
			if err != nil {
				t.Errorf("PredictSurvival: %v", err)
			}
			for _, row := range rows {
				within("predicted survival", row[2], row[1], row[0])
			}
		}
	})
}
