package table

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// Value is what a cell can hold.
type Value interface {
	string | float64 | float32 | int64 | bool
}

// Null is a value that may be missing. Its zero value is null.
type Null[V any] struct {
	V     V
	Valid bool
}

// Some is a value that is there.
func Some[V any](v V) Null[V] { return Null[V]{V: v, Valid: true} }

// Table holds columns under a checked schema. It does not change once built.
type Table struct {
	schema     Schema
	provenance map[string]string
	file       string
	rows       int
	lines      []int    // line of each row in its text file; nil when it had none
	headers    []string // what its text file calls each column; nil when it had none
	cols       []column
}

// column keeps []string, []float64, []float32, []int64 or []bool, and which cells
// are there; valid is nil when all are. Null slots hold NaN in float columns and
// the zero value in others.
type column struct {
	values any
	valid  []bool
}

// New builds a table from plain slices, one entry of data per declared column:
// []V or []Null[V] with V the column's Go type. In float columns NaN means null.
// The slices are copied. provenance is written into the files' schema metadata;
// nil is none. Errors: *ColumnError, *ValueError, *DuplicateError.
func New(schema Schema, provenance map[string]string, data map[string]any) (*Table, error) {
	if err := schema.Check(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if schema.index(name) < 0 {
			return nil, &ColumnError{Table: schema.Name, Column: name, Problem: "is not declared",
				Nearest: nearestNames(name, schema.Names(), 3), Next: "declare it in the schema or leave it out"}
		}
	}
	t := &Table{schema: schema, provenance: maps.Clone(provenance), cols: make([]column, len(schema.Columns))}
	for i, c := range schema.Columns {
		given, ok := data[c.Name]
		if !ok {
			return nil, &ColumnError{Table: schema.Name, Column: c.Name, Problem: "has no values",
				Nearest: nearestNames(c.Name, slices.Sorted(maps.Keys(data)), 3), Next: "give a slice for it"}
		}
		col, n, ok := toColumn(given)
		if !ok || typeOf(col.values) != c.Type {
			return nil, &ColumnError{Table: schema.Name, Column: c.Name, Problem: fmt.Sprintf("is given as %T", given),
				Next: fmt.Sprintf("give []%s or []table.Null[%s]", c.Type, c.Type)}
		}
		if i == 0 {
			t.rows = n
		}
		if n != t.rows {
			return nil, &ColumnError{Table: schema.Name, Column: c.Name, Problem: fmt.Sprintf("has %d values and %q has %d", n, schema.Columns[0].Name, t.rows),
				Next: "give one value per row"}
		}
		t.cols[i] = col
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func toColumn(given any) (column, int, bool) {
	switch v := given.(type) {
	case []string:
		return column{values: slices.Clone(v)}, len(v), true
	case []float64:
		return floats(slices.Clone(v), nil), len(v), true
	case []float32:
		return floats(slices.Clone(v), nil), len(v), true
	case []int64:
		return column{values: slices.Clone(v)}, len(v), true
	case []bool:
		return column{values: slices.Clone(v)}, len(v), true
	case []Null[string]:
		return split(v), len(v), true
	case []Null[float64]:
		c := split(v)
		return floats(c.values.([]float64), c.valid), len(v), true
	case []Null[float32]:
		c := split(v)
		return floats(c.values.([]float32), c.valid), len(v), true
	case []Null[int64]:
		return split(v), len(v), true
	case []Null[bool]:
		return split(v), len(v), true
	}
	return column{}, 0, false
}

func split[V Value](cells []Null[V]) column {
	values, valid := make([]V, len(cells)), make([]bool, len(cells))
	all := true
	for i, c := range cells {
		if valid[i] = c.Valid; c.Valid {
			values[i] = c.V
		}
		all = all && c.Valid
	}
	if all {
		valid = nil
	}
	return column{values: values, valid: valid}
}

// floats makes NaN and null the same thing, in both directions. It takes over values.
func floats[V float32 | float64](values []V, valid []bool) column {
	for i, v := range values {
		switch {
		case valid != nil && !valid[i]:
			values[i] = V(math.NaN())
		case v != v:
			if valid == nil {
				valid = slices.Repeat([]bool{true}, len(values))
			}
			valid[i] = false
		}
	}
	return column{values: values, valid: valid}
}

func typeOf(values any) Type {
	switch values.(type) {
	case []string:
		return String
	case []float64:
		return Float64
	case []float32:
		return Float32
	case []int64:
		return Int64
	case []bool:
		return Bool
	}
	return ""
}

// Schema is the table's declaration. It is shared: do not change it.
func (t *Table) Schema() Schema { return t.schema }

// Provenance is a copy of what the schema metadata says about the table's origin.
func (t *Table) Provenance() map[string]string { return maps.Clone(t.provenance) }

// Rows is the number of rows.
func (t *Table) Rows() int { return t.rows }

// Line is the line of a row (from 0) in the text file it was read from, from 1;
// 0 for tables that came from elsewhere.
func (t *Table) Line(row int) int {
	if t.lines == nil {
		return 0
	}
	return t.lines[row]
}

// Has says whether the table has a column of that name.
func (t *Table) Has(name string) bool { return t.schema.index(name) >= 0 }

// Strings are the values of a string column, one per row, "" where null. Like all
// accessors it shares the table's memory (do not write to it) and panics when the
// column is not there or has another type: the schema has been checked before.
func (t *Table) Strings(name string) []string { return values[string](t, name) }

// Float64s are the values of a float64 column, NaN where null.
func (t *Table) Float64s(name string) []float64 { return values[float64](t, name) }

// Float32s are the values of a float32 column, NaN where null.
func (t *Table) Float32s(name string) []float32 { return values[float32](t, name) }

// Int64s are the values of an int64 column, 0 where null.
func (t *Table) Int64s(name string) []int64 { return values[int64](t, name) }

// Bools are the values of a bool column, false where null: look at Valid too.
func (t *Table) Bools(name string) []bool { return values[bool](t, name) }

func values[V Value](t *Table, name string) []V {
	v, ok := t.column(name).values.([]V)
	if !ok {
		panic(fmt.Sprintf("table %s: column %q holds %s, asked for as %T", t.schema.Name, name, t.schema.Columns[t.schema.index(name)].Type, v))
	}
	return v
}

func (t *Table) column(name string) column {
	i := t.schema.index(name)
	if i < 0 {
		panic(fmt.Sprintf("table %s has no column %q (nearest: %s)", t.schema.Name, name, NearestName(name, t.schema.Names())))
	}
	return t.cols[i]
}

// Valid says for each row of a column of any type whether a value is there. The
// result is the caller's own.
func (t *Table) Valid(name string) []bool {
	if c := t.column(name); c.valid != nil {
		return slices.Clone(c.valid)
	}
	return slices.Repeat([]bool{true}, t.rows)
}

// Nulls are the cells of a column as values that may be missing.
func Nulls[V Value](t *Table, name string) []Null[V] {
	v := values[V](t, name)
	c := t.column(name)
	out := make([]Null[V], len(v))
	for i := range v {
		if c.valid == nil || c.valid[i] {
			out[i] = Null[V]{V: v[i], Valid: true}
		}
	}
	return out
}

// check holds every cell against the schema.
func (t *Table) check() error {
	key := slices.IndexFunc(t.schema.Columns, func(c Column) bool { return c.Unique && c.Type == String })
	for i, c := range t.schema.Columns {
		var err error
		switch v := t.cols[i].values.(type) {
		case []string:
			var allowed map[string]bool
			if c.Allowed != nil {
				allowed = make(map[string]bool, len(c.Allowed))
				for _, a := range c.Allowed {
					allowed[a] = true
				}
			}
			err = checkColumn(t, i, key, v, func(s string) bool {
				return (allowed == nil || allowed[s]) && utf8.ValidString(s)
			})
		case []float64:
			err = checkColumn(t, i, key, v, c.inRange)
		case []float32:
			err = checkColumn(t, i, key, v, func(x float32) bool { return c.inRange(float64(x)) })
		case []int64:
			err = checkColumn(t, i, key, v, func(x int64) bool { return c.inRange(float64(x)) })
		case []bool:
			err = checkColumn(t, i, key, v, func(bool) bool { return true })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c Column) inRange(x float64) bool {
	return c.Range == nil || x >= c.Range.Min && x <= c.Range.Max
}

func checkColumn[V Value](t *Table, i, key int, values []V, ok func(V) bool) error {
	c, valid := t.schema.Columns[i], t.cols[i].valid
	var first map[V]int
	if c.Unique {
		first = make(map[V]int, len(values))
	}
	for row, v := range values {
		if valid != nil && !valid[row] {
			if !c.Nullable {
				return t.valueError(row, i, key, "", c.describe()+"; null is not")
			}
			continue
		}
		if !ok(v) {
			return t.valueError(row, i, key, fmt.Sprint(v), c.describe())
		}
		if c.Unique {
			if before, twice := first[v]; twice {
				return &DuplicateError{File: t.file, Table: t.schema.Name, Column: t.name(i), Value: fmt.Sprint(v),
					Rows: [2]int{before, row}, Lines: [2]int{t.Line(before), t.Line(row)}}
			}
			first[v] = row
		}
	}
	return nil
}

func (t *Table) valueError(row, i, key int, value, allowed string) error {
	patient := ""
	if key >= 0 && key != i {
		patient = t.cols[key].values.([]string)[row]
	}
	return &ValueError{File: t.file, Table: t.schema.Name, Line: t.Line(row), Row: row,
		Column: t.name(i), Patient: patient, Value: value, Allowed: allowed}
}

// name is a column as its text file calls it, so that a person finds it there.
func (t *Table) name(i int) string {
	if t.headers != nil {
		return t.headers[i]
	}
	return t.schema.Columns[i].Name
}

// ColumnOf picks the values of a column from rows.
func ColumnOf[R, V any](rows []R, cell func(R) V) []V {
	out := make([]V, len(rows))
	for i, r := range rows {
		out[i] = cell(r)
	}
	return out
}

// Finite makes NaN and infinities null.
func Finite(v float64) Null[float64] {
	if v-v != 0 {
		return Null[float64]{}
	}
	return Some(v)
}
