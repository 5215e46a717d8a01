package experiments

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// schedulable is the number of processors that this process may use.
func schedulable() int { return runtime.NumCPU() }

// startOn starts a command on the first n of the processors that this process may use. All that looks at its processors
// then sees n: Go, ONNX Runtime, XLA, PyTorch.
func startOn(cmd *exec.Cmd, n int) error {
	if n >= schedulable() {
		return cmd.Start()
	}
	// A new process has the affinity of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("reading which processors this process may use: %w", err)
	}
	for cpu := 0; some.Count() < n; cpu++ {
		if all.IsSet(cpu) {
			some.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return fmt.Errorf("keeping to %d processors: %w", n, err)
	}
	err := cmd.Start()
	if back := unix.SchedSetaffinity(0, &all); back != nil {
		return fmt.Errorf("going back to %d processors: %w", all.Count(), back)
	}
	return err
}
