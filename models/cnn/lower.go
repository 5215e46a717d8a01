package cnn

import "hounsfield/models/engine"

// plan says for which engine, and with which of its settings, a network's graph is built. The zero plan is the
// pure-Go engine with default settings.
type plan struct {
	engine   string // engine.Engine.Name; "" is the pure-Go engine
	settings engine.Settings
}

func planOf(e *engine.Engine) plan { return plan{engine: e.Name, settings: e.Settings} }

// A network is built in one of three forms; each has its own order of axes.
//
//	columns  network.go         products with the input's shifted views
//	planes   network_planes.go  Winograd along the depth, products with shifted views within a plane
//	native   network_native.go  the engine's own convolution
//
// Settings.Lowering columns, winograd and native ask for one. auto goes by these timings, in ms for one cube, forward
// and with all gradients (none of the input for the first layer), of the pure-Go engine on two cores of an AMD EPYC with AVX-512:
//
//	                            columns      planes
//	 1 ->  64, 5^3, 50^3        54   84      35   62
//	64 -> 128, 3^3, 46^3       276  838     167  518
//	128 -> 256, 3^3, 14^3       25   66      16   47  (planes: two cubes at a time)
//	256 -> 512, 3^3, 12^3       42  153      39  117  (planes: two cubes at a time)
//	the study's network, 4 cubes    1521         926  (PyTorch 1.13: 730)
//
// The small network's layers of a few channels are no faster in planes.
//
// On ONNX Runtime only native can be built (GoMLX's gradients of the other forms need operations that it lacks). XLA
// takes, for a step of the study's network on 4 cubes on the same two cores, 9.5 s native, 3.5 s in columns and 3.8 s in
// planes with more memory: columns on the processor. On CUDA, native leaves the choice to cuDNN; it has not been measured.

// largeProducts is the number of products, for one cube, of a network's largest convolution from which on the network
// counts as large: then auto takes the form of planes on the pure-Go engine, and ONNX Runtime trains and scores in turns.
const largeProducts = 1e9

// large tells whether a network is.
func (s Spec) large() bool {
	channels, edge, largest := 1, s.Input/max(1, s.InputPool), 0
	for _, st := range s.Stages {
		if st.Pool != nil {
			edge /= st.Pool.Size
			continue
		}
		k := st.Conv.Kernel
		edge -= k - 1
		largest = max(largest, channels*st.Conv.Filters*k*k*k*edge*edge*edge)
		channels = st.Conv.Filters
	}
	return largest >= largeProducts
}

// planes tells whether a network is built in the form of planes.
func (p plan) planes(s Spec) bool {
	switch p.settings.Lowering {
	case engine.Winograd:
		return true
	case engine.Columns, engine.Native:
		return false
	}
	return (p.engine == "" || p.engine == engine.Go) && p.settings.Precision != engine.BFloat16 && s.large()
}
