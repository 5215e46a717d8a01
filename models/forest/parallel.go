package forest

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls work(0..n-1), each once, from some goroutines. start is called once
// in each of them and returns its worker, which may own scratch memory.
func parallel(workers, n int, start func() func(int)) {
	workers = min(workers, n)
	if workers <= 1 {
		work := start()
		for i := range n {
			work(i)
		}
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			work := start()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	wait.Wait()
}

// workersFor keeps small work in one goroutine.
func workersFor(steps int) int {
	if steps < 1<<12 {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}
