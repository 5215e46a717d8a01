package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Mirror is a source that needs no network: a copy of a data folder, in the same layout. It gives
// the files, with what is known of them, and all that lies below the folders.
//
// Where the copy was made by this program, its journal says what lies below the folders, and every
// file is held against the checksum there; a copy that is not complete is refused. Without a
// journal, as on a disk that somebody has filled by hand, every file that is not hidden is taken as
// it is, and its checksum written down.
func Mirror(dir, dataset string, files []Item, folders []string) Source {
	return &mirror{dir: dir, dataset: dataset, files: files, folders: folders}
}

type mirror struct {
	dir, dataset string
	files        []Item
	folders      []string
}

func (m *mirror) Name() string { return "mirror" }

func (m *mirror) at(p string) string { return filepath.Join(m.dir, filepath.FromSlash(p)) }

func (m *mirror) bad(p, problem, next string, err error) error {
	return &ListError{Source: "mirror " + m.dir, Path: p, Problem: problem, Next: next, Err: err}
}

const lookAtMirror = "look whether the mirror is whole and has the same layout"

// List gives the files as they were named, then those below the folders: in the order of the
// journal, else of their names.
func (m *mirror) List(ctx context.Context) ([]Item, error) {
	if !isFolder(m.dir) {
		return nil, m.bad("", "there is no such folder", "name a copy of a data folder with --mirror DIR", nil)
	}
	k, err := readJournal(m.dir, m.dataset)
	if err != nil {
		return nil, err
	}
	if len(k.items) > 0 && !k.complete {
		return nil, m.bad("", fmt.Sprintf("it was itself not fetched to the end: %d items of %s are there", len(k.items), m.dataset),
			"go on there with hounsfield fetch "+m.dataset, nil)
	}
	var out []Item
	seen := make(map[string]bool)
	take := func(it Item) {
		if !seen[it.Path] {
			seen[it.Path] = true
			out = append(out, it)
		}
	}
	for _, it := range m.files {
		it.From = m.at(it.Path)
		info, err := os.Stat(it.From)
		if err != nil {
			return nil, m.bad(it.Path, "it is not there", lookAtMirror, err)
		}
		if f, ok := k.files[it.Path]; ok && it.SHA256 == "" {
			it.SHA256, it.Size = f.SHA256, f.Bytes
		}
		if it.Size < 0 {
			it.Size = info.Size()
		}
		take(it)
	}
	for _, folder := range m.folders {
		if p := badPath(folder); p != "" {
			return nil, m.bad(folder, "the path "+p, "name a folder below the data folder", nil)
		}
		below := m.journalled(k, folder)
		if len(below) == 0 {
			if below, err = m.walk(ctx, folder); err != nil {
				return nil, err
			}
		}
		if len(below) == 0 {
			return nil, m.bad(folder, "it holds no file", lookAtMirror, nil)
		}
		for _, it := range below {
			take(it)
		}
	}
	return out, nil
}

// journalled are the files below a folder that the mirror's journal knows.
func (m *mirror) journalled(k *known, folder string) []Item {
	var out []Item
	for _, p := range k.order {
		r := k.items[p]
		for _, f := range r.all() {
			if !strings.HasPrefix(f.Name, folder+"/") {
				continue
			}
			it := Item{Path: f.Name, From: m.at(f.Name), Size: f.Bytes, SHA256: f.SHA256, Version: r.Version,
				Patient: r.Patient, Modality: r.Modality, Licence: r.Licence}
			if !f.Beside {
				it.SeriesUID = r.SeriesUID
			}
			out = append(out, it)
		}
	}
	return out
}

// walk lists what lies below a folder.
func (m *mirror) walk(ctx context.Context, folder string) ([]Item, error) {
	var out []Item
	root := m.at(folder)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), "."): // what a system or a stopped copy has left
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		info, err := os.Stat(name) // through a link, as in a store of files by their checksum
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return notPlain(name)
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		out = append(out, Item{Path: path.Join(folder, filepath.ToSlash(rel)), From: name, Size: info.Size()})
		return nil
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, m.bad(folder, "it cannot be listed", lookAtMirror, err)
	}
	return out, nil
}

func notPlain(name string) error {
	return &fs.PathError{Op: "copy", Path: name, Err: errors.New("it is no plain file")}
}

// Open reads a file of the mirror. What it can be resumed by is its length and time of change.
func (m *mirror) Open(_ context.Context, item Item, offset int64, etag string) (*Stream, error) {
	f, err := os.Open(m.at(item.Path))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notPlain(f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	now := fmt.Sprintf("%d bytes of %s", info.Size(), info.ModTime().UTC().Format("2006-01-02T15:04:05.999999999Z"))
	if etag != "" && etag != now || offset > info.Size() {
		offset = 0
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return &Stream{Body: f, Offset: offset, Size: info.Size(), ETag: now}, nil
}
