package progress

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func kilo(n int64) string { return fmt.Sprintf("%d kB", n/1000) }

func TestTransferLine(t *testing.T) {
	for _, c := range []struct {
		m    Moment
		want string
	}{
		{Moment{Done: 1000, Total: 4000, Items: 1, Of: 3, Speed: 500, Left: 6 * time.Second}, "1 of 3, 1 kB of 4 kB, 0 kB/s, about 6 s left"},
		{Moment{Done: 1000, Total: 4000, Growing: true, Items: 1, Of: 3, Speed: 2000, Left: 90 * time.Minute}, "1 of 3, 1 kB of at least 4 kB, 2 kB/s, about 1 h 30 min left"},
		{Moment{Done: 1000, Items: 1, Of: 3, Left: -1}, "1 of 3, 1 kB"},
	} {
		if got := line(c.m, kilo); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The bar never breaks a line of the terminal, and its length is the share of the bytes.
func TestTransferBar(t *testing.T) {
	m := Moment{Done: 1000, Total: 4000, Items: 1, Of: 3, Speed: 2000, Left: 2 * time.Minute, Now: "nsclc-radiomics/dicom/LUNG1-002/1.2.3.4"}
	for width := 0; width < 200; width++ {
		if got := bar(m, kilo, width); utf8.RuneCountInString(got) > width {
			t.Fatalf("%d characters in %d: %q", utf8.RuneCountInString(got), width, got)
		}
	}
	got := bar(m, kilo, 140)
	if !strings.HasPrefix(got, "[=======                       ]  25%  1 of 3, ") || !strings.HasSuffix(got, "LUNG1-002/1.2.3.4") {
		t.Errorf("%q", got)
	}
	m.Done = 5000 // more than was listed
	if got := bar(m, kilo, 140); !strings.HasPrefix(got, "["+strings.Repeat("=", 30)+"] 100%") {
		t.Errorf("%q", got)
	}
}

// On a terminal every state is drawn over the one before; without one, lines are rare.
func TestTransferOutput(t *testing.T) {
	for terminal, want := range map[bool]int{true: 5, false: 0} {
		var out bytes.Buffer
		tr := (&Progress{out: &out, terminal: terminal}).Transfer(kilo)
		for i := range 4 {
			tr.Set(Moment{Done: int64(i), Total: 4, Items: i, Of: 4})
		}
		tr.Done()
		if n := strings.Count(out.String(), "\r\x1b[K"); n != want || strings.Contains(out.String(), "\n") {
			t.Errorf("terminal %v: %q", terminal, out.String())
		}
	}
	var out bytes.Buffer
	tr := (&Progress{out: &out}).Transfer(kilo)
	tr.said = time.Now().Add(-plainEvery)
	tr.Set(Moment{Items: 1, Of: 3, Left: -1})
	tr.Set(Moment{Items: 2, Of: 3, Left: -1})
	if got := out.String(); got != "1 of 3, 0 kB\n" {
		t.Errorf("%q", got)
	}
	var silent *Progress
	silent.Transfer(kilo).Set(Moment{})
	silent.Transfer(kilo).Done()
}
