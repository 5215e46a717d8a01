package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// MirrorVariable names the environment variable that holds a mirror's folder.
const MirrorVariable = "HOUNSFIELD_MIRROR"

// DataDir is the folder that is filled by default: $XDG_DATA_HOME/hounsfield, or
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

// Where is the data folder that should hold the entry's files, whether it does or not: the
// mirror given on the command line, else the folder of the entry's own YAML file if it was
// loaded from one, else the one in HOUNSFIELD_MIRROR, else DataDir. how says in words which
// it is.
func Where(e Entry, mirror string) (root, how string, err error) {
	switch env := os.Getenv(MirrorVariable); {
	case mirror != "":
		return mirror, "--mirror", nil
	case e.root != "":
		return e.root, "beside its YAML file", nil
	case env != "":
		return env, "the environment variable " + MirrorVariable, nil
	}
	root, err = DataDir()
	return root, "where hounsfield fetch puts files", err
}

// Locate finds the data folder that holds the entry's files, by the rule of Where: a folder
// that is named and lacks a file is an error, never passed over. Files are looked for, not
// hashed (Verify does that); optional ones are not asked for. Of an entry without files the
// folder of its images or sources is looked for. Error: *NotFoundError.
func Locate(e Entry, mirror string) (root, how string, err error) {
	if root, how, err = Where(e, mirror); err != nil {
		return "", "", err
	}
	var missing []string
	byHand, required := false, 0
	for _, f := range e.Files {
		if f.Optional {
			continue
		}
		required++
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(f.Path))); err != nil || !info.Mode().IsRegular() {
			missing = append(missing, f.Path)
			byHand = byHand || f.URL == ""
		}
	}
	folder := e.folder()
	if required == 0 && folder != "" {
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(folder))); err != nil || !info.IsDir() {
			missing = []string{folder}
			byHand = e.Images != nil && len(e.Images.Sources) == 0
		}
	}
	if missing == nil {
		return root, how, nil
	}
	next := "type: hounsfield fetch " + e.Name
	switch {
	case e.root != "" && mirror == "":
		next = strings.TrimSpace(e.Obtain)
		if next == "" {
			next = "put it there, or give the folder that has it with --mirror DIR"
		}
	case mirror == "" && byHand:
		next = e.byHand() + " Your data folder is " + root
	case mirror == "" && os.Getenv(MirrorVariable) == "":
		next += ", or give a folder that has it with --mirror DIR"
	default:
		next = "give the folder that holds " + missing[0]
		if mirror == "" {
			next += ", or unset " + MirrorVariable
		}
	}
	return "", "", &NotFoundError{Entry: e.Name, Root: root, How: how, Missing: missing, Next: next}
}

// folder is the one that an entry without required files fills: of its scans, else of its
// first source; empty = none.
func (e Entry) folder() string {
	switch {
	case e.Images != nil:
		return e.Images.Folder
	case len(e.Sources) > 0:
		return e.Sources[0].Folder
	}
	return ""
}

// byHand says how a person gets what has no address.
func (e Entry) byHand() string {
	if e.Obtain == "" && e.Images != nil {
		return strings.TrimSpace(e.Images.Obtain)
	}
	return strings.TrimSpace(e.Obtain)
}

// Home is the folder that fetch fills with the entry's files by default: that of its YAML
// file if it was loaded from one, else DataDir.
func (e Entry) Home() (string, error) {
	if e.root != "" {
		return e.root, nil
	}
	return DataDir()
}
