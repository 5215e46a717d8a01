// Package catalog knows the public data sets: one embedded YAML each, holding the
// files with size and SHA-256, where they can be had, licence and citation, the
// role of each cohort, how its columns map onto ours, and the rule that picks the
// tumour's contour. It also fetches and verifies the files.
//
// The layout under a data folder is the same everywhere: a mirror, the folder that
// Fetch fills, and the paths written in the YAML files.
package catalog

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/table"

	"github.com/goccy/go-yaml"
)

//go:embed entries/*.yaml
var entries embed.FS

// Entry is one public data set.
type Entry struct {
	Name    string   `yaml:"name"`
	Title   string   `yaml:"title"`
	What    string   `yaml:"what"`
	Licence string   `yaml:"licence"`
	Cite    []string `yaml:"cite"`
	// Obtain says how a person gets the files that have no address.
	Obtain string   `yaml:"obtain"`
	Files  []File   `yaml:"files"`
	Tables []Table  `yaml:"tables"`
	Images *Images  `yaml:"images"`
	Quirks []string `yaml:"quirks"` // what to know before believing the numbers
}

// File is one file, by its path under a data folder.
type File struct {
	Path     string `yaml:"path"` // slash-separated, relative
	Size     int64  `yaml:"size"` // bytes
	SHA256   string `yaml:"sha256"`
	URL      string `yaml:"url"`      // empty: there is no public address for the file itself, see Entry.Obtain
	Optional bool   `yaml:"optional"` // no cohort needs it
	What     string `yaml:"what"`
}

// Table says how a file is read as a cohort.
type Table struct {
	File      string `yaml:"file"`   // path of one of the entry's files
	Cohort    string `yaml:"cohort"` // the name of the cohort its rows belong to
	Role      string `yaml:"role"`   // train | tune | test
	Treatment string `yaml:"treatment"`
	Rows      int    `yaml:"rows"` // that a whole file has
	// Nulls are the file's spellings of null, in any column.
	Nulls   []string              `yaml:"nulls"`
	Columns map[string]table.From `yaml:"columns"` // by our column name
	// Link names the entry whose clinical table, by patient_id, knows the survival
	// of these patients.
	Link string `yaml:"link"`
	// Features, when given, keeps every other column as a number.
	Features *Features `yaml:"features"`
}

// Features says which of a table's other columns are features, and from where.
type Features struct {
	Source string   `yaml:"source"` // the tool that computed them
	Skip   []string `yaml:"skip"`   // beginnings of the names of columns that are none
}

// Images describes the pictures that go with the tables.
type Images struct {
	Folder   string `yaml:"folder"` // under the data folder
	Modality string `yaml:"modality"`
	Layout   string `yaml:"layout"`
	ROI      ROI    `yaml:"roi"`
	Obtain   string `yaml:"obtain"`
	// Of an entry without tables, which say it otherwise: how many patients there are, and
	// the role that the study gave their scans (train | tune | test).
	Patients int    `yaml:"patients"`
	Role     string `yaml:"role"`
	// Repeats, when given, says that patients have second scans or several readers.
	Repeats *Repeats `yaml:"repeats"`
}

// ROI is the rule that picks the tumour's contour.
type ROI struct {
	// Exact names in order of preference; case and blanks do not count, nothing
	// else is forgiven.
	Exact []string `yaml:"exact"`
	Why   string   `yaml:"why"`
}

// The kinds of repeats.
const (
	Scans   = "scans"   // two scans a patient, each with its contour
	Readers = "readers" // several contours of one scan
)

// Repeats is the rule that tells the repeats of a patient apart.
type Repeats struct {
	Kind string `yaml:"kind"` // scans | readers
	// WithinHours is how much later a second scan is still a repeat; 0 = any time.
	WithinHours float64 `yaml:"within_hours"`
	// Readers and Pattern, one of the two, say who drew which contour: see
	// dicom.NewReaderRule. The reference is the contour that the ROI rule picks.
	Readers []Reader `yaml:"readers"`
	Pattern string   `yaml:"pattern"`
	Why     string   `yaml:"why"`
}

// Reader is who drew the contours of one exact name.
type Reader struct {
	Reader string `yaml:"reader"`
	ROI    string `yaml:"roi"`
}

// ReaderRule is the rule in the form that reads files; the zero rule for scans.
func (r Repeats) ReaderRule() (dicom.ReaderRule, error) {
	if r.Kind != Readers {
		return dicom.ReaderRule{}, nil
	}
	var named []dicom.ReaderROI
	for _, n := range r.Readers {
		named = append(named, dicom.ReaderROI{Reader: n.Reader, ROI: n.ROI})
	}
	return dicom.NewReaderRule(named, r.Pattern)
}

// EntryError is a catalog file, or a name, that cannot be used.
type EntryError struct {
	File    string
	Key     string // where in the file
	Problem string
	Allowed string
	Err     error
}

func (e *EntryError) Error() string {
	s := "catalog " + e.File
	if e.Key != "" {
		s += ", " + e.Key
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + strings.TrimSpace(e.Err.Error())
	}
	if e.Allowed != "" {
		s += "; allowed: " + e.Allowed
	}
	return s
}

func (e *EntryError) Unwrap() error { return e.Err }

// Names are the known data sets, sorted.
func Names() []string {
	files, err := fs.Glob(entries, "entries/*.yaml")
	if err != nil {
		panic(err) // the pattern is ours
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	slices.Sort(files)
	return files
}

// Load gives the entry of that name; *EntryError names the nearest when there is none.
func Load(name string) (Entry, error) {
	names := Names()
	if !slices.Contains(names, name) {
		problem := fmt.Sprintf("there is no data set %q", name)
		if near := table.NearestName(name, names); near != "" {
			problem += fmt.Sprintf(" (did you mean %q?)", near)
		}
		return Entry{}, &EntryError{File: name, Problem: problem, Allowed: strings.Join(names, ", ")}
	}
	file := "entries/" + name + ".yaml"
	data, err := entries.ReadFile(file)
	if err != nil {
		return Entry{}, fmt.Errorf("catalog: %w", err)
	}
	return Parse(file, data)
}

// Parse decodes and checks an entry, for data sets that are not embedded: file is
// its name, which errors show and whose base (without .yaml) is the entry's name.
// An unknown key is an error.
func Parse(file string, data []byte) (e Entry, err error) {
	// The YAML parser is not proof against every byte sequence.
	defer func() {
		if p := recover(); p != nil {
			e, err = Entry{}, &EntryError{File: file, Problem: "it cannot be read as YAML", Err: fmt.Errorf("%v", p)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(&e); err != nil {
		if errors.Is(err, io.EOF) {
			return Entry{}, &EntryError{File: file, Problem: "it is empty", Allowed: "one entry"}
		}
		return Entry{}, &EntryError{File: file, Problem: "it cannot be read", Err: err}
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return Entry{}, &EntryError{File: file, Problem: "something follows the entry", Allowed: "one entry in a file"}
	}
	if err := e.check(file); err != nil {
		return Entry{}, err
	}
	return e, nil
}

var roles = []string{"train", "tune", "test"}

var sha = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (e Entry) check(file string) error {
	bad := func(key, problem, allowed string) error {
		return &EntryError{File: file, Key: key, Problem: problem, Allowed: allowed}
	}
	if want := strings.TrimSuffix(path.Base(file), ".yaml"); e.Name != want {
		return bad("name", fmt.Sprintf("%q is not the file's name", e.Name), want)
	}
	for _, field := range [][2]string{{"title", e.Title}, {"what", e.What}, {"licence", e.Licence}} {
		if strings.TrimSpace(field[1]) == "" {
			return bad(field[0], "is missing", "words")
		}
	}
	if len(e.Cite) == 0 {
		return bad("cite", "is missing", "at least one publication")
	}
	if len(e.Files) == 0 && e.Images == nil {
		return bad("files", "is missing", "at least one file, or images")
	}
	paths := make(map[string]bool)
	for i, f := range e.Files {
		key := fmt.Sprintf("files[%d]", i)
		switch {
		case !fs.ValidPath(f.Path) || f.Path == "." || strings.ContainsRune(f.Path, '\\'):
			return bad(key+".path", fmt.Sprintf("%q leads outside the data folder or is no path", f.Path), "a relative path with / between its parts")
		case paths[f.Path]:
			return bad(key+".path", fmt.Sprintf("%q is listed twice", f.Path), "each file once")
		case f.Size <= 0:
			return bad(key+".size", fmt.Sprintf("%d bytes", f.Size), "the file's size in bytes")
		case !sha.MatchString(f.SHA256):
			return bad(key+".sha256", fmt.Sprintf("%q", f.SHA256), "64 lower-case hexadecimal digits")
		case f.URL != "" && !strings.HasPrefix(f.URL, "https://"):
			return bad(key+".url", fmt.Sprintf("%q", f.URL), "an address that begins with https://")
		case f.URL == "" && e.Obtain == "":
			return bad("obtain", "is missing though "+f.Path+" has no url", "how a person gets the file")
		}
		paths[f.Path] = true
	}
	for i, t := range e.Tables {
		key := fmt.Sprintf("tables[%d]", i)
		switch {
		case !paths[t.File]:
			return bad(key+".file", fmt.Sprintf("%q is none of the entry's files", t.File), "a path listed under files")
		case t.Cohort == "":
			return bad(key+".cohort", "is missing", "the cohort's name")
		case !slices.Contains(roles, t.Role):
			return bad(key+".role", fmt.Sprintf("%q", t.Role), strings.Join(roles, ", "))
		case t.Rows <= 0:
			return bad(key+".rows", fmt.Sprint(t.Rows), "the number of rows of the whole file")
		case t.Link != "" && !slices.Contains(Names(), t.Link):
			return bad(key+".link", fmt.Sprintf("there is no data set %q", t.Link), strings.Join(Names(), ", "))
		case len(t.Columns) == 0:
			return bad(key+".columns", "is missing", "our column name: {header: theirs}")
		}
		for _, name := range slices.Sorted(maps.Keys(t.Columns)) {
			from := t.Columns[name]
			if from.Absent && from.Header != "" {
				return bad(key+".columns."+name, "has a header and is absent", "one of the two")
			}
			if d := from.ElseDates; d != nil && (d.Start == "" || d.End == "" || d.Layout == "") {
				return bad(key+".columns."+name+".else_dates", "is not whole", "start, end and layout")
			}
		}
	}
	return e.checkImages(bad)
}

func (e Entry) checkImages(bad func(key, problem, allowed string) error) error {
	im := e.Images
	if im == nil {
		return nil
	}
	switch {
	case len(im.ROI.Exact) == 0:
		return bad("images.roi.exact", "is missing", "the contour's names in order of preference")
	case !fs.ValidPath(im.Folder):
		return bad("images.folder", fmt.Sprintf("%q", im.Folder), "a relative path with / between its parts")
	case im.Obtain == "":
		return bad("images.obtain", "is missing", "how a person gets the images")
	case len(e.Tables) > 0 && (im.Role != "" || im.Patients != 0):
		return bad("images.role", "stands there though the tables say it", "role and patients only where there are no tables")
	case len(e.Tables) == 0 && !slices.Contains(roles, im.Role):
		return bad("images.role", fmt.Sprintf("%q", im.Role), strings.Join(roles, ", "))
	case len(e.Tables) == 0 && im.Patients < 1:
		return bad("images.patients", fmt.Sprint(im.Patients), "how many patients there are")
	}
	r := im.Repeats
	if r == nil {
		return nil
	}
	switch {
	case r.Kind != Scans && r.Kind != Readers:
		return bad("images.repeats.kind", fmt.Sprintf("%q", r.Kind), Scans+", "+Readers)
	case r.Kind == Scans && (len(r.Readers) > 0 || r.Pattern != ""):
		return bad("images.repeats.readers", "stands there though scans are repeated", "readers and pattern with kind: readers")
	case r.WithinHours < 0 || r.Kind == Readers && r.WithinHours != 0:
		return bad("images.repeats.within_hours", fmt.Sprint(r.WithinHours), "a positive number, with kind: scans")
	case strings.TrimSpace(r.Why) == "":
		return bad("images.repeats.why", "is missing", "why this rule, and what of it is assumed")
	}
	if _, err := r.ReaderRule(); err != nil {
		var rule *dicom.ReaderRuleError
		if errors.As(err, &rule) {
			return bad("images.repeats.readers", rule.Problem, rule.Allowed)
		}
		return bad("images.repeats.readers", err.Error(), "a rule for readers")
	}
	return nil
}

// words are the rule without its reason.
func (r Repeats) words() string {
	if r.Kind == Scans {
		within := ""
		if r.WithinHours > 0 {
			within = fmt.Sprintf(", the second at most %g hours after the first", r.WithinHours)
		}
		return "one or two scans a patient, by time of acquisition, then UID" + within
	}
	rule, err := r.ReaderRule()
	if err != nil {
		panic(fmt.Sprintf("catalog: a rule that was checked is none: %v", err))
	}
	return "several readers of a scan: " + rule.String()
}

// Describe writes the entry for a person to read.
func (e Entry) Describe(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n%s\n\nLicence: %s\n", e.Name, e.Title, strings.TrimSpace(e.What), e.Licence)
	for _, c := range e.Cite {
		fmt.Fprintf(&b, "Cite: %s\n", c)
	}
	if e.Obtain != "" {
		fmt.Fprintf(&b, "\nTo obtain: %s\n", strings.TrimSpace(e.Obtain))
	}
	if len(e.Files) > 0 {
		fmt.Fprintf(&b, "\nFiles:\n")
	} else {
		fmt.Fprintf(&b, "\n")
	}
	for _, f := range e.Files {
		how := f.URL
		if how == "" {
			how = "no public address; see above"
		}
		fmt.Fprintf(&b, "  %s (%d bytes) %s\n    %s\n", f.Path, f.Size, f.What, how)
	}
	for _, t := range e.Tables {
		treatment := ""
		if t.Treatment != "" {
			treatment = ", " + t.Treatment
		}
		fmt.Fprintf(&b, "Cohort %s: role %s%s, %d rows of %s\n", t.Cohort, t.Role, treatment, t.Rows, t.File)
		if t.Link != "" {
			fmt.Fprintf(&b, "  survival: from %s, by patient id\n", t.Link)
		}
		if t.Features != nil {
			fmt.Fprintf(&b, "  features: %s\n", t.Features.Source)
		}
	}
	if im := e.Images; im != nil {
		fmt.Fprintf(&b, "Images: %s under %s, %s; tumour contour: %s (%s)\n", im.Modality, im.Folder, im.Layout, strings.Join(im.ROI.Exact, ", then "), strings.TrimSpace(im.ROI.Why))
		if im.Role != "" {
			fmt.Fprintf(&b, "  %d patients, role %s\n", im.Patients, im.Role)
		}
		if r := im.Repeats; r != nil {
			fmt.Fprintf(&b, "  repeats: %s (%s)\n", r.words(), strings.TrimSpace(r.Why))
		}
		fmt.Fprintf(&b, "  to obtain: %s\n", strings.TrimSpace(im.Obtain))
	}
	for _, q := range e.Quirks {
		fmt.Fprintf(&b, "Note: %s\n", strings.TrimSpace(q))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
