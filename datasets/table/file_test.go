package table

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var formats = []string{".arrow", ".parquet"}

func sameTable(want, got *Table) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(Table{}, column{}), cmpopts.IgnoreFields(Table{}, "file"), cmpopts.EquateNaNs(),
		cmpopts.IgnoreFields(Column{}, "Nulls"))
}

func TestRoundTrip(t *testing.T) {
	empty := map[string]any{"id": []string{}, "group": []string{}, "age": []float64{}, "score": []float32{}, "days": []int64{}, "event": []bool{}}
	for _, ext := range formats {
		for name, data := range map[string]map[string]any{"rows": allData(), "no rows": empty} {
			t.Run(name+ext, func(t *testing.T) {
				checked := memory.NewCheckedAllocator(memory.NewGoAllocator())
				defer checked.AssertSize(t, 0) // nothing of Arrow's memory is leaked
				want := build(t, allTypes(), data)
				path := filepath.Join(t.TempDir(), "table"+ext)
				if err := want.write(path, checked); err != nil {
					t.Fatal(err)
				}
				first, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				got, err := decode(first, path, allTypes(), nil, checked)
				if err != nil {
					t.Fatal(err)
				}
				if d := sameTable(want, got); d != "" {
					t.Errorf("what comes back differs (-written +read):\n%s", d)
				}
				// The same table, the same bytes; ten times, against chance in map order.
				for range 10 {
					if err := build(t, allTypes(), data).Write(path); err != nil {
						t.Fatal(err)
					}
					if again, _ := os.ReadFile(path); !bytes.Equal(first, again) {
						t.Fatal("two writes of one table differ")
					}
				}
				if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o044 == 0 {
					t.Errorf("mode %v, %v: others cannot read it", info.Mode(), err)
				}
			})
		}
	}
}

func TestReadByName(t *testing.T) {
	for _, ext := range formats {
		t.Run(ext, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "table"+ext)
			if err := build(t, allTypes(), allData()).Write(path); err != nil {
				t.Fatal(err)
			}
			columns := allTypes().Columns
			schema := Schema{Name: "part", Columns: []Column{columns[2], columns[0]}} // another order
			if _, err := Read(path, schema, nil); !saysAll(err, new(*ColumnError), "group", "not declared") {
				t.Errorf("undeclared columns: %v", err)
			}
			tb, err := Read(path, schema, Ignore)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(tb.Schema().Names(), " "); got != "age id" || tb.Float64s("age")[0] != 61.25 {
				t.Errorf("columns %s, age %v", got, tb.Float64s("age"))
			}
			tb, err = Read(path, schema, Keep)
			if err != nil {
				t.Fatal(err)
			}
			score, _ := tb.Schema().Column("score")
			want := Column{Name: "score", Type: Float32, Nullable: true, Direction: "higher = higher risk of death", Source: "test"}
			if d := cmp.Diff(want, score); d != "" {
				t.Error(d)
			}
			if got := strings.Join(tb.Schema().Names(), " "); got != "age id group score days event" {
				t.Errorf("kept columns %s", got)
			}
		})
	}
}

func saysAll(err error, target any, says ...string) bool {
	if !errors.As(err, target) {
		return false
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			return false
		}
	}
	return true
}

// ReadAny gives what Read gives with the columns declared as they are.
func TestReadAny(t *testing.T) {
	for _, ext := range formats {
		path := filepath.Join(t.TempDir(), "table"+ext)
		made := build(t, allTypes(), allData())
		if err := made.Write(path); err != nil {
			t.Fatal(err)
		}
		got, err := ReadAny(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(made.Schema().Names(), got.Schema().Names()); d != "" || got.Rows() != made.Rows() || got.Float64s("age")[0] != 61.25 {
			t.Errorf("%s: %s", ext, d)
		}
		if got.Schema().Name != "table" {
			t.Errorf("%s: the table is named %q", ext, got.Schema().Name)
		}
		if _, err := ReadAny(path + ".txt"); !saysAll(err, new(*FormatError), ".txt") {
			t.Error(err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, ext := range formats {
		path := filepath.Join(t.TempDir(), "table"+ext)
		if err := build(t, allTypes(), allData()).Write(path); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name   string
			change func(*Schema)
			target any
			says   []string
		}{
			{"a missing column", func(s *Schema) { s.Columns[2].Name = "agee" }, new(*ColumnError), []string{`"agee"`, "missing", "nearest there: age"}},
			{"another type", func(s *Schema) { s.Columns[2].Type = Int64 }, new(*ColumnError), []string{`"age"`, "float64", "int64", "table"}},
			{"narrowing", func(s *Schema) { s.Columns[2].Type = Float32 }, new(*ColumnError), []string{"float64", "float32"}},
			{"a null", func(s *Schema) { s.Columns[2].Nullable = false }, new(*ValueError), []string{"row 1", `"b"`, "null is not"}},
			{"beyond the range", func(s *Schema) { s.Columns[2].Range = Between(0, 50) }, new(*ValueError), []string{"61.25"}},
			{"a value not allowed", func(s *Schema) { s.Columns[1].Allowed = []string{"low"} }, new(*ValueError), []string{"high"}},
		} {
			schema := allTypes()
			test.change(&schema)
			if _, err := Read(path, schema, Ignore); !saysAll(err, test.target, append(test.says, path)...) {
				t.Errorf("%s%s: %T %v", test.name, ext, err, err)
			}
		}
	}
	if _, err := Read("table.csv", allTypes(), nil); !saysAll(err, new(*FormatError), ".csv", ".arrow or .parquet") {
		t.Errorf("another ending: %v", err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.arrow"), allTypes(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A file from another tool: several batches, R's 32-bit integers, pandas' large
// strings, a column of whole numbers where floats are declared, a nested column.
func TestReadForeign(t *testing.T) {
	mem := memory.NewGoAllocator()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.LargeString}, {Name: "age", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "days", Type: arrow.PrimitiveTypes.Int16}, {Name: "dose", Type: arrow.PrimitiveTypes.Float32},
		{Name: "nested", Type: arrow.ListOf(arrow.PrimitiveTypes.Int8)},
	}, nil)
	var file bytes.Buffer
	w, err := ipc.NewFileWriter(&file, ipc.WithSchema(schema), ipc.WithZstd())
	if err != nil {
		t.Fatal(err)
	}
	for batch := range 3 {
		b := array.NewRecordBuilder(mem, schema)
		b.Field(0).(*array.LargeStringBuilder).Append(fmt.Sprint("p", batch))
		if batch == 1 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.Int32Builder).Append(int32(60 + batch))
		}
		b.Field(2).(*array.Int16Builder).Append(int16(batch))
		b.Field(3).(*array.Float32Builder).Append(0.5)
		b.Field(4).AppendNull()
		rec := b.NewRecordBatch()
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
		rec.Release()
		b.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mine := Schema{Name: "foreign", Columns: []Column{{Name: "id", Type: String, Unique: true}, {Name: "age", Type: Float64, Nullable: true},
		{Name: "days", Type: Int64}, {Name: "dose", Type: Float64}}}
	tb, err := decode(file.Bytes(), "foreign.arrow", mine, Ignore, mem)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(tb.Strings("id"), tb.Float64s("age"), tb.Int64s("days"), tb.Float64s("dose")); got != "[p0 p1 p2] [60 NaN 62] [0 1 2] [0.5 0.5 0.5]" {
		t.Error(got)
	}
	if _, err := decode(file.Bytes(), "foreign.arrow", mine, Keep, mem); !saysAll(err, new(*ColumnError), "nested", "list") {
		t.Errorf("a nested column kept: %v", err)
	}
}

// Cut anywhere or with bytes changed, a file ends in an error or in a table, never
// in a panic.
func TestHostileFiles(t *testing.T) {
	for _, ext := range formats {
		t.Run(ext, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "table"+ext)
			if err := build(t, allTypes(), allData()).Write(path); err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for n := range whole {
				if n%7 != 0 && n > 16 && n < len(whole)-16 {
					continue
				}
				if _, err := decode(whole[:n], path, allTypes(), nil, memory.DefaultAllocator); !saysAll(err, new(*FormatError), path) {
					t.Fatalf("cut to %d of %d bytes: %T %v", n, len(whole), err, err)
				}
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for range 2000 {
				bad := bytes.Clone(whole)
				for range 1 + rng.IntN(3) {
					bad[rng.IntN(len(bad))] = byte(rng.IntN(256))
				}
				tb, err := decode(bad, path, allTypes(), nil, memory.DefaultAllocator)
				if err == nil && tb.Rows() != 3 {
					t.Fatalf("changed bytes give %d rows", tb.Rows())
				}
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	tb := build(t, allTypes(), allData())
	if err := tb.Write(filepath.Join(t.TempDir(), "table.xlsx")); !saysAll(err, new(*FormatError), ".xlsx", ".arrow or .parquet") {
		t.Errorf("another ending: %v", err)
	}
	if err := tb.Write(filepath.Join(t.TempDir(), "no", "table.arrow")); !saysAll(err, new(*FormatError), "folder") {
		t.Errorf("no folder: %v", err)
	}
}

// A disk that fills up while writing leaves the old file and no half of a new one.
// The limit on a file's size stands in for the full disk: both make write(2) fail
// half-way. It holds for the process, so the writing happens in a child.
func TestDiskFull(t *testing.T) {
	if path := os.Getenv("TABLE_TEST_FULL"); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 4096, Max: 4096}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		err := bigTable(t).Write(path)
		if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), path) {
			t.Fatalf("writing past the end of the disk gives %v", err)
		}
		return
	}
	for _, ext := range formats {
		dir := t.TempDir()
		path := filepath.Join(dir, "table"+ext)
		if err := build(t, allTypes(), allData()).Write(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		child := exec.Command(os.Args[0], "-test.run=^TestDiskFull$")
		child.Env = append(os.Environ(), "TABLE_TEST_FULL="+path)
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		after, _ := os.ReadFile(path)
		if !bytes.Equal(before, after) {
			t.Errorf("%s: the file under the final name has changed", ext)
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("%s: left behind: %v", ext, files)
		}
	}
}

func bigTable(t testing.TB) *Table {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	values := make([]float64, 100_000)
	for i := range values {
		values[i] = rng.NormFloat64()
	}
	return build(t, Schema{Name: "big", Columns: []Column{{Name: "x", Type: Float64}}}, map[string]any{"x": values})
}
