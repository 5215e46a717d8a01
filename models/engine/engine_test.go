package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
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

// nothingInstalled hides every library that a user has; the system's own folders cannot be hidden.
func nothingInstalled(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	for _, v := range []string{HomeVariable, "XDG_DATA_HOME", ONNXVariable, onnxOwnVariable, PluginVariable, "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"} {
		t.Setenv(v, "")
	}
	for _, name := range []string{ONNX, XLACPU, XLACUDA} {
		if file, _, err := findLibrary(name); err == nil {
			t.Skipf("this system has %s", file)
		}
	}
	return home
}

// installed opens an engine whose library is really here, or skips the test.
func installed(t *testing.T, name string) *Engine {
	t.Helper()
	e, err := Open(name)
	if Missing(err) || !hasCgo {
		t.Skipf("%s is not installed here", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestOpen(t *testing.T) {
	nothingInstalled(t)
	for _, name := range []string{"", Auto, Go} {
		e, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if e.Name != Go || e.Threads < 1 || e.Backend == nil || e.Devices != 1 {
			t.Errorf("Open(%q) = %+v", name, e)
		}
		if chosen := strings.HasPrefix(e.Why, "auto chose go"); chosen != (name != Go) {
			t.Errorf("Open(%q) says why: %q", name, e.Why)
		}
		if strings.Contains(e.Why, "vector instructions on") != e.SIMD {
			t.Errorf("Why and SIMD=%t disagree: %q", e.SIMD, e.Why)
		}
		e.Close()
		if !e.Backend.IsFinalized() {
			t.Error("Close leaves the backend open")
		}
	}
}

func TestOpenUnknown(t *testing.T) {
	for _, name := range []string{"gpu", "xla:", "xla:tpu", "onnx:gpu", "GO", "go,parallelism=1", "go:/lib/x.so"} {
		_, err := Open(name)
		var unknown *UnknownEngineError
		if !errors.As(err, &unknown) || unknown.Name != name {
			t.Errorf("Open(%q): %v", name, err)
			continue
		}
		for _, allowed := range Names() {
			if !slices.Contains(unknown.Allowed, allowed) || !strings.Contains(err.Error(), allowed) {
				t.Errorf("the text %q does not name %s", err, allowed)
			}
		}
	}
	for _, name := range append(Names(), "onnx:/opt/libonnxruntime.so", "xla:./plugin"+suffix()) {
		if err := CheckName(name); (err == nil) != (hasCgo || !strings.Contains(name, ":")) {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, s := range []Settings{{Lowering: "fft"}, {Precision: "float16"}, {Devices: -1}, {Devices: 2}} {
		e, err := OpenWith(Go, s)
		var setting *SettingError
		if !errors.As(err, &setting) {
			t.Errorf("OpenWith(go, %+v) = %v, %v", s, e, err)
		}
	}
}

// What an engine cannot be told is refused and not passed over.
func TestDeterministicONNXRuntimeOnCUDA(t *testing.T) {
	if !hasCgo {
		t.Skip("this build opens no library")
	}
	var setting *SettingError
	if _, err := load(ONNXCUDA, "libonnxruntime.so", Settings{Deterministic: true}); !errors.As(err, &setting) || setting.Field != "deterministic" {
		t.Errorf("error %v", err)
	}
}

func TestMissingLibraries(t *testing.T) {
	nothingInstalled(t)
	for name, next := range map[string]string{ONNX: "hounsfield setup onnx", ONNXCUDA: ONNXVariable, XLACPU: "hounsfield setup xla`", XLACUDA: "hounsfield setup xla --cuda", XLA: "hounsfield setup xla`"} {
		if !hasCgo {
			next = "this build has"
		}
		_, err := Open(name)
		if err == nil || !strings.Contains(err.Error(), next) || hasCgo && !Missing(err) {
			t.Errorf("Open(%q): %v; want %q in it", name, err, next)
		}
	}
}

// Auto passes over a library that is installed but bad, and says so; asked for by name it is an error.
func TestAutoPassesOverBadLibraries(t *testing.T) {
	home := nothingInstalled(t)
	if !hasCgo {
		t.Skip("no libraries in this build")
	}
	t.Setenv(HomeVariable, filepath.Join(home, "engines"))
	for _, name := range []string{"xla-cpu/pjrt_c_api_cpu_plugin", "onnx/libonnxruntime"} {
		file := filepath.Join(home, "engines", name+suffix())
		write(t, file, []byte("this is no library"))
	}
	e, err := Open(Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Name != Go || !strings.Contains(e.Why, "pjrt_c_api_cpu_plugin") || !strings.Contains(e.Why, "libonnxruntime") {
		t.Errorf("auto took %s: %s", e.Name, e.Why)
	}
	for _, name := range []string{ONNX, XLACPU} {
		var library *LibraryError
		if _, err := Open(name); !errors.As(err, &library) || !strings.HasPrefix(library.File, home) || !strings.Contains(library.Problem, "not a shared library") {
			t.Errorf("Open(%q): %v", name, err)
		}
	}
}

func TestVariablesThatNameNothing(t *testing.T) {
	home := nothingInstalled(t)
	if !hasCgo {
		t.Skip("no libraries in this build")
	}
	gone := filepath.Join(home, "gone", "lib"+suffix())
	for variable, name := range map[string]string{ONNXVariable: ONNX, onnxOwnVariable: ONNX, PluginVariable: XLACPU} {
		t.Setenv(variable, gone)
		var library *LibraryError
		if _, err := Open(name); !errors.As(err, &library) || library.File != gone || !strings.Contains(library.Problem, variable) {
			t.Errorf("%s=%s: %v", variable, gone, err)
		}
		if e, err := Open(Auto); err != nil || e.Name != Go || !strings.Contains(e.Why, variable) {
			t.Errorf("auto with %s=%s: %v, %v", variable, gone, e, err)
		}
		t.Setenv(variable, "")
	}
}

// Each engine that is here agrees with the sums in float64, twice with the same bytes.
func TestEnginesThatAreHere(t *testing.T) {
	for _, name := range []string{Go, ONNX, XLACPU, XLACUDA} {
		t.Run(name, func(t *testing.T) {
			e := installed(t, name)
			off, err := checkConvolution(e, testGraph)
			if err != nil || off <= 0 {
				t.Errorf("off by %g: %v", off, err)
			}
			c := convolution{cubes: 2, side: 9, in: 8, out: 16, kernel: 3}
			if a, b := runConvolution(t, e, c), runConvolution(t, e, c); !bytes.Equal(a, b) && e.Name != XLACUDA {
				t.Error("two runs give other bytes")
			}
		})
	}
}

// The check is not blind: it notices a wrong value, a gradient that is cut off, and NaN.
func TestCheckNotices(t *testing.T) {
	e, err := Open(Go)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for what, wrong := range map[string]func([]*graph.Node) []*graph.Node{
		"values":                               func(o []*graph.Node) []*graph.Node { o[0] = graph.MulScalar(o[0], 1.001); return o },
		"gradient with respect to the input":   func(o []*graph.Node) []*graph.Node { o[1] = graph.ZerosLike(o[1]); return o },
		"gradient with respect to the weights": func(o []*graph.Node) []*graph.Node { o[2] = graph.Sqrt(o[2]); return o },
	} {
		_, err := checkConvolution(e, func(e *Engine, c convolution) func(x, w, r *graph.Node) []*graph.Node {
			return func(x, w, r *graph.Node) []*graph.Node { return wrong(testGraph(e, c)(x, w, r)) }
		})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("wrong %s: %v", what, err)
		}
	}
}

func runConvolution(t *testing.T, e *Engine, c convolution) []byte {
	t.Helper()
	var in []any
	for k, shape := range [][]int{c.xShape(), c.wShape(), c.yShape()} {
		flat := make([]float32, size(shape))
		for i := range flat {
			flat[i] = float32((i*7+k*13)%101)/50 - 1
		}
		in = append(in, tensors.FromFlatDataAndDimensions(flat, shape...))
	}
	exec := graph.MustNewExec(e.Backend, testGraph(e, c))
	defer exec.Finalize()
	var all []byte
	for _, o := range exec.MustCall(in...) {
		if err := o.ConstBytes(func(b []byte) { all = append(all, b...) }); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestSurvey(t *testing.T) {
	nothingInstalled(t)
	reports := Survey(context.Background())
	if len(reports) != 5 {
		t.Fatalf("%d reports", len(reports))
	}
	for _, r := range reports {
		if usable := r.Err == nil; usable != (r.Engine == Go) {
			t.Errorf("%+v", r)
		}
	}
	if test := reports[0].Test; test == nil || test.GFLOPs < 0.1 || test.Error > testTolerance || test.Error <= 0 {
		t.Errorf("the pure-Go engine's test: %+v", test)
	}
}

// The words of an engine that has run out of memory become a MemoryError, with real ones where engines are here.
func TestMemoryError(t *testing.T) {
	var memory *MemoryError
	if err := Explain(errors.New("shapes do not fit")); errors.As(err, &memory) {
		t.Error(err)
	}
	cuda := errors.New("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.")
	if err := Explain(cuda); !errors.As(err, &memory) || !errors.Is(err, cuda) || !strings.Contains(err.Error(), "training.accumulate") {
		t.Error(err)
	}
	for _, name := range []string{ONNX, XLACPU} {
		t.Run(name, func(t *testing.T) {
			e := installed(t, name)
			_, err := graph.CallOnce(e.Backend, func(x *graph.Node) *graph.Node { // 16 TiB
				a := graph.Sin(graph.BroadcastToDims(x, 1<<21))
				return graph.Sin(graph.DotGeneral(graph.InsertAxes(a, 1), []int{1}, nil, graph.InsertAxes(a, 0), []int{0}, nil))
			}, float32(3))
			if err := Explain(err); !errors.As(err, &memory) {
				t.Errorf("16 TiB: %v", err)
			}
			if err := smallTest(e); err != nil {
				t.Errorf("afterwards the engine is of no use: %v", err)
			}
		})
	}
}

// Many products at a time must not wait for each other for ever (see openGo).
func TestManyProductsAtATime(t *testing.T) {
	e, err := Open(Go)
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

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o755); err != nil {
		t.Fatal(err)
	}
}
