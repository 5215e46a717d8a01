// Package quiet keeps github.com/gomlx/go-xla from searching the system for plugins when a program starts: its init
// reads /etc/ld.so.conf and all that it includes, and complains on standard error where there is none. With the
// variable of its search path set, if only to nothing, it does not. Package engine searches itself, when asked.
//
// It works because Go initialises packages in the order of their paths as soon as those that they import are: this one
// needs only os, go-xla needs k8s.io/klog, which comes later.
package quiet

import "os"

// Variable is go-xla's list of files and folders with plugins.
const Variable = "PJRT_PLUGIN_LIBRARY_PATH"

func init() {
	if _, set := os.LookupEnv(Variable); !set {
		os.Setenv(Variable, "")
	}
}
