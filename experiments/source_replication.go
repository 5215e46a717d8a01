package experiments

import (
	"context"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
)

// replicationSource reads the re-run of the published network beside its released
// scores.
type replicationSource struct {
	root  string // data folder
	files []Input
}

func openReplication(env Env) (*replicationSource, error) {
	s := &replicationSource{}
	// The cut comes from the release, the re-run is held against it.
	for _, name := range []string{"hosny2018", "idc-replication"} {
		entry, err := catalog.Load(name)
		if err != nil {
			return nil, err
		}
		if s.root, _, err = catalog.Locate(entry, env.Mirror); err != nil {
			return nil, err
		}
	}
	// Reading names the files; the numbers are read again, from files hashed now.
	read, err := datasets.ReadReplication(s.root)
	if err != nil {
		return nil, err
	}
	s.files, err = hashInputs(s.root, read.Files)
	return s, err
}

func (r *replicationSource) inputs() []Input { return r.files }

func (r *replicationSource) study(context.Context) (*study, error) {
	read, err := datasets.ReadReplication(r.root)
	if err != nil {
		return nil, err
	}
	return &study{cohort: read.Cohort, exclusions: read.Exclusions, scores: read.Scores, original: read.Original,
		scoredBy: scoredByRerun, scoreSource: read.ScoreColumn.Source}, nil
}
