//go:build !amd64 || !goexperiment.simd

package engine

// simdCompiled tells whether the engine's vector code is in this build.
const simdCompiled = false

func simdPresent() bool { return false }
