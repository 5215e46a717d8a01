package stats

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hounsfield/stats/golden"
)

// readColumns reads columns of a CSV file of the mirror by name; cells are trimmed,
// for the patient ids carry stray blanks.
func readColumns(t *testing.T, path string, names ...string) [][]string {
	t.Helper()
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: it names the folder with the published tables")
	}
	f, err := os.Open(filepath.Join(mirror, path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns := make([][]string, len(names))
	for k, name := range names {
		at := -1
		for i, head := range rows[0] {
			if head == name {
				at = i
			}
		}
		if at < 0 {
			t.Fatalf("%s has no column %q", path, name)
		}
		for _, row := range rows[1:] {
			columns[k] = append(columns[k], strings.TrimSpace(row[at]))
		}
	}
	return columns
}

func parse(t *testing.T, cells []string) []float64 {
	t.Helper()
	out := make([]float64, len(cells))
	for i, c := range cells {
		v, err := strconv.ParseFloat(c, 64)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = v
	}
	return out
}

// publishedScores are the network's risk and who was dead at two years.
func publishedScores(t *testing.T, cohort string) (id []string, risk []float64, dead []bool) {
	t.Helper()
	c := readColumns(t, "hosny2018/"+cohort+".csv", "id", "surv2yr", "logit_0")
	for _, alive := range c[1] {
		dead = append(dead, alive == "0")
	}
	return c[0], parse(t, c[2]), dead
}

type publishedCase struct {
	AUCs []struct {
		Name           string
		N              int
		AUC, Low, High float64
	}
	Cut          float64
	Linked, High int
	MedianLow    []float64 `json:"median_low"`
	MedianHigh   []float64 `json:"median_high"`
	Chisq, P, HR float64
	HRCI         []float64 `json:"hr_ci"`
	Harrell, Uno []float64
	Uno730       []float64 `json:"uno_730"`
	RMST730      []float64 `json:"rmst_730"`
	RMST7305     []float64 `json:"rmst_730.5"`
}

// The AUCs of the six published tables, against pROC, and the intervals and p values
// of the paper's two test cohorts, against the paper's printed digits
// (PLoS Medicine 2018;15(11):e1002711, Noether's method, two-sided p).
func TestPublishedAUCs(t *testing.T) {
	for _, want := range golden.Cases[publishedCase](t, "published")[0].AUCs {
		_, risk, dead := publishedScores(t, want.Name)
		r, err := DeLong(risk, dead, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Name+" AUC", r.AUC, want.AUC, exact)
		near(t, want.Name+" low", r.Low, want.Low, exact)
		near(t, want.Name+" high", r.High, want.High, exact)
		if r.N != want.N {
			t.Errorf("%s: %d patients, want %d", want.Name, r.N, want.N)
		}
	}
	for cohort, want := range map[string][4]string{
		"Maastro": {"0.701656", "0.626878", "0.776433", "1.25e-07"},
		"M-SPORE": {"0.708088", "0.595213", "0.820963", "3.02e-04"},
	} {
		_, risk, dead := publishedScores(t, cohort)
		r, err := Noether(risk, dead, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		got := [4]string{fmt.Sprintf("%.6f", r.AUC), fmt.Sprintf("%.6f", r.Low), fmt.Sprintf("%.6f", r.High), fmt.Sprintf("%.2e", r.P)}
		// 0.5952133 and 0.8209635 by the normal quantile: the paper's digits.
		if got != want {
			t.Errorf("%s: got %v, published %v", cohort, got, want)
		}
	}
}

// The 206 patients of the Maastro table that the clinical table of Lung1 knows, cut
// at the median risk of the Radboud table.
func TestPublishedSurvival(t *testing.T) {
	want := golden.Cases[publishedCase](t, "published")[0]
	_, tune, _ := publishedScores(t, "Radboud")
	cut, err := Median(tune)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "cut", cut, want.Cut, 1e-12)
	ids, risks, dead := publishedScores(t, "Maastro")
	clinical := readColumns(t, "nsclc-radiomics/clinical.csv", "PatientID", "Survival.time", "deadstatus.event")
	row := map[string]int{}
	for i, id := range clinical[0] {
		row[id] = i
	}
	days := parse(t, clinical[1])
	var time, risk []float64
	var event, high []bool
	var group []int
	var x [][]float64
	byGroup := map[bool][][]float64{}
	for i, id := range ids {
		k, ok := row[id]
		if !ok {
			continue
		}
		time = append(time, days[k])
		event = append(event, clinical[2][k] == "1")
		risk = append(risk, risks[i])
		h := risks[i] > cut
		high = append(high, h)
		indicator := 0
		if h {
			indicator = 1
		}
		group = append(group, indicator)
		x = append(x, []float64{float64(indicator)})
		byGroup[h] = append(byGroup[h], []float64{days[k], float64(len(time) - 1)})
		if dead[i] != (days[k] <= 730) {
			t.Errorf("%s: the label and %v days disagree", id, days[k])
		}
	}
	if len(time) != want.Linked || len(byGroup[true]) != want.High || want.Linked != 206 || want.High != 50 {
		t.Fatalf("%d linked, %d high risk; want 206, 50", len(time), len(byGroup[true]))
	}
	for h, median := range map[bool][]float64{false: want.MedianLow, true: want.MedianHigh} {
		var t1 []float64
		var e1 []bool
		for _, r := range byGroup[h] {
			t1, e1 = append(t1, r[0]), append(e1, event[int(r[1])])
		}
		c, err := KaplanMeier(t1, e1, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if got := []float64{c.Median, c.MedianLow, c.MedianHigh}; got[0] != median[0] || got[1] != median[1] || got[2] != median[2] {
			t.Errorf("high risk %v: medians %v, want %v", h, got, median)
		}
	}
	lr, err := LogRank(time, event, group)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "log-rank", lr.ChiSquare, want.Chisq, exact)
	nearP(t, "log-rank", lr.P, want.P)
	cox, err := Cox(time, event, x, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "hazard ratio", cox.Terms[0].HR, want.HR, exact)
	near(t, "its low end", cox.Terms[0].Low, want.HRCI[0], exact)
	near(t, "its high end", cox.Terms[0].High, want.HRCI[1], exact)
	harrell, err := HarrellC(time, event, risk, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Harrell C", harrell.C, want.Harrell[0], exact)
	near(t, "Harrell SE", harrell.SE, want.Harrell[1], exact)
	for tau, w := range map[float64][]float64{math.Inf(1): want.Uno, 730: want.Uno730} {
		uno, err := UnoC(time, event, risk, tau, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "Uno C", uno.C, w[0], exact)
		near(t, "Uno SE", uno.SE, w[1], exact)
	}
	// The study's notes give -138.3 days for two years of 365.25 days.
	for tau, w := range map[float64][]float64{730: want.RMST730, 730.5: want.RMST7305} {
		d, err := RMSTDifference(time, event, high, tau, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "RMST difference", d.Difference, w[0], exact)
		near(t, "its SE", d.SE, w[1], exact)
	}
}
