package table

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func allTypes() Schema {
	return Schema{Name: "all", Columns: []Column{
		{Name: "id", Type: String, Unique: true, Description: "the patient"},
		{Name: "group", Type: String, Nullable: true, Allowed: []string{"low", "high"}},
		{Name: "age", Type: Float64, Nullable: true, Unit: "years", Range: Between(0, 120)},
		{Name: "score", Type: Float32, Direction: "higher = higher risk of death", Source: "test"},
		{Name: "days", Type: Int64, Nullable: true, Unit: "days", Range: AtLeast(0)},
		{Name: "event", Type: Bool, Nullable: true},
	}}
}

func allData() map[string]any {
	return map[string]any{
		"id":    []string{"a", "b", "c"},
		"group": []Null[string]{Some("low"), {}, Some("high")},
		"age":   []float64{61.25, math.NaN(), 0},
		"score": []float32{0.1, -2, float32(math.Inf(1))},
		"days":  []Null[int64]{Some(int64(1) << 60), Some(int64(0)), {}},
		"event": []Null[bool]{{}, Some(true), Some(false)},
	}
}

func build(t testing.TB, schema Schema, data map[string]any) *Table {
	t.Helper()
	tb, err := New(schema, map[string]string{"experiment": "x", "config": "y"}, data)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func TestNew(t *testing.T) {
	data := allData()
	tb := build(t, allTypes(), data)
	if tb.Rows() != 3 || tb.Line(2) != 0 || !tb.Has("age") || tb.Has("ages") {
		t.Errorf("%d rows, line %d", tb.Rows(), tb.Line(2))
	}
	if got := Nulls[float64](tb, "age"); !slices.Equal(got, []Null[float64]{Some(61.25), {}, Some(0.0)}) {
		t.Errorf("age %v: NaN should be null", got)
	}
	if got := tb.Valid("event"); !slices.Equal(got, []bool{false, true, true}) {
		t.Errorf("valid %v", got)
	}
	if !math.IsNaN(tb.Float64s("age")[1]) || tb.Strings("group")[1] != "" || tb.Int64s("days")[2] != 0 || tb.Bools("event")[0] {
		t.Error("null slots hold something")
	}
	data["id"].([]string)[0] = "changed"
	if tb.Strings("id")[0] != "a" {
		t.Error("the table shares memory with what it was built from")
	}
	if p := tb.Provenance(); p["experiment"] != "x" {
		t.Errorf("provenance %v", p)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(s *Schema, d map[string]any)
		target any
		says   []string
	}{
		{"column without values", func(s *Schema, d map[string]any) { delete(d, "age") }, new(*ColumnError), []string{`"age"`}},
		{"values without column", func(s *Schema, d map[string]any) { d["ages"] = []float64{1, 2, 3} }, new(*ColumnError), []string{`"ages"`, "nearest there: age"}},
		{"another type", func(s *Schema, d map[string]any) { d["age"] = []string{"1", "2", "3"} }, new(*ColumnError), []string{"[]string", "[]float64"}},
		{"int for int64", func(s *Schema, d map[string]any) { d["days"] = []int{1, 2, 3} }, new(*ColumnError), []string{"[]int", "[]int64"}},
		{"lengths differ", func(s *Schema, d map[string]any) { d["age"] = []float64{1} }, new(*ColumnError), []string{"1 values", "3"}},
		{"value not allowed", func(s *Schema, d map[string]any) { d["group"] = []string{"low", "low", "middle"} }, new(*ValueError), []string{"row 2", `patient "c"`, "middle", "low, high"}},
		{"beyond the range", func(s *Schema, d map[string]any) { d["age"] = []float64{1, 2, 130} }, new(*ValueError), []string{"130", "from 0 to 120", "years"}},
		{"below the range", func(s *Schema, d map[string]any) { d["days"] = []int64{1, -2, 3} }, new(*ValueError), []string{"-2", "at least 0", "days"}},
		{"null where none may be", func(s *Schema, d map[string]any) { d["score"] = []float32{1, float32(math.NaN()), 3} }, new(*ValueError), []string{`patient "b"`, "null is not"}},
		{"a value twice", func(s *Schema, d map[string]any) { d["id"] = []string{"a", "b", "a"} }, new(*DuplicateError), []string{`"a"`, "rows 0 and 2"}},
		{"bytes that are no text", func(s *Schema, d map[string]any) { d["id"] = []string{"a", "b", "\xff"} }, new(*ValueError), []string{"UTF-8"}},
		{"no columns", func(s *Schema, d map[string]any) { s.Columns = nil; clear(d) }, new(*ColumnError), []string{"no columns"}},
		{"a column twice", func(s *Schema, d map[string]any) { s.Columns = append(s.Columns, s.Columns[0]) }, new(*ColumnError), []string{"twice"}},
		{"no name", func(s *Schema, d map[string]any) { s.Columns = append(s.Columns, Column{Type: Bool}) }, new(*ColumnError), []string{"no name"}},
		{"unknown type", func(s *Schema, d map[string]any) { s.Columns[1].Type = "date" }, new(*ColumnError), []string{`"date"`, "float64"}},
		{"allowed on a number", func(s *Schema, d map[string]any) { s.Columns[2].Allowed = []string{"1"} }, new(*ColumnError), []string{"range"}},
		{"range on text", func(s *Schema, d map[string]any) { s.Columns[0].Range = AtLeast(1) }, new(*ColumnError), []string{"allowed values"}},
		{"empty range", func(s *Schema, d map[string]any) { s.Columns[2].Range = Between(2, 1) }, new(*ColumnError), []string{"smaller"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			schema, data := allTypes(), allData()
			test.change(&schema, data)
			_, err := New(schema, nil, data)
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

// Asking a checked table for what it does not have is a programmer's mistake.
func TestAccessorsPanic(t *testing.T) {
	tb := build(t, allTypes(), allData())
	for name, ask := range map[string]func(){
		"column \"ages\"": func() { tb.Float64s("ages") },
		"holds float64":   func() { tb.Strings("age") },
	} {
		func() {
			defer func() {
				if p, _ := recover().(string); !strings.Contains(p, name) {
					t.Errorf("panic %q does not say %q", p, name)
				}
			}()
			ask()
			t.Errorf("%s: no panic", name)
		}()
	}
}

func TestSchemaWith(t *testing.T) {
	s := allTypes()
	more := s.With(Column{Name: "volume", Type: Float64})
	if len(s.Columns) != 6 || !slices.Equal(more.Names()[5:], []string{"event", "volume"}) {
		t.Errorf("%v, %v", s.Names(), more.Names())
	}
	if c, ok := more.Column("volume"); !ok || c.Type != Float64 {
		t.Errorf("volume: %v %v", c, ok)
	}
	if _, ok := more.Column("volum"); ok {
		t.Error("a column that is not there is found")
	}
}

func TestNearestName(t *testing.T) {
	names := []string{"patient_id", "age", "sex", "stage", "survival_days", "event", "Age at Histological Diagnosis"}
	for word, want := range map[string]string{
		"ages": "age", "Age": "age", "patientid": "patient_id", "survival-day": "survival_days", "evnet": "event",
		"stag": "stage", "histology_type": "", "xyz": "", " sex ": "sex", "histological": "Age at Histological Diagnosis",
	} {
		if got := NearestName(word, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
	if got := NearestName("age", nil); got != "" {
		t.Errorf("nearest of none is %q", got)
	}
}

// The definition of edit distance, without memory: exponential, so on short words.
func TestEditsAgainstDefinition(t *testing.T) {
	var slow func(a, b string) int
	slow = func(a, b string) int {
		switch {
		case a == "":
			return len(b)
		case b == "":
			return len(a)
		case a[0] == b[0]:
			return slow(a[1:], b[1:])
		}
		return 1 + min(slow(a[1:], b), slow(a, b[1:]), slow(a[1:], b[1:]))
	}
	words := []string{"", "a", "ab", "ba", "abc", "acb", "bbca", "cabb", "aacbb", "ccbaa"}
	for _, a := range words {
		for _, b := range words {
			if got, want := edits([]rune(a), []rune(b)), slow(a, b); got != want {
				t.Errorf("%q to %q: %d edits, want %d", a, b, got, want)
			}
		}
	}
}
