package analysis

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/volume"
	"hounsfield/experiments/report"
	"hounsfield/stats"
)

func perturbedBy(t *testing.T, in *Input) *perturbations {
	t.Helper()
	r := &interReader{imaged: opened(t, in, interReaderName, in.Settings.InterReader.Role), set: in.Settings.InterReader}
	if err := r.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := r.perturb(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func withPerturb(t *testing.T, n int, change func(*Perturb)) *Input {
	t.Helper()
	var scans drawnScans
	for i := range n {
		scans = append(scans, patientScan(i))
	}
	in := drawnInput(t, scans)
	in.Settings.InterReader.Perturb = Perturb{Draws: 6, JitterMM: []float64{1, 3}, DilateMM: []float64{2}, ErodeMM: []float64{2}, ContourMM: []float64{1}, WaveMM: 8, Seed: 5}
	if change != nil {
		change(&in.Settings.InterReader.Perturb)
	}
	return in
}

// On a slope of 0.001 a voxel along x the score tells where the centre went: it is cut to
// whole voxels, so that a contour moved by d mm has moved floor or ceil of d of them.
func TestPerturbOnASlope(t *testing.T) {
	p := perturbedBy(t, withPerturb(t, 4, nil))
	if len(p.chosen) != 4 {
		t.Fatalf("%d patients", len(p.chosen))
	}
	moved := 0
	for _, k := range p.chosen {
		one := p.all[k]
		if one.score != p.Scores[k] {
			t.Errorf("the contour as drawn has the score %v, the run's is %v", one.score, p.Scores[k])
		}
		if len(one.draws) != 6+6+1+1+6 {
			t.Fatalf("%d draws", len(one.draws))
		}
		for _, r := range one.draws {
			c := p.changes[r.change]
			steps := (r.score - one.score) * 1000
			switch c.kind {
			case jitter:
				if r.shift != c.mm {
					t.Errorf("%s: the centre went %v mm", c.name(), r.shift)
				}
				if math.Abs(steps-math.Round(steps)) > 1e-6 || math.Abs(steps) > c.mm+1 {
					t.Errorf("%s: the score went %v voxels", c.name(), steps)
				}
				if steps != 0 {
					moved++
				}
			case dilate, erode: // a ball keeps its centre
				if steps != 0 || !r.sameCube || r.shift > 1e-9 {
					t.Errorf("%s of a ball: the score went %v voxels, the centre %v mm", c.name(), steps, r.shift)
				}
			}
			if !(r.dice > 0 && r.dice < 1) {
				t.Errorf("%s: Dice %v", c.name(), r.dice)
			}
		}
	}
	if moved == 0 {
		t.Error("no contour that was moved has another score")
	}
	near(t, p.measures, withinSD, "dilate 2 mm", 4, 0)
	near(t, p.measures, sameCubeShare, "erode 2 mm", 4, 1)
	near(t, p.measures, meanDifference, "erode 2 mm", 4, 0)
	near(t, p.measures, ICCA1, "erode 2 mm", 4, 1)
	near(t, p.measures, sideShare, "dilate 2 mm", 4, 0)
	if m, _ := measured(p.measures, sideShare, "dilate 2 mm"); !(m.High.V > 0.3) {
		t.Errorf("none of 4 patients on another side has the upper limit %v", m.High.V)
	}
	a, _ := measured(p.measures, withinSD, "jitter 1 mm")
	b, _ := measured(p.measures, withinSD, "jitter 3 mm")
	if !(a.Value > 0 && b.Value > a.Value) {
		t.Errorf("1 mm spreads scores by %v, 3 mm by %v", a.Value, b.Value)
	}
	for _, m := range p.named() {
		if repeatWords[m.Name] == "" || m.Group == "" {
			t.Errorf("%+v has no words for the report", m)
		}
	}
}

// Dice by hand: a ball and what Dilate makes of it.
func TestPerturbDice(t *testing.T) {
	p := perturbedBy(t, withPerturb(t, 1, nil))
	m := ball(slope(0, 0).Grid, 15, 14, 13, 4)
	for i, mm := range map[int]float64{2: 2, 3: -2} {
		a, b := float64(m.Count()), float64(m.Dilate(mm).Count())
		if got, want := p.all[0].of(i)[0].dice, 2*min(a, b)/(a+b); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v mm: Dice %v, want %v", mm, got, want)
		}
	}
}

// A box moved along its axes keeps a part that can be said; half voxels count as halves.
func TestOverlapMoved(t *testing.T) {
	g := volume.Grid{Size: [3]int{14, 12, 10}, Spacing: [3]float64{0.5, 1, 2}, Direction: [9]float64{0, 1, 0, 1, 0, 0, 0, 0, -1}}
	m := volume.NewMask(g)
	for z := 3; z < 6; z++ { // 4 x 5 x 3 voxels: 2 mm along y, 5 mm along x, 6 mm along -z of the patient
		for y := 4; y < 9; y++ {
			for x := 5; x < 9; x++ {
				m.In[g.Offset(x, y, z)] = 1
			}
		}
	}
	o, ok := newOutline(m, 3)
	if !ok {
		t.Fatal("empty")
	}
	for _, c := range []struct {
		by   [3]float64
		want float64
	}{
		{[3]float64{}, 1},
		{[3]float64{2, 0, 0}, 3.0 / 5},
		{[3]float64{-2.25, 0, 0}, 2.75 / 5},
		{[3]float64{0, 0.75, 0}, 1.25 / 2},
		{[3]float64{0, 0, 1.5}, 4.5 / 6},
		{[3]float64{1.5, -0.3, 2.5}, 3.5 / 5 * 1.7 / 2 * 3.5 / 6},
		{[3]float64{5, 0, 0}, 0},
	} {
		if got := o.overlapMoved(c.by); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("moved by %v mm: %v, want %v", c.by, got, c.want)
		}
	}
}

// Draws depend on the seed, the patient, the kind, the level and the draw, and on nothing
// else: not on workers, other patients, other kinds or the number of draws.
func TestPerturbDraws(t *testing.T) {
	rows := func(p *perturbations, k int, name string) []redrawn {
		i := slices.IndexFunc(p.changes, func(c change) bool { return c.name() == name })
		out := p.all[k].of(i)
		for j := range out {
			out[j].change, out[j].cube = 0, 0 // places, which other kinds move
		}
		return out
	}
	was := perturbedBy(t, withPerturb(t, 5, nil))
	for name, in := range map[string]*Input{
		"one worker":  func() *Input { in := withPerturb(t, 5, nil); in.Jobs = 1; return in }(),
		"fewer":       withPerturb(t, 3, nil),
		"other kinds": withPerturb(t, 5, func(s *Perturb) { s.JitterMM, s.ErodeMM = []float64{3}, nil }),
	} {
		is := perturbedBy(t, in)
		for _, kind := range []string{"jitter 3 mm", "contour 1 mm"} {
			if !reflect.DeepEqual(rows(is, 2, kind), rows(was, 2, kind)) {
				t.Errorf("%s: other draws of %s", name, kind)
			}
		}
	}
	more := perturbedBy(t, withPerturb(t, 5, func(s *Perturb) { s.Draws = 9 }))
	if !reflect.DeepEqual(rows(more, 2, "jitter 3 mm")[:6], rows(was, 2, "jitter 3 mm")) {
		t.Error("more draws change the first ones")
	}
	other := perturbedBy(t, withPerturb(t, 5, func(s *Perturb) { s.Seed = 6 }))
	if reflect.DeepEqual(rows(other, 2, "jitter 3 mm"), rows(was, 2, "jitter 3 mm")) {
		t.Error("another seed gives the same draws")
	}
	if reflect.DeepEqual(rows(was, 1, "contour 1 mm"), rows(was, 2, "contour 1 mm")) {
		t.Error("two patients have the same draws")
	}
	some := perturbedBy(t, withPerturb(t, 5, func(s *Perturb) { s.Patients = 2 }))
	if len(some.chosen) != 2 || !slices.IsSorted(some.chosen) {
		t.Fatalf("patients %v", some.chosen)
	}
	if k := some.chosen[0]; !reflect.DeepEqual(some.all[k], was.all[k]) {
		t.Error("a patient picked among others has other draws")
	}
}

// A single patient, as LUNG1-002: spread and percentile; and a contour that vanishes.
func TestPerturbOnePatient(t *testing.T) {
	in := withPerturb(t, 1, func(s *Perturb) { s.ErodeMM = []float64{2, 6} })
	in.Scores = slices.Clone(in.Scores)
	in.Scores[3] = in.Scores[0] - 0.001 // the only one of the tune role that lies below
	r := &interReader{imaged: opened(t, in, interReaderName, "test"), set: in.Settings.InterReader}
	found, err := r.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := perturbedBy(t, in)
	tune := p.tuneScores()
	near(t, p.measures, tunePercentile, groupDrawn, 1, percentile(tune, in.Scores[0]))
	if got := percentile([]float64{1, 2, 3, 3, 5}, 3); got != 80 {
		t.Errorf("percentile %v, want 80", got)
	}
	sd, ok := measured(p.measures, withinSD, "jitter 3 mm")
	if !ok || sd.N != 1 || !(sd.Low.V < sd.Value && sd.Value < sd.High.V) {
		t.Errorf("spread %+v", sd)
	}
	if side, _ := measured(p.measures, sideShare, "jitter 3 mm"); side.Value != 0 || !(side.High.V > 0.2 && side.High.V < 0.6) {
		t.Errorf("none of 6 draws: %+v", side)
	}
	if _, ok := measured(p.measures, ICC1, "jitter 3 mm"); ok {
		t.Error("one patient has an ICC")
	}
	if _, ok := measured(p.measures, withinSD, "erode 6 mm"); ok {
		t.Error("a contour of which nothing is left has a spread")
	}
	if len(found.Exclusions) != 1 || !strings.Contains(found.Exclusions[0].Reason, "narrowed by 6 mm") {
		t.Errorf("exclusions %+v", found.Exclusions)
	}
	if len(found.Tables) != 2 || found.Tables[1].Name != "inter_reader_perturbed" || found.Tables[1].Rows() != 6+6+1+2+6 || len(found.Figures) != 1 {
		t.Errorf("%d tables, %d figures", len(found.Tables), len(found.Figures))
	}
	scores := found.Tables[1]
	i := slices.Index(scores.Float64s("level"), 6)
	if scores.Strings("kind")[i] != erode || scores.Valid("score")[i] || scores.Valid("risk_group")[i] || scores.Valid("centre_shift")[i] {
		t.Errorf("the row of a contour that is gone has a score")
	}
	if said := text(found.Section.Blocks); !strings.Contains(said, "p00") || strings.Contains(said, "beyond all of the tune role") {
		t.Errorf("the patient is not listed, or not as it is:\n%s", said)
	}
	if len(found.Lines) == 0 || !strings.Contains(found.Lines[0], "patient p00 scores 0.0145") || !strings.Contains(found.Lines[0], "percentile 25 of") {
		t.Errorf("lines %q", found.Lines)
	}
	in.Scores[2], in.Scores[3], in.Scores[4] = 0.06, 0.07, 0.08
	in.Scores[1] = 0.05
	if p = perturbedBy(t, in); !strings.Contains(text([]report.Block{*p.patientTable()}), "beyond all of the tune role") {
		t.Error("a score below all of the tune role's is not told")
	}
}

func TestPerturbNothingReadable(t *testing.T) {
	in := withPerturb(t, 2, nil)
	scans := in.Images.(drawnScans)
	for i := range scans {
		scans[i].err = errors.New("scan.dcm is gone")
	}
	r := &interReader{imaged: opened(t, in, interReaderName, "test"), set: in.Settings.InterReader}
	var unfit *UnfitError
	if _, err := r.run(t.Context()); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "scan.dcm is gone") {
		t.Errorf("got %v", err)
	}
}

// The field of a wave has the spread and the reach that it is asked for.
func TestWave(t *testing.T) {
	const sd, length, n = 1.5, 8.0, 4000
	r := rand.New(rand.NewPCG(4, 2))
	var here, there, far []float64
	for range n {
		w := newWave(sd, length, r)
		w.most = math.Inf(1)
		f := w.on(volume.Grid{Size: [3]int{40, 1, 1}, Origin: [3]float64{-7, 30, 2}, Spacing: [3]float64{2, 1, 1}, Direction: [9]float64{0, 1, 0, 1, 0, 0, 0, 0, 1}})
		f.row(0, 0)
		here, there, far = append(here, f.at(0)), append(there, f.at(4)), append(far, f.at(20))
	}
	product := func(a, b []float64) float64 {
		sum := 0.0
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum / float64(len(a)) / (sd * sd)
	}
	// At 8 mm, one length on, exp(-1/2); standard errors are 0.02.
	for _, c := range []struct{ got, want float64 }{{product(here, here), 1}, {product(here, there), math.Exp(-0.5)}, {product(here, far), 0}, {mean(here) / sd, 0}} {
		if math.Abs(c.got-c.want) > 0.07 {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}

// The quick way through a grid gives the sum of cosines itself.
func TestWaveOnAGrid(t *testing.T) {
	g := volume.Grid{Size: [3]int{9, 7, 5}, Origin: [3]float64{-120, 44, 310}, Spacing: [3]float64{0.98, 0.98, 3}, Direction: [9]float64{0, -1, 0, 1, 0, 0, 0, 0, 1}}
	w := newWave(2, 10, rand.New(rand.NewPCG(1, 1)))
	f := w.on(g)
	cut := 0
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			f.row(y, z)
			for x := range g.Size[0] {
				p, sum := g.Position([3]float64{float64(x), float64(y), float64(z)}), 0.0
				for i, k := range w.k {
					sum += math.Cos(k[0]*p[0] + k[1]*p[1] + k[2]*p[2] + w.phase[i])
				}
				want := 2 * math.Sqrt(2.0/waves) * sum
				if math.Abs(want) > 6 {
					want, cut = math.Copysign(6, want), cut+1
				}
				if got := f.at(x); math.Abs(got-want) > 1e-9 {
					t.Fatalf("voxel %d %d %d: %v, want %v", x, y, z, got, want)
				}
			}
		}
	}
	w.most = 0.1
	if got := w.on(g); func() float64 { got.row(3, 2); return math.Abs(got.at(4)) }() > 0.1 {
		t.Error("a displacement goes beyond the most")
	}
}

// A ball that is waved: its surface is displaced by SD mm, as far as voxels can show, and
// the change stays where it may be.
func TestWavedBall(t *testing.T) {
	g := volume.Grid{Size: [3]int{60, 60, 25}, Spacing: [3]float64{1, 1, 2.5}, Direction: volume.Identity}
	m := ball(g, 30, 30, 12, 15)
	const sd = 1.5
	o, ok := newOutline(m, waveMost*sd)
	if !ok {
		t.Fatal("empty")
	}
	surface := volume.SurfaceDistance(m)
	var radii []float64
	for draw := range 30 {
		w := newWave(sd, 10, rand.New(rand.NewPCG(7, uint64(draw))))
		waved := o.waved(w)
		for i, v := range waved.In {
			if signed := float64(surface[i]); math.Abs(signed) > waveMost*sd && (v != 0) != (signed < 0) {
				t.Fatal("a voxel beyond three standard deviations has changed")
			}
		}
		// The surface along +x from the centre, where voxels are 1 mm.
		at := g.Offset(30, 30, 12)
		n := 0
		for waved.In[at+n] != 0 {
			n++
		}
		radii = append(radii, float64(n))
	}
	sum := 0.0
	for _, r := range radii {
		sum += (r - mean(radii)) * (r - mean(radii))
	}
	if got := math.Sqrt(sum / float64(len(radii)-1)); !(got > 1 && got < 2.1) || math.Abs(mean(radii)-15.5) > 1.2 {
		t.Errorf("radius %v with SD %v, want about 15.5 with SD %v", mean(radii), got, sd)
	}
	// A wave of next to nothing is the ball itself.
	if d := dice(m, o.waved(newWave(0.01, 10, rand.New(rand.NewPCG(1, 1))))); d != 1 {
		t.Errorf("Dice %v", d)
	}
	_, first := newOutline(volume.NewMask(g), 1)
	if first {
		t.Error("an empty contour has an outline")
	}
}

func TestPooledSD(t *testing.T) {
	ratings := [][]float64{{1, 2, 4}, {3, 3, 5}, {2, 8, 1}, {0, 0.5, 0.25}}
	want, err := stats.MeasurementError(stats.AgreementError, ratings, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	got := pooledSD(ratings, 0.95)
	for _, c := range [][2]float64{{got.Estimate, want.SEM.Estimate}, {got.Low, want.SEM.Low}, {got.High, want.SEM.High}} {
		if math.Abs(c[0]-c[1]) > 1e-12 {
			t.Errorf("%v, want %v", c[0], c[1])
		}
	}
	if one := pooledSD(ratings[:1], 0.95); math.Abs(one.Estimate-math.Sqrt(7.0/3)) > 1e-12 {
		t.Errorf("of one patient %v", one.Estimate)
	}
}
