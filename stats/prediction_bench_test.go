package stats

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pROC is timed by R itself, without the start of the interpreter or the reading of
// data: the best of three, as below.
const procProgram = `
suppressMessages(library(pROC))
d <- read.csv(commandArgs(TRUE)[1])
r <- roc(d$y, d$s, direction = "<", levels = c(0, 1), quiet = TRUE)
best <- min(replicate(3, system.time(interval <<- ci.auc(r, method = "bootstrap", boot.n = 2000, progress = "none"))["elapsed"]))
cat(sprintf("%.17g", c(best, r$auc, interval[1], interval[3])), as.character(packageVersion("pROC")), "\n")
`

// 2,000 stratified bootstrap AUCs of 206 patients take at most a twentieth of the time
// that they take pROC on the same data in the same run.
func TestBootstrapAUCBesidePROC(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: R takes a few seconds")
	}
	if build, ok := debug.ReadBuildInfo(); ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector is on: it slows Go down and R not")
	}
	rscript, err := exec.LookPath("Rscript")
	if err != nil {
		t.Skip("Rscript is not installed: there is no peer to run beside")
	}
	if exec.Command(rscript, "-e", "quit(status = !nzchar(system.file(package = 'pROC')))").Run() != nil {
		t.Skip("R has no package pROC (Debian: r-cran-proc): there is no peer to run beside")
	}
	scores, positive := binaryData(1, 206, 1e9)
	var table strings.Builder
	table.WriteString("y,s\n")
	for i, s := range scores {
		y := "0,"
		if positive[i] {
			y = "1,"
		}
		table.WriteString(y + strconv.FormatFloat(s, 'g', -1, 64) + "\n")
	}
	folder := t.TempDir()
	data, program := filepath.Join(folder, "patients.csv"), filepath.Join(folder, "peer.R")
	for path, text := range map[string]string{data: table.String(), program: procProgram} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var complaint strings.Builder
	peerRun := exec.Command(rscript, program, data)
	peerRun.Stderr = &complaint
	output, err := peerRun.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaint.String())
	}
	words := strings.Fields(string(output))
	if len(words) != 5 {
		t.Fatalf("R answers %q", output)
	}
	var peer [4]float64
	for i := range peer {
		if peer[i], err = strconv.ParseFloat(words[i], 64); err != nil {
			t.Fatal(err)
		}
	}
	var r BootstrapResult
	ours := time.Hour
	for range 3 {
		start := time.Now()
		if r, err = BootstrapAUC(scores, positive, 2000, 1, 0.95); err != nil {
			t.Fatal(err)
		}
		ours = min(ours, time.Since(start))
	}
	near(t, "AUC", r.Estimate, peer[1], 1e-12)
	// Two sets of 2,000 draws.
	near(t, "low", r.Low, peer[2], 0.25*r.SE)
	near(t, "high", r.High, peer[3], 0.25*r.SE)
	ratio := peer[0] / ours.Seconds()
	t.Logf("2,000 bootstrap AUCs of 206 patients: pROC %s %.3f s, here %.4f s, %.0f times faster", words[4], peer[0], ours.Seconds(), ratio)
	if ratio < 20 {
		t.Errorf("only %.1f times faster than pROC, 20 expected", ratio)
	}
}

func BenchmarkBootstrapPaired2000x206(b *testing.B) {
	scores, positive := binaryData(1, 206, 1e9)
	other, _ := binaryData(2, 206, 1e9)
	for b.Loop() {
		if _, err := BootstrapPaired(scores, other, positive, 2000, 1, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecisionCurve2000x206(b *testing.B) {
	risk, positive := riskData(1, 206, 1e9)
	for b.Loop() {
		if _, err := DecisionCurve(risk, positive, nil, 2000, 1, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCalibration206(b *testing.B) {
	risk, positive := riskData(1, 206, 1e9)
	for b.Loop() {
		if _, err := Calibration(risk, positive, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}
