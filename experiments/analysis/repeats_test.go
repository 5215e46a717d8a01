package analysis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
	"hounsfield/models/engine"
)

// drawnScan is a scan with contours, made by hand.
type drawnScan struct {
	ct       *volume.Volume
	mask     *volume.Mask
	second   *drawnScan
	readings []datasets.Reading
	err      error // of everything but the patient's id
}

// drawnScans are datasets.Images made by hand.
type drawnScans []drawnScan

func patientID(i int) string { return fmt.Sprintf("p%02d", i) }

func (s drawnScans) IDs() []string {
	var ids []string
	for i := range s {
		ids = append(ids, patientID(i))
	}
	return ids
}

func (s drawnScans) Scan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error) {
	return s[i].ct, s[i].mask, errors.Join(ctx.Err(), s[i].err)
}

func (s drawnScans) SecondScan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error) {
	if s[i].second == nil {
		return nil, nil, ctx.Err()
	}
	return s[i].second.ct, s[i].second.mask, errors.Join(ctx.Err(), s[i].second.err)
}

func (s drawnScans) Readings(ctx context.Context, i int) ([]datasets.Reading, error) {
	return slices.Clone(s[i].readings), errors.Join(ctx.Err(), s[i].err)
}

// slope is a scan of 1 mm voxels whose HU rise by rise for each voxel along x.
func slope(base, rise float64) *volume.Volume {
	v := volume.NewVolume(volume.Grid{Size: [3]int{32, 30, 28}, Origin: [3]float64{-40, 10, 5}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity})
	for i := range v.HU {
		v.HU[i] = float32(base + rise*float64(i%v.Grid.Size[0]))
	}
	return v
}

// ball is a mask of all voxels within radius mm of a voxel.
func ball(g volume.Grid, x, y, z int, radius float64) *volume.Mask {
	m := volume.NewMask(g)
	for i := range m.In {
		d := [3]int{i%g.Size[0] - x, i/g.Size[0]%g.Size[1] - y, i/g.Size[0]/g.Size[1] - z}
		sum := 0.0
		for a := range 3 {
			sum += float64(d[a]*d[a]) * g.Spacing[a] * g.Spacing[a]
		}
		if sum <= radius*radius {
			m.In[i] = 1
		}
	}
	return m
}

// patientScan is patient i: 20 HU apart, 1 HU a voxel along x, a ball of 4 mm.
func patientScan(i int) drawnScan {
	ct := slope(20*float64(i), 1)
	return drawnScan{ct: ct, mask: ball(ct.Grid, 15, 14, 13, 4)}
}

// meanHU scores a cube by its mean HU in thousands: a cube that moves a voxel along x, or
// a scan that is 1 HU denser, scores 0.001 more.
func meanHU(ctx context.Context, cubes []*volume.Cube) ([]float64, error) {
	out := make([]float64, len(cubes))
	for i, c := range cubes {
		sum := 0.0
		for _, v := range c.HU {
			sum += float64(v)
		}
		out[i] = sum / float64(len(c.HU)) / 1000
	}
	return out, ctx.Err()
}

var smallCube = volume.CubeSpec{Size: 10, SpacingMM: 1}

// drawnInput is a run whose test role has the patients of some scans; four patients of the
// tune role have none.
func drawnInput(t testing.TB, scans drawnScans) *Input {
	t.Helper()
	var patients []datasets.Patient
	var outcomes []datasets.Outcome
	in := &Input{Settings: Defaults(), Images: scans, Level: 0.95, Bootstrap: 200, Seed: 1, Jobs: 2, Cut: 0.05}
	add := func(id string, role datasets.Role, score float64, cube *volume.Cube) {
		patients, outcomes = append(patients, datasets.Patient{ID: id, Cohort: "drawn", Role: role}), append(outcomes, datasets.Outcome{})
		in.Scores, in.Cubes = append(in.Scores, score), append(in.Cubes, cube)
	}
	for i, s := range scans {
		add(patientID(i), datasets.Test, math.NaN(), nil)
		if s.err == nil {
			cube, err := volume.CutCube(s.ct, s.mask, smallCube)
			if err != nil {
				t.Fatal(err)
			}
			score, err := meanHU(t.Context(), []*volume.Cube{cube})
			if err != nil {
				t.Fatal(err)
			}
			in.Scores[i], in.Cubes[i] = score[0], cube
		}
	}
	for i, score := range []float64{0.02, 0.04, 0.06, 0.08} {
		add(fmt.Sprintf("t%d", i), datasets.Tune, score, nil)
	}
	var err error
	if in.Cohort, err = datasets.NewCohort("drawn", patients, outcomes, nil); err != nil {
		t.Fatal(err)
	}
	return in
}

// opened reads the scans of a run as an analysis does, scored by mean HU.
func opened(t testing.TB, in *Input, name, role string) *imaged {
	t.Helper()
	m, err := openImaged(in, name, "", role)
	if err != nil {
		t.Fatal(err)
	}
	m.spec, m.score = smallCube, meanHU
	return m
}

// near says whether a measure of a group is there and has a value.
func near(t testing.TB, all []Measure, name, group string, n int, want float64) {
	t.Helper()
	m, ok := measured(all, name, group)
	if !ok {
		t.Errorf("no %s of %s", name, group)
		return
	}
	if m.N != n || !(math.Abs(m.Value-want) <= 1e-9) || m.Method == "" {
		t.Errorf("%s of %s is %.12g, n = %d, want %.12g, n = %d (%s)", name, group, m.Value, m.N, want, n, m.Method)
	}
	if m.Low.Valid && (m.Low.V > m.Value+1e-12 || m.High.V < m.Value-1e-12) {
		t.Errorf("%s of %s: %g lies outside %g to %g", name, group, m.Value, m.Low.V, m.High.V)
	}
}

func TestRepeatSettings(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"test_retest.role":                    func(s *Settings) { s.TestRetest.Role = "tset" },
		"inter_reader.role":                   func(s *Settings) { s.InterReader.Role = "all"; s.InterReader.Imaging = "folder" },
		"inter_reader.readers[1]":             func(s *Settings) { s.InterReader.Readers = []string{"A", "A"} },
		"inter_reader.readers[0]":             func(s *Settings) { s.InterReader.Readers = []string{"reference"} },
		"inter_reader.perturb.draws":          func(s *Settings) { s.InterReader.Perturb.Draws = 1 },
		"inter_reader.perturb.patients":       func(s *Settings) { s.InterReader.Perturb.Patients = -1 },
		"inter_reader.perturb.wave_mm":        func(s *Settings) { s.InterReader.Perturb.WaveMM = math.NaN() },
		"inter_reader.perturb.jitter_mm[1]":   func(s *Settings) { s.InterReader.Perturb.JitterMM = []float64{2, 2} },
		"inter_reader.perturb.erode_mm[0]":    func(s *Settings) { s.InterReader.Perturb.ErodeMM = []float64{-2} },
		"inter_reader.perturb.contour_mm[0]":  func(s *Settings) { s.InterReader.Perturb.ContourMM = []float64{31} },
		"analysis.inter_reader.perturb.draws": func(s *Settings) { s.InterReader.Perturb = Perturb{Draws: 5, WaveMM: 5} },
	} {
		s := Defaults()
		change(&s)
		name := testRetestName
		if strings.Contains(want, interReaderName) {
			name = interReaderName
		}
		var wrong *SettingError
		if err := Check(name, s); !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, name := range []string{testRetestName, interReaderName} {
		if err := Check(name, Defaults()); err != nil {
			t.Error(err)
		}
		if images, networks := Needs(name); !images || !networks || Words(name) == "" {
			t.Errorf("%s needs scans and networks", name)
		}
		if Files(name, Defaults()) != nil {
			t.Errorf("%s reads nothing besides the cohort", name)
		}
	}
	s := Defaults()
	s.TestRetest.Imaging = "rider"
	if got := Files(testRetestName, s); len(got) != 1 || got[0] != "rider/imaging.arrow" {
		t.Errorf("files %v", got)
	}
}

// The patients of a role, or all with scans; none is told.
func TestOpenImaged(t *testing.T) {
	in := drawnInput(t, drawnScans{patientScan(0), patientScan(1)})
	if m := opened(t, in, testRetestName, "test"); len(m.patients) != 2 || m.patients[1].row != 1 || m.patients[1].role != datasets.Test {
		t.Errorf("patients %+v", m.patients)
	}
	if m := opened(t, in, testRetestName, roleAll); len(m.patients) != 2 {
		t.Errorf("patients %+v", m.patients)
	}
	var unfit *UnfitError
	if _, err := openImaged(in, testRetestName, "", "tune"); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "tune role") {
		t.Errorf("a role without scans: %v", err)
	}
	in.Images = nil
	if _, err := openImaged(in, testRetestName, "", "test"); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "--no-volumes") {
		t.Errorf("a run without scans: %v", err)
	}
	if _, err := openImaged(in, interReaderName, t.TempDir(), "test"); err == nil || !strings.Contains(err.Error(), "analysis.inter_reader.imaging") || !strings.Contains(err.Error(), "hounsfield prepare") {
		t.Errorf("a folder that was not prepared: %v", err)
	}
}

// Whatever the number of workers and the size of a portion, each patient has the own scores.
func TestScoreEach(t *testing.T) {
	var scans drawnScans
	for i := range 7 {
		scans = append(scans, patientScan(i))
	}
	in := drawnInput(t, scans)
	m := opened(t, in, testRetestName, "test")
	for _, perPatient := range []int{1, 100, 1000} {
		for _, m.Jobs = range []int{1, 5} {
			got := map[int][]float64{}
			var order []int
			err := m.scoreEach(t.Context(), "test", []int{0, 2, 3, 6}, perPatient, func(_ context.Context, k int) ([]*volume.Cube, error) {
				if k == 3 {
					return nil, nil
				}
				return []*volume.Cube{in.Cubes[k], in.Cubes[k+0], in.Cubes[0]}, nil
			}, func(k int, scores []float64) error {
				got[k], order = slices.Clone(scores), append(order, k)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(order, []int{0, 2, 6}) {
				t.Errorf("patients %v", order)
			}
			for k, s := range got {
				if !slices.Equal(s, []float64{in.Scores[k], in.Scores[k], in.Scores[0]}) {
					t.Errorf("patient %d has %v", k, s)
				}
			}
		}
	}
	failed := errors.New("no disk")
	if err := m.scoreEach(t.Context(), "test", []int{0}, 1, func(context.Context, int) ([]*volume.Cube, error) { return nil, failed }, nil); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

// A first scan that does not give the run's cube or score is a fault, not a finding.
func TestAsRun(t *testing.T) {
	in := drawnInput(t, drawnScans{patientScan(0), patientScan(1)})
	m := opened(t, in, testRetestName, "test")
	same := *in.Cubes[0]
	if d, err := m.asRun(0, &same); d != 0 || err != nil {
		t.Errorf("the same cube differs by %v (%v)", d, err)
	}
	same.HU = slices.Clone(same.HU)
	same.HU[17] += 0.5
	if d, err := m.asRun(0, &same); d != 0.5 || err != nil {
		t.Errorf("a rounded cube differs by %v (%v)", d, err)
	}
	same.HU[17]++
	if _, err := m.asRun(0, &same); err == nil || !strings.Contains(err.Error(), "p00") {
		t.Errorf("another cube: %v", err)
	}
	if err := m.scoreAsRun(0, 0, in.Scores[0]+2e-6); err == nil || !strings.Contains(err.Error(), "p00") {
		t.Errorf("another score: %v", err)
	}
	if err := m.scoreAsRun(0, 0, in.Scores[0]+5e-7); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name          string
		deterministic bool
		off           float64
		fault         bool
	}{{engine.XLACUDA, false, 2e-3, false}, {engine.XLACUDA, false, 0.02, true}, {engine.XLACUDA, true, 2e-3, true}, {engine.XLACPU, false, 2e-3, true}} {
		m.Networks = &scoring.Networks{Engine: &engine.Engine{Name: c.name, Settings: engine.Settings{Deterministic: c.deterministic}}}
		if err := m.scoreAsRun(0, 0, in.Scores[0]+c.off); (err != nil) != c.fault {
			t.Errorf("%+v: %v", c, err)
		}
	}
	m.Networks = nil
	if err := m.scoreAsRun(0, 0.4, 1); err != nil { // the cube is another, by rounding
		t.Error(err)
	}
	in.Cubes[1] = nil
	if d, err := m.asRun(1, &same); !math.IsNaN(d) || err != nil {
		t.Errorf("no cube to compare with: %v, %v", d, err)
	}
	in.Scores = scoring.NaN(len(in.Scores))
	if err := m.scoreAsRun(0, 0, 1); err != nil {
		t.Error(err)
	}
}

// The interval of a mean holds what the spread of the values allows, and depends on the seed alone.
func TestBootstrap(t *testing.T) {
	x := []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
	of := func(rows []int) float64 {
		sum := 0.0
		for _, i := range rows {
			sum += x[i]
		}
		return sum / float64(len(rows))
	}
	v := bootstrap(len(x), 5000, 3, 0.9, of)
	if v.Estimate != 102.3 {
		t.Errorf("estimate %v", v.Estimate)
	}
	// sd/sqrt(n) is 48.6 and the distribution skewed: the normal interval is 22 to 182.
	if !(v.Low > 25 && v.Low < 40 && v.High > 180 && v.High < 200) {
		t.Errorf("interval %v to %v", v.Low, v.High)
	}
	if again := bootstrap(len(x), 5000, 3, 0.9, of); again != v {
		t.Error("the same seed gives another interval")
	}
	if other := bootstrap(len(x), 5000, 4, 0.9, of); other == v {
		t.Error("another seed gives the same interval")
	}
	if v := bootstrap(1, 100, 1, 0.9, func([]int) float64 { return 7 }); v.Estimate != 7 || !math.IsNaN(v.Low) {
		t.Errorf("one patient has the interval %v to %v", v.Low, v.High)
	}
	if v := bootstrap(5, 100, 1, 0.9, func(rows []int) float64 {
		if rows[0] == 0 && rows[1] == 1 {
			return 1
		}
		return math.NaN()
	}); !math.IsNaN(v.Low) {
		t.Errorf("a figure that most resamples do not have has the interval %v to %v", v.Low, v.High)
	}
}
