package analysis

import (
	"context"
	"fmt"
	"math"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/stats"
)

// TestRetest are the settings of the analysis test_retest.
type TestRetest struct {
	// Imaging is a folder that `hounsfield prepare` wrote, with the second scans of patients
	// beyond the run's cohort, such as RIDER's; all of its patients are taken. Empty: the
	// run's own.
	Imaging string `yaml:"imaging"`
	// Role is whose patients of the run's cohort: test, tune, train or all.
	Role string `yaml:"role"`
}

func defaultTestRetest() TestRetest { return TestRetest{Role: string(datasets.Test)} }

const testRetestName = "test_retest"

var testRetestStep = step{
	words: "whether the scores of two scans of a patient are the same",
	needs: needs{images: true, networks: true},
	check: func(s Settings) error {
		return checkRepeats(testRetestName, s.TestRetest.Imaging, s.TestRetest.Role)
	},
	files: func(s Settings) []string { return imagingFiles(s.TestRetest.Imaging) },
	ready: readyTestRetest,
	run:   runTestRetest,
}

// fewestRepeats are the patients without whom no agreement can be said.
const fewestRepeats = 3

// readyTestRetest looks for patients with a second scan before networks are trained.
func readyTestRetest(in *Input) error {
	m, err := openImaged(in, testRetestName, in.Settings.TestRetest.Imaging, in.Settings.TestRetest.Role)
	if err != nil {
		return err
	}
	found := 0
	for _, p := range m.patients {
		if ct, _, err := m.images.SecondScan(context.Background(), p.image); err == nil && ct != nil {
			if found++; found == fewestRepeats {
				return nil
			}
		}
	}
	return m.tooFew(found, "")
}

// tooFew says how many were found; why some were lost may be empty.
func (m *imaged) tooFew(found int, why string) error {
	next := "name a folder of patients who were scanned twice, such as one made by `hounsfield prepare` from the data set rider-lung-ct, in analysis.test_retest.imaging"
	if m.Phantom != nil && m.folder == "" {
		next = "raise data.phantom.second_scans or the number of patients, or take analysis.test_retest.role all"
	}
	if m.folder != "" {
		next = "name a folder of patients who were scanned twice in analysis.test_retest.imaging"
	}
	return m.unfit(fmt.Sprintf("%d of the %d patients of %s have two scans that can be read, and %d are the fewest%s", found, len(m.patients), m.whose(), fewestRepeats, why), next)
}

// retest is a patient scanned twice; places 0 and 1 are the scans.
type retest struct {
	lost   string // why a patient with a second scan is lost
	score  [2]float64
	mm3    [2]float64 // volume inside the contour
	padded [2]int     // voxels of the cube beyond the scan
	differ float64    // of the first cube from the run's, HU; NaN without one
}

// testRetest is the analysis under way.
type testRetest struct {
	*imaged
	all    []retest // by patient
	chosen []int    // patients scanned twice, with both scores
}

func runTestRetest(ctx context.Context, in *Input) (*Result, error) {
	m, err := openImaged(in, testRetestName, in.Settings.TestRetest.Imaging, in.Settings.TestRetest.Role)
	if err != nil {
		return nil, err
	}
	return (&testRetest{imaged: m}).run(ctx)
}

func (t *testRetest) run(ctx context.Context) (*Result, error) {
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	if len(t.chosen) < fewestRepeats {
		return nil, t.tooFew(len(t.chosen), firstLost(t.exclusions()))
	}
	measures, err := t.measures()
	if err != nil {
		return nil, err
	}
	return t.result(measures)
}

// read scores both scans of all patients who have two.
func (t *testRetest) read(ctx context.Context) error {
	t.all = make([]retest, len(t.patients))
	places := make([]int, len(t.patients))
	for k := range places {
		places[k] = k
	}
	return t.scoreEach(ctx, "scoring second scans: patients", places, 2, t.cut, func(k int, scores []float64) error {
		r := &t.all[k]
		r.score = [2]float64(scores)
		t.chosen = append(t.chosen, k)
		return t.scoreAsRun(k, r.differ, scores[0])
	})
}

// cut makes the cubes of both scans of patient k.
func (t *testRetest) cut(ctx context.Context, k int) ([]*volume.Cube, error) {
	r, p := &t.all[k], t.patients[k]
	lose := func(what string, err error) ([]*volume.Cube, error) {
		r.lost = fmt.Sprintf("%s: %v", what, err)
		return nil, ctx.Err()
	}
	ct, mask, err := t.images.SecondScan(ctx, p.image)
	if err != nil {
		return lose("second scan", err)
	}
	if ct == nil {
		return nil, nil
	}
	second, err := volume.CutCube(ct, mask, t.spec)
	if err != nil {
		return lose("second scan", err)
	}
	if ct, mask, err = t.images.Scan(ctx, p.image); err != nil {
		return lose("first scan", err)
	}
	first, err := volume.CutCube(ct, mask, t.spec)
	if err != nil {
		return lose("first scan", err)
	}
	if r.differ, err = t.asRun(k, first); err != nil {
		return nil, err
	}
	r.mm3, r.padded = [2]float64{first.VolumeMM3, second.VolumeMM3}, [2]int{first.Padded, second.Padded}
	return []*volume.Cube{first, second}, nil
}

// The two groups of measures.
const (
	groupScore  = "score"
	groupVolume = "volume (mm3)"
)

func (t *testRetest) pairs(group string, of func(r retest) [2]float64) Pairs {
	p := Pairs{FirstName: "first scan", SecondName: "second scan", Group: group, Level: t.Level}
	for _, k := range t.chosen {
		v := of(t.all[k])
		p.First, p.Second = append(p.First, v[0]), append(p.Second, v[1])
	}
	return p
}

func (t *testRetest) scores() Pairs {
	return t.pairs(groupScore, func(r retest) [2]float64 { return r.score })
}

func (t *testRetest) volumes() Pairs {
	p := t.pairs(groupVolume, func(r retest) [2]float64 { return r.mm3 })
	p.What = "volumes"
	return p
}

func (t *testRetest) measures() ([]Measure, error) {
	var out []Measure
	for _, p := range []Pairs{t.scores(), t.volumes()} {
		steps := []func() ([]Measure, error){p.Repeatability, p.precision}
		if p.Group == groupScore {
			steps = append(steps, func() ([]Measure, error) { return p.RiskGroups(t.Cut) })
		} else {
			steps = append(steps, p.relative)
		}
		for _, s := range steps {
			more, err := s()
			if err != nil {
				return nil, fmt.Errorf("the analysis %s, %s: %w", t.analysis, p.Group, err)
			}
			out = append(out, more...)
		}
	}
	return out, nil
}

// relative measures the error of a quantity above 0 in parts of itself.
func (p Pairs) relative() ([]Measure, error) {
	m := &measuring{group: p.Group, level: p.Level}
	logs := p.ratings()
	for _, row := range logs {
		for j, v := range row {
			row[j] = math.Log(v)
		}
	}
	m.try(func() error {
		e, err := stats.MeasurementError(stats.AgreementError, logs, p.Level)
		cv := func(sd float64) float64 { return math.Sqrt(math.Expm1(sd * sd)) }
		m.add(err, withinCV, "of the logarithms' within-patient SD s, √(exp(s²)-1); exact CI by chi-square", e.Subjects,
			stats.Interval{Estimate: cv(e.SEM.Estimate), Low: cv(e.SEM.Low), High: cv(e.SEM.High)}, math.NaN())
		return err
	})
	return m.out, m.err
}

const testRetestScores = "test_retest_scores"

func (t *testRetest) table() (*table.Table, error) {
	rows := t.chosen
	number := func(of func(r retest) float64) []float64 {
		return table.ColumnOf(rows, func(k int) float64 { return of(t.all[k]) })
	}
	group := func(scan int) []string {
		return table.ColumnOf(rows, func(k int) string { return groupName(t.all[k].score[scan] > t.Cut) })
	}
	sides := []string{"low", "high"}
	return table.New(table.Schema{Name: testRetestScores, Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true},
		{Name: "cohort", Type: table.String},
		{Name: "score_first", Type: table.Float64, Direction: riskDirection},
		{Name: "score_second", Type: table.Float64, Direction: riskDirection},
		{Name: "risk_group_first", Type: table.String, Allowed: sides, Description: "at the run's cut"},
		{Name: "risk_group_second", Type: table.String, Allowed: sides},
		{Name: "volume_first", Type: table.Float64, Unit: "mm3", Description: "inside the contour"},
		{Name: "volume_second", Type: table.Float64, Unit: "mm3"},
		{Name: "padded_first", Type: table.Int64, Description: "voxels of the cube beyond the scan, filled with air"},
		{Name: "padded_second", Type: table.Int64},
	}}, t.Provenance, map[string]any{
		"patient_id":        table.ColumnOf(rows, func(k int) string { return t.patients[k].id }),
		"cohort":            table.ColumnOf(rows, func(k int) string { return t.patients[k].cohort }),
		"score_first":       number(func(r retest) float64 { return r.score[0] }),
		"score_second":      number(func(r retest) float64 { return r.score[1] }),
		"risk_group_first":  group(0),
		"risk_group_second": group(1),
		"volume_first":      number(func(r retest) float64 { return r.mm3[0] }),
		"volume_second":     number(func(r retest) float64 { return r.mm3[1] }),
		"padded_first":      table.ColumnOf(rows, func(k int) int64 { return int64(t.all[k].padded[0]) }),
		"padded_second":     table.ColumnOf(rows, func(k int) int64 { return int64(t.all[k].padded[1]) }),
	})
}

// exclusions are the patients who have a second scan and no place here.
func (t *testRetest) exclusions() []datasets.Exclusion {
	var out []datasets.Exclusion
	for k, r := range t.all {
		if r.lost != "" {
			out = append(out, t.lost(k, r.lost))
		}
	}
	return out
}
