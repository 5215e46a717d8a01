package enrichment

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// golden reads testdata/name.json, whose birth certificate must be complete and
// whose program unchanged (as in package stats).
func golden[C any](t *testing.T, name string) []C {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Source struct {
			Tool, Version, Command, Program, Data string
			ProgramMD5                            string `json:"program_md5"`
		}
		Cases []C
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s := file.Source
	if s.Tool == "" || s.Version == "" || s.Command == "" || s.Data == "" || len(file.Cases) == 0 {
		t.Fatalf("%s.json: source or cases missing: %+v", name, s)
	}
	program, err := os.ReadFile(filepath.Join("testdata", s.Program))
	if err != nil {
		t.Fatal(err)
	}
	if sum := md5.Sum(program); hex.EncodeToString(sum[:]) != s.ProgramMD5 {
		t.Fatalf("%s.json was not made by the present %s: run %q in testdata", name, s.Program, s.Command)
	}
	return file.Cases
}

// exact is the tolerance where both sides run the same algorithm.
const exact = 1e-8

// near wants the same number to a relative tolerance (absolute below 1); NaN equals NaN.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) && math.IsNaN(want) || got == want {
		return
	}
	if !(math.Abs(got-want) <= tolerance*math.Max(1, math.Abs(want))) {
		t.Errorf("%s: got %.17g, want %.17g", what, got, want)
	}
}

// nearRatio compares p values: an error of 1e-8 means nothing at 1e-9.
func nearRatio(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= exact*want) {
		t.Errorf("%s: got %.17g, want %.17g", what, got, want)
	}
}

func nearAll(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		near(t, fmt.Sprintf("%s[%d]", what, i), got[i], want[i], tolerance)
	}
}

// geneNames are g0000, g0001, ...
func geneNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("g%04d", i)
	}
	return names
}
