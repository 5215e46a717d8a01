package dicom

import (
	"slices"
	"strings"
	"unicode"
)

// ROIRule chooses a region by name: the first of Exact that a region bears, where
// case and white space (anywhere in the name) do not count and everything else
// does: "gtv-1 " is GTV-1, "GTV-10" and "GTV1" are not.
type ROIRule struct {
	Exact []string
}

// Choice says what a rule chose, to be printed and recorded.
type Choice struct {
	Index int      // of the region in the file
	Name  string   // as the file spells it
	Rule  string   // the entry of ROIRule.Exact that it matched
	Seen  []string // all names in the file
}

// Choose applies the rule to the names in a file. No match, or two regions with a
// matching name, is a *ROIError (without its file and patient): nothing is guessed.
func (r ROIRule) Choose(names []string) (Choice, error) {
	for _, want := range r.Exact {
		var at []int
		for i, n := range names {
			if plainName(n) == plainName(want) {
				at = append(at, i)
			}
		}
		switch len(at) {
		case 0:
			continue
		case 1:
			return Choice{Index: at[0], Name: names[at[0]], Rule: want, Seen: slices.Clone(names)}, nil
		}
		e := &ROIError{Rule: r, Seen: slices.Clone(names)}
		for _, i := range at {
			e.Matched = append(e.Matched, names[i])
		}
		return Choice{}, e
	}
	return Choice{}, &ROIError{Rule: r, Seen: slices.Clone(names)}
}

func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == 0 {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}
