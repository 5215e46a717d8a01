package geneset

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets/table"
)

// GeneColumn is the column of an Arrow or Parquet table that holds the genes.
const GeneColumn = "gene"

// ReadMatrix reads an expression matrix, a row per gene, by the ending of its name: .gct;
// .csv, .tsv, .tab or .txt with a header; .arrow or .parquet with a string column "gene"
// and a column of numbers per sample. Text may be compressed by gzip (.gz after that).
//
// Text with a header is separated by tabs where the header has one, else by commas. The
// first cell of a row is the gene, or the one below ID_REF (GEO; what stands before it is
// left unread); quotation marks around cells are taken off, lines that begin with ! are
// skipped. The header may lack the cell above the genes, as R's write.table has it. A whole
// series matrix of GEO, which begins with such lines, must be whole: its table ends with
// !series_matrix_table_end, and its samples are those it describes above.
//
// Errors: *FormatError for an unknown ending, a row of another length, a gene or sample
// that occurs twice, an empty identifier, a value that is neither a finite number nor
// missing; those of package table for Arrow and Parquet.
func ReadMatrix(path string) (*Matrix, error) {
	name := strings.TrimSuffix(strings.ToLower(path), ".gz")
	switch filepath.Ext(name) {
	case ".gct":
		return ReadGCT(path)
	case ".csv", ".tsv", ".tab", ".txt":
		return readFile(path, readDelimited)
	case ".arrow", ".parquet":
		if strings.HasSuffix(strings.ToLower(path), ".gz") {
			break
		}
		return readMatrixTable(path)
	}
	return nil, &FormatError{File: filepath.Base(path), Line: 1, Value: "the name's ending tells no format",
		Allowed: ".gct, .csv, .tsv, .tab, .txt (each also with .gz), .arrow, .parquet", Next: "rename or convert the file"}
}

// readMatrixTable reads a binary table; errors give the row, from 1, as the line.
func readMatrixTable(path string) (*Matrix, error) {
	t, err := table.Read(path, table.Schema{Name: "expression", Columns: []table.Column{{Name: GeneColumn, Type: table.String}}},
		func(found table.Column) (table.Column, bool) {
			found.Type, found.Nullable = table.Float64, true
			return found, true
		})
	if err != nil {
		return nil, err
	}
	rows := &lines{file: filepath.Base(path)}
	m := &Matrix{}
	var values [][]float64 // [sample][gene]
	var there [][]bool
	samples := map[string]int{}
	for i, name := range t.Schema().Names()[1:] {
		sample, err := rows.identifier(name, i+2, "the name of a sample")
		if err != nil {
			return nil, err
		}
		if err := rows.once(samples, sample, i+2, "sample"); err != nil {
			return nil, err
		}
		m.Samples, values, there = append(m.Samples, sample), append(values, t.Float64s(name)), append(there, t.Valid(name))
	}
	if len(m.Samples) == 0 || t.Rows() == 0 {
		return nil, rows.refuse(0, "", fmt.Sprintf("%d genes and %d samples", t.Rows(), len(m.Samples)), "at least one row and at least one sample", "check that the file is complete")
	}
	genes := map[string]int{}
	for g, cell := range t.Strings(GeneColumn) {
		rows.number = g + 1
		gene, err := rows.identifier(cell, 1, "the identifier of a gene")
		if err != nil {
			return nil, err
		}
		if err := rows.once(genes, gene, 1, "gene"); err != nil {
			return nil, err
		}
		if likeDate.MatchString(gene) {
			m.Dates = append(m.Dates, gene)
		}
		row := make([]float64, len(m.Samples))
		for i, sample := range m.Samples {
			row[i] = values[i][g]
			if !there[i][g] {
				m.Missing++
			} else if math.IsInf(row[i], 0) {
				return nil, rows.refuse(i+2, gene, fmt.Sprintf("%v in sample %s", row[i], sample), "a finite number, or null or NaN where it is missing", "correct the value")
			}
		}
		m.Genes, m.Values = append(m.Genes, gene), append(m.Values, row)
	}
	m.Cleaned = rows.cleaned
	return m, nil
}

// delimited reads rows of cells.
type delimited struct {
	*lines
	separator string
}

// row gives the cells of the next line that holds any; nil at the end of the file.
func (d *delimited) row() ([]string, error) {
	for {
		ok, err := d.next()
		if err != nil || !ok {
			return nil, err
		}
		if strings.TrimSpace(d.text) == "" || strings.HasPrefix(d.text, "!") {
			continue
		}
		if d.separator == "" {
			d.separator = ","
			if strings.Contains(d.text, "\t") {
				d.separator = "\t"
			}
		}
		cells := strings.Split(d.text, d.separator)
		for i, c := range cells {
			c = strings.Trim(c, " ")
			if len(c) >= 2 && strings.HasPrefix(c, `"`) && strings.HasSuffix(c, `"`) {
				c = c[1 : len(c)-1]
			}
			if strings.Contains(c, `"`) {
				return nil, d.refuse(i+1, "", fmt.Sprintf("%.60q", cells[i]), "quotation marks around whole cells, and no separator inside", "correct the cell")
			}
			cells[i] = c
		}
		return cells, nil
	}
}

func readDelimited(r io.Reader, file string) (*Matrix, error) {
	text := bufio.NewReader(r)
	if _, series := isGEO(text); series {
		return readSeries(text, file)
	}
	d := &delimited{lines: newLines(text, file)}
	m := &Matrix{}
	header, err := d.row()
	if err != nil {
		return nil, err
	}
	if len(header) < 2 {
		d.number = max(d.number, 1)
		return nil, d.refuse(0, "", fmt.Sprintf("a header of %d cells", len(header)), "genes and at least one sample, separated by tabs or commas", "check that the file is a table with a header")
	}
	at := max(0, slices.Index(header, "ID_REF"))
	headerLine, first := d.number, true
	seen := map[string]int{}
	for {
		cells, err := d.row()
		if err != nil {
			return nil, err
		}
		if cells == nil {
			break
		}
		if first {
			if len(cells) == len(header)+1 {
				header = slices.Insert(slices.Clone(header), 0, "")
			}
			line := d.number
			d.number = headerLine
			if err := d.samples(m, header, at); err != nil {
				return nil, err
			}
			first, d.number = false, line
		}
		if err := d.gene(m, cells, header, at, seen); err != nil {
			return nil, err
		}
	}
	if len(m.Genes) == 0 {
		d.number++
		return nil, d.refuse(0, "", "the file ends without a gene", "at least one row of values", "check that the file is complete")
	}
	m.Cleaned = d.cleaned
	return m, nil
}

// samples takes the names of the samples from the header.
func (d *delimited) samples(m *Matrix, header []string, at int) error {
	seen := map[string]int{}
	for i, cell := range header[at+1:] {
		id, err := d.identifier(cell, at+2+i, "the name of a sample")
		if err != nil {
			return err
		}
		if before, ok := seen[id]; ok {
			return d.refuse(at+2+i, id, fmt.Sprintf("sample %q, which is in cell %d already", id, before), "each sample once", "rename one of them")
		}
		seen[id] = at + 2 + i
		m.Samples = append(m.Samples, id)
	}
	return nil
}

// gene takes one row.
func (d *delimited) gene(m *Matrix, cells, header []string, at int, seen map[string]int) error {
	if len(cells) != len(header) {
		return d.refuse(0, cells[0], fmt.Sprintf("%d cells", len(cells)), fmt.Sprintf("%d, as the header has", len(header)), "look for a missing cell, or a separator inside one")
	}
	id, err := d.identifier(cells[at], at+1, "the identifier of a gene")
	if err != nil {
		return err
	}
	if err := d.once(seen, id, at+1, "gene"); err != nil {
		return err
	}
	if likeDate.MatchString(id) {
		m.Dates = append(m.Dates, id)
	}
	values := make([]float64, len(m.Samples))
	for i, cell := range cells[at+1:] {
		var here bool
		if values[i], here, err = valueOf(cell); err != nil {
			return d.refuse(at+2+i, id, fmt.Sprintf("%q in sample %s", cell, m.Samples[i]), "a finite number, or nothing, NA or NaN where it is missing", "correct the value")
		}
		if !here {
			m.Missing++
		}
	}
	m.Genes, m.Values = append(m.Genes, id), append(m.Values, values)
	return nil
}
