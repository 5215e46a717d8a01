package datasets

import "hounsfield/datasets/table"

// Exclusion is one patient lost on the way, and why. Nobody is dropped without one.
type Exclusion struct {
	Patient string
	Cohort  string
	Stage   string // the step that could not go on: "read", "prepare", "survival", ...
	Reason  string // in words a person can act on
	File    string // the file at fault; empty when there is none
}

// ExclusionSchema declares the exclusions table. A patient may stand in it more
// than once, for different stages.
func ExclusionSchema() table.Schema {
	return table.Schema{Name: "exclusions", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Description: "the patient; for a file that names none, the file"},
		{Name: "cohort", Type: table.String, Description: "the cohort it would have belonged to"},
		{Name: "stage", Type: table.String, Description: "the step that could not go on"},
		{Name: "reason", Type: table.String, Description: "why"},
		{Name: "file", Type: table.String, Nullable: true, Description: "the file at fault"},
	}}
}

// WriteExclusions writes the exclusions table (.arrow or .parquet), in the order
// given. No exclusions is a table without rows.
func WriteExclusions(path string, exclusions []Exclusion, provenance map[string]string) error {
	n := len(exclusions)
	t, err := table.New(ExclusionSchema(), provenance, map[string]any{
		"patient_id": column(n, func(i int) string { return exclusions[i].Patient }),
		"cohort":     column(n, func(i int) string { return exclusions[i].Cohort }),
		"stage":      column(n, func(i int) string { return exclusions[i].Stage }),
		"reason":     column(n, func(i int) string { return exclusions[i].Reason }),
		"file": column(n, func(i int) Null[string] {
			return Null[string]{V: exclusions[i].File, Valid: exclusions[i].File != ""}
		}),
	})
	if err != nil {
		return err
	}
	return t.Write(path)
}

// ReadExclusions reads what WriteExclusions wrote.
func ReadExclusions(path string) ([]Exclusion, error) {
	t, err := table.Read(path, ExclusionSchema(), nil)
	if err != nil {
		return nil, err
	}
	id, cohort, stage, reason, file := t.Strings("patient_id"), t.Strings("cohort"), t.Strings("stage"), t.Strings("reason"), t.Strings("file")
	return column(t.Rows(), func(i int) Exclusion {
		return Exclusion{Patient: id[i], Cohort: cohort[i], Stage: stage[i], Reason: reason[i], File: file[i]}
	}), nil
}
