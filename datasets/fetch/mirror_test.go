package fetch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A hospital's way: fetched where there is a network, carried on a disk, copied from there; what the
// first journal says is held against every file.
func TestMirror(t *testing.T) {
	s, items, want := serial(t, 50)
	first := options(t, t.TempDir())
	mustRun(t, s.source(first.Client, items, nil), first)
	asked := s.count("a")
	mirror := func(dir string) Source {
		return Mirror(dir, "set", []Item{{Path: "set/a", Size: 20_000, SHA256: sumOf(want["set/a"])}}, []string{"set"})
	}
	o := options(t, t.TempDir())
	r := mustRun(t, mirror(first.Dest), o)
	if r.Fetched != 4 || r.Plan.Source != "mirror" || s.count("a") != asked {
		t.Errorf("%+v", r)
	}
	wantTree(t, o.Dest, want)
	wantJournal(t, o.Dest, "set/a", "set/p/1.2.3/1.dcm", "set/p/1.2.3/2.dcm", "set/z")
	k, err := readJournal(o.Dest, "set")
	if err != nil || k.items["set/p/1.2.3/1.dcm"].SeriesUID != "1.2.3" || !k.complete {
		t.Errorf("%+v, %v", k.items, err)
	}
	// The archive itself then lists a series that is here file by file: nothing is fetched.
	if r := mustRun(t, s.source(o.Client, items, nil), o); r.Plan.Here != 3 {
		t.Errorf("%+v", r)
	}
	// A copy of the copy is as good.
	o2 := options(t, t.TempDir())
	mustRun(t, mirror(o.Dest), o2)
	wantTree(t, o2.Dest, want)

	// A file that was damaged on the way is refused, by the journal alone, and nothing of it appears.
	b := slices.Clone(want["set/p/1.2.3/2.dcm"])
	b[5] ^= 1
	os.WriteFile(filepath.Join(first.Dest, "set", "p", "1.2.3", "2.dcm"), b, 0o644)
	o3 := options(t, t.TempDir())
	r, err = Run(context.Background(), "set", mirror(first.Dest), o3)
	says(t, err, "2.dcm", "SHA-256", first.Dest)
	if !errors.As(err, new(*ChecksumError)) || r.Fetched != 3 {
		t.Errorf("%+v", r.Rows)
	}
	os.WriteFile(filepath.Join(first.Dest, "set", "p", "1.2.3", "2.dcm"), want["set/p/1.2.3/2.dcm"], 0o644)
	mustRun(t, mirror(first.Dest), o3)
	wantTree(t, o3.Dest, want)
	// What is missing there, though its journal says otherwise.
	os.Remove(filepath.Join(first.Dest, "set", "p", "1.2.3", "2.dcm"))
	o4 := options(t, t.TempDir())
	r, err = Run(context.Background(), "set", mirror(first.Dest), o4)
	if !errors.Is(err, os.ErrNotExist) || r.Fetched != 3 || r.Again != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	// A copy that is not whole says so.
	writeJournal(t, first.Dest, record{Record: recordBegun})
	_, err = Run(context.Background(), "set", mirror(first.Dest), o4)
	says(t, err, "not fetched to the end", "go on there")
}

// A folder that somebody has filled by hand: every plain file, none of what systems leave.
func TestMirrorByHand(t *testing.T) {
	dir := t.TempDir()
	want := map[string][]byte{"set/dicom/P1/CT/1.dcm": noise(1, 5000), "set/dicom/P1/CT/2.dcm": noise(2, 3_000_000), "set/dicom/P2/x": nil, "set/clinical.csv": []byte("id\n")}
	put := func(name string, b []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range want {
		put(name, b)
	}
	put("set/dicom/.DS_Store", []byte("x"))
	put("set/dicom/.Trashes/y", []byte("x"))
	put("set/other/z", []byte("x"))
	src := Mirror(dir, "set", []Item{{Path: "set/clinical.csv", Size: -1}}, []string{"set/dicom"})
	o := options(t, t.TempDir())
	o.Jobs = 1
	// Stopped in the middle of the large one, it goes on there.
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	o.at = func(step string) {
		if step == "written" {
			if n++; n == 12 {
				cancel()
			}
		}
	}
	if _, err := Run(ctx, "set", src, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	o.at = nil
	r := mustRun(t, src, o)
	large := r.Plan.Items[2]
	if large.Have == 0 || r.Bytes+large.Have != 3_000_000 || r.Plan.Here != 2 {
		t.Errorf("%+v", r)
	}
	wantTree(t, o.Dest, want)
	wantJournal(t, o.Dest, "set/dicom/P1/CT/1.dcm", "set/dicom/P1/CT/2.dcm", "set/dicom/P2/x", "set/clinical.csv")
	if r := mustRun(t, src, o); r.Plan.Here != 4 {
		t.Errorf("%+v", r.Plan)
	}
	for name, test := range map[string]struct {
		src  Source
		says string
	}{
		"no folder":      {Mirror(filepath.Join(dir, "none"), "set", nil, []string{"set"}), "no such folder"},
		"nothing below":  {Mirror(dir, "set", nil, []string{"set/none"}), "cannot be listed"},
		"no file":        {Mirror(dir, "set", []Item{{Path: "set/none", Size: -1}}, nil), "is not there"},
		"a path outside": {Mirror(dir, "set", nil, []string{"../x"}), "leads to another folder"},
	} {
		_, err := Run(context.Background(), "set", test.src, options(t, t.TempDir()))
		if !errors.As(err, new(*ListError)) {
			t.Errorf("%s: %T", name, err)
		}
		says(t, err, test.says, "mirror "+dir)
	}
	os.MkdirAll(filepath.Join(dir, "set", "empty", "er"), 0o755)
	_, err := Run(context.Background(), "set", Mirror(dir, "set", nil, []string{"set/empty"}), o)
	says(t, err, "holds no file")
}

// Real files, as they lie in the project's shared copy.
func TestMirrorReal(t *testing.T) {
	dir := os.Getenv("HOUNSFIELD_MIRROR")
	if dir == "" {
		t.Skip("HOUNSFIELD_MIRROR names no folder of real data")
	}
	o := options(t, t.TempDir())
	r := mustRun(t, Mirror(dir, "nsclc-radiomics", []Item{{Path: "nsclc-radiomics/clinical.csv", Size: 23_335,
		SHA256: "132f72b58b9660bf5e6b24b9817b335f1896360bc253e1f2034a3ffee593e6fd"}}, []string{"nsclc-radiomics/dicom"}), o)
	if r.Fetched != 113 || !strings.HasPrefix(r.Rows[1].Path, "nsclc-radiomics/dicom/LUNG1-002/CT/") {
		t.Errorf("%d files", r.Fetched)
	}
}
