package engine

import (
	"errors"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func TestOpen(t *testing.T) {
	for _, name := range []string{"", Auto, "go"} {
		e, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if e.Name != "go" || e.Threads < 1 || e.Backend == nil {
			t.Errorf("Open(%q) = %+v", name, e)
		}
		if asked := strings.Contains(e.Why, "auto chose"); asked != (name != "go") {
			t.Errorf("Open(%q) says why: %q", name, e.Why)
		}
		if strings.Contains(e.Why, "vector instructions on") != e.SIMD {
			t.Errorf("Why and SIMD=%t disagree: %q", e.SIMD, e.Why)
		}
		if os.Getenv("GOMEMLIMIT") == "" && debug.SetMemoryLimit(-1) != memoryLimit {
			t.Error("the process has no memory limit")
		}
		e.Close()
		if !e.Backend.IsFinalized() {
			t.Error("Close leaves the backend open")
		}
	}
}

func TestOpenUnknown(t *testing.T) {
	for _, name := range []string{"gpu", "xla", "GO", "go,parallelism=1"} {
		_, err := Open(name)
		var unknown *UnknownEngineError
		if !errors.As(err, &unknown) || unknown.Name != name || !slices.Equal(unknown.Allowed, Names()) {
			t.Errorf("Open(%q): %v", name, err)
			continue
		}
		for _, allowed := range Names() {
			if !strings.Contains(err.Error(), allowed) {
				t.Errorf("the text %q does not name %s", err, allowed)
			}
		}
	}
}

// Many products at a time must not wait for each other for ever (see openGo).
func TestManyProductsAtATime(t *testing.T) {
	e, err := Open("go")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if d := e.Backend.Description(); !strings.Contains(d, "parallelism=-1") {
		t.Fatalf("the engine still has a limit: %s", d)
	}
	const products = 24
	exec := graph.MustNewExec(e.Backend, func(in []*graph.Node) []*graph.Node {
		var out []*graph.Node
		for _, a := range in {
			out = append(out, graph.DotGeneral(a, []int{1}, nil, a, []int{1}, nil))
		}
		return out
	})
	var in []any
	for range products {
		in = append(in, tensors.FromShape(shapes.Make(dtypes.Float32, 128, 1024)))
	}
	defer exec.Finalize()
	var work sync.WaitGroup
	done := make(chan struct{})
	work.Go(func() {
		for range 20 {
			for _, o := range exec.MustCall(in...) {
				o.MustFinalizeAll()
			}
		}
	})
	go func() { work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("the engine has stopped")
	}
}
