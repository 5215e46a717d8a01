//go:build cgo && (linux || darwin)

package engine

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

// The beginning of PJRT_Api in XLA's pjrt_c_api.h, which every version of the interface keeps.
struct pjrt_api_begin {
	size_t size;
	void  *extension;
	struct { size_t size; void *extension; int major, minor; } version;
};

// The version of the plugin's interface. On failure it returns what the loader says.
static const char *pjrt_version(const char *file, int *major, int *minor) {
	void *handle = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
	if (!handle) return dlerror();
	const struct pjrt_api_begin *(*get)(void) = (const struct pjrt_api_begin *(*)(void))dlsym(handle, "GetPjrtApi");
	if (!get) return dlerror();
	const struct pjrt_api_begin *api = get();
	if (!api) return "GetPjrtApi returns nothing";
	*major = api->version.major;
	*minor = api->version.minor;
	return NULL;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"github.com/gomlx/compute"
	onnxbackend "github.com/gomlx/compute-onnx"
	"github.com/gomlx/go-xla/compute/xla"
)

// hasCgo tells whether this build can load shared libraries.
const hasCgo = true

// pjrtMajor is the major version of the plugin interface that go-xla speaks; with another one, functions stand at other
// places. Minor versions only add: 0.81 to 0.115 were tried.
const pjrtMajor = 0

func init() {
	onnxbackend.EnableAutoInstall(false)
	xla.EnableAutoInstall(false)
}

var (
	loadMu     sync.Mutex
	onnxLoaded string // the library of ONNX Runtime in this process: there can be one
	cudaLoaded bool   // a plugin of XLA for CUDA has been opened in this process
	xlaFlags   = map[string]string{}
)

// load opens the engine of that name with the library file, in this process.
//
// Errors: *LibraryError, *SettingError, or the library's own.
func load(name, file string, settings Settings) (compute.Backend, error) {
	loadMu.Lock()
	defer loadMu.Unlock()
	switch name {
	case ONNX, ONNXCUDA:
		return loadONNX(name, file, settings)
	default:
		return loadXLA(name, file, settings)
	}
}

// loadONNX passes the file's name through the environment, where it may hold any character.
func loadONNX(name, file string, settings Settings) (compute.Backend, error) {
	if settings.Deterministic && name == ONNXCUDA {
		return nil, &SettingError{"deterministic", true, []string{"false on engine " + ONNXCUDA + ", which cannot be told to (" + XLACUDA + " can)"}}
	}
	if onnxLoaded != "" && onnxLoaded != file {
		return nil, &LibraryError{Engine: name, File: file, Problem: "this program has already loaded " + onnxLoaded,
			Next: "use one library of ONNX Runtime in a program"}
	}
	provider := "cpu"
	if name == ONNXCUDA {
		provider = "cuda"
		beside := filepath.Join(filepath.Dir(file), "libonnxruntime_providers_cuda.so")
		if _, err := os.Stat(beside); err != nil {
			return nil, &LibraryError{Engine: name, File: file, Problem: "it is built without CUDA (libonnxruntime_providers_cuda.so is not beside it)",
				Next: needsCUDABuild}
		}
	}
	before, set := os.LookupEnv(onnxOwnVariable)
	os.Setenv(onnxOwnVariable, file)
	defer func() {
		if set {
			os.Setenv(onnxOwnVariable, before)
		} else {
			os.Unsetenv(onnxOwnVariable)
		}
	}()
	backend, err := onnxbackend.New(provider)
	if err != nil {
		return nil, err
	}
	onnxLoaded = file
	return backend, nil
}

// loadXLA opens a plugin. go-xla takes what a plugin is from its path, so a path that says both or the wrong one is
// refused; so is a comma, which ends the path in its configuration.
func loadXLA(name, file string, settings Settings) (compute.Backend, error) {
	cuda := name == XLACUDA
	if strings.Contains(file, ",") || saysCUDA(file) != cuda || !cuda && !strings.Contains(strings.ToUpper(file), "CPU") ||
		cuda && strings.Contains(strings.ToUpper(file), "CPU") {
		return nil, &LibraryError{Engine: name, File: file, Problem: "its path must tell what it is",
			Next: "copy it to a path without commas, with \"cpu\" and neither \"cuda\" nor \"nvidia\" in it for xla:cpu, with \"cuda\" and no \"cpu\" for xla:cuda"}
	}
	if settings.Deterministic && cuda {
		const flag = "--xla_gpu_deterministic_ops"
		if _, set := xlaFlags[flag]; cudaLoaded && !set {
			return nil, &SettingError{"deterministic", true, []string{"false in a program that has opened " + XLACUDA + " without it, which is told once (start the program anew)"}}
		}
		if err := setFlag(flag, "true"); err != nil {
			return nil, err
		}
	}
	if cuda {
		os.Setenv("GOPJRT_CUDA_CHECKS", "0") // go-xla's own search knows only its own layout, and complains at length
		if dir := cudaFolder(file); dir != "" && !strings.Contains(os.Getenv("XLA_FLAGS"), "--xla_gpu_cuda_data_dir") {
			if err := setFlag("--xla_gpu_cuda_data_dir", dir); err != nil {
				return nil, err
			}
		}
	}
	backend, err := xla.New(file)
	cudaLoaded = cudaLoaded || cuda && err == nil
	return backend, err
}

// setFlag adds a flag for XLA. A plugin reads them once, when the first program is compiled.
func setFlag(flag, value string) error {
	if _, ok := xlaFlags[flag]; ok {
		return nil
	}
	if strings.ContainsAny(value, " \t") {
		return fmt.Errorf("XLA's flag %s cannot be %q: XLA_FLAGS is split at spaces; use a path without", flag, value)
	}
	xlaFlags[flag] = value
	return os.Setenv("XLA_FLAGS", strings.TrimSpace(os.Getenv("XLA_FLAGS")+" "+flag+"="+value))
}

// cudaFolder is the folder with NVIDIA's tools beside a plugin, as the Python packages and go-xla lay them out; "" when
// there is none.
func cudaFolder(plugin string) string {
	above := filepath.Dir(filepath.Dir(plugin))
	for _, dir := range []string{
		filepath.Join(above, "nvidia", "cu13"), filepath.Join(filepath.Dir(above), "nvidia", "cu13"),
		filepath.Join(above, "nvidia"), filepath.Join(filepath.Dir(above), "nvidia"),
	} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}

// tryLibrary opens an engine in a process that exists for that. name may be XLA.
func tryLibrary(name, file string) (*Engine, error) {
	var version string
	if name != ONNX && name != ONNXCUDA {
		major, minor, err := pluginVersion(file)
		if err != nil {
			return nil, err
		}
		if major != pjrtMajor {
			return nil, &LibraryError{Engine: name, File: file, Problem: fmt.Sprintf("it is a plugin of PJRT interface %d.%d, this program speaks %d", major, minor, pjrtMajor),
				Next: fmt.Sprintf("install the one for this program with `%s`", setupCommand(name))}
		}
		version = fmt.Sprintf("PJRT %d.%d", major, minor)
		if name == XLA {
			if name = XLACPU; saysCUDA(file) {
				name = XLACUDA
			}
		}
	}
	backend, err := load(name, file, Settings{})
	if err != nil {
		return nil, err
	}
	e := &Engine{Backend: backend, Name: name, Version: version, Library: file, Devices: backend.NumDevices()}
	if e.Devices == 0 {
		return nil, &LibraryError{Engine: name, File: file, Problem: "it shows no device", Next: "use another engine"}
	}
	e.Device = backend.DeviceDescription(0)
	if name == XLACPU && !strings.Contains(strings.ToUpper(e.Device), "CPU") {
		return nil, &LibraryError{Engine: name, File: file, Problem: "its device is " + e.Device + ", not the processor", Next: "use a plugin for the CPU or for CUDA"}
	}
	if ort, ok := backend.(*onnxbackend.Backend); ok {
		e.Version = "ONNX Runtime " + ort.Version()
	}
	return e, nil
}

func pluginVersion(file string) (major, minor int, err error) {
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	var a, b C.int
	if problem := C.pjrt_version(name, &a, &b); problem != nil {
		return 0, 0, errors.New(C.GoString(problem))
	}
	return int(a), int(b), nil
}
