package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// badPath says what is wrong with a slash-separated path below the data folder; "" = nothing.
func badPath(p string) string {
	for part := range strings.SplitSeq(p, "/") {
		if problem := badName(part); problem != "" {
			return problem
		}
	}
	return ""
}

// badName says what is wrong with the name of a file, on any system that the folder may be carried
// to; "" = nothing.
func badName(name string) string {
	switch {
	case name == "":
		return "has an empty part"
	case name == "." || name == "..":
		return "leads to another folder"
	case strings.ContainsAny(name, `/\:`):
		return "has a slash, backslash or colon in a name"
	case strings.HasPrefix(name, "."):
		return "begins with a dot, which is kept for files on their way"
	case len(name) > 255:
		return "has a part that is longer than 255 bytes"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.TrimRight(name, ". ") != name || strings.TrimLeft(name, " ") != name:
		return "begins or ends with a blank, or ends with a dot"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) && r != ' ' }):
		return "has a character that cannot be printed"
	case devices[strings.ToUpper(strings.TrimRight(strings.SplitN(name, ".", 2)[0], " "))]:
		return "is the name of a device on Windows"
	}
	return ""
}

var devices = func() map[string]bool {
	m := map[string]bool{"CON": true, "PRN": true, "AUX": true, "NUL": true, "CONIN$": true, "CONOUT$": true}
	for _, port := range []string{"COM", "LPT"} {
		for _, n := range "0123456789¹²³" {
			m[port+string(n)] = true
		}
	}
	return m
}()

// beside is the path of a temporary file that goes with an item: hidden, in the same folder, and
// the same each time, so that a later run finds it.
func beside(p, ending string) string {
	dir, name := path.Split(p)
	if len(name) > 200 { // no room for the ending
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:])
	}
	return dir + "." + name + ending
}

// Endings of temporary names.
const (
	endPartial  = ".partial"      // what has arrived
	endSidecar  = ".partial.json" // what is known about it
	endUnpacked = ".unpacked"     // a folder that is being filled
	endFormer   = ".former"       // what is being replaced
)

// checkList refuses a list that cannot be carried out: paths that lead elsewhere, that are the
// same (also on a disk that does not tell upper from lower case), or that lie inside one another.
func checkList(source, dataset string, items []Item) error {
	bad := func(p, problem string, args ...any) error {
		return &ListError{Source: source, Path: p, Problem: fmt.Sprintf(problem, args...),
			Next: "the source has changed, or this is a fault of the program: please report it"}
	}
	seen := make(map[string]string, len(items))
	folders := make(map[string]string)
	taken := path.Join(dataset, JournalName)
	for _, it := range items {
		if p := badPath(it.Path); p != "" {
			return bad(it.Path, "the path %s", p)
		}
		fold := strings.ToLower(it.Path)
		if fold == strings.ToLower(taken) {
			return bad(it.Path, "this is the name of the journal")
		}
		if other, twice := seen[fold]; twice {
			return bad(it.Path, "it has the same name as %q", other)
		}
		seen[fold] = it.Path
		if it.Size < -1 || it.Files < 0 {
			return bad(it.Path, "it says %d bytes, %d files", it.Size, it.Files)
		}
		for dir := path.Dir(fold); dir != "."; dir = path.Dir(dir) {
			if _, known := folders[dir]; known {
				break // and so are those above it
			}
			folders[dir] = it.Path
		}
	}
	for fold, p := range seen {
		if inside, ok := folders[fold]; ok {
			return bad(p, "%q would lie inside it", inside)
		}
	}
	return nil
}
