package experiments

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// openEngine opens the compute engine of runs that train; published scores need none.
func openEngine(cfg Config) (*engine.Engine, Backend, error) {
	b := Backend{Name: "none", Why: "nothing is trained", OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}
	if cfg.Data.scored() {
		return nil, b, nil
	}
	e, err := engine.OpenWith(cfg.Backend, cfg.Compute)
	if err != nil {
		return nil, b, err
	}
	b.Name, b.Why, b.SIMD, b.Version, b.Library, b.Device = e.Name, e.Why, e.SIMD, e.Version, e.Library, e.Device
	used := plain(cfg.Compute)
	b.Settings = &used
	return e, b, nil
}

// plain writes settings in one way only: what is left out is the default it stands for.
func plain(s engine.Settings) engine.Settings {
	if s.Lowering == "" {
		s.Lowering = engine.Auto
	}
	if s.Precision == "" {
		s.Precision = engine.Float32
	}
	s.Devices = max(s.Devices, 1)
	return s
}

// spelledOut writes training settings in one way only, so that two spellings of one
// training are one run.
func spelledOut(t cnn.TrainConfig) cnn.TrainConfig {
	if t.Loss == "" {
		t.Loss = cnn.LossCrossEntropy
	}
	if t.Schedule.Kind == "" {
		t.Schedule.Kind = "constant"
	}
	t.Accumulate = max(t.Accumulate, 1)
	return t
}

// words describe the engine in one line of the report.
func (b Backend) words() string {
	parts := []string{"engine " + strings.TrimSpace(b.Name+" "+b.Version)}
	if b.Device != "" {
		parts = append(parts, "on "+b.Device)
	}
	if s := b.Settings; s != nil {
		parts = append(parts, "lowering "+s.Lowering, s.Precision)
		if s.Devices > 1 {
			parts = append(parts, fmt.Sprintf("%d devices", s.Devices))
		}
		if s.Deterministic {
			parts = append(parts, "deterministic")
		}
	}
	return strings.Join(parts, ", ")
}

// identity is what of the engine decides the bytes of a run: which one it is, the version
// of its library, and whether its products are vector instructions, which sum in another
// order. The device's model is not in it, so that a run may be finished on another machine.
func (b Backend) identity() string {
	text, err := json.Marshal([]any{b.Name, b.Version, b.SIMD})
	if err != nil {
		panic(err) // strings and a bool: cannot fail
	}
	return string(text)
}

// identityOf is the config as it counts in a run's hash. Two spellings of one thing count
// the same: the engine is the one that was opened, so "auto" is the engine that auto chose,
// settings that are left out are their defaults, and the run that training begins with, or
// that gene sets are held against, is not named at all, because the hash of its weights, or
// tables, is among the inputs.
func identityOf(cfg Config, b Backend) ([]byte, error) {
	if b.Settings != nil {
		cfg.Backend, cfg.Compute = b.Name, *b.Settings
	}
	cfg.Training.InitFrom, cfg.Analysis.GeneSets.Beside = "", ""
	for _, path := range cfg.paths() {
		*path = ""
	}
	return cfg.YAML()
}

// paths are the settings that name a file or a folder, whose content is among the inputs of
// a run that reads it.
func (c *Config) paths() []*string {
	g := &c.Analysis.GeneSets
	out := []*string{&c.Data.Prepared.Imaging, &c.Analysis.TestRetest.Imaging, &c.Analysis.InterReader.Imaging, &g.Expression, &g.Patients.File, &g.Mapping.File}
	if g.SetsFile == g.Sets { // else it names a data set
		out = append(out, &g.Sets)
	}
	return out
}

// resolve is the config as the run folder keeps it: what was left to choose is replaced by
// what was chosen, so that running config.yaml again is the same run, or an error where this
// machine lacks the engine. A library that was named by its file stays so.
func resolve(cfg Config, b Backend, from *origin) Config {
	if b.Settings != nil {
		if !strings.ContainsRune(cfg.Backend, filepath.Separator) {
			cfg.Backend = b.Name
		}
		cfg.Compute = *b.Settings
	}
	if from != nil {
		cfg.Training.InitFrom = from.name
	}
	for _, path := range cfg.paths() { // to be found from any working directory
		if absolute, err := filepath.Abs(*path); err == nil && *path != "" {
			*path = absolute
		}
	}
	return cfg
}

// MemoryError says that the engine ran out of memory in a run. What the run had finished is
// kept.
type MemoryError struct {
	Run string // its folder
	Err error  // *engine.MemoryError among its causes
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("%v; every whole epoch is kept in %s: with more memory free, type the same command again to go on from there (other settings make another run)", e.Err, e.Run)
}

func (e *MemoryError) Unwrap() error { return e.Err }

// withMemoryAdvice says of an engine that ran out of memory what becomes of the run.
func withMemoryAdvice(err error, run string) error {
	var memory *engine.MemoryError
	if errors.As(err, &memory) {
		return &MemoryError{Run: run, Err: err}
	}
	return err
}
