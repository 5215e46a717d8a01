package nrrd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// Option changes how a file is written.
type Option int

const (
	// Float32 keeps the values as they are. Without it a CT is written in whole HU
	// (short), at half the size.
	Float32 Option = iota + 1
	// Uncompressed leaves gzip out: larger files, faster to write and to read.
	Uncompressed
)

// Write writes a CT, in whole HU unless Float32 is given, packed by gzip unless
// Uncompressed is. A path that ends in .nhdr gets the header, and the voxels go
// beside it under the same name with .raw or .raw.gz; the header comes last, so a
// header never lacks its voxels. Files appear under their names only when they are
// complete. A value that int16 cannot hold and a path that ends neither in .nrrd
// nor in .nhdr are a *volume.FileError.
func Write(path string, v *volume.Volume, options ...Option) error {
	voxelType, body := "short", func(w io.Writer) error { return raw.WriteInt16(w, v.HU) }
	if slices.Contains(options, Float32) {
		voxelType, body = "float", func(w io.Writer) error { return raw.WriteFloat32(w, v.HU) }
	}
	return write(path, v.Grid, voxelType, len(v.HU), !slices.Contains(options, Uncompressed), body)
}

// WriteMask writes a mask as bytes, 0 and 1. Otherwise as Write.
func WriteMask(path string, m *volume.Mask, options ...Option) error {
	return write(path, m.Grid, "uchar", len(m.In), !slices.Contains(options, Uncompressed), func(w io.Writer) error { return raw.WriteMask(w, m.In) })
}

func write(path string, g volume.Grid, voxelType string, n int, zipped bool, body func(io.Writer) error) error {
	detached := strings.HasSuffix(path, ".nhdr")
	if !detached && !strings.HasSuffix(path, ".nrrd") {
		return &volume.FileError{Path: path, Field: "name", Value: filepath.Base(path), Allowed: "a name that ends in .nrrd or .nhdr"}
	}
	var geometry *volume.GeometryError
	if err := g.Check(); errors.As(err, &geometry) {
		return &volume.FileError{Path: path, Field: geometry.Field, Value: geometry.Value, Allowed: geometry.Allowed}
	}
	if n != g.Len() {
		panic(fmt.Sprintf("nrrd: %d voxels for a grid of %d", n, g.Len()))
	}
	var err error
	if detached {
		data := strings.TrimSuffix(path, ".nhdr") + ".raw"
		if zipped {
			data += ".gz"
		}
		if err = raw.Create(data, nil, zipped, body); err == nil {
			head := headerText(g, voxelType, zipped, filepath.Base(data))
			err = raw.Create(path, head, false, func(io.Writer) error { return nil })
		}
	} else {
		err = raw.Create(path, headerText(g, voxelType, zipped, ""), zipped, body)
	}
	var value *raw.ValueError
	if errors.As(err, &value) {
		return &volume.FileError{Path: path, Field: "voxels", Value: "out of range", Allowed: "finite numbers, and -32768 to 32767 HU unless written as Float32", Err: err}
	}
	if err != nil {
		return fmt.Errorf("write NRRD: %w", err)
	}
	return nil
}

// headerText is the header, with the empty line that ends it.
func headerText(g volume.Grid, voxelType string, zipped bool, dataFile string) []byte {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	encoding := "raw"
	if zipped {
		encoding = "gzip"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "NRRD0004\ntype: %s\ndimension: 3\nspace: left-posterior-superior\n", voxelType)
	fmt.Fprintf(&b, "sizes: %d %d %d\nspace directions:", g.Size[0], g.Size[1], g.Size[2])
	for a := range 3 {
		s := g.Spacing[a]
		fmt.Fprintf(&b, " (%s,%s,%s)", number(g.Direction[a]*s), number(g.Direction[3+a]*s), number(g.Direction[6+a]*s))
	}
	fmt.Fprintf(&b, "\nkinds: domain domain domain\nendian: little\nencoding: %s\n", encoding)
	fmt.Fprintf(&b, "space origin: (%s,%s,%s)\n", number(g.Origin[0]), number(g.Origin[1]), number(g.Origin[2]))
	if dataFile != "" {
		fmt.Fprintf(&b, "data file: %s\n", dataFile)
	}
	b.WriteString("\n")
	return b.Bytes()
}
