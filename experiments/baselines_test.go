package experiments

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
	"hounsfield/experiments/analysis"
)

// Real patients with prepared scans have the baselines of the phantom: sizes from the
// contours, a forest and Cox models from the clinical table.
func TestBaselinesOnPreparedPatients(t *testing.T) {
	if os.Getenv(catalog.MirrorVariable) == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the clinical table is not here")
	}
	names := make([]string, 110)
	for i := range names {
		names[i] = fmt.Sprintf("LUNG1-%03d", i+1)
	}
	folder := prepareUnderNames(t, names, nil)
	done := run(t, tiny(t, "experiment=lung1", "data.source=prepared", "data.prepared.imaging="+folder, "seeds=[1]", "training.max_epochs=1",
		"analyses=[forest_comparison, clinical]", "comparison.trees=50"), tinyEnv(t))
	rivals, err := table.Read(filepath.Join(done.Dir, "tables/comparison.arrow"), comparisonSchema(), table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	for i, name := range rivals.Strings("predictor") {
		made[name] = rivals.Strings("made")[i]
	}
	if !strings.Contains(made[predictVolume], "contour") || !strings.Contains(made[predictForestClinical], "train patients") {
		t.Errorf("predictors %v", made)
	}
	measures, err := table.Read(filepath.Join(done.Dir, "tables/clinical.arrow"), analysis.MeasuresSchema("clinical"), nil)
	if err != nil || !slices.Contains(measures.Strings("metric"), "hazard ratio") {
		t.Errorf("measures of clinical: %v", err)
	}
	if !slices.ContainsFunc(done.Findings, func(s string) bool { return strings.Contains(s, "beside age") }) {
		t.Errorf("findings %q", done.Findings)
	}
}

// The surgery tables have neither survival nor a clinical table: that is said, with what
// to do.
func TestClinicalOnPatientsWithoutAChart(t *testing.T) {
	if os.Getenv(catalog.MirrorVariable) == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's tables are not here")
	}
	cfg, err := Load("published-surgery", "analyses=[clinical]", "evaluation.bootstrap=100")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), cfg, tinyEnv(t)); err == nil || !strings.Contains(err.Error(), "the analysis clinical cannot be made") || !strings.Contains(err.Error(), "97 test patients") {
		t.Errorf("got %v", err)
	}
}
