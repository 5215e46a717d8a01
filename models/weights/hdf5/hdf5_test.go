package hdf5

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/stats/golden"
)

func open(t testing.TB, name string) *Group {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(bytes.NewReader(b), int64(len(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Every array has the values that h5py reads, bit for bit in float32.
func TestReadsAsH5py(t *testing.T) {
	root := open(t, "arrays.h5")
	type array struct {
		Path   string
		Dims   []int
		Values []float32
	}
	cases := golden.Cases[array](t, "arrays")
	if len(cases) < 14 {
		t.Fatalf("%d arrays", len(cases))
	}
	for _, c := range cases {
		d, err := root.Dataset(c.Path)
		if err != nil {
			t.Errorf("%s: %v", c.Path, err)
			continue
		}
		got, err := d.Read()
		if err != nil || !slices.Equal(got, c.Values) || !slices.Equal(d.Dims, c.Dims) {
			t.Errorf("%s: %v %v, want %v %v (%v)", c.Path, d.Dims, got, c.Dims, c.Values, err)
		}
	}
	crowd, err := root.Group("crowd")
	if err != nil {
		t.Fatal(err)
	}
	if names := crowd.Names(); len(names) != 140 || names[139] != "member139:0" {
		t.Errorf("%d names, the last %q", len(names), names[len(names)-1])
	}
}

func TestReadsStrings(t *testing.T) {
	root := open(t, "arrays.h5")
	for name, want := range map[string][]string{"words": {"one", "three", "a long word"}, "none": nil, "varies": {"1.2.2"}, "list": {"a", "", "ccc"}, "padded": {"ab", "abc"}} {
		if got, ok, err := root.Strings(name); !ok || err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, %v", name, got, ok, err)
		}
	}
	if got, ok, err := root.Strings("absent"); ok || err != nil || got != nil {
		t.Errorf("absent: %q, %v, %v", got, ok, err)
	}
	if _, _, err := root.Strings("number"); err == nil || !strings.Contains(err.Error(), "not made of strings") {
		t.Errorf("number: %v", err)
	}
}

// What is not read is refused by name, with the place in the file.
func TestRefuses(t *testing.T) {
	root := open(t, "arrays.h5")
	for path, want := range map[string]string{
		"bad/integers": "not made of floating-point numbers", "bad/half": "not made of floating-point numbers", "bad/unfilled": "never filled",
		"bad/checked": "filter 3", "bad/holes": "1 of its 3 chunks", "layer/nothing": `"plain"`, "layer": "is not an array", "nowhere/x": `no group "nowhere"`, "bad/ordered/x": "new-style",
	} {
		d, err := root.Dataset(path)
		if err == nil {
			_, err = d.Read()
		}
		var bad *FormatError
		if !errors.As(err, &bad) || bad.File != "arrays.h5" || bad.Next == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := root.Group("layer/plain"); err == nil || !strings.Contains(err.Error(), "is not a group") {
		t.Error(err)
	}
	for file, want := range map[string]string{"links.h5": "is a link", "latest.h5": "superblock version", "ordered.h5": "of version 2"} {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(bytes.NewReader(b), int64(len(b)), file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}

// readAll reads all that can be reached, down to a depth.
func readAll(g *Group, depth int) {
	for _, name := range []string{"words", "varies", "list", "number"} {
		g.Strings(name) //nolint:errcheck // wild files may fail
	}
	for _, name := range g.Names() {
		if d, err := g.Dataset(name); err == nil {
			d.Read() //nolint:errcheck // wild files may fail
		} else if sub, err := g.Group(name); err == nil && depth > 0 {
			readAll(sub, depth-1)
		}
	}
}

// A file cut anywhere, or with a byte changed, is an error or other values, never a panic.
func TestDamage(t *testing.T) {
	whole, err := os.ReadFile("testdata/arrays.h5")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 997 {
		if _, err := Open(bytes.NewReader(whole[:n]), int64(n), "cut"); err == nil {
			t.Errorf("cut at %d of %d bytes: no error", n, len(whole))
		}
	}
	for i := 0; i < 12000; i += 29 { // superblock, root and the first group
		b := bytes.Clone(whole)
		b[i] ^= 0xff
		if g, err := Open(bytes.NewReader(b), int64(len(b)), "changed"); err == nil {
			readAll(g, 1)
		}
	}
}

// A tree that holds itself ends.
func TestCircle(t *testing.T) {
	b := make([]byte, 4096)
	put := func(at int, v ...any) {
		for _, x := range v {
			n, err := binary.Encode(b[at:], binary.LittleEndian, x)
			if err != nil {
				t.Fatal(err)
			}
			at += n
		}
	}
	put(0, []byte(signature), [5]byte{}, byte(8), byte(8), [9]byte{}, uint64(0), undefined, uint64(len(b)), undefined, uint64(0), uint64(96))
	put(96, byte(1), byte(0), uint16(1), uint32(1), uint32(24), uint32(0), uint16(kindSymbolTable), uint16(16), uint32(0), uint64(512), uint64(256))
	put(256, []byte("HEAP"), uint32(0), uint64(8), undefined, uint64(300))
	put(512, []byte("TREE"), byte(0), byte(1), uint16(1), undefined, undefined, uint64(0), uint64(600))
	put(600, []byte("TREE"), byte(0), byte(0), uint16(2), undefined, undefined, uint64(0), uint64(700), uint64(0), uint64(512))
	put(700, []byte("SNOD"), byte(1), byte(0), uint16(0))
	if _, err := Open(bytes.NewReader(b), int64(len(b)), "circle"); err == nil {
		t.Error("no error")
	}
	b[512+5], b[600+5] = 0, 0
	put(512+32, uint64(512))
	b[512+5] = 1
	put(512+24+8, uint64(512))
	if _, err := Open(bytes.NewReader(b), int64(len(b)), "circle"); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("%v", err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"arrays.h5", "../../testdata/keras.h5", "../../testdata/keras-model.h5"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := Open(bytes.NewReader(b), int64(len(b)), "fuzz"); err == nil {
			readAll(g, 2)
		}
	})
}
