package prepare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// How patients, files, UIDs and readers of the input are called in outputs.

// patientName is what a patient is called in outputs; wanted is false for one that is not
// to be prepared.
func (o Options) patientName(id string) (name string, wanted bool) {
	name, wanted = id, true
	if o.Patients != nil {
		name, wanted = o.Patients[id]
	}
	if o.Pseudonyms != nil {
		name = o.Pseudonyms.Patient(name)
	}
	return name, wanted
}

// inputName is what a file of the input is called in outputs: its path below the input
// folder with slashes, or file- and 16 digits that only the holder of the key can tell.
func (o Options) inputName(path string) string {
	if path == "" {
		return ""
	}
	path = relative(o.base(), path)
	if o.Pseudonyms != nil {
		return "file-" + o.Pseudonyms.Text("file", path)[:16]
	}
	return path
}

func (o Options) uidName(uid string) string {
	if o.Pseudonyms == nil || uid == "" {
		return uid
	}
	return o.Pseudonyms.UID(uid)
}

// readerName is what a reader is called in outputs. Names that stand in the rule are
// settings; those that a pattern finds, or a list of pairs has, were typed by somebody.
func (o Options) readerName(reader string) string {
	if o.Pseudonyms == nil || reader == "" || o.Pairs == nil && o.Repeats.Readers.Readers() != nil {
		return reader
	}
	return o.Pseudonyms.Text("reader", reader)[:8]
}

// base is the folder below which paths are written: Root, or where that is empty the
// deepest folder that holds the files of all pairs.
func (o Options) base() string {
	if o.Root != "" || len(o.Pairs) == 0 {
		return o.Root
	}
	var common []string
	first := true
	for _, p := range o.Pairs {
		for _, file := range []string{p.CT, p.Mask} {
			if file == "" {
				continue
			}
			parts := strings.Split(filepath.Dir(filepath.Clean(file)), string(filepath.Separator))
			if first {
				common, first = parts, false
			}
			n := 0
			for n < min(len(common), len(parts)) && common[n] == parts[n] {
				n++
			}
			common = common[:n]
		}
	}
	folder := strings.Join(common, string(filepath.Separator))
	if folder == "" && !first && len(o.Pairs) > 0 && filepath.IsAbs(o.Pairs[0].CT) {
		return string(filepath.Separator)
	}
	return folder
}

// wording is how errors speak of a patient's files in outputs.
func (o Options) wording(patient subject) wording {
	as := wording{
		patient: func(id string) string {
			if id == "" {
				return ""
			}
			return patient.id
		},
		file: o.inputName, uid: o.uidName, reader: o.readerName,
		typed: func(s string) string { return s }, free: func(s string) string { return s },
	}
	if o.Pseudonyms != nil {
		as.typed = alike(withheld).typed
	}
	return as
}

// withhold takes the index away that holds an id of which all slices of a scan, not the heads
// that were looked at first, said that it must not be written; the patient's folder, where an
// earlier run has made one, is nobody's any more.
func (o Options) withhold(in *input, mine []subject) error {
	late := false
	for _, s := range mine {
		if was := in.subjects[s.number-1].id; was != s.id {
			delete(in.folders, was)
			late = true
		}
	}
	if index := o.indexFile(); late && index != "" && within(o.Out, index) {
		if err := os.Remove(index); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &WriteError{Err: err}
		}
	}
	return nil
}

var pseudonymous = regexp.MustCompile(`^P-[A-Z2-7]{16}$`)

// noOriginals refuses, with pseudonyms, a folder in which an earlier run has left patients
// under other names, and takes away its index.
func (o Options) noOriginals(in *input) error {
	if o.Pseudonyms == nil {
		return nil
	}
	others, err := o.gone(in)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, pseudonymous.MatchString)
	if len(others) > 0 {
		return &OptionError{"Out", o.Out, fmt.Sprintf("with pseudonyms, a folder without patients by their own ids; this one holds %d: name another, or empty it", len(others))}
	}
	if err := os.Remove(filepath.Join(o.Out, indexFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &WriteError{Err: err}
	}
	return nil
}
