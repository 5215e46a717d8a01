package weights

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute-onnx/support/protos"
	"google.golang.org/protobuf/proto"

	"hounsfield/models/cnn"
)

// An ONNX file names no layers: its graph is walked from the input on, and what each node does to the data tells which
// layer it is. The walk keeps account of the axes, so that transposed kernels and the order in which a cube is flattened
// come out right whichever way a converter turned the data.

// Metadata of files that this program writes.
const (
	metaSpec      = "hounsfield.spec"
	metaIntervals = "hounsfield.intervals_days"
)

// tensor is a constant of the graph.
type tensor struct {
	dims   []int
	floats []float32 // of float and double
	ints   []int     // of int32 and int64
}

// graph is an ONNX graph ready for the walk.
type graph struct {
	file      string
	constants map[string]*tensor
	external  map[string]string // constant to the file that holds it
	consumers map[string][]*protos.NodeProto
	outputs   map[string]bool
	nodes     []*protos.NodeProto
	ours      bool // written by WriteONNX: what comes after the logits is known
}

func readONNX(text []byte, file string, o Options) (*Imported, error) {
	var m protos.ModelProto
	if err := proto.Unmarshal(text, &m); err != nil || m.GetGraph() == nil || len(m.GetGraph().GetNode()) == 0 {
		return nil, &FileError{File: file, Problem: "is neither HDF5 nor an ONNX model", Next: "name weights.h5 of Keras, or an ONNX model", Err: err}
	}
	spec, intervals, ours, err := ownMetadata(&m, file)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Spec != nil:
		spec = o.Spec
	case spec == nil:
		spec = o.Otherwise
	}
	if spec == nil {
		return nil, &FileError{File: file, Problem: "does not say which network it is", Next: "name the network, with --spec"}
	}
	layers, err := layersOf(*spec)
	if err != nil {
		return nil, err
	}
	g, err := newGraph(m.GetGraph(), file, ours)
	if err != nil {
		return nil, err
	}
	start, err := g.input(m.GetGraph(), spec.Input)
	if err != nil {
		return nil, err
	}
	paths, err := g.walk(start)
	if err != nil {
		return nil, err
	}
	in := &Imported{Meta: map[string]string{}, Kind: "ONNX by " + strings.TrimSpace(m.GetProducerName()+" "+m.GetProducerVersion())}
	for _, p := range m.GetMetadataProps() {
		in.Meta[p.GetKey()] = p.GetValue()
	}
	for _, p := range paths {
		list, notes, err := p.parts(*spec, layers)
		if err != nil {
			return nil, err
		}
		model, err := build(file, *spec, layers, list)
		if err != nil {
			return nil, err
		}
		model.Intervals = intervals
		in.Models = append(in.Models, model)
		for _, n := range notes {
			if !slices.Contains(in.Notes, n) {
				in.Notes = append(in.Notes, n)
			}
		}
	}
	return in, nil
}

// ownMetadata reads what WriteONNX wrote down about the network.
func ownMetadata(m *protos.ModelProto, file string) (spec *cnn.Spec, intervals []float64, ours bool, err error) {
	for _, p := range m.GetMetadataProps() {
		switch p.GetKey() {
		case metaSpec:
			ours, spec = true, new(cnn.Spec)
			if err = json.Unmarshal([]byte(p.GetValue()), spec); err == nil {
				err = spec.Validate()
			}
		case metaIntervals:
			err = json.Unmarshal([]byte(p.GetValue()), &intervals)
		}
		if err != nil {
			return nil, nil, false, &FileError{File: file, At: "metadata " + p.GetKey(), Problem: "cannot be read", Next: "export the run again", Err: err}
		}
	}
	return spec, intervals, ours, nil
}

func newGraph(p *protos.GraphProto, file string, ours bool) (*graph, error) {
	g := &graph{file: file, constants: map[string]*tensor{}, external: map[string]string{}, consumers: map[string][]*protos.NodeProto{},
		outputs: map[string]bool{}, nodes: p.GetNode(), ours: ours}
	for _, t := range p.GetInitializer() {
		if err := g.constant(t.GetName(), t); err != nil {
			return nil, err
		}
	}
	for _, o := range p.GetOutput() {
		g.outputs[o.GetName()] = true
	}
	for _, n := range p.GetNode() {
		if n.GetOpType() == "Constant" && len(n.GetOutput()) == 1 {
			if t := attribute(n, "value"); t != nil {
				if err := g.constant(n.GetOutput()[0], t.GetT()); err != nil {
					return nil, err
				}
			}
			continue
		}
		for i, name := range n.GetInput() {
			if name != "" && !slices.Contains(n.GetInput()[:i], name) {
				g.consumers[name] = append(g.consumers[name], n)
			}
		}
	}
	return g, nil
}

func (g *graph) constant(name string, t *protos.TensorProto) error {
	if t.GetDataLocation() == protos.TensorProto_EXTERNAL {
		where := "another file"
		for _, e := range t.GetExternalData() {
			if e.GetKey() == "location" {
				where = e.GetValue()
			}
		}
		g.external[name] = where
		return nil
	}
	out := &tensor{}
	n := 1
	for _, d := range t.GetDims() {
		if d < 0 || d > 0 && n > math.MaxInt32/int(d) {
			return g.fail(name, fmt.Sprintf("has the shape %v", t.GetDims()), "the file is damaged: get it again")
		}
		out.dims = append(out.dims, int(d))
		n *= int(d)
	}
	raw := t.GetRawData()
	size := map[int32]int{int32(protos.TensorProto_FLOAT): 4, int32(protos.TensorProto_DOUBLE): 8,
		int32(protos.TensorProto_INT32): 4, int32(protos.TensorProto_INT64): 8}[t.GetDataType()]
	if size == 0 {
		return nil // of no type that weights or shapes have; a node that needs it will say so
	}
	count := len(raw) / size
	if len(raw) == 0 {
		count = max(len(t.GetFloatData()), len(t.GetDoubleData()), len(t.GetInt32Data()), len(t.GetInt64Data()))
	}
	if count != n || len(raw)%size != 0 {
		return g.fail(name, fmt.Sprintf("has the shape %v and %d values", t.GetDims(), count), "the file is damaged: get it again")
	}
	for i := range n {
		switch {
		case t.GetDataType() == int32(protos.TensorProto_FLOAT) && len(raw) > 0:
			out.floats = append(out.floats, math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
		case t.GetDataType() == int32(protos.TensorProto_DOUBLE) && len(raw) > 0:
			out.floats = append(out.floats, float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))))
		case t.GetDataType() == int32(protos.TensorProto_INT32) && len(raw) > 0:
			out.ints = append(out.ints, int(int32(binary.LittleEndian.Uint32(raw[4*i:]))))
		case t.GetDataType() == int32(protos.TensorProto_INT64) && len(raw) > 0:
			out.ints = append(out.ints, int(binary.LittleEndian.Uint64(raw[8*i:])))
		case i < len(t.GetFloatData()):
			out.floats = append(out.floats, t.GetFloatData()[i])
		case i < len(t.GetDoubleData()):
			out.floats = append(out.floats, float32(t.GetDoubleData()[i]))
		case i < len(t.GetInt32Data()):
			out.ints = append(out.ints, int(t.GetInt32Data()[i]))
		case i < len(t.GetInt64Data()):
			out.ints = append(out.ints, int(t.GetInt64Data()[i]))
		}
	}
	g.constants[name] = out
	return nil
}

func (g *graph) fail(at, problem, next string) error {
	return &FileError{File: g.file, At: at, Problem: problem, Next: next}
}

// nodeError names a node by its kind and its output.
func (g *graph) nodeError(n *protos.NodeProto, format string, args ...any) error {
	at := n.GetOpType()
	if len(n.GetOutput()) > 0 {
		at += " " + n.GetOutput()[0]
	}
	return g.fail("node "+at, fmt.Sprintf(format, args...), "only a chain of convolutions, batch normalisations, leaky ReLU, pools and dense layers can be imported")
}

func attribute(n *protos.NodeProto, name string) *protos.AttributeProto {
	for _, a := range n.GetAttribute() {
		if a.GetName() == name {
			return a
		}
	}
	return nil
}

// ints is a node's attribute that is a list, or nil.
func ints(n *protos.NodeProto, name string) []int {
	var list []int
	for _, v := range attribute(n, name).GetInts() {
		list = append(list, int(v))
	}
	return list
}

func integer(n *protos.NodeProto, name string, otherwise int) int {
	if a := attribute(n, name); a != nil {
		return int(a.GetI())
	}
	return otherwise
}

func float(n *protos.NodeProto, name string, otherwise float32) float32 {
	if a := attribute(n, name); a != nil {
		return a.GetF()
	}
	return otherwise
}

// input finds the input of cubes and labels its axes.
func (g *graph) input(p *protos.GraphProto, edge int) (*path, error) {
	var data []*protos.ValueInfoProto
	for _, in := range p.GetInput() {
		if g.constants[in.GetName()] == nil && g.external[in.GetName()] == "" { // old files list constants among the inputs
			data = append(data, in)
		}
	}
	if len(data) != 1 {
		return nil, g.fail("", fmt.Sprintf("the graph has %d inputs, not 1", len(data)), "export it with the cube as its only input")
	}
	var dims []int
	for _, d := range data[0].GetType().GetTensorType().GetShape().GetDim() {
		dims = append(dims, int(d.GetDimValue()))
	}
	w := &path{graph: g, value: data[0].GetName(), sizes: map[axis]int{'Z': edge, 'Y': edge, 'X': edge, 'C': 1}}
	shape := func(axes string) []int {
		list := []int{}
		for _, a := range axes[1:] {
			list = append(list, w.sizes[axis(a)])
		}
		return list
	}
	for _, axes := range []string{"NZYXC", "NCZYX", "NZYX"} {
		if len(dims) == len(axes) && slices.Equal(dims[1:], shape(axes)) {
			w.axes = []axis(axes)
			return w, nil
		}
	}
	return nil, &LayersError{File: g.file, Got: []string{fmt.Sprintf("input %v", dims)}, Want: []string{fmt.Sprintf("input [batch %d %d %d] with or without an axis of 1 channel", edge, edge, edge)}}
}
