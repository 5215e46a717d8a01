// Package nrrd reads and writes volumes and masks as NRRD files: .nrrd (header and
// voxels together) and .nhdr (a header that names the file of the voxels), raw or
// packed by gzip.
//
// Source: the definition of NRRD file formats 1 to 5, teem.sourceforge.net/nrrd/format.html.
package nrrd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// Read reads a CT: one 3D volume in HU. Refused are files without space, space
// directions and space origin (their geometry would have to be guessed), spaces
// other than LPS, RAS and LAS, encodings other than raw and gzip, several volumes
// in one file, voxels spread over several files or outside the header's folder,
// and voxels that are not finite. A wrong file is a *volume.FileError; a file that
// cannot be opened is the system's error.
func Read(path string) (*volume.Volume, error) {
	v := &volume.Volume{}
	err := open(path, func(h *header, data io.Reader) (err error) {
		v.Grid = h.grid
		v.HU, err = h.layout.ReadFloats(data, h.grid.Len())
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
	err := open(path, func(h *header, data io.Reader) (err error) {
		m.Grid = h.grid
		m.In, err = h.layout.ReadMask(data, h.grid.Len())
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// readVoxels reads the unpacked voxels that follow a header.
type readVoxels func(h *header, data io.Reader) error

// open reads the header and hands on the voxels, wherever they are.
func open(path string, read readVoxels) error {
	file, length, err := raw.Open(path)
	if err != nil {
		return fmt.Errorf("read NRRD: %w", err)
	}
	defer file.Close()
	return parse(path, file, length, read)
}

// parse is open for a file that is at hand. Errors name the path.
func parse(path string, r io.Reader, length int64, read readVoxels) error {
	err := func() error {
		lines := &lineReader{r: bufio.NewReaderSize(r, 1<<18)}
		h, err := readHeader(lines)
		if err != nil {
			return err
		}
		if h.dataFile == "" {
			return h.voxels(lines.r, length-lines.read, read)
		}
		// A header must not make us read files it does not own.
		if !filepath.IsLocal(h.dataFile) {
			return wrong("data file", fmt.Sprintf("%q", h.dataFile), "one file in the header's folder")
		}
		data, dataLength, err := raw.Open(filepath.Join(filepath.Dir(path), h.dataFile))
		if err != nil {
			return &volume.FileError{Field: "data file", Value: fmt.Sprintf("%q", h.dataFile), Allowed: "a file in the header's folder; copy it there", Err: err}
		}
		defer data.Close()
		return h.detached(data, dataLength, read)
	}()
	var wrongFile *volume.FileError
	if errors.As(err, &wrongFile) {
		wrongFile.Path = path
	}
	return err
}

// detached reads voxels from a file of their own, where byte skip -1 means that
// they are the last bytes of it.
func (h *header) detached(data *os.File, length int64, read readVoxels) error {
	if h.byteSkip == -1 && !h.layout.Zipped {
		if !h.layout.Fits(int64(h.grid.Len()), length) {
			return h.tooLarge(length)
		}
		skip := length - int64(h.grid.Len())*int64(h.layout.Type.Bytes())
		if _, err := data.Seek(skip, io.SeekStart); err != nil {
			return err
		}
		length -= skip
	}
	return h.voxels(bufio.NewReaderSize(data, 1<<18), length, read)
}

// voxels skips what the header says, unpacks and reads. length is what is left of
// the file at most.
func (h *header) voxels(r *bufio.Reader, length int64, read readVoxels) error {
	lines := &lineReader{r: r}
	for range h.lineSkip {
		if _, err := lines.next(); err != nil {
			return &volume.FileError{Field: "line skip", Value: fmt.Sprint(h.lineSkip), Allowed: "lines that the file has", Err: err}
		}
	}
	length -= lines.read
	if !h.layout.Fits(int64(h.grid.Len()), length-max(h.skipBeforeVoxels(), 0)) {
		return h.tooLarge(length)
	}
	var data io.Reader = r
	if h.layout.Zipped {
		z, err := raw.Gunzip(r)
		if err != nil {
			return &volume.FileError{Field: "gzip data", Value: "damaged", Allowed: "a whole gzip stream", Err: err}
		}
		data = z
	}
	if h.byteSkip > 0 {
		if _, err := io.CopyN(io.Discard, data, h.byteSkip); err != nil {
			return &volume.FileError{Field: "byte skip", Value: fmt.Sprint(h.byteSkip), Allowed: "bytes that the file has", Err: err}
		}
	}
	err := read(h, data)
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

// skipBeforeVoxels is how many bytes of the file itself byte skip takes; in a
// packed file it counts unpacked bytes.
func (h *header) skipBeforeVoxels() int64 {
	if h.layout.Zipped {
		return 0
	}
	return h.byteSkip
}

func (h *header) tooLarge(length int64) error {
	return wrong("sizes", fmt.Sprint(h.grid.Size), fmt.Sprintf("what %d bytes can hold; the file is cut short or its header is wrong", max(length, 0)))
}

func wrong(field, value, allowed string) *volume.FileError {
	return &volume.FileError{Field: field, Value: value, Allowed: allowed}
}
