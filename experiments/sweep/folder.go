package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/renameio/v2"

	"hounsfield/experiments"
	"hounsfield/experiments/slurm"
)

// The files of a sweep's folder, <runs>/sweeps/<name>-<hash>.
const (
	sweepsDir  = "sweeps"
	sweepFile  = "sweep.yaml" // the sweep, to be run again
	baseFile   = "base.yaml"  // the config that its cells differ from, complete
	recordFile = "sweep.json" // state of each cell
	cellsDir   = "cells"      // 000.yaml: the config of a cell; 000.json: what a Slurm task says of it
	logsDir    = "logs"       // 000.log: what a cell printed
	longTable  = "sweep"      // .arrow, .parquet: a row for each run and metric
	wideTable  = "wide"       // .arrow, .parquet, .csv: a row for each cell
	pairTable  = "paired"     // .arrow, .parquet: differences from the reference
	pageFile   = "report.html"
)

// State of a cell.
const (
	Waiting = "waiting" // not started
	Running = "running"
	Ok      = "done"
	Failed  = "failed"
	Stopped = "stopped" // by the user or a signal; goes on when the sweep is run again
)

// State is how far a cell is.
type State struct {
	Cell    string  `json:"cell"`
	Setting string  `json:"setting"`
	Seed    *int64  `json:"seed,omitempty"`
	Run     string  `json:"run"` // the run folder's name
	Hash    string  `json:"hash"`
	Status  string  `json:"status"`
	Reason  string  `json:"reason,omitempty"`  // why it failed
	Seconds float64 `json:"seconds,omitempty"` // of computing
	Already bool    `json:"already,omitempty"` // the run was there before this sweep
	Same    string  `json:"same,omitempty"`    // the cell that is the same run
	Log     string  `json:"log,omitempty"`     // below the sweep's folder
}

// record is sweep.json.
type record struct {
	Name      string     `json:"name"`
	Hash      string     `json:"hash"`
	Code      string     `json:"code"`
	Status    string     `json:"status"`
	Started   time.Time  `json:"started"`
	Finished  *time.Time `json:"finished,omitempty"`
	Reference string     `json:"reference"`
	Choose    string     `json:"choose"`
	Job       *job       `json:"slurm,omitempty"`
	Cells     []State    `json:"cells"`
}

// folder is an open sweep folder: one process at a time holds it.
type folder struct {
	dir    string
	record *record
	lock   interface{ Close() error }
}

// BusyError says that another process works on the sweep.
type BusyError struct{ Dir string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("another `hounsfield sweep` works in %s; wait for it or stop it, then type the same command again", e.Dir)
}

// open makes or reopens the sweep's folder, takes its lock, and writes down the sweep and
// the config of each cell. Errors: *BusyError.
func (p *Planned) open() (*folder, error) {
	if err := os.MkdirAll(filepath.Join(p.Dir, cellsDir), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the sweep's folder: %w; name a place that can be written to with --runs", err)
	}
	lock, err := experiments.LockFolder(p.Dir)
	var busy *experiments.BusyError
	if errors.As(err, &busy) {
		return nil, &BusyError{Dir: p.Dir}
	}
	if err != nil {
		return nil, err
	}
	f := &folder{dir: p.Dir, lock: lock}
	if err := f.begin(p); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

func (f *folder) begin(p *Planned) error {
	f.record = &record{Name: p.Sweep.Name, Hash: p.Hash, Started: time.Now().UTC().Truncate(time.Second)}
	if before, err := readRecord(f.dir); err == nil {
		f.record = before
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r := f.record
	r.Code, r.Status, r.Finished = p.env.Code, Running, nil
	r.Reference, r.Choose = p.Reference, p.choose()
	if len(r.Cells) != len(p.Cells) {
		r.Cells = make([]State, len(p.Cells))
	}
	base, err := experiments.Load(p.Sweep.Base)
	if err != nil {
		return err
	}
	text, err := base.YAML()
	if err != nil {
		return err
	}
	spelled, err := p.Sweep.yaml()
	if err != nil {
		return err
	}
	if err := errors.Join(f.write(baseFile, text), f.write(sweepFile, spelled)); err != nil {
		return err
	}
	for i, c := range p.Cells {
		text, err := c.Plan.Config.YAML()
		if err != nil {
			return err
		}
		if err := f.write(cellFile(i), text); err != nil {
			return err
		}
		s := State{Cell: c.Name, Setting: c.Setting, Seed: c.Seed, Run: filepath.Base(c.Plan.Dir), Hash: c.Plan.Hash, Status: Waiting, Already: r.Cells[i].Already,
			Log: r.Cells[i].Log}
		switch {
		case c.Same >= 0:
			s.Same = p.Cells[c.Same].Name
		case c.Plan.Done() && r.Cells[i].Log == "":
			s.Already = true
		}
		r.Cells[i] = s
	}
	return f.save()
}

func readRecord(dir string) (*record, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return nil, err
	}
	r := &record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w; delete it and run the sweep again: the runs stay", filepath.Join(dir, recordFile), err)
	}
	return r, nil
}

func (f *folder) save() error {
	text, err := json.MarshalIndent(f.record, "", "  ")
	if err != nil {
		return err
	}
	return f.write(recordFile, append(text, '\n'))
}

// write lets a file of the sweep appear whole or not at all.
func (f *folder) write(name string, text []byte) error {
	file := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := renameio.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", file, err)
	}
	return nil
}

func cellFile(i int) string { return filepath.Join(cellsDir, fmt.Sprintf("%03d.yaml", i)) }
func taskFile(i int) string { return filepath.Join(cellsDir, fmt.Sprintf("%03d.json", i)) }
func logFile(i int) string  { return filepath.Join(logsDir, slurm.LogName(i)) }

// yaml writes a sweep as a file that Load reads, with base.yaml beside it as its base.
func (s *Sweep) yaml() ([]byte, error) {
	set := func(list []Override) yaml.MapSlice {
		out := yaml.MapSlice{}
		for _, o := range list {
			out = append(out, yaml.MapItem{Key: o.Key, Value: o.Value})
		}
		return out
	}
	var out yaml.MapSlice
	put := func(key string, value any, there bool) {
		if there {
			out = append(out, yaml.MapItem{Key: key, Value: value})
		}
	}
	put("name", s.Name, true)
	put("description", s.Description, s.Description != "")
	put("base", baseFile, true)
	put("set", set(s.Set), len(s.Set) > 0)
	grid := yaml.MapSlice{}
	for _, a := range s.Grid {
		grid = append(grid, yaml.MapItem{Key: a.Key, Value: a.Values})
	}
	put("grid", grid, len(grid) > 0)
	var list []yaml.MapSlice
	for _, n := range s.List {
		list = append(list, yaml.MapSlice{{Key: "name", Value: n.Name}, {Key: "set", Value: set(n.Set)}})
	}
	put("list", list, len(list) > 0)
	put("seeds", s.Seeds, len(s.Seeds) > 0)
	for _, part := range []struct {
		key    string
		points []Point
	}{{"include", s.Include}, {"exclude", s.Exclude}} {
		var points []yaml.MapSlice
		for _, p := range part.points {
			points = append(points, set(p))
		}
		put(part.key, points, len(points) > 0)
	}
	put("reference", s.Reference, s.Reference != "")
	put("choose", s.Choose, s.Choose != "")
	slurm := s.Slurm
	put("slurm", slurm, slurm.Partition+slurm.Time+slurm.Mem+slurm.GRES != "" || slurm.CPUs > 0 || len(slurm.Extra)+len(slurm.Before) > 0)
	return yaml.Marshal(out)
}

// choose is the metric of the tune role by which the best setting is chosen.
func (p *Planned) choose() string {
	if p.Sweep.Choose == "" {
		return ByAUC
	}
	return p.Sweep.Choose
}
