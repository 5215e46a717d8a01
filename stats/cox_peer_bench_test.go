package stats

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	stdtime "time"
)

// BenchmarkCoxBesideR fits the same 10,000 x 20 table here and with R's
// survival::coxph in one run: the fastest of five fits each, without starting R or
// reading the table.
func BenchmarkCoxBesideR(b *testing.B) {
	rscript, err := exec.LookPath("Rscript")
	if err != nil {
		b.Skip("Rscript is not installed: no peer to time")
	}
	if exec.Command(rscript, "-e", "library(survival)").Run() != nil {
		b.Skip("R has no package survival (apt-get install r-cran-survival): no peer to time")
	}
	time, event, x := coxExample(1, 10_000, 20, 1)
	var text bytes.Buffer
	for i := range time {
		fmt.Fprintf(&text, "%v,%t", time[i], event[i])
		for _, v := range x[i] {
			fmt.Fprintf(&text, ",%v", v)
		}
		text.WriteByte('\n')
	}
	file := filepath.Join(b.TempDir(), "table.csv")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	program := fmt.Sprintf(`library(survival); d <- read.csv(%q, header = FALSE); y <- Surv(d[, 1], as.logical(d[, 2])); x <- as.matrix(d[, -(1:2)])
cat(min(sapply(1:5, function(k) system.time(coxph(y ~ x))[["elapsed"]])))`, file)
	for b.Loop() {
		ours := stdtime.Hour
		for range 5 {
			start := stdtime.Now()
			if _, err := Cox(time, event, x, 0.95); err != nil {
				b.Fatal(err)
			}
			ours = min(ours, stdtime.Since(start))
		}
		out, err := exec.Command(rscript, "-e", program).Output()
		if err != nil {
			b.Fatal(err)
		}
		theirs, err := strconv.ParseFloat(string(out), 64)
		if err != nil {
			b.Fatalf("R said %q", out)
		}
		b.ReportMetric(ours.Seconds()*1e3, "ms/here")
		b.ReportMetric(theirs*1e3, "ms/coxph")
		b.ReportMetric(theirs/ours.Seconds(), "coxph/here")
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
}
