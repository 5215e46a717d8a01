package dicom

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// longAgo is when the files of a test were written: an index believes no time of just now.
var longAgo = time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)

// age gives every file below root a time long ago.
func age(t testing.TB, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chtimes(path, longAgo, longAgo)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sameTrees holds two trees against each other in all that they hold, pixels' places too.
// Errors count by their text.
func sameTrees(t *testing.T, name string, got, want *Tree) {
	t.Helper()
	plain := func(tree *Tree) (problems []string, patients []PatientTree) {
		for _, p := range tree.Problems {
			problems = append(problems, p.File+"|"+p.Patient+"|"+p.Err.Error())
		}
		return problems, tree.Patients
	}
	gotProblems, gotPatients := plain(got)
	wantProblems, wantPatients := plain(want)
	if !reflect.DeepEqual(gotProblems, wantProblems) {
		t.Errorf("%s: problems\n%q, want\n%q", name, gotProblems, wantProblems)
	}
	if !reflect.DeepEqual(gotPatients, wantPatients) || !reflect.DeepEqual(got.stamps, want.stamps) {
		t.Errorf("%s: another tree\n%+v, want\n%+v", name, gotPatients, wantPatients)
	}
}

// A kept index gives what a new one gives, having read only what has no place in it (files
// with an error), what changed and what is new, after each of many changes.
func TestIndexKept(t *testing.T) {
	root, kept := buildTree(t), filepath.Join(t.TempDir(), "index.json")
	age(t, root)
	total, broken := 0, 4 // empty.dcm, readme.txt, short.dcm, loose.txt
	check := func(name string, read int) []byte {
		t.Helper()
		got, count, err := IndexKept(root, kept, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Index(root)
		if err != nil {
			t.Fatal(err)
		}
		sameTrees(t, name, got, want)
		if total = count.Files; count.Read != read {
			t.Errorf("%s: %d of %d files read, want %d", name, count.Read, count.Files, read)
		}
		text, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first := check("the first time", 8*3+1+broken)
	if total != 8*3+1+broken {
		t.Fatalf("%d files", total)
	}
	if again := check("again", broken); !bytes.Equal(again, first) {
		t.Error("the kept index differs the second time")
	}
	slices := filesIn(t, filepath.Join(root, "b"))
	slice := slices[3]
	raw, err := os.ReadFile(slice)
	must(err)

	must(os.Chtimes(slice, longAgo, longAgo.Add(time.Nanosecond)))
	check("touched", broken+1)
	check("touched, again", broken)

	// Another content of the same length, at another time.
	changed := bytes.Replace(raw, []byte("P2"), []byte("P3"), 1)
	must(os.WriteFile(slice, changed, 0o644))
	must(os.Chtimes(slice, longAgo, longAgo.Add(time.Hour)))
	check("changed", broken+1)

	must(os.Remove(slice))
	check("vanished", broken)
	must(os.WriteFile(filepath.Join(root, "b", "new.dcm"), raw, 0o644))
	must(os.Chtimes(filepath.Join(root, "b", "new.dcm"), longAgo, longAgo))
	check("under another name", broken+1)
	must(os.Rename(filepath.Join(root, "b"), filepath.Join(root, "c")))
	check("in another folder", broken+8)

	// A file of just now may change again within the same tick of its clock.
	must(os.WriteFile(filepath.Join(root, "c", "new.dcm"), changed, 0o644))
	check("just written", broken+1)
	check("just written, again", broken+1)
	age(t, root)
	good := check("all aged", broken+1)
	if bytes.Contains(good, []byte(".dcm")) || bytes.Contains(good, []byte("mixed")) {
		t.Error("paths stand in the kept index")
	}
	all := total

	// What is no index of this program is made anew, to the same bytes.
	for name, text := range map[string][]byte{
		"empty": {}, "foreign": []byte("hello\nworld"), "cut": good[:len(good)/2], "a bit flipped": flip(good, len(good)/2), "hash flipped": flip(good, 3),
		"of another version": rehash(bytes.Replace(good, []byte(`{"version":1,`), []byte(`{"version":9,`), 1)),
		"without its heads":  rehash(bytes.Replace(good, []byte(`"h":1`), []byte(`"h":99`), 1)),
	} {
		if bytes.Equal(text, good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		must(os.WriteFile(kept, text, 0o644))
		if again := check(name, all); !bytes.Equal(again, good) {
			t.Errorf("%s: made anew, it is another", name)
		}
	}
	// Where it cannot be written, the error names it.
	if _, _, err := IndexKept(root, filepath.Join(root, "none", "index.json"), false, nil); err == nil || !bytes.Contains([]byte(err.Error()), []byte("none/index.json")) {
		t.Errorf("error %v", err)
	}
	if _, _, err := IndexKept(filepath.Join(root, "none"), kept, false, nil); err == nil {
		t.Error("a root that is not there passes")
	}
}

func flip(text []byte, at int) []byte {
	out := bytes.Clone(text)
	out[at] ^= 1
	return out
}

// rehash gives a text whose hash stood in its first line the right one.
func rehash(text []byte) []byte {
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	return append(hashLine(rest), rest...)
}

// Every kind of slice comes back with its pixels: other transfer syntaxes, packed and in
// fragments.
func TestIndexKeptReads(t *testing.T) {
	checked := 0
	for name := range madeFiles(t) {
		file := filepath.Join("testdata", name)
		k := seen("testdata", file, nil)
		if k.slice == nil || k.slice.err != nil {
			continue
		}
		k.settled = true
		kept := filepath.Join(t.TempDir(), "index.json")
		if err := os.WriteFile(kept, keptText("testdata", []looked{k}), 0o644); err != nil {
			t.Fatal(err)
		}
		back, _ := readKept(kept)
		k.read = false
		if got := seen("testdata", file, back); !reflect.DeepEqual(got, k) {
			t.Errorf("%s: %+v comes back as %+v", name, k.slice, got.slice)
		}
		checked++
	}
	if checked < 15 {
		t.Errorf("only %d files", checked)
	}
}
