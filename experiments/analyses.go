package experiments

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/analysis"
	"hounsfield/models/cnn"
)

// analysisComparison is made here and not in package analysis: the scores of the other
// predictors must be fixed before the test role is opened.
const analysisComparison = "forest_comparison"

// analysisNames are the analyses that a config can name, sorted.
func analysisNames() []string {
	return slices.Sorted(slices.Values(append(analysis.Names(), analysisComparison)))
}

// AnalysesHelp lists the analyses, a line each.
func AnalysesHelp() string {
	var lines []string
	for _, name := range analysisNames() {
		words := analysis.Words(name)
		if name == analysisComparison {
			words = "how forests, tumour size and clinical parameters predict beside the network"
		}
		lines = append(lines, fmt.Sprintf("  %-18s %s", name, words))
	}
	return strings.Join(lines, "\n")
}

// validateAnalyses checks the names of analyses, that the cohort can have what they need,
// and their settings.
func (c Config) validateAnalyses(file string, choice func(key, value string, allowed ...string) error) error {
	for i, name := range c.Analyses {
		key := fmt.Sprintf("analyses[%d]", i)
		bad := func(problem string) error { return &ConfigError{File: file, Key: key, Problem: problem} }
		if err := choice(key, name, analysisNames()...); err != nil {
			return err
		}
		if slices.Contains(c.Analyses[:i], name) {
			return bad(name + " stands there twice")
		}
		images, networks := analysis.Needs(name)
		if networks && (c.Data.scored() || c.Data.Source == SourceImported) {
			return bad(name + " needs networks that are trained in the run, and data.source " + c.Data.Source + " has none")
		}
		if images && c.Data.Source != SourcePhantom && c.Data.Source != SourcePrepared {
			return bad(name + " needs scans, and data.source " + c.Data.Source + " has none (phantom and prepared have)")
		}
		var setting *analysis.SettingError
		if err := analysis.Check(name, c.Analysis); errors.As(err, &setting) {
			return &ConfigError{File: file, Key: "analysis." + setting.Field, Problem: fmt.Sprintf("is %v: it must be %s", setting.Value, setting.Allowed)}
		} else if err != nil {
			return bad(err.Error())
		}
		if name == analysisGeneSets {
			if err := c.validateGeneSets(func(key, problem string) error { return &ConfigError{File: file, Key: key, Problem: problem} }); err != nil {
				return err
			}
		}
	}
	return nil
}

// analysisInputs hash what the analyses read besides the cohort.
func analysisInputs(c Config) ([]Input, error) {
	var out []Input
	for _, name := range c.Analyses {
		for _, file := range analysis.Files(name, c.Analysis) {
			sum, err := fileSHA256(file)
			if errors.Is(err, fs.ErrNotExist) && filepath.Base(file) == prepare.ImagingFile {
				err = &prepare.NotPreparedError{Folder: filepath.Dir(file), Err: err}
			}
			if err != nil {
				return nil, fmt.Errorf("the analysis %s reads %s: %w", name, file, err)
			}
			out = append(out, Input{Name: name + ": " + path.Base(file), SHA256: sum})
		}
	}
	return out, nil
}

// ready asks the analyses, before anything is trained, whether the patients have what they
// need.
func (r *runner) ready(s *study) error {
	for _, name := range r.cfg.Analyses {
		if err := analysis.Ready(name, &analysis.Input{
			Settings: r.cfg.Analysis, Cohort: s.cohort, Truth: s.truth, Cubes: s.cubes, Images: s.images, Phantom: s.made,
			Spec: r.cfg.inputSpec(), Level: Level, Jobs: r.env.Jobs, Dir: r.folder.Dir, Mirror: r.env.Mirror, Progress: r.env.Progress,
		}); err != nil {
			return err
		}
	}
	return nil
}

// analyse makes one analysis of a study whose test role has been opened, and writes down
// what it found.
func (r *runner) analyse(ctx context.Context, name string, s *study, ev *evaluation) error {
	r.env.Progress.Say("analysis %s", name)
	if name == analysisComparison {
		found, err := r.comparison(ctx, s, ev)
		if err != nil {
			return err
		}
		return r.keep(found, s, ev)
	}
	found, err := analysis.Run(ctx, name, &analysis.Input{
		Settings: r.cfg.Analysis, Cohort: s.cohort, Outcomes: ev.outcomes, Scores: s.scores, ScoredBy: s.scoredBy, Cut: ev.cut, Truth: s.truth,
		Cubes: s.cubes, Images: s.images, Networks: r.networks, Spec: r.cfg.inputSpec(), Phantom: s.made, Level: Level,
		Bootstrap: r.cfg.Evaluation.Bootstrap, Seed: r.cfg.Evaluation.BootstrapSeed, Jobs: r.env.Jobs,
		Dir: r.folder.Dir, Mirror: r.env.Mirror, Provenance: r.provenance(), Progress: r.env.Progress,
		Retrain: func(ctx context.Context, what string, cubes []*volume.Cube) ([]float64, error) {
			return r.retrain(ctx, s, what, cubes)
		},
	})
	if err != nil {
		return err
	}
	return r.keep(found, s, ev)
}

// keep writes down what an analysis found.
func (r *runner) keep(found *analysis.Result, s *study, ev *evaluation) error {
	for _, t := range found.Tables {
		if err := r.folder.writeTable(t.Name, t.Table, true); err != nil {
			return err
		}
	}
	for _, t := range found.Tables {
		if t.Has("metric") {
			ev.measured = append(ev.measured, t.Strings("metric")...)
		}
	}
	figures := make([]drawn, len(found.Figures))
	for i, f := range found.Figures {
		figures[i] = drawn{f.Name, f.Caption, f.SVG}
	}
	if err := r.folder.writeFigures(figures); err != nil {
		return err
	}
	s.exclusions = append(s.exclusions, found.Exclusions...)
	ev.sections, ev.found = append(ev.sections, found.Section), append(ev.found, found.Lines...)
	for _, line := range found.Lines {
		r.env.Progress.Say("  %s", line)
	}
	return r.writeExclusions(s)
}

func (r *runner) writeExclusions(s *study) error {
	return datasets.WriteExclusions(r.folder.path(tablesDir, exclusionsTable+".arrow"), s.exclusions, r.provenance())
}

// retrain trains the run's networks anew on other cubes of the same patients and gives the
// mean scores. What is trained is kept by the cubes' content.
func (r *runner) retrain(ctx context.Context, s *study, what string, cubes []*volume.Cube) ([]float64, error) {
	if len(cubes) != len(s.cubes) {
		return nil, fmt.Errorf("%s: %d cubes for %d patients", what, len(cubes), len(s.cubes))
	}
	arm := *s
	arm.cubes, arm.exclusions = cubes, nil // who cannot be learned from has been named before
	models, err := r.trainNetworks(ctx, &arm, path.Join(checkpointsDir, "cubes-"+cubesSHA256(cubes)[:12]), what+": ", func(int, []cnn.EpochRecord) {})
	if err != nil {
		return nil, fmt.Errorf("training on %s: %w", what, err)
	}
	networks := *r.networks
	networks.Models = models
	return networks.Score(ctx, cubes)
}

// cubesSHA256 digests the voxels of cubes in their order.
func cubesSHA256(cubes []*volume.Cube) string {
	h := sha256.New()
	var b []byte
	for i, c := range cubes {
		if c == nil {
			continue
		}
		b = binary.LittleEndian.AppendUint64(b[:0], uint64(i))
		for _, v := range c.HU {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// trainingOf is the part of a config that decides the networks.
func trainingOf(c Config) Config {
	d := Default()
	c.Experiment, c.Description, c.References = d.Experiment, d.Description, d.References
	c.Evaluation, c.Comparison, c.Analyses, c.Analysis = d.Evaluation, d.Comparison, d.Analyses, d.Analysis
	return c
}
