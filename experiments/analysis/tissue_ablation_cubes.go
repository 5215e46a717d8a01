package analysis

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
)

// Zones tell how far a voxel of a cube is from the tumour: 0 is inside the contour, 1 within
// the narrowest shell, 2 within the next, and so on; one more than there are shells is
// further than all of them. A byte a voxel, so that those of a whole cohort fit into memory.

// place finds the zones of all patients who are scored or learned from.
func (t *tissueAblation) place(ctx context.Context) error {
	scan := map[string]int{}
	for k, id := range t.Images.IDs() {
		scan[id] = k
	}
	var rows []int
	for i, p := range t.Cohort.Patients {
		if t.Cubes[i] != nil && (p.Role == datasets.Test || len(t.set.Retrain) > 0) {
			rows = append(rows, i)
		}
	}
	t.cubes, t.zones = make([]*volume.Cube, len(t.Cubes)), make([][]uint8, len(t.Cubes))
	reasons := make([]string, len(t.Cubes))
	bar := t.Progress.Bar(len(rows), "finding the tumour in cubes")
	for part := range slices.Chunk(rows, 64) { // the bar is told by one goroutine
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(max(t.Jobs, 1))
		for _, i := range part {
			group.Go(func() error {
				k, ok := scan[t.Cohort.Patients[i].ID]
				if !ok {
					reasons[i] = "no scan to place the cube in"
					return nil
				}
				cube := t.cubeOf(i)
				zones, err := t.zonesOf(ctx, k, cube)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					reasons[i] = err.Error()
					return nil
				}
				t.cubes[i], t.zones[i] = cube, zones
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		bar.Add(len(part))
	}
	bar.Done()
	first := ""
	for _, i := range rows {
		p := t.Cohort.Patients[i]
		switch {
		case reasons[i] != "":
			t.lost = append(t.lost, datasets.Exclusion{Patient: p.ID, Cohort: p.Cohort, Stage: "analysis " + tissueName, Reason: reasons[i]})
			if first == "" && p.Role == datasets.Test {
				first = fmt.Sprintf(" (%s: %s)", p.ID, reasons[i])
			}
		case p.Role == datasets.Test:
			t.test = append(t.test, i)
		}
	}
	if len(t.test) == 0 {
		return tissueUnfit("no test patient has a cube and a scan that belong together"+first, "look at the run's exclusions")
	}
	return nil
}

// cubeOf is the cube of patient i that is changed: what the networks read, and for training
// the margin too, from which shifts take. Voxels that are shuffled come from there alone.
func (t *tissueAblation) cubeOf(i int) *volume.Cube {
	c := *t.Cubes[i]
	if c.Margin > 0 && t.Cohort.Patients[i].Role != datasets.Train {
		c.HU, c.Edge, c.Margin = c.Central(t.size), t.size, 0
	}
	return &c
}

var errNoTumour = errors.New("no voxel of the contour lies in the cube")

// zonesOf are the zones of the cube of the patient with scan k.
func (t *tissueAblation) zonesOf(ctx context.Context, k int, c *volume.Cube) ([]uint8, error) {
	ct, mask, err := t.Images.Scan(ctx, k)
	if err != nil {
		return nil, err
	}
	at := c.Grid(ct.Grid, t.mm)
	if err := sameTissue(ct, at, c, t.mm); err != nil {
		return nil, err
	}
	widths := t.set.widths()
	// The tumour may go on beyond the cube: as far as the widest shell reaches, it counts.
	reach := 0
	if len(widths) > 0 {
		reach = int(math.Ceil(widths[len(widths)-1]/t.mm)) + 1
	}
	around := at
	around.Origin = at.Position([3]float64{float64(-reach), float64(-reach), float64(-reach)})
	for a := range 3 {
		around.Size[a] += 2 * reach
	}
	distance := volume.Distance(volume.ResampleMask(mask, around))
	zones := make([]uint8, 0, len(c.HU))
	inside := false
	for z := range c.Edge {
		for y := range c.Edge {
			for _, d := range distance[around.Offset(reach, y+reach, z+reach):][:c.Edge] {
				zone := tissueZone(float64(d), widths)
				inside = inside || zone == 0
				zones = append(zones, zone)
			}
		}
	}
	if !inside {
		return nil, errNoTumour
	}
	return zones, nil
}

// tissueZone is the zone of a distance in mm, given the widths of the shells.
func tissueZone(mm float64, widths []float64) uint8 {
	if mm == 0 {
		return 0
	}
	const rounding = 1e-4 // distances are 32-bit: three voxels of 1 mm are within 3 mm
	k := 0
	for k < len(widths) && mm > widths[k]+rounding {
		k++
	}
	return uint8(k + 1)
}

// sameTissue holds a cube on its grid against its scan, where there is one: beyond, the
// cube is air. Prepared scans are kept in whole HU; a cube at another place, or of another
// scan, is off by tens.
func sameTissue(ct *volume.Volume, at volume.Grid, c *volume.Cube, mm float64) error {
	const most = 2 // HU
	scan, first, end := volume.Resample(ct, at), c.First(), ct.Grid.Isotropic(mm).Size
	sum, n := 0.0, 0
	for z := max(0, -first[2]); z < min(c.Edge, end[2]-first[2]); z++ {
		for y := max(0, -first[1]); y < min(c.Edge, end[1]-first[1]); y++ {
			for x := max(0, -first[0]); x < min(c.Edge, end[0]-first[0]); x++ {
				k := at.Offset(x, y, z)
				sum += math.Abs(float64(scan.HU[k] - c.HU[k]))
				n++
			}
		}
	}
	if mean := sum / float64(n); !(mean <= most) {
		return fmt.Errorf("the scan is not the one that the cube was cut from: at the cube's place they differ by %.0f HU on average", mean)
	}
	return nil
}

// region says of each zone whether the arm changes it.
func (s TissueAblation) region(a TissueArm) func(zone uint8) bool {
	shell := uint8(slices.Index(s.widths(), a.ShellMM) + 1) // the outermost zone of the shell
	switch a.Kind {
	case tumourOnly:
		return func(z uint8) bool { return z > 0 }
	case tumourAndShell:
		return func(z uint8) bool { return z > shell }
	case shellRemoved, shellShuffled:
		return func(z uint8) bool { return z > 0 && z <= shell }
	default:
		return func(z uint8) bool { return z == 0 }
	}
}

// ablate is patient i's cube as the arm has it. The cube itself is not changed.
func (t *tissueAblation) ablate(i int, arm TissueArm) *volume.Cube {
	c := *t.cubes[i]
	c.HU = slices.Clone(c.HU)
	var places []int
	region := t.set.region(arm)
	for k, z := range t.zones[i] {
		if region(z) {
			places = append(places, k)
		}
	}
	switch arm.Kind {
	case tumourShuffled, shellShuffled:
		r := t.stream(arm, t.Cohort.Patients[i].ID)
		r.Shuffle(len(places), func(a, b int) {
			c.HU[places[a]], c.HU[places[b]] = c.HU[places[b]], c.HU[places[a]]
		})
	case tumourMean:
		sum := 0.0
		for _, k := range places {
			sum += float64(c.HU[k])
		}
		for _, k := range places {
			c.HU[k] = float32(sum / float64(len(places)))
		}
	default:
		for _, k := range places {
			c.HU[k] = float32(t.set.FillHU)
		}
	}
	return &c
}

// stream is the generator of one arm of one patient, whoever else there is.
func (t *tissueAblation) stream(arm TissueArm, patient string) *rand.Rand {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %q", tissueName, t.Seed, arm.name(), patient))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:16])))
}

// changed is the share of the networks' input that lies in the arm's region, mean over test
// patients, and the number of those in whom it is under 1%.
func (t *tissueAblation) changed(arm TissueArm) (share float64, hardly int) {
	region := t.set.region(arm)
	for _, i := range t.test {
		n := 0
		for _, zone := range t.zones[i] {
			if region(zone) {
				n++
			}
		}
		part := float64(n) / float64(len(t.zones[i]))
		if part < 0.01 {
			hardly++
		}
		share += part / float64(len(t.test))
	}
	return share, hardly
}

// parallel calls do for 0..n-1 by the analysis' workers.
func (t *tissueAblation) parallel(ctx context.Context, n int, do func(i int)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(t.Jobs, 1))
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			do(i)
			return nil
		})
	}
	return group.Wait()
}
