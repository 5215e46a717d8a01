// Package slurmtest is for tests that submit to a real Slurm.
package slurmtest

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Need skips a test where there is no Slurm with a node that takes jobs.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("sbatch"); err != nil {
		t.Skip("sbatch is not here: .ci/slurm.sh installs and starts a Slurm of one node")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sinfo", "--noheader", "--format=%t").CombinedOutput()
	up := func(state string) bool { return slices.Contains([]string{"idle", "mix", "alloc"}, state) }
	if err != nil || !slices.ContainsFunc(strings.Fields(string(out)), up) {
		t.Skipf("no node of Slurm is up (%v: %s): .ci/slurm.sh starts one", err, strings.Join(strings.Fields(string(out)), " "))
	}
}
