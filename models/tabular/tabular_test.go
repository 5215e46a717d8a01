package tabular

import (
	"errors"
	"math"
	"testing"
)

func TestCheck(t *testing.T) {
	nan := math.NaN()
	cases := []struct {
		name     string
		x        [][]float64
		names    []string
		patients int
		missing  bool
		want     string // "" = accepted
	}{
		{"fine", [][]float64{{1, 2}, {3, 4}}, []string{"a", "b"}, 2, false, ""},
		{"no names", [][]float64{{1, 2}}, nil, 2, false, ""},
		{"missing allowed", [][]float64{{1, nan}}, nil, 2, true, ""},
		{"no patients", [][]float64{{}}, nil, 0, false, "f: y is empty; allowed: at least one patient; check the filter that selected the patients"},
		{"no features", nil, nil, 2, false, "f: x is empty; allowed: at least one feature: x[feature][patient]; check the filter that selected the features"},
		{"names", [][]float64{{1, 2}}, []string{}, 2, false, "f: names is 0 long; allowed: 1 names, one per feature, or nil; build names and x from the same list of features"},
		{"ragged", [][]float64{{1, 2}, {3}}, []string{"a", "b"}, 2, false, "f: x[1] (b) is 1 long; allowed: 2 values, one per patient; x is x[feature][patient]: build all columns from the same list of patients"},
		{"NaN", [][]float64{{1, 2}, {3, nan}}, []string{"a", "b"}, 2, false, "f: x[1][1] (b) is NaN; allowed: a finite number; fill the value in, or leave the patient out and list it in the exclusions table"},
		{"infinite", [][]float64{{math.Inf(1), 2}}, nil, 2, true, "f: x[0][0] (feature 0) is +Inf; allowed: a finite number, or NaN for a missing value; write NaN if the value is unknown"},
	}
	for _, c := range cases {
		err := Check("f", c.x, c.names, c.patients, c.missing)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var input *InputError
		if !errors.As(err, &input) || err.Error() != c.want {
			t.Errorf("%s: got %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestCheckClasses(t *testing.T) {
	if err := CheckClasses("f", []bool{true, false, true, false}, 2); err != nil {
		t.Error(err)
	}
	for _, y := range [][]bool{nil, {true}, {true, true, false}} {
		if err := CheckClasses("f", y, 2); err == nil {
			t.Errorf("%v was accepted", y)
		}
	}
}
