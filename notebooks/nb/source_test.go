package nb

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"hounsfield/experiments"
)

// TestCommandSourceReadsPackageMain: which files count is read from package main as it is.
func TestCommandSourceReadsPackageMain(t *testing.T) {
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := commandSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"go.mod", "datasets", "experiments"} {
		if !slices.Contains(tree.patterns, wanted) {
			t.Errorf("package main embeds %q, without %s", tree.patterns, wanted)
		}
	}
	if _, err := commandSource(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not whole") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestDataPartsAreTheCommandLines(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`dataCode, err := experiments\.HashSource\(source, (.*)\)`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := call.FindSubmatch(b); m != nil {
			if got := strings.Split(strings.ReplaceAll(string(m[1]), `"`, ""), ", "); !slices.Equal(got, dataParts) {
				t.Errorf("package main hashes %q for cubes, cells %q: make dataParts the same", got, dataParts)
			}
			return
		}
	}
	t.Error("package main hashes the code that makes cubes in another way than this test knows")
}

// TestSourceTreeHidesWhatIsNotEmbedded: the hash of a working folder is that of the
// embedded copy, whatever else lies there.
func TestSourceTreeHidesWhatIsNotEmbedded(t *testing.T) {
	copied := fstest.MapFS{"go.mod": {Data: []byte("m")}, "main.go": {Data: []byte("p")}, "bench/b.go": {Data: []byte("b")},
		"datasets/a.go": {Data: []byte("a")}, "datasets/d/e/c.yaml": {Data: []byte("c")}}
	folder := fstest.MapFS{"README.md": {}, "notebooks/nb/nb.go": {}, "runs/x/run.json": {}, ".git/config": {}, "bench/out.json": {}, "bench/deep/x.go": {},
		"datasets/.a.go.swp": {}, "datasets/d/_old/c.go": {}}
	for name, file := range copied {
		folder[name] = file
	}
	want, err := experiments.HashSource(copied)
	if err != nil {
		t.Fatal(err)
	}
	tree := sourceTree{folder, []string{"go.mod", "*.go", "bench/*.go", "datasets"}}
	got, err := experiments.HashSource(tree)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("hash %.12s of the folder, %.12s of the embedded copy", got, want)
	}
	folder["datasets/d/e/c.yaml"] = &fstest.MapFile{Data: []byte("changed")}
	if got, _ := experiments.HashSource(tree); got == want {
		t.Error("the hash does not see a changed file")
	}
}
