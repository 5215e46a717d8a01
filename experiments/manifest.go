package experiments

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"hounsfield/models/engine"
)

// Status of a run.
const (
	StatusRunning = "running" // started; an interrupted run keeps this and can be continued
	StatusDone    = "done"
	StatusFailed  = "failed"
)

// Manifest is run.json: what went into a run, what made it, and what came out.
// Everything that differs between two runs of the same hash (times, paths) is
// here and nowhere else, so the other files of a run folder repeat byte for byte.
type Manifest struct {
	Experiment string            `json:"experiment"`
	Hash       string            `json:"hash"`   // of resolved config, inputs, code and engine
	Status     string            `json:"status"` // running | done | failed
	Error      string            `json:"error,omitempty"`
	Code       string            `json:"code"`    // sha256 over the program's own source files
	Go         string            `json:"go"`      // toolchain and target
	Modules    map[string]string `json:"modules"` // module path to version
	Backend    Backend           `json:"backend"`
	Seeds      []int64           `json:"seeds"`
	// Training is the part of the hash that decides the networks: runs that have it in
	// common share them.
	Training string      `json:"training,omitempty"`
	Networks string      `json:"networks,omitempty"` // the run folder they were taken from; empty when trained here
	Inputs   []Input     `json:"inputs"`
	Init     *Init       `json:"init,omitempty"` // nil when networks began with random weights
	Started  time.Time   `json:"started"`
	Finished *time.Time  `json:"finished,omitempty"`
	Stages   []StageTime `json:"stages"`
	// TestOpened tells when the outcomes of the test role were first read and which
	// scores had been fixed by then. A run that is continued may read them again
	// only with the very same scores.
	TestOpened *TestOpening      `json:"test_opened,omitempty"`
	Findings   []string          `json:"findings,omitempty"` // of the analyses, a line each
	Outputs    map[string]string `json:"outputs,omitempty"`  // path in the folder to sha256
}

// Backend is the engine that computed the run, and how.
type Backend struct {
	Name     string           `json:"name"`
	Why      string           `json:"why"`
	Version  string           `json:"version,omitempty"` // of the engine's library
	Library  string           `json:"library,omitempty"` // its file
	Device   string           `json:"device,omitempty"`
	Settings *engine.Settings `json:"settings,omitempty"` // as used: nothing is left out or zero
	SIMD     bool             `json:"simd"`
	OS       string           `json:"os"`
	CPUs     int              `json:"cpus"`
}

// Init says which networks a run's training began with.
type Init struct {
	Run        string        `json:"run"`        // the run folder's name, or its path where it lies elsewhere
	Hash       string        `json:"hash"`       // of that run
	Experiment string        `json:"experiment"` // of that run
	Chosen     string        `json:"chosen"`     // how the run was found
	Rule       string        `json:"rule"`       // which of its networks each network here began with
	Networks   []InitNetwork `json:"networks"`
}

// InitNetwork is the start of one network.
type InitNetwork struct {
	Seed   int64  `json:"seed"`   // of the network here
	From   int64  `json:"from"`   // seed of the network there
	SHA256 string `json:"sha256"` // of its weights
}

// Input is one thing the run read: a file of the data folder or, for made data,
// its specification.
type Input struct {
	Name   string `json:"name"` // path below the data folder, or what was made
	SHA256 string `json:"sha256"`
}

// StageTime is the wall time of one stage.
type StageTime struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// TestOpening records the one look at the test role.
type TestOpening struct {
	Time         time.Time `json:"time"`
	By           string    `json:"by"`
	ScoresSHA256 string    `json:"scores_sha256"`
}

const manifestFile = "run.json"

// ReadManifest reads the run.json of a run folder.
func ReadManifest(run string) (*Manifest, error) {
	path := filepath.Join(run, manifestFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a run folder: it holds no %s; run folders are made by `hounsfield run` below runs/", run, manifestFile)
	}
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s cannot be read as a manifest: %w; delete the folder and run again", path, err)
	}
	return &m, nil
}

func (m *Manifest) write(run string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(run, manifestFile), append(b, '\n'))
}

// intact says whether outputs of a finished run are what they were when it ended. A
// path that ends in a slash means all outputs below it.
func (m *Manifest) intact(run string, paths ...string) error {
	for _, path := range slices.Sorted(maps.Keys(m.Outputs)) {
		if !slices.ContainsFunc(paths, func(p string) bool { return path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) }) {
			continue
		}
		if sum, err := fileSHA256(filepath.Join(run, filepath.FromSlash(path))); err != nil || sum != m.Outputs[path] {
			return fmt.Errorf("%s of the run in %s is gone or has changed since the run ended; `hounsfield verify` lists what has; delete the folder and run again", path, run)
		}
	}
	return nil
}

// missing are the outputs of a finished run that are no longer there.
func (m *Manifest) missing(run string) []string {
	var out []string
	for _, path := range slices.Sorted(maps.Keys(m.Outputs)) {
		if _, err := os.Stat(filepath.Join(run, filepath.FromSlash(path))); err != nil {
			out = append(out, path)
		}
	}
	return out
}

// writeFile lets a file appear whole or not at all, making its folder first.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := renameio.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w; nothing was left under that name", path, err)
	}
	return nil
}

// fileSHA256 is the hex digest of a file.
func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
