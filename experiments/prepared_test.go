package experiments

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
)

// prepareUnderNames prepares a few phantom scans from DICOM and writes an imaging
// table in which they bear other names, again and again.
func prepareUnderNames(t *testing.T, names []string) string {
	t.Helper()
	p, err := phantom.New(phantom.Default())
	if err != nil {
		t.Fatal(err)
	}
	scans, out := t.TempDir(), t.TempDir()
	for i := range 3 {
		if err := p.WriteDICOM(scans, 40*i); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Default()
	done, err := prepare.Run(t.Context(), prepare.Options{Root: scans, Out: out, Cohort: "nsclc-radiomics",
		Rule: dicom.ROIRule{Exact: []string{phantom.ROIName}}, Cube: cfg.cubeSpec()})
	if err != nil || done.Prepared != 3 {
		t.Fatal(done, err)
	}
	have, err := readImaging(done.Imaging)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{}
	for _, c := range prepare.ImagingSchema().Columns {
		switch {
		case c.Name == "patient_id":
			data[c.Name] = names
		case c.Type == table.String:
			data[c.Name] = again(table.Nulls[string](have, c.Name), len(names))
		case c.Type == table.Int64:
			data[c.Name] = again(table.Nulls[int64](have, c.Name), len(names))
		default:
			data[c.Name] = again(table.Nulls[float64](have, c.Name), len(names))
		}
	}
	renamed, err := table.New(prepare.ImagingSchema(), nil, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := renamed.Write(done.Imaging); err != nil {
		t.Fatal(err)
	}
	return out
}

func again[V any](v []V, n int) []V {
	out := make([]V, n)
	for i := range out {
		out[i] = v[i%len(v)]
	}
	return out
}

// Real patients train by the same path as phantoms: prepared scans, a clinical
// table, a split by id, and a row for each patient who has one but not the other.
func TestPreparedCohort(t *testing.T) {
	mirror := os.Getenv(catalog.MirrorVariable)
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the clinical table is not here")
	}
	names := make([]string, 61)
	for i := range names {
		names[i] = fmt.Sprintf("LUNG1-%03d", i+1)
	}
	names[60] = "SOMEBODY-ELSE"
	folder := prepareUnderNames(t, names)
	cfg := tiny(t, "experiment=lung1", "data.source=prepared", "data.prepared.imaging="+folder, "seeds=[1]")
	done := run(t, cfg, tinyEnv(t))
	lost, err := datasets.ReadExclusions(filepath.Join(done.Dir, "tables/exclusions.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]int{}
	for _, e := range lost {
		stages[e.Stage]++
	}
	if stages["image"] != 422-60 || stages["clinical"] != 1 {
		t.Errorf("exclusions by stage: %v", stages)
	}
	if m, ok := find(done.Metrics, metricAUC, "test", scoredByNetwork); !ok || m.N < 5 {
		t.Errorf("test AUC %+v", m)
	}

	// A cube that is not what was prepared is not trained on.
	cubes, err := filepath.Glob(filepath.Join(folder, "*", "cube.nii.gz"))
	if err != nil || len(cubes) != 3 {
		t.Fatal(cubes, err)
	}
	b, err := os.ReadFile(cubes[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cubes[0], b, 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := openSource(cfg, tinyEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	env := tinyEnv(t)
	env.Jobs = 1
	src.(*preparedSource).env = env
	s, err := src.study(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, e := range s.exclusions {
		if e.Stage == "cube" && strings.Contains(e.Reason, "has changed since it was prepared") {
			changed++
		}
	}
	if changed != 20 {
		t.Errorf("%d patients excluded for a changed cube, want 20", changed)
	}
}
