package experiments

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"hounsfield/stats"
)

// Plan is a run before it is made.
type Plan struct {
	Config   Config // as the run folder keeps it: what was left to choose is chosen
	Dir      string // the run folder, there or not
	Hash     string
	Training string // hash of what decides the networks; "" where nothing is trained
	// Status is that of the run folder that is there, "" where there is none.
	Status  string
	missing int // outputs of a done run that are gone: a next Run makes them again
}

// Done says whether a next Run would find the run done and compute nothing.
func (p *Plan) Done() bool { return p.Status == StatusDone && p.missing == 0 }

// Planner finds out of configs which runs they would be, by the code that runs them: that
// the engine can be opened, the inputs are there and the run that training begins with is
// found. It opens each engine once.
type Planner struct {
	env      Env
	backends map[string]Backend
}

// NewPlanner plans runs in the surroundings env.
func NewPlanner(env Env) *Planner { return &Planner{env: env, backends: map[string]Backend{}} }

// Plan finds out what Run would do with a config, and computes nothing. Errors: those that
// Run gives before it makes a folder.
func (p *Planner) Plan(cfg Config) (*Plan, error) {
	if cfg.Data.Source == SourceImported {
		return nil, errImported
	}
	key := fmt.Sprint(cfg.Backend, cfg.Compute, cfg.Data.scored())
	backend, ok := p.backends[key]
	if !ok {
		eng, b, err := openEngine(cfg)
		if err != nil {
			return nil, err
		}
		if eng != nil {
			eng.Close()
		}
		p.backends[key], backend = b, b
	}
	run, err := planRun(cfg, p.env, backend)
	if err != nil {
		return nil, err
	}
	out := &Plan{Config: run.cfg, Dir: folderOf(p.env.Runs, run.cfg.Experiment, run.hash), Hash: run.hash}
	if !cfg.Data.scored() {
		out.Training = run.training
	}
	if m, err := ReadManifest(out.Dir); err == nil { // else there is none, or Run says what is wrong with it
		out.Status, out.missing = m.Status, len(m.missing(out.Dir))
	}
	return out, nil
}

// planned is a run that only has to be made.
type planned struct {
	cfg            Config // resolved
	src            source
	from           *origin
	inputs         []Input
	training, hash string
}

// planRun finds the inputs of a run and names it by them, the config, the code and the engine.
func planRun(cfg Config, env Env, backend Backend) (*planned, error) {
	if !cfg.Data.scored() {
		cfg.Training = spelledOut(cfg.Training)
	}
	src, err := openSource(cfg, env)
	if err != nil {
		return nil, err
	}
	from, err := findOrigin(cfg, env)
	if err != nil {
		return nil, err
	}
	if cfg, err = locateGeneSets(cfg, env); err != nil {
		return nil, err
	}
	inputs := append(src.inputs(), from.inputs()...)
	training, err := identityOf(trainingOf(cfg), backend)
	if err != nil {
		return nil, err
	}
	trainingHash := runHash(training, inputs, env.Code, backend.identity())
	more, err := analysisInputs(cfg)
	if err != nil {
		return nil, err
	}
	inputs = append(inputs, more...)
	identity, err := identityOf(cfg, backend)
	if err != nil {
		return nil, err
	}
	return &planned{cfg: resolve(cfg, backend, from), src: src, from: from, inputs: inputs, training: trainingHash,
		hash: runHash(identity, inputs, env.Code, backend.identity())}, nil
}

// CheckOverride says whether an override, as key=value, names a key that there is, with a
// value of its type. Errors: *ConfigError.
func CheckOverride(assignment string) error {
	cfg := Default()
	return set(assignment, &cfg)
}

// Decode reads YAML into a struct as strictly as a config is read: an unknown key or a value
// of the wrong type is a *ConfigError that names file, line, key and the nearest valid key.
func Decode(file string, text []byte, into any) error { return overlay(file, text, into) }

// LockFolder takes the lock of a folder, which the kernel gives back when its holder closes
// it or dies. Errors: *BusyError.
func LockFolder(dir string) (io.Closer, error) { return lockFolder(dir, lockPatience) }

// Busy says whether another process works in a run folder at this moment.
func Busy(dir string) bool {
	lock, err := lockFolder(dir, 0)
	if err == nil {
		lock.Close()
	}
	var busy *BusyError
	return errors.As(err, &busy)
}

// Finished says whether a folder holds a run that is done, with all its outputs.
func Finished(run string) bool {
	m, err := ReadManifest(run)
	return err == nil && m.Status == StatusDone && len(m.missing(run)) == 0
}

// CheckScores says what keeps PairedAUC from reading the scores of a finished run.
func CheckScores(run string) error {
	_, err := readJudged(run)
	return err
}

// ReadMetrics reads the metrics of a finished run.
func ReadMetrics(run string) ([]Metric, error) { return readMetrics(run) }

// PairedAUC holds the test and tune AUC of one finished run against those of others on the
// patients that both judged: one entry for each of the others and role, test first.
func PairedAUC(run string, others []string) ([]PairedDifference, error) {
	var all []compared
	for _, dir := range append([]string{run}, others...) {
		c := compared{name: filepath.Base(dir)}
		var err error
		if c.judged, err = readJudged(dir); err != nil {
			return nil, fmt.Errorf("the run in %s cannot be compared: %w; delete the folder and run again", dir, err)
		}
		c.ids = slices.Sorted(maps.Keys(c.judged))
		all = append(all, c)
	}
	var out []PairedDifference
	for _, d := range differences(all) {
		out = append(out, PairedDifference{Run: d.of, Over: d.over, Role: d.role, Found: d.found, Lacks: d.lacks})
	}
	return out, nil
}

// PairedDifference is what the scores of one run gain over another's in AUC at two years on
// the same patients (paired DeLong).
type PairedDifference struct {
	Run, Over string // folder names; above 0, Run separates the dead from the living better
	Role      string
	Found     stats.PairedAUCResult
	Lacks     string // why there is no such figure; "" where there is
}
