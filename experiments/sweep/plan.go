package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
)

// Problem is one thing that is wrong with a sweep, and the cells that it is wrong with.
type Problem struct {
	Err   error
	Cells []string // none where it is the sweep itself
}

// InvalidError lists all that is wrong with a sweep, before any cell is started.
type InvalidError struct {
	Sweep    string // name or file
	Problems []Problem
}

func (e *InvalidError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sweep %s: nothing was started, because of %d problem", e.Sweep, len(e.Problems))
	if len(e.Problems) != 1 {
		b.WriteByte('s')
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %v", p.Err)
		switch n := len(p.Cells); {
		case n == 1:
			fmt.Fprintf(&b, " [cell %s]", p.Cells[0])
		case n > 1:
			fmt.Fprintf(&b, " [%d cells, the first %s]", n, p.Cells[0])
		}
	}
	return b.String()
}

// Unwrap gives the problems.
func (e *InvalidError) Unwrap() []error {
	out := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		out[i] = p.Err
	}
	return out
}

// Planned is a sweep whose cells have all been found to be possible.
type Planned struct {
	Sweep     Sweep
	Cells     []Cell
	Dir       string // the sweep's folder, there or not
	Hash      string // of the name and all runs
	Reference string // the setting that the others are held against
	env       experiments.Env
}

// New spells a sweep out and finds out of each cell which run it is: that its config is
// valid, the engine opens, inputs and the run to begin with are there. It computes nothing.
// Errors: *InvalidError with everything that is wrong.
func New(s Sweep, env experiments.Env) (*Planned, error) {
	wrong := &complaints{}
	p := &Planned{Sweep: s, env: env, Cells: s.cells(wrong)}
	usable := s.checkOverrides(wrong)
	planner := experiments.NewPlanner(env)
	for i := range p.Cells {
		c := &p.Cells[i]
		if s.Base == "" {
			continue
		}
		whole := len(c.Overrides)
		c.Overrides = usable(c.Overrides)
		if err := s.load(c); err != nil {
			wrong.add(c.Name, err)
			continue
		}
		if len(c.Overrides) < whole {
			continue
		}
		var err error
		if c.Plan, err = planner.Plan(c.Config); err != nil {
			wrong.add(c.Name, err)
		}
	}
	p.Reference = p.findReference(wrong)
	if len(wrong.list) > 0 {
		name := s.file
		if name == "" {
			name = s.Name
		}
		return nil, &InvalidError{Sweep: name, Problems: wrong.list}
	}
	for i := range p.Cells {
		p.Cells[i].Same = slices.IndexFunc(p.Cells[:i], func(c Cell) bool { return c.Plan.Dir == p.Cells[i].Plan.Dir })
	}
	p.Hash = p.hash()
	p.Dir = filepath.Join(env.Runs, sweepsDir, s.Name+"-"+p.Hash)
	return p, nil
}

// checkOverrides complains of each override that names no key or has a value of the wrong
// type, so that all are told at once, and gives a filter that leaves such out, so that the
// rest of a cell can be looked at.
func (s *Sweep) checkOverrides(wrong *complaints) func([]Override) []Override {
	broken := map[string]bool{}
	check := func(set []Override) {
		for _, o := range set {
			text, err := o.assignment()
			if err != nil {
				wrong.add("", s.bad(o.at, o.Key, "%v", err))
			} else if err := experiments.CheckOverride(text); err != nil {
				broken[text] = true
				wrong.add("", s.placed(err, []Override{o}))
			}
		}
	}
	check(s.Set)
	for _, a := range s.Grid {
		for k, v := range a.Values {
			check([]Override{{Key: a.Key, Value: v, at: a.place(k)}})
		}
	}
	for _, n := range s.List {
		check(n.Set)
	}
	return func(set []Override) []Override {
		return slices.DeleteFunc(slices.Clone(set), func(o Override) bool {
			text, err := o.assignment()
			return err != nil || broken[text]
		})
	}
}

// load reads a cell's config. Errors: *experiments.ConfigError, placed in the sweep's file.
func (s *Sweep) load(c *Cell) error {
	set := make([]string, len(c.Overrides))
	for i, o := range c.Overrides {
		var err error
		if set[i], err = o.assignment(); err != nil {
			return err
		}
	}
	var err error
	if c.Config, err = experiments.Load(s.Base, set...); err != nil {
		return s.placed(err, c.Overrides)
	}
	return nil
}

// findReference is the setting that sweep.Reference names, by its name or that of a cell.
func (p *Planned) findReference(wrong *complaints) string {
	if len(p.Cells) == 0 {
		return ""
	}
	if p.Sweep.Reference == "" {
		return p.Cells[0].Setting
	}
	var names []string
	for _, c := range p.Cells {
		if p.Sweep.Reference == c.Setting || p.Sweep.Reference == c.Name {
			return c.Setting
		}
		if !slices.Contains(names, c.Setting) {
			names = append(names, c.Setting)
		}
	}
	e := p.Sweep.bad(place{}, "reference", "%q is no cell of this sweep", p.Sweep.Reference)
	if e.Nearest = table.NearestName(p.Sweep.Reference, names); len(names) <= 8 {
		e.Allowed = names
	}
	wrong.add("", e)
	return ""
}

// hash names a sweep by its name and its runs.
func (p *Planned) hash() string {
	parts := []any{p.Sweep.Name}
	for _, c := range p.Cells {
		parts = append(parts, []string{c.Name, c.Plan.Hash})
	}
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12]
}

// Keys are the config keys that the sweep sets, those of the grid first.
func (p *Planned) Keys() []string {
	var out []string
	add := func(key string) {
		if !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	for _, a := range p.Sweep.Grid {
		add(a.Key)
	}
	for _, n := range p.Sweep.List {
		for _, o := range n.Set {
			add(o.Key)
		}
	}
	return out
}
