package main

import (
	"os"
	"os/exec"
	"runtime"
)

// goTool is the go command, run in a folder with this process's streams.
func goTool(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// runTests is the verb `test`: all tests of the module, or what the arguments name.
func runTests(source string, args []string) error {
	if len(args) == 0 {
		args = []string{"-timeout=30m", "./..."} // the notebooks take minutes, more on a busy machine
	}
	if err := enableSIMD(); err != nil {
		return err
	}
	return goTool(source, append([]string{"test"}, args...)...).Run()
}

// enableSIMD adds the experiment to the environment that the go command reads, on the
// one architecture that has it. Of several, the last one holds, also against nosimd.
func enableSIMD() error {
	if runtime.GOARCH != "amd64" {
		return nil
	}
	value := "simd"
	if old := os.Getenv("GOEXPERIMENT"); old != "" {
		value = old + ",simd"
	}
	return os.Setenv("GOEXPERIMENT", value)
}
