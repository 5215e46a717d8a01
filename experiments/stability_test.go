package experiments

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/table"
)

// The shipped stability config end to end, made small: both analyses leave what they should,
// a run's own scores come back, and workers change nothing.
func TestStabilityRun(t *testing.T) {
	small, err := Load("phantom-stability", "data.phantom.patients={train: 8, tune: 6, test: 8}", "data.phantom.second_scans=0.7", "data.phantom.readers=2",
		"seeds=[1]", "training.max_epochs=1", "training.batch=8", "network.input_pool=5", "network.stages=[{conv: {filters: 2, kernel: 3}}, {pool: {size: 2}}]",
		"network.dense=[{units: 4, dropout: 0.5}]", "evaluation.bootstrap=100", "backend=go",
		"analysis.inter_reader.perturb={draws: 2, patients: 3, jitter_mm: [2], contour_mm: [2]}")
	if err != nil {
		t.Fatal(err)
	}
	if small.Analysis.InterReader.Perturb.Seed == 0 || len(small.Analyses) != 2 {
		t.Fatalf("%+v", small.Analysis.InterReader)
	}
	env := tinyEnv(t)
	env.Jobs = 1
	done := run(t, small, env)
	if len(done.Findings) < 4 || !strings.HasPrefix(done.Findings[0], "test_retest: ") {
		t.Errorf("findings %q", done.Findings)
	}
	for _, name := range []string{"tables/test_retest.arrow", "tables/test_retest.parquet", "tables/inter_reader_pairs.arrow", "tables/inter_reader_scores.arrow",
		"figures/test-retest-scatter.svg", "figures/test-retest-bland-altman.svg", "figures/inter-reader-dice.svg", "figures/inter-reader-distance.svg", "figures/inter-reader-perturbed.svg"} {
		if _, err := os.Stat(filepath.Join(done.Dir, name)); err != nil {
			t.Error(err)
		}
	}
	page, err := os.ReadFile(filepath.Join(done.Dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`id="test-retest"`, `id="inter-reader"`, "that centre cut to a whole voxel"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	read := func(name string, columns ...table.Column) *table.Table {
		t.Helper()
		got, err := table.Read(filepath.Join(done.Dir, "tables", name+".arrow"), table.Schema{Name: name, Columns: append([]table.Column{{Name: "patient_id", Type: table.String}}, columns...)}, table.Ignore)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	number := func(name string) table.Column { return table.Column{Name: name, Type: table.Float64, Nullable: true} }
	own := map[string]float64{}
	scores := read("scores", number("score"))
	for i, id := range scores.Strings("patient_id") {
		own[id] = scores.Float64s("score")[i]
	}
	repeats := read("test_retest_scores", number("score_first"), number("score_second"))
	for i, id := range repeats.Strings("patient_id") {
		if d := math.Abs(repeats.Float64s("score_first")[i] - own[id]); !(d <= 1e-6) {
			t.Errorf("patient %s: the first scan's score is %v from the run's", id, d)
		}
	}
	if n := repeats.Rows(); n < 3 || n > 8 || slices.Equal(repeats.Float64s("score_first"), repeats.Float64s("score_second")) {
		t.Errorf("%d patients scanned twice, with scores %v", n, repeats.Float64s("score_second"))
	}
	draws := read("inter_reader_perturbed", number("score_as_drawn"), number("dice"), number("centre_shift"))
	if draws.Rows() != 3*(2+2+2+2) {
		t.Errorf("%d changed contours", draws.Rows())
	}
	for i, id := range draws.Strings("patient_id") {
		if d := math.Abs(draws.Float64s("score_as_drawn")[i] - own[id]); !(d <= 1e-6) {
			t.Errorf("patient %s: the score as drawn is %v from the run's", id, d)
		}
	}
	other := tinyEnv(t)
	other.Jobs, other.Cache = 3, env.Cache
	if d := differing(t, done.Dir, run(t, small, other).Dir); d != nil {
		t.Errorf("a run with other workers differs in %v", d)
	}
}
