package catalog

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Status of a file under a data folder.
type Status string

// A file is as listed, not there, or there with other bytes.
const (
	Present Status = "present"
	Missing Status = "missing"
	Changed Status = "changed"
)

// Row is one line of a verification report.
type Row struct {
	Path   string // as in the entry
	Status Status
	// Detail is what differs; of a file that is present, what could not be checked.
	Detail string
}

// Verify reads the entry's files under a data folder and compares them with what is known
// of them: one row per file, in the entry's order.
func (e Entry) Verify(dir string) []Row {
	rows := make([]Row, len(e.Files))
	for i, f := range e.Files {
		rows[i] = Row{Path: f.Path, Status: Present}
		switch err := f.verify(filepath.Join(dir, filepath.FromSlash(f.Path))); {
		case errors.Is(err, os.ErrNotExist):
			rows[i].Status, rows[i].Detail = Missing, "it is not there"
		case err != nil:
			rows[i].Status, rows[i].Detail = Changed, err.Error()
		case f.Verify == VerifyNone:
			rows[i].Detail = "nobody has published a checksum: that it is whole cannot be told"
		case f.Verify == VerifySize:
			rows[i].Detail = "nobody has published a checksum: only its size is right"
		case f.Verify == VerifyGzip:
			rows[i].Detail = "nobody has published a checksum: it is whole by its own"
		}
	}
	return rows
}

func (f File) verify(path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no file")
	case f.Size > 0 && info.Size() != f.Size:
		return fmt.Errorf("it has %d bytes and should have %d", info.Size(), f.Size)
	case info.Size() == 0:
		return errors.New("it is empty")
	}
	switch f.Verify {
	case VerifySize, VerifyNone:
		return nil
	case VerifyGzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("it is no gzip file: %w", err)
		}
		if _, err := io.Copy(io.Discard, z); err != nil {
			return fmt.Errorf("it is cut or damaged: %w", err)
		}
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != f.SHA256 {
		return fmt.Errorf("its SHA-256 is %s and should be %s", sum, f.SHA256)
	}
	return nil
}
