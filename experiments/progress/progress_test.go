package progress

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Without a terminal there are plain lines: what is said, and one at the end of a bar.
func TestPlainLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := New(f)
	p.Say("run folder %s", "runs/x")
	bar := p.Bar(3, "cubes")
	bar.Add(2)
	bar.Note("cubes of %d patients", 3)
	bar.Add(1)
	bar.Done()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 2 || lines[0] != "run folder runs/x" || !strings.HasPrefix(lines[1], "cubes of 3 patients: 3 in ") {
		t.Errorf("%q", lines)
	}
}

// A rated bar says how many steps a second there were.
func TestRated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := New(f)
	if p.Terminal() {
		t.Error("a file is no terminal")
	}
	bar := p.Rated(8, "preparing", "patients")
	bar.start = bar.start.Add(-4 * time.Second)
	bar.said = bar.said.Add(-time.Hour)
	bar.Add(4)
	bar.Add(4)
	bar.Done()
	fast := p.Rated(1000, "reading", "files")
	fast.start = fast.start.Add(-4 * time.Second)
	fast.Add(1000)
	fast.Done()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), "preparing: 4 of 8, 1 patients/s, about 4s left\npreparing: 8 in 4s, 2 patients/s\nreading: 1000 in 4s, 250 files/s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A nil Progress is silent and counts all the same.
func TestSilent(t *testing.T) {
	var p *Progress
	p.Say("nobody hears this")
	bar := p.Bar(2, "cubes")
	bar.Add(2)
	bar.Done()
	p.Bytes()("file", 1, 2)
}
