package datasets

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hounsfield/datasets/volume"
)

// fullCube has a value of its own in every field, so that a field the store forgets
// shows.
func fullCube(t *testing.T) *volume.Cube {
	t.Helper()
	c := &volume.Cube{
		Edge: 6, Margin: 1, CentreOfMass: [3]float64{1.5, 2.5, -3.25}, CentreIndex: [3]int{1, 2, -3}, CentreMM: [3]float64{-74.419, 16.47, -18.679},
		Padded: 7, MaskVoxels: 11, MaskOutside: 13, VolumeMM3: 17.5,
	}
	for i := range 216 {
		c.HU = append(c.HU, float32(i)*1.25-1024)
	}
	c.HU[3] = float32(math.Inf(-1)) // whatever the scan held comes back bit by bit
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("give field %s a value, so that this test covers it", v.Type().Field(i).Name)
		}
	}
	return c
}

var storeSpec = volume.CubeSpec{Size: 4, SpacingMM: 1, Margin: 1}

func openStore(t *testing.T) *CubeStore {
	t.Helper()
	s, err := OpenCubeStore(filepath.Join(t.TempDir(), "cubes"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCubeStoreRoundTrip(t *testing.T) {
	s, want := openStore(t), fullCube(t)
	key := NewCubeKey("one", storeSpec)
	if _, found, err := s.Get(key); found || err != nil {
		t.Fatalf("an empty store has a cube (%v) or fails: %v", found, err)
	}
	if err := s.Put(key, want); err != nil {
		t.Fatal(err)
	}
	got, found, err := s.Get(key)
	if !found || err != nil {
		t.Fatalf("found %v, error %v", found, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, found, _ := s.Get(NewCubeKey("two", storeSpec)); found {
		t.Error("another source found the same cube")
	}
}

func TestCubeKeys(t *testing.T) {
	keys := map[CubeKey]string{}
	for name, k := range map[string]CubeKey{
		"source a":   NewCubeKey("a", storeSpec),
		"source b":   NewCubeKey("b", storeSpec),
		"size":       NewCubeKey("a", volume.CubeSpec{Size: 6, SpacingMM: 1, Margin: 1}),
		"margin":     NewCubeKey("a", volume.CubeSpec{Size: 4, SpacingMM: 1, Margin: 2}),
		"spacing":    NewCubeKey("a", volume.CubeSpec{Size: 4, SpacingMM: 1 + 1e-15, Margin: 1}),
		"no content": NewCubeKey("", storeSpec),
	} {
		if other, taken := keys[k]; taken {
			t.Errorf("%s and %s share the key %s", name, other, k)
		}
		keys[k] = name
	}
	for range 3 {
		if k := NewCubeKey("a", storeSpec); keys[k] != "source a" {
			t.Errorf("a key is not a function of its input: %s", k)
		}
	}
}

func TestCubeStoreDistrustsBrokenFiles(t *testing.T) {
	s, cube := openStore(t), fullCube(t)
	key := NewCubeKey("one", storeSpec)
	if err := s.Put(key, cube); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(s.file(key))
	if err != nil {
		t.Fatal(err)
	}
	breaks := map[string][]byte{"empty": {}, "other file": []byte("not a cube, but long enough to hold a header and the rest of it; " + string(make([]byte, 200)))}
	for _, at := range []int{3, len(cubeFormat) + 2, len(good) / 2, len(good) - 1} {
		b := append([]byte(nil), good...)
		b[at] ^= 0x10
		breaks[fmt.Sprint("altered at ", at)] = b
	}
	for _, n := range []int{1, 20, len(good) / 2, len(good) - 1} {
		breaks[fmt.Sprint("cut to ", n)] = good[:n]
	}
	for name, b := range breaks {
		if err := os.WriteFile(s.file(key), b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, found, err := s.Get(key)
		var corrupt *CorruptCubeError
		if found || !errors.As(err, &corrupt) || corrupt.File != s.file(key) {
			t.Errorf("%s: found %v, error %v", name, found, err)
		}
		// Cube makes it anew and the store is whole again.
		cuts := 0
		got, hit, err := s.Cube(key, func() (*volume.Cube, error) { cuts++; return cube, nil })
		if err != nil || hit || cuts != 1 || got != cube {
			t.Errorf("%s: remaking gave hit %v, %d cuts, error %v", name, hit, cuts, err)
		}
		got, hit, err = s.Cube(key, func() (*volume.Cube, error) { cuts++; return nil, errors.New("not needed") })
		if err != nil || !hit || cuts != 1 || !cmp.Equal(got, cube) {
			t.Errorf("%s: the remade cube is not there: hit %v, error %v", name, hit, err)
		}
	}
}

func TestCubeStoreStoresNothingOnFailure(t *testing.T) {
	s := openStore(t)
	key := NewCubeKey("one", storeSpec)
	broken := errors.New("no contour")
	if _, _, err := s.Cube(key, func() (*volume.Cube, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("the cut's error is lost: %v", err)
	}
	// A store that cannot be written to says so and leaves no half file.
	if err := os.WriteFile(filepath.Join(s.dir, string(key[:2])), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(key, fullCube(t)); err == nil {
		t.Error("a cube was stored below a file")
	}
	if _, err := OpenCubeStore(filepath.Join(s.dir, string(key[:2]), "below")); err == nil {
		t.Error("a store was opened below a file")
	}
}

func FuzzDecodeCube(f *testing.F) {
	c := &volume.Cube{Edge: 2, HU: make([]float32, 8)}
	f.Add(encodeCube(c))
	f.Add(encodeCube(c)[:40])
	f.Add([]byte(cubeFormat))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, problem := decodeCube(b)
		if (c == nil) == (problem == "") {
			t.Fatalf("cube %v, problem %q", c, problem)
		}
		if c != nil && string(encodeCube(c)) != string(b) {
			t.Fatal("what was read is not what is written")
		}
	})
}
