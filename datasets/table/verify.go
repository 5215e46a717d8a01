package table

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/file"
)

// verifyFooter walks the lengths in an IPC file's footer before Arrow does: Arrow
// allocates by them unchecked, and memory asked for in vain ends the process. The
// footer is a FlatBuffer: tables of fields found through a vtable, vectors with a
// length before them. Only the parts that Arrow allocates for are walked: the
// schema's fields, their children, and the metadata of both.
//
// Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format and
// https://flatbuffers.dev/internals.
func verifyFooter(data []byte) error {
	const magic = "ARROW1"
	n := len(data)
	if n < 2*len(magic)+6 || string(data[:len(magic)]) != magic || string(data[n-len(magic):]) != magic {
		return errors.New("it is no Arrow IPC file: ARROW1 does not stand at both ends")
	}
	size := int64(binary.LittleEndian.Uint32(data[n-len(magic)-4:]))
	end := int64(n - len(magic) - 4)
	if size < 4 || size > end {
		return errors.New("the footer is longer than the file")
	}
	v := verifier{buf: data[end-size : end], left: 1 << 20}
	root := v.u32(0)
	footer := v.table(root)
	// Footer: version, schema, dictionaries, recordBatches.
	v.schema(footer, 1)
	v.vector(footer, 2, 24)
	v.vector(footer, 3, 24)
	return v.err
}

// verifyParquet does the same for what a Parquet file says about its parts: pqarrow
// allocates by it before it looks.
func verifyParquet(pf *file.Reader, size int64) error {
	meta := pf.MetaData()
	for i := range meta.NumRowGroups() {
		group := meta.RowGroup(i)
		for j := range group.NumColumns() {
			chunk, err := group.ColumnChunk(j)
			if err != nil {
				return err
			}
			if n := chunk.TotalCompressedSize(); n < 0 || n > size {
				return fmt.Errorf("column %d of row group %d is longer than the file", j, i)
			}
		}
	}
	stored := meta.KeyValueMetadata()
	copied := stored.FindValue(metaArrowSchema)
	if copied == nil {
		return nil
	}
	// As pqarrow decodes it: padded base64, or bare.
	message, err := base64.StdEncoding.DecodeString(*copied)
	if err != nil {
		message, err = base64.RawStdEncoding.DecodeString(*copied)
	}
	if err == nil {
		err = verifyMessage(message)
	}
	if err != nil {
		return fmt.Errorf("its copy of the Arrow schema: %w", err)
	}
	return nil
}

// verifyMessage does the same for the schema that Parquet files keep a copy of, as
// the message that begins an IPC stream: 0xffffffff and a length (older writers: the
// length alone), then a FlatBuffer.
func verifyMessage(data []byte) error {
	if len(data) >= 4 && binary.LittleEndian.Uint32(data) == 0xffffffff {
		data = data[4:]
	}
	if len(data) < 8 {
		return errFooter
	}
	size := int64(binary.LittleEndian.Uint32(data))
	if data = data[4:]; size > int64(len(data)) {
		return errFooter
	}
	v := verifier{buf: data[:size], left: 1 << 20}
	// Message: version, header_type, header, bodyLength, custom_metadata.
	message := v.table(v.u32(0))
	v.schema(message, 2)
	v.metadata(message, 4)
	if at, ok := v.slot(message, 3); ok && v.in(at, 8) && binary.LittleEndian.Uint64(v.buf[at:]) > uint64(len(data)) {
		return errFooter
	}
	return v.err
}

// verifier reads a FlatBuffer with every offset checked; after the first error all
// reads give 0.
type verifier struct {
	buf  []byte
	left int // fields still allowed in all
	err  error
}

var errFooter = errors.New("the footer's lengths point outside it")

func (v *verifier) in(at, size int64) bool {
	if v.err == nil && (at < 0 || at+size > int64(len(v.buf))) {
		v.err = errFooter
	}
	return v.err == nil
}

func (v *verifier) u16(at int64) int64 {
	if !v.in(at, 2) {
		return 0
	}
	return int64(binary.LittleEndian.Uint16(v.buf[at:]))
}

func (v *verifier) u32(at int64) int64 {
	if !v.in(at, 4) {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(v.buf[at:]))
}

// fbTable is a table's place and its vtable's place and size.
type fbTable struct{ at, vtable, size int64 }

func (v *verifier) table(at int64) fbTable {
	back := int64(int32(v.u32(at)))
	t := fbTable{at: at, vtable: at - back}
	t.size = v.u16(t.vtable)
	v.in(t.vtable, t.size)
	return t
}

// slot is the place of a table's field; false when the table leaves it out.
func (v *verifier) slot(t fbTable, field int64) (int64, bool) {
	at := 4 + 2*field
	if at+2 > t.size {
		return 0, false
	}
	offset := v.u16(t.vtable + at)
	return t.at + offset, v.err == nil && offset != 0
}

// indirect follows a field that points to a table or a vector. An offset of zero
// would point at itself: Arrow would follow it for ever.
func (v *verifier) indirect(t fbTable, field int64) (int64, bool) {
	at, ok := v.slot(t, field)
	if !ok {
		return 0, false
	}
	return v.follow(at)
}

func (v *verifier) follow(at int64) (int64, bool) {
	offset := v.u32(at)
	if v.err == nil && offset == 0 {
		v.err = errFooter
	}
	return at + offset, v.err == nil
}

// vector gives the place of a vector's first element and how many there are.
func (v *verifier) vector(t fbTable, field, element int64) (first, n int64) {
	at, ok := v.indirect(t, field)
	if !ok {
		return 0, 0
	}
	n = v.u32(at)
	if !v.in(at+4, n*element) {
		return 0, 0
	}
	return at + 4, n
}

// schema walks a Schema: endianness, fields, custom_metadata.
func (v *verifier) schema(t fbTable, field int64) {
	if at, ok := v.indirect(t, field); ok {
		s := v.table(at)
		v.metadata(s, 2)
		v.fields(s, 1, 0)
	}
}

func (v *verifier) metadata(t fbTable, field int64) {
	first, n := v.vector(t, field, 4)
	for i := range n {
		if v.left--; v.left < 0 {
			v.err = errors.New("the footer holds more metadata than a table can need")
			return
		}
		at, ok := v.follow(first + 4*i)
		if !ok {
			return
		}
		kv := v.table(at)
		v.vector(kv, 0, 1)
		v.vector(kv, 1, 1)
	}
}

// fields walks a vector of Field: name, nullable, type_type, type, dictionary,
// children, custom_metadata. The same child may be pointed at many times, so what
// counts is visits.
func (v *verifier) fields(t fbTable, field int64, depth int) {
	first, n := v.vector(t, field, 4)
	for i := range n {
		if v.left--; v.left < 0 || depth > 32 {
			v.err = errors.New("the footer nests more columns than a table can need")
		}
		at, ok := v.follow(first + 4*i)
		if !ok {
			return
		}
		f := v.table(at)
		v.vector(f, 0, 1)
		v.metadata(f, 6)
		v.fields(f, 5, depth+1)
		if v.err != nil {
			return
		}
	}
}
