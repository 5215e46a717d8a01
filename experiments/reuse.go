package experiments

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// reuse takes over the networks of a finished run beside this one whose training has the
// same hash, so that another analysis or another evaluation does not train again.
func (r *runner) reuse() error {
	m := r.folder.Manifest
	to := r.folder.path(checkpointsDir)
	// What a process that was killed while it copied has left would count as the run's.
	inside, err := os.ReadDir(r.folder.Dir)
	if err != nil {
		return err
	}
	for _, e := range inside {
		if strings.HasPrefix(e.Name(), copyPrefix) {
			if err := os.RemoveAll(r.folder.path(e.Name())); err != nil {
				return err
			}
		}
	}
	if _, err := os.Stat(to); err == nil {
		return nil // begun here
	}
	runs, err := os.ReadDir(r.env.Runs) // sorted
	if err != nil {
		return err
	}
	for _, e := range runs {
		dir := filepath.Join(r.env.Runs, e.Name())
		there, err := ReadManifest(dir)
		if err != nil || there.Status != StatusDone || there.Training != m.Training || there.intact(dir, checkpointsDir+"/") != nil {
			continue
		}
		if err := copyTree(filepath.Join(dir, checkpointsDir), to, there.Outputs, checkpointsDir); err != nil {
			return fmt.Errorf("taking over the networks of %s: %w", dir, err)
		}
		m.Networks = filepath.Base(dir)
		r.env.Progress.Say("networks of %s, trained with the same settings, are used again", m.Networks)
		return m.write(r.folder.Dir)
	}
	return nil
}

const copyPrefix = ".copy-"

// copyTree copies the files below from that a manifest lists; to appears whole or not at all.
func copyTree(from, to string, listed map[string]string, prefix string) error {
	made, err := os.MkdirTemp(filepath.Dir(to), copyPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	err = filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(made, rel), 0o755)
		}
		if _, ok := listed[prefix+"/"+filepath.ToSlash(rel)]; !ok || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(made, rel), b)
	})
	if err != nil {
		return err
	}
	if err := os.Chmod(made, 0o755); err != nil {
		return err
	}
	return os.Rename(made, to)
}
