package stats_test

import (
	"errors"
	"fmt"
	"math"

	"hounsfield/stats"
)

// Twelve patients: the score is a predicted risk of death, higher is worse.
var (
	score = []float64{0.91, 0.85, 0.80, 0.80, 0.74, 0.62, 0.58, 0.55, 0.40, 0.33, 0.21, 0.17}
	days  = []float64{120, 410, 900, 300, 1100, 700, 220, 1400, 800, 610, 1600, 1500}
	died  = []bool{true, true, true, true, true, true, true, false, true, true, true, false}
	dead  = []bool{true, true, false, true, false, true, true, false, false, true, false, false} // at two years
)

func ExampleAUC() {
	auc, err := stats.AUC(score, dead)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.5f\n", auc)
	// Output: 0.76389
}

func ExampleROC() {
	curve, err := stats.ROC(score, dead)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range curve.FPR {
		fmt.Printf("score >= %.2f: FPR %.2f TPR %.2f\n", curve.Threshold[i], curve.FPR[i], curve.TPR[i])
	}
	// Output:
	// score >= +Inf: FPR 0.00 TPR 0.00
	// score >= 0.91: FPR 0.00 TPR 0.17
	// score >= 0.85: FPR 0.00 TPR 0.33
	// score >= 0.80: FPR 0.17 TPR 0.50
	// score >= 0.74: FPR 0.33 TPR 0.50
	// score >= 0.62: FPR 0.33 TPR 0.67
	// score >= 0.58: FPR 0.33 TPR 0.83
	// score >= 0.55: FPR 0.50 TPR 0.83
	// score >= 0.40: FPR 0.67 TPR 0.83
	// score >= 0.33: FPR 0.67 TPR 1.00
	// score >= 0.21: FPR 0.83 TPR 1.00
	// score >= 0.17: FPR 1.00 TPR 1.00
}

func ExampleDeLong() {
	r, err := stats.DeLong(score, dead, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("AUC %.3f (95%% CI %.3f to %.3f), p %.2g, %d of %d dead\n", r.AUC, r.Low, r.High, r.P, r.Positives, r.N)
	// Output: AUC 0.764 (95% CI 0.475 to 1.000), p 0.073, 6 of 12 dead
}

func ExampleNoether() {
	r, err := stats.Noether(score, dead, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("C %.3f (95%% CI %.3f to %.3f)\n", r.AUC, r.Low, r.High)
	// Output: C 0.771 (95% CI 0.581 to 0.962)
}

func ExampleDeLongPaired() {
	volume := []float64{12, 80, 30, 75, 20, 33, 41, 8, 26, 15, 50, 9} // ml, of the same patients
	r, err := stats.DeLongPaired(score, volume, dead, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.3f against %.3f, difference %.3f (%.3f to %.3f), p %.2f\n", r.A, r.B, r.Difference, r.Low, r.High, r.P)
	// Output: 0.764 against 0.722, difference 0.042 (-0.330 to 0.413), p 0.83
}

func ExampleBootstrapAUC() {
	r, err := stats.BootstrapAUC(score, dead, 2000, 1, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("AUC %.3f (95%% CI %.3f to %.3f), %d resamples, seed %d\n", r.Estimate, r.Low, r.High, r.Resamples, r.Seed)
	// Output: AUC 0.764 (95% CI 0.444 to 1.000), 2000 resamples, seed 1
}

func ExampleROCBand() {
	band, err := stats.ROCBand(score, dead, []float64{0, 0.5, 1}, 2000, 1, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, x := range band.FPR {
		fmt.Printf("FPR %.1f: TPR %.2f (%.2f to %.2f)\n", x, band.TPR[i], band.Low[i], band.High[i])
	}
	// Output:
	// FPR 0.0: TPR 0.33 (0.00 to 1.00)
	// FPR 0.5: TPR 0.83 (0.33 to 1.00)
	// FPR 1.0: TPR 1.00 (1.00 to 1.00)
}

func ExampleKaplanMeier() {
	curve, err := stats.KaplanMeier(days, died, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, low, high := curve.At(730)
	fmt.Printf("alive at two years: %.3f (95%% CI %.3f to %.3f)\n", s, low, high)
	fmt.Printf("median %.0f days (%.0f to %.0f)\n", curve.Median, curve.MedianLow, curve.MedianHigh)
	fmt.Println("at risk at 0, 365, 730 days:", curve.AtRisk([]float64{0, 365, 730}))
	// Output:
	// alive at two years: 0.500 (95% CI 0.208 to 0.736)
	// median 750 days (220 to NaN)
	// at risk at 0, 365, 730 days: [12 9 6]
}

func ExampleLogRank() {
	risk := make([]int, len(score))
	for i, s := range score {
		if s > 0.7 {
			risk[i] = 1
		}
	}
	r, err := stats.LogRank(days, died, risk)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, g := range r.Groups {
		fmt.Printf("group %d: %d patients, %.0f deaths, %.2f expected\n", g, r.N[i], r.Observed[i], r.Expected[i])
	}
	fmt.Printf("chi-square %.3f on %d df, p %.3f\n", r.ChiSquare, r.DF, r.P)
	// Output:
	// group 0: 7 patients, 5 deaths, 6.97 expected
	// group 1: 5 patients, 5 deaths, 3.03 expected
	// chi-square 1.957 on 1 df, p 0.162
}

func ExampleHarrellC() {
	r, err := stats.HarrellC(days, died, score, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("C %.3f (SE %.3f): %.0f concordant, %.0f discordant, %.0f tied\n", r.C, r.SE, r.Concordant, r.Discordant, r.TiedScore)
	// Output: C 0.738 (SE 0.095): 46 concordant, 16 discordant, 1 tied
}

func ExampleUnoC() {
	r, err := stats.UnoC(days, died, score, math.Inf(1), 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("C %.3f (95%% CI %.3f to %.3f)\n", r.C, r.Low, r.High)
	// Output: C 0.738 (95% CI 0.552 to 0.924)
}

func ExampleCox() {
	x := make([][]float64, len(score))
	for i, s := range score {
		x[i] = []float64{10 * s} // per tenth of risk
	}
	r, err := stats.Cox(days, died, x, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("hazard ratio %.2f (95%% CI %.2f to %.2f), likelihood ratio p %.3f\n", r.Terms[0].HR, r.Terms[0].Low, r.Terms[0].High, r.LikelihoodRatio.P)
	// Output: hazard ratio 1.41 (95% CI 0.99 to 2.02), likelihood ratio p 0.031
}

func ExampleRMSTDifference() {
	high := make([]bool, len(score))
	for i, s := range score {
		high[i] = s > 0.7
	}
	r, err := stats.RMSTDifference(days, died, high, 730, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.1f days of the first 730 against %.1f: difference %.1f (95%% CI %.1f to %.1f)\n", r.Exposed.RMST, r.Reference.RMST, r.Difference, r.Low, r.High)
	// Output: 458.0 days of the first 730 against 635.7: difference -177.7 (95% CI -425.1 to 69.7)
}

func ExampleInputError() {
	_, err := stats.AUC([]float64{0.2, math.NaN(), 0.7}, []bool{false, true, true})
	var input *stats.InputError
	if errors.As(err, &input) {
		fmt.Println("patient", input.Index)
	}
	fmt.Println(err)
	// Output:
	// patient 1
	// stats.AUC: scores[1] is NaN; allowed: a finite number; leave the patient out and list it in the exclusions table
}
