package figure_test

import (
	"bytes"
	"fmt"

	"hounsfield/experiments/figure"
)

func ExampleForest() {
	svg, err := figure.Forest(figure.ForestPlot{
		Rows: []figure.ForestRow{
			{Name: "seed 1", Estimate: figure.Estimate{Value: 0.72, Low: 0.64, High: 0.80}, N: 160},
			{Name: "seed 2", Estimate: figure.Estimate{Value: 0.70, Low: 0.61, High: 0.78}, N: 160},
		},
		Lines: []figure.ForestLine{{Name: "true hazard", At: 0.853}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, rest, _ := bytes.Cut(svg, []byte(`<desc id="desc">`))
	said, _, _ := bytes.Cut(rest, []byte("</desc>"))
	fmt.Println(string(said))
	// Output: AUC with 95% confidence intervals. seed 1: 0.72 (95% CI 0.64 to 0.80), n = 160. seed 2: 0.70 (95% CI 0.61 to 0.78), n = 160. Line true hazard: 0.85.
}

func ExampleROC_reversed() {
	_, err := figure.ROC(figure.ROCPlot{Curves: []figure.ROCCurve{{
		Name: "published P(alive), not converted",
		FPR:  []float64{0, 0.5, 1}, TPR: []float64{0, 0.25, 1},
		AUC: figure.Estimate{Value: 0.625}, N: 211,
	}}})
	fmt.Println(err)
	// Output: figure roc, "published P(alive), not converted": AUC is 0.6250, but the area under the curve is 0.3750; take both from the same scores, with higher meaning higher risk
}
