package table

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What pyarrow, pandas and DuckDB see in the files, as they are. R's arrow package
// wraps the same C++ library as pyarrow; it is not in Debian, so not asked here.
func TestOutsideReaders(t *testing.T) {
	python := os.Getenv("HOUNSFIELD_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import pandas, pyarrow").Run(); err != nil {
		t.Skipf("%s has no pandas and pyarrow (%v); set HOUNSFIELD_PYTHON to a Python that has them", python, err)
	}
	dir := t.TempDir()
	tb := build(t, allTypes(), allData())
	args := []string{filepath.Join("testdata", "read_outside.py")}
	for _, ext := range formats {
		path := filepath.Join(dir, "table"+ext)
		if err := tb.Write(path); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.Command(python, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	type arrowView struct {
		Metadata map[string]string
		Fields   map[string]any
		Columns  map[string][]any
	}
	type duckView struct {
		Types   map[string]string
		Columns map[string][]any
	}
	var got struct {
		Versions       map[string]any
		Arrow, Parquet arrowView
		PandasArrow    map[string][]any `json:"pandas arrow"`
		PandasParquet  map[string][]any `json:"pandas parquet"`
		Dtypes         map[string]string
		DuckParquet    *duckView `json:"duckdb parquet"`
		DuckArrow      *duckView `json:"duckdb arrow"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	t.Logf("read by %v", got.Versions)

	values := map[string][]any{
		"id":    {"a", "b", "c"},
		"group": {"low", nil, "high"},
		"age":   {61.25, nil, 0.0},
		"score": {float64(float32(0.1)), -2.0, "inf"},
		"days":  {float64(int64(1) << 60), 0.0, nil},
		"event": {nil, true, false},
	}
	meta := func(kv ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = kv[i+1]
		}
		return m
	}
	want := arrowView{
		Metadata: map[string]string{"experiment": "x", "config": "y", "table": "all"},
		Fields: map[string]any{
			"id":    []any{"string", false, meta("description", "the patient")},
			"group": []any{"string", true, meta()},
			"age":   []any{"double", true, meta("unit", "years")},
			"score": []any{"float", false, meta("direction", "higher = higher risk of death", "source", "test")},
			"days":  []any{"int64", true, meta("unit", "days")},
			"event": []any{"bool", true, meta()},
		},
		Columns: values,
	}
	same := func(what string, want, got any) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	same("pyarrow, .arrow", want, got.Arrow)
	same("pandas, .arrow", values, got.PandasArrow)
	same("pandas, .parquet", values, got.PandasParquet)
	// Parquet numbers its columns in the field metadata; the rest is the same.
	for _, f := range got.Parquet.Fields {
		delete(f.([]any)[2].(map[string]any), "PARQUET:field_id")
	}
	same("pyarrow, .parquet", want, got.Parquet)
	for name, wanted := range map[string]string{"age": "float64", "score": "float32"} {
		if got.Dtypes[name] != wanted {
			t.Errorf("pandas has %s as %s, want %s", name, got.Dtypes[name], wanted)
		}
	}
	if got.DuckParquet == nil {
		t.Logf("%s has no duckdb: it was not asked", python)
		return
	}
	duck := duckView{Columns: values, Types: map[string]string{"id": "VARCHAR", "group": "VARCHAR", "age": "DOUBLE", "score": "FLOAT", "days": "BIGINT", "event": "BOOLEAN"}}
	same("DuckDB, .parquet", duck, *got.DuckParquet)
	same("DuckDB, .arrow", duck, *got.DuckArrow)
}
