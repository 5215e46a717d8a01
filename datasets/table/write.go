package table

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/renameio/v2"
)

// Keys of the metadata of fields (columns) and of the schema (the table).
const (
	metaUnit        = "unit"
	metaDirection   = "direction"
	metaSource      = "source"
	metaDescription = "description"
	metaTable       = "table" // the schema's name
)

// Write writes the table as an Arrow IPC file (.arrow, uncompressed) or as Parquet
// (.parquet, Snappy), chosen by the name's ending. The file appears whole or not at
// all. The same table gives the same bytes. Provenance and the table's name are
// schema metadata; unit, direction, source and description are field metadata.
func (t *Table) Write(path string) error { return t.write(path, memory.DefaultAllocator) }

func (t *Table) write(path string, mem memory.Allocator) (err error) {
	encode := encodeArrow
	switch filepath.Ext(path) {
	case ".arrow":
	case ".parquet":
		encode = encodeParquet
	default:
		return &FormatError{File: path, Problem: fmt.Sprintf("the ending %q names no table format", filepath.Ext(path)), Next: "end the name in .arrow or .parquet"}
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &FormatError{File: path, Problem: "cannot be written: its folder is not there", Err: err, Next: "make the folder first"}
	}
	// The temporary file lies in the same folder: renaming across devices is not atomic.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("write table %s: %w", path, err)
	}
	defer func() {
		if e := f.Cleanup(); err == nil && e != nil {
			err = fmt.Errorf("write table %s: %w", path, e)
		}
	}()
	rec := t.record(mem)
	defer rec.Release()
	// A disk that fills up stops the write here; the final name is not touched.
	if err := encode(f.File, rec, mem); err != nil {
		return fmt.Errorf("write table %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write table %s: %w", path, err)
	}
	return nil
}

func encodeArrow(w io.Writer, rec arrow.RecordBatch, mem memory.Allocator) (err error) {
	fw, err := ipc.NewFileWriter(w, ipc.WithSchema(rec.Schema()), ipc.WithAllocator(mem))
	if err != nil {
		return err
	}
	defer func() {
		if e := fw.Close(); err == nil {
			err = e
		}
	}()
	return fw.Write(rec)
}

func encodeParquet(w io.Writer, rec arrow.RecordBatch, mem memory.Allocator) error {
	props := parquet.NewWriterProperties(parquet.WithAllocator(mem), parquet.WithCompression(compress.Codecs.Snappy),
		parquet.WithCreatedBy("hounsfield"))
	// The stored Arrow schema carries the field metadata through Parquet.
	fw, err := pqarrow.NewFileWriter(rec.Schema(), writerOnly{w}, props, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema(), pqarrow.WithAllocator(mem)))
	if err != nil {
		return err
	}
	if err := fw.Write(rec); err != nil {
		fw.Close()
		return err
	}
	return fw.Close()
}

// writerOnly hides Close: the Parquet writer would close the file before it is synced.
type writerOnly struct{ io.Writer }

// record is the table as one Arrow record batch; the caller releases it.
func (t *Table) record(mem memory.Allocator) arrow.RecordBatch {
	cols := make([]arrow.Array, len(t.cols))
	for i, c := range t.cols {
		cols[i] = c.array(mem)
	}
	rec := array.NewRecordBatch(t.arrowSchema(), cols, int64(t.rows))
	for _, c := range cols {
		c.Release()
	}
	return rec
}

func (c column) array(mem memory.Allocator) arrow.Array {
	switch v := c.values.(type) {
	case []string:
		b := array.NewStringBuilder(mem)
		defer b.Release()
		b.AppendValues(v, c.valid)
		return b.NewArray()
	case []float64:
		b := array.NewFloat64Builder(mem)
		defer b.Release()
		b.AppendValues(v, c.valid)
		return b.NewArray()
	case []float32:
		b := array.NewFloat32Builder(mem)
		defer b.Release()
		b.AppendValues(v, c.valid)
		return b.NewArray()
	case []int64:
		b := array.NewInt64Builder(mem)
		defer b.Release()
		b.AppendValues(v, c.valid)
		return b.NewArray()
	case []bool:
		b := array.NewBooleanBuilder(mem)
		defer b.Release()
		b.AppendValues(v, c.valid)
		return b.NewArray()
	}
	panic(fmt.Sprintf("table: a column holds %T", c.values))
}

func (t *Table) arrowSchema() *arrow.Schema {
	fields := make([]arrow.Field, len(t.schema.Columns))
	for i, c := range t.schema.Columns {
		meta := map[string]string{}
		for key, text := range map[string]string{metaUnit: c.Unit, metaDirection: c.Direction, metaSource: c.Source, metaDescription: c.Description} {
			if text != "" {
				meta[key] = text
			}
		}
		fields[i] = arrow.Field{Name: c.Name, Type: arrowTypes[c.Type], Nullable: c.Nullable, Metadata: arrow.MetadataFrom(meta)}
	}
	meta := t.Provenance()
	if meta == nil {
		meta = map[string]string{}
	}
	meta[metaTable] = t.schema.Name
	sorted := arrow.MetadataFrom(meta) // sorted by key: the same table, the same bytes
	return arrow.NewSchema(fields, &sorted)
}

var arrowTypes = map[Type]arrow.DataType{
	String:  arrow.BinaryTypes.String,
	Float64: arrow.PrimitiveTypes.Float64,
	Float32: arrow.PrimitiveTypes.Float32,
	Int64:   arrow.PrimitiveTypes.Int64,
	Bool:    arrow.FixedWidthTypes.Boolean,
}
