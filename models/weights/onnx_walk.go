package weights

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gomlx/compute-onnx/support/protos"

	"hounsfield/models/cnn"
)

// axis labels an axis of the data: N batch, Z Y X positions, C channels, F features of a flattened cube or a dense layer.
type axis byte

// path is one walk through the graph: where it stands, and what it has met.
type path struct {
	*graph
	value     string // name of the data
	axes      []axis
	sizes     map[axis]int // but of N
	flattened []axis       // order in which the cube became features, until a dense layer takes them

	events []event
	linear []*linear // layers with weights so far
}

// event is one thing that the network does, in the words that are compared with the spec's.
type event string

// linear is a convolution or dense layer, with what follows it before its activation.
type linear struct {
	layer           parts
	biased          bool
	normalised      bool
	epsilon         float32
	factor, shift   []float64 // further products and sums; nil: none
	flattened       []axis    // of the layer that takes the flattened cube
	flattenedSizes  map[axis]int
	kernel, in, out int
}

// branch copies a path that forks.
func (p *path) branch() *path {
	q := *p
	q.sizes = maps.Clone(p.sizes)
	q.events, q.linear = slices.Clone(p.events), slices.Clone(p.linear)
	return &q
}

// walk follows the data from the input to the end of each network in the graph. Before the first layer it may fork:
// networks of several seeds stand side by side in one file.
func (g *graph) walk(p *path) ([]*path, error) {
	for range g.nodes {
		next := g.consumers[p.value]
		if len(next) == 0 {
			break
		}
		if len(next) > 1 {
			var all []*path
			for _, n := range next {
				q := p.branch()
				if err := q.step(n); err != nil {
					return nil, err
				}
				if err := q.rest(); err != nil {
					return nil, err
				}
				all = append(all, q)
			}
			return all, nil
		}
		if err := p.step(next[0]); err != nil {
			return nil, err
		}
		if len(p.linear) > 0 {
			return []*path{p}, p.rest()
		}
	}
	return nil, g.fail("", "no layer takes the input", "name a model of a network")
}

// rest goes on until the network ends.
func (p *path) rest() error {
	for range p.nodes {
		next := p.consumers[p.value]
		if len(next) == 0 || p.ours && p.axes[len(p.axes)-1] == 'F' && (p.outputs[p.value] || len(next) > 1 || next[0].GetOpType() == "Unsqueeze") {
			return nil // ours: the logits, and after them the risk
		}
		if len(next) > 1 {
			return p.nodeError(next[1], "takes the same data as another node: the network branches")
		}
		if next[0].GetOpType() == "Softmax" {
			p.value = next[0].GetOutput()[0]
			if axes := len(p.axes); integer(next[0], "axis", -1) != axes-1 && integer(next[0], "axis", -1) != -1 {
				return p.nodeError(next[0], "does not run over the two outcomes")
			}
			if after := p.consumers[p.value]; len(after) > 0 {
				return p.nodeError(after[0], "stands behind the softmax")
			}
			return nil
		}
		if err := p.step(next[0]); err != nil {
			return err
		}
	}
	return p.fail("", "the graph runs in a circle", "the file is damaged: get it again")
}

// operations are the kinds of nodes that are understood.
var operations = map[string]func(*path, *protos.NodeProto) error{
	"Transpose": (*path).transpose, "Unsqueeze": (*path).unsqueeze, "Reshape": (*path).reshape, "Flatten": (*path).flatten,
	"Conv": (*path).conv, "MatMul": (*path).matMul, "Gemm": (*path).gemm, "BatchNormalization": (*path).batchNorm,
	"Add": (*path).affine, "Sub": (*path).affine, "Mul": (*path).affine, "Div": (*path).affine,
	"LeakyRelu": (*path).leaky, "PRelu": (*path).leaky, "Relu": (*path).leaky,
	"MaxPool": (*path).pool, "AveragePool": (*path).pool,
	"Identity": (*path).pass, "Dropout": (*path).pass,
}

// step applies one node to the data.
func (p *path) step(n *protos.NodeProto) error {
	apply, ok := operations[n.GetOpType()]
	if !ok || n.GetDomain() != "" && n.GetDomain() != "ai.onnx" {
		unknown := map[string]bool{}
		for _, other := range p.nodes {
			if kind := other.GetOpType(); operations[kind] == nil && kind != "Constant" && kind != "Softmax" {
				unknown[kind] = true
			}
		}
		return p.nodeError(n, "is not understood (nor are, in this file: %s)", strings.Join(slices.Sorted(maps.Keys(unknown)), ", "))
	}
	if len(n.GetInput()) == 0 || n.GetInput()[0] != p.value || len(n.GetOutput()) == 0 {
		if len(n.GetInput()) == 2 && n.GetInput()[1] == p.value && (n.GetOpType() == "Add" || n.GetOpType() == "Mul") {
			n.Input = []string{n.GetInput()[1], n.GetInput()[0]} // sums and products may stand the other way round
		} else {
			return p.nodeError(n, "takes the data in an unusual place")
		}
	}
	if err := apply(p, n); err != nil {
		return err
	}
	p.value = n.GetOutput()[0]
	return nil
}

// argument is a constant input of a node.
func (p *path) argument(n *protos.NodeProto, i int) (*tensor, error) {
	if i >= len(n.GetInput()) || n.GetInput()[i] == "" {
		return nil, p.nodeError(n, "lacks input %d", i)
	}
	name := n.GetInput()[i]
	if where, ok := p.external[name]; ok {
		return nil, p.fail("array "+name, "its values stand in another file, "+where, "save the model with its weights inside: onnx.save_model(model, file, save_as_external_data=False)")
	}
	if t := p.constants[name]; t != nil {
		return t, nil
	}
	return nil, p.nodeError(n, "its input %d, %s, is no constant of numbers", i, name)
}

func (p *path) pass(*protos.NodeProto) error { return nil }

func (p *path) transpose(n *protos.NodeProto) error {
	order := ints(n, "perm")
	if order == nil {
		for i := range p.axes {
			order = append([]int{i}, order...)
		}
	}
	out := make([]axis, len(p.axes))
	sorted := slices.Sorted(slices.Values(order))
	for i, from := range order {
		if len(order) != len(p.axes) || sorted[i] != i {
			return p.nodeError(n, "has the order %v for %d axes", order, len(p.axes))
		}
		out[i] = p.axes[from]
	}
	p.axes = out
	return nil
}

func (p *path) unsqueeze(n *protos.NodeProto) error {
	at := ints(n, "axes")
	if at == nil {
		t, err := p.argument(n, 1)
		if err != nil {
			return err
		}
		at = t.ints
	}
	rank := len(p.axes) + 1
	if len(at) != 1 || slices.Contains(p.axes, 'C') || slices.Contains(p.axes, 'F') || at[0] < -rank || at[0] >= rank || at[0] == 0 || at[0] == -rank {
		return p.nodeError(n, "adds the axes %v to data with the axes %s", at, string(p.axes))
	}
	if at[0] < 0 {
		at = []int{at[0] + rank}
	}
	p.axes = slices.Insert(slices.Clone(p.axes), at[0], 'C')
	return nil
}

// reshape is either the flattening of a cube or the moving of an axis of one.
func (p *path) reshape(n *protos.NodeProto) error {
	t, err := p.argument(n, 1)
	if err != nil {
		return err
	}
	dims := slices.Clone(t.ints)
	total := 1
	for _, a := range p.axes[1:] {
		total *= p.sizes[a]
	}
	if len(dims) < 2 || p.axes[0] != 'N' {
		return p.nodeError(n, "gives data with the axes %s the shape %v", string(p.axes), dims)
	}
	known, free := 1, -1
	for i, d := range dims[1:] {
		switch {
		case d == 0 && i+1 < len(p.axes):
			dims[i+1] = p.sizes[p.axes[i+1]]
		case d == -1 && free < 0:
			free = i + 1
			continue
		case d < 1:
			return p.nodeError(n, "has the shape %v", dims)
		}
		if known > total/dims[i+1] {
			return p.nodeError(n, "has the shape %v for %d values", dims, total)
		}
		known *= dims[i+1]
	}
	if free > 0 {
		dims[free] = total / known
		known *= dims[free]
	}
	if known != total {
		return p.nodeError(n, "has the shape %v for %d values", dims, total)
	}
	if len(dims) == 2 {
		return p.flatten(n)
	}
	// Axes of one value may come, go and move; the others must stay as they are.
	var long, short []axis
	for _, a := range p.axes[1:] {
		if p.sizes[a] > 1 {
			long = append(long, a)
		} else {
			short = append(short, a)
		}
	}
	if !slices.Contains(p.axes, 'C') {
		short = append(short, 'C')
	}
	out := []axis{'N'}
	for _, d := range dims[1:] {
		from := &long
		if d == 1 {
			from = &short
		}
		if len(*from) == 0 || p.sizes[(*from)[0]] != d {
			return p.nodeError(n, "cuts data with the axes %s into the shape %v", string(p.axes), dims)
		}
		out = append(out, (*from)[0])
		*from = (*from)[1:]
	}
	if len(long) > 0 || len(out) != 5 {
		return p.nodeError(n, "cuts data with the axes %s into the shape %v", string(p.axes), dims)
	}
	p.axes = out
	return nil
}

func (p *path) flatten(n *protos.NodeProto) error {
	if n.GetOpType() == "Flatten" && integer(n, "axis", 1) != 1 || p.axes[0] != 'N' || p.flattened != nil {
		return p.nodeError(n, "flattens data with the axes %s", string(p.axes))
	}
	if slices.Equal(p.axes, []axis("NF")) {
		return nil
	}
	p.flattened = slices.Clone(p.axes[1:])
	total := 1
	for _, a := range p.flattened {
		total *= p.sizes[a]
	}
	p.axes, p.sizes['F'] = []axis("NF"), total
	return nil
}

// expected are the network's events in the words of the walk.
func expected(spec cnn.Spec, layers []layer) []string {
	var list []string
	if spec.InputPool > 1 {
		list = append(list, fmt.Sprintf("mean pool %d", spec.InputPool))
	}
	slope := func() {
		if spec.LeakySlope != 1 {
			list = append(list, activation(float32(spec.LeakySlope)))
		}
	}
	for _, st := range spec.Stages {
		if st.Pool != nil {
			list = append(list, fmt.Sprintf("pool %d", st.Pool.Size))
			continue
		}
		list = append(list, layers[0].words())
		layers = layers[1:]
		slope()
	}
	for i, l := range layers {
		list = append(list, l.words())
		if i+1 < len(layers) {
			slope()
		}
	}
	return list
}

func activation(slope float32) string { return fmt.Sprintf("leaky ReLU %v", slope) }

func (l layer) words() string {
	if l.kernel > 0 {
		return fmt.Sprintf("convolution [%d %d %d %d %d]", l.out, l.in, l.kernel, l.kernel, l.kernel)
	}
	return fmt.Sprintf("dense [%d %d]", l.out, l.in)
}

// parts compares what the walk has met with the network, and gives the layers' numbers.
func (p *path) parts(spec cnn.Spec, layers []layer) (list []parts, notes []string, err error) {
	var got []string
	for _, e := range p.events {
		// Leaky ReLU keeps the order of values, so it may stand on either side of a pool.
		if last := len(got) - 1; last >= 0 && strings.HasPrefix(string(e), "leaky") && strings.HasPrefix(got[last], "pool") {
			got = append(got[:last], string(e), got[last])
			continue
		}
		got = append(got, string(e))
	}
	if want := expected(spec, layers); !slices.Equal(want, got) {
		return nil, nil, &LayersError{File: p.file, Want: want, Got: got, At: firstDifference(want, got)}
	}
	for i, l := range p.linear {
		v, note := l.parts(spec.NormEpsilon)
		if note != "" && !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
		if l.flattened != nil {
			v.weights = p.unflatten(v.weights, layers[i], l)
		}
		list = append(list, v)
	}
	return list, notes, nil
}

// unflatten brings a dense layer's columns into the order z, y, x, channel.
func (p *path) unflatten(weights []float32, need layer, l *linear) []float32 {
	dims, order := []int{need.out}, []int{0}
	for _, a := range l.flattened {
		dims = append(dims, l.flattenedSizes[a])
	}
	for _, a := range []axis("ZYXC") {
		order = append(order, 1+slices.Index(l.flattened, a))
	}
	return permute(weights, dims, order)
}
