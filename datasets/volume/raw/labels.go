package raw

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// maxLabels is how many labels a mask may have; a file with more is an image.
const maxLabels = 255

// NoMaskError is a file whose voxels are no labels: fractions, negative numbers, or too
// many different ones.
type NoMaskError struct {
	Voxel int // place in the array, from 0
	Value float32
	Many  bool // the value is a label, and one too many
}

func (e *NoMaskError) Error() string {
	if e.Many {
		return fmt.Sprintf("voxel %d holds %v, and there are %d other labels before it", e.Voxel, e.Value, maxLabels)
	}
	return fmt.Sprintf("voxel %d holds %v", e.Voxel, e.Value)
}

// ReadLabels reads exactly n voxels and the end of r, after Fits. A voxel is 1 in the
// result where its label is among the wanted ones, or is not 0 when none are named. seen
// are all labels but 0 in rising order. Errors: *ShortError, *ValueError, *NoMaskError.
func (l Layout) ReadLabels(r io.Reader, n int, wanted []int) (in []uint8, seen []int, err error) {
	in = make([]uint8, 0, l.room(n, 64<<20))
	inside := map[float32]uint8{} // every label met
	var last float32
	var lastIn uint8
	err = l.read(r, n, func(part []float32) error {
		for _, v := range part {
			if v != last {
				is, met := inside[v]
				if !met && v != 0 {
					switch {
					case v < 0 || v != float32(math.Trunc(float64(v))) || v > 1<<24:
						return &NoMaskError{Voxel: len(in), Value: v}
					case len(inside) == maxLabels:
						return &NoMaskError{Voxel: len(in), Value: v, Many: true}
					}
					if len(wanted) == 0 || slices.Contains(wanted, int(v)) {
						is = 1
					}
					inside[v] = is
				}
				last, lastIn = v, is
			}
			in = append(in, lastIn)
		}
		return nil
	})
	for v := range maps.Keys(inside) {
		seen = append(seen, int(v))
	}
	slices.Sort(seen)
	return in, seen, err
}
