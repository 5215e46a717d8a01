package engine

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Report says whether an engine is usable here.
type Report struct {
	Engine  string
	Version string // of its library
	Library string // the file; "" when there is none
	From    string // where the library was found
	Device  string
	Devices int
	Test    *Test // of a usable engine

	// Err is why it is not usable, nil when it is. Its text says what to do.
	Err error

	// NoDevice tells that the library is good, only there is no device for it.
	NoDevice bool
}

// Survey tests every engine of this build, each in a process of its own: about two seconds for each that is usable.
// Between two engines it stops when ctx is done; the reports that it returns are then fewer.
func Survey(ctx context.Context) []Report {
	out := []Report{Try(ctx, Go, "")}
	for _, name := range []string{ONNX, ONNXCUDA, XLACPU, XLACUDA} {
		switch {
		case ctx.Err() != nil:
			return out
		case !hasCgo:
			out = append(out, Report{Engine: name, Err: &LibraryError{Engine: name, Problem: "this program was built without cgo, which shared libraries need",
				Next: "build it where a C compiler is, with CGO_ENABLED=1"}})
		default:
			file, from, err := findLibrary(name)
			r := Report{Engine: name, Library: file, Err: err}
			if err == nil {
				r = Try(ctx, name, file)
			}
			r.From = from
			out = append(out, r)
		}
	}
	return out
}

// Try tests one engine with the library file, in a process of its own. file is "" for the pure-Go engine.
func Try(ctx context.Context, name, file string) Report {
	if real, err := filepath.EvalSymlinks(file); err == nil && file != "" {
		file = real
	}
	f, err := runProbe(ctx, order{Engine: name, File: file, Test: true})
	r := Report{Engine: name, Library: file, Version: f.Version, Device: f.Device, Devices: f.Devices, Test: f.Test, Err: err}
	var library *LibraryError
	r.NoDevice = errors.As(err, &library) && library.Problem == noDevice
	return r
}

// LibraryIn finds the library of an engine in dir and the folders under it. Errors: *LibraryError.
func LibraryIn(name, dir string) (string, error) {
	patterns := []string{"libonnxruntime"}
	if name != ONNX && name != ONNXCUDA {
		patterns = pluginPatterns(name)
	}
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && slices.ContainsFunc(patterns, func(p string) bool {
			for _, end := range []string{"", ".*"} { // libonnxruntime.so.1, libonnxruntime.1.dylib
				if ok, _ := filepath.Match(p+strings.Replace(end+suffix(), ".*.so", ".so.*", 1), d.Name()); ok {
					return true
				}
			}
			return false
		}) {
			found = append(found, path)
		}
		return err
	})
	if err == nil && len(found) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", &LibraryError{Engine: name, File: dir, Problem: "no library of the engine is in it", Next: "check what was downloaded", Err: err}
	}
	return found[0], nil
}
