package geneset

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What GEO gives away is text of its own: series matrices (expression and what is said of
// the samples) and platform tables (which gene a probe measures). ReadMatrix reads the first,
// ReadMapping both, so that an expression table of probes and GSM numbers becomes one of genes
// and patients by
//
//	ReadMatrix("GSE58661_series_matrix.txt.gz")                                 probes x GSM
//	ReadMapping("GPL15048.soft.gz", "ID", "EntrezGeneID")                       probe -> gene
//	ReadMapping("GSE58661_series_matrix.txt.gz", "geo_accession", "title")      GSM -> LUNG3-nn
//	ReadMapping("lung3_gsm.csv", "gsm", "id")                                   the same by a table
//
// Formats: https://www.ncbi.nlm.nih.gov/geo/info/soft.html. Lines of a series matrix begin
// with !, of a platform with ^, ! or #, and both have a table of cells parted by tabs between
// two lines !..._table_begin and !..._table_end; a platform table as the web page gives it out
// has neither of the two, only # lines before its header.
//
// GSE58661 and GPL15048 were not at hand when this was written. What was: ten of the rows of
// GSE58661 with their GSM numbers, and public programs that read the two, by which the array
// has 60,607 probes and columns ID and GeneSymbol, a cell of which names several genes parted by
// blanks (there is no .annot file of it; EntrezGeneID was seen for its sister GPL10379 only), and
// the titles of the samples are the patients of the images. So nothing here depends on it: columns are named by the caller,
// and a name that the file lacks is refused with those that it has. The RNA-seq of GSE103584
// is a table with a header (genes x R01-nnn, FPKM, NA where a gene was not found): ReadMatrix
// takes it as it is.

// geo reads GEO's lines. Free text in them may be of any encoding.
type geo struct {
	*lines
}

func newGEO(r io.Reader, file string) *geo {
	l := newLines(r, file)
	l.loose = true
	return &geo{l}
}

// isGEO says whether a text begins as one of GEO's does, and whether as a series matrix.
func isGEO(r *bufio.Reader) (is, series bool) {
	head, _ := r.Peek(256)
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), "\r\n \t")
	first, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case bytes.HasPrefix(head, []byte("!Series_")), bytes.HasPrefix(head, []byte("!Sample_")), bytes.HasPrefix(head, []byte("!series_matrix_")):
		return true, true
	case bytes.HasPrefix(head, []byte("^")), bytes.HasPrefix(head, []byte("!")):
		return true, false
	}
	return bytes.HasPrefix(head, []byte("#")) && bytes.Contains(first, []byte(" = ")), false
}

// cells of a line; whole quotation marks are taken off.
func (g *geo) cells() []string {
	cells := strings.Split(g.text, "\t")
	for i, c := range cells {
		cells[i] = unquoted(c)
	}
	return cells
}

func unquoted(cell string) string {
	cell = strings.TrimFunc(cell, besideText)
	if len(cell) >= 2 && cell[0] == '"' && cell[len(cell)-1] == '"' {
		return strings.ReplaceAll(cell[1:len(cell)-1], `""`, `"`)
	}
	return cell
}

// name is an identifier in whose letters nothing was lost.
func (g *geo) name(cell string, column int, what string) (string, error) {
	if strings.ContainsRune(cell, utf8.RuneError) {
		return "", g.refuse(column, "", fmt.Sprintf("%q, which is not UTF-8", cell), what+" in UTF-8 or ASCII", "correct the identifier")
	}
	return g.identifier(cell, column, what)
}

// header reads the next line that holds anything.
func (g *geo) header() error {
	for {
		if err := g.must("the table's header"); err != nil || strings.TrimSpace(g.text) != "" {
			return err
		}
	}
}

func (g *geo) at(marker string) bool {
	return strings.EqualFold(strings.TrimSpace(g.text), marker)
}

// attribute is a line about the samples, one cell for each.
type attribute struct {
	name  string // without !Sample_
	cells []string
	line  int
}

// seriesHead reads up to the table: what is said of the samples.
func (g *geo) seriesHead() ([]attribute, error) {
	var about []attribute
	for {
		ok, err := g.next()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			g.number++
			return nil, g.refuse(0, "", "the file ends before !series_matrix_table_begin", "a whole series matrix", "fetch the file again")
		case g.at("!series_matrix_table_begin"):
			return about, nil
		}
		if name, ok := strings.CutPrefix(g.text, "!Sample_"); ok {
			cells := g.cells()
			name, _, _ = strings.Cut(name, "\t")
			about = append(about, attribute{strings.TrimSpace(name), cells[1:], g.number})
		}
	}
}

// readSeries reads the table of a series matrix, a row per probe. It must be whole, to its
// last line, and its samples those that the lines above it describe.
func readSeries(r io.Reader, file string) (*Matrix, error) {
	g := newGEO(r, file)
	about, err := g.seriesHead()
	if err != nil {
		return nil, err
	}
	if err := g.header(); err != nil {
		return nil, err
	}
	d := &delimited{lines: g.lines, separator: "\t"}
	m := &Matrix{}
	header := g.cells()
	if header[0] != "ID_REF" || len(header) < 2 {
		return nil, g.refuse(1, "", fmt.Sprintf("a header that begins with %.40q and has %d cells", header[0], len(header)), "ID_REF and the samples", "check that the file is a series matrix")
	}
	if err := d.samples(m, header, 0); err != nil {
		return nil, err
	}
	for _, a := range about {
		if a.name == "geo_accession" && !slices.Equal(a.cells, m.Samples) {
			return nil, g.refuse(0, "", fmt.Sprintf("other samples than !Sample_geo_accession has on line %d", a.line), "the same in the same order", "fetch the file again")
		}
	}
	seen := map[string]int{}
	for {
		ok, err := g.next()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			g.number++
			return nil, g.refuse(0, "", fmt.Sprintf("the file ends after %d rows, without !series_matrix_table_end", len(m.Genes)), "a whole series matrix", "fetch the file again")
		case g.at("!series_matrix_table_end"):
			if len(m.Genes) == 0 {
				return nil, g.refuse(0, "", "a table without a row", "at least one probe", "take the series' supplementary file: the values of sequencing are there")
			}
			m.Cleaned = g.cleaned
			return m, nil
		case strings.TrimSpace(g.text) == "":
			continue
		}
		cells := g.cells()
		if strings.ContainsRune(cells[0], utf8.RuneError) {
			return nil, g.refuse(1, "", fmt.Sprintf("%q, which is not UTF-8", cells[0]), "a probe in UTF-8 or ASCII", "correct the identifier")
		}
		if err := d.gene(m, cells, header, 0, seen); err != nil {
			return nil, err
		}
	}
}

// readSampleMapping takes two columns of what a series matrix says of its samples: geo_accession,
// title, source_name_ch1 and whatever else stands there once, and the keys of the lines
// characteristics_ch1, whose cells are "key: value".
func readSampleMapping(r io.Reader, file, from, to string) (*Mapping, error) {
	g := newGEO(r, file)
	about, err := g.seriesHead()
	if err != nil {
		return nil, err
	}
	var names []string
	columns := map[string][]string{}
	samples := 0
	for _, a := range about {
		samples = max(samples, len(a.cells))
	}
	column := func(name string) []string {
		if columns[name] == nil {
			columns[name] = make([]string, samples)
			names = append(names, name)
		}
		return columns[name]
	}
	for _, a := range about {
		if !strings.HasPrefix(a.name, "characteristics_ch") {
			if columns[a.name] == nil { // of a line that is repeated the first
				copy(column(a.name), a.cells)
			}
			continue
		}
		for i, cell := range a.cells {
			if key, value, ok := strings.Cut(cell, ":"); ok && strings.TrimSpace(key) != "" {
				column(strings.TrimSpace(key))[i] = strings.TrimSpace(value)
			}
		}
	}
	if columns[from] == nil || columns[to] == nil || from == to {
		return nil, g.refuse(0, "", "samples with "+strings.Join(names, ", "), fmt.Sprintf("two of them called %s and %s", from, to), "name what the file itself has")
	}
	m := newMapping(from, to)
	for i := range samples {
		if err := m.pair(g, columns[from][i], i+2, columns[to][i], i+2); err != nil {
			return nil, err
		}
	}
	return m, m.done(g)
}

// severalGenes parts the genes of a cell: GEO's own annotation has ///, arrays of their
// makers' have blanks, commas, semicolons or strokes, none of which is in a symbol or a number.
var severalGenes = regexp.MustCompile(`///|[;,|]|\s+`)

// readPlatform takes two columns of a platform table. A probe whose cell names several genes
// measures a mixture and is of none: it is among the Ambiguous. Rows may lack cells at
// their end.
func readPlatform(r io.Reader, file, from, to string) (*Mapping, error) {
	g := newGEO(r, file)
	begun := false
	for {
		if err := g.must("a table of probes"); err != nil {
			return nil, err
		}
		if g.at("!platform_table_begin") {
			begun = true
			if err := g.header(); err != nil {
				return nil, err
			}
			break
		}
		if g.text != "" && !strings.ContainsRune("^!#", rune(g.text[0])) && strings.Contains(g.text, "\t") {
			break
		}
	}
	header := g.cells()
	at, err := g.columns(header, from, to)
	if err != nil {
		return nil, err
	}
	m := newMapping(from, to)
	several := 0
	for {
		ok, err := g.next()
		if err != nil {
			return nil, err
		}
		if !ok && begun {
			g.number++
			return nil, g.refuse(0, "", "the file ends without !platform_table_end", "a whole platform table", "fetch the file again")
		}
		if !ok || g.at("!platform_table_end") {
			break
		}
		if g.text == "" {
			continue
		}
		cells := g.cells()
		if len(cells) > len(header) {
			return nil, g.refuse(0, cells[0], fmt.Sprintf("%d cells", len(cells)), fmt.Sprintf("at most %d, as the header has", len(header)), "look for a separator inside a cell")
		}
		for len(cells) < len(header) {
			cells = append(cells, "")
		}
		genes := slices.DeleteFunc(severalGenes.Split(cells[at[1]], -1), func(s string) bool { return missing(s) || s == "---" })
		slices.Sort(genes)
		for i, gene := range slices.Compact(genes) {
			if err := m.pair(g, cells[at[0]], at[0]+1, gene, at[1]+1); err != nil {
				return nil, err
			}
			if i == 1 {
				several++
			}
		}
	}
	if len(m.to) > 0 && len(m.Ambiguous) > 0 && several >= len(m.to) {
		return nil, g.refuse(0, "", fmt.Sprintf("all %d probes name several words in column %s", several, to), "one gene for most probes", "name a column of gene identifiers, of "+strings.Join(header, ", "))
	}
	return m, m.done(g)
}

func newMapping(from, to string) *Mapping {
	return &Mapping{From: from, To: to, to: map[string]string{}}
}

// pair takes a row; one in which either is missing is skipped.
func (m *Mapping) pair(g *geo, from string, fromColumn int, to string, toColumn int) (err error) {
	if missing(from) || missing(to) {
		return nil
	}
	if from, err = g.name(from, fromColumn, "an identifier"); err != nil {
		return err
	}
	if to, err = g.name(to, toColumn, "an identifier"); err != nil {
		return err
	}
	m.add(from, to)
	return nil
}

func (m *Mapping) add(from, to string) {
	if before, ok := m.to[from]; ok && before != to {
		m.Ambiguous = append(m.Ambiguous, from)
	}
	m.to[from] = to
}

// done takes out what is ambiguous, at the end of a table.
func (m *Mapping) done(g *geo) error {
	if len(m.to) == 0 {
		g.number++
		return g.refuse(0, "", "the file ends without a pair", "at least one row with both identifiers", "check that the file is complete and its columns "+m.From+" and "+m.To+" are filled")
	}
	m.settle()
	m.Cleaned = g.cleaned
	return nil
}

// settle sorts the ambiguous and lets them map to none.
func (m *Mapping) settle() {
	slices.Sort(m.Ambiguous)
	m.Ambiguous = slices.Compact(m.Ambiguous)
	for _, id := range m.Ambiguous {
		delete(m.to, id)
	}
}
