package nrrd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// header is what a NRRD header says, checked.
type header struct {
	grid     volume.Grid
	layout   raw.Layout
	dataFile string // empty when the voxels follow the header
	lineSkip int
	byteSkip int64 // -1: the voxels are the end of the file
}

// types are the names NRRD gives to voxel types.
var types = map[string]raw.Type{}

func init() {
	for t, names := range map[raw.Type]string{
		raw.Int8:    "signed char,int8,int8_t",
		raw.Uint8:   "uchar,unsigned char,uint8,uint8_t",
		raw.Int16:   "short,short int,signed short,signed short int,int16,int16_t",
		raw.Uint16:  "ushort,unsigned short,unsigned short int,uint16,uint16_t",
		raw.Int32:   "int,signed int,int32,int32_t",
		raw.Uint32:  "uint,unsigned int,uint32,uint32_t",
		raw.Int64:   "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
		raw.Uint64:  "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
		raw.Float32: "float",
		raw.Float64: "double",
	} {
		for name := range strings.SplitSeq(names, ",") {
			types[name] = t
		}
	}
}

// spaces are the anatomical spaces we can turn to LPS: whether x and y change sign.
var spaces = map[string][2]bool{
	"left-posterior-superior": {false, false}, "lps": {false, false},
	"right-anterior-superior": {true, true}, "ras": {true, true},
	"left-anterior-superior": {false, true}, "las": {false, true},
}

const (
	maxLine   = 1 << 16 // bytes of one header line
	maxHeader = 1 << 22 // bytes of all of them
	maxAxis   = 1 << 20 // voxels along an axis: no scan has more, and three of them fit an int64
)

// lineReader reads lines and counts bytes.
type lineReader struct {
	r    *bufio.Reader
	read int64
}

var errLongLine = errors.New("a line is longer than any header's")

// next is the next line without its end; the last one may lack it. After that it
// is io.EOF.
func (l *lineReader) next() (string, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		l.read += int64(len(part))
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return "", errLongLine
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && len(line) == 0:
			return "", err
		default:
			return strings.TrimRight(string(line), "\r\n"), nil
		}
	}
}

// readHeader reads up to the first voxel, or to the end of a detached header.
func readHeader(lines *lineReader) (*header, error) {
	magic, err := lines.next()
	if err != nil && !errors.Is(err, io.EOF) || len(magic) != 8 || !strings.HasPrefix(magic, "NRRD000") || magic[7] < '1' || magic[7] > '5' {
		return nil, &volume.FileError{Field: "magic", Value: fmt.Sprintf("%.12q", magic), Allowed: `"NRRD0001" to "NRRD0005"; this is no NRRD file`, Err: err}
	}
	fields := map[string]string{}
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) && fields["data file"] != "" {
			break // a detached header may end without an empty line
		}
		if err != nil {
			return nil, &volume.FileError{Field: "header", Value: "cut short", Allowed: "fields, then an empty line", Err: err}
		}
		if lines.read > maxHeader {
			return nil, wrong("header", fmt.Sprintf("longer than %d bytes", maxHeader), "fields, then an empty line")
		}
		if line == "" {
			break
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, wrong("header line", fmt.Sprintf("%.60q", line), "\"field: value\", \"key:=value\" or \"# comment\"")
		}
		if strings.HasPrefix(value, "=") {
			continue // a key of the writer's own
		}
		name = canonical(name)
		if _, twice := fields[name]; twice {
			return nil, wrong(name, "given twice", "each field once")
		}
		fields[name] = strings.TrimSpace(value)
	}
	h := &header{}
	return h, h.set(fields)
}

// canonical is the first of the several spellings a field has.
func canonical(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "datafile":
		return "data file"
	case "lineskip":
		return "line skip"
	case "byteskip":
		return "byte skip"
	}
	return name
}

// set checks the fields. Those not named here (kinds, thicknesses, content ...) do
// not change what a voxel is or where it lies.
func (h *header) set(fields map[string]string) error {
	known := false
	if h.layout.Type, known = types[strings.ToLower(fields["type"])]; !known {
		return wrong("type", fmt.Sprintf("%q", fields["type"]), "a whole or floating-point type (short, float, uchar, ...)")
	}
	switch encoding := strings.ToLower(fields["encoding"]); encoding {
	case "raw":
	case "gzip", "gz":
		h.layout.Zipped = true
	default:
		return wrong("encoding", fmt.Sprintf("%q", encoding), "raw or gzip")
	}
	switch endian := strings.ToLower(fields["endian"]); {
	case endian == "big":
		h.layout.BigEndian = true
	case endian == "little", endian == "" && h.layout.Type.Bytes() == 1:
	default:
		return wrong("endian", fmt.Sprintf("%q", endian), "little or big")
	}
	if fields["dimension"] != "3" {
		return wrong("dimension", fmt.Sprintf("%q", fields["dimension"]), "3: a single volume")
	}
	if err := h.setFile(fields); err != nil {
		return err
	}
	return h.setGrid(fields)
}

// setFile reads where the voxels are.
func (h *header) setFile(fields map[string]string) error {
	h.dataFile = fields["data file"]
	if first, _, _ := strings.Cut(h.dataFile, " "); first == "LIST" || strings.Contains(h.dataFile, "%") {
		return wrong("data file", fmt.Sprintf("%q", h.dataFile), "one file; join the slices first")
	}
	if text, given := fields["line skip"]; given {
		n, err := strconv.ParseUint(text, 10, 20)
		if err != nil {
			return &volume.FileError{Field: "line skip", Value: fmt.Sprintf("%q", text), Allowed: "a number of lines", Err: err}
		}
		h.lineSkip = int(n)
	}
	if text, given := fields["byte skip"]; given {
		n, err := strconv.ParseInt(text, 10, 40)
		if err != nil || n < -1 || n == -1 && (h.layout.Zipped || h.dataFile == "") {
			return &volume.FileError{Field: "byte skip", Value: fmt.Sprintf("%q", text), Allowed: "a number of bytes, or -1 for raw voxels at the end of a data file", Err: err}
		}
		h.byteSkip = n
	}
	return nil
}

// setGrid reads sizes and geometry and turns it to LPS.
func (h *header) setGrid(fields map[string]string) error {
	sizes := strings.Fields(fields["sizes"])
	if len(sizes) != 3 {
		return wrong("sizes", fmt.Sprintf("%q", fields["sizes"]), "three numbers")
	}
	for a, text := range sizes {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n < 1 || n > maxAxis {
			return &volume.FileError{Field: "sizes", Value: fmt.Sprintf("%q", fields["sizes"]), Allowed: fmt.Sprintf("three numbers from 1 to %d", maxAxis), Err: err}
		}
		h.grid.Size[a] = int(n)
	}
	for _, field := range [3]string{"space", "space directions", "space origin"} {
		if fields[field] == "" {
			return wrong(field, "missing", "a value: without it this file does not say where the patient is")
		}
	}
	flip, known := spaces[strings.ToLower(fields["space"])]
	if !known {
		return wrong("space", fmt.Sprintf("%q", fields["space"]), "left-posterior-superior, right-anterior-superior or left-anterior-superior")
	}
	if err := checkUnits(fields["space units"]); err != nil {
		return err
	}
	origin, err := vectors(fields["space origin"], 1)
	if err != nil {
		return &volume.FileError{Field: "space origin", Value: fmt.Sprintf("%q", fields["space origin"]), Allowed: "(x,y,z) in mm", Err: err}
	}
	axes, err := vectors(fields["space directions"], 3)
	if err != nil {
		return &volume.FileError{Field: "space directions", Value: fmt.Sprintf("%q", fields["space directions"]), Allowed: "(x,y,z) (x,y,z) (x,y,z) in mm", Err: err}
	}
	for r := range 3 {
		sign := 1.0
		if r < 2 && flip[r] {
			sign = -1
		}
		h.grid.Origin[r] = 0 + sign*origin[0][r] // not -0
		for a := range 3 {
			h.grid.Direction[3*r+a] = 0 + sign*axes[a][r]
		}
	}
	for a := range 3 {
		h.grid.Spacing[a] = length(axes[a])
		for r := range 3 {
			h.grid.Direction[3*r+a] /= h.grid.Spacing[a]
		}
	}
	var geometry *volume.GeometryError
	if err := h.grid.Check(); errors.As(err, &geometry) {
		return wrong("space directions", fmt.Sprintf("%q (%s %s)", fields["space directions"], geometry.Field, geometry.Value), geometry.Allowed)
	}
	return nil
}

// length is that of a vector; along one axis it is the number as written.
func length(v [3]float64) float64 {
	for a := range 3 {
		if v[(a+1)%3] == 0 && v[(a+2)%3] == 0 {
			return math.Abs(v[a])
		}
	}
	return math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
}

// checkUnits refuses lengths other than mm; no units are mm in practice.
func checkUnits(text string) error {
	for unit := range strings.FieldsSeq(text) {
		if unit = strings.Trim(unit, `"`); unit != "mm" && unit != "millimeter" && unit != "millimetre" {
			return wrong("space units", fmt.Sprintf("%q", text), `"mm" "mm" "mm"`)
		}
	}
	return nil
}

// vectors reads n vectors "(x,y,z)", with or without blanks between and within.
func vectors(text string, n int) ([][3]float64, error) {
	var out [][3]float64
	for rest := strings.TrimSpace(text); rest != ""; {
		body, ok := strings.CutPrefix(rest, "(")
		inside, after, closed := strings.Cut(body, ")")
		if !ok || !closed {
			return nil, fmt.Errorf("no vector in %.40q", rest)
		}
		parts := strings.Split(inside, ",")
		if len(parts) != 3 {
			return nil, fmt.Errorf("%d numbers in %.40q", len(parts), inside)
		}
		var v [3]float64
		for i, part := range parts {
			f, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
			if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
				return nil, fmt.Errorf("%.40q is not a finite number", part)
			}
			v[i] = f
		}
		out = append(out, v)
		rest = strings.TrimSpace(after)
	}
	if len(out) != n {
		return nil, fmt.Errorf("%d vectors", len(out))
	}
	return out, nil
}
