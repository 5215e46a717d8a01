package table

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// typed says whether an error is one a reader may end in.
func typed(err error) bool {
	return errors.As(err, new(*FormatError)) || errors.As(err, new(*ColumnError)) || errors.As(err, new(*ValueError)) || errors.As(err, new(*DuplicateError))
}

func FuzzDecodeCSV(f *testing.F) {
	f.Add(goodCSV)
	f.Add("\ufeff" + strings.ReplaceAll(goodCSV, "\n", "\r\n"))
	f.Add("patient_id,age,sex,visits,event,dose\np1,1,male,1,1,1\np1,1,male,1,1,1\n")
	f.Add("patient_id,age\n\"p1\n,2")
	f.Add("\x00,\xff\n\"\"\"")
	f.Add(",,,,,\n,,,,,\n")
	f.Fuzz(func(t *testing.T, text string) {
		opt := CSVOptions{Nulls: []string{"NA"}, Undeclared: Keep}
		tb, err := DecodeCSV(strings.NewReader(text), "fuzz.csv", clinicalColumns(), opt)
		if err != nil {
			if !typed(err) {
				t.Fatalf("untyped error %T: %v", err, err)
			}
			return
		}
		// What was read passes as a table of its own and survives being written.
		path := filepath.Join(t.TempDir(), "fuzz.arrow")
		if err := tb.Write(path); err != nil {
			t.Fatal(err)
		}
		back, err := Read(path, tb.Schema(), nil)
		if err != nil {
			t.Fatal(err)
		}
		tb.lines, tb.headers, tb.provenance = nil, nil, back.provenance
		if d := sameTable(tb, back); d != "" {
			t.Error(d)
		}
	})
}

func fuzzFile(f *testing.F, ext string) {
	dir := f.TempDir()
	for i, data := range []map[string]any{allData(), {"id": []string{}, "group": []string{}, "age": []float64{}, "score": []float32{}, "days": []int64{}, "event": []bool{}}} {
		path := filepath.Join(dir, string(rune('a'+i))+ext)
		if err := build(f, allTypes(), data).Write(path); err != nil {
			f.Fatal(err)
		}
		bytes, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes)
		f.Add(bytes[:len(bytes)/2])
	}
	f.Add([]byte{})
	f.Add([]byte("ARROW1\x00\x00ARROW1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := decode(data, "fuzz"+ext, allTypes(), Keep, memory.DefaultAllocator); err != nil && !typed(err) {
			t.Fatalf("untyped error %T: %v", err, err)
		}
	})
}

func FuzzDecodeArrow(f *testing.F)   { fuzzFile(f, ".arrow") }
func FuzzDecodeParquet(f *testing.F) { fuzzFile(f, ".parquet") }
