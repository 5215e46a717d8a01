package phantom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"hounsfield/datasets"
)

// Phantom is a cohort made from a specification. It holds no images: each scan is
// made when asked for. All methods may be called by several goroutines at once.
type Phantom struct {
	spec      Spec // of the group that the cohort is
	mix       Mix
	treatment string
	genes     uint64 // seed of what genes and gene sets are: both groups have the same
}

// New checks the specification; a value that cannot be used is a *SpecError.
func New(spec Spec) (*Phantom, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	made, mix := spec.group()
	return &Phantom{spec: made, mix: mix, treatment: spec.Treatment, genes: spec.Seed}, nil
}

// Len is the number of subjects: train, then tune, then test.
func (p *Phantom) Len() int {
	return p.spec.Patients.Train + p.spec.Patients.Tune + p.spec.Patients.Test
}

// TrueRisk is the log hazard ratio of every subject, in order; higher is worse. No
// model can beat its AUC by honest means.
func (p *Phantom) TrueRisk() []float64 {
	risk := make([]float64, p.Len())
	for i := range risk {
		risk[i] = p.Subject(i).Hazard
	}
	return risk
}

// ImageRisk is the part of every subject's TrueRisk that a scan can show: what is left
// without age and stage.
func (p *Phantom) ImageRisk() []float64 {
	return p.RiskHad(func(h *Hazard) { h.Age, h.Stage = 0, 0 })
}

// ClinicalHazard is what the hazard owes to the chart: the log hazard ratios of a year of
// age and of a step of stage (I, II, IIIA, IIIB).
func (p *Phantom) ClinicalHazard() (perYear, perStage float64) {
	return p.spec.Hazard.Age / ageSD, p.spec.Hazard.Stage / stageSD
}

// RiskHad is what TrueRisk would be had the hazard been another: change gets a copy of the
// cohort's own. With a trait's weight at 0 it is the best that a model can do which does
// not see that trait; who died when stays as it is.
func (p *Phantom) RiskHad(change func(*Hazard)) []float64 {
	h := p.spec.Hazard
	change(&h)
	risk := make([]float64, p.Len())
	for i := range risk {
		risk[i] = h.log(p.Subject(i).Traits)
	}
	return risk
}

// Cohort is the phantom as a cohort: patients in the order of subjects, no features,
// outcomes behind the role guard.
func (p *Phantom) Cohort() *datasets.Cohort {
	patients := make([]datasets.Patient, p.Len())
	outcomes := make([]datasets.Outcome, p.Len())
	for i := range patients {
		s := p.Subject(i)
		patients[i], outcomes[i] = s.Patient, s.Outcome
	}
	c, err := datasets.NewCohort(p.CohortName(), patients, outcomes, nil)
	if err != nil {
		panic(fmt.Sprintf("phantom: the cohort breaks its own schema: %v", err)) // no specification that passes Check does
	}
	return c
}

// drawing names the way scans are drawn: raise it with any change to their voxels.
const drawing = "phantom 1"

// Source identifies the bytes of subject i's first scan and reference contour, for
// datasets.NewCubeKey.
func (p *Phantom) Source(i int) string {
	s := p.Subject(i)
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %+v %+v", drawing, p.spec.Seed, i, s.Traits, s.Scanner))
	return hex.EncodeToString(h[:])
}
