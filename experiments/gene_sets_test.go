package experiments

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/experiments/analysis"
)

// Two cohorts, the second beside the first: found by name, counted by content.
func TestGeneSetsBesideARun(t *testing.T) {
	env := tinyEnv(t)
	short := []string{"seeds=[1]", "training.max_epochs=1"}
	first := run(t, tiny(t, append(short, "experiment=genes", "analyses=[gene_sets]")...), env)
	for _, f := range []string{"tables/gene_sets.arrow", "tables/gene_sets.parquet", "tables/gene_sets_enrichment.arrow", "tables/gene_sets_leading_edge.arrow",
		"tables/gene_ranks.arrow", "figures/gene-sets.svg", "figures/gene-sets-running-sums.svg"} {
		if info, err := os.Stat(filepath.Join(first.Dir, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if len(first.Findings) != 2 || !strings.Contains(first.Findings[1], "planted sets") {
		t.Errorf("findings %q", first.Findings)
	}
	surgery := func(beside string) []string {
		return append(short, "experiment=genes-surgery", "analyses=[gene_sets]", "data.phantom.treatment=surgery",
			"data.phantom.surgery.patients={train: 10, tune: 12, test: 16}", "analysis.gene_sets.beside="+beside)
	}
	second := run(t, tiny(t, surgery("genes")...), env)
	html, err := os.ReadFile(filepath.Join(second.Dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Beside another cohort", "This run beside genes (spearman in 16 patients of the role test, scored by network)", "figures/gene-sets-concordance.svg"} {
		if !strings.Contains(string(html), part) {
			t.Errorf("the report does not say %q", part)
		}
	}
	m, err := ReadManifest(second.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range analysis.BesideTables() {
		sum, err := fileSHA256(filepath.Join(first.Dir, table))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(m.Inputs, Input{Name: "gene_sets: " + filepath.Base(table), SHA256: sum}) {
			t.Errorf("%s is not among the inputs %v", table, m.Inputs)
		}
	}
	if got := second.Config.Analysis.GeneSets.Beside; got != filepath.Base(first.Dir) {
		t.Errorf("the resolved config has beside %q", got)
	}
	for _, name := range []string{filepath.Base(first.Dir), first.Dir} {
		if again := run(t, tiny(t, surgery(name)...), env); !again.Already || again.Dir != second.Dir {
			t.Errorf("beside %s is another run", name)
		}
	}
	again, err := Load(filepath.Join(second.Dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if done := run(t, again, env); !done.Already || done.Dir != second.Dir {
		t.Error("the resolved config is another run")
	}

	plain := run(t, tiny(t, append(short, "experiment=plain")...), env)
	for beside, want := range map[string][]string{
		"nowhere":       {"nowhere", "neither a run folder nor an experiment"},
		"gene":          {`did you mean "genes"?`},
		"plain":         {plain.Dir, "did not make the analysis gene_sets"},
		"phantom-genes": {"hounsfield run phantom-genes"},
	} {
		_, err := Run(t.Context(), tiny(t, surgery(beside)...), env)
		var bad *ConfigError
		if !errors.As(err, &bad) || bad.Key != "analysis.gene_sets.beside" {
			t.Errorf("beside %s: %v", beside, err)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("beside %s: %q does not say %q", beside, err, part)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(first.Dir, "tables", "gene_ranks.arrow"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	var bad *ConfigError
	if _, err := Run(t.Context(), tiny(t, surgery("genes")...), env); !errors.As(err, &bad) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged table beside: %v", err)
	}
}

// What cannot work is told before anything is trained.
func TestGeneSetsToldEarly(t *testing.T) {
	for _, c := range []struct {
		set  []string
		want []string
	}{
		{[]string{"data.source=published"}, []string{"analysis.gene_sets.expression", "names no table"}},
		{[]string{"experiment=here", "analysis.gene_sets.beside=here"}, []string{"analysis.gene_sets.beside", "itself"}},
		{[]string{"analysis.gene_sets.metric=kendall"}, []string{"analysis.gene_sets.metric", "spearman"}},
		{[]string{"analysis.gene_sets.expression=a.gct"}, []string{"analysis.gene_sets.sets", "reactome"}},
	} {
		_, err := Load("phantom", append([]string{"analyses=[gene_sets]"}, c.set...)...)
		var bad *ConfigError
		if !errors.As(err, &bad) {
			t.Errorf("%v: %v", c.set, err)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %q does not say %q", c.set, err, part)
			}
		}
	}
	dir := t.TempDir()
	expression, sets := filepath.Join(dir, "x.csv"), filepath.Join(dir, "sets.gmt")
	if err := errors.Join(os.WriteFile(expression, []byte("gene,A,B,C\nTP53,1,2,3\n"), 0o644), os.WriteFile(sets, []byte("S\t\tTP53\tEGFR\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	env := tinyEnv(t)
	_, err := Run(t.Context(), tiny(t, "analyses=[gene_sets]", "analysis.gene_sets.expression="+expression, "analysis.gene_sets.sets="+sets), env)
	var unfit *analysis.UnfitError
	if !errors.As(err, &unfit) {
		t.Errorf("expression of others: %v", err)
	}
	if made, _ := filepath.Glob(filepath.Join(env.Runs, "*", checkpointsDir)); made != nil {
		t.Errorf("networks were trained first: %v", made)
	}
	var bad *ConfigError
	if _, err := Run(t.Context(), tiny(t, "analyses=[gene_sets]", "analysis.gene_sets.expression="+expression, "analysis.gene_sets.sets=reactom"), env); !errors.As(err, &bad) || bad.Nearest != "reactome" {
		t.Errorf("no such data set: %v", err)
	}
	if _, err := Run(t.Context(), tiny(t, "analyses=[gene_sets]", "analysis.gene_sets.expression="+filepath.Join(dir, "none.csv"), "analysis.gene_sets.sets="+sets), env); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.csv") {
		t.Errorf("no such table: %v", err)
	}
}
