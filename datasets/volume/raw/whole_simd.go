//go:build amd64 && goexperiment.simd

package raw

import (
	"math"
	"simd/archsimd"
)

// wholeVectors rounds as many values from the front as whole vectors take into out, 2 bytes
// each, as AppendInt16 does, and says how many; ok is false where one of them does not fit.
//
// It adds the largest number below a half, in 32 bits, and cuts: with a half the largest
// number below a half would become 1, and what is a half or more reaches the next whole
// number with either.
func wholeVectors(out []byte, hu []float32) (n int, ok bool) {
	if !archsimd.X86.AVX2() {
		return 0, true
	}
	sign := archsimd.BroadcastInt32x4(math.MinInt32)
	half := archsimd.BroadcastFloat32x4(math.Nextafter32(0.5, 0)).AsInt32x4()
	lost := archsimd.BroadcastInt32x4(0)
	for ; n+8 <= len(hu); n += 8 {
		a, b := archsimd.LoadFloat32x4Slice(hu[n:]), archsimd.LoadFloat32x4Slice(hu[n+4:])
		x := a.Add(a.AsInt32x4().And(sign).Or(half).AsFloat32x4()).ConvertToInt32()
		y := b.Add(b.AsInt32x4().And(sign).Or(half).AsFloat32x4()).ConvertToInt32()
		lost = lost.Or(x.Xor(x.ShiftAllLeft(16).ShiftAllRight(16))).Or(y.Xor(y.ShiftAllLeft(16).ShiftAllRight(16)))
		x.SaturateToInt16Concat(y).AsUint8x16().StoreSlice(out[2*n:])
	}
	return n, lost.IsZero()
}
