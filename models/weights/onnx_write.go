package weights

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/gomlx/compute-onnx/support/protos"
	"google.golang.org/protobuf/proto"

	"hounsfield/models/cnn"
)

// Names in the files that WriteONNX writes.
const (
	inputCube     = "cube"         // float32 [batch, z, y, x]: HU as (HU+1024)/4095
	outputRisk    = "risk"         // float32 [batch]: predicted risk of death, the mean over the networks; higher is worse
	outputNetwork = "network_risk" // float32 [batch, networks]: that of each
	outputLogits  = "logits"       // float32 [batch, networks, outputs]: before the risk
)

// The versions that are written: old enough for ONNX Runtime since 1.6 and onnx since 1.8.
const (
	irVersion    = 7
	opsetVersion = 13
)

// Member is one network of a file, under a name that its arrays bear, for example seed1.
type Member struct {
	Name  string
	Model *cnn.Model
}

// WriteONNX writes networks of one kind as an ONNX model: from cubes, as many at a time as one likes, to the mean of
// their risks, with the risks and logits of each beside it. The arrays are bit for bit those of the networks, so that
// Read gets the same networks back. meta is added to the model's metadata; the same arguments give the same bytes.
func WriteONNX(w io.Writer, members []Member, meta map[string]string) error {
	if len(members) == 0 {
		return fmt.Errorf("there is no network to export")
	}
	first := members[0].Model
	layers, err := layersOf(first.Spec)
	if err != nil {
		return err
	}
	spec, err := json.Marshal(first.Spec)
	if err != nil {
		return err
	}
	about := maps.Clone(meta)
	if about == nil {
		about = map[string]string{}
	}
	about[metaSpec] = string(spec)
	if first.Intervals != nil {
		text, err := json.Marshal(first.Intervals)
		if err != nil {
			return err
		}
		about[metaIntervals] = string(text)
	}
	b := &onnxBuilder{graph: &protos.GraphProto{Name: "risk of death from a cube of CT"}}
	cube := b.unsqueeze(inputCube, "channel", 1)
	if k := first.Spec.InputPool; k > 1 {
		cube = b.node("AveragePool", "coarse", []string{cube}, list("kernel_shape", k, k, k), list("strides", k, k, k))
	}
	var risks, columns, logits []string
	for _, m := range members {
		if other, err := json.Marshal(m.Model.Spec); err != nil || string(other) != string(spec) || !slices.Equal(m.Model.Intervals, first.Intervals) {
			return fmt.Errorf("network %s is of another kind than %s: export them into files of their own", m.Name, members[0].Name)
		}
		z, err := b.network(m, layers, cube)
		if err != nil {
			return fmt.Errorf("network %s: %w", m.Name, err)
		}
		risk := b.risk(m, z)
		risks, columns, logits = append(risks, risk), append(columns, b.unsqueeze(risk, m.Name+"/risk column", 1)), append(logits, b.unsqueeze(z, m.Name+"/logits row", 1))
	}
	b.node("Mean", outputRisk, risks)
	b.node("Concat", outputNetwork, columns, number("axis", 1))
	b.node("Concat", outputLogits, logits, number("axis", 1))
	edge, networks, outputs := first.Spec.Input, len(members), layers[len(layers)-1].out
	b.graph.Input = []*protos.ValueInfoProto{value(inputCube, "normalised CT around the tumour, axes z, y, x: (HU+1024)/4095", edge, edge, edge)}
	b.graph.Output = []*protos.ValueInfoProto{
		value(outputRisk, "predicted risk of death within two years, 0 to 1, mean over the networks: higher is worse"),
		value(outputNetwork, "the same of each network", networks),
		value(outputLogits, "what each network says before that", networks, outputs),
	}
	model := &protos.ModelProto{IrVersion: irVersion, ProducerName: "hounsfield", Graph: b.graph,
		OpsetImport: []*protos.OperatorSetIdProto{{Domain: "", Version: opsetVersion}}}
	for _, k := range slices.Sorted(maps.Keys(about)) {
		model.MetadataProps = append(model.MetadataProps, &protos.StringStringEntryProto{Key: k, Value: about[k]})
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(model)
	if err != nil {
		return fmt.Errorf("the ONNX model cannot be written: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// onnxBuilder builds a graph. Its methods return the name of what a node gives.
type onnxBuilder struct {
	graph *protos.GraphProto
}

func (b *onnxBuilder) node(kind, output string, inputs []string, attributes ...*protos.AttributeProto) string {
	b.graph.Node = append(b.graph.Node, &protos.NodeProto{OpType: kind, Name: output, Input: inputs, Output: []string{output}, Attribute: attributes})
	return output
}

func list(name string, v ...int) *protos.AttributeProto {
	a := &protos.AttributeProto{Name: name, Type: protos.AttributeProto_INTS}
	for _, i := range v {
		a.Ints = append(a.Ints, int64(i))
	}
	return a
}

func number(name string, v int) *protos.AttributeProto {
	return &protos.AttributeProto{Name: name, Type: protos.AttributeProto_INT, I: int64(v)}
}

func decimal(name string, v float64) *protos.AttributeProto {
	return &protos.AttributeProto{Name: name, Type: protos.AttributeProto_FLOAT, F: float32(v)}
}

// value describes an input or output whose first axis is the batch.
func value(name, words string, dims ...int) *protos.ValueInfoProto {
	shape := &protos.TensorShapeProto{Dim: []*protos.TensorShapeProto_Dimension{{Value: &protos.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}}}}
	for _, d := range dims {
		shape.Dim = append(shape.Dim, &protos.TensorShapeProto_Dimension{Value: &protos.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}})
	}
	return &protos.ValueInfoProto{Name: name, DocString: words, Type: &protos.TypeProto{Value: &protos.TypeProto_TensorType{
		TensorType: &protos.TypeProto_Tensor{ElemType: int32(protos.TensorProto_FLOAT), Shape: shape}}}}
}

// floats adds a constant of float32.
func (b *onnxBuilder) floats(name string, dims []int, values []float32) string {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return b.initializer(name, protos.TensorProto_FLOAT, dims, raw)
}

// integers adds a constant list of int64.
func (b *onnxBuilder) integers(name string, values ...int) string {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return b.initializer(name, protos.TensorProto_INT64, []int{len(values)}, raw)
}

func (b *onnxBuilder) initializer(name string, kind protos.TensorProto_DataType, dims []int, raw []byte) string {
	t := &protos.TensorProto{Name: name, DataType: int32(kind), RawData: raw}
	for _, d := range dims {
		t.Dims = append(t.Dims, int64(d))
	}
	b.graph.Initializer = append(b.graph.Initializer, t)
	return name
}

func (b *onnxBuilder) unsqueeze(x, output string, axis int) string {
	return b.node("Unsqueeze", output, []string{x, b.integers(output+"/axes", axis)})
}

// network adds one network from the cube [batch, 1, z, y, x] to its logits [batch, outputs].
func (b *onnxBuilder) network(m Member, layers []layer, x string) (string, error) {
	spec := m.Model.Spec
	name := func(l layer, what string) string { return m.Name + "/" + l.name + "/" + what }
	// apply adds a layer and its normalisation.
	apply := func(kind string, attributes ...*protos.AttributeProto) error {
		l := layers[0]
		layers = layers[1:]
		var in []string
		for _, what := range []string{"weights", "bias", "scale", "offset", "mean", "variance"} {
			a, err := array(m.Model, l.name+"/"+what)
			if err != nil {
				return err
			}
			if want := l.dims(); what == "weights" && !slices.Equal(a.Dims, want) || what != "weights" && !slices.Equal(a.Dims, want[:1]) {
				return fmt.Errorf("the array %s has the shape %v, and its layer needs %v", a.Name, a.Dims, want)
			}
			in = append(in, b.floats(name(l, what), a.Dims, a.Values))
		}
		x = b.node(kind, name(l, "linear"), []string{x, in[0], in[1]}, attributes...)
		x = b.node("BatchNormalization", name(l, "normalised"), append([]string{x}, in[2:]...), decimal("epsilon", spec.NormEpsilon))
		return nil
	}
	activate := func(l layer) {
		if spec.LeakySlope != 1 {
			x = b.node("LeakyRelu", name(l, "activated"), []string{x}, decimal("alpha", spec.LeakySlope))
		}
	}
	for i, st := range spec.Stages {
		if st.Pool != nil {
			k := st.Pool.Size
			x = b.node("MaxPool", fmt.Sprintf("%s/stage%d/pooled", m.Name, i+1), []string{x}, list("kernel_shape", k, k, k), list("strides", k, k, k))
			continue
		}
		l := layers[0]
		if err := apply("Conv", list("kernel_shape", l.kernel, l.kernel, l.kernel)); err != nil {
			return "", err
		}
		activate(l)
	}
	x = b.node("Transpose", m.Name+"/channels last", []string{x}, list("perm", 0, 2, 3, 4, 1))
	x = b.node("Flatten", m.Name+"/features", []string{x}, number("axis", 1))
	for len(layers) > 0 {
		l := layers[0]
		if err := apply("Gemm", number("transB", 1)); err != nil {
			return "", err
		}
		if len(layers) > 0 {
			activate(l)
		}
	}
	return x, nil
}

// risk adds what turns logits [batch, outputs] into a risk [batch], as cnn.Model.Scores does.
func (b *onnxBuilder) risk(m Member, z string) string {
	of := func(what string) string { return m.Name + "/" + what }
	if m.Model.Intervals == nil {
		dead := b.node("Gather", of("dead"), []string{z, b.initializer(of("dead/column"), protos.TensorProto_INT64, nil, make([]byte, 8))}, number("axis", 1))
		alive := b.node("Gather", of("alive"), []string{z, b.initializer(of("alive/column"), protos.TensorProto_INT64, nil, append([]byte{1}, make([]byte, 7)...))}, number("axis", 1))
		return b.node("Sigmoid", of("risk"), []string{b.node("Sub", of("leaning"), []string{dead, alive})})
	}
	// 1 - S(horizon), with the hazard constant in time within an interval: of the one that the horizon falls into, a share
	// counts, and those after it do not.
	shares := make([]float32, len(m.Model.Intervals))
	start := 0.0
	for i, end := range m.Model.Intervals {
		shares[i] = float32(min(max((cnn.Horizon-start)/(end-start), 0), 1))
		start = end
	}
	hazards := b.node("Softplus", of("hazards"), []string{z})
	counted := b.node("Mul", of("hazards until the horizon"), []string{hazards, b.floats(of("shares"), []int{len(shares)}, shares)})
	sum := b.node("ReduceSum", of("cumulative hazard"), []string{counted, b.integers(of("cumulative hazard/axes"), 1)}, number("keepdims", 0))
	survival := b.node("Exp", of("survival"), []string{b.node("Neg", of("log survival"), []string{sum})})
	return b.node("Sub", of("risk"), []string{b.floats(of("one"), nil, []float32{1}), survival})
}
