package experiments

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"

	"hounsfield/datasets"
	"hounsfield/experiments/analysis"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// compared is what Compare knows of one run.
type compared struct {
	name     string // the folder's name
	settings map[string]string
	order    []string // keys of settings in the config's order
	metrics  []Metric
	judged   map[string]judged // by patient
	ids      []string          // of judged, sorted
	analyses []string
	measures map[string][]analysis.Measure // by analysis
	config   string                        // as YAML
	manifest *Manifest
}

// Compare prints what differs between the configs of finished runs and their
// metrics side by side, and writes the same as one HTML file. out "" means a file
// beside the first run.
func Compare(runs []string, out string, w io.Writer) error {
	var all []compared
	for _, dir := range runs {
		c, err := readCompared(dir)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(o compared) bool { return o.name == c.name }) {
			return fmt.Errorf("%s is named twice; give each run once", dir)
		}
		all = append(all, c)
	}
	if len(all) < 2 {
		return fmt.Errorf("one run has nothing to be compared with; name at least two")
	}
	c := comparisonOfRuns{runs: all, metrics: metricRows(all), measures: measureRows(all), paired: differences(all)}
	c.differ, c.same = settingsThatDiffer(all)
	if err := c.print(w); err != nil {
		return err
	}
	doc, err := c.document()
	if err != nil {
		return err
	}
	html, err := report.Render(doc)
	if err != nil {
		return err
	}
	if out == "" {
		names := c.names()
		slices.Sort(names)
		first, err := filepath.Abs(runs[0])
		if err != nil {
			return err
		}
		out = filepath.Join(filepath.Dir(first), "compare-"+digest([]byte(strings.Join(names, "\n")))[:12]+".html")
	}
	if err := writeFile(out, html); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nwritten as %s\n", out)
	return err
}

func readCompared(dir string) (compared, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return compared{}, err
	}
	if m.Status != StatusDone {
		return compared{}, fmt.Errorf("the run in %s is not finished (%s); finish it with `hounsfield run %s`", dir, m.Status, filepath.Join(dir, "config.yaml"))
	}
	again := func(err error) error {
		return fmt.Errorf("the run in %s cannot be compared: %w; delete the folder and run again", dir, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
	if err != nil {
		return compared{}, again(err)
	}
	cfg, err := Load(filepath.Join(dir, "config.yaml"))
	if err == nil && cfg.Data.Source == SourceImported {
		return compared{}, &WeightsError{What: "the folder " + dir, Problem: "holds imported networks that judged no patients: there are no metrics to compare",
			Next: "compare runs that began with it (training.init_from)"}
	}
	var tree yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &tree, yaml.UseOrderedMap()); err != nil {
		return compared{}, again(fmt.Errorf("%s: %w", filepath.Join(dir, "config.yaml"), err))
	}
	// The folder's own name, also when it is given as ".".
	full, err := filepath.Abs(dir)
	if err != nil {
		return compared{}, err
	}
	c := compared{name: filepath.Base(full), settings: map[string]string{}, analyses: cfg.Analyses, config: string(text), manifest: m}
	c.flatten("", tree)
	// Two runs of one config differ by the code that made them, or by the data.
	extra := func(name, value string) {
		key := "(" + name + ")"
		c.settings[key], c.order = value, append(c.order, key)
	}
	extra("code", m.Code[:min(12, len(m.Code))])
	extra("backend", strings.TrimSpace(m.Backend.Name+" "+m.Backend.Version))
	for _, in := range m.Inputs {
		extra(in.Name, in.SHA256[:min(12, len(in.SHA256))])
	}
	if c.metrics, err = readMetrics(dir); err != nil {
		return compared{}, again(err)
	}
	if c.judged, err = readJudged(dir); err != nil {
		return compared{}, again(err)
	}
	if c.measures, err = readMeasures(dir, m, c.analyses); err != nil {
		return compared{}, again(err)
	}
	c.ids = slices.Sorted(maps.Keys(c.judged))
	return c, nil
}

// flatten turns nested settings into dotted keys; lists stay whole.
func (c *compared) flatten(prefix string, tree yaml.MapSlice) {
	for _, item := range tree {
		key := strings.TrimPrefix(prefix+"."+fmt.Sprint(item.Key), ".")
		if below, ok := item.Value.(yaml.MapSlice); ok {
			c.flatten(key, below)
			continue
		}
		b, err := yaml.MarshalWithOptions(item.Value, yaml.Flow(true))
		if err != nil {
			b = fmt.Append(nil, item.Value)
		}
		c.settings[key] = strings.TrimSpace(string(b))
		c.order = append(c.order, key)
	}
}

// setting is one config key and its value in each run.
type setting struct {
	key    string
	values []string // "-" where the run does not have it
}

func settingsThatDiffer(all []compared) (differ []setting, same int) {
	var keys []string
	for _, c := range all {
		for _, k := range c.order {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		s := setting{key: k}
		for _, c := range all {
			v, ok := c.settings[k]
			if !ok {
				v = "-"
			}
			s.values = append(s.values, v)
		}
		if len(slices.Compact(slices.Clone(s.values))) == 1 {
			same++
			continue
		}
		differ = append(differ, s)
	}
	return differ, same
}

// metricRow is one metric of one role in each run; nil where a run has it not.
type metricRow struct {
	name, role string
	by         []*Metric
}

const ofTruth = " of the true hazard"

// metricRows sets the runs' main scores side by side: the test role first. Seeds
// differ between runs and have no row of their own.
func metricRows(all []compared) []metricRow {
	var rows []metricRow
	for _, role := range []string{"test", "tune", "train"} {
		for run, c := range all {
			for _, m := range c.metrics {
				name := m.Name
				if m.Role != role || strings.HasPrefix(m.ScoredBy, "seed ") {
					continue
				}
				switch _, without, fewer := strings.Cut(m.ScoredBy, " without "); {
				case m.ScoredBy == scoredByTruth:
					name += ofTruth
				case fewer:
					name += " without " + without
				}
				i := slices.IndexFunc(rows, func(r metricRow) bool { return r.name == name && r.role == role })
				if i < 0 {
					rows = append(rows, metricRow{name: name, role: role, by: make([]*Metric, len(all))})
					i = len(rows) - 1
				}
				rows[i].by[run] = &m
			}
		}
	}
	return rows
}

// metricText writes a metric with its interval and n, as it stands in a table.
func metricText(m *Metric) string {
	if m == nil {
		return "-"
	}
	decimals := decimalsOf(m.Name)
	text := shown(m.Value, decimals)
	if m.Low.Valid || m.High.Valid {
		limit := func(v float64, ok bool) string {
			if !ok {
				return "not reached"
			}
			return shown(v, decimals)
		}
		text += fmt.Sprintf(" (%s to %s)", limit(m.Low.V, m.Low.Valid), limit(m.High.V, m.High.Valid))
	}
	if m.P.Valid {
		text += ", " + figure.PValue(m.P.V)
	}
	return text + fmt.Sprintf(", n=%d", m.N)
}

// decimalsOf gives days and counts none, ratios and areas three.
func decimalsOf(metric string) int {
	switch metric {
	case metricHighRisk, metricMedianLow, metricMedianHigh, metricMoved:
		return 0
	case metricRMST:
		return 1
	default:
		return 3
	}
}

// print writes the comparison as text.
func (c comparisonOfRuns) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
	names := c.names()
	line(append([]string{fmt.Sprintf("settings that differ (%d; %d are the same)", len(c.differ), c.same)}, names...)...)
	for _, s := range c.differ {
		cells := []string{"  " + s.key}
		for _, v := range s.values {
			if r := []rune(v); len(r) > 60 {
				v = string(r[:57]) + "..."
			}
			cells = append(cells, v)
		}
		line(cells...)
	}
	line("")
	line(append([]string{"metrics (95% CI)"}, names...)...)
	for _, r := range c.metrics {
		cells := []string{"  " + r.role + " " + r.name}
		for _, m := range r.by {
			cells = append(cells, metricText(m))
		}
		line(cells...)
	}
	last := ""
	for _, r := range c.measures {
		if r.analysis != last {
			last = r.analysis
			line("")
			line(append([]string{last + " (95% CI)"}, names...)...)
		}
		cells := []string{"  " + strings.TrimSpace(r.metric+" "+r.group)}
		for _, m := range r.by {
			cells = append(cells, measureText(m))
		}
		line(cells...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range c.paired {
		if d.lacks == "" || d.role == string(datasets.Test) {
			if _, err := fmt.Fprintf(w, "\n%s AUC, %s less %s (paired DeLong): %s\n", d.role, d.of, d.over, d.text()); err != nil {
				return err
			}
		}
	}
	return nil
}
