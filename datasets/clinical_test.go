package datasets

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

func readClinical(t *testing.T, name string) *Cohort {
	t.Helper()
	e, err := catalog.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadClinical(mirror(t), e)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func nulls[V any](c *Cohort, field func(Patient) Null[V]) int {
	n := 0
	for _, p := range c.Patients {
		if !field(p).Valid {
			n++
		}
	}
	return n
}

// Counts as in STUDY.md and as pandas 3.1.1 value_counts gives them on
// nsclc-radiomics/clinical.csv.
func TestLung1(t *testing.T) {
	c := readClinical(t, "nsclc-radiomics")
	if n := len(c.Of(Test)); n != 422 || len(c.Patients) != 422 {
		t.Fatalf("%d test patients of %d, want 422", n, len(c.Patients))
	}
	ages := nulls(c, func(p Patient) Null[float64] { return p.Age })
	histologies := nulls(c, func(p Patient) Null[string] { return p.Histology })
	stages := nulls(c, func(p Patient) Null[string] { return p.Stage })
	if ages != 22 || histologies != 42 || stages != 1 {
		t.Errorf("%d ages, %d histologies, %d stages missing; want 22, 42, 1", ages, histologies, stages)
	}
	t5, m3, n4, stageB := 0, 0, 0, 0
	for _, p := range c.Patients {
		if p.T == table.Some("5") {
			t5++
		}
		if p.M == table.Some("3") {
			m3++
		}
		if p.N == table.Some("4") {
			n4++
		}
		if p.Stage == table.Some("IIIB") {
			stageB++
		}
	}
	if t5 != 2 || m3 != 4 || n4 != 3 || stageB != 176 {
		t.Errorf("T5 %d, M3 %d, N4 %d, IIIB %d; want 2, 4, 3, 176", t5, m3, n4, stageB)
	}
	outcomes, err := c.OpenTest(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	dead := 0
	for _, o := range outcomes {
		if o.Event.V {
			dead++
		}
		if o.Alive2yr != AliveAt2yr(o.SurvivalDays.V, o.Event.V) {
			t.Errorf("label %v after %v, %v", o.Alive2yr, o.SurvivalDays, o.Event)
		}
	}
	if dead != 373 {
		t.Errorf("%d dead, want 373", dead)
	}
}

// expression/r01_outcome.csv is the two-year status of 130 of these patients as
// others derived it from the same table (data/README.md): 115 known, 26 dead.
func TestRadiogenomicsAgainstOthers(t *testing.T) {
	c := readClinical(t, "nsclc-radiogenomics")
	if len(c.Patients) != 211 {
		t.Fatalf("%d patients, want 211", len(c.Patients))
	}
	outcomes, err := c.OpenTest(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]Outcome)
	for i, r := range c.Of(Test) {
		by[c.Patients[r].ID] = outcomes[i]
	}
	f, err := os.Open(filepath.Join(mirror(t), "expression", "r01_outcome.csv"))
	if err != nil {
		t.Skip("the derived outcomes are not in the mirror: ", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	known, dead := 0, 0
	for _, row := range rows[1:] { // id, histology, days_from_surgery, dead, surv2yr
		o, ok := by[row[0]]
		if !ok {
			t.Fatalf("%s is not in the cohort", row[0])
		}
		days, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		if o.SurvivalDays.V != days || o.Event.V != (row[3] == "1") {
			t.Errorf("%s: %g days, dead %t; others have %s, %s", row[0], o.SurvivalDays.V, o.Event.V, row[2], row[3])
		}
		want := map[string]Null[bool]{"": {}, "0": table.Some(false), "1": table.Some(true)}[row[4]]
		if o.Alive2yr != want {
			t.Errorf("%s: label %v, others have %q", row[0], o.Alive2yr, row[4])
		}
		if o.Alive2yr.Valid {
			known++
			if !o.Alive2yr.V {
				dead++
			}
		}
	}
	if known != 115 || dead != 26 {
		t.Errorf("%d known, %d dead; want 115, 26", known, dead)
	}
}

// Every column map of the catalog fits its real file and names declared columns.
func TestCatalogColumnMaps(t *testing.T) {
	dir := mirror(t)
	replication := publishedSchema()
	replication.Columns = append(replication.Columns[:3:3], table.Column{Name: "published_score", Type: table.Float64, Nullable: true})
	replication.Columns[1].Nullable = true
	for name, schema := range map[string]table.Schema{"hosny2018": publishedSchema(), "idc-replication": replication,
		"nsclc-radiomics": clinicalSchema(), "nsclc-radiogenomics": clinicalSchema()} {
		e, err := catalog.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range e.Tables {
			if _, err := readTable(dir, from, schema); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
