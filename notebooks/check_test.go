package notebooks

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// written puts a notebook of one code cell with the given outputs into a folder.
func written(t *testing.T, outputs string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "book.ipynb")
	text := `{"cells": [{"cell_type": "markdown", "source": ["words"]}, {"cell_type": "code", "source": ["%%"], "outputs": ` + outputs + `}]}`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestShownIsWhatRepeats(t *testing.T) {
	file := written(t, `[
		{"output_type": "stream", "name": "stdout", "text": ["AUC 0.81\n", "run start-here-1906880cc6a1  \n"]},
		{"output_type": "stream", "name": "stderr", "text": "a log line\n"},
		{"output_type": "display_data", "data": {"text/html": "<progress>"}},
		{"output_type": "display_data", "data": {"text/html": "<table>", "text/plain": ["a  b\n", "1  2"]}}]`)
	got, err := shown(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "== code cell 1\nAUC 0.81\nrun start-here-HASH\na  b\n1  2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCompareFindsEveryKindOfDifference(t *testing.T) {
	file := written(t, `[]`)
	if err := compare(file, "AUC 0.817 (−3), n=186\n", false); err == nil {
		t.Error("a notebook without an expected file passes")
	}
	if err := compare(file, "AUC 0.817 (−3), n=186\n", true); err != nil {
		t.Fatal(err)
	}
	for shown, same := range map[string]bool{
		"AUC 0.817 (−3), n=186\n":         true,
		"AUC  0.8172   (−3), n=186\n":     true, // within 0.001
		"AUC 0.819 (−3), n=186\n":         false,
		"AUC 0.817 (3), n=186\n":          false,
		"AUC 0.817 (−3), n=187\n":         false,
		"Auc 0.817 (−3), n=186\n":         false,
		"AUC 0.817 (−3), n=186, p\n":      false,
		"AUC 0.817 (−3), n=186\nmore\n":   false,
		"":                                false,
		"AUC not reached (−3), n=186\n":   false,
		"AUC 0.817 (−3), n=186 1e-300\n":  false,
		"AUC 8.17e-1 (−3), n=1.86e+02\n":  true,
		"AUC 0.817 (−3.0), n=186.00000\n": true,
	} {
		err := compare(file, shown, false)
		var different *DifferenceError
		if same != (err == nil) || err != nil && !errors.As(err, &different) {
			t.Errorf("%q: %v", shown, err)
		}
	}
	// The tolerance is the file's own and survives an update.
	if err := os.WriteFile(expectedFile(file), []byte("tolerance 0.1\nx 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := compare(file, "x 1.05\n", true); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(expectedFile(file)); err != nil || string(b) != "tolerance 0.1\nx 1.05\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := os.WriteFile(expectedFile(file), []byte("x 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := compare(file, "x 1\n", false); err == nil || !strings.Contains(err.Error(), "first line") {
		t.Errorf("an expected file without its tolerance: %v", err)
	}
}

func TestListOfNothingIsAnError(t *testing.T) {
	if _, err := List(t.TempDir()); err == nil {
		t.Error("a folder without notebooks passes")
	}
	all, err := List(".")
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
}

// TestNotebooksAreKeptClean: committed without outputs and counts, on our kernel, and
// without the network.
func TestNotebooksAreKeptClean(t *testing.T) {
	all, err := List(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var notebook struct {
			Metadata struct {
				Kernel struct{ Name string } `json:"kernelspec"`
			}
			Cells []struct {
				Type    string `json:"cell_type"`
				Source  text
				Count   *int `json:"execution_count"`
				Outputs []json.RawMessage
			}
		}
		if err := json.Unmarshal(b, &notebook); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if notebook.Metadata.Kernel.Name != KernelName {
			t.Errorf("%s asks for the kernel %q", file, notebook.Metadata.Kernel.Name)
		}
		first := true
		for i, c := range notebook.Cells {
			if c.Type != "code" {
				continue
			}
			if len(c.Outputs) > 0 || c.Count != nil {
				t.Errorf("%s: cell %d keeps outputs; clear them before it is committed", file, i+1)
			}
			if first && !strings.HasPrefix(string(c.Source), "%noautoget\n") {
				t.Errorf("%s: its first code cell does not begin with %%noautoget, so cells would ask the network", file)
			}
			first = false
		}
		if _, err := os.Stat(expectedFile(file)); err != nil {
			t.Errorf("%s has no expected output: %v", file, err)
		}
	}
}

func TestKernelSpec(t *testing.T) {
	s := kernelSpec("/src/hounsfield", "/cache/bin", "/usr/local/go/bin")
	if got := s.Env["PATH"]; !strings.HasPrefix(got, "/cache/bin:/usr/local/go/bin:") || !strings.HasSuffix(got, "${PATH}") {
		t.Errorf("PATH is %q", got)
	}
	if !strings.Contains(strings.Join(s.Argv, " "), "-go_work=/src/hounsfield") {
		t.Errorf("%q does not name the source", s.Argv)
	}
}

func TestJupyterSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOUNSFIELD_JUPYTER", "")
	_, err := Jupyter()
	var missing *MissingError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "pip install jupyterlab") {
		t.Error(err)
	}
	t.Setenv("HOUNSFIELD_JUPYTER", "/nowhere/jupyter")
	if _, err := Jupyter(); !errors.As(err, &missing) || !strings.Contains(err.Error(), "/nowhere/jupyter") {
		t.Error(err)
	}
}
