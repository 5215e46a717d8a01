// Package tabular is what the models of plain tables share: how a table of features
// lies in memory and the error that says why one cannot be used.
//
// A table is x[feature][patient]: one slice per feature (a column of the table), all
// equally long, patients in the same order in each and in the outcome beside them.
// names[feature] are used in results and errors; nil names stand for "feature 0",
// "feature 1", ... NaN is a missing value where a model says that it takes them and
// an error elsewhere. No model changes what it is given.
package tabular

import (
	"fmt"
	"math"
	"strconv"
)

// InputError says which argument of which function cannot be used, and what to do.
type InputError struct {
	Function string // such as "forest.Fit"
	Argument string // the parameter's name, such as "x"
	Feature  int    // column of x; -1 where it is not about one
	Name     string // that feature's name, if names were given
	Patient  int    // element of the column or of y; -1 where it is not about one
	Value    string // what was found
	Allowed  string // what would have been accepted
	Next     string // what the caller can do
}

func (e *InputError) Error() string {
	where := e.Argument
	if e.Feature >= 0 {
		where += "[" + strconv.Itoa(e.Feature) + "]"
	}
	if e.Patient >= 0 {
		where += "[" + strconv.Itoa(e.Patient) + "]"
	}
	if e.Name != "" {
		where += " (" + e.Name + ")"
	}
	return fmt.Sprintf("%s: %s is %s; allowed: %s; %s", e.Function, where, e.Value, e.Allowed, e.Next)
}

// Refuse is an InputError about a whole argument.
func Refuse(function, argument, value, allowed, next string) *InputError {
	return &InputError{Function: function, Argument: argument, Feature: -1, Patient: -1, Value: value, Allowed: allowed, Next: next}
}

// Name is names[feature], or "feature N" without names.
func Name(names []string, feature int) string {
	if names == nil {
		return "feature " + strconv.Itoa(feature)
	}
	return names[feature]
}

// Check accepts a table of at least one feature with the given number of patients
// (at least one), all values finite or, if missing is set, NaN.
func Check(function string, x [][]float64, names []string, patients int, missing bool) error {
	if patients == 0 {
		return Refuse(function, "y", "empty", "at least one patient", "check the filter that selected the patients")
	}
	if len(x) == 0 {
		return Refuse(function, "x", "empty", "at least one feature: x[feature][patient]", "check the filter that selected the features")
	}
	if names != nil && len(names) != len(x) {
		return Refuse(function, "names", fmt.Sprintf("%d long", len(names)), fmt.Sprintf("%d names, one per feature, or nil", len(x)),
			"build names and x from the same list of features")
	}
	allowed, next := "a finite number", "fill the value in, or leave the patient out and list it in the exclusions table"
	if missing {
		allowed, next = "a finite number, or NaN for a missing value", "write NaN if the value is unknown"
	}
	for j, column := range x {
		if len(column) != patients {
			e := Refuse(function, "x", fmt.Sprintf("%d long", len(column)), fmt.Sprintf("%d values, one per patient", patients),
				"x is x[feature][patient]: build all columns from the same list of patients")
			e.Feature, e.Name = j, Name(names, j)
			return e
		}
		for i, v := range column {
			if math.IsInf(v, 0) || math.IsNaN(v) && !missing {
				e := Refuse(function, "x", fmt.Sprint(v), allowed, next)
				e.Feature, e.Name, e.Patient = j, Name(names, j), i
				return e
			}
		}
	}
	return nil
}

// CheckClasses accepts labels of which at least `least` are true and as many false.
func CheckClasses(function string, y []bool, least int) error {
	positives := 0
	for _, v := range y {
		if v {
			positives++
		}
	}
	if negatives := len(y) - positives; min(positives, negatives) < least {
		return Refuse(function, "y", fmt.Sprintf("%d true and %d false", positives, negatives), fmt.Sprintf("at least %d of each class", least),
			"choose patients among whom both outcomes occur")
	}
	return nil
}
