package stats

import (
	"fmt"
	"testing"
)

// Doubling n should a little more than double the time.
func BenchmarkHarrellCPaired(b *testing.B) {
	time, event, _, _ := survivalData(1, 100_000, 1)
	scores, _ := binaryData(1, 100_000, 1e9)
	other, _ := binaryData(2, 100_000, 1e9)
	for b.Loop() {
		if _, err := HarrellCPaired(time, event, scores, other, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTimeAUC(b *testing.B) {
	for _, n := range []int{50_000, 100_000} {
		time, event, _, _ := survivalData(1, n, 1)
		scores, _ := binaryData(1, n, 1e9)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := TimeAUC(time, event, scores, []float64{730}, 0.95); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCoxRobust10000x20(b *testing.B) {
	time, event, x := coxExample(1, 10_000, 20, 1)
	for b.Loop() {
		if _, err := Cox(time, event, x, 0.95, CoxRobust()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProportionalHazards10000x20(b *testing.B) {
	time, event, x := coxExample(1, 10_000, 20, 1)
	fit, err := Cox(time, event, x, 0.95)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := fit.ProportionalHazards(KMTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGray10000(b *testing.B) {
	time, cause, group := competingData(1, 10_000, 1)
	for b.Loop() {
		if _, err := GrayTest(time, cause, group, 1, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}
