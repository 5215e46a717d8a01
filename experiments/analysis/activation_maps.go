package analysis

import (
	"context"
	"fmt"
	"math"
	"slices"

	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
)

// A map has a value for each voxel of the cube that a network reads, in the order z, y, x.
// Positive values raise the log-odds of the score.

// mapMaker makes maps with the networks of a run.
type mapMaker struct {
	size      int
	explainer *cnn.Explainer // of one network after the other: what each holds when compiled is large
	models    []*cnn.Model
	field     cnn.Field // of the layer of Grad-CAM
	methods   []string
	steps     int
	baseline  []float32
	boxes     cnn.Boxes
	inner     span // of the voxels where Grad-CAM has values, along each axis
	seen      span // of the voxels that the networks read: a pool leaves out those at the end that fill no box
}

// span is a range of voxels along each axis of a cube: first to last, both included.
type span struct{ first, last int }

// reach is the part of the cube where a method can have values: Grad-CAM has none beyond the
// layer's positions, a slope none where the networks do not read, and occlusion none beyond
// the last box that covers something that they read.
func (m *mapMaker) reach(method string) span {
	switch method {
	case gradCAM:
		return m.inner
	case guidedGradCAM:
		return span{m.inner.first, min(m.inner.last, m.seen.last)}
	case occlusion:
		b := m.boxes
		if m.size-b.Size <= m.seen.last { // the last box ends with the cube
			return span{0, m.size - 1}
		}
		return span{0, m.seen.last/b.Stride*b.Stride + b.Size - 1}
	}
	return m.seen
}

// cut is the part of a map [size^3] within the span.
func (s span) cut(m []float64, size int) []float64 {
	var out []float64
	for z := s.first; z <= s.last; z++ {
		for y := s.first; y <= s.last; y++ {
			at := (z*size + y) * size
			out = append(out, m[at+s.first:at+s.last+1]...)
		}
	}
	return out
}

func newMapMaker(n *scoring.Networks, s Activation, baseline []float32) (*mapMaker, error) {
	m := &mapMaker{size: n.Size, models: n.Models, methods: s.Methods, steps: s.IntegratedGradients.Steps, baseline: baseline}
	voxels := func(mm float64) int { return int(min(max(math.Round(mm/n.MM), 1), float64(n.Size))) }
	m.boxes = cnn.Boxes{Size: voxels(s.Occlusion.SizeMM), Stride: voxels(s.Occlusion.StrideMM), Fill: volume.Normalise(float32(s.Occlusion.FillHU))}
	var err error
	if m.field, err = layerOf(n.Models[0].Spec, s.Layer); err != nil {
		return nil, err
	}
	fields, err := n.Models[0].Spec.Fields()
	if err != nil {
		return nil, err
	}
	m.seen = span{0, fields[len(fields)-1].Last()}
	everywhere := onCube(slices.Repeat([]float64{1}, m.field.Edge*m.field.Edge*m.field.Edge), m.field, m.size)
	diagonal := func(i int) bool { return everywhere[(i*m.size+i)*m.size+i] != 0 }
	for m.inner.last = m.size - 1; !diagonal(m.inner.last); m.inner.last-- {
	}
	for !diagonal(m.inner.first) {
		m.inner.first++
	}
	if m.explainer, err = cnn.NewExplainer(n.Engine, n.Models[0]); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *mapMaker) close() { m.explainer.Close() }

// lookedAt are the maps of one cube.
type lookedAt struct {
	maps    map[string][]float64 // by method
	logOdds float64
	// Of integrated gradients: the change from the baseline that they should add up to, and
	// what their sum differs from it.
	change, gap float64
}

// mean is the mean over the networks.
func (m *mapMaker) mean(ctx context.Context, cube []float32) (*lookedAt, error) {
	var sum *lookedAt
	share := 1 / float64(len(m.models))
	for _, model := range m.models {
		l, err := m.by(ctx, model, cube)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = &lookedAt{maps: map[string][]float64{}}
			for _, name := range m.methods {
				sum.maps[name] = make([]float64, len(cube))
			}
		}
		for _, name := range m.methods {
			for k, v := range l.maps[name] {
				sum.maps[name][k] += share * v
			}
		}
		sum.logOdds, sum.change, sum.gap = sum.logOdds+share*l.logOdds, sum.change+share*l.change, sum.gap+share*l.gap
	}
	return sum, nil
}

// by are the maps of one network, of the run or with random weights.
func (m *mapMaker) by(ctx context.Context, model *cnn.Model, cube []float32) (*lookedAt, error) {
	x, one := m.explainer, [][]float32{cube}
	if err := x.Use(model); err != nil {
		return nil, err
	}
	odds, err := x.LogOdds(ctx, one)
	if err != nil {
		return nil, err
	}
	l := &lookedAt{maps: map[string][]float64{}, logOdds: odds[0]}
	wants := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(m.methods, n) })
	}
	if wants(gradCAM, guidedGradCAM) {
		cam, err := x.GradCAM(ctx, m.field.Layer, one)
		if err != nil {
			return nil, err
		}
		l.maps[gradCAM] = onCube(cam[0], m.field, m.size)
		for k, v := range l.maps[gradCAM] {
			l.maps[gradCAM][k] = max(v, 0)
		}
	}
	if wants(guidedBack, guidedGradCAM) {
		guided, err := x.Slopes(ctx, one, true)
		if err != nil {
			return nil, err
		}
		l.maps[guidedBack] = guided[0]
	}
	if wants(guidedGradCAM) {
		product := make([]float64, len(cube))
		for k, v := range l.maps[guidedBack] {
			product[k] = v * l.maps[gradCAM][k]
		}
		l.maps[guidedGradCAM] = product
	}
	if wants(integrated) {
		r, err := x.IntegratedGradients(ctx, cube, m.baseline, m.steps)
		if err != nil {
			return nil, err
		}
		l.maps[integrated], l.change, l.gap = r.Attribution, r.Change, r.Gap
	}
	if wants(occlusion) {
		if l.maps[occlusion], err = cnn.Occlude(ctx, x.LogOdds, cube, m.size, m.boxes); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// onCube brings a map from a layer's grid to the voxels of the cube [size^3]: linear between
// the centres of the layer's positions, constant for half a step beyond the outermost, 0
// further out, where the layer has no position.
func onCube(values []float64, f cnn.Field, size int) []float64 {
	at := func(start, step float64, n int) volume.Grid {
		return volume.Grid{Size: [3]int{n, n, n}, Origin: [3]float64{start, start, start}, Spacing: [3]float64{step, step, step}, Direction: volume.Identity}
	}
	layer := volume.NewVolume(at(f.Start, f.Step, f.Edge))
	for k, v := range values {
		layer.HU[k] = float32(v)
	}
	return numbers(resampledMap(layer, at(0, 1, size)).HU)
}

// resampledMap is volume.Resample with 0, and not air, where the map has no voxels.
func resampledMap(v *volume.Volume, to volume.Grid) *volume.Volume {
	out, there := volume.Resample(v, to), volume.NewMask(v.Grid)
	for k := range there.In {
		there.In[k] = 1
	}
	for k, in := range volume.ResampleMask(there, to).In {
		if in == 0 {
			out.HU[k] = 0
		}
	}
	return out
}

func numbers(v []float32) []float64 {
	out := make([]float64, len(v))
	for k, x := range v {
		out[k] = float64(x)
	}
	return out
}

// mapVolume puts a map on the grid of its cube.
func mapVolume(values []float64, g volume.Grid) *volume.Volume {
	if len(values) != g.Len() {
		panic(fmt.Sprintf("analysis: %d values for a grid of %d", len(values), g.Len()))
	}
	v := volume.NewVolume(g)
	for k, x := range values {
		v.HU[k] = float32(x)
	}
	return v
}
