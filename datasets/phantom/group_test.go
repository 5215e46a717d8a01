package phantom

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets"
)

// operated is the second group, enough of it to see the population.
func operated(t testing.TB, n int) *Phantom {
	return phantom(t, func(s *Spec) {
		s.Treatment = Surgery
		s.Surgery.Patients = PatientsPerRole{Train: n}
	})
}

// The second group has smaller tumours, earlier stages and longer lives; its true hazard
// separates the dead about as well, and the marks of the first group's hazard act in it too.
func TestSurgeryGroup(t *testing.T) {
	const n = 4000
	type seen struct {
		auc, dead, logSize, stageOne float64
		alone                        []float64 // AUC of each trait by itself
	}
	look := func(p *Phantom) (s seen) {
		subjects, dead := labelled(p, datasets.Train)
		s.auc = auc(hazards(subjects), dead)
		for i, x := range subjects {
			if dead[i] {
				s.dead += 1 / float64(len(dead))
			}
			s.logSize += math.Log(x.Traits.DiameterMM) / float64(len(subjects))
			if x.Traits.StageNumber == 1 {
				s.stageOne += 1 / float64(len(subjects))
			}
		}
		for k := range 9 {
			trait := make([]float64, len(subjects))
			for i, x := range subjects {
				trait[i] = x.Traits.standardised()[k]
			}
			s.alone = append(s.alone, auc(trait, dead))
		}
		return s
	}
	first, second := look(many(t, n)), look(operated(t, n))
	t.Logf("radiotherapy %+v", first)
	t.Logf("surgery %+v", second)
	if second.auc < 0.80 || second.auc > 0.87 {
		t.Errorf("AUC of the true hazard %.3f", second.auc)
	}
	if second.dead < 0.3 || second.dead > 0.45 || second.dead > first.dead-0.05 {
		t.Errorf("%.3f dead, %.3f in the first group", second.dead, first.dead)
	}
	if shift := second.logSize - first.logSize; math.Abs(shift-Default().Surgery.Mix.Size*logDiameterSD) > 0.03 {
		t.Errorf("the mean log diameter moves by %.3f", shift)
	}
	if second.stageOne < first.stageOne+0.15 {
		t.Errorf("stage I: %.3f, in the first group %.3f", second.stageOne, first.stageOne)
	}
	for _, k := range []int{0, 1, 3, 4} { // size, density, necrosis, halo: what both groups share
		if first.alone[k] < 0.54 || second.alone[k] < 0.54 {
			t.Errorf("trait %d separates with AUC %.3f and %.3f", k, first.alone[k], second.alone[k])
		}
	}
	if second.alone[6] < 0.505 || math.Abs(first.alone[6]-0.5) > 0.03 { // pleura: of the second group alone
		t.Errorf("contact with the pleura separates with AUC %.3f and %.3f", first.alone[6], second.alone[6])
	}
}

// The groups share no patient and no name, and the first is what it was without the second.
func TestGroupsAreApart(t *testing.T) {
	first, second := phantom(t, nil), phantom(t, func(s *Spec) { s.Treatment = Surgery })
	if second.CohortName() != "phantom-surgery" || first.CohortName() != "phantom" {
		t.Errorf("cohorts %s and %s", first.CohortName(), second.CohortName())
	}
	if want := Default().Surgery.Patients; second.Len() != want.Train+want.Tune+want.Test || second.Len() >= first.Len() {
		t.Errorf("%d and %d patients", first.Len(), second.Len())
	}
	ids := map[string]bool{}
	for _, p := range first.Cohort().Patients {
		ids[p.ID] = true
	}
	for i, p := range second.Cohort().Patients {
		if ids[p.ID] || !strings.HasPrefix(p.ID, "S-") {
			t.Errorf("patient %s", p.ID)
		}
		if a, b := first.Subject(i).Traits, second.Subject(i).Traits; a.Density == b.Density || first.Source(i) == second.Source(i) {
			t.Errorf("patient %d is in both groups", i)
		}
	}
	without := phantom(t, func(s *Spec) { s.Surgery = Group{Survival: s.Survival} })
	if without.Subject(7) != first.Subject(7) || without.Source(3) != first.Source(3) {
		t.Error("the second group's settings change the first")
	}
}

func TestGroupErrors(t *testing.T) {
	for field, change := range map[string]func(*Spec){
		"treatment":                          func(s *Spec) { s.Treatment = "none" },
		"surgery.patients":                   func(s *Spec) { s.Treatment, s.Surgery.Patients = Surgery, PatientsPerRole{} },
		"surgery.mix.size":                   func(s *Spec) { s.Surgery.Mix.Size = math.NaN() },
		"surgery.hazard.halo":                func(s *Spec) { s.Surgery.Hazard.Halo = 9 },
		"surgery.survival.median_days":       func(s *Spec) { s.Surgery.Survival.MedianDays = 0 },
		"surgery.survival.follow_up_days[1]": func(s *Spec) { s.Surgery.Survival.FollowUpDays[1] = 1 },
	} {
		spec := Default()
		change(&spec)
		_, err := New(spec)
		var e *SpecError
		if !errors.As(err, &e) || e.Field != field || e.Allowed == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Genes and gene sets are facts of biology: both groups have the same, and each group's
// planted sets follow its own hazard.
func TestGroupsShareGeneSets(t *testing.T) {
	first, second := phantom(t, nil).Expression(), operated(t, 400).Expression()
	if !slices.Equal(first.Genes, second.Genes) || !reflect.DeepEqual(first.Sets, second.Sets) {
		t.Error("the groups' genes or sets differ")
	}
	if slices.Equal(first.Values[:100], second.Values[:100]) || first.Patients[0] == second.Patients[0] {
		t.Error("the groups have the same patients")
	}
	p := operated(t, 400)
	hazard := standardise(p.TrueRisk())
	row := map[string]int{}
	for g, name := range second.Genes {
		row[name] = g
	}
	for _, s := range second.Sets {
		mean := 0.0
		for _, gene := range s.Genes {
			g := row[gene]
			for i, v := range standardise(second.Values[g*400 : (g+1)*400]) {
				mean += v * hazard[i] / 400 / float64(len(s.Genes))
			}
		}
		if math.Abs(mean-s.Correlation) > 0.06 {
			t.Errorf("%s: mean correlation with the hazard %.3f, planted %.3f", s.Name, mean, s.Correlation)
		}
	}
}
