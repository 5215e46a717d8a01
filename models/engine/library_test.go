//go:build cgo && (linux || darwin)

package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/go-xla/pjrt"
)

// compile makes a shared library from C.
func compile(t *testing.T, file, source string, flags ...string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler to make bad libraries with")
	}
	text := file + ".c"
	write(t, text, []byte(source))
	out, err := exec.Command(cc, append([]string{"-shared", "-fPIC", "-o", file, text}, flags...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

const (
	anyPlugin = "void *GetPjrtApi(void) { return 0; }\n"

	// The beginning of PJRT_Api, and nothing where its functions should be.
	versionedPlugin = `#include <stddef.h>
struct { size_t size; void *ext; struct { size_t size; void *ext; int major, minor; } v; void *functions[200]; }
	api = {sizeof api, 0, {32, 0, MAJOR, 3}};
void *GetPjrtApi(void) { return &api; }
`
	// OrtApiBase: GetApi knows no version, GetVersionString.
	otherRuntime = `static const void *api(unsigned v) { return 0; }
static const char *version(void) { return "0.4.0"; }
struct { const void *(*a)(unsigned); const char *(*b)(void); } base = {api, version};
void *OrtGetApiBase(void) { return &base; }
`
)

// Every bad library is an error that names the file and what to do, and the program lives on.
func TestBadLibraries(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name+suffix()) }
	plain := compile(t, at("plain"), "char filling[1<<20] = {1};\n"+anyPlugin)
	good, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	write(t, at("text"), []byte("<html><body>404 Not Found</body></html>\n"))
	write(t, at("empty"), nil)
	write(t, at("windows"), append([]byte("MZ\x90\x00"), make([]byte, 2000)...))
	if err := os.Mkdir(at("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, at("half"), good[:len(good)/2])
	cases := []struct{ name, engine, problem, next string }{
		{"absent", XLACPU, "it cannot be read", "hounsfield setup xla`"},
		{"text", ONNX, `not a shared library (it begins with "<htm")`, "hounsfield setup onnx"},
		{"empty", XLACPU, "a file of 0 bytes", "hounsfield setup xla`"},
		{"windows", XLACUDA, "a library for Windows", "hounsfield setup xla --cuda"},
		{"folder", ONNX, "not a file", "name the library's file"},
		{"half", XLACPU, "cut short", "hounsfield setup xla`"},
		{"plain", ONNX, "not of this engine: it has no function OrtGetApiBase", "hounsfield setup onnx"},
		{"cpu-null", XLACPU, "cannot be opened (GetPjrtApi returns nothing)", "hounsfield setup xla`"},
		{"cpu-v99", XLACPU, "PJRT interface 99.3, this program speaks 0", "hounsfield setup xla`"},
		{"cpu-holes", XLACPU, "ended the process", "hounsfield setup xla`"},
		{"old", ONNX, "between versions 17 and", "hounsfield setup onnx"},
		{"abort", ONNX, "ended the process", "hounsfield setup onnx"},
		{"needs", ONNX, "needs another library that is not here", "ldd"},
		{"cuda-needs", XLACUDA, "needs libraries of CUDA that are not here", "hounsfield setup xla --cuda"},
		{"neither", XLACPU, "its path must tell what it is", "cpu"},
	}
	if runtime.GOOS == "linux" {
		other := append([]byte(nil), good...)
		other[18], other[19] = 243, 0 // e_machine: RISC-V
		write(t, at("riscv"), other)
		cases = append(cases, struct{ name, engine, problem, next string }{"riscv", XLACPU, "another processor (EM_RISCV", "hounsfield setup xla`"})
	}
	write(t, at("cpu-null"), good)
	compile(t, at("cpu-v99"), strings.Replace(versionedPlugin, "MAJOR", "99", 1))
	compile(t, at("cpu-holes"), strings.Replace(versionedPlugin, "MAJOR", "0", 1))
	compile(t, at("neither"), strings.Replace(versionedPlugin, "MAJOR", "0", 1))
	compile(t, at("old"), otherRuntime)
	compile(t, at("abort"), "#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { abort(); }\nvoid *OrtGetApiBase(void) { return 0; }\n")
	compile(t, at("libgone"), "int gone(void) { return 1; }\n")
	compile(t, at("needs"), "int gone(void);\nvoid *OrtGetApiBase(void) { return gone() ? 0 : 0; }\n", "-L"+dir, "-lgone")
	compile(t, at("cuda-needs"), "int gone(void);\nvoid *GetPjrtApi(void) { return gone() ? 0 : 0; }\n", "-L"+dir, "-lgone")
	if err := os.Remove(at("libgone")); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := runProbe(context.Background(), order{Engine: c.engine, File: at(c.name)})
			var library *LibraryError
			if !errors.As(err, &library) {
				t.Fatalf("%v", err)
			}
			if library.File != at(c.name) || !strings.Contains(err.Error(), c.problem) || !strings.Contains(library.Next, c.next) {
				t.Errorf("%v\nwant %q and %q in it", err, c.problem, c.next)
			}
		})
	}
}

// A library that never answers does not stop the program.
func TestLibraryThatHangs(t *testing.T) {
	file := compile(t, filepath.Join(t.TempDir(), "hangs"+suffix()),
		"#include <unistd.h>\n__attribute__((constructor)) static void f(void) { for (;;) pause(); }\nvoid *OrtGetApiBase(void) { return 0; }\n")
	defer func(d time.Duration) { probeTimeout = d }(probeTimeout)
	probeTimeout = 500 * time.Millisecond
	_, err := runProbe(context.Background(), order{Engine: ONNX, File: file})
	var library *LibraryError
	if !errors.As(err, &library) || !strings.Contains(library.Problem, "not answered") {
		t.Errorf("%v", err)
	}
}

// A real library that is copied only in part is refused before it is loaded.
func TestHalfOfARealLibrary(t *testing.T) {
	e := installed(t, ONNX)
	whole, err := os.ReadFile(e.Library)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), "half"+suffix())
	write(t, half, whole[:len(whole)*2/3])
	var library *LibraryError
	if _, err := Open("onnx:" + half); !errors.As(err, &library) || !strings.Contains(library.Problem, "cut short") {
		t.Errorf("%v", err)
	}
}

// There can be one library of ONNX Runtime in a process.
func TestSecondONNXRuntime(t *testing.T) {
	e := installed(t, ONNX)
	whole, err := os.ReadFile(e.Library)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "libonnxruntime"+suffix())
	write(t, copied, whole)
	var library *LibraryError
	if _, err := Open("onnx:" + copied); !errors.As(err, &library) || !strings.Contains(library.Problem, e.Library) {
		t.Errorf("%v", err)
	}
}

// Libraries are found where setup and other tools put them, and the newest of several is taken.
func TestFindLibrary(t *testing.T) {
	home := nothingInstalled(t)
	lib := func(parts ...string) string { return filepath.Join(append([]string{home}, parts...)...) }
	for _, c := range []struct{ name, file, variable, value string }{
		{ONNX, lib(".local", "share", "hounsfield", "engines", "onnx", "libonnxruntime.so.1"), "", ""},
		{ONNX, lib("data", "hounsfield", "engines", "onnx", "libonnxruntime.so"), "XDG_DATA_HOME", lib("data")},
		{ONNX, lib("e", "onnx", "libonnxruntime.so"), HomeVariable, lib("e")},
		{ONNX, lib("named.so"), ONNXVariable, lib("named.so")},
		{XLACPU, lib(".local", "lib", "go-xla", "pjrt_c_api_cpu_v0.114.0_plugin.so"), "", ""},
		{XLACPU, lib("p", "libpjrt_cpu.so"), PluginVariable, lib("p")},
		{XLACPU, lib("q[1]", "mine.so"), PluginVariable, lib("q[1]", "mine.so")},
		{XLACUDA, lib("v", "lib", "python3.13", "site-packages", "jax_plugins", "xla_cuda13", "xla_cuda_plugin.so"), "VIRTUAL_ENV", lib("v")},
		{XLACUDA, lib(".local", "lib", "go-xla", "nvidia", "pjrt_c_api_cuda_plugin.so"), "", ""},
	} {
		if runtime.GOOS != "linux" {
			t.Skip("names of Linux")
		}
		t.Run(c.name+" "+c.variable, func(t *testing.T) {
			write(t, c.file, []byte("x"))
			defer os.Remove(c.file)
			if c.variable != "" {
				t.Setenv(c.variable, c.value)
			}
			got, from, err := findLibrary(c.name)
			if err != nil || got != c.file || from == "" {
				t.Errorf("%q (%s), %v; want %q", got, from, err, c.file)
			}
		})
	}
}

// go-xla must not search the system when a program starts (see package quiet).
func TestNoSearchAtStart(t *testing.T) {
	if os.Getenv(PluginVariable) != "" {
		t.Skip(PluginVariable + " is set")
	}
	if _, err := pjrt.GetPlugin("absent"); err == nil || !strings.Contains(err.Error(), "not found in paths []") {
		t.Errorf("go-xla has search paths: %v", err)
	}
}
