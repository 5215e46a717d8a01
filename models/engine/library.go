package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"hounsfield/models/engine/quiet"
)

// Variables of the environment that name libraries. HomeVariable moves the folder of `hounsfield setup`;
// ONNXVariable names the file of ONNX Runtime; PluginVariable is a list of files of XLA plugins, or of folders with them.
const (
	HomeVariable   = "HOUNSFIELD_ENGINES"
	ONNXVariable   = "HOUNSFIELD_ONNXRUNTIME"
	PluginVariable = quiet.Variable

	onnxOwnVariable = "ONNXRUNTIME_SHARED_LIBRARY_PATH" // that of github.com/gomlx/compute-onnx
)

// LibraryError says which library an engine lacks or cannot use, and what to do about it.
type LibraryError struct {
	Engine  string // as in Engine.Name
	File    string // "" when none was found
	Problem string
	Next    string
	Err     error // may be nil
}

func (e *LibraryError) Error() string {
	s := "compute engine " + e.Engine
	if e.File != "" {
		s += ": library " + e.File
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s + "; " + e.Next
}

func (e *LibraryError) Unwrap() error { return e.Err }

// Missing tells whether err says that an engine's library is not installed at all.
func Missing(err error) bool {
	var library *LibraryError
	return errors.As(err, &library) && library.File == ""
}

// Home is the folder that `hounsfield setup` keeps libraries in: $HOUNSFIELD_ENGINES, else hounsfield/engines in the
// user's folder for data ($XDG_DATA_HOME or ~/.local/share; on macOS ~/Library/Application Support). It need not exist.
func Home() (string, error) {
	if dir := os.Getenv(HomeVariable); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "hounsfield", "engines"), nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the engines' libraries: %w; set %s to one", err, HomeVariable)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(user, "Library", "Application Support", "hounsfield", "engines"), nil
	}
	return filepath.Join(user, ".local", "share", "hounsfield", "engines"), nil
}

// suffix is how the names of shared libraries end on this system.
func suffix() string {
	if runtime.GOOS == "darwin" {
		return ".dylib"
	}
	return ".so"
}

// setupCommand is what installs an engine's library.
func setupCommand(name string) string {
	switch name {
	case ONNX, ONNXCUDA:
		return "hounsfield setup onnx"
	case XLACUDA:
		return "hounsfield setup xla --cuda"
	}
	return "hounsfield setup xla"
}

// Patterns of the file names that the plugins of an XLA engine have: those of github.com/gomlx/go-xla, of the Python
// packages of JAX, and of the packages that carry the CPU's plugin.
func pluginPatterns(name string) []string {
	if name == XLACUDA {
		return []string{"pjrt_c_api_cuda_plugin", "pjrt_c_api_cuda*_plugin", "pjrt[-_]plugin[-_]cuda*", "xla_cuda_plugin"}
	}
	return []string{"pjrt_c_api_cpu_plugin", "pjrt_c_api_cpu*_plugin", "pjrt[-_]plugin[-_]cpu*", "xla_cpu_pjrt", "libpjrt_cpu"}
}

// findLibrary returns the file of an engine's library that is installed here, and where it was named or found.
//
// A file that a variable of the environment names must exist. Otherwise the first place that has one counts: the
// engine's home, the standard places of the Go module that opens it, then those of the system.
func findLibrary(name string) (file, from string, err error) {
	switch name {
	case ONNX, ONNXCUDA:
		return findONNX(name)
	default:
		return findPlugin(name)
	}
}

// needsCUDABuild is what to do for ONNXCUDA: the npm package that setup installs is built without it.
const needsCUDABuild = "let " + ONNXVariable + " name a build of ONNX Runtime with CUDA, or use xla:cuda (`hounsfield setup xla --cuda`)"

func findONNX(name string) (file, from string, err error) {
	for _, variable := range []string{ONNXVariable, onnxOwnVariable} {
		named := os.Getenv(variable)
		if named == "" {
			continue
		}
		if info, err := os.Stat(named); err != nil || info.IsDir() {
			return "", "", &LibraryError{Engine: name, File: named, Problem: variable + " names no file", Err: err,
				Next: "let it name the library of ONNX Runtime, or unset it"}
		}
		return named, "named by " + variable, nil
	}
	patterns := []string{"libonnxruntime", "libonnxruntime.so.*", "libonnxruntime.*.dylib"}
	for _, place := range onnxFolders() {
		if file := firstFile(place.folder, patterns); file != "" {
			return file, place.says, nil
		}
	}
	if name == ONNXCUDA {
		return "", "", &LibraryError{Engine: name, Problem: "ONNX Runtime is not installed", Next: needsCUDABuild}
	}
	return "", "", &LibraryError{Engine: name, Problem: "ONNX Runtime is not installed",
		Next: fmt.Sprintf("`%s` installs it, or let %s name its library (libonnxruntime%s)", setupCommand(name), ONNXVariable, suffix())}
}

// place is a folder that may hold libraries.
type place struct{ folder, says string }

func onnxFolders() []place {
	var out []place
	if home, err := Home(); err == nil {
		out = append(out, place{filepath.Join(home, "onnx"), "installed by hounsfield setup"})
	}
	if user, err := os.UserHomeDir(); err == nil {
		folder := filepath.Join(user, ".local", "lib", "onnxruntime")
		if runtime.GOOS == "darwin" {
			folder = filepath.Join(user, "Library", "Application Support", "onnxruntime")
		}
		out = append(out, place{folder, "installed by compute-onnx"})
	}
	return append(out, systemFolders()...)
}

func findPlugin(name string) (file, from string, err error) {
	patterns := pluginPatterns(name)
	for _, entry := range filepath.SplitList(os.Getenv(PluginVariable)) {
		info, err := os.Stat(entry)
		switch {
		case err != nil:
			return "", "", &LibraryError{Engine: name, File: entry, Problem: PluginVariable + " names neither a file nor a folder", Err: err,
				Next: "let it name a PJRT plugin, or unset it"}
		case !info.IsDir() && saysCUDA(filepath.Base(entry)) == (name == XLACUDA):
			return entry, "named by " + PluginVariable, nil
		case info.IsDir():
			if file := firstFile(entry, patterns); file != "" {
				return file, "named by " + PluginVariable, nil
			}
		}
	}
	for _, place := range pluginFolders(name) {
		if file := firstFile(place.folder, patterns); file != "" {
			return file, place.says, nil
		}
	}
	return "", "", &LibraryError{Engine: name, Problem: "no PJRT plugin of XLA for it is installed",
		Next: fmt.Sprintf("`%s` installs one, or let %s name its file or folder", setupCommand(name), PluginVariable)}
}

// saysCUDA tells whether a plugin's path says that it is CUDA's, by the rule of github.com/gomlx/go-xla.
func saysCUDA(path string) bool {
	path = strings.ToUpper(path)
	return strings.Contains(path, "CUDA") || strings.Contains(path, "NVIDIA")
}

func pluginFolders(name string) []place {
	var out []place
	if home, err := Home(); err == nil {
		if name == XLACUDA {
			out = append(out, place{filepath.Join(home, "xla-cuda", "jax_plugins", "xla_cuda13"), "installed by hounsfield setup"})
		}
		out = append(out, place{filepath.Join(home, strings.ReplaceAll(name, ":", "-")), "installed by hounsfield setup"})
	}
	var own []string
	if user, err := os.UserHomeDir(); err == nil {
		own = append(own, filepath.Join(user, ".local", "lib", "go-xla"), filepath.Join(user, ".local", "lib", "gomlx", "pjrt"))
		if runtime.GOOS == "darwin" {
			own = append(own, filepath.Join(user, "Library", "Application Support", "go-xla"))
		}
	}
	for _, folder := range append(own, "/usr/local/lib/go-xla", "/usr/local/lib/gomlx/pjrt") {
		out = append(out, place{folder, "installed by go-xla"}, place{filepath.Join(folder, "nvidia"), "installed by go-xla"})
	}
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} { // JAX, as Python's tools install it
		if dir := os.Getenv(variable); dir != "" && name == XLACUDA {
			found, _ := filepath.Glob(filepath.Join(dir, "lib", "python3*", "site-packages", "jax_plugins", "xla_cuda*"))
			slices.Sort(found)
			for _, folder := range slices.Backward(found) {
				out = append(out, place{folder, "installed with JAX in $" + variable})
			}
		}
	}
	return append(out, systemFolders()...)
}

// systemFolders are those that the system's loader looks into.
func systemFolders() []place {
	var out []place
	for _, folder := range filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")) {
		if filepath.IsAbs(folder) {
			out = append(out, place{folder, "found in LD_LIBRARY_PATH"})
		}
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	for _, folder := range []string{"/usr/local/lib", "/opt/homebrew/lib", "/usr/lib", "/usr/lib64", "/usr/lib/" + machine + "-linux-gnu"} {
		out = append(out, place{folder, "installed on this system"})
	}
	return out
}

// firstFile returns the first file of folder whose name fits the first pattern that fits any, "" for none. Of several
// the last in order is taken: the newest version. Patterns without a suffix get the system's.
func firstFile(folder string, patterns []string) string {
	for _, pattern := range patterns {
		if !strings.Contains(pattern, ".") {
			pattern += suffix()
		}
		found, err := filepath.Glob(filepath.Join(escape(folder), pattern))
		if err != nil {
			continue
		}
		slices.Sort(found)
		for _, file := range slices.Backward(found) {
			if info, err := os.Stat(file); err == nil && !info.IsDir() {
				return file
			}
		}
	}
	return ""
}

// escape makes a folder's name mean itself in a pattern.
func escape(folder string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `*`, `\*`, `?`, `\?`).Replace(folder)
}

// hasNVIDIA tells whether the system shows a device of NVIDIA's driver (under Windows' Linux: of its stand-in).
func hasNVIDIA() bool {
	for _, pattern := range []string{"/dev/nvidia[0-9]*", "/dev/dxg"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}
