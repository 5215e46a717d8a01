package prepare

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/nrrd"
	"hounsfield/datasets/volume"
)

// pairOf writes a scan and a mask into a folder, as name.ext and name-mask.ext.
func pairOf(t testing.TB, dir, name, ext string, v *volume.Volume, m *volume.Mask) (ct, mask string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ct, mask = filepath.Join(dir, name+ext), filepath.Join(dir, name+"-mask"+ext)
	var err error
	if strings.HasPrefix(ext, ".nii") {
		err = errors.Join(nifti.Write(ct, v), nifti.WriteMask(mask, m))
	} else {
		err = errors.Join(nrrd.Write(ct, v), nrrd.WriteMask(mask, m))
	}
	if err != nil {
		t.Fatal(err)
	}
	return ct, mask
}

// ballMask is the mask of a ball.
func ballMask(g volume.Grid, centre [3]float64, radius float64) *volume.Mask {
	m := volume.NewMask(g)
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			for x := range g.Size[0] {
				p := g.Position([3]float64{float64(x), float64(y), float64(z)})
				if math.Hypot(math.Hypot(p[0]-centre[0], p[1]-centre[1]), p[2]-centre[2]) < radius {
					m.In[g.Offset(x, y, z)] = 1
				}
			}
		}
	}
	return m
}

func pairOptions(out string, pairs ...Pair) Options {
	return Options{Out: out, Cohort: "made", Cube: spec, Pairs: pairs, panel: smallPanel}
}

// reordered stores a lattice in another order of its axes, some of them backwards. Every
// voxel keeps its place.
func reordered[V any](g volume.Grid, in []V, axes [3]int, backwards int) (volume.Grid, []V) {
	h := g
	var corner [3]float64
	for a, from := range axes {
		h.Size[a], h.Spacing[a] = g.Size[from], g.Spacing[from]
		sign := 1.0
		if backwards>>a&1 == 1 {
			sign, corner[from] = -1, float64(g.Size[from]-1)
		}
		for r := range 3 {
			h.Direction[3*r+a] = sign*g.Direction[3*r+from] + 0
		}
	}
	h.Origin = g.Position(corner)
	out := make([]V, len(in))
	var i [3]int
	for i[2] = range h.Size[2] {
		for i[1] = range h.Size[1] {
			for i[0] = range h.Size[0] {
				var from [3]int
				for a, axis := range axes {
					from[axis] = i[a]
					if backwards>>a&1 == 1 {
						from[axis] = g.Size[axis] - 1 - i[a]
					}
				}
				out[h.Offset(i[0], i[1], i[2])] = in[g.Offset(from[0], from[1], from[2])]
			}
		}
	}
	return h, out
}

// A patient by DICOM and by files of volumes is the same, in each of the ways to store the
// axes, also obliquely, and with scan and mask stored in different ways.
func TestPairsAreTheSame(t *testing.T) {
	root, files := t.TempDir(), t.TempDir()
	addPatient(t, root, "one", "P1")
	found, lost, err := Folder(t.Context(), root, "made", rule, spec)
	if err != nil || len(lost) != 0 {
		t.Fatal(lost, err)
	}
	want := CubeHash(found[0].Cube)
	native := scan(chest, centre, 9)
	mask := volume.NewMask(chest)
	if _, err := Each(t.Context(), root, "made", rule, spec, func(p *Prepared) error { copy(mask.In, p.Mask.In); return nil }); err != nil {
		t.Fatal(err)
	}
	var pairs []Pair
	orders := [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for i, axes := range orders {
		for _, backwards := range []int{3 * (i % 2), 5 + 2*(i%2)} {
			g, hu := reordered(chest, native.HU, axes, backwards)
			other, in := reordered(chest, mask.In, orders[(i+backwards)%6], backwards^2)
			ext := []string{".nii", ".nii.gz", ".nrrd"}[(i+backwards)%3]
			ct, at := pairOf(t, files, fmt.Sprint(i, "-", backwards), ext, &volume.Volume{Grid: g, HU: hu}, &volume.Mask{Grid: other, In: in})
			pairs = append(pairs, Pair{Patient: fmt.Sprintf("W%d-%d", i, backwards), CT: ct, Mask: at})
		}
	}
	_, tab, ex := run(t, pairOptions(t.TempDir(), pairs...))
	if tab.Rows() != 12 || len(ex) != 0 {
		t.Fatalf("%d rows, exclusions %+v", tab.Rows(), ex)
	}
	for i, hash := range tab.Strings("cube_sha256") {
		if hash != want {
			t.Errorf("%s: another cube than by DICOM", tab.Strings("patient_id")[i])
		}
	}
	sum, err := fileSHA256(pairs[0].CT)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range []string{"patient_id", "series_uid", "contour_file", "roi", "roi_rule", "roi_seen", "notes"} {
		got = append(got, tab.Strings(c)[0])
	}
	if diff := cmp.Diff([]string{"W0-0", "sha256:" + sum, "0-0-mask.nii", "label 1", "the only label", "label 1", ""}, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if note := tab.Strings("notes")[4]; note != turnedNote {
		t.Errorf("notes %q", note)
	}
	if p := tab.Provenance(); p["roi_rule"] != "labels of each mask" || p["repeats"] != "as the list of pairs has them" {
		t.Errorf("provenance %v", p)
	}
}

// Oblique lattices: the cube lies where it lies by DICOM.
func TestObliquePair(t *testing.T) {
	root, files := t.TempDir(), t.TempDir()
	g := chest
	s, c := math.Sincos(0.3)
	g.Direction = [9]float64{c, 0, s, 0, 1, 0, -s, 0, c} // nodding
	v, m := scan(g, centre, 9), ballMask(g, centre, 9)
	meta := dicom.Meta{PatientID: "P1", Seed: "oblique"}
	if err := dicom.WriteCT(filepath.Join(root, "CT"), v, meta); err != nil {
		t.Fatal(err)
	}
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := tree.Patients[0].Series[0].Read()
	if err != nil {
		t.Fatal(err)
	}
	ct, mask := pairOf(t, files, "p", ".nii.gz", v, m)
	p, err := newPairExam("P1", Pair{CT: ct, Mask: mask}).read(spec)
	if err != nil {
		t.Fatal(err)
	}
	want, err := volume.CutCube(ours, &volume.Mask{Grid: ours.Grid, In: m.In}, spec)
	if err != nil {
		t.Fatal(err)
	}
	// NIfTI keeps directions in 32 bits: 1e-7 of 70 mm, times 43 HU a mm at the ball's edge.
	worst := 0.0
	for i, hu := range want.HU {
		worst = max(worst, math.Abs(float64(hu-p.Cube.HU[i])))
	}
	if apart := cornersApart(p.CT.Grid, ours.Grid); apart > 1e-4 || worst > 0.01 || want.MaskVoxels != p.Cube.MaskVoxels {
		t.Errorf("corners %g mm, HU up to %g apart; %d and %d voxels", apart, worst, want.MaskVoxels, p.Cube.MaskVoxels)
	}
}

// LUNG1-002 by DICOM and by NIfTI written at its native geometry.
func TestPairOfRealPatient(t *testing.T) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR names no folder of real data")
	}
	cube := volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}
	dir := t.TempDir()
	var ct, mask string
	var want *volume.Cube
	_, err := Each(t.Context(), filepath.Join(mirror, "nsclc-radiomics", "dicom", "LUNG1-002"), "lung1", rule, cube, func(p *Prepared) error {
		ct, mask = pairOf(t, dir, "scan", ".nii", p.CT, p.Mask)
		want = p.Cube
		return nil
	})
	if err != nil || want == nil {
		t.Fatal(err)
	}
	p, err := newPairExam("LUNG1-002", Pair{CT: ct, Mask: mask}).read(cube)
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i, hu := range want.HU {
		worst = max(worst, math.Abs(float64(hu-p.Cube.HU[i])))
	}
	// Positions are rounded to 32 bits, spacings are the decimals of the file.
	if p.CRC != 1277147980 || p.MaskVoxels != 125531 || want.CentreIndex != p.Cube.CentreIndex || worst > 0.05 {
		t.Errorf("CRC %d, %d voxels, centre %v and %v, HU up to %g apart", p.CRC, p.MaskVoxels, p.Cube.CentreIndex, want.CentreIndex, worst)
	}
	t.Logf("cubes of DICOM and NIfTI up to %g HU apart", worst)
}

// relabel writes a mask with a label per voxel.
func relabel(t testing.TB, file string, g volume.Grid, label func(i int) float32) string {
	t.Helper()
	v := volume.NewVolume(g)
	for i := range v.HU {
		v.HU[i] = label(i)
	}
	if err := nifti.Write(file, v, nifti.Float32); err != nil {
		t.Fatal(err)
	}
	return file
}

// Each fault of a pair costs its own patient, with a row that says what to do.
func TestPairFaults(t *testing.T) {
	dir := t.TempDir()
	v, m := scan(chest, centre, 9), ballMask(chest, centre, 9)
	ct, mask := pairOf(t, dir, "good", ".nii", v, m)
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, change func(hu float32) float32) string {
		w := volume.NewVolume(chest)
		for i, hu := range v.HU {
			w.HU[i] = change(hu)
		}
		if err := nifti.Write(at(name), w, nifti.Float32); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	maskOn := func(name string, change func(g *volume.Grid)) string {
		g := chest
		change(&g)
		if err := nifti.WriteMask(at(name), ballMask(g, centre, 9)); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	patched := func(name string, change func(raw []byte) []byte) string {
		raw, err := os.ReadFile(ct)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), change(raw), 0o644); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	series := patched("series.nii", func(raw []byte) []byte {
		binary.LittleEndian.PutUint16(raw[40:], 4)
		binary.LittleEndian.PutUint16(raw[48:], 2)
		return append(raw, raw[352:]...)
	})
	huge := patched("huge.nii.gz", func(raw []byte) []byte { // a packed file could hold what it says
		for a := range 3 {
			binary.LittleEndian.PutUint16(raw[42+2*a:], 1024)
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
		if err == nil {
			_, err = z.Write(append(raw, make([]byte, 2200000)...))
		}
		if err = errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	})
	cut := patched("cut.nii", func(raw []byte) []byte { return raw[:len(raw)-100] })
	ball := func(i int) bool { return m.In[i] != 0 }
	two := relabel(t, at("two.nii"), chest, func(i int) float32 {
		switch {
		case ball(i):
			return 2
		case i < 50:
			return 1
		}
		return 0
	})
	tests := []struct {
		pair                Pair
		stage, reason, file string
	}{
		{Pair{CT: at("none.nii"), Mask: mask}, stageCT, "none.nii: there is no such file; the list names it as the scan", "none.nii"},
		{Pair{CT: ct, Mask: at("none.nii.gz")}, stageContours, "there is no such file; the list names it as the mask", "none.nii.gz"},
		{Pair{CT: ct}, stageContours, "a scan and no mask", "good.nii"},
		{Pair{Mask: mask}, stageCT, "a mask and no scan", "good-mask.nii"},
		{Pair{CT: series, Mask: mask}, stageCT, "dim[4] is 2; allowed: 1", "series.nii"},
		{Pair{CT: huge, Mask: mask}, stageCT, "said to have 1024 x 1024 x 1024 voxels; at most 536870912", "huge.nii.gz"},
		{Pair{CT: cut, Mask: mask}, stageCT, "cut short", "cut.nii"},
		{Pair{CT: write("unit.nii", func(hu float32) float32 { return (hu + 1100) / 2000 }), Mask: mask}, stageCT, "does not look like HU", "unit.nii"},
		{Pair{CT: write("unsigned.nii", func(hu float32) float32 { return hu + 1024 }), Mask: mask}, stageCT, "not stored with 1024 added", "unsigned.nii"},
		{Pair{CT: write("window.nii", func(hu float32) float32 { return max(hu, -160) }), Mask: mask}, stageCT, "from -160 to 40", "window.nii"},
		{Pair{CT: write("low.nii", func(hu float32) float32 { return hu - 1024 }), Mask: mask}, stageCT, "tissue above 0", "low.nii"},
		{Pair{CT: ct, Mask: maskOn("fewer.nii", func(g *volume.Grid) { g.Size[2]-- })}, stageMatch, "good.nii and fewer.nii: the mask has 48 x 40 x 19 voxels and the scan 48 x 40 x 20", "fewer.nii"},
		{Pair{CT: ct, Mask: maskOn("beside.nii", func(g *volume.Grid) { g.Origin[1] += 0.2 })}, stageMatch, "good.nii and beside.nii: the mask lies up to 0.2 mm beside the scan", "beside.nii"},
		{Pair{CT: ct, Mask: maskOn("wider.nii", func(g *volume.Grid) { g.Spacing[0] = 1.6 })}, stageMatch, "beside the scan", "wider.nii"},
		{Pair{CT: ct, Mask: two}, stageROI, "has the labels 1, 2 and it is not said which", "two.nii"},
		{Pair{CT: ct, Mask: two, Labels: []int{3, 4}}, stageROI, "has the labels 1, 2 and not 3, 4", "two.nii"},
		{Pair{CT: ct, Mask: relabel(t, at("soft.nii"), chest, func(i int) float32 { return 0.5 * float32(m.In[i]) })}, stageContours, "mask is no mask; allowed: whole numbers, 0 and at most 255 labels above it (voxel", "soft.nii"},
		{Pair{CT: ct, Mask: ct}, stageContours, "mask is no mask", "good.nii"},
		{Pair{CT: ct, Mask: relabel(t, at("many.nii"), chest, func(i int) float32 { return float32(i % 300) })}, stageContours, "255 other labels before it", "many.nii"},
		{Pair{CT: ct, Mask: relabel(t, at("empty.nii"), chest, func(int) float32 { return 0 })}, stageContours, "the mask is empty", "empty.nii"},
		{Pair{CT: at("scan.mha"), Mask: mask}, stageCT, "allowed: .nii, .nii.gz, .nrrd, .nhdr", "scan.mha"},
		{Pair{CT: ct, Mask: at("mask.mha")}, stageContours, "allowed: .nii, .nii.gz, .nrrd, .nhdr", "mask.mha"},
		{Pair{CT: ct, Mask: mask, Scan: 2}, stageContours, "no reference mask of the first scan", ""},
	}
	pairs := []Pair{
		{Patient: "GOOD", CT: ct, Mask: mask},
		{Patient: "LABEL", CT: ct, Mask: two, Labels: []int{2, 7}},
		{Patient: "NEAR", CT: ct, Mask: maskOn("near.nii", func(g *volume.Grid) { g.Origin[1] += 0.05 })},
	}
	for i, test := range tests {
		test.pair.Patient = fmt.Sprintf("F%02d", i)
		pairs = append(pairs, test.pair)
	}
	s, tab, ex := run(t, pairOptions(t.TempDir(), pairs...))
	if s.Prepared != 3 || len(ex) != len(tests) {
		t.Fatalf("summary %+v, exclusions %+v", s, ex)
	}
	for i, test := range tests {
		if e := ex[i]; e.Patient != fmt.Sprintf("F%02d", i) || e.Stage != test.stage || !strings.Contains(e.Reason, test.reason) || e.File != test.file || strings.Contains(e.Reason, dir) {
			t.Errorf("row %+v, want %q %q %q", e, test.stage, test.reason, test.file)
		}
	}
	want := [][]string{{"label 1", "labels 2", "label 1"}, {"label 1", "label 1|label 2", "label 1"}, {"", "label 7 not in the mask", ""}}
	want[0][1] = "labels 2, 7"
	for i, c := range []string{"roi", "roi_seen", "notes"} {
		if got := tab.Strings(c); !slices.Equal(got, want[i]) {
			t.Errorf("%s %q, want %q", c, got, want[i])
		}
	}
	if voxels := tab.Int64s("mask_voxels"); voxels[0] != int64(m.Count()) || voxels[1] != voxels[0] || voxels[2] < voxels[0]-20 {
		t.Errorf("%d voxels", voxels)
	}
}

// Second scans and readers of a list of pairs.
func TestPairRepeats(t *testing.T) {
	dir := t.TempDir()
	first, mask1 := pairOf(t, dir, "first", ".nii", scan(chest, here, 9), ballMask(chest, here, 9))
	second, mask2 := pairOf(t, dir, "second", ".nrrd", scan(chest, there, 9), ballMask(chest, there, 9))
	_, wide := pairOf(t, dir, "wide", ".nii", scan(chest, here, 9), ballMask(chest, here, 12))
	o := pairOptions(t.TempDir(),
		Pair{Patient: "B", Scan: 2, CT: second, Mask: mask2}, Pair{Patient: "B", CT: first, Mask: mask1},
		Pair{Patient: "A", Reader: "Wide", CT: first, Mask: wide}, Pair{Patient: "A", Reader: "2", Mask: mask1}, Pair{Patient: "A", Scan: 1, CT: first, Mask: mask1},
		Pair{Patient: "C", CT: first, Mask: mask1}, Pair{Patient: "C", Reader: "Wide", CT: second, Mask: mask2},
		Pair{Patient: "D", CT: filepath.Join(dir, "none.nii"), Mask: mask1}, Pair{Patient: "D", Scan: 2, CT: second, Mask: mask2},
	)
	s, tab, ex := run(t, o)
	if got := keysOf(tab); !slices.Equal(got, []string{"A/1/", "A/1/2", "A/1/Wide", "B/1/", "B/2/", "C/1/", "D/1/"}) || s.Prepared != 4 || s.SecondScans != 1 || s.Readings != 2 {
		t.Errorf("rows %v, summary %+v", got, s)
	}
	if v := tab.Int64s("mask_voxels"); v[2] < 2*v[1] || v[1] != v[0] {
		t.Errorf("voxels %d", v)
	}
	if _, says := saysOf(ex, "C"); !strings.Contains(says, "paired with another scan") || !strings.Contains(says, "no contour by reader 2, whom other patients have") {
		t.Errorf("C: %s", says)
	}
	if _, says := saysOf(ex, "D"); !strings.Contains(says, "no such file") || !strings.Contains(tab.Strings("notes")[6], "earlier scan could not be used") {
		t.Errorf("D: %s", says)
	}
	// With pseudonyms the names of readers, typed by somebody, go too.
	o.Out, o.Pseudonyms = t.TempDir(), newKey(t)
	_, tab, _ = run(t, o)
	if !slices.Contains(tab.Strings("reader"), o.Pseudonyms.Text("reader", "Wide")[:8]) {
		t.Errorf("readers %q", tab.Strings("reader"))
	}
	search(t, o.Out, []string{"wide", "first.nii", "second.nrrd", "none.nii", filepath.Base(filepath.Dir(dir))})
}

// A header whose voxels lie in another file: a change of these is a change of the scan.
func TestDetachedPair(t *testing.T) {
	dir := t.TempDir()
	v, m := scan(chest, centre, 9), ballMask(chest, centre, 9)
	ct, mask := pairOf(t, dir, "p", ".nhdr", v, m)
	o := pairOptions(t.TempDir(), Pair{Patient: "A", CT: ct, Mask: mask})
	_, tab, _ := run(t, o)
	uid, cube := tab.Strings("series_uid")[0], tab.Strings("cube_sha256")[0]
	if s, _, _ := run(t, o); s.Kept != 1 {
		t.Errorf("summary %+v", s)
	}
	for i := range v.HU {
		v.HU[i]++
	}
	header, err := os.ReadFile(ct)
	if err != nil {
		t.Fatal(err)
	}
	pairOf(t, dir, "p", ".nhdr", v, m)
	if again, err := os.ReadFile(ct); err != nil || !bytes.Equal(header, again) {
		t.Fatal("the header has changed too: the test shows nothing", err)
	}
	s, tab, _ := run(t, o)
	if s.Redone != 1 || tab.Strings("series_uid")[0] == uid || tab.Strings("cube_sha256")[0] == cube {
		t.Errorf("summary %+v", s)
	}
}

// A list that cannot be is an error before any work, which names the place in the list.
func TestPairList(t *testing.T) {
	good := Pair{Patient: "A", CT: "a.nii", Mask: "b.nii"}
	for _, test := range []struct {
		change func(o *Options)
		want   string
	}{
		{func(o *Options) { o.Pairs = []Pair{} }, "an empty list"},
		{func(o *Options) { o.Pairs[0].Patient = " " }, "pair 1: no patient"},
		{func(o *Options) { o.Pairs[0].Scan = 3 }, "pair 1: scan 3"},
		{func(o *Options) { o.Pairs[0].Scan, o.Pairs[0].Reader = 2, "x" }, "a reader of the second scan"},
		{func(o *Options) { o.Pairs = append(o.Pairs, good, Pair{Patient: "A", Scan: 1}) }, "pair 2: patient, scan and reader of pair 1"},
		{func(o *Options) {
			o.Pairs = append(o.Pairs, Pair{Patient: "A", Reader: "KM", Mask: "k.nii"}, Pair{Patient: "A", Reader: "km", Mask: "m.nii"})
		}, "pair 3: patient, scan and reader of pair 2"},
		{func(o *Options) { o.Pairs[0].Labels = []int{1, 1} }, "labels [1 1]"},
		{func(o *Options) { o.Pairs[0].Labels = []int{0} }, "labels [0]"},
		{func(o *Options) { o.Repeats.Kind = RepeatsScans }, "nothing with pairs"},
	} {
		o := pairOptions(t.TempDir(), good)
		test.change(&o)
		_, err := Run(t.Context(), o)
		var option *OptionError
		if !errors.As(err, &option) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

// What a NIfTI header says in words is not carried over.
func TestPairHeaderText(t *testing.T) {
	dir := t.TempDir()
	ct, mask := pairOf(t, dir, "scan", ".nii", scan(chest, centre, 9), ballMask(chest, centre, 9))
	for _, file := range []string{ct, mask} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		copy(raw[14:], "Zwiebelfisch 1931")       // db_name
		copy(raw[148:], "Ottokar ACC-77135 1931") // descrip
		copy(raw[228:], "Quittenbrot")            // aux_file
		copy(raw[328:], "Gurkensalat")            // intent_name
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := pairOptions(t.TempDir(), Pair{Patient: "A", CT: ct, Mask: mask})
	o.KeepVolumes = true
	if s, _, ex := run(t, o); s.Prepared != 1 {
		t.Fatalf("%+v", ex)
	}
	search(t, o.Out, secrets)
}

// The ids of a list of patients: others are not prepared, and nothing is said of them.
func TestPatients(t *testing.T) {
	ownCache(t)
	root := t.TempDir()
	for _, id := range []string{"P1", "P2", "P3"} {
		addPatient(t, root, id, id)
	}
	for _, id := range []string{"P2", "P3"} {
		if err := os.Remove(filepath.Join(root, id, "RT", "rt.dcm")); err != nil {
			t.Fatal(err)
		}
	}
	o := options(root, t.TempDir())
	o.Patients = map[string]string{"P1": "H-9", "P3": "H-1"}
	s, tab, ex := run(t, o)
	if s.Patients != 2 || !slices.Equal(tab.Strings("patient_id"), []string{"H-9"}) || tab.Strings("cube_file")[0] != "H-9/cube.nii.gz" ||
		len(ex) != 1 || ex[0].Patient != "H-1" || !strings.Contains(ex[0].Reason, "patient H-1: ") {
		t.Errorf("summary %+v, ids %v, exclusions %+v", s, tab.Strings("patient_id"), ex)
	}
	o.Patients = map[string]string{"P1": "H-9", "P3": "H-9"}
	var option *OptionError
	if _, err := Run(t.Context(), o); !errors.As(err, &option) || option.Option != "Patients" {
		t.Errorf("error %v", err)
	}
}
