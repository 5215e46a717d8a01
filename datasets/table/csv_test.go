package table

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func clinicalColumns() Schema {
	return Schema{Name: "clinical", Columns: []Column{
		{Name: "patient_id", Type: String, Unique: true},
		{Name: "age", Type: Float64, Nullable: true, Unit: "years", Range: Between(0, 120), Nulls: []string{"unknown"}},
		{Name: "sex", Type: String, Nullable: true, Allowed: []string{"male", "female"}},
		{Name: "visits", Type: Int64},
		{Name: "event", Type: Bool, Nullable: true},
		{Name: "dose", Type: Float32, Nullable: true, Unit: "Gy"},
	}}
}

const goodCSV = "patient_id,age,sex,visits,event,dose\n" +
	"p1,61.5,male,3,true,60\n" +
	"p2,NA,female,0,0,\n" +
	"\"p3, the third\",unknown,,-1,FALSE,1e1\n"

func readText(text string, opt CSVOptions) (*Table, error) {
	return DecodeCSV(strings.NewReader(text), "clinical.csv", clinicalColumns(), opt)
}

func checkGood(t *testing.T, tb *Table, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(tb.Strings("patient_id"), Nulls[float64](tb, "age"), Nulls[string](tb, "sex"), tb.Int64s("visits"), Nulls[bool](tb, "event"), tb.Float32s("dose"))
	want := "[p1 p2 p3, the third] [{61.5 true} {0 false} {0 false}] [{male true} {female true} { false}] [3 0 -1] [{true true} {false true} {false true}] [60 NaN 10]"
	if got != want {
		t.Errorf("read\n%s, want\n%s", got, want)
	}
	if lines := []int{tb.Line(0), tb.Line(1), tb.Line(2)}; !slices.Equal(lines, []int{2, 3, 4}) {
		t.Errorf("lines %v", lines)
	}
}

func TestCSV(t *testing.T) {
	na := CSVOptions{Nulls: []string{"NA"}}
	for name, text := range map[string]string{
		"plain":                    goodCSV,
		"CRLF":                     strings.ReplaceAll(goodCSV, "\n", "\r\n"),
		"byte order mark":          "\ufeff" + goodCSV,
		"no line end at the end":   strings.TrimSuffix(goodCSV, "\n"),
		"blanks around everything": strings.NewReplacer("p1,61.5,male", " p1 , 61.5,\tmale ", ",visits", ", visits ").Replace(goodCSV),
		"empty lines at the end":   goodCSV + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			tb, err := readText(text, na)
			checkGood(t, tb, err)
		})
	}
	t.Run("other order and other names", func(t *testing.T) {
		tb, err := readText("Dose (Gy),Status,Patient,Age,n,Gender,Ethnicity\n60,Dead,p1,61.5,3,M,x\n,Alive,p2,NA,0,F,y\n1e1,Alive,\"p3, the third\",unknown,-1,.,z\n",
			CSVOptions{Nulls: []string{"NA"}, Undeclared: Ignore, Columns: map[string]From{
				"patient_id": {Header: "Patient"}, "age": {Header: "Age"}, "visits": {Header: "n"}, "dose": {Header: "Dose (Gy)"},
				"sex":   {Header: "Gender", Values: map[string]string{"M": "male", "F": "female"}, Nulls: []string{"."}},
				"event": {Header: "Status", Values: map[string]string{"Dead": "true", "Alive": "false"}},
			}})
		checkGood(t, tb, err)
	})
}

func TestCSVUndeclared(t *testing.T) {
	schema := Schema{Name: "x", Columns: []Column{{Name: "id", Type: String}}}
	const text = "id,volume,note,mean\na,1.5,hello,N/A\nb,nan,,2\n"
	tb, err := DecodeCSV(strings.NewReader(text), "x.csv", schema, CSVOptions{Nulls: []string{"N/A"}, Undeclared: func(found Column) (Column, bool) {
		return Column{Type: Float64, Nullable: true, Source: "tool"}, found.Name != "note"
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(tb.Schema().Names(), tb.Float64s("volume"), tb.Float64s("mean")); got != "[id volume mean] [1.5 NaN] [NaN 2]" {
		t.Error(got)
	}
	if _, err := DecodeCSV(strings.NewReader(text), "x.csv", schema, CSVOptions{}); !saysAll(err, new(*ColumnError), "x.csv", `"volume"`, "not declared") {
		t.Errorf("undeclared columns: %v", err)
	}
	tb, err = DecodeCSV(strings.NewReader(text), "x.csv", schema, CSVOptions{Undeclared: Keep})
	if err != nil || tb.Strings("note")[0] != "hello" {
		t.Errorf("kept as text: %v", err)
	}
}

func TestCSVRefuses(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(goodCSV, old, new, 1) }
	for _, test := range []struct {
		name, text string
		opt        CSVOptions
		target     any
		says       []string
	}{
		{"nothing", "", CSVOptions{}, new(*FormatError), []string{"empty", "header"}},
		{"a missing column", swap("age", "years"), CSVOptions{}, new(*ColumnError), []string{`"age"`, "missing"}},
		{"a misspelt column", swap("visits", "visit"), CSVOptions{}, new(*ColumnError), []string{`"visits"`, "nearest there: visit"}},
		{"several missing", "patient_id\n", CSVOptions{}, new(*ColumnError), []string{`"age"`, `"sex"`, `"dose"`}},
		{"a needed header twice", swap("sex,visits", "sex,sex,visits"), CSVOptions{}, new(*ColumnError), []string{`"sex"`, "twice"}},
		{"two columns swapped", swap("age,sex", "sex,age"), CSVOptions{}, new(*ValueError), []string{"line 2", `"age"`, "male", "0 to 120"}},
		{"two number columns swapped", swap("p1,61.5,male,3", "p1,610,male,3"), CSVOptions{Nulls: []string{"NA"}}, new(*ValueError), []string{"line 2", `"age"`, "610", "years", `patient "p1"`}},
		{"too few fields", swap("p2,NA,female,0,0,", "p2,NA,female,0,0"), CSVOptions{Nulls: []string{"NA"}}, new(*FormatError), []string{"line 3", "5 fields", "6"}},
		{"too many fields", swap("male,3", "male,,3"), CSVOptions{}, new(*FormatError), []string{"line 2", "7 fields", "6"}},
		{"an open quote", swap("p1", "\"p1"), CSVOptions{}, new(*FormatError), []string{"quote"}},
		{"a quote inside", swap("p1", "p\"1"), CSVOptions{}, new(*FormatError), []string{"line 2", "quote"}},
		{"an unknown null", goodCSV, CSVOptions{}, new(*ValueError), []string{"line 3", `"NA"`, "unknown", "nothing for null", `patient "p2"`}},
		{"a null that may not be", swap("male,3", "male,"), CSVOptions{}, new(*ValueError), []string{"visits", "line 2", "null is not"}},
		{"no id", swap("p1", ""), CSVOptions{}, new(*ValueError), []string{"patient_id", "line 2", "null is not"}},
		{"one id twice", swap("p2", "p1"), CSVOptions{Nulls: []string{"NA"}}, new(*DuplicateError), []string{"lines 2 and 3", `"p1"`}},
		{"one id twice but for blanks", swap("p2", " p1 "), CSVOptions{Nulls: []string{"NA"}}, new(*DuplicateError), []string{"lines 2 and 3"}},
		{"an infinite number", swap("61.5", "inf"), CSVOptions{}, new(*ValueError), []string{"inf", "finite"}},
		{"a hexadecimal number", swap("61.5", "0x1p4"), CSVOptions{}, new(*ValueError), []string{"0x1p4"}},
		{"an overflowing number", swap("61.5", "1e999"), CSVOptions{}, new(*ValueError), []string{"1e999"}},
		{"a broken whole number", swap("male,3", "male,3.5"), CSVOptions{}, new(*ValueError), []string{"3.5", "whole"}},
		{"an unknown truth", swap("true", "dead"), CSVOptions{}, new(*ValueError), []string{"dead", "true or false"}},
		{"an unknown word", swap(",male", ",man"), CSVOptions{Nulls: []string{"NA"}}, new(*ValueError), []string{"man", "male, female"}},
		{"a spelling the map does not know", goodCSV, CSVOptions{Columns: map[string]From{"sex": {Values: map[string]string{"m": "male"}}}}, new(*ValueError), []string{`"male"`, "one of m"}},
		{"bytes that are no text", swap("p1", "p\xff"), CSVOptions{Nulls: []string{"NA"}}, new(*ValueError), []string{"line 2", "UTF-8"}},
		{"a map of an undeclared column", goodCSV, CSVOptions{Columns: map[string]From{"ages": {}}}, new(*ColumnError), []string{`"ages"`, "nearest there: age"}},
		{"absent but needed", goodCSV, CSVOptions{Undeclared: Ignore, Columns: map[string]From{"visits": {Absent: true}}}, new(*ColumnError), []string{"visits", "absent"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if tb, err := readText(test.text, test.opt); !saysAll(err, test.target, append(test.says, "clinical.csv")...) {
				t.Errorf("got %T %v (%v)", err, err, tb)
			}
		})
	}
	// NaN is null, so it is refused exactly where null is.
	nan := Schema{Name: "x", Columns: []Column{{Name: "v", Type: Float64}}}
	if _, err := DecodeCSV(strings.NewReader("v\n1\nNaN\n"), "x.csv", nan, CSVOptions{}); !saysAll(err, new(*ValueError), "line 3", "NaN", "null is not") {
		t.Errorf("NaN: %v", err)
	}
	broken := errors.New("unplugged")
	if _, err := DecodeCSV(iotest.ErrReader(broken), "x.csv", nan, CSVOptions{}); !errors.Is(err, broken) || !saysAll(err, new(*FormatError)) {
		t.Errorf("a broken stream: %v", err)
	}
	if _, err := ReadCSV(filepath.Join(t.TempDir(), "none.csv"), nan, CSVOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestCSVAbsent(t *testing.T) {
	tb, err := DecodeCSV(strings.NewReader("id\na\nb\n"), "x.csv", Schema{Name: "x", Columns: []Column{
		{Name: "id", Type: String}, {Name: "age", Type: Float64, Nullable: true}}}, CSVOptions{Columns: map[string]From{"age": {Absent: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := tb.Float64s("age"); len(got) != 2 || !math.IsNaN(got[0]) {
		t.Errorf("age %v", got)
	}
}

func TestCSVDates(t *testing.T) {
	schema := Schema{Name: "x", Columns: []Column{{Name: "id", Type: String, Unique: true}, {Name: "days", Type: Float64, Nullable: true, Range: AtLeast(0)}}}
	read := func(row string) (*Table, error) {
		return DecodeCSV(strings.NewReader("id,death,ct,wait,last\n"+row+"\n"), "x.csv", schema, CSVOptions{Undeclared: Ignore, Nulls: []string{"NA"},
			Columns: map[string]From{"days": {Header: "death", ElseDates: &Dates{Start: "ct", StartPlusDays: "wait", End: "last", Layout: "1/2/2006"}}}})
	}
	for row, want := range map[string]float64{
		"a,872,8/10/1994,9,1/7/1997": 872,        // given: the dates do not count
		"a,NA,8/10/1994,9,1/7/1997":  872,        // 19 August 1994 to 7 January 1997
		"a,NA,2/28/1996,0,3/1/1996":  2,          // a leap year
		"a,NA,8/10/1994,9,NA":        math.NaN(), // no last day: null
		"a,NA,8/10/1994,,1/7/1997":   math.NaN(), // no waiting time: null
	} {
		tb, err := read(row)
		if err != nil {
			t.Errorf("%s: %v", row, err)
			continue
		}
		if got := tb.Float64s("days")[0]; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s: %g days, want %g", row, got, want)
		}
	}
	for row, says := range map[string][]string{
		"a,NA,10.8.1994,9,1/7/1997":   {`"ct"`, "10.8.1994", "1/2/2006", `patient "a"`},
		"a,NA,8/10/1994,ten,1/7/1997": {`"wait"`, "whole number of days"},
		"a,NA,8/10/1994,9,1/7/1990":   {`"death"`, "at least 0"},
	} {
		if _, err := read(row); !saysAll(err, new(*ValueError), says...) {
			t.Errorf("%s: %v", row, err)
		}
	}
	_, err := DecodeCSV(strings.NewReader("id,death\na,1\n"), "x.csv", schema, CSVOptions{Columns: map[string]From{"days": {Header: "death", ElseDates: &Dates{Start: "ct", End: "last"}}}})
	if !saysAll(err, new(*ColumnError), `"ct"`, "days is computed from it") {
		t.Errorf("dates that are not there: %v", err)
	}
}
