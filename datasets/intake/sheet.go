package intake

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"hounsfield/datasets/table"
)

// sheet is a clinical table as text, cell by cell, blanks around them cut.
type sheet struct {
	file   string
	header []string
	rows   [][]string
	lines  []int // of each row in the file, from 1; of files without lines the row's number
	blank  int   // rows without anything in them
	// unreadable are columns of a typed table that hold something else than text, numbers or
	// truth values, and what.
	unreadable map[string]table.Type
}

// where names a row for a person who has the file open.
func (s *sheet) where(row int) string {
	if s.text() {
		return fmt.Sprintf("line %d", s.lines[row])
	}
	return fmt.Sprintf("row %d", s.lines[row])
}

func (s *sheet) text() bool { return filepath.Ext(s.file) == ".csv" }

// separators of text files by name.
var separators = map[string]rune{"comma": ',', "semicolon": ';', "tab": '\t'}

// openSheet reads a clinical table: .csv (comma, semicolon or tab), .arrow or .parquet.
// Errors: *table.FormatError, *table.ColumnError.
func openSheet(path string, m Map) (*sheet, error) {
	bad := func(problem, next string) error {
		return &table.FormatError{File: path, Problem: problem, Next: next}
	}
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".csv":
	case ".tsv", ".txt":
		return nil, bad(fmt.Sprintf("ends in %s", ext), "let its name end in .csv; columns may be set apart by commas, semicolons or tabs")
	case ".xls", ".xlsx", ".ods":
		return nil, bad("is a workbook, which is not read here", "save the sheet as CSV (in Excel: CSV UTF-8)")
	case ".arrow", ".parquet":
		return arrowSheet(path, m.ID.Column)
	default:
		return nil, bad(fmt.Sprintf("the ending %q names no clinical table", ext), "give a .csv, .arrow or .parquet file")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the clinical table: %w", err)
	}
	text, err := decodeText(path, raw, m.Clinical.Encoding)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, bad("it is empty", "give a file with a header line")
	}
	comma, ok := separators[m.Clinical.Separator]
	if !ok {
		if comma, err = separator(path, text, m.ID.Column); err != nil {
			return nil, err
		}
	}
	return csvSheet(path, text, comma)
}

// decodeText turns the bytes of a file into UTF-8 without a byte order mark. Which encoding
// it is, is never guessed: the wrong one would change names of centres and histologies.
func decodeText(path string, raw []byte, encoding string) ([]byte, error) {
	bad := func(problem, next string) ([]byte, error) {
		return nil, &table.FormatError{File: path, Problem: problem, Next: next}
	}
	switch {
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}), bytes.HasPrefix(raw, []byte{0xfe, 0xff}):
		return bad("it is written in UTF-16", "save it as CSV in UTF-8")
	case bytes.IndexByte(raw, 0) >= 0:
		return bad("it holds bytes that no text has", "save it as CSV in UTF-8")
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if encoding != "latin-1" {
		for n, line := range bytes.Split(raw, []byte("\n")) {
			if !utf8.Valid(line) {
				return nil, &table.FormatError{File: path, Line: n + 1, Problem: "it holds letters that are not UTF-8", Next: "save the file as CSV in UTF-8, or say clinical.encoding: latin-1 in the map if it is that"}
			}
		}
		return raw, nil
	}
	out := make([]rune, 0, len(raw))
	line := 1
	for _, b := range raw {
		if b >= 0x80 && b < 0xa0 {
			return nil, &table.FormatError{File: path, Line: line, Problem: fmt.Sprintf("it holds the byte %#x, which is no letter in Latin-1 (Windows has letters of its own there)", b), Next: "save the file as CSV in UTF-8 and take clinical.encoding out of the map"}
		}
		if b == '\n' {
			line++
		}
		out = append(out, rune(b))
	}
	return []byte(string(out)), nil
}

// separator is the one that sets the id's column apart in the header; of a file with only
// that column the comma.
func separator(path string, text []byte, id string) (rune, error) {
	var header []string // of the separator that makes most of it
	for _, name := range []string{"comma", "semicolon", "tab"} {
		fields, err := newReader(text, separators[name]).Read()
		if err != nil {
			continue
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if slices.Contains(fields, id) {
			return separators[name], nil
		}
		if len(fields) > len(header) {
			header = fields
		}
	}
	e := &table.ColumnError{File: path, Table: "clinical", Column: id, Problem: "is missing (id.column names it)", Next: "correct id.column in the map, or say clinical.separator there"}
	if near := table.NearestName(id, header); near != "" {
		e.Nearest = []string{near}
	}
	return 0, e
}

func newReader(text []byte, comma rune) *csv.Reader {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord = comma, -1
	return r
}

func csvSheet(path string, text []byte, comma rune) (*sheet, error) {
	s := &sheet{file: path}
	r := newReader(text, comma)
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			e := &table.FormatError{File: path, Problem: "cannot be read as text in columns", Err: err, Next: "look at the quotes in that line"}
			var parse *csv.ParseError
			if errors.As(err, &parse) {
				e.Line, e.Err = parse.StartLine, parse.Err
			}
			return nil, e
		}
		line, _ := r.FieldPos(0)
		empty := true
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
			empty = empty && cells[i] == ""
		}
		switch {
		case empty && s.header != nil: // as spreadsheets leave them below the last row
			s.blank++
		case s.header == nil:
			s.header = cells
		case len(cells) != len(s.header):
			return nil, &table.FormatError{File: path, Line: line, Problem: fmt.Sprintf("it has %d cells and the header has %d", len(cells), len(s.header)), Next: "look for a missing or an unquoted separator in that line"}
		default:
			s.rows, s.lines = append(s.rows, cells), append(s.lines, line)
		}
	}
}

// arrowSheet is the text of a typed table: numbers as they are read back, true and false.
func arrowSheet(path, id string) (*sheet, error) {
	unreadable := map[string]table.Type{}
	known := []table.Type{table.String, table.Float64, table.Float32, table.Int64, table.Bool}
	keep := func(found table.Column) (table.Column, bool) {
		if !slices.Contains(known, found.Type) {
			unreadable[found.Name] = found.Type
			return found, false
		}
		return found, true
	}
	var t *table.Table
	var err error
	for _, kind := range []table.Type{table.String, table.Int64, table.Float64} { // ids may be numbers
		t, err = table.Read(path, table.Schema{Name: "clinical", Columns: []table.Column{{Name: id, Type: kind, Nullable: true}}}, keep)
		var column *table.ColumnError
		if !errors.As(err, &column) || !strings.HasPrefix(column.Problem, "holds") {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	s := &sheet{file: path, header: t.Schema().Names(), rows: make([][]string, t.Rows()), unreadable: unreadable}
	for i := range s.rows {
		s.rows[i], s.lines = make([]string, len(s.header)), append(s.lines, i+1)
	}
	for c, column := range t.Schema().Columns {
		valid := t.Valid(column.Name)
		var cell func(row int) string
		switch column.Type {
		case table.Float64:
			v := t.Float64s(column.Name)
			cell = func(row int) string { return strconv.FormatFloat(v[row], 'g', -1, 64) }
		case table.Float32:
			v := t.Float32s(column.Name)
			cell = func(row int) string { return strconv.FormatFloat(float64(v[row]), 'g', -1, 32) }
		case table.Int64:
			v := t.Int64s(column.Name)
			cell = func(row int) string { return strconv.FormatInt(v[row], 10) }
		case table.Bool:
			v := t.Bools(column.Name)
			cell = func(row int) string { return strconv.FormatBool(v[row]) }
		default:
			v := t.Strings(column.Name)
			cell = func(row int) string { return strings.TrimSpace(v[row]) }
		}
		for row := range s.rows {
			if valid[row] {
				s.rows[row][c] = cell(row)
			}
		}
	}
	return s, nil
}
