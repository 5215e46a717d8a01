package table

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Undeclared decides about a column that a file has and the schema does not
// declare: it gets the column as found and returns the declaration under which it
// is kept, or false to leave it unread. A nil Undeclared makes such columns errors.
// In text files the found type is String whatever the cells hold.
type Undeclared func(found Column) (Column, bool)

// Ignore leaves undeclared columns unread.
func Ignore(Column) (Column, bool) { return Column{}, false }

// Keep keeps undeclared columns as they were found, nulls allowed.
func Keep(found Column) (Column, bool) { return found, true }

// Read reads an .arrow (IPC file) or .parquet file by column name against a schema.
// The result holds the declared columns in the schema's order, then the kept
// undeclared ones in the file's. Whole numbers and float32 widen to the declared
// float64, narrower integers to int64; nothing else is converted.
// Errors: *FormatError, *ColumnError, *ValueError, *DuplicateError.
func Read(path string, schema Schema, undeclared Undeclared) (*Table, error) {
	if err := schema.Check(); err != nil {
		return nil, err
	}
	return readFile(path, schema, undeclared)
}

// ReadAny reads an .arrow (IPC file) or .parquet file whatever its columns are, as [Read]
// does with [Keep] and no column declared; the table is named after the file.
// Errors: *FormatError, *ColumnError, *ValueError.
func ReadAny(path string) (*Table, error) {
	return readFile(path, Schema{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))}, Keep)
}

func readFile(path string, schema Schema, undeclared Undeclared) (*Table, error) {
	ext := filepath.Ext(path)
	if ext != ".arrow" && ext != ".parquet" {
		return nil, &FormatError{File: path, Problem: fmt.Sprintf("the ending %q names no table format", ext), Next: "give an .arrow or .parquet file"}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", schema.Name, err)
	}
	return decode(data, path, schema, undeclared, memory.DefaultAllocator)
}

func decode(data []byte, path string, schema Schema, undeclared Undeclared, mem memory.Allocator) (t *Table, err error) {
	// Arrow's decoders panic on bytes that contradict each other, and believe the
	// lengths they read; a file from outside must end in an error instead.
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, &FormatError{File: path, Problem: fmt.Sprintf("its bytes contradict each other (%v)", p), Next: "write or download it again"}
		}
	}()
	mem = &limited{Allocator: mem, left: 64<<20 + 64*len(data)}
	open := openArrow
	if filepath.Ext(path) == ".parquet" {
		open = openParquet
	}
	broken := func(err error) error {
		return &FormatError{File: path, Problem: "cannot be read as " + filepath.Ext(path)[1:], Err: err, Next: "write or download it again"}
	}
	src, err := open(data, mem)
	if err != nil {
		return nil, broken(err)
	}
	defer src.close()
	found, meta := src.fields, src.meta.ToMap()
	names := make([]string, len(found))
	at := make(map[string]arrow.Field, len(found))
	for i, f := range found {
		if _, twice := at[f.Name]; twice {
			return nil, &ColumnError{File: path, Table: schema.Name, Column: f.Name, Problem: "stands twice in the file", Next: "rename one of the two"}
		}
		names[i], at[f.Name] = f.Name, f
	}
	if err := missing(path, schema, names, nil); err != nil {
		return nil, err
	}
	out := Schema{Name: schema.Name, Columns: schema.Columns[:len(schema.Columns):len(schema.Columns)]}
	wanted := make(map[string]bool, len(found))
	for _, c := range schema.Columns {
		wanted[c.Name] = true
	}
	for _, f := range found {
		if wanted[f.Name] {
			continue
		}
		if undeclared == nil {
			return nil, undeclaredError(path, schema, f.Name)
		}
		if c, keep := undeclared(fromField(f)); keep {
			c.Name = f.Name
			out.Columns = append(out.Columns, c)
			wanted[c.Name] = true
		}
	}
	if err := out.Check(); err != nil {
		return nil, err
	}
	t = &Table{schema: out, file: path, provenance: meta, cols: make([]column, len(out.Columns))}
	delete(t.provenance, metaTable)
	delete(t.provenance, metaArrowSchema)
	for _, c := range out.Columns {
		if !accepts(c.Type, at[c.Name].Type.ID()) {
			return nil, &ColumnError{File: path, Table: schema.Name, Column: c.Name, Problem: fmt.Sprintf("holds %s", at[c.Name].Type),
				Next: fmt.Sprintf("write it as %s", c.Type)}
		}
	}
	parts := make(map[string][]arrow.Array, len(out.Columns))
	defer func() {
		for _, as := range parts {
			for _, a := range as {
				a.Release()
			}
		}
	}()
	err = src.load(wanted, func(name string, a arrow.Array) {
		a.Retain()
		parts[name] = append(parts[name], a)
	})
	if err != nil {
		return nil, broken(err)
	}
	for i, c := range out.Columns {
		col, n := fromArrays(c.Type, parts[c.Name])
		if i == 0 {
			t.rows = n
		}
		if n != t.rows {
			return nil, &FormatError{File: path, Problem: fmt.Sprintf("column %q has %d values and %q has %d", c.Name, n, out.Columns[0].Name, t.rows), Next: "write it again"}
		}
		t.cols[i] = col
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

// source is an opened file: what columns it says it has, and a way to get at them.
type source struct {
	fields []arrow.Field
	meta   arrow.Metadata
	// load hands over the arrays of the wanted columns, in file order.
	load  func(want map[string]bool, use func(string, arrow.Array)) error
	close func()
}

func openArrow(data []byte, mem memory.Allocator) (*source, error) {
	if err := verifyFooter(data); err != nil {
		return nil, err
	}
	r, err := ipc.NewMappedFileReader(data, ipc.WithAllocator(mem))
	if err != nil {
		return nil, err
	}
	load := func(want map[string]bool, use func(string, arrow.Array)) error {
		for i := range r.NumRecords() {
			rec, err := r.RecordBatchAt(i)
			if err != nil {
				return err
			}
			for j, a := range rec.Columns() {
				if want[rec.ColumnName(j)] {
					use(rec.ColumnName(j), a)
				}
			}
			rec.Release()
		}
		return nil
	}
	return &source{fields: r.Schema().Fields(), meta: r.Schema().Metadata(), load: load, close: func() { r.Close() }}, nil
}

// metaArrowSchema is where a Parquet file keeps a copy of the Arrow schema it was
// written from.
const metaArrowSchema = "ARROW:schema"

func openParquet(data []byte, mem memory.Allocator) (*source, error) {
	pf, err := file.NewParquetReader(bytes.NewReader(data), file.WithReadProps(parquet.NewReaderProperties(mem)))
	if err != nil {
		return nil, err
	}
	if err := verifyParquet(pf, int64(len(data))); err != nil {
		pf.Close()
		return nil, err
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, mem)
	if err != nil {
		pf.Close()
		return nil, err
	}
	stored := pf.MetaData().KeyValueMetadata()
	s := &source{meta: arrow.NewMetadata(stored.Keys(), stored.Values()), close: func() { pf.Close() }}
	for _, f := range fr.Manifest.Fields {
		s.fields = append(s.fields, *f.Field)
	}
	// Column by column: reading the whole table starts goroutines whose panics over
	// hostile bytes nobody could catch.
	s.load = func(want map[string]bool, use func(string, arrow.Array)) error {
		for i, f := range s.fields {
			if !want[f.Name] {
				continue
			}
			r, err := fr.GetColumn(context.Background(), i)
			if err != nil {
				return err
			}
			chunks, err := r.NextBatch(pf.NumRows())
			if err != nil {
				r.Release()
				return err
			}
			for _, a := range chunks.Chunks() {
				use(f.Name, a)
			}
			chunks.Release()
			r.Release()
		}
		return nil
	}
	return s, nil
}

// fromField is the declaration that a file's own column carries.
func fromField(f arrow.Field) Column {
	meta := f.Metadata.ToMap()
	c := Column{Name: f.Name, Nullable: true, Unit: meta[metaUnit], Direction: meta[metaDirection], Source: meta[metaSource], Description: meta[metaDescription]}
	switch f.Type.ID() {
	case arrow.STRING, arrow.LARGE_STRING:
		c.Type = String
	case arrow.FLOAT64:
		c.Type = Float64
	case arrow.FLOAT32:
		c.Type = Float32
	case arrow.INT64, arrow.INT32, arrow.INT16, arrow.INT8:
		c.Type = Int64
	case arrow.BOOL:
		c.Type = Bool
	default:
		c.Type = Type(f.Type.String()) // Keep refuses it by Schema.Check
	}
	return c
}

// accepts says which of Arrow's types can be read as a column's.
func accepts(want Type, got arrow.Type) bool {
	whole := got == arrow.INT64 || got == arrow.INT32 || got == arrow.INT16 || got == arrow.INT8
	switch want {
	case String:
		return got == arrow.STRING || got == arrow.LARGE_STRING
	case Float64:
		return got == arrow.FLOAT64 || got == arrow.FLOAT32 || whole
	case Float32:
		return got == arrow.FLOAT32
	case Int64:
		return whole
	case Bool:
		return got == arrow.BOOL
	}
	return false
}

// fromArrays copies a column out of its record batches, which accepts has passed.
func fromArrays(want Type, parts []arrow.Array) (column, int) {
	switch want {
	case String:
		return gather(parts, func(a arrow.Array) func(int) string {
			if large, ok := a.(*array.LargeString); ok {
				return func(i int) string { return strings.Clone(large.Value(i)) }
			}
			s := a.(*array.String)
			return func(i int) string { return strings.Clone(s.Value(i)) } // the file's buffers go
		})
	case Float64:
		c, n := gather(parts, func(a arrow.Array) func(int) float64 {
			switch a := a.(type) {
			case *array.Float64:
				return a.Value
			case *array.Float32:
				return func(i int) float64 { return float64(a.Value(i)) }
			}
			whole := integers(a)
			return func(i int) float64 { return exactly(whole(i)) }
		})
		return floats(c.values.([]float64), c.valid), n
	case Float32:
		c, n := gather(parts, func(a arrow.Array) func(int) float32 { return a.(*array.Float32).Value })
		return floats(c.values.([]float32), c.valid), n
	case Int64:
		return gather(parts, integers)
	default:
		return gather(parts, func(a arrow.Array) func(int) bool { return a.(*array.Boolean).Value })
	}
}

func integers(a arrow.Array) func(int) int64 {
	switch a := a.(type) {
	case *array.Int32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int8:
		return func(i int) int64 { return int64(a.Value(i)) }
	}
	return a.(*array.Int64).Value
}

// exactly widens a whole number, refusing those a float64 cannot hold.
func exactly(v int64) float64 {
	if v > 1<<53 || v < -1<<53 {
		panic(fmt.Sprintf("%d does not fit a float64 exactly", v))
	}
	return float64(v)
}

func gather[V Value](parts []arrow.Array, reader func(arrow.Array) func(int) V) (column, int) {
	values := []V{}
	var valid []bool
	for _, a := range parts {
		read := reader(a)
		start := len(values)
		for i := range a.Len() {
			if a.IsNull(i) {
				if valid == nil {
					valid = make([]bool, len(values), start+a.Len())
					for k := range valid {
						valid[k] = true
					}
				}
				var zero V
				values, valid = append(values, zero), append(valid, false)
				continue
			}
			values = append(values, read(i))
			if valid != nil {
				valid = append(valid, true)
			}
		}
	}
	return column{values: values, valid: valid}, len(values)
}

// missing lists the declared columns that a file lacks; given says which it names
// otherwise (nil: each by its own name).
func missing(path string, schema Schema, there []string, given func(Column) (string, bool)) error {
	have := make(map[string]bool, len(there))
	for _, n := range there {
		have[n] = true
	}
	var errs []error
	for _, c := range schema.Columns {
		name := c.Name
		if given != nil {
			header, wanted := given(c)
			if !wanted {
				continue
			}
			name = header
		}
		if !have[name] {
			errs = append(errs, &ColumnError{File: path, Table: schema.Name, Column: name, Problem: "is missing",
				Nearest: nearestNames(name, there, 3), Next: "add it, or rename the column that holds it"})
		}
	}
	return errors.Join(errs...)
}

func undeclaredError(path string, schema Schema, name string) error {
	return &ColumnError{File: path, Table: schema.Name, Column: name, Problem: "is not declared",
		Nearest: nearestNames(name, schema.Names(), 3), Next: "rename it, declare it or take it out"}
}

// limited stops an allocation that no honest file of this size could need.
type limited struct {
	memory.Allocator
	left int
}

func (l *limited) Allocate(size int) []byte {
	l.take(size)
	return l.Allocator.Allocate(size)
}

func (l *limited) Reallocate(size int, b []byte) []byte {
	l.take(size - len(b))
	return l.Allocator.Reallocate(size, b)
}

func (l *limited) Free(b []byte) {
	l.left += len(b)
	l.Allocator.Free(b)
}

func (l *limited) take(size int) {
	if size > l.left {
		panic(fmt.Sprintf("it asks for %d bytes of memory", size))
	}
	l.left -= size
}
