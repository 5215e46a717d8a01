package nifti

import (
	"bufio"
	"bytes"
	"encoding/binary"
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
	"hounsfield/datasets/volume/raw"
)

var regen = flag.Bool("regen", false, "write testdata/written_* anew; then run testdata/make.py")

// golden is what outside programs read from the files of testdata.
type golden struct {
	Source string
	Files  []struct {
		File, Reader string
		Voxels       [][4]float64 // x, y, z in mm (LPS), value
	}
}

func loadGolden(t *testing.T) golden {
	t.Helper()
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
	return g
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
	for _, file := range loadGolden(t).Files {
		t.Run(file.File+" by "+file.Reader, func(t *testing.T) {
			path := filepath.Join("testdata", file.File)
			v, err := Read(path)
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
	m, err := ReadMask("testdata/mask.nii.gz") // inside is 255 there
	if err != nil {
		t.Fatal(err)
	}
	for z := range 2 {
		for y := range 3 {
			for x := range 4 {
				want := uint8(0)
				if (x+2*y+z)%3 == 0 {
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
		Write(filepath.Join(dir, "written_int16.nii"), ct),
		Write(filepath.Join(dir, "written_float32.nii"), ct, Float32),
		WriteMask(filepath.Join(dir, "written_mask.nii"), mask),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"written_int16.nii", "written_float32.nii", "written_mask.nii"} {
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

// directions are an axial scan, feet first, prone, sagittal, a mirror image and an oblique scan.
var directions = map[string][9]float64{
	"axial":       volume.Identity,
	"feet first":  {-1, 0, 0, 0, 1, 0, 0, 0, -1},
	"prone":       {-1, 0, 0, 0, -1, 0, 0, 0, 1},
	"sagittal":    {0, 0, 1, 1, 0, 0, 0, 1, 0},
	"left-handed": {1, 0, 0, 0, 1, 0, 0, 0, -1},
	"oblique":     {0.64, -0.48, 0.6, 0.6, 0.8, 0, -0.48, 0.36, 0.8},
}

func TestRoundTrip(t *testing.T) {
	for name, direction := range directions {
		for _, ending := range []string{".nii", ".nii.gz"} {
			t.Run(name+ending, func(t *testing.T) {
				ct, mask := written()
				ct.Grid.Direction, mask.Grid.Direction = direction, direction
				path := filepath.Join(t.TempDir(), "volume"+ending)
				if err := Write(path, ct, Float32); err != nil {
					t.Fatal(err)
				}
				got, err := Read(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(ct.HU, got.HU); diff != "" {
					t.Error(diff)
				}
				if got.Grid.Spacing != ct.Grid.Spacing || got.Grid.Origin != ct.Grid.Origin || got.Grid.Size != ct.Grid.Size {
					t.Errorf("grid %v, want exactly %v", got.Grid, ct.Grid)
				}
				for i := range 9 {
					if math.Abs(got.Grid.Direction[i]-direction[i]) > 1e-6 {
						t.Errorf("direction %v, want %v", got.Grid.Direction, direction)
					}
				}
				if err := WriteMask(path, mask); err != nil {
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

// qform and sform say the same, whatever the direction.
func TestQformEqualsSform(t *testing.T) {
	for name, direction := range directions {
		ct, _ := written()
		ct.Grid.Direction = direction
		h := newHeader(ct.Grid, 4)
		bySform, err := h.grid()
		if err != nil {
			t.Fatal(name, err)
		}
		h.SformCode = 0
		byQform, err := h.grid()
		if err != nil {
			t.Fatal(name, err)
		}
		for _, index := range [][3]float64{{0, 0, 0}, {3, 0, 0}, {0, 2, 0}, {0, 0, 1}} {
			s, q := bySform.Position(index), byQform.Position(index)
			for r := range 3 {
				if math.Abs(s[r]-q[r]) > 1e-5 {
					t.Errorf("%s: index %v is at %v by sform, %v by qform", name, index, s, q)
				}
			}
		}
	}
}

func TestWholeHURounded(t *testing.T) {
	v := volume.NewVolume(volume.Grid{Size: [3]int{4, 1, 1}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity})
	copy(v.HU, []float32{-1024.5, -0.4, 2.5, 3071.49})
	path := filepath.Join(t.TempDir(), "v.nii.gz")
	if err := Write(path, v); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float32{-1025, 0, 3, 3071}, got.HU); diff != "" {
		t.Error(diff)
	}
}

// good is a file that reads, as bytes, after change has had its way with the header.
func good(t testing.TB, change func(h *header)) []byte {
	t.Helper()
	ct, _ := written()
	h := newHeader(ct.Grid, 4)
	change(h)
	return append(h.bytes(), make([]byte, 2*len(ct.HU))...)
}

func TestBadFiles(t *testing.T) {
	nan := float32(math.NaN())
	whole := good(t, func(*header) {})
	packed := func() []byte {
		path := filepath.Join(t.TempDir(), "v.nii.gz")
		ct, _ := written()
		if err := Write(path, ct); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}()
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-6] ^= 0xff // in the checksum
	tests := []struct {
		name, field string
		bytes       []byte
	}{
		{"empty", "length", nil},
		{"half a header", "length", whole[:200]},
		{"not NIfTI", "sizeof_hdr", bytes.Repeat([]byte("x"), 500)},
		{"NIfTI-2", "sizeof_hdr", good(t, func(h *header) { h.SizeofHdr = 540 })},
		{"two files", "magic", good(t, func(h *header) { h.Magic[1] = 'i' })},
		{"complex voxels", "datatype", good(t, func(h *header) { h.Datatype = 32 })},
		{"no geometry", "qform_code, sform_code", good(t, func(h *header) { h.QformCode, h.SformCode = 0, 0 })},
		{"negative size", "dim[1]", good(t, func(h *header) { h.Dim[1] = -4 })},
		{"huge size", "dim", good(t, func(h *header) { h.Dim = [8]int16{3, 32767, 32767, 32767} })},
		{"time series", "dim[4]", good(t, func(h *header) { h.Dim[0], h.Dim[4] = 4, 2 })},
		{"two dimensions", "dim[0]", good(t, func(h *header) { h.Dim[0] = 2 })},
		{"NaN spacing", "spacing", good(t, func(h *header) { h.SformCode = 0; h.Pixdim[2] = nan })},
		{"two spacings", "pixdim[3]", good(t, func(h *header) { h.Pixdim[3] = 1 })},
		{"two origins", "sform, qform", good(t, func(h *header) { h.QoffsetY++ })},
		{"two origins in metres", "sform, qform", good(t, func(h *header) { h.XyztUnits = 1; h.QoffsetY += 0.05 })},
		{"two rotations", "sform, qform", good(t, func(h *header) { h.QuaternB, h.QuaternC, h.QuaternD = 0, 0, 0 })},
		{"zero spacing", "pixdim[1]", good(t, func(h *header) { h.SrowX, h.SrowY, h.SrowZ = [4]float32{}, [4]float32{}, [4]float32{} })},
		{"infinite origin", "origin", good(t, func(h *header) { h.QformCode = 0; h.SrowX[3] = float32(math.Inf(1)) })},
		{"sheared", "direction", good(t, func(h *header) { h.QformCode = 0; h.SrowX[1] = 0.5; h.SrowY[1] = 1.14564 })},
		{"no rotation", "quatern_b, c, d", good(t, func(h *header) { h.SformCode = 0; h.QuaternB = 2 })},
		{"infinite slope", "scl_slope, scl_inter", good(t, func(h *header) { h.SclSlope = float32(math.Inf(1)) })},
		{"seconds", "xyzt_units", good(t, func(h *header) { h.XyztUnits = 4 })},
		{"voxels in the header", "vox_offset", good(t, func(h *header) { h.VoxOffset = 100 })},
		{"voxels beyond the end", "dim", good(t, func(h *header) { h.VoxOffset = 1 << 20 })},
		{"a voxel short", "dim", whole[:len(whole)-2]},
		{"a byte more", "voxels", append(bytes.Clone(whole), 0)},
		{"NaN voxels", "voxels", good(t, func(h *header) { h.Datatype, h.SclInter = 4, nan; h.SclSlope = 0; h.Datatype = 16; h.Dim[3] = 1 })},
		{"truncated gzip", "voxels", packed[:len(packed)-20]},
		{"gzip without trailer", "voxels", packed[:len(packed)-8]},
		{"wrong checksum", "voxels", flipped},
		{"gzip of nothing", "gzip data", packed[:5]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "NaN voxels" {
				binary.LittleEndian.PutUint32(test.bytes[dataOffset:], math.Float32bits(nan))
			}
			path := filepath.Join(t.TempDir(), "bad.nii")
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
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.field) {
				t.Errorf("%q must name path and field", err)
			}
			if _, err := ReadMask(path); !errors.As(err, &wrongFile) {
				t.Errorf("as a mask: got %v, want a *volume.FileError", err)
			}
		})
	}
}

func TestSeveralLabelsAreNoMask(t *testing.T) {
	ct, _ := written()
	path := filepath.Join(t.TempDir(), "labels.nii")
	if err := Write(path, ct); err != nil {
		t.Fatal(err)
	}
	_, err := ReadMask(path)
	var wrongFile *volume.FileError
	if !errors.As(err, &wrongFile) || wrongFile.Field != "mask" {
		t.Errorf("got %v, want a *volume.FileError about the mask", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	ct, _ := written()
	loud, _ := written()
	loud.HU[5] = 40000
	flat, _ := written()
	flat.Grid.Spacing[1] = 0
	long := volume.NewVolume(volume.Grid{Size: [3]int{1, 1, 32768}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity})
	for _, test := range []struct {
		name, file, field string
		v                 *volume.Volume
	}{
		{"another ending", "v.img", "name", ct},
		{"beyond int16", "v.nii.gz", "voxels", loud},
		{"no spacing", "v.nii", "spacing", flat},
		{"too long", "v.nii", "size", long},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			err := Write(filepath.Join(dir, test.file), test.v)
			var wrongFile *volume.FileError
			if !errors.As(err, &wrongFile) || wrongFile.Field != test.field {
				t.Errorf("got %v, want a *volume.FileError about %s", err, test.field)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left %v behind", left)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add(good(f, func(*header) {}))
	f.Add(good(f, func(h *header) { h.Dim = [8]int16{3, 32767, 32767, 32767} }))
	f.Add(good(f, func(h *header) { h.Dim[1] = -1 }))
	f.Add(good(f, func(h *header) { h.Pixdim[1] = float32(math.NaN()); h.SformCode = 0 }))
	f.Add(good(f, func(h *header) { h.VoxOffset = float32(math.Inf(1)) }))
	f.Add(good(f, func(h *header) { h.SclSlope, h.SclInter = 1e38, 1e38 }))
	files, err := filepath.Glob("testdata/*.nii*")
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
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := readBytes(b)
		if err != nil {
			var wrongFile *volume.FileError
			if !errors.As(err, &wrongFile) || wrongFile.Path != "fuzz.nii" || wrongFile.Field == "" {
				t.Fatalf("%v is no *volume.FileError with path and field", err)
			}
			return
		}
		if err := v.Grid.Check(); err != nil || len(v.HU) != v.Grid.Len() {
			t.Fatalf("accepted %d voxels on %v: %v", len(v.HU), v.Grid, err)
		}
	})
}

// readBytes is Read without a disk.
func readBytes(b []byte) (*volume.Volume, error) {
	v := &volume.Volume{}
	err := parse("fuzz.nii", bufio.NewReader(bytes.NewReader(b)), int64(len(b)), func(g volume.Grid, l raw.Layout, data io.Reader) (err error) {
		v.Grid = g
		v.HU, err = l.ReadFloats(data, g.Len())
		return err
	})
	return v, err
}
