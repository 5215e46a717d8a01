package stats

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// Every function refuses what it cannot use with an error that names the function,
// the argument and the element.
func TestInputErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	scores, positive := []float64{1, 2, 3, 4}, []bool{false, true, false, true}
	time, event := []float64{4, 3, 2, 1}, []bool{true, true, false, true}
	group, x := []int{0, 1, 0, 1}, [][]float64{{1}, {2}, {2}, {1}}

	type call = func() error
	type row struct {
		name     string
		call     call
		argument string
		index    int
		says     string
	}
	var rows []row
	// The binary family, each with scores and classes of its own.
	for name, f := range map[string]func([]float64, []bool) error{
		"ROC":          func(s []float64, p []bool) error { _, err := ROC(s, p); return err },
		"AUC":          func(s []float64, p []bool) error { _, err := AUC(s, p); return err },
		"DeLong":       func(s []float64, p []bool) error { _, err := DeLong(s, p, 0.95); return err },
		"Noether":      func(s []float64, p []bool) error { _, err := Noether(s, p, 0.95); return err },
		"BootstrapAUC": func(s []float64, p []bool) error { _, err := BootstrapAUC(s, p, 10, 1, 0.95); return err },
		"ROCBand":      func(s []float64, p []bool) error { _, err := ROCBand(s, p, nil, 10, 1, 0.95); return err },
	} {
		rows = append(rows,
			row{name, func() error { return f(nil, nil) }, "scores", -1, "empty"},
			row{name, func() error { return f(scores, positive[:3]) }, "positive", -1, "3 long"},
			row{name, func() error { return f([]float64{1, nan, 3, 4}, positive) }, "scores", 1, "NaN"},
			row{name, func() error { return f([]float64{1, 2, 3, -inf}, positive) }, "scores", 3, "-Inf"},
			row{name, func() error { return f(scores, make([]bool, 4)) }, "positive", -1, "0 true and 4 false"},
			row{name, func() error { return f(scores, []bool{true, true, true, true}) }, "positive", -1, "4 true and 0 false"},
		)
	}
	paired := func(a, b []float64, p []bool, level float64) call {
		return func() error { _, err := DeLongPaired(a, b, p, level); return err }
	}
	rows = append(rows,
		row{"DeLong", func() error { _, err := DeLong(scores[:3], positive[:3], 0.95); return err }, "positive", -1, "1 true and 2 false"},
		row{"DeLong", func() error { _, err := DeLong(scores, positive, 1); return err }, "level", -1, "between 0 and 1"},
		row{"DeLong", func() error { _, err := DeLong(scores, positive, nan); return err }, "level", -1, "NaN"},
		row{"Noether", func() error { _, err := Noether(scores, positive, 95); return err }, "level", -1, "95"},
		row{"Noether", func() error { _, err := Noether([]float64{5, 5, 5, 5}, positive, 0.95); return err }, "scores", -1, "the same"},
		row{"Noether", func() error { _, err := Noether(scores[:2], positive[:2], 0.95); return err }, "scores", -1, "3 patients"},
		row{"BootstrapAUC", func() error { _, err := BootstrapAUC(scores, positive, 1, 1, 0.95); return err }, "resamples", -1, "2000"},
		row{"BootstrapAUC", func() error { _, err := BootstrapAUC(scores, positive, 9, 1, 0); return err }, "level", -1, "0.95"},
		row{"ROCBand", func() error { _, err := ROCBand(scores, positive, nil, 0, 1, 0.95); return err }, "resamples", -1, "0"},
		row{"ROCBand", func() error { _, err := ROCBand(scores, positive, nil, 9, 1, -1); return err }, "level", -1, "-1"},
		row{"ROCBand", func() error { _, err := ROCBand(scores, positive, []float64{0, 1.5}, 9, 1, 0.95); return err }, "fpr", 1, "1.5"},
		row{"ROCBand", func() error { _, err := ROCBand(scores, positive, []float64{0.5, 0.5}, 9, 1, 0.95); return err }, "fpr", 1, "rising"},
		row{"ROCBand", func() error { _, err := ROCBand(scores, positive, []float64{nan}, 9, 1, 0.95); return err }, "fpr", 0, "NaN"},
		row{"DeLongPaired", paired(nil, nil, nil, 0.95), "a", -1, "empty"},
		row{"DeLongPaired", paired(scores, scores[:3], positive, 0.95), "b", -1, "3 long"},
		row{"DeLongPaired", paired(scores, []float64{1, 2, 3, inf}, positive, 0.95), "b", 3, "+Inf"},
		row{"DeLongPaired", paired(scores, scores, positive, 2), "level", -1, "2"},
		row{"Median", func() error { _, err := Median(nil); return err }, "x", -1, "empty"},
		row{"Median", func() error { _, err := Median([]float64{1, nan}); return err }, "x", 1, "NaN"},
	)
	// The survival family.
	for name, f := range map[string]func([]float64, []bool) error{
		"KaplanMeier": func(t []float64, e []bool) error { _, err := KaplanMeier(t, e, 0.95); return err },
		"LogRank":     func(t []float64, e []bool) error { _, err := LogRank(t, e, group); return err },
		"HarrellC":    func(t []float64, e []bool) error { _, err := HarrellC(t, e, scores, 0.95); return err },
		"UnoC":        func(t []float64, e []bool) error { _, err := UnoC(t, e, scores, inf, 0.95); return err },
		"Cox":         func(t []float64, e []bool) error { _, err := Cox(t, e, x, 0.95); return err },
		"RMST":        func(t []float64, e []bool) error { _, err := RMST(t, e, 2, 0.95); return err },
		"RMSTDifference": func(t []float64, e []bool) error {
			_, err := RMSTDifference(t, e, positive, 2, 0.95)
			return err
		},
	} {
		rows = append(rows,
			row{name, func() error { return f(nil, nil) }, "time", -1, "empty"},
			row{name, func() error { return f(time, event[:1]) }, "event", -1, "1 long"},
			row{name, func() error { return f([]float64{4, 3, nan, 1}, event) }, "time", 2, "NaN"},
			row{name, func() error { return f([]float64{inf, 3, 2, 1}, event) }, "time", 0, "+Inf"},
			row{name, func() error { return f([]float64{4, 3, 2, -1}, event) }, "time", 3, "zero or more"},
		)
		switch name {
		case "KaplanMeier", "RMST", "RMSTDifference": // nobody dead is an answer there
		default:
			rows = append(rows, row{name, func() error { return f(time, make([]bool, 4)) }, "event", -1, "at least one event"})
		}
	}
	difference := func(exposed []bool, tau, level float64) call {
		return func() error { _, err := RMSTDifference(time, event, exposed, tau, level); return err }
	}
	fit := func(x [][]float64, level float64) call {
		return func() error { _, err := Cox(time, event, x, level); return err }
	}
	rows = append(rows,
		row{"KaplanMeier", func() error { _, err := KaplanMeier(time, event, 0); return err }, "level", -1, "0"},
		row{"LogRank", func() error { _, err := LogRank(time, event, group[:2]); return err }, "group", -1, "2 long"},
		row{"LogRank", func() error { _, err := LogRank(time, event, []int{3, 3, 3, 3}); return err }, "group", -1, "3 for every patient"},
		row{"LogRank", func() error {
			_, err := LogRank([]float64{1, 2, 8, 9}, []bool{false, false, true, true}, []int{0, 0, 1, 1})
			return err
		}, "group", -1, "overlaps"},
		row{"LogRank", func() error { _, err := LogRank([]float64{1, 1}, []bool{true, true}, []int{0, 1}); return err }, "group", -1, "at risk together"},
		row{"HarrellC", func() error { _, err := HarrellC(time, event, scores[:3], 0.95); return err }, "score", -1, "3 long"},
		row{"HarrellC", func() error { _, err := HarrellC(time, event, []float64{1, 2, 3, nan}, 0.95); return err }, "score", 3, "NaN"},
		row{"HarrellC", func() error { _, err := HarrellC(time, event, scores, 1.5); return err }, "level", -1, "1.5"},
		row{"HarrellC", func() error { _, err := HarrellC(time[:1], event[:1], scores[:1], 0.95); return err }, "time", -1, "comparable pair"},
		row{"UnoC", func() error { _, err := UnoC(time, event, scores, 0, 0.95); return err }, "tau", -1, "positive"},
		row{"UnoC", func() error { _, err := UnoC(time, event, scores, nan, 0.95); return err }, "tau", -1, "NaN"},
		row{"UnoC", func() error { _, err := UnoC(time, event, scores, 0.5, 0.95); return err }, "time", -1, "up to tau"},
		row{"RMST", func() error { _, err := RMST(time, event, inf, 0.95); return err }, "tau", -1, "730"},
		row{"RMST", func() error { _, err := RMST(time, []bool{false, true, true, true}, 4.5, 0.95); return err }, "tau", -1, "at most 4 days"},
		row{"RMST", func() error { _, err := RMST(time, event, 2, 1); return err }, "level", -1, "1"},
		row{"RMSTDifference", difference(positive[:2], 2, 0.95), "exposed", -1, "2 long"},
		row{"RMSTDifference", difference(make([]bool, 4), 2, 0.95), "exposed", -1, "false for every"},
		row{"RMSTDifference", difference([]bool{true, true, true, true}, 2, 0.95), "exposed", -1, "true for every"},
		row{"RMSTDifference", difference([]bool{false, false, true, false}, 3, 0.95), "tau (exposed patients)", -1, "at most 2 days"},
		row{"RMSTDifference", difference([]bool{true, true, false, true}, 3, 0.95), "tau (patients not exposed)", -1, "at most 2 days"},
		row{"RMSTDifference", difference(positive, 2, 7), "level", -1, "7"},
		row{"Cox", fit(x[:3], 0.95), "x", -1, "3 long"},
		row{"Cox", fit([][]float64{{}, {}, {}, {}}, 0.95), "x", 0, "at least one covariate"},
		row{"Cox", fit([][]float64{{1}, {2}, {2, 3}, {1}}, 0.95), "x", 2, "2 long"},
		row{"Cox", fit([][]float64{{1}, {2}, {2}, {nan}}, 0.95), "x", 3, "NaN in column 0"},
		row{"Cox", fit(x, 3), "level", -1, "3"},
	)
	for _, r := range rows {
		err := r.call()
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%s with bad %s: got %v", r.name, r.argument, err)
			continue
		}
		if input.Function != r.name || input.Argument != r.argument || input.Index != r.index || input.Next == "" ||
			!strings.Contains(err.Error(), r.says) || !strings.HasPrefix(err.Error(), "stats."+r.name+": ") {
			t.Errorf("%s, argument %s, index %d, %q expected; got %q", r.name, r.argument, r.index, r.says, err)
		}
	}
}
