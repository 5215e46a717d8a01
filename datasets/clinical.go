package datasets

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// clinicalSchema is CohortSchema without what a clinical file does not say itself:
// cohort and role come from the catalog.
func clinicalSchema() table.Schema {
	s := table.Schema{Name: "clinical"}
	for _, c := range CohortSchema().Columns {
		if c.Name != "cohort" && c.Name != "role" {
			s.Columns = append(s.Columns, c)
		}
	}
	return s
}

// clinical gives patients and outcomes row by row out of a table that has
// clinicalSchema's columns.
type clinical struct {
	id                                        []string
	age, days                                 []Null[float64]
	sex, histology, tumour, node, meta, stage []Null[string]
	event, alive                              []Null[bool]
}

func newClinical(t *table.Table) clinical {
	text := func(name string) []Null[string] { return table.Nulls[string](t, name) }
	return clinical{
		id: t.Strings("patient_id"), age: table.Nulls[float64](t, "age"), days: table.Nulls[float64](t, "survival_days"),
		sex: text("sex"), histology: text("histology"), tumour: text("t"), node: text("n"), meta: text("m"), stage: text("stage"),
		event: table.Nulls[bool](t, "event"), alive: table.Nulls[bool](t, "alive_2yr"),
	}
}

func (c clinical) patient(i int) Patient {
	return Patient{ID: c.id[i], Age: c.age[i], Sex: c.sex[i], Histology: c.histology[i], T: c.tumour[i], N: c.node[i], M: c.meta[i], Stage: c.stage[i]}
}

func (c clinical) outcome(i int) Outcome {
	return Outcome{SurvivalDays: c.days[i], Event: c.event[i], Alive2yr: c.alive[i]}
}

// ReadClinical reads the clinical tables of a catalog entry (nsclc-radiomics,
// nsclc-radiogenomics) under a data folder into one cohort, through the entry's
// column maps. Cohort and role come from the entry. Columns that no map names are
// not read, unless the entry declares features. A table with more or fewer rows
// than the catalog says is refused.
func ReadClinical(root string, e catalog.Entry) (*Cohort, error) {
	var patients []Patient
	var outcomes []Outcome
	var all []Feature
	for i, from := range e.Tables {
		t, err := readTable(root, from, clinicalSchema())
		if err != nil {
			return nil, err
		}
		rows := newClinical(t)
		for r := range t.Rows() {
			p, o := rows.patient(r), rows.outcome(r)
			p.Cohort, p.Role = from.Cohort, Role(from.Role)
			if err := o.settle(p.ID); err != nil {
				e := labelError(err)
				e.File, e.Line = from.File, t.Line(r)
				return nil, e
			}
			patients, outcomes = append(patients, p), append(outcomes, o)
		}
		if all, err = appendFeatures(all, features(t, clinicalSchema()), i == 0, from.File); err != nil {
			return nil, err
		}
	}
	return NewCohort(e.Name, patients, outcomes, all)
}

// readTable reads one of an entry's tables through its column map.
func readTable(root string, from catalog.Table, schema table.Schema) (*table.Table, error) {
	path := filepath.Join(root, filepath.FromSlash(from.File))
	t, err := table.ReadCSV(path, schema, table.CSVOptions{Columns: from.Columns, Nulls: from.Nulls, Undeclared: featureColumns(from.Features)})
	if err != nil {
		return nil, err
	}
	if t.Rows() != from.Rows {
		return nil, &table.FormatError{File: path, Problem: fmt.Sprintf("it has %d rows and the catalog says %d", t.Rows(), from.Rows),
			Next: "it is cut or another version: fetch it again"}
	}
	return t, nil
}

func featureColumns(f *catalog.Features) table.Undeclared {
	if f == nil {
		return table.Ignore
	}
	return func(found table.Column) (table.Column, bool) {
		for _, beginning := range f.Skip {
			if strings.HasPrefix(found.Name, beginning) {
				return found, false
			}
		}
		return table.Column{Type: table.Float64, Nullable: true, Source: f.Source}, true
	}
}

// appendFeatures puts the features of the next table under those of the tables
// before it; all tables must have the same ones.
func appendFeatures(all, next []Feature, first bool, file string) ([]Feature, error) {
	if first {
		for i := range next {
			// The table's own memory is not written to.
			next[i].Values = append([]float64(nil), next[i].Values...)
		}
		return next, nil
	}
	at := make(map[string][]float64, len(next))
	for _, f := range next {
		at[f.Column.Name] = f.Values
	}
	for i, f := range all {
		values, ok := at[f.Column.Name]
		if !ok {
			return nil, &table.ColumnError{File: file, Table: "features", Column: f.Column.Name, Problem: "is missing", Next: "all tables of one cohort need the same features"}
		}
		all[i].Values = append(f.Values, values...)
		delete(at, f.Column.Name)
	}
	if more := slices.Sorted(maps.Keys(at)); len(more) > 0 {
		return nil, &table.ColumnError{File: file, Table: "features", Column: more[0], Problem: "stands in no table before", Next: "all tables of one cohort need the same features"}
	}
	return all, nil
}
