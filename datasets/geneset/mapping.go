package geneset

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Mapping turns identifiers of one kind into another, such as Entrez numbers into
// symbols, by a table that the study supplies: tables of different years disagree,
// so the table belongs to the data of the study.
type Mapping struct {
	From, To string // the two columns of the table
	// Ambiguous are the identifiers the table maps to more than one; they map to none.
	Ambiguous []string
	Cleaned   []Cleaning
	to        map[string]string
}

// ReadMapping reads a table with a header, its cells separated by commas or (where
// the header has one) tabs, and takes the two named columns. Rows in which either
// is missing are skipped. Quotation marks are not understood: identifiers have none.
//
// A file of GEO's is told by its first character. Of a platform (SOFT, .annot, or the table
// that the web page gives out; plain or .gz) the columns are those of its table of probes, and
// a probe whose cell names several genes is among the Ambiguous. Of a series matrix they are
// what it says of its samples: geo_accession, title, source_name_ch1, ..., and the keys of its
// characteristics.
//
// Errors: *FormatError for a header without the columns, a row of another length,
// a quotation mark, a table without any pair, a file of GEO's that is cut off.
func ReadMapping(path, from, to string) (*Mapping, error) {
	return readFile(path, func(r io.Reader, file string) (*Mapping, error) { return readMapping(r, file, from, to) })
}

func readMapping(r io.Reader, file, from, to string) (*Mapping, error) {
	text := bufio.NewReader(r)
	if is, series := isGEO(text); series {
		return readSampleMapping(text, file, from, to)
	} else if is {
		return readPlatform(text, file, from, to)
	}
	l := newLines(text, file)
	if err := l.must("a header"); err != nil {
		return nil, err
	}
	separator := ","
	if strings.Contains(l.text, "\t") {
		separator = "\t"
	}
	header := strings.Split(l.text, separator)
	at, err := l.columns(header, from, to)
	if err != nil {
		return nil, err
	}
	m := newMapping(from, to)
	for {
		ok, err := l.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if l.text == "" {
			continue
		}
		cells := strings.Split(l.text, separator)
		if len(cells) != len(header) || strings.Contains(l.text, `"`) {
			return nil, l.refuse(0, "", fmt.Sprintf("%d cells: %.60q", len(cells), l.text), fmt.Sprintf("%d cells without quotation marks, as in the header", len(header)), "correct the line")
		}
		var pair [2]string
		for i := range pair {
			if missing(cells[at[i]]) {
				break
			}
			if pair[i], err = l.identifier(cells[at[i]], at[i]+1, "an identifier"); err != nil {
				return nil, err
			}
		}
		if pair[0] == "" || pair[1] == "" {
			continue
		}
		m.add(pair[0], pair[1])
	}
	if len(m.to) == 0 {
		l.number++
		return nil, l.refuse(0, "", "the file ends without a pair", "at least one row with both identifiers", "check that the file is complete")
	}
	m.settle()
	m.Cleaned = l.cleaned
	return m, nil
}

// columns finds the two columns of a mapping by their names in a header.
func (l *lines) columns(header []string, from, to string) (at [2]int, err error) {
	at = [2]int{slices.Index(header, from), slices.Index(header, to)}
	if at[0] < 0 || at[1] < 0 || from == to {
		err = l.refuse(0, "", "columns "+strings.Join(header, ", "), fmt.Sprintf("two columns called %s and %s", from, to), "name the table's own columns")
	}
	return at, err
}

// MappingReport counts what a mapping did to a list of distinct identifiers.
type MappingReport struct {
	Given     int      // distinct identifiers
	Mapped    int      // of them mapped
	Lost      []string // not in the table, sorted: other species, retired or newer names
	Ambiguous []string // mapped to more than one and therefore to none, sorted
	Merged    []Merge  // several identifiers that became one, by To
}

// Merge is several identifiers that became one.
type Merge struct {
	To   string
	From []string // two or more, sorted
}

func (r MappingReport) String() string {
	return fmt.Sprintf("%d of %d identifiers mapped, %d not in the table, %d ambiguous, %d joined with another", r.Mapped, r.Given, len(r.Lost), len(r.Ambiguous), r.joined())
}

func (r MappingReport) joined() int {
	n := 0
	for _, m := range r.Merged {
		n += len(m.From) - 1
	}
	return n
}

// IDs maps a list, such as the rows of a matrix: the answer has its length and order,
// "" where an identifier was lost or ambiguous. Identifiers listed in Merged occur
// more than once in the answer: the caller decides which row counts.
func (m *Mapping) IDs(ids []string) ([]string, MappingReport) {
	mapped := make([]string, len(ids))
	for i, id := range ids {
		mapped[i] = m.to[id]
	}
	return mapped, m.report(ids)
}

// Sets maps the genes of sets. Genes that are lost are left out, genes that become
// the same are kept once, at the place of the first; a set that loses all its genes
// stays, empty. The report is of the distinct genes of all sets together.
func (m *Mapping) Sets(sets []Set) ([]Set, MappingReport) {
	out := make([]Set, len(sets))
	var all []string
	for i, s := range sets {
		out[i] = Set{Name: s.Name, Description: s.Description}
		seen := make(map[string]bool, len(s.Genes))
		for _, g := range s.Genes {
			if to, ok := m.to[g]; ok && !seen[to] {
				seen[to] = true
				out[i].Genes = append(out[i].Genes, to)
			}
		}
		all = append(all, s.Genes...)
	}
	return out, m.report(all)
}

func (m *Mapping) report(ids []string) MappingReport {
	distinct := slices.Clone(ids)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	r := MappingReport{Given: len(distinct)}
	from := map[string][]string{}
	for _, id := range distinct {
		to, ok := m.to[id]
		_, ambiguous := slices.BinarySearch(m.Ambiguous, id)
		switch {
		case ok:
			r.Mapped++
			from[to] = append(from[to], id)
		case ambiguous:
			r.Ambiguous = append(r.Ambiguous, id)
		default:
			r.Lost = append(r.Lost, id)
		}
	}
	for to, ids := range from {
		if len(ids) > 1 {
			r.Merged = append(r.Merged, Merge{to, ids})
		}
	}
	slices.SortFunc(r.Merged, func(a, b Merge) int { return strings.Compare(a.To, b.To) })
	return r
}
