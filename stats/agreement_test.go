package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"hounsfield/stats/golden"
)

var iccForms = []ICCForm{ICC11, ICC21, ICC31, ICC1k, ICC2k, ICC3k}

type agreementCase struct {
	Kind, Name string
	Level      float64
	// icc
	Ratings          [][]float64
	ICC, F, DF1, DF2 []float64
	Low, High, P     []float64
	PsychP           []float64 `json:"psych_p"`
	IRRDF2           []float64 `json:"irr_df2"`
	IRRP             []float64 `json:"irr_p"`
	MS               []float64
	SEMAgreement     []number `json:"sem_agreement"`
	SEMConsistency   []number `json:"sem_consistency"`
	SDCAgreement     float64  `json:"sdc_agreement"`
	// pairs
	X, Y               []float64
	Bias, Lower, Upper []number
	T, SD              float64
	TP                 float64 `json:"t_p"`
	CCC                []number
	Scale, Location    float64
	Accuracy           float64
	Pearson            []number
	PearsonT           float64 `json:"pearson_t"`
	PearsonP           float64 `json:"pearson_p"`
	Spearman           []number
	SpearmanS          float64 `json:"spearman_s"`
	SpearmanP          float64 `json:"spearman_p"`
	Kendall            []number
	KendallP           float64 `json:"kendall_p"`
	// kappa
	A, B       []int
	Categories int
	Value, SE  []float64
}

func ends(i Interval) []float64            { return []float64{i.Estimate, i.Low, i.High} }
func spread(r CorrelationResult) []float64 { return []float64{r.R, r.Low, r.High} }

func TestAgreementGolden(t *testing.T) {
	for _, c := range golden.Cases[agreementCase](t, "agreement") {
		switch c.Kind {
		case "icc":
			for i, form := range iccForms {
				r, err := ICC(form, c.Ratings, c.Level)
				if err != nil {
					t.Fatal(err)
				}
				what := c.Name + " " + string(form)
				near(t, what, r.ICC, c.ICC[i], exact)
				near(t, what+" low", r.Low, c.Low[i], exact)
				near(t, what+" high", r.High, c.High[i], exact)
				near(t, what+" F", r.F, c.F[i], exact)
				near(t, what+" df1", r.DF1, c.DF1[i], 0)
				near(t, what+" df2", r.DF2, c.DF2[i], 0)
				nearP(t, what, r.P, c.P[i])
				// psych takes 1 less a probability, whose digits end at 1e-16.
				near(t, what+" psych's p", r.P, c.PsychP[i], 1e-12)
				near(t, what+" irr's df2", r.IRRDF2, c.IRRDF2[i], exact)
				nearP(t, what+" irr", r.IRRP, c.IRRP[i])
				nearAll(t, what+" mean squares", []float64{r.MSSubjects, r.MSWithin, r.MSRaters, r.MSResidual}, numbers(c.MS), exact)
			}
			for kind, want := range map[ErrorKind][]number{AgreementError: c.SEMAgreement, ConsistencyError: c.SEMConsistency} {
				r, err := MeasurementError(kind, c.Ratings, c.Level)
				if err != nil {
					t.Fatal(err)
				}
				nearAll(t, c.Name+" SEM "+string(kind), ends(r.SEM), want, exact)
				if kind == AgreementError {
					near(t, c.Name+" SDC", r.SDC.Estimate, c.SDCAgreement, exact)
				}
				near(t, c.Name+" SDC/SEM", r.SDC.High/r.SEM.High, r.SDC.Low/r.SEM.Low, exact)
			}
		case "pairs":
			checkPairs(t, c)
		case "kappa":
			for i, w := range []KappaWeight{UnweightedKappa, LinearKappa, QuadraticKappa} {
				r, err := CohenKappa(c.A, c.B, c.Categories, w, c.Level)
				if err != nil {
					t.Fatal(err)
				}
				near(t, c.Name+string(w), r.Kappa, c.Value[i], exact)
				near(t, c.Name+string(w)+" SE", r.SE, c.SE[i], exact)
				near(t, c.Name+string(w)+" low", r.Low, c.Low[i], exact)
			}
		default:
			t.Errorf("unknown kind %q", c.Kind)
		}
	}
}

func numbers(x []float64) []number {
	out := make([]number, len(x))
	for i, v := range x {
		out[i] = number(v)
	}
	return out
}

func checkPairs(t *testing.T, c agreementCase) {
	t.Helper()
	ba, err := BlandAltman(c.X, c.Y, 0.95, c.Level)
	if err != nil {
		t.Fatal(err)
	}
	nearAll(t, c.Name+" bias", ends(ba.Bias), c.Bias, exact)
	near(t, c.Name+" SD", ba.SD, c.SD, exact)
	near(t, c.Name+" t", ba.T, c.T, exact)
	nearP(t, c.Name+" t", ba.P, c.TP)
	nearAll(t, c.Name+" lower limit", ends(ba.Lower), c.Lower, exact)
	nearAll(t, c.Name+" upper limit", ends(ba.Upper), c.Upper, exact)
	lin, err := LinCCC(c.X, c.Y, c.Level)
	if err != nil {
		t.Fatal(err)
	}
	nearAll(t, c.Name+" CCC", ends(lin.CCC), c.CCC, exact)
	near(t, c.Name+" scale shift", lin.ScaleShift, c.Scale, exact)
	near(t, c.Name+" location shift", lin.LocationShift, c.Location, exact)
	near(t, c.Name+" accuracy", lin.Accuracy, c.Accuracy, exact)
	near(t, c.Name+" precision", lin.Precision*lin.Accuracy, lin.CCC.Estimate, exact)
	p, err := Pearson(c.X, c.Y, c.Level)
	if err != nil {
		t.Fatal(err)
	}
	nearAll(t, c.Name+" Pearson", spread(p), c.Pearson, exact)
	near(t, c.Name+" Pearson t", p.Statistic, c.PearsonT, exact)
	nearP(t, c.Name+" Pearson", p.P, c.PearsonP)
	s, err := Spearman(c.X, c.Y, c.Level)
	if err != nil {
		t.Fatal(err)
	}
	nearAll(t, c.Name+" Spearman", spread(s), c.Spearman, exact)
	near(t, c.Name+" Spearman S", s.Statistic, c.SpearmanS, 0)
	nearP(t, c.Name+" Spearman", s.P, c.SpearmanP)
	k, err := Kendall(c.X, c.Y, c.Level)
	if err != nil {
		t.Fatal(err)
	}
	nearAll(t, c.Name+" Kendall", spread(k), c.Kendall, exact)
	nearP(t, c.Name+" Kendall", k.P, c.KendallP)
	if s.Exact != (len(c.X) < 10) || k.Exact && len(c.X) >= 50 {
		t.Errorf("%s: exact %v, %v", c.Name, s.Exact, k.Exact)
	}
}

type pythonAgreementCase struct {
	Kind, Name string
	Categories int
	A, B       []int
	Counts     [][]int
	Kappa, SE  any
	Low, High  any
	Z, P       any
	IRRCAC     float64
	X, Y       []float64
	Spearman   []float64
	Kendall    []float64
	Ratings    [][]float64
	ICC, F     []float64
}

// The same from Python's tools: kappas with their tests, and a second opinion on ICC
// and rank correlations.
func TestAgreementPythonGolden(t *testing.T) {
	at := func(v any, i int) float64 {
		if list, ok := v.([]any); ok {
			v = list[i]
		}
		return v.(float64)
	}
	for _, c := range golden.Cases[pythonAgreementCase](t, "agreement_py") {
		var results []KappaResult
		switch c.Kind {
		case "cohen":
			for _, w := range []KappaWeight{UnweightedKappa, LinearKappa, QuadraticKappa} {
				r, err := CohenKappa(c.A, c.B, c.Categories, w, 0.95)
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, r)
			}
		case "fleiss":
			r, err := FleissKappa(c.Counts, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Name+" irrCAC", r.Kappa, c.IRRCAC, exact)
			results = append(results, r)
		case "ranks":
			s, err := Spearman(c.X, c.Y, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			k, err := Kendall(c.X, c.Y, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Name+" Spearman", s.R, c.Spearman[0], exact)
			nearP(t, c.Name+" Spearman", s.P, c.Spearman[1])
			near(t, c.Name+" Kendall", k.R, c.Kendall[0], exact)
			nearP(t, c.Name+" Kendall", k.P, c.Kendall[1])
		case "icc":
			for i, form := range iccForms {
				r, err := ICC(form, c.Ratings, 0.95)
				if err != nil {
					t.Fatal(err)
				}
				near(t, c.Name+" "+string(form), r.ICC, c.ICC[i], exact)
				near(t, c.Name+" "+string(form)+" F", r.F, c.F[i], exact)
				nearP(t, c.Name+" "+string(form), r.P, at(c.P, i))
			}
		default:
			t.Errorf("unknown kind %q", c.Kind)
		}
		for i, r := range results {
			what := c.Name + " " + r.Method
			near(t, what, r.Kappa, at(c.Kappa, i), exact)
			near(t, what+" SE", r.SE, at(c.SE, i), exact)
			near(t, what+" low", r.Low, at(c.Low, i), exact)
			near(t, what+" high", r.High, at(c.High, i), exact)
			near(t, what+" Z", r.Z, at(c.Z, i), exact)
			nearP(t, what, r.P, at(c.P, i))
		}
	}
}

func TestICCNamesAndEdges(t *testing.T) {
	want := []string{"ICC(1)", "ICC(A,1)", "ICC(C,1)", "ICC(k)", "ICC(A,k)", "ICC(C,k)"}
	perfect := [][]float64{{0.1, 0.1, 0.1}, {0.7, 0.7, 0.7}, {0.3, 0.3, 0.3}}
	shifted := [][]float64{{1, 3}, {2, 4}, {7, 9}}
	alike := [][]float64{{1, 3}, {1, 3}, {1, 3}}
	wantShifted := []float64{0, 0, 1, 0, 0, 1} // of the forms checked below
	for i, form := range iccForms {
		if form.McGrawWong() != want[i] {
			t.Errorf("%s is %s, want %s", form, form.McGrawWong(), want[i])
		}
		r, err := ICC(form, perfect, 0.95)
		if err != nil || r.ICC != 1 || r.Low != 1 || r.High != 1 || !math.IsInf(r.F, 1) || r.P != 0 || r.IRRP != 0 {
			t.Errorf("%s of raters who agree: %+v, %v", form, r, err)
		}
		r, err = ICC(form, shifted, 0.95)
		if err != nil || wantShifted[i] == 1 && (r.ICC != 1 || r.Low != 1) || wantShifted[i] == 0 && !(r.ICC < 1 && r.Low < r.ICC && r.ICC < r.High) {
			t.Errorf("%s of raters with a constant shift: %+v, %v", form, r, err)
		}
		r, err = ICC(form, alike, 0.95)
		switch form {
		case ICC31, ICC3k:
			if err != nil || !math.IsNaN(r.ICC) || !math.IsNaN(r.P) {
				t.Errorf("%s of subjects all alike: %+v, %v", form, r, err)
			}
		case ICC21, ICC2k:
			if err != nil || r.ICC != 0 || !math.IsNaN(r.F) {
				t.Errorf("%s of subjects all alike: %+v, %v", form, r, err)
			}
		case ICC11:
			if err != nil || r.ICC != -1 || r.P != 1 {
				t.Errorf("%s of subjects all alike: %+v, %v", form, r, err)
			}
		case ICC1k:
			if err != nil || !math.IsInf(r.ICC, -1) {
				t.Errorf("%s of subjects all alike: %+v, %v", form, r, err)
			}
		}
	}
	if ICCForm("ICC").McGrawWong() != "" {
		t.Error("a bare ICC has no name")
	}
}

// slowMeanSquares takes the textbook sums, subject by subject and rater by rater.
func slowMeanSquares(x [][]float64) [4]float64 {
	n, k := len(x), len(x[0])
	grand := 0.0
	for _, row := range x {
		for _, v := range row {
			grand += v / float64(n*k)
		}
	}
	var subjects, within, raters, total float64
	for _, row := range x {
		m := 0.0
		for _, v := range row {
			m += v / float64(k)
		}
		subjects += float64(k) * square(m-grand)
		for _, v := range row {
			within += square(v - m)
			total += square(v - grand)
		}
	}
	for j := range k {
		m := 0.0
		for i := range n {
			m += x[i][j] / float64(n)
		}
		raters += float64(n) * square(m-grand)
	}
	return [4]float64{subjects / float64(n-1), within / float64(n*(k-1)), raters / float64(k-1), (total - subjects - raters) / float64((n-1)*(k-1))}
}

func TestICCProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	for range 50 {
		n, k := 2+random.IntN(20), 2+random.IntN(5)
		x, turned, scaled := make([][]float64, n), make([][]float64, n), make([][]float64, n)
		for i := range x {
			subject := 2 * random.NormFloat64()
			for j := range k {
				x[i] = append(x[i], subject+float64(j)*0.3+random.NormFloat64())
			}
			turned[n-1-i] = slices.Clone(x[i])
			slices.Reverse(turned[n-1-i])
			for _, v := range x[i] {
				scaled[i] = append(scaled[i], 5-3*v)
			}
		}
		slow := slowMeanSquares(x)
		for _, form := range iccForms {
			a, err := ICC(form, x, 0.9)
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range []float64{a.MSSubjects, a.MSWithin, a.MSRaters, a.MSResidual} {
				near(t, "mean square", got, slow[i], 1e-10)
			}
			b, _ := ICC(form, turned, 0.9)
			c, _ := ICC(form, scaled, 0.9)
			near(t, string(form)+" in another order", b.ICC, a.ICC, 1e-10)
			near(t, string(form)+" on another scale", c.ICC, a.ICC, 1e-9)
			near(t, string(form)+" on another scale, low", c.Low, a.Low, 1e-8)
			if !(a.Low <= a.ICC && a.ICC <= a.High && a.High <= 1) {
				t.Errorf("%s: %v outside %v..%v", form, a.ICC, a.Low, a.High)
			}
		}
	}
}

// The integral against gonum's series, and beyond where that ends by its own definition:
// a share p of simulated draws lies below.
func TestNoncentralQuantile(t *testing.T) {
	for _, df := range []float64{1, 2, 3, 4, 9, 29, 205} {
		for _, delta := range []float64{0, 1.3, 7, 28} {
			for _, p := range []float64{0.005, 0.025, 0.5, 0.975} {
				d := distuv.NoncentralT{Nu: df, Mu: delta}
				near(t, fmt.Sprint("noncentral t ", df, delta, p), d.CDF(noncentralQuantile(p, df, delta)), p, 1e-9)
			}
		}
	}
	random := rand.New(rand.NewPCG(5, 1))
	below, draws := 0, 20000
	df, delta := 1999.0, 87.65
	q := noncentralQuantile(0.975, df, delta)
	for range draws {
		chi := df + math.Sqrt(2*df)*random.NormFloat64() // good enough at 1999
		if (random.NormFloat64()+delta)/math.Sqrt(chi/df) < q {
			below++
		}
	}
	if share := float64(below) / float64(draws); math.Abs(share-0.975) > 0.005 {
		t.Errorf("%.4f of the draws below the quantile 0.975", share)
	}
}

func TestBlandAltmanEdges(t *testing.T) {
	same, err := BlandAltman([]float64{1, 2, 5}, []float64{1, 2, 5}, 0.95, 0.95)
	if err != nil || same.P != 1 || same.T != 0 || same.Upper != (Interval{}) || same.Bias != (Interval{}) {
		t.Errorf("%+v, %v", same, err)
	}
	shifted, err := BlandAltman([]float64{3, 4, 7}, []float64{1, 2, 5}, 0.95, 0.95)
	if err != nil || !math.IsNaN(shifted.P) || shifted.Lower != (Interval{2, 2, 2}) {
		t.Errorf("%+v, %v", shifted, err)
	}
	a, b := []float64{1, 4, 2, 8, 5}, []float64{2, 3, 2.5, 6, 7}
	ab, _ := BlandAltman(a, b, 0.9, 0.95)
	ba, _ := BlandAltman(b, a, 0.9, 0.95)
	near(t, "turned round", ab.Upper.High, -ba.Lower.Low, 1e-12)
	near(t, "turned round", ab.Upper.Low, -ba.Lower.High, 1e-12)
	one, err := LinCCC(a, a, 0.95)
	if err != nil || one.CCC != (Interval{1, 1, 1}) || one.Accuracy != 1 {
		t.Errorf("%+v, %v", one, err)
	}
	none, err := LinCCC([]float64{-1, 0, 1, 0}, []float64{0, 1, 0, -1}, 0.95)
	if err != nil || none.CCC.Estimate != 0 || !math.IsNaN(none.CCC.Low) {
		t.Errorf("%+v, %v", none, err)
	}
	x, _ := LinCCC(a, b, 0.95)
	y, _ := LinCCC(b, a, 0.95)
	near(t, "CCC turned round", x.CCC.Low, y.CCC.Low, 1e-12)
}

func TestKappaEdges(t *testing.T) {
	r, err := CohenKappa([]int{0, 1, 2, 0, 1, 1, 2}, []int{0, 1, 2, 0, 1, 1, 2}, 3, LinearKappa, 0.95)
	if err != nil || r.Kappa != 1 || r.SE != 0 || r.Low != 1 || r.High != 1 || !(r.P < 0.01) {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = FleissKappa([][]int{{3, 0}, {0, 3}, {3, 0}}, 0.95)
	if err != nil || r.Kappa != 1 || r.Low < 1-1e-12 || r.High != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	// Weighted kappa with squared weights is ICC(A,1) but for divisors n and n-1.
	random := rand.New(rand.NewPCG(9, 1))
	const n = 4000
	a, b, ratings := make([]int, n), make([]int, n), make([][]float64, n)
	for i := range a {
		a[i] = random.IntN(5)
		b[i] = min(4, max(0, a[i]+random.IntN(3)-1))
		ratings[i] = []float64{float64(a[i]), float64(b[i])}
	}
	k, err := CohenKappa(a, b, 5, QuadraticKappa, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	icc, err := ICC(ICC21, ratings, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "squared weights", k.Kappa, icc.ICC, 1.0/n)
}
