// Package weights carries trained networks in and out: it reads the weight files of Keras (HDF5) and of ONNX into this
// program's network, with every shape checked, and writes trained networks as ONNX for any other runtime.
package weights

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"hounsfield/models/cnn"
)

// FileError says what in a file of weights cannot be used.
type FileError struct {
	File    string
	At      string // layer, node or array; may be empty
	Problem string
	Next    string // what to do about it
	Err     error  // may be nil
}

func (e *FileError) Error() string {
	s := "weights " + e.File
	if e.At != "" {
		s += ", " + e.At
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s + "; " + e.Next
}

func (e *FileError) Unwrap() error { return e.Err }

// LayersError says that a file holds another network than the one asked for.
type LayersError struct {
	File      string
	Want, Got []string // the layers of both, in order, with their shapes
	At        int      // the first place at which they differ
}

func (e *LayersError) Error() string {
	at := func(list []string) string {
		if e.At < len(list) {
			return list[e.At]
		}
		return "nothing more"
	}
	return fmt.Sprintf("weights %s belong to another network: at place %d stands %s where %s should be; the file holds: %s; the network needs: %s; name the network that they were trained with, with --spec",
		e.File, e.At+1, at(e.Got), at(e.Want), strings.Join(e.Got, ", "), strings.Join(e.Want, ", "))
}

func firstDifference(a, b []string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}

// Imported is what a file held.
type Imported struct {
	Models []*cnn.Model      // one, or one for each seed of a file that this program wrote
	Kind   string            // of the file and its writer, in words
	Notes  []string          // what was changed or assumed, in sentences
	Meta   map[string]string // of an ONNX file
}

// Options say how to read a file.
type Options struct {
	// Spec is the network that the file must hold; nil: the one that it names, as files of WriteONNX do.
	Spec *cnn.Spec

	// Otherwise is the network of a file that names none, if Spec is nil; nil refuses such files.
	Otherwise *cnn.Spec

	// KerasVersion overrides the version that wrote a Keras file; see keepsDeviations. Empty: as the file says, and
	// 1.2.2, the study's, if it does not.
	KerasVersion string
}

// Read reads the weights of a network from a file: HDF5 as Keras saves it (weights alone or the whole model), or ONNX
// with the weights inside. The file's content decides which.
//
// The score of an imported network is, as everywhere, the predicted risk of death: the first of the two outputs must be
// death and the second survival, which is the study's order. No file says so.
//
// Errors: *FileError, *LayersError, *hdf5.FormatError, *cnn.SpecError; the file system's, wrapped.
func Read(file string, o Options) (*Imported, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("weights cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("weights cannot be read: %w", err)
	}
	if info.IsDir() {
		return nil, &FileError{File: file, Problem: "is a folder", Next: "name a file: weights.h5 of Keras, or an ONNX model"}
	}
	return read(f, info.Size(), file, o)
}

// content is an open file.
type content interface {
	io.Reader
	io.ReaderAt
}

func read(f content, size int64, name string, o Options) (*Imported, error) {
	for _, spec := range []*cnn.Spec{o.Spec, o.Otherwise} {
		if spec == nil {
			continue
		}
		if err := spec.Validate(); err != nil {
			return nil, err
		}
	}
	start := make([]byte, 8)
	if _, err := f.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("weights cannot be read: %w", err)
	}
	if bytes.HasPrefix(start, []byte("\x89HDF")) {
		return readKeras(f, size, name, o)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("weights cannot be read: %w", err)
	}
	return readONNX(text, name, o)
}

// layer is one layer with weights that a network needs.
type layer struct {
	name    string
	kernel  int // 0: dense
	in, out int // channels of a convolution, features of a dense layer

	// Of the dense layer after the stages: what is flattened in front of it. Zero elsewhere.
	edge, channels int
}

func layersOf(spec cnn.Spec) ([]layer, error) {
	shapes, err := spec.Shapes()
	if err != nil {
		return nil, err
	}
	var layers []layer
	for i, s := range shapes[1:] {
		before := shapes[i]
		l := layer{name: s.Layer, out: s.Channels, in: before.Channels}
		if i < len(spec.Stages) {
			c := spec.Stages[i].Conv
			if c == nil {
				continue
			}
			l.kernel = c.Kernel
		} else if i == len(spec.Stages) {
			l.edge, l.channels = before.Edge, before.Channels
			l.in *= before.Edge * before.Edge * before.Edge
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// dims are those of the layer's weights in this program.
func (l layer) dims() []int {
	if l.kernel == 0 {
		return []int{l.out, l.in}
	}
	return []int{l.out, l.in, l.kernel, l.kernel, l.kernel}
}

// parts are the numbers of one layer, as cnn.Array has them.
type parts struct {
	weights                             []float32
	bias, scale, offset, mean, variance []float32
}

// build makes a model of the layers' parts, in the network's order.
func build(file string, spec cnn.Spec, layers []layer, list []parts) (*cnn.Model, error) {
	m := &cnn.Model{Spec: spec}
	for i, l := range layers {
		p := list[i]
		vector := []int{l.out}
		for _, a := range []cnn.Array{
			{Name: "weights", Dims: l.dims(), Values: p.weights}, {Name: "bias", Dims: vector, Values: p.bias},
			{Name: "scale", Dims: vector, Values: p.scale}, {Name: "offset", Dims: vector, Values: p.offset},
			{Name: "mean", Dims: vector, Values: p.mean}, {Name: "variance", Dims: vector, Values: p.variance},
		} {
			if want := product(a.Dims); len(a.Values) != want {
				return nil, &FileError{File: file, At: l.name + "/" + a.Name, Problem: fmt.Sprintf("holds %d values, not %d", len(a.Values), want),
					Next: "name the network that it was trained with"}
			}
			for k, v := range a.Values {
				if v-v != 0 {
					return nil, &FileError{File: file, At: l.name + "/" + a.Name, Problem: fmt.Sprintf("value %d is %v", k, v), Next: "the training that made it failed: take another file"}
				}
				if a.Name == "variance" && !(float64(v)+spec.NormEpsilon > 0) {
					return nil, &FileError{File: file, At: l.name + "/" + a.Name, Problem: fmt.Sprintf("value %d is %v, and no variance is below 0", k, v),
						Next: "look whether the file's arrays stand in the usual order"}
				}
			}
			a.Name = l.name + "/" + a.Name
			m.Weights = append(m.Weights, a)
		}
	}
	return m, nil
}

// array finds one of a model's arrays.
func array(m *cnn.Model, name string) (cnn.Array, error) {
	i := slices.IndexFunc(m.Weights, func(a cnn.Array) bool { return a.Name == name })
	if i < 0 {
		return cnn.Array{}, fmt.Errorf("the network lacks the array %s", name)
	}
	if a := m.Weights[i]; len(a.Values) == product(a.Dims) {
		return a, nil
	}
	return cnn.Array{}, fmt.Errorf("the array %s does not fill its shape %v", name, m.Weights[i].Dims)
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// permute reorders the axes of an array: axis i of the result is axis order[i] of what is given.
func permute(values []float32, dims []int, order []int) []float32 {
	strides := make([]int, len(dims))
	for i, n := len(dims)-1, 1; i >= 0; i-- {
		strides[i], n = n, n*dims[i]
	}
	out := make([]float32, 0, len(values))
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(order) {
			out = append(out, values[at])
			return
		}
		for range dims[order[axis]] {
			walk(axis+1, at)
			at += strides[order[axis]]
		}
	}
	walk(0, 0)
	return out
}

// mirror turns kernels [..., k, k, k] round along all three axes.
func mirror(values []float32, kernel int) {
	for k := kernel * kernel * kernel; len(values) > 0; values = values[k:] {
		slices.Reverse(values[:k])
	}
}
