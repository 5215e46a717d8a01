//go:build !amd64 || goexperiment.simd

package main

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"hounsfield/experiments"
)

// Every verb explains itself, and wrong words are errors that name them.
func TestCommandLine(t *testing.T) {
	verbs := []string{"run", "sweep", "prepare", "predict", "compare", "verify", "fetch", "datasets", "backends", "setup", "bench", "export", "import", "notebook", "test"}
	for _, verb := range verbs {
		cmd, _, err := commands().Find([]string{verb})
		if err != nil || cmd.Name() != verb || cmd.Short == "" {
			t.Errorf("verb %s: %v", verb, err)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"rnu"}, "rnu"},
		{[]string{"run", "--sett", "a=b"}, "--sett"},
		{[]string{"run", "phantm"}, `did you mean "phantom"?`},
		{[]string{"run", "phantom", "--set", "training.epoch=3"}, "training.epoch"},
		{[]string{"compare", "one"}, "at least 2"},
		{[]string{"predict", t.TempDir(), t.TempDir()}, "not a run folder"},
		{[]string{"verify", t.TempDir()}, "not a run folder"},
		{[]string{"fetch", "hosny"}, "hosny2018"},
		{[]string{"prepare", "/nowhere/at/all"}, "/nowhere/at/all"},
	} {
		root := commands()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(c.args)
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want an error with %q", c.args, err, c.want)
		}
	}
}

// The source that names runs must be whole: every package's files are in it, and a
// changed byte changes the hash.
func TestSourceIsWhole(t *testing.T) {
	for _, file := range []string{"go.mod", "main.go", "datasets/volume/cube.go", "datasets/volume/raw/raw.go", "models/cnn/train.go", "stats/roc.go",
		"stats/enrichment/preranked.go", "experiments/run.go", "experiments/configs/phantom.yaml", "datasets/catalog/entries/hosny2018.yaml"} {
		if _, err := fs.Stat(source, file); err != nil {
			t.Errorf("%s is not embedded: %v", file, err)
		}
	}
	all, err := experiments.HashSource(source)
	if err != nil {
		t.Fatal(err)
	}
	part, err := experiments.HashSource(source, "datasets/volume")
	if err != nil || part == all || len(part) != 64 {
		t.Errorf("hash of a part %q, of all %q, %v", part, all, err)
	}
}
