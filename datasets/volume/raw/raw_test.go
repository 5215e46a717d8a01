package raw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every type in both byte orders, written by encoding/binary.
func TestEveryTypeReads(t *testing.T) {
	want := []float32{0, 1, 2, 100, 127}
	signed := []float32{0, -1, 2, -100, 127}
	for _, test := range []struct {
		name   string
		typ    Type
		values any
		want   []float32
	}{
		{"int8", Int8, []int8{0, -1, 2, -100, 127}, signed},
		{"uint8", Uint8, []uint8{0, 1, 2, 100, 127}, want},
		{"int16", Int16, []int16{0, -1, 2, -100, 127}, signed},
		{"uint16", Uint16, []uint16{0, 1, 2, 100, 127}, want},
		{"int32", Int32, []int32{0, -1, 2, -100, 127}, signed},
		{"uint32", Uint32, []uint32{0, 1, 2, 100, 127}, want},
		{"int64", Int64, []int64{0, -1, 2, -100, 127}, signed},
		{"uint64", Uint64, []uint64{0, 1, 2, 100, 127}, want},
		{"float32", Float32, signed, signed},
		{"float64", Float64, []float64{0, -1, 2, -100, 127}, signed},
	} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			b, err := binary.Append(nil, order.(binary.ByteOrder), test.values)
			if err != nil {
				t.Fatal(err)
			}
			l := Layout{Type: test.typ, BigEndian: order.String() == "BigEndian"}
			if len(b) != 5*test.typ.Bytes() {
				t.Fatalf("%s takes %d bytes, not %d", test.name, len(b)/5, test.typ.Bytes())
			}
			got, err := l.ReadFloats(bytes.NewReader(b), 5)
			if err != nil {
				t.Fatal(test.name, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s %v: %s", test.name, order, diff)
			}
			l.Slope, l.Intercept = 2, -1024
			got, err = l.ReadFloats(bytes.NewReader(b), 5)
			if err != nil {
				t.Fatal(test.name, err)
			}
			for i, v := range test.want {
				if got[i] != 2*v-1024 {
					t.Errorf("%s %v: rescaled %v, want %v", test.name, order, got[i], 2*v-1024)
				}
			}
		}
	}
}

// Longer than a chunk, so that the seams between chunks are crossed.
func TestManyVoxelsComeBack(t *testing.T) {
	values := make([]float32, 3*chunk+17)
	for i := range values {
		values[i] = float32(i%4096 - 1024)
	}
	for _, test := range []struct {
		typ   Type
		write func(io.Writer, []float32) error
	}{{Int16, WriteInt16}, {Float32, WriteFloat32}} {
		var b bytes.Buffer
		if err := test.write(&b, values); err != nil {
			t.Fatal(err)
		}
		got, err := Layout{Type: test.typ}.ReadFloats(&b, len(values))
		if err != nil || !slices.Equal(got, values) {
			t.Errorf("type %d: %d voxels came back, error %v", test.typ, len(got), err)
		}
	}
}

func TestLengthMustMatch(t *testing.T) {
	var short *ShortError
	if _, err := (Layout{Type: Int16}).ReadFloats(bytes.NewReader(make([]byte, 9)), 5); !errors.As(err, &short) || short.Want != 10 || short.Got != 9 {
		t.Errorf("one byte short: got %v", err)
	}
	if _, err := (Layout{Type: Int16}).ReadFloats(bytes.NewReader(make([]byte, 11)), 5); !errors.As(err, &short) || short.Got <= short.Want {
		t.Errorf("one byte more: got %v", err)
	}
}

func TestFits(t *testing.T) {
	for _, test := range []struct {
		n, bytes int64
		zipped   bool
		want     bool
	}{
		{5, 10, false, true}, {5, 9, false, false}, {1, -4, false, false},
		{516, 1, true, true}, {517, 1, true, false}, {math.MaxInt64, math.MaxInt64, true, true},
	} {
		if got := (Layout{Type: Int16, Zipped: test.zipped}).Fits(test.n, test.bytes); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

func TestMasks(t *testing.T) {
	got, err := Layout{Type: Uint8}.ReadMask(bytes.NewReader([]byte{0, 255, 0, 255}), 4)
	if diff := cmp.Diff([]uint8{0, 1, 0, 1}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	var labels *LabelsError
	if _, err := (Layout{Type: Uint8}).ReadMask(bytes.NewReader([]byte{0, 1, 2, 1}), 4); !errors.As(err, &labels) || labels.Second != 2 {
		t.Errorf("got %v, want a *LabelsError", err)
	}
	var b bytes.Buffer
	if err := WriteMask(&b, []uint8{0, 7, 1}); err != nil || !bytes.Equal(b.Bytes(), []byte{0, 1, 1}) {
		t.Errorf("wrote %v, %v", b.Bytes(), err)
	}
}

func TestValuesThatCannotBeWritten(t *testing.T) {
	nan := float32(math.NaN())
	var value *ValueError
	for _, v := range []float32{nan, float32(math.Inf(1)), 32767.5, -32768.6} {
		if err := WriteInt16(io.Discard, []float32{0, v}); !errors.As(err, &value) || value.Voxel != 1 {
			t.Errorf("%v as int16: got %v", v, err)
		}
	}
	if err := WriteFloat32(io.Discard, []float32{nan}); !errors.As(err, &value) {
		t.Errorf("NaN as float32: got %v", err)
	}
}

func TestDecimal(t *testing.T) {
	for _, want := range []float64{0.7, 0.977, -250.112, 3, 1e-3, 0.9765625} {
		if got := Decimal(float32(want)); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if got := Decimal(float32(math.Inf(1))); !math.IsInf(got, 1) {
		t.Errorf("got %v, want +Inf", got)
	}
}

var errDisk = errors.New("no space left on device")

// A file that could not be written whole leaves nothing, and an older one as it was.
func TestCreateIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "v.raw")
	full := func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 3<<20)); err != nil {
			return err
		}
		return errDisk
	}
	for _, zipped := range []bool{false, true} {
		if err := Create(path, []byte("head"), zipped, full); !errors.Is(err, errDisk) {
			t.Fatalf("got %v, want the disk's error", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Fatalf("left %v behind (%v)", left, err)
		}
	}
	if err := Create(path, []byte("head"), false, func(io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("other"), false, full); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "head" {
		t.Errorf("the older file is %q (%v)", b, err)
	}
	if err := Create(filepath.Join(dir, "no folder", "v"), nil, false, full); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: got %v", err)
	}
}

func TestOpenRefusesFolders(t *testing.T) {
	if file, _, err := Open(t.TempDir()); err == nil || file != nil {
		t.Error("a folder is no file")
	}
}

// Rounding, many values at a time, against the plain rule: at and beside every half, at the
// ends of int16, and with a value that does not fit at every place of a block.
func TestAppendInt16(t *testing.T) {
	var hu []float32
	for k := -32768; k <= 32767; k++ {
		for _, v := range []float32{float32(k), float32(k) + 0.5, math.Nextafter32(float32(k)+0.5, -40000), math.Nextafter32(float32(k)+0.5, 40000), math.Nextafter32(float32(k), 40000)} {
			if r := math.Round(float64(v)); r >= math.MinInt16 && r <= math.MaxInt16 {
				hu = append(hu, v)
			}
		}
	}
	hu = append(hu, float32(math.Copysign(0, -1)), 1e-40, -1e-40)
	for _, n := range []int{0, 1, 7, 8, 9, 15, 16, 17, len(hu)} {
		got, err := AppendInt16([]byte{7}, hu[:n], 0)
		if err != nil || len(got) != 1+2*n || got[0] != 7 {
			t.Fatalf("%d values: %d bytes, error %v", n, len(got), err)
		}
		for i, v := range hu[:n] {
			if r := int16(binary.LittleEndian.Uint16(got[1+2*i:])); float64(r) != math.Round(float64(v)) {
				t.Fatalf("%v becomes %d", v, r)
			}
		}
	}
	for _, bad := range []float32{32767.5, -32768.5, 40000, -40000, 65536, 3e9, -3e9, 1e20, -1e20, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for at := range 21 {
			hu := make([]float32, 21)
			hu[at] = bad
			var value *ValueError
			if _, err := AppendInt16(nil, hu, 100); !errors.As(err, &value) || value.Voxel != 100+at {
				t.Errorf("%v at %d: error %v", bad, at, err)
			}
		}
	}
}
