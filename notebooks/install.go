// Package notebooks installs the Jupyter kernel that the notebooks in this folder run
// on, and executes them.
//
// The kernel is GoNB at the version of go.mod. A notebook's code sees this source tree
// as it is, through a Go workspace that the kernel makes, so a cell, the command line
// and a test run the same code; and nothing is downloaded once the modules are there.
package notebooks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// KernelName is the kernel that the notebooks ask for.
const KernelName = "hounsfield"

// goplsVersion of the language server gives completion in cells. It is no part of
// go.mod, which it would double: it is built by itself, and does without.
const goplsVersion = "v0.21.1"

// MissingError says what is not installed here, and how to get it.
type MissingError struct {
	What string // a program
	Get  string // what to type
}

func (e *MissingError) Error() string { return fmt.Sprintf("%s is not installed; %s", e.What, e.Get) }

const getJupyter = "get it with `python3 -m venv ~/jupyter && ~/jupyter/bin/pip install jupyterlab` and put ~/jupyter/bin on PATH, " +
	"or with your system's package, such as `apt install jupyter-notebook python3-nbconvert`"

// Jupyter finds the jupyter command: $HOUNSFIELD_JUPYTER, else the one on PATH.
// Errors: *MissingError.
func Jupyter() (string, error) {
	if named := os.Getenv("HOUNSFIELD_JUPYTER"); named != "" {
		if _, err := exec.LookPath(named); err != nil {
			return "", &MissingError{What: named + ", named by HOUNSFIELD_JUPYTER,", Get: "unset the variable or correct it"}
		}
		return named, nil
	}
	found, err := exec.LookPath("jupyter")
	if err != nil {
		return "", &MissingError{What: "Jupyter", Get: getJupyter}
	}
	return found, nil
}

// Kernel is an installed kernel.
type Kernel struct {
	Path string // folder to name in JUPYTER_PATH; kernels/hounsfield lies below it
}

// Env is the environment in which Jupyter finds the kernel before any other of that name.
func (k Kernel) Env() []string {
	path := k.Path
	if old := os.Getenv("JUPYTER_PATH"); old != "" {
		path += string(filepath.ListSeparator) + old
	}
	return append(os.Environ(), "JUPYTER_PATH="+path)
}

// Start opens Jupyter in a folder of notebooks, with the kernel, and returns when it is
// closed: Jupyter Lab, else the classic notebook. args go to it, such as "--no-browser".
//
// Errors: *MissingError where this Jupyter has neither.
func Start(ctx context.Context, k Kernel, jupyter, folder string, args ...string) error {
	for _, app := range []struct {
		name string
		own  []string
	}{
		// Lab asks its makers for news and updates unless it is told not to.
		{"lab", []string{"--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"}},
		{"notebook", nil},
		{"nbclassic", nil},
	} {
		if exec.CommandContext(ctx, jupyter, app.name, "--version").Run() != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, jupyter, slices.Concat([]string{app.name}, app.own, args)...)
		cmd.Dir, cmd.Env = folder, k.Env()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		// An interrupt would make Jupyter ask back; this ends it and its kernels.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		return cmd.Run()
	}
	return &MissingError{What: "Jupyter Lab", Get: getJupyter}
}

// Install builds GoNB and goimports from the modules of the source folder and writes the
// kernel's description into dir ("" = a folder in the user's cache that belongs to this
// source folder), where Kernel.Env lets Jupyter look. With completion the
// language server gopls is built too, once; it needs the network, and what it lacks is
// said in w and no error.
//
// Errors: *MissingError for the Go toolchain; a failing build with its output.
func Install(ctx context.Context, source, dir string, completion bool, w io.Writer) (Kernel, error) {
	source, err := filepath.Abs(source)
	if err != nil {
		return Kernel{}, err
	}
	if strings.Contains(source, ",") {
		return Kernel{}, fmt.Errorf("the folder %s has a comma in its name, which GoNB takes for the end of the name; move the source to another folder", source)
	}
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return Kernel{}, &MissingError{What: "Go", Get: "get it from go.dev/dl; the kernel compiles each cell"}
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return Kernel{}, err
		}
		dir = filepath.Join(cache, "hounsfield", fmt.Sprintf("jupyter-%x", sha256.Sum256([]byte(source)))[:20])
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Kernel{}, err
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return Kernel{}, err
	}
	build := exec.CommandContext(ctx, goCommand, "build", "-o", bin+string(filepath.Separator), "github.com/janpfeifer/gonb", "golang.org/x/tools/cmd/goimports")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return Kernel{}, fmt.Errorf("building the kernel in %s: %w\n%s", source, err, bytes.TrimSpace(out))
	}
	if completion {
		if err := installCompletion(ctx, goCommand, bin); err != nil {
			fmt.Fprintf(w, "completion in cells is not there (%v); all else works\n", err)
		}
	}
	k := Kernel{Path: dir}
	spec, err := json.MarshalIndent(kernelSpec(source, bin, filepath.Dir(goCommand)), "", "  ")
	if err != nil {
		return Kernel{}, err
	}
	place := filepath.Join(dir, "kernels", KernelName)
	if err := os.MkdirAll(place, 0o755); err != nil {
		return Kernel{}, err
	}
	return k, renameio.WriteFile(filepath.Join(place, "kernel.json"), append(spec, '\n'), 0o644)
}

// spec is Jupyter's description of a kernel.
type spec struct {
	Argv          []string          `json:"argv"`
	DisplayName   string            `json:"display_name"`
	Language      string            `json:"language"`
	InterruptMode string            `json:"interrupt_mode"`
	Env           map[string]string `json:"env"`
}

// kernelSpec is the environment of cells. Jupyter puts its own values in place of ${...}.
func kernelSpec(source, bin, goBin string) spec {
	env := map[string]string{
		"PATH": strings.Join([]string{bin, goBin, "${PATH}"}, string(filepath.ListSeparator)),
		// Linking is most of a cell's wait; without debug tables it is a third shorter.
		"GOFLAGS": strings.TrimSpace(os.Getenv("GOFLAGS") + " -ldflags=-w"),
		"GOWORK":  "", // the kernel makes its own
	}
	if runtime.GOARCH == "amd64" {
		env["GOEXPERIMENT"] = "simd"
	}
	return spec{
		Argv:        []string{filepath.Join(bin, "gonb"), "--kernel", "{connection_file}", "-go_work=" + source, "-raw_error"},
		DisplayName: "Go (Hounsfield)", Language: "go", InterruptMode: "message", Env: env,
	}
}

// installCompletion builds gopls next to the kernel, unless some gopls is on PATH.
func installCompletion(ctx context.Context, goCommand, bin string) error {
	if _, err := exec.LookPath("gopls"); err == nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(bin, "gopls")); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, goCommand, "install", "golang.org/x/tools/gopls@"+goplsVersion)
	cmd.Dir = bin
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.New(strings.TrimSpace(fmt.Sprintf("building gopls %s: %v %s", goplsVersion, err, bytes.TrimSpace(out))))
	}
	return nil
}
