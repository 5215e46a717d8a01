package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
	"hounsfield/experiments/analysis"
)

const analysisGeneSets = "gene_sets"

// locateGeneSets finds what the settings of gene_sets only name: the data set that holds the
// sets, and the run to stand beside this one. Of that run the tables count that are read, by
// their content, and not how it was found. Errors: *ConfigError, those of package catalog.
func locateGeneSets(cfg Config, env Env) (Config, error) {
	if !slices.Contains(cfg.Analyses, analysisGeneSets) {
		return cfg, nil
	}
	s := &cfg.Analysis.GeneSets
	var err error
	if s.SetsFile, err = setsFile(s.Sets, env.Mirror); err != nil || s.Beside == "" {
		return cfg, err
	}
	bad := func(problem string) (Config, error) {
		return cfg, &ConfigError{File: cfg.Experiment, Key: "analysis.gene_sets.beside", Problem: fmt.Sprintf("%q %s", s.Beside, problem)}
	}
	dir, _, err := findRun(s.Beside, env.Runs)
	var lost *InitError
	if errors.As(err, &lost) {
		at := ""
		if lost.Run != "" {
			at = "leads to " + lost.Run + ", which "
		}
		return bad(at + "is " + strings.TrimPrefix(lost.Problem, "is ") + "; " + lost.Next)
	} else if err != nil {
		return cfg, err
	}
	m, err := ReadManifest(dir)
	if err != nil {
		return cfg, err
	}
	tables := analysis.BesideTables()
	switch {
	case m.Status != StatusDone:
		return bad(fmt.Sprintf("leads to %s, which is not finished (%s); finish it with `hounsfield run %s`", dir, m.Status, filepath.Join(dir, "config.yaml")))
	case m.Outputs[tables[0]] == "":
		return bad(fmt.Sprintf("leads to %s, which did not make the analysis gene_sets; add it to that run's analyses and run it again", dir))
	}
	if err := m.intact(dir, tables...); err != nil {
		return bad("is damaged: " + err.Error())
	}
	s.BesideDir = dir
	if inside, err := sameFolder(filepath.Dir(dir), env.Runs); err == nil && inside {
		s.Beside = filepath.Base(dir)
	} else {
		s.Beside = dir
	}
	return cfg, nil
}

// setsFile is the GMT file that a setting leads to: a file, or a data set that holds one.
func setsFile(sets, mirror string) (string, error) {
	if sets == "" {
		return "", nil
	}
	if info, err := os.Stat(sets); err == nil && info.Mode().IsRegular() {
		return sets, nil
	}
	if strings.ContainsAny(sets, `/\.`) {
		return "", &ConfigError{File: "gene_sets", Key: "analysis.gene_sets.sets", Problem: fmt.Sprintf("%q is no file", sets), Allowed: geneSetDataSets()}
	}
	entry, err := catalog.Load(sets)
	gmt := ""
	if err == nil {
		gmt = gmtOf(entry)
	}
	if gmt == "" {
		return "", &ConfigError{File: "gene_sets", Key: "analysis.gene_sets.sets", Problem: fmt.Sprintf("%q is neither a GMT file nor a data set that holds one", sets),
			Nearest: table.NearestName(sets, geneSetDataSets()), Allowed: geneSetDataSets()}
	}
	root, _, err := catalog.Locate(entry, mirror)
	return filepath.Join(root, filepath.FromSlash(gmt)), err
}

// gmtOf is an entry's first file of gene sets that is no option.
func gmtOf(e catalog.Entry) string {
	for _, f := range e.Files {
		if !f.Optional && strings.HasSuffix(f.Path, ".gmt") {
			return f.Path
		}
	}
	return ""
}

func geneSetDataSets() []string {
	var out []string
	for _, name := range catalog.Names() {
		if e, err := catalog.Load(name); err == nil && gmtOf(e) != "" {
			out = append(out, name)
		}
	}
	return out
}

// validateGeneSets checks what the analysis' own check cannot know.
func (c Config) validateGeneSets(bad func(key, problem string) error) error {
	s := c.Analysis.GeneSets
	if s.Expression == "" && c.Data.Source != SourcePhantom {
		return bad("analysis.gene_sets.expression", "names no table of genes x patients, and only the phantom has one of its own")
	}
	if s.Beside == c.Experiment {
		return bad("analysis.gene_sets.beside", fmt.Sprintf("%q is this experiment itself; name another one, or the folder of one of its runs", s.Beside))
	}
	return nil
}
