package dicom

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// buildTree writes two patients, one with two series in one folder, and much that
// is no CT.
func buildTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	copyInto := func(dir string, files []string, prefix string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, prefix+filepath.Base(f)), raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	v := ramp(axial)
	mixed := filepath.Join(root, "a", "mixed")
	copyInto(mixed, writeSeries(t, v, Meta{PatientID: "P1", Scan: "one"}), "x")
	copyInto(mixed, writeSeries(t, v, Meta{PatientID: "P1", Scan: "two"}), "y")
	copyInto(mixed, []string{writeRegions(t, Meta{PatientID: "P1", Scan: "two"}, tumour("GTV-1"))}, "")
	copyInto(filepath.Join(root, "b"), writeSeries(t, v, Meta{PatientID: "P2"}), "")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/mixed/empty.dcm", "")
	write("a/mixed/readme.txt", "hello")
	write("b/short.dcm", strings.Repeat("\x00", 128)+"DICM")
	write("loose.txt", "x")
	if err := os.Symlink(filepath.Join(root, "b"), filepath.Join(root, "b", "again")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "gone"), filepath.Join(root, "dangling")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestIndex(t *testing.T) {
	root := buildTree(t)
	tree, err := Index(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Patients) != 2 || tree.Patients[0].ID != "P1" || tree.Patients[1].ID != "P2" {
		t.Fatalf("patients %+v", tree.Patients)
	}
	one, two := tree.Patients[0], tree.Patients[1]
	if len(one.Series) != 2 || len(one.Structures) != 1 || len(two.Series) != 1 {
		t.Fatalf("P1 has %d series and %d structure sets, P2 %d series", len(one.Series), len(one.Structures), len(two.Series))
	}
	for _, s := range append(one.Series, two.Series...) {
		if v, err := s.Read(); err != nil || len(s.Files) != 8 || v.Grid.Size != axial.Size {
			t.Errorf("series %s: %d files, error %v", s.UID, len(s.Files), err)
		}
	}
	want := map[string]string{ // file: patient
		"a/mixed/empty.dcm": "P1", "a/mixed/readme.txt": "P1", "b/short.dcm": "P2", "loose.txt": "", "dangling": "",
	}
	for _, p := range tree.Problems {
		rel, err := filepath.Rel(root, p.File)
		if err != nil {
			t.Fatal(err)
		}
		patient, known := want[rel]
		if !known || patient != p.Patient || p.Err == nil || !strings.Contains(p.Err.Error(), filepath.Base(p.File)) {
			t.Errorf("problem %+v", p)
		}
		delete(want, rel)
	}
	if len(want) > 0 {
		t.Errorf("no problem noted for %v", want)
	}
}

// A slice that breaks off stays in its series, so that the series is refused.
func TestIndexKeepsBrokenSlices(t *testing.T) {
	files := writeSeries(t, ramp(axial), Meta{PatientID: "P1"})
	truncate(t, files[0], 1300) // the topmost slice: its loss would leave no hole
	tree, err := Index(filepath.Dir(files[0]))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Patients) != 1 || len(tree.Patients[0].Series) != 1 || len(tree.Problems) != 0 {
		t.Fatalf("tree %+v", tree)
	}
	_, err = tree.Patients[0].Series[0].Read()
	var cut *TruncatedError
	if !errors.As(err, &cut) || cut.File != files[0] || cut.Patient != "P1" {
		t.Errorf("error %v, want a *TruncatedError of %s", err, files[0])
	}
}

// What a fetch leaves beside scans is no scan: parts that are not whole yet, a licence, sums.
func TestIndexPassesOver(t *testing.T) {
	files := writeSeries(t, ramp(axial), Meta{PatientID: "P1"})
	root := filepath.Dir(files[0])
	slice, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, ".1.2.3.unpacked"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".1.2.3.unpacked/1.dcm", ".1.2.3.partial", "LICENSE", "md5hashes.csv"} {
		if err := os.WriteFile(filepath.Join(root, name), slice, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Index(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Problems) != 0 || len(tree.Patients) != 1 || len(tree.Patients[0].Series[0].Files) != len(files) {
		t.Errorf("tree %+v", tree)
	}
}

func TestIndexRoot(t *testing.T) {
	if _, err := Index(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v for a folder that is not there", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Index(file); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("error %v for a file", err)
	}
}

// A file without a PatientID is still somebody's: the study tells whose.
func TestIndexWithoutPatientID(t *testing.T) {
	files := writeSeries(t, ramp(axial), Meta{})
	tree, err := Index(filepath.Dir(files[0]))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Patients) != 1 || !strings.HasPrefix(tree.Patients[0].ID, "no-patient-id-") || len(tree.Patients[0].Series) != 1 {
		t.Errorf("tree %+v", tree)
	}
}

// Structures find their series by UID, images or frame of reference, and no other.
func TestSeriesOf(t *testing.T) {
	one, two := Meta{PatientID: "P1", Scan: "one"}, Meta{PatientID: "P1", Scan: "two"}
	var p PatientTree
	for _, m := range []Meta{one, two} {
		s, err := openSeries(writeSeries(t, ramp(axial), m))
		if err != nil {
			t.Fatal(err)
		}
		p.ID = s.PatientID
		p.Series = append(p.Series, s)
	}
	other := Meta{PatientID: "P1", Scan: "three"}
	for name, c := range map[string]struct {
		refs References
		want string
		note string
		err  string
	}{
		"by series":             {References{Series: []string{two.uid("series")}, Frames: []string{two.uid("frame")}, Images: []string{two.image(1)}}, two.uid("series"), "", ""},
		"by series alone":       {References{Series: []string{one.uid("series")}}, one.uid("series"), "", ""},
		"by images":             {References{Images: []string{two.image(0), two.image(5)}}, two.uid("series"), "", ""},
		"by frame":              {References{Frames: []string{one.uid("frame")}}, one.uid("series"), "", ""},
		"an image not there":    {References{Series: []string{one.uid("series")}, Images: []string{one.image(0), one.image(99)}}, one.uid("series"), "1 of the 2 images under", ""},
		"a listed image gone":   {References{Series: []string{one.uid("series")}, Images: []string{one.image(0)}, Listed: []string{one.image(0), one.image(98), one.image(99)}}, one.uid("series"), "2 of the 3 images that rt.dcm lists", ""},
		"one of two frames":     {References{Series: []string{one.uid("series")}, Frames: []string{other.uid("frame"), one.uid("frame")}}, one.uid("series"), "", ""},
		"another series":        {References{Series: []string{other.uid("series")}}, "", "", "a series that is not here"},
		"another's images":      {References{Images: []string{other.image(0)}}, "", "", "images that are not here"},
		"another frame":         {References{Frames: []string{other.uid("frame")}}, "", "", "no CT series is in its frame"},
		"frame of the other":    {References{Series: []string{one.uid("series")}, Frames: []string{two.uid("frame")}}, "", "", "frame of reference is not that"},
		"images of the other":   {References{Series: []string{one.uid("series")}, Images: []string{two.image(0)}}, "", "", "none of its images"},
		"two series":            {References{Series: []string{one.uid("series"), two.uid("series")}}, "", "", "several CT series"},
		"images of two series":  {References{Images: []string{one.image(0), two.image(0)}}, "", "", "several CT series"},
		"no reference whatever": {References{}, "", "", "no CT series is in its frame"},
	} {
		t.Run(name, func(t *testing.T) {
			s, note, err := p.SeriesOf("rt.dcm", c.refs)
			if c.err != "" {
				var ref *ReferenceError
				if !errors.As(err, &ref) || !strings.Contains(err.Error(), c.err) || ref.File != "rt.dcm" || ref.Patient != "P1" {
					t.Errorf("error %v, want a *ReferenceError that says %q", err, c.err)
				}
				return
			}
			if err != nil || s.UID != c.want || !strings.Contains(note, c.note) || (note == "") != (c.note == "") {
				t.Errorf("series %q, note %q, error %v; want %q, %q", s.UID, note, err, c.want, c.note)
			}
		})
	}
	// Two scans in one frame of reference, as before and after contrast.
	for i := range p.Series[1].slices {
		p.Series[1].slices[i].frame = one.uid("frame")
	}
	p.Series[1].FrameOfReferenceUID = one.uid("frame")
	if _, _, err := p.SeriesOf("rt.dcm", References{Frames: []string{one.uid("frame")}}); err == nil || !strings.Contains(err.Error(), "does not say which") {
		t.Errorf("error %v where two series are in the frame", err)
	}
}

// A structure set whose series UID is missing still matches by its images.
func TestStructuresWithoutSeriesUID(t *testing.T) {
	m := Meta{PatientID: "P1"}
	s, err := openSeries(writeSeries(t, ramp(axial), m))
	if err != nil {
		t.Fatal(err)
	}
	file := writeRegions(t, m, tumour("GTV-1"))
	put(t, file, tag.RTReferencedSeriesSequence, nil)
	set, err := ReadStructures(file)
	if err != nil {
		t.Fatal(err)
	}
	refs := set.References(set.ROIs[0])
	if len(refs.Series) != 0 || len(refs.Images) != 3 {
		t.Fatalf("references %+v", refs)
	}
	p := PatientTree{ID: "P1", Series: []Series{s}}
	if got, note, err := p.SeriesOf(file, refs); err != nil || got.UID != s.UID || note != "" {
		t.Errorf("series %q, note %q, error %v", got.UID, note, err)
	}
}
