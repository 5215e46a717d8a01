//go:build !cgo || !(linux || darwin)

package engine

import (
	"errors"

	"github.com/gomlx/compute"
)

// hasCgo tells whether this build can load shared libraries.
const hasCgo = false

var errNoCgo = errors.New("this program was built without cgo, which shared libraries need")

func load(string, string, Settings) (compute.Backend, error) { return nil, errNoCgo }

func tryLibrary(string, string) (*Engine, error) { return nil, errNoCgo }
