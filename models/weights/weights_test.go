package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute-onnx/support/protos"
	"google.golang.org/protobuf/proto"

	"hounsfield/models/cnn"
	"hounsfield/models/engine"
	"hounsfield/stats/golden"
)

// small is the study's network scaled down, as in testdata/make_keras.py and make_onnx.py.
func small() cnn.Spec {
	s := cnn.Hosny2018()
	s.Input = 20
	s.Stages = []cnn.Stage{
		{Conv: &cnn.Conv{Filters: 3, Kernel: 5}}, {Conv: &cnn.Conv{Filters: 4, Kernel: 3}}, {Pool: &cnn.Pool{Size: 2}},
		{Conv: &cnn.Conv{Filters: 5, Kernel: 3}}, {Conv: &cnn.Conv{Filters: 6, Kernel: 2}}, {Pool: &cnn.Pool{Size: 2}},
	}
	s.Dense = []cnn.Dense{{Units: 8}, {Units: 6}}
	return s
}

// cubes are those of the programs in testdata.
func cubes(count, edge int) [][]float32 {
	out := make([][]float32, count)
	i := uint64(0)
	for c := range out {
		for k := range edge * edge * edge {
			slope := [3]int{k / (edge * edge), k / edge % edge, k % edge}[c%3]
			out[c] = append(out[c], float32(i*2654435761%(1<<32)>>16)/(1<<17)+float32(slope)/64)
			i++
		}
	}
	return out
}

var goEngine = func() *engine.Engine {
	e, err := engine.Open("go")
	if err != nil {
		panic(err)
	}
	return e
}()

func scores(t testing.TB, m *cnn.Model, x [][]float32) []float64 {
	t.Helper()
	s, err := m.Scores(t.Context(), goEngine, x)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// foreign is a file of another program and what that program predicts with it.
type foreign struct {
	File          string
	Probabilities [][2]float64 // of death and of survival
}

func read1(t testing.TB, file string, o Options) (*cnn.Model, *Imported) {
	t.Helper()
	in, err := Read(filepath.Join("testdata", file), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Models) != 1 {
		t.Fatalf("%s: %d networks", file, len(in.Models))
	}
	return in.Models[0], in
}

// Networks from Keras 1.0.3, 1.2.2 and 2, with TensorFlow and Theano, and from three converters to ONNX, predict here
// what they predict there.
func TestImportsPredictTheSame(t *testing.T) {
	notes := map[string]string{
		"keras.h5": "does not name the Keras version", "keras-model.h5": "", "keras-theano.h5": "mirrored", "keras-old.h5": "deviation",
		"keras2.h5": "", "keras2onnx.onnx": "another epsilon", "tf2onnx.onnx": "folded", "torch-folded.onnx": "folded", "torch.onnx": "",
	}
	spec := small()
	seen := 0
	for _, name := range []string{"keras-tensorflow", "keras-theano", "keras-old", "onnx-keras2onnx", "onnx-tf2onnx", "onnx-torch"} {
		for _, c := range golden.Cases[foreign](t, name) {
			o := Options{Spec: &spec}
			if c.File == "keras-old.h5" {
				o.KerasVersion = "1.0.3" // weights alone do not name it
			}
			m, in := read1(t, c.File, o)
			note, known := notes[c.File]
			if !known || note == "" && len(in.Notes) > 0 || !strings.Contains(strings.Join(in.Notes, " "), note) {
				t.Errorf("%s: notes %q", c.File, in.Notes)
			}
			got := scores(t, m, cubes(len(c.Probabilities), spec.Input))
			for i, p := range c.Probabilities {
				golden.Near(t, fmt.Sprintf("%s (%s) cube %d", c.File, in.Kind, i), got[i], p[0], 1e-5)
			}
			seen++
		}
	}
	if seen != len(notes) {
		t.Errorf("%d files", seen)
	}
}

// The traps: a wrong reading of the spread, a missing mirror and another order of features give other predictions by far
// more than the tolerance, so the test above would see them.
func TestWrongReadingsShow(t *testing.T) {
	spec := small()
	right := golden.Cases[foreign](t, "keras-tensorflow")[0]
	x := cubes(1, spec.Input)
	for what, change := range map[string]func(m *cnn.Model){
		"running_std as a deviation": func(m *cnn.Model) {
			each(m, "/variance", func(a cnn.Array) {
				for i, v := range a.Values {
					a.Values[i] = float32(math.Pow(float64(v)+spec.NormEpsilon, 2) - spec.NormEpsilon)
				}
			})
		},
		"mirrored kernels": func(m *cnn.Model) {
			each(m, "/weights", func(a cnn.Array) {
				if len(a.Dims) == 5 {
					mirror(a.Values, a.Dims[2])
				}
			})
		},
		"features channel first": func(m *cnn.Model) {
			each(m, "dense1/weights", func(a cnn.Array) {
				copy(a.Values, permute(a.Values, []int{8, 6, 8}, []int{0, 2, 1}))
			})
		},
		"axes z and x exchanged": func(m *cnn.Model) {
			each(m, "/weights", func(a cnn.Array) {
				if len(a.Dims) == 5 {
					copy(a.Values, permute(a.Values, a.Dims, []int{0, 1, 4, 3, 2}))
				}
			})
		},
		"epsilon 1e-5": func(m *cnn.Model) { m.Spec.NormEpsilon = 1e-5 },
		"survival first": func(m *cnn.Model) {
			each(m, "logits/", func(a cnn.Array) {
				half := len(a.Values) / 2
				copy(a.Values, slices.Concat(a.Values[half:], a.Values[:half]))
			})
		},
	} {
		m, _ := read1(t, right.File, Options{Spec: &spec})
		change(m)
		if got := scores(t, m, x)[0]; math.Abs(got-right.Probabilities[0][0]) < 5e-5 {
			t.Errorf("%s: still %v", what, got)
		}
	}
}

func each(m *cnn.Model, name string, change func(cnn.Array)) {
	for _, a := range m.Weights {
		if strings.Contains(a.Name, name) {
			change(a)
		}
	}
}

func TestKerasVersions(t *testing.T) {
	for version, want := range map[string]bool{"0.3.3": true, "1.0.0": true, "1.0.3": true, "1.0.3rc1": true, "1.0.5": true, "1.0.7": false, "1.0.8": false, "1.2": false, "1.2.2": false, "2.2.4-tf": false, "10.0.1": false} {
		if got, err := keepsDeviations(version); err != nil || got != want {
			t.Errorf("%s: %v, %v", version, got, err)
		}
	}
	spec := small()
	for _, version := range []string{"one", "1.0.6", "1..2"} {
		var bad *FileError
		if _, err := Read("testdata/keras.h5", Options{Spec: &spec, KerasVersion: version}); !errors.As(err, &bad) || !strings.Contains(err.Error(), "--keras-version") {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// random is a network with random arrays.
func random(t testing.TB, spec cnn.Spec, seed uint64) *cnn.Model {
	t.Helper()
	layers, err := layersOf(spec)
	if err != nil {
		t.Fatal(err)
	}
	draw := rand.New(rand.NewPCG(seed, 1))
	vector := func(n int, low, high float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(low + (high-low)*draw.Float64())
		}
		return v
	}
	var list []parts
	for _, l := range layers {
		size := product(l.dims())
		limit := 2 / math.Sqrt(float64(size/l.out))
		list = append(list, parts{weights: vector(size, -limit, limit), bias: vector(l.out, -1, 1), scale: vector(l.out, -1, 1.5),
			offset: vector(l.out, -1, 1), mean: vector(l.out, -1, 1), variance: vector(l.out, 0.1, 2)})
	}
	m, err := build("random", spec, layers, list)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// exports are networks to export, by name.
func exports(t testing.TB) map[string][]Member {
	pooled := cnn.Small()
	pooled.Input, pooled.Stages = 17, []cnn.Stage{{Conv: &cnn.Conv{Filters: 2, Kernel: 3}}, {Pool: &cnn.Pool{Size: 2}}}
	steps := small()
	steps.Outputs = 3
	all := map[string][]Member{}
	for name, c := range map[string]struct {
		spec      cnn.Spec
		intervals []float64
		seeds     int
	}{"one": {spec: small(), seeds: 1}, "three": {spec: small(), seeds: 3}, "pooled": {spec: pooled, seeds: 2}, "discrete": {spec: steps, intervals: []float64{365, 1000, 2000}, seeds: 2}} {
		for i := range c.seeds {
			m := random(t, c.spec, uint64(i))
			m.Intervals = c.intervals
			all[name] = append(all[name], Member{fmt.Sprintf("seed%d", i+1), m})
		}
	}
	return all
}

func export(t testing.TB, members []Member) []byte {
	t.Helper()
	var text bytes.Buffer
	if err := WriteONNX(&text, members, map[string]string{"run": "abc"}); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// ONNX Runtime gives the exported networks' risks as we do.
func TestExportRunsElsewhere(t *testing.T) {
	all := exports(t)
	if dir := os.Getenv("HOUNSFIELD_EXPORTS"); dir != "" { // for testdata/run_export.py
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, members := range all {
			if err := os.WriteFile(filepath.Join(dir, name+".onnx"), export(t, members), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Skip("files are written")
	}
	cases := golden.Cases[struct {
		Name, SHA256 string
		Risk         []float64
		NetworkRisk  [][]float64 `json:"network_risk"`
	}](t, "export")
	if len(cases) != len(all) {
		t.Fatalf("%d cases for %d exports", len(cases), len(all))
	}
	for _, c := range cases {
		members := all[c.Name]
		if sum := sha256.Sum256(export(t, members)); hex.EncodeToString(sum[:]) != c.SHA256 {
			t.Errorf("%s: the export has other bytes than the file that ONNX Runtime ran: run testdata/run_export.py again", c.Name)
		}
		mean := make([]float64, len(c.Risk))
		for k, m := range members {
			for i, v := range scores(t, m.Model, cubes(len(c.Risk), m.Model.Spec.Input)) {
				golden.Near(t, fmt.Sprintf("%s, network %d, cube %d", c.Name, k, i), v, c.NetworkRisk[i][k], 1e-5)
				mean[i] += v / float64(len(members))
			}
		}
		golden.NearAll(t, c.Name, mean, c.Risk, 1e-5)
	}
}

// What is exported comes back bit for bit, with its kind, and twice the same bytes.
func TestExportRoundTrip(t *testing.T) {
	for name, members := range exports(t) {
		text := export(t, members)
		if !bytes.Equal(text, export(t, members)) {
			t.Errorf("%s: other bytes the second time", name)
		}
		in, err := read(bytes.NewReader(text), int64(len(text)), name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(in.Models) != len(members) || len(in.Notes) > 0 {
			t.Fatalf("%s: %d networks, notes %q", name, len(in.Models), in.Notes)
		}
		for i, m := range in.Models {
			want, _ := json.Marshal(members[i].Model)
			if got, _ := json.Marshal(m); !bytes.Equal(want, got) {
				t.Errorf("%s: network %d came back changed", name, i)
			}
		}
	}
}

// Networks that do not go into one file are refused.
func TestExportRefuses(t *testing.T) {
	pooled := exports(t)["pooled"][0].Model
	m := random(t, small(), 1)
	m.Weights[0].Dims = []int{1}
	if err := WriteONNX(&bytes.Buffer{}, []Member{{"a", m}}, nil); err == nil {
		t.Error("a network with a wrong shape was exported")
	}
	if err := WriteONNX(&bytes.Buffer{}, []Member{{"a", random(t, small(), 1)}, {"b", pooled}}, nil); err == nil {
		t.Error("networks of two kinds went into one file")
	}
}

// Files of another network, or none, are typed errors that say what to do.
func TestWrongFiles(t *testing.T) {
	spec, wider, deeper := small(), small(), small()
	wider.Dense = []cnn.Dense{{Units: 8}, {Units: 7}}
	deeper.Dense = append(deeper.Dense, cnn.Dense{Units: 5})
	sharper := small()
	sharper.LeakySlope = 0.2
	dir := t.TempDir()
	text := filepath.Join(dir, "text.h5")
	if err := os.WriteFile(text, []byte("not weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.h5")
	whole, err := os.ReadFile("testdata/keras.h5")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)-1000], 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file string
		spec *cnn.Spec
		want []string
	}{
		{"testdata/keras.h5", nil, []string{"--spec"}},
		{"testdata/torch.onnx", nil, []string{"--spec"}},
		{"testdata/keras.h5", &wider, []string{"dense2 weights [8 7] bias [7]", "dense_2 weights [8 6] bias [6]", "place 11"}},
		{"testdata/keras.h5", &deeper, []string{"place 13", "logits"}},
		{"testdata/torch.onnx", &wider, []string{"dense [7 8]", "dense [6 8]"}},
		{"testdata/torch.onnx", &sharper, []string{"leaky ReLU 0.1", "leaky ReLU 0.2"}},
		{text, &spec, []string{"neither HDF5 nor an ONNX model"}},
		{cut, &spec, []string{"byte", "cut short"}},
		{dir, &spec, []string{"is a folder"}},
		{filepath.Join(dir, "none.h5"), &spec, []string{"none.h5"}},
	} {
		_, err := Read(c.file, Options{Spec: c.spec})
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", c.file, err, want)
			}
		}
	}
}

// Graphs that this network is not, changed one by one from a good one.
func TestWrongGraphs(t *testing.T) {
	good, err := os.ReadFile("testdata/torch.onnx")
	if err != nil {
		t.Fatal(err)
	}
	spec := small()
	for name, c := range map[string]struct {
		change func(m *protos.ModelProto)
		want   string
	}{
		"unknown operations": {func(m *protos.ModelProto) {
			m.Graph.Node[2].OpType, m.Graph.Node[6].OpType = "Elu", "Gelu"
		}, "Elu, Gelu"},
		"external data": {func(m *protos.ModelProto) {
			m.Graph.Initializer[0].DataLocation = protos.TensorProto_EXTERNAL
			m.Graph.Initializer[0].ExternalData = []*protos.StringStringEntryProto{{Key: "location", Value: "big.bin"}}
		}, "big.bin"},
		"stride":            {func(m *protos.ModelProto) { attribute(m.Graph.Node[0], "strides").Ints[0] = 2 }, "stride"},
		"padding":           {func(m *protos.ModelProto) { attribute(m.Graph.Node[0], "pads").Ints[0] = 1 }, "padding"},
		"overlapping pools": {func(m *protos.ModelProto) { attribute(m.Graph.Node[6], "strides").Ints[0] = 1 }, "disjoint"},
		"shape":             {func(m *protos.ModelProto) { m.Graph.Initializer[0].Dims[0]++ }, "values"},
		"branch": {func(m *protos.ModelProto) {
			n := proto.CloneOf(m.Graph.Node[3])
			n.Output = []string{"other"}
			m.Graph.Node = append(m.Graph.Node, n)
		}, "branches"},
		"normalisation after the activation": {func(m *protos.ModelProto) {
			m.Graph.Node[1].OpType, m.Graph.Node[1].Input = "Relu", m.Graph.Node[1].Input[:1]
			m.Graph.Node[2].OpType, m.Graph.Node[2].Input = "Mul", append(m.Graph.Node[2].Input[:1], m.Graph.Node[0].Input[2])
		}, "behind leaky ReLU 0"},
		"two inputs": {func(m *protos.ModelProto) { m.Graph.Input = append(m.Graph.Input, value("age", "", 1)) }, "2 inputs"},
		"cube size": {func(m *protos.ModelProto) {
			m.Graph.Input[0].Type.GetTensorType().Shape.Dim[2].Value = &protos.TensorShapeProto_Dimension_DimValue{DimValue: 21}
		}, "[0 1 21 20 20]"},
		"not finite": {func(m *protos.ModelProto) { copy(m.Graph.Initializer[0].RawData, []byte{0, 0, 0xc0, 0x7f}) }, "NaN"},
	} {
		var m protos.ModelProto
		if err := proto.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		c.change(&m)
		text, err := proto.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readONNX(text, name, Options{Spec: &spec}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A wild ONNX file is an error, never a panic.
func FuzzReadONNX(f *testing.F) {
	for _, name := range []string{"torch.onnx", "tf2onnx.onnx", "keras2onnx.onnx"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	spec := small()
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := readONNX(text, "fuzz", Options{Spec: &spec})
		if err == nil && len(in.Models) == 0 {
			t.Error("no network and no error")
		}
	})
}

// Nor is a wild Keras file.
func FuzzReadKeras(f *testing.F) {
	text, err := os.ReadFile("testdata/keras.h5")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	spec := small()
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := readKeras(bytes.NewReader(text), int64(len(text)), "fuzz", Options{Spec: &spec})
		if err == nil && len(in.Models) == 0 {
			t.Error("no network and no error")
		}
	})
}
