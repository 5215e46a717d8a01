package stats

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"hounsfield/stats/golden"
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
		var file struct{ Source golden.Source }
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		name := filepath.Base(f)
		file.Source.Check(t, name[:len(name)-len(".json")])
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
