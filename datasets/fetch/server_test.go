package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// noise is bytes that do not repeat and cannot be packed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b)
	return b
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// shelf is a server of files that resumes properly, unless fault answers in its place.
type shelf struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	etags map[string]string // empty: none
	// fault answers the n-th request (from 1) for a file; false = it does not, and the shelf does.
	fault  func(w http.ResponseWriter, r *http.Request, name string, n int) bool
	asked  map[string]int
	ranges []string // the Range headers that came
	sent   int64    // bytes of files
}

func newShelf(t testing.TB, files map[string][]byte) *shelf {
	s := &shelf{files: files, etags: map[string]string{}, asked: map[string]int{}}
	for name, b := range files {
		s.etags[name] = `"` + sumOf(b)[:16] + `"`
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) answer(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	s.asked[name]++
	n, b, etag, fault := s.asked[name], s.files[name], s.etags[name], s.fault
	if h := r.Header.Get("Range"); h != "" {
		s.ranges = append(s.ranges, h)
	}
	s.mu.Unlock()
	if fault != nil && fault(w, r, name, n) {
		return
	}
	if b == nil {
		http.NotFound(w, r)
		return
	}
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(&counting{w, s}, r, "", time.Time{}, bytes.NewReader(b))
}

type counting struct {
	http.ResponseWriter
	s *shelf
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.mu.Lock()
	c.s.sent += int64(n)
	c.s.mu.Unlock()
	return n, err
}

func (s *shelf) set(name string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name], s.etags[name] = b, `"`+sumOf(b)[:16]+`"`
}

func (s *shelf) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

// items are the files, with size and checksum, to be put below set/.
func (s *shelf) items() []Item {
	var out []Item
	for name, b := range s.files {
		out = append(out, Item{Path: "set/" + name, Size: int64(len(b)), SHA256: sumOf(b)})
	}
	slices.SortFunc(out, func(a, b Item) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// source gives items from the shelf, which know as much of themselves as edit leaves them.
func (s *shelf) source(c *Client, items []Item, edit func(*Item)) Source {
	urls := make(map[string]string)
	for i := range items {
		urls[items[i].Path] = s.URL + "/" + strings.TrimPrefix(items[i].Path, "set/") + "?X-Signature=hush"
		if edit != nil {
			edit(&items[i])
		}
	}
	return HTTPFiles(c, items, urls)
}

// listing is a source of nothing but a list.
type listing []Item

func (listing) Name() string                           { return "listing" }
func (l listing) List(context.Context) ([]Item, error) { return l, nil }
func (listing) Open(context.Context, Item, int64, string) (*Stream, error) {
	return nil, errors.New("nothing should be opened")
}

// impatient is a client that does not wait; waited are the times that it would have.
type impatient struct {
	*Client
	mu     sync.Mutex
	waited []time.Duration
	said   []string
}

func newImpatient(o ClientOptions) *impatient {
	c := &impatient{}
	o.RequestsPerSecond = 1e6
	o.Sleep = func(ctx context.Context, d time.Duration) error {
		if d > 100*time.Millisecond { // not the pace of requests
			c.mu.Lock()
			c.waited = append(c.waited, d)
			c.mu.Unlock()
		}
		return ctx.Err()
	}
	o.Say = func(s string) {
		c.mu.Lock()
		c.said = append(c.said, s)
		c.mu.Unlock()
	}
	if o.Silence == 0 {
		o.Silence = 5 * time.Second
	}
	c.Client = NewClient(o)
	return c
}

var accepted = Acceptance{Licence: "CC BY 3.0", By: "tester", How: "--accept-licence"}

func options(t testing.TB, dest string) Options {
	return Options{Dest: dest, Client: newImpatient(ClientOptions{}).Client, Acceptance: accepted}
}

// tree lists the files below a folder, hidden ones too, with their checksums; the lock and the
// journal are left out.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockName || d.Name() == JournalName {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		found[filepath.ToSlash(rel)] = sumOf(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantTree(t testing.TB, dir string, want map[string][]byte) {
	t.Helper()
	got := tree(t, dir)
	for name, b := range want {
		if got[name] != sumOf(b) {
			t.Errorf("%s is not as it should be (there: %v)", name, got[name] != "")
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s should not be there", name)
	}
}

// below puts set/ before names.
func inSet(files map[string][]byte) map[string][]byte {
	out := make(map[string][]byte)
	for name, b := range files {
		out["set/"+name] = b
	}
	return out
}

func mustRun(t testing.TB, src Source, o Options) Result {
	t.Helper()
	r, err := Run(context.Background(), "set", src, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func states(r Result) string {
	var s []string
	for _, row := range r.Rows {
		s = append(s, string(row.State))
	}
	return strings.Join(s, ", ")
}

func wantJournal(t testing.TB, dest string, paths ...string) {
	t.Helper()
	k, err := readJournal(dest, "set")
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(slices.Values(k.order))
	slices.Sort(paths)
	if !slices.Equal(got, paths) {
		t.Errorf("the journal knows %v, want %v", got, paths)
	}
	rows, err := Verify(context.Background(), dest, "set", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Status != Present {
			t.Errorf("verified: %+v", row)
		}
	}
}

func says(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, w := range append(words, "") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	for _, secret := range []string{"hush", "X-Signature"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q tells %q", err, secret)
		}
	}
}

func cut(w http.ResponseWriter, whole []byte, from, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(whole)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(whole)-1, len(whole)))
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(whole[from:min(len(whole), from+n)])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
