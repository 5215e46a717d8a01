// Package bench holds the programs that `hounsfield bench` runs beside its own network: the same network in other
// frameworks. They take the same arguments and print the same JSON object.
package bench

import _ "embed"

// TorchStep is the program for PyTorch.
//
//go:embed torch_step.py
var TorchStep string

// JAXStep is the program for JAX.
//
//go:embed jax_step.py
var JAXStep string
