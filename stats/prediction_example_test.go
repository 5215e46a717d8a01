package stats_test

import (
	"fmt"

	"hounsfield/stats"
)

func ExampleYoudenCut() {
	// Chosen on the tune cohort, applied to others with CutAt.
	r, err := stats.YoudenCut(score, dead, stats.Wilson, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("score >= %.2f: sensitivity %.2f (%.2f to %.2f), specificity %.2f; %s\n",
		r.Threshold, r.Sensitivity.Estimate, r.Sensitivity.Low, r.Sensitivity.High, r.Specificity.Estimate, r.Choice)
	// Output: score >= 0.58: sensitivity 0.83 (0.44 to 0.97), specificity 0.67; highest Youden index of these patients
}

func ExampleCalibration() {
	r, err := stats.Calibration(score, dead, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("slope %.2f, observed/expected %.2f\n", r.Slope.Estimate, r.ObservedRatio)
	risk, err := r.Recalibrated([]float64{0.2, 0.8})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("risks of 0.2 and 0.8 become %.2f and %.2f\n", risk[0], risk[1])
	// Output:
	// slope 0.87, observed/expected 0.86
	// risks of 0.2 and 0.8 become 0.17 and 0.70
}

func ExampleDecisionCurve() {
	r, err := stats.DecisionCurve(score, dead, []float64{0.3, 0.5}, 2000, 1, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, t := range r.Threshold {
		fmt.Printf("from a risk of %.1f: net benefit %.3f, of treating all %.3f\n", t, r.NetBenefit[i], r.TreatAll[i])
	}
	// Output:
	// from a risk of 0.3: net benefit 0.357, of treating all 0.286
	// from a risk of 0.5: net benefit 0.167, of treating all 0.000
}

func ExampleAUCSampleSize() {
	// An AUC of 0.70 where 70% die: 0.43 survivors per death.
	n, err := stats.AUCSampleSize(0.70, 0.43, 0.05, 0.8)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Positives, "deaths and", n.Negatives, "survivors")
	// Output: 50 deaths and 22 survivors
}
