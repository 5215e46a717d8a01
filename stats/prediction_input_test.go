package stats

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// Every function of the prediction family refuses what it cannot use with an error that
// names the function, the argument and the element.
func TestPredictionInputErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	scores, positive := []float64{0.1, 0.2, 0.3, 0.4}, []bool{false, true, false, true}
	type row struct {
		name, argument string
		index          int
		says           string
		call           func() error
	}
	var rows []row
	// The functions of one score, and whether it must be a risk or may be one class.
	for name, f := range map[string]struct {
		argument string
		risk     bool
		oneClass bool
		call     func([]float64, []bool) error
	}{
		"PartialAUC": {"scores", false, false, func(s []float64, p []bool) error {
			_, err := PartialAUC(s, p, AlongSpecificity, 0.8, 1, 10, 1, 0.95)
			return err
		}},
		"PrecisionRecall":           {"scores", false, false, func(s []float64, p []bool) error { _, err := PrecisionRecall(s, p); return err }},
		"AveragePrecision":          {"scores", false, false, func(s []float64, p []bool) error { _, err := AveragePrecision(s, p, 0.95); return err }},
		"BootstrapAveragePrecision": {"scores", false, false, func(s []float64, p []bool) error { _, err := BootstrapAveragePrecision(s, p, 10, 1, 0.95); return err }},
		"CutAt":                     {"scores", false, false, func(s []float64, p []bool) error { _, err := CutAt(s, p, 0.2, Wilson, 0.95); return err }},
		"YoudenCut":                 {"scores", false, false, func(s []float64, p []bool) error { _, err := YoudenCut(s, p, Wilson, 0.95); return err }},
		"CutForSensitivity":         {"scores", false, false, func(s []float64, p []bool) error { _, err := CutForSensitivity(s, p, 0.9, Wilson, 0.95); return err }},
		"CutForSpecificity":         {"scores", false, false, func(s []float64, p []bool) error { _, err := CutForSpecificity(s, p, 0.9, Wilson, 0.95); return err }},
		"BootstrapPaired":           {"a", false, false, func(s []float64, p []bool) error { _, err := BootstrapPaired(s, scores, p, 10, 1, 0.95); return err }},
		"Calibration":               {"risk", true, false, func(s []float64, p []bool) error { _, err := Calibration(s, p, 0.95); return err }},
		"Brier":                     {"risk", true, true, func(s []float64, p []bool) error { _, err := Brier(s, p, 0, 0.95); return err }},
		"CalibrationCurve":          {"risk", true, true, func(s []float64, p []bool) error { _, err := CalibrationCurve(s, p, 2, 0.95); return err }},
		"DecisionCurve":             {"risk", true, false, func(s []float64, p []bool) error { _, err := DecisionCurve(s, p, nil, 10, 1, 0.95); return err }},
		"NRI": {"before", true, false, func(s []float64, p []bool) error {
			_, err := NRI(s, scores[:max(len(s), len(p))], p, nil, 0.95)
			return err
		}},
		"IDI": {"before", true, false, func(s []float64, p []bool) error { _, err := IDI(s, scores[:max(len(s), len(p))], p, 0.95); return err }},
	} {
		rows = append(rows,
			row{name, f.argument, -1, "empty", func() error { return f.call(nil, nil) }},
			row{name, "positive", -1, "3 long", func() error { return f.call(scores, positive[:3]) }},
			row{name, f.argument, 1, "NaN", func() error { return f.call([]float64{0.1, nan, 0.3, 0.4}, positive) }},
			row{name, f.argument, 3, "-Inf", func() error { return f.call([]float64{0.1, 0.2, 0.3, -inf}, positive) }})
		if !f.oneClass {
			rows = append(rows,
				row{name, "positive", -1, "0 true and 4 false", func() error { return f.call(scores, make([]bool, 4)) }},
				row{name, "positive", -1, "1 true and 0 false", func() error { return f.call(scores[:1], []bool{true}) }})
		}
		if f.risk {
			rows = append(rows,
				row{name, f.argument, 2, "logistic model", func() error { return f.call([]float64{0.1, 0.2, 1.5, 0.4}, positive) }},
				row{name, f.argument, 0, "-0.1", func() error { return f.call([]float64{-0.1, 0.2, 0.5, 0.4}, positive) }})
		}
	}
	add := func(name, argument string, index int, says string, call func() error) {
		rows = append(rows, row{name, argument, index, says, call})
	}
	// The functions of two sets of patients.
	for name, call := range map[string]func(a []float64, pa []bool, b []float64, pb []bool, level float64) error{
		"DeLongUnpaired": func(a []float64, pa []bool, b []float64, pb []bool, level float64) error {
			_, err := DeLongUnpaired(a, pa, b, pb, level)
			return err
		},
		"BootstrapUnpaired": func(a []float64, pa []bool, b []float64, pb []bool, level float64) error {
			_, err := BootstrapUnpaired(a, pa, b, pb, 9, 1, level)
			return err
		},
	} {
		add(name, "a", -1, "empty", func() error { return call(nil, nil, scores, positive, 0.95) })
		add(name, "b", 1, "NaN", func() error { return call(scores, positive, []float64{1, nan, 2, 3}, positive, 0.95) })
		add(name, "positiveA", -1, "2 long", func() error { return call(scores, positive[:2], scores, positive, 0.95) })
		add(name, "positiveB", -1, "4 true", func() error { return call(scores, positive, scores, []bool{true, true, true, true}, 0.95) })
		add(name, "level", -1, "0.95", func() error { return call(scores, positive, scores, positive, 1) })
	}
	add("DeLongUnpaired", "positiveB", -1, "at least 2", func() error { _, err := DeLongUnpaired(scores, positive, scores[:2], positive[:2], 0.95); return err })
	add("BootstrapUnpaired", "resamples", -1, "2000", func() error {
		_, err := BootstrapUnpaired(scores, positive, scores, positive, 1, 1, 0.95)
		return err
	})
	add("BootstrapPaired", "b", -1, "2 long", func() error { _, err := BootstrapPaired(scores, scores[:2], positive, 9, 1, 0.95); return err })
	add("BootstrapPaired", "b", 0, "+Inf", func() error {
		_, err := BootstrapPaired(scores, []float64{inf, 1, 2, 3}, positive, 9, 1, 0.95)
		return err
	})
	add("BootstrapPaired", "resamples", -1, "1", func() error { _, err := BootstrapPaired(scores, scores, positive, 1, 1, 0.95); return err })
	add("BootstrapPaired", "level", -1, "7", func() error { _, err := BootstrapPaired(scores, scores, positive, 9, 1, 7); return err })

	partial := func(axis PartialAxis, from, to float64, resamples int, level float64) func() error {
		return func() error {
			_, err := PartialAUC(scores, positive, axis, from, to, resamples, 1, level)
			return err
		}
	}
	add("PartialAUC", "axis", -1, `"fpr"`, partial("fpr", 0.8, 1, 9, 0.95))
	add("PartialAUC", "from", -1, "-0.1", partial(AlongSensitivity, -0.1, 1, 9, 0.95))
	add("PartialAUC", "from", -1, "NaN", partial(AlongSensitivity, nan, 1, 9, 0.95))
	add("PartialAUC", "to", -1, "more than from", partial(AlongSensitivity, 0.5, 0.5, 9, 0.95))
	add("PartialAUC", "to", -1, "1.1", partial(AlongSensitivity, 0.5, 1.1, 9, 0.95))
	add("PartialAUC", "resamples", -1, "0", partial(AlongSensitivity, 0.5, 1, 0, 0.95))
	add("PartialAUC", "level", -1, "0", partial(AlongSensitivity, 0.5, 1, 9, 0))

	add("CutAt", "threshold", -1, "NaN", func() error { _, err := CutAt(scores, positive, nan, Wilson, 0.95); return err })
	add("CutAt", "method", -1, `"wald"`, func() error { _, err := CutAt(scores, positive, 0.2, "wald", 0.95); return err })
	add("YoudenCut", "level", -1, "95", func() error { _, err := YoudenCut(scores, positive, Wilson, 95); return err })
	add("CutForSensitivity", "least", -1, "0", func() error { _, err := CutForSensitivity(scores, positive, 0, Wilson, 0.95); return err })
	add("CutForSpecificity", "least", -1, "90", func() error { _, err := CutForSpecificity(scores, positive, 90, Wilson, 0.95); return err })
	add("ProportionCI", "trials", -1, "0", func() error { _, err := ProportionCI(0, 0, Wilson, 0.95); return err })
	add("ProportionCI", "successes", -1, "0 to 3", func() error { _, err := ProportionCI(4, 3, Wilson, 0.95); return err })
	add("ProportionCI", "successes", -1, "-1", func() error { _, err := ProportionCI(-1, 3, Wilson, 0.95); return err })
	add("ProportionCI", "method", -1, `""`, func() error { _, err := ProportionCI(1, 3, "", 0.95); return err })
	add("ProportionCI", "level", -1, "2", func() error { _, err := ProportionCI(1, 3, ClopperPearson, 2); return err })

	add("AveragePrecision", "level", -1, "NaN", func() error { _, err := AveragePrecision(scores, positive, nan); return err })
	add("BootstrapAveragePrecision", "resamples", -1, "1", func() error { _, err := BootstrapAveragePrecision(scores, positive, 1, 1, 0.95); return err })
	add("BootstrapAveragePrecision", "level", -1, "1", func() error { _, err := BootstrapAveragePrecision(scores, positive, 9, 1, 1); return err })

	add("Calibration", "level", -1, "0", func() error { _, err := Calibration(scores, positive, 0); return err })
	add("Calibration", "risk", 3, "1e-7", func() error { _, err := Calibration([]float64{0.1, 0.2, 0.3, 1}, positive, 0.95); return err })
	add("Calibration", "risk", -1, "the same", func() error { _, err := Calibration([]float64{0.3, 0.3, 0.3, 0.3}, positive, 0.95); return err })
	for _, risk := range [][]float64{{0.1, 0.5, 0.2, 0.6}, {0.1, 0.5, 0.5, 0.6}, {0.6, 0.5, 0.5, 0.1}} {
		add("Calibration", "risk", -1, "separation", func() error { _, err := Calibration(risk, positive, 0.95); return err })
	}
	c, err := Calibration([]float64{0.1, 0.2, 0.3, 0.4}, positive, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	add("CalibrationResult.Recalibrated", "risk", 1, "1.2", func() error { _, err := c.Recalibrated([]float64{0.5, 1.2}); return err })
	add("CalibrationResult.RecalibratedInLarge", "risk", 0, "NaN", func() error { _, err := c.RecalibratedInLarge([]float64{nan}); return err })
	add("CalibrationResult.Line", "risk", 0, "0", func() error { _, err := c.Line([]float64{0}); return err })
	add("Brier", "groups", -1, "-1", func() error { _, err := Brier(scores, positive, -1, 0.95); return err })
	add("Brier", "level", -1, "1", func() error { _, err := Brier(scores, positive, 0, 1); return err })
	add("CalibrationCurve", "groups", -1, "0", func() error { _, err := CalibrationCurve(scores, positive, 0, 0.95); return err })
	add("CalibrationCurve", "level", -1, "-1", func() error { _, err := CalibrationCurve(scores, positive, 2, -1); return err })

	decide := func(grid []float64, resamples int, level float64) func() error {
		return func() error { _, err := DecisionCurve(scores, positive, grid, resamples, 1, level); return err }
	}
	add("DecisionCurve", "thresholds", 1, "1", decide([]float64{0.5, 1}, 9, 0.95))
	add("DecisionCurve", "thresholds", 1, "rising", decide([]float64{0.5, 0.5}, 9, 0.95))
	add("DecisionCurve", "thresholds", 0, "NaN", decide([]float64{nan}, 9, 0.95))
	add("DecisionCurve", "resamples", -1, "1", decide(nil, 1, 0.95))
	add("DecisionCurve", "level", -1, "5", decide(nil, 9, 5))

	add("NRI", "after", -1, "3 long", func() error { _, err := NRI(scores, scores[:3], positive, nil, 0.95); return err })
	add("NRI", "after", 0, "2", func() error { _, err := NRI(scores, []float64{2, 0, 0, 0}, positive, nil, 0.95); return err })
	add("NRI", "cuts", 0, "0", func() error { _, err := NRI(scores, scores, positive, []float64{0}, 0.95); return err })
	add("NRI", "cuts", 1, "rising", func() error { _, err := NRI(scores, scores, positive, []float64{0.5, 0.5}, 0.95); return err })
	add("NRI", "level", -1, "0", func() error { _, err := NRI(scores, scores, positive, nil, 0); return err })
	add("IDI", "positive", -1, "at least 2", func() error { _, err := IDI(scores[:2], scores[:2], positive[:2], 0.95); return err })
	add("IDI", "level", -1, "0", func() error { _, err := IDI(scores, scores, positive, 0); return err })

	// The sample sizes.
	for _, bad := range []float64{0, 1, -0.5, nan} {
		text := fmt.Sprint(bad)
		add("AUCSampleSize", "auc", -1, text, func() error { _, err := AUCSampleSize(bad, 1, 0.05, 0.8); return err })
		add("AUCPower", "auc", -1, text, func() error { _, err := AUCPower(bad, 9, 9, 0.05); return err })
		add("HanleyMcNeilSE", "auc", -1, text, func() error { _, err := HanleyMcNeilSE(bad, 9, 9); return err })
		add("AUCPrecisionSampleSize", "auc", -1, text, func() error { _, err := AUCPrecisionSampleSize(bad, 1, 0.05, 0.95); return err })
		add("UnpairedAUCSampleSize", "b", -1, text, func() error { _, err := UnpairedAUCSampleSize(0.7, bad, 0.05, 0.8); return err })
		add("PairedAUCSampleSize", "a", -1, text, func() error { _, err := PairedAUCSampleSize(PairedAUCDesign{A: bad, B: 0.6}, 1, 0.05, 0.8); return err })
		add("AUCSampleSize", "alpha", -1, text, func() error { _, err := AUCSampleSize(0.7, 1, bad, 0.8); return err })
		add("AUCPower", "alpha", -1, text, func() error { _, err := AUCPower(0.7, 9, 9, bad); return err })
		add("PairedAUCPower", "alpha", -1, text, func() error { _, err := PairedAUCPower(PairedAUCDesign{A: 0.7, B: 0.6}, 9, 9, bad); return err })
		add("UnpairedAUCSampleSize", "power", -1, text, func() error { _, err := UnpairedAUCSampleSize(0.7, 0.6, 0.05, bad); return err })
		add("AUCPrecisionSampleSize", "halfWidth", -1, text, func() error { _, err := AUCPrecisionSampleSize(0.7, 1, bad, 0.95); return err })
	}
	add("AUCSampleSize", "auc", -1, "0.5", func() error { _, err := AUCSampleSize(0.5, 1, 0.05, 0.8); return err })
	add("AUCSampleSize", "power", -1, "0.02", func() error { _, err := AUCSampleSize(0.7, 1, 0.05, 0.02); return err })
	add("AUCSampleSize", "ratio", -1, "0", func() error { _, err := AUCSampleSize(0.7, 0, 0.05, 0.8); return err })
	add("AUCPrecisionSampleSize", "ratio", -1, "+Inf", func() error { _, err := AUCPrecisionSampleSize(0.7, inf, 0.05, 0.8); return err })
	add("AUCPrecisionSampleSize", "halfWidth", -1, "wider", func() error { _, err := AUCPrecisionSampleSize(0.7, 1, 1e-9, 0.8); return err })
	add("AUCPrecisionSampleSize", "level", -1, "1", func() error { _, err := AUCPrecisionSampleSize(0.7, 1, 0.05, 1); return err })
	add("PairedAUCSampleSize", "ratio", -1, "-1", func() error {
		_, err := PairedAUCSampleSize(PairedAUCDesign{A: 0.7, B: 0.6}, -1, 0.05, 0.8)
		return err
	})
	add("AUCPower", "positives", -1, "0", func() error { _, err := AUCPower(0.7, 0, 9, 0.05); return err })
	add("PairedAUCPower", "negatives", -1, "0", func() error { _, err := PairedAUCPower(PairedAUCDesign{A: 0.7, B: 0.6}, 9, 0, 0.05); return err })
	add("HanleyMcNeilSE", "negatives", -1, "-2", func() error { _, err := HanleyMcNeilSE(0.7, 9, -2); return err })
	add("UnpairedAUCSampleSize", "b", -1, "other than a", func() error { _, err := UnpairedAUCSampleSize(0.7, 0.7, 0.05, 0.8); return err })
	add("PairedAUCPower", "SpreadB", -1, "-1", func() error {
		_, err := PairedAUCPower(PairedAUCDesign{A: 0.7, B: 0.6, SpreadB: -1}, 9, 9, 0.05)
		return err
	})
	add("PairedAUCPower", "NegativeCorrelation", -1, "1", func() error {
		_, err := PairedAUCPower(PairedAUCDesign{A: 0.7, B: 0.6, NegativeCorrelation: 1}, 9, 9, 0.05)
		return err
	})

	for _, r := range rows {
		err := r.call()
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%s with bad %s (%s): got %v", r.name, r.argument, r.says, err)
			continue
		}
		if input.Function != r.name || input.Argument != r.argument || input.Index != r.index || input.Next == "" ||
			!strings.Contains(err.Error(), r.says) || !strings.HasPrefix(err.Error(), "stats."+r.name+": ") {
			t.Errorf("%s, argument %s, index %d, %q expected; got %q", r.name, r.argument, r.index, r.says, err)
		}
	}
}

// FuzzSmallPredictions feeds tiny cohorts full of ties, risks of 0 and 1 and single
// classes to the family: each gives a result within its range or a typed error.
func FuzzSmallPredictions(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x00})
	f.Add([]byte{0x91, 0x12, 0xd3})
	f.Add([]byte{0x88, 0x88, 0x88, 0x88})
	f.Add([]byte{0x07, 0x83, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10, 0x32})
	f.Add([]byte{0xf0, 0xe1, 0xd2, 0x43, 0xb4, 0x25, 0x96, 0x07})
	f.Fuzz(func(t *testing.T, patients []byte) {
		if len(patients) > 40 {
			patients = patients[:40]
		}
		var risk, inner, after []float64
		var positive []bool
		for _, b := range patients {
			risk = append(risk, float64(b&7)/7)
			inner = append(inner, (float64(b&7)+1)/9)
			after = append(after, float64(b>>3&7)/7)
			positive = append(positive, b&128 != 0)
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
		within := func(what string, low, high float64, values ...float64) {
			t.Helper()
			for _, v := range values {
				if v < low-1e-12 || v > high+1e-12 {
					t.Errorf("%s: %v", what, values)
				}
			}
		}
		if r, err := DeLongUnpaired(risk, positive, after, positive, 0.95); ok("DeLongUnpaired", err) {
			within("unpaired p", 0, 1, r.P)
		}
		if r, err := BootstrapPaired(risk, after, positive, 10, 1, 0.9); ok("BootstrapPaired", err) {
			within("difference", -1, 1, r.Low, r.High, r.Difference)
			within("paired p", 0, 1, r.P)
		}
		if r, err := BootstrapUnpaired(risk, positive, after, positive, 10, 1, 0.9); ok("BootstrapUnpaired", err) {
			within("difference", -1, 1, r.Low, r.High, r.Difference)
		}
		for _, axis := range []PartialAxis{AlongSensitivity, AlongSpecificity} {
			if r, err := PartialAUC(risk, positive, axis, 0.4, 0.9, 10, 1, 0.9); ok("PartialAUC", err) {
				within("partial area", 0, 0.5, r.Low, r.Area, r.High)
				within("corrected", 0.5, 1, r.Corrected)
			}
		}
		if r, err := AveragePrecision(risk, positive, 0.9); ok("AveragePrecision", err) {
			within("average precision", 0, 1, r.Low, r.AveragePrecision, r.High)
			if b, _ := BootstrapAveragePrecision(risk, positive, 10, 1, 0.9); b.Estimate != r.AveragePrecision {
				t.Errorf("two average precisions: %+v, %+v", r, b)
			}
		}
		if c, err := PrecisionRecall(risk, positive); ok("PrecisionRecall", err) {
			within("precision", 0, 1, c.Precision...)
			within("last recall", 1, 1, c.Recall[len(c.Recall)-1])
		}
		for _, method := range []IntervalMethod{Wilson, ClopperPearson} {
			if r, err := YoudenCut(risk, positive, method, 0.9); ok("YoudenCut", err) {
				within("Youden", 0, 1, r.Youden)
				within("sensitivity", 0, 1, r.Sensitivity.Low, r.Sensitivity.Estimate, r.Sensitivity.High, r.NPV.Low, r.NPV.High, r.PPV.Low, r.PPV.High)
			}
			if r, err := CutForSensitivity(risk, positive, 1, method, 0.9); ok("CutForSensitivity", err) {
				within("full sensitivity", 1, 1, r.Sensitivity.Estimate)
			}
			if r, err := CutForSpecificity(risk, positive, 1, method, 0.9); ok("CutForSpecificity", err) {
				within("full specificity", 1, 1, r.Specificity.Estimate)
			}
		}
		if r, err := Brier(risk, positive, 3, 0.9); ok("Brier", err) {
			within("Brier", 0, 1, r.Low, r.Brier, r.High)
			near(t, "sum of the parts", r.Reliability-r.Resolution+r.Uncertainty+r.WithinVariance-r.WithinCovariance, r.Brier, 1e-12)
		}
		if c, err := CalibrationCurve(risk, positive, 4, 0.9); ok("CalibrationCurve", err) {
			within("observed", 0, 1, append(c.Low, c.High...)...)
		}
		if c, err := Calibration(inner, positive, 0.9); ok("Calibration", err) {
			moved, err := c.Recalibrated(inner)
			if ok("Recalibrated", err) {
				within("recalibrated", 0, 1, moved...)
			}
			if c.Slope.SE <= 0 || c.InTheLarge.SE <= 0 || math.IsNaN(c.Slope.P) {
				t.Errorf("calibration: %+v", c)
			}
		}
		if d, err := DecisionCurve(risk, positive, []float64{0, 0.3, 0.7}, 10, 1, 0.9); ok("DecisionCurve", err) {
			within("net benefit", -3, 1, append(d.Low, d.High...)...)
		}
		if r, err := NRI(risk, after, positive, []float64{0.5}, 0.9); ok("NRI", err) {
			within("NRI", -2, 2, r.NRI.Estimate)
			within("NRI p", 0, 1, r.NRI.P)
		}
		if r, err := IDI(risk, after, positive, 0.9); ok("IDI", err) {
			within("IDI", -2, 2, r.IDI.Estimate)
		}
	})
}
