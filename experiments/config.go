// Package experiments composes data, network and statistics into runs that a
// person can repeat: a typed config goes in, a run folder comes out.
//
// The command line, a notebook cell and a test call the same functions: Load,
// Run, Compare, Verify, Predict.
package experiments

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"hounsfield/datasets"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/analysis"
	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// Config is one experiment. Default is the embedded phantom study; a YAML file
// holds only what differs from it.
type Config struct {
	Experiment  string `yaml:"experiment"`  // the run folder's name, lower-case words joined by hyphens
	Description string `yaml:"description"` // one or two sentences for the report

	Data DataConfig `yaml:"data"`

	// The network's way, used when the scores are trained here and not published.
	Cube     CubeConfig       `yaml:"cube"`
	Augment  datasets.Augment `yaml:"augment"`
	Network  cnn.Spec         `yaml:"network"`
	Training cnn.TrainConfig  `yaml:"training"`
	Seeds    []int64          `yaml:"seeds"`   // one network each; the score is their mean
	Backend  string           `yaml:"backend"` // auto | go | onnx | onnx:cuda | xla | xla:cpu | xla:cuda | onnx:FILE | xla:FILE
	Compute  engine.Settings  `yaml:"compute"` // how networks run on the engine

	Evaluation EvaluationConfig `yaml:"evaluation"`
	Comparison ComparisonConfig `yaml:"comparison"`
	References []Reference      `yaml:"references"` // published figures to stand beside ours

	// Analyses beyond the metrics, by name (see package analysis), in the order of the report.
	Analyses []string          `yaml:"analyses"`
	Analysis analysis.Settings `yaml:"analysis"`
}

// DataConfig says where patients come from.
type DataConfig struct {
	Source    string          `yaml:"source"` // phantom | published | replication | prepared | imported
	Phantom   phantom.Spec    `yaml:"phantom"`
	Published PublishedConfig `yaml:"published"`
	Prepared  PreparedConfig  `yaml:"prepared"`
	Imported  ImportedConfig  `yaml:"imported,omitempty"`
}

// The sources of patients.
const (
	SourcePhantom   = "phantom"   // the synthetic cohort: nothing to download, the truth is known
	SourcePublished = "published" // the study's released tables: scores and labels, no images
	// SourceReplication is the published network run again by others, beside the released scores.
	SourceReplication = "replication"
	SourcePrepared    = "prepared" // real scans made ready by `hounsfield prepare`
	// SourceImported stands in the folders that `hounsfield import` makes: networks of others, and no patients.
	SourceImported = "imported"
)

// PublishedConfig picks among the study's released tables.
type PublishedConfig struct {
	Treatment string `yaml:"treatment"` // radiotherapy | surgery
}

// PreparedConfig joins prepared scans to a clinical table.
type PreparedConfig struct {
	Imaging string `yaml:"imaging"` // folder that `hounsfield prepare` wrote
	Dataset string `yaml:"dataset"` // catalog entry whose clinical table holds the outcomes
	// The cohort is split by a hash of patient id and split_seed, stable when patients are added.
	TuneFraction float64 `yaml:"tune_fraction"`
	TestFraction float64 `yaml:"test_fraction"`
	SplitSeed    int64   `yaml:"split_seed"`
}

// scored says that others made the scores, so that nothing is trained.
func (d DataConfig) scored() bool {
	return d.Source == SourcePublished || d.Source == SourceReplication
}

// CubeConfig is the network's input: Size voxels of SpacingMM along each edge.
// The augmentation's largest shift is kept around it as a margin.
type CubeConfig struct {
	Size      int     `yaml:"size"`
	SpacingMM float64 `yaml:"spacing_mm"`
}

// Level is that of every confidence interval in a run, its figures included.
const Level = 0.95

// EvaluationConfig rules the statistics.
type EvaluationConfig struct {
	Bootstrap     int     `yaml:"bootstrap"`      // resamples
	BootstrapSeed uint64  `yaml:"bootstrap_seed"` // of the counter-based generator
	RMSTDays      float64 `yaml:"rmst_days"`      // horizon of the restricted mean survival time
	// Without names outlying patients: the AUC is also given with them left out.
	Without []string `yaml:"without"`
}

// Reference is a figure from a paper, shown beside the one computed here.
type Reference struct {
	Metric string   `yaml:"metric"` // a metric's name in tables/metrics.arrow
	Role   string   `yaml:"role"`
	Value  *float64 `yaml:"value,omitempty"`
	Low    *float64 `yaml:"low,omitempty"`
	High   *float64 `yaml:"high,omitempty"`
	P      string   `yaml:"p,omitempty"` // as printed, such as "<0.001"
	Source string   `yaml:"source"`
}

//go:embed configs/*.yaml
var shipped embed.FS

// Shipped names the configs inside the program.
func Shipped() []string {
	entries, err := fs.ReadDir(shipped, "configs")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Default is the embedded phantom study, complete.
func Default() Config {
	return Config{
		Experiment: "phantom",
		Data: DataConfig{
			Source:    SourcePhantom,
			Phantom:   phantom.Default(),
			Published: PublishedConfig{Treatment: "radiotherapy"},
			Prepared:  PreparedConfig{Dataset: "nsclc-radiomics", TuneFraction: 0.2, TestFraction: 0.3, SplitSeed: 1},
		},
		Cube:       CubeConfig{Size: 50, SpacingMM: 1},
		Augment:    datasets.StudyAugment(),
		Network:    cnn.Small(),
		Training:   cnn.DefaultTrainConfig(),
		Seeds:      []int64{1, 2, 3},
		Backend:    engine.Auto,
		Compute:    engine.Settings{Lowering: engine.Auto, Precision: engine.Float32, Devices: 1},
		Evaluation: EvaluationConfig{Bootstrap: 2000, BootstrapSeed: 1, RMSTDays: 730},
		Comparison: ComparisonConfig{Predictors: []string{}, Features: 40, Trees: 500, Permutations: 1000, Folds: 5, Repeats: 5, Seed: 1},
		Analyses:   []string{},
		Analysis:   analysis.Defaults(),
	}
}

// Load reads a config: the name of a shipped one, or a YAML file (one of ours, or
// the config.yaml of a run folder). Overrides are key=value pairs in dotted form.
// Whatever is wrong with it is a *ConfigError, before any work starts.
func Load(nameOrFile string, overrides ...string) (Config, error) {
	cfg := Default()
	text, file, err := readConfig(nameOrFile)
	if err != nil {
		return cfg, err
	}
	if err := overlay(file, text, &cfg); err != nil {
		return cfg, err
	}
	for _, o := range overrides {
		if err := set(o, &cfg); err != nil {
			return cfg, err
		}
	}
	return cfg, placed(cfg.validate(file), text, overrides)
}

func readConfig(nameOrFile string) (text []byte, file string, err error) {
	if slices.Contains(Shipped(), nameOrFile) {
		file = path.Join("configs", nameOrFile+".yaml")
		text, err = shipped.ReadFile(file)
		return text, file, err
	}
	if info, err := os.Stat(nameOrFile); err == nil && info.IsDir() {
		return nil, nameOrFile, &ConfigError{File: nameOrFile, Problem: "is a folder; name a YAML file, such as the config.yaml in a run folder"}
	}
	text, err = os.ReadFile(nameOrFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nameOrFile, &ConfigError{File: nameOrFile, Problem: "neither a file nor a shipped experiment",
			Nearest: table.NearestName(nameOrFile, Shipped()), Allowed: Shipped()}
	}
	return text, nameOrFile, err
}

// YAML is the resolved config as it is kept in the run folder.
func (c Config) YAML() ([]byte, error) { return yaml.Marshal(c) }

var experimentName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// validate checks what types cannot: values, and values that do not go together.
func (c Config) validate(file string) error {
	bad := func(key, problem string, allowed ...string) error {
		return &ConfigError{File: file, Key: key, Problem: problem, Allowed: allowed}
	}
	choice := func(key, value string, allowed ...string) error {
		if slices.Contains(allowed, value) {
			return nil
		}
		return &ConfigError{File: file, Key: key, Problem: fmt.Sprintf("%q is not known", value),
			Nearest: table.NearestName(value, allowed), Allowed: allowed}
	}
	if !experimentName.MatchString(c.Experiment) {
		return bad("experiment", fmt.Sprintf("%q is no name for a folder: lower-case letters and digits, joined by hyphens", c.Experiment))
	}
	if err := choice("data.source", c.Data.Source, SourcePhantom, SourcePublished, SourceReplication, SourcePrepared, SourceImported); err != nil {
		return err
	}
	if e := c.Evaluation; e.Bootstrap < 100 || e.Bootstrap > 1_000_000 {
		return bad("evaluation.bootstrap", fmt.Sprintf("%d resamples: between 100 and 1000000", e.Bootstrap))
	} else if !(e.RMSTDays > 0) {
		return bad("evaluation.rmst_days", "must be a positive number of days")
	}
	for i, ref := range c.References {
		if err := choice(fmt.Sprintf("references[%d].metric", i), ref.Metric, slices.Sorted(maps.Keys(metricWords))...); err != nil {
			return err
		}
		if err := choice(fmt.Sprintf("references[%d].role", i), ref.Role, "train", "tune", "test"); err != nil {
			return err
		}
	}
	if err := c.Comparison.validate(c.Analyses, c.Data.Source, bad, choice); err != nil {
		return err
	}
	if err := c.validateAnalyses(file, choice); err != nil {
		return err
	}
	if c.Data.Source != SourceImported && c.Data.Imported != (ImportedConfig{}) {
		return bad("data.imported", "file, sha256 and trained are for the folders that `hounsfield import` makes (data.source: imported); leave them out")
	}
	if c.Data.Source == SourceReplication {
		return nil
	}
	if c.Data.Source == SourcePublished {
		return choice("data.published.treatment", c.Data.Published.Treatment, "radiotherapy", "surgery")
	}
	return c.validateTraining(file, bad)
}

// validateTraining checks what only a run that trains a network needs.
func (c Config) validateTraining(file string, bad func(key, problem string, allowed ...string) error) error {
	var unknown *engine.UnknownEngineError
	if err := engine.CheckName(c.Backend); errors.As(err, &unknown) {
		return &ConfigError{File: file, Key: "backend", Problem: fmt.Sprintf("%q is not known", c.Backend),
			Nearest: table.NearestName(c.Backend, unknown.Allowed), Allowed: unknown.Allowed}
	}
	var setting *engine.SettingError
	if err := c.Compute.Validate(); errors.As(err, &setting) {
		return bad("compute."+setting.Field, fmt.Sprintf("%v cannot be used", setting.Value), setting.Allowed...)
	}
	if len(c.Seeds) == 0 {
		return bad("seeds", "at least one seed is needed, such as [1, 2, 3]")
	}
	seen := map[int64]bool{}
	for _, s := range c.Seeds {
		if seen[s] {
			return bad("seeds", fmt.Sprintf("seed %d stands there twice: the same network would be counted twice", s))
		}
		seen[s] = true
	}
	if c.Cube.Size < 8 || c.Cube.Size > 200 {
		return bad("cube.size", fmt.Sprintf("%d voxels: between 8 and 200", c.Cube.Size))
	}
	if !(c.Cube.SpacingMM >= 0.25 && c.Cube.SpacingMM <= 10) {
		return bad("cube.spacing_mm", fmt.Sprintf("%v mm: between 0.25 and 10", c.Cube.SpacingMM))
	}
	if c.Network.Input != c.Cube.Size {
		return bad("network.input", fmt.Sprintf("is %d, but cube.size is %d: the network reads the cube", c.Network.Input, c.Cube.Size))
	}
	for _, part := range []struct {
		key string
		err error
	}{{"network", c.Network.Validate()}, {"training", c.Training.ValidateFor(c.Network)}} {
		var field *cnn.SpecError
		switch {
		case part.err == nil:
		case !errors.As(part.err, &field):
			return bad(part.key, part.err.Error())
		case field.Field == "outputs": // the network's, also where the loss refuses it
			return bad("network.outputs", fmt.Sprintf("is %v: it must be %s", field.Value, field.Allowed))
		default:
			return bad(part.key+"."+field.Field, fmt.Sprintf("is %v: it must be %s", field.Value, field.Allowed))
		}
	}
	if c.Training.InitFrom == c.Experiment {
		return bad("training.init_from", fmt.Sprintf("%q is this experiment itself; give the experiment another name, or name the folder of one of its runs", c.Experiment))
	}
	if c.Augment.Shift < 0 || c.Augment.Shift > c.Cube.Size {
		return bad("augment.shift", fmt.Sprintf("%d voxels: between 0 and the cube's size", c.Augment.Shift))
	}
	switch c.Data.Source {
	case SourcePhantom:
		if err := c.Data.Phantom.Check(); err != nil {
			return bad("data.phantom", err.Error())
		}
	case SourcePrepared:
		p := c.Data.Prepared
		if p.Imaging == "" {
			return bad("data.prepared.imaging", "names no folder; give the one that `hounsfield prepare` wrote")
		}
		if !(p.TuneFraction > 0 && p.TestFraction > 0 && p.TuneFraction+p.TestFraction < 1) {
			return bad("data.prepared.tune_fraction", "tune_fraction and test_fraction must be positive and leave patients to train on")
		}
	}
	return nil
}

// inputSpec is the cube that networks read; zero where others made the scores.
func (c Config) inputSpec() volume.CubeSpec {
	if c.Data.scored() {
		return volume.CubeSpec{}
	}
	return volume.CubeSpec{Size: c.Cube.Size, SpacingMM: c.Cube.SpacingMM}
}

// cubeSpec is the cube with the margin that the augmentation shifts need.
func (c Config) cubeSpec() volume.CubeSpec {
	return volume.CubeSpec{Size: c.Cube.Size, SpacingMM: c.Cube.SpacingMM, Margin: c.Augment.Shift}
}
