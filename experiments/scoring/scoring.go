// Package scoring turns cubes into scores: the predicted risk of death of a patient is
// the mean over the networks of a run, higher is worse.
package scoring

import (
	"context"
	"math"

	"hounsfield/datasets/volume"
	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// Networks are those of a run, one for each seed, on an open engine.
type Networks struct {
	Engine *engine.Engine
	Models []*cnn.Model
	Seeds  []int64 // aligned with Models
	Size   int     // voxels along each edge of the input
	MM     float64 // edge of a voxel
}

// Spec is the cube that the networks read, without a margin.
func (n *Networks) Spec() volume.CubeSpec { return volume.CubeSpec{Size: n.Size, SpacingMM: n.MM} }

// Score is the mean risk of death over the networks, cube by cube; the score of a nil
// cube is NaN. Margins are not read.
func (n *Networks) Score(ctx context.Context, cubes []*volume.Cube) ([]float64, error) {
	by, err := n.ByNetwork(ctx, cubes)
	if err != nil {
		return nil, err
	}
	return Mean(by), nil
}

// ByNetwork are the scores by each network, aligned with Models; see Score.
func (n *Networks) ByNetwork(ctx context.Context, cubes []*volume.Cube) ([][]float64, error) {
	by := make([][]float64, len(n.Models))
	for k, m := range n.Models {
		var err error
		if by[k], err = One(ctx, n.Engine, m, cubes, n.Size); err != nil {
			return nil, err
		}
	}
	return by, nil
}

// One scores cubes with one network; a nil cube has the score NaN.
func One(ctx context.Context, e *engine.Engine, net *cnn.Model, cubes []*volume.Cube, size int) ([]float64, error) {
	scores := NaN(len(cubes))
	var there []int
	var present []*volume.Cube
	for i, c := range cubes {
		if c != nil {
			there, present = append(there, i), append(present, c)
		}
	}
	got, err := net.Scores(ctx, e, Inputs(present, size))
	if err != nil {
		return nil, err
	}
	for k, i := range there {
		scores[i] = got[k]
	}
	return scores, nil
}

// Inputs are the central size^3 voxels of cubes, normalised to 0..1, stored z, y, x.
func Inputs(cubes []*volume.Cube, size int) [][]float32 {
	out := make([][]float32, len(cubes))
	for i, c := range cubes {
		out[i] = c.Central(size)
		for k, hu := range out[i] {
			out[i][k] = volume.Normalise(hu)
		}
	}
	return out
}

// Mean is the mean over networks, patient by patient; NaN stays NaN.
func Mean(byNetwork [][]float64) []float64 {
	mean := make([]float64, len(byNetwork[0]))
	for i := range mean {
		for _, s := range byNetwork {
			mean[i] += s[i]
		}
		mean[i] /= float64(len(byNetwork))
	}
	return mean
}

// NaN is a slice of n NaNs, the scores of patients without one.
func NaN(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// Known says whether a score is there.
func Known(v float64) bool { return !math.IsNaN(v) }
