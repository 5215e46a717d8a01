package analysis

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/stats"
	"hounsfield/stats/golden"
)

// published is an input of the Maastro patients who are linked to the clinical table of
// Lung1, with the released scores: those of the test role, or dealt by turns, in the order
// of the ids, to all three roles.
func published(t *testing.T, dealt bool) *Input {
	t.Helper()
	mirror := os.Getenv(catalog.MirrorVariable)
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's tables are not here")
	}
	read, err := datasets.ReadPublished(mirror, "radiotherapy")
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := read.Cohort.OpenTest(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	volume, err := read.Cohort.Feature("original_shape_Volume")
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{Settings: Defaults(), ScoredBy: "published network", Level: 0.95, Bootstrap: 200, Seed: 1}
	var tune []float64
	for _, i := range read.Cohort.Of(datasets.Tune) {
		tune = append(tune, read.Scores[i])
	}
	if in.Cut, err = stats.Median(tune); err != nil {
		t.Fatal(err)
	}
	test := read.Cohort.Of(datasets.Test)
	slices.SortFunc(test, func(a, b int) int {
		return strings.Compare(read.Cohort.Patients[a].ID, read.Cohort.Patients[b].ID)
	})
	var patients []datasets.Patient
	var mm3 []float64
	for _, i := range test {
		k := slices.Index(read.Cohort.Of(datasets.Test), i)
		if !outcomes[k].Followed() {
			continue
		}
		p := read.Cohort.Patients[i]
		if number, err := strconv.Atoi(strings.TrimPrefix(p.ID, "LUNG1-")); err != nil {
			t.Fatal(err)
		} else if !dealt && number%10 == 0 {
			p.Age = datasets.Null[float64]{}
		}
		if dealt {
			p.Role = []datasets.Role{datasets.Train, datasets.Tune, datasets.Test}[len(patients)%3]
		}
		patients, in.Outcomes = append(patients, p), append(in.Outcomes, outcomes[k])
		in.Scores, mm3 = append(in.Scores, read.Scores[i]), append(mm3, volume.Values[i])
	}
	volume.Values = mm3
	if in.Cohort, err = datasets.NewCohort("Maastro", patients, in.Outcomes, []datasets.Feature{volume}); err != nil {
		t.Fatal(err)
	}
	return in
}

type goldenModel struct {
	Name, Variable                       string
	N, Events                            int
	Coef, SE, Low, High, P, Proportional []float64
	Global, LR                           float64
}

type goldenClinical struct {
	Name          string
	Alone, Models []goldenModel
	Tests         []struct {
		ChiSq, P float64
		DF       int
	}
	Drop []struct {
		Variable string
		P        float64
	}
	Spearman, Kruskal []float64
	Stages, Within    float64
	Forecasts         []struct {
		Name                            string
		C, SE, AUC, Brier, Slope, Large float64
		Benefit                         []float64
	}
	Gains []struct {
		Difference, SE float64
		AUCP           float64 `json:"auc_p"`
	}
}

func asInR(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Max(1, math.Abs(want))) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

func (g goldenModel) check(t *testing.T, m clinicalModel) {
	t.Helper()
	what := m.name
	if m.failed != "" {
		t.Errorf("%s: %s", what, m.failed)
		return
	}
	if m.n != g.N || m.events != g.Events {
		t.Errorf("%s: %d patients, %d deaths; want %d, %d", what, m.n, m.events, g.N, g.Events)
	}
	k := 0
	for _, term := range m.terms {
		if term.cox == nil {
			continue
		}
		if k < len(g.Coef) {
			name := what + ", " + termWords(term)
			asInR(t, name+": coefficient", term.cox.Coef, g.Coef[k], 1e-8)
			asInR(t, name+": SE", term.cox.SE, g.SE[k], 1e-8)
			asInR(t, name+": low", term.cox.Low, g.Low[k], 1e-8)
			asInR(t, name+": high", term.cox.High, g.High[k], 1e-8)
			asInR(t, name+": p", term.cox.P, g.P[k], 1e-8)
			asInR(t, name+": proportional", term.proportional, g.Proportional[k], 1e-7)
		}
		k++
	}
	if k != len(g.Coef) {
		t.Errorf("%s: %d coefficients, want %d", what, k, len(g.Coef))
	}
	asInR(t, what+": proportional, all", m.proportional.P, g.Global, 1e-7)
	asInR(t, what+": likelihood ratio", m.fit.LikelihoodRatio.P, g.LR, 1e-8)
}

// Every figure of the models on the real patients, as R has it.
func TestClinicalAgainstR(t *testing.T) {
	in := published(t, false)
	w, err := newClinicalWork(in)
	if err != nil {
		t.Fatal(err)
	}
	want := golden.Cases[goldenClinical](t, "clinical")[0]
	codings := w.everyCoding()
	if len(codings) != len(want.Alone) {
		t.Fatalf("%d variables, want %d", len(codings), len(want.Alone))
	}
	for k, c := range codings {
		if c.name != want.Alone[k].Variable {
			t.Fatalf("variable %d is %s, want %s", k, c.name, want.Alone[k].Variable)
		}
		want.Alone[k].check(t, w.aloneModel(c))
	}
	joint, err := w.jointModels()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range want.Models {
		m := joint.find(g.Name)
		if m == nil {
			t.Errorf("no model %s", g.Name)
			continue
		}
		g.check(t, *m)
		if m.missing != len(w.patients)-g.N {
			t.Errorf("%s: %d missing", g.Name, m.missing)
		}
	}
	if len(joint.tests) != len(want.Tests) {
		t.Fatalf("%d nested tests, want %d", len(joint.tests), len(want.Tests))
	}
	for k, g := range want.Tests {
		got := joint.tests[k]
		what := got.added + " added to " + got.smaller
		asInR(t, what, got.ChiSquare, g.ChiSq, 1e-8)
		asInR(t, what+": p", got.P, g.P, 1e-8)
		if got.DF != g.DF {
			t.Errorf("%s: %d degrees of freedom, want %d", what, got.DF, g.DF)
		}
	}
	for _, g := range want.Drop {
		for _, term := range joint.find(modelClinicalScore).terms {
			if term.variable == g.Variable && term.cox == nil {
				asInR(t, g.Variable+", all levels", term.whole, g.P, 1e-8)
			}
		}
	}
	all, err := w.associate()
	if err != nil {
		t.Fatal(err)
	}
	var rho, p []float64
	for _, a := range all {
		if strings.HasPrefix(a.test, "Spearman") {
			rho = append(rho, a.value)
		} else {
			p = append(p, a.p)
		}
	}
	for name, pair := range map[string][2][]float64{"Spearman": {rho, want.Spearman}, "Kruskal-Wallis": {p, want.Kruskal}} {
		if len(pair[0]) != len(pair[1]) {
			t.Fatalf("%s: %v, want %v", name, pair[0], pair[1])
		}
		for k := range pair[0] {
			asInR(t, name, pair[0][k], pair[1][k], 1e-10)
		}
	}
	stages, err := w.stageCurves()
	if err != nil {
		t.Fatal(err)
	}
	asInR(t, "log-rank, stages", stages.stageTest.ChiSquare, want.Stages, 1e-9)
	asInR(t, "log-rank, risk groups within stages", stages.groupTest.ChiSquare, want.Within, 1e-9)
}

// Forecasts by models of train and tune, as R has them.
func TestClinicalForecastsAgainstR(t *testing.T) {
	in := published(t, true)
	in.Settings.Clinical.LeastLevel = 2 // as in the R program: nothing is joined here
	w, err := newClinicalWork(in)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.predict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.how, "tune") {
		t.Fatalf("forecasts were made %s", p.how)
	}
	want := golden.Cases[goldenClinical](t, "clinical")[0]
	for _, g := range want.Forecasts {
		m := p.find(g.Name)
		asInR(t, g.Name+": C", m.c.C, g.C, 1e-10)
		asInR(t, g.Name+": SE of C", m.c.SE, g.SE, 1e-10)
		asInR(t, g.Name+": AUC", m.auc.AUC, g.AUC, 1e-10)
		asInR(t, g.Name+": Brier", m.brier.Brier, g.Brier, 1e-9)
		asInR(t, g.Name+": slope", m.calibration.Slope.Estimate, g.Slope, 1e-7)
		asInR(t, g.Name+": in the large", m.calibration.InTheLarge.Estimate, g.Large, 1e-8)
		for k, v := range g.Benefit {
			asInR(t, g.Name+": net benefit", m.benefit.NetBenefit[k], v, 1e-10)
		}
	}
	for k, g := range want.Gains {
		asInR(t, p.gains[k].more+": difference of C", p.gains[k].c.Difference, g.Difference, 1e-10)
		asInR(t, p.gains[k].more+": its SE", p.gains[k].c.SE, g.SE, 1e-10)
		asInR(t, p.gains[k].more+": p of the AUCs", p.gains[k].auc.P, g.AUCP, 1e-9)
	}
}
