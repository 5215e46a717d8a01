package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var bytesA, bytesB = strings.Repeat("abcdefgh", 4096), "beta"

// two is an entry of two files served under url.
func two(url string) Entry {
	file := func(name, text string) File {
		sum := sha256.Sum256([]byte(text))
		return File{Path: "set/" + name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), URL: url + "/" + name}
	}
	return Entry{Name: "set", Files: []File{file("a", bytesA), file("b", bytesB)}, Obtain: "Ask the owner."}
}

// serve answers /a by the handler and /b properly; it counts requests.
func serve(t *testing.T, a http.HandlerFunc) (url string, requests func() []string) {
	t.Helper()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		if r.URL.Path == "/a" {
			a(w, r)
			return
		}
		fmt.Fprint(w, bytesB)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string { return asked }
}

func good(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, bytesA) }

func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFetch(t *testing.T) {
	url, requests := serve(t, good)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	last := map[string]int64{}
	opt := FetchOptions{Progress: func(path string, done, total int64) {
		if done < last[path] || done > total {
			t.Errorf("%s: %d of %d after %d", path, done, total, last[path])
		}
		last[path] = done
	}}
	if err := Fetch(context.Background(), two(url), dir, opt); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"set/a", "set/b"}) {
		t.Errorf("files %v", got)
	}
	if last["set/a"] != int64(len(bytesA)) || last["set/b"] != 4 {
		t.Errorf("progress ended at %v", last)
	}
	// What is there and right is not asked for again; what is wrong is.
	if err := os.WriteFile(filepath.Join(dir, "set", "b"), []byte("bets"), 0o644); err != nil {
		t.Fatal(err)
	}
	rows := two(url).Verify(dir)
	if rows[0].Status != Present || rows[1].Status != Changed || !strings.Contains(rows[1].Detail, "SHA-256") {
		t.Errorf("verified as %+v", rows)
	}
	if err := Fetch(context.Background(), two(url), dir, FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := requests(); !slices.Equal(got, []string{"/a", "/b", "/b"}) {
		t.Errorf("requests %v", got)
	}
	for _, row := range two(url).Verify(dir) {
		if row.Status != Present {
			t.Errorf("%+v", row)
		}
	}
	os.Remove(filepath.Join(dir, "set", "a"))
	if rows := two(url).Verify(dir); rows[0].Status != Missing {
		t.Errorf("verified as %+v", rows)
	}
}

// One file fails in every way there is: the other arrives, nothing lies under the
// name of the first, and the error says what to do.
func TestFetchFaults(t *testing.T) {
	for _, test := range []struct {
		name string
		a    http.HandlerFunc
		says []string
	}{
		{"other bytes", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.ToUpper(bytesA)) }, []string{"SHA-256", "try again", "--mirror"}},
		{"too long", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, bytesA+"i") }, []string{"32769 bytes", "32768"}},
		{"an endless one", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, bytesA); err != nil {
					return
				}
			}
		}, []string{"32769 bytes"}},
		{"too short", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "abc") }, []string{"3 bytes", "32768"}},
		{"a cut connection", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(bytesA)))
			fmt.Fprint(w, bytesA[:5000])
			panic(http.ErrAbortHandler)
		}, []string{"EOF", "try again"}},
		{"not found", http.NotFound, []string{"404", "try again"}},
		{"an error page", func(w http.ResponseWriter, r *http.Request) { http.Error(w, bytesA, http.StatusBadGateway) }, []string{"502"}},
		{"a silent server", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []string{"sent nothing for 150ms"}},
		{"a server that falls silent", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, bytesA[:100])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, []string{"sent nothing for 150ms"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, _ := serve(t, test.a)
			dir := t.TempDir()
			err := Fetch(context.Background(), two(url), dir, FetchOptions{Silence: 150 * time.Millisecond})
			fault := (*FetchError)(nil)
			if !errors.As(err, &fault) || fault.Path != "set/a" || fault.From != url+"/a" {
				t.Fatalf("got %T (%v)", err, err)
			}
			for _, s := range append(test.says, "set/a", url) {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if got := files(t, dir); !slices.Equal(got, []string{"set/b"}) {
				t.Errorf("files %v", got)
			}
		})
	}
}

func TestFetchOtherFaults(t *testing.T) {
	url, requests := serve(t, good)
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := Fetch(ctx, two(url), t.TempDir(), FetchOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no server", func(t *testing.T) {
		err := Fetch(context.Background(), two("http://127.0.0.1:1"), t.TempDir(), FetchOptions{})
		if !errors.As(err, new(*FetchError)) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no address", func(t *testing.T) {
		e := two(url)
		e.Files[0].URL = ""
		dir := t.TempDir()
		err := Fetch(context.Background(), e, dir, FetchOptions{})
		if !errors.As(err, new(*FetchError)) || !strings.Contains(err.Error(), "Ask the owner.") {
			t.Errorf("got %v", err)
		}
		if got := files(t, dir); !slices.Equal(got, []string{"set/b"}) {
			t.Errorf("files %v", got)
		}
	})
	t.Run("a file where the folder should be", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "set"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		err := Fetch(context.Background(), two(url), dir, FetchOptions{})
		if !errors.As(err, new(*FetchError)) || !strings.Contains(err.Error(), "can be written to") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("mirror", func(t *testing.T) {
		mirror, dir := t.TempDir(), t.TempDir()
		before := len(requests())
		if err := Fetch(context.Background(), two(url), mirror, FetchOptions{}); err != nil {
			t.Fatal(err)
		}
		e := two(url)
		e.Files[1].URL = "" // a mirror serves files without an address too
		if err := Fetch(context.Background(), e, dir, FetchOptions{Mirror: mirror}); err != nil {
			t.Fatal(err)
		}
		if n := len(requests()) - before; n != 2 {
			t.Errorf("%d requests, want only the mirror's own 2", n)
		}
		if got := files(t, dir); !slices.Equal(got, []string{"set/a", "set/b"}) {
			t.Errorf("files %v", got)
		}
		dir = t.TempDir()
		os.Remove(filepath.Join(mirror, "set", "a"))
		if err := os.WriteFile(filepath.Join(mirror, "set", "b"), []byte("gone"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := Fetch(context.Background(), two(url), dir, FetchOptions{Mirror: mirror})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "SHA-256") || !strings.Contains(err.Error(), mirror) {
			t.Errorf("a broken mirror: %v", err)
		}
		if got := files(t, dir); got != nil {
			t.Errorf("files %v", got)
		}
	})
}

// A disk that fills up: the limit on a file's size stands in for it, both make
// write(2) fail half-way. It holds for the process, so a child does the fetching.
func TestFetchDiskFull(t *testing.T) {
	if mirror, dir, ok := strings.Cut(os.Getenv("CATALOG_TEST_FULL"), "|"); ok {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 4096, Max: 4096}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		err := Fetch(context.Background(), two(""), dir, FetchOptions{Mirror: mirror})
		if !errors.Is(err, syscall.EFBIG) || !errors.As(err, new(*FetchError)) || !strings.Contains(err.Error(), "make room") {
			t.Fatalf("fetching past the end of the disk gives %v", err)
		}
		return
	}
	mirror, dir := t.TempDir(), t.TempDir()
	url, _ := serve(t, good)
	if err := Fetch(context.Background(), two(url), mirror, FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestFetchDiskFull$")
	child.Env = append(os.Environ(), "CATALOG_TEST_FULL="+mirror+"|"+dir)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"set/b"}) {
		t.Errorf("files %v: the small one should be there, of the large one nothing", got)
	}
}

func TestDataDir(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	for xdg, want := range map[string]string{"": "/home/x/.local/share/hounsfield", "/data": "/data/hounsfield", "relative": "/home/x/.local/share/hounsfield"} {
		t.Setenv("XDG_DATA_HOME", xdg)
		if got, err := DataDir(); err != nil || got != want {
			t.Errorf("XDG_DATA_HOME=%q gives %q (%v), want %q", xdg, got, err, want)
		}
	}
}

func TestLocate(t *testing.T) {
	full, bare, xdg := t.TempDir(), t.TempDir(), t.TempDir()
	url, _ := serve(t, good)
	e := two(url)
	if err := Fetch(context.Background(), e, full, FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", xdg)
	t.Setenv(MirrorVariable, "")
	refused := func(mirror, env string, says ...string) {
		t.Helper()
		t.Setenv(MirrorVariable, env)
		_, _, err := Locate(e, mirror)
		if !errors.As(err, new(*NotFoundError)) {
			t.Errorf("mirror %q, environment %q: %v", mirror, env, err)
			return
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q does not say %q", err, s)
			}
		}
	}
	found := func(mirror, env, want, how string) {
		t.Helper()
		t.Setenv(MirrorVariable, env)
		root, by, err := Locate(e, mirror)
		if err != nil || root != want || !strings.Contains(by, how) {
			t.Errorf("mirror %q, environment %q: %q by %q (%v)", mirror, env, root, by, err)
		}
	}
	refused("", "", "set/a, set/b", "hounsfield fetch set", "--mirror DIR", xdg)
	found(full, "", full, "--mirror")
	found(full, bare, full, "--mirror")
	found("", full, full, MirrorVariable)
	refused(bare, full, bare, "--mirror") // never passed over in silence
	refused("", bare, bare, MirrorVariable, "unset")
	if err := Fetch(context.Background(), e, filepath.Join(xdg, "hounsfield"), FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	found("", "", filepath.Join(xdg, "hounsfield"), "fetch")
	os.Remove(filepath.Join(full, "set", "b"))
	refused(full, "", "set/b")
	e.Files[1].Optional = true
	found(full, "", full, "--mirror")
	e.Files[1].Optional, e.Files[1].URL = false, ""
	os.Remove(filepath.Join(xdg, "hounsfield", "set", "b"))
	refused("", "", "Ask the owner.", xdg)
}
