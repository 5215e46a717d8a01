package phantom

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"hounsfield/datasets"
)

func phantom(t testing.TB, change func(*Spec)) *Phantom {
	t.Helper()
	spec := Default()
	if change != nil {
		change(&spec)
	}
	p, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// many is a cohort large enough to see the population.
func many(t testing.TB, n int) *Phantom {
	return phantom(t, func(s *Spec) { s.Patients = PatientsPerRole{Train: n} })
}

// auc counts pairs: how often the dead have the higher score.
func auc(score []float64, dead []bool) float64 {
	won, pairs := 0.0, 0.0
	for i, a := range score {
		for j, b := range score {
			if !dead[i] || dead[j] {
				continue
			}
			pairs++
			if a > b {
				won++
			} else if a == b {
				won += 0.5
			}
		}
	}
	return won / pairs
}

// labelled are the subjects of one role with a two-year label.
func labelled(p *Phantom, role datasets.Role) (subjects []Subject, dead []bool) {
	for i := range p.Len() {
		if s := p.Subject(i); s.Patient.Role == role && s.Outcome.Alive2yr.Valid {
			subjects, dead = append(subjects, s), append(dead, !s.Outcome.Alive2yr.V)
		}
	}
	return subjects, dead
}

func hazards(subjects []Subject) []float64 {
	out := make([]float64, len(subjects))
	for i, s := range subjects {
		out[i] = s.Hazard
	}
	return out
}

func TestTrueHazardSeparatesTheDead(t *testing.T) {
	check := func(what string, p *Phantom, role datasets.Role, low, high float64) {
		t.Helper()
		subjects, dead := labelled(p, role)
		deaths := 0
		for _, d := range dead {
			if d {
				deaths++
			}
		}
		a, share := auc(hazards(subjects), dead), float64(deaths)/float64(len(dead))
		t.Logf("%s: %d labelled, %.3f dead, AUC of the true hazard %.4f", what, len(dead), share, a)
		if !(a >= low && a <= high) || !(share >= 0.45 && share <= 0.55) {
			t.Errorf("%s: AUC %.3f (want %g to %g), dead %.3f (want 0.45 to 0.55)", what, a, low, high, share)
		}
	}
	p := phantom(t, nil)
	for _, r := range roles {
		check(string(r), p, r, 0.82, 0.88)
	}
	check("population", many(t, 4000), datasets.Train, 0.84, 0.87)
	if risk := p.TrueRisk(); len(risk) != p.Len() || risk[7] != p.Subject(7).Hazard {
		t.Error("TrueRisk is not the hazard of each subject in order")
	}
}

func TestEachTraitActsAsTheSpecificationSays(t *testing.T) {
	subjects, dead := labelled(many(t, 4000), datasets.Train)
	names := [9]string{"size", "density", "spiculation", "necrosis", "halo", "vessel", "pleura", "age", "stage"}
	for k, beta := range Default().Hazard.coefficients() {
		score := make([]float64, len(subjects))
		for i, s := range subjects {
			score[i] = s.Traits.standardised()[k]
		}
		a := auc(score, dead)
		t.Logf("%-11s coefficient %.2f, AUC alone %.3f", names[k], beta, a)
		// The standard error of an AUC of 0.5 is 0.0095 here.
		if beta > 0 && a < 0.53 || beta == 0 && math.Abs(a-0.5) > 0.03 {
			t.Errorf("%s has coefficient %g and AUC %.3f", names[k], beta, a)
		}
	}
	// What the image shows must matter more than the chart, and the halo by itself.
	without := func(drop ...int) float64 {
		score := make([]float64, len(subjects))
		for i, s := range subjects {
			z := s.Traits.standardised()
			for k, beta := range Default().Hazard.coefficients() {
				if !slices.Contains(drop, k) {
					score[i] += beta * z[k]
				}
			}
		}
		return auc(score, dead)
	}
	all := without()
	if chart, halo := all-without(7, 8), all-without(4); chart > 0.03 || halo < 0.04 {
		t.Errorf("losing age and stage costs %.3f of AUC, losing the halo %.3f", chart, halo)
	}
}

func TestTraitsAreStandardised(t *testing.T) {
	p := many(t, 20000)
	var sum, square [9]float64
	sizeStage, n := 0.0, float64(p.Len())
	for i := range p.Len() {
		tr := p.Subject(i).Traits
		if tr.DiameterMM < diameterMin || tr.DiameterMM > diameterMax || tr.AgeYears < 35 || tr.AgeYears > 92 {
			t.Fatalf("subject %d: %+v", i, tr)
		}
		z := tr.standardised()
		for k, v := range z {
			sum[k] += v / n
			square[k] += v * v / n
		}
		sizeStage += z[0] * z[8] / n
	}
	for k := range sum {
		sd := math.Sqrt(square[k] - sum[k]*sum[k])
		if math.Abs(sum[k]) > 0.03 || math.Abs(sd-1) > 0.06 {
			t.Errorf("trait %d has mean %.3f and standard deviation %.3f", k, sum[k], sd)
		}
	}
	if sizeStage < 0.4 || sizeStage > 0.7 {
		t.Errorf("size and stage correlate with %.2f", sizeStage)
	}
}

func TestSurvivalIsCensoredAsDeclared(t *testing.T) {
	spec := Default().Survival
	unlabelled, lost := 0, 0
	const n = 8000
	// With hazard ratio 1 and nothing cut short, half die by the median.
	early := 0
	free := Survival{MedianDays: spec.MedianDays, Shape: spec.Shape, FollowUpDays: [2]float64{1e5, 1e5}}
	for i := range n {
		o := spec.draw(stream(1, forSurvival, i), 0)
		if !o.Alive2yr.Valid {
			unlabelled++
			if o.Event.V || o.SurvivalDays.V > datasets.TwoYears {
				t.Fatalf("no label for %+v", o)
			}
		}
		if !o.Event.V {
			lost++
		}
		if o.SurvivalDays.V < 1 || o.SurvivalDays.V != math.Trunc(o.SurvivalDays.V) || o.SurvivalDays.V > spec.FollowUpDays[1]+1 {
			t.Fatalf("days %v", o.SurvivalDays.V)
		}
		if free.draw(stream(1, forSurvival, i), 0).SurvivalDays.V <= spec.MedianDays {
			early++
		}
	}
	if f := float64(early) / n; math.Abs(f-0.5) > 0.02 {
		t.Errorf("%.3f of average patients die by the median", f)
	}
	if f := float64(unlabelled) / n; f < 0.04 || f > 0.15 {
		t.Errorf("%.3f have no label", f)
	}
	if f := float64(lost) / n; f < 0.1 || f > 0.5 {
		t.Errorf("%.3f are censored", f)
	}
}

func TestCohort(t *testing.T) {
	p := phantom(t, nil)
	c := p.Cohort()
	if c.Name != "phantom" || len(c.Patients) != 500 || len(c.Of(datasets.Train)) != 200 || len(c.Of(datasets.Tune)) != 100 || len(c.Of(datasets.Test)) != 200 {
		t.Fatalf("cohort %s of %d", c.Name, len(c.Patients))
	}
	tune, err := c.Outcomes(datasets.Tune)
	if err != nil {
		t.Fatal(err)
	}
	if tune[3] != p.Subject(203).Outcome || c.Patients[203].ID != "TUNE-0004" {
		t.Errorf("patient 203 is %s with %+v", c.Patients[203].ID, tune[3])
	}
	if _, err := c.Outcomes(datasets.Test); err == nil {
		t.Error("the test role is not sealed")
	}
	ages, histologies := 0, 0
	for _, x := range c.Patients {
		if !x.Age.Valid {
			ages++
		}
		if !x.Histology.Valid {
			histologies++
		}
	}
	if ages == 0 || ages > 40 || histologies == 0 || histologies > 40 {
		t.Errorf("%d ages and %d histologies missing of 500, about 15 expected", ages, histologies)
	}
}

func TestExpression(t *testing.T) {
	p := phantom(t, nil)
	e := p.Expression()
	n := len(e.Patients)
	if n != p.Len() || len(e.Genes) != 2000 || len(e.Values) != n*2000 || len(e.Sets) != 60 {
		t.Fatalf("%d patients, %d genes, %d values, %d sets", n, len(e.Genes), len(e.Values), len(e.Sets))
	}
	row := map[string]int{}
	for g, name := range e.Genes {
		row[name] = g
	}
	if len(row) != len(e.Genes) {
		t.Error("gene ids repeat")
	}
	hazard := standardise(p.TrueRisk())
	r := make([]float64, len(e.Genes))
	for g := range r {
		for i, v := range standardise(e.Values[g*n : (g+1)*n]) {
			r[g] += v * hazard[i] / float64(n)
		}
	}
	planted := map[string]bool{}
	for k, s := range e.Sets {
		mean := 0.0
		for _, g := range s.Genes {
			if planted[g] {
				t.Errorf("%s holds the planted gene %s", s.Name, g)
			}
			mean += r[row[g]] / float64(len(s.Genes))
		}
		if k < len(plantedSets) {
			for _, g := range s.Genes {
				planted[g] = true
			}
		} else if s.Correlation != 0 || len(s.Genes) < nullSetMin {
			t.Errorf("null set %+v", s)
		}
		// The mean of k genes has a standard error of 0.045/sqrt(k), 0.014 for 10.
		if math.Abs(mean-s.Correlation) > 0.05 {
			t.Errorf("%s: mean correlation with the hazard %.3f, planted %.3f", s.Name, mean, s.Correlation)
		}
	}
	again := p.Expression()
	if !slices.Equal(again.Values, e.Values) {
		t.Error("the matrix differs the second time")
	}
}

func TestSpecGoesThroughYAML(t *testing.T) {
	text, err := yaml.Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	var back Spec
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, Default()) {
		t.Errorf("came back as %+v", back)
	}
	for _, key := range []string{"second_scans:", "follow_up_days:", "noise_hu:", "necrosis:", "missing:", "dicom:"} {
		if !strings.Contains(string(text), key) {
			t.Errorf("YAML has no %s", key)
		}
	}
}

func TestSpecErrors(t *testing.T) {
	for field, change := range map[string]func(*Spec){
		"patients":                    func(s *Spec) { s.Patients = PatientsPerRole{} },
		"patients.tune":               func(s *Spec) { s.Patients.Tune = -1 },
		"second_scans":                func(s *Spec) { s.SecondScans = 1.1 },
		"missing":                     func(s *Spec) { s.Missing = math.NaN() },
		"readers":                     func(s *Spec) { s.Readers = -1 },
		"scanners.test":               func(s *Spec) { s.Scanners.Test = nil },
		"scanners.train[1].pixel_mm":  func(s *Spec) { s.Scanners.Train = []Scanner{s.Scanners.Train[0], {SliceMM: 1}} },
		"scanners.tune[0].blur_mm":    func(s *Spec) { s.Scanners.Tune = []Scanner{{PixelMM: 1, SliceMM: 1, BlurMM: 9}} },
		"hazard.halo":                 func(s *Spec) { s.Hazard.Halo = math.Inf(1) },
		"survival.shape":              func(s *Spec) { s.Survival.Shape = 0 },
		"survival.follow_up_days[1]":  func(s *Spec) { s.Survival.FollowUpDays[1] = 10 },
		"expression.genes":            func(s *Spec) { s.Expression.Genes = 100 },
		"expression.sets":             func(s *Spec) { s.Expression.Sets = 1 },
		"scanners.train[0].offset_hu": func(s *Spec) { s.Scanners.Train = []Scanner{{PixelMM: 1, SliceMM: 1, OffsetHU: 1e4}} },
		"scanners.train[0].noise_hu":  func(s *Spec) { s.Scanners.Train = []Scanner{{PixelMM: 1, SliceMM: 1, NoiseHU: -1}} },
		"scanners.train[0].slice_mm":  func(s *Spec) { s.Scanners.Train = []Scanner{{PixelMM: 1, SliceMM: 9}} },
		"survival.median_days":        func(s *Spec) { s.Survival.MedianDays = 0 },
		"survival.loss_per_year":      func(s *Spec) { s.Survival.LossPerYear = -1 },
		"survival.follow_up_days[0]":  func(s *Spec) { s.Survival.FollowUpDays[0] = 0 },
		"hazard.age":                  func(s *Spec) { s.Hazard.Age, s.Hazard.Size = 6, 7 },
	} {
		spec := Default()
		change(&spec)
		_, err := New(spec)
		var e *SpecError
		if !errors.As(err, &e) || e.Field != field || e.Allowed == "" || e.Error() != fmt.Sprintf("phantom: %s is %s; allowed: %s", e.Field, e.Value, e.Allowed) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// The contour alone is that of the scan, and image, age and stage make up the hazard.
func TestPartsMakeUpTheWhole(t *testing.T) {
	p, err := New(Default())
	if err != nil {
		t.Fatal(err)
	}
	images := p.Images()
	for _, i := range []int{0, 31, 407} {
		_, want := p.Scan(i)
		got, err := datasets.Contour(t.Context(), images, i)
		if err != nil || got.Grid != want.Grid || !bytes.Equal(got.In, want.In) {
			t.Errorf("subject %d: the contour is not the scan's (%v)", i, err)
		}
	}
	seen, whole := p.ImageRisk(), p.TrueRisk()
	perYear, perStage := p.ClinicalHazard()
	mean := 0.0
	for i := range whole {
		traits := p.Subject(i).Traits
		chart := perYear*(traits.AgeYears-ageMean) + perStage*(float64(traits.StageNumber)-stageMean)
		if d := whole[i] - seen[i] - chart; math.Abs(d) > 1e-12 {
			t.Fatalf("subject %d: %v is left of the hazard", i, d)
		}
		mean += math.Abs(chart) / float64(len(whole))
	}
	if mean < 0.1 {
		t.Errorf("age and stage move the log hazard by %v only", mean)
	}
}

// Without the halo's weight the hazard orders the dead less well; without a change it is the
// hazard itself, and nobody else's hazard changes.
func TestRiskHad(t *testing.T) {
	p := phantom(t, nil)
	whole := p.TrueRisk()
	if same := p.RiskHad(func(*Hazard) {}); !slices.Equal(same, whole) {
		t.Error("the hazard unchanged is another")
	}
	rest := p.RiskHad(func(h *Hazard) { h.Halo = 0 })
	var with, without []float64
	var dead []bool
	for i := range p.Len() {
		s := p.Subject(i)
		if got, want := whole[i]-rest[i], Default().Hazard.Halo*(s.Traits.Halo-0.5)*math.Sqrt(12); math.Abs(got-want) > 1e-12 {
			t.Fatalf("subject %d: the halo's part is %v, want %v", i, got, want)
		}
		if s.Outcome.Alive2yr.Valid {
			with, without, dead = append(with, whole[i]), append(without, rest[i]), append(dead, !s.Outcome.Alive2yr.V)
		}
	}
	if a, b := auc(with, dead), auc(without, dead); a-b < 0.03 {
		t.Errorf("AUC %v with the halo and %v without: it hardly matters", a, b)
	}
	if !slices.Equal(p.TrueRisk(), whole) {
		t.Error("asking changed the phantom")
	}
}
