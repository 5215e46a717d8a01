package prepare

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets/dicom"
)

// Guard knows who the patients of an input are, so that nothing which says so is written:
// names, birth dates, accession numbers and the like, as the heads of the DICOM files have
// them (dicom.Identifiers), and with pseudonyms the patients' ids. It is in memory only and
// made anew by each run. The zero value knows nobody; Run fills it.
//
// A patient whose id, region or reader of the imaging table says so is not prepared, and an
// exclusion says why; paths and names of other regions are written as (withheld), with a
// note, and so is what the reason of an exclusion would say.
//
// A value that all patients share (at least three of them), or that says that something was
// removed (ANON), identifies nobody. A PatientName that is the PatientID, as in public
// collections, is the id, which without pseudonyms may come out.
type Guard struct {
	all     []*person // in the order of the subjects; like what follows not changed while patients are prepared
	byLabel map[string]*person
	names   map[[2]string][]mark // full names of all, by two words that stand next to each other
	common  map[dicom.Identifier]bool
	added   map[string][]dicom.Identifier // by the patient's id in the input
}

// person is what identifies one patient.
type person struct {
	guard        *Guard
	id           string // as the input has it
	pseudonymous bool   // and may not come out
	first        []mark // from the first look, which every run takes at every patient
	mu           sync.Mutex
	more         []mark // from all files, once they are read
}

// IdentityError is an output that would say who a patient is. It never holds the value.
type IdentityError struct {
	Patient string // as outputs name the patient, withheld-N where the id itself says it; empty where it is not known whose
	Output  string // the file that would hold it
	Column  string
	Element string // of the DICOM head that has the value: PatientName (0010,0010)
	Next    string // what to do
}

func (e *IdentityError) Error() string {
	of := ""
	if e.Patient != "" {
		of = "patient " + e.Patient + ": "
	}
	return fmt.Sprintf("%s%s of %s would hold the value that %s has in the files and is not written; %s", of, e.Column, e.Output, e.Element, e.Next)
}

// Add makes known what else identifies a patient, a cell of a clinical table, say: to the
// next Run, and to Check at once. It must not be called while Run is at work. patient is the
// id in the input, empty where it is not known whose; element says where the value stands. Dates are YYYY-MM-DD, YYYYMMDD, DD.MM.YYYY or MM/DD/YYYY; a value
// without a digit is taken as a name, any other as a number.
func (g *Guard) Add(patient, element, value string) {
	if g.added == nil {
		g.added = map[string][]dicom.Identifier{}
	}
	add := func(kind dicom.IdentifierKind, value string) {
		id := dicom.Identifier{Kind: kind, Element: element, Value: value}
		g.added[patient] = append(g.added[patient], id)
		for _, p := range g.all {
			if p.id == patient {
				from := len(p.first)
				p.first = append(p.first, g.marks([]dicom.Identifier{id}, p)...)
				g.indexNames(p.first[from:])
			}
		}
	}
	value = strings.TrimSpace(value)
	d := date.FindStringSubmatch(value)
	switch {
	case value == "":
	case d != nil && d[1] != "":
		add(dicom.BirthDates, d[1]+two(d[2])+two(d[3]))
	case d != nil: // the day first, or the month
		for _, order := range [][2]string{{two(d[5]), two(d[4])}, {two(d[4]), two(d[5])}} {
			if order[0] <= "12" {
				add(dicom.BirthDates, d[6]+order[0]+order[1])
			}
		}
	case digitsOf(value) == "":
		add(dicom.PatientNames, value)
	default:
		add(dicom.Codes, value)
	}
}

var date = regexp.MustCompile(`^(?:((?:18|19|20)\d\d)[-./]?(\d\d?)[-./]?(\d\d?)|(\d\d?)[-./](\d\d?)[-./](\d{4}))(?:[T ][0-9:.]*)?$`)

func two(digits string) string {
	if len(digits) == 1 {
		return "0" + digits
	}
	return digits
}

// Check says whether a text of an output (a cell, the name of a file or column) says who a
// patient is: the one that Run's outputs call so, or anybody where patient is empty. Of
// patients other than the one named only the full name counts.
//
// Error: *IdentityError.
func (g *Guard) Check(patient, output, column, text string) error {
	if element := g.find(g.byLabel[patient], patient == "", text, ""); element != "" {
		return &IdentityError{Patient: patient, Output: output, Column: column, Element: element, Next: nextStep(column)}
	}
	return nil
}

// nextStep is what a person can do about a column that says too much.
func nextStep(column string) string {
	switch column {
	case "patient_id":
		return "import with --pseudonymise, or give the patients other ids"
	case "file":
		return "rename the file or folder, or import with --pseudonymise"
	case "roi", "reader":
		return "rename the region in the contour file, or import with --pseudonymise"
	}
	return "take it out where it comes from, or import with --pseudonymise"
}

// find is the element whose value a cell holds; empty when it holds none. own is the cell
// without what comes from the files: the program's own words, which may be names (a patient
// called Head).
func (g *Guard) find(who *person, anybody bool, cell, own string) string {
	if cell == "" || len(g.all) == 0 {
		return ""
	}
	t := newText(cell, own)
	if who != nil {
		who.mu.Lock()
		more := who.more
		who.mu.Unlock()
		marks := slices.Concat(who.first, more)
		for _, is := range []func(mark, text) bool{mark.strong, mark.weak} { // the surer one is named
			for _, m := range marks {
				if is(m, t) {
					return m.element
				}
			}
		}
	}
	if anybody {
		for _, p := range g.all {
			for _, m := range p.first {
				if m.strong(t) || m.weak(t) {
					return m.element
				}
			}
		}
		return ""
	}
	for i, word := range t.all.letters {
		pairs := [][2]string{{word, ""}} // run together
		if i > 0 {
			pairs = append(pairs, [2]string{t.all.letters[i-1], word})
		}
		for _, pair := range pairs {
			for _, m := range g.names[pair] {
				if m.strong(t) {
					return m.element
				}
			}
		}
	}
	return ""
}

// index prepares the search for full names: otherwise each cell would be held against each
// patient.
func (g *Guard) index(subjects []subject) {
	g.byLabel, g.names = map[string]*person{}, map[[2]string][]mark{}
	for _, s := range subjects {
		g.byLabel[s.id] = s.who
	}
	for _, p := range g.all {
		g.indexNames(p.first)
	}
}

func (g *Guard) indexNames(marks []mark) {
	for _, m := range marks {
		for _, pair := range m.pairs {
			for _, key := range [][2]string{pair, {pair[0] + pair[1], ""}} {
				g.names[key] = append(g.names[key], m)
			}
		}
	}
}

// surveyPatients is how many patients must share a value before it identifies nobody.
const surveyPatients = 3

// learn looks at the heads of one file of each series and of each contour file. What
// cannot be read is said where the patient is prepared.
func (g *Guard) learn(subjects []subject, pseudonyms bool) {
	found := make([][]dicom.Identifier, len(subjects))
	var group errgroup.Group
	group.SetLimit(16) // on network drives they mostly wait
	for i, s := range subjects {
		group.Go(func() error {
			for _, file := range s.heads {
				if ids, err := dicom.Identifiers([]string{file}); err == nil {
					found[i] = append(found[i], ids...)
				}
			}
			return nil
		})
	}
	_ = group.Wait() // the work returns no error
	g.common, g.all = shared(found), nil
	for i, s := range subjects {
		p := &person{guard: g, id: s.key, pseudonymous: pseudonyms}
		if pseudonyms {
			p.first = codeMarks(patientIDElement, s.key, "")
		}
		p.first = append(p.first, g.marks(append(found[i], g.added[s.key]...), p)...)
		g.all = append(g.all, p)
	}
	stranger := &person{guard: g}
	stranger.first = g.marks(g.added[""], stranger)
	g.all = append(g.all, stranger)
}

// shared are the values that all patients have who have the element at all.
func shared(found [][]dicom.Identifier) map[dicom.Identifier]bool {
	patients, having := map[string]int{}, map[dicom.Identifier]int{}
	for _, ids := range found {
		elements, values := map[string]bool{}, map[dicom.Identifier]bool{}
		for _, id := range ids {
			elements[id.Element], values[id] = true, true
		}
		for e := range elements {
			patients[e]++
		}
		for v := range values {
			having[v]++
		}
	}
	out := map[dicom.Identifier]bool{}
	for v, n := range having {
		if n >= surveyPatients && n == patients[v.Element] {
			out[v] = true
		}
	}
	return out
}

// marks are what to look for.
func (g *Guard) marks(found []dicom.Identifier, p *person) (out []mark) {
	id := p.id
	if p.pseudonymous {
		id = ""
	}
	for _, f := range found {
		if !g.common[f] {
			out = append(out, newMarks(f, id)...)
		}
	}
	return out
}

// meet reads the heads of all files of a patient, which must be known before anything is
// written of the patient.
func (p *person) meet(files []string) error {
	ids, err := dicom.Identifiers(files)
	if err != nil {
		return &stageError{stage: stageGuard, err: fmt.Errorf("who the patient is cannot be read, and so not kept out of what is written: %w", err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.more = p.guard.marks(ids, p)
	return nil
}

// said is the element whose value of the patient a cell holds; see Guard.find.
func (p *person) said(cell, own string) string { return p.guard.find(p, false, cell, own) }
