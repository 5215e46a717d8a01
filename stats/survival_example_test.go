package stats_test

import (
	"fmt"

	"hounsfield/stats"
)

// The twelve patients again, treated in two hospitals; age in decades.
var (
	hospital = []int{1, 1, 1, 2, 2, 1, 1, 2, 2, 1, 2, 2}
	age      = []float64{7.1, 6.4, 7.7, 6.9, 5.8, 7.3, 8.1, 6.2, 6.6, 7.0, 5.1, 6.0}
	ended    = []int{1, 1, 2, 1, 1, 2, 1, 0, 1, 1, 2, 0} // 1 of the cancer, 2 of something else
)

func ExampleCox_strata() {
	x := make([][]float64, len(score))
	for i := range x {
		x[i] = []float64{score[i], age[i]}
	}
	fit, err := stats.Cox(days, died, x, 0.95, stats.CoxStrata(hospital), stats.CoxRobust())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("per decade of age: HR %.2f (robust 95%% CI %.2f to %.2f)\n", fit.Terms[1].HR, fit.Terms[1].Low, fit.Terms[1].High)
	drift, err := fit.ProportionalHazards(stats.KMTime)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("proportional hazards: p = %.2f\n", drift.Global.P)
	alive, err := fit.PredictSurvival(x[:2], hospital[:2], []float64{730})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("alive at two years: %.2f and %.2f\n", alive[0][0], alive[1][0])
	// Output:
	// per decade of age: HR 1.47 (robust 95% CI 0.41 to 5.25)
	// proportional hazards: p = 0.89
	// alive at two years: 0.12 and 0.24
}

func ExampleTimeAUC() {
	r, err := stats.TimeAUC(days, died, score, []float64{365, 730}, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	for k, t := range r.Time {
		fmt.Printf("day %.0f: AUC %.3f (95%% CI %.3f to %.3f), %d dead, %d alive\n", t, r.AUC[k], r.Low[k], r.High[k], r.Cases[k], r.Controls[k])
	}
	// Output:
	// day 365: AUC 0.796 (95% CI 0.534 to 1.000), 3 dead, 9 alive
	// day 730: AUC 0.764 (95% CI 0.500 to 1.000), 6 dead, 6 alive
}

func ExampleHarrellCPaired() {
	r, err := stats.HarrellCPaired(days, died, score, age, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("C of the score %.3f, of age %.3f, difference %.3f (95%% CI %.3f to %.3f), p = %.2f\n", r.A.C, r.B.C, r.Difference, r.Low, r.High, r.P)
	// Output:
	// C of the score 0.738, of age 0.746, difference -0.008 (95% CI -0.213 to 0.197), p = 0.94
}

func ExampleCumulativeIncidence() {
	curves, err := stats.CumulativeIncidence(days, ended, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range curves {
		f, low, high := c.At(730)
		fmt.Printf("cause %d by day 730: %.3f (95%% CI %.3f to %.3f)\n", c.Cause, f, low, high)
	}
	// Output:
	// cause 1 by day 730: 0.417 (95% CI 0.140 to 0.677)
	// cause 2 by day 730: 0.083 (95% CI 0.004 to 0.333)
}
