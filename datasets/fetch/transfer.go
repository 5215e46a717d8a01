package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// transfer is one item on its way to its place.
type transfer struct {
	w    *work
	item Item
	place
	best    int64 // the most bytes that any try had here
	wrong   int   // whole transfers of wrong bytes
	refused int   // parts in a row that did not fit what is here
	tries   int
}

// wrongError is a transfer that came whole and wrong for the second time.
type wrongError struct{ err error }

func (e *wrongError) Error() string { return e.err.Error() }
func (e *wrongError) Unwrap() error { return e.err }

// fetch brings the item under its final name and into the journal. Each step leaves a state that
// the next run understands; nothing is removed before what replaces it is whole.
func (t *transfer) fetch(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(t.final), 0o755); err != nil {
		return &localError{err}
	}
	if tr := t.readTrace(); !tr.goesOn(t.w.source(t.item), t.item) {
		if err := t.restart(); err != nil {
			return err
		}
	}
	var tr *trace
	err := t.w.client.again(ctx, t.item.Path, func() (bool, error) {
		before := t.best
		t.tries++
		var err error
		if tr, err = t.try(ctx); err != nil && ctx.Err() == nil {
			err = t.judge(err)
		}
		return t.best > before, err
	})
	if err != nil {
		return err
	}
	if err := t.install(tr); err != nil {
		return err
	}
	t.w.at("installed")
	return t.settle(tr)
}

// settle writes the journal's line of an item that lies under its final name, then clears up.
func (t *transfer) settle(tr *trace) error {
	if err := t.w.enter(t.item, tr, t.final, false); err != nil {
		return err
	}
	t.w.at("journalled")
	return t.clear()
}

// judge decides what a failed try means for what has come so far.
func (t *transfer) judge(err error) error {
	var (
		sum      *ChecksumError
		archive  *ArchiveError
		packed   *gzipError
		protocol *protocolError
	)
	switch {
	case errors.As(err, &sum), errors.As(err, &archive), errors.As(err, &packed):
		if again := t.restart(); again != nil {
			return again
		}
		if t.wrong++; t.wrong > 1 {
			return &wrongError{err}
		}
	case errors.Is(err, errChanged):
		if again := t.restart(); again != nil {
			return again
		}
	case errors.As(err, &protocol):
		// Once may be a proxy's fault; a server that cannot resume must be asked for the whole.
		if t.refused++; t.refused > 1 {
			t.refused = 0
			if again := t.restart(); again != nil {
				return again
			}
		}
	}
	return err
}

// try goes on with what is here until the item is whole, verified and, if it is an archive, unpacked.
func (t *transfer) try(ctx context.Context) (*trace, error) {
	f, err := os.OpenFile(t.partial, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, &localError{err}
	}
	defer f.Close() // a second time where all went well
	tr, h, err := t.resume(ctx, f)
	if err != nil {
		return nil, err
	}
	if tr == nil || tr.Whole == "" && (tr.Total < 0 || h.n < tr.Total) {
		if tr, h, err = t.receive(ctx, f, tr, h); err != nil {
			return nil, err
		}
	}
	if err := h.compare(t.item); err != nil {
		return nil, err
	}
	sum := h.sha256()
	if tr.Whole != "" && tr.Whole != sum {
		return nil, &ChecksumError{Kind: "SHA-256", Want: tr.Whole, Got: sum}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, &localError{err}
	}
	if t.item.Gzip {
		if err := checkGzip(t.partial); err != nil {
			return nil, err
		}
	}
	tr.Whole = sum
	if err := t.writeTrace(tr); err != nil {
		return nil, err
	}
	t.w.at("whole")
	if t.item.Archive {
		if err := t.unpack(ctx, tr); err != nil {
			return nil, err
		}
	}
	return tr, nil
}

// resume reads again what an earlier try has left, for its checksum. Without a trace that fits,
// the file is emptied and the trace is nil.
func (t *transfer) resume(ctx context.Context, f *os.File) (*trace, *hashes, error) {
	tr, h := t.readTrace(), newHashes(t.item.MD5 != "")
	if tr.goesOn(t.w.source(t.item), t.item) {
		info, err := f.Stat()
		if err != nil {
			return nil, nil, &localError{err}
		}
		if limit := t.longest(); info.Size() > 0 && (tr.Total < 0 || info.Size() <= tr.Total) && info.Size() <= limit {
			if err := copyInto(ctx, h, f); ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			} else if err != nil {
				return nil, nil, &localError{err}
			}
			t.reached(h.n)
			return tr, h, nil
		}
	}
	if err := f.Truncate(0); err != nil {
		return nil, nil, &localError{err}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, nil, &localError{err}
	}
	t.reached(0)
	return nil, h, nil
}

// copyInto is io.Copy that ends when it is told to.
func copyInto(ctx context.Context, w io.Writer, r io.Reader) error {
	buffer := make([]byte, 1<<18)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := r.Read(buffer)
		if _, werr := w.Write(buffer[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reached notes how many bytes are here, for the bar and for the patience of again.
func (t *transfer) reached(n int64) {
	t.best = max(t.best, n)
	t.w.progress.at(t.item.Path, n)
}

// longest is how many bytes a transfer may have, so that an endless one ends.
func (t *transfer) longest() int64 {
	switch {
	case t.item.Size < 0:
		return 1 << 60 // the disk's room is looked at on the way
	case t.item.Archive:
		return 2*t.item.Size + 64<<20
	}
	return t.item.Size
}

// receive transfers the rest.
func (t *transfer) receive(ctx context.Context, f *os.File, tr *trace, h *hashes) (*trace, *hashes, error) {
	offset, etag := h.n, ""
	if tr != nil {
		etag = tr.ETag
	}
	s, err := t.w.src.Open(ctx, t.item, offset, etag)
	if err != nil {
		return nil, nil, err
	}
	defer s.Body.Close()
	t.w.at("opened")
	switch {
	case s.Offset != 0 && s.Offset != offset:
		return nil, nil, &protocolError{fmt.Sprintf("it begins at byte %d, and %d was asked for", s.Offset, offset)}
	case !t.item.Archive && t.item.Size >= 0 && s.Size >= 0 && s.Size != t.item.Size:
		return nil, nil, wrongSize(t.item.Size, s.Size)
	case s.Size > t.longest():
		return nil, nil, &ArchiveError{Problem: fmt.Sprintf("it has %s, far more than the files in it, %s", Bytes(s.Size), Bytes(t.item.Size))}
	case s.Unframed && t.item.Size < 0 && !t.item.Archive && !t.item.provable():
		return nil, nil, &protocolError{"it does not say how long the file is, and nothing else shows whether all of it came"}
	case s.Offset == offset && offset > 0 && etag != "" && s.ETag != etag && (s.ETag != "" || !t.item.provable()):
		return nil, nil, errChanged // or it does not say of which version it sends the rest
	case s.Offset == offset && offset > 0 && tr.Total >= 0 && s.Size >= 0 && s.Size != tr.Total:
		return nil, nil, fmt.Errorf("it had %d bytes and has %d: %w", tr.Total, s.Size, errChanged)
	}
	if s.Size >= 0 {
		if err := t.w.roomFor(s.Size - s.Offset); err != nil {
			return nil, nil, err
		}
	}
	if s.Offset != offset { // the server begins anew; what is here goes before the new trace speaks of it
		if err := f.Truncate(0); err != nil {
			return nil, nil, &localError{err}
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, nil, &localError{err}
		}
		h = newHashes(t.item.MD5 != "")
		t.w.progress.at(t.item.Path, 0)
	}
	if s.Offset == 0 || s.ETag != "" {
		etag = s.ETag
	}
	tr = &trace{Source: t.w.source(t.item), From: t.item.From, ETag: etag, Version: t.item.Version, Listed: t.item.Size, SHA256: t.item.SHA256,
		MD5: t.item.MD5, Total: s.Size, Hashes: s.Hashes, Boot: bootID()}
	if err := t.writeTrace(tr); err != nil {
		return nil, nil, err
	}
	t.w.progress.expect(t.item.Path, s.Size)
	if err := t.pour(ctx, f, s, h); err != nil {
		return nil, nil, err
	}
	if s.Size >= 0 && h.n < s.Size {
		return nil, nil, fmt.Errorf("the connection was cut after %d of %d bytes: %w", h.n, s.Size, io.ErrUnexpectedEOF)
	}
	t.refused = 0
	return tr, h, nil
}

// roomEvery is how often the disk is looked at while something of unknown length comes.
const roomEvery = 64 << 20

func (t *transfer) pour(ctx context.Context, f *os.File, s *Stream, h *hashes) error {
	buffer, limit, looked := make([]byte, 1<<17), t.longest(), h.n
	if s.Size >= 0 {
		limit = min(limit, s.Size)
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := s.Body.Read(buffer)
		if n > 0 {
			t.w.progress.line(int64(n))
			if h.n+int64(n) > limit {
				return &ChecksumError{Kind: kindBytes, Want: fmt.Sprint(limit), Got: fmt.Sprintf("%d or more", h.n+int64(n))}
			}
			if _, err := f.Write(buffer[:n]); err != nil {
				return &localError{err}
			}
			h.Write(buffer[:n])
			t.reached(h.n)
			t.w.at("written")
			if s.Size < 0 && h.n-looked > roomEvery {
				looked = h.n
				if err := t.w.roomFor(roomEvery); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// unpack fills the folder beside the final one, from nothing each time.
func (t *transfer) unpack(ctx context.Context, tr *trace) error {
	if err := os.RemoveAll(t.unpacked); err != nil {
		return &localError{err}
	}
	files, err := unpack(ctx, t.partial, t.unpacked, t.item, tr.Hashes)
	if err != nil {
		return errors.Join(err, os.RemoveAll(t.unpacked))
	}
	tr.Files = files
	err = t.writeTrace(tr)
	t.w.at("unpacked")
	return err
}

// install puts what is whole under its final name.
func (t *transfer) install(tr *trace) error {
	if exists(t.final) {
		if done, err := t.makeWay(tr); done || err != nil {
			return err
		}
	}
	from := t.partial
	if t.item.Archive {
		from = t.unpacked
	}
	if err := os.Rename(from, t.final); err != nil {
		return errors.Join(&localError{err}, t.formerBack())
	}
	t.w.at("renamed")
	if err := syncFolder(filepath.Dir(t.final)); err != nil {
		return &localError{err}
	}
	return nil
}

// conflictError is a file or folder of somebody else in the place of an item.
type conflictError struct{ problem string }

func (e *conflictError) Error() string { return e.problem }

// makeWay looks at what lies under the final name. It goes only if this program put it there, or if
// the item's known checksum says that it is wrong. done = it stays, as it is the same.
func (t *transfer) makeWay(tr *trace) (done bool, err error) {
	info, err := os.Stat(t.final)
	if err != nil {
		return false, &localError{err}
	}
	if info.IsDir() != t.item.Archive {
		kind := map[bool]string{true: "a folder", false: "a file"}
		return false, &conflictError{t.final + " is " + kind[info.IsDir()] + ", and should be " + kind[t.item.Archive]}
	}
	if !t.item.Archive {
		ours := t.w.ours(t.item.Path) || t.item.SHA256 != "" || t.item.MD5 != ""
		if ours {
			return false, nil // the rename replaces it
		}
		if h, err := hashFile(t.final, false); err == nil && h.sha256() == tr.Whole {
			return true, nil
		}
		return false, &conflictError{"another file lies under this name already, which this program has not fetched"}
	}
	if sameFiles(t.final, tr.Files) == nil {
		return true, nil
	}
	entries, err := os.ReadDir(t.final)
	if err != nil {
		return false, &localError{err}
	}
	for _, e := range entries {
		if !t.w.ours(t.item.Path + "/" + e.Name()) {
			return false, &conflictError{fmt.Sprintf("the folder holds another file already, %s, which this program has not fetched", e.Name())}
		}
	}
	if err := os.RemoveAll(t.former); err != nil {
		return false, &localError{err}
	}
	if err := os.Rename(t.final, t.former); err != nil {
		return false, &localError{err}
	}
	t.w.at("put aside")
	return false, nil
}

// enter writes an item's line into the journal. found = it was here already.
func (w *work) enter(item Item, tr *trace, final string, found bool) error {
	r := record{Record: recordItem, When: time.Now().UTC().Truncate(time.Second), Source: w.source(item), Path: item.Path, Found: found, SHA256: tr.Whole, MD5: item.MD5,
		From: Redact(item.From), Version: item.Version, SeriesUID: item.SeriesUID, Patient: item.Patient, Modality: item.Modality,
		Licence: item.Licence, Archive: item.Archive, Files: tr.Files}
	if item.Archive {
		for _, m := range tr.Files {
			if !m.Beside {
				r.Bytes += m.Bytes
			}
		}
	} else {
		info, err := os.Stat(final)
		if err != nil {
			return &localError{err}
		}
		r.Bytes = info.Size()
	}
	if err := w.journal.write(r); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if problem := w.known.add(r); problem != "" {
		return &localError{errors.New(problem)}
	}
	return nil
}

// ours says whether the journal knows a file or folder by its path.
func (w *work) ours(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, file := w.known.files[path]
	_, item := w.known.items[path]
	return file || item
}
