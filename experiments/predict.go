package experiments

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
	"hounsfield/stats"
)

// PredictOptions are the choices of `hounsfield predict`.
type PredictOptions struct {
	Run, Folder string
	Dataset     string   // catalog entry whose ROI rule holds
	ROI         []string // overrides the entry's rule
	Out         string   // also write the scores there (.arrow or .parquet); "" = print only
	Progress    *progress.Progress
}

// Predict scores every patient in a folder tree of DICOM with the networks of a
// finished run: risk of death (see Config.scoreWords; higher is worse), where that stands
// among the run's tune patients, and on which side of the run's cut.
func Predict(ctx context.Context, o PredictOptions, w io.Writer) error {
	if ext := filepath.Ext(o.Out); o.Out != "" && ext != ".arrow" && ext != ".parquet" {
		return fmt.Errorf("--out %s: the ending %q names no table format; end the name in .arrow or .parquet", o.Out, ext)
	}
	run, err := OpenRun(o.Run, Env{Progress: o.Progress})
	if err != nil {
		return err
	}
	defer run.Close()
	cfg := run.Config
	rule, err := roiRule(o.Dataset, o.ROI)
	if err != nil {
		return err
	}
	var peers *peers // an imported network comes without patients to compare with
	if cfg.Data.Source != SourceImported {
		if peers, err = peersOf(o.Run); err != nil {
			return err
		}
	}
	o.Progress.Say("reading the scans in %s", o.Folder)
	patients, lost, err := prepare.Folder(ctx, o.Folder, o.Dataset, rule, cfg.cubeSpec())
	if err != nil {
		return err
	}
	if len(patients) == 0 {
		printExclusions(lost, w)
		return fmt.Errorf("no patient of %s could be scored; the reasons stand above, or the folder holds no DICOM", o.Folder)
	}
	cubes := make([]*volume.Cube, len(patients))
	for i, p := range patients {
		cubes[i] = p.Cube
	}
	bySeed, err := run.Networks.ByNetwork(ctx, cubes)
	if err != nil {
		return err
	}
	scores := scoring.Mean(bySeed)
	fmt.Fprintf(w, "run %s: %d network(s), %s\n", filepath.Base(o.Run), len(cfg.Seeds), peers.words())
	for i, p := range patients {
		fmt.Fprintf(w, "%s: %s; ROI %q, tumour %.1f cm3\n", p.PatientID, cfg.verdict(bySeed, i, peers), p.ROI.Name, p.Cube.VolumeMM3/1000)
	}
	printExclusions(lost, w)
	if cfg.trainedOn() == SourcePhantom {
		fmt.Fprintln(w, trainedOnPhantom)
	}
	fmt.Fprintln(w, "Research software, not a medical device.")
	if o.Out == "" {
		return nil
	}
	ids := make([]string, len(patients))
	for i, p := range patients {
		ids[i] = p.PatientID
	}
	schema := table.Schema{Name: "predicted", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true},
		{Name: "score", Type: table.Float64, Direction: riskDirection, Source: "run " + filepath.Base(o.Run)},
	}}
	columns := map[string]any{"patient_id": ids, "score": scores}
	if peers != nil {
		pct, group := make([]float64, len(patients)), make([]string, len(patients))
		for i, v := range scores {
			pct[i], group[i] = percentile(peers.tune, v), groupName(v > peers.cut)
		}
		schema.Columns = append(schema.Columns,
			table.Column{Name: "tune_percentile", Type: table.Float64, Unit: "percent", Description: "share of the run's tune patients with a lower score, ties counted half"},
			table.Column{Name: "risk_group", Type: table.String, Allowed: []string{"low", "high"}})
		columns["tune_percentile"], columns["risk_group"] = pct, group
	}
	t, err := table.New(schema, map[string]string{"run": run.Manifest.Hash, "note": "research software, not a medical device"}, columns)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.Out), 0o755); err != nil {
		return err
	}
	if err := t.Write(o.Out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "written as %s\n", o.Out)
	return err
}

const trainedOnPhantom = "This run was trained on the synthetic phantom: its score says nothing about a real patient. It shows that the path works."

// verdict says what the networks make of patient i, and where that stands among peers.
func (c Config) verdict(bySeed [][]float64, i int, p *peers) string {
	low, high := spread(bySeed, i)
	score := scoring.Mean(bySeed)[i]
	return fmt.Sprintf("%s %.4f (networks %.4f to %.4f)%s", c.scoreWords(), score, low, high, p.place(score))
}

// scoreWords say what the score of a config's networks is. A probability at two years it is
// not where Cox's likelihood was learned, which knows the order of hazards only.
func (c Config) scoreWords() string {
	if c.Training.Loss == cnn.LossCox {
		return "risk of death as an order, no probability,"
	}
	return "risk of death at two years"
}

// peers are the run's tune patients, whom a score is compared with.
type peers struct {
	tune []float64 // their scores, ascending
	cut  float64   // the median
}

func peersOf(run string) (*peers, error) {
	tune, err := tuneScores(run)
	if err != nil {
		return nil, err
	}
	cut, err := stats.Median(tune)
	return &peers{tune: tune, cut: cut}, err
}

func (p *peers) words() string {
	if p == nil {
		return "imported: there are no patients of its own to compare with, so no cut and no percentile"
	}
	return fmt.Sprintf("cut %.4f (the median of %d tune patients)", p.cut, len(p.tune))
}

// place says where a score stands among them.
func (p *peers) place(score float64) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf(", percentile %.0f of the tune role, %s risk", percentile(p.tune, score), groupName(score > p.cut))
}

// tuneScores are the scores of a run's tune patients, ascending.
func tuneScores(run string) ([]float64, error) {
	schema := table.Schema{Name: scoresTable, Columns: []table.Column{
		{Name: "role", Type: table.String}, {Name: "score", Type: table.Float64, Nullable: true},
	}}
	t, err := table.Read(filepath.Join(run, tablesDir, scoresTable+".arrow"), schema, table.Ignore)
	if err != nil {
		return nil, err
	}
	var out []float64
	for i, role := range t.Strings("role") {
		if v := t.Float64s("score")[i]; role == string(datasets.Tune) && scoring.Known(v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the run in %s has no scored tune patients to compare with", run)
	}
	slices.Sort(out)
	return out, nil
}

// percentile is the share in percent of sorted scores below v, ties counted half.
func percentile(sorted []float64, v float64) float64 {
	below, _ := slices.BinarySearch(sorted, v)
	upTo, _ := slices.BinarySearch(sorted, math.Nextafter(v, math.Inf(1)))
	return 50 * float64(below+upTo) / float64(len(sorted))
}

// spread is the smallest and the largest score of one patient over the networks.
func spread(bySeed [][]float64, i int) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range bySeed {
		low, high = min(low, s[i]), max(high, s[i])
	}
	return low, high
}
