package datasets

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/datasets/volume"
)

// numbered is a cube whose every voxel has a value of its own.
func numbered(size, margin int) *volume.Cube {
	c := &volume.Cube{Edge: size + 2*margin, Margin: margin}
	c.HU = make([]float32, c.Edge*c.Edge*c.Edge)
	for i := range c.HU {
		c.HU[i] = float32(i)
	}
	return c
}

// slowly does to a cube what a variation says, one operation after the other, each
// voxel by its own coordinates.
func slowly(v variation, c *volume.Cube, size int) []float32 {
	margin := (c.Edge - size) / 2
	at := func(x, y, z int) int { return (z*size+y)*size + x }
	each := func(f func(x, y, z int) float32) []float32 {
		out := make([]float32, size*size*size)
		for z := range size {
			for y := range size {
				for x := range size {
					out[at(x, y, z)] = f(x, y, z)
				}
			}
		}
		return out
	}
	now := each(func(x, y, z int) float32 {
		hu := c.HU[((z+margin+v.shift[2])*c.Edge+y+margin+v.shift[1])*c.Edge+x+margin+v.shift[0]]
		return volume.Normalise(hu)
	})
	for range v.turns { // x towards y: what lay at (x,y) now lies at (last-y, x)
		before, turned := now, make([]float32, len(now))
		each(func(x, y, z int) float32 {
			turned[at(size-1-y, x, z)] = before[at(x, y, z)]
			return 0
		})
		now = turned
	}
	before := now
	return each(func(x, y, z int) float32 {
		from := [3]int{x, y, z}
		for a := range 3 {
			if v.flip[a] {
				from[a] = size - 1 - from[a]
			}
		}
		return before[at(from[0], from[1], from[2])]
	})
}

func TestAugmentEqualsTheSlowWay(t *testing.T) {
	for _, size := range []int{4, 5} {
		const margin = 3
		c := numbered(size, margin)
		got := make([]float32, size*size*size)
		for code := range 4 * 8 {
			v := variation{shift: [3]int{-3, 2, 1}, turns: code % 4}
			for a := range 3 {
				v.flip[a] = code>>(2+a)&1 == 1
			}
			v.place(got, c, size)
			if want := slowly(v, c, size); !slices.Equal(got, want) {
				t.Errorf("size %d, %+v: differs from the slow way", size, v)
			}
		}
	}
}

func TestAugmentIsAGroup(t *testing.T) {
	const size = 6
	original := make([]float32, size*size*size)
	variation{}.place(original, numbered(size, 0), size)
	// again applies variations one after the other.
	again := func(vs ...variation) []float32 {
		c := numbered(size, 0)
		out := make([]float32, len(original))
		for _, v := range vs {
			v.place(out, c, size)
			for i, x := range out { // undo the normalisation
				c.HU[i] = float32(int(x*4095 - 1024 + 0.5))
			}
		}
		return out
	}
	quarter := variation{turns: 1}
	flip := func(a int) variation {
		var v variation
		v.flip[a] = true
		return v
	}
	for name, vs := range map[string][]variation{
		"four quarter turns":        {quarter, quarter, quarter, quarter},
		"a turn and its undoing":    {quarter, {turns: 3}},
		"x mirrored twice":          {flip(0), flip(0)},
		"y mirrored twice":          {flip(1), flip(1)},
		"z mirrored twice":          {flip(2), flip(2)},
		"mirror, turn, twice":       {flip(0), quarter, flip(0), quarter},
		"half turn is both mirrors": {{turns: 2}, flip(0), flip(1)},
	} {
		if !slices.Equal(again(vs...), original) {
			t.Errorf("%s: not the cube one started from", name)
		}
	}
	// The 16 different combinations give 16 different cubes: none is a copy of another.
	seen := map[float32]map[float32]bool{}
	n := 0
	for turns := range 4 {
		for mirrored := range 4 {
			out := again(variation{turns: turns, flip: [3]bool{mirrored&1 == 1, false, mirrored&2 == 2}})
			first, second := out[0], out[1]
			if seen[first] == nil {
				seen[first] = map[float32]bool{}
			}
			if !seen[first][second] {
				n++
			}
			seen[first][second] = true
		}
	}
	if n != 16 {
		t.Errorf("%d different cubes of 16 combinations", n)
	}
}

func TestAugmentMovesValuesOnly(t *testing.T) {
	const size, margin = 5, 2
	c := numbered(size, margin)
	out := make([]float32, size*size*size)
	for sample := range 50 {
		v := Augment{Shift: margin, Rotate: true, Flip: true}.draw(9, 1, sample)
		v.place(out, c, size)
		window := variation{shift: v.shift}
		want := make([]float32, len(out))
		window.place(want, c, size)
		got := slices.Clone(out)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("sample %d, %+v: the values are not those of the window", sample, v)
		}
	}
}

func TestAugmentDraws(t *testing.T) {
	a := StudyAugment()
	var shifts [3][21]int
	var turns [4]int
	var flips [3]int
	const n = 4200
	for i := range n {
		v := a.draw(1, i/100, i%100)
		for axis := range 3 {
			shifts[axis][v.shift[axis]+10]++
			if v.flip[axis] {
				flips[axis]++
			}
		}
		turns[v.turns]++
		if v != a.draw(1, i/100, i%100) {
			t.Fatal("the same sample drew two variations")
		}
	}
	// Each count is binomial; five standard deviations never happen by chance.
	within := func(what string, got int, p float64) {
		t.Helper()
		if d := float64(got) - n*p; d*d > 25*n*p*(1-p) {
			t.Errorf("%s: %d of %d, expected about %.0f", what, got, n, n*p)
		}
	}
	for axis := range 3 {
		for _, k := range shifts[axis] {
			within("shift", k, 1.0/21)
		}
		within("flip", flips[axis], 0.5)
	}
	for _, k := range turns {
		within("turns", k, 0.25)
	}
	if a.draw(1, 0, 0) == a.draw(2, 0, 0) && a.draw(1, 0, 1) == a.draw(2, 0, 1) {
		t.Error("another seed drew the same variations")
	}
	if v := (Augment{}).draw(1, 2, 3); v != (variation{}) {
		t.Errorf("no augmentation drew %+v", v)
	}
	still := Augment{Shift: 10}.draw(1, 2, 3)
	if still.shift != a.draw(1, 2, 3).shift {
		t.Error("turning rotations and flips off changed the shifts")
	}
}

func TestAugmentRefusesTooLargeAShift(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a shift beyond the margin must panic")
		}
	}()
	variation{shift: [3]int{0, 0, 2}}.place(make([]float32, 27), numbered(3, 1), 3)
}

func BenchmarkAugment(b *testing.B) {
	c := numbered(50, 10)
	out := make([]float32, 50*50*50)
	r := rand.New(rand.NewPCG(1, 2))
	b.SetBytes(int64(4 * len(out)))
	for b.Loop() {
		StudyAugment().draw(1, 1, r.IntN(1<<20)).place(out, c, 50)
	}
}
