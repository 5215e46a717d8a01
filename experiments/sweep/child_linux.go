package sweep

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownProgram is this program's file, also when another has been put in its place since.
func ownProgram() (string, error) { return "/proc/self/exe", nil }

// runChild runs a command on some of the processors that this process may use, which ones
// depending on the slot, so that all that looks at its processors (Go, ONNX Runtime, XLA)
// keeps to them. The command dies with this process and does not hear the terminal's Ctrl-C.
func runChild(cmd *exec.Cmd, slot, threads int) error {
	// The kernel ties a child's death signal and its processors to the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("reading which processors this process may use: %w", err)
	}
	some := partOf(all, slot, threads)
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return fmt.Errorf("keeping to %d processors: %w", threads, err)
	}
	err := cmd.Start()
	back := unix.SchedSetaffinity(0, &all)
	if err == nil {
		err = cmd.Wait()
	}
	if back != nil {
		return errors.Join(err, fmt.Errorf("going back to %d processors: %w", all.Count(), back))
	}
	return err
}

// partOf are the processors of one slot: the next ones after those of the slot before, from
// the first again where there are no more.
func partOf(all unix.CPUSet, slot, threads int) unix.CPUSet {
	var cpus []int
	for cpu := 0; len(cpus) < all.Count(); cpu++ {
		if all.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	var some unix.CPUSet
	for k := range min(threads, len(cpus)) {
		some.Set(cpus[(slot*threads+k)%len(cpus)])
	}
	return some
}
