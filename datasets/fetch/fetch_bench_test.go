package fetch

import (
	"context"
	"fmt"
	"testing"
)

// An archive as large as Lung1 in single files, most of which are here: what a look at it costs.
func BenchmarkPlan50000(b *testing.B) {
	k := &known{items: make(map[string]record), files: make(map[string]member)}
	var items []Item
	for i := range 50_000 {
		it := Item{Path: fmt.Sprintf("set/dicom/P%03d/CT/%d.dcm", i/120, i), Size: 500_000, MD5: "d41d8cd98f00b204e9800998ecf8427e"}
		items = append(items, it)
		if i%2 == 0 {
			k.add(record{Record: recordItem, Path: it.Path, Bytes: it.Size, MD5: it.MD5})
		}
	}
	w := &work{dataset: "set", src: listing(items), o: Options{Dest: b.TempDir(), Jobs: 4, free: freeSpace}, known: k}
	for b.Loop() {
		if err := checkList("x", "set", items); err != nil {
			b.Fatal(err)
		}
		if _, err := w.plan(context.Background(), items); err != nil {
			b.Fatal(err)
		}
	}
}

// Series as NBIA sends them: 4 zips of 100 slices each, unpacked, checked and kept by the disk.
func BenchmarkSeries(b *testing.B) {
	var entries []entry
	size := int64(0)
	for i := range 100 {
		body := noise(uint64(i), 500_000)
		for k := range body {
			body[k] &= 0x0f // packs to a half, as CT does
		}
		entries, size = append(entries, entry{name: fmt.Sprintf("1-%03d.dcm", i), body: body}), size+500_000
	}
	zip := zipOf(b, entries...)
	files := make(map[string][]byte)
	var items []Item
	for i := range 4 {
		name := fmt.Sprintf("s%d", i)
		files[name] = zip
		items = append(items, Item{Path: "set/" + name, Size: size, Files: 100, Archive: true})
	}
	s := newShelf(b, files)
	b.SetBytes(4 * size)
	for b.Loop() {
		o := options(b, b.TempDir())
		mustRun(b, s.source(o.Client, items, nil), o)
	}
}

// Single files of the size of a slice.
func BenchmarkFiles(b *testing.B) {
	files := make(map[string][]byte)
	for i := range 200 {
		files[fmt.Sprintf("f%d", i)] = noise(uint64(i), 500_000)
	}
	s := newShelf(b, files)
	b.SetBytes(200 * 500_000)
	for b.Loop() {
		o := options(b, b.TempDir())
		mustRun(b, s.source(o.Client, s.items(), nil), o)
	}
}
