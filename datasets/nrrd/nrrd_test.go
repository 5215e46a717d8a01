package nrrd

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hounsfield/datasets/volume"
)

var regen = flag.Bool("regen", false, "write testdata/written* anew; then run testdata/make.py")

// golden is what outside programs read from the files of testdata.
type golden struct {
	Source string
	Files  []struct {
		File, Reader string
		Voxels       [][4]float64 // x, y, z in mm (LPS), value
	}
}

// written are volumes whose files testdata/make.py gave to outside programs.
func written() (ct *volume.Volume, mask *volume.Mask) {
	a, b := 0.8, 0.6
	g := volume.Grid{
		Size: [3]int{4, 3, 2}, Origin: [3]float64{-250.112, -17.5, 133.4}, Spacing: [3]float64{0.977, 1.25, 3},
		Direction: [9]float64{a, 0, b, 0, 1, 0, -b, 0, a},
	}
	ct, mask = volume.NewVolume(g), volume.NewMask(g)
	for i := range ct.HU {
		ct.HU[i] = float32(-1000+100*i) + 0.25
		mask.In[i] = uint8(i * i % 3 % 2)
	}
	return ct, mask
}

func TestOutsideProgramsAgree(t *testing.T) {
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if g.Source == "" || len(g.Files) == 0 {
		t.Fatal("golden.json must say where its numbers come from")
	}
	for _, file := range g.Files {
		t.Run(file.File+" by "+file.Reader, func(t *testing.T) {
			v, err := Read(filepath.Join("testdata", file.File))
			if err != nil {
				t.Fatal(err)
			}
			if len(file.Voxels) != len(v.HU) {
				t.Fatalf("%d voxels, want %d", len(v.HU), len(file.Voxels))
			}
			for _, voxel := range file.Voxels {
				i := v.Grid.Index([3]float64{voxel[0], voxel[1], voxel[2]})
				var n [3]int
				for a := range 3 {
					n[a] = int(math.Round(i[a]))
					if math.Abs(i[a]-float64(n[a])) > 1e-4 {
						t.Fatalf("%v is index %v, want whole numbers", voxel[:3], i)
					}
				}
				if got := v.HU[v.Grid.Offset(n[0], n[1], n[2])]; math.Abs(float64(got)-voxel[3]) > 1e-4 {
					t.Fatalf("%v holds %v, want %v", voxel[:3], got, voxel[3])
				}
			}
		})
	}
}

func TestMaskOfAnOutsideProgram(t *testing.T) {
	m, err := ReadMask("testdata/itk_mask.nrrd") // inside is 255 there
	if err != nil {
		t.Fatal(err)
	}
	for z := range 2 {
		for y := range 3 {
			for x := range 4 {
				want := uint8(0)
				if -1000+100*x+10*y+7*z > -800 {
					want = 1
				}
				if got := m.In[m.Grid.Offset(x, y, z)]; got != want {
					t.Errorf("voxel %d,%d,%d is %d, want %d", x, y, z, got, want)
				}
			}
		}
	}
}

// The files that outside programs have read are the files we write.
func TestWriteGivesTheFilesThatWereChecked(t *testing.T) {
	ct, mask := written()
	dir := t.TempDir()
	if *regen {
		dir = "testdata"
	}
	for _, err := range []error{
		Write(filepath.Join(dir, "written.nrrd"), ct, Uncompressed),
		Write(filepath.Join(dir, "written_float.nhdr"), ct, Float32, Uncompressed),
		WriteMask(filepath.Join(dir, "written_mask.nrrd"), mask, Uncompressed),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"written.nrrd", "written_float.nhdr", "written_float.raw", "written_mask.nrrd"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the file that outside programs have read", name)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for name, direction := range map[string][9]float64{
		"axial":       volume.Identity,
		"feet first":  {-1, 0, 0, 0, 1, 0, 0, 0, -1},
		"sagittal":    {0, 0, 1, 1, 0, 0, 0, 1, 0},
		"left-handed": {1, 0, 0, 0, 1, 0, 0, 0, -1},
		"oblique":     {0.64, -0.48, 0.6, 0.6, 0.8, 0, -0.48, 0.36, 0.8},
	} {
		for _, ending := range []string{".nrrd", ".nhdr"} {
			for kind, options := range map[string][]Option{"gzip": {Float32}, "raw": {Float32, Uncompressed}} {
				t.Run(name+ending+kind, func(t *testing.T) {
					ct, mask := written()
					ct.Grid.Direction, mask.Grid.Direction = direction, direction
					path := filepath.Join(t.TempDir(), "volume"+ending)
					if err := Write(path, ct, options...); err != nil {
						t.Fatal(err)
					}
					got, err := Read(path)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(ct.HU, got.HU); diff != "" {
						t.Error(diff)
					}
					if got.Grid.Origin != ct.Grid.Origin || got.Grid.Size != ct.Grid.Size {
						t.Errorf("grid %v, want %v", got.Grid, ct.Grid)
					}
					for i := range 9 {
						if math.Abs(got.Grid.Direction[i]-direction[i]) > 1e-14 || math.Abs(got.Grid.Spacing[i%3]-ct.Grid.Spacing[i%3]) > 1e-14 {
							t.Fatalf("grid %v, want %v", got.Grid, ct.Grid)
						}
					}
					if err := WriteMask(path, mask, options...); err != nil {
						t.Fatal(err)
					}
					gotMask, err := ReadMask(path)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(mask.In, gotMask.In); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

const goodHeader = `NRRD0004
# a comment
type: short
dimension: 3
space: left-posterior-superior
sizes: 2 1 2
space directions: (0.9,0,0) (0,1.1,0) (0,0,2.5)
kinds: domain domain domain
endian: little
encoding: raw
space origin: (1,2,3)
our own key:=value: with colon
`

var fourVoxels = []byte{1, 0, 2, 0, 3, 0, 255, 255}

// readBytes is Read without a disk.
func readBytes(path string, b []byte) (*volume.Volume, error) {
	v := &volume.Volume{}
	err := parse(path, bytes.NewReader(b), int64(len(b)), func(h *header, data io.Reader) (err error) {
		v.Grid = h.grid
		v.HU, err = h.layout.ReadFloats(data, h.grid.Len())
		return err
	})
	return v, err
}

func TestHeaderVariants(t *testing.T) {
	for _, test := range []struct {
		name, old, new, before string // text put before the voxels
		origin                 [3]float64
	}{
		{"as it is", "", "", "", [3]float64{1, 2, 3}},
		{"RAS", "left-posterior-superior", "RAS", "", [3]float64{-1, -2, 3}},
		{"LAS", "left-posterior-superior", "left-anterior-superior", "", [3]float64{1, -2, 3}},
		{"blanks", "(0.9,0,0) (0,1.1,0)", "( 0.9, 0, 0 )(0,1.1,0)", "", [3]float64{1, 2, 3}},
		{"line skip", "kinds:", "line skip: 2\nkinds:", "one\ntwo\n", [3]float64{1, 2, 3}},
		{"byte skip", "kinds:", "byte skip: 5\nkinds:", "12345", [3]float64{1, 2, 3}},
		{"units", "kinds:", "space units: \"mm\" \"mm\" \"mm\"\nkinds:", "", [3]float64{1, 2, 3}},
		{"Windows line ends", "\n", "\r\n", "", [3]float64{1, 2, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			head := strings.ReplaceAll(goodHeader, test.old, test.new)
			if test.old == "" {
				head = goodHeader
			}
			v, err := readBytes("x.nrrd", append([]byte(head+"\n"+test.before), fourVoxels...))
			if err != nil {
				t.Fatal(err)
			}
			if v.Grid.Origin != test.origin || v.Grid.Spacing != [3]float64{0.9, 1.1, 2.5} {
				t.Errorf("grid %v", v.Grid)
			}
			if diff := cmp.Diff([]float32{1, 2, 3, -1}, v.HU); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDetachedSkips(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "v.raw"), append([]byte("line\nabcdef"), fourVoxels...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, skip := range []string{"line skip: 1\nbyte skip: 6\n", "byte skip: -1\n", "byte skip: 11\n"} {
		path := filepath.Join(dir, "v.nhdr")
		// No empty line and no newline at the end: some writers leave them out.
		if err := os.WriteFile(path, []byte(goodHeader+skip+"data file: v.raw"), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Read(path)
		if err != nil {
			t.Fatal(skip, err)
		}
		if diff := cmp.Diff([]float32{1, 2, 3, -1}, v.HU); diff != "" {
			t.Error(skip, diff)
		}
	}
}

func TestBadFiles(t *testing.T) {
	with := func(old, new string) []byte {
		if !strings.Contains(goodHeader, old) {
			t.Fatalf("no %q to replace", old)
		}
		return append([]byte(strings.Replace(goodHeader, old, new, 1)+"\n"), fourVoxels...)
	}
	for _, test := range []struct {
		name, field string
		bytes       []byte
	}{
		{"empty", "magic", nil},
		{"not NRRD", "magic", []byte("P5\n1 1\n255\n")},
		{"header only", "header", []byte(goodHeader)},
		{"no colon", "header line", with("kinds: ", "kinds ")},
		{"no field", "header line", with("kinds:", ":")},
		{"twice", "sizes", with("kinds:", "sizes: 1 1 1\nkinds:")},
		{"block type", "type", with("type: short", "type: block")},
		{"hex", "encoding", with("encoding: raw", "encoding: hex")},
		{"no endian", "endian", with("endian: little\n", "")},
		{"four dimensions", "dimension", with("dimension: 3", "dimension: 4")},
		{"two sizes", "sizes", with("sizes: 2 1 2", "sizes: 2 2")},
		{"negative size", "sizes", with("sizes: 2 1 2", "sizes: 2 -1 2")},
		{"huge sizes", "sizes", with("sizes: 2 1 2", "sizes: 1048576 1048576 1048576")},
		{"larger than any size", "sizes", with("sizes: 2 1 2", "sizes: 2 1 99999999999999999999")},
		{"one voxel short", "sizes", with("sizes: 2 1 2", "sizes: 5 1 1")},
		{"one voxel more", "voxels", with("sizes: 2 1 2", "sizes: 3 1 1")},
		{"no space", "space", with("space: left-posterior-superior\n", "")},
		{"unknown space", "space", with("left-posterior-superior", "scanner-xyz")},
		{"no directions", "space directions", with("space directions: (0.9,0,0) (0,1.1,0) (0,0,2.5)", "spacings: 1 1 1")},
		{"no origin", "space origin", with("space origin: (1,2,3)\n", "")},
		{"NaN direction", "space directions", with("(0.9,0,0)", "(nan,0,0)")},
		{"zero direction", "space directions", with("(0.9,0,0)", "(0,0,0)")},
		{"none", "space directions", with("(0.9,0,0)", "none")},
		{"sheared", "space directions", with("(0.9,0,0)", "(0.9,0.2,0)")},
		{"infinite origin", "space origin", with("(1,2,3)", "(1,inf,3)")},
		{"short origin", "space origin", with("(1,2,3)", "(1,2)")},
		{"inches", "space units", with("kinds:", "space units: \"in\" \"in\" \"in\"\nkinds:")},
		{"list of files", "data file", with("kinds:", "data file: LIST\nkinds:")},
		{"numbered files", "data file", with("kinds:", "data file: a%03d.raw 1 3 1\nkinds:")},
		{"file elsewhere", "data file", with("kinds:", "data file: ../secret.raw\nkinds:")},
		{"absolute file", "data file", with("kinds:", "data file: /etc/passwd\nkinds:")},
		{"no such file", "data file", with("kinds:", "data file: not-there.raw\nkinds:")},
		{"byte skip", "byte skip", with("kinds:", "byte skip: -1\nkinds:")},
		{"bytes to skip", "sizes", with("kinds:", "byte skip: 99\nkinds:")},
		{"line skip", "line skip", with("kinds:", "line skip: 9\nkinds:")},
		{"not gzip", "gzip data", with("encoding: raw", "encoding: gzip")},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.nrrd")
			if err := os.WriteFile(path, test.bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			var wrongFile *volume.FileError
			if !errors.As(err, &wrongFile) {
				t.Fatalf("got %v, want a *volume.FileError", err)
			}
			if wrongFile.Field != test.field || wrongFile.Path != path || wrongFile.Allowed == "" {
				t.Errorf("got %v (field %q), want field %q and the path", err, wrongFile.Field, test.field)
			}
			if _, err := ReadMask(path); !errors.As(err, &wrongFile) {
				t.Errorf("as a mask: got %v, want a *volume.FileError", err)
			}
		})
	}
}

func TestTruncatedGzip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.nrrd")
	ct, _ := written()
	if err := Write(path, ct); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 8, 20} {
		_, err := readBytes(path, whole[:len(whole)-cut])
		var wrongFile *volume.FileError
		if !errors.As(err, &wrongFile) || wrongFile.Field != "voxels" {
			t.Errorf("%d bytes cut off: got %v, want a *volume.FileError about voxels", cut, err)
		}
	}
}

func TestSeveralLabelsAreNoMask(t *testing.T) {
	_, err := ReadMask("testdata/itk_gzip.nrrd")
	var wrongFile *volume.FileError
	if !errors.As(err, &wrongFile) || wrongFile.Field != "mask" {
		t.Errorf("got %v, want a *volume.FileError about the mask", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	ct, _ := written()
	nan, _ := written()
	nan.HU[5] = float32(math.NaN())
	flat, _ := written()
	flat.Grid.Spacing[1] = 0
	for _, test := range []struct {
		name, file, field string
		v                 *volume.Volume
	}{
		{"another ending", "v.raw", "name", ct},
		{"not a number", "v.nrrd", "voxels", nan},
		{"not a number, detached", "v.nhdr", "voxels", nan},
		{"no spacing", "v.nrrd", "spacing", flat},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, options := range [][]Option{nil, {Float32}} {
				err := Write(filepath.Join(dir, test.file), test.v, options...)
				var wrongFile *volume.FileError
				if !errors.As(err, &wrongFile) || wrongFile.Field != test.field {
					t.Errorf("got %v, want a *volume.FileError about %s", err, test.field)
				}
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left %v behind", left)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte(goodHeader+"\n"), fourVoxels...))
	for _, change := range [][2]string{
		{"sizes: 2 1 2", "sizes: 1048576 1048576 1048576"}, {"sizes: 2 1 2", "sizes: -1 0 2"},
		{"(0.9,0,0)", "(nan,inf,1e308)"}, {"encoding: raw", "encoding: gzip\nbyte skip: 549755813887"},
		{"kinds:", "line skip: 1048575\nkinds:"}, {"kinds:", "data file: ../../etc/passwd\nkinds:"},
	} {
		f.Add(append([]byte(strings.Replace(goodHeader, change[0], change[1], 1)+"\n"), fourVoxels...))
	}
	files, err := filepath.Glob("testdata/*.nrrd")
	if err != nil || len(files) == 0 {
		f.Fatal("no files in testdata", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-7])
	}
	path := filepath.Join(f.TempDir(), "fuzz.nrrd") // where no data file is
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := readBytes(path, b)
		if err != nil {
			var wrongFile *volume.FileError
			if !errors.As(err, &wrongFile) || wrongFile.Path != path || wrongFile.Field == "" {
				t.Fatalf("%v is no *volume.FileError with path and field", err)
			}
			return
		}
		if err := v.Grid.Check(); err != nil || len(v.HU) != v.Grid.Len() {
			t.Fatalf("accepted %d voxels on %v: %v", len(v.HU), v.Grid, err)
		}
	})
}
