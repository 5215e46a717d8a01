package analysis

import (
	"context"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/report"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
)

// extent is the part of a cube in which maps have values.
func extent(maps [][]float64, size int) span {
	s := span{size, -1}
	for _, m := range maps {
		for k, v := range m {
			if v != 0 {
				z, y, x := k/(size*size), k/size%size, k%size
				s.first, s.last = min(s.first, z, y, x), max(s.last, z, y, x)
			}
		}
	}
	return s
}

// Chance and the check by random weights are of the voxels where a map can have values: the
// pool leaves out the cube's last ones, which no slope reaches.
func TestMapsFillTheirReach(t *testing.T) {
	in := lookInput(t)
	in.Settings.Activation.Methods = []string{gradCAM, guidedBack, guidedGradCAM, integrated}
	a, err := openActivation(in)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	maps := map[string][][]float64{}
	for _, cube := range scoring.Inputs(a.Cubes[2:5], 30) {
		for _, model := range a.maps.models {
			l, err := a.maps.by(t.Context(), model, cube)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range in.Settings.Activation.Methods {
				maps[name] = append(maps[name], l.maps[name])
			}
		}
	}
	for name, all := range maps {
		if got, want := extent(all, 30), a.maps.reach(name); got != want {
			t.Errorf("%s has values in %v and may have them in %v", name, got, want)
		}
	}
	if got := a.maps.reach(guidedBack); got != (span{0, 27}) {
		t.Errorf("the networks read %v", got)
	}
	cube := scoring.Inputs(a.Cubes[2:3], 30)[0]
	reads := func(_ context.Context, cubes [][]float32) ([]float64, error) {
		out := make([]float64, len(cubes))
		for i, c := range cubes {
			for k, v := range c {
				if max(k/900, k/30%30, k%30) <= a.maps.seen.last {
					out[i] += float64(v)
				}
			}
		}
		return out, nil
	}
	for _, b := range []cnn.Boxes{{Size: 4, Stride: 3}, {Size: 4, Stride: 4}, {Size: 2, Stride: 2}} {
		b.Fill = 0.7 // another than any voxel has
		m, err := cnn.Occlude(t.Context(), reads, cube, 30, b)
		if err != nil {
			t.Fatal(err)
		}
		a.maps.boxes = b
		if got, want := extent([][]float64{m}, 30), a.maps.reach(occlusion); got != want {
			t.Errorf("occlusion by %+v has values in %v and may have them in %v", b, got, want)
		}
	}
	in.Settings.Activation.Occlusion.SizeMM, in.Settings.Activation.Occlusion.StrideMM = 1e30, 1e30
	m, err := newMapMaker(in.Networks, in.Settings.Activation, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if m.boxes.Size != 30 || m.boxes.Stride != 30 {
		t.Errorf("boxes larger than the cube: %+v", m.boxes)
	}
}

// A box of the occlusion has one value: the map points to its middle, not to a corner.
func TestPointToTheMiddleOfABox(t *testing.T) {
	m := volume.NewVolume(volume.Grid{Size: [3]int{20, 20, 20}, Origin: [3]float64{5, 6, 7}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity})
	for z := 12; z < 17; z++ {
		for y := 8; y < 13; y++ {
			for x := 3; x < 8; x++ {
				m.HU[m.Grid.Offset(x, y, z)] = -2
			}
		}
	}
	m.HU[0] = 1
	if got := point(occlusion, m, nil); got.voxel != [3]int{5, 10, 14} || got.mm != [3]float64{10, 16, 21} || got.empty {
		t.Errorf("%+v", got)
	}
	m.HU[0] = 3
	if got := point(occlusion, m, nil); got.voxel != [3]int{} || got.empty {
		t.Errorf("one voxel: %+v", got)
	}
}

// Maps that are empty pass no check and lie nowhere, a patient is lost once, and an id with
// a slash, a blank or a backslash is a folder that its link finds.
func TestActivationOfLittle(t *testing.T) {
	in := lookInput(t)
	in.Settings.Activation.Methods = []string{gradCAM, occlusion}
	a, err := openActivation(in)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	passed := Measure{Name: sanityPass, Group: occlusion, N: 3, Value: 1}
	if lines := strings.Join(a.lines([]Measure{passed}, 3), "\n"); !strings.Contains(lines, "grad_cam could not be checked") || strings.Contains(lines, "all methods pass") {
		t.Error(lines)
	}
	if lines := strings.Join(a.lines([]Measure{passed, {Name: sanityPass, Group: gradCAM, Value: 1}}, 3), "\n"); !strings.Contains(lines, "all methods pass") {
		t.Error(lines)
	}

	a.lose("P", "shown")
	a.lose("P", "sampled")
	a.lose("Q", "sampled")
	if len(a.lost) != 2 || a.lost[0].Reason != "shown" {
		t.Errorf("lost: %+v", a.lost)
	}

	nothing := point(gradCAM, volume.NewVolume(volume.Grid{Size: [3]int{2, 2, 2}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}), nil)
	made, err := a.patientsTable(nil, []player{{row: 2, looked: []pointed{nothing}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, axis := range []string{"x", "y", "z"} {
		if there := made.Valid(axis); !slices.Equal(there, []bool{false}) {
			t.Errorf("an empty map has %s = %v", axis, made.Float64s(axis))
		}
	}

	const id = `P 1/a\b`
	folder := "activation/" + fileName(id)
	section := a.section([]shown{{row: 2, score: 0.5, folder: folder}}, []Measure{passed}, 3, nil)
	file := section.Blocks[len(section.Blocks)-1].(report.Picture).File
	if got, err := url.PathUnescape(file); err != nil || got != folder+"/planes.png" {
		t.Errorf("the link %q leads to %q, %v", file, got, err)
	}

	// Each method is read against its own chance.
	measures := []Measure{passed}
	for name, v := range map[string][2]float64{gradCAM: {0.58, 0.591}, occlusion: {0.9, 0.322}, byCentre: {1, 0.322}} {
		for k, what := range []string{pointingGame, regionShare} {
			measures = append(measures, Measure{Name: what, Group: name + ", " + regionHalo, N: 3, Value: v[k], P: table.Finite(math.NaN())})
		}
	}
	if lines := strings.Join(a.lines(measures, 3), "\n"); !strings.Contains(lines, "0.580 (grad_cam, chance 0.591) to 0.900 (occlusion, chance 0.322)") {
		t.Error(lines)
	}
}
