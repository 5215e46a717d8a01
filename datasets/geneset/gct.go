package geneset

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Info is a column of remarks, one per gene or one per sample.
type Info struct {
	Name   string
	Values []string
}

// Matrix is an expression matrix.
type Matrix struct {
	Genes      []string    // row identifiers, each once
	Samples    []string    // column identifiers, each once
	Values     [][]float64 // [gene][sample]; NaN where missing
	GeneInfo   []Info      // the description column (GCT 1.2), or the row metadata (1.3)
	SampleInfo []Info      // column metadata (1.3)
	Version    string      // of GCT, "1.2" or "1.3"; else empty
	Missing    int         // number of missing values: empty, NA, NaN
	Dates      []string    // gene identifiers that look like dates: a spreadsheet changed them
	Cleaned    []Cleaning
}

// ReadGCT reads an expression matrix in GCT format, version 1.2 or 1.3.
//
// Errors: *FormatError for another version, counts that do not agree with the
// content, a gene or sample that occurs twice, an empty identifier, and a value
// that is neither a finite number nor missing.
func ReadGCT(path string) (*Matrix, error) { return readFile(path, readGCT) }

func readGCT(r io.Reader, file string) (*Matrix, error) {
	g := &gctReader{lines: newLines(r, file), m: &Matrix{}}
	if err := g.head(); err != nil {
		return nil, err
	}
	if err := g.body(); err != nil {
		return nil, err
	}
	g.m.Cleaned = g.cleaned
	return g.m, nil
}

type gctReader struct {
	*lines
	m                                    *Matrix
	genes, samples, geneInfo, sampleInfo int // as declared
}

func (g *gctReader) head() error {
	if err := g.must("#1.2 or #1.3"); err != nil {
		return err
	}
	switch version := strings.TrimSpace(g.text); version {
	case "#1.2", "#1.3":
		g.m.Version = version[1:]
	default:
		return g.refuse(0, "", fmt.Sprintf("%.40q", version), "#1.2 or #1.3", "check that the file is GCT")
	}
	if err := g.must("the numbers of genes and samples"); err != nil {
		return err
	}
	counts := strings.Fields(g.text)
	want := []*int{&g.genes, &g.samples}
	if g.m.Version == "1.3" {
		want = append(want, &g.geneInfo, &g.sampleInfo)
	}
	if len(counts) != len(want) {
		return g.refuse(0, "", fmt.Sprintf("%d numbers", len(counts)), fmt.Sprintf("%d numbers in version %s", len(want), g.m.Version), "correct the counts or the version")
	}
	for i, c := range counts {
		n, err := strconv.Atoi(c)
		if err != nil || n < 0 || i < 2 && n == 0 || n > 1<<30 {
			return g.refuse(i+1, "", fmt.Sprintf("%q", c), "a count", "correct the counts")
		}
		*want[i] = n
	}
	if g.m.Version == "1.2" {
		g.geneInfo = 1
	}
	if err := g.must("the header: NAME, Description, samples"); err != nil {
		return err
	}
	header, err := g.cells()
	if err != nil {
		return err
	}
	for _, name := range header[1 : 1+g.geneInfo] {
		g.m.GeneInfo = append(g.m.GeneInfo, Info{Name: strings.TrimSpace(name)})
	}
	seen := map[string]int{}
	for i, cell := range header[1+g.geneInfo:] {
		id, err := g.identifier(cell, i+2+g.geneInfo, "the name of a sample")
		if err != nil {
			return err
		}
		if at, ok := seen[id]; ok {
			return g.refuse(i+2+g.geneInfo, id, fmt.Sprintf("sample %q, which is in cell %d already", id, at), "each sample once", "rename one of them")
		}
		seen[id] = i + 2 + g.geneInfo
		g.m.Samples = append(g.m.Samples, id)
	}
	return nil
}

// cells splits a line and wants the declared number of them. Tabs at the end that
// stand for nothing are cut; empty values at the end of a row are not.
func (g *gctReader) cells() ([]string, error) {
	cells := strings.Split(g.text, "\t")
	want := 1 + g.geneInfo + g.samples
	for len(cells) > want && strings.TrimSpace(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) != want {
		return nil, g.refuse(0, strings.TrimFunc(cells[0], besideText), fmt.Sprintf("%d cells separated by tabs", len(cells)),
			fmt.Sprintf("%d: identifier, %d of information, %d samples", want, g.geneInfo, g.samples), "correct the line, or the counts on line 2")
	}
	return cells, nil
}

func (g *gctReader) body() error {
	for range g.sampleInfo {
		if err := g.must("a row of sample information"); err != nil {
			return err
		}
		cells, err := g.cells()
		if err != nil {
			return err
		}
		g.m.SampleInfo = append(g.m.SampleInfo, Info{strings.TrimSpace(cells[0]), cells[1+g.geneInfo:]})
	}
	seen := map[string]int{}
	for {
		ok, err := g.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if strings.TrimSpace(g.text) == "" {
			continue
		}
		if len(g.m.Genes) == g.genes {
			return g.refuse(0, "", "one more row", fmt.Sprintf("%d genes, as line 2 says", g.genes), "correct the counts on line 2")
		}
		if err := g.row(seen); err != nil {
			return err
		}
	}
	if len(g.m.Genes) != g.genes {
		g.number++
		return g.refuse(0, "", fmt.Sprintf("the file ends after %d genes", len(g.m.Genes)), fmt.Sprintf("%d genes, as line 2 says", g.genes), "check that the file is complete")
	}
	return nil
}

func (g *gctReader) row(seen map[string]int) error {
	cells, err := g.cells()
	if err != nil {
		return err
	}
	gene, err := g.identifier(cells[0], 1, "the identifier of a gene")
	if err != nil {
		return err
	}
	if err := g.once(seen, gene, 1, "gene"); err != nil {
		return err
	}
	if likeDate.MatchString(gene) {
		g.m.Dates = append(g.m.Dates, gene)
	}
	values := make([]float64, g.samples)
	for i, cell := range cells[1+g.geneInfo:] {
		var here bool
		if values[i], here, err = valueOf(cell); err != nil {
			return g.refuse(i+2+g.geneInfo, gene, fmt.Sprintf("%q in sample %s", cell, g.m.Samples[i]), "a finite number, or nothing, NA or NaN where it is missing", "correct the value")
		}
		if !here {
			g.m.Missing++
		}
	}
	g.m.Genes, g.m.Values = append(g.m.Genes, gene), append(g.m.Values, values)
	for i := range g.m.GeneInfo {
		g.m.GeneInfo[i].Values = append(g.m.GeneInfo[i].Values, strings.TrimSpace(cells[1+i]))
	}
	return nil
}

// valueOf reads a cell of a matrix: NaN and false where it is missing.
func valueOf(cell string) (v float64, here bool, err error) {
	if missing(cell) {
		return math.NaN(), false, nil
	}
	v, err = parseNumber(cell)
	return v, err == nil, err
}

// parseNumber wants a finite decimal number. Go's own forms, such as hexadecimal and
// underscores, are no numbers in these files.
func parseNumber(cell string) (float64, error) {
	cell = strings.TrimSpace(cell)
	if strings.ContainsAny(cell, "xX_") {
		return 0, strconv.ErrSyntax
	}
	v, err := strconv.ParseFloat(cell, 64)
	if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
		err = strconv.ErrRange
	}
	return v, err
}

// Complete gives the genes whose values are all there, with their values (shared
// with the matrix), and the names of the others.
func (m *Matrix) Complete() (genes []string, values [][]float64, incomplete []string) {
	for i, row := range m.Values {
		if slices.ContainsFunc(row, math.IsNaN) {
			incomplete = append(incomplete, m.Genes[i])
		} else {
			genes, values = append(genes, m.Genes[i]), append(values, row)
		}
	}
	return genes, values, incomplete
}
