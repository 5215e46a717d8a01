package enrichment

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type rGolden struct {
	Metrics []struct {
		Name                                             string
		Values                                           [][]float64
		Outcome, Time, Pearson, Spearman, S2n, T, P, Cox []float64
		SpearmanClass                                    []float64 `json:"spearman_class"`
		Positive, Event                                  []bool
		PriorDF                                          float64 `json:"prior_df"`
		PriorVariance                                    float64 `json:"prior_variance"`
		DF                                               float64
	}
	Running []struct {
		Weight float64
		Scores []float64
		Sets   [][]int
		ES     []float64
		Edges  [][]int
	}
	GivenNull []struct {
		Sizes                     []int
		Null                      [][]float64
		At                        []int
		ES, NES, P, Strict, BH, Q []float64
	} `json:"given_null"`
	Over struct {
		Universe, Set, Selected, Overlap []int
		P, BH                            []float64
	}
	Trigamma struct {
		X, Y, Inverse []float64
		InverseOf     []float64 `json:"inverse_of"`
	}
}

func TestMetricsAgainstR(t *testing.T) {
	for _, c := range golden.Cases[rGolden](t, "enrichment")[0].Metrics {
		genes := geneNames(len(c.Values))
		class := make([]float64, len(c.Positive))
		for i, p := range c.Positive {
			if p {
				class[i] = 1
			}
		}
		for what, f := range map[string]func() ([]float64, []float64, error){
			"Pearson": func() ([]float64, []float64, error) {
				r, err := Pearson(genes, c.Values, c.Outcome)
				return r, c.Pearson, err
			},
			"Spearman": func() ([]float64, []float64, error) {
				r, err := Spearman(genes, c.Values, c.Outcome)
				return r, c.Spearman, err
			},
			"Spearman, classes": func() ([]float64, []float64, error) {
				r, err := Spearman(genes, c.Values, class)
				return r, c.SpearmanClass, err
			},
			"SignalToNoise": func() ([]float64, []float64, error) {
				r, err := SignalToNoise(genes, c.Values, c.Positive)
				return r, c.S2n, err
			},
			"CoxZ": func() ([]float64, []float64, error) {
				r, err := CoxZ(genes, c.Values, c.Time, c.Event)
				return r, c.Cox, err
			},
		} {
			got, want, err := f()
			if err != nil {
				t.Fatalf("%s: %s: %v", c.Name, what, err)
			}
			// coxph stops when the likelihood changes by less than 1e-9 of itself.
			tolerance := exact
			if what == "CoxZ" {
				tolerance = 1e-5
			}
			nearAll(t, c.Name+": "+what, got, want, tolerance)
		}
		m, err := ModeratedT(genes, c.Values, c.Positive)
		if err != nil {
			t.Fatal(err)
		}
		// limma stops Newton's method for the prior at a relative step of 1e-8.
		nearAll(t, c.Name+": T", m.T, c.T, 1e-8)
		for i := range m.P {
			if math.Abs(m.P[i]-c.P[i]) > 1e-7*c.P[i] {
				t.Errorf("%s: P[%d]: got %v, want %v", c.Name, i, m.P[i], c.P[i])
			}
		}
		near(t, c.Name+": PriorVariance", m.PriorVariance, c.PriorVariance, exact)
		near(t, c.Name+": DF", m.DF, c.DF, 1e-7)
		if c.PriorDF == 1e300 {
			if !math.IsInf(m.PriorDF, 1) {
				t.Errorf("%s: PriorDF %v, want +Inf", c.Name, m.PriorDF)
			}
		} else {
			near(t, c.Name+": PriorDF", m.PriorDF, c.PriorDF, 1e-7)
		}
	}
}

func TestTrigammaAgainstR(t *testing.T) {
	g := golden.Cases[rGolden](t, "enrichment")[0].Trigamma
	for i, x := range g.X {
		near(t, fmt.Sprintf("trigamma(%v)", x), trigamma(x), g.Y[i], 1e-13)
	}
	for i, x := range g.InverseOf {
		near(t, fmt.Sprintf("trigammaInverse(%v)", x), trigammaInverse(x), g.Inverse[i], 1e-12)
	}
}

func TestRunningSumAgainstR(t *testing.T) {
	for _, c := range golden.Cases[rGolden](t, "enrichment")[0].Running {
		genes := geneNames(len(c.Scores))
		r, err := Rank(genes, c.Scores, ByGene)
		if err != nil {
			t.Fatal(err)
		}
		var sets []Set
		for k, members := range c.Sets {
			s := Set{Name: fmt.Sprint(k)}
			for _, m := range members {
				s.Genes = append(s.Genes, genes[m])
			}
			sets = append(sets, s)
		}
		settings := Settings{Weight: c.Weight, MinSize: 1, MaxSize: 150, Permutations: 10, Equal: EqualFirst}
		got, err := Preranked(r, sets, settings)
		if err != nil {
			t.Fatal(err)
		}
		for k, s := range got.Sets {
			what := fmt.Sprintf("weight %v, set of %d", c.Weight, s.Size)
			near(t, what, s.ES, c.ES[k], exact)
			var edge []string
			for _, m := range c.Edges[k] {
				edge = append(edge, genes[m])
			}
			if !slices.Equal(s.LeadingEdge, edge) {
				t.Errorf("%s: leading edge %v, want %v", what, s.LeadingEdge, edge)
			}
			curve, err := RunningSum(r, sets[k], c.Weight)
			if err != nil {
				t.Fatal(err)
			}
			most := 0.0
			for _, v := range curve {
				if math.Abs(v) > math.Abs(most) {
					most = v
				}
			}
			near(t, what+": curve", most, s.ES, 1e-12)
			near(t, what+": end of curve", curve[len(curve)-1], 0, 1e-12)
		}
	}
}

// fgsea's own expectations (tests/testthat/test_gsea_stat.R of ctlab/fgsea, commit
// 07a70d5673be6655944ed615116e9832f40c3879): statistics 10, 9, ..., -10.
func TestFgseaExpectations(t *testing.T) {
	scores := make([]float64, 21)
	for i := range scores {
		scores[i] = float64(10 - i)
	}
	genes := geneNames(21)
	r, err := Rank(genes, scores, AsGiven)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, step, to int // positions, from 1
		es             float64
	}{{1, 1, 5, 1}, {16, 1, 21, -1}, {2, 2, 10, 0.71}, {10, 1, 12, 0}} {
		var at []int32
		for p := c.from; p <= c.to; p += c.step {
			at = append(at, int32(p-1))
		}
		es, _ := score(at, gather(stepWeights(r.Scores, 1), at), 21, EqualZero)
		near(t, fmt.Sprint(c), es, c.es, 1e-12)
	}
	// Equally far up and down: the Broad takes the valley, which comes before the peak.
	at := []int32{9, 10, 11}
	es, member := score(at, gather(stepWeights(r.Scores, 1), at), 21, EqualFirst)
	near(t, "first reached", es, -0.5, 1e-12)
	if member != 0 {
		t.Errorf("member %d, want 0", member)
	}
	// A set that scores 0 throughout takes equal steps.
	zero, _ := Rank(geneNames(33), slices.Concat([]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0}, descending(-1, 21)), AsGiven)
	near0, _ := Rank(geneNames(33), slices.Concat([]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0.1, -0.1}, descending(-1, 21)), AsGiven)
	at = []int32{10, 11}
	a, _ := score(at, gather(stepWeights(zero.Scores, 1), at), 33, EqualZero)
	b, _ := score(at, gather(stepWeights(near0.Scores, 1), at), 33, EqualZero)
	near(t, "zero scores", a, b, 1e-12)
}

func descending(from float64, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = from - float64(i)
	}
	return x
}

func TestGivenNullAgainstR(t *testing.T) {
	for _, c := range golden.Cases[rGolden](t, "enrichment")[0].GivenNull {
		r := &Result{}
		for i, es := range c.ES {
			r.Sets = append(r.Sets, SetResult{Size: c.Sizes[c.At[i]], ES: es})
		}
		if err := r.judge(c.Sizes, c.Null); err != nil {
			t.Fatal(err)
		}
		for i, s := range r.Sets {
			what := fmt.Sprintf("%d sets, set %d", len(r.Sets), i)
			near(t, what+": NES", s.NES, c.NES[i], exact)
			near(t, what+": P", s.P, c.P[i], exact)
			near(t, what+": PStrict", s.PStrict, c.Strict[i], exact)
			near(t, what+": BH", s.BH, c.BH[i], exact)
			near(t, what+": Q", s.Q, c.Q[i], exact)
		}
	}
}

func TestOverRepresentationAgainstR(t *testing.T) {
	g := golden.Cases[rGolden](t, "enrichment")[0].Over
	for i, want := range g.P {
		nearRatio(t, fmt.Sprintf("case %d", i), upperTail(g.Overlap[i], g.Set[i], g.Selected[i], g.Universe[i]), want)
	}
}

// Binomial coefficients written out, for all small tables.
func TestUpperTailEqualsCounting(t *testing.T) {
	choose := func(n, k int) float64 {
		if k < 0 || k > n {
			return 0
		}
		c := 1.0
		for i := range k {
			c = c * float64(n-i) / float64(i+1)
		}
		return c
	}
	for all := 1; all <= 12; all++ {
		for set := 0; set <= all; set++ {
			for drawn := 0; drawn <= all; drawn++ {
				for k := 0; k <= min(set, drawn); k++ {
					want := 0.0
					for x := k; x <= min(set, drawn); x++ {
						want += choose(set, x) * choose(all-set, drawn-x) / choose(all, drawn)
					}
					near(t, fmt.Sprint(k, set, drawn, all), upperTail(k, set, drawn, all), want, 1e-12)
				}
			}
		}
	}
}

type gseapyGolden struct {
	Weight       float64
	Genes        []string
	Scores       []float64
	Sets         [][]string
	ES, NES, P   []float64
	LeadingEdge  [][]string `json:"leading_edge"`
	Permutations int
}

// ES and leading edge are the same numbers; NES and p come from other random sets.
// gseapy's p counts random scores at least as far as ES, over those on its side.
func TestPrerankedAgainstGSEApy(t *testing.T) {
	for _, c := range golden.Cases[gseapyGolden](t, "gseapy_prerank") {
		r, err := Rank(c.Genes, c.Scores, ByGene)
		if err != nil {
			t.Fatal(err)
		}
		var sets []Set
		for k, genes := range c.Sets {
			sets = append(sets, Set{Name: fmt.Sprint(k), Genes: genes})
		}
		s := Default()
		s.Weight, s.Permutations = c.Weight, c.Permutations
		got, err := Preranked(r, sets, s)
		if err != nil {
			t.Fatal(err)
		}
		for k, set := range got.Sets {
			what := fmt.Sprintf("weight %v, set of %d", c.Weight, set.Size)
			near(t, what+": ES", set.ES, c.ES[k], exact)
			if !slices.Equal(set.LeadingEdge, c.LeadingEdge[k]) {
				t.Errorf("%s: leading edge %v, want %v", what, set.LeadingEdge, c.LeadingEdge[k])
			}
			// The mean of some 10,000 scores with a coefficient of variation near 0.3 has a
			// standard error of 0.3%; the difference of two such, 0.43%. Four of these.
			near(t, what+": NES", set.NES/c.NES[k], 1, 0.017)
			p := float64(set.AtLeast) / float64(set.SameSide)
			se := math.Sqrt(2 * math.Max(p, 1e-3) / float64(set.SameSide))
			near(t, what+": p", p, c.P[k], 4*se)
		}
	}
}
