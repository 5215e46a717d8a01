package fetch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Status of a file that the journal knows.
type Status string

// A file is as it was fetched, not there, or there with other bytes.
const (
	Present  Status = "present"
	Missing  Status = "missing"
	Modified Status = "changed"
)

// Checked is the state of a file that the journal knows.
type Checked struct {
	Path   string // below the data folder
	Status Status
	Detail string // what differs, empty when present
}

// Verify hashes every file of the journal again: one row a file, in the order in which they were
// fetched; none where there is no journal. Progress is told of bytes and files. Errors:
// *JournalError, a file that cannot be read, ctx's.
func Verify(ctx context.Context, dest, dataset string, progress func(Event)) ([]Checked, error) {
	if p := badPath(dataset); p != "" || strings.Contains(dataset, "/") {
		return nil, &ListError{Source: dataset, Problem: "this is no name of a data set"}
	}
	k, err := readJournal(dest, dataset)
	if err != nil {
		return nil, err
	}
	var files []member
	var total int64
	for _, p := range k.order {
		for _, m := range k.items[p].all() {
			files, total = append(files, m), total+m.Bytes
		}
	}
	g := newProgress(progress, Plan{})
	g.e.Total, g.e.Of = total, len(files)
	rows := make([]Checked, len(files))
	for i, m := range files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rows[i] = Checked{Path: m.Name, Status: Present}
		path := filepath.Join(dest, filepath.FromSlash(m.Name))
		h, err := hashFile(path, false)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			rows[i].Status, rows[i].Detail = Missing, "it is not there"
		case err != nil && isFolder(path):
			rows[i].Status, rows[i].Detail = Modified, "it is a folder now"
		case err != nil:
			return nil, cannotRead(path, err)
		default:
			if err := compareFile(m, h.n, h.sha256()); err != nil {
				rows[i].Status, rows[i].Detail = Modified, err.Error()
			}
		}
		g.line(m.Bytes)
		g.at(m.Name, m.Bytes)
		g.file()
	}
	g.end()
	return rows, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
