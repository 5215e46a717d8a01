package nb

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/janpfeifer/gonb/gonbui"

	"hounsfield/datasets/catalog"
	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

// Config reads an experiment as [experiments.Load] does: the name of a shipped one or
// a YAML file, and overrides such as "seeds=[1]".
func Config(nameOrFile string, overrides ...string) experiments.Config {
	return Must(experiments.Load(nameOrFile, overrides...))
}

// env is what runs take from their surroundings, the same as on the command line: run
// folders lie in runs/ of the source folder, or in $HOUNSFIELD_RUNS.
func env(p *progress.Progress) experiments.Env {
	dir := Must(root())
	tree := Must(commandSource(dir))
	return experiments.Env{
		Runs:     cmp.Or(os.Getenv("HOUNSFIELD_RUNS"), filepath.Join(dir, "runs")),
		Cache:    experiments.DefaultCache(),
		Code:     Must(experiments.HashSource(tree)),
		DataCode: Must(experiments.HashSource(tree, dataParts...)),
		Progress: p,
	}
}

// Run runs an experiment, goes on with it where it was stopped, or finds it done, in
// which case it takes under a second. So every cell that needs the run can ask for it.
// Progress shows below the cell.
func Run(cfg experiments.Config) *experiments.Done {
	p, end := follow()
	done, err := experiments.Run(Context(), cfg, env(p))
	end()
	return Must(done, err)
}

// RunAll runs several experiments one after the other and gives their run folders.
func RunAll(cfgs []experiments.Config) []string {
	folders := make([]string, len(cfgs))
	for i, cfg := range cfgs {
		folders[i] = Run(cfg).Dir
	}
	return folders
}

// Summary shows the outcome of a run in a few lines and links to its report.
func Summary(done *experiments.Done) {
	var text bytes.Buffer
	Check(done.Print(&text))
	plain := lasting(text.String())
	report := filepath.Join(done.Dir, "report.html")
	show(output{
		html:  `<pre style="` + textStyle + `">` + html.EscapeString(plain) + `</pre><p><a href="` + html.EscapeString(link(report)) + `" target="_blank" rel="noopener">Open the report</a> <code>` + html.EscapeString(report) + `</code></p>`,
		plain: plain,
	})
}

// places are the lines of an outcome that say where files are, which a link does here.
var places = []string{"report", "predictions", "metrics", "figures", "all metrics", "by cell"}

// lasting is an outcome without what differs between two executions of one notebook: where
// files are, and whether they were there before.
func lasting(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if before, _, ok := strings.Cut(line, ":"); ok && slices.Contains(places, before) || strings.HasPrefix(line, "This run was done before") {
			continue
		}
		lines = append(lines, strings.TrimRight(strings.Replace(line, "done before", "done", 1), " \n"))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// link is the address of a file for a page of this notebook: relative, because Jupyter
// serves files below its own folder only by such a path.
func link(file string) string {
	rel := file
	if wd, err := os.Getwd(); err == nil {
		if r, err := filepath.Rel(wd, file); err == nil {
			rel = r
		}
	}
	return (&url.URL{Path: filepath.ToSlash(rel)}).EscapedPath()
}

// Compare shows what differs between runs and their metrics side by side, as
// `hounsfield compare` does, and keeps the page that it writes.
func Compare(runs ...string) {
	var text bytes.Buffer
	out := filepath.Join(env(nil).Runs, "compare-notebook.html")
	Check(experiments.Compare(runs, out, &text))
	plain := strings.TrimSpace(strings.Replace(text.String(), "written as "+out, "", 1))
	show(output{
		html:  `<pre tabindex="0" style="` + textStyle + `;white-space:pre;overflow:auto;max-height:30em">` + html.EscapeString(plain) + `</pre><p><a href="` + html.EscapeString(link(out)) + `" target="_blank" rel="noopener">Open the comparison</a></p>`,
		plain: plain,
	})
}

// Need ends the cell, without an error, when a public data set is not here, and says
// how to get it: a notebook on real data still runs through on a machine without them.
func Need(datasets ...string) {
	for _, name := range datasets {
		entry := Must(catalog.Load(name))
		if _, _, err := catalog.Locate(entry, ""); err == nil {
			continue
		}
		var card bytes.Buffer
		Check(experiments.ShowDataset(context.Background(), name, experiments.ShowOptions{}, &card))
		notice(fmt.Sprintf("This cell needs the data set %s, which is not here.", name),
			fmt.Sprintf("Get it with `go run . fetch %s`, or name a folder that has it in HOUNSFIELD_MIRROR before Jupyter starts; then run the cell again.\n\n%s", name, card.String()))
		leave()
	}
}

// Data is a place in the data folder of a public data set, which must be here (see [Need]).
func Data(dataset string, parts ...string) string {
	Need(dataset)
	dir, _, err := catalog.Locate(Must(catalog.Load(dataset)), "")
	Check(err)
	return filepath.Join(append([]string{dir, dataset}, parts...)...)
}

// leave ends the cell as if it had reached its end; replaced in tests.
var leave = func() {
	if gonbui.IsNotebook {
		gonbui.Sync()
	}
	os.Exit(0)
}

// File is a file of a run folder.
func File(done *experiments.Done, parts ...string) string {
	return filepath.Join(append([]string{done.Dir}, parts...)...)
}

// Runs are the folders of all finished runs whose experiment's name matches one of the
// patterns ("ablation-*"; see [path.Match]), in the order of their names. None is an error.
func Runs(patterns ...string) []string {
	dir := env(nil).Runs
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		Check(err)
	}
	var out []string
	for _, e := range entries {
		m, err := experiments.ReadManifest(filepath.Join(dir, e.Name()))
		if err != nil || m.Status != experiments.StatusDone {
			continue // not a run, or not finished
		}
		for _, p := range patterns {
			if Must(path.Match(p, m.Experiment)) {
				out = append(out, filepath.Join(dir, e.Name()))
				break
			}
		}
	}
	if len(out) == 0 {
		Check(fmt.Errorf("no finished run of %s in %s; run it first", strings.Join(patterns, ", "), dir))
	}
	return out
}
