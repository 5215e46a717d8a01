package geneset

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Classes is the content of a CLS file: the class of each sample, in the order of
// the columns of the matrix it belongs to.
type Classes struct {
	Names []string // of the classes, from the second line
	Codes []string // how the third line writes each of them
	Of    []int    // class of each sample, an index into Names
	// Rule says how codes were joined to names.
	Rule ClassRule
}

// ClassRule says how the labels of the third line were joined to the names of the
// second one.
type ClassRule string

const (
	// LabelsAreNames: every label is one of the names.
	LabelsAreNames ClassRule = "labels are the names"
	// ByAppearance: the first label that occurs is the first name, and so on, whatever
	// they look like. This is the format's rule.
	ByAppearance ClassRule = "first label that occurs is the first name"
)

// ReadCLS reads categorical classes: "samples classes 1", then "# name name", then
// a label per sample; blanks, tabs and control characters separate.
//
// Errors: *FormatError for counts that do not agree with the content, a name that
// occurs twice, and the format for continuous phenotypes (#numeric).
func ReadCLS(path string) (*Classes, error) { return readFile(path, readCLS) }

func readCLS(r io.Reader, file string) (*Classes, error) {
	l := newLines(r, file)
	if err := l.must("the numbers of samples and classes"); err != nil {
		return nil, err
	}
	fields := strings.Fields(l.text)
	if len(fields) > 0 && strings.EqualFold(fields[0], "#numeric") {
		return nil, l.refuse(1, "", "a continuous phenotype", "classes", "rank the genes by Spearman or Pearson correlation with a column of the cohort table")
	}
	if len(fields) != 3 || fields[2] != "1" {
		return nil, l.refuse(0, "", fmt.Sprintf("%.60q", l.text), `"samples classes 1"`, "check that the file is CLS")
	}
	var counts [2]int
	for i := range counts {
		n, err := strconv.Atoi(fields[i])
		if err != nil || n < 1 {
			return nil, l.refuse(i+1, "", fmt.Sprintf("%q", fields[i]), "a count, 1 or more", "correct the counts")
		}
		counts[i] = n
	}
	if err := l.must("# and the names of the classes"); err != nil {
		return nil, err
	}
	names, ok := strings.CutPrefix(strings.TrimSpace(l.text), "#")
	c := &Classes{Names: strings.FieldsFunc(names, besideText)}
	if !ok || len(c.Names) != counts[1] {
		return nil, l.refuse(0, "", fmt.Sprintf("%d names after #", len(c.Names)), fmt.Sprintf("# and %d names without blanks, as line 1 says", counts[1]), "correct the names or the counts")
	}
	seen := map[string]int{}
	for i, name := range c.Names {
		if err := l.once(seen, name, i+1, "class"); err != nil {
			return nil, err
		}
	}
	if err := l.must("a label per sample"); err != nil {
		return nil, err
	}
	labels := strings.FieldsFunc(l.text, besideText)
	if len(labels) != counts[0] {
		return nil, l.refuse(0, "", fmt.Sprintf("%d labels", len(labels)), fmt.Sprintf("%d, as line 1 says", counts[0]), "correct the labels or the counts")
	}
	for _, label := range labels {
		if !slices.Contains(c.Codes, label) {
			c.Codes = append(c.Codes, label)
		}
		if len(c.Codes) > counts[1] {
			return nil, l.refuse(0, "", fmt.Sprintf("more than %d different labels (%s)", counts[1], strings.Join(c.Codes, ", ")), fmt.Sprintf("%d, as line 1 says", counts[1]), "correct the labels or the counts")
		}
	}
	if len(c.Codes) != counts[1] {
		return nil, l.refuse(0, "", fmt.Sprintf("%d different labels", len(c.Codes)), fmt.Sprintf("%d, as line 1 says", counts[1]), "correct the labels or the counts")
	}
	c.Rule = LabelsAreNames
	if slices.ContainsFunc(c.Codes, func(code string) bool { return !slices.Contains(c.Names, code) }) {
		c.Rule = ByAppearance
	} else {
		copy(c.Codes, c.Names)
	}
	for _, label := range labels {
		c.Of = append(c.Of, slices.Index(c.Codes, label))
	}
	return c, nil
}

// Is says of each sample whether it belongs to the named class.
func (c *Classes) Is(name string) ([]bool, error) {
	class := slices.Index(c.Names, name)
	if class < 0 {
		return nil, &ClassError{Name: name, Names: c.Names}
	}
	is := make([]bool, len(c.Of))
	for i, k := range c.Of {
		is[i] = k == class
	}
	return is, nil
}

// ClassError says that there is no class of that name.
type ClassError struct {
	Name  string
	Names []string // those there are
}

func (e *ClassError) Error() string {
	return fmt.Sprintf("no class is called %q; allowed: %s; use one of these names", e.Name, strings.Join(e.Names, ", "))
}
