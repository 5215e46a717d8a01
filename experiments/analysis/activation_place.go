package analysis

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
)

// ActivationMap is what one method says of one patient: the mean over the run's networks.
type ActivationMap struct {
	Method string // as in the settings, such as grad_cam
	Title  string
	Signed bool           // negative values lower the risk; else there are none
	Unit   string         // of the values
	OnCube *volume.Volume // on the grid of Explanation.Cube; HU holds the map's values
	OnScan *volume.Volume // on the grid of Explanation.CT
}

// Explanation is what the networks look at in one patient, as plain data.
type Explanation struct {
	Patient string
	Score   float64        // the run's risk of death, higher is worse; NaN where there is none
	LogOdds float64        // mean over the networks of log(risk/(1-risk)), which the maps explain
	CT      *volume.Volume // the scan's own voxels within the cube
	Tumour  *volume.Mask   // the contour, on the grid of CT
	Cube    *volume.Volume // what the networks read, HU
	Centre  [3]float64     // of the tumour, mm, LPS
	Maps    []ActivationMap

	edgeMM      float64 // of the cube
	change, gap float64 // of integrated gradients, see lookedAt
	scan        *volume.Volume
	tumour      *volume.Mask // on the scan's grid or its own
}

// Explain makes the maps of one patient of a run with networks and scans, by the settings
// of the analysis activation. Errors: *UnfitError for a patient without cube or scan,
// *SettingError, those of package cnn and of the images.
func Explain(ctx context.Context, in *Input, patient string) (*Explanation, error) {
	if in.Networks == nil || in.Images == nil {
		return nil, &UnfitError{Analysis: activationName, Lacks: "the run has no networks or no scans", Next: "take a run of the phantom or of prepared scans that trained networks"}
	}
	if err := in.Settings.Activation.check(); err != nil {
		return nil, err
	}
	row := slices.IndexFunc(in.Cohort.Patients, func(p datasets.Patient) bool { return p.ID == patient })
	if row < 0 || in.Cubes[row] == nil {
		return nil, &UnfitError{Analysis: activationName, Lacks: fmt.Sprintf("patient %q is not in the cohort or has no cube", patient), Next: "take one of tables/scores.arrow"}
	}
	a, err := openActivation(in)
	if err != nil {
		return nil, err
	}
	defer a.close()
	return a.explain(ctx, row)
}

// patientError is a patient whose scan cannot be used; the others can.
type patientError struct {
	patient string
	err     error
}

func (e *patientError) Error() string { return fmt.Sprintf("patient %s: %v", e.patient, e.err) }
func (e *patientError) Unwrap() error { return e.err }

// explain makes the maps of the patient at a place of the cohort.
func (a *activation) explain(ctx context.Context, row int) (*Explanation, error) {
	e, cube, err := a.placed(ctx, row)
	if err != nil {
		return nil, err
	}
	looked, err := a.maps.mean(ctx, scoring.Inputs([]*volume.Cube{cube}, a.spec.Size)[0])
	if err != nil {
		return nil, err
	}
	e.LogOdds, e.change, e.gap = looked.logOdds, looked.change, looked.gap
	for _, m := range a.methods {
		on := mapVolume(looked.maps[m.name], e.Cube.Grid)
		e.Maps = append(e.Maps, ActivationMap{Method: m.name, Title: m.title, Signed: m.signed, Unit: m.unit,
			OnCube: on, OnScan: resampledMap(on, e.CT.Grid)})
	}
	return e, nil
}

// placed finds out where in the patient's scan the cube lies that the networks read; the
// explanation has no maps yet. The cube is cut again, which must give the run's.
func (a *activation) placed(ctx context.Context, row int) (*Explanation, *volume.Cube, error) {
	id := a.Cohort.Patients[row].ID
	fail := func(err error) (*Explanation, *volume.Cube, error) {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, &patientError{id, err}
	}
	k, ok := a.images[id]
	if !ok {
		return fail(errors.New("there is no scan of the patient"))
	}
	ct, mask, err := a.Images.Scan(ctx, k)
	if err != nil {
		return fail(err)
	}
	again, err := volume.CutCube(ct, mask, a.spec)
	if err != nil {
		return fail(err)
	}
	read := a.Cubes[row].Central(a.spec.Size)
	for i, hu := range read {
		if d := math.Abs(float64(hu - again.HU[i])); !(d <= keptHU) {
			return fail(fmt.Errorf("the cube cut from the scan differs by %.3g HU from the one that the networks read: it lies elsewhere; make the cubes or prepare the scans again", d))
		}
	}
	e := &Explanation{Patient: id, Score: a.Scores[row], Centre: again.CentreMM, edgeMM: float64(a.spec.Size) * a.spec.SpacingMM, scan: ct, tumour: mask}
	e.Cube = &volume.Volume{Grid: again.Grid(ct.Grid, a.spec.SpacingMM), HU: read}
	e.CT = cutTo(ct, e.Cube.Grid)
	e.Tumour = volume.ResampleMask(mask, e.CT.Grid)
	again.HU = read
	return e, again, nil
}

// cutTo is the part of a scan whose voxel centres lie in the voxels of a grid with the same
// directions; the voxels are not changed.
func cutTo(ct *volume.Volume, within volume.Grid) *volume.Volume {
	low, high := [3]float64{-0.5, -0.5, -0.5}, [3]float64{}
	for a := range 3 {
		high[a] = float64(within.Size[a]) - 0.5
	}
	from, to := ct.Grid.Index(within.Position(low)), ct.Grid.Index(within.Position(high))
	g := ct.Grid
	var first [3]int
	for a := range 3 {
		const rounding = 1e-6
		first[a] = max(int(math.Ceil(from[a]-rounding)), 0)
		g.Size[a] = max(min(int(math.Floor(to[a]+rounding)), ct.Grid.Size[a]-1)-first[a]+1, 1)
	}
	g.Origin = ct.Grid.Position([3]float64{float64(first[0]), float64(first[1]), float64(first[2])})
	out := volume.NewVolume(g)
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			at := ct.Grid.Offset(first[0], first[1]+y, first[2]+z)
			copy(out.HU[g.Offset(0, y, z):][:g.Size[0]], ct.HU[at:])
		}
	}
	return out
}

// Picture shows the scan and each map over it, in three planes through the tumour's centre;
// see volume.PlanesPicture. pixels are the edge of a panel. A scale ends at the size that one
// voxel in 200 of the map exceeds.
func (e *Explanation) Picture(pixels int) image.Image {
	columns := []volume.PlanesColumn{{Title: "CT", CT: e.scan}}
	for _, m := range e.Maps {
		sizes := make([]float64, len(m.OnCube.HU))
		for k, v := range m.OnCube.HU {
			sizes[k] = math.Abs(float64(v))
		}
		slices.Sort(sizes)
		limit := quantile(sizes, 0.995)
		if limit == 0 {
			limit = sizes[len(sizes)-1]
		}
		if limit == 0 {
			limit = 1 // an empty map: nothing to colour
		}
		columns = append(columns, volume.PlanesColumn{Title: m.Title, CT: e.scan, Map: m.OnCube, Signed: m.Signed, Limit: limit, Unit: m.Unit})
	}
	return volume.PlanesPicture(columns, e.tumour, e.Centre, 1.24*e.edgeMM, pixels)
}
