package experiments

import (
	"context"
	"path/filepath"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
)

// publishedSource reads the study's released tables.
type publishedSource struct {
	cfg   Config
	root  string // data folder
	files []Input
}

func openPublished(cfg Config, env Env) (*publishedSource, error) {
	entry, err := catalog.Load("hosny2018")
	if err != nil {
		return nil, err
	}
	p := &publishedSource{cfg: cfg}
	if p.root, _, err = catalog.Locate(entry, env.Mirror); err != nil {
		return nil, err
	}
	// Reading names the files; the numbers are read again, from files hashed now.
	read, err := datasets.ReadPublished(p.root, cfg.Data.Published.Treatment)
	if err != nil {
		return nil, err
	}
	files := read.Files
	if cfg.Comparison.Meta {
		other, err := datasets.ReadPublished(p.root, treatmentBeside(cfg.Data.Published.Treatment))
		if err != nil {
			return nil, err
		}
		files = append(files, other.Files...)
	}
	p.files, err = hashInputs(p.root, files)
	return p, err
}

// hashInputs digests files below a data folder.
func hashInputs(root string, files []string) ([]Input, error) {
	var out []Input
	for _, f := range files {
		sum, err := fileSHA256(filepath.Join(root, filepath.FromSlash(f)))
		if err != nil {
			return nil, err
		}
		out = append(out, Input{Name: f, SHA256: sum})
	}
	return out, nil
}

func (p *publishedSource) inputs() []Input { return p.files }

func (p *publishedSource) study(context.Context) (*study, error) {
	read, err := datasets.ReadPublished(p.root, p.cfg.Data.Published.Treatment)
	if err != nil {
		return nil, err
	}
	return &study{cohort: read.Cohort, exclusions: read.Exclusions, scores: read.Scores,
		scoredBy: scoredByPublished, scoreSource: read.ScoreColumn.Source}, nil
}
