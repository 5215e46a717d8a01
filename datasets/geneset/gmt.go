package geneset

import (
	"fmt"
	"io"
	"strings"
)

// Set is a named set of genes. Its fields are those of enrichment.Set, to which it
// converts.
type Set struct {
	Name        string
	Description string // often an address
	Genes       []string
}

// Collection is the content of a GMT file.
type Collection struct {
	Sets    []Set // in the order of the file
	Cleaned []Cleaning
}

// ReadGMT reads gene sets: a line each, cells separated by tabs, name, description
// (may be empty), genes. Empty cells at the end of a line and empty lines are
// skipped.
//
// Errors: *FormatError for a line of fewer than three cells, a set name or a gene
// within a set that occurs twice, an empty identifier, and text that is not UTF-8.
func ReadGMT(path string) (*Collection, error) { return readFile(path, readGMT) }

func readGMT(r io.Reader, file string) (*Collection, error) {
	l := newLines(r, file)
	c := &Collection{}
	names := map[string]int{}
	for {
		ok, err := l.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		text := strings.TrimRight(l.text, "\t ")
		if text == "" {
			continue
		}
		cells := strings.Split(text, "\t")
		if len(cells) < 3 {
			return nil, l.refuse(0, "", fmt.Sprintf("%d cells separated by tabs", len(cells)), "name, description and at least one gene", "check that the file is GMT, not GMX or comma-separated")
		}
		name, err := l.identifier(cells[0], 1, "the name of a set")
		if err != nil {
			return nil, err
		}
		if err := l.once(names, name, 1, "set"); err != nil {
			return nil, err
		}
		s := Set{Name: name, Description: strings.TrimSpace(cells[1]), Genes: make([]string, 0, len(cells)-2)}
		seen := make(map[string]int, len(cells)-2)
		for i, cell := range cells[2:] {
			gene, err := l.identifier(cell, i+3, "a gene of set "+name)
			if err != nil {
				return nil, err
			}
			if at, ok := seen[gene]; ok {
				return nil, l.refuse(i+3, name, fmt.Sprintf("gene %q, which is in cell %d already", gene, at), "each gene once", "remove the repetition")
			}
			seen[gene] = i + 3
			s.Genes = append(s.Genes, gene)
		}
		c.Sets = append(c.Sets, s)
	}
	if len(c.Sets) == 0 {
		l.number++
		return nil, l.refuse(0, "", "the file ends without a set", "at least one set", "check that the file is complete")
	}
	c.Cleaned = l.cleaned
	return c, nil
}
