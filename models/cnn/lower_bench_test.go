package cnn

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// BenchmarkConv times single convolutions, forward alone and with both gradients (the first layer of a network
// needs no input gradient). GFLOP/s counts two operations for each product of the plain definition; nothing that
// a lowering computes for nothing is counted.
func BenchmarkConv(b *testing.B) {
	backend := openGo(b).Backend
	for _, l := range []struct {
		name                    string
		in, out, k, edge, cubes int
		first                   bool
	}{
		{"hosny2018_conv1", 1, 64, 5, 50, 1, true},
		{"hosny2018_conv2", 64, 128, 3, 46, 1, false},
		{"hosny2018_conv3", 128, 256, 3, 14, 1, false},
		{"hosny2018_conv4", 256, 512, 3, 12, 1, false},
		{"small_conv1", 1, 8, 3, 25, 4, true},
		{"small_conv2", 8, 16, 3, 11, 4, false},
		{"small_conv3", 16, 32, 3, 3, 4, false},
	} {
		rng := rand.New(rand.NewPCG(3, 4))
		oe := l.edge - l.k + 1
		x := randomArray(rng, l.in, l.edge, l.cubes, l.edge, l.edge).tensor(dtypes.Float32)
		w := randomArray(rng, l.out, l.in, l.k, l.k, l.k).tensor(dtypes.Float32)
		v := randomArray(rng, l.out, oe, l.cubes, oe, oe).tensor(dtypes.Float32)
		flop := 2 * float64(l.in*l.out*l.k*l.k*l.k) * float64(oe*oe*oe*l.cubes)
		for _, both := range []bool{false, true} {
			mode, passes := "forward", 1.0
			if both {
				mode, passes = "forward+gradients", 3
				if l.first {
					passes = 2
				}
			}
			b.Run(fmt.Sprintf("%s/%s", l.name, mode), func(b *testing.B) {
				exec := graph.MustNewExec(backend, func(in []*graph.Node) []*graph.Node {
					y := convolveColumns(in[0], in[1], &queue{}, l.first)
					if !both {
						return []*graph.Node{y}
					}
					wrt := []*graph.Node{in[1], in[0]}
					if l.first {
						wrt = wrt[:1]
					}
					return append([]*graph.Node{y}, graph.Gradient(graph.ReduceAllSum(graph.DotGeneral(y, []int{0, 1, 2, 3, 4}, nil, in[2], []int{0, 1, 2, 3, 4}, nil)), wrt...)...)
				})
				defer exec.Finalize()
				step := func() {
					for _, o := range exec.MustCall(x, w, v) {
						o.MustFinalizeAll()
					}
				}
				step()
				b.ResetTimer()
				cpu := cpuSeconds()
				for range b.N {
					step()
				}
				b.ReportMetric((cpuSeconds()-cpu)*1e3/float64(b.N), "cpu-ms/op")
				b.ReportMetric(flop*passes*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

// cpuSeconds is the processor time that this process has used: on a busy machine it says more than the clock.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
