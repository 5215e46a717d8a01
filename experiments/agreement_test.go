package experiments

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
	"hounsfield/experiments/scoring"
	"hounsfield/stats/golden"
)

// agreementRow is what R makes of one figure of the same tables.
type agreementRow struct {
	Group, Metric string
	N             int
	Value         float64
	Low, High, P  *float64
}

func agreementGolden(t *testing.T) []agreementRow {
	t.Helper()
	rows := golden.Cases[agreementRow](t, "agreement")
	if len(rows) != 39 {
		t.Fatalf("%d rows, want 39", len(rows))
	}
	return rows
}

func readAgreement(t *testing.T, run string) (*table.Table, map[[2]string]int) {
	t.Helper()
	got, err := table.Read(filepath.Join(run, "tables/agreement.arrow"), table.Schema{Name: "agreement", Columns: []table.Column{
		{Name: "metric", Type: table.String}, {Name: "group", Type: table.String}, {Name: "n", Type: table.Int64},
		{Name: "value", Type: table.Float64, Nullable: true}, {Name: "low", Type: table.Float64, Nullable: true},
		{Name: "high", Type: table.Float64, Nullable: true}, {Name: "p", Type: table.Float64, Nullable: true},
		{Name: "method", Type: table.String}}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	at := map[[2]string]int{}
	for i, m := range got.Strings("metric") {
		key := [2]string{got.Strings("group")[i], m}
		if _, twice := at[key]; twice || got.Strings("method")[i] == "" {
			t.Errorf("%v stands there twice, or without a method", key)
		}
		at[key] = i
	}
	return got, at
}

// The replication, number for number against R (psych, pROC) on the same tables, and
// against the figures of STUDY.md.
func TestPublishedReplication(t *testing.T) {
	if os.Getenv(catalog.MirrorVariable) == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's tables are not here")
	}
	cfg, err := Load("published-replication")
	if err != nil {
		t.Fatal(err)
	}
	env := tinyEnv(t)
	done := run(t, cfg, env)
	got, at := readAgreement(t, done.Dir)
	for _, want := range agreementGolden(t) {
		i, ok := at[[2]string{want.Group, want.Metric}]
		if !ok {
			t.Errorf("no %s of %s", want.Metric, want.Group)
			continue
		}
		if n := got.Int64s("n")[i]; n != int64(want.N) {
			t.Errorf("%s of %s stands on %d patients, want %d", want.Metric, want.Group, n, want.N)
		}
		for _, x := range []struct {
			column string
			want   *float64
		}{{"value", &want.Value}, {"low", want.Low}, {"high", want.High}, {"p", want.P}} {
			if x.want == nil {
				continue
			}
			if v := got.Float64s(x.column)[i]; !(math.Abs(v-*x.want) <= 1e-10*max(math.Abs(*x.want), 1)) {
				t.Errorf("%s, %s of %s is %.12g, R has %.12g", x.column, want.Metric, want.Group, v, *x.want)
			}
		}
	}
	for _, want := range []struct{ group, metric, value, p string }{
		{groupReleased, metricAUCRerun, "0.676", ""},
		{groupReleased, metricAUCOriginal, "0.700", ""},
		{groupReleased, metricAUCDifference, "-0.024", "0.412"},
		{groupReleased, metricSpearman, "0.78", ""},
		{groupReleased, metricICCA1, "0.20", ""},
		{groupReleased + " without LUNG1-236", metricICCA1, "0.57", ""},
		{groupReleased, metricMoved, "18", ""},
		{groupReleased, metricAliveShare, "0.29", ""},
		// STUDY.md prints 0.569 for the 215; one of them was lost from sight on day 314 and
		// has no label. Of the 214, R's pROC gives 0.5699.
		{groupNew, metricAUCRerun, "0.570", ""},
		// Its 65% are of those with a complete record; of all 214, 51% were alive.
		{groupNewComplete, metricAliveShare, "0.65", ""},
		{groupNew, metricAliveShare, "0.51", ""},
	} {
		i, ok := at[[2]string{want.group, want.metric}]
		if !ok {
			t.Errorf("no %s of %s", want.metric, want.group)
			continue
		}
		for column, text := range map[string]string{"value": want.value, "p": want.p} {
			if text == "" {
				continue
			}
			if v, half := printed(t, text); math.Abs(got.Float64s(column)[i]-v) > half {
				t.Errorf("%s of %s: %s is %.6g, want %s", want.metric, want.group, column, got.Float64s(column)[i], text)
			}
		}
	}

	// The main metrics judge the re-run in all patients with a label.
	if m, ok := find(done.Metrics, metricAUC, "test", scoredByRerun); !ok || m.N != 420 {
		t.Errorf("the AUC of the re-run stands on %d patients", m.N)
	}
	html, err := os.ReadFile(filepath.Join(done.Dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{`id="agreement"`, "18 of 206 patients change risk group", "no difference is shown", "are a selection", "LUNG1-236", "bland-altman-without.svg", "agreement-scatter.svg"} {
		if !strings.Contains(string(html), says) {
			t.Errorf("the report does not say %q", says)
		}
	}
	for _, path := range []string{"tables/agreement.parquet", "tables/repeats.arrow", "figures/bland-altman.svg", "figures/agreement-scatter.svg"} {
		if _, err := os.Stat(filepath.Join(done.Dir, path)); err != nil {
			t.Error(err)
		}
	}
	// Patients who change, told one by one.
	repeats, err := table.Read(filepath.Join(done.Dir, "tables/repeats.arrow"), table.Schema{Name: "repeats", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true}, {Name: "original_risk_group", Type: table.String, Nullable: true}, {Name: "rerun_risk_group", Type: table.String, Nullable: true}}}, table.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	for i, was := range repeats.Strings("original_risk_group") {
		if was != "" && was != repeats.Strings("rerun_risk_group")[i] {
			moved++
		}
	}
	if repeats.Rows() != 421 || moved != 18 {
		t.Errorf("%d patients, %d of them change", repeats.Rows(), moved)
	}
	if d := differing(t, done.Dir, run(t, cfg, tinyEnv(t)).Dir); d != nil {
		t.Errorf("a second run differs in %v", d)
	}
}

// smallRerun is a study of eight test patients, three of them new.
func smallRerun(t *testing.T) (*study, *evaluation) {
	t.Helper()
	nan := math.NaN()
	s := &study{
		original: []float64{0.1, 0.2, 0.3, 0.4, 0.5, nan, nan, nan},
		scores:   []float64{0.2, 0.1, 0.4, 0.6, 0.4, 0.3, 0.5, nan},
	}
	ev := &evaluation{cut: 0.4}
	var patients []datasets.Patient
	for i := range s.scores {
		p := datasets.Patient{ID: string(rune('a' + i)), Cohort: "c", Role: datasets.Test}
		if i == 6 {
			p.Age, p.Stage, p.Histology = table.Some(60.0), table.Some("I"), table.Some("large cell")
		}
		patients = append(patients, p)
		ev.outcomes = append(ev.outcomes, datasets.Outcome{Alive2yr: table.Some(i%2 == 0)})
	}
	ev.outcomes[1].Alive2yr = table.Null[bool]{}
	var err error
	if s.cohort, err = datasets.NewCohort("c", patients, slices.Clone(ev.outcomes), nil); err != nil {
		t.Fatal(err)
	}
	return s, ev
}

// Groups, directions and what small groups lack.
func TestAgreementGroups(t *testing.T) {
	s, ev := smallRerun(t)
	var names []string
	groups := agreementGroups(s, ev, []string{"a", "g", "nobody"})
	for _, g := range groups {
		names = append(names, g.name)
	}
	// g has no released score and cannot be left out of those who have; h has no score.
	if got := strings.Join(names, "; "); got != "released; released without a; new; new, complete record" {
		t.Errorf("groups %s", got)
	}
	for i, n := range []int{5, 4, 2, 1} {
		if len(groups[i].patients) != n {
			t.Errorf("%s has %d patients, want %d", groups[i].name, len(groups[i].patients), n)
		}
	}
	value := func(metrics []Metric, name string) (Metric, bool) { return find(metrics, name, "test", "") }
	metrics, err := agreementMetrics(groups[0], groups[0], ev.cut)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if metricWords[m.Name] == "" {
			t.Errorf("%s has no words for the report", m.Name)
		}
	}
	// By hand: differences .1 -.1 .1 .2 -.1; high is above 0.4, strictly, so d and e move.
	if m, _ := value(metrics, metricBias); math.Abs(m.Value-0.04) > 1e-12 {
		t.Errorf("bias %v, want re-run less original, 0.04", m.Value)
	}
	if m, _ := value(metrics, metricMoved); m.Value != 2 || m.N != 5 {
		t.Errorf("%v of %d move, want 2 of 5", m.Value, m.N)
	}
	// b has no label: a and c and e alive (.2 .4 .4), d dead (.6); originally .1 .3 .5 against .4.
	if m, _ := value(metrics, metricAUCDifference); m.N != 0 {
		t.Errorf("one dead patient has no DeLong variance, and yet %+v", m)
	}
	if m, _ := value(metrics, metricAliveShare); m.Value != 0.75 || m.N != 4 {
		t.Errorf("alive %v of %d", m.Value, m.N)
	}
	// One patient: no AUC and no ICC, but no error either.
	metrics, err = agreementMetrics(groups[3], groups[0], ev.cut)
	if err != nil || len(metrics) != 1 || metrics[0].Name != metricAliveShare {
		t.Errorf("one patient: %v, %v", metrics, err)
	}
}

// A run without a repeat has no such section, and a repeat of nobody is an error.
func TestAgreementNeedsBoth(t *testing.T) {
	s, ev := smallRerun(t)
	r := &runner{}
	original := s.original
	s.original = nil
	if err := r.agreement(s, ev); err != nil || ev.sections != nil || ev.agreed != nil {
		t.Errorf("%v, %v", ev.sections, err)
	}
	s.original = scoring.NaN(len(original))
	if err := r.agreement(s, ev); err == nil || !strings.Contains(err.Error(), "nothing to compare") {
		t.Errorf("got %v", err)
	}
}

// What the report says follows the numbers.
func TestAgreementReading(t *testing.T) {
	read := func(metrics ...Metric) string {
		ev := &evaluation{agreed: metrics}
		var b strings.Builder
		for _, p := range agreementReading(ev, []agreementGroup{{name: groupReleased}}) {
			for _, s := range p {
				b.WriteString(s.Text + "\n")
			}
		}
		return b.String()
	}
	m := func(name, group string, value, low, high, p float64) Metric {
		return Metric{Name: name, Role: "test", ScoredBy: group, N: 100, Value: value, Low: table.Finite(low), High: table.Finite(high), P: table.Finite(p)}
	}
	auc := []Metric{m(metricAUCOriginal, groupReleased, 0.7, 0.6, 0.8, 0.01), m(metricAUCRerun, groupReleased, 0.6, 0.5, 0.7, 0.01)}
	if s := read(append(auc, m(metricAUCDifference, groupReleased, -0.1, -0.15, -0.05, 0.001))...); !strings.Contains(s, "a difference beyond chance") {
		t.Error(s)
	}
	if s := read(append(auc, m(metricAUCDifference, groupReleased, -0.1, -0.3, 0.1, 0.3))...); !strings.Contains(s, "no difference is shown") {
		t.Error(s)
	}
	if s := read(m(metricBias, groupReleased, -0.02, -0.03, -0.01, 0.001)); !strings.Contains(s, "scores lower, by 0.020") {
		t.Error(s)
	}
	if s := read(m(metricBias, groupReleased, -0.02, -0.05, 0.01, 0.2)); s != "" {
		t.Error(s)
	}
	fresh := []Metric{auc[1], m(metricAUCRerun, groupNew, 0.65, 0.55, 0.75, 0.01), m(metricAliveShare, groupReleased, 0.3, 0.2, 0.4, 0)}
	if s := read(append(fresh, m(metricAliveShare, groupNew, 0.35, 0.25, 0.45, 0))...); strings.Contains(s, "selection") || strings.Contains(s, "0.5,") {
		t.Error(s)
	}
	if s := read(append(fresh, m(metricAliveShare, groupNew, 0.6, 0.5, 0.7, 0))...); !strings.Contains(s, "are a selection") {
		t.Error(s)
	}
}

// Without the tables the error says what to type.
func TestReplicationWithoutData(t *testing.T) {
	cfg, err := Load("published-replication")
	if err != nil {
		t.Fatal(err)
	}
	env := tinyEnv(t)
	env.Mirror = t.TempDir()
	if _, err := Run(t.Context(), cfg, env); err == nil || !strings.Contains(err.Error(), "hosny2018/") || !strings.Contains(err.Error(), env.Mirror) {
		t.Errorf("tables that are not there: %v", err)
	}
}
