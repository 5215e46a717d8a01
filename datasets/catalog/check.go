package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"hounsfield/datasets/dicom"
)

// complaint makes the error about one key of a file.
type complaint func(key, problem, allowed string) error

var (
	roles     = []string{"train", "tune", "test"}
	sha       = regexp.MustCompile(`^[0-9a-f]{64}$`)
	plain     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	accession = regexp.MustCompile(`^GSE[0-9]+$`)
)

const longestStudy = 40 // characters, of a column in a list

func (e Entry) check(file string) error {
	bad := func(key, problem, allowed string) error {
		return &EntryError{File: file, Key: key, Problem: problem, Allowed: allowed}
	}
	if !plain.MatchString(e.Name) {
		return bad("name", fmt.Sprintf("%q", e.Name), "letters, digits, - _ and . (64 at most), beginning with a letter or digit")
	}
	for _, field := range [][2]string{{"title", e.Title}, {"what", e.What}, {"study", e.Study}, {"licence", e.Licence}} {
		if strings.TrimSpace(field[1]) == "" {
			return bad(field[0], "is missing", "words")
		}
	}
	if n := utf8.RuneCountInString(e.Study); n > longestStudy || strings.ContainsRune(e.Study, '\n') {
		return bad("study", fmt.Sprintf("%d characters", n), fmt.Sprintf("one line of at most %d", longestStudy))
	}
	if err := e.Terms.check("terms", bad); err != nil {
		return err
	}
	for i, l := range e.OtherLicences {
		key := fmt.Sprintf("other_licences[%d]", i)
		switch {
		case strings.TrimSpace(l.Of) == "":
			return bad(key+".of", "is missing", "which part it is of")
		case strings.TrimSpace(l.Licence) == "":
			return bad(key+".licence", "is missing", "words")
		}
		if err := l.Terms.check(key+".terms", bad); err != nil {
			return err
		}
	}
	if len(e.Cite) == 0 {
		return bad("cite", "is missing", "at least one publication")
	}
	if len(e.Files) == 0 && len(e.Sources) == 0 && e.Images == nil {
		return bad("files", "is missing", "at least one file, a source, or images")
	}
	paths := make(map[string]bool)
	for i, f := range e.Files {
		key := fmt.Sprintf("files[%d]", i)
		if err := f.check(key, bad); err != nil {
			return err
		}
		switch {
		case paths[f.Path]:
			return bad(key+".path", fmt.Sprintf("%q is listed twice", f.Path), "each file once")
		case f.URL == "" && e.Obtain == "":
			return bad("obtain", "is missing though "+f.Path+" has no url", "how a person gets the file")
		}
		paths[f.Path] = true
	}
	for i, s := range e.Sources {
		key := fmt.Sprintf("sources[%d]", i)
		switch {
		case s.Kind != Figshare && s.Kind != GEO:
			return bad(key+".kind", fmt.Sprintf("%q", s.Kind), Figshare+", "+GEO+" (scans stand under images.sources)")
		case !local(s.Folder):
			return bad(key+".folder", fmt.Sprintf("%q", s.Folder), "a relative path with / between its parts")
		}
		if err := s.check(key, bad); err != nil {
			return err
		}
	}
	for i, t := range e.Tables {
		if err := t.check(fmt.Sprintf("tables[%d]", i), paths, bad); err != nil {
			return err
		}
	}
	return e.checkImages(bad)
}

func (t Terms) check(key string, bad complaint) error {
	for _, a := range []struct {
		key    string
		answer Answer
	}{{".commercial", t.Commercial}, {".redistribution", t.Redistribution}} {
		if !slices.Contains(answers, string(a.answer)) {
			return bad(key+a.key, fmt.Sprintf("%q", a.answer), strings.Join(answers, ", "))
		}
	}
	return nil
}

// local says whether a path stays below the data folder.
func local(path string) bool {
	return fs.ValidPath(path) && path != "." && !strings.ContainsRune(path, '\\')
}

// public says whether an address is encrypted and anybody's.
func public(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

func (f File) check(key string, bad complaint) error {
	switch {
	case !local(f.Path):
		return bad(key+".path", fmt.Sprintf("%q leads outside the data folder or is no path", f.Path), "a relative path with / between its parts")
	case f.Verify == "" && !sha.MatchString(f.SHA256):
		return bad(key+".sha256", fmt.Sprintf("%q", f.SHA256), "64 lower-case hexadecimal digits; or verify: gzip, size or none, and why")
	case f.Verify != "" && f.SHA256 != "":
		return bad(key+".verify", fmt.Sprintf("%q stands beside a sha256", f.Verify), "one of the two")
	case f.Verify != "" && f.Verify != VerifyGzip && f.Verify != VerifySize && f.Verify != VerifyNone:
		return bad(key+".verify", fmt.Sprintf("%q", f.Verify), strings.Join([]string{VerifyGzip, VerifySize, VerifyNone}, ", "))
	case f.Verify != "" && strings.TrimSpace(f.Why) == "":
		return bad(key+".why", "is missing", "why there is no sha256")
	case f.Size < 0 || f.Size == 0 && (f.Verify == "" || f.Verify == VerifySize):
		return bad(key+".size", fmt.Sprintf("%d bytes", f.Size), "the file's size in bytes")
	case f.URL != "" && !public(f.URL):
		return bad(key+".url", fmt.Sprintf("%q", f.URL), "an address that begins with https:// and holds no login")
	}
	return nil
}

// check looks at the keys that each kind of source has.
func (s Source) check(key string, bad complaint) error {
	scans := s.Kind == NBIA || s.Kind == IDC
	switch {
	case scans && len(s.Collections) == 0:
		return bad(key+".collections", "is missing", "the archive's names")
	case !scans && len(s.Collections) > 0:
		return bad(key+".collections", "stands there with kind: "+s.Kind, "collections with "+NBIA+" and "+IDC)
	case s.Kind != NBIA && len(s.Manifests) > 0:
		return bad(key+".manifests", "stands there with kind: "+s.Kind, "manifests with "+NBIA)
	case s.Kind != NBIA && len(s.Modalities) > 0:
		return bad(key+".modalities", "stands there with kind: "+s.Kind, "modalities with "+NBIA)
	case (s.Kind == Figshare) != (s.Article > 0):
		return bad(key+".article", fmt.Sprint(s.Article), "the article's number, with kind: "+Figshare)
	case (s.Kind == GEO) != (s.Series != "" && len(s.Files) > 0):
		return bad(key+".series", fmt.Sprintf("%q with %d files", s.Series, len(s.Files)), "an accession and names of files, with kind: "+GEO)
	case s.Series != "" && !accession.MatchString(s.Series):
		return bad(key+".series", fmt.Sprintf("%q", s.Series), "GSE and a number")
	}
	for i, f := range s.Files {
		if !local(f) || strings.ContainsRune(f, '/') {
			return bad(fmt.Sprintf("%s.files[%d]", key, i), fmt.Sprintf("%q", f), "a file's name")
		}
	}
	for i, m := range s.Manifests {
		if !public(m) {
			return bad(fmt.Sprintf("%s.manifests[%d]", key, i), fmt.Sprintf("%q", m), "an address that begins with https:// and holds no login")
		}
	}
	return nil
}

func (t Table) check(key string, paths map[string]bool, bad complaint) error {
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
	return nil
}

func (e Entry) checkImages(bad complaint) error {
	im := e.Images
	if im == nil {
		return nil
	}
	switch {
	case len(im.ROI.Exact) == 0 && im.ROI.None == "":
		return bad("images.roi.exact", "is missing", "the contour's names in order of preference; or none: why there is no contour")
	case len(im.ROI.Exact) > 0 && im.ROI.None != "":
		return bad("images.roi.none", "stands beside names", "one of the two")
	case !local(im.Folder):
		return bad("images.folder", fmt.Sprintf("%q", im.Folder), "a relative path with / between its parts")
	case im.Obtain == "":
		return bad("images.obtain", "is missing", "how a person gets the images")
	case len(e.Tables) > 0 && im.Role != "":
		return bad("images.role", "stands there though the tables say it", "a role only where there are no tables")
	case len(e.Tables) == 0 && !slices.Contains(roles, im.Role):
		return bad("images.role", fmt.Sprintf("%q", im.Role), strings.Join(roles, ", "))
	case len(e.Tables) == 0 && im.Patients < 1:
		return bad("images.patients", fmt.Sprint(im.Patients), "how many patients there are")
	case im.Patients < 0 || im.Series < 0 || im.Gigabytes < 0:
		return bad("images.patients", fmt.Sprintf("%d patients, %d series, %g GB", im.Patients, im.Series, im.Gigabytes), "numbers above 0, or none where they are unknown")
	case (im.Series > 0 || im.Gigabytes > 0) && strings.TrimSpace(im.Counted) == "":
		return bad("images.counted", "is missing", "who counted series and bytes, or that they are assumed")
	}
	for i, s := range im.Sources {
		key := fmt.Sprintf("images.sources[%d]", i)
		switch {
		case s.Kind != NBIA && s.Kind != IDC:
			return bad(key+".kind", fmt.Sprintf("%q", s.Kind), NBIA+", "+IDC)
		case slices.ContainsFunc(im.Sources[:i], func(o Source) bool { return o.Kind == s.Kind }):
			return bad(key+".kind", fmt.Sprintf("%q is there twice", s.Kind), "each kind once; several collections under one")
		case s.Folder != "":
			return bad(key+".folder", fmt.Sprintf("%q", s.Folder), "none: it is images.folder")
		}
		if err := s.check(key, bad); err != nil {
			return err
		}
	}
	return im.Repeats.check(bad)
}

func (r *Repeats) check(bad complaint) error {
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
