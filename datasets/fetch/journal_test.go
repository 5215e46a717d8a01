package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func item(path string, n int64) record {
	return record{Record: recordItem, Path: path, Bytes: n, SHA256: strings.Repeat("0", 64), When: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

func writeJournal(t testing.TB, dest string, records ...record) string {
	t.Helper()
	os.MkdirAll(filepath.Join(dest, "set"), 0o755)
	k, err := readJournal(dest, "set")
	if err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(k)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for _, r := range records {
		if err := j.write(r); err != nil {
			t.Fatal(err)
		}
	}
	return k.file
}

// Cut at any byte, a journal reads as its whole lines, and goes on after them.
func TestJournalTorn(t *testing.T) {
	dest := t.TempDir()
	file := writeJournal(t, dest, record{Record: recordBegun, Licence: "CC BY", AcceptedBy: "x"}, item("set/a", 1), item("set/b", 2), item("set/a", 3))
	whole := mustRead(t, file)
	for n := 0; n <= len(whole); n++ {
		lines := bytes.Count(whole[:n], []byte("\n"))
		os.WriteFile(file, whole[:n], 0o644)
		k, err := readJournal(dest, "set")
		if err != nil || len(k.begun) != min(lines, 1) || len(k.items) != max(0, min(lines-1, 2)) {
			t.Fatalf("cut at %d: %d items, %v", n, len(k.items), err)
		}
		if lines == 4 && k.items["set/a"].Bytes != 3 {
			t.Error("of two records of a path the first counts")
		}
		if n%7 > 0 {
			continue
		}
		writeJournal(t, dest, item("set/c", 4))
		k, err = readJournal(dest, "set")
		if err != nil || k.items["set/c"].Bytes != 4 || k.size != k.whole {
			t.Fatalf("cut at %d and gone on: %+v, %v", n, k.items, err)
		}
	}
	// What is torn may be longer than what comes next: nothing of it stays behind that.
	os.WriteFile(file, append(bytes.Clone(whole), `{"record":"item","path":"set/`+strings.Repeat("x", 5000)...), 0o644)
	writeJournal(t, dest, item("set/d", 5))
	if k, err := readJournal(dest, "set"); err != nil || k.items["set/d"].Bytes != 5 || k.size != k.whole {
		t.Errorf("after a long torn line: %v", err)
	}
	// A machine that went down may leave zeros, or the end of a line without its beginning.
	for _, tail := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\n", `0000"}` + "\n"} {
		os.WriteFile(file, append(bytes.Clone(whole), tail...), 0o644)
		if k, err := readJournal(dest, "set"); err != nil || k.whole != int64(len(whole)) {
			t.Errorf("%q at the end: %v", tail, err)
		}
	}
}

func TestJournalRefuses(t *testing.T) {
	dest := t.TempDir()
	file := writeJournal(t, dest, item("set/a", 1))
	whole := string(mustRead(t, file))
	for _, test := range []struct{ text, says string }{
		{"hello\n" + whole, "line 1: is no record"},
		{whole + "{\n" + whole, "line 2: is no record"},
		{whole + `{"record":"future","when":"2026-03-01T00:00:00Z"}` + "\n", `line 2: there is no record of the kind "future"`},
		{strings.Replace(whole, "set/a", "../a", 1), "leads to another folder"},
		{strings.Replace(whole, `"sha256"`, `"archive":true,"files":[{"name":"../../x","bytes":1}],"sha256"`, 1), "leads to another folder"},
	} {
		os.WriteFile(file, []byte(test.text), 0o644)
		_, err := readJournal(dest, "set")
		if !errors.As(err, new(*JournalError)) {
			t.Errorf("%q: %v", test.text, err)
		}
		says(t, err, test.says, "take that line out", file)
		if _, err := Run(context.Background(), "set", listing{}, options(t, dest)); !errors.As(err, new(*JournalError)) {
			t.Errorf("run: %v", err)
		}
		if _, _, err := Accepted(dest, "set", "x"); !errors.As(err, new(*JournalError)) {
			t.Errorf("accepted: %v", err)
		}
		if _, err := Verify(context.Background(), dest, "set", nil); !errors.As(err, new(*JournalError)) {
			t.Errorf("verify: %v", err)
		}
	}
	os.Remove(file)
	os.Mkdir(file, 0o755)
	_, err := readJournal(dest, "set")
	says(t, err, "cannot be read")
}

// Whatever stands in a journal, reading ends in records with safe paths or in an error.
func FuzzJournal(f *testing.F) {
	line, _ := json.Marshal(item("set/a", 1))
	f.Add(append(line, '\n'))
	f.Add([]byte(`{"record":"item","path":"set/s","archive":true,"files":[{"name":"a","bytes":1,"sha256":""}]}` + "\n{"))
	f.Add([]byte("{}\n[]\nnull\n"))
	dest := f.TempDir()
	os.Mkdir(filepath.Join(dest, "set"), 0o755)
	f.Fuzz(func(t *testing.T, text []byte) {
		os.WriteFile(journalFile(dest, "set"), text, 0o644)
		k, err := readJournal(dest, "set")
		if err != nil {
			if !errors.As(err, new(*JournalError)) {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		for path := range k.files {
			if !filepath.IsLocal(filepath.FromSlash(path)) {
				t.Errorf("the path %q leads elsewhere", path)
			}
		}
		if k.whole > k.size || k.whole > 0 && text[k.whole-1] != '\n' {
			t.Errorf("whole up to %d of %d", k.whole, k.size)
		}
	})
}

// What was fetched as a series from one archive is known file by file, and the other way round.
func TestJournalFinds(t *testing.T) {
	k := &known{items: make(map[string]record), files: make(map[string]member)}
	series := item("set/s", 30)
	series.Archive, series.Files = true, []member{{Name: "a", Bytes: 10}, {Name: "b", Bytes: 20}, {Name: "LICENSE", Bytes: 5, Beside: true}}
	for _, r := range []record{series, item("set/t/a", 1), item("set/t/b", 2), item("set/u", 3)} {
		if p := k.add(r); p != "" {
			t.Fatal(p)
		}
	}
	for _, test := range []struct {
		item  Item
		bytes int64
		known bool
	}{
		{Item{Path: "set/s", Archive: true}, 30, true},
		{Item{Path: "set/s/b"}, 20, true},
		{Item{Path: "set/s"}, 0, false},
		{Item{Path: "set/t", Archive: true, Files: 2}, 3, true},
		{Item{Path: "set/t", Archive: true, Files: 3}, 0, false},
		{Item{Path: "set/t", Archive: true}, 0, false},
		{Item{Path: "set/u"}, 3, true},
		{Item{Path: "set/v"}, 0, false},
	} {
		r, ok := k.find(test.item)
		if ok != test.known || ok && r.Bytes != test.bytes {
			t.Errorf("%+v: %+v, %v", test.item, r, ok)
		}
	}
	series.Files = series.Files[:1]
	k.add(series)
	if _, ok := k.find(Item{Path: "set/s/b"}); ok {
		t.Error("a file of a former version is still known")
	}
}

func TestVerify(t *testing.T) {
	s, items, want := serial(t, 40)
	o := options(t, t.TempDir())
	mustRun(t, s.source(o.Client, items, nil), o)
	var last Event
	check := func() map[string]Checked {
		rows, err := Verify(context.Background(), o.Dest, "set", func(e Event) { last = e })
		if err != nil || len(rows) != len(want) {
			t.Fatalf("%+v, %v", rows, err)
		}
		out := make(map[string]Checked)
		for _, r := range rows {
			out[r.Path] = r
		}
		return out
	}
	for path, row := range check() {
		if row.Status != Present || want[path] == nil {
			t.Errorf("%+v", row)
		}
	}
	if last.Done != last.Total || last.Total != 51_000 || last.Items != 4 || last.Of != 4 {
		t.Errorf("the last event is %+v", last)
	}
	at := func(p string) string { return filepath.Join(o.Dest, filepath.FromSlash(p)) }
	b := bytes.Clone(want["set/a"])
	b[777] ^= 1
	os.WriteFile(at("set/a"), b, 0o644)
	os.Remove(at("set/p/1.2.3/2.dcm"))
	os.WriteFile(at("set/p/1.2.3/1.dcm"), nil, 0o644)
	os.Remove(at("set/z"))
	os.Mkdir(at("set/z"), 0o755)
	rows := check()
	for path, wantRow := range map[string]Checked{"set/a": {Status: Modified, Detail: "SHA-256 is " + sumOf(b)}, "set/p/1.2.3/2.dcm": {Status: Missing, Detail: "not there"},
		"set/p/1.2.3/1.dcm": {Status: Modified, Detail: "0 bytes and should have 9000"}, "set/z": {Status: Modified, Detail: "folder"}} {
		if rows[path].Status != wantRow.Status || !strings.Contains(rows[path].Detail, wantRow.Detail) {
			t.Errorf("%+v, want %+v", rows[path], wantRow)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, o.Dest, "set", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if rows, err := Verify(context.Background(), t.TempDir(), "set", nil); len(rows) > 0 || err != nil {
		t.Errorf("without a journal: %v, %v", rows, err)
	}
	// What was lost comes back, the folder in the place of a file is left to its owner.
	o.Full = true
	r, err := Run(context.Background(), "set", s.source(o.Client, items, nil), o)
	says(t, err, "set/z is a folder, and should be a file", "move it away")
	if states(r) != "fetched, fetched, failed" {
		t.Errorf("%+v", r.Rows)
	}
}
