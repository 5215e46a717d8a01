package nb

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// dataParts are the parts of the source that make cubes, as the command line has them.
var dataParts = []string{"datasets/volume", "datasets/phantom", "datasets/dicom", "datasets/nifti", "datasets/prepare"}

// root is the folder of the module's source. Cells are compiled where it lies, so the
// path that the compiler noted is a path of this machine.
var root = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("the source of hounsfield is not at %s any more: %w; start Jupyter from its folder with `go run . notebook`", dir, err)
	}
	return dir, nil
})

// sourceTree shows of a source folder what the command line embeds of it, because that
// names runs, and a cell and the command line must find each other's.
type sourceTree struct {
	fs.FS
	patterns []string // of go:embed
}

var embedded = regexp.MustCompile(`(?m)^//go:embed (.*)\nvar source embed\.FS`)

// commandSource reads which files count from package main, which cannot be imported.
func commandSource(dir string) (sourceTree, error) {
	tree := sourceTree{FS: os.DirFS(dir)}
	files, err := fs.Glob(tree.FS, "*.go")
	if err != nil {
		return tree, err
	}
	for _, file := range files {
		b, err := fs.ReadFile(tree.FS, file)
		if err != nil {
			return tree, err
		}
		if m := embedded.FindSubmatch(b); m != nil {
			tree.patterns = strings.Fields(string(m[1]))
			return tree, nil
		}
	}
	return tree, fmt.Errorf("no file in %s embeds the source under the name that notebooks look for (var source embed.FS); this copy of hounsfield is not whole", dir)
}

// ReadDir leaves out what go:embed leaves out.
func (t sourceTree) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(t.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !t.holds(path.Join(name, e.Name()), e.IsDir())
	}), err
}

// holds says whether a pattern names the file, or a folder above it, or, of a folder,
// something below it. In a folder that is named, hidden files and folders do not count.
func (t sourceTree) holds(file string, folder bool) bool {
	parts := strings.Split(file, "/")
	return slices.ContainsFunc(t.patterns, func(pattern string) bool {
		depth := strings.Count(pattern, "/") + 1
		if depth > len(parts) {
			above := path.Join(strings.Split(pattern, "/")[:len(parts)]...)
			in, err := path.Match(above, file)
			return folder && in && err == nil
		}
		in, err := path.Match(pattern, path.Join(parts[:depth]...))
		return in && err == nil && !slices.ContainsFunc(parts[depth:], func(part string) bool {
			return strings.HasPrefix(part, ".") || strings.HasPrefix(part, "_")
		})
	})
}
