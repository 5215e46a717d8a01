// Package engine opens the compute engine that networks run on.
//
// It is the one place that knows which engines this build has. It never downloads anything and never waits for
// a network. GoMLX's own default registration is deliberately not imported: it would register XLA, which looks
// for plugins and may fetch them.
package engine

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// Auto is the name that lets Open choose the fastest engine that is usable without any installation step.
const Auto = "auto"

// Engine is an opened compute engine.
type Engine struct {
	// Backend runs the graphs. It is safe for use by one training or several predictions at a time.
	Backend compute.Backend

	// Name is the engine's own name, never "auto".
	Name string

	// Why says in one sentence how this engine came to be chosen.
	Why string

	// SIMD tells whether matrix products use vector instructions: compiled in (GOEXPERIMENT=simd on amd64) and
	// present in this processor. Without them products are about eight times slower.
	SIMD bool

	// Threads is the number of processor threads the engine may use.
	Threads int
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

// candidate is one engine that this build may open. The order of candidates is the order in which auto tries them.
type candidate struct {
	name string
	why  string
	open func() (compute.Backend, error)
}

func candidates() []candidate {
	return []candidate{
		{name: gobackend.BackendName, why: "it is built in and needs no library", open: openGo},
	}
}

// openGo opens the pure-Go engine without its limit on operations at a time.
//
// With the limit (twice the threads) compute v0.1.6 can stop for ever: a matrix product waits, as one of the allowed
// operations, for room to start its own workers, and when all allowed operations are such products, none gets room.
// Without it every product starts as many workers as there are threads. The setting "parallelism=-1" does the same
// but prints a line on standard output, so the exported method behind it is called here; its package is internal and
// cannot be imported.
func openGo() (compute.Backend, error) {
	backend, err := gobackend.New("")
	if err != nil {
		return nil, err
	}
	limitMemory()
	if workers := reflect.Indirect(reflect.ValueOf(backend)).FieldByName("Workers"); workers.IsValid() {
		if pool, ok := workers.Interface().(interface{ SetMaxParallelism(int) }); ok {
			pool.SetMaxParallelism(-1)
			return backend, nil
		}
	}
	backend.Finalize()
	return nil, errors.New("this version of github.com/gomlx/compute has no SetMaxParallelism: build with the version in go.mod")
}

// memoryLimit is the process's memory, in bytes, above which unused buffers are given back at once.
const memoryLimit = 3 << 30

// limitMemory keeps the pure-Go engine from holding twice the memory that it needs. Its buffers go to a pool and leave
// it only at garbage collections, which Go by default starts when the heap has doubled: a training step of the study's
// network on 4 cubes then peaks at 8 GB, with the limit at 3 GB and in the same time. It is not a hard limit: what is in
// use at a time is never refused. But where that alone exceeds it (16 cubes: 9 GB) a step has a thousand collections and
// is slower for it; set GOMEMLIMIT=12GiB there. It is left alone where the user has set one.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// Names returns the names that Open accepts, auto first.
func Names() []string {
	names := []string{Auto}
	for _, c := range candidates() {
		names = append(names, c.name)
	}
	return names
}

// Open opens the engine of that name. "auto" (or the empty name) takes the first engine that opens.
//
// Errors: *UnknownEngineError for a name that is not in Names; otherwise the engine's own reason, wrapped.
func Open(name string) (*Engine, error) {
	if name == "" {
		name = Auto
	}
	if !slices.Contains(Names(), name) {
		return nil, &UnknownEngineError{Name: name, Allowed: Names()}
	}
	var failed []string
	for _, c := range candidates() {
		if name != Auto && name != c.name {
			continue
		}
		backend, err := c.open()
		if err != nil {
			if name != Auto {
				return nil, fmt.Errorf("opening compute engine %q: %w", c.name, err)
			}
			failed = append(failed, fmt.Sprintf("%s: %v", c.name, err))
			continue
		}
		e := &Engine{Backend: backend, Name: c.name, SIMD: simdCompiled && simdPresent(), Threads: runtime.GOMAXPROCS(0)}
		e.Why = e.reason(name, c.why)
		return e, nil
	}
	return nil, fmt.Errorf("no compute engine could be opened (%s)", strings.Join(failed, "; "))
}

func (e *Engine) reason(asked, why string) string {
	var s strings.Builder
	if asked == Auto {
		fmt.Fprintf(&s, "auto chose %s: %s", e.Name, why)
	} else {
		fmt.Fprintf(&s, "%s was asked for by name", e.Name)
	}
	switch {
	case e.SIMD:
		fmt.Fprintf(&s, "; vector instructions on, %d threads", e.Threads)
	case simdCompiled:
		fmt.Fprintf(&s, "; this processor lacks AVX2, so products are slow, %d threads", e.Threads)
	default:
		fmt.Fprintf(&s, "; built without vector instructions, so products are slow, %d threads"+
			" (build with GOEXPERIMENT=simd on amd64)", e.Threads)
	}
	return s.String()
}

// Close releases the engine. Tensors that live on it must not be used afterwards.
func (e *Engine) Close() { e.Backend.Finalize() }
