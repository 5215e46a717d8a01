// Package sweep runs one experiment under many settings: a grid or a list over any keys of
// its config, each with one or more seeds. Every cell is a run like any other, in the run
// folder that `hounsfield run` would make, so that a cell which is there is not run again;
// what a sweep adds is a folder with one table of all runs and metrics, and a page.
//
// The command line, a notebook's cell and a test call the same functions: Load, New, Run.
package sweep

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
)

// Sweep is what a sweep file says. Its cells are all combinations of the grid's values,
// then those of the list; seeds multiply both.
type Sweep struct {
	Name        string // of the sweep's folder: lower-case words joined by hyphens
	Description string // one or two sentences for the page
	Base        string // a shipped experiment or a YAML file
	Set         []Override
	Grid        []Axis
	List        []Named
	// Seeds, where there are any, make one cell each, with that seed alone. Without them the
	// seeds of a cell's config train together, and its score is the mean of their networks.
	Seeds []int64
	// Include keeps only the grid's cells that agree with one of its entries; Exclude then
	// leaves out those that agree with one of its. They do not touch the list.
	Include, Exclude []Point
	// Reference is the cell, without its seed, that the others are held against; "" is the first.
	Reference string
	// Choose is the metric of the tune role by which the best setting is chosen: ByAUC (also
	// where it is empty) or ByConcordance.
	Choose string
	Slurm  Slurm

	file string // where it was read; "" when it was made in memory
}

// The metrics that may choose.
const (
	ByAUC         = "auc_delong" // AUC for death at two years
	ByConcordance = "harrell_c"  // Harrell's C of the score
)

// Override is one setting of a config: a dotted key and a value as YAML has it (a number, a
// text, true or false, a list, a map).
type Override struct {
	Key   string
	Value any
	at    place
}

// Axis is a key of the grid with the values it takes.
type Axis struct {
	Key    string
	Values []any
	at     []place // of Key, then of each value; nil in memory
}

// Named is a cell of the list.
type Named struct {
	Name string
	Set  []Override
}

// Point is a part of the grid: some of its keys, each with one value.
type Point []Override

// Slurm holds options for sbatch. Empty ones are left to the cluster.
type Slurm struct {
	Partition string   `yaml:"partition,omitempty"`
	Time      string   `yaml:"time,omitempty"`   // of one cell, such as 2:00:00
	Mem       string   `yaml:"mem,omitempty"`    // such as 16G
	CPUs      int      `yaml:"cpus,omitempty"`   // of one cell
	GRES      string   `yaml:"gres,omitempty"`   // such as gpu:1
	Extra     []string `yaml:"extra,omitempty"`  // further options, such as --account=lung
	Before    []string `yaml:"before,omitempty"` // shell lines before the cell, such as module load cuda
}

//go:embed sweeps/*.yaml
var shipped embed.FS

// Shipped names the sweeps inside the program.
func Shipped() []string {
	entries, err := fs.ReadDir(shipped, "sweeps")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Load reads a sweep: the name of a shipped one, a YAML file, or the folder of a sweep. A
// base in a file is a shipped experiment or a file, looked for beside the sweep's file first.
// Errors: *experiments.ConfigError.
func Load(nameOrFile string) (Sweep, error) {
	if slices.Contains(Shipped(), nameOrFile) {
		file := path.Join("sweeps", nameOrFile+".yaml")
		text, err := shipped.ReadFile(file)
		if err != nil {
			return Sweep{}, err
		}
		return decode(file, text)
	}
	file := nameOrFile
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(nameOrFile, sweepFile)
		if _, err := os.Stat(file); err != nil {
			return Sweep{}, &experiments.ConfigError{File: nameOrFile, Problem: "is a folder without a " + sweepFile + ": no sweep's folder; name a YAML file"}
		}
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Sweep{}, &experiments.ConfigError{File: nameOrFile, Problem: "neither a file nor a shipped sweep",
			Nearest: table.NearestName(nameOrFile, Shipped()), Allowed: Shipped()}
	}
	if err != nil {
		return Sweep{}, err
	}
	s, err := decode(file, text)
	if err != nil {
		return Sweep{}, err
	}
	if !slices.Contains(experiments.Shipped(), s.Base) && !filepath.IsAbs(s.Base) {
		if beside := filepath.Join(filepath.Dir(file), s.Base); s.Base != "" && exists(beside) {
			s.Base = beside
		}
	}
	return s, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// bad is an error at a place of the sweep's file.
func (s *Sweep) bad(at place, key, format string, args ...any) *experiments.ConfigError {
	file := s.file
	if file == "" {
		file = "sweep " + s.Name
	}
	return &experiments.ConfigError{File: file, Line: at.line, Column: at.column, Key: key, Problem: fmt.Sprintf(format, args...)}
}
