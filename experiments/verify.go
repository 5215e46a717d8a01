package experiments

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// VerifyError is a run whose files are not what its manifest says.
type VerifyError struct {
	Run     string
	Changed []string // outputs with another content
	Missing []string // outputs that are gone
	Added   []string // files the run did not write
	Inputs  []string // inputs that are gone or have another content now
	Lost    error    // why the run that training began with cannot be read; nil where it can
}

func (e *VerifyError) Error() string {
	var parts []string
	for _, p := range []struct {
		what  string
		files []string
	}{{"outputs changed", e.Changed}, {"outputs missing", e.Missing}, {"files added", e.Added}, {"inputs differ", e.Inputs}} {
		if len(p.files) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(p.files), p.what, strings.Join(p.files, ", ")))
		}
	}
	next := "delete the folder and run again to get a true one"
	if e.Lost != nil && len(parts) == 1 { // nothing is wrong with the folder itself
		next = fmt.Sprintf("the run that training began with cannot be read: %v", e.Lost)
	}
	return fmt.Sprintf("%s does not verify: %s; %s", e.Run, strings.Join(parts, ", "), next)
}

func (e *VerifyError) Unwrap() error { return e.Lost }

// Verify recomputes the sha256 of every input and output of a finished run. What
// does not agree is a *VerifyError that names it.
func Verify(run string, env Env, w io.Writer) error {
	m, err := ReadManifest(run)
	if err != nil {
		return err
	}
	if m.Status != StatusDone {
		return fmt.Errorf("the run in %s is not finished (%s): there is nothing to verify yet", run, m.Status)
	}
	now, err := hashOutputs(run)
	if err != nil {
		return err
	}
	bad := &VerifyError{Run: run}
	for _, path := range slices.Sorted(maps.Keys(m.Outputs)) {
		switch got, ok := now[path]; {
		case !ok:
			bad.Missing = append(bad.Missing, path)
		case got != m.Outputs[path]:
			bad.Changed = append(bad.Changed, path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if _, ok := m.Outputs[path]; !ok {
			bad.Added = append(bad.Added, path)
		}
	}
	if slices.Contains(bad.Missing, "config.yaml") || slices.Contains(bad.Changed, "config.yaml") {
		return bad // which inputs to look for is no longer known
	}
	cfg, err := Load(filepath.Join(run, "config.yaml"))
	if err != nil {
		return err
	}
	src, err := openSource(cfg, env)
	if err != nil {
		return fmt.Errorf("the inputs of %s cannot be read again: %w", run, err)
	}
	// The initial weights lie in another run folder, beside this one or where the config says.
	env.Runs = filepath.Dir(filepath.Clean(run))
	from, err := findOrigin(cfg, env)
	var lost *InitError
	if errors.As(err, &lost) {
		bad.Lost = lost
	} else if err != nil {
		return err
	}
	more, err := analysisInputs(cfg)
	if err != nil {
		return err
	}
	there := map[string]string{}
	for _, in := range slices.Concat(src.inputs(), from.inputs(), more) {
		there[in.Name] = in.SHA256
	}
	for _, in := range m.Inputs {
		if there[in.Name] != in.SHA256 {
			bad.Inputs = append(bad.Inputs, in.Name)
		}
	}
	if len(bad.Changed)+len(bad.Missing)+len(bad.Added)+len(bad.Inputs) > 0 {
		return bad
	}
	_, err = fmt.Fprintf(w, "%s verifies: %d inputs and %d outputs are what the manifest says\n", run, len(m.Inputs), len(m.Outputs))
	if err == nil && m.Code != env.Code {
		_, err = fmt.Fprintf(w, "  made by other code (%.12s) than this program (%.12s): the same config run now goes into a new folder\n", m.Code, env.Code)
	}
	return err
}
