package dicom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"hounsfield/datasets/volume"
)

// square is a contour on slice z of the axial grid.
func square(z int, x0, y0, edge float64) volume.Contour {
	c := volume.Contour{}
	for _, corner := range [][2]float64{{0, 0}, {edge, 0}, {edge, edge}, {0, edge}} {
		c.Points = append(c.Points, [3]float64{x0 + corner[0], y0 + corner[1], axial.Origin[2] + float64(z)*axial.Spacing[2]})
	}
	return c
}

func writeRegions(t testing.TB, m Meta, rois ...ROI) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rt", "structures.dcm")
	if err := WriteStructures(file, rois, axial, m); err != nil {
		t.Fatal(err)
	}
	return file
}

// tumour is a region of three slices.
func tumour(name string) ROI {
	return ROI{Name: name, Contours: []volume.Contour{square(2, -6, 23, 8), square(3, -6, 23, 8), square(4, -5, 24, 5)}}
}

// rewrite changes elements anywhere in a file: nil takes one out.
func rewrite(t testing.TB, file string, change func(*lib.Element) *lib.Element) {
	t.Helper()
	set, err := lib.ParseFile(file, nil, lib.SkipProcessingPixelDataValue())
	if err != nil {
		t.Fatal(err)
	}
	var walk func(list []*lib.Element) []*lib.Element
	walk = func(list []*lib.Element) (out []*lib.Element) {
		for _, e := range list {
			if items, ok := e.Value.GetValue().([]*lib.SequenceItemValue); ok {
				var next [][]*lib.Element
				for _, i := range items {
					next = append(next, walk(i.GetValue().([]*lib.Element)))
				}
				var err error
				if e, err = lib.NewElement(e.Tag, next); err != nil {
					t.Fatal(err)
				}
			}
			if e.Tag == tag.PixelData {
				e.RawValueRepresentation = "OW" // the library writes no other
			}
			if e = change(e); e != nil {
				out = append(out, e)
			}
		}
		return out
	}
	save(t, file, walk(set.Elements))
}

// put replaces the first element with a tag by one with another value (nil: by none).
func put(t testing.TB, file string, at tag.Tag, value any) {
	t.Helper()
	done := false
	rewrite(t, file, func(e *lib.Element) *lib.Element {
		if e.Tag != at || done {
			return e
		}
		done = true
		if value == nil {
			return nil
		}
		e, err := lib.NewElement(at, value)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
	if !done {
		t.Fatalf("%s has no element %s", file, at)
	}
}

func TestWriteReadStructures(t *testing.T) {
	m := Meta{PatientID: "P1", Seed: "s"}
	want := []ROI{tumour("GTV-1"), {Name: "Lung, linke Hälfte"}, tumour("gtv-2")}
	set, err := ReadStructures(writeRegions(t, m, want...))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].Number = i + 1
	}
	if diff := cmp.Diff(want, set.ROIs, cmpopts.IgnoreUnexported(ROI{})); diff != "" {
		t.Errorf("regions (-want +got):\n%s", diff)
	}
	wantRefs := References{Series: []string{m.uid("series")}, Frames: []string{m.uid("frame")}, Images: []string{m.image(2), m.image(3), m.image(4)}}
	for z := range axial.Size[2] {
		wantRefs.Listed = append(wantRefs.Listed, m.image(z))
	}
	slices.Sort(wantRefs.Images)
	slices.Sort(wantRefs.Listed)
	if diff := cmp.Diff(wantRefs, set.References(set.ROIs[0])); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	if set.PatientID != "P1" {
		t.Errorf("patient %q", set.PatientID)
	}
}

// A contour longer than 64 KB fits, in implicit files as it is and in explicit
// ones as UN, the form the standard has for it.
func TestLongContour(t *testing.T) {
	c := volume.Contour{}
	for i := range 5000 {
		c.Points = append(c.Points, [3]float64{float64(i) / 7, float64(i%13) / 3, -30})
	}
	file := writeRegions(t, Meta{PatientID: "P1"}, ROI{Name: "long", Contours: []volume.Contour{c}})
	check := func() {
		t.Helper()
		set, err := ReadStructures(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range set.ROIs[0].Contours[0].Points {
			for a := range 3 {
				if d := p[a] - c.Points[i][a]; d > 1e-9 || d < -1e-9 {
					t.Fatalf("point %d is %v, want %v", i, p, c.Points[i])
				}
			}
		}
	}
	check()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := pass(raw, int64(len(raw)), bodyTags)
	if err != nil {
		t.Fatal(err)
	}
	set, err := interpret(file, g.stream)
	if err != nil {
		t.Fatal(err)
	}
	put := elements{}
	for _, e := range set {
		if e.Tag.Group != 2 {
			put = append(put, e)
		}
	}
	explicit := explicitWithUnknown(put)
	if err := os.WriteFile(file, explicit, 0o644); err != nil {
		t.Fatal(err)
	}
	check()
}

// explicitWithUnknown writes elements explicit little-endian with UN for text that
// is too long for its own form, which the library's writer cannot do.
func explicitWithUnknown(set []*lib.Element) []byte {
	g := &gate{order: binary.LittleEndian, out: header("1.2.840.10008.1.2.1")}
	var walk func(list []*lib.Element)
	walk = func(list []*lib.Element) {
		for _, e := range list {
			switch v := e.Value.GetValue().(type) {
			case []*lib.SequenceItemValue:
				g.write(e.Tag, "SQ", undefined)
				for _, i := range v {
					g.mark(tag.Item, undefined)
					walk(i.GetValue().([]*lib.Element))
					g.mark(tag.ItemDelimitationItem, 0)
				}
				g.mark(tag.SequenceDelimitationItem, 0)
			case []string:
				text := strings.Join(v, `\`)
				if len(text)%2 == 1 {
					text += " "
				}
				vr := e.RawValueRepresentation
				if len(text) > 0xFFFE {
					vr = "UN"
				}
				g.write(e.Tag, vr, uint32(len(text)))
				g.out = append(g.out, text...)
			}
		}
	}
	walk(set)
	return g.out
}

func TestBrokenStructures(t *testing.T) {
	for name, c := range map[string]struct {
		tag   tag.Tag
		value any
		text  string
	}{
		"half a point":             {tag.ContourData, []string{"1", "2", "3", "4"}, "x, y, z for each point"},
		"a word":                   {tag.ContourData, []string{"1", "2", "3", "4", "5", "6", "7", "eight", "9", "1", "2", "3"}, "eight"},
		"infinite":                 {tag.ContourData, []string{"1", "2", "3", "4", "5", "6", "7", "Inf", "9", "1", "2", "3"}, "finite numbers"},
		"another number of points": {tag.NumberOfContourPoints, []string{"7"}, "4, the number of points"},
		"no type":                  {tag.ContourGeometricType, nil, "ContourGeometricType] is missing"},
		"number of nobody":         {tag.ReferencedROINumber, []string{"77"}, "number of a ROI that the file names"},
		"no number":                {tag.ROINumber, nil, "ROINumber] is missing"},
		"a number twice":           {tag.ROINumber, []string{"2"}, "each number once"},
		"not a structure set":      {tag.SOPClassUID, []string{classCT}, "RT structure set"},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeRegions(t, Meta{PatientID: "P1"}, tumour("GTV-1"), tumour("GTV-2"))
			put(t, file, c.tag, c.value)
			_, err := ReadStructures(file)
			var bad *TagError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.text) || bad.File != file || bad.Patient != "P1" {
				t.Errorf("error %v, want a *TagError that says %q", err, c.text)
			}
		})
	}
	t.Run("truncated", func(t *testing.T) {
		file := writeRegions(t, Meta{PatientID: "P1"}, tumour("GTV-1"))
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		for n := info.Size() - 1; n > 700; n -= 97 {
			truncate(t, file, n)
			_, err := ReadStructures(file)
			var cut *TruncatedError
			if !errors.As(err, &cut) || cut.Patient != "P1" || cut.Has != n {
				t.Fatalf("cut to %d bytes: error %v, want a *TruncatedError", n, err)
			}
		}
	})
}

// Regions that enclose nothing are empty, and the reasons are told.
func TestEmptyRegions(t *testing.T) {
	rule := ROIRule{Exact: []string{"GTV-1"}}
	point := volume.Contour{Points: [][3]float64{{1, 2, 3}}}
	for name, c := range map[string]struct {
		roi  ROI
		edit func(file string)
		text string
	}{
		"no contour": {ROI{Name: "GTV-1"}, nil, "it has no contour"},
		"one point":  {ROI{Name: "GTV-1", Contours: []volume.Contour{point}}, nil, "has 1 point(s)"},
		"points": {ROI{Name: "GTV-1", Contours: tumour("").Contours[:1]}, func(file string) {
			put(t, file, tag.ContourGeometricType, []string{"POINT"})
		}, "of type POINT, which encloses nothing"},
		"open": {ROI{Name: "GTV-1", Contours: tumour("").Contours[:1]}, func(file string) {
			put(t, file, tag.ContourGeometricType, []string{"OPEN_PLANAR"})
		}, "of type OPEN_PLANAR"},
		"no data": {ROI{Name: "GTV-1", Contours: tumour("").Contours[:1]}, func(file string) {
			put(t, file, tag.ContourData, nil)
		}, "has no points"},
		"empty data": {ROI{Name: "GTV-1", Contours: tumour("").Contours[:1]}, func(file string) {
			put(t, file, tag.ContourData, []string{""})
		}, "has no points"},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeRegions(t, Meta{PatientID: "P1"}, c.roi)
			if c.edit != nil {
				c.edit(file)
			}
			set, err := ReadStructures(file)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = set.Choose(rule)
			var empty *EmptyROIError
			if !errors.As(err, &empty) || !strings.Contains(err.Error(), c.text) || empty.File != file || empty.Patient != "P1" || empty.ROI != "GTV-1" {
				t.Errorf("error %v, want an *EmptyROIError that says %q", err, c.text)
			}
		})
	}
}

func TestROIRule(t *testing.T) {
	rule := ROIRule{Exact: []string{"GTV-1", "gtv primary"}}
	for _, c := range []struct {
		names   []string
		want    int
		by      string
		matched []string
	}{
		{[]string{"Heart", "GTV-1"}, 1, "GTV-1", nil},
		{[]string{"gtv-1 ", "GTV-10", "GTV1"}, 0, "GTV-1", nil},
		{[]string{"GTV PRIMARY", "\tg t v-1"}, 1, "GTV-1", nil}, // the first entry of the rule wins, not the first name
		{[]string{"GTVprimary", "GTV-2"}, 0, "gtv primary", nil},
		{[]string{"GTV-1", "gtv-1"}, -1, "", []string{"GTV-1", "gtv-1"}},
		{[]string{"GTV-10", "GTV 1", "xGTV-1", ""}, -1, "", nil},
		{nil, -1, "", nil},
	} {
		got, err := rule.Choose(c.names)
		if c.want >= 0 {
			want := Choice{Index: c.want, Name: c.names[c.want], Rule: c.by, Seen: c.names}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%q: error %v, choice (-want +got):\n%s", c.names, err, diff)
			}
			continue
		}
		var roi *ROIError
		if !errors.As(err, &roi) || !slices.Equal(roi.Matched, c.matched) || !slices.Equal(roi.Seen, c.names) {
			t.Errorf("%q: error %v, want a *ROIError with %q", c.names, err, c.matched)
		}
		for _, n := range c.names {
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", n)) {
				t.Errorf("%q: error %q does not name %q", c.names, err, n)
			}
		}
	}
}
