package cnn

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// BenchmarkWinograd is BenchmarkConv for the form of planes: GFLOP/s counts the products of the plain definition.
func BenchmarkWinograd(b *testing.B) {
	backend := openGo(b).Backend
	for _, l := range []struct {
		name                    string
		in, out, k, edge, cubes int
		first                   bool
	}{
		{"hosny2018_conv1", 1, 64, 5, 50, 1, true},
		{"hosny2018_conv2", 64, 128, 3, 46, 1, false},
		{"hosny2018_conv3", 128, 256, 3, 14, 2, false},
		{"hosny2018_conv4", 256, 512, 3, 12, 2, false},
	} {
		rng := rand.New(rand.NewPCG(3, 4))
		oe := l.edge - l.k + 1
		x := randomArray(rng, l.edge, l.in, l.edge, l.cubes, l.edge).tensor(dtypes.Float32)
		w := randomArray(rng, l.out, l.in, l.k, l.k, l.k).tensor(dtypes.Float32)
		v := randomArray(rng, oe, l.out, oe, l.cubes, oe).tensor(dtypes.Float32)
		flop := 2 * float64(l.in*l.out*l.k*l.k*l.k) * float64(oe*oe*oe*l.cubes)
		for mode, gradients := range map[string]int{"forward": 0, "forward+gradients": 2} {
			if l.first {
				gradients = min(gradients, 1)
			}
			b.Run(fmt.Sprintf("%s/%s", l.name, mode), func(b *testing.B) {
				exec := graph.MustNewExec(backend, func(in []*graph.Node) []*graph.Node {
					y := convolveWinograd(in[0], in[1], 1, &queue{}, l.first)
					if gradients == 0 {
						return y
					}
					axes := []int{0, 1, 2, 3, 4}
					loss := graph.DotGeneral(y[0], axes, nil, in[2], axes, nil)
					return append(y, graph.Gradient(loss, []*graph.Node{in[1], in[0]}[:gradients]...)...)
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
				b.ReportMetric(flop*float64(1+gradients)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
