package datasets

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"hounsfield/datasets/table"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func smallCohort(t testing.TB) *Cohort {
	t.Helper()
	patients := []Patient{
		{ID: "a", Cohort: "X", Role: Train, Age: table.Some(60.5), Sex: table.Some("male"), T: table.Some("2a"), Stage: table.Some("IIIB")},
		{ID: "b", Cohort: "X", Role: Test, Histology: table.Some("large cell"), N: table.Some("0"), M: table.Some("1b")},
		{ID: "c", Cohort: "Y", Role: Tune},
		{ID: "d", Cohort: "Y", Role: Test, Sex: table.Some("female")},
	}
	outcomes := []Outcome{
		{SurvivalDays: table.Some(731.0), Event: table.Some(true)},
		{SurvivalDays: table.Some(730.0), Event: table.Some(true)},
		{SurvivalDays: table.Some(100.0), Event: table.Some(false)},
		{Alive2yr: table.Some(true)},
	}
	c, err := NewCohort("small", patients, outcomes, []Feature{
		{Column: table.Column{Name: "volume", Type: table.Float64, Nullable: true, Unit: "mm3", Source: "test"}, Values: []float64{1, 2, math.NaN(), 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAliveAt2yr(t *testing.T) {
	for _, test := range []struct {
		days  float64
		event bool
		want  Null[bool]
	}{
		{730.5, true, table.Some(true)}, {731, false, table.Some(true)},
		{730, true, table.Some(false)}, {0, true, table.Some(false)},
		{730, false, Null[bool]{}}, {12, false, Null[bool]{}},
		{math.NaN(), true, Null[bool]{}}, {math.NaN(), false, Null[bool]{}},
	} {
		if got := AliveAt2yr(test.days, test.event); got != test.want {
			t.Errorf("after %g days, event %t: %v, want %v", test.days, test.event, got, test.want)
		}
	}
}

func TestRoleGuard(t *testing.T) {
	c := smallCohort(t)
	if got := c.Of(Test); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("test rows %v", got)
	}
	train, err := c.Outcomes(Train)
	if err != nil || len(train) != 1 || train[0].Alive2yr != table.Some(true) {
		t.Errorf("train outcomes %v, %v", train, err)
	}
	if tune, err := c.Outcomes(Tune); err != nil || tune[0].Alive2yr.Valid {
		t.Errorf("tune outcomes %v, %v: censored on day 100 has no label", tune, err)
	}
	sealed := func(what string, err error, says string) {
		t.Helper()
		if e := (*SealedTestError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want a *SealedTestError saying %q", what, err, says)
		}
	}
	_, err = c.Outcomes(Test)
	sealed("Outcomes(Test)", err, "OpenTest")
	_, err = c.OpenTest(nil)
	sealed("OpenTest without a record", err, "record")
	broken := errors.New("disk full")
	if _, err := c.OpenTest(func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a record that fails gives %v", err)
	}
	sub := c.Subset([]int{3, 0})
	records := 0
	got, err := sub.OpenTest(func() error { records++; return nil })
	if err != nil || len(got) != 1 || !got[0].Alive2yr.V || records != 1 {
		t.Errorf("opened: %v, %v, %d records", got, err, records)
	}
	_, err = c.OpenTest(func() error { records++; return nil })
	sealed("a second OpenTest, through the whole", err, "before")
	_, err = c.Outcomes(Test)
	sealed("Outcomes(Test) once open", err, "sealed")
	if records != 1 {
		t.Errorf("%d records, want 1", records)
	}
}

// Many at once: one gets the outcomes.
func TestOpenTestOnce(t *testing.T) {
	c := smallCohort(t)
	var opened sync.Map
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			if _, err := c.OpenTest(func() error { return nil }); err == nil {
				opened.Store(i, true)
			}
		})
	}
	wait.Wait()
	n := 0
	opened.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("opened %d times", n)
	}
}

// Dealing roles anew leaves nobody out, seals the new test role, moves nobody when
// patients join, and is refused once a test role was seen.
func TestAssign(t *testing.T) {
	made := func(n int) *Cohort {
		patients, outcomes := make([]Patient, n), make([]Outcome, n)
		for i := range patients {
			patients[i] = Patient{ID: fmt.Sprintf("LUNG1-%03d", i), Cohort: "X", Role: Test}
			outcomes[i] = Outcome{SurvivalDays: table.Some(float64(i)), Event: table.Some(true)}
		}
		c, err := NewCohort("made", patients, outcomes, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	split := Split{Tune: 0.2, Test: 0.3, Seed: 7}
	c := made(2000)
	dealt, err := c.Assign(split)
	if err != nil {
		t.Fatal(err)
	}
	// Three standard errors of a share of 2,000 are below 0.034.
	for role, want := range map[Role]float64{Train: 0.5, Tune: 0.2, Test: 0.3} {
		if got := float64(len(dealt.Of(role))) / 2000; math.Abs(got-want) > 0.034 {
			t.Errorf("%s has %.3f of the patients, want %.3f", role, got, want)
		}
	}
	if len(c.Of(Test)) != 2000 {
		t.Error("the cohort that was dealt has changed")
	}
	few, err := made(300).Assign(split)
	if err != nil || !slices.Equal(few.Patients, dealt.Patients[:300]) {
		t.Errorf("patients who joined moved others (error %v)", err)
	}
	split.Seed++
	if other, err := c.Assign(split); err != nil || slices.Equal(other.Patients, dealt.Patients) {
		t.Errorf("another seed deals the same roles (error %v)", err)
	}
	rows := dealt.Of(Tune)
	if tune, err := dealt.Outcomes(Tune); err != nil || tune[3].SurvivalDays.V != float64(rows[3]) {
		t.Errorf("outcomes did not stay with their patients (error %v)", err)
	}
	sealed := new(*SealedTestError)
	if _, err := dealt.Outcomes(Test); !errors.As(err, sealed) {
		t.Errorf("the dealt test role is open: %v", err)
	}
	if _, err := dealt.OpenTest(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := dealt.Assign(split); !errors.As(err, sealed) {
		t.Errorf("roles were dealt anew after the test role was seen: %v", err)
	}
	for _, bad := range []Split{{}, {Tune: 0.5, Test: 0.5}, {Tune: -0.1, Test: 0.5}, {Tune: math.NaN(), Test: 0.5}} {
		if _, err := c.Assign(bad); err == nil {
			t.Errorf("%+v leaves a role empty and passes", bad)
		}
	}
}

func TestNewCohortRefuses(t *testing.T) {
	base := func() ([]Patient, []Outcome) {
		return []Patient{{ID: "a", Cohort: "X", Role: Train}, {ID: "b", Cohort: "X", Role: Test}}, make([]Outcome, 2)
	}
	for _, test := range []struct {
		name   string
		change func(p []Patient, o []Outcome) []Feature
		target any
		says   []string
	}{
		{"two of one id", func(p []Patient, o []Outcome) []Feature { p[1].ID = "a"; return nil }, new(*table.DuplicateError), []string{"a", "rows 0 and 1"}},
		{"unknown role", func(p []Patient, o []Outcome) []Feature { p[1].Role = "validation"; return nil }, new(*table.ValueError), []string{`"b"`, "validation", "train, tune, test"}},
		{"age of a tree", func(p []Patient, o []Outcome) []Feature { p[0].Age = table.Some(700.0); return nil }, new(*table.ValueError), []string{"years", "700"}},
		{"unknown T", func(p []Patient, o []Outcome) []Feature { p[0].T = table.Some("T2a"); return nil }, new(*table.ValueError), []string{"T2a", "2a"}},
		{"negative survival", func(p []Patient, o []Outcome) []Feature { o[0].SurvivalDays = table.Some(-1.0); return nil }, new(*table.ValueError), []string{"survival_days"}},
		{"dead early and alive", func(p []Patient, o []Outcome) []Feature {
			o[1] = Outcome{SurvivalDays: table.Some(5.0), Event: table.Some(true), Alive2yr: table.Some(true)}
			return nil
		}, new(*LabelError), []string{`"b"`, "day 5", "dead"}},
		{"censored early and labelled", func(p []Patient, o []Outcome) []Feature {
			o[1] = Outcome{SurvivalDays: table.Some(5.0), Event: table.Some(false), Alive2yr: table.Some(false)}
			return nil
		}, new(*LabelError), []string{"null"}},
		{"late and labelled dead", func(p []Patient, o []Outcome) []Feature {
			o[1] = Outcome{SurvivalDays: table.Some(800.0), Alive2yr: table.Some(false)}
			return nil
		}, new(*LabelError), []string{"not known dead or alive"}},
		{"short feature", func(p []Patient, o []Outcome) []Feature {
			return []Feature{{Column: table.Column{Name: "f", Type: table.Float64}, Values: []float64{1}}}
		}, new(*table.ColumnError), []string{`"f"`, "1 values"}},
		{"feature named as a clinical column", func(p []Patient, o []Outcome) []Feature {
			return []Feature{{Column: table.Column{Name: "age", Type: table.Float64}, Values: []float64{1, 2}}}
		}, new(*table.ColumnError), []string{`"age"`, "twice"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, o := base()
			f := test.change(p, o)
			_, err := NewCohort("bad", p, o, f)
			if !errors.As(err, test.target) {
				t.Fatalf("got %T (%v)", err, err)
			}
			for _, s := range test.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
	if _, err := NewCohort("bad", make([]Patient, 2), nil, nil); err == nil {
		t.Error("patients without outcomes pass")
	}
}

func TestFeature(t *testing.T) {
	c := smallCohort(t)
	if f, err := c.Feature("volume"); err != nil || f.Values[3] != 4 {
		t.Errorf("volume: %v, %v", f, err)
	}
	_, err := c.Feature("volumes")
	if e := (*table.ColumnError)(nil); !errors.As(err, &e) || !slices.Equal(e.Nearest, []string{"volume"}) {
		t.Errorf("a misspelt feature gives %v", err)
	}
}

func TestCohortFiles(t *testing.T) {
	equal := cmp.Options{cmp.AllowUnexported(Cohort{}), cmpopts.IgnoreFields(Cohort{}, "seal"), cmpopts.EquateNaNs()}
	for _, ext := range []string{".arrow", ".parquet"} {
		t.Run(ext, func(t *testing.T) {
			dir := t.TempDir()
			c := smallCohort(t)
			whole := filepath.Join(dir, "whole"+ext)
			if err := c.Export(whole, map[string]string{"source": "test"}); err != nil {
				t.Fatal(err)
			}
			back, err := ReadCohort(whole, "small")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c, back, equal); d != "" {
				t.Errorf("what comes back differs (-written +read):\n%s", d)
			}
			if _, err := back.Outcomes(Test); err == nil {
				t.Error("what comes back is not sealed")
			}

			// A run's table holds no test outcomes until they are opened.
			run := filepath.Join(dir, "run"+ext)
			if err := back.Write(run, nil); err != nil {
				t.Fatal(err)
			}
			masked, err := ReadCohort(run, "small")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range masked.Of(Test) {
				if masked.outcomes[r] != (Outcome{}) {
					t.Errorf("the outcome of %s leaked into the file", masked.Patients[r].ID)
				}
			}
			if masked.outcomes[0] != c.outcomes[0] {
				t.Error("a train outcome is lost")
			}
			if _, err := masked.OpenTest(func() error { return nil }); err == nil {
				t.Error("outcomes that were left out can be opened")
			}
			if err := masked.Export(filepath.Join(dir, "no"+ext), nil); err == nil {
				t.Error("outcomes that were left out can be exported")
			}
			if _, err := back.OpenTest(func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			if err := back.Write(run, nil); err != nil {
				t.Fatal(err)
			}
			if opened, err := ReadCohort(run, "small"); err != nil || opened.outcomes[1] != c.outcomes[1] {
				t.Errorf("once open the file should hold test outcomes (%v)", err)
			}
		})
	}
}

const cohortCSV = `patient_id,cohort,role,age,sex,histology,t,n,m,stage,survival_days,event,alive_2yr,volume
p1,C,train,61,male,adenocarcinoma,2a,0,0,IB,900,true,,12.5
p2,C,tune,,female,,3,1,0,IIIA,200,0,,
p3,C,test,70.5,,,,,,,,,FALSE,3
`

func TestReadCohortCSV(t *testing.T) {
	read := func(text string) (*Cohort, error) {
		path := filepath.Join(t.TempDir(), "cohort.csv")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return ReadCohort(path, "mine")
	}
	c, err := read(cohortCSV)
	if err != nil {
		t.Fatal(err)
	}
	want := []Outcome{
		{SurvivalDays: table.Some(900.0), Event: table.Some(true), Alive2yr: table.Some(true)},
		{SurvivalDays: table.Some(200.0), Event: table.Some(false)},
		{Alive2yr: table.Some(false)},
	}
	if d := cmp.Diff(want, c.outcomes); d != "" {
		t.Error(d)
	}
	if got := fmt.Sprint(c.Features[0].Values); got != "[12.5 NaN 3]" {
		t.Errorf("volume %s", got)
	}
	for _, test := range []struct {
		name, old, new string
		target         any
		says           []string
	}{
		{"survival and age swapped", "age,sex,histology,t,n,m,stage,survival_days", "survival_days,sex,histology,t,n,m,stage,age", new(*table.ValueError), []string{"line 2", "p1", "age", "900", "0 to 120"}},
		{"sex and event swapped", "age,sex,histology,t,n,m,stage,survival_days,event", "age,event,histology,t,n,m,stage,survival_days,sex", new(*table.ValueError), []string{"line 2", "event", "male", "true or false"}},
		{"a label against survival", "900,true,,", "900,true,false,", new(*LabelError), []string{"line 2", "p1", "cohort.csv"}},
		{"a missing column", "survival_days", "survival", new(*table.ColumnError), []string{`"survival_days"`, "missing", "survival"}},
		{"text in a feature", "12.5", "big", new(*table.ValueError), []string{"volume", "big", "line 2"}},
		{"one id twice", "p3", "p1", new(*table.DuplicateError), []string{"lines 2 and 4"}},
		{"a short line", ",,FALSE,3", ",,FALSE", new(*table.FormatError), []string{"line 4", "13 fields", "14"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(strings.Replace(cohortCSV, test.old, test.new, 1))
			if !errors.As(err, test.target) {
				t.Fatalf("got %T (%v)", err, err)
			}
			for _, s := range test.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
}

func TestReadCohortEnding(t *testing.T) {
	_, err := ReadCohort("cohort.xlsx", "mine")
	if !errors.As(err, new(*table.FormatError)) || !strings.Contains(err.Error(), ".csv, .arrow or .parquet") {
		t.Errorf("got %v", err)
	}
}

func TestExclusions(t *testing.T) {
	for _, ext := range []string{".arrow", ".parquet"} {
		path := filepath.Join(t.TempDir(), "exclusions"+ext)
		for _, want := range [][]Exclusion{{}, {
			{Patient: "a", Cohort: "X", Stage: "prepare", Reason: "no tumour contour", File: "x.dcm"},
			{Patient: "a", Cohort: "X", Stage: "survival", Reason: "no time"},
		}} {
			if err := WriteExclusions(path, want, map[string]string{"run": "r"}); err != nil {
				t.Fatal(err)
			}
			got, err := ReadExclusions(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
	}
}
