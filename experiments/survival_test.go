package experiments

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/models/cnn"
)

func historyOfRun(t *testing.T, run string) *table.Table {
	t.Helper()
	number := func(name string) table.Column { return table.Column{Name: name, Type: table.Float64, Nullable: true} }
	h, err := table.Read(filepath.Join(run, "tables/history.arrow"), table.Schema{Name: historyTable, Columns: []table.Column{
		{Name: "epoch", Type: table.Int64}, {Name: "best", Type: table.Bool}, number("train_auc"), number("tune_auc"), number("tune_concordance"), number("learning_rate"),
	}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Losses on survival times train on everyone who was followed, choose epochs by
// concordance, and are judged like every other run.
func TestSurvivalLosses(t *testing.T) {
	for _, loss := range []string{cnn.LossCox, cnn.LossDiscreteTime} {
		cfg := quick(t, "training.loss="+loss, "data.phantom.patients={train: 40, tune: 24, test: 30}", "seeds=[1]", "training.max_epochs=3",
			"training.schedule={kind: cosine, floor: 0.0001}")
		done := run(t, cfg, tinyEnv(t))
		if m, ok := find(done.Metrics, metricAUC, "test", scoredByNetwork); !ok || m.N < 20 {
			t.Errorf("%s: test AUC %+v", loss, m)
		}
		lost, err := datasets.ReadExclusions(filepath.Join(done.Dir, "tables/exclusions.arrow"))
		if err != nil || len(lost) > 0 {
			t.Errorf("%s: everyone was followed, and yet excluded: %v, %v", loss, lost, err)
		}
		h := historyOfRun(t, done.Dir)
		c, kept := h.Float64s("tune_concordance"), 0
		for i, best := range h.Bools("best") {
			if best {
				kept = i
			}
		}
		if h.Rows() != 3 || slices.Max(c) != c[kept] || !(c[kept] > 0 && c[kept] < 1) || slices.Contains(h.Valid("tune_auc"), false) {
			t.Errorf("%s: concordance %v, kept epoch %d", loss, c, kept+1)
		}
		if rates := h.Float64s("learning_rate"); rates[0] != cfg.Training.LearningRate || !(rates[2] < rates[1] && rates[1] < rates[0]) {
			t.Errorf("%s: learning rates %v", loss, rates)
		}
		report, err := os.ReadFile(filepath.Join(done.Dir, "report.html"))
		if err != nil || !bytes.Contains(report, []byte("chosen by Harrell")) {
			t.Errorf("%s: the report does not say how epochs were chosen (%v)", loss, err)
		}
		// Cox's likelihood gives an order of risk and no probability at two years; that is said
		// wherever the score goes, also by an imported copy.
		p, err := phantom.New(cfg.Data.Phantom)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		scan, file, copied := filepath.Join(dir, "scan"), filepath.Join(dir, "model.onnx"), filepath.Join(dir, "copy")
		if err := errors.Join(p.WriteDICOM(scan, 70), Export(ExportOptions{Run: done.Dir, Out: file}, io.Discard),
			Import(ImportOptions{File: file, Out: copied, SpacingMM: cfg.Cube.SpacingMM}, tinyEnv(t), io.Discard)); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{cnn.LossCox: "risk of death as an order, no probability, 0.", cnn.LossDiscreteTime: "risk of death at two years 0."}[loss]
		for _, folder := range []string{done.Dir, copied} {
			if _, text, _ := predicted(t, folder, scan); !strings.Contains(text, want) {
				t.Errorf("%s: the prediction does not say %q:\n%s", loss, want, text)
			}
		}
	}
}

// Who has no place in the loss has a row that says why.
func TestSamplesByLoss(t *testing.T) {
	patients := make([]datasets.Patient, 4)
	cubes := make([]*volume.Cube, 4)
	for i := range patients {
		patients[i] = datasets.Patient{ID: fmt.Sprint("p", i), Cohort: "c", Role: datasets.Train}
		cubes[i] = &volume.Cube{Edge: 1, HU: []float32{0}}
	}
	outcomes := []datasets.Outcome{
		{SurvivalDays: table.Some(100.0), Event: table.Some(true)},
		{SurvivalDays: table.Some(100.0), Event: table.Some(false)}, // followed, no label
		{Alive2yr: table.Some(true)},                                // a label, not followed
		{SurvivalDays: table.Some(400.0)},                           // neither
	}
	for survival, want := range map[bool]string{false: "p0 p2", true: "p0 p1"} {
		cohort, err := datasets.NewCohort("c", patients, outcomes, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &study{cohort: cohort, cubes: cubes}
		set, known, err := s.samples(datasets.Train, survival)
		if err != nil || strings.Join(set.IDs, " ") != want || len(known) != 2 || len(s.exclusions) != 2 {
			t.Errorf("survival %t: %v with %v, excluded %v, %v", survival, set.IDs, known, s.exclusions, err)
		}
		for _, e := range s.exclusions {
			if e.Stage != "label" || !strings.Contains(e.Reason, map[bool]string{false: "two-year label", true: "follow-up"}[survival]) {
				t.Errorf("survival %t: %+v", survival, e)
			}
		}
	}
}
