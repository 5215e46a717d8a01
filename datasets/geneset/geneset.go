// Package geneset reads the files of gene set analysis: gene sets (GMT), expression
// matrices (GCT 1.2 and 1.3, tables with a header, Arrow, Parquet), classes (CLS) and
// rankings (RNK), text plain or gzip compressed, and maps identifiers from one kind to
// another by a supplied table.
//
// Nothing is dropped or altered silently. Control characters and blanks around an
// identifier, which some published files carry, are taken off and listed as
// [Cleaning]; identifiers that look like dates, the trace of a spreadsheet, are
// listed; an identifier that occurs twice is refused, as is a value that is no
// number. Identifiers keep their case.
package geneset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
)

// FormatError says which cell of a file cannot be used, and what to do.
type FormatError struct {
	File    string
	Line    int    // from 1
	Column  int    // cell, from 1; 0 for the whole line
	Record  string // gene, set or sample concerned; may be empty
	Value   string
	Allowed string
	Next    string
}

func (e *FormatError) Error() string {
	where := fmt.Sprintf("%s, line %d", e.File, e.Line)
	if e.Column > 0 {
		where += fmt.Sprintf(", cell %d", e.Column)
	}
	if e.Record != "" {
		where += fmt.Sprintf(" (%s)", e.Record)
	}
	return fmt.Sprintf("%s: %s; allowed: %s; %s", where, e.Value, e.Allowed, e.Next)
}

// Cleaning is an identifier that was read without the control characters and blanks
// around it.
type Cleaning struct {
	Line, Column int // from 1
	From, To     string
}

// lines reads a text file line by line; line ends may be those of Unix or Windows.
type lines struct {
	file    string
	scanner *bufio.Scanner
	number  int // of the line read last
	text    string
	cleaned []Cleaning
	loose   bool // what is no UTF-8 becomes U+FFFD, and carriage returns inside blanks
}

const longestLine = 256 << 20

func newLines(r io.Reader, file string) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, longestLine)
	return &lines{file: file, scanner: s}
}

// next reads a line and says whether there was one.
func (l *lines) next() (bool, error) {
	if !l.scanner.Scan() {
		err := l.scanner.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			l.number++
			return false, l.refuse(0, "", "more than 256 MiB without a line end", "shorter lines", "check that this is a text file")
		}
		if err != nil {
			return false, fmt.Errorf("%s, after line %d: %w", l.file, l.number, err)
		}
		return false, nil
	}
	l.number++
	l.text = strings.TrimSuffix(l.scanner.Text(), "\r")
	if l.number == 1 {
		l.text = strings.TrimPrefix(l.text, "\ufeff")
	}
	if l.loose {
		l.text = strings.ReplaceAll(strings.ToValidUTF8(l.text, "\uFFFD"), "\r", " ")
	}
	switch {
	case !utf8.ValidString(l.text):
		return false, l.refuse(0, "", "not UTF-8 text", "UTF-8 or ASCII", "convert the file, or check that it is the one you meant")
	case strings.Contains(l.text, "\r"):
		return false, l.refuse(0, "", "a carriage return inside the line", "line ends of Unix or Windows", "convert the line ends")
	}
	return true, nil
}

// must reads a line that has to be there.
func (l *lines) must(what string) error {
	ok, err := l.next()
	if err == nil && !ok {
		l.number++
		err = l.refuse(0, "", "the file ends here", what, "check that the file is complete")
	}
	return err
}

func (l *lines) refuse(column int, record, value, allowed, next string) error {
	return &FormatError{File: l.file, Line: l.number, Column: column, Record: record, Value: value, Allowed: allowed, Next: next}
}

func besideText(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }

// identifier takes control characters and blanks off both ends of a cell.
func (l *lines) identifier(cell string, column int, what string) (string, error) {
	id := strings.TrimFunc(cell, besideText)
	if id == "" {
		return "", l.refuse(column, "", fmt.Sprintf("%q", cell), what, "fill the cell or remove it")
	}
	if strings.ContainsFunc(id, unicode.IsControl) {
		return "", l.refuse(column, "", fmt.Sprintf("%q, with a control character inside", cell), what, "correct the identifier")
	}
	if id != cell {
		l.cleaned = append(l.cleaned, Cleaning{l.number, column, cell, id})
	}
	return id, nil
}

// once refuses the second occurrence of an identifier; seen maps it to its line.
func (l *lines) once(seen map[string]int, id string, column int, what string) error {
	if first, ok := seen[id]; ok {
		return l.refuse(column, id, fmt.Sprintf("%s %q, which is on line %d already", what, id, first), "each "+what+" once", "decide which one counts and remove the other")
	}
	seen[id] = l.number
	return nil
}

// likeDate finds identifiers such as 6-Sep, which a spreadsheet made of SEPT6.
var likeDate = regexp.MustCompile(`(?i)^(\d{1,2}-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)-\d{1,2})$`)

// missing spells a value that was not measured.
func missing(cell string) bool {
	switch strings.ToLower(strings.TrimSpace(cell)) {
	case "", "na", "n/a", "nan", "null":
		return true
	}
	return false
}

// readFile opens a file, plain or gzip (told by its first bytes), and reads it.
func readFile[T any](path string, read func(r io.Reader, file string) (T, error)) (T, error) {
	var none T
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	buffered := bufio.NewReaderSize(f, 1<<16)
	file := filepath.Base(path)
	if magic, _ := buffered.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return read(buffered, file)
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return none, fmt.Errorf("%s: decompress: %w", file, err)
	}
	defer z.Close()
	out, err := read(z, file)
	if err != nil {
		return none, err
	}
	// The checksum stands behind whatever was not read.
	if _, err := io.Copy(io.Discard, z); err != nil {
		return none, fmt.Errorf("%s: decompress: %w; the file is cut off or damaged: fetch it again", file, err)
	}
	return out, nil
}
