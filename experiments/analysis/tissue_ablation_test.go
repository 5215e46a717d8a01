package analysis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// ringed is a cohort of round tumours of 5 mm radius, all alike but for the brightness of a
// rim 4 mm wide around them, which decides who dies.
type ringed struct {
	cohort   *datasets.Cohort
	outcomes []datasets.Outcome
	cubes    []*volume.Cube
	scans    []*volume.Volume
	mask     *volume.Mask
}

const ringedSize = 24

var ringedMiddle = [3]float64{18, 19, 17}

func newRinged(t testing.TB) *ringed {
	t.Helper()
	r := &ringed{mask: volume.NewMask(volume.Grid{Size: [3]int{36, 36, 36}, Spacing: [3]float64{1, 1, 1}, Origin: [3]float64{-3, 7, 11}, Direction: volume.Identity})}
	g := r.mask.Grid
	radius := make([]float64, g.Len())
	for k := range radius {
		p := [3]float64{float64(k % 36), float64(k / 36 % 36), float64(k / 36 / 36)}
		for a := range 3 {
			radius[k] += (p[a] - ringedMiddle[a]) * (p[a] - ringedMiddle[a])
		}
		radius[k] = math.Sqrt(radius[k])
		if radius[k] <= 5 {
			r.mask.In[k] = 1
		}
	}
	var patients []datasets.Patient
	for i := range 40 {
		rng := rand.New(rand.NewPCG(9, uint64(i)))
		role := []datasets.Role{datasets.Train, datasets.Tune, datasets.Test, datasets.Test, datasets.Test}[i%5]
		rim := rng.Float64()
		ct := volume.NewVolume(g)
		for k := range ct.HU {
			ct.HU[k] = float32(-880 + 40*rng.Float64())
			switch {
			case radius[k] <= 5:
				ct.HU[k] += 900
			case radius[k] <= 9:
				ct.HU[k] += float32(300 * rim)
			}
		}
		spec := volume.CubeSpec{Size: ringedSize, SpacingMM: 1}
		if role == datasets.Train || i%2 == 0 { // prepared cubes have a margin in all roles
			spec.Margin = 3
		}
		c, err := volume.CutCube(ct, r.mask, spec)
		if err != nil {
			t.Fatal(err)
		}
		days := math.Round(1400 - 1200*rim + 500*rng.Float64())
		patients = append(patients, datasets.Patient{ID: fmt.Sprintf("P-%02d", i), Cohort: "ringed", Role: role})
		r.outcomes = append(r.outcomes, datasets.Outcome{SurvivalDays: table.Some(days), Event: table.Some(true), Alive2yr: datasets.AliveAt2yr(days, true)})
		r.cubes, r.scans = append(r.cubes, c), append(r.scans, ct)
	}
	var err error
	if r.cohort, err = datasets.NewCohort("ringed", patients, r.outcomes, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *ringed) IDs() []string {
	var ids []string
	for _, p := range r.cohort.Patients {
		ids = append(ids, p.ID)
	}
	return ids
}

func (r *ringed) Scan(_ context.Context, i int) (*volume.Volume, *volume.Mask, error) {
	if r.scans[i] == nil {
		return nil, nil, errors.New("the disk is gone")
	}
	return r.scans[i], r.mask, nil
}

func (r *ringed) SecondScan(context.Context, int) (*volume.Volume, *volume.Mask, error) {
	return nil, nil, nil
}
func (r *ringed) Readings(context.Context, int) ([]datasets.Reading, error) { return nil, nil }

// readRim scores a cube by the mean of the rim alone.
func readRim(c *volume.Cube) float64 {
	if c == nil {
		return math.NaN()
	}
	sum, n := 0.0, 0
	for k, hu := range c.HU {
		d := 0.0
		for _, i := range []int{k % c.Edge, k / c.Edge % c.Edge, k / c.Edge / c.Edge} {
			d += float64((i - c.Edge/2) * (i - c.Edge/2))
		}
		if d > 25 && d <= 64 {
			sum, n = sum+float64(hu), n+1
		}
	}
	return 1 / (1 + math.Exp(-(sum/float64(n)+700)/50))
}

func readRims(cubes []*volume.Cube) []float64 {
	out := make([]float64, len(cubes))
	for i, c := range cubes {
		out[i] = readRim(c)
	}
	return out
}

// of is the analysis of the cohort by the scorer of the rim.
func (r *ringed) of(t testing.TB, jobs int, set TissueAblation) *tissueAblation {
	in := &Input{Settings: Settings{TissueAblation: set}, Cohort: r.cohort, Outcomes: r.outcomes, Cubes: r.cubes, Images: r, Level: 0.95, Seed: 4, Jobs: jobs, Dir: t.TempDir(),
		Retrain: func(_ context.Context, _ string, cubes []*volume.Cube) ([]float64, error) {
			return readRims(cubes), nil
		}}
	return &tissueAblation{Input: in, set: set, size: ringedSize, mm: 1, byNetwork: func(_ context.Context, cubes []*volume.Cube) ([][]float64, error) {
		s := readRims(cubes)
		return [][]float64{s, s}, nil
	}}
}

func ringedSettings() TissueAblation {
	s := defaultTissueAblation()
	s.Arms = []TissueArm{{Kind: tumourOnly}, {Kind: tumourAndShell, ShellMM: 5}, {Kind: shellRemoved, ShellMM: 1}, {Kind: shellRemoved, ShellMM: 5},
		{Kind: backgroundOnly}, {Kind: tumourShuffled}, {Kind: tumourMean}, {Kind: shellShuffled, ShellMM: 5}}
	s.Retrain = []string{"tumour_only", "tumour_and_shell_5mm", "shell_removed_5mm"}
	return s
}

// A scorer that reads only the rim loses everything with it, and nothing with what lies
// elsewhere; given back to the tumour alone, the rim gives everything back.
func TestTissueAblationFindsTheRim(t *testing.T) {
	a := newRinged(t).of(t, 2, ringedSettings())
	found, err := a.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	value, p := map[string]float64{}, map[string]float64{}
	m := found.Tables[0]
	for i, name := range m.Strings("metric") {
		key := name + " of " + m.Strings("group")[i]
		value[key], p[key] = m.Float64s("value")[i], m.Float64s("p")[i]
	}
	whole := value["auc of whole, re-scored"]
	if whole < 0.8 || whole > 0.999 {
		t.Fatalf("AUC of whole cubes is %v: the test is too easy or too hard", whole)
	}
	for _, way := range []string{tissueRescored, tissueRetrained} {
		for _, arm := range []string{"tumour_only", "shell_removed_5mm"} {
			if got := value["auc of "+arm+", "+way]; got != 0.5 {
				t.Errorf("%s, %s: AUC %v without the rim, want 0.5", arm, way, got)
			}
			key := "auc_difference of " + arm + " less whole, " + way
			if math.Abs(value[key]-(0.5-whole)) > 1e-12 || !(p[key] < 1e-4) {
				t.Errorf("%s: %v, p %v; want %v", key, value[key], p[key], 0.5-whole)
			}
			if got := value["harrell_c of "+arm+", "+way]; got != 0.5 {
				t.Errorf("%s, %s: C %v without the rim, want 0.5", arm, way, got)
			}
		}
		key := "auc_difference of tumour_and_shell_5mm less whole, " + way
		if value[key] != 0 || p[key] != 1 {
			t.Errorf("%s: %v, p %v; the far background tells nothing", key, value[key], p[key])
		}
		key = "auc_difference of tumour_and_shell_5mm less tumour_only, " + way
		if math.Abs(value[key]-(whole-0.5)) > 1e-12 {
			t.Errorf("%s: %v, want %v", key, value[key], whole-0.5)
		}
		if holm := value[strings.Replace(key, "auc_difference", "auc_difference_p_holm", 1)]; !(holm >= p[key]) {
			t.Errorf("%s: Holm's p is %v, the raw one %v", key, holm, p[key])
		}
	}
	for _, arm := range []string{"background_only", "tumour_shuffled", "tumour_mean"} {
		if got := value["auc_difference of "+arm+" less whole, re-scored"]; got != 0 {
			t.Errorf("%s: difference %v to a scorer that does not read the tumour", arm, got)
		}
		if got := value["mean_score_shift of "+arm+", re-scored"]; got != 0 {
			t.Errorf("%s: the score shifts by %v", arm, got)
		}
	}
	if thin := value["auc of shell_removed_1mm, re-scored"]; math.Abs(thin-whole) > 0.1 {
		t.Errorf("without a thin part of the rim the AUC is %v, with all of it %v", thin, whole)
	}
	if got := value["spearman_to_whole of shell_shuffled_5mm, re-scored"]; !(got > 0.9 && got <= 1) {
		t.Errorf("a shuffled shell keeps its brightness, but Spearman is %v", got)
	}
	if _, there := value["spearman_to_whole of tumour_only, re-scored"]; there {
		t.Error("scores that are all equal have a correlation")
	}
	if shift := value["mean_score_shift of shell_removed_5mm, re-scored"]; !(shift < -0.05) {
		t.Errorf("without the bright rim the score moves by %v", shift)
	}
	if len(found.Exclusions) != 0 || len(found.Figures) != 2 || len(found.Lines) < 6 {
		t.Errorf("%d exclusions, %d figures, lines %q", len(found.Exclusions), len(found.Figures), found.Lines)
	}
	scores := found.Tables[1]
	if want := 24 * (1 + 8 + 3); scores.Rows() != want {
		t.Errorf("%d scores, want %d", scores.Rows(), want)
	}
	picture, err := os.ReadFile(filepath.Join(a.Dir, "tissue_ablation", "example.png"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
		t.Error(err)
	}
}

// The analysis gives the same bytes whoever does the work.
func TestTissueAblationForAnyNumberOfWorkers(t *testing.T) {
	r := newRinged(t)
	files := map[string][]byte{}
	for _, jobs := range []int{1, 3} {
		a := r.of(t, jobs, ringedSettings())
		found, err := a.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]byte{"lines": []byte(strings.Join(found.Lines, "\n")), "section": fmt.Appendf(nil, "%+v", found.Section)}
		for _, f := range found.Figures {
			got[f.Name] = f.SVG
		}
		for _, tab := range found.Tables {
			if err := tab.Write(filepath.Join(a.Dir, tab.Name+".arrow")); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"tissue_ablation.arrow", "tissue_ablation_scores.arrow", "tissue_ablation/example.png"} {
			b, err := os.ReadFile(filepath.Join(a.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = b
		}
		for name, b := range got {
			if jobs > 1 && !bytes.Equal(b, files[name]) {
				t.Errorf("%s differs with %d workers", name, jobs)
			}
		}
		files = got
	}
}

// Arms change the voxels they name, margin included, and no others.
func TestTissueArms(t *testing.T) {
	r := newRinged(t)
	set := ringedSettings()
	set.Arms = append(set.Arms, TissueArm{Kind: shellRemoved, ShellMM: 3}, TissueArm{Kind: tumourAndShell, ShellMM: 3})
	a := r.of(t, 2, set)
	if err := a.place(t.Context()); err != nil {
		t.Fatal(err)
	}
	var tumour [][3]int
	for m, in := range r.mask.In {
		if in != 0 {
			tumour = append(tumour, [3]int{m % 36, m / 36 % 36, m / 36 / 36})
		}
	}
	for i, edge := range map[int]int{0: ringedSize + 6, 2: ringedSize, 3: ringedSize} { // of train, and of test with and without a margin
		c := a.cubes[i]
		if c.Edge != edge {
			t.Fatalf("the cube of patient %d has an edge of %d, want %d", i, c.Edge, edge)
		}
		before := slices.Clone(c.HU)
		first := c.First()
		distance := make([]float64, len(c.HU))
		for k := range distance {
			distance[k] = math.Inf(1)
			here := [3]int{k%c.Edge + first[0], k/c.Edge%c.Edge + first[1], k/c.Edge/c.Edge + first[2]}
			for _, v := range tumour {
				d := 0.0
				for ax := range 3 {
					d += float64((here[ax] - v[ax]) * (here[ax] - v[ax]))
				}
				distance[k] = min(distance[k], math.Sqrt(d))
			}
		}
		for _, arm := range set.Arms {
			got := a.ablate(i, arm).HU
			inside := map[string]func(d float64) bool{
				tumourOnly:     func(d float64) bool { return d > 0 },
				tumourAndShell: func(d float64) bool { return d > arm.ShellMM },
				shellRemoved:   func(d float64) bool { return d > 0 && d <= arm.ShellMM },
				shellShuffled:  func(d float64) bool { return d > 0 && d <= arm.ShellMM },
				backgroundOnly: func(d float64) bool { return d == 0 },
				tumourShuffled: func(d float64) bool { return d == 0 },
				tumourMean:     func(d float64) bool { return d == 0 },
			}[arm.Kind]
			var old, now []float32
			moved := 0
			for k := range got {
				if !inside(distance[k]) {
					if got[k] != before[k] {
						t.Fatalf("%s of patient %d changes a voxel %v mm away", arm.name(), i, distance[k])
					}
					continue
				}
				old, now = append(old, before[k]), append(now, got[k])
				if got[k] != before[k] {
					moved++
				}
			}
			if len(old) == 0 || moved < len(old)*9/10 {
				t.Errorf("%s of patient %d changes %d of %d voxels", arm.name(), i, moved, len(old))
			}
			slices.Sort(old)
			slices.Sort(now)
			switch arm.Kind {
			case tumourShuffled, shellShuffled:
				if !slices.Equal(old, now) {
					t.Errorf("%s of patient %d has other values than before", arm.name(), i)
				}
			case tumourMean:
				sum := 0.0
				for _, v := range old {
					sum += float64(v)
				}
				if now[0] != now[len(now)-1] || math.Abs(float64(now[0])-sum/float64(len(old))) > 0.01 {
					t.Errorf("%s of patient %d: %v to %v, want the mean %v", arm.name(), i, now[0], now[len(now)-1], sum/float64(len(old)))
				}
			default:
				if now[0] != -850 || now[len(now)-1] != -850 {
					t.Errorf("%s of patient %d is filled with %v to %v", arm.name(), i, now[0], now[len(now)-1])
				}
			}
			if !slices.Equal(c.HU, before) {
				t.Fatalf("%s changed the cube itself", arm.name())
			}
		}
	}
	shuffled := TissueArm{Kind: tumourShuffled}
	if !slices.Equal(a.ablate(2, shuffled).HU, a.ablate(2, shuffled).HU) {
		t.Error("a second shuffle of the same patient is another")
	}
	if a.stream(shuffled, "P-02").Uint64() == a.stream(shuffled, "P-03").Uint64() {
		t.Error("two patients are shuffled alike")
	}
	a.Seed++
	again := a.ablate(2, shuffled).HU
	a.Seed--
	if slices.Equal(a.ablate(2, shuffled).HU, again) {
		t.Error("another seed shuffles alike")
	}
}

// Distances count what lies beyond the cube: of a tumour larger than the cube the nearest
// part may be outside.
func TestTissueZonesBeyondTheCube(t *testing.T) {
	g := volume.Grid{Size: [3]int{40, 40, 40}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}
	ct, mask := volume.NewVolume(g), volume.NewMask(g)
	for z := range 40 { // two plates, whose centre of mass lies between them
		for y := range 40 {
			mask.In[g.Offset(4, y, z)], mask.In[g.Offset(36, y, z)] = 1, 1
		}
	}
	mask.In[g.Offset(20, 20, 20)] = 1
	c, err := volume.CutCube(ct, mask, volume.CubeSpec{Size: 30, SpacingMM: 1})
	if err != nil {
		t.Fatal(err)
	}
	a := &tissueAblation{Input: &Input{Images: &ringed{scans: []*volume.Volume{ct}, mask: mask}}, mm: 1, size: 30,
		set: TissueAblation{Arms: []TissueArm{{Kind: shellRemoved, ShellMM: 2}, {Kind: shellRemoved, ShellMM: 3}}}}
	zones, err := a.zonesOf(t.Context(), 0, c)
	if err != nil {
		t.Fatal(err)
	}
	first := c.First()
	if first != [3]int{5, 4, 4} {
		t.Fatalf("the cube begins at %v", first)
	}
	row := zones[(16*30+2)*30:][:30] // far from the single voxel
	if row[0] != 1 || row[1] != 1 || row[2] != 2 || row[3] != 3 || row[27] != 3 || row[28] != 2 || row[29] != 1 {
		t.Errorf("zones along x are %v", row)
	}
}

func TestTissueAblationExcludes(t *testing.T) {
	r := newRinged(t)
	other := *r.scans[3]
	other.HU = slices.Clone(other.HU)
	for k := range other.HU {
		other.HU[k] += 60
	}
	r.scans[3], r.scans[4] = &other, nil
	r.cubes[7] = nil // excluded before: not again
	a := r.of(t, 2, ringedSettings())
	var retrained []*volume.Cube
	a.Retrain = func(_ context.Context, name string, cubes []*volume.Cube) ([]float64, error) {
		retrained = cubes
		return readRims(cubes), nil
	}
	found, err := a.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Exclusions) != 2 || found.Exclusions[0].Patient != "P-03" || !strings.Contains(found.Exclusions[0].Reason, "60 HU on average") ||
		found.Exclusions[1].Patient != "P-04" || !strings.Contains(found.Exclusions[1].Reason, "disk") || found.Exclusions[0].Stage != "analysis tissue_ablation" {
		t.Errorf("exclusions %+v", found.Exclusions)
	}
	if found.Tables[1].Rows() != 21*12 {
		t.Errorf("%d scores of 21 patients in 12 arms", found.Tables[1].Rows())
	}
	for i, c := range retrained {
		if (c == nil) != (i == 3 || i == 4 || i == 7) {
			t.Errorf("patient %d: cube for training %v", i, c != nil)
		}
	}
	for i := range r.scans {
		r.scans[i] = nil
	}
	var unfit *UnfitError
	if _, err := r.of(t, 2, ringedSettings()).run(t.Context()); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "disk") {
		t.Errorf("without scans: %v", err)
	}
}

// One patient has scores and no AUC.
func TestTissueAblationOfOne(t *testing.T) {
	r := newRinged(t)
	for i := range r.cubes {
		if i != 2 {
			r.cubes[i] = nil
		}
	}
	set := ringedSettings()
	set.Retrain = nil
	found, err := r.of(t, 1, set).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Figures) != 0 || found.Tables[1].Rows() != 9 || !strings.Contains(found.Lines[0], "no AUC") {
		t.Errorf("%d figures, %d scores, %q", len(found.Figures), found.Tables[1].Rows(), found.Lines)
	}
	for i, name := range found.Tables[0].Strings("metric") {
		if strings.HasPrefix(name, "auc") || strings.HasPrefix(name, "harrell") || found.Tables[0].Int64s("n")[i] != 1 {
			t.Errorf("one patient has a %s", name)
		}
	}
}

func TestTissueAblationSettings(t *testing.T) {
	if err := checkTissueAblation(Defaults()); err != nil {
		t.Fatal(err)
	}
	for field, test := range map[string]struct {
		change func(*TissueAblation)
		says   string
	}{
		"arms":             {func(s *TissueAblation) { s.Arms = nil }, "a list of 0"},
		"arms[0].kind":     {func(s *TissueAblation) { s.Arms[0].Kind = "tumor_only" }, "tumour_only, tumour_and_shell"},
		"arms[1].shell_mm": {func(s *TissueAblation) { s.Arms[1].ShellMM = 0 }, "above 0 and at most 50 mm"},
		"arms[0].shell_mm": {func(s *TissueAblation) { s.Arms[0].ShellMM = 3 }, "has no shell"},
		"arms[2]":          {func(s *TissueAblation) { s.Arms[2] = s.Arms[1] }, "tumour_and_shell_3mm"},
		"fill_hu":          {func(s *TissueAblation) { s.FillHU = math.NaN() }, "between -1024 and 3071 HU"},
		"retrain[1]":       {func(s *TissueAblation) { s.Retrain = []string{"tumour_only", "all"} }, "all alone"},
		"retrain[0]":       {func(s *TissueAblation) { s.Retrain = []string{"shell_removed_4mm"} }, "shell_removed_3mm"},
	} {
		s := Defaults()
		test.change(&s.TissueAblation)
		var wrong *SettingError
		if err := checkTissueAblation(s); !errors.As(err, &wrong) || wrong.Field != "tissue_ablation."+field || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", field, err, test.says)
		}
	}
	r := newRinged(t)
	in := r.of(t, 1, ringedSettings()).Input
	for id, ok := range map[string]bool{"": true, "P-02": true, "P-00": false, "P-99": false} {
		in.Settings.TissueAblation.Example = id
		var wrong *SettingError
		if err := readyTissueAblation(in); (err == nil) != ok || !ok && !errors.As(err, &wrong) {
			t.Errorf("example %q: %v", id, err)
		}
	}
	var unfit *UnfitError
	if _, err := runTissueAblation(t.Context(), in); !errors.As(err, &unfit) {
		t.Errorf("without networks: %v", err)
	}
}

// With a single death no AUC has an interval: what is left are scores and their shifts.
func TestTissueAblationOneDeath(t *testing.T) {
	r := newRinged(t)
	died := false
	for i, p := range r.cohort.Patients {
		o := &r.outcomes[i]
		o.Alive2yr = table.Some(true)
		if p.Role == datasets.Test && !died {
			o.Alive2yr, died = table.Some(false), true
		}
	}
	found, err := r.of(t, 2, ringedSettings()).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(found.Tables[0].Strings("metric"), "auc") || len(found.Figures) != 0 {
		t.Error("one death has an AUC")
	}
}
