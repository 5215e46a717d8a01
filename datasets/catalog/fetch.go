package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
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
	Detail string // what differs, empty when present
}

// Verify hashes the entry's files under a data folder: one row per file, in the
// entry's order.
func (e Entry) Verify(dir string) []Row {
	rows := make([]Row, len(e.Files))
	for i, f := range e.Files {
		rows[i] = Row{Path: f.Path, Status: Present}
		switch err := f.verify(filepath.Join(dir, filepath.FromSlash(f.Path))); {
		case errors.Is(err, os.ErrNotExist):
			rows[i].Status, rows[i].Detail = Missing, "it is not there"
		case err != nil:
			rows[i].Status, rows[i].Detail = Changed, err.Error()
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
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return err
	}
	return f.compare(n, hex.EncodeToString(h.Sum(nil)))
}

func (f File) compare(size int64, sum string) error {
	switch {
	case size != f.Size:
		return fmt.Errorf("it has %d bytes and should have %d", size, f.Size)
	case sum != f.SHA256:
		return fmt.Errorf("its SHA-256 is %s and should be %s", sum, f.SHA256)
	}
	return nil
}

// FetchOptions say where files come from.
type FetchOptions struct {
	// Mirror is a data folder to copy from; empty = download from the files' addresses.
	Mirror string
	// Client downloads; nil = a client that gives up on a silent server.
	Client *http.Client
	// Progress, when given, is told the bytes written so far of each file, and once
	// with done = total for a file that was there already.
	Progress func(path string, done, total int64)
	// Silence is how long a server may send nothing; 0 = one minute.
	Silence time.Duration
}

// FetchError is a file that could not be fetched. Nothing lies under its name
// unless something did before.
type FetchError struct {
	Path string // as in the entry
	From string // address or mirror file; empty when there is none
	To   string
	Next string // what to do
	Err  error
}

func (e *FetchError) Error() string {
	s := "fetch " + e.Path
	if e.From != "" {
		s += " from " + e.From
	}
	return s + ": " + e.Err.Error() + "; " + e.Next
}

func (e *FetchError) Unwrap() error { return e.Err }

// Fetch brings the entry's files into the data folder dest, verified by size and
// SHA-256 before they appear under their names. A file that is there and right is
// not fetched again. One file's failure does not stop the others; the errors,
// each a *FetchError, come joined.
func Fetch(ctx context.Context, e Entry, dest string, opt FetchOptions) error {
	if opt.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = time.Minute
		opt.Client = &http.Client{Transport: transport}
	}
	if opt.Silence == 0 {
		opt.Silence = time.Minute
	}
	if opt.Progress == nil {
		opt.Progress = func(string, int64, int64) {}
	}
	var errs []error
	if len(e.Files) == 0 {
		errs = append(errs, &FetchError{Path: e.Images.Folder, To: filepath.Join(dest, filepath.FromSlash(e.Images.Folder)),
			Next: strings.TrimSpace(e.Images.Obtain), Err: errors.New("scans are not fetched by this program yet")})
	}
	for _, f := range e.Files {
		if err := fetch(ctx, e, f, dest, opt); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func fetch(ctx context.Context, e Entry, f File, dest string, opt FetchOptions) (err error) {
	to := filepath.Join(dest, filepath.FromSlash(f.Path))
	if f.verify(to) == nil {
		opt.Progress(f.Path, f.Size, f.Size)
		return nil
	}
	fail := func(from, next string, err error) error {
		return &FetchError{Path: f.Path, From: from, To: to, Next: next, Err: err}
	}
	var source io.ReadCloser
	from, again := f.URL, "try again; if it stays so, take the file from a mirror with --mirror DIR"
	switch {
	case opt.Mirror != "":
		from, again = filepath.Join(opt.Mirror, filepath.FromSlash(f.Path)), "look whether the mirror is whole and has the same layout"
		source, err = os.Open(from)
	case f.URL == "":
		return fail("", strings.TrimSpace(e.Obtain), errors.New("it has no public address"))
	default:
		source, err = get(ctx, opt, f.URL)
	}
	if err != nil {
		return fail(from, again, err)
	}
	defer source.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fail(from, "give a folder that can be written to", err)
	}
	pending, err := renameio.NewPendingFile(to, renameio.WithTempDir(filepath.Dir(to)), renameio.WithPermissions(0o644))
	if err != nil {
		return fail(from, "give a folder that can be written to", err)
	}
	defer pending.Cleanup() // its own failure leaves a temporary file, never a half-written final one
	h := sha256.New()
	out := &counted{w: io.MultiWriter(pending, h), tell: func(n int64) { opt.Progress(f.Path, n, f.Size) }}
	// One byte more than expected is enough to know that the file is another one.
	if _, err := io.Copy(out, io.LimitReader(source, f.Size+1)); err != nil {
		if out.err != nil {
			again = "make room on the disk, or give another folder"
		}
		return fail(from, again, err)
	}
	if err := f.compare(out.n, hex.EncodeToString(h.Sum(nil))); err != nil {
		return fail(from, again, err)
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return fail(from, "make room on the disk, or give another folder", err)
	}
	return nil
}

// counted remembers how much was written and whether it was the writing that failed.
type counted struct {
	w    io.Writer
	n    int64
	err  error
	tell func(int64)
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n, c.err = c.n+int64(n), err
	c.tell(c.n)
	return n, err
}

func get(ctx context.Context, opt FetchOptions, url string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	silent := time.AfterFunc(opt.Silence, func() { cancel(fmt.Errorf("the server sent nothing for %s", opt.Silence)) })
	stop := func() {
		silent.Stop()
		cancel(nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		stop()
		return nil, err
	}
	res, err := opt.Client.Do(req)
	if err != nil {
		err = because(ctx, err)
		stop()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		stop()
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}
	return &body{ReadCloser: res.Body, ctx: ctx, heard: func() { silent.Reset(opt.Silence) }, stop: stop}, nil
}

// body is a download that ends when the server falls silent.
type body struct {
	io.ReadCloser
	ctx         context.Context
	heard, stop func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.heard()
	}
	if err != nil && err != io.EOF {
		err = because(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

// because puts the reason for a cancelled request in front of net/http's words.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}
