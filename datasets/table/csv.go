package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// From says where in a text file the values of a declared column stand and how
// they are spelled there. The zero value is: under the column's own name, as they
// are.
type From struct {
	Header string `yaml:"header"` // the file's name for the column; empty = the column's own
	// Absent: the file does not hold the column; every cell is null.
	Absent bool `yaml:"absent"`
	// Nulls are more spellings of null besides the column's and the options'.
	Nulls []string `yaml:"nulls"`
	// Values translate the file's spellings; when given, any other is an error.
	Values map[string]string `yaml:"values"`
	// ElseDates fills cells that are null from dates in the same row.
	ElseDates *Dates `yaml:"else_dates"`
}

// Dates are a number of days computed as End - (Start + StartPlusDays), from three
// columns of a text file named by their headers.
type Dates struct {
	Start         string `yaml:"start"`
	StartPlusDays string `yaml:"start_plus_days"` // empty = none
	End           string `yaml:"end"`
	Layout        string `yaml:"layout"` // how dates are written, in Go's reference date: 1/2/2006
}

// CSVOptions say how a text file maps onto a schema.
type CSVOptions struct {
	Columns    map[string]From // by declared column; one that is not here is read under its own name
	Nulls      []string        // spellings of null in every column of this file
	Undeclared Undeclared      // what becomes of other columns; nil = they are errors
	Provenance map[string]string
}

// ReadCSV reads a comma-separated file with a header line, by column NAME. Blanks
// around headers and cells do not count; a byte order mark and CRLF line ends are
// taken. A null cell is one spelled as Column.Nulls, From.Nulls or
// CSVOptions.Nulls say, an empty one, and NaN. Infinite numbers are refused.
// Errors: *FormatError, *ColumnError, *ValueError, *DuplicateError, each with the
// line; the first one found ends the reading.
func ReadCSV(path string, schema Schema, opt CSVOptions) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", schema.Name, err)
	}
	defer f.Close()
	return DecodeCSV(f, path, schema, opt)
}

// DecodeCSV is ReadCSV on a stream; name stands for the file in errors.
func DecodeCSV(r io.Reader, name string, schema Schema, opt CSVOptions) (*Table, error) {
	if err := schema.Check(); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(opt.Columns)) {
		if schema.index(key) < 0 {
			return nil, &ColumnError{File: name, Table: schema.Name, Column: key, Problem: "is mapped but not declared",
				Nearest: nearestNames(key, schema.Names(), 3), Next: "correct the column map"}
		}
	}
	buffered := bufio.NewReaderSize(r, 1<<16)
	if start, _ := buffered.Peek(3); bytes.Equal(start, []byte("\xef\xbb\xbf")) {
		buffered.Discard(3)
	}
	rows := csv.NewReader(buffered)
	rows.ReuseRecord, rows.FieldsPerRecord = true, -1
	header, err := rows.Read()
	if err == io.EOF {
		return nil, &FormatError{File: name, Problem: "it is empty", Next: "give a file with a header line"}
	} else if err != nil {
		return nil, csvError(name, err)
	}
	d := &csvDecoder{file: name, table: schema.Name, header: make([]string, len(header))}
	for i, h := range header {
		d.header[i] = strings.TrimSpace(h)
	}
	out, err := d.plan(schema, opt)
	if err != nil {
		return nil, err
	}
	t := &Table{schema: out, file: name, provenance: opt.Provenance}
	for {
		cells, err := rows.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, csvError(name, err)
		}
		line, _ := rows.FieldPos(0)
		if len(cells) != len(d.header) {
			return nil, &FormatError{File: name, Line: line, Problem: fmt.Sprintf("it has %d fields and the header has %d", len(cells), len(d.header)),
				Next: "look for a missing or an unquoted comma"}
		}
		if err := d.row(cells, line, t.rows); err != nil {
			return nil, err
		}
		t.lines = append(t.lines, line)
		t.rows++
	}
	for i := range d.cols {
		t.cols = append(t.cols, d.cols[i].store.column())
		t.headers = append(t.headers, d.name(&d.cols[i]))
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func csvError(name string, err error) error {
	e := &FormatError{File: name, Problem: "cannot be read as comma-separated values", Err: err, Next: "look at the quotes in that line"}
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
		e.Line, e.Err = parse.StartLine, parse.Err
	}
	return e
}

type csvDecoder struct {
	file, table string
	header      []string
	cols        []csvColumn
	key         int // the field that names the row in errors; -1: none
}

type csvColumn struct {
	decl   Column
	from   From
	field  int // index into the record; -1: absent
	nulls  map[string]bool
	dates  [3]int // fields of start, days to add (-1: none) and end; used when from.ElseDates
	values []string
	store  store
}

// plan settles which field each column comes from, and which others are kept.
func (d *csvDecoder) plan(schema Schema, opt CSVOptions) (Schema, error) {
	d.key = -1
	wanted := func(c Column) (string, bool) {
		from := opt.Columns[c.Name]
		if from.Header == "" {
			from.Header = c.Name
		}
		return from.Header, !from.Absent
	}
	if err := missing(d.file, schema, d.header, wanted); err != nil {
		return Schema{}, err
	}
	used, place, twice := make(map[string]bool), make(map[string]int, len(d.header)), make(map[string]bool)
	for i, h := range d.header {
		if _, seen := place[h]; seen {
			twice[h] = true
			continue
		}
		place[h] = i
	}
	field := func(c Column, header string) (int, error) {
		used[header] = true
		at, there := place[header]
		if !there {
			return 0, &ColumnError{File: d.file, Table: d.table, Column: header, Problem: "is missing (" + c.Name + " is computed from it)",
				Nearest: nearestNames(header, d.header, 3), Next: "add it, or correct the column map"}
		}
		if twice[header] {
			return 0, &ColumnError{File: d.file, Table: d.table, Column: header, Problem: "stands twice in the header", Next: "rename one of the two"}
		}
		return at, nil
	}
	out := Schema{Name: schema.Name, Columns: slices.Clone(schema.Columns)}
	for _, c := range schema.Columns {
		p := csvColumn{decl: c, from: opt.Columns[c.Name], field: -1, store: newStore(c.Type)}
		p.nulls = nullSpellings(c.Nulls, p.from.Nulls, opt.Nulls)
		if header, ok := wanted(c); ok {
			var err error
			if p.field, err = field(c, header); err != nil {
				return Schema{}, err
			}
			if c.Unique && c.Type == String && d.key < 0 {
				d.key = p.field
			}
		} else if !c.Nullable {
			return Schema{}, &ColumnError{File: d.file, Table: d.table, Column: c.Name, Problem: "is said to be absent but may not be null", Next: "correct the column map"}
		}
		for spelling := range p.from.Values {
			p.values = append(p.values, spelling)
		}
		slices.Sort(p.values)
		if e := p.from.ElseDates; e != nil {
			for i, header := range []string{e.Start, e.StartPlusDays, e.End} {
				p.dates[i] = -1
				if i == 1 && header == "" {
					continue
				}
				var err error
				if p.dates[i], err = field(c, header); err != nil {
					return Schema{}, err
				}
			}
		}
		d.cols = append(d.cols, p)
	}
	for i, header := range d.header {
		if used[header] {
			continue
		}
		if opt.Undeclared == nil {
			return Schema{}, undeclaredError(d.file, schema, header)
		}
		c, keep := opt.Undeclared(Column{Name: header, Type: String, Nullable: true})
		if !keep {
			continue
		}
		c.Name = header
		out.Columns = append(out.Columns, c)
		d.cols = append(d.cols, csvColumn{decl: c, field: i, nulls: nullSpellings(c.Nulls, opt.Nulls), store: newStore(c.Type)})
	}
	return out, out.Check()
}

func nullSpellings(lists ...[]string) map[string]bool {
	m := map[string]bool{"": true}
	for _, list := range lists {
		for _, n := range list {
			m[strings.TrimSpace(n)] = true
		}
	}
	return m
}

func (d *csvDecoder) row(cells []string, line, row int) error {
	for i := range d.cols {
		c := &d.cols[i]
		cell, null := "", true
		if c.field >= 0 {
			cell = strings.TrimSpace(cells[c.field])
			null = c.nulls[cell]
		}
		bad := func(value, allowed string) error {
			patient := ""
			if d.key >= 0 && d.key != c.field {
				patient = strings.TrimSpace(cells[d.key])
			}
			return &ValueError{File: d.file, Table: d.table, Line: line, Row: row, Column: d.name(c), Patient: strings.Clone(patient), Value: strings.Clone(value), Allowed: allowed}
		}
		if null && c.from.ElseDates != nil {
			days, ok, field, allowed := c.days(cells)
			if allowed != "" {
				err := bad(strings.TrimSpace(cells[field]), allowed).(*ValueError)
				err.Column = d.header[field]
				return err
			}
			if ok {
				cell, null = days, false
			}
		}
		if null {
			if !c.decl.Nullable {
				return bad(cell, c.decl.describe()+"; null is not")
			}
			c.store.null()
			continue
		}
		if c.from.Values != nil {
			value, ok := c.from.Values[cell]
			if !ok {
				return bad(cell, c.allowed("one of "+strings.Join(c.values, ", ")))
			}
			cell = value
		}
		there, ok := c.store.add(cell)
		if !ok {
			return bad(cell, c.allowed(c.decl.describe()))
		}
		if !there && !c.decl.Nullable {
			return bad(cell, c.decl.describe()+"; null is not")
		}
	}
	return nil
}

// name is a column as the file calls it, so that a person finds it there.
func (d *csvDecoder) name(c *csvColumn) string {
	if c.field >= 0 {
		return d.header[c.field]
	}
	return c.decl.Name
}

func (c *csvColumn) allowed(what string) string {
	if !c.decl.Nullable {
		return what
	}
	var spelled []string
	for n := range c.nulls {
		if n != "" {
			spelled = append(spelled, n)
		}
	}
	slices.Sort(spelled)
	return strings.Join(append([]string{what}, spelled...), ", ") + ", or nothing for null"
}

// days computes From.ElseDates in one row: not ok when any part is null. When a
// part is there and wrong it says which field and what was allowed.
func (c *csvColumn) days(cells []string) (days string, ok bool, field int, allowed string) {
	e := c.from.ElseDates
	var at [2]time.Time
	for i, f := range []int{c.dates[0], c.dates[2]} {
		text := strings.TrimSpace(cells[f])
		if c.nulls[text] {
			return "", false, 0, ""
		}
		date, err := time.Parse(e.Layout, text)
		if err != nil {
			return "", false, f, "a date written like " + e.Layout
		}
		at[i] = date
	}
	plus := 0
	if f := c.dates[1]; f >= 0 {
		text := strings.TrimSpace(cells[f])
		if c.nulls[text] {
			return "", false, 0, ""
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < -36525 || n > 36525 {
			return "", false, f, "a whole number of days"
		}
		plus = n
	}
	// Both are midnights in UTC, so the difference is whole days.
	return strconv.Itoa(int(math.Round(at[1].Sub(at[0].AddDate(0, 0, plus)).Hours() / 24))), true, 0, ""
}

// store collects a column cell by cell.
type store interface {
	// add says whether the cell holds a value (NaN does not) and can be read at all.
	add(cell string) (there, ok bool)
	null()
	column() column
}

func newStore(t Type) store {
	switch t {
	case String:
		return &stored[string]{parse: func(s string) (string, bool) { return strings.Clone(s), true }}
	case Float64:
		return &stored[float64]{parse: func(s string) (float64, bool) { return parseFloat(s, 64) }}
	case Float32:
		return &stored[float32]{parse: func(s string) (float32, bool) {
			v, ok := parseFloat(s, 32)
			return float32(v), ok
		}}
	case Int64:
		return &stored[int64]{parse: func(s string) (int64, bool) {
			v, err := strconv.ParseInt(s, 10, 64)
			return v, err == nil
		}}
	default:
		return &stored[bool]{parse: func(s string) (bool, bool) {
			yes := s == "1" || strings.EqualFold(s, "true")
			return yes, yes || s == "0" || strings.EqualFold(s, "false")
		}}
	}
}

type stored[V Value] struct {
	parse  func(string) (V, bool)
	values []V
	valid  []bool
	nulls  bool
}

func (s *stored[V]) add(cell string) (there, ok bool) {
	v, ok := s.parse(cell)
	there = v == v // only NaN differs from itself
	s.values, s.valid, s.nulls = append(s.values, v), append(s.valid, there), s.nulls || !there
	return there, ok
}

func (s *stored[V]) null() {
	var zero V
	s.values, s.valid, s.nulls = append(s.values, zero), append(s.valid, false), true
}

func (s *stored[V]) column() column {
	valid := s.valid
	if !s.nulls {
		valid = nil
	}
	values := s.values
	if values == nil {
		values = []V{}
	}
	switch v := any(values).(type) {
	case []float64:
		return floats(v, valid)
	case []float32:
		return floats(v, valid)
	}
	return column{values: values, valid: valid}
}

// parseFloat takes decimal numbers and NaN; hexadecimal, infinite and overflowing
// ones are refused.
func parseFloat(s string, bits int) (float64, bool) {
	if strings.EqualFold(s, "nan") {
		return math.NaN(), true
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, bits)
	return v, err == nil
}
