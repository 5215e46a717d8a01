package intake

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Sight is what there is of one patient among the images.
type Sight struct {
	Spelled string   // the id as the files have it
	Series  int      // CT series, or scans
	Files   int      // of them, contours included
	Bytes   int64    // of these files
	ROIs    []string // names of all regions that were drawn, sorted
	Problem string   // why nothing can be prepared of it; empty when something can
	Notes   []string // what is lost although something can
}

// The states of a match.
const (
	Matched     = "matched"             // clinical row and images fit and can be used
	BadImages   = "images not usable"   // there is a clinical row, and nothing can be made of the images
	BadRow      = "row not usable"      // there are images, and the clinical row cannot be used
	NoImages    = "no images"           // a clinical row without images
	NoRow       = "no clinical row"     // images without a clinical row
	NoID        = "no id"               // a row or images whose id cannot be made
	SeveralSame = "several of one id"   // images of several spellings that make one id
	Lost        = "lost while prepared" // matched, and then something was found that no head of a file says
)

// States are all of them, in the order in which they are told.
var States = []string{Matched, BadImages, BadRow, NoImages, NoRow, NoID, SeveralSame, Lost}

// Match is one patient of the table, of the images or of both.
type Match struct {
	ID     string // as the map makes it; where it cannot be made, as it is spelled
	State  string
	Reason string // why not, without values of the files
	Hint   string // an id of the other side that looks alike; for a person to judge, never followed
	Alike  string // that id, as it is spelled there
	Row    *Row   // nil when there is none
	Sights []Sight

	nearly string // the id, for hints; of one that fits no pattern what it would be
}

// Spelled is how the table, or where there is no row the images, spell the id.
func (m Match) Spelled() string {
	switch {
	case m.Row != nil:
		return m.Row.Spelled
	case len(m.Sights) > 0:
		return m.Sights[0].Spelled
	}
	return m.ID
}

// Usable says whether the patient becomes one of the cohort.
func (m Match) Usable() bool { return m.State == Matched }

// MatchUp holds the clinical table against the images: by equal ids, and by nothing else.
// Matches are sorted by id, then state.
func MatchUp(t *Table, sights []Sight, m Map) []Match {
	byID := map[string]*Match{}
	var rest []*Match
	at := func(id string) *Match {
		if byID[id] == nil {
			byID[id] = &Match{ID: id, nearly: id}
		}
		return byID[id]
	}
	for i := range t.Rows {
		row := &t.Rows[i]
		if row.ID == "" {
			rest = append(rest, &Match{ID: row.Spelled, State: NoID, Reason: row.Problem, Row: row, nearly: m.ID.nearly(row.Spelled)})
			continue
		}
		if x := at(row.ID); x.Row == nil {
			x.Row = row
		}
		// A second row of the same id says so in both; the first stands for them.
	}
	for _, s := range sights {
		id, ok := m.Images.ID.ID(s.Spelled)
		if !ok {
			rest = append(rest, &Match{ID: s.Spelled, State: NoID, Reason: "the images' id does not fit images.id.pattern", Sights: []Sight{s}, nearly: m.Images.ID.nearly(s.Spelled)})
			continue
		}
		x := at(id)
		x.Sights = append(x.Sights, s)
	}
	for _, x := range byID {
		switch {
		case len(x.Sights) > 1:
			x.State, x.Reason = SeveralSame, fmt.Sprintf("%d spellings among the images make this one id; correct images.id, or the files", len(x.Sights))
		case x.Row == nil:
			x.State, x.Reason = NoRow, "no row of the clinical table has this id"
		case len(x.Sights) == 0:
			x.State, x.Reason = NoImages, "no images have this id"
			if x.Row.Problem != "" {
				x.Reason += "; besides, the row cannot be used: " + x.Row.Problem
			}
		case x.Row.Problem != "":
			x.State, x.Reason = BadRow, x.Row.Problem
		case x.Sights[0].Problem != "":
			x.State, x.Reason = BadImages, x.Sights[0].Problem
		default:
			x.State = Matched
		}
	}
	all := append(slices.Collect(maps.Values(byID)), rest...)
	hint(all)
	slices.SortFunc(all, func(a, b *Match) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.State, b.State), cmp.Compare(a.where(), b.where()))
	})
	out := make([]Match, len(all))
	for i, x := range all {
		out[i] = *x
	}
	return out
}

func (m *Match) where() string {
	if m.Row == nil {
		return ""
	}
	return m.Row.Where
}

// looks are ways in which two spellings of one id come to differ.
var looks = []struct {
	what  string
	alike func(string) string
}{
	{"case", strings.ToLower},
	{"blanks", func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
	}},
	{"leading zeros", func(s string) string { return zeros.ReplaceAllString(s, "$1$2") }},
	{"signs between the parts", func(s string) string { return signs.ReplaceAllString(s, "") }},
}

var (
	zeros = regexp.MustCompile(`(^|[^0-9])0+([0-9])`)
	signs = regexp.MustCompile(`[-_./^]+`)
)

// hint tells rows without images which images without a row look alike, and the other way.
func hint(all []*Match) {
	key := func(s string) string {
		for _, l := range slices.Backward(looks) { // zeros after the signs before them are gone would join numbers
			if l.what != "signs between the parts" {
				s = l.alike(s)
			}
		}
		return signs.ReplaceAllString(s, "")
	}
	images := map[string][]*Match{}
	for _, x := range all {
		if x.State == NoRow || x.State == NoID && x.Row == nil {
			images[key(x.nearly)] = append(images[key(x.nearly)], x)
		}
	}
	for _, x := range all {
		if x.Row == nil || x.State != NoImages && x.State != NoID || x.nearly == "" {
			continue
		}
		others := images[key(x.nearly)]
		if len(others) == 0 {
			continue
		}
		o := others[0]
		x.Alike, o.Alike = o.Spelled(), x.Spelled()
		x.Hint = fmt.Sprintf("images with an id that differs by %s only", difference(x.nearly, o.nearly))
		o.Hint = fmt.Sprintf("a clinical row with an id that differs by %s only", difference(x.nearly, o.nearly))
	}
}

// difference says by what two spellings differ that are alike without it.
func difference(a, b string) string {
	if a == b { // when one of them fits a pattern but for this
		return "case or blanks"
	}
	for _, l := range looks {
		if l.alike(a) == l.alike(b) {
			return l.what
		}
	}
	return "case, blanks, leading zeros or the signs between the parts"
}

// Count counts the matches of each state.
func Count(all []Match) map[string]int {
	n := map[string]int{}
	for _, m := range all {
		n[m.State]++
	}
	return n
}
