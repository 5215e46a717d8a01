package engine

import (
	"fmt"
	"regexp"
)

// MemoryError says that an engine's device has no room for a computation.
type MemoryError struct {
	Err error // the engine's own words
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("the device has no memory left for this: %v; lower training.batch and raise training.accumulate by as much "+
		"(the same steps from smaller pieces), or use a device with more memory", e.Err)
}

func (e *MemoryError) Unwrap() error { return e.Err }

// outOfMemory are the words of XLA (status 8 of PJRT), CUDA and ONNX Runtime.
var outOfMemory = regexp.MustCompile(`(?i)RESOURCE_EXHAUSTED|PJRT error \(code=8\)|out of memory|CUDA_ERROR_OUT_OF_MEMORY|failed to allocate memory|bad_alloc`)

// Explain returns a *MemoryError around an engine's error that says that memory has run out, and any other error as it
// is.
func Explain(err error) error {
	if err != nil && outOfMemory.MatchString(err.Error()) {
		return &MemoryError{Err: err}
	}
	return err
}
