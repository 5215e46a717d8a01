package stats

import (
	"fmt"
	"testing"

	"hounsfield/stats/golden"
)

type replicationCase struct {
	Name           string
	N, Same        int
	ICC, Low, High []float64
	CCC            []number
	Bias           float64
	Upper          []number
	Pearson        float64
	Spearman       float64
	Kendall        float64
	KendallP       float64 `json:"kendall_p"`
	V              float64
	VP             float64 `json:"v_p"`
	AUC            float64
}

// The published scores of the linked patients against those of the independent re-run on
// re-drawn contours (Nature Communications 2024;15:6931), with and without LUNG1-236.
func TestPublishedReplication(t *testing.T) {
	ids, published, dead := publishedScores(t, "Maastro")
	c := readColumns(t, "idc-replication/nsclc-radiomics_reproducibility.csv", "PatientID", "CNN_logit0", "baseline_logit0")
	row := map[string]int{}
	for i, id := range c[0] {
		row[id] = i
	}
	rerun, baseline := parse(t, c[1]), parse(t, c[2])
	for _, want := range golden.Cases[replicationCase](t, "replication") {
		var x, y []float64
		var positive []bool
		var ratings [][]float64
		same := 0
		for i, id := range ids {
			k, ok := row[id]
			if !ok || want.Name != "all linked patients" && id == "LUNG1-236" {
				continue
			}
			x, y, positive = append(x, published[i]), append(y, rerun[k]), append(positive, dead[i])
			ratings = append(ratings, []float64{published[i], rerun[k]})
			if d := published[i] - baseline[k]; d < 1e-6 && d > -1e-6 {
				same++
			}
		}
		if len(x) != want.N || same != want.Same {
			t.Fatalf("%s: %d patients, %d with the published score in both tables; want %d, %d", want.Name, len(x), same, want.N, want.Same)
		}
		for i, form := range iccForms {
			r, err := ICC(form, ratings, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, want.Name+" "+string(form), []float64{r.ICC, r.Low, r.High}, []number{number(want.ICC[i]), number(want.Low[i]), number(want.High[i])}, exact)
			// The figures of the study's notes, to the digits given there.
			if notes := map[int]string{206: "0.20", 205: "0.57"}[want.N]; form == ICC21 && fmt.Sprintf("%.2f", r.ICC) != notes {
				t.Errorf("%s: ICC(A,1) %.4f, want %s", want.Name, r.ICC, notes)
			}
		}
		s, err := Spearman(x, y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Name+" Spearman", s.R, want.Spearman, exact)
		if want.N == 206 && fmt.Sprintf("%.2f", s.R) != "0.78" {
			t.Errorf("Spearman %.4f, want 0.78", s.R)
		}
		p, err := Pearson(x, y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Name+" Pearson", p.R, want.Pearson, exact)
		k, err := Kendall(x, y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Name+" Kendall", k.R, want.Kendall, exact)
		nearP(t, want.Name+" Kendall", k.P, want.KendallP)
		lin, err := LinCCC(x, y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		nearAll(t, want.Name+" CCC", ends(lin.CCC), want.CCC, exact)
		ba, err := BlandAltman(x, y, 0.95, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Name+" bias", ba.Bias.Estimate, want.Bias, exact)
		nearAll(t, want.Name+" upper limit", ends(ba.Upper), want.Upper, exact)
		w, err := WilcoxonSignedRank(x, y, TwoSided, AutoRank)
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Name+" V", w.Statistic, want.V, 0)
		nearP(t, want.Name+" V", w.P, want.VP)
		r, err := PermutationAUC(x, y, positive, Greater, 1000, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Name+" AUC difference", r.Observed, want.AUC, exact)
		if r.P < 0.05 || r.P > 0.5 { // paired DeLong: two-sided 0.41
			t.Errorf("%s: one-sided permutation p %v", want.Name, r.P)
		}
	}
}
