package cnn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hounsfield/models/engine"
	"hounsfield/stats/golden"
)

// drawn is draw of testdata/explain.py.
type drawn int64

func (d *drawn) draw(n int, low, high float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		*d = (1103515245**d + 12345) % (1 << 31)
		out[i] = float32(low + (high-low)*float64(*d)/(1<<31))
	}
	return out
}

// explainedModel is the network of testdata/explain.py.
func explainedModel(t testing.TB, d *drawn, outputs int) *Model {
	t.Helper()
	m := &Model{Spec: Spec{
		Input: 9, InputPool: 1,
		Stages: []Stage{{Conv: &Conv{Filters: 3, Kernel: 3}}, {Pool: &Pool{Size: 2}}, {Conv: &Conv{Filters: 4, Kernel: 2}}},
		Dense:  []Dense{{Units: 5}}, LeakySlope: 0.1, NormMomentum: 0.9, NormEpsilon: 1e-3,
	}}
	if outputs != 2 {
		m.Spec.Outputs, m.Intervals = outputs, []float64{200, 500, 900, 1500}
	}
	fillModel(t, m, d)
	return m
}

// fillModel draws all of a model's numbers, the running averages too.
func fillModel(t testing.TB, m *Model, d *drawn) {
	t.Helper()
	n, err := newNetwork(m.Spec, plan{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range n.layers {
		dims := n.weightDims(l)
		m.Weights = append(m.Weights, Array{l.name + "/weights", dims, d.draw(product1(dims), -1, 1)})
		for _, v := range []struct {
			name      string
			low, high float64
		}{{varBias, -1, 1}, {varScale, 0.5, 1.5}, {varOffset, -0.5, 0.5}, {varMean, -1, 1}, {varVariance, 0.5, 2}} {
			m.Weights = append(m.Weights, Array{l.name + "/" + v.name, []int{l.out}, d.draw(l.out, v.low, v.high)})
		}
	}
}

func newExplainer(t testing.TB, e *engine.Engine, m *Model) *Explainer {
	t.Helper()
	x, err := NewExplainer(e, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// Slopes, guided backpropagation, Grad-CAM of both convolutions and integrated gradients, in every form and on every engine that
// is here, against PyTorch.
func TestExplanationsEqualPyTorch(t *testing.T) {
	type expected struct {
		Outputs, Steps                           int
		Baseline, Change                         float64
		LogOdds                                  float64 `json:"log_odds"`
		Slopes, Conv1, Conv2, Guided, Integrated []float64
	}
	cases := golden.Cases[expected](t, "explain")
	check := func(t *testing.T, e *engine.Engine, c expected) {
		const tolerance = 2e-5
		d := drawn(c.Outputs)
		m := explainedModel(t, &d, c.Outputs)
		cube, baseline := d.draw(9*9*9, 0, 1), slices.Repeat([]float32{float32(c.Baseline)}, 9*9*9)
		x, ctx := newExplainer(t, e, m), context.Background()
		other := slices.Repeat([]float32{0.7}, len(cube)) // nothing of it may leak into the second cube's results
		odds, err := x.LogOdds(ctx, [][]float32{other, cube})
		if err != nil {
			t.Fatal(err)
		}
		golden.Near(t, "log-odds", odds[1], c.LogOdds, tolerance)
		scores, err := m.Scores(ctx, e, [][]float32{cube})
		if err != nil {
			t.Fatal(err)
		}
		golden.Near(t, "log-odds of the score", math.Log(scores[0]/(1-scores[0])), odds[1], 1e-6)
		for what, want := range map[string]struct {
			got  func() ([][]float64, error)
			want []float64
		}{
			"slopes": {func() ([][]float64, error) { return x.Slopes(ctx, [][]float32{other, cube}, false) }, c.Slopes},
			"guided": {func() ([][]float64, error) { return x.Slopes(ctx, [][]float32{other, cube}, true) }, c.Guided},
			"conv1":  {func() ([][]float64, error) { return x.GradCAM(ctx, "conv1", [][]float32{other, cube}) }, c.Conv1},
			"conv2":  {func() ([][]float64, error) { return x.GradCAM(ctx, "conv2", [][]float32{other, cube}) }, c.Conv2},
		} {
			got, err := want.got()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			golden.NearAll(t, what, got[1], want.want, tolerance)
		}
		r, err := x.IntegratedGradients(ctx, cube, baseline, c.Steps)
		if err != nil {
			t.Fatal(err)
		}
		golden.NearAll(t, "integrated gradients", r.Attribution, c.Integrated, tolerance)
		golden.Near(t, "change", r.Change, c.Change, tolerance)
		sum := -c.Change
		for _, v := range c.Integrated {
			sum += v
		}
		golden.Near(t, "gap", r.Gap, sum, tolerance)
	}
	for _, lowering := range []string{engine.Columns, engine.Winograd, engine.Native} {
		t.Run("go "+lowering, func(t *testing.T) {
			e, err := engine.OpenWith(engine.Go, engine.Settings{Lowering: lowering})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Close)
			for _, c := range cases {
				check(t, e, c)
			}
		})
	}
	for _, name := range []string{engine.ONNX, engine.XLACPU} {
		t.Run(name, func(t *testing.T) {
			e := openHere(t, name)
			for _, c := range cases {
				check(t, e, c)
			}
		})
	}
}

// Every position of every layer changes with the voxels of its field and with no other.
func TestFieldsByPerturbation(t *testing.T) {
	e := openGo(t)
	studied := Hosny2018() // its shape with fewer channels
	studied.Stages = []Stage{{Conv: &Conv{Filters: 2, Kernel: 5}}, {Conv: &Conv{Filters: 2, Kernel: 3}}, {Pool: &Pool{Size: 3}},
		{Conv: &Conv{Filters: 2, Kernel: 3}}, {Conv: &Conv{Filters: 2, Kernel: 3}}, {Pool: &Pool{Size: 3}}}
	studied.Input, studied.Dense = 32, []Dense{{Units: 2}}
	for name, spec := range map[string]Spec{"averaged input, even kernel": everyLayer(), "study": studied} {
		t.Run(name, func(t *testing.T) {
			d := drawn(5)
			m := &Model{Spec: spec}
			fillModel(t, m, &d)
			x := newExplainer(t, e, m)
			fields, err := spec.Convolutions()
			if err != nil {
				t.Fatal(err)
			}
			size := spec.Input * spec.Input * spec.Input
			rng := rand.New(rand.NewPCG(1, 2))
			cubes, voxels := [][]float32{d.draw(size, 0, 1)}, [][3]int{}
			for range 12 {
				at := [3]int{rng.IntN(spec.Input), rng.IntN(spec.Input), rng.IntN(spec.Input)}
				for _, by := range []float32{30, -30} { // one of them moves the maximum of a pool
					c := slices.Clone(cubes[0])
					c[(at[0]*spec.Input+at[1])*spec.Input+at[2]] += by
					cubes, voxels = append(cubes, c), append(voxels, at)
				}
			}
			for _, f := range fields {
				var values [][]float32
				if err := x.run(context.Background(), view{layer: f.Layer}, cubes, func(_ int, rows [][]float32) { values = append(values, rows[0]) }); err != nil {
					t.Fatal(err)
				}
				n := f.Edge * f.Edge * f.Edge
				if len(values[0]) != f.Channels*n {
					t.Fatalf("%s: %d values, not %d", f.Layer, len(values[0]), f.Channels*n)
				}
				for k := 0; k < len(voxels); k += 2 {
					for p := range n {
						changed := false
						for c := range f.Channels {
							for _, v := range []int{k + 1, k + 2} {
								changed = changed || math.Abs(float64(values[v][c*n+p]-values[0][c*n+p])) > 1e-4
							}
						}
						inside := true
						for a, i := range [3]int{p / (f.Edge * f.Edge), p / f.Edge % f.Edge, p % f.Edge} {
							inside = inside && math.Abs(float64(voxels[k][a])-f.Start-float64(i)*f.Step) <= float64(f.Width-1)/2
						}
						if changed != inside {
							t.Fatalf("%s, position %d: voxel %v changes it: %v, lies in its field: %v", f.Layer, p, voxels[k], changed, inside)
						}
					}
				}
			}
		})
	}
	fields, err := Hosny2018().Convolutions()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(fields[3]), "{conv4 512 10 10 3 21}"; got != want {
		t.Errorf("the study's last convolution: %s, want %s", got, want)
	}
}

// The slopes of a network with an averaged input and every kind of layer, against finite differences of the log-odds in
// float32.
func TestSlopesEqualFiniteDifferences(t *testing.T) {
	m := &Model{Spec: everyLayer()}
	d := drawn(9)
	fillModel(t, m, &d)
	x, ctx := newExplainer(t, openGo(t), m), context.Background()
	cube := d.draw(27*27*27, 0, 1)
	slopes, err := x.Slopes(ctx, [][]float32{cube}, false)
	if err != nil {
		t.Fatal(err)
	}
	// One block of voxels after the other moves: a single voxel changes the log-odds by less than float32 tells apart.
	const step, block = 1e-3, 9
	var want []float64
	var moved [][]float32
	for p := range 27 {
		up, down, sum := slices.Clone(cube), slices.Clone(cube), 0.0
		Boxes{Size: block}.each(27, [3]int{p / 9 * block, p / 3 % 3 * block, p % 3 * block}, func(i int) {
			up[i], down[i] = up[i]+step, down[i]-step
			sum += slopes[0][i] * float64(up[i]-down[i])
		})
		want, moved = append(want, sum), append(moved, up, down)
	}
	odds, err := x.LogOdds(ctx, moved)
	if err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(v))
	}
	for p, v := range want {
		if got := odds[2*p] - odds[2*p+1]; math.Abs(got-v) > 0.02*largest {
			t.Errorf("block %d: the log-odds change by %g, the slopes say %g", p, got, v)
		}
	}
	for i, v := range slopes[0] {
		z, y, x := i/(27*27), i/27%27, i%27
		if max(z, y, x) == 26 && v != 0 {
			t.Fatalf("voxel %d, %d, %d lies in no box and has the slope %g", z, y, x, v)
		}
		if first := slopes[0][(z/2*2*27+y/2*2)*27+x/2*2]; max(z, y, x) < 26 && v != first {
			t.Fatalf("voxel %d, %d, %d has the slope %g and the first of its box %g", z, y, x, v, first)
		}
	}
}

// The attributions add up to the change of the log-odds, within 5% at 256 steps and the better the more steps there are: close
// to an even baseline, where all boxes of a pool tie, random weights make a kink at every turn.
func TestIntegratedGradientsAreComplete(t *testing.T) {
	d := drawn(4)
	m := &Model{Spec: everyLayer()}
	fillModel(t, m, &d)
	x, ctx := newExplainer(t, openGo(t), m), context.Background()
	baseline := make([]float32, 27*27*27)
	cubes := [][]float32{d.draw(len(baseline), 0, 1), d.draw(len(baseline), 0, 1), d.draw(len(baseline), 0, 1)}
	gaps := map[int]float64{}
	for _, steps := range []int{8, 256} {
		for _, cube := range cubes {
			r, err := x.IntegratedGradients(ctx, cube, baseline, steps)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, v := range r.Attribution {
				sum += v
			}
			if math.Abs(sum-r.Change-r.Gap) > 1e-9 {
				t.Errorf("the attributions add up to %g with a gap of %g, to %g without", sum, r.Gap, r.Change)
			}
			gaps[steps] = max(gaps[steps], math.Abs(r.Gap/r.Change))
		}
	}
	if gaps[256] > 0.05 || gaps[8] < 5*gaps[256] {
		t.Errorf("largest gaps, as a share of the change, by steps: %v", gaps)
	}
	var bad *DataError
	if _, err := x.IntegratedGradients(ctx, baseline, baseline, 0); !errors.As(err, &bad) {
		t.Errorf("no steps: %v", err)
	}
}

// A score that adds up voxels loses, in a box, what the box's voxels are worth.
func TestOcclusionOfASum(t *testing.T) {
	const edge = 11
	d := drawn(8)
	cube, worth := d.draw(edge*edge*edge, 0, 1), d.draw(edge*edge*edge, -1, 1)
	calls := 0
	score := func(_ context.Context, cubes [][]float32) ([]float64, error) {
		calls += len(cubes)
		out := make([]float64, len(cubes))
		for i, c := range cubes {
			for k, v := range c {
				out[i] += float64(v) * float64(worth[k])
			}
		}
		return out, nil
	}
	before := slices.Clone(cube)
	boxes := Boxes{Size: 4, Stride: 3, Fill: 0.25}
	got, err := Occlude(context.Background(), score, cube, edge, boxes)
	if err != nil {
		t.Fatal(err)
	}
	if starts := boxes.starts(edge); !slices.Equal(starts, []int{0, 3, 6, 7}) || calls != 1+4*4*4 {
		t.Errorf("boxes begin at %v, %d scores", starts, calls)
	}
	starts := []int{0, 3, 6, 7}
	covers := func(s, i int) bool { return i >= s && i < s+4 }
	for z := range edge {
		for y := range edge {
			for x := range edge {
				sum, n := 0.0, 0.0
				for p := range 64 {
					c := [3]int{starts[p/16], starts[p/4%4], starts[p%4]}
					if !covers(c[0], z) || !covers(c[1], y) || !covers(c[2], x) {
						continue
					}
					n++
					for k, v := range cube {
						if covers(c[0], k/(edge*edge)) && covers(c[1], k/edge%edge) && covers(c[2], k%edge) {
							sum += (float64(v) - 0.25) * float64(worth[k])
						}
					}
				}
				golden.Near(t, fmt.Sprint(z, y, x), got[(z*edge+y)*edge+x], sum/n, 1e-9)
			}
		}
	}
	if !slices.Equal(cube, before) {
		t.Error("the cube was changed")
	}
	var bad *DataError
	for _, b := range []Boxes{{Size: 12, Stride: 1}, {Size: 0, Stride: 1}, {Size: 1}} {
		if _, err := Occlude(context.Background(), score, cube, edge, b); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

// Randomised layers are those of an untrained network, the others stay; Use then explains the new model.
func TestRandomisedLayers(t *testing.T) {
	d := drawn(6)
	m := explainedModel(t, &d, 2)
	layers, err := m.Layers()
	if err != nil || !slices.Equal(layers, []string{"conv1", "conv2", "dense1", "logits"}) {
		t.Fatalf("layers %v, %v", layers, err)
	}
	half, err := m.Randomised(77, "logits", "dense1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Randomised(77, "logits", "dense1", "conv1", "conv2")
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range m.Weights {
		changed := strings.HasPrefix(a.Name, "logits/") || strings.HasPrefix(a.Name, "dense1/")
		if half.Weights[i].Name != a.Name || slices.Equal(half.Weights[i].Values, a.Values) == changed {
			t.Errorf("%s is new: %v", a.Name, !changed)
		}
		if changed && !slices.Equal(half.Weights[i].Values, again.Weights[i].Values) {
			t.Errorf("%s differs between two calls with one seed", a.Name)
		}
	}
	x, ctx := newExplainer(t, openGo(t), m), context.Background()
	cube := [][]float32{d.draw(9*9*9, 0, 1)}
	slopes := func(x *Explainer) []float64 {
		s, err := x.Slopes(ctx, cube, false)
		if err != nil {
			t.Fatal(err)
		}
		return s[0]
	}
	first := slopes(x)
	if err := x.Use(half); err != nil {
		t.Fatal(err)
	}
	if got := slopes(x); !slices.Equal(got, slopes(newExplainer(t, openGo(t), half))) || slices.Equal(got, first) {
		t.Error("the slopes are not those of the new model")
	}
	var bad *DataError
	if err := x.Use(&Model{Spec: tiny()}); !errors.As(err, &bad) {
		t.Errorf("another network: %v", err)
	}
	if _, err := x.GradCAM(ctx, "pool1", cube); !errors.As(err, &bad) {
		t.Errorf("a pool: %v", err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := x.Slopes(stopped, cube, false); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
