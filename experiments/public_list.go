package experiments

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/fetch"
	"hounsfield/datasets/prepare"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/slurm"
)

// holding is what of a data set is on this machine, by names and sizes: nothing is hashed.
type holding struct {
	root, how       string
	need, here      int      // files that the data set needs, and those of them that are here
	wrong           []string // files of another size than the listed one
	patients, scans int      // folders of patients, and of series below them
	bytes           int64
	more            bool // there are more files than were counted
}

// mostCounted bounds how long a look into a folder of scans may take.
const mostCounted = 200_000

func hold(e catalog.Entry, mirror string) (holding, error) {
	var h holding
	var err error
	if h.root, h.how, err = catalog.Where(e, mirror); err != nil {
		return h, err
	}
	look := func(path string, size int64) bool {
		info, err := os.Stat(filepath.Join(h.root, filepath.FromSlash(path)))
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		if size > 0 && info.Size() != size {
			h.wrong = append(h.wrong, path)
			return false
		}
		h.bytes += info.Size()
		return true
	}
	for _, f := range e.Files {
		here := look(f.Path, f.Size)
		if !f.Optional {
			h.need++
			if here {
				h.here++
			}
		}
	}
	for _, s := range e.Sources {
		for _, name := range s.Files {
			h.need++
			if look(path.Join(s.Folder, name), 0) {
				h.here++
			}
		}
		if len(s.Files) == 0 {
			h.here += h.count(s.Folder)
		}
	}
	if e.Images != nil {
		folder := filepath.Join(h.root, filepath.FromSlash(e.Images.Folder))
		for _, patient := range folders(folder) {
			h.patients++
			h.scans += len(folders(filepath.Join(folder, patient)))
		}
		h.count(e.Images.Folder)
	}
	return h, nil
}

// folders are the names of the folders in one, hidden ones left out.
func folders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // not there, or not ours to read: nothing is here
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// count adds up the files below a folder and gives their number.
func (h *holding) count(folder string) (n int) {
	_ = filepath.WalkDir(filepath.Join(h.root, filepath.FromSlash(folder)), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), ".") {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n++
			h.bytes += info.Size()
		}
		if n == mostCounted {
			h.more = true
			return fs.SkipAll
		}
		return nil
	})
	return n
}

func (h holding) files() string {
	switch {
	case h.need == 0 && h.here == 0:
		return "-"
	case h.need == 0:
		return fmt.Sprint(h.here)
	case len(h.wrong) > 0:
		return fmt.Sprintf("%d of %d, %d changed", h.here, h.need, len(h.wrong))
	}
	return fmt.Sprintf("%d of %d", h.here, h.need)
}

func (h holding) size() string {
	switch {
	case h.bytes == 0:
		return "-"
	case h.more:
		return "> " + fetch.Bytes(h.bytes)
	}
	return fetch.Bytes(h.bytes)
}

// ListDatasets prints every data set of the catalog with what of it is on this machine.
func ListDatasets(mirror string, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "data set\tfiles\tpatients\ton disk\tlicence\tin the study")
	var root, how string
	for _, name := range catalog.Names() {
		entry, err := catalog.Load(name)
		if err != nil {
			return err
		}
		h, err := hold(entry, mirror)
		if err != nil {
			return err
		}
		root, how = h.root, h.how
		scans := "-"
		if im := entry.Images; im != nil {
			scans = fmt.Sprintf("%d of %d", h.patients, im.Patients)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, h.files(), scans, h.size(), entry.LicenceName(), entry.Study)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nLooked in %s (%s); patients are those with scans.\nhounsfield datasets NAME shows one: what it is, its licence, how to get it. hounsfield fetch NAME gets it.\n", root, how)
	return err
}

// ShowOptions say how much of what is here is looked at.
type ShowOptions struct {
	Mirror string // data folder to look in
	// Verify reads every scan that was fetched again and compares its checksum; without it
	// only the tables are read.
	Verify   bool
	Progress *progress.Progress
}

// ShowDataset prints one data set's card: what it is, its licence, how to get it, and the state
// of its files here.
func ShowDataset(ctx context.Context, name string, o ShowOptions, w io.Writer) error {
	entry, err := catalog.Load(name)
	if err != nil {
		return err
	}
	h, err := hold(entry, o.Mirror)
	if err != nil {
		return err
	}
	if err := entry.Describe(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nGet it\n")
	for _, line := range commands(entry, name) {
		fmt.Fprintf(w, "  %s\n", line)
	}
	fmt.Fprintf(w, "\nHere, in %s (%s)\n", h.root, h.how)
	return showHolding(ctx, entry, name, h, o, w)
}

// fetchable says whether any part of an entry has an address.
func fetchable(e catalog.Entry) bool {
	return len(e.Sources) > 0 || e.Images != nil && len(e.Images.Sources) > 0 ||
		slices.ContainsFunc(e.Files, func(f catalog.File) bool { return f.URL != "" })
}

// commands are what a person types, each with what it does.
func commands(e catalog.Entry, name string) []string {
	if !fetchable(e) {
		return []string{"by hand, as said above"}
	}
	name = slurm.Quote(name)
	lines := [][2]string{
		{"hounsfield fetch " + name + " --dry-run", "how much it is, and what is here"},
		{"hounsfield fetch " + name, "fetch it; stopped, the same command goes on"},
	}
	if e.Images != nil && len(e.Images.Sources) > 0 {
		if len(e.Files)+len(e.Sources) > 0 {
			lines = append(lines, [2]string{"hounsfield fetch " + name + " --only tables", "without the scans"})
		}
		if len(e.Images.ROI.Exact) > 0 {
			lines = append(lines, [2]string{"hounsfield prepare " + name, "then: volumes, masks and cubes"})
		}
	}
	longest := 0
	for _, l := range lines {
		longest = max(longest, len(l[0]))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = fmt.Sprintf("%-*s  %s", longest, l[0], l[1])
	}
	return out
}

func showHolding(ctx context.Context, e catalog.Entry, name string, h holding, o ShowOptions, w io.Writer) error {
	said := map[string]bool{}
	for i, row := range e.Verify(h.root) {
		said[row.Path] = true
		if row.Status == catalog.Missing && e.Files[i].Optional {
			row.Detail += " (optional)"
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-8s %s  %s", row.Status, row.Path, row.Detail), " "))
	}
	for _, s := range e.Sources {
		for _, f := range s.Files {
			p := path.Join(s.Folder, f)
			status := catalog.Missing
			if info, err := os.Stat(filepath.Join(h.root, filepath.FromSlash(p))); err == nil && info.Mode().IsRegular() {
				status = catalog.Present
			}
			fmt.Fprintf(w, "  %-8s %s\n", status, p)
		}
		if len(s.Files) == 0 {
			fmt.Fprintf(w, "  %d files in %s\n", (&holding{root: h.root}).count(s.Folder), s.Folder)
		}
	}
	if im := e.Images; im != nil {
		fmt.Fprintf(w, "  scans of %d of %d patients, %d series\n", h.patients, im.Patients, h.scans)
	}
	if prepared := filepath.Join("prepared", e.Name); e.Images != nil { // prepare's own choice
		if _, err := os.Stat(filepath.Join(prepared, prepare.ImagingFile)); err == nil {
			fmt.Fprintf(w, "  prepared in %s, below the folder you are in\n", prepared)
		}
	}
	if a, ok, err := fetch.Accepted(h.root, e.Name, e.LicenceText()); err == nil && ok {
		fmt.Fprintf(w, "  licence accepted on %s by %s\n", day(a.When), a.By)
	}
	if !o.Verify {
		return nil
	}
	shown := o.Progress.Transfer(fetch.Bytes)
	checked, err := fetch.Verify(ctx, h.root, e.Name, func(e fetch.Event) {
		shown.Set(progress.Moment{Done: e.Done, Total: e.Total, Items: e.Items, Of: e.Of, Now: e.Now, Speed: e.Speed, Left: e.Left})
	})
	shown.Done()
	if err != nil {
		return err
	}
	bad := 0
	for _, c := range checked {
		if string(c.Status) == string(catalog.Present) {
			continue
		}
		if bad++; !said[c.Path] {
			fmt.Fprintf(w, "  %-8s %s  %s\n", c.Status, c.Path, c.Detail)
		}
	}
	switch {
	case len(checked) == 0:
		return fmt.Errorf("nothing of %s in %s was fetched by this program, so no checksums of scans are known; fetch it there, or copy it in with hounsfield fetch %s --mirror DIR", e.Name, h.root, slurm.Quote(name))
	case bad > 0:
		return fmt.Errorf("%d of %d fetched files are missing or changed; hounsfield fetch %s fetches them again", bad, len(checked), slurm.Quote(name))
	}
	_, err = fmt.Fprintf(w, "  all %d fetched files are what they were when they came\n", len(checked))
	return err
}
