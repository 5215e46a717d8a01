package experiments

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/models/cnn"
)

// tiny is a whole experiment that takes seconds: few patients, a network of two
// filters.
func tiny(t testing.TB, set ...string) Config {
	t.Helper()
	cfg, err := Load("phantom", append([]string{
		"data.phantom.patients={train: 16, tune: 12, test: 16}", "seeds=[1, 2]", "training.max_epochs=2", "training.batch=8",
		"network.input_pool=5", "network.stages=[{conv: {filters: 2, kernel: 3}}, {pool: {size: 2}}]", "network.dense=[{units: 4, dropout: 0.5}]",
		"evaluation.bootstrap=200", "backend=go",
	}, set...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func tinyEnv(t testing.TB) Env {
	t.Helper()
	return Env{Runs: t.TempDir(), Cache: t.TempDir(), Code: "test"}
}

func run(t testing.TB, cfg Config, env Env) *Done {
	t.Helper()
	done, err := Run(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func outputs(t testing.TB, dir string) map[string]string {
	t.Helper()
	out, err := hashOutputs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// differing names the files of two run folders that are not the same. Checkpoints
// hold wall times and are left out.
func differing(t testing.TB, a, b string) []string {
	t.Helper()
	x, y := outputs(t, a), outputs(t, b)
	var out []string
	for _, p := range slices.Sorted(maps.Keys(x)) {
		if !strings.HasPrefix(p, "checkpoints/") && x[p] != y[p] {
			out = append(out, p)
		}
	}
	if len(x) != len(y) {
		out = append(out, "the number of files")
	}
	return out
}

func TestRunFolder(t *testing.T) {
	cfg, env := tiny(t), tinyEnv(t)
	done := run(t, cfg, env)
	for _, f := range []string{"config.yaml", "run.json", "report.html", "tables/predictions.arrow", "tables/predictions.parquet", "tables/scores.arrow",
		"tables/metrics.arrow", "tables/history.arrow", "tables/exclusions.arrow", "tables/cohort.arrow", "figures/roc.svg", "figures/losses.svg", "figures/flow.svg", "figures/scores.svg"} {
		if info, err := os.Stat(filepath.Join(done.Dir, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	for _, by := range []string{scoredByNetwork, "seed 1", "seed 2", scoredByTruth} {
		if _, ok := find(done.Metrics, metricAUC, "test", by); !ok {
			t.Errorf("no test AUC of %s", by)
		}
	}
	m, err := ReadManifest(done.Dir)
	if err != nil {
		t.Fatal(err)
	}
	scores, err := fileSHA256(filepath.Join(done.Dir, "tables/scores.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Status != StatusDone || m.TestOpened == nil || m.TestOpened.ScoresSHA256 != scores {
		t.Errorf("manifest %+v", m)
	}

	again := run(t, cfg, env)
	if !again.Already || again.Dir != done.Dir || len(again.Metrics) != len(done.Metrics) {
		t.Errorf("a second run: already %t, folder %s", again.Already, again.Dir)
	}
	env2 := tinyEnv(t)
	env2.Jobs = 3
	if d := differing(t, done.Dir, run(t, cfg, env2).Dir); d != nil {
		t.Errorf("a run elsewhere with other workers differs in %v", d)
	}
	if err := Verify(done.Dir, env, io.Discard); err != nil {
		t.Error(err)
	}
	// What is gone is made again, with the same bytes; a config that is gone is told.
	whole := outputs(t, done.Dir)
	for _, gone := range []string{"report.html", "tables/metrics.arrow", "config.yaml"} {
		if err := os.Remove(filepath.Join(done.Dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	var lost *VerifyError
	if err := Verify(done.Dir, env, io.Discard); !errors.As(err, &lost) || len(lost.Missing) != 3 {
		t.Errorf("three files removed: %v", err)
	}
	if again := run(t, cfg, env); again.Already || !maps.Equal(outputs(t, done.Dir), whole) {
		t.Errorf("files that were removed are not made again: already %t", again.Already)
	}
	if err := os.WriteFile(filepath.Join(done.Dir, "figures/roc.svg"), []byte("<svg/>"), 0o644); err != nil {
		t.Fatal(err)
	}
	var bad *VerifyError
	if err := Verify(done.Dir, env, io.Discard); !errors.As(err, &bad) || !slices.Equal(bad.Changed, []string{"figures/roc.svg"}) {
		t.Errorf("a changed figure: %v", err)
	}
}

// A run that is stopped in the middle and started again ends with the same bytes as
// one that was not stopped.
func TestRunContinues(t *testing.T) {
	cfg := tiny(t)
	whole := run(t, cfg, tinyEnv(t))
	env := tinyEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	epochs := 0
	stopAfter := func(cnn.EpochRecord) {
		if epochs++; epochs == 3 { // in the second network
			cancel()
		}
	}
	if _, err := runWith(ctx, cfg, env, stopAfter); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped run: %v", err)
	}
	dirs, err := filepath.Glob(filepath.Join(env.Runs, "phantom-*"))
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	if m, err := ReadManifest(dirs[0]); err != nil || m.Status != StatusRunning || m.TestOpened != nil {
		t.Fatalf("stopped run: %+v, %v", m, err)
	}
	done := run(t, cfg, env)
	if done.Already {
		t.Error("a stopped run is called done")
	}
	if d := differing(t, whole.Dir, done.Dir); d != nil {
		t.Errorf("continued and uninterrupted runs differ in %v", d)
	}
}

// The test role may be opened again only with the scores it was opened with.
func TestTestRoleOpenedOnce(t *testing.T) {
	cfg, env := tiny(t), tinyEnv(t)
	done := run(t, cfg, env)
	m, err := ReadManifest(done.Dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Status = StatusRunning // as if killed right after the opening
	if err := m.write(done.Dir); err != nil {
		t.Fatal(err)
	}
	opened := m.TestOpened.Time
	run(t, cfg, env)
	if m, err = ReadManifest(done.Dir); err != nil || !m.TestOpened.Time.Equal(opened) {
		t.Errorf("the first opening is not kept: %+v, %v", m.TestOpened, err)
	}
	m.Status, m.TestOpened.ScoresSHA256 = StatusRunning, strings.Repeat("0", 64)
	if err := m.write(done.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), cfg, env); err == nil || !strings.Contains(err.Error(), "opened on") {
		t.Errorf("other scores than those the test role was opened with: %v", err)
	}
}

func TestBusyFolder(t *testing.T) {
	env := tinyEnv(t)
	f, err := openFolder(env.Runs, "x", "abc")
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := openFolder(env.Runs, "x", "abc"); !errors.As(err, &busy) {
		t.Errorf("a second holder: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g, err := openFolder(env.Runs, "x", "abc")
	if err != nil {
		t.Fatal(err)
	}
	g.Close()
}

// The hash changes with each thing that can change a number, and with nothing else.
func TestRunHash(t *testing.T) {
	in := []Input{{"a", "1"}, {"b", "2"}}
	base := runHash([]byte("config"), in, "code", "go")
	if runHash([]byte("config"), []Input{in[1], in[0]}, "code", "go") != base {
		t.Error("the order of inputs changes the hash")
	}
	seen := map[string]bool{base: true}
	for i, h := range []string{
		runHash([]byte("config2"), in, "code", "go"), runHash([]byte("config"), in[:1], "code", "go"),
		runHash([]byte("config"), in, "code2", "go"), runHash([]byte("config"), in, "code", "xla"),
		runHash([]byte("config"), []Input{{"a", "12"}, {"b", ""}}, "code", "go"),
	} {
		if seen[h] {
			t.Errorf("case %d has the hash of another", i)
		}
		seen[h] = true
	}
}

// Predict takes DICOM files to a score: a phantom patient written as CT and RTSTRUCT
// must get the score that the run gave the same patient from its voxels.
func TestPredict(t *testing.T) {
	cfg, env := tiny(t), tinyEnv(t)
	done := run(t, cfg, env)
	p, err := phantom.New(cfg.Data.Phantom)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	const patient = 30 // of the test role
	if err := p.WriteDICOM(folder, patient); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "scores.arrow")
	var text bytes.Buffer
	if err := Predict(t.Context(), PredictOptions{Run: done.Dir, Folder: folder, ROI: []string{phantom.ROIName}, Dataset: "nsclc-radiomics", Out: out}, &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"percentile", "synthetic phantom", "not a medical device"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the output does not say %q:\n%s", want, &text)
		}
	}
	schema := table.Schema{Name: "scores", Columns: []table.Column{{Name: "patient_id", Type: table.String}, {Name: "score", Type: table.Float64}}}
	got, err := table.Read(out, schema, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	all, err := table.Read(filepath.Join(done.Dir, "tables/scores.arrow"), schema, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	id := p.Subject(patient).Patient.ID
	want := all.Float64s("score")[slices.Index(all.Strings("patient_id"), id)]
	opened, err := OpenRun(done.Dir, env)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	in, err := opened.PatientIn(t.Context(), folder, "nsclc-radiomics", phantom.ROIName)
	if err != nil {
		t.Fatal(err)
	}
	if ct, mask, err := in.Images.Scan(t.Context(), 0); err != nil || in.Cohort.Patients[0].ID != id || ct.HU == nil || mask.Count() == 0 || math.Abs(in.Scores[0]-want) > 0.01 {
		t.Errorf("the patient of the folder is %q with score %v, want %s with %v; %v", in.Cohort.Patients[0].ID, in.Scores[0], id, want, err)
	}
	words, scored, err := opened.Verdict(t.Context(), in, id)
	if err != nil || !strings.Contains(text.String(), strings.SplitN(words[0], ";", 2)[0]) || scored.Float64s("score")[0] != in.Scores[0] {
		t.Errorf("the verdict %q is not that of predict, or its table; %v", words, err)
	}
	if _, err := opened.PatientIn(t.Context(), t.TempDir(), "nsclc-radiomics"); err == nil {
		t.Error("a folder without a patient gives one")
	}
	both := t.TempDir()
	for _, i := range []int{patient, patient + 1} {
		if err := p.WriteDICOM(both, i); err != nil {
			t.Fatal(err)
		}
	}
	other := p.Subject(patient + 1).Patient.ID
	if err := os.Remove(filepath.Join(both, other, "RTSTRUCT.dcm")); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.PatientIn(t.Context(), both, "nsclc-radiomics", phantom.ROIName); err == nil || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), other+" was lost") {
		t.Errorf("a folder of two patients, one of them without a contour: %v", err)
	}
	// DICOM keeps whole HU, so the cubes are up to half a HU apart.
	if got.Strings("patient_id")[0] != id || !near(got.Float64s("score")[0], want, 2e-3) {
		t.Errorf("patient %s scored %v from DICOM, %v in the run", got.Strings("patient_id")[0], got.Float64s("score")[0], want)
	}
	// With a damaged checkpoint it would be another network's score.
	checkpoints, err := filepath.Glob(filepath.Join(done.Dir, "checkpoints/seed-1/*"))
	if err != nil || len(checkpoints) != 2 {
		t.Fatal(checkpoints, err)
	}
	if err := os.Truncate(checkpoints[1], 1000); err != nil {
		t.Fatal(err)
	}
	if err := Predict(t.Context(), PredictOptions{Run: done.Dir, Folder: folder, ROI: []string{phantom.ROIName}}, io.Discard); err == nil || !strings.Contains(err.Error(), filepath.Base(checkpoints[1])) {
		t.Errorf("a run with a damaged checkpoint: %v", err)
	}
	if err := Predict(t.Context(), PredictOptions{Run: t.TempDir(), Folder: folder}, io.Discard); err == nil || !strings.Contains(err.Error(), "not a run folder") {
		t.Errorf("a folder that is no run: %v", err)
	}
}

func near(a, b, tolerance float64) bool { return a-b <= tolerance && b-a <= tolerance }

func TestPercentile(t *testing.T) {
	sorted := []float64{1, 2, 2, 4}
	for v, want := range map[float64]float64{0: 0, 1: 12.5, 2: 50, 3: 75, 5: 100} {
		if got := percentile(sorted, v); got != want {
			t.Errorf("percentile of %v is %v, want %v", v, got, want)
		}
	}
}

// Compare shows what differs, and only that.
func TestCompare(t *testing.T) {
	env := tinyEnv(t)
	a := run(t, tiny(t), env)
	b := run(t, tiny(t, "training.learning_rate=0.002"), env)
	var text bytes.Buffer
	out := filepath.Join(t.TempDir(), "compare.html")
	if err := Compare([]string{a.Dir, b.Dir}, out, &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"settings that differ (1;", "training.learning_rate", "0.002", "test auc_delong", filepath.Base(b.Dir)} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &text)
		}
	}
	t.Chdir(a.Dir)
	var here bytes.Buffer
	if err := Compare([]string{".", b.Dir}, "", &here); err != nil || !strings.Contains(here.String(), filepath.Base(a.Dir)) || len(outputs(t, ".")) != len(outputs(t, b.Dir)) {
		t.Errorf("from inside a run folder: %v\n%s", err, &here)
	}
	if strings.Contains(text.String(), "max_epochs") {
		t.Errorf("a setting that is the same is shown:\n%s", &text)
	}
	html, err := os.ReadFile(out)
	if err != nil || !bytes.Contains(html, []byte("training.learning_rate")) {
		t.Errorf("comparison page: %v", err)
	}
	if err := Compare([]string{a.Dir, a.Dir}, out, io.Discard); err == nil {
		t.Error("a run compared with itself")
	}
}

// The cohort of a run that has not opened its test role keeps the outcomes sealed.
func TestEvaluateOpensLast(t *testing.T) {
	p, err := phantom.New(tiny(t).Data.Phantom)
	if err != nil {
		t.Fatal(err)
	}
	s := &study{cohort: p.Cohort(), scores: p.TrueRisk(), scoredBy: scoredByNetwork}
	refuse := errors.New("no record, no outcomes")
	if _, err := evaluate(s, tiny(t).Evaluation, func() error { return refuse }); !errors.Is(err, refuse) {
		t.Fatalf("evaluate without a record of the opening: %v", err)
	}
	ev, err := evaluate(s, tiny(t).Evaluation, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var sealed *datasets.SealedTestError
	if _, err := s.cohort.OpenTest(func() error { return nil }); !errors.As(err, &sealed) {
		t.Errorf("a second opening: %v", err)
	}
	for _, i := range s.cohort.Of(datasets.Test) {
		if !ev.outcomes[i].SurvivalDays.Valid {
			t.Error("a test outcome is missing after the opening")
		}
	}
}

// A role in which nobody outlived a death has no concordance, and the run goes on.
func TestFollowUpWithoutPairs(t *testing.T) {
	s := &study{scoredBy: scoredByNetwork, scores: []float64{0.1, 0.2, 0.8}}
	ev := &evaluation{cut: 0.5}
	var patients []datasets.Patient
	for i, days := range []float64{100, 200, 300} {
		patients = append(patients, datasets.Patient{ID: string(rune('a' + i)), Cohort: "c", Role: datasets.Tune})
		ev.outcomes = append(ev.outcomes, datasets.Outcome{SurvivalDays: table.Some(days), Event: table.Some(i == 2)})
	}
	var err error
	if s.cohort, err = datasets.NewCohort("c", patients, slices.Clone(ev.outcomes), nil); err != nil {
		t.Fatal(err)
	}
	if err := ev.followUp(s, datasets.Tune, "c", []int{0, 1, 2}, Default().Evaluation); err != nil {
		t.Fatal(err)
	}
	if _, ok := find(ev.metrics, metricHarrellC, "tune", ""); ok || len(ev.metrics) == 0 {
		t.Errorf("metrics %+v", ev.metrics)
	}
}

// A patient to leave out who is not there is told before anything trains.
func TestWithoutNobody(t *testing.T) {
	env := tinyEnv(t)
	if _, err := Run(t.Context(), tiny(t, "evaluation.without=[nobody]"), env); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("got %v", err)
	}
	if trained, _ := filepath.Glob(filepath.Join(env.Runs, "*", "checkpoints")); trained != nil {
		t.Errorf("networks were trained first: %v", trained)
	}
}

// Scores with a patient left out are another row than the scores of all.
func TestMetricRowsKeepScoresApart(t *testing.T) {
	metrics := []Metric{
		{Name: metricAUC, Role: "test", ScoredBy: scoredByPublished, Value: 0.70},
		{Name: metricAUC, Role: "test", ScoredBy: scoredByPublished + " without X", Value: 0.71},
		{Name: metricAUC, Role: "test", ScoredBy: "seed 1", Value: 0.6},
		{Name: metricAUC, Role: "test", ScoredBy: scoredByTruth, Value: 0.86},
	}
	rows := metricRows([]compared{{name: "a", metrics: metrics}, {name: "b", metrics: metrics[:1]}})
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3: %+v", len(rows), rows)
	}
	if got := rows[0].by[0].Value; got != 0.70 || rows[0].by[1] == nil || rows[1].by[1] != nil {
		t.Errorf("the first row holds %v, want the score of all patients", got)
	}
}
