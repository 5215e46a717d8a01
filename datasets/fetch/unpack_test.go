package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// entry is one of a zip that a test makes.
type entry struct {
	name string
	body []byte
	edit func(*zip.FileHeader)
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.edit != nil {
			e.edit(h)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.body); err != nil && !strings.HasSuffix(e.name, "/") {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func md5List(entries ...entry) entry {
	text := "Filename,MD5Hash\n"
	for _, e := range entries {
		text += fmt.Sprintf("%s,%x\n", e.name, md5.Sum(e.body))
	}
	return entry{name: "md5hashes.csv", body: []byte(text)}
}

// unpackBytes unpacks an archive below a new folder.
func unpackBytes(t testing.TB, archive []byte, it Item, hashes string) (dir string, files []member, err error) {
	t.Helper()
	root := t.TempDir()
	os.WriteFile(filepath.Join(root, "zip"), archive, 0o644)
	dir = filepath.Join(root, "deep", "in", "side")
	os.MkdirAll(filepath.Dir(dir), 0o755)
	it.Archive = true
	files, err = unpack(context.Background(), filepath.Join(root, "zip"), dir, it, hashes)
	// Nothing ever lies outside.
	filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() && filepath.Dir(name) != dir && name != filepath.Join(root, "zip") {
			t.Errorf("%s was written", name)
		}
		if d.Type()&fs.ModeSymlink != 0 {
			t.Errorf("%s is a link", name)
		}
		return nil
	})
	return dir, files, err
}

func TestUnpack(t *testing.T) {
	a, b := entry{name: "1-001.dcm", body: noise(1, 3000)}, entry{name: "1-002.dcm", body: bytes.Repeat([]byte("air "), 5000)}
	licence := entry{name: "LICENSE", body: []byte("CC BY")}
	stored := func(h *zip.FileHeader) { h.Method = zip.Store }
	known := Item{Size: 23_000, Files: 2, Beside: []string{"LICENSE"}}
	for _, test := range []struct {
		name    string
		entries []entry
		item    Item
		hashes  string
		names   string
	}{
		{"plain", []entry{b, a}, Item{Size: 23_000, Files: 2}, "", "1-001.dcm 1-002.dcm"},
		{"nothing known", []entry{a, b}, Item{Size: -1}, "", "1-001.dcm 1-002.dcm"},
		{"with a licence", []entry{licence, a, b}, known, "", "1-001.dcm 1-002.dcm LICENSE"},
		{"with checksums", []entry{licence, a, b, md5List(a, b)}, known, "md5hashes.csv", "1-001.dcm 1-002.dcm LICENSE md5hashes.csv"},
		{"in folders", []entry{{name: "x/"}, {name: "x/y/1-001.dcm", body: a.body, edit: stored}, {name: "z/b c.dcm", body: b.body}}, Item{Size: -1, Files: 2}, "", "1-001.dcm b c.dcm"},
		{"empty files", []entry{{name: "e"}}, Item{Size: 0, Files: 1}, "", "e"},
	} {
		dir, files, err := unpackBytes(t, zipOf(t, test.entries...), test.item, test.hashes)
		var names []string
		for _, m := range files {
			names = append(names, m.Name)
			got := mustRead(t, filepath.Join(dir, m.Name))
			if sumOf(got) != m.SHA256 || int64(len(got)) != m.Bytes || m.Beside != (m.Name == "LICENSE" || m.Name == "md5hashes.csv") {
				t.Errorf("%s: %+v", test.name, m)
			}
			for _, e := range test.entries {
				if strings.HasSuffix(e.name, m.Name) && !bytes.Equal(e.body, got) {
					t.Errorf("%s: %s has other bytes", test.name, m.Name)
				}
			}
		}
		if err != nil || strings.Join(names, " ") != test.names {
			t.Errorf("%s: %q, %v", test.name, names, err)
		}
	}
}

// claim writes another unpacked size into an archive: both where the directory says it and, in the
// entry's own header, nowhere.
func claim(archive []byte, size uint32) []byte {
	out := bytes.Clone(archive)
	at := bytes.LastIndex(out, []byte("PK\x01\x02"))
	out[at+24], out[at+25], out[at+26], out[at+27] = byte(size), byte(size>>8), byte(size>>16), byte(size>>24)
	return out
}

func TestUnpackRefuses(t *testing.T) {
	one := func(name string) []entry {
		return []entry{{name: "ok", body: []byte("x")}, {name: name, body: []byte("x")}}
	}
	mode := func(m fs.FileMode) func(*zip.FileHeader) { return func(h *zip.FileHeader) { h.SetMode(m) } }
	many := make([]entry, maxEntries+1)
	for i := range many {
		many[i].name = fmt.Sprint(i)
	}
	a, b := entry{name: "a", body: noise(1, 100)}, entry{name: "b", body: noise(2, 100)}
	zeros := zipOf(t, entry{name: "zeros", body: make([]byte, 80<<20)})
	good := zipOf(t, a, b)
	broken := bytes.Clone(good)
	broken[50] ^= 0xff
	stored := zipOf(t, entry{name: "a", body: noise(1, 100), edit: func(h *zip.FileHeader) { h.Method = zip.Store }})
	crc := bytes.Clone(stored)
	crc[bytes.Index(crc, noise(1, 100))+7] ^= 1
	for _, test := range []struct {
		name    string
		archive []byte
		item    Item
		hashes  string
		says    []string
	}{
		{"../", zipOf(t, one("../../evil")...), Item{Size: -1}, "", []string{`"../../evil"`, "another folder"}},
		{"a/../../", zipOf(t, one("a/../../evil")...), Item{Size: -1}, "", []string{"another folder"}},
		{"absolute", zipOf(t, one("/etc/evil")...), Item{Size: -1}, "", []string{"absolute"}},
		{"a drive", zipOf(t, one("C:evil")...), Item{Size: -1}, "", []string{"colon"}},
		{"backslashes", zipOf(t, one(`..\..\evil`)...), Item{Size: -1}, "", []string{"backslash"}},
		{"a link", zipOf(t, entry{name: "l", body: []byte("/etc/passwd"), edit: mode(fs.ModeSymlink | 0o777)}), Item{Size: -1}, "", []string{"link"}},
		{"a pipe", zipOf(t, entry{name: "l", edit: mode(fs.ModeNamedPipe | 0o777)}), Item{Size: -1}, "", []string{"no plain file"}},
		{"a folder that is a file", zipOf(t, entry{name: "l", edit: mode(fs.ModeDir | 0o777)}), Item{Size: -1}, "", []string{"no plain file"}},
		{"the same name", zipOf(t, one("ok")...), Item{Size: -1}, "", []string{`same name as "ok"`}},
		{"the same name by case", zipOf(t, one("OK")...), Item{Size: -1}, "", []string{`same name as "ok"`}},
		{"the same name in a folder", zipOf(t, one("x/ok")...), Item{Size: -1}, "", []string{`same name as "ok"`}},
		{"a device", zipOf(t, one("CON.dcm")...), Item{Size: -1}, "", []string{"device"}},
		{"a hidden name", zipOf(t, one(".partial")...), Item{Size: -1}, "", []string{"dot"}},
		{"no name", zipOf(t, entry{name: "", body: nil}), Item{Size: -1}, "", []string{"empty"}},
		{"a byte that is no letter", zipOf(t, one("a\x00b")...), Item{Size: -1}, "", []string{"cannot be printed"}},
		{"a long name", zipOf(t, one(strings.Repeat("x", 256))...), Item{Size: -1}, "", []string{"255"}},
		{"too many entries", zipOf(t, many...), Item{Size: -1}, "", []string{"20001 entries", "at most 20000"}},
		{"more entries than files", zipOf(t, many[:200]...), Item{Size: -1, Files: 3}, "", []string{"200 entries"}},
		{"zeros, of unknown size", zeros, Item{Size: -1}, "", []string{"unpack to 84 MB", "at most 75 MB"}},
		{"zeros, of known size", zeros, Item{Size: 1000}, "", []string{"unpack to 84 MB", "at most"}},
		{"zeros that claim to be few", claim(zeros, 500), Item{Size: -1}, "", []string{"zeros"}},
		{"zeros that claim to be as many as are known", claim(zeros, 1000), Item{Size: 1000}, "", []string{"zeros"}},
		{"few that claim to be many", claim(good, 5000), Item{Size: -1}, "", []string{"unexpected EOF"}},
		{"10 GB claimed", claim(zipOf(t, a), math.MaxUint32-1), Item{Size: -1}, "", []string{"4.3 GB"}},
		{"zeros as a licence", zipOf(t, a, entry{name: "LICENSE", body: make([]byte, maxBeside+1)}), Item{Size: 100, Files: 1, Beside: []string{"LICENSE"}}, "", []string{"LICENSE", "1.0 MB"}},
		{"entries that share their bytes", func() []byte {
			// The directory lists the one entry 26 times, under other names.
			z := bytes.Clone(stored)
			at, end := bytes.LastIndex(z, []byte("PK\x01\x02")), bytes.LastIndex(z, []byte("PK\x05\x06"))
			var dir []byte
			for i := range 26 {
				one := bytes.Clone(z[at:end])
				one[46] = byte('A' + i)
				dir = append(dir, one...)
			}
			tail := bytes.Clone(z[end:])
			tail[8], tail[10] = 26, 26
			tail[12], tail[13] = byte(len(dir)), byte(len(dir)>>8)
			return append(append(z[:at:at], dir...), tail...)
		}(), Item{Size: -1}, "", []string{"its entries say they take"}},
		{"encrypted", func() []byte { z := bytes.Clone(stored); z[bytes.LastIndex(z, []byte("PK\x01\x02"))+8] |= 1; return z }(), Item{Size: -1}, "", []string{"encrypted"}},
		{"another method", func() []byte { z := bytes.Clone(stored); z[bytes.LastIndex(z, []byte("PK\x01\x02"))+10] = 12; return z }(), Item{Size: -1}, "", []string{"method (12)"}},
		{"damaged", broken, Item{Size: -1}, "", []string{"broken"}},
		{"a wrong CRC", crc, Item{Size: -1}, "", []string{"checksum error"}},
		{"cut", good[:len(good)-10], Item{Size: -1}, "", []string{"broken or cut"}},
		{"cut to nothing", nil, Item{Size: -1}, "", []string{"it is none"}},
		{"a web page", []byte("<html><body>Please log in</body></html>"), Item{Size: -1}, "", []string{"it is none", "<html><body>Please"}},
		{"empty", zipOf(t), Item{Size: -1}, "", []string{"no file"}},
		{"only a licence", zipOf(t, entry{name: "LICENSE"}), Item{Size: -1, Beside: []string{"LICENSE"}}, "", []string{"no file"}},
		{"fewer files", good, Item{Size: -1, Files: 3}, "", []string{"2 files and should hold 3"}},
		{"fewer bytes", good, Item{Size: 300}, "", []string{"200 bytes together and should have 300"}},
		{"no list of checksums", good, Item{Size: -1}, "md5hashes.csv", []string{"md5hashes.csv, is missing", "half-way"}},
		{"a file that is not listed", zipOf(t, a, b, md5List(a)), Item{Size: -1}, "md5hashes.csv", []string{`"b"`, "not in the archive's list"}},
		{"a listed file that is not there", zipOf(t, a, md5List(a, b)), Item{Size: -1}, "md5hashes.csv", []string{`"b"`, "but not in the archive"}},
		{"another checksum", zipOf(t, a, md5List(entry{name: "a"})), Item{Size: -1}, "md5hashes.csv", []string{"MD5 is", "d41d8cd98f00b204e9800998ecf8427e"}},
		{"an unreadable list", zipOf(t, a, entry{name: "md5hashes.csv", body: []byte("hello")}), Item{Size: -1}, "md5hashes.csv", []string{"list of checksums"}},
	} {
		_, _, err := unpackBytes(t, test.archive, test.item, test.hashes)
		if !errors.As(err, new(*ArchiveError)) {
			t.Errorf("%s: got %T (%v)", test.name, err, err)
			continue
		}
		says(t, err, append(test.says, "the zip archive")...)
	}
}

// A directory of a million entries is not even read.
func TestUnpackDirectory(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range 200_000 {
		if _, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("a-long-name-for-an-entry-%060d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	_, _, err := unpackBytes(t, b.Bytes(), Item{Size: -1}, "")
	says(t, err, "directory is longer than")
}

// An archive larger than 4 GB needs the long form of sizes (Zip64); so may a small one use it.
func TestUnpackZip64(t *testing.T) {
	body := noise(1, 5000)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.CreateHeader(&zip.FileHeader{Name: "a", Method: zip.Deflate})
	w.Write(body)
	z.Close()
	raw := b.Bytes()
	at := bytes.LastIndex(raw, []byte("PK\x01\x02"))
	end := bytes.LastIndex(raw, []byte("PK\x05\x06"))
	dir := bytes.Clone(raw[at:end])
	size := uint64(dir[24]) | uint64(dir[25])<<8 | uint64(dir[26])<<16
	copy(dir[24:28], "\xff\xff\xff\xff")
	extra := []byte{1, 0, 8, 0, byte(size), byte(size >> 8), byte(size >> 16), 0, 0, 0, 0, 0}
	dir[30], dir[31] = byte(len(extra)), 0
	dir = append(dir[:46+1], append(extra, dir[46+1:]...)...)
	tail := bytes.Clone(raw[end:])
	tail[12], tail[13] = byte(len(dir)), byte(len(dir)>>8)
	long := append(append(bytes.Clone(raw[:at]), dir...), tail...)
	d, _, err := unpackBytes(t, long, Item{Size: 5000, Files: 1}, "")
	if err != nil || !bytes.Equal(mustRead(t, filepath.Join(d, "a")), body) {
		t.Error(err)
	}
}

// Whatever an archive holds, nothing is written outside its folder, no more than was allowed, and
// what is accepted is what a plain reader of zip archives finds.
func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, entry{name: "1-001.dcm", body: []byte("DICM")}, entry{name: "LICENSE", body: []byte("CC")}))
	f.Add(zipOf(f, entry{name: "../x", body: []byte("x")}))
	f.Add(zipOf(f, entry{name: "a/b", body: bytes.Repeat([]byte("x"), 1000)}, entry{name: "a/"}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		dir, files, err := unpackBytes(t, archive, Item{Size: -1, Beside: []string{"LICENSE"}}, "")
		if err != nil {
			return
		}
		z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string][]byte)
		for _, e := range z.File {
			if r, err := e.Open(); err == nil && !strings.HasSuffix(e.Name, "/") {
				want[e.Name[strings.LastIndex(e.Name, "/")+1:]], _ = io.ReadAll(r)
			}
		}
		for _, m := range files {
			if got := mustRead(t, filepath.Join(dir, m.Name)); !bytes.Equal(got, want[m.Name]) || sumOf(got) != m.SHA256 {
				t.Errorf("%q has other bytes", m.Name)
			}
			delete(want, m.Name)
		}
		if len(want) > 0 {
			t.Errorf("%d files are left out", len(want))
		}
	})
}

// A byte of an archive changed, or a cut, ends in the same files or in an error.
func TestUnpackDamage(t *testing.T) {
	archive := zipOf(t, entry{name: "1-001.dcm", body: noise(1, 40)}, entry{name: "1-002.dcm", body: bytes.Repeat([]byte("air "), 50)})
	it := Item{Size: 240, Files: 2}
	_, want, err := unpackBytes(t, archive, it, "")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for i := 0; i < len(archive); i += 2 {
		for _, damaged := range [][]byte{archive[:i], append(append(bytes.Clone(archive[:i]), archive[i]^byte(1+r.IntN(255))), archive[i+1:]...)} {
			_, got, err := unpackBytes(t, damaged, it, "")
			if err == nil {
				accepted++
				for k := range got { // a name is not covered by any checksum
					if got[k].SHA256 != want[k].SHA256 && !slices.ContainsFunc(want, func(m member) bool { return m.SHA256 == got[k].SHA256 }) {
						t.Fatalf("byte %d: other bytes are taken", i)
					}
				}
			} else if !errors.As(err, new(*ArchiveError)) {
				t.Fatalf("byte %d: %T %v", i, err, err)
			}
		}
	}
	t.Logf("%d archives of %d bytes damaged, %d accepted with the right bytes", len(archive), len(archive), accepted)
}
