package notebooks

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the expected outputs of the notebooks anew")

// installed gives a kernel of this source tree, or skips where Jupyter is not.
func installed(t *testing.T) (k Kernel, jupyter string) {
	t.Helper()
	jupyter, err := Jupyter()
	skip(t, err)
	k, err = Install(t.Context(), "..", t.TempDir(), false, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return k, jupyter
}

// skip skips where a program is missing and fails at any other error.
func skip(t *testing.T, err error) {
	t.Helper()
	var missing *MissingError
	if errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checked is the folder of executed notebooks and their runs: one for all tests, so that
// a run that one of them made is there for the others.
func checked(t *testing.T) string {
	t.Helper()
	out, err := checkedFolder()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var checkedFolder = sync.OnceValues(func() (string, error) {
	if kept := os.Getenv("HOUNSFIELD_NOTEBOOKS_OUT"); kept != "" {
		return kept, nil
	}
	return os.MkdirTemp("", "hounsfield-notebooks-")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if out, err := checkedFolder(); err == nil && os.Getenv("HOUNSFIELD_NOTEBOOKS_OUT") == "" {
		os.RemoveAll(out)
	}
	os.Exit(code)
}

// TestNotebooks executes every notebook without a browser and compares what it shows.
// HOUNSFIELD_NOTEBOOKS_OUT keeps the executed copies and their runs.
func TestNotebooks(t *testing.T) {
	k, jupyter := installed(t)
	out := checked(t)
	all, err := List(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, notebook := range all {
		t.Run(strings.TrimSuffix(filepath.Base(notebook), ".ipynb"), func(t *testing.T) {
			if b, err := os.ReadFile(notebook); err == nil && strings.Contains(string(b), "nb.Need(") && os.Getenv("HOUNSFIELD_MIRROR") == "" {
				t.Skip("HOUNSFIELD_MIRROR names no data folder: the expected output is that with the data")
			}
			skip(t, Check(t.Context(), k, jupyter, notebook, out, *update))
		})
	}
}

// TestCheckGoesRed: a cell that fails, one that does not compile, and an output that
// differs are found, each by its own error.
func TestCheckGoesRed(t *testing.T) {
	k, jupyter := installed(t)
	for name, c := range map[string]struct{ cell, expected, want string }{
		"error":   {"nb.Check(errors.New(`meant to fail`))", "", "code cell 2 failed: hounsfield: meant to fail"},
		"compile": {"nb.NoSuchThing()", "", "undefined: nb.NoSuchThing"},
		"differs": {"fmt.Println(`AUC`, 0.8)", "== code cell 1\n== code cell 2\nAUC 0.9\n", "is \"AUC 0.9\", but the notebook shows \"AUC 0.8\""},
	} {
		t.Run(name, func(t *testing.T) {
			book := filepath.Join(t.TempDir(), "book.ipynb")
			code := func(id, source string) string {
				return fmt.Sprintf(`{"cell_type": "code", "id": %q, "metadata": {}, "outputs": [], "execution_count": null, "source": %q}`, id, source)
			}
			text := `{"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": "hounsfield", "display_name": "Go", "language": "go"}}, "cells": [` +
				code("a", "%noautoget\nimport (\n\"errors\"\n\"fmt\"\n\"hounsfield/notebooks/nb\"\n)") + "," + code("b", "%%\n"+c.cell) + `]}`
			if err := os.WriteFile(book, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(expectedFile(book)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(expectedFile(book), []byte("tolerance 0.001\n"+c.expected), 0o644); err != nil {
				t.Fatal(err)
			}
			err := Check(t.Context(), k, jupyter, book, t.TempDir(), false)
			var missing *MissingError
			if errors.As(err, &missing) {
				t.Skip(err)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
