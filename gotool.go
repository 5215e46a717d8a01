package main

import (
	"os"
	"os/exec"
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
		args = []string{"./..."}
	}
	return goTool(source, append([]string{"test"}, args...)...).Run()
}
