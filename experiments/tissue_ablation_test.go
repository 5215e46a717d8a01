package experiments

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The analysis runs from a config, scores changed cubes, trains on them, and is told in the
// report.
func TestTissueAblationRun(t *testing.T) {
	cfg := tiny(t, "data.phantom.patients={train: 8, tune: 6, test: 8}", "seeds=[1]", "analyses=[tissue_ablation]",
		"analysis.tissue_ablation.arms=[{kind: tumour_only}, {kind: shell_removed, shell_mm: 6}]", "analysis.tissue_ablation.retrain=[shell_removed_6mm]")
	env := tinyEnv(t)
	one := run(t, cfg, env)
	for _, f := range []string{"tables/tissue_ablation.arrow", "tables/tissue_ablation_scores.parquet", "figures/tissue_ablation.svg", "figures/tissue_ablation_width.svg", "tissue_ablation/example.png"} {
		if info, err := os.Stat(filepath.Join(one.Dir, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if trained, err := filepath.Glob(filepath.Join(one.Dir, "checkpoints", "cubes-*", "*")); err != nil || len(trained) != 1 {
		t.Errorf("networks trained on changed cubes: %v, %v", trained, err)
	}
	if len(one.Findings) == 0 || !strings.HasPrefix(one.Findings[0], "whole cube: AUC") {
		t.Errorf("findings %q", one.Findings)
	}
	page, err := os.ReadFile(filepath.Join(one.Dir, "report.html"))
	if err != nil || !strings.Contains(string(page), "Which tissue the score needs") {
		t.Errorf("the report has no section of the analysis (%v)", err)
	}
	if again := run(t, cfg, env); !again.Already || len(again.Findings) != len(one.Findings) {
		t.Errorf("a second run: already %v, findings %q", again.Already, again.Findings)
	}
}
