package catalog

import (
	"errors"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEntries(t *testing.T) {
	want := []string{"figshare-7407125", "hosny2018", "idc-replication", "lungct-diagnosis", "nsclc-radiogenomics", "nsclc-radiomics", "nsclc-radiomics-genomics",
		"nsclc-radiomics-interobserver1", "reactome", "rider-lung-ct"}
	if got := Names(); !slices.Equal(got, want) {
		t.Fatalf("names %v, want %v", got, want)
	}
	rows := map[string]int{}
	for _, name := range Names() {
		e, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range e.Tables {
			rows[table.Cohort+" "+table.Role] += table.Rows
		}
		var b strings.Builder
		if err := e.Describe(&b); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > width && strings.ContainsRune(strings.TrimLeft(line, " "), ' ') && !strings.Contains(line, "https://") {
				t.Errorf("%s: a line of %d characters: %s", name, n, line)
			}
		}
		card := squeeze(b.String())
		says := append([]string{e.Title, e.What, e.Study, e.Licence, e.Obtain}, e.Cite...)
		for _, f := range e.Files {
			says = append(says, f.Path, f.What, f.Why, strings.TrimSuffix(f.URL, path.Base(f.URL)))
		}
		for _, l := range e.Licences() {
			says = append(says, l.Of, l.Licence)
			says = append(says, l.Terms.Consequences()...)
		}
		sources := e.Sources
		if im := e.Images; im != nil {
			sources = slices.Concat(sources, im.Sources)
			says = append(says, im.Folder, im.ROI.None, im.ROI.Why, im.Obtain)
		}
		for _, s := range sources {
			says = append(says, s.Kind, s.Note, s.Series)
			says = append(says, s.Collections...)
			says = append(says, s.Files...)
		}
		for _, s := range append(says, e.Quirks...) {
			if !strings.Contains(card, squeeze(s)) {
				t.Errorf("the card of %s does not say %q", name, s)
			}
		}
		for _, cite := range e.Cite {
			if !strings.Contains(cite, "doi:10.") {
				t.Errorf("%s: a citation without its DOI: %s", name, cite)
			}
		}
	}
	// The rows of the released tables (STUDY.md), and of the others.
	for cohort, n := range map[string]int{"HarvardRT train": 293, "Radboud tune": 104, "Maastro test": 211, "Moffitt train": 183, "MUMC tune": 88,
		"M-SPORE test": 97, "Lung1 test": 206 + 421 + 422, "Radiogenomics test": 211} {
		if rows[cohort] != n {
			t.Errorf("%s has %d rows, want %d", cohort, rows[cohort], n)
		}
	}
	if e, _ := Load("nsclc-radiomics"); !slices.Equal(e.Images.ROI.Exact, []string{"GTV-1"}) {
		t.Errorf("Lung1's contour is %v", e.Images.ROI.Exact)
	}
}

// Addresses that were seen in public material: another host is a slip.
func TestAddresses(t *testing.T) {
	hosts := []string{"raw.githubusercontent.com", "www.cancerimagingarchive.net", "wiki.cancerimagingarchive.net", "ftp.ncbi.nlm.nih.gov"}
	n := 0
	for _, name := range Names() {
		e, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		var addresses []string
		for _, f := range e.Files {
			addresses = append(addresses, f.URL)
		}
		if e.Images != nil {
			for _, s := range e.Images.Sources {
				addresses = append(addresses, s.Manifests...)
			}
		}
		for _, a := range addresses {
			if a == "" {
				continue
			}
			n++
			u, err := url.Parse(a)
			if err != nil || u.Scheme != "https" || u.User != nil || !slices.Contains(hosts, u.Host) {
				t.Errorf("%s: %s", name, a)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d addresses", n)
	}
}

// squeeze makes every run of blanks one.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// An entry of scans alone says how many patients it has and for what.
func TestScansAlone(t *testing.T) {
	text := smallEntry[:strings.Index(smallEntry, "\nfiles:")+1] + smallEntry[strings.Index(smallEntry, "images:"):]
	whole := strings.Replace(text, "  obtain: ask\n", "  obtain: ask\n  patients: 3\n  role: test\n  repeats: {kind: scans, within_hours: 2, why: they were called back}\n", 1)
	e, err := Parse("small.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := e.Describe(&b); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"3 patients, 2 series, about 0.5 GB, role test", "at most 2 hours after the first (they were called back)", "scans by hand: ask"} {
		if !strings.Contains(squeeze(b.String()), s) {
			t.Errorf("the description does not say %q:\n%s", s, b.String())
		}
	}
	for key, wrong := range map[string]string{"images.role": strings.Replace(whole, "role: test", "role: any", 1), "images.patients": strings.Replace(whole, "patients: 3", "patients: 0", 1)} {
		if _, err := Parse("small.yaml", []byte(wrong)); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	dir := t.TempDir()
	var none *NotFoundError
	if _, _, err := Locate(e, dir); !errors.As(err, &none) || !slices.Equal(none.Missing, []string{"small/dicom"}) {
		t.Errorf("an empty folder: %v", err)
	}
	t.Setenv(MirrorVariable, "")
	t.Setenv("XDG_DATA_HOME", dir)
	if _, _, err := Locate(e, ""); err == nil || !strings.Contains(err.Error(), "type: hounsfield fetch small") {
		t.Errorf("nothing here: %v", err)
	}
	e.Images.Sources = nil
	if _, _, err := Locate(e, ""); err == nil || !strings.Contains(err.Error(), "; ask Your data folder is "+dir) {
		t.Errorf("nothing here, and no archive: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "small", "dicom"), 0o755); err != nil {
		t.Fatal(err)
	}
	if root, _, err := Locate(e, dir); root != dir || err != nil {
		t.Errorf("found in %q, error %v", root, err)
	}
}

// The rule of the interobserver cohort against the names in two of its structure sets: ten
// readings each, of which the reference is one, and nothing of the second tumour or of PET.
func TestInterobserverRule(t *testing.T) {
	e, err := Load("nsclc-radiomics-interobserver1")
	if err != nil {
		t.Fatal(err)
	}
	rule, err := e.Images.Repeats.ReaderRule()
	if err != nil {
		t.Fatal(err)
	}
	var drew []string
	for _, name := range []string{"treshold0,34", "suv2,5", "GTV-1auto-2", "GTV-1auto-4", "GTV-1auto-5", "GTV-1vis-2", "GTV-1vis-4", "GTV-1vis-5", "GTV-1vis-1",
		"GTV-1vis-3", "treshold-pr", "GTV-1auto-1", "GTV-1auto-3", "GTV-2vis-1", "GTV-2auto-5", "treshold-ln", "GTV-1", "GTV-1vis-12", "GTV-1vis-6"} {
		if reader := rule.Reader(name); reader != "" {
			drew = append(drew, reader)
		}
	}
	slices.Sort(drew)
	if want := []string{"auto-1", "auto-2", "auto-3", "auto-4", "auto-5", "vis-1", "vis-2", "vis-3", "vis-4", "vis-5"}; !slices.Equal(drew, want) {
		t.Errorf("readers %q", drew)
	}
	if got := rule.Reader(e.Images.ROI.Exact[0]); got != "vis-2" {
		t.Errorf("the reference is by %q", got)
	}
}

func TestLoadUnknown(t *testing.T) {
	_, err := Load("hosny-2018")
	if e := (*EntryError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), `did you mean "hosny2018"?`) || !strings.Contains(err.Error(), "idc-replication") {
		t.Errorf("got %v", err)
	}
}

// The files that the project's numbers come from are the ones listed.
func TestMirrorIsAsListed(t *testing.T) {
	dir := os.Getenv(MirrorVariable)
	if dir == "" {
		t.Skipf("no data folder: set %s to one", MirrorVariable)
	}
	// What only an archive has.
	fetched := map[string]bool{"nsclc-radiomics-genomics/Lung3.metadata.xls": true, "nsclc-radiomics-genomics/expression/GPL10379.annot.gz": true}
	for _, name := range Names() {
		e, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range e.Verify(dir) {
			if row.Status != Present && !fetched[row.Path] {
				t.Errorf("%s: %s is %s: %s", name, row.Path, row.Status, row.Detail)
			}
		}
		if !slices.ContainsFunc(e.Files, func(f File) bool { return !f.Optional }) {
			continue // scans and what archives list, which the mirror need not hold
		}
		if root, how, err := Locate(e, dir); err != nil || root != dir || how != "--mirror" {
			t.Errorf("%s is found in %q by %q (%v)", name, root, how, err)
		}
	}
}

const smallEntry = `name: small
title: a small data set
what: for tests
study: none
licence: none
terms: {commercial: unclear, redistribution: no}
other_licences:
  - {of: genes, licence: free, terms: {commercial: "yes", redistribution: "yes", note: name them}}
cite: [nobody]
sources:
  - {kind: geo, series: GSE1, files: [a.gz], folder: small/expression}
  - {kind: figshare, article: 7, folder: small/record}
files:
  - path: small/a.csv
    size: 3
    sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
    url: https://example.org/a.csv
    what: abc
tables:
  - file: small/a.csv
    cohort: C
    role: test
    rows: 1
    columns:
      patient_id: {header: id}
      survival_days: {header: death, else_dates: {start: ct, end: last, layout: 1/2/2006}}
images:
  folder: small/dicom
  modality: CT
  layout: any
  obtain: ask
  roi: {exact: [GTV-1], why: it is the tumour}
  series: 2
  gigabytes: 0.5
  counted: by us
  sources:
    - {kind: nbia, collections: [Small], modalities: [CT], manifests: [https://example.org/a.tcia]}
    - {kind: idc, collections: [small]}
`

func TestParse(t *testing.T) {
	e, err := Parse("small.yaml", []byte(smallEntry))
	if err != nil {
		t.Fatal(err)
	}
	if e.Terms != (Terms{Commercial: Unclear, Redistribution: No}) || e.OtherLicences[0].Terms.Commercial != Yes || e.Sources[1].Article != 7 || e.Images.Sources[0].Manifests == nil {
		t.Errorf("%+v", e)
	}
	if d := e.Tables[0].Columns["survival_days"].ElseDates; e.Files[0].Size != 3 || d == nil || d.Layout != "1/2/2006" {
		t.Errorf("%+v", e)
	}
	for _, test := range []struct {
		name, old, new string
		says           []string
	}{
		{"an unknown key", "licence: none", "licence: none\nlicense: none", []string{"license"}},
		{"an unknown key deep down", "rows: 1", "rows: 1\n    row: 2", []string{"row", "[24:"}},
		{"a misspelt column map", "{header: id}", "{heder: id}", []string{"heder"}},
		{"a key twice", "licence: none", "licence: none\nlicence: none", []string{"licence"}},
		{"another name", "name: small", "name: large", []string{"name", "large", "small"}},
		{"no title", "title: a small data set", "title: ' '", []string{"title", "missing"}},
		{"no citation", "cite: [nobody]", "cite: []", []string{"cite"}},
		{"a path that leads out", "path: small/a.csv", "path: ../a.csv", []string{"files[0].path", "../a.csv", "relative"}},
		{"an absolute path", "path: small/a.csv", "path: /a.csv", []string{"files[0].path"}},
		{"a path of another system", "path: small/a.csv", `path: small\a.csv`, []string{"files[0].path"}},
		{"no size", "size: 3", "size: 0", []string{"files[0].size"}},
		{"a size that is no number", "size: 3", "size: three", []string{"three"}},
		{"a cut hash", "20015ad", "20015", []string{"files[0].sha256", "64"}},
		{"an address without a lock", "https://", "http://", []string{"files[0].url", "https://"}},
		{"an address with a login", "https://example.org/a.csv", "https://me:secret@example.org/a.csv", []string{"files[0].url", "login"}},
		{"no address and no words", "url: https://example.org/a.csv", "url: ''", []string{"obtain", "small/a.csv"}},
		{"a file that is not listed", "file: small/a.csv", "file: small/b.csv", []string{"tables[0].file", "small/b.csv"}},
		{"an unknown role", "role: test", "role: validation", []string{"tables[0].role", "validation", "train, tune, test"}},
		{"no rows", "rows: 1", "rows: -1", []string{"tables[0].rows"}},
		{"no cohort", "cohort: C", "cohort: ''", []string{"tables[0].cohort"}},
		{"a header of an absent column", "{header: id}", "{header: id, absent: true}", []string{"patient_id", "absent"}},
		{"half a span", "end: last, ", "", []string{"else_dates", "layout"}},
		{"a link into nothing", "rows: 1", "rows: 1\n    link: nowhere", []string{"tables[0].link", "nowhere", "nsclc-radiomics"}},
		{"no contour", "exact: [GTV-1]", "exact: []", []string{"images.roi.exact"}},
		{"images outside", "folder: small/dicom", "folder: /", []string{"images.folder"}},
		{"images that nobody can get", "  obtain: ask\n", "", []string{"images.obtain"}},
		{"no study", "study: none", "study: ''", []string{"study", "missing"}},
		{"a long study", "study: none", "study: " + strings.Repeat("so ", 20), []string{"study", "59 characters", "at most 40"}},
		{"an unknown answer", "commercial: unclear", "commercial: perhaps", []string{"terms.commercial", "perhaps", "yes, no, unclear"}},
		{"terms that are not there", "terms: {commercial: unclear, redistribution: no}", "terms: {}", []string{"terms.commercial"}},
		{"a licence of nothing", "of: genes", "of: ''", []string{"other_licences[0].of"}},
		{"another licence without terms", "redistribution: \"yes\", note", "note", []string{"other_licences[0].terms.redistribution"}},
		{"no hash and no reason", "    sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n", "    verify: gzip\n", []string{"files[0].why"}},
		{"no hash and no rule", "    sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n", "", []string{"files[0].sha256", "gzip, size or none"}},
		{"a hash and a rule", "    size: 3\n", "    size: 3\n    verify: size\n", []string{"files[0].verify", "beside"}},
		{"an unknown rule", "    sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n", "    verify: crc\n    why: w\n", []string{"files[0].verify", "crc", "gzip, size, none"}},
		{"a size without one", "    size: 3\n    sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n", "    verify: size\n    why: w\n", []string{"files[0].size"}},
		{"scans among the files", "{kind: figshare, article: 7", "{kind: nbia, collections: [a]", []string{"sources[1].kind", "images.sources"}},
		{"a source without its number", "article: 7", "article: 0", []string{"sources[1].article"}},
		{"a series by another name", "series: GSE1", "series: GDS1", []string{"sources[0].series", "GDS1"}},
		{"a series without files", "files: [a.gz]", "files: []", []string{"sources[0].series"}},
		{"a file that leads out", "files: [a.gz]", "files: [../a.gz]", []string{"sources[0].files[0]"}},
		{"a source outside", "folder: small/record", "folder: ../record", []string{"sources[1].folder"}},
		{"a collection of genes", "files: [a.gz]", "files: [a.gz], collections: [a]", []string{"sources[0].collections"}},
		{"scans without a collection", "collections: [Small]", "collections: []", []string{"images.sources[0].collections"}},
		{"modalities of idc", "{kind: idc, collections: [small]}", "{kind: idc, collections: [small], modalities: [CT]}", []string{"images.sources[1].modalities"}},
		{"lists of idc", "{kind: idc, collections: [small]}", "{kind: idc, collections: [small], manifests: [https://example.org/a]}", []string{"images.sources[1].manifests", "with nbia"}},
		{"a list without a lock", "https://example.org/a.tcia", "http://example.org/a.tcia", []string{"images.sources[0].manifests[0]"}},
		{"an archive twice", "kind: idc", "kind: nbia", []string{"images.sources[1].kind", "twice"}},
		{"genes among the scans", "{kind: idc, collections: [small]}", "{kind: geo, series: GSE1, files: [a]}", []string{"images.sources[1].kind", "nbia, idc"}},
		{"a folder of its own", "{kind: idc, collections: [small]}", "{kind: idc, collections: [small], folder: a}", []string{"images.sources[1].folder"}},
		{"a number from nowhere", "  counted: by us\n", "", []string{"images.counted"}},
		{"less than nothing", "gigabytes: 0.5", "gigabytes: -1", []string{"images.patients"}},
		{"a contour and none", "exact: [GTV-1]", "exact: [GTV-1], none: nobody drew", []string{"images.roi.none"}},
		{"a role twice", "  obtain: ask\n", "  obtain: ask\n  role: test\n", []string{"images.role", "tables"}},
		{"repeats of no kind", "  obtain: ask\n", "  obtain: ask\n  repeats: {kind: visits, why: w}\n", []string{"images.repeats.kind", "visits", "scans, readers"}},
		{"repeats without a reason", "  obtain: ask\n", "  obtain: ask\n  repeats: {kind: scans}\n", []string{"images.repeats.why"}},
		{"scans with readers", "  obtain: ask\n", "  obtain: ask\n  repeats: {kind: scans, pattern: ^a$, why: w}\n", []string{"images.repeats.readers", "kind: readers"}},
		{"a time before the first", "  obtain: ask\n", "  obtain: ask\n  repeats: {kind: scans, within_hours: -1, why: w}\n", []string{"images.repeats.within_hours", "-1"}},
		{"readers unnamed", "  obtain: ask\n", "  obtain: ask\n  repeats: {kind: readers, why: w}\n", []string{"images.repeats.readers", "neither", "one of the two"}},
		{"a pattern that floats", "  obtain: ask\n", "  obtain: ask\n  repeats: {kind: readers, pattern: '(?P<reader>.)', why: w}\n", []string{"images.repeats.readers", "begin with ^"}},
		{"two entries", "    - {kind: idc, collections: [small]}\n", "    - {kind: idc, collections: [small]}\n---\nname: small\n", []string{"one entry"}},
		{"no YAML", "name: small", "name: [small", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(smallEntry, test.old, test.new, 1)
			if text == smallEntry {
				t.Fatal("the test changes nothing")
			}
			_, err := Parse("small.yaml", []byte(text))
			if e := (*EntryError)(nil); !errors.As(err, &e) {
				t.Fatalf("got %T (%v)", err, err)
			}
			for _, s := range append(test.says, "small.yaml") {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
	if _, err := Parse("small.yaml", nil); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(smallEntry))
	for _, name := range Names() {
		data, err := entries.ReadFile("entries/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? ? ?\n- : -"))
	f.Add([]byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse("small.yaml", data); err != nil && !errors.As(err, new(*EntryError)) {
			t.Fatalf("untyped error %T: %v", err, err)
		}
	})
}
