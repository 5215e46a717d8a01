package nifti

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// Option changes how a file is written.
type Option int

// Float32 keeps the values as they are. Without it a CT is written in whole HU
// (int16), at half the size.
const Float32 Option = 1

// Write writes a CT as NIfTI-1, in whole HU unless Float32 is given; a path that
// ends in .gz is packed. The file appears under its name only when it is complete.
// A value that int16 cannot hold, a size above 32767 and a path that ends neither
// in .nii nor in .nii.gz are a *volume.FileError.
func Write(path string, v *volume.Volume, options ...Option) error {
	datatype, body := int16(4), func(w io.Writer) error { return raw.WriteInt16(w, v.HU) }
	for _, o := range options {
		if o == Float32 {
			datatype, body = 16, func(w io.Writer) error { return raw.WriteFloat32(w, v.HU) }
		}
	}
	return write(path, v.Grid, datatype, len(v.HU), body)
}

// WriteMask writes a mask as NIfTI-1, bytes 0 and 1. Otherwise as Write.
func WriteMask(path string, m *volume.Mask) error {
	return write(path, m.Grid, 2, len(m.In), func(w io.Writer) error { return raw.WriteMask(w, m.In) })
}

func write(path string, g volume.Grid, datatype int16, n int, body func(io.Writer) error) error {
	zipped, err := checkTarget(path, g)
	if err != nil {
		return err
	}
	if n != g.Len() {
		panic(fmt.Sprintf("nifti: %d voxels for a grid of %d", n, g.Len()))
	}
	head := newHeader(g, datatype).bytes()
	if zipped {
		err = raw.Create(path, nil, true, func(w io.Writer) error {
			if _, err := w.Write(head); err != nil {
				return err
			}
			return body(w)
		})
	} else {
		err = raw.Create(path, head, false, body)
	}
	return writeError(path, err)
}

// checkTarget refuses a name and a grid that NIfTI cannot have.
func checkTarget(path string, g volume.Grid) (zipped bool, err error) {
	zipped = strings.HasSuffix(path, ".nii.gz")
	if !zipped && !strings.HasSuffix(path, ".nii") {
		return false, wrongAt(path, wrong("name", path, "a name that ends in .nii or .nii.gz"))
	}
	var wrongGrid *volume.FileError
	if err := checked(g); errors.As(err, &wrongGrid) {
		return false, wrongAt(path, wrongGrid)
	}
	for a := range 3 {
		if g.Size[a] > maxSize {
			return false, wrongAt(path, wrong("size", fmt.Sprint(g.Size), "at most 32767 voxels along each axis; write NRRD instead"))
		}
	}
	return zipped, nil
}

func wrongAt(path string, e *volume.FileError) error {
	e.Path = path
	return e
}

// writeError puts into words what went wrong while a file was written; nil for nothing.
func writeError(path string, err error) error {
	var value *raw.ValueError
	if errors.As(err, &value) {
		return wrongAt(path, &volume.FileError{Field: "voxels", Value: "out of range", Allowed: "finite numbers, and -32768 to 32767 HU unless written as Float32", Err: err})
	}
	if err != nil {
		return fmt.Errorf("write NIfTI: %w", err)
	}
	return nil
}

// newHeader describes a grid by qform and sform, both, because programs differ in
// which they read.
func newHeader(g volume.Grid, datatype int16) *header {
	h := &header{
		SizeofHdr: headerBytes, Regular: 'r', Datatype: datatype, Bitpix: int16(8 * types[datatype].Bytes()),
		VoxOffset: dataOffset, SclSlope: 1, XyztUnits: 2, // mm
		QformCode: 1, SformCode: 1, // scanner positions
		Magic: [4]byte{'n', '+', '1', 0},
	}
	h.Dim = [8]int16{3, int16(g.Size[0]), int16(g.Size[1]), int16(g.Size[2]), 1, 1, 1, 1}
	toLPS(&g) // now RAS
	for i := range 8 {
		h.Pixdim[i] = 1
	}
	for a := range 3 {
		h.Pixdim[1+a] = float32(g.Spacing[a])
		h.SrowX[a] = float32(g.Direction[a] * g.Spacing[a])
		h.SrowY[a] = float32(g.Direction[3+a] * g.Spacing[a])
		h.SrowZ[a] = float32(g.Direction[6+a] * g.Spacing[a])
	}
	h.SrowX[3], h.SrowY[3], h.SrowZ[3] = float32(g.Origin[0]), float32(g.Origin[1]), float32(g.Origin[2])
	h.QoffsetX, h.QoffsetY, h.QoffsetZ = h.SrowX[3], h.SrowY[3], h.SrowZ[3]
	d := g.Direction
	if determinant(d) < 0 {
		h.Pixdim[0] = -1
		d[2], d[5], d[8] = -d[2], -d[5], -d[8]
	}
	_, b, c, k := quaternion(d)
	h.QuaternB, h.QuaternC, h.QuaternD = float32(b), float32(c), float32(k)
	return h
}

// bytes is the header and the four zero bytes that say no extension follows.
func (h *header) bytes() []byte {
	var out bytes.Buffer
	// A header has a fixed size and a bytes.Buffer does not fail.
	if err := binary.Write(&out, binary.LittleEndian, h); err != nil {
		panic(err)
	}
	out.Write(make([]byte, dataOffset-headerBytes))
	return out.Bytes()
}

func determinant(d [9]float64) float64 {
	return d[0]*(d[4]*d[8]-d[5]*d[7]) - d[1]*(d[3]*d[8]-d[5]*d[6]) + d[2]*(d[3]*d[7]-d[4]*d[6])
}

// quaternion is the unit quaternion of a rotation, its first part not negative.
// Of the four ways to compute it, the one that divides by the largest number.
func quaternion(r [9]float64) (a, b, c, d float64) {
	squares := [4]float64{1 + r[0] + r[4] + r[8], 1 + r[0] - r[4] - r[8], 1 - r[0] + r[4] - r[8], 1 - r[0] - r[4] + r[8]}
	largest := 0
	for i, s := range squares {
		if s > squares[largest] {
			largest = i
		}
	}
	s := 2 * math.Sqrt(squares[largest]) // four times the largest part
	switch largest {
	case 0:
		a, b, c, d = s/4, (r[7]-r[5])/s, (r[2]-r[6])/s, (r[3]-r[1])/s
	case 1:
		a, b, c, d = (r[7]-r[5])/s, s/4, (r[1]+r[3])/s, (r[2]+r[6])/s
	case 2:
		a, b, c, d = (r[2]-r[6])/s, (r[1]+r[3])/s, s/4, (r[5]+r[7])/s
	default:
		a, b, c, d = (r[3]-r[1])/s, (r[2]+r[6])/s, (r[5]+r[7])/s, s/4
	}
	if a < 0 {
		a, b, c, d = -a, -b, -c, -d
	}
	return a, b, c, d
}
