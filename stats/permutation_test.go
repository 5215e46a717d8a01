package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type permutationCase struct {
	Name     string
	A, B     []float64
	Positive []bool
	Observed float64
	All      []float64 // by the bits of the patients exchanged
	Greater  float64
	Less     float64
}

func TestPermutationAUCGolden(t *testing.T) {
	for _, c := range golden.Cases[permutationCase](t, "permutation") {
		x := newExchange(c.A, c.B, c.Positive)
		for code, want := range c.All {
			near(t, c.Name, x.difference(x.scratch(), []uint64{uint64(code)}), want, 1e-12)
		}
		for side, exactP := range map[Alternative]float64{Greater: c.Greater, Less: c.Less, TwoSided: math.Min(1, 2*math.Min(c.Greater, c.Less))} {
			r, err := PermutationAUC(c.A, c.B, c.Positive, side, 20000, 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Name, r.Observed, c.Observed, 1e-12)
			// Four standard errors of a drawn share, twice for a doubled tail.
			tail := math.Min(c.Greater, c.Less)
			if side != TwoSided {
				tail = exactP
			}
			slack := 4*math.Sqrt(tail*(1-tail)/20000) + 1.0/20000
			if side == TwoSided {
				slack *= 2
			}
			if math.Abs(r.P-exactP) > slack {
				t.Errorf("%s, %s: p %v, exact %v", c.Name, side, r.P, exactP)
			}
		}
	}
}

func TestPermutationWorkersAndSeeds(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 1))
	n := 206
	a, b, positive := make([]float64, n), make([]float64, n), make([]bool, n)
	for i := range a {
		positive[i] = random.Float64() < 0.7
		a[i], b[i] = random.NormFloat64(), 1000*random.NormFloat64()
		if positive[i] {
			a[i] += 0.4
		}
	}
	one, err := PermutationAUC(a, b, positive, Greater, 1000, 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{0, 2, 3, 64} {
		again, err := PermutationAUC(a, b, positive, Greater, 1000, 7, workers)
		if err != nil || again != one {
			t.Errorf("%d workers: %+v, one worker: %+v, %v", workers, again, one, err)
		}
	}
	other, err := PermutationAUC(a, b, positive, TwoSided, 1000, 8, 0)
	if err != nil || other.Above == one.Above && other.Below == one.Below {
		t.Errorf("seed 8: %+v, seed 7: %+v, %v", other, one, err)
	}
	// Monotone maps of either score change nothing; exchanging the scores turns the sides.
	mapped := make([]float64, n)
	for i := range mapped {
		mapped[i] = math.Exp(b[i] / 500)
	}
	same, err := PermutationAUC(a, mapped, positive, Greater, 1000, 7, 0)
	if err != nil || same != one {
		t.Errorf("after a monotone map: %+v, want %+v, %v", same, one, err)
	}
	turned, err := PermutationAUC(b, a, positive, Less, 1000, 7, 0)
	if err != nil || turned.P != one.P || turned.Observed != -one.Observed {
		t.Errorf("turned round: %+v, want p %v, %v", turned, one.P, err)
	}
	paired, err := DeLongPaired(a, b, positive, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "difference", one.Observed, paired.Difference, 1e-12)
	if z := paired.P / 2; one.P > 4*z+0.02 {
		t.Errorf("permutation p %v, DeLong's one-sided %v", one.P, z)
	}
	identical, err := PermutationAUC(a, a, positive, Greater, 99, 7, 0)
	if err != nil || identical.P != 1 || identical.Observed != 0 || identical.Above != 99 || identical.Below != 99 {
		t.Errorf("a against itself: %+v, %v", identical, err)
	}
}

// A difference of means under all orders of eight values, against the generic test.
func TestPermutationTestAgainstAllOrders(t *testing.T) {
	x := []float64{2.1, 3.4, 1.0, 4.2, 0.3, 1.1, 2.0, -0.5}
	difference := func(v []float64) float64 { return (v[0]+v[1]+v[2]+v[3])/4 - (v[4]+v[5]+v[6]+v[7])/4 }
	observed := difference(x)
	all, above := 0, 0
	var visit func(v []float64, k int)
	visit = func(v []float64, k int) {
		if k == len(v) {
			all++
			if difference(v) >= observed-1e-12 {
				above++
			}
			return
		}
		for i := k; i < len(v); i++ {
			v[k], v[i] = v[i], v[k]
			visit(v, k+1)
			v[k], v[i] = v[i], v[k]
		}
	}
	visit(slices.Clone(x), 0)
	want := float64(above) / float64(all)
	draw := func() func(*rand.Rand) float64 {
		v := make([]float64, len(x))
		return func(random *rand.Rand) float64 {
			copy(v, x)
			random.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
			return difference(v)
		}
	}
	const m = 40000
	r, err := PermutationTest(observed, Greater, m, 3, 0, draw)
	if err != nil {
		t.Fatal(err)
	}
	if all != 40320 || math.Abs(r.P-want) > 4*math.Sqrt(want*(1-want)/m) || math.Abs(r.SE-math.Sqrt(r.P*(1-r.P)/(m+1))) > 1e-15 {
		t.Errorf("%+v, %v of all %d orders", r, want, all)
	}
	again, err := PermutationTest(observed, Greater, m, 3, 64, draw)
	if err != nil || again != r {
		t.Errorf("64 workers: %+v, want %+v, %v", again, r, err)
	}
	// Never 0, and the tie with rounding noise counts.
	never, err := PermutationTest(5, Greater, 999, 1, 0, func() func(*rand.Rand) float64 { return func(*rand.Rand) float64 { return 0 } })
	if err != nil || never.P != 1.0/1000 {
		t.Errorf("%+v, %v", never, err)
	}
	twice, err := PermutationTest(5, TwoSided, 999, 1, 0, func() func(*rand.Rand) float64 { return func(*rand.Rand) float64 { return 0 } })
	if err != nil || twice.P != 2.0/1000 {
		t.Errorf("%+v, %v", twice, err)
	}
	noise, err := PermutationTest(0.3, Greater, 9, 1, 0, func() func(*rand.Rand) float64 {
		return func(*rand.Rand) float64 { return math.Nextafter(0.3, 0) }
	})
	if err != nil || noise.P != 1 || noise.Below != 9 {
		t.Errorf("%+v, %v", noise, err)
	}
	_, err = PermutationTest(1, Less, 500, 1, 4, func() func(*rand.Rand) float64 {
		return func(random *rand.Rand) float64 {
			if random.Float64() < 0.1 {
				return math.NaN()
			}
			return 0
		}
	})
	first := -1
	for b := 0; first < 0; b++ {
		if rand.New(rand.NewPCG(1, uint64(b))).Float64() < 0.1 {
			first = b
		}
	}
	var input *InputError
	if !errors.As(err, &input) || input.Argument != "draw" || input.Index != first {
		t.Errorf("NaN in permutation %d: %v", first, err)
	}
}
