package datasets

import (
	"fmt"
	"path/filepath"

	"hounsfield/datasets/table"
)

// CohortSchema declares the columns of a cohort table; feature columns follow them.
// The same names are the headers of a user's own CSV file.
func CohortSchema() table.Schema {
	text := func(name, description string, allowed ...string) table.Column {
		return table.Column{Name: name, Type: table.String, Nullable: true, Description: description, Allowed: allowed}
	}
	const tnm = ", without its letter; clinical or pathological, as the source has it"
	return table.Schema{Name: "cohort", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true, Description: "the patient"},
		{Name: "cohort", Type: table.String, Description: "where the patient was treated"},
		{Name: "role", Type: table.String, Allowed: []string{string(Train), string(Tune), string(Test)}, Description: "what the patient may be used for"},
		{Name: "age", Type: table.Float64, Nullable: true, Unit: "years", Range: table.Between(0, 120), Description: "age at diagnosis"},
		text("sex", "sex", "male", "female"),
		text("histology", "histology"),
		// T 5, N 4 and M 3 are no TNM values; they stand in Lung1 and are kept.
		text("t", "T"+tnm, "x", "0", "is", "1", "1a", "1b", "1c", "2", "2a", "2b", "3", "4", "5"),
		text("n", "N"+tnm, "x", "0", "1", "1a", "1b", "2", "2a", "2b", "3", "3a", "3b", "4"),
		text("m", "M"+tnm, "x", "0", "1", "1a", "1b", "1c", "3"),
		text("stage", "overall stage", "0", "I", "IA", "IB", "II", "IIA", "IIB", "III", "IIIA", "IIIB", "IIIC", "IV", "IVA", "IVB"),
		{Name: "survival_days", Type: table.Float64, Nullable: true, Unit: "days", Range: table.Between(0, 36525),
			Direction: "higher = better", Description: "from the cohort's time zero to death or last contact"},
		{Name: "event", Type: table.Bool, Nullable: true, Description: "true: died at survival_days; false: alive then, not seen later"},
		{Name: "alive_2yr", Type: table.Bool, Nullable: true, Direction: "true = better",
			Description: "alive more than 730 days after time zero; null when last seen alive before"},
	}}
}

// Whether a cohort file holds the outcomes of its test patients stands in its
// metadata under this key.
const (
	testOutcomes   = "test_outcomes"
	outcomesSealed = "sealed"
	outcomesGiven  = "given"
)

// Write writes the cohort table (.arrow or .parquet). As long as the test role is
// sealed, its outcomes are null in the file and the metadata says
// test_outcomes=sealed: a run folder cannot leak them into a choice.
func (c *Cohort) Write(path string, provenance map[string]string) error {
	c.seal.mu.Lock()
	given := c.seal.opened && !c.seal.masked
	c.seal.mu.Unlock()
	return c.write(path, provenance, given)
}

// Export writes the cohort table with every outcome in it, test included: a user's
// own data in another format, for turning CSV into Arrow or Parquet. What reads it
// back is sealed again. Runs use Write.
func (c *Cohort) Export(path string, provenance map[string]string) error {
	if c.seal.masked {
		return &SealedTestError{Cohort: c.Name, Problem: "it was read from a table written with the test outcomes left out", Next: "export the table they came from"}
	}
	return c.write(path, provenance, true)
}

func (c *Cohort) write(path string, provenance map[string]string, given bool) error {
	t, err := c.table(provenance, given)
	if err != nil {
		return fmt.Errorf("cohort %s: %w", c.Name, err)
	}
	return t.Write(path)
}

func (c *Cohort) table(provenance map[string]string, given bool) (*table.Table, error) {
	meta := make(map[string]string, len(provenance)+1)
	for k, v := range provenance {
		meta[k] = v
	}
	meta[testOutcomes] = outcomesSealed
	if given {
		meta[testOutcomes] = outcomesGiven
	}
	outcome := func(i int) Outcome {
		if c.Patients[i].Role == Test && !given {
			return Outcome{}
		}
		return c.outcomes[i]
	}
	rows := len(c.Patients)
	data := map[string]any{
		"patient_id":    column(rows, func(i int) string { return c.Patients[i].ID }),
		"cohort":        column(rows, func(i int) string { return c.Patients[i].Cohort }),
		"role":          column(rows, func(i int) string { return string(c.Patients[i].Role) }),
		"age":           column(rows, func(i int) Null[float64] { return c.Patients[i].Age }),
		"sex":           column(rows, func(i int) Null[string] { return c.Patients[i].Sex }),
		"histology":     column(rows, func(i int) Null[string] { return c.Patients[i].Histology }),
		"t":             column(rows, func(i int) Null[string] { return c.Patients[i].T }),
		"n":             column(rows, func(i int) Null[string] { return c.Patients[i].N }),
		"m":             column(rows, func(i int) Null[string] { return c.Patients[i].M }),
		"stage":         column(rows, func(i int) Null[string] { return c.Patients[i].Stage }),
		"survival_days": column(rows, func(i int) Null[float64] { return outcome(i).SurvivalDays }),
		"event":         column(rows, func(i int) Null[bool] { return outcome(i).Event }),
		"alive_2yr":     column(rows, func(i int) Null[bool] { return outcome(i).Alive2yr }),
	}
	schema := CohortSchema()
	for _, f := range c.Features {
		schema = schema.With(f.Column)
		data[f.Column.Name] = f.Values
	}
	return table.New(schema, meta, data)
}

func column[V any](rows int, cell func(int) V) []V {
	out := make([]V, rows)
	for i := range out {
		out[i] = cell(i)
	}
	return out
}

// ReadCohort reads a cohort table: .arrow or .parquet as Write and Export make
// them, or a user's .csv with CohortSchema's names as headers (an empty cell is
// null). Every declared column must be there; every other one is a feature and must
// hold numbers. name is what the cohort is called in errors and reports.
func ReadCohort(path, name string) (*Cohort, error) {
	feature := func(found table.Column) (table.Column, bool) {
		found.Type, found.Nullable = table.Float64, true
		return found, true
	}
	var t *table.Table
	var err error
	switch filepath.Ext(path) {
	case ".csv":
		t, err = table.ReadCSV(path, CohortSchema(), table.CSVOptions{Undeclared: feature})
	case ".arrow", ".parquet":
		t, err = table.Read(path, CohortSchema(), feature)
	default:
		err = &table.FormatError{File: path, Problem: fmt.Sprintf("the ending %q names no cohort table", filepath.Ext(path)), Next: "give a .csv, .arrow or .parquet file"}
	}
	if err != nil {
		return nil, err
	}
	patients, outcomes := make([]Patient, t.Rows()), make([]Outcome, t.Rows())
	rows := newClinical(t)
	cohort, role := t.Strings("cohort"), t.Strings("role")
	for i := range patients {
		patients[i], outcomes[i] = rows.patient(i), rows.outcome(i)
		patients[i].Cohort, patients[i].Role = cohort[i], Role(role[i])
		if err := outcomes[i].settle(patients[i].ID); err != nil {
			e := labelError(err)
			e.File, e.Line = path, t.Line(i)
			return nil, e
		}
	}
	c, err := NewCohort(name, patients, outcomes, features(t, CohortSchema()))
	if err != nil {
		return nil, err
	}
	c.seal.masked = t.Provenance()[testOutcomes] == outcomesSealed
	return c, nil
}

// features are the columns of a table that the schema does not declare.
func features(t *table.Table, schema table.Schema) []Feature {
	var out []Feature
	for _, c := range t.Schema().Columns[len(schema.Columns):] {
		out = append(out, Feature{Column: c, Values: t.Float64s(c.Name)})
	}
	return out
}
