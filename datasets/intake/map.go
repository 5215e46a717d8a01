// Package intake reads a hospital's own cohort: a map that a person writes says how the
// clinical table and the images name their patients and columns; here the table is read
// through it, row by row, and held against the images. What fits no rule is told with its
// reason: no id is guessed, nothing is matched because it looks alike.
package intake

import (
	_ "embed"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// Example is a map with every key explained, to be copied and changed.
//
//go:embed example.yaml
var Example string

// Map says how a hospital's files become a cohort.
type Map struct {
	// About the cohort, for its catalog entry.
	Cohort    string   `yaml:"cohort"`
	Title     string   `yaml:"title"`
	What      string   `yaml:"what"`
	Licence   string   `yaml:"licence"`
	Cite      []string `yaml:"cite"`
	Treatment string   `yaml:"treatment"`
	// What its patients may be used for: all for one role, or dealt out. One of the two.
	Role  string `yaml:"role"`
	Split *Split `yaml:"split"`

	Clinical Clinical          `yaml:"clinical"`
	ID       IDRule            `yaml:"id"`
	Columns  map[string]Column `yaml:"columns"` // by the names of datasets.CohortSchema
	Images   Images            `yaml:"images"`
}

// Split deals the patients out as datasets.Cohort.Assign does; the keys are those of a
// run's config.
type Split struct {
	TuneFraction float64 `yaml:"tune_fraction"`
	TestFraction float64 `yaml:"test_fraction"`
	Seed         int64   `yaml:"split_seed"`
}

// Clinical says how the clinical table is written.
type Clinical struct {
	Separator string   `yaml:"separator"` // of a text file: comma | semicolon | tab; "" = the one that sets the id column apart
	Encoding  string   `yaml:"encoding"`  // utf-8 (default) | latin-1
	Decimal   string   `yaml:"decimal"`   // point (default) | comma
	Nulls     []string `yaml:"nulls"`     // spellings of "not known", in every column
	// Identity names columns that tell who a patient is. They are read for one purpose: nothing
	// that stands in them may stand in an output.
	Identity []string `yaml:"identity"`
}

// IDRule says which column of the clinical table holds the patients' ids and, where they are
// spelled otherwise than in the images, how an id follows from the spelling.
type IDRule struct {
	Column   string `yaml:"column"`
	Spelling `yaml:",inline"`
}

// Spelling makes an id out of what a file has. Without a pattern it is the id as it stands.
type Spelling struct {
	Pattern  string `yaml:"pattern"`  // that the whole spelling must fit, with a group (?P<patient>...)
	Template string `yaml:"template"` // the id, from the pattern's groups; "" = ${patient}

	pattern, anyCase *regexp.Regexp
}

// Column says where a column of the cohort comes from: as in the catalog, and in which unit.
// ElseDates.Layout may be written in letters: DD.MM.YYYY.
type Column struct {
	table.From `yaml:",inline"`
	Unit       string `yaml:"unit"` // of the file's numbers; "" = the column's own
}

// The kinds of images.
const (
	DICOM = "dicom"
	NIfTI = "nifti"
)

// Images says what the pictures are and which region is the tumour.
type Images struct {
	Kind string   `yaml:"kind"` // dicom | nifti
	ID   Spelling `yaml:"id"`   // of the DICOM element PatientID, or of the group patient in file names

	// For dicom.
	ROI     []string         `yaml:"roi"` // names of the tumour's contour, in order of preference
	Repeats *catalog.Repeats `yaml:"repeats"`

	// For nifti: what the path of a patient's scan and mask below the folder fits as a whole,
	// with a group (?P<patient>...); and the values of the mask that are tumour.
	Scan   string `yaml:"scan"`
	Mask   string `yaml:"mask"`
	Labels []int  `yaml:"labels"`

	scan, mask *regexp.Regexp
}

// Problem is one thing in a map that cannot be used.
type Problem struct {
	Line    int    // of the file, from 1; 0 where something is missing
	Key     string // the whole path, such as columns.age.unit
	Problem string
	Nearest string
	Allowed []string
}

func (p Problem) String() string {
	s := ""
	if p.Line > 0 {
		s = fmt.Sprintf("line %d, ", p.Line)
	}
	if p.Key != "" {
		s += p.Key + ": "
	}
	s += p.Problem
	if p.Nearest != "" {
		s += fmt.Sprintf("; did you mean %q?", p.Nearest)
	}
	if len(p.Allowed) > 0 {
		s += " (allowed: " + strings.Join(p.Allowed, ", ") + ")"
	}
	return s
}

// MapError is a map that cannot be used, with everything that is wrong with it.
type MapError struct {
	File     string
	Problems []Problem
}

func (e *MapError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if len(lines) == 1 {
		return fmt.Sprintf("map %s: %s", e.File, lines[0])
	}
	return fmt.Sprintf("map %s: %d things to correct\n  %s", e.File, len(lines), strings.Join(lines, "\n  "))
}

// ParseMap decodes and checks a map; file is its name in errors. Error: *MapError.
func ParseMap(file string, text []byte) (m Map, err error) {
	defer func() {
		if p := recover(); p != nil { // the YAML library stumbles over some texts
			m, err = Map{}, &MapError{file, []Problem{{Problem: fmt.Sprintf("it cannot be read as YAML (%v); look for a stray sign, such as ! or &", p)}}}
		}
	}()
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return Map{}, &MapError{file, []Problem{yamlProblem(err)}}
	}
	var docs []ast.Node
	for _, d := range tree.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType && d.Body.Type() != ast.CommentGroupType {
			docs = append(docs, d.Body)
		}
	}
	if len(docs) != 1 {
		return Map{}, &MapError{file, []Problem{{Problem: fmt.Sprintf("it holds %d maps; one is needed: `hounsfield import --example` prints one to start from", len(docs))}}}
	}
	w := walker{lines: map[string]int{}}
	w.walk("", docs[0], reflect.TypeOf(m))
	if err := yaml.NodeToValue(docs[0], &m); err != nil {
		if len(w.problems) == 0 {
			w.problems = append(w.problems, yamlProblem(err))
		}
		return Map{}, &MapError{file, w.problems}
	}
	m.check(&w)
	if len(w.problems) > 0 {
		slices.SortStableFunc(w.problems, func(a, b Problem) int {
			if a.Line == 0 || b.Line == 0 { // what is missing comes last
				return b.Line - a.Line
			}
			return a.Line - b.Line
		})
		return Map{}, &MapError{file, w.problems}
	}
	return m, nil
}

var (
	cohortName = regexp.MustCompile(`^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$`)
	roles      = []string{string(datasets.Train), string(datasets.Tune), string(datasets.Test)}
)

// check finds everything that types cannot say, and compiles the patterns.
func (m *Map) check(w *walker) {
	switch {
	case m.Cohort == "":
		w.bad("cohort", "is missing: the cohort's name, such as north-hospital")
	case !cohortName.MatchString(m.Cohort):
		w.bad("cohort", fmt.Sprintf("%q is no name for a folder: use letters, digits, and - or _ between them", m.Cohort))
	case slices.Contains(catalog.Names(), m.Cohort):
		w.bad("cohort", fmt.Sprintf("%q is the name of a public data set that the program knows; give another", m.Cohort))
	}
	if strings.TrimSpace(m.Licence) == "" {
		w.bad("licence", "is missing: in words, what may be done with these data, such as \"ethics approval 2024-17, not to be passed on\"")
	}
	switch {
	case m.Role == "" && m.Split == nil:
		w.bad("split", "is missing: say with split or role what the patients may be used for")
	case m.Role != "" && m.Split != nil:
		w.bad("role", "stands there together with split; keep one of the two")
	case m.Role != "":
		w.choice("role", m.Role, roles...)
	case !(m.Split.TuneFraction > 0 && m.Split.TestFraction > 0 && m.Split.TuneFraction+m.Split.TestFraction < 1):
		w.bad("split", "tune_fraction and test_fraction must be above 0 and leave patients to train on, such as 0.2 and 0.3")
	}
	c := m.Clinical
	w.choice("clinical.separator", c.Separator, "", "comma", "semicolon", "tab")
	w.choice("clinical.encoding", c.Encoding, "", "utf-8", "latin-1")
	w.choice("clinical.decimal", c.Decimal, "", "point", "comma")
	if m.ID.Column == "" {
		w.bad("id.column", "is missing: the header of the column with the patients' ids")
	}
	m.ID.Spelling.check("id", w)
	m.checkColumns(w)
	m.Images.check(w)
}

func (s *Spelling) check(key string, w *walker) {
	if s.Pattern == "" {
		if s.Template != "" {
			w.bad(key+".template", "stands there without a pattern")
		}
		return
	}
	s.pattern = w.pattern(key+".pattern", s.Pattern)
	if s.pattern == nil {
		return
	}
	s.anyCase = regexp.MustCompile("(?i)" + s.pattern.String())
	if s.Template == "" {
		if !slices.Contains(s.pattern.SubexpNames(), "patient") {
			w.bad(key+".pattern", "names no group (?P<patient>...), so it does not say which part is the id")
		}
		return
	}
	for _, ref := range references.FindAllStringSubmatch(s.Template, -1) {
		if !slices.Contains(s.pattern.SubexpNames(), ref[1]) {
			w.bad(key+".template", fmt.Sprintf("${%s} is no group of the pattern", ref[1]))
		}
	}
	if !references.MatchString(s.Template) || strings.Contains(references.ReplaceAllString(s.Template, ""), "$") {
		w.bad(key+".template", "must hold groups of the pattern written as ${patient}, and no other $")
	}
}

// references are the groups that a template takes up.
var references = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// ID is the id that a spelling stands for; not ok when it does not fit the pattern or the
// id would be empty.
func (s Spelling) ID(spelled string) (id string, ok bool) {
	if s.pattern == nil {
		return spelled, spelled != ""
	}
	return s.expand(s.pattern, spelled)
}

func (s Spelling) expand(pattern *regexp.Regexp, spelled string) (id string, ok bool) {
	at := pattern.FindStringSubmatchIndex(spelled)
	if at == nil {
		return "", false
	}
	template := s.Template
	if template == "" {
		template = "${patient}"
	}
	id = string(pattern.ExpandString(nil, template, spelled, at))
	return id, id != ""
}

// nearly is the id that a spelling would stand for if case and blanks did not count; for hints.
func (s Spelling) nearly(spelled string) string {
	if s.pattern == nil {
		return spelled
	}
	for _, text := range []string{spelled, strings.Join(strings.Fields(spelled), "")} {
		if id, ok := s.expand(s.anyCase, text); ok {
			return id
		}
	}
	return spelled
}

// units are what one of a column's own units holds of another: the numbers of the file are
// multiplied by it. A month is the twelfth part of a year of 365.25 days.
var units = map[string]map[string]float64{
	"survival_days": {"days": 1, "weeks": 7, "months": 365.25 / 12, "years": 365.25},
	"age":           {"years": 1, "months": 1. / 12, "days": 1 / 365.25},
}

// factor turns numbers of the file into the column's own unit. Differences of dates are days.
func (c Column) factor(name string) float64 {
	unit := c.Unit
	if unit == "" && c.ElseDates != nil && c.Absent {
		unit = "days"
	}
	if f, ok := units[name][unit]; ok {
		return f
	}
	return 1
}

// schema is the cohort's, without what the map says for all patients.
func schema() table.Schema {
	s := table.Schema{Name: "clinical"}
	for _, c := range datasets.CohortSchema().Columns {
		if c.Name != "cohort" && c.Name != "role" {
			s.Columns = append(s.Columns, c)
		}
	}
	return s
}

func (m *Map) checkColumns(w *walker) {
	var names []string
	for _, c := range schema().Columns {
		if c.Name != "patient_id" {
			names = append(names, c.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Columns)) {
		key, c := "columns."+name, m.Columns[name]
		switch {
		case name == "patient_id":
			w.bad(key, "is said by id.column")
			continue
		case name == "cohort" || name == "role":
			w.bad(key, fmt.Sprintf("is said by %s at the beginning, for all patients", name))
			continue
		case !slices.Contains(names, name):
			w.problems = append(w.problems, Problem{Line: w.lines[key], Key: key, Problem: "is no column of a cohort", Nearest: table.NearestName(name, names), Allowed: names})
			continue
		}
		declared, _ := schema().Column(name)
		m.Columns[name] = c.check(key, declared, w)
	}
	read := func(name string) bool {
		c, ok := m.Columns[name]
		return ok && (!c.Absent || c.ElseDates != nil)
	}
	if !read("alive_2yr") && !(read("survival_days") && read("event")) {
		w.bad("columns", "nobody's outcome is known: give survival_days and event, or alive_2yr")
	}
	for _, header := range m.Clinical.Identity {
		for _, name := range slices.Sorted(maps.Keys(m.Columns)) {
			if c := m.Columns[name]; !c.Absent && (c.Header == header || c.Header == "" && name == header) {
				w.bad("clinical.identity", fmt.Sprintf("%q tells who a patient is, and columns.%s writes it into the cohort", header, name))
			}
		}
	}
}

func (c Column) check(key string, declared table.Column, w *walker) Column {
	allowed := declared.Allowed
	if declared.Type == table.Bool {
		allowed = []string{"true", "false"}
	}
	for _, spelling := range slices.Sorted(maps.Keys(c.Values)) {
		if value := c.Values[spelling]; allowed != nil {
			w.choice(fmt.Sprintf("%s.values.%s", key, spelling), value, allowed...)
		} else if declared.Type == table.Float64 {
			w.bad(key+".values", "is for columns of words; give numbers their unit")
			break
		}
	}
	if c.Values == nil && declared.Type == table.String && allowed == nil && !c.Absent {
		w.bad(key+".values", "is missing: free text is not carried over; list the spellings and what each stands for, such as {AdenoCa: adenocarcinoma}")
	}
	u, measured := units[declared.Name]
	switch {
	case c.Unit == "":
	case !measured:
		w.bad(key+".unit", "is for columns with a unit: age and survival_days")
	default:
		w.choice(key+".unit", c.Unit, slices.Sorted(maps.Keys(u))...)
	}
	if c.Absent && (c.Header != "" || c.Values != nil) {
		w.bad(key, "has a header or values and is absent; keep one of the two")
	}
	if c.ElseDates == nil {
		return c
	}
	d := *c.ElseDates
	switch {
	case !measured:
		w.bad(key+".else_dates", "is for age and survival_days, which are times between two dates")
	case d.Start == "" || d.End == "" || d.Layout == "":
		w.bad(key+".else_dates", "is not whole: it needs start, end and layout, such as DD.MM.YYYY")
	case c.Absent && c.Unit != "" && c.Unit != "days":
		w.bad(key+".unit", "two dates give days")
	case !c.Absent && c.factor(declared.Name) != u["days"]:
		w.bad(key+".unit", "a column that is filled from dates where it is empty must be in days itself: say unit: days, or absent: true if it is to come from the dates alone")
	}
	layout, err := dateLayout(d.Layout)
	if err != "" && d.Layout != "" {
		w.bad(key+".else_dates.layout", err)
	}
	d.Layout = layout
	c.ElseDates = &d
	return c
}

// dateLayout turns DD.MM.YYYY into Go's reference date; a layout that is one is left.
func dateLayout(text string) (layout, problem string) {
	if strings.Contains(text, "2006") {
		return text, ""
	}
	parts := []struct{ letters, layout string }{{"YYYY", "2006"}, {"MMM", "Jan"}, {"MM", "01"}, {"M", "1"}, {"DD", "02"}, {"D", "2"}}
	seen := map[byte]bool{}
	rest := text
	for rest != "" {
		taken := false
		for _, p := range parts {
			if after, ok := strings.CutPrefix(rest, p.letters); ok {
				if seen[p.letters[0]] {
					return "", fmt.Sprintf("%q names the same part of a date twice", text)
				}
				seen[p.letters[0]], taken = true, true
				layout, rest = layout+p.layout, after
				break
			}
		}
		if !taken {
			if !strings.ContainsRune(" .-/", rune(rest[0])) {
				break
			}
			layout, rest = layout+rest[:1], rest[1:]
		}
	}
	if len(seen) != 3 || rest != "" {
		return "", fmt.Sprintf("%q is not understood: write DD, MM and YYYY as the dates have them, such as DD.MM.YYYY or YYYY-MM-DD (D and M without a leading zero, MMM for Jan); years need four digits", text)
	}
	return layout, ""
}

func (im *Images) check(w *walker) {
	im.ID.check("images.id", w)
	switch im.Kind {
	case DICOM:
		if len(im.ROI) == 0 {
			w.bad("images.roi", "is missing: the names of the tumour's contour in order of preference, such as [GTV-1]")
		}
		if im.Scan != "" || im.Mask != "" || im.Labels != nil {
			w.bad("images.kind", "scan, mask and labels are for kind: nifti; DICOM files say themselves what they are")
		}
		im.checkRepeats(w)
	case NIfTI:
		if im.ROI != nil || im.Repeats != nil {
			w.bad("images.kind", "roi and repeats are for kind: dicom; a NIfTI mask is found by its file name and labels")
		}
		im.scan, im.mask = w.files("images.scan", im.Scan), w.files("images.mask", im.Mask)
		if len(im.Labels) == 0 {
			w.bad("images.labels", "is missing: the values of the mask that are tumour, such as [1]")
		}
		for _, l := range im.Labels {
			if l < 1 {
				w.bad("images.labels", fmt.Sprintf("%d is no value of a region: they are whole numbers above 0", l))
			}
		}
	case "":
		w.bad("images.kind", "is missing", DICOM, NIfTI)
	default:
		w.choice("images.kind", im.Kind, DICOM, NIfTI)
	}
}

func (im *Images) checkRepeats(w *walker) {
	r := im.Repeats
	if r == nil {
		return
	}
	w.choice("images.repeats.kind", r.Kind, catalog.Scans, catalog.Readers)
	if r.Kind == catalog.Scans && (len(r.Readers) > 0 || r.Pattern != "") {
		w.bad("images.repeats", "readers and pattern are for kind: readers")
	}
	if r.WithinHours < 0 || r.Kind == catalog.Readers && r.WithinHours != 0 {
		w.bad("images.repeats.within_hours", "is a positive number, with kind: scans")
	}
	if _, err := r.ReaderRule(); err != nil {
		w.bad("images.repeats", err.Error())
	}
}
