package raw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestReadLabels(t *testing.T) {
	float := func(values ...float32) []byte {
		b, err := binary.Append(nil, binary.LittleEndian, values)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	l := Layout{Type: Float32}
	for _, test := range []struct {
		values []float32
		wanted []int
		in     []uint8
		seen   []int
	}{
		{[]float32{0, 0}, nil, []uint8{0, 0}, nil},
		{[]float32{3, 0, 3, 1}, nil, []uint8{1, 0, 1, 1}, []int{1, 3}},
		{[]float32{3, 0, 3, 1}, []int{3}, []uint8{1, 0, 1, 0}, []int{1, 3}},
		{[]float32{3, 0, 3, 1}, []int{1, 7}, []uint8{0, 0, 0, 1}, []int{1, 3}},
		{[]float32{float32(math.Copysign(0, -1)), 255}, []int{0, 255}, []uint8{0, 1}, []int{255}},
	} {
		in, seen, err := l.ReadLabels(bytes.NewReader(float(test.values...)), len(test.values), test.wanted)
		if err != nil || !slices.Equal(in, test.in) || !slices.Equal(seen, test.seen) {
			t.Errorf("%v, wanted %v: %v, labels %v, error %v", test.values, test.wanted, in, seen, err)
		}
	}
	many := make([]float32, 256)
	for i := range many {
		many[i] = float32(i + 1)
	}
	for _, test := range []struct {
		values []float32
		voxel  int
		many   bool
	}{
		{[]float32{0, 0.5}, 1, false}, {[]float32{-1}, 0, false}, {[]float32{1, 1, 1 << 25}, 2, false}, {many, 255, true},
	} {
		var none *NoMaskError
		if _, _, err := l.ReadLabels(bytes.NewReader(float(test.values...)), len(test.values), nil); !errors.As(err, &none) || none.Voxel != test.voxel || none.Many != test.many {
			t.Errorf("%v: error %v", test.values[:min(3, len(test.values))], err)
		}
	}
	var short *ShortError
	if _, _, err := l.ReadLabels(bytes.NewReader(float(1)), 2, nil); !errors.As(err, &short) {
		t.Errorf("error %v", err)
	}
	var value *ValueError
	if _, _, err := l.ReadLabels(bytes.NewReader(float(float32(math.NaN()))), 1, nil); !errors.As(err, &value) {
		t.Errorf("error %v", err)
	}
}

// Against the plain way, over the seams of chunks.
func TestReadLabelsPlainly(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	values := make([]uint8, 2*chunk+5)
	for i := range values {
		if i > 0 && rng.IntN(3) > 0 {
			values[i] = values[i-1] // runs, as in masks
		} else {
			values[i] = uint8(rng.IntN(5))
		}
	}
	in, seen, err := Layout{Type: Uint8}.ReadLabels(bytes.NewReader(values), len(values), []int{2, 4})
	if err != nil || !slices.Equal(seen, []int{1, 2, 3, 4}) {
		t.Fatalf("labels %v, error %v", seen, err)
	}
	for i, v := range values {
		if (in[i] == 1) != (v == 2 || v == 4) {
			t.Fatalf("voxel %d of label %d is %d", i, v, in[i])
		}
	}
}
