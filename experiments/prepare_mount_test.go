package experiments

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
)

// mounted makes a folder what a store is that others keep: nobody but root can write to it, and
// it is reached by a link. The function tells what has changed in it since, whoever did it.
func mounted(t *testing.T, folder string) (link string, changed func() []string) {
	t.Helper()
	forbid := func(bits fs.FileMode) {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				return os.Chmod(path, 0o555|bits)
			}
			return os.Chmod(path, 0o444|bits)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	look := func() map[string]string {
		found := map[string]string{}
		hashes := treeOf(t, folder)
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(folder, path)
			found[name] = fmt.Sprint(info.ModTime().UnixNano(), info.Mode(), hashes[filepath.ToSlash(name)])
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	forbid(0)
	t.Cleanup(func() { forbid(0o200) }) // so that it can be removed
	link = filepath.Join(t.TempDir(), "mount")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	before := look()
	if len(before) < 3 {
		t.Fatalf("only %d things in %s", len(before), folder)
	}
	return link, func() (names []string) {
		after := look()
		for name := range after {
			if after[name] != before[name] {
				names = append(names, name)
			}
		}
		for name := range before {
			if _, there := after[name]; !there {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
}

// Scans, a data folder, a prepared folder and a run may lie on any store, read-only and behind
// links: nothing is written beside them, and no table of a prepared folder holds the place it
// was made from, so that it can be moved.
func TestInputsFromAnyStore(t *testing.T) {
	scans := t.TempDir()
	ids := writePhantoms(t, scans, 2)
	link, changed := mounted(t, scans)
	work := t.TempDir()
	t.Chdir(work)
	if err := os.Symlink(link, "scans"); err != nil { // a link to a link, named from here
		t.Fatal(err)
	}
	if err := Prepare(t.Context(), PrepareOptions{Source: "scans", Out: "made"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if c := changed(); len(c) > 0 {
		t.Errorf("beside the scans: %v", c)
	}
	err := filepath.WalkDir("made", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, place := range []string{scans, link, work} {
			if bytes.Contains(text, []byte(place)) {
				t.Errorf("%s holds the place %s", path, place)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename("made", moved); err != nil {
		t.Fatal(err)
	}
	link, changed = mounted(t, moved)
	imaging, err := prepare.ReadImaging(link)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range imaging.Schema().Columns {
		if c.Type != table.String || !strings.HasSuffix(c.Name, "_file") {
			continue
		}
		for _, file := range imaging.Strings(c.Name) {
			if file == "" || !filepath.IsLocal(filepath.FromSlash(file)) {
				t.Errorf("column %s: %q", c.Name, file)
			}
		}
	}
	images, err := prepare.OpenImages(link)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		if _, _, err := images.Scan(t.Context(), i); err != nil {
			t.Error(err)
		}
	}
	if c := changed(); len(c) > 0 {
		t.Errorf("beside what was prepared: %v", c)
	}
}

// A run reads a prepared folder and its clinical table from any store, and a scan is scored by
// a run that lies on one.
func TestRunFromAnyStore(t *testing.T) {
	names := make([]string, 60)
	for i := range names {
		names[i] = fmt.Sprintf("LUNG1-%03d", i+1)
	}
	prepared, inPrepared := mounted(t, prepareUnderNames(t, names, nil))
	root, _ := dataFolder(t, 0, func(ids []string) []string { return ids })
	data, inData := mounted(t, root)
	t.Setenv(catalog.MirrorVariable, "")
	env := tinyEnv(t)
	env.Mirror = data
	done := run(t, tiny(t, "experiment=lung1", "data.source=prepared", "data.prepared.imaging="+prepared, "seeds=[1]"), env)
	scans := t.TempDir()
	ids := writePhantoms(t, scans, 1)
	from, inScans := mounted(t, scans)
	trained, inRun := mounted(t, done.Dir)
	var said strings.Builder
	if err := Predict(t.Context(), PredictOptions{Run: trained, Folder: from, Dataset: "nsclc-radiomics"}, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), ids[0]+": risk of death") {
		t.Errorf("predict says:\n%s", said.String())
	}
	for what, changed := range map[string]func() []string{"what was prepared": inPrepared, "the clinical table": inData, "the scans": inScans, "the run": inRun} {
		if c := changed(); len(c) > 0 {
			t.Errorf("beside %s: %v", what, c)
		}
	}
}
