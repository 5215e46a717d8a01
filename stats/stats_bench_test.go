package stats

import (
	"fmt"
	"testing"
)

func BenchmarkAUC206(b *testing.B) {
	scores, positive := binaryData(1, 206, 1e9)
	for b.Loop() {
		if _, err := AUC(scores, positive); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeLong206(b *testing.B) {
	scores, positive := binaryData(1, 206, 1e9)
	for b.Loop() {
		if _, err := DeLong(scores, positive, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBootstrapAUC2000x206(b *testing.B) {
	scores, positive := binaryData(1, 206, 1e9)
	for b.Loop() {
		if _, err := BootstrapAUC(scores, positive, 2000, 1, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkROCBand2000x206(b *testing.B) {
	scores, positive := binaryData(1, 206, 1e9)
	for b.Loop() {
		if _, err := ROCBand(scores, positive, nil, 2000, 1, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}

// Doubling n should a little more than double the time.
func BenchmarkHarrellC(b *testing.B) {
	for _, n := range []int{50_000, 100_000} {
		time, event, _, _ := survivalData(1, n, 1)
		scores, _ := binaryData(1, n, 1e9)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := HarrellC(time, event, scores, 0.95); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCox10000x20(b *testing.B) {
	time, event, x := coxExample(1, 10_000, 20, 1)
	for b.Loop() {
		if _, err := Cox(time, event, x, 0.95); err != nil {
			b.Fatal(err)
		}
	}
}
