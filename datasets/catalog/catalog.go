// Package catalog knows the public data sets: one embedded YAML each, holding what a
// data set is and its role in the study, licence and what follows from it, citation,
// the files with size and SHA-256, the archives that hold the rest, how columns map
// onto ours, and the rule that picks the tumour's contour. It also verifies files.
//
// The layout under a data folder is the same everywhere: a mirror, the folder that
// `hounsfield fetch` fills, and the paths written in the YAML files.
package catalog

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/table"

	"github.com/goccy/go-yaml"
)

//go:embed entries/*.yaml
var entries embed.FS

// Entry is one data set: a public one, or a user's own in the same form.
type Entry struct {
	Name  string `yaml:"name"`
	Title string `yaml:"title"`
	What  string `yaml:"what"`
	// Study is its role in the study, in a few words (40 characters at most).
	Study   string `yaml:"study"`
	Licence string `yaml:"licence"`
	// Terms are what follows from the licence.
	Terms Terms `yaml:"terms"`
	// OtherLicences are of parts that are not under Licence.
	OtherLicences []Licensed `yaml:"other_licences"`
	Cite          []string   `yaml:"cite"` // each with its DOI, where it has one
	// Obtain says how a person gets the files that have no address.
	Obtain string `yaml:"obtain"`
	Files  []File `yaml:"files"`
	// Sources hold further files: all of them are fetched. Those of scans, of which one
	// is chosen, stand under Images.
	Sources []Source `yaml:"sources"`
	Tables  []Table  `yaml:"tables"`
	Images  *Images  `yaml:"images"`
	Quirks  []string `yaml:"quirks"` // what to know before believing the numbers

	root string // the folder of the YAML file, of an entry that was loaded from one
}

// The ways in which a file that is fetched can be checked where nobody has published its
// SHA-256.
const (
	VerifyGzip = "gzip" // by the checksum that a gzip file carries
	VerifySize = "size"
	VerifyNone = "none"
)

// File is one file, by its path under a data folder.
type File struct {
	Path   string `yaml:"path"` // slash-separated, relative
	Size   int64  `yaml:"size"` // bytes; 0 = unknown, which is for files without SHA256 alone
	SHA256 string `yaml:"sha256"`
	// Verify says how a file without SHA256 is checked (gzip | size | none), and Why why
	// there is none.
	Verify   string `yaml:"verify"`
	Why      string `yaml:"why"`
	URL      string `yaml:"url"`      // empty: there is no public address for the file itself, see Entry.Obtain
	Optional bool   `yaml:"optional"` // no cohort needs it
	What     string `yaml:"what"`
}

// The kinds of archives that a source can be.
const (
	NBIA     = "nbia"     // The Cancer Imaging Archive, by its REST API
	IDC      = "idc"      // Imaging Data Commons, its public bucket, by a manifest of series
	Figshare = "figshare" // an article of figshare
	GEO      = "geo"      // a series of Gene Expression Omnibus
)

// Source is an archive that holds scans or files.
type Source struct {
	Kind string `yaml:"kind"` // nbia | idc | figshare | geo
	// Folder, below the data folder, receives the files; of scans it is Images.Folder.
	Folder string `yaml:"folder"`
	// Collections are the archive's names of what is fetched (nbia, idc).
	Collections []string `yaml:"collections"`
	// Modalities are the only ones to fetch (nbia); none = all.
	Modalities []string `yaml:"modalities"`
	// Manifests are addresses of lists (.tcia) of the only series to fetch (nbia). For idc
	// whoever fetches gives the list.
	Manifests []string `yaml:"manifests"`
	Article   int64    `yaml:"article"` // figshare's number
	Series    string   `yaml:"series"`  // GEO's accession
	Files     []string `yaml:"files"`   // the names of files of the series
	Note      string   `yaml:"note"`
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
	// Sources hold the scans, the one to take by default first.
	Sources []Source `yaml:"sources"`
	Obtain  string   `yaml:"obtain"`
	// How much there is: patients with scans, series of all kinds, 10^9 bytes; 0 = unknown.
	// Counted says who counted.
	Patients  int     `yaml:"patients"`
	Series    int     `yaml:"series"`
	Gigabytes float64 `yaml:"gigabytes"`
	Counted   string  `yaml:"counted"`
	// Role is what the study gave the scans of an entry without tables, which say it
	// otherwise (train | tune | test).
	Role string `yaml:"role"`
	// Repeats, when given, says that patients have second scans or several readers.
	Repeats *Repeats `yaml:"repeats"`
}

// ROI is the rule that picks the tumour's contour.
type ROI struct {
	// Exact names in order of preference; case and blanks do not count, nothing
	// else is forgiven.
	Exact []string `yaml:"exact"`
	// None says, in place of names, that the data set holds no contour of the tumour, and
	// what to do about it.
	None string `yaml:"none"`
	Why  string `yaml:"why"`
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

// Names are the known public data sets, sorted.
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
// A name that ends in .yaml or holds a separator is the path of a user's own entry: its
// files lie beside it, see Locate.
func Load(name string) (Entry, error) {
	if strings.HasSuffix(name, ".yaml") || strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) {
		return loadFile(name)
	}
	names := Names()
	if !slices.Contains(names, name) {
		problem := fmt.Sprintf("there is no data set %q", name)
		if near := table.NearestName(name, names); near != "" {
			problem += fmt.Sprintf(" (did you mean %q?)", near)
		}
		return Entry{}, &EntryError{File: name, Problem: problem, Allowed: strings.Join(names, ", ") + ", or the path of a YAML file"}
	}
	file := "entries/" + name + ".yaml"
	data, err := entries.ReadFile(file)
	if err != nil {
		return Entry{}, fmt.Errorf("catalog: %w", err)
	}
	return Parse(file, data)
}

func loadFile(file string) (Entry, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Entry{}, &EntryError{File: file, Problem: "it cannot be read", Err: err, Allowed: "the path of a YAML file, or one of " + strings.Join(Names(), ", ")}
	}
	e, err := decode(file, data)
	if err != nil {
		return Entry{}, err
	}
	if slices.Contains(Names(), e.Name) {
		return Entry{}, &EntryError{File: file, Key: "name", Problem: fmt.Sprintf("%q is the name of a public data set that the program knows", e.Name), Allowed: "any other name"}
	}
	if e.root, err = filepath.Abs(filepath.Dir(file)); err != nil {
		return Entry{}, fmt.Errorf("catalog %s: %w", file, err)
	}
	return e, e.check(file)
}

// Parse decodes and checks an entry, for data sets that are not embedded: file is
// its name, which errors show and whose base (without .yaml) is the entry's name.
// An unknown key is an error.
func Parse(file string, data []byte) (Entry, error) {
	e, err := decode(file, data)
	if err != nil {
		return Entry{}, err
	}
	if want := strings.TrimSuffix(path.Base(file), ".yaml"); e.Name != want {
		return Entry{}, &EntryError{File: file, Key: "name", Problem: fmt.Sprintf("%q is not the file's name", e.Name), Allowed: want}
	}
	if err := e.check(file); err != nil {
		return Entry{}, err
	}
	return e, nil
}

func decode(file string, data []byte) (e Entry, err error) {
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
	return e, nil
}
