package phantom

import (
	"math"
	"slices"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
)

// aView looks at the scene a little turned, on voxels of three different edges.
func aView() view {
	g := volume.Grid{Size: [3]int{23, 19, 13}, Spacing: [3]float64{0.8, 0.9, 2.5}, Origin: [3]float64{40, -11, -180}, Direction: volume.Identity}
	return newView(g, pose{turn: rotation(vec{1, 2, -1}.unit(), 0.3), shift: vec{47, -2, -165}}, 0.6)
}

func TestViewPlacesVoxels(t *testing.T) {
	g := volume.Grid{Size: [3]int{9, 9, 9}, Spacing: [3]float64{0.8, 0.9, 2.5}, Origin: [3]float64{40, -11, -180}, Direction: volume.Identity}
	at := pose{turn: rotation(vec{1, 2, -1}.unit(), 0.3), shift: vec{47, -2, -165}}
	v := newView(g, at, 0)
	for _, i := range [][3]int{{0, 0, 0}, {8, 0, 3}, {2, 7, 8}} {
		q := v.at(i[0], i[1], i[2])
		want := g.Position([3]float64{float64(i[0]), float64(i[1]), float64(i[2])})
		got := vec{at.turn[0].dot(q), at.turn[1].dot(q), at.turn[2].dot(q)}.add(at.shift)
		if got.sub(vec{want[0], want[1], want[2]}).norm() > 1e-9 {
			t.Errorf("voxel %v is drawn at %v, lies at %v", i, got, want)
		}
	}
}

func TestBoxesMissNothing(t *testing.T) {
	v := aView()
	whole := 0
	for k := range 300 {
		r := stream(1, forScene, k)
		a := v.at(r.IntN(40)-8, r.IntN(30)-5, r.IntN(20)-3)
		b := a.add(direction(r).times(uniform(r, 0.5, 9)))
		tb := tube{a, b, uniform(r, 0.2, 3), uniform(r, 0.2, 3), 0}
		margin := max(tb.fromR, tb.toR) + 1
		low, high := v.box(a, b, margin)
		v.inside([3]int{}, v.grid.Size, func(at int, p vec) {
			x, y, z := at%23, at/23%19, at/23/19
			inBox := x >= low[0] && x < high[0] && y >= low[1] && y < high[1] && z >= low[2] && z < high[2]
			if d, _ := tb.distance(p); d < 1 {
				whole++
				if !inBox {
					t.Fatalf("tube %d: voxel %d,%d,%d at %.2f mm is outside the box %v to %v", k, x, y, z, d, low, high)
				}
			}
		})
	}
	if whole < 1000 {
		t.Errorf("only %d voxels were near a tube: the test shows nothing", whole)
	}
}

func TestCrossingEqualsTheSlowWay(t *testing.T) {
	hits := 0
	for k := range 2000 {
		r := stream(2, forScene, k)
		start := direction(r).times(uniform(r, 0, 60))
		step := direction(r).times(uniform(r, 0.4, 1.5))
		radius := uniform(r, 5, 70)
		const n = 50
		in, out := crossing(start, step, radius, n)
		for x := range n {
			d := start.add(step.times(float64(x))).norm() - radius
			if math.Abs(d) < 1e-9 {
				continue // on the surface to rounding: either is right
			}
			if within := x >= in && x < out; within != (d < 0) {
				t.Fatalf("start %v, step %v, radius %g: voxel %d at %g, range %d to %d", start, step, radius, x, d, in, out)
			}
		}
		if out > in {
			hits++
		}
	}
	if hits < 500 {
		t.Errorf("only %d rows crossed a ball", hits)
	}
}

func TestBodies(t *testing.T) {
	p := phantom(t, nil)
	for i := 0; i < 500; i += 50 {
		tr := p.Subject(i).Traits
		b := newScene(1, i, tr).tumour.body
		// Monte Carlo volume: another way to the same number as inflate's integral.
		r := stream(3, forScene, i)
		edge, in := b.furthest(), 0
		const n = 200000
		for range n {
			if b.distance(vec{uniform(r, -edge, edge), uniform(r, -edge, edge), uniform(r, -edge, edge)}) < 0 {
				in++
			}
		}
		got := math.Cbrt(float64(in) / n * 8 * edge * edge * edge * 6 / math.Pi)
		if math.Abs(got/tr.DiameterMM-1) > 0.01 {
			t.Errorf("subject %d: a body for %.2f mm has the volume of %.2f mm", i, tr.DiameterMM, got)
		}
		for range 3000 {
			if d := direction(r); b.reach(d) > edge || b.reach(d) <= 0 {
				t.Fatalf("subject %d reaches %.2f mm, beyond its bound %.2f", i, b.reach(d), edge)
			}
		}
	}
}

// TestImagesCarryTheSignal fits the hazard's shadow with the plainest of models: ridge
// regression of the label on mean HU in shells around the cube's centre, fitted on
// train, tested on test, other scanners and all. What it finds, a network can find.
func TestImagesCarryTheSignal(t *testing.T) {
	p := phantom(t, nil)
	train, trainDead := labelled(p, datasets.Train)
	test, testDead := labelled(p, datasets.Test)
	train, trainDead = train[:90], trainDead[:90]
	test, testDead = test[:90], testDead[:90]
	all := slices.Concat(train, test)
	features := make([][]float64, len(all))
	each(len(all), func(k int) { features[k] = shells(t, p, all[k].Index) })

	n := len(features[0])
	for f := range n { // standardised by train
		column := make([]float64, len(train))
		for k := range column {
			column[k] = features[k][f]
		}
		mean, sd := moments(column)
		for k := range all {
			features[k][f] = (features[k][f] - mean) / sd
		}
	}
	y := make([]float64, len(train))
	for k, d := range trainDead {
		if d {
			y[k] = 1
		}
	}
	w := ridge(features[:len(train)], y, 20)
	score := make([]float64, len(test))
	for k := range score {
		for f, v := range features[len(train)+k] {
			score[k] += w[f] * v
		}
	}
	got, best := auc(score, testDead), auc(hazards(test), testDead)
	t.Logf("ridge on %d shells: test AUC %.3f; true hazard: %.3f", n, got, best)
	if got < 0.72 || got > best {
		t.Errorf("test AUC %.3f, want 0.72 to %.3f", got, best)
	}
}

// shells are mean and spread of HU by distance from the centre of a 50 mm cube at 2 mm.
func shells(t *testing.T, p *Phantom, i int) []float64 {
	ct, mask := p.Scan(i)
	cube, err := volume.CutCube(ct, mask, volume.CubeSpec{Size: 25, SpacingMM: 2})
	if err != nil {
		t.Errorf("subject %d: %v", i, err)
		return make([]float64, 20)
	}
	const n = 10
	var sum, square, count [n]float64
	for k, v := range cube.HU {
		x, y, z := float64(k%25-12), float64(k/25%25-12), float64(k/625-12)
		if s := int(2 * math.Sqrt(x*x+y*y+z*z) / 2.5); s < n {
			sum[s] += float64(v)
			square[s] += float64(v) * float64(v)
			count[s]++
		}
	}
	var out []float64
	for s := range n {
		mean := sum[s] / count[s]
		out = append(out, mean, math.Sqrt(max(0, square[s]/count[s]-mean*mean)))
	}
	return out
}

func moments(x []float64) (mean, sd float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sd += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, max(math.Sqrt(sd), 1e-9)
}

// ridge solves (X'X + penalty) w = X'(y - mean y) by Gaussian elimination.
func ridge(x [][]float64, y []float64, penalty float64) []float64 {
	n := len(x[0])
	mean, _ := moments(y)
	a := make([][]float64, n)
	for i := range a {
		a[i] = make([]float64, n+1)
		for k, row := range x {
			for j := range n {
				a[i][j] += row[i] * row[j]
			}
			a[i][n] += row[i] * (y[k] - mean)
		}
		a[i][i] += penalty
	}
	for i := range n { // positive definite: no pivoting needed
		for k := range n {
			if k == i {
				continue
			}
			f := a[k][i] / a[i][i]
			for j := i; j <= n; j++ {
				a[k][j] -= f * a[i][j]
			}
		}
	}
	w := make([]float64, n)
	for i := range w {
		w[i] = a[i][n] / a[i][i]
	}
	return w
}
