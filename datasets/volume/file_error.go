package volume

import "fmt"

// FileError is a volume file that cannot be read or written: where, which field of
// it, what was found and what is allowed.
type FileError struct {
	Path, Field, Value, Allowed string
	Err                         error // the cause, when there is one
}

func (e *FileError) Error() string {
	text := fmt.Sprintf("%s: %s is %s; allowed: %s", e.Path, e.Field, e.Value, e.Allowed)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

func (e *FileError) Unwrap() error { return e.Err }
