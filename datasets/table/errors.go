package table

import (
	"fmt"
	"strings"
)

// ColumnError is a table whose columns are not the declared ones: missing,
// undeclared, twice there, of another type or length.
type ColumnError struct {
	File    string // empty for a table built in memory
	Table   string // the schema's name
	Column  string
	Problem string
	Nearest []string // names that are there and look like it
	Next    string   // what to do
}

func (e *ColumnError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ": ")
	}
	fmt.Fprintf(&b, "table %s", e.Table)
	if e.Column != "" {
		fmt.Fprintf(&b, ", column %q", e.Column)
	}
	b.WriteString(": " + e.Problem)
	if len(e.Nearest) > 0 {
		fmt.Fprintf(&b, " (nearest there: %s)", strings.Join(e.Nearest, ", "))
	}
	return b.String() + "; " + e.Next
}

// ValueError is one cell that is not allowed.
type ValueError struct {
	File    string // empty for a table built in memory
	Table   string
	Line    int // line of a text file, from 1; 0 where there are no lines
	Row     int // row of the table, from 0
	Column  string
	Patient string // the row's value in the table's first unique string column
	Value   string
	Allowed string
}

func (e *ValueError) Error() string {
	s := place(e.File, e.Table, e.Line, e.Row) + fmt.Sprintf(", column %q", e.Column)
	if e.Patient != "" {
		s += fmt.Sprintf(", patient %q", e.Patient)
	}
	return s + fmt.Sprintf(": %q is not allowed; allowed: %s; correct it, or the column map if another column was meant", e.Value, e.Allowed)
}

// DuplicateError is a value that stands twice in a column of unique values.
type DuplicateError struct {
	File   string
	Table  string
	Column string
	Value  string
	Lines  [2]int // of a text file, from 1; 0 where there are no lines
	Rows   [2]int // of the table, from 0
}

func (e *DuplicateError) Error() string {
	where := fmt.Sprintf("rows %d and %d", e.Rows[0], e.Rows[1])
	if e.Lines[0] > 0 {
		where = fmt.Sprintf("lines %d and %d", e.Lines[0], e.Lines[1])
	}
	file := ""
	if e.File != "" {
		file = e.File + ": "
	}
	return fmt.Sprintf("%stable %s, column %q: %q stands in %s; each value may stand once: remove or rename one of them",
		file, e.Table, e.Column, e.Value, where)
}

// FormatError is a file that cannot be read as the format its name promises.
type FormatError struct {
	File    string
	Line    int // of a text file, from 1; 0 where unknown
	Problem string
	Next    string
	Err     error // the reader's own error, if it had one
}

func (e *FormatError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(": line %d", e.Line)
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Next
}

func (e *FormatError) Unwrap() error { return e.Err }

func place(file, table string, line, row int) string {
	switch {
	case file == "":
		return fmt.Sprintf("table %s, row %d", table, row)
	case line > 0:
		return fmt.Sprintf("%s: line %d", file, line)
	default:
		return fmt.Sprintf("%s: row %d", file, row)
	}
}
