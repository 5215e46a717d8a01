package datasets

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// BenchmarkLoader is how many augmented 50^3 cubes (margin 10) come out of the loader
// per second when the caller does nothing but take them.
func BenchmarkLoader(b *testing.B) {
	set := &CubeSet{}
	var labels []Null[bool]
	for i := range 32 {
		set.IDs, set.Cubes, labels = append(set.IDs, fmt.Sprint(i)), append(set.Cubes, numbered(50, 10)), append(labels, table.Some(i%2 == 0))
	}
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			const batch = 16
			l, err := NewLoader(set, labels, LoaderSpec{Batch: batch, Steps: b.N, Workers: workers, Augment: StudyAugment()})
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for data, err := range l.Epoch(context.Background(), 1).Iter() {
				if err != nil {
					b.Fatal(err)
				}
				if err := data.Finalize(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "cubes/s")
		})
	}
}

func BenchmarkCubeStore(b *testing.B) {
	s, err := OpenCubeStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	key := NewCubeKey("one", volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10})
	if err := s.Put(key, numbered(50, 10)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, found, err := s.Get(key); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}
