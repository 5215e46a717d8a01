package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func three() map[string][]byte {
	return map[string][]byte{"a.csv": noise(1, 300_000), "dicom/P1/b.dcm": noise(2, 100_000), "c.gz": []byte("short")}
}

func TestRun(t *testing.T) {
	s := newShelf(t, three())
	dest := filepath.Join(t.TempDir(), "new", "folder")
	o := options(t, dest)
	var last Event
	o.Progress = func(e Event) {
		if e.Done > e.Total || e.Items < last.Items {
			t.Errorf("%+v after %+v", e, last)
		}
		last = e
	}
	dry := o
	dry.DryRun, dry.Acceptance = true, Acceptance{}
	r := mustRun(t, s.source(o.Client, s.items(), nil), dry)
	p := r.Plan
	if p.Fetch != 3 || p.Here != 0 || p.Bytes != 400_005 || p.Unknown != 0 || p.Need < p.Bytes || p.Free < p.Need || p.Items[1].State != ToFetch || r.Rows != nil {
		t.Errorf("plan %+v", p)
	}
	if _, err := os.Stat(dest); !errors.Is(err, os.ErrNotExist) || len(s.asked) != 0 {
		t.Errorf("a dry run made the folder (%v) or asked for %v", err, s.asked)
	}
	r = mustRun(t, s.source(o.Client, s.items(), nil), o)
	if r.Fetched != 3 || r.Bytes != 400_005 || r.Again != 0 || states(r) != "fetched, fetched, fetched" {
		t.Errorf("result %+v", r)
	}
	if last.Done != 400_005 || last.Total != 400_005 || last.Items != 3 || last.Of != 3 || last.Now != "" {
		t.Errorf("the last event is %+v", last)
	}
	wantTree(t, dest, inSet(s.files))
	wantJournal(t, dest, "set/a.csv", "set/dicom/P1/b.dcm", "set/c.gz")
	text, err := os.ReadFile(r.Journal)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{`"record":"begun"`, `"licence":"CC BY 3.0"`, `"accepted_by":"tester"`, `"record":"complete"`, sumOf(s.files["a.csv"]), s.URL + "/a.csv"} {
		if !strings.Contains(string(text), w) {
			t.Errorf("the journal does not hold %s:\n%s", w, text)
		}
	}
	if strings.Contains(string(text), "hush") {
		t.Errorf("the journal tells a secret: %s", text)
	}
	// The second time nothing is asked for and nothing is written.
	last = Event{}
	r = mustRun(t, s.source(o.Client, s.items(), nil), o)
	if r.Fetched != 0 || r.Plan.Here != 3 || s.count("a.csv") != 1 || states(r) != "here, here, here" {
		t.Errorf("a second run: %+v, %v", r, s.asked)
	}
	if again, _ := os.ReadFile(r.Journal); string(again) != string(text) {
		t.Errorf("a second run wrote %s", again[len(text):])
	}
	// What was lost or damaged here is fetched again; damage of the same length when asked to look.
	os.Remove(filepath.Join(dest, "set", "a.csv"))
	os.WriteFile(filepath.Join(dest, "set", "dicom", "P1", "b.dcm"), []byte("x"), 0o644)
	os.WriteFile(filepath.Join(dest, "set", "c.gz"), []byte("snort"), 0o644)
	last = Event{}
	r = mustRun(t, s.source(o.Client, s.items(), nil), o)
	if states(r) != "fetched, here, fetched" || !strings.Contains(r.Plan.Items[0].Why, "gone") || !strings.Contains(r.Plan.Items[2].Why, "1 bytes") {
		t.Errorf("after damage: %+v", r)
	}
	o.Full, last = true, Event{}
	if r = mustRun(t, s.source(o.Client, s.items(), nil), o); states(r) != "here, fetched, here" {
		t.Errorf("after a full look: %+v", r)
	}
	wantTree(t, dest, inSet(s.files))
	wantJournal(t, dest, "set/a.csv", "set/dicom/P1/b.dcm", "set/c.gz")
}

// One worker and many make the same files and journal, but for the order of its lines.
func TestRunWorkers(t *testing.T) {
	files := make(map[string][]byte)
	for i := range 24 {
		files["f"+strings.Repeat("x", i)] = noise(uint64(i), 1000*i)
	}
	s := newShelf(t, files)
	for _, jobs := range []int{1, 2, 7} {
		dest := t.TempDir()
		o := options(t, dest)
		o.Jobs = jobs
		if r := mustRun(t, s.source(o.Client, s.items(), nil), o); r.Fetched != 24 {
			t.Errorf("%d workers: %d fetched", jobs, r.Fetched)
		}
		wantTree(t, dest, inSet(files))
	}
}

func TestRefuses(t *testing.T) {
	s := newShelf(t, three())
	o := options(t, t.TempDir())
	src := func(edit func(*Item)) Source { return s.source(o.Client, s.items(), edit) }
	run := func(dataset string, src Source, o Options) error {
		_, err := Run(context.Background(), dataset, src, o)
		return err
	}
	none := o
	none.Acceptance = Acceptance{Licence: "CC BY 3.0"}
	if err := run("set", src(nil), none); !errors.As(err, new(*LicenceError)) {
		t.Errorf("without acceptance: %v", err)
	}
	for path, why := range map[string]string{
		"set/../../etc/passwd": "leads to another", "/etc/passwd": "an empty part", `set\a`: "backslash", "set/.fetch.lock": "begins with a dot",
		"set/aux.txt": "a device", "set/Fetched.jsonl": "journal", "set/A": "same name", "set/dicom": "inside it", "set/a/b": "inside it",
	} {
		err := run("set", listing{{Path: "set/a", Size: 1}, {Path: "set/dicom/P1/b", Size: -1}, {Path: path, Size: 3}}, o)
		if !errors.As(err, new(*ListError)) {
			t.Errorf("%s: %v", path, err)
		}
		says(t, err, why)
	}
	if err := run("set", listing{{Path: "set/a", Size: -7}}, o); !errors.As(err, new(*ListError)) {
		t.Errorf("a size of -7 bytes: %v", err)
	}
	for _, name := range []string{"", "..", "a/b", ".x"} {
		if err := run(name, src(nil), o); !errors.As(err, new(*ListError)) {
			t.Errorf("data set %q: %v", name, err)
		}
	}
	if len(s.asked) != 0 {
		t.Errorf("asked for %v", s.asked)
	}
}

// Two processes are not let at one data set; a flock of the same process on another open file is
// as good as one of another process.
func TestBusy(t *testing.T) {
	s := newShelf(t, three())
	o := options(t, t.TempDir())
	lock, err := lockDataset(o.Dest, "set")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(context.Background(), "set", s.source(o.Client, s.items(), nil), o)
	if !errors.As(err, new(*BusyError)) {
		t.Errorf("got %v", err)
	}
	says(t, err, "another process is fetching set")
	lock.Close()
	mustRun(t, s.source(o.Client, s.items(), nil), o)
}

// What is here and has changed at the source is kept and reported; with Refresh it is replaced, and
// kept as it is when that fails.
func TestChangedAtSource(t *testing.T) {
	for name, edit := range map[string]func(*Item, []byte){
		"size":    func(it *Item, b []byte) { it.Size, it.SHA256 = int64(len(b)), "" },
		"SHA-256": func(it *Item, b []byte) { it.SHA256 = sumOf(b) },
		"version": func(it *Item, b []byte) { it.Size, it.SHA256, it.Version = -1, "", sumOf(b)[:8] },
	} {
		t.Run(name, func(t *testing.T) {
			before, after := noise(1, 50_000), noise(2, 50_000)
			if name == "size" {
				after = after[:40_000]
			}
			s := newShelf(t, map[string][]byte{"a": before})
			o := options(t, t.TempDir())
			list := func() Source { return s.source(o.Client, s.items(), func(it *Item) { edit(it, s.files["a"]) }) }
			mustRun(t, list(), o)
			s.set("a", after)
			r := mustRun(t, list(), o)
			if states(r) != string(Changed) || !strings.Contains(r.Rows[0].Detail, name) && !strings.Contains(r.Rows[0].Detail, "bytes there") || r.Plan.Changed != 1 {
				t.Errorf("result %+v", r)
			}
			wantTree(t, o.Dest, map[string][]byte{"set/a": before})
			o.Refresh = true
			src := list()
			s.set("a", noise(3, 1000)) // and again between the list and the transfer
			if name != "version" {
				_, err := Run(context.Background(), "set", src, o)
				if !errors.As(err, new(*ChecksumError)) || !errors.As(err, new(*TransferError)) {
					t.Errorf("got %v", err)
				}
				wantTree(t, o.Dest, map[string][]byte{"set/a": before})
				wantJournal(t, o.Dest, "set/a")
			}
			s.set("a", after)
			if r := mustRun(t, list(), o); states(r) != string(Fetched) {
				t.Errorf("result %+v", r)
			}
			wantTree(t, o.Dest, map[string][]byte{"set/a": after})
			wantJournal(t, o.Dest, "set/a")
		})
	}
}

// A file that this program did not fetch is taken as it is when it is the right one, replaced when
// a checksum says that it is wrong, and else never touched.
func TestOthersFiles(t *testing.T) {
	s := newShelf(t, map[string][]byte{"a": noise(1, 5000)})
	for _, test := range []struct {
		name   string
		pinned bool
		there  []byte
		end    State
		asked  int
	}{
		{"the right one, known", true, noise(1, 5000), Here, 0},
		{"a wrong one, known", true, noise(2, 5000), Fetched, 1},
		{"the right one, unknown", false, noise(1, 5000), Fetched, 1},
		{"a wrong one, unknown", false, noise(2, 5000), Failed, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t, t.TempDir())
			path := filepath.Join(o.Dest, "set", "a")
			os.MkdirAll(filepath.Dir(path), 0o755)
			os.WriteFile(path, test.there, 0o644)
			src := s.source(o.Client, s.items(), func(it *Item) {
				if !test.pinned {
					it.SHA256 = ""
				}
			})
			was := s.count("a")
			for range 2 { // what is adopted is known the second time
				r, err := Run(context.Background(), "set", src, o)
				if states(r) != string(test.end) {
					t.Fatalf("%+v, %v", r, err)
				}
				if test.end == Failed {
					says(t, err, "another file", "has not fetched", "move it away")
					wantTree(t, o.Dest, map[string][]byte{"set/a": test.there, "set/.a.partial": s.files["a"],
						"set/.a.partial.json": mustRead(t, filepath.Join(o.Dest, "set", ".a.partial.json"))})
				} else {
					wantTree(t, o.Dest, inSet(s.files))
					wantJournal(t, o.Dest, "set/a")
					test.end = Here
				}
			}
			if n := s.count("a") - was; n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
		})
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The room on the disk is looked at before anything is transferred, and again on the way.
func TestSpace(t *testing.T) {
	s := newShelf(t, three())
	o := options(t, t.TempDir())
	o.free = func(string) (int64, error) { return 400_000, nil }
	_, err := Run(context.Background(), "set", s.source(o.Client, s.items(), nil), o)
	space := (*SpaceError)(nil)
	if !errors.As(err, &space) || space.Need < 400_005 || len(s.asked) != 0 {
		t.Errorf("got %v; asked for %v", err, s.asked)
	}
	says(t, err, "400 kB free", "make room", "--dest")
	dry := o
	dry.DryRun = true
	if p := mustRun(t, s.source(o.Client, s.items(), nil), dry).Plan; p.Free != 400_000 || p.Need <= p.Free {
		t.Errorf("plan %+v", p)
	}
	// Sizes that nobody knows show when the transfer begins: then nothing of it is written.
	o.free = func(string) (int64, error) { return leastRoom + 350_000, nil }
	unknown := func(it *Item) { it.Size = -1 }
	if p := mustRun(t, s.source(o.Client, s.items(), unknown), dry).Plan; p.Unknown != 3 || p.Bytes != 0 {
		t.Errorf("plan %+v", p)
	}
	o.free = func(string) (int64, error) { return leastRoom + 200_000, nil }
	r, err := Run(context.Background(), "set", s.source(o.Client, s.items(), unknown), o)
	if !errors.As(err, &space) || r.Rows[0].State != Failed {
		t.Errorf("got %v, %+v", err, r.Rows)
	}
	o.free = func(string) (int64, error) { return -1, errors.ErrUnsupported } // as on a system that cannot tell
	if r := mustRun(t, s.source(o.Client, s.items(), unknown), o); r.Plan.Free != -1 || r.Fetched+r.Plan.Here != 3 {
		t.Errorf("%+v", r)
	}
	wantTree(t, o.Dest, inSet(s.files))
}

// Stopped half-way, the same call goes on; nothing is asked for twice.
func TestStopped(t *testing.T) {
	s := newShelf(t, three())
	o := options(t, t.TempDir())
	o.Jobs = 1
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	o.at = func(step string) {
		if step == "written" {
			if n++; n == 1 {
				cancel()
			}
		}
	}
	r, err := Run(ctx, "set", s.source(o.Client, s.items(), nil), o)
	if !errors.Is(err, context.Canceled) || states(r) != "not tried, not tried, not tried" {
		t.Errorf("%v, %+v", err, r.Rows)
	}
	says(t, err, "3 items to come", "the same command goes on")
	o.at = nil
	r = mustRun(t, s.source(o.Client, s.items(), nil), o)
	if r.Fetched != 3 || r.Plan.Items[0].Have == 0 || r.Bytes+r.Plan.Items[0].Have != 400_005 || len(s.ranges) != 1 {
		t.Errorf("%+v, ranges %v", r, s.ranges)
	}
	wantTree(t, o.Dest, inSet(s.files))
	if _, err := Run(ctx, "set", s.source(o.Client, s.items(), nil), o); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped before: %v", err)
	}
}

// half stops a run in the middle of the transfer of its first item.
func half(t *testing.T, src Source, o Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	o.Jobs, o.at = 1, func(step string) {
		if step == "written" {
			cancel()
		}
	}
	if _, err := Run(ctx, "set", src, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not stopped: %v", err)
	}
}

// A partial file is gone on with only if it is surely of the same version; else it starts over,
// without a try being lost.
func TestOtherPartial(t *testing.T) {
	before, after := noise(1, 800_000), noise(2, 800_000)
	for name, edit := range map[string]func(*Item, []byte){
		"the same":         func(it *Item, b []byte) { it.SHA256, it.Version = "", "1" },
		"a new version":    func(it *Item, b []byte) { it.SHA256, it.Version = "", sumOf(b)[:8] },
		"a new SHA-256":    func(it *Item, b []byte) {},
		"a new size":       func(it *Item, b []byte) { it.SHA256, it.Version = "", "1" },
		"another source":   func(it *Item, b []byte) { it.SHA256, it.Version, it.Source = "", "1", sumOf(b)[:8] },
		"a new start":      func(it *Item, b []byte) { it.SHA256, it.Version = "", "1" },
		"a new start, but": func(it *Item, b []byte) { it.Version = "1" },
	} {
		t.Run(name, func(t *testing.T) {
			now := after
			gone := name == "the same" || strings.HasPrefix(name, "a new start")
			if gone {
				now = before
			} else if name == "a new size" {
				now = after[:799_999]
			}
			s := newShelf(t, map[string][]byte{"a": before})
			s.etags["a"] = ""
			o := options(t, t.TempDir())
			list := func() Source { return s.source(o.Client, s.items(), func(it *Item) { edit(it, s.files["a"]) }) }
			half(t, list(), o)
			at := placeOf(o.Dest, "set/a")
			if strings.HasPrefix(name, "a new start") { // of the machine
				tr := at.readTrace()
				tr.Boot = "another"
				at.writeTrace(tr)
			}
			s.set("a", now)
			s.etags["a"] = ""
			r := mustRun(t, list(), o)
			wantTree(t, o.Dest, map[string][]byte{"set/a": now})
			if resumed := r.Plan.Items[0].Have > 0; resumed != (name == "the same" || name == "a new start, but") || len(s.ranges) > 0 != resumed || r.Again != 0 {
				t.Errorf("resumed: %v, ranges %v, %d tries more", resumed, s.ranges, r.Again)
			}
		})
	}
}

// A refresh that was stopped and is not wanted any more leaves nothing behind.
func TestAbandonedRefresh(t *testing.T) {
	before := noise(1, 800_000)
	s := newShelf(t, map[string][]byte{"a": before})
	o := options(t, t.TempDir())
	mustRun(t, s.source(o.Client, s.items(), nil), o)
	s.set("a", noise(2, 800_000))
	again := o
	again.Refresh = true
	half(t, s.source(o.Client, s.items(), nil), again)
	if r := mustRun(t, s.source(o.Client, s.items(), nil), o); r.Plan.Changed != 1 || !exists(filepath.Join(o.Dest, "set", ".a.partial")) {
		t.Errorf("%+v", r)
	}
	s.set("a", before)
	if r := mustRun(t, s.source(o.Client, s.items(), nil), o); r.Plan.Here != 1 {
		t.Errorf("%+v", r)
	}
	wantTree(t, o.Dest, inSet(s.files))
}

// What was whole, and of which nobody knows a checksum, is still whole when it is put under its name.
func TestWholeButDamaged(t *testing.T) {
	s, items, want := serial(t, 60)
	for _, path := range []string{"set/z", "set/p/1.2.3"} {
		o := options(t, t.TempDir())
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		o.free, o.at = freeSpace, func(step string) {
			if n == 0 && step == "whole" && exists(placeOf(o.Dest, path).partial) {
				n++
				cancel()
				panic("killed") // a recovered panic leaves what a kill leaves
			}
		}
		func() {
			defer func() { recover() }()
			w := &work{dataset: "set", src: s.source(o.Client, items, nil), o: o, client: o.Client, known: &known{}}
			w.progress = newProgress(nil, Plan{})
			for _, it := range items {
				tr := &transfer{w: w, item: it, place: placeOf(o.Dest, it.Path)}
				if it.Path == path {
					tr.fetch(ctx)
				}
			}
		}()
		at := placeOf(o.Dest, path)
		b := mustRead(t, at.partial)
		b[len(b)/3] ^= 1
		os.WriteFile(at.partial, b, 0o644)
		o.at = nil
		r := mustRun(t, s.source(o.Client, items, nil), o)
		if n != 1 || r.Again != 1 {
			t.Errorf("%s: stopped %d times, %d tries more", path, n, r.Again)
		}
		wantTree(t, o.Dest, want)
	}
}

// Without a network, or behind a proxy that opens what is closed, the errors say so, of the list as
// of an item.
func TestNoNetwork(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer secure.Close()
	for url, words := range map[string]string{"http://127.0.0.1:1": "reaches the internet", secure.URL: "SSL_CERT_FILE"} {
		o := options(t, t.TempDir())
		r, err := Run(context.Background(), "set", HTTPFiles(o.Client, []Item{{Path: "set/a", Size: -1}}, map[string]string{"set/a": url + "/a?hush"}), o)
		says(t, err, words, "--mirror DIR", "set/a")
		if !errors.As(err, new(*TransferError)) || states(r) != "failed" {
			t.Errorf("%T, %+v", err, r.Rows)
		}
		_, err = Run(context.Background(), "set", asked{o.Client, url + "/list?hush"}, o)
		says(t, err, "the list of asked: it cannot be had", words, "--mirror DIR")
	}
}

// asked is a source whose list is one address away.
type asked struct {
	c   *Client
	url string
}

func (asked) Name() string { return "asked" }
func (a asked) List(ctx context.Context) ([]Item, error) {
	_, err := a.c.Small(ctx, a.url, nil, 100)
	return nil, err
}
func (asked) Open(context.Context, Item, int64, string) (*Stream, error) {
	return nil, errors.New("nothing should be opened")
}

// short is a source that is not true to its word.
type short struct {
	listing
	say, give int
}

func (s short) Open(context.Context, Item, int64, string) (*Stream, error) {
	return &Stream{Body: io.NopCloser(bytes.NewReader(noise(1, s.give))), Size: int64(s.say)}, nil
}

func TestUntrueSource(t *testing.T) {
	for _, give := range []int{0, 999, 1001, 5000} {
		o := options(t, t.TempDir())
		_, err := Run(context.Background(), "set", short{listing{{Path: "set/a", Size: -1}}, 1000, give}, o)
		if give < 1000 {
			says(t, err, "cut after")
		} else {
			says(t, err, "bytes and should have 1000")
		}
		if exists(filepath.Join(o.Dest, "set", "a")) {
			t.Errorf("%d bytes are taken for 1000", give)
		}
	}
}

func TestAccepted(t *testing.T) {
	s := newShelf(t, three())
	o := options(t, t.TempDir())
	if _, ok, err := Accepted(o.Dest, "set", "CC BY 3.0"); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	mustRun(t, s.source(o.Client, s.items(), nil), o)
	a, ok, err := Accepted(o.Dest, "set", "CC BY 3.0")
	if !ok || err != nil || a.By != "tester" || a.How != "--accept-licence" || time.Since(a.When) > time.Hour {
		t.Errorf("%+v, %v, %v", a, ok, err)
	}
	if _, ok, _ := Accepted(o.Dest, "set", "CC BY-NC 3.0"); ok {
		t.Error("another text is taken for accepted")
	}
	// A new text is written down though nothing is to be fetched.
	o.Acceptance.Licence = "CC BY-NC 3.0"
	mustRun(t, s.source(o.Client, s.items(), nil), o)
	if _, ok, _ := Accepted(o.Dest, "set", "CC BY-NC 3.0"); !ok {
		t.Error("the new text was not written down")
	}
	if _, _, err := Accepted(o.Dest, "../set", ""); err == nil {
		t.Error("a path is taken for a name")
	}
}
