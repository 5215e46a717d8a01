// Package nifti reads and writes volumes and masks as NIfTI-1 files (.nii, .nii.gz).
//
// NIfTI positions point to the patient's right, front and head or away from them
// in another way than DICOM's (RAS instead of LPS); reading and writing turn them
// over, so a volume.Grid is always LPS. The format keeps 32-bit positions.
//
// Source: Cox R. et al., "A (sort of) new image data format standard: NIfTI-1",
// 2004, and the header file nifti1.h of the NIfTI Data Format Working Group.
package nifti

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// header is the NIfTI-1 header, field by field as in nifti1.h.
type header struct {
	SizeofHdr                              int32
	DataType                               [10]byte
	DBName                                 [18]byte
	Extents                                int32
	SessionError                           int16
	Regular, DimInfo                       byte
	Dim                                    [8]int16
	IntentP                                [3]float32
	IntentCode                             int16
	Datatype, Bitpix                       int16
	SliceStart                             int16
	Pixdim                                 [8]float32
	VoxOffset                              float32
	SclSlope, SclInter                     float32
	SliceEnd                               int16
	SliceCode, XyztUnits                   byte
	CalMax, CalMin, SliceDuration, Toffset float32
	Glmax, Glmin                           int32
	Descrip                                [80]byte
	AuxFile                                [24]byte
	QformCode, SformCode                   int16
	QuaternB, QuaternC, QuaternD           float32
	QoffsetX, QoffsetY, QoffsetZ           float32
	SrowX, SrowY, SrowZ                    [4]float32
	IntentName                             [16]byte
	Magic                                  [4]byte
}

const (
	headerBytes = 348
	dataOffset  = 352 // header and the four bytes that say there is no extension
	maxSize     = math.MaxInt16
)

// types are the voxel types of NIfTI-1 that hold one real number.
var types = map[int16]raw.Type{
	2: raw.Uint8, 4: raw.Int16, 8: raw.Int32, 16: raw.Float32, 64: raw.Float64,
	256: raw.Int8, 512: raw.Uint16, 768: raw.Uint32, 1024: raw.Int64, 1280: raw.Uint64,
}

// Read reads a CT: one 3D volume, in HU after the file's slope and intercept. The
// geometry is that of the sform, the qform or both; a file with neither, or whose
// two disagree, would have to be guessed and is refused, and so are two-file NIfTI,
// NIfTI-2, time series and voxels that are not finite. A wrong file is a
// *volume.FileError; a file that cannot be opened is the system's error.
func Read(path string) (*volume.Volume, error) {
	v := &volume.Volume{}
	err := open(path, func(g volume.Grid, l raw.Layout, data io.Reader) (err error) {
		v.Grid = g
		v.HU, err = l.ReadFloats(data, g.Len())
		return err
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// ReadMask reads a mask: 0 is outside, the one other value there may be is inside.
// Errors as in Read; several labels in one file are one too.
func ReadMask(path string) (*volume.Mask, error) {
	m := &volume.Mask{}
	err := open(path, func(g volume.Grid, l raw.Layout, data io.Reader) (err error) {
		m.Grid = g
		m.In, err = l.ReadMask(data, g.Len())
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// readVoxels reads the unpacked voxels that follow a header.
type readVoxels func(g volume.Grid, l raw.Layout, data io.Reader) error

// open reads the header and hands on the voxels.
func open(path string, read readVoxels) error {
	file, length, err := raw.Open(path)
	if err != nil {
		return fmt.Errorf("read NIfTI: %w", err)
	}
	defer file.Close()
	return parse(path, bufio.NewReaderSize(file, 1<<18), length, read)
}

// parse is open for a file that is at hand. Errors name the path.
func parse(path string, r *bufio.Reader, length int64, read readVoxels) error {
	err := func() error {
		head, err := r.Peek(2)
		if err != nil {
			return &volume.FileError{Field: "length", Value: fmt.Sprintf("%d bytes", length), Allowed: "at least the 348 bytes of a header", Err: err}
		}
		var data io.Reader = r
		zipped := raw.IsGzip(head)
		if zipped {
			if data, err = raw.Gunzip(r); err != nil {
				return &volume.FileError{Field: "gzip data", Value: "damaged", Allowed: "a whole gzip stream", Err: err}
			}
		}
		g, l, err := readHeader(data, length, zipped)
		if err != nil {
			return err
		}
		return voxels(read(g, l, data))
	}()
	var wrongFile *volume.FileError
	if errors.As(err, &wrongFile) {
		wrongFile.Path = path
	}
	return err
}

func wrong(field, value, allowed string) *volume.FileError {
	return &volume.FileError{Field: field, Value: value, Allowed: allowed}
}

// voxels says what is wrong with the voxels.
func voxels(err error) error {
	var labels *raw.LabelsError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &labels):
		return &volume.FileError{Field: "mask", Value: "of several labels", Allowed: "0 and one other value; write the tumour's label to a file of its own", Err: err}
	default:
		return &volume.FileError{Field: "voxels", Value: "wrong", Allowed: "as many finite numbers as the header says; fetch or export the file again", Err: err}
	}
}

// readHeader reads up to the first voxel of a file of so many bytes on disk.
func readHeader(r io.Reader, fileBytes int64, zipped bool) (g volume.Grid, l raw.Layout, err error) {
	bytesRead := make([]byte, headerBytes)
	if n, err := io.ReadFull(r, bytesRead); err != nil {
		return g, l, &volume.FileError{Field: "length", Value: fmt.Sprintf("%d bytes", n), Allowed: "at least the 348 bytes of a header", Err: err}
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch size := binary.LittleEndian.Uint32(bytesRead); size {
	case headerBytes:
	case 0x5c010000:
		order, l.BigEndian = binary.BigEndian, true
	case 540, 0x1c020000:
		return g, l, wrong("sizeof_hdr", "540 (NIfTI-2)", "348 (NIfTI-1); save the file as NIfTI-1")
	default:
		return g, l, wrong("sizeof_hdr", fmt.Sprint(size), "348; this is no NIfTI-1 file")
	}
	var h header
	if err := binary.Read(bytes.NewReader(bytesRead), order, &h); err != nil {
		return g, l, &volume.FileError{Field: "header", Value: "unreadable", Allowed: "a NIfTI-1 header", Err: err}
	}
	if h.Magic != [4]byte{'n', '+', '1', 0} {
		return g, l, wrong("magic", fmt.Sprintf("%q", h.Magic[:]), `"n+1": header and voxels in one file; save a .hdr/.img pair as .nii`)
	}
	known := false
	if l.Type, known = types[h.Datatype]; !known {
		return g, l, wrong("datatype", fmt.Sprint(h.Datatype), "whole or floating-point numbers of 8 to 64 bits (codes 2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280)")
	}
	// nifti1.h: a slope of 0 means that nothing is rescaled; some writers put NaN there.
	if slope, inter := float64(h.SclSlope), float64(h.SclInter); slope != 0 && !math.IsNaN(slope) {
		if math.IsInf(slope, 0) || inter-inter != 0 {
			return g, l, wrong("scl_slope, scl_inter", fmt.Sprint(slope, ", ", inter), "finite numbers")
		}
		l.Slope, l.Intercept = raw.Decimal(h.SclSlope), raw.Decimal(h.SclInter)
	}
	if g, err = h.grid(); err != nil {
		return g, l, err
	}
	n := int64(g.Size[0]) * int64(g.Size[1]) * int64(g.Size[2]) // below 2^45
	offset := float64(h.VoxOffset)
	if !(offset >= dataOffset && offset < 1<<30) || offset != math.Trunc(offset) {
		return g, l, wrong("vox_offset", fmt.Sprint(offset), "a whole number of bytes, at least 352")
	}
	left := fileBytes
	if !zipped {
		left -= int64(offset)
	}
	if l.Zipped = zipped; !l.Fits(n, left) {
		return g, l, wrong("dim", fmt.Sprint(h.Dim[1:4]), fmt.Sprintf("what a file of %d bytes can hold; the file is cut short or its header is wrong", fileBytes))
	}
	if _, err := io.CopyN(io.Discard, r, int64(offset)-headerBytes); err != nil {
		return g, l, &volume.FileError{Field: "vox_offset", Value: fmt.Sprint(offset), Allowed: "a place within the file", Err: err}
	}
	return g, l, nil
}

// grid is the header's geometry, turned from RAS to LPS.
func (h *header) grid() (volume.Grid, error) {
	var g volume.Grid
	if h.Dim[0] < 3 || h.Dim[0] > 7 {
		return g, wrong("dim[0]", fmt.Sprint(h.Dim[0]), "3 dimensions (more where they have size 1)")
	}
	for a := range int(h.Dim[0]) {
		switch n := h.Dim[1+a]; {
		case a < 3 && n < 1:
			return g, wrong(fmt.Sprintf("dim[%d]", 1+a), fmt.Sprint(n), "at least 1")
		case a < 3:
			g.Size[a] = int(n)
		case n > 1 || n < 0:
			return g, wrong(fmt.Sprintf("dim[%d]", 1+a), fmt.Sprint(n), "1: a single volume; save one volume of the series to a file of its own")
		}
	}
	mm := 1.0
	switch unit := h.XyztUnits & 7; unit {
	case 0, 2: // unknown is mm in practice
	case 1:
		mm = 1000
	case 3:
		mm = 0.001
	default:
		return g, wrong("xyzt_units", fmt.Sprint(h.XyztUnits), "metres, millimetres or micrometres")
	}
	var err error
	switch {
	case h.SformCode > 0 && h.QformCode > 0:
		q := g
		if err = h.sform(&g); err == nil {
			err = h.qform(&q)
		}
		if err == nil {
			err = agree(g, q, mm)
		}
	case h.SformCode > 0:
		err = h.sform(&g)
	case h.QformCode > 0:
		err = h.qform(&g)
	default:
		err = wrong("qform_code, sform_code", "0, 0: no geometry", "one of them above 0; this file does not say where the patient is")
	}
	if err != nil {
		return g, err
	}
	for a := range 3 {
		g.Spacing[a] *= mm
		g.Origin[a] *= mm
	}
	toLPS(&g)
	return g, checked(g)
}

// checked is what Grid.Check finds, as an error of a file.
func checked(g volume.Grid) error {
	err := g.Check()
	var geometry *volume.GeometryError
	if errors.As(err, &geometry) {
		return wrong(geometry.Field, geometry.Value, geometry.Allowed)
	}
	return err
}

// agree refuses a file whose two transforms place a corner of the scan more than
// 0.1 mm apart: programs differ in which one they follow. unit is the file's, in mm.
func agree(sform, qform volume.Grid, unit float64) error {
	for corner := range 8 {
		var index [3]float64
		for a := range 3 {
			if corner>>a&1 == 1 {
				index[a] = float64(sform.Size[a] - 1)
			}
		}
		s, q := sform.Position(index), qform.Position(index)
		// A NaN passes, and is named as what it is by Grid.Check.
		if apart := unit * math.Hypot(math.Hypot(s[0]-q[0], s[1]-q[1]), s[2]-q[2]); apart > 0.1 {
			return wrong("sform, qform", fmt.Sprintf("%.3g mm apart at a corner of the scan", apart), "the same place; set the code of the wrong one to 0")
		}
	}
	return nil
}

// sform reads the three rows of the affine transform. Its columns carry spacing
// and direction at once; pixdim repeats the spacing, and programs differ in which
// they follow, so the two must agree.
func (h *header) sform(g *volume.Grid) error {
	rows := [3][4]float32{h.SrowX, h.SrowY, h.SrowZ}
	for a := range 3 {
		norm := math.Sqrt(square(rows[0][a]) + square(rows[1][a]) + square(rows[2][a]))
		for r := range 3 {
			g.Direction[3*r+a] = float64(rows[r][a]) / norm
			g.Origin[r] = raw.Decimal(rows[r][3])
		}
		if !(math.Abs(float64(h.Pixdim[1+a])-norm) <= 1e-3*norm) || norm == 0 {
			return wrong(fmt.Sprintf("pixdim[%d]", 1+a), fmt.Sprint(h.Pixdim[1+a]), fmt.Sprintf("a positive number, %v as in the sform", float32(norm)))
		}
		g.Spacing[a] = raw.Decimal(h.Pixdim[1+a]) // without the rounding of the norm
	}
	return nil
}

func square(f float32) float64 { return float64(f) * float64(f) }

// qform reads the rotation from its quaternion.
func (h *header) qform(g *volume.Grid) error {
	b, c, d := float64(h.QuaternB), float64(h.QuaternC), float64(h.QuaternD)
	rest := 1 - (b*b + c*c + d*d)
	if !(rest > -1e-5) {
		return wrong("quatern_b, c, d", fmt.Sprint(b, c, d), "three numbers whose squares sum to 1 at most")
	}
	a := math.Sqrt(max(rest, 0))
	g.Direction = [9]float64{
		a*a + b*b - c*c - d*d, 2 * (b*c - a*d), 2 * (b*d + a*c),
		2 * (b*c + a*d), a*a + c*c - b*b - d*d, 2 * (c*d - a*b),
		2 * (b*d - a*c), 2 * (c*d + a*b), a*a + d*d - b*b - c*c,
	}
	if h.Pixdim[0] < 0 { // the third axis runs the other way: a left-handed lattice
		for r := range 3 {
			g.Direction[3*r+2] = -g.Direction[3*r+2]
		}
	}
	g.Origin = [3]float64{raw.Decimal(h.QoffsetX), raw.Decimal(h.QoffsetY), raw.Decimal(h.QoffsetZ)}
	for i := range 3 {
		g.Spacing[i] = raw.Decimal(h.Pixdim[1+i])
	}
	return nil
}

// toLPS turns a geometry from RAS to LPS or back: x and y point the other way.
func toLPS(g *volume.Grid) {
	for r := range 2 {
		g.Origin[r] = 0 - g.Origin[r] // not -0
		for a := range 3 {
			g.Direction[3*r+a] = 0 - g.Direction[3*r+a]
		}
	}
}
