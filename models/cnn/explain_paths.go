package cnn

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/ml/model"
)

// Integrated is a map of integrated gradients.
type Integrated struct {
	Attribution []float64 // by voxel; positive raises the risk
	Change      float64   // of the log-odds from the baseline to the cube, which the attributions should add up to
	Gap         float64   // their sum less Change: what the finite number of steps costs
}

// IntegratedGradients attributes to each voxel its part in the change of the log-odds from a baseline to the cube
// (Sundararajan et al. 2017, arXiv:1703.01365): its difference times the mean slope along the straight way between
// them, taken at the middles of so many equal steps. The network is piecewise linear, so the gap shrinks with the
// number of steps.
//
// Errors: *DataError, also for fewer steps than one; otherwise as of Model.Scores.
func (x *Explainer) IntegratedGradients(ctx context.Context, cube, baseline []float32, steps int) (*Integrated, error) {
	if steps < 1 {
		return nil, &DataError{What: "integrated gradients", Problem: fmt.Sprintf("have %d steps", steps), Next: "take one or more, such as 32"}
	}
	ends, err := x.LogOdds(ctx, [][]float32{cube, baseline})
	if err != nil {
		return nil, err
	}
	sum := make([]float64, len(cube))
	for start := 0; start < steps; start += x.batch {
		var way [][]float32
		for k := start; k < min(start+x.batch, steps); k++ {
			t := (float32(k) + 0.5) / float32(steps)
			c := make([]float32, len(cube))
			for i, v := range cube {
				c[i] = baseline[i] + float32(t*(v-baseline[i]))
			}
			way = append(way, c)
		}
		slopes, err := x.Slopes(ctx, way, false)
		if err != nil {
			return nil, err
		}
		for _, s := range slopes {
			for i, v := range s {
				sum[i] += v
			}
		}
	}
	r := &Integrated{Attribution: sum, Change: ends[0] - ends[1]}
	total := 0.0
	for i := range sum {
		sum[i] *= float64(cube[i]-baseline[i]) / float64(steps)
		total += sum[i]
	}
	r.Gap = total - r.Change
	return r, nil
}

// Boxes are the parts of a cube that Occlude covers, one at a time.
type Boxes struct {
	Size   int     // voxels along each edge
	Stride int     // voxels from one box to the next; the last box along an axis ends with the cube
	Fill   float32 // what stands in a covered box, normalised as the cube
}

// occludedAtOnce bounds the covered cubes that lie in memory.
const occludedAtOnce = 64

// Occlude covers one box of a cube [edge^3] after the other and gives each voxel the mean, over the boxes that cover
// it, of what the score loses: positive where the tissue raises it (Zeiler and Fergus 2014,
// doi:10.1007/978-3-319-10590-1_53). score may be Explainer.LogOdds. Voxels that no box covers, where Stride is larger
// than Size, have 0.
//
// Errors: *DataError for boxes that do not fit; those of score.
func Occlude(ctx context.Context, score func(context.Context, [][]float32) ([]float64, error), cube []float32, edge int, b Boxes) ([]float64, error) {
	if b.Size < 1 || b.Size > edge || b.Stride < 1 || math.IsNaN(float64(b.Fill)) {
		return nil, &DataError{What: "occlusion", Problem: fmt.Sprintf("has boxes of %d voxels every %d in a cube of %d", b.Size, b.Stride, edge),
			Next: "take boxes of at least one voxel that fit into the cube"}
	}
	whole, err := score(ctx, [][]float32{cube})
	if err != nil {
		return nil, err
	}
	starts := b.starts(edge)
	sum, count := make([]float64, len(cube)), make([]float64, len(cube))
	var corners [][3]int
	for _, z := range starts {
		for _, y := range starts {
			for _, x := range starts {
				corners = append(corners, [3]int{z, y, x})
			}
		}
	}
	covered := make([][]float32, 0, occludedAtOnce)
	for range min(occludedAtOnce, len(corners)) {
		covered = append(covered, slices.Clone(cube))
	}
	for first := 0; first < len(corners); first += occludedAtOnce {
		some := corners[first:min(first+occludedAtOnce, len(corners))]
		for i, at := range some {
			b.each(edge, at, func(k int) { covered[i][k] = b.Fill })
		}
		scores, err := score(ctx, covered[:len(some)])
		if err != nil {
			return nil, err
		}
		for i, at := range some {
			b.each(edge, at, func(k int) {
				covered[i][k] = cube[k]
				sum[k] += whole[0] - scores[i]
				count[k]++
			})
		}
	}
	for k, n := range count {
		if n > 0 {
			sum[k] /= n
		}
	}
	return sum, nil
}

// starts are the first voxels of the boxes along an axis.
func (b Boxes) starts(edge int) []int {
	var starts []int
	for s := 0; s+b.Size <= edge; s += b.Stride {
		starts = append(starts, s)
	}
	if last := edge - b.Size; starts[len(starts)-1] != last && b.Stride <= b.Size {
		starts = append(starts, last)
	}
	return starts
}

// each calls f with the places of a box's voxels.
func (b Boxes) each(edge int, at [3]int, f func(k int)) {
	for z := at[0]; z < at[0]+b.Size; z++ {
		for y := at[1]; y < at[1]+b.Size; y++ {
			for x := at[2]; x < at[2]+b.Size; x++ {
				f((z*edge+y)*edge + x)
			}
		}
	}
}

// Layers are the names of the layers with weights, from the input to the logits. Errors: *SpecError.
func (m *Model) Layers() ([]string, error) {
	layers, err := m.Spec.layers()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(layers))
	for i, l := range layers {
		names[i] = l.name
	}
	return names, nil
}

// Untrained is a network with the first weights of a seed: random ones, no bias, a normalisation that changes nothing.
// Errors: *SpecError.
func Untrained(spec Spec, seed int64) (*Model, error) {
	n, err := newNetwork(spec, plan{})
	if err != nil {
		return nil, err
	}
	store := model.NewStore()
	defer store.Finalize()
	if err := n.initialise(store, seed, dtypes.Float32); err != nil {
		return nil, err
	}
	saved, err := snapshot(store, n.isWeight)
	if err != nil {
		return nil, err
	}
	return &Model{Spec: spec, Weights: arrays(saved)}, nil
}

// Randomised is the model with some of its layers as in an untrained network of that seed. The model itself is not
// changed. Errors: *SpecError.
func (m *Model) Randomised(seed int64, layers ...string) (*Model, error) {
	untrained, err := Untrained(m.Spec, seed)
	if err != nil {
		return nil, err
	}
	fresh := map[string]Array{}
	for _, a := range untrained.Weights {
		fresh[a.Name] = a
	}
	out := &Model{Spec: m.Spec, Intervals: m.Intervals, Weights: slices.Clone(m.Weights)}
	for i, a := range out.Weights {
		for _, l := range layers {
			if strings.HasPrefix(a.Name, l+"/") {
				out.Weights[i] = fresh[a.Name]
			}
		}
	}
	return out, nil
}
