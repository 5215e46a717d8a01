package prepare

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/radiomics"
)

// made are the stages of a summary that something was made of, as text.
func made(s Summary) string {
	var out []string
	for _, n := range s.Stages {
		if n.Made > 0 {
			out = append(out, fmt.Sprint(n.Stage, " ", n.Made))
		}
	}
	return strings.Join(out, ", ")
}

// again runs once more and holds every file that a run into a new folder would write against
// the one that is there: they must be the same, but for the records, which also tell of
// earlier settings.
func again(t *testing.T, o Options) Summary {
	t.Helper()
	s, _, _ := run(t, o)
	fresh := o
	fresh.Out = t.TempDir()
	run(t, fresh)
	got, want := contents(t, o.Out), contents(t, fresh.Out)
	for name, text := range want {
		if filepath.Base(name) != recordFile && got[name] != text {
			t.Errorf("%s is not what a run into a new folder writes", name)
		}
	}
	return s
}

// aged gives the inputs of a test a time of an hour ago: no index trusts one of just now.
func aged(t testing.TB, root string) {
	t.Helper()
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(path, then, then)
	}); err != nil {
		t.Fatal(err)
	}
}

// Every change costs what depends on it and no more, and ends in the bytes that a run into a
// new folder gives.
func TestWhatIsMadeAgain(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	_, rt := addPatient(t, root, "b", "P2") // which has two regions that a rule may name
	writeStructures(t, rt, dicom.Meta{PatientID: "P2", Seed: "prepare"}, ball(chest, "GTV-1", centre, 9), ball(chest, "GTV-2", [3]float64{5, 5, 2}, 7))
	aged(t, root)
	o := options(root, t.TempDir())
	o.KeepVolumes = true
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	settings := radiomics.Settings{SpacingMM: 3, BinWidth: 25}
	others := settings
	others.BinWidth = 50
	slice, out := filepath.Join(root, "b", "CT", "1-007.dcm"), func(name string) string { return filepath.Join(o.Out, name) }
	everything := func(n int) string {
		return fmt.Sprintf("ct %d, mask %d, cube %d, picture %d, row %d", n, n, n, n, n)
	}
	rewrite := func(file string, change func([]byte)) {
		t.Helper()
		info, err := os.Stat(file)
		must(err)
		raw, err := os.ReadFile(file)
		must(err)
		change(raw)
		must(os.WriteFile(file, raw, 0o644))
		must(os.Chtimes(file, info.ModTime(), info.ModTime().Add(time.Second)))
	}
	last := func(raw []byte) { raw[len(raw)-1] ^= 1 }
	nothing := func() {}
	for _, step := range []struct {
		name   string
		change func()
		made   string
	}{
		{"the first run", nothing, everything(2)},
		{"nothing", nothing, ""},
		{"the cohort's name", func() { o.Cohort = "other" }, ""},
		{"provenance", func() { o.Provenance = map[string]string{"site": "here"} }, ""},
		{"more workers", func() { o.Jobs = 3 }, ""},
		{"features on", func() { o.Features = &settings }, "features 2"},
		{"features of other settings", func() { o.Features = &others }, "features 2"},
		{"features off", func() { o.Features = nil }, ""},
		{"features on again", func() { o.Features = &others }, ""},
		{"features off for good", func() { o.Features = nil }, ""},
		{"another margin", func() { o.Cube.Margin = 2 }, "cube 2, picture 2, row 2"},
		{"another size", func() { o.Cube.Size = 16 }, "cube 2, picture 2, row 2"},
		{"another spacing", func() { o.Cube.SpacingMM = 1.5 }, everything(2)},
		{"no volumes", func() { o.KeepVolumes = false }, ""},
		{"volumes again", func() { o.KeepVolumes = true }, ""},
		{"a rule that chooses the same", func() { o.Rule.Exact = []string{"GTV-1", "GTV-2"} }, ""},
		{"a rule that chooses another of one", func() { o.Rule.Exact = []string{"GTV-2", "GTV-1"} }, "mask 1, cube 1, picture 1, row 1"},
		{"repeats that nobody has", func() { o.Repeats.Kind = RepeatsScans }, "row 2"}, // which says so
		{"no repeats", func() { o.Repeats.Kind = RepeatsNone }, "row 2"},
		{"times of the inputs", func() { aged(t, filepath.Join(root, "a")); must(os.Chtimes(slice, time.Now(), time.Now())) }, ""},
		{"a pixel of a slice", func() { rewrite(slice, last) }, everything(1)},
		{"a contour", func() {
			writeStructures(t, rt, dicom.Meta{PatientID: "P2", Seed: "prepare"}, ball(chest, "GTV-1", centre, 9), ball(chest, "GTV-2", [3]float64{5, 5, 2}, 8))
		}, "mask 1, cube 1, picture 1, row 1"},
		{"names of files", func() { must(os.Rename(filepath.Join(root, "a"), filepath.Join(root, "z"))) }, "row 1"}, // which names one
		{"names of slices", func() { must(os.Rename(slice, filepath.Join(root, "b", "CT", "other.dcm"))) }, ""},
		{"a file of the output is gone", func() { must(os.Remove(out("P1/mask_1mm.nii.gz"))) }, "mask 1"},
		{"a file of the output is another", func() { rewrite(out("P2/cube.nii.gz"), last) }, "cube 1"},
		{"a file of the output is shorter", func() { must(os.Truncate(out("P2/ct_1mm.nii.gz"), 500)) }, "ct 1"},
		{"times of the output", func() { aged(t, out("P2")) }, ""},
		{"no times", func() { must(os.Remove(out("P1/" + seenFile))) }, ""},
		{"no record", func() { must(os.Remove(out("P1/" + recordFile))) }, everything(1)},
		{"half a record", func() { must(os.Truncate(out("P2/"+recordFile), 300)) }, everything(1)},
		{"no index", func() { must(os.Remove(out(indexFile))) }, ""},
		{"no tables", func() { must(os.Remove(out(ImagingFile))) }, ""},
		{"one patient more", func() { addPatient(t, root, "c", "P3") }, everything(1)},
		{"verify", func() { o.Verify = true }, ""},
		{"after all", func() { o.Cube.Margin = 3 }, "cube 3, picture 3, row 3"},
	} {
		step.change()
		var s Summary
		if step.made == "" { // then the files are those that were compared before
			s, _, _ = run(t, o)
		} else {
			s = again(t, o)
		}
		if got := made(s); got != step.made {
			t.Errorf("%s: made %q, want %q", step.name, got, step.made)
		}
		if s.Prepared < 2 || s.Kept+s.Redone != s.Prepared || (s.Redone == 0) != (step.made == "") {
			t.Errorf("%s: %+v", step.name, s)
		}
		if step.name == "nothing" && !s.Unchanged || step.name == "provenance" && s.Unchanged {
			t.Errorf("%s: tables unchanged %v", step.name, s.Unchanged)
		}
	}
}

// A file that was changed and bears the size and time it had is found by Verify: of the
// output, which is made again, and of the input.
func TestVerify(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	aged(t, root)
	o := options(root, t.TempDir())
	run(t, o)
	sneak := func(file string) {
		t.Helper()
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-1] ^= 1
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		filepath.Join(o.Out, "P1", "qc.png"):        "picture 1",
		filepath.Join(root, "a", "CT", "1-003.dcm"): "cube 1, picture 1, row 1",
	} {
		sneak(file)
		o.Verify = false
		if s, _, _ := run(t, o); made(s) != "" {
			t.Errorf("%s: made %q on trust", file, made(s))
		}
		o.Verify = true
		if s := again(t, o); made(s) != want {
			t.Errorf("%s: made %q, want %q", file, made(s), want)
		}
	}
}

// Who is no longer in the input is in no table, and is named; what was made stays, and is
// good again when the patient comes back.
func TestGone(t *testing.T) {
	root, aside := t.TempDir(), filepath.Join(t.TempDir(), "b")
	addPatient(t, root, "a", "P1")
	addPatient(t, root, "b", "P2")
	aged(t, root)
	o := options(root, t.TempDir())
	if err := os.Mkdir(filepath.Join(o.Out, "notes"), 0o755); err != nil { // a person's own
		t.Fatal(err)
	}
	run(t, o)
	if err := os.Rename(filepath.Join(root, "b"), aside); err != nil {
		t.Fatal(err)
	}
	s, tab, _ := run(t, o)
	if !slices.Equal(s.Gone, []string{"P2"}) || !slices.Equal(tab.Strings("patient_id"), []string{"P1"}) || made(s) != "" || s.Unchanged {
		t.Errorf("gone %v, rows %v, made %q", s.Gone, tab.Strings("patient_id"), made(s))
	}
	if err := os.Rename(aside, filepath.Join(root, "b")); err != nil {
		t.Fatal(err)
	}
	if s := again(t, o); len(s.Gone) != 0 || made(s) != "" || s.Prepared != 2 {
		t.Errorf("back again: %+v", s)
	}
}

// A patient who cannot be prepared any more is an exclusion and no row, and nothing that was
// made is lost: when the scan is whole again, there is nothing to do.
func TestLostAndFound(t *testing.T) {
	root := t.TempDir()
	ct, _ := addPatient(t, root, "a", "P1")
	addPatient(t, root, "b", "P2")
	aged(t, root)
	o := options(root, t.TempDir())
	run(t, o)
	slice := filepath.Join(ct, "1-007.dcm")
	raw, err := os.ReadFile(slice)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(slice, 2000); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time by what the record says
		s, tab, ex := run(t, o)
		if s.Prepared != 1 || tab.Rows() != 1 || len(ex) != 1 || ex[0].Patient != "P1" || ex[0].Stage != stageCT || made(s) != "" {
			t.Errorf("%+v, %d rows, %+v", s, tab.Rows(), ex)
		}
	}
	if err := os.WriteFile(slice, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if s := again(t, o); s.Prepared != 2 || made(s) != "" {
		t.Errorf("%+v, made %q", s, made(s))
	}
}

// A file that changes between the index and the end costs the patient this run, not the
// truth of the record.
func TestChangesWhileRead(t *testing.T) {
	root := t.TempDir()
	ct, _ := addPatient(t, root, "a", "P1")
	aged(t, root)
	o := options(root, t.TempDir())
	for _, before := range []bool{false, true} { // prepared before
		in, mine, err := o.begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slice := filepath.Join(ct, "1-007.dcm")
		raw, err := os.ReadFile(slice)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-1] ^= 1
		if err := os.WriteFile(slice, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		w := o.work(in, mine[0])
		w.changes = func() error { return nil }
		w.Verify = true
		got, err := w.do(t.Context())
		if err != nil || len(got.rows) != 0 || len(got.lost) != 1 || got.lost[0].Stage != stageFile || got.lost[0].File != "a/CT/1-007.dcm" || !strings.Contains(got.lost[0].Reason, "changed while") {
			t.Fatalf("prepared before %v: %+v, error %v", before, got, err)
		}
		o.Verify = false
		if s := again(t, o); s.Prepared != 1 || made(s) != "cube 1, picture 1, row 1" {
			t.Errorf("the next run: %+v, made %q", s, made(s))
		}
	}
}

// Shards side by side make what one run makes; it finds everything done and writes the
// tables. Lacking tells beforehand.
func TestShards(t *testing.T) {
	root := t.TempDir()
	for i := range 5 {
		addPatient(t, root, fmt.Sprint(i), fmt.Sprint("P", i))
	}
	ct, _ := addPatient(t, root, "6", "P6")
	if err := os.Truncate(filepath.Join(ct, "1-007.dcm"), 2000); err != nil {
		t.Fatal(err)
	}
	aged(t, root)
	o := options(root, t.TempDir())
	o.KeepVolumes, o.Shards = true, 3
	lacking := func(o Options, want ...int) {
		t.Helper()
		if got, err := Lacking(t.Context(), o); err != nil || !slices.Equal(got, want) {
			t.Errorf("lacking %v, want %v, error %v", got, want, err)
		}
	}
	lacking(o, 2, 2, 2)
	errs := make(chan error)
	for i := range 3 {
		go func() {
			o := o
			o.Shard = i
			s, err := Run(t.Context(), o)
			if err == nil && (s.Patients != 2 || s.Prepared+s.Excluded != 2 || s.Imaging != "" || s.Exclusions != "") {
				err = fmt.Errorf("shard %d: %+v", i, s)
			}
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for name := range contents(t, o.Out) {
		if !strings.Contains(name, "/") {
			t.Errorf("a shard wrote %s", name)
		}
	}
	lacking(o, 0, 0, 1) // P6 is looked at each time
	whole := o
	whole.Shards = 0
	lacking(whole, 1)
	s, _, ex := run(t, whole)
	if s.Kept != 5 || s.Redone != 0 || made(s) != "" || len(ex) != 1 {
		t.Errorf("%+v, made %q, lost %+v", s, made(s), ex)
	}
	fresh := whole
	fresh.Out = t.TempDir()
	run(t, fresh)
	if !maps.Equal(contents(t, whole.Out), contents(t, fresh.Out)) {
		t.Error("shards give other files than one run")
	}
	// Nothing to do leaves the tables alone; something takes them away.
	o.Shard = 1
	for _, margin := range []int{spec.Margin, 1} {
		o.Cube.Margin = margin
		if _, err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(o.Out, ImagingFile)); (err == nil) != (margin == spec.Margin) {
			t.Errorf("margin %d: the imaging table: %v", margin, err)
		}
	}
	// A whole run does what the other shards have left.
	whole.Cube.Margin = 1
	if s := again(t, whole); s.Kept != 2 || s.Redone != 3 {
		t.Errorf("%+v", s)
	}
}

// The input is read only: no file of it is written, none comes in beside, and links to other
// places are followed.
func TestInputIsLeftAlone(t *testing.T) {
	store, root := t.TempDir(), t.TempDir()
	addPatient(t, store, "a", "P1")
	addPatient(t, store, "b", "P2")
	for _, name := range []string{"a", "b"} {
		if err := os.Symlink(filepath.Join(store, name), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	aged(t, store)
	snapshot := func() (out []string) {
		if err := filepath.WalkDir(store, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				out = append(out, fmt.Sprint(path, info.Mode(), info.Size(), info.ModTime()))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	mode := func(m os.FileMode) {
		if err := filepath.WalkDir(store, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			return os.Chmod(path, m)
		}); err != nil {
			t.Fatal(err)
		}
	}
	mode(0o555)
	t.Cleanup(func() { mode(0o755) })
	before := snapshot()
	o := options(root, t.TempDir())
	o.KeepVolumes = true
	if s, _, _ := run(t, o); s.Prepared != 2 {
		t.Errorf("%+v", s)
	}
	if after := snapshot(); !slices.Equal(before, after) {
		t.Errorf("the input was\n%q and is\n%q", before, after)
	}
}

// A scan that is larger than all the memory that may be taken goes alone, and goes.
func TestLittleMemory(t *testing.T) {
	root := t.TempDir()
	for i := range 3 {
		addPatient(t, root, fmt.Sprint(i), fmt.Sprint("P", i))
	}
	o := options(root, t.TempDir())
	o.Memory, o.Jobs = 1, 3
	if s := again(t, o); s.Prepared != 3 {
		t.Errorf("%+v", s)
	}
}

// More rows of the exclusions table come from who asked for them, and count.
func TestAlso(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	_, rt := addPatient(t, root, "b", "P2")
	if err := os.Remove(rt); err != nil {
		t.Fatal(err)
	}
	o := options(root, t.TempDir())
	o.Also = func(ids []string, prepared map[string]bool) []datasets.Exclusion {
		return []datasets.Exclusion{{Patient: "P3", Stage: "image", Reason: fmt.Sprint(ids, prepared)}}
	}
	s, _, ex := run(t, o)
	if s.Problems != 2 || len(ex) != 2 || ex[1].Reason != "[P1 P2] map[P1:true]" {
		t.Errorf("%+v, %+v", s, ex)
	}
	if s, _, _ := run(t, o); !s.Unchanged {
		t.Error("the same rows are another table")
	}
	o.Also = nil
	if s, _, _ := run(t, o); s.Unchanged || s.Problems != 1 {
		t.Errorf("without: %+v", s)
	}
}

// A record that is none, or that of somebody else, counts as nothing.
func TestForeignRecord(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	o := options(root, t.TempDir())
	run(t, o)
	file := filepath.Join(o.Out, "P1", recordFile)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"empty": {}, "no JSON": []byte("hello"), "another's": bytes.Replace(good, []byte(`"patient": "P1"`), []byte(`"patient": "P9"`), 1),
		"another version's": bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 7`), 1),
		"leading out":       bytes.ReplaceAll(good, []byte(`"P1/`), []byte(`"../P1/`)),
	} {
		if bytes.Equal(text, good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if s := again(t, o); s.Prepared != 1 || made(s) == "" {
			t.Errorf("%s: %+v, made %q", name, s, made(s))
		}
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: the record does not become what it was: %v", name, err)
		}
	}
}

// A slice that says another thing with the size and time it had is found by Verify although
// the index knows its head.
func TestVerifyHeads(t *testing.T) {
	root := t.TempDir()
	ct, _ := addPatient(t, root, "a", "P1")
	aged(t, root)
	o := options(root, t.TempDir())
	run(t, o)
	files, err := filepath.Glob(filepath.Join(ct, "*.dcm"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		intercept := []byte("\x28\x00\x52\x10DS") // RescaleIntercept, with a length of two bytes
		at := bytes.Index(raw, intercept) + len(intercept)
		if at < len(intercept) {
			t.Fatalf("%s says no intercept", file)
		}
		copy(raw[at+2:], strings.Repeat("7", int(raw[at])-1)+" ")
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	o.Verify = true
	if s := again(t, o); made(s) != "cube 1, picture 1, row 1" {
		t.Errorf("made %q", made(s))
	}
}

// What was lost because a file could not be read for a moment is tried again.
func TestLostForAMoment(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	aged(t, root)
	o := options(root, t.TempDir())
	run(t, o)
	for name, wrong := range map[string]error{
		"a drive that is away": &fs.PathError{Op: "read", Path: filepath.Join(root, "a", "RT", "rt.dcm"), Err: syscall.EIO},
		"no memory":            syscall.ENOMEM,
		"a fault":              nil,
	} {
		in, mine, err := o.begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mine[0].find = func() ([]*exam, []error, error) {
			if wrong == nil {
				panic("made")
			}
			return nil, nil, &stageError{stage: stageContours, err: wrong}
		}
		w := o.work(in, mine[0])
		w.changes, w.Verify = func() error { return nil }, true
		if got, err := w.do(t.Context()); err != nil || len(got.rows) != 0 || len(got.lost) != 1 {
			t.Fatalf("%s: %+v, error %v", name, got, err)
		}
		if n, err := Lacking(t.Context(), o); err != nil || n[0] != 1 {
			t.Errorf("%s: lacking %v, error %v", name, n, err)
		}
		if s, _, ex := run(t, o); s.Prepared != 1 || made(s) != "" || len(ex) != 0 {
			t.Errorf("%s: %+v, exclusions %+v", name, s, ex)
		}
	}
}

// Volumes that are no longer wanted may be deleted.
func TestVolumesDeleted(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	aged(t, root)
	o := options(root, t.TempDir())
	o.KeepVolumes = true
	run(t, o)
	o.KeepVolumes = false
	run(t, o)
	for _, stage := range []string{stageCTFile, stageMaskFile} {
		if err := os.Remove(filepath.Join(o.Out, "P1", fileNames[stage])); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Lacking(t.Context(), o); err != nil || n[0] != 0 {
		t.Errorf("lacking %v, error %v", n, err)
	}
	o.KeepVolumes = true
	if s := again(t, o); made(s) != "ct 1, mask 1" {
		t.Errorf("made %q", made(s))
	}
}
