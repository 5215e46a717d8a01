// Package install puts the libraries of compute engines where package engine finds them, on request: ONNX Runtime from
// the npm registry, XLA's plugins from the release of the Go module that opens them or from the Python index, or either
// from a file that was downloaded before. Registries are those that npm and pip are set to use on this machine.
//
// What is installed is complete and has passed the engine's self-test, or is not there: it is built beside its place,
// then a link is exchanged.
package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"hounsfield/models/engine"
)

// Options say what to install.
type Options struct {
	// Engine is engine.ONNX, engine.XLACPU or engine.XLACUDA.
	Engine string

	// File is a library, or a package that holds it (.tgz, .tar.gz, .whl, .zip), that was downloaded before: then no
	// network is needed. It is not compared with a known checksum.
	File string

	// Progress is told what is being done, and of downloads how many bytes of how many are there (total 0 is unknown).
	// It may be nil.
	Progress func(what string, done, total int64)
}

// Installed says what was installed.
type Installed struct {
	Source   string // where the library is from
	Licence  string
	SHA256   string        // of the library
	Report   engine.Report // where it is now, and its test
	Replaced string        // the folder of the former one, removed; "" for none
}

// Error says why something could not be installed, and what to do about it.
type Error struct {
	What string
	Next string
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.What + "; " + e.Next
	}
	return fmt.Sprintf("%s: %v; %s", e.What, e.Err, e.Next)
}

func (e *Error) Unwrap() error { return e.Err }

// source is one place that a library can be had from.
type source struct {
	name    string
	licence string
	next    string // what the user can do when it fails
	fetch   func(ctx context.Context, dir string, say func(what string, done, total int64)) error
}

// Library installs the library of an engine and tests it. An interrupted installation leaves what was there before.
//
// Errors: *Error, *engine.LibraryError when the new library does not work here, or ctx's.
func Library(ctx context.Context, o Options) (*Installed, error) {
	say := o.Progress
	if say == nil {
		say = func(string, int64, int64) {}
	}
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		return nil, &Error{What: "no engine with a library runs on " + runtime.GOOS, Next: "use the engine go, which needs none"}
	}
	sources, err := sourcesOf(o)
	if err != nil {
		return nil, err
	}
	return install(ctx, o, sources, say)
}

// install is Library with the sources to try, in order.
func install(ctx context.Context, o Options, sources []source, say func(what string, done, total int64)) (*Installed, error) {
	home, err := engine.Home()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, &Error{What: "no folder for libraries", Next: "let " + engine.HomeVariable + " name one that can be written", Err: err}
	}
	removeStale(home)
	link := filepath.Join(home, strings.ReplaceAll(o.Engine, ":", "-"))
	if info, err := os.Lstat(link); err == nil && info.IsDir() { // a folder that somebody made by hand
		return nil, &Error{What: link + " is a folder, not a link that setup has made", Next: "move it away"}
	}
	stage, err := os.MkdirTemp(home, stagePrefix)
	if err != nil {
		return nil, &Error{What: "no room to install in", Next: "let " + engine.HomeVariable + " name a folder that can be written", Err: err}
	}
	defer os.RemoveAll(stage) // nothing is there any more when all went well
	from, err := fetchFirst(ctx, sources, stage, say)
	if err != nil {
		return nil, err
	}
	library, err := engine.LibraryIn(o.Engine, stage)
	if err != nil {
		return nil, &Error{What: from.name + " holds no library of " + o.Engine, Next: from.next, Err: err}
	}
	say("testing it", 0, 0)
	report := engine.Try(ctx, o.Engine, library)
	if report.Err != nil && !report.NoDevice {
		if bad := new(engine.LibraryError); errors.As(report.Err, &bad) { // it is gone when this is read
			return nil, &engine.LibraryError{Engine: bad.Engine, File: from.name, Problem: bad.Problem, Err: bad.Err, Next: "nothing is installed; " + from.next}
		}
		return nil, report.Err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sum, err := syncTree(stage, library)
	if err != nil {
		return nil, &Error{What: "writing the library", Next: "make room on the disk", Err: err}
	}
	if err := os.Chmod(stage, 0o755); err != nil { // others may read it, as in a home that all users share
		return nil, err
	}
	place := strings.Replace(stage, stagePrefix, filepath.Base(link)+"-", 1)
	before, _ := os.Readlink(link)
	if err := os.Rename(stage, place); err != nil {
		return nil, &Error{What: "putting the library in its place", Next: "check the folder " + home, Err: err}
	}
	if err := renameio.Symlink(filepath.Base(place), link); err != nil {
		os.RemoveAll(place)
		return nil, &Error{What: "putting the library in its place", Next: "check the folder " + home, Err: err}
	}
	report.Library = filepath.Join(place, strings.TrimPrefix(library, stage))
	in := &Installed{Source: from.name, Licence: from.licence, SHA256: sum, Report: report}
	if before != "" && before != filepath.Base(place) && before == filepath.Base(before) {
		in.Replaced = filepath.Join(home, before)
		if err := os.RemoveAll(in.Replaced); err != nil {
			return in, &Error{What: "the new library is installed, the former one is still there", Next: "remove " + in.Replaced, Err: err}
		}
	}
	return in, nil
}

// fetchFirst tries the sources in turn. Its error names each that failed.
func fetchFirst(ctx context.Context, sources []source, stage string, say func(string, int64, int64)) (source, error) {
	var failed []error
	var next []string
	for _, s := range sources {
		err := s.fetch(ctx, stage, say)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
		next = append(next, s.next)
		if err := emptyFolder(stage); err != nil {
			return s, err
		}
	}
	return source{}, &Error{What: "the library could not be had", Next: strings.Join(next, "; or "), Err: errors.Join(failed...)}
}

const stagePrefix = ".setup-"

// removeStale removes what installations that were killed have left: nobody works on it for an hour.
func removeStale(home string) {
	left, _ := filepath.Glob(filepath.Join(home, stagePrefix+"*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(dir)
		}
	}
}

func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// syncTree has the disk keep every file under dir, and returns the checksum of one of them.
func syncTree(dir, library string) (sum string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if path == library {
			h := sha256.New()
			if _, err := io.Copy(h, f); err != nil {
				return err
			}
			sum = hex.EncodeToString(h.Sum(nil))
		}
		return f.Sync()
	})
	return sum, err
}
