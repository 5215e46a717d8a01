package table

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wide writes a table of the release's shape: an id and 1,016 numbers, 293 rows.
func wide(b *testing.B) (path string, schema Schema) {
	b.Helper()
	rng := rand.New(rand.NewPCG(7, 8))
	var text strings.Builder
	schema = Schema{Name: "wide", Columns: []Column{{Name: "id", Type: String, Unique: true}}}
	text.WriteString("id")
	for i := range 1016 {
		schema.Columns = append(schema.Columns, Column{Name: fmt.Sprintf("feature_%d", i), Type: Float64, Nullable: true})
		fmt.Fprintf(&text, ",feature_%d", i)
	}
	for row := range 293 {
		fmt.Fprintf(&text, "\np%d", row)
		for range 1016 {
			fmt.Fprintf(&text, ",%.9g", rng.NormFloat64())
		}
	}
	path = filepath.Join(b.TempDir(), "wide.csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	return path, schema
}

func BenchmarkReadCSVWide(b *testing.B) {
	path, schema := wide(b)
	for b.Loop() {
		if _, err := ReadCSV(path, schema, CSVOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFilesWide(b *testing.B) {
	csv, schema := wide(b)
	tb, err := ReadCSV(csv, schema, CSVOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, ext := range formats {
		path := filepath.Join(b.TempDir(), "wide"+ext)
		if err := tb.Write(path); err != nil {
			b.Fatal(err)
		}
		b.Run("write"+ext, func(b *testing.B) {
			for b.Loop() {
				if err := tb.Write(path); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read"+ext, func(b *testing.B) {
			for b.Loop() {
				if _, err := Read(path, schema, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
