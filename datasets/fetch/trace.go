package fetch

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// trace is what is known about an item on its way. It lies beside the partial file, is written
// before the bytes that it speaks of, and is the last of the temporary files to go.
type trace struct {
	Source  string `json:"source"`
	From    string `json:"from,omitempty"`
	ETag    string `json:"etag,omitempty"`
	Version string `json:"version,omitempty"`
	Listed  int64  `json:"listed"` // size that the source listed, -1 = none
	SHA256  string `json:"sha256,omitempty"`
	MD5     string `json:"md5,omitempty"`
	Total   int64  `json:"total"` // bytes of the transfer, -1 = unknown
	Hashes  string `json:"hashes,omitempty"`
	Boot    string `json:"boot,omitempty"` // when the machine was started, see bootID
	// Whole is the SHA-256 of the transfer once all of it is here and verified.
	Whole string `json:"whole,omitempty"`
	// Files are those of an archive once it is unpacked.
	Files []member `json:"files,omitempty"`
}

// place is where an item and what goes with it lie on the disk.
type place struct{ final, partial, sidecar, unpacked, former string }

func placeOf(dest, path string) place {
	at := func(p string) string { return filepath.Join(dest, filepath.FromSlash(p)) }
	return place{final: at(path), partial: at(beside(path, endPartial)), sidecar: at(beside(path, endSidecar)),
		unpacked: at(beside(path, endUnpacked)), former: at(beside(path, endFormer))}
}

// readTrace gives nil where there is none that can be read: then what lies there cannot be gone on with.
func (p place) readTrace() *trace {
	text, err := os.ReadFile(p.sidecar)
	if err != nil {
		return nil
	}
	var t trace
	if json.Unmarshal(text, &t) != nil {
		return nil
	}
	return &t
}

// writeTrace replaces the sidecar at once. The name of the new one is fixed, so that a kill leaves
// nothing that a later run does not overwrite.
func (p place) writeTrace(t *trace) error {
	text, err := json.Marshal(t)
	if err == nil {
		err = os.WriteFile(p.sidecar+"-new", append(text, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(p.sidecar+"-new", p.sidecar)
	}
	if err != nil {
		return &localError{err}
	}
	return nil
}

// clear removes what a transfer has left, the sidecar last.
func (p place) clear() error {
	err := errors.Join(remove(p.partial), os.RemoveAll(p.unpacked), os.RemoveAll(p.former), remove(p.sidecar+"-new"))
	if err == nil {
		err = remove(p.sidecar)
	}
	if err != nil {
		return &localError{err}
	}
	return nil
}

// restart forgets a transfer, but not that the item's former files were put aside.
func (p place) restart() error {
	if err := errors.Join(remove(p.partial), os.RemoveAll(p.unpacked), remove(p.sidecar)); err != nil {
		return &localError{err}
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// goesOn says whether a transfer can be gone on with: it is of the same item, and a mixture of two
// would be noticed.
func (t *trace) goesOn(source string, item Item) bool {
	if t == nil || t.Source != source || t.Version != item.Version || t.Listed != item.Size || t.SHA256 != item.SHA256 || t.MD5 != item.MD5 {
		return false
	}
	provable := item.provable() || t.Whole != ""
	// After the machine itself went down, the disk may have kept the length of a file but not its bytes.
	return provable || (t.ETag != "" || item.Version != "") && t.Boot == bootID()
}

// provable says whether a mixture of two files would be noticed in the end.
func (it Item) provable() bool { return it.SHA256 != "" || it.MD5 != "" || it.Gzip }

// have is how many bytes of an item lie here that can be gone on with.
func (p place) have(source string, item Item) int64 {
	if t := p.readTrace(); t.goesOn(source, item) {
		return sizeOf(p.partial)
	}
	return 0
}

// formerBack puts the former files back if the process was killed while they were being replaced.
func (p place) formerBack() error {
	if !exists(p.former) || exists(p.final) {
		return nil
	}
	if err := os.Rename(p.former, p.final); err != nil {
		return &localError{err}
	}
	return nil
}

// matches says whether what lies under the final name is what the trace says, byte by byte.
func (p place) matches(t *trace, item Item) bool {
	if t == nil || t.Whole == "" {
		return false
	}
	if !item.Archive {
		h, err := hashFile(p.final, false)
		return err == nil && h.sha256() == t.Whole
	}
	return len(t.Files) > 0 && sameFiles(p.final, t.Files) == nil
}

// sameFiles says how a folder differs from a list of files: it holds exactly those.
func sameFiles(dir string, files []member) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) != len(files) {
		return errors.New("it holds other files")
	}
	for _, m := range files {
		h, err := hashFile(filepath.Join(dir, filepath.FromSlash(m.Name)), false)
		if err != nil {
			return err
		}
		if err := compareFile(m, h.n, h.sha256()); err != nil {
			return err
		}
	}
	return nil
}
