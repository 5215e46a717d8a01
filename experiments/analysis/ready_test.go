package analysis

import (
	"errors"
	"testing"

	"hounsfield/datasets"
)

// Every analysis that needs scans says before training that a cohort of cubes alone has none.
func TestReadyWithoutScans(t *testing.T) {
	cohort, err := datasets.NewCohort("cubes", []datasets.Patient{{ID: "P1", Cohort: "cubes", Role: datasets.Test}}, []datasets.Outcome{{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, name := range Names() {
		if images, _ := Needs(name); !images {
			continue
		}
		asked++
		var unfit *UnfitError
		if err := Ready(name, &Input{Settings: Defaults(), Cohort: cohort}); !errors.As(err, &unfit) || unfit.Analysis != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked < 2 {
		t.Errorf("only %d of %v need scans", asked, Names())
	}
}
