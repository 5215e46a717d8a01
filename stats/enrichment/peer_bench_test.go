package enrichment

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkBesideNumpy runs the same 669 sets, 20,000 genes and 1,000 permutations here
// on one core and by testdata/peer.py in one run: the fastest of three each. The peer
// computes scores, NES and nominal p; here FDR and leading edges come on top.
func BenchmarkBesideNumpy(b *testing.B) {
	python := os.Getenv("HOUNSFIELD_PYTHON")
	if python == "" {
		python = "/usr/bin/python3"
	}
	if exec.Command(python, "-c", "import numpy").Run() != nil {
		b.Skip("no Python with numpy (apt-get install python3-numpy, or set HOUNSFIELD_PYTHON): no peer to time")
	}
	r, sets := reactome(b)
	settings := Default()
	settings.Workers = 1
	result, err := Preranked(r, sets, settings)
	if err != nil {
		b.Fatal(err)
	}
	at := map[string]int{}
	for i, g := range r.Genes {
		at[g] = i
	}
	kept := map[string]bool{}
	for _, s := range result.Sets {
		kept[s.Name] = true
	}
	var text strings.Builder
	for _, v := range r.Scores {
		fmt.Fprintf(&text, "%v ", v)
	}
	for _, s := range sets {
		if !kept[s.Name] {
			continue
		}
		text.WriteByte('\n')
		for _, g := range s.Genes {
			if i, ok := at[g]; ok {
				fmt.Fprintf(&text, "%d ", i)
			}
		}
	}
	file := filepath.Join(b.TempDir(), "ranking.txt")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		ours := time.Hour
		for range 3 {
			start := time.Now()
			if _, err := Preranked(r, sets, settings); err != nil {
				b.Fatal(err)
			}
			ours = min(ours, time.Since(start))
		}
		cmd := exec.Command(python, filepath.Join("testdata", "peer.py"), file)
		cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		theirs, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatalf("the peer said %q", out)
		}
		b.ReportMetric(ours.Seconds()*1e3, "ms/here")
		b.ReportMetric(theirs*1e3, "ms/numpy")
		b.ReportMetric(theirs/ours.Seconds(), "numpy/here")
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
}
