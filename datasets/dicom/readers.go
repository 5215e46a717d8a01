package dicom

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// ReaderROI is the region that one reader drew.
type ReaderROI struct {
	Reader, ROI string
}

// ReaderRule tells the readers of one tumour apart by the names of their regions: by a list
// of exact names, or by one pattern for the whole name with the reader in it. As in ROIRule,
// case and white space do not count and nothing else is forgiven. The zero value knows nobody.
type ReaderRule struct {
	named   []ReaderROI
	pattern *regexp.Regexp
	text    string
}

// ReaderRuleError is a rule that cannot be.
type ReaderRuleError struct {
	Problem, Allowed string
}

func (e *ReaderRuleError) Error() string {
	return fmt.Sprintf("rule for readers: %s; allowed: %s", e.Problem, e.Allowed)
}

// NewReaderRule makes a rule of either exact names or a pattern (Go's regular expressions),
// which must begin with ^, end in $ and hold one group (?P<reader>...): the reader's name
// is what the group matches. Region names lose their blanks before, so a pattern has none. Names of readers come out in lower case. Error: *ReaderRuleError.
func NewReaderRule(named []ReaderROI, pattern string) (ReaderRule, error) {
	bad := func(allowed, problem string, args ...any) (ReaderRule, error) {
		return ReaderRule{}, &ReaderRuleError{Problem: fmt.Sprintf(problem, args...), Allowed: allowed}
	}
	if (len(named) > 0) == (pattern != "") {
		return bad("one of the two", "exact names and a pattern are both given, or neither")
	}
	if pattern != "" {
		const form = "one like ^GTV-1vis-(?P<reader>[0-9])$"
		if !strings.HasPrefix(pattern, "^") || !strings.HasSuffix(pattern, "$") {
			return bad(form, "the pattern %q does not begin with ^ and end in $", pattern)
		}
		if strings.ContainsFunc(pattern, unicode.IsSpace) {
			return bad(form, "the pattern %q has a blank, and names are compared without any", pattern)
		}
		// Whatever stands inside, such as ^a|b$, must match the whole name.
		compiled, err := regexp.Compile(`(?i)\A(?:` + pattern + `)\z`)
		if err != nil {
			return bad(form, "the pattern %q: %v", pattern, err)
		}
		groups := 0
		for _, name := range compiled.SubexpNames() {
			if name == "reader" {
				groups++
			}
		}
		if groups != 1 {
			return bad(form, "the pattern %q has %d groups named reader", pattern, groups)
		}
		return ReaderRule{pattern: compiled, text: pattern}, nil
	}
	readers, regions := map[string]bool{}, map[string]bool{}
	r := ReaderRule{}
	for _, n := range named {
		reader, region := strings.ToLower(strings.TrimSpace(n.Reader)), plainName(n.ROI)
		switch {
		case reader == "" || region == "":
			return bad("a reader and a ROI name", "one of the two is empty in %+v", n)
		case readers[reader]:
			return bad("each reader once", "reader %q stands there twice", reader)
		case regions[region]:
			return bad("each ROI once", "ROI %q stands there twice", n.ROI)
		}
		readers[reader], regions[region] = true, true
		r.named = append(r.named, ReaderROI{reader, n.ROI})
	}
	return r, nil
}

// Reader says who drew a region of that name; empty when the rule does not know.
func (r ReaderRule) Reader(roi string) string {
	name := plainName(roi)
	for _, n := range r.named {
		if plainName(n.ROI) == name {
			return n.Reader
		}
	}
	if r.pattern == nil {
		return ""
	}
	found := r.pattern.FindStringSubmatch(name)
	if found == nil {
		return ""
	}
	return found[r.pattern.SubexpIndex("reader")]
}

// Readers are those that the rule names, in its order; nil for a pattern.
func (r ReaderRule) Readers() []string {
	var out []string
	for _, n := range r.named {
		out = append(out, n.Reader)
	}
	return out
}

// String is the rule in words.
func (r ReaderRule) String() string {
	if r.pattern != nil {
		return "ROI names that match " + r.text
	}
	var parts []string
	for _, n := range r.named {
		parts = append(parts, n.Reader+" drew "+n.ROI)
	}
	return strings.Join(parts, ", ")
}
