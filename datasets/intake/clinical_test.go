package intake

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const german = "\xef\xbb\xbfFall;Patient;Name;Alter;Geschlecht;Typ;Beginn;Letzte;Tot;Notiz\r\n" +
	"1;NH-0017;Meier;63,5;m;AdenoCa;01.03.2015;01.03.2018;nein;\"gut; sehr gut\"\r\n" +
	"2; NH-0018 ;M\u00fcller;91;w;SCC;15.02.2016;14.02.2017;ja;\r\n" +
	";;;;;;;;;\r\n" +
	"3;NH-0019;Schulze;k.A.;w;-;15.02.2016;-;ja;\r\n"

const germanMap = `
cohort: nord
licence: none
role: train
clinical: {decimal: comma, nulls: [k.A., "-"], identity: [Name, Fall]}
id: {column: Patient, pattern: 'NH-0*(?P<patient>[0-9]+)'}
columns:
  age: {header: Alter}
  sex: {header: Geschlecht, values: {m: male, w: female}}
  histology: {header: Typ, values: {AdenoCa: adenocarcinoma, SCC: squamous cell carcinoma}}
  survival_days: {absent: true, else_dates: {start: Beginn, end: Letzte, layout: DD.MM.YYYY}}
  event: {header: Tot, values: {ja: "true", nein: "false"}}
images: {kind: dicom, roi: [GTV]}
`

func TestReadClinical(t *testing.T) {
	got, err := ReadClinical(write(t, "nord.csv", german), parse(t, germanMap))
	if err != nil {
		t.Fatal(err)
	}
	some := table.Some[float64]
	patient := func(id string) datasets.Patient {
		return datasets.Patient{ID: id, Cohort: "nord", Role: datasets.Train}
	}
	first, second, third := patient("17"), patient("18"), patient("19")
	first.Age, first.Sex, first.Histology = some(63.5), table.Some("male"), table.Some("adenocarcinoma")
	second.Age, second.Sex, second.Histology = some(91), table.Some("female"), table.Some("squamous cell carcinoma")
	third.Sex = table.Some("female")
	want := &Table{
		Rows: []Row{
			{Where: "line 2", Spelled: "NH-0017", ID: "17", Patient: first, Outcome: datasets.Outcome{SurvivalDays: some(1096), Event: table.Some(false)}, Identity: []Identifier{{"Name", "Meier"}, {"Fall", "1"}}},
			{Where: "line 3", Spelled: "NH-0018", ID: "18", Patient: second, Outcome: datasets.Outcome{SurvivalDays: some(365), Event: table.Some(true)}, Identity: []Identifier{{"Name", "M\u00fcller"}, {"Fall", "2"}}},
			{Where: "line 5", Spelled: "NH-0019", ID: "19", Patient: third, Outcome: datasets.Outcome{Event: table.Some(true)}, Identity: []Identifier{{"Name", "Schulze"}, {"Fall", "3"}}},
		},
		Unused: []string{"Fall", "Name", "Notiz"}, Blank: 1,
	}
	// NaN, which is what a null float holds in a table, differs from itself.
	for i := range got.Rows {
		for _, v := range []*datasets.Null[float64]{&got.Rows[i].Patient.Age, &got.Rows[i].Outcome.SurvivalDays} {
			if !v.Valid {
				v.V = 0
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

func TestUnits(t *testing.T) {
	text := strings.NewReplacer("{header: Days}", "{header: OS, unit: months}", "{header: Age}", "{header: Age, unit: months}").Replace(small)
	got, err := ReadClinical(write(t, "a.csv", "Patient,Age,OS,Dead\na,720,24,y\nb,1500,24,n\nc,720,1300,n\n"), parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Rows[0]; r.Problem != "" || r.Patient.Age.V != 60 || r.Outcome.SurvivalDays.V != 730.5 {
		t.Errorf("%+v", r)
	}
	// The range holds in the column's own unit.
	if r := got.Rows[1]; !strings.Contains(r.Problem, `column "Age" holds a value that is not allowed; allowed: a finite number (years) from 0 to 120`) || r.Cell != "1500" {
		t.Errorf("%+v", r)
	}
	if r := got.Rows[2]; !strings.Contains(r.Problem, `column "OS" holds a value`) || !strings.Contains(r.Problem, "36525") {
		t.Errorf("%+v", r)
	}
}

func TestAgeFromDates(t *testing.T) {
	text := strings.Replace(small, "{header: Age}", "{absent: true, else_dates: {start: Born, end: Scan, layout: YYYY-MM-DD}}", 1)
	got, err := ReadClinical(write(t, "a.csv", "Patient,Born,Scan,Days,Dead\na,1950-01-01,2010-01-01,9,y\nb,1950-13-01,2010-01-01,9,y\n"), parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Rows[0]; r.Problem != "" || r.Patient.Age.V != 21915/365.25 { // 60 years with 15 leap days
		t.Errorf("%+v", r)
	}
	if r := got.Rows[1]; !strings.Contains(r.Problem, `column "Born"`) || strings.Contains(r.Problem, "1950") || r.Cell != "1950-13-01" {
		t.Errorf("%+v", r)
	}
}

// A bad row says what is wrong, without its value, and spoils no other.
func TestBadRows(t *testing.T) {
	m := parse(t, strings.Replace(small, "  event", "  alive_2yr: {header: Two}\n  event", 1))
	got, err := ReadClinical(write(t, "a.csv", "Patient,Age,Days,Dead,Two\n"+
		"ok,60,900,n,\n"+
		",60,900,n,\n"+
		"twice,60,900,n,\n"+
		"age,Meier,900,n,\n"+
		"twice,61,901,n,\n"+
		"old,240,900,n,\n"+
		"dead,60,900,maybe,\n"+
		"label,60,900,n,false\n"+
		"negative,60,-4,n,\n"+
		"twice,62,902,n,\n"+
		"fine,,,,true\n"), m)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ id, problem, cell string }{
		{"ok", "", ""},
		{"", `column "Patient" holds no id`, ""},
		{"twice", "its id stands in line 6 too", ""},
		{"age", `column "Age" holds a value that is not allowed; allowed: a finite number (years) from 0 to 120, or nothing for null`, "Meier"},
		{"twice", "its id stands in line 4 too", ""},
		{"old", `column "Age" holds a value that is not allowed; allowed: a finite number (years) from 0 to 120`, "240"},
		{"dead", `column "Dead" holds a value that is not allowed; allowed: one of n, y, or nothing for null`, "maybe"},
		{"label", "alive_2yr contradicts survival_days and event: more than 730 days is true, death by then is false, last seen alive by then is null", ""},
		{"negative", `column "Days" holds a value that is not allowed; allowed: a finite number (days) from 0 to 36525`, "-4"},
		{"twice", "its id stands in line 4 too", ""},
		{"fine", "", ""},
	}
	if len(got.Rows) != len(want) {
		t.Fatalf("%d rows", len(got.Rows))
	}
	for i, w := range want {
		if r := got.Rows[i]; r.ID != w.id || r.Problem != w.problem || r.Cell != w.cell {
			t.Errorf("row %d: %q %q %q, want %+v", i, r.ID, r.Problem, r.Cell, w)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	m := parse(t, small)
	latin := m
	latin.Clinical.Encoding = "latin-1"
	const good = "Patient,Age,Days,Dead\na,60,900,y\n"
	for _, c := range []struct {
		name, text string
		m          Map
		says       []string
	}{
		{"a.xlsx", "PK", m, []string{"is a workbook", "CSV UTF-8"}},
		{"a.tsv", good, m, []string{"let its name end in .csv"}},
		{"a.doc", good, m, []string{"names no clinical table"}},
		{"a.csv", "", m, []string{"it is empty"}},
		{"a.csv", "\xff\xfeP\x00a\x00", m, []string{"UTF-16"}},
		{"a.csv", "Patient\x00", m, []string{"bytes that no text has"}},
		{"a.csv", good + "b\xfcro,60,1,y\n", m, []string{"line 3", "not UTF-8", "encoding: latin-1"}},
		{"a.csv", good + "b\x80,60,1,y\n", latin, []string{"line 3", "0x80", "save the file as CSV in UTF-8"}},
		{"a.csv", "Pat,Age,Days,Dead\na,60,900,y\n", m, []string{`column "Patient": is missing (id.column names it)`, "Pat"}},
		{"a.csv", "Patient;Alter;Tage;Dead\n", m, []string{`"Age": is missing`, `"Days": is missing`}},
		{"a.csv", "Patient,Age,Days,Dead,Age\na,60,900,y,61\n", m, []string{"stands twice in the header"}},
		{"a.csv", good + "b,60,900\n", m, []string{"line 3", "3 cells and the header has 4"}},
		{"a.csv", good + "\"b,60,900,y\n", m, []string{"line 3", "quotes"}},
		{"a.parquet", "PAR1", m, []string{"cannot be read as parquet"}},
	} {
		_, err := ReadClinical(write(t, c.name, c.text), c.m)
		if err == nil {
			t.Errorf("no error for %q", c.text)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%q is not in: %v", says, err)
			}
		}
	}
	identity := m
	identity.Clinical.Identity = []string{"Nam"}
	_, err := ReadClinical(write(t, "a.csv", "Patient,Age,Days,Dead,Name\n"), identity)
	if e := (*table.ColumnError)(nil); !errors.As(err, &e) || e.Column != "Nam" || len(e.Nearest) != 1 {
		t.Error(err)
	}
	if got, err := ReadClinical(write(t, "a.csv", "Patient,Age,Days,Dead\nb\xfcro,60,1,y\n"), latin); err != nil || got.Rows[0].ID != "b\u00fcro" {
		t.Error(got, err)
	}
	for _, text := range []string{strings.ReplaceAll(good, ",", ";"), strings.ReplaceAll(good, ",", "\t")} {
		if got, err := ReadClinical(write(t, "a.csv", text), m); err != nil || len(got.Rows) != 1 || got.Rows[0].Problem != "" {
			t.Error(got, err)
		}
	}
}

// A typed table gives the same rows as its text.
func TestArrow(t *testing.T) {
	m := parse(t, small)
	schema := table.Schema{Name: "mine", Columns: []table.Column{
		{Name: "Patient", Type: table.String, Nullable: true}, {Name: "Age", Type: table.Float64, Nullable: true},
		{Name: "Days", Type: table.Int64, Nullable: true}, {Name: "Dead", Type: table.String, Nullable: true},
	}}
	typed, err := table.New(schema, nil, map[string]any{
		"Patient": []datasets.Null[string]{table.Some("a"), table.Some("b"), {}},
		"Age":     []datasets.Null[float64]{table.Some(60.25), {}, table.Some(3.0)},
		"Days":    []datasets.Null[int64]{table.Some(int64(900)), table.Some(int64(-1)), table.Some(int64(1))},
		"Dead":    []datasets.Null[string]{table.Some("y"), table.Some("n"), {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.arrow", "a.parquet"} {
		path := filepath.Join(t.TempDir(), name)
		if err := typed.Write(path); err != nil {
			t.Fatal(err)
		}
		got, err := ReadClinical(path, m)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Rows) != 3 || got.Rows[0].Problem != "" || got.Rows[0].Patient.Age.V != 60.25 || got.Rows[0].Outcome.SurvivalDays.V != 900 ||
			got.Rows[1].Where != "row 2" || got.Rows[1].Cell != "-1" || got.Rows[2].Problem == "" {
			t.Errorf("%s: %+v", name, got.Rows)
		}
	}
}

// What pandas makes of dates is passed over where nobody asks for it; ids may be numbers.
func TestArrowFromElsewhere(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "Patient", Type: arrow.PrimitiveTypes.Int64}, {Name: "Born", Type: arrow.FixedWidthTypes.Date32},
		{Name: "Age", Type: arrow.PrimitiveTypes.Float32}, {Name: "Days", Type: arrow.PrimitiveTypes.Int32}, {Name: "Dead", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{7, 8}, nil)
	b.Field(1).(*array.Date32Builder).AppendValues([]arrow.Date32{0, 1}, nil)
	b.Field(2).(*array.Float32Builder).AppendValues([]float32{60.5, 61}, nil)
	b.Field(3).(*array.Int32Builder).AppendValues([]int32{900, 901}, nil)
	b.Field(4).(*array.StringBuilder).AppendValues([]string{"y", "n"}, nil)
	rec := b.NewRecordBatch()
	defer rec.Release()
	path := filepath.Join(t.TempDir(), "a.arrow")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(schema))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := ReadClinical(path, parse(t, small))
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Rows; len(r) != 2 || r[0].ID != "7" || r[0].Problem != "" || r[0].Patient.Age.V != 60.5 || r[1].Outcome.SurvivalDays.V != 901 {
		t.Errorf("%+v", r)
	}
	wants := strings.Replace(small, "{header: Age}", "{absent: true, else_dates: {start: Born, end: Born, layout: YYYY-MM-DD}}", 1)
	if _, err := ReadClinical(path, parse(t, wants)); err == nil || !strings.Contains(err.Error(), `column "Born": holds date32`) {
		t.Error(err)
	}
	if _, err := ReadClinical(path, parse(t, strings.Replace(small, "Patient", "Pat", 1))); err == nil || !strings.Contains(err.Error(), `"Pat": is missing (nearest there: Patient`) {
		t.Error(err)
	}
}

// Numbers with a comma: a point in them may part thousands.
func TestDecimalComma(t *testing.T) {
	m := parse(t, strings.Replace(small, "role: test", "role: test\nclinical: {decimal: comma}", 1))
	got, err := ReadClinical(write(t, "a.csv", "Patient;Age;Days;Dead\na;63,5;900;y\nb;63;1.234;y\nc;1,2,3;900;y\n"), m)
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Rows; r[0].Patient.Age.V != 63.5 || r[0].Problem != "" || !strings.Contains(r[1].Problem, `column "Days" holds a point`) || r[2].Column != "Age" || r[2].Cell != "1,2,3" {
		t.Errorf("%+v", r)
	}
}

// A header of the file may be the name of another column of ours.
func TestHeadersThatAreOurNames(t *testing.T) {
	m := parse(t, strings.NewReplacer("age: {header: Age}", "age: {header: event, unit: months}", "{header: Days}", "{header: age}", "{header: Dead,", "{header: survival_days,").Replace(small))
	got, err := ReadClinical(write(t, "a.csv", "Patient,event,age,survival_days\na,720,900,y\nb,9999,900,y\nc,720,-1,y\nd,720,900,maybe\n"), m)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][2]string{{"", ""}, {"event", "9999"}, {"age", "-1"}, {"survival_days", "maybe"}} {
		if r := got.Rows[i]; r.Column != want[0] || r.Cell != want[1] {
			t.Errorf("row %d: column %q, cell %q, want %q", i, r.Column, r.Cell, want)
		}
	}
}

func FuzzReadClinical(f *testing.F) {
	f.Add([]byte(german), false)
	f.Add([]byte("Patient,Age,Days,Dead\na,60,900,y\n"), true)
	f.Add([]byte("Patient\n\"\n"), false)
	f.Fuzz(func(t *testing.T, text []byte, latin bool) {
		m, err := ParseMap("map.yaml", []byte(germanMap))
		if err != nil {
			t.Fatal(err)
		}
		if latin {
			m.Clinical.Encoding = "latin-1"
		}
		path := filepath.Join(t.TempDir(), "a.csv")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadClinical(path, m)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for _, r := range got.Rows {
			if r.Problem != "" {
				continue
			}
			if ids[r.ID] || r.ID == "" {
				t.Fatalf("id %q twice or empty", r.ID)
			}
			ids[r.ID] = true
		}
	})
}
