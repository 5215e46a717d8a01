package forest

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// benchTable is HarvardRT, 293 patients x 1,004 features, or made data of that shape.
func benchTable(b *testing.B) ([][]float64, []bool) {
	if os.Getenv("HOUNSFIELD_MIRROR") == "" {
		b.Log("HOUNSFIELD_MIRROR is not set: made data of the same shape")
		return made(1, 293, 1004)
	}
	x, _, died := published(b, "HarvardRT")
	for j := range x { // ranger takes no missing values; two patients have no features
		for i, v := range x[j] {
			if v != v {
				x[j][i] = 0
			}
		}
	}
	return x, died
}

func BenchmarkFit500Trees(b *testing.B) {
	x, y := benchTable(b)
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"bins=256", Options{}},
		{"exact", Options{Exact: true}},
		{"exact,min-node=1", Options{Exact: true, MinNode: 1}},
		{"exact,one-worker", Options{Exact: true, Workers: 1}},
		{"exact,permutation", Options{Exact: true, Permutation: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Fit(x, nil, y, c.o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	time, event := madeTimes(1, x, 1)
	b.Run("survival", func(b *testing.B) {
		for b.Loop() {
			if _, err := FitSurvival(x, nil, time, event, Options{Exact: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRanger500Trees times R's ranger on the same table with as many threads: the
// fastest of several fits, without starting R or reading the table.
func BenchmarkRanger500Trees(b *testing.B) {
	rscript, err := exec.LookPath("Rscript")
	if err != nil {
		b.Skip("Rscript is not installed: no peer to time")
	}
	if exec.Command(rscript, "-e", "library(ranger)").Run() != nil {
		b.Skip("R has no package ranger (apt-get install r-cran-ranger): no peer to time")
	}
	x, y := benchTable(b)
	time, event := madeTimes(1, x, 1)
	file := filepath.Join(b.TempDir(), "table.csv")
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	for i := range y {
		row := []string{strconv.FormatBool(y[i]), strconv.FormatFloat(time[i], 'g', -1, 64), strconv.FormatBool(event[i])}
		for j := range x {
			row = append(row, strconv.FormatFloat(x[j][i], 'g', -1, 64))
		}
		w.Write(row)
	}
	w.Flush()
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	program := fmt.Sprintf(`library(ranger); d <- read.csv(%q, header = FALSE); x <- as.matrix(d[, -(1:3)]); y <- factor(as.logical(d[, 1]))
s <- cbind(time = d[, 2], status = as.integer(as.logical(d[, 3])))
best <- function(...) min(sapply(1:8, function(k) system.time(ranger(num.trees = 500, num.threads = %d, seed = k, ...))[["elapsed"]]))
cat(best(x = x, y = y, probability = TRUE), best(x = x, y = y, probability = TRUE, min.node.size = 1),
  best(x = x, y = y, probability = TRUE, importance = "permutation"), best(x = x, y = s), "\n")`, file, runtime.GOMAXPROCS(0))
	out, err := exec.Command(rscript, "-e", program).Output()
	if err != nil {
		b.Fatal(err)
	}
	seconds := strings.Fields(string(out))
	for k, name := range []string{"default", "min-node=1", "permutation", "survival"} {
		v, err := strconv.ParseFloat(seconds[k], 64)
		if err != nil {
			b.Fatalf("R said %q", out)
		}
		b.ReportMetric(v*1e3, "ms/"+name)
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
}
