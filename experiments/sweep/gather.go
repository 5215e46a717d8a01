package sweep

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
	"hounsfield/experiments/analysis"
)

// Result is what one cell found: a row of the table for people.
type Result struct {
	State
	Values []any // of the sweep's keys, in the order of Keys; nil where the config has none
	// TuneAUC and TestAUC are those of the run's score for death at two years, TuneC and TestC
	// Harrell's C, Hazard the hazard ratio of the test role; the zero Metric where there is none.
	TuneAUC, TestAUC, TuneC, TestC, Hazard experiments.Metric
	// Best and Last are training's figures at the kept and at the last epoch, means over
	// seeds; Epoch 0 where nothing was trained.
	Best, Last Epoch
	rows       []row
}

// Epoch is one epoch of training: of one seed, or the mean of several.
type Epoch struct {
	Epoch               float64
	TrainLoss, TrainAUC float64
	TuneLoss, TuneAUC   float64
	TuneC               float64 // NaN unless survival was learned
}

// row is a row of the long table, beside what it tells of its cell.
type row struct {
	from, metric string // from: metrics, training or an analysis; "" where the cell has no figures
	role, cohort string
	by           string // whose score
	group        string // of an analysis
	at           string // best or last epoch
	epoch        table.Null[int64]
	n, events    table.Null[int64]
	value        table.Null[float64]
	low, high, p table.Null[float64]
	method       string
}

const (
	fromMetrics  = "metrics"
	fromTraining = "training"
	atBest       = "best"
	atLast       = "last"
)

// gather reads the results of all cells, writes tables and page, and closes the record.
func (p *Planned) gather(f *folder) (*Done, error) {
	done := &Done{Dir: f.dir, Page: filepath.Join(f.dir, pageFile), choose: p.choose()}
	for i, c := range p.Cells {
		r := Result{Values: p.values(c)}
		s := &f.record.Cells[i]
		if s.Status == Ok {
			if err := r.read(c); err != nil {
				// One damaged folder must not hide the others.
				s.Status, s.Reason = Failed, oneLine(fmt.Sprintf("its results cannot be read: %v; delete the folder and run the sweep again", err))
				r = Result{Values: r.Values}
			} else {
				s.Seconds = r.Seconds
			}
		}
		r.State = *s
		done.Results = append(done.Results, r)
	}
	done.Cells = slices.Clone(f.record.Cells)
	g := p.summary(done.Results)
	done.Best = g.best
	pairs, err := p.pairs(done.Results)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(p.writeLong(f, done.Results), p.writeWide(f, done.Results), p.writePairs(f, pairs)); err != nil {
		return nil, err
	}
	if err := p.writePage(f, done.Results, g, pairs); err != nil {
		return nil, err
	}
	return done, f.save()
}

// read takes the figures of a finished run.
func (r *Result) read(c Cell) error {
	m, err := experiments.ReadManifest(c.Plan.Dir)
	if err != nil {
		return err
	}
	for _, s := range m.Stages {
		r.Seconds += s.Seconds
	}
	metrics, err := experiments.ReadMetrics(c.Plan.Dir)
	if err != nil {
		return err
	}
	for _, m := range metrics {
		r.rows = append(r.rows, row{from: fromMetrics, metric: m.Name, role: m.Role, cohort: m.Cohort, by: m.ScoredBy, n: table.Some(int64(m.N)),
			events: table.Some(int64(m.Events)), value: table.Finite(m.Value), low: m.Low, high: m.High, p: m.P, method: m.Method})
	}
	r.TuneAUC, r.TestAUC = mainMetric(metrics, ByAUC, "tune"), mainMetric(metrics, ByAUC, "test")
	r.TuneC, r.TestC = mainMetric(metrics, ByConcordance, "tune"), mainMetric(metrics, ByConcordance, "test")
	r.Hazard = mainMetric(metrics, "hazard_ratio", "test")
	if err := r.readTraining(c.Plan.Dir); err != nil {
		return err
	}
	if err := experiments.CheckScores(c.Plan.Dir); err != nil { // pairs reads them together with other cells'
		return err
	}
	for _, name := range c.Config.Analyses {
		if err := r.readAnalysis(c.Plan.Dir, name); err != nil {
			return err
		}
	}
	return nil
}

// mainMetric is a figure of the run's own score, which stands before those of single seeds.
func mainMetric(all []experiments.Metric, name, role string) experiments.Metric {
	for _, m := range all {
		if m.Name == name && m.Role == role && !strings.HasPrefix(m.ScoredBy, "seed ") && m.ScoredBy != "true hazard" {
			return m
		}
	}
	return experiments.Metric{}
}

// tune and test are the figures of the metric that chooses among settings.
func (r *Result) tune(by string) experiments.Metric {
	if by == ByConcordance {
		return r.TuneC
	}
	return r.TuneAUC
}

func (r *Result) test(by string) experiments.Metric {
	if by == ByConcordance {
		return r.TestC
	}
	return r.TestAUC
}

// value is a metric's value; NaN where there is none.
func value(m experiments.Metric) float64 {
	if m.N == 0 {
		return math.NaN()
	}
	return m.Value
}

// readTraining takes the kept and the last epoch of each network; published scores have none.
func (r *Result) readTraining(run string) error {
	number := func(name string) table.Column {
		return table.Column{Name: name, Type: table.Float64, Nullable: true}
	}
	t, err := table.Read(filepath.Join(run, "tables", "history.arrow"), table.Schema{Name: "history", Columns: []table.Column{
		{Name: "seed", Type: table.Int64}, {Name: "epoch", Type: table.Int64}, {Name: "best", Type: table.Bool},
		number("train_loss"), number("train_auc"), number("tune_loss"), number("tune_auc"), number("tune_concordance")}}, table.Ignore)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	seeds, best, last := t.Int64s("seed"), map[int64]int{}, map[int64]int{}
	var order []int64
	for i, seed := range seeds {
		if _, met := last[seed]; !met {
			order = append(order, seed)
		}
		if last[seed] = i; t.Bools("best")[i] {
			best[seed] = i // the last one marked is the one that was kept
		}
	}
	for _, at := range []struct {
		name string
		rows map[int64]int
		mean *Epoch
	}{{atBest, best, &r.Best}, {atLast, last, &r.Last}} {
		var all []Epoch
		for _, seed := range order {
			i, ok := at.rows[seed]
			if !ok {
				continue
			}
			e := Epoch{Epoch: float64(t.Int64s("epoch")[i]), TrainLoss: t.Float64s("train_loss")[i], TrainAUC: t.Float64s("train_auc")[i],
				TuneLoss: t.Float64s("tune_loss")[i], TuneAUC: t.Float64s("tune_auc")[i], TuneC: t.Float64s("tune_concordance")[i]}
			all = append(all, e)
			for _, f := range []struct {
				name, role string
				value      float64
			}{{"train_loss", "train", e.TrainLoss}, {"train_auc", "train", e.TrainAUC}, {"tune_loss", "tune", e.TuneLoss}, {"tune_auc", "tune", e.TuneAUC},
				{"tune_concordance", "tune", e.TuneC}} {
				if !math.IsNaN(f.value) {
					r.rows = append(r.rows, row{from: fromTraining, metric: f.name, role: f.role, by: fmt.Sprintf("seed %d", seed), at: at.name,
						epoch: table.Some(int64(e.Epoch)), value: table.Finite(f.value)})
				}
			}
		}
		*at.mean = meanEpoch(all)
	}
	return nil
}

func meanEpoch(all []Epoch) Epoch {
	var m Epoch
	for _, e := range all {
		n := float64(len(all))
		m.Epoch += e.Epoch / n
		m.TrainLoss += e.TrainLoss / n
		m.TrainAUC += e.TrainAUC / n
		m.TuneLoss += e.TuneLoss / n
		m.TuneAUC += e.TuneAUC / n
		m.TuneC += e.TuneC / n
	}
	return m
}

// readAnalysis takes the measures of an analysis; one that writes none has no rows.
func (r *Result) readAnalysis(run, name string) error {
	t, err := table.Read(filepath.Join(run, "tables", name+".arrow"), analysis.MeasuresSchema(name), table.Ignore)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	value, low, high, p := table.Nulls[float64](t, "value"), table.Nulls[float64](t, "low"), table.Nulls[float64](t, "high"), table.Nulls[float64](t, "p")
	for i := range t.Rows() {
		r.rows = append(r.rows, row{from: name, metric: t.Strings("metric")[i], group: t.Strings("group")[i], n: table.Some(t.Int64s("n")[i]),
			value: value[i], low: low[i], high: high[i], p: p[i], method: t.Strings("method")[i]})
	}
	return nil
}

// values are what the cell's config has for the sweep's keys: what the cell sets, else what
// the base has.
func (p *Planned) values(c Cell) []any {
	var tree yaml.MapSlice
	if text, err := c.Config.YAML(); err == nil {
		// A config that was written can be read.
		_ = yaml.UnmarshalWithOptions(text, &tree, yaml.UseOrderedMap())
	}
	keys := p.Keys()
	out := make([]any, len(keys))
	for k, key := range keys {
		out[k] = plainValue(below(tree, strings.Split(key, ".")))
		for _, o := range c.Overrides {
			if o.Key == key {
				out[k] = plainValue(o.Value)
			}
		}
	}
	return out
}

// below finds a value in nested maps; nil where there is none.
func below(tree any, path []string) any {
	for _, key := range path {
		m, ok := tree.(yaml.MapSlice)
		i := slices.IndexFunc(m, func(item yaml.MapItem) bool { return fmt.Sprint(item.Key) == key })
		if !ok || i < 0 {
			return nil
		}
		tree = m[i].Value
	}
	return tree
}

// plainValue is a value of a config as it stands in a column: int64, float64, bool, or text.
func plainValue(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case bool, float64, int64:
		return v
	case int:
		return int64(v)
	case uint64:
		return int64(v)
	case string:
		// A number without a point but with an exponent comes back as a text.
		if f, err := strconv.ParseFloat(v, 64); err == nil && v != "" && strings.Contains("0123456789+-.", v[:1]) && !math.IsInf(f, 0) {
			return f
		}
		return v
	}
	text, err := flow(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return text
}

// pair is what a cell's scores gain over the reference's.
type pair struct {
	cell, over string
	experiments.PairedDifference
}

// pairs hold every cell against that of the reference with the same seed.
func (p *Planned) pairs(all []Result) ([]pair, error) {
	var out []pair
	for i, ref := range all {
		if ref.Setting != p.Reference || ref.Status != Ok {
			continue
		}
		var cells []int
		var runs []string
		for k, r := range all {
			same := r.Seed == nil && ref.Seed == nil || r.Seed != nil && ref.Seed != nil && *r.Seed == *ref.Seed
			if k != i && r.Status == Ok && same && r.Run != ref.Run {
				cells, runs = append(cells, k), append(runs, p.Cells[k].Plan.Dir)
			}
		}
		found, err := experiments.PairedAUC(p.Cells[i].Plan.Dir, runs)
		if err != nil {
			return nil, err
		}
		per := len(found) / max(1, len(cells)) // roles
		for k, d := range found {
			out = append(out, pair{cell: all[cells[k/per]].Cell, over: ref.Cell, PairedDifference: d})
		}
	}
	slices.SortStableFunc(out, func(a, b pair) int { return p.indexOf(a.cell) - p.indexOf(b.cell) })
	return out, nil
}

func (p *Planned) indexOf(cell string) int {
	return slices.IndexFunc(p.Cells, func(c Cell) bool { return c.Name == cell })
}
