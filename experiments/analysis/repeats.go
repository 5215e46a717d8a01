package analysis

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/volume"
	"hounsfield/models/engine"
	"hounsfield/stats"
)

// imaged are the patients whose scans an analysis reads, and how it scores them.
type imaged struct {
	*Input
	analysis string
	images   datasets.Images
	patients []imagedPatient
	folder   string // of patients beyond the run's cohort; "" for the cohort itself
	role     string // of the cohort, or all
	spec     volume.CubeSpec
	score    func(context.Context, []*volume.Cube) ([]float64, error)
}

type imagedPatient struct {
	id, cohort string
	role       datasets.Role // in the run's cohort; "" for somebody else
	image      int           // place among images
	row        int           // of the run's cohort; -1 in another folder
}

// checkRepeats looks at the settings that test_retest and inter_reader share.
func checkRepeats(analysis, imaging, role string) error {
	roles := []string{string(datasets.Train), string(datasets.Tune), string(datasets.Test), roleAll}
	if !slices.Contains(roles, role) {
		return &SettingError{Field: analysis + ".role", Value: role, Allowed: "one of " + strings.Join(roles, ", ")}
	}
	if imaging != "" && role != string(datasets.Test) {
		return &SettingError{Field: analysis + ".role", Value: role, Allowed: "left out where imaging names a folder, all of whose patients are taken"}
	}
	return nil
}

// imagingFiles is the table that stands for a folder and all of its files.
func imagingFiles(folder string) []string {
	if folder == "" {
		return nil
	}
	return []string{filepath.Join(folder, prepare.ImagingFile)}
}

// openImaged finds the patients: those of a role of the run's cohort with scans, or all of
// another folder that `hounsfield prepare` wrote, on a grid that the networks' voxels fit.
// Errors: *UnfitError, those of package prepare.
func openImaged(in *Input, analysis, folder, role string) (*imaged, error) {
	m := &imaged{Input: in, analysis: analysis, images: in.Images, folder: folder, role: role}
	m.spec = in.Spec
	if in.Networks != nil { // not so before they are trained
		m.score = in.Networks.Score
	}
	if folder == "" && in.Images == nil {
		return nil, m.unfit("the run's patients have no scans beside their cubes", "prepare them again without --no-volumes, or name another folder in analysis."+analysis+".imaging")
	}
	rows := map[string]int{}
	for i, p := range in.Cohort.Patients {
		rows[p.ID] = i
	}
	if folder != "" {
		var err error
		if m.images, err = prepare.OpenImages(folder); err != nil {
			return nil, fmt.Errorf("analysis.%s.imaging: %w", analysis, err)
		}
	}
	for k, id := range m.images.IDs() {
		row, known := rows[id]
		switch {
		case folder != "":
			p := imagedPatient{id: id, cohort: filepath.Base(folder), image: k, row: -1}
			if known {
				p.role = in.Cohort.Patients[row].Role
			}
			m.patients = append(m.patients, p)
		case known && (role == roleAll || string(in.Cohort.Patients[row].Role) == role):
			p := in.Cohort.Patients[row]
			m.patients = append(m.patients, imagedPatient{id: id, cohort: p.Cohort, role: p.Role, image: k, row: row})
		}
	}
	if len(m.patients) == 0 {
		next := "take another role in analysis." + analysis + ".role"
		if folder != "" {
			next = "name another folder in analysis." + analysis + ".imaging"
		}
		return nil, m.unfit("no patient of "+m.whose()+" has a scan", next)
	}
	return m, m.fits()
}

// fits says whether the scans that another folder keeps can stand for those that the networks
// learned from. They lie on an isotropic grid already; every second or third of its points
// are what the scan itself would give there, others would be interpolated for a second time.
func (m *imaged) fits() error {
	if m.folder == "" || !(m.spec.SpacingMM > 0) {
		return nil
	}
	mask, err := datasets.Contour(context.Background(), m.images, m.patients[0].image)
	if err != nil {
		return nil // that patient is lost when the scans are read
	}
	kept := mask.Grid.Spacing[0]
	steps := math.Round(m.spec.SpacingMM / kept)
	if steps >= 1 && math.Abs(steps*kept-m.spec.SpacingMM) <= 1e-4*kept {
		return nil
	}
	return m.unfit(fmt.Sprintf("%s keeps scans on a grid of %.4g mm, and the networks read voxels of %g mm, which would be interpolated from interpolated ones", m.whose(), kept, m.spec.SpacingMM),
		fmt.Sprintf("set cube.spacing_mm to %.4g or a whole multiple of it and train with that", kept))
}

func (m *imaged) unfit(lacks, next string) error {
	return &UnfitError{Analysis: m.analysis, Lacks: lacks, Next: next}
}

// whose names the patients.
func (m *imaged) whose() string {
	switch {
	case m.folder != "":
		return "the folder " + m.folder
	case m.role == roleAll:
		return "the cohort"
	default:
		return "the " + m.role + " role"
	}
}

// where names them in the report, which does not tell where folders lie.
func (m *imaged) where() string {
	if m.folder != "" {
		return "the folder " + filepath.Base(m.folder)
	}
	return m.whose()
}

// learned are those of the patients at some places whom the run's networks were trained or
// tuned on, once each.
func (m *imaged) learned(places []int) []string {
	var ids []string
	for _, k := range slices.Compact(slices.Sorted(slices.Values(places))) {
		if p := m.patients[k]; p.role == datasets.Train || p.role == datasets.Tune {
			ids = append(ids, p.id)
		}
	}
	return ids
}

func (m *imaged) lost(k int, reason string) datasets.Exclusion {
	return datasets.Exclusion{Patient: m.patients[k].id, Cohort: m.patients[k].cohort, Stage: "analysis " + m.analysis, Reason: reason}
}

// firstLost names the first of some exclusions for an error; empty without one.
func firstLost(all []datasets.Exclusion) string {
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d could not be used, the first %s: %s)", len(all), all[0].Patient, all[0].Reason)
}

// portion is the number of cubes that are in memory at a time, more or less: 0.5 MB each.
const portion = 256

// scoreEach makes the cubes of each patient in places, by Jobs workers, and scores them,
// each patient's about perPatient. cut gives those of patient k, none for one who is lost;
// its error stops everything. keep gets their scores, one patient after another.
func (m *imaged) scoreEach(ctx context.Context, what string, places []int, perPatient int, cut func(ctx context.Context, k int) ([]*volume.Cube, error), keep func(k int, scores []float64) error) error {
	bar := m.Progress.Bar(len(places), what)
	for some := range slices.Chunk(places, max(portion/max(perPatient, 1), 1)) {
		cubes := make([][]*volume.Cube, len(some))
		g, within := errgroup.WithContext(ctx)
		g.SetLimit(max(m.Jobs, 1))
		for i, k := range some {
			g.Go(func() (err error) {
				if err := within.Err(); err != nil {
					return err
				}
				cubes[i], err = cut(within, k)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		all := slices.Concat(cubes...)
		scores := make([]float64, 0, len(all))
		for part := range slices.Chunk(all, portion) {
			s, err := m.score(ctx, part)
			if err != nil {
				return err
			}
			scores = append(scores, s...)
		}
		for i, k := range some {
			n := len(cubes[i])
			if n > 0 {
				if err := keep(k, scores[:n]); err != nil {
					return err
				}
			}
			scores = scores[n:]
		}
		bar.Add(len(some))
	}
	bar.Done()
	return nil
}

// The largest differences there may be between the run's cube or score of a patient and
// what comes back from the scan. Prepared folders keep scans in whole HU, their cubes not.
const (
	keptHU    = 0.51 // half of a whole HU and some rounding
	sameHU    = 0.01
	sameScore = 1e-6
	// A graphics card multiplies in 10 bits or fewer and may choose another order of sums each
	// time that a network is compiled.
	sameScoreCUDA = 0.01
)

// asRun holds the cube of a patient's first scan against the one that the run scored, and
// gives the largest difference in HU. NaN: the run has no cube of the patient.
func (m *imaged) asRun(k int, c *volume.Cube) (float64, error) {
	p := m.patients[k]
	if p.row < 0 || m.Cubes == nil || m.Cubes[p.row] == nil {
		return math.NaN(), nil
	}
	most := 0.0
	was, is := m.Cubes[p.row].Central(m.spec.Size), c.Central(m.spec.Size)
	for i := range was {
		most = max(most, math.Abs(float64(was[i])-float64(is[i])))
	}
	if !(most <= keptHU) {
		return most, fmt.Errorf("patient %s: the cube cut from the scan differs by %.4g HU from the one that the run scored: a fault of this program, or the folder was prepared with another contour; prepare it again or report this", p.id, most)
	}
	return most, nil
}

// scoreAsRun holds the score of that cube against the run's.
func (m *imaged) scoreAsRun(k int, differs, score float64) error {
	p := m.patients[k]
	if differs > sameHU || math.IsNaN(differs) || math.IsNaN(m.Scores[p.row]) {
		return nil
	}
	same := m.sameScore()
	if d := math.Abs(score - m.Scores[p.row]); !(d <= same) {
		return fmt.Errorf("patient %s: the score of the first scan is %.9g, the run's own is %.9g: they come from the same cube and must agree to %g; report this", p.id, score, m.Scores[p.row], same)
	}
	return nil
}

// sameScore is how far two scores of one cube may be apart on the networks' engine.
func (m *imaged) sameScore() float64 {
	if m.Networks != nil && m.Networks.Engine != nil && !m.Networks.Engine.Settings.Deterministic && slices.Contains([]string{engine.XLACUDA, engine.ONNXCUDA}, m.Networks.Engine.Name) {
		return sameScoreCUDA
	}
	return sameScore
}

// bootstrap is the percentile interval of a figure of n patients, who are drawn with
// replacement; resample b depends on the seed and b alone. Resamples without the figure
// (NaN) do not count; NaN limits when more than one in ten has none.
func bootstrap(n, resamples int, seed uint64, level float64, of func(rows []int) float64) stats.Interval {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	v := plain(of(rows))
	if n < 2 {
		return v
	}
	var got []float64
	for b := range resamples {
		random := rand.New(rand.NewPCG(seed, uint64(b)))
		for i := range rows {
			rows[i] = random.IntN(n)
		}
		if x := of(rows); !math.IsNaN(x) {
			got = append(got, x)
		}
	}
	if 10*len(got) < 9*resamples {
		return v
	}
	slices.Sort(got)
	v.Low, v.High = quantile(got, (1-level)/2), quantile(got, (1+level)/2)
	return v
}

// quantile is linear between order statistics (R's type 7) of sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	k := int(at)
	if k+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[k] + (at-float64(k))*(sorted[k+1]-sorted[k])
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
