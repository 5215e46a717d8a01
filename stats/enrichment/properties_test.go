package enrichment

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hounsfield/stats"
)

// slowES walks over all genes and adds or takes away, as the definition says.
func slowES(scores []float64, member []bool, weight float64, equal EqualRule) float64 {
	total, members := 0.0, 0
	for i, s := range scores {
		if member[i] {
			total += math.Pow(math.Abs(s), weight)
			members++
		}
	}
	sum, high, low, highAt, lowAt := 0.0, 0.0, 0.0, -1, -1
	for i, s := range scores {
		switch {
		case member[i] && total == 0:
			sum += 1 / float64(members)
		case member[i]:
			sum += math.Pow(math.Abs(s), weight) / total
		default:
			sum -= 1 / float64(len(scores)-members)
		}
		if sum > high+1e-11 {
			high, highAt = sum, i
		}
		if sum < low-1e-11 {
			low, lowAt = sum, i
		}
	}
	switch {
	case math.Abs(high+low) < 1e-10 && equal == EqualZero:
		return 0
	case math.Abs(high+low) < 1e-10:
		if highAt < lowAt {
			return high
		}
		return low
	case high > -low:
		return high
	}
	return low
}

// example is a ranking of n genes, scores rounded to 1/grain, and sets of the sizes.
func example(t *testing.T, seed uint64, n int, grain float64, sizes ...int) (*Ranking, []Set) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 9))
	scores := make([]float64, n)
	for i := range scores {
		scores[i] = math.Round(random.NormFloat64()*grain) / grain
	}
	genes := geneNames(n)
	r, err := Rank(genes, scores, ByGene)
	if err != nil {
		t.Fatal(err)
	}
	var sets []Set
	for k, size := range sizes {
		s := Set{Name: fmt.Sprintf("set%d of %d", k, size)}
		for _, i := range random.Perm(n)[:size] {
			s.Genes = append(s.Genes, genes[i])
		}
		sets = append(sets, s)
	}
	return r, sets
}

// slowDraw is the order in which permutation b takes genes, shuffled in full view.
func slowDraw(seed uint64, b, n, largest int) []int {
	random := rand.New(rand.NewPCG(seed, uint64(b)))
	genes := make([]int, n)
	for i := range genes {
		genes[i] = i
	}
	for i := range largest {
		j := i + random.IntN(n-i)
		genes[i], genes[j] = genes[j], genes[i]
	}
	return genes[:largest]
}

func TestNullEqualsWrittenOut(t *testing.T) {
	for _, c := range []struct {
		n      int
		grain  float64
		weight float64
		equal  EqualRule
		sizes  []int
	}{
		{40, 1e6, 1, EqualFirst, []int{1, 2, 3, 7, 8, 20, 39}},
		{129, 1e6, 0, EqualZero, []int{1, 4, 64, 100, 128}},
		{64, 0.7, 2, EqualZero, []int{1, 2, 5, 33}}, // many scores are 0
		{31, 0.1, 1, EqualFirst, []int{1, 15}},      // all scores are 0
	} {
		r, _ := example(t, 3, c.n, c.grain)
		null := nullScores(stepWeights(r.Scores, c.weight), c.sizes, 50, 11, c.equal, 3)
		for b := range 50 {
			drawn := slowDraw(11, b, c.n, c.sizes[len(c.sizes)-1])
			for k, size := range c.sizes {
				member := make([]bool, c.n)
				for _, g := range drawn[:size] {
					member[g] = true
				}
				near(t, fmt.Sprintf("n %d, size %d, permutation %d", c.n, size, b), null[k][b], slowES(r.Scores, member, c.weight, c.equal), 1e-11)
			}
		}
	}
}

func TestDrawsAreUniform(t *testing.T) {
	// The first three of six draws from 8 genes: each of the 56 sets equally often. 102 is
	// the 99.99% point of chi-square with 55 degrees of freedom.
	d := newDrawer(make([]float64, 8), 6)
	counts := map[[3]int32]int{}
	const draws = 56 * 200
	for b := range draws {
		d.draw(5, b)
		d.score(3, EqualZero)
		counts[[3]int32(d.positions)]++
	}
	if len(counts) != 56 {
		t.Fatalf("%d different sets, want 56", len(counts))
	}
	chi := 0.0
	for _, c := range counts {
		chi += math.Pow(float64(c)-200, 2) / 200
	}
	if chi > 102 {
		t.Errorf("chi-square %v with 55 degrees of freedom", chi)
	}
}

// With 12 genes all 220 sets of 3 can be scored: the p value has an exact counterpart.
func TestPAgainstAllSets(t *testing.T) {
	r, sets := example(t, 8, 12, 1e6, 3, 3, 3, 3)
	s := Settings{Weight: 1, MinSize: 1, MaxSize: 11, Permutations: 20000, Seed: 4, Equal: EqualFirst}
	got, err := Preranked(r, sets, s)
	if err != nil {
		t.Fatal(err)
	}
	for k, set := range got.Sets {
		same, least := 0, 0
		for mask := range 1 << 12 {
			member := make([]bool, 12)
			size := 0
			for i := range 12 {
				if mask>>i&1 == 1 {
					member[i] = true
					size++
				}
			}
			if size != 3 {
				continue
			}
			if es := slowES(r.Scores, member, 1, EqualFirst); es*set.ES >= 0 {
				same++
				if math.Abs(es) >= math.Abs(set.ES)-1e-11 {
					least++
				}
			}
		}
		p := float64(least) / float64(same)
		near(t, fmt.Sprintf("set %d", k), set.P, p, 4*math.Sqrt(p*(1-p)/float64(set.SameSide))+2/float64(set.SameSide))
	}
}

func mustPreranked(t *testing.T, r *Ranking, sets []Set, s Settings) *Result {
	t.Helper()
	result, err := Preranked(r, sets, s)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestWorkersAndSeeds(t *testing.T) {
	r, sets := example(t, 1, 500, 1e6, 5, 9, 9, 30, 200, 4, 60)
	var first []byte
	for _, workers := range []int{1, 2, 8, 64} {
		s := Default()
		s.Workers = workers
		result := mustPreranked(t, r, sets, s)
		result.Settings.Workers = 0
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = text
		} else if string(text) != string(first) {
			t.Errorf("%d workers: another result", workers)
		}
	}
	s := Default()
	a := mustPreranked(t, r, sets, s)
	s.Seed = 2
	if b := mustPreranked(t, r, sets, s); a.Sets[0].NES == b.Sets[0].NES || a.Sets[0].ES != b.Sets[0].ES {
		t.Errorf("another seed must change NES and not ES: %+v, %+v", a.Sets[0], b.Sets[0])
	}
	if len(a.Dropped) != 1 || a.Dropped[0].Size != 4 {
		t.Errorf("dropped %+v, want the set of 4", a.Dropped)
	}
}

// The size filter counts ranked genes, and what is not ranked is told.
func TestSizeFilterAfterIntersecting(t *testing.T) {
	r, _ := example(t, 1, 20, 1e6)
	sets := []Set{
		{Name: "few", Genes: []string{"g0001", "g0002", "x", "y", "z", "w"}},
		{Name: "kept", Genes: []string{"g0001", "g0002", "g0003", "g0004", "g0005", "x"}},
		{Name: "all", Genes: geneNames(20)},
	}
	got := mustPreranked(t, r, sets, Default())
	if len(got.Sets) != 1 || got.Sets[0].Given != 6 || got.Sets[0].Size != 5 {
		t.Errorf("sets %+v", got.Sets)
	}
	if len(got.Dropped) != 2 || got.Dropped[0].Size != 2 || got.Dropped[1].Reason != "it holds every ranked gene" {
		t.Errorf("dropped %+v", got.Dropped)
	}
	if want := []string{"w", "x", "y", "z"}; !slices.Equal(got.Unranked, want) {
		t.Errorf("unranked %v, want %v", got.Unranked, want)
	}
	for _, rule := range got.Rules {
		if rule.Item == "" || rule.Text == "" {
			t.Errorf("empty rule %+v", rule)
		}
	}
}

func TestPrerankedProperties(t *testing.T) {
	for seed := range uint64(20) {
		r, sets := example(t, seed, 200, 1e9, 5, 17, 40, 90)
		s := Default()
		s.Permutations = 200
		a := mustPreranked(t, r, sets, s)

		// Turning the ranking round turns every score round.
		minus := make([]float64, len(r.Scores))
		for i, v := range r.Scores {
			minus[i] = -v
		}
		back, err := Rank(r.Genes, minus, ByGene)
		if err != nil {
			t.Fatal(err)
		}
		b := mustPreranked(t, back, sets, s)
		for k := range a.Sets {
			near(t, "ES turned round", b.Sets[k].ES, -a.Sets[k].ES, 1e-12)
			if !slices.Equal(a.Sets[k].LeadingEdge, b.Sets[k].LeadingEdge) || a.Sets[k].Peak+b.Sets[k].Peak != 199 {
				t.Errorf("seed %d: leading edge %v, turned round %v", seed, a.Sets[k].LeadingEdge, b.Sets[k].LeadingEdge)
			}
		}

		// The order of the rows does not matter, with ties neither; weight 0 sees ranks
		// alone; a weight sees ratios.
		for _, c := range []struct {
			what   string
			weight float64
			change func(float64) float64
		}{
			{"shuffled", 1, func(v float64) float64 { return v }},
			{"monotone, weight 0", 0, func(v float64) float64 { return math.Exp(3*v) - 7 }},
			{"scaled by 8", 1.5, func(v float64) float64 { return 8 * v }},
		} {
			coarse, _ := example(t, seed, 200, 4)
			s.Weight = c.weight
			want := mustPreranked(t, coarse, sets, s)
			random := rand.New(rand.NewPCG(seed, 1))
			var genes []string
			var scores []float64
			for _, i := range random.Perm(200) {
				genes, scores = append(genes, coarse.Genes[i]), append(scores, c.change(coarse.Scores[i]))
			}
			again, err := Rank(genes, scores, ByGene)
			if err != nil {
				t.Fatal(err)
			}
			if got := mustPreranked(t, again, sets, s); !reflect.DeepEqual(got, want) {
				t.Errorf("seed %d, %s: another result", seed, c.what)
			}
		}
		for _, set := range a.Sets {
			if !(math.Abs(set.ES) <= 1 && set.P > 0 && set.P <= 1 && set.PStrict >= 0 && set.PStrict <= set.P && set.BH >= set.P && set.Q >= 0 && set.Q <= 1 &&
				set.Beyond <= set.AtLeast && set.AtLeast <= set.SameSide && set.NES*set.ES > 0 && set.TieLow == set.ES && set.TieHigh == set.ES) {
				t.Errorf("seed %d: %+v", seed, set)
			}
		}
	}
}

// All orders of the tied genes, tried out.
func TestTieRangeEqualsAllOrders(t *testing.T) {
	scores := []float64{3, 2, 2, 2, 1, 0, 0, -1, -1, -1}
	var orders [][]int
	var extend func(order []int)
	extend = func(order []int) {
		if len(order) == len(scores) {
			orders = append(orders, slices.Clone(order))
			return
		}
		for i := range scores {
			if scores[i] == scores[len(order)] && !slices.Contains(order, i) {
				extend(append(order, i))
			}
		}
	}
	extend(nil)
	if len(orders) != 6*2*6 {
		t.Fatalf("%d orders", len(orders))
	}
	r, err := Rank(geneNames(10), scores, ByGene)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tied != 8 || r.Distinct != 5 {
		t.Errorf("tied %d, distinct %d", r.Tied, r.Distinct)
	}
	for mask := 1; mask < 1<<10-1; mask++ {
		set := Set{Name: "s"}
		for i := range 10 {
			if mask>>i&1 == 1 {
				set.Genes = append(set.Genes, r.Genes[i])
			}
		}
		got := newSetResult(r, stepWeights(scores, 1), set, r.positions(set.Genes), EqualZero)
		low, high := math.Inf(1), math.Inf(-1)
		for _, order := range orders {
			member := make([]bool, 10)
			for at, i := range order {
				member[at] = mask>>i&1 == 1
			}
			es := slowES(scores, member, 1, EqualZero)
			low, high = math.Min(low, es), math.Max(high, es)
		}
		near(t, fmt.Sprintf("%b: least", mask), got.TieLow, low, 1e-11)
		near(t, fmt.Sprintf("%b: greatest", mask), got.TieHigh, high, 1e-11)
	}
}

// With a single random set on the other side there is nothing to divide by.
func TestNoRandomSetOnTheSide(t *testing.T) {
	r := &Result{Sets: []SetResult{{Size: 3, ES: 0.5}, {Size: 3, ES: -0.5}}}
	if err := r.judge([]int{3}, [][]float64{{-0.25}}); err != nil {
		t.Fatal(err)
	}
	up, down := r.Sets[0], r.Sets[1]
	if !math.IsNaN(up.NES) || !math.IsNaN(up.PStrict) || !math.IsNaN(up.Q) || up.P != 1 || up.SameSide != 0 {
		t.Errorf("no random set on the side: %+v", up)
	}
	if down.NES != -2 || down.P != 0.5 || down.PStrict != 0 || down.Q != 0 {
		t.Errorf("one random set on the side: %+v", down)
	}
}

func TestRefusals(t *testing.T) {
	genes := []string{"A", "B", "C", "D"}
	scores := []float64{1, 2, 3, 4}
	r, err := Rank(genes, scores, ByGene)
	if err != nil {
		t.Fatal(err)
	}
	small := Settings{Weight: 1, MinSize: 1, MaxSize: 4, Permutations: 5, Equal: EqualFirst}
	with := func(change func(*Settings)) Settings {
		s := small
		change(&s)
		return s
	}
	set := []Set{{Name: "s", Genes: []string{"A", "C"}}}
	preranked := func(sets []Set, s Settings) func() error {
		return func() error { _, err := Preranked(r, sets, s); return err }
	}
	rank := func(genes []string, scores []float64, ties TieRule) func() error {
		return func() error { _, err := Rank(genes, scores, ties); return err }
	}
	over := func(selected, universe []string, sets []Set, low, high int) func() error {
		return func() error { _, err := OverRepresentation(selected, universe, sets, low, high); return err }
	}
	values := [][]float64{{1, 2, 3}, {4, 5, 6}}
	pearson := func(genes []string, values [][]float64, outcome []float64) func() error {
		return func() error { _, err := Pearson(genes, values, outcome); return err }
	}
	for name, c := range map[string]struct {
		f    func() error
		says []string
	}{
		"duplicate genes":    {rank([]string{"GAPD", "X", "GAPD", "X"}, scores, ByGene), []string{"2 names", "GAPD, X", "each name once"}},
		"NaN":                {rank(genes, []float64{1, math.NaN(), 2, math.Inf(-1)}, ByGene), []string{"scores[1]", "NaN", "(B, D)"}},
		"no genes":           {rank(nil, nil, ByGene), []string{"genes is empty"}},
		"unnamed gene":       {rank([]string{"A", ""}, scores[:2], ByGene), []string{"genes[1]", "an empty name"}},
		"lengths":            {rank(genes, scores[:3], ByGene), []string{"3 long", "4 elements"}},
		"tie rule":           {rank(genes, scores, "random"), []string{`"random"`, "ByGene"}},
		"no ranking":         {func() error { _, err := Preranked(&Ranking{}, set, small); return err }, []string{"not made by Rank"}},
		"no sets":            {preranked(nil, small), []string{"sets is empty"}},
		"set twice":          {preranked([]Set{set[0], set[0]}, small), []string{"(s)", "more than once"}},
		"gene twice in set":  {preranked([]Set{{Name: "s", Genes: []string{"A", "B", "A"}}}, small), []string{"sets[0]", `"s"`, "(A)"}},
		"other identifiers":  {preranked([]Set{{Name: "s", Genes: []string{"1", "2"}}}, small), []string{"no set has 1 to 4 ranked genes", "same kind of identifier"}},
		"weight":             {preranked(set, with(func(s *Settings) { s.Weight = -1 })), []string{"weight is -1"}},
		"sizes":              {preranked(set, with(func(s *Settings) { s.MinSize = 9 })), []string{"9, 4"}},
		"permutations":       {preranked(set, with(func(s *Settings) { s.Permutations = 0 })), []string{"Permutations", "1 or more"}},
		"equal":              {preranked(set, with(func(s *Settings) { s.Equal = "" })), []string{"EqualFirst, EqualZero"}},
		"workers":            {preranked(set, with(func(s *Settings) { s.Workers = -1 })), []string{"Workers is -1"}},
		"curve without gene": {func() error { _, err := RunningSum(r, Set{Name: "s", Genes: []string{"x"}}, 1); return err }, []string{"0 of the 4"}},
		"outside universe":   {over([]string{"A", "Q"}, genes, set, 1, 4), []string{"1 genes outside the universe (Q)"}},
		"universe twice":     {over([]string{"A"}, []string{"A", "A"}, set, 1, 4), []string{"universe", "(A)"}},
		"over: none left":    {over([]string{"A"}, genes, set, 3, 4), []string{"no set has 3 to 4"}},
		"over: sizes":        {over([]string{"A"}, genes, set, 0, 4), []string{"0, 4"}},
		"constant outcome":   {pearson([]string{"A", "B"}, values, []float64{1, 1, 1}), []string{"1 for every patient"}},
		"short row":          {pearson([]string{"A", "B"}, [][]float64{{1, 2, 3}, {4, 5}}, []float64{1, 2, 3}), []string{"values[1]", "(B)", "2 long"}},
		"NaN in rows":        {pearson([]string{"A", "B", "C"}, [][]float64{{1, 2, 3}, {4, math.NaN(), 1}, {math.Inf(1), 0, 0}}, []float64{1, 2, 3}), []string{"(B, C)"}},
		"two patients":       {pearson([]string{"A"}, [][]float64{{1, 2}}, []float64{1, 2}), []string{"three patients"}},
		"one class": {func() error {
			_, err := SignalToNoise([]string{"A"}, [][]float64{{1, 2}}, []bool{true, true})
			return err
		}, []string{"2 true and 0 false"}},
		"constant genes": {func() error {
			_, err := ModeratedT([]string{"A", "B"}, [][]float64{{1, 1, 1}, {2, 2, 2}}, []bool{true, false, false})
			return err
		}, []string{"more than half"}},
	} {
		err := c.f()
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%s: error %v, want *InputError", name, err)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", name, err, part)
			}
		}
	}
	var survival *stats.InputError
	if _, err := CoxZ([]string{"A"}, [][]float64{{1, 2, 3}}, []float64{1, 2, 3}, []bool{false, false, false}); !errors.As(err, &survival) || !strings.Contains(err.Error(), "gene A") {
		t.Errorf("all censored: %v, want *stats.InputError with the gene", err)
	}
}

func TestOverRepresentation(t *testing.T) {
	universe := geneNames(50)
	sets := []Set{
		{Name: "half", Genes: []string{"g0001", "g0002", "g0030", "g0031", "elsewhere"}},
		{Name: "none", Genes: []string{"g0040", "g0041"}},
		{Name: "small", Genes: []string{"g0001", "elsewhere"}},
	}
	got, err := OverRepresentation(universe[:10], universe, sets, 2, 10)
	if err != nil {
		t.Fatal(err)
	}
	half := got.Sets[0]
	if half.Size != 4 || half.Given != 5 || !slices.Equal(half.Genes, []string{"g0001", "g0002"}) || math.Abs(half.Expected-0.8) > 1e-15 {
		t.Errorf("half: %+v", half)
	}
	near(t, "half", half.P, upperTail(2, 4, 10, 50), 0)
	near(t, "half, corrected", half.BH, 2*half.P, 1e-15)
	if none := got.Sets[1]; none.P != 1 || none.BH != 1 || none.Genes != nil {
		t.Errorf("none: %+v", none)
	}
	if len(got.Dropped) != 1 || got.Dropped[0].Size != 1 {
		t.Errorf("dropped: %+v", got.Dropped)
	}
}

func TestMetricEdges(t *testing.T) {
	genes := []string{"constant", "line", "separates"}
	values := [][]float64{{2, 2, 2, 2}, {1, 2, 3, 4}, {9, 8, 1, 0}}
	time, event := []float64{1, 2, 3, 4}, []bool{true, true, false, false}
	for name, f := range map[string]func() ([]float64, error){
		"Pearson":  func() ([]float64, error) { return Pearson(genes, values, time) },
		"Spearman": func() ([]float64, error) { return Spearman(genes, values, time) },
	} {
		r, err := f()
		if err != nil {
			t.Fatal(err)
		}
		kept, scores, undefined := Defined(genes, r)
		if !slices.Equal(undefined, []string{"constant"}) || len(kept) != 2 || math.Abs(scores[0]-1) > 1e-15 {
			t.Errorf("%s: %v", name, r)
		}
	}
	z, err := CoxZ(genes, values, time, event)
	if err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(z[0]) || !math.IsNaN(z[2]) {
		t.Errorf("CoxZ %v, want NaN for the constant and the separating gene", z)
	}
	// Standard deviations of 0 are replaced: by a fifth of the mean, or 0.2.
	s, err := SignalToNoise([]string{"a", "b"}, [][]float64{{2, 2, 5, 5}, {0, 0, 0, 0}}, event)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "SignalToNoise", s[0], -3/(0.4+1), 1e-15)
	near(t, "SignalToNoise of nothing", s[1], 0, 0)
	minus := slices.Clone(event)
	for i := range minus {
		minus[i] = !minus[i]
	}
	m, err := SignalToNoise([]string{"a", "b"}, [][]float64{{2, 2, 5, 5}, {0, 0, 0, 0}}, minus)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "classes exchanged", m[0], -s[0], 1e-15)
}

func ExamplePreranked() {
	genes := []string{"CDK1", "MKI67", "CCNB1", "ACTB", "GAPDH", "SFTPC", "SFTPB", "NAPSA"}
	scores := []float64{0.61, 0.55, 0.48, 0.02, -0.05, -0.33, -0.42, -0.51} // correlation with the risk of death
	ranking, err := Rank(genes, scores, ByGene)
	if err != nil {
		fmt.Println(err)
		return
	}
	settings := Default()
	settings.MinSize = 3
	result, err := Preranked(ranking, []Set{
		{Name: "cell cycle", Genes: []string{"CDK1", "CCNB1", "MKI67", "CDC20"}},
		{Name: "surfactant", Genes: []string{"SFTPB", "SFTPC", "NAPSA"}},
		{Name: "too small", Genes: []string{"ACTB"}},
	}, settings)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range result.Sets {
		fmt.Printf("%s: %d of %d genes ranked, ES %.2f, leading edge %v\n", s.Name, s.Size, s.Given, s.ES, s.LeadingEdge)
	}
	fmt.Println("not tested:", result.Dropped[0].Name, "-", result.Dropped[0].Reason)
	// Output:
	// cell cycle: 3 of 4 genes ranked, ES 1.00, leading edge [CDK1 MKI67 CCNB1]
	// surfactant: 3 of 3 genes ranked, ES -1.00, leading edge [NAPSA SFTPB SFTPC]
	// not tested: too small - fewer than 3 of its genes are ranked
}
