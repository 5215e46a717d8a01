package experiments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"hounsfield/experiments/progress"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// Env is what a run takes from its surroundings. Of these only Code can change a
// number, and the runs that training.init_from is looked for in; code and initial
// weights are part of the run's hash.
type Env struct {
	Runs     string             // folder that holds run folders
	Mirror   string             // --mirror: data folder to read instead of the fetched one; "" = look it up
	Cache    string             // folder for cubes, kept between runs
	Code     string             // sha256 of the program's source files
	DataCode string             // sha256 of those that make cubes; a change makes them anew
	Jobs     int                // workers; 0 = all cores
	Progress *progress.Progress // nil = silent
}

// Done is what a run leaves.
type Done struct {
	Dir     string // the run folder
	Already bool   // the run was there before and nothing was computed
	Metrics []Metric
	// Findings are the main ones of the analyses, a line each.
	Findings []string
	Config   Config
}

// Run runs an experiment, or continues it where it stopped, or finds it done. The
// same config, data, code and engine lead to the same folder.
//
// Errors: *ConfigError, *BusyError, *InitError, *MemoryError, those of packages engine
// and cnn, missing data (with the command that gets it), ctx.Err() when cancelled; the
// folder then holds what was finished and a next Run goes on from there.
func Run(ctx context.Context, cfg Config, env Env) (*Done, error) {
	return runWith(ctx, cfg, env, func(cnn.EpochRecord) {})
}

// runWith is Run that tells of each epoch trained.
func runWith(ctx context.Context, cfg Config, env Env, onEpoch func(cnn.EpochRecord)) (*Done, error) {
	if cfg.Data.Source == SourceImported {
		return nil, errImported
	}
	if env.Jobs < 1 {
		env.Jobs = runtime.GOMAXPROCS(0)
	}
	eng, backend, err := openEngine(cfg)
	if err != nil {
		return nil, err
	}
	if eng != nil {
		defer eng.Close()
	}
	plan, err := planRun(cfg, env, backend)
	if err != nil {
		return nil, err
	}
	cfg, from := plan.cfg, plan.from
	resolved, err := cfg.YAML()
	if err != nil {
		return nil, err
	}
	f, err := openFolder(env.Runs, cfg.Experiment, plan.hash)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if missing := f.Manifest.missing(f.Dir); f.Manifest.Status == StatusDone && len(missing) > 0 {
		env.Progress.Say("the run in %s was done, but %s not there any more: what is missing is made again", f.Dir, strings.Join(missing, ", "))
	} else if f.Manifest.Status == StatusDone {
		metrics, err := readMetrics(f.Dir)
		if err != nil {
			return nil, fmt.Errorf("the run in %s says it is done, but its metrics cannot be read: %w; delete the folder and run again", f.Dir, err)
		}
		return &Done{Dir: f.Dir, Already: true, Metrics: metrics, Findings: f.Manifest.Findings, Config: cfg}, nil
	}
	if err := writeFile(f.path("config.yaml"), resolved); err != nil {
		return nil, err
	}
	if eng != nil {
		f.Manifest.Training = plan.training
	}
	if err := f.begin(env, backend, cfg, plan.inputs, from.record()); err != nil {
		return nil, err
	}
	env.Progress.Say("run folder %s", f.Dir)
	if from != nil {
		env.Progress.Say("%s", from.says())
	}
	r := &runner{cfg: cfg, env: env, folder: f, engine: eng, from: from, onEpoch: onEpoch}
	metrics, err := r.run(ctx, plan.src)
	switch {
	case err == nil:
		return &Done{Dir: f.Dir, Metrics: metrics, Findings: f.Manifest.Findings, Config: cfg}, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("stopped; type the same command again to go on from here: %w", ctx.Err())
	default:
		return nil, f.fail(withMemoryAdvice(err, f.Dir))
	}
}

// runner is one run under way.
type runner struct {
	cfg       Config
	env       Env
	folder    *Folder
	engine    *engine.Engine
	from      *origin // where the networks begin; nil for random weights
	onEpoch   func(cnn.EpochRecord)
	networks  *scoring.Networks   // once trained; nil when nothing is trained
	histories [][]cnn.EpochRecord // aligned with cfg.Seeds; nil when nothing is trained
}

func (r *runner) run(ctx context.Context, src source) ([]Metric, error) {
	var s *study
	err := r.folder.stage("read the cohort", func() (err error) {
		s, err = src.study(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Before hours of training, not after.
	if err := s.knows(r.cfg.Evaluation.Without); err != nil {
		return nil, err
	}
	if err := r.from.knowsNone(s.cohort); err != nil {
		return nil, err
	}
	if err := r.ready(s); err != nil {
		return nil, err
	}
	if s.cubes != nil {
		if err := r.folder.stage("train", func() error { return r.train(ctx, s) }); err != nil {
			return nil, err
		}
	}
	var ev *evaluation
	if err := r.folder.stage("evaluate", func() (err error) { ev, err = r.evaluate(ctx, s); return err }); err != nil {
		return nil, err
	}
	for _, name := range r.cfg.Analyses {
		if err := r.folder.stage("analysis "+name, func() error { return r.analyse(ctx, name, s, ev) }); err != nil {
			return nil, err
		}
	}
	if err := r.folder.stage("figures and report", func() error { return r.report(s, ev) }); err != nil {
		return nil, err
	}
	r.folder.Manifest.Findings = ev.found
	return ev.metrics, r.folder.finish()
}

// provenance is written into the metadata of every table: what made it, without a
// clock, so that tables repeat byte for byte.
func (r *runner) provenance() map[string]string {
	return map[string]string{
		"software": "hounsfield", "experiment": r.cfg.Experiment, "run": r.folder.Manifest.Hash, "code": r.env.Code,
		"note": "research software, not a medical device",
	}
}

// evaluate fixes the scores on disk, opens the test role once, and writes the
// tables that follow from it.
func (r *runner) evaluate(ctx context.Context, s *study) (*evaluation, error) {
	p := r.provenance()
	if err := r.fixRivals(ctx, s); err != nil {
		return nil, err
	}
	scores, err := scoresOf(s, p)
	if err != nil {
		return nil, err
	}
	if err := r.folder.writeTable(scoresTable, scores, false); err != nil {
		return nil, err
	}
	ev, err := evaluate(s, r.cfg.Evaluation, r.openTest)
	if err != nil {
		return nil, err
	}
	predictions, err := predictionsOf(s, ev.cut, ev.outcomes, p)
	if err != nil {
		return nil, err
	}
	metrics, err := metricsTableOf(ev.metrics, p)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		r.folder.writeTable(predictionsTable, predictions, true),
		r.folder.writeTable(metricsTable, metrics, true),
		s.cohort.Write(r.folder.path(tablesDir, cohortTable+".arrow"), p),
		s.cohort.Write(r.folder.path(tablesDir, cohortTable+".parquet"), p),
		r.writeExclusions(s),
	); err != nil {
		return nil, err
	}
	if err := r.agreement(s, ev); err != nil {
		return nil, err
	}
	if r.histories == nil {
		return ev, nil
	}
	history, err := historyOf(r.cfg.Seeds, r.histories, p)
	if err != nil {
		return nil, err
	}
	return ev, r.folder.writeTable(historyTable, history, false)
}

// openTest writes into the manifest that the test role's outcomes are read now, and
// with which scores. A continued run may read them again with the same scores only:
// otherwise the test role would have been used to choose.
func (r *runner) openTest() error {
	digest, err := fileSHA256(r.folder.path(tablesDir, scoresTable+".arrow"))
	if err != nil {
		return err
	}
	m := r.folder.Manifest
	if m.TestOpened != nil {
		if m.TestOpened.ScoresSHA256 != digest {
			return fmt.Errorf("the test role of this run was opened on %s with other scores (%s...) than the ones now computed (%s...); "+
				"delete the run folder to start an honest new run", m.TestOpened.Time.Format(time.DateOnly), m.TestOpened.ScoresSHA256[:12], digest[:12])
		}
		return nil
	}
	m.TestOpened = &TestOpening{Time: time.Now().UTC().Truncate(time.Second), By: "evaluate", ScoresSHA256: digest}
	return m.write(r.folder.Dir)
}

// DefaultCache is where cubes are kept between runs.
func DefaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "hounsfield", "cubes")
}

// digest is the hex sha256 of some text.
func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
