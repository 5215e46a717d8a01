// Package engine opens the compute engine that networks run on.
//
// It is the one place that knows which engines there are: the pure-Go one, always there; ONNX Runtime and XLA, each
// where its shared library is installed (package install puts it there on request). It never downloads anything and
// never waits for a network. GoMLX's own default registration is deliberately not imported: it would look for XLA's
// plugins and may fetch them.
//
// A program that imports this package runs itself once more, with a variable of the environment set, to try a shared
// library out before it is loaded (see probe).
package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// Names of engines. Auto lets Open choose; XLA is that on the NVIDIA device where a plugin and a device are, else on the
// processor. The others are what Engine.Name holds.
const (
	Auto     = "auto"
	XLA      = "xla"
	Go       = gobackend.BackendName
	ONNX     = "onnx"
	ONNXCUDA = "onnx:cuda"
	XLACPU   = "xla:cpu"
	XLACUDA  = "xla:cuda"
)

// Engine is an opened compute engine.
type Engine struct {
	// Backend runs the graphs. It is safe for use by one training or several predictions at a time.
	Backend compute.Backend

	// Name is the engine's own name: Go, ONNX, ONNXCUDA, XLACPU or XLACUDA.
	Name string

	// Why says in one sentence how this engine came to be chosen.
	Why string

	// SIMD tells whether matrix products use vector instructions. Only the pure-Go engine can be without them: they are
	// compiled in (GOEXPERIMENT=simd on amd64) and must be present in this processor. Without them products are about
	// eight times slower.
	SIMD bool

	// Settings say how networks run on it.
	Settings Settings

	// Threads is the number of processor threads the engine may use.
	Threads int

	// Version is that of the engine's library, Library its file. Both are "" for the pure-Go engine.
	Version, Library string

	// Device describes the first device; Devices is how many there are.
	Device  string
	Devices int
}

// UnknownEngineError says that a name is not that of an engine of this build.
type UnknownEngineError struct {
	Name    string
	Allowed []string
}

func (e *UnknownEngineError) Error() string {
	return fmt.Sprintf("unknown compute engine %q: this build has %s; set backend to one of them (auto chooses for you)",
		e.Name, strings.Join(e.Allowed, ", "))
}

// Names returns the names that Open accepts, auto first. With cgo it also accepts onnx:FILE and xla:FILE, which name a
// library.
func Names() []string {
	names := []string{Auto, Go}
	if hasCgo {
		names = append(names, ONNX, ONNXCUDA, XLA, XLACPU, XLACUDA)
	}
	return names
}

// CheckName tells whether Open may open the engine of that name, whatever is installed here. Errors: *UnknownEngineError.
func CheckName(name string) error {
	if file, _ := libraryNamed(name); file != "" && hasCgo || slices.Contains(Names(), name) {
		return nil
	}
	allowed := Names()
	if hasCgo {
		allowed = append(allowed, ONNX+":FILE", XLA+":FILE")
	}
	return &UnknownEngineError{Name: name, Allowed: allowed}
}

// libraryNamed splits onnx:FILE and xla:FILE. file is "" when the name holds none.
func libraryNamed(name string) (file, base string) {
	base, file, _ = strings.Cut(name, ":")
	if (base == ONNX || base == XLA) && (strings.ContainsRune(file, filepath.Separator) || strings.HasSuffix(file, suffix())) {
		return file, base
	}
	return "", name
}

// Open opens the engine of that name with the default settings.
func Open(name string) (*Engine, error) { return OpenWith(name, Settings{}) }

// OpenWith opens the engine of that name with settings. "auto" (or the empty name) takes the first of these that is
// usable: XLA on a CUDA device, ONNX Runtime, XLA on the processor, the pure-Go engine; a library that is installed but
// bad is passed over, and Why says so. A step of the study's network takes ONNX Runtime half the time that it takes XLA
// on the processor.
//
// Errors: *UnknownEngineError for a name that CheckName refuses, *SettingError for settings that it cannot run with,
// *LibraryError for a missing or bad library.
func OpenWith(name string, settings Settings) (*Engine, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	if name == "" {
		name = Auto
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	e, err := open(name, settings)
	if err != nil {
		return nil, err
	}
	if settings.Devices > e.Devices {
		e.Close()
		return nil, &SettingError{"devices", settings.Devices, []string{fmt.Sprintf("at most %d, the devices of engine %s", e.Devices, e.Name)}}
	}
	return e, nil
}

func open(name string, settings Settings) (*Engine, error) {
	file, base := libraryNamed(name)
	switch {
	case file != "":
		return openFile(base, file, "%s was asked for with its library", settings)
	case name == Go:
		return openGo("go was asked for by name", settings)
	case name == Auto:
		return openAuto(settings)
	case name == XLA:
		return openXLA(settings)
	}
	file, from, err := findLibrary(name)
	if err != nil {
		return nil, err
	}
	return openFile(name, file, "%s was asked for by name, its library is "+from, settings)
}

// openXLA opens XLA on a CUDA device, else on the processor.
func openXLA(settings Settings) (*Engine, error) {
	var gpu error
	if hasNVIDIA() {
		e, err := open(XLACUDA, settings)
		if err == nil {
			return e, nil
		}
		gpu = err
	}
	e, err := open(XLACPU, settings)
	if err != nil {
		return nil, errors.Join(err, gpu)
	}
	if gpu != nil {
		e.Why += fmt.Sprintf("; the CUDA device is left out: %v", gpu)
	}
	return e, nil
}

func openAuto(settings Settings) (*Engine, error) {
	var passed []string
	for _, name := range []string{XLACUDA, ONNX, XLACPU} { // by measured speed
		if !hasCgo || name == XLACUDA && !hasNVIDIA() {
			continue
		}
		file, from, err := findLibrary(name)
		if err == nil {
			var e *Engine
			if e, err = openFile(name, file, "auto chose %s: its library is "+from, settings); err == nil {
				e.Why += strings.Join(passed, "")
				return e, nil
			}
		}
		if !Missing(err) {
			passed = append(passed, fmt.Sprintf("; passed over: %v", err))
		}
	}
	why := "auto chose go: it is built in and needs no library"
	if hasCgo && len(passed) == 0 {
		why = "auto chose go: it is built in, and no library of XLA or ONNX Runtime is installed (`hounsfield backends` says more)"
	}
	e, err := openGo(why, settings)
	if err != nil {
		return nil, err
	}
	e.Why += strings.Join(passed, "")
	return e, nil
}

// openFile opens the engine whose library is that file. name is ONNX, ONNXCUDA, XLACPU, XLACUDA, or XLA: then the plugin
// says which. why is a sentence with a %s for the engine. The file is looked at, then tried by another process, and only then loaded into this one.
func openFile(name, file, why string, settings Settings) (*Engine, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // a library looks for others beside itself
	}
	found, err := probe(name, file)
	if err != nil {
		return nil, err
	}
	backend, err := load(found.Engine, file, settings)
	if err != nil {
		return nil, err
	}
	return &Engine{
		Backend: backend, Name: found.Engine, Settings: settings, SIMD: true, Threads: runtime.NumCPU(),
		Version: found.Version, Library: file, Device: found.Device, Devices: backend.NumDevices(),
		Why: fmt.Sprintf(why, found.Engine) + fmt.Sprintf(", %s (%s)", found.Version, file),
	}, nil
}

// Close releases the engine. Tensors that live on it must not be used afterwards. A library stays loaded until the
// process ends.
func (e *Engine) Close() { e.Backend.Finalize() }
