package scoring

import (
	"math"
	"testing"

	"hounsfield/datasets/volume"
	"hounsfield/models/cnn"
	"hounsfield/models/engine"
)

// cube is a cube of size 8 with a margin of 1, all of one value in HU.
func cube(hu float32) *volume.Cube {
	c := &volume.Cube{Edge: 10, Margin: 1, HU: make([]float32, 1000)}
	for i := range c.HU {
		c.HU[i] = hu
	}
	return c
}

// The score is the mean over networks; a patient without a cube has none, and the others keep
// their places.
func TestScoreIsTheMeanOverNetworks(t *testing.T) {
	e, err := engine.Open("go")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	spec := cnn.Small()
	spec.Input, spec.InputPool = 8, 1
	spec.Stages = []cnn.Stage{{Conv: &cnn.Conv{Filters: 2, Kernel: 3}}, {Pool: &cnn.Pool{Size: 2}}}
	spec.Dense = []cnn.Dense{{Units: 3}}
	n := &Networks{Engine: e, Seeds: []int64{1, 2}, Size: 8, MM: 1}
	for _, seed := range n.Seeds {
		m, err := cnn.Untrained(spec, seed)
		if err != nil {
			t.Fatal(err)
		}
		n.Models = append(n.Models, m)
	}
	cubes := []*volume.Cube{cube(-800), nil, cube(40)}
	by, err := n.ByNetwork(t.Context(), cubes)
	if err != nil {
		t.Fatal(err)
	}
	scores, err := n.Score(t.Context(), cubes)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range scores {
		if cubes[i] == nil {
			if Known(s) {
				t.Errorf("patient %d has no cube and the score %v", i, s)
			}
			continue
		}
		if want := (by[0][i] + by[1][i]) / 2; math.Abs(s-want) > 1e-15 || !Known(s) {
			t.Errorf("patient %d: %v, the mean of %v and %v is %v", i, s, by[0][i], by[1][i], want)
		}
	}
	alone, err := n.Score(t.Context(), cubes[2:])
	if err != nil || alone[0] != scores[2] {
		t.Errorf("alone %v, among others %v (%v)", alone, scores[2], err)
	}
}

// The networks read the cube proper, from 0 at -1024 HU to 1 at 3071.
func TestInputs(t *testing.T) {
	c := cube(-1024)
	c.HU[(5*10+5)*10+5] = 3071
	in := Inputs([]*volume.Cube{c}, 8)[0]
	if len(in) != 512 || in[0] != 0 || in[(4*8+4)*8+4] != 1 {
		t.Errorf("%d values, first %v, in the middle %v", len(in), in[0], in[(4*8+4)*8+4])
	}
}
