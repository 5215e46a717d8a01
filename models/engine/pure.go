package engine

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"

	"github.com/gomlx/compute/gobackend"
)

// openGo opens the pure-Go engine without its limit on operations at a time.
//
// With the limit (twice the threads) compute v0.1.6 can stop for ever: a matrix product waits, as one of the allowed
// operations, for room to start its own workers, and when all allowed operations are such products, none gets room.
// Without it every product starts as many workers as there are threads. The setting "parallelism=-1" does the same
// but prints a line on standard output, so the exported method behind it is called here; its package is internal and
// cannot be imported.
func openGo(why string, settings Settings) (*Engine, error) {
	backend, err := gobackend.New("")
	if err != nil {
		return nil, fmt.Errorf("opening compute engine %q: %w", Go, err)
	}
	workers := reflect.Indirect(reflect.ValueOf(backend)).FieldByName("Workers")
	var pool any
	if workers.IsValid() {
		pool = workers.Interface()
	}
	limited, ok := pool.(interface{ SetMaxParallelism(int) })
	if !ok {
		backend.Finalize()
		return nil, errors.New("this version of github.com/gomlx/compute has no SetMaxParallelism: build with the version in go.mod")
	}
	limited.SetMaxParallelism(-1)
	keepMemoryLow()
	e := &Engine{Backend: backend, Name: Go, Settings: settings, SIMD: simdCompiled && simdPresent(), Threads: runtime.GOMAXPROCS(0),
		Device: runtime.GOOS + "/" + runtime.GOARCH, Devices: 1}
	e.Why = why
	switch {
	case e.SIMD:
		e.Why += fmt.Sprintf("; vector instructions on, %d threads", e.Threads)
	case simdCompiled:
		e.Why += fmt.Sprintf("; this processor lacks AVX2, so products are slow, %d threads", e.Threads)
	default:
		e.Why += fmt.Sprintf("; built without vector instructions, so products are slow, %d threads (build with GOEXPERIMENT=simd on amd64)", e.Threads)
	}
	return e, nil
}
