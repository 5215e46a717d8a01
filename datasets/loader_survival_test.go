package datasets

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"hounsfield/datasets/table"
)

// followed gives the first deaths patients a death on day 100, 101, ..., the next a last
// sight alive on day 1000, 1001, ..., and the others half an outcome or none.
func followed(deaths, censored, unknown int) (*CubeSet, []Outcome) {
	set, _ := marked(deaths, censored, unknown)
	outcomes := make([]Outcome, len(set.Cubes))
	for i := range outcomes {
		o := &outcomes[i]
		switch {
		case i < deaths:
			o.SurvivalDays, o.Event = table.Some(100+float64(i)), table.Some(true)
		case i < deaths+censored:
			o.SurvivalDays, o.Event = table.Some(1000+float64(i)), table.Some(false)
		case i%2 == 0:
			o.Alive2yr = table.Some(true) // a label, and no time
		default:
			o.SurvivalDays = table.Some(400.0) // a time, and no end
		}
		if o.Followed() {
			o.Alive2yr = AliveAt2yr(o.SurvivalDays.V, o.Event.V)
		}
	}
	outcomes[deaths].SurvivalDays, outcomes[deaths].Alive2yr = table.Some(300.0), Null[bool]{} // censored early: no label
	return set, outcomes
}

// Every patient with a time and an end of follow-up is shown once in a pass, deaths
// evenly among them, with the right labels; those without are named.
func TestSurvivalLoader(t *testing.T) {
	const deaths, censored, batch = 7, 12, 5
	set, outcomes := followed(deaths, censored, 3)
	l, err := NewSurvivalLoader(set, outcomes, LoaderSpec{Seed: 3, Batch: batch, Augment: Augment{Flip: true}, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{19, 20, 21}; !slices.Equal(l.Skipped(), want) {
		t.Errorf("skipped %v, want %v", l.Skipped(), want)
	}
	if l.Steps() != 4 { // 19 patients
		t.Errorf("%d steps", l.Steps())
	}
	var order []int
	for _, b := range epoch(t, l, 1) {
		if want := fmt.Sprintf("(Float32)[%d, 4, 4, 4, 1](Float32)[%d, 1](Float32)[%d, 2]", batch, batch, batch); b.shape != want {
			t.Fatalf("shapes %s, want %s", b.shape, want)
		}
		died := 0.0
		for i, p := range b.patients() {
			o := outcomes[p]
			event := 0.0
			if o.Event.V {
				event = 1
			}
			died += event
			if b.follow[2*i] != float32(o.SurvivalDays.V) || b.follow[2*i+1] != float32(event) {
				t.Errorf("patient %d: %v, want %+v", p, b.follow[2*i:2*i+2], o)
			}
			switch dead := float64(b.labels[i]); {
			case !o.Alive2yr.Valid && !math.IsNaN(dead), o.Alive2yr.Valid && (dead == 1) == o.Alive2yr.V:
				t.Errorf("patient %d: label %v, want %+v", p, dead, o.Alive2yr)
			}
			order = append(order, p)
		}
		if died < 1 || died > 2 { // 7 of 19: 1.8 in 5
			t.Errorf("a batch with %v deaths", died)
		}
	}
	once := slices.Sorted(slices.Values(order[:deaths+censored]))
	if want := slices.Sorted(slices.Values(order)); len(slices.Compact(once)) != deaths+censored || slices.Max(want) >= deaths+censored {
		t.Errorf("shown in the first pass: %v", once)
	}
	again, err := NewSurvivalLoader(set, outcomes, LoaderSpec{Seed: 3, Batch: batch, Augment: Augment{Flip: true}})
	if err != nil {
		t.Fatal(err)
	}
	same := epoch(t, again, 1)
	for i, b := range epoch(t, l, 1) {
		if !slices.Equal(b.input, same[i].input) {
			t.Errorf("batch %d depends on the workers", i)
		}
	}
	if slices.Equal(epoch(t, l, 2)[0].patients(), order[:batch]) {
		t.Error("another epoch has the same order")
	}
}

func TestSurvivalLoaderRefuses(t *testing.T) {
	set, outcomes := followed(0, 4, 1)
	for _, c := range []struct {
		outcomes []Outcome
		says     string
	}{
		{outcomes, "cubes: none of 4 followed patients died, 1 were not followed; a loss on survival times needs deaths to learn from"},
		{outcomes[:2], "cubes: 2 labels for 5 cubes; give one each, null where it is not known"},
	} {
		_, err := NewSurvivalLoader(set, c.outcomes, LoaderSpec{Batch: 2})
		var e *CubeSetError
		if !errors.As(err, &e) || e.Error() != c.says {
			t.Errorf("%v, want %s", err, c.says)
		}
	}
}
