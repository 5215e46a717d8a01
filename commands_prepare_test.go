//go:build !amd64 || goexperiment.simd

package main

import (
	"io"
	"strings"
	"testing"
)

// Options of prepare that do not go together say which to leave out.
func TestPrepareOptions(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--shards 4", "are for --slurm"},
		{"--no-wait", "are for --slurm"},
		{"--slurm", "add --shards N"},
		{"--slurm --shards 4 --shard 1/4", "leave one out"},
		{"--shard 0/4", "I from 1 to N"},
		{"--shard 5/4", "I from 1 to N"},
		{"--shard 2", "I from 1 to N"},
		{"--shard 1/4 --fetch", "fetch first"},
		{"--accept-licence", "for --fetch"},
		{"--slurm --shards 2 --verify", "leave --slurm out"},
	} {
		cmd := commands()
		cmd.SetArgs(append([]string{"prepare", "/nowhere/at/all"}, strings.Fields(c.args)...))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.args, err, c.says)
		}
	}
	if i, n, err := parseShard("2/8"); i != 1 || n != 8 || err != nil {
		t.Errorf("2/8: %d of %d, %v", i, n, err)
	}
}
