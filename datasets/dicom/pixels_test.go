package dicom

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// madeFiles reads testdata/syntaxes.json, whose source field says how the files
// were made by other tools.
func madeFiles(t *testing.T) map[string]madeFile {
	t.Helper()
	raw, err := os.ReadFile("testdata/syntaxes.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Source string
		Files  map[string]madeFile
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	if golden.Source == "" || len(golden.Files) < 20 {
		t.Fatalf("the golden file names no source or only %d files", len(golden.Files))
	}
	return golden.Files
}

type madeFile struct {
	How, Gives string
	Samples    []float32 // of the lossy file, as dcmtk decodes them
}

// pixelsOf reads one slice, which is not yet a volume.
func pixelsOf(file string) ([]float32, *slice, error) {
	o, err := open(file, headTags)
	if err != nil {
		return nil, nil, err
	}
	s := newSlice(o, nil)
	if s.err != nil {
		return nil, s, s.err
	}
	hu := make([]float32, s.rows*s.cols)
	return hu, s, s.decode(hu, new(buffers))
}

// Every transfer syntax and sample form that other tools write gives the same image.
func TestPixelsOfOtherTools(t *testing.T) {
	for name, made := range madeFiles(t) {
		t.Run(name, func(t *testing.T) {
			hu, s, err := pixelsOf(filepath.Join("testdata", name))
			if made.Gives == "SyntaxError" {
				var syntax *SyntaxError
				if !errors.As(err, &syntax) || syntax.Next == "" || !strings.Contains(err.Error(), "dcmdjpls") {
					t.Fatalf("%s: error %v, want a *SyntaxError that names dcmdjpls", made.How, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", made.How, err)
			}
			if s.cols != 24 || s.rows != 16 || s.spacing != [2]float64{0.9, 0.8} || s.position != [3]float64{-10.5, 20, -30} || s.patient != "MADE-1" {
				t.Errorf("%s: head %+v", made.How, s)
			}
			for i, got := range hu {
				x, y := i%24, i/24
				want, tolerance := float32((37*x+101*y+x*y)%3000-1024), float32(0)
				switch made.Gives {
				case "8 bit":
					want = float32((x+3*y)%256 - 1024)
				case "8 bit lossy":
					// Two inverse cosine transforms may round a sample differently.
					want, tolerance = made.Samples[i]-1024, 1
				}
				if float32(math.Abs(float64(got-want))) > tolerance {
					t.Fatalf("%s: voxel (%d,%d) is %v HU, want %v", made.How, x, y, got, want)
				}
			}
		})
	}
}

// The conversion to HU against the formula, for every stored value of several forms.
func TestRescale(t *testing.T) {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	for _, s := range []slice{
		{stored: 16, high: 15, slope: 1, intercept: -1024},
		{stored: 16, high: 15, signed: true, slope: 1},
		{stored: 12, high: 11, slope: 1, intercept: -1000},
		{stored: 12, high: 11, signed: true, slope: 2.5, intercept: 0.1},
		{stored: 12, high: 15, slope: 0.5, intercept: -1024},
		{stored: 10, high: 12, signed: true, slope: 1, intercept: 1e9}, // float32 cannot hold every sum
	} {
		got := make([]float32, len(all))
		s.rescale(got, all)
		for i := range all {
			v := i >> (s.high + 1 - s.stored) & (1<<s.stored - 1)
			if s.signed && v >= 1<<(s.stored-1) {
				v -= 1 << s.stored
			}
			if want := float32(float64(v)*s.slope + s.intercept); got[i] != want {
				t.Fatalf("%+v: stored %#x gives %v, want %v", s, i, got[i], want)
			}
		}
	}
}

// Broken compressed data is refused with the reason, never decoded to something.
func TestBrokenPixels(t *testing.T) {
	dir := t.TempDir()
	cut := func(name string, n int) []byte { // drops n bytes from the end of the only fragment
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		o, err := open(filepath.Join("testdata", name), headTags)
		if err != nil {
			t.Fatal(err)
		}
		p := o.pixel.parts[0]
		binary.LittleEndian.PutUint32(raw[p.offset-4:], uint32(p.length)-uint32(n))
		return append(raw[:p.offset+p.length-int64(n)], raw[p.offset+p.length:]...)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"rle.dcm", cut("ct_rle.dcm", 40), "RLE segment 1 holds"},
		{"lossless.dcm", cut("ct_lossless_sv1.dcm", 40), "breaks off at sample"},
		{"lossless head.dcm", cut("ct_lossless_sv1.dcm", 250), "JPEG lossless"},
		{"baseline.dcm", cut("ct_baseline.dcm", 100), "JPEG"},
	} {
		file := filepath.Join(dir, c.name)
		if err := os.WriteFile(file, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := pixelsOf(file)
		var pixel *PixelError
		if !errors.As(err, &pixel) || !strings.Contains(err.Error(), c.want) || pixel.File != file || pixel.Patient != "MADE-1" {
			t.Errorf("%s: error %v, want a *PixelError with %q", c.name, err, c.want)
		}
	}
}

// A JPEG stream with restart markers, coded here bit by bit: dcmtk writes none.
func TestLosslessRestart(t *testing.T) {
	const cols, rows = 4, 3
	want := []uint16{10, 11, 9, 9, 12, 12, 13, 11, 8, 8, 8, 9}
	// One table: category k (0 to 4) has the three-bit code k.
	data := []byte{0xFF, 0xD8, 0xFF, 0xC4, 0, 2 + 17 + 5, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}
	data = append(data, 0xFF, 0xC3, 0, 11, 5, 0, rows, 0, cols, 1, 1, 0x11, 0)
	data = append(data, 0xFF, 0xDD, 0, 4, 0, cols) // restart after each line
	data = append(data, 0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0)
	for y := range rows {
		if y > 0 {
			data = append(data, 0xFF, 0xD0+byte(y-1))
		}
		acc, n := 0, 0
		put := func(v, bits int) { acc, n = acc<<bits|v, n+bits }
		previous := 16 // 2^(5-1)
		for x := range cols {
			diff := int(want[y*cols+x]) - previous
			previous = int(want[y*cols+x])
			k := 0
			for d := max(diff, -diff); d > 0; d >>= 1 {
				k++
			}
			put(k, 3)
			if diff < 0 {
				diff += 1<<k - 1
			}
			put(diff, k)
		}
		for n%8 != 0 {
			put(1, 1)
		}
		for n -= 8; n >= 0; n -= 8 {
			if data = append(data, byte(acc>>n)); byte(acc>>n) == 0xFF {
				data = append(data, 0) // stuffing
			}
		}
	}
	data = append(data, 0xFF, 0xD9)
	got := make([]uint16, cols*rows)
	if err := losslessJPEG(got, cols, rows, data); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if err := losslessJPEG(got, cols, rows, data[:len(data)-4]); err == nil {
		t.Error("a stream that breaks off was decoded")
	}
}
