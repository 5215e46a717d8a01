package catalog

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// two is an entry of two files, and put writes them below a folder.
func two() (e Entry, put func(t *testing.T, dir string)) {
	texts := map[string]string{"set/a": strings.Repeat("abcdefgh", 4096), "set/b": "beta"}
	e = Entry{Name: "set", Obtain: "Ask the owner."}
	for _, path := range []string{"set/a", "set/b"} {
		sum := sha256.Sum256([]byte(texts[path]))
		e.Files = append(e.Files, File{Path: path, Size: int64(len(texts[path])), SHA256: hex.EncodeToString(sum[:]), URL: "https://example.org/" + path})
	}
	return e, func(t *testing.T, dir string) {
		t.Helper()
		for path, text := range texts {
			write(t, filepath.Join(dir, path), text)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVerify(t *testing.T) {
	e, put := two()
	dir := t.TempDir()
	for i, row := range e.Verify(dir) {
		if row.Status != Missing || row.Path != e.Files[i].Path {
			t.Errorf("nothing there: %+v", row)
		}
	}
	put(t, dir)
	for _, row := range e.Verify(dir) {
		if row.Status != Present || row.Detail != "" {
			t.Errorf("%+v", row)
		}
	}
	b := filepath.Join(dir, "set", "b")
	for text, says := range map[string]string{"bets": "SHA-256", "bet": "3 bytes and should have 4", "": "should have 4"} {
		write(t, b, text)
		if row := e.Verify(dir)[1]; row.Status != Changed || !strings.Contains(row.Detail, says) {
			t.Errorf("%q instead of beta: %+v", text, row)
		}
	}
	os.Remove(b)
	if err := os.Mkdir(b, 0o755); err != nil {
		t.Fatal(err)
	}
	if row := e.Verify(dir)[1]; row.Status != Changed || !strings.Contains(row.Detail, "no file") {
		t.Errorf("a folder: %+v", row)
	}
}

// Without a published hash as much is checked as can be, and what cannot be is said.
func TestVerifyWithoutHash(t *testing.T) {
	var whole bytes.Buffer
	z := gzip.NewWriter(&whole)
	z.Write([]byte(strings.Repeat("gene\t1\n", 100)))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole.Bytes())
	flipped[len(flipped)-6] ^= 1 // in the checksum
	path := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		name, text string
		file       File
		status     Status
		says       string
	}{
		{"a whole gzip", whole.String(), File{Verify: VerifyGzip}, Present, "whole by its own"},
		{"a cut gzip", whole.String()[:whole.Len()-9], File{Verify: VerifyGzip}, Changed, "cut or damaged"},
		{"a damaged gzip", string(flipped), File{Verify: VerifyGzip}, Changed, "checksum"},
		{"an error page", "<html>busy</html>", File{Verify: VerifyGzip}, Changed, "no gzip"},
		{"the right size", "abc", File{Verify: VerifySize, Size: 3}, Present, "only its size"},
		{"another size", "abcd", File{Verify: VerifySize, Size: 3}, Changed, "4 bytes and should have 3"},
		{"nothing known", "abc", File{Verify: VerifyNone}, Present, "cannot be told"},
		{"nothing in it", "", File{Verify: VerifyNone}, Changed, "empty"},
	} {
		write(t, path, c.text)
		c.file.Path = "f"
		row := Entry{Files: []File{c.file}}.Verify(filepath.Dir(path))[0]
		if row.Status != c.status || !strings.Contains(row.Detail, c.says) {
			t.Errorf("%s: %+v", c.name, row)
		}
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
	e, put := two()
	put(t, full)
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
	put(t, filepath.Join(xdg, "hounsfield"))
	found("", "", filepath.Join(xdg, "hounsfield"), "fetch")
	os.Remove(filepath.Join(full, "set", "b"))
	refused(full, "", "set/b")
	e.Files[1].Optional = true
	found(full, "", full, "--mirror")
	e.Files[1].Optional, e.Files[1].URL = false, ""
	os.Remove(filepath.Join(xdg, "hounsfield", "set", "b"))
	refused("", "", "Ask the owner.", xdg)
}

// A user's own entry lies beside its files, whatever the environment says.
func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(MirrorVariable, t.TempDir())
	file := filepath.Join(dir, "entry.yaml")
	write(t, file, smallEntry)
	e, err := Load(file)
	if err != nil || e.Name != "small" {
		t.Fatalf("%+v: %v", e, err)
	}
	if _, _, err := Locate(e, ""); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "beside its YAML file") {
		t.Errorf("without its file: %v", err)
	}
	write(t, filepath.Join(dir, "small", "a.csv"), "abc")
	if root, how, err := Locate(e, ""); err != nil || root != dir || how != "beside its YAML file" {
		t.Errorf("%q by %q: %v", root, how, err)
	}
	other := t.TempDir()
	if _, _, err := Locate(e, other); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("a mirror that lacks it: %v", err)
	}
	t.Chdir(dir)
	if e, err := Load("entry.yaml"); err != nil || e.Name != "small" {
		t.Errorf("by a bare file name: %v", err)
	}
	for name, text := range map[string]string{
		"a public name":  strings.Replace(smallEntry, "name: small", "name: hosny2018", 1),
		"no name":        strings.Replace(smallEntry, "name: small", "name: ../x", 1),
		"a fault inside": strings.Replace(smallEntry, "rows: 1", "rows: 0", 1),
		"no YAML":        "[",
		"nothing":        "",
	} {
		write(t, file, text)
		if _, err := Load(file); !errors.As(err, new(*EntryError)) || !strings.Contains(err.Error(), "entry.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.As(err, new(*EntryError)) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// What is accepted is every licence and what follows from it: another word is another text.
func TestLicences(t *testing.T) {
	e, err := Parse("small.yaml", []byte(smallEntry))
	if err != nil {
		t.Fatal(err)
	}
	const want = `all but what follows: none
  Whether commercial use is allowed is not clear: ask the owner before.
  Do not pass copies on.
genes: free
  Commercial use is allowed.
  You may pass copies on, with the licence and the citation.
  name them
`
	if got := e.LicenceText(); got != want {
		t.Errorf("%q", got)
	}
	for _, change := range []func(*Entry){
		func(e *Entry) { e.Licence = "some" },
		func(e *Entry) { e.Terms.Commercial = No },
		func(e *Entry) { e.OtherLicences = nil },
	} {
		other := e
		change(&other)
		if other.LicenceText() == want {
			t.Error("a changed licence has the same text")
		}
	}
	for licence, name := range map[string]string{"CC BY-NC 3.0": "CC BY-NC 3.0", "none stated; published": "none stated", "CC BY 3.0 (scans)": "CC BY 3.0"} {
		if got := (Entry{Licence: licence}).LicenceName(); got != name {
			t.Errorf("%q is called %q", licence, got)
		}
	}
}
