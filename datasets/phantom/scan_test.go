package phantom

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/volume"
)

// each runs f for 0..n-1 on all cores.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

func TestScansDoNotDependOnWorkers(t *testing.T) {
	p := phantom(t, nil)
	chosen := []int{0, 117, 203, 250, 377, 499}
	type scan struct {
		ct, second *volume.Volume
		mask       *volume.Mask
		reader     *volume.Mask
	}
	alone := make([]scan, len(chosen))
	one := func(p *Phantom, i int) (s scan) {
		s.ct, s.mask = p.Scan(i)
		s.second, _ = p.SecondScan(i)
		s.reader = p.ReaderMask(i, 1)
		return s
	}
	for k := len(chosen) - 1; k >= 0; k-- {
		alone[k] = one(phantom(t, nil), chosen[k]) // nothing was made before it
	}
	each(len(chosen), func(k int) {
		s := one(p, chosen[k])
		if s.ct.Grid != alone[k].ct.Grid || !slices.Equal(s.ct.HU, alone[k].ct.HU) || !slices.Equal(s.mask.In, alone[k].mask.In) ||
			!slices.Equal(s.second.HU, alone[k].second.HU) || !slices.Equal(s.reader.In, alone[k].reader.In) {
			t.Errorf("subject %d differs when made beside others", chosen[k])
		}
	})
	other := phantom(t, func(s *Spec) { s.Seed++ })
	if ct, _ := other.Scan(0); slices.Equal(ct.HU, alone[0].ct.HU) {
		t.Error("another seed makes the same scan")
	}
	if p.Source(0) == other.Source(0) || p.Source(0) == p.Source(1) || p.Source(0) != phantom(t, nil).Source(0) {
		t.Error("Source does not tell scans apart, or is not a function of its subject")
	}
}

func TestScansLookLikeScans(t *testing.T) {
	p := phantom(t, nil)
	type seen struct {
		lung, tumour, shell float64
		padded              int
		volume              float64
	}
	var chosen []int
	for i := 0; i < p.Len(); i += 13 {
		chosen = append(chosen, i)
	}
	found := make([]seen, len(chosen))
	each(len(chosen), func(k int) {
		i := chosen[k]
		s := p.Subject(i)
		ct, mask := p.Scan(i)
		for a := range 2 {
			if ct.Grid.Spacing[a] != s.Scanner.PixelMM || float64(ct.Grid.Size[a])*s.Scanner.PixelMM < 90 {
				t.Errorf("subject %d: grid %+v", i, ct.Grid)
			}
		}
		if ct.Grid.Spacing[2] != s.Scanner.SliceMM || mask.Grid != ct.Grid {
			t.Errorf("subject %d: grid %+v", i, ct.Grid)
		}
		for _, v := range ct.HU {
			if v < volume.HUMin || v > volume.HUMax || v != float32(math.Trunc(float64(v))) {
				t.Errorf("subject %d holds %v HU", i, v)
				break
			}
		}
		first, last, ok := mask.Bounds()
		if !ok || min(first[0], first[1], first[2]) < 1 || last[0] > ct.Grid.Size[0]-2 || last[1] > ct.Grid.Size[1]-2 || last[2] > ct.Grid.Size[2]-2 {
			t.Errorf("subject %d: the contour spans %v to %v of %v", i, first, last, ct.Grid.Size)
			return
		}
		cube, err := volume.CutCube(ct, mask, volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10})
		if err != nil {
			t.Errorf("subject %d: %v", i, err)
			return
		}
		found[k].padded = cube.Padded
		found[k].volume = cube.VolumeMM3 / (math.Pi / 6 * math.Pow(s.Traits.DiameterMM, 3))
		var inside, n, shell, m float64
		var values []float32
		sc := newScene(p.spec.Seed, i, s.Traits)
		v := newView(ct.Grid, p.place(s).pose, 0)
		v.inside([3]int{}, ct.Grid.Size, func(at int, q vec) {
			hu := float64(ct.HU[at])
			switch d := sc.tumour.body.distance(q); {
			case mask.In[at] != 0:
				inside += hu
				n++
			case sc.wall.depth(q) > -4 || sc.heart.depth(q) > -4:
			case d > 2.5 && d < 5:
				shell += hu
				m++
			case d > 25:
				values = append(values, ct.HU[at])
			}
		})
		found[k].tumour, found[k].shell = inside/n, shell/m
		slices.Sort(values)
		found[k].lung = float64(values[len(values)/2])
	})
	var traits [2][]float64 // halo and density, against what the scans show
	var shows [2][]float64
	padded := 0
	for k, f := range found {
		s := p.Subject(chosen[k])
		if f.lung < -920 || f.lung > -780 {
			t.Errorf("subject %d: lung is at %.0f HU", s.Index, f.lung)
		}
		if f.tumour < f.lung+150 || f.tumour > 100 {
			t.Errorf("subject %d: tumour at %.0f HU in lung at %.0f", s.Index, f.tumour, f.lung)
		}
		// The contour stops at the pleura; small tumours are few voxels of a thick slice.
		if !s.Traits.Pleural && s.Traits.DiameterMM > 14 && math.Abs(f.volume-1) > 0.06 {
			t.Errorf("subject %d: the contour holds %.2f of the volume", s.Index, f.volume)
		}
		if f.padded > 0 {
			padded++
		}
		traits[0], shows[0] = append(traits[0], s.Traits.Halo), append(shows[0], f.shell-f.lung)
		traits[1], shows[1] = append(traits[1], s.Traits.Density), append(shows[1], f.tumour)
	}
	if padded < 1 || padded > len(found)/4 {
		t.Errorf("%d of %d cubes leave their scan", padded, len(found))
	}
	for k, name := range []string{"halo and the shell outside the contour", "density and the tumour's HU"} {
		if r := correlation(traits[k], shows[k]); r < 0.6 {
			t.Errorf("%s correlate with %.2f", name, r)
		}
	}
}

func correlation(a, b []float64) float64 {
	sum := 0.0
	x, y := standardise(a), standardise(b)
	for i := range x {
		sum += x[i] * y[i] / float64(len(x))
	}
	return sum
}

func TestRolesHaveTheirScanners(t *testing.T) {
	p := phantom(t, nil)
	used := map[datasets.Role]map[string]int{}
	for i := range p.Len() {
		s := p.Subject(i)
		if used[s.Patient.Role] == nil {
			used[s.Patient.Role] = map[string]int{}
		}
		if !slices.Contains(p.spec.scanners(s.Patient.Role), s.Scanner) {
			t.Fatalf("%s was scanned on %+v", s.Patient.ID, s.Scanner)
		}
		used[s.Patient.Role][s.Scanner.Name]++
	}
	for role, names := range used {
		total := 0
		for _, n := range names {
			total += n
		}
		if len(names) != len(p.spec.scanners(role)) {
			t.Errorf("%s used %v", role, names)
		}
		for name, n := range names {
			if float64(n) < 0.7*float64(total)/float64(len(names)) {
				t.Errorf("%s: scanner %s took %d of %d", role, name, n, total)
			}
		}
	}
}

func TestNoiseHasStrengthAndGrain(t *testing.T) {
	g := volume.Grid{Size: [3]int{120, 120, 20}, Spacing: [3]float64{0.8, 0.8, 2}, Direction: volume.Identity}
	grain := 0.0
	for _, blur := range []float64{0, 0.4, 0.8} {
		noise := make([]float32, g.Len())
		fillNormal(noise, source(1, forNoise, 2))
		smoothPlane(noise, g, blur, 25)
		var square, beside, above, mean, n float64
		for z := range 19 {
			for y := 10; y < 110; y++ { // the border lacks neighbours
				for x := 10; x < 110; x++ {
					v := float64(noise[g.Offset(x, y, z)])
					mean += v
					square += v * v
					beside += v * float64(noise[g.Offset(x+1, y, z)])
					above += v * float64(noise[g.Offset(x, y, z+1)])
					n++
				}
			}
		}
		sd := math.Sqrt(square / n)
		if math.Abs(sd-25) > 0.6 || math.Abs(mean/n) > 0.6 {
			t.Errorf("blur %g: mean %.2f, standard deviation %.2f, want 0 and 25", blur, mean/n, sd)
		}
		if r := above / square; math.Abs(r) > 0.02 {
			t.Errorf("blur %g: slices correlate with %.3f", blur, r)
		}
		// White noise through weights w correlates by sum w(k) w(k+1) / sum w(k)^2 at one pixel.
		want := 0.0
		if s := blur / 0.8; s > 0 {
			weight := func(k int) float64 { return math.Exp(-float64(k*k) / (2 * s * s)) }
			product, power := 0.0, 0.0
			for k := -30; k < 30; k++ {
				product += weight(k) * weight(k+1)
				power += weight(k) * weight(k)
			}
			want = product / power
		}
		r := beside / square
		if math.Abs(r-want) > 0.03 || r < grain-0.01 {
			t.Errorf("blur %g: neighbours correlate with %.3f, want %.3f", blur, r, want)
		}
		grain = r
	}
}

func TestSecondScan(t *testing.T) {
	p := phantom(t, nil)
	twice := 0
	for i := range p.Len() {
		if p.HasSecondScan(i) {
			twice++
		}
	}
	if twice < 50 || twice > 100 {
		t.Errorf("%d of 500 were scanned twice, 75 expected", twice)
	}
	spec := volume.CubeSpec{Size: 50, SpacingMM: 1}
	each(8, func(k int) {
		i := k * 61
		s := p.Subject(i)
		a, am := p.Scan(i)
		b, bm := p.SecondScan(i)
		if a.Grid != b.Grid {
			t.Errorf("subject %d: the second scan lies elsewhere", i)
		}
		ca, err := volume.CutCube(a, am, spec)
		if err != nil {
			t.Error(err)
			return
		}
		cb, err := volume.CutCube(b, bm, spec)
		if err != nil {
			t.Error(err)
			return
		}
		moved := 0.0
		for axis := range 3 {
			moved += math.Pow(ca.CentreMM[axis]-cb.CentreMM[axis], 2)
		}
		if moved = math.Sqrt(moved); moved < 0.3 || moved > 4 {
			t.Errorf("subject %d moved by %.2f mm", i, moved)
		}
		if ratio := cb.VolumeMM3 / ca.VolumeMM3; s.Traits.DiameterMM > 14 && math.Abs(ratio-1) > 0.06 {
			t.Errorf("subject %d: the second contour has %.3f of the volume", i, ratio)
		}
		// The same anatomy, but not the same voxels.
		x, y := make([]float64, len(ca.HU)), make([]float64, len(ca.HU))
		for k := range x {
			x[k], y[k] = float64(ca.HU[k]), float64(cb.HU[k])
		}
		if r := correlation(x, y); r < 0.8 || r > 0.9995 {
			t.Errorf("subject %d: the two cubes correlate with %.4f", i, r)
		}
		// Noise differs from slice to slice, anatomy hardly: what a voxel of lung has over
		// its neighbours above and below is noise, and the two scans must not share it.
		var na, nb []float64
		for z := 1; z < a.Grid.Size[2]-1; z++ {
			for at := a.Grid.Offset(0, 0, z); at < a.Grid.Offset(0, 0, z+1); at++ {
				plane := a.Grid.Size[0] * a.Grid.Size[1]
				over := func(v *volume.Volume) float64 { return float64(v.HU[at] - (v.HU[at-plane]+v.HU[at+plane])/2) }
				if x, y := over(a), over(b); math.Abs(x) < 100 && math.Abs(y) < 100 && a.HU[at] < -700 && b.HU[at] < -700 {
					na, nb = append(na, x), append(nb, y)
				}
			}
		}
		if r := correlation(na, nb); r > 0.2 {
			t.Errorf("subject %d: the noise of the two scans correlates with %.2f", i, r)
		}
	})
	// Motion is rigid: lengths and angles stay.
	m := p.moved(pose{turn: rotation(vec{0, 0, 1}, 0), shift: vec{1, 2, 3}}, 4)
	for a := range 3 {
		for b := range 3 {
			want := 0.0
			if a == b {
				want = 1
			}
			if d := m.turn[a].dot(m.turn[b]); math.Abs(d-want) > 1e-12 {
				t.Errorf("rows %d and %d of the turn have product %g", a, b, d)
			}
		}
	}
}

func TestReaders(t *testing.T) {
	p := phantom(t, nil)
	const cases, readers = 25, 3
	var dice, size [cases][readers]float64
	each(cases, func(k int) {
		i := k * 19
		s := p.Subject(i)
		at := p.place(s)
		sc := newScene(p.spec.Seed, i, s.Traits)
		truth := sc.outline(newView(at.grid, at.pose, s.Scanner.BlurMM), &sc.tumour.body)
		for r := range readers {
			m := p.ReaderMask(i, r)
			both := 0
			for v := range m.In {
				both += int(m.In[v] & truth.In[v])
			}
			dice[k][r] = 2 * float64(both) / float64(m.Count()+truth.Count())
			size[k][r] = float64(m.Count()) / float64(truth.Count())
		}
	})
	var mean [readers]float64
	for k := range dice {
		for r, d := range dice[k] {
			if d < 0.75 || d > 0.98 {
				t.Errorf("subject %d, reader %d: Dice %.3f, volume %.2f", k*19, r, d, size[k][r])
			}
			mean[r] += math.Log(size[k][r]) / cases
		}
		if dice[k][0] == dice[k][1] && dice[k][1] == dice[k][2] {
			t.Errorf("subject %d: all readers agree with the reference alike", k*19)
		}
	}
	// A reader's habit shows over cases: means differ by more than chance (0.03 each).
	t.Logf("mean log volume against the reference, by reader: %.3f", mean)
	if slices.Max(mean[:])-slices.Min(mean[:]) < 0.06 {
		t.Errorf("readers have no habits: mean log volume %.3f", mean)
	}
}

func TestOutlinesComeBackExactly(t *testing.T) {
	g := volume.Grid{Size: [3]int{14, 11, 5}, Origin: [3]float64{-31.5, 12.25, -100}, Spacing: [3]float64{0.7, 0.9, 2.5}, Direction: volume.Identity}
	r := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		m := volume.NewMask(g)
		density := r.Float64() // from specks that touch at corners to sheets with holes, up to the border
		for k := range m.In {
			if r.Float64() < density {
				m.In[k] = 1
			}
		}
		if m.Count() == 0 {
			continue
		}
		back, report, err := volume.Rasterise(outlines(m), g)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(back.In, m.In) {
			t.Fatalf("%d voxels became %d (%+v)", m.Count(), back.Count(), report)
		}
	}
}

func TestDICOMGivesTheSameCubes(t *testing.T) {
	p := phantom(t, func(s *Spec) { s.Patients = PatientsPerRole{Train: 2, Test: 1} })
	dir := t.TempDir()
	for i := range p.Len() {
		if err := p.WriteDICOM(dir, i); err != nil {
			t.Fatal(err)
		}
	}
	spec := volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}
	got, lost, err := prepare.Folder(t.Context(), dir, p.CohortName(), dicom.ROIRule{Exact: []string{ROIName}}, spec)
	if err != nil || len(lost) > 0 || len(got) != p.Len() {
		t.Fatalf("%d patients, lost %v, error %v", len(got), lost, err)
	}
	for _, read := range got {
		for i := range p.Len() {
			s := p.Subject(i)
			if s.Patient.ID != read.PatientID {
				continue
			}
			ct, mask := p.Scan(i)
			want, err := volume.CutCube(ct, mask, spec)
			if err != nil {
				t.Fatal(err)
			}
			if read.MaskVoxels != mask.Count() || read.Cube.CentreIndex != want.CentreIndex {
				t.Errorf("%s: %d mask voxels around %v from DICOM, %d around %v directly", s.Patient.ID, read.MaskVoxels, read.Cube.CentreIndex, mask.Count(), want.CentreIndex)
			}
			worst := 0.0
			for k := range want.HU {
				worst = math.Max(worst, math.Abs(float64(want.HU[k]-read.Cube.HU[k])))
			}
			if worst > 0.01 {
				t.Errorf("%s: cubes differ by up to %g HU", s.Patient.ID, worst)
			}
		}
	}
}
