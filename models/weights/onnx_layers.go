package weights

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/compute-onnx/support/protos"
)

// channels is the axis that a layer's vectors run along.
func (p *path) channels() axis {
	if slices.Contains(p.axes, 'F') {
		return 'F'
	}
	return 'C'
}

// plain tells whether a node uses none of the settings that this network has no use for. window is the length that
// strides must have: 1 for convolutions, the pool's size for pools.
func plain(n *protos.NodeProto, window int) bool {
	all := func(name string, v int) bool {
		return !slices.ContainsFunc(ints(n, name), func(have int) bool { return have != v })
	}
	if window > 1 && ints(n, "strides") == nil { // the default is 1
		return false
	}
	pad := string(attribute(n, "auto_pad").GetS())
	return all("strides", window) && all("dilations", 1) && all("pads", 0) && integer(n, "group", 1) == 1 && integer(n, "ceil_mode", 0) == 0 &&
		(pad == "" || pad == "NOTSET" || pad == "VALID")
}

func (p *path) conv(n *protos.NodeProto) error {
	w, err := p.argument(n, 1)
	if err != nil {
		return err
	}
	if len(p.axes) != 5 || p.axes[0] != 'N' || p.axes[1] != 'C' {
		return p.nodeError(n, "is applied to data with the axes %s", string(p.axes))
	}
	d := w.dims
	if len(d) != 5 || len(w.floats) == 0 || d[1] != p.sizes['C'] || d[2] != d[3] || d[3] != d[4] || !plain(n, 1) {
		return p.nodeError(n, "with weights %v on %d channels is no convolution with cubic kernels, stride 1 and no padding", d, p.sizes['C'])
	}
	l := &linear{kernel: d[2], in: d[1], out: d[0]}
	order := []int{0, 1}
	for _, a := range []axis("ZYX") {
		order = append(order, slices.Index(p.axes, a))
	}
	l.layer.weights = permute(w.floats, d, order)
	if err := p.bias(n, l, 2); err != nil {
		return err
	}
	for _, a := range []axis("ZYX") {
		if p.sizes[a] -= l.kernel - 1; p.sizes[a] < 1 {
			return p.nodeError(n, "has kernels larger than its data")
		}
	}
	p.sizes['C'] = l.out
	p.add(l, layer{kernel: l.kernel, in: l.in, out: l.out})
	return nil
}

func (p *path) add(l *linear, words layer) {
	p.linear = append(p.linear, l)
	p.events = append(p.events, event(words.words()))
}

// bias reads a layer's own bias, if it has one.
func (p *path) bias(n *protos.NodeProto, l *linear, i int) error {
	l.layer.bias = make([]float32, l.out)
	if i >= len(n.GetInput()) || n.GetInput()[i] == "" {
		return nil
	}
	b, err := p.argument(n, i)
	if err != nil {
		return err
	}
	if len(b.floats) != l.out {
		return p.nodeError(n, "has a bias of %v for %d channels", b.dims, l.out)
	}
	l.layer.bias, l.biased = slices.Clone(b.floats), true
	return nil
}

func (p *path) matMul(n *protos.NodeProto) error { return p.dense(n, false) }

func (p *path) gemm(n *protos.NodeProto) error {
	if integer(n, "transA", 0) != 0 || float(n, "alpha", 1) != 1 || float(n, "beta", 1) != 1 {
		return p.nodeError(n, "has factors or a transposed input")
	}
	return p.dense(n, integer(n, "transB", 0) != 0)
}

// dense reads a dense layer of weights [in, out], or [out, in] if they are transposed.
func (p *path) dense(n *protos.NodeProto, transposed bool) error {
	w, err := p.argument(n, 1)
	if err != nil {
		return err
	}
	if len(p.axes) == 5 && p.axes[0] == 'N' { // a cube of one position needs no flattening
		return p.nodeError(n, "is applied to data that is not flattened")
	}
	if !slices.Equal(p.axes, []axis("NF")) || len(w.dims) != 2 || len(w.floats) == 0 {
		return p.nodeError(n, "with weights %v is applied to data with the axes %s", w.dims, string(p.axes))
	}
	l := &linear{in: w.dims[0], out: w.dims[1]}
	l.layer.weights = w.floats
	if transposed {
		l.in, l.out = l.out, l.in
	} else {
		l.layer.weights = permute(w.floats, w.dims, []int{1, 0})
	}
	if l.in != p.sizes['F'] {
		return p.nodeError(n, "with weights %v is applied to %d features", w.dims, p.sizes['F'])
	}
	if err := p.bias(n, l, 2); err != nil {
		return err
	}
	if p.flattened != nil {
		l.flattened, l.flattenedSizes = p.flattened, map[axis]int{}
		for _, a := range p.flattened {
			l.flattenedSizes[a] = p.sizes[a]
		}
		p.flattened = nil
	}
	p.sizes['F'] = l.out
	p.add(l, layer{in: l.in, out: l.out})
	return nil
}

// current is the layer whose values a node changes before their activation.
func (p *path) current(n *protos.NodeProto) (*linear, error) {
	if len(p.linear) == 0 {
		return nil, p.nodeError(n, "stands before the first layer")
	}
	l := p.linear[len(p.linear)-1]
	if last := p.events[len(p.events)-1]; string(last) != (layer{kernel: l.kernel, in: l.in, out: l.out}).words() || p.flattened != nil {
		return nil, p.nodeError(n, "stands behind %s, where this network has nothing of the kind", last)
	}
	return l, nil
}

func (p *path) batchNorm(n *protos.NodeProto) error {
	l, err := p.current(n)
	if err != nil {
		return err
	}
	var v [4][]float32
	for i := range v {
		t, err := p.argument(n, i+1)
		if err != nil {
			return err
		}
		if len(t.floats) != l.out {
			return p.nodeError(n, "has vectors of %v for %d channels", t.dims, l.out)
		}
		v[i] = t.floats
	}
	if p.axes[1] != p.channels() || integer(n, "training_mode", 0) != 0 || integer(n, "spatial", 1) != 1 {
		return p.nodeError(n, "does not normalise the channels by running averages")
	}
	epsilon := float(n, "epsilon", 1e-5)
	if !l.normalised && l.factor == nil {
		l.layer.scale, l.layer.offset, l.layer.mean, l.layer.variance = v[0], v[1], v[2], v[3]
		l.normalised, l.epsilon = true, epsilon
		return nil
	}
	for c := range l.out {
		f := float64(v[0][c]) / math.Sqrt(float64(v[3][c])+float64(epsilon))
		l.change(c, f, float64(v[1][c])-f*float64(v[2][c]))
	}
	return nil
}

// change applies x*factor + shift to a channel.
func (l *linear) change(channel int, factor, shift float64) {
	if l.factor == nil {
		l.factor, l.shift = make([]float64, l.out), make([]float64, l.out)
		for i := range l.factor {
			l.factor[i] = 1
		}
	}
	l.factor[channel] *= factor
	l.shift[channel] = l.shift[channel]*factor + shift
}

// affine is a sum or product with a number for each channel, or with one for all.
func (p *path) affine(n *protos.NodeProto) error {
	l, err := p.current(n)
	if err != nil {
		return err
	}
	t, err := p.argument(n, 1)
	if err != nil {
		return err
	}
	at := len(p.axes) - 1 - slices.Index(p.axes, p.channels()) // from the end
	for i, d := range t.dims {
		if d != 1 && (len(t.dims)-1-i != at || d != l.out) {
			return p.nodeError(n, "with an array %v changes more than the %d channels", t.dims, l.out)
		}
	}
	if len(t.floats) != l.out && len(t.floats) != 1 {
		return p.nodeError(n, "with an array %v changes more than the %d channels", t.dims, l.out)
	}
	first := !l.biased && !l.normalised && l.factor == nil && n.GetOpType() == "Add"
	for c := range l.out {
		v := t.floats[c%len(t.floats)]
		switch n.GetOpType() {
		case "Add":
			if first {
				l.layer.bias[c], l.biased = v, true
			} else {
				l.change(c, 1, float64(v))
			}
		case "Sub":
			l.change(c, 1, -float64(v))
		case "Mul":
			l.change(c, float64(v), 0)
		case "Div":
			l.change(c, 1/float64(v), 0)
		}
	}
	return nil
}

func (p *path) leaky(n *protos.NodeProto) error {
	if len(p.events) == 0 || p.flattened != nil {
		return p.nodeError(n, "stands where this network has no activation")
	}
	slope := float(n, "alpha", 0.01)
	switch n.GetOpType() {
	case "Relu":
		slope = 0
	case "PRelu":
		t, err := p.argument(n, 1)
		if err != nil {
			return err
		}
		if len(t.floats) == 0 || slices.ContainsFunc(t.floats, func(v float32) bool { return v != t.floats[0] }) {
			return p.nodeError(n, "has slopes that differ between channels")
		}
		slope = t.floats[0]
	}
	p.events = append(p.events, event(activation(slope)))
	return nil
}

func (p *path) pool(n *protos.NodeProto) error {
	k := ints(n, "kernel_shape")
	if len(p.axes) != 5 || p.axes[0] != 'N' || p.axes[1] != 'C' || len(k) != 3 || k[0] < 1 || k[0] != k[1] || k[1] != k[2] || !plain(n, k[0]) {
		return p.nodeError(n, "with boxes %v on data with the axes %s is no pool over disjoint cubes", k, string(p.axes))
	}
	for _, a := range []axis("ZYX") {
		if p.sizes[a] /= k[0]; p.sizes[a] < 1 {
			return p.nodeError(n, "has boxes larger than its data")
		}
	}
	words := "pool %d"
	if n.GetOpType() == "AveragePool" {
		words = "mean pool %d"
	}
	p.events = append(p.events, event(fmt.Sprintf(words, k[0])))
	return nil
}

const (
	noteFolded  = "Some layers' normalisation stood folded in their weights or in a product and a sum: it was put into scale and offset, with mean 0 and variance 1 - epsilon. Predictions are the same; the running averages are lost to further training."
	noteEpsilon = "The file adds another epsilon to the variances than this network does: they were changed by the difference."
)

// parts gives a layer's numbers as this program keeps them, for its epsilon.
func (l *linear) parts(epsilon float64) (parts, string) {
	v := l.layer
	same := l.epsilon == float32(epsilon)
	if l.normalised && l.factor == nil && same {
		return v, ""
	}
	if l.normalised && l.factor == nil {
		moved := make([]float32, l.out)
		for i, variance := range v.variance {
			moved[i] = float32(float64(variance) + float64(l.epsilon) - epsilon)
		}
		if slices.Min(moved) >= 0 {
			v.variance = moved
			return v, noteEpsilon
		}
	}
	scale, offset := make([]float32, l.out), make([]float32, l.out)
	mean, variance := make([]float32, l.out), make([]float32, l.out)
	for i := range l.out {
		f, s := 1.0, 0.0
		if l.normalised {
			f = float64(v.scale[i]) / math.Sqrt(float64(v.variance[i])+float64(l.epsilon))
			s = float64(v.offset[i]) - f*float64(v.mean[i])
		}
		if l.factor != nil {
			f, s = f*l.factor[i], s*l.factor[i]+l.shift[i]
		}
		scale[i], offset[i], variance[i] = float32(f), float32(s), float32(1-epsilon)
	}
	v.scale, v.offset, v.mean, v.variance = scale, offset, mean, variance
	return v, noteFolded
}
