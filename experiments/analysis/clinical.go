package analysis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
)

const clinicalName = "clinical"

// Clinical are the settings of the analysis clinical: the chart beside the network.
type Clinical struct {
	// Variables make up the clinical model, to which the network is added. T and N are not
	// among them unless named: stage is made of them.
	Variables []string `yaml:"variables"`
	// LeastLevel is the least number of patients of a level; smaller ones are joined with a
	// neighbour.
	LeastLevel int `yaml:"least_level"`
	// EventsPerVariable is the number of deaths per coefficient below which a warning stands
	// beside a model (Peduzzi et al. 1995, doi:10.1016/0895-4356(95)00048-8).
	EventsPerVariable float64 `yaml:"events_per_variable"`
	// Thresholds are the risks of death by two years at which net benefit is given.
	Thresholds []float64 `yaml:"thresholds"`
	// Folds and Repeats divide the test role where clinical models must be fitted inside it,
	// because train and tune have no clinical columns.
	Folds   int `yaml:"folds"`
	Repeats int `yaml:"repeats"`
}

func defaultClinical() Clinical {
	return Clinical{Variables: []string{"age", "sex", "stage", "histology"}, LeastLevel: 10, EventsPerVariable: 10,
		Thresholds: []float64{0.3, 0.5, 0.7}, Folds: 5, Repeats: 5}
}

var clinicalStep = step{
	words: "what the network's score adds to age, sex, stage and the other clinical parameters, and how it goes with them",
	check: checkClinical,
	ready: readyClinical,
	run:   runClinical,
}

func checkClinical(s Settings) error {
	c := s.Clinical
	bad := func(field string, value any, allowed string) error {
		return &SettingError{Field: clinicalName + "." + field, Value: value, Allowed: allowed}
	}
	var names []string
	for _, v := range chartVariables {
		names = append(names, v.name)
	}
	for i, name := range c.Variables {
		if !slices.Contains(names, name) || slices.Contains(c.Variables[:i], name) {
			return bad(fmt.Sprintf("variables[%d]", i), name, "one of "+strings.Join(names, ", ")+", each at most once")
		}
	}
	for i, t := range c.Thresholds {
		if !(t > 0 && t < 1) || i > 0 && t <= c.Thresholds[i-1] {
			return bad(fmt.Sprintf("thresholds[%d]", i), t, "a risk between 0 and 1, above the one before it")
		}
	}
	switch {
	case len(c.Variables) == 0:
		return bad("variables", "empty", "at least one of "+strings.Join(names, ", "))
	case len(c.Thresholds) == 0:
		return bad("thresholds", "empty", "at least one risk between 0 and 1")
	case c.LeastLevel < 1:
		return bad("least_level", c.LeastLevel, "at least 1 patient")
	case !(c.EventsPerVariable > 0) || math.IsInf(c.EventsPerVariable, 0):
		return bad("events_per_variable", c.EventsPerVariable, "a positive number")
	case c.Folds < 2 || c.Folds > 100:
		return bad("folds", c.Folds, "2 to 100")
	case c.Repeats < 1 || c.Repeats > 1000:
		return bad("repeats", c.Repeats, "1 to 1000")
	}
	return nil
}

// clinicalWork is the analysis under way.
type clinicalWork struct {
	in       *Input
	settings Clinical
	patients []int // of the test role, with a score and followed
	unscored int   // of the test role, without either
	score    coding
	group    coding
	volume   *coding // nil where volumes are not known
	chart    []coding
	absent   []string // titles of chart variables that nobody has, or that do not vary
}

// clinicalFindings is all that the analysis found.
type clinicalFindings struct {
	alone        []clinicalModel // one variable each
	together     clinicalModels
	predictions  *clinicalPredictions // nil with why they could not be made
	unpredicted  string
	associations []association
	stages       *stageCurves // nil where stage is not known
	truth        []truthModel // nil for real patients
}

// readyClinical looks whether there is a chart at all.
func readyClinical(in *Input) error {
	test := in.Cohort.Of(datasets.Test)
	for _, v := range chartVariables {
		if c := v.code(in.Cohort.Patients, test, 1); c.known(test) > 0 {
			return nil
		}
	}
	return noChart(len(test))
}

func noChart(patients int) error {
	return &UnfitError{Analysis: clinicalName, Lacks: fmt.Sprintf("none of the %d test patients has age, sex, stage, T, N, M or histology", patients),
		Next: "give the cohort a clinical table"}
}

func runClinical(ctx context.Context, in *Input) (*Result, error) {
	w, err := newClinicalWork(in)
	if err != nil {
		return nil, err
	}
	var f clinicalFindings
	for _, c := range w.everyCoding() {
		f.alone = append(f.alone, w.aloneModel(c))
	}
	if f.together, err = w.jointModels(); err != nil {
		return nil, err
	}
	if f.predictions, err = w.predict(ctx); err != nil {
		var none *cannotPredict
		if !errors.As(err, &none) {
			return nil, err
		}
		f.unpredicted = none.why
	}
	if f.associations, err = w.associate(); err != nil {
		return nil, err
	}
	if f.stages, err = w.stageCurves(); err != nil {
		return nil, err
	}
	if in.Phantom != nil {
		if f.truth, err = w.againstTruth(); err != nil {
			return nil, err
		}
	}
	return w.result(f)
}

// newClinicalWork finds the patients and codes their variables. Errors: *UnfitError.
func newClinicalWork(in *Input) (*clinicalWork, error) {
	w := &clinicalWork{in: in, settings: in.Settings.Clinical}
	unfit := func(lacks, next string) error {
		return &UnfitError{Analysis: clinicalName, Lacks: lacks, Next: next}
	}
	deaths := 0
	for _, i := range in.Cohort.Of(datasets.Test) {
		o := in.Outcomes[i]
		if !o.Followed() || math.IsNaN(in.Scores[i]) {
			w.unscored++
			continue
		}
		w.patients = append(w.patients, i)
		if o.Event.V {
			deaths++
		}
	}
	if deaths < 2 || len(w.patients)-deaths < 1 {
		return nil, unfit(fmt.Sprintf("of the %d test patients %d have a score and survival times, and %d of those died", len(w.patients)+w.unscored, len(w.patients), deaths),
			"use a cohort whose survival times are public, such as published-radiotherapy with the table of nsclc-radiomics")
	}
	known := 0
	for _, v := range chartVariables {
		c := v.code(in.Cohort.Patients, w.patients, w.settings.LeastLevel)
		if c.known(w.patients) > 0 {
			known++
		}
		if c.columns() == 0 {
			w.absent = append(w.absent, v.title)
			continue
		}
		w.chart = append(w.chart, c)
	}
	if known == 0 {
		return nil, noChart(len(w.patients))
	}
	w.score = standardised(in, w.patients)
	if w.score.columns() == 0 {
		return nil, unfit(fmt.Sprintf("all %d test patients with survival times have the same score", len(w.patients)), "train the networks for longer")
	}
	w.group = riskGroups(in)
	w.volume = tumourVolume(in)
	if w.volume != nil && w.volume.known(w.patients) == 0 {
		w.volume = nil
	}
	return w, nil
}

// everyCoding is what a model of one variable is fitted to, in the order of the report.
func (w *clinicalWork) everyCoding() []coding {
	all := append([]coding{w.score, w.group}, w.chart...)
	if w.volume != nil {
		all = append(all, *w.volume)
	}
	return all
}

// find is the coding of a chart variable, nil where it is absent.
func (w *clinicalWork) find(name string) *coding {
	for k := range w.chart {
		if w.chart[k].name == name {
			return &w.chart[k]
		}
	}
	return nil
}

// survival of some patients, who are all followed.
func survivalOf(outcomes []datasets.Outcome, patients []int) (days []float64, died []bool) {
	for _, i := range patients {
		days, died = append(days, outcomes[i].SurvivalDays.V), append(died, outcomes[i].Event.V)
	}
	return days, died
}
