package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of an archive, where the source does not say how much it holds.
const (
	maxEntries   = 20_000
	maxRatio     = 100      // unpacked to packed bytes: DICOM packs to a half, zeros to a thousandth
	freeOfRatio  = 64 << 20 // unpacked bytes that need no reason
	maxUnpacked  = 64 << 30
	maxBeside    = 1 << 20 // bytes of each file beside
	maxDirectory = 16 << 20
)

// unpack fills a new folder with an archive's files, flat, and gives their names (sorted), sizes and
// SHA-256. Everything is checked before anything is believed: names, the sum of the sizes, links,
// repeated names, CRC, the number of files and bytes that the source promised, and MD5 where the
// entry hashes lists them. Errors: *ArchiveError, *localError, ctx's.
func unpack(ctx context.Context, archive, into string, item Item, hashes string) ([]member, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, &localError{err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &localError{err}
	}
	r := &directory{f: f, left: maxDirectory}
	z, err := zip.NewReader(r, info.Size())
	if err != nil {
		return nil, notZip(f, r, err)
	}
	r.left = -1
	u := unpacking{item: item, size: info.Size(), hashes: hashes, md5: make(map[string]string)}
	names, err := u.check(z.File)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(into, 0o755); err != nil {
		return nil, &localError{err}
	}
	var out []member
	for i, e := range z.File {
		if names[i] == "" {
			continue // a folder
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		m, err := u.extract(e, into, names[i])
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b member) int { return strings.Compare(a.Name, b.Name) })
	if err := u.compare(out); err != nil {
		return nil, err
	}
	if err := syncFolder(into); err != nil {
		return nil, &localError{err}
	}
	return out, nil
}

// directory limits what is read of an archive before its entries have been counted: a directory of
// millions of entries would fill the memory.
type directory struct {
	f    io.ReaderAt
	left int64 // below 0: no limit any more
	full bool
}

func (d *directory) ReadAt(p []byte, at int64) (int, error) {
	if d.left >= 0 {
		if d.left -= int64(len(p)); d.left < 0 {
			d.left, d.full = 0, true
			return 0, errors.New("its directory is too long")
		}
	}
	return d.f.ReadAt(p, at)
}

func notZip(f *os.File, r *directory, err error) error {
	if r.full {
		return &ArchiveError{Problem: fmt.Sprintf("its directory is longer than %s: it would unpack to more files than any series has", Bytes(maxDirectory))}
	}
	head := make([]byte, 60)
	n, _ := f.ReadAt(head, 0)
	if head = head[:n]; !bytes.HasPrefix(head, []byte("PK")) {
		return &ArchiveError{Problem: fmt.Sprintf("it is none: it begins with %q", head), Err: err}
	}
	return &ArchiveError{Problem: "it is broken or cut", Err: err}
}

type unpacking struct {
	item   Item
	size   int64 // of the archive
	hashes string
	total  int64 // unpacked so far
	md5    map[string]string
	list   map[string]string // what the entry hashes says
}

func (u *unpacking) isBeside(name string) bool {
	return name == u.hashes || slices.Contains(u.item.Beside, name)
}

// limit is how many bytes the archive may unpack to.
func (u *unpacking) limit() int64 {
	if u.item.Size >= 0 {
		return u.item.Size + int64(len(u.item.Beside)+1)*maxBeside
	}
	return min(maxUnpacked, freeOfRatio+u.size*maxRatio)
}

// check judges the directory: what it says of names, sizes and kinds. It gives the names to unpack
// under, "" for a folder.
func (u *unpacking) check(entries []*zip.File) ([]string, error) {
	most := maxEntries
	if u.item.Files > 0 {
		most = u.item.Files + len(u.item.Beside) + 1 + 64 // folders
	}
	if len(entries) > most {
		return nil, &ArchiveError{Problem: fmt.Sprintf("it holds %d entries, and at most %d are expected", len(entries), most)}
	}
	names, seen := make([]string, len(entries)), make(map[string]string)
	var packed, unpacked uint64
	for i, e := range entries {
		bad := func(problem string, args ...any) error {
			return &ArchiveError{Entry: e.Name, Problem: fmt.Sprintf(problem, args...)}
		}
		name, problem := entryName(e)
		switch {
		case problem != "":
			return nil, bad("%s", problem)
		case name == "":
			continue
		case e.Flags&1 != 0:
			return nil, bad("it is encrypted")
		case e.Method != zip.Store && e.Method != zip.Deflate:
			return nil, bad("it is packed by a method (%d) that zip archives of series do not use", e.Method)
		}
		if other, twice := seen[strings.ToLower(name)]; twice {
			return nil, bad("it would have the same name as %q", other)
		}
		seen[strings.ToLower(name)], names[i] = e.Name, name
		if u.isBeside(name) && e.UncompressedSize64 > maxBeside {
			return nil, bad("it says it has %s, and at most %s are expected", big(e.UncompressedSize64), Bytes(maxBeside))
		}
		packed, unpacked = add(packed, e.CompressedSize64), add(unpacked, e.UncompressedSize64)
		switch {
		case packed > uint64(u.size): // entries that share their bytes
			return nil, bad("its entries say they take %s of an archive of %s", big(packed), Bytes(u.size))
		case unpacked > uint64(u.limit()):
			return nil, bad("it would unpack to %s, and at most %s are expected", big(unpacked), Bytes(u.limit()))
		}
	}
	if u.hashes != "" && seen[strings.ToLower(u.hashes)] == "" {
		return nil, &ArchiveError{Problem: fmt.Sprintf("its list of checksums, %s, is missing: the server stopped half-way", u.hashes)}
	}
	return names, nil
}

func add(a, b uint64) uint64 {
	if a+b < a {
		return 1<<64 - 1
	}
	return a + b
}

func big(n uint64) string { return Bytes(int64(min(n, 1<<63-1))) }

// entryName is the name that an entry is unpacked under: the last part of its own. "" is a folder.
func entryName(e *zip.File) (name, problem string) {
	n := e.Name
	folder := strings.HasSuffix(n, "/")
	switch mode := e.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return "", "it is a link"
	case mode.IsDir() && !folder, !mode.IsDir() && !mode.IsRegular():
		return "", "it is no plain file"
	case strings.HasPrefix(n, "/"):
		return "", "its name is absolute"
	}
	n = strings.TrimSuffix(n, "/")
	if p := badPath(n); p != "" {
		return "", "its name " + p
	}
	if folder {
		if e.UncompressedSize64 > 0 {
			return "", "it is a folder with bytes"
		}
		return "", ""
	}
	return path.Base(n), ""
}

func (u *unpacking) extract(e *zip.File, into, name string) (member, error) {
	bad := func(problem string, err error) (member, error) {
		return member{}, &ArchiveError{Entry: e.Name, Problem: problem, Err: err}
	}
	in, err := e.Open()
	if err != nil {
		return bad("it cannot be unpacked", err)
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(into, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return member{}, &localError{err}
	}
	defer out.Close() // a second time where all went well
	sum, old := sha256.New(), md5.New()
	to := &writing{w: out}
	writers := []io.Writer{to, sum}
	var text bytes.Buffer
	if u.hashes != "" {
		writers = append(writers, old)
		if name == u.hashes {
			writers = append(writers, &text)
		}
	}
	// One byte more than it says is enough to know that it lies.
	n, err := io.Copy(io.MultiWriter(writers...), io.LimitReader(in, int64(min(e.UncompressedSize64, 1<<62))+1))
	u.total += n
	switch {
	case to.err != nil:
		return member{}, &localError{to.err}
	case err != nil:
		return bad("it is broken", err)
	case uint64(n) != e.UncompressedSize64:
		return bad(fmt.Sprintf("it has another length than it says, %d bytes", e.UncompressedSize64), nil)
	case u.total > u.limit():
		return bad(fmt.Sprintf("it unpacks to more than %s", Bytes(u.limit())), nil)
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return member{}, &localError{err}
	}
	if name == u.hashes {
		if u.list, err = parseHashes(&text); err != nil {
			return bad("it cannot be read as a list of checksums", err)
		}
	}
	u.md5[name] = hex.EncodeToString(old.Sum(nil))
	return member{Name: name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil)), Beside: u.isBeside(name)}, nil
}

// writing remembers that it was the writing that failed.
type writing struct {
	w   io.Writer
	err error
}

func (w *writing) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

// compare holds what was unpacked against what the source and the archive's own list say.
func (u *unpacking) compare(out []member) error {
	files, total := 0, int64(0)
	for _, m := range out {
		if m.Beside {
			continue
		}
		files, total = files+1, total+m.Bytes
		if u.hashes == "" {
			continue
		}
		want, listed := u.list[m.Name]
		if !listed {
			return &ArchiveError{Entry: m.Name, Problem: "it is not in the archive's list of checksums, " + u.hashes}
		}
		if want != "" && want != u.md5[m.Name] {
			return &ArchiveError{Entry: m.Name, Problem: "it has other bytes than the server read from its disk", Err: &ChecksumError{Kind: "MD5", Want: want, Got: u.md5[m.Name]}}
		}
		delete(u.list, m.Name)
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range u.list {
			if !u.isBeside(name) && !yield(name) {
				return
			}
		}
	}) {
		return &ArchiveError{Entry: name, Problem: "it is in the archive's list of checksums, " + u.hashes + ", but not in the archive"}
	}
	switch {
	case files == 0:
		return &ArchiveError{Problem: "it holds no file"}
	case u.item.Files > 0 && files != u.item.Files:
		return &ArchiveError{Problem: fmt.Sprintf("it holds %d files and should hold %d", files, u.item.Files)}
	case u.item.Size >= 0 && total != u.item.Size:
		return &ArchiveError{Problem: fmt.Sprintf("its files have %d bytes together and should have %d", total, u.item.Size)}
	}
	return nil
}
