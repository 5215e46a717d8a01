package weights

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"hounsfield/models/cnn"
	"hounsfield/models/weights/hdf5"
)

// What Keras 1.2.2 does, by its source:
//
//   - A file lists its layers in the attribute layer_names, and each layer's arrays in weight_names of its group; a whole
//     model has all that in the group model_weights (engine/topology.py, models.py).
//   - A convolution's weights are [z, y, x, in, out] with dim_ordering tf and [out, in, z, y, x] with th; a dense layer's
//     are [in, out] (layers/convolutional.py, layers/core.py). Flatten runs over the axes as they stand, so behind th the
//     features are in the order channel, z, y, x.
//   - With Theano a convolution mirrors its kernels, with TensorFlow it does not. The names of TensorFlow's variables end
//     in ":0", those of Theano's do not.
//   - running_std holds the VARIANCE: K.normalize_batch_in_training returns it, the layer averages it, and
//     tf.nn.batch_normalization adds epsilon to it and takes the root (layers/normalization.py,
//     backend/tensorflow_backend.py). Only the name is of a deviation. See keepsDeviations.

// keepsDeviations tells whether running_std is what its name says in that version of Keras: up to 1.0.5 it was the
// average of sqrt(variance + epsilon), and a prediction divided by that average plus epsilon. 1.0.6 kept the one with
// Theano and the other with TensorFlow. From 1.0.7 on it is the variance.
func keepsDeviations(version string) (bool, error) {
	var numbers [3]int
	for i, part := range strings.SplitN(version, ".", 3) {
		if digits := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); digits > 0 {
			part = part[:digits] // 1.0.3rc1, 2.2.4-tf
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return false, err
		}
		numbers[i] = n
	}
	if numbers == [3]int{1, 0, 6} {
		return false, errors.New("in 1.0.6 the meaning of running_std depended on the backend")
	}
	return slices.Compare(numbers[:], []int{1, 0, 6}) < 0, nil
}

// studyKeras wrote the study's architecture file, and is assumed for files that do not say.
const studyKeras = "1.2.2"

// kerasLayer is one layer of a file that has weights: linear (two arrays) or a normalisation (four).
type kerasLayer struct {
	name   string
	arrays map[string]*hdf5.Dataset // by role
}

// kerasRoles are the endings of arrays' names in Keras 1 and 2.
var kerasRoles = []struct{ ending, role string }{
	{"running_mean", "mean"}, {"running_std", "spread"}, {"moving_mean", "mean"}, {"moving_variance", "variance"},
	{"gamma", "scale"}, {"beta", "offset"}, {"kernel", "weights"}, {"bias", "bias"}, {"W", "weights"}, {"b", "bias"},
}

func kerasRole(name string) (role string, ok bool) {
	name, _, _ = strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	for _, r := range kerasRoles {
		if name == r.ending || strings.HasSuffix(name, "_"+r.ending) {
			return r.role, true
		}
	}
	return "", false
}

// describe lists a layer's arrays and their shapes.
func (l kerasLayer) describe() string {
	var list []string
	for _, role := range []string{"weights", "bias", "scale", "offset", "mean", "variance", "spread"} {
		if d, ok := l.arrays[role]; ok {
			list = append(list, fmt.Sprintf("%s %v", role, d.Dims))
		}
	}
	return strings.Join(list, " ")
}

func readKeras(r io.ReaderAt, size int64, file string, o Options) (*Imported, error) {
	spec := o.Spec
	if spec == nil {
		spec = o.Otherwise
	}
	if spec == nil {
		return nil, &FileError{File: file, Problem: "a Keras file does not say how its layers work together", Next: "name the network, with --spec"}
	}
	layers, err := layersOf(*spec)
	if err != nil {
		return nil, err
	}
	root, err := hdf5.Open(r, size, file)
	if err != nil {
		return nil, err
	}
	group := root
	if _, ok, err := root.Strings("layer_names"); err != nil {
		return nil, err
	} else if !ok {
		if !slices.Contains(root.Names(), "model_weights") {
			return nil, &FileError{File: file, Problem: "has neither layer_names nor model_weights, so Keras did not save it", Next: "name a weights file that Keras saved"}
		}
		if group, err = root.Group("model_weights"); err != nil {
			return nil, err
		}
	}
	found, theano, err := kerasLayers(group, file)
	if err != nil {
		return nil, err
	}
	version, err := kerasVersion(root, group, o)
	if err != nil {
		return nil, err
	}
	deviations, err := keepsDeviations(version.number)
	if err != nil {
		return nil, &FileError{File: file, Problem: fmt.Sprintf("weights of Keras version %q cannot be read", version.number), Next: "give another version, such as 1.2.2, with --keras-version", Err: err}
	}
	in := &Imported{Kind: fmt.Sprintf("HDF5 by Keras %s with %s", version.number, backendName(theano))}
	if version.assumed {
		in.Notes = append(in.Notes, fmt.Sprintf("The file does not name the Keras version; %s is assumed, in which running_std holds the variance.", version.number))
	}
	if theano {
		in.Notes = append(in.Notes, "The names are Theano's, which mirrors kernels: they were mirrored.")
	}
	if deviations {
		in.Notes = append(in.Notes, fmt.Sprintf("In Keras %s running_std is a deviation: variances were made of it.", version.number))
	}
	order, err := matchKeras(file, layers, found)
	if err != nil {
		return nil, err
	}
	list := make([]parts, len(layers))
	for i, l := range layers {
		if list[i], err = kerasParts(l, found[2*i], found[2*i+1], order, theano, deviations, spec.NormEpsilon); err != nil {
			return nil, err
		}
	}
	m, err := build(file, *spec, layers, list)
	in.Models = []*cnn.Model{m}
	return in, err
}

func backendName(theano bool) string {
	if theano {
		return "Theano"
	}
	return "TensorFlow"
}

type writer struct {
	number  string
	assumed bool
}

func kerasVersion(root, group *hdf5.Group, o Options) (writer, error) {
	if o.KerasVersion != "" {
		return writer{number: o.KerasVersion}, nil
	}
	for _, g := range []*hdf5.Group{group, root} {
		if v, ok, err := g.Strings("keras_version"); err != nil {
			return writer{}, err
		} else if ok && len(v) == 1 {
			return writer{number: v[0]}, nil
		}
	}
	return writer{number: studyKeras, assumed: true}, nil
}

// kerasLayers lists the layers that have weights, in the file's order, and tells whether Theano made them.
func kerasLayers(group *hdf5.Group, file string) (list []kerasLayer, theano bool, err error) {
	names, _, err := group.Strings("layer_names")
	if err != nil {
		return nil, false, err
	}
	colons, arrays := 0, 0
	for _, name := range names {
		g, err := group.Group(name)
		if err != nil {
			return nil, false, err
		}
		weights, ok, err := g.Strings("weight_names")
		if err != nil {
			return nil, false, err
		}
		if !ok {
			return nil, false, &FileError{File: file, At: "layer " + name, Problem: "lacks weight_names", Next: "name a weights file that Keras saved"}
		}
		if len(weights) == 0 {
			continue // leaky ReLU, dropout, pooling, flatten, activation
		}
		l := kerasLayer{name: name, arrays: map[string]*hdf5.Dataset{}}
		for _, w := range weights {
			role, ok := kerasRole(w)
			if _, twice := l.arrays[role]; !ok || twice {
				return nil, false, &FileError{File: file, At: "layer " + name, Problem: fmt.Sprintf("the array %q is none that this network has (all: %q)", w, weights),
					Next: "name the weights of a network of convolutions, dense layers and batch normalisations"}
			}
			arrays++
			if strings.Contains(w, ":") {
				colons++
			}
			if l.arrays[role], err = g.Dataset(w); err != nil {
				return nil, false, err
			}
		}
		list = append(list, l)
	}
	if colons > 0 && colons < arrays {
		return nil, false, &FileError{File: file, Problem: fmt.Sprintf("%d of %d arrays have TensorFlow's names and the others Theano's", colons, arrays),
			Next: "save the weights with one of them"}
	}
	return list, colons == 0, nil
}

// Orders of a convolution's axes.
const (
	orderTF = "tf" // [z, y, x, in, out]
	orderTH = "th" // [out, in, z, y, x]
)

// kerasDims are the dimensions of a layer's weights in a file.
func (l layer) kerasDims(order string) []int {
	switch {
	case l.kernel == 0:
		return []int{l.in, l.out}
	case order == orderTH:
		return l.dims()
	}
	return []int{l.kernel, l.kernel, l.kernel, l.in, l.out}
}

// matchKeras finds the order of axes in which the file's layers are exactly those that are needed: weights and
// normalisation in turn, every shape equal. Names do not count: Keras numbers on when it has made networks before.
func matchKeras(file string, layers []layer, found []kerasLayer) (order string, err error) {
	var got []string
	for _, l := range found {
		got = append(got, l.describe())
	}
	var want []string
	for _, order := range []string{orderTF, orderTH} {
		list := []string{}
		for _, l := range layers {
			spread := "spread"
			if i := len(list) + 1; i < len(found) && found[i].arrays["variance"] != nil {
				spread = "variance"
			}
			v := []int{l.out}
			list = append(list, fmt.Sprintf("weights %v bias %v", l.kerasDims(order), v), fmt.Sprintf("scale %v offset %v mean %v %s %v", v, v, v, spread, v))
		}
		if slices.Equal(list, got) {
			return order, nil
		}
		if want == nil {
			want = list
		}
	}
	at := firstDifference(want, got)
	for i, l := range found {
		got[i] = l.name + " " + got[i]
	}
	for i, l := range layers {
		want[2*i], want[2*i+1] = l.name+" "+want[2*i], l.name+" "+want[2*i+1]
	}
	return "", &LayersError{File: file, Want: want, Got: got, At: at}
}

func kerasParts(l layer, linear, norm kerasLayer, order string, theano, deviations bool, epsilon float64) (parts, error) {
	var p parts
	for _, a := range []struct {
		to   *[]float32
		from *hdf5.Dataset
	}{
		{&p.weights, linear.arrays["weights"]}, {&p.bias, linear.arrays["bias"]}, {&p.scale, norm.arrays["scale"]},
		{&p.offset, norm.arrays["offset"]}, {&p.mean, norm.arrays["mean"]},
	} {
		var err error
		if *a.to, err = a.from.Read(); err != nil {
			return p, err
		}
	}
	spread, kept := norm.arrays["spread"], deviations
	if spread == nil { // Keras 2's moving_variance
		spread, kept = norm.arrays["variance"], false
	}
	var err error
	if p.variance, err = spread.Read(); err != nil {
		return p, err
	}
	if kept {
		for i, deviation := range p.variance {
			p.variance[i] = float32(math.Pow(float64(deviation)+epsilon, 2) - epsilon)
		}
	}
	switch {
	case l.kernel > 0 && order == orderTF:
		p.weights = permute(p.weights, l.kerasDims(orderTF), []int{4, 3, 0, 1, 2})
	case l.kernel == 0 && l.edge > 0 && order == orderTH:
		p.weights = permute(p.weights, []int{l.channels, l.edge, l.edge, l.edge, l.out}, []int{4, 1, 2, 3, 0})
	case l.kernel == 0:
		p.weights = permute(p.weights, []int{l.in, l.out}, []int{1, 0})
	}
	if l.kernel > 0 && theano {
		mirror(p.weights, l.kernel)
	}
	return p, nil
}
