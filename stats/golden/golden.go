// Package golden is for tests: it reads the values from outside tools that they compare
// with, testdata/name.json beside the program that made it.
package golden

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// Source says where golden values come from.
type Source struct {
	Tool, Version, Command, Program, Data string
	ProgramMD5                            string `json:"program_md5"`
}

// Check fails if a source does not say all of it or its program has changed since; name
// is that of the JSON file, without its ending.
func (s Source) Check(t testing.TB, name string) {
	t.Helper()
	for field, v := range map[string]string{"tool": s.Tool, "version": s.Version, "command": s.Command, "program": s.Program, "data": s.Data} {
		if v == "" {
			t.Errorf("%s.json: source.%s is empty", name, field)
		}
	}
	program, err := os.ReadFile(filepath.Join("testdata", s.Program))
	if err != nil {
		t.Errorf("%s.json: %v", name, err)
		return
	}
	if sum := md5.Sum(program); hex.EncodeToString(sum[:]) != s.ProgramMD5 {
		t.Errorf("%s.json was not made by the present %s: run %q in testdata", name, s.Program, s.Command)
	}
}

// Cases reads testdata/name.json and checks its source.
func Cases[C any](t testing.TB, name string) []C {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Source Source
		Cases  []C
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	file.Source.Check(t, name)
	if len(file.Cases) == 0 {
		t.Fatalf("%s.json: no cases", name)
	}
	return file.Cases
}

// Near fails unless got is within tolerance of want, relative for want above 1.
func Near(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Max(1, math.Abs(want))) {
		t.Errorf("%s: got %.17g, want %.17g (difference %.3g)", what, got, want, got-want)
	}
}

// NearAll is [Near] for each pair.
func NearAll(t testing.TB, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d values, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		Near(t, what, got[i], want[i], tolerance)
	}
}
