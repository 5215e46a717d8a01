package experiments

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/experiments/report"
	"hounsfield/stats"
)

// describing is a runner that has come as far as the evaluation.
func describing(t *testing.T, s *study) (*runner, *evaluation) {
	t.Helper()
	cfg := tiny(t)
	ev := &evaluation{outcomes: make([]datasets.Outcome, len(s.cohort.Patients))}
	for _, role := range []datasets.Role{datasets.Train, datasets.Tune, datasets.Test} {
		var outcomes []datasets.Outcome
		var err error
		if role == datasets.Test {
			outcomes, err = s.cohort.OpenTest(func() error { return nil })
		} else {
			outcomes, err = s.cohort.Outcomes(role)
		}
		if err != nil {
			t.Fatal(err)
		}
		for k, i := range s.cohort.Of(role) {
			ev.outcomes[i] = outcomes[k]
		}
	}
	return &runner{cfg: cfg, folder: &Folder{Manifest: &Manifest{}}}, ev
}

// byHand is a cohort whose Table 1 can be worked out on paper.
func byHand(t *testing.T) *study {
	t.Helper()
	some := table.Some[float64]
	word := table.Some[string]
	var none datasets.Null[string]
	var patients []datasets.Patient
	var outcomes []datasets.Outcome
	add := func(role datasets.Role, age datasets.Null[float64], sex, stage datasets.Null[string], days float64, died bool) {
		patients = append(patients, datasets.Patient{ID: fmt.Sprintf("P%02d", len(patients)+1), Cohort: "paper", Role: role, Age: age, Sex: sex, Stage: stage})
		outcomes = append(outcomes, datasets.Outcome{SurvivalDays: some(days), Event: table.Some(died)})
	}
	add(datasets.Train, some(60), word("male"), word("I"), 100, true)
	add(datasets.Train, some(70), word("male"), word("IIIB"), 900, false)
	add(datasets.Train, some(65), word("female"), word("IIIB"), 800, false)
	add(datasets.Train, datasets.Null[float64]{}, none, word("II"), 400, false)
	add(datasets.Tune, some(50), word("female"), word("I"), 800, true)
	add(datasets.Tune, some(80), word("male"), word("II"), 300, true)
	add(datasets.Test, some(75.5), word("female"), none, 1000, false)
	add(datasets.Test, some(90), word("female"), none, 10, true) // without a score
	volume := []float64{1000, 2000, 4000, math.NaN(), 3000, 5000, 7000, 9e6}
	c, err := datasets.NewCohort("paper", patients, outcomes, []datasets.Feature{
		{Column: table.Column{Name: "original_shape_Volume", Type: table.Float64, Nullable: true}, Values: volume}})
	if err != nil {
		t.Fatal(err)
	}
	scores := []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, math.NaN()}
	return &study{cohort: c, scores: scores, scoredBy: scoredByPublished, exclusions: []datasets.Exclusion{{Patient: "P08", Cohort: "paper", Stage: "cube", Reason: "no scan"}}}
}

// one finds the row of a variable, level and role.
func one(t *testing.T, rows *table.Table, variable, level, role string) tableOneRow {
	t.Helper()
	for i := range rows.Rows() {
		if rows.Strings("variable")[i] == variable && rows.Strings("level")[i] == level && rows.Strings("role")[i] == role {
			return tableOneRow{variable: variable, level: level, role: role, kind: rows.Strings("kind")[i], unit: rows.Strings("unit")[i],
				n: int(rows.Int64s("n")[i]), missing: int(rows.Int64s("missing")[i]), percent: rows.Float64s("percent")[i],
				median: rows.Float64s("median")[i], low: rows.Float64s("low")[i], high: rows.Float64s("high")[i],
				smd: [2]float64{rows.Float64s("smd_train_tune")[i], rows.Float64s("smd_train_test")[i]}}
		}
	}
	t.Fatalf("no row of %s %q in %s", variable, level, role)
	return tableOneRow{}
}

func sameNumber(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-9*max(1, math.Abs(b))
}

func TestTableOneByHand(t *testing.T) {
	s := byHand(t)
	r, ev := describing(t, s)
	rows, block, err := r.tableOne(s, ev)
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	// Age: train 60 70 65 (mean 65, variance 25), tune 50 80 (mean 65, variance 450).
	// Sex: 1 of 3 women in train, 1 of 2 in tune. Volume: train mean 7000/3, variance 7e6/3; tune 4000 and 2e6.
	sex := (1.0/2 - 1.0/3) / math.Sqrt((1.0/4+2.0/9)/2)
	volume := (4000 - 7000.0/3) / math.Sqrt((7e6/3+2e6)/2)
	// Stages I, II: shares 1/4, 1/4 against 1/2, 1/2; on (1, 1) the covariance is 1/16.
	stage := math.Sqrt(2)
	// Two years: alive 2 of 3 known in train (one left at 400 days), 1 of 2 in tune.
	for _, want := range []tableOneRow{
		{variable: "patients", role: "train", kind: kindCount, n: 4, percent: nan, median: nan, low: nan, high: nan, smd: [2]float64{nan, nan}},
		{variable: "patients", role: "test", kind: kindCount, n: 1, missing: 1, percent: nan, median: nan, low: nan, high: nan, smd: [2]float64{nan, nan}},
		{variable: "patients", role: "all", kind: kindCount, n: 7, missing: 1, percent: nan, median: nan, low: nan, high: nan, smd: [2]float64{nan, nan}},
		{variable: "age", role: "train", kind: kindRange, unit: "years", n: 3, missing: 1, percent: nan, median: 65, low: 60, high: 70, smd: [2]float64{0, nan}},
		{variable: "age", role: "all", kind: kindRange, unit: "years", n: 6, missing: 1, percent: nan, median: 67.5, low: 50, high: 80, smd: [2]float64{0, nan}},
		{variable: "sex", level: "female", role: "train", kind: kindCount, n: 1, missing: 1, percent: 100.0 / 3, median: nan, low: nan, high: nan, smd: [2]float64{sex, nan}},
		{variable: "sex", level: "male", role: "test", kind: kindCount, n: 0, percent: 0, median: nan, low: nan, high: nan, smd: [2]float64{sex, nan}},
		{variable: "stage", level: "II", role: "test", kind: kindCount, n: 0, missing: 1, percent: nan, median: nan, low: nan, high: nan, smd: [2]float64{stage, nan}},
		{variable: "original_shape_Volume", role: "train", kind: kindRange, unit: "mm3", n: 3, missing: 1, percent: nan, median: 2000, low: 1000, high: 4000, smd: [2]float64{volume, nan}},
		{variable: "original_shape_Volume", role: "all", kind: kindRange, unit: "mm3", n: 6, missing: 1, percent: nan, median: 3500, low: 1000, high: 7000, smd: [2]float64{volume, nan}},
		{variable: "two_year_status", level: "dead", role: "train", kind: kindCount, n: 1, missing: 1, percent: 100.0 / 3, median: nan, low: nan, high: nan, smd: [2]float64{sex, nan}},
		{variable: "follow_up_status", level: "dead", role: "tune", kind: kindCount, n: 2, percent: 100, median: nan, low: nan, high: nan},
		// Of train, one left at 400, one at 800, one at 900, one died at 100: the reverse
		// curve is 2/3, 1/3, 0.
		{variable: "follow_up", role: "train", kind: kindInterval, unit: "days", n: 4, percent: nan, median: 800},
		{variable: "follow_up", role: "tune", kind: kindInterval, unit: "days", n: 2, percent: nan, median: nan, low: nan, high: nan, smd: [2]float64{nan, nan}},
	} {
		got := one(t, rows, want.variable, want.level, want.role)
		switch {
		case want.variable == "follow_up_status": // 1 of 4 died in train, all in tune
			want.smd = [2]float64{0.75 / math.Sqrt(3.0/32), got.smd[1]}
		case want.variable == "follow_up" && want.role == "train":
			want.low, want.high, want.smd = got.low, got.high, [2]float64{nan, nan}
			if !(got.low <= 800 && (got.high >= 800 || math.IsNaN(got.high))) {
				t.Errorf("follow-up of train: %v to %v", got.low, got.high)
			}
		case want.variable == "sex" || want.variable == "two_year_status":
			want.smd[1] = got.smd[1] // a single test patient: below
		}
		if got.kind != want.kind || got.unit != want.unit || got.n != want.n || got.missing != want.missing || !sameNumber(got.percent, want.percent) ||
			!sameNumber(got.median, want.median) || !sameNumber(got.low, want.low) || !sameNumber(got.high, want.high) ||
			!sameNumber(got.smd[0], want.smd[0]) || !sameNumber(got.smd[1], want.smd[1]) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	// The test patient is a woman; 1/3 of train are.
	if got := one(t, rows, "sex", "female", "test").smd[1]; !sameNumber(got, (2.0/3)/math.Sqrt(1.0/9)) {
		t.Errorf("difference of sex between train and test %v", got)
	}
	// Levels come in the order of stages, and what nobody has is told in one sentence.
	var stages []string
	for i, v := range rows.Strings("variable") {
		if v == "stage" && rows.Strings("role")[i] == "all" {
			stages = append(stages, rows.Strings("level")[i])
		}
	}
	if !slices.Equal(stages, []string{"I", "II", "IIIB"}) {
		t.Errorf("stages in the order %v", stages)
	}
	note := block.Note[0].Text
	if !strings.Contains(note, "left out: histology, tumour (T), nodes (N), metastases (M).") || !strings.Contains(note, "not described here: 1.") {
		t.Errorf("note: %s", note)
	}
	text := func(first string) []string {
		i := slices.IndexFunc(block.Rows, func(r report.Row) bool { return r.Cells[0].Text == first })
		if i < 0 {
			t.Fatalf("the report has no row %q", first)
		}
		var out []string
		for _, c := range block.Rows[i].Cells[1:] {
			out = append(out, c.Text)
		}
		return out
	}
	if got := text("Age, years"); !slices.Equal(got, []string{"65.0 (60.0–70.0)", "65.0 (50.0–80.0)", "75.5 (75.5–75.5)", "67.5 (50.0–80.0)", "0.00, –"}) {
		t.Errorf("age in the report: %q", got)
	}
	if got := text("Tumour volume, cm3"); got[0] != "2.0 (1.0–4.0)" {
		t.Errorf("volume in the report: %q", got)
	}
	if got := text(indent + "IIIB"); !slices.Equal(got, []string{"2 (50%)", "0 (0%)", "–", "2 (33%)", ""}) {
		t.Errorf("stage IIIB in the report: %q", got)
	}
}

// Roles add up, on a cohort with everything.
func TestTableOneAddsUp(t *testing.T) {
	p, err := phantom.New(phantom.Default())
	if err != nil {
		t.Fatal(err)
	}
	s := &study{cohort: p.Cohort(), scores: p.TrueRisk(), truth: p.TrueRisk(), scoredBy: scoredByNetwork}
	r, ev := describing(t, s)
	rows, block, err := r.tableOne(s, ev)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(block.Note[0].Text, "left out: size of the tumour.") {
		t.Errorf("note: %s", block.Note[0].Text)
	}
	sum := map[string]int{}      // over roles, by variable and level
	inLevels := map[string]int{} // over levels, by variable and role
	for i := range rows.Rows() {
		row := one(t, rows, rows.Strings("variable")[i], rows.Strings("level")[i], rows.Strings("role")[i])
		key, n := row.variable+"/"+row.level, row.n
		if row.role == allRoles {
			n = -n
		}
		sum[key] += n
		if row.level != "" {
			of := row.variable + "/" + row.role
			if inLevels[of] == 0 {
				inLevels[of] = row.missing - one(t, rows, "patients", "", row.role).n
			}
			inLevels[of] += row.n
		}
		if row.variable == "patients" || row.kind == kindCount {
			continue
		}
		if !(row.low <= row.median && row.median <= row.high) {
			t.Errorf("%+v: the median is outside its limits", row)
		}
	}
	for key, n := range sum {
		if n != 0 {
			t.Errorf("%s: the roles do not sum to all (%d)", key, n)
		}
	}
	for key, n := range inLevels {
		if n != 0 {
			t.Errorf("%s: levels and missing do not sum to the patients (%d)", key, n)
		}
	}
	// Ages are missing at random; the difference is that of the package stats.
	var a, b []float64
	for _, p := range s.cohort.Patients {
		switch {
		case !p.Age.Valid:
		case p.Role == datasets.Train:
			a = append(a, p.Age.V)
		case p.Role == datasets.Test:
			b = append(b, p.Age.V)
		}
	}
	want, err := stats.StandardisedMean(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if got := one(t, rows, "age", "", "all"); !sameNumber(got.smd[1], math.Abs(want)) || got.missing != len(s.cohort.Patients)-countAges(s) {
		t.Errorf("age: %+v, want a difference of %v", got, want)
	}
}

func countAges(s *study) (n int) {
	for _, p := range s.cohort.Patients {
		if p.Age.Valid {
			n++
		}
	}
	return n
}

// The published tables: clinical columns for linked test patients alone, sizes for all.
func TestTableOnePublished(t *testing.T) {
	if os.Getenv(catalog.MirrorVariable) == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's tables are not here")
	}
	cfg, err := Load("published-radiotherapy", "evaluation.bootstrap=100")
	if err != nil {
		t.Fatal(err)
	}
	done := run(t, cfg, tinyEnv(t))
	rows, err := table.Read(filepath.Join(done.Dir, "tables/table1.arrow"), tableOneSchema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Counts from the CSV files, by awk.
	for _, want := range []struct {
		variable, level, role string
		n, missing            int
	}{
		{"patients", "", "train", 293, 0}, {"patients", "", "tune", 104, 0}, {"patients", "", "test", 211, 0},
		{"two_year_status", "alive", "test", 60, 0}, {"follow_up", "", "test", 206, 5}, {"follow_up", "", "train", 0, 293},
		{"original_shape_Volume", "", "train", 291, 2}, {"original_shape_Volume", "", "test", 210, 1}, {"age", "", "tune", 0, 104},
	} {
		if got := one(t, rows, want.variable, want.level, want.role); got.n != want.n || got.missing != want.missing {
			t.Errorf("%s %s of %s: %d and %d missing, want %d and %d", want.variable, want.level, want.role, got.n, got.missing, want.n, want.missing)
		}
	}
	// R 4.2.2: survfit(Surv(days, event == 0) ~ 1, conf.type = "log-log") on the linked
	// patients; the difference of volume by Austin's formula with mean() and var().
	if got := one(t, rows, "follow_up", "", "test"); got.median != 3661 || got.low != 2119 || got.high != 4118 {
		t.Errorf("median follow-up %v, %v to %v", got.median, got.low, got.high)
	}
	if got := one(t, rows, "original_shape_Volume", "", "all"); math.Abs(got.smd[0]-0.5811072) > 5e-8 || math.Abs(got.smd[1]-0.09640902) > 5e-9 {
		t.Errorf("differences of volume %v", got.smd)
	}
	checkTripod(t, done)
}
