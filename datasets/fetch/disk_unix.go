//go:build linux || darwin

package fetch

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// freeSpace is how many bytes this user can still write to the disk of a folder.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return -1, err
	}
	return int64(min(s.Bavail*uint64(s.Bsize), 1<<62)), nil
}

// lockFile takes a lock that the kernel gives back when its holder closes the file or dies.
func lockFile(f *os.File) (taken bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// diskFull says whether an error of writing is one of room.
func diskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// bootID names the time since this machine was started: what was written before it, and not yet
// kept by the disk, may be lost. Empty where the system has no such name.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some network disks cannot do it for folders; then the rename itself is all there is.
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}
