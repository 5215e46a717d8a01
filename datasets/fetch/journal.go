package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// JournalName is the file, in a folder of the data set's name below the data folder, that says
// what was fetched: JSON Lines, a record a line, appended and never rewritten. In pandas:
//
//	pd.read_json("nsclc-radiomics/fetched.jsonl", lines=True).query("record == 'item'")
//
// Of several records of one path the last counts.
const JournalName = "fetched.jsonl"

const lockName = ".fetch.lock"

// Kinds of records.
const (
	recordBegun    = "begun"    // a run: source, licence, who accepted it
	recordItem     = "item"     // an item that is here
	recordComplete = "complete" // all that the source listed at the last "begun" is here
)

// record is a line of the journal.
type record struct {
	Record  string    `json:"record"`
	When    time.Time `json:"when"`
	Dataset string    `json:"dataset,omitempty"`
	Source  string    `json:"source,omitempty"`

	Licence      string    `json:"licence,omitempty"`      // of a run: the text that was accepted; of an item: what the source says of it
	AcceptedBy   string    `json:"accepted_by,omitempty"`  // the user's name on the machine
	AcceptedHow  string    `json:"accepted_how,omitempty"` // in words
	AcceptedWhen time.Time `json:"accepted_when,omitzero"` //
	Items        int       `json:"items,omitempty"`        // that the source listed
	Path         string    `json:"path,omitempty"`         // below the data folder
	Bytes        int64     `json:"bytes,omitempty"`        // of the file, or of the series' files (without those beside)
	SHA256       string    `json:"sha256,omitempty"`       // of the file as it lies here; of a series, of the archive that it came in
	MD5          string    `json:"md5,omitempty"`          // where the source lists it
	From         string    `json:"from,omitempty"`         // without credentials
	Version      string    `json:"version,omitempty"`      //
	SeriesUID    string    `json:"series_uid,omitempty"`   //
	Patient      string    `json:"patient,omitempty"`      //
	Modality     string    `json:"modality,omitempty"`     //
	Found        bool      `json:"found,omitempty"`        // it was here already, and its checksum is right
	Archive      bool      `json:"archive,omitempty"`      // path is a folder
	Files        []member  `json:"files,omitempty"`        // of a series
}

// member is a file of a series.
type member struct {
	Name   string `json:"name"` // below the series' folder
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Beside bool   `json:"beside,omitempty"` // a licence text or list of checksums, not a file of the series
}

// known is what a journal says.
type known struct {
	file     string
	items    map[string]record // by path
	order    []string          // paths as they came first
	files    map[string]member // every file by its path, those of series included; Name is empty
	below    map[string][]string
	begun    []record
	complete bool  // nothing was missing after the last run
	whole    int64 // bytes of the file up to the last whole line
	size     int64 // of the file; larger where the last line was torn
}

func journalFile(dest, dataset string) string { return filepath.Join(dest, dataset, JournalName) }

// readJournal reads what there is; no file is an empty journal. A torn last line is passed over:
// the process that wrote it was killed, and what it was about is found again without it.
func readJournal(dest, dataset string) (*known, error) {
	k := &known{file: journalFile(dest, dataset), items: make(map[string]record), files: make(map[string]member)}
	text, err := os.ReadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, &JournalError{File: k.file, Problem: "cannot be read", Next: "let this user read it", Err: err}
	}
	k.size = int64(len(text))
	for n := 1; len(text) > 0; n++ {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		if !ended {
			break // torn
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			if len(rest) == 0 {
				break // torn by a failing machine: the end of the line was kept, not all before it
			}
			return nil, &JournalError{File: k.file, Line: n, Problem: "is no record", Err: err,
				Next: "take that line out with an editor; what it was about is then looked at anew"}
		}
		if problem := k.add(r); problem != "" {
			return nil, &JournalError{File: k.file, Line: n, Problem: problem,
				Next: "if a newer version of this program wrote it, use that; else take that line out with an editor"}
		}
		k.whole += int64(len(line)) + 1
		text = rest
	}
	return k, nil
}

func (k *known) add(r record) (problem string) {
	switch r.Record {
	case recordBegun:
		k.begun, k.complete = append(k.begun, r), false
		return ""
	case recordComplete:
		k.complete = true
		return ""
	case recordItem:
	default:
		return fmt.Sprintf("there is no record of the kind %q", r.Record)
	}
	if p := badPath(r.Path); p != "" {
		return fmt.Sprintf("the path %q %s", r.Path, p)
	}
	for _, m := range r.Files {
		if p := badPath(m.Name); p != "" {
			return fmt.Sprintf("the file %q %s", m.Name, p)
		}
	}
	if old, ok := k.items[r.Path]; ok {
		for _, f := range old.all() {
			delete(k.files, f.Name)
		}
	} else {
		k.order = append(k.order, r.Path)
		k.below = nil
	}
	k.items[r.Path] = r
	for _, f := range r.all() {
		k.files[f.Name] = member{Bytes: f.Bytes, SHA256: f.SHA256, Beside: f.Beside}
	}
	return ""
}

// all are the files of an item, by their paths below the data folder.
func (r record) all() []member {
	if !r.Archive {
		return []member{{Name: r.Path, Bytes: r.Bytes, SHA256: r.SHA256}}
	}
	out := make([]member, len(r.Files))
	for i, m := range r.Files {
		out[i] = member{Name: path.Join(r.Path, m.Name), Bytes: m.Bytes, SHA256: m.SHA256, Beside: m.Beside}
	}
	return out
}

// find gives the record of an item: its own; that of the series which its file belongs to; or, for a
// series whose files were fetched one by one, one made of theirs. A data set may be fetched from one
// archive and gone on with from another.
func (k *known) find(item Item) (record, bool) {
	if r, ok := k.items[item.Path]; ok && r.Archive == item.Archive {
		return r, true
	}
	if !item.Archive {
		f, ok := k.files[item.Path]
		if !ok {
			return record{}, false
		}
		return record{Record: recordItem, Path: item.Path, Bytes: f.Bytes, SHA256: f.SHA256}, true
	}
	if k.below == nil {
		k.below = make(map[string][]string)
		for _, p := range k.order {
			if r := k.items[p]; !r.Archive {
				k.below[path.Dir(p)] = append(k.below[path.Dir(p)], p)
			}
		}
	}
	made := record{Record: recordItem, Path: item.Path, Archive: true}
	for _, p := range k.below[item.Path] {
		r := k.items[p]
		made.Files = append(made.Files, member{Name: path.Base(p), Bytes: r.Bytes, SHA256: r.SHA256})
		made.Bytes += r.Bytes
	}
	return made, item.Files > 0 && len(made.Files) == item.Files
}

// acceptance is the last one of this licence text.
func (k *known) acceptance(licence string) (Acceptance, bool) {
	for i := len(k.begun) - 1; i >= 0; i-- {
		if r := k.begun[i]; r.Licence == licence && r.AcceptedBy != "" {
			return Acceptance{Licence: r.Licence, By: r.AcceptedBy, How: r.AcceptedHow, When: r.AcceptedWhen}, true
		}
	}
	return Acceptance{}, false
}

// Accepted looks into the journal for an acceptance of exactly this licence text. Errors:
// *JournalError.
func Accepted(dest, dataset, licence string) (Acceptance, bool, error) {
	if p := badPath(dataset); p != "" || strings.Contains(dataset, "/") {
		return Acceptance{}, false, &ListError{Source: dataset, Problem: "this is no name of a data set"}
	}
	k, err := readJournal(dest, dataset)
	if err != nil {
		return Acceptance{}, false, err
	}
	a, ok := k.acceptance(licence)
	return a, ok, nil
}

// journal is one that is being written. The caller holds the data set's lock.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

// openJournal opens the journal for more records, and cuts a torn last line.
func openJournal(k *known) (*journal, error) {
	bad := func(err error) error {
		return &JournalError{File: k.file, Problem: "cannot be written", Next: "let this user write it, or name another folder with --dest", Err: err}
	}
	f, err := os.OpenFile(k.file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, bad(err)
	}
	if k.size > k.whole {
		err = f.Truncate(k.whole)
	}
	if err == nil {
		_, err = f.Seek(k.whole, 0)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(k.file))
	}
	if err != nil {
		f.Close()
		return nil, bad(err)
	}
	return &journal{file: f}, nil
}

// write appends one record and has the disk keep it. One that fails is taken back as far as
// possible, as a later one must not follow on its half.
func (j *journal) write(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	at, err := j.file.Seek(0, 1)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		return nil
	}
	if cut := j.file.Truncate(at); cut == nil {
		_, _ = j.file.Seek(at, 0) // fails only when the file is closed
	}
	return &localError{&JournalError{File: j.file.Name(), Problem: "cannot be written", Next: "make room on the disk, then type the command again", Err: err}}
}

func (j *journal) Close() error { return j.file.Close() }
