package experiments

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/analysis"
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
			patients = append(patients, datasets.Patient{ID: "P" + string(rune('A'+i/26)) + string(rune('a'+i%26)), Cohort: "made", Role: role, Age: table.Some(float64(50 + (i*11)%31))})
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
	cfg.Predictors, cfg.Trees, cfg.Features = []string{predictForest, predictForestMRMR, predictLogistic, predictVolume, predictForestSize, predictLogisticClinics}, 20, 1
	a, _, err := predictors(t.Context(), make2(false), cfg, 2)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := predictors(t.Context(), make2(true), cfg, 1)
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

// phantomStudy is the phantom as a run has it before the test role is opened, but with
// scores that are its hazard with noise, and cubes without voxels.
func phantomStudy(t *testing.T) *study {
	t.Helper()
	made, err := phantom.New(phantom.Default())
	if err != nil {
		t.Fatal(err)
	}
	s := &study{cohort: made.Cohort(), made: made, truth: made.TrueRisk(), images: made.Images(), scoredBy: scoredByNetwork}
	r := rand.New(rand.NewPCG(1, 2))
	for i, h := range s.truth {
		s.scores = append(s.scores, 1/(1+math.Exp(-h-r.NormFloat64())))
		d := made.Subject(i).Traits.DiameterMM
		s.cubes = append(s.cubes, &volume.Cube{VolumeMM3: math.Pi / 6 * d * d * d})
	}
	s.cubes[3] = nil // as of a scan that cannot be read
	return s
}

// On the phantom the rivals come from contours and from the chart of train and tune
// patients, and what they reach can be held against the known hazard.
func TestComparisonOnThePhantom(t *testing.T) {
	s := phantomStudy(t)
	cfg := Default().Comparison
	cfg.Trees = 200
	made, absent, err := predictors(t.Context(), s, cfg, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(absent) != 2 || absent[0].name != predictForest || absent[1].name != predictForestMRMR || !strings.Contains(absent[0].why, "engineered features") {
		t.Errorf("absent: %v", absent)
	}
	ev, err := evaluate(s, EvaluationConfig{Bootstrap: 100, RMSTDays: 730}, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	rivals, lost, err := compare(t.Context(), s, ev, made, cfg, 2)
	if err != nil || len(lost) > 0 || len(rivals) != len(predictorNames)-2 {
		t.Fatalf("%d rivals, lost %v, %v", len(rivals), lost, err)
	}
	truth, err := truthAUCs(s, ev)
	if err != nil {
		t.Fatal(err)
	}
	whole, chart := truth[0].auc, truth[2].auc
	auc := map[string]float64{}
	for k, r := range rivals {
		if made[k].late {
			t.Errorf("%s is cross-validated inside the test cohort, and train has its data", r.predictor)
		}
		auc[r.predictor] = r.auc.AUC
		if r.auc.AUC > whole.High {
			t.Errorf("%s: AUC %.3f beats the true hazard's %.3f", r.predictor, r.auc.AUC, whole.AUC)
		}
	}
	t.Logf("AUC %v; truth %.3f, scans %.3f, chart %.3f", auc, whole.AUC, truth[1].auc.AUC, chart.AUC)
	// Size is part of the hazard, and stage follows size: the chart's forest may know more
	// than its own part, and less than with the size beside it.
	if auc[predictVolume] < 0.6 || auc[predictForestClinical] < 0.5 || auc[predictForestClinical] > chart.High || auc[predictForestSize] < auc[predictForestClinical] {
		t.Errorf("AUCs %v, of the true clinical part %.3f (to %.3f)", auc, chart.AUC, chart.High)
	}
	for i, d := range made[1].scores {
		// Lobes and spicules stretch the tumour beyond the sphere of its volume; the chest wall cuts it.
		if traits := s.made.Subject(i).Traits; !traits.Pleural && (d < 0.9*traits.DiameterMM-3 || d > 2*traits.DiameterMM+4) {
			t.Errorf("subject %d: diameter %.1f mm, its sphere %.1f mm", i, d, traits.DiameterMM)
		}
	}
	if !math.IsNaN(made[0].scores[3]) {
		t.Error("a patient without a cube has a volume")
	}
}

// Rivals that cannot be made say why; none at all is an error before the test role is opened.
func TestComparisonSaysWhatIsLacking(t *testing.T) {
	s := phantomStudy(t)
	s.cubes, s.images = nil, nil
	for i := range s.cohort.Patients {
		s.cohort.Patients[i].Age, s.cohort.Patients[i].Stage = datasets.Null[float64]{}, datasets.Null[string]{}
	}
	var none *analysis.UnfitError
	_, _, err := predictors(t.Context(), s, Default().Comparison, 2)
	if !errors.As(err, &none) {
		t.Fatalf("no data: %v", err)
	}
	for _, want := range []string{"forest_comparison", "original_shape_Volume", "scans that are kept", "age or stage", "comparison.predictors"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// A role without a two-year label costs the rivals that would be fitted on it, and no more.
func TestComparisonWithoutTuneLabels(t *testing.T) {
	s := phantomStudy(t)
	var outcomes []datasets.Outcome
	for range s.cohort.Patients {
		outcomes = append(outcomes, datasets.Outcome{})
	}
	for _, role := range []datasets.Role{datasets.Train, datasets.Tune} {
		known, err := s.cohort.Outcomes(role)
		if err != nil {
			t.Fatal(err)
		}
		for k, i := range s.cohort.Of(role) {
			if role == datasets.Train {
				outcomes[i] = known[k]
			}
		}
	}
	var err error
	if s.cohort, err = datasets.NewCohort("made", s.cohort.Patients, outcomes, nil); err != nil {
		t.Fatal(err)
	}
	c := Default().Comparison
	c.Predictors, c.Trees = []string{predictVolume, predictLogistic, predictForestClinical}, 20
	made, absent, err := predictors(t.Context(), s, c, 2)
	if err != nil || len(made) != 2 || len(absent) != 1 || !strings.Contains(absent[0].why, "no tune patient has a two-year label") {
		t.Errorf("%d made, absent %v, %v", len(made), absent, err)
	}
}

// A run of both analyses of baselines keeps the rivals' scores with the network's, and
// what was found.
func TestComparisonRun(t *testing.T) {
	cfg := tiny(t, "data.phantom.patients={train: 30, tune: 24, test: 60}", "analyses=[forest_comparison, clinical]", "comparison.trees=50", "seeds=[1]")
	done := run(t, cfg, tinyEnv(t))
	for _, f := range []string{"tables/forest_comparison.arrow", "tables/forest_comparison.parquet", "tables/comparison.arrow", "figures/comparison.svg", "tables/clinical.arrow", "tables/clinical_models.arrow", "figures/clinical-stage-score.svg"} {
		if info, err := os.Stat(filepath.Join(done.Dir, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	number := func(name string) table.Column { return table.Column{Name: name, Type: table.Float64, Nullable: true} }
	scores, err := table.Read(filepath.Join(done.Dir, "tables/scores.arrow"), table.Schema{Name: "scores", Columns: []table.Column{
		number("score_volume"), number("score_diameter"), number("score_forest_clinical"), number("score_logistic_network_clinical")}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range scores.Float64s("score_diameter") {
		if !(v > 4 && v < 120) {
			t.Errorf("a diameter of %v mm", v)
		}
	}
	measures, err := table.Read(filepath.Join(done.Dir, "tables/forest_comparison.arrow"), analysis.MeasuresSchema(analysisComparison), nil)
	if err != nil || !slices.Contains(measures.Strings("group"), "true hazard: age and stage") {
		t.Errorf("measures: %v", err)
	}
	if len(done.Findings) == 0 || !strings.Contains(done.Findings[0], "volume") {
		t.Errorf("findings: %q", done.Findings)
	}
	checkTripodOfClinical(t, done)
	m, err := ReadManifest(done.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := fileSHA256(filepath.Join(done.Dir, "tables/scores.arrow")); err != nil || m.TestOpened.ScoresSHA256 != digest {
		t.Errorf("the test role was opened with other scores (%v)", err)
	}
}
