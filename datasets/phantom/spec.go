// Package phantom makes a synthetic lung-cancer cohort whose truth is known: CT
// scans with contoured nodules, survival times drawn from a hazard that depends on
// what the scans show, repeated scans, contours by several readers, and gene
// expression that follows the hazard.
//
// Every subject is a pure function of the specification and its number: it can be
// made alone, in any order, by any number of workers, with the same bytes.
//
// It is a benchmark for the machinery, not a model of disease.
package phantom

import (
	"fmt"
	"slices"

	"hounsfield/datasets"
)

// Spec says which cohort to make. Lengths are mm, times days, HU Hounsfield units.
type Spec struct {
	Seed uint64 `yaml:"seed"`
	// Treatment says which group of patients the cohort is: radiotherapy, made from the
	// fields here, or surgery, where those of Surgery stand in their place.
	Treatment string          `yaml:"treatment"`
	Patients  PatientsPerRole `yaml:"patients"`
	// SecondScans is the fraction of patients scanned twice (0..1).
	SecondScans float64 `yaml:"second_scans"`
	// Readers is how many readers contour each tumour, besides the reference.
	Readers  int             `yaml:"readers"`
	Scanners ScannersPerRole `yaml:"scanners"`
	Hazard   Hazard          `yaml:"hazard"`
	Survival Survival        `yaml:"survival"`
	// Surgery is the second group; it is made only where Treatment asks for it.
	Surgery Group `yaml:"surgery"`
	// Missing is the chance (0..1) that a clinical value was not written down: age
	// and histology, each on its own.
	Missing    float64        `yaml:"missing"`
	Expression ExpressionSpec `yaml:"expression"`
	// DICOM asks the caller to write the scans as CT and RTSTRUCT files and to read
	// them back, rather than take the volumes directly (quicker, same cubes).
	DICOM bool `yaml:"dicom"`
}

// PatientsPerRole is how many patients each role has.
type PatientsPerRole struct {
	Train int `yaml:"train"`
	Tune  int `yaml:"tune"`
	Test  int `yaml:"test"`
}

// ScannersPerRole lists the scanners of each role; patients are spread over them at random.
type ScannersPerRole struct {
	Train []Scanner `yaml:"train"`
	Tune  []Scanner `yaml:"tune"`
	Test  []Scanner `yaml:"test"`
}

// Scanner is how a CT was taken and reconstructed.
type Scanner struct {
	Name     string  `yaml:"name"`
	PixelMM  float64 `yaml:"pixel_mm"`  // in-plane spacing of pixels, 0.4..1.5
	SliceMM  float64 `yaml:"slice_mm"`  // slice thickness = distance of slices, 0.5..6
	NoiseHU  float64 `yaml:"noise_hu"`  // standard deviation of the noise in air-filled lung, >= 0
	BlurMM   float64 `yaml:"blur_mm"`   // standard deviation of the in-plane blur (soft kernel: larger), 0..2
	OffsetHU float64 `yaml:"offset_hu"` // calibration error added to every voxel, -100..100
}

// Hazard holds the log hazard ratio per standard deviation of each trait; positive
// means that more of it kills sooner. A trait with 0 is seen but does not matter.
type Hazard struct {
	Size        float64 `yaml:"size"`
	Density     float64 `yaml:"density"`
	Spiculation float64 `yaml:"spiculation"`
	Necrosis    float64 `yaml:"necrosis"`
	Halo        float64 `yaml:"halo"` // ground-glass rim around the tumour, outside its contour
	Vessel      float64 `yaml:"vessel"`
	Pleura      float64 `yaml:"pleura"`
	Age         float64 `yaml:"age"`
	Stage       float64 `yaml:"stage"`
}

// Survival turns a hazard into days: a Weibull time, cut by loss to follow-up and by
// the end of the study.
type Survival struct {
	// MedianDays is the median survival of a patient with average traits.
	MedianDays float64 `yaml:"median_days"`
	// Shape of the Weibull: 1 is a constant hazard, above 1 a rising one.
	Shape float64 `yaml:"shape"`
	// LossPerYear is the rate at which patients are lost to follow-up.
	LossPerYear float64 `yaml:"loss_per_year"`
	// FollowUpDays are the shortest and the longest time from scan to the study's end.
	FollowUpDays [2]float64 `yaml:"follow_up_days"`
}

// ExpressionSpec sizes the expression matrix.
type ExpressionSpec struct {
	Genes int `yaml:"genes"` // rows of the matrix
	Sets  int `yaml:"sets"`  // gene sets in all; the named sets that follow the hazard are among them
}

// Default is the embedded cohort: 500 patients, about half dead at two years, an AUC
// of about 0.86 for the true hazard. Over many seeds that AUC scatters by 0.025 in a
// role of 200; this seed is one at which all three roles come out near the mean.
func Default() Spec {
	return Spec{
		Seed:        284,
		Treatment:   Radiotherapy,
		Patients:    PatientsPerRole{Train: 200, Tune: 100, Test: 200},
		SecondScans: 0.15,
		Readers:     3,
		Scanners: ScannersPerRole{
			Train: []Scanner{
				{Name: "A", PixelMM: 0.977, SliceMM: 3, NoiseHU: 20, BlurMM: 0.75},
				{Name: "B", PixelMM: 0.86, SliceMM: 2.5, NoiseHU: 28, BlurMM: 0.60, OffsetHU: 4},
			},
			Tune: []Scanner{
				{Name: "C", PixelMM: 0.80, SliceMM: 2, NoiseHU: 30, BlurMM: 0.55, OffsetHU: -4},
			},
			Test: []Scanner{
				{Name: "D", PixelMM: 0.74, SliceMM: 1.5, NoiseHU: 42, BlurMM: 0.50, OffsetHU: -7},
				{Name: "E", PixelMM: 0.93, SliceMM: 3, NoiseHU: 25, BlurMM: 0.70, OffsetHU: 6},
			},
		},
		Hazard: Hazard{
			Size: 0.70, Density: 0.58, Spiculation: 0.15, Necrosis: 0.36, Halo: 0.72,
			Age: 0.20, Stage: 0.20,
		},
		Survival:   Survival{MedianDays: 850, Shape: 1.1, LossPerYear: 0.05, FollowUpDays: [2]float64{600, 2600}},
		Surgery:    surgery(),
		Missing:    0.03,
		Expression: ExpressionSpec{Genes: 2000, Sets: 60},
	}
}

// SpecError is a value of the specification that cannot be used.
type SpecError struct {
	Field, Value, Allowed string
}

func (e *SpecError) Error() string {
	return fmt.Sprintf("phantom: %s is %s; allowed: %s", e.Field, e.Value, e.Allowed)
}

// Check says which value cannot be used, as a *SpecError naming the field as in YAML.
func (s Spec) Check() error {
	if err := s.checkTreatment(); err != nil {
		return err
	}
	first := Group{Patients: s.Patients, Hazard: s.Hazard, Survival: s.Survival}
	bounds := slices.Concat(first.bounds(""), s.Surgery.bounds("surgery."), []bound{
		{"second_scans", s.SecondScans, 0, 1},
		{"readers", float64(s.Readers), 0, 100},
		{"missing", s.Missing, 0, 0.9},
		{"expression.genes", float64(s.Expression.Genes), minGenes, 1e5},
		{"expression.sets", float64(s.Expression.Sets), float64(len(plantedSets)), 1e4},
	})
	made, _ := s.group()
	for _, role := range roles {
		if made.count(role) > 0 && len(s.scanners(role)) == 0 {
			return &SpecError{Field: "scanners." + string(role), Value: "empty", Allowed: "at least one scanner for a role with patients"}
		}
		for i, c := range s.scanners(role) {
			field := fmt.Sprintf("scanners.%s[%d].", role, i)
			bounds = append(bounds,
				bound{field + "pixel_mm", c.PixelMM, 0.4, 1.5}, bound{field + "slice_mm", c.SliceMM, 0.5, 6},
				bound{field + "noise_hu", c.NoiseHU, 0, 200}, bound{field + "blur_mm", c.BlurMM, 0, 2},
				bound{field + "offset_hu", c.OffsetHU, -100, 100})
		}
	}
	var worst *SpecError
	for _, b := range bounds {
		if !(b.value >= b.min && b.value <= b.max) { // also catches NaN
			// One at a time, the first by name.
			if worst == nil || b.field < worst.Field {
				worst = &SpecError{Field: b.field, Value: fmt.Sprint(b.value), Allowed: fmt.Sprintf("%g to %g", b.min, b.max)}
			}
		}
	}
	if worst != nil {
		return worst
	}
	if p := made.Patients; p.Train+p.Tune+p.Test == 0 {
		field := "patients"
		if s.Treatment == Surgery {
			field = "surgery.patients"
		}
		return &SpecError{Field: field, Value: "0 in every role", Allowed: "at least one patient"}
	}
	return nil
}

var roles = []datasets.Role{datasets.Train, datasets.Tune, datasets.Test}

func (s Spec) count(r datasets.Role) int {
	switch r {
	case datasets.Train:
		return s.Patients.Train
	case datasets.Tune:
		return s.Patients.Tune
	default:
		return s.Patients.Test
	}
}

func (s Spec) scanners(r datasets.Role) []Scanner {
	switch r {
	case datasets.Train:
		return s.Scanners.Train
	case datasets.Tune:
		return s.Scanners.Tune
	default:
		return s.Scanners.Test
	}
}
