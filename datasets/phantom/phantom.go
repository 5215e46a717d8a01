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
}

// New checks the specification; a value that cannot be used is a *SpecError.
func New(spec Spec) (*Phantom, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	made, mix := spec.group()
	return &Phantom{spec: made, mix: mix, treatment: spec.Treatment}, nil
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
