package prepare

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// chest is a small scan: no two axes alike.
var chest = volume.Grid{
	Size: [3]int{48, 40, 20}, Origin: [3]float64{-35, -30, -25}, Spacing: [3]float64{1.5, 1.3, 2.5}, Direction: volume.Identity,
}

var spec = volume.CubeSpec{Size: 20, SpacingMM: 1, Margin: 4}

var rule = dicom.ROIRule{Exact: []string{"GTV-1"}}

// ball draws a sphere, one circle per slice it meets.
func ball(g volume.Grid, name string, centre [3]float64, radius float64) dicom.ROI {
	r := dicom.ROI{Name: name}
	for z := range g.Size[2] {
		at := g.Origin[2] + float64(z)*g.Spacing[2]
		if in := radius*radius - (at-centre[2])*(at-centre[2]); in > 1 {
			var c volume.Contour
			for k := range 48 {
				s, co := math.Sincos(2 * math.Pi * float64(k) / 48)
				c.Points = append(c.Points, [3]float64{centre[0] + math.Sqrt(in)*co, centre[1] + math.Sqrt(in)*s, at})
			}
			r.Contours = append(r.Contours, c)
		}
	}
	return r
}

// scan is air with a gradient and a dense ball in it.
func scan(g volume.Grid, centre [3]float64, radius float64) *volume.Volume {
	v := volume.NewVolume(g)
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			for x := range g.Size[0] {
				p := g.Position([3]float64{float64(x), float64(y), float64(z)})
				d := math.Hypot(math.Hypot(p[0]-centre[0], p[1]-centre[1]), p[2]-centre[2])
				v.HU[g.Offset(x, y, z)] = float32(math.Round(-900 + p[0] + 2*p[1] + 3*p[2]))
				if d < radius {
					v.HU[g.Offset(x, y, z)] = 40
				}
			}
		}
	}
	return v
}

var centre = [3]float64{3, -4, 1}

// addPatient writes a good patient below root/folder and returns the CT folder and
// the structure set.
func addPatient(t testing.TB, root, folder, id string) (ct, structures string) {
	t.Helper()
	m := dicom.Meta{PatientID: id, Seed: "prepare"}
	ct, structures = filepath.Join(root, folder, "CT"), filepath.Join(root, folder, "RT", "rt.dcm")
	if err := dicom.WriteCT(ct, scan(chest, centre, 9), m); err != nil {
		t.Fatal(err)
	}
	writeStructures(t, structures, m, ball(chest, "Heart", [3]float64{10, 10, 0}, 6), ball(chest, "gtv-1 ", centre, 9))
	return ct, structures
}

func writeStructures(t testing.TB, file string, m dicom.Meta, rois ...dicom.ROI) {
	t.Helper()
	if err := dicom.WriteStructures(file, rois, chest, m); err != nil {
		t.Fatal(err)
	}
}

// smallPanel keeps pictures, most of the work on small scans, small.
const smallPanel = 40

func options(root, out string) Options {
	return Options{Root: root, Out: out, Cohort: "made", Rule: rule, Cube: spec, panel: smallPanel}
}

func run(t testing.TB, o Options) (Summary, *table.Table, []datasets.Exclusion) {
	t.Helper()
	s, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := table.Read(s.Imaging, ImagingSchema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := datasets.ReadExclusions(s.Exclusions)
	if err != nil {
		t.Fatal(err)
	}
	return s, tab, ex
}

// A good patient gives all files, and the table says what is in them.
func TestRun(t *testing.T) {
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "new", "out")
	addPatient(t, root, "one", "P1")
	o := options(root, out)
	o.KeepVolumes = true
	o.panel = 0
	o.Provenance = map[string]string{"cohort_source": "made here"}
	var seen []string
	o.Progress = func(done, total int, patient string) { seen = append(seen, fmt.Sprint(done, "/", total, " ", patient)) }
	s, tab, ex := run(t, o)
	want := Summary{Patients: 1, Prepared: 1, Redone: 1, Stages: []StageCount{{"ct", 0, 1}, {"mask", 0, 1}, {"cube", 0, 1}, {"picture", 0, 1}, {"row", 0, 1}}, Imaging: filepath.Join(out, "imaging.arrow"), Exclusions: filepath.Join(out, "exclusions.arrow")}
	if diff := cmp.Diff(want, s); diff != "" || len(ex) != 0 {
		t.Errorf("exclusions %v, summary (-want +got):\n%s", ex, diff)
	}
	if !slices.Equal(seen, []string{"1/1 P1"}) {
		t.Errorf("progress %q", seen)
	}
	if tab.Provenance()["cohort_source"] != "made here" || tab.Provenance()["roi_rule"] != "GTV-1" {
		t.Errorf("provenance %v", tab.Provenance())
	}
	if got := tab.Strings("roi")[0] + "|" + tab.Strings("roi_rule")[0] + "|" + tab.Strings("roi_seen")[0]; got != "gtv-1|GTV-1|Heart|gtv-1" {
		t.Errorf("ROI columns %q", got)
	}
	// The ball's centre, and a cube around it that lies in the scan.
	for a, axis := range []string{"x", "y", "z"} {
		if got := tab.Float64s("com_" + axis + "_mm")[0]; math.Abs(got-centre[a]) > 0.3 {
			t.Errorf("centre of mass along %s %v, want %v", axis, got, centre[a])
		}
	}
	if ball := 4.0 / 3 * math.Pi * 9 * 9 * 9; math.Abs(tab.Float64s("mask_mm3")[0]-ball) > 0.1*ball || math.Abs(float64(tab.Int64s("mask_voxels_iso")[0])-ball) > 0.1*ball {
		t.Errorf("volume %v mm3, %d voxels of 1 mm, the ball has %v", tab.Float64s("mask_mm3")[0], tab.Int64s("mask_voxels_iso")[0], ball)
	}
	ct, err := nifti.Read(filepath.Join(out, tab.Strings("ct_file")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if want := chest.Isotropic(1); ct.Grid.Size != want.Size {
		t.Errorf("1 mm volume of %v, want %v", ct.Grid.Size, want.Size)
	}
	mask, err := nifti.ReadMask(filepath.Join(out, tab.Strings("mask_file")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if mask.Count() != int(tab.Int64s("mask_voxels_iso")[0]) {
		t.Errorf("1 mm mask of %d voxels, the table says %d", mask.Count(), tab.Int64s("mask_voxels_iso")[0])
	}
	// The cube file is the piece of the 1 mm volume (whole HU) at its place.
	cube, err := nifti.Read(filepath.Join(out, tab.Strings("cube_file")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if cube.Grid.Size != [3]int{28, 28, 28} || tab.Int64s("cube_margin")[0] != 4 || tab.Int64s("padded_voxels")[0] != 0 {
		t.Fatalf("cube of %v, margin %d, %d padded", cube.Grid.Size, tab.Int64s("cube_margin")[0], tab.Int64s("padded_voxels")[0])
	}
	mean := 0.0
	for z := range 28 {
		for y := range 28 {
			for x := range 28 {
				at := ct.Grid.Index(cube.Grid.Position([3]float64{float64(x), float64(y), float64(z)}))
				whole := ct.HU[ct.Grid.Offset(int(math.Round(at[0])), int(math.Round(at[1])), int(math.Round(at[2])))]
				got := cube.HU[cube.Grid.Offset(x, y, z)]
				if math.Abs(float64(got-whole)) > 0.51 {
					t.Fatalf("cube voxel (%d,%d,%d) is %v HU, the volume has %v there", x, y, z, got, whole)
				}
				if min(x, y, z) >= 4 && max(x, y, z) < 24 {
					mean += float64(volume.Normalise(got)) / 8000
				}
			}
		}
	}
	if got := tab.Float64s("cube_mean")[0]; math.Abs(got-mean) > 1e-6 {
		t.Errorf("cube_mean %v, the file gives %v", got, mean)
	}
	f, err := os.Open(filepath.Join(out, tab.Strings("qc_file")[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() < 300 {
		t.Errorf("QC picture: error %v", err)
	}
	if _, err := table.Read(filepath.Join(out, "imaging.parquet"), ImagingSchema(), nil); err != nil {
		t.Errorf("the Parquet table: %v", err)
	}
}

// fault is the row of the exclusions table that a broken patient gives.
type fault struct{ stage, reason, file string }

// faults writes a good patient and one for each imaging fault.
func faults(t testing.TB, root string) map[string]fault {
	t.Helper()
	addPatient(t, root, "good", "GOOD")
	meta := func(id string) dicom.Meta { return dicom.Meta{PatientID: id, Seed: "prepare"} }
	slice := func(ct string, n int) string { return filepath.Join(ct, fmt.Sprintf("1-%03d.dcm", n)) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wants := map[string]fault{}

	ct, _ := addPatient(t, root, "a", "CUT")
	must(os.Truncate(slice(ct, 1), 2000)) // the topmost slice: no hole would tell
	wants["CUT"] = fault{stageCT, "truncated", "a/CT/1-001.dcm"}

	ct, _ = addPatient(t, root, "b", "HOLE")
	must(os.Remove(slice(ct, 7)))
	wants["HOLE"] = fault{stageCT, "1 slice(s) missing", "b/CT/1-006.dcm"}

	ct, _ = addPatient(t, root, "c", "TWICE")
	raw, err := os.ReadFile(slice(ct, 7))
	must(err)
	must(os.WriteFile(filepath.Join(ct, "copy of 7.dcm"), raw, 0o644))
	wants["TWICE"] = fault{stageCT, "same position", "c/CT/copy of 7.dcm"}

	_, rt := addPatient(t, root, "d", "STRANGER")
	other := meta("STRANGER")
	other.Scan = "another"
	writeStructures(t, rt, other, ball(chest, "GTV-1", centre, 9))
	wants["STRANGER"] = fault{stageMatch, "drawn on a series that is not here", "d/RT/rt.dcm"}

	_, rt = addPatient(t, root, "e", "EMPTY")
	writeStructures(t, rt, meta("EMPTY"), dicom.ROI{Name: "GTV-1"})
	wants["EMPTY"] = fault{stageROI, "is empty", "e/RT/rt.dcm"}

	_, rt = addPatient(t, root, "f", "OUTSIDE")
	writeStructures(t, rt, meta("OUTSIDE"), ball(volume.Grid{Size: [3]int{1, 1, 9}, Origin: [3]float64{0, 0, 480}, Spacing: [3]float64{1, 1, 2.5}, Direction: volume.Identity}, "GTV-1", [3]float64{0, 0, 490}, 9))
	wants["OUTSIDE"] = fault{stageMask, "outside the scan", "f/RT/rt.dcm"}

	_, rt = addPatient(t, root, "g", "NAMES")
	writeStructures(t, rt, meta("NAMES"), ball(chest, "GTV-2", centre, 9), ball(chest, "GTV-10", centre, 9))
	wants["NAMES"] = fault{stageROI, `no ROI is named GTV-1; names seen: "GTV-2", "GTV-10"`, "g/RT/rt.dcm"}

	_, rt = addPatient(t, root, "h", "SAME")
	writeStructures(t, rt, meta("SAME"), ball(chest, "GTV-1", centre, 9), ball(chest, "gtv -1", centre, 9))
	wants["SAME"] = fault{stageROI, "all match", "h/RT/rt.dcm"}

	_, rt = addPatient(t, root, "i", "NOCONTOUR")
	must(os.Remove(rt))
	wants["NOCONTOUR"] = fault{stageContours, "no readable RTSTRUCT", ""}

	ct, _ = addPatient(t, root, "j", "NOCT")
	must(os.RemoveAll(ct))
	wants["NOCT"] = fault{stageCT, "no CT series", ""}

	_, rt = addPatient(t, root, "k", "TWOFILES")
	again := meta("TWOFILES")
	again.Reader = "second"
	writeStructures(t, filepath.Join(root, "k", "RT", "second.dcm"), again, ball(chest, "GTV-1", centre, 9))
	wants["TWOFILES"] = fault{stageROI, "2 files hold a region", "k/RT/second.dcm"}
	_ = rt

	_, rt = addPatient(t, root, "l", "CUTRT")
	info, err := os.Stat(rt)
	must(err)
	must(os.Truncate(rt, info.Size()-100))
	wants["CUTRT"] = fault{stageFile, "truncated", "l/RT/rt.dcm"}

	// Files that are nobody's slices, in a good patient's folder.
	must(os.WriteFile(filepath.Join(root, "good", "CT", "zero.dcm"), nil, 0o644))
	must(os.WriteFile(filepath.Join(root, "good", "CT", "notes.txt"), []byte("hello"), 0o644))
	return wants
}

// Each imaging fault costs its own patient, with a row that names patient, stage,
// file and reason; the others go on.
func TestFaultsBecomeRows(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	wants := faults(t, root)
	s, tab, ex := run(t, options(root, out))
	if s.Patients != 13 || s.Prepared != 1 || s.Excluded != 12 || tab.Rows() != 1 || tab.Strings("patient_id")[0] != "GOOD" {
		t.Errorf("summary %+v, %d rows", s, tab.Rows())
	}
	rows := map[string][]datasets.Exclusion{}
	for _, e := range ex {
		if e.Cohort != "made" || e.Stage == "" || e.Reason == "" || strings.Contains(e.Reason, root) {
			t.Errorf("row %+v", e)
		}
		rows[e.Patient] = append(rows[e.Patient], e)
	}
	for id, w := range wants {
		found := slices.ContainsFunc(rows[id], func(e datasets.Exclusion) bool {
			return e.Stage == w.stage && strings.Contains(e.Reason, w.reason) && e.File == w.file
		})
		if !found {
			t.Errorf("%s: rows %+v, want %+v", id, rows[id], w)
		}
	}
	// The truncated structure set leaves its patient without contours: a row for each.
	if len(rows["CUTRT"]) != 2 || len(rows["GOOD"]) != 2 || len(ex) != 11+2+2 {
		t.Errorf("%d rows: %+v", len(ex), ex)
	}
	for _, e := range rows["GOOD"] {
		if e.Stage != stageFile || (e.File != "good/CT/zero.dcm" && e.File != "good/CT/notes.txt") {
			t.Errorf("row %+v", e)
		}
	}
	left, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 5 { // GOOD, three tables and the index
		t.Errorf("%d entries in the output folder: %v", len(left), left)
	}
}

// A slice of zero bytes in the middle leaves a hole, at an end it is noted.
func TestZeroByteSlice(t *testing.T) {
	root := t.TempDir()
	ct, _ := addPatient(t, root, "a", "P1")
	if err := os.Truncate(filepath.Join(ct, "1-009.dcm"), 0); err != nil {
		t.Fatal(err)
	}
	_, _, ex := run(t, options(root, t.TempDir()))
	if len(ex) != 2 || ex[0].Stage != stageFile || ex[0].File != "a/CT/1-009.dcm" || ex[0].Patient != "P1" || ex[1].Stage != stageCT || !strings.Contains(ex[1].Reason, "missing between") {
		t.Errorf("rows %+v", ex)
	}
}

// The results do not depend on how many patients are prepared at a time.
func TestJobs(t *testing.T) {
	root := t.TempDir()
	for i := range 5 {
		addPatient(t, root, fmt.Sprint(i), fmt.Sprintf("P%d", i))
	}
	var first map[string]string
	for _, jobs := range []int{1, 4} {
		o := options(root, t.TempDir())
		o.Jobs = jobs
		run(t, o)
		if got := contents(t, o.Out); first == nil {
			first = got
		} else if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("other files with 4 jobs (-1 +4):\n%s", diff)
		}
	}
	if len(first) != 5*3+3 {
		t.Errorf("%d files", len(first))
	}
}

// Folder gives the same patients as Run, in memory.
func TestFolder(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	addPatient(t, root, "a", "P1")
	addPatient(t, root, "b", "P2")
	ct, _ := addPatient(t, root, "c", "P3")
	if err := os.Remove(filepath.Join(ct, "1-009.dcm")); err != nil {
		t.Fatal(err)
	}
	_, tab, ex := run(t, options(root, out))
	got, lost, err := Folder(context.Background(), root, "made", rule, spec)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d patients, error %v", len(got), err)
	}
	if diff := cmp.Diff(ex, lost); diff != "" || len(lost) != 1 {
		t.Errorf("exclusions (-want +got):\n%s", diff)
	}
	for i, p := range got {
		if p.PatientID != tab.Strings("patient_id")[i] || CubeHash(p.Cube) != tab.Strings("cube_sha256")[i] || p.CT.HU != nil {
			t.Errorf("patient %q, cube %s", p.PatientID, CubeHash(p.Cube))
		}
	}
}

// What a run wrote below its own input is not taken for broken files by the next.
func TestOutBelowRoot(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	for range 2 {
		if s, _, ex := run(t, options(root, filepath.Join(root, "out"))); s.Prepared != 1 || len(ex) != 0 {
			t.Errorf("summary %+v, rows %+v", s, ex)
		}
	}
}

// IDs that are no folder names are made into such, each its own.
func TestFolderNames(t *testing.T) {
	ids := []string{"LUNG1-002", "../../etc/passwd", "a/b", "a_b", "a:b", "", "..", ".", "imaging.arrow", "p1", "P1", "Patient Ünal", strings.Repeat("x", 300), strings.Repeat("x", 301), "CON\x00"}
	names := folderNames(ids)
	seen := map[string]string{}
	for _, id := range ids {
		n := names[id]
		if !filepath.IsLocal(n) || n != filepath.Base(n) || n == "." || len(n) > 80 || strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`/\:*?"<>| `, r) }) {
			t.Errorf("%q: folder %q", id, n)
		}
		key := strings.ToLower(n)
		if other, twice := seen[key]; twice {
			t.Errorf("%q and %q share folder %q", id, other, n)
		}
		seen[key] = id
	}
	if names["LUNG1-002"] != "LUNG1-002" || names["a_b"] != "a_b" || len(names) != len(ids) {
		t.Errorf("names %v", names)
	}
	// A patient who bears the very name that another's was made into.
	made := folderNames([]string{"a/b"})["a/b"]
	if two := folderNames([]string{made, "a/b"}); two[made] == two["a/b"] {
		t.Errorf("both in %q", two[made])
	}
}

// An unsafe ID through the whole path.
func TestUnsafeID(t *testing.T) {
	root, parent := t.TempDir(), t.TempDir()
	out := filepath.Join(parent, "out")
	addPatient(t, root, "a", "../evil")
	_, tab, _ := run(t, options(root, out))
	if tab.Strings("patient_id")[0] != "../evil" {
		t.Errorf("patient %q", tab.Strings("patient_id")[0])
	}
	if _, err := os.Stat(filepath.Join(out, tab.Strings("cube_file")[0])); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(parent); err != nil || len(list) != 1 {
		t.Errorf("%d entries beside the output folder, error %v", len(list), err)
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"Root": func(o *Options) { o.Root = "" }, "Out": func(o *Options) { o.Out = "" }, "Rule": func(o *Options) { o.Rule = dicom.ROIRule{} },
		"Cube": func(o *Options) { o.Cube.Size = 0 }, "Jobs": func(o *Options) { o.Jobs = -1 },
	} {
		o := options(t.TempDir(), t.TempDir())
		change(&o)
		var bad *OptionError
		if _, err := Run(context.Background(), o); !errors.As(err, &bad) || bad.Option != name {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := Run(context.Background(), options(filepath.Join(t.TempDir(), "none"), t.TempDir())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a root that is not there: error %v", err)
	}
}

func TestCancelled(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	addPatient(t, root, "a", "P1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, options(root, out)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, _, err := Folder(ctx, root, "", rule, spec); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if list, err := os.ReadDir(out); err != nil || len(list) != 0 {
		t.Errorf("%d entries, error %v", len(list), err)
	}
}
