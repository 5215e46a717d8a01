//go:build !linux

package experiments

import (
	"os/exec"
	"runtime"
)

// schedulable is the number of processors that this process may use.
func schedulable() int { return runtime.NumCPU() }

// startOn starts a command that has been told its number of threads by its environment; there is no binding to
// processors here.
func startOn(cmd *exec.Cmd, _ int) error { return cmd.Start() }
