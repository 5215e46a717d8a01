// Package table is a small typed layer over Apache Arrow: a declared schema, plain
// Go slices under it, and files that pandas, R arrow and DuckDB read as they are.
//
// Columns are found by NAME, never by position. A schema says for each column its
// type, whether it may be null, unit, direction, allowed values and range, how null
// is spelled in text files, and whether its values are unique; every table is
// checked against it once, when it is built or read, and every complaint names
// file, line, column, patient and what is allowed.
package table

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is what one column holds.
type Type string

// The types a column can have, and the Arrow type each is written as.
const (
	String  Type = "string"  // utf8
	Float64 Type = "float64" // double
	Float32 Type = "float32" // float
	Int64   Type = "int64"
	Bool    Type = "bool"
)

// Range bounds a number, both ends included.
type Range struct{ Min, Max float64 }

// Between is the range [min, max].
func Between(min, max float64) *Range { return &Range{Min: min, Max: max} }

// AtLeast is the range from min upwards.
func AtLeast(min float64) *Range { return &Range{Min: min, Max: math.Inf(1)} }

// Column declares one column.
type Column struct {
	Name     string
	Type     Type
	Nullable bool   // false: a null is an error
	Unique   bool   // no value twice; the first unique string column names the row in errors
	Unit     string // "days", "years", "mm", "HU", "mm3"; empty = none
	// Direction says which end is bad, e.g. "higher = higher risk of death".
	Direction   string
	Source      string // where the values come from: file, tool, paper
	Description string
	Allowed     []string // string columns: the only values allowed; nil = any
	Range       *Range   // number columns; nil = any
	// Nulls are the spellings of null in text files (compared after trimming blanks).
	Nulls []string
}

// Schema declares a table. Columns keep their order in files.
type Schema struct {
	Name    string // says in errors which table this is, e.g. "cohort"
	Columns []Column
}

// Column finds a declared column by name.
func (s Schema) Column(name string) (Column, bool) {
	i := s.index(name)
	if i < 0 {
		return Column{}, false
	}
	return s.Columns[i], true
}

// Names are the declared columns in order.
func (s Schema) Names() []string {
	names := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		names[i] = c.Name
	}
	return names
}

// With is the schema with more columns behind its own; s is not changed.
func (s Schema) With(columns ...Column) Schema {
	return Schema{Name: s.Name, Columns: slices.Concat(s.Columns, columns)}
}

func (s Schema) index(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// Check says whether the declaration itself makes sense: names present and
// different, known types, allowed values on strings and ranges on numbers only.
func (s Schema) Check() error {
	if len(s.Columns) == 0 {
		return &ColumnError{Table: s.Name, Problem: "the schema has no columns", Next: "declare at least one"}
	}
	seen := make(map[string]bool, len(s.Columns))
	for _, c := range s.Columns {
		bad := func(problem, next string) error {
			return &ColumnError{Table: s.Name, Column: c.Name, Problem: problem, Next: next}
		}
		number := c.Type == Float64 || c.Type == Float32 || c.Type == Int64
		switch {
		case c.Name == "":
			return bad("a column has no name", "name it")
		case seen[c.Name]:
			return bad("is declared twice", "declare it once")
		case !number && c.Type != String && c.Type != Bool:
			return bad(fmt.Sprintf("has the unknown type %q", c.Type), "use string, float64, float32, int64 or bool")
		case c.Allowed != nil && c.Type != String:
			return bad("lists allowed values but is no string column", "give it a range instead")
		case c.Range != nil && !number:
			return bad("has a range but is no number column", "list its allowed values instead")
		case c.Range != nil && !(c.Range.Min <= c.Range.Max):
			return bad("has a range that holds nothing", "put the smaller number first")
		}
		seen[c.Name] = true
	}
	return nil
}

// describe says in words what a column's values may be.
func (c Column) describe() string {
	var what string
	switch c.Type {
	case String:
		what = "text in UTF-8"
		if c.Allowed != nil {
			what = "one of " + strings.Join(c.Allowed, ", ")
		}
	case Bool:
		what = "true or false"
	case Int64:
		what = "a whole number"
	default:
		what = "a finite number"
	}
	if c.Unit != "" {
		what += " (" + c.Unit + ")"
	}
	if r := c.Range; r != nil {
		number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
		switch {
		case math.IsInf(r.Max, 1):
			what += " of at least " + number(r.Min)
		case math.IsInf(r.Min, -1):
			what += " of at most " + number(r.Max)
		default:
			what += " from " + number(r.Min) + " to " + number(r.Max)
		}
	}
	return what
}
