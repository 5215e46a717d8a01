package experiments

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/table"
)

// prepareUnderNames prepares a few phantom scans from DICOM and writes tables in which
// they bear other names, again and again; with features where there are settings for them.
func prepareUnderNames(t *testing.T, names []string, features *radiomics.Settings) string {
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
		Rule: dicom.ROIRule{Exact: []string{phantom.ROIName}}, Cube: cfg.cubeSpec(), Features: features})
	if err != nil || done.Prepared != 3 {
		t.Fatal(done, err)
	}
	have, err := prepare.ReadImaging(out)
	if err != nil {
		t.Fatal(err)
	}
	rename(t, have, prepare.ImagingSchema(), names, done.Imaging)
	if features != nil {
		file := filepath.Join(out, prepare.FeaturesFile)
		described, err := table.Read(file, table.Schema{Name: "features", Columns: []table.Column{
			{Name: "patient_id", Type: table.String}, {Name: "scan", Type: table.Int64}, {Name: "reader", Type: table.String, Nullable: true}}}, table.Keep)
		if err != nil {
			t.Fatal(err)
		}
		rename(t, described, described.Schema(), names, file)
	}
	return out
}

// rename writes a table with its rows again and again under other names.
func rename(t *testing.T, have *table.Table, schema table.Schema, names []string, file string) {
	t.Helper()
	data := map[string]any{}
	for _, c := range schema.Columns {
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
	renamed, err := table.New(schema, nil, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := renamed.Write(file); err != nil {
		t.Fatal(err)
	}
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
	folder := prepareUnderNames(t, names, nil)
	// Named from where it lies, found from anywhere, and the same run under either name.
	t.Chdir(filepath.Dir(folder))
	env := tinyEnv(t)
	done := run(t, tiny(t, "experiment=lung1", "data.source=prepared", "data.prepared.imaging=./"+filepath.Base(folder), "seeds=[1]"), env)
	t.Chdir(t.TempDir())
	if err := Verify(done.Dir, env, io.Discard); err != nil {
		t.Error(err)
	}
	cfg := tiny(t, "experiment=lung1", "data.source=prepared", "data.prepared.imaging="+folder, "seeds=[1]")
	if again := run(t, cfg, env); !again.Already || again.Dir != done.Dir {
		t.Errorf("named by its whole path it is another run: %s and %s", again.Dir, done.Dir)
	}
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
	env = tinyEnv(t)
	env.Jobs = 1
	src.(*preparedSource).env = env
	s, err := src.study(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.images != nil {
		t.Error("scans that were not kept are there")
	}
	if c := s.cubes[0]; c != nil && (c.CentreIndex == [3]int{} || c.CentreMM == [3]float64{}) {
		t.Errorf("a cube without its place: %v", c.CentreIndex)
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

// Features that prepare computed are those that a forest reads, patient by patient, also
// where most patients of the clinical table have no scan. Whose scan is the first of the
// three dies early, so a forest that knows them parts the test patients.
func TestPreparedFeaturesFeedTheForest(t *testing.T) {
	const all, scanned = 422, 60
	mirror := t.TempDir()
	clinical := "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,gender,Survival.time,deadstatus.event\n"
	var names []string
	for i := range all {
		id, days := fmt.Sprintf("LUNG1-%03d", i+1), 1500
		if i%3 == 0 {
			days = 200
		}
		clinical += fmt.Sprintf("%s,70,2,1,0,II,nos,male,%d,1\n", id, days)
		if i < scanned {
			names = append(names, id)
		}
	}
	if err := os.MkdirAll(filepath.Join(mirror, "nsclc-radiomics"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mirror, "nsclc-radiomics", "clinical.csv"), []byte(clinical), 0o644); err != nil {
		t.Fatal(err)
	}
	folder := prepareUnderNames(t, names, &radiomics.Settings{SpacingMM: 3, BinWidth: 25})
	env := tinyEnv(t)
	env.Mirror, env.Jobs = mirror, 2
	src, err := openSource(tiny(t, "data.source=prepared", "data.prepared.imaging="+folder), env)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(src.inputs(), func(i Input) bool { return i.Name == "features table" }) {
		t.Error("the features are no input of the run")
	}
	s, err := src.study(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := Default().Comparison
	c.Predictors, c.Trees = []string{predictForest}, 50
	made, absent, err := predictors(t.Context(), s, c, 2)
	if err != nil || len(absent) > 0 {
		t.Fatal(absent, err)
	}
	row := map[string]int{}
	for i, name := range names {
		row[name] = i
	}
	tested := 0
	for _, i := range s.cohort.Of(datasets.Test) {
		k, there := row[s.cohort.Patients[i].ID]
		switch score := made[0].scores[i]; {
		case !there && !math.IsNaN(score):
			t.Errorf("%s has no scan and a score of %v", s.cohort.Patients[i].ID, score)
		case there && (score > 0.5) != (k%3 == 0):
			t.Errorf("%s, of scan %d: score %v", s.cohort.Patients[i].ID, k%3, score)
		case there:
			tested++
		}
	}
	if tested < 5 {
		t.Errorf("only %d test patients with a scan", tested)
	}
}

// The scans of a prepared cohort are there when they were kept, of all patients and repeats.
func TestPreparedScans(t *testing.T) {
	p, err := phantom.New(phantom.Default())
	if err != nil {
		t.Fatal(err)
	}
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "prepared")
	if err := p.WriteReaders(root, 0, []string{"GTV-1", "GTV-1vis-1", "GTV-1vis-2"}); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	o := PrepareOptions{Source: root, Out: out, Dataset: "nsclc-radiomics", Repeats: "readers=^GTV-1(?P<reader>vis-[0-9])$"}
	if err := Prepare(t.Context(), o, &said); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"repeats:  readers: ROI names that match ^GTV-1", "1 of 1 patients prepared, 2 contours by other readers", "; 2 other readers (vis-1, vis-2), tumour "} {
		if !strings.Contains(said.String(), s) {
			t.Errorf("%q is not said:\n%s", s, said.String())
		}
	}
	// Not two at a time in one folder.
	lock, err := LockFolder(out)
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if err := Prepare(t.Context(), o, io.Discard); !errors.As(err, &busy) {
		t.Errorf("in a folder that another process fills: %v", err)
	}
	lock.Close()
	src := &preparedSource{cfg: tiny(t, "data.source=prepared", "data.prepared.imaging="+out)}
	scans, err := src.scans()
	if err != nil || len(scans.IDs()) != 1 {
		t.Fatalf("scans %v, error %v", scans, err)
	}
	imaging, err := prepare.ReadImaging(out)
	if err != nil {
		t.Fatal(err)
	}
	src.imaging = filepath.Join(out, prepare.ImagingFile)
	if _, err := src.read(imaging, prepare.References(imaging)[scans.IDs()[0]]); err != nil {
		t.Error(err)
	}
	src.cfg.Cube.SpacingMM = 2
	if _, err := src.read(imaging, 0); err == nil || !strings.Contains(err.Error(), "set cube.spacing_mm to 1") {
		t.Errorf("cubes of 1 mm for networks of 2 mm: %v", err)
	}
	if all, err := scans.Readings(t.Context(), 0); err != nil || len(all) != 2 {
		t.Errorf("%d readings, error %v", len(all), err)
	}
}

// The rule for repeats is the data set's unless another is given.
func TestRepeatsRule(t *testing.T) {
	for _, c := range []struct{ dataset, given, rule string }{
		{"rider-lung-ct", "", "scans: one or two CT series"}, {"rider-lung-ct", "none", "none"}, {"nsclc-radiomics", "", "none"}, {"nsclc-radiomics", "scans", "scans: "},
		{"nsclc-radiomics-interobserver1", "", "readers: ROI names that match ^GTV-1(?P<reader>(vis|auto)-[1-5])$"},
		{"rider-lung-ct", "readers=^R(?P<reader>.)$", "readers: ROI names that match ^R(?P<reader>.)$"}, {"hosny2018", "", "none"},
	} {
		if got, err := repeatsRule(c.dataset, c.given); err != nil || !strings.HasPrefix(got.String(), c.rule) {
			t.Errorf("%s %q: %v, error %v", c.dataset, c.given, got, err)
		}
	}
	for given, says := range map[string]string{"both": "none, scans, or readers=PATTERN", "readers": "none, scans", "readers=x": "begin with ^"} {
		if _, err := repeatsRule("rider-lung-ct", given); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", given, err)
		}
	}
	// Scans without outcomes are no cohort to train on.
	cfg := tiny(t, "data.source=prepared", "data.prepared.imaging="+t.TempDir(), "data.prepared.dataset=rider-lung-ct")
	empty, err := table.New(prepare.ImagingSchema(), nil, emptyImaging())
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.Write(filepath.Join(cfg.Data.Prepared.Imaging, prepare.ImagingFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := openPrepared(cfg, tinyEnv(t)); err == nil || !strings.Contains(err.Error(), "analysis.test_retest.imaging") {
		t.Errorf("rider-lung-ct as a cohort: %v", err)
	}
}

func emptyImaging() map[string]any {
	data := map[string]any{}
	for _, c := range prepare.ImagingSchema().Columns {
		switch c.Type {
		case table.String:
			data[c.Name] = []string{}
		case table.Int64:
			data[c.Name] = []int64{}
		default:
			data[c.Name] = []float64{}
		}
	}
	return data
}
