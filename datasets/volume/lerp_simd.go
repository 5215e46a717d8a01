//go:build amd64 && goexperiment.simd

package volume

import "simd/archsimd"

// lerpVectors is lerp, with the same last digit, of as many numbers from the front as whole
// vectors take. It says how many.
func lerpVectors(out, a, b []float32, weight float32) (n int) {
	if !archsimd.X86.AVX2() {
		return 0
	}
	w := archsimd.BroadcastFloat32x8(weight)
	for ; n+8 <= len(out); n += 8 {
		x := archsimd.LoadFloat32x8Slice(a[n:])
		x.Add(w.Mul(archsimd.LoadFloat32x8Slice(b[n:]).Sub(x))).StoreSlice(out[n:])
	}
	archsimd.ClearAVXUpperBits() // else what follows, on single numbers, is slowed down
	return n
}
