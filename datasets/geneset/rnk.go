package geneset

import (
	"fmt"
	"io"
	"strings"
)

// Scores is the content of an RNK file, in the order of the file.
type Scores struct {
	Genes   []string // each once
	Scores  []float64
	Header  string // the first line where it is one, for its score is no number; else empty
	Dates   []string
	Cleaned []Cleaning
}

// ReadRNK reads a score per gene: identifier, tab, number. Lines that start with #
// and empty lines are skipped. A first line whose second cell is a word other than
// a missing value is a header.
//
// Errors: *FormatError for a line that has not two cells, a gene that occurs twice,
// and a score that is missing or not a finite number.
func ReadRNK(path string) (*Scores, error) { return readFile(path, readRNK) }

func readRNK(r io.Reader, file string) (*Scores, error) {
	l := newLines(r, file)
	s := &Scores{}
	seen := map[string]int{}
	for first := true; ; {
		ok, err := l.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		text := strings.TrimRight(l.text, "\t ")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id, cell, _ := strings.Cut(text, "\t")
		if cell == "" || strings.Contains(cell, "\t") {
			return nil, l.refuse(0, "", fmt.Sprintf("%d cells separated by tabs", strings.Count(text, "\t")+1), "gene and score", "check that the file is RNK")
		}
		score, err := parseNumber(cell)
		if err != nil && first && !missing(cell) && !strings.ContainsAny(cell, "0123456789") && !strings.Contains(strings.ToLower(cell), "inf") {
			s.Header, first = text, false
			continue
		}
		first = false
		gene, idErr := l.identifier(id, 1, "the identifier of a gene")
		if idErr != nil {
			return nil, idErr
		}
		if err != nil {
			return nil, l.refuse(2, gene, fmt.Sprintf("%q", cell), "a finite number", "leave the gene out and report how many")
		}
		if err := l.once(seen, gene, 1, "gene"); err != nil {
			return nil, err
		}
		if likeDate.MatchString(gene) {
			s.Dates = append(s.Dates, gene)
		}
		s.Genes, s.Scores = append(s.Genes, gene), append(s.Scores, score)
	}
	if len(s.Genes) == 0 {
		l.number++
		return nil, l.refuse(0, "", "the file ends without a score", "at least one gene", "check that the file is complete")
	}
	s.Cleaned = l.cleaned
	return s, nil
}
