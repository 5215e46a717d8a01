package stats

import (
	"fmt"
	"math"
	"strconv"
)

// InputError says which argument of which function cannot be used, and what to do.
type InputError struct {
	Function string // such as "DeLong"
	Argument string // the parameter's name, such as "scores"
	Index    int    // element (patient; column for a covariate); -1 for the whole argument
	Value    string // what was found
	Allowed  string // what would have been accepted
	Next     string // what the caller can do
}

func (e *InputError) Error() string {
	where := e.Argument
	if e.Index >= 0 {
		where += "[" + strconv.Itoa(e.Index) + "]"
	}
	return fmt.Sprintf("stats.%s: %s is %s; allowed: %s; %s", e.Function, where, e.Value, e.Allowed, e.Next)
}

const (
	nextExclude = "leave the patient out and list it in the exclusions table"
	nextAlign   = "build all slices from the same list of patients"
)

func wrongLength(function, argument string, got, want int) error {
	return &InputError{function, argument, -1, fmt.Sprintf("%d long", got),
		fmt.Sprintf("%d elements, one per patient", want), nextAlign}
}

func empty(function, argument string) error {
	return &InputError{function, argument, -1, "empty", "at least one patient",
		"check the filter that selected the patients"}
}

// checkFinite refuses NaN and infinities.
func checkFinite(function, argument string, x []float64) error {
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return &InputError{function, argument, i, fmt.Sprint(v), "a finite number", nextExclude}
		}
	}
	return nil
}

func checkLevel(function string, level float64) error {
	if level > 0 && level < 1 {
		return nil
	}
	return &InputError{function, "level", -1, fmt.Sprint(level), "a number between 0 and 1, both excluded", "use 0.95 for a 95% interval"}
}

// checkBinary accepts finite scores with at least `least` patients in either class.
func checkBinary(function, argument string, scores []float64, positive []bool, least int) error {
	if len(scores) == 0 {
		return empty(function, argument)
	}
	if len(positive) != len(scores) {
		return wrongLength(function, "positive", len(positive), len(scores))
	}
	if err := checkFinite(function, argument, scores); err != nil {
		return err
	}
	m := 0
	for _, p := range positive {
		if p {
			m++
		}
	}
	if n := len(positive) - m; m < least || n < least {
		return &InputError{function, "positive", -1, fmt.Sprintf("%d true and %d false", m, n),
			fmt.Sprintf("at least %d of each class", least),
			"choose a cohort in which both outcomes occur"}
	}
	return nil
}

// checkSurvival accepts finite, non-negative times with an event flag each.
func checkSurvival(function string, time []float64, event []bool) error {
	if len(time) == 0 {
		return empty(function, "time")
	}
	if len(event) != len(time) {
		return wrongLength(function, "event", len(event), len(time))
	}
	if err := checkFinite(function, "time", time); err != nil {
		return err
	}
	for i, t := range time {
		if t < 0 {
			return &InputError{function, "time", i, fmt.Sprint(t), "zero or more", "check the two dates the time was taken from"}
		}
	}
	return nil
}

// checkSomeEvent refuses data in which everybody is censored.
func checkSomeEvent(function string, event []bool) error {
	for _, e := range event {
		if e {
			return nil
		}
	}
	return &InputError{function, "event", -1, "false for every patient", "at least one event",
		"wait for longer follow-up: nothing can be compared before the first event"}
}
