package stats_test

import (
	"fmt"

	"hounsfield/stats"
)

// Six subjects, four raters: Shrout and Fleiss 1979, table 2.
var rated = [][]float64{{9, 2, 5, 8}, {6, 1, 3, 2}, {8, 4, 6, 8}, {7, 1, 2, 6}, {10, 5, 6, 9}, {6, 2, 4, 7}}

func ExampleICC() {
	for _, form := range []stats.ICCForm{stats.ICC11, stats.ICC21, stats.ICC31, stats.ICC1k, stats.ICC2k, stats.ICC3k} {
		r, err := stats.ICC(form, rated, 0.95)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s = %s: %.2f (95%% CI %.2f to %.2f), F(%.0f, %.0f) %.2f, p %.4f\n", form, form.McGrawWong(), r.ICC, r.Low, r.High, r.DF1, r.DF2, r.F, r.P)
	}
	// Output:
	// ICC(1,1) = ICC(1): 0.17 (95% CI -0.13 to 0.72), F(5, 18) 1.79, p 0.1648
	// ICC(2,1) = ICC(A,1): 0.29 (95% CI 0.02 to 0.76), F(5, 15) 11.03, p 0.0001
	// ICC(3,1) = ICC(C,1): 0.71 (95% CI 0.34 to 0.95), F(5, 15) 11.03, p 0.0001
	// ICC(1,k) = ICC(k): 0.44 (95% CI -0.88 to 0.91), F(5, 18) 1.79, p 0.1648
	// ICC(2,k) = ICC(A,k): 0.62 (95% CI 0.07 to 0.93), F(5, 15) 11.03, p 0.0001
	// ICC(3,k) = ICC(C,k): 0.91 (95% CI 0.68 to 0.99), F(5, 15) 11.03, p 0.0001
}

func ExampleBlandAltman() {
	first, second := []float64{12.1, 30.4, 25.0, 41.2, 18.9, 33.3}, []float64{11.0, 31.0, 23.8, 40.1, 19.5, 31.2}
	r, err := stats.BlandAltman(first, second, 0.95, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("bias %.2f mm (95%% CI %.2f to %.2f)\n", r.Bias.Estimate, r.Bias.Low, r.Bias.High)
	fmt.Printf("upper limit of agreement %.2f mm (95%% CI %.2f to %.2f)\n", r.Upper.Estimate, r.Upper.Low, r.Upper.High)
	// Output:
	// bias 0.72 mm (95% CI -0.42 to 1.86)
	// upper limit of agreement 2.85 mm (95% CI 1.79 to 6.27)
}

func ExamplePermutationAUC() {
	volume := []float64{30, 6, 40, 55, 8, 20, 7, 25, 14, 12, 9, 5} // of the twelve patients, ml
	r, err := stats.PermutationAUC(score, volume, dead, stats.Greater, 1000, 42, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("AUC difference %.3f, %s: p %.3f of %d permutations, seed %d\n", r.Observed, r.Alternative, r.P, r.Permutations, r.Seed)
	// Output: AUC difference 0.208, greater: p 0.137 of 1000 permutations, seed 42
}

func ExampleMetaAnalysis() {
	// The published AUCs of both treatments, less 0.5.
	r, err := stats.MetaAnalysis([]float64{0.701656 - 0.5, 0.708088 - 0.5}, []float64{0.0381513, 0.0575904}, stats.RandomEffects, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("AUC %.3f (95%% CI %.3f to %.3f), p %.1e; Q %.4f, p %.2f, I2 %.0f%%\n", 0.5+r.Estimate, 0.5+r.Low, 0.5+r.High, r.P, r.Q, r.QP, 100*r.I2)
	// Output: AUC 0.704 (95% CI 0.641 to 0.766), p 1.5e-10; Q 0.0087, p 0.93, I2 0%
}

func ExampleAdjust() {
	p := []float64{0.001, 0.013, 0.021, 0.4}
	for _, c := range []stats.Correction{stats.Bonferroni, stats.Holm, stats.BH, stats.BY} {
		adjusted, err := stats.Adjust(p, c)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %.4f\n", c, adjusted)
	}
	// Output:
	// bonferroni [0.0040 0.0520 0.0840 1.0000]
	// holm [0.0040 0.0390 0.0420 0.4000]
	// BH [0.0040 0.0260 0.0280 0.4000]
	// BY [0.0083 0.0542 0.0583 0.8333]
}
