package phantom

import "fmt"

// The groups of patients that a cohort can be made of.
const (
	Radiotherapy = "radiotherapy"
	Surgery      = "surgery"
)

// Group is what sets a second group of patients apart from the first: everything else,
// scanners and anatomy included, is drawn in the same way for both. No patient is in both
// groups: their random numbers are kept apart.
type Group struct {
	Patients PatientsPerRole `yaml:"patients"`
	Mix      Mix             `yaml:"mix"`
	Hazard   Hazard          `yaml:"hazard"`
	Survival Survival        `yaml:"survival"`
}

// Mix shifts the group's traits, in standard deviations of the radiotherapy group's; 0 is
// no shift.
type Mix struct {
	Size  float64 `yaml:"size"`  // of the log diameter
	Stage float64 `yaml:"stage"` // of what makes T and N: below 0, more patients of stage I
}

// surgery is the embedded second group: patients who could be operated on have smaller
// tumours in earlier stages and live longer. Halo, density and necrosis act as they do in
// the radiotherapy group, so that a network which has learned to see them there has a head
// start here; size matters less, spiculation and contact with the pleura matter more.
// Hazards are against an average patient of the radiotherapy group, whose traits are the
// measure of both.
//
// How few patients there are was chosen on the phantom's seeds 1001 to 1003, with 80, 40 and
// 24 to train on: with 24 a network from scratch is poor at most seeds, so that there is
// something to gain. Nothing was chosen on the embedded seed.
func surgery() Group {
	return Group{
		Patients: PatientsPerRole{Train: 24, Tune: 30, Test: 300},
		Mix:      Mix{Size: -0.4, Stage: -0.5},
		Hazard: Hazard{
			Size: 0.50, Density: 0.58, Spiculation: 0.30, Necrosis: 0.36, Halo: 0.80, Pleura: 0.15,
			Age: 0.15, Stage: 0.15,
		},
		Survival: Survival{MedianDays: 1050, Shape: 1.2, LossPerYear: 0.04, FollowUpDays: [2]float64{700, 3000}},
	}
}

// group is the specification of the group that the cohort is: that of the surgery group is
// moved to where the radiotherapy group's stands.
func (s Spec) group() (Spec, Mix) {
	if s.Treatment != Surgery {
		return s, Mix{}
	}
	s.Seed = scramble(s.Seed ^ scramble(forSurgery))
	s.Patients, s.Hazard, s.Survival = s.Surgery.Patients, s.Surgery.Hazard, s.Surgery.Survival
	return s, s.Surgery.Mix
}

// forSurgery keeps the random numbers of the second group apart from the first's.
const forSurgery = 0x5347

// bound is a number of the specification with the least and the largest it may be.
type bound struct {
	field    string
	value    float64
	min, max float64
}

// bounds are those of the numbers that each group has of its own; prefix stands before
// their names.
func (g Group) bounds(prefix string) []bound {
	h, s := g.Hazard, g.Survival
	all := []bound{
		{"patients.train", float64(g.Patients.Train), 0, 1e6},
		{"patients.tune", float64(g.Patients.Tune), 0, 1e6},
		{"patients.test", float64(g.Patients.Test), 0, 1e6},
		{"mix.size", g.Mix.Size, -2, 2},
		{"mix.stage", g.Mix.Stage, -3, 3},
		{"survival.median_days", s.MedianDays, 1, 1e5},
		{"survival.shape", s.Shape, 0.1, 10},
		{"survival.loss_per_year", s.LossPerYear, 0, 10},
		{"survival.follow_up_days[0]", s.FollowUpDays[0], 1, 1e5},
		{"survival.follow_up_days[1]", s.FollowUpDays[1], s.FollowUpDays[0], 1e5},
	}
	for i, name := range [9]string{"size", "density", "spiculation", "necrosis", "halo", "vessel", "pleura", "age", "stage"} {
		all = append(all, bound{"hazard." + name, h.coefficients()[i], -5, 5})
	}
	for i := range all {
		all[i].field = prefix + all[i].field
	}
	return all
}

// checkTreatment says whether the group is one there is.
func (s Spec) checkTreatment() error {
	if s.Treatment != Radiotherapy && s.Treatment != Surgery {
		return &SpecError{Field: "treatment", Value: fmt.Sprintf("%q", s.Treatment), Allowed: Radiotherapy + ", " + Surgery}
	}
	return nil
}
