package experiments

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Folder is an open run folder: one process at a time holds it.
type Folder struct {
	Dir      string
	Manifest *Manifest
	lock     *os.File
}

// BusyError says that another process works in the run folder.
type BusyError struct{ Dir string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("another hounsfield process is working in %s; wait for it or stop it, then type the same command again", e.Dir)
}

// runHash names a run by all that decides its numbers: the config (see identityOf), the
// inputs' hashes, initial weights among them, the program's source and the engine.
func runHash(config []byte, inputs []Input, code, engine string) string {
	h := sha256.New()
	in := slices.Clone(inputs)
	slices.SortFunc(in, func(a, b Input) int { return strings.Compare(a.Name, b.Name) })
	// JSON keeps the parts apart, so that no two different lists read the same.
	if err := json.NewEncoder(h).Encode([]any{string(config), in, code, engine}); err != nil {
		panic(err) // strings only: cannot fail
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// folderOf is where a run lies.
func folderOf(runs, experiment, hash string) string { return filepath.Join(runs, experiment+"-"+hash) }

// openFolder makes or reopens <runs>/<experiment>-<hash>, takes its lock and
// reads the manifest that is there. A fresh folder has a manifest with no status.
func openFolder(runs, experiment, hash string) (*Folder, error) {
	dir := folderOf(runs, experiment, hash)
	if err := os.MkdirAll(filepath.Join(dir, tablesDir), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the run folder: %w; name a place that can be written to with --runs", err)
	}
	lock, err := lockFolder(dir, lockPatience)
	if err != nil {
		return nil, err
	}
	f := &Folder{Dir: dir, lock: lock, Manifest: &Manifest{Experiment: experiment, Hash: hash}}
	if _, err := os.Stat(f.path(manifestFile)); err == nil {
		if f.Manifest, err = ReadManifest(dir); err != nil {
			lock.Close()
			return nil, err
		}
	}
	return f, nil
}

// lockPatience is how long a process that was just killed may take to vanish.
const lockPatience = 2 * time.Second

// lockFile is the lock of a folder.
const lockFile = ".lock"

// lockFolder takes the lock of a folder, which the kernel gives back when its holder dies.
func lockFolder(dir string, patience time.Duration) (*os.File, error) {
	return flock(filepath.Join(dir, lockFile), unix.LOCK_EX, patience)
}

// flock locks a file of a folder, made where it is not there, for its holder alone
// (unix.LOCK_EX) or together with others who do the same (unix.LOCK_SH).
func flock(file string, how int, patience time.Duration) (*os.File, error) {
	lock, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the folder %s: %w; name a place that can be written to", filepath.Dir(file), err)
	}
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := unix.Flock(int(lock.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			lock.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", filepath.Dir(file), err)
		}
		if time.Since(start) >= patience {
			lock.Close()
			return nil, &BusyError{Dir: filepath.Dir(file)}
		}
	}
}

// Close gives the lock back.
func (f *Folder) Close() error { return f.lock.Close() }

func (f *Folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.Dir}, parts...)...)
}

// begin writes the manifest of a run that starts or continues.
func (f *Folder) begin(env Env, backend Backend, cfg Config, inputs []Input, from *Init) error {
	m := f.Manifest
	m.Status, m.Error, m.Finished = StatusRunning, "", nil
	m.Code, m.Go, m.Modules = env.Code, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH, modules()
	m.Backend, m.Seeds, m.Inputs, m.Init = backend, cfg.Seeds, inputs, from
	if m.Started.IsZero() {
		m.Started = time.Now().UTC().Truncate(time.Second)
	}
	return m.write(f.Dir)
}

// stage times one part of a run and writes the time down.
func (f *Folder) stage(name string, work func() error) error {
	start := time.Now()
	if err := work(); err != nil {
		return err
	}
	t := StageTime{Name: name, Seconds: float64(time.Since(start).Milliseconds()) / 1000}
	if i := slices.IndexFunc(f.Manifest.Stages, func(s StageTime) bool { return s.Name == name }); i >= 0 {
		f.Manifest.Stages[i] = t
	} else {
		f.Manifest.Stages = append(f.Manifest.Stages, t)
	}
	return f.Manifest.write(f.Dir)
}

// finish hashes every output and closes the manifest.
func (f *Folder) finish() error {
	outputs, err := hashOutputs(f.Dir)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	f.Manifest.Outputs, f.Manifest.Finished, f.Manifest.Status = outputs, &now, StatusDone
	return f.Manifest.write(f.Dir)
}

// fail writes the reason down; what was computed stays and is used by a next try.
func (f *Folder) fail(cause error) error {
	f.Manifest.Status, f.Manifest.Error = StatusFailed, cause.Error()
	return errors.Join(cause, f.Manifest.write(f.Dir))
}

// hashOutputs digests all files of a run folder but its manifest and lock.
func hashOutputs(dir string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if rel == manifestFile || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		out[filepath.ToSlash(rel)], err = fileSHA256(p)
		return err
	})
	return out, err
}

// modules lists the modules the program is linked from.
func modules() map[string]string {
	out := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			out[m.Path] = m.Version
		}
	}
	return out
}

// HashSource digests the Go and embedded files of a source tree, tests left out,
// so that a run can be named by the code that made it with or without version
// control. Only files below one of the roots count; no root means all.
func HashSource(tree fs.FS, roots ...string) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		inside := len(roots) == 0 || slices.ContainsFunc(roots, func(r string) bool { return strings.HasPrefix(p, r+"/") })
		if !inside || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		b, err := fs.ReadFile(tree, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d %x\n", path.Clean(p), len(b), sha256.Sum256(b))
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
