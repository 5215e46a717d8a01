package stats

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// number is a float64 for which JSON's null stands for NaN.
type number float64

func (n *number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = number(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

// source says where golden values come from.
type source struct {
	Tool, Version, Command, Program, Data string
	ProgramMD5                            string `json:"program_md5"`
}

// golden reads testdata/name.json. Values whose birth certificate is incomplete,
// or whose program has changed since, are not golden.
func golden[C any](t *testing.T, name string) []C {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Source source
		Cases  []C
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	checkSource(t, name, file.Source)
	if len(file.Cases) == 0 {
		t.Fatalf("%s: no cases", name)
	}
	return file.Cases
}

func checkSource(t *testing.T, name string, s source) {
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

func TestGoldenSources(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Source source }
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		name := filepath.Base(f)
		checkSource(t, name[:len(name)-len(".json")], file.Source)
	}
}

// near fails unless got is within tolerance of want, relative for large values; NaN
// equals NaN.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) && math.IsNaN(want) || got == want {
		return
	}
	if !(math.Abs(got-want) <= tolerance*math.Max(1, math.Abs(want))) {
		t.Errorf("%s: got %.17g, want %.17g (difference %.3g)", what, got, want, got-want)
	}
}

// nearP compares p values by their ratio: an error of 1e-8 means nothing at 1e-9.
func nearP(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) && math.IsNaN(want) {
		return
	}
	if !(math.Abs(got-want) <= 1e-8*want) {
		t.Errorf("%s: got p %.17g, want %.17g", what, got, want)
	}
}

func nearAll(t *testing.T, what string, got []float64, want []number, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d values %v, want %d %v", what, len(got), got, len(want), want)
		return
	}
	for i := range got {
		near(t, what, got[i], float64(want[i]), tolerance)
	}
}

// exact is the tolerance where R runs the same algorithm: only the order of sums
// differs.
const exact = 1e-8
