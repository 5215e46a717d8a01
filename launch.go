//go:build amd64 && !goexperiment.simd

// Package main is the hounsfield command line.
//
// Go compiles its SIMD instructions only under GOEXPERIMENT=simd, and a module
// cannot ask for that itself. So on amd64 a plain `go run .` or `go build` makes
// this small launcher, which builds the program once more with SIMD and becomes
// it; the go command's cache makes later starts quick. A binary to carry away is
// made by `GOEXPERIMENT=simd go build`, which leaves the launcher out.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

func main() {
	if err := launch(os.Args[1:]); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "hounsfield:", err)
		os.Exit(1)
	}
}

func launch(args []string) error {
	_, file, _, _ := runtime.Caller(0)
	source := filepath.Dir(file)
	if _, err := os.Stat(filepath.Join(source, "go.mod")); err != nil {
		return fmt.Errorf("this is only the launcher, and its source is not at %s any more; build the whole program with `GOEXPERIMENT=simd go build`", source)
	}
	if len(args) > 0 && args[0] == "test" {
		return runTests(source, args[1:])
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	binary := filepath.Join(cache, "hounsfield", fmt.Sprintf("hounsfield-%x", sha256.Sum256([]byte(source)))[:24])
	if _, err := os.Stat(binary); err != nil {
		fmt.Fprintln(os.Stderr, "building hounsfield; the first time this takes a minute or two ...")
	}
	// One process at a time builds; becoming the program gives the lock back.
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(binary+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if err := enableSIMD(); err != nil {
		return err
	}
	build := goTool(source, "build", "-o", binary, ".")
	build.Stdout = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building hounsfield: %w", err)
	}
	// Becoming the program leaves signals and the exit status its own.
	return syscall.Exec(binary, append([]string{binary}, args...), os.Environ())
}
