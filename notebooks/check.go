package notebooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// CellError is a cell that failed.
type CellError struct {
	Notebook string
	Cell     int    // of the code cells, from 1
	Text     string // what it printed
}

func (e *CellError) Error() string {
	return fmt.Sprintf("%s: code cell %d failed: %s", e.Notebook, e.Cell, e.Text)
}

// DifferenceError is an output that is not the expected one.
type DifferenceError struct {
	Notebook  string
	Line      int // of the expected file, from 1
	Want, Got string
}

func (e *DifferenceError) Error() string {
	return fmt.Sprintf("%s: line %d of its expected output is %q, but the notebook shows %q; if that is right, write the expected outputs anew: `go test ./notebooks -update`", e.Notebook, e.Line, e.Want, e.Got)
}

// List are the notebooks in a folder, by name. None is an error: a check of nothing
// would pass.
func List(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.ipynb"))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no notebook in %s; name the folder that holds them", dir)
	}
	slices.Sort(found)
	return found, err
}

// Check executes a notebook from top to bottom without a browser and compares what it
// shows with its expected file: words must be the same, numbers within the tolerance
// that the file's first line gives ("tolerance 0.001": that much of a number, or that
// much in all below 1). The executed copy and its run folders are left in out. With
// update the expected file is written anew and keeps its tolerance.
//
// Errors: *MissingError for a Jupyter without nbconvert, *CellError for the first cell
// that failed, *DifferenceError for the first line that differs.
func Check(ctx context.Context, k Kernel, jupyter, notebook, out string, update bool) error {
	executed, err := execute(ctx, k, jupyter, notebook, out)
	if err != nil {
		return err
	}
	got, err := shown(executed)
	if err != nil {
		return err
	}
	return compare(notebook, got, update)
}

// execute runs a notebook from top to bottom and writes the executed copy, of the same
// name, into out; its run folders go to out/runs. All cells are run, also behind one that
// fails.
func execute(ctx context.Context, k Kernel, jupyter, notebook, out string) (executed string, err error) {
	cmd := exec.CommandContext(ctx, jupyter, "nbconvert", "--to", "notebook", "--execute", "--allow-errors",
		"--ExecutePreprocessor.timeout=1800", "--output-dir", out, notebook)
	cmd.Env = append(k.Env(), "HOUNSFIELD_RUNS="+filepath.Join(out, "runs"))
	text, err := cmd.CombinedOutput()
	if err != nil {
		if bytes.Contains(text, []byte("jupyter-nbconvert` not found")) || bytes.Contains(text, []byte("No module named nbconvert")) {
			return "", &MissingError{What: "nbconvert", Get: "get it with `pip install nbconvert` beside Jupyter, or `apt install python3-nbconvert`"}
		}
		return "", fmt.Errorf("executing %s: %w\n%s", notebook, err, bytes.TrimSpace(text))
	}
	executed = filepath.Join(out, filepath.Base(notebook))
	cells, err := readCells(executed)
	if err != nil {
		return executed, err
	}
	for i, c := range cells {
		for _, o := range c.Outputs {
			if o.Type == "error" {
				return executed, &CellError{Notebook: filepath.Base(notebook), Cell: i + 1, Text: c.said()}
			}
		}
	}
	return executed, nil
}

// cell is a code cell of a notebook file.
type cell struct {
	Type    string       `json:"cell_type"`
	Outputs []cellOutput `json:"outputs"`
}

type cellOutput struct {
	Type  string                     `json:"output_type"` // stream, display_data, error
	Name  string                     `json:"name"`        // stdout, stderr
	Text  text                       `json:"text"`
	Data  map[string]json.RawMessage `json:"data"`
	Error string                     `json:"ename"`
	Value string                     `json:"evalue"`
}

// text is a string that notebook files may keep as a list of lines.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var lines []string
	if err := json.Unmarshal(b, &lines); err == nil {
		*t = text(strings.Join(lines, ""))
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// readCells reads the code cells of a notebook file.
func readCells(file string) ([]cell, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var notebook struct {
		Cells []cell `json:"cells"`
	}
	if err := json.Unmarshal(b, &notebook); err != nil {
		return nil, fmt.Errorf("%s is no notebook: %w", file, err)
	}
	return slices.DeleteFunc(notebook.Cells, func(c cell) bool { return c.Type != "code" }), nil
}

// said is all a failed cell wrote.
func (c cell) said() string {
	var parts []string
	for _, o := range c.Outputs {
		for _, s := range []string{string(o.Text), o.Error, o.Value} {
			if s = strings.TrimSpace(s); s != "" {
				parts = append(parts, s)
			}
		}
	}
	return strings.Join(parts, "\n")
}

// runHash is the part of a run's name that changes with the code.
var runHash = regexp.MustCompile(`-[0-9a-f]{12}\b`)

// shown is what an executed notebook shows, in plain text: the outputs of each code cell
// that are not drawn on a moving ground, without what differs between two executions.
func shown(executed string) (string, error) {
	cells, err := readCells(executed)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, c := range cells {
		fmt.Fprintf(&b, "== code cell %d\n", i+1)
		for _, o := range c.Outputs {
			var said text
			switch {
			case o.Type == "stream" && o.Name == "stdout":
				said = o.Text
			case o.Data["text/plain"] != nil:
				if err := json.Unmarshal(o.Data["text/plain"], &said); err != nil {
					return "", fmt.Errorf("%s: %w", executed, err)
				}
			}
			for line := range strings.Lines(string(said)) {
				b.WriteString(strings.TrimRight(runHash.ReplaceAllString(line, "-HASH"), " \n") + "\n")
			}
		}
	}
	return b.String(), nil
}

// expectedFile holds what a notebook should show.
func expectedFile(notebook string) string {
	return filepath.Join(filepath.Dir(notebook), "expected", strings.TrimSuffix(filepath.Base(notebook), ".ipynb")+".txt")
}

const toleranceWord = "tolerance "

// compare holds what a notebook shows against its expected file.
func compare(notebook, shown string, update bool) error {
	file := expectedFile(notebook)
	b, err := os.ReadFile(file)
	if err != nil && !(update && errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("%w; write it with `go test ./notebooks -update`", err)
	}
	first, want, _ := strings.Cut(string(b), "\n")
	if b == nil {
		first = toleranceWord + "0.001"
	}
	tolerance, err := strconv.ParseFloat(strings.TrimPrefix(first, toleranceWord), 64)
	if err != nil || !strings.HasPrefix(first, toleranceWord) || !(tolerance >= 0) {
		return fmt.Errorf("%s: its first line must say how far numbers may be off, such as %q, not %q", file, toleranceWord+"0.001", first)
	}
	if update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, []byte(first+"\n"+shown), 0o644)
	}
	wanted, got := strings.Split(want, "\n"), strings.Split(shown, "\n")
	for i := range max(len(wanted), len(got)) {
		var w, g string
		if i < len(wanted) {
			w = wanted[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if !sameLine(w, g, tolerance) {
			return &DifferenceError{Notebook: filepath.Base(notebook), Line: i + 2, Want: w, Got: g}
		}
	}
	return nil
}

var numbers = regexp.MustCompile(`[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?`)

// sameLine compares two lines: their words, blanks apart, and their numbers.
func sameLine(want, got string, tolerance float64) bool {
	words := func(s string) string { return strings.Join(strings.Fields(numbers.ReplaceAllString(s, " # ")), " ") }
	if words(want) != words(got) {
		return false
	}
	a, b := numbers.FindAllString(want, -1), numbers.FindAllString(got, -1)
	for i := range a {
		x, errX := strconv.ParseFloat(strings.Replace(a[i], "−", "-", 1), 64)
		y, errY := strconv.ParseFloat(strings.Replace(b[i], "−", "-", 1), 64)
		if errX != nil || errY != nil || math.Abs(x-y) > tolerance*max(1, math.Abs(x)) {
			return false
		}
	}
	return true
}
