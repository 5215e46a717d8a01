package engine

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestMemoryLimit(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		live uint64
		most int64
		want int64
	}{
		{0, 16 * gib, memoryFloor},
		{gib / 2, 16 * gib, memoryFloor},
		{memoryUsed, 16 * gib, memoryFloor},
		{memoryUsed + gib, 16 * gib, memoryFloor + gib*14/10},
		{16 * gib, 16 * gib, 16 * gib},
		{4 * gib, gib / 4, memoryFloor}, // a small machine: it must still run
	} {
		if got := memoryLimit(c.live, c.most); got != c.want {
			t.Errorf("%d in use, at most %d: %d, want %d", c.live, c.most, got, c.want)
		}
	}
	if offered := offeredMemory(); runtime.GOOS == "linux" && (offered < 64<<20 || offered == math.MaxInt64) {
		t.Errorf("this machine offers %d bytes", offered)
	}
}

// The limit follows what is in use: up with a large slice, down again without.
func TestMemoryFollows(t *testing.T) {
	if os.Getenv("GOMEMLIMIT") != "" {
		t.Skip("GOMEMLIMIT is set")
	}
	e, err := Open(Go)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	large := make([]byte, memoryUsed+1<<28) // its pages are never touched
	up := limitBecomes(func(limit int64) bool { return limit > memoryFloor })
	runtime.KeepAlive(large)
	large = nil
	down := limitBecomes(func(limit int64) bool { return limit == memoryFloor })
	if !up || !down {
		t.Errorf("the limit rose: %t, and fell again: %t; it is %d", up, down, debug.SetMemoryLimit(-1))
	}
}

// limitBecomes collects garbage until the limit is as wished, or for five seconds.
func limitBecomes(as func(int64) bool) bool {
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if as(debug.SetMemoryLimit(-1)) {
			return true
		}
	}
	return false
}
