//go:build amd64 && goexperiment.simd

package engine

import "golang.org/x/sys/cpu"

// simdCompiled tells whether the engine's vector code is in this build.
const simdCompiled = true

// simdPresent tells whether this processor has the instructions that the vector code needs.
func simdPresent() bool { return cpu.X86.HasAVX2 }
