package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// plan says of every item whether it is here, and what the rest will take. It writes nothing.
func (w *work) plan(ctx context.Context, items []Item) (Plan, error) {
	p := Plan{Dataset: w.dataset, Source: w.src.Name(), Dest: w.o.Dest, Items: make([]Planned, len(items)), Free: -1}
	var archives []int64
	for i, it := range items {
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
		pl, err := w.look(it)
		if err != nil {
			return p, err
		}
		p.Items[i] = pl
		switch pl.State {
		case Here:
			p.Here++
			continue
		case Changed:
			p.Changed++
			continue
		}
		p.Fetch++
		if it.Size < 0 {
			p.Unknown++
			continue
		}
		p.Bytes += max(0, it.Size-pl.Have)
		if it.Archive {
			p.Need += it.Size // unpacked; what there is of the packed ones comes below
			archives = append(archives, it.Size)
		} else {
			p.Need += max(0, it.Size-pl.Have)
		}
	}
	// An archive goes once it is unpacked: as many as there are workers lie here at a time, the
	// largest in the worst case, none larger than its files.
	slices.Sort(archives)
	slices.Reverse(archives)
	for _, n := range archives[:min(len(archives), w.o.Jobs)] {
		p.Need += n
	}
	if p.Fetch > 0 {
		p.Need += p.Need/20 + leastRoom
	}
	if free, err := w.o.free(existing(w.o.Dest)); err == nil {
		p.Free = free
	}
	return p, nil
}

// leastRoom is left on a disk whatever happens.
const leastRoom = 16 << 20

// existing is the folder itself, or the nearest one above it that is there already.
func existing(dir string) string {
	dir, err := filepath.Abs(dir)
	for err == nil && dir != filepath.Dir(dir) {
		if isFolder(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// roomFor refuses to begin with what the disk cannot hold.
func (w *work) roomFor(n int64) error {
	free, err := w.o.free(existing(w.o.Dest))
	if err != nil || free >= n+leastRoom {
		return nil
	}
	return &localError{&SpaceError{Dir: w.o.Dest, Need: n + leastRoom, Free: free}}
}

// look says what is to be done about one item.
func (w *work) look(it Item) (Planned, error) {
	at := placeOf(w.o.Dest, it.Path)
	pl := Planned{Item: it, State: ToFetch}
	r, known := w.known.find(it)
	if !known {
		same, err := adopt(it, at)
		if err != nil {
			return pl, err
		}
		if same {
			pl.State, pl.Why, pl.adopt = Here, "its checksum is right", true
			return pl, nil
		}
		pl.Have = at.have(w.source(it), it)
		return pl, nil
	}
	lost, err := w.lost(r)
	if err != nil {
		return pl, err
	}
	changed := difference(r, it, w.source(it))
	switch {
	case lost != "":
		pl.Why = lost
	case changed == "":
		pl.State = Here
		return pl, nil
	case !w.o.Refresh:
		pl.State, pl.Why = Changed, changed
		return pl, nil
	default:
		pl.Why = changed
	}
	pl.Have = at.have(w.source(it), it)
	return pl, nil
}

// adopt says whether a file that the journal does not know is the right one, by a known checksum.
func adopt(it Item, at place) (bool, error) {
	if it.Archive || it.SHA256 == "" && it.MD5 == "" {
		return false, nil
	}
	info, err := os.Stat(at.final)
	if err != nil || !info.Mode().IsRegular() || it.Size >= 0 && info.Size() != it.Size {
		return false, nil
	}
	h, err := hashFile(at.final, it.MD5 != "")
	if err != nil {
		return false, cannotRead(at.final, err)
	}
	return h.compare(it) == nil, nil
}

func cannotRead(path string, err error) error {
	return fmt.Errorf("%s cannot be read: %w; let this user read it, or name another folder with --dest", path, err)
}

// lost says what of an item is not here any more as the journal has it; "" = nothing. It hashes
// only when asked to.
func (w *work) lost(r record) (string, error) {
	missing, other := 0, ""
	files := r.all()
	for _, m := range files {
		path := filepath.Join(w.o.Dest, filepath.FromSlash(m.Name))
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
			missing++
			continue
		case err != nil:
			return "", cannotRead(path, err)
		case info.Size() != m.Bytes:
			other = fmt.Sprintf("%s was changed here: it has %d bytes and had %d", m.Name, info.Size(), m.Bytes)
			continue
		case !w.o.Full:
			continue
		}
		h, err := hashFile(path, false)
		if err != nil {
			return "", cannotRead(path, err)
		}
		if h.sha256() != m.SHA256 {
			other = m.Name + " was changed here: its SHA-256 is another one than it had"
		}
	}
	switch {
	case missing == len(files) && len(files) > 0:
		return "it was here and is gone", nil
	case missing > 0:
		return fmt.Sprintf("%d of its %d files are gone", missing, len(files)), nil
	}
	return other, nil
}

// difference says how an item that is here differs from what the source lists now; "" = not at all.
// Versions of different sources cannot be compared.
func difference(r record, it Item, source string) string {
	switch {
	case it.Size >= 0 && r.Bytes != it.Size:
		return fmt.Sprintf("it has %d bytes there and %d here", it.Size, r.Bytes)
	case !it.Archive && it.SHA256 != "" && r.SHA256 != it.SHA256:
		return fmt.Sprintf("its SHA-256 is %s there and %s here", it.SHA256, r.SHA256)
	case it.MD5 != "" && r.MD5 != "" && r.MD5 != it.MD5:
		return fmt.Sprintf("its MD5 is %s there and %s here", it.MD5, r.MD5)
	case r.Source == source && r.Version != "" && it.Version != "" && r.Version != it.Version:
		return fmt.Sprintf("its version is %s there and %s here", it.Version, r.Version)
	case it.Archive && it.Files > 0 && r.count() != it.Files:
		return fmt.Sprintf("it has %d files there and %d here", it.Files, r.count())
	}
	return ""
}

// count is how many files a series has, without those beside.
func (r record) count() (n int) {
	for _, m := range r.Files {
		if !m.Beside {
			n++
		}
	}
	return n
}
