package experiments

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// The rivals on the real tables. Volume and diameter are known to the digit (R 4.2
// with pROC on the same columns); the forests within the spread of their seeds
// (ranger and scikit-learn on the same tables).
func TestComparisonOnPublishedTables(t *testing.T) {
	if os.Getenv(catalog.MirrorVariable) == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's tables are not here")
	}
	cfg, err := Load("published-comparison-rt", "comparison.repeats=2", "comparison.trees=200", "evaluation.bootstrap=200")
	if err != nil {
		t.Fatal(err)
	}
	done := run(t, cfg, tinyEnv(t))
	got, err := table.Read(filepath.Join(done.Dir, "tables/comparison.arrow"), comparisonSchema(), table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	row := map[string]int{}
	for i, name := range got.Strings("predictor") {
		row[got.Strings("cohort")[i]+" "+name] = i
	}
	for _, c := range []struct {
		row, auc, p string
	}{
		{"Maastro volume", "0.643500", "0.142"}, {"Maastro diameter", "0.630278", "0.093"},
		{"M-SPORE volume", "0.513971", "0.063"}, {"M-SPORE diameter", "0.504779", "0.056"},
	} {
		i, ok := row[c.row]
		if !ok {
			t.Errorf("no row %s", c.row)
			continue
		}
		if want, half := printed(t, c.auc); math.Abs(got.Float64s("auc")[i]-want) > half {
			t.Errorf("%s: AUC %v, want %s", c.row, got.Float64s("auc")[i], c.auc)
		}
		if want, half := printed(t, c.p); math.Abs(got.Float64s("p_delong")[i]-want) > half {
			t.Errorf("%s: paired DeLong p %v, want %s", c.row, got.Float64s("p_delong")[i], c.p)
		}
	}
	for name, within := range map[string][2]float64{
		"Maastro forest": {0.58, 0.68}, "M-SPORE forest": {0.47, 0.63}, "Maastro forest-clinical": {0.45, 0.58},
	} {
		i, ok := row[name]
		if auc := got.Float64s("auc")[i]; !ok || auc < within[0] || auc > within[1] {
			t.Errorf("%s: AUC %v, want %v", name, auc, within)
		}
	}
	if _, ok := row["M-SPORE forest-clinical"]; ok {
		t.Error("a clinical forest without clinical data")
	}
	meta, err := table.Read(filepath.Join(done.Dir, "tables/comparison_meta.arrow"), table.Schema{Name: "meta", Columns: []table.Column{
		{Name: "predictor", Type: table.String}, {Name: "difference", Type: table.Float64, Nullable: true}}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	// Both differences are positive, so their mean lies between them.
	for i, name := range meta.Strings("predictor") {
		a, b := got.Float64s("difference")[row["Maastro "+name]], got.Float64s("difference")[row["M-SPORE "+name]]
		if d := meta.Float64s("difference")[i]; d < min(a, b) || d > max(a, b) {
			t.Errorf("%s: combined difference %v outside %v and %v", name, d, a, b)
		}
	}
	report, err := os.ReadFile(filepath.Join(done.Dir, "report.html"))
	if err != nil || !strings.Contains(string(report), "Beside other predictors") {
		t.Errorf("the report has no comparison: %v", err)
	}
}

// A forest's scores may not depend on the test outcomes: turning them round changes
// nothing before the test role is opened.
func TestPredictorsNeverSeeTest(t *testing.T) {
	make2 := func(flip bool) *study {
		var patients []datasets.Patient
		var outcomes []datasets.Outcome
		values, score := make([]float64, 90), make([]float64, 90)
		for i := range 90 {
			role := []datasets.Role{datasets.Train, datasets.Tune, datasets.Test}[i%3]
			dead := (i*7)%5 < 2
			if role == datasets.Test && flip {
				dead = !dead
			}
			patients = append(patients, datasets.Patient{ID: "P" + string(rune('A'+i/26)) + string(rune('a'+i%26)), Cohort: "made", Role: role})
			outcomes = append(outcomes, datasets.Outcome{Alive2yr: table.Some(!dead)})
			values[i], score[i] = 1+float64((i*37)%91), float64((i*53)%89)/90
		}
		features := []datasets.Feature{}
		for _, name := range []string{volumeFeature, diameterFeature} {
			features = append(features, datasets.Feature{Column: table.Column{Name: name, Type: table.Float64, Nullable: true}, Values: values})
		}
		c, err := datasets.NewCohort("made", patients, outcomes, features)
		if err != nil {
			t.Fatal(err)
		}
		return &study{cohort: c, scores: score, scoredBy: "made"}
	}
	cfg := Default().Comparison
	cfg.Predictors, cfg.Trees, cfg.Features = []string{predictForest, predictForestMRMR, predictLogistic, predictVolume}, 20, 1
	a, err := predictors(make2(false), cfg, 2)
	if err != nil {
		t.Fatal(err)
	}
	b, err := predictors(make2(true), cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	for k := range a {
		for i := range a[k].scores {
			if a[k].scores[i] != b[k].scores[i] {
				t.Fatalf("%s: patient %d scores %v and %v", a[k].name, i, a[k].scores[i], b[k].scores[i])
			}
		}
	}
}
