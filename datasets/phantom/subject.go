package phantom

import (
	"fmt"
	"math"
	"math/rand/v2"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
)

// Traits are what is true of a subject, whether or not a scan shows it well.
type Traits struct {
	DiameterMM  float64 // of the sphere with the tumour's volume, 8..45 (log-normal)
	Density     float64 // 0 pure ground glass .. 1 solid
	Spiculation float64 // 0 smooth .. 1 many long spicules
	Necrosis    float64 // 0 none .. 1 a large, deep hypodense core
	Halo        float64 // 0 none .. 1 a wide, bright ground-glass rim around the tumour, outside its contour
	Vessel      float64 // 0 none .. 1 a thick vessel leads into the tumour
	Pleural     bool    // the tumour touches the chest wall
	AgeYears    float64 // 35..92
	StageNumber int     // 1..4 for I, II, IIIA, IIIB
}

// Subject is one synthetic patient with the truth.
type Subject struct {
	Index   int // 0-based, over all roles: train first, then tune, then test
	Patient datasets.Patient
	Outcome datasets.Outcome
	Traits  Traits
	Hazard  float64 // log hazard ratio against an average patient of the radiotherapy group; higher is worse
	Scanner Scanner
}

// Distribution of the traits in the radiotherapy group. The standardised ones below rely on these numbers.
const (
	logDiameterMean, logDiameterSD = 3.09, 0.42 // median 22 mm
	diameterMin, diameterMax       = 8, 45
	ageMean, ageSD                 = 68, 9
	pleuralChance                  = 0.25
	stageMean, stageSD             = 2.0, 1.08 // over the whole population; checked by a test
)

// standardised gives each trait with mean 0 and standard deviation 1 over the
// population, in the order of the hazard's coefficients.
func (t Traits) standardised() [9]float64 {
	flat := func(u float64) float64 { return (u - 0.5) * math.Sqrt(12) }
	pleural := 0.0
	if t.Pleural {
		pleural = 1
	}
	return [9]float64{
		(math.Log(t.DiameterMM) - logDiameterMean) / logDiameterSD,
		flat(t.Density), flat(t.Spiculation), flat(t.Necrosis), flat(t.Halo), flat(t.Vessel),
		(pleural - pleuralChance) / math.Sqrt(pleuralChance*(1-pleuralChance)),
		(t.AgeYears - ageMean) / ageSD,
		(float64(t.StageNumber) - stageMean) / stageSD,
	}
}

func (h Hazard) coefficients() [9]float64 {
	return [9]float64{h.Size, h.Density, h.Spiculation, h.Necrosis, h.Halo, h.Vessel, h.Pleura, h.Age, h.Stage}
}

// log is the log hazard ratio of a subject with these traits against an average one.
func (h Hazard) log(t Traits) float64 {
	sum := 0.0
	z := t.standardised()
	for i, beta := range h.coefficients() {
		sum += beta * z[i]
	}
	return sum
}

// role says which role subject i has and its number within it.
func (s Spec) role(i int) (datasets.Role, int) {
	for _, r := range roles {
		if i < s.count(r) {
			return r, i
		}
		i -= s.count(r)
	}
	panic(fmt.Sprintf("phantom: subject %d is beyond the cohort", i))
}

// Subject makes subject i (0 <= i < Len) from the specification alone.
func (p *Phantom) Subject(i int) Subject {
	role, number := p.spec.role(i)
	r := stream(p.spec.Seed, forTraits, i)
	t, clinical := drawTraits(r, p.mix)
	scanners := p.spec.scanners(role)
	s := Subject{
		Index: i,
		Patient: datasets.Patient{
			ID: fmt.Sprintf("%s%s-%04d", idGroup[p.treatment], idPrefix[role], number+1), Cohort: p.CohortName(), Role: role,
			Age: table.Some(math.Round(t.AgeYears*10) / 10), Sex: table.Some(clinical.sex), Histology: table.Some(clinical.histology),
			T: table.Some(clinical.t), N: table.Some(clinical.n), M: table.Some("0"), Stage: table.Some(stageNames[t.StageNumber-1]),
		},
		Traits:  t,
		Hazard:  p.spec.Hazard.log(t),
		Scanner: scanners[r.IntN(len(scanners))],
	}
	if r.Float64() < p.spec.Missing {
		s.Patient.Age = datasets.Null[float64]{}
	}
	if r.Float64() < p.spec.Missing {
		s.Patient.Histology = datasets.Null[string]{}
	}
	s.Outcome = p.spec.Survival.draw(stream(p.spec.Seed, forSurvival, i), s.Hazard)
	return s
}

// CohortName is the phantom's name in tables: phantom, or phantom-surgery for the second group.
func (p *Phantom) CohortName() string { return cohortNames[p.treatment] }

var (
	cohortNames = map[string]string{Radiotherapy: "phantom", Surgery: "phantom-surgery"}
	idGroup     = map[string]string{Radiotherapy: "", Surgery: "S-"}
	idPrefix    = map[datasets.Role]string{datasets.Train: "TRAIN", datasets.Tune: "TUNE", datasets.Test: "TEST"}
	stageNames  = [4]string{"I", "II", "IIIA", "IIIB"}
)

// clinical is what a chart holds besides age and stage, in the spelling of Lung1's table.
type clinical struct{ sex, histology, t, n string }

func drawTraits(r *rand.Rand, m Mix) (Traits, clinical) {
	var t Traits
	var c clinical
	z := clamp(r.NormFloat64()+m.Size, (math.Log(diameterMin)-logDiameterMean)/logDiameterSD, (math.Log(diameterMax)-logDiameterMean)/logDiameterSD)
	t.DiameterMM = clamp(math.Exp(logDiameterMean+logDiameterSD*z), diameterMin, diameterMax)
	t.Density, t.Spiculation, t.Necrosis, t.Halo, t.Vessel = r.Float64(), r.Float64(), r.Float64(), r.Float64(), r.Float64()
	t.Pleural = r.Float64() < pleuralChance
	t.AgeYears = clamp(ageMean+ageSD*r.NormFloat64(), 35, 92)

	// Stage follows size, with much chance: T from the diameter, N more likely in large tumours.
	tn := 1
	switch invasion := t.DiameterMM + 9*(r.NormFloat64()+m.Stage); {
	case invasion > 46:
		tn = 4
	case invasion > 38:
		tn = 3
	case invasion > 26:
		tn = 2
	}
	nn := 0
	switch spread := 0.5*z + r.NormFloat64() + m.Stage; {
	case spread > 1.5:
		nn = 3
	case spread > 0.5:
		nn = 2
	case spread > 0:
		nn = 1
	}
	c.t, c.n = fmt.Sprint(tn), fmt.Sprint(nn)
	switch {
	case nn == 3 || nn == 2 && tn == 4:
		t.StageNumber = 4
	case nn == 2 || nn == 1 && tn >= 3 || tn == 4:
		t.StageNumber = 3
	case nn == 1 || tn == 3:
		t.StageNumber = 2
	default:
		t.StageNumber = 1
	}

	c.sex = "female"
	if r.Float64() < 0.65 {
		c.sex = "male"
	}
	switch u := r.Float64() + 0.25*(t.Necrosis-0.5); {
	case u < 0.40:
		c.histology = "adenocarcinoma"
	case u < 0.75:
		c.histology = "squamous cell carcinoma"
	case u < 0.9:
		c.histology = "large cell"
	default:
		c.histology = "nos"
	}
	return t, c
}

// draw makes a survival time from a log hazard ratio: Weibull with proportional
// hazards, by inversion (Bender et al. 2005, doi:10.1002/sim.2059), then censoring.
// Days are whole, at least 1.
func (s Survival) draw(r *rand.Rand, logHazard float64) datasets.Outcome {
	scale := s.MedianDays / math.Pow(math.Ln2, 1/s.Shape)
	death := scale * math.Pow(r.ExpFloat64()*math.Exp(-logHazard), 1/s.Shape)
	end := uniform(r, s.FollowUpDays[0], s.FollowUpDays[1])
	if s.LossPerYear > 0 {
		end = min(end, 365.25*r.ExpFloat64()/s.LossPerYear)
	}
	days := max(1, math.Ceil(min(death, end)))
	event := death <= end
	return datasets.Outcome{SurvivalDays: table.Some(days), Event: table.Some(event), Alive2yr: datasets.AliveAt2yr(days, event)}
}
