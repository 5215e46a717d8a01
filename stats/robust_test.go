package stats

import (
	"errors"
	"math"
	"testing"
)

// FuzzSmallCohorts feeds tiny cohorts full of ties to every function: each must give
// a result within its range or a typed error, and never panic or hang.
func FuzzSmallCohorts(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x00})
	f.Add([]byte{0x91, 0x12, 0xd3})
	f.Add([]byte{0x88, 0x88, 0x88, 0x88})
	f.Add([]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10, 0x32})
	f.Add([]byte{0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96, 0x87})
	f.Fuzz(func(t *testing.T, patients []byte) {
		if len(patients) > 40 {
			patients = patients[:40]
		}
		var time, score, turned []float64
		var event, positive []bool
		var group []int
		var x [][]float64
		for _, b := range patients {
			time = append(time, float64(b&7))
			score = append(score, float64(b>>3&7))
			turned = append(turned, -float64(b>>3&7))
			event = append(event, b&64 != 0)
			positive = append(positive, b&128 != 0)
			group = append(group, int(b>>3&3))
			x = append(x, []float64{float64(b >> 3 & 1), float64(b >> 4 & 3)})
		}
		// ok is false for a typed error; any other error fails the test.
		ok := func(what string, err error) bool {
			t.Helper()
			var input *InputError
			var convergence *ConvergenceError
			if err != nil && !errors.As(err, &input) && !errors.As(err, &convergence) {
				t.Errorf("%s: untyped error %v", what, err)
			}
			return err == nil
		}
		// Values within 0..1 in ascending order; NaN is left out.
		rising := func(what string, values ...float64) {
			t.Helper()
			last := 0.0
			for _, v := range append(values, 1) {
				if v < last-1e-12 {
					t.Errorf("%s: %v", what, values)
				}
				if !math.IsNaN(v) {
					last = v
				}
			}
		}
		if a, err := AUC(score, positive); ok("AUC", err) {
			b, _ := AUC(turned, positive)
			near(t, "AUC(-s)", b, 1-a, 1e-15)
			r, err := DeLong(score, positive, 0.95)
			if ok("DeLong", err) {
				rising("DeLong", r.Low, r.AUC, r.High)
				rising("DeLong p", r.P)
			}
			if r, err = Noether(score, positive, 0.95); ok("Noether", err) {
				rising("Noether", r.Low, r.AUC, r.High)
				rising("Noether p", r.P)
			}
			if p, err := DeLongPaired(score, time, positive, 0.95); ok("DeLongPaired", err) {
				rising("paired p", p.P)
			}
			boot, err := BootstrapAUC(score, positive, 20, 1, 0.95)
			if ok("BootstrapAUC", err) {
				rising("bootstrap", boot.Low, boot.High)
			}
			band, err := ROCBand(score, positive, []float64{0, 0.3, 1}, 20, 1, 0.95)
			if ok("ROCBand", err) {
				rising("TPR", band.TPR...)
				rising("band low", band.Low...)
			}
		} else if _, err := ROC(score, positive); err == nil {
			t.Error("ROC accepts what AUC refuses")
		}
		if c, err := KaplanMeier(time, event, 0.95); ok("KaplanMeier", err) {
			for i, s := range c.Survival {
				rising("survival", c.Low[i], s, c.High[i])
			}
			if r, err := RMST(time, event, 2.5, 0.95); ok("RMST", err) && !(0 <= r.RMST && r.RMST <= 2.5 && r.SE >= 0) {
				t.Errorf("RMST: %+v", r)
			}
		}
		d, err := RMSTDifference(time, event, positive, 1.5, 0.95)
		if ok("RMSTDifference", err) {
			rising("difference p", d.P)
		}
		lr, err := LogRank(time, event, group)
		if ok("LogRank", err) && !(lr.ChiSquare >= 0 && lr.P >= 0 && lr.P <= 1) {
			t.Errorf("log-rank: %+v", lr)
		}
		h, err := HarrellC(time, event, score, 0.95)
		if ok("HarrellC", err) {
			rising("Harrell", h.Low, h.C, h.High)
		}
		u, err := UnoC(time, event, score, 6, 0.95)
		if ok("UnoC", err) {
			rising("Uno", u.Low, u.C, u.High)
		}
		m, err := Cox(time, event, x, 0.95)
		if ok("Cox", err) {
			for _, term := range m.Terms {
				if !(term.Low <= term.HR && term.HR <= term.High && term.SE > 0) {
					t.Errorf("Cox: %+v", m)
				}
			}
			if !(m.LogLikelihood >= m.NullLikelihood-1e-9) {
				t.Errorf("Cox ends below the start: %+v", m)
			}
		}
	})
}
