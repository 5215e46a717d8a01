package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/analysis"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
	"hounsfield/models/engine"
	"hounsfield/stats"
)

// Opened is a finished run with its networks ready to score.
type Opened struct {
	Dir      string
	Config   Config
	Manifest *Manifest
	Networks *scoring.Networks
	env      Env
}

// OpenRun opens a finished run that trained networks, or a folder of imported ones. The
// checkpoints must be those that the run ended with: one that is cut is passed over for the
// one before, whose network has other scores. Where the run's engine is not usable here,
// another one scores: engines agree to the last digits. Close it after use.
func OpenRun(run string, env Env) (*Opened, error) {
	m, err := ReadManifest(run)
	if err != nil {
		return nil, err
	}
	cfg, err := Load(filepath.Join(run, "config.yaml"))
	if err != nil {
		return nil, fmt.Errorf("the run in %s cannot be used: %w; delete the folder and run again", run, err)
	}
	if m.Status != StatusDone {
		return nil, fmt.Errorf("the run in %s is not finished (%s); finish it with `hounsfield run %s`", run, m.Status, filepath.Join(run, "config.yaml"))
	}
	if cfg.Data.scored() {
		return nil, fmt.Errorf("the run in %s judged published scores and holds no network; name a run that trained one, such as `hounsfield run phantom`", run)
	}
	if err := m.intact(run, "config.yaml", tablesDir+"/"+scoresTable+".arrow", checkpointsDir+"/"); err != nil {
		return nil, err
	}
	eng, err := openScorer(cfg, env.Progress)
	if err != nil {
		return nil, err
	}
	o := &Opened{Dir: run, Config: cfg, Manifest: m, env: env,
		Networks: &scoring.Networks{Engine: eng, Seeds: cfg.Seeds, Size: cfg.Cube.Size, MM: cfg.Cube.SpacingMM}}
	for _, seed := range cfg.Seeds {
		net, err := cnn.Load(checkpointDir(run, seed))
		if err != nil {
			o.Close()
			return nil, err
		}
		o.Networks.Models = append(o.Networks.Models, net)
	}
	if o.env.Jobs < 1 {
		o.env.Jobs = runtime.GOMAXPROCS(0)
	}
	return o, nil
}

// openScorer opens a config's engine, or another where that is not to be had here.
func openScorer(cfg Config, p *progress.Progress) (*engine.Engine, error) {
	compute := cfg.Compute
	compute.Devices = 1 // one scores as well, and this machine may have no more
	eng, err := engine.OpenWith(cfg.Backend, compute)
	var missing *engine.LibraryError
	if errors.As(err, &missing) {
		p.Say("the run was trained on %s, which is not usable here (%v): another engine scores instead", cfg.Backend, err)
		return engine.Open(engine.Auto)
	}
	return eng, err
}

// Close gives the engine back.
func (o *Opened) Close() { o.Networks.Engine.Close() }

// Input reads the run's patients again, as its analyses saw them: cohort, outcomes, cubes,
// scans, and the scores that were fixed before the test role was opened. It has no Retrain.
// What the patients are read from must be what the run read: otherwise its scores would stand
// beside other cubes.
func (o *Opened) Input(ctx context.Context) (*analysis.Input, error) {
	src, err := openSource(o.Config, o.env)
	if err != nil {
		return nil, err
	}
	if err := o.sameInputs(src.inputs()); err != nil {
		return nil, err
	}
	s, err := src.study(ctx)
	if err != nil {
		return nil, err
	}
	env := o.env
	env.Runs = cmp.Or(env.Runs, filepath.Dir(o.Dir))
	located, err := locateGeneSets(o.Config, env)
	if err != nil {
		return nil, err
	}
	in := &analysis.Input{
		Settings: located.Analysis, Cohort: s.cohort, ScoredBy: s.scoredBy, Truth: s.truth, Cubes: s.cubes, Images: s.images,
		Networks: o.Networks, Spec: o.Config.inputSpec(), Phantom: s.made, Level: Level, Bootstrap: o.Config.Evaluation.Bootstrap, Seed: o.Config.Evaluation.BootstrapSeed,
		Jobs: o.env.Jobs, Dir: o.Dir, Mirror: o.env.Mirror, Progress: o.env.Progress,
	}
	if in.Outcomes, err = o.outcomes(s.cohort); err != nil {
		return nil, err
	}
	if in.Scores, err = o.scores(s.cohort); err != nil {
		return nil, err
	}
	tune, err := tuneScores(o.Dir)
	if err != nil {
		return nil, err
	}
	in.Cut, err = stats.Median(tune)
	return in, err
}

// sameInputs holds what patients are read from now against what the run read.
func (o *Opened) sameInputs(now []Input) error {
	for _, is := range now {
		if i := slices.IndexFunc(o.Manifest.Inputs, func(was Input) bool { return was.Name == is.Name }); i >= 0 && o.Manifest.Inputs[i].SHA256 != is.SHA256 {
			return fmt.Errorf("%s has changed since the run in %s read it (sha256 %.12s, then %.12s): its scores are of other patients or cubes; run again with `hounsfield run %s`",
				is.Name, o.Dir, is.SHA256, o.Manifest.Inputs[i].SHA256, filepath.Join(o.Dir, "config.yaml"))
		}
	}
	return nil
}

// outcomes are those of all patients. The test role's were read by the run.
func (o *Opened) outcomes(c *datasets.Cohort) ([]datasets.Outcome, error) {
	out := make([]datasets.Outcome, len(c.Patients))
	for _, role := range []datasets.Role{datasets.Train, datasets.Tune, datasets.Test} {
		of := func() ([]datasets.Outcome, error) { return c.Outcomes(role) }
		if role == datasets.Test {
			of = func() ([]datasets.Outcome, error) {
				return c.OpenTest(func() error {
					if o.Manifest.TestOpened == nil {
						return fmt.Errorf("the run in %s did not open the test role", o.Dir)
					}
					return nil
				})
			}
		}
		known, err := of()
		if err != nil {
			return nil, err
		}
		for k, i := range c.Of(role) {
			out[i] = known[k]
		}
	}
	return out, nil
}

// scores are the run's, aligned with the cohort; NaN where there is none.
func (o *Opened) scores(c *datasets.Cohort) ([]float64, error) {
	t, err := table.Read(filepath.Join(o.Dir, tablesDir, scoresTable+".arrow"), table.Schema{Name: scoresTable, Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true}, {Name: "score", Type: table.Float64, Nullable: true}}}, table.Ignore)
	if err != nil {
		return nil, err
	}
	by := map[string]float64{}
	for i, id := range t.Strings("patient_id") {
		by[id] = t.Float64s("score")[i]
	}
	out := scoring.NaN(len(c.Patients))
	for i, p := range c.Patients {
		if v, ok := by[p.ID]; ok {
			out[i] = v
		}
	}
	return out, nil
}
