package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"hounsfield/models/cnn"
	"hounsfield/models/weights"
)

// WeightsError says why a run's networks cannot be exported, or a file's imported.
type WeightsError struct {
	What    string // the run folder, file or setting
	Problem string
	Next    string // what to do about it
	Err     error  // may be nil
}

func (e *WeightsError) Error() string {
	s := e.What + " " + e.Problem
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s + "; " + e.Next
}

func (e *WeightsError) Unwrap() error { return e.Err }

const (
	noMedicalDevice = "research software, not a medical device"
	// metaTrained is the metadata of exported files that says what ImportedConfig.Trained does.
	metaTrained = "hounsfield.trained_on"
	// metaLoss is the loss that was learned, where it is not cross entropy.
	metaLoss = "hounsfield.loss"
	// weightsLicence goes into exported files: the program cannot know more.
	weightsLicence = "The program is under the Apache License 2.0. What may be done with these weights depends on the data they were trained on: ask whoever holds those."
)

// ExportOptions are the choices of `hounsfield export`.
type ExportOptions struct {
	Run  string
	Out  string // .onnx
	Seed *int64 // only the network of this seed; nil: all, with their mean
}

// Export writes the networks of a finished run as one ONNX model, in which the run's
// score, the mean risk of death over its networks, is computed from normalised cubes.
//
// Errors: *WeightsError; *cnn.CheckpointError.
func Export(o ExportOptions, w io.Writer) error {
	if filepath.Ext(o.Out) != ".onnx" {
		return &WeightsError{What: "--out " + o.Out, Problem: "names no ONNX file", Next: "end the name in .onnx"}
	}
	m, err := ReadManifest(o.Run)
	if err != nil {
		return err
	}
	bad := func(problem, next string, err error) error {
		return &WeightsError{What: "the run in " + o.Run, Problem: problem, Next: next, Err: err}
	}
	cfg, err := Load(filepath.Join(o.Run, "config.yaml"))
	if err != nil {
		return bad("has a config that cannot be read", "delete the folder and run again", err)
	}
	switch {
	case m.Status != StatusDone:
		return bad(fmt.Sprintf("is not finished (%s)", m.Status), fmt.Sprintf("finish it with `hounsfield run %s`", filepath.Join(o.Run, "config.yaml")), nil)
	case cfg.Data.scored():
		return bad("judged published scores and holds no network", "name a run that trained one, such as `hounsfield run phantom`", nil)
	}
	if err := m.intact(o.Run, "config.yaml", "checkpoints/"); err != nil {
		return err
	}
	seeds := m.Seeds
	if o.Seed != nil {
		if !slices.Contains(m.Seeds, *o.Seed) {
			return bad(fmt.Sprintf("has no seed %d", *o.Seed), fmt.Sprintf("name one of %d", m.Seeds), nil)
		}
		seeds = []int64{*o.Seed}
	}
	var members []weights.Member
	for _, seed := range seeds {
		net, err := cnn.Load(checkpointDir(o.Run, seed))
		if err != nil {
			return err
		}
		members = append(members, weights.Member{Name: fmt.Sprintf("seed%d", seed), Model: net})
	}
	names, err := json.Marshal(seeds)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	meta := map[string]string{
		"hounsfield.experiment": m.Experiment, "hounsfield.run": m.Hash, "hounsfield.code": m.Code, "hounsfield.seeds": string(names), metaTrained: cfg.trainedOn(),
		"input":   fmt.Sprintf("cube: float32 [batch, z, y, x], %d voxels of %g mm along each edge around the tumour's centre of mass, z upwards, each (HU + 1024) / 4095", cfg.Cube.Size, cfg.Cube.SpacingMM),
		"output":  "risk: float32 [batch], predicted risk of death within two years, the mean over the networks; higher is worse",
		"licence": weightsLicence, "note": noMedicalDevice,
	}
	if cfg.Training.Survival() {
		meta[metaLoss] = cfg.Training.Loss
	}
	if cfg.Training.Loss == cnn.LossCox {
		meta["output"] = "risk: float32 [batch], the logistic function of Cox's log hazard, the mean over the networks: an order of risk, no probability; higher is worse"
	}
	err = weights.WriteONNX(&text, members, meta)
	if err != nil {
		return bad("cannot be exported", "look at the checkpoints", err)
	}
	if err := writeFile(o.Out, text.Bytes()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %d network(s) of run %s, %.1f MB, sha256 %s\n"+
		"  input  cube [batch, %d, %d, %d]: z, y, x, each (HU + 1024) / 4095\n"+
		"  output risk [batch]: mean risk of death, higher is worse; network_risk [batch, %d]; logits\nResearch software, not a medical device.\n",
		o.Out, len(members), filepath.Base(o.Run), float64(text.Len())/1e6, digest(text.Bytes()), cfg.Cube.Size, cfg.Cube.Size, cfg.Cube.Size, len(members))
	return err
}

// ImportedConfig names the file that an imported network came from.
type ImportedConfig struct {
	File   string `yaml:"file"`
	SHA256 string `yaml:"sha256"`
	// Trained is the source of patients that an exporting run was trained on; "" = not known.
	Trained string `yaml:"trained,omitempty"`
}

// trainedOn is the source of the patients that a run's networks were trained on.
func (c Config) trainedOn() string {
	if c.Data.Source == SourceImported {
		return c.Data.Imported.Trained
	}
	return c.Data.Source
}

var errImported = &WeightsError{What: "the config", Problem: "is of an imported network: there is nothing to train",
	Next: "score with it (`hounsfield predict`), train on from it (training.init_from) or write it as ONNX (`hounsfield export`)"}

// importedSource stands for the file that was imported.
type importedSource struct{ cfg Config }

func (s importedSource) inputs() []Input {
	return []Input{{Name: s.cfg.Data.Imported.File, SHA256: s.cfg.Data.Imported.SHA256}}
}

func (importedSource) study(context.Context) (*study, error) { return nil, errImported }

// ImportOptions are the choices of `hounsfield import`.
type ImportOptions struct {
	File         string
	Spec         string  // hosny2018, small, or a config whose network it is; "" = what the file says, else hosny2018
	Out          string  // folder to make
	SpacingMM    float64 // of the cubes that the network was trained on
	KerasVersion string  // see weights.Options
}

// specNamed is a network by its name.
func specNamed(name string) (cnn.Spec, error) {
	switch name {
	case "hosny2018":
		return cnn.Hosny2018(), nil
	case "small":
		return cnn.Small(), nil
	}
	cfg, err := Load(name)
	if err != nil {
		return cnn.Spec{}, &WeightsError{What: "--spec " + name, Problem: "is neither hosny2018 nor small nor a config", Next: "name one of those", Err: err}
	}
	return cfg.Network, nil
}

var notForNames = regexp.MustCompile(`[^a-z0-9]+`)

// Import reads the weights that others trained into a folder that predict, export and
// training.init_from use like that of a run. The folder appears whole or not at all.
//
// Errors: *WeightsError; those of weights.Read.
func Import(o ImportOptions, env Env, w io.Writer) error {
	if _, err := os.Lstat(o.Out); err == nil {
		return &WeightsError{What: "--out " + o.Out, Problem: "is there already", Next: "name a folder that is not"}
	}
	hosny := cnn.Hosny2018()
	options := weights.Options{Otherwise: &hosny, KerasVersion: o.KerasVersion}
	if o.Spec != "" {
		spec, err := specNamed(o.Spec)
		if err != nil {
			return err
		}
		options.Spec = &spec
	}
	in, err := weights.Read(o.File, options)
	if err != nil {
		return err
	}
	sum, err := fileSHA256(o.File)
	if err != nil {
		return err
	}
	cfg := importedConfig(o, in, sum)
	if err := cfg.validate("the imported network's config"); err != nil {
		return &WeightsError{What: o.File, Problem: "holds a network that a config cannot describe", Next: "import another file", Err: err}
	}
	text, err := cfg.YAML()
	if err != nil {
		return err
	}
	parent := filepath.Dir(filepath.Clean(o.Out))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return &WeightsError{What: "--out " + o.Out, Problem: "cannot be made", Next: "name a place that can be written to", Err: err}
	}
	dir, err := os.MkdirTemp(parent, ".import-*")
	if err != nil {
		return &WeightsError{What: "--out " + o.Out, Problem: "cannot be made", Next: "name a place that can be written to", Err: err}
	}
	defer os.RemoveAll(dir) // nothing once it bears its name
	now := time.Now().UTC().Truncate(time.Second)
	inputs := importedSource{cfg}.inputs()
	backend := Backend{Name: "none", Why: "the networks were imported", OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}
	f := &Folder{Dir: dir, Manifest: &Manifest{Experiment: cfg.Experiment, Hash: runHash(text, inputs, env.Code, backend.Name), Code: env.Code,
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Modules: modules(), Backend: backend, Seeds: cfg.Seeds, Inputs: inputs, Started: now}}
	if err := writeFile(f.path("config.yaml"), text); err != nil {
		return err
	}
	for i, m := range in.Models {
		if err := m.Save(checkpointDir(dir, cfg.Seeds[i])); err != nil {
			return err
		}
	}
	if err := f.finish(); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Rename(dir, o.Out)); err != nil {
		return &WeightsError{What: "--out " + o.Out, Problem: "cannot be made", Next: "name a folder that is not there yet", Err: err}
	}
	trainable, fixed, err := cfg.Network.Parameters()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %d network(s) of %d numbers from %s (%s)\n", o.Out, len(in.Models), trainable+fixed, filepath.Base(o.File), in.Kind)
	for _, n := range in.Notes {
		fmt.Fprintln(w, " ", n)
	}
	fmt.Fprintf(w, "Score patients with `hounsfield predict %s DICOM-FOLDER`, or train on from it with training.init_from: %s.\nResearch software, not a medical device.\n", o.Out, o.Out)
	return err
}

// importedConfig describes imported networks as a run's config would.
func importedConfig(o ImportOptions, in *weights.Imported, sum string) Config {
	cfg := Default()
	name := filepath.Base(o.File)
	cfg.Experiment = strings.Trim("imported-"+notForNames.ReplaceAllString(strings.ToLower(strings.TrimSuffix(name, filepath.Ext(name))), "-"), "-")
	cfg.Description = strings.Join(append([]string{fmt.Sprintf("Networks imported from %s, %s.", name, in.Kind)}, in.Notes...), " ")
	cfg.Data.Source, cfg.Data.Imported = SourceImported, ImportedConfig{File: name, SHA256: sum, Trained: in.Meta[metaTrained]}
	cfg.Network = in.Models[0].Spec
	cfg.Cube = CubeConfig{Size: cfg.Network.Input, SpacingMM: o.SpacingMM}
	cfg.Augment.Shift = min(cfg.Augment.Shift, cfg.Cube.Size)
	if in.Meta[metaLoss] == cnn.LossCox {
		cfg.Training.Loss = cnn.LossCox
	}
	if ends := in.Models[0].Intervals; ends != nil {
		cfg.Training.Loss, cfg.Training.Intervals = cnn.LossDiscreteTime, ends
		cfg.Network.Outputs = 0 // training gives each interval its output
	}
	cfg.Seeds = nil
	for i := range in.Models {
		cfg.Seeds = append(cfg.Seeds, int64(i+1))
	}
	return cfg
}
