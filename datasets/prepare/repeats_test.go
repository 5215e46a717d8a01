package prepare

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

var noon = time.Date(2001, 2, 3, 12, 0, 0, 0, time.UTC)

// addScan writes one scan of a patient whose tumour lies at a place of its own, and a
// structure set with one ball of each name around it, each a little larger.
func addScan(t testing.TB, root, id, name string, acquired time.Time, at [3]float64, rois ...string) (ct, structures string, m dicom.Meta) {
	t.Helper()
	m = dicom.Meta{PatientID: id, Seed: "repeats", Scan: name, Acquired: acquired}
	ct, structures = filepath.Join(root, id, name, "CT"), filepath.Join(root, id, name, "rt.dcm")
	if err := dicom.WriteCT(ct, scan(chest, at, 9), m); err != nil {
		t.Fatal(err)
	}
	if len(rois) > 0 {
		writeStructures(t, structures, m, balls(at, rois...)...)
	}
	return ct, structures, m
}

func balls(at [3]float64, rois ...string) []dicom.ROI {
	var all []dicom.ROI
	for i, name := range rois {
		all = append(all, ball(chest, name, at, 8+float64(i)/2))
	}
	return all
}

var here, there = [3]float64{3, -4, 1}, [3]float64{-2, 5, -3}

// seriesOf are the UIDs of a patient's CT series in the order of acquisition.
func seriesOf(t testing.TB, root, id string) []string {
	t.Helper()
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := tree.Patient(id)
	slices.SortFunc(p.Series, func(a, b dicom.Series) int { return a.Acquired.Compare(b.Acquired) })
	var out []string
	for _, s := range p.Series {
		out = append(out, s.UID)
	}
	return out
}

// keysOf are patient/scan/reader of each row.
func keysOf(t *table.Table) (out []string) {
	for i, id := range t.Strings("patient_id") {
		out = append(out, fmt.Sprintf("%s/%d/%s", id, t.Int64s("scan")[i], t.Strings("reader")[i]))
	}
	return out
}

// saysOf finds what the exclusions say of a patient.
func saysOf(ex []datasets.Exclusion, id string) (stages []string, reasons string) {
	for _, e := range ex {
		if e.Patient == id {
			stages = append(stages, e.Stage)
			reasons += e.Reason + "\n"
		}
	}
	return stages, reasons
}

// Pairs of scans: in the order of time whatever their UIDs; one scan stays alone; what
// cannot be ordered, or is more than a pair, is left out by name.
func TestScanPairs(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	later := noon.Add(15 * time.Minute)
	// Several pairs, so that time and UIDs disagree in some.
	for i := range 4 {
		id := fmt.Sprintf("PAIR%d", i)
		addScan(t, root, id, "first", noon, here, "GTV-1")
		addScan(t, root, id, "second", later, there, "gtv-1")
	}
	addScan(t, root, "ALONE", "first", noon, here, "GTV-1")
	addScan(t, root, "ALONE", "thin slices", noon, here)

	addScan(t, root, "EQUAL", "first", noon, here, "GTV-1")
	addScan(t, root, "EQUAL", "second", noon, there, "GTV-1")
	addScan(t, root, "SILENT", "first", time.Time{}, here, "GTV-1")
	addScan(t, root, "SILENT", "second", time.Time{}, there, "GTV-1")
	addScan(t, root, "HALF", "first", noon, here, "GTV-1")
	addScan(t, root, "HALF", "second", time.Time{}, there, "GTV-1")
	for _, name := range []string{"a", "b", "c"} {
		addScan(t, root, "THREE", name, noon, here, "GTV-1")
	}
	_, _, m := addScan(t, root, "TWICE", "first", noon, here, "GTV-1")
	m.Reader = "another"
	writeStructures(t, filepath.Join(root, "TWICE", "more.dcm"), m, balls(here, "GTV-1")...)
	addScan(t, root, "APART", "first", noon, here, "GTV-1")
	addScan(t, root, "APART", "second", noon.Add(30*time.Hour), there, "GTV-1")
	addScan(t, root, "TORN2", "first", noon, here, "GTV-1")
	ct2, _, _ := addScan(t, root, "TORN2", "second", later, there, "GTV-1")
	ct1, _, _ := addScan(t, root, "TORN1", "first", noon, here, "GTV-1")
	addScan(t, root, "TORN1", "second", later, there, "GTV-1")
	for _, torn := range []string{ct1, ct2} {
		if err := os.Remove(filepath.Join(torn, "1-009.dcm")); err != nil {
			t.Fatal(err)
		}
	}
	addScan(t, root, "OTHERNAME", "first", noon, here, "GTV-1")
	addScan(t, root, "OTHERNAME", "second", later, there, "tumour")

	o := options(root, out)
	o.KeepVolumes = true
	o.Repeats = Repeats{Kind: RepeatsScans, Within: 24 * time.Hour}
	s, tab, ex := run(t, o)
	want := []string{"ALONE/1/", "APART/1/", "EQUAL/1/", "EQUAL/2/", "OTHERNAME/1/"}
	for i := range 4 {
		want = append(want, fmt.Sprintf("PAIR%d/1/", i), fmt.Sprintf("PAIR%d/2/", i))
	}
	want = append(want, "SILENT/1/", "SILENT/2/", "TORN1/1/", "TORN2/1/")
	keys := keysOf(tab)
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Fatalf("rows (-want +got):\n%s", diff)
	}
	if s.Patients != 14 || s.Prepared != 11 || s.Excluded != 3 || s.SecondScans != 6 || s.Readings != 0 {
		t.Errorf("summary %+v", s)
	}
	if got := tab.Provenance()["repeats"]; !strings.Contains(got, "time of acquisition, then UID, the second at most 24h") {
		t.Errorf("provenance %q", got)
	}
	at := func(key string) int { return slices.Index(keys, key) }
	reversed := 0
	for i := range 4 {
		id := fmt.Sprintf("PAIR%d", i)
		a, b := at(id+"/1/"), at(id+"/2/")
		uids := seriesOf(t, root, id)
		if got := []string{tab.Strings("series_uid")[a], tab.Strings("series_uid")[b]}; !slices.Equal(got, uids) {
			t.Errorf("%s: series %v, acquired as %v", id, got, uids)
		}
		if uids[0] > uids[1] {
			reversed++
		}
		if x, y := tab.Float64s("com_x_mm")[a], tab.Float64s("com_x_mm")[b]; !(x > here[0]-0.5 && x < here[0]+0.5 && y > there[0]-0.5 && y < there[0]+0.5) {
			t.Errorf("%s: tumours at x %v and %v", id, x, y)
		}
		minutes := table.Nulls[float64](tab, "after_minutes")
		if minutes[a].Valid || minutes[b] != table.Some(15.0) {
			t.Errorf("%s: minutes %v and %v", id, minutes[a], minutes[b])
		}
		if tab.Strings("cube_file")[b] != id+"/scan-2/cube.nii.gz" || tab.Strings("ct_sha256")[a] == tab.Strings("ct_sha256")[b] {
			t.Errorf("%s: files %s, %s", id, tab.Strings("cube_file")[b], tab.Strings("ct_file")[b])
		}
	}
	if reversed == 0 || reversed == 4 {
		t.Errorf("in %d of 4 pairs time and UIDs disagree: the test shows nothing", reversed)
	}
	for key, note := range map[string]string{
		"ALONE/1/": "no second scan with a contour; one of 2 CT series", "EQUAL/1/": "acquired at the same time: ordered by UID", "EQUAL/2/": "ordered by UID",
		"SILENT/2/": "neither scan says when", "TORN1/1/": "earlier scan could not be used",
	} {
		if got := tab.Strings("notes")[at(key)]; !strings.Contains(got, note) {
			t.Errorf("%s: notes %q, want %q", key, got, note)
		}
	}
	for _, id := range []string{"EQUAL", "SILENT"} {
		if uid := tab.Strings("series_uid"); uid[at(id+"/1/")] > uid[at(id+"/2/")] {
			t.Errorf("%s is not in the order of UIDs", id)
		}
	}
	for id, w := range map[string]struct{ stage, reason string }{
		"HALF": {stagePair, "which scan came first is not known"}, "THREE": {stagePair, "3 CT series have a contour"}, "TWICE": {stageROI, "2 files hold a region"},
		"APART": {stagePair, "30h0m0s after the first scan"}, "TORN1": {stageCT, "missing between"}, "TORN2": {stageCT, "missing between"},
		"OTHERNAME": {stageROI, `names seen: "tumour"`},
	} {
		if stages, reasons := saysOf(ex, id); !slices.Equal(stages, []string{w.stage}) || !strings.Contains(reasons, w.reason) {
			t.Errorf("%s: %q: %s", id, stages, reasons)
		}
	}
	if len(ex) != 7 {
		t.Errorf("%d exclusions: %+v", len(ex), ex)
	}
	// Without the rule a patient with two scans is left out, as ever.
	o.Repeats = Repeats{}
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	pair1, _ := tree.Patient("PAIR1")
	var several *SeveralContoursError
	if _, _, err := o.find(pair1); !errors.As(err, &several) || !strings.Contains(err.Error(), "--repeats scans") {
		t.Errorf("PAIR1: %v", err)
	}
}

func mustReaders(t testing.TB, named []dicom.ReaderROI, pattern string) dicom.ReaderRule {
	t.Helper()
	r, err := dicom.NewReaderRule(named, pattern)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// addReaders writes the patients of a cohort with three readers besides the reference.
func addReaders(t testing.TB, root string) {
	t.Helper()
	all := []string{"Heart", "gtv-1 VIS-0", "GTV-1vis-2", "GTV-1vis-1", "GTV-1vis-3", "GTV-2vis-1"}
	addScan(t, root, "ALL", "ct", noon, here, all...)
	addScan(t, root, "FEWER", "ct", noon, here, "GTV-1vis-0", "GTV-1vis-1", "GTV1 vis 2", "GTV-1vis-3x")
	addScan(t, root, "DOUBLE", "ct", noon, here, append(all, "gtv-1vis-1 ")...)
	addScan(t, root, "NOREF", "ct", noon, here, all[2:]...)
	// A file for each reader; one has drawn on another scan.
	_, rt, m := addScan(t, root, "FILES", "ct", noon, here, "GTV-1vis-0")
	m.Reader = "one"
	writeStructures(t, filepath.Join(filepath.Dir(rt), "one.dcm"), m, balls(here, "GTV-1vis-1")...)
	m.Reader = "two"
	writeStructures(t, filepath.Join(filepath.Dir(rt), "two.dcm"), m, dicom.ROI{Name: "GTV-1vis-2"})
	addScan(t, root, "FILES", "other", noon, there, "GTV-1vis-3")
}

// Readers of one scan: found by exact names or a pattern, with one rule's result the other's;
// readers who are missing, double, empty or elsewhere are told of by patient and never guessed.
func TestReaders(t *testing.T) {
	root := t.TempDir()
	addReaders(t, root)
	named := []dicom.ReaderROI{{Reader: "Vis-3", ROI: "GTV-1vis-3"}, {Reader: "vis-1", ROI: "GTV-1vis-1"}, {Reader: "vis-2", ROI: "GTV-1vis-2"}}
	rules := map[string]dicom.ReaderRule{"names": mustReaders(t, named, ""), "pattern": mustReaders(t, nil, `^GTV-1(?P<reader>vis-[0-9])$`)}
	for kind, rule := range rules {
		o := options(root, t.TempDir())
		o.KeepVolumes = true
		o.Rule = dicom.ROIRule{Exact: []string{"GTV-1vis-0"}}
		o.Repeats = Repeats{Kind: RepeatsReaders, Readers: rule}
		s, tab, ex := run(t, o)
		order := []string{"vis-1", "vis-2", "vis-3"}
		if kind == "names" {
			order = []string{"vis-3", "vis-1", "vis-2"} // as the rule has it
		}
		var want []string
		for _, p := range []struct {
			id      string
			readers []string
		}{{"ALL", order}, {"DOUBLE", slices.DeleteFunc(slices.Clone(order), func(r string) bool { return r == "vis-1" })}, {"FEWER", []string{"vis-1"}}, {"FILES", []string{"vis-1"}}} {
			want = append(want, p.id+"/1/")
			for _, r := range p.readers {
				want = append(want, p.id+"/1/"+r)
			}
		}
		keys := keysOf(tab)
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Fatalf("%s: rows (-want +got):\n%s", kind, diff)
		}
		if s.Patients != 5 || s.Prepared != 4 || s.Readings != 7 || s.SecondScans != 0 {
			t.Errorf("%s: summary %+v", kind, s)
		}
		// One CT for all; everything else is the reader's own.
		files := map[string]bool{}
		for i, key := range keys {
			if id, _, _ := strings.Cut(key, "/"); tab.Strings("ct_file")[i] != id+"/ct_1mm.nii.gz" || tab.Strings("ct_sha256")[i] == "" {
				t.Errorf("%s: CT %q", key, tab.Strings("ct_file")[i])
			}
			for _, column := range []string{"cube_file", "qc_file", "mask_file"} {
				file := tab.Strings(column)[i]
				if _, err := os.Stat(filepath.Join(o.Out, file)); err != nil || files[file] {
					t.Errorf("%s: %s %s: shared or %v", key, column, file, err)
				}
				files[file] = true
			}
		}
		if found, err := filepath.Glob(filepath.Join(o.Out, "*", "*", "ct_1mm.nii.gz")); err != nil || len(found) != 0 {
			t.Errorf("a CT was written twice: %v", found)
		}
		// Balls of growing size in the order of the file: 0.5 mm of radius each.
		mm3 := tab.Float64s("mask_mm3")
		if i := slices.Index(keys, "ALL/1/"); !(mm3[i] < mm3[i+1]) || mm3[slices.Index(keys, "ALL/1/vis-2")] > mm3[slices.Index(keys, "ALL/1/vis-1")] {
			t.Errorf("%s: volumes %v of %q", kind, mm3[i:i+4], keys[i:i+4])
		}
		if got := tab.Strings("roi")[slices.Index(keys, "ALL/1/")]; got != "gtv-1 VIS-0" {
			t.Errorf("%s: reference %q", kind, got)
		}
		for id, w := range map[string][]string{
			"ALL": {}, "NOREF": {"no ROI is named GTV-1vis-0"},
			"FEWER":  {"no contour by reader ", "vis-2", "vis-3", `"GTV1 vis 2" "GTV-1vis-3x"`, map[string]string{"names": "whom the rule names", "pattern": "whom other patients have"}[kind]},
			"DOUBLE": {`reader vis-1: has 2 contours: "GTV-1vis-1" in rt.dcm, "gtv-1vis-1" in rt.dcm`},
			"FILES":  {`ROI "GTV-1vis-2" is empty`, "reader vis-3: drew on series", "no ROI is named GTV-1vis-0"},
		} {
			_, reasons := saysOf(ex, id)
			for _, part := range w {
				if !strings.Contains(reasons, part) {
					t.Errorf("%s, %s: %q does not say %q", kind, id, reasons, part)
				}
			}
			if len(w) == 0 && reasons != "" {
				t.Errorf("%s, %s: %q", kind, id, reasons)
			}
		}
		if _, reasons := saysOf(ex, "DOUBLE"); strings.Contains(reasons, "no contour by reader") {
			t.Errorf("%s: a reader with two contours is called missing: %s", kind, reasons)
		}
	}
}

// The reference may be by one of the readers: it is not repeated, and they are not missing.
func TestReaderOfReference(t *testing.T) {
	root := t.TempDir()
	addScan(t, root, "P1", "ct", noon, here, "GTV-1vis-1", "GTV-1vis-2", "gtv-1VIS-2")
	addScan(t, root, "P2", "ct", noon, here, "GTV-1vis-1", "GTV-1vis-2")
	o := options(root, t.TempDir())
	o.Rule = dicom.ROIRule{Exact: []string{"GTV-1vis-1"}}
	o.Repeats = Repeats{Kind: RepeatsReaders, Readers: mustReaders(t, nil, `^GTV-1(?P<reader>vis-[0-9])$`)}
	_, tab, ex := run(t, o)
	if got := keysOf(tab); !slices.Equal(got, []string{"P1/1/", "P2/1/", "P2/1/vis-2"}) {
		t.Errorf("rows %q, exclusions %+v", got, ex)
	}
	if _, reasons := saysOf(ex, "P1"); !strings.Contains(reasons, "has 2 contours") || strings.Contains(reasons, "no contour by") {
		t.Errorf("P1: %s", reasons)
	}
	if len(ex) != 1 {
		t.Errorf("exclusions %+v", ex)
	}
}

// A reader's name that is no folder name.
func TestUnsafeReader(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	addScan(t, root, "P1", "ct", noon, here, "GTV-1", "by A", "by B")
	o := options(root, out)
	o.Repeats = Repeats{Kind: RepeatsReaders, Readers: mustReaders(t, []dicom.ReaderROI{{Reader: "../Dr. Ä", ROI: "by A"}, {Reader: "dr/ä", ROI: "by B"}}, "")}
	_, tab, _ := run(t, o)
	if got := tab.Strings("reader"); !slices.Equal(got, []string{"", "../dr. ä", "dr/ä"}) {
		t.Errorf("readers %q", got)
	}
	for _, file := range tab.Strings("cube_file") {
		if _, err := os.Stat(filepath.Join(out, file)); err != nil || !filepath.IsLocal(file) || strings.ContainsAny(file, " ä") {
			t.Errorf("cube %q: %v", file, err)
		}
	}
}

// Repeats come out the same whatever the number of patients at a time.
func TestRepeatsJobs(t *testing.T) {
	for _, repeats := range []Repeats{
		{Kind: RepeatsScans},
		{Kind: RepeatsReaders, Readers: mustReaders(t, nil, `^GTV-1(?P<reader>vis-[0-9])$`)},
	} {
		root := t.TempDir()
		for i := range 2 {
			id := fmt.Sprint("P", i)
			if repeats.Kind == RepeatsScans {
				addScan(t, root, id, "a", noon, here, "GTV-1")
				addScan(t, root, id, "b", noon.Add(time.Hour), there, "GTV-1")
				continue
			}
			addScan(t, root, id, "a", noon, here, "GTV-1", fmt.Sprint("GTV-1vis-", 2+i))
		}
		var first map[string]string
		for _, jobs := range []int{1, 4} {
			o := options(root, t.TempDir())
			o.KeepVolumes, o.Jobs, o.Repeats = true, jobs, repeats
			run(t, o)
			got := contents(t, o.Out)
			if first == nil {
				first = got
			} else if !maps.Equal(first, got) {
				t.Errorf("%s: files differ with %d jobs", repeats.Kind, jobs)
			}
		}
		// Three tables, and per patient a record, two contours with cube, picture and mask, and CT.
		if want := 3 + 2*(1+2*3+2); repeats.Kind == RepeatsScans && len(first) != want {
			t.Errorf("%d files, want %d", len(first), want)
		} else if want := 3 + 2*(1+2*3+1); repeats.Kind == RepeatsReaders && len(first) != want {
			t.Errorf("%d files, want %d", len(first), want)
		}
	}
}

// contents are all files below a folder, but for those that hold times.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == seenFile || d.Name() == indexFile {
			return err
		}
		raw, err := os.ReadFile(path)
		out[relative(dir, path)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A second run that is stopped on the way leaves no table that speaks of the first one's
// files; the next makes all anew.
func TestStoppedRerun(t *testing.T) {
	root := t.TempDir()
	for i := range 3 {
		addPatient(t, root, fmt.Sprint(i), fmt.Sprint("P", i))
	}
	o := options(root, t.TempDir())
	run(t, o)
	whole := contents(t, o.Out)
	ctx, cancel := context.WithCancel(t.Context())
	other := o
	other.Cube.Margin, other.Jobs = 2, 1 // else all may be done before one says so
	other.Progress = func(int, int, string) { cancel() }
	if _, err := Run(ctx, other); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if bytes.Equal([]byte(whole["P0/cube.nii.gz"]), []byte(contents(t, o.Out)["P0/cube.nii.gz"])) {
		t.Fatal("the stopped run changed nothing: the test shows nothing")
	}
	var none *NotPreparedError
	if _, err := ReadImaging(o.Out); !errors.As(err, &none) || !strings.Contains(err.Error(), "was stopped") {
		t.Errorf("error %v", err)
	}
	// What a process that was killed had not finished is gone with the next run.
	for _, name := range []string{"P1/.cube.nii.gz123", "P1/.qc.png456", ".imaging.arrow789"} {
		if err := os.WriteFile(filepath.Join(o.Out, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, o)
	if again := contents(t, o.Out); !maps.Equal(again, whole) {
		t.Errorf("files %q, at first %q", slices.Sorted(maps.Keys(again)), slices.Sorted(maps.Keys(whole)))
	}
	// One that could not even begin leaves everything.
	gone := o
	gone.Root = filepath.Join(root, "none")
	if _, err := Run(t.Context(), gone); err == nil || !maps.Equal(contents(t, o.Out), whole) {
		t.Errorf("error %v, or the folder has changed", err)
	}
}

// A SEG beside the structure set of the same scan is left alone: the two of RIDER's would
// otherwise be two contours of each scan. A SEG alone is taken.
func TestSegmentationOfPair(t *testing.T) {
	root := segmented(t)
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	o := options(root, t.TempDir())
	o.Cube = volume.CubeSpec{Size: 10, SpacingMM: 1}
	o.Repeats.Kind = RepeatsScans
	found, lost, err := o.find(tree.Patients[0])
	if err != nil || len(found) != 1 || len(lost) != 0 || filepath.Base(found[0].reference.file) != "seg.dcm" {
		t.Fatalf("%d scans, lost %v, error %v", len(found), lost, err)
	}
	// A structure set of the very series.
	rt := filepath.Join(root, "rt.dcm")
	m := dicom.Meta{PatientID: "MADE-1", Seed: "pair"}
	writeStructures(t, rt, m, balls(here, "GTV-1")...)
	ours, err := dicom.ReadStructures(rt)
	if err != nil {
		t.Fatal(err)
	}
	refs := ours.References(ours.ROIs[0])
	theirs := tree.Patients[0].Series[0]
	raw, err := os.ReadFile(rt)
	if err != nil {
		t.Fatal(err)
	}
	for _, swap := range [][2]string{{refs.Series[0], theirs.UID}, {refs.Frames[0], theirs.FrameOfReferenceUID}} {
		raw = replaceUID(t, raw, swap[0], swap[1])
	}
	// The images it lists are not of the series: so it names none.
	raw = bytes.ReplaceAll(raw, []byte{0x06, 0x30, 0x16, 0x00}, []byte{0x06, 0x30, 0x17, 0x00})
	if err := os.WriteFile(rt, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if tree, err = dicom.Index(root); err != nil {
		t.Fatal(err)
	}
	found, lost, err = o.find(tree.Patients[0])
	if err != nil || len(found) != 1 || len(lost) != 0 || filepath.Base(found[0].reference.file) != "rt.dcm" {
		t.Fatalf("%d scans, lost %v, error %v", len(found), lost, err)
	}
}

// replaceUID puts another UID into a file in implicit little-endian whose sequences have no
// length of their own.
func replaceUID(t *testing.T, raw []byte, from, to string) []byte {
	t.Helper()
	element := func(uid string) []byte {
		if len(uid)%2 == 1 {
			uid += "\x00"
		}
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(uid))), uid...)
	}
	if !bytes.Contains(raw, element(from)) {
		t.Fatalf("%s is not in the file", from)
	}
	return bytes.ReplaceAll(raw, element(from), element(to))
}
