package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// Agreement, correlation, rank tests, permutation and combination refuse what they
// cannot use with an error that names the function, the argument and the element.
func TestAgreementInputErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	a, b := []float64{1, 2, 3, 4}, []float64{2, 1, 4, 5}
	ratings := [][]float64{{1, 2}, {2, 1}, {4, 5}}
	positive := []bool{true, false, true, false}
	long := make([]float64, 401)
	for i := range long {
		long[i] = float64(i)
	}
	zero := func() func(*rand.Rand) float64 { return func(*rand.Rand) float64 { return 0 } }
	type row struct {
		name     string
		err      func() error
		argument string
		index    int
		says     string
	}
	var rows []row
	add := func(name, argument string, index int, says string, call func() error) {
		rows = append(rows, row{name, call, argument, index, says})
	}
	// Two variables of the same patients.
	type pair struct {
		name, first, second string
		constant            bool // refuses a constant variable
		call                func(x, y []float64) error
	}
	for _, p := range []pair{
		{"Pearson", "x", "y", true, func(x, y []float64) error { _, err := Pearson(x, y, 0.95); return err }},
		{"Spearman", "x", "y", true, func(x, y []float64) error { _, err := Spearman(x, y, 0.95); return err }},
		{"Kendall", "x", "y", true, func(x, y []float64) error { _, err := Kendall(x, y, 0.95); return err }},
		{"LinCCC", "first", "second", true, func(x, y []float64) error { _, err := LinCCC(x, y, 0.95); return err }},
		{"BlandAltman", "first", "second", false, func(x, y []float64) error { _, err := BlandAltman(x, y, 0.95, 0.95); return err }},
		{"WilcoxonSignedRank", "first", "second", false, func(x, y []float64) error {
			_, err := WilcoxonSignedRank(x, y, TwoSided, AutoRank)
			return err
		}},
		{"HodgesLehmannPaired", "first", "second", false, func(x, y []float64) error { _, err := HodgesLehmannPaired(x, y, 0.95); return err }},
		{"PermutationAUC", "a", "b", false, func(x, y []float64) error {
			_, err := PermutationAUC(x, y, positive, Greater, 10, 1, 1)
			return err
		}},
		{"MetaAnalysis", "estimates", "se", false, func(x, y []float64) error { _, err := MetaAnalysis(x, y, FixedEffect, 0.95); return err }},
	} {
		add(p.name, p.first, -1, "empty", func() error { return p.call(nil, nil) })
		add(p.name, p.second, -1, "3 long", func() error { return p.call(a, b[:3]) })
		add(p.name, p.first, 2, "NaN", func() error { return p.call([]float64{1, 2, nan, 4}, b) })
		add(p.name, p.second, 0, "+Inf", func() error { return p.call(a, []float64{inf, 1, 2, 3}) })
		if p.constant {
			add(p.name, p.first, -1, "7 for every patient", func() error { return p.call([]float64{7, 7, 7, 7}, b) })
			add(p.name, p.second, -1, "7 for every patient", func() error { return p.call(a, []float64{7, 7, 7, 7}) })
			add(p.name, p.first, -1, "at least", func() error { return p.call(a[:1], b[:1]) })
		}
	}
	levels := map[string]func(level float64) error{
		"Pearson":             func(l float64) error { _, err := Pearson(a, b, l); return err },
		"Spearman":            func(l float64) error { _, err := Spearman(a, b, l); return err },
		"Kendall":             func(l float64) error { _, err := Kendall(a, b, l); return err },
		"LinCCC":              func(l float64) error { _, err := LinCCC(a, b, l); return err },
		"BlandAltman":         func(l float64) error { _, err := BlandAltman(a, b, 0.95, l); return err },
		"ICC":                 func(l float64) error { _, err := ICC(ICC21, ratings, l); return err },
		"MeasurementError":    func(l float64) error { _, err := MeasurementError(AgreementError, ratings, l); return err },
		"HodgesLehmann":       func(l float64) error { _, err := HodgesLehmann(a, b, l); return err },
		"HodgesLehmannPaired": func(l float64) error { _, err := HodgesLehmannPaired(a, b, l); return err },
		"MetaAnalysis":        func(l float64) error { _, err := MetaAnalysis(a, b, RandomEffects, l); return err },
		"FleissKappa":         func(l float64) error { _, err := FleissKappa([][]int{{1, 1}, {2, 0}}, l); return err },
		"CohenKappa": func(l float64) error {
			_, err := CohenKappa([]int{0, 1}, []int{1, 1}, 2, UnweightedKappa, l)
			return err
		},
	}
	for name, f := range levels {
		for _, l := range []float64{0, 1, nan, 95} {
			add(name, "level", -1, "between 0 and 1", func() error { return f(l) })
		}
	}
	icc := func(form ICCForm, x [][]float64) func() error {
		return func() error { _, err := ICC(form, x, 0.95); return err }
	}
	add("ICC", "form", -1, "ICC(2,k)", icc("ICC", ratings))
	add("ICC", "ratings", -1, "empty", icc(ICC11, nil))
	add("ICC", "ratings", -1, "2 subjects", icc(ICC11, ratings[:1]))
	add("ICC", "ratings", 0, "at least 2", icc(ICC11, [][]float64{{1}, {2}}))
	add("ICC", "ratings", 1, "3 long", icc(ICC11, [][]float64{{1, 2}, {2, 3, 4}}))
	add("ICC", "ratings", 2, "NaN for rater 1", icc(ICC31, [][]float64{{1, 2}, {2, 3}, {2, nan}}))
	add("ICC", "ratings", -1, "same everywhere", icc(ICC21, [][]float64{{3, 3}, {3, 3}}))
	add("MeasurementError", "kind", -1, "agreement, consistency", func() error { _, err := MeasurementError("both", ratings, 0.95); return err })
	add("MeasurementError", "ratings", -1, "empty", func() error { _, err := MeasurementError(AgreementError, nil, 0.95); return err })
	add("BlandAltman", "coverage", -1, "limits", func() error { _, err := BlandAltman(a, b, 1, 0.95); return err })
	add("BlandAltman", "first", -1, "at least 2", func() error { _, err := BlandAltman(a[:1], b[:1], 0.95, 0.95); return err })

	cohen := func(x, y []int, c int, w KappaWeight) func() error {
		return func() error { _, err := CohenKappa(x, y, c, w, 0.95); return err }
	}
	add("CohenKappa", "first", -1, "empty", cohen(nil, nil, 2, UnweightedKappa))
	add("CohenKappa", "second", -1, "1 long", cohen([]int{0, 1}, []int{0}, 2, UnweightedKappa))
	add("CohenKappa", "categories", -1, "2 or more", cohen([]int{0}, []int{0}, 1, UnweightedKappa))
	add("CohenKappa", "first", 1, "0 to 2", cohen([]int{0, 3}, []int{0, 1}, 3, UnweightedKappa))
	add("CohenKappa", "second", 0, "-1", cohen([]int{0, 2}, []int{-1, 1}, 3, UnweightedKappa))
	add("CohenKappa", "first", -1, "share of agreement", cohen([]int{1, 1}, []int{1, 1}, 3, QuadraticKappa))
	add("CohenKappa", "weight", -1, "quadratic", cohen([]int{0, 1}, []int{1, 1}, 2, "squared"))
	fleiss := func(c [][]int) func() error {
		return func() error { _, err := FleissKappa(c, 0.95); return err }
	}
	add("FleissKappa", "counts", -1, "empty", fleiss(nil))
	add("FleissKappa", "counts", -1, "2 subjects", fleiss([][]int{{1, 2}}))
	add("FleissKappa", "counts", 1, "3 ratings", fleiss([][]int{{1, 1}, {2, 1}}))
	add("FleissKappa", "counts", 1, "in 3 categories", fleiss([][]int{{1, 1}, {1, 1, 0}}))
	add("FleissKappa", "counts", 1, "-1 in category 0", fleiss([][]int{{1, 1}, {-1, 3}}))
	add("FleissKappa", "counts", 0, "at least 2", fleiss([][]int{{2}, {2}}))
	add("FleissKappa", "counts", 0, "at least 2", fleiss([][]int{{1, 0}, {0, 1}}))
	add("FleissKappa", "counts", -1, "category 1 only", fleiss([][]int{{0, 2}, {0, 2}}))

	mw := func(x, y []float64, s Alternative, m RankMethod) func() error {
		return func() error { _, err := MannWhitney(x, y, s, m); return err }
	}
	add("MannWhitney", "first", -1, "empty", mw(nil, b, TwoSided, AutoRank))
	add("MannWhitney", "second", -1, "empty", mw(a, nil, TwoSided, AutoRank))
	add("MannWhitney", "second", 1, "NaN", mw(a, []float64{1, nan}, TwoSided, AutoRank))
	add("MannWhitney", "alternative", -1, "greater", mw(a, b, "", AutoRank))
	add("MannWhitney", "method", -1, "auto", mw(a, b, Less, ""))
	add("MannWhitney", "method", -1, "at most 400", mw(long, b, Less, ExactRank))
	add("WilcoxonSignedRank", "first", -1, "identical", func() error { _, err := WilcoxonSignedRank(a, a, TwoSided, AutoRank); return err })
	add("WilcoxonSignedRank", "alternative", -1, "less", func() error { _, err := WilcoxonSignedRank(a, b, "both", AutoRank); return err })
	add("WilcoxonSignedRank", "method", -1, "auto", func() error { _, err := WilcoxonSignedRank(a, b, Less, "R"); return err })
	add("HodgesLehmann", "first", -1, "empty", func() error { _, err := HodgesLehmann(nil, b, 0.95); return err })
	add("HodgesLehmann", "second", 0, "-Inf", func() error { _, err := HodgesLehmann(a, []float64{-inf}, 0.95); return err })
	add("HodgesLehmann", "first", -1, "405 values", func() error { _, err := HodgesLehmann(long, b, 0.95); return err })

	permute := func(observed float64, s Alternative, m, workers int) func() error {
		return func() error { _, err := PermutationTest(observed, s, m, 1, workers, zero); return err }
	}
	add("PermutationTest", "observed", -1, "NaN", permute(nan, Greater, 10, 1))
	add("PermutationTest", "alternative", -1, "two-sided", permute(1, "one-sided", 10, 1))
	add("PermutationTest", "permutations", -1, "1000", permute(1, Greater, 0, 1))
	add("PermutationTest", "workers", -1, "0 for", permute(1, Greater, 10, -1))
	add("PermutationAUC", "positive", -1, "at least 1", func() error { _, err := PermutationAUC(a, b, make([]bool, 4), Greater, 10, 1, 1); return err })
	add("PermutationAUC", "permutations", -1, "1000", func() error { _, err := PermutationAUC(a, b, positive, Greater, -1, 1, 1); return err })

	add("MetaAnalysis", "se", 1, "positive", func() error {
		_, err := MetaAnalysis([]float64{1, 2}, []float64{1, 0}, FixedEffect, 0.95)
		return err
	})
	add("MetaAnalysis", "model", -1, "random", func() error { _, err := MetaAnalysis(a, b, "mixed", 0.95); return err })
	for name, f := range map[string]func([]float64) error{
		"FisherCombined":   func(p []float64) error { _, err := FisherCombined(p); return err },
		"StoufferCombined": func(p []float64) error { _, err := StoufferCombined(p, nil); return err },
		"Adjust":           func(p []float64) error { _, err := Adjust(p, BH); return err },
		"QValues":          func(p []float64) error { _, err := QValues(p, BootstrapPiZero); return err },
	} {
		add(name, "p", -1, "empty", func() error { return f(nil) })
		add(name, "p", 1, "NaN", func() error { return f([]float64{0.1, nan}) })
		add(name, "p", 0, "1.5", func() error { return f([]float64{1.5, 0.2}) })
		add(name, "p", 0, "-0.1", func() error { return f([]float64{-0.1, 0.2}) })
	}
	stouffer := func(p, w []float64) func() error {
		return func() error { _, err := StoufferCombined(p, w); return err }
	}
	add("StoufferCombined", "p", 1, "permutation", stouffer([]float64{0.1, 0}, nil))
	add("StoufferCombined", "weights", -1, "2 elements", stouffer([]float64{0.1, 0.2}, []float64{1}))
	add("StoufferCombined", "weights", 0, "positive", stouffer([]float64{0.1, 0.2}, []float64{0, 1}))
	add("Adjust", "correction", -1, "holm", func() error { _, err := Adjust([]float64{0.1}, "fdr"); return err })
	add("QValues", "method", -1, "smoother", func() error { _, err := QValues([]float64{0.1}, "spline"); return err })
	add("QValues", "p", -1, "Adjust with BH", func() error { _, err := QValues([]float64{0.01, 0.02, 0.001}, SmoothedPiZero); return err })

	for _, r := range rows {
		err := r.err()
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%s with bad %s: got %v", r.name, r.argument, err)
			continue
		}
		if input.Function != r.name || input.Argument != r.argument || input.Index != r.index || input.Next == "" || !strings.Contains(err.Error(), r.says) {
			t.Errorf("%s, argument %s, index %d, %q expected; got %q", r.name, r.argument, r.index, r.says, err)
		}
	}
}
