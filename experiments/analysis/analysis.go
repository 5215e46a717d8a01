// Package analysis holds what a run can look at beyond its metrics: whether scores repeat,
// what the networks look at, which tissue and which genes go with them. Each analysis is a
// name in a config's list, reads one Input of plain data, and gives one Result of tables,
// figures and a section of the report; it writes nothing but the files it names.
//
// The command line, a notebook's cell and a test reach them by experiments.Run.
package analysis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/report"
	"hounsfield/experiments/scoring"
)

// Input is what an analysis may read. Slices are aligned with the cohort's patients.
type Input struct {
	Settings   Settings
	Cohort     *datasets.Cohort
	Outcomes   []datasets.Outcome // the test role's too: it was opened before
	Scores     []float64          // risk of death, higher is worse; NaN where there is none
	ScoredBy   string             // whose scores these are, in words
	Cut        float64            // high risk is strictly above: the median of the tune role; NaN for imported networks, which come without
	Truth      []float64          // the phantom's log hazard; nil for real patients
	Cubes      []*volume.Cube     // what the networks read; nil where scores came from elsewhere, an entry is nil for a patient without one
	Images     datasets.Images    // the scans behind them, by patient id and not aligned; nil where there are none
	Networks   *scoring.Networks  // nil where scores came from elsewhere, and before they are trained
	Spec       volume.CubeSpec    // what the networks read, also before they are trained; zero where scores came from elsewhere
	Phantom    *phantom.Phantom   // where the cohort is one, else nil
	Level      float64            // of confidence intervals
	Bootstrap  int                // resamples
	Seed       uint64             // of whatever is drawn
	Jobs       int                // workers; results do not depend on it
	Dir        string             // the run folder; files may be written below Dir/<name of the analysis>
	Mirror     string             // data folder, as of the command line
	Provenance map[string]string  // for every table
	Progress   *progress.Progress

	// Retrain trains networks anew by the run's settings on other cubes of the same patients
	// and gives their mean scores, aligned. What was trained on the very same cubes is kept,
	// also when the run is stopped. Nil for a finished run that was opened again.
	Retrain func(ctx context.Context, name string, cubes []*volume.Cube) ([]float64, error)
}

// Result is what an analysis found.
type Result struct {
	Tables     []Table
	Figures    []Figure // those that stand in Section as well
	Section    report.Section
	Exclusions []datasets.Exclusion // patients that the analysis lost, stage "analysis <name>"
	Lines      []string             // the main findings, one short line each, for the terminal
}

// Table is written to tables/<Name>.arrow, and as Parquet too.
type Table struct {
	Name string
	*table.Table
}

// Figure is written to figures/<Name>.svg.
type Figure struct {
	Name, Caption string
	SVG           []byte
}

// Block is the figure as it stands in the report.
func (f Figure) Block() report.Figure {
	return report.Figure{SVG: f.SVG, Caption: report.Text(f.Caption), File: "figures/" + f.Name + ".svg"}
}

// Measure is one figure with what a reader needs to believe it.
type Measure struct {
	Name   string // such as ICC(A,1)
	Group  string // of patients, readers or arms
	N      int    // patients it stands on
	Value  float64
	Low    table.Null[float64] // confidence limits
	High   table.Null[float64]
	P      table.Null[float64]
	Method string
}

// MeasuresTable has a row for each measure. All analyses write theirs in this form, to
// tables/<analysis>.arrow, so that runs can be compared by it.
func MeasuresTable(name string, all []Measure, provenance map[string]string) (*table.Table, error) {
	return table.New(MeasuresSchema(name), provenance, map[string]any{
		"metric": table.ColumnOf(all, func(m Measure) string { return m.Name }),
		"group":  table.ColumnOf(all, func(m Measure) string { return m.Group }),
		"n":      table.ColumnOf(all, func(m Measure) int64 { return int64(m.N) }),
		"value":  table.ColumnOf(all, func(m Measure) table.Null[float64] { return table.Finite(m.Value) }),
		"low":    table.ColumnOf(all, func(m Measure) table.Null[float64] { return m.Low }),
		"high":   table.ColumnOf(all, func(m Measure) table.Null[float64] { return m.High }),
		"p":      table.ColumnOf(all, func(m Measure) table.Null[float64] { return m.P }),
		"method": table.ColumnOf(all, func(m Measure) string { return m.Method }),
	})
}

// MeasuresSchema declares the table of an analysis' measures.
func MeasuresSchema(name string) table.Schema {
	return table.Schema{Name: name, Columns: []table.Column{
		{Name: "metric", Type: table.String},
		{Name: "group", Type: table.String, Description: "patients, readers or arms that the figure is of"},
		{Name: "n", Type: table.Int64, Description: "patients the figure stands on"},
		{Name: "value", Type: table.Float64, Nullable: true},
		{Name: "low", Type: table.Float64, Nullable: true, Description: "lower confidence limit"},
		{Name: "high", Type: table.Float64, Nullable: true, Description: "upper confidence limit"},
		{Name: "p", Type: table.Float64, Nullable: true},
		{Name: "method", Type: table.String},
	}}
}

// needs is what an analysis cannot do without.
type needs struct {
	images   bool // scans: the phantom, or a prepared cohort with its volumes kept
	networks bool // trained here
}

// step is one analysis.
type step struct {
	words string // what it asks, for help texts
	needs needs
	// check looks at the settings before any work starts: *SettingError. May be nil.
	check func(Settings) error
	// files are what it reads besides the cohort, to be hashed as inputs of the run. May be nil.
	files func(Settings) []string
	// ready looks before training whether the patients at hand have what is needed; outcomes
	// and scores are not known then. May be nil.
	ready func(*Input) error
	run   func(context.Context, *Input) (*Result, error)
}

// steps are the analyses by name.
var steps = map[string]step{
	clinicalName:    clinicalStep,
	tissueName:      tissueStep,
	activationName:  activationStep,
	geneSetsName:    geneSetsStep,
	interReaderName: interReaderStep,
	testRetestName:  testRetestStep,
}

// Names are the analyses there are, sorted.
func Names() []string { return slices.Sorted(maps.Keys(steps)) }

// Words say what an analysis asks.
func Words(name string) string { return steps[name].words }

// Needs says whether an analysis cannot do without scans, or without networks trained here.
func Needs(name string) (images, networks bool) {
	n := steps[name].needs
	return n.images, n.networks
}

// Check looks at the settings of an analysis. Errors: *SettingError.
func Check(name string, s Settings) error {
	if check := steps[name].check; check != nil {
		return check(s)
	}
	return nil
}

// Ready looks before training whether the patients at hand have what an analysis needs, so
// that its lack is told before the hours and not after. Errors: as those of Run.
func Ready(name string, in *Input) error {
	st := steps[name]
	switch {
	case st.ready != nil:
		return st.ready(in)
	case st.needs.images && in.Images == nil:
		return &UnfitError{Analysis: name, Lacks: "the patients have cubes and no scans", Next: "prepare them again without --no-volumes"}
	}
	return nil
}

// Files are what an analysis reads besides the cohort.
func Files(name string, s Settings) []string {
	if files := steps[name].files; files != nil {
		return files(s)
	}
	return nil
}

// Run makes one analysis. Errors: *SettingError, *UnfitError, those of the packages that
// read data, ctx.Err().
func Run(ctx context.Context, name string, in *Input) (*Result, error) {
	st, ok := steps[name]
	if !ok {
		return nil, fmt.Errorf("no analysis has the name %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return st.run(ctx, in)
}

// SettingError is a setting of an analysis that cannot be used.
type SettingError struct {
	Field   string // below the config's key analysis, such as test_retest.imaging
	Value   any
	Allowed string // what may stand there
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("analysis.%s is %v: it must be %s", e.Field, e.Value, e.Allowed)
}

// UnfitError says that the patients at hand lack what an analysis needs.
type UnfitError struct {
	Analysis string
	Lacks    string // what is not there, with counts
	Next     string // what to do about it
}

func (e *UnfitError) Error() string {
	return fmt.Sprintf("the analysis %s cannot be made: %s; %s, or take %s out of the config's analyses", e.Analysis, e.Lacks, e.Next, e.Analysis)
}
