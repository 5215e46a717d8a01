//go:build !amd64 || goexperiment.simd

package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// `import` has two uses: what is typed is one of them, or an error says what to type.
func TestImportUses(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"import"}, "name what to import"},
		{[]string{"import", "--out", "x"}, "name what to import"},
		{[]string{"import", "--images", "a", "--clinical", "b"}, "--map is missing"},
		{[]string{"import", "--clinical", "b", "--map", "c"}, "--images is missing"},
		{[]string{"import", "--dry-run"}, "--images is missing"},
		{[]string{"import", "weights.h5", "--images", "a"}, "--images is for importing patients, and weights.h5 would be a file of weights"},
		{[]string{"import", "--images", "a", "--spec", "small"}, "--images is for importing patients and --spec for weights"},
		{[]string{"import", "a", "b"}, "accepts at most 1"},
		{[]string{"import", "--image", "a"}, "--image"},
		{[]string{"import", "/nowhere/weights.h5", "--out", t.TempDir() + "/out"}, "/nowhere/weights.h5"},
		{[]string{"import", "--images", t.TempDir(), "--clinical", "b.csv", "--map", "/nowhere/map.yaml"}, "/nowhere/map.yaml"},
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

// Each flag of `import` belongs to one use, or is named as one of both.
func TestImportFlagsHaveAUse(t *testing.T) {
	flags := regexp.MustCompile(`(?m)^ +--([a-z0-9-]+)`).FindAllStringSubmatch(importCommand().Flags().FlagUsages(), -1)
	if len(flags) != len(cohortFlags)+len(weightsFlags)+2 {
		t.Errorf("%d flags", len(flags))
	}
	for _, f := range flags {
		uses := 0
		for _, list := range [][]string{cohortFlags, weightsFlags, {"out", "example"}} {
			if slices.Contains(list, f[1]) {
				uses++
			}
		}
		if uses != 1 {
			t.Errorf("--%s has %d uses", f[1], uses)
		}
	}
}
