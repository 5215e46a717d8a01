package datasets

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
)

// Split says how one cohort is divided into roles. Each patient's role depends on
// the patient's id and the seed alone, so patients added later move nobody.
type Split struct {
	Tune, Test float64 // fractions of the patients, each above 0; the rest is train
	Seed       int64
}

// Assign gives every patient a role by the split, in a cohort of its own whose test
// role is sealed. A cohort whose test role has been opened is refused with a
// *SealedTestError: what was seen once cannot become unseen.
func (c *Cohort) Assign(s Split) (*Cohort, error) {
	if !(s.Tune > 0 && s.Test > 0 && s.Tune+s.Test < 1) {
		return nil, fmt.Errorf("cohort %s: a split into %v tune and %v test leaves a role empty; give fractions above 0 that sum to less than 1", c.Name, s.Tune, s.Test)
	}
	c.seal.mu.Lock()
	defer c.seal.mu.Unlock()
	if c.seal.opened {
		return nil, &SealedTestError{Cohort: c.Name, Problem: "its test role has been opened, so its roles can no longer be dealt anew", Next: "read the cohort again in a new run"}
	}
	patients := slices.Clone(c.Patients)
	for i, p := range patients {
		switch u := unit(p.ID, s.Seed); {
		case u < s.Test:
			patients[i].Role = Test
		case u < s.Test+s.Tune:
			patients[i].Role = Tune
		default:
			patients[i].Role = Train
		}
	}
	return &Cohort{Name: c.Name, Patients: patients, Features: c.Features, outcomes: c.outcomes, seal: &seal{masked: c.seal.masked}}, nil
}

// unit spreads ids evenly over [0, 1).
func unit(id string, seed int64) float64 {
	h := fnv.New64a()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(seed)))
	h.Write([]byte(id))
	x := h.Sum64()
	// FNV leaves the high bits of short texts alike; the finisher of SplitMix64 stirs them.
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}
