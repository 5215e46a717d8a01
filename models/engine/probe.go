package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A shared library can end the process that loads it: one cut short by a bus error, one for a newer processor by an
// illegal instruction, a plugin of another interface by a call to nowhere. So a library is first tried by a process of
// its own: this program, run once more with probeVariable set. Nothing of the program but this package's init runs there.
const (
	probeVariable = "HOUNSFIELD_ENGINE_PROBE"
	probeMark     = "hounsfield-engine-probe "
)

// probeTimeout is how long a library may take to load and to compute something.
var probeTimeout = 2 * time.Minute

// noDevice is the problem of a library that is good on another machine.
const noDevice = "no CUDA device is to be seen here"

// order is what a probe has to do: open an engine with that library, and test it if asked.
type order struct {
	Engine string `json:"engine"`
	File   string `json:"file"`
	Test   bool   `json:"test"`
}

// finding is what a probe has found: a usable engine, or the fields of a LibraryError.
type finding struct {
	Engine  string `json:"engine"`
	Version string `json:"version"`
	Device  string `json:"device"`
	Devices int    `json:"devices"`
	Test    *Test  `json:"test,omitempty"`

	Problem string `json:"problem,omitempty"`
	Next    string `json:"next,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

func init() {
	if text := os.Getenv(probeVariable); text != "" {
		var o order
		var f finding
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			f.Problem, f.Next = err.Error(), "unset "+probeVariable
		} else {
			f = carryOut(o)
		}
		line, _ := json.Marshal(f) // plain fields: it cannot fail
		fmt.Printf("\n%s%s\n", probeMark, line)
		os.Exit(0)
	}
}

// carryOut opens the engine in this process.
func carryOut(o order) finding {
	var e *Engine
	var err error
	if o.Engine == Go {
		e, err = openGo("", Settings{})
	} else {
		e, err = tryLibrary(o.Engine, o.File)
	}
	if err == nil {
		f := finding{Engine: e.Name, Version: e.Version, Device: e.Device, Devices: e.Devices}
		if o.Test {
			f.Test, err = selfTest(e)
		} else {
			err = smallTest(e)
		}
		if err == nil {
			return f
		}
		err = fmt.Errorf("a small computation on it fails: %w", err)
	}
	var library *LibraryError
	if errors.As(err, &library) {
		f := finding{Problem: library.Problem, Next: library.Next}
		if library.Err != nil {
			f.Detail = library.Err.Error()
		}
		return f
	}
	return explain(o.Engine, o.File, err)
}

// explain turns the text of a loader's or a library's error into a problem and what to do about it.
func explain(name, file string, err error) finding {
	text := err.Error()
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	f := finding{Problem: "it cannot be opened", Detail: text, Next: fmt.Sprintf("install it again with `%s`", setupCommand(name))}
	cuda := name == XLACUDA || name == ONNXCUDA || name == XLA && saysCUDA(file)
	switch {
	case has("No visible GPU devices", "no CUDA-capable device", "CUDA_ERROR_NO_DEVICE", "failed call to cuInit"):
		f.Problem, f.Next = noDevice, "use another engine, or check nvidia-smi and CUDA_VISIBLE_DEVICES"
	case has("cannot open shared object file", "image not found", "Library not loaded") && cuda:
		f.Problem, f.Next = "it needs libraries of CUDA that are not here", "`hounsfield setup xla --cuda` installs them beside the plugin"
	case has("cannot open shared object file", "image not found", "Library not loaded"):
		f.Problem, f.Next = "it needs another library that is not here", fmt.Sprintf("install what `ldd %s` calls not found", file)
	case has("GLIBC", "GLIBCXX", "CXXABI"):
		f.Problem, f.Next = "it needs a newer system than this one", "use another engine (go needs no library), or a build of it for this system"
	}
	return f
}

var (
	probed   = map[order]probeResult{}
	probedMu sync.Mutex
)

type probeResult struct {
	found finding
	err   error
}

// probe looks at a library's file and tries it out in another process. It remembers what it found: a library that is
// exchanged while the program runs is not noticed, but then the old one is loaded already. Errors: *LibraryError.
func probe(name, file string) (finding, error) {
	probedMu.Lock()
	defer probedMu.Unlock()
	o := order{Engine: name, File: file}
	if r, ok := probed[o]; ok {
		return r.found, r.err
	}
	found, err := runProbe(context.Background(), o)
	if err == nil {
		probed[o] = probeResult{found, nil}
	}
	return found, err
}

// runProbe carries an order out in a process of its own. Errors: *LibraryError.
func runProbe(ctx context.Context, o order) (finding, error) {
	bad := func(problem, next string, err error) (finding, error) {
		return finding{}, &LibraryError{Engine: o.Engine, File: o.File, Problem: problem, Next: next, Err: err}
	}
	if o.Engine != Go {
		if err := checkBinary(o.Engine, o.File, entryPoint(o.Engine)); err != nil {
			return finding{}, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return bad("it cannot be tried out", "start the program by its path", err)
	}
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // also when the file has been exchanged or removed since
	}
	text, err := json.Marshal(o)
	if err != nil {
		return finding{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	child := exec.CommandContext(ctx, self)
	child.Env = append(os.Environ(), probeVariable+"="+string(text), "GOTRACEBACK=none")
	child.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	err = child.Run()
	at := bytes.LastIndex(stdout.Bytes(), []byte(probeMark))
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return bad(fmt.Sprintf("it has not answered within %v", probeTimeout), "install it again with `"+setupCommand(o.Engine)+"`, or use another engine", nil)
	case ctx.Err() != nil:
		return finding{}, ctx.Err()
	case at < 0:
		return bad("trying it ended the process that tried it: the file is damaged, or made for another processor or another version",
			"install it again with `"+setupCommand(o.Engine)+"`", errors.Join(err, firstLines(stderr.String())))
	}
	var f finding
	line, _, _ := bytes.Cut(stdout.Bytes()[at+len(probeMark):], []byte("\n"))
	if err := json.Unmarshal(line, &f); err != nil {
		return bad("the process that tried it gave no readable answer", "install it again with `"+setupCommand(o.Engine)+"`", err)
	}
	if f.Problem != "" {
		var detail error
		if f.Detail != "" {
			detail = errors.New(f.Detail)
		}
		return bad(f.Problem, f.Next, detail)
	}
	return f, nil
}

// entryPoint is the function that every library of an engine offers.
func entryPoint(name string) string {
	if name == ONNX || name == ONNXCUDA {
		return "OrtGetApiBase"
	}
	return "GetPjrtApi"
}

// firstLines is the beginning of what a dying process has said, nil for nothing.
func firstLines(text string) error {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = text[:300] + " ..."
	}
	if text == "" {
		return nil
	}
	return errors.New(text)
}
