package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// MirrorVariable names the environment variable that holds a mirror's folder.
const MirrorVariable = "HOUNSFIELD_MIRROR"

// DataDir is the folder Fetch fills by default: $XDG_DATA_HOME/hounsfield, or
// ~/.local/share/hounsfield.
func DataDir() (string, error) {
	// The XDG specification says to ignore a relative path.
	if base := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "hounsfield"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the data folder: %w; set XDG_DATA_HOME to an absolute path", err)
	}
	return filepath.Join(home, ".local", "share", "hounsfield"), nil
}

// NotFoundError is a data set whose files are not where they were looked for.
type NotFoundError struct {
	Entry   string
	Root    string   // the folder looked into
	How     string   // why that one
	Missing []string // paths under Root
	Next    string   // what to type
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("data set %s is not whole in %s (%s): %s not there; %s",
		e.Entry, e.Root, e.How, strings.Join(e.Missing, ", "), e.Next)
}

// Locate finds the data folder that holds the entry's files: the mirror given on
// the command line, else the one in HOUNSFIELD_MIRROR, else DataDir. The first of
// them that is named is the one: a mirror that lacks a file is an error, never
// passed over. how says in words which it was. Files are looked for, not hashed
// (Verify does that); optional ones are not asked for. Of an entry without files the
// folder of its images is looked for. Error: *NotFoundError.
func Locate(e Entry, mirror string) (root, how string, err error) {
	fetch := fmt.Sprintf("type: hounsfield fetch %s", e.Name)
	obtain, scans := e.Obtain, len(e.Files) == 0
	next := "give the folder that holds "
	if scans {
		obtain = e.Images.Obtain
		next += e.Images.Folder
	} else {
		next += e.Files[0].Path
	}
	switch env := os.Getenv(MirrorVariable); {
	case mirror != "":
		root, how = mirror, "--mirror"
	case env != "":
		root, how = env, "the environment variable "+MirrorVariable
		next += ", or unset " + MirrorVariable
	default:
		if root, err = DataDir(); err != nil {
			return "", "", err
		}
		how = "where hounsfield fetch puts files"
		next = fetch + ", or give a folder that has them with --mirror DIR"
	}
	var missing []string
	byHand := false
	for _, f := range e.Files {
		if f.Optional {
			continue
		}
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(f.Path))); err != nil || !info.Mode().IsRegular() {
			missing = append(missing, f.Path)
			byHand = byHand || f.URL == ""
		}
	}
	if scans {
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(e.Images.Folder))); err != nil || !info.IsDir() {
			missing, byHand = []string{e.Images.Folder}, true
		}
	}
	if missing == nil {
		return root, how, nil
	}
	if byHand && mirror == "" {
		next = strings.TrimSpace(obtain) + " Your data folder is " + root
	}
	return "", "", &NotFoundError{Entry: e.Name, Root: root, How: how, Missing: missing, Next: next}
}
