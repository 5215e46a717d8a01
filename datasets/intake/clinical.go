package intake

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
)

// Row is one row of the clinical table.
type Row struct {
	Where   string // in the file: line 17
	Spelled string // the id as the file has it
	ID      string // as the map makes it; empty when it cannot be made
	Patient datasets.Patient
	Outcome datasets.Outcome
	// Problem is why the row cannot be used, without a value of the file; empty when it can.
	Problem string
	// Column and Cell are the cell at fault, for the screen of a person who has the file, never
	// for a file that is written; empty where the fault is of no single cell.
	Column, Cell string
	// Identity are the values by which the patient can be known, of the columns that the map names
	// for that. They are to be searched for in what is written, and for nothing else.
	Identity []Identifier
}

// Identifier is a cell that tells who a patient is.
type Identifier struct{ Column, Value string }

// Table is the clinical table, read through a map.
type Table struct {
	Rows   []Row
	Unused []string // headers of columns that are not carried over
	Blank  int      // rows with nothing in them
}

// ReadClinical reads the clinical table of a cohort. A row that cannot be used is told, with
// its reason, and spoils no other: an id that is missing, does not fit the pattern or stands
// there twice; a value that cannot be; a label that contradicts the survival.
//
// Errors: *table.FormatError for a file that cannot be read, *table.ColumnError (all of them
// joined) for columns that the map names and the file does not have.
func ReadClinical(path string, m Map) (*Table, error) {
	s, err := openSheet(path, m)
	if err != nil {
		return nil, err
	}
	r, err := newRowReader(s, m)
	if err != nil {
		return nil, err
	}
	out := &Table{Blank: s.blank, Unused: r.unused()}
	first := map[string]int{}
	for i, cells := range s.rows {
		row := Row{Where: s.where(i), Spelled: cells[r.id]}
		ok := false
		row.ID, ok = m.ID.ID(row.Spelled)
		for _, header := range m.Clinical.Identity {
			if v := cells[slices.Index(s.header, header)]; v != "" && !slices.Contains(m.Clinical.Nulls, v) {
				row.Identity = append(row.Identity, Identifier{header, v})
			}
		}
		switch {
		case row.Spelled == "" || slices.Contains(m.Clinical.Nulls, row.Spelled):
			row.ID, row.Problem = "", fmt.Sprintf("column %q holds no id", m.ID.Column)
		case !ok:
			row.Problem = fmt.Sprintf("the id in column %q does not fit id.pattern", m.ID.Column)
		default:
			r.read(&row, cells)
		}
		if before, twice := first[row.ID]; twice && row.ID != "" {
			// Which of the two is right is not known here, so neither counts.
			row.Problem = fmt.Sprintf("its id stands in %s too", out.Rows[before].Where)
			if p := &out.Rows[before]; !strings.HasPrefix(p.Problem, "its id stands in") {
				p.Problem, p.Column, p.Cell = fmt.Sprintf("its id stands in %s too", row.Where), "", ""
			}
			row.Column, row.Cell = "", ""
		} else if row.ID != "" {
			first[row.ID] = i
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// rowReader reads rows through the column map.
type rowReader struct {
	sheet   *sheet
	m       Map
	id      int // the field with the id
	schema  table.Schema
	options table.CSVOptions
	used    map[string]bool // headers
	factors map[string]float64
	numbers []int  // fields whose decimal sign is that of the map
	head    []byte // the header line
}

func newRowReader(s *sheet, m Map) (*rowReader, error) {
	r := &rowReader{sheet: s, m: m, used: map[string]bool{m.ID.Column: true}, factors: map[string]float64{},
		options: table.CSVOptions{Columns: map[string]table.From{}, Nulls: m.Clinical.Nulls, Undeclared: table.Ignore}}
	r.schema = schema()
	numbers := map[string]bool{}
	for i, c := range r.schema.Columns {
		if c.Name == "patient_id" {
			r.options.Columns[c.Name] = table.From{Header: m.ID.Column}
			continue
		}
		from, given := m.Columns[c.Name]
		if !given {
			from.Absent = true
		}
		if r.factors[c.Name] = from.factor(c.Name); from.Unit != "" || from.ElseDates != nil {
			r.schema.Columns[i].Range = nil // it holds in the column's own unit, after the conversion
		}
		r.options.Columns[c.Name] = from.From
		if !from.Absent {
			header := from.Header
			if header == "" {
				header = c.Name
			}
			r.used[header] = true
			numbers[header] = c.Type == table.Float64
		}
		if d := from.ElseDates; d != nil {
			r.used[d.Start], r.used[d.End] = true, true
			if d.StartPlusDays != "" {
				r.used[d.StartPlusDays] = true
			}
		}
	}
	for _, header := range slices.Sorted(maps.Keys(s.unreadable)) {
		if r.used[header] || slices.Contains(m.Clinical.Identity, header) {
			return nil, &table.ColumnError{File: s.file, Table: "clinical", Column: header, Problem: fmt.Sprintf("holds %s, which is not read here", s.unreadable[header]),
				Next: "write it as text, as a number, or as true and false; dates as text such as 2015-03-01"}
		}
	}
	var err error
	if r.head, err = line(s.header); err != nil {
		return nil, err
	}
	// A table without rows holds every name of the map against the header, all at once.
	errs := []error{unwrapRead(table.DecodeCSV(bytes.NewReader(r.head), s.file, r.schema, r.options))}
	for _, header := range m.Clinical.Identity {
		if !slices.Contains(s.header, header) {
			e := &table.ColumnError{File: s.file, Table: "clinical", Column: header, Problem: "is missing (clinical.identity names it)", Next: "correct the map"}
			if near := table.NearestName(header, s.header); near != "" {
				e.Nearest = []string{near}
			}
			errs = append(errs, e)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r.id = slices.Index(s.header, m.ID.Column)
	for i, h := range s.header {
		if numbers[h] && m.Clinical.Decimal == "comma" && s.text() {
			r.numbers = append(r.numbers, i)
		}
	}
	return r, nil
}

func unwrapRead(_ *table.Table, err error) error { return err }

// line is a row as a line of a comma-separated file.
func line(cells []string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	err := w.Write(cells)
	w.Flush()
	return b.Bytes(), errors.Join(err, w.Error())
}

// unused are the headers that are not carried over.
func (r *rowReader) unused() []string {
	var out []string
	for _, h := range r.sheet.header {
		if h != "" && !r.used[h] {
			out = append(out, h)
		}
	}
	return out
}

// read fills in a row, or says what is wrong with it: the first value that cannot be.
func (r *rowReader) read(row *Row, cells []string) {
	given := cells
	cells = slices.Clone(cells)
	for _, i := range r.numbers {
		if strings.Contains(cells[i], ".") && !slices.Contains(r.m.Clinical.Nulls, cells[i]) {
			// 1.234 may be a thousand or one: nobody can tell.
			row.Problem = fmt.Sprintf("column %q holds a point, and clinical.decimal says that numbers are written with a comma", r.sheet.header[i])
			row.Column, row.Cell = r.sheet.header[i], cells[i]
			return
		}
		cells[i] = strings.Replace(cells[i], ",", ".", 1)
	}
	text, err := line(cells)
	if err != nil {
		row.Problem = "cannot be read: " + err.Error()
		return
	}
	fault := func(header string, err error) {
		var value *table.ValueError
		var label *datasets.LabelError
		switch {
		case errors.As(err, &value):
			row.Column, row.Problem = header, fmt.Sprintf("column %q holds a value that is not allowed; allowed: %s", header, value.Allowed)
			if at := slices.Index(r.sheet.header, header); at >= 0 {
				row.Cell = given[at]
			}
		case errors.As(err, &label):
			row.Problem = "alive_2yr contradicts survival_days and event: more than 730 days is true, death by then is false, last seen alive by then is null"
		default:
			row.Problem = "cannot be read" // for no reason that is known; the error's text may hold a value
		}
	}
	t, err := table.DecodeCSV(bytes.NewReader(slices.Concat(r.head, text)), r.sheet.file, r.schema, r.options)
	if err != nil {
		fault(columnOf(err), err)
		return
	}
	r.fill(row, t)
	// Ranges hold in the cohort's own units, and labels must not contradict the survival.
	if _, err := datasets.NewCohort(r.m.Cohort, []datasets.Patient{row.Patient}, []datasets.Outcome{row.Outcome}, nil); err != nil {
		name := columnOf(err) // ours
		fault(cmp.Or(r.options.Columns[name].Header, name), err)
	}
}

// columnOf is the column that an error of package table is about; empty where it is about none.
func columnOf(err error) string {
	var value *table.ValueError
	if errors.As(err, &value) {
		return value.Column
	}
	return ""
}

// fill makes patient and outcome of a table of one row, in the cohort's units.
func (r *rowReader) fill(row *Row, t *table.Table) {
	text := func(name string) datasets.Null[string] { return table.Nulls[string](t, name)[0] }
	number := func(name string) datasets.Null[float64] {
		v := table.Nulls[float64](t, name)[0]
		v.V *= r.factors[name]
		return v
	}
	row.Patient = datasets.Patient{ID: row.ID, Cohort: r.m.Cohort, Role: datasets.Train, Age: number("age"), Sex: text("sex"), Histology: text("histology"),
		T: text("t"), N: text("n"), M: text("m"), Stage: text("stage")}
	row.Outcome = datasets.Outcome{SurvivalDays: number("survival_days"), Event: table.Nulls[bool](t, "event")[0], Alive2yr: table.Nulls[bool](t, "alive_2yr")[0]}
}
