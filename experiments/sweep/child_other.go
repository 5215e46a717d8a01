//go:build !linux

package sweep

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// ownProgram is this program's file.
func ownProgram() (string, error) { return os.Executable() }

// runChild runs a command with that many threads of Go. It does not hear the terminal's
// Ctrl-C, and goes on when this process dies: the lock of its run folder tells.
func runChild(cmd *exec.Cmd, _, threads int) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(cmd.Environ(), "GOMAXPROCS="+strconv.Itoa(threads))
	return cmd.Run()
}
