package report_test

import (
	"bytes"
	"fmt"

	"hounsfield/experiments/report"
)

func ExampleRender() {
	page, err := report.Render(report.Document{
		Title:    "Comparison of 2 runs",
		Software: "hounsfield v0.1.0",
		Lead:     []report.Block{report.KeyFigures{{Label: "Test AUC", Value: "0.73", Interval: "95% CI 0.65 to 0.80", N: 160}}},
		Sections: []report.Section{{Title: "Configuration", Blocks: []report.Block{report.Table{
			Caption: report.Text("Settings that differ."),
			Columns: []report.Column{{Title: "Setting"}, {Title: "run a", Number: true}, {Title: "run b", Number: true}},
			Rows:    []report.Row{{Cells: report.Cells("training.batch", "16", "32"), Differs: true}},
		}}}},
	})
	fmt.Println(err, bytes.Contains(page, []byte(`<a href="#configuration">Configuration</a>`)))
	// Output: <nil> true
}
