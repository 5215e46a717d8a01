package engine

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
)

// The pure-Go engine's buffers go to a pool and leave it only at garbage collections, which Go by default starts when
// the heap has doubled: a training step then holds twice the memory that it needs. A fixed soft limit cures that for one
// size of step only; what needs more than the limit would collect all the time. So the limit follows what is in use.
//
// Measured on 2 cores with the study's network (peak, time of a step). 4 cubes: 2.2 GB and 3.5 s with a limit 1.05 times
// what is in use, 2.7 GB and 3.4 s with 1.25. 16 cubes: 4.8 GB and 17.1 s, 6.5 GB and 12.9 s. So room is given as use
// grows beyond the floor.
const (
	memoryFloor = 2200 << 20 // the lowest limit: a step of the study's network on 4 cubes runs in it
	memoryUsed  = 2100 << 20 // what may be in use at the lowest limit
	memoryRoom  = 1.4        // the limit's growth, over that of what is in use
	memoryShare = 0.9        // of the memory that machine and control group offer: the highest limit
)

var followOnce sync.Once

// keepMemoryLow keeps the process's memory near what it uses, from the first call on. It never refuses any. It does
// nothing where the user has set a limit (GOMEMLIMIT).
func keepMemoryLow() {
	followOnce.Do(func() {
		if os.Getenv("GOMEMLIMIT") == "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
			f := &follower{most: int64(memoryShare * float64(offeredMemory()))}
			debug.SetMemoryLimit(memoryFloor)
			f.arm()
		}
	})
}

// follower sets the limit after each collection.
type follower struct{ most int64 }

// arm has the follower told of the next collection: that of a value nobody uses.
func (f *follower) arm() {
	s := new(*follower) // a pointer, lest it share its memory with other small values
	runtime.AddCleanup(s, func(f *follower) { f.follow(); f.arm() }, f)
}

// follow sets the limit to what the last collection has found in use, and some room.
func (f *follower) follow() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		debug.SetMemoryLimit(memoryLimit(sample[0].Value.Uint64(), f.most))
	}
}

// memoryLimit is the limit for a heap of which live bytes are in use.
func memoryLimit(live uint64, most int64) int64 {
	return max(memoryFloor, min(memoryFloor+int64(memoryRoom*(float64(live)-memoryUsed)), most))
}

// offeredMemory is what the machine and the process's control group offer, in bytes; "no limit" where neither says.
func offeredMemory() uint64 {
	offered := uint64(math.MaxInt64)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == "MemTotal:" {
				if kib, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
					offered = min(offered, kib<<10)
				}
			}
		}
	}
	for _, file := range groupFiles() {
		if text, err := os.ReadFile(file); err == nil { // "max" is no number
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
				offered = min(offered, n)
			}
		}
	}
	return offered
}

// groupFiles are the files that may say how much memory the process's control group, and those around it, may use.
func groupFiles() []string {
	files := []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return files
	}
	for line := range strings.Lines(string(text)) {
		if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			for ; len(group) > 1; group = filepath.Dir(group) {
				files = append(files, filepath.Join("/sys/fs/cgroup", group, "memory.max"))
			}
		}
	}
	return files
}
