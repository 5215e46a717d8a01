// Package datasets turns files on disk into cohorts: patients with a role, their
// two-year label and survival behind a guard, their features, their cubes, and a
// row for every patient lost on the way.
//
// Words: role is train, tune or test; the label is "alive at two years" (true,
// false or null); a score is a predicted RISK OF DEATH, higher is worse; time is in
// days, lengths in mm, ages in years.
package datasets

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"hounsfield/datasets/table"
)

// Null is a value that may be missing. Its zero value is null.
type Null[V any] = table.Null[V]

// Role says what a patient may be used for.
type Role string

// Train fits, Tune chooses (early stopping, thresholds), Test is opened once.
const (
	Train Role = "train"
	Tune  Role = "tune"
	Test  Role = "test"
)

// Patient is what is known about one patient besides outcome, image and features.
// T, N, M and Stage are written without the letter: "2a", "0", "IIIB"; CohortSchema
// lists what they may be.
type Patient struct {
	ID     string // unique within a Cohort
	Cohort string // e.g. "Maastro"
	Role   Role
	Age    Null[float64] // years
	Sex    Null[string]  // male | female

	Histology, T, N, M, Stage Null[string]
}

// Feature is one number per patient besides the clinical ones.
type Feature struct {
	Column table.Column // name, unit, direction, source; Type is float64, nulls allowed
	Values []float64    // aligned with Cohort.Patients; NaN = null
}

// Cohort is a set of patients with their features and, behind a guard, what became
// of them: train and tune outcomes are there for the asking, test outcomes come out
// once, through OpenTest. The guard is against mistakes in code (a threshold or an
// early stop that looks at the test role), not against a person with the files.
type Cohort struct {
	Name     string
	Patients []Patient
	Features []Feature

	outcomes []Outcome // aligned with Patients
	seal     *seal     // shared by all subsets
}

type seal struct {
	mu     sync.Mutex
	opened bool
	// masked: the cohort came from a file that holds no test outcomes.
	masked bool
}

// SealedTestError is a request for test outcomes that the role guard turns down.
type SealedTestError struct {
	Cohort  string
	Problem string
	Next    string
}

func (e *SealedTestError) Error() string {
	return fmt.Sprintf("cohort %s: %s; %s", e.Cohort, e.Problem, e.Next)
}

// LabelError is a two-year label that contradicts the same patient's survival.
type LabelError struct {
	File    string // empty for a cohort built in memory
	Line    int    // 0 where there are no lines
	Patient string
	Label   bool // alive at two years
	Days    float64
	Event   Null[bool]
}

func (e *LabelError) Error() string {
	s := ""
	if e.File != "" {
		s = e.File + ": "
	}
	if e.Line > 0 {
		s += fmt.Sprintf("line %d, ", e.Line)
	}
	state := "not known dead or alive"
	if e.Event.Valid {
		state = map[bool]string{true: "dead", false: "alive"}[e.Event.V]
	}
	return s + fmt.Sprintf("patient %q: alive_2yr is %t, but the patient was %s on day %g; more than %g days is true, death by then is false, and last seen alive by then is null: correct one of the two",
		e.Patient, e.Label, state, e.Days, TwoYears)
}

// NewCohort checks and joins the parts of a cohort; outcomes and the values of each
// feature are aligned with patients. The slices are kept, not copied. A null label
// that follows from survival is filled in. Errors: *table.ValueError,
// *table.DuplicateError, *table.ColumnError, *LabelError.
func NewCohort(name string, patients []Patient, outcomes []Outcome, features []Feature) (*Cohort, error) {
	if len(outcomes) != len(patients) {
		return nil, fmt.Errorf("cohort %s: %d outcomes for %d patients; give one each", name, len(outcomes), len(patients))
	}
	c := &Cohort{Name: name, Patients: patients, Features: features, outcomes: slices.Clone(outcomes), seal: &seal{}}
	for i := range c.outcomes {
		if err := c.outcomes[i].settle(patients[i].ID); err != nil {
			return nil, fmt.Errorf("cohort %s: %w", name, err)
		}
	}
	// Writing it as a table holds every value against the schema.
	if _, err := c.table(nil, true); err != nil {
		return nil, fmt.Errorf("cohort %s: %w", name, err)
	}
	return c, nil
}

// Of are the rows (indices into Patients) of one role, rising.
func (c *Cohort) Of(role Role) []int {
	var rows []int
	for i, p := range c.Patients {
		if p.Role == role {
			rows = append(rows, i)
		}
	}
	return rows
}

// Outcomes are the outcomes of train or tune patients, aligned with Of(role).
// Test is refused with a *SealedTestError whatever has happened before.
func (c *Cohort) Outcomes(role Role) ([]Outcome, error) {
	if role == Test {
		return nil, &SealedTestError{Cohort: c.Name, Problem: "outcomes of test patients are sealed",
			Next: "choose everything on train and tune, then open the test role once with OpenTest, in the evaluation step"}
	}
	return c.of(role), nil
}

// OpenTest gives the outcomes of the test patients, aligned with Of(Test), once in
// the life of a cohort and its subsets. It calls record first, which must note the
// opening where a reader of the results will see it (the run's manifest); if record
// fails, the test role stays sealed. A second call is a *SealedTestError.
func (c *Cohort) OpenTest(record func() error) ([]Outcome, error) {
	if record == nil {
		return nil, &SealedTestError{Cohort: c.Name, Problem: "the test role cannot be opened without a record of it", Next: "pass the function that writes the manifest's entry"}
	}
	c.seal.mu.Lock()
	defer c.seal.mu.Unlock()
	switch {
	case c.seal.masked:
		return nil, &SealedTestError{Cohort: c.Name, Problem: "it was read from a table written with the test outcomes left out", Next: "read the table they came from"}
	case c.seal.opened:
		return nil, &SealedTestError{Cohort: c.Name, Problem: "the test role has been opened before", Next: "use the outcomes it gave then; a second look is a second run"}
	}
	if err := record(); err != nil {
		return nil, fmt.Errorf("cohort %s: the test role stays sealed, its opening could not be recorded: %w", c.Name, err)
	}
	c.seal.opened = true
	return c.of(Test), nil
}

func (c *Cohort) of(role Role) []Outcome {
	var out []Outcome
	for i, p := range c.Patients {
		if p.Role == role {
			out = append(out, c.outcomes[i])
		}
	}
	return out
}

// Subset is the cohort of some rows (indices into Patients), in the order given. It
// shares the seal: opening the test role of one opens it for both.
func (c *Cohort) Subset(rows []int) *Cohort {
	s := &Cohort{Name: c.Name, Patients: pick(c.Patients, rows), outcomes: pick(c.outcomes, rows), seal: c.seal}
	for _, f := range c.Features {
		s.Features = append(s.Features, Feature{Column: f.Column, Values: pick(f.Values, rows)})
	}
	return s
}

func pick[V any](from []V, rows []int) []V {
	out := make([]V, len(rows))
	for i, r := range rows {
		out[i] = from[r]
	}
	return out
}

// Feature finds a feature by name.
func (c *Cohort) Feature(name string) (Feature, error) {
	names := make([]string, len(c.Features))
	for i, f := range c.Features {
		if f.Column.Name == name {
			return f, nil
		}
		names[i] = f.Column.Name
	}
	e := &table.ColumnError{Table: "cohort " + c.Name, Column: name, Problem: "is no feature of it", Next: "name one of its features"}
	if near := table.NearestName(name, names); near != "" {
		e.Nearest = []string{near}
	}
	return Feature{}, e
}

// settle fills in a label that follows from survival and refuses one that
// contradicts it.
func (o *Outcome) settle(patient string) error {
	if !o.SurvivalDays.Valid {
		return nil
	}
	days := o.SurvivalDays.V
	var follows Null[bool]
	switch {
	case o.Event.Valid:
		follows = AliveAt2yr(days, o.Event.V)
	case days > TwoYears:
		follows = table.Some(true)
	default: // early, and whether dead or lost from sight is not known
		return nil
	}
	if o.Alive2yr.Valid && o.Alive2yr != follows {
		return &LabelError{Patient: patient, Label: o.Alive2yr.V, Days: days, Event: o.Event}
	}
	o.Alive2yr = follows
	return nil
}

// labelError finds the *LabelError in err, to add file and line to it.
func labelError(err error) *LabelError {
	if e := (*LabelError)(nil); errors.As(err, &e) {
		return e
	}
	return nil
}
