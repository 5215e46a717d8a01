// Package raw turns the voxels of image files into numbers and back: element
// types, byte order, rescaling, gzip, and files that appear whole or not at all.
// It is what the NIfTI and NRRD readers share.
package raw

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// Type is the type of one voxel in a file.
type Type uint8

// The types that scans and masks come in.
const (
	Int8 Type = iota + 1
	Uint8
	Int16
	Uint16
	Int32
	Uint32
	Int64
	Uint64
	Float32
	Float64
)

// Bytes is the size of one voxel in the file.
func (t Type) Bytes() int {
	switch t {
	case Int8, Uint8:
		return 1
	case Int16, Uint16:
		return 2
	case Int32, Uint32, Float32:
		return 4
	default:
		return 8
	}
}

// Layout says how the voxels of a file are written. The number meant is
// stored*Slope + Intercept; the zero Slope means that nothing is rescaled.
type Layout struct {
	Type             Type
	BigEndian        bool
	Zipped           bool // by gzip; readers are given the unpacked bytes
	Slope, Intercept float64
}

// ShortError is a file that ends too early or goes on too long, in bytes of voxels.
type ShortError struct {
	Want, Got int64
	Err       error
}

func (e *ShortError) Error() string {
	if e.Got > e.Want {
		return fmt.Sprintf("the voxels should take %d bytes, but there are more", e.Want)
	}
	return fmt.Sprintf("the voxels should take %d bytes, there are %d: %v", e.Want, e.Got, e.Err)
}

func (e *ShortError) Unwrap() error { return e.Err }

// ValueError is a voxel that is not a number, or that the file's type cannot hold.
type ValueError struct {
	Voxel int // place in the array, from 0
	Value float32
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("voxel %d holds %v", e.Voxel, e.Value)
}

// chunk is how many voxels are converted at a time.
const chunk = 1 << 16

// maxRatio is the most a byte of deflate can unpack to.
const maxRatio = 1032

// Fits says whether n voxels can be in so many bytes of file. Readers ask before
// they make room, so that a header cannot claim memory the file does not back.
func (l Layout) Fits(n, fileBytes int64) bool {
	if l.Zipped {
		if fileBytes > math.MaxInt64/maxRatio {
			return true
		}
		fileBytes *= maxRatio
	}
	return n <= fileBytes/int64(l.Type.Bytes())
}

// room is how much to make ready for n voxels. Where Fits has seen the bytes, all of
// it; of a packed file only a part, and more as it turns out to be true.
func (l Layout) room(n, part int) int {
	if l.Zipped {
		return min(n, part)
	}
	return n
}

// ReadFloats reads exactly n voxels and the end of r, after Fits. Errors: *ShortError, *ValueError (voxels that are not finite).
func (l Layout) ReadFloats(r io.Reader, n int) ([]float32, error) {
	out := make([]float32, 0, l.room(n, 16<<20))
	err := l.read(r, n, func(part []float32) error {
		if need := len(out) + len(part); need > cap(out) {
			out = slices.Grow(out, min(max(need, 2*cap(out)), n)-len(out))
		}
		out = append(out, part...)
		return nil
	})
	return out, err
}

// LabelsError is a file with several labels (or fractions) where a mask is wanted.
type LabelsError struct {
	First, Second float32
}

func (e *LabelsError) Error() string {
	return fmt.Sprintf("there are at least two labels, %v and %v", e.First, e.Second)
}

// ReadMask reads exactly n voxels and the end of r, after Fits: 0 is outside, the one other
// value there may be is inside (1 in the result). Errors: *ShortError, *ValueError,
// *LabelsError.
func (l Layout) ReadMask(r io.Reader, n int) ([]uint8, error) {
	out := make([]uint8, 0, l.room(n, 64<<20))
	var label float32
	err := l.read(r, n, func(part []float32) error {
		for _, v := range part {
			switch {
			case v == 0:
				out = append(out, 0)
				continue
			case label == 0:
				label = v
			case v != label:
				return &LabelsError{First: label, Second: v}
			}
			out = append(out, 1)
		}
		return nil
	})
	return out, err
}

// read hands the voxels on in parts; a part is valid until the next.
func (l Layout) read(r io.Reader, n int, each func([]float32) error) error {
	size := l.Type.Bytes()
	want := int64(n) * int64(size)
	in := make([]byte, min(n, chunk)*size)
	out := make([]float32, min(n, chunk))
	for done := 0; done < n; {
		count := min(n-done, chunk)
		got, err := io.ReadFull(r, in[:count*size])
		if err != nil {
			return &ShortError{Want: want, Got: int64(done)*int64(size) + int64(got), Err: notEOF(err)}
		}
		l.decode(out[:count], in[:count*size])
		for i, v := range out[:count] {
			if v-v != 0 { // NaN or infinite
				return &ValueError{Voxel: done + i, Value: v}
			}
		}
		if err := each(out[:count]); err != nil {
			return err
		}
		done += count
	}
	// Reading on to the end also makes gzip compare its checksum.
	switch got, err := io.ReadFull(r, in[:1]); {
	case got > 0:
		return &ShortError{Want: want, Got: want + 1}
	case !errors.Is(err, io.EOF):
		return &ShortError{Want: want, Got: want, Err: err}
	}
	return nil
}

// notEOF keeps a file that ends too early from looking like one that just ends.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decode turns bytes into the numbers meant. It may change src.
func (l Layout) decode(dst []float32, src []byte) {
	size := l.Type.Bytes()
	if l.BigEndian && size > 1 {
		for i := 0; i < len(src); i += size {
			slices.Reverse(src[i : i+size])
		}
	}
	rescale := l.Slope != 0 && (l.Slope != 1 || l.Intercept != 0)
	le := binary.LittleEndian
	switch {
	case !rescale && l.Type == Int16:
		for i := range dst {
			dst[i] = float32(int16(le.Uint16(src[2*i:])))
		}
		return
	case !rescale && l.Type == Float32:
		for i := range dst {
			dst[i] = math.Float32frombits(le.Uint32(src[4*i:]))
		}
		return
	case !rescale && l.Type == Uint8:
		for i := range dst {
			dst[i] = float32(src[i])
		}
		return
	}
	for i := range dst {
		v := l.number(src[i*size : i*size+size])
		if rescale {
			v = v*l.Slope + l.Intercept
		}
		dst[i] = float32(v)
	}
}

// number is one little-endian voxel as stored.
func (l Layout) number(b []byte) float64 {
	le := binary.LittleEndian
	switch l.Type {
	case Int8:
		return float64(int8(b[0]))
	case Uint8:
		return float64(b[0])
	case Int16:
		return float64(int16(le.Uint16(b)))
	case Uint16:
		return float64(le.Uint16(b))
	case Int32:
		return float64(int32(le.Uint32(b)))
	case Uint32:
		return float64(le.Uint32(b))
	case Int64:
		return float64(int64(le.Uint64(b)))
	case Uint64:
		return float64(le.Uint64(b))
	case Float32:
		return float64(math.Float32frombits(le.Uint32(b)))
	case Float64:
		return math.Float64frombits(le.Uint64(b))
	}
	panic(fmt.Sprintf("raw: no such voxel type %d", l.Type))
}

// WriteInt16 writes Hounsfield values rounded to whole numbers (half away from
// zero), little-endian. A value that int16 cannot hold is a *ValueError.
func WriteInt16(w io.Writer, hu []float32) error {
	return write(w, hu, 2, func(out []byte, at int, part []float32) error {
		_, err := AppendInt16(out[:0], part, at)
		return err
	})
}

// AppendInt16 appends values as WriteInt16 writes them. The first is voxel at of its image.
func AppendInt16(to []byte, hu []float32, at int) ([]byte, error) {
	n := len(to)
	to = slices.Grow(to, 2*len(hu))[:n+2*len(hu)]
	out := to[n:]
	done, fit := wholeVectors(out, hu)
	lost := int64(0)
	for i := done; i < len(hu); i++ {
		v := hu[i]
		// Half a unit away from zero and cut, in 64 bits, where the sum is exact: the same as
		// math.Round and without a branch. What no integer can hold becomes the smallest there is.
		half := math.Float64frombits(math.Float64bits(0.5) | math.Float64bits(float64(v))&(1<<63))
		r := int64(float64(v) + half)
		lost |= r ^ int64(int16(r))
		binary.LittleEndian.PutUint16(out[2*i:], uint16(r))
	}
	if fit && lost == 0 {
		return to, nil
	}
	for i, v := range hu {
		if r := math.Round(float64(v)); !(r >= math.MinInt16 && r <= math.MaxInt16) {
			return nil, &ValueError{Voxel: at + i, Value: v}
		}
	}
	panic("raw: a value was lost that is none")
}

// WriteFloat32 writes values as they are, little-endian. One that is not finite is
// a *ValueError.
func WriteFloat32(w io.Writer, hu []float32) error {
	return write(w, hu, 4, func(out []byte, at int, part []float32) error {
		_, err := AppendFloat32(out[:0], part, at)
		return err
	})
}

// AppendFloat32 appends values as WriteFloat32 writes them. The first is voxel at of its image.
func AppendFloat32(to []byte, hu []float32, at int) ([]byte, error) {
	for i, v := range hu {
		if v-v != 0 {
			return nil, &ValueError{Voxel: at + i, Value: v}
		}
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(v))
	}
	return to, nil
}

// WriteMask writes a mask as bytes, 0 outside and 1 inside.
func WriteMask(w io.Writer, in []uint8) error {
	return write(w, in, 1, func(out []byte, _ int, part []uint8) error {
		for i, v := range part {
			out[i] = min(v, 1)
		}
		return nil
	})
}

func write[V any](w io.Writer, values []V, size int, encode func(out []byte, at int, part []V) error) error {
	out := make([]byte, min(len(values), chunk)*size)
	for at := 0; at < len(values); at += chunk {
		part := values[at:min(at+chunk, len(values))]
		if err := encode(out, at, part); err != nil {
			return err
		}
		if _, err := w.Write(out[:len(part)*size]); err != nil {
			return err
		}
	}
	return nil
}

// Decimal is the shortest decimal number that a 32-bit float can have been: 0.7
// and not 0.699999988. Spacings are decimals, and on a grid of 1 mm the digits
// lost in a 32-bit header could cost a whole row of voxels.
func Decimal(f float32) float64 {
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f)
	}
	return d
}
