package nb

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"hounsfield/experiments/sweep"
)

// Settings are overrides of a sweep, from texts such as "seeds=[1]".
func Settings(assignments ...string) []sweep.Override {
	out := make([]sweep.Override, len(assignments))
	for i, a := range assignments {
		key, text, ok := strings.Cut(a, "=")
		if !ok {
			Check(fmt.Errorf("%q is no setting; write KEY=VALUE, such as training.max_epochs=5", a))
		}
		out[i].Key = key
		if err := yaml.Unmarshal([]byte(text), &out[i].Value); err != nil {
			Check(fmt.Errorf("the value of %q cannot be read: %w", a, err))
		}
	}
	return out
}

// Cell is a cell of a sweep's list: an experiment ablation-NAME with settings of its own.
func Cell(name string, assignments ...string) sweep.Named {
	return sweep.Named{Name: name, Set: Settings(append([]string{"experiment=ablation-" + name}, assignments...)...)}
}

// Sweep runs the cells of a sweep that are not there yet, shows what became of each, and
// gives the run folders of those that are done, in the sweep's order. A cell that fails does
// not keep the others from running.
func Sweep(s sweep.Sweep) []string { return sweepRuns(s, true) }

// SweepRuns are the run folders of a sweep as Sweep gives them, without showing anything
// where all of them are there.
func SweepRuns(s sweep.Sweep) []string { return sweepRuns(s, false) }

func sweepRuns(s sweep.Sweep, said bool) []string {
	p, end := follow()
	e := env(p)
	done, err := sweep.Run(Context(), s, sweep.Options{Env: e, KeepGoing: true})
	end()
	var failed *sweep.FailedError
	if !errors.As(err, &failed) {
		Check(err)
	}
	var runs, lost []string
	for _, r := range done.Results {
		if r.Status == sweep.Ok {
			runs = append(runs, filepath.Join(e.Runs, r.Run))
		} else {
			lost = append(lost, fmt.Sprintf("%s %s: %s", r.Cell, r.Status, r.Reason))
		}
	}
	if said {
		var text bytes.Buffer
		Check(done.Print(&text))
		plain := lasting(text.String())
		show(output{
			html:  `<pre tabindex="0" style="` + textStyle + `;white-space:pre;overflow:auto">` + html.EscapeString(plain) + `</pre><p><a href="` + html.EscapeString(link(done.Page)) + `" target="_blank" rel="noopener">Open the page of the sweep</a></p>`,
			plain: plain,
		})
	}
	if len(lost) > 0 {
		notice("Some cells have no result", strings.Join(lost, "\n"))
	}
	if len(runs) == 0 {
		Check(fmt.Errorf("no cell of the sweep %s is done", s.Name))
	}
	return runs
}
