package experiments

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"hounsfield/models/engine"
)

// benchStep is BenchEntry.What for a training step and a forward pass of the study's network.
const benchStep = "step"

// BenchEntry is one result: an engine at a batch size, beside a peer or alone.
type BenchEntry struct {
	What     string          `json:"what"`
	Engine   string          `json:"engine"`
	Vs       string          `json:"vs,omitempty"` // the peer asked for
	Settings engine.Settings `json:"settings"`
	Scale    float64         `json:"scale"` // factor on the width of every layer; 1 is the study's network
	Batch    int             `json:"batch"`
	Threads  int             `json:"threads"`
	Steps    int             `json:"steps"`            // timed ones in a round
	Rounds   int             `json:"rounds,omitempty"` // medians are over these
	Ours     *Timing         `json:"ours,omitempty"`
	Peer     *Timing         `json:"peer,omitempty"`
	Ratio    *BenchRatio     `json:"ratio,omitempty"`
	Error    string          `json:"error,omitempty"` // why there is no result

	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Command  string            `json:"command"`
	Date     time.Time         `json:"date"`
}

// BenchRatio compares with the peer; medians over rounds.
type BenchRatio struct {
	Step    float64 `json:"step"`    // the peer's seconds over ours: above 1, ours is faster
	Forward float64 `json:"forward"` // likewise
	Peak    float64 `json:"peak"`    // our peak memory over the peer's: below 1, ours is smaller
}

// Machine is where it was measured.
type Machine struct {
	CPU   string   `json:"cpu"`
	Cores int      `json:"cores"` // that this process may use
	GiB   int      `json:"memory_gib,omitempty"`
	OS    string   `json:"os"`
	Load  *float64 `json:"load,omitempty"` // average over the minute before; nil where unknown
}

// quietLoad is the load average up to which a machine counts as idle.
const quietLoad = 0.5

func (m Machine) String() string {
	s := fmt.Sprintf("%s, %s", m.CPU, plural(m.Cores, "core"))
	if m.GiB > 0 {
		s += fmt.Sprintf(", %d GiB", m.GiB)
	}
	s += ", " + m.OS
	if m.Load != nil {
		s += fmt.Sprintf(", load average %.2f", *m.Load)
	}
	return s
}

// thisMachine reads what the system tells: /proc on Linux, sysctl elsewhere.
func thisMachine() Machine {
	m := Machine{Cores: schedulable(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	field := func(file, name string) string {
		b, _ := os.ReadFile(file) // absent outside Linux
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	sysctl := func(name string) string {
		out, _ := exec.Command("sysctl", "-n", name).Output() // absent in many a container
		return strings.TrimSpace(string(out))
	}
	if m.CPU = field("/proc/cpuinfo", "model name"); m.CPU == "" {
		m.CPU = cmp.Or(sysctl("machdep.cpu.brand_string"), "unknown processor")
	}
	if kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m.GiB = (kib + 1<<19) >> 20
	} else if b, err := strconv.Atoi(sysctl("hw.memsize")); err == nil {
		m.GiB = b >> 30
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte(strings.Trim(sysctl("vm.loadavg"), "{ }"))
	}
	if fields := strings.Fields(string(load)); len(fields) > 0 {
		if v, err := strconv.ParseFloat(fields[0], 64); err == nil {
			m.Load = &v
		}
	}
	return m
}

// benchVersions are those of the toolchain and of the modules that compute.
func benchVersions() map[string]string {
	out := map[string]string{"go": runtime.Version()}
	for path, version := range modules() {
		if strings.HasPrefix(path, "github.com/gomlx/") {
			out[strings.TrimPrefix(path, "github.com/gomlx/")] = version
		}
	}
	return out
}

// benchResults is a file of results: one JSON document.
type benchResults struct {
	About   string       `json:"about"`
	Entries []BenchEntry `json:"entries"`
}

const aboutResults = "Written by `hounsfield bench`; each entry names its command. Ratios step and forward are the peer's seconds over ours (above 1: ours is faster), peak is our memory over the peer's."

// ResultsError says that a file of results cannot be added to.
type ResultsError struct {
	File string
	Err  error
}

func (e *ResultsError) Error() string {
	return fmt.Sprintf("results %s cannot be read: %v; mend it, or name another file with --json", e.File, e.Err)
}

func (e *ResultsError) Unwrap() error { return e.Err }

// readResults reads a file; one that does not exist is empty. Errors: *ResultsError.
func readResults(file string) (*benchResults, error) {
	r := &benchResults{}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(r)
	}
	if err != nil {
		return nil, &ResultsError{File: file, Err: err}
	}
	return r, nil
}

// key is what tells one result from another; a new result takes the place of an older one of the same key.
func (e BenchEntry) key() string {
	return fmt.Sprintf("%s %s %g %06d %s %s %d %t %d %s %s %d", e.What, e.Engine, e.Scale, e.Batch, e.Settings.Precision, e.Settings.Lowering,
		e.Settings.Devices, e.Settings.Deterministic, e.Threads, e.Vs, e.Machine.CPU, e.Machine.Cores)
}

// merge adds entries and sorts all by key, so that the file's order does not depend on that of the measurements.
func (r *benchResults) merge(entries []BenchEntry) {
	byKey := map[string]BenchEntry{}
	for _, e := range slices.Concat(r.Entries, entries) {
		byKey[e.key()] = e
	}
	r.Entries = r.Entries[:0]
	for _, e := range byKey {
		r.Entries = append(r.Entries, e)
	}
	slices.SortFunc(r.Entries, func(a, b BenchEntry) int { return cmp.Compare(a.key(), b.key()) })
}

func (r *benchResults) write(file string) error {
	r.About = aboutResults
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(file, append(b, '\n'))
}
