package dicom

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"hounsfield/datasets/volume"
)

// axial is the grid of most tests: no two axes alike in size or spacing.
var axial = volume.Grid{
	Size: [3]int{20, 16, 8}, Origin: [3]float64{-10.5, 20.25, -30}, Spacing: [3]float64{0.9, 0.8, 2.5},
	Direction: volume.Identity,
}

// ramp is a volume in which every voxel has a value of its own.
func ramp(g volume.Grid) *volume.Volume {
	v := volume.NewVolume(g)
	for i := range v.HU {
		v.HU[i] = float32(i - 1024)
	}
	return v
}

// writeSeries writes a scan and lists its files, the last slice first.
func writeSeries(t testing.TB, v *volume.Volume, m Meta) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ct")
	if err := WriteCT(dir, v, m); err != nil {
		t.Fatal(err)
	}
	return filesIn(t, dir)
}

func filesIn(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, filepath.Join(dir, e.Name()))
	}
	return out
}

// edit changes elements of a file; a nil value takes the element out.
func edit(t testing.TB, file string, changes map[tag.Tag]any) {
	t.Helper()
	set, err := lib.ParseFile(file, nil, lib.SkipProcessingPixelDataValue())
	if err != nil {
		t.Fatal(err)
	}
	for at, value := range changes {
		set.Elements = slices.DeleteFunc(set.Elements, func(e *lib.Element) bool { return e.Tag == at })
		if value != nil {
			e, err := lib.NewElement(at, value)
			if err != nil {
				t.Fatal(err)
			}
			set.Elements = append(set.Elements, e)
		}
	}
	save(t, file, set.Elements)
}

func save(t testing.TB, file string, e elements) {
	t.Helper()
	raw, err := e.encode()
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func truncate(t testing.TB, file string, n int64) {
	t.Helper()
	if err := os.Truncate(file, n); err != nil {
		t.Fatal(err)
	}
}

// What is written is what is read, wherever the scan points and in whatever order
// the files come.
func TestWriteReadCT(t *testing.T) {
	turn := func(row, column [3]float64) [9]float64 {
		n := (&slice{orientation: [6]float64{row[0], row[1], row[2], column[0], column[1], column[2]}}).normal()
		return [9]float64{row[0], column[0], n[0], row[1], column[1], n[1], row[2], column[2], n[2]}
	}
	s, c := math.Sin(0.3), math.Cos(0.3)
	for name, direction := range map[string][9]float64{
		"head first supine": volume.Identity,
		"feet first supine": turn([3]float64{-1, 0, 0}, [3]float64{0, 1, 0}),
		"head first prone":  turn([3]float64{-1, 0, 0}, [3]float64{0, -1, 0}),
		"coronal":           turn([3]float64{1, 0, 0}, [3]float64{0, 0, -1}),
		"sagittal":          turn([3]float64{0, 1, 0}, [3]float64{0, 0, -1}),
		"oblique":           turn([3]float64{c, s, 0}, [3]float64{-s * c, c * c, -s}),
	} {
		for _, unsigned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s unsigned %v", name, unsigned), func(t *testing.T) {
				g := axial
				g.Direction = direction
				want := ramp(g)
				files := writeSeries(t, want, Meta{PatientID: "P1", Unsigned: unsigned})
				slices.Reverse(files)
				files[0], files[3] = files[3], files[0]
				got, err := ReadCT(files)
				if err != nil {
					t.Fatal(err)
				}
				if got.Grid.Size != g.Size || !slices.Equal(got.HU, want.HU) {
					t.Fatalf("size %v and %d voxels, want %v; or the values differ", got.Grid.Size, len(got.HU), g.Size)
				}
				for _, index := range [][3]float64{{0, 0, 0}, {19, 0, 0}, {0, 15, 0}, {0, 0, 7}} {
					a, b := got.Grid.Position(index), g.Position(index)
					for k := range 3 {
						if math.Abs(a[k]-b[k]) > 1e-6 {
							t.Fatalf("voxel %v lies at %v, want %v", index, a, b)
						}
					}
				}
			})
		}
	}
}

// The real patient of the study: the voxels' CRC-32 was found with SimpleITK and
// with pydicom (STUDY.md).
func TestLung1(t *testing.T) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no real patient to read")
	}
	tree, err := Index(filepath.Join(mirror, "nsclc-radiomics", "dicom"))
	if err != nil {
		t.Fatal(err)
	}
	p, ok := tree.Patient("LUNG1-002")
	if !ok || len(p.Series) != 1 || len(p.Structures) != 1 || len(tree.Problems) != 0 {
		t.Fatalf("patient %v, %d series, %d structure sets, problems %v", ok, len(p.Series), len(p.Structures), tree.Problems)
	}
	v, err := p.Series[0].Read()
	if err != nil {
		t.Fatal(err)
	}
	want := volume.Grid{Size: [3]int{512, 512, 111}, Origin: [3]float64{-250.112, -250.112, -133.4}, Spacing: [3]float64{0.977, 0.977, 3}, Direction: volume.Identity}
	if diff := cmp.Diff(want, v.Grid); diff != "" {
		t.Errorf("grid (-want +got):\n%s", diff)
	}
	raw := make([]byte, 2*len(v.HU))
	for i, hu := range v.HU {
		raw[2*i], raw[2*i+1] = byte(int16(hu)), byte(int16(hu)>>8)
	}
	if crc := crc32.ChecksumIEEE(raw); crc != 1277147980 {
		t.Errorf("CRC-32 of the voxels %d, want 1277147980", crc)
	}
	set, err := ReadStructures(p.Structures[0])
	if err != nil {
		t.Fatal(err)
	}
	roi, choice, err := set.Choose(ROIRule{Exact: []string{"gtv-1"}})
	if err != nil || choice.Name != "GTV-1" || len(roi.Contours) != 26 {
		t.Errorf("choice %+v of %d contours, error %v", choice, len(roi.Contours), err)
	}
	if s, note, err := p.SeriesOf(set.File, set.References(roi)); err != nil || note != "" || s.UID != p.Series[0].UID {
		t.Errorf("matched to %q, note %q, error %v", s.UID, note, err)
	}
}

// Each way in which a series can be broken ends in the error that names the patient,
// the file and what to do.
func TestBrokenSeries(t *testing.T) {
	position := func(z float64) map[tag.Tag]any {
		return map[tag.Tag]any{tag.ImagePositionPatient: []string{"-10.5", "20.25", decimal(z)}}
	}
	set := func(at tag.Tag, value any) func(t *testing.T, files []string) []string {
		return func(t *testing.T, files []string) []string {
			edit(t, files[2], map[tag.Tag]any{at: value})
			return files
		}
	}
	// files[i] is slice 7-i; the break is at files[2] unless said otherwise.
	for name, c := range map[string]struct {
		breakIt func(t *testing.T, files []string) []string
		want    error  // its type
		text    string // in the message, besides patient and file
	}{
		"truncated pixel data": {func(t *testing.T, files []string) []string {
			truncate(t, files[2], 1300)
			return files
		}, &TruncatedError{}, "pixel data needs the file to have"},
		"truncated head": {func(t *testing.T, files []string) []string {
			truncate(t, files[2], 700)
			return files
		}, &TruncatedError{}, "it has 700"},
		"zero bytes": {func(t *testing.T, files []string) []string {
			truncate(t, files[2], 0)
			return files
		}, &FormatError{}, "empty (0 bytes)"},
		"not DICOM": {func(t *testing.T, files []string) []string {
			if err := os.WriteFile(files[2], []byte(strings.Repeat("hello ", 100)), 0o644); err != nil {
				t.Fatal(err)
			}
			return files
		}, &FormatError{}, "no DICOM header"},
		"missing slice": {func(_ *testing.T, files []string) []string {
			return slices.Delete(files, 3, 4)
		}, &MissingSliceError{}, "1 slice(s) missing between"},
		"two missing slices": {func(_ *testing.T, files []string) []string {
			return slices.Delete(files, 3, 5)
		}, &MissingSliceError{}, "2 slice(s) missing"},
		"the same slice twice": {func(t *testing.T, files []string) []string {
			raw, err := os.ReadFile(files[2])
			if err != nil {
				t.Fatal(err)
			}
			copied := filepath.Join(filepath.Dir(files[2]), "copy.dcm")
			if err := os.WriteFile(copied, raw, 0o644); err != nil {
				t.Fatal(err)
			}
			return append(files, copied)
		}, &DuplicateSliceError{}, "a copy of the same image"},
		"two slices at one place": {func(t *testing.T, files []string) []string {
			edit(t, files[2], position(-30+4*2.5))
			return files
		}, &DuplicateSliceError{}, "two different images"},
		"uneven spacing": {func(t *testing.T, files []string) []string {
			edit(t, files[2], position(-30+5*2.5+0.4))
			return files
		}, &UnevenSpacingError{}, "2.100 to 2.900 mm apart"},
		"shifted in its plane": {func(t *testing.T, files []string) []string {
			edit(t, files[2], map[tag.Tag]any{tag.ImagePositionPatient: []string{"-10.5", "21.25", decimal(-30 + 5*2.5)}})
			return files
		}, &MismatchError{}, "gantry"},
		"two series": {func(t *testing.T, files []string) []string {
			other := writeSeries(t, ramp(axial), Meta{PatientID: "P1", Scan: "second"})
			return append(files, other[2])
		}, &MixedSeriesError{}, "two series mixed"},
		"another size":        {set(tag.Rows, []int{15}), &MismatchError{}, "size (rows, columns) differs"},
		"another orientation": {set(tag.ImageOrientationPatient, []string{"1", "0", "0", "0", "0", "-1"}), &MismatchError{}, "orientation differs"},
		"another spacing":     {set(tag.PixelSpacing, []string{"0.8", "0.91"}), &MismatchError{}, "pixel spacing (x, y) differs"},
		"another frame":       {set(tag.FrameOfReferenceUID, []string{"1.2.3"}), &MismatchError{}, "FrameOfReferenceUID differs"},
		"another patient":     {set(tag.PatientID, []string{"P2"}), &MismatchError{}, "PatientID differs"},
		"no position":         {set(tag.ImagePositionPatient, nil), &TagError{}, "ImagePositionPatient] is missing"},
		"an empty position":   {set(tag.ImagePositionPatient, []string{""}), &TagError{}, "ImagePositionPatient] is missing"},
		"half a position":     {set(tag.ImagePositionPatient, []string{"1", "2"}), &TagError{}, "allowed: 3 finite number(s)"},
		"a position of words": {set(tag.ImagePositionPatient, []string{"a", "b", "c"}), &TagError{}, `is "a b c"`},
		"a NaN position":      {set(tag.ImagePositionPatient, []string{"1", "2", "NaN"}), &TagError{}, "finite"},
		"no orientation":      {set(tag.ImageOrientationPatient, nil), &TagError{}, "ImageOrientationPatient] is missing"},
		"skew orientation":    {set(tag.ImageOrientationPatient, []string{"1", "0", "0", "0.5", "1", "0"}), &TagError{}, "orthogonal unit vectors"},
		"no spacing":          {set(tag.PixelSpacing, nil), &TagError{}, "PixelSpacing] is missing"},
		"negative spacing":    {set(tag.PixelSpacing, []string{"-1", "1"}), &TagError{}, "positive"},
		"no slope":            {set(tag.RescaleSlope, nil), &TagError{}, "RescaleSlope] is missing"},
		"slope zero":          {set(tag.RescaleSlope, []string{"0"}), &TagError{}, "RescaleSlope"},
		"no intercept":        {set(tag.RescaleIntercept, nil), &TagError{}, "RescaleIntercept] is missing"},
		"not in HU":           {set(tag.RescaleType, []string{"OD"}), &TagError{}, `is "OD"`},
		"no rows":             {set(tag.Rows, nil), &TagError{}, "Rows] is missing"},
		"rows as text":        {set(tag.PixelRepresentation, []int{7}), &TagError{}, "from 0 to 1"},
		"colour":              {set(tag.PhotometricInterpretation, []string{"RGB"}), &TagError{}, "MONOCHROME"},
		"more frames":         {set(tag.NumberOfFrames, []string{"3"}), &TagError{}, "one frame"},
		"32 bits":             {set(tag.BitsAllocated, []int{32}), &TagError{}, "BitsAllocated"},
		"more bits stored":    {set(tag.BitsStored, []int{17}), &TagError{}, "BitsStored"},
		"not CT":              {set(tag.SOPClassUID, []string{"1.2.840.10008.5.1.4.1.1.4"}), &NotCTError{}, "not a CT slice"},
		"no series UID":       {set(tag.SeriesInstanceUID, nil), &TagError{}, "SeriesInstanceUID] is missing"},
		"no pixels":           {set(tag.PixelData, nil), &PixelError{}, "there is none"},
		"too few pixels": {set(tag.PixelData, lib.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: make([]byte, 100)}),
			&PixelError{}, "100 bytes for 20 x 16 samples"},
		"JPEG 2000": {set(tag.TransferSyntaxUID, []string{"1.2.840.10008.1.2.4.90"}), &SyntaxError{}, "gdcmconv --raw"},
		"an unknown syntax": {func(t *testing.T, files []string) []string {
			raw, err := os.ReadFile(files[2])
			if err != nil {
				t.Fatal(err)
			}
			raw = bytes.Replace(raw, []byte("1.2.840.10008.1.2.1\x00"), []byte("1.2.3.4.5.6.7.8.9.10"), 1)
			if err := os.WriteFile(files[2], raw, 0o644); err != nil {
				t.Fatal(err)
			}
			return files
		}, &SyntaxError{}, "1.2.3.4.5.6.7.8.9.10 (unknown)"},
		"one slice": {func(_ *testing.T, files []string) []string {
			return files[2:3]
		}, &TagError{}, "at least 2"},
	} {
		t.Run(name, func(t *testing.T) {
			files := writeSeries(t, ramp(axial), Meta{PatientID: "P1"})
			at := files[2]
			_, err := ReadCT(c.breakIt(t, files))
			if got, want := fmt.Sprintf("%T", deepest(err)), fmt.Sprintf("%T", c.want); got != want {
				t.Fatalf("error is a %s (%v), want a %s", got, err, want)
			}
			text := err.Error()
			if !strings.Contains(text, c.text) {
				t.Errorf("error %q does not say %q", text, c.text)
			}
			if FileOf(err) == "" {
				t.Errorf("error %q is about no file", text)
			}
			whole := !errors.As(err, new(*FormatError)) && !errors.As(err, new(*MissingSliceError)) && !errors.As(err, new(*MixedSeriesError))
			if whole && !strings.Contains(text, filepath.Base(at)) {
				t.Errorf("error %q does not name the file %s", text, filepath.Base(at))
			}
			if _, unreadable := err.(*FormatError); !unreadable && name != "another patient" && !strings.Contains(text, "P1") {
				t.Errorf("error %q does not name the patient", text)
			}
		})
	}
}

// deepest is the innermost error.
func deepest(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Spacings that are rounded to a tenth of a millimetre are even.
func TestRoundedPositions(t *testing.T) {
	g := axial
	g.Spacing[2] = 1.25
	files := writeSeries(t, ramp(g), Meta{PatientID: "P1"})
	for i, f := range files {
		z := -30 + 1.25*float64(len(files)-1-i)
		edit(t, f, map[tag.Tag]any{tag.ImagePositionPatient: []string{"-10.5", "20.25", fmt.Sprintf("%.1f", z)}})
	}
	v, err := ReadCT(files)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(v.Grid.Spacing[2]-1.25) > 0.02 {
		t.Errorf("spacing %v", v.Grid.Spacing)
	}
}

// Slope and intercept are each slice's own.
func TestRescalePerSlice(t *testing.T) {
	files := writeSeries(t, ramp(axial), Meta{PatientID: "P1"})
	edit(t, files[2], map[tag.Tag]any{tag.RescaleSlope: []string{"0.5"}, tag.RescaleIntercept: []string{"-7.25"}})
	v, err := ReadCT(files)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range ramp(axial).HU {
		if i/(20*16) == 7-2 {
			want = 0.5*want - 7.25
		}
		if v.HU[i] != want {
			t.Fatalf("voxel %d is %v, want %v", i, v.HU[i], want)
		}
	}
}
