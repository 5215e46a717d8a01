package analysis

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/report"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// lookInput is a small phantom with untrained networks that read cubes of 30 voxels.
func lookInput(t testing.TB) *Input {
	t.Helper()
	spec := phantom.Default()
	spec.Patients = phantom.PatientsPerRole{Train: 2, Tune: 0, Test: 4}
	p, err := phantom.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(engine.Go)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	in := &Input{Settings: Defaults(), Cohort: p.Cohort(), Scores: make([]float64, p.Len()), Cubes: make([]*volume.Cube, p.Len()), Images: p.Images(),
		Phantom: p, Level: 0.95, Bootstrap: 50, Seed: 3, Dir: t.TempDir(), Provenance: map[string]string{"experiment": "look"},
		Networks: &scoring.Networks{Engine: e, Seeds: []int64{1, 2}, Size: 30, MM: 1}}
	net := cnn.Small()
	net.Input, net.InputPool = 30, 2
	net.Stages = []cnn.Stage{{Conv: &cnn.Conv{Filters: 4, Kernel: 3}}, {Pool: &cnn.Pool{Size: 2}}, {Conv: &cnn.Conv{Filters: 4, Kernel: 3}}}
	net.Dense = []cnn.Dense{{Units: 4}}
	for _, seed := range in.Networks.Seeds {
		m, err := cnn.Untrained(net, seed)
		if err != nil {
			t.Fatal(err)
		}
		in.Networks.Models = append(in.Networks.Models, m)
	}
	for i := range in.Cubes {
		ct, mask := p.Scan(i)
		if in.Cubes[i], err = volume.CutCube(ct, mask, in.Networks.Spec()); err != nil {
			t.Fatal(err)
		}
	}
	if in.Scores, err = in.Networks.Score(context.Background(), in.Cubes); err != nil {
		t.Fatal(err)
	}
	s := &in.Settings.Activation
	s.Pictures, s.Sample, s.IntegratedGradients.Steps, s.Sanity.Patients, s.Sanity.Draws = 1, 3, 2, 2, 1
	s.Occlusion.SizeMM, s.Occlusion.StrideMM = 15, 15
	return in
}

// Two runs give the same bytes: tables, figures, pictures, NIfTI files, the report.
func TestActivationTwice(t *testing.T) {
	run := func() (string, *Result, *Input) {
		in := lookInput(t)
		if err := Check(activationName, in.Settings); err != nil {
			t.Fatal(err)
		}
		if err := Ready(activationName, in); err != nil {
			t.Fatal(err)
		}
		r, err := Run(context.Background(), activationName, in)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, table := range r.Tables {
			file := filepath.Join(t.TempDir(), table.Name+".arrow")
			if err := table.Write(file); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s %x", table.Name, sha256.Sum256(b)))
		}
		for _, f := range r.Figures {
			all = append(all, fmt.Sprintf("%s %x", f.Name, sha256.Sum256(f.SVG)))
		}
		files := 0
		err = fs.WalkDir(os.DirFS(in.Dir), ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			b, err := os.ReadFile(filepath.Join(in.Dir, p))
			all = append(all, fmt.Sprintf("%s %x", p, sha256.Sum256(b)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := 3 * (4 + len(activationMethods)); files != want {
			t.Errorf("%d files, not %d", files, want)
		}
		page, err := report.Render(report.Document{Title: "t", Software: "s", Sections: []report.Section{r.Section}})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(append(append(all, string(page)), r.Lines...), "\n"), r, in
	}
	first, r, in := run()
	second, _, _ := run()
	if first != second {
		t.Error("two runs differ")
	}
	var names []string
	for _, table := range r.Tables {
		names = append(names, table.Name)
	}
	if !slices.Equal(names, []string{activationName, activationPatients, activationSanity}) || len(r.Exclusions) > 0 {
		t.Errorf("tables %v, exclusions %v", names, r.Exclusions)
	}
	id := in.Cohort.Patients[in.Cohort.Of(datasets.Test)[0]].ID
	e, err := Explain(context.Background(), in, id)
	if err != nil {
		t.Fatal(err)
	}
	if e.Patient != id || len(e.Maps) != len(activationMethods) || e.CT.Grid != e.Maps[0].OnScan.Grid || e.CT.Grid != e.Tumour.Grid || e.Cube.Grid != e.Maps[0].OnCube.Grid {
		t.Errorf("explanation of %s on grids %v, %v", e.Patient, e.CT.Grid, e.Cube.Grid)
	}
	// All voxels of the scan keep their values and places.
	ct, _ := in.Phantom.Scan(2)
	for k, hu := range e.CT.HU {
		g := e.CT.Grid
		at := ct.Grid.Index(g.Position([3]float64{float64(k % g.Size[0]), float64(k / g.Size[0] % g.Size[1]), float64(k / (g.Size[0] * g.Size[1]))}))
		if got := ct.HU[ct.Grid.Offset(int(math.Round(at[0])), int(math.Round(at[1])), int(math.Round(at[2])))]; got != hu {
			t.Fatalf("voxel %d: %g, in the scan %g", k, hu, got)
		}
	}
	var unfit *UnfitError
	if _, err := Explain(context.Background(), in, "nobody"); !errors.As(err, &unfit) {
		t.Errorf("an unknown patient: %v", err)
	}
	in.Cubes[2] = in.Cubes[3] // of another patient
	var other *patientError
	if _, err := Explain(context.Background(), in, id); !errors.As(err, &other) || !strings.Contains(err.Error(), "lies elsewhere") {
		t.Errorf("a cube from elsewhere: %v", err)
	}
}

func TestActivationSettings(t *testing.T) {
	for field, change := range map[string]func(*Activation){
		"activation.methods":                       func(a *Activation) { a.Methods = nil },
		"activation.methods[1]":                    func(a *Activation) { a.Methods = []string{gradCAM, gradCAM} },
		"activation.methods[0]":                    func(a *Activation) { a.Methods = []string{"lime"} },
		"activation.layer":                         func(a *Activation) { a.Layer = "dense1" },
		"activation.pictures":                      func(a *Activation) { a.Pictures = 0 },
		"activation.patients[1]":                   func(a *Activation) { a.Patients = []string{"a", "a"} },
		"activation.sample":                        func(a *Activation) { a.Sample = -1 },
		"activation.integrated_gradients.steps":    func(a *Activation) { a.IntegratedGradients.Steps = 0 },
		"activation.integrated_gradients.baseline": func(a *Activation) { a.IntegratedGradients.Baseline = "water" },
		"activation.occlusion.size_mm":             func(a *Activation) { a.Occlusion.SizeMM = 0 },
		"activation.occlusion.stride_mm":           func(a *Activation) { a.Occlusion.StrideMM = 11 },
		"activation.occlusion.fill_hu":             func(a *Activation) { a.Occlusion.FillHU = math.NaN() },
		"activation.sanity.patients":               func(a *Activation) { a.Sanity.Patients = 0 },
		"activation.sanity.draws":                  func(a *Activation) { a.Sanity.Draws = 0 },
		"activation.sanity.bound":                  func(a *Activation) { a.Sanity.Bound = 1 },
	} {
		s := Defaults()
		change(&s.Activation)
		var bad *SettingError
		if err := Check(activationName, s); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := Check(activationName, Defaults()); err != nil {
		t.Error(err)
	}
	in := lookInput(t)
	in.Settings.Activation.Patients = []string{"TEST-0001", "nobody"}
	var bad *SettingError
	if err := Ready(activationName, in); !errors.As(err, &bad) || bad.Field != "activation.patients[1]" {
		t.Errorf("an unknown patient: %v", err)
	}
	in.Settings.Activation.Patients, in.Settings.Activation.Layer = nil, "conv9"
	if _, err := Run(context.Background(), activationName, in); !errors.As(err, &bad) || bad.Field != "activation.layer" {
		t.Errorf("an unknown layer: %v", err)
	}
	if f, err := layerOf(cnn.Small(), layerAuto); err != nil || f.Layer != "conv2" {
		t.Errorf("the small network's layer is %v, %v", f, err)
	}
	if f, err := layerOf(cnn.Hosny2018(), layerAuto); err != nil || f.Layer != "conv4" {
		t.Errorf("the study's layer is %v, %v", f, err)
	}
}

// spotted are the scans of one patient: an oblique grid of long voxels, lung with a tumour
// and one bright voxel beside it.
type spotted struct {
	ct     *volume.Volume
	tumour *volume.Mask
}

func (p spotted) IDs() []string { return []string{"P"} }
func (p spotted) Scan(context.Context, int) (*volume.Volume, *volume.Mask, error) {
	return p.ct, p.tumour, nil
}
func (p spotted) SecondScan(context.Context, int) (*volume.Volume, *volume.Mask, error) {
	return nil, nil, nil
}
func (p spotted) Readings(context.Context, int) ([]datasets.Reading, error) { return nil, nil }

// What the score depends on alone, one bright spot off the cube's centre in an oblique scan
// of long voxels, is where the map in the NIfTI file has its maximum; so it is in the scan.
func TestMapLandsOnWhatTheScoreReads(t *testing.T) {
	s, c := math.Sincos(0.4)
	g := volume.Grid{Size: [3]int{90, 80, 30}, Origin: [3]float64{-120, 35, -410}, Spacing: [3]float64{0.8, 0.9, 2.5}, Direction: [9]float64{c, -s, 0, s, c, 0, 0, 0, 1}}
	p := spotted{volume.NewVolume(g), volume.NewMask(g)}
	spot := [3]int{54, 33, 17}
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			for x := range g.Size[0] {
				k := g.Offset(x, y, z)
				p.ct.HU[k] = -850
				if x >= 38 && x < 46 && y >= 38 && y < 46 && z >= 12 && z < 15 {
					p.ct.HU[k], p.tumour.In[k] = 40, 1
				}
			}
		}
	}
	p.ct.HU[g.Offset(spot[0], spot[1], spot[2])] = 3000
	a := &activation{Input: &Input{Images: p, Scores: []float64{0.5}, Cohort: &datasets.Cohort{Patients: []datasets.Patient{{ID: "P"}}}},
		spec: volume.CubeSpec{Size: 30, SpacingMM: 1}, images: map[string]int{"P": 0}}
	cube, err := volume.CutCube(p.ct, p.tumour, a.spec)
	if err != nil {
		t.Fatal(err)
	}
	a.Cubes = []*volume.Cube{cube}
	e, _, err := a.placed(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	bright := func(_ context.Context, cubes [][]float32) ([]float64, error) {
		out := make([]float64, len(cubes))
		for i, c := range cubes {
			for _, v := range c {
				out[i] += max(float64(v)-0.3, 0)
			}
		}
		return out, nil
	}
	m, err := cnn.Occlude(context.Background(), bright, scoring.Inputs(a.Cubes, 30)[0], 30, cnn.Boxes{Size: 4, Stride: 2, Fill: volume.Normalise(lungHU)})
	if err != nil {
		t.Fatal(err)
	}
	on := mapVolume(m, e.Cube.Grid)
	e.Maps = []ActivationMap{{Method: occlusion, OnCube: on, OnScan: resampledMap(on, e.CT.Grid)}}
	dir := t.TempDir()
	if err := e.write(dir, nil); err != nil {
		t.Fatal(err)
	}
	want := g.Position([3]float64{float64(spot[0]), float64(spot[1]), float64(spot[2])})
	for file, within := range map[string]float64{"ct": 1e-3, "cube": 1, occlusion: 2.5} {
		v, err := nifti.Read(filepath.Join(dir, file+".nii.gz"))
		if err != nil {
			t.Fatal(err)
		}
		best := 0
		for k, x := range v.HU {
			if x > v.HU[best] {
				best = k
			}
		}
		n := v.Grid.Size
		at := v.Grid.Position([3]float64{float64(best % n[0]), float64(best / n[0] % n[1]), float64(best / (n[0] * n[1]))})
		if d := math.Sqrt(square(at[0]-want[0]) + square(at[1]-want[1]) + square(at[2]-want[2])); d > within {
			t.Errorf("%s: the maximum lies at %.2f, %.2f mm from the planted voxel at %.2f", file, at, d, want)
		}
	}
	got := point(occlusion, on, map[string]*volume.Mask{regionTumour: volume.ResampleMask(p.tumour, on.Grid)})
	if got.hit[regionTumour] || got.empty || !(got.energy[regionTumour] < 0.5) {
		t.Errorf("the map points into the tumour: %+v", got)
	}
}

func square(x float64) float64 { return x * x }

// Grad-CAM's grid: a position's value stands at its centre, is kept for half a step beyond
// the outermost, and further out there is nothing.
func TestLayerMapOnTheCube(t *testing.T) {
	f := cnn.Field{Edge: 3, Start: 4, Step: 4, Width: 9}
	values := make([]float64, 27)
	for k := range values {
		values[k] = float64(k%3) + 10*float64(k/3%3) + 100*float64(k/9)
	}
	got := onCube(values, f, 20)
	at := func(z, y, x int) float64 { return got[(z*20+y)*20+x] }
	for _, c := range []struct{ got, want float64 }{{at(4, 4, 4), 0}, {at(8, 12, 8), 121}, {at(8, 12, 10), 121.5}, {at(12, 12, 14), 222}, {at(2, 4, 12), 2}, {at(12, 12, 15), 0}, {at(1, 8, 8), 0}} {
		if math.Abs(c.got-c.want) > 1e-4 {
			t.Errorf("%g, want %g", c.got, c.want)
		}
	}
}

// A map of the scan's edges, which no weight enters, fails the check; a map of the weights
// alone passes.
func TestSanityFindsAnEdgeDetector(t *testing.T) {
	in := lookInput(t)
	in.Settings.Activation.Methods = []string{gradCAM, occlusion}
	a, err := openActivation(in)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	cubes := scoring.Inputs(a.Cubes[2:5], 30)
	edges := func(cube []float32) []float64 {
		out := make([]float64, len(cube))
		for k := 1; k < len(cube); k++ {
			out[k] = math.Abs(float64(cube[k] - cube[k-1]))
		}
		return coarseSizes(out, 30)
	}
	noise := func(m *cnn.Model) []float64 {
		r := rand.New(rand.NewPCG(uint64(math.Float32bits(m.Weights[0].Values[0])), 0))
		out := make([]float64, 15*15*15)
		for k := range out {
			out[k] = r.Float64()
		}
		return out
	}
	trained := in.Networks.Models[0]
	layers, err := trained.Layers()
	if err != nil {
		t.Fatal(err)
	}
	versions := []networkVersion{{model: func() (*cnn.Model, error) { return trained, nil }},
		{randomised{mode: randomCascade, layer: "conv1", depth: len(layers)}, func() (*cnn.Model, error) { return trained.Randomised(9, layers...) }}}
	all, err := compareVersions(context.Background(), a.settings.Methods, versions, cubes,
		func(_ context.Context, m *cnn.Model, cube []float32) (map[string][]float64, error) {
			return map[string][]float64{gradCAM: edges(cube), occlusion: noise(m)}, nil
		}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	measures := a.sanityMeasures(all)
	if got := failing(measures); !slices.Equal(got, []string{gradCAM}) {
		t.Fatalf("failing: %v of %+v", got, measures)
	}
	if m, ok := measured(measures, randomRank, gradCAM); !ok || m.Value != 1 || m.N != 3 {
		t.Errorf("edges: %+v", m)
	}
	if m, ok := measured(measures, randomRank, occlusion); !ok || math.Abs(m.Value) > 0.1 {
		t.Errorf("noise: %+v", m)
	}
	warning, ok := a.warning(measures).(report.Callout)
	if !ok || warning.Tone != report.Warning || len(warning.Body) != 2 {
		t.Errorf("warning: %+v", warning)
	}
	if lines := strings.Join(a.lines(measures, 3), "\n"); !strings.Contains(lines, "WARNING: grad_cam FAILED") {
		t.Error(lines)
	}
	if _, _, ok, err := alike(make([]float64, 27), edges(cubes[0])[:27]); ok || err != nil {
		t.Errorf("an even map is compared: %v, %v", ok, err)
	}
}

// The structural similarity against its definition, window by window.
func TestStructuralSimilarityByWindows(t *testing.T) {
	const edge, w = 9, 7
	r := rand.New(rand.NewPCG(4, 5))
	a, b := make([]float64, edge*edge*edge), make([]float64, edge*edge*edge)
	for k := range a {
		a[k] = r.Float64()
		b[k] = 0.7*a[k] + 0.3*r.Float64()
	}
	total := 0.0
	for p := range 27 {
		var x, y []float64
		for q := range w * w * w {
			k := ((p/9+q/(w*w))*edge+p/3%3+q/w%w)*edge + p%3 + q%w
			x, y = append(x, a[k]), append(y, b[k])
		}
		mx, my := mean(x), mean(y)
		var vx, vy, cov float64
		for i := range x {
			vx, vy, cov = vx+square(x[i]-mx)/float64(len(x)), vy+square(y[i]-my)/float64(len(x)), cov+(x[i]-mx)*(y[i]-my)/float64(len(x))
		}
		total += (2*mx*my + 1e-4) * (2*cov + 9e-4) / ((mx*mx + my*my + 1e-4) * (vx + vy + 9e-4))
	}
	if got := structuralSimilarity(a, b, edge); math.Abs(got-total/27) > 1e-9 {
		t.Errorf("%g, want %g", got, total/27)
	}
	if got := structuralSimilarity(a, a, edge); math.Abs(got-1) > 1e-9 {
		t.Errorf("a map with itself: %g", got)
	}
}

// The chance of so many hits, against all outcomes written down.
func TestTailOfTrials(t *testing.T) {
	p := []float64{0.1, 0.7, 0.35, 0.5}
	for hits := range 6 {
		want := 0.0
		for outcome := range 16 {
			chance, n := 1.0, 0
			for i, q := range p {
				if outcome>>i&1 == 1 {
					chance, n = chance*q, n+1
				} else {
					chance *= 1 - q
				}
			}
			if n >= hits {
				want += chance
			}
		}
		if got := tailOfTrials(p, hits); math.Abs(got-want) > 1e-12 {
			t.Errorf("%d hits or more: %g, want %g", hits, got, want)
		}
	}
}
