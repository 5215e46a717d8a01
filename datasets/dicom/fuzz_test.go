package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hounsfield/datasets/volume"
)

// seeds are the made files, written ones, cut ones and hostile ones.
func seeds(f *testing.F) {
	f.Helper()
	small := axial
	small.Size = [3]int{3, 2, 2}
	files := writeSeries(f, ramp(small), Meta{PatientID: "P1"})
	files = append(files[:1], writeRegions(f, Meta{PatientID: "P1"}, ROI{Name: "GTV-1", Contours: tumour("").Contours[:1]}))
	made, err := filepath.Glob("testdata/*.dcm")
	if err != nil || len(made) < 20 {
		f.Fatalf("%d made files, error %v", len(made), err)
	}
	for _, file := range append(files, made...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
		f.Add(raw[:len(raw)-1])
	}
	for _, h := range hostile(100) {
		f.Add(h)
	}
}

// hostile are files that break readers: deep nesting, lengths of 4 GB, no value
// where one must be, sequences of the wrong things.
func hostile(depth int) map[string][]byte {
	explicit, implicit := "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
	element := func(group, el uint16, vr string, length uint32, value string) []byte {
		b := binary.LittleEndian.AppendUint16(nil, group)
		b = binary.LittleEndian.AppendUint16(b, el)
		switch {
		case vr == "":
			b = binary.LittleEndian.AppendUint32(b, length)
		case longVR[vr]:
			b = append(b, vr[0], vr[1], 0, 0)
			b = binary.LittleEndian.AppendUint32(b, length)
		default:
			b = append(b, vr[0], vr[1])
			b = binary.LittleEndian.AppendUint16(b, uint16(length))
		}
		return append(b, value...)
	}
	with := func(syntax string, parts ...[]byte) []byte {
		return append(header(syntax), bytes.Join(parts, nil)...)
	}
	item := element(0xFFFE, 0xE000, "", undefined, "")
	deep := bytes.Repeat(append(element(0x3006, 0x0039, "SQ", undefined, ""), item...), depth)
	return map[string][]byte{
		"nested deep":                       with(explicit, deep),
		"nested deep, not wanted":           with(implicit, bytes.Repeat(append(element(0x0009, 0x0010, "", undefined, ""), item...), depth)),
		"4 GB of text":                      with(explicit, element(0x3006, 0x0050, "UT", 0xFFFFFFFE, "1")),
		"4 GB of bytes":                     with(explicit, element(0x0010, 0x0020, "UN", 0xFFFFFFFE, "1")),
		"undefined length of a number":      with(explicit, element(0x0028, 0x0010, "UL", 0xFFFF, "1")),
		"undefined length of private":       with(implicit, element(0x0009, 0x1010, "", undefined, "junk and junk")),
		"pixels of 4 GB":                    with(explicit, element(0x7FE0, 0x0010, "OW", 0xFFFFFFFE, "1")),
		"fragments without end":             with(explicit, element(0x7FE0, 0x0010, "OB", undefined, ""), element(0xFFFE, 0xE000, "", 0, "")),
		"a sequence of no items":            with(explicit, element(0x3006, 0x0039, "SQ", 8, "12345678")),
		"an item longer than its sequence":  with(explicit, element(0x3006, 0x0039, "SQ", 8, ""), element(0xFFFE, 0xE000, "", 100, strings.Repeat("x", 100))),
		"odd numbers":                       with(explicit, element(0x0028, 0x0010, "US", 3, "123")),
		"an unknown representation":         with(explicit, element(0x0028, 0x0010, "??", 2, "12")),
		"empty values":                      with(explicit, element(0x0008, 0x0005, "CS", 0, ""), element(0x0028, 0x0010, "US", 0, ""), element(0x0020, 0x0032, "DS", 0, "")),
		"an unknown character set":          with(explicit, element(0x0008, 0x0005, "CS", 6, "KLINGO"), element(0x0010, 0x0020, "LO", 2, "P1")),
		"a character set as a number":       with(explicit, element(0x0008, 0x0005, "US", 2, "\x01\x00"), element(0x0010, 0x0020, "LO", 2, "P1")),
		"a character set without a decoder": with(explicit, element(0x0008, 0x0005, "CS", 14, "ISO 2022 IR 58"), element(0x0010, 0x0020, "LO", 2, "P1")),
		"no transfer syntax":                append(append(make([]byte, 128), "DICM"...), element(8, 0x16, "UI", 2, "1\x00")...),
		"only a header":                     with(explicit),
		"deflated junk":                     with("1.2.840.10008.1.2.1.99", []byte("this is not deflated")),
	}
}

// Hostile files end at once in an error of this package, and cost no memory.
func TestHostileFiles(t *testing.T) {
	for name, raw := range hostile(100_000) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			o, err := read("hostile.dcm", bytes.NewReader(raw), int64(len(raw)), bodyTags)
			runtime.ReadMemStats(&after)
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 64<<20 {
				t.Errorf("%d MB were allocated for a file of %d bytes", spent>>20, len(raw))
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
			if err == nil {
				_, err = newStructureSet(o)
			}
			if err == nil || FileOf(err) != "hostile.dcm" {
				t.Errorf("error %v of file %q", err, FileOf(err))
			}
		})
	}
}

// known fails on an error that is not one of this package's: a bare error, or the
// report of a panic, which a check here should have come before.
func known(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if FileOf(err) == "" && !errors.As(err, new(*volume.GeometryError)) {
		t.Errorf("an error that names no file: %v", err)
	}
}

func FuzzCT(f *testing.F) {
	seeds(f)
	file := filepath.Join(f.TempDir(), "slice.dcm")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		hu, s, err := pixelsOf(file)
		known(t, err)
		if err == nil && len(hu) != s.rows*s.cols {
			t.Errorf("%d voxels of %d x %d", len(hu), s.cols, s.rows)
		}
		e := look(file)
		if e.slice == nil && e.err != nil {
			known(t, e.err)
		}
	})
}

func FuzzStructures(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := read("fuzz.dcm", bytes.NewReader(raw), int64(len(raw)), bodyTags)
		known(t, err)
		if err != nil {
			return
		}
		s, err := newStructureSet(o)
		known(t, err)
		if err != nil {
			return
		}
		for _, r := range s.ROIs {
			for _, c := range r.Contours {
				if len(c.Points) < 3 {
					t.Errorf("a contour of %d points", len(c.Points))
				}
			}
		}
		_, _, err = s.Choose(ROIRule{Exact: []string{"GTV-1"}})
		known(t, err)
	})
}

func FuzzSegmentation(f *testing.F) {
	seeds(f)
	file := filepath.Join(f.TempDir(), "seg.dcm")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := ReadSegmentation(file)
		known(t, err)
		if err != nil || s.grid.Len() > 1<<22 {
			return // a plane of few bits may stand for a large grid of empty ones
		}
		for _, on := range []*volume.Grid{nil, &madeScan} {
			m, err := s.Mask(1, on)
			known(t, err)
			if err == nil && len(m.In) != m.Grid.Len() {
				t.Errorf("%d voxels for a grid of %d", len(m.In), m.Grid.Len())
			}
		}
	})
}
