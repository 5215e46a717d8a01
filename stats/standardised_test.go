package stats

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"hounsfield/stats/golden"
)

func TestStandardisedGolden(t *testing.T) {
	type oneCase struct {
		Name, Kind string
		A, B       []number
		SMD        number
	}
	floats := func(x []number) []float64 {
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = float64(v)
		}
		return out
	}
	bools := func(x []number) []bool {
		out := make([]bool, len(x))
		for i, v := range x {
			out[i] = v == 1
		}
		return out
	}
	counts := func(x []number) []int {
		out := make([]int, len(x))
		for i, v := range x {
			out[i] = int(v)
		}
		return out
	}
	for _, file := range []string{"standardised", "standardised_tableone"} {
		for _, c := range golden.Cases[oneCase](t, file) {
			var got float64
			var err error
			switch c.Kind {
			case "mean":
				got, err = StandardisedMean(floats(c.A), floats(c.B))
			case "proportion":
				got, err = StandardisedProportion(bools(c.A), bools(c.B))
			case "categories":
				got, err = StandardisedCategories(counts(c.A), counts(c.B))
			default:
				t.Fatalf("%s: a case of kind %q", c.Name, c.Kind)
			}
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			near(t, c.Name, got, float64(c.SMD), exact)
		}
	}
}

// slowCategories keeps every category and takes the pseudo-inverse of the whole
// covariance, which is singular because shares sum to one.
func slowCategories(t *testing.T, a, b []int) float64 {
	t.Helper()
	k := len(a)
	share := func(counts []int) []float64 {
		n, out := 0, make([]float64, k)
		for _, c := range counts {
			n += c
		}
		for i, c := range counts {
			out[i] = float64(c) / float64(n)
		}
		return out
	}
	p, q := share(a), share(b)
	s, d := mat.NewDense(k, k, nil), mat.NewVecDense(k, nil)
	for i := range k {
		for j := range k {
			v := -(p[i]*p[j] + q[i]*q[j]) / 2
			if i == j {
				v += (p[i] + q[i]) / 2
			}
			s.Set(i, j, v)
		}
		d.SetVec(i, p[i]-q[i])
	}
	var svd mat.SVD
	if !svd.Factorize(s, mat.SVDThin) {
		t.Fatal("no singular values")
	}
	var u mat.Dense
	svd.UTo(&u)
	sum := 0.0
	for i, v := range svd.Values(nil) {
		if v > 1e-12 {
			x := mat.Dot(u.ColView(i), d)
			sum += x * x / v
		}
	}
	return math.Sqrt(sum)
}

func TestStandardisedCategoriesOracle(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		k := 2 + r.IntN(7)
		a, b := make([]int, k), make([]int, k)
		for range 30 + r.IntN(400) {
			a[r.IntN(k)]++
			b[min(r.IntN(k), r.IntN(k))]++ // leans towards the first
		}
		got, err := StandardisedCategories(a, b)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprintf("seed %d, %v %v", seed, a, b), got, slowCategories(t, a, b), 1e-9)

		// Neither the order of categories nor that of groups matters, nor size by itself.
		x, y := make([]int, k), make([]int, k)
		for i, j := range r.Perm(k) {
			x[i], y[i] = 3*a[j], 3*b[j]
		}
		other, err := StandardisedCategories(y, x)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprintf("seed %d, in another order", seed), other, got, 1e-12)
	}
}

// Two categories are a yes or no.
func TestStandardisedTwoCategories(t *testing.T) {
	count := func(x []bool) []int {
		out := make([]int, 2)
		for _, yes := range x {
			if yes {
				out[1]++
			} else {
				out[0]++
			}
		}
		return out
	}
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		var a, b []bool
		for range 50 {
			a, b = append(a, r.Float64() < 0.4), append(b, r.Float64() < 0.6)
		}
		p, err := StandardisedProportion(a, b)
		if err != nil {
			t.Fatal(err)
		}
		c, err := StandardisedCategories(count(a), count(b))
		if err != nil {
			t.Fatal(err)
		}
		near(t, "two categories", c, math.Abs(p), 1e-12)
	}
}

func TestStandardisedProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 3))
	var a, b, a2, b2 []float64
	for range 60 {
		a, b = append(a, r.NormFloat64()), append(b, 2*r.NormFloat64()+0.7)
		a2, b2 = append(a2, 10*a[len(a)-1]-4), append(b2, 10*b[len(b)-1]-4)
	}
	smd := func(a, b []float64) float64 {
		v, err := StandardisedMean(a, b)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	near(t, "groups swapped", smd(b, a), -smd(a, b), 1e-14)
	near(t, "another unit", smd(a2, b2), smd(a, b), 1e-12)
	if !(smd(a, b) < 0) {
		t.Error("a group with larger values in b must give a negative difference")
	}
}

func TestStandardisedEdges(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name string
		a, b []float64
		want float64
	}{
		{"the same constant", []float64{0.1, 0.1, 0.1}, []float64{0.1, 0.1}, 0},
		{"two constants", []float64{3, 3}, []float64{2, 2, 2}, inf},
		{"two constants, swapped", []float64{2, 2}, []float64{3, 3}, -inf},
		{"a single patient", []float64{3}, []float64{1, 2}, math.NaN()},
		{"two single patients", []float64{3}, []float64{3}, math.NaN()},
	} {
		got, err := StandardisedMean(c.a, c.b)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		near(t, c.name, got, c.want, 0)
	}
	for _, c := range []struct {
		name string
		a, b []bool
		want float64
	}{
		{"all true", []bool{true, true}, []bool{true}, 0},
		{"all false", []bool{false}, []bool{false}, 0},
		{"true against false", []bool{true}, []bool{false, false}, inf},
	} {
		got, err := StandardisedProportion(c.a, c.b)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		near(t, c.name, got, c.want, 0)
	}
	for _, c := range []struct {
		name string
		a, b []int
		want float64
	}{
		{"one category", []int{4}, []int{9}, 0},
		{"one category that anybody has", []int{0, 4}, []int{0, 9}, 0},
		{"one category each", []int{4, 0}, []int{0, 9}, inf},
		{"no common category", []int{4, 2, 0, 0}, []int{0, 0, 5, 6}, inf},
		{"single patients", []int{1, 0}, []int{1, 0}, 0},
	} {
		got, err := StandardisedCategories(c.a, c.b)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		near(t, c.name, got, c.want, 0)
	}
	// The nearer to nothing the common share is, the further apart the groups.
	before := 0.0
	for _, common := range []int{1000, 100, 10, 1} {
		v, err := StandardisedCategories([]int{1000, common, 0}, []int{0, common, 1000})
		if err != nil || !(v > before) {
			t.Errorf("%d of 1000 in common: %v after %v, %v", common, v, before, err)
		}
		before = v
	}
	var bad *InputError
	for name, f := range map[string]func() (float64, error){
		"no patients":        func() (float64, error) { return StandardisedMean(nil, []float64{1}) },
		"NaN":                func() (float64, error) { return StandardisedMean([]float64{1}, []float64{math.NaN()}) },
		"infinite":           func() (float64, error) { return StandardisedMean([]float64{inf}, []float64{1}) },
		"no answers":         func() (float64, error) { return StandardisedProportion([]bool{true}, nil) },
		"no counts":          func() (float64, error) { return StandardisedCategories(nil, nil) },
		"zero counts":        func() (float64, error) { return StandardisedCategories([]int{1, 2}, []int{0, 0}) },
		"a negative count":   func() (float64, error) { return StandardisedCategories([]int{1, 2}, []int{-1, 2}) },
		"unequal categories": func() (float64, error) { return StandardisedCategories([]int{1, 2}, []int{1}) },
	} {
		if _, err := f(); !errors.As(err, &bad) || bad.Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
